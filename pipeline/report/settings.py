"""What the report shows of the images, and in how many files; nothing here changes what is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """The `report` group of the configuration."""

    images: int  # drawn for looking through, besides the gallery's: photograph, maps and mask; 0 draws none
    single_file: bool  # the page once more with its pictures inside
    budget_mb: float  # that the single file may weigh, in MB
    open: bool  # in the browser when the run is done

    def __post_init__(self) -> None:
        if self.images < 0:
            raise ValueError(f"`images` must be 0 or more, got {self.images}")
        if not (math.isfinite(self.budget_mb) and self.budget_mb > 0):
            raise ValueError(f"`budget_mb` must be a number above 0, got {self.budget_mb}")
