from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.report.sections.hotspots import HotspotsSection, strongest_window
from tests.report.markup import parse

SECTION = HotspotsSection(limit=12, window=0.2, stands_out=2.0)


def test_strongest_window_is_the_one_that_a_search_finds():
    values = np.random.default_rng(0).normal(size=(13, 17))
    h, w = 4, 5
    best = max(
        ((y, x) for y in range(13 - h + 1) for x in range(17 - w + 1)),
        key=lambda at: values[at[0] : at[0] + h, at[1] : at[1] + w].sum(),
    )
    assert strongest_window(values, 0.3) == (best[1], best[0], best[1] + w, best[0] + h)


def test_only_the_watermark_is_framed(realistic):
    html = SECTION(realistic)
    frames = [e.attributes for e in parse(html).all("rect", class_="inner")]
    assert len(frames) == 3  # one per method, on the one class of the one model
    assert all(float(f["x"]) < 82 < float(f["x"]) + float(f["width"]) for f in frames)
    assert all(float(f["y"]) < 84 < float(f["y"]) + float(f["height"]) for f in frames)


def test_one_class_alone_has_nothing_to_stand_out_from(realistic):
    first = realistic.findings[0]
    alone = replace(
        first.observed, classes=("horse",), outside_maps={m: a[:1] for m, a in first.observed.outside_maps.items()}
    )
    document = parse(SECTION(replace(realistic, findings=(replace(first, observed=alone),))))
    assert not document.all("rect", class_="inner")
    assert len(document.all("figure")) == 3


@pytest.mark.parametrize("bad", [{"limit": 0}, {"window": 1.0}, {"window": 0.0}, {"stands_out": 0.5}])
def test_parameters_are_checked(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
        HotspotsSection(**({"limit": 1, "window": 0.2, "stands_out": 2.0} | bad))
