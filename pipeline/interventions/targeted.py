"""Targeted exchange: the place that attribution points to is moved between classes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.pixels import paste
from pipeline.interventions.regions import check_margin
from pipeline.types import Batch, Box, Images

COLUMNS = ["recipient", "donor", "arm", "tested", "place", "spot"]
TRIES = 20  # random places that a control patch may be put before it is given up


@dataclass(frozen=True, kw_only=True)
class TargetedExchange:
    """Hotspots found on one half of a class's images are exchanged on the other half.

    For class k and each of its hotspots, on images of the half that did not propose it:
    - `in`: the pixels of a k image go to the same place of another class's image; `in_neutral`: those of an image that
      belongs to neither class; `elsewhere`: as many pixels of the k image at another place.
    - `out`: a k image is given a neutral image's pixels there; `out_own`: those of another k image.
    - `peak`, `peak_neutral`: for marks that move about, each donor's own strongest place instead of the class's.
    No donor gives pixels of its own object, and no recipient loses more than a quarter of the place to its object. Of
    the donors, k's and neutral ones alike, the quarter gives that has most attribution there: a mark that only some of
    the images carry is not diluted by the others.
    """

    margin_fraction: float
    margin_px: float
    max_trials: int  # per class, half, hotspot and arm
    max_hotspots: int
    peaks: bool
    feather: float
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_margin(self.margin_fraction, self.margin_px)
        if self.max_trials < 1 or self.max_hotspots < 0:
            raise ValueError(
                f"`max_trials` must be 1 or more and `max_hotspots` 0 or more, "
                f"got {self.max_trials} and {self.max_hotspots}"
            )

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        if "hotspots" not in images or images.empty:
            return pd.DataFrame([], columns=COLUMNS)
        table = _Table.of(images, self.margin_fraction, self.margin_px)
        trials = [
            trial
            for k in table.classes
            for half in (0, 1)
            for trial in self._trials(table, k, np.flatnonzero(table.half == half), rng)
        ]
        return pd.DataFrame(trials, columns=COLUMNS)

    def _trials(self, table: _Table, k: str, rows: np.ndarray, rng: np.random.Generator) -> Iterator[tuple]:
        mine = rows[table.label[rows] == k]
        if not len(mine):
            return
        for spot, place in enumerate(table.hotspots[mine[0]][: self.max_hotspots]):
            yield from self._into(table, k, rows, mine, place, spot, rng)
            yield from self._out_of(table, k, rows, mine, place, spot, rng)
        if self.peaks:
            yield from self._peaks(table, k, rows, mine, rng)

    def _into(
        self,
        table: _Table,
        k: str,
        rows: np.ndarray,
        mine: np.ndarray,
        place: Box,
        spot: int,
        rng: np.random.Generator,
    ) -> Iterator[tuple]:
        """Sufficiency: does the place make other images k?"""
        giving = table.keenest(mine[table.free(mine, place)], place)
        away = rows[table.label[rows] != k]
        neutral = table.keenest(away[table.free(away, place)], place)
        others = rows[(table.label[rows] != k) & table.right[rows]]
        taking = rng.permutation(others[table.covered(others, place) <= 0.25])[: self.max_trials]
        for recipient, donor in zip(taking, _dealt(giving, len(taking), rng), strict=False):
            yield recipient, donor, "in", k, place, spot
            other_donor = table.neutral(neutral, recipient, rng)
            if other_donor is not None:
                yield recipient, other_donor, "in_neutral", k, place, spot
            other_place = table.elsewhere(donor, recipient, place, rng)
            if other_place is not None:
                yield recipient, donor, "elsewhere", k, other_place, spot

    def _out_of(
        self,
        table: _Table,
        k: str,
        rows: np.ndarray,
        mine: np.ndarray,
        place: Box,
        spot: int,
        rng: np.random.Generator,
    ) -> Iterator[tuple]:
        """Necessity: does k lose its name without the place?"""
        taking = mine[table.right[mine]]
        taking = rng.permutation(taking[table.covered(taking, place) <= 0.25])[: self.max_trials]
        neutral = rows[table.label[rows] != k]
        neutral = neutral[table.free(neutral, place)]
        own = mine[table.free(mine, place)]
        for recipient, donor in zip(taking, _dealt(neutral, len(taking), rng), strict=False):
            yield recipient, donor, "out", k, place, spot
        for recipient, donor in zip(taking, _dealt(own, len(taking), rng), strict=False):
            if recipient != donor:
                yield recipient, donor, "out_own", k, place, spot

    def _peaks(
        self, table: _Table, k: str, rows: np.ndarray, mine: np.ndarray, rng: np.random.Generator
    ) -> Iterator[tuple]:
        """The donor's own strongest place outside its object, for marks that move about."""
        others = rows[(table.label[rows] != k) & table.right[rows]]
        known = np.array([p is not None for p in table.peak])
        away = rows[(table.label[rows] != k) & known[rows]]
        givers = {"peak": table.keenest(mine[known[mine]]), "peak_neutral": table.keenest(away)}
        for arm, giving in givers.items():
            taking = rng.permutation(others)[: self.max_trials]
            for recipient, donor in zip(taking, _dealt(giving, len(taking), rng), strict=False):
                place = table.peak[donor]
                clash = table.label[donor] == table.label[recipient] and len(table.classes) > 2
                if donor == recipient or (arm == "peak_neutral" and clash):
                    continue
                if table.covered(np.array([recipient]), place)[0] <= 0.25:
                    yield recipient, donor, arm, k, place, -1

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if donors is None or recipients.places is None:
            raise ValueError("`donors` and `places` are needed for an exchange, got None")
        return paste(donors.images, recipients.places, recipients.images, recipients.places, self.feather)


class _Table:
    """The planner's view of `images`: arrays, and who is free where."""

    def __init__(self, images: pd.DataFrame, holes: np.ndarray) -> None:
        self.label = images["class"].to_numpy(object)
        self.classes = list(pd.unique(self.label))
        self.right = images["correct"].to_numpy(bool)
        self.half = images["half"].to_numpy(int)
        self.hotspots: list[list[Box]] = images["hotspots"].tolist()
        self.peak: list[Box | None] = images["peak"].tolist()
        self.small: list[np.ndarray] = images["small_map"].tolist()  # (g, g) attribution outside the objects
        self.frame: tuple[int, int] = images["frame"].iloc[0]  # (height, width)
        self.holes = holes  # (n, 4) the square around everything that counts as object

    @staticmethod
    def of(images: pd.DataFrame, margin_fraction: float, margin_px: float) -> _Table:
        """Several objects count as the box around them all: no donor may give a part of any."""
        boxes = np.array([_around(b) for b in images["boxes"]], float).reshape(-1, 4)
        sides = boxes[:, 2:] - boxes[:, :2]
        margin = np.maximum(sides * margin_fraction, margin_px)
        return _Table(images, np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1))

    def covered(self, rows: np.ndarray, place: Box) -> np.ndarray:
        """(n,) the share of the place that the rows' objects cover."""
        h, p = self.holes[rows], np.asarray(place, float)
        across = np.minimum(h[:, 2], p[2]) - np.maximum(h[:, 0], p[0])
        down = np.minimum(h[:, 3], p[3]) - np.maximum(h[:, 1], p[1])
        area = (p[2] - p[0]) * (p[3] - p[1])
        return np.asarray(across.clip(min=0) * down.clip(min=0) / area)

    def free(self, rows: np.ndarray, place: Box) -> np.ndarray:
        return self.covered(rows, place) <= 0.02

    def keenest(self, rows: np.ndarray, place: Box | None = None) -> np.ndarray:
        """The quarter of the rows (at least eight) with most attribution at the place, or at their own peaks."""
        shares = [self._share(r, place or self.peak[r]) for r in rows]
        return rows[np.argsort(shares, kind="stable")[::-1][: max(8, len(rows) // 4)]]

    def _share(self, row: int, place: Box | None) -> float:
        """The share of an image's attribution that its small map has at a place."""
        if place is None:
            return 0.0
        cells = self.small[row].astype(np.float64)
        across = _overlaps(place[0], place[2], self.frame[1], cells.shape[1])
        down = _overlaps(place[1], place[3], self.frame[0], cells.shape[0])
        return float(down @ cells @ across)

    def neutral(self, givers: np.ndarray, recipient: int, rng: np.random.Generator) -> int | None:
        """A random one of the donors that does not share the recipient's class (with two classes: that is not it)."""
        away = givers != recipient
        if len(self.classes) > 2:
            away &= self.label[givers] != self.label[recipient]
        return int(rng.choice(givers[away])) if away.any() else None

    def elsewhere(self, donor: int, recipient: int, place: Box, rng: np.random.Generator) -> Box | None:
        """A place of the same size apart from the first one, as far from both objects as that had to be."""
        x0, y0, x1, y1 = place
        width, height = int(x1 - x0), int(y1 - y0)
        for _ in range(TRIES):
            x, y = rng.integers(0, self.frame[1] - width + 1), rng.integers(0, self.frame[0] - height + 1)
            apart = x + width <= x0 or x >= x1 or y + height <= y0 or y >= y1
            other = (float(x), float(y), float(x + width), float(y + height))
            spared = self.free(np.array([donor]), other)[0] and self.covered(np.array([recipient]), other)[0] <= 0.25
            if apart and spared:
                return other
        return None


def _overlaps(start: float, end: float, side: int, cells: int) -> np.ndarray:
    """(cells,) the share of each cell along one axis of `side` pixels that lies between start and end."""
    edges = np.linspace(0, side, cells + 1)
    return np.asarray((np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1])).clip(min=0) / (side / cells))


def _around(boxes: list[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _dealt(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the rows, each about equally often, in random order; none where there are none."""
    if not len(rows) or not count:
        return rows[:0]
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count]
