"""IoU of top pixels and Shared Interest: golden values, ties, degenerate cases."""

import math

import numpy as np
import pytest
import torch

from pipeline.metrics.overlap import IouTop, SharedInterest, above, binarise, iou, quantile

GOLDEN = torch.tensor([[[4, 1, 0, -2], [3, 8, 2, 0], [0, 5, -1, 1], [-3, 0, 2, 6]]], dtype=torch.float64)
GOLDEN_MASK = torch.zeros(1, 4, 4, dtype=torch.bool)
GOLDEN_MASK[0, 1:3, 1:3] = True


def values_of(columns):
    return {name: value.item() for name, value in columns.items()}


@pytest.mark.parametrize("maps", [GOLDEN, GOLDEN.abs()], ids=["signed", "absolute"])
def test_golden_shared_interest(maps):
    found = values_of(SharedInterest()(maps, GOLDEN_MASK, ~GOLDEN_MASK))
    assert found == pytest.approx({"saliency_coverage": 2 / 3, "ground_truth_coverage": 0.5, "iou_binary": 0.4})


@pytest.mark.parametrize("maps", [GOLDEN, GOLDEN.abs()], ids=["signed", "absolute"])
def test_golden_iou_at_the_75th_percentile_and_at_the_objects_size(maps):
    found = values_of(IouTop(quantiles=[0.75])(maps, GOLDEN_MASK, ~GOLDEN_MASK))
    assert found == pytest.approx({"iou_top": 1 / 3, "iou_q75": 1 / 3})  # both select 8, 6, 5, 4


def test_columns_are_named_after_the_quantiles():
    names = list(IouTop(quantiles=[0.9, 0.95, 0.995])(GOLDEN, GOLDEN_MASK, ~GOLDEN_MASK))
    assert names == ["iou_top", "iou_q90", "iou_q95", "iou_q99.5"]


def test_quantile_is_numpys():
    rng = np.random.default_rng(0)
    values = np.sort(rng.normal(size=(3, 57)), axis=1)
    for q in (0, 0.1, 0.5, 0.9, 0.95, 0.99, 1):
        np.testing.assert_allclose(quantile(torch.from_numpy(values), q)[:, 0], np.quantile(values, q, axis=1))


def test_pixels_that_tie_at_the_threshold_are_in_together():
    maps = torch.tensor([[[2.0, 1, 1, 1], [0, 0, 0, 0]]])
    mask = torch.tensor([[[True, True, False, False], [False] * 4]])
    assert above(maps, torch.tensor([[1.0]])).sum().item() == 4
    assert IouTop()(maps, mask, ~mask)["iou_top"].item() == 2 / 4


def test_a_constant_map_selects_the_frame_but_stands_out_nowhere():
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[0, :2, :3] = True
    constant = torch.full((1, 4, 6), 0.1)
    assert set(values_of(IouTop()(constant, mask, ~mask)).values()) == {0.25}
    assert all(math.isnan(v) for v in values_of(SharedInterest()(constant, mask, ~mask)).values())


def test_where_nothing_stands_out_nothing_is_covered():
    # Three quarters ones: mean + deviation = 0.75 + 0.433 exceeds the maximum.
    maps = torch.ones(1, 4, 4)
    maps[0, 0] = 0
    mask = maps > 0
    assert not binarise(maps).any()
    found = values_of(SharedInterest()(maps, mask, ~mask))
    assert math.isnan(found.pop("saliency_coverage"))
    assert found == {"ground_truth_coverage": 0, "iou_binary": 0}


@pytest.mark.parametrize("scale", [1, 0.1, 1 / 3, 0.4886297327498934, 1e6])
def test_rounding_does_not_decide_where_the_threshold_meets_a_value(scale):
    maps = torch.zeros(1, 14, 7, dtype=torch.float64)
    maps[0, :7] = scale  # mean + deviation is the upper value itself
    assert binarise(maps).sum().item() == 49


def test_binarising_the_scaled_map_selects_the_same_pixels():
    maps = torch.randn(20, 9, 14, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    assert torch.equal(binarise(maps), binarise((maps - low) / (high - low)))


def test_degenerate_masks_and_maps():
    maps = torch.rand(6, 4, 6)
    maps[1], maps[2] = 0, -1 - maps[0]
    maps[3, 0, 0] = torch.nan
    inside = torch.rand(6, 4, 6, generator=torch.Generator().manual_seed(0)) < 0.4
    inside[4], inside[5] = False, True
    columns = IouTop()(maps, inside, ~inside) | SharedInterest()(maps, inside, ~inside)
    for name, column in columns.items():
        assert column.isnan().tolist() == [False, True, True, True, True, False], name
    assert columns["iou_top"][5] == 1
    assert columns["saliency_coverage"][5] == 1


def test_iou_of_masks():
    a = torch.tensor([[[True, True, False]], [[False, False, False]], [[True, True, True]]])
    b = torch.tensor([[[False, True, True]], [[True, False, False]], [[False, False, False]]])
    assert iou(a, b)[:2].tolist() == [pytest.approx(1 / 3), 0]
    assert iou(a, b)[2].isnan()


@pytest.mark.parametrize("q", [-0.1, 1.5, math.nan])
def test_a_quantile_outside_its_range_is_refused(q):
    with pytest.raises(ValueError, match=r"`quantiles` must lie in \[0, 1\]"):
        IouTop(quantiles=[q])
