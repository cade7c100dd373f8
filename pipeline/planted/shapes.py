"""What the objects look like: outlines in polar form, and the textures that fill them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float32]
Colour = NDArray[np.float32]  # (3,) RGB in [0, 1]

Outline = Callable[[NDArray, np.random.Generator], NDArray]  # angles -> radii, the largest about 1
Texture = Callable[[Grid, Grid, np.random.Generator], Grid]  # object coordinates, about [-1, 1] -> share of the accent


def star(angle: NDArray, rng: np.random.Generator) -> NDArray:
    """Five points; the valleys' radius varies."""
    valley = rng.uniform(0.44, 0.58)
    half = np.pi / 5
    folded = np.abs((angle + half) % (2 * half) - half)  # 0 at a point, `half` in a valley
    # The straight edge from (1, 0) to the valley, seen from the centre at this angle.
    return valley * np.sin(half) / (valley * np.sin(half - folded) + np.sin(folded))


def ring(angle: NDArray, rng: np.random.Generator) -> NDArray:
    """A circle; its hole is cut by `inside`."""
    return np.ones_like(angle)


def heart(angle: NDArray, rng: np.random.Generator) -> NDArray:
    """The sine-cubed heart curve, seen from a point between its lobes."""
    t = np.linspace(0, 2 * np.pi, 400)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    seen, radii = np.arctan2(y, x) % (2 * np.pi), np.hypot(x, y) / 17
    order = np.argsort(seen)
    return np.interp(angle, seen[order], radii[order], period=2 * np.pi)


def flower(angle: NDArray, rng: np.random.Generator) -> NDArray:
    """Five or six round petals."""
    petals, depth = rng.integers(5, 7), rng.uniform(0.28, 0.42)
    return 1 - depth * (1 - np.abs(np.cos(petals * angle / 2)))


def cross(angle: NDArray, rng: np.random.Generator) -> NDArray:
    """Four arms of equal width."""
    width = rng.uniform(0.28, 0.38)
    c, s = np.abs(np.cos(angle)) + 1e-9, np.abs(np.sin(angle)) + 1e-9
    return np.maximum(np.minimum(1 / c, width / s), np.minimum(width / c, 1 / s))


def stripes(u: Grid, v: Grid, rng: np.random.Generator) -> Grid:
    return _hard(np.sin(np.pi * rng.uniform(2.4, 3.6) * u + rng.uniform(0, 6.3)))


def dots(u: Grid, v: Grid, rng: np.random.Generator) -> Grid:
    pitch = rng.uniform(0.5, 0.7)
    shift = rng.uniform(0, pitch, 2)
    row = np.floor((v + shift[1]) / pitch)
    x = (u + shift[0] + row % 2 * pitch / 2) % pitch - pitch / 2
    y = (v + shift[1]) % pitch - pitch / 2
    return _hard((0.31 * pitch) ** 2 - x**2 - y**2)


def checks(u: Grid, v: Grid, rng: np.random.Generator) -> Grid:
    frequency = np.pi * rng.uniform(1.4, 2.1)
    shift = rng.uniform(0, 6.3, 2)
    return _hard(np.sin(frequency * u + shift[0]) * np.sin(frequency * v + shift[1]))


def target(u: Grid, v: Grid, rng: np.random.Generator) -> Grid:
    return _hard(np.sin(np.pi * rng.uniform(2.6, 3.8) * np.hypot(u, v) + rng.uniform(0, 6.3)))


def lattice(u: Grid, v: Grid, rng: np.random.Generator) -> Grid:
    pitch = rng.uniform(0.45, 0.6)
    shift = rng.uniform(0, pitch, 2)
    x, y = (u + v + shift[0]) % pitch, (u - v + shift[1]) % pitch
    return _hard(0.3 * pitch - np.minimum(x, y))


def _hard(field: Grid) -> Grid:
    return (field > 0).astype(np.float32)


# Every class has its outline, and a texture that it wears more often than the others do.
CLASSES: dict[str, tuple[Outline, Texture]] = {
    "star": (star, stripes),
    "ring": (ring, dots),
    "heart": (heart, checks),
    "flower": (flower, target),
    "cross": (cross, lattice),
}
TEXTURES: tuple[Texture, ...] = tuple(texture for _, texture in CLASSES.values())


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An outline at a place: radii over the full turn, in pixels."""

    radii: NDArray  # at `ANGLES`
    rotation: float
    origin: tuple[float, float]  # x, y
    hole: float  # radius of the ring's hole in pixels, or 0
    scale: float  # pixels per unit of the texture

    def local(self, x: Grid, y: Grid) -> tuple[Grid, Grid]:
        """Texture coordinates of the pixels at `x`, `y`."""
        dx, dy = (x - self.origin[0]) / self.scale, (y - self.origin[1]) / self.scale
        c, s = np.cos(self.rotation), np.sin(self.rotation)
        return (c * dx + s * dy).astype(np.float32), (c * dy - s * dx).astype(np.float32)

    def depth(self, x: Grid, y: Grid) -> Grid:
        """Distance to the outline along the ray from the origin, in pixels; positive inside the object."""
        dx, dy = x - self.origin[0], y - self.origin[1]
        distance = np.hypot(dx, dy)
        radius = np.interp(np.arctan2(dy, dx) - self.rotation, ANGLES, self.radii, period=2 * np.pi)
        depth = radius - distance
        return np.minimum(depth, distance - self.hole) if self.hole else depth


ANGLES = np.linspace(0, 2 * np.pi, 720, endpoint=False)


def place(name: str, centre: tuple[float, float], side: float, rng: np.random.Generator) -> Shape:
    """The class's outline, turned at random, its bounding box centred at `centre` (x, y) in pixels.

    The longer side of that box is `side`, whatever the class and the rotation, so that boxes tell nothing of the class.
    """
    rotation = rng.uniform(0, 2 * np.pi)
    radii = CLASSES[name][0](ANGLES, rng)
    x, y = radii * np.cos(ANGLES + rotation), radii * np.sin(ANGLES + rotation)
    scale = side / max(np.ptp(x), np.ptp(y))
    origin = (centre[0] - scale * (x.max() + x.min()) / 2, centre[1] - scale * (y.max() + y.min()) / 2)
    hole = scale * rng.uniform(0.34, 0.46) if name == "ring" else 0.0
    return Shape(radii=scale * radii, rotation=rotation, origin=origin, hole=hole, scale=side / 2)
