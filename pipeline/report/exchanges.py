"""Before and after: the pictures that show best what carries a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pipeline.report import charts
from pipeline.report.reading import pair, pictures_of, place_of
from pipeline.report.render import words
from pipeline.types import Evidence, Findings, Results, Role, Verdict

SHOWN = 3  # pairs
# The interventions that move what a role of evidence is about, and those that show most of any class.
MOVING: Mapping[Role, tuple[str, ...]] = {
    "place": ("places", "own_places"),
    "property": ("low_level",),
    "companion": ("companions",),
    "removal": ("object_removed",),
}
ANY = ("outside_transplant", "object_removed")


def exchanges(results: Results, findings: Findings, verdict: Verdict) -> list[dict[str, object]]:
    """Pairs of an image and its changed copy, of what carries the class, else of the intervention that says most.

    Each with `overlay`, the frame of the place that was exchanged, and `change`, what was done in words.
    """
    shown = pictures_of(results, findings)
    if shown.empty:
        return []
    edits = shown[(shown["kind"] == "edit") & (shown["class"] == verdict.scope)]
    others = shown[shown["kind"] != "edit"]
    elsewhere = dict(zip(others["id"], others["picture"], strict=True))
    images = findings.observed.images
    before = dict(zip(images["id"], images["predicted"], strict=True))
    for intervention in _most_saying(verdict.carried_by):
        rows = edits[edits["intervention"] == intervention].to_dict("records")
        pairs = [_pair(r, before.get(r["id"]), elsewhere, findings.observed.frame, verdict) for r in rows]
        if any(p["hit"] for p in pairs):
            return sorted(pairs, key=lambda p: not p["hit"])[:SHOWN]
    return []


def _pair(
    edit: dict[Any, Any], before: str | None, elsewhere: Mapping[str, str], frame: tuple[int, int], verdict: Verdict
) -> dict[str, object]:
    given = next((e for e in verdict.carried_by if _moves(edit, e)), None)
    change = f"given {given.carrier} of {verdict.scope}" if given else words(edit["intervention"])
    return pair(edit, before, elsewhere) | {"overlay": framed(edit, frame), "change": change}


def framed(edit: Mapping[str, Any], frame: tuple[int, int]) -> Markup:
    """The frame of the place that was exchanged, for over a picture; nothing where none was."""
    box = edit.get("place")
    return charts.boxes_overlay([], frame, spot=tuple(box)) if isinstance(box, list | tuple) else Markup("")


def _most_saying(carried: Sequence[Evidence]) -> list[str]:
    """The interventions whose pictures may be shown, those of the strongest carrier first."""
    own = [name for e in carried for name in MOVING.get(e.role, ANY)]
    return list(dict.fromkeys([*own, *ANY]))


def _moves(edit: Mapping[str, Any], e: Evidence) -> bool:
    """Whether an edit moves the place or the property that a piece of evidence is about."""
    if e.role == "property":
        return bool(edit["intervention"] == "low_level" and e.signal == f"property:{edit['arm']}")
    fixed = "places" if place_of(e) else "own_places"
    return bool(e.role == "place" and edit["intervention"] == fixed)
