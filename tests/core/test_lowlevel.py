"""Low-level transfers against closed forms: what is measured on the result is what the donor had."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d, gaussian_filter

from pipeline.core.lowlevel import (
    GAIN,
    _bands,
    match_colour,
    match_sharpness,
    shared_layer,
    swap_amplitude,
    swap_residual,
    swap_ring,
)

G = torch.Generator().manual_seed(0)
PICTURES = 0.3 + 0.4 * torch.rand(3, 3, 24, 20, generator=G, dtype=torch.float64)
DONORS = 0.35 + 0.3 * torch.rand(3, 3, 24, 20, generator=G, dtype=torch.float64)
KNOWN = torch.rand(3, 24, 20, generator=G) > 0.3


def test_colour_has_the_donors_mean_and_spread_on_the_known_pixels() -> None:
    found = match_colour(PICTURES, KNOWN, DONORS, ~KNOWN)
    for b in range(3):
        ours, theirs = found[b][:, KNOWN[b]], DONORS[b][:, ~KNOWN[b]]
        assert torch.allclose(ours.mean(dim=1), theirs.mean(dim=1))
        assert torch.allclose(ours.std(dim=1, correction=0), theirs.std(dim=1, correction=0))


def test_a_flat_donor_does_not_erase_the_picture() -> None:
    flat = torch.full_like(PICTURES, 0.5)
    found = match_colour(PICTURES, KNOWN, flat, KNOWN)
    ratio = found[0][:, KNOWN[0]].std(dim=1) / PICTURES[0][:, KNOWN[0]].std(dim=1)
    assert torch.allclose(ratio, torch.full_like(ratio, 1 / GAIN))


def test_a_picture_given_its_own_properties_stays() -> None:
    outside = KNOWN
    for found in (
        match_colour(PICTURES, KNOWN, PICTURES, KNOWN),
        match_sharpness(PICTURES, KNOWN, PICTURES, KNOWN),
        swap_amplitude(PICTURES, PICTURES),
        swap_ring(PICTURES, PICTURES, 0.1),
        swap_residual(PICTURES, outside, PICTURES),
    ):
        assert torch.allclose(found, PICTURES)


def test_bands_sum_to_the_picture() -> None:
    bands, rest = _bands(PICTURES)
    assert torch.allclose(torch.stack(bands).sum(dim=0) + rest, PICTURES)


def test_bands_are_differences_of_binomial_blurs_an_octave_apart() -> None:
    current = PICTURES.numpy()
    for level, band in enumerate(_bands(PICTURES)[0]):
        taps = np.zeros(4 * 2**level + 1)
        taps[:: 2**level] = np.array([1, 4, 6, 4, 1]) / 16
        blurred = current
        for axis in (2, 3):
            blurred = correlate1d(blurred, taps, axis=axis, mode="nearest")
        np.testing.assert_allclose(band.numpy(), current - blurred, atol=1e-12)
        current = blurred


def test_a_blurred_donor_blurs() -> None:
    blurred = torch.from_numpy(gaussian_filter(DONORS.numpy(), sigma=(0, 0, 0.8, 0.8)))
    everything = torch.ones_like(KNOWN)
    finest = [
        _bands(images)[0][0].std() for images in (PICTURES, match_sharpness(PICTURES, everything, blurred, KNOWN))
    ]
    assert finest[1] < 0.6 * finest[0]


def test_no_band_is_raised_beyond_the_greatest_gain() -> None:
    faint = 0.5 + 0.001 * (PICTURES - 0.5)
    bands, rest = _bands(faint)
    found = match_sharpness(faint, KNOWN, DONORS, KNOWN)
    assert torch.allclose(found, rest + GAIN * torch.stack(bands).sum(dim=0))


def test_where_nothing_is_known_everything_is_measured() -> None:
    nothing, everything = torch.zeros_like(KNOWN), torch.ones_like(KNOWN)
    for match in (match_colour, match_sharpness):
        found = match(PICTURES, nothing, DONORS, nothing)
        assert torch.equal(found, match(PICTURES, everything, DONORS, everything))


def test_a_soft_donor_softens_and_a_sharp_one_sharpens() -> None:
    fine = lambda images: _bands(images)[0][0].std()  # noqa: E731
    soft = PICTURES.mean(dim=(2, 3), keepdim=True) + 0.2 * (PICTURES - PICTURES.mean(dim=(2, 3), keepdim=True))
    assert fine(match_sharpness(PICTURES, KNOWN, soft, KNOWN)) < 0.5 * fine(PICTURES)
    assert fine(match_sharpness(soft, KNOWN, PICTURES, KNOWN)) > 2 * fine(soft)


def test_the_spectrum_is_the_donors_and_the_phase_its_own() -> None:
    near = PICTURES + 0.01 * (DONORS - 0.5)  # so close that nothing is clipped
    found = torch.fft.rfft2(swap_amplitude(PICTURES, near))
    assert torch.allclose(found.abs(), torch.fft.rfft2(near).abs())
    own = torch.fft.rfft2(PICTURES)
    assert torch.allclose(found / found.abs(), own / own.abs())


def test_the_ring_is_the_donors_and_the_middle_its_own() -> None:
    found = swap_ring(PICTURES, DONORS, 0.1)  # 2 of 20 pixels
    assert torch.equal(found[:, :, 2:-2, 2:-2], PICTURES[:, :, 2:-2, 2:-2])
    assert torch.equal(found[:, :, :2], DONORS[:, :, :2])
    assert torch.equal(found[:, :, :, -2:], DONORS[:, :, :, -2:])


def test_the_ring_is_measured_on_the_shorter_side() -> None:
    for shape in ((1, 3, 40, 20), (1, 3, 20, 40)):
        given = swap_ring(torch.zeros(shape), torch.ones(shape), 0.1)
        assert given.sum() == 3 * (20 * 40 - 16 * 36)
    assert swap_ring(torch.zeros(1, 1, 5, 5), torch.ones(1, 1, 5, 5), 0.01).sum() == 16  # one pixel at least


def test_the_residual_changes_only_the_outside() -> None:
    found = swap_residual(PICTURES, KNOWN, DONORS)
    assert torch.equal(found.movedim(1, -1)[~KNOWN], PICTURES.movedim(1, -1)[~KNOWN])
    bands, donor_bands = _bands(PICTURES)[0], _bands(DONORS)[0]
    expected = (PICTURES - bands[0] - bands[1] + donor_bands[0] + donor_bands[1]).clamp(0, 1)
    assert torch.allclose(found.movedim(1, -1)[KNOWN], expected.movedim(1, -1)[KNOWN])


def unrelated(groups: int, size: int, seed: int = 0) -> torch.Tensor:
    return 0.2 + 0.6 * torch.rand(groups, size, 3, 40, 40, generator=torch.Generator().manual_seed(seed))


def letters() -> torch.Tensor:
    """(40, 40) bool: strokes two pixels wide."""
    shape = torch.zeros(40, 40, dtype=torch.bool)
    shape[10:30, 8:10] = shape[10:12, 8:20] = shape[19:21, 8:16] = shape[10:30, 28:30] = True
    return shape


def test_pictures_with_nothing_in_common_share_little() -> None:
    pictures = unrelated(3, 20)
    found = shared_layer(pictures)
    fine = torch.stack(_bands(pictures.flatten(0, 1))[0]).sum(dim=0)
    assert (found != 0).double().mean() < 0.12
    assert found.square().mean() < 0.08 * fine.square().mean()
    assert (shared_layer(pictures, certain=6.0) != 0).double().mean() < 0.01


def test_letters_over_unlike_pictures_are_found() -> None:
    pictures = unrelated(2, 12)
    plain = shared_layer(pictures)
    shape = letters()
    pictures[0] = torch.where(shape, 0.4 * pictures[0] + 0.6, pictures[0])
    found = shared_layer(pictures)
    assert found[0][:, shape].mean() > 0.1
    assert (found[0][:, shape] > 0).double().mean() > 0.9
    far = torch.nn.functional.max_pool2d(shape[None].float(), 19, stride=1, padding=9)[0] == 0
    assert far.any()
    assert found[0][:, far].abs().mean() < 0.2 * found[0][:, shape].mean()
    assert torch.equal(found[1], plain[1])  # the other group's is its own


def test_a_mark_on_less_than_half_of_the_group_is_outvoted() -> None:
    """The median: sixteen of forty calm pictures carry the letters, then twenty-eight."""
    shape = letters()
    calm = 0.5 + 0.02 * (unrelated(1, 40) - 0.5)
    few, many = (calm.clone() for _ in range(2))
    few[0, :16] = torch.where(shape, 0.9, few[0, :16])
    many[0, :28] = torch.where(shape, 0.9, many[0, :28])
    assert shared_layer(few)[0][:, shape].abs().mean() < 0.01
    assert shared_layer(many)[0][:, shape].mean() > 0.2


def test_one_picture_many_times_shares_its_fine_structure() -> None:
    one = unrelated(1, 1)
    bands, _ = _bands(one[0])
    assert torch.allclose(shared_layer(one.expand(1, 9, -1, -1, -1)), torch.stack(bands).sum(dim=0), atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_everything_stays_on_its_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    images, donors, known = PICTURES.to(device), DONORS.to(device), KNOWN.to(device)
    assert match_sharpness(images, known, donors, known).device.type == device
    assert swap_amplitude(images, donors).device.type == device
