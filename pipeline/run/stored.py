"""Results on disk and back, exact enough that signals, judge and report run again without a model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.run.folder import atomic
from pipeline.run.parquet import write_parquet
from pipeline.run.tables import json_ready
from pipeline.types import AuditError, Evidence, Findings, Observed, Results, Verdict

STORED_VERSION = 3
FOLDER = "results"  # within the run's folder

# Columns that parquet has no type for are kept as JSON, small maps as bytes; these say what they were.
_AS_BEFORE: Mapping[str, Callable[[Any], Any]] = {
    "boxes": lambda v: [tuple(map(float, box)) for box in v],
    "hotspots": lambda v: [tuple(map(float, box)) for box in v],
    "companions": lambda v: tuple((str(name), tuple(map(float, box))) for name, box in v),
    "frame": tuple,
    "peak": tuple,
    "place": tuple,
    "small_map": lambda v: np.frombuffer(v, dtype="<f2").reshape(math.isqrt(len(v) // 2), -1),  # a square
    "heats": dict,
}
_TABLES = ("images", "scores", "trials", "references")  # of Observed
_SHARED = ("problems", "pictures", "spikes", "album")  # of Results
_BESIDE = ("reviews", "earlier")  # of Results: what other runs and people leave, read when a report is rendered
_OPTIONAL = ("references", "spikes", "album")  # None where they were not asked for


def store(results: Results, folder: Path) -> None:
    """Writes `results/` into a run's folder: parquet tables, maps as .npz, and findings.json."""
    own = folder / FOLDER
    own.mkdir()
    for name in _SHARED:
        _write_table(getattr(results, name), own / f"{name}.parquet")
    for i, found in enumerate(results.findings):
        for name in _TABLES:
            _write_table(getattr(found.observed, name), own / f"{i}-{name}.parquet")
        with atomic(own / f"{i}-outside_maps.npz") as part, part.open("wb") as file:
            maps: dict[str, Any] = {m: np.asarray(v, np.float32) for m, v in found.observed.outside_maps.items()}
            np.savez_compressed(file, **maps)
    left = {*_SHARED, *_BESIDE, "findings"}
    plain = {f.name: getattr(results, f.name) for f in fields(results) if f.name not in left}
    content = {"stored_version": STORED_VERSION} | plain | {"findings": [_plain(f) for f in results.findings]}
    with atomic(own / "findings.json") as part:
        part.write_text(json.dumps(json_ready(content), ensure_ascii=False, indent=1), encoding="utf-8")


def stored(folder: Path) -> Results:
    """What a run found, from its folder.

    Raises:
        AuditError: the folder is no complete run, or one that another version stored.
    """
    own = folder / FOLDER
    if folder.name.endswith(".partial"):
        raise AuditError(f"{folder} is a run that did not end; give the folder of a complete one")
    if not (own / "findings.json").is_file():
        raise AuditError(
            f"{folder} holds no stored results ({FOLDER}/findings.json); give the folder of a complete run"
        )
    try:
        content = json.loads((own / "findings.json").read_text(encoding="utf-8"))
        if content.pop("stored_version") != STORED_VERSION:
            raise AuditError(f"{own} was stored by another version of shortcut-audit; audit again to render it")
        findings = tuple(_found(i, plain, own) for i, plain in enumerate(content.pop("findings")))
        return Results(findings=findings, **_tables(own, "", _SHARED), **content)
    except AuditError:
        raise
    except Exception as error:  # a damaged archive fails in many ways
        why = f"{type(error).__name__}: {error}"
        raise AuditError(f"{own} cannot be read ({why}); it is damaged, audit again") from error


def _plain(found: Findings) -> dict[str, Any]:
    """All but the tables."""
    seen = found.observed
    return {
        "observed": {
            "model": seen.model,
            "classes": seen.classes,
            "n_outputs": seen.n_outputs,
            "frame": seen.frame,
            "suspect": dict(seen.suspect),
        },
        "evidence": [asdict(e) for e in found.evidence],
        "verdicts": [asdict(v) for v in found.verdicts],
        "accuracy": found.accuracy,
        "methods": [dict(m) for m in found.methods],
    }


def _found(i: int, plain: Mapping[str, Any], own: Path) -> Findings:
    seen = plain["observed"]
    with (own / f"{i}-outside_maps.npz").open("rb") as file, np.load(file, allow_pickle=False) as maps:
        outside = {m: maps[m] for m in maps.files}
    return Findings(
        observed=Observed(
            model=seen["model"],
            classes=tuple(seen["classes"]),
            n_outputs=seen["n_outputs"],
            frame=(seen["frame"][0], seen["frame"][1]),
            suspect=seen["suspect"],
            outside_maps=outside,
            **_tables(own, f"{i}-", _TABLES),
        ),
        evidence=tuple(_evidence(e) for e in plain["evidence"]),
        verdicts=tuple(_verdict(v) for v in plain["verdicts"]),
        accuracy=_number(plain["accuracy"]),
        methods=tuple(plain["methods"]),
    )


def _evidence(plain: Mapping[str, Any]) -> Evidence:
    details = {k: _number(v) if v is None else v for k, v in plain["details"].items()}
    return Evidence(**{k: _number(v) if v is None else v for k, v in plain.items()} | {"details": details})


def _verdict(plain: Mapping[str, Any]) -> Verdict:
    evidence = tuple(_evidence(e) for e in plain["evidence"])
    carried = tuple(_evidence(e) for e in plain["carried_by"])
    return Verdict(**{**plain, "guards": tuple(plain["guards"]), "evidence": evidence, "carried_by": carried})


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _write_table(table: pd.DataFrame | None, path: Path) -> None:
    """A table without columns, and a table that there is none of, leave no file."""
    if table is not None and len(table.columns):
        write_parquet(table, path, _storable)


def _storable(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as parquet has types for."""
    for c in rows.columns.intersection(list(_AS_BEFORE)):
        rows[c] = pd.Series([None if v is None else _kept(v) for v in rows[c]], index=rows.index, dtype=object)
    return rows


def _kept(value: Any) -> str | bytes:
    return value.astype("<f2").tobytes() if isinstance(value, np.ndarray) else json.dumps(value, default=_listed)


def _tables(own: Path, prefix: str, names: Iterable[str]) -> dict[str, Any]:
    found = {name: _read_table(own / f"{prefix}{name}.parquet") for name in names}
    return {n: pd.DataFrame() if t is None and n not in _OPTIONAL else t for n, t in found.items()}


def _read_table(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    table = pd.read_parquet(path)
    for c in table.columns.intersection(list(_AS_BEFORE)):
        read = [json.loads(v) if isinstance(v, str) else v for v in table[c]]
        values = [None if pd.api.types.is_scalar(v) and pd.isna(v) else _AS_BEFORE[str(c)](v) for v in read]
        table[c] = pd.Series(values, index=table.index, dtype=object)
    return table


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored")
