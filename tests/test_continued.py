"""Killed at any moment and started again, a run goes on from its finished parts and ends as if it had not stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from pipeline import audit as audits
from pipeline.config import packaged
from pipeline.models import classifier as classifiers
from pipeline.passes import columns
from pipeline.passes.columns import Columns
from pipeline.run import folder as folders
from pipeline.run.parts import Parts
from pipeline.run.stored import stored
from pipeline.types import AuditError
from tests.test_audit import Compose, carry_out, options, report_files
from tests.worlds import write_world


class Killed(BaseException):
    """As sudden as a signal: nothing in the pipeline catches it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, call: int) -> None:
    """The process ends at that call of a function or method."""
    calls, whole = count(1), getattr(owner, name)

    def stops(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            raise Killed
        return whole(*args, **kwargs)

    monkeypatch.setattr(owner, name, stops)


class Whole(NamedTuple):
    manifest: Path
    folder: Path
    batches: int


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many batches have been looked at or changed since."""
    batches = 0
    whole = Columns.add

    def adds(self: Columns, values: Any) -> None:
        nonlocal batches
        batches += 1
        whole(self, values)

    monkeypatch.setattr(Columns, "add", adds)
    return lambda: batches


@pytest.fixture(autouse=True, scope="module")
def _a_part_per_batch() -> Iterator[None]:
    """And chunks that no timing chooses: their sizes move the last digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "SECONDS", 0.0)
        patch.setattr(columns, "WORTH", 0.0)
        patch.setattr(classifiers, "fastest_chunk", lambda *_: 8)
        yield


def damaged_world(folder: Path) -> Path:
    """The manifest of 32 images, of which three cannot be audited: the first, one in the middle, and the last."""
    manifest = write_world(folder, 8)
    for name in ("red-000", "blue-002", "yellow-007"):
        (folder / f"{name}.png").write_bytes(b"not a picture")
    return manifest


FEW = ["effort=fast", "methods=[saliency]", "signals=[removed_excess,places]", "sections=[verdict,gallery]"]


def settings(manifest: Path, *more: str) -> list[str]:
    """Two models, small batches, every kind of walk; pictures of some images only."""
    twin = [o for o in options(manifest, "ObjectReader") if o.startswith("model")]
    twin = [o.replace("model.", "twin.").replace("model=", "model@twin=") for o in twin]
    return [*options(manifest, "CornerReader"), *twin, "run.batch_size=5", "report.images=9", *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run with `FEW` settings that nothing stopped."""
    at = tmp_path_factory.mktemp("whole")
    manifest = damaged_world(at / "world")
    with initialize_config_dir(str(packaged("conf")), version_base="1.3"):
        config = compose("config", settings(manifest, *FEW))
    with pytest.MonkeyPatch.context() as patch:
        batches = counted(patch)
        _, folder = carry_out(config, at / "reports")
        return Whole(manifest, folder, batches())


def same(first: Path, second: Path) -> None:
    """Two runs found and show the same."""
    for table in ("images.csv", "interventions.csv", "classes.csv", "findings.csv", "errors.csv"):
        assert (first / table).read_bytes() == (second / table).read_bytes(), table
    assert report_files(first) == report_files(second)
    for name in report_files(first):
        assert (first / "report" / name).read_bytes() == (second / "report" / name).read_bytes(), name
    one, other = stored(first), stored(second)
    for name in ("problems", "pictures", "album"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    for a, b in zip(one.findings, other.findings, strict=True):
        pd.testing.assert_frame_equal(a.observed.images, b.observed.images)
        pd.testing.assert_frame_equal(a.observed.trials, b.observed.trials)
        assert a.verdicts == b.verdicts
        for m, maps in a.observed.outside_maps.items():
            assert (maps == b.observed.outside_maps[m]).all()
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (first, second)]
    for key in ("verdict", "gate", "counts", "models"):
        assert summaries[0][key] == summaries[1][key]
    names = [{a["path"] for a in s["artefacts"]} for s in summaries]
    assert names[0] == names[1]


def killed(config: DictConfig, root: Path, *where: Any) -> Path:
    """A run that is killed there; gives the folder that it left."""
    with pytest.MonkeyPatch.context() as patch:
        killed_at(patch, *where)
        with pytest.raises(Killed):
            carry_out(config, root)
    (left,) = (root / "world").glob("*.partial")
    return left


# In a run of the world: images are seen in 6 batches for each of two models, then come some 60 batches of changes.
MOMENTS = [
    ("before anything", audits, "take_up", 1),
    ("between an image's part and what was seen of it", Parts, "add", 4),
    ("a few images in", Columns, "add", 5),
    ("the last batch", Columns, "keep", 11),
    ("the first change", Columns, "add", 13),
    ("changes on the way", Columns, "add", 40),
    ("while it draws", audits.Illustrator, "__call__", 1),
    ("while the twin is looked at", audits.Audit, "_illustrated", 2),
    ("while tables are written", audits, "store", 1),
    ("before the summary", audits, "write_summary", 1),
]


@pytest.mark.parametrize(("when", "owner", "name", "call"), MOMENTS, ids=[m[0] for m in MOMENTS])
def test_a_killed_run_ends_as_if_it_had_not_been(
    composed: Compose, whole: Whole, tmp_path: Path, when: str, owner: object, name: str, call: int
) -> None:
    config = composed(*settings(whole.manifest, *FEW))
    left = killed(config, tmp_path / "cut", owner, name, call)
    results, folder = carry_out(config, tmp_path / "cut")
    same(whole.folder, folder)
    begun = when != "before anything"
    assert results.provenance.get("continues") == (left.name.removesuffix(".partial") if begun else None)
    if begun:
        assert not left.exists()
    assert not list(folder.glob("parts")) + list(folder.glob("frames"))


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_gets_there(composed: Compose, tmp_path: Path) -> None:
    """Each time after some more parts, with everything that an audit does by itself."""
    config = composed(*settings(damaged_world(tmp_path / "world")))
    _, unstopped = carry_out(config, tmp_path / "whole")
    runs = 0
    while runs < 50:
        runs += 1
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, Columns, "keep", 90)
            try:
                _, folder = carry_out(config, tmp_path / "cut")
            except Killed:
                continue
            break
    assert 2 < runs < 50
    same(unstopped, folder)
    assert (folder / "audit.log").read_text().count("it takes up what run") == runs - 1
    assert not list((tmp_path / "cut" / "world").glob("*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["an image", "the weights", "a part"])
def test_parts_of_something_else_are_not_taken_up(
    composed: Compose, whole: Whole, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says why, and the results are those of a run that found nothing."""
    config = composed(*settings(whole.manifest, *FEW))
    left = killed(config, tmp_path / "cut", audits.Audit, "_illustrated", 1)
    decoded = False
    if what == "an image":
        os.utime(whole.manifest.parent / "red-003.png", (1, 1))
        said = "cannot be continued: other files than before; everything is done again"
    elif what == "the weights":
        monkeypatch.setattr(audits, "weights_sha256", lambda module: "f" * 64)
        said, decoded = "model: everything is done again: other weights than before", True
        (left / "report" / "pictures" / "999999.webp").write_bytes(b"that only the old weights made telling")
    else:
        path = sorted((left / "parts" / "0" / "looking").glob("0*.npz"))[2]
        path.write_bytes(path.read_bytes()[:-200] + bytes(200))
        said = f"cannot be continued: {path.name} cannot be read"
    batches = counted(monkeypatch)
    results, folder = carry_out(config, tmp_path / "cut")
    assert said in (folder / "audit.log").read_text()
    assert results.provenance.get("continues") == (left.name.removesuffix(".partial") if decoded else None)
    assert not left.exists()
    same(whole.folder, folder)
    assert batches() == whole.batches - 6 * decoded


@pytest.mark.parametrize("call", [1, 3])
def test_forgetting_can_be_killed_too(
    composed: Compose, whole: Whole, tmp_path: Path, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of parts that are of something else is not taken for parts of this."""
    config = composed(*settings(whole.manifest, *FEW))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audits, "weights_sha256", lambda module: "f" * 64)
        patch.setattr(audits, "identity", lambda *_: {"code": "other"})
        killed(config, tmp_path / "cut", audits.Audit, "_illustrated", 1)
    killed(config, tmp_path / "cut", folders.shutil, "rmtree", call)
    _, folder = carry_out(config, tmp_path / "cut")
    same(whole.folder, folder)


def test_other_settings_leave_an_unfinished_run_alone(composed: Compose, whole: Whole, tmp_path: Path) -> None:
    left = killed(composed(*settings(whole.manifest, *FEW)), tmp_path / "cut", audits.Audit, "_illustrated", 1)
    results, _ = carry_out(composed(*settings(whole.manifest, *FEW), "run.seed=1"), tmp_path / "cut")
    assert results.provenance.get("continues") is None
    assert (left / "parts").is_dir()


def test_decoded_images_that_are_gone_are_named(composed: Compose, whole: Whole, tmp_path: Path) -> None:
    """With the folder to remove; then it begins anew."""
    config = composed(*settings(whole.manifest, *FEW))
    left = killed(config, tmp_path / "cut", audits.Audit, "_illustrated", 1)
    os.truncate(left / "frames" / "frames.u8", 5000)
    with pytest.raises(AuditError, match=r"frames lacks images of an unfinished run; remove .*\.partial, and") as error:
        carry_out(config, tmp_path / "cut")
    shutil.rmtree(str(error.value).split("remove ")[1].split(", and")[0])
    same(whole.folder, carry_out(config, tmp_path / "cut")[1])


def test_only_what_is_missing_is_done(
    composed: Compose, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No batch is looked at or changed again, no picture drawn again."""
    config = composed(*settings(whole.manifest, *FEW), "report.images=1000")
    left = killed(config, tmp_path / "cut", audits, "store", 1)
    drawn = {p.name: p.stat().st_mtime_ns for p in (left / "report" / "maps").rglob("*.webp")}
    batches = counted(monkeypatch)
    _, folder = carry_out(config, tmp_path / "cut")
    assert batches() == 0
    assert drawn
    assert drawn == {p.name: p.stat().st_mtime_ns for p in (folder / "report" / "maps").rglob("*.webp")}


def test_pictures_that_were_lost_are_drawn_again(composed: Compose, whole: Whole, tmp_path: Path) -> None:
    """A machine that fails may leave files empty although later ones are whole."""
    config = composed(*settings(whole.manifest, *FEW))
    left = killed(config, tmp_path / "cut", audits, "store", 1)
    maps, photographs = (sorted((left / "report" / name).rglob("*.webp")) for name in ("maps", "pictures"))
    maps[0].write_bytes(b"")
    maps[-1].unlink()
    photographs[0].unlink()
    _, folder = carry_out(config, tmp_path / "cut")
    same(whole.folder, folder)


COMMAND = """
import torch
import pipeline.passes.columns as columns
import pipeline.models.classifier as classifiers
columns.SECONDS = columns.WORTH = 0
classifiers.fastest_chunk = lambda *_: 8
torch.set_num_threads(1)
from pipeline.__main__ import main
main()
"""


def test_a_process_that_is_killed_for_good(whole: Whole, tmp_path: Path) -> None:
    """SIGKILL, from outside, while it looks; then the same command again."""
    command = [sys.executable, "-c", COMMAND, *settings(whole.manifest, *FEW), f"run.folder={tmp_path / 'reports'}"]
    reports = tmp_path / "reports" / "world"
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(reports.glob("*.partial/parts/0/changing/0/0*.npz"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (reports / "latest").exists()
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    assert "continued from run" in done.stdout
    same(whole.folder, reports / "latest")
