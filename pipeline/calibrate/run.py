"""Runs the benchmark's cases over the machine's cores; what is finished is not done again."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import math
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from pipeline.calibrate.cases import Case, Plan
from pipeline.calibrate.measure import Tools, measure
from pipeline.core.allocator import keep_freed_memory
from pipeline.judge import Judge
from pipeline.planted.plants import Plant
from pipeline.types import AuditError, Intervention, Method, Metric, Signal

log = logging.getLogger("pipeline")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The benchmark of planted shortcuts: many small models, trained, measured and audited.

    `sources` name the dictionaries of plants as `module:NAME`; a module that is not named is not even imported, so that
    the held-out kinds stay closed until a plan opens them. `workers` 0 takes every core.
    """

    plan: Plan
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
        """Measures every case that is not yet in `folder`/cases; returns the files of all.

        Raises:
            AuditError: a case failed; the others are kept.
        """
        cases = self.plan.cases()
        files = {case.name: self.file(case) for case in cases}
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
                if (error := job.exception()) is not None:
                    failed[jobs[job].name] = f"{type(error).__name__}: {error}"
                    log.warning("%s failed: %s", jobs[job].name, failed[jobs[job].name])
                bar.update()
        if failed:
            name, why = next(iter(failed.items()))
            raise AuditError(f"{len(failed)} of {len(cases)} models failed, {name} first: {why}")
        return list(files.values())

    def file(self, case: Case) -> Path:
        """Where a case's measurement lies; the name changes with the case, so that an old one is never taken for it."""
        digest = hashlib.sha256(json.dumps(asdict(case), sort_keys=True).encode()).hexdigest()[:8]
        return Path(self.folder, "cases", f"{case.name}-{digest}.json")


def _single_threaded() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy's own threads, of which every worker else takes as many as there are cores
    keep_freed_memory()


def _measured(calibration: Calibration, case: Case) -> None:
    """One case in a worker, written in one step."""
    c = calibration
    tools = Tools(methods=c.methods, metrics=c.metrics, interventions=c.interventions, signals=c.signals, judge=c.judge)
    plant = c.plants()[case.kind] if case.kind else None
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
