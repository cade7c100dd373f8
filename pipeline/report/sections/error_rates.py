"""The error rates: how often verdicts like these were wrong where the truth was known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from pipeline.report.render import render
from pipeline.types import Results

REPORTED = ("detection", "noticed", "false alarms", "weak natural", "wrong class", "CLEAR", "hotspot")


@dataclass(frozen=True, kw_only=True)
class ErrorRatesSection:
    """The row of the benchmark that applies to this run's number of images, and the false-alarm rates.

    `table` is a file that `shortcut-audit calibrate` wrote; null takes the one that comes with the program.
    """

    table: str | None
    title: ClassVar[str] = "How often such verdicts are wrong"

    def __call__(self, results: Results) -> str:
        measured = _read(self.table)
        images = _images_per_class(results)
        n = nearest([row["n"] for row in measured["detection"]], images)
        return render(
            "error_rates.html",
            images=images,
            n=n,
            measured=measured,
            detection=[row for row in measured["detection"] if row["n"] == n and row["models"]],
            rates=[r for r in measured["rates"] if r["measure"].startswith(REPORTED)],
        )


def nearest(measured: Sequence[int], images: int) -> int | None:
    """The largest number of images per class, of those measured, that this run reaches; None where it reaches none."""
    reached = [n for n in measured if n <= images]
    return max(reached) if reached else None


def _images_per_class(results: Results) -> int:
    """The median over the audited classes of the first model."""
    tables = [f.observed.images for f in results.findings[:1] if not f.observed.images.empty]
    return int(tables[0]["class"].value_counts().median()) if tables else 0


def _read(table: str | None) -> Mapping[str, Any]:
    source = files("pipeline.report") / "error_rates.json" if table is None else Path(table)
    return dict(json.loads(source.read_text(encoding="utf-8")))
