"""Tables to parquet a slice at a time, so that what stands between a table and its file stays small."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.run.folder import atomic

ROWS = 2000  # of a slice


def write_parquet(table: pd.DataFrame, path: Path, compression: str = "zstd") -> None:
    """Columns of objects hold texts, or bytes, or None."""
    schema = pa.schema([(str(name), _kind(column)) for name, column in table.items()])
    with atomic(path) as part, pq.ParquetWriter(part, schema, compression=compression) as writer:
        for start in range(0, max(1, len(table)), ROWS):
            rows = table.iloc[start : start + ROWS]
            writer.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))


def _kind(column: pd.Series) -> pa.DataType:
    if column.dtype != object:
        return pa.Schema.from_pandas(column.iloc[:1].to_frame(), preserve_index=False).field(0).type
    first = next((value for value in column if value is not None), "")
    return pa.binary() if isinstance(first, bytes) else pa.string()
