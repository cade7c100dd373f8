"""Companions removed: other annotated objects are hidden, a category at a time, while the audited object stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.core import boxes as core_boxes
from pipeline.core.pixels import FILLS
from pipeline.interventions.regions import check_margin
from pipeline.types import Batch, Box, Companions, Images

COLUMNS = ["recipient", "donor", "arm", "place"]
HIDDEN, ELSEWHERE = "hidden:", "elsewhere:"  # what an arm's name begins with; its category follows
TRIES = 20


@dataclass(frozen=True, kw_only=True)
class CompanionsRemoved:
    """Per image and category of other objects: all of them filled (arm `hidden:<category>`), the audited object kept.

    Control (arm `elsewhere:<category>`): a rectangle of the same area is filled at a random place that touches neither
    the audited object nor, where that can be had, the companions.
    """

    margin_fraction: float
    margin_px: float
    fill: str
    min_images: int  # of a class that show the category
    max_images: int  # per class and category, drawn at random where there are more
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_margin(self.margin_fraction, self.margin_px)
        if self.fill not in FILLS:
            raise ValueError(f"`fill` must be one of {', '.join(FILLS)}; got {self.fill!r}")
        if self.min_images < 1 or self.max_images < self.min_images:
            raise ValueError(
                f"`min_images` must be 1 or more and `max_images` no less, got {self.min_images}, {self.max_images}"
            )

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        if "companions" not in images:
            return pd.DataFrame([], columns=COLUMNS)
        return pd.DataFrame(list(self._trials(images, rng)), columns=COLUMNS)

    def _trials(self, images: pd.DataFrame, rng: np.random.Generator) -> Iterator[tuple]:
        labels, companions = images["class"].to_numpy(object), images["companions"].tolist()
        for k in pd.unique(labels):
            own = np.flatnonzero(labels == k)
            for category in sorted({c for r in own for c, _ in companions[r]}):
                having = np.array([r for r in own if any(c == category for c, _ in companions[r])])
                if len(having) < self.min_images:
                    continue
                for row in rng.permutation(having)[: self.max_images]:
                    yield row, -1, HIDDEN + category, None
                    place = self._elsewhere(images.iloc[row], category, rng)
                    if place is not None:
                        yield row, -1, ELSEWHERE + category, place

    def _elsewhere(self, image: pd.Series, category: str, rng: np.random.Generator) -> Box | None:
        """A place as large as the category's boxes together, shaped like the largest, off the object."""
        taken = [box for c, box in image["companions"] if c == category]
        sides = np.array([(x1 - x0, y1 - y0) for x0, y0, x1, y1 in taken])
        areas = sides.prod(axis=1)
        width, height = sides[areas.argmax()] * np.sqrt(areas.sum() / areas.max())
        frame_height, frame_width = image["frame"]
        if width > frame_width or height > frame_height:
            return None
        best: tuple[float, Box] | None = None
        for _ in range(TRIES):
            x, y = rng.uniform(0, frame_width - width), rng.uniform(0, frame_height - height)
            place = (float(x), float(y), float(x + width), float(y + height))
            if any(_overlap(place, box) > 0 for box in image["boxes"]):
                continue
            hit = sum(_overlap(place, box) for box in taken)
            if best is None or hit < best[0]:
                best = (hit, place)
        return None if best is None else best[1]

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        frame = (recipients.images.shape[-2], recipients.images.shape[-1])
        device = recipients.images.device
        if arm.startswith(HIDDEN):
            category = arm.removeprefix(HIDDEN)
            hole = torch.stack([self._hole(c, category, frame, device) for c in recipients.companions])
        elif recipients.places is not None:
            hole = core_boxes.rasterise(recipients.places, frame)
        else:
            raise ValueError("`places` are needed for the control, got None")
        return FILLS[self.fill](recipients.images, hole & ~recipients.inside)

    def _hole(self, companions: Companions, category: str, frame: tuple[int, int], device: torch.device) -> Tensor:
        boxes = torch.tensor([box for c, box in companions if c == category], device=device).reshape(-1, 4)
        return core_boxes.rasterise(core_boxes.enlarge(boxes, self.margin_fraction, self.margin_px), frame).any(dim=0)


def _overlap(a: Box, b: Box) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(across, 0) * max(down, 0)
