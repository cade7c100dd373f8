"""The company: which other annotated objects a class's recognition hangs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.reading import detail
from pipeline.report.render import render
from pipeline.types import Evidence, Findings, Results


@dataclass(frozen=True, kw_only=True)
class CompanionsSection:
    """A sentence and a row per class and category of other objects, the largest effects first."""

    limit: int  # rows shown per model
    title: ClassVar[str] = "The company that objects keep"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        return render("companions.html", models=[self._model(f) for f in results.findings])

    def _model(self, findings: Findings) -> dict[str, object]:
        rows = [_row(e) for e in findings.evidence if e.signal.startswith("companions:")]
        ranked = sorted(rows, key=lambda r: -float(str(r["changed"])))
        return {"findings": findings, "rows": ranked[: self.limit], "rest": max(len(ranked) - self.limit, 0)}


def _row(e: Evidence) -> dict[str, object]:
    numbers = ("changed", "changed_elsewhere", "attribution_share", "area_share")
    return {"evidence": e, "category": str(e.details["category"]), **{n: detail(e, n) for n in numbers}}
