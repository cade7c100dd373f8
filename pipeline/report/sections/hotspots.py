"""The hotspots: where each class's attribution outside its objects gathers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.report import charts
from pipeline.report.reading import class_verdicts
from pipeline.report.render import percent, render, words
from pipeline.types import Box, Findings, Results


@dataclass(frozen=True, kw_only=True)
class HotspotsSection:
    """Per class and method, the mean map outside the objects, with the window that stands out from other classes."""

    limit: int  # classes shown per model
    window: float  # side of the hotspot window, as a share of the frame's sides
    stands_out: float  # a window is marked when it holds this many times what it holds in the other classes
    title: ClassVar[str] = "Hotspots outside the objects"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")
        if not 0 < self.window < 1:
            raise ValueError(f"`window` must lie in (0, 1), got {self.window}")
        if not self.stands_out >= 1:
            raise ValueError(f"`stands_out` must be 1 or more, got {self.stands_out}")

    def __call__(self, results: Results) -> str:
        return render("hotspots.html", models=[self._model(f) for f in results.findings], densities=charts.DENSITIES)

    def _model(self, findings: Findings) -> dict[str, object]:
        observed = findings.observed
        judged = {v.scope: v for v in class_verdicts(findings)}
        ranked = [c for c in judged if c in observed.classes] or list(observed.classes)
        shown = ranked[: self.limit]
        totals = {m: np.nansum(maps, axis=0, dtype=float) for m, maps in observed.outside_maps.items()}
        rows = []
        for name in shown if totals else []:
            index = observed.classes.index(name)
            cells = [
                self._cell(method, name, *_own_and_usual(maps, index, totals[method]))
                for method, maps in observed.outside_maps.items()
            ]
            rows.append({"name": name, "verdict": judged.get(name), "maps": cells})
        return {
            "findings": findings,
            "rows": rows,
            "rest": len(ranked) - len(shown),
        }

    def _cell(self, method: str, name: str, own: np.ndarray, usual: np.ndarray) -> dict[str, object]:
        """One class's map under one method; `usual` is the mean of the other classes' maps."""
        box = strongest_window(own - usual, self.window)
        inside = (slice(int(box[1]), int(box[3])), slice(int(box[0]), int(box[2])))
        share, elsewhere = float(own[inside].sum()), float(usual[inside].sum())
        stands_out = share > self.stands_out * elsewhere
        found = (
            f"the frame holds {percent(share)} of all attribution, {percent(elsewhere)} in the other classes"
            if stands_out
            else "no window stands out"
        )
        return {
            "method": method,
            "grid": charts.heat_grid(
                own,
                window=box if stands_out else None,
                label=f"{words(method)}, mean attribution outside {name}: {found}",
            ),
            "share": share,
            "usual": elsewhere,
            "stands_out": stands_out,
        }


def _own_and_usual(maps: np.ndarray, index: int, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A class's map and the mean of the other classes' maps; an undefined value counts as no attribution.

    A class without others is compared with itself, so that nothing stands out.
    """
    own = np.nan_to_num(np.asarray(maps[index], dtype=float))
    return own, (total - own).clip(min=0) / (len(maps) - 1) if len(maps) > 1 else own


def strongest_window(values: np.ndarray, side: float) -> Box:
    """The window with the largest sum in `values` (H, W), as xyxy; `side` is its share of each of the frame's sides."""
    height, width = values.shape
    h, w = max(round(side * height), 1), max(round(side * width), 1)
    total = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    return float(x), float(y), float(x + w), float(y + h)
