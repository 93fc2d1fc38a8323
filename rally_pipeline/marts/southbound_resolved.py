"""One set of southbound figures per channel and session: which source is believed.

Belongs here: order of trust, and how the total is made. Does not belong here: how sources differ
(`reconciliation.py`), sums and ranks (`southbound.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import Derived, Inputs, Scope, by_code_point, output, to_hkd
from rally_pipeline.schema import core_flows
from rally_pipeline.schema.declare import UtcDateTime

#: Market whose sessions are southbound sessions.
SOUTHBOUND = "SOUTHBOUND"
#: HKEX, then the two exchanges, then Eastmoney; everybody else after them, by name.
_TRUST = {"hkex": 1, "sse": 2, "szse": 2, "eastmoney_flow": 3, "eastmoney": 3}
_UNLISTED = 9
_VALUES = ("buy", "sell", "net_buy", "turnover")


def trust_order(source: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """What to sort by so that the most trusted source of flows is first."""
    return sa.case(_TRUST, value=source, else_=_UNLISTED), by_code_point(source)


def figures(inputs: Inputs, scope: Scope, back: int = 0) -> sa.Select[Any]:
    """The figures of every source on southbound sessions from ``back`` days before the scope's start on: channel,
    session_date, session_no, source, known_from_at, and buy, sell, net_buy, turnover in HK$ mn. Net buy is buy − sell
    and turnover buy + sell where both are given, else what the source prints. A row without any figure is no row.
    """
    raw, session = inputs.southbound_raw, inputs.sessions
    buy, sell = raw.c.buy_hkd_mn, raw.c.sell_hkd_mn
    return (
        sa.select(
            raw.c.channel,
            raw.c.session_date,
            session.c.session_no,
            raw.c.source,
            raw.c.known_from_at,
            buy.label("buy"),
            sell.label("sell"),
            sa.func.coalesce(to_hkd(buy - sell), raw.c.net_buy_hkd_mn).label("net_buy"),
            sa.func.coalesce(to_hkd(buy + sell), raw.c.turnover_hkd_mn).label("turnover"),
        )
        .select_from(
            raw.join(session, sa.and_(session.c.market == SOUTHBOUND, session.c.session_date == raw.c.session_date))
        )
        .where(
            sa.func.coalesce(buy, sell, raw.c.net_buy_hkd_mn, raw.c.turnover_hkd_mn).is_not(None),
            scope.has_day(raw.c.session_date, back),
        )
    )


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``core_southbound_resolved_daily``: of each channel the figures of the most trusted source. The total is Shanghai
    plus Shenzhen where both are known, else the most trusted total that a source prints.
    """
    figure = figures(inputs, scope).subquery("figure")
    place = sa.func.row_number(type_=sa.Integer()).over(
        partition_by=(figure.c.channel, figure.c.session_date), order_by=trust_order(figure.c.source)
    )
    # a source counts once for the day, in its first row
    of_source = sa.func.row_number(type_=sa.Integer()).over(
        partition_by=(figure.c.session_date, figure.c.source), order_by=figure.c.channel
    )
    sources = sa.func.count().over(partition_by=(figure.c.channel, figure.c.session_date))
    ordered = sa.select(
        *figure.c, place.label("place"), of_source.label("of_source"), sources.label("source_count")
    ).subquery("ordered")

    carried = ("source", *_VALUES, "known_from_at", "source_count")

    def of(channel: str, name: str) -> sa.ColumnElement[Any]:
        is_best = sa.and_(ordered.c.channel == channel, ordered.c.place == 1)
        value = ordered.c[name]
        return sa.func.max(sa.case((is_best, value)), type_=value.type).label(f"{channel}_{name}")

    day = (
        sa.select(
            ordered.c.session_date,
            sa.func.sum(sa.case((ordered.c.of_source == 1, 1), else_=0)).label("day_source_count"),
            *(of(channel, name) for channel in core_flows.CHANNELS for name in carried),
        )
        .group_by(ordered.c.session_date)
        .cte("day")
    )

    def channel_rows(channel: str) -> sa.Select[Any]:
        return sa.select(
            sa.literal(channel, sa.String(8)).label("channel"),
            day.c.session_date,
            *(day.c[f"{channel}_{name}"].label(name) for name in carried),
        ).where(day.c[f"{channel}_source"].is_not(None))

    one, other, own = ({name: day.c[f"{c}_{name}"] for name in carried} for c in ("sse", "szse", "total"))
    is_sum = sa.and_(one["source"].is_not(None), other["source"].is_not(None))
    joined = sa.case((one["source"] == other["source"], one["source"]), else_=one["source"] + "+" + other["source"])
    later = sa.case((one["known_from_at"] > other["known_from_at"], one["known_from_at"]), else_=other["known_from_at"])
    totals = sa.select(
        sa.literal("total", sa.String(8)).label("channel"),
        day.c.session_date,
        sa.case((is_sum, joined), else_=own["source"]).label("source"),
        *(sa.case((is_sum, to_hkd(one[name] + other[name])), else_=own[name]).label(name) for name in _VALUES),
        sa.type_coerce(sa.case((is_sum, later), else_=own["known_from_at"]), UtcDateTime()).label("known_from_at"),
        day.c.day_source_count.label("source_count"),
    ).where(sa.or_(is_sum, own["source"].is_not(None)))
    row = sa.union_all(channel_rows("sse"), channel_rows("szse"), totals).subquery("row")
    columns: dict[str, sa.ColumnElement[Any]] = {
        **{name: row.c[name] for name in ("channel", "session_date", "source", "known_from_at")},
        **{f"{name}_hkd_mn": row.c[name] for name in _VALUES},
        "source_count": sa.cast(row.c.source_count, sa.Integer),
    }
    return sa.select(*output(core_flows.core_southbound_resolved_daily, columns))


SOUTHBOUND_RESOLVED = Derived(
    core_flows.core_southbound_resolved_daily, inputs=("core_southbound_flow_daily",), select=select, subject=None
)
