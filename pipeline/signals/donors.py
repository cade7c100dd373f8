"""What the transplant signals share: donors of one class against donors of each other class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from pipeline.core.pvalues import least_p
from pipeline.core.stats import Floats, detectable_difference, median_difference, permutation_p
from pipeline.signals.groups import Draws, choose_others, excess_with_interval, undefined
from pipeline.types import Evidence, Role

MOVED = ("moved", "own_moved")  # arms of a transplant: the object in the donor's box, on its own surroundings


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much more often recipients turn into class k with k's donors than with others'; NaN where undefined."""

    estimate: float
    low: float
    high: float
    p: float
    rate: float  # of k's donors
    base: float  # of the others'
    n: int  # donors of k
    n_others: int
    n_classes: int
    n_undefined: int  # trials whose log-odds are unknown
    by_place: float  # of k's donors, the rate that the new place and size alone bring about; NaN where not tried
    undefined: str = ""


def compare(
    trials: pd.DataFrame,
    k: str,
    classes: Sequence[str],
    *,
    draws: int,
    max_others: int,
    rng: np.random.Generator,
    moved: pd.DataFrame | None = None,
    interval: bool = True,
) -> Comparison:
    """Per class k, donors of k against donors of each other class c; the median over c decides.

    A donor is worth, in the comparison of k with c, the mean over its recipients that belong to neither (with two
    classes only: that belong to c, so that c's donors give to their own class). Effect: the share of recipients called
    k. p-value: donors' labels permuted, a donor with all its recipients, so that re-used donors do not count twice;
    statistic the same median with the rank of k's log-odds, which sees small shifts and does not mind outliers.

    Args:
        moved: trials with the same recipients and donors in which only the object's place and size changed; what these
            do is taken off, trial by trial (see `beyond`).
    """
    known = trials[trials[f"log_odds:{k}"].notna()] if len(trials) else trials
    others, donors, labels = donors_of(known, k, classes, max_others, rng)
    n = int((labels == 0).sum())
    if not len(trials) or not others or n < 2:
        return undefined_comparison("not run" if not len(trials) else "nothing to compare with", n, len(labels) - n)
    arranged = Draws.of(labels, draws, rng, resample=interval)
    flips, ranks = worth(beyond(known, moved, k), k, others, donors)
    if not np.isfinite(arranged.observed(partial(median_difference, flips))):
        return undefined_comparison("nothing to compare with", n, len(labels) - n)
    by_place = placed_rate(moved, k)
    rate = min(1.0, float(np.nanmean(flips[labels == 0])) + (0.0 if np.isnan(by_place) else by_place))
    estimate, low, high = arranged.observed(partial(median_difference, flips)), float("nan"), float("nan")
    if interval:  # costs as much as all the rest
        estimate, low, high = excess_with_interval(flips, arranged, rate)
    shifted = partial(median_difference, ranks)
    return Comparison(
        estimate=estimate,
        low=low,
        high=high,
        p=permutation_p(arranged.observed(shifted), arranged.null(shifted), least=least_p(labels)),
        rate=rate,
        base=float(np.clip(rate - estimate, 0, 1)),
        n=n,
        n_others=len(labels) - n,
        n_classes=len(others),
        n_undefined=len(trials) - len(known),
        by_place=by_place,
    )


def evidence(
    signal: str,
    k: str,
    found: Comparison,
    *,
    alpha: float,
    version: int,
    unit: str = "share of recipients",
    role: Role = "surroundings",
    gate: float = float("nan"),
    floor: float = 0.0,
    sentence: str = "",
    details: Mapping[str, float | str] | None = None,
) -> Evidence:
    """A comparison as the evidence of a signal for class k."""
    if found.undefined:
        why, n, n_others = found.undefined, found.n, found.n_others
        return undefined(signal, k, why, unit=unit, version=version, n=n, n_others=n_others, role=role)
    per_class = found.n_others // max(found.n_classes, 1)
    return Evidence(
        signal=signal,
        class_name=k,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        unit=unit,
        p_value=found.p,
        n=found.n,
        n_others=found.n_others,
        detectable=detectable_difference(found.base, found.n, per_class, alpha),
        role=role,
        version=version,
        gate=gate,
        floor=floor,
        carrier="the surroundings" if role == "surroundings" else "",
        sentence=sentence,
        step=_step(k) if role == "surroundings" else "",
        details={
            "flipped": found.rate,
            "flipped_neutral": found.base,
            **({} if np.isnan(found.by_place) else {"flipped_by_place": found.by_place}),
            "n_other_classes": found.n_classes,
            "n_undefined": found.n_undefined,
            **(details or {}),
        },
    )


def _step(k: str) -> str:
    return (
        f"Decide whether the model may use what usually surrounds {k!r}. If not, add images of {k!r} on other "
        "surroundings and of other classes on these, or exchange surroundings at random in training; audit again."
    )


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def undefined_comparison(why: str, n: int = 0, n_others: int = 0) -> Comparison:
    """A comparison that cannot be made, with the reason."""
    nan = float("nan")
    return Comparison(
        estimate=nan,
        low=nan,
        high=nan,
        p=nan,
        rate=nan,
        base=nan,
        n=n,
        n_others=n_others,
        n_classes=0,
        n_undefined=0,
        by_place=nan,
        undefined=why,
    )


def donors_of(
    trials: pd.DataFrame, k: str, classes: Sequence[str], most: int, rng: np.random.Generator
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The classes that k is compared with, all donors of k and of these, and their groups: 0 for k, 1, 2, ..."""
    if trials.empty:
        return [], np.empty(0, object), np.empty(0, np.int64)
    table = trials[["donor", "donor_class"]].drop_duplicates("donor")
    giving = set(table["donor_class"])
    others = choose_others([c for c in classes if c in giving], k, most, rng)
    group = {c: i for i, c in enumerate([k, *others])}
    table = table[table["donor_class"].isin(group)]
    return others, table["donor"].to_numpy(object), table["donor_class"].map(group).to_numpy(np.int64)


def beyond(trials: pd.DataFrame, moved: pd.DataFrame | None, k: str) -> pd.DataFrame:
    """`trials` with columns called (1 where the prediction is k) and shift (k's log-odds), less those when moved alone.

    Without `moved` trials nothing is taken off; with them, a trial that has no such partner is left out.
    """
    called, shift = (trials["predicted"] == k).astype(float), trials[f"log_odds:{k}"].astype(float)
    if moved is None or moved.empty:
        return trials.assign(called=called, shift=shift)
    partner = moved.drop_duplicates(["recipient", "donor"]).set_index(["recipient", "donor"])
    partner = partner.reindex(pd.MultiIndex.from_frame(trials[["recipient", "donor"]]))
    alone = partner[f"log_odds:{k}"].to_numpy(float)
    found = trials.assign(called=called - (partner["predicted"] == k).to_numpy(float), shift=shift - alone)
    return found[np.isfinite(alone)]


def placed_rate(moved: pd.DataFrame | None, k: str) -> float:
    """How often objects of other classes are called k at home, in the boxes of k's objects; NaN where not tried."""
    if moved is None or moved.empty:
        return float("nan")
    foreign = moved[(moved["donor_class"] == k) & (moved["recipient_class"] != k)]
    return float((foreign["predicted"] == k).mean()) if len(foreign) else float("nan")


def worth(trials: pd.DataFrame, k: str, others: list[str], donors: np.ndarray) -> tuple[Floats, Floats]:
    """(n, c) per donor and comparison: the share of its recipients called k, and the mean rank of k's log-odds.

    Args:
        trials: with the columns of `beyond`.
    """
    pool = trials[(trials["recipient_class"] != k) & trials["donor"].isin(donors)]
    pool = pool.assign(rank=rankdata(pool["shift"]) / max(len(pool), 1))
    columns = []
    for c in others:
        if len(others) > 1:
            part = pool[(pool["recipient_class"] != c) & ~pool["arm"].isin(["own", "own_matched"])]
        else:
            part = pool[pool["recipient_class"] == c]
        called = part.groupby("donor")["called"].mean()
        even = evened(part) if len(others) == 1 else part
        ranks = even.groupby("donor")["rank"].mean()
        columns.append(np.stack([called.reindex(donors), ranks.reindex(donors)]))
    called, ranks = np.stack(columns, axis=2)  # (2, n, c)
    return called, ranks


def evened(trials: pd.DataFrame) -> pd.DataFrame:
    """As many recipients for every donor.

    With two classes, one class's donors give to three recipients and the other's, for control, to one of their own.
    Their means differ in spread, and permuting them with groups of 60 and 8 gave 13 % false alarms at p <= .05.
    """
    by_donor = trials.groupby("donor")
    return by_donor.head(int(by_donor.size().min())) if len(trials) else trials
