"""Freed memory is kept: the second large tensor costs no new pages."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from pipeline.core.allocator import keep_freed_memory
kept = {keep} and keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(64 << 20, dtype=torch.uint8)
before = faults()
torch.ones(64 << 20, dtype=torch.uint8)
print(int(kept), faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_pages_are_kept() -> None:
    pages = {}
    for keep in (True, False):
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True, check=True
        )
        kept, faults = map(int, ran.stdout.split())
        if keep and not kept:
            pytest.skip("another allocator")
        pages[keep] = faults
    assert pages[True] * 10 < pages[False]
