"""Renders pictures of one textured object on clutter, with exact masks, from a seeded generator."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.planted import watermark
from pipeline.planted.backdrops import Canvas, backdrop, colour
from pipeline.planted.shapes import CLASSES, TEXTURES, Colour, Shape, Texture, place

SIDE = 64  # pixels
SAMPLES = 3  # per pixel and axis
OBJECT_SIDE = (18.0, 32.0)  # longer side of the object's box, in pixels
OWN_TEXTURE = 0.95  # share of objects in their class's own texture; the others wear any of the five
NOISE = 0.012  # sd of the sensor noise

Pixels = NDArray[np.uint8]  # (SIDE, SIDE, 3) RGB

_AXIS = ((np.arange(SIDE * SAMPLES) + 0.5) / SAMPLES).astype(np.float32)
_X, _Y = np.meshgrid(_AXIS, _AXIS)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One rendered picture, which knows itself with and without its object and with and without the tag."""

    label: str
    plain: Pixels  # without the tag
    empty: Pixels  # without the tag and without the object
    mask: NDArray[np.bool_]  # (SIDE, SIDE): every pixel that the object covers, even in part
    tag_place: watermark.Place  # where the tag goes, if it comes

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of the mask, half-open."""
        ys, xs = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1

    def image(self, *, marked: bool) -> Pixels:
        return watermark.stamp(self.plain, self.tag_place) if marked else self.plain


def seeded(seed: int, split: str, label: str, number: int) -> np.random.Generator:
    """The generator of one image: its own, so that no image depends on how many others are made."""
    return np.random.default_rng([seed, zlib.crc32(f"{split}/{label}".encode()), number])


def render(label: str, rng: np.random.Generator, *, side: int = SIDE, hue: float | None = None) -> Scene:
    """A picture of the class `label`, `side` pixels wide (a divisor of 192); the same generator gives the same bytes.

    Place, size, rotation, colours, background and clutter do not depend on the class. Places where the object's squared
    box with its margin could meet the tag are left out for all classes alike, marked or not.
    """
    if label not in CLASSES:
        raise ValueError(f"`label` must be one of {', '.join(CLASSES)}, got {label!r}")
    tag_place = watermark.choose_place(rng, SIDE)
    centre, longer_side = _free_place(rng)
    canvas = backdrop(rng, _X, _Y)
    for _ in range(rng.integers(2, 5)):
        _clutter(canvas, rng)
    empty = canvas.copy()
    shape = place(label, centre, longer_side, rng)
    texture = CLASSES[label][1] if rng.uniform() < OWN_TEXTURE else _any_texture(rng)
    inside = shape.depth(_X, _Y) > 0
    _paint(canvas, shape, inside, texture, _object_colours(rng, empty[inside].mean(axis=0), hue), rng)
    grain = rng.normal(0, NOISE, (side, side, 3))
    samples = SIDE * SAMPLES // side
    return Scene(
        label=label,
        plain=_develop(canvas, grain),
        empty=_develop(empty, grain),
        mask=np.asarray(inside.reshape(side, samples, side, samples).any(axis=(1, 3))),
        tag_place=tag_place,
    )


def _free_place(rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    """Centre and longer side of an object that lies in the frame and whose removal leaves the tag untouched."""
    x0, y0, _, _ = watermark.zone(SIDE)
    while True:
        side = rng.uniform(*OBJECT_SIDE)
        x, y = rng.uniform(side / 2 + 1, SIDE - side / 2 - 1, 2)
        reach = side / 2 + max(3, 0.1 * side) + 1.5  # an audit's margin, and what rounding to pixels can add
        if x + reach <= x0 or y + reach <= y0:
            return (x, y), side


def _any_texture(rng: np.random.Generator) -> Texture:
    return TEXTURES[rng.integers(len(TEXTURES))]


def _object_colours(rng: np.random.Generator, behind: Colour, hue: float | None = None) -> tuple[Colour, Colour]:
    """Base and accent, the base unlike what is behind it, of any hue or near the one given."""
    while True:
        base = colour(rng, (0.35, 0.95), (0.35, 1.0), None if hue is None else hue + rng.normal(0, 0.05))
        accent = colour(rng, (0.1, 0.9), (0.2, 1.0))
        if np.abs(base - behind).max() > 0.25 and np.abs(base - accent).max() > 0.3:
            return base, accent


def _paint(
    canvas: Canvas,
    shape: Shape,
    inside: NDArray[np.bool_],
    texture: Texture,
    colours: tuple[Colour, Colour],
    rng: np.random.Generator,
) -> None:
    """Paints the shape's textured and shaded body, with a darker rim, where `inside` holds."""
    x, y = _X[inside], _Y[inside]
    u, v = shape.local(x, y)
    share = texture(u, v, rng)[:, None]
    body = colours[0] * (1 - share) + colours[1] * share
    light = rng.uniform(0, 2 * np.pi)
    dx, dy = (x - shape.origin[0]) / shape.scale, (y - shape.origin[1]) / shape.scale
    body = body * (1 + 0.22 * (dx * np.cos(light) + dy * np.sin(light)))[:, None]
    rim = np.clip(1.4 - shape.depth(x, y), 0, 1)[:, None]
    canvas[inside] = body * (1 - 0.5 * rim)


def _clutter(canvas: Canvas, rng: np.random.Generator) -> None:
    """One blob, one line, or a fragment of an object of any class."""
    kind = rng.choice(3)
    if kind == 0:
        _blob(canvas, rng)
    elif kind == 1:
        _line(canvas, rng)
    else:
        _fragment(canvas, rng)


def _blob(canvas: Canvas, rng: np.random.Generator) -> None:
    centre, angle = rng.uniform(0, SIDE, 2), rng.uniform(0, np.pi)
    dx, dy = _X - centre[0], _Y - centre[1]
    c, s = np.cos(angle), np.sin(angle)
    radii = rng.uniform(2, 7, 2)
    within = ((c * dx + s * dy) / radii[0]) ** 2 + ((c * dy - s * dx) / radii[1]) ** 2 < 1
    canvas[within] = 0.25 * canvas[within] + 0.75 * colour(rng, (0.2, 0.9), (0.25, 1.0))


def _line(canvas: Canvas, rng: np.random.Generator) -> None:
    """A bent stroke across part of the picture."""
    angle, middle = rng.uniform(0, np.pi), rng.uniform(0, SIDE, 2)
    c, s = np.cos(angle), np.sin(angle)
    along, across = c * (_X - middle[0]) + s * (_Y - middle[1]), c * (_Y - middle[1]) - s * (_X - middle[0])
    bend = rng.normal(0, 0.008) * along**2
    within = (np.abs(across - bend) < rng.uniform(0.5, 1.3)) & (np.abs(along) < rng.uniform(8, 30))
    canvas[within] = colour(rng, (0.1, 0.8), (0.15, 1.0))


def _fragment(canvas: Canvas, rng: np.random.Generator) -> None:
    """Half a small object of any class, in any texture: like the real ones, but none of them."""
    label = str(rng.choice(list(CLASSES)))
    centre = rng.uniform(0, SIDE, 2)
    shape = place(label, (centre[0], centre[1]), rng.uniform(9, 17), rng)
    angle = rng.uniform(0, 2 * np.pi)
    half = (_X - centre[0]) * np.cos(angle) + (_Y - centre[1]) * np.sin(angle) > 0
    inside = half & (shape.depth(_X, _Y) > 0)
    if inside.any():
        _paint(canvas, shape, inside, _any_texture(rng), _object_colours(rng, canvas[inside].mean(axis=0)), rng)


def _develop(canvas: Canvas, grain: NDArray) -> Pixels:
    """The samples averaged per pixel, with the sensor's noise, as 8 bits."""
    side = len(grain)
    samples = len(canvas) // side
    mean = canvas.reshape(side, samples, side, samples, 3).mean(axis=(1, 3))
    return np.round((mean + grain).clip(0, 1) * 255).astype(np.uint8)
