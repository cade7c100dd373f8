from __future__ import annotations

from pipeline.report.sections.distributions import DistributionsSection
from tests.report.markup import parse


def test_medians_equal_the_scores(realistic):
    text = parse(DistributionsSection(limit=20)(realistic)).text
    scores = realistic.findings[0].observed.scores
    for _, rows in scores.groupby(["method", "class"]):
        assert f"{100 * rows['inside_share'].median():.0f}\u202f%" in text
        assert f"×{rows['lift'].median():.2f}" in text


def test_undefined_values_are_counted(realistic):
    text = parse(DistributionsSection(limit=20)(realistic)).text
    assert text.count("1 undefined") == 2 * 3  # one image per model and method


def test_every_histogram_has_its_numbers(realistic):
    document = parse(DistributionsSection(limit=20)(realistic))
    assert len(document.all("title")) == 2 * 3 * 5 * 2
