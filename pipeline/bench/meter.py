"""The floor, and what a piece of work takes beside it: passes through the network, and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.core.timing import synchronise
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
    """Measures time and passes of a piece of work, and the floor beside it: no machine is equally fast all the time."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._images = {False: _noise(classifier, classifier.forward_chunk)}
        self._images[True] = _noise(classifier, classifier.backward_chunk)
        for graded in (False, True):
            self._pass(graded)  # the first one is slower
        self._before = self._floors()
        self._seen = [self._before]

    @property
    def forward_floor(self) -> float:
        """Seconds per image, the median of all that were measured."""
        return float(np.median([forward for forward, _ in self._seen]))

    @property
    def both_floor(self) -> float:
        return float(np.median([both for _, both in self._seen]))

    def _pass(self, graded: bool) -> None:
        images = self._images[graded]
        if graded:
            shown = images.clone().requires_grad_()
            torch.autograd.grad(self.classifier.fast(shown).amax(dim=1).sum(), shown)
        else:
            with torch.inference_mode():
                self.classifier.fast(images)

    def _floors(self) -> tuple[float, float]:
        """Seconds per image of a forward pass, and of one forward and backward, now."""
        forward, both = (
            self._timed(partial(self._pass, graded)) / len(self._images[graded]) for graded in (False, True)
        )
        return forward, both

    def _timed(self, work: Callable[[], object]) -> float:
        synchronise(self.classifier.device)
        start = time.perf_counter()
        work()
        synchronise(self.classifier.device)
        return time.perf_counter() - start

    def cost(self, part: str, work: Callable[[], object], images: int, *, forward: int | None = None) -> Cost:
        """Of one part on that many images; `forward` where its definition has other passes than it makes.

        Its floor is the mean of the floors measured right before and right after it.
        """
        seen = Passes()

        def count(_: nn.Module, arguments: tuple[Tensor, ...], __: object) -> None:
            nonlocal seen
            n = len(arguments[0])
            graded = torch.is_grad_enabled() and arguments[0].requires_grad
            seen = replace(seen, both=seen.both + n) if graded else replace(seen, forward=seen.forward + n)

        handle = self.classifier.fast.register_forward_hook(count)
        try:
            seconds = self._timed(work)
        finally:
            handle.remove()
        after = self._floors()
        forward_floor, both_floor = ((x + y) / 2 for x, y in zip(self._before, after, strict=True))
        self._before = after
        self._seen.append(after)
        plain = (seen.forward if forward is None else forward * images) / images
        floor = plain * forward_floor + seen.both / images * both_floor
        return Cost(part=part, forward=plain, both=seen.both / images, seconds=seconds / images, floor=floor)


def _noise(classifier: Classifier, count: int) -> Images:
    images = torch.rand((count, 3, *classifier.frame), generator=torch.Generator().manual_seed(0))
    return images.to(classifier.device).contiguous(memory_format=torch.channels_last)
