"""Tables of a warehouse to Parquet files and back, whichever engine it is.

Belongs here: moving the rows of one table, a batch at a time. Does not belong here: which tables, and their order
(`make.py`, `restore.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from rally_pipeline import files
from rally_pipeline.backup.contents import WAREHOUSE, Dumped, part_of
from rally_pipeline.publish.tables import BATCH_ROWS, record_batches
from rally_pipeline.warehouse.arrow import arrow_type
from rally_pipeline.warehouse.load import bulk_load


def columns_of(table: sa.Table) -> dict[str, str]:
    """Names and Arrow types of the columns, as a backup states them."""
    return {column.name: str(arrow_type(column.type)) for column in table.columns}


def dump(connection: sa.Connection, table: sa.Table, folder: Path) -> Dumped:
    """Writes a table to ``folder/warehouse/TABLE.parquet``, durably."""
    fields = [pa.field(c.name, arrow_type(c.type), nullable=bool(c.nullable)) for c in table.columns]
    schema = pa.schema(fields)
    path = folder / WAREHOUSE / f"{table.name}.parquet"
    path.parent.mkdir(exist_ok=True)
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in record_batches(connection, table, schema):
            writer.write_batch(batch, row_group_size=BATCH_ROWS)
            rows += batch.num_rows
    files.settle(path)
    said = part_of(folder, path)
    return Dumped(said.path, said.size, said.sha256, table.name, rows, columns_of(table))


def load(connection: sa.Connection, table: sa.Table, folder: Path, dumped: Dumped) -> int:
    """Appends the rows of a dumped table to `table` in the caller's transaction; gives how many."""
    rows = 0
    with pq.ParquetFile(folder / dumped.path) as source:
        for batch in source.iter_batches(BATCH_ROWS):
            rows += bulk_load(connection, table, _frame(batch))
    return rows


def read(folder: Path, dumped: Dumped) -> list[dict[str, Any]]:
    """All rows of a small table."""
    rows: list[dict[str, Any]] = pq.read_table(folder / dumped.path).to_pylist()
    return rows


def _frame(batch: pa.RecordBatch) -> pd.DataFrame:
    """As `bulk_load` takes it: whole numbers stay whole where some are NULL, truth values become 1, 0 and NaN."""
    frame: pd.DataFrame = pa.Table.from_batches([batch]).to_pandas(integer_object_nulls=True, date_as_object=False)
    for field in batch.schema:
        if pa.types.is_boolean(field.type) and frame[field.name].isna().any():
            frame[field.name] = frame[field.name].astype(float)
    return frame
