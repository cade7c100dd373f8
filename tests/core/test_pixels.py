"""Fills change the hole and nothing else; pastes land where they should."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.pixels import FILLS, blur_fill, mean_fill, paste, smooth_fill


def _scene(height: int = 23, width: int = 37, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    hole = torch.zeros(2, height, width, dtype=torch.bool)
    hole[0, 5:15, 8:20] = True
    hole[1, 0:9, 30:37] = True
    return images, hole


@pytest.mark.parametrize("name", FILLS)
def test_pixels_outside_the_hole_stay_bit_for_bit(name: str) -> None:
    images, hole = _scene()
    filled = FILLS[name](images, hole)
    keep = (~hole)[:, None].expand_as(images)
    assert torch.equal(filled[keep], images[keep])
    assert not torch.equal(filled, images)


@pytest.mark.parametrize("name", FILLS)
def test_what_the_hole_held_does_not_matter(name: str) -> None:
    images, hole = _scene()
    other = torch.where(hole[:, None], 1 - images, images)
    assert torch.equal(FILLS[name](images, hole), FILLS[name](other, hole))


@pytest.mark.parametrize("name", ["smooth", "blur", "mean"])
def test_a_constant_picture_is_filled_with_its_constant(name: str) -> None:
    _, hole = _scene()
    images = torch.full((2, 3, 23, 37), 0.3, dtype=torch.float64)
    assert torch.allclose(FILLS[name](images, hole), images, atol=1e-6)


@pytest.mark.parametrize("name", FILLS)
def test_a_hole_over_everything_is_mid_grey(name: str) -> None:
    images, hole = _scene()
    assert torch.allclose(FILLS[name](images, torch.ones_like(hole)), torch.tensor(0.5, dtype=torch.float64))


@pytest.mark.parametrize("name", FILLS)
def test_an_image_does_not_depend_on_its_batch(name: str) -> None:
    images, hole = _scene()
    together = FILLS[name](images, hole)
    alone = torch.cat([FILLS[name](images[i : i + 1], hole[i : i + 1]) for i in range(2)])
    assert torch.allclose(together, alone, atol=1e-12)


def test_the_smooth_fill_continues_a_ramp_better_than_the_mean() -> None:
    ramp = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 3, 64, 64)
    hole = torch.zeros(1, 64, 64, dtype=torch.bool)
    hole[:, 20:36, 34:50] = True
    smooth, flat = ((fill(ramp, hole) - ramp).abs().max().item() for fill in (smooth_fill, mean_fill))
    assert smooth < 0.12 < flat


def test_the_blur_fill_is_a_normalised_gaussian_over_the_known_pixels() -> None:
    """Against a loop over pixels, as written in the docstring."""
    images, hole = _scene(11, 13)
    filled, sigma = blur_fill(images, hole, sigma=0.2), 0.2 * 11
    radius = round(3 * sigma)
    y0, x0 = 7, 10
    total, weight = torch.zeros(3, dtype=torch.float64), 0.0
    for y in range(max(0, y0 - radius), min(11, y0 + radius + 1)):
        for x in range(max(0, x0 - radius), min(13, x0 + radius + 1)):
            if not hole[0, y, x]:
                w = float(
                    torch.exp(torch.tensor(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * sigma**2), dtype=torch.float64))
                )
                total, weight = total + w * images[0, :, y, x], weight + w
    assert hole[0, y0, x0]
    assert torch.allclose(filled[0, :, y0, x0], total / weight, atol=1e-12)


def test_pasting_a_picture_at_its_own_place_changes_nothing() -> None:
    images, _ = _scene()
    regions = torch.tensor([[3.0, 4.0, 17.0, 18.0], [10.0, 2.0, 30.0, 22.0]], dtype=torch.float64)
    assert torch.allclose(paste(images, regions, images, regions), images, atol=1e-9)


@given(x=st.integers(0, 20), y=st.integers(0, 8), feather=st.sampled_from([0.0, 0.2]))
@settings(max_examples=20)
def test_a_pasted_region_arrives_pixel_for_pixel(x: int, y: int, feather: float) -> None:
    images, _ = _scene()
    onto = 1 - images
    regions = torch.tensor([[5.0, 6.0, 15.0, 16.0]] * 2, dtype=torch.float64)
    places = torch.tensor([[x, y, x + 10.0, y + 10.0]] * 2, dtype=torch.float64)
    result = paste(images, regions, onto, places, feather)
    inner = slice(3, 7)  # beyond the reach of the soft edge
    pasted = result[:, :, y : y + 10, x : x + 10]
    assert torch.allclose(pasted[:, :, inner, inner], images[:, :, 6:16, 5:15][:, :, inner, inner], atol=1e-9)
    outside = torch.ones(23, 37, dtype=torch.bool)
    outside[y : y + 10, x : x + 10] = False
    assert torch.equal(result[:, :, outside], onto[:, :, outside])


def test_pasting_enlarges() -> None:
    images = torch.zeros(1, 3, 20, 20)
    images[:, :, 5:10, 5:10] = 1
    result = paste(
        images, torch.tensor([[5.0, 5, 10, 10]]), torch.zeros(1, 3, 20, 20), torch.tensor([[2.0, 4, 12, 14]])
    )
    assert result[0, 0, 4:14, 2:12].min() > 0.4
    assert result.sum() == result[:, :, 4:14, 2:12].sum()
