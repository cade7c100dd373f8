"""Stored runs, read back from their folders' files alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import yaml

from pipeline.report.audited import AuditedModel, model_of
from pipeline.report.reading import dotted, model_verdict
from pipeline.run.classes import class_rows
from pipeline.run.tables import SCHEMA_VERSION
from pipeline.types import AuditError, Results, Verdict

RUN_ID = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{6}(?:-(\d+))?")
MOST_EARLIER = 30  # a page shows no more, and reading them costs the next run time
AGAIN = "copy it again, or run the audit again"
CLASS_COLUMNS = ("model", "class", "verdict", "n", "accuracy")
IMAGE_COLUMNS = ("model", "id", "class", "predicted", "correct")
_NO_IMAGES = pd.DataFrame(columns=list(IMAGE_COLUMNS))


@dataclass(frozen=True, kw_only=True)
class Run:
    """A complete run. `folder` is None for the one that is still being written.

    `classes`: the rows of classes.csv. `images`: of the audited model, one row per image, by id: class, predicted,
    correct. `config`: dotted key -> value. `provenance`: as in summary.json.
    """

    folder: Path | None
    name: str
    run_id: str
    created: str  # ISO 8601, UTC
    gate: Mapping[str, object]
    counts: Mapping[str, int]
    models: tuple[AuditedModel, ...]  # the audited model first, then its twin
    classes: pd.DataFrame
    images: pd.DataFrame
    config: Mapping[str, object]
    provenance: Mapping[str, object]

    @property
    def model(self) -> AuditedModel:
        """The audited model, which is what runs are compared by."""
        return self.models[0]

    @property
    def verdict(self) -> Verdict:
        """The audited model's."""
        return self.model.verdict


def read_run(folder: Path, *, images: bool = True) -> Run:
    """The run that lies in `folder`; a link such as `latest` is followed.

    Args:
        images: whether images.csv is read too, which takes time in a large run; without, `images` has no rows.

    Raises:
        AuditError: names the folder and the file that is missing, broken or of another version, and what to do.
    """
    folder = _run_folder(folder)
    summary = _summary(folder)
    try:
        models = tuple(model_of(m) for m in summary["models"])
        main = models[0].name
        return Run(
            folder=folder,
            name=str(summary["name"]),
            run_id=str(summary["run_id"]),
            created=str(summary["created"]),
            gate=dict(summary["gate"]),
            counts={str(k): int(v) for k, v in summary["counts"].items()},
            models=models,
            classes=_table(folder, "classes.csv", CLASS_COLUMNS, every=True),
            images=image_rows(_table(folder, "images.csv", IMAGE_COLUMNS) if images else _NO_IMAGES, main),
            config=_config(_text(folder, "config.yaml"), folder),
            provenance=dict(summary["provenance"]),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise AuditError(
            f"{folder / 'summary.json'} is not the summary of a run ({type(error).__name__}: {error}); "
            "run the audit again, or leave this run out"
        ) from error


def run_of(results: Results) -> Run:
    """The run that is just being written, in the shape of the stored ones.

    Raises:
        AuditError: nothing was audited, so there is nothing to compare.
    """
    if not results.findings:
        raise AuditError("nothing was audited, so there is nothing to compare")
    models = tuple(
        AuditedModel(
            name=f.observed.model,
            accuracy=f.accuracy,
            images=len(f.observed.images),
            verdict=model_verdict(f),
            classes=f.verdicts[1:],
            methods=f.methods,
        )
        for f in results.findings
    )
    main = results.findings[0].observed
    return Run(
        folder=None,
        name=results.name,
        run_id=results.run_id,
        created=results.created,
        gate=results.gate,
        counts=results.counts,
        models=models,
        classes=pd.concat([class_rows(f) for f in results.findings], ignore_index=True),
        images=image_rows(main.images.assign(model=main.model), main.model),
        config=_config(results.config, Path(results.run_id)),
        provenance=results.provenance,
    )


def image_rows(table: pd.DataFrame, model: str) -> pd.DataFrame:
    """One row per image of one model, by id, from a table with a row per image and method."""
    own = table[table["model"] == model].drop_duplicates("id").set_index("id")
    return own[["class", "predicted", "correct"]].assign(correct=own["correct"].astype(bool))


def earlier_runs(folder: Path, before: str) -> tuple[Path, ...]:
    """The complete runs in `folder` (which holds the runs of one name) that began before the run `before`.

    In the order in which they began, at most the last `MOST_EARLIER`; neither `.partial` ones nor the link `latest`.
    """
    if not folder.is_dir():
        return ()
    found = [p for p in folder.iterdir() if RUN_ID.fullmatch(p.name) and not p.is_symlink()]
    complete = sorted((p for p in found if (p / "summary.json").is_file()), key=lambda p: _began(p.name))
    return tuple(p for p in complete if _began(p.name) < _began(before))[-MOST_EARLIER:]


def _began(run_id: str) -> tuple[str, int, str]:
    """Sorts run ids by time; of the runs of one second the second is called `-2`."""
    match = RUN_ID.fullmatch(run_id)
    return (match[1], int(match[2] or 1), run_id) if match else (run_id, 1, run_id)


def _run_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise AuditError(f"{folder} is not a folder; give the folder of a run, <run.folder>/<run.name>/<run id>")
    folder = folder.resolve()
    if folder.name.endswith(".partial"):
        raise AuditError(f"{folder} has not ended, or it failed; read its audit.log, then wait for it or run it again")
    if not (folder / "summary.json").is_file():
        inside = sorted(p.parent.name for p in folder.glob("*/summary.json") if not p.parent.is_symlink())
        hint = f"it holds the runs {', '.join(inside[-3:])}: give one of them" if inside else "give the folder of a run"
        raise AuditError(f"{folder} is not a run: it has no summary.json; {hint}")
    return folder


def _present(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise AuditError(f"{folder} lacks {name}; copy the whole folder of the run, or run the audit again")
    return folder / name


def _text(folder: Path, name: str) -> str:
    try:
        return _present(folder, name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{folder / name} cannot be read ({error}); {AGAIN}") from error


def _summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    try:
        summary = json.loads(_text(folder, path.name))
    except json.JSONDecodeError as error:
        raise AuditError(f"{path} is not JSON ({error}); {AGAIN}") from None
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if version is None:
        raise AuditError(f"{path} has no schema_version, so it is not the summary of a run; give the folder of a run")
    if version != SCHEMA_VERSION:
        raise AuditError(
            f"{path} has schema_version {version!r}, and this version of shortcut-audit reads {SCHEMA_VERSION}; "
            "compare with the version that wrote it, or run the audit again"
        )
    return cast(dict[str, Any], summary)


def _table(folder: Path, name: str, columns: Sequence[str], *, every: bool = False) -> pd.DataFrame:
    """A CSV file. Names stay as they are written: a class `NA` is no missing value and an id `007` no number."""
    path = _present(folder, name)
    texts: dict[Any, Any] = {c: str for c in columns if c not in {"n", "accuracy", "correct"}}
    try:
        wanted = None if every else list(columns)
        table = pd.read_csv(path, usecols=wanted, dtype=texts, keep_default_na=False, na_values=[""], encoding="utf-8")
    except (OSError, ValueError) as error:  # what pandas raises for broken files is a ValueError
        raise AuditError(f"{path} cannot be read ({error}); {AGAIN}") from error
    if missing := [c for c in columns if c not in table]:
        raise AuditError(f"{path} has no column {', '.join(missing)}; run the audit again, or leave this run out")
    return table


def _config(text: str, folder: Path) -> dict[str, object]:
    try:
        return dict(dotted(yaml.safe_load(text)))
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise AuditError(f"{folder / 'config.yaml'} is not YAML ({where}); copy it again") from None
