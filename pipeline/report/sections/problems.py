"""The problems: every image that was not audited, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.render import render
from pipeline.types import Results


@dataclass(frozen=True, kw_only=True)
class ProblemsSection:
    """The sum of audited, skipped and failed images, the reasons with their counts, and the first rows."""

    limit: int  # images listed; the rest is counted, and is in errors.csv
    title: ClassVar[str] = "Problems"

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError(f"`limit` must be 0 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        table = results.problems
        found = Counter(zip(table["status"], table["reason"], strict=True)) if len(table) else Counter()
        return render(
            "problems.html",
            counts={key: results.counts.get(key, 0) for key in ("total", "audited", "skipped", "failed")},
            reasons=[(status, reason, n) for (status, reason), n in found.most_common()],
            rows=table.head(self.limit).to_dict("records"),
            rest=max(len(table) - self.limit, 0),
        )
