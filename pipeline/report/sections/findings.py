"""The findings: each flagged class on a card, with what carries it, what speaks for and against it, and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pipeline import reasons
from pipeline.core.places import BAND
from pipeline.report import charts
from pipeline.report.exchanges import exchanges
from pipeline.report.reading import (
    FLAGGED,
    all_evidence,
    carrying_place,
    class_verdicts,
    detail,
    pictures_of,
    place_of,
)
from pipeline.report.render import percent, render, words
from pipeline.run.reviews import Review, fingerprint
from pipeline.types import Evidence, Findings, Results, Role, Verdict

KINDS: Mapping[Role, str] = {
    "place": "mark: a place",
    "property": "mark: a look of the whole picture",
    "surroundings": "surroundings",
    "removal": "surroundings",
    "companion": "company",
}
ANNOTATION = "annotation"  # the guard
SUSPECTS = 24  # ids that are listed per class; all are in images.csv


@dataclass(frozen=True, kw_only=True)
class FindingsSection:
    """Cards of the flagged classes, the most serious first: `pictures` exemplars and as many counter-examples each."""

    limit: int  # cards per model
    pictures: int
    title: ClassVar[str] = "Findings"

    def __post_init__(self) -> None:
        if self.limit < 1 or self.pictures < 1:
            raise ValueError(f"`limit` and `pictures` must be 1 or more, got {self.limit}, {self.pictures}")

    def __call__(self, results: Results) -> str:
        return render("findings.html", models=[self._model(results, f) for f in results.findings])

    def _model(self, results: Results, findings: Findings) -> dict[str, object]:
        verdicts = class_verdicts(findings)
        flagged = [v for v in verdicts if v.state in FLAGGED]
        suspected = [v for v in verdicts if ANNOTATION in v.guards]
        return {
            "findings": findings,
            "suspected": [self._suspected(results, findings, v) for v in suspected[: self.limit]],
            "suspected_rest": len(suspected) - len(suspected[: self.limit]),
            "cards": [self._card(results, findings, v) for v in flagged[: self.limit]],
            "rest": len(flagged) - len(flagged[: self.limit]),
            "n_classes": len(findings.observed.classes),
        }

    def _card(self, results: Results, findings: Findings, verdict: Verdict) -> dict[str, object]:
        c, model = verdict.scope, findings.observed.model
        evidence = [e for e in all_evidence(findings) if e.class_name == c]
        leads = [lead(e) for e in evidence if e.signal.startswith("attribution_lead")]
        best = max(leads, key=lambda x: _none_first(x["ahead"]), default=None)
        place = carrying_place(verdict)
        mark = fingerprint(model, c, verdict.state)
        shown, counter = self._images(results, findings, c, place)
        return {
            "verdict": verdict,
            "carriers": _carriers(verdict),
            "next_step": reasons.next_step(verdict),
            "tests": _tests([e for e in evidence if e.decides and not math.isnan(e.estimate)]),
            "leads": leads,
            "agree": _agree(leads),
            "map": _mean_map(findings, c, best, place),
            "place": "" if place is None else _placed(place),
            "band": place is not None and _is_band(place),
            "pairs": exchanges(results, findings, verdict),
            "shown": shown,
            "counter": counter,
            "counts": follows(findings.observed.trials, c),
            "review": {"fingerprint": mark, "model": model, "class": c, "state": verdict.state},
            "earlier": _earlier(results, mark),
        }

    def _images(
        self, results: Results, findings: Findings, c: str, place: Evidence | None
    ) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        """Images of the class that have pictures: those named so without their object, and the others."""
        named = _named_without(findings.observed.trials, c)
        spot = place_of(place)
        sides: dict[bool, list[dict[str, object]]] = {True: [], False: []}
        for picture in _with_pictures(results, findings, c):
            side = sides[named[picture["id"]]] if picture["id"] in named else []
            if len(side) < self.pictures:
                overlay = charts.boxes_overlay(picture["boxes"], findings.observed.frame, spot=spot)
                side.append({**picture, "overlay": overlay})
        return sides[True], sides[False]

    def _suspected(self, results: Results, findings: Findings, verdict: Verdict) -> dict[str, object]:
        """A class that is not judged because its boxes may be wrong: the sentence, and the images with their boxes."""
        c, seen = verdict.scope, findings.observed
        images = seen.images[seen.images["class"] == c]
        codes = images["suspect"].fillna("") if "suspect" in images else pd.Series("", index=images.index)
        suspects = dict(zip(images["id"][codes != ""], codes[codes != ""], strict=True))
        shown = [p for p in _with_pictures(results, findings, c) if p["id"] in suspects][: self.pictures]
        return {
            "class": c,
            "sentence": _sentence(seen.suspect.get(c, verdict.reason)),
            "ids": list(suspects.items())[:SUSPECTS],
            "rest": len(suspects) - len(list(suspects)[:SUSPECTS]),
            "shown": [{**p, "overlay": charts.boxes_overlay(p["boxes"], seen.frame)} for p in shown],
        }


def _carriers(verdict: Verdict) -> list[dict[str, object]]:
    """What carries the class, the strongest first, each thing once: surroundings may speak in several tests."""
    first: dict[str, Evidence] = {}
    for e in verdict.carried_by:
        first.setdefault(e.carrier, e)
    return [
        {"evidence": e, "words": _capital(e.carrier or words(e.signal)), "kind": KINDS[e.role]} for e in first.values()
    ]


def _placed(place: Evidence) -> str:
    """What the frame on the pictures is."""
    where = "around" if _is_band(place) else "in"
    return f"What carries the class, {place.carrier}, lies {where} the dashed frame."


def _is_band(place: Evidence) -> bool:
    return place.details.get("kind") == BAND


def _tests(deciding: list[Evidence]) -> list[dict[str, Any]]:
    """The evidence with what it had to pass, on one axis; NaN where the judge asked nothing of it."""
    numbers = [0.0, *(v for e in deciding for v in (e.low, e.high, e.estimate, detail(e, "gate")) if math.isfinite(v))]
    domain = min(numbers) - 0.03, max(numbers) + 0.03
    rows = []
    for e in deciding:
        gate = detail(e, "gate")
        asked = "" if math.isnan(gate) else f", gate {gate:.2f}"
        label = f"{words(e.signal)}: {e.estimate:.2f}, interval {e.low:.2f} to {e.high:.2f}{asked}"
        bar = charts.interval_bar(e.estimate, e.low, e.high, domain=domain, gate=gate, label=label)
        rows.append({"evidence": e, "gate": gate, "margin": e.estimate - gate, "bar": bar, "q": detail(e, "q")})
    return rows


def lead(e: Evidence) -> dict[str, Any]:
    """One method's lead on a class: where its attribution gathers, and how far ahead of the other classes'."""
    share, others = detail(e, "share"), detail(e, "others_share")
    return {
        "method": str(e.details.get("method", e.signal)),
        "inside": e.estimate,
        "lift": detail(e, "lift"),
        "place": str(e.details.get("place", "")),
        "share": share,
        "others": others,
        "ahead": share - (0.0 if math.isnan(others) else others),
        "box": place_of(e),
    }


def follows(trials: pd.DataFrame, c: str) -> tuple[int, int]:
    """How many of the class's images are named so without their object, and how many were tried."""
    named = _named_without(trials, c)
    return sum(named.values()), len(named)


def _named_without(trials: pd.DataFrame, c: str) -> dict[str, bool]:
    """Image -> whether the model still names the class in its first copy without the object."""
    if trials.empty:
        return {}
    own = trials[(trials["intervention"] == "object_removed") & (trials["recipient_class"] == c)]
    first = own.drop_duplicates("recipient")
    return dict(zip(first["recipient"], (first["predicted"] == c).tolist(), strict=True))


def _with_pictures(results: Results, findings: Findings, c: str) -> list[dict]:
    """The class's pictures with their maps: the telling ones first, then the controls, then what else was drawn."""
    shown = pictures_of(results, findings)
    rows: list[dict] = []
    if not shown.empty:
        own = shown[(shown["class"] == c) & shown["kind"].isin(["telling", "control"])]
        rows = own.sort_values("kind", ascending=False, kind="stable").to_dict("records")
    album = results.album
    if album is not None and len(album):
        images = findings.observed.images
        of_class = images[images["class"] == c].set_index("id")
        known = {r["id"] for r in rows}
        mine = album[(album["model"] == findings.observed.model) & album["id"].isin(of_class.index)]
        for r in mine[~mine["id"].isin(known)].to_dict("records"):
            image = of_class.loc[r["id"]]
            rows.append({**r, "boxes": image["boxes"], "predicted": image["predicted"]})
    height, width = findings.observed.frame
    return [{**r, "width": width, "height": height} for r in rows]


def _mean_map(
    findings: Findings, c: str, best: Mapping[str, Any] | None, place: Evidence | None
) -> dict[str, object] | None:
    """Where the leading method's attribution outside the objects lies, with the place that carries or the hotspot."""
    seen = findings.observed
    if best is None or best["method"] not in seen.outside_maps:
        return None
    own = np.nan_to_num(np.asarray(seen.outside_maps[best["method"]][seen.classes.index(c)], dtype=float))
    window = place_of(place) or best["box"]
    label = (
        f"{words(best['method'])}, mean attribution outside {c}: {percent(best['share'])} of it at the "
        f"{best['place'] or 'frame'}"
    )
    return {"method": best["method"], "grid": charts.heat_grid(own, window=window, label=label)}


def _agree(leads: list[dict[str, Any]]) -> tuple[str, int]:
    """The place that most methods name, and how many do; none of them counts that is not ahead of other classes."""
    places = [x["place"] for x in leads if x["place"] and x["ahead"] > 0]
    best = max(places, key=places.count, default="")
    return best, places.count(best)


def _earlier(results: Results, mark: str) -> dict[str, object] | None:
    """The review of this finding that was applied after an earlier run."""
    today = datetime.now(UTC).date()
    for r in results.reviews:
        if r["kind"] == "finding" and r["fingerprint"] == mark and r["decision"] != "unreviewed":
            review = Review(**{k if k != "class" else "class_": v for k, v in r.items()})
            return {**r, "lapsed": review.lapsed(today)}
    return None


def _sentence(text: str) -> str:
    return _capital(text) if text.endswith(".") else f"{_capital(text)}."


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _none_first(value: float) -> float:
    return -math.inf if math.isnan(value) else value
