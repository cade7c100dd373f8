"""What every signal in conf/signals promises: a piece of evidence per class, defined or with a reason."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.types import Evidence, Observed, Signal
from tests.signals.tables import FOUR, removal_world, transplant_world

FILES = sorted((Path(__file__).parents[2] / "conf" / "signals").glob("*.yaml"))
DECIDING = {"outside_transplant", "removed_excess"}
METHODS = ("saliency", "occlusion")


def built_signal(file: Path, **changed: object) -> Signal:
    """The plugin of one yaml, with the yaml's own arguments."""
    arguments = yaml.safe_load(file.read_text()) | changed
    module, name = arguments.pop("_target_").rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**arguments)


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def signal_file(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def seen() -> Observed:
    """Everything that a run leaves: both interventions, two methods, four classes of which one is guilty."""
    rng = np.random.default_rng(0)
    removed, moved = removal_world(rng, 12, FOUR, {"b": 0.8}), transplant_world(rng, 12, FOUR, {"b": 0.8})
    images = removed.images.assign(area_fraction=0.2)
    scores = pd.concat([images[["id", "class"]].assign(method=m) for m in METHODS], ignore_index=True)
    return dataclasses.replace(
        removed,
        images=images,
        scores=scores.assign(inside_share=rng.uniform(0.2, 0.9, len(scores)), lift=2.0, undefined=""),
        trials=pd.concat([removed.trials, moved.trials], ignore_index=True),
        outside_maps={m: rng.uniform(size=(4, 32, 32)).astype(np.float32) for m in METHODS},
    )


def weighed(file: Path, seen: Observed) -> list[Evidence]:
    return built_signal(file, draws=99)(seen, np.random.default_rng(0))


def test_yaml_says_its_place_and_purpose_first(signal_file: Path) -> None:
    first, second = signal_file.read_text().splitlines()[:2]
    assert first == f"# @package signals.{signal_file.stem}"
    assert second.startswith("# ")
    fields = {field.name for field in dataclasses.fields(built_signal(signal_file))}  # type: ignore[arg-type]
    assert set(yaml.safe_load(signal_file.read_text())) == fields | {"_target_"}


def test_every_class_gets_its_evidence_once(signal_file: Path, seen: Observed) -> None:
    found = [(e.signal, e.class_name) for e in weighed(signal_file, seen)]
    name = signal_file.stem
    names = [name] if name in DECIDING else [f"{name}:{m}" for m in METHODS]
    assert found == [(n, c) for c in FOUR for n in names]


def test_evidence_is_finite_versioned_and_knows_its_rank(signal_file: Path, seen: Observed) -> None:
    decides = signal_file.stem in DECIDING
    for e in weighed(signal_file, seen):
        assert e.decides == decides
        assert e.version == built_signal(signal_file).version >= 1
        assert e.low <= e.estimate <= e.high
        assert np.isfinite([e.estimate, e.low, e.high]).all()
        assert np.isfinite([e.p_value, e.detectable]).all() == decides
        assert (e.n, e.n_others) == (12, 36)
        assert all(type(v) in (int, float, str) for v in e.details.values()), e.details
        assert "undefined" not in e.details


def test_nothing_to_go_on_is_undefined_with_a_reason(signal_file: Path, seen: Observed) -> None:
    bare = dataclasses.replace(
        seen,
        trials=pd.DataFrame(columns=list(seen.trials.columns)),
        scores=pd.DataFrame(columns=["id", "method", "class", "undefined"]),
        outside_maps={},
    )
    found = weighed(signal_file, bare)
    assert [e.class_name for e in found] == (list(FOUR) if signal_file.stem in DECIDING else [])
    for e in found:
        assert np.isnan([e.estimate, e.low, e.high, e.p_value, e.detectable]).all()
        assert e.details == {"undefined": "not run"}


def test_tables_are_left_as_they_were(signal_file: Path, seen: Observed) -> None:
    before = [frame.copy() for frame in (seen.images, seen.scores, seen.trials)]
    weighed(signal_file, seen)
    for frame, copy in zip((seen.images, seen.scores, seen.trials), before, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_the_generator_decides_everything(signal_file: Path, seen: Observed) -> None:
    assert repr(weighed(signal_file, seen)) == repr(weighed(signal_file, seen))
