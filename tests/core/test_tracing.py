from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.tracing import calling, traced

ENOUGH = 20  # seconds, after which a test has failed


class Waiting(nn.Module):
    """Is being traced until somebody else has tried to call a module."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ReLU()
        self.begun, self.tried = threading.Event(), threading.Event()

    def forward(self, images: Tensor) -> Tensor:
        self.begun.set()
        assert self.tried.wait(ENOUGH)
        threading.Event().wait(0.05)
        return self.layer(images)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_thread_that_calls_modules_waits_for_the_tracer(threads: int) -> None:
    """Without it, its call is taken for a part of the network: `module is not installed as a submodule`."""
    network, other = Waiting(), nn.Hardtanh(0, 1)

    def call() -> Tensor:
        assert network.begun.wait(ENOUGH)
        network.tried.set()
        with calling():
            return other(torch.tensor([2.0]))

    with ThreadPoolExecutor(threads) as pool:
        found = [pool.submit(call) for _ in range(threads)]
        graph = traced(network)
        assert [f.result(ENOUGH).item() for f in found] == [1.0] * threads
    assert [node.target for node in graph.nodes if node.op == "call_module"] == ["layer"]


def test_the_tracer_waits_for_calls_that_go_on() -> None:
    inside, leave, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        with calling():
            inside.set()
            assert leave.wait(ENOUGH)

    def trace() -> None:
        traced(nn.Sequential(nn.ReLU()))
        done.set()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call)
        assert inside.wait(ENOUGH)
        second = pool.submit(trace)
        assert not done.wait(0.1)
        leave.set()
        first.result(ENOUGH)
        second.result(ENOUGH)
    assert done.is_set()


def test_a_failure_lets_the_others_go_on() -> None:
    class Undecided(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images if images.sum() > 0 else -images

    with pytest.raises(Exception, match="control flow"):
        traced(Undecided())
    with pytest.raises(KeyError), calling():
        raise KeyError
    with calling():
        pass
    assert len(traced(nn.Sequential(nn.ReLU())).nodes) == 3
