"""S1, outside transplant: do other objects turn into a class when they are given its images' surroundings?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.signals.donors import MOVED, compare, evidence, percent
from pipeline.types import Evidence, Observed

SIGNALS = {"other": "outside_transplant", "matched": "outside_transplant_matched"}  # arm -> name
OWN = {"other": "own", "matched": "own_matched"}  # arm -> the same done within the donor's class


@dataclass(frozen=True, kw_only=True)
class OutsideTransplant:
    """Donors of class k against donors of each other class (see signals/donors.py), plain and colour-matched."""

    draws: int  # permutations, and bootstrap samples
    max_other_classes: int
    alpha: float  # for the smallest detectable effect
    gate: float  # share of recipients that must turn
    floor: float  # that the interval's lower end must exceed
    version: ClassVar[int] = 4

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials[observed.trials["intervention"] == "outside_transplant"]
        arms = [arm for arm in SIGNALS if arm == "other" or (trials["arm"] == arm).any()]
        return [self._evidence(k, arm, observed, trials, rng) for arm in arms for k in observed.classes]

    def _evidence(
        self, k: str, arm: str, observed: Observed, trials: pd.DataFrame, rng: np.random.Generator
    ) -> Evidence:
        own = trials["arm"] == OWN[arm]  # two classes need them, for want of a third
        found = compare(
            trials[(trials["arm"] == arm) | own],
            k,
            observed.classes,
            moved=trials[trials["arm"].isin(MOVED)],
            draws=self.draws,
            max_others=self.max_other_classes,
            rng=rng,
        )
        return evidence(
            SIGNALS[arm],
            k,
            found,
            alpha=self.alpha,
            version=self.version,
            gate=self.gate,
            floor=self.floor,
            sentence=(
                f"{percent(found.rate)} of other objects are called {k!r} on the surroundings of {k!r} images "
                f"({percent(found.base)} on neutral ones)"
            ),
            details={"own_stays": _own_stays(trials)},
        )


def _own_stays(trials: pd.DataFrame) -> float:
    """Share of objects that keep their name on another image of their own class: what the seams cost."""
    own = trials[trials["arm"] == "own"]
    return float((own["predicted"] == own["recipient_class"]).mean()) if len(own) else float("nan")
