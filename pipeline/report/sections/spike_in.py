"""Spike-in recovery: how small a known shortcut this audit finds in this model and these images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
from scipy.stats import binomtest

from pipeline.report.render import render
from pipeline.types import Results


@dataclass(frozen=True, kw_only=True)
class SpikeInSection:
    """The limit of detection in a sentence, and how often each strength and prevalence was found."""

    title: ClassVar[str] = "Would it have been found?"

    def __call__(self, results: Results) -> str:
        spikes = results.spikes
        if spikes is None or spikes.empty:
            return render("spike_in.html", cells=[], limit=None, images=0, trials=0)
        cells = detection_cells(spikes)
        found = [c for c in cells if c["detected"] == c["trials"]]
        limit = min(found, key=lambda c: (c["prevalence"], c["strength"]), default=None)
        return render(
            "spike_in.html", cells=cells, limit=limit, images=int(spikes["images"].median()), trials=len(spikes)
        )


def detection_cells(spikes: pd.DataFrame) -> list[dict[str, float]]:
    """Per strength and prevalence: trials, how many were found, the exact 95 % lower bound, and the mean effect."""
    cells = []
    for (strength, prevalence), group in spikes.groupby(["strength", "prevalence"]):
        k, n = int(group["detected"].sum()), len(group)
        cells.append(
            {
                "strength": float(str(strength)),
                "prevalence": float(str(prevalence)),
                "trials": n,
                "detected": k,
                "at_least": binomtest(k, n, alternative="greater").proportion_ci(0.95, method="exact").low,
                "gained": float(group["gained"].mean()),
            }
        )
    return cells
