"""The two clocks: how a delivery of facts becomes versions, once and in one transaction.

A delivery says: at time *T* these keys had these values. The versions of a key are the maximal runs of equal values
over its deliveries in order of *T*; a version names the earliest payload of its run. An equal row changes nothing, a
restated one closes the old version and opens a new one, a key that a later delivery leaves out stays as it was (an
upstream that drops a day for a while has not said that the day did not happen). Nothing is deleted but a version that
turns out, by a late delivery, to repeat its neighbour.

Belongs here: versions. Does not belong here: which rows deserve belief (`quality/`) or where they came from
(`ingest.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import sqlalchemy as sa

from rally_pipeline.schema import table_info, value_columns
from rally_pipeline.schema.declare import VERSION_COLUMNS, UtcDateTime
from rally_pipeline.warehouse.load import bulk_load

#: From this size on, PostgreSQL is told the statistics of a staged delivery before it is joined.
_ANALYZE_ROWS = 5_000


@dataclass(frozen=True)
class MergeResult:
    """What a delivery changed.

    Attributes:
        new: rows whose key was not known at the delivery's time.
        changed: rows that closed a version.
        same: rows already known as they are.
        first_changed: for each value of the subject column, the first market date that changed.
        is_late: whether versions later than the delivery exist for its keys; the caller must then merge the later
            deliveries again, in order, and `coalesce` (see `ingest.py`).
    """

    new: int = 0
    changed: int = 0
    same: int = 0
    first_changed: dict[str, dt.date] = field(default_factory=dict)
    is_late: bool = False


def merge(
    connection: sa.Connection,
    table: sa.Table,
    frame: pd.DataFrame,
    *,
    subject_column: str,
    known_at: dt.datetime,
    payload_id: str,
    constants: dict[str, Any],
) -> MergeResult:
    """Merges one delivery into a versioned table within the caller's transaction.

    Args:
        connection: a writing connection.
        table: a versioned table.
        frame: the facts, one row per key: key and value columns less `constants`, and ``locator``.
        subject_column: key column by which changes are reported (``symbol``).
        known_at: aware time of the delivery.
        payload_id: the payload the rows stand in.
        constants: key or value columns equal in all rows (``source``).

    Raises:
        sqlalchemy.exc.IntegrityError: two rows of `frame` have the same key.
    """
    if frame.empty:
        return MergeResult()
    info = table_info(table)
    assert info.date_column is not None
    frame = frame.sort_values([k for k in info.natural_key if k in frame.columns], kind="stable", ignore_index=True)
    provenance = {**constants, "known_from_at": known_at, "payload_id": payload_id}

    if _is_untouched(connection, table, frame[subject_column].unique().tolist(), subject_column, constants):
        bulk_load(connection, table, frame, provenance)
        firsts = frame.groupby(subject_column, sort=False)[info.date_column].min()
        return MergeResult(
            new=len(frame), first_changed={str(s): d.date() for s, d in firsts.items()}
        )

    stage = _stage(connection, table, frame, constants)
    # After an error the transaction is rolled back, and the temporary table with it.
    result = _merge_staged(connection, table, stage, subject_column, provenance, len(frame))
    stage.drop(connection, checkfirst=False)
    return result


def _is_untouched(
    connection: sa.Connection, table: sa.Table, subjects: list[str], subject_column: str, constants: dict[str, Any]
) -> bool:
    """Whether nothing of these subjects is in the table yet, so that the delivery can be loaded without comparing."""
    same_source = [table.c[name] == value for name, value in constants.items() if name in table.primary_key.columns]
    for start in range(0, len(subjects), 500):
        part = subjects[start : start + 500]
        found = sa.select(sa.literal(1)).where(table.c[subject_column].in_(part), *same_source).limit(1)
        if connection.execute(found).first() is not None:
            return False
    return True


def _stage(connection: sa.Connection, table: sa.Table, frame: pd.DataFrame, constants: dict[str, Any]) -> sa.Table:
    """A temporary table with the delivery in it; constants are columns of it too, so that joins read the same."""
    stage = sa.Table(
        f"stage_{table.name}",
        sa.MetaData(),
        *(sa.Column(c.name, c.type) for c in table.columns if c.name == "locator" or c.name not in VERSION_COLUMNS),
        prefixes=["TEMPORARY"],
    )
    stage.create(connection, checkfirst=False)
    bulk_load(connection, stage, frame, constants)
    if connection.dialect.name == "postgresql" and len(frame) >= _ANALYZE_ROWS:
        connection.exec_driver_sql(f"ANALYZE {stage.name}")
    return stage


def _merge_staged(
    connection: sa.Connection,
    table: sa.Table,
    stage: sa.Table,
    subject_column: str,
    provenance: dict[str, Any],
    staged_rows: int,
) -> MergeResult:
    info = table_info(table)
    known_at = sa.literal(provenance["known_from_at"], UtcDateTime())
    same_key = sa.and_(*(table.c[k] == stage.c[k] for k in info.natural_key))
    differs = sa.or_(*(table.c[c.name].is_distinct_from(stage.c[c.name]) for c in value_columns(table)))
    is_late = (
        connection.execute(
            sa.select(sa.literal(1)).where(same_key, table.c.known_from_at > known_at).limit(1)
        ).first()
        is not None
    )
    # The version believed at the time of the delivery; for a delivery in order that is the current one.
    believed = sa.and_(
        same_key,
        table.c.known_from_at <= known_at,
        sa.or_(table.c.known_to_at.is_(None), table.c.known_to_at > known_at),
    )
    known_to = _next_known_from(table, stage, known_at) if is_late else sa.null()
    changed, new = _put_versions(connection, table, stage, believed, differs, provenance, known_to)
    firsts = connection.execute(
        sa.select(table.c[subject_column], sa.func.min(table.c[info.date_column]))
        .where(same_key, table.c.known_from_at == known_at, table.c.payload_id == provenance["payload_id"])
        .group_by(table.c[subject_column])
    ).all()
    return MergeResult(
        new=new,
        changed=changed,
        same=staged_rows - new - changed,
        first_changed={row[0]: row[1] for row in firsts} if new or changed else {},
        is_late=is_late,
    )


def _put_versions(
    connection: sa.Connection,
    table: sa.Table,
    stage: sa.Table,
    believed: sa.ColumnElement[bool],
    differs: sa.ColumnElement[bool],
    provenance: dict[str, Any],
    known_to: sa.ColumnElement[Any],
) -> tuple[int, int]:
    """Closes what the delivery contradicts and opens what it says; returns (changed, new)."""
    known_at = provenance["known_from_at"]
    # A second delivery at the very same instant: the greater payload id wins, whichever comes first.
    tie = sa.and_(table.c.known_from_at == known_at, believed, differs)
    replaced = connection.execute(
        sa.delete(table).where(
            sa.exists(sa.select(sa.literal(1)).select_from(stage).where(tie)).correlate(table),
            table.c.payload_id < provenance["payload_id"],
        )
    ).rowcount
    closed = connection.execute(
        sa.update(table).where(believed, differs, table.c.known_from_at < known_at).values(known_to_at=known_at)
    ).rowcount
    is_believed = sa.exists(sa.select(sa.literal(1)).select_from(table).where(believed).correlate(stage))
    statement = _insert_from_stage(table, stage, provenance, known_to, ~is_believed)
    opened = connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
    changed = closed + replaced
    return changed, opened - changed


def _next_known_from(table: sa.Table, stage: sa.Table, known_at: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """When the version after `known_at` begins: a late delivery's version ends there."""
    later = table.alias("later")
    return (
        sa.select(sa.func.min(later.c.known_from_at))
        .where(*(later.c[k] == stage.c[k] for k in table_info(table).natural_key), later.c.known_from_at > known_at)
        .correlate(stage)
        .scalar_subquery()
    )


def _insert_from_stage(
    table: sa.Table,
    stage: sa.Table,
    provenance: dict[str, Any],
    known_to: sa.ColumnElement[Any],
    where: sa.ColumnElement[bool],
) -> sa.Insert:
    names = [c.name for c in stage.columns]
    return sa.insert(table).from_select(
        [*names, "known_from_at", "known_to_at", "payload_id"],
        sa.select(
            *stage.columns,
            sa.literal(provenance["known_from_at"], UtcDateTime()),
            sa.type_coerce(known_to, UtcDateTime()),
            sa.literal(provenance["payload_id"], sa.String(64)),
        ).where(where),
    )


def coalesce(connection: sa.Connection, table: sa.Table, subject_column: str, subjects: Sequence[str]) -> int:
    """Joins neighbouring versions of equal value, after a late delivery and what was merged again behind it.

    Returns how many versions were absorbed by the one before them.
    """
    info = table_info(table)
    absorbed = 0
    before = table.alias("before")
    touching = sa.and_(
        *(before.c[k] == table.c[k] for k in info.natural_key),
        before.c.known_to_at == table.c.known_from_at,
        *(before.c[c.name].is_not_distinct_from(table.c[c.name]) for c in value_columns(table)),
    )
    while True:
        rows = connection.execute(
            sa.select(*(table.c[k] for k in info.natural_key), table.c.known_from_at, table.c.known_to_at, before.c.known_from_at)
            .join(before, touching)
            .where(table.c[subject_column].in_(subjects))
            .order_by(*(table.c[k] for k in info.natural_key), table.c.known_from_at)
        ).all()
        if not rows:
            return absorbed
        done: set[tuple[Any, ...]] = set()
        for *key, known_from, known_to, before_from in rows:
            if tuple(key) in done:
                continue  # the next pass sees the longer version
            done.add(tuple(key))
            same = [table.c[k] == value for k, value in zip(info.natural_key, key, strict=True)]
            connection.execute(sa.delete(table).where(*same, table.c.known_from_at == known_from))
            connection.execute(
                sa.update(table).where(*same, table.c.known_from_at == before_from).values(known_to_at=known_to)
            )
            absorbed += 1
