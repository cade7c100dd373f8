"""The review: what people decided about findings and images, beside the verdict and never in its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import ClassVar

from pipeline.report.render import render
from pipeline.run.reviews import DECISIONS
from pipeline.types import Results


@dataclass(frozen=True, kw_only=True)
class ReviewSection:
    """Counts, notes, export and import; without a script, the reviews of earlier runs as a table."""

    title: ClassVar[str] = "Review"

    def __call__(self, results: Results) -> str:
        today = datetime.now(UTC).date()
        earlier = [{**r, "lapsed": _lapsed(r["expires"], today)} for r in results.reviews]
        return render("review.html", results=results, earlier=earlier, decisions=DECISIONS)


def _lapsed(expires: str, today: date) -> bool:
    return bool(expires) and date.fromisoformat(expires[:10]) < today
