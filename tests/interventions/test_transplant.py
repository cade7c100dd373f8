"""Outside transplant: who is paired with whom, and what the new picture is made of."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.interventions.transplant import OutsideTransplant
from pipeline.types import Batch

SETTINGS = {
    "margin_fraction": 0.1,
    "margin_px": 3,
    "feather": 0.0,
    "recipients_per_donor": 2,
    "max_donors": 50,
    "matched": False,
    "moved": False,
    "least_outside": 0.0,
}


def _table(per_class: int, classes: int, wrong: tuple[int, ...] = ()) -> pd.DataFrame:
    n = per_class * classes
    return pd.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "class": np.repeat([f"class{c}" for c in range(classes)], per_class),
            "correct": [i not in wrong for i in range(n)],
            "boxes": [[(5.0, 5.0, 15.0 + i % 7, 20.0)] for i in range(n)],
            "frame": [(40, 60)] * n,
        }
    )


def test_every_donor_serves_two_others_and_one_of_its_own() -> None:
    images = _table(6, 4)
    plan = OutsideTransplant(**SETTINGS).plan(images, np.random.default_rng(0))
    label = images["class"].to_numpy()
    given, taken = label[plan["donor"]], label[plan["recipient"]]
    assert (plan["donor"] != plan["recipient"]).all()
    assert ((given == taken) == (plan["arm"] == "own")).all()
    counts = plan.groupby(["donor", "arm"]).size().unstack()
    assert (counts["other"] == 2).all()
    assert (counts["own"] == 1).all()


def test_objects_that_the_model_gets_wrong_receive_nothing() -> None:
    images = _table(6, 3, wrong=(0, 7))
    plan = OutsideTransplant(**SETTINGS).plan(images, np.random.default_rng(0))
    assert not plan["recipient"].isin([0, 7]).any()
    assert plan["donor"].isin([0, 7]).any()


@pytest.mark.parametrize("classes", [1, 2])
def test_few_classes_are_no_error(classes: int) -> None:
    plan = OutsideTransplant(**SETTINGS).plan(_table(3, classes), np.random.default_rng(0))
    assert set(plan["arm"]) == ({"own"} if classes == 1 else {"own", "other"})


def test_a_lone_image_gives_nothing_to_itself() -> None:
    plan = OutsideTransplant(**SETTINGS).plan(_table(1, 1), np.random.default_rng(0))
    assert list(plan.columns) == ["recipient", "donor", "arm"]
    assert len(plan) == 0


def test_donors_are_capped_per_class() -> None:
    plan = OutsideTransplant(**(SETTINGS | {"max_donors": 2})).plan(_table(6, 3), np.random.default_rng(0))
    assert plan["donor"].nunique() == 6


def test_images_with_little_around_their_object_give_nothing() -> None:
    """The box 25 of 40 pixels high and 36 wide, with its margin, leaves 30 % of the frame."""
    images = _table(6, 3)
    for i in (1, 8):
        images.at[i, "boxes"] = [(2.0, 2.0, 52.0, 37.0)]
    wide = OutsideTransplant(**SETTINGS).plan(images, np.random.default_rng(0))
    plan = OutsideTransplant(**(SETTINGS | {"least_outside": 0.3})).plan(images, np.random.default_rng(0))
    assert {1, 8} <= set(wide["donor"])
    assert set(plan["donor"]) == set(range(18)) - {1, 8}


def _batch(image: torch.Tensor, box: list[float], inside: torch.Tensor | None = None) -> Batch:
    empty = torch.zeros(1, *image.shape[-2:], dtype=torch.bool)
    return Batch(
        ids=("a",), images=image, labels=torch.zeros(1, dtype=torch.int64), others=empty,
        inside=empty if inside is None else inside, boxes=(torch.tensor([box]),), outlined=(inside is not None,),
    )  # fmt: skip


def test_the_recipients_object_lands_in_the_donors_box_and_the_rest_is_the_donors() -> None:
    frame = (40, 60)
    donor_image, own_image = torch.full((1, 3, *frame), 0.2), torch.zeros(1, 3, *frame)
    donor_image[:, :, 20:30, 40:50] = 0.9  # the donor's object
    donor_image[:, 0, 35:, :5] = 1.0  # a mark in its surroundings
    own_image[:, 1, 5:15, 5:15] = 1.0  # the recipient's object

    edit = OutsideTransplant(**SETTINGS).edit
    changed = edit(_batch(own_image, [5.0, 5, 15, 15]), _batch(donor_image, [40.0, 20, 50, 30]), "other")
    place = torch.zeros(frame, dtype=torch.bool)
    place[17:33, 37:53] = True
    assert torch.equal(changed[:, :, ~place], donor_image[:, :, ~place])
    assert torch.allclose(changed[0, :, 20:30, 40:50], own_image[0, :, 5:15, 5:15], atol=1e-5)


def test_an_object_with_an_outline_is_put_there_without_what_surrounds_it() -> None:
    """A disc: the corners of its box stay the donor's; what is around the donor's own object is the donor's too."""
    frame = (60, 60)
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    disc = ((rows - 20) ** 2 + (columns - 20) ** 2 < 14**2)[None]
    own_image = torch.where(disc[:, None], torch.tensor(1.0), torch.tensor(0.5)).expand(1, 3, *frame).clone()
    donor_image = torch.full((1, 3, *frame), 0.2)
    own = _batch(own_image, [6.0, 6, 35, 35], disc)
    donor = _batch(donor_image, [16.0, 16, 45, 45])
    changed = OutsideTransplant(**SETTINGS).edit(own, donor, "other")
    assert torch.allclose(changed[0, :, 30, 30], torch.tensor(1.0), atol=1e-4)  # its middle, ten pixels on
    for y, x in ((17, 17), (17, 43), (43, 17), (43, 43)):  # corners of the box
        assert torch.allclose(changed[0, :, y, x], torch.tensor(0.2), atol=1e-4)
    whole = OutsideTransplant(**SETTINGS).edit(_batch(own_image, [6.0, 6, 35, 35]), donor, "other")
    assert torch.allclose(whole[0, :, 17, 17], torch.tensor(0.5), atol=1e-4)  # a box comes with them


def test_donors_are_needed() -> None:
    with pytest.raises(ValueError, match="`donors` are needed"):
        OutsideTransplant(**SETTINGS).edit(None, None, "other")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("classes", "arms"), [(2, {"other", "own", "matched", "own_matched"}), (3, {"other", "own", "matched"})]
)
def test_matching_is_done_to_both_sides_of_a_comparison(classes: int, arms: set[str]) -> None:
    """With two classes the donors' own class is the neutral one: unmatched, it would be compared with matched ones."""
    plan = OutsideTransplant(**(SETTINGS | {"matched": True})).plan(_table(6, classes), np.random.default_rng(0))
    assert set(plan["arm"]) == arms


def test_matched_objects_take_the_surroundings_brightness() -> None:
    dark, bright = torch.full((1, 3, 32, 32), 0.2), torch.full((1, 3, 32, 32), 0.8)
    dark[:, :, 10:20, 10:20] += 0.1
    none = torch.zeros(1, 32, 32, dtype=torch.bool)
    box = (torch.tensor([[10.0, 10.0, 20.0, 20.0]]),)

    def batch(images: torch.Tensor) -> Batch:
        return Batch(
            ids=("a",), images=images, labels=torch.zeros(1, dtype=torch.long), inside=none, others=none, boxes=box
        )

    edit = OutsideTransplant(**(SETTINGS | {"matched": True, "margin_px": 0, "margin_fraction": 0.0})).edit
    plain, matched = (edit(batch(dark), batch(bright), arm)[0, 0, 15, 15] for arm in ("other", "matched"))
    assert plain == pytest.approx(0.3, abs=0.02)
    assert matched > 0.8


def test_moved_at_home_the_object_takes_the_donors_box_and_keeps_its_own_surroundings() -> None:
    frame = (40, 60)
    donor_image, own_image = torch.full((1, 3, *frame), 0.2), torch.full((1, 3, *frame), 0.5)
    own_image[:, 1, 5:15, 5:15] = 1.0  # the recipient's object
    own_image[:, 2, 35:, 55:] = 0.9  # its surroundings
    donor, own = _batch(donor_image, [40.0, 20, 50, 30]), _batch(own_image, [5.0, 5, 15, 15])
    changed = OutsideTransplant(**SETTINGS).edit(own, donor, "moved")
    there = OutsideTransplant(**SETTINGS).edit(own, donor, "other")
    place, hole = torch.zeros(2, *frame, dtype=torch.bool)
    place[17:33, 37:53] = True
    hole[2:18, 2:18] = True
    assert torch.allclose(changed[:, :, place], there[:, :, place])  # the same object in the same box
    assert torch.equal(changed[:, :, ~place & ~hole], own_image[:, :, ~place & ~hole])
    assert torch.allclose(changed[:, :, hole], torch.tensor(0.5), atol=1e-3)  # its own place is filled


@pytest.mark.parametrize("classes", [2, 3])
def test_every_transplant_is_also_made_at_home(classes: int) -> None:
    plan = OutsideTransplant(**(SETTINGS | {"moved": True})).plan(_table(4, classes), np.random.default_rng(0))
    for arm, at_home in (("other", "moved"), ("own", "own_moved")):
        given, moved = (plan[plan["arm"] == a][["recipient", "donor"]].to_numpy().tolist() for a in (arm, at_home))
        assert given == moved
        assert given
