"""Timing of work on a device, and how many images a network should take at once: more is not always faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch

GAIN = 0.03  # less than this per doubling is not worth the memory
PATIENCE = 2.0  # seconds that one trial may take before larger ones are not tried
REPEATS = 3


def fastest_chunk(run: Callable[[int], None], device: torch.device, *, most: int = 1024) -> int:
    """The number of images at once that takes least time per image, a power of two.

    On a CPU the caches decide and 4 to 32 is usual; on a GPU the number that fills it. Doubling ends where two steps
    in a row gain less than `GAIN`, where memory ends, or where a trial takes too long.

    Args:
        run: does the work for that many images.
    """
    best, best_time, idle = 1, float("inf"), 0
    size = 4 if device.type == "cpu" else 16
    while size <= (64 if device.type == "cpu" else most) and idle < 2:
        try:
            seconds = least_seconds(partial(run, size), device)
        except torch.OutOfMemoryError:
            break
        if seconds / size < best_time * (1 - GAIN):
            best, best_time, idle = size, seconds / size, 0
        else:
            idle += 1
        if seconds > PATIENCE:
            break
        size *= 2
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return best


def least_seconds(run: Callable[[], object], device: torch.device, repeats: int = REPEATS) -> float:
    """The least of a few trials, after one that does not count: what disturbs only ever adds."""
    run()
    taken = []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        run()
        synchronise(device)
        taken.append(time.perf_counter() - start)
        if sum(taken) > PATIENCE:
            break
    return min(taken)


def synchronise(device: torch.device) -> None:
    """Waits until the device has done what it was given, so that a clock can be read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
