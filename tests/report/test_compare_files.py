from __future__ import annotations

import json
import math

import pandas as pd

from pipeline.report.compare_files import COLUMNS, long_table, write_files
from pipeline.report.comparison import compare
from tests.report.stored_runs import effect, run

FIRST, SECOND, THIRD = ("20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb", "20261103T000000Z-cccccc")


def test_one_row_per_class_run_and_quantity(tmp_path):
    runs = [run(tmp_path, {"a": "CLEAR", "b": "CONTEXT"}, run_id=i) for i in (FIRST, SECOND, THIRD)]
    table = long_table(compare(runs))
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * 2 * 2
    assert set(table["baseline"]) == {FIRST}
    assert set(table["signal"]) == {"removed_excess", "accuracy"}
    assert set(table.loc[table["class"] == "b", "status"]) == {"still"}


def test_undefined_is_empty_in_csv_and_null_in_json(tmp_path):
    old = run(tmp_path, {"NA": "CLEAR"}, run_id=FIRST)
    new = run(tmp_path, {"NA": "SHORTCUT"}, run_id=SECOND, evidence={"NA": (effect("NA", math.nan),)})
    write_files(compare([old, new]), {"/x": "broken"}, tmp_path)
    row = pd.read_csv(tmp_path / "comparison.csv", keep_default_na=False).iloc[0]
    assert (row["class"], row["after"], row["difference"], row["low"]) == ("NA", "", "", "")
    assert row["missing"] == "undefined in this run"
    content = json.loads((tmp_path / "comparison.json").read_text("utf-8"))
    shift = content["against"][0]["classes"][0]["changes"][0]
    assert shift["difference"] is None
    assert shift["before"] == 0
    assert content["left_out"] == [{"folder": "/x", "reason": "broken"}]
    assert content["schema_version"] == 1


def test_all_images_that_changed_are_in_the_json(tmp_path):
    old = run(tmp_path, {"a": "CLEAR"}, run_id=FIRST, per_class=120)
    new = run(tmp_path, {"a": "CLEAR"}, run_id=SECOND, per_class=120, wrong={f"a-{i}": "x" for i in range(70)})
    write_files(compare([old, new]), {}, tmp_path)
    images = json.loads((tmp_path / "comparison.json").read_text("utf-8"))["against"][0]["images"]
    assert images["in_both"] == 120
    assert images["changed"] == {"newly wrong": 70, "other class": 0, "newly right": 0}
    assert len(images["rows"]) == 70
    assert set(images["rows"][0]) == {"id", "class", "before", "after", "moved"}
