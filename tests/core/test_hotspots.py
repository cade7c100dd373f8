"""Hotspots: planted rectangles are found in noise, and the scan equals brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.hotspots import hotspots

SIDES = (0.1, 0.15, 0.2, 0.3, 0.4)


def iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize("box", [(2, 3, 8, 9), (40, 30, 55, 37), (10, 44, 36, 60), (50, 2, 62, 26)])
def test_marks_of_many_proportions_are_found(box: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = box
    for seed in range(5):
        contrast = np.random.default_rng(seed).normal(0, 1, (64, 64))
        contrast[y0:y1, x0:x1] += 1.5
        (found,) = hotspots(contrast, SIDES, 1, 0.5)
        assert iou(found.box, box) >= 0.5


@given(st.integers(0, 10_000))
def test_the_scan_is_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    contrast = rng.normal(size=(int(rng.integers(6, 12)), int(rng.integers(6, 12))))
    height, width = contrast.shape
    best = max(
        contrast[y : y + h, x : x + w].sum() / np.sqrt(h * w)
        for h in {max(1, round(s * height)) for s in SIDES}
        for w in {max(1, round(s * width)) for s in SIDES}
        for y in range(height - h + 1)
        for x in range(width - w + 1)
    )
    (found,) = hotspots(contrast, SIDES, 1, 0.5)
    x0, y0, x1, y1 = found.box
    assert found.score == pytest.approx(best)
    assert contrast[y0:y1, x0:x1].sum() / np.sqrt((y1 - y0) * (x1 - x0)) == pytest.approx(best)


def test_a_second_hotspot_does_not_touch_the_first_and_must_stand_out_too() -> None:
    contrast = np.full((40, 40), -0.05)
    contrast[2:8, 2:8], contrast[30:36, 30:36] = 3.0, 2.5
    first, second = hotspots(contrast, SIDES, 2, 0.5)
    assert iou(first.box, (2, 2, 8, 8)) > 0.5
    assert iou(second.box, (30, 30, 36, 36)) > 0.5
    contrast[30:36, 30:36] = 0.2
    assert len(hotspots(contrast, SIDES, 2, 0.5)) == 1


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 0.8]))
def test_hotspots_come_in_order_apart_and_not_far_below_the_first(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(8, 24, 2))
    contrast = rng.normal(size=(height, width))
    found = hotspots(contrast, SIDES, 6, least)
    scores = [h.score for h in found]
    assert len(found) <= 6
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 and score >= least * scores[0] for score in scores)
    for i, (x0, y0, x1, y1) in enumerate(h.box for h in found):
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert contrast[y0:y1, x0:x1].sum() / np.sqrt((y1 - y0) * (x1 - x0)) == pytest.approx(scores[i])
        assert all(iou((x0, y0, x1, y1), h.box) == 0 for h in found[:i])


def test_the_map_is_left_as_it_was() -> None:
    contrast = np.random.default_rng(0).normal(size=(20, 20))
    before = contrast.copy()
    hotspots(contrast, SIDES, 3, 0.5)
    assert np.array_equal(contrast, before)


def test_nothing_stands_out_of_nothing() -> None:
    assert hotspots(np.zeros((20, 20)), SIDES, 2, 0.5) == []
