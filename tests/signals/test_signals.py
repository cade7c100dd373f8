"""Signals on made-up tables whose truth is known: calibrated under the null, and blaming the guilty class alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.config import packaged
from pipeline.signals.attribution_lead import AttributionLead, hotspot, place
from pipeline.signals.outside_transplant import OutsideTransplant
from pipeline.signals.removed_excess import RemovedExcess
from pipeline.types import Observed

S2 = RemovedExcess(draws=199, max_images=200, max_other_classes=12, alpha=0.01)
S1 = OutsideTransplant(draws=199, max_other_classes=12, alpha=0.005)


def observed(images: pd.DataFrame, trials: pd.DataFrame, classes: tuple[str, ...]) -> Observed:
    return Observed(
        model="m",
        classes=classes,
        n_outputs=len(classes),
        frame=(32, 32),
        images=images,
        scores=pd.DataFrame(columns=["id"]),
        trials=trials,
        outside_maps={},
    )


def images_of(classes: tuple[str, ...], n: int) -> pd.DataFrame:
    labels = np.repeat(np.array(classes, dtype=object), n)
    return pd.DataFrame({"id": [f"{c}{i}" for i, c in enumerate(labels)], "class": labels})


def removal_world(
    rng: np.random.Generator,
    n: int,
    classes: tuple[str, ...],
    guilty: Mapping[str, float],
    fills: tuple[str, ...] = ("smooth", "blur"),
) -> Observed:
    """Object-removed images: those of a guilty class are called by its name with its rate, others at random."""
    images = images_of(classes, n)
    rows = []
    for c, id_ in zip(images["class"], images["id"], strict=True):
        told = rng.uniform() < guilty.get(c, 0.0)
        odds = {k: rng.normal() + (4 if told and k == c else 0) for k in classes}
        predicted = max(odds, key=odds.__getitem__) if told or rng.uniform() < 0.5 else classes[0]
        for fill in fills:
            noise = {f"log_odds:{k}": v + 0.1 * rng.normal() for k, v in odds.items()}
            rows.append({"arm": fill, "recipient": id_, "recipient_class": c, "predicted": predicted, **noise})
    trials = pd.DataFrame(rows).assign(intervention="object_removed", donor="", donor_class="")
    return observed(images, trials, classes)


def transplant_world(
    rng: np.random.Generator, n: int, classes: tuple[str, ...], guilty: Mapping[str, float], spread: float = 0.3
) -> Observed:
    """Donors of a guilty class turn recipients with its rate; every donor has a propensity of its own besides."""
    images = images_of(classes, n)
    by_class = {c: images.loc[images["class"] == c, "id"].to_numpy() for c in classes}
    rows = []
    for c, donor in zip(images["class"], images["id"], strict=True):
        own = {k: rng.beta(spread, 4) for k in classes}
        others = [j for j in classes if j != c]
        for j in [*(rng.permutation(others)[:3]), c]:
            odds = {k: rng.normal() + 3 * own[k] for k in classes}
            flips = [k for k in classes if k != j and rng.uniform() < own[k] / 2]
            predicted = flips[0] if flips else j
            if j != c and rng.uniform() < guilty.get(c, 0.0):
                predicted, odds[c] = c, odds[c] + 4
            rows.append(
                {
                    "arm": "own" if j == c else "other", "donor": donor, "donor_class": c,
                    "recipient": rng.choice(by_class[j]), "recipient_class": j, "predicted": predicted,
                    **{f"log_odds:{k}": v for k, v in odds.items()},
                }
            )  # fmt: skip
    return observed(images, pd.DataFrame(rows).assign(intervention="outside_transplant"), classes)


FOUR = ("a", "b", "c", "d")


@pytest.mark.parametrize("world_and_signal", [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
@pytest.mark.parametrize("classes", [FOUR, ("a", "b")], ids=["four", "two"])
def test_without_any_effect_p_values_are_honest(world_and_signal: tuple, classes: tuple[str, ...]) -> None:
    world, signal = world_and_signal
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p += [e.p_value for e in signal(world(rng, 12, classes, {}), rng)]
    rate = (np.array(p) <= 0.05).mean()
    assert rate <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / (len(p) / 2)), rate  # classes of one table are not independent
    assert np.mean(p) > 0.35


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_the_guilty_class_is_found_and_the_others_are_not_blamed(world: object, signal: object) -> None:
    rng = np.random.default_rng(0)
    found = {e.class_name: e for e in signal(world(rng, 60, FOUR, {"b": 0.7}), rng)}  # type: ignore[operator]
    assert found["b"].p_value <= 0.01
    assert found["b"].low > 0.3
    assert found["b"].low <= found["b"].estimate <= found["b"].high
    for c in "acd":
        assert found[c].low < 0.05
        assert found[c].estimate < 0.1
        assert found[c].high > found[c].low


def test_intervals_cover_the_truth() -> None:
    """The excess of the guilty class, estimated once from very many images, then in small tables."""
    rng = np.random.default_rng(0)
    truth = {e.class_name: e.estimate for e in RemovedExcess(draws=9, max_images=5000, max_other_classes=3, alpha=0.01)(
        removal_world(rng, 1500, FOUR, {"b": 0.4}, ("smooth",)), rng
    )}["b"]  # fmt: skip
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        e = {e.class_name: e for e in S2(removal_world(rng, 40, FOUR, {"b": 0.4}, ("smooth",)), rng)}["b"]
        covered.append(e.low <= truth <= e.high)
    assert np.mean(covered) >= 0.85


def test_every_fill_must_agree() -> None:
    rng = np.random.default_rng(0)
    world = removal_world(rng, 40, FOUR, {"b": 0.8})
    blur = (world.trials["arm"] == "blur").to_numpy()
    trials = world.trials.copy()
    trials.loc[blur, "predicted"] = "a"
    trials.loc[blur, "log_odds:b"] = rng.normal(size=int(blur.sum()))
    found = {e.class_name: e for e in S2(observed(world.images, trials, FOUR), rng)}["b"]
    assert found.details["p:smooth"] <= 0.01
    assert found.p_value == found.details["p:blur"] > 0.01
    assert found.estimate == found.details["excess:blur"] == 0
    assert found.details["excess:smooth"] > 0.5


@pytest.mark.parametrize("signal", [S1, S2], ids=["S1", "S2"])
def test_what_cannot_be_compared_is_undefined(signal: object) -> None:
    rng = np.random.default_rng(0)
    world = removal_world if signal is S2 else transplant_world
    empty = pd.DataFrame(columns=["intervention", "arm", "recipient", "donor", "donor_class", "recipient_class"])
    for seen, why in (
        (observed(images_of(FOUR, 5), empty, FOUR), "not run"),
        (world(rng, 5, ("a",), {}), "nothing to compare with"),
    ):
        for e in signal(seen, rng):  # type: ignore[operator]
            assert np.isnan([e.estimate, e.low, e.high, e.p_value, e.detectable]).all()
            assert e.details["undefined"] == why
            assert e.decides


def test_a_class_with_one_image_does_not_stop_the_others() -> None:
    rng = np.random.default_rng(0)
    world = removal_world(rng, 20, FOUR, {})
    images = world.images.drop(world.images.index[world.images["class"] == "d"][1:])
    trials = world.trials[world.trials["recipient"].isin(images["id"])]
    found = {e.class_name: e for e in S2(observed(images, trials, FOUR), rng)}
    assert np.isnan(found["d"].estimate)
    assert np.isfinite(found["a"].estimate)


@pytest.mark.parametrize(("world", "signal"), [(removal_world, S2), (transplant_world, S1)], ids=["S2", "S1"])
def test_the_generator_decides_everything(world: object, signal: object) -> None:
    seen = world(np.random.default_rng(0), 15, FOUR, {"b": 0.5})  # type: ignore[operator]
    first, again = (signal(seen, np.random.default_rng(7)) for _ in range(2))  # type: ignore[operator]
    assert first == again


def test_more_images_and_classes_than_wanted_are_sampled() -> None:
    rng = np.random.default_rng(0)
    seen = removal_world(rng, 20, ("a", "b", "c", "d", "e"), {})
    few = RemovedExcess(draws=49, max_images=8, max_other_classes=2, alpha=0.01)(seen, rng)
    assert [(e.n, e.n_others) for e in few] == [(8, 16)] * 5


# --- leads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("y", "x"), [(0, 0), (0, 30), (14, 0), (14, 30), (6, 11)])
def test_a_hotspot_is_found_to_the_pixel_on_a_frame_that_is_not_square(y: int, x: int) -> None:
    maps = np.full((3, 20, 36), 0.01)
    maps[1, y : y + 6, x : x + 6] += 1
    found = hotspot(maps, 1, 0.3)
    assert [found[k] for k in ("x0", "y0", "x1", "y1")] == [x, y, x + 6, y + 6]
    assert found["share"] == pytest.approx((36 * 1.01) / (36 + 7.2))
    assert found["others_share"] == pytest.approx(36 / 720)


def test_a_mark_that_all_classes_look_at_is_no_hotspot_of_one() -> None:
    maps = np.full((3, 20, 20), 0.01)
    maps[:, 14:, 14:] += 1
    maps[0, :6, :6] += 0.1
    assert hotspot(maps, 0, 0.3)["place"] == "top left"


@pytest.mark.parametrize(
    ("x", "y", "word"),
    [
        (0.1, 0.1, "top left"),
        (0.9, 0.95, "bottom right"),
        (0.5, 0.5, "centre"),
        (0.5, 1.0, "bottom"),
        (0.0, 0.5, "left"),
    ],
)
def test_places_in_words(x: float, y: float, word: str) -> None:
    assert place(x, y) == word


def test_no_attribution_outside_is_no_hotspot() -> None:
    assert hotspot(np.zeros((2, 8, 8)), 0, 0.25) == {}


def test_the_lead_never_decides_and_says_what_chance_is() -> None:
    images = images_of(("a", "b"), 10).assign(area_fraction=0.25)
    scores = images[["id", "class"]].assign(method="saliency", inside_share=np.linspace(0.4, 0.6, 20), lift=2.0)
    maps = np.random.default_rng(0).uniform(size=(2, 32, 32))
    seen = Observed(
        model="m", classes=("a", "b"), n_outputs=2, frame=(32, 32), images=images, scores=scores,
        trials=pd.DataFrame(), outside_maps={"saliency": maps},
    )  # fmt: skip
    first, second = AttributionLead(window=0.25, draws=199)(seen, np.random.default_rng(0))
    assert first.signal == "attribution_lead:saliency"
    assert not first.decides
    assert np.isnan(first.p_value)
    assert first.estimate == pytest.approx(scores["inside_share"][:10].mean())
    assert first.low < first.estimate < first.high < second.estimate
    assert first.details["area_fraction"] == 0.25


def test_every_yaml_of_the_family_can_be_built() -> None:
    from hydra.utils import instantiate

    for path in (packaged("conf") / "signals").glob("*.yaml"):
        signal = instantiate(yaml.safe_load(path.read_text()))
        assert signal.version >= 1
        found = signal(removal_world(np.random.default_rng(0), 5, FOUR, {}), np.random.default_rng(0))
        assert path.stem == "attribution_lead" or [e.class_name for e in found] == list(FOUR)
