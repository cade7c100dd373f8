"""Companions removed: who is hidden, what stays, and a control of the same size."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.interventions.companions import CompanionsRemoved
from pipeline.types import Batch

SETTINGS = {"margin_fraction": 0.0, "margin_px": 0.0, "fill": "grey", "min_images": 2, "max_images": 50}
PERSON, BALL = ("person", (20.0, 4.0, 26.0, 14.0)), ("ball", (4.0, 24.0, 8.0, 28.0))


def table(n: int = 4) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "class": ["racket"] * n,
            "boxes": [[(2.0, 2.0, 10.0, 10.0)]] * n,
            "frame": [(32, 32)] * n,
            "companions": [(PERSON, BALL) if i == 0 else (PERSON,) for i in range(n)],
        }
    )


def test_categories_that_are_frequent_enough_are_hidden_once_an_image() -> None:
    plan = CompanionsRemoved(**SETTINGS).plan(table(), np.random.default_rng(0))
    assert set(plan["arm"]) == {"hidden:person", "elsewhere:person"}
    assert (plan["arm"] == "hidden:person").sum() == 4
    assert (plan["donor"] == -1).all()


def test_the_control_is_as_large_and_off_the_object() -> None:
    plan = CompanionsRemoved(**SETTINGS).plan(table(20), np.random.default_rng(0))
    places = np.array(plan.loc[plan["arm"] == "elsewhere:person", "place"].tolist())
    assert len(places) == 20
    assert (places[:, 2] - places[:, 0]) * (places[:, 3] - places[:, 1]) == pytest.approx(np.full(20, 60.0))
    apart = (places[:, 0] >= 10) | (places[:, 1] >= 10)
    assert apart.all()


def test_only_the_category_changes_and_the_audited_object_never() -> None:
    inside = torch.zeros(1, 32, 32, dtype=torch.bool)
    inside[0, 2:10, 2:22] = True  # reaches into the person's box
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batch = Batch(
        ids=("a",), images=images, labels=torch.zeros(1, dtype=torch.long), inside=inside,
        others=torch.zeros_like(inside), boxes=(torch.tensor([[2.0, 2.0, 22.0, 10.0]]),), companions=((PERSON, BALL),),
    )  # fmt: skip
    changed = (CompanionsRemoved(**SETTINGS).edit(batch, None, "hidden:person") != images).any(dim=1)[0]
    person = torch.zeros(32, 32, dtype=torch.bool)
    person[4:14, 20:26] = True
    assert torch.equal(changed, person & ~inside[0])


def test_images_without_companions_plan_nothing() -> None:
    plain = table().assign(companions=[()] * 4)
    assert len(CompanionsRemoved(**SETTINGS).plan(plain, np.random.default_rng(0))) == 0
    assert len(CompanionsRemoved(**SETTINGS).plan(plain.drop(columns="companions"), np.random.default_rng(0))) == 0


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="`fill` must be one of"):
        CompanionsRemoved(**(SETTINGS | {"fill": "glue"}))
    with pytest.raises(ValueError, match="`min_images` must be"):
        CompanionsRemoved(**(SETTINGS | {"min_images": 60}))
