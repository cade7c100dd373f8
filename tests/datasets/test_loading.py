"""Decoding ahead: in order, bounded, one result per record; and batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from pipeline.datasets.coco import Coco
from pipeline.datasets.loading import example, examples
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.voc import Voc
from pipeline.types import AuditError, Example, ObjectRegion, Problem, Record

FRAME = (24, 32)
SHRINK = v2.Resize(FRAME)
BOX = (20.0, 9.0, 45.0, 30.0)


@pytest.fixture
def series(tmp_path: Path, redraw: Callable[..., Image.Image]) -> list[Record | Problem]:
    """Twelve entries: photographs whose rectangle moves, one broken file, one problem from before."""
    entries: list[Record | Problem] = []
    for n in range(12):
        box = (n, 9, n + 25, 30)
        path = tmp_path / f"{n}.png"
        redraw(box=box).save(path)
        region = ObjectRegion(label="dog", box=tuple(map(float, box)))  # type: ignore[arg-type]
        entries.append(Record(id=str(n), path=path, label="dog", objects=(region,)))
    (tmp_path / "3.png").write_bytes(b"broken")
    entries[7] = Problem(id="7", path=tmp_path / "7.png", status="skipped", reason="no_objects", message="none")
    return entries


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("ahead", [1, 64])
def test_one_result_per_record_in_order(series: list[Record | Problem], workers: int, ahead: int) -> None:
    results = list(examples(series, SHRINK, FRAME, workers=workers, ahead=ahead))
    assert [r.record.id if isinstance(r, Example) else r.id for r in results] == [e.id for e in series]
    broken, passed = results[3], results[7]
    assert isinstance(broken, Problem)
    assert (broken.status, broken.reason, broken.path.name) == ("failed", "broken_image", "3.png")
    assert passed is series[7]
    found = [r.boxes[0, 0].item() for r in results if isinstance(r, Example)]
    assert found == [n / 2 for n in range(12) if n not in (3, 7)]


def test_no_more_is_decoded_than_may_wait(series: list[Record | Problem]) -> None:
    taken = []

    def watched() -> Iterator[Record | Problem]:
        for entry in series:
            taken.append(entry.id)
            yield entry

    results = examples(watched(), SHRINK, FRAME, workers=2, ahead=3)
    next(results)
    assert len(taken) == 4
    results.close()  # leaves no thread behind
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_a_wrong_transform_stops_the_run_and_its_threads(series: list[Record | Problem]) -> None:
    with pytest.raises(AuditError, match="`transform`"):
        list(examples(series, v2.Resize((9, 9)), FRAME, workers=2))
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_unusable_options_are_refused(series: list[Record | Problem]) -> None:
    for options in ({"workers": -1}, {"ahead": 0}):
        with pytest.raises(ValueError, match="`workers` must be 0 or more and `ahead` 1 or more"):
            next(examples(series, SHRINK, FRAME, **options))


def test_options_reach_the_decoder(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 48), (0, 0, 0, 0)).save(tmp_path / "a.png")
    entry = Record(
        id="a", path=tmp_path / "a.png", label="dog", objects=(ObjectRegion(label="dog", box=(0, 0, 10, 10)),)
    )
    shown = example(entry, SHRINK, FRAME, background=(1, 2, 3))
    assert isinstance(shown, Example)
    assert shown.image[:, 0, 0].tolist() == [1, 2, 3]
    huge = example(entry, SHRINK, FRAME, max_pixels=100)
    assert isinstance(huge, Problem)
    assert huge.reason == "image_too_large"
    hidden = example(entry, v2.CenterCrop(FRAME), FRAME, min_visible=0.5)
    assert isinstance(hidden, Problem)
    assert hidden.reason == "object_not_visible"


def test_voc_coco_and_csv_of_one_scene_give_the_same_regions(
    voc_folder: Callable[..., Path], coco_file: Callable[..., Path], tmp_path: Path
) -> None:
    root = voc_folder({"a": [("dog", 21, 10, 45, 30), ("dog", 1, 2, 8, 9)]})
    json_path = coco_file([{"bbox": [20, 9, 25, 21]}, {"bbox": [0, 1, 8, 8]}])
    table = tmp_path / "data.csv"
    table.write_text("path,label,boxes\nimages/a.png,dog,20 9 45 30; 0 1 8 9\n")
    found = []
    for dataset in (Voc(root=root), Coco(annotations=json_path, images=tmp_path / "images"), Manifest(path=table)):
        [result] = examples(dataset.records(), v2.Compose([v2.Resize(40), v2.CenterCrop(32)]), (32, 32), workers=0)
        assert isinstance(result, Example)
        found.append(result)
    for other in found[1:]:
        assert torch.equal(other.image, found[0].image)
        assert torch.equal(other.inside, found[0].inside)
        assert torch.equal(other.boxes, found[0].boxes)
        assert other.visible_fraction == found[0].visible_fraction


def test_masks_of_every_format_give_the_same_regions(
    voc_folder: Callable[..., Path],
    coco_file: Callable[..., Path],
    mask_image: Callable[..., Image.Image],
    tmp_path: Path,
) -> None:
    root = voc_folder({"a": [("dog", 21, 10, 45, 30)]})
    for folder, value in (("masks", 255), ("SegmentationObject", 1), ("SegmentationClass", 12)):
        (root / folder).mkdir()
        drawn = mask_image(value=value)
        if value < 255:
            drawn.putpixel((0, 0), 255)  # void
        drawn.save(root / folder / "a.png")
    coco = coco_file([{"bbox": [20, 9, 25, 21], "segmentation": [[20, 9, 45, 9, 45, 30, 20, 30]]}])
    table = tmp_path / "data.csv"
    table.write_text("path,label,mask\nimages/a.png,dog,masks/a.png\n")
    datasets: list[Any] = [
        Voc(root=root, masks="masks"),
        Voc(root=root, masks="SegmentationObject"),
        Voc(root=root, masks="SegmentationClass"),
        Coco(annotations=coco, images=tmp_path / "images"),
        Manifest(path=table),
    ]
    found = [next(examples(d.records(), SHRINK, FRAME, workers=0)) for d in datasets]
    for result in found:
        assert isinstance(result, Example), result
        assert result.region_kind == "mask"
        assert torch.equal(result.inside, found[0].inside)
        assert torch.equal(result.boxes, found[0].boxes)
