"""The demo's world in a warehouse without the steps that bring it there, and claims about it, for tests of the audit.

Belongs here: rows written straight into core, refreshed tables, short ways to write a claim. Does not belong here:
expected verdicts.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rally_pipeline.catalog import Catalog, load_catalog
from rally_pipeline.demo.flows import build_flows
from rally_pipeline.demo.prices import DemoWorld
from rally_pipeline.marts import mark_all_stale, refresh
from rally_pipeline.notes.records import AsOfBasis, Claim, ClaimType, Window, WindowKind
from rally_pipeline.schema import metadata
from rally_pipeline.sessions import SOUTHBOUND, Calendars
from rally_pipeline.warehouse.reference import sync_reference
from rally_pipeline_tests import oracle
from rally_pipeline_tests.oracle_flows import flow_row

SYMBOLS = ("^HSI", "HSTECH.HK", "^GDAXI", "^GSPC", "9988.HK")


def write_demo(
    connection: sa.Connection, catalog: Catalog, calendars: Calendars, symbols: Sequence[str] = SYMBOLS
) -> None:
    """Reference tables, the demo's bars of these symbols, its flows and rates; derived tables refreshed."""
    metadata.create_all(connection)
    sync_reference(connection, catalog, calendars, force=True)
    world, demo = oracle.World(), DemoWorld(catalog, calendars)
    for symbol in symbols:
        bars = demo.bars(symbol)
        assert bars is not None
        currency = catalog.instruments[symbol].currency
        for i, day in enumerate(bars.days):
            more = {n: float(getattr(bars, n)[i]) for n in ("open", "high", "low")}
            more["volume_shares"] = int(bars.volume[i])
            row = oracle.price_row(symbol, day, "yahoo", float(bars.close[i]), currency, **more)
            world.tables["core_price_daily"].append(row)
    flows = build_flows(demo.days(SOUTHBOUND))
    for channel in ("sse", "szse"):
        for day in flows.days:
            flow = flows.southbound_day(channel, day)
            world.tables["core_southbound_flow_daily"].append(
                flow_row(channel, day, "hkex", buy=flow.buy, sell=flow.sell)
            )
    rates = demo.rates()
    for currency in ("USD", "HKD", "CNY"):
        values = rates.per_euro(currency)
        assert values is not None
        world.tables["core_fx_daily"] += [
            oracle.fx_row("EUR", currency, day, "ecb", float(value))
            for day, value in zip(rates.days, values, strict=True)
        ]
    world.write(connection)
    mark_all_stale(connection)
    refresh(connection)


def reference() -> tuple[Catalog, Calendars]:
    """The project's own catalog and its calendars."""
    catalog = load_catalog(None)
    return catalog, Calendars.from_catalog(catalog)


def window(kind: WindowKind, start: str | None = None, latest: str | None = None, **more: Any) -> Window:
    """A window with ISO days; exact unless `latest` is given."""
    first = dt.date.fromisoformat(start) if start else None
    return Window(
        0,
        0,
        kind,
        start_earliest=first,
        start_latest=dt.date.fromisoformat(latest) if latest else first,
        last=dt.date.fromisoformat(more.pop("last")) if "last" in more else None,
        **more,
    )


def claim(claim_type: ClaimType, subject: str, metric: str, as_of: str | None, **more: Any) -> Claim:
    """A claim as a grammar would give it; its day is stated unless `as_of_basis` says otherwise."""
    quote = more.pop("quote", "q")
    return Claim(
        claim_type=claim_type,
        rule_id="test",
        start=0,
        end=len(quote),
        quote=quote,
        subject_id=subject,
        metric=metric,
        as_of_date=dt.date.fromisoformat(as_of) if as_of else None,
        **{"as_of_basis": AsOfBasis.STATED, **more},
    )


def write_notes(
    connection: sa.Connection,
    claims: Sequence[tuple[str, Claim]],
    *,
    note_id: str = "a" * 64,
    version: str = "1",
    known_at: dt.datetime = oracle.KNOWN,
) -> None:
    """A note and its claims, as believed rows; what was believed of the note before is closed."""
    note, table = metadata.tables["core_note"], metadata.tables["core_note_claim"]
    for made in (note, table):
        was = sa.and_(made.c.note_id == note_id, made.c.known_to_at.is_(None))
        connection.execute(sa.update(made).where(was).values(known_to_at=known_at))
    common = {"known_from_at": known_at, "known_to_at": None, "payload_id": "0" * 64, "locator": "row 1"}
    row = {c.name: _plain(c) for c in note.columns} | common
    row |= {"note_id": note_id, "extractor_version": version, "as_of_date": dt.date(2025, 2, 14)}
    connection.execute(sa.insert(note), [row])
    rows = [
        {c.name: _plain(c) for c in table.columns}
        | claim_columns(one)
        | common
        | {"claim_id": claim_id, "note_id": note_id, "extractor_version": version}
        for claim_id, one in claims
    ]
    if rows:
        connection.execute(sa.insert(table), rows)


def _plain(column: sa.Column[Any]) -> Any:
    if column.nullable:
        return None
    kind = column.type.python_type
    return False if kind is bool else 1 if kind in (int, float) else dt.date(2025, 1, 1) if kind is dt.date else ""


def claim_columns(claim: Claim) -> dict[str, Any]:
    """The columns of ``core_note_claim`` that hold a claim's fields."""
    table = metadata.tables["core_note_claim"]
    found = {c.name: getattr(claim, c.name) for c in table.columns if hasattr(claim, c.name)}
    found = {name: getattr(value, "value", value) for name, value in found.items()}
    found["direction"] = found["direction"] or ""
    found |= {"start_offset": claim.start, "end_offset": claim.end, "details": json.dumps(dict(claim.details))}
    window = claim.window
    names = {
        **{"window_start_earliest": "start_earliest", "window_start_latest": "start_latest", "window_end": "last"},
        **{"window_months": "months", "window_days": "days", "is_base_inclusive": "is_base_inclusive"},
    }
    found |= {column: getattr(window, name, None) for column, name in names.items()}
    found |= {
        "window_kind": window.kind.value if window else "",
        "window_text": "",
        "window_event_id": window.event_id if window else "",
        "is_window_inherited": bool(window and window.is_inherited),
    }
    return found
