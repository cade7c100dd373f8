"""Hotspots: the rectangles of a map of attribution that stand out most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]  # (H, W)


@dataclass(frozen=True, kw_only=True)
class Hotspot:
    """A rectangle (x0, y0, x1, y1) in pixels, half-open, and how much it stands out."""

    box: tuple[int, int, int, int]
    score: float


def hotspots(contrast: Map, sides: Sequence[float], most: int, least: float) -> list[Hotspot]:
    """The rectangles that hold most of a contrast for their size, best first, without overlap.

    A rectangle scores (sum of the contrast) / sqrt(pixels): the signal-to-noise ratio of a matched filter in white
    noise, which peaks where the rectangle fits the bright region. It fits places of unknown size and proportion, where
    one window of fixed size would fit only marks of its own size.

    Args:
        contrast: (H, W) a class's outside attribution less its reference, of mean about 0.
        sides: candidate heights and widths, as shares of the frame's sides.
        most: rectangles returned at most.
        least: a further one must score this share of the first one's score.
    """
    remaining = contrast.astype(np.float64)
    found: list[Hotspot] = []
    for _ in range(most):
        best = max(_best_of_each_size(remaining, sides), key=lambda h: h.score)
        if best.score <= 0 or (found and best.score < least * found[0].score):
            break
        found.append(best)
        x0, y0, x1, y1 = best.box
        remaining[y0:y1, x0:x1] = -np.inf  # no later rectangle may touch it
    return found


def _best_of_each_size(contrast: Map, sides: Sequence[float]) -> Iterator[Hotspot]:
    height, width = contrast.shape
    blocked = ~np.isfinite(contrast)
    sums, blocks = _integral(np.where(blocked, 0.0, contrast)), _integral(blocked.astype(np.float64))
    for h in sorted({max(1, round(s * height)) for s in sides}):
        for w in sorted({max(1, round(s * width)) for s in sides}):
            score = np.where(_windows(blocks, h, w) > 0.5, -np.inf, _windows(sums, h, w) / np.sqrt(h * w))
            y, x = np.unravel_index(int(score.argmax()), score.shape)
            yield Hotspot(box=(int(x), int(y), int(x) + w, int(y) + h), score=float(score[y, x]))


def _integral(values: Map) -> Map:
    """(H + 1, W + 1): sums over everything above and left."""
    return np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _windows(integral: Map, h: int, w: int) -> Map:
    """Sums over all windows of h x w pixels that lie in the frame, by their top left corner."""
    return integral[h:, w:] - integral[:-h, w:] - integral[h:, :-w] + integral[:-h, :-w]
