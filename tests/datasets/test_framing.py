"""Regions stay on their objects through resize, crop, padding and EXIF turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from torchvision.transforms import v2

from pipeline.core import boxes as core_boxes
from pipeline.datasets.annotations import ANYWHERE, UnusableError
from pipeline.datasets.framing import framed
from pipeline.datasets.images import Picture, decode
from pipeline.types import AuditError, Box, Example, ObjectRegion, PngMask, Record, RleMask

BOX: Box = (20, 9, 45, 30)  # the scene's red rectangle, of 64 x 48 pixels
ALL = v2.Identity()


def rle(drawing: np.ndarray) -> RleMask:
    packed = coco_mask.encode(np.asfortranarray(drawing.astype(np.uint8)))
    return RleMask(size=drawing.shape, counts=packed["counts"])


def rectangle(box: tuple[int, int, int, int], size: tuple[int, int] = (64, 48)) -> np.ndarray:
    drawing = np.zeros(size[::-1], bool)
    drawing[box[1] : box[3], box[0] : box[2]] = True
    return drawing


def record(*objects: ObjectRegion, size: tuple[int, int] | None = None) -> Record:
    return Record(id="a", path=Path("a.png"), label="dog", objects=objects, size=size)


def dog(box: Box, mask: PngMask | RleMask | None = None) -> ObjectRegion:
    return ObjectRegion(label="dog", box=box, mask=mask)


def cat(box: Box, mask: PngMask | RleMask | None = None) -> ObjectRegion:
    return ObjectRegion(label="cat", box=box, mask=mask)


def frame_it(image: Image.Image, entry: Record, transform: Any = ALL, frame: tuple[int, int] = (48, 64)) -> Example:
    return framed(entry, Picture(image=image, orientation=1), transform, frame, 0.1)


def red(image: torch.Tensor) -> torch.Tensor:
    """The pixels that the rectangle's colour covers by at least half: noise is 90 to 160 in every channel."""
    return (image[0] > 187) & (image[1] < 68)


def differ(a: torch.Tensor, b: torch.Tensor) -> int:
    return int((a ^ b).sum())


TRANSFORMS = {
    "as it is": (ALL, (48, 64)),
    "squashed": (v2.Resize((40, 40)), (40, 40)),
    "resized and cropped": (v2.Compose([v2.Resize(36), v2.CenterCrop((32, 28))]), (32, 28)),
    "bicubic": (v2.Compose([v2.Resize(96, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(64)]), (64, 64)),
    "letterboxed in white": (v2.Compose([v2.Pad((0, 8), fill=255), v2.Resize((96, 96))]), (96, 96)),
    "letterboxed in colour": (v2.Compose([v2.Pad((0, 8), fill=(255, 0, 0)), v2.Resize((32, 32))]), (32, 32)),
    "cropped beyond the image": (v2.CenterCrop((60, 80)), (60, 80)),
    "mirrored": (v2.RandomHorizontalFlip(p=1), (48, 64)),
    "as a tensor": (v2.Compose([v2.ToImage(), v2.Resize((24, 32), antialias=True)]), (24, 32)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_mask_and_box_lie_on_the_red_pixels(scene: Image.Image, name: str) -> None:
    transform, frame = TRANSFORMS[name]
    by_mask = frame_it(scene, record(dog(BOX, rle(rectangle((20, 9, 45, 30))))), transform, frame)
    by_box = frame_it(scene, record(dog(BOX)), transform, frame)
    assert (by_mask.region_kind, by_box.region_kind) == ("mask", "box")
    assert torch.equal(by_mask.image, by_box.image)
    assert by_mask.image.shape == (3, *frame)
    assert by_mask.image.dtype == torch.uint8

    seen = red(by_mask.image)
    if name == "letterboxed in colour":  # there the padding is red too
        seen[:4] = seen[-4:] = False
    border = 2 * (by_box.boxes[0, 2:] - by_box.boxes[0, :2]).sum()
    for example in (by_mask, by_box):
        assert differ(example.inside, seen) <= border / 2
        assert not example.others.any()
    if name in ("as it is", "mirrored", "cropped beyond the image"):
        assert torch.equal(by_mask.inside, seen)
        assert torch.equal(by_box.inside, seen)
    assert torch.allclose(by_mask.boxes, by_box.boxes)
    assert by_box.boxes.dtype == torch.float32


@pytest.mark.parametrize("name", TRANSFORMS)
def test_pixels_equal_production_bit_for_bit(scene: Image.Image, name: str) -> None:
    transform, frame = TRANSFORMS[name]
    alone = transform(scene)
    expected = np.asarray(alone).transpose(2, 0, 1) if isinstance(alone, Image.Image) else alone.numpy()
    mine = frame_it(scene, record(dog(BOX, rle(rectangle((20, 9, 45, 30)))), cat((0, 0, 5, 5))), transform, frame)
    assert np.array_equal(mine.image.numpy(), expected)


def test_boxes_are_clipped_to_the_frame_and_the_lost_ones_dropped(scene: Image.Image) -> None:
    # The crop shows columns 16 to 47 and rows 8 to 39.
    example = frame_it(scene, record(dog(BOX), dog((40, 30, 60, 48)), dog((0, 0, 10, 10))), v2.CenterCrop(32), (32, 32))
    assert example.boxes.tolist() == [[4, 1, 29, 22], [24, 22, 32, 32]]
    assert example.visible_fraction == pytest.approx((25 * 21 + 8 * 10) / (25 * 21 + 20 * 18 + 100))


def test_visible_fraction_of_a_mask_counts_its_pixels(scene: Image.Image) -> None:
    drawing = rectangle((8, 10, 24, 30))
    drawing[12:14, 10:12] = False
    example = frame_it(scene, record(dog((8, 10, 24, 30), rle(drawing))), v2.CenterCrop(32), (32, 32))
    assert example.visible_fraction == pytest.approx(160 / 316)
    resized = v2.Compose([v2.CenterCrop(32), v2.Resize((64, 96))])
    example = frame_it(scene, record(dog((8, 10, 24, 30), rle(drawing))), resized, (64, 96))
    assert example.visible_fraction == pytest.approx(160 / 316, abs=0.02)


def test_union_and_others_do_not_overlap(scene: Image.Image) -> None:
    example = frame_it(
        scene,
        record(
            dog((0, 0, 20, 10)), dog((10, 5, 30, 20)), cat((15, 0, 40, 12)), cat(BOX, rle(rectangle((50, 40, 64, 48))))
        ),
    )
    inside = rectangle((0, 0, 20, 10)) | rectangle((10, 5, 30, 20))
    others = (rectangle((15, 0, 40, 12)) | rectangle((50, 40, 64, 48))) & ~inside
    assert np.array_equal(example.inside, inside)
    assert np.array_equal(example.others, others)
    assert len(example.boxes) == 2


def test_one_object_without_a_mask_makes_all_of_them_boxes(scene: Image.Image) -> None:
    example = frame_it(scene, record(dog(BOX, rle(rectangle((20, 9, 22, 30)))), dog((0, 0, 5, 5))))
    assert example.region_kind == "box"
    assert np.array_equal(example.inside, rectangle((20, 9, 45, 30)) | rectangle((0, 0, 5, 5)))


def test_a_box_of_the_head_widens_to_the_mask_of_the_animal(scene: Image.Image) -> None:
    example = frame_it(scene, record(dog((20, 5, 30, 15), rle(rectangle((20, 9, 45, 30))))))
    assert example.boxes.tolist() == [[20, 5, 45, 30]]


def test_a_mask_shared_by_two_objects_leaves_their_boxes(
    scene: Image.Image, mask_image: Callable[..., Image.Image], tmp_path: Path
) -> None:
    mask_image().save(tmp_path / "m.png")
    shared = PngMask(path=tmp_path / "m.png")
    example = frame_it(scene, record(dog((20, 9, 30, 30), shared), dog((30, 9, 45, 30), shared)))
    assert example.boxes.tolist() == [[20, 9, 30, 30], [30, 9, 45, 30]]
    assert np.array_equal(example.inside, rectangle((20, 9, 45, 30)))


def test_a_mask_alone_gives_its_bounds_as_box(scene: Image.Image) -> None:
    assert frame_it(scene, record(dog(ANYWHERE, rle(rectangle((3, 5, 9, 40)))))).boxes.tolist() == [[3, 5, 9, 40]]


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_a_small_object_does_not_vanish_when_the_image_shrinks(kind: str) -> None:
    image = Image.new("RGB", (640, 480))
    mask = rle(rectangle((101, 51, 104, 54), (640, 480))) if kind == "mask" else None
    example = frame_it(image, record(dog((101, 51, 104, 54), mask)), v2.Resize((21, 28)), (21, 28))
    assert example.inside.nonzero().tolist() == [[2, 4]]  # (102.5 / 640 * 28, 52.5 / 480 * 21) = (4.48, 2.30)
    assert example.visible_fraction == pytest.approx(1, abs=0.35)  # 8 bits of coverage are coarse for so small a one


def refused(
    image: Image.Image, entry: Record, transform: Any = ALL, frame: tuple[int, int] = (48, 64)
) -> UnusableError:
    with pytest.raises(UnusableError) as caught:
        frame_it(image, entry, transform, frame)
    return caught.value


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_an_object_that_has_left_the_frame_is_skipped(scene: Image.Image, kind: str) -> None:
    mask = rle(rectangle((0, 0, 17, 48))) if kind == "mask" else None
    problem = refused(scene, record(dog((0, 0, 17, 48), mask)), v2.CenterCrop(32), (32, 32))  # one column is left
    assert (problem.status, problem.reason) == ("skipped", "object_not_visible")
    assert "4%" in problem.message
    gone = refused(scene, record(dog((0, 0, 10, 48))), v2.CenterCrop(32), (32, 32))
    assert gone.reason == "object_not_visible"


def test_boxes_partly_outside_are_clipped_and_those_wholly_outside_fail(scene: Image.Image) -> None:
    example = frame_it(scene, record(dog((-5, 40, 70, 60))))
    assert example.boxes.tolist() == [[0, 40, 64, 48]]
    assert example.visible_fraction == 1
    for box in ((64, 0, 70, 10), (0, -9, 10, 0), (50, 48, 60, 60)):
        problem = refused(scene, record(dog(BOX), dog(box)))
        assert (problem.status, problem.reason) == ("failed", "box_outside_image")
        assert str(box) in problem.message


def test_sizes_that_disagree_fail(scene: Image.Image) -> None:
    problem = refused(scene, record(dog(BOX), size=(48, 64)))
    assert (problem.status, problem.reason) == ("failed", "size_mismatch")
    assert "64 x 48" in problem.message
    assert "48 x 64" in problem.message
    problem = refused(scene, record(dog(BOX, rle(np.ones((64, 48), bool)))))
    assert (problem.status, problem.reason) == ("failed", "mask_size")


def test_missing_and_empty_masks(scene: Image.Image, tmp_path: Path) -> None:
    problem = refused(scene, record(dog(BOX, PngMask(path=tmp_path / "no.png"))))
    assert (problem.status, problem.reason) == ("failed", "missing_mask")
    problem = refused(scene, record(dog(BOX, rle(np.zeros((48, 64), bool)))))
    assert (problem.status, problem.reason) == ("skipped", "empty_mask")


@pytest.mark.parametrize("transform", [v2.Resize((30, 30)), v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32)])])
def test_a_transform_that_misses_the_frame_stops_the_run(scene: Image.Image, transform: Any) -> None:
    with pytest.raises(AuditError, match=r"must turn a photograph into uint8 \(3, 48, 64\), got"):
        frame_it(scene, record(dog(BOX)), transform)


def test_a_transform_that_fails_fails_the_image(scene: Image.Image) -> None:
    problem = refused(scene, record(dog(BOX)), v2.RandomCrop(100), (100, 100))
    assert (problem.status, problem.reason) == ("failed", "transform_failed")


@pytest.mark.parametrize("drawn_on", ["upright", "stored"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_annotations_of_a_turned_photograph(
    scene: Image.Image, tmp_path: Path, orientation: int, drawn_on: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    scene.save(tmp_path / "a.png", exif=exif)
    picture = decode(tmp_path / "a.png")
    seen = torch.from_numpy(np.array(picture.image)).permute(2, 0, 1)
    ys, xs = np.nonzero(red(seen).numpy())
    upright = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    box, size = ((20, 9, 45, 30), (64, 48)) if drawn_on == "stored" else (upright, (48, 64))
    for mask in (None, rle(rectangle(box, size))):
        entry = record(dog(tuple(map(float, box)), mask), size=size)
        example = framed(entry, picture, ALL, (64, 48), 0.1)
        assert torch.equal(example.inside, red(seen))
        assert example.boxes.tolist() == [list(upright)]
        assert example.original_size == (48, 64)
    if drawn_on == "upright":  # also what an annotation without a size means
        assert torch.equal(framed(replace(entry, size=None), picture, ALL, (64, 48), 0.1).inside, red(seen))


side = st.integers(8, 40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), side, side, side, side)
def test_boxes_keep_their_share_of_any_image(data: st.DataObject, width: int, height: int, fw: int, fh: int) -> None:
    x0, y0 = data.draw(st.floats(-3, width - 1)), data.draw(st.floats(-3, height - 1))
    x1, y1 = data.draw(st.floats(max(x0, 0) + 0.5, width + 3)), data.draw(st.floats(max(y0, 0) + 0.5, height + 3))
    image = Image.new("RGB", (width, height))
    example = frame_it(image, record(dog((x0, y0, x1, y1))), v2.Resize((fh, fw)), (fh, fw))
    expected = torch.tensor(
        [[max(x0, 0) / width, max(y0, 0) / height, min(x1, width) / width, min(y1, height) / height]]
    )
    assert torch.allclose(example.boxes / torch.tensor([fw, fh, fw, fh]), expected, atol=1e-5)
    assert torch.equal(example.inside, core_boxes.rasterise(example.boxes, (fh, fw))[0])
    assert example.visible_fraction == pytest.approx(1)
    assert not example.others.any()
