"""The company's lead: changes when hidden, less changes when as much is hidden elsewhere."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.companions import CompanionsLead
from pipeline.types import Observed

BOX = (16.0, 0.0, 32.0, 16.0)  # the upper right quarter


def observed(hidden_stays: list[bool], control_stays: list[bool]) -> Observed:
    n = len(hidden_stays)
    small = np.zeros((16, 16), np.float16)
    small[0, 15] = 0.6  # in the box
    small[15, 0] = 0.2
    images = pd.DataFrame(
        {
            "id": [str(i) for i in range(n)], "class": "racket", "frame": [(32, 32)] * n,
            "companions": [(("person", BOX),)] * n, "small_map": [small] * n,
        }
    )  # fmt: skip
    rows = [("hidden:person", str(i), s) for i, s in enumerate(hidden_stays)]
    rows += [("elsewhere:person", str(i), s) for i, s in enumerate(control_stays)]
    trials = pd.DataFrame(rows, columns=["arm", "recipient", "stays"])
    trials = trials.assign(intervention="companions", recipient_class="racket")
    return Observed(
        model="m", classes=("racket", "bat"), n_outputs=2, frame=(32, 32), images=images, scores=pd.DataFrame(),
        trials=trials, outside_maps={},
    )  # fmt: skip


def test_the_effect_is_the_difference_from_the_control() -> None:
    (found,) = CompanionsLead()(observed([False] * 7 + [True] * 3, [False] + [True] * 9), np.random.default_rng(0))
    assert (found.signal, found.class_name, found.decides) == ("companions:person", "racket", False)
    assert found.estimate == pytest.approx(0.6)
    assert found.low < 0.6 < found.high
    assert found.details["changed"] == pytest.approx(0.7)
    assert found.details["attribution_share"] == pytest.approx(0.6, abs=1e-3)
    assert found.details["area_share"] == pytest.approx(0.25)


def test_without_a_control_the_effect_is_undefined() -> None:
    (found,) = CompanionsLead()(observed([False, True], []), np.random.default_rng(0))
    assert np.isnan(found.estimate)
    assert found.details["changed"] == pytest.approx(0.5)


def test_no_trials_no_evidence() -> None:
    seen = observed([True], [True])
    assert CompanionsLead()(replace(seen, trials=seen.trials.iloc[:0]), np.random.default_rng(0)) == []
