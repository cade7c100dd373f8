"""Occlusion: how much of the score is lost where a window hides the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.methods.channels import check_recorded
from pipeline.methods.dense import scores
from pipeline.methods.gradients import check_baseline, check_evals
from pipeline.methods.windows import Windows
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
    evals_per_pass: int | None  # images x windows that the network sees at once; None takes the fastest
    version: ClassVar[int] = 2

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
        check_evals(self.evals_per_pass)

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        windows = Windows.of(classifier.frame, *self.pixels(classifier.frame))
        unhidden = classifier(images).gather(1, target[:, None])[:, 0]
        hidden = scores(classifier, images, target, unhidden, windows, self.baseline, self.evals_per_pass)
        return windows.mean_over(unhidden[:, None] - hidden)

    def pixels(self, frame: tuple[int, int]) -> tuple[int, int]:
        """Window and stride in pixels of a frame."""
        side = min(frame)
        window = min(side, _pixels(self.window, side))
        return window, min(window, _pixels(self.stride, side))


def _pixels(length: float, side: int) -> int:
    return round(length) if length >= 1 else max(1, round(length * side))
