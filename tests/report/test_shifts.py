from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.report.shifts import mover, proportion


def test_mover_by_hand():
    # distances 3 and 4, then 5 and 12: the hypotenuses are 5 and 13
    assert mover((10.0, 7.0, 15.0), (2.0, -10.0, 6.0)) == (8.0, 3.0, 21.0)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (3, 11), (480, 500)])
def test_proportion_is_wilsons(hits, n):
    interval = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert proportion(hits, n) == pytest.approx((hits / n, interval.low, interval.high), abs=1e-12)


def test_mover_gives_the_published_example():
    # Newcombe 1998, Statistics in Medicine 17:873, method 10 (Wilson limits), 56/70 against 48/80: 0.0524 to 0.3339
    difference, low, high = mover(proportion(56, 70), proportion(48, 80))
    assert difference == pytest.approx(0.2)
    assert (low, high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_mover_of_normal_intervals_is_the_normal_interval_of_the_difference():
    z = stats.norm.ppf(0.975)
    a, b, sa, sb = 0.7, 0.2, 0.03, 0.05
    _, low, high = mover((a, a - z * sa, a + z * sa), (b, b - z * sb, b + z * sb))
    half = z * math.sqrt(sa**2 + sb**2)
    assert (low, high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))


@pytest.mark.parametrize(("p", "q", "n", "m"), [(0.3, 0.5, 60, 80), (0.9, 0.8, 100, 40), (0.05, 0.02, 120, 120)])
def test_mover_covers_as_promised(p, q, n, m):
    """Exact: every outcome of two independent proportions, weighted by its probability."""
    a, b = ([proportion(k, size) for k in range(size + 1)] for size in (n, m))
    weights = np.outer(stats.binom.pmf(range(n + 1), n, p), stats.binom.pmf(range(m + 1), m, q))
    hits = np.array([[mover(x, y)[1] <= p - q <= mover(x, y)[2] for y in b] for x in a])
    assert 0.94 <= (weights * hits).sum() <= 0.975


def test_mover_of_something_undefined_has_no_interval():
    assert all(math.isnan(v) for v in mover((math.nan, 0, 1), (0.5, 0.4, 0.6)))
    difference, low, high = mover((0.7, math.nan, 1), (0.5, 0.4, 0.6))
    assert difference == pytest.approx(0.2)
    assert math.isnan(low)
    assert math.isnan(high)
    assert all(math.isnan(v) for v in proportion(0, 0))


def test_an_interval_that_misses_its_estimate_never_turns_around():
    difference, low, high = mover((0.5, 0.6, 0.7), (0.1, 0.1, 0.1))
    assert low <= difference <= high
