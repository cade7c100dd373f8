"""The judge's rules, one by one, on hand-made evidence; and the sentences that it gives."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import yaml

from pipeline.config import packaged
from pipeline.judge import Judge
from pipeline.types import Evidence, Observed, Verdict

CLASSES = ("cat", "cow", "dog", "fox")


def judge(name: str = "default") -> Judge:
    values = yaml.safe_load((packaged("conf") / "judge" / f"{name}.yaml").read_text())
    values.pop("_target_")
    return Judge(**values)


def observed(classes: tuple[str, ...] = CLASSES, n: int = 100, correct: float = 0.95, hole: float = 0.2) -> Observed:
    rows = [
        {"id": f"{c}{i}", "class": c, "correct": i < correct * n, "hole_fraction": hole, "area_fraction": 0.1}
        for c in classes
        for i in range(n)
    ]
    return Observed(
        model="m",
        classes=classes,
        n_outputs=len(classes),
        frame=(32, 32),
        images=pd.DataFrame(rows),
        scores=pd.DataFrame(),
        trials=pd.DataFrame(),
        outside_maps={},
    )


def removal(c: str, excess: float = 0.0, p: float = 0.5, n: int = 100, **details: float) -> Evidence:
    fills = {f"{key}:{fill}": v for fill in ("smooth", "blur") for key, v in (("excess", excess), ("p", p))}
    rates = {"called_without_object": 0.02 + excess, "others_called_without_object": 0.02}
    return Evidence(
        signal="removed_excess", class_name=c, estimate=excess, low=excess - 0.05, high=excess + 0.05, unit="share",
        p_value=p, n=n, n_others=300, detectable=0.08, decides=True, version=1, details=rates | fills | details,
    )  # fmt: skip


def transplant(c: str, excess: float = 0.0, p: float = 0.5, own_stays: float = 0.97) -> Evidence:
    details = {"flipped": 0.02 + excess, "flipped_neutral": 0.02, "own_stays": own_stays}
    return Evidence(
        signal="outside_transplant", class_name=c, estimate=excess, low=excess - 0.05, high=excess + 0.05, unit="share",
        p_value=p, n=100, n_others=300, detectable=0.08, decides=True, version=1, details=details,
    )  # fmt: skip


def lead(c: str, place: str, share: float, others_share: float) -> Evidence:
    details = {"method": "saliency", "place": place, "share": share, "others_share": others_share}
    return Evidence(
        signal="attribution_lead:saliency", class_name=c, estimate=0.2, low=0.1, high=0.3, unit="inside share",
        p_value=float("nan"), n=100, n_others=300, detectable=float("nan"), decides=False, version=1, details=details,
    )  # fmt: skip


def verdicts(*special: Evidence, seen: Observed | None = None, name: str = "default") -> dict[str, Verdict]:
    """The verdicts when all classes are harmless but for the evidence given."""
    seen = seen or observed()
    by_key = {(e.signal, e.class_name): e for c in seen.classes for e in (removal(c), transplant(c))}
    by_key |= {(e.signal, e.class_name): e for e in special}
    return {v.scope: v for v in judge(name)(seen, list(by_key.values()))}


def test_harmless_classes_are_clear() -> None:
    found = verdicts()
    assert {v.state for v in found.values()} == {"CLEAR"}
    assert next(iter(found)) == "model"
    assert "above 10 points" in found["cat"].reason


def test_removal_and_transplant_make_a_shortcut_of_that_class_alone() -> None:
    found = verdicts(removal("cat", 0.6, 0.0005), transplant("cat", 0.5, 0.0005), lead("cat", "top left", 0.5, 0.05))
    assert [found[c].state for c in ("model", *CLASSES)] == ["SHORTCUT", "SHORTCUT", "CLEAR", "CLEAR", "CLEAR"]
    assert "62 % of 'cat' images" in found["cat"].reason
    assert "(2 % on neutral ones)" in found["cat"].reason
    assert "top left" in found["model"].reason


def test_removal_without_transplant_is_context() -> None:
    assert verdicts(removal("cat", 0.6, 0.0005))["model"].state == "CONTEXT"


def test_transplant_without_removal_decides_nothing() -> None:
    assert verdicts(transplant("cat", 0.5, 0.0005))["cat"].state == "INCONCLUSIVE"


def test_leads_never_decide() -> None:
    assert verdicts(lead("cat", "top left", 0.9, 0.0))["cat"].state == "CLEAR"


@pytest.mark.parametrize(
    ("excess", "p", "n", "fires"),
    [(0.06, 0.0005, 100, False), (0.08, 0.0005, 100, True), (0.08, 0.0005, 30, False), (0.6, 0.02, 100, False)],
)
def test_effect_gate_and_p_value_must_both_pass(excess: float, p: float, n: int, fires: bool) -> None:
    """.06 fails by the lower end of its interval, .08 at 30 images by the gate, the last by its p-value."""
    assert (verdicts(removal("cat", excess, p, n))["cat"].state == "CONTEXT") == fires


def test_many_classes_raise_the_bar() -> None:
    """BH over the classes: p = .008 is enough alone, and not as the smallest of twenty."""
    many = tuple(f"class{i}" for i in range(20))
    assert verdicts(removal("cat", 0.3, 0.008))["cat"].state == "CONTEXT"
    assert verdicts(removal("class0", 0.3, 0.008), seen=observed(many))["class0"].state == "INCONCLUSIVE"


def test_wide_intervals_are_not_clear() -> None:
    wide = replace(removal("cat"), high=0.2)
    assert verdicts(wide)["cat"].state == "INCONCLUSIVE"
    assert "can show an excess of 8 points" in verdicts(wide)["cat"].reason
    assert verdicts(wide)["model"].state == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("seen", "guard"),
    [
        (observed(n=5), "too_few_images"),
        (observed(correct=0.2), "low_accuracy"),
    ],
)
def test_guards_on_the_images_withhold_the_verdict(seen: Observed, guard: str) -> None:
    found = verdicts(removal("cat", 0.6, 0.0005), transplant("cat", 0.5, 0.0005), seen=seen)
    assert guard in found["cat"].guards
    assert found["cat"].state == "INCONCLUSIVE"
    assert found["cat"].reason.startswith("No verdict on 'cat'")


def test_fills_that_disagree_withhold_the_verdict() -> None:
    torn = removal("cat", 0.0, 0.5, **{"excess:blur": 0.4, "p:blur": 0.0005})
    assert verdicts(torn)["cat"].guards == ("fills_disagree",)
    assert verdicts(torn)["cat"].state == "INCONCLUSIVE"


def test_when_most_classes_fire_the_annotation_is_doubted() -> None:
    accused = [e for c in CLASSES[:3] for e in (removal(c, 0.6, 0.0005), transplant(c, 0.5, 0.0005))]
    found = verdicts(*accused)
    assert [found[c].state for c in CLASSES] == ["INCONCLUSIVE"] * 3 + ["CLEAR"]
    assert found["cat"].guards == ("annotation",)


@pytest.mark.parametrize(("guard", "own_stays", "hole"), [("seams", 0.6, 0.2), ("huge_boxes", 0.97, 0.7)])
def test_tests_that_cannot_see_much_accuse_but_never_clear(guard: str, own_stays: float, hole: float) -> None:
    """Seams and huge boxes are the same for a class and its rivals: they hide differences, they do not make them."""
    seen = observed(hole=hole)
    found = verdicts(removal("cat", 0.6, 0.0005), transplant("cat", 0.5, 0.0005, own_stays), seen=seen)
    assert found["cat"].state == "SHORTCUT"
    assert guard in found["cat"].guards
    assert verdicts(transplant("cat", own_stays=own_stays), seen=seen)["cat"].state == "INCONCLUSIVE"


def other(signal: str, c: str, effect: float, p: float, **details: float | str) -> Evidence:
    found = transplant(c, effect, p)
    bounds = {"flipped_low": 0.1, "flipped_high": 0.9, "kind": "sharpness"}
    return replace(found, signal=signal, details=found.details | bounds | details)


def test_the_keenest_donors_need_no_removal() -> None:
    keen = other("outside_keenest", "cat", 0.4, 0.002, share=0.33)
    assert verdicts(keen)["cat"].state == "SHORTCUT"
    assert "(33 % of its images) 42 % of other objects are called 'cat'" in verdicts(keen)["cat"].reason
    assert verdicts(replace(keen, estimate=0.11))["cat"].state != "SHORTCUT"
    assert verdicts(replace(keen, p_value=0.02))["cat"].state != "SHORTCUT"
    assert verdicts(replace(keen, low=-0.01))["cat"].state != "SHORTCUT"


def test_shared_surroundings_are_context_unless_they_turn_many() -> None:
    """What classes share in unequal parts moves the mean of all donors, and not the keenest."""
    flat = other("outside_keenest", "cat", 0.05, 0.1, share=0.33)
    assert verdicts(removal("cat", 0.4, 0.001), transplant("cat", 0.25, 0.002), flat)["cat"].state == "CONTEXT"
    assert verdicts(removal("cat", 0.4, 0.001), transplant("cat", 0.35, 0.002), flat)["cat"].state == "SHORTCUT"


@pytest.mark.parametrize(("arm", "state"), [("sharpness", "SHORTCUT"), ("ring", "SHORTCUT"), ("colour", "CONTEXT")])
def test_properties_that_change_the_object_too_decide_nothing(arm: str, state: str) -> None:
    """Weak natural context: strong without the object, hardly anything with it, much when colours are given."""
    found = (removal("cat", 0.4, 0.001), other("low_level", "cat", 0.3, 0.002, arm=arm))
    assert verdicts(*found)["cat"].state == state


def test_a_property_alone_is_named() -> None:
    moved = other("low_level", "cat", 0.1, 0.002, arm="sharpness")
    assert "take sharpness" in verdicts(moved)["cat"].reason
    assert verdicts(replace(moved, estimate=0.07))["cat"].state != "SHORTCUT"


def test_fills_that_disagree_do_not_silence_a_transplant() -> None:
    torn = removal("cat", 0.0, 0.5, **{"excess:blur": 0.4, "p:blur": 0.0005})
    found = verdicts(torn, other("outside_keenest", "cat", 0.4, 0.002, share=0.33))["cat"]
    assert (found.state, found.guards) == ("SHORTCUT", ("fills_disagree",))


def test_a_place_that_carries_the_class_needs_no_other_witness() -> None:
    spot = other("targeted", "cat", 0.3, 0.002, pixels=64.0, place="top left")
    assert verdicts(spot)["cat"].state == "SHORTCUT"
    assert (
        "moving these 64 pixels (top left) turns 32 % [10, 90] of other images" in verdicts(spot)["cat"].reason.lower()
    )
    assert verdicts(replace(spot, estimate=0.11))["cat"].state == "INCONCLUSIVE"
    assert verdicts(replace(spot, low=0.04))["cat"].state != "SHORTCUT"


def test_transplants_of_a_class_are_weighed_together_over_the_classes() -> None:
    """Simes over a class's transplants, BH over the classes: p = .004 is not enough among thirty."""
    many = tuple(f"class{i}" for i in range(30))
    spot = other("targeted", "class0", 0.3, 0.004, pixels=64.0, place="top left")
    assert verdicts(spot, seen=observed(many))["class0"].state == "INCONCLUSIVE"


def test_two_classes_say_that_the_direction_is_open() -> None:
    found = verdicts(removal("cat", 0.6, 0.0005), transplant("cat", 0.5, 0.0005), seen=observed(("cat", "cow")))
    assert found["cat"].state == "SHORTCUT"
    assert "two_classes" in found["cat"].guards
    assert "may as well be in the other class's surroundings" in found["cat"].reason


def test_interventions_that_did_not_run_leave_everything_open() -> None:
    found = judge()(observed(), [])
    assert {v.state for v in found} == {"INCONCLUSIVE"}
    nan = float("nan")
    undefined = [replace(removal(c), estimate=nan, low=nan, high=nan, p_value=nan, details={}) for c in CLASSES]
    assert {v.state for v in judge()(observed(), undefined)} == {"INCONCLUSIVE"}


def test_the_strict_judge_asks_for_more_before_it_says_clear() -> None:
    nearly = replace(removal("cat"), high=0.09)
    assert verdicts(nearly)["cat"].state == "CLEAR"
    assert verdicts(nearly, name="strict")["cat"].state == "INCONCLUSIVE"
