from __future__ import annotations

from dataclasses import replace

from pipeline.report.sections.problems import ProblemsSection
from tests.report.fake_results import large
from tests.report.markup import parse


def words_of(results, limit):
    return parse(ProblemsSection(limit=limit)(results)).words


def test_the_sum_is_printed(realistic):
    assert "63 images = 60 audited + 1 skipped + 2 failed" in words_of(realistic, 10)


def test_what_is_not_listed_is_counted():
    text = words_of(large(5), 7)
    assert "4,993 more are not listed here" in text
    assert "1,667 broken image failed" in text


def test_nothing_wrong(realistic):
    whole = replace(realistic, problems=realistic.problems.iloc[:0], counts={"total": 60, "audited": 60})
    assert "Every image was audited." in words_of(whole, 10)
