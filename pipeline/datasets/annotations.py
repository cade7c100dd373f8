"""What the annotation formats share: where images lie, which boxes make sense, an image's label, unique ids."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from pipeline.types import AuditError, Box, ObjectRegion, Problem, Record

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
)
LABEL_RULES = ("largest", "single")
ANYWHERE: Box = (0.0, 0.0, math.inf, math.inf)  # no box is known; the object's mask says where it is


class UnusableError(Exception):
    """One image cannot be audited; the run goes on without it. Turned into a `Problem` by whoever knows the image."""

    def __init__(self, reason: str, message: str, status: Literal["skipped", "failed"] = "failed") -> None:
        super().__init__(message)
        self.reason, self.message, self.status = reason, message, status

    def problem(self, image_id: str, path: Path) -> Problem:
        return Problem(id=image_id, path=path, status=self.status, reason=self.reason, message=self.message)


def attempt(image_id: str, path: Path, make: Callable[[], Record]) -> Record | Problem:
    """What `make` returns, or the problem that it raised."""
    try:
        return make()
    except UnusableError as unusable:
        return unusable.problem(image_id, path)


def under(root: Path, name: str) -> Path:
    """The path that `name` means below `root`; raises UnusableError where it leads out. Links inside are followed."""
    base = os.path.abspath(root)  # noqa: PTH100 -- resolve() would follow links, and linked datasets are common
    path = os.path.normpath(os.path.join(base, name))  # noqa: PTH118
    if os.path.commonpath([base, path]) != base or "\0" in name:
        raise UnusableError(
            "path_outside_root", f"{name!r} leads out of {root}; write a path that stays below that folder"
        )
    return root / os.path.relpath(path, base)


def existing(path: Path, named_by: str) -> Path:
    """`path`; raises UnusableError unless it is a file."""
    if not path.is_file():
        raise UnusableError(
            "missing_file", f"{named_by} names {path}, which is not there; add the image or drop its annotation"
        )
    return path


def images_in(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name; hidden ones left out."""
    files = (f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and not f.name.startswith("."))
    return sorted(f for f in files if f.is_file())


def folder(path: Path, parameter: str) -> Path:
    """`path`; raises AuditError unless it is a folder."""
    if not path.is_dir():
        raise AuditError(f"`{parameter}` must be a folder, but {path} is not there; correct the path in the config")
    return path


def text(path: Path, parameter: str) -> str:
    """The content of a text file; raises AuditError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise AuditError(f"`{parameter}` must be a UTF-8 text file, but {path} {reason}; correct the path") from error


def sound(box: Box, name: str, source: str) -> Box:
    """`box`; raises UnusableError unless it has finite corners in order. Loading sees whether it lies in the image."""
    x0, y0, x1, y1 = box
    if not (all(map(math.isfinite, box)) and x0 < x1 and y0 < y1):
        raise UnusableError(
            "bad_box",
            f"{source}: the box of {name} must have x0 < x1 and y0 < y1, got {box} (half-open pixels); correct it",
        )
    return box


def chosen_label(objects: Sequence[ObjectRegion], rule: str, classes: Sequence[str] | None, source: str) -> str:
    """The class that the image is audited for: the only one (`single`) or the one with the largest total box area.

    Of several classes with the same area the first annotated wins. `classes`, where given, are the only candidates.
    Raises UnusableError (skipped) where there is none, or more than one and `rule` is `single`.
    """
    if not objects:
        raise UnusableError("no_objects", f"{source} has no objects; annotate one or leave the image out", "skipped")
    areas: dict[str, float] = {}
    for region in objects:
        x0, y0, x1, y1 = region.box
        if classes is None or region.label in classes:
            areas[region.label] = areas.get(region.label, 0.0) + (x1 - x0) * (y1 - y0)
    found = ", ".join(sorted({region.label for region in objects}))
    if not areas:
        raise UnusableError(
            "class_not_audited",
            f"{source} has objects of {found} only; add a class to `classes` to audit it",
            "skipped",
        )
    if rule == "single" and len(areas) > 1:
        raise UnusableError(
            "several_classes", f"{source} has objects of {found}; `label: largest` would take the largest", "skipped"
        )
    return max(areas, key=areas.__getitem__)


def check_label_rule(rule: str, classes: Sequence[str] | None) -> None:
    """Raises ValueError unless both are usable."""
    if rule not in LABEL_RULES:
        raise ValueError(f"`label` must be one of {', '.join(LABEL_RULES)}, got {rule!r}")
    if classes is not None and (isinstance(classes, str) or not classes):
        raise ValueError(f"`classes` must be null or a list of one or more class names, got {classes!r}")


def check_classes(classes: Sequence[str] | None, known: Iterable[str], source: Path) -> None:
    """Raises AuditError where `classes` asks for one that the dataset does not have."""
    names = set(known)
    unknown = [name for name in classes or () if name not in names]
    if unknown:
        raise AuditError(f"`classes` names {', '.join(unknown)}, but {source} only has {', '.join(sorted(names))}")


def complete(entries: Sequence[Record | Problem], source: Path) -> list[Record | Problem]:
    """The entries, each id once: the second image of an id, or the second annotation of an image, is a problem.

    Raises AuditError where there are no entries at all.
    """
    if not entries:
        raise AuditError(f"{source} names no images; check `root`, `images`, `annotations` and `split` in the config")
    taken = {entry.id for entry in entries}
    seen: set[str] = set()
    paths: dict[Path, str] = {}
    return [_once(entry, seen, paths, taken) for entry in entries]


def _once(entry: Record | Problem, seen: set[str], paths: dict[Path, str], taken: set[str]) -> Record | Problem:
    if entry.id in seen:
        message = (
            f"{entry.path}: the id {entry.id!r} is taken by an earlier image; give each image one entry and one id"
        )
        free = next(name for n in count(2) if (name := f"{entry.id}#{n}") not in taken)
        taken.add(free)
        return UnusableError("duplicate_id", message).problem(free, entry.path)
    seen.add(entry.id)
    if isinstance(entry, Problem):
        return entry
    if entry.path in paths:
        message = f"{entry.path} is already audited as {paths[entry.path]!r}; join its annotations in one"
        return UnusableError("duplicate_image", message).problem(entry.id, entry.path)
    paths[entry.path] = entry.id
    return entry
