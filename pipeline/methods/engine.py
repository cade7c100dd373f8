"""Which way occlusion is computed: every window in full, or only what it can reach, where that is equal and faster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from pipeline.core.timing import least_seconds
from pipeline.methods.incremental import Incremental
from pipeline.methods.patches import UnsuitedError
from pipeline.methods.queue import Logits, dense, scores
from pipeline.methods.windows import Windows
from pipeline.types import Classifier, Images, Labels

log = logging.getLogger("pipeline")

ENGINES = ("dense", "incremental", "auto")
EQUAL = 1e-4  # largest difference of the logits, relative to their spread: float32 kernels differ by a tenth of it
WORTH = 1.1  # least saving of multiplications at which it is tried at all
CHUNKS = (8, 16, 32)  # of windows; a GPU takes more
GROUP = 8  # images whose unperturbed values are kept at once, on a CPU


@dataclass(frozen=True, kw_only=True, eq=False)
class Engine:
    """How the windows of one classifier are computed."""

    classifier: Classifier
    windows: Windows
    baseline: float
    incremental: Incremental | None  # None: dense
    chunk: int  # windows at once

    @staticmethod
    def of(engine: str, classifier: Classifier, windows: Windows, baseline: float, images: Images) -> Engine:
        """The engine for these windows, found once per classifier; the first image decides where there is a choice."""
        known = _KNOWN.setdefault(classifier, {})
        key = (engine, windows, baseline)
        if key not in known:
            plan = None if engine == "dense" else _suited(engine, classifier, windows, baseline, images[:1])
            chunk = classifier.forward_chunk
            known[key] = Engine(
                classifier=classifier,
                windows=windows,
                baseline=baseline,
                incremental=plan[0] if plan else None,
                chunk=plan[1] if plan else chunk,
            )
        return known[key]

    def __call__(self, images: Images, target: Labels, unhidden: Tensor, chunk: int | None) -> Tensor:
        """(B, n) the target's logit with each window hidden; see queue.scores."""
        size = chunk or self.chunk
        if self.incremental is None:
            logits = dense(self.classifier, images, self.windows, self.baseline)
            return scores(images, target, unhidden, self.windows, self.baseline, logits, size)
        group = GROUP if images.device.type == "cpu" else max(GROUP, size)
        parts = zip(images.split(group), target.split(group), unhidden.split(group), strict=True)
        return torch.cat([self._group(*part, size) for part in parts])

    def _group(self, images: Images, target: Labels, unhidden: Tensor, size: int) -> Tensor:
        assert self.incremental is not None
        with torch.inference_mode():
            logits = reached(self.incremental, images)
        return scores(images, target, unhidden, self.windows, self.baseline, logits, size)


_KNOWN: WeakKeyDictionary[Classifier, dict[tuple[str, Windows, float], Engine]] = WeakKeyDictionary()


def reached(plan: Incremental, images: Images) -> Logits:
    """Only what a window can reach, against the images' stored values."""
    stored = plan.store(images.contiguous(memory_format=torch.channels_last))
    return lambda part: plan.logits(stored, part[:, 0], part[:, 1])


def _suited(
    engine: str, classifier: Classifier, windows: Windows, baseline: float, image: Images
) -> tuple[Incremental, int] | None:
    """The incremental engine and its chunk, if it says what the dense one says and (auto) takes less time."""
    try:
        plan = Incremental(classifier, windows, baseline)
    except UnsuitedError as error:
        log.warning("occlusion is computed densely: %s", error)
        return None
    gain = plan.dense_work / max(plan.work, 1)
    where = ", ".join(plan.densified[:3]) or "nowhere"
    if engine == "auto" and gain < WORTH:
        log.info(
            "occlusion is computed densely: incremental would save %.2f times the work (dense from %s)", gain, where
        )
        return None
    with torch.inference_mode():
        ways = {"dense": dense(classifier, image, windows, baseline), "incremental": reached(plan, image)}
        part = torch.stack([torch.zeros(len(windows), dtype=torch.long), torch.arange(len(windows))], dim=1)
        part = part[torch.linspace(0, len(windows) - 1, min(len(windows), max(CHUNKS))).long()].to(image.device)
        said = {name: way(part) for name, way in ways.items()}
        spread = (said["dense"].amax() - said["dense"].amin()).clamp(min=1e-12)
        difference = float((said["dense"] - said["incremental"]).abs().amax() / spread)
        if not difference <= EQUAL:
            log.warning("occlusion is computed densely: incremental differs by %.1e of the logits' spread", difference)
            return None
        sizes = [s for s in CHUNKS if s <= len(part)] or [len(part)]
        taken = {s: _per_item(ways["incremental"], part, s) for s in sizes}
        chunk = min(taken, key=lambda s: taken[s])
        speed = _per_item(ways["dense"], part, min(len(part), classifier.forward_chunk)) / taken[chunk]
    if engine == "auto" and speed < 1:
        log.info(
            "occlusion is computed densely: incremental reached %.2f times its speed (dense from %s)", speed, where
        )
        return None
    log.info(
        "occlusion is computed incrementally: %.2f times the speed of dense, %.2f times less work, dense from %s; "
        "largest difference %.1e of the logits' spread",
        speed,
        gain,
        where,
        difference,
    )
    return plan, chunk


def _per_item(way: Callable[[Tensor], Tensor], part: Tensor, size: int) -> float:
    """Seconds per window."""
    return least_seconds(lambda: [way(piece) for piece in part.split(size)], part.device) / len(part)
