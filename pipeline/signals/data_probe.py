"""The data probe: can trivial properties of the photographs tell the classes apart, without any model?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.model_selection import StratifiedKFold

from pipeline.core.stats import Floats, Ints, percentile_interval, permutation_p
from pipeline.types import Evidence, Observed

RIDGE = 1.0  # on standardised properties
FREQUENT = 5  # images that must share a file type or a camera before it counts as a property
ENDS = 3  # images named at each end

# What a class's images have more of, and less of, when the property separates them.
WORDS = {
    "brightness": ("brighter", "darker"),
    "contrast": ("richer in contrast", "flatter"),
    "red": ("more red", "less red"),
    "green": ("more green", "less green"),
    "blue": ("more blue", "less blue"),
    "saturation": ("more colourful", "greyer"),
    "sharpness": ("sharper", "softer"),
    "border_red": ("more red at the border", "less red at the border"),
    "border_green": ("more green at the border", "less green at the border"),
    "border_blue": ("more blue at the border", "less blue at the border"),
    "pixels": ("larger", "smaller"),
    "aspect": ("wider", "taller"),
}


@dataclass(frozen=True, kw_only=True)
class DataProbe:
    """Per class the cross-validated AUROC of a linear model on brightness, colour, sharpness, size, file type, camera.

    Ridge regression of the class's indicator on the standardised properties and their squares: its out-of-fold scores
    are linear in the labels, so that hundreds of label permutations cost one matrix product. A lead about the data: a
    class that can be told by them invites a shortcut, and proves none.
    """

    folds: int
    draws: int  # permutations of the labels, and bootstrap samples
    max_images: int
    min_images: int  # of a class
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.folds < 2 or self.min_images < self.folds:
            raise ValueError(
                f"`folds` must be 2 or more and `min_images` no less, got {self.folds} and {self.min_images}"
            )

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        images = observed.images
        if not any(str(c).startswith("probe_") for c in images) or len(observed.classes) < 2:
            return []
        rows = np.sort(rng.permutation(len(images))[: self.max_images])
        images = images.iloc[rows].reset_index(drop=True)
        table = property_table(images)
        labels = images["class"].to_numpy(object)
        enough = [c for c in observed.classes if (labels == c).sum() >= self.min_images]
        if not enough:
            return []
        operator = out_of_fold(table.to_numpy(float), labels, self.folds, rng)
        return [self._evidence(c, images, table, operator, rng) for c in enough]

    def _evidence(
        self, c: str, images: pd.DataFrame, table: pd.DataFrame, operator: Floats, rng: np.random.Generator
    ) -> Evidence:
        own = (images["class"] == c).to_numpy()
        scores = operator @ own.astype(float)
        observed = float(auroc(scores[None], own[None])[0])
        shuffled = np.stack([rng.permutation(own) for _ in range(self.draws)])
        null = auroc((operator @ shuffled.T.astype(float)).T, shuffled)
        low, high = percentile_interval(_bootstrap(scores, own, self.draws, rng))
        ranked = images["id"].to_numpy(object)[own][np.argsort(scores[own], kind="stable")]
        return Evidence(
            signal="data_probe",
            class_name=c,
            estimate=observed,
            low=low,
            high=high,
            unit="AUROC",
            p_value=permutation_p(observed, null),
            n=int(own.sum()),
            n_others=int((~own).sum()),
            detectable=float("nan"),
            role="lead",
            version=self.version,
            details={
                **_strongest(table, own),
                "most_typical": ", ".join(ranked[::-1][:ENDS]),
                "least_typical": ", ".join(ranked[:ENDS]),
            },
        )


def property_table(images: pd.DataFrame) -> pd.DataFrame:
    """One column per property: the measured ones, size and aspect of the file, frequent file types and cameras."""
    columns: dict[str, pd.Series] = {
        str(c).removeprefix("probe_"): images[c] for c in images if str(c).startswith("probe_")
    }
    columns["pixels"] = (images["width"] * images["height"]).map(np.log)
    columns["aspect"] = (images["width"] / images["height"]).map(np.log)
    for name in ("file_type", "camera"):
        counts = images[name].value_counts() if name in images else pd.Series(dtype=int)
        for value in counts[counts >= FREQUENT].index:
            if value:
                columns[f"{name}: {value}"] = (images[name] == value).astype(float)
    table = pd.DataFrame(columns).astype(float)
    return table.loc[:, table.std() > 0]


def out_of_fold(properties: Floats, labels: np.ndarray, folds: int, rng: np.random.Generator) -> Floats:
    """(n, n) the matrix that turns any target into its cross-validated ridge predictions.

    Properties and their squares are standardised on the training folds; the intercept is not penalised.
    """
    expanded = np.concatenate([properties, (properties - properties.mean(axis=0)) ** 2], axis=1)
    operator = np.zeros((len(labels), len(labels)))
    splits = StratifiedKFold(folds, shuffle=True, random_state=int(rng.integers(2**31)))
    for train, test in splits.split(expanded, labels.astype(str)):
        mean, spread = expanded[train].mean(axis=0), expanded[train].std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        x, z = (expanded[train] - mean) / spread, (expanded[test] - mean) / spread
        centre = np.eye(len(train)) - 1 / len(train)
        slopes = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ centre)
        operator[np.ix_(test, train)] = z @ slopes + 1 / len(train)
    return operator


def auroc(scores: Floats, members: np.ndarray) -> Floats:
    """(b,) areas under the ROC curve of scores (b, n) for members (b, n) bool; ties count half."""
    ranks = rankdata(scores, axis=1)
    n1 = members.sum(axis=1)
    n0 = members.shape[1] - n1
    return np.asarray(((ranks * members).sum(axis=1) - n1 * (n1 + 1) / 2) / (n1 * n0))


def _bootstrap(scores: Floats, own: np.ndarray, draws: int, rng: np.random.Generator) -> Floats:
    inside, outside = scores[own], scores[~own]
    picked = [
        np.concatenate([rng.choice(inside, (draws, len(inside))), rng.choice(outside, (draws, len(outside)))], axis=1)
    ]
    members: Ints = np.zeros(picked[0].shape, np.int64)
    members[:, : len(inside)] = 1
    return auroc(picked[0], members.astype(bool))


def _strongest(table: pd.DataFrame, own: np.ndarray) -> dict[str, float | str]:
    """The single property that separates the class best, in words."""
    members = np.broadcast_to(own, (table.shape[1], len(own)))
    alone = auroc(table.to_numpy(float).T, members)
    best = int(np.abs(alone - 0.5).argmax())
    name, area = str(table.columns[best]), float(alone[best])
    more, less = WORDS.get(name, (f"more often {name}", f"less often {name}"))
    return {"property": name, "property_auroc": area, "property_words": more if area >= 0.5 else less}
