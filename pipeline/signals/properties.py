"""Properties: do other images turn into a class that are made to look like its images, wherever that is?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.stats import detectable_difference
from pipeline.signals.donors import compare, evidence
from pipeline.signals.exchanges import exchange
from pipeline.types import Evidence, Observed, Role

NAMES = {
    "sharpness": "sharpness",
    "ring": "the border",
    "residual": "fine structure",
    "compression": "compression",
    "colour": "colour and brightness",
    "spectrum": "the frequency spectrum",
}
LAYER = "property:layer"
LAYER_WORDS = "something drawn over the whole picture"


@dataclass(frozen=True, kw_only=True)
class Properties:
    """One piece of evidence per property (arm of the low-level transplant), and one for the layer that a class shares.

    Properties that `alone` names carry a class by themselves: on photographs the others (colour, spectrum) move honest
    classes by 20 to 40 points, and stay leads.
    """

    draws: int
    max_other_classes: int
    alpha: float
    alone: Mapping[str, float]  # arm -> smallest effect that counts
    floor: float
    layer_gate: float
    version: ClassVar[int] = 1

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials
        given = trials[trials["intervention"] == "low_level"]
        found = [
            self._property(k, str(arm), own, observed, rng)
            for arm, own in given.groupby("arm", sort=False)
            for k in observed.classes
        ]
        layers = trials[trials["intervention"] == "shared_layer"]
        return found + [e for k in observed.classes for e in self._layer(k, layers, rng)]

    def _property(
        self, k: str, arm: str, trials: pd.DataFrame, observed: Observed, rng: np.random.Generator
    ) -> Evidence:
        role: Role = "property" if arm in self.alone else "lead"
        found = compare(trials, k, observed.classes, draws=self.draws, max_others=self.max_other_classes, rng=rng)
        told = evidence(f"property:{arm}", k, found, alpha=self.alpha, version=self.version, role=role)
        words = NAMES.get(arm, arm)
        return replace(
            told,
            gate=float(self.alone.get(arm, np.nan)),
            floor=self.floor,
            carrier=words,
            sentence=(
                f"{words} of {k!r} images, given to others, turns {100 * found.rate:.0f} % of them into {k!r} "
                f"({100 * found.base:.0f} % with that of other classes)"
            ),
            step=_step(k, words),
        )

    def _layer(self, k: str, trials: pd.DataFrame, rng: np.random.Generator) -> list[Evidence]:
        own = trials[trials["tested"] == k] if len(trials) else trials
        if own.empty:
            return []
        over, over_own = own[own["arm"] == "over"], own[own["arm"] == "over_own"]
        e = exchange(over, over_own, k, self.draws, rng, unit="recipient")
        if e is None:
            return []
        return [
            Evidence(
                signal=LAYER,
                class_name=k,
                estimate=e.estimate,
                low=e.low,
                high=e.high,
                unit="share of recipients",
                p_value=e.p,
                n=len(over),
                n_others=len(over_own),
                detectable=detectable_difference(e.base, e.n, e.n_control, self.alpha),
                role="property",
                version=self.version,
                gate=self.layer_gate,
                floor=self.floor,
                carrier=LAYER_WORDS,
                sentence=(
                    f"what {k!r} images have in common at the same pixels, laid over others, turns {100 * e.rate:.0f} "
                    f"% of them into {k!r} [{100 * e.low:.0f}, {100 * e.high:.0f}]; what their own class has in common "
                    f"turns {100 * e.base:.0f} %"
                ),
                step=_step(k, LAYER_WORDS),
                details={"flipped": e.rate, "flipped_control": e.base},
            )
        ]


def _step(k: str, words: str) -> str:
    return (
        f"Compare how {k!r} and the other classes were recorded: {words} tells them apart. Even it out, or vary it at "
        "random in training, and audit again."
    )
