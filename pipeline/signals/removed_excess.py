"""S2, object-removed excess: without their objects, are images of a class still recognised as that class?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.pvalues import least_p
from pipeline.core.stats import (
    Floats,
    detectable_difference,
    median_auc,
    percentile_interval,
    permutation_p,
    wins,
)
from pipeline.signals.donors import percent
from pipeline.signals.groups import Draws, choose_others, excess_with_interval, undefined
from pipeline.types import Evidence, Observed


@dataclass(frozen=True, kw_only=True)
class RemovedExcess:
    """Per class k, object-removed images of k against those of each other class j; the median over j decides.

    Effect: P(called k | class k) - P(called k | class j), the smallest over the fills, less what k's holes do by
    themselves in other classes' pictures whose own object is gone. p-value: labels permuted among the images,
    statistic the median over j of the AUC of k's log-odds; the largest over the fills, so that every fill
    must agree (an intersection-union test, which needs no correction).
    """

    draws: int  # permutations, and bootstrap samples
    max_images: int  # per class; more are sampled
    max_other_classes: int  # that a class is compared with; more are sampled
    alpha: float  # for the smallest detectable effect
    gates: Mapping[int, float]  # images of the class -> smallest effect that counts; between them linear in log n
    floor: float  # that the interval's lower end must exceed
    version: ClassVar[int] = 2

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials[observed.trials["intervention"] == "object_removed"]
        fills = {str(arm): group.set_index("recipient") for arm, group in trials.groupby("arm", sort=False)}
        return [self._evidence(k, observed, fills, rng) for k in observed.classes]

    def _gate(self, n: int) -> float:
        """Chance differences grow as images get fewer, and so does the effect that counts."""
        sizes = sorted(self.gates)
        return float(np.interp(np.log(max(n, 1)), np.log(sizes), [self.gates[s] for s in sizes]))

    def _evidence(
        self, k: str, observed: Observed, fills: Mapping[str, pd.DataFrame], rng: np.random.Generator
    ) -> Evidence:
        images = _usable(k, observed.images, fills)
        seen = [c for c in observed.classes if (images["class"] == c).any()]
        others = choose_others(seen, k, self.max_other_classes, rng)
        ids, labels = self._items(k, others, images, rng)
        n, n_others = int((labels == 0).sum()), int((labels > 0).sum())
        if not fills or not others or n < 2:
            why = "not run" if not fills else "nothing to compare with"
            unit = "share of images"
            return undefined("removed_excess", k, why, unit=unit, version=self.version, n=n, n_others=n_others)
        draws = Draws.of(labels, self.draws, rng)
        per_fill = {arm: self._fill(k, table.loc[ids], draws) for arm, table in fills.items()}
        weakest = min(per_fill.values(), key=lambda f: f["excess"])
        hole = hole_effect(observed.trials, k)
        others_rate = max(0.0, weakest["rate"] - weakest["excess"])
        details: dict[str, float | str] = {
            "auc": min(f["auc"] for f in per_fill.values()),
            "called_without_object": weakest["rate"],
            "others_called_without_object": others_rate,
            "called_by_hole": hole,
            **self._evidence_share(k, images, next(iter(fills.values())), rng),
            "n_other_classes": len(others),
            "n_undefined": len(observed.images) - len(images),
        }
        for arm, f in per_fill.items():
            details |= {f"excess:{arm}": f["excess"], f"p:{arm}": f["p"]}
        base = float(np.clip(weakest["rate"] - weakest["excess"], 0, 1))
        return Evidence(
            signal="removed_excess",
            class_name=k,
            estimate=weakest["excess"] - hole,
            low=min(f["low"] for f in per_fill.values()) - hole,
            high=max(f["high"] for f in per_fill.values()) - hole,
            unit="share of images",
            p_value=max(f["p"] for f in per_fill.values()),
            n=n,
            n_others=n_others,
            detectable=detectable_difference(base, n, n_others // len(others), self.alpha),
            role="removal",
            version=self.version,
            gate=self._gate(n),
            floor=self.floor,
            carrier="the surroundings",
            sentence=(
                f"with the object removed, {percent(weakest['rate'])} of {k!r} images are still called {k!r} "
                f"({percent(others_rate)} of other images are)"
            ),
            details=details,
        )

    def _evidence_share(
        self, k: str, images: pd.DataFrame, removed: pd.DataFrame, rng: np.random.Generator
    ) -> dict[str, float | str]:
        """How much of what speaks for k is still there without the object, on log-odds; with its 95 % interval.

        0: a picture of k without its object says k as little as the other classes' do; 1: as much as with its object.
        Shares of names need hundreds of images to exclude 10 points; the mean of log-odds needs tens.
        """
        odds, mine = removed[f"log_odds:{k}"].reindex(images["id"]).to_numpy(float), (images["class"] == k).to_numpy()
        if "log_odds" not in images or not mine.any() or mine.all():
            return {}
        whole = images.loc[mine, "log_odds"].to_numpy(float)
        own, others = _means(odds[mine], self.draws, rng), _means(odds[~mine], self.draws, rng)
        full = _means(whole, self.draws, rng)
        room = full - others
        shares = np.divide(own - others, room, out=np.full(len(room), np.nan), where=room > 0)
        if not np.isfinite(shares).all():
            return {}
        low, high = percentile_interval(shares[1:])
        return {"evidence_share": float(shares[0]), "evidence_share_low": low, "evidence_share_high": high}

    def _items(
        self, k: str, others: list[str], images: pd.DataFrame, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids and group numbers: 0 for class k, 1, 2, ... for the others."""
        ids, labels = [], []
        for group, c in enumerate([k, *others]):
            own = images.loc[images["class"] == c, "id"].to_numpy(object)
            if len(own) > self.max_images:
                own = own[np.sort(rng.choice(len(own), self.max_images, replace=False))]
            ids.append(own)
            labels.append(np.full(len(own), group))
        return np.concatenate(ids), np.concatenate(labels)

    def _fill(self, k: str, table: pd.DataFrame, draws: Draws) -> dict[str, float]:
        """Excess with interval, AUC and p-value of one fill."""
        called = (table["predicted"] == k).to_numpy(float)
        n_groups = int(draws.labels.max())
        auc = partial(median_auc, wins(table[f"log_odds:{k}"].to_numpy(float)))
        rate = float(called[draws.labels == 0].mean())
        estimate, low, high = excess_with_interval(np.repeat(called[:, None], n_groups, axis=1), draws, rate)
        observed_auc = draws.observed(auc)
        p = permutation_p(observed_auc, draws.null(auc), least=least_p(draws.labels))
        return {"excess": estimate, "low": low, "high": high, "auc": observed_auc, "p": p, "rate": rate}


def _means(values: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """(1 + draws,) the mean, and those of resampled values."""
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
    return np.concatenate([[values.mean()], counts @ values / len(values)])


def hole_effect(trials: pd.DataFrame, k: str) -> float:
    """How much more often pictures without their own object are called k with the hole of a k image beside; 0 or more.

    0 too where the holes were not tried.
    """
    holes = trials[(trials["intervention"] == "hole_control") & (trials["donor_class"] == k)]
    if holes.empty:
        return 0.0
    fill = str(holes["arm"].iloc[0])
    plain = trials[(trials["intervention"] == "object_removed") & (trials["arm"] == fill)].set_index("recipient")
    before = (plain["predicted"].reindex(holes["recipient"]) == k).to_numpy(float)
    return max(0.0, float((holes["predicted"] == k).mean() - before.mean()))


def _usable(k: str, images: pd.DataFrame, fills: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The images whose log-odds of k are known under every fill: one without would leave the whole class without."""
    for table in fills.values():
        images = images[images["id"].isin(table.index[table[f"log_odds:{k}"].notna()])]
    return images
