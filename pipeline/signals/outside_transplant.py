"""S1, outside transplant: do other objects turn into a class when they are given its images' surroundings?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from pipeline.core.stats import Floats, detectable_difference, median_difference, permutation_p
from pipeline.signals.groups import Draws, choose_others, excess_with_interval
from pipeline.types import Evidence, Observed


@dataclass(frozen=True, kw_only=True)
class OutsideTransplant:
    """Per class k, donors of k against donors of each other class c; the median over c decides.

    A donor is worth, in the comparison of k with c, the mean over its recipients that belong to neither (with two
    classes only: that belong to c, so that c's donors give to their own class). Effect: the share of recipients called
    k. p-value: donors' labels permuted, a donor with all its recipients, so that re-used donors do not count twice;
    statistic the same median with the rank of k's log-odds, which sees small shifts and does not mind outliers.
    """

    draws: int  # permutations, and bootstrap samples
    max_other_classes: int
    alpha: float  # for the smallest detectable effect
    version: ClassVar[int] = 1

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials[observed.trials["intervention"] == "outside_transplant"]
        return [self._evidence(k, observed, trials, rng) for k in observed.classes]

    def _evidence(self, k: str, observed: Observed, trials: pd.DataFrame, rng: np.random.Generator) -> Evidence:
        known = trials[trials[f"log_odds:{k}"].notna()] if len(trials) else trials
        giving = [c for c in observed.classes if (known["donor_class"] == c).any()]
        others = choose_others(giving, k, self.max_other_classes, rng)
        donors, labels = _donors(known, [k, *others])
        if not len(trials) or not others or (labels == 0).sum() < 2:
            return self._undefined(k, donors, labels, "not run" if not len(trials) else "nothing to compare with")
        draws = Draws.of(labels, self.draws, rng)
        flips, ranks = _worth(known, k, others, donors)
        if not np.isfinite(draws.observed(partial(median_difference, flips))):
            return self._undefined(k, donors, labels, "nothing to compare with")
        rate = float(np.nanmean(flips[labels == 0]))
        estimate, low, high = excess_with_interval(flips, draws, rate)
        shifted = partial(median_difference, ranks)
        p = permutation_p(draws.observed(shifted), draws.null(shifted))
        base = float(np.clip(rate - estimate, 0, 1))
        n, n_others = int((labels == 0).sum()), int((labels > 0).sum())
        return Evidence(
            signal="outside_transplant",
            class_name=k,
            estimate=estimate,
            low=low,
            high=high,
            unit="share of recipients",
            p_value=p,
            n=n,
            n_others=n_others,
            detectable=detectable_difference(base, n, n_others // len(others), self.alpha),
            decides=True,
            version=self.version,
            details={
                "flipped": rate,
                "flipped_neutral": base,
                "own_stays": _own_stays(trials),
                "n_other_classes": len(others),
                "n_undefined": len(trials) - len(known),
            },
        )

    def _undefined(self, k: str, donors: np.ndarray, labels: np.ndarray, why: str) -> Evidence:
        nan = float("nan")
        return Evidence(
            signal="outside_transplant",
            class_name=k,
            estimate=nan,
            low=nan,
            high=nan,
            unit="share of recipients",
            p_value=nan,
            n=int((labels == 0).sum()),
            n_others=len(donors) - int((labels == 0).sum()),
            detectable=nan,
            decides=True,
            version=self.version,
            details={"undefined": why},
        )


def _donors(trials: pd.DataFrame, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The donors of these classes, and their group numbers: 0 for the first class, and so on."""
    table = trials[["donor", "donor_class"]].drop_duplicates("donor")
    table = table[table["donor_class"].isin(classes)]
    group = {c: i for i, c in enumerate(classes)}
    return table["donor"].to_numpy(object), table["donor_class"].map(group).to_numpy(np.int64)


def _worth(trials: pd.DataFrame, k: str, others: list[str], donors: np.ndarray) -> tuple[Floats, Floats]:
    """(n, c) per donor and comparison: the share of its recipients called k, and the mean rank of k's log-odds."""
    pool = trials[(trials["recipient_class"] != k) & trials["donor"].isin(donors)]
    pool = pool.assign(called=(pool["predicted"] == k).astype(float), rank=rankdata(pool[f"log_odds:{k}"]) / len(pool))
    columns = []
    for c in others:
        if len(others) > 1:
            part = pool[(pool["recipient_class"] != c) & (pool["arm"] == "other")]
        else:
            part = pool[pool["recipient_class"] == c]
        called = part.groupby("donor")["called"].mean()
        even = _evened(part) if len(others) == 1 else part
        ranks = even.groupby("donor")["rank"].mean()
        columns.append(np.stack([called.reindex(donors), ranks.reindex(donors)]))
    called, ranks = np.stack(columns, axis=2)  # (2, n, c)
    return called, ranks


def _evened(trials: pd.DataFrame) -> pd.DataFrame:
    """As many recipients for every donor.

    With two classes, one class's donors give to three recipients and the other's, for control, to one of their own.
    Their means differ in spread, and permuting them with groups of 60 and 8 gave 13 % false alarms at p <= .05.
    """
    by_donor = trials.groupby("donor")
    return by_donor.head(int(by_donor.size().min())) if len(trials) else trials


def _own_stays(trials: pd.DataFrame) -> float:
    """The control for seams: how often an object on another image of its own class keeps its name."""
    own = trials[trials["arm"] == "own"]
    return float((own["predicted"] == own["recipient_class"]).mean()) if len(own) else float("nan")
