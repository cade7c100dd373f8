from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.report.sections.changes import ChangesSection
from tests.report.markup import parse
from tests.report.stored_runs import effect, results, store

FIRST, SECOND = "20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb"
SECTION = ChangesSection(limit=2)


def document(before, after, root, **options):
    folder = store(results(before, run_id=FIRST), root)
    return parse(SECTION(results(after, run_id=SECOND, earlier=(str(folder),), **options)))


def test_without_an_earlier_run_there_is_one_line():
    found = parse(SECTION(results({"a": "CLEAR"})))
    assert [e.tag for e in found.elements] == ["p"]
    assert "no earlier run" in found.text


def test_what_changed_since_the_last_of_the_earlier_runs(tmp_path):
    before = {"star": "CLEAR", "moon": "SHORTCUT", "sun": "CONTEXT", "sea": "CLEAR"}
    after = {"star": "SHORTCUT", "moon": "CLEAR", "sun": "CONTEXT"}
    found = document(before, after, tmp_path, evidence={"star": (effect("star", 0.8),)})
    text = found.words
    assert f"One class became SHORTCUT since {FIRST}: star" in text
    assert "one class is CLEAR and no longer flagged: moon" in text
    assert "Other classes were audited (only in the baseline: sea)" in text
    assert "+80 [+66, +94]" in text
    assert [w for w in ("new", "still", "fixed", "gone") if w in text] == ["new", "still", "fixed", "gone"]
    assert f"./../../{FIRST}/report/index.html" in [e.attributes["href"] for e in found.all("a")]
    assert len(found.all("table", class_="shifts")) == 1
    assert "6 more differences" in text
    assert found.unbalanced == []
    assert len(found.all("caption")) == len(found.all("table"))


def test_the_baseline_is_the_last_of_the_earlier_runs(tmp_path):
    folders = [store(results({"a": s}, run_id=i), tmp_path) for s, i in (("CLEAR", FIRST), ("SHORTCUT", SECOND))]
    made = results({"a": "SHORTCUT"}, run_id="20261103T000000Z-cccccc", earlier=tuple(map(str, folders)))
    assert f"No class changed its verdict since {SECOND}" in parse(SECTION(made)).words


def test_an_earlier_run_that_cannot_be_read_says_why(tmp_path):
    text = parse(SECTION(results({"a": "CLEAR"}, earlier=(str(tmp_path / "gone"),)))).text
    assert "cannot be compared with" in text
    assert "gone is not a folder" in text


def test_names_stay_text(tmp_path):
    name = '"><img onerror="x"><script>'
    found = document({name: "CLEAR"}, {name: "SHORTCUT"}, tmp_path)
    assert found.all("img") == found.all("script") == []
    assert name in found.text


def test_nothing_audited_now(tmp_path, empty):
    folder = store(results({"a": "CLEAR"}, run_id=FIRST), tmp_path)
    assert "One class is no longer audited: a" in parse(SECTION(replace(empty, earlier=(str(folder),)))).words


def test_the_limit_is_checked():
    with pytest.raises(ValueError, match="1 or more, got 0"):
        ChangesSection(limit=0)
