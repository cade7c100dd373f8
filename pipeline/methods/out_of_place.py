"""A copy of a network whose layers leave their input alone."""

from __future__ import annotations

import copy

from torch import nn


def pure(network: nn.Module) -> nn.Module:
    """The copy: for stored maps that must stay what they were, and for hooks that in-place activations break."""
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if getattr(module, "inplace", False):
            vars(module)["inplace"] = False
    return plain
