"""Incremental occlusion: behind a hidden window, only what it can reach is computed again."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from pipeline.core.tracing import traced
from pipeline.methods.geometry import Axis, Cut, Rect
from pipeline.methods.out_of_place import pure
from pipeline.methods.patches import Chunk, Patch, Stored, UnsuitedError
from pipeline.methods.rules import IN_PLACE, leaves, local
from pipeline.methods.windows import Windows
from pipeline.types import Classifier, Images

LANES = 4  # parts per side: more would save little and fill chunks badly


@dataclass(kw_only=True)
class Work:
    """What one window of a lane takes."""

    done: int = 0  # multiplications of convolutions and linear layers
    dense: int = 0  # the same if everything were computed in full
    densified: list[str] = field(default_factory=list)  # where patches became whole maps


@dataclass(frozen=True, kw_only=True, eq=False)
class Lane:
    """Windows that go through the network with rectangles of one size, since they lie as near to the frame's edges."""

    numbers: Tensor  # (m,) int64
    places: Tensor  # (n,) int64: where each window of the grid stands among them
    rect: Rect
    hidden: Tensor  # (m, h, w) bool: which pixels of its rectangle a window hides
    cuts: dict[tuple[fx.Node, str], Cut] = field(default_factory=dict)
    work: Work = field(default_factory=Work)

    @staticmethod
    def of(windows: Windows, numbers: Tensor, whole: Windows, device: torch.device) -> Lane:
        """The lane of a part of the `whole` grid, and its windows' numbers there."""
        rect = Rect(
            rows=Axis.around([(a, b - 1) for a, b in windows.rows], windows.frame[0]),
            columns=Axis.around([(a, b - 1) for a, b in windows.columns], windows.frame[1]),
        )
        places = torch.zeros(len(whole), dtype=torch.long)
        places[numbers] = torch.arange(len(numbers))
        hidden = _hidden(windows, rect).to(device)
        return Lane(numbers=numbers.to(device), places=places.to(device), rect=rect, hidden=hidden)


class Incremental:
    """A network prepared for the windows of one frame.

    Every value of the traced graph carries a dirty rectangle per window. What the rules know keeps it (see rules.py);
    whatever is unknown or global, or reaches over `DENSE_FROM` of its map, is laid over a copy of the stored map and
    computed in full from there on. So the result is the dense one by construction. A rectangle ends at the edge of its
    map, so windows near an edge take less than others: the grid is parted into lanes, each with rectangles of its own.

    Raises:
        UnsuitedError: torch.fx cannot follow the network, or it changes tensors in place in ways that are not known.
    """

    def __init__(self, classifier: Classifier, windows: Windows, baseline: float) -> None:
        fast = classifier.fast
        if not (isinstance(fast.network, nn.Module) and hasattr(fast, "mean") and hasattr(fast, "std")):
            raise UnsuitedError("what stands before the network is not a normalisation")
        self._mean, self._std = torch.as_tensor(fast.mean), torch.as_tensor(fast.std)
        self._network = pure(fast.network)
        self._graph = _traced(self._network)
        self._modules = dict(self._network.named_modules())
        self._fill = (torch.full_like(self._mean, baseline) - self._mean) / self._std
        self.lanes = [Lane.of(*part, windows, classifier.device) for part in windows.lanes(LANES)]
        self._trying = False
        self._try(torch.full((1, 3, *windows.frame), 0.5, device=classifier.device, dtype=self._mean.dtype))

    @property
    def saved(self) -> float:
        """How many times fewer multiplications than in full."""
        done = sum(len(lane.numbers) * lane.work.done for lane in self.lanes)
        return sum(len(lane.numbers) * lane.work.dense for lane in self.lanes) / max(done, 1)

    def _try(self, example: Images) -> None:
        first = torch.zeros(1, dtype=torch.long, device=example.device)
        self._trying = True
        with torch.inference_mode():
            stored = self.store(example)
            found = [self.logits(stored, lane, first, lane.numbers[:1]) for lane in self.lanes]
        self._trying = False
        if not all(isinstance(logits, Tensor) and logits.dim() == 2 for logits in found):
            raise UnsuitedError("the network does not return a tensor of logits")

    def store(self, images: Images) -> Stored:
        """The pass without hidden windows, every value kept: about a network's activations for every image."""
        kept = Stored()
        _Keeping(self._network, self._graph, kept.maps).run((images - self._mean) / self._std)
        return kept

    def logits(self, stored: Stored, lane: Lane, images: Tensor, windows: Tensor) -> Tensor:
        """(k, K) for pairs of image (row of the stored batch) and window.

        Args:
            images, windows: (k,) int64; the windows are numbers of the lane's.
        """
        chunk = Chunk(stored=stored, images=images, windows=lane.places[windows], cuts=lane.cuts)
        env: dict[fx.Node, Any] = {}
        uses = {node: len(node.users) for node in self._graph.nodes}
        for node in self._graph.nodes:
            if node.op == "output":
                found: Any = fx.node.map_arg(node.args[0], lambda n: env[n])
                return chunk.full(found)
            env[node] = self._value(chunk, lane, node, env)
            for given in node.all_input_nodes:
                uses[given] -= 1
                if not uses[given]:
                    env.pop(given, None)
        raise UnsuitedError("the network returns nothing")

    def _value(self, chunk: Chunk, lane: Lane, node: fx.Node, env: dict[fx.Node, Any]) -> Any:
        """One node's value: a patch where a rule keeps it local, else what the whole maps give."""
        if node.op == "placeholder":
            region = chunk.region(node, lane.rect, None, label="input")
            values = torch.where(lane.hidden[chunk.windows][:, None], self._fill, region)
            return Patch(values=values, rect=lane.rect, source=node)
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self._network)
        given: Any = fx.node.map_arg((node.args, node.kwargs), lambda n: env[n])
        args, kwargs = given
        patches = [p for p in leaves(given) if isinstance(p, Patch)]
        if not patches:
            return self._computed(chunk, lane, node, args, kwargs)
        if node.target is operator.getitem and isinstance(args[0], tuple):
            return args[0][args[1]].then(args[0][args[1]].values, node)  # one of several chunks
        module = self._modules[str(node.target)] if node.op == "call_module" else None
        found = local(chunk, node, module, args, kwargs)
        if found is not None:
            self._note(chunk, lane, node, found.rect.share if isinstance(found, Patch) else 1.0)
            return found
        if self._trying:
            lane.work.densified.append(f"{node.name} ({max(p.rect.share for p in patches):.0%} of the map)")
        return self._computed(chunk, lane, node, _mapped(args, chunk.full), _mapped(kwargs, chunk.full))

    def _computed(self, chunk: Chunk, lane: Lane, node: fx.Node, args: Any, kwargs: Any) -> Any:
        self._note(chunk, lane, node, 1.0)
        if node.op == "call_module":
            return self._modules[str(node.target)](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def _note(self, chunk: Chunk, lane: Lane, node: fx.Node, share: float) -> None:
        """Counts a convolution's or linear layer's multiplications, while the network is tried."""
        module = self._modules.get(str(node.target)) if self._trying and node.op == "call_module" else None
        if isinstance(module, nn.Conv2d | nn.Linear):
            values = chunk.stored.map(node)
            work = values.numel() // len(values) * (module.weight.numel() // len(module.weight))
            lane.work.dense += work
            lane.work.done += round(work * share)


class _Keeping(fx.Interpreter):
    """Runs the graph and keeps every value, with in-place sums done out of place."""

    def __init__(self, network: nn.Module, graph: fx.Graph, kept: dict[fx.Node, Any]) -> None:
        super().__init__(network, garbage_collect_values=False, graph=graph)
        self._kept = kept

    def run_node(self, n: fx.Node) -> Any:
        self._kept[n] = super().run_node(n)
        return self._kept[n]

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return super().call_function(IN_PLACE.get(target, target), args, kwargs)


def _traced(network: nn.Module) -> fx.Graph:
    try:
        graph = traced(network)
    except Exception as error:  # whatever fx raises: control flow on data, custom autograd
        raise UnsuitedError(f"torch.fx cannot follow it ({type(error).__name__})") from error
    placeholders = [node for node in graph.nodes if node.op == "placeholder" and not node.args]
    if len(placeholders) != 1:
        raise UnsuitedError(f"it takes {len(placeholders)} inputs")
    for node in graph.nodes:
        if node.op == "call_method" and str(node.target).endswith("_"):
            raise UnsuitedError(f"it changes a tensor in place ({node.target})")
        if node.kwargs.get("inplace") is True:
            node.kwargs = {**node.kwargs, "inplace": False}
    return graph


def _hidden(windows: Windows, rect: Rect) -> Tensor:
    """(n, h, w) bool: which pixels of its input patch a window hides; one that the edge cuts off hides fewer."""
    axes = []
    for axis, spans in ((rect.rows, windows.rows), (rect.columns, windows.columns)):
        at = torch.tensor(axis.starts)[:, None] + torch.arange(axis.length)
        first, last = (torch.tensor(ends)[:, None] for ends in zip(*spans, strict=True))
        axes.append((at >= first) & (at < last))
    both = axes[0][:, None, :, None] & axes[1][None, :, None, :]
    return both.reshape(len(windows), rect.rows.length, rect.columns.length)


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_mapped(v, change) for v in value)
    if isinstance(value, dict):
        return {k: _mapped(v, change) for k, v in value.items()}
    return change(value)
