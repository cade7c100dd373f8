"""The sentences of the verdicts: what carries a class, how strongly, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.types import Evidence, Observed, State, Verdict

TOLD = 2  # pieces of evidence in a class's sentence; the others are in the table

# Why a verdict was withheld. The first that holds is told: those that forbid every verdict come first.
GUARDS = {
    "not_compared": "there is nothing to compare it with: the interventions did not run, or there is one class only",
    "not_tested": "it has only {n} image{s}, too few to be tested",
    "too_few_images": "it has only {n} images",
    "low_accuracy": "the model hardly recognises it, so there is little to explain",
    "huge_boxes": "the objects with their margin fill most of the frame in too many images, so little is left to test",
    "seams": "objects put on other images of their own class lose their name too often for the transplant to tell much",
    "fills_disagree": "the ways of filling the hole disagree, so the effect may come from the fill",
}


def of_class(
    c: str,
    state: State,
    carried: Sequence[Evidence],
    own: Sequence[Evidence],
    guards: Sequence[str],
    observed: Observed,
) -> str:
    """One class's verdict in a sentence."""
    if state == "CLEAR":
        return _clear(c, own)
    if state == "INCONCLUSIVE":
        return _inconclusive(c, own, guards, observed)
    first = carried[0]
    told = "; ".join(e.sentence for e in carried[:TOLD] if e.sentence)
    if state == "CONTEXT" and first.role == "removal":
        alone = f"What surrounds {c!r} says {c!r} by itself ({_points(first)}), but carries no other object with it"
        return _ended(f"{alone}: {told}")
    other = "; of two classes, what counts may as well be in the other one's images" if "two_classes" in guards else ""
    carries = "carry" if first.role == "surroundings" else "carries"
    return _ended(f"{_capital(first.carrier)} {carries} {c!r} by {_points(first)}: {told}{other}")


def of_model(state: State, worst: Sequence[Verdict], classes: Sequence[Verdict]) -> str:
    """One sentence for the model, from its worst classes, the first of which leads."""
    names = ", ".join(repr(v.scope) for v in worst[:4]) + (f" and {len(worst) - 4} more" if len(worst) > 4 else "")
    if state == "CLEAR":
        return f"None of the {len(worst)} classes relies on what surrounds its objects beyond the margin of the test."
    if state == "INCONCLUSIVE":
        plain = sum(v.state == "CLEAR" for v in classes)
        return f"{len(worst)} of {len(classes)} classes stay open ({names}), {plain} are clear. {worst[0].reason}"
    if state == "SHORTCUT":
        return f"The model uses a shortcut for {names}. {worst[0].reason}"
    return f"The model leans on the surroundings of {names}; no mark was found. {worst[0].reason}"


def pooled(counts: Sequence[tuple[int, int]], n_classes: int, delta: float) -> str:
    """The model is CLEAR although its classes are too small to be, each by itself.

    Args:
        counts: (called, of) without the object, and of objects on another class's surroundings.
    """
    (kept, images), (taken, trials) = counts
    return (
        f"All {n_classes} classes together rely on what surrounds their objects by less than {100 * delta:.0f} points, "
        f"though single classes have too few images to say so: {kept} of {images} images keep their name without their "
        f"object, and {taken} of {trials} objects take the name of the surroundings that they are put on."
    )


def next_step(verdict: Verdict) -> str:
    """What to do about a flagged class, by what carries it."""
    steps = [e.step for e in verdict.carried_by if e.step]
    if steps:
        return steps[0]
    return (
        f"Decide whether the model may use what usually surrounds {verdict.scope!r}. If it may, record that as "
        f"accepted; if not, train with {verdict.scope!r} on other surroundings too, and audit again."
    )


def _clear(c: str, own: Sequence[Evidence]) -> str:
    removal, around = (next((e for e in own if e.role == role), None) for role in ("removal", "surroundings"))
    assert removal is not None
    assert around is not None
    return (
        f"Nothing but the object carries {c!r}: without it, {c!r} is named {_points(removal)} more often in its own "
        f"images than in others, and its surroundings turn {_points(around)} more of other objects into {c!r} than "
        "neutral ones do; no place and no property carries it."
    )


def _inconclusive(c: str, own: Sequence[Evidence], guards: Sequence[str], observed: Observed) -> str:
    n = int((observed.images["class"] == c).sum())
    if "annotation" in guards:
        return _ended(f"No verdict on {c!r}: {observed.suspect[c]}; mend the annotation, and audit again")
    for guard, text in GUARDS.items():
        if guard in guards:
            return f"No verdict on {c!r}: {text.format(n=n, s='' if n == 1 else 's')}."
    known = [e for e in own if e.decides and np.isfinite(e.estimate)]
    around = [e for e in known if e.role in ("removal", "surroundings")] or known
    widest = max(around, key=lambda e: e.high)
    return (
        f"The data leave {c!r} open: {_what(widest)} may carry it by {_points(widest)}; {n} images can show "
        f"{100 * widest.detectable:.0f} points or more."
    )


def _what(e: Evidence) -> str:
    return e.carrier or "what surrounds it"


def _points(e: Evidence) -> str:
    estimate, low, high = (round(100 * value) for value in (e.estimate, e.low, e.high))
    return f"{estimate} {'point' if abs(estimate) == 1 else 'points'} [{low}, {high}]"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ended(text: str) -> str:
    return text if text.endswith(".") else text + "."
