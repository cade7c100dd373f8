"""Gradients averaged over many changed copies of an image: the runner of path and noise methods."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.types import Classifier, Images, Labels

Step = Callable[[Images, Tensor], Images]  # images (B, 3, H, W), step numbers (m,) -> (m, B, 3, H, W) changed copies


def mean_gradients(
    classifier: Classifier,
    images: Images,
    target: Labels,
    step: Step,
    weights: Tensor,
    *,
    chunk: int | None = None,
    squares: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Weighted sum over the steps of the target logit's gradient; with `squares`, that of its square, too.

    Steps of many images share a pass, and a sum is all that is kept: memory does not grow with the steps. Sums run in
    a fixed order, so that an image's result does not depend on the device's scheduling.

    Args:
        weights: (S,) one per step.
        chunk: copies that the network sees at once; None takes the fastest.

    Returns:
        (B, 3, H, W) and the same or None.

    Raises:
        torch.OutOfMemoryError: one copy of one image does not fit.
    """
    size = chunk or classifier.backward_chunk
    sums = torch.zeros_like(images)
    of_squares = torch.zeros_like(images) if squares else None
    start = 0
    while start < len(images):  # a group of images with all their steps
        part = slice(start, start + size)
        group, wanted = images[part], target[part]
        at_once = max(1, size // len(group))
        try:
            for steps in torch.arange(len(weights), device=images.device).split(at_once):
                gradient = _gradient(classifier, step(group, steps), wanted)
                weight = weights[steps].view(-1, 1, 1, 1, 1)
                sums[part] += (weight * gradient).sum(dim=0)
                if of_squares is not None:
                    of_squares[part] += (weight * gradient.square()).sum(dim=0)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            sums[part] = 0  # the group begins again
            if of_squares is not None:
                of_squares[part] = 0
            size //= 2
            continue
        start += size
    return sums, of_squares


def _gradient(classifier: Classifier, copies: Tensor, target: Labels) -> Tensor:
    """(m, B, 3, H, W) the gradient at every copy."""
    with torch.enable_grad():
        shown = copies.flatten(0, 1).contiguous(memory_format=torch.channels_last).requires_grad_()
        logits = classifier.fast(shown)
        score = logits.gather(1, target.repeat(len(copies))[:, None]).sum()
        return torch.autograd.grad(score, shown)[0].view_as(copies)
