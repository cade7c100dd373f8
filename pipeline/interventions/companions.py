"""Companions removed: other annotated objects are hidden, a category at a time, while the audited object stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core import boxes as core_boxes
from pipeline.core.pixels import FILLS
from pipeline.interventions.regions import check_margin
from pipeline.types import Batch, Box, Companions, Images, Masks

COLUMNS = ["recipient", "donor", "arm", "place"]
HIDDEN, ELSEWHERE = "hidden:", "elsewhere:"  # what an arm's name begins with; its category follows
LEAST_PIXELS = 16  # hidden outside the objects; with less a trial says nothing, and its control neither
TRIES = 100  # random places for a control, of each shape


@dataclass(frozen=True, kw_only=True)
class CompanionsRemoved:
    """Per image and category of other objects: all of them filled (arm `hidden:<category>`), the audited object kept.

    Control (arm `elsewhere:<category>`): in the same image, a rectangle of as many pixels as that hides is filled at a
    random place that touches neither the audited objects nor what was hidden. What the audited objects' boxes cover
    stays in both arms. Images in which that leaves fewer than `LEAST_PIXELS` to hide, or no place for the control, are
    in neither arm.
    """

    margin_fraction: float
    margin_px: float
    fill: str
    min_images: int  # of a class that show the category and have a control
    max_images: int  # per class and category, drawn at random where there are more
    version: ClassVar[int] = 2

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
                controls = self._controls(images, rng.permutation(having), category, rng)
                tried = list(islice(controls, self.max_images))
                for row, place in tried if len(tried) >= self.min_images else ():
                    yield row, -1, HIDDEN + category, None
                    yield row, -1, ELSEWHERE + category, place

    def _controls(
        self, images: pd.DataFrame, rows: NDArray[np.int64], category: str, rng: np.random.Generator
    ) -> Iterator[tuple[int, Box]]:
        """Those of the rows that hide enough and have room for a control, and a place for it."""
        for row in rows:
            image = images.iloc[row]
            place = self._elsewhere(image["companions"], category, image["boxes"], image["frame"], rng)
            if place is not None:
                yield row, place

    def _elsewhere(
        self,
        companions: Companions,
        category: str,
        objects: list[Box],
        frame: tuple[int, int],
        rng: np.random.Generator,
    ) -> Box | None:
        """A place on whole pixels for the control, None where there is none or the companions hide too little."""
        taken, kept = self._holes(companions, category), torch.tensor(objects).reshape(-1, 4)
        pixels = int((_covered(taken, frame) & ~_covered(kept, frame)).sum())
        if pixels < LEAST_PIXELS:
            return None
        x0, y0, x1, y1 = taken[core_boxes.area(taken).argmax()].tolist()
        ratio = max(x1 - x0, 1) / max(y1 - y0, 1)
        blocked = torch.cat([taken, kept]).numpy()
        for shape in (ratio, 1 / ratio, 1.0):  # like the largest companion, the same turned, square
            place = _free(pixels, shape, blocked, frame, rng)
            if place is not None:
                return place
        return None

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        frame = (recipients.images.shape[-2], recipients.images.shape[-1])
        if arm.startswith(HIDDEN):
            category = arm.removeprefix(HIDDEN)
            holes = [self._holes(c, category).to(recipients.images.device) for c in recipients.companions]
        elif recipients.places is not None:
            holes = list(recipients.places[:, None])
        else:
            raise ValueError("`places` are needed for the control, got None")
        hidden: Masks = torch.stack([_hidden(h, b, frame) for h, b in zip(holes, recipients.boxes, strict=True)])
        return FILLS[self.fill](recipients.images, hidden & ~recipients.inside)

    def _holes(self, companions: Companions, category: str) -> Tensor:
        """(n, 4) xyxy: the boxes of the category's objects, with their margin."""
        boxes = torch.tensor([box for c, box in companions if c == category]).reshape(-1, 4)
        return core_boxes.enlarge(boxes, self.margin_fraction, self.margin_px)


def _hidden(holes: Tensor, objects: Tensor, frame: tuple[int, int]) -> Tensor:
    """(H, W) bool: what the holes cover and the audited objects' boxes do not, both (n, 4) xyxy.

    Boxes even where there are masks: the plan, which gives the control its size, sees no masks.
    """
    covered = core_boxes.rasterise(torch.cat([holes, objects]), frame)
    return covered[: len(holes)].any(dim=0) & ~covered[len(holes) :].any(dim=0)


def _covered(boxes: Tensor, frame: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: the union of (n, 4) boxes, as `rasterise` has it, but for those thinner than a pixel.

    In slices, because a plan counts the pixels of very many images one by one.
    """
    covered = np.zeros(frame, bool)
    for x0, y0, x1, y1 in np.ceil(core_boxes.clip(boxes, frame).numpy() - 0.5).astype(int):
        covered[y0:y1, x0:x1] = True
    return covered


def _free(
    pixels: int, ratio: float, blocked: NDArray[np.float32], frame: tuple[int, int], rng: np.random.Generator
) -> Box | None:
    """A random rectangle of `pixels` (rounded to full rows), `ratio` times as wide as high, off all `blocked` boxes."""
    width = max(1, round((pixels * ratio) ** 0.5))
    height = max(1, round(pixels / width))
    if width > frame[1] or height > frame[0]:
        return None
    x, y = rng.integers(0, frame[1] - width + 1, TRIES)[:, None], rng.integers(0, frame[0] - height + 1, TRIES)[:, None]
    x0, y0, x1, y1 = blocked.T
    touches = (x < x1) & (x + width > x0) & (y < y1) & (y + height > y0)  # (tries, blocked)
    (clear,) = np.nonzero(~touches.any(axis=1))
    if not len(clear):
        return None
    left, top = float(x[clear[0], 0]), float(y[clear[0], 0])
    return left, top, left + width, top + height
