"""Occlusion: how much of the score is lost where a window hides the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import captum.attr
import torch

from pipeline.methods.channels import check_recorded
from pipeline.methods.gradients import check_baseline
from pipeline.types import Classifier, Images, Labels, Maps, Sign


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """A window slides over the image; each pixel gets the mean drop of the windows that cover it (Zeiler, Fergus 2014).

    Captum's definition: windows that the far edge cuts off count like whole ones, and pixels near the edges are covered
    by fewer windows. `window` and `stride` are pixels if 1 or more, else shares of the frame's shorter side.
    """

    reduce: str
    sign: Sign
    window: float
    stride: float
    baseline: float  # the level of all three channels inside the window, in [0, 1]
    evals_per_pass: int  # images x windows that the network sees at once
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_recorded(self.reduce, self.sign)
        check_baseline(self.baseline)
        if self.reduce != "sum":
            raise ValueError(f"`reduce` of Occlusion is sum: a window hides all channels at once; got {self.reduce!r}")
        if not 0 < self.stride <= self.window:
            raise ValueError(
                f"`stride` must be above 0 and at most `window` ({self.window}), or pixels between windows would never "
                f"be hidden; got {self.stride}"
            )
        if self.evals_per_pass < 1:
            raise ValueError(f"`evals_per_pass` must be 1 or more, got {self.evals_per_pass}")

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        parts = zip(images.split(self.evals_per_pass), target.split(self.evals_per_pass), strict=True)
        return torch.cat([self._drops(classifier, part, wanted) for part, wanted in parts])

    def _drops(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        """The maps of at most `evals_per_pass` images."""
        window, stride = self.pixels(classifier.frame)
        channels = images.shape[1]
        with torch.no_grad():
            drops = captum.attr.Occlusion(classifier.module).attribute(
                images,
                sliding_window_shapes=(channels, window, window),
                strides=(channels, stride, stride),
                baselines=self.baseline,
                target=target,
                perturbations_per_eval=max(1, self.evals_per_pass // len(images)),
            )
        return drops[:, 0]  # every channel holds the same drop: counted once

    def pixels(self, frame: tuple[int, int]) -> tuple[int, int]:
        """Window and stride in pixels of a frame."""
        side = min(frame)
        window = min(side, _pixels(self.window, side))
        return window, min(window, _pixels(self.stride, side))


def _pixels(length: float, side: int) -> int:
    return round(length) if length >= 1 else max(1, round(length * side))
