"""Spike-in recovery: how small a known shortcut this audit finds in this model and these images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
from scipy.stats import binomtest

from pipeline.report.render import render
from pipeline.types import Results

ERROR = 0.05  # of the one-sided lower bounds


@dataclass(frozen=True, kw_only=True)
class SpikeInSection:
    """The limit of detection in a sentence, and how often each strength and prevalence was found.

    A strength and prevalence is claimed to be found where the lower bound of its share exceeds `level`; the limit is
    the rarest one claimed, and of these the weakest.
    """

    level: float  # in (0, 1)
    title: ClassVar[str] = "Would it have been found?"

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"`level` must lie between 0 and 1, got {self.level}")

    def __call__(self, results: Results) -> str:
        spikes = results.spikes
        if spikes is None or spikes.empty:
            return render("spike_in.html", cells=[], asked=spikes is not None)
        cells = detection_cells(spikes)
        claimed = [c for c in cells if c["at_least"] > self.level]
        return render(
            "spike_in.html",
            cells=cells,
            limit=min(claimed, key=lambda c: (c["prevalence"], c["strength"]), default=None),
            images=int(spikes["images"].median()),
            trials=len(spikes),
            level=self.level,
            needed=trials_needed(self.level),
            most=max(c["trials"] for c in cells),
        )


def detection_cells(spikes: pd.DataFrame) -> list[dict[str, float]]:
    """Per strength and prevalence: trials, how many were found, and the mean effect.

    `at_least` is the exact (Clopper-Pearson) one-sided 95 % lower bound of the share found.
    """
    cells = []
    for (strength, prevalence), group in spikes.groupby(["strength", "prevalence"]):
        k, n = int(group["detected"].sum()), len(group)
        bound = binomtest(k, n, alternative="greater").proportion_ci(1 - ERROR, method="exact")
        cells.append(
            {
                "strength": float(str(strength)),
                "prevalence": float(str(prevalence)),
                "trials": n,
                "detected": k,
                "at_least": bound.low,
                "gained": float(group["gained"].mean()),
            }
        )
    return cells


def trials_needed(level: float) -> int:
    """The fewest trials that, all found, put the lower bound above `level`: of n of n trials it is ERROR ** (1 / n)."""
    return math.floor(math.log(ERROR) / math.log(level)) + 1
