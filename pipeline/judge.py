"""Evidence in, verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.core.stats import benjamini_hochberg, simes
from pipeline.reasons import clear, context, inconclusive, model_reason, shortcut
from pipeline.types import Evidence, Observed, State, Verdict

REMOVAL = "removed_excess"
MOVED = ("outside_transplant", "outside_transplant_matched")  # S1, plain and colour-matched
KEENEST = "outside_keenest"  # S1 with the donors that say most
TRANSPLANTS = (*MOVED, KEENEST, "low_level", "targeted")  # with S4 and C1: what carries a class from image to image
ORDER: tuple[State, ...] = ("SHORTCUT", "CONTEXT", "INCONCLUSIVE", "CLEAR")  # the model is as bad as its worst class
FORBIDDING = {"too_few_images", "low_accuracy", "annotation"}  # guards that leave no verdict
UNCLEAR = {"huge_boxes", "seams"}  # guards under which nothing is CLEAR: the tests could not have seen much


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The rules of the verdict; every threshold is a field, and its value with its source stands in conf/judge/.

    Per class, CONTEXT when S2 (object removed) fires: q-value, p-value, effect and lower bound all pass. SHORTCUT when
    something carries the class from image to image: the keenest donors' surroundings (S1), the place that attribution
    points to (C1), a low-level property that leaves colours alone (S4), or, where S2 fires too, a large part of all
    donors (S1). What two classes share in unequal parts moves the mean of all donors, and S2, but not the keenest.
    CLEAR is an equivalence claim: the intervals of S2 and S1 end below `delta`, and nothing else speaks. Else
    INCONCLUSIVE. Guards name what forbids a verdict.
    """

    q: float  # false discovery rate over the classes (Benjamini-Hochberg), for removal and for transplants
    removal_p: float
    removal_gate: dict[int, float]  # images of the class -> smallest effect that counts; between them linear in log n
    removal_floor: float  # that the interval's lower end must exceed
    transplant_p: float  # of one transplant; those of a class together (Simes) must also pass `q`
    mean_gate: float  # share of recipients that all donors together must turn, where removal fires too
    keenest_gate: float  # that the keenest donors must turn
    keenest_floor: float  # that the lower end of the interval must exceed
    low_level_alone: Sequence[str]  # arms of S4 that accuse
    low_level_gate: float
    targeted_gate: float
    targeted_floor: float
    delta: float  # CLEAR: no effect above this
    min_images: int
    min_accuracy: float  # of the class, as a multiple of chance
    max_hole: float  # mean share of the frame that object removal fills
    annotation_share: float  # classes recognised without their objects before the annotation is doubted
    max_seam_loss: float  # share of own-class transplants that may lose their name

    def __call__(self, observed: Observed, evidence: Sequence[Evidence]) -> tuple[Verdict, ...]:
        """The model's verdict first, then one per audited class in their order."""
        seen = self._by_class(observed.classes, evidence)
        states = {c: self._speaks(own) for c, own in seen.items()}
        hinting = [REMOVAL in own and self._hints(own[REMOVAL]) for own in seen.values()]
        doubtful = len(seen) > 2 and np.mean(hinting) > self.annotation_share
        verdicts = []
        for c in observed.classes:
            own = seen[c]
            leads = tuple(e for e in evidence if e.class_name == c and not e.decides)
            if REMOVAL not in own or not np.isfinite(own[REMOVAL].estimate):
                reason = inconclusive(c, ["not_compared"], own.get(REMOVAL))
                verdicts.append(_verdict(c, "INCONCLUSIVE", reason, ["not_compared"], own, leads))
                continue
            guards = self._guards(c, observed, own)
            if doubtful and states[c]:
                guards.append("annotation")
            state, reason = self._class_state(c, own, states[c], guards, leads, len(observed.classes))
            verdicts.append(_verdict(c, state, reason, guards, own, leads))
        return (_model(verdicts), *verdicts)

    def _by_class(self, classes: Sequence[str], evidence: Sequence[Evidence]) -> dict[str, dict[str, Evidence]]:
        """Per class its deciding evidence by signal, with q-values over the classes and the effect that would count."""
        seen = {c: {e.signal: e for e in evidence if e.class_name == c and e.decides} for c in classes}
        removal = benjamini_hochberg([_p(seen[c].get(REMOVAL)) for c in classes])
        together = benjamini_hochberg([simes([_p(seen[c].get(s)) for s in TRANSPLANTS]) for c in classes])
        for i, c in enumerate(classes):
            for signal, e in seen[c].items():
                q = removal[i] if signal == REMOVAL else together[i] if signal in TRANSPLANTS else float("nan")
                gate = self._gate(e.n) if signal == REMOVAL else self._transplant_gate(signal)
                seen[c][signal] = replace(e, details={**e.details, "q": float(q), "gate": gate})
        return seen

    def _gate(self, n: int) -> float:
        """Chance differences grow as images get fewer, and so does the effect that counts."""
        sizes = sorted(self.removal_gate)
        return float(np.interp(np.log(max(n, 1)), np.log(sizes), [self.removal_gate[s] for s in sizes]))

    def _transplant_gate(self, signal: str) -> float:
        gates = {KEENEST: self.keenest_gate, "low_level": self.low_level_gate, "targeted": self.targeted_gate}
        return gates.get(signal, self.mean_gate)

    def _speaks(self, own: Mapping[str, Evidence]) -> str:
        """What the evidence says before guards: the signal that makes it a SHORTCUT, "context", or "" for neither."""
        removal = own.get(REMOVAL)
        if removal is None or not np.isfinite(removal.estimate):
            return ""
        fired = self._removal_fires(removal)
        moved = [own[s] for s in TRANSPLANTS if s in own and self._transplant_fires(own[s], fired)]
        if moved:
            return max(moved, key=lambda e: (e.signal in MOVED, e.estimate)).signal  # the plainest that holds
        return "context" if fired else ""

    def _hints(self, e: Evidence) -> bool:
        """Recognised without the object, however wide the interval: what leaking annotation does to every class."""
        return e.p_value <= self.removal_p and e.estimate >= self._gate(e.n)

    def _removal_fires(self, e: Evidence) -> bool:
        return (
            float(e.details["q"]) <= self.q
            and e.p_value <= self.removal_p
            and e.estimate >= self._gate(e.n)
            and e.low > self.removal_floor
        )

    def _transplant_fires(self, e: Evidence, removal_fired: bool) -> bool:
        if not (e.p_value <= self.transplant_p and float(e.details["q"]) <= self.q):
            return False
        if e.estimate < self._transplant_gate(e.signal):
            return False
        if e.signal == KEENEST:
            return e.low > self.keenest_floor
        if e.signal == "targeted":
            return e.low > self.targeted_floor
        if e.signal == "low_level":
            return e.details.get("arm") in self.low_level_alone
        return removal_fired

    def _class_state(
        self,
        c: str,
        own: Mapping[str, Evidence],
        speaks: str,
        guards: Sequence[str],
        leads: Sequence[Evidence],
        n_classes: int,
    ) -> tuple[State, str]:
        if set(guards) & FORBIDDING or (speaks in ("", "context") and "fills_disagree" in guards):
            return "INCONCLUSIVE", inconclusive(c, guards, own[REMOVAL])
        if speaks == "context":
            return "CONTEXT", context(c, own, leads)
        if speaks:
            return "SHORTCUT", shortcut(c, own, speaks, leads, two_classes=n_classes == 2)
        if self._is_clear(own) and not set(guards) & UNCLEAR:
            return "CLEAR", clear(c, own, self.delta)
        return "INCONCLUSIVE", inconclusive(c, guards, own[REMOVAL])

    def _is_clear(self, own: Mapping[str, Evidence]) -> bool:
        """Nothing above delta: intervals of the tests that see every image, and silence of those that see a part."""
        if MOVED[0] not in own:
            return False
        whole = [own[s] for s in (REMOVAL, *MOVED) if s in own]
        rest = [own[s] for s in TRANSPLANTS if s in own and s not in MOVED]
        quiet = [e for e in rest if not (e.p_value <= self.removal_p and e.estimate >= self.delta)]
        return all(e.high < self.delta for e in whole) and len(quiet) == len(rest)

    def _fill_fires(self, e: Evidence, fill: str) -> bool:
        """Whether one fill alone would have spoken for reliance on the surroundings."""
        excess, p = float(e.details[f"excess:{fill}"]), float(e.details[f"p:{fill}"])
        return p <= self.removal_p and excess >= self._gate(e.n)

    def _guards(self, c: str, observed: Observed, own: Mapping[str, Evidence]) -> list[str]:
        images = observed.images[observed.images["class"] == c]
        chance = 1 / len(observed.classes)
        removal, moved = own[REMOVAL], own.get(MOVED[0])
        fills = [key.removeprefix("excess:") for key in removal.details if key.startswith("excess:")]
        fired = [self._fill_fires(removal, fill) for fill in fills]
        found = {
            "too_few_images": len(images) < self.min_images,
            "low_accuracy": images["correct"].mean() < min(self.min_accuracy * chance, 0.9),
            "huge_boxes": images["hole_fraction"].mean() > self.max_hole,
            "fills_disagree": any(fired) and not all(fired),
            "seams": moved is not None and float(moved.details.get("own_stays", 1)) < 1 - self.max_seam_loss,
            "two_classes": len(observed.classes) == 2,
        }
        return [name for name, spoke in found.items() if spoke]


def _p(e: Evidence | None) -> float:
    return float("nan") if e is None else e.p_value


def _verdict(
    scope: str,
    state: State,
    reason: str,
    guards: Sequence[str],
    own: Mapping[str, Evidence],
    leads: Sequence[Evidence],
) -> Verdict:
    ranked = [own[s] for s in (REMOVAL, *TRANSPLANTS) if s in own]
    rest = [e for s, e in own.items() if s not in (REMOVAL, *TRANSPLANTS)]
    return Verdict(scope=scope, state=state, reason=reason, guards=tuple(guards), evidence=(*ranked, *rest, *leads))


def _model(classes: Sequence[Verdict]) -> Verdict:
    """As bad as the worst class: its state, and a sentence that names the classes."""
    state = min((v.state for v in classes), key=ORDER.index)
    guards = tuple(dict.fromkeys(g for v in classes if v.state == state for g in v.guards))
    return Verdict(scope="model", state=state, reason=model_reason(state, classes), guards=guards)
