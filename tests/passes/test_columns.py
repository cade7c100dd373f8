"""Columns: what was put in comes out, in order, from memory and from parts; other columns are refused."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.passes import columns
from pipeline.passes.columns import Columns


def test_batches_come_out_as_one() -> None:
    found = Columns()
    found.add({"a": np.array([1.0, 2.0]), "b": np.array([True, False])})
    found.add({"a": np.array([np.nan]), "b": np.array([True])})
    assert len(found) == 3
    assert np.array_equal(found.columns()["a"], [1, 2, np.nan], equal_nan=True)
    assert found.columns()["b"].tolist() == [True, False, True]


def test_nothing_and_nothing_else(tmp_path: Path) -> None:
    assert Columns().columns() == {}
    assert Columns(tmp_path).columns() == {}
    found = Columns()
    found.add({"a": np.array([1.0])})
    with pytest.raises(ValueError, match="must be a, got b"):
        found.add({"b": np.array([1.0])})
    with pytest.raises(ValueError, match=r"equally long, got \[1, 2\]"):
        Columns().add({"a": np.zeros(1), "b": np.zeros(2)})
    assert len(found) == 1


def test_a_later_process_goes_on_after_the_last_part(tmp_path: Path) -> None:
    """What was added and not laid down is lost with the process; notes and sums are those of what was laid down."""
    found = Columns(tmp_path)
    for i in range(4):
        found.add({"a": np.array([i, i + 0.5]), "wide/ \u00e4": np.full((2, 3, 2), i, np.float16)})
        if i < 3:
            found.keep(lambda i=i: ({"part": i}, {"sum": np.array([i])}))  # type: ignore[misc]
    assert len(found) == 8
    assert found.columns()["a"].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    later = Columns(tmp_path)
    assert (len(later), later.kept) == (6, 6)
    assert later.notes() == [{"part": 0}, {"part": 1}, {"part": 2}]
    assert later.state()["sum"].tolist() == [2]
    later.add({"a": np.array([9.0]), "wide/ \u00e4": np.ones((1, 3, 2), np.float16)})
    assert later.columns()["a"].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 9]
    wide = later.columns()["wide/ \u00e4"]
    assert (wide.shape, wide.dtype) == ((7, 3, 2), np.float16)
    assert len(list(tmp_path.glob("state-*"))) == 1


def test_it_is_time_when_there_is_something_and_enough_time_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laying down takes at most one part in fifty of the time, however long it takes."""
    now = 0.0
    monkeypatch.setattr(columns.time, "monotonic", lambda: now)
    found, nowhere = Columns(tmp_path), Columns()
    now = 31
    assert not found.due
    for c in (found, nowhere):
        c.add({"a": np.zeros(1)})
    assert found.due
    assert not nowhere.due
    assert not nowhere.waits

    def slowly(*_: object) -> None:
        nonlocal now
        now += 2

    monkeypatch.setattr(found._parts, "add", slowly)
    found.keep()
    found.add({"a": np.zeros(1)})
    now += 99
    assert not found.due
    now += 1
    assert found.due
    monkeypatch.setattr(found._parts, "add", lambda *_: None)
    found.keep()
    found.add({"a": np.zeros(columns.ROWS - 1)})
    now += 1
    assert not found.due
    found.add({"a": np.zeros(1)})
    assert found.due
