"""The distributions: how inside share and lift spread over each class's images, per method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.report import charts
from pipeline.report.reading import class_rows, class_verdicts
from pipeline.report.render import lift, percent, render, words
from pipeline.types import Findings, Results

LIFT_AXIS = (-3.0, 3.0)  # log2: an eighth of chance to eight times chance


@dataclass(frozen=True, kw_only=True)
class DistributionsSection:
    """Small multiples with their numbers beside them: a histogram per class, method and metric."""

    limit: int  # classes shown per model and method
    title: ClassVar[str] = "Where the attribution falls"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        return render("distributions.html", models=[self._model(f) for f in results.findings])

    def _model(self, findings: Findings) -> dict[str, object]:
        scores = findings.observed.scores
        ranked = [v.scope for v in class_verdicts(findings)] or list(findings.observed.classes)
        shown = ranked[: self.limit]
        areas = {
            name: float(rows["area_fraction"].median()) for name, rows in class_rows(findings.observed.images).items()
        }
        methods = class_rows(scores, "method") if {"inside_share", "lift"} <= set(scores.columns) else {}
        tables = []
        for method, rows in methods.items():
            by_class = class_rows(rows)
            rows_shown = [_row(c, by_class[c], areas.get(c, math.nan)) for c in shown if c in by_class]
            for row in rows_shown:
                row["references"] = _references(findings, str(row["name"]), method)
            tables.append((method, rows_shown))
        return {"findings": findings, "tables": tables, "rest": len(ranked) - len(shown)}


def _references(findings: Findings, name: str, method: str) -> list[tuple[str, str]]:
    """What the class's inside share is compared with, in words and numbers; empty where no references were made."""
    found = [e for e in findings.evidence if e.signal == f"attribution_lead:{method}" and e.class_name == name]
    details = found[0].details if found else {}
    named = {"own_sampled": "this model", "shuffled_boxes": "shuffled boxes", "random_weights": "random weights"}
    shown = [(text, percent(float(details[key]))) for key, text in named.items() if key in details]
    if "bank_n" in details:
        low, high = (percent(float(details[key])) for key in ("bank_low", "bank_high"))
        shown.append((f"bank of {float(details['bank_n']):.0f}", low if low == high else f"{low} to {high}"))
    return shown


def _row(name: str, scores: pd.DataFrame, area: float) -> dict[str, object]:
    share, ratio = scores["inside_share"].to_numpy(float), scores["lift"].to_numpy(float)
    middle_share, middle_lift = _middle(share), _middle(ratio)
    with np.errstate(divide="ignore"):
        log_lift = np.log2(np.where(ratio > 0, ratio, np.where(ratio == 0, 2.0 ** LIFT_AXIS[0], np.nan)))
    method = words(str(scores["method"].iloc[0]))
    return {
        "name": name,
        "n": int(np.isfinite(share).sum()),
        "undefined": int((~np.isfinite(share)).sum()),
        "area": area,
        "share": middle_share,
        "lift": middle_lift,
        "share_chart": charts.histogram(
            share,
            domain=(0.0, 1.0),
            median=middle_share[1],
            chance=area,
            label=f"Inside share of {method} on {name}: median {percent(middle_share[1])}, area {percent(area)}",
        ),
        "lift_chart": charts.histogram(
            log_lift,
            domain=LIFT_AXIS,
            median=math.log2(middle_lift[1]) if middle_lift[1] > 0 else math.nan,
            chance=0.0,
            label=f"Lift of {method} on {name}: median {lift(middle_lift[1])}, chance {lift(1.0)}",
        ),
    }


def _middle(values: np.ndarray) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of the finite values; NaN where there are none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return math.nan, math.nan, math.nan
    low, middle, high = np.quantile(finite, (0.25, 0.5, 0.75)).tolist()
    return low, middle, high
