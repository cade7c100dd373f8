"""The background gap on synthetic trials: found where planted, calibrated with donors that differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.background_gap import BackgroundGap
from pipeline.types import Evidence, Observed

CLASSES = ("a", "b", "c", "d")
GAP = BackgroundGap(draws=199, max_other_classes=5, alpha=0.01)


def observed(trials: pd.DataFrame) -> Observed:
    return Observed(
        model="m", classes=CLASSES, n_outputs=4, frame=(32, 32), images=pd.DataFrame(), scores=pd.DataFrame(),
        trials=trials, outside_maps={},
    )  # fmt: skip


def transplants(rng: np.random.Generator, per_class: int, turns: dict[str, float]) -> Observed:
    """Every donor gives to three objects of other classes and one of its own; donors differ, and their trials agree.

    `turns`: class -> how often its surroundings turn another object into it.
    """
    rows = []
    for donor_class in CLASSES:
        for i in range(per_class):
            pull = rng.normal()  # the donor's own: its trials are not independent
            others = [c for c in CLASSES if c != donor_class]
            for recipient_class in [*others, donor_class]:
                own = recipient_class == donor_class
                guilty = rng.uniform() < turns.get(donor_class, 0.0)
                odds = {c: rng.normal() + 0.7 * pull + 4 * (c == recipient_class) for c in CLASSES}
                if guilty and not own:
                    odds[donor_class] += 8
                rows.append(
                    {
                        "intervention": "outside_transplant", "arm": "own" if own else "other",
                        "donor": f"{donor_class}{i}", "donor_class": donor_class, "recipient_class": recipient_class,
                        "predicted": max(odds, key=odds.__getitem__), **{f"log_odds:{c}": odds[c] for c in CLASSES},
                    }
                )  # fmt: skip
    return observed(pd.DataFrame(rows))


def by_class(found: list[Evidence]) -> dict[str, Evidence]:
    return {e.class_name: e for e in found}


def test_the_background_gap_is_the_loss_on_other_surroundings() -> None:
    rng = np.random.default_rng(0)
    seen = transplants(rng, 60, {})
    trials = seen.trials
    away = (trials["recipient_class"] == "b") & (trials["donor_class"] != "b") & (rng.uniform(size=len(trials)) < 0.5)
    trials.loc[away, "predicted"] = "c"
    found = by_class(GAP(observed(trials), rng))
    truth = 0.5 * (trials.loc[(trials["recipient_class"] == "b") & ~away, "predicted"] == "b").mean()
    assert found["b"].estimate == pytest.approx(truth, abs=0.12)
    assert found["b"].p_value <= 0.01
    assert float(found["b"].details["drop"]) == pytest.approx(1 - float(found["b"].details["elsewhere"]))
    assert found["a"].estimate < 0.15


def test_the_gap_is_calibrated_with_donors_that_differ() -> None:
    p = [
        e.p_value
        for s in range(30)
        for e in GAP(transplants(np.random.default_rng(s), 12, {}), np.random.default_rng(s))
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.09


def test_the_gap_is_calibrated_with_two_classes_of_unequal_size() -> None:
    p = []
    for s in range(100):
        rng = np.random.default_rng(s)
        rows = []
        for donor_class, count, trials in (("a", 60, 3), ("b", 8, 1)):
            for i in range(count):
                stays = rng.beta(2.4, 0.6)
                named = np.where(rng.uniform(size=trials) < stays, "b", "a")
                rows += [("own" if donor_class == "b" else "other", f"{donor_class}{i}", donor_class, n) for n in named]
        trials_of_b = pd.DataFrame(rows, columns=["arm", "donor", "donor_class", "predicted"])
        world = observed(
            trials_of_b.assign(intervention="outside_transplant", recipient_class="b", **{"log_odds:b": 0.0})
        )
        p.append(by_class(GAP(replace(world, classes=("a", "b"), n_outputs=2), rng))["b"].p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.09


def two_classes(rng: np.random.Generator, per_class: int, turns: float) -> Observed:
    """As `transplants`, of two classes alone: one trial with the other class, one within its own; a may be guilty."""
    trials = transplants(rng, per_class, {"a": turns}).trials
    trials = trials.query("donor_class in ('a', 'b') and recipient_class in ('a', 'b')").copy()
    lost = ~trials["predicted"].isin(["a", "b"])
    trials.loc[lost, "predicted"] = trials.loc[lost, "recipient_class"]
    return replace(observed(trials), classes=("a", "b"), n_outputs=2)


def test_the_gap_of_two_classes_falls_on_the_one_that_leaves() -> None:
    """Surroundings of a turn b into a: b is lost on them, and a is not lost on b's."""
    rng = np.random.default_rng(0)
    found = by_class(GAP(two_classes(rng, 30, 0.6), rng))
    assert found["b"].p_value <= 0.01
    assert found["b"].estimate == pytest.approx(0.6, abs=0.2)
    assert found["a"].p_value > 0.05


def test_no_trials_leave_every_class_undefined() -> None:
    columns = ["intervention", "arm", "donor", "donor_class", "recipient_class", "predicted"]
    found = GAP(observed(pd.DataFrame(columns=columns)), np.random.default_rng(0))
    assert [e.class_name for e in found] == list(CLASSES)
    assert all(np.isnan(e.estimate) and "undefined" in e.details for e in found)
