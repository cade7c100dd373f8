"""Methods that read a layer of the network: GradCam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from pipeline.core.maps import resize
from pipeline.methods.channels import check_recorded
from pipeline.methods.one_pass import Pass, alone
from pipeline.types import Classifier, Images, Labels, Maps, Sign


@dataclass(frozen=True, kw_only=True)
class GradCam:
    """Feature maps weighted by their mean gradient, positive part (Selvaraju et al. 2017), enlarged bilinearly.

    `layer` is a dotted name in the network; None takes the last feature map. Channels are summed by definition.
    """

    reduce: str
    sign: Sign
    layer: str | None
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)
        if self.reduce != "sum":
            raise ValueError(f"`reduce` of GradCam is a sum over channels by definition, got {self.reduce!r}")

    def watched(self, classifier: Classifier) -> nn.Module:
        """The layer whose feature maps are weighted."""
        return classifier.layer(self.layer)

    def layers(self, classifier: Classifier) -> tuple[nn.Module, ...]:
        return (self.watched(classifier),)

    def read(self, seen: Pass, classifier: Classifier) -> Maps:
        features, gradient = seen.features[self.watched(classifier)]
        if features.dim() != 4:
            raise ValueError(
                f"the layer gives {tuple(features.shape[1:])} per image, not a feature map (channels, height, width); "
                "name a convolutional layer with methods.grad_cam.layer"
            )
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        return resize((weights * features).sum(dim=1).relu(), classifier.frame)

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        return alone(self, classifier, images, target)
