"""Shared layer: what a class's pictures have in common at the same pixels is laid over other classes' pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.lowlevel import shared_layer
from pipeline.types import Batch, Images

OVER, OVER_OWN = "over", "over_own"


@dataclass(frozen=True, kw_only=True)
class SharedLayer:
    """Letters across the whole picture, a grid, a defect of the sensor: marks that lie on the object too.

    Groups of `size` images of class k give their shared layer (see core/lowlevel.py) to images of other classes (arm
    `over`); groups of the recipient's own class give theirs as control (arm `over_own`). In a plan, `group` names all
    of a trial's donors and `donor` the first, which stands for the group; `edit` gets the images of
    every distinct group, one group after the other, and in `recipients.groups` whose is whose.
    """

    size: int
    groups: int  # per class
    recipients: int  # per group
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.size < 4 or self.groups < 1 or self.recipients < 1:
            raise ValueError("`size` must be 4 or more, `groups` and `recipients` 1 or more")

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        label, right = images["class"].to_numpy(object), images["correct"].to_numpy(bool)
        members = {c: np.flatnonzero(label == c) for c in pd.unique(label)}
        groups = {c: self._groups(rows, rng) for c, rows in members.items()}
        trials = []
        for k in members:
            taking = rng.permutation(np.flatnonzero((label != k) & right))
            taking = np.resize(taking, self.recipients * len(groups[k])) if len(taking) else taking
            for i, recipient in enumerate(taking):
                own = [g for g in groups[label[recipient]] if recipient not in g]
                if not own:
                    continue
                for arm, group in ((OVER, groups[k][i % len(groups[k])]), (OVER_OWN, own[i % len(own)])):
                    trials.append((recipient, group[0], arm, k, group))
        return pd.DataFrame(trials, columns=["recipient", "donor", "arm", "tested", "group"])

    def _groups(self, rows: np.ndarray, rng: np.random.Generator) -> list[tuple[int, ...]]:
        """Groups of equal size that share no image; where a class is too small for two, two halves."""
        size = min(self.size, len(rows) // 2)
        if size < 4:
            return []
        mixed = rng.permutation(rows)
        return [tuple(map(int, mixed[i : i + size])) for i in range(0, len(mixed) - size + 1, size)][: self.groups]

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if donors is None:
            raise ValueError("`donors` are needed for their layer, got None")
        layers = shared_layer(donors.images.unflatten(0, (max(recipients.groups) + 1, -1)))
        return (recipients.images + layers[list(recipients.groups)]).clamp(0, 1)
