from __future__ import annotations

from dataclasses import replace

from pipeline.report.render import unbroken
from pipeline.report.sections.verdict import VerdictSection
from tests.report.markup import parse


def words_of(results):
    return parse(VerdictSection()(results)).words


def test_verdict_reason_and_twin(realistic):
    text = words_of(realistic)
    assert "SHORTCUT" in text
    assert unbroken(realistic.findings[0].verdicts[0].reason) in text
    assert "watermark_cnn_clean" in text
    assert unbroken(realistic.findings[1].verdicts[0].reason) in text


def test_counts_are_said(realistic):
    text = words_of(realistic)
    assert "Images audited60of 63" in text
    assert "Skipped or failed3" in text


def test_worst_class_is_the_most_serious(realistic):
    assert "horsethe bottom right corner: +58 [+48, +68]" in words_of(realistic)
    first = realistic.findings[0]
    nothing = tuple(replace(v, carried_by=()) for v in first.verdicts)
    item = next(e for e in first.evidence if e.class_name == "horse")
    bare = replace(realistic, findings=(replace(first, verdicts=nothing),))
    assert f"horseobject removed: +{100 * item.estimate:.0f} [" in words_of(bare)


def test_without_a_twin_there_is_none(realistic):
    assert "Twin" not in words_of(replace(realistic, findings=realistic.findings[:1]))


def test_nothing_audited(empty):
    text = words_of(empty)
    assert "INCONCLUSIVE" in text
    assert "Accuracyn/a" in text
