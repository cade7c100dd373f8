"""Statistics of grouped images: comparisons under permuted labels and bootstrap weights, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.core.pvalues import FEWEST, tail_p

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def permutations(labels: Ints, count: int, rng: np.random.Generator) -> Ints:
    """(count, n): the labels dealt out anew, `count` times."""
    return rng.permuted(np.broadcast_to(labels, (count, len(labels))), axis=1)


def bootstrap_weights(labels: Ints, count: int, rng: np.random.Generator) -> Floats:
    """(count, n): how often each item is drawn when every group is resampled to its own size."""
    weights = np.zeros((count, len(labels)))
    for group in np.unique(labels):
        members = np.flatnonzero(labels == group)
        weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=count)
    return weights


def wins(scores: Floats) -> Floats:
    """(n, n): 1 where the row's score is above the column's, 1/2 where they tie; all NaN if any score is NaN."""
    ranks = stats.rankdata(scores)  # infinite scores have a rank, but no difference
    return np.heaviside(ranks[:, None] - ranks[None, :], 0.5)


def median_auc(wins_: Floats, labels: Ints, weights: Floats | None = None) -> Floats:
    """Median over the other groups of the AUC of group 0's scores against theirs.

    Pooling the others instead blames innocent groups: whoever is compared with one guilty group looks different. So
    does the mean of the two middle values: of an even number of comparisons the lower middle one counts.

    Args:
        wins_: (n, n) from `wins`.
        labels: (b, n) group numbers 0, 1, ..., c in b arrangements.
        weights: (b, n) how often each item counts; 1 by default.

    Returns:
        (b,): median over j of sum_ij w_i w_j [s_i > s_j] / (sum w_i sum w_j), i in group 0, j in group j, ties as 1/2.
    """
    member = _members(labels, weights)
    beaten = member[:, :, 0] @ wins_
    counts = member.sum(axis=1)
    aucs = np.einsum("bn,bnc->bc", beaten, member[:, :, 1:]) / (counts[:, :1] * counts[:, 1:])
    return np.quantile(aucs, 0.5, axis=1, method="lower")


def median_difference(values: Floats, labels: Ints, weights: Floats | None = None, *, upper: bool = False) -> Floats:
    """Median over the other groups of the difference between group 0's mean and theirs.

    Args:
        values: (n, c) what item n is worth in the comparison with group 1 + c; NaN where it has no say.
        labels, weights: as in `median_auc`.
        upper: of two middle values, take the upper instead of the lower.

    Returns:
        (b,); NaN where group 0 has no say in any comparison.
    """
    return middle_differences(values, labels, weights)[:, 1 if upper else 0]


def middle_differences(values: Floats, labels: Ints, weights: Floats | None = None) -> Floats:
    """(b, 2): of the differences in `median_difference`, the lower and the upper middle one."""
    known = np.isfinite(values).astype(np.float64)
    filled = np.where(known > 0, values, 0.0)
    first = _member(labels, weights, 0)
    ours = (first @ filled) / _positive(first @ known)
    differences = np.empty_like(ours)
    for j in range(values.shape[1]):
        group = _member(labels, weights, j + 1)
        differences[:, j] = ours[:, j] - (group @ filled[:, j]) / _positive(group @ known[:, j])
    differences.sort(axis=1)  # NaN last
    count = np.isfinite(differences).sum(axis=1)
    middle = np.stack([np.maximum(count - 1, 0) // 2, count // 2], axis=1)
    return np.where(count[:, None] > 0, np.take_along_axis(differences, middle, axis=1), np.nan)


def _member(labels: Ints, weights: Floats | None, group: int) -> Floats:
    """(b, n) how often each item counts in one group."""
    member = (labels == group).astype(np.float64)
    return member if weights is None else member * weights


def _members(labels: Ints, weights: Floats | None) -> Floats:
    """(b, n, 1 + c) how often each item counts in each group."""
    member = (labels[:, :, None] == np.arange(labels.max() + 1)).astype(np.float64)
    return member if weights is None else member * weights[:, :, None]


def _positive(weights: Floats) -> Floats:
    return np.where(weights > 0, weights, np.nan)


def permutation_p(observed: float, null: Floats, *, least: float = 0.0) -> float:
    """One-sided p-value with the observed arrangement counted in: (1 + #{null >= observed}) / (1 + b).

    Where fewer than ten draws are as large, the tail of the draws says how much smaller than that p is (`tail_p`): else
    no class among 1,000 could pass Benjamini-Hochberg, however guilty. Of draws with no tail, such as nearly all the
    same, the empirical value stays.

    NaN where the statistic is; where it is undefined in an arrangement of the null, that counts against a finding.

    Args:
        observed: the statistic under the labels as they are.
        null: (b,) under permuted labels.
        least: a p-value that the number of relabelings does not allow to pass under, from `least_p`.
    """
    if np.isnan(observed):
        return float("nan")
    null = np.where(np.isnan(null), np.inf, null)
    reached = np.count_nonzero(null >= observed - 1e-12)
    p = (1 + reached) / (1 + len(null))
    if reached < FEWEST and np.isfinite(observed) and np.isfinite(null).all():
        p = np.fmin(p, tail_p(observed, null))
    return float(max(p, least))


def percentile_interval(draws: Floats, level: float = 0.95) -> tuple[float, float]:
    """The central interval of bootstrap draws."""
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def difference_interval(k1: int, n1: int, k2: int, n2: int, level: float = 0.95) -> tuple[float, float]:
    """Newcombe's interval for p1 - p2 (1998, method 10): Wilson limits combined; never of no width.

    A bootstrap of proportions that are all 0 or all 1 has no width and claims certainty; this one does not.
    """
    p1, p2 = k1 / n1, k2 / n2
    low1, high1 = _wilson(k1, n1, level)
    low2, high2 = _wilson(k2, n2, level)
    d = p1 - p2
    return d - float(np.hypot(p1 - low1, high2 - p2)), d + float(np.hypot(high1 - p1, p2 - low2))


def _wilson(k: int, n: int, level: float) -> tuple[float, float]:
    interval = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    return interval.low, interval.high


def detectable_difference(p: float, n1: int, n2: int, alpha: float, power: float = 0.8) -> float:
    """Smallest rise above a base rate p that a one-sided comparison of n1 with n2 items finds with this power.

    Normal approximation: z_alpha at the pooled rate, z_power at the two rates; solved by bisection. 1 where no rise is
    found: near a base rate of 1 there is no room for one.
    """
    z_alpha, z_power = stats.norm.ppf(1 - alpha), stats.norm.ppf(power)

    def reached(d: float) -> bool:
        risen = p + d
        pooled = (n1 * risen + n2 * p) / (n1 + n2)
        base = np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
        spread = np.sqrt(risen * (1 - risen) / n1 + p * (1 - p) / n2)
        return bool(d >= z_alpha * base + z_power * spread)

    low, high = 0.0, 1.0 - p
    if not high > 0 or not reached(high):
        return 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def simes(p_values: Sequence[float]) -> float:
    """One p-value for several tests of one hypothesis (Simes 1986): min over i of n p_(i) / i; NaN are no tests."""
    p = np.sort([value for value in p_values if np.isfinite(value)])
    return float(np.min(len(p) * p / np.arange(1, len(p) + 1))) if len(p) else float("nan")


def pooled_p(p_values: Sequence[float]) -> float:
    """One p-value for a model from those of its classes: their calibrated harmonic mean (Wilson 2019).

    A heavy-tailed sum is ruled by its largest terms, so it needs no model of how tests that share images depend, and
    many classes with p near 0.02 count for more than the best of them; other than in a Cauchy combination (Liu, Xie
    2020), classes with p = 1, as a count of no flips makes it, take nothing back. Exact for independent tests, it rises
    above its level where they are moderately correlated: by 1.14, 1.33 and 1.65 times at most for 10, 100 and 1,000
    equally correlated normal tests, the Cauchy combination by 1.3 to 2.1; hence the factor 1 + log(m) / 10.

    A hundred classes of p = 0.2 stay at 0.2 or more, as they must: they might be one accident seen a hundred times.
    1 / p is Pareto(1) under the null, and the mean of m of these follows a Landau law. NaN are no tests.
    """
    p = np.array([value for value in p_values if np.isfinite(value)])
    m = len(p)
    if m < 2:
        return float(p[0]) if m else float("nan")
    centre = np.log(m) + 1 - np.euler_gamma + np.log(np.pi / 2)
    pooled = stats.landau.sf(np.mean(1 / p), loc=centre, scale=np.pi / 2) * (1 + np.log(m) / 10)
    return float(np.clip(pooled, p.min(), 1.0))


def benjamini_hochberg(p_values: Sequence[float]) -> Floats:
    """q-values (Benjamini, Hochberg 1995); NaN stays NaN and is not counted as a test."""
    p = np.asarray(p_values, float)
    q = np.full(len(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known])
    return q
