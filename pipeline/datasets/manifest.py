"""A plain table: one CSV row per image, with boxes, a mask, or both."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.datasets import annotations as shared
from pipeline.datasets.annotations import UnusableError
from pipeline.types import AuditError, Box, ObjectRegion, PngMask, Problem, Record

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A CSV with a header. Further columns are ignored. Columns:

    path: the photograph, relative to `root`.
    label: its class.
    boxes: its objects as "x0 y0 x1 y1; x0 y0 x1 y1", in pixels from 0, half-open (x1 and y1 are the first beyond).
    mask: a black and white image of the photograph's size, relative to `root`, that covers all its objects.
    id: a name for the image; its path where the column or the cell is empty.

    One of `boxes` and `mask` must be there; without boxes, the mask's bounds are the box.

    Args:
        path: the CSV, UTF-8.
        root: the folder that photographs and masks lie in; None for the CSV's own.
    """

    path: str | Path
    root: str | Path | None = None

    def records(self) -> list[Record | Problem]:
        """One entry per row, in the table's order. Raises AuditError where a column is missing or there is no row."""
        source = Path(self.path)
        root = shared.folder(source.parent if self.root is None else Path(self.root), "root")
        return shared.complete([_entry(row, n, source, root) for n, row in enumerate(_rows(source), start=1)], source)


def _rows(source: Path) -> list[dict[Any, str]]:
    content = io.StringIO(shared.text(source, "path"))
    try:
        reader = csv.DictReader(content, restval="", skipinitialspace=True, strict=True)
        columns = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = list(reader)
    except csv.Error as error:
        raise AuditError(f"{source} must be a CSV table, but {error}; export it again") from error
    if not {"path", "label"} <= set(columns) or not {"boxes", "mask"} & set(columns):
        found = ", ".join(columns) or "none"
        raise AuditError(f"{source} must have the columns path, label, and boxes or mask; found {found}; rename them")
    return rows


def _entry(cells: Mapping[Any, str], number: int, source: Path, root: Path) -> Record | Problem:
    row = {column: value.strip() for column, value in cells.items() if column is not None}
    where = f"row {number} of {source}"
    image_id = row.get("id") or row["path"] or f"row {number}"

    def make() -> Record:
        if None in cells:
            raise UnusableError(
                "bad_annotation", f"{where} has more cells than the header; quote values that hold a comma"
            )
        if not row["path"] or not row["label"]:
            raise UnusableError("bad_annotation", f"{where} must have a path and a label; fill in what is missing")
        path = shared.existing(shared.under(root, row["path"]), where)
        objects = _objects(row, root, where)
        if not objects:
            raise UnusableError(
                "no_objects", f"{where} has neither boxes nor a mask; annotate it or drop it", "skipped"
            )
        return Record(id=image_id, path=path, label=row["label"], objects=objects)

    return shared.attempt(image_id, root / row["path"], make)


def _objects(row: Row, root: Path, where: str) -> tuple[ObjectRegion, ...]:
    mask = PngMask(path=shared.under(root, row["mask"])) if row.get("mask") else None
    texts = [text for text in row.get("boxes", "").split(";") if text.strip()]
    boxes = [_box(text, f"number {n}", where) for n, text in enumerate(texts, start=1)]
    if mask is not None and not boxes:
        boxes = [shared.ANYWHERE]
    return tuple(ObjectRegion(label=row["label"], box=box, mask=mask) for box in boxes)


def _box(text: str, name: str, where: str) -> Box:
    try:
        x0, y0, x1, y1 = (float(value) for value in text.split())
    except ValueError as error:
        message = f'{where}: box {name} must be four numbers "x0 y0 x1 y1", got {text.strip()!r}; correct it'
        raise UnusableError("bad_annotation", message) from error
    return shared.sound((x0, y0, x1, y1), name, where)
