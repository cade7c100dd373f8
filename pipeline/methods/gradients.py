"""Methods that read the gradient of the target's logit: Saliency, InputXGradient, IntegratedGradients, SmoothGrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.methods.channels import Reduce, check_recorded, reduced
from pipeline.methods.one_pass import Pass, alone
from pipeline.methods.paths import mean_gradients
from pipeline.types import Classifier, Images, Labels, Maps, Sign


@dataclass(frozen=True, kw_only=True)
class Saliency:
    """The gradient itself: how fast the score rises with each pixel (Simonyan, Vedaldi, Zisserman 2014)."""

    reduce: Reduce
    sign: Sign
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)

    def layers(self, classifier: Classifier) -> tuple[nn.Module, ...]:
        return ()

    def read(self, seen: Pass, classifier: Classifier) -> Maps:
        return reduced(seen.gradient, self.reduce)

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        return alone(self, classifier, images, target)


@dataclass(frozen=True, kw_only=True)
class InputXGradient:
    """Pixel times gradient: what each pixel adds to the score, to first order (Shrikumar et al. 2016).

    Pixels are RGB in [0, 1], so a pixel counts from black, and a black mark gets nothing.
    """

    reduce: Reduce
    sign: Sign
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)

    def layers(self, classifier: Classifier) -> tuple[nn.Module, ...]:
        return ()

    def read(self, seen: Pass, classifier: Classifier) -> Maps:
        return reduced(seen.images * seen.gradient, self.reduce)

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        return alone(self, classifier, images, target)


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients:
    """The gradient, averaged on the way from a baseline to the image, times the way (Sundararajan et al. 2017).

    Complete: a map's sum is the score's difference between image and baseline, up to the error of `steps`, which are
    the nodes of Gauss and Legendre.
    """

    reduce: Reduce
    sign: Sign
    steps: int
    baseline: float  # the level of all three channels, in [0, 1]; what equals it gets nothing
    evals_per_pass: int | None  # images x steps that the network sees at once; None takes the fastest
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)
        check_baseline(self.baseline)
        check_evals(self.evals_per_pass)
        if self.steps < 2:
            raise ValueError(f"`steps` must be 2 or more, got {self.steps}")

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        return reduced(self._attribution(classifier, images, target), self.reduce)

    def residual(self, classifier: Classifier, images: Images, target: Labels) -> Tensor:
        """(B,) how far each map's sum is from the score's difference, as a share of that difference."""
        return unexplained(self._attribution(classifier, images, target), classifier, images, target, self.baseline)

    def _attribution(self, classifier: Classifier, images: Images, target: Labels) -> Tensor:
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        alphas, shares = (torch.from_numpy(v).to(images) for v in ((1 + nodes) / 2, weights / 2))

        def between(part: Images, steps: Tensor) -> Images:
            return torch.lerp(torch.full_like(part, self.baseline), part, alphas[steps].view(-1, 1, 1, 1, 1))

        gradient, _ = mean_gradients(classifier, images, target, between, shares, chunk=self.evals_per_pass)
        return (images - self.baseline) * gradient


@dataclass(frozen=True, kw_only=True)
class SmoothGrad:
    """The gradient over noisy copies of the image: its mean (Smilkov et al. 2017), mean square, or variance (VarGrad).

    Every image gets the same noise, drawn from `seed`: its map depends neither on its batch nor on its place in it.
    """

    reduce: Reduce
    sign: Sign
    kind: Literal["mean", "square", "variance"]
    samples: int
    spread: float  # the noise's standard deviation; pixels are in [0, 1]
    seed: int
    evals_per_pass: int | None  # images x samples that the network sees at once; None takes the fastest
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)
        check_evals(self.evals_per_pass)
        if self.kind not in ("mean", "square", "variance"):
            raise ValueError(f"`kind` must be mean, square or variance; got {self.kind!r}")
        if self.samples < 2 or self.spread <= 0:
            raise ValueError(f"`samples` must be 2 or more and `spread` above 0, got {self.samples} and {self.spread}")

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        rng = torch.Generator().manual_seed(self.seed)  # drawn on the CPU: the same on every device
        noise = self.spread * torch.randn((self.samples, *images.shape[1:]), generator=rng).to(images)
        weights = torch.full((self.samples,), 1 / self.samples).to(images)

        def noisy(part: Images, steps: Tensor) -> Images:
            return part + noise[steps][:, None]

        wants_squares = self.kind != "mean"
        mean, square = mean_gradients(
            classifier, images, target, noisy, weights, chunk=self.evals_per_pass, squares=wants_squares
        )
        if square is None:
            return reduced(mean, self.reduce)
        return reduced(square if self.kind == "square" else square - mean.square(), self.reduce)


def check_baseline(baseline: float) -> None:
    """Raises ValueError for a level that no pixel can have."""
    if not 0 <= baseline <= 1:
        raise ValueError(f"`baseline` is a pixel's level in [0, 1], got {baseline}")


def check_evals(evals: int | None) -> None:
    """Raises ValueError for fewer than one image at once."""
    if evals is not None and evals < 1:
        raise ValueError(f"`evals_per_pass` must be 1 or more, or null for the fastest; got {evals}")


def unexplained(attribution: Tensor, classifier: Classifier, images: Images, target: Labels, baseline: float) -> Tensor:
    """(B,) how far each attribution's sum is from the score's difference from the baseline, as a share of it.

    Args:
        attribution: (B, 3, H, W), of images against one of level `baseline`.
    """
    at = target[:, None]
    there = classifier(images).gather(1, at)[:, 0]
    here = classifier(torch.full_like(images, baseline)).gather(1, at)[:, 0]
    return (attribution.sum(dim=(1, 2, 3)) - (there - here)).abs() / (there - here).abs().clamp(min=1e-6)
