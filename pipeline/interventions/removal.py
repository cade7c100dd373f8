"""Object removed and object only: what the model says without the object, and without its surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.pixels import FILLS
from pipeline.interventions.regions import check_margin, holes
from pipeline.types import Batch, Images, Masks


@dataclass(frozen=True, kw_only=True)
class ObjectRemoved:
    """The objects' boxes, with a margin and squared, are filled; the surroundings stay. One arm per fill."""

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
    """Everything but the objects' boxes (with a margin and squared) is filled. One arm per fill."""

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
