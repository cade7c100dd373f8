"""A run's folder is complete or absent, never shared, never reused."""

from pathlib import Path

import pytest

from pipeline.run.folder import LockedError, RunFolder, atomic
from pipeline.types import AuditError

DIGEST = "0123456789abcdef"


def test_a_run_is_partial_until_it_is_done(tmp_path: Path) -> None:
    with RunFolder(tmp_path, "demo", DIGEST) as folder:
        (folder.partial / "table.csv").write_text("1")
        assert not folder.final.exists()
    assert (folder.final / "table.csv").read_text() == "1"
    assert not folder.partial.exists()
    assert "done" in (folder.final / "audit.log").read_text()
    assert (tmp_path / "demo" / "latest" / "table.csv").exists()


def test_a_failed_run_stays_partial_and_its_log_says_why(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "demo", DIGEST)
    with pytest.raises(AuditError), folder:
        raise AuditError("the disk is on fire")
    assert not folder.final.exists()
    assert "the disk is on fire" in (folder.partial / "audit.log").read_text()


def test_a_bug_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "demo", DIGEST)
    with pytest.raises(ZeroDivisionError), folder:
        _ = 1 / 0
    assert "Traceback" in (folder.partial / "audit.log").read_text()


def test_the_same_configuration_does_not_run_twice_at_a_time(tmp_path: Path) -> None:
    with RunFolder(tmp_path, "demo", DIGEST):
        with pytest.raises(LockedError, match="another run of this configuration"):
            RunFolder(tmp_path, "demo", DIGEST).__enter__()
        with RunFolder(tmp_path, "demo", "f" * 16):
            pass  # another configuration may
    with RunFolder(tmp_path, "demo", DIGEST):
        pass  # and the same one once the first is done


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    folders = []
    for _ in range(3):
        with RunFolder(tmp_path, "demo", DIGEST) as folder:
            pass
        folders.append(folder.final)
    assert len(set(folders)) == 3


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match=r"`run.folder`: cannot write to .*file"):
        RunFolder(tmp_path / "file", "demo", DIGEST).__enter__()


def test_an_atomic_file_is_whole_or_absent(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), atomic(tmp_path / "x.csv") as part:
        tmp_path.write_text(part.write_text("half") * "x")
    assert list(tmp_path.iterdir()) == []
    with atomic(tmp_path / "x.csv") as part:
        part.write_text("whole")
    assert (tmp_path / "x.csv").read_text() == "whole"
