"""How a photograph becomes the model's input frame, and what the network wants to be normalised by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torchvision.transforms import InterpolationMode, v2

Size = int | Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize, centre crop, mean and standard deviation, in that order; the last two happen inside the classifier.

    `resize`: one number is the length of the shorter side, [height, width] ignores the aspect. `crop`: None keeps what
    the resize gave, which must then be [height, width]. `mean` and `std` are of RGB in [0, 1].
    """

    resize: int | Sequence[int] | None
    crop: int | Sequence[int] | None
    mean: Sequence[float]
    std: Sequence[float]
    interpolation: str = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        for key in ("mean", "std"):
            if len(getattr(self, key)) != 3:
                raise ValueError(f"`{key}` must have three numbers (R, G, B), got {list(getattr(self, key))}")
        if any(s <= 0 for s in self.std):
            raise ValueError(f"`std` must be above 0, got {list(self.std)}")
        names = [m.value for m in InterpolationMode]
        if self.interpolation not in names:
            raise ValueError(f"`interpolation` must be one of {', '.join(names)}; got {self.interpolation!r}")
        if self.crop is None and (self.resize is None or len(_pair(self.resize)) != 2):
            raise ValueError(
                "without `crop`, `resize` must be [height, width]: the model needs one frame for all images"
            )

    @property
    def frame(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        size = _pair(self.resize) if self.crop is None else _pair(self.crop)  # type: ignore[arg-type]
        return (size[0], size[-1])

    @property
    def transform(self) -> v2.Transform:
        """The spatial part, for PIL images with the tv_tensors that travel along."""
        steps: list[v2.Transform] = []
        if self.resize is not None:
            mode = InterpolationMode(self.interpolation)
            steps.append(v2.Resize(_pair(self.resize), interpolation=mode, antialias=self.antialias))
        if self.crop is not None:
            steps.append(v2.CenterCrop(self.frame))
        return v2.Compose(steps)


def from_weights(weights: Any) -> Preprocessing:
    """The preprocessing that a member of a torchvision weights enum was evaluated with."""
    preset = weights.transforms()
    return Preprocessing(
        resize=preset.resize_size,
        crop=preset.crop_size,
        mean=list(preset.mean),
        std=list(preset.std),
        interpolation=preset.interpolation.value,
        antialias=bool(preset.antialias),
    )


def _pair(size: Size) -> list[int]:
    return [size] if isinstance(size, int) else list(size)
