"""The sentences of the verdicts: numbers in words that a stranger can check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipeline.types import Evidence, State, Verdict

OUTSIDE = ("outside_transplant", "outside_transplant_matched")
KEENEST = "outside_keenest"
NOTABLE = 0.05  # effects below this are not worth a clause

# Why a verdict was withheld, by the guard that spoke first.
GUARDS = {
    "not_compared": "there is nothing to compare it with: the interventions did not run, or there is one class only",
    "too_few_images": "it has only {n} images",
    "low_accuracy": "the model hardly recognises it, so there is little to explain",
    "huge_boxes": "its objects with their margin fill most of the frame, so little outside is left to test",
    "seams": "objects put on other images of their own class lose their name too often for the transplant to tell much",
    "fills_disagree": "the ways of filling the hole disagree, so the effect may come from the fill",
    "annotation": (
        "most classes are still recognised with their objects removed, which speaks for annotations that miss parts of "
        "the objects rather than for shortcuts in all of them"
    ),
}


def shortcut(c: str, own: Mapping[str, Evidence], speaks: str, leads: Sequence[Evidence], *, two_classes: bool) -> str:
    """What carries the class from image to image; `speaks` is the transplant with the largest effect."""
    removal = own["removed_excess"]
    parts = [_removal(c, removal)] if removal.estimate >= NOTABLE else []
    if speaks == KEENEST:
        parts.append(_keenest(c, own[KEENEST]))
    outside = max((own[s] for s in OUTSIDE if s in own), key=lambda e: _number(e.estimate), default=None)
    if speaks in OUTSIDE or (speaks != KEENEST and outside is not None and outside.estimate >= NOTABLE):
        parts.append(_outside(c, own[speaks] if speaks in OUTSIDE else outside))  # type: ignore[arg-type]
    targeted = own.get("targeted")
    confirmed = targeted is not None and targeted.estimate >= NOTABLE and "place" in targeted.details
    if speaks == "targeted" or confirmed:
        parts.append(confirmation(c, own["targeted"]))
    if speaks == "low_level":
        parts.append(_low_level(c, own["low_level"]))
    text = f"{_joined(parts)}{'' if confirmed else _where(leads)}."
    if two_classes:
        text = text[:-1] + "; with two classes, what counts may as well be in the other class's surroundings."
    return text


def context(c: str, own: Mapping[str, Evidence], leads: Sequence[Evidence]) -> str:
    """Removal fired, no transplant did."""
    s1 = own.get("outside_transplant")
    moved = f", though other objects do not follow these surroundings ({_points(s1)})" if s1 else ""
    return f"{_removal(c, own['removed_excess'])}{moved}: the surroundings carry evidence for {c!r}{_where(leads)}."


def clear(c: str, own: Mapping[str, Evidence], delta: float) -> str:
    """The intervals end below delta."""
    s2, s1 = own["removed_excess"], own["outside_transplant"]
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


def next_step(verdict: Verdict) -> str:
    """What to do about a flagged class, by what carries it."""
    c, own = verdict.scope, {e.signal: e for e in verdict.evidence}
    if verdict.state == "CONTEXT":
        return (
            f"Decide whether the model may use what usually surrounds {c!r}. If it may, record that as accepted; if "
            f"not, train with {c!r} on other surroundings too, and audit again."
        )
    targeted, outside = own.get("targeted"), [own[s] for s in (*OUTSIDE, KEENEST) if s in own]
    if targeted is not None and targeted.estimate >= NOTABLE and "place" in targeted.details:
        return (
            f"Look at the framed place in the images below. If what is there does not belong to {c!r}, cut it off or "
            "cover it in every training image, or add images of other classes that carry it; train and audit again."
        )
    low_level = own.get("low_level")
    if low_level is not None and low_level.estimate >= max((e.estimate for e in outside), default=0.0):
        kind = low_level.details.get("kind", "image properties")
        return (
            f"Compare how {c!r} and the other classes were recorded: {kind} tells them apart. Even it out or "
            "vary it at random in training, and audit again."
        )
    return (
        f"What counts lies around the objects, in no single place. Add images of {c!r} on other surroundings and of "
        "other classes on these, or exchange surroundings at random in training; audit again."
    )


def _removal(c: str, s2: Evidence) -> str:
    called, others = s2.details["called_without_object"], s2.details["others_called_without_object"]
    return (
        f"With the object removed, {_percent(called)} of {c!r} images are still called {c!r} "
        f"({_percent(others)} of other images are)"
    )


def _outside(c: str, e: Evidence) -> str:
    return (
        f"{_percent(e.details['flipped'])} of other objects are called {c!r} on the surroundings of {c!r} images "
        f"({_percent(e.details['flipped_neutral'])} on neutral ones)"
    )


def _keenest(c: str, e: Evidence) -> str:
    return (
        f"on the surroundings that say {c!r} most ({_percent(e.details['share'])} of its images) "
        f"{_percent(e.details['flipped'])} of other objects are called {c!r} "
        f"({_percent(e.details['flipped_neutral'])} on those of other classes that do)"
    )


def confirmation(c: str, e: Evidence) -> str:
    """C1's sentence, without its first capital and its full stop."""
    d = e.details
    what = f"these {_number(d['pixels']):.0f} pixels ({d['place']})" if "place" in d else "the images' own peaks"
    interval = f"[{100 * _number(d['flipped_low']):.0f}, {100 * _number(d['flipped_high']):.0f}]"
    return (
        f"moving {what} turns {_percent(d['flipped'])} {interval} of other images into {c!r}, "
        f"the same pixels of other classes {_percent(d['flipped_neutral'])}"
    )


def _low_level(c: str, e: Evidence) -> str:
    return (
        f"{_percent(e.details['flipped'])} of other images turn into {c!r} when they take {e.details['kind']} from "
        f"the surroundings of {c!r} images ({_percent(e.details['flipped_neutral'])} from neutral ones)"
    )


def _joined(parts: Sequence[str]) -> str:
    """The parts as one sentence, its first letter large."""
    text = ", and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    return text[:1].upper() + text[1:]


def _number(value: float | str) -> float:
    """Undefined counts as nothing."""
    number = float(value)
    return 0.0 if math.isnan(number) else number


def _where(leads: Sequence[Evidence]) -> str:
    """The place where attribution gathers, from the method whose hotspot stands out most; a lead, and worded as one."""
    found = [e for e in leads if "place" in e.details and "share" in e.details]
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
