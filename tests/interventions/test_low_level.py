"""Low-level transplant: every arm for every pair, and the donor's object gives nothing."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.interventions.low_level import TRANSFERS, LowLevelTransplant
from pipeline.types import Batch

SETTINGS = {
    "margin_fraction": 0.0,
    "margin_px": 0.0,
    "arms": list(TRANSFERS),
    "recipients_per_donor": 1,
    "max_donors": 9,
}


def table() -> pd.DataFrame:
    boxes = [[(5.0, 5.0, 15.0, 15.0)]] * 12
    return pd.DataFrame({"class": np.repeat(["a", "b", "c"], 4), "correct": True, "boxes": boxes})


def batch(images: torch.Tensor) -> Batch:
    masks = torch.zeros(len(images), 24, 24, dtype=torch.bool)
    box = torch.tensor([[8.0, 8.0, 16.0, 16.0]])
    return Batch(
        ids=tuple("ab")[: len(images)], images=images, labels=torch.zeros(len(images), dtype=torch.long), inside=masks,
        others=masks, boxes=(box,) * len(images),
    )  # fmt: skip


def test_every_arm_has_the_same_pairs_and_no_donor_its_own_class() -> None:
    plan = LowLevelTransplant(**SETTINGS).plan(table(), np.random.default_rng(0))
    labels = table()["class"].to_numpy()
    assert (labels[plan["recipient"]] != labels[plan["donor"]]).all()
    pairs = {arm: set(zip(own["recipient"], own["donor"], strict=True)) for arm, own in plan.groupby("arm")}
    assert set(pairs) == set(TRANSFERS)
    assert len({frozenset(p) for p in pairs.values()}) == 1


def test_with_two_classes_donors_of_the_recipients_class_are_the_neutral_ones() -> None:
    images = table().iloc[:8]
    plan = LowLevelTransplant(**SETTINGS).plan(images, np.random.default_rng(0))
    labels = images["class"].to_numpy()
    made = set(zip(labels[plan["recipient"]], labels[plan["donor"]], strict=True))
    assert made == {("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")}


def test_colour_is_measured_around_the_objects() -> None:
    rng = torch.Generator().manual_seed(0)
    recipients = 0.4 + 0.2 * torch.rand(2, 3, 24, 24, generator=rng)
    donors = 0.3 + 0.1 * torch.rand(2, 3, 24, 24, generator=rng)
    recipients[:, :, 8:16, 8:16] = 0.5
    outside = torch.ones(24, 24, dtype=torch.bool)
    outside[8:16, 8:16] = False
    found = LowLevelTransplant(**SETTINGS).edit(batch(recipients), batch(donors), "colour")
    for statistic in (torch.mean, torch.std):
        assert torch.allclose(
            statistic(found[:, :, outside], dim=2), statistic(donors[:, :, outside], dim=2), atol=1e-4
        )


@pytest.mark.parametrize("arm", TRANSFERS)
def test_the_donors_object_gives_nothing(arm: str) -> None:
    rng = torch.Generator().manual_seed(0)
    recipients, donors = torch.rand(2, 3, 24, 24, generator=rng), torch.rand(2, 3, 24, 24, generator=rng)
    donors[:, :, :2] = 0.1  # a border of one colour
    other_object = donors.clone()
    other_object[:, :, 8:16, 8:16] = torch.rand(2, 3, 8, 8, generator=rng)
    edit = LowLevelTransplant(**SETTINGS).edit
    first, second = (edit(batch(recipients), batch(d), arm) for d in (donors, other_object))
    assert torch.allclose(first, second, atol=1e-6)
    assert not torch.equal(first, recipients)
    assert first.min() >= 0
    assert first.max() <= 1


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="`arms` must name one or more"):
        LowLevelTransplant(**(SETTINGS | {"arms": ["taste"]}))
    with pytest.raises(ValueError, match="must be 1 or more"):
        LowLevelTransplant(**(SETTINGS | {"max_donors": 0}))
    with pytest.raises(ValueError, match="`donors`"):
        LowLevelTransplant(**SETTINGS).edit(batch(torch.rand(1, 3, 24, 24)), None, "colour")
