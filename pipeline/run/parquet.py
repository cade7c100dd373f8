"""Tables to parquet a slice at a time, so that what stands between a table and its file stays small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.run.folder import atomic

ROWS = 2000  # of a slice


def write_parquet(
    table: pd.DataFrame, path: Path, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
) -> None:
    """Writes the table as `change` turns its rows; columns of objects are then of texts, or of bytes, or None."""
    known = [_first_known(column).reset_index(drop=True) for _, column in table.items()]
    schema = pa.schema([(str(name), _kind(column)) for name, column in change(pd.concat(known, axis=1)).items()])
    with atomic(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for start in range(0, max(1, len(table)), ROWS):
            rows = change(table.iloc[start : start + ROWS].reset_index(drop=True))
            writer.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))


def _first_known(column: pd.Series) -> pd.Series:
    """(1,) the first value that is none of None and NaN, if there is one; a slice may lack any."""
    known = column[column.notna()]
    return (known if len(known) else column).iloc[:1]


def _kind(column: pd.Series) -> pa.DataType:
    """Of a column's values, by the first that is known; of none but None: text."""
    if column.dtype != object:
        return pa.Schema.from_pandas(column.to_frame(), preserve_index=False).field(0).type
    return pa.binary() if len(column) and isinstance(column.iloc[0], bytes) else pa.string()
