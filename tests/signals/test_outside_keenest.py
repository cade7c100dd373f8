"""S1 with the keenest donors: finds what the mean dilutes, does not see what classes share, and is calibrated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.outside_keenest import OutsideKeenest, keenest
from pipeline.signals.outside_transplant import OutsideTransplant
from pipeline.types import Evidence, Observed

CLASSES = ("a", "b", "c", "d")
KEENEST = OutsideKeenest(share=1 / 3, draws=199, max_other_classes=5, alpha=0.01, gate=0.1, floor=0.02)
MEAN = OutsideTransplant(draws=199, max_other_classes=5, alpha=0.01, gate=0.1, floor=0.02)


def world(
    rng: np.random.Generator,
    telling: dict[str, float],
    *,
    turns: float = 0.9,
    says: float = 4.0,
    donors: dict[str, int] | None = None,
    classes: tuple[str, ...] = CLASSES,
) -> Observed:
    """Images whose surroundings may tell of class a: alone they raise its log-odds, moved they turn others into it.

    Args:
        telling: class -> the share of its images with such surroundings.
        turns: how often these turn another class's object into a.
        says: what these add to a's log-odds when the object is removed.
        donors: class -> number of images; 60 where it is not named.
    """
    rows = []
    for own in classes:
        count = (donors or {}).get(own, 60)
        for i in range(count):
            tells = i < telling.get(own, 0.0) * count
            pull = rng.normal()
            alone = {c: rng.normal() + (c == "a") * (says * tells + 0.7 * pull) for c in classes}
            rows.append(_trial("object_removed", "blur", f"{own}{i}", "", own, "", alone))
            others = [c for c in classes if c != own]
            # With two classes a donor gives to its own class, too, and less often.
            for recipient in [*others, own] if len(classes) > 2 else [*others * 3, own]:
                odds = {c: rng.normal() + 5 * (c == recipient) + (c == "a") * 0.7 * pull for c in classes}
                odds["a"] += 10 * (tells and rng.uniform() < turns)
                arm = "own" if recipient == own else "other"
                rows.append(_trial("outside_transplant", arm, "", f"{own}{i}", recipient, own, odds))
    return Observed(
        model="m", classes=classes, n_outputs=len(classes), frame=(32, 32), images=pd.DataFrame(),
        scores=pd.DataFrame(), trials=pd.DataFrame(rows), outside_maps={},
    )  # fmt: skip


def _trial(
    intervention: str, arm: str, image: str, donor: str, recipient_class: str, donor_class: str, odds: dict[str, float]
) -> dict[str, object]:
    return {
        "intervention": intervention, "arm": arm, "recipient": image, "donor": donor,
        "recipient_class": recipient_class, "donor_class": donor_class, "predicted": max(odds, key=odds.__getitem__),
        **{f"log_odds:{c}": v for c, v in odds.items()},
    }  # fmt: skip


def of(found: list[Evidence], k: str) -> Evidence:
    return next(e for e in found if e.class_name == k)


def test_a_mark_on_every_fifth_image_is_not_diluted() -> None:
    seen = world(np.random.default_rng(0), {"a": 0.2})
    keen = of(KEENEST(seen, np.random.default_rng(1)), "a")
    mean = of(MEAN(seen, np.random.default_rng(1)), "a")
    assert keen.p_value <= 0.01
    # 20 % of the images among a third of the donors: 60 % of the chosen carry it.
    assert keen.estimate == pytest.approx(0.9 * 0.2 / (1 / 3), abs=0.15)
    assert mean.estimate == pytest.approx(0.9 * 0.2, abs=0.08)
    assert keen.low > 0.2 > mean.low
    assert (keen.n, keen.n_others) == (20, 60)


@pytest.mark.parametrize("shares", [(0.75, 0.5), (0.6, 0.4)])
def test_surroundings_that_classes_share_are_not_a_classs_own(shares: tuple[float, float]) -> None:
    """Two classes in three see the same meadow, one of them more often: the mean sees that, the keenest do not."""
    rng = np.random.default_rng(0)
    seen = world(rng, {"a": shares[0], "b": shares[1], "c": shares[1], "d": shares[1]})
    keen, mean = (of(s(seen, np.random.default_rng(1)), "a") for s in (KEENEST, MEAN))
    assert mean.estimate > 0.1
    assert abs(keen.estimate) < 0.1
    assert keen.p_value > 0.05


def test_calibrated_where_keen_surroundings_turn_more_but_not_by_class() -> None:
    """Keenness goes with flips in every class, and the classes are of unequal size."""
    p = []
    for s in range(60):
        rng = np.random.default_rng(s)
        seen = world(rng, dict.fromkeys(CLASSES, 0.3), turns=0.5, donors={"a": 12, "b": 40, "c": 20})
        p.append(of(KEENEST(seen, rng), "a").p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.1


@pytest.mark.parametrize("donors", [{"a": 12, "b": 40}, {"a": 40, "b": 12}])
def test_calibrated_on_two_classes_of_unequal_size(donors: dict[str, int]) -> None:
    p = []
    for s in range(100):
        rng = np.random.default_rng(s)
        seen = world(rng, {"a": 0.3, "b": 0.3}, turns=0.5, donors=donors, classes=("a", "b"))
        p += [e.p_value for e in KEENEST(seen, rng)]
    assert np.mean(np.array(p) <= 0.05) <= 0.09


def test_two_classes_find_it_too() -> None:
    seen = world(np.random.default_rng(0), {"a": 0.3}, classes=("a", "b"))
    found = KEENEST(seen, np.random.default_rng(1))
    assert of(found, "a").p_value <= 0.01
    assert of(found, "b").p_value > 0.05


def test_the_choice_is_made_again_in_every_permutation() -> None:
    labels = np.array([[0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]])
    chosen = keenest(labels, 0.7)
    assert chosen[0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1, -1, -1, -1, -1]
    assert chosen[1].tolist() == [1, 1, 1, 1, -1, -1, 0, 0, 0, 0, -1, -1]


def test_without_object_removal_there_is_nothing_to_choose_by() -> None:
    seen = world(np.random.default_rng(0), {"a": 0.5})
    alone = replace(seen, trials=seen.trials[seen.trials["intervention"] == "outside_transplant"])
    found = KEENEST(alone, np.random.default_rng(0))
    assert {e.details["undefined"] for e in found} == {"needs object removal and outside transplant"}
    assert all(np.isnan(e.estimate) for e in found)
