"""Columns of numbers that a walk fills a batch at a time, and lays down in parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.allocator import give_back_freed_memory
from pipeline.run.parts import Parts

Told = tuple[object, Mapping[str, np.ndarray]]  # a note that JSON can hold, and the sums over all rows so far
SECONDS = 30.0  # of work that a killed run may lose
ROWS = 2000  # that memory holds before they are laid down, however fast they come
WORTH = 50  # laying down takes at most one part in this many of the time


class Columns:
    """Named columns; which there are, the first batch says.

    With a folder they are laid down there in parts, so that memory holds what is not laid down yet, and a later process
    goes on after the last part; without one they stay in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._parts = Parts(folder) if folder is not None else None
        self.kept = len(self._parts) if self._parts is not None else 0  # rows that are laid down
        self._batches: list[dict[str, np.ndarray]] = []
        self._waiting = 0
        self._since, self._took = time.monotonic(), 0.0  # the last time, and how long it took
        self._tidied = self._since

    def __len__(self) -> int:
        return self.kept + self._waiting

    @property
    def waits(self) -> bool:
        """Whether there is something to `keep`."""
        return self._parts is not None and self._waiting > 0

    @property
    def due(self) -> bool:
        """Whether it is time for it."""
        gone = time.monotonic() - self._since
        return self.waits and gone >= WORTH * self._took and (gone >= SECONDS or self._waiting >= ROWS)

    def add(self, columns: Mapping[str, np.ndarray]) -> None:
        """Appends a batch: every column (B, ...).

        Raises:
            ValueError: other columns than before, or columns of unlike length.
        """
        known = tuple(self._batches[0]) if self._batches else tuple(columns)
        if tuple(columns) != known:
            raise ValueError(f"`columns` must be {', '.join(known)}, got {', '.join(columns)}")
        lengths = {len(c) for c in columns.values()}
        if len(lengths) != 1:
            raise ValueError(f"`columns` must be equally long, got {sorted(lengths)}")
        self._batches.append(dict(columns))
        self._waiting += lengths.pop()

    def keep(self, told: Callable[[], Told] = lambda: (None, {})) -> None:
        """Lays down what was added since the last time, if there is any, with what is then `told` beside it."""
        if self._parts is None or not self._waiting:
            return
        start = time.monotonic()
        self._parts.add(self._joined(), *told())
        self.kept, self._waiting, self._batches = len(self._parts), 0, []
        self._since = time.monotonic()
        self._took = self._since - start
        if self._since - self._tidied >= SECONDS:  # else what was kept in between would scatter what comes
            give_back_freed_memory()
            self._tidied = self._since

    def columns(self) -> dict[str, np.ndarray]:
        """Every column, as far as it is filled. What waits is not laid down by this."""
        if self._parts is None or not self.kept:
            return self._joined()
        kept = self._parts.arrays()
        if not self._waiting:
            return kept
        new = self._joined()
        return {name: np.concatenate([values, new[name]]) for name, values in kept.items()}

    def notes(self) -> list[Any]:
        """What was noted with every part."""
        return self._parts.notes() if self._parts is not None else []

    def state(self) -> dict[str, np.ndarray]:
        """The sums that were laid down last."""
        return self._parts.state() if self._parts is not None else {}

    def _joined(self) -> dict[str, np.ndarray]:
        if not self._batches:
            return {}
        return {name: np.concatenate([batch[name] for batch in self._batches]) for name in self._batches[0]}
