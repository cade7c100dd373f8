"""Patches of feature maps: what a hidden window changes, cut from and laid over the maps of the unhidden image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from pipeline.methods.geometry import Cut, Rect, cut

View = tuple[
    tuple[tuple[int, ...], int], tuple[tuple[int, ...], int]
]  # starts per row span and length, the same across
ZEROS, MINUS_INFINITY = 0, 1  # what lies outside a map


class UnsuitedError(Exception):
    """The network cannot be followed; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """What a hidden window changes in one value, where `rect` lies; the stored map is what it was elsewhere.

    `values` are (k, C, h, w); (k, h, w, C) where `channels_last`; (k, g, C / g, h, w) within a channel shuffle.
    """

    values: Tensor
    rect: Rect
    source: fx.Node  # whose stored map surrounds it
    channels_last: bool = False

    def then(self, values: Tensor, source: fx.Node) -> Patch:
        """Other values in the same place."""
        return replace(self, values=values, source=source)


@dataclass(kw_only=True)
class Stored:
    """One batch's values without hidden windows."""

    maps: dict[fx.Node, Any] = field(default_factory=dict)
    rows: dict[tuple[fx.Node, bool], Tensor] = field(default_factory=dict)

    def map(self, node: fx.Node) -> Tensor:
        """(B, C, H, W), or what the node gives."""
        found = self.maps[node]
        assert isinstance(found, Tensor)
        return found

    def pixels(self, node: fx.Node, *, edged: bool) -> Tensor:
        """(B * H * W, C): the map's pixels; edged, which takes a copy, then a row of zeros and one of -inf."""
        if (node, edged) not in self.rows:
            pixels = flattened(self.map(node))
            edge = [torch.zeros_like(pixels[:1]), torch.full_like(pixels[:1], -torch.inf)]
            self.rows[node, edged] = torch.cat([pixels, *edge]) if edged else pixels
        return self.rows[node, edged]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Windows that go through the network together: (k,) rows of the stored batch and numbers of windows."""

    stored: Stored
    images: Tensor
    windows: Tensor
    cuts: dict[tuple[fx.Node, str], Cut]  # the same for every image: made once

    def region(
        self, node: fx.Node, rect: Rect, patch: Patch | None, view: View | None = None, *, label: str, beyond: int = 0
    ) -> Tensor:
        """(k, C, l, m) of a stored map where `view` (by default `rect`) lies, with the patch laid over it.

        Args:
            rect: where the patch lies.
            label: tells the cuts of one node apart.
            beyond: what lies outside the map, ZEROS or MINUS_INFINITY.
        """
        rows, columns = view or of(rect)
        where = self._cut(node, label, lambda: cut(rect, rows, columns, self.images.device))
        source, size = self.stored.pixels(node, edged=not where.inside), rect.rows.side * rect.columns.side
        found = where.source[self.windows]
        index = found + self.images[:, None] * size
        index = (index if where.inside else torch.where(found < 0, len(source) - 2 + beyond, index)).flatten()
        laid = source.index_select(0, index) if patch is None else self._overlaid(source, index, where, patch)
        return laid.view(len(self.images), *where.shape, -1).permute(0, 3, 1, 2)

    def _overlaid(self, source: Tensor, index: Tensor, where: Cut, patch: Patch) -> Tensor:
        """What falls outside the region is written to one row more."""
        buffer = source.new_empty((len(index) + 1, source.shape[1]))
        torch.index_select(source, 0, index, out=buffer[:-1])
        size = where.shape[0] * where.shape[1]
        at = where.overlay[self.windows]
        offset = torch.arange(len(at), device=at.device)[:, None] * size
        buffer.index_copy_(0, torch.where(at == size, len(index), at + offset).flatten(), flattened(patch.values))
        return buffer[:-1]

    def widened(self, patch: Patch, rect: Rect, label: str) -> Tensor:
        """The patch's values on a larger rectangle."""
        if patch.rect == rect:
            return patch.values
        return self.region(patch.source, patch.rect, patch, of(rect), label=label)

    def joined(self, node: fx.Node, rect: Rect, parts: Sequence[Patch | Tensor]) -> Tensor:
        """(k, C, h, w) a concatenation's stored map where `rect` lies, with each part over its own channels.

        One gathering of all channels: where many maps are joined again and again, one for each would cost most.

        Args:
            rect: around every patch; the whole map if some parts are whole.
        """
        values = self.region(node, rect, None, label="joined")
        pixels, size, first = flattened(values), rect.rows.length * rect.columns.length, 0
        for i, part in enumerate(parts):
            mine = pixels[:, first : first + (part if isinstance(part, Tensor) else part.values).shape[1]]
            if isinstance(part, Patch):
                at = self._cut(node, f"joined:{i}", partial(cut, part.rect, *of(rect), self.images.device)).overlay
                offset = torch.arange(len(self.windows), device=pixels.device)[:, None] * size
                mine.index_copy_(0, (at[self.windows] + offset).flatten(), flattened(part.values))
            else:
                mine.copy_(flattened(part))
            first += mine.shape[1]
        return values

    def full(self, value: Any) -> Any:
        """A patch as whole maps, (k, C, H, W); other values as they are."""
        if not isinstance(value, Patch):
            return value
        if value.values.dim() != 4:
            raise UnsuitedError(f"{value.source.name} is needed in full amid a reordering of channels")
        base, values, rect = self.stored.map(value.source), value.values, value.rect
        if value.channels_last:
            base, values = base.permute(0, 3, 1, 2), values.permute(0, 3, 1, 2)
        height, width = rect.rows.side, rect.columns.side
        where = self._cut(value.source, "whole", lambda: cut(rect, *of(rect.whole), self.images.device))
        whole = base.index_select(0, self.images).contiguous(memory_format=torch.channels_last)
        pixels = flattened(whole)
        offset = torch.arange(len(whole), device=pixels.device)[:, None] * height * width
        pixels.index_copy_(0, (where.overlay[self.windows] + offset).flatten(), flattened(values))
        maps = pixels.view(len(whole), height, width, -1)
        return maps if value.channels_last else maps.permute(0, 3, 1, 2)

    def _cut(self, node: fx.Node, label: str, make: Callable[[], Cut]) -> Cut:
        if (node, label) not in self.cuts:
            self.cuts[node, label] = make()
        return self.cuts[node, label]


def of(rect: Rect) -> View:
    """A rectangle as the view of itself."""
    return (rect.rows.starts, rect.rows.length), (rect.columns.starts, rect.columns.length)


def flattened(values: Tensor) -> Tensor:
    """(k, C, h, w) -> (k * h * w, C)."""
    return values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])
