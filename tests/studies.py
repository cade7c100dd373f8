"""A whole study of a planted world, for tests of what reads its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

from pipeline.config import packaged
from pipeline.judge import Judge
from pipeline.models.classifier import classifier
from pipeline.models.preprocessing import Preprocessing
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye
from pipeline.passes.study import Study, study
from pipeline.types import Companions, Example, Intervention, ObjectRegion, Record
from tests.worlds import CLASSES, SIDE, picture

PREPROCESSING = Preprocessing(resize=[SIDE, SIDE], crop=None, mean=[0, 0, 0], std=[1, 1, 1])
COMPANY: Companions = (("person", (24.0, 2.0, 30.0, 12.0)),)


def example(label: int, number: int, *, marked: bool = False) -> Example:
    """One picture of the world, a person beside every other object."""
    image, box = picture(label, marked, np.random.default_rng([label, number]))
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    x0, y0, x1, y1 = map(float, box)
    region = ObjectRegion(label=CLASSES[label], box=(x0, y0, x1, y1))
    return Example(
        record=Record(id=f"{label}-{number}", path=Path("x"), label=CLASSES[label], objects=(region,)),
        image=torch.from_numpy(image).permute(2, 0, 1), inside=inside, others=torch.zeros_like(inside),
        boxes=torch.tensor([[x0, y0, x1, y1]]), visible_fraction=1.0, region_kind="box", original_size=(SIDE, SIDE),
        companions=COMPANY if number % 2 else (), file_type="PNG",
    )  # fmt: skip


def stocked(network: nn.Module, folder: Path, per_class: int, marked: int | None = None) -> tuple[Eye, Stock]:
    """The world's pictures, class `marked` with its mark, before a network's eye."""
    seen = classifier(network, CLASSES, PREPROCESSING, torch.device("cpu"))
    eye = Eye(classifier=seen, index={c: i for i, c in enumerate(CLASSES)}, target="predicted")
    made = [example(k, i, marked=k == marked) for k in range(4) for i in range(per_class)]
    return eye, Stock(lambda start: iter(made[start:]), len(made), (SIDE, SIDE), folder)


def standard_interventions() -> dict[str, Intervention]:
    """Those of the default configuration."""
    with initialize_config_dir(str(packaged("conf").resolve()), version_base="1.3"):
        config = compose("config", overrides=["experiment=demo", "effort=fast"])
    return instantiate(config.interventions, _convert_="all")


def whole_study(network: nn.Module, folder: Path, per_class: int, marked: int, judge: Judge, **parts: object) -> Study:
    """A study with the standard interventions; `parts` are the methods, metrics and signals."""
    eye, stock = stocked(network, folder, per_class, marked)
    return study(
        eye, stock, interventions=standard_interventions(), judge=judge, name="m", seed=0, batch_size=32,
        **parts,  # type: ignore[arg-type]
    )  # fmt: skip
