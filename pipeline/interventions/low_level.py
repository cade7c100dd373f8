"""Low-level transplant: an image keeps its content and is given another one's colour, sharpness, spectrum or border."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core import lowlevel
from pipeline.core.borders import match_border
from pipeline.core.compression import match_compression
from pipeline.core.pixels import smooth_fill
from pipeline.interventions.pairing import pairs
from pipeline.interventions.regions import check_margin, holes
from pipeline.types import Batch, Images, Masks

Transfer = Callable[[Images, Masks, Images, Masks], Images]  # recipients, their outside, donors, their outside

RING = 0.08  # width of the border ring, as a share of the shorter side
TRANSFERS: dict[str, Transfer] = {
    "colour": lowlevel.match_colour,
    "sharpness": lowlevel.match_sharpness,
    "spectrum": lambda images, outside, donors, donors_outside: lowlevel.swap_amplitude(images, donors),
    "ring": lambda images, outside, donors, donors_outside: lowlevel.swap_ring(images, donors, RING),
    "border": lambda images, outside, donors, donors_outside: match_border(images, donors),
    "compression": lambda images, outside, donors, donors_outside: match_compression(images, donors),
    "residual": lambda images, outside, donors, donors_outside: lowlevel.swap_residual(images, outside, donors),
}


@dataclass(frozen=True, kw_only=True)
class LowLevelTransplant:
    """Cues that are nowhere in particular: what a donor's surroundings look like is given to the whole recipient.

    One arm per property. The donor's objects are filled first, and measured around: what they look like is evidence
    that a model should use.
    """

    margin_fraction: float
    margin_px: float
    arms: Sequence[str]
    recipients_per_donor: int
    max_donors: int  # per class, drawn at random where there are more
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_margin(self.margin_fraction, self.margin_px)
        unknown = [name for name in self.arms if name not in TRANSFERS]
        if unknown or not self.arms:
            raise ValueError(f"`arms` must name one or more of {', '.join(TRANSFERS)}; got {list(self.arms)}")
        if self.recipients_per_donor < 1 or self.max_donors < 1:
            raise ValueError(
                f"`recipients_per_donor` and `max_donors` must be 1 or more, "
                f"got {self.recipients_per_donor} and {self.max_donors}"
            )

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        chosen = pairs(images, self.recipients_per_donor, self.max_donors, rng)
        alone = (
            images["class"].nunique() == 2
        )  # no third class: donors of the recipient's own class are the neutral ones
        trials = [(r, d, arm) for arm in self.arms for r, d, same in chosen if alone or not same]
        return pd.DataFrame(trials, columns=["recipient", "donor", "arm"])

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if donors is None:
            raise ValueError("`donors` are needed for a transplant, got None")
        outside = ~holes(recipients, self.margin_fraction, self.margin_px)
        donors_hole = holes(donors, self.margin_fraction, self.margin_px)
        emptied = smooth_fill(donors.images, donors_hole)
        return TRANSFERS[arm](recipients.images, outside, emptied, ~donors_hole)
