"""What the gate is told about the warehouse: what is believed around the days of a payload.

Belongs here: reading, bounded by what the payload spans and never by the length of history. Does not belong here:
judging (`quality/`).
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

import pandas as pd
import sqlalchemy as sa

from rally_pipeline.archive import FetchRecord
from rally_pipeline.load_log import standing_results
from rally_pipeline.marts.refresh import refresh
from rally_pipeline.quality.known import LOOK_BACK_DAYS, KnownFacts
from rally_pipeline.quality.notes import NEAR_DAYS
from rally_pipeline.quality.rules import RENAMES
from rally_pipeline.schema import core_flows, core_notes, raw, table_info
from rally_pipeline.sources.base import Dataset, Severity
from rally_pipeline.targets import TARGETS

#: Of each dataset: what other sources' figures are compared by.
_COMPARED = {Dataset.PRICE: "close", Dataset.FX: "rate"}


#: Of a longer delivery only the latest days, so many rows of it, are compared with other sources: reading a million
#: rows of theirs would take longer than loading its own.
_COMPARED_ROWS = 100_000


#: Datasets whose rows are judged by those before them.
_CHAINED = (
    Dataset.PRICE,
    Dataset.FX,
    Dataset.SOUTHBOUND_FLOW,
    Dataset.NORTHBOUND_TURNOVER,
    Dataset.MARKET_TURNOVER,
)


def known_facts(connection: sa.Connection, record: FetchRecord, dataset: Dataset, frame: pd.DataFrame) -> KnownFacts:
    """What is believed around a frame's days: as much as the frame spans, however long the history is."""
    if frame.empty:
        return KnownFacts()
    target = TARGETS[dataset]
    table, date_column = target.table, table_info(target.table).date_column
    assert date_column is not None
    date = table.c[date_column]
    first, last = frame[date_column].min().date(), frame[date_column].max().date()
    about = sa.and_(
        table.c[target.subject_column].in_(frame[target.subject_column].unique().tolist()),
        table.c.known_to_at.is_(None),
    )
    previous = others = pd.DataFrame()
    if dataset in _CHAINED:
        names = {name: RENAMES.get(dataset, {}).get(name, name) for name in frame.columns if name != "locator"}
        query = sa.select(*(table.c[stored].label(name) for name, stored in names.items())).where(
            about,
            table.c.source == record.request.source,
            date >= first - dt.timedelta(days=LOOK_BACK_DAYS),
            date < first,
        )
        previous = _frame_of(connection, query, date_column)
    if dataset in _COMPARED:
        keys = [name for name in frame.columns if name in table.primary_key.columns and name != "locator"]
        value = table.c[_COMPARED[dataset]]
        if len(frame) > _COMPARED_ROWS:
            first = frame[date_column].nlargest(_COMPARED_ROWS).iloc[-1].date()
        query = sa.select(*(table.c[name] for name in keys), value.label("value")).where(
            about, table.c.source != record.request.source, date.between(first, last), value.is_not(None)
        )
        others = _frame_of(connection, query, date_column)
    if dataset is Dataset.NOTE:
        others = _similar_notes(connection, first, last)
    return KnownFacts(previous, others, _row_counts(connection, record, dataset))


def _similar_notes(connection: sa.Connection, first: dt.date, last: dt.date) -> pd.DataFrame:
    """Hashes of the notes of the weeks around, by which near-duplicates are told."""
    table, around = core_notes.core_note, dt.timedelta(days=NEAR_DAYS)
    query = sa.select(table.c.note_id, table.c.similarity_hash).where(
        table.c.known_to_at.is_(None), table.c.as_of_date.between(first - around, last + around)
    )
    result = connection.execute(query)
    return pd.DataFrame(result.fetchall(), columns=list(result.keys()))


def _frame_of(connection: sa.Connection, query: sa.Select[Any], date_column: str) -> pd.DataFrame:
    result = connection.execute(query)
    frame = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
    if len(frame):
        frame[date_column] = pd.to_datetime(frame[date_column]).astype("datetime64[s]")
    return frame


def _row_counts(connection: sa.Connection, record: FetchRecord, dataset: Dataset) -> tuple[int, ...]:
    """Rows of the last payloads that answered a request like this one, about as many days long."""
    request = record.request
    if request.start is None or request.end is None:
        return ()
    asked = {
        "source": request.source,
        "subject": request.subject,
        "parser": request.parser,
        "before": record.known_at,
        "table_name": TARGETS[dataset].table.name,
    }
    days = (request.end - request.start).days
    return tuple(
        row.row_count
        for row in connection.execute(_like_requests(), asked)
        if row.start_date and row.end_date and abs((row.end_date - row.start_date).days - days) <= 0.1 * days
    )


@functools.cache
def _like_requests() -> sa.Select[Any]:
    """Rows and days of the last payloads; the same statement each time, with the request as its parameters."""
    fetch, result = raw.raw_fetch, standing_results()
    return (
        sa.select(result.c.row_count, fetch.c.start_date, fetch.c.end_date)
        .join(result, result.c.fetch_id == fetch.c.fetch_id)
        .where(
            fetch.c.source == sa.bindparam("source"),
            fetch.c.subject == sa.bindparam("subject"),
            fetch.c.parser == sa.bindparam("parser"),
            fetch.c.known_at < sa.bindparam("before"),
            result.c.table_name == sa.bindparam("table_name"),
            result.c.rule == "row_count_band",
        )
        .order_by(fetch.c.known_at.desc())
        .limit(20)
    )


def broker_contradictions(connection: sa.Connection, rows: pd.DataFrame) -> dict[str, str]:
    """Compares a broker's weeks with the days in the warehouse, within a transaction that writes.

    Returns:
        For each rule that is not met (``suspected_unit_error``: off by a power of ten; ``week_matches``: by more than
        1 %) a message with both figures of the first week of which that is so.
    """
    from rally_pipeline.sources.flow_files import check_against_weeks

    table = core_flows.core_southbound_resolved_daily
    columns = ["buy_hkd_mn", "sell_hkd_mn", "net_buy_hkd_mn", "turnover_hkd_mn"]
    first, last = rows["period_start"].min().date(), rows["period_end"].max().date()
    monday = first - dt.timedelta(days=first.weekday())
    query = sa.select(table.c.channel, table.c.session_date, *(table.c[name] for name in columns)).where(
        table.c.session_date.between(monday, last + dt.timedelta(days=6))
    )
    # The comparison rests on a derived table, which must not be behind the facts.
    refresh(connection, tables=[table.name])
    days = pd.DataFrame(connection.execute(query).mappings().all(), columns=["channel", "session_date", *columns])
    days["session_date"] = pd.to_datetime(days["session_date"])
    days["week_start"] = days["session_date"] - pd.to_timedelta(days["session_date"].dt.day_of_week, unit="D")
    weeks = days.groupby(["channel", "week_start"], as_index=False).agg(
        **{name: (name, "sum") for name in columns}, session_count=("session_date", "count")
    )
    broken = [f for f in check_against_weeks(rows, weeks) if f.severity is Severity.QUARANTINE]
    said: dict[str, str] = {}
    for finding in broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 and not said else ""
        said.setdefault(finding.rule, f"{finding.locator}: {finding.message}{more}")
    return said
