"""Which way occlusion is computed: every window in full, or only what it can reach, where that is equal and faster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
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
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
RECHECKED = 100  # of so many windows one is run again in float32, where precision is lower
GROUP = 8  # images whose unperturbed values are kept at once, on a CPU


@dataclass(frozen=True, kw_only=True, eq=False)
class Engine:
    """How the windows of one classifier are computed."""

    classifier: Classifier
    windows: Windows
    baseline: float
    incremental: Incremental | None  # None: dense
    chunk: int  # windows at once
    precision: str = "float32"
    errors: list[Tensor] = field(default_factory=list)  # of the windows that were run again, see `recheck`

    @staticmethod
    def of(
        engine: str, classifier: Classifier, windows: Windows, baseline: float, images: Images, precision: str
    ) -> Engine:
        """The engine for these windows, found once per classifier; the first image decides where there is a choice."""
        known = _KNOWN.setdefault(classifier, {})
        key = (engine, windows, baseline, precision)
        if key not in known:
            plan = None if engine == "dense" else _suited(engine, classifier, windows, baseline, images[:1])
            chunk = classifier.forward_chunk
            known[key] = Engine(
                classifier=classifier,
                windows=windows,
                baseline=baseline,
                incremental=plan[0] if plan else None,
                chunk=plan[1] if plan else chunk,
                precision=precision,
            )
        return known[key]

    def __call__(self, images: Images, target: Labels, unhidden: Tensor, chunk: int | None) -> Tensor:
        """(B, n) the target's logit with each window hidden; see queue.scores."""
        size = chunk or self.chunk
        if self.incremental is None:
            logits = dense(self.classifier, images, self.windows, self.baseline)
            if self.precision == "float32":
                return scores(images, target, unhidden, self.windows, self.baseline, logits, size)
            low = lowered(logits, images.device, PRECISIONS[self.precision])
            found = scores(images, target, unhidden, self.windows, self.baseline, low, size)
            self.errors.append(recheck(found, target, unhidden, logits, size))
            return found
        group = GROUP if images.device.type == "cpu" else max(GROUP, size)
        parts = zip(images.split(group), target.split(group), unhidden.split(group), strict=True)
        return torch.cat([self._group(*part, size) for part in parts])

    def _group(self, images: Images, target: Labels, unhidden: Tensor, size: int) -> Tensor:
        assert self.incremental is not None
        with torch.inference_mode():
            logits = reached(self.incremental, images)
        return scores(images, target, unhidden, self.windows, self.baseline, logits, size)


_KNOWN: WeakKeyDictionary[Classifier, dict[tuple[str, Windows, float, str], Engine]] = WeakKeyDictionary()


def known_engines(classifier: Classifier, precision: str) -> list[Engine]:
    """The engines that have been used on a classifier in this precision."""
    return [e for key, e in _KNOWN.get(classifier, {}).items() if key[3] == precision]


def lowered(logits: Logits, device: torch.device, dtype: torch.dtype) -> Logits:
    """The same in a lower precision, where torch.autocast finds it safe."""

    def run(part: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype):
            return logits(part)

    return run


def recheck(found: Tensor, target: Labels, unhidden: Tensor, logits: Logits, chunk: int) -> Tensor:
    """Errors of one window in `RECHECKED`, run again in full precision, as shares of their image's largest drop.

    Args:
        found: (B, n) the target's logit with each window hidden, in a lower precision.
        unhidden: (B,) the same of the whole image.

    Returns:
        (m,) on the device; windows of images without any drop are left out.
    """
    n = found.shape[1]
    picked = torch.arange(RECHECKED // 2, found.numel(), RECHECKED, device=found.device)
    if not len(picked):
        picked = torch.zeros(1, dtype=torch.long, device=found.device)
    pairs = torch.stack([picked // n, picked % n], dim=1)
    with torch.inference_mode():
        said = torch.cat([logits(part).float() for part in pairs.split(chunk)])
    rows = pairs[:, 0]
    exact = said.gather(1, target[rows, None])[:, 0]
    largest = (unhidden[:, None] - found).abs().amax(dim=1)[rows]
    errors = (found.flatten()[picked] - exact).abs() / largest
    return errors[largest > 0]


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
