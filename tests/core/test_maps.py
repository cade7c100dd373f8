"""Maps: sign, size, shares, windows, and the reasons why a map has nothing to say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import maps as M


def frames(seed, batch=5, height=7, width=11):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(batch, height, width, generator=generator, dtype=torch.float64)
    masks = torch.rand(batch, height, width, generator=generator) < 0.3
    return maps, masks


def test_oriented_keeps_the_sign_or_drops_it():
    maps, _ = frames(0)
    assert torch.equal(M.oriented(maps, "positive"), maps)
    assert torch.equal(M.oriented(maps, "absolute"), maps.abs())
    with pytest.raises(ValueError, match="`sign` must be 'positive' or 'absolute', got 'signed'"):
        M.oriented(maps, "signed")


def test_positive_part():
    assert M.positive(torch.tensor([[[-1.0, 2.0, 0.0]]])).tolist() == [[[0.0, 2.0, 0.0]]]
    assert M.positive(torch.tensor([[[torch.nan]]])).isnan().all()


def test_a_resized_map_samples_between_pixel_centres():
    # Doubling a ramp bilinearly: new centres lie a quarter of a pixel beside the old ones, ends are held.
    ramp = torch.tensor([[[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]], dtype=torch.float64)
    doubled = M.resize(ramp, (4, 6))
    assert doubled.shape == (1, 4, 6)
    expected = torch.tensor([0.0, 0.25, 0.75, 1.25, 1.75, 2.0], dtype=torch.float64)
    torch.testing.assert_close(doubled, expected.expand(1, 4, 6))
    assert M.resize(ramp, (2, 3)) is ramp


@pytest.mark.parametrize(("frame", "axis"), [((14, 11), 1), ((7, 22), 2)])
def test_resizing_treats_height_and_width_apart(frame, axis):
    maps, _ = frames(1)
    other = 3 - axis
    assert M.resize(maps, frame).shape[axis] == 2 * maps.shape[axis]
    assert M.resize(maps, frame).shape[other] == maps.shape[other]


def test_a_resized_map_invents_no_sign_and_no_new_maximum():
    cam = torch.rand(3, 7, 7, dtype=torch.float64)
    large = M.resize(cam, (56, 40))
    assert large.min() >= 0
    assert (large.amax((1, 2)) <= cam.amax((1, 2)) + 1e-12).all()


def test_share_is_the_mass_on_the_mask():
    maps, masks = frames(2)
    mass = maps.abs()
    expected = [(m[k].sum() / m.sum()).item() for m, k in zip(mass, masks, strict=True)]
    torch.testing.assert_close(M.share(mass, masks), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(M.share(mass, masks[0]), M.share(mass, masks[:1].expand_as(masks)))


def test_share_of_float32_mass_is_summed_in_float64():
    # 1 + 2 ** 22 * 2 ** -24 summed in float32 stays at 1.
    mass = torch.full((1, 2048, 2049), 2.0**-24)
    mass[0, 0, 0] = 1.0
    mask = torch.zeros(1, 2048, 2049, dtype=torch.bool)
    mask[0, 0, 0] = True
    assert M.share(mass, mask).item() == pytest.approx(1 / (1 + (2048 * 2049 - 1) * 2.0**-24), rel=1e-12)


def test_a_share_of_signed_mass_is_refused():
    mass = torch.tensor([[[2.0, -1.0]], [[2.0, 1.0]]])
    mask = torch.tensor([[[True, False]], [[True, False]]])
    share = M.share(mass, mask)
    assert math.isnan(share[0])
    assert share[1] == pytest.approx(2 / 3)


def test_reasons_in_their_order():
    plain = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    some = torch.tensor([[True, False, False], [False, True, False]])
    none, full = torch.zeros(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    broken, infinite = plain.clone(), plain.clone()
    broken[0, 0], infinite[1, 1] = torch.nan, -torch.inf
    cases = [
        (plain, some, ""),
        (broken, some, "not_finite"),
        (broken, none, "not_finite"),
        (infinite, full, "not_finite"),
        (0 * plain, some, "zero_map"),
        (0 * plain, none, "zero_map"),
        (-plain, some, "negative_map"),
        (plain - 5, full, "negative_map"),
        (plain, none, "empty_mask"),
        (plain, full, "full_mask"),
        (torch.ones(2, 3), full, "full_mask"),
        (torch.ones(2, 3), some, "constant_map"),
    ]
    codes = M.undefined(torch.stack([c[0] for c in cases]), torch.stack([c[1] for c in cases]))
    assert codes.dtype == torch.long
    assert [M.REASONS[i] for i in codes] == [c[2] for c in cases]


def test_speaks_needs_one_positive_and_only_finite_pixels():
    maps = torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]], [[-1.0, 0.0]], [[torch.inf, 1.0]], [[torch.nan, 1.0]]])
    assert M.speaks(maps).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_order_of_pixels(dtype):
    maps = frames(3)[0].to(dtype)
    values, places = M.ascending(maps), M.ascending_places(maps)
    flat = maps.flatten(1).to(values.dtype)
    assert torch.equal(values, flat.sort(dim=1).values)
    assert torch.equal(flat.gather(1, places), values)


def test_value_at_rank_counts_from_the_highest_and_stays_in_range():
    values = torch.tensor([[1.0, 2.0, 3.0]]).expand(5, 3)
    counts = torch.tensor([0, 1, 2, 3, 9])
    assert M.value_at_rank(values, counts).flatten().tolist() == [3.0, 3.0, 2.0, 1.0, 1.0]


def slow_window(mass, height, width, exclude):
    """(x0, y0, share) of one map by trying every window."""
    outside = np.where(exclude, 0, mass)
    rows, columns = mass.shape
    best = (-1.0, 0, 0)
    for y in range(rows - height + 1):
        for x in range(columns - width + 1):
            total = math.fsum(outside[y : y + height, x : x + width].flat)
            if total > best[0]:
                best = (total, x, y)
    return best[1], best[2], best[0] / math.fsum(mass.flat)


@settings(max_examples=60)
@given(st.data())
def test_strongest_window_against_trying_every_window(data):
    rows, columns = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 9))
    height, width = data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns))
    maps, masks = frames(data.draw(st.integers(0, 999)), 3, rows, columns)
    masks[:, 0, 0] = False
    x, y, share = M.strongest_window(maps.abs(), height, width, masks)
    for i in range(3):
        expected = slow_window(maps[i].abs().numpy(), height, width, masks[i].numpy())
        assert (x[i].item(), y[i].item()) == expected[:2]
        assert share[i].item() == pytest.approx(expected[2], abs=1e-12)


def test_strongest_window_of_a_tie_is_the_first_in_reading_order():
    # Thirds are inexact, so that sums of equal windows differ in their last bits.
    mass = torch.full((1, 9, 13), 1 / 3, dtype=torch.float64)
    mass[0, :2] = 0
    x, y, _ = M.strongest_window(mass, 2, 3, torch.zeros(1, 9, 13, dtype=torch.bool))
    assert (x.item(), y.item()) == (0, 2)


def test_strongest_window_without_mass_outside_has_a_share_but_no_place():
    mass = torch.zeros(1, 4, 6)
    mass[0, 1, 1] = 2.0
    x, y, share = M.strongest_window(mass, 2, 2, mass > 0)
    assert x.isnan()
    assert y.isnan()
    assert share.item() == 0


def test_strongest_window_is_undefined_without_an_outside_or_without_mass():
    mass = torch.rand(3, 4, 6)
    mass[1] = 0
    mass[2, 0, 0] = torch.nan
    exclude = torch.zeros(3, 4, 6, dtype=torch.bool)
    exclude[0] = True
    for column in M.strongest_window(mass, 2, 2, exclude):
        assert column.isnan().all()


@pytest.mark.parametrize("size", [(5, 1), (1, 7), (0, 1)])
def test_a_window_larger_than_the_frame_is_refused(size):
    with pytest.raises(ValueError, match="must lie within the frame"):
        M.strongest_window(torch.rand(1, 4, 6), *size, torch.zeros(1, 4, 6, dtype=torch.bool))


@pytest.mark.parametrize(
    ("iou", "truth", "salient", "right", "wrong"),
    [
        (0.8, 0.9, 0.9, "human_aligned", "confuser"),
        (0.2, 0.2, 0.95, "sufficient_subset", "insufficient_subset"),
        (0.2, 0.95, 0.2, "sufficient_context", "context_confusion"),
        (0.0, 0.0, 0.0, "context_dependent", "distractor"),
        (0.3, 0.4, 0.4, "mixed", "mixed"),
        (0.3, 0.4, math.nan, "", ""),
    ],
)
def test_shared_interest_cases(iou, truth, salient, right, wrong):
    both = M.shared_interest_case([iou, iou], [truth, truth], [salient, salient], [True, False])
    assert both.tolist() == [right, wrong]


def test_shared_interest_thresholds_are_arguments_and_tensors_are_welcome():
    scores = torch.tensor([0.25])
    assert M.shared_interest_case(scores, scores, scores, torch.tensor([True]), aligned=0.25).item() == "human_aligned"
    assert M.shared_interest_case(scores, scores, scores, torch.tensor([True]), low=0.25).item() == "context_dependent"
