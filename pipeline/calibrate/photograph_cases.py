"""The photographs' cases: which pretrained networks are fine-tuned on which classes and marks, drawn by seed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

PhotographArm = Literal[
    "planted",  # one class carries a mark in most of its images
    "rare",  # one class carries it in 20 to 30 % of them
    "clean",
    "balanced",  # every class carries the mark equally often
    "audit_only",  # one class carries it in the audited images, none in training
    "surroundings",  # trained with the objects hidden: the model knows surroundings and little else
    "jittered",  # clean models, annotation arms: every box moved at random by 8 % of its side
    "shrunken",  # every box too small: 80 % of its sides
    "one_wrong",  # the boxes of one class mirrored, as where a camera turned the images
]
ANNOTATION_ARMS = ("jittered", "shrunken", "one_wrong")
MARKED = ("planted", "rare", "balanced", "audit_only")


@dataclass(frozen=True, kw_only=True)
class PhotographCase:
    """One fine-tuned model. `kind` names the mark ("" without one), `guilty` the place of its class in `classes`."""

    name: str
    arm: PhotographArm
    kind: str
    classes: tuple[str, ...]
    group: int  # models of one group know the same classes: intervals are clustered by it
    prevalence: float
    leak: float  # share of the other classes' images that carry the mark too
    strength: float  # visibility of the mark, in (0, 1]
    images_per_class: int  # audited, where the class has so many with enough surroundings
    guilty: int
    seed: int

    def rates(self, *, training: bool) -> list[float]:
        """Per class, the share of its pictures that carry the mark."""
        if self.arm == "balanced":
            return [self.prevalence] * len(self.classes)
        if self.arm in ("planted", "rare") or (self.arm == "audit_only" and not training):
            return [self.prevalence if i == self.guilty else self.leak for i in range(len(self.classes))]
        return [0.0] * len(self.classes)


def draw_cases(
    names: Sequence[str],
    *,
    kinds: Sequence[str],
    arms: Mapping[str, int],
    n_classes: Sequence[int],
    groups: int,
    images_per_class: int,
    seed: int,
) -> list[PhotographCase]:
    """All cases, in an order that mixes arms, so that a run stopped early has seen some of each.

    Args:
        names: the classes that have enough photographs.
        arms: arm -> models; marked arms go through the kinds in turn.
        groups: how many sets of classes are drawn; models share them.
    """
    rng = np.random.default_rng(seed)
    sets = [tuple(sorted(rng.choice(names, int(rng.choice(list(n_classes))), replace=False))) for _ in range(groups)]
    wanted = [(arm, kinds[i % len(kinds)] if arm in MARKED else "", i) for arm, n in arms.items() for i in range(n)]
    made = [_case(arm, kind, i, sets, images_per_class, seed) for arm, kind, i in wanted]
    return [made[i] for i in rng.permutation(len(made))]


def _case(
    arm: str, kind: str, number: int, sets: Sequence[tuple[str, ...]], images_per_class: int, seed: int
) -> PhotographCase:
    name = "-".join(filter(None, ["photographs", arm, kind, str(number)]))
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    group = int(rng.integers(len(sets)))
    prevalences = {"rare": [0.2, 0.25, 0.3], "balanced": [0.4, 0.9]}.get(arm, [0.8, 0.9, 1.0, 1.0])
    return PhotographCase(
        name=name,
        arm=arm,  # type: ignore[arg-type]
        kind=kind,
        classes=tuple(map(str, sets[group])),
        group=group,
        prevalence=float(rng.choice(prevalences)),
        leak=float(rng.choice([0.0, 0.02, 0.05])) if arm == "planted" else 0.0,
        strength=float(rng.choice([0.6, 0.8, 1.0] if arm != "rare" else [1.0])),
        images_per_class=images_per_class,
        guilty=int(rng.integers(len(sets[group]))),
        seed=int(rng.integers(2**31)),
    )
