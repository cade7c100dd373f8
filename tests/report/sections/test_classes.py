from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from pipeline.report.charts import WIDTH
from pipeline.report.sections.classes import ClassesSection
from tests.report.fake_results import place
from tests.report.markup import parse

WANTED = ()
SECTION = ClassesSection(limit=60, signals=WANTED)


def test_numbers_equal_the_evidence(realistic):
    text = parse(SECTION(realistic)).words
    for item in (e for f in realistic.findings for e in f.evidence if e.decides):
        estimate, low, high = (f"{100 * v:+.0f}".replace("-", "\u2212") for v in (item.estimate, item.low, item.high))
        shown = f"{estimate} [{low}, {high}]".replace("+0", "0").replace("\u22120", "0")
        assert shown in text


def test_both_models_share_an_axis(realistic):
    html = SECTION(realistic)
    nulls = re.findall(r'class="null" x1="([\d.]+)"', html)
    assert len(nulls) == 2 * 5 * 3
    for column in range(3):
        assert len(set(nulls[column::3])) == 1  # every class of both models
    assert 0 < float(nulls[0]) < WIDTH


def test_the_rest_is_counted(realistic):
    html = ClassesSection(limit=2, signals=WANTED)(realistic)
    assert "<b>3</b> more classes" in html
    assert "all 5 are in" in html
    assert len(parse(html).all("tbody")) == 2 * (2 + 1)


def test_a_class_that_a_signal_skipped_is_said_so(realistic):
    first = realistic.findings[0]
    kept = tuple(e for e in first.evidence if (e.signal, e.class_name) != ("object_removed", "cat"))
    html = SECTION(replace(realistic, findings=(replace(first, evidence=kept),)))
    assert html.count("not tested") == 1


def test_an_undefined_effect_says_why(realistic):
    first = realistic.findings[0]
    bad = replace(first.evidence[0], estimate=math.nan, low=math.nan, high=math.nan, details={"undefined": "not run"})
    judged = (bad, *first.verdicts[1].evidence[1:])
    verdicts = (first.verdicts[0], replace(first.verdicts[1], evidence=judged), *first.verdicts[2:])
    html = SECTION(replace(realistic, findings=(replace(first, verdicts=verdicts),)))
    assert html.count(">not run<") == 1
    assert "nan" not in html


def test_what_the_judge_added_is_shown(realistic):
    first = realistic.findings[0]
    item = replace(first.evidence[0], details={"q": 0.0321})
    verdicts = (first.verdicts[0], replace(first.verdicts[1], evidence=(item,)), *first.verdicts[2:])
    assert "q = .032" in SECTION(replace(realistic, findings=(replace(first, verdicts=verdicts),)))


def test_a_role_has_a_column_of_what_carries_the_class_or_is_largest(realistic):
    first = realistic.findings[0]
    other = place("cat", 0.07, signal="place:2", place="the top edge")
    weak = place("horse", 0.9, signal="place:2")  # larger than what carries the class, and it does not speak
    given = replace(first, evidence=(*first.evidence, replace(other, carrier="the top edge"), weak))
    html = ClassesSection(limit=60, signals=["object_removed", "place"])(replace(realistic, findings=(given,)))
    text = parse(html).words
    rows = [text[text.index(f"{name}{state}") :] for name, state in (("horse", "SHORTCUT"), ("cat", "CLEAR"))]
    assert "+58 [+48, +68]" in rows[0][:330]
    assert "+90 [" not in rows[0][:330]
    assert "+7 [\u22123, +17]" in rows[1][:330]
    assert "the top edge" in rows[1][:330]
    assert "Carried by the bottom right corner, the surroundings." in text


def test_limit_is_checked():
    with pytest.raises(ValueError, match="`limit`"):
        ClassesSection(limit=0, signals=WANTED)
