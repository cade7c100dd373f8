"""A case's pictures: marks where the case says, annotation as good or bad as it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.calibrate import pictures
from pipeline.calibrate.cases import DEGRADED, HARMLESS, Case
from pipeline.calibrate.pictures import audited, examples, on_surroundings_of, training, with_and_without
from pipeline.planted.held_out import HELD_OUT
from pipeline.planted.plants import DEVELOPMENT

CASE = Case(
    name="one", arm="planted", kind="logo", base="shapes", classes=3, network="flat", prevalence=0.5, leak=0.0,
    strength=1.0, preference=0.5, context=0.0, images_per_class=8, regions="mask", guilty=1, pictures=3, seed=5,
)  # fmt: skip
LOGO = DEVELOPMENT["logo"]


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("POOL", 24), ("HELD_BACK", 20), ("TRUTH", 6)):
        monkeypatch.setattr(pictures, name, size)


def test_only_the_guilty_class_is_marked_and_about_as_often_as_said(pools: Path) -> None:
    seen = training(CASE, LOGO, pools, 24)
    assert not seen.marked[seen.labels != 1].any()
    assert 5 <= seen.marked[seen.labels == 1].sum() <= 19
    assert all((f is not None) == m for f, m in zip(seen.footprints, seen.marked, strict=True))


def test_balanced_marks_every_class_and_audit_only_no_training_picture(pools: Path) -> None:
    everywhere = training(replace(CASE, arm="balanced"), LOGO, pools, 24)
    assert all(everywhere.marked[everywhere.labels == k].any() for k in range(3))
    late = replace(CASE, arm="audit_only", prevalence=1.0)
    assert not training(late, LOGO, pools, 24).marked.any()
    assert audited(late, LOGO, pools).marked.sum() == 8


def test_a_mark_that_tells_by_its_absence_is_on_all_other_classes(pools: Path) -> None:
    seen = training(replace(CASE, kind="absence", prevalence=1.0), HELD_OUT["absence"], pools, 24)
    assert (seen.marked == (seen.labels != 1)).all()


def test_truth_compares_the_same_pictures(pools: Path) -> None:
    without, with_mark = with_and_without(CASE, LOGO, pools)
    assert not without.marked.any()
    assert with_mark.marked.all()
    for plain, marked, footprint in zip(without.images, with_mark.images, with_mark.footprints, strict=True):
        assert footprint is not None
        assert (plain[~footprint] == marked[~footprint]).all()


def test_audit_and_truth_share_no_picture(pools: Path) -> None:
    seen, (truth, _) = audited(replace(CASE, prevalence=1e-9), LOGO, pools), with_and_without(CASE, LOGO, pools)
    assert not {i.tobytes() for i in seen.images} & {i.tobytes() for i in truth.images}


@pytest.mark.parametrize(("arm", "smaller"), [("eroded", True), ("dilated", False)])
def test_spoilt_annotation_is_spoilt_in_the_right_direction(pools: Path, arm: str, smaller: bool) -> None:
    case = replace(CASE, arm=arm, kind="")  # type: ignore[arg-type]
    seen = audited(case, None, pools)
    good = list(examples(replace(case, arm="clean"), seen))
    bad = list(examples(case, seen))
    sides = np.array([[e.boxes[0, 2] - e.boxes[0, 0] for e in part] for part in (good, bad)])
    assert ((sides[1] < sides[0]) == smaller).mean() > 0.8


def test_missing_objects_are_in_the_picture_and_not_in_the_annotation(pools: Path) -> None:
    plain = audited(replace(CASE, arm="clean", kind=""), None, pools)
    doubled = audited(replace(CASE, arm="missing_objects", kind=""), None, pools)
    assert (plain.masks == doubled.masks).all()
    changed = (plain.images != doubled.images).any(axis=(1, 2, 3))
    assert 0 < changed.mean() < 0.6


@pytest.mark.parametrize("arm", [*HARMLESS, *DEGRADED])
def test_context_changes_every_picture_and_no_object(pools: Path, arm: str) -> None:
    case = replace(CASE, arm=arm, kind="")  # type: ignore[arg-type]
    among = replace(case, context=0.7)
    for plain, seen in (
        (training(case, None, pools, 8), training(among, None, pools, 8)),
        (audited(case, None, pools), audited(among, None, pools)),
    ):
        assert (plain.masks == seen.masks).all()
        assert (plain.images[plain.masks] == seen.images[plain.masks]).all()
        assert (plain.images != seen.images).any(axis=(1, 2, 3)).all()


def test_context_leaves_marks_where_they_were(pools: Path) -> None:
    among = replace(CASE, context=0.7)
    plain, seen = training(CASE, LOGO, pools, 24), training(among, LOGO, pools, 24)
    assert (plain.marked == seen.marked).all()
    where = np.stack([f for f in plain.footprints if f is not None])
    assert (plain.images[plain.marked][where] == seen.images[plain.marked][where]).all()
    without, with_mark = with_and_without(among, LOGO, pools)
    for one, other, footprint in zip(without.images, with_mark.images, with_mark.footprints, strict=True):
        assert footprint is not None
        assert (one[~footprint] == other[~footprint]).all()


def test_the_higher_the_context_the_more_is_of_the_classs_kind(pools: Path) -> None:
    plain = training(CASE, None, pools, 24)

    def change(context: float) -> float:
        images = training(replace(CASE, context=context), None, pools, 24).images
        return float(np.abs(images.astype(int) - plain.images)[~plain.masks].mean())

    assert 0 < change(0.2) < change(0.5) < change(0.8)


def test_the_same_objects_stand_on_each_classs_surroundings_and_typical_ones_of_their_own(pools: Path) -> None:
    among = replace(CASE, context=0.7)
    labels, on_kinds = on_surroundings_of(among, pools)
    own = with_and_without(among, LOGO, pools)[0]
    assert (labels == own.labels).all()
    for k, images in enumerate(on_kinds):
        assert (images[own.masks] == own.images[own.masks]).all()
        same = (images == own.images).all(axis=(1, 2, 3))
        assert (same == (labels == k)).all()
