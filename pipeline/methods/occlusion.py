"""Occlusion: how much of the score is lost where a window hides the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from pipeline.methods.channels import check_recorded
from pipeline.methods.engine import ENGINES, PRECISIONS, Engine, Setting
from pipeline.methods.gradients import check_baseline, check_evals
from pipeline.methods.windows import Windows
from pipeline.types import Classifier, Images, Labels, Maps, Sign


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """A window slides over the image; each pixel gets the mean drop of the windows that cover it (Zeiler, Fergus 2014).

    Captum's definition: windows that the far edge cuts off count like whole ones, and pixels near the edges are covered
    by fewer windows. `window` and `stride` are pixels if 1 or more, else shares of the frame's shorter side. `engine`
    says how it is computed, never what: dense, every window through the whole network; incremental, only what a window
    can reach; auto, whichever the first image shows to be faster. `precision` lowers that of the windows' passes, and
    `compile` sends them through torch.compile; one window in a hundred is then run again by the plain network in
    float32, and `remark` says how far they were apart. Interventions, which verdicts rest on, always run so.
    """

    reduce: str
    sign: Sign
    window: float
    stride: float
    baseline: float  # the level of all three channels inside the window, in [0, 1]
    engine: Literal["dense", "incremental", "auto"] = "dense"
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    compile: bool = False
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
        if self.engine not in ENGINES:
            raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}; got {self.engine!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"`precision` must be one of {', '.join(PRECISIONS)}; got {self.precision!r}")
        if self.precision != "float32" and self.engine != "dense":
            raise ValueError(f"`precision` {self.precision} needs `engine` dense, got {self.engine!r}")
        if self.compile and self.engine != "dense":
            raise ValueError(f"`compile` needs `engine` dense, got {self.engine!r}")

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        windows = Windows.of(classifier.frame, *self.pixels(classifier.frame))
        unhidden = classifier(images).gather(1, target[:, None])[:, 0]
        engine = Engine.of(classifier, self._setting(windows), images)
        hidden = engine(images, target, unhidden, self.evals_per_pass)
        return windows.mean_over(unhidden[:, None] - hidden)

    def remark(self, classifier: Classifier) -> str:
        """What precision and compiler did to the drops, in a sentence; "" for neither and before any map was made."""
        setting = self._setting(Windows.of(classifier.frame, *self.pixels(classifier.frame)))
        engine = Engine.known(classifier, setting)
        if setting.exact or engine is None or not engine.errors:
            return ""
        what = ", ".join([self.precision, *(["compiled"] if self.compile else [])])
        found = torch.cat(engine.errors)
        if not len(found):
            return f"{what}: no window changed anything"
        middle, most = found.median().item(), found.amax().item()
        return (
            f"{what}: {len(found)} windows were run again plainly in float32; the median difference is {middle:.2%} "
            f"of an image's largest drop, the largest {most:.2%}"
        )

    def _setting(self, windows: Windows) -> Setting:
        return Setting(
            engine=self.engine,
            windows=windows,
            baseline=self.baseline,
            precision=self.precision,
            compiled=self.compile,
        )

    def passes(self, frame: tuple[int, int]) -> int:
        """Forward passes per image by definition: one for every window, and one without."""
        return 1 + len(Windows.of(frame, *self.pixels(frame)))

    def pixels(self, frame: tuple[int, int]) -> tuple[int, int]:
        """Window and stride in pixels of a frame."""
        side = min(frame)
        window = min(side, _pixels(self.window, side))
        return window, min(window, _pixels(self.stride, side))


def _pixels(length: float, side: int) -> int:
    return round(length) if length >= 1 else max(1, round(length * side))
