"""Which images are drawn: all, or an even spread; what became of the gallery's; which changes show a class best."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from pipeline.passes.choose import choose_details, choose_drawn, choose_edits
from pipeline.types import Evidence, Observed, Role, State, Verdict

LABELS = ["a"] * 50 + ["b"] * 3 + ["c"] * 47


def drawn(limit: int, seed: int = 0) -> list[int]:
    return choose_drawn(LABELS, limit, np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize("limit", [100, 101, 10_000])
def test_all_where_there_is_room(limit: int) -> None:
    assert drawn(limit) == list(range(100))


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9, 10, 23, 99])
def test_evenly_over_the_classes_the_small_ones_whole(limit: int) -> None:
    rows = drawn(limit)
    assert len(rows) == len(set(rows)) == limit
    counts = Counter(LABELS[r] for r in rows)
    fair = np.array([counts[c] for c in "abc"])
    assert fair[1] == 3 if limit >= 9 else fair.max() - fair.min() <= 1
    assert abs(fair[0] - fair[2]) <= 1 or fair[2] == 47


def test_at_random_with_the_seed() -> None:
    assert drawn(20) == drawn(20)
    assert drawn(20) != drawn(20, seed=1)
    seen = Counter(r for seed in range(200) for r in drawn(10, seed))
    assert set(seen) == set(range(100))  # wherever it stands in the dataset
    assert choose_drawn([], 5, np.random.default_rng(0)).tolist() == []


def observed(trials: list[tuple[str, str, str, str, bool]]) -> Observed:
    table = pd.DataFrame(trials, columns=["intervention", "arm", "recipient", "donor", "stays"])
    images = pd.DataFrame({"id": ["x", "y", "z"], "class": ["a", "b", "a"]})
    return Observed(
        model="m", classes=("a", "b"), n_outputs=2, frame=(8, 8), images=images, scores=pd.DataFrame(),
        trials=table, outside_maps={},
    )  # fmt: skip


CHOSEN = pd.DataFrame({"class": ["b", "a"], "kind": ["telling", "control"], "rank": [4, 2], "row": [1, 0]})


def test_details_of_the_chosen_images_alone() -> None:
    seen = observed(
        [
            ("object_removed", "smooth", "x", "", True),
            ("object_removed", "smooth", "y", "", True),
            ("object_removed", "smooth", "z", "", True),
            ("object_removed", "blur", "x", "", False),
            ("object_removed", "blur", "y", "", False),
            ("object_only", "mean", "x", "", True),
            ("low_level", "colour", "x", "z", False),
            ("outside_transplant", "other", "x", "y", True),
            ("outside_transplant", "other", "x", "z", False),
            ("outside_transplant", "other", "z", "y", False),
            ("outside_transplant", "own", "y", "x", False),
            ("outside_transplant", "other", "y", "z", True),
            ("outside_transplant", "matched", "x", "y", False),
        ]
    )
    found = choose_details(seen, CHOSEN)
    assert set(found["kind"]) == {"detail"}
    columns = ["recipient", "class", "rank", "intervention", "arm", "donor"]
    assert set(found[columns].itertuples(index=False, name=None)) == {
        ("y", "b", 4, "object_removed", "smooth", ""),
        ("y", "b", 4, "outside_transplant", "other", "z"),  # it stays, but nothing else is there; `own` is a control
        ("x", "a", 2, "object_removed", "smooth", ""),  # the first arm, whatever came of it
        ("x", "a", 2, "object_only", "mean", ""),
        ("x", "a", 2, "outside_transplant", "other", "z"),  # the one that changed the prediction
    }
    assert len(found) == 5


def test_a_later_arm_that_changed_it_is_shown_before_one_that_did_not() -> None:
    seen = observed(
        [("outside_transplant", "other", "x", "y", True), ("outside_transplant", "matched", "x", "y", False)]
    )
    assert choose_details(seen, CHOSEN)["arm"].tolist() == ["matched"]


def test_nothing_was_changed_or_chosen() -> None:
    assert choose_details(observed([]), CHOSEN).empty
    seen = observed([("object_only", "mean", "x", "", True)])
    assert choose_details(seen, CHOSEN.iloc[:0]).empty


EDGE, CORNER = (0.0, 90.0, 100.0, 100.0), (80.0, 80.0, 100.0, 100.0)
TRIALS = [  # intervention, arm, donor, place, predicted; all from k to others
    ("object_removed", "smooth", "", None, "b"),
    ("outside_transplant", "other", "x", None, "a"),
    ("outside_transplant", "moved", "x", None, "a"),
    ("low_level", "sharpness", "x", None, "b"),
    ("low_level", "compression", "x", None, "a"),
    ("places", "search:in", "x", CORNER, "a"),
    ("places", "search_own:in", "x", CORNER, "a"),
    ("places", "confirm:in", "x", EDGE, "b"),
    ("places", "confirm:in", "x", CORNER, "b"),
    ("places", "confirm:in", "z", CORNER, "a"),
    ("places", "confirm_own:in", "x", CORNER, "a"),
    ("places", "telling:in", "x", CORNER, "a"),
    ("places", "confirm:band", "x", CORNER, "a"),
    ("own_places", "probe:in", "", CORNER, "a"),
    ("own_places", "moving:in", "x", EDGE, "a"),
    ("own_places", "moving_own:in", "x", EDGE, "a"),
    ("shared_layer", "over", "x", None, "a"),
    ("hole_control", "smooth", "x", None, "a"),
]


def carrier(role: Role, signal: str, words: str, **details: float | str) -> Evidence:
    return Evidence(
        signal=signal, class_name="a", estimate=0.6, low=0.5, high=0.7, unit="share", p_value=0.0, n=9, n_others=9,
        detectable=0.1, role=role, version=1, carrier=words, details=details,
    )  # fmt: skip


def shown(state: State, *carried: Evidence) -> set[tuple[str, str, str, object]]:
    """What is drawn for class a: intervention, arm, donor, place."""
    table = pd.DataFrame(TRIALS, columns=["intervention", "arm", "donor", "place", "predicted"])
    table["donor_class"] = np.where(table["donor"] == "", "", "a")
    table["recipient"], table["recipient_class"] = np.where(table["donor"] == "", "x", "y"), "b"
    table.loc[table["donor"] == "", "recipient_class"] = "a"
    named = table["intervention"].isin(["places", "own_places", "shared_layer"])
    table["tested"] = np.where(named, "a", "")
    seen = Observed(
        model="m", classes=("a", "b"), n_outputs=2, frame=(100, 100), images=pd.DataFrame(), scores=pd.DataFrame(),
        trials=table, outside_maps={},
    )  # fmt: skip
    verdicts = [
        Verdict(scope="model", state=state, reason=""),
        Verdict(scope="a", state=state, reason="", carried_by=carried),
    ]
    found = choose_edits(seen, verdicts, np.random.default_rng(0))
    assert set(found["class"]) <= {"a"}
    return set(found[["intervention", "arm", "donor", "place"]].itertuples(index=False, name=None))


ALWAYS = {("object_removed", "smooth", "", None), ("outside_transplant", "other", "x", None)}
BOX = {"x0": 80.0, "y0": 80.0, "x1": 100.0, "y1": 100.0}


@pytest.mark.parametrize(
    ("carried", "drawn"),
    [
        (carrier("surroundings", "outside_transplant", "the surroundings"), set()),
        (
            carrier("place", "place:1", "the bottom right corner", donors="at random", **BOX),
            {("places", "confirm:in", "x", CORNER), ("places", "confirm:in", "z", CORNER)},
        ),
        (
            carrier("place", "place:1", "the bottom right corner", donors="most telling", **BOX),
            {("places", "telling:in", "x", CORNER)},
        ),
        (
            carrier("place", "place:3", "the border", donors="at random", kind="band", **BOX),
            {("places", "confirm:band", "x", CORNER)},
        ),
        (carrier("place", "place:moving", "a place that moves"), {("own_places", "moving:in", "x", EDGE)}),
        (carrier("property", "property:sharpness", "sharpness"), {("low_level", "sharpness", "x", None)}),
        (carrier("property", "property:layer", "something drawn over the whole picture"), set()),
    ],
)
def test_of_places_and_properties_what_carries_the_class_is_drawn(carried: Evidence, drawn: set) -> None:
    assert shown("SHORTCUT", carried) == ALWAYS | drawn


def test_the_strongest_carrier_is_drawn_of_several() -> None:
    edge = carrier("place", "place:2", "the bottom edge", donors="at random", **BOX)
    corner = carrier("place", "place:1", "the bottom right corner", donors="at random", **BOX)
    assert shown("SHORTCUT", edge, corner) == ALWAYS | {("places", "confirm:in", "x", EDGE)}


def test_of_classes_that_are_not_flagged_neither_places_nor_properties_are_drawn() -> None:
    assert shown("CLEAR") == ALWAYS
