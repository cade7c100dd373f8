"""Where the attribution lies in the frame, and how tightly it gathers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.core.maps import ascending, positive, share, speaks, strongest_window, where_defined
from pipeline.types import Maps, Masks, Scores


@dataclass(frozen=True, kw_only=True)
class OtherObjects:
    """Share of the positive part on annotated objects of other classes, apart from the background.

    NaN where no such object is annotated: nothing was there to look at.
    """

    version: ClassVar[int] = 1

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        return {"other_objects_share": share(positive(maps), others)}


def gini(mass: Tensor) -> Scores:
    """Gini index of each map's pixels, (B,): 0 for a uniform map, 1 - 1/N for a single pixel.

    sum_i (2i - N - 1) a_i / (N sum_i a_i) over pixels in ascending order (Hurley and Rickard 2009; the sparseness of
    Chalasani et al. 2020). NaN for a map without mass or with a negative or non-finite pixel.
    """
    values = ascending(mass).double()
    n = values.shape[1]
    weights = 2 * torch.arange(1, n + 1, device=values.device, dtype=torch.float64) - n - 1
    return where_defined((values * weights).sum(dim=1) / (n * values.sum(dim=1)), speaks(mass) & (values[:, 0] >= 0))


@dataclass(frozen=True, kw_only=True)
class Concentration:
    """How few pixels carry the attribution, whatever its sign: Gini index of |a|."""

    version: ClassVar[int] = 1

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        return {"concentration": gini(maps.abs())}


@dataclass(frozen=True, kw_only=True)
class Border:
    """Share of the positive part in the frame's border band and in its four corners, objects included.

    `band` is the band's width and `corner` a corner's side, each as a share of the frame's side along that axis,
    rounded to whole pixels, at least one.
    """

    version: ClassVar[int] = 1
    band: float = 0.1
    corner: float = 0.2

    def __post_init__(self) -> None:
        for name, value in (("band", self.band), ("corner", self.corner)):
            if not 0 < value <= 0.5:
                raise ValueError(f"`{name}` must lie in (0, 0.5], got {value}")

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        mass = positive(maps)
        top, bottom, left, right = _edges(mass, self.band)
        columns = {"border_share": share(mass, top | bottom | left | right)}
        top, bottom, left, right = _edges(mass, self.corner)
        corners = {"tl": top & left, "tr": top & right, "bl": bottom & left, "br": bottom & right}
        return columns | {f"corner_{name}_share": share(mass, mask) for name, mask in corners.items()}


def _edges(maps: Tensor, fraction: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The top, bottom, left and right bands of the frame, each (H, W) bool."""
    height, width = maps.shape[-2:]
    y = torch.arange(height, device=maps.device)[:, None].expand(height, width)
    x = torch.arange(width, device=maps.device).expand(height, width)
    high, wide = max(1, round(fraction * height)), max(1, round(fraction * width))
    return y < high, y >= height - high, x < wide, x >= width - wide


@dataclass(frozen=True, kw_only=True)
class TopWindow:
    """The square window outside the objects that holds most of the positive part: its place, side and share.

    `side` is the window's side as a share of the frame's shorter side, rounded to whole pixels, at least one. The place
    is the window's top left pixel. NaN for a full mask; the place also where nothing lies outside the objects.
    """

    version: ClassVar[int] = 1
    side: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.side <= 1:
            raise ValueError(f"`side` must lie in (0, 1], got {self.side}")

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        size = max(1, round(self.side * min(maps.shape[-2:])))
        x, y, strongest = strongest_window(positive(maps), size, size, exclude=inside)
        return {
            "top_window_x": x,
            "top_window_y": y,
            "top_window_size": torch.full_like(strongest, size),
            "top_window_share": strongest,
        }
