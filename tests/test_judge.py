"""The judge's rules, one by one, on hand-made evidence; and the sentences that it gives."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import yaml

from pipeline.config import packaged
from pipeline.judge import Judge
from pipeline.reasons import next_step
from pipeline.types import Evidence, Observed, Role, Verdict

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


def evidence(
    signal: str, role: Role, c: str, effect: float, p: float, gate: float = 0.1, **details: object
) -> Evidence:
    return Evidence(
        signal=signal, class_name=c, estimate=effect, low=effect - 0.05, high=effect + 0.05, unit="share", p_value=p,
        n=100, n_others=300, detectable=0.08, role=role, version=1, gate=gate, floor=0.02,
        carrier=str(details.pop("carrier", "the surroundings")), sentence=f"{signal} of {c}", step=f"do {signal}",
        details={"flipped": max(effect, 0.0), **details},
    )  # fmt: skip


def removal(c: str, effect: float = 0.0, p: float = 0.5, **details: object) -> Evidence:
    fills = {f"{key}:{fill}": v for fill in ("smooth", "blur") for key, v in (("excess", effect), ("p", p))}
    return evidence(
        "removed_excess", "removal", c, effect, p, **{**fills, "called_without_object": 0.02 + effect, **details}
    )


def around(c: str, effect: float = 0.0, p: float = 0.5, **details: object) -> Evidence:
    return evidence("outside_transplant", "surroundings", c, effect, p, **{"own_stays": 0.97, **details})


def place(c: str, effect: float = 0.5, p: float = 1e-6, **details: object) -> Evidence:
    details = {"carrier": "the bottom edge", "x0": 0.0, "y0": 28.0, "x1": 32.0, "y1": 32.0, **details}
    return evidence("place:1", "place", c, effect, p, 0.15, **details)


def looks(c: str, effect: float = 0.5, p: float = 1e-6) -> Evidence:
    return evidence("property:sharpness", "property", c, effect, p, 0.15, carrier="sharpness")


def verdicts(*special: Evidence, seen: Observed | None = None, name: str = "default") -> dict[str, Verdict]:
    """The verdicts when all classes are harmless but for the evidence given."""
    seen = seen or observed()
    by_key = {(e.signal, e.class_name): e for c in seen.classes for e in (removal(c), around(c))}
    by_key |= {(e.signal, e.class_name): e for e in special}
    return {v.scope: v for v in judge(name)(seen, list(by_key.values()))}


def test_harmless_classes_are_clear() -> None:
    found = verdicts()
    assert {v.state for v in found.values()} == {"CLEAR"}
    assert next(iter(found)) == "model"
    assert "0 points [-5, 5]" in found["cat"].reason


def test_a_place_is_a_shortcut_by_itself_and_is_named() -> None:
    found = verdicts(place("cow"))
    assert found["cow"].state == found["model"].state == "SHORTCUT"
    assert [e.carrier for e in found["cow"].carried_by] == ["the bottom edge"]
    assert found["cow"].reason.startswith("The bottom edge carries 'cow' by 50 points [45, 55]")
    assert found["model"].reason.startswith("The model uses a shortcut for 'cow'.")
    assert next_step(found["cow"]) == "do place:1"
    assert [found[c].state for c in ("cat", "dog", "fox")] == ["CLEAR"] * 3


def test_a_property_is_a_shortcut_by_itself() -> None:
    assert verdicts(looks("fox"))["fox"].state == "SHORTCUT"


def test_a_place_comes_before_the_property_that_it_shows_as() -> None:
    found = verdicts(place("cow", 0.4), looks("cow", 0.6), around("cow", 0.7, 1e-6))["cow"]
    assert [e.role for e in found.carried_by] == ["place", "property", "surroundings"]


@pytest.mark.parametrize(
    ("effect", "p", "low"), [(0.14, 1e-6, 0.1), (0.5, 0.02, 0.4), (0.5, 1e-6, 0.01)], ids=["gate", "p", "floor"]
)
def test_what_does_not_pass_every_test_is_not_told(effect: float, p: float, low: float) -> None:
    found = verdicts(replace(place("cow", effect, p), low=low))
    assert found["cow"].state != "SHORTCUT"
    assert not found["cow"].carried_by


def test_surroundings_are_context_below_the_limit_and_a_shortcut_above() -> None:
    found = verdicts(around("cat", 0.3, 1e-6), around("dog", 0.95, 1e-6), removal("dog", 0.9, 1e-6))
    assert found["cat"].state == "CONTEXT"
    assert (
        found["cat"].reason.startswith("The surroundings carries 'cat' by 30 points") or "carry" in found["cat"].reason
    )
    assert found["dog"].state == "SHORTCUT"


def test_what_all_classes_share_is_context_however_strong() -> None:
    strong = [e for c in CLASSES for e in (around(c, 0.95, 1e-6), removal(c, 0.9, 1e-6))]
    assert {v.state for v in verdicts(*strong).values()} == {"CONTEXT"}


def test_context_in_most_classes_does_not_silence_a_place() -> None:
    leaning = [e for c in CLASSES for e in (around(c, 0.4, 1e-6), removal(c, 0.5, 1e-6))]
    found = verdicts(*leaning, place("fox"))
    assert found["fox"].state == "SHORTCUT"
    assert [found[c].state for c in ("cat", "cow", "dog")] == ["CONTEXT"] * 3
    assert found["model"].reason.startswith("The model uses a shortcut for 'fox'. The bottom edge")


def test_chosen_donors_alone_make_no_shortcut_of_surroundings() -> None:
    keen = evidence("outside_keenest", "surroundings", "cat", 0.97, 1e-6, share=0.33)
    assert verdicts(keen)["cat"].state == "CONTEXT"


def test_removal_alone_is_context() -> None:
    found = verdicts(removal("cat", 0.4, 1e-4))["cat"]
    assert found.state == "CONTEXT"
    assert "carries no other object" in found.reason


def test_fills_that_disagree_silence_removal_and_nothing_else() -> None:
    doubtful = removal("cat", 0.4, 1e-4, **{"excess:blur": 0.0, "p:blur": 0.5})
    assert verdicts(doubtful)["cat"].state == "INCONCLUSIVE"
    assert verdicts(doubtful, place("cat"))["cat"].state == "SHORTCUT"
    assert verdicts(doubtful, around("cat", 0.3, 1e-6))["cat"].state == "CONTEXT"


def test_a_class_whose_annotation_is_known_to_be_wrong_is_not_accused() -> None:
    sentence = "31 of 40 photographs of 'cow' were turned by the camera and nothing says which way up the boxes are"
    seen = replace(observed(), suspect={"cow": sentence})
    found = verdicts(place("cow"), around("cow", 0.95, 1e-9), seen=seen)
    assert found["cow"].state == "INCONCLUSIVE"
    assert "annotation" in found["cow"].guards
    assert sentence in found["cow"].reason
    assert found["model"].state == "INCONCLUSIVE"


@pytest.mark.parametrize("p", [1e-7, 1 / 2000], ids=["small", "at the floor of 1,999 draws"])
@pytest.mark.parametrize("mark", [place, looks])
def test_one_guilty_class_is_found_among_a_thousand_by_a_p_value_without_a_floor(mark: object, p: float) -> None:
    classes = tuple(f"c{i:04d}" for i in range(1000))
    seen = observed(classes, n=10)
    found = verdicts(*(mark(c, 0.0, 0.5) for c in classes), mark("c0500", 0.95, p), seen=seen)  # type: ignore[operator]
    assert [c for c in classes if found[c].state == "SHORTCUT"] == (["c0500"] if p < 1e-5 else [])


def test_of_two_classes_the_one_that_is_carried_more_is_the_finding() -> None:
    seen = observed(("cat", "dog"))
    found = verdicts(place("cat", 0.54), place("dog", 0.4), seen=seen)
    assert (found["cat"].state, found["dog"].state) == ("SHORTCUT", "INCONCLUSIVE")
    assert found["model"].reason.startswith("The model uses a shortcut for 'cat'.")
    elsewhere = place("dog", 0.4, x0=0.0, y0=0.0, x1=4.0, y1=4.0, carrier="the top left corner")
    found = verdicts(place("cat", 0.54), elsewhere, seen=seen)
    assert {found[c].state for c in ("cat", "dog")} == {"SHORTCUT"}


def test_the_headline_is_the_strongest_mark() -> None:
    found = verdicts(place("cat", 0.3), place("fox", 0.8), around("dog", 0.95, 1e-6), removal("dog", 0.9, 1e-6))
    assert found["model"].reason.startswith("The model uses a shortcut for 'fox', 'cat', 'dog'.")
    assert found["model"].carried_by[0].class_name == "fox"


def test_classes_of_one_or_two_images_are_counted_and_do_not_hold_up_the_model() -> None:
    seen = observed()
    tiny = pd.concat([seen.images, seen.images.head(2).assign(**{"class": "yak"})], ignore_index=True)
    found = verdicts(seen=replace(seen, classes=(*CLASSES, "yak"), images=tiny))
    assert found["yak"].guards[0] == "not_tested"
    assert "only 2 images" in found["yak"].reason
    assert found["model"].state == "CLEAR"


def test_many_small_classes_are_clear_together() -> None:
    classes = tuple(f"breed{i}" for i in range(20))
    wide = [
        replace(
            e,
            low=-0.2,
            high=0.25,
            n=12,
            n_others=100,
            details={**e.details, "called_without_object": 0.0, "flipped": 0.0},
        )
        for c in classes
        for e in (removal(c), around(c))
    ]
    found = verdicts(*wide, seen=observed(classes, n=12))
    assert {found[c].state for c in classes} == {"INCONCLUSIVE"}
    assert found["model"].state == "CLEAR"
    assert "0 of 240 images keep their name" in found["model"].reason


def test_small_log_odds_clear_a_class_whose_shares_are_too_wide() -> None:
    wide = replace(removal("cat", evidence_share_high=0.05), high=0.14)
    assert verdicts(wide)["cat"].state == "CLEAR"
    leaning = replace(removal("cat", evidence_share_high=0.5), high=0.14)
    assert verdicts(leaning)["cat"].state == "INCONCLUSIVE"


def test_a_suspicious_place_is_not_clear() -> None:
    assert verdicts(replace(place("cat", 0.3, 0.009), low=0.0))["cat"].state == "INCONCLUSIVE"


def test_a_class_that_the_model_hardly_knows_gets_no_verdict_but_for_a_mark() -> None:
    seen = observed(correct=0.2)
    assert verdicts(around("cat", 0.3, 1e-6), seen=seen)["cat"].state == "INCONCLUSIVE"
    assert verdicts(place("cat"), seen=seen)["cat"].state == "SHORTCUT"


def test_objects_that_fill_the_frame_leave_nothing_clear() -> None:
    found = verdicts(seen=observed(hole=0.9))
    assert found["cat"].state == "INCONCLUSIVE"
    assert "fill most of the frame" in found["cat"].reason


def test_a_signal_of_ones_own_counts_by_its_role() -> None:
    own = evidence("my_own_test", "property", "cat", 0.4, 1e-6, 0.2, carrier="the scanner's noise")
    found = verdicts(own)["cat"]
    assert found.state == "SHORTCUT"
    assert found.reason.startswith("The scanner's noise carries 'cat' by 40 points")


def test_leads_never_decide() -> None:
    lead = evidence("attribution_lead:saliency", "lead", "cat", 0.99, 0.0, 0.0)
    assert verdicts(lead)["cat"].state == "CLEAR"
    assert not lead.decides


def test_nothing_to_compare_is_inconclusive() -> None:
    seen = observed(("cat",))
    (model, cat) = judge()(seen, [])
    assert (model.state, cat.state) == ("INCONCLUSIVE", "INCONCLUSIVE")
    assert "nothing to compare" in cat.reason


def test_strict_asks_for_more() -> None:
    special = [place("cow", 0.5, 0.008), *(place(c, 0.3, 0.01) for c in ("cat", "dog", "fox"))]
    assert verdicts(*special)["cow"].state == "SHORTCUT"
    assert verdicts(*special, name="strict")["cow"].state == "INCONCLUSIVE"
