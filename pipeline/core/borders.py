"""Plain borders: strips of one colour along the edges that end abruptly, as frames, letterboxes and scans have them."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTHS = (0.02, 0.035, 0.05, 0.07, 0.1, 0.13)  # of a strip, as shares of the frame's side across it
PLAIN = 0.04  # standard deviation within a strip, below which it is of one colour
STEP = 0.08  # difference from the pixels behind it, without which the strip is the picture's own


def match_border(images: Tensor, donors: Tensor) -> Tensor:
    """Each picture with its donor's plain borders painted over its own edges; as it is where the donor has none.

    A side counts where a strip of one of the widths is of one colour and the pixels behind it are not of that colour.
    A photograph's sky may be plain, but does not end so: it carries nothing here.

    Args:
        images, donors: (B, 3, H, W) in [0, 1].
    """
    out = images
    for turns in range(4):  # every side in turn is the top one
        width, colour = _top_border(torch.rot90(donors, turns, (2, 3)))
        turned = torch.rot90(out, turns, (2, 3))
        rows = torch.arange(turned.shape[2], device=images.device)[None] < width[:, None]
        painted = torch.where(rows[:, None, :, None], colour[:, :, None, None], turned)
        out = torch.rot90(painted, -turns, (2, 3))
    return out


def _top_border(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) how many rows the plain strip at the top has, 0 for none, and (B, 3) its colour: the widest that ends."""
    height = pictures.shape[2]
    width = torch.zeros(len(pictures), dtype=torch.long, device=pictures.device)
    colour = torch.zeros(len(pictures), 3, device=pictures.device, dtype=pictures.dtype)
    for share in WIDTHS:
        rows = max(1, round(share * height))
        strip = pictures[:, :, :rows].flatten(2)
        behind = pictures[:, :, rows : rows + max(1, rows // 2) + 1].flatten(2)
        middle = strip.median(dim=2).values
        plain = (strip - middle[..., None]).square().mean(dim=(1, 2)).sqrt() < PLAIN
        own = (behind - middle[..., None]).abs().mean(dim=(1, 2)) < STEP
        ends = plain & (~own | (width > 0))
        width, colour = torch.where(ends, rows, width), torch.where(ends[:, None], middle, colour)
    return width, colour
