"""A run's folder is complete or absent, never shared, never reused."""

import errno
import json
import os
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


def unfinished(root: Path, name: str, digest: str) -> Path:
    """A folder that a killed run left."""
    folder = root / "demo" / f"{name}-{digest[:6]}.partial"
    for within in ("parts", "frames", "report/edits", "results"):
        (folder / within).mkdir(parents=True)
    (folder / "parts" / "of.json").write_text(json.dumps({"config": digest}))
    (folder / "audit.log").write_text("as it was\n")
    (folder / "images.csv").write_text("half")
    return folder


def test_the_newest_unfinished_run_of_the_same_configuration_is_taken_up(tmp_path: Path) -> None:
    """Under the new id; half-written tables go, and so does what older ones take room with."""
    old, new = (unfinished(tmp_path, f"2020010{i}T000000Z", DIGEST) for i in (1, 2))
    other = unfinished(tmp_path, "20200103T000000Z", "f" * 16)
    with RunFolder(tmp_path, "demo", DIGEST) as folder:
        assert folder.continues == "20200102T000000Z-012345"
        assert not new.exists()
        assert sorted(p.name for p in folder.partial.iterdir()) == ["audit.log", "frames", "parts", "report"]
        assert not (folder.partial / "report" / "edits").exists()
    assert sorted(p.name for p in folder.final.iterdir()) == ["audit.log", "report"]
    told = (folder.final / "audit.log").read_text()
    assert told.startswith("as it was\n")
    assert "takes up what run 20200102T000000Z-012345 left" in told
    assert [p.name for p in old.iterdir() if p.name in ("parts", "frames")] == []
    assert (old / "audit.log").exists()
    assert (other / "parts").exists()


def test_what_cannot_be_taken_up_is_forgotten_but_for_its_log(tmp_path: Path) -> None:
    unfinished(tmp_path, "20200101T000000Z", DIGEST)
    with RunFolder(tmp_path, "demo", DIGEST) as folder:
        folder.forget("other weights than before")
        assert [p.name for p in folder.partial.iterdir()] == ["audit.log"]
        assert folder.continues == ""
    assert "20200101T000000Z-012345 cannot be continued: other weights" in (folder.final / "audit.log").read_text()


def test_a_run_that_failed_before_its_first_part_is_left_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(AuditError), RunFolder(tmp_path, "demo", DIGEST) as folder:
        raise AuditError("no such file")
    with RunFolder(tmp_path, "demo", DIGEST) as again:
        assert again.continues == ""
    assert "no such file" in (folder.partial / "audit.log").read_text()


def test_a_complete_run_that_was_killed_while_it_tidied_up_is_tidied_up(tmp_path: Path) -> None:
    with RunFolder(tmp_path, "demo", DIGEST) as first:
        (first.partial / "frames").mkdir()
    for name in ("parts", "frames"):
        (first.final / name).mkdir()
    with RunFolder(tmp_path, "demo", "f" * 16):
        pass
    assert [p.name for p in first.final.iterdir()] == ["audit.log"]


def test_a_leftover_that_cannot_be_taken_up_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another person's, say; the run begins anew."""
    left = unfinished(tmp_path, "20200101T000000Z", DIGEST)

    def refused(self: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refused)
        folder = RunFolder(tmp_path, "demo", DIGEST).__enter__()
    folder.__exit__(None, None, None)
    assert folder.continues == ""
    assert "cannot be taken up: [Errno 13] Permission denied" in (folder.final / "audit.log").read_text()
    assert left.exists()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_file_systems_that_cannot_wait_for_the_disk_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(at: int) -> None:
        raise OSError(code, "no such thing here")

    monkeypatch.setattr(os, "fsync", refused)
    with atomic(tmp_path / "x.csv") as part:
        part.write_text("whole")
    assert (tmp_path / "x.csv").read_text() == "whole"
    code = errno.EIO
    with pytest.raises(OSError, match="no such thing"), atomic(tmp_path / "y.csv") as part:
        part.write_text("whole")
    assert not (tmp_path / "y.csv").exists()
