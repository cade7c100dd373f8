"""CSV tables, from the clean to the crooked."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline.datasets.annotations import ANYWHERE
from pipeline.datasets.manifest import Manifest
from pipeline.types import AuditError, ObjectRegion, PngMask, Problem, Record


@pytest.fixture
def table(tmp_path: Path, scene: Image.Image) -> Path:
    scene.save(tmp_path / "a.png")
    scene.save(tmp_path / "b.png")
    return tmp_path / "data.csv"


def reasons(table: Path) -> dict[str, str]:
    entries = Manifest(path=table).records()
    return {e.id: f"{e.status} {e.reason}" if isinstance(e, Problem) else e.label for e in entries}


def test_boxes_and_masks_are_read_as_written(table: Path) -> None:
    table.write_text(
        "id,path,label,boxes,mask,note\n"
        'one,a.png,dog,"20 9 45 30; 0 0 5.5 6",,hello\n'
        ",b.png,cat,1 2 3 4;,m/b.png,\n"
        'three,"./m/../b.png",cat,,m/b.png,\n',
        encoding="utf-8-sig",
    )
    one, two, three = Manifest(path=table).records()
    root = table.parent
    dogs = tuple(ObjectRegion(label="dog", box=box) for box in ((20, 9, 45, 30), (0, 0, 5.5, 6)))
    assert one == Record(id="one", path=root / "a.png", label="dog", objects=dogs)
    mask = PngMask(path=root / "m/b.png")
    cat = ObjectRegion(label="cat", box=(1, 2, 3, 4), mask=mask)
    assert two == Record(id="b.png", path=root / "b.png", label="cat", objects=(cat,))
    assert isinstance(three, Problem)  # the same photograph again
    assert three.reason == "duplicate_image"


def test_a_mask_without_a_box_says_where_the_object_is(table: Path) -> None:
    table.write_text("path,label,mask\na.png,dog,m.png\n")
    [record] = Manifest(path=table).records()
    assert isinstance(record, Record)
    assert record.objects == (ObjectRegion(label="dog", box=ANYWHERE, mask=PngMask(path=table.parent / "m.png")),)


def test_paths_are_relative_to_the_root(table: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    inner = tmp_path / "tables" / "data.csv"
    inner.write_text(f"path,label,boxes\na.png,dog,1 2 3 4\n{tmp_path / 'b.png'},dog,1 2 3 4\n")
    assert [e.path for e in Manifest(path=inner, root=tmp_path).records()] == [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(AuditError, match="`root` must be a folder"):
        Manifest(path=inner, root=tmp_path / "nowhere").records()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("no.png,dog,1 2 3 4,", "failed missing_file"),
        ("a.png,dog,,", "skipped no_objects"),
        ("a.png,dog", "skipped no_objects"),
        (",dog,1 2 3 4,", "failed bad_annotation"),
        ("a.png,,1 2 3 4,", "failed bad_annotation"),
        ("a.png,dog,1 2 3,", "failed bad_annotation"),
        ("a.png,dog,1 2 3 four,", "failed bad_annotation"),
        ("a.png,dog,1 2 3 4,m.png,5,6", "failed bad_annotation"),
        ("a.png,dog,3 2 1 4,", "failed bad_box"),
        ("a.png,dog,1 2 3 2,", "failed bad_box"),
        ("a.png,dog,1 2 nan 4,", "failed bad_box"),
        ("a.png,dog,1 2 inf 4,", "failed bad_box"),
        ("../a.png,dog,1 2 3 4,", "failed path_outside_root"),
        ("/etc/passwd,dog,1 2 3 4,", "failed path_outside_root"),
        ("a.png,dog,1 2 3 4,../m.png", "failed path_outside_root"),
        ("b.png,dog,1 2 3 4,", "failed duplicate_id"),
    ],
)
def test_every_bad_row_fails_alone_and_is_named(table: Path, row: str, reason: str) -> None:
    table.write_text(f"path,label,boxes,mask\nb.png,cat,1 2 3 4,\n{row}\n")
    good, bad = Manifest(path=table).records()
    assert isinstance(good, Record)
    assert isinstance(bad, Problem)
    assert f"{bad.status} {bad.reason}" == reason
    assert "row 2" in bad.message or "earlier image" in bad.message or "leads out" in bad.message


def test_ids_are_unique_even_among_duplicates(table: Path) -> None:
    table.write_text("path,label,boxes,id\n" + "a.png,dog,1 2 3 4,x\n" * 3 + "b.png,dog,1 2 3 4,x#2\n")
    assert reasons(table) == {
        "x": "dog",
        "x#3": "failed duplicate_id",
        "x#4": "failed duplicate_id",
        "x#2": "dog",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "found none"),
        ("file,label,boxes\n", "found file, label, boxes"),
        ("path,label,box\n", "columns path, label, and boxes or mask"),
        ("path,label,boxes\n", "names no images"),
        ('path,label,boxes\na.png,dog,"1 2 3 4\n', "must be a CSV table"),
    ],
)
def test_tables_that_are_none_stop_the_run(table: Path, content: str, words: str) -> None:
    table.write_text(content)
    with pytest.raises(AuditError, match=words):
        Manifest(path=table).records()


def test_missing_and_binary_tables_stop_the_run(table: Path) -> None:
    with pytest.raises(AuditError, match=r"`path` must be a UTF-8 text file, but .* is not there"):
        Manifest(path=table).records()
    table.write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(AuditError, match="cannot be read"):
        Manifest(path=table).records()
