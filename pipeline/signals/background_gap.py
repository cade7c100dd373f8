"""S3, background gap: how much of a class's recognition is lost on other classes' surroundings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.pvalues import least_p
from pipeline.core.stats import detectable_difference, median_difference, permutation_p
from pipeline.signals.donors import MOVED, beyond, evened
from pipeline.signals.groups import Draws, choose_others, excess_with_interval, undefined
from pipeline.types import Evidence, Observed


@dataclass(frozen=True, kw_only=True)
class BackgroundGap:
    """Objects of class k on surroundings of k against those of each other class; the median over classes.

    What the other place and size do by themselves is taken off where the transplants were also made at home (`moved`).

    The size of a reliance: in a study of 49 models the drop on other classes' surroundings ranked with the true
    reliance (rank correlation .95). Marks that lie inside and outside the objects alike are not seen by it.
    """

    draws: int
    max_other_classes: int
    alpha: float
    version: ClassVar[int] = 2

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials
        trials = trials[trials["intervention"] == "outside_transplant"]
        return [self._evidence(k, trials[trials["recipient_class"] == k], observed, rng) for k in observed.classes]

    def _evidence(self, k: str, trials: pd.DataFrame, observed: Observed, rng: np.random.Generator) -> Evidence:
        given = trials[trials["arm"].isin(["own", "other"])]
        moved = trials[trials["arm"].isin(MOVED)]
        if given.empty:
            why = "nothing to compare with"
            return undefined("background_gap", k, why, unit="share of its objects", version=self.version, role="lead")
        effects = beyond(given, moved, k)
        even = evened(effects) if len(observed.classes) == 2 else effects
        table = even.groupby("donor").agg(called=("called", "mean"), donor_class=("donor_class", "first"))
        giving = [c for c in observed.classes if (table["donor_class"] == c).any()]
        others = choose_others(giving, k, self.max_other_classes, rng)
        group = {c: i for i, c in enumerate([k, *others])}
        table = table[table["donor_class"].isin(group)]
        labels = np.array([group[c] for c in table["donor_class"]], np.int64)
        n, n_others = int((labels == 0).sum()), int((labels > 0).sum())
        if n < 2 or not others:
            return undefined(
                "background_gap",
                k,
                "nothing to compare with",
                unit="share of its objects",
                version=self.version,
                n=n,
                n_others=n_others,
                role="lead",
            )
        values = np.repeat(table["called"].to_numpy(float)[:, None], len(others), axis=1)
        arranged = Draws.of(labels, self.draws, rng)
        rate, elsewhere = _called(given, k, giving_own=True), _called(given, k, giving_own=False)
        estimate, low, high = excess_with_interval(values, arranged, rate)
        gap = partial(median_difference, values)
        at_place = _called(moved, k, giving_own=False) if len(moved) else 1.0
        return Evidence(
            signal="background_gap",
            class_name=k,
            estimate=estimate,
            low=low,
            high=high,
            unit="share of its objects",
            p_value=permutation_p(arranged.observed(gap), arranged.null(gap), least=least_p(labels)),
            n=n,
            n_others=n_others,
            detectable=detectable_difference(1 - rate, n_others // len(others), n, self.alpha),
            role="lead",
            version=self.version,
            details={
                "at_home": rate,
                "elsewhere": elsewhere,
                "drop": at_place - elsewhere,
                "n_other_classes": len(others),
            },
        )


def _called(trials: pd.DataFrame, k: str, *, giving_own: bool) -> float:
    """Share of k's objects that are called k, in the boxes of their own class or of others."""
    part = trials[(trials["donor_class"] == k) == giving_own]
    return float((part["predicted"] == k).mean()) if len(part) else float("nan")
