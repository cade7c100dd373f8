"""Boxes that are wrong by reading alone are recognised, honest ones are left alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torchvision.transforms import v2

from pipeline.datasets.checks import class_suspicions, suspect_classes
from pipeline.datasets.coco import Coco
from pipeline.datasets.loading import example, examples
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.voc import Voc
from pipeline.passes.decode import Stock
from pipeline.types import Box, Dataset, Example, ObjectRegion, PngMask, Problem, Record

SIZE, BOX = (64, 48), (20, 9, 45, 30)  # of the scene; quarter turns swap the size
FRAME = (24, 32)
SHRINK = v2.Resize(FRAME)
Redraw = Callable[..., Image.Image]
Boxes = dict[str, Sequence[Sequence[float]]]  # of each class, one per image
Write = Callable[[str, Boxes], Dataset]  # in a format
CASES = Path(__file__).parents[3] / "shared" / "cases" / "data"


def photograph(path: Path, image: Image.Image, orientation: int = 1) -> Path:
    """The image as a file that asks its viewer for a turn."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


def seen(path: Path, *boxes: Box, size: tuple[int, int] | None = None, mask: PngMask | None = None) -> Example:
    """The photograph with a dog in each box, decoded."""
    objects = tuple(ObjectRegion(label="dog", box=box, mask=mask) for box in boxes)
    result = example(Record(id="a", path=path, label="dog", objects=objects, size=size), SHRINK, FRAME)
    assert isinstance(result, Example), result
    return result


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turn_without_a_stated_size_leaves_the_frame_open(
    scene: Image.Image, tmp_path: Path, orientation: int, suffix: str
) -> None:
    path = photograph(tmp_path / f"a.{suffix}", scene, orientation)
    assert seen(path, BOX).suspect == ("" if orientation == 1 else "camera_turned")


@pytest.mark.parametrize("size", [SIZE, SIZE[::-1]], ids=["as stored", "upright"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_stated_size_settles_quarter_turns_only(
    scene: Image.Image, tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    path = photograph(tmp_path / "a.jpg", scene, orientation)
    if orientation >= 5:
        assert seen(path, BOX, size=size).suspect == ""
    elif size == SIZE:
        assert seen(path, BOX, size=size).suspect == ("" if orientation == 1 else "camera_turned")


def test_the_size_of_a_square_photograph_settles_nothing(redraw: Redraw, tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.jpg", redraw(size=(64, 64)), 6)
    assert seen(path, BOX, size=(64, 64)).suspect == "camera_turned"


def test_the_size_of_a_mask_settles_quarter_turns(scene: Image.Image, redraw: Redraw, tmp_path: Path) -> None:
    drawn = Image.new("L", SIZE[::-1])
    drawn.paste(255, (5, 20, 30, 45))
    drawn.save(tmp_path / "upright.png")
    mask = PngMask(path=tmp_path / "upright.png")
    assert seen(photograph(tmp_path / "a.jpg", scene, 6), BOX, mask=mask).suspect == ""
    half_turn = photograph(tmp_path / "b.jpg", redraw(size=SIZE[::-1]), 3)
    assert seen(half_turn, BOX, mask=mask).suspect == "camera_turned"


def test_a_box_below_a_pixel_is_tiny_one_of_a_pixel_is_not(scene: Image.Image, tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.png", scene)
    assert seen(path, (20, 9, 20.9, 10)).suspect == "tiny_box"
    assert seen(path, BOX, (30.25, 20.5, 30.75, 21.5)).suspect == "tiny_box"
    assert seen(path, (63.5, 9, 80, 10)).suspect == "tiny_box"  # as far as the photograph goes
    assert seen(path, (20, 9, 21, 10)).suspect == ""
    assert seen(path, (20.25, 9, 20.75, 40)).suspect == ""  # a pole


def test_boxes_within_one_are_normalised_unless_the_image_is_that_small(redraw: Redraw, tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.png", redraw())
    assert seen(path, (0.3, 0.2, 0.7, 0.6), (0, 0, 1, 1)).suspect == "normalised_box"
    assert seen(path, (-0.7, -0.8, 0.7, 0.6)).suspect == "normalised_box"  # as VOC's count from 1 makes them
    assert seen(path, (0.3, 0.2, 0.7, 0.6), BOX).suspect == "tiny_box"
    small = photograph(tmp_path / "b.png", redraw(size=(8, 6), box=(0, 0, 1, 1)))
    assert seen(small, (0, 0, 1, 1)).suspect == ""


def test_a_turned_photograph_with_normalised_boxes_is_known_for_the_boxes(scene: Image.Image, tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.jpg", scene, 6)
    for size in (None, SIZE):
        assert seen(path, (0.3, 0.2, 0.7, 0.6), size=size).suspect == "normalised_box"


def test_boxes_beside_masks_do_not_count(scene: Image.Image, mask_image: Redraw, tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.png", scene)
    mask_image().save(tmp_path / "mask.png")
    shared = seen(path, (0, 0, 0.5, 0.5), (0.5, 0, 1, 1), mask=PngMask(path=tmp_path / "mask.png"))
    assert (shared.region_kind, shared.suspect) == ("mask", "")


def table(**classes: Sequence[tuple[str, float]]) -> pd.DataFrame:
    """A row per (suspect, side of a square box)."""
    rows = [(c, s, [(0.0, 0.0, side, side)]) for c, own in classes.items() for s, side in own]
    return pd.DataFrame(rows, columns=["class", "suspect", "boxes"])


def by_class(images: pd.DataFrame, **factors: float) -> dict[str, list[str]]:
    suspect = class_suspicions(images, **factors)
    return {str(c): own.tolist() for c, own in suspect.groupby(images["class"])}


def test_normalised_is_said_of_whole_classes_only() -> None:
    images = table(dog=[("normalised_box", 1.0)] * 2, cat=[("normalised_box", 1.0), ("", 9.0)])
    assert by_class(images) == {"dog": ["normalised_box"] * 2, "cat": ["tiny_box", ""]}


def test_a_class_out_of_proportion_is_odd_and_nobody_else() -> None:
    plain = {"dog": [("", 20.0)] * 3, "cat": [("", 25.0), ("", 2.0), ("", 25.0)]}
    small = table(**plain, cow=[("", 2.0), ("", 60.0), ("camera_turned", 2.0), ("", 2.0)])
    assert by_class(small) == {
        "dog": [""] * 3, "cat": [""] * 3, "cow": ["odd_size", "odd_size", "camera_turned", "odd_size"],
    }  # fmt: skip
    large = table(**plain, cow=[("", 200.0)] * 3)
    assert by_class(large)["cow"] == ["odd_size"] * 3
    assert by_class(large)["dog"] == by_class(large)["cat"] == [""] * 3
    assert by_class(large, factor=101.0)["cow"] == [""] * 3
    steps = table(dog=[("", 1.0)], cat=[("", 6.0)], cow=[("", 36.0)])  # 36 times the area at each
    assert by_class(steps) == {"dog": ["odd_size"], "cat": [""], "cow": ["odd_size"]}


def test_two_classes_must_be_further_apart() -> None:
    assert by_class(table(dog=[("", 2.0)], cat=[("", 19.0)])) == {"dog": [""], "cat": [""]}
    assert by_class(table(dog=[("", 2.0)], cat=[("", 20.0)])) == {"dog": ["odd_size"], "cat": ["odd_size"]}


def test_a_class_known_to_be_wrong_is_no_measure_of_another() -> None:
    images = table(dog=[("normalised_box", 0.1)], cat=[("", 20.0)])
    assert by_class(images) == {"dog": ["normalised_box"], "cat": [""]}
    alone = pd.DataFrame({"class": ["dog"], "suspect": [""], "boxes": [[]]})  # cropped away, its mask is not
    assert by_class(alone) == {"dog": [""]}


def test_suspect_classes_are_said_in_words() -> None:
    turned = ["camera_turned"] * 31 + [""] * 9
    images = pd.DataFrame({"class": ["cat"] * 40 + ["dog"] * 2, "suspect": [*turned, "", None]})
    why = "31 of 40 photographs of 'cat' were turned by the camera and nothing says which way up the boxes are"
    assert suspect_classes(images, 0.5) == {"cat": why}
    assert suspect_classes(images, 31 / 40) == {}
    assert suspect_classes(images.drop(columns="suspect"), 0.0) == {}
    mixed = pd.DataFrame({"class": ["cat"] * 5, "suspect": ["tiny_box", "camera_turned", "tiny_box", "odd_size", ""]})
    assert suspect_classes(mixed, 0.5)["cat"] == (
        "2 of 5 photographs of 'cat' have a box that is no larger than a pixel of the file, "
        "and 1 were turned by the camera and nothing says which way up the boxes are, "
        "and 1 have boxes of a size that those of no other class come near"
    )


@pytest.fixture
def write(tmp_path: Path, redraw: Redraw) -> Write:
    """Writes a dataset of the scene with one box per image, as its format would have them."""

    def written(kind: str, boxes: Boxes) -> Dataset:
        (tmp_path / "JPEGImages").mkdir()
        (tmp_path / "Annotations").mkdir()
        named = [(f"{c}-{n}", c, tuple(box)) for c, own in boxes.items() for n, box in enumerate(own)]
        for name, _, _ in named:
            redraw().save(tmp_path / "JPEGImages" / f"{name}.png")
        if kind == "voc":
            for name, c, box in named:
                corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
                xml = f"<annotation><object><name>{c}</name><bndbox>{corners}</bndbox></object></annotation>"
                (tmp_path / "Annotations" / f"{name}.xml").write_text(xml)
            return Voc(root=tmp_path)
        if kind == "coco":
            content: dict[str, list[dict[str, Any]]] = {
                "images": [{"id": n, "file_name": f"{name}.png"} for n, (name, _, _) in enumerate(named)],
                "categories": [{"id": c, "name": c} for c in boxes],
                "annotations": [
                    {"id": n, "image_id": n, "category_id": c, "bbox": [x0, y0, x1 - x0, y1 - y0]}
                    for n, (_, c, (x0, y0, x1, y1)) in enumerate(named)
                ],
            }
            (tmp_path / "instances.json").write_text(json.dumps(content))
            return Coco(annotations=tmp_path / "instances.json", images=tmp_path / "JPEGImages")
        rows = [f"JPEGImages/{name}.png,{c},{' '.join(map(str, box))}" for name, c, box in named]
        (tmp_path / "data.csv").write_text("\n".join(["path,label,boxes", *rows]))
        return Manifest(path=tmp_path / "data.csv")

    return written


def stock(dataset: Dataset, folder: Path, transform: Any = SHRINK) -> Stock:
    """All images of a dataset, decoded; `folder` keeps them for another process."""
    records = dataset.records()
    decoded = partial(examples, transform=transform, frame=FRAME, workers=0)
    found = Stock(lambda start: decoded(records[start:]), len(records), FRAME, folder / "frames", folder / "parts")
    for _ in found.walk(4):
        found.keep()
    return found


NORMALISED: Boxes = {"dog": [(0.3, 0.2, 0.7, 0.6)] * 3, "cat": [(0.1, 0.2, 0.9, 1.0), BOX, BOX], "cow": [BOX] * 3}
EXPECTED = ["normalised_box"] * 3 + ["tiny_box", "", ""] + [""] * 3


@pytest.mark.parametrize("kind", ["voc", "coco", "manifest"])
def test_every_format_tells_of_normalised_boxes(kind: str, write: Write, tmp_path: Path) -> None:
    found = stock(write(kind, NORMALISED), tmp_path / "run")
    facts = found.facts
    assert found.counts == {"total": 9, "audited": 9, "skipped": 0, "failed": 0}
    assert facts.groupby("class")["suspect"].agg(sorted).to_dict() == {
        "dog": ["normalised_box"] * 3, "cat": ["", "", "tiny_box"], "cow": [""] * 3,
    }  # fmt: skip
    assert suspect_classes(facts, 0.5) == {
        "dog": "3 of 3 photographs of 'dog' have boxes within 0 to 1, which look like shares of the image, not pixels"
    }


@pytest.mark.parametrize("kind", ["voc", "coco", "manifest"])
def test_normalised_boxes_that_a_crop_loses_are_counted_and_explained(kind: str, write: Write, tmp_path: Path) -> None:
    found = stock(write(kind, NORMALISED), tmp_path / "run", v2.CenterCrop(FRAME))
    assert found.counts == {"total": 9, "audited": 5, "skipped": 4, "failed": 0}
    assert {p.reason for p in found.problems} == {"object_not_visible"}
    assert all("its boxes lie within 0 to 1" in p.message for p in found.problems)
    assert suspect_classes(found.facts, 0.0) == {}


def test_what_an_earlier_process_suspected_is_not_forgotten(write: Write, tmp_path: Path) -> None:
    dataset = write("manifest", NORMALISED)
    first = stock(dataset, tmp_path / "run").facts
    assert first["suspect"].tolist() == EXPECTED
    later = Stock(lambda start: iter(()), 9, FRAME, tmp_path / "run" / "frames", tmp_path / "run" / "parts")
    pd.testing.assert_frame_equal(later.facts, first)


def test_honest_boxes_of_many_sizes_raise_no_suspicion(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 30, (30, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(3, 18, (30, 2))], axis=1).round(2).tolist()
    honest = {"dog": boxes[:10], "cat": boxes[10:20], "cow": [*boxes[20:], (0, 0, 64, 48)]}
    assert not stock(write("manifest", honest), tmp_path / "run").facts["suspect"].any()


@pytest.mark.parametrize(
    ("name", "suspect"),
    [
        ("voc_exif3_stored_frame_nosize", "camera_turned"),
        ("voc_exif6_stored_frame_nosize", "camera_turned"),
        ("voc_exif3_upright_frame", "camera_turned"),
        ("voc_exif6_stored_frame", ""),
        ("voc_exif6_upright_frame", ""),
        ("voc_exif8_stored_frame", ""),
        ("voc_exif8_upright_frame", ""),
        ("man_normalised", "normalised_box"),
        ("man_plain", ""),
        ("voc_no_size", ""),
    ],
)
def test_reported_cases(name: str, suspect: str) -> None:
    folder = CASES / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    dataset: Dataset = Manifest(path=folder / "m.csv") if name.startswith("man") else Voc(root=folder)
    [record] = dataset.records()
    assert not isinstance(record, Problem)
    result = example(record, SHRINK, FRAME)
    assert isinstance(result, Example), result
    assert result.suspect == suspect
