"""Inside share and pointing: the golden vector, the peers' pitfalls, the degenerate cases."""

import math

import pytest
import torch
from torch.nn import functional as F

from pipeline.core import boxes
from pipeline.core.maps import oriented, resize
from pipeline.metrics.localisation import InsideShare, Pointing, area_fraction, centre_hit, dilate, inside_share
from pipeline.metrics.localisation import pointing_hit as hit

GOLDEN = torch.tensor([[[4, 1, 0, -2], [3, 8, 2, 0], [0, 5, -1, 1], [-3, 0, 2, 6]]], dtype=torch.float64)


def box(frame, *xyxy):
    return boxes.rasterise(torch.tensor([xyxy], dtype=torch.float32), frame)


def nothing(mask):
    return torch.zeros_like(mask)


GOLDEN_MASK = box((4, 4), 1, 1, 3, 3)


def test_golden_mass():
    assert inside_share(GOLDEN.clamp(min=0), GOLDEN_MASK).item() == 15 / 32
    assert inside_share(GOLDEN.abs(), GOLDEN_MASK).item() == 16 / 38
    columns = InsideShare()(GOLDEN, GOLDEN_MASK, nothing(GOLDEN_MASK))
    assert {name: value.item() for name, value in columns.items()} == {
        "inside_share": 15 / 32,
        "area_fraction": 0.25,
        "lift": 1.875,
    }


def test_golden_pointing():
    assert hit(GOLDEN, GOLDEN_MASK).item() == 1
    columns = Pointing()(GOLDEN, GOLDEN_MASK, nothing(GOLDEN_MASK))
    assert {name: value.item() for name, value in columns.items()} == {
        "pointing_hit": 1.0,
        "pointing_chance": 0.25,
        "centre_hit": 1.0,
    }


def test_pitfall_1_the_sign_changes_the_share_and_is_never_guessed():
    share = {s: InsideShare()(oriented(GOLDEN, s), GOLDEN_MASK, GOLDEN_MASK) for s in ("positive", "absolute")}
    assert share["positive"]["inside_share"].item() == pytest.approx(0.46875)
    assert share["absolute"]["inside_share"].item() == pytest.approx(0.421053, abs=1e-6)


def test_pitfall_2_mass_of_a_signed_map_is_refused():
    assert math.isnan(inside_share(GOLDEN, GOLDEN_MASK))


def test_pitfall_3_no_min_max_scaling_before_mass():
    # All mass inside; scaled to [0, 1], the negative surroundings would turn into mass.
    mask = box((6, 9), 2, 1, 5, 4)
    maps = torch.where(mask, 1.0, -0.5)
    assert InsideShare()(maps, mask, nothing(mask))["inside_share"].item() == 1
    cam = torch.where(mask, 1.0, 0.2)
    assert InsideShare()(cam, mask, nothing(mask))["inside_share"].item() == pytest.approx(9 / (9 + 45 * 0.2))


def test_pitfall_4_colour_mapped_heatmaps_do_not_fit():
    with pytest.raises((RuntimeError, IndexError, ValueError)):
        InsideShare()(torch.rand(2, 3, 6, 9), torch.ones(2, 6, 9, dtype=torch.bool), torch.ones(2, 6, 9).bool())


def test_pitfall_5_upsampling_spreads_mass_over_the_border_as_bilinear_does():
    cam = torch.zeros(1, 7, 7, dtype=torch.float64)
    cam[0, 2:5, 2:5] = 1
    mask = box((56, 56), 16, 16, 40, 40)
    bilinear = inside_share(resize(cam, (56, 56)), mask).item()
    nearest = inside_share(F.interpolate(cam[:, None], (56, 56), mode="nearest")[:, 0], mask).item()
    assert nearest == 1
    # By hand: over each edge runs a ramp 15, 13, ... 1 sixteenths; its outer half, 7 + 5 + 3 + 1, is one pixel's mass.
    assert bilinear == pytest.approx((22 / 24) ** 2)


def test_pitfall_6_a_tiny_object_is_rasterised_at_the_target_size_and_does_not_vanish():
    tiny = box((21, 28), 300 * 28 / 640, 100 * 21 / 480, 303 * 28 / 640, 103 * 21 / 480)
    assert tiny.sum().item() == 1
    columns = InsideShare()(torch.ones(1, 21, 28), tiny, nothing(tiny))
    assert columns["inside_share"].item() == pytest.approx(1 / (21 * 28))
    assert columns["lift"].item() == pytest.approx(1)


def test_pitfall_8_x_runs_along_the_width():
    mask = box((10, 20), 12, 1, 18, 4)
    maps = torch.zeros(1, 10, 20)
    maps[0, 1:4, 12:18] = 1
    assert inside_share(maps, mask).item() == 1
    assert hit(maps, mask).item() == 1


def test_pitfall_10_noise_scores_the_area_and_a_lift_of_one():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(400, 24, 32, generator=generator)
    mask = box((24, 32), 3, 5, 12, 12).expand(400, -1, -1)
    columns = InsideShare()(noise, mask, nothing(mask))
    assert columns["area_fraction"][0].item() == pytest.approx(63 / 768)
    assert columns["inside_share"].mean().item() == pytest.approx(63 / 768, rel=0.02)
    assert columns["lift"].mean().item() == pytest.approx(1, rel=0.02)


def test_pitfall_11_the_centre_alone_is_a_baseline():
    masks = torch.cat([box((8, 12), 4, 2, 9, 6), box((8, 12), 0, 0, 3, 3), box((8, 12), 6, 0, 12, 8)])
    assert centre_hit(masks).tolist() == [1, 0, 0.5]  # four middle pixels, two of them right of the middle
    odd = torch.cat([box((7, 11), 5, 3, 6, 4), box((7, 11), 0, 0, 5, 7)])
    assert centre_hit(odd).tolist() == [1, 0]


def test_pitfall_12_tolerance_inflates_chance_and_chance_says_so():
    mask = box((224, 224), 96, 96, 128, 128)
    maps = torch.rand(1, 224, 224)
    strict = Pointing()(maps, mask, nothing(mask))["pointing_chance"].item()
    tolerant = Pointing(tolerance_px=15)(maps, mask, nothing(mask))["pointing_chance"].item()
    assert strict == pytest.approx(0.0204, abs=5e-5)
    assert tolerant == pytest.approx(0.069, abs=5e-4)


@pytest.mark.parametrize(("x", "expected"), [(64, 1.0), (65, 0.0)])
def test_tolerance_is_strict_as_torchrays(x, expected):
    mask = box((100, 120), 50, 50, 51, 51)
    maps = torch.zeros(1, 100, 120)
    maps[0, 50, x] = 1
    assert Pointing(tolerance_px=15)(maps, mask, nothing(mask))["pointing_hit"].item() == expected


@pytest.mark.parametrize("tolerance", [0, 0.5, 1, 1.5, 2, 3.7, 5])
def test_dilation_against_distances(tolerance):
    masks = torch.rand(4, 9, 13, generator=torch.Generator().manual_seed(1)) < 0.05
    masks[:, 0, 0] = True
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(13.0), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], 1)
    for mask, grown in zip(masks, dilate(masks, tolerance), strict=True):
        distance = torch.cdist(places, mask.nonzero().float()).amin(1).view(9, 13)
        assert torch.equal(grown, (distance < tolerance) | mask)


def test_pitfall_13_tied_maxima_hit_in_part():
    mask = box((2, 4), 0, 0, 1, 2)
    assert hit(torch.ones(1, 2, 4), mask).item() == 0.25
    plateau = torch.tensor([[[5.0, 5, 5, 0], [0, 0, 0, 0]]])
    assert hit(plateau, mask).item() == pytest.approx(1 / 3)


def test_pitfall_13_a_zero_map_gives_no_verdict():
    mask = box((2, 4), 0, 0, 1, 2)  # holds the top left pixel, which argmax of zeros would name
    assert hit(torch.zeros(1, 2, 4), mask).isnan()


def test_pitfall_20_a_broken_neighbour_changes_nothing():
    maps = torch.rand(3, 5, 8, dtype=torch.float64)
    mask = box((5, 8), 1, 1, 4, 3).expand(3, -1, -1)
    alone = InsideShare()(maps[1:2], mask[:1], nothing(mask[:1]))["inside_share"]
    broken = maps.clone()
    broken[0], broken[2, 0, 0] = 1e9, torch.nan
    together = InsideShare()(broken, mask, nothing(mask))["inside_share"]
    torch.testing.assert_close(together[1:2], alone, rtol=1e-14, atol=0)
    assert together[2].isnan()


def test_pitfall_22_overlapping_boxes_are_counted_once():
    both = torch.tensor([[1, 1, 5, 4], [3, 2, 8, 5]], dtype=torch.float32)
    union = boxes.rasterise(both, (6, 10)).any(dim=0, keepdim=True)
    uniform = torch.ones(1, 6, 10)
    assert inside_share(uniform, union).item() == pytest.approx((12 + 15 - 4) / 60)


def test_degenerate_masks_and_maps():
    maps = torch.rand(5, 4, 6)
    maps[1], maps[2] = 0, -1
    maps[3, 0, 0] = torch.inf
    inside = box((4, 6), 0, 0, 2, 2).expand(5, -1, -1).clone()
    inside[4] = False
    columns = InsideShare()(maps, inside, nothing(inside)) | Pointing()(maps, inside, nothing(inside))
    for name in ("inside_share", "lift", "pointing_hit"):
        assert columns[name].isnan().tolist() == [False, True, True, True, True], name
    for name in ("pointing_chance", "centre_hit"):
        assert columns[name].isnan().tolist() == [False, False, False, False, True], name
    assert area_fraction(inside)[4] == 0


def test_a_full_mask_holds_everything():
    mask = torch.ones(1, 4, 6, dtype=torch.bool)
    columns = InsideShare()(torch.rand(1, 4, 6), mask, nothing(mask)) | Pointing()(torch.rand(1, 4, 6), mask, mask)
    assert all(value.item() == pytest.approx(1) for value in columns.values())


@pytest.mark.parametrize("tolerance", [-1, math.inf, math.nan])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match="`tolerance_px` must be 0 or more pixels"):
        Pointing(tolerance_px=tolerance)
