"""What inside shares are compared with: shuffled boxes, a network that learned nothing, a bank of honest models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.core.maps import positive
from pipeline.methods.sensitivity import similarity
from pipeline.models.randomised import randomised
from pipeline.passes.attribute import attributed
from pipeline.passes.eye import Eye, Rows, class_index, generator, in_batches
from pipeline.run.frames import Frames
from pipeline.types import AuditError, Maps, Masks, Method, ModelSource

COLUMNS = ["reference", "method", "class", "n", "inside_share", "similarity"]


@dataclass(frozen=True, kw_only=True)
class References:
    """References for the attribution lead, on a sample of images; every mean is over the same images.

    `own`: the audited model itself. `shuffled_boxes`: its maps under the masks of the class's other images, which is
    what a map scores that only knows where objects tend to be. `random_weights`: the same architecture with all
    weights drawn anew. `bank:<name>`: each model of the bank; they should do the same task and be known to be honest.
    """

    images: int  # in all, spread evenly over the classes
    bank: Mapping[str, ModelSource] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.images < 2:
            raise ValueError(f"`images` must be 2 or more, got {self.images}")

    def __call__(
        self,
        eye: Eye,
        frames: Frames,
        methods: Mapping[str, Method],
        *,
        class_map: Mapping[str, str | int | None],
        seed: int,
        batch_size: int,
    ) -> pd.DataFrame:
        """One row per reference, method and class, with the columns of `COLUMNS`.

        `inside_share`: mean over `n` images. `similarity`: mean rank correlation of its maps with those of the audited
        model, NaN for the references that have its maps.

        Raises:
            AuditError: a model of the bank cannot be had, has another preprocessing, or lacks a class.
        """
        rows = sample(frames.labels, self.images, generator(seed, "references"))
        labels = np.array(frames.labels, dtype=object)[rows]
        own, masks = _maps(eye, frames, rows, methods, batch_size, "references")
        found = []
        for m, c in ((m, c) for m in methods for c in np.unique(labels)):
            at = torch.from_numpy(labels == c)
            shares = pair_shares(own[m][at], masks[at])
            others = ~torch.eye(len(shares), dtype=torch.bool)
            found.append(("own", m, c, *_counted(shares.diagonal()), float("nan")))
            found.append(("shuffled_boxes", m, c, *_counted(shares[others]), float("nan")))
        for name, other in self._others(eye, class_map, seed):
            maps, _ = _maps(other, frames, rows, methods, batch_size, name)
            for m in methods:
                alike = similarity(own[m], maps[m])
                for c in np.unique(labels):
                    at = labels == c
                    shares = pair_shares(maps[m][at], masks[at]).diagonal()
                    found.append((name, m, c, *_counted(shares), _mean(alike[at])))
        return pd.DataFrame(found, columns=COLUMNS)

    def _others(self, eye: Eye, class_map: Mapping[str, str | int | None], seed: int) -> Iterator[tuple[str, Eye]]:
        """The networks to compare with, one at a time, so that one is in memory."""
        yield "random_weights", replace(eye, classifier=randomised(eye.classifier, seed))
        for name, source in self.bank.items():
            other = source.load(eye.classifier.device)
            if repr(other.transform) != repr(eye.classifier.transform):
                raise AuditError(
                    f"references.bank.{name}: needs other preprocessing than the audited model; a bank must see the "
                    f"same pixels. Expected {eye.classifier.transform!r}, got {other.transform!r}"
                )
            index = class_index(set(eye.classes), other.classes, class_map)
            yield f"bank:{name}", Eye(classifier=other, index=index, target=eye.target)


def sample(labels: list[str], images: int, rng: np.random.Generator) -> Rows:
    """Row numbers of about `images` images, as many of every class as there are, in order; two of a class at least."""
    names = np.array(labels, dtype=object)
    classes = np.unique(names)
    each = max(2, images // len(classes))
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(names == c))[:each] for c in classes]))


def pair_shares(maps: Maps, masks: Masks) -> Tensor:
    """(B, B) float64: the inside share of map i under mask j; NaN for a map without mass and for an empty mask."""
    mass = positive(maps).double().flatten(1)
    inside = masks.double().flatten(1)
    shares = mass @ inside.T / mass.sum(dim=1, keepdim=True)
    return torch.where(inside.any(dim=1), shares, torch.nan)


def _maps(
    eye: Eye, frames: Frames, rows: Rows, methods: Mapping[str, Method], batch_size: int, name: str
) -> tuple[dict[str, Maps], Masks]:
    """Every method's oriented maps of these images, and their masks, on the host."""
    maps: dict[str, list[Maps]] = {m: [] for m in methods}
    masks = []
    with tqdm(total=len(rows), desc=name.replace("_", " "), unit="image", disable=None, leave=False) as bar:
        for part in in_batches(rows, batch_size):
            batch = frames.batch(part, eye.index)
            _, _, found = attributed(eye, batch.to(eye.classifier.device), methods)
            for m, own in found.items():
                maps[m].append(own.detach().cpu())
            masks.append(batch.inside)
            bar.update(len(part))
    return {m: torch.cat(parts) for m, parts in maps.items()}, torch.cat(masks)


def _counted(shares: Tensor) -> tuple[int, float]:
    """How many are defined, and their mean."""
    defined = shares[shares.isfinite()]
    return len(defined), float(defined.mean()) if len(defined) else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
