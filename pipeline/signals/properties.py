"""Properties: do other images turn into a class that are made to look like its images, wherever that is?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.stats import detectable_difference
from pipeline.signals.donors import compare, evidence
from pipeline.signals.exchanges import Exchange, best_of, exchange
from pipeline.signals.groups import undefined
from pipeline.types import Evidence, Observed

NAMES = {
    "sharpness": "sharpness",
    "border": "a plain border",
    "ring": "the pixels along the border",
    "residual": "fine structure",
    "compression": "compression",
    "colour": "colour and brightness",
    "spectrum": "the frequency spectrum",
}
UNIT = "share of recipients"
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
    telling_share: float  # of each class's donors: those whose surroundings say the class most without the object
    version: ClassVar[int] = 1

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials
        given = trials[trials["intervention"] == "low_level"]
        removed = trials[trials["intervention"] == "object_removed"]
        layers = trials[trials["intervention"] == "shared_layer"]
        found = []
        for k in observed.classes:
            said = _said(removed, k)
            for arm, own in given.groupby("arm", sort=False):
                if arm in self.alone:
                    found.append(self._property(k, str(arm), own, said, rng))
                else:
                    found.append(self._lead(k, str(arm), own, observed, rng))
            found.append(self._layer(k, layers, rng))
        return found

    def _lead(self, k: str, arm: str, trials: pd.DataFrame, observed: Observed, rng: np.random.Generator) -> Evidence:
        """A property that moves honest classes too."""
        found = compare(trials, k, observed.classes, draws=self.draws, max_others=self.max_other_classes, rng=rng)
        told = evidence(f"property:{arm}", k, found, alpha=self.alpha, version=self.version, role="lead")
        return replace(told, carrier=NAMES.get(arm, arm))

    def _property(self, k: str, arm: str, trials: pd.DataFrame, said: pd.Series, rng: np.random.Generator) -> Evidence:
        """All of k's donors against all others', and the most telling ones of each class alone."""
        foreign = trials[trials["recipient_class"] != k]
        tried = {"at random": foreign}
        if len(said):
            tried["most telling"] = foreign[foreign["donor"].isin(_most(said, foreign, self.telling_share))]
        ways: dict[str, Exchange | None] = {}
        for way, own in tried.items():
            mine = own["donor_class"] == k
            ways[way] = exchange(own[mine], own[~mine], k, self.draws, rng)
        words = NAMES.get(arm, arm)
        return self._mark(
            f"property:{arm}", k, ways, words, f"{words} of {k!r} images, given to others,", self.alone[arm]
        )

    def _layer(self, k: str, trials: pd.DataFrame, rng: np.random.Generator) -> Evidence:
        """Each group's layer against the recipients' own class's; recipients are permuted: a group is one layer."""
        own = trials[trials["tested"] == k] if len(trials) else trials
        ways: dict[str, Exchange | None] = {}
        if len(own):
            over, control = own[own["arm"] == "over"], own[own["arm"] == "over_own"]
            for n, (_, group) in enumerate(over.groupby("donor", sort=False), 1):
                same = control[control["recipient"].isin(group["recipient"])]
                ways[f"group {n}"] = exchange(group, same, k, self.draws, rng, unit="recipient")
        what = f"what {k!r} images have in common at the same pixels, laid over others,"
        return self._mark(LAYER, k, ways, LAYER_WORDS, what, self.layer_gate)

    def _mark(
        self, signal: str, k: str, ways: Mapping[str, Exchange | None], words: str, what: str, gate: float
    ) -> Evidence:
        chosen = best_of(ways)
        if chosen is None:
            return undefined(signal, k, "not run", unit=UNIT, version=self.version, role="property")
        way, e, p = chosen
        return Evidence(
            signal=signal,
            class_name=k,
            estimate=e.estimate,
            low=e.low,
            high=e.high,
            unit=UNIT,
            p_value=p,
            n=e.n,
            n_others=e.n_control,
            detectable=detectable_difference(e.base, e.n, e.n_control, self.alpha),
            role="property",
            version=self.version,
            gate=gate,
            floor=self.floor,
            carrier=words,
            sentence=(
                f"{what} turns {100 * e.rate:.0f} % of them into {k!r} [{100 * e.low:.0f}, {100 * e.high:.0f}]; that "
                f"of other images turns {100 * e.base:.0f} %"
            ),
            step=_step(k, words),
            details={"flipped": e.rate, "flipped_control": e.base, "donors": way, "carrying": e.carrying},
        )


def _said(removed: pd.DataFrame, k: str) -> pd.Series:
    """Image -> k's log-odds without its object, ranked and averaged over the fills; empty where that was not tried."""
    if removed.empty:
        return pd.Series(dtype=float)
    ranks = removed.groupby("arm")[f"log_odds:{k}"].rank(pct=True)
    return ranks.groupby(removed["recipient"]).mean()


def _most(said: pd.Series, trials: pd.DataFrame, share: float) -> list[str]:
    """Of each class's donors the share (at least four) whose surroundings say k most."""
    donors = trials[["donor", "donor_class"]].drop_duplicates()
    donors = donors.assign(said=donors["donor"].map(said)).sort_values("said", ascending=False, kind="stable")
    rank = donors.groupby("donor_class").cumcount()
    size = donors.groupby("donor_class")["donor"].transform("size")
    return donors.loc[rank < np.maximum(4, (share * size).round()), "donor"].tolist()


def _step(k: str, words: str) -> str:
    return (
        f"Compare how {k!r} and the other classes were recorded: {words} tells them apart. Even it out, or vary it at "
        "random in training, and audit again."
    )
