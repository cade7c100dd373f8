"""Properties on tables made by hand: looks that carry a class by themselves, leads, and the layer of each group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.properties import LAYER, Properties
from pipeline.types import Evidence, Observed
from tests.signals.tables import FOUR, images_of, observed

ALONE = {"sharpness": 0.2, "compression": 0.06}
PROPERTIES = Properties(
    draws=199, max_other_classes=5, alpha=0.005, alone=ALONE, floor=-0.05, layer_gate=0.15, telling_share=0.25
)  # fmt: skip


def given(
    rng: np.random.Generator, arm: str, turns: dict[str, float], *, per_class: int = 24, marked: float = 1.0
) -> pd.DataFrame:
    """Every donor gives to three images of other classes; the first of a class carry what turns them."""
    rows = []
    for c in FOUR:
        for i in range(per_class):
            for j in [x for x in FOUR if x != c] * 2:
                turned = i < marked * per_class and rng.uniform() < turns.get(c, 0.0)
                odds = {f"log_odds:{k}": rng.normal() + 6 * (k == c and turned) for k in FOUR}
                rows.append(
                    (arm, f"{c}{i}", c, f"{j}{rng.integers(4 * per_class)}", j, c if turned else j, *odds.values())
                )
    names = ["arm", "donor", "donor_class", "recipient", "recipient_class", "predicted", *odds]
    return pd.DataFrame(rows, columns=names).assign(intervention="low_level", tested="")


def removed(per_class: int = 24) -> pd.DataFrame:
    """The first images of a class say it most without their object, under either fill."""
    rows = [
        (fill, f"{c}{i}", c, *(float(per_class - i) * (k == c) * scale for k in FOUR))
        for fill, scale in (("smooth", 1.0), ("blur", 9.0))
        for c in FOUR
        for i in range(per_class)
    ]
    names = ["arm", "recipient", "recipient_class", *(f"log_odds:{k}" for k in FOUR)]
    return pd.DataFrame(rows, columns=names).assign(intervention="object_removed", donor="", donor_class="", tested="")


def layers(
    rng: np.random.Generator, k: str, turns: tuple[float, ...], base: float = 0.0, each: int = 48
) -> pd.DataFrame:
    """One group of k after the other, each with recipients of its own; the same get their own class's layer."""
    rows = []
    for g, rate in enumerate(turns):
        for i in range(each):
            j = [c for c in FOUR if c != k][i % 3]
            for arm, donor, own in (("over", f"{k}{g}", rate), ("over_own", f"{j}{g}", base)):
                rows.append((arm, donor, donor[0], f"{j}{g * each + i}", j, k if rng.uniform() < own else j))
    names = ["arm", "donor", "donor_class", "recipient", "recipient_class", "predicted"]
    return pd.DataFrame(rows, columns=names).assign(
        intervention="shared_layer", tested=k, **{f"log_odds:{c}": 0.0 for c in FOUR}
    )


def seen(*trials: pd.DataFrame) -> Observed:
    return observed(images_of(FOUR, 24), pd.concat(trials, ignore_index=True), FOUR)


def of(world: Observed, seed: int = 0) -> dict[tuple[str, str], Evidence]:
    return {(e.class_name, e.signal.partition(":")[2]): e for e in PROPERTIES(world, np.random.default_rng(seed))}


def test_every_class_has_one_piece_of_evidence_per_property_and_one_for_the_layer() -> None:
    rng = np.random.default_rng(0)
    found = of(seen(given(rng, "sharpness", {}), given(rng, "colour", {}), removed()))
    assert set(found) == {(c, name) for c in FOUR for name in ("sharpness", "colour", "layer")}
    assert {e.role for (_, name), e in found.items() if name != "colour"} == {"property"}
    assert {e.role for (_, name), e in found.items() if name == "colour"} == {"lead"}


def test_a_property_that_turns_others_is_found_and_nobody_else_is_blamed() -> None:
    rng = np.random.default_rng(0)
    found = of(seen(given(rng, "sharpness", {"b": 0.5}), given(rng, "colour", {"c": 0.9}), removed()))
    sharp = found["b", "sharpness"]
    assert sharp.estimate == pytest.approx(0.5, abs=0.15)
    assert sharp.low > 0.15
    assert sharp.p_value < 1e-4
    assert (sharp.gate, sharp.floor, sharp.carrier) == (0.2, -0.05, "sharpness")
    assert "sharpness of 'b' images, given to others, turns" in sharp.sentence
    assert all(abs(found[c, "sharpness"].estimate) < 0.05 for c in "acd")
    assert found["c", "colour"].estimate > 0.5  # a lead, however strong
    assert not found["c", "colour"].decides
    assert found["c", "colour"].carrier == "colour and brightness"


def test_a_property_of_few_images_is_found_by_the_most_telling_donors() -> None:
    rng = np.random.default_rng(0)
    trials = given(rng, "compression", {"b": 0.9}, marked=0.25)
    found = of(seen(trials, removed()))["b", "compression"]
    assert found.details["donors"] == "most telling"
    assert found.estimate > 0.65
    assert found.n == 6  # a quarter of 24
    blind = of(seen(trials))["b", "compression"]  # no object was removed: nothing tells
    assert blind.details["donors"] == "at random"
    assert blind.estimate == pytest.approx(0.9 * 0.25, abs=0.1)


def test_own_images_receive_nothing_of_their_class() -> None:
    """Two classes: donors of the recipients' own class are the control, and k's own images have no say."""
    rng = np.random.default_rng(0)
    trials = given(rng, "sharpness", {"a": 0.6})
    two = trials[trials["donor_class"].isin(["a", "b"]) & trials["recipient_class"].isin(["a", "b"])]
    own = two.assign(
        recipient_class=two["donor_class"], recipient=two["donor"].str[0] + "9", predicted=two["donor_class"]
    )
    world = observed(images_of(("a", "b"), 24), pd.concat([two, own], ignore_index=True), ("a", "b"))
    found = {e.class_name: e for e in PROPERTIES(world, np.random.default_rng(0)) if e.signal == "property:sharpness"}
    assert found["a"].estimate == pytest.approx(0.6, abs=0.2)
    assert found["a"].details["flipped_control"] == 0
    assert found["b"].estimate == 0


def test_the_layer_of_the_better_group_speaks_and_pays_for_both() -> None:
    rng = np.random.default_rng(0)
    both = layers(rng, "b", (0.9, 0.1))
    found = of(seen(both))["b", "layer"]
    assert found.signal == LAYER
    assert found.details["donors"] == "group 1"
    assert found.estimate == pytest.approx(0.9, abs=0.2)
    assert found.p_value < 0.01
    assert found.gate == 0.15
    alone = of(seen(both[both["recipient"].isin(both.loc[both["donor"] == "b0", "recipient"])]))["b", "layer"]
    assert found.p_value == pytest.approx(2 * alone.p_value)
    assert np.isnan(of(seen(both))["a", "layer"].estimate)


def test_layers_are_compared_on_the_same_recipients() -> None:
    """The other group's recipients turn by their own class's layer too: that is not this group's control."""
    rng = np.random.default_rng(0)
    loud = layers(rng, "b", (0.8,))
    other = layers(rng, "b", (0.9,), base=0.9).assign(donor=lambda t: t["donor"].str[0] + "7")
    other["recipient"] = other["recipient"] + "x"
    found = of(seen(loud, other))["b", "layer"]
    assert found.details["flipped_control"] == 0
    assert found.estimate == pytest.approx(0.8, abs=0.2)


def test_without_any_effect_p_values_keep_their_level() -> None:
    p: dict[str, list[float]] = {"sharpness": [], "layer": []}
    few = Properties(**{**vars(PROPERTIES), "draws": 9})
    for seed in range(60):
        rng = np.random.default_rng(seed)
        turned = given(rng, "sharpness", {}, per_class=12)
        # donors of any class turn images into b at random
        turned["predicted"] = np.where(
            (rng.uniform(size=len(turned)) < 0.3) & (turned["recipient_class"] != "b"), "b", turned["predicted"]
        )
        world = seen(turned, removed(12), layers(rng, "b", (0.3, 0.3), base=0.3))
        for e in few(world, rng):
            if e.class_name == "b":
                p[e.signal.partition(":")[2]].append(e.p_value)
    for values in p.values():
        assert len(values) == 60
        assert np.mean(np.array(values) <= 0.05) <= 0.1


def test_nothing_tried_is_undefined() -> None:
    columns = list(given(np.random.default_rng(0), "sharpness", {}).columns)
    found = of(observed(images_of(FOUR, 5), pd.DataFrame(columns=columns), FOUR))
    assert set(found) == {(c, "layer") for c in FOUR}
    assert all(np.isnan(e.estimate) and e.details["undefined"] == "not run" for e in found.values())
