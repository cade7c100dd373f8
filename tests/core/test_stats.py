"""Statistics against scikit-learn, published values, exact enumeration and simulation."""

from __future__ import annotations

from itertools import permutations as orders

import numpy as np
import pytest
from scipy.stats import false_discovery_control, norm
from sklearn.metrics import roc_auc_score

from pipeline.core.stats import (
    benjamini_hochberg,
    bootstrap_weights,
    detectable_difference,
    difference_interval,
    median_auc,
    median_difference,
    percentile_interval,
    permutation_p,
    permutations,
    wins,
)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [3, 1000])
def test_the_median_auc_is_the_median_of_scikit_learns(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, 60).astype(float)
    labels = rng.permutation(np.repeat([0, 1, 2, 3], 15))
    expected = [
        roc_auc_score(labels[(labels == 0) | (labels == j)] == 0, scores[(labels == 0) | (labels == j)])
        for j in (1, 2, 3)
    ]
    assert median_auc(wins(scores), labels[None])[0] == pytest.approx(np.median(expected), abs=1e-12)


def test_against_one_group_the_auc_is_scikit_learns_with_ties_and_infinite_scores() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 4, 40).astype(float), np.repeat([0, 1], [15, 25])
    expected = roc_auc_score(labels == 0, scores)
    assert median_auc(wins(scores), labels[None])[0] == pytest.approx(expected, abs=1e-12)
    endless = np.where(scores == 3, np.inf, np.where(scores == 0, -np.inf, scores))
    assert median_auc(wins(endless), labels[None])[0] == pytest.approx(expected, abs=1e-12)


def test_a_score_that_is_nan_makes_no_p_value() -> None:
    scores, labels = np.array([3.0, np.nan, 1.0, 0.0]), np.array([0, 0, 1, 1])
    observed = median_auc(wins(scores), labels[None])[0]
    assert np.isnan(
        permutation_p(observed, median_auc(wins(scores), permutations(labels, 9, np.random.default_rng(0))))
    )
    assert permutation_p(0.9, np.array([0.5, np.nan, 0.5])) == 0.5


@pytest.mark.parametrize("groups", [2, 3, 4, 5])
def test_of_two_middle_groups_the_lower_one_counts(groups: int) -> None:
    rng = np.random.default_rng(groups)
    scores, labels = rng.normal(size=10 * groups), np.repeat(np.arange(groups), 10)
    aucs = sorted(
        roc_auc_score(labels[(labels == 0) | (labels == j)] == 0, scores[(labels == 0) | (labels == j)])
        for j in range(1, groups)
    )
    means = sorted(scores[labels == 0].mean() - scores[labels == j].mean() for j in range(1, groups))
    values = np.repeat(scores[:, None], groups - 1, axis=1)
    assert median_auc(wins(scores), labels[None])[0] == pytest.approx(aucs[(groups - 2) // 2])
    assert median_difference(values, labels[None])[0] == pytest.approx(means[(groups - 2) // 2])
    assert median_difference(values, labels[None], upper=True)[0] == pytest.approx(means[(groups - 1) // 2])


def test_weights_count_items_as_often_as_repeating_them() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=12), np.repeat([0, 1, 2], 4)
    weights = bootstrap_weights(labels, 5, rng)
    for row in weights:
        repeated = np.repeat(np.arange(12), row.astype(int))
        expected = median_auc(wins(scores[repeated]), labels[repeated][None])[0]
        assert median_auc(wins(scores), labels[None], row[None])[0] == pytest.approx(expected)
        values = np.repeat(scores[:, None], 2, axis=1)
        expected = median_difference(values[repeated], labels[repeated][None])[0]
        assert median_difference(values, labels[None], row[None])[0] == pytest.approx(expected)
    assert (weights.reshape(5, 3, 4).sum(axis=2) == 4).all()


def test_the_median_difference_leaves_out_what_has_no_say() -> None:
    nan = np.nan
    values = np.array([[1.0, 0.0], [0.0, nan], [0.5, nan], [nan, 1.0], [0.0, 0.0]])
    labels = np.array([[0, 0, 1, 2, 2]])
    # against group 1: (1 + 0) / 2 - 0.5 = 0; against group 2: 0 - (1 + 0) / 2 = -0.5; the lower of two is the median
    assert median_difference(values, labels)[0] == pytest.approx(-0.5)
    assert median_difference(values, labels, upper=True)[0] == pytest.approx(0.0)
    assert np.isnan(median_difference(np.full((5, 2), nan), labels)[0])


def test_the_permutation_p_value_approaches_the_exact_one() -> None:
    scores, labels = np.array([5.0, 4.0, 1.0, 2.0, 3.0, 0.0]), np.array([0, 0, 0, 1, 1, 1])
    observed = median_auc(wins(scores), labels[None])[0]
    every = np.array([median_auc(wins(scores), np.array(order)[None])[0] for order in orders(labels)])
    exact = (every >= observed - 1e-12).mean()
    drawn = median_auc(wins(scores), permutations(labels, 20_000, np.random.default_rng(0)))
    assert permutation_p(observed, drawn) == pytest.approx(exact, abs=0.01)


def test_a_p_value_is_never_zero() -> None:
    assert permutation_p(1.0, np.zeros(99)) == 0.01


def test_permutations_keep_the_groups_sizes() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2])
    drawn = permutations(labels, 50, np.random.default_rng(0))
    assert (np.sort(drawn, axis=1) == np.sort(labels)).all()
    assert len(np.unique(drawn, axis=0)) > 20


@pytest.mark.parametrize(
    ("counts", "interval"),
    [((56, 70, 48, 80), (0.0524, 0.3339)), ((10, 10, 0, 20), (0.6791, 1.0)), ((5, 56, 0, 29), (-0.0381, 0.1926))],
)
def test_newcombes_interval_as_published(counts: tuple[int, int, int, int], interval: tuple[float, float]) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table II, method 10."""
    assert difference_interval(*counts) == pytest.approx(interval, abs=2e-4)


def test_no_events_do_not_make_certainty() -> None:
    low, high = difference_interval(0, 100, 0, 100)
    assert low == -high
    assert 0.02 < high < 0.05


@pytest.mark.parametrize(("p", "n1", "n2"), [(0.05, 100, 100), (0.2, 40, 200)])
def test_the_detectable_difference_is_detected_four_times_in_five(p: float, n1: int, n2: int) -> None:
    d = detectable_difference(p, n1, n2, alpha=0.05)
    rng = np.random.default_rng(0)
    x, y = rng.binomial(n1, p + d, 20_000) / n1, rng.binomial(n2, p, 20_000) / n2
    pooled = (x * n1 + y * n2) / (n1 + n2)
    z = (x - y) / np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / n1 + 1 / n2))
    assert (z > norm.ppf(0.95)).mean() == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(("p", "n"), [(1.0, 100), (0.9, 10), (0.5, 10)])
def test_where_no_rise_is_detectable_nothing_short_of_everything_is(p: float, n: int) -> None:
    assert detectable_difference(p, n, n, alpha=0.01) == 1.0


def test_benjamini_hochberg_by_hand() -> None:
    q = benjamini_hochberg([0.01, 0.04, float("nan"), 0.03, 0.5])
    assert q[[0, 1, 3, 4]] == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert np.isnan(q[2])
    assert len(benjamini_hochberg([])) == 0


@pytest.mark.parametrize("seed", range(3))
def test_benjamini_hochberg_is_scipys_and_blind_to_nan(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.uniform(size=30) ** 3
    gaps = rng.uniform(size=30) < 0.3
    q = benjamini_hochberg(np.where(gaps, np.nan, p).tolist())
    order = np.sort(p[~gaps])
    by_hand = [min(len(order) * order[j] / (j + 1) for j in range(i, len(order))) for i in range(len(order))]
    assert np.sort(q[~gaps]) == pytest.approx(np.minimum(by_hand, 1))
    assert q[~gaps] == pytest.approx(false_discovery_control(p[~gaps]))
    assert np.isnan(q[gaps]).all()


def test_the_percentile_interval_covers_the_middle() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
