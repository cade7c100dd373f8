"""Where a changed window reaches: dirty rectangles through a network's layers, and the indices that cut them out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One side of every window's dirty rectangle: where it starts, and a length that is the same for all."""

    starts: tuple[int, ...]
    length: int
    side: int  # of the whole map

    @staticmethod
    def around(spans: list[tuple[int, int]], side: int) -> Axis:
        """The axis that covers every span (first, last), both inclusive, within the map.

        Too large is exact, too: what is computed again without need comes out as it was.
        """
        kept = [(min(max(first, 0), side - 1), min(max(last, 0), side - 1)) for first, last in spans]
        length = max(max(last - first + 1, 1) for first, last in kept)
        return Axis(starts=tuple(min(first, side - length) for first, _ in kept), length=length, side=side)

    def through(self, kernel: int, stride: int, padding: int, dilation: int, side: int) -> Axis:
        """What a sliding kernel makes of it: outputs whose field of view meets the rectangle."""
        reach = dilation * (kernel - 1)
        spans = [(-((reach - y - padding) // stride), (y + self.length - 1 + padding) // stride) for y in self.starts]
        return Axis.around(spans, side)

    def view(self, kernel: int, stride: int, padding: int, dilation: int) -> tuple[tuple[int, ...], int]:
        """Starts (may be negative) and length of the input that this output's rectangle is computed from."""
        starts = tuple(y * stride - padding for y in self.starts)
        return starts, (self.length - 1) * stride + dilation * (kernel - 1) + 1

    @property
    def whole(self) -> Axis:
        return Axis(starts=(0,) * len(self.starts), length=self.side, side=self.side)

    def union(self, other: Axis) -> Axis:
        pairs = zip(self.starts, other.starts, strict=True)
        return Axis.around([(min(a, b), max(a + self.length, b + other.length) - 1) for a, b in pairs], self.side)


@dataclass(frozen=True, kw_only=True)
class Rect:
    """The dirty rectangles of a grid of windows in one feature map; rows and columns vary independently."""

    rows: Axis
    columns: Axis

    @property
    def share(self) -> float:
        """Of the map."""
        return self.rows.length * self.columns.length / (self.rows.side * self.columns.side)

    @property
    def whole(self) -> Rect:
        """The whole map, for as many windows."""
        return Rect(rows=self.rows.whole, columns=self.columns.whole)

    def union(self, other: Rect) -> Rect:
        return Rect(rows=self.rows.union(other.rows), columns=self.columns.union(other.columns))


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How to cut a region out of a stored map and lay a patch over it, for every window."""

    shape: tuple[int, int]  # of the region
    source: Tensor  # (n, l * m) int64 positions in the map, -1 outside it
    overlay: Tensor  # (n, h * w) int64 positions in the region for the patch's pixels, l * m where they fall outside
    inside: bool  # whether no region leaves the map


def cut(
    rect: Rect, rows: tuple[tuple[int, ...], int], columns: tuple[tuple[int, ...], int], device: torch.device
) -> Cut:
    """The cut of regions with these starts and lengths, the patch being `rect`."""
    down, over_down = _along(rect.rows, *rows)
    across, over_across = _along(rect.columns, *columns)
    height, width = rows[1], columns[1]
    source = down[:, None, :, None] * rect.columns.side + across[None, :, None, :]
    source = source.masked_fill((down < 0)[:, None, :, None] | (across < 0)[None, :, None, :], -1)
    overlay = over_down[:, None, :, None] * width + over_across[None, :, None, :]
    beyond = (over_down < 0)[:, None, :, None] | (over_across < 0)[None, :, None, :]
    overlay = overlay.masked_fill(beyond, height * width)
    count = len(rect.rows.starts) * len(rect.columns.starts)
    return Cut(
        shape=(height, width),
        source=source.reshape(count, -1).to(device),
        overlay=overlay.reshape(count, -1).to(device),
        inside=bool((source >= 0).all()),
    )


def _along(axis: Axis, starts: tuple[int, ...], length: int) -> tuple[Tensor, Tensor]:
    """(n, length) positions in the map and (n, patch) positions in the region; -1 where there is none."""
    at = torch.tensor(starts)[:, None] + torch.arange(length)
    patch = torch.tensor(axis.starts)[:, None] + torch.arange(axis.length) - torch.tensor(starts)[:, None]
    return at.masked_fill((at < 0) | (at >= axis.side), -1), patch.masked_fill((patch < 0) | (patch >= length), -1)
