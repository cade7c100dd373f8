"""The real photographs beside the checkout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from pipeline.datasets.coco import Coco
from pipeline.datasets.loading import examples
from pipeline.datasets.voc import Voc
from pipeline.types import Example, Problem, Record

pytestmark = pytest.mark.shared

CROP = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])


def by_stem(dataset: Any) -> dict[str, Example]:
    loaded = list(examples(dataset.records(), CROP, (224, 224)))
    assert all(isinstance(e, Example) for e in loaded)
    return {e.record.path.stem: e for e in loaded if isinstance(e, Example)}


def test_animals_load_but_for_the_truncated_one(shared_data: Path) -> None:
    entries = Voc(root=shared_data / "animals").records()
    assert len(entries) == 364
    assert all(isinstance(e, Record) for e in entries)
    loaded = list(examples(entries, v2.Resize((160, 160)), (160, 160)))
    problems = [e for e in loaded if isinstance(e, Problem)]
    assert [(p.id, p.status, p.reason) for p in problems] == [("00090", "failed", "broken_image")]
    assert "truncated" in problems[0].message
    good = [e for e in loaded if isinstance(e, Example)]
    assert Counter(e.record.label for e in good) == {"raccoon": 200, "kangaroo": 163}
    assert all(e.inside.any() and e.visible_fraction > 0.999 for e in good)


def test_the_split_of_the_animals(shared_data: Path) -> None:
    entries = Voc(root=shared_data / "animals", split="test.txt").records()
    assert len(entries) == len((shared_data / "animals/test.txt").read_text().split())
    assert all(isinstance(e, Record) for e in entries)


def test_masks_of_the_pets_lie_in_their_boxes_and_agree_with_the_polygons(shared_data: Path) -> None:
    root = shared_data / "photographs/pets-masks"
    boxes = by_stem(Voc(root=root, images="images"))
    files = by_stem(Voc(root=root, images="images", masks="masks"))
    polygons = by_stem(Coco(annotations=root / "instances.json", images=root / "images"))
    assert boxes.keys() == files.keys() == polygons.keys()
    assert len(files) == 53
    for stem, example in files.items():
        assert example.region_kind == polygons[stem].region_kind == "mask"
        assert boxes[stem].region_kind == "box"
        outside = example.inside & ~boxes[stem].inside
        assert outside.sum() <= 0.01 * example.inside.sum()  # a border pixel, half covered
        union, both = example.inside | polygons[stem].inside, example.inside & polygons[stem].inside
        assert both.sum() / union.sum() > 0.93  # the polygons keep the largest piece only


def test_voc_and_coco_of_the_same_photographs_agree(shared_data: Path) -> None:
    root = shared_data / "photographs/voc2012-boxes"
    voc = by_stem(Voc(root=root))
    coco = by_stem(Coco(annotations=root / "instances.json", images=root / "JPEGImages"))
    assert voc.keys() == coco.keys()
    assert len(voc) == 28
    for stem, example in voc.items():
        assert example.record.label == coco[stem].record.label
        assert torch.equal(example.boxes, coco[stem].boxes)
        assert torch.equal(example.inside, coco[stem].inside)
        assert torch.equal(example.others, coco[stem].others)
