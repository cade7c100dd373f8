"""One case, measured: train the model, find out what it really relies on, audit it, and note both."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.calibrate.baselines import baselines, edge_ratios
from pipeline.calibrate.cases import Case
from pipeline.calibrate.pictures import (
    POOL,
    Pictures,
    audited,
    examples,
    on_surroundings_of,
    training,
    with_and_without,
)
from pipeline.judge import Judge
from pipeline.models.classifier import classifier
from pipeline.models.preprocessing import Preprocessing
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye
from pipeline.passes.study import Study, study
from pipeline.planted.bases import BASES, SIDE
from pipeline.planted.networks import MEAN, NETWORKS, STD
from pipeline.planted.plants import Mask, Plant
from pipeline.types import Evidence, Example, Intervention, Method, Metric, Signal

EPOCHS = {"flat": 14, "vit": 12}
TRAINED = 2400  # pictures of all classes together, at most POOL of each
RATE = 3e-3


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What the audit is made of: the same plugins, with the same settings, as an audit of one's own."""

    methods: Mapping[str, Method]
    metrics: Mapping[str, Metric]
    interventions: Mapping[str, Intervention]
    signals: Mapping[str, Signal]
    judge: Judge


def measure(case: Case, plant: Plant | None, tools: Tools, pools: Path) -> dict[str, object]:
    """The case, its truth, and all that the audit said, as JSON."""
    network = _trained(case, plant, pools)
    seen = audited(case, plant, pools)
    with tempfile.TemporaryDirectory() as folder:
        found = _audit(case, network, seen, tools, Path(folder))
    names = BASES[case.base][: case.classes]
    images = found.observed.images
    verdicts = {v.scope: v for v in found.verdicts}
    edges = edge_ratios(seen.images, seen.masks, seen.labels)
    classes = [
        {
            "class": name,
            "state": verdicts[name].state,
            "guards": list(verdicts[name].guards),
            "accuracy": float(images.loc[images["class"] == name, "correct"].mean()),
            "hole_fraction": float(images.loc[images["class"] == name, "hole_fraction"].mean()),
            "evidence": [noted(e) for e in found.evidence if e.class_name == name],
            "baselines": baselines(found.observed, name, edges[k]),
        }
        for k, name in enumerate(names)
    ]
    return {
        "case": asdict(case),
        "state": found.verdicts[0].state,
        "accuracy": float(images["correct"].mean()),
        "truth": truth(case, network, plant, pools),
        "hotspot": _hit(case, found, seen, plant) if plant is not None and plant.local else None,
        "classes": classes,
    }


def noted(e: Evidence) -> dict[str, object]:
    note = asdict(e)
    note["details"] = {k: v for k, v in e.details.items() if not str(k).startswith("mean_map")}
    return note


def truth(case: Case, network: nn.Module, plant: Plant | None, pools: Path) -> dict[str, float | list[float]]:
    """How much the model really uses the mark, and each class's surroundings."""
    return {**_of_mark(case, network, plant, pools), "surroundings": _of_surroundings(case, network, pools)}


def _of_surroundings(case: Case, network: nn.Module, pools: Path) -> list[float]:
    """Per class k, how much its kind of surroundings carries it, by rendering the same objects on every kind.

    The share of other classes' objects that are called k on k's kind of surroundings, minus the same on the kinds of
    third classes (neither k's nor the object's own).
    """
    if not case.context and case.arm != "context":
        return [0.0] * case.classes
    labels, on_kinds = on_surroundings_of(case, pools)
    called = np.stack([predicted(network, images) for images in on_kinds])  # (kinds, pictures)
    carried = []
    for k in range(case.classes):
        others = labels != k
        third = others & (np.arange(case.classes)[:, None] != labels)
        third[k] = False
        carried.append(float((called[k] == k)[others].mean() - (called == k)[third].mean()))
    return carried


def _of_mark(case: Case, network: nn.Module, plant: Plant | None, pools: Path) -> dict[str, float]:
    """How much the model really uses the mark, by rendering the same pictures with and without it.

    `gained`: rise of the share of other classes' pictures called guilty when the mark is added; `lost`: fall of the
    share of the guilty class's own pictures called so when it is taken away; `reliance` the larger of the two.
    """
    if plant is None:
        return {"gained": 0.0, "lost": 0.0, "reliance": 0.0}
    without, with_mark = with_and_without(case, plant, pools)
    before, after = (predicted(network, p.images) == case.guilty for p in (without, with_mark))
    if plant.absent:
        before, after = after, before
    own = without.labels == case.guilty
    gained = float(after[~own].mean() - before[~own].mean())
    lost = float(after[own].mean() - before[own].mean())
    return {"gained": gained, "lost": lost, "reliance": max(gained, lost, 0.0)}


def _trained(case: Case, plant: Plant | None, pools: Path) -> nn.Module:
    torch.manual_seed(case.seed)
    network = NETWORKS[case.network](case.classes)
    if case.arm == "random_weights":
        return network.eval()
    weak = case.arm == "weak_training"
    per_class = min(POOL, TRAINED // case.classes)
    data = training(case, plant, pools, per_class // 4 if weak else per_class)
    images, labels = normalised(data.images), torch.from_numpy(data.labels)
    epochs = 4 if weak else EPOCHS.get(case.network, 9)
    rate = RATE / 2 if case.network == "vit" else RATE
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-2)
    steps = -(-len(labels) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs=epochs, steps_per_epoch=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(64):
            loss = nn.functional.cross_entropy(network(images[rows]), labels[rows], label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def normalised(images: NDArray[np.uint8]) -> Tensor:
    """(n, H, W, 3) uint8 as the networks want them."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - mean) / std


@torch.inference_mode()
def predicted(network: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    return torch.cat([network(part).argmax(dim=1) for part in normalised(images).split(128)]).numpy()


def _audit(case: Case, network: nn.Module, seen: Pictures, tools: Tools, folder: Path) -> Study:
    names = BASES[case.base][: case.classes]
    preprocessing = Preprocessing(resize=(SIDE, SIDE), crop=None, mean=MEAN, std=STD)
    looked = classifier(network, tuple(names), preprocessing, torch.device("cpu"))
    eye = Eye(classifier=looked, index={name: i for i, name in enumerate(names)}, target="predicted")

    def stream(start: int) -> Iterator[Example]:
        return islice(examples(case, seen), start, None)

    stock = Stock(stream, len(seen.labels), (SIDE, SIDE), folder / "frames")
    return study(eye, stock, **vars(tools), name=case.name, seed=case.seed, batch_size=64)


def _hit(case: Case, found: Study, seen: Pictures, plant: Plant) -> dict[str, float]:
    """How well the guilty class's hotspot, and its images' own peaks, fit the mark: IoU with the box around it."""
    images = found.observed.images
    rows = np.flatnonzero(seen.marked & (seen.labels == case.guilty))
    marks = [footprint for i in rows if (footprint := seen.footprints[i]) is not None]
    peaks = [_iou(_around(m), p) for m, p in zip(marks, images["peak"].iloc[rows], strict=True) if p is not None]
    spots = images["hotspots"].iloc[rows]
    hits = [_iou(_around(m), s[0]) if s else 0.0 for m, s in zip(marks, spots, strict=True)]
    nothing = float("nan")
    return {
        "hotspot": float(np.mean(hits)) if hits else nothing,
        "peak": float(np.mean(np.array(peaks) >= 0.3)) if peaks else nothing,
    }


def _around(mask: Mask) -> tuple[float, float, float, float]:
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
