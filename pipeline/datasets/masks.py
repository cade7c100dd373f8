"""Object masks: run lengths and mask files -> bool arrays of the photograph's size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pipeline.datasets.annotations import UnusableError
from pipeline.datasets.images import opened
from pipeline.types import Box, PngMask, RleMask

BoolArray = NDArray[np.bool_]


def from_segmentation(segmentation: Any, size: tuple[int, int]) -> RleMask | None:
    """COCO's `segmentation` as run lengths: polygons (their union), a run-length list or a compressed string.

    Args:
        segmentation: as in the JSON; None for an empty one.
        size: (width, height) of the image that polygons are drawn on.

    Raises ValueError where it is none of these.
    """
    if not segmentation:
        return None
    width, height = size
    if isinstance(segmentation, dict):
        return _from_runs(segmentation)
    if not isinstance(segmentation, list) or not all(_is_polygon(p) for p in segmentation):
        raise ValueError("a polygon must be a list of at least three x, y pairs")
    merged = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    return RleMask(size=(height, width), counts=merged["counts"])


def _is_polygon(polygon: Any) -> bool:
    # Of four numbers pycocotools would make a box, without a word.
    numbers = isinstance(polygon, list) and all(isinstance(v, int | float) and np.isfinite(v) for v in polygon)
    return numbers and len(polygon) >= 6 and len(polygon) % 2 == 0


def _from_runs(rle: dict[str, Any]) -> RleMask:
    counts, size = rle.get("counts"), rle.get("size")
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)):
        raise ValueError(f"run lengths need `size` [height, width], got {size!r}")
    height, width = size
    if isinstance(counts, str):
        packed = counts.encode()
        runs = _unpack(packed)
    elif isinstance(counts, list) and all(isinstance(n, int) and n >= 0 for n in counts):
        runs = counts
    else:
        raise ValueError("run lengths need `counts`: a list of whole numbers, or COCO's compressed string")
    _check_runs(runs, (height, width))
    if isinstance(counts, list):
        packed = coco_mask.frPyObjects(rle, height, width)["counts"]
    return RleMask(size=(height, width), counts=packed)


def _check_runs(runs: list[int], size: tuple[int, int]) -> None:
    height, width = size
    if sum(runs) != height * width or min(runs) < 0:
        raise ValueError(f"run lengths must sum to {height} x {width} = {height * width}, got {sum(runs)}")


def _unpack(counts: bytes) -> list[int]:
    """Run lengths from COCO's string: 5 bits per character, low ones first, each run after the third as a difference
    to the last but one (maskApi.c, rleFrString)."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs or [0]


def decode(mask: PngMask | RleMask, size: tuple[int, int]) -> BoolArray:
    """(H, W) bool: where the object is.

    Args:
        size: (width, height) that the mask must have.

    Raises UnusableError with reason missing_mask, broken_mask or mask_size.
    """
    if isinstance(mask, RleMask):
        height, width = mask.size
        _check_size("the run-length mask", (width, height), size)
        # Not pycocotools' own: it warns under numpy 2, and leaves the rest of too short a mask to what was in memory.
        try:
            runs = _unpack(mask.counts)
            _check_runs(runs, mask.size)
        except ValueError as error:
            raise UnusableError("broken_mask", f"a run-length mask is broken ({error}); export it again") from error
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
    if not mask.path.is_file():
        raise UnusableError(
            "missing_mask", f"the mask {mask.path} is not there; add it, or audit with boxes (`masks: null`)"
        )
    try:
        with opened(mask.path) as image:
            _check_size(str(mask.path), image.size, size)
            return _select(np.asarray(image), mask)
    except UnusableError as unusable:
        if unusable.reason == "mask_size":
            raise
        raise UnusableError("broken_mask", unusable.message) from unusable


def _check_size(name: str, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if found != expected:
        raise UnusableError(
            "mask_size",
            f"{name} is {found[0]} x {found[1]}, but its image {expected[0]} x {expected[1]}; export it at that size",
        )


def _select(values: NDArray[Any], mask: PngMask) -> BoolArray:
    if mask.values is not None:
        if values.ndim != 2:
            raise UnusableError(
                "broken_mask", f"{mask.path} must have one channel of palette numbers, got {values.shape}"
            )
        return np.isin(values, mask.values)
    if values.ndim == 2:
        return values != 0
    colours = values.shape[2] - (values.shape[2] in (2, 4))  # a last channel of two or four is opacity
    return (values[:, :, :colours] != 0).any(axis=2)


def extent(mask: RleMask) -> Box:
    """The box around a run-length mask, without decoding it; all zeros around an empty one."""
    x, y, width, height = coco_mask.toBbox({"size": list(mask.size), "counts": mask.counts}).tolist()
    return x, y, x + width, y + height


def bounds(mask: BoolArray) -> Box | None:
    """The box, in pixels, around a mask; None around an empty one."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys):
        return None
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)
