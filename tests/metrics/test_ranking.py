"""Rank accuracy, AUROC and average precision: golden values, ties, degenerate cases."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from pipeline.metrics.ranking import Auroc, RankAccuracy, auroc, average_precision, rank_accuracy

GOLDEN = torch.tensor([[[4, 1, 0, -2], [3, 8, 2, 0], [0, 5, -1, 1], [-3, 0, 2, 6]]], dtype=torch.float64)
GOLDEN_MASK = torch.zeros(1, 4, 4, dtype=torch.bool)
GOLDEN_MASK[0, 1:3, 1:3] = True


def test_golden_ranking():
    assert rank_accuracy(GOLDEN, GOLDEN_MASK).item() == 0.5
    assert rank_accuracy(GOLDEN.abs(), GOLDEN_MASK).item() == 0.5
    assert auroc(GOLDEN, GOLDEN_MASK).item() == pytest.approx(0.697917, abs=1e-6)
    assert auroc(GOLDEN.abs(), GOLDEN_MASK).item() == pytest.approx(0.729167, abs=1e-6)


def test_golden_average_precision_by_hand():
    # Highest first, objects starred: 8* 6 5* 4 3 (2* 2) 1 1 0 0 0 0 -1* -2 -3.
    assert average_precision(GOLDEN, GOLDEN_MASK).item() == pytest.approx((1 + 2 / 3 + 3 / 7 + 4 / 14) / 4)


def test_pitfall_13_ties_count_by_expectation_on_a_nearest_upsampled_cam():
    cam = torch.zeros(1, 1, 7, 7)
    cam[..., 3, 3] = 1
    maps = F.interpolate(cam, (224, 224), mode="nearest")[:, 0]
    mask = torch.zeros(1, 224, 224, dtype=torch.bool)
    mask[:, 60:180, 60:180] = True
    assert rank_accuracy(maps, mask).item() == pytest.approx(0.323895, abs=1e-6)


def test_pitfall_13_expected_rank_accuracy_is_the_mean_over_all_orders_of_the_ties():
    values = torch.tensor([3.0, 1, 1, 1, 1, 0])
    objects = torch.tensor([False, True, True, True, False, False])
    scores = []
    for order in itertools.permutations(range(6)):
        shuffled = torch.tensor(order)
        top = shuffled[values[shuffled].argsort(descending=True, stable=True)][:3]
        scores.append(objects[top].double().mean())
    expected = torch.stack(scores).mean().item()
    assert rank_accuracy(values.view(1, 2, 3), objects.view(1, 2, 3)).item() == pytest.approx(expected)


def test_a_constant_map_ranks_by_chance():
    mask = torch.rand(1, 6, 9, generator=torch.Generator().manual_seed(0)) < 0.3
    constant = torch.full((1, 6, 9), 0.1)
    area = mask.double().mean().item()
    assert rank_accuracy(constant, mask).item() == pytest.approx(area)
    assert auroc(constant, mask).item() == 0.5
    assert average_precision(constant, mask).item() == pytest.approx(area)


def test_a_perfect_map_and_its_opposite():
    mask = torch.zeros(1, 5, 8, dtype=torch.bool)
    mask[0, 1:3, 2:7] = True
    good = mask.double() + 1
    assert [f(good, mask).item() for f in (rank_accuracy, auroc, average_precision)] == [1, 1, 1]
    assert [f(3 - good, mask).item() for f in (rank_accuracy, auroc)] == [0, 0]


def test_negative_pixels_rank_last():
    mask = torch.tensor([[[False, True, False]]])
    maps = torch.tensor([[[1.0, 0.0, -1.0]]])
    assert auroc(maps, mask).item() == 0.5
    assert auroc(maps.clamp(min=0), mask).item() == 0.25


def test_degenerate_masks_and_maps():
    maps = torch.rand(6, 4, 6)
    maps[1], maps[2] = 0, -1
    maps[3, 0, 0] = torch.nan
    inside = torch.rand(6, 4, 6, generator=torch.Generator().manual_seed(0)) < 0.4
    inside[4], inside[5] = False, True
    columns = RankAccuracy()(maps, inside, ~inside) | Auroc()(maps, inside, ~inside)
    assert columns["rank_accuracy"].isnan().tolist() == [False, True, True, True, True, False]
    assert columns["average_precision"].isnan().tolist() == [False, True, True, True, True, False]
    assert columns["auroc"].isnan().tolist() == [False, True, True, True, True, True]
    assert columns["rank_accuracy"][5] == 1


def test_minus_zero_ties_with_zero():
    mask = torch.tensor([[[True, False, True, False]]])
    maps = torch.tensor([[[0.0, -0.0, -0.0, 1.0]]])
    assert auroc(maps, mask).item() == pytest.approx(0.25)
    assert rank_accuracy(maps, mask).item() == pytest.approx(1 / 3)
