"""Context by category: which other objects a class's recognition hangs on, where the dataset annotates them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.types import Box, Evidence, Observed

HIDDEN, ELSEWHERE = "hidden:", "elsewhere:"
UNTOLD = "no image in which both hiding it and hiding as much elsewhere changed a pixel"


@dataclass(frozen=True, kw_only=True)
class CompanionsLead:
    """Per class and category: how often the prediction changes when the category's objects are hidden.

    Less the share that changes when as large an area is hidden elsewhere in the same images (after SPIRE, Plumb et al.
    2022, who have no control); images in which one of the two changed no pixel do not count. Beside it the share of
    the attribution that lies on the objects, and of the frame. Context can be right: a lead, never a verdict.
    """

    version: ClassVar[int] = 2

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials
        trials = trials[trials["intervention"] == "companions"] if len(trials) else trials
        if not len(trials):
            return []
        found = []
        for k in observed.classes:
            own = trials[trials["recipient_class"] == k]
            for arm in sorted(a for a in set(own["arm"]) if a.startswith(HIDDEN)):
                category = arm.removeprefix(HIDDEN)
                found.append(self._evidence(k, category, _pairs(own, category), observed.images))
        return found

    def _evidence(self, k: str, category: str, pairs: pd.DataFrame, images: pd.DataFrame) -> Evidence:
        n = len(pairs)
        estimate = low = high = float("nan")
        details: dict[str, float | str] = {"category": category, "undefined": UNTOLD}
        if n:
            here, there = ~pairs["stays_hidden"].to_numpy(bool), ~pairs["stays_elsewhere"].to_numpy(bool)
            estimate = float(here.mean() - there.mean())
            low, high = paired_interval(here, there)
            shares, areas = _shares(images, set(pairs.index), category)
            details = {
                "category": category,
                "changed": float(here.mean()),
                "changed_elsewhere": float(there.mean()),
                "hidden_area": float(pairs["changed_fraction_hidden"].mean()),
                "control_area": float(pairs["changed_fraction_elsewhere"].mean()),
                "attribution_share": shares,
                "area_share": areas,
            }
        return Evidence(
            signal=f"companions:{category}",
            class_name=k,
            estimate=estimate,
            low=low,
            high=high,
            unit="share of images",
            p_value=float("nan"),
            n=n,
            n_others=n,
            detectable=float("nan"),
            role="lead",
            version=self.version,
            details=details,
        )


def _pairs(trials: pd.DataFrame, category: str) -> pd.DataFrame:
    """One row per image in which both arms changed a pixel, by its id: `stays` and `changed_fraction` of either."""
    arms = [
        trials.loc[(trials["arm"] == arm + category) & (trials["changed_fraction"] > 0)].set_index("recipient")
        for arm in (HIDDEN, ELSEWHERE)
    ]
    hidden, elsewhere = (arm[["stays", "changed_fraction"]] for arm in arms)
    return hidden.merge(elsewhere, left_index=True, right_index=True, suffixes=("_hidden", "_elsewhere"))


def paired_interval(first: NDArray[np.bool_], second: NDArray[np.bool_], level: float = 0.95) -> tuple[float, float]:
    """Newcombe's interval for p1 - p2 of two outcomes of the same n > 0 items (1998, paired data, method 10).

    Wilson limits of both shares, combined with the correlation of the outcomes, which is continuity-corrected where it
    is positive. Never of no width, unlike a bootstrap of shares that are all 0 or all 1.
    """
    n, k1, k2 = len(first), int(first.sum()), int(second.sum())
    p1, p2 = k1 / n, k2 / n
    (low1, high1), (low2, high2) = (_wilson(k, n, level) for k in (k1, k2))
    phi = _correlation(int((first & second).sum()), k1, k2, n)
    below, above = _sides(p1 - low1, high2 - p2, phi), _sides(high1 - p1, p2 - low2, phi)
    return p1 - p2 - below, p1 - p2 + above


def _correlation(both: int, k1: int, k2: int, n: int) -> float:
    """Newcombe's phi: (ad - bc) over the root of the margins' product; ad - bc less n / 2, but not below 0, if above 0.

    0 where an outcome never or always happens.
    """
    margins = k1 * (n - k1) * k2 * (n - k2)
    product = float(both * n - k1 * k2)  # = ad - bc
    if product > 0:
        product = max(product - n / 2, 0.0)
    return product / math.sqrt(margins) if margins else 0.0


def _sides(a: float, b: float, phi: float) -> float:
    """The third side of a triangle with sides a and b, phi the cosine between them."""
    return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0))


def _wilson(k: int, n: int, level: float) -> tuple[float, float]:
    interval = binomtest(k, n).proportion_ci(level, method="wilson")
    return interval.low, interval.high


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
