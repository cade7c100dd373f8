"""What the deciding signals share: one class against each of the others, permuted, resampled, with an interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.core.stats import (
    Floats,
    Ints,
    bootstrap_weights,
    difference_interval,
    middle_differences,
    percentile_interval,
    permutations,
)
from pipeline.types import Evidence, Role

CHUNK = 64  # arrangements at once: bounds the memory of the draws

Statistic = Callable[[Ints, "Floats | None"], Floats]  # labels (b, n), weights (b, n) -> (b,)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Arrangements of n items in groups 0, 1, ..., c: as they are, with permuted labels, and resampled."""

    labels: Ints  # (n,)
    permuted: Ints  # (b, n)
    weights: Floats  # (b, n)

    @staticmethod
    def of(labels: Ints, count: int, rng: np.random.Generator, *, resample: bool = True) -> Draws:
        """`count` of each, drawn once, so that every statistic of a class sees the same."""
        permuted = permutations(labels, count, rng)
        weights = bootstrap_weights(labels, count, rng) if resample else np.empty((0, len(labels)))
        return Draws(labels=labels, permuted=permuted, weights=weights)

    def observed(self, statistic: Statistic) -> float:
        return float(statistic(self.labels[None], None)[0])

    def null(self, statistic: Statistic) -> Floats:
        """(b,) the statistic when labels mean nothing."""
        return np.concatenate([statistic(part, None) for part in _chunks(self.permuted)])

    def resampled(self, statistic: Statistic) -> Floats:
        """(b,) the statistic when every group is drawn again from itself."""
        rows = np.broadcast_to(self.labels, self.weights.shape)
        pairs = zip(_chunks(rows), _chunks(self.weights), strict=True)
        return np.concatenate([statistic(labels, weights) for labels, weights in pairs])


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def excess_with_interval(values: Floats, draws: Draws, rate: float) -> tuple[float, float, float]:
    """Median difference of group 0 from the others, with its 95 % interval.

    An even number of others has two middle differences. An accusation must hold for the lower one, "no effect above"
    for the upper one; so estimate and lower end belong to the lower, the upper end to the upper.

    Args:
        values: (n, c) as in `median_difference`: a share of 0 to 1 per item and comparison.
        rate: the mean of group 0.
    """
    middle = partial(middle_differences, values)
    lower, upper = middle(draws.labels[None])[0]
    resampled = draws.resampled(middle)
    low, _ = rate_interval(resampled[:, 0], draws.labels, rate, float(lower))
    _, high = rate_interval(resampled[:, 1], draws.labels, rate, float(upper))
    return float(lower), low, high


def rate_interval(draws: Floats, labels: Ints, rate: float, estimate: float) -> tuple[float, float]:
    """The bootstrap's 95 % interval, but never narrower than counts of 0 and 1 allow (Newcombe).

    Rates that are all 0 or all 1 do not vary in a bootstrap, which then claims to know them exactly.

    Args:
        rate: the mean of group 0.
        estimate: the median of the differences, the point that the floor is put around.
    """
    low, high = percentile_interval(draws)
    counts = np.bincount(labels)
    n1, n2 = int(counts[0]), int(np.median(counts[1:]))
    others = float(np.clip(rate - estimate, 0, 1))
    floor = difference_interval(round(rate * n1), n1, round(others * n2), n2)
    return min(low, floor[0]), max(high, floor[1])


def choose_others(classes: Sequence[str], k: str, most: int, rng: np.random.Generator) -> list[str]:
    """The classes that k is compared with: all, or `most` of them at random."""
    others = [c for c in classes if c != k]
    if len(others) <= most:
        return others
    return [others[i] for i in sorted(rng.choice(len(others), most, replace=False))]


def undefined(
    signal: str, k: str, why: str, *, unit: str, version: int, n: int = 0, n_others: int = 0, role: Role = "removal"
) -> Evidence:
    """A signal that has nothing to say on class k, with the reason."""
    nan = float("nan")
    return Evidence(
        signal=signal,
        class_name=k,
        estimate=nan,
        low=nan,
        high=nan,
        unit=unit,
        p_value=nan,
        n=n,
        n_others=n_others,
        detectable=nan,
        role=role,
        version=version,
        details={"undefined": why},
    )
