"""The verdict: one word, one sentence, and the numbers behind them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.reading import SEVERITY, class_verdicts, deciding, drawn, model_verdict
from pipeline.report.render import render
from pipeline.types import Evidence, Findings, Results


@dataclass(frozen=True, kw_only=True)
class VerdictSection:
    """The model's verdict, large; the counts; and beside them the twin's verdict where there is a twin."""

    title: ClassVar[str] = "Verdict"

    def __call__(self, results: Results) -> str:
        return render(
            "verdict.html",
            results=results,
            models=[_summary(f) for f in results.findings],
            drawn=drawn(results)[0],
            left_out=results.counts.get("skipped", 0) + results.counts.get("failed", 0),
        )


def _summary(findings: Findings) -> dict[str, object]:
    states = Counter(v.state for v in findings.verdicts[1:])
    return {
        "name": findings.observed.model,
        "verdict": model_verdict(findings),
        "accuracy": findings.accuracy,
        "n_classes": len(findings.observed.classes),
        "n_outputs": findings.observed.n_outputs,
        "states": [(state, states[state]) for state in SEVERITY if states[state]],
        "worst": _worst(findings),
        "carried": any(v.carried_by for v in class_verdicts(findings)[:1]),
    }


def _worst(findings: Findings) -> Evidence | None:
    """What carries the most serious class, or where nothing does the first deciding signal's evidence on it."""
    ranked, signals = class_verdicts(findings), deciding(findings)
    if ranked and ranked[0].carried_by:
        return ranked[0].carried_by[0]
    if not ranked or not signals:
        return None
    found = (e for e in findings.evidence if e.signal == signals[0] and e.class_name == ranked[0].scope)
    return next(found, None)
