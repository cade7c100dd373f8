from __future__ import annotations

import math

import pytest
from markupsafe import Markup

from pipeline.report.change_tables import headline, shift_rows, status_counts
from pipeline.report.comparison import compare
from tests.report.stored_runs import effect, run

FIRST, SECOND, THIRD = ("20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb", "20261103T000000Z-cccccc")


def against(root, *states, evidence=None):
    runs = [
        run(root, s, run_id=i, evidence=evidence if i != FIRST else None)
        for s, i in zip(states, (FIRST, SECOND, THIRD), strict=False)
    ]
    return compare(runs).against


def plain(text):
    return Markup(text).striptags()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"a": "CLEAR"}, {"a": "CLEAR"}, "No class changed its verdict since before."),
        (
            {"star": "CLEAR", "moon": "CLEAR", "a": "CLEAR"},
            {"star": "SHORTCUT", "moon": "SHORTCUT", "a": "CONTEXT"},
            "Two classes became SHORTCUT since before: moon, star; one class became CONTEXT since before: a.",
        ),
        ({"a": "CONTEXT"}, {"a": "SHORTCUT"}, "One class became SHORTCUT since before: a."),
        ({"a": "SHORTCUT"}, {"a": "CLEAR"}, "One class is CLEAR and no longer flagged: a."),
        ({"a": "SHORTCUT"}, {"a": "INCONCLUSIVE"}, "One class is no longer flagged, but INCONCLUSIVE: a."),
        ({"a": "CLEAR"}, {"a": "INCONCLUSIVE"}, "One class changed between CLEAR and INCONCLUSIVE: a."),
        (
            {"a": "CLEAR", "b": "CLEAR"},
            {"c": "CLEAR"},
            "One class is audited for the first time: c; two classes are no longer audited: a, b.",
        ),
        (
            {"a": "SHORTCUT", "b": "CONTEXT"},
            {"a": "SHORTCUT", "b": "CONTEXT"},
            "No class changed its verdict since before; two classes are still flagged: a, b.",
        ),
    ],
)
def test_headline(tmp_path, before, after, said):
    assert plain(headline(against(tmp_path, before, after), "before")) == said


def test_many_classes_are_counted(tmp_path):
    names = [f"c{i:02}" for i in range(12)]
    found = against(tmp_path, dict.fromkeys(names, "CLEAR"), dict.fromkeys(names, "SHORTCUT"))
    assert plain(headline(found, "x")) == "12 classes became SHORTCUT since x: c00, c01, c02, c03, c04 and 7 more."


def test_headline_of_a_sweep(tmp_path):
    clear, guilty = {"a": "CLEAR", "b": "SHORTCUT"}, {"a": "SHORTCUT", "b": "CLEAR"}
    assert plain(headline(against(tmp_path, clear, guilty, clear), "x")) == (
        "In 1 of the 2 other runs classes are SHORTCUT that are not in x: a (1 run); "
        "in 1 a flagged class is CLEAR again."
    )
    again = headline(against(tmp_path / "again", clear, clear, clear), "x")
    assert plain(again) == "In none of the 2 other runs a class is SHORTCUT that is not in x."


def test_names_in_the_headline_stay_text(tmp_path):
    name = "<img onerror=x>"
    assert "<bdi>&lt;img onerror=x&gt;</bdi>" in headline(against(tmp_path, {name: "CLEAR"}, {name: "SHORTCUT"}), name)


def test_certain_differences_of_changed_classes_come_first_and_undefined_ones_last(tmp_path):
    states = {"a": "CLEAR", "b": "CLEAR", "c": "CLEAR", "d": "CLEAR"}
    evidence = {
        "a": (effect("a", 0.2),),  # larger than nothing, within its interval
        "b": (effect("b", 0.9),),  # beyond its interval, the verdict stayed
        "c": (effect("c", 0.5),),  # beyond its interval, the verdict changed
        "d": (effect("d", math.nan),),
    }
    found = against(tmp_path, states, {**states, "c": "SHORTCUT"}, evidence=evidence)
    rows, rest = shift_rows(found, 100)
    names = [r.change.class_name for r in rows if r.shift.quantity == "removed_excess"]
    assert [n for n in names if n != "a"] == ["c", "b", "d"]
    assert rest == 0
    assert rows[-1].bar is None
    assert rows[-1].shift.missing == "undefined in this run"
    assert "50, 95 % interval" in rows[0].bar


def test_a_large_difference_within_its_interval_comes_after_a_smaller_certain_one(tmp_path):
    states = {"wide": "CLEAR", "sure": "CLEAR"}
    evidence = {"wide": (effect("wide", 0.6, 0.9),), "sure": (effect("sure", 0.3),)}
    rows, _ = shift_rows(against(tmp_path, states, states, evidence=evidence), 2)
    assert [r.change.class_name for r in rows] == ["sure", "wide"]


def test_rows_that_are_left_out_are_counted(tmp_path):
    states = {"a": "CLEAR", "b": "CLEAR"}
    rows, rest = shift_rows(against(tmp_path, states, states, states), 3)
    assert len(rows) == 3
    assert rest == 2 * 2 * 2 - 3


def test_status_counts_in_the_order_of_what_to_look_at_first(tmp_path):
    found = against(tmp_path, {"a": "CLEAR", "b": "SHORTCUT"}, {"a": "SHORTCUT", "b": "SHORTCUT"})
    assert [(s, n) for s, n, _ in status_counts(found[0].changes)] == [("new", 1), ("still", 1)]
