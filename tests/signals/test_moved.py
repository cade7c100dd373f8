"""Place and size against surroundings: what an object's new box does at home is not put down to the surroundings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.background_gap import BackgroundGap
from pipeline.signals.donors import beyond, placed_rate
from pipeline.signals.outside_keenest import OutsideKeenest
from pipeline.signals.outside_transplant import OutsideTransplant
from pipeline.types import Evidence, Observed
from tests.signals.test_outside_keenest import CLASSES, of, world

S1 = OutsideTransplant(draws=199, max_other_classes=5, alpha=0.01, gate=0.1, floor=0.02)
KEENEST = OutsideKeenest(share=1 / 3, draws=199, max_other_classes=5, alpha=0.01, gate=0.1, floor=0.02)
GAP = BackgroundGap(draws=199, max_other_classes=5, alpha=0.01)


def placed(rng: np.random.Generator, by_place: float, by_surroundings: float) -> Observed:
    """Objects in boxes of class a turn into a, at home as elsewhere, and more so on the surroundings of a.

    Objects of a in boxes of other classes are lost as often, at home as elsewhere.
    """
    seen = world(rng, {})
    removed = seen.trials[seen.trials["intervention"] == "object_removed"]
    rows = []
    for trial in seen.trials[seen.trials["intervention"] == "outside_transplant"].to_dict("records"):
        place = (trial["donor_class"] == "a") != (trial["recipient_class"] == "a") and rng.uniform() < by_place
        pull = trial["donor_class"] == "a" and rng.uniform() < by_surroundings
        for arm in (trial["arm"], {"other": "moved", "own": "own_moved"}[trial["arm"]]):
            at_home = arm in ("moved", "own_moved")
            goes = "a" if trial["donor_class"] == "a" else trial["donor_class"]
            odds = {c: rng.normal() + 5 * (c == trial["recipient_class"]) for c in CLASSES}
            odds[goes] += 10 * (place or (pull and not at_home))
            named = {f"log_odds:{c}": v for c, v in odds.items()}
            rows.append({**trial, "arm": arm, "predicted": max(odds, key=odds.__getitem__), **named})
    moved = pd.DataFrame(rows).assign(recipient=[f"r{i // 2}" for i in range(len(rows))])
    return Observed(
        model="m", classes=CLASSES, n_outputs=4, frame=(32, 32), images=pd.DataFrame(), scores=pd.DataFrame(),
        trials=pd.concat([removed, moved], ignore_index=True), outside_maps={},
    )  # fmt: skip


@pytest.mark.parametrize("signal", [S1, KEENEST, GAP])
def test_a_class_that_is_told_by_its_place_is_not_accused(signal: object) -> None:
    rng = np.random.default_rng(0)
    found = of(signal(placed(rng, 0.7, 0.0), rng), "a")  # type: ignore[operator]
    assert abs(found.estimate) < 0.1
    assert found.p_value > 0.05


@pytest.mark.parametrize("signal", [S1, KEENEST])
def test_surroundings_are_found_beside_the_place(signal: object) -> None:
    rng = np.random.default_rng(0)
    found: Evidence = of(signal(placed(rng, 0.3, 0.6), rng), "a")  # type: ignore[operator]
    assert found.p_value <= 0.01
    assert found.estimate == pytest.approx(0.7 * 0.6, abs=0.15)
    assert float(found.details["flipped_by_place"]) == pytest.approx(0.3, abs=0.15)
    assert float(found.details["flipped"]) == pytest.approx(0.3 + 0.7 * 0.6, abs=0.15)


@pytest.mark.parametrize("signal", [S1, KEENEST, GAP])
def test_calibrated_where_place_tells(signal: object) -> None:
    p = []
    for s in range(40):
        rng = np.random.default_rng(s)
        p.append(of(signal(placed(rng, 0.5, 0.0), rng), "a").p_value)  # type: ignore[operator]
    assert np.mean(np.array(p) <= 0.05) <= 0.11


def test_a_trial_without_its_partner_is_left_out() -> None:
    trials = pd.DataFrame(
        {"recipient": ["x", "y", "z"], "donor": "d", "donor_class": "a", "recipient_class": "b",
         "predicted": ["a", "a", "b"], "log_odds:a": [2.0, 1.0, -1.0]}
    )  # fmt: skip
    moved = trials.iloc[:2].assign(predicted=["a", "b"], **{"log_odds:a": [1.5, -3.0]})
    found = beyond(trials, moved, "a")
    assert found["called"].tolist() == [0.0, 1.0]
    assert found["shift"].tolist() == [0.5, 4.0]
    assert beyond(trials, None, "a")["called"].tolist() == [1.0, 1.0, 0.0]
    assert placed_rate(moved, "a") == 0.5
    assert np.isnan(placed_rate(None, "a"))
