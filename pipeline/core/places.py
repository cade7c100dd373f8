"""Places that may be exchanged between pictures: strips, corners, the frame's band, cells of a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipeline.core import boxes as core_boxes

Box = tuple[float, float, float, float]  # xyxy in pixels of the frame, half-open

# The arms of the interventions that exchange places; the kind of the place follows. Every arm has its control: the same
# place from another image of the recipient's own class.
SEARCH, SEARCH_OWN = "search:", "search_own:"
CONFIRM, CONFIRM_OWN = "confirm:", "confirm_own:"
TELLING, TELLING_OWN = "telling:", "telling_own:"  # donors whose surroundings say the class most
MOVING, MOVING_OWN = "moving:", "moving_own:"  # every donor's own place
PROBE = "probe:"  # a place filled, beside the object
CONTROL = {SEARCH: SEARCH_OWN, CONFIRM: CONFIRM_OWN, TELLING: TELLING_OWN, MOVING: MOVING_OWN}

INSIDE, BAND = "in", "band"  # what is exchanged: the place's pixels, or all but them
STRIPS = (0.06, 0.1, 0.15)  # widths, as shares of the frame's shorter side
BANDS = (0.05, 0.1)
CORNERS = ((0.18, 0.18), (0.3, 0.3), (0.4, 0.15))  # width and height
GRID = 3  # cells per side; its corners are among the corners


def stages(arms: Iterable[str]) -> np.ndarray:
    """(n,) the arms without the kinds of their places: `confirm:` of `confirm:band`, `own:` of an arm of others."""
    return np.array([arm.partition(":")[0] + ":" for arm in arms], object)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A part of the frame: `box` itself, or (kind `band`) everything around it."""

    kind: str
    box: Box

    def area(self, frame: tuple[int, int]) -> float:
        """Its share of the frame of (height, width)."""
        x0, y0, x1, y1 = self.box
        share = (x1 - x0) * (y1 - y0) / (frame[0] * frame[1])
        return share if self.kind == INSIDE else 1 - share

    def apart(self, other: Place) -> bool:
        """Whether the two have little in common: less than a third of the smaller one."""
        if BAND in (self.kind, other.kind):
            return False
        a, b = self.box, other.box
        across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        smaller = min((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
        return max(across, 0) * max(down, 0) < smaller / 3


def candidates(frame: tuple[int, int], proposed: Sequence[Box]) -> list[Place]:
    """The fixed places of a frame of (height, width), and those that attribution proposes."""
    height, width = frame
    side = min(frame)
    found: list[Place] = []
    for share in STRIPS:
        by = max(2, round(share * side))
        found += [_in(0, 0, width, by), _in(0, height - by, width, height)]
        found += [_in(0, 0, by, height), _in(width - by, 0, width, height)]
    for across, down in CORNERS:
        w, h = max(2, round(across * side)), max(2, round(down * side))
        found += [_in(x, y, x + w, y + h) for x in (0, width - w) for y in (0, height - h)]
    for row in range(GRID):
        for column in range(GRID):
            if row in (0, GRID - 1) and column in (0, GRID - 1):
                continue
            found.append(
                _in(
                    width * column // GRID,
                    height * row // GRID,
                    width * (column + 1) // GRID,
                    height * (row + 1) // GRID,
                )
            )
    for share in BANDS:
        by = max(2, round(share * side))
        found.append(Place(kind=BAND, box=(by, by, width - by, height - by)))
    return [*found, *(Place(kind=INSIDE, box=box) for box in proposed)]


def _in(x0: float, y0: float, x1: float, y1: float) -> Place:
    return Place(kind=INSIDE, box=(float(x0), float(y0), float(x1), float(y1)))


def covered(place: Place, holes: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """(n,) the share of the place that each of the (n, 4) boxes covers."""
    limits = np.clip(holes, 0, [frame[1], frame[0], frame[1], frame[0]])
    inner = _common(limits, np.asarray(place.box, float))
    area = place.area(frame) * frame[0] * frame[1]
    if place.kind == INSIDE:
        return inner / area
    whole = (limits[:, 2] - limits[:, 0]).clip(min=0) * (limits[:, 3] - limits[:, 1]).clip(min=0)
    return (whole - inner) / area


def _common(boxes: np.ndarray, other: np.ndarray) -> np.ndarray:
    across = np.minimum(boxes[:, 2], other[2]) - np.maximum(boxes[:, 0], other[0])
    down = np.minimum(boxes[:, 3], other[3]) - np.maximum(boxes[:, 1], other[1])
    return np.asarray(across.clip(min=0) * down.clip(min=0))


def pixels(kind: str, places: Tensor, frame: tuple[int, int]) -> Tensor:
    """(B, H, W) bool: the pixels of each (B, 4) place."""
    inside = core_boxes.rasterise(places, frame)
    return inside if kind == INSIDE else ~inside


def in_words(place: Place, frame: tuple[int, int]) -> str:
    """`the bottom edge`, `the top left corner`, `the border`, or the part of the frame that its centre lies in."""
    if place.kind == BAND:
        return "the border"
    height, width = frame
    x0, y0, x1, y1 = place.box
    long_x, long_y = (x1 - x0) > 0.8 * width, (y1 - y0) > 0.8 * height
    if long_x != long_y:
        first = (y0 + y1 < height) if long_x else (x0 + x1 < width)
        return "the " + (("top" if first else "bottom") if long_x else ("left" if first else "right")) + " edge"
    x, y = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height
    down = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    if down and across:
        at_corner = (x0 < 0.05 * width or x1 > 0.95 * width) and (y0 < 0.05 * height or y1 > 0.95 * height)
        return f"the {down} {across}" + (" corner" if at_corner else "")
    return f"the {down or across or 'middle'}" + (" centre" if down else "" if not across else " side")
