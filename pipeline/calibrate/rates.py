"""Error rates: the measured cases judged, counted, and given intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import binomtest, mannwhitneyu

from pipeline.calibrate.cases import DEGRADED, HARMLESS
from pipeline.calibrate.judging import Measured, judged
from pipeline.judge import Judge
from pipeline.types import Verdict

STRONG, MODERATE, WEAK = 0.5, 0.2, 0.05  # reliance; below the last one the mark is not used
FLAGGED = ("SHORTCUT", "CONTEXT")
UNTRAINED = ("audit_only", "immune")  # marked in one class of the audited images alone
SEEN = 150  # images per class at which the targets are set
BOOTSTRAP = 2000
CURVE = ["n", "low_reliance", "high_reliance", "models", "detected", "noticed", "rate_low", "rate_high"]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One line of the table: `hits` of `n`, or a statistic with its bootstrap interval."""

    measure: str
    value: float
    low: float
    high: float
    n: int
    target: str  # "" where none was set


def size(reliance: float) -> str:
    """The words for how much a model uses a mark."""
    if reliance >= STRONG:
        return "strong"
    return "moderate" if reliance >= MODERATE else "weak" if reliance >= WEAK else "none"


def table(measured: Iterable[Measured], judge: Judge) -> pd.DataFrame:
    """One row per class of every case: what was true, what was said, and by how much.

    `score` is the effect of object removal plus the largest one of what carries the class to others.
    """
    rows = []
    for m in measured:
        case, verdicts = m["case"], judged(m, judge)
        for i, (c, verdict) in enumerate(zip(m["classes"], verdicts[1:], strict=True)):
            rows.append(
                {
                    **{k: case[k] for k in ("name", "arm", "kind", "network", "base", "prevalence", "preference")},
                    "n": case["images_per_class"],
                    "model_accuracy": m["accuracy"],
                    "reliance": m["truth"]["reliance"] if i == case["guilty"] else 0.0,
                    "model_reliance": m["truth"]["reliance"],
                    "guilty": case["arm"] == "planted" and i == case["guilty"],
                    "state": verdict.state,
                    "model_state": verdicts[0].state,
                    "guards": " ".join(verdict.guards),
                    "score": score(verdict),
                    "hotspot": (m["hotspot"] or {}).get("hotspot", np.nan),
                    "peak": (m["hotspot"] or {}).get("peak", np.nan),
                    **{f"baseline:{k}": np.nan if v is None else v for k, v in c["baselines"].items()},
                }
            )
    return pd.DataFrame(rows)


def score(verdict: Verdict) -> float:
    """One number for the ROC curve: the effect of removal, and the largest of the transplants' effects."""
    known = [e for e in verdict.evidence if e.decides and np.isfinite(e.estimate)]
    removal = max((e.estimate for e in known if e.role == "removal"), default=0.0)
    return removal + max((e.estimate for e in known if e.role != "removal"), default=0.0)


def models(classes: pd.DataFrame) -> pd.DataFrame:
    """One row per model: its worst class's score, whether the guilty class was named, whether another one was."""
    by_name = classes.groupby("name", sort=False)
    found = by_name.first().drop(columns=["reliance", "guilty", "state", "guards", "score"])
    guilty = classes[classes["guilty"]].set_index("name")["state"]
    flagged = classes[classes["state"].isin(FLAGGED) & ~classes["guilty"]].groupby("name").size()
    maxima = by_name[[c for c in map(str, classes) if c.startswith("baseline:") or c == "score"]].max()
    found[maxima.columns] = maxima
    return found.assign(
        guilty_state=guilty.reindex(found.index),
        blamed=flagged.reindex(found.index).fillna(0).astype(int),
        size=[size(r) if a == "planted" else "" for r, a in zip(found["model_reliance"], found["arm"], strict=True)],
    )


def rates(classes: pd.DataFrame, development: Sequence[str], expected_misses: Sequence[str]) -> list[Rate]:
    """The table of the README; targets are those that were set before the benchmark was run."""
    every = models(classes)
    at = every[(every["n"] == SEEN) & ~every["kind"].isin(list(expected_misses))]
    own = classes[(classes["n"] == SEEN) & ~classes["kind"].isin(list(expected_misses))]
    used = at[at["size"].isin(["moderate", "strong"])]
    harmless = _harmless(at)
    held_out = [k for k in dict.fromkeys(used["kind"]) if k not in development]
    said = used["guilty_state"]
    bystanders = own[(own["arm"] == "planted") & ~own["guilty"]]
    local = used[used["hotspot"].notna()]
    hit = np.where(local["hotspot"] >= 0.3, True, local["peak"] >= 0.5)
    frequent = used[used["prevalence"] >= 0.2]
    found = [
        auroc("AUROC, model level, moderate + strong", used["score"], harmless["score"], ">= .98"),
        *(
            auroc(f"AUROC, {kind} (held out)", used.loc[used["kind"] == kind, "score"], harmless["score"], ">= .95")
            for kind in held_out
        ),
        share("detection, strong (SHORTCUT, right class)", said[used["size"] == "strong"] == "SHORTCUT", ">= .95"),
        share("detection, moderate (SHORTCUT, right class)", said[used["size"] == "moderate"] == "SHORTCUT", ">= .80"),
        share("noticed, strong (SHORTCUT or CONTEXT)", said[used["size"] == "strong"].isin(FLAGGED), ""),
        share("noticed, moderate (SHORTCUT or CONTEXT)", said[used["size"] == "moderate"].isin(FLAGGED), ""),
        share("false alarms, clean", _flagged(at, "clean"), "<= .01"),
        share("false alarms, salience trap", _flagged(at, "balanced"), "<= .02"),
        *(
            share(f"false alarms, {arm.replace('_', ' ')}", _flagged(at, arm), "")
            for arm in HARMLESS
            if arm not in ("clean", "balanced", "context")
        ),
        share(
            "flagged, marks never trained on that the model follows (reliance .05 or more)",
            at.loc[at["arm"].isin(UNTRAINED) & (at["model_reliance"] >= WEAK), "model_state"].isin(FLAGGED),
            "",
        ),
        share("false alarms, unaffected classes", bystanders["state"].isin(FLAGGED), "<= .03"),
        share(
            "false alarms, degraded annotation", at.loc[at["arm"].isin(DEGRADED), "model_state"].isin(FLAGGED), "<= .05"
        ),
        share(
            "weak natural context called SHORTCUT",
            at.loc[at["arm"] == "context", "model_state"] == "SHORTCUT",
            "<= .05",
        ),
        share("weak natural context called CONTEXT", at.loc[at["arm"] == "context", "model_state"] == "CONTEXT", ""),
        _blame(own),
        share("hotspot hits the mark, local kinds", pd.Series(hit), ">= .90"),
        share("INCONCLUSIVE, marked models", frequent["model_state"] == "INCONCLUSIVE", "<= .10"),
        share("CLEAR although used", said == "CLEAR", ""),
    ]
    return [r for r in found if r.n]


def share(measure: str, hits: pd.Series, target: str) -> Rate:
    """A proportion with its exact (Clopper-Pearson) interval."""
    n, k = len(hits), int(np.sum(hits.to_numpy(bool)))
    if not n:
        return Rate(measure=measure, value=float("nan"), low=float("nan"), high=float("nan"), n=0, target=target)
    interval = binomtest(k, n).proportion_ci(method="exact")
    return Rate(measure=measure, value=k / n, low=interval.low, high=interval.high, n=n, target=target)


def auroc(measure: str, positive: pd.Series, negative: pd.Series, target: str) -> Rate:
    """The area under the ROC curve, bootstrapped over models."""
    a, b = positive.dropna().to_numpy(float), negative.dropna().to_numpy(float)
    if not len(a) or not len(b):
        return Rate(measure=measure, value=float("nan"), low=float("nan"), high=float("nan"), n=0, target=target)
    rng = np.random.default_rng(0)
    draws = [auc(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(BOOTSTRAP)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Rate(measure=measure, value=auc(a, b), low=float(low), high=float(high), n=len(a), target=target)


def auc(a: np.ndarray, b: np.ndarray) -> float:
    return float(mannwhitneyu(a, b).statistic / (len(a) * len(b)))


def _harmless(at: pd.DataFrame) -> pd.DataFrame:
    """Truth is causal: a model that follows a mark which it never saw in training is not harmless, but no plant."""
    harmless = at["arm"].isin(HARMLESS) & (at["arm"] != "context")
    return at[harmless & ~(at["arm"].isin(UNTRAINED) & (at["model_reliance"] >= WEAK))]


def _flagged(at: pd.DataFrame, arm: str) -> pd.Series:
    harmless = _harmless(at)
    return harmless.loc[harmless["arm"] == arm, "model_state"].isin(FLAGGED)


def _blame(own: pd.DataFrame) -> Rate:
    """Of the accusations in marked models, those of a class that does not carry the mark."""
    accused = own[(own["arm"] == "planted") & own["state"].isin(FLAGGED) & (own["model_reliance"] >= WEAK)]
    return share("wrong class blamed, of class verdicts", ~accused["guilty"], "<= .05")


def baselines(classes: pd.DataFrame, expected_misses: Sequence[str]) -> list[Rate]:
    """How well simpler statistics tell used marks from harmless models, at model level (their worst class)."""
    every = models(classes)
    at = every[(every["n"] == SEEN) & ~every["kind"].isin(list(expected_misses))]
    used = at[at["size"].isin(["moderate", "strong"])]
    harmless = _harmless(at)
    columns = [c for c in map(str, at) if c.startswith("baseline:")]
    words = {c: c.removeprefix("baseline:").replace("_", " ").replace(":", ", ") for c in columns}
    found = [auroc(f"AUROC, {words[c]}", used[c], harmless[c], "") for c in columns]
    return [r for r in found if r.n]


def detection_curve(classes: pd.DataFrame, expected_misses: Sequence[str], edges: Sequence[float]) -> pd.DataFrame:
    """Share of models called SHORTCUT in the right class, by reliance and images per class, with exact intervals.

    The columns of `CURVE`; no row without a model.
    """
    every = models(classes)
    planted = every[(every["arm"] == "planted") & ~every["kind"].isin(list(expected_misses))]
    rows = []
    for n, group in planted.groupby("n"):
        for low, high in pairwise(edges):
            part = group[(group["model_reliance"] >= low) & (group["model_reliance"] < high)]
            if part.empty:
                continue
            rate = share("", part["guilty_state"] == "SHORTCUT", "")
            rows.append(
                {
                    "n": int(str(n)),
                    "low_reliance": low,
                    "high_reliance": high,
                    "models": len(part),
                    "detected": rate.value,
                    "noticed": float(part["guilty_state"].isin(FLAGGED).mean()),
                    "rate_low": rate.low,
                    "rate_high": rate.high,
                }
            )
    return pd.DataFrame(rows, columns=CURVE)
