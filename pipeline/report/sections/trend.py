"""The trend: verdicts, effects and accuracy over the runs of this audit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from markupsafe import Markup

from pipeline.report import charts
from pipeline.report.reading import FLAGGED, SEVERITY, subject
from pipeline.report.render import effect, percent, render, unit_words, words
from pipeline.report.runs import Run, read_run, run_of
from pipeline.report.sections.changes import sibling_report
from pipeline.report.shifts import proportion
from pipeline.types import AuditError, Evidence, Results

Point = tuple[float, float, float]  # estimate, low, high
NOTHING: Point = (math.nan, math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class TrendSection:
    """A small chart per quantity over the earlier runs and this one, then the same numbers as a table."""

    limit: int  # classes drawn: those that were flagged in any run, the most serious first; the rest is counted
    title: ClassVar[str] = "Trend"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        runs, links, broken = _history(results)
        if len(runs) < 2:
            return render("trend.html", runs=(), broken=broken)
        flagged = _flagged(runs)
        shown = flagged[: self.limit]
        return render(
            "trend.html",
            runs=list(zip(runs, links, strict=True)),
            broken=broken,
            accuracy=_accuracy(runs),
            classes=[_class(name, runs) for name in shown],
            rest=len(flagged) - len(shown),
        )


def _history(results: Results) -> tuple[list[Run], list[str], list[str]]:
    """The runs that can be read, this one last; the ways to their reports; why the others cannot be read."""
    runs, links, broken = [], [], []
    for folder in results.earlier:
        try:
            runs.append(read_run(Path(folder), images=False))
            links.append(sibling_report(folder))
        except AuditError as error:
            broken.append(str(error))
    if results.earlier and results.findings:
        runs.append(run_of(results))
        links.append("")
    return runs, links, broken


def _flagged(runs: Sequence[Run]) -> list[str]:
    """The classes that were flagged in any run; those that are worst in the latest run first."""
    ever = dict.fromkeys(v.scope for r in reversed(runs) for v in r.model.classes if v.state in FLAGGED)
    latest = {v.scope: SEVERITY.index(v.state) for v in runs[-1].model.classes}
    return sorted(ever, key=lambda name: latest.get(name, len(SEVERITY)))


def _accuracy(runs: Sequence[Run]) -> Markup:
    points = [proportion(_right(r), r.model.images) for r in runs]
    said = f"Accuracy from the first run to this one: {', '.join(percent(p[0], 1) for p in points)}"
    return charts.trend_line(points, domain=_domain(points, wide=True), label=said)


def _right(run: Run) -> int:
    """How many images the model got right; none where none was audited."""
    return round(run.model.accuracy * run.model.images) if run.model.images else 0


def _class(name: str, runs: Sequence[Run]) -> dict[str, object]:
    """Its verdicts, and one signal over all runs: what carried it most when it was last flagged, else the largest."""
    verdicts = [next((v for v in r.model.classes if v.scope == name), None) for r in runs]
    states = [v.state if v else "" for v in verdicts]
    said = f"{name}, verdicts from the first run to this one: {', '.join(s or 'not audited' for s in states)}"
    last = next(v for v in reversed(verdicts) if v and v.state in FLAGGED)
    known = [e for e in last.evidence if e.decides and math.isfinite(e.estimate)]
    row: dict[str, object] = {"name": name, "states": states, "marks": charts.verdict_marks(states, label=said)}
    if not known:
        return row | {"signal": "", "unit": "", "line": "", "points": [NOTHING] * len(runs)}
    largest = last.carried_by[0] if last.carried_by else max(known, key=lambda e: e.estimate)
    drawn = subject(largest)
    points = [_point([e for e in (v.evidence if v else ()) if subject(e) == drawn]) for v in verdicts]
    numbers = ", ".join(effect(p[0], largest.unit) for p in points)
    said = f"{name}, {words(drawn)} in {unit_words(largest.unit)}: {numbers}"
    line = charts.trend_line(points, domain=_domain(points), label=said)
    return row | {"signal": drawn, "unit": largest.unit, "line": line, "points": points}


def _point(evidence: Sequence[Evidence]) -> Point:
    return (evidence[0].estimate, evidence[0].low, evidence[0].high) if evidence else NOTHING


def _domain(points: Sequence[Point], *, wide: bool = False) -> charts.Domain:
    """From no effect (or from 0 to 1) to the largest number that is drawn."""
    numbers = [v for point in points for v in point if math.isfinite(v)]
    return min([0.0, *numbers]), max([1.0 if wide else 0.05, *numbers])
