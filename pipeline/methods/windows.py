"""The windows of occlusion: where they lie, and how their drops become a map. Captum's definition."""

from __future__ import annotations

from dataclasses import dataclass

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


def _covered(spans: tuple[tuple[int, int], ...], side: int, device: torch.device) -> Tensor:
    at = torch.arange(side, device=device)
    starts, ends = (torch.tensor(ends, device=device)[:, None] for ends in zip(*spans, strict=True))
    return (at >= starts) & (at < ends)
