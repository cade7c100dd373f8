"""The command line: exit codes, what is printed, sweeps, help."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import exit_code, main, with_default
from tests.test_audit import options
from tests.worlds import write_world


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `shortcut-audit` with these arguments, in this process."""
    monkeypatch.setattr(sys, "argv", ["shortcut-audit", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_an_audit_exits_0_and_ends_with_verdict_and_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    manifest = write_world(tmp_path / "world", 40)
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *options(manifest, "CornerReader"), "methods=[saliency]") == 0
    out = capfd.readouterr().out
    assert "model: SHORTCUT" in out
    assert "160 images = 160 audited + 0 skipped + 0 failed" in out
    report = Path(out.strip().splitlines()[-1].removeprefix("report: "))
    assert report.is_file()
    assert report.is_relative_to(tmp_path / "reports" / "world")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["reports", "world"]


def test_a_strict_gate_exits_3_on_a_shortcut_and_4_when_inconclusive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    guilty = options(write_world(tmp_path / "large", 40), "CornerReader")
    assert run(monkeypatch, *guilty, "gate=strict", "methods=[]") == 3
    small = options(write_world(tmp_path / "small", 3), "ObjectReader")
    assert run(monkeypatch, *small, "gate=strict", "methods=[]") == 4


def test_a_sweep_exits_with_its_worst_and_runs_every_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shared = options(write_world(tmp_path / "world", 40), "CornerReader")
    code = run(monkeypatch, "-m", *shared, "gate=strict", "methods=[]", "run.seed=-1,0,1")
    assert code == 2  # the first seed is refused, the others find the shortcut
    summaries = list((tmp_path / "reports" / "world").glob("*Z-*/summary.json"))
    assert len(summaries) == 2
    assert {json.loads(s.read_text())["gate"]["exit_code"] for s in summaries} == {3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run.sede=3"], "sede"),
        (["methods=[nope]"], "methods/nope"),
        (["dataset=nope", "model=network"], "dataset/nope"),
        (["run.device=cuda:97"], "`device` is 'cuda:97'"),
        (["run.batch_size=many"], "run.batch_size: expected an integer, got 'many'"),
        (["dataset=voc"], "model"),
    ],
)
def test_a_wrong_configuration_exits_2_and_says_what(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    captured = capfd.readouterr()
    assert said in captured.err + captured.out
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_exits_1_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = options(tmp_path / "absent.csv", "ObjectReader")
    assert run(monkeypatch, *arguments) == 1
    err = capfd.readouterr().err
    assert "absent.csv" in err
    assert "Traceback" not in err


def test_help_speaks_for_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "--help") == 0
    out = capfd.readouterr().out
    for part in ("right for the wrong reason", "Exit codes", "Examples", "experiment: coco_folder, demo", "methods:"):
        assert part in out
    assert "powered by Hydra" not in out


def test_only_those_who_choose_nothing_get_the_demo() -> None:
    assert with_default([]) == ["experiment=demo"]
    assert with_default(["run.seed=3"]) == ["run.seed=3", "experiment=demo"]
    assert with_default(["dataset=voc"]) == ["dataset=voc"]
    assert with_default(["experiment=coco_folder"]) == ["experiment=coco_folder"]


@pytest.mark.parametrize(
    ("hydra_code", "outcomes", "code"),
    [
        (0, [], 0),
        (0, [0, 0], 0),
        (0, [0, 4, 3], 3),
        (0, [0, 4], 4),
        (0, [3, 2], 2),
        (0, [3, 75, 2, 1], 1),
        (0, [75, 3], 75),
        (1, [], 2),
        (1, [0], 1),
    ],
)
def test_the_worst_outcome_wins(hydra_code: int, outcomes: list[int], code: int) -> None:
    assert exit_code(hydra_code, outcomes) == code
