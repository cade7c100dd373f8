"""Outside transplant: an object keeps itself and is given another image's surroundings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.pixels import paste, smooth_fill
from pipeline.interventions.regions import check_margin, holes, largest, squares
from pipeline.types import Batch, Images


@dataclass(frozen=True, kw_only=True)
class OutsideTransplant:
    """The recipient's object, resized, is put where the donor's object was: box for box, so that no hole shows.

    Every donor gives its surroundings to `recipients_per_donor` objects of other classes (arm `other`) and to one of
    its own class (arm `own`: the control for seams). The same trials serve every class: for class k, donors of class k
    are compared with donors of the other classes. The donor's further objects are filled smoothly.
    """

    margin_fraction: float
    margin_px: float
    feather: float
    recipients_per_donor: int
    max_donors: int  # per class, drawn at random where there are more
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_margin(self.margin_fraction, self.margin_px)
        if not 0 <= self.feather <= 0.5:
            raise ValueError(f"`feather` must lie in [0, 0.5], got {self.feather}")
        if self.recipients_per_donor < 1 or self.max_donors < 1:
            raise ValueError(
                f"`recipients_per_donor` and `max_donors` must be 1 or more, "
                f"got {self.recipients_per_donor} and {self.max_donors}"
            )

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        side = np.array([_side(boxes) for boxes in images["boxes"]])
        labels = images["class"].to_numpy()
        right = images["correct"].to_numpy(bool)
        members = {c: np.flatnonzero(labels == c) for c in pd.unique(labels)}
        # An object that the model gets wrong at home tells nothing about what a new background does to it.
        eligible = {c: rows[right[rows]] if right[rows].any() else rows for c, rows in members.items()}
        trials = []
        for own, rows in members.items():
            for donor in rng.permutation(rows)[: self.max_donors]:
                for arm, c in self._classes_for(own, list(members), rng):
                    pool = eligible[c][eligible[c] != donor]
                    if len(pool):
                        trials.append((_closest(pool, side, donor, rng), donor, arm))
        return pd.DataFrame(trials, columns=["recipient", "donor", "arm"])

    def _classes_for(self, own: str, classes: list[str], rng: np.random.Generator) -> Iterator[tuple[str, str]]:
        """The classes that one donor's recipients come from: others in balanced random order, then its own."""
        others = [c for c in classes if c != own]
        order: list[str] = []
        while others and len(order) < self.recipients_per_donor:
            order.extend(rng.permutation(others))
        yield from (("other", c) for c in order[: self.recipients_per_donor])
        yield "own", own

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if donors is None:
            raise ValueError("`donors` are needed for a transplant, got None")
        places = largest(squares(donors, self.margin_fraction, self.margin_px))
        regions = largest(squares(recipients, self.margin_fraction, self.margin_px))
        emptied = smooth_fill(donors.images, holes(donors, self.margin_fraction, self.margin_px))
        return paste(recipients.images, regions, emptied, places, self.feather)


def _side(boxes: list[tuple[float, float, float, float]]) -> float:
    """The longer side of the largest box, in pixels."""
    x0, y0, x1, y1 = max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
    return max(x1 - x0, y1 - y0)


def _closest(pool: np.ndarray, side: np.ndarray, donor: int, rng: np.random.Generator, candidates: int = 5) -> int:
    """Of a few random recipients, the one whose object is closest in size: less resampling, less to notice."""
    drawn = rng.choice(pool, size=min(candidates, len(pool)), replace=False)
    return int(drawn[np.argmin(np.abs(np.log(side[drawn] / side[donor])))])
