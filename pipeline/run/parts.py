"""What a run has finished so far, in files that are complete or absent, so that a killed run goes on from there."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
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
        self._paths: list[Path] = []
        self._rows = 0
        found = sorted((int(m[1]), int(m[2]), p) for p in folder.iterdir() if (m := _PART.fullmatch(p.name)))
        for first, end, path in found:
            if first == self._rows:
                self._paths.append(path)
                self._rows = end

    def __len__(self) -> int:
        return self._rows

    def add(self, arrays: Mapping[str, np.ndarray], note: object, state: Mapping[str, np.ndarray]) -> None:
        """Writes the next part: arrays of equal length, a note that JSON can hold, and the sums up to here."""
        end = self._rows + len(next(iter(arrays.values())))
        before = self._state(self._rows)
        if state:  # before the part, which is what says that the state is there
            _write(self._state(end), state, None)
        path = self._folder / f"{self._rows:09d}-{end:09d}.npz"
        _write(path, arrays, note)
        before.unlink(missing_ok=True)
        self._paths.append(path)
        self._rows = end

    def notes(self) -> list[Any]:
        """Every part's note."""
        return [_read(path)[1] for path in self._paths]

    def arrays(self) -> dict[str, np.ndarray]:
        """All rows, a part at a time into arrays made once."""
        whole: dict[str, np.ndarray] = {}
        at = 0
        for path in self._paths:
            part, _ = _read(path)
            for name, values in part.items():
                if not at:
                    whole[name] = np.empty((self._rows, *values.shape[1:]), values.dtype)
                whole[name][at : at + len(values)] = values
            at += len(values)
        return whole

    def state(self) -> dict[str, np.ndarray]:
        """The sums over all rows so far; none where none were given."""
        path = self._state(self._rows)
        return _read(path)[0] if path.is_file() else {}

    def _state(self, end: int) -> Path:
        return self._folder / f"state-{end:09d}.npz"


def take_up(folder: RunFolder, facts: Mapping[str, object]) -> None:
    """Makes a run's folder ready for parts; what an unfinished run left stays if it was made of the same facts."""
    if why := damaged(folder.parts) or begun(folder.parts, {"config": folder.digest, **facts}):
        folder.forget(why)
        begun(folder.parts, {"config": folder.digest, **facts})


def begun(folder: Path, facts: Mapping[str, object]) -> str:
    """Makes a folder ready for parts that are made of `facts`; what lies there stays if it was made of the same.

    Returns:
        Why it could not stay; empty where nothing had to go.
    """
    why = _unlike(folder / OF, json.loads(json.dumps(facts))) if folder.is_dir() else ""
    if why:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / OF) as part:
        part.write_text(json.dumps(facts), encoding="utf-8")
    return why


def damaged(folder: Path) -> str:
    """The first part in a folder, or below it, that cannot be read, and why; empty where all can."""
    for path in sorted(folder.rglob("*.npz")):
        try:
            with zipfile.ZipFile(path) as file:
                if wrong := file.testzip():
                    return f"{path.name} is damaged ({wrong})"
        except (OSError, zipfile.BadZipFile) as error:
            return f"{path.name} cannot be read ({error})"
    return ""


def _unlike(path: Path, facts: Mapping[str, Any]) -> str:
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read ({error})"
    other = [k for k in {**before, **facts} if before.get(k) != facts.get(k)]
    return f"other {', '.join(other)} than before" if other else ""


def _write(path: Path, arrays: Mapping[str, np.ndarray], note: object) -> None:
    """Names are kept beside the arrays, since names within the file must be those of files."""
    said = json.dumps({"names": list(arrays), "note": note}).encode()
    with atomic(path) as part, part.open("wb") as file:
        numbered = {str(i): values for i, values in enumerate(arrays.values())}
        np.savez(file, said=np.frombuffer(said, np.uint8), **numbered)  # type: ignore[arg-type]


def _read(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    with np.load(path, allow_pickle=False) as file:
        said = json.loads(file["said"].tobytes())
        return {name: file[str(i)] for i, name in enumerate(said["names"])}, said["note"]
