"""Kinds of surroundings: one per class, apart from each other, and any backdrop still free of class."""

import colorsys

import numpy as np
import pytest

from pipeline.planted.backdrops import FAMILIES, grid, kinds
from pipeline.planted.bases import SIDE


def test_kinds_are_reproducible_of_different_families_and_of_hues_all_around() -> None:
    drawn = kinds(np.random.default_rng(1), 6)
    assert drawn == kinds(np.random.default_rng(1), 6)
    assert {k.family for k in drawn} == set(FAMILIES)
    assert np.diff(sorted(k.hue for k in drawn)) == pytest.approx(1 / 6)


def test_more_classes_than_families_still_have_hues_of_their_own() -> None:
    assert len({round(k.hue, 6) for k in kinds(np.random.default_rng(1), 10)}) == 10


def test_pictures_of_a_kind_vary_and_mostly_keep_to_its_hue() -> None:
    x, y = grid(SIDE)
    for kind in kinds(np.random.default_rng(1), 3):
        means = [kind(np.random.default_rng(i), x, y).mean(axis=(0, 1)) for i in range(60)]
        hues = np.array([colorsys.rgb_to_hsv(*m)[0] for m in means])
        away = np.abs((hues - kind.hue + 0.5) % 1 - 0.5)
        assert np.median(away) < 1 / 6
        assert np.ptp(np.array(means), axis=0).min() > 0.1


def test_the_grid_is_in_pixels_of_a_frame_of_64() -> None:
    x, y = grid(32)
    assert (x == y.T).all()
    assert (x[0, 0], x[0, 1], x[0, -1]) == (1, 3, 63)
