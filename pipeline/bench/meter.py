"""The floor, and what a piece of work takes beside it: passes through the network, and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pipeline.core.timing import least_seconds, synchronise
from pipeline.types import Classifier, Images


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One part of the audit, per image: passes through the network, seconds, and the floor of these passes."""

    part: str
    forward: float  # passes without a gradient, as the part is defined
    both: float  # passes forward and backward
    seconds: float
    floor: float  # seconds

    @property
    def ratio(self) -> float:
        """Floor over time: 1 is as fast as the bare model. NaN for parts without passes."""
        return self.floor / self.seconds if self.floor and self.seconds else float("nan")


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Images that went through the network, with and without a gradient."""

    forward: int = 0
    both: int = 0


class Meter:
    """Measures the floor once, and time and passes of a piece of work."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        images = {n: _noise(classifier, n) for n in (classifier.forward_chunk, classifier.backward_chunk)}
        some, more = images[classifier.forward_chunk], images[classifier.backward_chunk]

        def forward() -> None:
            with torch.inference_mode():
                classifier.fast(some)

        def both() -> None:
            shown = more.clone().requires_grad_()
            torch.autograd.grad(classifier.fast(shown).amax(dim=1).sum(), shown)

        self.forward_floor = least_seconds(forward, classifier.device) / len(some)
        self.both_floor = least_seconds(both, classifier.device) / len(more)

    def cost(self, part: str, work: Callable[[], object], images: int, *, forward: int | None = None) -> Cost:
        """Of one part on that many images; `forward` where its definition has other passes than it makes."""
        seen = Passes()

        def count(_: nn.Module, arguments: tuple[Tensor, ...], __: object) -> None:
            nonlocal seen
            n = len(arguments[0])
            graded = torch.is_grad_enabled() and arguments[0].requires_grad
            seen = replace(seen, both=seen.both + n) if graded else replace(seen, forward=seen.forward + n)

        handle = self.classifier.fast.register_forward_hook(count)
        try:
            synchronise(self.classifier.device)
            start = time.perf_counter()
            work()
            synchronise(self.classifier.device)
            seconds = time.perf_counter() - start
        finally:
            handle.remove()
        plain = (seen.forward if forward is None else forward * images) / images
        floor = plain * self.forward_floor + seen.both / images * self.both_floor
        return Cost(part=part, forward=plain, both=seen.both / images, seconds=seconds / images, floor=floor)


def _noise(classifier: Classifier, count: int) -> Images:
    images = torch.rand((count, 3, *classifier.frame), generator=torch.Generator().manual_seed(0))
    return images.to(classifier.device).contiguous(memory_format=torch.channels_last)
