"""The page of a comparison: stored runs become a folder that opens from disk."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pipeline.report.change_tables import headline, shift_rows, status_counts
from pipeline.report.comparability import origins
from pipeline.report.compare_files import write_files
from pipeline.report.comparison import Against, Comparison, compare
from pipeline.report.reading import FLAGGED
from pipeline.report.render import render
from pipeline.report.runs import Run, read_run
from pipeline.run.folder import atomic
from pipeline.types import AuditError

SHOWN_SHIFTS, SHOWN_CLASSES, SHOWN_IMAGES, SHOWN_SETTINGS = 40, 60, 50, 60
SAME = {"weights_sha256.model": "the weights", "dataset_sha256": "the images and annotations", "seed": "the seed"}


@dataclass(frozen=True, kw_only=True)
class CompareRuns:
    """Two or more runs, by their folders; the first is what the others are compared with."""

    runs: Sequence[str]
    folder: str | None = None  # None: compare-<first run id>-<last run id> beside the first run
    open: bool = False  # in the browser

    def __post_init__(self) -> None:
        if len(self.runs) < 2:
            raise ValueError(f"`runs` must name two or more folders of runs, got {len(self.runs)}")

    def __call__(self) -> Path:
        """Writes the comparison; returns its page.

        Raises:
            AuditError: fewer than two of the folders hold a run that can be read, each with its reason; or `folder`
                holds something else than a comparison.
        """
        runs, broken = read_runs([Path(r) for r in self.runs])
        if len(runs) < 2:
            reasons = "\n".join(f"  {reason}" for reason in broken.values())
            raise AuditError(f"`runs`: a comparison needs two runs, and {len(runs)} can be read:\n{reasons}")
        first = runs[0].folder
        assert first is not None
        beside = first.parent / f"compare-{runs[0].run_id}-{runs[-1].run_id}"
        return write_comparison(runs, Path(self.folder) if self.folder else beside, broken)


def read_runs(folders: Sequence[Path]) -> tuple[list[Run], dict[str, str]]:
    """The runs that can be read, and for each folder that is left out the reason."""
    runs: dict[Path, Run] = {}
    broken: dict[str, str] = {}
    for folder in folders:
        try:
            place = folder.resolve()
            if place in runs:
                broken[str(folder)] = f"{folder} is the same run as one before it"
            else:
                runs[place] = read_run(folder)
        except AuditError as error:
            broken[str(folder)] = str(error)
    return list(runs.values()), broken


def write_comparison(runs: Sequence[Run], folder: Path, broken: Mapping[str, str] | None = None) -> Path:
    """Writes index.html, app.css, comparison.csv and comparison.json into `folder`; returns the page's path.

    `broken`: folders that could not be read, with the reasons, which the page lists. An older comparison in `folder` is
    replaced.

    Raises:
        AuditError: `folder` holds something else, or cannot be written to.
    """
    if (
        folder.exists()
        and not (folder / "comparison.json").is_file()
        and (not folder.is_dir() or any(folder.iterdir()))
    ):
        raise AuditError(f"`folder`: {folder} is there and holds no comparison; give a folder that is not there yet")
    comparison, broken = compare(runs), broken or {}
    html = render("compare.html", **_page(comparison, broken, folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_files(comparison, broken, folder)
        (folder / "app.css").write_text((files("pipeline.report") / "static" / "app.css").read_text("utf-8"), "utf-8")
        with atomic(folder / "index.html") as part:
            # File names that are not valid unicode arrive as lone surrogates, which UTF-8 cannot hold.
            part.write_bytes(html.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise AuditError(f"`folder`: cannot write to {folder} ({error.strerror}); give another folder") from error
    return folder / "index.html"


def _page(comparison: Comparison, broken: Mapping[str, str], folder: Path) -> dict[str, object]:
    found = comparison.against
    rows, rest = shift_rows(found, SHOWN_SHIFTS)
    classes = _matrix(comparison)
    facts = [origins(r) for r in comparison.runs]
    same = [word for key, word in SAME.items() if facts[0].get(key) and len({str(f.get(key)) for f in facts}) == 1]
    return {
        "comparison": comparison,
        "broken": broken,
        "headline": headline(found, comparison.baseline.run_id),
        "overview": [_overview(comparison, i, folder) for i in range(len(comparison.runs))],
        "same": same,
        "differences": [
            ("Settings", comparison.config[:SHOWN_SETTINGS], len(comparison.config[SHOWN_SETTINGS:])),
            ("Origin", comparison.provenance[:SHOWN_SETTINGS], len(comparison.provenance[SHOWN_SETTINGS:])),
        ],
        "classes": classes[:SHOWN_CLASSES],
        "classes_rest": len(classes[SHOWN_CLASSES:]),
        "statuses": status_counts([c for a in found for c in a.changes]),
        "shifts": rows,
        "shifts_rest": rest,
        "images": [_images(a) for a in found],
    }


def _overview(comparison: Comparison, place: int, folder: Path) -> dict[str, object]:
    run = comparison.runs[place]
    return {
        "run": run,
        "link": report_link(run, folder),
        "flagged": [v.scope for v in run.model.classes if v.state in FLAGGED],
        "against": comparison.against[place - 1] if place else None,
    }


def report_link(run: Run, folder: Path) -> str:
    """The path from `folder` to the run's own report; "" where there is none, or no way to it."""
    if run.folder is None or not (run.folder / "report" / "index.html").is_file():
        return ""
    try:
        return Path(os.path.relpath(run.folder / "report" / "index.html", folder.resolve())).as_posix()
    except ValueError:  # another drive
        return ""


def _matrix(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Per class its verdict in every run ("" where it was not audited); those that differ between the runs first."""
    states = [{v.scope: v.state for v in r.model.classes} for r in comparison.runs]
    rows = [(name, [str(s.get(name, "")) for s in states]) for name in comparison.classes]
    return sorted(rows, key=lambda row: len(set(row[1])) == 1)


def _images(a: Against) -> dict[str, object]:
    shown = a.images.head(SHOWN_IMAGES)
    return {
        "against": a,
        "moves": a.moves,
        "rows": shown.to_dict("records"),
        "rest": len(a.images) - len(shown),
        "share": len(a.images) / a.shared if a.shared else math.nan,
    }
