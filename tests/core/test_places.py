"""Places of a frame: where they lie, what covers them counted pixel by pixel, and what one would call them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.places import BAND, INSIDE, Place, candidates, covered, in_words, pixels, stages

FRAMES = [(32, 32), (64, 48), (160, 240), (12, 20)]


def drawn(place: Place, frame: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the place's pixels, one after the other."""
    x0, y0, x1, y1 = place.box
    inside = np.array([[x0 <= x + 0.5 < x1 and y0 <= y + 0.5 < y1 for x in range(frame[1])] for y in range(frame[0])])
    return inside if place.kind == INSIDE else ~inside


@pytest.mark.parametrize("frame", FRAMES)
def test_places_lie_in_the_frame_and_no_two_are_the_same(frame: tuple[int, int]) -> None:
    found = candidates(frame, [])
    for place in found:
        x0, y0, x1, y1 = place.box
        assert 0 <= x0 < x1 <= frame[1]
        assert 0 <= y0 < y1 <= frame[0]
        assert all(v == int(v) for v in place.box)
        assert drawn(place, frame).any()
    if min(frame) >= 32:  # in a small one strips of different widths round to the same pixels
        assert len({(p.kind, p.box) for p in found}) == len(found)


@pytest.mark.parametrize("frame", FRAMES)
def test_most_of_the_frame_and_all_of_its_edges_are_in_some_place(frame: tuple[int, int]) -> None:
    """What lies between the corners and the grid's cells is in none."""
    inside = np.logical_or.reduce([drawn(p, frame) for p in candidates(frame, []) if p.kind == INSIDE])
    assert inside.mean() > 0.88
    by = round(0.15 * min(frame))
    middle = np.zeros(frame, bool)
    middle[by:-by, by:-by] = True
    assert inside[~middle].all()


@pytest.mark.parametrize("frame", FRAMES)
def test_every_edge_and_corner_has_places_of_its_own(frame: tuple[int, int]) -> None:
    found = candidates(frame, [])
    words = {in_words(p, frame) for p in found}
    assert {f"the {side} edge" for side in ("top", "bottom", "left", "right")} <= words
    assert {f"the {down} {across} corner" for down in ("top", "bottom") for across in ("left", "right")} <= words
    assert "the border" in words
    assert "the middle" in words
    for line, place in (((0, slice(None)), "top"), ((-1, slice(None)), "bottom"), ((slice(None), 0), "left")):
        of_it = [p for p in found if in_words(p, frame) == f"the {place} edge"]
        assert len(of_it) == 3
        assert all(drawn(p, frame)[line].all() for p in of_it)


def test_what_attribution_proposes_comes_last_as_it_is() -> None:
    fixed = candidates((32, 32), [])
    assert candidates((32, 32), [(1.5, 2, 9, 9)]) == [*fixed, Place(kind=INSIDE, box=(1.5, 2, 9, 9))]


whole = st.tuples(*[st.integers(-8, 40)] * 4).map(lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])))  # fmt: skip # noqa: E501


@given(st.lists(whole, min_size=1, max_size=4), st.integers(0, 60))
def test_what_boxes_cover_is_counted_in_pixels(boxes: list[tuple[int, ...]], number: int) -> None:
    frame = (32, 24)
    places = candidates(frame, [])
    place = places[number % len(places)]
    own = drawn(place, frame)
    counted = [(own & drawn(Place(kind=INSIDE, box=box), frame)).sum() / own.sum() for box in boxes]  # type: ignore[arg-type]
    assert covered(place, np.array(boxes, float), frame) == pytest.approx(counted)
    assert place.area(frame) == pytest.approx(own.mean())


def test_the_pixels_of_places_are_those_within_or_around() -> None:
    frame = (16, 20)
    boxes = [(2.0, 3.0, 9.0, 11.0), (0.0, 0.0, 20.0, 4.0)]
    for kind in (INSIDE, BAND):
        expected = [drawn(Place(kind=kind, box=box), frame) for box in boxes]
        assert np.array_equal(pixels(kind, torch.tensor(boxes), frame).numpy(), expected)


def place(*box: float) -> Place:
    return Place(kind=INSIDE, box=box)  # type: ignore[arg-type]


def test_places_are_apart_with_less_than_a_third_of_the_smaller_in_common() -> None:
    large = place(0, 0, 30, 30)
    assert not large.apart(place(5, 5, 8, 8))
    assert not place(5, 5, 8, 8).apart(large)
    assert large.apart(place(28, 0, 37, 9))  # 2 of 9 columns
    assert not large.apart(place(27, 0, 36, 9))  # 3 of 9: a third
    assert large.apart(place(30, 0, 40, 10))
    assert large.apart(place(50, 50, 60, 60))  # apart along both axes: no product of two negative lengths
    band = Place(kind=BAND, box=(3, 3, 29, 29))
    assert not band.apart(place(10, 10, 12, 12))
    assert not place(10, 10, 12, 12).apart(band)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 100, 10), "the top edge"),
        ((0, 80, 100, 90), "the bottom edge"),
        ((0, 0, 8, 80), "the left edge"),
        ((92, 0, 100, 90), "the right edge"),
        ((0, 0, 20, 20), "the top left corner"),
        ((70, 70, 100, 90), "the bottom right corner"),
        ((70, 60, 90, 80), "the bottom right"),
        ((40, 0, 60, 20), "the top centre"),
        ((40, 70, 60, 90), "the bottom centre"),
        ((0, 40, 20, 50), "the left side"),
        ((75, 40, 95, 50), "the right side"),
        ((40, 35, 60, 55), "the middle"),
        ((0, 0, 100, 90), "the middle"),  # all of it is no edge
    ],
)
def test_places_have_names(box: tuple[int, ...], words: str) -> None:
    assert in_words(place(*box), (90, 100)) == words


def test_a_band_is_the_border_wherever_its_hole_is() -> None:
    assert in_words(Place(kind=BAND, box=(5, 5, 95, 85)), (90, 100)) == "the border"


def test_stages_are_arms_without_their_kinds() -> None:
    assert stages(["confirm:band", "search_own:in", "own", "hidden:a:b"]).tolist() == [
        "confirm:", "search_own:", "own:", "hidden:",
    ]  # fmt: skip
    assert len(stages([])) == 0


def test_strips_of_one_edge_grow() -> None:
    top = [p.box[3] for p in candidates((100, 100), []) if in_words(p, (100, 100)) == "the top edge"]
    assert all(a < b for a, b in pairwise(top))
