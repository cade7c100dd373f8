"""The command line: exit codes, what is printed, sweeps, help."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.__main__ import exit_code, main, show
from pipeline.command_line import VERBS, UsageError, overrides, with_default
from pipeline.run.reviews import fingerprint
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
    assert "160 images = 160 audited + 0 skipped + 0 failed" in out, out[-900:]
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


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """(where they were called, the folders) of a guilty and an innocent model on the same images, from one sweep."""
    place = tmp_path_factory.mktemp("two")
    shared = options(write_world(place / "world", 20), "CornerReader")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        code = run(patch, "-m", *shared, "methods=[saliency]", "run.seed=0,1")
    assert code == 0
    return place, sorted((place / "reports" / "world").glob("2*Z-*"))


def test_a_sweep_ends_with_its_comparison(two_runs: tuple[Path, list[Path]]) -> None:
    place, folders = two_runs
    (page,) = (place / "reports" / "world").glob("compare-*/index.html")
    text = page.read_text()
    assert all(f.name in text for f in folders)
    assert "run.seed" in text


def test_a_report_is_rendered_again_without_the_model(
    two_runs: tuple[Path, list[Path]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    place, folders = two_runs
    monkeypatch.chdir(place)
    first = folders[0]
    page = first / "report" / "index.html"
    was = page.read_text()
    page.unlink()
    assert run(monkeypatch, "report", str(first), "report.single_file=true") == 0
    assert str(page) in capfd.readouterr().out
    assert page.read_text() == was
    summary = json.loads((first / "summary.json").read_text())
    listed = {a["path"]: a["bytes"] for a in summary["artefacts"]}
    assert listed["report.html"] == (first / "report.html").stat().st_size < 10_000_000
    assert listed["report/index.html"] == page.stat().st_size
    assert run(monkeypatch, "report", "reports/world/latest", "sections=[verdict,classes]") == 0
    assert 'id="findings"' not in (folders[1] / "report" / "index.html").read_text()
    assert run(monkeypatch, "report", str(first), "report.single_file=true", "report.budget_mb=0.01") == 1
    assert "`report.budget_mb`: the page alone takes" in capfd.readouterr().err
    summary = json.loads((first / "summary.json").read_text())
    hashes = {a["path"]: a["sha256"] for a in summary["artefacts"]}
    assert hashes["report/index.html"] == hashlib.sha256(page.read_bytes()).hexdigest()


def test_reviews_are_applied_and_shown_by_the_next_report(
    two_runs: tuple[Path, list[Path]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    place, folders = two_runs
    monkeypatch.chdir(place)
    verdict = next(c for c in json.loads((folders[0] / "summary.json").read_text())["models"][0]["classes"])
    mark = fingerprint("model", verdict["class"], verdict["state"])
    review = {"kind": "finding", "fingerprint": mark, "decision": "accepted", "note": "a known tag", "class": "red"}
    content = {"schema_version": 1, "name": "world", "reviews": [review | {"time": "2026-11-01"}]}
    (place / "my reviews.json").write_text(json.dumps(content))
    assert run(monkeypatch, "review", "apply", "my reviews.json") == 0
    assert "1 accepted" in capfd.readouterr().out
    assert run(monkeypatch, "report", str(folders[0])) == 0
    assert "a known tag" in (folders[0] / "report" / "index.html").read_text()
    assert run(monkeypatch, "review", "show") == 2
    assert "usage" in capfd.readouterr().err


def test_runs_are_compared_from_the_command_line(
    two_runs: tuple[Path, list[Path]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    place, folders = two_runs
    monkeypatch.chdir(place)
    assert run(monkeypatch, "compare", *map(str, folders), "folder=side by side") == 0
    assert (place / "side by side" / "index.html").is_file()
    assert "side by side" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["report"], 2, "folder: required"),
        (["report", "absent"], 1, "no stored results"),
        (["report", ".", "report.budget_mb=-1"], 2, "`budget_mb`"),
        (["compare", "absent"], 2, "`runs` must name two or more"),
        (["compare", "absent", "gone"], 1, "absent"),
        (["review", "apply"], 2, "file: required"),
        (["review", "apply", "absent.json"], 1, "no such file"),
    ],
)
def test_what_the_other_verbs_cannot_do_is_said(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == code
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_files_stand_at_their_places_whatever_their_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["it's a run", "a=b", "c,[d]", "back\\slash\\", "e"]
    for name in names[:-1]:
        Path(name).mkdir()
    words = overrides(VERBS["compare"], [*names, "folder=x", "--open"])
    parsed = {o.key_or_group: o.value() for o in OverridesParser.create().parse_overrides(words)}
    assert parsed == {"runs": names, "folder": "x", "open": True}
    assert overrides(VERBS["bench"], ["a=b", "--open"]) == ["a=b", "--open"]
    assert overrides(VERBS["audit"], ["--open"]) == ["report.open=true"]
    assert overrides(VERBS["report"], ["a=b", "--config-dir", "e"]) == ["folder='a=b'", "--config-dir", "e"]
    assert overrides(VERBS["report"], ["e", "~sections.trend", "x=" + "y" * 300])[1:] == [
        "~sections.trend",
        "x=" + "y" * 300,
    ]
    with pytest.raises(UsageError, match="expected one folder, got 2: one, two"):
        overrides(VERBS["report"], ["one", "two"])


def test_a_page_opens_only_where_there_is_a_desktop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: asked.append(url) or True)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    page = tmp_path / "a b.html"
    show(page, wanted=False)
    show(page, wanted=True)
    assert asked == []
    assert "no desktop" in capfd.readouterr().err
    monkeypatch.setenv("DISPLAY", ":0")
    show(page, wanted=True)
    assert asked == [page.as_uri()]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "frames.u8"), 1, "the disk is full.*frames.u8.*goes on from"),
        (
            torch.AcceleratorError("CUDA error: unspecified\nmore"),
            1,
            r"device failed \(CUDA error: unspecified\).*goes",
        ),
        (torch.AcceleratorError(""), 1, r"the device failed \(\); when it is well"),
        (KeyboardInterrupt(), 130, "stopped; start the same command again, and the run goes on"),
        (ZeroDivisionError("a bug"), 1, "Traceback.*ZeroDivisionError: a bug"),
    ],
    ids=["full disk", "lost device", "lost without a word", "Ctrl-C", "bug"],
)
def test_a_run_that_ends_early_says_how_it_goes_on(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And the same command then does."""
    manifest = write_world(tmp_path / "world", 8)
    monkeypatch.chdir(tmp_path)
    command = [*options(manifest, "CornerReader"), "methods=[]"]

    def fails(*_: object, **__: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.passes.study.intervene", fails)
        assert run(monkeypatch, *command) == code
    err = capfd.readouterr().err
    assert re.search(said, err, re.DOTALL), err
    assert ("Traceback" in err) == (said.startswith("Traceback"))
    assert run(monkeypatch, *command) == 0
    assert re.search(r"^continued from run 2.*, which had not ended$", capfd.readouterr().out, re.MULTILINE)
