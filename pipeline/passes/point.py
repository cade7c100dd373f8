"""Where attribution points to: every class's hotspots on each half of its images, and every image's own peak."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.core.hotspots import hotspots
from pipeline.core.maps import positive, strongest_window
from pipeline.types import Box, Maps, Masks

PEAK_SIDE = 0.2  # of an image's own peak, as a share of the frame's shorter side: about a logo with its surroundings
HALO = 0.06  # attribution this near to an object (share of the shorter side) may be the object's
SIDES = (0.1, 0.15, 0.2, 0.3, 0.4)  # of a hotspot: from a small mark to a caption
GRID = 16  # cells per side of an image's small map
MOST = 2  # hotspots per class
LEAST = 0.5  # of the first one's score that a second one must reach

HalfMaps = Mapping[str, np.ndarray]  # method -> (2, C, H, W) summed outside attribution of each half's images


def half(image_id: str) -> int:
    """0 or 1, from the id alone: the same however the images are ordered or divided."""
    return zlib.crc32(image_id.encode()) & 1


def peaks(maps: Sequence[Maps], inside: Masks) -> Tensor:
    """(B, 4) float64 xyxy: the window away from the objects where the methods together put most; NaN where nothing.

    Args:
        maps: per method (B, H, W), oriented.
        inside: (B, H, W) bool.
    """
    height, width = inside.shape[-2:]
    size = max(1, round(PEAK_SIDE * min(height, width)))
    if not maps:
        return torch.full((len(inside), 4), torch.nan, device=inside.device, dtype=torch.float64)
    x, y, _ = strongest_window(_together(maps).double(), size, size, exclude=_with_halo(inside))
    return torch.stack([x, y, x + size, y + size], dim=1)


def small_maps(maps: Sequence[Maps], inside: Masks) -> Tensor:
    """(B, GRID, GRID) float32: what the methods together put outside the objects, each map's mass being 1.

    Args as in `peaks`; zeros where there is no map.
    """
    shape = (len(inside), GRID, GRID)
    if not maps:
        return torch.zeros(shape, device=inside.device)
    cells = inside.shape[-2] * inside.shape[-1] / GRID**2
    return F.adaptive_avg_pool2d(torch.where(inside, 0, _together(maps))[:, None], GRID)[:, 0] * cells


def _together(maps: Sequence[Maps]) -> Maps:
    """The mean of the methods' maps, each with mass 1; a method whose map is empty or undefined does not count."""
    masses = [positive(m) for m in maps]
    shares = torch.stack([m / m.sum(dim=(1, 2), keepdim=True) for m in masses])
    return shares.where(shares.isfinite(), torch.nan).nanmean(dim=0).nan_to_num(0)


def _with_halo(inside: Masks) -> Masks:
    reach = max(1, round(HALO * min(inside.shape[-2:])))
    grown = inside[:, None].float()
    for down, across in ((reach, 0), (0, reach)):  # a square, one axis after the other
        grown = F.max_pool2d(grown, (2 * down + 1, 2 * across + 1), stride=1, padding=(down, across))
    return grown[:, 0] > 0


def pointed(images: pd.DataFrame, classes: Sequence[str], maps: HalfMaps) -> pd.DataFrame:
    """`images` with the column `hotspots`: those of its class that the other half of the images proposes.

    What is found on one half and tested on the other cannot have been chosen because it would pass.
    """
    found = {(c, h): _hotspots(images, classes, maps, c, h) for c in classes for h in (0, 1)}
    keys = zip(images["class"], images["half"], strict=True)
    return images.assign(hotspots=pd.Series([found[c, 1 - int(h)] for c, h in keys], images.index, dtype=object))


def _hotspots(images: pd.DataFrame, classes: Sequence[str], maps: HalfMaps, c: str, h: int) -> list[Box]:
    """The hotspots of class c on the images of half h, by all methods together."""
    k = list(classes).index(c)
    members = images[images["half"] == h]["class"].value_counts().reindex(list(classes), fill_value=0).to_numpy()
    contrasts = [contrast(m[h] / np.maximum(members, 1)[:, None, None], k) for m in maps.values()]
    if not contrasts or not members[k]:
        return []
    spots = hotspots(np.mean(contrasts, axis=0), SIDES, MOST, LEAST)
    return [tuple(map(float, s.box)) for s in spots]  # type: ignore[misc]


def contrast(means: np.ndarray, k: int) -> np.ndarray:
    """(H, W) class k's mean outside attribution less the mean of the other classes'; each map first sums to 1.

    Args:
        means: (C, H, W), non-negative.
    """
    total = means.sum(axis=(1, 2), keepdims=True)
    shares = np.divide(means, total, out=np.zeros_like(means), where=total > 0)
    others = np.delete(shares, k, axis=0)
    reference = others.mean(axis=0) if len(others) else np.full_like(shares[k], 1 / shares[k].size)
    return np.asarray(shares[k] - reference)
