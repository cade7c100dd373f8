"""Fine-tuned networks on real photographs with planted marks: pixels read once, divided, marked, annotated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.calibrate.fine_tuning import fine_tuned
from pipeline.calibrate.photograph_cases import ANNOTATION_ARMS, PhotographCase, draw_cases
from pipeline.datasets.loading import examples
from pipeline.planted.plants import Mask, Plant, Planter
from pipeline.types import AuditError, Classifier, Dataset, Example, ModelSource, ObjectRegion, Record

EPOCHS, RATE = 14, 1e-3
TRUTH = 40  # photographs a class that measure the truth; none of them is audited


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """Photographs in the model's frame. `footprints` are the marks' pixels, None where there is no local mark."""

    images: NDArray[np.uint8]  # (n, 3, H, W)
    masks: NDArray[np.bool_]  # (n, H, W), the objects
    boxes: NDArray[np.float32]  # (n, 4) xyxy, around each image's objects
    labels: NDArray[np.int64]  # (n,) numbers of the case's classes
    marked: NDArray[np.bool_]
    footprints: list[Mask | None]

    def of(self, rows: NDArray[np.int64]) -> Photographs:
        """Some of them."""
        return Photographs(
            images=self.images[rows],
            masks=self.masks[rows],
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            marked=self.marked[rows],
            footprints=[self.footprints[i] for i in rows],
        )


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset's photographs, all of them in memory, and the pretrained network whose frame they are in."""

    photographs: Photographs
    names: tuple[str, ...]
    free: NDArray[np.float64]  # (n,) share of the frame off each box and its margin
    classifier: Classifier

    def rows(self, name: str) -> NDArray[np.int64]:
        """Those of one class."""
        return np.flatnonzero(self.photographs.labels == self.names.index(name))


_READ: dict[str, Source] = {}


def source(dataset: Dataset, model: ModelSource, margin: float) -> Source:
    """The photographs and the network, read when they are first asked for in a process.

    Raises:
        AuditError: nothing can be read.
    """
    key = repr((dataset, model, margin))
    if key not in _READ:
        _READ[key] = _read(dataset, model, margin)
    return _READ[key]


def _read(dataset: Dataset, model: ModelSource, margin: float) -> Source:
    classifier = model.load(torch.device("cpu"))
    records = [r for r in dataset.records() if isinstance(r, Record)]
    names = tuple(sorted({r.label for r in records}))
    usable = [e for e in examples(records, classifier.transform, classifier.frame) if isinstance(e, Example)]
    if not usable:
        raise AuditError("none of the dataset's photographs can be read")
    boxes = torch.stack([torch.cat([e.boxes[:, :2].amin(0), e.boxes[:, 2:].amax(0)]) for e in usable]).numpy()
    everything = Photographs(
        images=torch.stack([e.image for e in usable]).numpy(),
        masks=torch.stack([e.inside for e in usable]).numpy(),
        boxes=boxes,
        labels=np.array([names.index(e.record.label) for e in usable]),
        marked=np.zeros(len(usable), bool),
        footprints=[None] * len(usable),
    )
    height, width = classifier.frame
    by = margin * (boxes[:, 2:] - boxes[:, :2])
    seen = np.concatenate([boxes[:, :2] - by, boxes[:, 2:] + by], axis=1).clip(0, [width, height, width, height])
    free = 1 - (seen[:, 2:] - seen[:, :2]).prod(axis=1) / (height * width)
    return Source(photographs=everything, names=names, free=free, classifier=classifier)


@dataclass(frozen=True, kw_only=True)
class PhotographPlan:
    """Pretrained networks, their last block and head fine-tuned on photographs of some of the dataset's classes.

    `kinds` are the marks that may be planted, `arms` how many models of each arm, `seed` makes all of them anew. Of a
    class, the photographs with most surroundings are audited, up to `images_per_class` with at least `outside` of the
    frame off the object's box and its margin; the others train, but for some that measure the truth.
    """

    dataset: Dataset
    model: ModelSource
    kinds: Sequence[str]
    arms: Mapping[str, int]
    n_classes: Sequence[int]
    groups: int  # sets of classes that the models share
    images_per_class: int
    least: int  # photographs to audit that a class needs
    outside: float  # share of the frame
    margin: float  # around a box, as a share of its sides
    seed: int

    def cases(self) -> list[PhotographCase]:
        """All cases. Raises AuditError where too few classes have enough photographs."""
        names = [n for n in self.source.names if len(self._auditable(n)) >= self.least]
        if len(names) < max(self.n_classes):
            raise AuditError(
                f"{len(names)} classes have {self.least} photographs with {self.outside:.0%} of the frame outside "
                f"their boxes; `n_classes` asks for {max(self.n_classes)}"
            )
        return draw_cases(
            names,
            kinds=self.kinds,
            arms=self.arms,
            n_classes=self.n_classes,
            groups=self.groups,
            images_per_class=self.images_per_class,
            seed=self.seed,
        )

    @property
    def source(self) -> Source:
        """The photographs, read once per process."""
        return source(self.dataset, self.model, self.margin)

    def _auditable(self, name: str) -> NDArray[np.int64]:
        """Rows of a class with enough surroundings, those with most first."""
        rows = self.source.rows(name)
        free = self.source.free[rows]
        return rows[np.argsort(-free, kind="stable")][: int((free >= self.outside).sum())]

    def split(self, case: PhotographCase, part: str) -> Photographs:
        """The `training`, `audit` or `truth` photographs of a case, unmarked, labelled by the case's classes."""
        rows = []
        for name in case.classes:
            own = self.source.rows(name)
            rng = np.random.default_rng([case.group, self.source.names.index(name)])
            audited = rng.permutation(self._auditable(name)[: 2 * case.images_per_class])[: case.images_per_class]
            rest = rng.permutation(np.setdiff1d(own, audited))
            rows.append({"audit": audited, "truth": rest[:TRUTH], "training": rest[TRUTH:]}[part])
        found = self.source.photographs.of(np.concatenate(rows))
        labels = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        return Photographs(**{**vars(found), "labels": labels})


def marked(
    found: Photographs, case: PhotographCase, plant: Plant | None, rates: Sequence[float], salt: int
) -> Photographs:
    """The photographs, some of them with the mark; `rates` says how many of each class."""
    if plant is None:
        return found
    rng = np.random.default_rng([case.seed, salt])
    carries = rng.uniform(size=len(found.labels)) < np.asarray(rates)[found.labels]
    planter = Planter(plant=plant, strength=case.strength, style=case.seed)
    images, footprints = found.images.copy(), list(found.footprints)
    for i in np.flatnonzero(carries):
        drawn, footprints[i] = planter(images[i].transpose(1, 2, 0), found.masks[i], int(i) + 100_000 * salt)
        images[i] = drawn.transpose(2, 0, 1)
    return Photographs(**{**vars(found), "images": images, "marked": carries, "footprints": footprints})


def trained(plan: PhotographPlan, case: PhotographCase, plant: Plant | None) -> nn.Module:
    """The case's network."""
    data = marked(plan.split(case, "training"), case, plant, case.rates(training=True), 1)
    if case.arm == "surroundings":
        data = with_hidden_objects(data, np.random.default_rng(case.seed))
    normalised = plan.source.classifier.module
    assert isinstance(normalised.network, nn.Module)
    return fine_tuned(
        normalised.network,
        normalised.mean,  # type: ignore[arg-type]
        normalised.std,  # type: ignore[arg-type]
        data.images,
        data.labels,
        len(case.classes),
        epochs=EPOCHS,
        rate=RATE,
        seed=case.seed % 2**31,
    )


def with_hidden_objects(found: Photographs, rng: np.random.Generator) -> Photographs:
    """Every object's box filled with another random photograph's pixels: what is left to learn is around it."""
    images = found.images.copy()
    for i, (x0, y0, x1, y1) in enumerate(found.boxes.round().astype(int)):
        other = int(rng.integers(len(images)))
        images[i, :, y0:y1, x0:x1] = found.images[other, :, y0:y1, x0:x1]
    return Photographs(**{**vars(found), "images": images})


def told(case: PhotographCase, found: Photographs) -> Iterator[Example]:
    """The photographs as the audit gets them, with the annotation that the case gives it."""
    rng = np.random.default_rng([case.seed, 5])
    height, width = found.masks.shape[1:]
    for i, (image, label) in enumerate(zip(found.images, found.labels, strict=True)):
        box = _annotated(case, found.boxes[i], int(label), (height, width), rng)
        x0, y0, x1, y1 = (round(v) for v in box)
        inside = torch.zeros(height, width, dtype=torch.bool)
        inside[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
        if case.arm not in ANNOTATION_ARMS:
            inside = torch.from_numpy(found.masks[i])
        name = case.classes[label]
        region = ObjectRegion(label=name, box=box)
        yield Example(
            record=Record(id=f"{name}-{i:05d}", path=Path(f"{i}.png"), label=name, objects=(region,)),
            image=torch.from_numpy(image),
            inside=inside,
            others=torch.zeros_like(inside),
            boxes=torch.tensor([box]),
            visible_fraction=1.0,
            region_kind="box",
            original_size=(width, height),
            suspect="camera_turned" if case.arm == "one_wrong" and label == case.guilty else "",  # as reading would say
        )


def _annotated(
    case: PhotographCase, box: NDArray[np.float32], label: int, frame: tuple[int, int], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    height, width = frame
    x0, y0, x1, y1 = box.astype(float)
    if case.arm == "jittered":
        x0, y0, x1, y1 = box + rng.normal(0, 0.08, 4) * np.tile(box[2:] - box[:2], 2)
    elif case.arm == "shrunken":
        across, down = 0.1 * (x1 - x0), 0.1 * (y1 - y0)
        x0, y0, x1, y1 = x0 + across, y0 + down, x1 - across, y1 - down
    elif case.arm == "one_wrong" and label == case.guilty:
        x0, y0, x1, y1 = y0 * width / height, x0 * height / width, y1 * width / height, x1 * height / width
    x0, y0 = float(np.clip(x0, 0, width - 2)), float(np.clip(y0, 0, height - 2))
    return x0, y0, float(np.clip(x1, x0 + 1, width)), float(np.clip(y1, y0 + 1, height))


def stream(case: PhotographCase, found: Photographs, start: int) -> Iterator[Example]:
    """`told` from one photograph on."""
    return islice(told(case, found), start, None)
