"""Boxes against loops, closed forms and properties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import boxes

FRAME = (7, 11)  # height, width: never square
coordinate = st.integers(-40, 160).map(lambda n: n / 8)  # exact in float, and often on a pixel's border or centre
anything = st.tuples(coordinate, coordinate, coordinate, coordinate)
ordered = anything.map(lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])))


def one(box: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor([box], dtype=torch.float64)


def test_area_of_known_boxes_and_of_an_inside_out_one() -> None:
    found = boxes.area(torch.tensor([[1.0, 2, 4, 7], [4, 2, 1, 7], [4, 7, 1, 2], [3, 3, 3, 9]]))
    assert found.tolist() == [15, 0, 0, 0]


def test_clip_cuts_x_at_the_width_and_y_at_the_height() -> None:
    assert boxes.clip(one((-3, -2, 20, 20)), FRAME).tolist() == [[0, 0, 11, 7]]


def test_enlarge_takes_the_larger_margin_per_axis() -> None:
    # A tenth of 40 is more than 3 px, a tenth of 10 is less.
    assert boxes.enlarge(one((10, 20, 50, 30)), 0.1, 3).tolist() == [[6, 17, 54, 33]]


@given(anything)
def test_clip_stays_in_the_frame_and_is_idempotent(box: tuple[float, ...]) -> None:
    clipped = boxes.clip(one(box), FRAME)
    assert torch.equal(boxes.clip(clipped, FRAME), clipped)
    x0, y0, x1, y1 = clipped[0].tolist()
    assert all(0 <= x <= 11 for x in (x0, x1))
    assert all(0 <= y <= 7 for y in (y0, y1))


@given(ordered, st.floats(0, 1), st.floats(0, 9))
def test_enlarged_boxes_contain_the_box(box: tuple[float, ...], fraction: float, pixels: float) -> None:
    grown = boxes.enlarge(one(box), fraction, pixels)
    assert (grown[0, :2] <= one(box)[0, :2] + 1e-9).all()
    assert (grown[0, 2:] >= one(box)[0, 2:] - 1e-9).all()


@given(ordered)
def test_rasterise_is_the_pixels_whose_centre_lies_inside(box: tuple[float, ...]) -> None:
    x0, y0, x1, y1 = box
    xs = [x for x in range(11) if x0 <= x + 0.5 < x1]
    ys = [y for y in range(7) if y0 <= y + 0.5 < y1]
    found = boxes.rasterise(one(box), FRAME)[0]
    if xs and ys:
        expected = torch.zeros(FRAME, dtype=torch.bool)
        for y in ys:
            expected[y, xs] = True
        assert torch.equal(found, expected)


@given(ordered)
def test_rasterise_shows_a_pixel_of_every_box_with_area_in_the_frame(box: tuple[float, ...]) -> None:
    visible = float(boxes.area(boxes.clip(one(box), FRAME))) > 0
    found = boxes.rasterise(one(box), FRAME)[0]
    assert bool(found.any()) == visible
    for y, x in found.nonzero().tolist():  # and only pixels that the box touches
        assert x < box[2]
        assert x + 1 > box[0]
        assert y < box[3]
        assert y + 1 > box[1]


@pytest.mark.parametrize(
    ("box", "pixel"),
    [((3.6, 2.1, 3.9, 2.4), (2, 3)), ((10.9, 6.9, 11, 7), (6, 10)), ((0, 0, 0.01, 0.01), (0, 0))],
    ids=["within a pixel", "last pixel", "first pixel"],
)
def test_a_box_smaller_than_a_pixel_gets_the_pixel_under_it(box: tuple[float, ...], pixel: tuple[int, int]) -> None:
    assert boxes.rasterise(one(box), FRAME)[0].nonzero().tolist() == [list(pixel)]


def test_rasterise_takes_boxes_in_pixels_of_x_then_y() -> None:
    mask = boxes.rasterise(torch.tensor([[2.0, 1, 9, 3], [0, 0, 11, 7]]), FRAME)
    assert mask.shape == (2, 7, 11)
    assert mask.dtype == torch.bool
    assert mask[0].nonzero().tolist() == [[y, x] for y in (1, 2) for x in range(2, 9)]
    assert mask[1].all()


def test_no_boxes_are_fine() -> None:
    none = torch.zeros(0, 4)
    assert boxes.rasterise(none, FRAME).shape == (0, 7, 11)
    assert boxes.area(none).shape == (0,)
    assert boxes.clip(none, FRAME).shape == boxes.enlarge(none, 0.1, 3).shape == (0, 4)
