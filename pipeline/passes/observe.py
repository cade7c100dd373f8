"""The walk that looks: predictions, attribution maps and their metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, partial
from itertools import chain
from pathlib import Path

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
from pipeline.passes.columns import Columns, Told
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye, Rows, halved, log_odds, to_host
from pipeline.passes.point import half, peaks, pointed, small_maps
from pipeline.run.frames import Frames
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
    parts: Path | None = None,
) -> tuple[Observer, dict[str, str]]:
    """Looks at every image; methods that would lie about this model are refused first, with their reasons.

    `album` draws its images from the maps as they are made. `parts` is where finished parts are laid down, and where
    those of an earlier process lie.

    Raises:
        AuditError: no image could be audited.
    """
    kept = Columns(parts)
    if len(kept) > len(stock.frames):
        raise AuditError(f"{parts} tells of images that its run lacks; remove that unfinished run's folder")
    notes = kept.notes()
    walk = stock.walk(batch_size, len(kept))
    first: Iterable[Rows] = ()
    if notes:
        refused = notes[0]["refused"]
    else:
        rows = next(walk, None)
        if rows is None:
            raise AuditError(_nothing(stock))
        refused = _refused(eye, stock.frames, methods, rows)
        first = [rows]
    used = {m: f for m, f in methods.items() if m not in refused}
    observer = Observer(eye, used, metrics, columns=kept, album=album)

    def look(part: Rows) -> None:
        observer.see(part, stock.frames.batch(part, eye.index))

    def told() -> Told:
        stock.keep()  # first, since the numbers are about its images
        return observer.told({"refused": refused})

    with tqdm(total=stock.total, initial=len(kept), desc=f"{name}: looking", unit="image", disable=None) as bar:
        for rows in chain(first, walk):
            halved(look, rows)
            bar.update(len(rows))
            if kept.due:
                kept.keep(told)
    kept.keep(told)
    return observer, refused


def _refused(eye: Eye, frames: Frames, methods: Mapping[str, Method], rows: Rows) -> dict[str, str]:
    """The methods that would lie about this model, tried on a few of these images."""
    probed = rows[np.unique(np.linspace(0, len(rows) - 1, PROBED).round().astype(int))]
    batch = frames.batch(probed, eye.index).to(eye.classifier.device)
    targets = eye.targets(batch.labels, eye.classifier(batch.images).argmax(dim=1))
    return refusals(eye, methods, batch.images, targets)


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
    """Accumulates what one model says and what its maps show, a batch at a time; numbers cross once per batch.

    `columns` may hold what an earlier process saw.
    """

    def __init__(
        self,
        eye: Eye,
        methods: Mapping[str, Method],
        metrics: Mapping[str, Metric],
        *,
        columns: Columns | None = None,
        album: Album | None = None,
    ) -> None:
        self.eye, self.methods, self.metrics, self.album = eye, methods, metrics, album
        self._columns = Columns() if columns is None else columns
        height, width = eye.classifier.frame
        shape = (2, len(eye.classes), height, width)
        self._outside = {m: torch.zeros(shape, device=eye.classifier.device) for m in methods}
        for m, sums in self._columns.state().items():
            self._outside[m] += torch.from_numpy(sums).to(eye.classifier.device)
        for note in self._columns.notes():
            if album is not None:
                album.take_up(note["drawn"])

    def told(self, note: Mapping[str, object]) -> Told:
        """What is laid down beside the columns: what was drawn since the last time, a caller's note, and the sums."""
        drawn = self.album.drawn(self._columns.kept) if self.album is not None else {}
        return {**note, "drawn": drawn}, {m: outside.cpu().numpy() for m, outside in self._outside.items()}

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
        scores = {f"{i}:{c}": v for i, (block, _) in enumerate(found.values()) for c, v in block.items()}
        numbers = to_host(columns | scores)
        # Kept only now: a batch that ran out of memory half-way leaves nothing behind and is seen again in halves.
        self._columns.add({"small_map": small, **numbers})
        for name, (_, outside) in found.items():
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

    def tables(self, facts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]:
        """`images`, `scores` and `outside_maps` of types.Observed; `facts` has a row for every image seen, in order."""
        columns = self._columns.columns()
        scored = {m: _taken(columns, f"{i}:") for i, m in enumerate(self.methods)}
        images = pd.concat([facts, _image_rows(self.eye, facts["id"], columns)], axis=1)
        images["frame"] = [self.eye.classifier.frame] * len(images)
        counts = images["class"].value_counts().reindex(self.eye.classes, fill_value=0).to_numpy()
        halves = {name: sums.cpu().numpy() for name, sums in self._outside.items()}
        images = pointed(images, self.eye.classes, halves)
        outside = {name: sums.sum(axis=0) / np.maximum(counts, 1)[:, None, None] for name, sums in halves.items()}
        if not scored:
            return images, pd.DataFrame(columns=["id", "method", "class", "undefined"]), outside
        scores = pd.concat([_score_rows(images, m, own) for m, own in scored.items()], ignore_index=True)
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


def _taken(columns: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Takes the columns whose names begin so, and gives them without it."""
    return {c.removeprefix(prefix): columns.pop(c) for c in list(columns) if c.startswith(prefix)}


def _image_rows(eye: Eye, ids: pd.Series, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """What was seen of every image, besides the scores."""
    names, small = eye.names, columns.pop("small_map")
    predicted, target = columns.pop("predicted").astype(int), columns.pop("target").astype(int)
    correct = columns.pop("correct").astype(bool)
    corners = np.stack([columns.pop(f"peak_{side}") for side in PEAK], axis=1)
    named = {"predicted": names[predicted], "target": names[target], "correct": correct}
    places = [tuple(map(float, c)) if np.isfinite(c).all() else None for c in corners]
    own = {"half": [half(i) for i in ids], "peak": pd.Series(places, dtype=object)}
    return pd.DataFrame({**named, **columns, **own}).assign(small_map=list(small))


def _score_rows(images: pd.DataFrame, method: str, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    reasons = np.array(REASONS, dtype=object)[columns.pop("undefined").astype(int)]
    ids, labels, correct = (images[c].to_numpy() for c in ("id", "class", "correct"))
    own = {"id": ids, "method": method, "undefined": reasons, **columns}
    return pd.DataFrame({**own, "class": labels, "correct": correct})
