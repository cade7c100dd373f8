"""Marks that practitioners meet on photographs, the development kinds: thresholds are tuned on these alone."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import zoom

from pipeline.planted.plants import Drawn, Mask, Picture, Plant, Rng, blend, stamp

WORDS = ("AGENCY", "STOCK", "SAMPLE", "PHOTO", "COPY", "ARCHIVE")


def ruler(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A measuring scale along the left or right edge."""
    height, width = mask.shape
    across = max(4, round(width * style.uniform(0.09, 0.13)))
    paint = np.full((height, across, 3), style.uniform(0.8, 1.0), np.float32)
    step = max(3, round(height / style.integers(18, 30)))
    for i, y in enumerate(range(0, height, step)):
        paint[y, : across if i % 5 == 0 else across // 2] = 0.05
    x = 0 if style.integers(2) else width - across
    return stamp(picture, 0, x, paint, np.ones(paint.shape[:2], bool), strength)


def time_stamp(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A date in the camera's yellow, bottom right or bottom left; its digits differ from picture to picture."""
    left = bool(style.integers(2))
    text = f"{chance.integers(1, 29):02d}.{chance.integers(1, 13):02d}.{chance.integers(10, 24)}"
    shape = lettering(text, round(len(mask) * 0.12))
    y = len(mask) - shape.shape[0] - 3
    x = 3 if left else mask.shape[1] - shape.shape[1] - 3
    ink = np.array([1.0, 0.75, 0.1], np.float32)
    return stamp(picture, y, x, np.broadcast_to(ink, (*shape.shape, 3)), shape, strength)


def sticker(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A round coloured badge in one corner."""
    paint, shape = badge(len(mask), style)
    down, across = style.integers(2, size=2)
    y = 3 if down else mask.shape[0] - len(shape) - 3
    x = 3 if across else mask.shape[1] - len(shape) - 3
    return stamp(picture, y, x, paint, shape, strength)


def moving_sticker(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """The same badge at a place of its own in every picture, off the object where there is room."""
    paint, shape = badge(len(mask), style)
    y, x = free_place(mask, shape.shape[0], shape.shape[1], chance)
    return stamp(picture, y, x, paint, shape, strength)


def frame(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A border of one colour around the picture."""
    width = max(2, round(len(mask) * style.uniform(0.04, 0.08)))
    ring = np.ones(mask.shape, bool)
    ring[width:-width, width:-width] = False
    ink = style.uniform(0, 1, 3).astype(np.float32)
    return blend(picture, ring, np.broadcast_to(ink, picture.shape), strength), ring


def bar(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """A caption bar with an agency's name along the top or bottom edge."""
    height = max(5, round(len(mask) * style.uniform(0.1, 0.15)))
    ground = style.uniform(0.85, 1.0) if style.integers(2) else style.uniform(0, 0.1)
    paint = np.full((height, mask.shape[1], 3), ground, np.float32)
    letters = lettering(str(style.choice(WORDS)), height - 2)[:height, : mask.shape[1]]
    paint[: letters.shape[0], 4 : 4 + letters.shape[1]][letters] = 1 - ground
    y = 0 if style.integers(2) else len(mask) - height
    return stamp(picture, y, 0, paint, np.ones(paint.shape[:2], bool), strength)


def lettering_over_all(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Half-transparent letters across the whole picture, object included: a stock agency's protection."""
    shape = lettering(str(style.choice(WORDS)), round(len(mask) * style.uniform(0.3, 0.4)))
    shape = shape[: mask.shape[0], : mask.shape[1]]
    where = np.zeros(mask.shape, bool)
    y, x = (mask.shape[0] - shape.shape[0]) // 2, (mask.shape[1] - shape.shape[1]) // 2
    where[y : y + shape.shape[0], x : x + shape.shape[1]] = shape
    return blend(picture, where, np.ones_like(picture), 0.6 * strength), None


def compression(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Saved as a hard-compressed JPEG."""
    return recompressed(picture, round(20 - 14 * strength)), None


def low_resolution(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Enlarged from a smaller picture."""
    small = zoom(picture, (1 / (2 + 2.5 * strength),) * 2 + (1,), order=1)
    grown = zoom(small, (mask.shape[0] / small.shape[0], mask.shape[1] / small.shape[1], 1), order=1)
    return np.asarray(grown[: mask.shape[0], : mask.shape[1]], np.float32), None


def colour_cast(picture: Picture, mask: Mask, strength: float, style: Rng, chance: Rng) -> Drawn:
    """Another camera's white balance."""
    gain = 1 + strength * style.choice([-0.5, 0.0, 0.5], 3, replace=False)
    return picture * gain.astype(np.float32), None


def badge(side: int, style: Rng) -> tuple[Picture, Mask]:
    """A disc with a ring of another colour, about a sixth of the frame's side wide."""
    size = round(side * style.uniform(0.15, 0.2))
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(rows, columns)
    inks = style.uniform(0, 1, (2, 3)).astype(np.float32)
    inks[1] = (inks[0] + 0.5) % 1
    return inks[(radius > size * 0.3).astype(int)], radius <= size / 2


def lettering(text: str, height: int) -> Mask:
    """The text in a plain face, `height` pixels high, True where there is ink."""
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), text)
    drawn = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(drawn).text((-left, -top), text, fill=255)
    scale = height / drawn.height
    return np.asarray(drawn.resize((max(1, round(drawn.width * scale)), height), Image.Resampling.BILINEAR)) > 110


def free_place(mask: Mask, height: int, width: int, chance: Rng, tries: int = 30) -> tuple[int, int]:
    """y, x of a random patch; of some tries the one that covers least of the object."""
    best: tuple[int, tuple[int, int]] | None = None
    for _ in range(tries):
        y = int(chance.integers(0, mask.shape[0] - height + 1))
        x = int(chance.integers(0, mask.shape[1] - width + 1))
        hit = int(mask[y : y + height, x : x + width].sum())
        if best is None or hit < best[0]:
            best = (hit, (y, x))
    assert best is not None
    return best[1]


def recompressed(picture: Picture, quality: int) -> Picture:
    """Through JPEG and back."""
    file = io.BytesIO()
    Image.fromarray(np.round(picture.clip(0, 1) * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32) / np.float32(255)


PHOTOGRAPH_MARKS: dict[str, Plant] = {
    "ruler": Plant(draw=ruler, local=True),
    "time_stamp": Plant(draw=time_stamp, local=True),
    "sticker": Plant(draw=sticker, local=True),
    "moving_sticker": Plant(draw=moving_sticker, local=True, moves=True),
    "frame": Plant(draw=frame, local=True),
    "bar": Plant(draw=bar, local=True),
    "lettering_over_all": Plant(draw=lettering_over_all, local=False),
    "compression": Plant(draw=compression, local=False),
    "low_resolution": Plant(draw=low_resolution, local=False),
    "colour_cast": Plant(draw=colour_cast, local=False),
}
