"""The parts of an audit on a few of its images, each measured as if the whole dataset were there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from pipeline.audit import Audit
from pipeline.bench.meter import Cost, Meter
from pipeline.core.maps import oriented
from pipeline.methods.occlusion import Occlusion
from pipeline.methods.one_pass import Reader
from pipeline.passes.attribute import attributed
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye, generator
from pipeline.passes.intervene import TRIALS, intervene
from pipeline.passes.observe import Observer, refusals
from pipeline.types import AuditError, Batch, Intervention, Labels, Maps, Method, Observed, Record


def costs(audit: Audit, meter: Meter, records: Sequence[Record], of: int) -> list[Cost]:
    """Every part of the audit on these images, planned and weighed as if there were `of` of them.

    Raises:
        AuditError: none of them can be audited.
    """
    eye = audit.eye(records, meter.classifier)
    seed = audit.run.seed
    with tempfile.TemporaryDirectory() as folder:
        stock = audit.stock(records, meter.classifier, Path(folder) / "frames")
        decoding = meter.cost("decoding", lambda: list(stock.walk(audit.run.batch_size)), len(records))
        n = len(stock.frames)
        if not n:
            raise AuditError(f"none of {len(records)} images can be audited: {stock.problems[0].message}")
        batch = stock.frames.batch(np.arange(n), eye.index).to(eye.classifier.device)
        looking, logits, targets, maps = _looking(meter, eye, batch, audit.methods)
        observer = Observer(eye, {m: audit.methods[m] for m in maps}, audit.metrics)
        scoring = meter.cost("scoring", lambda: observer.note(batch, logits, targets, maps), n)
        images, scores, outside = observer.tables(stock.facts)
        changing, trials = [], []
        for name, intervention in audit.interventions.items():
            cost, seen = _changing(meter, eye, stock, images, name, intervention, seed, max(of, n))
            changing.append(cost)
            trials.append(seen)
    present = np.array([(images["class"] == c).any() for c in eye.classes])
    found = Observed(
        model="bench",
        classes=tuple(np.array(eye.classes, object)[present]),
        n_outputs=len(eye.classifier.classes),
        frame=eye.classifier.frame,
        images=images.assign(hole_fraction=0.0),
        scores=scores,
        trials=pd.concat(trials, ignore_index=True) if trials else pd.DataFrame(columns=TRIALS),
        outside_maps={m: own[present] for m, own in outside.items()},
    )
    return [
        decoding,
        *looking,
        scoring,
        *changing,
        _weighing(meter, audit, _repeated(found, max(of, n)), seed),
    ]


def _looking(
    meter: Meter, eye: Eye, batch: Batch, methods: Mapping[str, Method]
) -> tuple[list[Cost], Tensor, Labels, dict[str, Maps]]:
    """The prediction with the methods that share its pass, then each of the others; logits, targets and maps."""
    first, targets, _ = attributed(eye, batch, {})
    some = slice(0, 2)
    refused = refusals(eye, methods, batch.images[some], targets[some])  # also has engines choose themselves
    usable = {m: f for m, f in methods.items() if m not in refused}
    sharing = {name: m for name, m in usable.items() if isinstance(m, Reader)}
    maps: dict[str, Maps] = {}

    def run(group: Mapping[str, Method]) -> None:
        maps.update(attributed(eye, batch, group)[2])

    def alone(name: str, method: Method) -> None:
        maps[name] = oriented(method(eye.classifier, batch.images, targets), method.sign)

    found = [meter.cost(" + ".join(["prediction", *sharing]), partial(run, sharing), len(batch))]
    for name, method in usable.items():
        if name not in sharing:
            defined = method.passes(eye.classifier.frame) if isinstance(method, Occlusion) else None
            found.append(meter.cost(name, partial(alone, name, method), len(batch), forward=defined))
    found += [Cost(part=f"{name} (refused)", forward=0, both=0, seconds=0, floor=0) for name in refused]
    return found, first, targets, maps


def _changing(
    meter: Meter,
    eye: Eye,
    stock: Stock,
    images: pd.DataFrame,
    name: str,
    intervention: Intervention,
    seed: int,
    of: int,
) -> tuple[Cost, pd.DataFrame]:
    """One intervention: seconds per changed image here, times the changed images per image of the whole dataset."""
    tables: list[pd.DataFrame] = []

    def work() -> None:
        tables.append(
            intervene(eye, stock.frames, images, {name: intervention}, name=name, seed=seed, batch_size=len(images))
        )

    cost = meter.cost(name, work, len(images))
    here = len(tables[0]) / len(images)
    planned = len(intervention.plan(_as_many(images, of), generator(seed, name))) / of
    scale = planned / here if here else 1.0
    scaled = {k: getattr(cost, k) * scale for k in ("forward", "both", "seconds", "floor")}
    return Cost(part=name, **scaled), tables[0]


def _repeated(observed: Observed, of: int) -> Observed:
    """The same tables several times over, as if there were `of` images: what weighing costs depends on their number."""
    times = max(1, round(of / len(observed.images)))

    def again(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        named = [c for c in columns if c in table]
        copies = [
            table.assign(**{c: table[c].where(table[c] == "", f"{i}/" + table[c]) for c in named}) for i in range(times)
        ]
        return pd.concat(copies, ignore_index=True)

    return replace(
        observed,
        images=again(observed.images, ["id"]),
        scores=again(observed.scores, ["id"]),
        trials=again(observed.trials, ["recipient", "donor"]),
    )


def _weighing(meter: Meter, audit: Audit, observed: Observed, seed: int) -> Cost:
    def work() -> None:
        for name, signal in audit.signals.items():
            signal(observed, generator(seed, name))

    return meter.cost("weighing the evidence", work, len(observed.images))


def _as_many(images: pd.DataFrame, of: int) -> pd.DataFrame:
    """`of` rows, every image about equally often."""
    rows = np.tile(np.arange(len(images)), -(-of // len(images)))
    return images.iloc[rows[np.linspace(0, len(rows) - 1, of).round().astype(int)]].reset_index(drop=True)
