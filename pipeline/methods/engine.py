"""Which way occlusion is computed: every window in full, or only what it can reach, where that is equal and faster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from pipeline.core.timing import REPEATS, least_seconds
from pipeline.methods.incremental import Incremental, Lane
from pipeline.methods.patches import UnsuitedError
from pipeline.methods.queue import Logits, Queue, dense, everything, scores
from pipeline.methods.windows import Windows
from pipeline.types import Classifier, Images, Labels

log = logging.getLogger("pipeline")

ENGINES = ("dense", "incremental", "auto")
EQUAL = 1e-4  # largest difference of the logits, relative to their spread: float32 kernels differ by a tenth of it
WORTH = 1.1  # least saving of multiplications at which it is tried at all
CHUNKS = (8, 16, 32, 64)  # of windows, on a CPU
CHUNKS_GPU = (32, 64, 128, 256)
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
RECHECKED = 100  # of so many windows one is run again in float32, where precision is lower
GROUP, GROUP_GPU = 8, 32  # images whose unperturbed values are kept at once


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What an occlusion asks of its engine."""

    engine: str  # of ENGINES
    windows: Windows
    baseline: float
    precision: str = "float32"  # of PRECISIONS
    compiled: bool = False

    @property
    def exact(self) -> bool:
        """Whether the numbers are those of the plain float32 network, so that nothing has to be run again."""
        return self.precision == "float32" and not self.compiled


@dataclass(frozen=True, kw_only=True, eq=False)
class Engine:
    """How the windows of one classifier are computed."""

    classifier: Classifier
    setting: Setting
    incremental: Incremental | None  # None: dense
    chunk: int  # windows at once
    errors: list[Tensor] = field(default_factory=list)  # of the windows that were run again, see `recheck`

    @staticmethod
    def of(classifier: Classifier, setting: Setting, images: Images) -> Engine:
        """The engine for this setting, found once per classifier; the first image decides where there is a choice."""
        known = _KNOWN.setdefault(classifier, {})
        if setting not in known:
            plan = None
            if setting.engine != "dense":
                plan = _suited(setting.engine, classifier, setting.windows, setting.baseline, images[:1])
            known[setting] = Engine(
                classifier=classifier,
                setting=setting,
                incremental=plan[0] if plan else None,
                chunk=plan[1] if plan else classifier.forward_chunk,
            )
        return known[setting]

    @staticmethod
    def known(classifier: Classifier, setting: Setting) -> Engine | None:
        """The engine that has been used for this setting, if one has."""
        return _KNOWN.get(classifier, {}).get(setting)

    def __call__(self, images: Images, target: Labels, unhidden: Tensor, chunk: int | None) -> Tensor:
        """(B, n) the target's logit with each window hidden; see queue.scores."""
        size = chunk or self.chunk
        windows, baseline = self.setting.windows, self.setting.baseline
        if self.incremental is None:
            every = partial(everything, windows, device=images.device)
            plain = dense(self.classifier.fast, images, windows, baseline)
            if self.setting.exact:
                return scores(images, target, unhidden, windows, baseline, every(plain), size)
            changed = plain
            if self.setting.compiled:
                changed = dense(compiled(self.classifier.fast), images, windows, baseline, full=size)
            if self.setting.precision != "float32":
                changed = lowered(changed, images.device, PRECISIONS[self.setting.precision])
            found = scores(images, target, unhidden, windows, baseline, every(changed), size)
            self.errors.append(recheck(found, target, unhidden, plain, size))
            return found
        group = GROUP if images.device.type == "cpu" else GROUP_GPU
        parts = zip(images.split(group), target.split(group), unhidden.split(group), strict=True)
        return torch.cat([self._group(*part, size) for part in parts])

    def _group(self, images: Images, target: Labels, unhidden: Tensor, size: int) -> Tensor:
        assert self.incremental is not None
        with torch.inference_mode():
            queues = reached(self.incremental, images)
        return scores(images, target, unhidden, self.setting.windows, self.setting.baseline, queues, size)


_KNOWN: WeakKeyDictionary[Classifier, dict[Setting, Engine]] = WeakKeyDictionary()
_COMPILED: WeakKeyDictionary[nn.Module, Callable[[Tensor], Tensor]] = WeakKeyDictionary()


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network through torch.compile, once; it is compiled at its first pass, for that shape.

    Raises, at that pass:
        RuntimeError: nothing here can compile it; what to do stands in the message.
    """
    if network not in _COMPILED:
        # The network's own forward, or the compiled function would keep its key alive.
        forward = torch.compile(type(network).forward, dynamic=False)
        own = ref(network)

        def run(images: Tensor) -> Tensor:
            there = own()
            assert there is not None
            try:
                return cast(Tensor, forward(there, images))
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # the compiler's, of many kinds
                raise RuntimeError(
                    f"`compile`: torch.compile cannot compile this network here ({type(error).__name__}: "
                    f"{str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}); "
                    "give methods.occlusion.compile=false"
                ) from error

        _COMPILED[network] = run
    return _COMPILED[network]


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


def reached(plan: Incremental, images: Images) -> list[Queue]:
    """Only what a window can reach, against the images' stored values; a queue for each lane."""
    stored = plan.store(images.contiguous(memory_format=torch.channels_last))

    def queue(lane: Lane) -> Queue:
        return lane.numbers, lambda part: plan.logits(stored, lane, part[:, 0], part[:, 1])

    return [queue(lane) for lane in plan.lanes]


def _suited(
    engine: str, classifier: Classifier, windows: Windows, baseline: float, image: Images
) -> tuple[Incremental, int] | None:
    """The incremental engine and its chunk, if it says what the dense one says and (auto) takes less time."""
    try:
        plan = Incremental(classifier, windows, baseline)
    except UnsuitedError as error:
        log.warning("occlusion is computed densely: %s", error)
        return None
    where = ", ".join(max(plan.lanes, key=lambda lane: lane.work.done).work.densified[:3]) or "nowhere"
    if engine == "auto" and plan.saved < WORTH:
        log.info(
            "occlusion is computed densely: incremental would save %.2f times the work (dense from %s)",
            plan.saved,
            where,
        )
        return None
    with torch.inference_mode():
        plain, queues = dense(classifier.fast, image, windows, baseline), reached(plan, image)
        difference = max(_difference(plain, queue) for queue in queues)
        if not difference <= EQUAL:
            log.warning("occlusion is computed densely: incremental differs by %.1e of the logits' spread", difference)
            return None
        longest = max(queues, key=lambda queue: len(queue[0]))
        sizes = CHUNKS if image.device.type == "cpu" else CHUNKS_GPU
        taken = {size: _per_item(longest, size) for size in sizes}
        chunk = min(taken, key=lambda size: taken[size])
        # Each lane is timed once, in a small chunk: an average over so many needs no repetitions.
        small = sum(len(queue[0]) * _per_item(queue, sizes[0], repeats=1) for queue in queues) / len(windows)
        seconds = small * taken[chunk] / taken[sizes[0]]
        speed = _per_item(everything(windows, plain, image.device)[0], classifier.forward_chunk) / seconds
    if engine == "auto" and speed < 1:
        log.info(
            "occlusion is computed densely: incremental reached %.2f times its speed (dense from %s)", speed, where
        )
        return None
    log.info(
        "occlusion is computed incrementally: %.2f times the speed of dense, %.2f times less work, dense from %s; "
        "largest difference %.1e of the logits' spread",
        speed,
        plan.saved,
        where,
        difference,
    )
    return plan, chunk


def _difference(plain: Logits, queue: Queue) -> float:
    """The largest between dense and incremental logits of a queue's first and last windows, of their spread."""
    numbers, logits = queue
    part = _pairs(numbers[[0, -1]])
    expected = plain(part)
    spread = (expected.amax() - expected.amin()).clamp(min=1e-12)
    return float((expected - logits(part)).abs().amax() / spread)


def _pairs(numbers: Tensor) -> Tensor:
    """Of the only image and these windows."""
    return torch.stack([torch.zeros_like(numbers), numbers], dim=1)


def _per_item(queue: Queue, size: int, repeats: int = REPEATS) -> float:
    """Seconds per window of a queue, in passes of that size; a short queue's windows come more than once."""
    numbers, logits = queue
    part = _pairs(numbers.repeat(-(-size // len(numbers)))[:size])
    return least_seconds(lambda: logits(part), part.device, repeats) / size
