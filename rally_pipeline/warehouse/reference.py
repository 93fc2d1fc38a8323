"""Reference tables: what the catalog and the calendars say, written into the warehouse so that marts can join it.

Belongs here: rewriting them when, and only when, the catalog or the calendars changed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json

import pandas as pd
import sqlalchemy as sa

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.schema import core
from rally_pipeline.sessions import Calendars, expand_events
from rally_pipeline.warehouse.load import bulk_load
from rally_pipeline.warehouse.schema_version import read_statement, write_statement

#: Raise when what `sessions.py` computes changes without a change of package or overrides.
_SESSIONS_REVISION = 1

_MARKETS = core.MARKETS


def sync_reference(connection: sa.Connection, catalog: Catalog, calendars: Calendars, *, force: bool = False) -> bool:
    """Rewrites the reference tables if the catalog or the calendars differ from what they were made from.

    Returns whether anything was rewritten; the caller then computes derived tables again.
    """
    changed = False
    calendar_hash = calendar_digest(catalog)
    if force or read_statement(connection, "calendar_hash") != calendar_hash:
        _write_sessions(connection, calendars)
        write_statement(connection, "calendar_hash", calendar_hash)
        changed = True
    if changed or read_statement(connection, "catalog_hash") != catalog.content_hash:
        _write_catalog(connection, catalog, calendars)
        write_statement(connection, "catalog_hash", catalog.content_hash)
        changed = True
    return changed


def is_current(connection: sa.Connection, catalog: Catalog) -> bool:
    """Whether the reference tables say what the catalog and the calendars say."""
    return (
        read_statement(connection, "calendar_hash") == calendar_digest(catalog)
        and read_statement(connection, "catalog_hash") == catalog.content_hash
    )


def calendar_digest(catalog: Catalog) -> str:
    """Digest of everything that the sessions follow from."""
    from importlib.metadata import version

    local = catalog.model_dump(mode="json", include={"calendar_overrides", "calendar_extensions"})
    text = json.dumps([version("exchange_calendars"), _SESSIONS_REVISION, local], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write_sessions(connection: sa.Connection, calendars: Calendars) -> None:
    table = core.core_session
    connection.execute(sa.delete(table))
    for market in _MARKETS:
        frame = calendars.session_frame(market, calendars.first_day(market), calendars.horizon(market))
        days = frame["session_date"].dt
        frame["day_no"] = frame["session_date"].astype("datetime64[s]").astype("int64") // 86_400
        frame["month_day_no"] = (12 * days.year + days.month - 1) * 31 + days.day - 1
        bulk_load(connection, table, frame[[c.name for c in table.columns]])


def _write_catalog(connection: sa.Connection, catalog: Catalog, calendars: Calendars) -> None:
    for table in (
        core.core_instrument,
        core.core_instrument_source,
        core.core_leaderboard_member,
        core.core_event,
        core.core_broker,
    ):
        connection.execute(sa.delete(table))
    instruments = list(catalog.instruments.values())
    connection.execute(
        sa.insert(core.core_instrument),
        [
            {
                "symbol": i.symbol,
                "name": i.name,
                "market": i.market.value,
                "currency": i.currency,
                "kind": i.kind.value,
                "leaderboard": i.leaderboards[0] if i.leaderboards else None,
                "listing_date": i.listing_date,
                "base_currency": i.base_currency,
            }
            for i in instruments
        ],
    )
    sources = [
        {"symbol": i.symbol, "source": s.source, "trust_rank": rank}
        for i in instruments
        for rank, s in enumerate(i.price_sources, start=1)
    ]
    members = [{"leaderboard": name, "symbol": i.symbol} for i in instruments for name in i.leaderboards]
    for table, rows in ((core.core_instrument_source, sources), (core.core_leaderboard_member, members)):
        if rows:
            connection.execute(sa.insert(table), rows)
    houses = [
        {"broker_id": b.broker_id, "name": b.name, "kind": b.kind.value, "country": b.country, "symbol": b.symbol}
        for b in catalog.brokers.values()
    ]
    if houses:
        connection.execute(sa.insert(core.core_broker), houses)
    events = expand_events(
        list(catalog.events.values()),
        calendars,
        calendars.first_day("CN").year + 1,
        calendars.horizon("CN").year,
    )
    frame = pd.DataFrame(events, columns=["event_id", "name", "event_date"])
    yearly = frame["event_id"].str.replace(r"_\d{4}$", "", regex=True).where(frame["event_id"].str.contains(r"_\d{4}$"))
    frame = frame.assign(yearly=yearly).sort_values("event_date", kind="stable")
    until = frame.groupby("yearly", dropna=True)["event_date"].shift(-1)
    occurrences = [
        {"event_id": e.event_id, "name": e.name, "event_date": e.event_date, "until_date": _date_or_none(until.get(i))}
        for i, e in zip(frame.index, frame.itertuples(), strict=True)
    ]
    if occurrences:
        connection.execute(sa.insert(core.core_event), occurrences)


def _date_or_none(value: object) -> dt.date | None:
    return value if isinstance(value, dt.date) and not pd.isna(value) else None
