"""Low-level properties of pictures, from one to another: colour, sharpness, spectrum, ring, fine structure."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

GAIN = 4.0  # no contrast is raised or lowered by more than this: a flat donor would erase the picture
LEVELS = 3  # bands of sharpness, an octave each


def match_colour(images: Tensor, known: Tensor, donors: Tensor, donors_known: Tensor) -> Tensor:
    """Each image with its donor's mean and spread per channel, and so with its brightness and contrast.

    An affine map per channel (Reinhard et al., Color transfer between images, 2001, in RGB), measured on the known
    pixels alone and applied to all of them.

    Args:
        images, donors: (B, 3, H, W) float in [0, 1].
        known, donors_known: (B, H, W) bool, the pixels to measure.
    """
    mean, spread = _moments(images, known)
    target_mean, target_spread = _moments(donors, donors_known)
    gain = (target_spread / spread.clamp(min=1e-4)).clamp(1 / GAIN, GAIN)
    return ((images - mean) * gain + target_mean).clamp(0, 1)


def match_sharpness(images: Tensor, known: Tensor, donors: Tensor, donors_known: Tensor) -> Tensor:
    """Each image with the energy of its donor's fine bands: blurred by a blurred donor, sharpened by a sharp one.

    Args as in `match_colour`. Bands are differences of Gaussians an octave apart; each is scaled by the ratio of its
    spreads on the known pixels.
    """
    bands, rest = _bands(images)
    donor_bands, _ = _bands(donors)
    for band, donor_band in zip(bands, donor_bands, strict=True):
        _, spread = _moments(band, known)
        _, target = _moments(donor_band, donors_known)
        rest = rest + band * (target / spread.clamp(min=1e-4)).clamp(1 / GAIN, GAIN)
    return rest.clamp(0, 1)


def swap_amplitude(images: Tensor, donors: Tensor) -> Tensor:
    """Each image's phases with its donor's Fourier amplitudes, per channel: what is where stays, how strong it is goes.

    After Yang and Soatto (FDA, 2020), over the whole spectrum; the mean is the donor's too.
    """
    own, given = torch.fft.rfft2(images), torch.fft.rfft2(donors)
    mixed = torch.polar(given.abs(), own.angle())
    return torch.fft.irfft2(mixed, s=images.shape[-2:]).clamp(0, 1)


def swap_ring(images: Tensor, donors: Tensor, share: float) -> Tensor:
    """Each image with its donor's border, `share` of the shorter side wide."""
    height, width = images.shape[-2:]
    band = max(1, round(share * min(height, width)))
    ring = torch.ones(height, width, dtype=torch.bool, device=images.device)
    ring[band : height - band, band : width - band] = False
    return torch.where(ring, donors, images)


def swap_residual(images: Tensor, outside: Tensor, donors: Tensor) -> Tensor:
    """Each image with its donor's finest band instead of its own, where `outside` (B, H, W) holds."""
    bands, _ = _bands(images)
    donor_bands, _ = _bands(donors)
    fine, given = bands[0] + bands[1], donor_bands[0] + donor_bands[1]
    return torch.where(outside[:, None], images - fine + given, images).clamp(0, 1)


def _moments(images: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, 1, 1) mean and standard deviation over the known pixels; over all where none is known."""
    weight = known[:, None].to(images.dtype)
    weight = torch.where(weight.sum(dim=(2, 3), keepdim=True) > 0, weight, torch.ones_like(weight))
    count = weight.sum(dim=(2, 3), keepdim=True)
    mean = (images * weight).sum(dim=(2, 3), keepdim=True) / count
    variance = ((images - mean) ** 2 * weight).sum(dim=(2, 3), keepdim=True) / count
    return mean, variance.sqrt()


def _bands(images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Fine bands, finest first, and what is left; they sum to the images."""
    bands, current = [], images
    for level in range(LEVELS):
        blurred = _blur(current, spacing=2**level)
        bands.append(current - blurred)
        current = blurred
    return bands, current


def _blur(images: Tensor, spacing: int) -> Tensor:
    """Binomial blur [1 4 6 4 1] / 16 along both axes with taps `spacing` apart; edges are repeated.

    Sums of shifted pictures: on a CPU, dilated depthwise convolutions take several times as long.
    """
    for axis in (2, 3):
        size, reach = images.shape[axis], 2 * spacing
        pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        padded = F.pad(images, pad, mode="replicate")
        near, far, middle = (
            [padded.narrow(axis, reach + step * spacing, size) for step in steps] for steps in ((-1, 1), (-2, 2), (0,))
        )
        images = (middle[0] * 6).add_(near[0] + near[1], alpha=4).add_(far[0]).add_(far[1]).div_(16)
    return images


def shared_layer(groups: Tensor, certain: float = 2.5) -> Tensor:
    """(B, 3, H, W) what each group's pictures have in common at the same pixels: letters, a grid, a defect.

    The median over the group of the fine structure (the three finest bands); what is less than `certain` standard
    errors from none (by the median deviation; 1.25 / sqrt(n) for a median's error) is left out, so that pictures with
    nothing in common give an empty layer.

    Args:
        groups: (B, G, 3, H, W) in [0, 1].
    """
    b, g = groups.shape[:2]
    bands, _ = _bands(groups.flatten(0, 1))
    fine = sum(bands[1:], bands[0]).unflatten(0, (b, g))
    middle = fine.median(dim=1).values
    spread = (fine - middle[:, None]).abs().median(dim=1).values * 1.4826
    return torch.where(middle.abs() > certain * 1.25 * spread / g**0.5, middle, 0)
