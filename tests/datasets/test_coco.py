"""COCO files, from the clean to the crooked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import masks
from pipeline.datasets.coco import Coco
from pipeline.types import AuditError, Problem, Record, RleMask

DOG: dict[str, Any] = {"category_id": 1, "bbox": [20, 9, 25, 21]}
CAT: dict[str, Any] = {"category_id": 2, "bbox": [0, 0, 12, 8]}
POLYGON = [[20, 9, 45, 9, 45, 30, 20, 30]]


def dataset(path: Path, **options: Any) -> Coco:
    return Coco(annotations=path, images=path.parent / "images", **options)


def reasons(path: Path, **options: Any) -> dict[str, str]:
    entries = dataset(path, **options).records()
    return {e.id: f"{e.status} {e.reason}" if isinstance(e, Problem) else e.label for e in entries}


def test_boxes_go_from_corner_and_size_to_two_corners_without_a_shift(coco_file: Callable[..., Path]) -> None:
    path = coco_file([DOG, {**DOG, "bbox": [0, 0, 64, 48]}, {**DOG, "bbox": [6.5, 4, 1.25, 1]}])
    [record] = dataset(path).records()
    assert isinstance(record, Record)
    assert [o.box for o in record.objects] == [(20, 9, 45, 30), (0, 0, 64, 48), (6.5, 4, 7.75, 5)]
    assert record == Record(
        id="a.png", path=path.parent / "images/a.png", label="dog", objects=record.objects, size=(64, 48)
    )


def test_label_rules(coco_file: Callable[..., Path]) -> None:
    path = coco_file([CAT, DOG])
    assert reasons(path) == {"a.png": "dog"}
    assert reasons(path, label="single") == {"a.png": "skipped several_classes"}
    assert reasons(path, label="single", classes=["cat"]) == {"a.png": "cat"}
    with pytest.raises(AuditError, match=r"`classes` names cow, but .* only has cat, dog"):
        dataset(path, classes=["cow"]).records()
    with pytest.raises(ValueError, match="`label` must be one of largest, single, got 'any'"):
        dataset(path, label="any")


def test_polygons_run_lengths_and_strings_become_one_kind_of_mask(coco_file: Callable[..., Path]) -> None:
    drawing = np.zeros((48, 64), bool)
    drawing[9:30, 20:45] = True
    runs = [20 * 48 + 9, *[21, 27] * 24, 21, 18 + 19 * 48]
    path = coco_file(
        [
            {**DOG, "segmentation": POLYGON},
            {**DOG, "segmentation": {"size": [48, 64], "counts": runs}, "iscrowd": 1},
            {**DOG, "segmentation": []},
        ]
    )
    [record] = dataset(path).records()
    assert isinstance(record, Record)
    polygon, crowd, bare = (o.mask for o in record.objects)
    assert bare is None
    for mask in (polygon, crowd):
        assert isinstance(mask, RleMask)
        assert np.array_equal(masks.decode(mask, (64, 48)), drawing)


def test_an_object_without_a_box_gets_the_bounds_of_its_mask(coco_file: Callable[..., Path]) -> None:
    [record] = dataset(coco_file([{"segmentation": POLYGON}])).records()
    assert isinstance(record, Record)
    assert record.objects[0].box == (20, 9, 45, 30)


def test_images_without_objects_files_or_a_listing(coco_file: Callable[..., Path], scene: Image.Image) -> None:
    listed = [{"id": n, "file_name": f"{c}.png", "width": 64, "height": 48} for n, c in enumerate("abc", start=1)]
    path = coco_file([DOG, {**DOG, "image_id": 3}], images=listed)
    (path.parent / "images/c.png").unlink()
    scene.save(path.parent / "images/d.png")
    expected = {"a.png": "dog", "b.png": "skipped no_objects", "c.png": "failed missing_file"}
    assert reasons(path, unlisted=False) == expected
    assert reasons(path) == {**expected, "d.png": "skipped no_objects"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"bbox": [1, 2, 3]}, "[x, y, width, height]"),
        ({"bbox": None}, "[x, y, width, height]"),
        ({"bbox": ["a", 2, 3, 4]}, "float"),
        ({"category_id": 9, "bbox": [1, 2, 3, 4]}, "category 9"),
        ({**DOG, "segmentation": [[1, 2, 3, 4]]}, "three x, y pairs"),
        ({**DOG, "segmentation": {"size": [48, 64], "counts": [5]}}, "must sum"),
    ],
)
def test_malformed_annotations_fail_alone(coco_file: Callable[..., Path], row: dict[str, Any], words: str) -> None:
    images = [{"id": n, "file_name": f"{c}.png", "width": 64, "height": 48} for n, c in enumerate("ab", start=1)]
    broken, good = dataset(coco_file([row, {**DOG, "image_id": 2}], images=images)).records()
    assert isinstance(broken, Problem)
    assert (broken.id, broken.status, broken.reason) == ("a.png", "failed", "bad_annotation")
    assert words in broken.message
    assert "a.png" in broken.message
    assert isinstance(good, Record)


@pytest.mark.parametrize("bbox", [[5, 5, 0, 4], [5, 5, 4, -1], [float("nan"), 1, 2, 3], [1, 1, float("inf"), 2]])
def test_boxes_inside_out_or_without_area_fail_and_name_the_annotation(
    coco_file: Callable[..., Path], bbox: list[float]
) -> None:
    [problem] = dataset(coco_file([DOG, {**DOG, "bbox": bbox}])).records()
    assert isinstance(problem, Problem)
    assert (problem.status, problem.reason) == ("failed", "bad_box")
    assert "annotation 1 (dog)" in problem.message


def test_polygons_need_the_images_size(coco_file: Callable[..., Path]) -> None:
    path = coco_file([{**DOG, "segmentation": POLYGON}], images=[{"id": 1, "file_name": "a.png"}])
    [problem] = dataset(path).records()
    assert isinstance(problem, Problem)
    assert "`width` and `height`" in problem.message


def test_images_twice_astray_or_without_a_name(coco_file: Callable[..., Path]) -> None:
    images = [
        {"id": 1, "file_name": "a.png"},
        {"id": 1, "file_name": "b.png"},
        {"id": 2, "file_name": "a.png"},
        {"id": 3, "file_name": "../instances.json"},
        {"id": 4},
    ]
    path = coco_file([DOG, *({**DOG, "image_id": n} for n in (2, 3, 4, 99))], images=images)
    assert reasons(path) == {
        "a.png": "dog",
        "b.png": "failed duplicate_id",
        "a.png#2": "failed duplicate_id",
        "../instances.json": "failed path_outside_root",
        "image 4": "failed bad_annotation",
        "image_id 99": "failed bad_annotation",
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"images": [], "annotations": []}',
        '{"images": {}, "annotations": [], "categories": []}',
        '{"images": [1], "annotations": [], "categories": []}',
    ],
)
def test_a_json_that_is_no_coco_stops_the_run(tmp_path: Path, content: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "instances.json").write_text(content)
    with pytest.raises(AuditError, match="must be a COCO instances file"):
        dataset(tmp_path / "instances.json").records()


def test_missing_or_empty_input_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="`images` must be a folder"):
        dataset(tmp_path / "instances.json").records()
    (tmp_path / "images").mkdir()
    with pytest.raises(AuditError, match="`annotations` must be a UTF-8 text file"):
        dataset(tmp_path / "instances.json").records()
    (tmp_path / "instances.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(AuditError, match="names no images"):
        dataset(tmp_path / "instances.json").records()
