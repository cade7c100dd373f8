"""Memory that a CPU network frees: kept for its next layer, and given back now and then."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc, malloc.h


def keep_freed_memory() -> bool:
    """Has glibc's malloc keep what is freed, instead of giving large blocks back at once; whether it could.

    By default every activation above 32 MiB (less at first) is mapped anew and its pages are zeroed by the kernel,
    layer after layer, pass after pass: on small convolutional networks at batch 64 a quarter of the time. Peak memory
    does not change by much, but the process keeps it to its end. Other allocators are left alone.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl and others
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1) and mallopt(M_TOP_PAD, 64 << 20))


def give_back_freed_memory() -> None:
    """Has glibc's malloc give the pages of freed blocks back to the system, in the middle of its heap too.

    Small tables that stay lie between large activations that go, and the gaps add up: 40 MB for every 1,000 images of
    64 x 64 pixels. A call takes some milliseconds, and the next layers have their pages zeroed once more; other
    allocators are left alone.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
