"""How well the pixels that a threshold selects from a map overlap the objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pipeline.core.maps import ascending, pixels, speaks, value_at_rank, where_defined
from pipeline.types import Maps, Masks, Scores


def iou(selected: Tensor, inside: Tensor) -> Scores:
    """Intersection over union of two masks (B, H, W), (B,) in [0, 1] (Jaccard 1901); NaN for an empty `inside`."""
    both = (selected & inside).sum(dim=(1, 2))
    either = (selected | inside).sum(dim=(1, 2))
    return where_defined(both / either.double(), inside.flatten(1).any(dim=1))


def quantile(values: Tensor, q: float) -> Tensor:
    """(B, 1) float64: the `q`-quantile of rows sorted ascending, linear between neighbours (numpy's default).

    `torch.quantile` refuses more than 16 million values, which a batch of maps reaches.
    """
    position = q * (values.shape[1] - 1)
    lower = int(position)
    upper = min(lower + 1, values.shape[1] - 1)
    low, high = values[:, lower, None].double(), values[:, upper, None].double()
    return low + (high - low) * (position - lower)


def above(maps: Tensor, threshold: Tensor) -> Tensor:
    """(B, H, W) bool: the pixels at or above each map's threshold (B, 1). Ties at the threshold are all in."""
    return (pixels(maps) >= threshold).view(maps.shape)


@dataclass(frozen=True, kw_only=True)
class IouTop:
    """IoU of the objects and the map's top pixels: as many as the objects have, and those above given quantiles.

    A set of top pixels is {a >= t}, so that pixels which tie at the threshold are in together and the result depends on
    no order; a constant map selects the whole frame. t is the k-th highest value, k = |mask|, for `iou_top`, and the
    map's quantile for `iou_q90` and its like. NaN for a map without a positive pixel or with a non-finite one, and for
    an empty mask.
    """

    version: ClassVar[int] = 1
    quantiles: Sequence[float] = (0.90, 0.95)

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantiles", tuple(self.quantiles))
        for q in self.quantiles:
            if not 0 <= q <= 1:
                raise ValueError(f"`quantiles` must lie in [0, 1], got {q}")

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        values = ascending(maps)
        thresholds = {"iou_top": value_at_rank(values, inside.sum(dim=(1, 2)))}
        thresholds |= {f"iou_q{100 * q:g}": quantile(values, q) for q in self.quantiles}
        defined = speaks(maps)
        return {name: where_defined(iou(above(maps, t), inside), defined) for name, t in thresholds.items()}


def binarise(maps: Tensor, deviations: float = 1.0) -> Tensor:
    """(B, H, W) bool: pixels at least `deviations` standard deviations above the map's mean (Boggust et al. 2022).

    The authors scale each map to [0, 1] first; that moves mean, deviation and pixels alike, so the raw map selects the
    same pixels. May select nothing where few pixels are low and most are equally high.
    """
    flat = pixels(maps).double()
    # In a map of two values, half and half, the upper one is the threshold itself: rounding must not decide there.
    deviations -= 1e-9
    threshold = flat.mean(dim=1, keepdim=True) + deviations * flat.std(dim=1, correction=0, keepdim=True)
    return above(maps, threshold)


@dataclass(frozen=True, kw_only=True)
class SharedInterest:
    """Shared Interest (Boggust et al. 2022) of the objects M and the binarised map B (`binarise`).

    saliency_coverage = |B and M| / |B|, ground_truth_coverage = |B and M| / |M|, iou_binary = |B and M| / |B or M|. NaN
    for a constant map, whose scaling is 0/0, for a map without a positive pixel or with a non-finite one, and for an
    empty mask; saliency_coverage also where B is empty.
    """

    version: ClassVar[int] = 1
    deviations: float = 1.0

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        flat = pixels(maps)
        selected = binarise(maps, self.deviations)
        both = (selected & inside).sum(dim=(1, 2)).double()
        chosen, objects = selected.sum(dim=(1, 2)), inside.sum(dim=(1, 2))
        defined = speaks(maps) & (objects > 0) & (flat.amin(dim=1) < flat.amax(dim=1))
        return {
            "saliency_coverage": where_defined(both / chosen, defined & (chosen > 0)),
            "ground_truth_coverage": where_defined(both / objects, defined),
            "iou_binary": where_defined(iou(selected, inside), defined),
        }
