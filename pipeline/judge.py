"""Evidence in, verdicts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.core.stats import benjamini_hochberg
from pipeline.reasons import clear, context, inconclusive, model_reason, shortcut
from pipeline.types import Evidence, Observed, State, Verdict

S1, S2 = "outside_transplant", "removed_excess"
ORDER: tuple[State, ...] = ("SHORTCUT", "CONTEXT", "INCONCLUSIVE", "CLEAR")  # the model is as bad as its worst class


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The rules of the verdict; every threshold is a field, and its value with its source stands in conf/judge/.

    Per class: S2 (object removed) fires when its q-value, p-value, effect and lower bound all pass. Then it is CONTEXT,
    and SHORTCUT when S1 (outside transplant) fires too. CLEAR is an equivalence claim: both intervals end below
    `delta`. Else INCONCLUSIVE. Guards name what forbids a verdict.
    """

    q: float  # false discovery rate over the classes (Benjamini-Hochberg)
    removal_p: float
    removal_gate: dict[int, float]  # images of the class -> smallest effect that counts; between them linear in log n
    removal_floor: float  # that the interval's lower end must exceed
    transplant_p: float
    transplant_gate: float
    delta: float  # CLEAR: no effect above this
    min_images: int
    min_accuracy: float  # of the class, as a multiple of chance
    max_hole: float  # mean share of the frame that object removal fills
    annotation_share: float  # classes that fire before the annotation is doubted
    max_seam_loss: float  # share of own-class transplants that may lose their name

    def __call__(self, observed: Observed, evidence: Sequence[Evidence]) -> tuple[Verdict, ...]:
        """The model's verdict first, then one per audited class in their order."""
        removal = self._with_q({e.class_name: e for e in evidence if e.signal == S2}, self._gate)
        transplant = self._with_q({e.class_name: e for e in evidence if e.signal == S1}, lambda _: self.transplant_gate)
        fires = {c: self._removal_fires(e) for c, e in removal.items()}
        doubtful = len(fires) > 2 and np.mean(list(fires.values())) > self.annotation_share
        verdicts = []
        for c in observed.classes:
            leads = tuple(e for e in evidence if e.class_name == c and not e.decides)
            s2, s1 = removal.get(c), transplant.get(c)
            mine = tuple(e for e in (s2, s1) if e is not None)
            if s2 is None or not np.isfinite(s2.estimate):
                reason = inconclusive(c, ["not_compared"], s2)
                verdicts.append(_verdict(c, "INCONCLUSIVE", reason, ["not_compared"], mine + leads))
                continue
            guards = self._guards(c, observed, s2, s1)
            if doubtful and fires[c]:
                guards.append("annotation")
            state, reason = self._class_state(c, s2, s1, fires[c], guards, leads, len(observed.classes))
            verdicts.append(_verdict(c, state, reason, guards, mine + leads))
        return (_model(verdicts), *verdicts)

    def _class_state(
        self,
        c: str,
        s2: Evidence,
        s1: Evidence | None,
        fired: bool,
        guards: Sequence[str],
        leads: Sequence[Evidence],
        n_classes: int,
    ) -> tuple[State, str]:
        if set(guards) & FORBIDDING:
            return "INCONCLUSIVE", inconclusive(c, guards, s2)
        if fired and s1 is not None and "seams" not in guards and self._transplant_fires(s1):
            return "SHORTCUT", shortcut(c, s2, s1, leads, two_classes=n_classes == 2)
        if fired:
            return "CONTEXT", context(c, s2, s1, leads)
        if s2.high < self.delta and s1 is not None and s1.high < self.delta and "seams" not in guards:
            return "CLEAR", clear(c, s2, s1, self.delta)
        return "INCONCLUSIVE", inconclusive(c, guards, s2)

    def _with_q(self, by_class: dict[str, Evidence], gate: object) -> dict[str, Evidence]:
        """Each piece of evidence with its q-value over the classes, and the effect that would have counted."""
        q = benjamini_hochberg([e.p_value for e in by_class.values()])
        assert callable(gate)
        return {
            c: replace(e, details={**e.details, "q": float(value), "gate": float(gate(e.n))})
            for (c, e), value in zip(by_class.items(), q, strict=True)
        }

    def _gate(self, n: int) -> float:
        """Chance differences grow as images get fewer, and so does the effect that counts."""
        sizes = sorted(self.removal_gate)
        return float(np.interp(np.log(max(n, 1)), np.log(sizes), [self.removal_gate[s] for s in sizes]))

    def _removal_fires(self, e: Evidence) -> bool:
        return (
            float(e.details["q"]) <= self.q
            and e.p_value <= self.removal_p
            and e.estimate >= self._gate(e.n)
            and e.low > self.removal_floor
        )

    def _fill_fires(self, e: Evidence, fill: str) -> bool:
        """Whether one fill alone would have spoken for reliance on the surroundings."""
        excess, p = float(e.details[f"excess:{fill}"]), float(e.details[f"p:{fill}"])
        return p <= self.removal_p and excess >= self._gate(e.n)

    def _transplant_fires(self, e: Evidence) -> bool:
        return float(e.details["q"]) <= self.q and e.p_value <= self.transplant_p and e.estimate >= self.transplant_gate

    def _guards(self, c: str, observed: Observed, s2: Evidence, s1: Evidence | None) -> list[str]:
        own = observed.images[observed.images["class"] == c]
        chance = 1 / len(observed.classes)
        fills = [key.removeprefix("excess:") for key in s2.details if key.startswith("excess:")]
        fired = [self._fill_fires(s2, fill) for fill in fills]
        found = {
            "too_few_images": len(own) < self.min_images,
            "low_accuracy": own["correct"].mean() < min(self.min_accuracy * chance, 0.9),
            "huge_boxes": own["hole_fraction"].mean() > self.max_hole,
            "fills_disagree": any(fired) and not all(fired),
            "seams": s1 is not None and float(s1.details.get("own_stays", 1)) < 1 - self.max_seam_loss,
            "two_classes": len(observed.classes) == 2,
        }
        return [name for name, spoke in found.items() if spoke]


FORBIDDING = {"too_few_images", "low_accuracy", "huge_boxes", "fills_disagree", "annotation"}


def _verdict(scope: str, state: State, reason: str, guards: Sequence[str], evidence: tuple[Evidence, ...]) -> Verdict:
    return Verdict(scope=scope, state=state, reason=reason, guards=tuple(guards), evidence=evidence)


def _model(classes: Sequence[Verdict]) -> Verdict:
    """As bad as the worst class: its state, and a sentence that names the classes."""
    state = min((v.state for v in classes), key=ORDER.index)
    guards = tuple(dict.fromkeys(g for v in classes if v.state == state for g in v.guards))
    return Verdict(scope="model", state=state, reason=model_reason(state, classes), guards=guards)
