"""Whole audits of hand-weighted networks whose motives are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from omegaconf import DictConfig
from PIL import Image

from pipeline.config import build
from pipeline.run.folder import RunFolder
from pipeline.types import AuditError, Results
from tests.worlds import CLASSES, SIDE, write_world

Compose = Callable[..., DictConfig]


def options(manifest: Path, network: str, classes: int = 4) -> list[str]:
    """Overrides that audit one of the worlds' networks."""
    pixels = f"{{_target_: pipeline.models.preprocessing.Preprocessing, resize: [{SIDE}, {SIDE}], crop: null}}"
    return [
        "dataset=manifest",
        f"dataset.path={manifest}",
        "model=network",
        f"model.build={{_target_: tests.worlds.{network}, _partial_: true, classes: {classes}}}",
        f"model.classes=[{','.join(CLASSES[:classes])}]",
        f"model.preprocessing={pixels[:-1]}, mean: [0, 0, 0], std: [1, 1, 1]}}",
        "methods=[saliency,occlusion]",
        "run.name=world",
        "run.workers=1",
        "run.batch_size=32",
    ]


def carry_out(config: DictConfig, root: Path) -> tuple[Results, Path]:
    """The audit of a composed config, in a folder under `root`."""
    audit, text, digest = build(config)
    with RunFolder(root, audit.run.name, digest) as folder:
        results = audit(folder, text)
    return results, folder.final


def verdicts(results: Results) -> dict[str, str]:
    return {v.scope: v.state for v in results.findings[0].verdicts}


def test_the_corner_reader_uses_a_shortcut_and_the_others_do_not(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 60)
    results, folder = carry_out(composed(*options(manifest, "CornerReader")), tmp_path / "reports")
    states = verdicts(results)
    assert states["red"] == "SHORTCUT"
    assert states["model"] == "SHORTCUT"
    assert "SHORTCUT" not in {states[c] for c in CLASSES[1:]}
    reason = results.findings[0].verdicts[0].reason
    assert "red" in reason
    assert "bottom right" in reason
    assert (folder / "report" / "index.html").is_file()


def test_the_object_reader_is_clear_although_the_mark_is_there(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 60)
    results, _ = carry_out(composed(*options(manifest, "ObjectReader")), tmp_path / "reports")
    assert set(verdicts(results).values()) == {"CLEAR"}
    assert results.findings[0].accuracy == 1.0
    scores = results.findings[0].observed.scores
    assert (scores.loc[scores["method"] == "saliency", "inside_share"] == 1).all()


def test_a_dozen_images_are_not_enough(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 3)
    results, _ = carry_out(composed(*options(manifest, "ObjectReader")), tmp_path / "reports")
    assert set(verdicts(results).values()) == {"INCONCLUSIVE"}


def test_one_class_only_cannot_be_judged(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 30, classes=1)
    results, _ = carry_out(composed(*options(manifest, "ObjectReader")), tmp_path / "reports")
    assert set(verdicts(results).values()) == {"INCONCLUSIVE"}


def test_a_constant_model_is_never_clear(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 30)
    results, _ = carry_out(composed(*options(manifest, "Constant")), tmp_path / "reports")
    assert verdicts(results)["model"] == "INCONCLUSIVE"
    assert {m["status"] for m in results.findings[0].methods} == {"refused"}


def test_the_same_audit_twice_gives_the_same_tables_to_the_byte(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 12)
    config = options(manifest, "CornerReader")
    folders = [carry_out(composed(*config), tmp_path / name)[1] for name in ("a", "b")]
    for table in ("images.csv", "interventions.csv", "classes.csv", "findings.csv", "errors.csv"):
        first, second = ((f / table).read_bytes() for f in folders)
        assert first == second, table


def test_batch_size_does_not_change_the_numbers(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 6)
    # Occlusion's flat windows tie, and rounding breaks ties differently with the batch: only its ranks may move.
    config = [*options(manifest, "CornerReader"), "methods=[saliency]"]
    tables = [
        pd.read_csv(carry_out(composed(*config, f"run.batch_size={size}"), tmp_path / str(size))[1] / "images.csv")
        for size in (5, 32)
    ]
    pd.testing.assert_frame_equal(*tables, rtol=1e-4, atol=1e-6)


def test_what_a_run_writes(composed: Compose, tmp_path: Path) -> None:
    """Every file of the design; rows add up; the summary follows its schema; nothing is lost silently."""
    manifest = write_world(tmp_path / "world", 8)
    (tmp_path / "world" / "red-000.png").write_bytes(b"not a picture")
    with manifest.open("a") as file:
        file.write("gone.png,red,1 1 5 5,\n")
        file.write("red-001.png,red,1 1 5 5,\n")
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "world" / "empty.png")
    with manifest.open("a") as file:
        file.write("empty.png,green,,\n")
    results, folder = carry_out(composed(*options(manifest, "CornerReader")), tmp_path / "reports")
    assert results.counts == {"total": 35, "audited": 31, "skipped": 1, "failed": 3}
    errors = pd.read_csv(folder / "errors.csv")
    assert sorted(errors["reason"]) == ["broken_image", "duplicate_id", "missing_file", "no_objects"]
    images = pd.read_csv(folder / "images.csv")
    assert len(images) == 31 * 2
    assert len(pd.read_parquet(folder / "images.parquet")) == 31 * 2
    assert {"inside_share", "area_fraction", "lift", "auroc", "undefined", "shared_interest_case"} <= set(images)
    trials = pd.read_csv(folder / "interventions.csv")
    assert (trials["intervention"] == "object_removed").sum() == 31 * 2
    summary = json.loads((folder / "summary.json").read_text())
    jsonschema.validate(summary, json.loads((folder / "summary.schema.json").read_text()))
    listed = {a["path"] for a in summary["artefacts"]}
    assert {"images.csv", "classes.csv", "config.yaml", "provenance.json", "report/index.html"} <= listed
    assert "broken_image" in (folder / "audit.log").read_text()
    assert not (folder / "frames").exists()


def report_files(folder: Path) -> set[str]:
    report = folder / "report"
    return {p.relative_to(report).as_posix() for p in report.rglob("*") if p.suffix in (".webp", ".png")}


def test_the_album_has_pictures_of_a_few_images_of_every_class_and_of_both_models(
    composed: Compose, tmp_path: Path
) -> None:
    """Of 24 images 8 are drawn, and those of the gallery; every file that the tables name is there, and no other."""
    manifest = write_world(tmp_path / "world", 6)
    twin = [o.replace("model.", "twin.").replace("model=", "model@twin=") for o in options(manifest, "ObjectReader")]
    twin = [o for o in twin if "twin" in o]
    few = ["methods=[saliency]", "report.images=8", *twin]
    results, folder = carry_out(composed(*options(manifest, "CornerReader"), *few), tmp_path / "reports")
    album, pictures = results.album, results.pictures
    assert album is not None
    assert list(album.columns) == ["model", "row", "id", "picture", "mask", "heats"]
    for name, group in album.groupby("model"):
        images = results.findings[["model", "twin"].index(str(name))].observed.images
        assert (images["id"].to_numpy()[group["row"]] == group["id"]).all()
        gallery = pictures[(pictures["model"] == name) & pictures["kind"].isin(["telling", "control"])]
        assert set(gallery["id"]) <= set(group["id"])
        assert len(group) < 24
        assert (images.set_index("id").loc[group["id"], "class"].value_counts() >= 2).all()
    (first, of_first), (second, of_second) = album.groupby("model")["id"]
    assert {first, second} == {"model", "twin"}
    assert len(set(of_first) & set(of_second)) >= 8
    tables = pd.concat([album, pictures])
    named = {*tables["picture"], *pictures["original"]} | {p for h in tables["heats"] for p in h.values()}
    assert named - {""} == report_files(folder)


def test_no_album_where_none_is_wanted(composed: Compose, tmp_path: Path) -> None:
    """The gallery keeps its pictures; the numbers are the same with and without."""
    manifest = write_world(tmp_path / "world", 6)
    config = [*options(manifest, "CornerReader"), "methods=[saliency]"]
    (without, bare), (drawn, full) = (
        carry_out(composed(*config, f"report.images={n}"), tmp_path / str(n)) for n in (0, 1000)
    )
    assert without.album is not None
    assert without.album.empty
    assert drawn.album is not None
    assert drawn.album["id"].tolist() == drawn.findings[0].observed.images["id"].tolist()
    assert report_files(bare) < report_files(full)
    pd.testing.assert_frame_equal(without.pictures, drawn.pictures)
    assert (bare / "images.csv").read_bytes() == (full / "images.csv").read_bytes()


def test_damaged_reviews_are_said_before_the_work(composed: Compose, tmp_path: Path) -> None:
    root = tmp_path / "reports"
    (root / "world").mkdir(parents=True)
    (root / "world" / "reviews.json").write_text("{")
    with pytest.raises(AuditError, match=r"reviews.json is not JSON"):
        carry_out(composed(*options(tmp_path / "absent.csv", "ObjectReader")), root)


def test_an_audit_outlives_a_mail_copy_that_has_no_room(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 8)
    config = composed(
        *options(manifest, "ObjectReader"), "methods=[]", "report.single_file=true", "report.budget_mb=0.01"
    )
    _, folder = carry_out(config, tmp_path / "reports")
    assert (folder / "summary.json").is_file()
    assert (folder / "report" / "index.html").is_file()
    assert not (folder / "report.html").exists()
    assert "`report.budget_mb`: the page alone takes" in (folder / "audit.log").read_text()


def test_nothing_to_audit_ends_with_the_first_reasons(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 1)
    for path in (tmp_path / "world").glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(AuditError, match=r"none of the 4 images can be audited.*blue-000"):
        carry_out(composed(*options(manifest, "ObjectReader")), tmp_path / "reports")


def test_a_class_that_the_model_lacks_is_named_with_its_neighbours(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 4)
    overrides = [o for o in options(manifest, "ObjectReader") if not o.startswith("model.classes")]
    config = composed(*overrides, "model.classes=[red,green,blue,yellowish]")
    with pytest.raises(AuditError, match=r"no output called 'yellow' \(near: yellowish\).*class_map"):
        carry_out(config, tmp_path / "reports")
    results, _ = carry_out(
        composed(*overrides, "model.classes=[red,green,blue,yellowish]", "+class_map.yellow=yellowish"),
        tmp_path / "reports",
    )
    assert "yellow" in verdicts(results)
    results, _ = carry_out(
        composed(*overrides, "model.classes=[red,green,blue,yellowish]", "+class_map.yellow=null"),
        tmp_path / "reports",
    )
    assert results.counts["skipped"] == 4
    assert "yellow" not in verdicts(results)
