"""Other objects, concentration, border and strongest window: closed forms and degenerate cases."""

import math

import pytest
import torch

from pipeline.metrics.placement import Border, Concentration, OtherObjects, TopWindow, gini


def rectangle(frame, x0, y0, x1, y1):
    mask = torch.zeros(1, *frame, dtype=torch.bool)
    mask[0, y0:y1, x0:x1] = True
    return mask


def test_pitfall_22_other_objects_are_kept_apart_from_the_background():
    maps = torch.ones(1, 6, 10, dtype=torch.float64)
    maps[0, 0, 0] = -5  # against the class: no mass
    inside, others = rectangle((6, 10), 2, 2, 5, 4), rectangle((6, 10), 7, 3, 9, 6)
    assert OtherObjects()(maps, inside, others)["other_objects_share"].item() == pytest.approx(6 / 59)


def test_without_other_objects_there_is_no_share_of_theirs():
    inside = rectangle((6, 10), 2, 2, 5, 4)
    assert OtherObjects()(torch.ones(1, 6, 10), inside, torch.zeros_like(inside))["other_objects_share"].isnan()


def test_gini_of_known_maps():
    maps = torch.zeros(4, 2, 5, dtype=torch.float64)
    maps[0] = 0.3  # uniform
    maps[1, 1, 2] = 7  # one pixel
    maps[2] = torch.arange(1, 11).view(2, 5)  # a ramp: (N - 1) / (3 N)
    torch.testing.assert_close(gini(maps)[:3], torch.tensor([0, 0.9, 0.3], dtype=torch.float64))
    assert gini(maps)[3].isnan()


def test_concentration_does_not_ask_for_the_sign():
    maps = torch.randn(3, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(
        Concentration()(maps, maps > 0, maps > 0)["concentration"], gini(maps.abs()), rtol=0, atol=0
    )
    assert not Concentration()(-maps.abs(), maps > 0, maps > 0)["concentration"].isnan().any()


def test_border_and_corners_of_a_uniform_map_are_their_areas():
    maps = torch.ones(1, 20, 30, dtype=torch.float64)
    columns = Border(band=0.1, corner=0.2)(maps, maps > 0, maps > 0)
    assert columns["border_share"].item() == pytest.approx(1 - 0.8**2)
    for name in ("tl", "tr", "bl", "br"):
        assert columns[f"corner_{name}_share"].item() == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("y", "x", "corner"), [(1, 1, "tl"), (1, 28, "tr"), (18, 1, "bl"), (18, 28, "br"), (3, 5, "tl")]
)
def test_corners_are_where_they_are_called(y, x, corner):
    maps = torch.zeros(1, 20, 30)
    maps[0, y, x] = 1
    columns = Border()(maps, maps > 0, maps > 0)
    assert {n for n, v in columns.items() if n.startswith("corner") and v == 1} == {f"corner_{corner}_share"}
    assert columns["border_share"].item() == (0 if (y, x) == (3, 5) else 1)


def test_a_band_is_a_share_of_its_own_side_and_at_least_a_pixel():
    maps = torch.ones(1, 4, 40)
    border = Border(band=0.1, corner=0.2)(maps, maps > 0, maps > 0)["border_share"].item()
    assert border == pytest.approx(1 - (2 * 32) / 160)  # one row of four, four columns of forty


def test_top_window_finds_the_mark_beside_the_object():
    maps = torch.zeros(1, 20, 30)
    inside = rectangle((20, 30), 10, 5, 20, 15)
    maps[inside] = 1.0
    maps[0, 16:19, 25:28] = 5.0
    columns = TopWindow(side=0.15)(maps, inside, torch.zeros_like(inside))
    assert {name: value.item() for name, value in columns.items()} == pytest.approx(
        {"top_window_x": 25, "top_window_y": 16, "top_window_size": 3, "top_window_share": 45 / 145}
    )


def test_top_window_needs_an_outside():
    full = torch.ones(1, 6, 9, dtype=torch.bool)
    columns = TopWindow()(torch.rand(1, 6, 9), full, ~full)
    assert {name for name, value in columns.items() if value.isnan()} == {
        "top_window_x",
        "top_window_y",
        "top_window_share",
    }


@pytest.mark.parametrize("metric", [Border, Concentration, TopWindow])
def test_maps_without_mass_or_with_broken_pixels_have_no_place(metric):
    maps = torch.rand(3, 8, 12)
    maps[1] = 0
    maps[2, 0, 0] = torch.nan
    inside = rectangle((8, 12), 2, 2, 5, 4).expand(3, -1, -1)
    for name, column in metric()(maps, inside, inside).items():
        if name != "top_window_size":
            assert column.isnan().tolist() == [False, True, True], name


@pytest.mark.parametrize(
    ("metric", "arguments", "message"),
    [
        (Border, {"band": 0}, r"`band` must lie in \(0, 0.5\], got 0"),
        (Border, {"corner": 0.6}, r"`corner` must lie in \(0, 0.5\], got 0.6"),
        (TopWindow, {"side": 1.5}, r"`side` must lie in \(0, 1\], got 1.5"),
        (TopWindow, {"side": math.nan}, r"`side` must lie in \(0, 1\], got nan"),
    ],
)
def test_impossible_sizes_are_refused(metric, arguments, message):
    with pytest.raises(ValueError, match=message):
        metric(**arguments)
