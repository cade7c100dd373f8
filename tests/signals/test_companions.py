"""The company's lead: changes when hidden, less changes when as much is hidden elsewhere in the same images."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from pipeline.signals.companions import CompanionsLead, paired_interval
from pipeline.types import Observed

BOX = (16.0, 0.0, 32.0, 16.0)  # the upper right quarter


def observed(hidden_stays: list[bool], control_stays: list[bool]) -> Observed:
    n = len(hidden_stays)
    small = np.zeros((16, 16), np.float16)
    small[0, 15] = 0.6  # in the box
    small[15, 0] = 0.2
    images = pd.DataFrame(
        {
            "id": [str(i) for i in range(n)], "class": "racket", "frame": [(32, 32)] * n,
            "companions": [(("person", BOX),)] * n, "small_map": [small] * n,
        }
    )  # fmt: skip
    rows = [("hidden:person", str(i), s, 0.2) for i, s in enumerate(hidden_stays)]
    rows += [("elsewhere:person", str(i), s, 0.1) for i, s in enumerate(control_stays)]
    trials = pd.DataFrame(rows, columns=["arm", "recipient", "stays", "changed_fraction"])
    trials = trials.assign(intervention="companions", recipient_class="racket")
    return Observed(
        model="m", classes=("racket", "bat"), n_outputs=2, frame=(32, 32), images=images, scores=pd.DataFrame(),
        trials=trials, outside_maps={},
    )  # fmt: skip


def test_the_effect_is_the_difference_from_the_control() -> None:
    (found,) = CompanionsLead()(observed([False] * 7 + [True] * 3, [False] + [True] * 9), np.random.default_rng(0))
    assert (found.signal, found.class_name, found.decides) == ("companions:person", "racket", False)
    assert found.estimate == pytest.approx(0.6)
    assert found.low < 0.6 < found.high
    assert found.details["changed"] == pytest.approx(0.7)
    assert found.details["changed_elsewhere"] == pytest.approx(0.1)
    assert (found.details["hidden_area"], found.details["control_area"]) == pytest.approx((0.2, 0.1))
    assert found.details["attribution_share"] == pytest.approx(0.6, abs=1e-3)
    assert found.details["area_share"] == pytest.approx(0.25)


def test_images_are_compared_with_themselves() -> None:
    """As many changes in either arm, but of other images: the pairs are shuffled, the interval must widen."""
    rng = np.random.default_rng(0)
    same = CompanionsLead()(observed([False] * 12 + [True] * 18, [False] * 8 + [True] * 22), rng)[0]
    apart = CompanionsLead()(observed([False] * 12 + [True] * 18, [True] * 22 + [False] * 8), rng)[0]
    assert same.estimate == pytest.approx(apart.estimate)
    assert same.high - same.low < apart.high - apart.low
    shuffled = observed([False] * 12 + [True] * 18, [False] * 8 + [True] * 22)
    shuffled = replace(shuffled, trials=shuffled.trials.sample(frac=1, random_state=0))
    assert CompanionsLead()(shuffled, rng)[0].low == pytest.approx(same.low)


def test_an_image_that_one_arm_left_as_it_was_counts_in_neither() -> None:
    seen = observed([False, False, True, True], [True, True, True, False])
    trials = seen.trials.copy()
    trials.loc[(trials["arm"] == "hidden:person") & (trials["recipient"] == "2"), "changed_fraction"] = 0.0
    trials.loc[(trials["arm"] == "elsewhere:person") & (trials["recipient"] == "0"), "changed_fraction"] = 0.0
    (found,) = CompanionsLead()(replace(seen, trials=trials), np.random.default_rng(0))
    assert (found.n, found.n_others) == (2, 2)
    assert found.details["changed"] == found.details["changed_elsewhere"] == 0.5
    assert found.details["hidden_area"] == pytest.approx(0.2)


def test_without_a_control_the_effect_is_undefined() -> None:
    (found,) = CompanionsLead()(observed([False, True], []), np.random.default_rng(0))
    assert np.isnan(found.estimate)
    assert "no image" in str(found.details["undefined"])


def test_no_trials_no_evidence() -> None:
    seen = observed([True], [True])
    assert CompanionsLead()(replace(seen, trials=seen.trials.iloc[:0]), np.random.default_rng(0)) == []


def outcomes(a: int, b: int, c: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Two outcomes that happen together a times, the first alone b times, the second alone c times, neither d times."""
    return np.repeat([True, True, False, False], [a, b, c, d]), np.repeat([True, False, True, False], [a, b, c, d])


def test_the_interval_is_the_published_one() -> None:
    """The worked example of Newcombe's paper."""
    assert paired_interval(*outcomes(36, 12, 2, 0)) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def score_limits(k: int, n: int) -> tuple[float, float]:
    """The shares at which a normal test of k of n is on the edge of rejection, by search."""
    z, p = norm.ppf(0.975), k / n

    def edge(share: float) -> float:
        return (p - share) ** 2 - z**2 * share * (1 - share) / n

    tiny = 1e-9  # a share of 0 or 1 is a root of its own
    return brentq(edge, 0, p - tiny) if k else 0.0, brentq(edge, p + tiny, 1) if k < n else 1.0


@pytest.mark.parametrize("counts", [(3, 9, 4, 14), (0, 7, 5, 3), (0, 9, 0, 21), (1, 5, 6, 20), (0, 20, 0, 0)])
def test_the_interval_agrees_with_a_second_derivation(counts: tuple[int, int, int, int]) -> None:
    """Tables whose correlation is not above 0 after the continuity correction; Pearson's own correlation is used."""
    first, second = outcomes(*counts)
    n, p1, p2 = len(first), first.mean(), second.mean()
    moving = first.any() and second.any() and not first.all() and not second.all()
    phi = min(np.corrcoef(first, second)[0, 1], 0.0) if moving else 0.0
    (low1, high1), (low2, high2) = score_limits(first.sum(), n), score_limits(second.sum(), n)
    corner = np.array([[1, -phi], [-phi, 1]])  # squared lengths with an angle between the sides
    below, above = np.array([p1 - low1, high2 - p2]), np.array([high1 - p1, p2 - low2])
    expected = p1 - p2 - np.sqrt(below @ corner @ below), p1 - p2 + np.sqrt(above @ corner @ above)
    assert paired_interval(first, second) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("chances", [(0.3, 0.3, 0.1, 0.3), (0.05, 0.1, 0.1, 0.75), (0.1, 0.5, 0.05, 0.35)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(chances: tuple[float, ...]) -> None:
    rng, true = np.random.default_rng(0), chances[1] - chances[2]
    found = [paired_interval(*outcomes(*rng.multinomial(30, chances))) for _ in range(500)]
    assert 0.92 <= np.mean([low <= true <= high for low, high in found]) <= 1.0


def test_no_change_at_all_is_no_certainty() -> None:
    low, high = paired_interval(*outcomes(0, 0, 0, 20))
    assert low == pytest.approx(-high)
    assert high > 0.1
