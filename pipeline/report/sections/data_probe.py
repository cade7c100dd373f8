"""The data: whether trivial properties of the photographs tell the classes apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.reading import detail
from pipeline.report.render import render
from pipeline.types import Evidence, Results


@dataclass(frozen=True, kw_only=True)
class DataProbeSection:
    """A sentence on the most telling class, and a row per class; of the first model's images, which all share."""

    limit: int  # classes shown
    alpha: float  # p-values up to this are worth a sentence
    title: ClassVar[str] = "Are the data biased?"

    def __post_init__(self) -> None:
        if self.limit < 1 or not 0 < self.alpha < 1:
            raise ValueError(f"`limit` must be 1 or more and `alpha` in (0, 1), got {self.limit} and {self.alpha}")

    def __call__(self, results: Results) -> str:
        found = [e for f in results.findings[:1] for e in f.evidence if e.signal == "data_probe"]
        ranked = sorted(found, key=lambda e: -e.estimate)
        telling = [e for e in ranked if e.p_value <= self.alpha]
        return render(
            "data_probe.html",
            rows=[_row(e) for e in ranked[: self.limit]],
            rest=max(len(ranked) - self.limit, 0),
            telling=[_row(e) for e in telling[:3]],
        )


def _row(e: Evidence) -> dict[str, object]:
    return {"evidence": e, "alone": detail(e, "property_auroc"), **{k: str(e.details[k]) for k in _WORDS}}


_WORDS = ("property_words", "most_typical", "least_typical")
