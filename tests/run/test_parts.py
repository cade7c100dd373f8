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
    own = tmp_path / "looking"
    filled(own)
    ahead = filled(tmp_path / "other")
    ahead.add({"a": np.zeros(3)}, {}, {"sum": np.array(7)})
    (tmp_path / "other" / "state-000000009.npz").rename(own / "state-000000009.npz")
    (own / ".000000006-000000008.npz.part").write_bytes(b"half")
    again = Parts(own)
    assert len(again) == 6
    assert again.state()["sum"] == 2
    assert damaged(own) == ""
    again.add({"a": np.array([6, 7])}, {"i": 3}, {"sum": np.array(9)})
    assert Parts(own).state()["sum"] == 9
    assert [p.name for p in sorted(own.glob("state*"))] == ["state-000000008.npz"]


@pytest.mark.parametrize("lost", ["000000002-000000004", "000000000-000000002", "state-000000006"])
def test_a_gap_is_damage(tmp_path: Path, lost: str) -> None:
    filled(tmp_path / "looking")
    (tmp_path / "looking" / f"{lost}.npz").unlink()
    assert damaged(tmp_path) == "parts of looking are missing"


def test_the_first_part_had_no_sums(tmp_path: Path) -> None:
    Parts(tmp_path / "changing").add({"a": np.zeros(2)}, None, {})
    assert damaged(tmp_path) == ""


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
    assert damaged(tmp_path).startswith("000000002-000000004.npz cannot be read (")


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
