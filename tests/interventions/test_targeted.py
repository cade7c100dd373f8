"""Targeted exchange: who gives what to whom, on which half, and what changes."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.interventions.targeted import TargetedExchange
from pipeline.types import Batch

SETTINGS = {
    "margin_fraction": 0.0, "margin_px": 0.0, "max_trials": 20, "max_hotspots": 1, "peaks": True, "feather": 0.0,
}  # fmt: skip
SPOT, PEAK = (24.0, 24.0, 30.0, 30.0), (0.0, 24.0, 6.0, 30.0)


def table(classes: int = 4, per_class: int = 24) -> pd.DataFrame:
    n = classes * per_class
    rng = np.random.default_rng(0)
    corner = rng.integers(2, 20, (n, 2)).astype(float)
    small = [np.zeros((16, 16), np.float16) for _ in range(n)]
    for i in range(0, n, 4):  # every fourth image has its attribution in the hotspot
        small[i][12:15, 12:15] = 0.1
    return pd.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "class": np.repeat(list("abcdefgh")[:classes], per_class),
            "correct": rng.uniform(size=n) < 0.9,
            "half": np.arange(n) % 2,
            "boxes": [[(x, y, x + 8, y + 8)] for x, y in corner],
            "hotspots": [[SPOT]] * n,
            "peak": [PEAK] * n,
            "small_map": small,
            "frame": [(32, 32)] * n,
        }
    )


def crowded() -> pd.DataFrame:
    """Objects at the place, near the other corners, and in the middle."""
    corners = ((23.0, 23.0, 31.0, 31.0), (0.0, 22.0, 8.0, 30.0), (9.0, 2.0, 17.0, 10.0))
    images = table()
    return images.assign(boxes=[[corners[i % 3]] for i in range(len(images))])


def planned(images: pd.DataFrame, **changed: object) -> pd.DataFrame:
    plan = TargetedExchange(**(SETTINGS | changed)).plan(images, np.random.default_rng(0))  # type: ignore[arg-type]
    recipients, donors = (images.iloc[plan[side]].reset_index(drop=True) for side in ("recipient", "donor"))
    sides = {"to": recipients, "from": donors}
    return plan.assign(**{f"{s}_{c}": t[c] for s, t in sides.items() for c in ("class", "half", "correct", "boxes")})


def _meet(boxes: list, place: tuple) -> bool:
    x0, y0, x1, y1 = boxes[0]
    return min(x1, place[2]) > max(x0, place[0]) and min(y1, place[3]) > max(y0, place[1])


def test_an_exchange_stays_within_one_half() -> None:
    plan = planned(table())
    assert (plan["to_half"] == plan["from_half"]).all()
    assert set(plan["to_half"]) == {0, 1}


def test_every_arm_has_donors_and_recipients_of_the_right_classes() -> None:
    plan = planned(table())
    own_gives = plan["arm"].isin(["in", "elsewhere", "out_own", "peak"])
    assert ((plan["from_class"] == plan["tested"]) == own_gives).all()
    loses = plan["arm"].isin(["out", "out_own"])
    assert ((plan["to_class"] == plan["tested"]) == loses).all()
    assert plan["to_correct"].all()
    neutral = plan[plan["arm"].isin(["in_neutral", "peak_neutral"])]
    assert (neutral["from_class"] != neutral["to_class"]).all()


def test_no_donor_gives_a_part_of_its_object() -> None:
    plan = planned(table())
    given = plan[plan["arm"].isin(["in", "in_neutral", "elsewhere", "out", "out_own"])]
    assert not any(_meet(b, p) for b, p in zip(given["from_boxes"], given["place"], strict=True))


def test_the_control_patch_is_as_large_and_somewhere_else() -> None:
    places = np.array(planned(table()).query("arm == 'elsewhere'")["place"].tolist())
    assert (places[:, 2] - places[:, 0] == 6).all()
    assert (places[:, 3] - places[:, 1] == 6).all()
    assert not any(_meet([SPOT], tuple(p)) for p in places)


def test_those_give_that_have_attribution_there() -> None:
    plan = planned(table(per_class=80), peaks=False)
    giving = plan.loc[(plan["arm"] == "in") & (plan["from_half"] == 0), "donor"].unique()  # where the others are
    assert (giving % 4 == 0).all()


def test_recipients_whose_object_is_at_the_place_are_spared() -> None:
    plan = planned(crowded())
    spared = plan[plan["arm"] != "elsewhere"]
    assert len(spared) > 100
    assert not any(_meet(b, p) for b, p in zip(spared["to_boxes"], spared["place"], strict=True))


def test_the_margin_and_every_object_count() -> None:
    """A box that stops short of the place, and a second one beyond it: neither image may give."""
    images = table()
    images["boxes"] = [
        [(13.0, 24.0, 23.0, 30.0)] if i % 3 == 0
        else [(2.0, 2.0, 8.0, 8.0), (24.0, 24.0, 31.0, 31.0)] if i % 3 == 1
        else [(2.0, 2.0, 8.0, 8.0)]
        for i in range(len(images))
    ]  # fmt: skip
    plan = planned(images, margin_px=2.0, peaks=False)
    giving = plan[plan["arm"].isin(["in", "in_neutral", "out", "out_own"])]["donor"].unique()
    assert len(giving) > 0
    assert (giving % 3 == 2).all()


def test_hotspots_and_trials_are_as_many_as_wanted() -> None:
    images = table().assign(hotspots=[[SPOT, (24.0, 2.0, 30.0, 8.0)]] * 96)
    one, two = (planned(images, max_hotspots=n, max_trials=5) for n in (1, 2))
    assert set(one["spot"]) == {-1, 0}
    assert set(two["spot"]) == {-1, 0, 1}
    assert two.groupby(["tested", "to_half", "spot", "arm"]).size().max() == 5
    assert set(planned(images, max_hotspots=0)["arm"]) == {"peak", "peak_neutral"}


def test_the_control_patch_spares_the_recipients_object_too() -> None:
    plan = planned(crowded()).query("arm == 'elsewhere'")
    x0, y0, x1, y1 = np.array([b[0] for b in plan["to_boxes"]]).T
    u0, v0, u1, v1 = np.array(plan["place"].tolist()).T
    across, down = np.minimum(x1, u1) - np.maximum(x0, u0), np.minimum(y1, v1) - np.maximum(y0, v0)
    assert (across.clip(min=0) * down.clip(min=0) / 36 <= 0.25).all()


def test_nobody_receives_from_itself() -> None:
    plan = pd.concat([planned(table(classes=2)).query("arm != 'peak_neutral'"), planned(table())])
    assert (plan["recipient"] != plan["donor"]).all()


def test_nobody_receives_its_own_peak() -> None:
    plan = planned(table(classes=2)).query("arm == 'peak_neutral'")
    assert (plan["recipient"] != plan["donor"]).all()


def test_images_without_a_peak_give_none() -> None:
    images = table()
    images["peak"] = [PEAK if i % 3 else None for i in range(len(images))]
    plan = planned(images)
    giving = plan[plan["arm"].isin(["peak", "peak_neutral"])]
    assert set(giving["arm"]) == {"peak", "peak_neutral"}
    assert (giving["donor"] % 3 > 0).all()
    assert set(giving["place"]) == {PEAK}


def test_of_two_classes_the_recipients_own_is_neutral() -> None:
    plan = planned(table(classes=2))
    neutral = plan[plan["arm"].isin(["in_neutral", "peak_neutral"])]
    assert set(neutral["arm"]) == {"in_neutral", "peak_neutral"}
    assert (neutral["from_class"] == neutral["to_class"]).all()
    assert (neutral["from_class"] != neutral["tested"]).all()


def test_no_hotspots_are_no_error() -> None:
    bare = table().assign(hotspots=[[]] * 96)
    assert set(planned(bare)["arm"]) == {"peak", "peak_neutral"}
    for empty in (table().drop(columns="hotspots"), table().iloc[:0]):
        assert len(TargetedExchange(**SETTINGS).plan(empty, np.random.default_rng(0))) == 0  # type: ignore[arg-type]


def test_exactly_the_place_changes_and_takes_the_donors_pixels() -> None:
    rng = torch.Generator().manual_seed(0)
    recipients, donors = torch.rand(1, 3, 32, 32, generator=rng), torch.rand(1, 3, 32, 32, generator=rng)
    none = torch.zeros(1, 32, 32, dtype=torch.bool)

    def batch(images: torch.Tensor, places: torch.Tensor | None = None) -> Batch:
        return Batch(
            ids=("a",), images=images, labels=torch.zeros(1, dtype=torch.long), inside=none, others=none,
            boxes=(torch.tensor([[1.0, 1.0, 5.0, 5.0]]),), places=places,
        )  # fmt: skip

    edit = TargetedExchange(**SETTINGS).edit
    found = edit(batch(recipients, torch.tensor([SPOT])), batch(donors), "in")
    assert torch.allclose(found[:, :, 24:30, 24:30], donors[:, :, 24:30, 24:30], atol=1e-5)
    rest = torch.ones(32, 32, dtype=torch.bool)
    rest[24:30, 24:30] = False
    assert torch.equal(found[:, :, rest], recipients[:, :, rest])
    with pytest.raises(ValueError, match="`donors` and `places`"):
        edit(batch(recipients), batch(donors), "in")


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="`max_trials` must be 1 or more"):
        TargetedExchange(**(SETTINGS | {"max_trials": 0}))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`margin_px` must be 0 or more"):
        TargetedExchange(**(SETTINGS | {"margin_px": -1.0}))  # type: ignore[arg-type]
