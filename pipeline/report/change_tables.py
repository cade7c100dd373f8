"""A comparison as the sentences and rows that its pages show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report import charts
from pipeline.report.comparability import FEW
from pipeline.report.comparison import STATUSES, Against, Change, Status
from pipeline.report.reading import FLAGGED
from pipeline.report.render import SHARES, effect, unit_words, words
from pipeline.report.shifts import Shift

NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
MEANING: dict[Status, str] = {
    "new": "SHORTCUT or CONTEXT now, and neither before",
    "changed": "another verdict, or audited only now",
    "still": "SHORTCUT or CONTEXT, as before",
    "fixed": "CLEAR now, SHORTCUT or CONTEXT before",
    "gone": "audited before, and no more",
    "unchanged": "CLEAR or INCONCLUSIVE, as before",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of one class in the baseline and in one run, with its difference drawn."""

    run: int  # its place among the runs, 1 for the first after the baseline
    change: Change
    shift: Shift
    bar: Markup | None  # None where there is no difference


def headline(found: Sequence[Against], since: str) -> Markup:
    """What became of the classes, in a sentence per kind of change; names are set apart from the text around them."""
    if len(found) > 1:
        return _of_many(found, since)
    parts = []
    for classes, (one, many), what in _kinds(found[0], since):
        if classes:
            text = Markup("{} {}{}: {}")
            parts.append(text.format(_classes(classes), many if len(classes) > 1 else one, what, _list(classes)))
    if not parts:
        still = found[0].having("still")
        rest = Markup("; {} {} still flagged: {}").format(
            _classes(still).lower(), "is" if len(still) == 1 else "are", _list(still)
        )
        return Markup("No class changed its verdict since {}{}.").format(_name(since), rest if still else "")
    return Markup("; ").join([parts[0], *(p[0].lower() + p[1:] for p in parts[1:])]) + Markup(".")


def _kinds(run: Against, since: str) -> list[tuple[list[Change], tuple[str, str], Markup]]:
    """Each kind of change worth a clause: its classes, the verb for one and for many, and the rest of the words."""
    became = {s: [c for c in run.changes if _became(c, s)] for s in ("SHORTCUT", "CONTEXT")}
    other = [c for c in run.having("changed") if c.after and c.after.state not in FLAGGED]
    lost = [c for c in other if c.before and c.before.state in FLAGGED]
    fresh = [c for c in other if c.before is None]
    moved = [c for c in other if c not in lost and c not in fresh]
    was = ("is", "are")
    return [
        *((c, ("became", "became"), Markup(" {} since {}").format(s, _name(since))) for s, c in became.items()),
        (run.having("fixed"), was, Markup(" CLEAR and no longer flagged")),
        (lost, was, Markup(" no longer flagged, but INCONCLUSIVE")),
        (moved, ("changed", "changed"), Markup(" between CLEAR and INCONCLUSIVE")),
        (fresh, was, Markup(" audited for the first time")),
        (run.having("gone"), was, Markup(" no longer audited")),
    ]


def status_counts(changes: Sequence[Change]) -> list[tuple[Status, int, str]]:
    """Each status that occurs: how often, and what it means."""
    n = Counter(c.status for c in changes)
    return [(s, n[s], MEANING[s]) for s in STATUSES if n[s]]


def shift_rows(found: Sequence[Against], limit: int) -> tuple[list[Row], int]:
    """The largest changes first, and how many rows are left out.

    First what moved beyond its interval, in classes whose verdict changed, then in the others; then the rest, each by
    the size of the difference; what has none comes last.
    """
    every = [(i, c, s) for i, a in enumerate(found, start=1) for c in a.changes for s in (*c.shifts, c.accuracy)]
    every.sort(key=lambda t: _interest(t[1], t[2]))
    shown = every[:limit]
    domains = {kind: _domain([s for _, _, s in shown if _kind(s) == kind]) for kind in {_kind(s) for _, _, s in shown}}
    rows = [Row(run=i, change=c, shift=s, bar=_bar(s, domains[_kind(s)])) for i, c, s in shown]
    return rows, len(every) - len(shown)


def _interest(change: Change, shift: Shift) -> tuple[bool, bool, bool, float]:
    known = math.isfinite(shift.difference)
    same = change.status in {"still", "unchanged"}
    return not known, not shift.certain, same, -abs(shift.difference) if known else 0.0


def _kind(shift: Shift) -> str:
    """Shares have one axis; every other unit has its own."""
    return "share" if shift.unit.startswith(SHARES) else shift.unit


def _domain(shifts: Sequence[Shift]) -> charts.Domain:
    numbers = [v for s in shifts for v in (s.difference, s.low, s.high) if math.isfinite(v)]
    low, high = min([0.0, *numbers]), max([0.0, *numbers])
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def _bar(shift: Shift, domain: charts.Domain) -> Markup | None:
    if not math.isfinite(shift.difference):
        return None
    middle, low, high = (effect(v, shift.unit) for v in (shift.difference, shift.low, shift.high))
    label = f"{words(shift.quantity)}: {middle}, 95 % interval {low} to {high} {unit_words(shift.unit)}"
    return charts.interval_bar(shift.difference, shift.low, shift.high, domain=domain, label=label)


def _of_many(found: Sequence[Against], since: str) -> Markup:
    """Of a sweep: in how many runs something became a shortcut, and which classes most often."""
    became = Counter(c.class_name for a in found for c in a.changes if _became(c, "SHORTCUT"))
    runs = sum(any(_became(c, "SHORTCUT") for c in a.changes) for a in found)
    fixed = sum(bool(a.having("fixed")) for a in found)
    if not became:
        text = Markup("In none of the {} other runs a class is SHORTCUT that is not in {}").format(
            len(found), _name(since)
        )
    else:
        names = Markup(", ").join(
            Markup("{} ({} {})").format(_name(c), n, "run" if n == 1 else "runs") for c, n in became.most_common(FEW)
        )
        rest = f" and {len(became) - FEW:,} more" if len(became) > FEW else ""
        text = Markup("In {} of the {} other runs classes are SHORTCUT that are not in {}: {}{}").format(
            runs, len(found), _name(since), names, rest
        )
    return text + (f"; in {fixed} a flagged class is CLEAR again." if fixed else ".")


def _became(change: Change, state: str) -> bool:
    return change.after is not None and change.after.state == state and change.status in {"new", "changed"}


def _classes(changes: Sequence[Change]) -> str:
    n = len(changes)
    return f"{NUMBERS[n] if n < len(NUMBERS) else f'{n:,}'} {'class' if n == 1 else 'classes'}"


def _list(changes: Sequence[Change]) -> Markup:
    rest = len(changes) - FEW
    names = Markup(", ").join(_name(c.class_name) for c in changes[:FEW])
    return names + (f" and {rest:,} more" if rest > 0 else "")


def _name(text: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(text)
