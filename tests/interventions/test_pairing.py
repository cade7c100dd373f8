"""Who gives to whom: other classes in balance, one's own last, right answers of about the same size first."""

import numpy as np
import pandas as pd

from pipeline.interventions.pairing import CANDIDATES, pairs


def table(classes: str = "abcd", per_class: int = 6, side: float = 8.0) -> pd.DataFrame:
    n = len(classes) * per_class
    boxes = [[(0.0, 0.0, side, side)] for _ in range(n)]
    return pd.DataFrame({"class": np.repeat(list(classes), per_class), "correct": True, "boxes": boxes})


def paired(images: pd.DataFrame, recipients: int = 3, most: int = 99) -> pd.DataFrame:
    found = pairs(images, recipients, most, np.random.default_rng(0))
    labels = images["class"].to_numpy()
    made = pd.DataFrame(found, columns=["recipient", "donor", "same"])
    return made.assign(to=labels[made["recipient"]], given=labels[made["donor"]])


def test_every_donor_gives_to_each_other_class_as_often_and_once_to_its_own() -> None:
    found = paired(table(), recipients=6)
    assert (found["same"] == (found["to"] == found["given"])).all()
    assert (found["recipient"] != found["donor"]).all()
    counts = found.groupby("donor")["to"].value_counts().unstack()
    own = np.repeat(list("abcd"), 6)
    assert all(counts.loc[d, c] == (1 if c == own[d] else 2) for d in range(24) for c in "abcd")


def test_no_class_has_more_donors_than_wanted() -> None:
    assert (paired(table(), most=2).groupby("given")["donor"].nunique() == 2).all()


def test_recipients_are_those_that_the_model_names_right_if_there_are_any() -> None:
    images = table().assign(correct=np.arange(24) % 3 == 0)
    images.loc[images["class"] == "d", "correct"] = False
    found = paired(images)
    assert set(found.loc[found["to"] != "d", "recipient"]) <= set(np.flatnonzero(images["correct"]))
    assert (found["to"] == "d").any()  # wrong throughout: still a recipient


def test_of_as_many_as_are_drawn_the_closest_in_size_receives() -> None:
    images = table("ab", per_class=CANDIDATES)
    sides = [*[20.0] * CANDIDATES, 4.0, 5.0, 18.0, *(60.0 + i for i in range(CANDIDATES - 3))]
    images["boxes"] = [[(0.0, 0.0, 1.0, 1.0), (2.0, 2.0, 2 + s / 2, 2 + s)] for s in sides]
    found = paired(images)
    assert set(found.loc[(found["given"] == "a") & ~found["same"], "recipient"]) == {CANDIDATES + 2}


def test_of_boxes_of_one_area_the_one_of_the_same_shape_receives() -> None:
    images = table("ab", per_class=CANDIDATES)
    shapes = [(10.0, 40.0)] * CANDIDATES + [(20.0, 20.0), (40.0, 10.0), (11.0, 36.0)] + [(80.0, 5.0)] * (CANDIDATES - 3)
    images["boxes"] = [[(0.0, 0.0, w, h)] for w, h in shapes]
    found = paired(images)
    assert set(found.loc[(found["given"] == "a") & ~found["same"], "recipient"]) == {CANDIDATES + 2}


def test_only_those_that_may_give_are_donors() -> None:
    giving = np.arange(24) % 2 == 0
    found = pd.DataFrame(
        pairs(table(), 3, 99, np.random.default_rng(0), giving=giving), columns=["recipient", "donor", "same"]
    )
    assert set(found["donor"]) == set(np.flatnonzero(giving))
    assert set(found["recipient"]) - set(found["donor"])


def test_a_class_alone_gives_to_itself_and_a_single_image_to_nobody() -> None:
    assert paired(table("a"))["same"].all()
    assert len(paired(table("a", per_class=1))) == 0
