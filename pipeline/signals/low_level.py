"""S4, low-level transplant: do other images turn into a class that look like its surroundings, wherever that is?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.signals.donors import Comparison, compare, evidence
from pipeline.types import Evidence, Observed

# From what changes least to what changes everything: of equally significant properties, the first one names the cue.
NAMES = {
    "sharpness": "sharpness",
    "ring": "the border",
    "residual": "fine structure",
    "colour": "colour and brightness",
    "spectrum": "frequency spectrum",
}


@dataclass(frozen=True, kw_only=True)
class LowLevel:
    """The property whose donors speak most for class k; its p-value pays for the choice (Bonferroni over the arms)."""

    draws: int
    max_other_classes: int
    alpha: float
    version: ClassVar[int] = 2

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials[observed.trials["intervention"] == "low_level"]
        arms = list(pd.unique(trials["arm"])) if len(trials) else []
        return [
            self._evidence(k, observed, {a: trials[trials["arm"] == a] for a in arms}, rng) for k in observed.classes
        ]

    def _evidence(
        self, k: str, observed: Observed, arms: dict[str, pd.DataFrame], rng: np.random.Generator
    ) -> Evidence:
        seed = int(rng.integers(2**31))  # every arm, and the best one again, sees the same arrangements
        tested = arms or {"none": observed.trials.iloc[:0]}
        found = {arm: self._compared(k, t, observed, seed, interval=False) for arm, t in tested.items()}
        order = [*NAMES, *(a for a in found if a not in NAMES)]
        best = min(found, key=lambda a: (not np.isfinite(found[a].p), found[a].p, order.index(a)))
        chosen = self._compared(k, tested[best], observed, seed, interval=True)
        details: dict[str, float | str] = {"arm": best, "kind": NAMES.get(best, best)}
        for arm, f in found.items():
            details |= {f"excess:{arm}": f.estimate, f"p:{arm}": f.p}
        result = evidence(
            "low_level", k, chosen, alpha=self.alpha / max(len(arms), 1), version=self.version, details=details
        )
        return _paid(result, len(arms))

    def _compared(self, k: str, trials: pd.DataFrame, observed: Observed, seed: int, *, interval: bool) -> Comparison:
        return compare(
            trials,
            k,
            observed.classes,
            draws=self.draws,
            max_others=self.max_other_classes,
            rng=np.random.default_rng(seed),
            interval=interval,
        )


def _paid(e: Evidence, tests: int) -> Evidence:
    return e if not tests else replace(e, p_value=min(1.0, e.p_value * tests))
