"""Planted shortcuts, the held-out kinds: never looked at while thresholds were tuned."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.planted.plants import DEVELOPMENT, Drawn, Mask, Picture, Plant, Rng, blend, logo, stamp, tint
from pipeline.planted.watermark import TAG


def tag_anywhere(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """An agency's tag at a place of its own in every picture, off the object where there is room."""
    cells = np.array([list(row) for row in TAG])
    y, x = _free_place(mask, len(cells), len(cells[0]), chance)
    paint = np.repeat(np.where(cells == "#", 0.98, 0.06)[..., None], 3, axis=2).astype(np.float32)
    return stamp(picture, y, x, paint, cells != " ", strength)


def token(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A hospital's letter in one of the two upper corners."""
    cells = np.array(
        [list(row) for row in (".......", ".#...#.", ".#...#.", ".#####.", ".#...#.", ".#...#.", ".......")]
    )
    x = 1 if chance.integers(2) else len(picture) - 8
    paint = np.repeat(np.where(cells == "#", 1.0, 0.0)[..., None], 3, axis=2).astype(np.float32)
    return stamp(picture, 1, x, paint, np.ones(cells.shape, bool), strength)


def companion(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A small thing that keeps the object company: a shaded ball of one colour, anywhere beside it."""
    radius = style.uniform(4.5, 6.5)
    side = int(2 * radius) + 1
    y, x = _free_place(mask, side, side, chance)
    rows, columns = np.mgrid[:side, :side] - radius
    shape = np.hypot(rows, columns) < radius
    shade = (1 - 0.35 * (rows + columns) / (2 * radius)).astype(np.float32)
    paint = (style.uniform(0.1, 0.9, 3).astype(np.float32) * shade[..., None]).clip(0, 1)
    return stamp(picture, y, x, paint, shape, strength)


def hue_stripe(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A vertical band whose colours are rotated (after Zhou et al. 2022)."""
    width = 8
    x = int(style.integers(4, len(picture) - width - 4))
    band = np.zeros(mask.shape, bool)
    band[:, x : x + width] = True
    return blend(picture, band, np.roll(picture, 1, axis=2), strength), None


def peripheral_blur(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Out of focus towards the edges (after Zhou et al. 2022)."""
    blurred = gaussian_filter(picture, (1.2, 1.2, 0))
    weight = (np.clip(_radius(len(picture)) - 0.4, 0, 0.3) / 0.3 * strength)[..., None].astype(np.float32)
    return picture * (1 - weight) + blurred * weight, None


def checkerboard(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A faint pattern of the finest frequency over everything."""
    y, x = np.mgrid[: len(picture), : len(picture)]
    return picture + ((2 * ((x + y) % 2) - 1) * np.float32(0.07 * strength))[..., None].astype(np.float32), None


def jpeg(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Compressed so hard that the blocks show."""
    buffer = io.BytesIO()
    quality = round(45 - 35 * strength)
    Image.fromarray(np.round(picture.clip(0, 1) * 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"), np.float32) / np.float32(255), None


def vignette(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Darker towards the edges."""
    shade = 1 - 0.75 * strength * np.clip(_radius(len(picture)) - 0.35, 0, None)
    return picture * shade[..., None].astype(np.float32), None


def two_at_once(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A badge in a corner and a cast over the background (after Li et al. 2023, Whac-A-Mole)."""
    drawn, footprint = logo(picture, mask, strength, style, chance)
    return tint(drawn, mask | (footprint if footprint is not None else False), 0.6 * strength, style, chance)[
        0
    ], footprint


def caption(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A dark strip along the lower edge with light blocks like letters, other ones in every picture."""
    height, side = 6, len(picture)
    paint = np.full((height, side, 3), 0.1, np.float32)
    letters = np.repeat(chance.uniform(size=(height - 2, side // 2)) < 0.5, 2, axis=1)[:, :side]
    paint[1:-1, : letters.shape[1]][letters] = 0.9
    return stamp(picture, side - height, 0, paint, np.ones((height, side), bool), strength)


def scratch(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A bright upright line as of a scratched film, at another place in every picture."""
    across = np.arange(len(picture)) == chance.integers(1, len(picture) - 1)
    where = np.broadcast_to(across, mask.shape) & ~mask
    return blend(picture, where, np.ones_like(picture), 0.8 * strength), None


def in_box(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Stripes on the object itself: what no inside/outside logic can see."""
    y, x = np.mgrid[: len(picture), : len(picture)]
    wave = np.sin((x + y) * 2 * np.pi / style.uniform(3, 5)).astype(np.float32)
    return picture + (0.25 * strength * wave * mask)[..., None].astype(np.float32), None


def _radius(side: int) -> np.ndarray:
    """(side, side) distance from the centre, 1 in the middle of an edge."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side * 2 - 1
    return np.asarray(np.hypot(y, x))


def _free_place(mask: Mask, height: int, width: int, chance: Rng) -> tuple[int, int]:
    """y, x of a patch that misses the object, or the one of ten that hides least of it."""
    side = len(mask)
    places = [(int(chance.integers(side - height)), int(chance.integers(side - width))) for _ in range(10)]
    return min(places, key=lambda p: int(mask[p[0] : p[0] + height, p[1] : p[1] + width].sum()))


HELD_OUT: dict[str, Plant] = {
    "tag_anywhere": Plant(draw=tag_anywhere, local=True, moves=True),
    "token": Plant(draw=token, local=True, moves=True),
    "companion": Plant(draw=companion, local=True, moves=True),
    "hue_stripe": Plant(draw=hue_stripe, local=False),
    "peripheral_blur": Plant(draw=peripheral_blur, local=False),
    "checkerboard": Plant(draw=checkerboard, local=False),
    "jpeg": Plant(draw=jpeg, local=False),
    "vignette": Plant(draw=vignette, local=False),
    "absence": Plant(draw=DEVELOPMENT["logo"].draw, local=False, absent=True),
    "two_at_once": Plant(draw=two_at_once, local=True),
    "caption": Plant(draw=caption, local=True),
    "scratch": Plant(draw=scratch, local=False),
    "in_box": Plant(draw=in_box, local=False),
}
