"""The queue of occlusion: every window of every image, a chunk at a time, through one way to compute its logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipeline.methods.windows import Windows
from pipeline.types import Images, Labels

Logits = Callable[[Tensor], Tensor]  # (k, 2) pairs of image and window -> (k, K)
Queue = tuple[Tensor, Logits]  # (m,) int64 numbers of windows, and how theirs are computed


def scores(
    images: Images,
    target: Labels,
    unhidden: Tensor,
    windows: Windows,
    baseline: float,
    queues: Sequence[Queue],
    chunk: int,
) -> Tensor:
    """(B, n) the target's logit with each window at the baseline level.

    A queue runs across images, so that every pass but the last is full; windows that change nothing are not in it.

    Args:
        unhidden: (B,) the target's logit of the images as they are.
        queues: with every window in one of them.
        chunk: windows at once; halved where memory ends.

    Raises:
        torch.OutOfMemoryError: one window does not fit.
    """
    found = unhidden[:, None].repeat(1, len(windows))
    changing = windows.changing(images, baseline)
    with torch.inference_mode():
        for numbers, logits in queues:
            images_at, places = changing[:, numbers].nonzero().T  # waits for the device, once per batch
            pairs = torch.stack([images_at, numbers[places]], dim=1)
            start = 0
            while start < len(pairs):
                part = pairs[start : start + chunk]
                try:
                    said = logits(part).float()
                except torch.OutOfMemoryError:
                    if chunk == 1:
                        raise
                    chunk //= 2
                    continue
                rows, at = part.T
                found[rows, at] = said.gather(1, target[rows, None])[:, 0]
                start += chunk
    return found


def everything(windows: Windows, logits: Logits, device: torch.device) -> list[Queue]:
    """All windows in one queue."""
    return [(torch.arange(len(windows), device=device), logits)]


def dense(
    network: Callable[[Tensor], Tensor], images: Images, windows: Windows, baseline: float, full: int | None = None
) -> Logits:
    """Every window through the whole network.

    Args:
        full: images that every pass shall have, the last one too: a compiled network is made for one shape.
    """
    filling = _Written if images.device.type == "cpu" else _Selected
    with torch.inference_mode():
        fill = filling(images.contiguous(memory_format=torch.channels_last), windows, baseline)
    if full is None:
        return lambda part: network(fill(part))

    def run(part: Tensor) -> Tensor:
        lacking = max(0, full - len(part))
        return network(fill(torch.cat([part, part[-1:].expand(lacking, -1)])))[: len(part)]

    return run


class _Written:
    """On a CPU: one buffer that holds the images; windows are written before a pass and restored before the next."""

    def __init__(self, images: Images, windows: Windows, baseline: float) -> None:
        self._images, self._windows, self._baseline = images, windows, baseline
        self._buffer = images[:0]
        self._shown: list[tuple[int, int]] = []  # per slot the image that it holds and the window written on it

    def __call__(self, part: Tensor) -> Images:
        if len(part) > len(self._buffer):
            self._buffer, self._shown = torch.empty_like(self._images[:1].expand(len(part), -1, -1, -1)), []
        wanted = part.tolist()
        for slot, (image, window) in enumerate(wanted):
            if slot < len(self._shown) and self._shown[slot][0] == image:
                y0, y1, x0, x1 = self._windows.box(self._shown[slot][1])
                self._buffer[slot, :, y0:y1, x0:x1] = self._images[image, :, y0:y1, x0:x1]
            else:
                self._buffer[slot] = self._images[image]
            y0, y1, x0, x1 = self._windows.box(window)
            self._buffer[slot, :, y0:y1, x0:x1] = self._baseline
        self._shown = [*((i, w) for i, w in wanted), *self._shown[len(wanted) :]]
        return self._buffer[: len(wanted)]


class _Selected:
    """On a GPU: the images of a pass are gathered and filled under masks, without a launch per window."""

    def __init__(self, images: Images, windows: Windows, baseline: float) -> None:
        self._images, self._baseline = images, baseline
        self._down, self._across = windows.masks(images.device)

    def __call__(self, part: Tensor) -> Images:
        rows, numbers = part.T
        hidden = self._down[numbers, :, None] & self._across[numbers, None, :]
        return self._images.index_select(0, rows).masked_fill_(hidden[:, None], self._baseline)
