"""A record's regions, carried with its photograph through the model's spatial preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from pipeline.core import boxes as core_boxes
from pipeline.core.tracing import calling
from pipeline.datasets import checks, masks
from pipeline.datasets.annotations import ANYWHERE, UnusableError
from pipeline.datasets.images import Picture, turned
from pipeline.types import AuditError, Box, Companions, Example, ObjectRegion, Record

Transform = Callable[..., Any]


@dataclass(frozen=True)
class _Group:
    """Some objects in pixels of the upright photograph: a box each, and the union of their masks."""

    boxes: Tensor  # (n, 4) float32
    bare: Tensor  # (n,) bool: the object has no mask, its box is all that is known
    mask: Image.Image | None  # black and white; None where no object has a mask
    mask_area: int


def framed(
    record: Record, picture: Picture, transform: Transform, frame: tuple[int, int], min_visible: float
) -> Example:
    """The record as the model sees it.

    Boxes travel as float geometry and are rasterised in the frame. Masks travel as pictures, black and white, through
    the very resampling of the photograph; a pixel belongs to the object where at least half of it is covered.

    Raises UnusableError with reason size_mismatch, box_outside_image, missing_mask, broken_mask, mask_size, empty_mask,
    object_not_visible or transform_failed; AuditError where the transform does not end in the frame.
    """
    turn = _turn(record, picture)
    audited = [o for o in record.objects if o.label == record.label]
    others = [o for o in record.objects if o.label != record.label]
    masked = all(o.mask is not None for o in audited)
    own = _group(audited, record, picture.image.size, turn, use_masks=masked)
    if masked and own.mask_area == 0:
        raise UnusableError("empty_mask", f"the mask of {record.path} is empty; draw it or drop the image", "skipped")
    rest = _group(others, record, picture.image.size, turn, use_masks=True)
    suspect = checks.suspicion(record, picture, core_boxes.area(own.boxes).tolist(), masked=masked)

    image, boxes, covers = _through(transform, frame, record, picture.image, own, rest)
    whole, own_boxes, rest_boxes = boxes.split([1, len(audited), len(others)])
    photograph = core_boxes.rasterise(whole, frame)[0]  # what a transform pads around it is no object
    own_cover, rest_cover = (cover * photograph for cover in covers)

    clipped = core_boxes.clip(own_boxes, frame)
    if masked:
        inside = _covered(own_cover)
        pixels = picture.image.width * picture.image.height
        visible = float(own_cover.sum()) / 255 / (own.mask_area * float(core_boxes.area(whole)) / pixels)
    else:
        inside = core_boxes.rasterise(own_boxes, frame).any(dim=0)
        visible = float(core_boxes.area(clipped).sum() / core_boxes.area(own_boxes).sum())
    if visible < min_visible or not inside.any():
        found = f"the model's frame shows {visible:.0%} of the objects of {record.path}, less than {min_visible:.0%}"
        raise UnusableError("object_not_visible", f"{found}; {_advice(suspect)}", "skipped")
    elsewhere = core_boxes.rasterise(rest_boxes[rest.bare], frame).any(dim=0) | _covered(rest_cover)
    return Example(
        record=record,
        image=image,
        inside=inside,
        others=elsewhere & ~inside,
        boxes=clipped[core_boxes.area(clipped) > 0],
        visible_fraction=min(1.0, visible),
        region_kind="mask" if masked else "box",
        original_size=picture.image.size,
        file_type=picture.file_type,
        camera=picture.camera,
        suspect=suspect,
        companions=_companions(others, core_boxes.clip(rest_boxes, frame)),
    )


def _advice(suspect: str) -> str:
    """What to do about objects that the frame does not show."""
    if suspect == checks.NORMALISED_BOX:
        return "its boxes lie within 0 to 1 and look like shares of the image; write them in pixels"
    return "crop less, or lower `min_visible`"


def _companions(others: Sequence[ObjectRegion], boxes: Tensor) -> Companions:
    """The objects of other classes that the frame shows."""
    shown = (core_boxes.area(boxes) > 0).tolist()
    placed = zip(others, boxes.tolist(), shown, strict=True)
    return tuple((o.label, (x0, y0, x1, y1)) for o, (x0, y0, x1, y1), seen in placed if seen)


def _turn(record: Record, picture: Picture) -> int:
    """The EXIF orientation that the annotation still lacks: 1 where it was drawn on the upright photograph, as usual.

    An annotation that states the stored size, where that is not the upright one, was drawn before the turn.
    """
    upright = picture.image.size
    if record.size is None or record.size == upright:
        return 1
    if record.size == picture.stored_size:
        return picture.orientation
    raise UnusableError(
        "size_mismatch",
        f"{record.path} is {upright[0]} x {upright[1]}, but its annotation states {record.size[0]} x {record.size[1]}; "
        "annotate this very file, or correct the stated size",
    )


def _group(
    objects: Sequence[ObjectRegion], record: Record, upright: tuple[int, int], turn: int, *, use_masks: bool
) -> _Group:
    """Reads the objects' masks and turns masks and boxes upright."""
    size = upright[::-1] if turn >= 5 else upright  # 5 to 8 are quarter turns
    drawn = [o.mask if use_masks else None for o in objects]
    arrays = {mask: masks.decode(mask, size) for mask in drawn if mask is not None}
    extents = [
        _extent(region, arrays[mask] if mask is not None and drawn.count(mask) == 1 else None, size, record)
        for region, mask in zip(objects, drawn, strict=True)
    ]
    union = np.logical_or.reduce(list(arrays.values())) if arrays else None
    return _Group(
        boxes=torch.tensor([_turned(box, turn, upright) for box in extents]).reshape(-1, 4),
        bare=torch.tensor([mask is None for mask in drawn], dtype=torch.bool),
        mask=None if union is None else turned(Image.fromarray(union.astype(np.uint8) * 255).convert("RGB"), turn),
        mask_area=0 if union is None else int(union.sum()),
    )


def _extent(region: ObjectRegion, mask: masks.BoolArray | None, size: tuple[int, int], record: Record) -> Box:
    """The object's box within the image, widened to all of its own mask: some boxes are of the head only.

    A mask that several objects share says nothing about one of them, and leaves the boxes as they are.
    """
    x0, y0, x1, y1 = region.box
    drawn = masks.bounds(mask) if mask is not None else None
    if drawn is not None and region.box == ANYWHERE:
        return drawn
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1]))
    if not (x0 < x1 and y0 < y1):
        raise UnusableError(
            "box_outside_image",
            f"{record.path} is {size[0]} x {size[1]}, but the box {region.box} of its {region.label} lies outside; "
            "correct the box (x0 y0 x1 y1 in pixels)",
        )
    if drawn is not None:
        x0, y0, x1, y1 = min(x0, drawn[0]), min(y0, drawn[1]), max(x1, drawn[2]), max(y1, drawn[3])
    return x0, y0, x1, y1


def _turned(box: Box, turn: int, upright: tuple[int, int]) -> Box:
    """A box of the stored image, in the upright one: EXIF's quarter turns are a transposition and mirrors after it."""
    if turn < 5:
        return box
    width, height = upright
    y0, x0, y1, x1 = box
    if turn in (6, 7):
        x0, x1 = width - x1, width - x0
    if turn in (7, 8):
        y0, y1 = height - y1, height - y0
    return x0, y0, x1, y1


def _through(
    transform: Transform, frame: tuple[int, int], record: Record, image: Image.Image, own: _Group, rest: _Group
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The image (3, H, W) uint8, all boxes (the whole photograph's first) and both masks' coverage (H, W) uint8."""
    whole = torch.tensor([[0, 0, image.width, image.height]], dtype=torch.float32)
    boxes = tv_tensors.BoundingBoxes(
        torch.cat([whole, own.boxes, rest.boxes]),
        format="XYXY",
        canvas_size=(image.height, image.width),
        clamping_mode=None,  # the default would cut boxes at every step, and with them what they say about the crop
    )
    pictures = [group.mask for group in (own, rest) if group.mask is not None]
    try:
        with calling():
            pixels, framed_boxes, *covers = transform(image, boxes, *pictures)
        layers = iter([TF.pil_to_tensor(c) if isinstance(c, Image.Image) else c for c in (pixels, *covers)])
    except Exception as error:  # the model's own code, on a picture that may be too odd for it
        message = (
            f"{record.path}: the model's transform fails on it ({error}); correct the transform, or drop the image"
        )
        raise UnusableError("transform_failed", message) from error
    result = next(layers)
    if result.dtype != torch.uint8 or tuple(result.shape) != (3, *frame):
        raise AuditError(
            f"the model's `transform` must turn a photograph into uint8 {(3, *frame)}, got {result.dtype} "
            f"{tuple(result.shape)}; it should resize and crop only (normalisation belongs into the model)"
        )
    empty = torch.zeros(frame, dtype=torch.uint8)
    coverage = [next(layers)[0].as_subclass(Tensor) if group.mask is not None else empty for group in (own, rest)]
    return result.as_subclass(Tensor), framed_boxes.as_subclass(Tensor).float(), coverage


def _covered(coverage: Tensor) -> Tensor:
    """(H, W) bool: the pixels at least half covered; of an object too small for that, the most covered ones."""
    return (coverage >= coverage.max().clamp(max=128)) & (coverage > 0)
