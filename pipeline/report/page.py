"""The report: results and sections become a folder that opens from disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup

from pipeline.report.explorer import write_data
from pipeline.report.pictures import colour_filters
from pipeline.report.reading import model_verdict
from pipeline.report.render import render
from pipeline.run.folder import atomic
from pipeline.types import Results, Section, Verdict

SCRIPTS = ("data/images.js", "app.js")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One section, rendered: its anchor, its heading, its HTML."""

    name: str
    title: str
    body: Markup


def write_page(results: Results, sections: Mapping[str, Section], folder: Path) -> Path:
    """Writes index.html, its style, its script and its data into `folder`, where the pictures are already.

    Sections come in the order of the mapping; its keys are their anchors. Returns the page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"app.css": style()}
    if scripted(sections):
        write_data(results, folder)
        texts["app.js"] = application()
    texts["index.html"] = page_html(results, sections)
    for name, text in texts.items():
        with atomic(folder / name) as part:
            # File names that are not valid unicode arrive as lone surrogates, which UTF-8 cannot hold.
            part.write_bytes(text.encode("utf-8", errors="backslashreplace"))
    return folder / "index.html"


def scripted(sections: Iterable[str]) -> bool:
    """Whether a page of these sections has something for its script to do."""
    return bool({"images", "review"} & set(sections))


def page_html(results: Results, sections: Mapping[str, Section]) -> str:
    """The page; its scripts lie beside it and are loaded in order once it is there."""
    # A section's HTML is escaped by its own template, so it is markup here.
    parts = [Part(name=n, title=s.title, body=Markup(s(results))) for n, s in sections.items()]
    nothing = Verdict(scope="model", state="INCONCLUSIVE", reason="Nothing was audited.")
    verdict = model_verdict(results.findings[0]) if results.findings else nothing
    scripts = SCRIPTS if scripted(sections) else ()
    return render("page.html", results=results, parts=parts, verdict=verdict, colours=colour_filters(), scripts=scripts)


def style() -> str:
    """The page's style sheet."""
    return (files("pipeline.report") / "static" / "app.css").read_text(encoding="utf-8")


def application() -> str:
    """The page's script: the files of static/js in the order of their names."""
    folder = files("pipeline.report") / "static" / "js"
    sources = sorted((f for f in folder.iterdir() if f.name.endswith(".js")), key=lambda f: f.name)
    return "\n".join(f.read_text(encoding="utf-8") for f in sources)
