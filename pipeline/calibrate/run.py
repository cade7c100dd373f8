"""Runs the benchmark's cases over the machine's cores; what is finished is not done again."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import math
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from pipeline.calibrate.cases import Case, Plan
from pipeline.calibrate.measure import Tools, measure
from pipeline.calibrate.photograph_cases import PhotographCase
from pipeline.calibrate.photograph_measure import measure_photographs
from pipeline.calibrate.photographs import PhotographPlan
from pipeline.core.allocator import keep_freed_memory
from pipeline.judge import Judge
from pipeline.planted.plants import Plant
from pipeline.types import AuditError, Intervention, Method, Metric, Signal

log = logging.getLogger("pipeline")
PACKAGE = Path(__file__).parents[1]
# Of the package: what reads a measurement again, or has no part in it.
AFTERWARDS = (
    "__main__.py", "audit.py", "bench/", "calibrate/judging.py", "calibrate/photograph_rates.py", "calibrate/rates.py",
    "calibrate/write.py",
    "command_line.py", "config.py", "judge.py", "reasons.py", "report/",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The benchmark of planted shortcuts: many small models, trained, measured and audited.

    `sources` name the dictionaries of plants as `module:NAME`; a module that is not named is not even imported, so that
    the held-out kinds stay closed until a plan opens them. `workers` 0 takes every core.
    """

    plan: Plan | PhotographPlan
    sources: Sequence[str]
    methods: Mapping[str, Method]
    metrics: Mapping[str, Metric]
    interventions: Mapping[str, Intervention]
    signals: Mapping[str, Signal]
    judge: Judge
    folder: str
    workers: int

    def __post_init__(self) -> None:
        missing = sorted(set(self.plan.kinds) - set(self.plants()))
        if missing:
            raise ValueError(f"`plan.kinds` names marks that no source has: {', '.join(missing)}")

    def plants(self) -> dict[str, Plant]:
        """The marks by kind."""
        found: dict[str, Plant] = {}
        for source in self.sources:
            module, _, name = source.partition(":")
            found |= getattr(importlib.import_module(module), name)
        return found

    def __call__(self) -> list[Path]:
        """Measures every case that is not yet in `folder`/cases.

        Returns:
            The files of all that was measured with these settings into this folder, of earlier plans too.

        Raises:
            AuditError: a case failed; the others are kept.
        """
        cases: Sequence[Case | PhotographCase] = self.plan.cases()
        files = {case.name: self.file(case) for case in cases}
        self._warn_of_older(files.values())
        waiting = [case for case in cases if not files[case.name].exists()]
        failed: dict[str, str] = {}
        workers = self.workers or os.cpu_count() or 1
        context = multiprocessing.get_context("spawn")
        with (
            ProcessPoolExecutor(workers, mp_context=context, initializer=_single_threaded) as executor,
            tqdm(
                total=len(cases), initial=len(cases) - len(waiting), desc="calibrating", unit="model", disable=None
            ) as bar,
        ):
            jobs = {executor.submit(_measured, self, case): case for case in waiting}
            for job in as_completed(jobs):
                name, error = jobs[job].name, job.exception()
                if error is not None:
                    failed[name] = f"{type(error).__name__}: {error}"
                elif not files[name].exists():  # the worker, begun later, gave it another name
                    failed[name] = "the program's code was changed meanwhile; start again"
                if name in failed:
                    log.warning("%s failed: %s", name, failed[name])
                bar.update()
        if failed:
            name, why = next(iter(failed.items()))
            raise AuditError(f"{len(failed)} of {len(cases)} models failed, {name} first: {why}")
        return sorted(Path(self.folder, "cases").glob(f"*-{self._settings()}.json"))

    def file(self, case: Case | PhotographCase) -> Path:
        """Where a case's measurement lies, by digests of the case and of the settings that it is measured with.

        So that what was measured otherwise is never taken for it.
        """
        return Path(self.folder, "cases", f"{case.name}-{_digest(asdict(case))}-{self._settings()}.json")

    def _settings(self) -> str:
        """Digest of the plugins, their names, settings and versions, and of the code; not of the judge.

        A stored measurement is judged again, by whatever rules and thresholds hold then. Of plants the sources outside
        the package are named; those within are code.
        """
        plugins: tuple[object, ...] = (self.methods, self.metrics, self.interventions, self.signals)
        if isinstance(self.plan, PhotographPlan):
            plugins = (*plugins, self.plan)
        return _digest(
            [*map(told, plugins), [s for s in self.sources if not s.startswith("pipeline.")], _code(PACKAGE)]
        )

    def _warn_of_older(self, files: Iterable[Path]) -> None:
        """Says how many measurements of the same cases lie beside them that other settings or other code made."""
        older = 0
        for file in files:
            case, _, _ = file.stem.rpartition("-")
            beside = {file.with_name(f"{case}.json"), *file.parent.glob(f"{case}-????????.json")}
            older += sum(f.exists() for f in beside - {file})
        if older:
            log.warning(
                "%d older measurements of these cases are left aside: their settings or the program's code were others",
                older,
            )


def told(value: object) -> object:
    """A plugin as plain values for JSON, the same in every process: its class, version and settings, all the way down.

    A dataclass is told by its fields, another object by what pickle would keep of it, a function or class by its name.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(k): told(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [told(v) for v in value]
    if isinstance(value, Set):
        return [told(v) for v in sorted(value, key=repr)]
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    kept = (
        {f.name: getattr(value, f.name) for f in fields(value)} if is_dataclass(value) else value.__reduce_ex__(2)[1:3]
    )
    return [told(type(value)), getattr(value, "version", None), told(kept)]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


@cache
def _code(package: Path) -> str:
    """SHA-256 over a package's modules, but for those that a measurement does not pass through."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith(AFTERWARDS):
            digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()


def _single_threaded() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy's own threads, of which every worker else takes as many as there are cores
    keep_freed_memory()


def _measured(calibration: Calibration, case: Case | PhotographCase) -> None:
    """One case in a worker, written in one step."""
    c = calibration
    tools = Tools(methods=c.methods, metrics=c.metrics, interventions=c.interventions, signals=c.signals, judge=c.judge)
    plant = c.plants()[case.kind] if case.kind else None
    if isinstance(c.plan, PhotographPlan):
        assert isinstance(case, PhotographCase)
        found = measure_photographs(c.plan, case, plant, tools)
    else:
        assert isinstance(case, Case)
        found = measure(case, plant, tools, Path(c.folder, "pools"))
    file = c.file(case)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(_clean(found)), encoding="utf-8")
    part.replace(file)


def _clean(value: object) -> object:
    """JSON has no NaN."""
    if isinstance(value, Mapping):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if hasattr(value, "item") else value
