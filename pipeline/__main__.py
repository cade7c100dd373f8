"""Hydra in, exit code out."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from pipeline.audit import Audit
from pipeline.bench.run import bench, lines
from pipeline.calibrate.judging import read
from pipeline.calibrate.run import Calibration
from pipeline.calibrate.write import write_rates
from pipeline.config import ConfigError, build, packaged
from pipeline.core.allocator import keep_freed_memory
from pipeline.run.folder import LockedError, RunFolder
from pipeline.types import AuditError, Results

# Every job of a sweep, in whatever process its launcher runs it, leaves its outcome in this file, a line each: Hydra
# drops return values, and an exit inside one job would end the sweep.
OUTCOMES = "SHORTCUT_AUDIT_OUTCOMES"
# Verb -> its configuration; without a verb it audits.
VERBS = {"audit": "config", "bench": "config", "calibrate": "calibrate"}
FAILED, WRONG_CONFIG, LOCKED = 1, 2, 75
WORST_FIRST = (FAILED, WRONG_CONFIG, LOCKED, 3, 4, 0)
CHOOSES = ("dataset=", "model=", "experiment=", "+experiment=", "--config-name", "--config-path", "-cn", "-cp")


def main() -> None:
    """The console script: runs the audit, the sweep or another verb, and exits with the code of the worst outcome."""
    verb = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in VERBS else "audit"
    if VERBS[verb] == "config":
        sys.argv[1:] = with_default(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes"
        os.environ[OUTCOMES] = str(outcomes)
        code = _hydra_code(verb)
        lines = outcomes.read_text(encoding="utf-8").splitlines() if outcomes.exists() else []
    raise SystemExit(exit_code(code, [int(line) for line in lines]))


def with_default(arguments: Sequence[str]) -> list[str]:
    """Whoever chooses neither a dataset nor a model nor an experiment gets the demo."""
    if any(a.startswith(CHOOSES) for a in arguments):
        return list(arguments)
    return [*arguments, "experiment=demo"]


def exit_code(hydra_code: int, outcomes: Sequence[int]) -> int:
    """The worst outcome of the jobs; Hydra's own failure before any job began is a wrong configuration."""
    if hydra_code and not outcomes:
        return WRONG_CONFIG
    codes = [*outcomes, FAILED if hydra_code else 0]
    return min(codes, key=WORST_FIRST.index)


def _hydra_code(verb: str) -> int:
    job = hydra.main(version_base="1.3", config_path=str(packaged("conf")), config_name=VERBS[verb])(
        partial(_job, verb)
    )
    try:
        job()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _job(verb: str, config: DictConfig) -> None:
    """One audit: never exits and never raises, so that the other jobs of a sweep run whatever happens here."""
    try:
        code = _carry_out(verb, config)
    except ConfigError as error:
        code = _complain(error, WRONG_CONFIG)
    except LockedError as error:
        code = _complain(error, LOCKED)
    except AuditError as error:
        code = _complain(error, FAILED)
    except Exception:  # a bug: with its traceback, and as a failed run
        traceback.print_exc()
        code = FAILED
    with Path(os.environ[OUTCOMES]).open("a", encoding="utf-8") as file:
        file.write(f"{code}\n")


def _carry_out(verb: str, config: DictConfig) -> int:
    built, text, digest = build(config)
    if verb == "calibrate":
        return _calibrate(built)
    if built.run.torch_device().type == "cpu":
        keep_freed_memory()
    return _bench(built) if verb == "bench" else _audit(built, text, digest)


def _bench(audit: Audit) -> int:
    for line in lines(bench(audit)):
        print(line)
    return 0


def _calibrate(calibration: Calibration) -> int:
    calibration()
    files = sorted(Path(calibration.folder, "cases").glob("*.json"))  # of other plans too, run into the same folder
    for line in write_rates(read(files), calibration.judge, Path(calibration.folder)):
        print(line)
    print(f"tables and figure: {calibration.folder}", flush=True)
    return 0


def _audit(audit: Audit, text: str, digest: str) -> int:
    with RunFolder(Path(audit.run.folder), audit.run.name, digest) as folder:
        results = audit(folder, text)
    _announce(results, folder.final)
    return int(json.loads((folder.final / "summary.json").read_text(encoding="utf-8"))["gate"]["exit_code"])


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
    print(f"gate ({results.gate['mode']}): {results.gate['result']}")
    print(f"report: {folder / 'report' / 'index.html'}", flush=True)


def _complain(error: Exception, code: int) -> int:
    print(f"shortcut-audit: {error}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    main()
