"""Own places: windows filled beside the object, the one that matters given away, its control the same window."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.pixels import smooth_fill
from pipeline.core.places import MOVING, MOVING_OWN, PROBE, stages
from pipeline.interventions.own_places import COLUMNS, OwnPlaces
from pipeline.interventions.regions import holes
from pipeline.types import Batch

SETTINGS = {"margin_fraction": 0.0, "margin_px": 1.0, "donors": 4, "recipients": 3, "window": 0.25}
OWN = OwnPlaces(**SETTINGS)  # type: ignore[arg-type]
FRAME = (32, 48)
CLASSES = "abc"
N = 30


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    corner = rng.integers(2, 20, (N, 2)).astype(float)
    return pd.DataFrame(
        {
            "id": [f"i{i}" for i in range(N)],
            "class": np.repeat(list(CLASSES), N // 3),
            "correct": np.arange(N) % 5 != 4,
            "boxes": [[(x, y, x + 8, y + 8)] for x, y in corner],
            "frame": [FRAME] * N,
        }
    )


def removed(images: pd.DataFrame, fills: tuple[str, ...] = ("smooth", "blur")) -> pd.DataFrame:
    """By the first fill the later images of a class say it more, by the other the earlier ones."""
    tables = []
    for fill in fills:
        odds = np.linspace(-3, 3, N) * (1 if fill == "smooth" else -1)
        rows = pd.DataFrame(
            {"intervention": "object_removed", "arm": fill, "recipient": images["id"], "donor": "", "tested": "",
             "spot": -1, "place": None}
        )  # fmt: skip
        tables.append(rows.assign(**{f"log_odds:{c}": odds for c in CLASSES}))
    return pd.concat(tables, ignore_index=True)


def probed(images: pd.DataFrame, best: dict[int, int]) -> pd.DataFrame:
    """Removal, and the probes of the first round: at each image's best window the log-odds fall most."""
    before = removed(images)
    plan = OWN.again(images, before, 1, np.random.default_rng(0))
    ids = images["id"].to_numpy(object)
    odds = [-6.0 if best.get(r) == s else 1.0 + s for r, s in zip(plan["recipient"], plan["spot"], strict=True)]
    trials = plan.assign(recipient=ids[plan["recipient"]], donor="", intervention="own_places")
    return pd.concat([before, trials.assign(**{f"log_odds:{c}": odds for c in CLASSES})], ignore_index=True)


def test_nothing_is_planned_before_objects_were_removed() -> None:
    images = table()
    assert list(OWN.plan(images, np.random.default_rng(0)).columns) == COLUMNS
    assert len(OWN.plan(images, np.random.default_rng(0))) == 0
    assert len(OWN.again(images, removed(images).iloc[:0], 1, np.random.default_rng(0))) == 0
    assert len(OWN.again(images, removed(images), 3, np.random.default_rng(0))) == 0


def test_the_images_that_say_their_class_most_are_probed_all_over() -> None:
    """By the first fill. Windows that the object covers are left out; the others reach nearly all that is off it."""
    images = table()
    plan = OWN.again(images, removed(images), 1, np.random.default_rng(0))
    assert set(plan["arm"]) == {f"{PROBE}in"}
    assert (plan["donor"] == -1).all()
    for c, own in plan.groupby("tested"):
        last = np.flatnonzero(images["class"] == c)[-SETTINGS["donors"] :]  # type: ignore[misc]
        assert set(own["recipient"]) == set(last)
    for row, own in plan.groupby("recipient"):
        reached = np.zeros(FRAME, bool)
        x0, y0, x1, y1 = (int(v) for v in images["boxes"][row][0])
        hole = np.zeros(FRAME, bool)
        hole[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = True
        for u0, v0, u1, v1 in own["place"]:
            assert u1 - u0 == v1 - v0 == 8  # a quarter of the shorter side
            window = np.zeros(FRAME, bool)
            window[int(v0) : int(v1), int(u0) : int(u1)] = True
            assert (window & hole).sum() <= window.sum() / 2
            reached |= window
        assert (reached | hole).mean() > 0.95  # some pixels beside the object's corners lie in no free window


def test_a_probe_fills_the_window_beside_the_object_and_nothing_else() -> None:
    images = torch.rand(1, 3, *FRAME, generator=torch.Generator().manual_seed(0))
    batch = of(images, [4.0, 4.0, 12.0, 12.0], torch.tensor([[20.0, 10.0, 28.0, 18.0]]))
    hole = holes(batch, 0.0, 1.0)
    hole[:, 10:18, 20:28] = True
    assert torch.equal(OWN.edit(batch, None, f"{PROBE}in"), smooth_fill(images, hole))


def test_the_window_whose_loss_costs_most_is_given_to_other_classes() -> None:
    images = table()
    best = {9: 6, 8: 20, 7: 40, 19: 12, 18: 12, 29: 30}
    trials = probed(images, best)
    at = {
        (images.index[images["id"] == i][0], s): tuple(p)
        for i, s, p in trials.loc[trials["arm"] == f"{PROBE}in", ["recipient", "spot", "place"]].itertuples(index=False)
    }
    plan = OWN.again(images, trials, 2, np.random.default_rng(1))
    plan = plan.assign(stage=stages(plan["arm"]))
    label = images["class"].to_numpy(object)
    taken, control = (plan[plan["stage"] == s].reset_index(drop=True) for s in (MOVING, MOVING_OWN))
    assert taken["recipient"].tolist() == control["recipient"].tolist()
    assert taken["place"].tolist() == control["place"].tolist()
    given = {d: set(map(tuple, own["place"])) for d, own in taken.groupby("donor")}
    assert all(given[r] == {at[r, s]} for r, s in best.items() if (r, s) in at)
    assert sum((r, s) in at for r, s in best.items()) >= 4
    assert (label[taken["donor"]] == taken["tested"]).all()
    assert (label[taken["recipient"]] != taken["tested"]).all()
    assert images["correct"].to_numpy()[taken["recipient"]].all()
    assert taken.groupby("donor").size().max() == SETTINGS["recipients"]
    assert (label[control["donor"]] == label[control["recipient"]]).all()
    assert (control["donor"] != control["recipient"]).all()


def test_controls_too_say_the_class_most() -> None:
    """Those of the recipient's class that are free there and say the tested class most, but for the recipient."""
    images = table().assign(boxes=[[(1.0, 1.0, 4.0, 4.0)]] * N)
    plan = OWN.again(images, probed(images, {9: 30, 8: 30, 7: 30, 6: 30}), 2, np.random.default_rng(1))
    own = plan[(plan["arm"] == f"{MOVING_OWN}in") & (plan["tested"] == "a")]
    assert set(own["donor"]) <= {*range(16, 20), *range(26, 30)}
    assert len(set(own["donor"])) > 3


def test_who_has_an_object_there_neither_gives_nor_receives() -> None:
    """The most telling of classes b and c have theirs in the window that a's images give."""
    images = table().assign(boxes=[[(1.0, 1.0, 4.0, 4.0)]] * N)
    plan = OWN.again(images, probed(images, dict.fromkeys(range(6, 10), 30)), 2, np.random.default_rng(1))
    (place,) = {p for p, t in zip(plan["place"], plan["tested"], strict=True) if t == "a"}
    hidden = [17, 18, 19, 27, 28, 29]
    for row in hidden:
        images.at[row, "boxes"] = [place]
    again = OWN.again(images, probed(images, dict.fromkeys(range(6, 10), 30)), 2, np.random.default_rng(1))
    own = again[again["tested"] == "a"]
    assert len(own) > 10
    assert not set(own["recipient"]) & set(hidden)
    assert not set(own["donor"]) & set(hidden)


def of(images: torch.Tensor, box: list[float], places: torch.Tensor | None = None) -> Batch:
    empty = torch.zeros(1, *FRAME, dtype=torch.bool)
    return Batch(
        ids=("x",), images=images, labels=torch.zeros(1, dtype=torch.long), inside=empty, others=empty,
        boxes=(torch.tensor([box]),), places=places,
    )  # fmt: skip


def test_the_window_moves_without_either_object() -> None:
    rng = torch.Generator().manual_seed(0)
    place = torch.tensor([[10.0, 8.0, 18.0, 16.0]])
    recipient = of(torch.rand(1, 3, *FRAME, generator=rng), [2.0, 2.0, 11.0, 11.0], place)
    donor = of(torch.rand(1, 3, *FRAME, generator=rng), [16.0, 13.0, 30.0, 30.0])
    where = torch.zeros(1, *FRAME, dtype=torch.bool)
    where[:, 8:16, 10:18] = True
    where = (where & ~holes(recipient, 0.0, 1.0) & ~holes(donor, 0.0, 1.0))[:, None].expand(-1, 3, -1, -1)
    for arm in (f"{MOVING}in", f"{MOVING_OWN}in"):
        found = OWN.edit(recipient, donor, arm)
        assert torch.equal(found[where], donor.images[where])
        assert torch.equal(found[~where], recipient.images[~where])
    with pytest.raises(ValueError, match="`donors` are needed"):
        OWN.edit(recipient, None, f"{MOVING}in")
    with pytest.raises(ValueError, match="`places` are needed"):
        OWN.edit(donor, recipient, f"{MOVING}in")


@pytest.mark.parametrize(("key", "value"), [("window", 0.0), ("window", 1.0), ("donors", 1), ("recipients", 0)])
def test_mistakes_are_named(key: str, value: float) -> None:
    with pytest.raises(ValueError, match="`window` must lie"):
        OwnPlaces(**(SETTINGS | {key: value}))  # type: ignore[arg-type]
