"""A comparison as tables: comparison.csv in long form, comparison.json in full."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pipeline.report.comparison import Against, Change, Comparison
from pipeline.report.runs import Run
from pipeline.report.shifts import Shift
from pipeline.run.folder import atomic

SCHEMA_VERSION = 1
COLUMNS = (
    "class", "model", "signal", "unit", "baseline", "run", "verdict_before", "verdict_after", "before", "after",
    "difference", "low", "high", "status", "missing",
)  # fmt: skip


def long_table(comparison: Comparison) -> pd.DataFrame:
    """One row per class x run after the baseline x deciding signal, and one for the class's accuracy."""
    rows = [
        (
            c.class_name, a.run.model.name, s.quantity, s.unit, comparison.baseline.run_id, a.run.run_id,
            c.before.state if c.before else "", c.after.state if c.after else "",
            s.before, s.after, s.difference, s.low, s.high, c.status, s.missing,
        )
        for a in comparison.against
        for c in a.changes
        for s in (*c.shifts, c.accuracy)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_files(comparison: Comparison, broken: Mapping[str, str], folder: Path) -> None:
    """comparison.csv (six digits, missing values empty) and comparison.json (undefined numbers are null)."""
    with atomic(folder / "comparison.csv") as part:
        long_table(comparison).to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    text = json.dumps(_clean(_document(comparison, broken)), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic(folder / "comparison.json") as part:
        # Names that are not valid unicode arrive as lone surrogates, which UTF-8 cannot hold.
        part.write_bytes((text + "\n").encode("utf-8", errors="backslashreplace"))


def _document(comparison: Comparison, broken: Mapping[str, str]) -> dict[str, object]:
    ids = [r.run_id for r in comparison.runs]
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [_run(r) for r in comparison.runs],
        "left_out": [{"folder": f, "reason": reason} for f, reason in broken.items()],
        "warnings": [{"sentence": w.sentence, "runs": [ids[i] for i in w.runs]} for w in comparison.warnings],
        "config": {d.key: list(d.values) for d in comparison.config},
        "provenance": {d.key: list(d.values) for d in comparison.provenance},
        "against": [_against(a) for a in comparison.against],
    }


def _run(run: Run) -> dict[str, object]:
    return {
        "folder": str(run.folder),
        "name": run.name,
        "run_id": run.run_id,
        "created": run.created,
        "gate": run.gate,
        "counts": run.counts,
        "models": [{"name": m.name, "accuracy": m.accuracy, "verdict": m.verdict.state} for m in run.models],
    }


def _against(a: Against) -> dict[str, object]:
    return {
        "run_id": a.run.run_id,
        "accuracy": _shift(a.accuracy),
        "classes": [_change(c) for c in a.changes],
        "images": {"in_both": a.shared, "changed": dict(a.moves), "rows": a.images.to_dict("records")},
    }


def _change(c: Change) -> dict[str, object]:
    return {
        "class": c.class_name,
        "status": c.status,
        "before": c.before.state if c.before else None,
        "after": c.after.state if c.after else None,
        "changes": [_shift(s) for s in (*c.shifts, c.accuracy)],
    }


def _shift(s: Shift) -> dict[str, object]:
    return asdict(s)


def _clean(value: object) -> object:
    """JSON has no NaN, and YAML's dates are no JSON."""
    if isinstance(value, Mapping):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
