"""The first walk: every image is decoded once, ahead of the model, and kept on disk for the walks that follow."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.properties import properties
from pipeline.datasets.checks import class_suspicions
from pipeline.passes.columns import Columns
from pipeline.passes.eye import Rows, in_batches
from pipeline.run.frames import Frames
from pipeline.types import AuditError, Example, Problem

log = logging.getLogger("pipeline")


class Stock:
    """The images of a run: decoded during the first walk, read from disk in every later one.

    `stream` gives the images from one of the `total` records on. With `parts` the first walk lays down there how far it
    came, and the stock of a later process goes on after that. `facts` (one row per audited image, in the order of
    `frames`) and `problems` are complete after the first walk.

    Raises:
        AuditError: the frames that the parts are about are gone.
    """

    def __init__(
        self,
        stream: Callable[[int], Iterator[Example | Problem]],
        total: int,
        frame: tuple[int, int],
        folder: Path,
        parts: Path | None = None,
    ) -> None:
        self.frames = Frames(folder, frame)
        self.problems: list[Problem] = []
        self.total = total
        self._facts: defaultdict[str, list[Any]] = defaultdict(list)
        self._properties = Columns(parts)
        self._records = 0  # that were walked over
        for note in self._properties.notes():
            self._take_up(**note)
        self._noted = len(self.problems)
        if not self.frames.holds(len(self.frames)):
            raise AuditError(f"{folder} lacks images of an unfinished run; remove {folder.parent}, and it begins anew")
        self._stream: Iterator[Example | Problem] | None = stream(self._records)

    def _take_up(self, records: int, problems: list[dict[str, Any]], facts: dict[str, list[Any]]) -> None:
        """What one part says of its rows, which lie in the frames' file."""
        self._records = records
        self.problems += [Problem(**{**p, "path": Path(p["path"])}) for p in problems]
        facts["boxes"] = [[tuple(box) for box in boxes] for boxes in facts["boxes"]]
        facts["companions"] = [tuple((c, tuple(box)) for c, box in several) for several in facts["companions"]]
        for name, values in facts.items():
            self._facts[name] += values
        known = ("id", "class", "region_kind", "boxes", "companions")
        for image, label, kind, boxes, companions in zip(*(facts[k] for k in known), strict=True):
            self.frames.taken(image, label, kind, np.array(boxes, np.float32).reshape(-1, 4), companions)

    @property
    def facts(self) -> pd.DataFrame:
        """What is known of each audited image besides its pixels: the first columns of `Observed.images`."""
        known = pd.DataFrame(self._facts)
        return known.assign(suspect=class_suspicions(known), **self._properties.columns())

    @property
    def problem_rows(self) -> pd.DataFrame:
        """`problems` of types.Results."""
        rows = [(p.id, str(p.path), p.status, p.reason, p.message) for p in self.problems]
        return pd.DataFrame(rows, columns=["id", "path", "status", "reason", "message"])

    @property
    def counts(self) -> dict[str, int]:
        """total = audited + skipped + failed, once every image was walked over."""
        skipped = sum(p.status == "skipped" for p in self.problems)
        failed = len(self.problems) - skipped
        counts = {"total": self.total, "audited": len(self.frames), "skipped": skipped, "failed": failed}
        assert counts["total"] == counts["audited"] + skipped + failed, counts
        return counts

    def walk(self, batch_size: int, start: int = 0) -> Iterator[Rows]:
        """Rows of `frames` that are ready to be read, a batch at a time, from `start` on, where a batch begins."""
        yield from in_batches(np.arange(start, len(self.frames)), batch_size)
        if self._stream is None:
            return
        while batch := self._decoded(self._stream, batch_size):
            end = len(self.frames)
            yield np.arange(end - batch, end)
        self._stream = None

    def keep(self) -> None:
        """Lays down what is known of the images that were walked over."""
        if not self._properties.waits:
            return
        self.frames.settle()
        problems = [{**asdict(p), "path": str(p.path)} for p in self.problems[self._noted :]]
        facts = {name: values[self._properties.kept :] for name, values in self._facts.items()}
        note = {"records": self._records, "problems": problems, "facts": facts}
        self._properties.keep(lambda: (note, {}))
        self._noted = len(self.problems)

    def _decoded(self, stream: Iterator[Example | Problem], batch_size: int) -> int:
        """How many more images could be decoded: a batch, or what was left."""
        found = []
        for item in stream:
            self._records += 1
            if isinstance(item, Problem):
                log.warning("%s: %s: %s: %s", item.status, item.id, item.reason, item.message)
                self.problems.append(item)
                continue
            self.frames.add(item)
            for name, value in _facts(item).items():
                self._facts[name].append(value)
            found.append(properties(item.image.numpy(), item.inside.numpy()))
            if len(found) == batch_size:
                break
        if found:
            self._properties.add({f"probe_{k}": np.array([f[k] for f in found]) for k in found[0]})
        return len(found)


def _facts(example: Example) -> dict[str, object]:
    width, height = example.original_size
    return {
        "id": example.record.id,
        "path": str(example.record.path),
        "class": example.record.label,
        "region_kind": example.region_kind,
        "n_objects": len(example.boxes),
        "visible_fraction": example.visible_fraction,
        "width": width,
        "height": height,
        "boxes": [tuple(box) for box in example.boxes.tolist()],
        "companions": example.companions,
        "file_type": example.file_type,
        "camera": example.camera,
        "suspect": example.suspect,
    }
