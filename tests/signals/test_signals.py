"""Deciding signals on made-up tables: calibrated under the null, and blaming the guilty class alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.outside_transplant import OutsideTransplant
from pipeline.signals.removed_excess import RemovedExcess, hole_effect
from pipeline.types import Observed
from tests.signals.tables import FOUR, images_of, observed, removal_world, transplant_world

GATES = {"gates": {10: 0.2, 100: 0.05}, "floor": 0.02}
S2 = RemovedExcess(draws=199, max_images=200, max_other_classes=12, alpha=0.01, **GATES)
S1 = OutsideTransplant(draws=199, max_other_classes=12, alpha=0.005, gate=0.1, floor=0.02)


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
@pytest.mark.parametrize(
    ("classes", "n"),
    [(FOUR, 12), (FOUR, (6, 18, 12, 12)), (("a", "b"), 12), (("a", "b"), (40, 8))],
    ids=["four", "four_uneven", "two", "two_uneven"],
)
def test_without_any_effect_p_values_are_honest(
    world: object, signal: object, classes: tuple[str, ...], n: int | tuple[int, ...]
) -> None:
    p = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        p.append([e.p_value for e in signal(world(rng, n, classes, {}), rng)])  # type: ignore[operator]
    assert (np.array(p) <= 0.05).mean() <= 0.08
    assert np.mean(p) > 0.35


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_the_guilty_class_is_found_and_the_others_are_not_blamed(world: object, signal: object) -> None:
    rng = np.random.default_rng(0)
    found = {e.class_name: e for e in signal(world(rng, 60, FOUR, {"b": 0.7}), rng)}  # type: ignore[operator]
    assert found["b"].p_value <= 0.01
    assert found["b"].low > 0.3
    assert found["b"].low <= found["b"].estimate <= found["b"].high
    for c in "acd":
        assert found[c].low < 0.05
        assert found[c].estimate < 0.1
        assert found[c].high > found[c].low


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_of_three_classes_the_innocent_ones_are_not_blamed(world: object, signal: object) -> None:
    """Each innocent class is compared with the guilty one and one other: the mean of both would accuse it."""
    accused = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found = {e.class_name: e for e in signal(world(rng, 60, ("a", "b", "c"), {"b": 0.9}), rng)}  # type: ignore[operator]
        assert found["b"].p_value <= 0.01
        assert found["b"].low > 0.3
        accused += [found[c].p_value <= 0.01 for c in "ac"]
        assert all(found[c].low < 0.05 for c in "ac")
    assert sum(accused) <= 1


def test_of_three_classes_the_upper_end_belongs_to_the_worse_comparison() -> None:
    """Not reached by b's objects, a is recognised without its own: open, never clear."""
    rng = np.random.default_rng(0)
    found = {e.class_name: e for e in S2(removal_world(rng, 60, ("a", "b", "c"), {"b": 0.9}), rng)}
    assert found["a"].estimate < 0.2
    assert found["a"].high > 0.4


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_a_few_scores_that_are_nan_are_left_out_and_counted(world: object, signal: object) -> None:
    seen = world(np.random.default_rng(0), 40, FOUR, {"b": 0.8})  # type: ignore[operator]
    trials = seen.trials.copy()
    some = trials.index[(trials["recipient_class"] == "a") & (trials["arm"] != "own")][[0, 4]]
    trials.loc[some, "log_odds:b"] = np.nan
    found = {e.class_name: e for e in signal(observed(seen.images, trials, FOUR), np.random.default_rng(0))}  # type: ignore[operator]
    assert found["b"].p_value <= 0.01
    assert found["b"].details["n_undefined"] == 2
    assert found["a"].details["n_undefined"] == 0


def test_intervals_cover_the_truth() -> None:
    """The excess of the guilty class, estimated once from very many images, then in small tables."""
    rng = np.random.default_rng(0)
    large = RemovedExcess(draws=9, max_images=5000, max_other_classes=3, alpha=0.01, **GATES)
    seen = removal_world(rng, 500, FOUR, {"b": 0.4}, ("smooth",))
    truth = {e.class_name: e.estimate for e in large(seen, rng)}["b"]
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        e = {e.class_name: e for e in S2(removal_world(rng, 40, FOUR, {"b": 0.4}, ("smooth",)), rng)}["b"]
        covered.append(e.low <= truth <= e.high)
    assert np.mean(covered) >= 0.85


def test_every_fill_must_agree() -> None:
    rng = np.random.default_rng(0)
    world = removal_world(rng, 40, FOUR, {"b": 0.8})
    blur = (world.trials["arm"] == "blur").to_numpy()
    trials = world.trials.copy()
    trials.loc[blur, "predicted"] = "a"
    trials.loc[blur, "log_odds:b"] = rng.normal(size=int(blur.sum()))
    found = {e.class_name: e for e in S2(observed(world.images, trials, FOUR), rng)}["b"]
    assert found.details["p:smooth"] <= 0.01
    assert found.p_value == found.details["p:blur"] > 0.01
    assert found.estimate == found.details["excess:blur"] == 0
    assert found.details["excess:smooth"] > 0.5


@pytest.mark.parametrize("signal", [S1, S2], ids=["S1", "S2"])
def test_what_cannot_be_compared_is_undefined(signal: object) -> None:
    rng = np.random.default_rng(0)
    world = removal_world if signal is S2 else transplant_world
    empty = pd.DataFrame(columns=["intervention", "arm", "recipient", "donor", "donor_class", "recipient_class"])
    for seen, why in (
        (observed(images_of(FOUR, 5), empty, FOUR), "not run"),
        (world(rng, 5, ("a",), {}), "nothing to compare with"),
    ):
        for e in signal(seen, rng):  # type: ignore[operator]
            assert np.isnan([e.estimate, e.low, e.high, e.p_value, e.detectable]).all()
            assert e.details["undefined"] == why
            assert e.decides


def test_a_class_with_one_image_does_not_stop_the_others() -> None:
    rng = np.random.default_rng(0)
    world = removal_world(rng, 20, FOUR, {})
    images = world.images.drop(world.images.index[world.images["class"] == "d"][1:])
    trials = world.trials[world.trials["recipient"].isin(images["id"])]
    found = {e.class_name: e for e in S2(observed(images, trials, FOUR), rng)}
    assert np.isnan(found["d"].estimate)
    assert np.isfinite(found["a"].estimate)


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_the_generator_decides_everything(world: object, signal: object) -> None:
    seen = world(np.random.default_rng(0), 15, FOUR, {"b": 0.5})  # type: ignore[operator]
    first, again = (signal(seen, np.random.default_rng(7)) for _ in range(2))  # type: ignore[operator]
    assert first == again


def test_more_images_and_classes_than_wanted_are_sampled() -> None:
    rng = np.random.default_rng(0)
    seen = removal_world(rng, 20, ("a", "b", "c", "d", "e"), {})
    few = RemovedExcess(draws=49, max_images=8, max_other_classes=2, alpha=0.01, **GATES)(seen, rng)
    assert [(e.n, e.n_others) for e in few] == [(8, 16)] * 5


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_of_two_classes_the_guilty_one_is_found(world: object, signal: object) -> None:
    rng = np.random.default_rng(1)
    a, b = signal(world(rng, 40, ("a", "b"), {"b": 0.8}), rng)  # type: ignore[operator]
    assert b.p_value <= 0.01
    assert b.low > 0.2
    assert b.low <= b.estimate <= b.high
    assert a.p_value > 0.01 or signal is S2  # with two classes, not being called b is being called a


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_a_class_without_images_does_not_stop_the_others(world: object, signal: object) -> None:
    rng = np.random.default_rng(0)
    seen = world(rng, 30, FOUR, {"b": 0.7})  # type: ignore[operator]
    trials = seen.trials.assign(**{"log_odds:e": rng.normal(size=len(seen.trials))})
    found = {e.class_name: e for e in signal(observed(seen.images, trials, ("a", "e", "b", "c", "d")), rng)}  # type: ignore[operator]
    assert np.isnan(found["e"].estimate)
    assert found["e"].details["undefined"] == "nothing to compare with"
    assert found["b"].p_value <= 0.01
    assert found["b"].estimate > 0.4


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_a_network_that_answers_nan_is_not_accused(world: object, signal: object) -> None:
    seen = world(np.random.default_rng(0), 12, FOUR, {"b": 0.9})  # type: ignore[operator]
    trials = seen.trials.assign(**{"log_odds:b": np.nan})
    found = {e.class_name: e for e in signal(observed(seen.images, trials, FOUR), np.random.default_rng(0))}  # type: ignore[operator]
    assert np.isnan(found["b"].p_value)
    assert np.isfinite(found["a"].p_value)


def test_of_two_fills_the_weaker_one_speaks() -> None:
    rng = np.random.default_rng(3)
    for e in S2(removal_world(rng, 30, FOUR, {"b": 0.5}), rng):
        assert e.p_value == max(e.details["p:smooth"], e.details["p:blur"])  # type: ignore[type-var]
        assert e.estimate == min(e.details["excess:smooth"], e.details["excess:blur"])  # type: ignore[type-var]


def test_the_share_of_recipients_by_hand() -> None:
    """Donors of b turn 3 of 4 recipients, those of a and c none; the rest by counting."""
    images = images_of(("a", "b", "c"), 2)
    rows = []
    for c, donor in zip(images["class"], images["id"], strict=True):
        for j in "abc":
            turned = c == "b" and j != "b" and donor + j != "b2a"
            odds = {"log_odds:a": 0.0, "log_odds:b": 1.0 * turned, "log_odds:c": 0.0}
            arm = "own" if j == c else "other"
            rows.append([arm, donor, c, f"{j}0", j, "b" if turned else j, *odds.values()])
    names = ["arm", "donor", "donor_class", "recipient", "recipient_class", "predicted", *odds]
    trials = pd.DataFrame(rows, columns=names).assign(intervention="outside_transplant")
    found = {e.class_name: e for e in S1(observed(images, trials, ("a", "b", "c")), np.random.default_rng(0))}
    # against a, recipients of class c: 2 of 2 turned; against c, recipients of class a: 1 of 2; the lower counts
    assert found["b"].estimate == pytest.approx(0.5)
    assert found["b"].details["flipped"] == pytest.approx(0.75)
    assert found["b"].details["own_stays"] == 1
    assert found["a"].estimate == found["c"].estimate == 0
    assert (found["b"].n, found["b"].n_others) == (2, 4)


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_rates_of_nought_are_not_known_exactly(world: object, signal: object) -> None:
    seen = world(np.random.default_rng(0), 20, FOUR, {})  # type: ignore[operator]
    never = observed(seen.images, seen.trials.assign(predicted="another"), FOUR)
    for e in signal(never, np.random.default_rng(0)):  # type: ignore[operator]
        assert e.estimate == 0
        assert e.low < -0.1
        assert e.high > 0.1


def with_holes(seen: Observed, k: str, added: float, fill: str = "smooth") -> Observed:
    """Every other class's image is given the hole of a k image too, which turns the share `added` of them into k."""
    removed = seen.trials[(seen.trials["arm"] == fill) & (seen.trials["recipient_class"] != k)]
    holes = removed.assign(intervention="hole_control", donor=f"{k}0", donor_class=k)
    turned = np.arange(len(holes)) % 10 < 10 * added
    calm = (removed["predicted"] != k).to_numpy()
    holes["predicted"] = np.where(turned & calm, k, holes["predicted"])
    return observed(seen.images, pd.concat([seen.trials, holes], ignore_index=True), seen.classes)


def test_what_the_hole_alone_does_is_taken_off() -> None:
    plain = removal_world(np.random.default_rng(0), 60, FOUR, {"b": 0.7})
    seen = with_holes(plain, "b", 0.2)
    before, after = ({e.class_name: e for e in S2(w, np.random.default_rng(1))} for w in (plain, seen))
    removed = plain.trials[(plain.trials["arm"] == "smooth") & (plain.trials["recipient_class"] != "b")]
    effect = hole_effect(seen.trials, "b")
    assert effect == pytest.approx(0.2 * (removed["predicted"] != "b").mean(), abs=0.02)
    for end in ("estimate", "low", "high"):
        assert getattr(after["b"], end) == pytest.approx(getattr(before["b"], end) - effect)
    assert after["b"].details["called_by_hole"] == effect
    for c in "acd":
        assert after[c].estimate == before[c].estimate


def test_a_hole_that_does_nothing_or_turns_images_away_takes_nothing_off() -> None:
    seen = removal_world(np.random.default_rng(0), 60, FOUR, {"b": 0.7})
    assert hole_effect(seen.trials, "b") == 0  # not tried
    tried = with_holes(seen, "b", 0.0)
    assert hole_effect(tried.trials, "b") == 0
    calm = tried.trials.assign(
        predicted=tried.trials["predicted"].where(tried.trials["intervention"] != "hole_control", "none")
    )
    assert hole_effect(calm, "b") == 0


def test_the_hole_is_compared_with_the_same_images_and_the_same_fill() -> None:
    """Another fill calls every image b: that says nothing of the hole."""
    seen = with_holes(removal_world(np.random.default_rng(0), 40, FOUR, {}), "b", 0.3)
    other = (seen.trials["intervention"] == "object_removed") & (seen.trials["arm"] == "blur")
    assert hole_effect(seen.trials.assign(predicted=seen.trials["predicted"].mask(other, "b")), "b") == hole_effect(
        seen.trials, "b"
    )
    assert hole_effect(seen.trials, "b") > 0.15


@pytest.mark.parametrize(
    ("left", "share"), [(-3.0, 0.0), (5.0, 1.0), (1.0, 0.5)], ids=["nothing is left", "all is left", "half is left"]
)
def test_the_share_of_evidence_that_is_left_without_the_object(left: float, share: float) -> None:
    """Whole, a b image says b with log-odds about 5; other images without their object with about -3."""
    rng = np.random.default_rng(0)
    seen = removal_world(rng, 40, FOUR, {})
    mine = seen.trials["recipient_class"] == "b"
    odds = np.where(mine, left, -3.0) + 0.3 * rng.normal(size=len(seen.trials))
    images = seen.images.assign(log_odds=5.0 + 0.3 * rng.normal(size=len(seen.images)))
    trials = seen.trials.assign(**{"log_odds:b": odds})
    found = {e.class_name: e.details for e in S2(observed(images, trials, FOUR), np.random.default_rng(1))}["b"]
    assert found["evidence_share"] == pytest.approx(share, abs=0.03)
    assert found["evidence_share_low"] <= found["evidence_share"] <= found["evidence_share_high"]  # type: ignore[operator]
    assert 0.005 < found["evidence_share_high"] - found["evidence_share_low"] < 0.1  # type: ignore[operator]


def test_no_share_of_evidence_is_told_where_there_is_none_to_share() -> None:
    """Whole images of b say b no more than others without their object do; or their log-odds are not known."""
    seen = removal_world(np.random.default_rng(0), 40, FOUR, {})
    assert "evidence_share" not in S2(seen, np.random.default_rng(0))[1].details
    low = observed(seen.images.assign(log_odds=-9.0), seen.trials, FOUR)
    assert "evidence_share" not in S2(low, np.random.default_rng(0))[1].details


@pytest.mark.parametrize(("n", "gate"), [(5, 0.2), (10, 0.2), (32, 0.1243), (100, 0.05), (300, 0.05)])
def test_fewer_images_need_a_larger_excess(n: int, gate: float) -> None:
    """Between 10 and 100 images linear in their logarithm."""
    signal = RemovedExcess(draws=19, max_images=9999, max_other_classes=1, alpha=0.01, **GATES)
    seen = removal_world(np.random.default_rng(0), n, ("a", "b"), {}, ("smooth",))
    assert signal(seen, np.random.default_rng(0))[0].gate == pytest.approx(gate, abs=1e-4)
