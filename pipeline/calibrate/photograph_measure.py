"""One case on photographs, measured: fine-tune the network, find out what it relies on, audit it, and note both."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from pipeline.calibrate.measure import Tools, noted
from pipeline.calibrate.photograph_cases import PhotographCase
from pipeline.calibrate.photographs import PhotographPlan, Photographs, marked, stream, trained
from pipeline.models.classifier import classifier
from pipeline.models.preprocessing import Preprocessing
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye
from pipeline.passes.study import Study, study
from pipeline.planted.plants import Plant
from pipeline.types import Evidence

SWAPS = 3  # objects that are put on each photograph's surroundings, to measure what these carry


def measure_photographs(
    plan: PhotographPlan, case: PhotographCase, plant: Plant | None, tools: Tools
) -> dict[str, object]:
    """The case, its truth, and all that the audit said, as JSON."""
    network = trained(plan, case, plant)
    plain = plan.split(case, "audit")
    seen = marked(plain, case, plant, case.rates(training=False), 2)
    with tempfile.TemporaryDirectory() as folder:
        found = _audit(plan, case, network, seen, tools, Path(folder))
    images = found.observed.images
    verdicts = {v.scope: v for v in found.verdicts}
    classes = [
        {
            "class": name,
            "state": verdicts[name].state,
            "guards": list(verdicts[name].guards),
            "suspect": found.observed.suspect.get(name, ""),
            "correct": images.loc[images["class"] == name, "correct"].astype(int).tolist(),
            "hole_fraction": images.loc[images["class"] == name, "hole_fraction"].round(4).tolist(),
            "evidence": [noted(e) | {"hits": _hits(e, case, seen)} for e in found.evidence if e.class_name == name],
        }
        for name in case.classes
    ]
    return {
        "case": asdict(case),
        "state": found.verdicts[0].state,
        "accuracy": float(images["correct"].mean()),
        "truth": truth(plan, case, network, plant) | {"surroundings": surroundings(plan, case, network, plain)},
        "classes": classes,
    }


def truth(plan: PhotographPlan, case: PhotographCase, network: nn.Module, plant: Plant | None) -> dict[str, object]:
    """How much the network really uses the mark, by pasting it on photographs that it never saw, and by leaving it out.

    `gained`: rise of the share of other classes' photographs that are called guilty when the mark is pasted; `lost`:
    fall of the share of the guilty class's own that are, when it is not; `reliance` the larger of the two.
    """
    if plant is None:
        return {"gained": 0.0, "lost": 0.0, "reliance": 0.0}
    without = plan.split(case, "truth")
    with_mark = marked(without, case, plant, [1.0] * len(case.classes), 3)
    before, after = (predicted(plan, network, p.images) == case.guilty for p in (without, with_mark))
    own = without.labels == case.guilty
    gained = float(after[~own].mean() - before[~own].mean())
    lost = float(after[own].mean() - before[own].mean())
    return {"gained": gained, "lost": lost, "reliance": max(gained, lost, 0.0)}


def surroundings(plan: PhotographPlan, case: PhotographCase, network: nn.Module, seen: Photographs) -> list[float]:
    """Per class, how much more often other classes' objects are called so on its surroundings than on the others'.

    Another road than the audit's: the box's pixels are cut out without margin, stretched into the other box, and put
    there with a hard edge.
    """
    rng = np.random.default_rng([case.seed, 9])
    right = predicted(plan, network, seen.images) == seen.labels
    donors, recipients = [], []
    for donor, label in enumerate(seen.labels):
        for recipient in rng.permutation(np.flatnonzero((seen.labels != label) & right))[:SWAPS]:
            donors.append(donor)
            recipients.append(int(recipient))
    said = predicted(plan, network, np.stack([_swapped(seen, d, r) for d, r in zip(donors, recipients, strict=True)]))
    of, onto = seen.labels[recipients], seen.labels[donors]
    found = []
    for k in range(len(case.classes)):
        others = [c for c in range(len(case.classes)) if c != k]
        base = [float((said[(onto == c) & (of != k)] == k).mean()) for c in others if ((onto == c) & (of != k)).any()]
        found.append(float((said[onto == k] == k).mean()) - float(np.median(base or [0.0])))
    return found


def _swapped(seen: Photographs, donor: int, recipient: int) -> NDArray[np.uint8]:
    """(3, H, W): the donor's photograph with the recipient's object in its box."""
    x0, y0, x1, y1 = _whole(seen.boxes[donor])
    u0, v0, u1, v1 = _whole(seen.boxes[recipient])
    given = torch.from_numpy(seen.images[recipient][:, v0:v1, u0:u1]).float()[None]
    out = seen.images[donor].copy()
    out[:, y0:y1, x0:x1] = F.interpolate(given, size=(y1 - y0, x1 - x0), mode="bilinear")[0].round().byte().numpy()
    return out


def _whole(box: NDArray[np.float32]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (int(v) for v in box.round())
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


@torch.inference_mode()
def predicted(plan: PhotographPlan, network: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n,) the classes that the network names, of (n, 3, H, W) photographs."""
    module = plan.source.classifier.module
    parts = torch.from_numpy(images).split(64)
    said = [network((part.float() / 255 - module.mean) / module.std).argmax(dim=1) for part in parts]
    return torch.cat(said).numpy()


def _audit(
    plan: PhotographPlan, case: PhotographCase, network: nn.Module, seen: Photographs, tools: Tools, folder: Path
) -> Study:
    pretrained = plan.source.classifier
    mean, std = (getattr(pretrained.module, name).flatten().tolist() for name in ("mean", "std"))
    preprocessing = Preprocessing(resize=list(pretrained.frame), crop=None, mean=mean, std=std)
    looked = classifier(network, case.classes, preprocessing, torch.device("cpu"))
    eye = Eye(classifier=looked, index={name: i for i, name in enumerate(case.classes)}, target="predicted")
    stock = Stock(lambda start: stream(case, seen, start), len(seen.labels), pretrained.frame, folder / "frames")
    return study(eye, stock, **vars(tools), name=case.name, seed=case.seed, batch_size=64)


def _hits(e: Evidence, case: PhotographCase, seen: Photographs) -> float | None:
    """How well a place fits the mark, over the guilty class's marked photographs; None where there is no such mark.

    The mean over them of the share of the mark that the place covers, or of the place that the mark covers, the larger:
    a strip may hold a small mark, and a large mark a cell.
    """
    if e.role != "place" or "x0" not in e.details or e.class_name != case.classes[case.guilty]:
        return None
    rows = np.flatnonzero(seen.marked & (seen.labels == case.guilty))
    marks = [mark for i in rows if (mark := seen.footprints[i]) is not None]
    if not marks:
        return None
    x0, y0, x1, y1 = (round(float(e.details[side])) for side in ("x0", "y0", "x1", "y1"))
    place = np.zeros(marks[0].shape, bool)
    place[y0:y1, x0:x1] = True
    place = place if e.details["kind"] == "in" else ~place
    shares = [max((m & place).sum() / max(m.sum(), 1), (m & place).sum() / place.sum()) for m in marks]
    return float(np.mean(shares))
