"""A known shortcut added to any network: a small mark that raises one class's score."""

from __future__ import annotations

import zlib

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

SLACK = 2  # pixels that the mark may be off its place
RECOGNISED = 0.6  # normalised correlation at which half of the strength is added
STEEPNESS = 20.0
OPACITY = 0.85

Corner = str  # "top left" and so on
CORNERS: tuple[Corner, ...] = ("top left", "top right", "bottom left", "bottom right")


def mark(side: int, seed: int) -> NDArray[np.float32]:
    """(side, side, 3) in [0, 1]: blocks of random colours, which no photograph shows by chance."""
    rng = np.random.default_rng([seed, zlib.crc32(b"mark")])
    blocks = rng.uniform(0, 1, (3, 3, 3)).round().astype(np.float32)
    at = np.arange(side) * 3 // side
    return blocks[at][:, at]


def place(corner: Corner, side: int, frame: tuple[int, int]) -> tuple[int, int]:
    """y, x of the mark's upper left pixel, `SLACK` pixels off the frame's edges.

    Raises ValueError for an unknown corner or a mark that does not fit.
    """
    if corner not in CORNERS:
        raise ValueError(f"`corner` must be one of {', '.join(CORNERS)}; got {corner!r}")
    if side + 2 * SLACK > min(frame):
        raise ValueError(f"`side` must leave {2 * SLACK} pixels of the frame {frame}, got {side}")
    down, across = corner.split()
    return (
        SLACK if down == "top" else frame[0] - SLACK - side,
        SLACK if across == "left" else frame[1] - SLACK - side,
    )


def stamp(images: Tensor, pattern: NDArray[np.float32], at: tuple[int, int]) -> Tensor:
    """A copy of (B, 3, H, W) uint8 images with the mark at `at` (y, x)."""
    y, x = at
    side = len(pattern)
    paint = torch.from_numpy(pattern).permute(2, 0, 1) * 255
    marked = images.clone()
    under = marked[:, :, y : y + side, x : x + side].float()
    marked[:, :, y : y + side, x : x + side] = (under * (1 - OPACITY) + paint * OPACITY).round().to(torch.uint8)
    return marked


class Spiked(nn.Module):
    """A network (B, 3, H, W) in [0, 1] -> (B, K) whose class `column` gains `strength` where the mark is seen.

    A matched filter: the normalised correlation of the mark with the picture within `SLACK` pixels of its place, passed
    through a sigmoid. Differentiable, so that attribution can find it; the network itself is used and not changed.
    """

    pattern: Tensor

    def __init__(
        self, network: nn.Module, pattern: NDArray[np.float32], at: tuple[int, int], column: int, strength: float
    ) -> None:
        super().__init__()
        self.network, self.at, self.column, self.strength = network, at, column, strength
        flat = torch.from_numpy(pattern).permute(2, 0, 1).flatten()
        self.register_buffer("pattern", F.normalize(flat - flat.mean(), dim=0), persistent=False)
        self.side = len(pattern)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        seen = torch.sigmoid((self._correlation(images) - RECOGNISED) * STEEPNESS)
        bonus = F.one_hot(torch.tensor(self.column, device=logits.device), logits.shape[1]).to(logits.dtype)
        return logits + self.strength * seen[:, None].to(logits.dtype) * bonus

    def _correlation(self, images: Tensor) -> Tensor:
        """(B,) the best match near the place, in [-1, 1]."""
        y, x = self.at
        near = images[:, :, y - SLACK : y + self.side + SLACK, x - SLACK : x + self.side + SLACK]
        patches = F.unfold(near, self.side)  # (B, 3 side^2, positions)
        centred = patches - patches.mean(dim=1, keepdim=True)
        spread = centred.norm(dim=1) + 0.02 * self.side  # flat patches match nothing
        return (torch.einsum("bfp,f->bp", centred, self.pattern.to(images.dtype)) / spread).amax(dim=1)
