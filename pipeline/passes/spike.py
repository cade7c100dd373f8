"""Spike-in recovery: would this audit have caught a known shortcut in this model and these images?"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from pipeline.judge import Judge
from pipeline.models.spiked import CORNERS, Spiked, mark, place, stamp
from pipeline.passes.columns import Columns
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye, generator, in_batches
from pipeline.passes.study import Study, study
from pipeline.run.frames import Frames
from pipeline.types import AuditError, Batch, Intervention, Method, Signal

log = logging.getLogger("pipeline")
COLUMNS = ["class", "corner", "strength", "prevalence", "marked", "images", "gained", "state", "detected", "seconds"]


@dataclass(frozen=True, kw_only=True)
class SpikeIn:
    """Plants a mark into one class's images and a matched filter into the model, and audits the result.

    Every trial takes one class, corner, strength (what the mark adds to the class's logit) and prevalence (share of the
    class's images that carry it). Trials go round the pairs of strength and prevalence, in random order within a round,
    until all `repeats` of all settings are done or `seconds` are over: no pair is ever more than one trial ahead. At
    least one is made. Neither the user's model nor the files change.
    """

    strengths: Sequence[float]
    prevalences: Sequence[float]
    corners: Sequence[str]
    max_classes: int  # drawn at random where there are more that are not accused anyway
    repeats: int
    side: float  # of the mark, as a share of the frame's shorter side
    seconds: float

    def __post_init__(self) -> None:
        unknown = sorted(set(self.corners) - set(CORNERS))
        if unknown or not self.corners:
            raise ValueError(f"`corners` must name one or more of {', '.join(CORNERS)}; got {list(self.corners)}")
        if not self.strengths or min(self.strengths) <= 0:
            raise ValueError(f"`strengths` must be one or more numbers above 0, got {list(self.strengths)}")
        if not self.prevalences or not all(0 < p <= 1 for p in self.prevalences):
            raise ValueError(f"`prevalences` must lie in (0, 1], got {list(self.prevalences)}")
        if not 0 < self.side <= 0.5 or self.repeats < 1 or self.max_classes < 1 or self.seconds <= 0:
            raise ValueError("`side` must lie in (0, 0.5]; `repeats`, `max_classes` and `seconds` must be above 0")

    def __call__(
        self,
        eye: Eye,
        frames: Frames,
        before: Study,
        *,
        methods: Mapping[str, Method],
        interventions: Mapping[str, Intervention],
        signals: Mapping[str, Signal],
        judge: Judge,
        seed: int,
        batch_size: int,
    ) -> pd.DataFrame:
        """One row per trial, with the columns of `COLUMNS`; `detected` is SHORTCUT for the class that got the mark.

        `gained`: share of the other classes' images that turn into the class when they carry the mark. No rows where
        every class is accused already, so that none is left to plant a mark into.
        """
        rng = generator(seed, "spike_in")
        calm = [v.scope for v in before.verdicts[1:] if v.state in ("CLEAR", "INCONCLUSIVE")]
        classes = sorted(rng.permutation(calm)[: self.max_classes])
        order = self.order(classes, rng)
        rows: list[dict[str, object]] = []
        start = time.monotonic()
        with tqdm(total=len(order), desc="spike-in", unit="trial", disable=None) as bar:
            for strength, prevalence, repeat, c, corner in order:
                if rows and time.monotonic() - start > self.seconds:
                    break
                trial = _Trial.of(eye, frames, c, corner, strength, self.side, seed + repeat)
                marked = trial.draw(prevalence, rng)
                began = time.monotonic()
                found = study(
                    trial.eye,
                    _Shelf(MarkedFrames(frames, marked, trial), _facts(before)),
                    methods=methods,
                    metrics={},
                    interventions=interventions,
                    signals=signals,
                    judge=judge,
                    name=f"spike {len(rows) + 1}",
                    seed=seed + repeat,
                    batch_size=batch_size,
                )
                state = next(v.state for v in found.verdicts[1:] if v.scope == c)
                rows.append(
                    {
                        "class": c,
                        "corner": corner,
                        "strength": strength,
                        "prevalence": prevalence,
                        "marked": len(marked),
                        "images": int(np.sum(np.array(frames.labels) == c)),
                        "gained": trial.gained(batch_size),
                        "state": state,
                        "detected": state == "SHORTCUT",
                        "seconds": time.monotonic() - began,
                    }
                )
                bar.update()
        return pd.DataFrame(rows, columns=COLUMNS)

    def order(self, classes: Sequence[str], rng: np.random.Generator) -> list[tuple[float, float, int, str, str]]:
        """Strength, prevalence, repeat, class and corner of every trial, in rounds of one per strength and prevalence.

        Rounds, because a claim needs several trials of one pair, and a short budget would leave some pairs none.
        """
        cells = list(product(self.strengths, self.prevalences))
        trials = list(product(range(self.repeats), classes, self.corners))
        shuffled = [rng.permutation(len(trials)) for _ in cells]
        return [
            (*cells[i], *trials[shuffled[i][turn]]) for turn in range(len(trials)) for i in rng.permutation(len(cells))
        ]


def _facts(before: Study) -> pd.DataFrame:
    """What is known of the images besides pixels: the columns that the first walk collected."""
    drawn = ("id", "path", "class", "region_kind", "n_objects", "visible_fraction", "width", "height")
    known = (*drawn, "boxes", "companions", "file_type", "camera")
    images = before.observed.images
    return images[[c for c in images if c in known or str(c).startswith("probe_")]]


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One spiked model and its mark."""

    eye: Eye
    frames: Frames
    label: str
    pattern: np.ndarray
    at: tuple[int, int]

    @staticmethod
    def of(eye: Eye, frames: Frames, c: str, corner: str, strength: float, side: float, seed: int) -> _Trial:
        classifier = eye.classifier
        pixels = max(4, round(side * min(classifier.frame)))
        pattern, at = mark(pixels, seed), place(corner, pixels, classifier.frame)
        column = eye.index[c]
        both = (Spiked(m, pattern, at, column, strength) for m in (classifier.module, classifier.fast))
        module, fast = (m.to(classifier.device).eval() for m in both)
        changed = replace(eye, classifier=classifier.having(module, fast))
        return _Trial(eye=changed, frames=frames, label=c, pattern=pattern, at=at)

    def draw(self, prevalence: float, rng: np.random.Generator) -> frozenset[int]:
        """Rows of the class's images that get the mark, at least one."""
        own = np.flatnonzero(np.array(self.frames.labels) == self.label)
        return frozenset(rng.permutation(own)[: max(1, round(prevalence * len(own)))].tolist())

    def gained(self, batch_size: int) -> float:
        """Share of the other classes' images that turn into the class when they carry the mark."""
        others = np.flatnonzero(np.array(self.frames.labels) != self.label)
        column = self.eye.index[self.label]
        turned = total = 0
        for rows in in_batches(others, batch_size):
            host = self.frames.batch(rows, self.eye.index)
            with_mark = replace(host, images=stamp(host.images, self.pattern, self.at))
            said = [
                self.eye.classifier(b.to(self.eye.classifier.device).images).argmax(dim=1) == column
                for b in (host, with_mark)
            ]
            turned += int((said[1] & ~said[0]).sum())
            total += len(rows)
        return turned / max(total, 1)


class MarkedFrames(Frames):
    """The frames of another store, some of them with a mark drawn on; nothing is copied or written."""

    def __init__(self, frames: Frames, marked: frozenset[int], trial: _Trial) -> None:
        self._inner, self._marked, self._trial = frames, marked, trial
        self.frame, self.labels = frames.frame, frames.labels

    def __len__(self) -> int:
        return len(self._inner)

    def batch(self, rows: Sequence[int] | np.ndarray, index: Mapping[str, int]) -> Batch:
        host = self._inner.batch(rows, index)
        carries = torch.tensor([int(r) in self._marked for r in np.asarray(rows)])
        with_mark = stamp(host.images, self._trial.pattern, self._trial.at)
        return replace(host, images=torch.where(carries[:, None, None, None], with_mark, host.images))


class _Shelf(Stock):
    """Frames that have been decoded before, as a stock for another study."""

    def __init__(self, frames: Frames, facts: pd.DataFrame) -> None:
        self.frames, self.total, self.problems = frames, len(frames), []
        self._known, self._properties = facts, Columns()
        self._stream = None

    @property
    def facts(self) -> pd.DataFrame:
        return self._known


def cheapest(methods: Mapping[str, Method]) -> dict[str, Method]:
    """One method to point with: the first that needs a single backward pass, else the first.

    Raises:
        AuditError: there is none.
    """
    if not methods:
        raise AuditError("spike_in needs a method to point with; methods=[] has none")
    for name in ("input_x_gradient", "saliency"):
        if name in methods:
            return {name: methods[name]}
    name = next(iter(methods))
    return {name: methods[name]}
