from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.run.stored import FOLDER, store, stored
from pipeline.types import AuditError, Results
from tests.report import fake_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """With every kind of column that parquet has no type for, and with values that are undefined."""
    made = fake_results.realistic(tmp_path_factory.mktemp("pictures"), per_class=4)
    first = made.findings[0]
    images = first.observed.images.copy()
    n = len(images)
    images["companions"] = [(("cat", (0.0, 1.0, 2.5, 3.0)),) if i % 2 else () for i in range(n)]
    images["frame"] = [(96, 96)] * n
    images["hotspots"] = [[(1.0, 2.0, 3.0, 4.0)] if i % 3 else [] for i in range(n)]
    images["peak"] = [None if i % 2 else (0.0, 0.0, 8.0, 8.0) for i in range(n)]
    images["small_map"] = [np.full((16, 16), i / 7, np.float16) for i in range(n)]
    images.loc[0, "log_odds"] = float("nan")
    evidence = replace(first.evidence[0], estimate=float("nan"), details={"flipped": float("nan"), "place": "top"})
    changed = replace(first, observed=replace(first.observed, images=images), evidence=(evidence, *first.evidence[1:]))
    return replace(made, findings=(changed, *made.findings[1:]))


def test_results_come_back_as_they_were(results: Results, tmp_path: Path) -> None:
    store(results, tmp_path)
    back = stored(tmp_path)
    for was, now in zip(results.findings, back.findings, strict=True):
        for name in ("images", "scores", "trials"):
            pd.testing.assert_frame_equal(
                getattr(was.observed, name).reset_index(drop=True), getattr(now.observed, name), check_dtype=False
            )
        for method, maps in was.observed.outside_maps.items():
            np.testing.assert_allclose(now.observed.outside_maps[method], maps, rtol=1e-6)
        # repr, because NaN is not equal to itself
        assert repr((now.evidence, now.verdicts, now.accuracy)) == repr((was.evidence, was.verdicts, was.accuracy))
        assert now.observed.classes == was.observed.classes
        assert now.methods == was.methods
    pd.testing.assert_frame_equal(back.pictures, results.pictures.reset_index(drop=True), check_dtype=False)
    pd.testing.assert_frame_equal(back.problems, results.problems, check_dtype=False)
    for key in ("name", "run_id", "created", "counts", "provenance", "config", "gate"):
        assert getattr(back, key) == getattr(results, key), key
    assert back.spikes is None
    first = back.findings[0].observed.images
    assert isinstance(first.loc[1, "companions"], tuple)
    assert first.loc[1, "peak"] is None
    assert first.loc[2, "peak"] == (0.0, 0.0, 8.0, 8.0)
    assert all(type(v) is tuple for v in [first.loc[2, "frame"], first.loc[2, "boxes"][0], first.loc[1, "hotspots"][0]])
    assert first.loc[2, "small_map"].dtype == np.float16


def test_no_findings_and_empty_tables_come_back(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    nothing = fake_results.empty()
    store(nothing, tmp_path / "a")
    assert stored(tmp_path / "a").findings[0].observed.trials.empty
    store(replace(nothing, findings=()), tmp_path / "b")
    assert stored(tmp_path / "b").findings == ()


def test_what_is_no_complete_run_is_said_so(results: Results, tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="holds no stored results"):
        stored(tmp_path)
    with pytest.raises(AuditError, match="did not end"):
        stored(tmp_path / "x.partial")
    store(results, tmp_path)
    path = tmp_path / FOLDER / "findings.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"stored_version": 99}))
    with pytest.raises(AuditError, match="another version"):
        stored(tmp_path)
    path.write_text("{")
    with pytest.raises(AuditError, match="is damaged"):
        stored(tmp_path)
    path.write_text(json.dumps(content))
    (tmp_path / FOLDER / "0-images.parquet").write_bytes(b"PAR1 no longer")
    with pytest.raises(AuditError, match="is damaged"):
        stored(tmp_path)


def test_a_damaged_archive_is_said_so(results: Results, tmp_path: Path) -> None:
    store(results, tmp_path)
    path = tmp_path / FOLDER / "0-outside_maps.npz"
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"x" * len(whole)):
        path.write_bytes(broken)
        with pytest.raises(AuditError, match="is damaged"):
            stored(tmp_path)
