"""The methods: what explained the predictions, what was refused, and what the numbers mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.render import render
from pipeline.types import Findings, Results


@dataclass(frozen=True, kw_only=True)
class MethodsSection:
    """Every attribution method with its settings, the refused ones with the reason; then the definitions."""

    title: ClassVar[str] = "Methods and metrics"

    def __call__(self, results: Results) -> str:
        return render("methods.html", models=[(f, _similarity(f)) for f in results.findings])


def _similarity(findings: Findings) -> dict[str, float]:
    """Per method, the mean rank correlation of its maps with those under random weights."""
    references = findings.observed.references
    if references is None:
        return {}
    rows = references[references["reference"] == "random_weights"]
    return {str(m): float(v) for m, v in rows.groupby("method")["similarity"].mean().items()}
