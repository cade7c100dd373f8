"""A run's folder: made fresh, locked, `.partial` until it is complete."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from pipeline.types import AuditError

log = logging.getLogger("pipeline")

PARTS, FRAMES = "parts", "frames"  # of a run that goes on: what its walks finished, and the decoded images
OF = "of.json"  # within the parts: what they were made of, the configuration's digest among it
_LASTING = (PARTS, FRAMES, "report", "audit.log")  # of an unfinished run, when the next one takes it up


class LockedError(AuditError):
    """Another run of the same configuration is going on (exit code 75)."""


@dataclass
class RunFolder:
    """`<root>/<name>/<run_id>/`, complete or absent.

    As a context manager: takes the lock, makes `<run_id>.partial/`, logs into it, and renames it when the block ends
    well. After an error the partial folder stays, with the log that says why; the next run of the same configuration
    takes it up if it has finished parts (`continues` is then its id), under an id of its own.
    """

    root: Path
    name: str
    digest: str  # hex digest of the configuration: tells runs apart and names the lock

    def __post_init__(self) -> None:
        self.created = datetime.now(UTC)
        self.run_id = f"{self.created:%Y%m%dT%H%M%SZ}-{self.digest[:6]}"
        self._parent = self.root.absolute() / self.name
        self.continues = ""

    @property
    def partial(self) -> Path:
        """Where the run works."""
        return self._parent / f"{self.run_id}.partial"

    @property
    def final(self) -> Path:
        """Where the complete run will lie."""
        return self._parent / self.run_id

    @property
    def parts(self) -> Path:
        """Where the walks lay down what they finished."""
        return self.partial / PARTS

    @property
    def frames(self) -> Path:
        """Where the decoded images lie while the run goes on."""
        return self.partial / FRAMES

    @property
    def history(self) -> dict[str, str]:
        """For the provenance: the unfinished run that this one goes on from, if it does."""
        return {"continues": self.continues} if self.continues else {}

    def forget(self, why: str) -> None:
        """Removes all that an unfinished run left but its log: it was not of the same, or it is damaged."""
        log.warning("run %s cannot be continued: %s; everything is done again", self.continues, why)
        for folder in (self.partial / "report", self.frames, self.parts):  # parts last: they say what all this is of
            if folder.is_dir():
                shutil.rmtree(folder)
        self.continues = ""

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
        untaken = self._take_up()
        self._handler = logging.FileHandler(self.partial / "audit.log", encoding="utf-8")
        self._handler.setFormatter(_utc_formatter())
        log.addHandler(self._handler)
        log.setLevel(logging.INFO)
        log.propagate = False  # problems are counted at the end, not printed one by one
        log.info("run %s started", self.run_id)
        if untaken:
            log.warning("what an unfinished run left cannot be taken up: %s", untaken)
        elif self.continues:
            log.info("it takes up what run %s left", self.continues)
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

    def _take_up(self) -> str:
        """Makes the newest unfinished run of this configuration this one's folder; the lock says that nobody is at it.

        Of older ones the log stays, and what takes room goes, as it does of complete runs that were killed just then.

        Returns:
            Why it could not be taken up; empty where it was, or where there is none.
        """
        for folder in self._parent.glob("*Z-*"):
            if not folder.name.endswith(".partial"):
                _clear(folder)
        left = [p for p in sorted(self._parent.glob("*.partial"), reverse=True) if _digest(p) == self.digest]
        for older in left[1:]:
            _clear(older)
        if not left:
            return ""
        try:
            left[0].replace(self.partial)  # which is empty
            for entry in [*self.partial.iterdir(), *self.partial.glob("report/edits")]:
                if entry.name not in _LASTING:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        except OSError as error:
            return str(error)
        self.continues = left[0].name.removesuffix(".partial")
        return ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                log.info("run %s done", self.run_id)
            elif isinstance(error, AuditError):
                log.error("%s", error)
            elif isinstance(error, KeyboardInterrupt):
                log.error("stopped from the keyboard")
            else:
                log.error("the run failed", exc_info=error)
        finally:
            log.removeHandler(self._handler)
            self._handler.close()
        if error is None:
            self.partial.replace(self.final)
            _point(self._parent / "latest", self.run_id)
            _clear(self.final)  # only now: until here a killed run goes on from them
        self._lock.close()


def _clear(folder: Path) -> None:
    """Removes what only an unfinished run needs; what cannot be removed is in nobody's way."""
    for name in (PARTS, FRAMES):
        shutil.rmtree(folder / name, ignore_errors=True)


def _digest(folder: Path) -> str:
    """Of the configuration whose unfinished parts a folder holds; empty where it holds none."""
    try:
        return str(json.loads((folder / PARTS / OF).read_text(encoding="utf-8"))["config"])
    except (OSError, ValueError, KeyError):
        return ""


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


def _settle(path: Path) -> None:
    """Waits until a file or a folder is on the disk, where that can be waited for."""
    try:
        at = os.open(path, os.O_RDONLY)
    except OSError:  # some systems do not open folders
        return
    try:
        os.fsync(at)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # file systems that know no such thing
            raise
    finally:
        os.close(at)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, whole even if the power fails."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        _settle(temporary)
        temporary.replace(path)
        _settle(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
