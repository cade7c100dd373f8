"""The decoded frames of the audited images on disk, so that every image is decoded once."""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.types import Batch, Companions, Example


class Frames:
    """Frames and masks of audited images in one file, with random access by row number.

    Passes after the first read from here instead of decoding again; memory holds the batch, not the dataset (the
    operating system caches what fits; a memory map would count as the process's own). 224 x 224 costs 163 KB an image.
    The file lives in the run's folder and is removed when it is done; what an earlier process left in it is only there
    once it was `taken`.
    """

    def __init__(self, folder: Path, frame: tuple[int, int]) -> None:
        height, width = frame
        folder.mkdir(parents=True, exist_ok=True)
        self.frame = frame
        self.labels: list[str] = []
        self.region_kinds: list[str] = []  # mask | box, what the object masks came from
        self.ids: list[str] = []
        self._boxes: list[np.ndarray] = []  # not tensors, which take several times the memory
        self._companions: list[Companions] = []
        self._pixels, self._bits = 3 * height * width, -(-height * width // 8)
        self._file = os.open(folder / "frames.u8", os.O_RDWR | os.O_CREAT)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, example: Example) -> None:
        """Appends one example as the next row."""
        masks = (np.packbits(mask.numpy()) for mask in (example.inside, example.others))
        row = np.concatenate([example.image.numpy().ravel(), *masks])
        if os.pwrite(self._file, row.data, len(self) * len(row)) != len(row):
            raise OSError(errno.ENOSPC, f"only a part of image {example.record.id!r} was taken")
        record = example.record
        self.taken(record.id, record.label, example.region_kind, example.boxes.numpy().copy(), example.companions)

    def taken(self, name: str, label: str, region_kind: str, boxes: np.ndarray, companions: Companions) -> None:
        """The next row is that of this image, as it lies in the file."""
        self.ids.append(name)
        self.labels.append(label)
        self.region_kinds.append(region_kind)
        self._boxes.append(boxes)
        self._companions.append(companions)

    def holds(self, rows: int) -> bool:
        """Whether the file is long enough for so many rows."""
        return os.fstat(self._file).st_size >= rows * (self._pixels + 2 * self._bits)

    def settle(self) -> None:
        """Waits until all rows are on the disk."""
        os.fsync(self._file)

    def batch(self, rows: Sequence[int] | np.ndarray, index: Mapping[str, int]) -> Batch:
        """The images of these rows on the host, uint8; `index` gives the logit column of each label."""
        rows = np.asarray(rows)
        stored = self._read(rows)
        height, width = self.frame
        pixels, inside, others = np.split(stored, [self._pixels, self._pixels + self._bits], axis=1)
        return Batch(
            ids=tuple(self.ids[r] for r in rows),
            images=torch.from_numpy(pixels.reshape(-1, 3, height, width).copy()),
            labels=torch.tensor([index[self.labels[r]] for r in rows]),
            inside=self._masks(inside),
            others=self._masks(others),
            boxes=tuple(torch.from_numpy(self._boxes[r]) for r in rows),
            companions=tuple(self._companions[r] for r in rows),
            outlined=tuple(self.region_kinds[r] == "mask" for r in rows),
        )

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """(B, bytes of a row) uint8."""
        size = self._pixels + 2 * self._bits
        found = np.empty((len(rows), size), np.uint8)
        for row, into in zip(rows, found, strict=True):
            if os.preadv(self._file, [into.data], int(row) * size) != size:
                raise IndexError(f"there is no row {row}, the last is {len(self) - 1}")
        return found

    def _masks(self, packed: np.ndarray) -> Tensor:
        height, width = self.frame
        bits = np.unpackbits(packed, axis=1, count=height * width)
        return torch.from_numpy(bits.reshape(-1, height, width).view(bool))
