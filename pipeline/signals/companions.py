"""Context by category: which other objects a class's recognition hangs on, where the dataset annotates them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.stats import difference_interval
from pipeline.types import Box, Evidence, Observed

HIDDEN, ELSEWHERE = "hidden:", "elsewhere:"


@dataclass(frozen=True, kw_only=True)
class CompanionsLead:
    """Per class and category: how often the prediction changes when the category's objects are hidden.

    Less the share that changes when as large an area is hidden elsewhere (after SPIRE, Plumb et al. 2022, who have no
    control). Beside it the share of the attribution that lies on them, and of the frame. Context can be right: a lead,
    never a verdict.
    """

    version: ClassVar[int] = 1

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials
        trials = trials[trials["intervention"] == "companions"] if len(trials) else trials
        if not len(trials):
            return []
        return [
            self._evidence(k, str(arm).removeprefix(HIDDEN), own, observed)
            for k in observed.classes
            for arm, own in trials[trials["recipient_class"] == k].groupby("arm", sort=True)
            if str(arm).startswith(HIDDEN)
        ]

    def _evidence(self, k: str, category: str, hidden: pd.DataFrame, observed: Observed) -> Evidence:
        trials = observed.trials
        mine = (trials["intervention"] == "companions") & (trials["recipient_class"] == k)
        control = trials[mine & (trials["arm"] == ELSEWHERE + category)]
        n, changed = len(hidden), int((~hidden["stays"].astype(bool)).sum())
        n_control, changed_control = len(control), int((~control["stays"].astype(bool)).sum())
        low = high = estimate = float("nan")
        if n_control:
            low, high = difference_interval(changed, n, changed_control, n_control)
            estimate = changed / n - changed_control / n_control
        shares, areas = _shares(observed.images, set(hidden["recipient"]), category)
        return Evidence(
            signal=f"companions:{category}",
            class_name=k,
            estimate=estimate,
            low=low,
            high=high,
            unit="share of images",
            p_value=float("nan"),
            n=n,
            n_others=n_control,
            detectable=float("nan"),
            decides=False,
            version=self.version,
            details={
                "category": category,
                "changed": changed / n,
                "changed_elsewhere": changed_control / n_control if n_control else float("nan"),
                "attribution_share": shares,
                "area_share": areas,
            },
        )


def _shares(images: pd.DataFrame, ids: set[str], category: str) -> tuple[float, float]:
    """Mean over the images: the share of the outside attribution, and of the frame, in the category's boxes."""
    if "small_map" not in images:
        return float("nan"), float("nan")
    shares, areas = [], []
    for _, image in images[images["id"].isin(ids)].iterrows():
        cells = np.asarray(image["small_map"], np.float64)
        covered = np.zeros_like(cells)
        for c, box in image["companions"]:
            if c == category:
                covered = np.maximum(covered, _coverage(box, image["frame"], cells.shape[0]))
        shares.append(float((cells * covered).sum()))
        areas.append(float(covered.mean()))
    return float(np.mean(shares)), float(np.mean(areas))


def _coverage(box: Box, frame: tuple[int, int], cells: int) -> np.ndarray:
    """(cells, cells) the share of each cell of the frame's grid that the box covers."""
    axes = []
    for start, end, side in ((box[1], box[3], frame[0]), (box[0], box[2], frame[1])):
        edges = np.linspace(0, side, cells + 1)
        axes.append((np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1])).clip(min=0) / (side / cells))
    return np.outer(axes[0], axes[1])
