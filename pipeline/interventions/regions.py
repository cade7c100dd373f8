"""The regions that interventions cut out: the objects' masks or boxes, with a margin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core import boxes
from pipeline.types import Batch, Box, Masks

OUTLINE = 0.03  # masks dilated by 7 px of 224 left nothing of the pets that could be recognised (0 of 93)


def grown(batch: Batch, margin_fraction: float, margin_px: float) -> tuple[Tensor, ...]:
    """Per image, (n, 4) xyxy: each object's box with its margin. May reach beyond the frame.

    The margin catches what imprecise boxes leave outside (without one, boxes jittered by 8 % of their side raised 46 %
    false alarms).
    """
    every = boxes.enlarge(torch.cat(batch.boxes), margin_fraction, margin_px)
    return every.split([len(b) for b in batch.boxes])


def holes(batch: Batch, margin_fraction: float, margin_px: float) -> Masks:
    """(B, H, W) bool: each image's objects with a margin, as boxes; as outlines where masks are annotated.

    Tight holes leave more of the surroundings to be tested than squares would. What the hole's shape and place tell is
    measured by a control (see ObjectRemoved), not prevented.
    """
    height, width = batch.images.shape[-2:]
    counts = [len(b) for b in batch.boxes]  # known on the host: no transfer
    every = boxes.enlarge(torch.cat(batch.boxes), margin_fraction, margin_px)
    covered = boxes.rasterise(every, (height, width))
    if max(counts) > 1 or min(counts) != 1:
        image = torch.repeat_interleave(torch.tensor(counts)).to(covered.device)
        union = torch.zeros(len(counts), height, width, dtype=torch.int32, device=covered.device)
        covered = union.index_add(0, image, covered.to(torch.int32)) > 0
    if not any(batch.outlined):
        return covered
    return covered & (dilated(batch.inside, outline_margin((height, width), margin_px)) | from_boxes(batch))


def from_boxes(batch: Batch) -> Masks:
    """(B, 1, 1) bool: the images whose objects are annotated by boxes alone."""
    return ~torch.tensor(batch.outlined, device=batch.images.device)[:, None, None]


def outside_share(images: pd.DataFrame, margin_fraction: float, margin_px: float) -> NDArray[np.float64]:
    """(n,) about how much of each frame lies off the objects and their margin; from the table alone, to plan with."""
    height, width = images["frame"].iloc[0] if len(images) else (1, 1)
    around = around_all(images, margin_fraction, margin_px).clip(0, [width, height, width, height])
    hole = (around[:, 2:] - around[:, :2]).clip(min=0).prod(axis=1) / (height * width)
    outlined = (images["region_kind"] == "mask").to_numpy() if "region_kind" in images else np.zeros(len(images), bool)
    if outlined.any():  # a disc's outline grows so; others' more
        by = outline_margin((height, width), margin_px) / np.sqrt(height * width / np.pi)
        area = (np.sqrt(images["area_fraction"].to_numpy(float)) + by) ** 2
        hole = np.where(outlined, np.minimum(area, hole), hole)
    return np.asarray(1 - hole)


def around_all(images: pd.DataFrame, margin_fraction: float, margin_px: float) -> NDArray[np.float64]:
    """(n, 4) xyxy: the box around all of an image's objects, with its margin. May reach beyond the frame."""
    around = np.array([_around(b) for b in images["boxes"]], float).reshape(-1, 4)
    margin = np.maximum((around[:, 2:] - around[:, :2]) * margin_fraction, margin_px)
    return np.concatenate([around[:, :2] - margin, around[:, 2:] + margin], axis=1)


def _around(boxes_: list[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes_, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def outline_margin(frame: tuple[int, int], margin_px: float) -> int:
    """Pixels that a mask is dilated by: 3 % of the frame's shorter side, at least `margin_px`."""
    return max(1, round(max(margin_px, OUTLINE * min(frame))))


def dilated(masks: Masks, by: int) -> Masks:
    """(B, H, W): every pixel within `by` pixels of the mask, along both axes."""
    for axis in (1, 2):  # running counts: much faster on a CPU than pooling with so large a window
        pad = (0, 0, by + 1, by) if axis == 1 else (by + 1, by)
        counts = F.pad(masks.int(), pad).cumsum(dim=axis)
        size = masks.shape[axis]
        masks = counts.narrow(axis, 2 * by + 1, size) > counts.narrow(axis, 0, size)
    return masks


def largest(regions: tuple[Tensor, ...]) -> Tensor:
    """(B, 4): per image the region of the largest area."""
    return torch.stack([r.index_select(0, boxes.area(r).argmax()[None])[0] for r in regions])


def check_margin(margin_fraction: float, margin_px: float) -> None:
    """Raises ValueError unless both margins are usable."""
    if not 0 <= margin_fraction <= 1:
        raise ValueError(f"`margin_fraction` must lie in [0, 1], got {margin_fraction}")
    if margin_px < 0:
        raise ValueError(f"`margin_px` must be 0 or more, got {margin_px}")
