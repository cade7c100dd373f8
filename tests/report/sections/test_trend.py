from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.report.sections.trend import TrendSection
from tests.report.markup import parse
from tests.report.stored_runs import effect, results, store

IDS = [f"202611{i:02}T000000Z-aaaaaa" for i in range(1, 5)]
SECTION = TrendSection(limit=2)


def history(root, *states, **options):
    """The last one is the run that is being written."""
    folders = [
        store(results(s, run_id=i, evidence={c: (effect(c, 0.1 * k),) for c in s}), root)
        for k, (i, s) in enumerate(zip(IDS, states[:-1], strict=False))
    ]
    return results(states[-1], run_id=IDS[len(folders)], earlier=tuple(map(str, folders)), **options)


def test_the_first_run_has_no_trend():
    found = parse(SECTION(results({"a": "SHORTCUT"})))
    assert [e.tag for e in found.elements] == ["p"]
    assert "no trend yet" in found.text


def test_verdicts_effects_and_accuracy_in_the_order_of_the_runs(tmp_path):
    made = history(
        tmp_path, {"a": "CLEAR", "b": "CLEAR"}, {"b": "CLEAR"}, {"a": "SHORTCUT", "b": "CLEAR"}, wrong={"a-0": "b"}
    )
    found = parse(SECTION(made))
    assert "a, verdicts from the first run to this one: CLEAR, not audited, SHORTCUT" in found.text
    assert "a, removed excess in percentage points: 0, n/a, 0" in found.text
    assert "Accuracy from the first run to this one: 100.0\u202f%, 100.0\u202f%, 87.5\u202f%" in found.text
    assert [e.attributes["href"] for e in found.all("use") if "state" not in e.attributes][:2]
    links = [e.attributes["href"] for e in found.all("a")]
    assert links == [f"./../../{i}/report/index.html" for i in IDS[:2]]
    charts = [e for e in found.all("svg") if "chart" in e.attributes.get("class", "")]
    assert len(charts) == len(found.all("title")) == 3
    assert found.unbalanced == []
    assert "b, verdicts" not in found.text  # never flagged


def test_the_effect_drawn_is_the_largest_when_the_class_was_last_flagged(tmp_path):
    folder = store(results({"a": "SHORTCUT"}, run_id=IDS[0], evidence={"a": (effect("a", 0.9),)}), tmp_path)
    now = (effect("a", 0.1), effect("a", 0.4, signal="outside_transplant"))
    made = results({"a": "SHORTCUT"}, run_id=IDS[1], evidence={"a": now}, earlier=(str(folder),))
    assert "a, outside transplant in percentage points: n/a, +40" in parse(SECTION(made)).text


def test_what_carries_a_class_is_followed_by_its_place_and_not_by_its_number(tmp_path):
    edge, corner = (
        effect("a", e, signal=s, role="place", carrier=c)
        for e, s, c in ((0.3, "place:2", "the top edge"), (0.9, "place:1", "the corner"))
    )
    folder = store(results({"a": "SHORTCUT"}, run_id=IDS[0], evidence={"a": (corner, edge)}), tmp_path)
    now = replace(edge, signal="place:1", estimate=0.5)
    made = results({"a": "SHORTCUT"}, run_id=IDS[1], evidence={"a": (effect("a", 0.99), now)}, earlier=(str(folder),))
    found = made.findings[0]
    carried = (found.verdicts[0], replace(found.verdicts[1], carried_by=(now, effect("a", 0.99))))
    made = replace(made, findings=(replace(found, verdicts=carried),))
    assert "a, place: the top edge in percentage points: +30, +50" in parse(SECTION(made)).text


def test_a_class_that_was_never_flagged_is_not_drawn(tmp_path):
    text = parse(SECTION(history(tmp_path, {"a": "CLEAR"}, {"a": "CLEAR"}))).words
    assert "No class was flagged in any of these runs." in text


def test_classes_beyond_the_limit_are_counted(tmp_path):
    states = dict.fromkeys("abcde", "CONTEXT")
    text = parse(SECTION(history(tmp_path, states, {**states, "e": "SHORTCUT"}))).words
    assert "3 more classes that were flagged" in text
    assert "e, verdicts from the first run to this one: CONTEXT, SHORTCUT" in text


def test_runs_that_cannot_be_read_are_listed_and_left_out(tmp_path):
    made = history(tmp_path, {"a": "CLEAR"}, {"a": "CLEAR"}, {"a": "CLEAR"})
    (tmp_path / IDS[0] / "classes.csv").unlink()
    text = parse(SECTION(made)).words
    assert "lacks classes.csv" in text
    assert "2 runs of this audit" in text


def test_names_stay_text(tmp_path):
    name = '</title><script>"><img onerror="x">'
    found = parse(SECTION(history(tmp_path, {name: "SHORTCUT"}, {name: "SHORTCUT"})))
    assert found.all("script") == found.all("img") == []
    assert found.unbalanced == []
    assert name in found.text


def test_nothing_audited_now(tmp_path, empty):
    folder = store(results({"a": "SHORTCUT"}, run_id=IDS[0]), tmp_path)
    assert "a, verdicts from the first run to this one: SHORTCUT, not audited" in SECTION(
        replace(empty, earlier=(str(folder),))
    )


def test_the_limit_is_checked():
    with pytest.raises(ValueError, match="1 or more, got 0"):
        TrendSection(limit=0)
