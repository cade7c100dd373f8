"""What speaks against an image's boxes, by reading alone: their frame, their units, their size.

No change of an image tells boxes that miss the objects from a mark that moves, so they must be known beforehand.
A reason code goes into the column `suspect` of the table of images; "" means that nothing speaks against the boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, median_high, median_low

import numpy as np
import pandas as pd

from pipeline.datasets.images import Picture
from pipeline.types import Box, Record

CAMERA_TURNED = "camera_turned"  # EXIF turns or mirrors the file, and nothing says whether the boxes are turned too
TINY_BOX = "tiny_box"  # the box of an audited object covers less than a pixel of the file
NORMALISED_BOX = "normalised_box"  # all boxes lie within 0 to 1: shares of the image taken for pixels
ODD_SIZE = "odd_size"  # boxes of a size that those of no other class come near

FEW_PIXELS = 8  # in an image with no longer side, a box within 0 to 1 may be meant
_CLAUSES = {
    CAMERA_TURNED: "were turned by the camera and nothing says which way up the boxes are",
    TINY_BOX: "have a box that is no larger than a pixel of the file",
    NORMALISED_BOX: "have boxes within 0 to 1, which look like shares of the image, not pixels",
    ODD_SIZE: "have boxes of a size that those of no other class come near",
}


def suspicion(record: Record, picture: Picture, areas: Sequence[float], *, masked: bool) -> str:
    """What speaks against the boxes of this image alone, as a reason code or "".

    Args:
        areas: of the audited objects' boxes within the photograph, in square pixels of the file.
        masked: the audited objects are known by masks, whose size has been checked; then their boxes do not count.
    """
    if not masked and _within_one(record) and max(picture.image.size) > FEW_PIXELS:
        return NORMALISED_BOX
    if not masked and min(areas) < 1:
        return TINY_BOX
    return CAMERA_TURNED if _frame_unknown(record, picture, masked) else ""


def _within_one(record: Record) -> bool:
    """Whether no audited box reaches beyond the first pixel; VOC's, which count from 1, begin at -1 when normalised."""
    return all(max(region.box[2:]) <= 1 for region in record.objects if region.label == record.label)


def _frame_unknown(record: Record, picture: Picture, masked: bool) -> bool:
    """Whether the boxes may have been drawn before EXIF's turn as well as after it.

    A stated size, or that of a mask, tells where the turn swaps width and height and they differ; it has been found
    equal to one of the two by then.
    """
    told = record.size is not None or masked
    return picture.orientation != 1 and not (told and picture.stored_size != picture.image.size)


def class_suspicions(images: pd.DataFrame, *, factor: float = 30.0, factor_of_two: float = 100.0) -> pd.Series:
    """The column `suspect` once every image was read: the boxes of one class against each other and the other classes.

    NORMALISED_BOX stands only where it holds for all images of a class; those of other classes have a TINY_BOX. Every
    image of a class whose boxes are out of proportion gets ODD_SIZE, unless more is known against it. Classes are
    compared by images against which nothing is known.

    Args:
        images: columns class, suspect (of each image alone) and boxes (lists of xyxy in the frame).
        factor: between a class's median area and the median of the other classes', from which on it is odd.
        factor_of_two: the same where there are two classes; both are odd then, since nothing says which is wrong.
    """
    normalised = images["suspect"] == NORMALISED_BOX
    suspect = images["suspect"].mask(normalised & ~normalised.groupby(images["class"]).transform("all"), TINY_BOX)
    areas = images["boxes"].map(_median_area)[suspect == ""].dropna()
    medians = areas.groupby(images["class"]).median()
    odd = _odd(medians, factor if len(medians) > 2 else factor_of_two)
    return suspect.mask((suspect == "") & images["class"].isin(odd), ODD_SIZE)


def _median_area(boxes: Sequence[Box]) -> float:
    """Of one image, in pixels of the frame, which is the same for all images: its own area cancels in comparisons."""
    return median((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) if boxes else np.nan


def _odd(medians: pd.Series, factor: float) -> list[str]:
    """The classes whose median area is `factor` times as large or as small as the other classes' median.

    Of an even number of others both middle values must be as far off, on the same side: their mean would follow a
    single large one, and so blame the class beside it.
    """
    odd = []
    for c, own in medians.items():
        others = medians.drop(c).tolist()
        if others and (own >= factor * median_high(others) or own * factor <= median_low(others)):
            odd.append(str(c))
    return odd


def suspect_classes(images: pd.DataFrame, most: float) -> dict[str, str]:
    """Each class of whose images more than the share `most` is suspect, with what is known against them in words.

    `images` has the columns class and suspect; without the latter nothing is suspect.
    """
    if "suspect" not in images:
        return {}
    codes = images["suspect"].fillna("")
    found = {}
    for c, own in codes.groupby(images["class"], sort=False):
        counts = own[own != ""].value_counts()
        if counts.sum() > most * len(own):
            found[str(c)] = _sentence(str(c), {str(code): int(n) for code, n in counts.items()}, len(own))
    return found


def _sentence(c: str, counts: dict[str, int], total: int) -> str:
    """Such as "31 of 40 photographs of 'cat' have ..., and 2 were ...", the commonest reason first."""
    (first, n), *more = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    clauses = [f"{n} of {total} photographs of {c!r} {_CLAUSES[first]}", *(f"{m} {_CLAUSES[code]}" for code, m in more)]
    return ", and ".join(clauses)
