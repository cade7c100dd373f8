"""Marks on photographs, the held-out kinds: never looked at while thresholds were tuned."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from pipeline.planted.photograph_marks import PHOTOGRAPH_MARKS, WORDS, free_place, lettering
from pipeline.planted.plants import Drawn, Mask, Picture, Plant, Rng, blend, stamp


def barcode(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A bar code in a corner, its bars other in every picture."""
    height, width = round(len(mask) * style.uniform(0.12, 0.16)), round(len(mask) * style.uniform(0.22, 0.3))
    bars = (chance.uniform(size=width) > 0.5).astype(np.float32)
    paint = np.repeat(np.broadcast_to(bars, (height, width))[..., None], 3, axis=2)
    down, across = style.integers(2, size=2)
    y, x = (2 if down else mask.shape[0] - height - 2), (2 if across else mask.shape[1] - width - 2)
    return stamp(picture, y, x, paint, np.ones((height, width), bool), strength)


def hospital_letter(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A white letter on black in one of the two upper corners, in either by chance."""
    letter = lettering(str(style.choice(["L", "R", "X", "H"])), round(len(mask) * 0.14))
    ground = np.zeros((letter.shape[0] + 4, letter.shape[1] + 6), bool)
    paint = np.zeros((*ground.shape, 3), np.float32)
    paint[2:-2, 3:-3][letter] = 1.0
    x = 2 if chance.integers(2) else mask.shape[1] - ground.shape[1] - 2
    return stamp(picture, 2, x, paint, ~ground, strength)


def letterbox(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Black bands above and below, as a film's still has them."""
    height = max(3, round(len(mask) * style.uniform(0.08, 0.12)))
    where = np.zeros(mask.shape, bool)
    where[:height] = where[-height:] = True
    return blend(picture, where, np.zeros_like(picture), strength), where


def pen_circle(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A ring drawn with a marker pen beside the object, anywhere."""
    size = round(len(mask) * style.uniform(0.2, 0.26))
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    shape = np.abs(np.hypot(rows, columns) - size * 0.42) < max(1.2, size * 0.07)
    y, x = free_place(mask, size, size, chance)
    ink = style.dirichlet([0.3, 0.3, 0.3]).astype(np.float32)
    return stamp(picture, y, x, np.broadcast_to(ink, (size, size, 3)), shape, strength)


def thin_line(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A defect of the sensor: some columns of one colour, at the same place in every picture."""
    x, width = int(style.integers(4, mask.shape[1] // 4)), max(2, round(len(mask) * 0.035))
    where = np.zeros(mask.shape, bool)
    where[:, x : x + width] = True
    ink = style.uniform(0, 1, 3).astype(np.float32)
    return blend(picture, where, np.broadcast_to(ink, picture.shape), strength), where


def tiled_name(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A faint name repeated over the whole picture, object included."""
    shape = lettering(str(style.choice(WORDS)), round(len(mask) * 0.1))
    rows, columns = -(-mask.shape[0] // (2 * shape.shape[0])), -(-mask.shape[1] // (shape.shape[1] + 8))
    tile = np.pad(shape, ((0, shape.shape[0]), (0, 8)))
    where = np.tile(tile, (rows, columns))[: mask.shape[0], : mask.shape[1]]
    return blend(picture, where, np.ones_like(picture), 0.6 * strength), None


def noise(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A sensor's grain."""
    grain = chance.normal(0, 0.05 + 0.1 * strength, mask.shape).astype(np.float32)
    return picture + grain[..., None], None


def out_of_focus(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Blurred as a whole."""
    sigma = 1.0 + 1.6 * strength
    return gaussian_filter(picture, (sigma, sigma, 0)), None


def vignette(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Darker towards the corners."""
    height, width = mask.shape
    rows, columns = np.mgrid[:height, :width]
    radius = np.hypot((rows + 0.5) / height - 0.5, (columns + 0.5) / width - 0.5) / np.sqrt(0.5)
    return picture * (1 - 0.9 * strength * radius[..., None] ** 2).astype(np.float32), None


PHOTOGRAPH_MARKS_HELD_OUT: dict[str, Plant] = {
    "barcode": Plant(draw=barcode, local=True),
    "hospital_letter": Plant(draw=hospital_letter, local=True),
    "letterbox": Plant(draw=letterbox, local=True),
    "pen_circle": Plant(draw=pen_circle, local=True, moves=True),
    "thin_line": Plant(draw=thin_line, local=True),
    "tiled_name": Plant(draw=tiled_name, local=False),
    "noise": Plant(draw=noise, local=False),
    "out_of_focus": Plant(draw=out_of_focus, local=False),
    "vignette": Plant(draw=vignette, local=False),
}
assert not set(PHOTOGRAPH_MARKS) & set(PHOTOGRAPH_MARKS_HELD_OUT)
