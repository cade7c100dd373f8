"""The image explorer: every image of the run, to filter, sort and open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.render import render
from pipeline.types import Results


@dataclass(frozen=True, kw_only=True)
class ImagesSection:
    """The frame that the page's script fills from `data/` (see explorer.py); without a script, what is missing."""

    title: ClassVar[str] = "All images"

    def __call__(self, results: Results) -> str:
        audited = len(results.findings[0].observed.images) if results.findings else 0
        shown = results.pictures
        drawn = set() if shown.empty else set(shown.loc[shown["kind"].isin(["telling", "control"]), "id"])
        chosen = len(drawn)
        if results.album is not None and len(results.album):
            drawn |= set(results.album["id"])
        return render("images.html", audited=audited, drawn=len(drawn), chosen=chosen)
