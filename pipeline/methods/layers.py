"""Methods that read a layer of the network: GradCam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import captum.attr
import torch
from torch import nn

from pipeline.core.maps import resize
from pipeline.methods.channels import check_recorded
from pipeline.methods.gradients import leaf
from pipeline.types import Classifier, Images, Labels, Maps, Sign


@dataclass(frozen=True, kw_only=True)
class GradCam:
    """Feature maps weighted by their mean gradient, positive part (Selvaraju et al. 2017), enlarged bilinearly.

    `layer` is a dotted name in the network; None takes the last feature map. Channels are summed by definition.
    """

    reduce: str
    sign: Sign
    layer: str | None
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)
        if self.reduce != "sum":
            raise ValueError(f"`reduce` of GradCam is a sum over channels by definition, got {self.reduce!r}")

    def watched(self, classifier: Classifier) -> nn.Module:
        """The layer whose feature maps are weighted."""
        return classifier.layer(self.layer)

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        with torch.enable_grad():
            method = captum.attr.LayerGradCam(classifier.module, self.watched(classifier))
            coarse = method.attribute(leaf(images), target=target, relu_attributions=True).detach()
        if coarse.dim() != 4:
            raise ValueError(
                f"the layer gives {tuple(coarse.shape[1:])} per image, not a feature map (channels, height, width); "
                "name a convolutional layer with methods.grad_cam.layer"
            )
        return resize(coarse[:, 0], classifier.frame)
