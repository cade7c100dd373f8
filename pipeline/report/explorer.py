"""What the image explorer reads: every image of a run as columns, its trials in pieces that are fetched on demand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.places import PROBE, SEARCH, SEARCH_OWN
from pipeline.report.reading import carrying_place, detail
from pipeline.report.render import words
from pipeline.run.folder import atomic
from pipeline.types import Evidence, Findings, Results

SHARD = 500  # images whose trials lie in one file
STEPS = (SEARCH, SEARCH_OWN, PROBE)  # how the arms begin that only lead to a place: many, and not listed
SCORES = ("inside_share", "lift")  # per method, beside the facts
TRIAL = ["recipient", "donor", "intervention", "arm", "predicted", "probability_before", "probability_after"]


def write_data(results: Results, folder: Path) -> None:
    """Writes `data/` beside the page as classic scripts, the only neighbours that a page opened from disk may read.

    `data/images.js` holds the columns, which the page loads at once; `data/trials-<model>-<piece>.js` what was changed
    in SHARD images each, which it loads when one of them is opened.
    """
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    for model, piece, rows in trial_pieces(results):
        with atomic(data / f"trials-{model}-{piece}.js") as part:
            part.write_text(f"AUDIT.trials[{model}][{piece}] = {script(rows)};\n", encoding="utf-8")
    with atomic(data / "images.js") as part:
        part.write_text(f"window.AUDIT = {script(columns(results))};\n", encoding="utf-8")


def script(value: object) -> str:
    """A value as JavaScript that no reader of HTML can take for markup. Raises ValueError for NaN (see `rounded`)."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def columns(results: Results) -> dict[str, Any]:
    """The images in the order of the first model's table, a list per fact; names are numbers into `names`.

    Photographs and maps are listed for the images that have them, by row; `pieces` says which files of trials there
    are. Another model's facts about images that the first has not are left out.
    """
    names = _Names()
    images, row = _first(results)
    content = {
        "run": {"name": results.name, "id": results.run_id},
        "images": _images(images, names),
        "models": [_model(f, results, row, names) for f in results.findings],
        "shard": SHARD,
        "pieces": [sorted(set((_rows(_listed(f.observed.trials), row) // SHARD).tolist())) for f in results.findings],
        "trials": [{} for _ in results.findings],
        "reviews": [dict(r) for r in results.reviews],
    }
    return content | {"names": names.all}


def trial_pieces(results: Results) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Per model and SHARD rows: `names`, and row -> list of trials.

    A trial is [intervention, arm, donor's row or -1, said, before, after]; the last two are probabilities of the
    image's own class. The steps of a search are left out.
    """
    _, row = _first(results)
    for m, found in enumerate(results.findings):
        trials = _listed(found.observed.trials)
        rows = _rows(trials, row)
        if not len(rows):
            continue
        trials = trials[trials["recipient"].isin(row)]
        donors = trials["donor"].map(row).fillna(-1).to_numpy(int)
        for piece in np.unique(rows // SHARD):
            here = np.flatnonzero(rows // SHARD == piece)
            yield m, int(piece), _piece(trials.iloc[here], rows[here], donors[here])


def _first(results: Results) -> tuple[pd.DataFrame, dict[str, int]]:
    """The first model's images, whose order all others follow, and id -> row."""
    images = results.findings[0].observed.images if results.findings else pd.DataFrame()
    return images, {str(name): i for i, name in enumerate(images["id"])} if len(images) else {}


def _listed(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that are listed image by image, without the column that there is for every class."""
    return trials if trials.empty else trials.loc[~trials["arm"].str.startswith(STEPS), TRIAL]


def _rows(trials: pd.DataFrame, row: Mapping[str, int]) -> np.ndarray:
    """The rows of the recipients, where they are known."""
    if trials.empty:
        return np.empty(0, int)
    return trials["recipient"].map(row).dropna().to_numpy(int)


def _piece(trials: pd.DataFrame, rows: np.ndarray, donors: np.ndarray) -> dict[str, Any]:
    names = _Names()
    said = zip(
        names.of(trials["intervention"]),
        names.of(trials["arm"].map({arm: words(arm) for arm in trials["arm"].unique()})),
        donors.tolist(),
        names.of(trials["predicted"]),
        rounded(trials["probability_before"]),
        rounded(trials["probability_after"]),
        strict=True,
    )
    by_row: dict[str, list[Any]] = {}
    for r, trial in zip(rows.tolist(), said, strict=True):
        by_row.setdefault(str(r), []).append(list(trial))
    return {"names": names.all, "rows": by_row}


def _images(images: pd.DataFrame, names: _Names) -> dict[str, Any]:
    if images.empty:
        return {"id": [], "class": [], "area": [], "kind": [], "boxes": [], "size": []}
    return {
        "id": images["id"].astype(str).tolist(),
        "class": names.of(images["class"]),
        "area": rounded(images["area_fraction"]),
        "kind": names.of(images["region_kind"]),
        "size": [f"{w} × {h}" for w, h in zip(images["width"], images["height"], strict=True)],
        "boxes": [[[round(float(v), 1) for v in box] for box in boxes] for boxes in images["boxes"]],
    }


def _model(found: Findings, results: Results, row: Mapping[str, int], names: _Names) -> dict[str, Any]:
    seen = found.observed
    usable = [m["name"] for m in found.methods if m["status"] == "ok"]
    images = seen.images.set_index("id").reindex(list(row)) if len(seen.images) else pd.DataFrame()
    return {
        "name": seen.model,
        "frame": list(seen.frame),
        "methods": usable,
        "said": names.of(images["predicted"].fillna("not audited")) if len(images) else [],
        "probability": rounded(images["predicted_probability"]) if len(images) else [],
        "scores": _scores(seen.scores, row, usable),
        "changed": {name: _said(seen.trials, name, row, names) for name in ("object_removed", "object_only")},
        "pictures": _pictures(results, seen.model, row),
        "edits": _edits(results, seen.model, row),
        "hotspots": {v.scope: _place(e) for v in found.verdicts[1:] if (e := carrying_place(v))},
    }


def _scores(scores: pd.DataFrame, row: Mapping[str, int], methods: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """method -> score -> a number per image, null where undefined."""
    found: dict[str, dict[str, list[Any]]] = {}
    for method in methods:
        own = scores[scores["method"] == method].set_index("id") if len(scores) else pd.DataFrame()
        known = [s for s in SCORES if s in own]
        found[method] = {s: rounded(own[s].reindex(list(row))) for s in known}
    return found


def _said(trials: pd.DataFrame, intervention: str, row: Mapping[str, int], names: _Names) -> list[int]:
    """What the model said to each image's first copy so changed; -1 where none was made."""
    said = [-1] * len(row)
    if trials.empty:
        return said
    own = (trials["intervention"] == intervention) & trials["recipient"].isin(row)
    first = trials.loc[own, ["recipient", "predicted"]].drop_duplicates("recipient")
    for name, predicted in zip(first["recipient"], names.of(first["predicted"]), strict=True):
        said[row[name]] = predicted
    return said


def _pictures(results: Results, model: str, row: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """row -> photograph, mask where the region came from one, and method -> heat map."""
    found: dict[str, dict[str, Any]] = {}
    shown = results.pictures
    if not shown.empty:
        own = shown[(shown["model"] == model) & shown["kind"].isin(["telling", "control"]) & shown["id"].isin(row)]
        for p in own.to_dict("records"):
            found[str(row[p["id"]])] = {"photo": p["picture"], "mask": "", "heats": dict(p["heats"])}
    if results.album is not None and len(results.album):
        album = results.album
        for p in album[(album["model"] == model) & album["id"].isin(row)].to_dict("records"):
            found[str(row[p["id"]])] = {"photo": p["picture"], "mask": p["mask"], "heats": dict(p["heats"])}
    return found


def _edits(results: Results, model: str, row: Mapping[str, int]) -> dict[str, list[Any]]:
    """row -> list of [intervention, arm, donor's row or -1, picture]."""
    found: dict[str, list[Any]] = {}
    shown = results.pictures
    if shown.empty:
        return found
    own = shown[(shown["model"] == model) & shown["kind"].isin(["edit", "detail"]) & shown["id"].isin(row)]
    for p in own.drop_duplicates("picture").to_dict("records"):
        found.setdefault(str(row[p["id"]]), []).append(
            [p["intervention"], words(p["arm"]), row.get(p["donor"], -1), p["picture"]]
        )
    return found


def _place(e: Evidence) -> list[float]:
    return [round(detail(e, key), 1) for key in ("x0", "y0", "x1", "y1")]


def rounded(values: Iterable[float], digits: int = 3) -> list[float | None]:
    """Numbers for reading; undefined ones as None."""
    array = np.asarray(values, dtype=float)
    return [round(v, digits) if known else None for v, known in zip(array.tolist(), np.isfinite(array), strict=True)]


class _Names:
    """Each name once, in the order of its first use."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._number: dict[str, int] = {}

    def of(self, values: Iterable[object]) -> list[int]:
        return [self._one(str(v)) for v in values]

    def _one(self, name: str) -> int:
        if name not in self._number:
            self._number[name] = len(self.all)
            self.all.append(name)
        return self._number[name]
