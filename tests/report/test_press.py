"""The press: every path once, a bounded number waiting, and no error lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.report.press import Press

PIXELS = torch.zeros(1)


def touch(pixels: Tensor, path: Path) -> None:
    path.write_text("x")


def fail(pixels: Tensor, path: Path) -> None:
    raise OSError(f"no room for {path.name}")


def fail_slowly(pixels: Tensor, path: Path) -> None:
    time.sleep(0.2)
    fail(pixels, path)


def test_all_is_written_when_the_block_ends_and_every_path_once(tmp_path: Path) -> None:
    written: list[str] = []

    def slow(pixels: Tensor, path: Path) -> None:
        time.sleep(0.002)
        written.append(path.name)

    with Press(tmp_path) as press:
        for i in range(30):
            assert press(str(i % 10), slow, PIXELS) == str(i % 10)
    assert sorted(written) == [str(i) for i in range(10)]


def test_who_asks_too_fast_waits(tmp_path: Path) -> None:
    """Of 3 pending pictures none is done: the fourth has to wait until one is."""
    go, asked = threading.Event(), []

    def ask() -> None:
        with Press(tmp_path, threads=1, pending=3) as press:
            for i in range(6):
                press(str(i), lambda pixels, path: (go.wait(10), None)[1], PIXELS)
                asked.append(i)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    assert asked == [0, 1, 2]
    go.set()
    thread.join(10)
    assert asked == list(range(6))


def test_an_error_surfaces_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no room for a"), Press(tmp_path) as press:
        press("a", fail, PIXELS)


def test_an_error_surfaces_when_the_next_is_asked_for(tmp_path: Path) -> None:
    """A full disk ends the run then, not an hour later."""
    reached: list[str] = []

    def ask() -> None:
        with Press(tmp_path, pending=1) as press:
            for name, write in (("a", fail_slowly), ("b", touch), ("c", touch)):  # b waits for a
                reached.append(press(name, write, PIXELS))

    with pytest.raises(OSError, match="no room for a"):
        ask()
    assert reached == ["a", "b"]
    assert not (tmp_path / "b").exists()


def test_the_blocks_own_error_is_not_hidden(tmp_path: Path) -> None:
    def ask() -> None:
        with Press(tmp_path) as press:
            press("a", fail, PIXELS)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ask()


def test_settling_waits_for_all_that_was_asked_for(tmp_path: Path) -> None:
    def slow(pixels: Tensor, path: Path) -> None:
        time.sleep(0.05)
        touch(pixels, path)

    with Press(tmp_path, pending=3) as press:
        for i in range(4):
            press(str(i), slow, PIXELS)
        press.settle()
        assert len(list(tmp_path.iterdir())) == 4
        press("5", slow, PIXELS)  # and it goes on
        press("bad", fail, PIXELS)
        with pytest.raises(OSError, match="no room for bad"):
            press.settle()
        press._errors.clear()
