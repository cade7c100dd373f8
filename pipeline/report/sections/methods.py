"""The methods: what explained the predictions, what was refused, what the numbers and the guards mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.render import render
from pipeline.types import Findings, Results

GUARDS = (  # of the judge, with what they withhold
    (
        "annotation",
        "Many of the class's boxes look wrong (turned, in another unit, of an odd size). Nothing is judged.",
    ),
    ("not_tested", "One or two images. The class is counted and not judged."),
    ("too_few_images", "Fewer images than a verdict needs. The class is not judged."),
    ("not_compared", "The interventions did not run, or there is no other class. The class is not judged."),
    ("low_accuracy", "The model hardly recognises the class. CONTEXT and CLEAR are withheld."),
    ("huge_boxes", "The objects with their margin fill most of the frame in too many images. CLEAR is withheld."),
    (
        "fills_disagree",
        "Not all ways of filling the hole show the effect. Removal counts for nothing, and CLEAR is withheld.",
    ),
    ("seams", "Objects lose their name on other images of their own class. CLEAR is withheld."),
    (
        "two_classes",
        "Of two classes, what makes one is what its lack makes of the other: it may lie in either's images.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class MethodsSection:
    """Every attribution method with its settings, the refused ones with the reason; then the definitions."""

    title: ClassVar[str] = "Methods and metrics"

    def __call__(self, results: Results) -> str:
        return render("methods.html", models=[(f, _similarity(f)) for f in results.findings], guards=GUARDS)


def _similarity(findings: Findings) -> dict[str, float]:
    """Per method, the mean rank correlation of its maps with those under random weights."""
    references = findings.observed.references
    if references is None:
        return {}
    rows = references[references["reference"] == "random_weights"]
    return {str(m): float(v) for m, v in rows.groupby("method")["similarity"].mean().items()}
