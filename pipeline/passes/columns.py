"""Columns of numbers that a walk fills a batch at a time, in one block of memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.core.stats import Floats


class Columns:
    """Named columns of up to `capacity` float64 values; which columns there are, the first batch says.

    One block, since a table per batch left gaps between what came and went: memory then grew ten times as fast as the
    tables.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._names: tuple[str, ...] = ()
        self._block: Floats = np.empty((0, capacity))
        self._filled = 0

    def __len__(self) -> int:
        return self._filled

    def add(self, columns: Mapping[str, np.ndarray]) -> None:
        """Appends a batch: every column (B,).

        Raises:
            ValueError: other columns than before, or more rows than the capacity.
        """
        if not self._names:
            self._names = tuple(columns)
            self._block = np.empty((len(columns), self._capacity))
        if tuple(columns) != self._names:
            raise ValueError(f"`columns` must be {', '.join(self._names)}, got {', '.join(columns)}")
        values = np.stack([np.asarray(c, np.float64) for c in columns.values()])
        end = self._filled + values.shape[1]
        if end > self._capacity:
            raise ValueError(f"`columns` has room for {self._capacity} rows, got {end}")
        self._block[:, self._filled : end] = values
        self._filled = end

    def columns(self) -> dict[str, Floats]:
        """Every column, as far as it is filled."""
        return {name: row[: self._filled] for name, row in zip(self._names, self._block, strict=True)}
