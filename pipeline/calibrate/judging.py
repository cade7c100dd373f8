"""Stored measurements judged again: the benchmark's table follows the rules of the verdict without a new run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.judge import Judge
from pipeline.types import Evidence, Observed, Verdict

Measured = Mapping[str, Any]  # one case, as pipeline.calibrate.measure wrote it


def read(files: Iterable[Path]) -> list[Measured]:
    """The measurements in these files."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def judged(measured: Measured, judge: Judge) -> tuple[Verdict, ...]:
    """The model's verdict and then its classes', from the evidence that was stored."""
    classes = measured["classes"]
    n = measured["case"]["images_per_class"]
    images = pd.concat([_images(c, n) for c in classes], ignore_index=True)
    observed = Observed(
        model=measured["case"]["name"],
        classes=tuple(c["class"] for c in classes),
        n_outputs=len(classes),
        frame=(0, 0),
        images=images,
        scores=pd.DataFrame(),
        trials=pd.DataFrame(),
        outside_maps={},
        suspect={c["class"]: c["suspect"] for c in classes if c.get("suspect")},
    )
    return judge(observed, [_evidence(e) for c in classes for e in c["evidence"]])


def _images(c: Mapping[str, Any], n: int) -> pd.DataFrame:
    """What the judge asks of a class's images: as noted, or n that are right as often as was noted."""
    correct = c["correct"] if "correct" in c else np.arange(n) < round(c["accuracy"] * n)
    return pd.DataFrame(
        {"class": c["class"], "correct": np.asarray(correct, bool), "hole_fraction": c["hole_fraction"]}
    )


def _evidence(note: Mapping[str, Any]) -> Evidence:
    """NaN became null in JSON."""
    values = {f.name: note[f.name] for f in fields(Evidence)}
    numbers = ("estimate", "low", "high", "p_value", "detectable", "gate", "floor")
    values |= {name: float("nan") if values[name] is None else values[name] for name in numbers}
    values["details"] = {k: float("nan") if v is None else v for k, v in note["details"].items()}
    return Evidence(**values)
