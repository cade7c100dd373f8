"""Memory that a CPU network frees is kept for its next layer."""

from __future__ import annotations

import ctypes
import sys

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


def give_back_freed_memory() -> bool:
    """Gives back what malloc keeps, for a moment at which other work begins; whether any was given back.

    Kept memory is in pieces between what is still used, and every kind of work finds its own: without this the process
    grows with the length of its walks, although what is used hardly does.
    """
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
