"""Tables come back from parquet whatever the slices are that they were written in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.run import parquet


def table() -> pd.DataFrame:
    """The first slice of two rows knows nothing of the later columns' kinds."""
    return pd.DataFrame(
        {
            "number": [1, 2, 3, 4, 5],
            "share": [np.nan, np.nan, 0.5, np.nan, 1.0],
            "right": [True, False, True, True, False],
            "name": ["a", "b", "c", "d", "e"],
            "late": pd.Series([None, None, "x", None, "y"], dtype=object),
            "raw": pd.Series([None, None, b"1", b"2", None], dtype=object),
            "nothing": pd.Series([None] * 5, dtype=object),
        }
    ).set_index(pd.Index([9, 8, 7, 6, 5]))


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_slices_do_not_show(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", rows)
    parquet.write_parquet(table(), tmp_path / "t.parquet")
    back = pd.read_parquet(tmp_path / "t.parquet")
    expected = table().reset_index(drop=True)
    assert list(back.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(back.iloc[:, :3], expected.iloc[:, :3])
    for name in ("name", "late", "raw", "nothing"):
        assert back[name].astype(object).where(back[name].notna(), None).tolist() == expected[name].tolist()
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == -(-5 // rows)


def test_change_sees_every_row_once_and_decides_the_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 2)
    seen: list[int] = []

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        seen.extend(rows["number"])
        return rows.assign(share=rows["share"].astype(np.float32), number=rows["number"] * 10)

    parquet.write_parquet(table(), tmp_path / "t.parquet", change)
    back = pd.read_parquet(tmp_path / "t.parquet")
    assert back["number"].tolist() == [10, 20, 30, 40, 50]
    assert back["share"].dtype == np.float32
    assert seen[-5:] == [1, 2, 3, 4, 5]


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    parquet.write_parquet(table().iloc[:0], tmp_path / "t.parquet")
    back = pd.read_parquet(tmp_path / "t.parquet")
    assert len(back) == 0
    assert list(back.columns) == list(table().columns)
