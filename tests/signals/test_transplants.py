"""S3, S4 and C1 on synthetic trials: found where planted, calibrated where nothing is, clustered donors included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.background_gap import BackgroundGap
from pipeline.signals.low_level import LowLevel
from pipeline.signals.targeted import Targeted
from pipeline.types import Evidence, Observed

CLASSES = ("a", "b", "c", "d")
GAP = BackgroundGap(draws=199, max_other_classes=5, alpha=0.01)
LOW = LowLevel(draws=199, max_other_classes=5, alpha=0.005)
C1 = Targeted(draws=199, alpha=0.005)
SPOT = (0.0, 0.0, 8.0, 8.0)


def observed(trials: pd.DataFrame) -> Observed:
    return Observed(
        model="m", classes=CLASSES, n_outputs=4, frame=(32, 32), images=pd.DataFrame(), scores=pd.DataFrame(),
        trials=trials, outside_maps={},
    )  # fmt: skip


def moved(
    rng: np.random.Generator, intervention: str, arms: tuple[str, ...], per_class: int, turns: dict[str, float]
) -> Observed:
    """Every donor gives to three objects of other classes and one of its own; donors differ, and their trials agree.

    `turns`: class -> how often its surroundings turn another object into it.
    """
    rows = []
    for arm in arms:
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
                            "intervention": intervention, "arm": "own" if own and arm == "other" else arm,
                            "donor": f"{donor_class}{i}", "donor_class": donor_class,
                            "recipient_class": recipient_class,
                            "predicted": max(odds, key=odds.__getitem__), **{f"log_odds:{c}": odds[c] for c in CLASSES},
                        }
                    )  # fmt: skip
    return observed(pd.DataFrame(rows))


def exchanged(
    rng: np.random.Generator, n: int, flips: float, neutral: float, elsewhere: float, spread: float = 0.0
) -> Observed:
    """C1's trials for class a; `spread` lets donors differ in how often they turn their three recipients."""
    rows = []
    for arm, rate in (("in", flips), ("in_neutral", neutral), ("elsewhere", elsewhere)):
        for donor in range(n):
            own = rate if not spread or not 0 < rate < 1 else rng.beta(rate / spread, (1 - rate) / spread)
            rows += [(arm, f"{arm}{donor}", "a" if rng.uniform() < own else "b") for _ in range(3)]
    rows += [("out", f"o{i}", "b" if rng.uniform() < flips else "a") for i in range(n)]
    rows += [("out_own", f"p{i}", "a") for i in range(n)]
    table = pd.DataFrame(rows, columns=["arm", "donor", "predicted"])
    return observed(table.assign(intervention="targeted", tested="a", spot=0, place=[SPOT] * len(table)))


def by_class(found: list[Evidence]) -> dict[str, Evidence]:
    return {e.class_name: e for e in found}


def test_low_level_finds_the_class_and_the_property() -> None:
    rng = np.random.default_rng(0)
    plain = moved(rng, "low_level", ("colour",), 40, {}).trials
    blurred = moved(rng, "low_level", ("sharpness",), 40, {"b": 0.4}).trials
    found = by_class(LOW(observed(pd.concat([plain, blurred])), rng))
    assert found["b"].p_value <= 0.02
    assert found["b"].details["kind"] == "sharpness"
    assert found["b"].low > 0.1
    assert all(found[c].p_value > 0.02 for c in "acd")


def test_low_level_pays_for_its_choice_of_arms() -> None:
    p = [
        e.p_value
        for s in range(30)
        for e in LOW(moved(np.random.default_rng(s), "low_level", ("colour", "ring"), 12, {}), np.random.default_rng(s))
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.09


def test_the_background_gap_is_the_loss_on_other_surroundings() -> None:
    rng = np.random.default_rng(0)
    seen = moved(rng, "outside_transplant", ("other",), 60, {})
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
        for e in GAP(
            moved(np.random.default_rng(s), "outside_transplant", ("other",), 12, {}), np.random.default_rng(s)
        )
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


def test_a_place_that_carries_the_class_is_confirmed_in_both_directions() -> None:
    found = by_class(C1(exchanged(np.random.default_rng(0), 30, 0.7, 0.05, 0.02), np.random.default_rng(0)))["a"]
    assert found.p_value <= 0.01
    assert found.estimate == pytest.approx(0.65, abs=0.12)
    assert found.low > 0.3
    assert found.details["place"] == "top left"
    assert found.details["pixels"] == 64
    assert float(found.details["lost"]) > 0.4
    assert found.details["lost_own"] == 0


def test_pixels_that_turn_images_wherever_they_are_put_confirm_nothing() -> None:
    """The control is the larger of the two: neutral pixels here, the class's pixels elsewhere."""
    found = by_class(C1(exchanged(np.random.default_rng(0), 30, 0.6, 0.05, 0.55), np.random.default_rng(0)))["a"]
    assert found.estimate < 0.2


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_confirmation_is_calibrated_with_donors_that_differ(spread: float) -> None:
    p = []
    for s in range(150):
        rng = np.random.default_rng(s)
        p.append(by_class(C1(exchanged(rng, 20, 0.2, 0.2, 0.0, spread), rng))["a"].p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.09


def test_confirmation_pays_for_every_place_that_was_tried() -> None:
    rng = np.random.default_rng(0)
    good = exchanged(rng, 12, 0.35, 0.1, 0.0).trials
    idle = exchanged(rng, 12, 0.1, 0.1, 0.1).trials.assign(spot=1, place=[(20.0, 20.0, 30.0, 30.0)] * (12 * 11))
    alone = by_class(C1(observed(good), np.random.default_rng(0)))["a"]
    of_two = by_class(C1(observed(pd.concat([good, idle])), np.random.default_rng(0)))["a"]
    assert alone.p_value < 0.5
    assert of_two.p_value == pytest.approx(2 * alone.p_value)
    assert (of_two.details["candidate"], of_two.details["place"]) == ("hotspot 1", "top left")
    assert of_two.detectable > alone.detectable


def test_a_place_is_preferred_to_peaks_that_are_as_good() -> None:
    """A hotspot says where; marks that move about show in the peaks alone."""
    rng = np.random.default_rng(0)
    peaks = {"in": "peak", "in_neutral": "peak_neutral"}

    def of_peaks(flips: float) -> pd.DataFrame:
        trials = exchanged(rng, 30, flips, 0.0, 0.0).trials
        return trials[trials["arm"].isin(list(peaks))].assign(arm=lambda t: t["arm"].map(peaks), spot=-1)

    place = exchanged(rng, 30, 0.9, 0.0, 0.0).trials
    both = by_class(C1(observed(pd.concat([place, of_peaks(0.95)])), rng))["a"]
    assert both.details["candidate"] == "hotspot 1"
    wandering = by_class(C1(observed(pd.concat([exchanged(rng, 30, 0.0, 0.0, 0.0).trials, of_peaks(0.6)])), rng))["a"]
    assert wandering.details["candidate"] == "peak"
    assert wandering.p_value <= 0.02
    assert "place" not in wandering.details


def test_other_classes_trials_are_not_this_ones() -> None:
    quiet = exchanged(np.random.default_rng(0), 20, 0.1, 0.1, 0.1).trials
    loud = exchanged(np.random.default_rng(1), 20, 1.0, 0.0, 0.0).trials.assign(tested="b")
    alone, found = (by_class(C1(observed(t), np.random.default_rng(0)))["a"] for t in (quiet, pd.concat([quiet, loud])))
    assert repr(found) == repr(alone)  # NaN is not equal to itself


def test_one_trial_is_no_test() -> None:
    trials = exchanged(np.random.default_rng(0), 10, 0.5, 0.1, 0.0).trials
    single = pd.concat([trials[trials["arm"] == "in"].iloc[:1], trials[trials["arm"] != "in"]])
    found = by_class(C1(observed(single), np.random.default_rng(0)))["a"]
    assert np.isnan([found.estimate, found.low, found.high, found.p_value, found.detectable]).all()
    assert set(found.details) == {"undefined"}


def two_classes(rng: np.random.Generator, intervention: str, per_class: int, turns: float) -> Observed:
    """As `moved`, of two classes alone: one trial with the other class and one within its own; a may be guilty."""
    world = moved(rng, intervention, ("other",), per_class, {"a": turns})
    trials = world.trials.query("donor_class in ('a', 'b') and recipient_class in ('a', 'b')").copy()
    lost = ~trials["predicted"].isin(["a", "b"])
    trials.loc[lost, "predicted"] = trials.loc[lost, "recipient_class"]
    arm = trials["arm"] if intervention == "outside_transplant" else "colour"
    return replace(observed(trials.assign(arm=arm)), classes=("a", "b"), n_outputs=2)


def test_low_level_works_on_two_classes() -> None:
    rng = np.random.default_rng(0)
    found = by_class(LOW(two_classes(rng, "low_level", 30, 0.5), rng))
    assert found["a"].p_value <= 0.01
    assert found["a"].low > 0.1
    assert found["b"].p_value > 0.05
    p = [e.p_value for s in range(60) for e in LOW(two_classes(np.random.default_rng(s), "low_level", 12, 0.0), rng)]
    assert np.mean(np.array(p) <= 0.05) <= 0.09


def test_the_gap_of_two_classes_falls_on_the_one_that_leaves() -> None:
    """Surroundings of a turn b into a: b is lost on them, and a is not lost on b's."""
    rng = np.random.default_rng(0)
    found = by_class(GAP(two_classes(rng, "outside_transplant", 30, 0.6), rng))
    assert found["b"].p_value <= 0.01
    assert found["b"].estimate == pytest.approx(0.6, abs=0.2)
    assert found["a"].p_value > 0.05


def test_confirmation_covers_the_truth() -> None:
    inside = []
    for s in range(100):
        rng = np.random.default_rng(s)
        found = by_class(C1(exchanged(rng, 25, 0.5, 0.1, 0.0, 0.3), rng))["a"]
        inside.append(found.low <= 0.4 <= found.high)
    assert np.mean(inside) >= 0.9


@pytest.mark.parametrize("signal", [GAP, LOW, C1])
def test_no_trials_leave_every_class_undefined(signal: object) -> None:
    columns = ["intervention", "arm", "donor", "donor_class", "recipient_class", "predicted", "tested", "spot", "place"]
    found = signal(observed(pd.DataFrame(columns=columns)), np.random.default_rng(0))  # type: ignore[operator]
    assert [e.class_name for e in found] == list(CLASSES)
    assert all(np.isnan(e.estimate) and "undefined" in e.details for e in found)
