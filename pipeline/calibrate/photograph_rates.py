"""Error rates on photographs: the measured cases judged, counted, with intervals clustered by the models' classes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from pipeline.calibrate.judging import Measured, judged
from pipeline.calibrate.rates import BOOTSTRAP, WEAK, Rate, auc, size
from pipeline.judge import MARKS, Judge
from pipeline.types import Verdict

RIGHT_PLACE = 0.5  # see `hits` of photograph_measure.py
LEANING = 0.3  # surroundings that carry more should be told
USED = ("strong", "moderate")
LOCAL = "hits"


def table(measured: Iterable[Measured], judge: Judge) -> pd.DataFrame:
    """One row per class of every case: what was true, what was said, and by how much."""
    rows = []
    for m in measured:
        case, verdicts = m["case"], judged(m, judge)
        marked = case["arm"] in ("planted", "rare")
        for i, (c, verdict) in enumerate(zip(m["classes"], verdicts[1:], strict=True)):
            guilty = marked and i == case["guilty"]
            first = verdict.carried_by[0] if verdict.carried_by else None
            hits = {e["signal"]: e["hits"] for e in c["evidence"]}
            rows.append(
                {
                    **{k: case[k] for k in ("name", "arm", "kind", "group", "prevalence", "strength")},
                    "class": c["class"],
                    "n": len(c["correct"]),
                    "model_accuracy": m["accuracy"],
                    "guilty": guilty,
                    "reliance": m["truth"]["reliance"] if guilty else 0.0,
                    "gained": m["truth"]["gained"] if guilty else 0.0,
                    "model_reliance": m["truth"]["reliance"],
                    "surroundings": m["truth"]["surroundings"][i],
                    "state": verdict.state,
                    "model_state": verdicts[0].state,
                    "guards": " ".join(verdict.guards),
                    "role": first.role if first else "",
                    "carrier": first.carrier if first else "",
                    "strength_found": first.estimate if first else np.nan,
                    "strength_low": first.low if first else np.nan,
                    "strength_high": first.high if first else np.nan,
                    "score": score(verdict),
                    LOCAL: hits.get(first.signal) if first else None,
                    **_around(verdict),
                }
            )
    return pd.DataFrame(rows)


def score(verdict: Verdict) -> float:
    """How much speaks for a mark: the largest effect of a place or property, in units of its gate, if significant."""
    marks = [e for e in verdict.evidence if e.role in MARKS and np.isfinite(e.estimate)]
    return max((e.estimate / e.gate * (1.0 if e.p_value <= 0.05 else 0.25) for e in marks), default=0.0)


def _around(verdict: Verdict) -> dict[str, float]:
    """What the audit says that the surroundings carry."""
    e = next((e for e in verdict.evidence if e.signal == "outside_transplant"), None)
    return {f"around{end}": getattr(e, name) if e else np.nan for end, name in _ENDS.items()}


_ENDS = {"": "estimate", "_low": "low", "_high": "high"}


def models(classes: pd.DataFrame) -> pd.DataFrame:
    """One row per model."""
    by_name = classes.groupby("name", sort=False)
    found = by_name.first()[["arm", "kind", "group", "prevalence", "model_state", "model_reliance"]]
    guilty = classes[classes["guilty"]].set_index("name").reindex(found.index)
    innocent = classes[~classes["guilty"] & (classes["state"] == "SHORTCUT")].groupby("name").size()
    marked = found["arm"].isin(["planted", "rare"])
    sizes = [size(r) if m else "" for r, m in zip(found["model_reliance"], marked, strict=True)]
    return found.assign(
        score=by_name["score"].max(),
        guilty_state=guilty["state"],
        guilty_role=guilty["role"],
        hits=guilty[LOCAL],
        blamed=innocent.reindex(found.index).fillna(0).astype(int),
        size=sizes,
    ).reset_index()


def rates(classes: pd.DataFrame) -> list[Rate]:
    """The second column of the README's table."""
    every = models(classes)
    used = every[every["size"].isin(USED)]
    frequent, rare = used[used["arm"] == "planted"], used[used["arm"] == "rare"]
    harmless = every[(every["model_reliance"] < WEAK)]
    honest = harmless[harmless["arm"].isin(["clean", "balanced", "audit_only", "planted", "rare"])]
    innocent = classes[~classes["guilty"]]
    leaning = innocent[(innocent["surroundings"] > LEANING) & (innocent["arm"] != "one_wrong")]
    placed = used[(used["guilty_role"] == "place") & used["hits"].notna()]
    told = classes[classes["guilty"] & (classes["reliance"] >= 0.2) & classes["role"].isin(MARKS)]
    found = [
        _auroc(used, harmless),
        _detected("strong marks", frequent[frequent["size"] == "strong"], ">= .95"),
        _detected("moderate marks", frequent[frequent["size"] == "moderate"], ">= .80"),
        _detected("marks on 20 to 30 % of the images", rare, ">= .70"),
        clustered("place right, where a place is told", placed["hits"] >= RIGHT_PLACE, placed["group"], ">= .90"),
        clustered(
            "models without a usable mark called SHORTCUT", harmless["model_state"] == "SHORTCUT", harmless["group"],
            "at most one",
        ),
        clustered("bystander classes called SHORTCUT", innocent["state"] == "SHORTCUT", innocent["group"], ""),
        clustered(
            "surroundings above 30 points called CONTEXT or SHORTCUT", leaning["state"].isin(["CONTEXT", "SHORTCUT"]),
            leaning["group"], ">= .90",
        ),
        clustered("INCONCLUSIVE where a mark is used", used["guilty_state"] == "INCONCLUSIVE", used["group"], "<= .15"),
        clustered(
            "honest models CLEAR or CONTEXT", honest["model_state"].isin(["CLEAR", "CONTEXT"]), honest["group"],
            ">= .60",
        ),
        _error("strength of marks, median error in points", told["strength_found"] - told["gained"], told["group"]),
        clustered("strength of marks, interval covers the truth", _covers(told, "strength", "gained"), told["group"],
                  ">= .90"),
        _error("strength of surroundings, median error in points", innocent["around"] - innocent["surroundings"],
               innocent["group"]),
        clustered("strength of surroundings, interval covers the truth", _covers(innocent, "around", "surroundings"),
                  innocent["group"], ">= .90"),
    ]  # fmt: skip
    return [r for r in found if r.n]


def _detected(what: str, used: pd.DataFrame, target: str) -> Rate:
    hits = used["guilty_state"] == "SHORTCUT"
    return clustered(f"detection, {what} (SHORTCUT, right class)", hits, used["group"], target)


def _covers(told: pd.DataFrame, prefix: str, truth: str) -> pd.Series:
    return (told[f"{prefix}_low"] <= told[truth]) & (told[truth] <= told[f"{prefix}_high"])


def clustered(measure: str, hits: pd.Series, groups: pd.Series, target: str) -> Rate:
    """A proportion; its interval resamples groups of models of the same classes, and is no narrower than exact."""
    n, k = len(hits), int(hits.sum())
    if not n:
        return Rate(measure=measure, value=float("nan"), low=float("nan"), high=float("nan"), n=0, target=target)
    exact = binomtest(k, n).proportion_ci(method="exact")
    low, high = _resampled(hits.astype(float), groups, np.mean)
    low, high = min(low, exact.low), max(high, exact.high)
    return Rate(measure=measure, value=k / n, low=float(low), high=float(high), n=n, target=target)


def _error(measure: str, errors: pd.Series, groups: pd.Series) -> Rate:
    known = errors.abs().dropna() * 100
    if known.empty:
        return Rate(measure=measure, value=float("nan"), low=float("nan"), high=float("nan"), n=0, target="")
    low, high = _resampled(known, groups[known.index], np.median)
    return Rate(measure=measure, value=float(known.median()), low=low, high=high, n=len(known), target="<= 10")


def _auroc(used: pd.DataFrame, harmless: pd.DataFrame) -> Rate:
    measure, target = "AUROC of a mark, model level", ">= .97"
    if used.empty or harmless.empty:
        return Rate(measure=measure, value=float("nan"), low=float("nan"), high=float("nan"), n=0, target=target)
    both = pd.concat([used.assign(used=True), harmless.assign(used=False)], ignore_index=True)
    rng, draws = np.random.default_rng(0), []
    numbers = both["group"].unique()
    members = {g: both[both["group"] == g] for g in numbers}
    for _ in range(BOOTSTRAP // 4):
        drawn = pd.concat([members[g] for g in rng.choice(numbers, len(numbers))])
        if drawn["used"].nunique() == 2:
            draws.append(auc(*(drawn.loc[drawn["used"] == u, "score"].to_numpy(float) for u in (True, False))))
    low, high = np.quantile(draws, [0.025, 0.975])
    value = auc(used["score"].to_numpy(float), harmless["score"].to_numpy(float))
    return Rate(measure=measure, value=value, low=float(low), high=float(high), n=len(used), target=target)


def _resampled(values: pd.Series, groups: pd.Series, statistic: object) -> tuple[float, float]:
    """95 % interval of a statistic over resampled groups."""
    rng = np.random.default_rng(0)
    members = [v.to_numpy(float) for _, v in values.groupby(groups.to_numpy())]
    draws = [
        statistic(np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))]))  # type: ignore[operator]
        for _ in range(BOOTSTRAP)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)
