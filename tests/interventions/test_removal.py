"""Object removed and object only, on pictures whose pixels are known."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.interventions.regions import holes, largest, squares
from pipeline.interventions.removal import ObjectOnly, ObjectRemoved
from pipeline.types import Batch

SETTINGS = {"margin_fraction": 0.1, "margin_px": 3, "fills": ["smooth", "blur"]}


def batch_of(*boxes: list[list[float]], height: int = 40, width: int = 60) -> Batch:
    n = len(boxes)
    images = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))
    empty = torch.zeros(n, height, width, dtype=torch.bool)
    return Batch(
        ids=tuple(map(str, range(n))),
        images=images,
        labels=torch.zeros(n, dtype=torch.int64),
        inside=empty,
        others=empty,
        boxes=tuple(torch.tensor(b, dtype=torch.float32) for b in boxes),
    )


def test_the_hole_is_the_box_with_its_margin_made_square() -> None:
    batch = batch_of([[10, 10, 20, 14]])  # 10 x 4: margins of 3 px make 16 x 10, squared 16 x 16 about (15, 12)
    assert squares(batch, 0.1, 3)[0].tolist() == [[7, 4, 23, 20]]
    expected = torch.zeros(40, 60, dtype=torch.bool)
    expected[4:20, 7:23] = True
    assert torch.equal(holes(batch, 0.1, 3)[0], expected)


def test_the_margin_grows_with_large_boxes() -> None:
    assert squares(batch_of([[0, 0, 50, 50]]), 0.1, 3)[0].tolist() == [[-5, -5, 55, 55]]


def test_the_largest_region_is_taken_per_image() -> None:
    batch = batch_of([[0, 0, 4, 4], [10, 10, 30, 20]], [[5, 5, 9, 9]])
    assert largest(batch.boxes).tolist() == [[10, 10, 30, 20], [5, 5, 9, 9]]


@pytest.mark.parametrize("arm", SETTINGS["fills"])
def test_removed_and_only_share_the_picture_between_them(arm: str) -> None:
    batch = batch_of([[10, 10, 20, 14]], [[30, 5, 50, 30], [2, 2, 6, 6]])
    hole = holes(batch, 0.1, 3)[:, None].expand_as(batch.images)
    removed = ObjectRemoved(**SETTINGS).edit(batch, None, arm)
    only = ObjectOnly(**SETTINGS).edit(batch, None, arm)
    assert torch.equal(removed[~hole], batch.images[~hole])
    assert torch.equal(only[hole], batch.images[hole])
    for edited in (removed, only):
        assert edited.min() >= 0
        assert edited.max() <= 1


def test_every_image_is_tried_with_every_fill() -> None:
    plan = ObjectRemoved(**SETTINGS).plan(pd.DataFrame({"id": list("abc")}), np.random.default_rng(0))
    assert sorted(zip(plan["recipient"], plan["arm"], strict=True)) == sorted(
        (r, a) for r in range(3) for a in SETTINGS["fills"]
    )
    assert (plan["donor"] == -1).all()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fills", ["lava"], "`fills` must name"),
        ("fills", [], "`fills` must name"),
        ("margin_fraction", 1.5, "`margin_fraction` must lie in"),
        ("margin_px", -1, "`margin_px` must be 0 or more"),
    ],
)
def test_wrong_settings_are_named(key: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ObjectRemoved(**(SETTINGS | {key: value}))
