"""One forward and one backward pass over a batch, from which several methods read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pipeline.types import Classifier, Images, Labels, Maps

Targets = Callable[[Tensor, slice], Labels]  # logits (b, K) of these images of the batch -> (b,) columns to explain


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What one forward and one backward pass leave; the gradients are those of the target's logit."""

    images: Images
    logits: Tensor  # (B, K) float32
    target: Labels
    gradient: Tensor  # (B, 3, H, W)
    features: Mapping[nn.Module, tuple[Tensor, Tensor]]  # layer -> its output and that output's gradient


@runtime_checkable
class Reader(Protocol):
    """A method that needs no pass of its own."""

    def layers(self, classifier: Classifier) -> tuple[nn.Module, ...]:
        """The layers that it wants in `Pass.features`."""
        ...

    def read(self, seen: Pass, classifier: Classifier) -> Maps: ...


def alone(method: Reader, classifier: Classifier, images: Images, target: Labels) -> Maps:
    """A reader's maps from a pass that it has for itself."""
    seen = one_pass(classifier, images, lambda _, part: target[part], method.layers(classifier))
    return method.read(seen, classifier)


def one_pass(classifier: Classifier, images: Images, target: Targets, layers: Sequence[nn.Module]) -> Pass:
    """Forward, choice of the target, backward; in pieces of the size that is fastest, or that memory allows.

    Raises:
        torch.OutOfMemoryError: one image does not fit.
    """
    chunk = classifier.backward_chunk
    done: list[Pass] = []
    start = 0
    while start < len(images):
        try:
            part = slice(start, start + chunk)
            done.append(_piece(classifier, images[part], lambda logits, p=part: target(logits, p), layers))  # type: ignore[misc]
        except torch.OutOfMemoryError:
            if chunk == 1:
                raise
            chunk //= 2
            continue
        start += chunk
    return _joined(done, images)


def _piece(
    classifier: Classifier, images: Images, target: Callable[[Tensor], Labels], layers: Sequence[nn.Module]
) -> Pass:
    features: dict[nn.Module, Tensor] = {}

    def keep(layer: nn.Module, _: object, output: object) -> object:
        if not isinstance(output, Tensor):
            raise ValueError(f"the layer {type(layer).__name__} gives a {type(output).__name__}, not a tensor")
        features[layer] = output
        return output.clone()  # what follows may change it in place

    handles = [layer.register_forward_hook(keep) for layer in dict.fromkeys(layers)]
    try:
        with torch.enable_grad():
            shown = images.detach().contiguous(memory_format=torch.channels_last).clone().requires_grad_()
            logits = classifier.fast(shown).float()
            wanted = target(logits.detach()).clone()  # may come from inference mode, whose tensors autograd refuses
            score = logits.gather(1, wanted[:, None]).sum()
            gradients = torch.autograd.grad(score, [shown, *features.values()])
    finally:
        for handle in handles:
            handle.remove()
    kept = {f: (a.detach(), g) for (f, a), g in zip(features.items(), gradients[1:], strict=True)}
    return Pass(images=images, logits=logits.detach(), target=wanted, gradient=gradients[0], features=kept)


def _joined(pieces: list[Pass], images: Images) -> Pass:
    if len(pieces) == 1:
        return pieces[0]
    layers = pieces[0].features
    both = {f: tuple(torch.cat([p.features[f][i] for p in pieces]) for i in (0, 1)) for f in layers}
    return Pass(
        images=images,
        logits=torch.cat([p.logits for p in pieces]),
        target=torch.cat([p.target for p in pieces]),
        gradient=torch.cat([p.gradient for p in pieces]),
        features=both,  # type: ignore[arg-type]
    )
