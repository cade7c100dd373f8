"""One small case from training to table: measured, stored, resumed, and judged again with the same outcome."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import pytest
from hydra import compose, initialize_config_dir

from pipeline.calibrate import measure, pictures, run
from pipeline.calibrate.cases import Plan
from pipeline.calibrate.judging import judged, read
from pipeline.calibrate.run import Calibration, _code, _measured, told
from pipeline.calibrate.write import write_rates
from pipeline.config import build, packaged
from pipeline.types import AuditError


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


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A plugin of a user's own."""

    steps: int
    version: ClassVar[int] = 1

    @cached_property
    def prepared(self) -> object:
        return object()


@dataclass(frozen=True, kw_only=True)
class Later(Foreign):
    version: ClassVar[int] = 2


class Plain:
    """A plugin that is no dataclass."""

    def __init__(self, steps: int) -> None:
        self.reduced = partial(round, ndigits=steps)


@pytest.mark.parametrize("family", ["methods", "metrics", "interventions", "signals"])
def test_another_setting_version_or_name_of_a_plugin_is_measured_anew(calibration: Calibration, family: str) -> None:
    (case, *_) = calibration.plan.cases()
    plugins = [{"a": Foreign(steps=1)}, {"a": Foreign(steps=2)}, {"b": Foreign(steps=1)}, {"a": Later(steps=1)}]
    plugins += [{"a": Plain(1)}, {"a": Plain(2)}, {}]
    files = {replace(calibration, **{family: p}).file(case) for p in plugins}
    assert len(files) == len(plugins)


def test_the_judge_and_the_workers_change_no_measurement(calibration: Calibration) -> None:
    (case, *_) = calibration.plan.cases()
    other = replace(
        calibration, judge=replace(calibration.judge, q=0.2), workers=3, plan=replace(calibration.plan, per_kind=2)
    )
    assert other.file(case) == calibration.file(case)


def test_a_plugin_is_told_the_same_in_every_process() -> None:
    used = Foreign(steps=1)
    assert used.prepared is used.prepared
    assert told(used) == told(Foreign(steps=1))
    assert told(Plain(1)) == told(pickle.loads(pickle.dumps(Plain(1)))) != told(Plain(2))
    assert told({"a": (1, {"y", "x"}), "b": [round, Plain, Path("x")]}) == {
        "a": [1, ["x", "y"]], "b": ["builtins.round", f"{__name__}.Plain", told(Path("x"))],
    }  # fmt: skip


def test_code_counts_but_for_what_comes_after_a_measurement(tmp_path: Path) -> None:
    def digest(changed: str | None) -> str:
        root = tmp_path / str(changed).replace("/", "-")
        for name in ("judge.py", "report/page.py", "signals/judge.py", "types.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("new" if name == changed else "old")
        return _code(root)

    same = digest(None)
    assert digest("judge.py") == digest("report/page.py") == same
    assert len({same, digest("signals/judge.py"), digest("types.py")}) == 3


def test_older_measurements_are_left_aside_with_one_warning(
    calibration: Calibration, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = replace(calibration, folder=str(tmp_path), workers=1)
    before = replace(here, signals={})
    file, others = here.file(here.plan.cases()[0]), replace(here.plan, seed=4).cases()
    made = [*map(here.file, here.plan.cases()), *map(before.file, here.plan.cases())]
    made.append(file.with_name(f"{file.stem.rpartition('-')[0]}.json"))  # as it was named without settings
    made += [here.file(others[0]), before.file(others[1])]  # of another plan into the same folder
    file.parent.mkdir()
    for path in made:
        path.write_text("{}")
    with caplog.at_level("WARNING", logger="pipeline"):
        found = here()
    assert set(found) == {*made[:2], here.file(others[0])}
    (warning,) = caplog.messages
    assert warning.startswith("3 older measurements")


def test_code_that_changes_while_it_is_measured_is_no_success(
    calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replace(calibration, folder=str(tmp_path), workers=1)
    monkeypatch.setattr(run, "_measured", _elsewhere)
    with pytest.raises(AuditError, match="code was changed meanwhile"):
        here()


def _elsewhere(calibration: Calibration, case: object) -> None:
    """A worker that writes under another name."""


def test_marks_that_no_source_has_are_refused(calibration: Calibration) -> None:
    with pytest.raises(ValueError, match="no source has: token"):
        replace(calibration, plan=replace(calibration.plan, kinds=["token"]))
