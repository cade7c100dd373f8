"""The decoded frames of the audited images on disk, so that every image is decoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.types import Batch, Companions, Example


class Frames:
    """Frames and masks of up to `capacity` images as files, with random access by row number.

    Passes after the first read from here instead of decoding again; memory holds the batch, not the dataset (the
    operating system caches what fits). 224 x 224 costs 163 KB an image. The files live in the run's folder and are
    removed when it is done.
    """

    def __init__(self, folder: Path, capacity: int, frame: tuple[int, int]) -> None:
        height, width = frame
        folder.mkdir(parents=True)
        self.frame = frame
        self.labels: list[str] = []
        self._ids: list[str] = []
        self._boxes: list[Tensor] = []
        self._companions: list[Companions] = []
        size = max(capacity, 1)  # a memory map cannot be empty
        self._images = np.memmap(folder / "images.u8", np.uint8, "w+", shape=(size, 3, height, width))
        packed = (size, -(-height * width // 8))
        self._inside = np.memmap(folder / "inside.bits", np.uint8, "w+", shape=packed)
        self._others = np.memmap(folder / "others.bits", np.uint8, "w+", shape=packed)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, example: Example) -> None:
        """Appends one example as the next row."""
        row = len(self)
        self._images[row] = example.image.numpy()
        self._inside[row] = np.packbits(example.inside.numpy())
        self._others[row] = np.packbits(example.others.numpy())
        self._ids.append(example.record.id)
        self.labels.append(example.record.label)
        self._boxes.append(example.boxes)
        self._companions.append(example.companions)

    def batch(self, rows: Sequence[int] | np.ndarray, index: Mapping[str, int]) -> Batch:
        """The images of these rows on the host, uint8; `index` gives the logit column of each label."""
        rows = np.asarray(rows)
        return Batch(
            ids=tuple(self._ids[r] for r in rows),
            images=torch.from_numpy(self._images[rows]),
            labels=torch.tensor([index[self.labels[r]] for r in rows]),
            inside=self._masks(self._inside, rows),
            others=self._masks(self._others, rows),
            boxes=tuple(self._boxes[r] for r in rows),
            companions=tuple(self._companions[r] for r in rows),
        )

    def _masks(self, packed: np.ndarray, rows: np.ndarray) -> Tensor:
        height, width = self.frame
        bits = np.unpackbits(packed[rows], axis=1, count=height * width)
        return torch.from_numpy(bits.reshape(-1, height, width).astype(bool))
