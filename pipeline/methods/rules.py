"""What each layer makes of a patch: the rules by which a change stays local."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from pipeline.methods.geometry import Rect
from pipeline.methods.patches import MINUS_INFINITY, ZEROS, Chunk, Patch

DENSE_FROM = 0.85  # share of a map from which a patch is no longer worth its gathering
IN_PLACE = {operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul}
SUMS = {operator.add, operator.sub, operator.mul, torch.add, torch.sub, torch.mul, *IN_PLACE}
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid,
    nn.Tanh, nn.Softplus, nn.Mish, nn.Identity, nn.Dropout,
)  # fmt: skip
PER_PIXEL = (*ACTIVATIONS, nn.PReLU, nn.Dropout2d, nn.BatchNorm2d)
FUNCTIONS = {
    F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.hardtanh, F.dropout, F.sigmoid,
    F.tanh, torch.relu, torch.sigmoid, torch.tanh,
}  # fmt: skip
METHODS = {"relu", "sigmoid", "tanh", "contiguous", "clone"}

Found = Patch | Tensor | tuple[Any, ...] | None  # None: no rule keeps it local


def local(chunk: Chunk, node: fx.Node, module: nn.Module | None, args: Any, kwargs: Any) -> Found:
    """A node's value as patch (a tensor where it is global, but cheap), or None.

    Args:
        module: what the node calls, if it calls one.
        args, kwargs: the node's, with patches among them.
    """
    if node.target is torch.cat:
        return _joined(chunk, node, *args, **kwargs)
    if any(p.rect.share > DENSE_FROM for p in leaves((args, kwargs)) if isinstance(p, Patch)):
        return None
    if module is not None:
        single = len(args) == 1 and not kwargs and isinstance(args[0], Patch)
        return _module(chunk, node, module, args[0]) if single else None
    if node.op == "call_method":
        return _method(chunk, node, args, kwargs) if isinstance(args[0], Patch) else None
    if node.target in SUMS:
        function = IN_PLACE.get(node.target, node.target)
        return _sum(chunk, node, function, *args) if len(args) == 2 and not kwargs else None
    return _function(chunk, node, args, kwargs) if isinstance(args[0], Patch) else None


def _module(chunk: Chunk, node: fx.Node, module: nn.Module, given: Patch) -> Found:
    kind = type(module)  # exactly: a subclass may do something else
    if given.channels_last:
        one = isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1
        return given.then(module(given.values), node) if one or kind in (nn.Linear, *ACTIVATIONS) else None
    if kind in PER_PIXEL:
        return given.then(module(given.values), node)
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d:
        return _convolution(chunk, node, module, given)
    if isinstance(module, nn.MaxPool2d) and not module.return_indices:
        return _max_pool(chunk, node, given, module.kernel_size, module.stride, module.padding, module.dilation)
    if isinstance(module, nn.AvgPool2d):
        return _average(chunk, node, module, given)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        size = _pair(module.output_size)
        if size == (1, 1):
            return _mean(chunk, given, keep=True)
        return given.then(given.values, node) if size == (given.rect.rows.side, given.rect.columns.side) else None
    return None


def _function(chunk: Chunk, node: fx.Node, args: Any, kwargs: Any) -> Found:
    given, target = args[0], node.target
    if target is torch.permute:
        return _permuted(node, given, args[1])
    if target is torch.chunk:
        return _chunked(given, *args[1:], **kwargs)
    if target is torch.transpose:
        return _swapped(node, given, args[1:])
    if given.channels_last:
        shape = args[1] if len(args) > 1 else kwargs.get("normalized_shape", ())
        if target is F.layer_norm and len(shape) == 1:
            return given.then(F.layer_norm(given.values, *args[1:], **kwargs), node)
    elif target in (F.max_pool2d, torch.max_pool2d) and not kwargs.get("return_indices", False):
        names = ("kernel_size", "stride", "padding", "dilation")
        named = dict(zip(names, args[1:], strict=False)) | {k: v for k, v in kwargs.items() if k in names}
        return _max_pool(chunk, node, given, **named)
    if target in FUNCTIONS or getattr(target, "__name__", "") == "stochastic_depth":
        return given.then(target(given.values, *args[1:], **kwargs), node)  # type: ignore[operator]
    return None


def _method(chunk: Chunk, node: fx.Node, args: Any, kwargs: Any) -> Found:
    (given, *rest), name = args, str(node.target)
    if name == "size":
        return given.values.size(*rest, **kwargs)  # what it reshapes is the patch
    if name in ("view", "reshape") and not kwargs:
        shape = rest[0] if isinstance(rest[0], tuple | list) else rest
        same = len(shape) > 3 and tuple(shape[-2:]) == tuple(given.values.shape[-2:]) and not given.channels_last
        return given.then(given.values.reshape(*shape), node) if same else None
    if name == "transpose":
        return _swapped(node, given, rest)
    if name == "permute":
        return _permuted(node, given, rest[0] if isinstance(rest[0], tuple | list) else rest)
    if name == "chunk":
        return _chunked(given, *rest, **kwargs)
    if name == "mean" and not given.channels_last:
        dims = kwargs.get("dim", rest[0] if rest else ())
        everywhere = not isinstance(dims, int) and sorted(d % 4 for d in dims) == [2, 3]
        keep = bool(kwargs.get("keepdim", rest[1] if len(rest) > 1 else False))
        return _mean(chunk, given, keep=keep) if everywhere else None
    return given.then(getattr(given.values, name)(*rest, **kwargs), node) if name in METHODS else None


def _permuted(node: fx.Node, given: Patch, dims: Any) -> Found:
    """Channels to the end, or back."""
    wanted = (0, 3, 1, 2) if given.channels_last else (0, 2, 3, 1)
    if tuple(dims) != wanted or given.values.dim() != 4:
        return None
    values = given.values.permute(*wanted)
    return Patch(values=values, rect=given.rect, source=node, channels_last=not given.channels_last)


def _swapped(node: fx.Node, given: Patch, dims: Any) -> Found:
    """The middle of a channel shuffle."""
    return given.then(given.values.transpose(1, 2), node) if set(dims) == {1, 2} and given.values.dim() == 5 else None


def _chunked(given: Patch, count: int, dim: int = 0) -> Found:
    """Each chunk finds its own stored map where it is taken out of the tuple."""
    if dim != 1 or given.channels_last:
        return None
    return tuple(given.then(values, given.source) for values in given.values.chunk(count, dim=1))


def _slid(
    chunk: Chunk, node: fx.Node, given: Patch, kernel: Any, stride: Any, padding: Any, dilation: Any, beyond: int
) -> tuple[Tensor, Rect]:
    """What the dirty outputs of a sliding kernel are computed from, and where they lie."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = map(_pair, (kernel, stride, padding, dilation))
    height, width = chunk.stored.map(node).shape[-2:]
    rows, columns = given.rect.rows, given.rect.columns
    rect = Rect(rows=rows.through(kh, sh, ph, dh, height), columns=columns.through(kw, sw, pw, dw, width))
    if (kh, kw, sh, sw, ph, pw) == (1, 1, 1, 1, 0, 0):
        return given.values, rect
    view = rect.rows.view(kh, sh, ph, dh), rect.columns.view(kw, sw, pw, dw)
    return chunk.region(given.source, given.rect, given, view, label=node.name, beyond=beyond), rect


def _convolution(chunk: Chunk, node: fx.Node, module: nn.Conv2d, given: Patch) -> Found:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None
    size, stride, dilation = module.kernel_size, module.stride, module.dilation
    region, rect = _slid(chunk, node, given, size, stride, module.padding, dilation, ZEROS)
    values = F.conv2d(region, module.weight, module.bias, stride, 0, dilation, module.groups)
    return Patch(values=values, rect=rect, source=node)


def _max_pool(
    chunk: Chunk, node: fx.Node, given: Patch, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Patch:
    """`ceil_mode` shows in the size of the stored map; what it reads beyond the edge is -inf."""
    step = stride or kernel_size
    region, rect = _slid(chunk, node, given, kernel_size, step, padding, dilation, MINUS_INFINITY)
    return Patch(values=F.max_pool2d(region, kernel_size, step, 0, dilation), rect=rect, source=node)


def _average(chunk: Chunk, node: fx.Node, module: nn.AvgPool2d, given: Patch) -> Found:
    """Where the edge changes what is divided by, nothing is local."""
    padded = _pair(module.padding) != (0, 0)
    if module.ceil_mode or module.divisor_override is not None or (padded and not module.count_include_pad):
        return None
    region, rect = _slid(chunk, node, given, module.kernel_size, module.stride, module.padding, 1, ZEROS)
    return Patch(values=F.avg_pool2d(region, module.kernel_size, module.stride, 0), rect=rect, source=node)


def _mean(chunk: Chunk, given: Patch, *, keep: bool) -> Tensor:
    """(k, C[, 1, 1]) the map's mean: the stored one, corrected by what the patch changed."""
    before = chunk.region(given.source, given.rect, None, label="before")
    size = given.rect.rows.side * given.rect.columns.side
    stored = chunk.stored.map(given.source).mean(dim=(2, 3)).index_select(0, chunk.images)
    found = stored + (given.values - before).sum(dim=(2, 3)) / size
    return found[:, :, None, None] if keep else found


def _sum(chunk: Chunk, node: fx.Node, function: Callable[[Any, Any], Any], a: Any, b: Any) -> Found:
    if isinstance(a, Patch) and isinstance(b, Patch):
        same = (a.rect.rows.side, a.rect.columns.side) == (b.rect.rows.side, b.rect.columns.side)
        if a.channels_last or b.channels_last or not same:
            return None
        rect = a.rect.union(b.rect)
        if rect.share > DENSE_FROM:
            return None
        values = [chunk.widened(p, rect, f"{node.name}:{i}") for i, p in enumerate((a, b))]
        return Patch(values=function(*values), rect=rect, source=node)
    patch, other = (a, b) if isinstance(a, Patch) else (b, a)
    if isinstance(other, Tensor):
        given = node.args[1] if patch is a else node.args[0]
        constant = isinstance(given, fx.Node) and given.op == "get_attr"  # else it may depend on what is hidden
        per_channel = other.dim() in (3, 4) and other.shape[-2:] == (1, 1) and (other.dim() == 3 or len(other) == 1)
        if not constant or (other.dim() > 0 and not per_channel) or patch.channels_last:
            return None
    return patch.then(function(patch.values, other) if patch is a else function(other, patch.values), node)


def _joined(chunk: Chunk, node: fx.Node, tensors: Any, dim: int = 0) -> Found:
    """Whole maps where a part is whole or all together reach too far: still laid over the stored map in one go."""
    if dim not in (1, -3) or any(isinstance(p, Patch) and (p.channels_last or p.values.dim() != 4) for p in tensors):
        return None
    if chunk.stored.map(node).dim() != 4:
        return None
    rects = [p.rect for p in tensors if isinstance(p, Patch)]
    rect = reduce(Rect.union, rects)
    if rect.share > DENSE_FROM or len(rects) < len(tensors):
        return chunk.joined(node, rect.whole, tensors)
    return Patch(values=chunk.joined(node, rect, tensors), rect=rect, source=node)


def leaves(value: Any) -> list[Any]:
    """All that lies in nested sequences and mappings."""
    if isinstance(value, tuple | list):
        return [leaf for v in value for leaf in leaves(v)]
    if isinstance(value, dict):
        return [leaf for v in value.values() for leaf in leaves(v)]
    return [value]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
