"""How much of the attribution, and where its peak, falls on the objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.core.maps import pixels, positive, share, speaks, where_defined
from pipeline.types import Maps, Masks, Scores


def inside_share(mass: Tensor, inside: Tensor) -> Scores:
    """Mass inside the objects over all mass, (B,) in [0, 1].

    Relevance mass accuracy (Arras et al. 2022, CLEVR-XAI), which is the energy-based pointing game on the union of the
    boxes (Wang et al. 2020, Score-CAM) and attribution localisation (Kohlbrenner et al. 2020). NaN for a map with a
    negative pixel: of signed mass the ratio is no share (values like 2.85 and -0.06 on noise). NaN too for a map
    without mass or with a non-finite pixel, and for an empty mask.
    """
    return share(mass, inside)


def area_fraction(inside: Tensor) -> Scores:
    """Object pixels over all pixels, (B,): the inside share of a uniform map. 0 for an empty mask."""
    return inside.double().mean(dim=(1, 2))


@dataclass(frozen=True, kw_only=True)
class InsideShare:
    """Share of the positive part inside the objects, the area fraction, and their ratio (lift; 1 is chance)."""

    version: ClassVar[int] = 1

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        part, area = inside_share(positive(maps), inside), area_fraction(inside)
        return {"inside_share": part, "area_fraction": area, "lift": part / area}


def dilate(inside: Tensor, tolerance: float) -> Tensor:
    """The pixels less than `tolerance` pixels away from the mask (strictly, as TorchRay), and the mask itself."""
    reach = math.ceil(tolerance) - 1  # the farthest whole pixel that is still nearer than the tolerance
    if reach <= 0:
        return inside
    offsets = torch.arange(-reach, reach + 1, device=inside.device, dtype=torch.float32)
    disc = (offsets[:, None] ** 2 + offsets**2 < tolerance**2).float()
    return F.conv2d(inside[:, None].float(), disc[None, None], padding=reach)[:, 0] > 0.5


def pointing_hit(maps: Tensor, target: Tensor) -> Scores:
    """Share of the map's maxima that lie in `target`, (B,): 0 or 1 unless maxima tie.

    Pointing game (Zhang et al. 2018) on the union of the objects; a tolerance is in `target` already (`dilate`). A
    random choice among ties would hit at this rate. NaN for a map without a positive pixel or with a non-finite one,
    and for an empty target.
    """
    flat, hit = pixels(maps), target.flatten(1)
    peak = flat == flat.amax(dim=1, keepdim=True)
    return where_defined((peak & hit).sum(1) / peak.sum(1).double(), speaks(maps) & hit.any(dim=1))


def centre_hit(target: Tensor) -> Scores:
    """What the frame's centre would score as the only maximum, (B,); the middle pixels of an even side tie."""
    height, width = target.shape[-2:]
    middle = target[:, (height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1]
    return where_defined(middle.double().mean(dim=(1, 2)), target.flatten(1).any(dim=1))


@dataclass(frozen=True, kw_only=True)
class Pointing:
    """Whether the map's maximum hits the objects, beside what a random point and the frame's centre would score.

    `tolerance_px`: pixels of the model's frame; a maximum closer than this to an object hits. 0 means inside.
    """

    version: ClassVar[int] = 1
    tolerance_px: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance_px < float("inf"):
            raise ValueError(f"`tolerance_px` must be 0 or more pixels, got {self.tolerance_px}")

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> dict[str, Scores]:
        target = dilate(inside, self.tolerance_px)
        chance = where_defined(area_fraction(target), target.flatten(1).any(dim=1))
        return {
            "pointing_hit": pointing_hit(maps, target),
            "pointing_chance": chance,
            "centre_hit": centre_hit(target),
        }
