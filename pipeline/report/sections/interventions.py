"""The interventions: what the model says when its images are changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from pipeline.report import charts
from pipeline.report.reading import FLAGGED, all_evidence, class_rows, class_verdicts, detail, pair, pictures_of
from pipeline.report.render import percent, render, words
from pipeline.types import Evidence, Findings, Results, Verdict

EDITED = ("edit", "detail")  # kinds of pictures of changed images
OWN_TABLE = ("targeted", "companions")  # whose arms are not comparable class by class; they have tables of their own


@dataclass(frozen=True, kw_only=True)
class InterventionsSection:
    """Per intervention a table of class by arm, and pairs of an image and its changed copy."""

    limit: int  # classes shown per model and intervention
    examples: int  # classes whose example edits are shown per model
    title: ClassVar[str] = "Interventions"

    def __post_init__(self) -> None:
        if self.limit < 1 or self.examples < 0:
            raise ValueError(f"`limit` must be 1 or more and `examples` 0 or more, got {self.limit}, {self.examples}")

    def __call__(self, results: Results) -> str:
        return render("interventions.html", models=[self._model(results, f) for f in results.findings])

    def _model(self, results: Results, findings: Findings) -> dict[str, object]:
        verdicts = class_verdicts(findings)
        ranked = [v.scope for v in verdicts] or list(findings.observed.classes)
        shown = ranked[: self.limit]
        images = findings.observed.images
        before = {} if images.empty else dict(zip(images["id"], images["predicted"], strict=True))
        return {
            "findings": findings,
            "tables": [
                _table(name, trials, shown)
                for name, trials in class_rows(findings.observed.trials, "intervention").items()
                if name not in OWN_TABLE
            ],
            "targeted": [
                _targeted(e) for e in all_evidence(findings) if e.signal == "targeted" and e.class_name in shown
            ],
            "examples": _examples(pictures_of(results, findings), before, verdicts[: self.examples]),
            "rest": len(ranked) - len(shown),
        }


def _targeted(e: Evidence) -> dict[str, object]:
    """C1 on one class: what moving its place does to other images, and taking it away to its own."""
    rates = ("flipped", "flipped_low", "flipped_high", "flipped_neutral", "flipped_elsewhere", "lost", "lost_own")
    place = str(e.details["place"]) if "place" in e.details else "each image's own peak"
    pixels = detail(e, "pixels")
    return {
        "class": e.class_name,
        "place": place,
        "pixels": None if math.isnan(pixels) else round(pixels),
        "tried": not math.isnan(e.estimate),
        **{r: detail(e, r) for r in rates},
    }


def _table(name: str, trials: pd.DataFrame, shown: list[str]) -> dict[str, object]:
    arms = list(class_rows(trials, "arm"))
    by_class = class_rows(trials, "recipient_class")
    by_donor = class_rows(
        trials[(trials["donor"] != "") & (trials["donor_class"] != trials["recipient_class"])], "donor_class"
    )
    return {
        "name": name,
        "arms": arms,
        "n": len(trials),
        "rows": [(c, [_cell(name, arm, c, by_class[c]) for arm in arms]) for c in shown if c in by_class],
        "pulls": [(c, *_pull(c, by_donor[c])) for c in shown if c in by_donor],
    }


def _cell(intervention: str, arm: str, class_name: str, trials: pd.DataFrame) -> dict[str, object] | None:
    rows = trials[trials["arm"] == arm]
    if rows.empty:
        return None
    stays, change = float(rows["stays"].mean()), float(rows["logit_change"].mean())
    label = f"{words(intervention)} ({words(arm)}), {class_name}: {percent(stays)} keep their prediction"
    return {"n": len(rows), "stays": stays, "change": change, "bar": charts.share_bar(stays, label=label)}


def _pull(donor_class: str, trials: pd.DataFrame) -> tuple[int, float, object]:
    """How many other-class objects were put on this class's surroundings, and the share that then got its name."""
    share = float((trials["predicted"] == donor_class).mean()) if len(trials) else math.nan
    label = f"{percent(share)} of other classes' objects on the surroundings of {donor_class} are named {donor_class}"
    return len(trials), share, charts.share_bar(share, label=label)


def _examples(
    pictures: pd.DataFrame, before: Mapping[str, str], verdicts: Sequence[Verdict]
) -> list[dict[str, object]]:
    """Per class and intervention its example edits, each beside the unchanged image where that has a picture."""
    if pictures.empty:
        return []
    edits, others = pictures[pictures["kind"] == "edit"], pictures[~pictures["kind"].isin(EDITED)]
    elsewhere = dict(zip(others["id"], others["picture"], strict=True))
    by_class = class_rows(edits)
    return [
        {
            "name": verdict.scope,
            "state": verdict.state,
            "flagged": verdict.state in FLAGGED,
            "intervention": intervention,
            "moved": bool((rows["donor"] != "").any()),
            "pairs": [pair(row, before.get(row["id"]), elsewhere) for row in rows.to_dict("records")],
        }
        for verdict in verdicts
        for intervention, rows in class_rows(by_class.get(verdict.scope, edits.iloc[:0]), "intervention").items()
    ]
