"""Backgrounds: several families of textured pictures, of any kind or of one that a class prefers."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.planted.shapes import Colour, Grid

Canvas = NDArray[np.float32]  # (H, W, 3)
Family = Callable[[np.random.Generator, Grid, Grid], Grid]


def colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float], hue: float | None = None
) -> Colour:
    """A random colour within these ranges of HSV, of any hue unless one is given."""
    hue = rng.uniform() if hue is None else hue % 1
    return np.asarray(colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*value)), np.float32)


def noise(rng: np.random.Generator, x: Grid, y: Grid, cells: int) -> Grid:
    """Smooth value noise in about [-1, 1] with `cells` cells across the grid."""
    values = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
    return np.asarray(_weights(y[:, 0], cells) @ values @ _weights(x[0], cells).T, np.float32)


def _weights(axis: Grid, cells: int) -> Grid:
    """(len(axis), cells + 1): how much each lattice point counts at each coordinate, along one axis."""
    position = (axis - axis[0]) / (axis[-1] - axis[0]) * cells
    t = np.clip(1 - np.abs(position[:, None] - np.arange(cells + 1)), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def clouds(rng: np.random.Generator, x: Grid, y: Grid) -> Grid:
    octaves = [noise(rng, x, y, cells) / (i + 2) for i, cells in enumerate((3, 6, 12, 24))]
    return np.asarray(0.5 + np.sum(octaves, axis=0), np.float32)


def planks(rng: np.random.Generator, x: Grid, y: Grid) -> Grid:
    """Wood grain: warped stripes at two scales, in boards."""
    along, across = _turned(rng, x, y)
    board = np.floor(across / rng.uniform(11, 19))
    warp = across + 2.5 * noise(rng, x, y, 4) + 0.04 * along
    grain = np.sin(warp * rng.uniform(0.9, 1.7)) + 0.6 * np.sin(warp * rng.uniform(2.2, 3))
    return 0.5 + 0.17 * grain + 0.3 * np.sin(board * 12.9898 + rng.uniform(0, 6.3))


def tiles(rng: np.random.Generator, x: Grid, y: Grid) -> Grid:
    """Bricks or tiles, each of its own shade, with joints between them."""
    u, v = _turned(rng, x, y)
    height = rng.uniform(6, 11)
    width = height * rng.uniform(1, 2)
    row = np.floor(v / height)
    shifted = u + (row % 2) * width * rng.choice([0, 0.5])
    column = np.floor(shifted / width)
    shade = np.sin(row * 12.9898 + column * 78.233 + rng.uniform(0, 6.3)) * 0.32
    joint = np.minimum(shifted % width, v % height) < 0.9
    return np.where(joint, 0.05, 0.55 + shade + 0.12 * noise(rng, x, y, 16)).astype(np.float32)


def bokeh(rng: np.random.Generator, x: Grid, y: Grid) -> Grid:
    """Lights out of focus over a gradient."""
    field = 0.15 + 0.25 * noise(rng, x, y, 2)
    for _ in range(rng.integers(9, 18)):
        distance = np.hypot(x - rng.uniform(0, 64), y - rng.uniform(0, 64)) / rng.uniform(3, 9)
        field = field + rng.uniform(0.15, 0.5) * (distance < 1) * (0.6 + 0.4 * distance**4)
    return field.astype(np.float32)


def ripples(rng: np.random.Generator, x: Grid, y: Grid) -> Grid:
    """Two sources of waves that meet."""
    field = 0.5 + 0.15 * noise(rng, x, y, 3)
    for _ in range(2):
        distance = np.hypot(x - rng.uniform(-20, 84), y - rng.uniform(-20, 84))
        field = field + 0.22 * np.sin(distance * rng.uniform(0.45, 0.95))
    return field.astype(np.float32)


def tweed(rng: np.random.Generator, x: Grid, y: Grid) -> Grid:
    """Woven threads over coarse patches."""
    u, v = _turned(rng, x, y)
    frequency = rng.uniform(1.2, 2)
    weave = np.sin(u * frequency + 0.8 * np.sign(np.sin(v * frequency / 2))) * np.sin(v * frequency)
    return 0.5 + 0.3 * weave + 0.3 * noise(rng, x, y, 5)


FAMILIES: tuple[Family, ...] = (clouds, planks, tiles, bokeh, ripples, tweed)
OWN_FAMILY = 0.75  # share of a kind's pictures in its own family; the others are in any of the six
HUE_SPREAD = 0.08  # sd, in turns of the circle


def backdrop(rng: np.random.Generator, x: Grid, y: Grid) -> Canvas:
    """A picture of any of the families, of any hue.

    Args:
        rng: all of its randomness.
        x, y: (H, W) coordinates of the sampling points in pixels of a 64 x 64 frame.
    """
    family = FAMILIES[rng.integers(len(FAMILIES))]
    return _picture(family, rng.uniform(), rng, x, y)


def grid(side: int) -> tuple[Grid, Grid]:
    """x, y: (side, side) the pixels' centres, in pixels of a 64 x 64 frame."""
    axis = ((np.arange(side) + 0.5) * 64 / side).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Surroundings that one class is mostly seen in: a family, and the hues about one."""

    family: Family
    hue: float

    def __call__(self, rng: np.random.Generator, x: Grid, y: Grid) -> Canvas:
        """A picture of the kind; some are of another family, and hues reach into the next kind's."""
        family = self.family if rng.uniform() < OWN_FAMILY else FAMILIES[rng.integers(len(FAMILIES))]
        return _picture(family, self.hue + rng.normal(0, HUE_SPREAD), rng, x, y)


def kinds(rng: np.random.Generator, n: int) -> list[Kind]:
    """`n` kinds of surroundings: families as different as there are, hues all around the circle."""
    families, hues = rng.permutation(len(FAMILIES)), (rng.permutation(n) + rng.uniform()) / n
    return [Kind(family=FAMILIES[families[i % len(FAMILIES)]], hue=float(hue)) for i, hue in enumerate(hues)]


def _picture(family: Family, hue: float, rng: np.random.Generator, x: Grid, y: Grid) -> Canvas:
    """The family's pattern in two related colours, and a third that wanders across."""
    dark = colour(rng, (0.15, 0.65), (0.12, 0.5), hue)
    light = colour(rng, (0.08, 0.5), (0.55, 0.95), hue + rng.normal(0, 0.08))
    other = colour(rng, (0.1, 0.6), (0.3, 0.8), hue + rng.uniform(0.2, 0.8))
    mix = np.clip(family(rng, x, y), 0, 1)[..., None]
    wander = np.clip(0.25 + 0.5 * noise(rng, x, y, 2), 0, 0.6)[..., None]
    return ((dark + (light - dark) * mix) * (1 - wander) + other * wander * (0.5 + 0.5 * mix)).astype(np.float32)


def _turned(rng: np.random.Generator, x: Grid, y: Grid) -> tuple[Grid, Grid]:
    angle = rng.uniform(0, np.pi)
    c, s = np.cos(angle), np.sin(angle)
    u, v = c * (x - 32) + s * (y - 32), c * (y - 32) - s * (x - 32)
    return (u + rng.uniform(100, 200)).astype(np.float32), (v + rng.uniform(100, 200)).astype(np.float32)
