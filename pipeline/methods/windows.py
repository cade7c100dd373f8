"""The windows of occlusion: where they lie, and how their drops become a map. Captum's definition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.types import Images, Maps


@dataclass(frozen=True, kw_only=True)
class Windows:
    """A grid of windows over a frame: every pair of a row span and a column span, rows first.

    The last span of a side may be cut off by the edge; it counts like a whole one.
    """

    frame: tuple[int, int]  # (height, width)
    rows: tuple[tuple[int, int], ...]  # (start, end) in pixels
    columns: tuple[tuple[int, int], ...]

    @staticmethod
    def of(frame: tuple[int, int], window: int, stride: int) -> Windows:
        """As captum.attr.Occlusion lays them: starts at multiples of the stride until the far edge is covered."""
        spans = []
        for side in frame:
            count = 1 + -(-(side - window) // stride)
            spans.append(tuple((i * stride, min(i * stride + window, side)) for i in range(count)))
        return Windows(frame=frame, rows=spans[0], columns=spans[1])

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def lanes(self, most: int) -> list[tuple[Windows, Tensor]]:
        """The grid split by how near a window is to the frame's edges, which cut off what it can reach.

        Args:
            most: parts per side, so that there are at most its square.

        Returns:
            Each part, a grid itself, with the (m,) int64 numbers of its windows in the whole grid.
        """
        rows, columns = (
            _by_nearness(spans, side, most) for spans, side in zip((self.rows, self.columns), self.frame, strict=True)
        )
        found = []
        for down in rows:
            for across in columns:
                part = replace(
                    self, rows=tuple(self.rows[i] for i in down), columns=tuple(self.columns[i] for i in across)
                )
                numbers = torch.tensor(down)[:, None] * len(self.columns) + torch.tensor(across)
                found.append((part, numbers.flatten()))
        return found

    def box(self, number: int) -> tuple[int, int, int, int]:
        """y0, y1, x0, x1 of a window."""
        row, column = divmod(number, len(self.columns))
        return *self.rows[row], *self.columns[column]

    def masks(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """(n, H) and (n, W) bool: the rows and the columns that each window covers."""
        down, across = (
            _covered(spans, side, device) for spans, side in zip((self.rows, self.columns), self.frame, strict=True)
        )
        return down.repeat_interleave(len(self.columns), dim=0), across.repeat(len(self.rows), 1)

    def changing(self, images: Images, baseline: float) -> Tensor:
        """(B, n) bool: which windows change anything; where all pixels equal the baseline, nothing can drop."""
        differs = (images != baseline).any(dim=1).double()
        down, across = (
            _covered(spans, side, images.device).double()
            for spans, side in zip((self.rows, self.columns), self.frame, strict=True)
        )
        return (torch.einsum("rh,bhw,cw->brc", down, differs, across) > 0).flatten(1)

    def mean_over(self, drops: Tensor) -> Maps:
        """(B, n) -> (B, H, W): each pixel gets the mean drop of the windows that cover it."""
        down, across = (
            _covered(spans, side, drops.device).double()
            for spans, side in zip((self.rows, self.columns), self.frame, strict=True)
        )
        grid = drops.double().view(-1, len(self.rows), len(self.columns))
        summed = torch.einsum("rh,brc,cw->bhw", down, grid, across)
        return (summed / (down.sum(dim=0)[:, None] * across.sum(dim=0))).to(drops.dtype)


def _by_nearness(spans: tuple[tuple[int, int], ...], side: int, most: int) -> list[list[int]]:
    """Numbers of the spans, parted by the distance to the nearer edge into parts of about as many distances."""
    distances = [min(start, side - end) for start, end in spans]
    levels = sorted(set(distances))
    parts = min(most, len(levels))
    bounds = [len(levels) * i // parts for i in range(parts + 1)]
    groups = [set(levels[a:b]) for a, b in pairwise(bounds)]
    return [[i for i, d in enumerate(distances) if d in group] for group in groups]


def _covered(spans: tuple[tuple[int, int], ...], side: int, device: torch.device) -> Tensor:
    at = torch.arange(side, device=device)
    starts, ends = (torch.tensor(ends, device=device)[:, None] for ends in zip(*spans, strict=True))
    return (at >= starts) & (at < ends)
