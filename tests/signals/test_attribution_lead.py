"""The attribution lead: shares, hotspots to the pixel, and places in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.attribution_lead import AttributionLead, _window_sums, hotspot, place
from pipeline.types import Observed
from tests.signals.tables import images_of


@pytest.mark.parametrize("shape", [(9, 9), (7, 12), (12, 5)])
@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
def test_window_sums_are_those_of_a_loop(shape: tuple[int, int], side: int) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    rows, columns = shape[0] - side + 1, shape[1] - side + 1
    expected = [[values[y : y + side, x : x + side].sum() for x in range(columns)] for y in range(rows)]
    np.testing.assert_allclose(_window_sums(values, side), expected, atol=1e-12)


@pytest.mark.parametrize("side", [4, 5])
@pytest.mark.parametrize(("down", "across"), [(0, 0), (0, 1), (1, 0), (1, 1), (0, 0.5), (0.5, 0), (1, 0.5), (0.5, 1)])
def test_corners_and_edges_are_reached_in_float32(side: int, down: float, across: float) -> None:
    height, width = 16, 27
    y, x = int(down * (height - side)), int(across * (width - side))
    maps = np.random.default_rng(0).uniform(0, 1e-4, size=(4, height, width)).astype(np.float32)
    maps[2, y : y + side, x : x + side] += 0.02
    found = hotspot(maps, 2, side / height)
    assert [found[k] for k in ("x0", "y0", "x1", "y1")] == [x, y, x + side, y + side]


def test_a_model_of_one_class_has_a_hotspot_without_a_comparison() -> None:
    maps = np.zeros((1, 8, 8))
    maps[0, 6:, 6:] = 0.25
    found = hotspot(maps, 0, 0.25)
    assert (found["place"], found["share"]) == ("bottom right", 1)
    assert np.isnan(found["others_share"])  # type: ignore[arg-type]


@pytest.mark.parametrize(("y", "x"), [(0, 0), (0, 30), (14, 0), (14, 30), (6, 11)])
def test_a_hotspot_is_found_to_the_pixel_on_a_frame_that_is_not_square(y: int, x: int) -> None:
    maps = np.full((3, 20, 36), 0.01)
    maps[1, y : y + 6, x : x + 6] += 1
    found = hotspot(maps, 1, 0.3)
    assert [found[k] for k in ("x0", "y0", "x1", "y1")] == [x, y, x + 6, y + 6]
    assert found["share"] == pytest.approx((36 * 1.01) / (36 + 7.2))
    assert found["others_share"] == pytest.approx(36 / 720)


def test_a_mark_that_all_classes_look_at_is_no_hotspot_of_one() -> None:
    maps = np.full((3, 20, 20), 0.01)
    maps[:, 14:, 14:] += 1
    maps[0, :6, :6] += 0.1
    assert hotspot(maps, 0, 0.3)["place"] == "top left"


@pytest.mark.parametrize(
    ("x", "y", "word"),
    [
        (0.1, 0.1, "top left"),
        (0.9, 0.95, "bottom right"),
        (0.5, 0.5, "centre"),
        (0.5, 1.0, "bottom"),
        (0.0, 0.5, "left"),
    ],
)
def test_places_in_words(x: float, y: float, word: str) -> None:
    assert place(x, y) == word


def test_no_attribution_outside_is_no_hotspot() -> None:
    assert hotspot(np.zeros((2, 8, 8)), 0, 0.25) == {}


def test_the_lead_never_decides_and_says_what_chance_is() -> None:
    images = images_of(("a", "b"), 10).assign(area_fraction=0.25)
    scores = images[["id", "class"]].assign(method="saliency", inside_share=np.linspace(0.4, 0.6, 20), lift=2.0)
    maps = np.random.default_rng(0).uniform(size=(2, 32, 32))
    seen = Observed(
        model="m", classes=("a", "b"), n_outputs=2, frame=(32, 32), images=images, scores=scores,
        trials=pd.DataFrame(), outside_maps={"saliency": maps},
    )  # fmt: skip
    first, second = AttributionLead(window=0.25, draws=199)(seen, np.random.default_rng(0))
    assert first.signal == "attribution_lead:saliency"
    assert not first.decides
    assert np.isnan(first.p_value)
    assert first.estimate == pytest.approx(scores["inside_share"][:10].mean())
    assert first.low < first.estimate < first.high < second.estimate
    assert first.details["area_fraction"] == 0.25


def test_one_image_and_no_image_have_no_interval() -> None:
    images = images_of(("a", "b"), (1, 3)).assign(area_fraction=0.25)
    scores = images[["id", "class"]].assign(method="saliency", inside_share=[0.4, *[np.nan] * 3], lift=np.nan)
    seen = Observed(
        model="m", classes=("a", "b"), n_outputs=2, frame=(32, 32), images=images, scores=scores,
        trials=pd.DataFrame(), outside_maps={"saliency": np.zeros((2, 32, 32))},
    )  # fmt: skip
    one, none = AttributionLead(window=0.25, draws=199)(seen, np.random.default_rng(0))
    assert (one.estimate, one.n, none.n) == (0.4, 1, 0)
    assert np.isnan([one.low, one.high, none.estimate, none.low, none.high, one.details["lift"]]).all()
    assert "place" not in one.details


@pytest.mark.parametrize("window", [0, -0.1, 1.01])
def test_windows_that_make_no_sense_are_refused(window: float) -> None:
    with pytest.raises(ValueError, match="`window`"):
        AttributionLead(window=window, draws=9)


def test_without_the_metric_there_is_no_lead() -> None:
    seen = Observed(
        model="m", classes=("a",), n_outputs=2, frame=(8, 8), images=images_of(("a",), 2), scores=pd.DataFrame(),
        trials=pd.DataFrame(), outside_maps={"saliency": np.ones((1, 8, 8))},
    )  # fmt: skip
    assert AttributionLead(window=0.25, draws=9)(seen, np.random.default_rng(0)) == []
