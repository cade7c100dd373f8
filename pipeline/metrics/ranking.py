"""How well the order of a map's pixels tells the objects from the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.core.maps import ascending, ascending_places, pixels, speaks, value_at_rank, where_defined
from pipeline.types import Maps, Masks, Scores


def rank_accuracy(maps: Tensor, inside: Tensor) -> Scores:
    """Expected share of the k highest pixels that lie in the mask, k = |mask|, (B,) in [0, 1].

    Relevance rank accuracy (Arras et al. 2022). Pixels that tie at the k-th value take the remaining places in random
    order, and this is the exact expectation over it: (hits above + places left * share of the mask among the ties) / k.
    Chance is the area fraction. NaN for a map without a positive pixel or with a non-finite one, and an empty mask.
    """
    flat, objects = pixels(maps), inside.flatten(1)
    k = objects.sum(dim=1)
    threshold = value_at_rank(ascending(maps), k)
    above, tied = flat > threshold, flat == threshold
    places = (k - above.sum(dim=1)).double()
    hits = (above & objects).sum(dim=1) + places * (tied & objects).sum(dim=1) / tied.sum(dim=1)
    return where_defined(hits / k, speaks(maps) & (k > 0))


def auroc(maps: Tensor, inside: Tensor) -> Scores:
    """Area under the ROC curve of the map as a score for the mask, (B,); ties count half.

    From pairs (Mann and Whitney 1947; Somers' D): 1/2 + (pairs in order - pairs out of order) / (2 * all pairs), all
    counts exact integers. NaN as `rank_accuracy`, and for a full mask.
    """
    return _auroc_and_precision(maps, inside)[0]


def average_precision(maps: Tensor, inside: Tensor) -> Scores:
    """Mean over object pixels of the precision among all pixels at least as high, (B,); chance is the area fraction.

    The step-wise sum over distinct thresholds (Manning et al. 2008, section 8.4), no interpolation; tied pixels enter
    together. NaN as `rank_accuracy`.
    """
    return _auroc_and_precision(maps, inside)[1]


def _auroc_and_precision(maps: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    places = ascending_places(maps)
    values, object_here = pixels(maps).gather(1, places), inside.flatten(1).gather(1, places)
    n = values.shape[1]
    index = torch.arange(n, device=values.device).expand_as(values)
    starts = torch.ones_like(object_here)
    starts[:, 1:] = values[:, 1:] != values[:, :-1]
    below = torch.where(starts, index, 0).cummax(dim=1).values  # per pixel, how many are strictly lower
    lower_objects = (object_here.cumsum(dim=1) - object_here.long()).gather(1, below)

    objects = object_here.sum(dim=1)
    in_order = torch.where(object_here, below - lower_objects, 0).sum(dim=1)
    out_of_order = torch.where(object_here, 0, lower_objects).sum(dim=1)
    pairs = objects * (n - objects)
    area = 0.5 + (in_order - out_of_order) / (2 * pairs).double()
    precision = (objects[:, None] - lower_objects) / (n - below).double()
    mean_precision = (precision * object_here).sum(dim=1) / objects
    defined = speaks(maps) & (objects > 0)
    return where_defined(area, defined & (objects < n)), where_defined(mean_precision, defined)


@dataclass(frozen=True, kw_only=True)
class RankAccuracy:
    """Expected share of the |mask| highest pixels that lie on the objects."""

    version: ClassVar[int] = 1

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        return {"rank_accuracy": rank_accuracy(maps, inside)}


@dataclass(frozen=True, kw_only=True)
class Auroc:
    """The map as a classifier of object pixels: area under the ROC curve and average precision."""

    version: ClassVar[int] = 1

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        area, precision = _auroc_and_precision(maps, inside)
        return {"auroc": area, "average_precision": precision}
