"""Hydra in, exit code out."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
import traceback
import webbrowser
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig

from pipeline.audit import Audit
from pipeline.bench.run import bench, lines
from pipeline.calibrate.judging import read
from pipeline.calibrate.run import Calibration
from pipeline.calibrate.write import write_rates
from pipeline.command_line import VERBS, UsageError, understood
from pipeline.config import ConfigError, build, packaged
from pipeline.core.allocator import keep_freed_memory
from pipeline.report.compare_page import CompareRuns
from pipeline.report.publish import SINGLE
from pipeline.run.folder import LockedError, RunFolder
from pipeline.types import AuditError, Results

# Every job of a sweep, in whatever process its launcher runs it, leaves its outcome in this file, a line each: Hydra
# drops return values, and an exit inside one job would end the sweep.
OUTCOMES = "SHORTCUT_AUDIT_OUTCOMES"

FAILED, WRONG_CONFIG, LOCKED, STOPPED = 1, 2, 75, 130
LOST = getattr(torch, "AcceleratorError", ())  # none before PyTorch 2.8
GOES_ON = "start the same command again, and the run goes on from what it has finished"
WORST_FIRST = (FAILED, WRONG_CONFIG, LOCKED, 3, 4, 0)


def main() -> None:
    """The console script: runs the audit, the sweep or another verb, and exits with the code of the worst outcome."""
    try:
        name, sys.argv[1:] = understood(sys.argv[1:])
    except UsageError as error:
        raise SystemExit(_complain(error, WRONG_CONFIG)) from None
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes"
        os.environ[OUTCOMES] = str(outcomes)
        try:
            code = _hydra_code(name)
        except KeyboardInterrupt:
            raise SystemExit(_complain("stopped" + (f"; {GOES_ON}" if name == "audit" else ""), STOPPED)) from None
        lines = outcomes.read_text(encoding="utf-8").splitlines() if outcomes.exists() else []
    left = [json.loads(line) for line in lines]
    if name == "audit":
        _compare_sweep([folder for _, folder in left if folder])
    raise SystemExit(exit_code(code, [code for code, _ in left]))


def _compare_sweep(folders: Sequence[str]) -> None:
    """The runs of a sweep beside one another, on a page of their own."""
    if len(folders) < 2:
        return
    try:
        print(f"comparison: {CompareRuns(runs=folders)()}", flush=True)
    except Exception as error:  # the sweep's own outcome counts, whatever this is
        print(f"shortcut-audit: the runs were not compared: {error}", file=sys.stderr, flush=True)


def exit_code(hydra_code: int, outcomes: Sequence[int]) -> int:
    """The worst outcome of the jobs; Hydra's own failure before any job began is a wrong configuration."""
    if hydra_code and not outcomes:
        return WRONG_CONFIG
    codes = [*outcomes, FAILED if hydra_code else 0]
    return min(codes, key=WORST_FIRST.index)


def _hydra_code(verb: str) -> int:
    job = hydra.main(version_base="1.3", config_path=str(packaged("conf")), config_name=VERBS[verb].config)(
        partial(_job, verb)
    )
    try:
        job()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _job(verb: str, config: DictConfig) -> None:
    """One audit: never exits and never raises, so that the other jobs of a sweep run whatever happens here."""
    folder = ""
    try:
        code, folder = _carry_out(verb, config)
    except ConfigError as error:
        code = _complain(error, WRONG_CONFIG)
    except LockedError as error:
        code = _complain(error, LOCKED)
    except AuditError as error:
        code = _complain(error, FAILED)
    except LOST as error:
        why = str(error).partition("\n")[0]  # hints for CUDA's developers follow
        code = _complain(f"the device failed ({why}); when it is well, {GOES_ON}", FAILED)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            code = _complain(f"the disk is full ({error}); make room: {GOES_ON}", FAILED)
        else:  # a bug: with its traceback, and as a failed run
            traceback.print_exc()
            code = FAILED
    with Path(os.environ[OUTCOMES]).open("a", encoding="utf-8") as file:
        file.write(json.dumps([code, folder]) + "\n")


def _carry_out(verb: str, config: DictConfig) -> tuple[int, str]:
    """The exit code, and the folder of the run that was made, if one was."""
    built, text, digest = build(config)
    if verb == "audit":
        return _audit(built, text, digest)
    if verb == "bench":
        _bench(built)
    elif verb == "calibrate":
        _calibrate(built)
    elif verb == "review":
        print("\n".join(built()), flush=True)
    else:
        page = built()
        print(f"{verb}: {page}", flush=True)
        show(page, wanted=built.report.open if verb == "report" else built.open)
    return 0, ""


def _bench(audit: Audit) -> None:
    _keep_memory(audit)
    for line in lines(bench(audit)):
        print(line)


def _calibrate(calibration: Calibration) -> None:
    files = calibration()  # of other plans too, run into the same folder with these settings
    for line in write_rates(read(files), calibration.judge, Path(calibration.folder)):
        print(line)
    print(f"tables and figure: {calibration.folder}", flush=True)


def _keep_memory(audit: Audit) -> None:
    if audit.run.torch_device().type == "cpu":
        keep_freed_memory()


def _audit(audit: Audit, text: str, digest: str) -> tuple[int, str]:
    _keep_memory(audit)
    with RunFolder(Path(audit.run.folder), audit.run.name, digest) as folder:
        results = audit(folder, text)
    _announce(results, folder.final)
    if audit.report.single_file:
        _announce_single(folder.final / SINGLE)
    show(folder.final / "report" / "index.html", wanted=audit.report.open)
    code = json.loads((folder.final / "summary.json").read_text(encoding="utf-8"))["gate"]["exit_code"]
    return int(code), str(folder.final)


def _announce(results: Results, folder: Path) -> None:
    """What a person reads last: a sentence per model, the counts, the gate, the report's path."""
    for findings in results.findings:
        verdict = findings.verdicts[0]
        print(f"\n{findings.observed.model}: {verdict.state}\n  {verdict.reason}")
    counts = results.counts
    print(
        f"\n{counts['total']} images = {counts['audited']} audited + {counts['skipped']} skipped "
        f"+ {counts['failed']} failed" + (" (see errors.csv)" if counts["total"] > counts["audited"] else "")
    )
    seen = results.findings[0].observed
    print(f"evidence: {len(seen.trials) / max(len(seen.images), 1):.0f} forward passes per image, besides the maps")
    if before := results.provenance.get("continues"):
        print(f"continued from run {before}, which had not ended")
    print(f"gate ({results.gate['mode']}): {results.gate['result']}")
    print(f"report: {folder / 'report' / 'index.html'}", flush=True)


def _announce_single(file: Path) -> None:
    if file.is_file():
        print(f"single file: {file}", flush=True)
    else:
        print(f"shortcut-audit: {file.name} was not written; audit.log says why", file=sys.stderr, flush=True)


def show(page: Path, *, wanted: bool) -> None:
    """Opens a page in the browser, if that is wanted and this machine has a desktop."""
    if not wanted:
        return
    desktop = sys.platform in ("darwin", "win32") or any(os.environ.get(v) for v in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not (desktop and webbrowser.open(page.resolve().as_uri())):
        print(f"shortcut-audit: there is no desktop to open {page} on", file=sys.stderr, flush=True)


def _complain(error: Exception | str, code: int) -> int:
    print(f"shortcut-audit: {error}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    main()
