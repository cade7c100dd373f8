"""One model's study: look at every image, change some and look again, weigh what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.allocator import give_back_freed_memory
from pipeline.datasets.checks import suspect_classes
from pipeline.judge import Judge
from pipeline.methods.probe import Remarking
from pipeline.passes.album import Album
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye, generator
from pipeline.passes.intervene import intervene
from pipeline.passes.observe import observe
from pipeline.run.frames import Frames
from pipeline.types import Evidence, Findings, Intervention, Method, Metric, Observed, Signal, Verdict

MOST_SUSPECT = 0.2  # of a class's images; where more are annotated suspiciously, the class is set aside

Refer = Callable[[Eye, Frames, Mapping[str, Method]], pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What was seen of one model, the evidence in it, and the verdicts, the model's first."""

    observed: Observed
    evidence: tuple[Evidence, ...]
    verdicts: tuple[Verdict, ...]
    refused: Mapping[str, str]  # method -> why it was not used


def study(
    eye: Eye,
    stock: Stock,
    *,
    methods: Mapping[str, Method],
    metrics: Mapping[str, Metric],
    interventions: Mapping[str, Intervention],
    signals: Mapping[str, Signal],
    judge: Judge,
    name: str,
    seed: int,
    batch_size: int,
    refer: Refer | None = None,
    album: Album | None = None,
    parts: Path | None = None,
) -> Study:
    """Attribution first, since it proposes the places that the interventions then test.

    `refer` makes the references of `Observed` with the methods that the model was found fit for; `album` draws its
    images from the maps that are made here. In `parts` the walks lay down what they finished, and go on from there.

    Raises:
        AuditError: no image could be audited.
    """
    looking, changing = (parts / "looking", parts / "changing") if parts is not None else (None, None)
    observer, refused = observe(
        eye, stock, methods, metrics, name=name, batch_size=batch_size, album=album, parts=looking
    )
    images, scores, outside = observer.tables(stock.facts)
    del observer  # with its copy of the numbers
    give_back_freed_memory()
    trials = intervene(
        eye, stock.frames, images, interventions, name=name, seed=seed, batch_size=batch_size, parts=changing
    )
    give_back_freed_memory()
    usable = {m: f for m, f in methods.items() if m not in refused}
    present = np.array([(images["class"] == c).any() for c in eye.classes])
    observed = Observed(
        model=name,
        classes=tuple(c for c, here in zip(eye.classes, present, strict=True) if here),
        n_outputs=len(eye.classifier.classes),
        frame=eye.classifier.frame,
        images=images.assign(hole_fraction=_hole_fraction(images, trials)),
        scores=scores,
        trials=trials,
        outside_maps={m: maps[present] for m, maps in outside.items()},
        references=refer(eye, stock.frames, usable) if refer is not None and usable else None,
        suspect=suspect_classes(images, MOST_SUSPECT),
    )
    evidence = tuple(e for s, signal in signals.items() for e in signal(observed, generator(seed, s)))
    give_back_freed_memory()
    return Study(observed=observed, evidence=evidence, verdicts=judge(observed, evidence), refused=refused)


def found(eye: Eye, studied: Study, methods: Mapping[str, Method]) -> Findings:
    """A study as one model's part of the results, with what is to be known of the methods."""
    return Findings(
        observed=studied.observed,
        evidence=studied.evidence,
        verdicts=studied.verdicts,
        accuracy=float(studied.observed.images["correct"].mean()),
        methods=tuple(_method_facts(m, f, eye, studied.refused.get(m, "")) for m, f in methods.items()),
    )


def _method_facts(name: str, method: Method, eye: Eye, refusal: str) -> dict[str, str]:
    return {
        "name": name,
        "sign": method.sign,
        "reduce": method.reduce,
        "version": str(method.version),
        "target": eye.target,
        "settings": str(method),
        "status": "refused" if refusal else "ok",
        "reason": refusal,
        "remark": method.remark(eye.classifier) if isinstance(method, Remarking) else "",
    }


def _hole_fraction(images: pd.DataFrame, trials: pd.DataFrame) -> pd.Series:
    """Per image, the share of the frame that object removal changes; NaN where nothing was removed."""
    removed = trials[trials["intervention"] == "object_removed"]
    return images["id"].map(removed.groupby("recipient")["changed_fraction"].max().astype(float))
