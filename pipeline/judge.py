"""Evidence in, verdicts out: rules over the roles of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline import reasons
from pipeline.core.stats import benjamini_hochberg, difference_interval, simes
from pipeline.types import Evidence, Observed, Role, State, Verdict

MARKS: tuple[Role, ...] = ("place", "property")  # what carries a class by itself
AROUND: tuple[Role, ...] = ("removal", "surroundings", "companion")
ORDER: tuple[State, ...] = ("SHORTCUT", "CONTEXT", "INCONCLUSIVE", "CLEAR")  # the model is as bad as its worst class
KINDS: tuple[tuple[Role, ...], ...] = (("removal",), ("surroundings", "companion"), ("place",), ("property",))
SMALL = {"not_tested", "too_few_images", "two_classes"}  # guards of classes that only lack images
FELLOWS = 4  # classes from which on one can be told to stand out among the others


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The rules of the verdict; every threshold is a field, and its value with its source stands in conf/judge/.

    A piece of evidence speaks where its p-value, its class's q-value, its effect (`gate`) and its interval's lower end
    (`floor`) all pass; effects, gates and floors are the signals' own. What speaks decides by its role:

    SHORTCUT: a place or a property speaks, or surroundings whose lower bound passes `surroundings_limit`, in a class
    that stands out among its fellows (from four classes on; what all share is context, or boxes that leave parts out).
    CONTEXT: surroundings, a companion or removal speak. CLEAR: an equivalence claim, no effect of removal and
    surroundings above `delta`, and nothing speaks. Else INCONCLUSIVE.

    Guards silence only what they explain: annotation that is known to be wrong everything; fills that disagree removal
    alone; too few images, or a class that the model hardly knows, everything but places and properties.
    """

    q: float  # false discovery rate over the classes (Benjamini-Hochberg), for each kind of evidence
    p: float  # of one piece of evidence
    surroundings_limit: float  # what their lower bound must exceed to be called SHORTCUT
    stands_out: float  # by how much such a class exceeds the median of its fellows
    delta: float  # CLEAR: no effect above this
    delta_evidence: float  # or, on log-odds, no larger share of the class's evidence
    clear_p: float  # or with a place or property above `delta` that is as unlikely as this
    min_images: int  # below, no verdict
    not_tested: int  # classes of so many images or fewer are counted, and not judged
    min_accuracy: float  # of the class, as a multiple of chance
    min_tested: float  # share of its images that have enough surroundings to be tested, for CLEAR
    max_hole: float  # share of the frame; an image whose hole is larger is not tested
    max_seam_loss: float  # share of own-class transplants that may lose their name, for CLEAR

    def __call__(self, observed: Observed, evidence: Sequence[Evidence]) -> tuple[Verdict, ...]:
        """The model's verdict first, then one per audited class in their order."""
        seen = self._with_q(observed.classes, evidence)
        speaking = {c: [e for e in own if self._speaks(e)] for c, own in seen.items()}
        speaking = _one_side(speaking) if len(observed.classes) == 2 else speaking
        verdicts = tuple(self._verdict(c, observed, seen, speaking) for c in observed.classes)
        return (self._model(verdicts), *verdicts)

    def _with_q(self, classes: Sequence[str], evidence: Sequence[Evidence]) -> dict[str, list[Evidence]]:
        """Each class's evidence, with the q-values of its kind among the details."""
        seen = {c: [e for e in evidence if e.class_name == c] for c in classes}
        for roles in KINDS:
            p = [simes([e.p_value for e in own if e.role in roles]) for own in seen.values()]
            for own, q in zip(seen.values(), benjamini_hochberg(p), strict=True):
                own[:] = [
                    replace(e, details={**e.details, "q": float(q), "gate": e.gate}) if e.role in roles else e
                    for e in own
                ]
        return seen

    def _speaks(self, e: Evidence) -> bool:
        """Whether a piece of evidence passes its gate."""
        known = e.decides and np.isfinite(e.estimate) and np.isfinite(e.p_value)
        if not known or e.p_value > self.p or float(e.details["q"]) > self.q:
            return False
        return e.estimate >= e.gate and e.low > e.floor

    def _verdict(
        self,
        c: str,
        observed: Observed,
        seen: Mapping[str, Sequence[Evidence]],
        speaking: Mapping[str, Sequence[Evidence]],
    ) -> Verdict:
        own = seen[c]
        guards = self._guards(c, observed, own)
        marks = [e for e in speaking[c] if e.role in MARKS]
        around = [e for e in speaking[c] if e.role in AROUND and not _explained(e, guards)]
        strong = [e for e in around if self._strong(e, seen)]
        state: State = "INCONCLUSIVE"
        carried: list[Evidence] = []
        if not {"annotation", "not_tested", "too_few_images", "not_compared"} & set(guards):
            if marks or strong:
                state, carried = "SHORTCUT", [*_ranked(marks), *_ranked(around)]
            elif around and "low_accuracy" not in guards:
                state, carried = "CONTEXT", _ranked(around)
            elif not guards or set(guards) <= {"two_classes"}:
                state = "CLEAR" if self._is_clear(own) else "INCONCLUSIVE"
        reason = reasons.of_class(c, state, carried, own, guards, observed)
        return Verdict(
            scope=c,
            state=state,
            reason=reason,
            carried_by=tuple(carried),
            guards=tuple(guards),
            evidence=tuple(sorted(own, key=lambda e: e.role == "lead")),
        )

    def _strong(self, e: Evidence, seen: Mapping[str, Sequence[Evidence]]) -> bool:
        """Surroundings that carry so much that they are called a shortcut."""
        if e.role != "surroundings" or not _of_all(e) or e.low <= self.surroundings_limit:
            return False
        others = [o.estimate for c, own in seen.items() if c != e.class_name for o in own if o.signal == e.signal]
        known = [o for o in others if np.isfinite(o)]
        return len(known) + 1 < FELLOWS or e.estimate - float(np.median(known)) >= self.stands_out

    def _is_clear(self, own: Sequence[Evidence]) -> bool:
        """Nothing above delta in removal and in surroundings, and nothing that looks suspicious."""
        around = [e for e in own if e.role in ("removal", "surroundings") and _of_all(e) and np.isfinite(e.estimate)]
        if {e.role for e in around} != {"removal", "surroundings"}:
            return False
        quiet = all(e.high < self.delta or self._little_evidence(e) for e in around)
        return quiet and not self._suspicious(own)

    def _suspicious(self, own: Sequence[Evidence]) -> bool:
        """Whether a place, a property or a class's most telling surroundings may carry it, though it is no finding."""
        parts = [e for e in own if (e.role in MARKS or (e.decides and not _of_all(e))) and np.isfinite(e.estimate)]
        return any(e.p_value <= self.clear_p and e.estimate >= self.delta for e in parts)

    def _little_evidence(self, e: Evidence) -> bool:
        """On log-odds, where shares of names say too little; the shares themselves must look small too."""
        return float(e.details.get("evidence_share_high", np.nan)) < self.delta_evidence and e.estimate < self.delta

    def _guards(self, c: str, observed: Observed, own: Sequence[Evidence]) -> list[str]:
        images = observed.images[observed.images["class"] == c]
        chance = 1 / len(observed.classes)
        around = [e for e in own if e.role in AROUND]
        seams = [float(e.details["own_stays"]) for e in around if "own_stays" in e.details]
        tested = float((images["hole_fraction"] <= self.max_hole).mean())
        found = {
            "annotation": c in observed.suspect,
            "not_tested": len(images) <= self.not_tested,
            "too_few_images": len(images) < self.min_images,
            "not_compared": not any(np.isfinite(e.estimate) for e in own if e.decides),
            "low_accuracy": images["correct"].mean() < min(self.min_accuracy * chance, 0.9),
            "huge_boxes": tested < self.min_tested,
            "fills_disagree": any(self._fills_disagree(e) for e in own if e.role == "removal"),
            "seams": any(s < 1 - self.max_seam_loss for s in seams),
            "two_classes": len(observed.classes) == 2,
        }
        return [name for name, spoke in found.items() if spoke]

    def _fills_disagree(self, e: Evidence) -> bool:
        """Whether some fills alone would speak and others would not."""
        fills = [key.removeprefix("excess:") for key in e.details if key.startswith("excess:")]
        fired = [float(e.details[f"p:{f}"]) <= self.p and float(e.details[f"excess:{f}"]) >= e.gate for f in fills]
        return any(fired) and not all(fired)

    def _model(self, classes: Sequence[Verdict]) -> Verdict:
        """As bad as the worst class that could be tested; CLEAR too where all classes together show it."""
        judged = [v for v in classes if "not_tested" not in v.guards] or list(classes)
        state = min((v.state for v in judged), key=ORDER.index)
        worst = sorted((v for v in judged if v.state == state), key=strength, reverse=True)
        guards = tuple(dict.fromkeys(g for v in worst for g in v.guards))
        if state == "INCONCLUSIVE" and (pooled := self._pooled_clear(classes)):
            return Verdict(scope="model", state="CLEAR", reason=pooled, guards=guards)
        carried = worst[0].carried_by if state in ("SHORTCUT", "CONTEXT") else ()
        reason = reasons.of_model(state, worst, classes)
        return Verdict(scope="model", state=state, reason=reason, carried_by=carried, guards=guards)

    def _pooled_clear(self, classes: Sequence[Verdict]) -> str:
        """The sentence that claims CLEAR for the model from classes that are each too small; "" where they do not.

        Each role's counts are added up over the classes: what was called the class, and what was by chance.
        """
        if any(set(v.guards) - SMALL or self._suspicious(v.evidence) for v in classes):
            return ""
        sums = []
        for role in ("removal", "surroundings"):
            own = [e for v in classes for e in v.evidence if e.role == role and np.isfinite(e.estimate)]
            signal = own[0].signal if own else ""
            own = [e for e in own if e.signal == signal]
            n, n_others = sum(e.n for e in own), sum(e.n_others for e in own)
            if not n or not n_others:
                return ""
            rates = [(_rate(e), _rate(e) - e.estimate) for e in own]
            ours = round(sum(e.n * rate for e, (rate, _) in zip(own, rates, strict=True)))
            theirs = round(sum(e.n_others * max(0.0, base) for e, (_, base) in zip(own, rates, strict=True)))
            if difference_interval(ours, n, min(theirs, n_others), n_others)[1] >= self.delta:
                return ""
            sums.append((ours, n))
        return reasons.pooled(sums, len(classes), self.delta)


def _of_all(e: Evidence) -> bool:
    """Whether it is about all of a class's images; a few chosen donors say less of what the class rests on."""
    return float(e.details.get("share", 1.0)) >= 1


def _rate(e: Evidence) -> float:
    """The share that was called the class, before anything was taken off."""
    return float(e.details.get("called_without_object", e.details.get("flipped", max(e.estimate, 0.0))))


def _explained(e: Evidence, guards: Sequence[str]) -> bool:
    """Whether a guard explains what a piece of evidence shows."""
    return e.role == "removal" and "fills_disagree" in guards


def _ranked(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The strongest first; a place before a property, which it may show as, and what transfers before removal."""
    return sorted(evidence, key=lambda e: (e.role == "place", e.role != "removal", e.estimate), reverse=True)


def strength(verdict: Verdict) -> tuple[bool, float]:
    """Marks before surroundings, and the stronger first."""
    if not verdict.carried_by:
        return False, 0.0
    first = verdict.carried_by[0]
    return first.role in MARKS, first.estimate


def _one_side(speaking: Mapping[str, Sequence[Evidence]]) -> dict[str, list[Evidence]]:
    """Of two classes, a place or property that both carry belongs to the one that it carries more.

    What makes one class is what its lack makes of the other: taking a mark away turns k into the other class.
    """
    found = {c: list(own) for c, own in speaking.items()}
    best = {c: max((e.estimate for e in own if e.role in MARKS), default=-np.inf) for c, own in found.items()}
    weaker = min(best, key=lambda c: best[c])
    stronger = [e for c, own in found.items() if c != weaker for e in own if e.role in MARKS]
    found[weaker] = [e for e in found[weaker] if e.role not in MARKS or not any(_same(e, o) for o in stronger)]
    return found


def _same(a: Evidence, b: Evidence) -> bool:
    """Whether two pieces of evidence are about the same place or property."""
    if "x0" not in a.details or "x0" not in b.details:
        return a.signal == b.signal
    p, q = ([float(e.details[side]) for side in ("x0", "y0", "x1", "y1")] for e in (a, b))
    across, down = min(p[2], q[2]) - max(p[0], q[0]), min(p[3], q[3]) - max(p[1], q[1])
    return across > 0 and down > 0
