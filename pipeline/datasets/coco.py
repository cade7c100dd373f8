"""COCO: one JSON for all images, with boxes, polygons and run-length masks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.datasets import annotations as shared
from pipeline.datasets import masks
from pipeline.datasets.annotations import UnusableError
from pipeline.types import AuditError, Box, ObjectRegion, Problem, Record

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Coco:
    """A JSON in COCO's instances layout; an image's id is its `file_name`.

    Args:
        annotations: the JSON.
        images: folder that each `file_name` lies in.
        label: `largest` (the class with the largest total box area) or `single` (images with several are skipped).
        classes: the only classes to audit; objects of all others stay as other objects. None for every class.
        unlisted: whether images that lie beside listed ones, but are not in the JSON, count as skipped; switch it off
            where the JSON is one split of a shared folder.

    Crowds (`iscrowd`) are regions like any other. An object without `bbox` gets the bounds of its mask.
    """

    annotations: str | Path
    images: str | Path
    label: str = "largest"
    classes: Sequence[str] | None = None
    unlisted: bool = True

    def __post_init__(self) -> None:
        shared.check_label_rule(self.label, self.classes)

    def records(self) -> list[Record | Problem]:
        """One entry per image, in the JSON's order. Raises AuditError where the JSON is no COCO or names none."""
        source = Path(self.annotations)
        folder = shared.folder(Path(self.images), "images")
        content = _content(source)
        names = {_key(row.get("id")): str(row.get("name", "")) for row in content["categories"]}
        shared.check_classes(self.classes, names.values(), source)
        objects: dict[str, list[Row]] = {}
        for row in content["annotations"]:
            objects.setdefault(_key(row.get("image_id")), []).append(row)

        owners = {_key(row.get("id")): row for row in reversed(content["images"])}  # the first image of an id
        entries = [self._entry(row, objects, owners, names, folder) for row in content["images"]]
        entries += [_stray(key, source) for key in objects if key not in owners]
        if self.unlisted:
            entries += _unlisted(folder, {entry.path for entry in entries}, source)
        return shared.complete(entries, source)

    def _entry(
        self,
        row: Row,
        objects: Mapping[str, list[Row]],
        owners: Mapping[str, Row],
        names: Mapping[str, str],
        folder: Path,
    ) -> Record | Problem:
        key, name = _key(row.get("id")), row.get("file_name")
        image_id = name if isinstance(name, str) and name else f"image {key}"
        where = f"image {image_id!r} of {self.annotations}"

        def make() -> Record:
            if image_id != name or row.get("id") is None:
                raise UnusableError(
                    "bad_annotation", f"{where} must have an `id` and a `file_name`; add what is missing"
                )
            if owners[key] is not row:
                raise UnusableError("duplicate_id", f"{where} has the id {key} of an earlier image; give it its own")
            path = shared.existing(shared.under(folder, image_id), where)
            size = _size(row)
            regions = tuple(_region(o, names, size, where) for o in objects.get(key, ()))
            label = shared.chosen_label(regions, self.label, self.classes, where)
            return Record(id=image_id, path=path, label=label, objects=regions, size=size)

        return shared.attempt(image_id, folder / image_id, make)


def _content(source: Path) -> Mapping[str, list[Row]]:
    layout = "a COCO instances file: an object with the lists `images`, `annotations` and `categories`"
    try:
        content = json.loads(shared.text(source, "annotations"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise AuditError(f"{source} must be {layout}, but it is no JSON ({error}); export it again") from error
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise AuditError(f"{source} must be {layout}; `{key}` is missing or no list of objects; export it again")
    return content


def _key(identifier: object) -> str:
    """An id as written: 7 and "7" are two."""
    return json.dumps(identifier)


def _size(row: Row) -> tuple[int, int] | None:
    width, height = row.get("width"), row.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None


def _region(row: Row, names: Mapping[str, str], size: tuple[int, int] | None, where: str) -> ObjectRegion:
    name = f"annotation {row.get('id')}"
    label = names.get(_key(row.get("category_id")), "")
    try:
        if not label:
            raise ValueError(f"its category {row.get('category_id')!r} is not in `categories`, or has no name")
        segmentation = row.get("segmentation")
        if isinstance(segmentation, list) and segmentation and size is None:
            raise ValueError("polygons need the `width` and `height` of their image")
        mask = masks.from_segmentation(segmentation, size or (0, 0))
        bbox = row.get("bbox")
        box = masks.extent(mask) if mask is not None and not bbox else _corners(bbox)
        shared.sound(box, f"{name} ({label})", where)
        return ObjectRegion(label=label, box=box, mask=mask)
    except (ValueError, TypeError) as error:
        raise UnusableError("bad_annotation", f"{where}: {name}: {error}; correct it") from error


def _corners(bbox: Any) -> Box:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"`bbox` must be [x, y, width, height], got {bbox!r}")
    # COCO counts from 0 at the pixel's corner, so its x, y need no shift.
    x, y, width, height = (float(v) for v in bbox)
    return x, y, x + width, y + height


def _stray(key: str, source: Path) -> Problem:
    message = f"{source} has annotations of image_id {key}, which is not among its `images`; add the image or drop them"
    return UnusableError("bad_annotation", message).problem(f"image_id {key}", source)


def _unlisted(folder: Path, listed: set[Path], source: Path) -> list[Record | Problem]:
    parents = sorted({path.parent for path in listed if path.parent.is_dir() and path.is_relative_to(folder)})
    files = (file for parent in parents for file in shared.images_in(parent) if file not in listed)
    message = f"{source} does not list this image; annotate it, or set `unlisted: false`"
    nothing = UnusableError("no_objects", message, "skipped")
    return [nothing.problem(file.relative_to(folder).as_posix(), file) for file in files]
