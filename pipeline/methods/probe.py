"""A method is tried on a few images before the run, and refused where it would lie about this model."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pipeline.types import Classifier, Images, Labels, Maps, Method

REPEATABLE = 1e-4  # relative difference between two calls
INDEPENDENT = 1e-2  # the same between a batch and its images one by one: kernels differ with the batch
COMPLETE = 0.2  # median share of the score's difference that a complete method may fail to explain


@runtime_checkable
class Complete(Protocol):
    """A method whose maps promise to sum to a known difference."""

    def residual(self, classifier: Classifier, images: Images, target: Labels) -> Tensor: ...


@runtime_checkable
class Watching(Protocol):
    """A method that reads one layer of the network."""

    def watched(self, classifier: Classifier) -> nn.Module: ...


@runtime_checkable
class Remarking(Protocol):
    """A method with something to say on how its maps of a classifier came about; "" for nothing."""

    def remark(self, classifier: Classifier) -> str: ...


def probe(method: Method, classifier: Classifier, images: Images, target: Labels) -> str:
    """ "" if the method can be trusted on this model, else the reason why it is refused, in a sentence.

    Args:
        images: (B, 3, H, W) a few images; B of 2 or more lets the batch be compared with its parts.
        target: (B,) the logits' columns to explain.
    """
    try:
        maps = method(classifier, images, target)
        return (
            _looks(maps, images)
            or _layer(method, classifier, images)
            or _numbers(method, classifier, images, target, maps)
        )
    except (
        Exception
    ) as error:  # captum, the network, or a user's own method: whatever it is, the run goes on without it
        return f"it fails on this model: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def _looks(maps: Maps, images: Images) -> str:
    wanted = (len(images), *images.shape[-2:])
    if tuple(maps.shape) != wanted:
        return f"its maps have shape {tuple(maps.shape)}, expected {wanted}"
    if not maps.isfinite().all():
        return "its maps hold values that are not finite"
    if not (maps != 0).any():
        return "its maps are zero everywhere: the score does not depend on the pixels in a way that it can see"
    return ""


def _layer(method: Method, classifier: Classifier, images: Images) -> str:
    if not isinstance(method, Watching):
        return ""
    calls: list[int] = []
    handle = method.watched(classifier).register_forward_hook(lambda *_: calls.append(1))
    try:
        with torch.no_grad():
            classifier.fast(images)
    finally:
        handle.remove()
    if len(calls) != 1:
        return f"its layer is used {len(calls)} times in one forward pass, expected once"
    return ""


def _numbers(method: Method, classifier: Classifier, images: Images, target: Labels, maps: Maps) -> str:
    if _difference(method(classifier, images, target), maps) > REPEATABLE:
        return "two calls on the same images give different maps"
    alone = torch.cat([method(classifier, images[i : i + 1], target[i : i + 1]) for i in range(len(images))])
    if _difference(alone, maps) > INDEPENDENT:
        return "an image's map depends on the other images of its batch"
    if isinstance(method, Complete):
        residual = method.residual(classifier, images, target).median().item()
        if not residual <= COMPLETE:
            return f"its maps miss {residual:.0%} of the score's difference from the baseline: give it more steps"
    return ""


def _difference(a: Maps, b: Maps) -> float:
    """Largest difference, relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))
