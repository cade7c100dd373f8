"""Own places: for marks that move about, each image's own strongest place is found by trying, then exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from pipeline.core import boxes as core_boxes
from pipeline.core.pixels import smooth_fill
from pipeline.core.places import INSIDE, MOVING, MOVING_OWN, PROBE, Place, covered
from pipeline.interventions.regions import around_all, check_margin, holes
from pipeline.types import Batch, Images

COLUMNS = ["recipient", "donor", "arm", "tested", "place", "spot"]
FREE = 0.5  # of a place that an object may cover


@dataclass(frozen=True, kw_only=True)
class OwnPlaces:
    """Which part of its surroundings does an image's class hang on, and does that part carry the class elsewhere?

    For class k: of the images that say k most without their object, `donors` are probed: beside the object, one window
    after the other is filled too (arm `probe:in`). The window whose loss costs k most is then put into other classes'
    images, at the same place (arm `moving:in`), beside the same window of another image of the recipient's class that
    also says k most (arm `moving_own:in`), whose own probing is not repeated: the place is the mark's, or nobody's.
    """

    margin_fraction: float
    margin_px: float
    donors: int  # per class
    recipients: int  # per donor
    window: float  # side, as a share of the frame's shorter side
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_margin(self.margin_fraction, self.margin_px)
        if not 0 < self.window < 1 or self.donors < 2 or self.recipients < 1:
            raise ValueError("`window` must lie in (0, 1), `donors` be 2 or more and `recipients` 1 or more")

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Nothing yet: the donors follow from object removal."""
        return pd.DataFrame([], columns=COLUMNS)

    def again(self, images: pd.DataFrame, trials: pd.DataFrame, turn: int, rng: np.random.Generator) -> pd.DataFrame:
        removed = trials[trials["intervention"] == "object_removed"]
        rows: list[tuple] = []
        if turn <= 2 and len(removed):
            removed = removed[removed["arm"] == removed["arm"].iloc[0]].set_index("recipient")
            for k in pd.unique(images["class"]):
                said = images["id"].map(removed[f"log_odds:{k}"]).to_numpy(float)
                rows += self._probes(images, k, said) if turn == 1 else self._exchanges(images, k, said, trials, rng)
        return pd.DataFrame(rows, columns=COLUMNS)

    def _telling(self, images: pd.DataFrame, k: str, said: np.ndarray) -> np.ndarray:
        """Rows of class k that say k most without their object."""
        rows = np.flatnonzero((images["class"] == k).to_numpy() & np.isfinite(said))
        return rows[np.argsort(-said[rows], kind="stable")][: self.donors]

    def _probes(self, images: pd.DataFrame, k: str, said: np.ndarray) -> list[tuple]:
        holes_, frame = around_all(images, self.margin_fraction, self.margin_px), images["frame"].iloc[0]
        return [
            (row, -1, PROBE + INSIDE, k, place.box, spot)
            for row in self._telling(images, k, said)
            for spot, place in enumerate(self._windows(frame))
            if covered(place, holes_[[row]], frame)[0] <= FREE
        ]

    def _windows(self, frame: tuple[int, int]) -> list[Place]:
        """Overlapping windows all over the frame, about half a side apart."""
        side = max(2, round(self.window * min(frame)))
        steps = [np.linspace(0, full - side, max(2, round(2 * full / side) - 1)).round() for full in frame]
        return [
            Place(kind=INSIDE, box=(float(x), float(y), float(x + side), float(y + side)))
            for y in steps[0]
            for x in steps[1]
        ]

    def _exchanges(
        self, images: pd.DataFrame, k: str, said: np.ndarray, trials: pd.DataFrame, rng: np.random.Generator
    ) -> list[tuple]:
        label, right = images["class"].to_numpy(object), images["correct"].to_numpy(bool)
        holes_, frame = around_all(images, self.margin_fraction, self.margin_px), images["frame"].iloc[0]
        probed = trials[(trials["arm"] == PROBE + INSIDE) & (trials["tested"] == k)]
        row_of = dict(zip(images["id"], range(len(images)), strict=True))
        lowest = probed.loc[probed.groupby("recipient")[f"log_odds:{k}"].idxmin()]
        rows: list[tuple] = []
        for image, place in zip(lowest["recipient"], lowest["place"], strict=True):
            donor, at = row_of[image], Place(kind=INSIDE, box=tuple(place))
            free = covered(at, holes_, frame) <= FREE
            taking = rng.permutation(np.flatnonzero(free & (label != k) & right))[: self.recipients]
            for recipient in taking:
                own = self._telling(images, label[recipient], np.where(free, said, np.nan))
                own = own[own != recipient]
                if len(own):
                    rows.append((recipient, donor, MOVING + INSIDE, k, at.box, -1))
                    rows.append((recipient, int(rng.choice(own)), MOVING_OWN + INSIDE, k, at.box, -1))
        return rows

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if recipients.places is None:
            raise ValueError("`places` are needed, got None")
        where = core_boxes.rasterise(recipients.places, (recipients.images.shape[-2], recipients.images.shape[-1]))
        own = holes(recipients, self.margin_fraction, self.margin_px)
        if arm == PROBE + INSIDE:
            return smooth_fill(recipients.images, own | where)
        if donors is None:
            raise ValueError("`donors` are needed for an exchange, got None")
        where &= ~own & ~holes(donors, self.margin_fraction, self.margin_px)
        return torch.where(where[:, None], donors.images, recipients.images)
