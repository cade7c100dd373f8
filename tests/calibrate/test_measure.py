"""One small case from training to table: measured, stored, resumed, and judged again with the same outcome."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from pipeline.calibrate import measure, pictures
from pipeline.calibrate.cases import Plan
from pipeline.calibrate.judging import judged, read
from pipeline.calibrate.run import Calibration, _measured
from pipeline.calibrate.write import write_rates
from pipeline.config import build, packaged


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    with initialize_config_dir(str(packaged("conf").resolve()), version_base="1.3"):
        config = compose("calibrate", overrides=["effort=fast", f"folder={tmp_path_factory.mktemp('calibration')}"])
    built, _, _ = build(config)
    plan = Plan(kinds=["logo"], per_kind=1, harmless={"clean": 1}, images_per_class=[16], seed=3)
    return replace(built, plan=plan)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, size in (
        (pictures, "POOL", 120), (pictures, "HELD_BACK", 40), (pictures, "TRUTH", 20), (measure, "TRAINED", 360),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, size)
    monkeypatch.setattr(measure, "POOL", 120)


def test_a_case_is_measured_stored_and_judged_again(calibration: Calibration) -> None:
    cases = calibration.plan.cases()
    for case in cases:
        _measured(calibration, case)
    stored = read(calibration.file(case) for case in cases)
    for m, case in zip(stored, cases, strict=True):
        assert m["case"]["name"] == case.name
        again = judged(m, calibration.judge)
        assert [v.state for v in again] == [m["state"], *(c["state"] for c in m["classes"])]
        assert 0 <= m["truth"]["reliance"] <= 1
        assert {"edge_filter", "removed_accuracy"} <= set(m["classes"][0]["baselines"])
    lines = write_rates(stored, calibration.judge, Path(calibration.folder))
    assert lines
    shipped = json.loads((Path(calibration.folder) / "error_rates.json").read_text())
    assert (shipped["models"], shipped["planted"]) == (2, 1)
    assert (Path(calibration.folder) / "detection.svg").stat().st_size > 1000


def test_what_is_measured_is_not_measured_again(calibration: Calibration) -> None:
    files = calibration()  # both are there: no worker has anything to do
    assert [f.exists() for f in files] == [True, True]


def test_marks_that_no_source_has_are_refused(calibration: Calibration) -> None:
    with pytest.raises(ValueError, match="no source has: token"):
        replace(calibration, plan=replace(calibration.plan, kinds=["token"]))
