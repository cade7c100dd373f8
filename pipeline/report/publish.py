"""A run's report is written: the folder that opens from disk and, if asked for, the single file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.report.page import write_page
from pipeline.report.runs import earlier_runs
from pipeline.report.settings import ReportSettings
from pipeline.report.single import write_single
from pipeline.run.reviews import with_reviews
from pipeline.run.stored import stored
from pipeline.run.tables import renew_artefacts
from pipeline.types import Results, Section

log = logging.getLogger("pipeline")

SINGLE = "report.html"  # in the run's folder


def write_report(
    results: Results, sections: Mapping[str, Section], settings: ReportSettings, folder: Path, *, beside: Path
) -> Path:
    """Writes `report/` into a run's folder, where its pictures are, and `report.html` if it is asked for.

    Args:
        beside: the folder that the runs of this name share: reviews and earlier runs lie there.

    Returns:
        The page's path.

    Raises:
        AuditError: the reviews cannot be read, or the single file has no room.
    """
    earlier = tuple(str(p) for p in earlier_runs(beside, results.run_id))
    results = with_reviews(replace(results, earlier=earlier), beside)
    page = write_page(results, sections, folder / "report")
    # A file that was written before must not go on saying what no longer holds.
    if settings.single_file or (folder / SINGLE).is_file():
        budget = int(settings.budget_mb * 1e6)
        held, there = write_single(results, sections, folder / "report", folder / SINGLE, budget)
        log.info("%s holds %d of %d pictures in %.1f MB", SINGLE, held, there, (folder / SINGLE).stat().st_size / 1e6)
    return page


@dataclass(frozen=True, kw_only=True)
class RenderAgain:
    """`shortcut-audit report RUN`: the report of a complete run, from its stored results, without model or images."""

    folder: str  # of the run
    sections: Mapping[str, Section]
    report: ReportSettings

    def __call__(self) -> Path:
        """Returns the page's path.

        Raises:
            AuditError: `folder` is not a complete run's folder, or the single file has no room.
        """
        folder = Path(self.folder).resolve()
        results = stored(folder)
        try:
            return write_report(results, self.sections, self.report, folder, beside=folder.parent)
        finally:  # the page is written anew even where the single file has no room
            renew_artefacts(folder)
