"""Small plots for the asset pages: the last year of a few series, as a picture inside the metadata.

Belongs here: drawing, by the library that draws the site's charts; it is imported when something is drawn.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.schema import column_info, core, core_flows, mart, table_info

Series = Mapping[str, Sequence[tuple[dt.date, float]]]

#: Days shown.
_SPAN = dt.timedelta(days=365)
#: Lines shown.
_LINES = 6
#: The members of this leaderboard are shown first.
_FIRST = "headline_indices"

#: Pixels.
_WIDTH, _HEIGHT = 560, 180

#: What is drawn of each table; of the others nothing.
_VALUE: Mapping[str, str] = {
    core.core_price_resolved_daily.name: "close",
    core.core_fx_usd_daily.name: "units_per_usd",
    mart.mart_index_performance_daily.name: "ytd_return_pct",
    mart.mart_leaderboard_daily.name: "ytd_return_pct",
    mart.mart_price_extremes_daily.name: "drawdown_from_high_pct",
    mart.mart_price_since_event_daily.name: "return_pct",
    mart.mart_trading_volume_daily.name: "volume_shares",
    mart.mart_trading_volume_monthly.name: "volume_shares",
}
#: Tables whose series have different units and are drawn relative to their first value.
_INDEXED = {core.core_price_resolved_daily.name, core.core_fx_usd_daily.name}


def core_plot(
    connection: sa.Connection, table: sa.Table, symbols: Sequence[str], end: dt.date
) -> dg.MarkdownMetadataValue | None:
    """The last year of a core table up to `end`; ``None`` for one that is not drawn."""
    if table is core.core_price_daily:
        return price_plot(connection, symbols, end)
    if table is core.core_fx_daily:
        return fx_plot(connection, end)
    if table is core_flows.core_southbound_flow_daily:
        return southbound_plot(connection, end)
    return None


def southbound_plot(connection: sa.Connection, end: dt.date) -> dg.MarkdownMetadataValue | None:
    """Net buy per channel of the last year up to `end`; of each day the largest over the sources."""
    table = core_flows.core_southbound_flow_daily
    query = (
        sa.select(table.c.channel, table.c.session_date, sa.func.max(table.c.net_buy_hkd_mn))
        .where(
            table.c.session_date.between(end - _SPAN, end),
            table.c.known_to_at.is_(None),
            table.c.net_buy_hkd_mn.is_not(None),
        )
        .group_by(table.c.channel, table.c.session_date)
        .order_by(table.c.channel, table.c.session_date)
    )
    return _drawn(_series(connection, query), "net buy [HKD mn]", indexed=False)


def price_plot(connection: sa.Connection, symbols: Sequence[str], end: dt.date) -> dg.MarkdownMetadataValue | None:
    """Believed closes of the last year up to `end`, first value = 100; of each day the largest over the sources."""
    table = core.core_price_daily
    shown = _preferred(connection, symbols)
    close = sa.func.coalesce(table.c.close, table.c.adj_close)
    query = (
        sa.select(table.c.symbol, table.c.session_date, sa.func.max(close))
        .where(
            table.c.symbol.in_(shown),
            table.c.session_date.between(end - _SPAN, end),
            table.c.known_to_at.is_(None),
            close.is_not(None),
        )
        .group_by(table.c.symbol, table.c.session_date)
        .order_by(table.c.symbol, table.c.session_date)
    )
    return _drawn(_series(connection, query), "close, first = 100", indexed=True)


def fx_plot(connection: sa.Connection, end: dt.date) -> dg.MarkdownMetadataValue | None:
    """Believed rates per euro of the last year up to `end`, first value = 100."""
    table = core.core_fx_daily
    query = (
        sa.select(table.c.quote_currency, table.c.rate_date, sa.func.max(table.c.rate))
        .where(
            table.c.base_currency == "EUR",
            table.c.quote_currency.in_(("USD", "HKD", "CNY", "JPY", "GBP")),
            table.c.rate_date.between(end - _SPAN, end),
            table.c.known_to_at.is_(None),
        )
        .group_by(table.c.quote_currency, table.c.rate_date)
        .order_by(table.c.quote_currency, table.c.rate_date)
    )
    return _drawn(_series(connection, query), "per euro, first = 100", indexed=True)


def derived_plot(
    connection: sa.Connection, table: sa.Table, subject: str | None, end: dt.date
) -> dg.MarkdownMetadataValue | None:
    """The telling column of a derived table over the last year up to `end`."""
    name = _VALUE.get(table.name)
    day_name = table_info(table).date_column
    if name is None or day_name is None or subject is None:
        return None
    value, day, who = table.c[name], table.c[day_name], table.c[subject]
    where: list[sa.ColumnElement[bool]] = [day.between(end - _SPAN, end), value.is_not(None)]
    if "event_id" in table.c:
        latest = sa.select(core.core_event.c.event_id).where(core.core_event.c.event_date <= end)
        latest = latest.order_by(core.core_event.c.event_date.desc(), core.core_event.c.event_id).limit(1)
        where.append(table.c.event_id == latest.scalar_subquery())
    if "leaderboard" in table.c and table is mart.mart_leaderboard_daily:
        where.append(table.c.leaderboard == _FIRST)
    candidates = list(connection.scalars(sa.select(who).where(*where).distinct().order_by(who)))
    shown = _preferred(connection, candidates)
    query = sa.select(who, day, value).where(*where, who.in_(shown)).order_by(who, day)
    unit = column_info(value).unit
    title = f"{name} [{unit}]" if unit and unit != "currency" else name
    is_indexed = table.name in _INDEXED
    return _drawn(_series(connection, query), f"{name}, first = 100" if is_indexed else title, indexed=is_indexed)


def _preferred(connection: sa.Connection, subjects: Sequence[str]) -> list[str]:
    member = core.core_leaderboard_member
    first = set(connection.scalars(sa.select(member.c.symbol).where(member.c.leaderboard == _FIRST)))
    return sorted(subjects, key=lambda subject: subject not in first)[:_LINES]


def _series(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, list[tuple[dt.date, float]]]:
    found: dict[str, list[tuple[dt.date, float]]] = {}
    for subject, day, value in connection.execute(query):
        if math.isfinite(value):
            found.setdefault(subject, []).append((day, float(value)))
    return found


def _drawn(series: Series, title: str, *, indexed: bool) -> dg.MarkdownMetadataValue | None:
    if not any(len(points) > 1 for points in series.values()):
        return None
    if indexed:
        series = {
            name: [(day, 100.0 * value / points[0][1]) for day, value in points] for name, points in series.items()
        }
    picture = base64.b64encode(line_svg(series, title).encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{picture})")


def line_svg(series: Series, title: str) -> str:
    """An SVG of 560 × 180 pixels with one line per series, named beside the plot."""
    import vl_convert

    points = [
        {"name": name, "day": day.isoformat(), "value": value} for name, part in series.items() for day, value in part
    ]
    spec = {
        "width": _WIDTH,
        "height": _HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "title": {"text": title, "anchor": "start", "fontSize": 11},
        "data": {"values": points},
        "mark": {"type": "line", "strokeWidth": 1.2},
        "encoding": {
            "x": {"field": "day", "type": "temporal", "title": None, "axis": {"tickCount": 6}},
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "scale": {"zero": False},
                "axis": {"format": "~s", "tickCount": 4},
            },
            "color": {"field": "name", "type": "nominal", "title": None, "sort": list(series)},
        },
        "config": {"background": "white"},
    }
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return drawn
