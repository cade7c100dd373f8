"""The rules that every annotation format shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.datasets import annotations
from pipeline.datasets.annotations import UnusableError
from pipeline.types import ObjectRegion


@pytest.mark.parametrize("name", ["a.png", "./a.png", "sub/../a.png", "{root}/a.png"])
def test_paths_below_the_root_are_made_plain(tmp_path: Path, name: str) -> None:
    assert annotations.under(tmp_path, name.format(root=tmp_path)) == tmp_path / "a.png"


@pytest.mark.parametrize("name", ["..", "../a.png", "sub/../../a.png", "/a.png", "{root}x/a.png", "a\0.png"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnusableError) as caught:
        annotations.under(tmp_path, name.format(root=tmp_path))
    assert caught.value.reason == "path_outside_root"


def test_a_relative_root_stays_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert annotations.under(Path("data"), "sub/a.png") == Path("data/sub/a.png")


def test_linked_images_are_the_datasets_own(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere.png").touch()
    (tmp_path / "root/a.png").symlink_to(tmp_path / "elsewhere.png")
    assert annotations.under(tmp_path / "root", "a.png") == tmp_path / "root/a.png"


def test_of_equal_areas_the_first_annotated_class_wins() -> None:
    objects = [ObjectRegion(label=name, box=(0, 0, 4, 3)) for name in ("zebra", "ant")]
    assert annotations.chosen_label(objects, "largest", None, "it") == "zebra"
    assert annotations.chosen_label(objects[::-1], "largest", None, "it") == "ant"


def test_images_are_listed_by_name_without_hidden_files_and_folders(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".c.png", "notes.txt", "d.tiff"):
        (tmp_path / name).touch()
    (tmp_path / "e.png").mkdir()
    assert [f.name for f in annotations.images_in(tmp_path)] == ["a.png", "b.JPG", "d.tiff"]
