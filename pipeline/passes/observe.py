"""The walk that looks: predictions, attribution maps and their metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.core.maps import REASONS, positive, shared_interest_case, undefined
from pipeline.methods.probe import probe
from pipeline.methods.sensitivity import insensitive
from pipeline.models.randomised import randomised
from pipeline.passes.album import Album
from pipeline.passes.attribute import attributed
from pipeline.passes.columns import Columns
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye, Rows, halved, log_odds, to_host
from pipeline.passes.point import GRID, half, peaks, pointed, small_maps
from pipeline.types import AuditError, Batch, Images, Labels, Maps, Method, Metric

PEAK = ("x0", "y0", "x1", "y1")
PROBED = 4  # images that every method is tried on before the run


def observe(
    eye: Eye,
    stock: Stock,
    methods: Mapping[str, Method],
    metrics: Mapping[str, Metric],
    *,
    name: str,
    batch_size: int,
    album: Album | None = None,
) -> tuple[Observer, dict[str, str]]:
    """Looks at every image; methods that would lie about this model are refused first, with their reasons.

    `album` draws its images from the maps as they are made.

    Raises:
        AuditError: no image could be audited.
    """
    walk = stock.walk(batch_size)
    first = next(walk, None)
    if first is None:
        raise AuditError(_nothing(stock))
    probed = first[np.unique(np.linspace(0, len(first) - 1, PROBED).round().astype(int))]
    batch = stock.frames.batch(probed, eye.index).to(eye.classifier.device)
    targets = eye.targets(batch.labels, eye.classifier(batch.images).argmax(dim=1))
    refused = refusals(eye, methods, batch.images, targets)
    observer = Observer(eye, {m: f for m, f in methods.items() if m not in refused}, metrics, stock.total, album)

    def look(part: Rows) -> None:
        observer.see(part, stock.frames.batch(part, eye.index))

    with tqdm(total=stock.total, desc=f"{name}: looking", unit="image", disable=None) as bar:
        for rows in chain([first], walk):
            halved(look, rows)
            bar.update(len(rows))
    return observer, refused


def refusals(eye: Eye, methods: Mapping[str, Method], images: Images, targets: Labels) -> dict[str, str]:
    """The methods that would lie about this model, with the reason."""
    refused = {m: reason for m, f in methods.items() if (reason := probe(f, eye.classifier, images, targets))}
    left = {m: f for m, f in methods.items() if m not in refused}
    random = cache(partial(randomised, eye.classifier))
    found = {m: insensitive(f, eye.classifier, random, images, targets) for m, f in left.items()}
    return refused | {m: reason for m, reason in found.items() if reason}


def _nothing(stock: Stock) -> str:
    reasons = "; ".join(f"{p.id}: {p.message}" for p in stock.problems[:3])
    return f"none of the {stock.total} images can be audited. The first reasons: {reasons}"


class Observer:
    """Accumulates what one model says and what its maps show, a batch at a time; numbers cross once per batch."""

    def __init__(
        self,
        eye: Eye,
        methods: Mapping[str, Method],
        metrics: Mapping[str, Metric],
        capacity: int,
        album: Album | None = None,
    ) -> None:
        self.eye, self.methods, self.metrics, self.album = eye, methods, metrics, album
        height, width = eye.classifier.frame
        shape = (2, len(eye.classes), height, width)
        self._outside = {m: torch.zeros(shape, device=eye.classifier.device) for m in methods}
        self._ids: list[str] = []
        self._images = Columns(capacity)
        self._scores = {m: Columns(capacity) for m in methods}
        self._small = np.empty((capacity, GRID, GRID), np.float16)

    def see(self, rows: Rows, host: Batch) -> None:
        """Predicts, attributes, draws and scores one batch."""
        batch = host.to(self.eye.classifier.device)
        logits, targets, maps = attributed(self.eye, batch, self.methods)
        if self.album is not None:
            self.album(rows, host, maps)
        self.note(batch, logits, targets, maps)

    def note(self, batch: Batch, logits: Tensor, targets: Labels, maps: Mapping[str, Maps]) -> None:
        """Scores one batch, on the device, and keeps the numbers."""
        predicted = logits.argmax(dim=1)
        columns = _prediction(logits, batch.labels, predicted, targets)
        columns["area_fraction"] = batch.inside.double().mean(dim=(1, 2))
        halves = torch.tensor([half(i) for i in batch.ids], device=batch.images.device)
        found = {name: self._score(own, batch, halves) for name, own in maps.items()}
        corners = peaks(list(maps.values()), batch.inside)
        small = small_maps(list(maps.values()), batch.inside).half().cpu().numpy()
        columns |= {f"peak_{side}": corners[:, i] for i, side in enumerate(PEAK)}
        numbers = to_host(columns), {name: to_host(block) for name, (block, _) in found.items()}
        # Kept only now: a batch that ran out of memory half-way leaves nothing behind and is seen again in halves.
        self._small[len(self._ids) : len(self._ids) + len(batch)] = small
        self._ids.extend(batch.ids)
        self._images.add(numbers[0])
        for name, (_, outside) in found.items():
            self._scores[name].add(numbers[1][name])
            self._outside[name] += outside

    def _score(self, maps: Maps, batch: Batch, halves: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """One method's columns, and (2, C, H, W) what it puts outside the objects, summed per half and class."""
        columns = {"undefined": undefined(maps, batch.inside)}
        for metric in self.metrics.values():
            columns |= metric(maps, batch.inside, batch.others)
        mass = positive(maps)
        total = mass.sum(dim=(1, 2), keepdim=True)
        outside = torch.where(batch.inside, 0, mass / total).nan_to_num(0, 0, 0)
        audited = (batch.labels[:, None] == self.eye.columns).to(outside.dtype)  # (B, C) one-hot
        in_half = torch.stack([halves == 0, halves == 1], dim=1).to(outside.dtype)
        return columns, torch.einsum("bs,bc,bhw->schw", in_half, audited, outside)

    def _image_rows(self) -> pd.DataFrame:
        names, columns = self.eye.names, self._images.columns()
        predicted, target = columns.pop("predicted").astype(int), columns.pop("target").astype(int)
        correct = columns.pop("correct").astype(bool)
        corners = np.stack([columns.pop(f"peak_{side}") for side in PEAK], axis=1)
        named = {"predicted": names[predicted], "target": names[target], "correct": correct}
        places = [tuple(map(float, c)) if np.isfinite(c).all() else None for c in corners]
        own = {"half": [half(i) for i in self._ids], "peak": pd.Series(places, dtype=object)}
        return pd.DataFrame({"id": self._ids, **named, **columns, **own}).assign(
            small_map=list(self._small[: len(self._ids)])
        )

    def tables(self, facts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]:
        """`images`, `scores` and `outside_maps` of types.Observed."""
        images = facts.merge(self._image_rows(), on="id", validate="one_to_one")
        images["frame"] = [self.eye.classifier.frame] * len(images)
        counts = images["class"].value_counts().reindex(self.eye.classes, fill_value=0).to_numpy()
        halves = {name: sums.cpu().numpy() for name, sums in self._outside.items()}
        images = pointed(images, self.eye.classes, halves)
        outside = {name: sums.sum(axis=0) / np.maximum(counts, 1)[:, None, None] for name, sums in halves.items()}
        if not self._scores:
            return images, pd.DataFrame(columns=["id", "method", "class", "undefined"]), outside
        rows = [_score_rows(self._ids, name, block.columns()) for name, block in self._scores.items()]
        scores = pd.concat(rows, ignore_index=True).merge(images[["id", "class", "correct"]], on="id")
        if "iou_binary" in scores:
            scores["shared_interest_case"] = shared_interest_case(
                scores["iou_binary"], scores["ground_truth_coverage"], scores["saliency_coverage"], scores["correct"]
            )
        # The metrics' area fraction is the same for every method: it belongs to the image, like `correct`.
        return images, scores.drop(columns=["area_fraction", "correct"], errors="ignore"), outside


def _prediction(logits: Tensor, labels: Tensor, predicted: Tensor, targets: Tensor) -> dict[str, Tensor]:
    probabilities = logits.double().softmax(dim=1)
    at = labels[:, None]
    return {
        "predicted": predicted,
        "target": targets,
        "correct": predicted == labels,
        "probability": probabilities.gather(1, at)[:, 0],
        "predicted_probability": probabilities.amax(dim=1),
        "logit": logits.gather(1, at)[:, 0],
        "log_odds": log_odds(logits).gather(1, at)[:, 0],
    }


def _score_rows(ids: Sequence[str], method: str, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    reasons = np.array(REASONS, dtype=object)[columns.pop("undefined").astype(int)]
    return pd.DataFrame({"id": list(ids), "method": method, "undefined": reasons, **columns})
