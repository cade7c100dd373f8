"""What every metric in conf/metrics promises: columns, undefined values, and no influence of the batch or the scale."""

import dataclasses
import importlib
from pathlib import Path

import pytest
import torch
import yaml

FILES = sorted((Path(__file__).parents[2] / "conf" / "metrics").glob("*.yaml"))
# Columns that describe the frame or the masks, not the map: they exist whatever the map says.
OF_THE_MASK = {"area_fraction", "pointing_chance", "centre_hit", "top_window_size"}
# Columns that do not look at the audited objects: they exist without any.
WITHOUT_OBJECTS = {"area_fraction", "other_objects_share", "concentration", "border_share"} | {
    f"corner_{place}_share" for place in ("tl", "tr", "bl", "br")
}
WITHOUT_OBJECTS |= {f"top_window_{part}" for part in ("x", "y", "size", "share")}
ALL_COLUMNS = WITHOUT_OBJECTS | {
    *("inside_share", "lift", "pointing_hit", "pointing_chance", "centre_hit", "rank_accuracy", "auroc"),
    *("average_precision", "iou_top", "iou_q90", "iou_q95", "saliency_coverage", "ground_truth_coverage", "iou_binary"),
}


def built(file):
    """The plugin of one yaml, with the yaml's own arguments."""
    arguments = yaml.safe_load(file.read_text())
    module, name = arguments.pop("_target_").rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**arguments)


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def metric(request):
    return built(request.param)


@pytest.fixture
def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def batch(device):
    """Seven different images in a frame that is not square, float32, signed, with ties in two."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(7, 18, 27, generator=generator)
    maps[2] = maps[2].clamp(min=0)
    maps[5] = maps[5].round()
    inside, others = torch.zeros(2, 7, 18, 27, dtype=torch.bool)
    for i in range(7):
        inside[i, i : i + 7, 2 * i : 2 * i + 9] = True
        others[i, 12:, 1 + i : 6 + i] = True
    return maps.to(device), inside.to(device), (others & ~inside).to(device)


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-14, equal_nan=True, msg=name)


def test_the_yamls_bring_every_column_once(batch):
    columns = [name for file in FILES for name in built(file)(*batch)]
    assert len(columns) == len(set(columns))
    assert set(columns) == ALL_COLUMNS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_yaml_says_its_place_and_purpose_first(file):
    first, second = file.read_text().splitlines()[:2]
    assert first == f"# @package metrics.{file.stem}"
    assert second.startswith("# ")
    fields = {field.name for field in dataclasses.fields(built(file))}
    assert set(yaml.safe_load(file.read_text())) == fields | {"_target_"}


def test_a_column_has_one_float_per_image_on_the_device_of_the_maps(metric, batch):
    assert isinstance(metric.version, int)
    for name, column in metric(*batch).items():
        assert column.shape == (7,), name
        assert column.dtype == torch.float64, name
        assert column.device == batch[0].device, name
        assert column.isfinite().all(), name


def test_arguments_are_left_as_they_were(metric, batch):
    before = [tensor.clone() for tensor in batch]
    metric(*batch)
    assert all(torch.equal(a, b) for a, b in zip(before, batch, strict=True))


def test_batch_size_and_order_change_nothing(metric, batch):
    together = metric(*batch)
    alone = [metric(*(tensor[i : i + 1] for tensor in batch)) for i in range(7)]
    assert_same(together, {name: torch.cat([one[name] for one in alone]) for name in together})
    order = torch.tensor([3, 0, 6, 5, 1, 4, 2], device=batch[0].device)
    assert_same({name: c[order] for name, c in together.items()}, metric(*(tensor[order] for tensor in batch)))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 0.0, 3e37])
def test_a_broken_neighbour_changes_nothing(metric, batch, value):
    maps, inside, others = batch
    broken = maps.clone()
    broken[3] = value
    rest = [0, 1, 2, 4, 5, 6]
    found = {name: column[rest] for name, column in metric(broken, inside, others).items()}
    assert_same(found, {name: column[rest] for name, column in metric(*batch).items()})


@pytest.mark.parametrize("scale", [2.0**-60, 0.125, 2.0**40])
def test_scale_changes_nothing(metric, batch, scale):
    maps, inside, others = batch
    assert_same(metric(maps * scale, inside, others), metric(*batch))


def test_turning_the_frame_changes_only_what_has_a_direction(metric, batch):
    turned = metric(*(tensor.transpose(1, 2) for tensor in batch))
    upright = metric(*batch)
    swap = {"top_window_x": "top_window_y", "top_window_y": "top_window_x"}
    swap |= {"corner_tr_share": "corner_bl_share", "corner_bl_share": "corner_tr_share"}
    for name in upright:
        torch.testing.assert_close(turned[swap.get(name, name)], upright[name], rtol=1e-12, atol=0, msg=name)


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_a_map_that_says_nothing_has_no_score(metric, batch, value):
    maps, inside, others = batch
    maps[1] = value
    maps[4, 0, 0] = value or maps[4, 0, 0]  # zero in one pixel is nothing special
    for name, column in metric(maps, inside, others).items():
        silent = [False] * 7 if name in OF_THE_MASK else [i == 1 or (i == 4 and value != 0) for i in range(7)]
        assert column.isnan().tolist() == silent, name


def test_a_negative_map_has_no_score_but_a_concentration(metric, batch):
    maps, inside, others = batch
    for name, column in metric(-maps.abs(), inside, others).items():
        assert column.isnan().all() == (name not in OF_THE_MASK | {"concentration"}), name


def test_without_objects_there_is_no_score_of_them(metric, batch):
    maps, inside, others = batch
    inside[2] = False
    for name, column in metric(maps, inside, others).items():
        missing = [False] * 7 if name in WITHOUT_OBJECTS else [i == 2 for i in range(7)]
        assert column.isnan().tolist() == missing, name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_scored_as_the_values_they_hold(metric, batch, dtype):
    maps, inside, others = batch
    rounded = maps.to(dtype)
    assert_same(metric(rounded, inside, others), metric(rounded.double(), inside, others))


def test_a_map_in_inference_mode_or_with_gradients_is_welcome(metric, batch):
    maps, inside, others = batch
    expected = metric(*batch)
    assert_same({n: c.detach() for n, c in metric(maps.clone().requires_grad_(), inside, others).items()}, expected)
    with torch.inference_mode():
        assert_same(metric(maps.clone(), inside, others), expected)
