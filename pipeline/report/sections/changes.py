"""The changes: what became of every class since the previous run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.report.change_tables import headline, shift_rows, status_counts
from pipeline.report.comparability import config_differences, warnings
from pipeline.report.comparison import Status, against
from pipeline.report.render import render
from pipeline.report.runs import read_run, run_of
from pipeline.types import AuditError, Results

LISTED: tuple[Status, ...] = ("new", "changed", "still", "fixed", "gone")
NAMED = 30  # classes that are listed per status; the rest is counted


@dataclass(frozen=True, kw_only=True)
class ChangesSection:
    """New, changed, still, fixed and gone; the largest differences with intervals; doubts first."""

    limit: int  # differences shown; the rest is counted
    title: ClassVar[str] = "What changed"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        if not results.earlier:
            return render("changes.html", found=None, reason="")
        try:
            baseline, run = read_run(Path(results.earlier[-1])), run_of(results)
        except AuditError as error:
            return render("changes.html", found=None, reason=str(error))
        found = against(baseline, run)
        rows, rest = shift_rows([found], self.limit)
        return render(
            "changes.html",
            found=found,
            baseline=baseline,
            link=sibling_report(results.earlier[-1]),
            headline=headline([found], baseline.run_id),
            warnings=warnings([baseline, run]),
            settings=len(config_differences([baseline, run])),
            statuses=status_counts(found.changes),
            groups=[(s, c[:NAMED], len(c[NAMED:])) for s in LISTED if (c := found.having(s))],
            rows=rows,
            rest=rest,
        )


def sibling_report(folder: str) -> str:
    """The path from one run's report to that of a run beside it."""
    return f"../../{Path(folder).resolve().name}/report/index.html"
