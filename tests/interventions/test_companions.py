"""Companions removed: who is hidden, what stays, and a control that hides as much in the same images."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.core.boxes import clip, rasterise
from pipeline.interventions.companions import LEAST_PIXELS, CompanionsRemoved, _covered
from pipeline.types import Batch, Box, Companions

SETTINGS = {"margin_fraction": 0.0, "margin_px": 0.0, "fill": "grey", "min_images": 2, "max_images": 50}
PERSON, BALL = ("person", (20.0, 4.0, 26.0, 14.0)), ("ball", (4.0, 24.0, 8.0, 28.0))


def table(
    n: int = 4, boxes: list[Box] | None = None, companions: Companions = (PERSON,), side: int = 32
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "class": ["racket"] * n,
            "boxes": [boxes or [(2.0, 2.0, 10.0, 10.0)]] * n,
            "frame": [(side, side)] * n,
            "companions": [companions] * n,
        }
    )


def batch(images: pd.DataFrame, plan: pd.DataFrame, inside: Tensor | None = None) -> Batch:
    """The plan's recipients, noise that no fill leaves as it is; `inside` is what the boxes cover unless given."""
    rows = images.iloc[plan["recipient"]]
    boxes = tuple(torch.tensor(b) for b in rows["boxes"])
    frame = rows["frame"].iloc[0]
    covered = torch.stack([rasterise(b, frame).any(dim=0) for b in boxes]) if inside is None else inside
    noise = torch.rand(len(rows), 3, *frame, generator=torch.Generator().manual_seed(0))
    places = None if plan["place"].isna().any() else torch.tensor(plan["place"].tolist())
    return Batch(
        ids=tuple(rows["id"]), images=noise, labels=torch.zeros(len(rows), dtype=torch.long), inside=covered,
        others=torch.zeros_like(covered), boxes=boxes, companions=tuple(rows["companions"]), places=places,
    )  # fmt: skip


def changed(intervention: CompanionsRemoved, images: pd.DataFrame, inside: Tensor | None = None) -> dict[str, Tensor]:
    """(B, H, W) bool per arm of the plan: the pixels that its edits change."""
    plan, found = intervention.plan(images, np.random.default_rng(0)), {}
    for arm, own in plan.groupby("arm"):
        given = batch(images, own, inside)
        found[str(arm)] = (intervention.edit(given, None, str(arm)) != given.images).any(dim=1)
    return found


def test_categories_that_are_frequent_enough_are_hidden_once_an_image() -> None:
    images = table()
    images.at[0, "companions"] = (PERSON, BALL)
    plan = CompanionsRemoved(**SETTINGS).plan(images, np.random.default_rng(0))
    assert set(plan["arm"]) == {"hidden:person", "elsewhere:person"}
    assert (plan["arm"] == "hidden:person").sum() == 4
    assert (plan["donor"] == -1).all()


def test_no_more_images_than_asked_for_are_tried() -> None:
    plan = CompanionsRemoved(**(SETTINGS | {"max_images": 3})).plan(table(9), np.random.default_rng(0))
    assert plan["arm"].value_counts().to_dict() == {"hidden:person": 3, "elsewhere:person": 3}


@pytest.mark.parametrize("margin", [0.0, 0.25])
@pytest.mark.parametrize(
    ("boxes", "companions"),
    [
        ([(2.0, 2.0, 10.0, 10.0)], (PERSON,)),
        ([(2.0, 2.0, 22.7, 10.0)], (PERSON,)),  # covers a part of the person
        ([(2.0, 2.0, 10.0, 10.0)], (PERSON, ("person", (21.0, 8.5, 29.0, 20.0)))),  # persons that overlap
        ([(2.0, 2.0, 10.0, 10.0)], (("person", (28.0, 4.0, 40.0, 14.0)),)),  # reaches beyond the frame
    ],
)
def test_the_control_hides_as_many_pixels_off_the_object_and_the_companions(
    boxes: list[Box], companions: Companions, margin: float
) -> None:
    found = changed(CompanionsRemoved(**(SETTINGS | {"margin_fraction": margin})), table(20, boxes, companions))
    hidden, elsewhere = found["hidden:person"], found["elsewhere:person"]
    sizes, controls = hidden.sum(dim=(1, 2)), elsewhere.sum(dim=(1, 2))
    assert sizes.min() >= LEAST_PIXELS
    assert (sizes - controls).abs().max() <= 0.5 * sizes.max().sqrt() + 1  # full rows
    assert not (hidden & elsewhere).any()
    assert not ((hidden | elsewhere) & rasterise(torch.tensor(boxes), (32, 32)).any(dim=0)).any()


def test_both_arms_cover_the_same_images_and_those_that_would_hide_nothing_are_left_out() -> None:
    images = table(9)
    images.at[1, "boxes"] = [(18.0, 2.0, 30.0, 20.0)]  # covers the person
    images.at[2, "boxes"] = [(18.0, 2.0, 30.0, 12.0)]  # all but 12 pixels
    images.at[3, "companions"] = (("person", (10.0, 0.0, 32.0, 32.0)),)  # leaves no place for a control
    plan = CompanionsRemoved(**SETTINGS).plan(images, np.random.default_rng(0))
    hidden, elsewhere = (set(plan.loc[plan["arm"] == f"{arm}:person", "recipient"]) for arm in ("hidden", "elsewhere"))
    assert hidden == elsewhere == {0, 4, 5, 6, 7, 8}
    few = CompanionsRemoved(**(SETTINGS | {"min_images": 7}))
    assert len(few.plan(images, np.random.default_rng(0))) == 0


def test_a_control_that_fits_only_turned_is_turned() -> None:
    wide = (("person", (0.0, 0.0, 24.0, 4.0)),)
    images = table(4, [(0.0, 5.0, 24.0, 32.0)], wide)  # a column on the right is free
    plan = CompanionsRemoved(**SETTINGS).plan(images, np.random.default_rng(0))
    places = plan.loc[plan["arm"] == "elsewhere:person", "place"].tolist()
    assert len(places) == 4
    assert all(y1 - y0 > x1 - x0 for x0, y0, x1, y1 in places)


def test_only_the_category_changes_and_the_audited_object_never() -> None:
    inside = torch.zeros(4, 32, 32, dtype=torch.bool)
    inside[:, 2:10, 2:23] = True  # a mask that goes beyond its own box, which itself reaches into the person's
    images = table(4, [(2.0, 2.0, 22.0, 10.0)], (PERSON, BALL))
    found = changed(CompanionsRemoved(**SETTINGS), images, inside)["hidden:person"]
    person = torch.zeros(32, 32, dtype=torch.bool)
    person[4:14, 20:26] = True
    assert torch.equal(found[0], person & ~inside[0])
    assert not any(
        (pixels & inside).any() for pixels in changed(CompanionsRemoved(**SETTINGS), images, inside).values()
    )


def test_images_without_companions_plan_nothing() -> None:
    plain = table(companions=())
    assert len(CompanionsRemoved(**SETTINGS).plan(plain, np.random.default_rng(0))) == 0
    assert len(CompanionsRemoved(**SETTINGS).plan(plain.drop(columns="companions"), np.random.default_rng(0))) == 0


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="`fill` must be one of"):
        CompanionsRemoved(**(SETTINGS | {"fill": "glue"}))
    with pytest.raises(ValueError, match="`min_images` must be"):
        CompanionsRemoved(**(SETTINGS | {"min_images": 60}))


@given(
    st.lists(st.tuples(*[st.integers(-10, 80)] * 2, *[st.integers(2, 60)] * 2), min_size=0, max_size=4),
)
def test_pixels_are_counted_as_they_are_filled(corners: list[tuple[int, int, int, int]]) -> None:
    """In half pixels, where a rounding would show; boxes that the frame leaves less than a pixel of are not counted."""
    boxes = clip(torch.tensor([(x, y, x + w, y + h) for x, y, w, h in corners]).reshape(-1, 4) / 2, (32, 40))
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2] >= 1).all(dim=1)]
    assert np.array_equal(_covered(boxes, (32, 40)), rasterise(boxes, (32, 40)).any(dim=0).numpy())
