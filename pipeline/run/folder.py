"""A run's folder: made fresh, locked, `.partial` until it is complete."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from pipeline.types import AuditError

log = logging.getLogger("pipeline")


class LockedError(AuditError):
    """Another run of the same configuration is going on (exit code 75)."""


@dataclass
class RunFolder:
    """`<root>/<name>/<run_id>/`, complete or absent.

    As a context manager: takes the lock, makes `<run_id>.partial/`, logs into it, and renames it when the block ends
    well. After an error the partial folder stays, with the log that says why.
    """

    root: Path
    name: str
    digest: str  # hex digest of the configuration: tells runs apart and names the lock

    def __post_init__(self) -> None:
        self.created = datetime.now(UTC)
        self.run_id = f"{self.created:%Y%m%dT%H%M%SZ}-{self.digest[:6]}"
        self._parent = self.root.absolute() / self.name

    @property
    def partial(self) -> Path:
        """Where the run works."""
        return self._parent / f"{self.run_id}.partial"

    @property
    def final(self) -> Path:
        """Where the complete run will lie."""
        return self._parent / self.run_id

    def __enter__(self) -> RunFolder:
        try:
            self._parent.mkdir(parents=True, exist_ok=True)
            self._lock = (self._parent / f".{self.digest[:12]}.lock").open("w")
        except OSError as error:
            raise AuditError(
                f"`run.folder`: cannot write to {self._parent} ({error.strerror}); give a folder that can be written to"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise LockedError(f"another run of this configuration is writing to {self._parent}; wait for it") from None
        self._make_fresh()
        self._handler = logging.FileHandler(self.partial / "audit.log", encoding="utf-8")
        self._handler.setFormatter(_utc_formatter())
        log.addHandler(self._handler)
        log.setLevel(logging.INFO)
        log.propagate = False  # problems are counted at the end, not printed one by one
        log.info("run %s started", self.run_id)
        return self

    def _make_fresh(self) -> None:
        """Two runs that start in the same second get different ids; nothing is ever reused."""
        wanted = self.run_id
        for attempt in range(2, 100):
            if not self.final.exists():
                try:
                    self.partial.mkdir()
                    return
                except FileExistsError:
                    pass
            self.run_id = f"{wanted}-{attempt}"
        raise AuditError(f"`run.folder`: {self._parent} already holds {wanted} and 98 more of the same second")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                log.info("run %s done", self.run_id)
            elif isinstance(error, AuditError):
                log.error("%s", error)
            else:
                log.error("the run failed", exc_info=error)
        finally:
            log.removeHandler(self._handler)
            self._handler.close()
        if error is None:
            self.partial.replace(self.final)
            _point(self._parent / "latest", self.run_id)
        self._lock.close()


def _point(link: Path, target: str) -> None:
    """Moves the `latest` link, atomically; a file system without links simply has none."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        fresh.symlink_to(target, target_is_directory=True)
        fresh.replace(link)
    except OSError as error:
        log.warning("no `latest` link: %s", error)


def _utc_formatter() -> logging.Formatter:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
