"""What every signal in conf/signals promises: a piece of evidence per class, defined or with a reason."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.methods.gradients import InputXGradient, Saliency
from pipeline.metrics.localisation import InsideShare
from pipeline.run.stored import store, stored
from pipeline.types import Evidence, Observed, Signal
from tests.report import fake_results
from tests.studies import whole_study
from tests.test_judge import judge
from tests.worlds import CLASSES, CornerReader

FILES = sorted((Path(__file__).parents[2] / "conf" / "signals").glob("*.yaml"))
DECIDING = {"outside_keenest", "outside_transplant", "places", "properties", "removed_excess"}
FOR_EVERY_CLASS = DECIDING | {"background_gap"}
NAMES = {"places": "place:", "properties": "property:"}  # what their evidence is called, where not as the file
LEADS = {"property:colour", "property:spectrum", "property:ring", "place:moving"}  # among what decides
METHODS = {
    "saliency": Saliency(reduce="max_abs", sign="absolute"),
    "input_x_gradient": InputXGradient(reduce="sum", sign="absolute"),
}
PER_CLASS = 24
GUILTY = "red"


def built_signal(file: Path) -> Signal:
    """The plugin of one yaml, with the yaml's own arguments but fewer draws."""
    arguments = yaml.safe_load(file.read_text())
    module, name = arguments.pop("_target_").rsplit(".", 1)
    fewer = {"draws": 99} if "draws" in arguments else {}
    return getattr(importlib.import_module(module), name)(**arguments | fewer)


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def signal_file(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Everything that a run leaves, of a network that reads the mark that one class carries."""
    folder = tmp_path_factory.mktemp("study") / "frames"
    parts = {"methods": METHODS, "metrics": {"inside_share": InsideShare()}, "signals": {}}
    return whole_study(CornerReader(), folder, PER_CLASS, 0, judge(), **parts).observed


def weighed(file: Path, seen: Observed) -> list[Evidence]:
    return built_signal(file)(seen, np.random.default_rng(0))


def test_yaml_says_its_place_and_purpose_first(signal_file: Path) -> None:
    first, second = signal_file.read_text().splitlines()[:2]
    assert first == f"# @package signals.{signal_file.stem}"
    assert second.startswith("# ")
    fields = {field.name for field in dataclasses.fields(built_signal(signal_file))}  # type: ignore[arg-type]
    assert set(yaml.safe_load(signal_file.read_text())) == fields | {"_target_"}


def test_evidence_carries_the_signals_name_once_a_class(signal_file: Path, seen: Observed) -> None:
    found = [(e.signal, e.class_name) for e in weighed(signal_file, seen)]
    assert found
    assert len(set(found)) == len(found)
    assert all(name.startswith(NAMES.get(signal_file.stem, signal_file.stem)) for name, _ in found)
    if signal_file.stem in FOR_EVERY_CLASS:
        assert {c for _, c in found} == set(CLASSES)


def test_evidence_is_consistent_versioned_and_knows_its_rank(signal_file: Path, seen: Observed) -> None:
    for e in weighed(signal_file, seen):
        decides = e.decides
        assert decides == (signal_file.stem in DECIDING) or e.signal in LEADS
        assert e.version == built_signal(signal_file).version >= 1
        assert all(type(v) in (int, float, str) for v in e.details.values()), e.details
        if np.isnan(e.estimate):
            assert "undefined" in e.details
            continue
        assert "undefined" not in e.details
        if np.isfinite(e.low):
            assert e.low <= e.estimate + 1e-9 <= e.high + 2e-9
        assert not decides or (0 < e.p_value <= 1 and e.n > 0 and np.isfinite(e.detectable))


def test_the_guilty_class_is_told_from_the_others(signal_file: Path, seen: Observed) -> None:
    """What decides must see a network that says red wherever the corner is white."""
    if signal_file.stem not in DECIDING - {"properties"}:
        pytest.skip("a lead, the size of a reliance, or about looks: a mark in a corner is a place")
    found = [e for e in weighed(signal_file, seen) if np.isfinite(e.estimate)]
    guilty = min(e.p_value for e in found if e.class_name == GUILTY)
    assert guilty <= 0.05
    assert max(e.estimate for e in found if e.class_name == GUILTY) > 0.5
    assert all(e.estimate < 0.2 for e in found if e.class_name != GUILTY)


def test_colour_matched_transplants_are_weighed_where_they_were_made(seen: Observed) -> None:
    file = next(f for f in FILES if f.stem == "outside_transplant")
    plain = seen.trials[~seen.trials["arm"].isin(["matched", "own_matched"])]
    other = plain[(plain["intervention"] == "outside_transplant") & (plain["arm"] == "other")]
    found = weighed(file, dataclasses.replace(seen, trials=plain))
    assert [e.signal for e in found] == ["outside_transplant"] * len(CLASSES)
    matched = pd.concat([plain, other.assign(arm="matched")])
    found = weighed(file, dataclasses.replace(seen, trials=matched))
    assert [(e.signal, e.class_name) for e in found] == [
        (name, c) for name in ("outside_transplant", "outside_transplant_matched") for c in CLASSES
    ]
    assert all(np.isfinite(e.p_value) for e in found)


def test_nothing_to_go_on_is_undefined_with_a_reason(signal_file: Path, seen: Observed) -> None:
    if signal_file.stem == "data_probe":
        pytest.skip("about the images, which are always there")
    bare = dataclasses.replace(
        seen,
        trials=pd.DataFrame(columns=list(seen.trials.columns)),
        scores=pd.DataFrame(columns=["id", "method", "class", "undefined"]),
        outside_maps={},
    )
    found = weighed(signal_file, bare)
    assert {e.class_name for e in found} == (set(CLASSES) if signal_file.stem in FOR_EVERY_CLASS else set())
    for e in found:
        assert np.isnan([e.estimate, e.low, e.high, e.p_value, e.detectable]).all()
        assert set(e.details) == {"undefined"}


def test_tables_are_left_as_they_were(signal_file: Path, seen: Observed) -> None:
    before = [frame.copy() for frame in (seen.images.drop(columns="small_map"), seen.scores, seen.trials)]
    weighed(signal_file, seen)
    after = (seen.images.drop(columns="small_map"), seen.scores, seen.trials)
    for frame, copy in zip(after, before, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_the_generator_decides_everything(signal_file: Path, seen: Observed) -> None:
    assert repr(weighed(signal_file, seen)) == repr(weighed(signal_file, seen))


def test_stored_results_are_weighed_the_same(signal_file: Path, seen: Observed, tmp_path: Path) -> None:
    """What `shortcut-audit report` reads back is enough to judge again, to the last digit."""
    findings = dataclasses.replace(fake_results.empty().findings[0], observed=seen)
    store(dataclasses.replace(fake_results.empty(), findings=(findings,)), tmp_path)
    again = weighed(signal_file, stored(tmp_path).findings[0].observed)
    assert repr(again) == repr(weighed(signal_file, seen))  # repr, because NaN is not equal to itself
