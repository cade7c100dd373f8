"""The interventions: what the model says when its images are changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from pipeline.report import charts
from pipeline.report.reading import FLAGGED, all_evidence, class_rows, class_verdicts, detail, pair, pictures_of
from pipeline.report.render import percent, render, words
from pipeline.types import Evidence, Findings, Results, Verdict

EDITED = ("edit", "detail")  # kinds of pictures of changed images
# Whose arms are not comparable class by class: they have tables of their own (controls are in what they control for).
OWN_TABLE = ("places", "own_places", "shared_layer", "hole_control", "companions")
MOVED = "outside_transplant"  # the intervention that puts objects on others' surroundings
# What of a donor is given, in the titles of the examples.
WHAT = {
    MOVED: "Surroundings of ",
    "places": "A place of ",
    "own_places": "A place of ",
    "low_level": "The look of ",
}
PLACE, PROPERTY = "place:", "property:"  # how the signals begin
AT_HOME = ("moved", "own_moved")  # arms of the transplant that leave an object on its own surroundings


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
            "places": _places(all_evidence(findings), verdicts[: self.limit]),
            "properties": _properties(all_evidence(findings), verdicts[: self.limit]),
            "examples": _examples(pictures_of(results, findings), before, verdicts[: self.examples]),
            "rest": len(ranked) - len(shown),
        }


def _places(evidence: Sequence[Evidence], verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    """A row per class and place: what it does to other classes' images, against the same place of their own class."""
    rows = []
    for verdict in verdicts:
        own = [e for e in evidence if e.class_name == verdict.scope and e.signal.startswith(PLACE)]
        rows += [
            {
                "class": verdict.scope,
                "first": i == 0,
                "span": len(own),
                "place": "a place that moves" if math.isnan(detail(e, "x0")) else str(e.details["place"]),
                "pixels": detail(e, "pixels"),
                "donors": str(e.details.get("donors", "")),
                "turned": detail(e, "flipped"),
                "control": detail(e, "flipped_control"),
                "carrying": detail(e, "carrying"),
                "carries": _speaks(e, verdict),
                "evidence": e,
            }
            for i, e in enumerate(own)
        ]
    return rows


def _properties(evidence: Sequence[Evidence], verdicts: Sequence[Verdict]) -> dict[str, object]:
    """A row per class, a column per property that was given to others' images."""
    found = {(e.class_name, e.signal): e for e in evidence if e.signal.startswith(PROPERTY)}
    signals = list(dict.fromkeys(signal for _, signal in found))
    rows = []
    for verdict in verdicts:
        cells = [found.get((verdict.scope, signal)) for signal in signals]
        rows.append((verdict.scope, [(e, e is not None and _speaks(e, verdict)) for e in cells]))
    names = [(words(signal).removeprefix("property: "), _is_lead(signal, found.values())) for signal in signals]
    return {"names": names, "rows": rows}


def _is_lead(signal: str, evidence: Iterable[Evidence]) -> bool:
    return not any(e.decides for e in evidence if e.signal == signal)


def _speaks(e: Evidence, verdict: Verdict) -> bool:
    """Whether it is among what carries the class."""
    return any(e.signal == carrier.signal for carrier in verdict.carried_by)


def _table(name: str, trials: pd.DataFrame, shown: list[str]) -> dict[str, object]:
    arms = list(class_rows(trials, "arm"))
    by_class = class_rows(trials, "recipient_class")
    given = trials[(trials["intervention"] == MOVED) & (trials["donor"] != "") & ~trials["arm"].isin(AT_HOME)]
    by_donor = class_rows(given[given["donor_class"] != given["recipient_class"]], "donor_class")
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
            "what": WHAT.get(intervention, "") if (rows["donor"] != "").any() else "",
            "pairs": [pair(row, before.get(row["id"]), elsewhere) for row in rows.to_dict("records")],
        }
        for verdict in verdicts
        for intervention, rows in class_rows(by_class.get(verdict.scope, edits.iloc[:0]), "intervention").items()
    ]
