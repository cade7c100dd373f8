"""The first walk: every image is decoded once, ahead of the model, and kept on disk for the walks that follow."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.properties import properties
from pipeline.passes.columns import Columns
from pipeline.passes.eye import Rows, in_batches
from pipeline.run.frames import Frames
from pipeline.types import Example, Problem

log = logging.getLogger("pipeline")


class Stock:
    """The images of a run: decoded during the first walk, read from disk in every later one.

    `facts` (one row per audited image, in the order of `frames`) and `problems` are complete after the first walk.
    """

    def __init__(self, stream: Iterator[Example | Problem], total: int, frame: tuple[int, int], folder: Path) -> None:
        self.frames = Frames(folder, frame)
        self.problems: list[Problem] = []
        self.total = total
        self._facts: defaultdict[str, list[object]] = defaultdict(list)
        self._properties = Columns(total)
        self._stream: Iterator[Example | Problem] | None = stream

    @property
    def facts(self) -> pd.DataFrame:
        """What is known of each audited image besides its pixels: the first columns of `Observed.images`."""
        return pd.DataFrame(self._facts).assign(**self._properties.columns())

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

    def walk(self, batch_size: int) -> Iterator[Rows]:
        """Rows of `frames` that are ready to be read, a batch at a time."""
        if self._stream is None:
            yield from in_batches(np.arange(len(self.frames)), batch_size)
            return
        start = 0
        for item in self._stream:
            if isinstance(item, Problem):
                log.warning("%s: %s: %s: %s", item.status, item.id, item.reason, item.message)
                self.problems.append(item)
                continue
            self.frames.add(item)
            for name, value in _facts(item).items():
                self._facts[name].append(value)
            self._properties.add(_properties(item))
            if len(self.frames) - start == batch_size:
                yield np.arange(start, len(self.frames))
                start = len(self.frames)
        self._stream = None
        if len(self.frames) > start:
            yield np.arange(start, len(self.frames))


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
    }


def _properties(example: Example) -> dict[str, np.ndarray]:
    found = properties(example.image.numpy(), example.inside.numpy())
    return {f"probe_{k}": np.array([v]) for k, v in found.items()}
