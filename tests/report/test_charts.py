from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import charts


def marks(svg, name):
    """The elements of that class; parsing as XML fails where the chart is not well formed."""
    return [e for e in ET.fromstring(svg).iter() if e.get("class") == name]


def value(x, domain):
    return domain[0] + float(x) / charts.WIDTH * (domain[1] - domain[0])


@given(
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).map(sorted),
    st.tuples(st.floats(-3, -1), st.floats(1, 3)),
)
def test_interval_bar_draws_its_numbers(numbers, domain):
    low, estimate, high = numbers
    svg = charts.interval_bar(estimate, low, high, domain=domain, null=0.0, gate=0.25, label="x")
    (dot,), (line,) = marks(svg, "dot"), marks(svg, "range")
    assert value(dot.get("cx"), domain) == pytest.approx(estimate, abs=1e-3)
    assert value(line.get("x1"), domain) == pytest.approx(low, abs=1e-3)
    assert value(line.get("x2"), domain) == pytest.approx(high, abs=1e-3)
    assert value(marks(svg, "null")[0].get("x1"), domain) == pytest.approx(0, abs=1e-3)
    assert value(marks(svg, "gate")[0].get("x1"), domain) == pytest.approx(0.25, abs=1e-3)


def test_interval_bar_leaves_out_what_is_undefined():
    svg = charts.interval_bar(math.nan, math.nan, math.nan, domain=(0, 1), label="x")
    assert not marks(svg, "dot")
    assert not marks(svg, "gate")
    assert "nan" not in svg


def test_interval_bar_without_ends_is_a_dot():
    svg = charts.interval_bar(0.5, math.nan, math.nan, domain=(0, 1), label="x")
    assert marks(svg, "range")[0].get("x1") == marks(svg, "range")[0].get("x2") == marks(svg, "dot")[0].get("cx")


@given(st.floats(0, 1))
def test_share_bar_is_as_long_as_its_share(share):
    assert float(marks(charts.share_bar(share, label="x"), "fill")[0].get("width")) == pytest.approx(
        share * charts.WIDTH, abs=0.01
    )


def test_share_bar_of_nothing_is_empty():
    assert not marks(charts.share_bar(math.nan, label="x"), "fill")


def test_histogram_counts():
    svg = charts.histogram([0.1, 0.1, 0.9, math.nan, 7.0], domain=(0, 1), median=0.1, chance=0.5, label="x", bins=10)
    path = marks(svg, "bars")[0].get("d")
    heights = [float(part.split("v-")[1].split("h")[0]) for part in path.split("z")[:-1]]
    assert heights == [30, 30]  # two at .1; .9 and, clipped, 7
    assert [float(part[1:].split()[0]) for part in path.split("z")[:-1]] == [16, 144]
    assert value(marks(svg, "median")[0].get("x1"), (0, 1)) == pytest.approx(0.1, abs=1e-3)
    assert value(marks(svg, "chance")[0].get("x1"), (0, 1)) == pytest.approx(0.5, abs=1e-3)


def test_histogram_of_nothing():
    svg = charts.histogram([], domain=(0, 1), median=math.nan, chance=math.nan, label="x")
    assert not marks(svg, "bars")
    assert "nan" not in svg


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 24))
def test_coarse_keeps_the_mean(height, width, cells):
    mass = np.random.default_rng(0).random((height, width))
    grid = charts.coarse(mass, cells)
    sizes = [np.diff(np.linspace(0, n, min(cells, n) + 1).astype(int)) for n in mass.shape]
    assert (grid * np.outer(*sizes)).sum() == pytest.approx(mass.sum())


def test_heat_grid_steps_are_densities():
    mass = np.zeros((8, 8))
    mass[2, 3] = 1.0  # 64 times a uniform map
    mass[5, 0] = 1.0 / 64  # as dense as one
    svg = charts.heat_grid(mass, label="x", cells=8, window=(3.0, 2.0, 4.0, 3.0))
    assert [e.get("d") for e in ET.fromstring(svg).iter() if e.get("class") == "level-8"] == ["M3 2h1v1H3z"]
    assert [e.get("d") for e in ET.fromstring(svg).iter() if e.get("class") == "level-3"] == ["M0 5h1v1H0z"]
    assert [float(marks(svg, "inner")[0].get(k)) for k in ("x", "y", "width", "height")] == [3, 2, 1, 1]


def test_boxes_overlay_uses_the_frame():
    svg = charts.boxes_overlay([(1.0, 2.0, 5.0, 8.0)], (20, 10))
    assert ET.fromstring(svg).get("viewBox") == "0 0 10 20"
    assert [float(marks(svg, "outer")[0].get(k)) for k in ("x", "y", "width", "height")] == [1, 2, 4, 6]


@pytest.mark.parametrize("name", ["</title><script>", '" onload="x', "a & b"])
def test_labels_are_escaped(name):
    svg = charts.share_bar(0.5, label=name)
    assert ET.fromstring(svg).find("title").text == name


def test_a_trend_has_a_dot_per_value_and_a_gap_where_one_is_missing():
    points = [(0.0, -0.1, 0.1), (0.5, 0.4, 0.6), (math.nan,) * 3, (1.0, math.nan, math.nan)]
    html = charts.trend_line(points, domain=(0.0, 1.0), label="<t>")
    assert html.count("<circle") == 3
    assert html.count('class="range"') == 2
    assert html.count("<polyline") == 1  # a line needs two neighbours
    assert '<polyline class="line" points="40.00,37.00 120.00,20.00"/>' in html
    assert "<title>&lt;t&gt;</title>" in html


def test_marks_say_the_verdict_by_shape_and_leave_a_dash_where_there_is_none():
    html = charts.verdict_marks(["CLEAR", "", "SHORTCUT"], label="x")
    assert html.index("#icon-clear") < html.index('class="null"') < html.index("#icon-shortcut")
    assert html.count("<use") == 2
