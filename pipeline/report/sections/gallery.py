"""The gallery: for each class its most telling images, or a random few where nothing was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
from markupsafe import Markup

from pipeline.report import charts
from pipeline.report.reading import class_rows, class_verdicts, pictures_of
from pipeline.report.render import render
from pipeline.types import Findings, Results

WORDS = {
    "telling": "The most telling images",
    "control": "Drawn at random, as a control",
}

ALONE = ("object_removed", "object_only", "companions")  # interventions that take nothing from another image


@dataclass(frozen=True, kw_only=True)
class GallerySection:
    """Photographs with their boxes, the maps of every method beside them, and what the model said about them."""

    limit: int  # classes shown per model
    title: ClassVar[str] = "Telling images"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        return render("gallery.html", models=[self._model(results, f) for f in results.findings])

    def _model(self, results: Results, findings: Findings) -> dict[str, object]:
        pictures = pictures_of(results, findings)
        if not pictures.empty:
            pictures = pictures[pictures["kind"].isin(WORDS)]
        by_class, observed = class_rows(pictures), findings.observed
        judged = {v.scope: v for v in class_verdicts(findings)}
        ranked = [c for c in judged if c in by_class] or list(by_class)
        ids = set() if pictures.empty else set(pictures["id"])
        seen = _Seen(
            images=_with(observed.images, "id", ids).set_index("id") if ids else pd.DataFrame(),
            scores=class_rows(_with(observed.scores, "id", ids), "id"),
            trials=class_rows(_with(observed.trials, "recipient", ids), "recipient"),
        )
        groups = [
            {
                "name": name,
                "verdict": judged.get(name),
                "kinds": [
                    (WORDS[kind], [_card(row, seen) for row in rows.to_dict("records")])
                    for kind, rows in sorted(class_rows(by_class[name], "kind").items(), reverse=True)
                ],
            }
            for name in ranked[: self.limit]
        ]
        return {
            "findings": findings,
            "groups": groups,
            "n_shown": sum(len(by_class[c]) for c in ranked[: self.limit]),
            "n_images": len(observed.images),
            "rest": len(judged or observed.classes) - len(groups),
        }


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """The rows of the shown images, by image."""

    images: pd.DataFrame
    scores: dict[str, pd.DataFrame]
    trials: dict[str, pd.DataFrame]


def _with(table: pd.DataFrame, column: str, ids: set[str]) -> pd.DataFrame:
    return table if table.empty else table[table[column].isin(ids)]


def _card(picture: dict, seen: _Seen) -> dict[str, object]:
    """What one figure shows."""
    name = picture["id"]
    image = seen.images.loc[name] if name in seen.images.index else {}
    nothing = pd.DataFrame()
    scores = {row["method"]: row for row in seen.scores.get(name, nothing).to_dict("records")}
    trials = seen.trials.get(name, nothing)
    alone = trials if trials.empty else trials[trials["intervention"].isin(ALONE) & (trials["donor"] == "")]
    return {
        "picture": picture,
        "boxes": _boxes(picture),
        "path": image.get("path", ""),
        "predicted": image.get("predicted", picture["predicted"]),
        "probability": float(image.get("predicted_probability", math.nan)),
        "correct": bool(image.get("correct", False)),
        "maps": [
            {"method": m, "heat": heat, "score": scores.get(m, {"inside_share": math.nan, "lift": math.nan})}
            for m, heat in picture["heats"].items()
        ],
        "trials": alone.to_dict("records"),
    }


def _boxes(picture: dict) -> Markup:
    return charts.boxes_overlay(picture["boxes"], (picture["height"], picture["width"]))
