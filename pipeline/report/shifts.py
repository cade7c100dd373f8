"""A number in two runs: its difference with an interval, or why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from pipeline.types import Evidence

ACCURACY = "accuracy"
NAN = math.nan
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One number in the baseline and now. `missing` says why there is no difference, or none with an interval."""

    quantity: str  # a deciding signal, or `accuracy`
    unit: str
    before: float
    after: float
    difference: float  # after minus before, in `unit`; NaN where one of them is undefined
    low: float  # 95 % interval of the difference
    high: float
    missing: str = ""

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out no difference at all."""
        return self.low > 0 or self.high < 0


def signal_shift(signal: str, before: Evidence | None, after: Evidence | None) -> Shift:
    """A deciding signal's estimate in two runs; None where the signal said nothing. One of them is there."""
    known = after or before
    assert known is not None
    a, b = (e.estimate if e else NAN for e in (after, before))
    missing = _missing(before, after)
    difference, low, high = NAN, NAN, NAN
    if before and after and not missing:
        difference, low, high = mover((a, after.low, after.high), (b, before.low, before.high))
        missing = "" if math.isfinite(low) else "no interval in one of the runs"
    return Shift(
        quantity=signal, unit=known.unit, before=b, after=a, difference=difference, low=low, high=high, missing=missing
    )


def accuracy_shift(before: tuple[int, int], after: tuple[int, int]) -> Shift:
    """From how many are right, of how many."""
    b, a = proportion(*before), proportion(*after)
    difference, low, high = mover(a, b)
    gone = [when for when, (_, n) in (("in the baseline", before), ("in this run", after)) if n == 0]
    missing = f"no image {gone[0]}" if gone else ""
    return Shift(
        quantity=ACCURACY, unit="share", before=b[0], after=a[0],
        difference=difference, low=low, high=high, missing=missing,
    )  # fmt: skip


def mover(after: tuple[float, float, float], before: tuple[float, float, float]) -> tuple[float, float, float]:
    """Difference of two estimates and its 95 % interval, from (estimate, low, high) of each; NaN without them.

    The method of variance estimates recovery (Zou & Donner 2008, Statistics in Medicine 27:1693): for
    d = a - b, low = d - sqrt((a - la)^2 + (ub - b)^2) and high = d + sqrt((ua - a)^2 + (b - lb)^2). It takes the two as
    independent, and is therefore conservative for runs that share images, whose errors go the same way.
    """
    (a, la, ua), (b, lb, ub) = after, before
    # An interval may miss its own estimate (a bootstrap's of a median does): no distance is then negative.
    below, above = max(a - la, 0.0), max(ua - a, 0.0)
    under, over = max(b - lb, 0.0), max(ub - b, 0.0)
    if not all(map(math.isfinite, (a, la, ua, b, lb, ub))):
        return a - b, NAN, NAN
    return a - b, a - b - math.hypot(below, over), a - b + math.hypot(above, under)


def proportion(hits: int, n: int) -> tuple[float, float, float]:
    """A share with its Wilson interval (95 %); NaN of nothing."""
    if n == 0:
        return NAN, NAN, NAN
    share, spread = hits / n, Z * Z / n
    middle = share + spread / 2
    half = math.sqrt(spread * (share * (1 - share) + spread / 4))
    return share, (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def _missing(before: Evidence | None, after: Evidence | None) -> str:
    """Why two estimates have no difference; "" where they have one."""
    for when, e in (("in the baseline", before), ("in this run", after)):
        if e is None:
            return f"not tested {when}"
        if not math.isfinite(e.estimate):
            return f"{e.details.get('undefined') or 'undefined'} {when}"
    assert before is not None
    assert after is not None
    if before.unit != after.unit:
        return f"other units: {before.unit}, then {after.unit}"
    return "" if before.version == after.version else f"version {before.version}, then {after.version}"
