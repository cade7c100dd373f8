"""Made-up tables whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.types import Observed

FOUR = ("a", "b", "c", "d")


def observed(images: pd.DataFrame, trials: pd.DataFrame, classes: tuple[str, ...]) -> Observed:
    return Observed(
        model="m",
        classes=classes,
        n_outputs=len(classes),
        frame=(32, 32),
        images=images,
        scores=pd.DataFrame(columns=["id"]),
        trials=trials,
        outside_maps={},
    )


def images_of(classes: tuple[str, ...], n: int | Sequence[int]) -> pd.DataFrame:
    """`n` images of every class, or as many as each is given."""
    labels = np.repeat(np.array(classes, dtype=object), n)
    return pd.DataFrame({"id": [f"{c}{i}" for i, c in enumerate(labels)], "class": labels})


def removal_world(
    rng: np.random.Generator,
    n: int | Sequence[int],
    classes: tuple[str, ...],
    guilty: Mapping[str, float],
    fills: tuple[str, ...] = ("smooth", "blur"),
) -> Observed:
    """Object-removed images: those of a guilty class are called by its name with its rate, others at random."""
    images = images_of(classes, n)
    rows = []
    for c, id_ in zip(images["class"], images["id"], strict=True):
        told = rng.uniform() < guilty.get(c, 0.0)
        odds = {k: rng.normal() + (4 if told and k == c else 0) for k in classes}
        predicted = max(odds, key=odds.__getitem__) if told or rng.uniform() < 0.5 else classes[0]
        for fill in fills:
            noise = {f"log_odds:{k}": v + 0.1 * rng.normal() for k, v in odds.items()}
            rows.append({"arm": fill, "recipient": id_, "recipient_class": c, "predicted": predicted, **noise})
    trials = pd.DataFrame(rows).assign(intervention="object_removed", donor="", donor_class="")
    return observed(images, trials, classes)


def transplant_world(
    rng: np.random.Generator,
    n: int | Sequence[int],
    classes: tuple[str, ...],
    guilty: Mapping[str, float],
    spread: float = 0.3,
) -> Observed:
    """Donors of a guilty class turn recipients with its rate; every donor has a propensity of its own besides."""
    images = images_of(classes, n)
    by_class = {c: images.loc[images["class"] == c, "id"].to_numpy() for c in classes}
    rows = []
    for c, donor in zip(images["class"], images["id"], strict=True):
        own = {k: rng.beta(spread, 4) for k in classes}
        others = [j for j in classes if j != c]
        for j in [*[x for _ in range(3) for x in rng.permutation(others)][:3], c]:
            odds = {k: rng.normal() + 3 * own[k] for k in classes}
            flips = [k for k in classes if k != j and rng.uniform() < own[k] / 2]
            predicted = flips[0] if flips else j
            if j != c and rng.uniform() < guilty.get(c, 0.0):
                predicted, odds[c] = c, odds[c] + 4
            rows.append(
                {
                    "arm": "own" if j == c else "other", "donor": donor, "donor_class": c,
                    "recipient": rng.choice(by_class[j]), "recipient_class": j, "predicted": predicted,
                    **{f"log_odds:{k}": v for k, v in odds.items()},
                }
            )  # fmt: skip
    return observed(images, pd.DataFrame(rows).assign(intervention="outside_transplant"), classes)
