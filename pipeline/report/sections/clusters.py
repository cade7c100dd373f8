"""The clusters: groups of a class's images that the model explains differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.report import charts
from pipeline.report.reading import detail
from pipeline.report.render import percent, render
from pipeline.types import Evidence, Findings, Results


@dataclass(frozen=True, kw_only=True)
class ClustersSection:
    """Per class with more than one group: each group's size, outside share, mean map and typical images."""

    limit: int  # classes shown per model
    title: ClassVar[str] = "Groups of explanations"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        return render("clusters.html", models=[self._model(f) for f in results.findings])

    def _model(self, findings: Findings) -> dict[str, object]:
        found = [e for e in findings.evidence if e.signal == "attribution_clusters"]
        several = [e for e in found if e.estimate > 1]
        shown = [{"evidence": e, "groups": _groups(e)} for e in several[: self.limit]]
        return {"findings": findings, "tried": len(found), "classes": shown, "rest": len(several) - len(shown)}


def _groups(e: Evidence) -> list[dict[str, object]]:
    return [_group(e, i) for i in range(int(e.estimate))]


def _group(e: Evidence, i: int) -> dict[str, object]:
    mean = np.array([float(v) for v in str(e.details[f"mean_map:{i}"]).split()])
    side = int(np.sqrt(len(mean)))
    outside = detail(e, f"outside_share:{i}")
    label = f"Mean attribution outside the objects of group {i + 1} of {e.class_name}: {percent(outside)} lies outside"
    return {
        "size": int(detail(e, f"size:{i}")),
        "outside": outside,
        "exemplars": str(e.details[f"exemplars:{i}"]),
        "map": charts.heat_grid(mean.reshape(side, side), label=label, cells=side),
    }
