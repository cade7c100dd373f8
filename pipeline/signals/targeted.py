"""C1, targeted confirmation: does the place that attribution points to carry the class from image to image?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from pipeline.core.stats import detectable_difference, permutation_p, permutations
from pipeline.signals.attribution_lead import place as place_in_words
from pipeline.signals.groups import rate_interval, undefined
from pipeline.types import Evidence, Observed

CANDIDATES = {"in": "in_neutral", "peak": "peak_neutral"}  # arm -> its control


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One place, or every image's own peak, and how often moving it turned other images into the class."""

    arm: str
    spot: int
    estimate: float  # flips less those of the control that flips most
    low: float
    high: float
    p: float
    details: dict[str, float | str]
    n: int
    n_neutral: int


@dataclass(frozen=True, kw_only=True)
class Targeted:
    """The candidate that speaks most: a hotspot of one half of the images tested on the other half, or the peaks.

    Effect: the share of other images that turn into k with the pixels of a k image, less the share with a neutral
    image's pixels of the same place, or with the k image's pixels of another place, whichever is larger. p-value:
    donors' labels permuted between k and neutral, times the number of candidates (Bonferroni). Details: the same for
    what k loses without the place.
    """

    draws: int
    alpha: float
    version: ClassVar[int] = 1

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials
        trials = trials[trials["intervention"] == "targeted"] if len(trials) else trials
        return [
            self._evidence(k, trials[trials["tested"] == k] if len(trials) else trials, observed, rng)
            for k in observed.classes
        ]

    def _evidence(self, k: str, trials: pd.DataFrame, observed: Observed, rng: np.random.Generator) -> Evidence:
        found = list(self._candidates(k, trials, observed, rng))
        if not found:
            why = "no place to test: no maps, or objects everywhere"
            return undefined("targeted", k, why, unit="share of recipients", version=self.version)
        # A hotspot says where; peaks must be clearly better to be preferred.
        best = min(found, key=lambda c: (c.p, -c.estimate - 0.1 * (c.arm == "in")))
        base = float(best.details["flipped_neutral"])
        return Evidence(
            signal="targeted",
            class_name=k,
            estimate=best.estimate,
            low=best.low,
            high=best.high,
            unit="share of recipients",
            p_value=min(1.0, best.p * len(found)),
            n=best.n,
            n_others=best.n_neutral,
            detectable=detectable_difference(base, best.n, best.n_neutral, self.alpha / len(found)),
            decides=True,
            version=self.version,
            details={"candidate": "peak" if best.arm == "peak" else f"hotspot {best.spot + 1}", **best.details},
        )

    def _candidates(
        self, k: str, trials: pd.DataFrame, observed: Observed, rng: np.random.Generator
    ) -> Iterator[Candidate]:
        for (arm, spot), group in trials[trials["arm"].isin(list(CANDIDATES))].groupby(["arm", "spot"], sort=True):
            same = trials[trials["spot"] == spot]
            control = same[same["arm"] == CANDIDATES[str(arm)]]
            if len(group) >= 2 and len(control) >= 2:
                yield self._candidate(k, str(arm), int(str(spot)), group, control, same, observed, rng)

    def _candidate(
        self,
        k: str,
        arm: str,
        spot: int,
        moved: pd.DataFrame,
        control: pd.DataFrame,
        same: pd.DataFrame,
        observed: Observed,
        rng: np.random.Generator,
    ) -> Candidate:
        flipped, neutral = _rate(moved, k), _rate(control, k)
        elsewhere = _rate(same[same["arm"] == "elsewhere"], k) if arm == "in" else float("nan")
        values, labels = _by_donor(pd.concat([moved, control]), k, {arm: 0, CANDIDATES[arm]: 1})
        null = _difference(values, permutations(labels, self.draws, rng))
        estimate = flipped - np.nanmax([neutral, elsewhere])
        low, high = rate_interval(_bootstrap(values, labels, self.draws, rng), labels, flipped, flipped - neutral)
        shift = estimate - (flipped - neutral)
        out, out_own = same[same["arm"] == "out"], same[same["arm"] == "out_own"]
        certain = binomtest(round(flipped * len(moved)), len(moved)).proportion_ci(method="wilson")
        details: dict[str, float | str] = {
            "flipped": flipped,
            "flipped_low": float(certain.low),
            "flipped_high": float(certain.high),
            "flipped_neutral": neutral,
            "flipped_elsewhere": elsewhere,
            "lost": 1 - _rate(out, k),
            "lost_own": 1 - _rate(out_own, k),
            **(_where(moved, observed) if arm == "in" else {}),
        }
        return Candidate(
            arm=arm,
            spot=spot,
            estimate=float(estimate),
            low=float(low + shift),
            high=float(high + shift),
            p=permutation_p(float(_difference(values, labels[None])[0]), null),
            details=details,
            n=int((labels == 0).sum()),
            n_neutral=int((labels == 1).sum()),
        )


def _rate(trials: pd.DataFrame, k: str) -> float:
    return float((trials["predicted"] == k).mean()) if len(trials) else float("nan")


def _by_donor(trials: pd.DataFrame, k: str, groups: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Per donor the share of its recipients called k, and its group."""
    table = (
        trials.assign(called=(trials["predicted"] == k).astype(float))
        .groupby(["arm", "donor"], sort=True)["called"]
        .mean()
    )
    return table.to_numpy(float), table.index.get_level_values("arm").map(groups).to_numpy(np.int64)


def _difference(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(b,) mean of group 0 less mean of group 1."""
    first = labels == 0
    return np.asarray((first @ values) / first.sum(axis=1) - (~first @ values) / (~first).sum(axis=1))


def _bootstrap(values: np.ndarray, labels: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    means = []
    for group in (0, 1):
        own = values[labels == group]
        counts = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=draws)
        means.append(counts @ own / len(own))
    return np.asarray(means[0] - means[1])


def _where(moved: pd.DataFrame, observed: Observed) -> dict[str, float | str]:
    """The hotspot that most trials used (each half proposes one), in pixels and in words, and whether halves agree."""
    places = moved["place"].value_counts()
    x0, y0, x1, y1 = box = places.index[0]
    height, width = observed.frame
    found: dict[str, float | str] = {
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "pixels": (x1 - x0) * (y1 - y0),
        "place": place_in_words((x0 + x1) / 2 / width, (y0 + y1) / 2 / height),
        "halves_agree": _iou(box, places.index[1]) if len(places) > 1 else float("nan"),
    }
    return found


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
