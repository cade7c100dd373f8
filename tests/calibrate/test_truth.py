"""What the surroundings carry: the same objects on every class's kind of surroundings, against hand-made answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from pipeline.calibrate import measure, pictures
from pipeline.calibrate.cases import Case
from pipeline.calibrate.measure import truth
from pipeline.planted.networks import NETWORKS
from pipeline.planted.plants import DEVELOPMENT

CASE = Case(
    name="one", arm="clean", kind="", base="shapes", classes=4, network="flat", prevalence=0.5, leak=0.0, strength=1.0,
    preference=0.75, context=0.7, images_per_class=8, regions="mask", guilty=1, pictures=3, seed=5,
)  # fmt: skip
LABELS = np.repeat(np.arange(4), 6)


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("HELD_BACK", 20), ("TRUTH", 6)):
        monkeypatch.setattr(pictures, name, size)


def carried(answers: np.ndarray, pools: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The truth of a network that gives these answers, (kinds of surroundings, pictures)."""
    given: Iterator[np.ndarray] = iter(answers)
    monkeypatch.setattr(measure, "predicted", lambda network, images: next(given))
    found = truth(CASE, nn.Identity(), None, pools)["surroundings"]
    assert isinstance(found, list)
    return found


def test_a_reader_of_objects_leans_on_nothing_and_one_of_surroundings_wholly(
    pools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert carried(np.tile(LABELS, (4, 1)), pools, monkeypatch) == [0.0] * 4
    assert carried(np.repeat(np.arange(4)[:, None], 24, axis=1), pools, monkeypatch) == [1.0] * 4


def test_any_answers_are_counted_pair_by_pair(pools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = np.random.default_rng(0).integers(4, size=(4, 24))
    expected = []
    for k in range(4):
        on_own, on_third = [], []
        for label, called in zip(LABELS, answers.T, strict=True):
            if label != k:
                on_own.append(called[k] == k)
                on_third += [called[j] == k for j in range(4) if j not in (k, label)]
        expected.append(np.mean(on_own) - np.mean(on_third))
    assert carried(answers, pools, monkeypatch) == pytest.approx(expected)


@pytest.mark.parametrize("arm", ["planted", "context"])
def test_every_case_with_surroundings_is_measured(pools: Path, arm: str) -> None:
    case = replace(CASE, arm=arm, kind="logo", context=0.7 if arm == "planted" else 0.0)  # type: ignore[arg-type]
    found = truth(case, NETWORKS["flat"](4).eval(), DEVELOPMENT["logo"], pools)
    assert set(found) == {"gained", "lost", "reliance", "surroundings"}
    assert np.shape(found["surroundings"]) == (4,)


def test_without_kinds_of_surroundings_nothing_is_rendered(tmp_path: Path) -> None:
    assert truth(replace(CASE, context=0.0), nn.Identity(), None, tmp_path)["surroundings"] == [0.0] * 4
    assert not list(tmp_path.iterdir())
