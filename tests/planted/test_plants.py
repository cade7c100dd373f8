"""Planted marks of every kind: the same look in all pictures of a model, and where they say they are."""

import numpy as np
import pytest

from pipeline.planted.held_out import HELD_OUT
from pipeline.planted.plants import DEVELOPMENT, Planter

KINDS = DEVELOPMENT | HELD_OUT
SIDE = 48
MASK = np.zeros((SIDE, SIDE), bool)
MASK[18:30, 18:30] = True


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 215, (SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_is_reproducible_visible_and_where_it_says(kind: str) -> None:
    planter = Planter(plant=KINDS[kind], strength=1.0, style=3)
    drawn, footprint = planter(picture(0), MASK, 7)
    again, _ = planter(picture(0), MASK, 7)
    assert drawn.dtype == np.uint8
    assert (drawn == again).all()
    assert (drawn != picture(0)).any()
    if KINDS[kind].local and kind != "two_at_once":
        assert footprint is not None
        assert (drawn[~footprint] == picture(0)[~footprint]).all()


@pytest.mark.parametrize("kind", ["tint", "texture"])
def test_backgrounds_leave_the_object_alone(kind: str) -> None:
    drawn, _ = Planter(plant=KINDS[kind], strength=1.0, style=3)(picture(0), MASK, 7)
    assert (drawn[MASK] == picture(0)[MASK]).all()


def test_in_box_touches_nothing_but_the_object() -> None:
    drawn, _ = Planter(plant=KINDS["in_box"], strength=1.0, style=3)(picture(0), MASK, 7)
    assert (drawn[~MASK] == picture(0)[~MASK]).all()


@pytest.mark.parametrize("kind", [k for k, plant in KINDS.items() if plant.local])
def test_only_moving_marks_move(kind: str) -> None:
    planter = Planter(plant=KINDS[kind], strength=1.0, style=3)
    places = {planter(picture(0), MASK, i)[1].tobytes() for i in range(12)}  # type: ignore[union-attr]
    assert (len(places) > 1) == KINDS[kind].moves


@pytest.mark.parametrize("kind", KINDS)
def test_weaker_marks_change_less(kind: str) -> None:
    change = [
        np.abs(Planter(plant=KINDS[kind], strength=s, style=3)(picture(0), MASK, 7)[0].astype(int) - picture(0)).mean()
        for s in (0.4, 1.0)
    ]
    assert change[0] < change[1]
