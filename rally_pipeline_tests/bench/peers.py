"""Other ways to put the same rows into a table: what one would use instead, and what bounds it.

Belongs here: those ways, each as a function of no arguments that ends committed. Does not belong here: which of them
stands beside what (`loads.py`). The other packages are installed into ``.venv-bench`` by ``make bench``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from rally_pipeline.warehouse.engine import Warehouse
from rally_pipeline_tests.bench.data import PRICE, complete

Way = Callable[[], None]

#: The same columns and primary key as ``core_price_daily``, and no further index: what others load into.
PLAIN = sa.Table(
    "bench_plain",
    sa.MetaData(),
    *(sa.Column(c.name, c.type, nullable=c.nullable) for c in PRICE.columns),
    sa.PrimaryKeyConstraint(*PRICE.primary_key.columns.keys()),
    sqlite_with_rowid=False,
)


def empty_plain(warehouse: Warehouse) -> None:
    """Makes the table of the others anew."""
    with warehouse.write() as connection:
        PLAIN.drop(connection, checkfirst=True)
        PLAIN.create(connection)


def rendered_copy(warehouse: Warehouse, frame: pd.DataFrame) -> Way:
    """``COPY`` of bytes that are rendered already: nothing is left to do but the server's work."""
    whole = complete(frame)
    sink = io.StringIO()
    whole.to_csv(sink, header=False, index=False)
    return _copy_bytes(warehouse, list(whole.columns), "csv", sink.getvalue().encode())


def rendered_binary_copy(warehouse: Warehouse, frame: pd.DataFrame) -> Way:
    """The same of rows in PostgreSQL's own format, of which the server parses nothing."""
    import pyarrow as pa
    from pgpq import ArrowToPostgresBinaryEncoder

    from rally_pipeline.warehouse.arrow import arrow_type

    whole = complete(frame)
    schema = pa.schema([(name, arrow_type(PLAIN.c[name].type)) for name in whole.columns])
    encoder = ArrowToPostgresBinaryEncoder(schema)
    batches = pa.Table.from_pandas(whole, schema=schema, preserve_index=False).to_batches()
    parts = (encoder.write_header(), *(encoder.write_batch(batch) for batch in batches), encoder.finish())
    return _copy_bytes(warehouse, list(whole.columns), "binary", b"".join(parts))


def _copy_bytes(warehouse: Warehouse, columns: list[str], kind: str, rendered: bytes) -> Way:
    statement = f"COPY {PLAIN.name} ({', '.join(columns)}) FROM STDIN (FORMAT {kind})"

    def run() -> None:
        with warehouse.write() as connection, connection.connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(rendered)

    return run


def adbc_ingest(frame: pd.DataFrame, folder: Path) -> Way:
    """ADBC's bulk ingestion, of Arrow columns made beforehand, into a SQLite file of its own.

    Of its own since ADBC brings its own SQLite, and two of them in one process must not open the same file.
    """
    import adbc_driver_sqlite.dbapi as adbc
    import pyarrow as pa
    from sqlalchemy.dialects import sqlite

    whole = complete(frame).assign(
        session_date=frame["session_date"].dt.strftime("%Y-%m-%d"), known_from_at="2024-01-01 00:00:00.000000"
    )
    table = pa.Table.from_pandas(whole, preserve_index=False)
    create = str(sa.schema.CreateTable(PLAIN).compile(dialect=sqlite.dialect()))

    def run() -> None:
        for suffix in ("", "-wal", "-shm"):
            (folder / f"adbc.sqlite{suffix}").unlink(missing_ok=True)
        with adbc.connect(str(folder / "adbc.sqlite"), autocommit=True) as connection, connection.cursor() as cursor:
            # as the warehouse has it
            for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA cache_size=-65536"):
                cursor.execute(statement)
                cursor.fetchall()
            connection.adbc_connection.set_autocommit(False)
            cursor.execute(create)
            cursor.adbc_ingest(PLAIN.name, table, mode="append")
            connection.commit()

    return run


def to_sql(warehouse: Warehouse, frame: pd.DataFrame) -> Way:
    """``pandas.DataFrame.to_sql`` into a table with a primary key."""

    def run() -> None:
        with warehouse.write() as connection:
            complete(frame).to_sql(PLAIN.name, connection, if_exists="append", index=False)

    return run


def dlt_run(warehouse: Warehouse, frame: pd.DataFrame, folder: Path) -> Way:
    """A dlt pipeline that replaces its table; it keeps no primary key."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL", "DLT_DATA_DIR": str(folder)}
    import dlt
    from dlt.destinations import postgres
    from dlt.destinations import sqlalchemy as with_sqlalchemy

    whole = complete(frame)
    if warehouse.dialect == "postgresql":
        url = warehouse.engine.url
        # dlt wants a host by name; libpq prefers the folder of the socket, given as a parameter.
        url = url.set(drivername="postgresql", host="localhost", port=5432, password="none")
        destination = postgres(credentials=url.render_as_string(hide_password=False))
    else:
        destination = with_sqlalchemy(credentials=f"sqlite:///{folder / 'dlt.sqlite'}")

    def run() -> None:
        pipeline = dlt.pipeline(
            f"bench_{warehouse.dialect}", destination=destination, dataset_name="bench_dlt", pipelines_dir=str(folder)
        )
        pipeline.run(whole, table_name="prices", write_disposition="replace").raise_on_failed_jobs()

    return run
