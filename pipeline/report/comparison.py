"""Runs against the first of them: verdicts, effects, accuracy and images that changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pipeline.report.comparability import Difference, Warn, config_differences, provenance_differences, warnings
from pipeline.report.reading import FLAGGED, SEVERITY, subject
from pipeline.report.runs import Run
from pipeline.report.shifts import Shift, accuracy_shift, signal_shift
from pipeline.types import Evidence, State, Verdict

Status = Literal["new", "changed", "still", "fixed", "gone", "unchanged"]
Moved = Literal["newly wrong", "other class", "newly right"]
STATUSES: tuple[Status, ...] = ("new", "changed", "still", "fixed", "gone", "unchanged")  # what to look at first
MOVES: tuple[Moved, ...] = ("newly wrong", "other class", "newly right")


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
    hits = _hits(baseline), _hits(run)
    accuracy = {name: accuracy_shift(*(h.get(name, (0, 0)) for h in hits)) for name in {**new, **old}}
    changes = [_change(name, old.get(name), new.get(name), accuracy[name]) for name in accuracy]
    images, shared = _images(baseline, run, {v.scope for v in run.model.classes if v.state in FLAGGED})
    return Against(
        run=run,
        changes=tuple(sorted(changes, key=_importance)),
        accuracy=accuracy_shift(*((int(r.images["correct"].sum()), len(r.images)) for r in (baseline, run))),
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


def _change(name: str, before: Verdict | None, after: Verdict | None, accuracy: Shift) -> Change:
    old, new = _deciding(before), _deciding(after)
    return Change(
        class_name=name,
        status=status(before.state if before else None, after.state if after else None),
        before=before,
        after=after,
        accuracy=accuracy,
        shifts=tuple(signal_shift(s, old.get(s), new.get(s)) for s in {**new, **old}),
    )


def _deciding(verdict: Verdict | None) -> dict[str, Evidence]:
    return {subject(e): e for e in verdict.evidence if e.decides} if verdict else {}


def _hits(run: Run) -> dict[str, tuple[int, int]]:
    """Per class, how many images are right, of how many."""
    counts = run.images.groupby("class")["correct"].agg(["sum", "size"])
    return {str(c): (int(k), int(n)) for c, k, n in counts.itertuples()}


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
