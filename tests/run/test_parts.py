"""Parts: whole or absent, in order, and only of what they were begun with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.run.parts import Parts, begun, damaged


def filled(folder: Path) -> Parts:
    parts = Parts(folder)
    for i in range(3):
        parts.add({"a": np.arange(2) + 2 * i}, {"i": i}, {"sum": np.array(i)})
    return parts


def test_parts_come_back_in_order_in_another_process(tmp_path: Path) -> None:
    filled(tmp_path / "looking")
    again = Parts(tmp_path / "looking")
    assert len(again) == 6
    assert again.arrays()["a"].tolist() == [0, 1, 2, 3, 4, 5]
    assert again.notes() == [{"i": 0}, {"i": 1}, {"i": 2}]
    assert again.state()["sum"] == 2


def test_nothing_yet(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "looking")
    assert (len(parts), parts.arrays(), parts.notes(), parts.state()) == (0, {}, [], {})


def test_what_was_being_written_is_not_there(tmp_path: Path) -> None:
    """Killed between the sums and the part: the part before counts, with its own sums."""
    filled(tmp_path)
    (tmp_path / "state-000000008.npz").write_bytes((tmp_path / "state-000000006.npz").read_bytes())
    (tmp_path / ".000000006-000000008.npz.part").write_bytes(b"half")
    again = Parts(tmp_path)
    assert len(again) == 6
    assert again.state()["sum"] == 2
    assert damaged(tmp_path) == ""
    again.add({"a": np.array([6, 7])}, {"i": 3}, {"sum": np.array(9)})
    assert Parts(tmp_path).state()["sum"] == 9
    assert [p.name for p in sorted(tmp_path.glob("state*"))] == ["state-000000008.npz"]


def test_a_gap_ends_what_counts(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "000000002-000000004.npz").unlink()
    assert len(Parts(tmp_path)) == 2


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_damage_is_named(tmp_path: Path, how: str) -> None:
    filled(tmp_path / "deep" / "er")
    assert damaged(tmp_path) == ""
    path = tmp_path / "deep" / "er" / "000000002-000000004.npz"
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[:100]
    else:
        content[-300 - len(content) // 4] ^= 0xFF
    path.write_bytes(content)
    assert damaged(tmp_path).startswith("000000002-000000004.npz ")


def test_parts_stay_only_with_what_they_are_made_of(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    assert begun(folder, {"weights": "a", "of": ["x", None]}) == ""
    filled(folder / "looking")
    assert begun(folder, {"weights": "a", "of": ["x", None]}) == ""
    assert len(Parts(folder / "looking")) == 6
    assert begun(folder, {"weights": "b", "of": ["x", None], "new": 1}) == "other weights, new than before"
    assert len(Parts(folder / "looking")) == 0
    (folder / "of.json").write_text("{")
    assert begun(folder, {"weights": "b"}).startswith("of.json cannot be read")
