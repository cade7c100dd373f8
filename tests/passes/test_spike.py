"""Spike-in: a strong planted mark is found in an honest model, the budget holds, and the model is not changed."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.interventions.place_search import PlaceSearch
from pipeline.interventions.removal import ObjectRemoved
from pipeline.interventions.transplant import OutsideTransplant
from pipeline.methods.gradients import InputXGradient
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye
from pipeline.passes.spike import COLUMNS, SpikeIn, cheapest
from pipeline.passes.study import Study, study
from pipeline.signals.outside_transplant import OutsideTransplant as TransplantSignal
from pipeline.signals.places import Places
from pipeline.signals.removed_excess import RemovedExcess
from pipeline.types import AuditError
from tests.studies import stocked
from tests.test_judge import judge
from tests.worlds import ObjectReader

MARGINS = {"margin_fraction": 0.1, "margin_px": 1}
PARTS = {
    "methods": {"input_x_gradient": InputXGradient(reduce="sum", sign="absolute")},
    "interventions": {
        "object_removed": ObjectRemoved(**MARGINS, fills=["smooth", "blur"]),
        "outside_transplant": OutsideTransplant(
            **MARGINS, feather=0.0, recipients_per_donor=2, max_donors=50, matched=False, moved=False, least_outside=0.0
        ),
        "places": PlaceSearch(
            **MARGINS, first=4, kept=4, second=8, confirmed=1, trials=24, telling=12, telling_share=0.25
        ),
    },
    "signals": {
        "removed_excess": RemovedExcess(
            draws=499, max_images=100, max_other_classes=5, alpha=0.01, gates={10: 0.2, 100: 0.05}, floor=0.02
        ),
        "outside_transplant": TransplantSignal(draws=499, max_other_classes=5, alpha=0.005, gate=0.1, floor=0.02),
        "places": Places(draws=499, gate=0.15, floor=0.02, per_area=3.0, most=0.65, alpha=0.005),
    },
    "judge": judge(),
    "seed": 0,
    "batch_size": 32,
}
SPIKE = SpikeIn(
    strengths=[200.0], prevalences=[1.0], corners=["top right"], max_classes=1, repeats=1, side=0.15, seconds=60
)


@pytest.fixture
def studied(tmp_path: Path) -> tuple[Eye, Stock, Study]:
    eye, stock = stocked(ObjectReader(), tmp_path / "frames", 24)
    return eye, stock, study(eye, stock, metrics={}, name="m", **PARTS)  # type: ignore[arg-type]


def test_a_strong_mark_is_found_and_counted(studied: tuple[Eye, Stock, Study]) -> None:
    eye, stock, before = studied
    assert {v.state for v in before.verdicts[1:]} <= {"CLEAR", "INCONCLUSIVE"}
    state = {k: v.clone() for k, v in eye.classifier.module.state_dict().items()}
    found = SPIKE(eye, stock.frames, before, **PARTS)  # type: ignore[arg-type]
    assert list(found.columns) == COLUMNS
    assert found["detected"].tolist() == [True], found.T.to_string()
    assert found["gained"].iloc[0] > 0.9
    assert found["marked"].iloc[0] == found["images"].iloc[0] == 24
    assert all(torch.equal(v, state[k]) for k, v in eye.classifier.module.state_dict().items())


def test_the_budget_ends_the_trials_after_the_first(studied: tuple[Eye, Stock, Study]) -> None:
    eye, stock, before = studied
    hasty = SpikeIn(
        strengths=[1.0, 2.0, 4.0], prevalences=[0.5], corners=["top left"], max_classes=4, repeats=5, side=0.15,
        seconds=1e-6,
    )  # fmt: skip
    assert len(hasty(eye, stock.frames, before, **PARTS)) == 1  # type: ignore[arg-type]


def test_trials_go_round_the_strengths_and_prevalences() -> None:
    spike = SpikeIn(
        strengths=[1.0, 2.0], prevalences=[0.2, 0.5, 1.0], corners=["top left", "top right"], max_classes=3, repeats=2,
        side=0.15, seconds=60,
    )  # fmt: skip
    order = spike.order(["a", "b", "c"], np.random.default_rng(0))
    assert len(order) == len(set(order)) == 6 * 12  # every setting, none twice
    rounds = [order[i : i + 6] for i in range(0, len(order), 6)]
    assert all({trial[:2] for trial in own} == set(product([1.0, 2.0], [0.2, 0.5, 1.0])) for own in rounds)
    assert len({tuple(trial[:2] for trial in own) for own in rounds}) > 6  # in an order of its own
    assert {trial[3] for trial in order[:18]} == {"a", "b", "c"}


def test_nothing_is_planted_where_every_class_is_accused(studied: tuple[Eye, Stock, Study]) -> None:
    eye, stock, before = studied
    accused = replace(before, verdicts=tuple(replace(v, state="SHORTCUT") for v in before.verdicts))
    found = SPIKE(eye, stock.frames, accused, **PARTS)  # type: ignore[arg-type]
    assert len(found) == 0
    assert list(found.columns) == COLUMNS


def test_a_method_to_point_with_is_needed() -> None:
    assert list(cheapest({"occlusion": object(), "saliency": object()})) == ["saliency"]  # type: ignore[dict-item]
    with pytest.raises(AuditError, match="needs a method"):
        cheapest({})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"corners": ["middle"]}, "`corners`"),
        ({"strengths": [0]}, "`strengths`"),
        ({"prevalences": [2]}, "`prevalences`"),
    ],
)
def test_mistakes_are_named(change: dict, words: str) -> None:
    values = {
        "strengths": [1.0], "prevalences": [1.0], "corners": ["top left"], "max_classes": 1, "repeats": 1, "side": 0.1,
        "seconds": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match=words):
        SpikeIn(**(values | change))
