"""What an audit will cost, measured on its own model, device and configuration."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.audit import Audit
from pipeline.bench.meter import Cost, Meter
from pipeline.bench.parts import costs
from pipeline.types import AuditError, Record

SECONDS = 30.0  # that the measured passes may take, about
LEAST = 8  # images


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was measured on `measured` images, for an audit of `images`."""

    device: str
    forward: float  # seconds per image at `forward_chunk` images at once: the floor
    both: float
    forward_chunk: int
    both_chunk: int
    costs: tuple[Cost, ...]
    measured: int
    images: int
    memory: float  # peak, in bytes: of the device on a GPU, else of the process

    @property
    def total(self) -> Cost:
        sums = {k: sum(getattr(c, k) for c in self.costs) for k in ("forward", "both", "seconds", "floor")}
        return Cost(part="the whole audit", **sums)


def bench(audit: Audit) -> Bench:
    """Measures the audited model alone; a twin costs as much again.

    Raises:
        AuditError: nothing to audit, or a model that cannot be had.
    """
    device = audit.run.torch_device()
    records = [r for r in audit.records() if isinstance(r, Record)]
    if not records:
        raise AuditError("the dataset has no image to audit; the errors.csv of an audit says why")
    classifier = audit.model.load(device)
    meter = Meter(classifier)
    few = costs(audit, meter, _spread(records, LEAST), len(records))  # warms up, and says how many images can be had
    count = int(np.clip(SECONDS / max(sum(c.seconds for c in few), 1e-9), LEAST, max(LEAST, audit.run.batch_size)))
    chosen = _spread(records, count)
    parts = costs(audit, meter, chosen, len(records)) if count > LEAST else few
    return Bench(
        device=_named(device),
        forward=meter.forward_floor,
        both=meter.both_floor,
        forward_chunk=classifier.forward_chunk,
        both_chunk=classifier.backward_chunk,
        costs=tuple(parts),
        measured=len(chosen),
        images=len(records),
        memory=_peak_memory(device),
    )


def lines(found: Bench) -> Iterator[str]:
    """The measurements as a table for a terminal."""
    yield f"{found.device}; floor: forward {_ms(found.forward)} an image ({found.forward_chunk} at once), " + (
        f"forward and backward {_ms(found.both)} ({found.both_chunk} at once)"
    )
    yield f"per image, measured on {found.measured} of {found.images} images:"
    width = max(len(cost.part) for cost in (*found.costs, found.total))
    yield f"  {'':{width}}{'forward':>9}{'and back':>10}{'time':>11}{'floor':>11}{'ratio':>8}"
    for cost in (*found.costs, found.total):
        ratio = "" if np.isnan(cost.ratio) else f"{cost.ratio:.2f}"
        passes = f"{_count(cost.forward):>9}{_count(cost.both):>10}"
        floor = _ms(cost.floor) if cost.floor else ""
        yield f"  {cost.part:{width}}{passes}{_ms(cost.seconds):>11}{floor:>11}{ratio:>8}"
    yield (
        f"an audit of these {found.images} images takes about {_duration(found.total.seconds * found.images)}; "
        f"peak memory {found.memory / 2**20:.0f} MB"
    )


def _spread(records: Sequence[Record], count: int) -> list[Record]:
    """About `count` records, as many of every class as there are, in the dataset's order."""
    by_class: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        by_class.setdefault(record.label, []).append(i)
    each = max(2, -(-count // len(by_class)))
    chosen = [
        i
        for own in by_class.values()
        for i in np.array(own)[np.linspace(0, len(own) - 1, min(each, len(own))).astype(int)]
    ]
    return [records[i] for i in sorted(chosen)]


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return found[0] if found else platform.machine()


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    unit = 1 if platform.system() == "Darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _count(passes: float) -> str:
    return f"{passes:.1f}" if passes else ""


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
