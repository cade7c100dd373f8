"""Where and how a run is carried out; nothing here changes what is measured, but for `seed` and `target`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The `run` group of the configuration."""

    name: str  # the folder under `folder` that this audit's runs share
    folder: str  # relative to where the command was called
    device: str  # auto | cpu | cuda | cuda:N
    batch_size: int  # images at once; halved by itself when the device's memory does not suffice
    workers: int  # threads that decode ahead
    seed: int
    target: str  # what is explained: predicted | label | the name of one of the model's classes
    min_visible: float  # share of an object's area that must be left in the frame, else the image is skipped

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name or self.name.startswith("."):
            raise ValueError(f"`name` must be a plain folder name, got {self.name!r}")
        for key in ("batch_size", "workers"):
            if getattr(self, key) < 1:
                raise ValueError(f"`{key}` must be 1 or more, got {getattr(self, key)}")
        if self.seed < 0:
            raise ValueError(f"`seed` must be 0 or more, got {self.seed}")
        if not 0 <= self.min_visible <= 1:
            raise ValueError(f"`min_visible` must lie in [0, 1], got {self.min_visible}")
        self.torch_device()

    def torch_device(self) -> torch.device:
        """The device to run on. Raises ValueError for one that this machine lacks."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise ValueError(f"`device` must be auto, cpu, cuda or cuda:N, got {self.device!r}") from None
        if device.type == "cuda":
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if (device.index or 0) >= count:
                raise ValueError(
                    f"`device` is {self.device!r}, but this machine has {count} CUDA devices that PyTorch can use; "
                    "give run.device=cpu, or run.device=auto to take what there is"
                )
        elif device.type != "cpu":
            raise ValueError(f"`device` must be auto, cpu, cuda or cuda:N, got {self.device!r}")
        return device
