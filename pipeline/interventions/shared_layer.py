"""Shared layer: what a class's pictures have in common at the same pixels is laid over other classes' pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.lowlevel import shared_layer
from pipeline.types import Batch, Images

COLUMNS = ["recipient", "donor", "arm", "tested", "group"]
FEWEST = 4  # images of a group
OVER, OVER_OWN = "over", "over_own"


@dataclass(frozen=True, kw_only=True)
class SharedLayer:
    """Letters across the whole picture, a grid, a defect of the sensor: marks that lie on the object too.

    Groups of `size` images of class k give their shared layer (see core/lowlevel.py) to images of other classes (arm
    `over`); groups of the recipient's own class give theirs as control (arm `over_own`). The first group is
    of the images whose surroundings say the class most once the object is removed: a mark on some is not outvoted.

    In a plan, `group` names all of a trial's donors and `donor` the first, which stands for the group; `edit` gets the
    images of every distinct group, one group after the other, and in `recipients.groups` whose is whose.
    """

    size: int
    groups: int  # per class
    recipients: int  # per group
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.size < FEWEST or self.groups < 1 or self.recipients < 1:
            raise ValueError("`size` must be 4 or more, `groups` and `recipients` 1 or more")

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Nothing yet: who gives follows from object removal."""
        return pd.DataFrame([], columns=COLUMNS)

    def again(self, images: pd.DataFrame, trials: pd.DataFrame, turn: int, rng: np.random.Generator) -> pd.DataFrame:
        removed = trials[trials["intervention"] == "object_removed"]
        if turn > 1 or removed.empty:
            return pd.DataFrame([], columns=COLUMNS)
        removed = removed[removed["arm"] == removed["arm"].iloc[0]].set_index("recipient")
        label, right = images["class"].to_numpy(object), images["correct"].to_numpy(bool)
        groups = {
            c: self._groups(np.flatnonzero(label == c), images["id"].map(removed[f"log_odds:{c}"]).to_numpy(float))
            for c in pd.unique(label)
        }
        rows = []
        for k, own_groups in groups.items():
            taking = rng.permutation(np.flatnonzero((label != k) & right))
            for i, recipient in enumerate(taking[: self.recipients * len(own_groups)]):
                others = [g for g in groups[label[recipient]] if recipient not in g]
                if others:
                    for arm, group in ((OVER, own_groups[i % len(own_groups)]), (OVER_OWN, others[i % len(others)])):
                        rows.append((recipient, group[0], arm, k, group))
        return pd.DataFrame(rows, columns=COLUMNS)

    def _groups(self, rows: np.ndarray, said: np.ndarray) -> list[tuple[int, ...]]:
        """Groups of equal size that share no image: those whose surroundings say the class most, then the next."""
        order = rows[np.argsort(-np.nan_to_num(said[rows], nan=-np.inf), kind="stable")]
        size = min(self.size, len(order))
        if size < FEWEST:
            return []
        return [tuple(map(int, order[i : i + size])) for i in range(0, len(order) - size + 1, size)][: self.groups]

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if donors is None:
            raise ValueError("`donors` are needed for their layer, got None")
        layers = shared_layer(donors.images.unflatten(0, (max(recipients.groups) + 1, -1)))
        return (recipients.images + layers[list(recipients.groups)]).clamp(0, 1)
