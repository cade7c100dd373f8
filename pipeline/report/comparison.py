"""Runs against the first of them: verdicts, effects, accuracy and images that changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from scipy import stats

from pipeline.report.comparability import Difference, Warn, config_differences, provenance_differences, warnings
from pipeline.report.reading import FLAGGED, SEVERITY
from pipeline.report.runs import Run
from pipeline.types import Evidence, State, Verdict

Status = Literal["new", "changed", "still", "fixed", "gone", "unchanged"]
Moved = Literal["newly wrong", "other class", "newly right"]
STATUSES: tuple[Status, ...] = ("new", "changed", "still", "fixed", "gone", "unchanged")  # what to look at first
MOVES: tuple[Moved, ...] = ("newly wrong", "other class", "newly right")
ACCURACY = "accuracy"
NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One number in the baseline and now. `missing` says why there is no difference, or none with an interval."""

    quantity: str  # a deciding signal, or `accuracy`
    unit: str
    before: float
    after: float
    difference: float  # after minus before, in `unit`; NaN where one of them is undefined
    low: float  # 95 % interval of the difference
    high: float
    missing: str = ""

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out no difference at all."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """One class in the baseline and now; None where it was not audited."""

    class_name: str
    status: Status
    before: Verdict | None
    after: Verdict | None
    accuracy: Shift
    shifts: tuple[Shift, ...]  # one per deciding signal of either run


@dataclass(frozen=True, kw_only=True)
class Against:
    """One run against the baseline.

    `images`: the images audited in both whose prediction or correctness changed, the most important first. Columns:
    id, class, before, after (what was predicted), moved.
    """

    run: Run
    changes: tuple[Change, ...]  # the most important first
    accuracy: Shift
    shared: int  # images audited in both
    images: pd.DataFrame

    def having(self, status: Status) -> list[Change]:
        """The classes of one status."""
        return [c for c in self.changes if c.status == status]

    @property
    def moves(self) -> dict[Moved, int]:
        """How many images changed, and how."""
        found = Counter(self.images["moved"])
        return {move: found[move] for move in MOVES}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two or more runs; the first is the baseline."""

    runs: tuple[Run, ...]
    warnings: tuple[Warn, ...]
    config: tuple[Difference, ...]
    provenance: tuple[Difference, ...]
    classes: tuple[str, ...]  # of any run, the most serious first
    against: tuple[Against, ...]  # one per run after the first

    @property
    def baseline(self) -> Run:
        return self.runs[0]


def compare(runs: Sequence[Run]) -> Comparison:
    """The runs' audited models against the first run's. Raises ValueError for fewer than two runs."""
    if len(runs) < 2:
        raise ValueError(f"`runs` must be two or more, got {len(runs)}")
    return Comparison(
        runs=tuple(runs),
        warnings=warnings(runs),
        config=config_differences(runs),
        provenance=provenance_differences(runs),
        classes=_classes(runs),
        against=tuple(against(runs[0], run) for run in runs[1:]),
    )


def against(baseline: Run, run: Run) -> Against:
    """One run against the baseline."""
    old, new = ({v.scope: v for v in r.model.classes} for r in (baseline, run))
    changes = [_change(baseline, run, name, old.get(name), new.get(name)) for name in {**new, **old}]
    images, shared = _images(baseline, run, {v.scope for v in run.model.classes if v.state in FLAGGED})
    return Against(
        run=run,
        changes=tuple(sorted(changes, key=_importance)),
        accuracy=_accuracy(baseline.images["correct"], run.images["correct"]),
        shared=shared,
        images=images,
    )


def status(before: State | None, after: State | None) -> Status:
    """What became of a class; None where it was not audited. SHORTCUT and CONTEXT count as flagged.

    new: flagged, and was not. fixed: CLEAR, and was flagged. still: flagged as before. gone: audited no more.
    changed: any other verdict, also from SHORTCUT to CONTEXT, or audited only now. unchanged: the same, not flagged.
    """
    if after is None:
        return "gone"
    if before == after:
        return "still" if after in FLAGGED else "unchanged"
    if after in FLAGGED and before not in FLAGGED:
        return "new"
    return "fixed" if before in FLAGGED and after == "CLEAR" else "changed"


def mover(after: tuple[float, float, float], before: tuple[float, float, float]) -> tuple[float, float, float]:
    """Difference of two estimates and its 95 % interval, from (estimate, low, high) of each; NaN if anything is.

    The method of variance estimates recovery (Zou & Donner 2008, Statistics in Medicine 27:1693, equation 3): for
    d = a - b, low = d - sqrt((a - la)^2 + (ub - b)^2) and high = d + sqrt((ua - a)^2 + (b - lb)^2). It takes the two as
    independent, and is therefore conservative for runs that share images, whose errors go the same way.
    """
    (a, la, ua), (b, lb, ub) = after, before
    # An interval may miss its own estimate (a bootstrap's of a median does): no distance is then negative.
    below, above = max(a - la, 0.0), max(ua - a, 0.0)
    under, over = max(b - lb, 0.0), max(ub - b, 0.0)
    if not all(map(math.isfinite, (a, la, ua, b, lb, ub))):
        return a - b, NAN, NAN
    return a - b, a - b - math.hypot(below, over), a - b + math.hypot(above, under)


def proportion(hits: int, n: int) -> tuple[float, float, float]:
    """A share with its Wilson interval (95 %); NaN of nothing."""
    if n == 0:
        return NAN, NAN, NAN
    interval = stats.binomtest(hits, n).proportion_ci(method="wilson")
    return hits / n, float(interval.low), float(interval.high)


def _change(baseline: Run, run: Run, name: str, before: Verdict | None, after: Verdict | None) -> Change:
    old, new = _deciding(before), _deciding(after)
    correct = [r.images.loc[r.images["class"] == name, "correct"] for r in (baseline, run)]
    return Change(
        class_name=name,
        status=status(before.state if before else None, after.state if after else None),
        before=before,
        after=after,
        accuracy=_accuracy(*correct),
        shifts=tuple(_shift(s, old.get(s), new.get(s)) for s in {**new, **old}),
    )


def _deciding(verdict: Verdict | None) -> dict[str, Evidence]:
    return {e.signal: e for e in verdict.evidence if e.decides} if verdict else {}


def _shift(signal: str, before: Evidence | None, after: Evidence | None) -> Shift:
    known = after or before
    assert known is not None
    a, b = (e.estimate if e else NAN for e in (after, before))
    missing = _missing(before, after)
    difference, low, high = NAN, NAN, NAN
    if before and after and not missing:
        difference, low, high = mover((a, after.low, after.high), (b, before.low, before.high))
        missing = "" if math.isfinite(low) else "no interval in one of the runs"
    return Shift(
        quantity=signal, unit=known.unit, before=b, after=a, difference=difference, low=low, high=high, missing=missing
    )


def _missing(before: Evidence | None, after: Evidence | None) -> str:
    """Why two estimates have no difference; "" where they have one."""
    for when, e in (("in the baseline", before), ("in this run", after)):
        if e is None:
            return f"not tested {when}"
        if not math.isfinite(e.estimate):
            return f"{e.details.get('undefined') or 'undefined'} {when}"
    assert before is not None
    assert after is not None
    if before.unit != after.unit:
        return f"other units: {before.unit}, then {after.unit}"
    return "" if before.version == after.version else f"version {before.version}, then {after.version}"


def _accuracy(before: pd.Series, after: pd.Series) -> Shift:
    b, a = (proportion(int(c.sum()), len(c)) for c in (before, after))
    difference, low, high = mover(a, b)
    gone = [when for when, c in (("in the baseline", before), ("in this run", after)) if c.empty]
    missing = f"no image {gone[0]}" if gone else ""
    return Shift(
        quantity=ACCURACY, unit="share", before=b[0], after=a[0],
        difference=difference, low=low, high=high, missing=missing,
    )  # fmt: skip


def _importance(change: Change) -> tuple[int, int, float, str]:
    worst = SEVERITY.index(change.after.state) if change.after else len(SEVERITY)
    largest = max((abs(s.difference) for s in change.shifts if math.isfinite(s.difference)), default=0.0)
    return STATUSES.index(change.status), worst, -largest, change.class_name


def _images(baseline: Run, run: Run, flagged: set[str]) -> tuple[pd.DataFrame, int]:
    """The images that changed, and how many are in both: newly wrong first, and of these the flagged classes'."""
    both = baseline.images.add_suffix("_before").join(run.images.add_suffix("_after"), how="inner")
    was, now = both["correct_before"], both["correct_after"]
    moved = pd.Series("", index=both.index, dtype=object)
    moved[both["predicted_before"] != both["predicted_after"]] = "other class"
    moved[was & ~now] = "newly wrong"
    moved[~was & now] = "newly right"
    table = pd.DataFrame({
        "id": both.index, "class": both["class_after"], "before": both["predicted_before"],
        "after": both["predicted_after"], "moved": moved,
    })  # fmt: skip
    table = table[table["moved"] != ""].reset_index(drop=True)
    rank = table["moved"].map({m: 2 * i for i, m in enumerate(MOVES)}) - table["class"].isin(flagged)
    order = table.assign(rank=rank).sort_values(["rank", "class", "id"], kind="stable")
    return order.drop(columns="rank").reset_index(drop=True), len(both)


def _classes(runs: Sequence[Run]) -> tuple[str, ...]:
    """Every class once; those that were judged worst in any run first."""
    worst: dict[str, int] = {}
    for run in runs:
        for v in run.model.classes:
            worst[v.scope] = min(SEVERITY.index(v.state), worst.get(v.scope, len(SEVERITY)))
    return tuple(sorted(worst, key=lambda name: (worst[name], name)))
