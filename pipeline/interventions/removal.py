"""Object removed and object only: what the model says without the object, without its surroundings, and of holes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.pixels import FILLS
from pipeline.interventions.pairing import pairs
from pipeline.interventions.regions import check_margin, holes
from pipeline.types import Batch, Images, Masks


@dataclass(frozen=True, kw_only=True)
class ObjectRemoved:
    """The objects, with a margin, are filled; the surroundings stay. One arm per fill."""

    margin_fraction: float
    margin_px: float
    fills: Sequence[str]
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check(self.margin_fraction, self.margin_px, self.fills)

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        return _every_image(len(images), self.fills)

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        return FILLS[arm](recipients.images, holes(recipients, self.margin_fraction, self.margin_px))


@dataclass(frozen=True, kw_only=True)
class ObjectOnly:
    """Everything but the objects (with a margin) is filled. One arm per fill."""

    margin_fraction: float
    margin_px: float
    fills: Sequence[str]
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check(self.margin_fraction, self.margin_px, self.fills)

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        return _every_image(len(images), self.fills)

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        outside: Masks = ~holes(recipients, self.margin_fraction, self.margin_px)
        return FILLS[arm](recipients.images, outside)


@dataclass(frozen=True, kw_only=True)
class HoleControl:
    """What a hole alone does: another image's hole, same place and fill, in an image whose own object is removed.

    The hole's outline and place may tell the class (tall for people, low for cars). So every image's hole is also made
    in a picture of another class, whose own object is gone too; what that adds is the hole's doing.
    """

    margin_fraction: float
    margin_px: float
    fill: str
    max_donors: int  # per class
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check(self.margin_fraction, self.margin_px, [self.fill])

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        chosen = pairs(images, 1, self.max_donors, rng)
        return pd.DataFrame(
            [(r, d, self.fill) for r, d, same in chosen if not same], columns=["recipient", "donor", "arm"]
        )

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if donors is None:
            raise ValueError("`donors` are needed for their holes, got None")
        own, given = (holes(b, self.margin_fraction, self.margin_px) for b in (recipients, donors))
        return FILLS[arm](recipients.images, own | given)


def _check(margin_fraction: float, margin_px: float, fills: Sequence[str]) -> None:
    check_margin(margin_fraction, margin_px)
    unknown = [name for name in fills if name not in FILLS]
    if unknown or not fills:
        raise ValueError(f"`fills` must name one or more of {', '.join(FILLS)}; got {list(fills)}")


def _every_image(n: int, arms: Sequence[str]) -> pd.DataFrame:
    """One trial per image and arm, without donors."""
    return pd.DataFrame(
        {"recipient": np.tile(np.arange(n), len(arms)), "donor": -1, "arm": np.repeat(np.asarray(arms, object), n)}
    )
