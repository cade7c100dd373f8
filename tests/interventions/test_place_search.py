"""Place search: who gives what to whom on which half, what is looked at again, and what is confirmed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.places import CONFIRM, CONTROL, SEARCH, SEARCH_OWN, TELLING, Place, candidates, covered, stages
from pipeline.interventions.place_search import FREE, PlaceSearch, search_scores
from pipeline.interventions.regions import around_all, holes
from pipeline.types import Batch

SETTINGS = {
    "margin_fraction": 0.0, "margin_px": 1.0, "first": 3, "kept": 4, "second": 5, "confirmed": 2, "trials": 10,
    "telling": 6, "telling_share": 0.25,
}  # fmt: skip
FRAME = (32, 32)
FIXED = candidates(FRAME, [])
CORNER, STRIP = 15, 1  # numbers of the smallest corner bottom right, and of the narrowest strip at the bottom edge
CLASSES = "abcd"


def table(per_class: int = 24, classes: str = CLASSES, hotspots: tuple[list, list] = ([], [])) -> pd.DataFrame:
    """Images of both halves; hotspots by half."""
    n = len(classes) * per_class
    rng = np.random.default_rng(0)
    corner = rng.integers(2, 20, (n, 2)).astype(float)
    return pd.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "class": np.repeat(list(classes), per_class),
            "correct": rng.uniform(size=n) < 0.9,
            "half": np.arange(n) % 2,
            "boxes": [[(x, y, x + 8, y + 8)] for x, y in corner],
            "hotspots": [hotspots[i % 2] for i in range(n)],
            "frame": [FRAME] * n,
        }
    )


def sides(plan: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The plan with the recipients' and donors' facts, and the stage."""
    recipients, donors = (images.iloc[plan[side]].reset_index(drop=True) for side in ("recipient", "donor"))
    facts = {f"{s}_{c}": t[c] for s, t in (("to", recipients), ("from", donors)) for c in ("class", "half", "correct")}
    return plan.reset_index(drop=True).assign(**facts, stage=stages(plan["arm"]))


def seen(plan: pd.DataFrame, images: pd.DataFrame, odds: Callable[[pd.Series], float], k: str = "a") -> pd.DataFrame:
    """The plan as trials, k's log-odds by a rule."""
    ids = images["id"].to_numpy(object)
    trials = plan.assign(recipient=ids[plan["recipient"]], donor=ids[plan["donor"]], intervention="places")
    trials = trials.assign(**{f"log_odds:{c}": -5.0 for c in CLASSES})
    facts = sides(plan, images)
    trials[f"log_odds:{k}"] = [odds(row) if row["tested"] == k else -5.0 for _, row in facts.iterrows()]
    return trials


def removed(images: pd.DataFrame, odds: np.ndarray) -> pd.DataFrame:
    """Trials of object removal: every class's log-odds are the same."""
    rows = images.assign(
        intervention="object_removed", arm="smooth", recipient=images["id"], donor="", tested="", spot=-1
    )
    return rows[["intervention", "arm", "recipient", "donor", "tested", "spot"]].assign(
        **{f"log_odds:{c}": odds for c in CLASSES}
    )


SEARCHING = PlaceSearch(**SETTINGS)  # type: ignore[arg-type]


def rounds(images: pd.DataFrame, odds: Callable[[pd.Series], float], said: np.ndarray | None = None) -> pd.DataFrame:
    """The last round's plan with the sides' facts."""
    trials = [seen(SEARCHING.plan(images, np.random.default_rng(0)), images, odds)]
    if said is not None:
        trials.append(removed(images, said))
    more = SEARCHING.again(images, pd.concat(trials), 1, np.random.default_rng(1))
    assert set(stages(more["arm"])) == {SEARCH, SEARCH_OWN}
    trials.append(seen(more, images, odds))
    return sides(SEARCHING.again(images, pd.concat(trials), 2, np.random.default_rng(2)), images)


def turns_at(spots: tuple[int, int]) -> Callable[[pd.Series], float]:
    """Class a's own pixels turn others at one place on each half."""
    return lambda row: 3.0 if row["stage"] in (SEARCH,) and row["spot"] == spots[row["to_half"]] else -5.0


def test_what_the_numbers_stand_for() -> None:
    assert FIXED[CORNER].box == (26, 26, 32, 32)
    assert FIXED[STRIP].box == (0, 30, 32, 32)


def test_every_place_is_tried_as_often_on_either_half_and_every_exchange_has_its_control() -> None:
    images = table()
    plan = sides(SEARCHING.plan(images, np.random.default_rng(0)), images)
    counts = plan.groupby(["tested", "to_half", "spot", "stage"]).size()
    assert (counts == SETTINGS["first"]).all()
    assert len(counts) == 4 * 2 * len(FIXED) * 2
    partner = plan.groupby(["tested", "spot", "recipient"])["stage"].agg(lambda s: sorted(s))
    assert all(s.count(SEARCH) == s.count(SEARCH_OWN) for s in partner)
    assert all(tuple(row["place"]) == FIXED[row["spot"]].box for _, row in plan.iterrows())
    assert all(row["arm"].endswith(f":{FIXED[row['spot']].kind}") for _, row in plan.iterrows())


def test_own_images_give_and_controls_come_from_the_recipients_class() -> None:
    images = table()
    plan = sides(SEARCHING.plan(images, np.random.default_rng(0)), images)
    takes = plan["stage"] == SEARCH
    assert (plan.loc[takes, "from_class"] == plan.loc[takes, "tested"]).all()
    assert (plan.loc[~takes, "from_class"] == plan.loc[~takes, "to_class"]).all()
    assert (plan["to_class"] != plan["tested"]).all()
    assert (plan["recipient"] != plan["donor"]).all()
    assert plan["to_correct"].all()
    assert (plan["to_half"] == plan["from_half"]).all()


def test_neither_side_of_an_exchange_has_more_than_half_of_the_place_covered() -> None:
    images = table()
    boxes = around_all(images, 0.0, 1.0)
    plan = SEARCHING.plan(images, np.random.default_rng(0))
    for side in ("recipient", "donor"):
        hit = [covered(FIXED[s], boxes[[r]], FRAME)[0] for s, r in zip(plan["spot"], plan[side], strict=True)]
        assert max(hit) <= FREE
        assert np.mean(np.array(hit) == 0) > 0.8  # and mostly nothing, where there are enough


def test_images_in_which_the_place_is_wholly_free_come_first() -> None:
    """In half of each class's images the object hides half of the corner; twenty are left on either half."""
    touching, away = [(27.0, 23.0, 35.0, 28.0)], [(4.0, 4.0, 12.0, 12.0)]
    images = table(per_class=80).assign(boxes=[touching if i // 2 % 2 else away for i in range(320)])
    plan = SEARCHING.plan(images, np.random.default_rng(0)).query("spot == @CORNER")
    assert len(plan) > 40
    assert (plan["donor"] // 2 % 2 == 0).all()
    assert (plan["recipient"] // 2 % 2 == 0).mean() > 0.9  # some of them are not right, and others take their places
    few = table(per_class=80).assign(boxes=[away if i // 2 % 20 == 0 else touching for i in range(320)])
    plan = SEARCHING.plan(few, np.random.default_rng(0)).query("spot == @CORNER")
    assert (plan["donor"] // 2 % 20 != 0).any()  # where they are few, others fill up


def test_a_place_that_objects_always_cover_is_not_tried() -> None:
    images = table().assign(boxes=[[(20.0, 20.0, 32.0, 32.0)]] * 96)
    spots = set(SEARCHING.plan(images, np.random.default_rng(0))["spot"])
    assert CORNER not in spots
    assert STRIP in spots


def test_the_number_of_trials_does_not_grow_with_the_images() -> None:
    few, many = (len(SEARCHING.plan(table(n), np.random.default_rng(0))) for n in (16, 160))
    assert few == many
    last = [len(rounds(table(n), turns_at((CORNER, CORNER)))) for n in (16, 160)]
    assert last[0] == last[1]


def test_a_class_alone_has_nobody_to_exchange_with() -> None:
    images = table(classes="a")
    assert len(SEARCHING.plan(images, np.random.default_rng(0))) == 0
    assert len(SEARCHING.again(images, pd.DataFrame({"arm": []}), 1, np.random.default_rng(0))) == 0


def test_the_second_round_looks_again_at_the_best_places_of_each_half() -> None:
    images = table()
    trials = seen(SEARCHING.plan(images, np.random.default_rng(0)), images, turns_at((CORNER, STRIP)))
    more = sides(SEARCHING.again(images, trials, 1, np.random.default_rng(1)), images)
    own = more[more["tested"] == "a"]
    assert set(own["stage"]) == {SEARCH, SEARCH_OWN}
    for half, best in ((0, CORNER), (1, STRIP)):
        spots = own[own["to_half"] == half]["spot"]
        assert best in set(spots)
        assert spots.nunique() == SETTINGS["kept"]
        assert (spots.value_counts() == 2 * SETTINGS["second"]).all()


def test_what_one_half_proposes_is_confirmed_on_the_other() -> None:
    found = rounds(table(), turns_at((CORNER, STRIP)))
    confirmed = found[(found["tested"] == "a") & found["stage"].isin([CONFIRM, CONTROL[CONFIRM]])]
    best = confirmed[confirmed["spot"].isin([CORNER, STRIP])]
    assert set(zip(best["spot"], best["to_half"], strict=True)) == {(CORNER, 1), (STRIP, 0)}
    assert (confirmed["to_half"] == confirmed["from_half"]).all()
    assert not set(found["stage"]) & {SEARCH, SEARCH_OWN}
    assert (confirmed.groupby(["to_half", "spot", "stage"]).size() == SETTINGS["trials"]).all()
    assert (confirmed.groupby("to_half")["spot"].nunique() <= SETTINGS["confirmed"]).all()


def test_confirmation_has_its_controls_too() -> None:
    found = rounds(table(), turns_at((CORNER, CORNER)), np.zeros(96))
    assert set(found["stage"]) == {CONFIRM, CONTROL[CONFIRM], TELLING, CONTROL[TELLING]}
    for stage in (CONFIRM, TELLING):
        own, control = found[found["stage"] == stage], found[found["stage"] == CONTROL[stage]]
        assert (own["from_class"] == own["tested"]).all()
        assert (control["from_class"] == control["to_class"]).all()
        assert own["recipient"].tolist() == control["recipient"].tolist()


def test_a_place_whose_control_does_as_much_is_not_chosen() -> None:
    """Everything turns images at the strip; class a's pixels alone turn them in the corner, and less."""

    def odds(row: pd.Series) -> float:
        if row["spot"] == STRIP:
            return 6.0
        return 1.0 if row["spot"] == CORNER and row["stage"] == SEARCH else -5.0

    found = rounds(table(), odds).query("tested == 'a'")
    assert CORNER in set(found["spot"])
    assert STRIP not in set(found["spot"])


def test_the_most_telling_images_of_either_class_give() -> None:
    """A quarter of each class's images that are free there, at least four."""
    images = table(per_class=80)
    said = np.where(np.arange(320) % 10 < 4, 5.0, -5.0) + np.linspace(0, 0.1, 320)
    found = rounds(images, turns_at((CORNER, CORNER)), said)
    telling = found[found["stage"].isin([TELLING, CONTROL[TELLING]]) & (found["spot"] == CORNER)]
    assert len(telling) > 20
    assert (telling["donor"] % 10 < 4).all()
    random = found[found["stage"].isin([CONFIRM, CONTROL[CONFIRM]]) & (found["spot"] == CORNER)]
    assert (random["donor"] % 10 >= 4).any()


def test_attribution_of_one_half_proposes_for_that_half() -> None:
    """An image's hotspots were found on the other half: they are searched there."""
    first, second = (5.0, 5.0, 9.0, 9.0), (20.0, 6.0, 25.0, 11.0)
    images = table(hotspots=([first], [second]))  # even images carry what the odd ones proposed
    plan = sides(SEARCHING.plan(images, np.random.default_rng(0)), images)
    proposed = plan[plan["spot"] == len(FIXED)]
    assert {(tuple(p), h) for p, h in zip(proposed["place"], proposed["to_half"], strict=True)} == {
        (first, 1), (second, 0),
    }  # fmt: skip


def test_scores_are_what_the_class_adds_to_the_control() -> None:
    rows = [("search:in", 0, 0.0), ("search_own:in", 0, -50.0), ("search:in", 1, 50.0), ("search_own:in", 1, 50.0),
            ("search:band", 2, 50.0), ("search_own:band", 2, 0.0), ("search:in", 3, 50.0)]  # fmt: skip
    trials = pd.DataFrame(rows, columns=["arm", "spot", "log_odds:a"]).assign(tested="a")
    found = search_scores(pd.concat([trials, trials.assign(tested="b", **{"log_odds:a": 9.0})]), "a")
    assert found.to_dict() == pytest.approx({0: 0.5, 2: 0.5, 1: 0.0})  # place 3 has no control
    assert found.index.tolist() == [0, 2, 1]


def test_of_places_nearly_as_good_the_smallest_is_taken_and_then_one_apart() -> None:
    places = [
        Place(kind="in", box=(0.0, 0.0, 20.0, 20.0)), Place(kind="in", box=(0.0, 0.0, 6.0, 6.0)),
        Place(kind="in", box=(1.0, 1.0, 3.0, 3.0)), Place(kind="in", box=(24.0, 24.0, 32.0, 32.0)),
    ]  # fmt: skip
    scores = pd.Series([0.8, 0.7, 0.3, 0.2], index=[0, 1, 2, 3])
    assert SEARCHING.chosen(scores, places, FRAME) == [1, 3]
    assert SEARCHING.chosen(scores * [1, 0.9, 1, 1], places, FRAME) == [0, 3]  # .63 is not nearly as good as .8
    assert PlaceSearch(**(SETTINGS | {"confirmed": 1})).chosen(scores, places, FRAME) == [1]  # type: ignore[arg-type]
    assert PlaceSearch(**(SETTINGS | {"kept": 2})).chosen(scores, places, FRAME) == [1]  # type: ignore[arg-type]
    none = pd.Series([], dtype=float)
    assert SEARCHING.chosen(none, places, FRAME) == []


def test_after_the_confirmation_nothing_follows() -> None:
    images = table()
    trials = seen(SEARCHING.plan(images, np.random.default_rng(0)), images, turns_at((CORNER, CORNER)))
    assert len(SEARCHING.again(images, trials, 3, np.random.default_rng(0))) == 0


@pytest.mark.parametrize("kind", ["in", "band"])
def test_objects_and_their_margins_are_never_exchanged(kind: str) -> None:
    rng = torch.Generator().manual_seed(0)
    place = torch.tensor([[2.0, 4.0, 20.0, 22.0]]).expand(3, -1)

    def batch(boxes: list[list[float]], places: torch.Tensor | None) -> Batch:
        empty = torch.zeros(3, *FRAME, dtype=torch.bool)
        return Batch(
            ids=tuple("xyz"), images=torch.rand(3, 3, *FRAME, generator=rng), labels=torch.zeros(3, dtype=torch.long),
            inside=empty, others=empty, boxes=tuple(torch.tensor([b]) for b in boxes), places=places,
        )  # fmt: skip

    recipients = batch([[0.0, 0.0, 9.0, 9.0], [12.0, 12.0, 19.0, 19.0], [25.0, 1.0, 31.0, 9.0]], place)
    donors = batch([[18.0, 2.0, 30.0, 8.0], [3.0, 3.0, 9.0, 9.0], [1.0, 24.0, 7.0, 30.0]], None)
    found = SEARCHING.edit(recipients, donors, f"confirm:{kind}")
    where = torch.zeros(3, *FRAME, dtype=torch.bool)
    where[:, 4:22, 2:20] = True
    if kind == "band":
        where = ~where
    where &= ~(holes(recipients, 0.0, 1.0) | holes(donors, 0.0, 1.0))
    where = where[:, None].expand_as(found)
    assert where.any()
    assert torch.equal(found[where], donors.images[where])
    assert torch.equal(found[~where], recipients.images[~where])
    with pytest.raises(ValueError, match="`donors` and `places`"):
        SEARCHING.edit(donors, recipients, "confirm:in")
    with pytest.raises(ValueError, match="`donors` and `places`"):
        SEARCHING.edit(recipients, None, "confirm:in")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("first", 0, "must be 1 or more"),
        ("second", -1, "`second` 0 or more"),
        ("telling_share", 0.0, "`telling_share`"),
        ("margin_px", -1.0, "`margin_px`"),
    ],
)
def test_mistakes_are_named(key: str, value: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PlaceSearch(**(SETTINGS | {key: value}))  # type: ignore[arg-type]
