"""Results become the files of a run: CSV and parquet tables, the JSON summary and its schema."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.run.folder import FRAMES, PARTS, atomic
from pipeline.run.parquet import write_parquet
from pipeline.run.provenance import file_sha256
from pipeline.types import AuditError, Evidence, Findings, Results, Verdict

SCHEMA_VERSION = 1
PICTURE_FOLDERS = ("pictures", "maps", "edits")  # of the report

IMAGE_COLUMNS = (
    "model",
    "id",
    "path",
    "method",
    "class",
    "predicted",
    "correct",
    "target",
    "probability",
    "predicted_probability",
    "logit",
    "log_odds",
    "region_kind",
    "n_objects",
    "visible_fraction",
    "hole_fraction",
    "width",
    "height",
    "undefined",
)
TRIAL_COLUMNS = (
    "model",
    "intervention",
    "arm",
    "recipient",
    "donor",
    "recipient_class",
    "donor_class",
    "predicted",
    "stays",
    "probability_before",
    "probability_after",
    "logit_change",
    "tested",
    "place",
    "spot",
)


def images_table(results: Results) -> pd.DataFrame:
    """One row per model x image x method: what is known of the image, then one column per metric."""
    parts = []
    for f in results.findings:
        scores = f.observed.scores
        facts = f.observed.images.drop(
            columns=["boxes", "companions", "frame", "hotspots", "peak", "small_map"], errors="ignore"
        )
        own = [c for c in scores if c == "id" or c not in facts]
        joined = scores[own].merge(facts, on="id", how="right", validate="many_to_one")
        parts.append(joined.assign(model=f.observed.model))
    table = pd.concat(parts, ignore_index=True)
    known = [c for c in IMAGE_COLUMNS if c in table]
    return table[known + [c for c in table if c not in known]]


def trials_table(results: Results) -> pd.DataFrame:
    """One row per model x changed image; the scores of all classes stay out (they are for the signals)."""
    own = [c for c in TRIAL_COLUMNS if c != "model"]  # before copying: there is a column more for every class
    parts = [f.observed.trials[own].assign(model=f.observed.model) for f in results.findings]
    return pd.concat(parts, ignore_index=True)[list(TRIAL_COLUMNS)]


def findings_table(results: Results) -> pd.DataFrame:
    """One row per model x class x signal: every piece of evidence, those that decide and the leads."""
    rows = [_evidence_row(f.observed.model, e) for f in results.findings for e in f.evidence]
    return pd.DataFrame(rows)


def _evidence_row(model: str, e: Evidence) -> dict[str, object]:
    row: dict[str, object] = {"model": model, "signal": e.signal, "class": e.class_name}
    row |= {"estimate": e.estimate, "low": e.low, "high": e.high, "unit": e.unit, "p_value": e.p_value}
    row |= {"n": e.n, "n_others": e.n_others, "detectable": e.detectable}
    row |= {"decides": e.decides, "role": e.role, "carrier": e.carrier, "gate": e.gate, "version": e.version}
    details = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in e.details.items()}
    return row | {"details": json.dumps(json_ready(details), sort_keys=True)}


def write_tables(results: Results, classes: pd.DataFrame, folder: Path) -> None:
    """images.csv and .parquet, interventions.csv, classes.csv, findings.csv, errors.csv, and spike_in.csv if asked."""
    images = images_table(results)
    _csv(images, folder / "images.csv")
    write_parquet(images, folder / "images.parquet")
    _csv(trials_table(results), folder / "interventions.csv")
    _csv(classes, folder / "classes.csv")
    _csv(findings_table(results), folder / "findings.csv")
    _csv(results.problems, folder / "errors.csv")
    if results.spikes is not None:
        _csv(results.spikes, folder / "spike_in.csv")


def _csv(table: pd.DataFrame, path: Path) -> None:
    """Six significant digits, rows ended by \\n, missing values empty."""
    with atomic(path) as part:
        table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")


def write_summary(results: Results, folder: Path) -> None:
    """summary.json with its JSON Schema beside it; last, because it lists the hashes of the other files."""
    schema = resources.files("pipeline.run").joinpath("summary.schema.json").read_text(encoding="utf-8")
    _text(schema, folder / "summary.schema.json")
    _text(results.config, folder / "config.yaml")
    _text(_json(results.provenance), folder / "provenance.json")
    _text(_json(summary(results, folder)), folder / "summary.json")


def renew_artefacts(folder: Path) -> None:
    """Lists the files of a run anew in its summary.json, after its report was rendered again.

    Raises:
        AuditError: the run has no summary that can be read.
    """
    path = folder / "summary.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AuditError(f"{path} cannot be read ({error}); give the folder of a complete run") from error
    _text(_json(content | {"artefacts": _artefacts(folder)}), path)


def _artefacts(folder: Path) -> list[dict[str, object]]:
    """Every file with its size and hash; the thousands of pictures as one entry per folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in {"audit.log", "summary.json"})
    single, many = [], dict[str, list[Path]]()
    for path in files:
        parts = path.relative_to(folder).parts
        if parts[0] in (PARTS, FRAMES):  # they go when the run is complete
            continue
        if parts[0] == "report" and parts[1] in PICTURE_FOLDERS:
            many.setdefault(f"report/{parts[1]}", []).append(path)
        else:
            single.append({"path": "/".join(parts), "bytes": path.stat().st_size, "sha256": file_sha256(path)})
    return single + [_pictures(folder, name, paths) for name, paths in many.items()]


def _pictures(folder: Path, name: str, paths: Sequence[Path]) -> dict[str, object]:
    """`sha256` is that of the lines `<file's sha256>  <path>`, in the order of the paths, as sha256sum prints them."""
    lines = "".join(f"{file_sha256(p)}  {p.relative_to(folder).as_posix()}\n" for p in paths)
    size = sum(p.stat().st_size for p in paths)
    return {"path": name, "files": len(paths), "bytes": size, "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def summary(results: Results, folder: Path) -> dict[str, object]:
    """The content of summary.json (schema: run/summary.schema.json)."""
    model = results.findings[0].verdicts[0]
    return {
        "schema_version": SCHEMA_VERSION,
        "name": results.name,
        "run_id": results.run_id,
        "created": results.created,
        "verdict": {"state": model.state, "reason": model.reason},
        "gate": dict(results.gate),
        "counts": dict(results.counts),
        "models": [_model(f) for f in results.findings],
        "provenance": dict(results.provenance),
        "artefacts": _artefacts(folder),
    }


def _model(findings: Findings) -> dict[str, object]:
    whole, *classes = findings.verdicts
    return {
        "name": findings.observed.model,
        "accuracy": findings.accuracy,
        "images": len(findings.observed.images),
        "verdict": {"state": whole.state, "reason": whole.reason},
        "classes": [_class(v) for v in classes],
        "methods": [dict(m) for m in findings.methods],
    }


def _class(verdict: Verdict) -> dict[str, object]:
    numbers = ("signal", "estimate", "low", "high", "unit", "p_value", "n", "n_others", "detectable")
    keys = (*numbers, "decides", "role", "carrier", "gate", "version")
    return {
        "class": verdict.scope,
        "state": verdict.state,
        "reason": verdict.reason,
        "carried_by": [_carrier(e) for e in verdict.carried_by],
        "guards": list(verdict.guards),
        "evidence": [{k: getattr(e, k) for k in keys} | {"details": dict(e.details)} for e in verdict.evidence],
    }


def _carrier(e: Evidence) -> dict[str, object]:
    """What carries a class, and how strongly, in shares with a 95 % interval."""
    words = {"role": e.role, "carrier": e.carrier, "signal": e.signal}
    return words | {"strength": e.estimate, "low": e.low, "high": e.high}


def _json(value: object) -> str:
    return json.dumps(json_ready(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def json_ready(value: object) -> object:
    """JSON has no NaN: undefined becomes null. numpy scalars become Python's."""
    if isinstance(value, Mapping):
        return {str(k): json_ready(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(v) for v in value]
    if isinstance(value, np.generic):
        return json_ready(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _text(content: str, path: Path) -> None:
    with atomic(path) as part:
        part.write_text(content, encoding="utf-8")
