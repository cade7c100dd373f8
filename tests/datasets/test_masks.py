"""Masks against pycocotools' own decoding and hand-drawn arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as coco_mask

from pipeline.datasets import masks
from pipeline.datasets.annotations import UnusableError
from pipeline.types import PngMask, RleMask

SIZE = (7, 5)  # width, height
drawings = arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def encoded(drawing: np.ndarray) -> RleMask:
    packed = coco_mask.encode(np.asfortranarray(drawing.astype(np.uint8)))
    return RleMask(size=drawing.shape, counts=packed["counts"])


@given(drawings)
def test_run_lengths_decode_to_what_pycocotools_encoded(drawing: np.ndarray) -> None:
    assert np.array_equal(masks.decode(encoded(drawing), drawing.shape[::-1]), drawing)


@given(drawings)
def test_the_three_ways_of_writing_run_lengths_agree(drawing: np.ndarray) -> None:
    rle = encoded(drawing)
    column = drawing.T.reshape(-1)
    runs = [0] if column[0] else []
    edges = np.flatnonzero(np.diff(column)) + 1
    runs += np.diff([0, *edges, len(column)]).tolist()
    size = list(drawing.shape)
    assert masks.from_segmentation({"size": size, "counts": runs}, (1, 1)) == rle
    assert masks.from_segmentation({"size": size, "counts": rle.counts.decode()}, (1, 1)) == rle


@given(drawings)
def test_bounds_hold_the_mask_tightly(drawing: np.ndarray) -> None:
    found = masks.bounds(drawing)
    if found is None:
        assert not drawing.any()
        assert masks.extent(encoded(drawing)) == (0, 0, 0, 0)
        return
    x0, y0, x1, y1 = map(int, found)
    inner = drawing[y0:y1, x0:x1]
    assert inner.sum() == drawing.sum()
    assert inner[0].any()
    assert inner[-1].any()
    assert inner[:, 0].any()
    assert inner[:, -1].any()
    assert masks.extent(encoded(drawing)) == found


def test_polygons_are_the_union_of_what_pycocotools_fills() -> None:
    polygons = [[1, 1, 4, 1, 4, 3, 1, 3], [3, 2, 6, 2, 6.5, 5, 3, 5]]
    rle = masks.from_segmentation(polygons, SIZE)
    assert rle is not None
    with warnings.catch_warnings():  # pycocotools has not followed numpy 2
        warnings.simplefilter("ignore", DeprecationWarning)
        each = [coco_mask.decode(coco_mask.frPyObjects([p], 5, 7))[..., 0] for p in polygons]
    assert np.array_equal(masks.decode(rle, SIZE), np.logical_or(*each))
    assert masks.decode(rle, SIZE)[1:3, 1:4].all()


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_an_empty_segmentation_is_no_mask(nothing: object) -> None:
    assert masks.from_segmentation(nothing, SIZE) is None


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ([[1, 1, 4, 4]], "three x, y pairs"),  # pycocotools would take it for a box
        ([[1, 1, 4, 4, 5]], "three x, y pairs"),
        ([[1, 1, 4, 4, 5, 3, 2]], "three x, y pairs"),
        ([1, 1, 4, 4, 5, 3], "three x, y pairs"),
        ([[1, 1, 4, float("nan"), 5, 3]], "three x, y pairs"),
        ("polygon", "three x, y pairs"),
        ({"counts": [35]}, "`size`"),
        ({"counts": [35], "size": [5, -7]}, "`size`"),
        ({"counts": [35.0], "size": [5, 7]}, "`counts`"),
        ({"counts": None, "size": [5, 7]}, "`counts`"),
        ({"counts": [3, 4], "size": [5, 7]}, "must sum to 5 x 7 = 35, got 7"),
        ({"counts": [3, 40], "size": [5, 7]}, "got 43"),
        ({"counts": "3", "size": [5, 7]}, "must sum"),
        ({"counts": "garbage!!", "size": [5, 7]}, "must sum"),
    ],
)
def test_broken_segmentations_say_what_is_wrong(broken: object, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        masks.from_segmentation(broken, SIZE)


def refused(mask: PngMask | RleMask) -> str:
    with pytest.raises(UnusableError) as caught:
        masks.decode(mask, SIZE)
    return caught.value.reason


def test_run_lengths_of_another_size_or_length_are_refused() -> None:
    assert refused(encoded(np.ones((7, 5), bool))) == "mask_size"
    assert refused(RleMask(size=(5, 7), counts=b"3")) == "broken_mask"


def test_mask_files_missing_broken_or_of_another_size(tmp_path: Path, mask_image: Callable[..., Image.Image]) -> None:
    assert refused(PngMask(path=tmp_path / "no.png")) == "missing_mask"
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert refused(PngMask(path=tmp_path / "a.png")) == "broken_mask"
    mask_image((5, 7), (1, 1, 3, 3)).save(tmp_path / "b.png")
    assert refused(PngMask(path=tmp_path / "b.png")) == "mask_size"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_black_and_white_masks_of_every_mode(tmp_path: Path, mask_image: Callable[..., Image.Image], mode: str) -> None:
    drawn = mask_image(SIZE, (2, 1, 6, 4))
    stored = Image.fromarray(np.asarray(drawn).astype(np.uint16)) if mode == "I;16" else drawn.convert(mode)
    stored.save(tmp_path / "m.png")
    found = masks.decode(PngMask(path=tmp_path / "m.png"), SIZE)
    assert found.dtype == bool
    assert np.array_equal(found, np.asarray(drawn) == 255)


def test_palette_numbers_pick_the_object_and_leave_void_out(tmp_path: Path) -> None:
    numbers = np.array([[0, 1, 2, 255, 1, 0, 0]] * 5, dtype=np.uint8)
    palette = Image.frombytes("P", SIZE, numbers.tobytes())
    palette.putpalette([n for i in range(256) for n in (i, 255 - i, 7)])
    palette.save(tmp_path / "m.png")
    assert np.array_equal(masks.decode(PngMask(path=tmp_path / "m.png", values=(1,)), SIZE), numbers == 1)
    assert np.array_equal(masks.decode(PngMask(path=tmp_path / "m.png", values=(1, 2)), SIZE), numbers % 255 > 0)


def test_palette_numbers_of_a_colour_image_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", SIZE).save(tmp_path / "m.png")
    assert refused(PngMask(path=tmp_path / "m.png", values=(1,))) == "broken_mask"
