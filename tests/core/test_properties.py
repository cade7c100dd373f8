"""Trivial properties by hand, and that the objects do not count."""

import numpy as np
import pytest

from pipeline.core.properties import properties

NOTHING = np.zeros((20, 20), bool)


def flat(*rgb: int) -> np.ndarray:
    return np.broadcast_to(np.array(rgb, np.uint8)[:, None, None], (3, 20, 20)).copy()


def test_a_flat_picture_by_hand() -> None:
    found = properties(flat(255, 51, 0), NOTHING)
    assert found["brightness"] == pytest.approx((1 + 0.2) / 3)
    assert (found["red"], found["green"], found["blue"]) == pytest.approx((1, 0.2, 0))
    assert found["saturation"] == pytest.approx(1)
    assert found["contrast"] == pytest.approx(0, abs=1e-6)
    assert found["sharpness"] == pytest.approx(np.log(1e-6), abs=1e-3)


def test_objects_do_not_count() -> None:
    image, inside = flat(51, 51, 51), NOTHING.copy()
    inside[5:15, 5:15] = True
    image[:, 5:15, 5:15] = np.random.default_rng(0).integers(0, 256, (3, 10, 10))
    found = properties(image, inside)
    assert found["brightness"] == pytest.approx(0.2)
    assert found["contrast"] == pytest.approx(0, abs=1e-6)


def test_blur_lowers_sharpness_and_the_border_is_the_border() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 20, 20)).astype(np.uint8)
    soft = np.repeat(np.repeat(noise[:, ::4, ::4], 4, axis=1), 4, axis=2)
    assert properties(soft, NOTHING)["sharpness"] < properties(noise, NOTHING)["sharpness"]
    framed = flat(0, 0, 0)
    framed[0, 0], framed[0, -1], framed[0, :, 0], framed[0, :, -1] = 255, 255, 255, 255
    assert properties(framed, NOTHING)["border_red"] == pytest.approx(1)
    assert properties(framed, NOTHING)["border_blue"] == 0


def test_a_full_mask_leaves_all_pixels() -> None:
    assert properties(flat(102, 102, 102), ~NOTHING)["brightness"] == pytest.approx(0.4)
