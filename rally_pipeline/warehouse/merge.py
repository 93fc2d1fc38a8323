"""The two clocks: how deliveries of facts become versions, once and in one transaction.

A delivery says: at time *T* these keys had these values. Of two deliveries at the very same time the one with the
greater payload id counts. The versions of a key are the maximal runs of equal values over its deliveries in order of
*T*; a version names the first payload of its run. So the versions depend on what was delivered, never on the order in
which it arrived. An equal row changes nothing, a restated one closes the old version and opens a new one, a key that a
later delivery leaves out stays as it was (an upstream that drops a day for a while has not said that the day did not
happen).

A later delivery that only confirmed a version left no trace in the table. A delivery that comes late, behind others
already merged, is therefore merged together with all those that follow it (`merge_late`); which they are, the caller
knows.

Belongs here: versions. Does not belong here: which rows deserve belief (`quality/`) or where they came from
(`ingest.py`).
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.schema import table_info, value_columns
from rally_pipeline.schema.declare import VERSION_COLUMNS, UtcDateTime
from rally_pipeline.warehouse.believed import not_believed
from rally_pipeline.warehouse.indexes import built_afterwards
from rally_pipeline.warehouse.load import bulk_load

#: From this size on, PostgreSQL is told the statistics of a staged delivery before it is joined.
_ANALYZE_ROWS = 5_000


@dataclass(frozen=True)
class Delivery:
    """What one payload says.

    Attributes:
        known_at: aware time from which it counts as known.
        payload_id: the payload the rows stand in.
        frame: the facts, one row per key: key and value columns less the merge's constants, and ``locator``.
    """

    known_at: dt.datetime
    payload_id: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class MergeResult:
    """What a delivery changed.

    Attributes:
        new: rows whose key was not known at the delivery's time.
        changed: rows that closed a version.
        same: rows already known as they are, or overruled by another delivery of the same time.
        first_changed: for each value of the subject column, the first market date of which the believed row changed.
    """

    new: int = 0
    changed: int = 0
    same: int = 0
    first_changed: dict[str, dt.date] = field(default_factory=dict)


def is_untouched(
    connection: sa.Connection,
    table: sa.Table,
    subjects: Sequence[str],
    subject_column: str,
    constants: Mapping[str, Any],
) -> bool:
    """Whether nothing of these subjects is in the table yet, so that a delivery can be loaded without comparing."""
    same_source = [table.c[name] == value for name, value in constants.items() if name in table.primary_key.columns]
    for start in range(0, len(subjects), 500):
        part = subjects[start : start + 500]
        found = sa.select(sa.literal(1)).where(table.c[subject_column].in_(part), *same_source).limit(1)
        if connection.execute(found).first() is not None:
            return False
    return True


def merge(
    connection: sa.Connection,
    table: sa.Table,
    frame: pd.DataFrame,
    *,
    subject_column: str,
    known_at: dt.datetime,
    payload_id: str,
    constants: Mapping[str, Any],
    is_first: bool | None = None,
) -> MergeResult:
    """Merges the latest delivery into a versioned table within the caller's transaction.

    Args:
        connection: a writing connection.
        table: a versioned table.
        frame: the facts, one row per key: key and value columns less `constants`, and ``locator``.
        subject_column: key column by which changes are reported (``symbol``).
        known_at: aware time of the delivery; no delivery of the same keys at or after it has been merged yet.
        payload_id: the payload the rows stand in.
        constants: key or value columns equal in all rows (``source``).
        is_first: what `is_untouched` said of its subjects within the same transaction; ``None`` = it is asked.

    Raises:
        sqlalchemy.exc.IntegrityError: two rows of `frame` have the same key.
    """
    if frame.empty:
        return MergeResult()
    info = table_info(table)
    assert info.date_column is not None
    if is_first is None:
        subjects = frame[subject_column].unique().tolist()
        is_first = is_untouched(connection, table, subjects, subject_column, constants)
    if is_first:
        fixed = {**constants, "known_from_at": known_at, "payload_id": payload_id}
        with built_afterwards(connection, table, len(frame)):
            bulk_load(connection, table, _sorted(table, frame), fixed)
        firsts = frame.groupby(subject_column, sort=False)[info.date_column].min()
        return MergeResult(new=len(frame), first_changed={str(s): d.date() for s, d in firsts.items()})

    said = len(frame)
    frame = not_believed(connection, table, _sorted(table, frame), subject_column=subject_column, constants=constants)
    if frame.empty:
        return MergeResult(same=said)
    stage = _stage(connection, table, frame, {**constants, "payload_id": payload_id})
    # After an error the transaction is rolled back, and the temporary table with it.
    changed, new = _put_versions(connection, table, stage, known_at)
    firsts_changed: dict[str, dt.date] = {}
    if changed or new:
        opened = sa.and_(_same_key(table, stage), table.c.known_from_at == known_at)
        firsts_changed = _firsts(connection, table, subject_column, opened)
    stage.drop(connection, checkfirst=False)
    return MergeResult(new, changed, said - new - changed, firsts_changed)


def merge_late(
    connection: sa.Connection,
    table: sa.Table,
    delivery: Delivery,
    others: Sequence[Delivery],
    *,
    subject_column: str,
    constants: Mapping[str, Any],
) -> MergeResult:
    """Merges a delivery behind which others stand, or which was merged before and is now read otherwise.

    Args:
        connection: a writing connection.
        table: a versioned table.
        delivery: what comes late.
        others: every other delivery at or after the same time, in any order; only their rows about the keys of
            `delivery` are looked at.
        subject_column: key column by which changes are reported.
        constants: key or value columns equal in all rows of all deliveries.

    Raises:
        sqlalchemy.exc.IntegrityError: two rows of a frame have the same key.
    """
    frame = delivery.frame
    if frame.empty:
        return MergeResult()
    if not others:
        rest = not_believed(
            connection,
            table,
            _sorted(table, frame),
            subject_column=subject_column,
            constants=constants,
            known_by=delivery.known_at,
        )
        if rest.empty:
            return MergeResult(same=len(frame))
    keys = _stage(connection, table, frame, {**constants, "payload_id": delivery.payload_id}, "late", is_probed=True)
    if not others and _says_nothing_new(connection, table, keys, delivery.known_at, len(frame)):
        keys.drop(connection, checkfirst=False)
        return MergeResult(same=len(frame))
    before = _copy_versions(connection, table, keys)
    _forget_since(connection, table, keys, delivery.known_at)
    for known_at, rows in _in_order(table, [delivery, *others], frame):
        stage = _stage(connection, table, rows, constants)
        _put_versions(connection, table, stage, known_at)
        stage.drop(connection, checkfirst=False)

    same_version = sa.and_(
        *(before.c[c.name] == table.c[c.name] for c in table.primary_key.columns),
        before.c.payload_id == table.c.payload_id,
        *(before.c[c.name].is_not_distinct_from(table.c[c.name]) for c in value_columns(table)),
    )
    was_there = sa.exists(sa.select(sa.literal(1)).select_from(before).where(same_version).correlate(table))
    was_believed = sa.exists(
        sa.select(sa.literal(1))
        .select_from(before)
        .where(same_version, before.c.known_to_at.is_(None))
        .correlate(table)
    )
    opened = sa.and_(
        _same_key(table, keys),
        table.c.known_from_at == delivery.known_at,
        table.c.payload_id == delivery.payload_id,
        ~was_there,
    )
    earlier = table.alias("earlier")
    closed_one = sa.exists(
        sa.select(sa.literal(1))
        .select_from(earlier)
        .where(_same_key(table, earlier), earlier.c.known_to_at == table.c.known_from_at)
        .correlate(table)
    )
    count = sa.select(sa.func.count()).select_from(table.join(keys, _same_key(table, keys)))
    all_opened = connection.scalar(count.where(opened)) or 0
    changed = connection.scalar(count.where(opened, closed_one)) or 0
    believed_anew = sa.and_(_same_key(table, keys), table.c.known_to_at.is_(None), ~was_believed)
    firsts = _firsts(connection, table, subject_column, believed_anew)
    before.drop(connection, checkfirst=False)
    keys.drop(connection, checkfirst=False)
    return MergeResult(all_opened - changed, changed, len(frame) - all_opened, firsts)


def _sorted(table: sa.Table, frame: pd.DataFrame) -> pd.DataFrame:
    key = [name for name in table_info(table).natural_key if name in frame.columns]
    return frame if _is_sorted(frame, key) else frame.sort_values(key, kind="stable", ignore_index=True)


def _is_sorted(frame: pd.DataFrame, key: Sequence[str]) -> bool:
    """Whether the rows stand in order of the key already; nothing is copied to tell."""
    is_tied: Any = np.ones(max(len(frame) - 1, 0), bool)
    for name in key:
        values: Any = frame[name].array
        if (is_tied & np.asarray(values[1:] < values[:-1], bool)).any():
            return False
        is_tied &= np.asarray(values[1:] == values[:-1], bool)
    return True


def _same_key(table: sa.Table, other: sa.FromClause) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[k] == other.c[k] for k in table_info(table).natural_key))


def _stage(
    connection: sa.Connection,
    table: sa.Table,
    frame: pd.DataFrame,
    constants: Mapping[str, Any],
    prefix: str = "stage",
    *,
    is_probed: bool = False,
) -> sa.Table:
    """A temporary table with the delivery in it; constants are columns of it too, so that joins read the same.

    One that is probed key by key gets a primary key.
    """
    stage = _stage_table(table, prefix, is_probed)
    stage.create(connection, checkfirst=False)
    bulk_load(connection, stage, _sorted(table, frame), constants)
    _analyze(connection, stage, len(frame))
    return stage


@functools.lru_cache(maxsize=128)
def _stage_table(table: sa.Table, prefix: str, is_probed: bool) -> sa.Table:
    """The same object each time: statements about another one would be compiled anew."""
    kept = {"locator", "payload_id"}
    return sa.Table(
        f"{prefix}_{table.name}",
        sa.MetaData(),
        *(
            sa.Column(c.name, c.type, primary_key=is_probed and c.name in table_info(table).natural_key)
            for c in table.columns
            if c.name in kept or c.name not in VERSION_COLUMNS
        ),
        prefixes=["TEMPORARY"],
    )


def _analyze(connection: sa.Connection, table: sa.Table, rows: int) -> None:
    if connection.dialect.name == "postgresql" and rows >= _ANALYZE_ROWS:
        connection.exec_driver_sql(f"ANALYZE {table.name}")


def _differs(table: sa.Table, stage: sa.Table) -> sa.ColumnElement[bool]:
    return sa.or_(*(table.c[c.name].is_distinct_from(stage.c[c.name]) for c in value_columns(table)))


def _put_versions(
    connection: sa.Connection, table: sa.Table, stage: sa.Table, known_at: dt.datetime
) -> tuple[int, int]:
    """Closes what the delivery contradicts and opens what it says; returns (changed, new)."""
    close, put = _version_statements(table, stage)
    at = {"at": known_at}
    closed = connection.execute(close, at).rowcount
    opened = connection.execute(put, at, execution_options={"preserve_rowcount": True}).rowcount
    return closed, opened - closed


@functools.lru_cache(maxsize=128)
def _version_statements(table: sa.Table, stage: sa.Table) -> tuple[sa.Update, sa.Insert]:
    """Closes what is contradicted, and opens what is not believed, at the time ``at``."""
    at = sa.bindparam("at", type_=UtcDateTime())
    current = sa.and_(_same_key(table, stage), table.c.known_to_at.is_(None))
    close = sa.update(table).where(current, _differs(table, stage)).values(known_to_at=at)
    is_current = sa.exists(sa.select(sa.literal(1)).select_from(table).where(current).correlate(stage))
    names = [c.name for c in stage.columns]
    put = sa.insert(table).from_select([*names, "known_from_at"], sa.select(*stage.columns, at).where(~is_current))
    return close, put


def _firsts(
    connection: sa.Connection, table: sa.Table, subject_column: str, where: sa.ColumnElement[bool]
) -> dict[str, dt.date]:
    date_column = table_info(table).date_column
    assert date_column is not None
    subject = table.c[subject_column]
    rows = connection.execute(sa.select(subject, sa.func.min(table.c[date_column])).where(where).group_by(subject))
    return {row[0]: row[1] for row in rows}


def _says_nothing_new(
    connection: sa.Connection, table: sa.Table, stage: sa.Table, known_at: dt.datetime, staged_rows: int
) -> bool:
    """Whether every row is what is believed since `known_at` or before."""
    same = sa.and_(
        _same_key(table, stage),
        table.c.known_from_at <= known_at,
        table.c.known_to_at.is_(None),
        sa.not_(_differs(table, stage)),
    )
    count = sa.select(sa.func.count()).select_from(table.join(stage, same))
    return connection.scalar(count) == staged_rows


def _copy_versions(connection: sa.Connection, table: sa.Table, keys: sa.Table) -> sa.Table:
    """A temporary table with every version of the keys, as they stand before they are touched."""
    copy = sa.Table(
        f"before_{table.name}",
        sa.MetaData(),
        *(sa.Column(c.name, c.type, primary_key=c.primary_key) for c in table.columns),
        prefixes=["TEMPORARY"],
    )
    copy.create(connection, checkfirst=False)
    names = [c.name for c in table.columns]
    select = sa.select(*table.columns).join(keys, _same_key(table, keys))
    rows = connection.execute(sa.insert(copy).from_select(names, select), execution_options={"preserve_rowcount": True})
    _analyze(connection, copy, rows.rowcount)
    return copy


def _forget_since(connection: sa.Connection, table: sa.Table, keys: sa.Table, since: dt.datetime) -> None:
    """Takes the keys back to what was known just before `since`."""
    of_keys = sa.exists(sa.select(sa.literal(1)).select_from(keys).where(_same_key(table, keys)).correlate(table))
    connection.execute(sa.delete(table).where(of_keys, table.c.known_from_at >= since))
    connection.execute(
        sa.update(table)
        .where(of_keys, table.c.known_from_at < since, table.c.known_to_at >= since)
        .values(known_to_at=None)
    )


def _in_order(
    table: sa.Table, deliveries: Iterable[Delivery], of_keys: pd.DataFrame
) -> Iterable[tuple[dt.datetime, pd.DataFrame]]:
    """What the deliveries say about the keys, one frame per time; of one time the greatest payload id counts."""
    key = [name for name in table_info(table).natural_key if name in of_keys.columns]
    ordered = sorted(deliveries, key=attrgetter("known_at", "payload_id"))
    for known_at, group in itertools.groupby(ordered, key=attrgetter("known_at")):
        frames = [one.frame.merge(of_keys[key], on=key).assign(payload_id=one.payload_id) for one in group]
        rows = pd.concat([frame for frame in frames if not frame.empty] or frames[:1])
        if not rows.empty:
            yield known_at, rows.drop_duplicates(key, keep="last")
