"""Where attribution points to: halves by the id alone, peaks off the objects, hotspots that the other half proposes."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.passes.point import GRID, contrast, half, peaks, pointed, small_maps

INSIDE = torch.zeros(2, 32, 32, dtype=torch.bool)
INSIDE[:, 8:16, 8:16] = True


def maps() -> torch.Tensor:
    """Most on the object, some at its rim, some in the lower right corner."""
    values = torch.full((2, 32, 32), 1e-4)
    values[:, 8:16, 8:16], values[:, 8:16, 16], values[:, 26:30, 26:30] = 5.0, 3.0, 1.0
    return values


def test_halves_depend_on_the_id_alone_and_are_about_even() -> None:
    ids = [f"image-{i}" for i in range(400)]
    found = [half(i) for i in ids]
    assert found == [half(i) for i in ids]
    assert 160 < sum(found) < 240


def test_a_peak_lies_off_the_object_and_its_rim() -> None:
    x0, y0, x1, y1 = peaks([maps()], INSIDE)[0].tolist()
    assert (x1 - x0, y1 - y0) == (6, 6)
    assert (x0 <= 26, x1 >= 30, y0 <= 26, y1 >= 30) == (True,) * 4
    assert peaks([], INSIDE).isnan().all()


def test_small_maps_hold_the_outside_share() -> None:
    small = small_maps([maps(), maps()], INSIDE)
    assert small.shape == (2, GRID, GRID)
    share = maps()[0] / maps()[0].sum()
    assert small[0].sum() == pytest.approx(float(share[~INSIDE[0]].sum()), rel=1e-4)
    assert small[0, 13:15, 13:15].sum() == pytest.approx(float(share[26:30, 26:30].sum()), rel=1e-4)
    assert not small_maps([], INSIDE).any()


def test_each_half_is_tested_on_what_the_other_one_proposes() -> None:
    images = pd.DataFrame({"class": ["a", "a", "b", "b"], "half": [0, 1, 0, 1]})
    sums = np.full((2, 2, 32, 32), 0.01)
    sums[0, 0, 2:6, 2:6] = 1.0  # half 0 of class a: upper left; half 1: lower right
    sums[1, 0, 26:30, 26:30] = 1.0
    found = pointed(images, ["a", "b"], {"saliency": sums})["hotspots"]
    (x0, y0, _, _), (u0, v0, _, _) = found[1][0], found[0][0]
    assert max(x0, y0) <= 6
    assert min(u0, v0) >= 20


def test_a_class_is_contrasted_with_the_others_at_equal_mass() -> None:
    means = np.ones((3, 8, 8))
    means[0, 0, 0] = 65.0
    means[1] *= 50  # more mass, the same shape
    found = contrast(means, 0)
    assert found.sum() == pytest.approx(0)
    assert found[0, 0] == pytest.approx(65 / 128 - 1 / 64)
    assert np.abs(contrast(means[:1], 0)[1:, 1:]).max() < 0.02


def test_a_class_without_images_in_a_half_proposes_nothing_there() -> None:
    images = pd.DataFrame({"class": ["a", "a", "b"], "half": [0, 1, 1]}, index=[5, 7, 9])  # b: none in half 0
    sums = np.full((2, 2, 32, 32), 0.01)
    sums[:, 0, 2:6, 2:6] = 1.0
    found = pointed(images, ["a", "b"], {"saliency": sums})["hotspots"]
    assert found[9] == []
    assert found[5]
    assert found[7]
    assert pointed(images, ["a", "b"], {})["hotspots"].tolist() == [[], [], []]


def test_methods_count_equally_whatever_their_scale() -> None:
    """One method's corner must not drown the other's."""
    first, second = torch.full((1, 32, 32), 1e-6), torch.full((1, 32, 32), 1e-6)
    first[:, 1:4, 1:4], second[:, 27:30, 27:30] = 1.0, 1e6
    none = torch.zeros(1, 32, 32, dtype=torch.bool)
    small = small_maps([first, second], none)[0]
    assert small[:3, :3].sum() == pytest.approx(0.5, rel=1e-3)
    assert small[13:, 13:].sum() == pytest.approx(0.5, rel=1e-3)


def test_an_image_without_attribution_has_no_shares_and_does_no_harm() -> None:
    values = maps()
    values[0] = 0
    assert not small_maps([values], INSIDE)[0].any()
    assert small_maps([values], INSIDE)[1].sum() > 0
    assert peaks([values], INSIDE).shape == (2, 4)


def test_a_method_without_a_map_does_not_halve_the_others() -> None:
    empty = torch.zeros_like(maps())
    assert torch.allclose(small_maps([maps(), empty], INSIDE), small_maps([maps()], INSIDE))
    assert torch.equal(peaks([empty, maps()], INSIDE), peaks([maps()], INSIDE))
