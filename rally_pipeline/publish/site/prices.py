"""Index and share charts: three years of closes with highs, troughs and events marked.

Belongs here: which points are marked, and the table beside each chart. Does not belong here: finding highs and troughs
(`marts/price_extremes.py`) or drawing (`charts.py`).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.charts import Chart, Dot, Flag, Series, draw
from rally_pipeline.publish.site.leaderboard import title_of
from rally_pipeline.publish.site.world import HEADLINE, SHARE, TECH, Event, Instrument, Row, World
from rally_pipeline.schema import mart

#: Three years and what leads up to them: the span in which a high is a three-year high.
_SPAN_DAYS = 3 * 365 + 31
_NARROW_DAYS = 366


def page(world: World) -> dict[str, Any]:
    """What the page shows: large charts of the headline indices, technology and the article's share; then the rest."""
    rows = _rows(world)
    large: list[dict[str, Any]] = []
    small: dict[str, list[dict[str, Any]]] = {}
    headline = [i.symbol for i in world.instruments.values() if i.leaderboard == HEADLINE]
    for symbol in sorted(rows, key=lambda s: (s not in headline, s != "^HSI", s != TECH, s != SHARE, s)):
        instrument = world.instruments.get(symbol)
        if instrument is None or instrument.kind == "fx":
            continue
        is_large = symbol in headline or symbol in (TECH, SHARE)
        card = _card(world, instrument, rows[symbol], is_large=is_large)
        if card is None:
            continue
        if is_large:
            large.append(card)
        else:
            small.setdefault(title_of(instrument.leaderboard), []).append(card)
    return {"large": large, "groups": small, "events": _numbered(world)}


def _rows(world: World) -> dict[str, list[Row]]:
    extreme, performance = mart.mart_price_extremes_daily, mart.mart_index_performance_daily
    same = sa.and_(performance.c.symbol == extreme.c.symbol, performance.c.session_date == extreme.c.session_date)
    start = world.as_of - dt.timedelta(days=_SPAN_DAYS)
    query = (
        sa.select(extreme, performance.c.source, performance.c.currency, performance.c.ytd_return_pct)
        .join(performance, same)
        .where(extreme.c.session_date.between(start, world.as_of))
        .order_by(extreme.c.symbol, extreme.c.session_date)
    )
    found: dict[str, list[Row]] = {}
    for row in world.rows(query):
        found.setdefault(row["symbol"], []).append(row)
    return found


def _numbered(world: World) -> list[tuple[str, Event]]:
    """Events in the span, numbered as the charts mark them."""
    start = world.as_of - dt.timedelta(days=_SPAN_DAYS)
    return [(str(n), event) for n, event in enumerate((e for e in world.events if e.day >= start), start=1)]


def _card(world: World, instrument: Instrument, rows: list[Row], *, is_large: bool) -> dict[str, Any] | None:
    last = rows[-1]
    high = max(rows, key=lambda row: row["close"])
    low = min(rows, key=lambda row: row["close"])
    digits = 2
    unit = instrument.unit
    dots = [
        Dot(high["session_date"], high["close"], f"high {_level(high['close'])}", True, "up"),
        Dot(low["session_date"], low["close"], f"low {_level(low['close'])}", False, "down"),
    ]
    trough = next((row for row in rows if row["session_date"] == last["trough_date"]), None)
    if trough is not None and trough is not low:
        dots.append(Dot(trough["session_date"], trough["close"], f"trough {_level(trough['close'])}", False, "ink"))
    numbered = _numbered(world)
    summary = (
        f"{instrument.name} closed at {formats.number(last['close'], digits)} {unit} on "
        f"{formats.day(last['session_date'])}, {formats.percent(last['rise_from_trough_pct'])} from its 60-session low "
        f"on {formats.day(last['trough_date'])} and {formats.percent(last['drawdown_from_high_pct'])} from its "
        f"52-week high. Between {formats.day(rows[0]['session_date'])} and then its highest close was "
        f"{formats.number(high['close'], digits)} on {formats.day(high['session_date'])}, its lowest "
        f"{formats.number(low['close'], digits)} on {formats.day(low['session_date'])}."
    )
    chart = Chart(
        ident=f"c-{_ident(instrument.symbol)}",
        title=instrument.name,
        unit=unit,
        series=(Series("close", tuple((row["session_date"], row["close"]) for row in rows)),),
        summary=summary,
        source=f"source {last['source']}, {unit}",
        flags=tuple(Flag(event.day, number) for number, event in numbered),
        dots=tuple(dots),
        narrow_days=_NARROW_DAYS,
    )
    drawing = draw(chart, is_small=not is_large)
    if drawing is None:
        return None
    days = {high["session_date"]: "highest close shown", low["session_date"]: "lowest close shown"}
    if trough is not None:
        days.setdefault(trough["session_date"], "60-session low")
    days.setdefault(last["session_date"], "latest")
    table = [
        *((day, what, _close_at(rows, day)) for day, what in days.items()),
        *((event.day, event.name, _close_at(rows, event.day)) for _, event in numbered),
    ]
    return {
        "instrument": instrument,
        "last": last,
        "drawing": drawing,
        "table": sorted(table, key=lambda entry: entry[0]),
        "is_large": is_large,
    }


def _close_at(rows: list[Row], day: dt.date) -> Row | None:
    """The last row on or before a day."""
    return next((row for row in reversed(rows) if row["session_date"] <= day), None)


def _level(value: float) -> str:
    return formats.number(value, 0 if value >= 1000 else 1)


def _ident(symbol: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in symbol).strip("-").lower()
