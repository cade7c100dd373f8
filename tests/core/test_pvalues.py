"""P-values without a floor: enumeration of all relabelings, exact distributions, and how often a null reaches them."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import hypergeom, norm

from pipeline.core.pvalues import _on_grid, _sums, least_p, tail_p, two_sample_p
from pipeline.core.stats import benjamini_hochberg, median_difference, permutation_p, pooled_p

Floats = NDArray[np.float64]
LEVELS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def two_groups(n0: int, n1: int) -> NDArray[np.int64]:
    return np.repeat([0, 1], [n0, n1])


@pytest.mark.parametrize("seed", range(40))
def test_two_samples_agree_with_all_relabelings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n0, n1 = rng.integers(1, 7, 2)
    recipients = int(rng.choice([1, 2, 3, 4, 5, 6]))
    values = rng.integers(-recipients if seed % 2 else 0, recipients + 1, n0 + n1) / recipients
    sums = np.array([values[list(chosen)].sum() for chosen in combinations(range(n0 + n1), n0)])
    exact = np.mean(sums >= values[:n0].sum() - 1e-9)
    assert two_sample_p(values, two_groups(n0, n1)) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_rounding_to_a_grid_keeps_the_test_exact(seed: int) -> None:
    values = np.random.default_rng(seed).uniform(-1, 1, 10)
    p = [
        two_sample_p(values, np.isin(np.arange(10), chosen, invert=True).astype(np.int64))
        for chosen in combinations(range(10), 5)
    ]
    assert all(np.mean(np.array(p) <= level) <= level + 1e-12 for level in np.unique(p))
    assert min(p) == pytest.approx(1 / 252)


@pytest.mark.parametrize(("n0", "n1"), [(20, 20), (60, 60), (200, 40), (30, 200)])
def test_far_in_the_tail_the_two_sample_p_is_the_hypergeometric_one(n0: int, n1: int) -> None:
    values = np.r_[np.ones(n0 - 1), 0.0, np.zeros(n1)]
    expected = hypergeom.sf(n0 - 2, n0 + n1, n0 - 1, n0)
    assert two_sample_p(values, two_groups(n0, n1)) == pytest.approx(expected, rel=1e-6)
    assert expected < 1e-9


def test_large_groups_of_any_values_stay_cheap_and_near_the_normal_tail() -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.uniform(-1, 1, 400), two_groups(200, 200)
    assert len(_sums(_on_grid(values, 200), 200)) <= 2e8 / 400 / 200
    values[:200] += 0.25
    difference = values[:200].mean() - values[200:].mean()
    expected = norm.sf(difference / (values.std(ddof=1) * np.sqrt(2 / 200)))
    assert two_sample_p(values, labels) == pytest.approx(expected, rel=0.3)


def test_two_samples_leave_out_what_has_no_say() -> None:
    values, labels = np.array([1.0, np.nan, 1.0, 0.0, 0.0, np.nan]), np.array([0, 0, 0, 1, 1, 1])
    assert two_sample_p(values, labels) == pytest.approx(1 / 6)
    assert np.isnan(two_sample_p(np.array([1.0, np.nan]), np.array([0, 1])))
    assert two_sample_p(np.zeros(6), labels) == 1.0


@pytest.mark.parametrize("sizes", [(2, 2), (1, 2, 3), (4, 1), (3,)])
def test_the_least_p_counts_the_relabelings(sizes: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert least_p(labels) == pytest.approx(1 / len(set(permutations(labels.tolist()))))


def test_the_least_p_is_never_zero() -> None:
    assert 0 < least_p(np.repeat(np.arange(1000), 100)) < 1e-300


def test_no_p_passes_under_the_least() -> None:
    draws = np.random.default_rng(0).normal(size=999)
    assert permutation_p(50.0, draws) < 1e-6
    assert permutation_p(50.0, draws, least=1e-3) == 1e-3


@pytest.mark.parametrize("draws", [999, 1999, 4999])
def test_the_tail_of_normal_draws_is_near_the_normal_one_and_not_below(draws: int) -> None:
    rng = np.random.default_rng(draws)
    for z in (3.5, 4.5):
        found = [permutation_p(z, rng.normal(size=draws)) / norm.sf(z) for _ in range(60)]
        assert 1.0 < np.median(found) < 10


def test_p_falls_as_the_observed_value_rises_and_ends_at_the_farthest_claim() -> None:
    draws = np.random.default_rng(0).normal(size=1999)
    p = np.array([permutation_p(x, draws) for x in np.linspace(-1, 9, 200)])
    assert (np.diff(p) <= 0).all()
    assert p[-1] == 1e-9


@pytest.mark.parametrize(
    ("draws", "p"),
    [
        (np.zeros(999), 1e-3),  # all alike
        (np.r_[np.zeros(994), np.full(5, 0.1)], 1e-3),  # nearly all
        (np.r_[np.linspace(0, 0.1, 998), np.nan], 2e-3),  # undefined once: counts against a finding
        (np.array([0.1, 0.2, 0.3]), 0.25),  # few
    ],
)
def test_draws_without_a_tail_keep_the_empirical_p(draws: Floats, p: float) -> None:
    assert permutation_p(0.9, draws) == pytest.approx(p)


def realised(points: Floats, survival: Floats, draws: Floats) -> list[float]:
    """How often a statistic with this distribution gets a p-value at or under each level, given the null's draws."""
    p = np.array([permutation_p(x, draws) for x in points])
    return [float(survival[p <= level].max(initial=0)) for level in LEVELS]


@pytest.mark.parametrize("n", [12, 30, 60, 150])
@pytest.mark.parametrize("kind", ["rates", "rare", "signed"])
def test_the_tail_keeps_its_level_down_to_a_millionth(n: int, kind: str) -> None:
    """Two groups: the exact distribution of all relabelings says how often p <= level comes true."""
    rates = []
    for seed in range(12):
        rng = np.random.default_rng([n, seed])
        values = {
            "rates": rng.binomial(4, rng.beta(0.3, 2, 2 * n)) / 4,
            "rare": (rng.random(2 * n) < 0.1).astype(float),
            "signed": rng.choice([-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], 2 * n),
        }[kind]
        sums = _sums(_on_grid(values, n), n)
        survival = np.cumsum((sums / sums.sum())[::-1])[::-1]
        draws = rng.choice(len(sums), 999, p=sums / sums.sum()).astype(float)
        points = np.flatnonzero(survival < 0.03)
        rates.append(realised(points.astype(float), survival[points], draws))
    ratio = np.mean(rates, axis=0) / LEVELS
    assert ratio[0] < 1.3  # 12 times 999 draws: 1.00 give or take 0.1
    assert ratio[1] < 1.6
    assert (ratio[2:] < 1).all()


def counts_of_groups(ones: int, sizes: list[int], count: int, rng: np.random.Generator) -> Floats:
    """(count,) the median over the other groups of the difference in the share of ones, under permuted labels."""
    shares = rng.multivariate_hypergeometric(sizes, ones, size=count, method="marginals") / np.array(sizes)
    differences = np.sort(shares[:, :1] - shares[:, 1:], axis=1)
    return differences[:, (differences.shape[1] - 1) // 2]


def test_the_draws_of_counts_are_those_of_the_median_difference() -> None:
    rng = np.random.default_rng(0)
    values, labels = np.repeat((np.arange(40) < 7).astype(float)[:, None], 3, axis=1), np.repeat(np.arange(4), 10)
    long_way = median_difference(values, rng.permuted(np.broadcast_to(labels, (20_000, 40)), axis=1))
    short_way = counts_of_groups(7, [10] * 4, 20_000, rng)
    for x in (-0.1, 0.0, 0.1, 0.2, 0.3):
        assert np.mean(long_way >= x - 1e-9) == pytest.approx(np.mean(short_way >= x - 1e-9), abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("others", [3, 12])
@pytest.mark.parametrize(("n", "share"), [(12, 0.05), (12, 0.3), (30, 0.05), (30, 0.3), (60, 0.1), (150, 0.02)])
def test_the_tail_of_medians_keeps_its_level(n: int, share: float, others: int) -> None:
    rng = np.random.default_rng([n, others])
    sizes, ones = [n] * (others + 1), round(share * n * (others + 1))
    every = np.sort(counts_of_groups(ones, sizes, 5_000_000, rng))
    points = np.unique(every[-len(every) // 30 :].round(9)) - 1e-8  # so that rounding parts no ties
    survival = 1 - np.searchsorted(every, points) / len(every)
    rates = [realised(points, survival, counts_of_groups(ones, sizes, 1999, rng)) for _ in range(40)]
    ratio = np.mean(rates, axis=0) / LEVELS
    assert ratio[0] < 1.2
    assert ratio[1] < 1.4
    assert (ratio[2:] < 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_three_small_groups_keep_their_level_over_all_relabelings(seed: int) -> None:
    """Every arrangement of 3 x 4 items is observed in turn."""
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.choice([0.0, 0.0, 0.25, 0.5, 1.0], 12)[:, None], 2, axis=1)
    rows = []
    for own in combinations(range(12), 4):
        rest = [i for i in range(12) if i not in own]
        for second in combinations(rest, 4):
            labels = np.full(12, 2)
            labels[list(own)], labels[list(second)] = 0, 1
            rows.append(labels)
    every = median_difference(values, np.array(rows))
    points, counts = np.unique(every.round(9), return_counts=True)
    survival = np.cumsum(counts[::-1])[::-1] / len(every)
    rates = []
    for _ in range(20):
        draws = rng.choice(every, 999)
        p = np.array([permutation_p(x, draws, least=least_p(np.array(rows[0]))) for x in points])
        rates.append([survival[p <= level].max(initial=0) for level in (0.05, 0.01, 1e-3, 1e-4)])
        assert p.min() >= 1 / 34_650
    assert (np.mean(rates, axis=0) / [0.05, 0.01, 1e-3, 1e-4] < [1.1, 1.2, 1.5, 1.0]).all()


@pytest.mark.parametrize("n", [12, 20, 60])
@pytest.mark.parametrize("draws", [999, 1999])
def test_one_guilty_class_is_found_among_a_thousand(n: int, draws: int) -> None:
    """Against 12 others: donors that turn .95 of the recipients where no others turn any, and 999 of chance."""
    rng = np.random.default_rng([n, draws])
    sizes = [n] * 13
    p = []
    for _ in range(999):
        ones = int(rng.binomial(13 * n, rng.choice([0.005, 0.02, 0.1])))
        p.append(permutation_p(counts_of_groups(ones, sizes, 1, rng)[0], counts_of_groups(ones, sizes, draws, rng)))
    guilty = round(0.95 * n)
    p.append(permutation_p(guilty / n, counts_of_groups(guilty, sizes, draws, rng)))
    assert np.flatnonzero(benjamini_hochberg(p) <= 0.05).tolist() == [999]


@pytest.mark.parametrize("n", [20, 60])
def test_one_guilty_place_is_found_among_a_thousand(n: int) -> None:
    rng = np.random.default_rng(n)
    labels = two_groups(n, n)
    p = [two_sample_p(rng.binomial(3, 0.05, 2 * n) / 3, labels) for _ in range(999)]
    p.append(two_sample_p(np.r_[rng.random(n) < 0.95, np.zeros(n)].astype(float), labels))
    assert np.flatnonzero(benjamini_hochberg(p) <= 0.05).tolist() == [999]


def test_a_tail_of_heavy_draws_is_not_taken_for_a_normal_one() -> None:
    """Of this null, heavier than permutations make any, one draw in fifty is four times as wide as the rest."""
    rng = np.random.default_rng(0)
    p = [tail_p(10.0, np.where(rng.random(1999) < 0.02, 4.0, 1.0) * rng.normal(size=1999)) for _ in range(50)]
    exact = 0.02 * norm.sf(10 / 4)
    assert exact / 4 < np.median(p) < 4 * exact


@pytest.mark.parametrize("m", [2, 10, 100])
@pytest.mark.parametrize("correlation", [-1, 0, 0.3, 0.9])
def test_the_pooled_p_keeps_its_level_where_tests_depend(m: int, correlation: float) -> None:
    rng = np.random.default_rng(m)
    z = rng.normal(size=(4000, m))
    if correlation < 0:
        z = (z - z.mean(axis=1, keepdims=True)) * np.sqrt(m / (m - 1))
    else:
        z = np.sqrt(correlation) * rng.normal(size=(4000, 1)) + np.sqrt(1 - correlation) * z
    pooled = np.array([pooled_p(row) for row in norm.sf(z)])
    for level in (0.05, 0.01):
        assert np.mean(pooled <= level) <= level + 2.6 * np.sqrt(level * (1 - level) / 4000)


def test_the_pooled_p_speaks_where_no_class_does_alone() -> None:
    weak = np.linspace(0.001, 0.06, 60)
    assert benjamini_hochberg([*weak, *np.ones(60)]).min() > 0.05
    assert pooled_p([*weak, *np.ones(60)]) < 0.05


def test_the_pooled_p_of_one_none_and_alike() -> None:
    nan = float("nan")
    assert np.isnan(pooled_p([nan]))
    assert pooled_p([nan, 0.03]) == 0.03
    assert pooled_p([1.0] * 50) == 1.0
    assert 0.02 <= pooled_p([0.02] * 100) < 0.05
    assert 0 < pooled_p([1e-300, 0.5]) < 1e-200
