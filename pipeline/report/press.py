"""The press: pictures are encoded in a few threads beside the model, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from types import TracebackType

from torch import Tensor

Writes = Callable[[Tensor, Path], None]
THREADS = 2
PENDING = 48  # pictures that wait at once: one of 224 x 224 is 150 KB, a map of 112 x 112 50 KB


class Press:
    """Writes pictures into `folder` while the model goes on; every path is written once, whoever asks for it.

    As a context manager: when the block ends, all pictures are written. Who asks while `pending` pictures wait, waits
    too, so that memory does not grow with the dataset. A picture that cannot be written ends the run: its error is
    raised when the next one is asked for, or at the end of the block.
    """

    def __init__(self, folder: Path, *, threads: int = THREADS, pending: int = PENDING) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="press")
        self._pending = pending
        self._room = BoundedSemaphore(pending)
        self._asked: set[str] = set()
        self._errors: list[Exception] = []

    def __call__(self, path: str, write: Writes, pixels: Tensor) -> str:
        """Has `write` write the pixels (on the host, left alone from now on) to `path` in the folder; gives the path.

        Raises what an earlier picture failed with.
        """
        if self._errors:
            raise self._errors[0]
        if path not in self._asked:
            self._asked.add(path)
            self._room.acquire()
            self._pool.submit(self._write, path, write, pixels)
        return path

    def wrote(self, path: str) -> bool:
        """Whether an earlier process wrote it, so that nobody need; a machine that failed may have left it empty."""
        file = self._folder / path
        there = file.is_file() and file.stat().st_size > 0
        if there:
            self._asked.add(path)
        return there

    def sweep(self) -> None:
        """Removes pictures of an earlier process that nobody asked for, once all have been."""
        self.settle()
        for path in [p for p in self._folder.rglob("*") if p.suffix in (".webp", ".png")]:
            if path.relative_to(self._folder).as_posix() not in self._asked:
                path.unlink()

    def settle(self) -> None:
        """Waits until every picture that was asked for is written; raises what one failed with."""
        for _ in range(self._pending):
            self._room.acquire()
        self._room.release(self._pending)
        if self._errors:
            raise self._errors[0]

    def _write(self, path: str, write: Writes, pixels: Tensor) -> None:
        try:
            if not self._errors:
                write(pixels, self._folder / path)
        except Exception as error:  # for whoever asks next: nobody looks at the thread's own result
            self._errors.append(error)
        finally:
            self._room.release()

    def __enter__(self) -> Press:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is None and self._errors:
            raise self._errors[0]
