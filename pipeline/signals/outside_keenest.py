"""S1 with the keenest donors: do the surroundings that say most, alone, carry a class to other objects?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.pvalues import least_p
from pipeline.core.stats import Floats, Ints, median_difference, permutation_p
from pipeline.signals.donors import (
    MOVED,
    Comparison,
    beyond,
    donors_of,
    evidence,
    percent,
    placed_rate,
    undefined_comparison,
    worth,
)
from pipeline.signals.groups import Draws, excess_with_interval
from pipeline.types import Evidence, Observed

ARMS = ("other", "matched", "own", "own_matched")  # the latter two: what two classes need, for want of a third
LEAST = 4  # donors of each class


@dataclass(frozen=True, kw_only=True)
class OutsideKeenest:
    """As S1, with the share of each class's donors that say k most when their own object is removed.

    A mark on few of a class's images is diluted in the mean over all of them; and the surroundings that two classes
    share in unequal parts differ in the mean, but not at their keenest. Donors are chosen by one experiment (object
    removed) and judged by another (outside transplant, plain and colour-matched together), so nothing is chosen
    because it flips. p-value: donors' labels permuted and the keenest of each group chosen anew.
    """

    share: float  # of each class's donors
    draws: int  # permutations, and bootstrap samples
    max_other_classes: int
    alpha: float  # for the smallest detectable effect
    gate: float  # share of recipients that must turn
    floor: float  # that the interval's lower end must exceed
    version: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"`share` must lie between 0 and 1, got {self.share}")

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials
        transplants = trials[trials["intervention"] == "outside_transplant"]
        removed = trials[trials["intervention"] == "object_removed"]
        return [self._evidence(k, transplants, removed, observed, rng) for k in observed.classes]

    def _evidence(
        self, k: str, transplants: pd.DataFrame, removed: pd.DataFrame, observed: Observed, rng: np.random.Generator
    ) -> Evidence:
        found = self._compare(k, transplants, _keenness(removed, k), observed.classes, rng)
        return evidence(
            "outside_keenest",
            k,
            found,
            alpha=self.alpha,
            version=self.version,
            gate=self.gate,
            floor=self.floor,
            sentence=(
                f"on the surroundings that say {k!r} most ({percent(self.share)} of its images) {percent(found.rate)} "
                f"of other objects are called {k!r} ({percent(found.base)} on those of other classes that do)"
            ),
            details={"share": self.share},
        )

    def _compare(
        self, k: str, transplants: pd.DataFrame, keenness: pd.Series, classes: Sequence[str], rng: np.random.Generator
    ) -> Comparison:
        moved = transplants[transplants["arm"].isin(MOVED)]
        given = transplants[transplants["arm"].isin(ARMS)]
        known = given[given["donor"].isin(keenness.index)]
        others, donors, labels = donors_of(known, k, classes, self.max_other_classes, rng)
        if not others or (labels == 0).sum() < 2:
            why = "nothing to compare with" if len(known) else "needs object removal and outside transplant"
            return undefined_comparison(why)
        order = np.argsort(-keenness.loc[donors].to_numpy(float), kind="stable")
        donors, labels = donors[order], labels[order]
        flips, _ = worth(beyond(known, moved, k), k, others, donors)
        chosen = keenest(labels[None], self.share)[0] >= 0
        n, n_others = int((labels[chosen] == 0).sum()), int((labels[chosen] > 0).sum())
        if not np.isfinite(flips[chosen & (labels == 0)]).any():
            return undefined_comparison("nothing to compare with", n, n_others)
        by_place = placed_rate(moved[moved["donor"].isin(donors[chosen])], k)
        rate = min(1.0, float(np.nanmean(flips[chosen & (labels == 0)])) + (0.0 if np.isnan(by_place) else by_place))
        estimate, low, high = excess_with_interval(flips[chosen], Draws.of(labels[chosen], self.draws, rng), rate)
        arranged = Draws.of(labels, self.draws, rng, resample=False)
        difference = partial(_difference, flips, self.share)
        return Comparison(
            estimate=estimate,
            low=low,
            high=high,
            p=permutation_p(arranged.observed(difference), arranged.null(difference), least=least_p(labels)),
            rate=rate,
            base=float(np.clip(rate - estimate, 0, 1)),
            n=n,
            n_others=n_others,
            n_classes=len(others),
            n_undefined=len(given) - len(known),
            by_place=by_place,
        )


def keenest(labels: Ints, share: float) -> Ints:
    """(b, n) the labels of the first `share` (at least four) of each group in every arrangement, -1 for the rest.

    Args:
        labels: (b, n) group numbers of items that are sorted by keenness, the keenest first.
    """
    found = np.full_like(labels, -1)
    for group in range(int(labels.max()) + 1):
        member = labels == group
        wanted = max(LEAST, round(share * int(member[0].sum())))
        found[member & (member.cumsum(axis=1) <= wanted)] = group
    return found


def _difference(values: Floats, share: float, labels: Ints, weights: Floats | None) -> Floats:
    return median_difference(values, keenest(labels, share), weights)


def _keenness(removed: pd.DataFrame, k: str) -> pd.Series:
    """Per image how much its surroundings alone say k: the rank of k's log-odds without the object, over the fills."""
    if removed.empty:
        return pd.Series(dtype=float)
    ranks = removed.assign(rank=removed.groupby("arm")[f"log_odds:{k}"].rank(pct=True))
    return ranks.groupby("recipient")["rank"].mean().dropna()
