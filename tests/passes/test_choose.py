"""Which images are drawn: all, or an even spread; and what became of the gallery's images."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from pipeline.passes.choose import choose_details, choose_drawn
from pipeline.types import Observed

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
