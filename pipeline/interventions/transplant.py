"""Outside transplant: an object keeps itself and is given another image's surroundings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.lowlevel import match_colour
from pipeline.core.pixels import paste, smooth_fill
from pipeline.interventions.pairing import pairs
from pipeline.interventions.regions import check_margin, from_boxes, grown, holes, largest, outside_share
from pipeline.types import Batch, Images

MOVED = ("moved", "own_moved")


@dataclass(frozen=True, kw_only=True)
class OutsideTransplant:
    """The recipient's object, resized, is put where the donor's object was: box for box, so that no hole shows.

    Every donor gives its surroundings to `recipients_per_donor` objects of other classes (arm `other`) and to one of
    its own class (arm `own`: the control for seams). In arm `matched`, the same pairs again, the object also takes the
    colour and brightness of the donor's surroundings, so that it does not contradict them. The same trials serve every
    class: for class k, donors of class k are compared with donors of the other classes. The donor's further objects are
    filled smoothly.

    Objects of one class may be smaller than others', or lie elsewhere, and models learn that. So with `moved`, in arms
    `moved` and `own_moved`, the object is put into the same box *at home*, on its own surroundings: what that alone
    does to the prediction is not the surroundings' doing.
    """

    margin_fraction: float
    margin_px: float
    feather: float
    recipients_per_donor: int
    max_donors: int  # per class, drawn at random where there are more
    matched: bool
    moved: bool
    least_outside: float  # share of the frame off its object that a donor needs
    version: ClassVar[int] = 4

    def __post_init__(self) -> None:
        check_margin(self.margin_fraction, self.margin_px)
        if not 0 <= self.least_outside < 1:
            raise ValueError(f"`least_outside` must lie in [0, 1), got {self.least_outside}")
        if not 0 <= self.feather <= 0.5:
            raise ValueError(f"`feather` must lie in [0, 0.5], got {self.feather}")
        if self.recipients_per_donor < 1 or self.max_donors < 1:
            raise ValueError(
                f"`recipients_per_donor` and `max_donors` must be 1 or more, "
                f"got {self.recipients_per_donor} and {self.max_donors}"
            )

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        enough = outside_share(images, self.margin_fraction, self.margin_px) >= self.least_outside
        chosen = pairs(images, self.recipients_per_donor, self.max_donors, rng, giving=enough)
        trials = [(r, d, "own" if same else "other") for r, d, same in chosen]
        if self.moved:
            trials += [(r, d, "own_moved" if same else "moved") for r, d, same in chosen]
        if self.matched:
            trials += [(r, d, "matched") for r, d, same in chosen if not same]
            if images["class"].nunique() == 2:  # where the donors' own class has to serve as neutral, it is matched too
                trials += [(r, d, "own_matched") for r, d, same in chosen if same]
        return pd.DataFrame(trials, columns=["recipient", "donor", "arm"])

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if donors is None:
            raise ValueError("`donors` are needed for a transplant, got None")
        places = largest(grown(donors, self.margin_fraction, self.margin_px))
        regions = largest(grown(recipients, self.margin_fraction, self.margin_px))
        own = holes(recipients, self.margin_fraction, self.margin_px)
        # An annotated outline is cut out along it; a box comes whole, with what else it holds.
        shape = own | from_boxes(recipients) if any(recipients.outlined) else None
        if arm in MOVED:
            home = smooth_fill(recipients.images, own)
            return paste(recipients.images, regions, home, places, self.feather, shape)
        hole = holes(donors, self.margin_fraction, self.margin_px)
        giving = recipients.images
        if arm.endswith("matched"):
            giving = match_colour(giving, ~own, donors.images, ~hole)
        return paste(giving, regions, smooth_fill(donors.images, hole), places, self.feather, shape)
