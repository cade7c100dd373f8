"""The company: which other annotated objects a class's recognition hangs on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.reading import detail
from pipeline.report.render import render
from pipeline.types import Evidence, Findings, Results


@dataclass(frozen=True, kw_only=True)
class CompanionsSection:
    """A row per class and category of other objects, by the difference that hiding them makes against the control.

    Only a row whose interval lies above 0 is told as a finding; these come first. The others are marked as not told
    apart from chance (or as below the control).
    """

    limit: int  # rows shown per model
    title: ClassVar[str] = "The company that objects keep"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        return render("companions.html", models=[self._model(f) for f in results.findings])

    def _model(self, findings: Findings) -> dict[str, object]:
        every = [e for e in findings.evidence if e.signal.startswith("companions:")]
        tested = [e for e in every if not math.isnan(e.estimate)]
        ranked = sorted(tested, key=lambda e: (e.low <= 0, -e.estimate))
        return {
            "findings": findings,
            "rows": [_row(e) for e in ranked[: self.limit]],
            "told": sum(e.low > 0 for e in tested),
            "tested": len(tested),
            "rest": max(len(tested) - self.limit, 0),
            "untested": len(every) - len(tested),
        }


def _row(e: Evidence) -> dict[str, object]:
    numbers = ("changed", "changed_elsewhere", "hidden_area", "control_area", "attribution_share", "area_share")
    apart = "yes" if e.low > 0 else "yes, less than elsewhere" if e.high < 0 else "not told apart"
    return {"evidence": e, "category": str(e.details["category"]), "apart": apart, **{n: detail(e, n) for n in numbers}}
