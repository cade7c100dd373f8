"""Methods that read the gradient of the target's logit: Saliency, InputXGradient, IntegratedGradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import captum.attr
import torch
from torch import Tensor

from pipeline.methods.channels import Reduce, check_recorded, reduced
from pipeline.types import Classifier, Images, Labels, Maps, Sign


@dataclass(frozen=True, kw_only=True)
class Saliency:
    """The gradient itself: how fast the score rises with each pixel (Simonyan, Vedaldi, Zisserman 2014)."""

    reduce: Reduce
    sign: Sign
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        with torch.enable_grad():
            method = captum.attr.Saliency(classifier.module)
            return reduced(method.attribute(leaf(images), target=target, abs=False), self.reduce).detach()


@dataclass(frozen=True, kw_only=True)
class InputXGradient:
    """Pixel times gradient: what each pixel adds to the score, to first order (Shrikumar et al. 2016).

    Pixels are RGB in [0, 1], so a pixel counts from black, and a black mark gets nothing.
    """

    reduce: Reduce
    sign: Sign
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        with torch.enable_grad():
            method = captum.attr.InputXGradient(classifier.module)
            return reduced(method.attribute(leaf(images), target=target), self.reduce).detach()


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients:
    """The gradient, averaged on the way from a baseline to the image, times the way (Sundararajan et al. 2017).

    Complete: a map's sum is the score's difference between image and baseline, up to the error of `steps`.
    """

    reduce: Reduce
    sign: Sign
    steps: int
    baseline: float  # the level of all three channels, in [0, 1]; what equals it gets nothing
    evals_per_pass: int  # images x steps that the network sees at once
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)
        check_baseline(self.baseline)
        if self.steps < 2 or self.evals_per_pass < 1:
            raise ValueError(
                f"`steps` must be 2 or more and `evals_per_pass` 1 or more, got {self.steps} and {self.evals_per_pass}"
            )

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        return reduced(self._attribution(classifier, images, target), self.reduce)

    def residual(self, classifier: Classifier, images: Images, target: Labels) -> Tensor:
        """(B,) how far each map's sum is from the score's difference, as a share of that difference."""
        attribution = self._attribution(classifier, images, target).sum(dim=(1, 2, 3))
        at = target[:, None]
        there = classifier(images).gather(1, at)[:, 0]
        here = classifier(torch.full_like(images, self.baseline)).gather(1, at)[:, 0]
        return (attribution - (there - here)).abs() / (there - here).abs().clamp(min=1e-6)

    def _attribution(self, classifier: Classifier, images: Images, target: Labels) -> Tensor:
        method = captum.attr.IntegratedGradients(classifier.module)
        done = []
        for part, wanted in zip(images.split(self.evals_per_pass), target.split(self.evals_per_pass), strict=True):
            with torch.enable_grad():
                attribution = method.attribute(
                    leaf(part),
                    baselines=self.baseline,
                    target=wanted,
                    n_steps=self.steps,
                    internal_batch_size=self.evals_per_pass,
                )
            done.append(attribution.detach())
        return torch.cat(done)


def leaf(images: Images) -> Tensor:
    """A copy that gradients may be asked of, so that the caller's images stay as they are."""
    return images.detach().clone().requires_grad_()


def check_baseline(baseline: float) -> None:
    """Raises ValueError for a level that no pixel can have."""
    if not 0 <= baseline <= 1:
        raise ValueError(f"`baseline` is a pixel's level in [0, 1], got {baseline}")
