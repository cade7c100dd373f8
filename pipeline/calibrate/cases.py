"""The benchmark's cases: which small models are trained on what, drawn from the factors by seed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Arm = Literal[
    "planted",  # one class carries a mark
    "clean",
    "balanced",  # every class carries the mark equally often: the salience trap
    "audit_only",  # one class carries it in the audited images, none in training
    "immune",  # trained with the mark in every class, audited with it in one
    "context",  # classes prefer a warm or a cool surrounding
    "sized",  # one class's objects are smaller than the others'
    "placed",  # one class's objects lie on the left, the others' on the right
    "weak_training",  # stopped early, on few images
    "random_weights",
    "jittered",  # annotation arms: clean models, spoilt boxes and masks
    "dilated",
    "eroded",
    "missing_objects",
]
HARMLESS: tuple[Arm, ...] = (
    "clean",
    "balanced",
    "audit_only",
    "immune",
    "context",
    "sized",
    "placed",
    "weak_training",
    "random_weights",
)
DEGRADED: tuple[Arm, ...] = ("jittered", "dilated", "eroded", "missing_objects")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model of the benchmark. `kind` names the mark ("" without one), `guilty` the class that carries it."""

    name: str
    arm: Arm
    kind: str
    base: str  # shapes | digits
    classes: int
    network: str
    prevalence: float
    leak: float  # share of the other classes' images that carry the mark too
    strength: float  # visibility of the mark, in (0, 1]
    preference: float  # context only: share of a class's images on its preferred surroundings
    context: float  # mean share of its class's kind of surroundings in a picture, in [0, 1]; 0: none has any
    images_per_class: int
    regions: Literal["mask", "box"]
    guilty: int
    pictures: int  # seed of the rendered pictures, which a few models share
    seed: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many models of each arm; `kinds` are the marks that may be planted, and `seed` makes all of them anew."""

    kinds: Sequence[str]
    per_kind: int  # planted models of each kind
    harmless: Mapping[str, int]  # arm -> models
    images_per_class: Sequence[int]
    seed: int
    context: Sequence[float] = (0.0,)  # levels of Case.context to draw from

    def cases(self) -> list[Case]:
        """All cases, in an order that mixes arms, so that a run stopped early has seen some of each."""
        wanted = [("planted", kind, i) for kind in self.kinds for i in range(self.per_kind)]
        for arm, count in self.harmless.items():
            marked = arm in ("balanced", "audit_only", "immune")
            wanted += [(arm, self.kinds[i % len(self.kinds)] if marked else "", i) for i in range(count)]
        made = [self._case(*w) for w in wanted]
        return [made[i] for i in np.random.default_rng(self.seed).permutation(len(made))]

    def _case(self, arm: str, kind: str, number: int) -> Case:
        name = "-".join(filter(None, [arm, kind, str(number)]))
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        base = "shapes" if rng.uniform() < 0.6 else "digits"
        networks = ["batch_norm", "plain", "flat", "residual", *(["vit"] if base == "shapes" else [])]
        classes = int(rng.choice([3, 4, 4, 5] if base == "shapes" else [4, 4, 6]))
        return Case(
            name=name,
            arm=arm,  # type: ignore[arg-type]
            kind=kind,
            base=base,
            classes=classes,
            network=str(rng.choice(networks)),
            prevalence=float(rng.choice([0.2, 0.3, 0.6, 0.9, 1.0]))
            if arm != "balanced"
            else float(rng.choice([0.4, 0.9])),
            leak=float(rng.choice([0.0, 0.02, 0.1])) if arm == "planted" else 0.0,
            strength=float(rng.choice([0.5, 0.75, 1.0])),
            preference=float(rng.choice([0.6, 0.75])) if arm == "context" else 0.5,
            images_per_class=int(rng.choice(list(self.images_per_class))),
            regions="mask" if rng.uniform() < 0.5 else "box",
            guilty=int(rng.integers(classes)),
            pictures=2 * self.seed + int(rng.integers(2)),
            seed=int(rng.integers(2**31)),
            context=float(rng.choice(list(self.context))),  # drawn last: cases stay as they were without it
        )
