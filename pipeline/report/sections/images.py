"""The image explorer: every image of the run, to filter, sort and open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.reading import drawn
from pipeline.report.render import render
from pipeline.types import Results


@dataclass(frozen=True, kw_only=True)
class ImagesSection:
    """The frame that the page's script fills from `data/` (see explorer.py); without a script, what is missing."""

    title: ClassVar[str] = "All images"

    def __call__(self, results: Results) -> str:
        audited = len(results.findings[0].observed.images) if results.findings else 0
        n, chosen = drawn(results)
        return render("images.html", audited=audited, drawn=n, chosen=chosen)
