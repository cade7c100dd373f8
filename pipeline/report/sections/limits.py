"""The limits: what the verdicts mean, and what no audit of this kind can see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.render import render
from pipeline.types import Results


@dataclass(frozen=True, kw_only=True)
class LimitsSection:
    """The four verdicts in a sentence each, then the limits that hold for every audit."""

    title: ClassVar[str] = "Definitions and limits"

    def __call__(self, results: Results) -> str:
        return render("limits.html", used_boxes=_used_boxes(results))


def _used_boxes(results: Results) -> bool:
    """Whether any audited region came from a box rather than from a mask."""
    tables = [f.observed.images for f in results.findings]
    return any((table["region_kind"] == "box").any() for table in tables if not table.empty)
