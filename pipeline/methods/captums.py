"""Captum's own methods behind the one verb: guided backpropagation, deconvolution, DeepLIFT."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import captum.attr
import torch
from torch import Tensor, nn

from pipeline.methods.channels import Reduce, check_recorded, reduced
from pipeline.methods.gradients import check_baseline, unexplained
from pipeline.methods.out_of_place import pure
from pipeline.types import Classifier, Images, Labels, Maps, Sign

GUIDES = {"guided_backprop": captum.attr.GuidedBackprop, "deconvolution": captum.attr.Deconvolution}
UNGUIDED = 1e-4  # a map that differs from the gradient by less, relative to its largest value, was not guided


@dataclass(frozen=True, kw_only=True)
class Guided:
    """The gradient with another rule at ReLU modules: guided backpropagation, or deconvolution.

    Springenberg et al. 2015; Zeiler and Fergus 2014. Edge detectors more than explanations (Adebayo et al. 2018).
    Captum finds ReLUs by their modules: where a network calls functions instead, what comes out is silently the plain
    gradient; here that is an error.
    """

    rule: Literal["guided_backprop", "deconvolution"]
    reduce: Reduce
    sign: Sign
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)
        if self.rule not in GUIDES:
            raise ValueError(f"`rule` must be one of {', '.join(GUIDES)}; got {self.rule!r}")

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        network = _hookable(classifier)
        found = _attributed(GUIDES[self.rule](network), classifier, images, target)
        plain = _gradient(network, images[:1], target[:1])
        if bool((plain - found[:1]).abs().amax() <= UNGUIDED * plain.abs().amax()):
            raise ValueError("no ReLU module changed the gradient: the network calls a function, or has none")
        return reduced(found, self.reduce)


@dataclass(frozen=True, kw_only=True)
class DeepLift:
    """DeepLIFT, rescale rule (Shrikumar et al. 2017): what each pixel adds against an image of level `baseline`.

    Complete: a map's sum is the score's difference between image and baseline; layers that Captum does not know break
    that, and the probe then refuses the method.
    """

    reduce: Reduce
    sign: Sign
    baseline: float  # the level of all three channels, in [0, 1]
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)
        check_baseline(self.baseline)

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        return reduced(self._attribution(classifier, images, target), self.reduce)

    def residual(self, classifier: Classifier, images: Images, target: Labels) -> Tensor:
        """(B,) how far each map's sum is from the score's difference, as a share of that difference."""
        return unexplained(self._attribution(classifier, images, target), classifier, images, target, self.baseline)

    def _attribution(self, classifier: Classifier, images: Images, target: Labels) -> Tensor:
        grey = torch.full_like(images[:1], self.baseline)
        return _attributed(captum.attr.DeepLift(_hookable(classifier)), classifier, images, target, baselines=grey)


def _attributed(method: Any, classifier: Classifier, images: Images, target: Labels, **options: Any) -> Tensor:
    """(B, 3, H, W), as many images at once as are fastest."""
    chunk = classifier.backward_chunk
    found = []
    for part, wanted in zip(images.split(chunk), target.split(chunk), strict=True):
        shown = part.detach().clone().requires_grad_()
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Captum announces its hooks
            found.append(method.attribute(shown, target=wanted.clone(), **options).detach())
    return torch.cat(found)


def _gradient(network: nn.Module, image: Images, target: Labels) -> Tensor:
    shown = image.detach().clone().requires_grad_()
    with torch.enable_grad():
        (found,) = torch.autograd.grad(network(shown).gather(1, target.clone()[:, None]).sum(), shown)
    return found


def _hookable(classifier: Classifier) -> nn.Module:
    """A copy whose activations leave their input alone, as Captum's hooks need; made once per classifier."""
    if classifier not in _COPIES:
        _COPIES[classifier] = pure(classifier.module)
    return _COPIES[classifier]


_COPIES: WeakKeyDictionary[Classifier, nn.Module] = WeakKeyDictionary()
