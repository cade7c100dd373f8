"""Object removed, object only and the holes' control, on pictures whose pixels are known."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.interventions.regions import holes
from pipeline.interventions.removal import HoleControl, ObjectOnly, ObjectRemoved
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


CONTROL = HoleControl(margin_fraction=0.1, margin_px=3, fill="mean", max_donors=9)


def test_every_image_gives_its_hole_once_and_to_another_class() -> None:
    boxes = [[(10.0, 10.0, 20.0, 14.0)]] * 12
    images = pd.DataFrame({"class": np.repeat(list("abc"), 4), "correct": True, "boxes": boxes})
    plan = CONTROL.plan(images, np.random.default_rng(0))
    labels = images["class"].to_numpy()
    assert sorted(plan["donor"]) == list(range(12))
    assert (labels[plan["recipient"]] != labels[plan["donor"]]).all()
    assert set(plan["arm"]) == {"mean"}


def test_the_control_fills_both_holes_and_takes_no_pixel_of_the_donor() -> None:
    batch, donors = batch_of([[10, 10, 20, 14]]), batch_of([[30, 5, 50, 30]])
    both = holes(batch, 0.1, 3) | holes(donors, 0.1, 3)
    found = CONTROL.edit(batch, donors, "mean")
    known = batch.images[0][:, ~both[0]]
    assert torch.equal(found[0][:, ~both[0]], known)
    assert torch.allclose(found[0][:, both[0]], known.mean(dim=1, keepdim=True), atol=1e-6)
    with pytest.raises(ValueError, match="`donors` are needed"):
        CONTROL.edit(batch, None, "mean")


def test_a_fill_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match="`fills` must name"):
        HoleControl(margin_fraction=0.1, margin_px=3, fill="lava", max_donors=9)
