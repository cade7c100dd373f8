"""The methods: what explained the predictions, what was refused, and what the numbers mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.render import render
from pipeline.types import Results


@dataclass(frozen=True, kw_only=True)
class MethodsSection:
    """Every attribution method with its settings, the refused ones with the reason; then the definitions."""

    title: ClassVar[str] = "Methods and metrics"

    def __call__(self, results: Results) -> str:
        return render("methods.html", findings=results.findings)
