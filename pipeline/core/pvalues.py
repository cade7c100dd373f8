"""P-values that go below one in the number of draws: an exact distribution, or an approximated tail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, gammaln
from scipy.stats import binom

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HEAD = 20  # one in so many draws, the largest, say where the tail begins and how fast it falls
FEWEST = 10  # draws that an empirical p-value, or the beginning of a tail, needs
FARTHEST = 1e-9  # no tail is claimed below: simulation has checked down to 1e-6
STRAIGHT = 0.02  # skewness below which a gamma distribution is a normal one
STEPS = 60  # of the grid per unit: means of up to six outcomes of 0 or 1 lie on it
WORK = 2e8  # cells that an exact distribution may cost; a coarser grid costs fewer


def least_p(labels: Ints) -> float:
    """One over the number of distinct ways to deal the labels out: n_0! n_1! ... / n!, in (0, 1].

    No permutation test can say less, however extreme the data; huge numbers of ways end at the smallest float.

    Args:
        labels: (n,) group numbers from 0.
    """
    sizes = np.bincount(labels)
    return float(max(np.exp(gammaln(sizes + 1).sum() - gammaln(sizes.sum() + 1)), np.finfo(float).tiny))


def tail_p(observed: float, null: Floats) -> float:
    """P(null >= observed) where no or few draws are as large; NaN where the draws say nothing on their tail.

    A Pearson III tail (a shifted gamma; moments of a permutation null: Mielke, Berry 2007, section 2.3) hung onto the
    largest draws, as Knijnenburg et al. 2009 do with a generalised Pareto, whose end point lies before most values
    worth finding. What cannot be known from the draws makes p larger: the skewness is that of the null or, where that
    is more, the one whose gamma has the null's kurtosis, never below 0; and where the largest draws lie farther out
    than the gamma's would (by one standard error or more of their mean), the tail is stretched to theirs.

    Args:
        observed: any value not below the largest twentieth of the draws.
        null: (b,) draws, finite.
    """
    draws = np.sort(null)[::-1]
    count = _head(draws)
    if not FEWEST <= count < len(draws):
        return float("nan")
    half = (draws[count - 1] - draws[count]) / 2  # on a lattice half a step, else next to nothing
    start = draws[count - 1] - half
    mean, spread = float(draws.mean()), float(draws.std())
    shape = 4 / _skewness((draws - mean) / spread) ** 2

    def above(x: float, extra: int = 0) -> float:
        return float(gammaincc(shape + extra, max(shape + np.sqrt(shape) * (x - mean) / spread, 0.0)))

    at = max(shape + np.sqrt(shape) * (start - mean) / spread, 0.0)
    expected = (shape * above(start, 1) / above(start) - at) / np.sqrt(shape) * spread  # E[x - start | x > start]
    excess = float(draws[:count].mean() - start) * (1 + 1 / np.sqrt(count))
    reach = max(observed - half - start, 0.0) * min(1.0, expected / excess)
    return max((count + 1) / (len(draws) + 1) * above(start + reach) / above(start), FARTHEST)


def _head(draws: Floats) -> int:
    """How many of the draws, which fall, begin the tail: about one in HEAD, ties kept together."""
    border = draws[max(len(draws) // HEAD, FEWEST)] if len(draws) > FEWEST else np.inf
    count = int(np.count_nonzero(draws > border))
    return count if count >= FEWEST else int(np.count_nonzero(draws >= border))


def _skewness(z: Floats) -> float:
    """Of a gamma distribution that is as skewed as the standardised draws, and as heavy: its kurtosis is 1.5 g^2."""
    heavy = max(float(np.mean(z**4)) - 3, 0.0)
    return max(float(np.mean(z**3)), float(np.sqrt(heavy / 1.5)), STRAIGHT)


def two_sample_p(values: Floats, labels: Ints) -> float:
    """Exact one-sided permutation p-value of mean of group 0 > mean of group 1; NaN where a group has no value.

    All relabelings are counted by convolution (the shift algorithm; Pagano, Tritchler 1983; Streitberg, Roehmel 1986),
    of values rounded to a grid of 1/60, coarser for large groups. Rounding comes before the labels, so that the test
    stays exact; it only makes values alike that nearly were.

    Args:
        values: (n,) of any range, meant for [-1, 1]; what is not finite has no say.
        labels: (n,) 0 or 1.
    """
    known = np.isfinite(values)
    values, first = values[known], labels[known] == 0
    if not first.any() or first.all():
        return float("nan")
    if 2 * np.count_nonzero(first) > len(first):  # group 0 high is group 1 low, and the smaller group costs less
        values, first = -values, ~first
    scores = _on_grid(values, int(first.sum()))
    sums = _sums(scores, int(first.sum()))
    p = sums[int(scores[first].sum()) :].sum() / sums.sum()
    return float(min(max(p, least_p(np.where(first, 0, 1))), 1.0))


def _on_grid(values: Floats, n: int) -> Ints:
    """(m,) whole numbers from 0 with no common divisor, close to the values on a scale."""
    steps = float(STEPS)
    while True:
        scores = np.rint(values * steps).astype(np.int64)
        scores -= scores.min()
        scores //= max(int(np.gcd.reduce(scores)), 1)
        if steps <= 1 or np.count_nonzero(scores) * n * _most(scores, n) <= WORK:
            return scores
        steps /= 2


def _most(scores: Ints, n: int) -> int:
    return int(np.sort(scores)[-n:].sum())


def _sums(scores: Ints, n: int) -> Floats:
    """(s,) in proportion, how many of the choices of n scores have the sum 0, 1, 2, ...

    Every score is chosen with the same chance, independently: chance[k, s] is that of k chosen ones with the sum s,
    and given k = n all choices are alike. Chances stay within [0, 1], where counts of choices would overflow.
    """
    chosen = n / len(scores)
    zeros = int(np.count_nonzero(scores == 0))
    chance = np.zeros((n + 1, _most(scores, n) + 1))
    chance[:, 0] = binom.pmf(np.arange(n + 1), zeros, chosen)
    for score in scores[scores > 0]:
        taken = chance[:-1, : chance.shape[1] - score] * chosen
        chance *= 1 - chosen
        chance[1:, score:] += taken
    return chance[n]
