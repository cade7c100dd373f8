"""Hydra in, exit code out."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import traceback
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
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
from pipeline.report.compare_page import CompareRuns
from pipeline.report.publish import SINGLE
from pipeline.run.folder import LockedError, RunFolder
from pipeline.types import AuditError, Results

# Every job of a sweep, in whatever process its launcher runs it, leaves its outcome in this file, a line each: Hydra
# drops return values, and an exit inside one job would end the sweep.
OUTCOMES = "SHORTCUT_AUDIT_OUTCOMES"


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb's configuration and, where it takes files or folders by their place, the key that they go to."""

    config: str
    takes: str = ""
    several: bool = False
    opens: str = ""  # the override that `--open` stands for


# Without a verb it audits.
VERBS = {
    "audit": Verb(config="config", opens="report.open=true"),
    "bench": Verb(config="config"),
    "calibrate": Verb(config="calibrate"),
    "report": Verb(config="render", takes="folder", opens="report.open=true"),
    "compare": Verb(config="compare", takes="runs", several=True, opens="open=true"),
    "review": Verb(config="review", takes="file"),
}
TAKING = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p")  # a value follows
OVERRIDE = re.compile(r"[+~]{0,2}[A-Za-z_][\w/.@:]*=")
FAILED, WRONG_CONFIG, LOCKED = 1, 2, 75
WORST_FIRST = (FAILED, WRONG_CONFIG, LOCKED, 3, 4, 0)
CHOOSES = ("dataset=", "model=", "experiment=", "+experiment=", "--config-name", "--config-path", "-cn", "-cp")


def main() -> None:
    """The console script: runs the audit, the sweep or another verb, and exits with the code of the worst outcome."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in VERBS else "audit"
    verb = VERBS[name]
    if name == "review" and sys.argv[1:2] not in (["--help"], ["apply"]):
        print("shortcut-audit: usage: shortcut-audit review apply FILE [folder=...] [name=...]", file=sys.stderr)
        raise SystemExit(WRONG_CONFIG)
    sys.argv[1:] = overrides(verb, [a for a in sys.argv[1:] if not (name == "review" and a == "apply")])
    if verb.config == "config":
        sys.argv[1:] = with_default(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes"
        os.environ[OUTCOMES] = str(outcomes)
        code = _hydra_code(name)
        lines = outcomes.read_text(encoding="utf-8").splitlines() if outcomes.exists() else []
    left = [json.loads(line) for line in lines]
    if name == "audit":
        _compare_sweep([folder for _, folder in left if folder])
    raise SystemExit(exit_code(code, [code for code, _ in left]))


def overrides(verb: Verb, arguments: Sequence[str]) -> list[str]:
    """Hydra's overrides for a command line whose files and folders stand at their places, without a key."""
    if verb.opens:
        arguments = [verb.opens if a == "--open" else a for a in arguments]
    if not verb.takes:
        return list(arguments)
    placed: list[str] = []
    rest: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        own = before in TAKING or argument.startswith(("-", "~")) or (OVERRIDE.match(argument) and not _there(argument))
        (rest if own else placed).append(argument)
    if not placed:
        return rest
    if len(placed) > 1 and not verb.several:
        print(f"shortcut-audit: expected one {verb.takes}, got {len(placed)}: {', '.join(placed)}", file=sys.stderr)
        raise SystemExit(WRONG_CONFIG)
    quoted = [_quoted(a) for a in placed]
    return [f"{verb.takes}={'[' + ','.join(quoted) + ']' if verb.several else ' '.join(quoted)}", *rest]


def _there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long for a path
        return False


def _quoted(text: str) -> str:
    """A text that Hydra's grammar takes as it is."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\'", text) + ("\\" if text.endswith("\\") else "") + "'"


def _compare_sweep(folders: Sequence[str]) -> None:
    """The runs of a sweep beside one another, on a page of their own."""
    if len(folders) < 2:
        return
    try:
        print(f"comparison: {CompareRuns(runs=folders)()}", flush=True)
    except Exception as error:  # the sweep's own outcome counts, whatever this is
        print(f"shortcut-audit: the runs were not compared: {error}", file=sys.stderr, flush=True)


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
    except Exception:  # a bug: with its traceback, and as a failed run
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
    calibration()
    files = sorted(Path(calibration.folder, "cases").glob("*.json"))  # of other plans too, run into the same folder
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
    if results.provenance["continues"]:
        print(f"continued from run {results.provenance['continues']}, which had not ended")
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


def _complain(error: Exception, code: int) -> int:
    print(f"shortcut-audit: {error}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    main()
