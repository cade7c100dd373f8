"""Boxes, float (n, 4) xyxy and half-open, in pixels: clip, enlarge, rasterise."""

from __future__ import annotations

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """(n,) areas in square pixels; 0 for an empty or inside-out box."""
    return (boxes[:, 2] - boxes[:, 0]).clamp(min=0) * (boxes[:, 3] - boxes[:, 1]).clamp(min=0)


def clip(boxes: Tensor, frame: tuple[int, int]) -> Tensor:
    """The part of each box that lies in a frame of (height, width)."""
    height, width = frame
    limit = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)


def enlarge(boxes: Tensor, fraction: float, pixels: float) -> Tensor:
    """Each side moved outwards by the larger of `pixels` and `fraction` of the box's side along that axis."""
    sides = boxes[:, 2:] - boxes[:, :2]
    margin = (sides * fraction).clamp(min=pixels)
    return torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)


def rasterise(boxes: Tensor, frame: tuple[int, int]) -> Tensor:
    """(n, H, W) bool: the pixels whose centre lies in the box, and at least one for a box that has area in the frame.

    Boxes are rasterised at the target size, never as a mask that is shrunk afterwards: a nearest-neighbour shrink loses
    small objects (a 3 x 3 px object of a 640 px photograph is gone at 28 px).
    """
    height, width = frame
    clipped = clip(boxes, frame)
    ys = torch.arange(height, device=boxes.device) + 0.5
    xs = torch.arange(width, device=boxes.device) + 0.5
    inside_y = (ys >= clipped[:, 1:2]) & (ys < clipped[:, 3:4])
    inside_x = (xs >= clipped[:, 0:1]) & (xs < clipped[:, 2:3])
    # A box thinner than a pixel may miss every centre: the pixel under its own centre stands for it.
    centre = (clipped[:, :2] + clipped[:, 2:]) / 2
    visible = (area(clipped) > 0)[:, None]
    thin_y = visible & ~inside_y.any(dim=1, keepdim=True)
    thin_x = visible & ~inside_x.any(dim=1, keepdim=True)
    inside_y = inside_y | (thin_y & (ys.floor() == centre[:, 1:2].floor().clamp(max=height - 1)))
    inside_x = inside_x | (thin_x & (xs.floor() == centre[:, 0:1].floor().clamp(max=width - 1)))
    return visible[:, None] & inside_y[:, :, None] & inside_x[:, None, :]
