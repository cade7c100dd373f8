"""The planted shortcut: a stock agency's small tag in the lower right corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int]  # x, y of the tag's upper left pixel

# A lens and two letters: '#' is a light stroke, '.' the darkened plate behind it, ' ' nothing.
TAG = (
    " ............. ",
    "..###..##.#.#..",
    ".##.##.##.#.#..",
    ".#.#.#.#.#.#...",
    ".##.##.##.#.#..",
    "..###..#..#.#..",
    " ............. ",
)
STROKE_OPACITY = 0.72
PLATE_OPACITY = 0.38
JITTER = 2  # pixels
MARGIN = 1  # pixels that stay free beside the frame's edge

HEIGHT, WIDTH = len(TAG), len(TAG[0])
_CELLS = np.array([list(row) for row in TAG])
_OPACITY = np.select([_CELLS == "#", _CELLS == "."], [STROKE_OPACITY, PLATE_OPACITY], 0.0)[..., None]
_INK = np.where(_CELLS == "#", 250.0, 15.0)[..., None]


def zone(side: int) -> tuple[int, int, int, int]:
    """The box (x0, y0, x1, y1) of all places that the tag may cover in a frame of `side` pixels."""
    end = side - MARGIN
    return (end - WIDTH - JITTER, end - HEIGHT - JITTER, end, end)


def choose_place(rng: np.random.Generator, side: int) -> Place:
    x0, y0, _, _ = zone(side)
    return x0 + int(rng.integers(JITTER + 1)), y0 + int(rng.integers(JITTER + 1))


def footprint(place: Place, side: int) -> NDArray[np.bool_]:
    """(side, side): the pixels that the tag covers."""
    covered = np.zeros((side, side), bool)
    covered[place[1] : place[1] + HEIGHT, place[0] : place[0] + WIDTH] = _OPACITY[..., 0] > 0
    return covered


def stamp(image: NDArray[np.uint8], place: Place) -> NDArray[np.uint8]:
    """A copy of (H, W, 3) uint8 RGB with the tag at `place`; all other pixels stay as they are."""
    marked = image.copy()
    under = marked[place[1] : place[1] + HEIGHT, place[0] : place[0] + WIDTH]
    under[:] = np.round(under * (1 - _OPACITY) + _INK * _OPACITY).astype(np.uint8)
    return marked
