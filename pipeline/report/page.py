"""The report: results and sections become a folder that opens from disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup

from pipeline.report.pictures import colour_filter
from pipeline.report.reading import model_verdict
from pipeline.report.render import render
from pipeline.types import Results, Section, Verdict


@dataclass(frozen=True, kw_only=True)
class Part:
    """One section, rendered: its anchor, its heading, its HTML."""

    name: str
    title: str
    body: Markup


def write_page(results: Results, sections: Mapping[str, Section], folder: Path) -> Path:
    """Writes index.html and app.css into `folder`, where the pictures are already; returns the page's path.

    Sections come in the order of the mapping; its keys are their anchors.
    """
    # A section's HTML is escaped by its own template, so it is markup here.
    parts = [Part(name=n, title=s.title, body=Markup(s(results))) for n, s in sections.items()]
    nothing = Verdict(scope="model", state="INCONCLUSIVE", reason="Nothing was audited.")
    verdict = model_verdict(results.findings[0]) if results.findings else nothing
    html = render("page.html", results=results, parts=parts, verdict=verdict, colours=colour_filter())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.css").write_text((files("pipeline.report") / "static" / "app.css").read_text("utf-8"), "utf-8")
    page = folder / "index.html"
    # File names that are not valid unicode arrive as lone surrogates, which UTF-8 cannot hold.
    page.write_bytes(html.encode("utf-8", errors="backslashreplace"))
    return page
