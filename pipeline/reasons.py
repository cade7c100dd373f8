"""The sentences of the verdicts: numbers in words that a stranger can check."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.types import Evidence, State, Verdict

# Why a verdict was withheld, by the guard that spoke first.
GUARDS = {
    "not_compared": "there is nothing to compare it with: the interventions did not run, or there is one class only",
    "too_few_images": "it has only {n} images",
    "low_accuracy": "the model hardly recognises it, so there is little to explain",
    "huge_boxes": "its objects with their margin fill most of the frame, so little outside is left to test",
    "fills_disagree": "the ways of filling the hole disagree, so the effect may come from the fill",
    "annotation": (
        "most classes are still recognised with their objects removed, which speaks for annotations that miss parts of "
        "the objects rather than for shortcuts in all of them"
    ),
}


def shortcut(c: str, s2: Evidence, s1: Evidence, leads: Sequence[Evidence], *, two_classes: bool) -> str:
    """Both interventions fired."""
    text = (
        f"{_removal(c, s2)}, and {_percent(s1.details['flipped'])} of other objects are called {c!r} on the "
        f"surroundings of {c!r} images ({_percent(s1.details['flipped_neutral'])} on neutral ones){_where(leads)}."
    )
    if two_classes:
        text = text[:-1] + "; with two classes, what counts may as well be in the other class's surroundings."
    return text


def context(c: str, s2: Evidence, s1: Evidence | None, leads: Sequence[Evidence]) -> str:
    """Removal fired, the transplant did not."""
    moved = f", though other objects do not follow these surroundings ({_points(s1)})" if s1 else ""
    return f"{_removal(c, s2)}{moved}: the surroundings carry evidence for {c!r}{_where(leads)}."


def clear(c: str, s2: Evidence, s1: Evidence, delta: float) -> str:
    """Both intervals end below delta."""
    return (
        f"No reliance on the surroundings above {100 * delta:.0f} points: without its object, {c!r} is named "
        f"{_points(s2)} more often in its own images than in others, and its surroundings turn {_points(s1)} more of "
        f"other objects into {c!r} than neutral ones do."
    )


def inconclusive(c: str, guards: Sequence[str], s2: Evidence | None) -> str:
    """A guard spoke, or the data leave it open."""
    for guard, text in GUARDS.items():
        if guard in guards:
            return f"No verdict on {c!r}: {text.format(n=s2.n if s2 else 0)}."
    assert s2 is not None
    return (
        f"The data leave {c!r} open: without its object, it is named {_points(s2)} more often in its own images than "
        f"in others; {s2.n} images can show an excess of {100 * s2.detectable:.0f} points or more."
    )


def model_reason(state: State, classes: Sequence[Verdict]) -> str:
    """One sentence for the model, from the worst classes."""
    worst = [v for v in classes if v.state == state]
    names = ", ".join(repr(v.scope) for v in worst[:4]) + (f" and {len(worst) - 4} more" if len(worst) > 4 else "")
    if state == "CLEAR":
        return f"None of the {len(classes)} classes relies on what surrounds its objects beyond the margin of the test."
    if state == "INCONCLUSIVE":
        plain = sum(v.state == "CLEAR" for v in classes)
        return f"{len(worst)} of {len(classes)} classes stay open ({names}), {plain} are clear. {worst[0].reason}"
    largest = max(worst, key=lambda v: v.evidence[0].estimate)
    what = "uses a shortcut for" if state == "SHORTCUT" else "leans on the surroundings for"
    return f"The model {what} {names}. {largest.reason}"


def _removal(c: str, s2: Evidence) -> str:
    called, others = s2.details["called_without_object"], s2.details["others_called_without_object"]
    return (
        f"With the object removed, {_percent(called)} of {c!r} images are still called {c!r} "
        f"({_percent(others)} of other images are)"
    )


def _where(leads: Sequence[Evidence]) -> str:
    """The place where attribution gathers, from the method whose hotspot stands out most; a lead, and worded as one."""
    found = [e for e in leads if "place" in e.details]
    if not found:
        return ""
    best = max(found, key=_stands_out)
    if _stands_out(best) < 0.1 or float(best.details["share"]) < 2 * _share(best, "others_share"):
        return "; attribution points to no particular place"
    return (
        f"; outside the object, attribution gathers at the {best.details['place']} "
        f"({_percent(best.details['share'])} of it, {_percent(_share(best, 'others_share'))} in other classes)"
    )


def _stands_out(e: Evidence) -> float:
    return _share(e, "share") - _share(e, "others_share")


def _share(e: Evidence, key: str) -> float:
    """Classes without any attribution outside their objects have none in the hotspot either."""
    value = float(e.details[key])
    return 0.0 if math.isnan(value) else value


def _points(e: Evidence) -> str:
    estimate, low, high = (round(100 * value) for value in (e.estimate, e.low, e.high))
    return f"{estimate} {'point' if abs(estimate) == 1 else 'points'} [{low}, {high}]"


def _percent(value: float | str) -> str:
    return f"{100 * float(value):.0f} %"
