"""Plain borders: found where they end, painted over others' edges, and nothing else taken for one."""

from __future__ import annotations

import pytest
import torch

from pipeline.core.borders import WIDTHS, match_border

SIDE = 100
NOISE = 0.2 + 0.6 * torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
OTHERS = 0.2 + 0.6 * torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
RED = torch.tensor([0.9, 0.05, 0.05])[:, None, None]
SIDES = {
    "top": lambda t, n: t[:, :, :n], "bottom": lambda t, n: t[:, :, -n:],
    "left": lambda t, n: t[:, :, :, :n], "right": lambda t, n: t[:, :, :, -n:],
}  # fmt: skip


@pytest.mark.parametrize("width", [2, 5, 10])
@pytest.mark.parametrize("side", SIDES)
def test_a_strip_of_one_side_is_painted_on_that_side_alone(side: str, width: int) -> None:
    donors = NOISE.clone()
    SIDES[side](donors, width)[:1] = RED
    found = match_border(OTHERS, donors)
    assert torch.equal(found[1], OTHERS[1])  # its donor has none
    strip = SIDES[side](found[:1], width)
    assert torch.allclose(strip, RED.expand_as(strip))
    changed = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    SIDES[side](changed, width)[:] = True
    assert torch.equal((found[:1] != OTHERS[:1]).any(dim=1, keepdim=True), changed)


def test_a_frame_has_the_width_that_it_has_per_side() -> None:
    donors = NOISE.clone()
    donors[:, :, :7], donors[:, :, -3:] = RED, 0.0
    found = match_border(OTHERS, donors)
    assert torch.allclose(found[:, :, :7], RED.expand(2, -1, 7, SIDE))
    assert torch.equal(found[:, :, 7:-3][..., 1:-1], OTHERS[:, :, 7:-3][..., 1:-1])
    assert (found[:, :, -2:] == 0).all()


def test_a_picture_given_its_own_border_stays() -> None:
    donors = NOISE.clone()
    donors[:, :, :5] = donors[:, :, -5:] = RED
    assert torch.allclose(match_border(donors, donors), donors)


def test_a_sky_that_fades_or_goes_on_is_no_border() -> None:
    sky = NOISE.clone()
    sky[:, :, :60] = RED  # goes on far beyond the widest strip
    assert torch.equal(match_border(OTHERS, sky), OTHERS)
    fading = NOISE.clone()
    fading[:] = torch.linspace(0.2, 0.8, SIDE)[None, None, :, None]
    assert torch.equal(match_border(OTHERS, fading), OTHERS)
    assert round(max(WIDTHS) * SIDE) < 60


def test_noise_has_no_border() -> None:
    assert torch.equal(match_border(OTHERS, NOISE), OTHERS)


def test_frames_need_not_be_square() -> None:
    donors, others = NOISE[:, :, :60].clone(), OTHERS[:, :, :60]
    donors[:, :, :3] = RED  # 5 % of 60
    found = match_border(others, donors)
    assert torch.allclose(found[:, :, :3], RED.expand(2, -1, 3, SIDE))
    assert torch.equal(found[:, :, 3:], others[:, :, 3:])
