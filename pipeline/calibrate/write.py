"""The benchmark's results as files: the rates, the detection curve as table and figure, and every class measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from pipeline.calibrate.judging import Measured
from pipeline.calibrate.rates import SEEN, Rate, baselines, detection_curve, models, rates, table
from pipeline.judge import Judge
from pipeline.planted.plants import DEVELOPMENT

EXPECTED_MISSES = ("in_box",)  # nothing outside the objects can show them; counted apart
EDGES = (0.0, 0.05, 0.2, 0.35, 0.5, 0.7, 0.9, 1.01)  # of reliance


def write_rates(measured: Sequence[Measured], judge: Judge, folder: Path) -> list[str]:
    """Writes rates.csv, detection.csv, classes.csv, error_rates.json and detection.svg; returns lines to print."""
    classes = table(measured, judge)
    found = rates(classes, list(DEVELOPMENT), EXPECTED_MISSES)
    others = baselines(classes, EXPECTED_MISSES)
    curve = detection_curve(classes, EXPECTED_MISSES, EDGES)
    folder.mkdir(parents=True, exist_ok=True)
    classes.to_csv(folder / "classes.csv", index=False)
    columns = [f.name for f in fields(Rate)]
    pd.DataFrame([asdict(r) for r in (*found, *others)], columns=columns).to_csv(folder / "rates.csv", index=False)
    curve.to_csv(folder / "detection.csv", index=False)
    (folder / "error_rates.json").write_text(json.dumps(_shipped(classes, found, curve), indent=1) + "\n")
    _figure(curve, folder / "detection.svg")
    return [_line(r) for r in (*found, *others)] or [f"no rates: they are of models with {SEEN} images per class"]


def _shipped(classes: pd.DataFrame, found: Iterable[Rate], curve: pd.DataFrame) -> dict[str, object]:
    """What a report needs: the rates, and detection by reliance and images per class."""
    every = models(classes)
    return {
        "models": len(every),
        "planted": int((every["arm"] == "planted").sum()),
        "rates": [_rounded(asdict(r)) for r in found],
        "detection": [_rounded(row) for row in curve.to_dict("records")],
    }


def _rounded(row: dict) -> dict[str, object]:
    """Three digits are more than the models support; JSON has no NaN."""
    return {
        str(k): (None if np.isnan(v) else round(float(v), 3)) if isinstance(v, float | np.floating) else v
        for k, v in row.items()
    }


def _line(r: Rate) -> str:
    return f"{r.measure:<52} {r.value:6.3f} [{r.low:.3f}, {r.high:.3f}]  n = {r.n:<4} {r.target}"


def _figure(curve: pd.DataFrame, file: Path) -> None:
    """Detection probability against measured reliance, one line per number of images."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for n, own in curve.groupby("n"):
        middle = (own["low_reliance"] + own["high_reliance"].clip(upper=1)) / 2
        errors = np.clip([own["detected"] - own["rate_low"], own["rate_high"] - own["detected"]], 0, 1)
        axes.errorbar(middle, own["detected"], yerr=errors, marker="o", capsize=3, label=f"{n} images a class")
    axes.set(
        xlabel="measured reliance: predictions that change with the mark",
        ylabel="called SHORTCUT,\nthe right class",
        xlim=(0, 1),
        ylim=(-0.03, 1.03),
    )
    axes.grid(alpha=0.3)
    if len(curve):
        axes.legend(frameon=False)
    figure.savefig(file)
    plt.close(figure)
