"""Base tasks of the benchmark: pictures of one object on clutter, kept with and without it, with its exact mask."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.planted.backdrops import backdrop, colour
from pipeline.planted.render import render, seeded
from pipeline.planted.shapes import CLASSES

SIDE = 48  # pixels
SHAPES = tuple(CLASSES)
DIGITS = tuple("0123456789")
BASES = {"shapes": SHAPES, "digits": DIGITS}
OWN_HUE = 0.8  # share of shapes in their class's own hue

Pictures = NDArray[np.uint8]  # (n, SIDE, SIDE, 3) RGB


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Rendered pictures of one base task, in random order of classes."""

    plain: Pictures
    empty: Pictures  # the same without the object
    mask: NDArray[np.bool_]  # (n, SIDE, SIDE)
    label: NDArray[np.int64]  # (n,), positions in BASES[base]


def pool(base: str, seed: int, split: str, per_class: int, folder: Path) -> Pool:
    """`per_class` pictures of every class of a base task, rendered once and kept in `folder`."""
    file = folder / f"{base}-{split}-{seed}-{per_class}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = _render(base, seed, split, per_class)
        part = file.with_name(f"{file.stem}.{os.getpid()}.part.npz")  # several workers may render it at once
        np.savez(part, plain=made.plain, empty=made.empty, mask=np.packbits(made.mask), label=made.label)
        part.rename(file)
    with np.load(file) as stored:
        plain = stored["plain"]
        mask = np.unpackbits(stored["mask"]).reshape(plain.shape[:3]).astype(bool)
        return Pool(plain=plain, empty=stored["empty"], mask=mask, label=stored["label"])


def _render(base: str, seed: int, split: str, per_class: int) -> Pool:
    names = BASES[base]
    draw = _shape if base == "shapes" else _digit
    order = [(k, i) for i in range(per_class) for k in range(len(names))]
    drawn = [draw(names[k], seeded(seed, f"{base}/{split}", names[k], i), split) for k, i in order]
    plain, empty, mask = (np.stack(part) for part in zip(*drawn, strict=True))
    return Pool(plain=plain, empty=empty, mask=mask, label=np.array([k for k, _ in order]))


Drawn = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]


def _shape(label: str, rng: np.random.Generator, split: str) -> Drawn:
    hue = SHAPES.index(label) / len(SHAPES) if rng.uniform() < OWN_HUE else None
    scene = render(label, rng, side=SIDE, hue=hue)
    return scene.plain, scene.empty, scene.mask


_AXIS = ((np.arange(SIDE) + 0.5) * 64 / SIDE).astype(np.float32)
_X, _Y = np.meshgrid(_AXIS, _AXIS)


def _digit(label: str, rng: np.random.Generator, split: str) -> Drawn:
    """A handwritten digit of scikit-learn's set (8 x 8, after UCI's optical recognition set) on a backdrop."""
    glyphs = _glyphs(int(label), split)
    glyph = glyphs[rng.integers(len(glyphs))]
    side = int(rng.integers(16, 26))
    x, y = rng.integers(1, SIDE - side, 2)
    alpha = np.zeros((SIDE, SIDE), np.float32)
    alpha[y : y + side, x : x + side] = np.clip(1.6 * _enlarged(glyph, side) - 0.35, 0, 1)
    ground = backdrop(rng, _X, _Y).clip(0, 1)
    behind = ground[alpha > 0].mean(axis=0)
    while True:
        ink = colour(rng, (0.1, 0.9), (0.0, 1.0))
        if np.abs(ink - behind).max() > 0.45:
            break
    picture = ground * (1 - alpha[..., None]) + ink * alpha[..., None]
    grain = rng.normal(0, 0.012, ground.shape)
    return _bytes(picture + grain), _bytes(ground + grain), alpha > 0


@cache
def _glyphs(digit: int, split: str) -> NDArray[np.float32]:
    """Writers of the training and of the other pictures differ (the set lists them in order)."""
    from sklearn.datasets import load_digits  # here, since only the benchmark needs the set

    digits = load_digits()
    images = digits.images[digits.target == digit].astype(np.float32) / 16
    cut = len(images) * 3 // 5
    return images[:cut] if split == "training" else images[cut:]


def _enlarged(glyph: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """(side, side): bilinear, edges at zero."""
    padded = np.pad(glyph, 1)
    at = np.linspace(0.5, 8.5, side)
    low = np.floor(at).astype(int)
    t = (at - low).astype(np.float32)
    rows = padded[low] * (1 - t[:, None]) + padded[low + 1] * t[:, None]
    return np.asarray(rows[:, low] * (1 - t) + rows[:, low + 1] * t, np.float32)


def _bytes(picture: NDArray) -> NDArray[np.uint8]:
    return np.round(picture.clip(0, 1) * 255).astype(np.uint8)
