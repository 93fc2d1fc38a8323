"""Southbound flows: daily bars, the sum since the last reopening against earlier windows of equal length, top shares.

Belongs here: which windows are compared, and the tables. Does not belong here: sums and ranks (`marts/southbound*.py`);
only the path inside a window that a mart names is summed here, day by day, by the warehouse.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.charts import Chart, Drawing, Flag, Series, draw
from rally_pipeline.publish.site.world import LUNAR_NEW_YEAR, Event, Row, World
from rally_pipeline.schema import mart_flows

_DAYS_SHOWN = 200
_NARROW_DAYS = 92
_MONTHS = 18
_RECENT = 20


def page(world: World) -> dict[str, Any]:
    """What the page shows."""
    daily = _daily(world)
    since = _since(world)
    current = next((row for row in since if row["event_id"].startswith(LUNAR_NEW_YEAR)), None)
    windows = _windows(world, current) if current else []
    return {
        "last": daily[-1] if daily else None,
        "recent": daily[-_RECENT:][::-1],
        "bars": _bars(world, daily),
        "events": _numbered(world, daily),
        "since": since,
        "current": current,
        "windows": windows,
        "paths": _paths(world, current, windows, daily) if current else None,
        "stocks": _stocks(world),
    }


def _daily(world: World) -> list[Row]:
    flow = mart_flows.mart_southbound_daily
    return world.rows(
        sa.select(flow)
        .where(flow.c.channel == "total", flow.c.session_date <= world.as_of)
        .order_by(flow.c.session_date)
    )


def _bars(world: World, daily: list[Row]) -> Drawing | None:
    shown = [row for row in daily[-_DAYS_SHOWN:] if row["net_buy_hkd_mn"] is not None]
    if not shown:
        return None
    first, last = shown[0], shown[-1]
    bought = sum(row["net_buy_hkd_mn"] > 0 for row in shown)
    top = max(shown, key=lambda row: row["net_buy_hkd_mn"])
    return draw(
        Chart(
            ident="c-daily",
            title="Net buying, day by day",
            unit="HK$ bn",
            kind="bar",
            series=(Series("net buy", tuple((r["session_date"], r["net_buy_hkd_mn"] / 1000) for r in shown)),),
            flags=tuple(Flag(event.day, number) for number, event in _numbered(world, daily)),
            summary=(
                f"In {len(shown)} sessions from {formats.day(first['session_date'])} to "
                f"{formats.day(last['session_date'])} mainland investors were net buyers on {bought}; the largest net "
                f"buying was {formats.billions(top['net_buy_hkd_mn'], 'HKD')} on {formats.day(top['session_date'])}."
            ),
            source=f"source {last['source']}, HK$ bn",
            is_signed=True,
            narrow_days=_NARROW_DAYS,
        )
    )


def _numbered(world: World, daily: list[Row]) -> list[tuple[str, Event]]:
    """Events among the days shown, numbered as the chart marks them."""
    shown = daily[-_DAYS_SHOWN:]
    inside = [event for event in world.events if shown and event.day >= shown[0]["session_date"]]
    return [(str(number), event) for number, event in enumerate(inside, start=1)]


def _since(world: World) -> list[Row]:
    """Each of the last events at its last session, latest event first."""
    since = mart_flows.mart_southbound_since_event
    events = {event.event_id: event for event in world.recent_events(8)}
    last = (
        sa.select(since.c.event_id, sa.func.max(since.c.session_date).label("day"))
        .where(since.c.event_id.in_(list(events)), since.c.session_date <= world.as_of)
        .group_by(since.c.event_id)
        .subquery()
    )
    same = sa.and_(last.c.event_id == since.c.event_id, last.c.day == since.c.session_date)
    rows = world.rows(sa.select(since).join(last, same).order_by(since.c.event_date.desc()))
    return [{**row, "event": events[row["event_id"]]} for row in rows]


def _windows(world: World, current: Row) -> list[Row]:
    """The best window of that length in each of the last months."""
    best = mart_flows.mart_southbound_best_window_monthly
    return world.rows(
        sa.select(best)
        .where(best.c.window_sessions == current["sessions_since_event"], best.c.best_end_date <= world.as_of)
        .order_by(best.c.month.desc())
        .limit(_MONTHS)
    )


def _paths(world: World, current: Row, windows: list[Row], daily: list[Row]) -> Drawing | None:
    """Cumulative net buying, session by session: since the event, and in the windows it is compared with."""
    spans: list[tuple[str, dt.date, dt.date, bool]] = []
    name = current["event"].short
    september = rush_month(current["event_date"])
    for row in windows:
        if row["month"] == september:
            spans.append((f"best of {row['month']:%b %Y}", row["best_start_date"], row["best_end_date"], True))
        elif row["best_end_date"] == current["best_window_end_date"]:
            spans.append((f"best before, {row['month']:%b %Y}", row["best_start_date"], row["best_end_date"], True))
    yearly = [e for e in world.events if e.event_id.startswith(LUNAR_NEW_YEAR) and e.day < current["event_date"]]
    for event in yearly[-2:]:
        days = [row["session_date"] for row in daily if row["session_date"] >= event.day]
        if len(days) >= current["sessions_since_event"]:
            spans.append((f"since {event.short}", days[0], days[current["sessions_since_event"] - 1], True))
    spans.append((f"since {name}", current["window_start_date"], current["session_date"], False))
    series = [_path(world, *span) for span in spans]
    ends = ", ".join(
        f"{s.name} {formats.billions(s.points[-1][1] * 1000, 'HKD')}" for s in reversed(series) if s.points
    )
    return draw(
        Chart(
            ident="c-windows",
            title=f"Since {name}, against earlier windows of {current['sessions_since_event']} sessions",
            unit="HK$ bn",
            series=tuple(reversed(series)),
            axis="southbound sessions",
            summary=f"Cumulative net buying after {current['sessions_since_event']} sessions: {ends}.",
            source=f"mart_southbound_since_event, mart_southbound_best_window_monthly; up to "
            f"{formats.day(current['session_date'])}, HK$ bn",
            has_zero=True,
            is_signed=True,
        ),
        height=260,
    )


def rush_month(day: dt.date) -> dt.date:
    """The first day of the last September that was over on a day: the rush that notes compare with."""
    return dt.date(day.year if day.month > 9 else day.year - 1, 9, 1)


def _path(world: World, name: str, start: dt.date, end: dt.date, is_thin: bool) -> Series:
    flow = mart_flows.mart_southbound_daily
    summed = sa.func.sum(flow.c.net_buy_hkd_mn).over(order_by=flow.c.session_date)
    query = (
        sa.select(summed.label("total"))
        .where(flow.c.channel == "total", flow.c.session_date.between(start, end), flow.c.net_buy_hkd_mn.is_not(None))
        .order_by(flow.c.session_date)
    )
    values = [value / 1000 for value in world.connection.scalars(query)]
    points = ((0, 0.0), *enumerate(values, start=1))
    label = name.replace("best of ", "").replace("best before, ", "").replace("since Lunar New Year", "LNY")
    return Series(name, points, "dim" if is_thin else "accent", label, is_thin)


def _stocks(world: World) -> dict[str, Any]:
    stock = mart_flows.mart_southbound_top_stocks_daily
    day = world.connection.scalar(
        sa.select(sa.func.max(stock.c.session_date)).where(stock.c.session_date <= world.as_of)
    )
    rows = world.rows(sa.select(stock).where(stock.c.session_date == day).order_by(stock.c.turnover_hkd_mn.desc()))
    return {"day": day, "rows": rows}
