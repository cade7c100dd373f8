"""JPEG's loss as arithmetic on tensors, and how much of it a picture shows."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
QUALITIES = (5, 10, 20, 40)  # that a picture is brought to; above the last one little shows
# The example tables of ITU-T T.81, annex K.1, which most encoders scale.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def compressed(images: Tensor, quality: float) -> Tensor:
    """The pictures (B, 3, H, W) in [0, 1] as they look after JPEG at this quality (1 to 100), blocks from the corner.

    Colour at half resolution, as encoders do by default; the tables scaled as libjpeg does. Rounding of the decoded
    pixels is left out.
    """
    height, width = images.shape[-2:]
    pad = (0, -width % (2 * BLOCK), 0, -height % (2 * BLOCK))
    to_ycc = images.new_tensor(TO_YCC)
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, F.pad(images, pad, mode="replicate") * 255)
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    luma = _quantised(ycc[:, :1] - 128, _table(LUMA, scale, images)) + 128
    small = _quantised(F.avg_pool2d(ycc[:, 1:], 2), _table(CHROMA, scale, images))
    chroma = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    rgb = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), torch.cat([luma, chroma], dim=1)) / 255
    return rgb[..., :height, :width].clamp(0, 1)


def blockiness(images: Tensor) -> Tensor:
    """(B,) how much larger the steps across the edges of 8 x 8 blocks are than between the other pixels, as a share.

    0 where nothing was compressed; about .2 at quality 30, 1 and more at 10. Blocks count from the corner: of a
    photograph that was compressed and then resized, nothing is seen.
    """
    grey = images.mean(dim=1)
    across, down = (grey[:, :, 1:] - grey[:, :, :-1]).abs(), (grey[:, 1:] - grey[:, :-1]).abs()
    ratios = []
    for steps, axis in ((across, 2), (down, 1)):
        at = torch.arange(steps.shape[axis], device=images.device) % BLOCK == BLOCK - 1
        edge, other = steps.mean(dim=3 - axis)[:, at], steps.mean(dim=3 - axis)[:, ~at]
        ratios.append(edge.mean(dim=1) / other.mean(dim=1).clamp(min=1e-4) - 1)
    return torch.stack(ratios).mean(dim=0)


def match_compression(images: Tensor, donors: Tensor) -> Tensor:
    """Each picture compressed until its blocks show as much as its donor's; as it is, where they show that already."""
    wanted, found, best = blockiness(donors), images, (blockiness(donors) - blockiness(images)).abs()
    best = torch.where(wanted <= blockiness(images), torch.zeros_like(best), best)
    for quality in QUALITIES:
        tried = compressed(images, quality)
        off = (blockiness(tried) - wanted).abs()
        better = off < 0.7 * best
        found = torch.where(better[:, None, None, None], tried, found)
        best = torch.where(better, off, best)
    return found


def _quantised(planes: Tensor, table: Tensor) -> Tensor:
    """Every 8 x 8 block of (B, C, H, W) planes through the cosine transform, rounded to the table's steps, and back."""
    b, c, height, width = planes.shape
    blocks = planes.view(b, c, height // BLOCK, BLOCK, width // BLOCK, BLOCK).permute(0, 1, 2, 4, 3, 5)
    basis = _cosines(planes)
    kept = torch.round(basis @ blocks @ basis.T / table) * table
    back = (basis.T @ kept @ basis).permute(0, 1, 2, 4, 3, 5)
    return back.reshape(b, c, height, width)


def _cosines(like: Tensor) -> Tensor:
    """(8, 8) the orthonormal cosine transform, a frequency a row."""
    n = torch.arange(BLOCK, dtype=torch.float64)
    rows = torch.cos(math.pi / BLOCK * (n[None] + 0.5) * n[:, None]) * math.sqrt(2 / BLOCK)
    rows[0] /= math.sqrt(2)
    return rows.to(like)


def _table(values: tuple[tuple[int, ...], ...], scale: float, like: Tensor) -> Tensor:
    return torch.floor((like.new_tensor(values) * scale + 50) / 100).clamp(1, 255)
