from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pipeline.report.comparison import compare, status
from tests.report.stored_runs import effect, run

FIRST, SECOND, THIRD = ("20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb", "20261103T000000Z-cccccc")


def of(changes, name):
    return next(c for c in changes if c.class_name == name)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("CLEAR", "SHORTCUT", "new"),
        ("INCONCLUSIVE", "CONTEXT", "new"),
        (None, "SHORTCUT", "new"),
        ("SHORTCUT", "CLEAR", "fixed"),
        ("CONTEXT", "CLEAR", "fixed"),
        ("SHORTCUT", "SHORTCUT", "still"),
        ("CONTEXT", "CONTEXT", "still"),
        ("SHORTCUT", None, "gone"),
        ("CLEAR", None, "gone"),
        ("CONTEXT", "SHORTCUT", "changed"),
        ("SHORTCUT", "CONTEXT", "changed"),
        ("SHORTCUT", "INCONCLUSIVE", "changed"),
        ("CLEAR", "INCONCLUSIVE", "changed"),
        (None, "CLEAR", "changed"),
        ("CLEAR", "CLEAR", "unchanged"),
        ("INCONCLUSIVE", "INCONCLUSIVE", "unchanged"),
    ],
)
def test_status(before, after, expected):
    assert status(before, after) == expected


def test_changes_against_the_first_run(tmp_path):
    old = run(tmp_path, {"star": "CLEAR", "moon": "SHORTCUT", "sun": "CLEAR", "sea": "CONTEXT"}, run_id=FIRST)
    evidence = {"star": (effect("star", 0.9),)}
    new = run(
        tmp_path,
        {"star": "SHORTCUT", "moon": "CLEAR", "sun": "CLEAR", "sky": "CLEAR"},
        run_id=SECOND,
        evidence=evidence,
    )
    found = compare([old, new]).against[0]
    assert {c.class_name: c.status for c in found.changes} == {
        "star": "new", "sky": "changed", "moon": "fixed", "sea": "gone", "sun": "unchanged",
    }  # fmt: skip
    assert [c.class_name for c in found.changes] == ["star", "sky", "moon", "sea", "sun"]
    shift = of(found.changes, "star").shifts[0]
    assert (shift.before, shift.after) == (0, 0.9)
    assert shift.difference == pytest.approx(0.9)
    assert shift.low == pytest.approx(0.9 - math.sqrt(0.02))
    assert shift.certain
    assert not of(found.changes, "sun").shifts[0].certain
    assert of(found.changes, "sky").shifts[0].missing == "not tested in the baseline"
    assert of(found.changes, "sea").shifts[0].missing == "not tested in this run"
    assert math.isnan(of(found.changes, "sea").shifts[0].difference)
    assert of(found.changes, "sea").accuracy.missing == "no image in this run"


def test_the_first_run_is_the_baseline_of_all_others(tmp_path):
    runs = [
        run(tmp_path, {"a": s, "b": "CLEAR"}, run_id=i)
        for s, i in (("CLEAR", FIRST), ("SHORTCUT", SECOND), ("SHORTCUT", THIRD))
    ]
    found = compare(runs)
    assert found.baseline.run_id == FIRST
    assert [of(a.changes, "a").status for a in found.against] == ["new", "new"]
    assert found.classes == ("a", "b")
    with pytest.raises(ValueError, match="two or more, got 1"):
        compare(runs[:1])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"estimate": math.nan, "details": {"undefined": "no donors"}}, "no donors in this run"),
        ({"estimate": math.nan}, "undefined in this run"),
        ({"version": 2}, "version 1, then 2"),
        ({"unit": "logit"}, "other units: share of images, then logit"),
        ({"low": math.nan}, "no interval in one of the runs"),
    ],
)
def test_what_cannot_be_compared_is_missing_with_its_reason(tmp_path, change, reason):
    old = run(tmp_path, {"a": "CLEAR"}, run_id=FIRST)
    new = run(tmp_path, {"a": "CLEAR"}, run_id=SECOND, evidence={"a": (effect("a", 0.3, **change)
                                                                       if "estimate" not in change
                                                                       else effect("a", **change),)})  # fmt: skip
    shift = compare([old, new]).against[0].changes[0].shifts[0]
    assert shift.missing == reason
    assert math.isnan(shift.low)
    assert not shift.certain


def test_leads_are_not_compared(tmp_path):
    evidence = {"a": (effect("a"), effect("a", signal="data_probe", role="lead"))}
    runs = [run(tmp_path, {"a": "CLEAR"}, run_id=i, evidence=evidence) for i in (FIRST, SECOND)]
    assert [s.quantity for s in compare(runs).against[0].changes[0].shifts] == ["removed_excess"]


def test_a_place_is_compared_with_the_same_place_whatever_its_number(tmp_path):
    edge, corner = (
        effect("a", 0.2, signal=s, role="place", carrier=c)
        for s, c in (("place:1", "the edge"), ("place:2", "the corner"))
    )
    moved = replace(corner, signal="place:1", estimate=0.7, low=0.6, high=0.8)
    old = run(tmp_path, {"a": "CLEAR"}, run_id=FIRST, evidence={"a": (edge, corner)})
    new = run(tmp_path, {"a": "CLEAR"}, run_id=SECOND, evidence={"a": (moved,)})
    shifts = {s.quantity: s for s in compare([old, new]).against[0].changes[0].shifts}
    assert shifts["place: the corner"].difference == pytest.approx(0.5)
    assert shifts["place: the edge"].missing == "not tested in this run"


def test_images_that_changed_the_most_important_first(tmp_path):
    states = {"a": "CLEAR", "b": "SHORTCUT", "c": "CLEAR"}
    old = run(tmp_path, states, run_id=FIRST, wrong={"a-0": "b", "a-1": "b", "c-3": "a"})
    new = run(tmp_path, states, run_id=SECOND, wrong={"a-1": "c", "a-2": "c", "b-0": "a", "c-3": "a"})
    found = compare([old, new]).against[0]
    assert found.images[["id", "moved", "before", "after"]].to_numpy().tolist() == [
        ["b-0", "newly wrong", "b", "a"],  # of a flagged class
        ["a-2", "newly wrong", "a", "c"],
        ["a-1", "other class", "b", "c"],
        ["a-0", "newly right", "b", "a"],
    ]
    assert found.moves == {"newly wrong": 2, "other class": 1, "newly right": 1}
    assert found.shared == 12
    assert found.accuracy.difference == pytest.approx(-1 / 12)
    assert [of(found.changes, c).accuracy.difference for c in "abc"] == pytest.approx([0, -1 / 4, 0])
    assert found.accuracy.low < -1 / 12 < found.accuracy.high


def test_only_images_of_both_runs_are_compared(tmp_path):
    old = run(tmp_path, {"a": "CLEAR"}, run_id=FIRST, per_class=2)
    new = run(tmp_path, {"a": "CLEAR"}, run_id=SECOND, per_class=6, wrong={"a-1": "x", "a-5": "x"})
    found = compare([old, new]).against[0]
    assert found.shared == 2
    assert list(found.images["id"]) == ["a-1"]


def test_the_first_model_is_compared_and_never_the_twin(tmp_path):
    old = run(tmp_path, {"a": "CLEAR", "b": "CLEAR"}, run_id=FIRST, twin={"a": "SHORTCUT", "b": "CLEAR"})
    new = run(tmp_path, {"a": "CLEAR", "b": "CLEAR"}, run_id=SECOND)
    assert {c.status for c in compare([old, new]).against[0].changes} == {"unchanged"}
