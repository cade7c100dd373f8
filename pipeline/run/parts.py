"""What a run has finished so far, in files that are complete or absent, so that a killed run goes on from there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.run.folder import OF, RunFolder, atomic

_PART = re.compile(r"(\d+)-(\d+)\.npz")


class Parts:
    """The finished parts of one walk over rows: `<first>-<end>.npz`, from row 0 on without a gap.

    A part holds arrays (rows, ...) and a note; beside the last one lies the state of what is summed over all of them.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.paths: list[Path] = []  # of the parts, in order
        self._rows = 0
        found = sorted((int(m[1]), int(m[2]), p) for p in folder.iterdir() if (m := _PART.fullmatch(p.name)))
        for first, end, path in found:
            if first == self._rows:
                self.paths.append(path)
                self._rows = end
        for path in folder.glob("state-*.npz"):  # of a process that ended before it could
            if path != self._state(self._rows):
                path.unlink()

    def __len__(self) -> int:
        return self._rows

    def add(self, arrays: Mapping[str, np.ndarray], note: object, state: Mapping[str, np.ndarray]) -> None:
        """Writes the next part: arrays of equal length, a note that JSON can hold, and the sums up to here."""
        end = self._rows + len(next(iter(arrays.values())))
        before = self._state(self._rows)
        if state:  # before the part, which is what says that the state is there
            _write(self._state(end), state)
        path = self._folder / f"{self._rows:09d}-{end:09d}.npz"
        _write(path, arrays, note, summed=bool(state))
        before.unlink(missing_ok=True)
        self.paths.append(path)
        self._rows = end

    def notes(self) -> list[Any]:
        """Every part's note."""
        return [_said(path)["note"] for path in self.paths]

    def arrays(self) -> dict[str, np.ndarray]:
        """All rows, a part at a time into arrays made once."""
        whole: dict[str, np.ndarray] = {}
        at = 0
        for path in self.paths:
            for name, values in _read(path).items():
                if not at:
                    whole[name] = np.empty((self._rows, *values.shape[1:]), values.dtype)
                whole[name][at : at + len(values)] = values
            at += len(values)
        return whole

    def state(self) -> dict[str, np.ndarray]:
        """The sums over all rows so far; none where none were given."""
        path = self._state(self._rows)
        return _read(path) if path.is_file() else {}

    def _state(self, end: int) -> Path:
        return self._folder / f"state-{end:09d}.npz"


def take_up(folder: RunFolder, facts: Mapping[str, object]) -> None:
    """Makes a run's folder ready for parts; what an unfinished run left stays if it was made of the same facts."""
    of = {"config": folder.digest, **facts}
    if folder.parts.is_dir() and (why := damaged(folder.parts) or _unlike(folder.parts, of)):
        folder.forget(why)
    begun(folder.parts, of)


def begun(folder: Path, facts: Mapping[str, object]) -> str:
    """Makes a folder ready for parts that are made of `facts`; what lies there stays if it was made of the same.

    Returns:
        Why it could not stay; empty where nothing had to go.
    """
    why = _unlike(folder, facts) if folder.is_dir() else ""
    if why:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / OF) as part:
        part.write_text(json.dumps(facts), encoding="utf-8")
    return why


def damaged(folder: Path) -> str:
    """What is wrong with the parts in a folder, or below it: an unreadable one, a gap; empty where all is well."""
    for path in sorted(folder.rglob("*.npz")):
        try:
            _read(path)
        except Exception as error:  # a damaged archive fails in many ways
            return f"{path.name} cannot be read ({type(error).__name__}: {error})"
    for walk in {path.parent for path in folder.rglob("*.npz")}:
        parts = sorted(path for path in walk.iterdir() if _PART.fullmatch(path.name))
        whole = Parts(walk)
        if len(whole.paths) < len(parts) or (parts and _said(parts[-1])["summed"] and not whole.state()):
            return f"parts of {walk.name} are missing"
    return ""


def _unlike(folder: Path, facts: Mapping[str, object]) -> str:
    try:
        before = json.loads((folder / OF).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{OF} cannot be read ({error})"
    now = json.loads(json.dumps(facts))
    other = [k for k in {**before, **now} if before.get(k) != now.get(k)]
    return f"other {', '.join(other)} than before" if other else ""


def _write(path: Path, arrays: Mapping[str, np.ndarray], note: object = None, *, summed: bool = False) -> None:
    """Names are kept beside the arrays, since names within the file must be those of files."""
    said = json.dumps({"names": list(arrays), "note": note, "summed": summed}).encode()
    with atomic(path) as part, part.open("wb") as file:
        numbered = {str(i): values for i, values in enumerate(arrays.values())}
        np.savez(file, said=np.frombuffer(said, np.uint8), **numbered)  # type: ignore[arg-type]


def _read(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return {name: file[str(i)] for i, name in enumerate(json.loads(file["said"].tobytes())["names"])}


def _said(path: Path) -> dict[str, Any]:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return dict(json.loads(file["said"].tobytes()))
