"""Shared layer: groups that share no image, who gets whose layer, and that it is added as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.lowlevel import shared_layer
from pipeline.interventions.shared_layer import COLUMNS, OVER, OVER_OWN, SharedLayer
from pipeline.types import Batch

LAYER = SharedLayer(size=5, groups=2, recipients=6)
CLASSES = "abc"
PER_CLASS = 14


def table(per_class: int = PER_CLASS) -> pd.DataFrame:
    n = 3 * per_class
    return pd.DataFrame(
        {
            "id": [f"i{i}" for i in range(n)],
            "class": np.repeat(list(CLASSES), per_class),
            "correct": np.arange(n) % 7 != 6,
        }
    )


def removed(images: pd.DataFrame) -> pd.DataFrame:
    """The later images of each class say it more."""
    rows = pd.DataFrame({"intervention": "object_removed", "arm": "smooth", "recipient": images["id"]})
    return rows.assign(**{f"log_odds:{c}": np.linspace(-3, 3, len(images)) for c in CLASSES})


def planned(images: pd.DataFrame, layer: SharedLayer = LAYER) -> pd.DataFrame:
    return layer.again(images, removed(images), 1, np.random.default_rng(0))


def test_nothing_is_planned_before_objects_were_removed_or_again_after() -> None:
    images = table()
    for plan in (
        LAYER.plan(images, np.random.default_rng(0)),
        LAYER.again(images, removed(images).iloc[:0], 1, np.random.default_rng(0)),
        LAYER.again(images, removed(images), 2, np.random.default_rng(0)),
    ):
        assert len(plan) == 0
        assert list(plan.columns) == COLUMNS


def test_groups_are_of_one_class_share_no_image_and_begin_with_the_most_telling() -> None:
    images = table()
    plan = planned(images)
    label = images["class"].to_numpy(object)
    groups = set(plan["group"])
    assert len(groups) == 3 * 2
    assert all(len(g) == len(set(g)) == 5 and len(set(label[list(g)])) == 1 for g in groups)
    every = [row for g in groups for row in g]
    assert len(every) == len(set(every))
    last = images.index[images["class"] == "a"][-5:]
    assert any(set(g) == set(last) for g in groups)
    assert (plan["donor"] == [g[0] for g in plan["group"]]).all()


def test_every_recipient_gets_a_layer_of_the_class_and_one_of_its_own() -> None:
    images = table()
    plan = planned(images)
    label, right = images["class"].to_numpy(object), images["correct"].to_numpy()
    for k, own in plan.groupby("tested"):
        over, control = own[own["arm"] == OVER], own[own["arm"] == OVER_OWN]
        assert over["recipient"].tolist() == control["recipient"].tolist()
        assert over["recipient"].is_unique
        assert (label[over["donor"]] == k).all()
        assert (label[over["recipient"]] != k).all()
        assert (label[control["donor"]] == label[control["recipient"]]).all()
        assert right[over["recipient"]].all()
        assert over["group"].value_counts().tolist() == [6, 6]
    assert all(r not in g for r, g in zip(plan["recipient"], plan["group"], strict=True))


def test_who_is_in_its_classs_only_group_has_no_control_and_receives_nothing() -> None:
    images = table(9)
    plan = planned(images, SharedLayer(size=5, groups=2, recipients=99))
    members = {row for g in plan["group"] for row in g}
    assert len(set(plan["group"])) == 3
    assert set(plan["recipient"]) == set(np.flatnonzero(images["correct"])) - members


def test_a_class_of_too_few_images_shares_nothing() -> None:
    assert len(planned(table(3))) == 0
    uneven = pd.concat([table(9), table(1).assign(**{"class": "d"})], ignore_index=True)
    uneven["id"] = [f"i{i}" for i in range(len(uneven))]
    found = LAYER.again(uneven, removed(uneven).assign(**{"log_odds:d": 0.0}), 1, np.random.default_rng(0))
    assert set(found["tested"]) == {"a", "b", "c"}


def test_each_recipient_is_given_its_groups_layer() -> None:
    rng = torch.Generator().manual_seed(0)
    donors = 0.4 + 0.2 * torch.rand(10, 3, 16, 20, generator=rng)
    donors[:5, :, 4:6], donors[5:, :, :, 9:11] = 0.9, 0.1
    images = 0.3 + 0.4 * torch.rand(3, 3, 16, 20, generator=rng)

    def batch(pictures: torch.Tensor, groups: tuple[int, ...] = ()) -> Batch:
        n = len(pictures)
        empty = torch.zeros(n, 16, 20, dtype=torch.bool)
        return Batch(
            ids=tuple(map(str, range(n))), images=pictures, labels=torch.zeros(n, dtype=torch.long), inside=empty,
            others=empty, boxes=(torch.tensor([[0.0, 0.0, 4.0, 4.0]]),) * n, groups=groups,
        )  # fmt: skip

    found = LAYER.edit(batch(images, (1, 0, 1)), batch(donors), OVER)
    layers = torch.cat([shared_layer(donors[None, :5]), shared_layer(donors[None, 5:])])
    assert torch.allclose(found, (images + layers[[1, 0, 1]]).clamp(0, 1))
    assert layers[0][:, 4:6].mean() > 0.1
    assert layers[1][:, :, 9:11].mean() < -0.1
    with pytest.raises(ValueError, match="`donors` are needed"):
        LAYER.edit(batch(images, (0, 0, 0)), None, OVER)


@pytest.mark.parametrize("change", [{"size": 3}, {"groups": 0}, {"recipients": 0}])
def test_mistakes_are_named(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="`size` must be 4 or more"):
        SharedLayer(**({"size": 5, "groups": 2, "recipients": 6} | change))
