"""Places on tables made by hand: what a place's exchange does, which donors tell, what is one place and what moves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.core.places import CONFIRM, CONTROL, MOVING, TELLING
from pipeline.signals.places import Places
from pipeline.types import Evidence, Observed
from tests.signals.tables import FOUR, images_of, observed

PLACES = Places(draws=199, gate=0.15, floor=0.02, per_area=3.0, most=0.65, alpha=0.005)
CORNER, WIDER = (26.0, 26.0, 32.0, 32.0), (22.0, 22.0, 32.0, 32.0)  # of a frame of 32 x 32; both the same corner
EDGE = (0.0, 0.0, 32.0, 3.0)
MARKED = 0.5  # the share of class a's donors that carry the mark, the most telling ones


def exchanges(
    rng: np.random.Generator,
    *,
    place: tuple[float, ...],
    turns: float,
    base: float = 0.0,
    count: int = 150,
    stages: tuple[str, ...] = (CONFIRM, TELLING),
    k: str = "a",
    kind: str = "in",
    marked: float = 1.0,
    spot: int = 0,
) -> pd.DataFrame:
    """Exchanges and their controls; of random donors, the share `marked` carries what turns others into k."""
    others = [c for c in FOUR if c != k]
    rows = []
    for stage in stages:
        for i in range(count):
            own = others[i % 3]
            carries = stage != CONFIRM or rng.uniform() < marked
            for arm, donor, rate in (
                (stage, f"{k}{i % 20}", turns * carries),
                (CONTROL[stage], f"{own}{i % 15}", base),
            ):
                named = k if rng.uniform() < rate else own
                rows.append((arm + kind, donor, f"{own}{20 + i}", own, named))
    table = pd.DataFrame(rows, columns=["arm", "donor", "recipient", "recipient_class", "predicted"])
    return table.assign(
        intervention="places", tested=k, place=[place] * len(rows), spot=spot, donor_class="",
        **{f"log_odds:{c}": 0.0 for c in FOUR},
    )  # fmt: skip


def seen(*trials: pd.DataFrame) -> Observed:
    return observed(images_of(FOUR, 60), pd.concat(trials, ignore_index=True), FOUR)


def of(world: Observed, k: str = "a", signal: Places = PLACES) -> dict[str, Evidence]:
    return {e.signal: e for e in signal(world, np.random.default_rng(0)) if e.class_name == k}


def test_the_place_is_named_with_what_it_does() -> None:
    found = of(seen(exchanges(np.random.default_rng(0), place=CORNER, turns=0.8)))["place:1"]
    assert found.estimate == pytest.approx(0.8, abs=0.1)
    assert found.low > 0.35
    assert found.p_value < 1e-4
    assert found.role == "place"
    assert found.decides
    assert found.carrier == "the bottom right corner"
    assert found.details["flipped_control"] == 0
    assert (found.details["x0"], found.details["y0"], found.details["x1"], found.details["y1"]) == CORNER
    assert found.details["pixels"] == 36
    assert found.details["area"] == pytest.approx(36 / 1024)
    assert "the bottom right corner (36 pixels)" in found.sentence
    assert "of them into 'a'" in found.sentence
    assert "the bottom right corner" in found.step


def test_a_mark_on_few_images_is_found_by_the_telling_donors_and_its_share_is_told() -> None:
    found = of(seen(exchanges(np.random.default_rng(0), place=CORNER, turns=0.9, marked=0.3)))["place:1"]
    assert found.details["donors"] == "most telling"
    assert found.estimate == pytest.approx(0.9, abs=0.1)
    assert float(found.details["carrying"]) == pytest.approx(0.3, abs=0.12)
    assert "from those whose surroundings say 'a' most" in found.sentence
    assert "% of its images carry it" in found.sentence


def test_the_better_of_two_ways_pays_for_both() -> None:
    trials = exchanges(np.random.default_rng(0), place=CORNER, turns=0.15, base=0.05)
    ways = [of(seen(trials[trials["arm"].isin([s + "in", CONTROL[s] + "in"])])) for s in (CONFIRM, TELLING)]
    alone = [w["place:1"].p_value for w in ways]
    assert of(seen(trials))["place:1"].p_value == pytest.approx(2 * min(alone))
    assert min(alone) < 0.3


def test_what_the_own_class_does_as_well_is_no_place() -> None:
    found = of(seen(exchanges(np.random.default_rng(0), place=CORNER, turns=0.5, base=0.5)))["place:1"]
    assert abs(found.estimate) < 0.3
    assert found.p_value > 0.05


def test_without_any_effect_p_values_keep_their_level() -> None:
    p = []
    for seed in range(200):
        world = seen(exchanges(np.random.default_rng(seed), place=CORNER, turns=0.3, base=0.3))
        p.append(of(world, signal=Places(**{**vars(PLACES), "draws": 9}))["place:1"].p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.08


def test_places_that_one_would_call_alike_are_one_and_the_smaller_one_is_told() -> None:
    rng = np.random.default_rng(0)
    one = of(seen(exchanges(rng, place=WIDER, turns=0.8), exchanges(rng, place=CORNER, turns=0.8, count=60, spot=1)))
    assert set(one) == {"place:1"}
    assert one["place:1"].details["pixels"] == 36
    assert one["place:1"].n == 20  # the donors of both
    two = of(seen(exchanges(rng, place=EDGE, turns=0.8, count=60), exchanges(rng, place=CORNER, turns=0.8, spot=1)))
    assert [two[f"place:{n}"].carrier for n in (1, 2)] == ["the bottom right corner", "the top edge"]


@pytest.mark.parametrize(
    ("place", "kind", "gate"),
    [
        (CORNER, "in", 0.15),
        ((0.0, 0.0, 32.0, 4.0), "in", 3 * 128 / 1024),
        ((0.0, 0.0, 32.0, 12.0), "in", 0.65),
        ((2.0, 2.0, 30.0, 30.0), "band", 0.65),
        ((1.0, 1.0, 31.0, 31.0), "band", 3 * 124 / 1024),
    ],
)
def test_a_larger_place_has_to_turn_more(place: tuple[float, ...], kind: str, gate: float) -> None:
    found = of(seen(exchanges(np.random.default_rng(0), place=place, turns=0.5, kind=kind)))["place:1"]
    assert found.gate == pytest.approx(gate)
    assert found.floor == 0.02


def moving(rng: np.random.Generator, turns: float) -> pd.DataFrame:
    """A place of its own for every donor."""
    trials = exchanges(rng, place=CORNER, turns=turns, stages=(MOVING,))
    corners = rng.integers(0, 24, (len(trials), 2)).astype(float)
    return trials.assign(place=[(x, y, x + 8, y + 8) for x, y in corners], intervention="own_places", spot=-1)


def test_a_mark_that_moves_is_told_without_a_place() -> None:
    found = of(seen(moving(np.random.default_rng(0), 0.7)))
    assert set(found) == {"place:moving"}
    assert found["place:moving"].role == "place"
    assert found["place:moving"].carrier == "a place that moves from image to image"
    assert found["place:moving"].gate == 0.15
    assert found["place:moving"].low > 0.25
    assert "x0" not in found["place:moving"].details


@pytest.mark.parametrize(("turns", "role"), [(0.8, "lead"), (0.0, "place")])
def test_where_a_fixed_place_carries_the_class_the_moving_one_only_leads(turns: float, role: str) -> None:
    rng = np.random.default_rng(0)
    found = of(seen(exchanges(rng, place=CORNER, turns=turns), moving(rng, 0.7)))
    assert found["place:moving"].role == role


def test_other_classes_trials_are_not_this_ones() -> None:
    rng = np.random.default_rng(0)
    loud, quiet = exchanges(rng, place=CORNER, turns=0.9, k="b"), exchanges(rng, place=CORNER, turns=0.0, base=0.0)
    both = seen(loud, quiet)
    assert of(both, "b")["place:1"].low > 0.5
    assert of(both)["place:1"].estimate == 0
    assert repr(of(both)) == repr(of(seen(quiet)))


def test_searches_are_not_counted_and_what_was_not_exchanged_is_undefined() -> None:
    trials = exchanges(np.random.default_rng(0), place=CORNER, turns=0.9)
    searched = trials.assign(arm=trials["arm"].str.replace("confirm", "search").str.replace("telling", "search"))
    for world in (seen(searched), seen(searched.iloc[:0])):
        found = of(world)
        assert set(found) == {"place:1"}
        assert np.isnan([found["place:1"].estimate, found["place:1"].p_value]).all()
        assert "no place could be exchanged" in str(found["place:1"].details["undefined"])
    assert np.isnan(of(seen(trials), "c")["place:1"].estimate)
