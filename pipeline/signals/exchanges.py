"""What the signals of exchanges share: a part of k's images put into others, against the same from their own class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from pipeline.core.pvalues import two_sample_p
from pipeline.core.stats import Floats, percentile_interval

FEWEST = 4  # exchanges with k's donors, and with the control's, below which nothing is said


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """How much more often other images turn into k with k's donors than with donors of their own class."""

    estimate: float
    low: float
    high: float
    p: float
    rate: float  # turned by k's donors
    base: float  # turned by donors of their own class
    n: int  # donors of k
    n_control: int
    carrying: float  # share of k's donors that turn at least half of the images that they are given to


def exchange(
    taken: pd.DataFrame, control: pd.DataFrame, k: str, draws: int, rng: np.random.Generator, unit: str = "donor"
) -> Exchange | None:
    """The comparison of two arms, a donor with all its recipients counted once; None where too little was tried.

    Taking its mark away from a guilty class turns its images into others, whoever gave: so recipients of the class that
    turns into k most are left out where there is another one.

    p-value: donors' labels permuted, exactly (`two_sample_p`). Interval: donors and recipients of either arm
    drawn again (a trial counts as often as both are), and the two arms' limits put together as Newcombe does (1998,
    method 10).

    Args:
        taken, control: trials with columns donor, recipient, recipient_class, predicted.
        unit: what is permuted and counted: `donor`, or `recipient` where a donor is a whole group of images.
    """
    taken, control = without_top_class(taken, control, k)
    if min(len(taken), len(control)) < FEWEST:
        return None
    first, second = (_by(unit, t, k) for t in (taken, control))
    rate, base = float((taken["predicted"] == k).mean()), float((control["predicted"] == k).mean())
    values = np.concatenate([first, second])
    labels = np.repeat([0, 1], [len(first), len(second)])
    (low1, high1), (low2, high2) = (_rate_interval(t, k, unit, draws, rng) for t in (taken, control))
    return Exchange(
        estimate=rate - base,
        low=rate - base - float(np.hypot(rate - low1, high2 - base)),
        high=rate - base + float(np.hypot(high1 - rate, base - low2)),
        p=two_sample_p(values, labels),
        rate=rate,
        base=base,
        n=len(first),
        n_control=len(second),
        carrying=float((first >= 0.5).mean()),
    )


def best_of(found: Mapping[str, Exchange | None]) -> tuple[str, Exchange, float] | None:
    """Of several ways to test one thing the one with the smallest p-value, and that p times the number of ways."""
    some = {name: e for name, e in found.items() if e is not None}
    if not some:
        return None
    name = min(some, key=lambda n: (some[n].p, -some[n].estimate))
    return name, some[name], min(1.0, some[name].p * len(some))


def without_top_class(taken: pd.DataFrame, control: pd.DataFrame, k: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both arms without the recipients' class that differs most between them; as they are where there is one class."""
    rates = [(t["predicted"] == k).astype(float).groupby(t["recipient_class"]).mean() for t in (taken, control)]
    differences = rates[0].sub(rates[1]).dropna()
    if len(differences) < 2:
        return taken, control
    top = differences.idxmax()
    return taken[taken["recipient_class"] != top], control[control["recipient_class"] != top]


def _by(unit: str, trials: pd.DataFrame, k: str) -> Floats:
    """(d,) per donor (or recipient) the share of its trials that are called k."""
    called = (trials["predicted"] == k).astype(float)
    return np.asarray(called.groupby(trials[unit], sort=True).mean(), np.float64)


def _rate_interval(
    trials: pd.DataFrame, k: str, unit: str, draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the share called k, donors and recipients drawn again; Wilson's where all trials ended alike."""
    called = (trials["predicted"] == k).to_numpy(float)
    if called.min() == called.max():
        n = trials[unit].nunique()
        interval = binomtest(round(called.mean() * n), n).proportion_ci(method="wilson")
        return float(interval.low), float(interval.high)
    weights = np.ones((draws, len(trials)))
    for column in ("donor", "recipient"):
        codes, values = pd.factorize(trials[column])
        weights *= rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)[:, codes]
    total = weights.sum(axis=1)
    return percentile_interval(np.divide(weights @ called, total, out=np.full(draws, np.nan), where=total > 0))
