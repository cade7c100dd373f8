"""Places: which part of the frame carries a class from image to image, and how strongly?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.core.places import CONFIRM, CONTROL, MOVING, TELLING, Place, in_words, stages
from pipeline.core.stats import detectable_difference
from pipeline.signals.exchanges import Exchange, best_of, exchange
from pipeline.signals.groups import undefined
from pipeline.types import Evidence, Observed

UNIT = "share of recipients"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Every place that the search proposed on a half of the images, as it did on the other; and places that move.

    Effect: the share of other classes' images that turn into k with the place from a k image, less the share that do
    with the same place from an image of their own class. Two ways to choose the k images are tried, at random and those
    whose surroundings say k most (marks on few images are diluted otherwise); the better p-value pays for both
    (Bonferroni), and the judge for the number of places. A place that moves is a lead only where a fixed one passes.
    """

    draws: int  # bootstrap samples
    gate: float  # share of recipients that must turn
    floor: float  # that the interval's lower end must exceed
    per_area: float  # and this times its share of the frame, where that is more
    most: float  # but never more than this
    alpha: float  # for the smallest detectable effect
    version: ClassVar[int] = 1

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        trials = observed.trials
        stage = pd.Series(stages(trials["arm"]), trials.index, dtype=object)
        told = trials[stage.isin([*CONTROL, *CONTROL.values()])].assign(stage=stage) if len(trials) else trials
        found: list[Evidence] = []
        for k in observed.classes:
            own = told[told["tested"] == k] if len(told) else told
            places = list(self._places(k, own, observed, rng)) if len(own) else []
            why = "no place could be exchanged: objects everywhere, or one class"
            found += places or [undefined("place:1", k, why, unit=UNIT, version=self.version, role="place")]
        return found

    def _places(self, k: str, trials: pd.DataFrame, observed: Observed, rng: np.random.Generator) -> Iterator[Evidence]:
        fixed = False
        for number, (place, own) in enumerate(_sites(trials, observed.frame), 1):
            ways = {stage: self._exchange(k, own, stage, rng) for stage in (CONFIRM, TELLING)}
            if chosen := best_of(ways):
                yield self._evidence(k, f"place:{number}", place, chosen, ways[CONFIRM], observed)
                fixed |= chosen[2] <= self.alpha and chosen[1].estimate >= self._gate(place, observed.frame)
        moving = self._exchange(k, trials, MOVING, rng)
        if moving is not None:
            told = self._evidence(k, "place:moving", None, (MOVING, moving, moving.p), None, observed)
            yield replace(told, role="lead") if fixed else told

    def _exchange(self, k: str, trials: pd.DataFrame, stage: str, rng: np.random.Generator) -> Exchange | None:
        taken, control = trials[trials["stage"] == stage], trials[trials["stage"] == CONTROL[stage]]
        return exchange(taken, control, k, self.draws, rng)

    def _evidence(
        self,
        k: str,
        signal: str,
        place: Place | None,
        chosen: tuple[str, Exchange, float],
        random: Exchange | None,
        observed: Observed,
    ) -> Evidence:
        way, e, p = chosen
        words = "a place that moves from image to image" if place is None else in_words(place, observed.frame)
        details: dict[str, float | str] = {
            "donors": "at random" if way == CONFIRM else "most telling",
            "flipped": e.rate,
            "flipped_control": e.base,
            "carrying": e.carrying if random is None or way == CONFIRM else _carrying(e, random),
            "place": words,
        }
        if place is not None:
            x0, y0, x1, y1 = place.box
            area = place.area(observed.frame)
            pixels = area * observed.frame[0] * observed.frame[1]
            details |= {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "kind": place.kind, "pixels": pixels, "area": area}
        return Evidence(
            signal=signal,
            class_name=k,
            estimate=e.estimate,
            low=e.low,
            high=e.high,
            unit=UNIT,
            p_value=p,
            n=e.n,
            n_others=e.n_control,
            detectable=detectable_difference(e.base, e.n, e.n_control, self.alpha),
            role="place",
            version=self.version,
            gate=self._gate(place, observed.frame),
            floor=self.floor,
            carrier=words,
            sentence=_sentence(k, words, e, details),
            step=_step(k, words),
            details=details,
        )

    def _gate(self, place: Place | None, frame: tuple[int, int]) -> float:
        """Natural surroundings carry by degrees, the more the larger the part of them that is moved."""
        area = 0.0 if place is None else place.area(frame)
        return max(self.gate, min(self.per_area * area, self.most))


def _sites(trials: pd.DataFrame, frame: tuple[int, int]) -> list[tuple[Place, pd.DataFrame]]:
    """The confirmed places with their trials; places that one would call alike are one, those of most trials first.

    Either half proposes places of its own, and a mark at the bottom edge may be a strip of another width on the other
    half. The smaller one is told.
    """
    own = trials[trials["stage"].isin([CONFIRM, *_CONTROLS])]
    kinds = [str(arm).rpartition(":")[2] for arm in own["arm"]]
    found = [Place(kind=str(kind), box=tuple(box)) for kind, box in zip(kinds, own["place"], strict=True)]
    words = pd.Series([in_words(p, frame) for p in found], own.index, dtype=object)
    sites = []
    for word in words.value_counts(sort=True).index:
        here = own[words == word]
        smallest = min((p for p, w in zip(found, words, strict=True) if w == word), key=lambda p: p.area(frame))
        sites.append((smallest, here))
    return sites


_CONTROLS = (CONTROL[CONFIRM], TELLING, CONTROL[TELLING])


def _carrying(telling: Exchange, random: Exchange) -> float:
    """Share of the class's images that carry the mark: what dilutes the random donors' effect."""
    return float(np.clip(random.estimate / telling.estimate, 0, 1)) if telling.estimate > 0 else float("nan")


def _sentence(k: str, words: str, e: Exchange, details: dict[str, float | str]) -> str:
    """What was moved, and what it did."""
    size = f" ({float(details['pixels']):.0f} pixels)" if "pixels" in details else ""
    donors = "" if details["donors"] == "at random" else f", from those whose surroundings say {k!r} most,"
    carrying = float(details["carrying"])
    few = f"; about {100 * carrying:.0f} % of its images carry it" if carrying < 0.6 else ""
    return (
        f"{words}{size}, moved from {k!r} images{donors} into others, turns {100 * e.rate:.0f} % of them into {k!r} "
        f"[{100 * e.low:.0f}, {100 * e.high:.0f}]; the same place from their own class turns {100 * e.base:.0f} %{few}"
    )


def _step(k: str, words: str) -> str:
    return (
        f"Look at {words} in the images below. If what is there does not belong to {k!r}, cut it off or cover it in "
        "every training image, or add images of other classes that carry it; train and audit again."
    )
