"""A case's pictures: drawn from the pools, marked as the case says, annotated well or badly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from pipeline.calibrate.cases import Case
from pipeline.planted.backdrops import grid, kinds
from pipeline.planted.bases import BASES, SIDE, Pool, pool
from pipeline.planted.plants import Mask, Plant, Planter
from pipeline.types import Example, ObjectRegion, Record

POOL = 700  # training pictures per class
HELD_BACK = 320  # per class: audited ones, and those that measure the truth
TRUTH = 80  # pictures per class that measure the truth
WARM, COOL = np.array([1.0, 0.75, 0.45], np.float32), np.array([0.5, 0.8, 1.0], np.float32)
SPLITS = {"training": 2, "audit": 3, "truth": 4}  # seeds


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures of one split. `footprints` are the marks' pixels, None for pictures without a local mark."""

    images: NDArray[np.uint8]  # (n, H, W, 3)
    masks: NDArray[np.bool_]  # (n, H, W), what is annotated
    labels: NDArray[np.int64]
    marked: NDArray[np.bool_]
    footprints: list[Mask | None]


def training(case: Case, plant: Plant | None, folder: Path, per_class: int) -> Pictures:
    """The training set: the mark as often as the case says, and in which classes."""
    source = _of_classes(pool(case.base, case.pictures, "training", POOL, folder), case, per_class, "training")
    if case.arm in ("balanced", "immune"):
        rates = np.full(case.classes, case.prevalence)
    elif case.arm == "planted":
        rates = _planted_rates(case, plant)
    else:
        rates = np.zeros(case.classes)
    return _marked(case, plant, source, rates, "training")


def audited(case: Case, plant: Plant | None, folder: Path) -> Pictures:
    """The audit set: like the training set, but for arms whose point is that it differs."""
    source = _of_classes(_held_back(case, folder), case, case.images_per_class, "audit")
    planted = case.arm in ("planted", "audit_only", "immune")
    rates = _planted_rates(case, plant) if planted else np.full(case.classes, case.prevalence)
    return _marked(case, plant, source, rates, "audit")


def _planted_rates(case: Case, plant: Plant | None) -> NDArray[np.float64]:
    """Per class, the share of pictures with the mark; or, where its absence tells, of those it is not missing from."""
    absent = plant is not None and plant.absent
    rates = np.full(case.classes, case.prevalence if absent else case.leak)
    rates[case.guilty] = case.leak if absent else case.prevalence
    return rates


def with_and_without(case: Case, plant: Plant, folder: Path) -> tuple[Pictures, Pictures]:
    """The same pictures, all without and all with the mark."""
    source = _of_classes(_held_back(case, folder), case, TRUTH, "truth")
    none, all_ = np.zeros(case.classes), np.ones(case.classes)
    return _marked(case, plant, source, none, "truth"), _marked(case, plant, source, all_, "truth")


def on_surroundings_of(case: Case, folder: Path) -> tuple[NDArray[np.int64], list[NDArray[np.uint8]]]:
    """Labels of unmarked pictures, and the same objects on each class's kind of surroundings in turn."""
    source = _of_classes(_held_back(case, folder), case, TRUTH, "truth")
    of = [np.full_like(source.label, k) for k in range(case.classes)]
    none = np.zeros(case.classes)
    return source.label, [_marked(case, None, source, none, "truth", of=owner).images for owner in of]


def _held_back(case: Case, folder: Path) -> Pool:
    return pool(case.base, case.pictures, "held_back", HELD_BACK, folder)


def _of_classes(source: Pool, case: Case, per_class: int, split: str) -> Pool:
    """Random pictures of the case's first classes; audit and truth never share one."""
    rng = np.random.default_rng([case.seed, 0 if split == "training" else 1])
    rows = []
    for k in range(case.classes):
        own = rng.permutation(np.flatnonzero((source.label == k) & _belongs(source, case, k)))
        rows.append(own[-per_class:] if split == "truth" else own[:per_class])
    at = np.concatenate(rows)
    return Pool(plain=source.plain[at], empty=source.empty[at], mask=source.mask[at], label=source.label[at])


def _belongs(source: Pool, case: Case, k: int) -> NDArray[np.bool_]:
    """(n,) the pictures that the arm leaves to class k: half of them where objects differ in size or place."""
    if case.arm == "sized":
        measure = source.mask.sum(axis=(1, 2)).astype(float)
    elif case.arm == "placed":
        measure = (source.mask * np.arange(source.mask.shape[2])).sum(axis=(1, 2)) / source.mask.sum(axis=(1, 2))
    else:
        return np.ones(len(source.label), bool)
    below = measure < np.median(measure)
    return below if k == case.guilty else ~below


def _marked(
    case: Case, plant: Plant | None, source: Pool, rates: NDArray, split: str, of: NDArray[np.int64] | None = None
) -> Pictures:
    """The pictures as the case has them, each on surroundings of its own class, or of the classes in `of`."""
    rng = np.random.default_rng([case.seed, SPLITS[split]])
    of = source.label if of is None else of
    if case.context:
        source = _on_kinds(source, case, of, split)
    images, masks = source.plain.copy(), source.mask.copy()
    if case.arm == "missing_objects":
        images, masks = _with_second_objects(source, rng)
    if case.arm == "context":
        images = _cast(images, source, case, of, rng)
    marked = rng.uniform(size=len(images)) < rates[source.label]
    footprints: list[Mask | None] = [None] * len(images)
    if plant is not None:
        planter = Planter(plant=plant, strength=case.strength, style=case.seed)
        for i in np.flatnonzero(marked):
            images[i], footprints[i] = planter(images[i], source.mask[i], int(i))
    return Pictures(images=images, masks=masks, labels=source.label, marked=marked, footprints=footprints)


def _on_kinds(source: Pool, case: Case, of: NDArray[np.int64], split: str) -> Pool:
    """Around the objects, some of the kind of surroundings that a class prefers: more or less of it by picture."""
    own = kinds(np.random.default_rng([case.seed, 6]), case.classes)
    x, y = grid(SIDE)
    plain = source.plain.copy()
    for i, k in enumerate(of):
        rng = np.random.default_rng([case.seed, 7, SPLITS[split], i])
        typical = rng.uniform() ** (1 / case.context - 1)  # `context` on average
        around = (1 - typical) * plain[i] + typical * 255 * own[k](rng, x, y).clip(0, 1)
        plain[i] = np.where(source.mask[i][..., None], plain[i], around.round())
    return replace(source, plain=plain)


def _cast(
    images: NDArray[np.uint8], source: Pool, case: Case, of: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Every other class prefers warm surroundings, the rest cool ones."""
    prefers = rng.uniform(size=len(images)) < case.preference
    warm = (of % 2 == 0) == prefers
    cast = np.where(warm[:, None, None, None], WARM, COOL)
    tinted = images * cast
    return np.where(source.mask[..., None], images, tinted.round()).astype(np.uint8)


def _with_second_objects(source: Pool, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A second object of the same class in 30 % of the pictures, which the annotation does not know."""
    images, masks = source.plain.copy(), source.mask
    for i in np.flatnonzero(rng.uniform(size=len(images)) < 0.3):
        for j in rng.permutation(np.flatnonzero(source.label == source.label[i]))[:10]:
            if not (masks[i] & masks[j]).any():
                images[i] = np.where(masks[j][..., None], source.plain[j], images[i])
                break
    return images, masks


def examples(case: Case, pictures: Pictures) -> Iterator[Example]:
    """The pictures as the audit gets them, with the annotation that the case gives it."""
    rng = np.random.default_rng([case.seed, 5])
    names = BASES[case.base]
    for i, (image, mask) in enumerate(zip(pictures.images, pictures.masks, strict=True)):
        told = binary_erosion(mask, iterations=2) if case.arm == "eroded" else mask
        if not told.any():
            told = mask
        box = _box(told, case, rng)
        label = names[pictures.labels[i]]
        record = Record(
            id=f"{label}-{i:05d}", path=Path(f"{i}.png"), label=label, objects=(ObjectRegion(label=label, box=box),)
        )
        inside = torch.from_numpy(told if case.regions == "mask" else _filled(box, mask.shape))
        yield Example(
            record=record,
            image=torch.from_numpy(image).permute(2, 0, 1),
            inside=inside,
            others=torch.zeros_like(inside),
            boxes=torch.tensor([box]),
            visible_fraction=1.0,
            region_kind=case.regions,
            original_size=(mask.shape[1], mask.shape[0]),
        )


def _box(mask: Mask, case: Case, rng: np.random.Generator) -> tuple[float, float, float, float]:
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], float)
    sides = np.tile(box[2:] - box[:2], 2)
    if case.arm == "jittered":
        box = box + rng.normal(0, 0.08, 4) * sides
    if case.arm == "dilated":
        box = box + np.array([-0.2, -0.2, 0.2, 0.2]) * sides
    limit = np.array([mask.shape[1], mask.shape[0]] * 2)
    x0, y0, x1, y1 = np.clip(box, 0, limit)
    return float(x0), float(y0), float(max(x1, x0 + 1)), float(max(y1, y0 + 1))


def _filled(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> Mask:
    filled = np.zeros(shape, bool)
    x0, y0, x1, y1 = (round(v) for v in box)
    filled[y0:y1, x0:x1] = True
    return filled
