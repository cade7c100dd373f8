"""Pascal VOC folders, from the clean to the crooked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.datasets.voc import VOC_CLASSES, Voc
from pipeline.types import AuditError, PngMask, Problem, Record

DOG = ("dog", 21, 10, 45, 30)  # the scene's red rectangle, as VOC counts
CAT = ("cat", 1, 1, 12, 8)


def reasons(dataset: Voc) -> dict[str, str]:
    return {e.id: f"{e.status} {e.reason}" if isinstance(e, Problem) else e.label for e in dataset.records()}


def test_boxes_go_from_one_based_inclusive_to_zero_based_half_open(voc_folder: Callable[..., Path]) -> None:
    root = voc_folder({"a": [DOG, ("dog", 1, 1, 64, 48), ("dog", 7, 5, 7, 5), ("dog", "10.5", 2, "20.5", 8)]})
    [record] = Voc(root=root).records()
    assert isinstance(record, Record)
    assert [o.box for o in record.objects] == [
        (20, 9, 45, 30),
        (0, 0, 64, 48),  # the whole image
        (6, 4, 7, 5),  # one pixel
        (9.5, 1, 20.5, 8),
    ]
    assert record == Record(id="a", path=root / "JPEGImages/a.png", label="dog", objects=record.objects, size=(64, 48))


def test_the_label_is_the_class_with_the_largest_total_area(voc_folder: Callable[..., Path]) -> None:
    # Two cats of 10 x 10 together outweigh a dog of 14 x 14; their order in the file does not matter.
    cats = [("cat", 1, 1, 10, 10), ("cat", 11, 1, 20, 10)]
    root = voc_folder({"a": [("dog", 31, 1, 44, 14), *cats], "b": [*cats, ("dog", 31, 1, 45, 15)], "c": [DOG]})
    assert reasons(Voc(root=root)) == {"a": "cat", "b": "dog", "c": "dog"}
    assert reasons(Voc(root=root, label="single")) == {
        "a": "skipped several_classes",
        "b": "skipped several_classes",
        "c": "dog",
    }


def test_classes_restricts_the_label_and_keeps_the_other_objects(voc_folder: Callable[..., Path]) -> None:
    dataset = Voc(root=voc_folder({"a": [DOG, CAT], "b": [DOG]}), classes=["cat"], label="single")
    first, second = dataset.records()
    assert isinstance(first, Record)
    assert (first.label, [o.label for o in first.objects]) == ("cat", ["dog", "cat"])
    assert isinstance(second, Problem)
    assert (second.status, second.reason) == ("skipped", "class_not_audited")


def test_unknown_classes_stop_the_run(voc_folder: Callable[..., Path]) -> None:
    with pytest.raises(AuditError, match=r"`classes` names cow, but .* only has dog"):
        Voc(root=voc_folder({"a": [DOG]}), classes=["dog", "cow"]).records()


@pytest.mark.parametrize("options", [{"label": "smallest"}, {"classes": []}, {"classes": "dog"}])
def test_unusable_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=rf"`{next(iter(options))}` must be"):
        Voc(root=".", **options)


def test_the_image_is_found_by_the_annotations_own_name_first(
    voc_folder: Callable[..., Path], scene: Image.Image
) -> None:
    root = voc_folder({"a": [DOG], "b": [DOG]}, filename="a.png")  # b.xml names a.png, as copied annotations do
    assert [e.path.name for e in Voc(root=root).records()] == ["a.png", "b.png"]


def test_the_filename_is_used_where_no_image_has_the_annotations_name(voc_folder: Callable[..., Path]) -> None:
    root = voc_folder({"a": [DOG]}, filename="photo.JPG")
    (root / "JPEGImages/a.png").rename(root / "JPEGImages/photo.png")
    [record] = Voc(root=root).records()  # the suffix may differ
    assert (record.id, record.path.name) == ("a", "photo.png")


def test_images_and_annotations_without_each_other(voc_folder: Callable[..., Path], scene: Image.Image) -> None:
    root = voc_folder({"a": [DOG], "b": [DOG], "c": []})
    (root / "JPEGImages/a.png").unlink()
    scene.save(root / "JPEGImages/d.png")
    (root / "JPEGImages/.hidden.png").touch()
    (root / "JPEGImages/Thumbs.db").touch()
    assert reasons(Voc(root=root)) == {
        "a": "failed missing_file",
        "b": "dog",
        "c": "skipped no_objects",
        "d": "skipped no_objects",
    }


@pytest.mark.parametrize(
    "content",
    [
        "not xml",
        "<annotation><object><name>dog</name></object></annotation>",
        "<annotation><object><name> </name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
        "</object></annotation>",
        "<annotation><object><name>dog</name><bndbox><xmin>one</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
        "</bndbox></object></annotation>",
        "<annotation><size><width>wide</width><height>4</height></size></annotation>",
    ],
)
def test_malformed_annotations_fail_and_name_their_file(voc_folder: Callable[..., Path], content: str) -> None:
    root = voc_folder({"a": [DOG], "b": [DOG]})
    (root / "Annotations/a.xml").write_text(content)
    broken, good = Voc(root=root).records()
    assert isinstance(broken, Problem)
    assert (broken.status, broken.reason, broken.path.name) == ("failed", "bad_annotation", "a.png")
    assert "a.xml" in broken.message
    assert isinstance(good, Record)


@pytest.mark.parametrize(
    "box", [(30, 10, 20, 30), (10, 30, 20, 10), (11, 10, 10, 30), ("nan", 1, 5, 5), (1, 1, "inf", 5)]
)
def test_boxes_inside_out_or_without_area_fail_and_name_the_object(
    voc_folder: Callable[..., Path], box: tuple[object, ...]
) -> None:
    [problem] = Voc(root=voc_folder({"a": [CAT, ("dog", *box)]})).records()
    assert isinstance(problem, Problem)
    assert (problem.status, problem.reason) == ("failed", "bad_box")
    assert "object 2 (dog)" in problem.message


def test_a_filename_that_leads_out_of_the_root_fails(voc_folder: Callable[..., Path]) -> None:
    root = voc_folder({"a": [DOG]}, filename="../../etc/passwd")
    (root / "JPEGImages/a.png").unlink()
    assert reasons(Voc(root=root)) == {"a": "failed path_outside_root"}


def test_an_image_that_two_annotations_claim_is_audited_once(voc_folder: Callable[..., Path]) -> None:
    root = voc_folder({"a": [DOG], "b": [DOG]}, filename="a.png")
    (root / "JPEGImages/b.png").unlink()
    assert reasons(Voc(root=root)) == {"a": "dog", "b": "failed duplicate_image"}


def test_two_images_of_one_name_are_told_apart(voc_folder: Callable[..., Path], scene: Image.Image) -> None:
    root = voc_folder({"a": [DOG]}, filename="a.png")
    scene.save(root / "JPEGImages/a.bmp")
    assert [e.path.name for e in Voc(root=root).records() if isinstance(e, Record)] == ["a.png"]
    assert reasons(Voc(root=root)) == {"a": "dog", "a#2": "failed duplicate_id"}


def test_a_stated_size_of_zero_is_no_size(voc_folder: Callable[..., Path]) -> None:
    [record] = Voc(root=voc_folder({"a": [DOG]}, size="0 0")).records()
    assert isinstance(record, Record)
    assert record.size is None


def test_a_split_picks_and_orders(voc_folder: Callable[..., Path]) -> None:
    root = voc_folder({"a": [DOG], "b": [CAT], "c": [DOG]})
    (root / "val.txt").write_text("c.png\na\n\nmissing\nc\n")
    assert reasons(Voc(root=root, split="val.txt")) == {
        "c": "dog",
        "a": "dog",
        "missing": "failed missing_file",
        "c#2": "failed duplicate_id",
    }
    with pytest.raises(AuditError, match=r"`split` must be a UTF-8 text file, but .*no.txt is not there"):
        Voc(root=root, split="no.txt").records()


@pytest.mark.parametrize("missing", ["root", "JPEGImages", "Annotations"])
def test_missing_folders_stop_the_run(voc_folder: Callable[..., Path], missing: str) -> None:
    root = voc_folder({})
    if missing == "root":
        root = root / "nowhere"
    else:
        (root / missing).rmdir()
    with pytest.raises(AuditError, match=r"must be a folder, but .* is not there"):
        Voc(root=root).records()


def test_an_empty_dataset_stops_the_run(voc_folder: Callable[..., Path]) -> None:
    with pytest.raises(AuditError, match="names no images"):
        Voc(root=voc_folder({})).records()


def masks_of(dataset: Voc) -> list[PngMask | None]:
    [record] = dataset.records()
    assert isinstance(record, Record), record
    return [o.mask for o in record.objects]  # type: ignore[misc]


def test_masks_by_object_by_class_and_by_image(voc_folder: Callable[..., Path]) -> None:
    root = voc_folder({"a": [DOG, CAT, DOG]})
    for folder in ("SegmentationObject", "SegmentationClass", "masks"):
        (root / folder).mkdir()
    path = root / "SegmentationObject" / "a.png"
    assert masks_of(Voc(root=root, masks="SegmentationObject")) == [PngMask(path=path, values=(n,)) for n in (1, 2, 3)]
    path = root / "SegmentationClass" / "a.png"
    assert masks_of(Voc(root=root, masks="SegmentationClass")) == [PngMask(path=path, values=(n,)) for n in (12, 8, 12)]
    whole = PngMask(path=root / "masks" / "a.png")
    assert masks_of(Voc(root=root, masks="masks")) == [whole, None, whole]  # it covers the label's objects only
    with pytest.raises(AuditError, match="`masks` must be a folder"):
        Voc(root=root, masks="nowhere").records()


def test_the_class_palette_is_vocs() -> None:
    assert len(VOC_CLASSES) == 20
    assert [VOC_CLASSES.index(c) + 1 for c in ("aeroplane", "cat", "dog", "person", "tvmonitor")] == [1, 8, 12, 15, 20]


def test_a_class_outside_the_palette_fails(voc_folder: Callable[..., Path]) -> None:
    root = voc_folder({"a": [("raccoon", 1, 1, 5, 5)]})
    (root / "SegmentationClass").mkdir()
    assert reasons(Voc(root=root, masks="SegmentationClass")) == {"a": "failed bad_annotation"}


def test_entity_bombs_do_not_grow(voc_folder: Callable[..., Path]) -> None:
    root = voc_folder({"a": [DOG]})
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "{"x" * 50}">{levels}]><annotation><filename>&e11;</filename></annotation>'
    (root / "Annotations/a.xml").write_text(bomb)
    assert reasons(Voc(root=root)) == {"a": "failed bad_annotation"}
