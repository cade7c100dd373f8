"""Freed memory is kept: a network's later passes cost next to no new pages."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from pipeline.core.allocator import keep_freed_memory
kept = {keep} and keep_freed_memory()
torch.set_num_threads(1)
layers = [torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.ReLU()]
network, images = torch.nn.Sequential(*layers), torch.rand(32, 3, 96, 96)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
with torch.inference_mode():
    for _ in range(20):
        network(images)
    before = faults()
    for _ in range(20):
        network(images)
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
    assert pages[True] * 5 < pages[False], pages


GIVING = """
import numpy as np
from pipeline.core.allocator import give_back_freed_memory, keep_freed_memory
kept = keep_freed_memory()
megabytes = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
blocks = [np.ones(2**18) for _ in range(100)]
last = np.ones(2**18)  # what is freed lies below it
del blocks
before = megabytes()
given = give_back_freed_memory()
print(int(kept and given), before - megabytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_what_was_kept_can_be_given_back() -> None:
    ran = subprocess.run([sys.executable, "-c", GIVING], capture_output=True, text=True, check=True)
    given, megabytes = ran.stdout.split()
    if not int(given):
        pytest.skip("another allocator")
    assert float(megabytes) > 150
