from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.report.runs import earlier_runs, read_run, run_of
from pipeline.types import AuditError
from tests.report.stored_runs import effect, results, rewrite, store

STATES = {"NA": "SHORTCUT", "007": "CLEAR"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store(results(STATES, twin={"NA": "CLEAR", "007": "CLEAR"}, wrong={"NA-1": "007"}), tmp_path)


def test_what_was_written_is_read(folder: Path) -> None:
    run = read_run(folder)
    assert (run.name, run.run_id) == ("demo", folder.name)
    assert [m.name for m in run.models] == ["model", "twin"]
    assert {v.scope: v.state for v in run.model.classes} == STATES
    assert run.verdict.state == "SHORTCUT"
    assert run.model.accuracy == 7 / 8
    assert run.config["run.seed"] == 0
    assert run.gate["result"] == "PASS"
    assert run.counts["audited"] == 8
    assert run.model.classes[0].evidence[0].low == pytest.approx(-0.1)


def test_images_of_the_audited_model_once_each_with_names_as_written(folder: Path) -> None:
    images = read_run(folder).images
    assert list(images.index) == [f"{c}-{i}" for c in STATES for i in range(4)]
    assert images.loc["NA-1", "predicted"] == "007"
    assert set(images["class"]) == {"NA", "007"}
    assert images["correct"].dtype == bool
    assert images["correct"].sum() == 7


def test_the_twins_predictions_stay_out(tmp_path: Path) -> None:
    made = results({"a": "CLEAR"}, twin={"a": "CLEAR"})
    twin = made.findings[1].observed
    other = replace(twin, images=twin.images.assign(id=[f"twin-{i}" for i in range(4)]), scores=twin.scores.iloc[:0])
    made = replace(made, findings=(made.findings[0], replace(made.findings[1], observed=other)))
    assert list(read_run(store(made, tmp_path)).images.index) == [f"a-{i}" for i in range(4)]


def test_the_run_in_memory_has_the_same_shape_as_the_stored_one(tmp_path: Path) -> None:
    made = results(STATES, twin=STATES, wrong={"NA-1": "007"})
    stored, own = read_run(store(made, tmp_path)), run_of(made)
    pd.testing.assert_frame_equal(stored.images, own.images, check_names=False)
    assert own.folder is None
    assert replace(own, folder=stored.folder, images=stored.images, classes=stored.classes).models == stored.models
    assert own.config == stored.config
    assert own.provenance == stored.provenance
    assert list(own.classes["verdict"]) == list(stored.classes["verdict"])


def test_undefined_is_nan_and_never_0(tmp_path: Path) -> None:
    nothing = effect("a", math.nan, details={"undefined": "no donors"})
    run = read_run(store(results({"a": "CLEAR"}, evidence={"a": (nothing,)}), tmp_path))
    evidence = run.model.classes[0].evidence[0]
    assert math.isnan(evidence.estimate)
    assert math.isnan(evidence.low)
    assert evidence.details["undefined"] == "no donors"


def _as_before(content: dict) -> None:
    """The summary as versions wrote it that knew no roles."""
    for model in content["models"]:
        for stored in model["classes"]:
            del stored["carried_by"]
            for e in stored["evidence"]:
                for key in ("role", "carrier", "gate"):
                    del e[key]


def test_runs_of_older_versions_are_read_with_roles_from_what_decided(tmp_path: Path) -> None:
    names = ("removed_excess", "outside_transplant", "targeted", "low_level", "outside_keenest")
    deciding = [effect("a", 0.3, signal=s) for s in names]
    lead = effect("a", 0.4, signal="targeted_lead", role="lead")
    folder = store(results({"a": "SHORTCUT"}, evidence={"a": (*deciding, lead)}), tmp_path)
    rewrite(folder, _as_before)
    (verdict,) = read_run(folder).model.classes
    roles = ["removal", "surroundings", "place", "property", "surroundings", "lead"]
    assert [e.role for e in verdict.evidence] == roles
    assert [e.decides for e in verdict.evidence] == [True] * 5 + [False]
    assert verdict.carried_by == ()
    assert verdict.evidence[0].carrier == ""
    assert math.isnan(verdict.evidence[0].gate)


def test_what_carries_a_class_is_read_in_its_order(tmp_path: Path) -> None:
    place = effect("a", 0.3, signal="place:1", role="place", carrier="the top edge")
    around = effect("a", 0.9, signal="outside_transplant", role="surroundings", carrier="the surroundings")
    lead = effect("a", 0.9, signal="data_probe", role="lead")
    made = results({"a": "SHORTCUT"}, evidence={"a": (around, place, lead)})
    found = made.findings[0]
    verdicts = (found.verdicts[0], replace(found.verdicts[1], carried_by=(place, around)))
    folder = store(replace(made, findings=(replace(found, verdicts=verdicts),)), tmp_path)
    assert read_run(folder).model.classes[0].carried_by == (place, around)


def test_a_link_is_followed(folder: Path) -> None:
    (folder.parent / "latest").symlink_to(folder.name)
    assert read_run(folder.parent / "latest").folder == folder.resolve()


def test_nothing_in_memory_cannot_be_compared() -> None:
    with pytest.raises(AuditError, match="nothing was audited"):
        run_of(replace(results(STATES), findings=()))


@pytest.mark.parametrize("name", ["images.csv", "classes.csv", "config.yaml"])
def test_a_missing_file_is_named_with_its_folder(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(AuditError, match=rf"{folder.name} lacks {name}; copy the whole folder"):
        read_run(folder)


def _version(content: dict) -> None:
    content["schema_version"] = 2


def _no_models(content: dict) -> None:
    del content["models"]


def _empty(content: dict) -> None:
    content["models"] = []


def _other_state(content: dict) -> None:
    content["models"][0]["classes"][0]["state"] = "<b>"


def _other_role(content: dict) -> None:
    content["models"][0]["classes"][0]["evidence"][0]["role"] = "<b>"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_version, "schema_version 2, and this version of shortcut-audit reads 1"),
        (_no_models, "is not the summary of a run .KeyError: 'models'"),
        (_empty, "is not the summary of a run"),
        (_other_state, "no verdict is called '<b>'"),
        (_other_role, "no role is called '<b>'"),
        (dict.clear, "has no schema_version"),
    ],
)
def test_a_summary_of_another_kind(folder: Path, change, said: str) -> None:
    rewrite(folder, change)
    with pytest.raises(AuditError, match=said):
        read_run(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("summary.json", b"{", "summary.json is not JSON"),
        ("summary.json", b"\xff\xfe", "summary.json cannot be read"),
        ("summary.json", b"[]", "has no schema_version"),
        ("images.csv", b"id,class\n1,a\n", "images.csv cannot be read"),
        ("images.csv", b"", "images.csv cannot be read"),
        ("classes.csv", b"model\nx\n", "classes.csv has no column class, verdict"),
        ("config.yaml", b"a: [", "config.yaml is not YAML"),
    ],
)
def test_a_broken_file_is_named_with_what_to_do(folder: Path, name: str, content: bytes, said: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(AuditError, match=said) as found:
        read_run(folder)
    assert str(folder) in str(found.value)
    assert "again" in str(found.value) or "give the folder" in str(found.value)


def test_no_folder_no_run_and_a_run_that_has_not_ended(folder: Path) -> None:
    with pytest.raises(AuditError, match=r"nowhere is not a folder; give the folder of a run"):
        read_run(folder.parent / "nowhere")
    with pytest.raises(AuditError, match=rf"is not a run: it has no summary.json; it holds the runs {folder.name}"):
        read_run(folder.parent)
    with pytest.raises(AuditError, match=r"no summary.json; give the folder of a run"):
        read_run(folder / "report")
    partial = folder.rename(folder.with_suffix(".partial"))
    with pytest.raises(AuditError, match=r"has not ended, or it failed; read its audit.log"):
        read_run(partial)


def test_earlier_runs_are_complete_and_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    names = [
        "20261102T000000Z-bbbbbb-10",
        "20261102T000000Z-bbbbbb-2",
        "20261102T000000Z-bbbbbb",
        "20261101T000000Z-ffffff",
        "20261105T000000Z-aaaaaa",
        "compare-20261101T000000Z-ffffff-20261102T000000Z-bbbbbb",
        "20261103T000000Z-cccccc.partial",
    ]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text("{}")
    (tmp_path / "20261101T010000Z-aaaaaa").mkdir()  # nothing in it
    (tmp_path / "latest").symlink_to(names[4])
    (tmp_path / "20261101T020000Z-aaaaaa").symlink_to(names[3])  # a link, whatever it is called
    found = earlier_runs(tmp_path, "20261105T000000Z-aaaaaa")
    assert [p.name for p in found] == [names[3], names[2], names[1], names[0]]
    assert earlier_runs(tmp_path, "20261101T000000Z-ffffff") == ()
    assert earlier_runs(tmp_path / "nowhere", "20261105T000000Z-aaaaaa") == ()


def test_of_many_earlier_runs_the_last_ones_count(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"202611{i // 2 + 1:02}T0000{i % 2:02}Z-aaaaaa").mkdir()
        (tmp_path / f"202611{i // 2 + 1:02}T0000{i % 2:02}Z-aaaaaa" / "summary.json").touch()
    found = earlier_runs(tmp_path, "20261201T000000Z-aaaaaa")
    assert len(found) == 30
    assert found[-1].name == "20261120T000001Z-aaaaaa"
