"""Who gives to whom: donors of every class, and recipients of other classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

Sizes = np.ndarray  # (n, 2) log width and height of each image's largest box
CANDIDATES = 8  # random recipients of which the one closest in size and shape is taken


def pairs(
    images: pd.DataFrame,
    recipients_per_donor: int,
    max_donors: int,
    rng: np.random.Generator,
    *,
    giving: np.ndarray | None = None,
) -> list[tuple[int, int, bool]]:
    """(recipient, donor, whether they share their class): every donor gives to others, then to one of its own class.

    Recipients are images that the model names right: an object that it gets wrong at home tells nothing about what a
    change does to it. Their classes come in balanced random order.

    Args:
        giving: (n,) bool, the images that may be donors; None for all.
    """
    sides = np.array([_sides(boxes) for boxes in images["boxes"]])
    labels, right = images["class"].to_numpy(), images["correct"].to_numpy(bool)
    members = {c: np.flatnonzero(labels == c) for c in pd.unique(labels)}
    eligible = {c: rows[right[rows]] if right[rows].any() else rows for c, rows in members.items()}
    found = []
    for own, rows in members.items():
        for donor in rng.permutation(rows if giving is None else rows[giving[rows]])[:max_donors]:
            for c in _classes_for(own, list(members), recipients_per_donor, rng):
                pool = eligible[c][eligible[c] != donor]
                if len(pool):
                    found.append((_closest(pool, sides, donor, rng), int(donor), c == own))
    return found


def _classes_for(own: str, classes: list[str], count: int, rng: np.random.Generator) -> Iterator[str]:
    """The classes that one donor's recipients come from: others in balanced random order, then its own."""
    others = [c for c in classes if c != own]
    order: list[str] = []
    while others and len(order) < count:
        order.extend(rng.permutation(others))
    yield from order[:count]
    yield own


def _sides(boxes: list[tuple[float, float, float, float]]) -> tuple[float, float]:
    """The logarithms of the largest box's width and height, in pixels."""
    x0, y0, x1, y1 = max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
    return float(np.log(max(x1 - x0, 1e-3))), float(np.log(max(y1 - y0, 1e-3)))


def _closest(pool: np.ndarray, sides: Sizes, donor: int, rng: np.random.Generator) -> int:
    """Of a few random recipients, the one whose box is closest in size and shape: less is distorted."""
    drawn = rng.choice(pool, size=min(CANDIDATES, len(pool)), replace=False)
    return int(drawn[np.argmin(np.abs(sides[drawn] - sides[donor]).sum(axis=1))])
