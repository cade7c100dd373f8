"""torch.fx traces by changing how every module of the process is called; nothing else may call one meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import fx, nn

_turn = threading.Condition()
_calls = 0  # of other threads, going on
_tracing = False


@contextmanager
def calling() -> Iterator[None]:
    """Around calls of modules in a thread of one's own, such as the transforms of those that decode ahead.

    They wait while a network is traced: the tracer would take the call for a part of the network.
    """
    global _calls
    with _turn:
        _turn.wait_for(lambda: not _tracing)
        _calls += 1
    try:
        yield
    finally:
        with _turn:
            _calls -= 1
            _turn.notify_all()


def traced(network: nn.Module) -> fx.Graph:
    """The network's graph, traced while no other thread is `calling`. Raises whatever torch.fx raises."""
    global _tracing
    with _turn:
        _turn.wait_for(lambda: not _tracing)
        _tracing = True  # from here on nobody begins
        _turn.wait_for(lambda: not _calls)
    try:
        return fx.Tracer().trace(network)
    finally:
        with _turn:
            _tracing = False
            _turn.notify_all()
