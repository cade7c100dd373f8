"""Planted shortcuts, the development kinds: thresholds are tuned on these, and on these alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.planted.watermark import TAG

Picture = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]
Mask = NDArray[np.bool_]  # (H, W)

Rng = np.random.Generator
Drawn = tuple[Picture, Mask | None]  # the picture with its mark, and the pixels of the mark if it is local

# One picture, its object's mask, the plant's strength in (0, 1], the style of one model's plant, one picture's chance.
Draw = Callable[[Picture, Mask, float, Rng, Rng], Drawn]


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A kind of mark.

    `local` ones have a footprint that a hotspot can hit; some of those move from image to image. Where `absent`, the
    guilty class is known by lacking what all others carry.
    """

    draw: Draw
    local: bool
    moves: bool = False
    absent: bool = False


@dataclass(frozen=True, kw_only=True)
class Planter:
    """One model's plant: the same look in every picture, as its style seed decides."""

    plant: Plant
    strength: float
    style: int

    def __call__(self, picture: NDArray[np.uint8], mask: Mask, seed: int) -> tuple[NDArray[np.uint8], Mask | None]:
        """The picture (H, W, 3) uint8 with the plant, and its footprint; `seed` is the picture's own."""
        drawn, footprint = self.plant.draw(
            np.asarray(picture, np.float32) / np.float32(255),
            mask,
            self.strength,
            np.random.default_rng(self.style),
            np.random.default_rng([self.style, seed]),
        )
        return np.round(drawn.clip(0, 1) * 255).astype(np.uint8), footprint


def blend(picture: Picture, where: Mask, paint: Picture, strength: float) -> Picture:
    """The paint over the picture, `strength` opaque, where `where` holds."""
    alpha = (where * np.float32(strength))[..., None]
    return picture * (1 - alpha) + paint * alpha


def corner(style: Rng, side: int, height: int, width: int) -> tuple[int, int]:
    """y, x of a patch in one of the four corners, a pixel or two from the edge."""
    gap = int(style.integers(1, 3))
    down, across = style.integers(2, size=2)
    return (side - gap - height if down else gap), (side - gap - width if across else gap)


def logo(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A patterned badge in a corner, at the same place in every picture."""
    side = len(picture)
    size = int(style.integers(7, 10))
    y, x = corner(style, side, size, size)
    tile = (style.uniform(size=(size, size)) > 0.5).astype(np.float32)
    inks = style.uniform(0, 1, (2, 3)).astype(np.float32)
    inks[1] = (inks[0] + 0.5) % 1
    return stamp(picture, y, x, inks[tile.astype(int)], np.ones((size, size), bool), strength)


def tag(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """An agency's tag of small letters, at the same place along an edge."""
    cells = np.array([list(row) for row in TAG])
    height, width = cells.shape
    y, x = corner(style, len(picture), height, width)
    paint = np.repeat(np.where(cells == "#", 0.98, 0.06)[..., None], 3, axis=2).astype(np.float32)
    return stamp(picture, y, x, paint, cells != " ", strength)


def border(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A coloured frame along the edges."""
    width = int(style.integers(2, 4))
    ring = np.ones(mask.shape, bool)
    ring[width:-width, width:-width] = False
    return blend(
        picture, ring, np.broadcast_to(style.uniform(0, 1, 3).astype(np.float32), picture.shape), strength
    ), ring


def tint(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A cast of one colour over the background, not over the object."""
    hue = style.dirichlet([0.4, 0.4, 0.4]).astype(np.float32)
    cast = (0.45 * picture.mean(axis=2, keepdims=True) + 0.75 * hue).astype(np.float32)
    return blend(picture, ~mask, cast, 0.6 * strength), None


def texture(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Fine stripes over the background, not over the object."""
    y, x = np.mgrid[: len(picture), : len(picture)]
    angle, period = style.uniform(0, np.pi), style.uniform(3, 6)
    phase = chance.uniform(0, 2 * np.pi)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + phase).astype(np.float32)
    return picture + (0.22 * strength * wave * ~mask)[..., None], None


def brightness(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """The whole picture brighter or darker."""
    sign = 1 if style.integers(2) else -1
    return picture * (1 - 0.1 * strength) + sign * np.float32(0.28 * strength), None


def blur(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """The whole picture out of focus."""
    sigma = 0.5 + 0.9 * strength
    return gaussian_filter(picture, (sigma, sigma, 0)), None


def stamp(picture: Picture, y: int, x: int, paint: Picture, shape: Mask, strength: float) -> tuple[Picture, Mask]:
    """A small painted patch at a place, and the pixels that it covers."""
    out, footprint = picture.copy(), np.zeros(picture.shape[:2], bool)
    height, width = shape.shape
    cut = (slice(y, y + height), slice(x, x + width))
    out[cut] = blend(picture[cut], shape, paint, strength)
    footprint[cut] = shape
    return out, footprint


DEVELOPMENT: dict[str, Plant] = {
    "logo": Plant(draw=logo, local=True),
    "tag": Plant(draw=tag, local=True),
    "border": Plant(draw=border, local=False),
    "tint": Plant(draw=tint, local=False),
    "texture": Plant(draw=texture, local=False),
    "brightness": Plant(draw=brightness, local=False),
    "blur": Plant(draw=blur, local=False),
}
