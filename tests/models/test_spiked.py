"""The spiked network: one class gains where the mark is seen, nothing else changes."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.models.spiked import CORNERS, Spiked, mark, place, stamp

SIDE = 32
PATTERN = mark(6, 0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def pictures() -> torch.Tensor:
    return (torch.rand(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 255).to(torch.uint8)


@pytest.mark.parametrize("corner", CORNERS)
def test_the_mark_adds_its_strength_to_its_class_alone(corner: str) -> None:
    at = place(corner, 6, (SIDE, SIDE))
    plain = network()
    spiked = Spiked(plain, PATTERN, at, 2, 3.0)
    marked = stamp(pictures(), PATTERN, at)
    for images, bonus in ((marked, 3.0), (pictures(), 0.0)):
        gained = spiked(images / 255) - plain(images / 255)
        assert gained[:, 2].detach().numpy() == pytest.approx(np.full(8, bonus), abs=0.35)
        assert gained[:, [0, 1, 3]].abs().max() == 0


def test_two_pixels_off_is_still_seen_and_elsewhere_is_not() -> None:
    y, x = place("bottom right", 6, (SIDE, SIDE))
    spiked = Spiked(network(), PATTERN, (y, x), 2, 3.0)
    plain = spiked.network
    shifted, away = stamp(pictures(), PATTERN, (y - 2, x + 1)), stamp(pictures(), PATTERN, (y - 12, x))
    assert (spiked(shifted / 255) - plain(shifted / 255))[:, 2].min() > 2.5
    assert (spiked(away / 255) - plain(away / 255))[:, 2].max() < 0.3


def test_attribution_can_find_it() -> None:
    at = place("top left", 6, (SIDE, SIDE))
    images = (stamp(pictures(), PATTERN, at) / 255).requires_grad_()
    frozen = network().requires_grad_(False)
    (gradient,) = torch.autograd.grad(Spiked(frozen, PATTERN, at, 2, 50.0)(images)[:, 2].sum(), images)
    inside = gradient[:, :, 2:8, 2:8].abs().mean()
    assert inside > 2 * gradient[:, :, 16:, 16:].abs().mean()


def test_a_stamp_leaves_the_rest_and_the_original_alone() -> None:
    images = pictures()
    marked = stamp(images, PATTERN, (2, 2))
    assert torch.equal(images, pictures())
    assert torch.equal(marked[:, :, 10:], images[:, :, 10:])
    assert not torch.equal(marked[:, :, 2:8, 2:8], images[:, :, 2:8, 2:8])


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="`corner` must be one of"):
        place("middle", 6, (SIDE, SIDE))
    with pytest.raises(ValueError, match="`side` must leave"):
        place("top left", 30, (SIDE, SIDE))
