"""The shares most traded southbound.

Belongs here: both lists of ten put together. Does not belong here: which total is believed (`southbound_resolved.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import Derived, Inputs, Scope, in_hkd, in_mn, output
from rally_pipeline.marts.southbound_resolved import SOUTHBOUND, trust_order
from rally_pipeline.schema import mart_flows

#: HK$ in one HK$ mn.
_MILLION = 1e6


def _given_for_all(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Sum of whole HK$; NULL unless every row has the value."""
    return in_mn(sa.case((sa.func.count(value) == sa.func.count(), sa.func.sum(in_hkd(value / _MILLION)))))


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_southbound_top_stocks_daily``: of each channel's lists of a session that of the most trusted source,
    whole; a share in both lists is one row with the sums of both.
    """
    raw, session = inputs.top_stocks_raw, inputs.sessions
    place = sa.func.dense_rank(type_=sa.Integer()).over(
        partition_by=(raw.c.channel, raw.c.session_date), order_by=trust_order(raw.c.source)
    )
    buy, sell = raw.c.buy_hkd, raw.c.sell_hkd
    listed = (
        sa.select(
            raw.c.channel,
            raw.c.session_date,
            raw.c.symbol,
            raw.c.stock_name,
            raw.c.rank,
            buy,
            sell,
            sa.func.coalesce(buy + sell, raw.c.turnover_hkd).label("turnover_hkd"),
            place.label("place"),
        )
        .select_from(
            raw.join(session, sa.and_(session.c.market == SOUTHBOUND, session.c.session_date == raw.c.session_date))
        )
        .where(scope.has_day(raw.c.session_date))
        .subquery("listed")
    )

    def name_in(channel: str) -> sa.ColumnElement[Any]:
        return sa.func.max(sa.case((listed.c.channel == channel, listed.c.stock_name)))

    one, other = sa.func.min(listed.c.channel), sa.func.max(listed.c.channel)
    stock = (
        sa.select(
            listed.c.symbol,
            listed.c.session_date,
            sa.func.coalesce(name_in("sse"), name_in("szse")).label("stock_name"),
            sa.case((one == other, one), else_="sse+szse").label("channels"),
            sa.func.min(listed.c.rank).label("best_rank"),
            _given_for_all(listed.c.buy_hkd).label("buy"),
            _given_for_all(listed.c.sell_hkd).label("sell"),
            _given_for_all(listed.c.buy_hkd - listed.c.sell_hkd).label("net_buy"),
            _given_for_all(listed.c.turnover_hkd).label("turnover"),
        )
        .where(listed.c.place == 1)
        .group_by(listed.c.symbol, listed.c.session_date)
        .subquery("stock")
    )
    total = inputs.southbound.alias("total")
    columns = {
        **{name: stock.c[name] for name in ("symbol", "session_date", "stock_name", "channels", "best_rank")},
        **{f"{name}_hkd_mn": stock.c[name] for name in ("buy", "sell", "net_buy", "turnover")},
        "share_of_turnover_pct": stock.c.turnover / sa.func.nullif(total.c.turnover_hkd_mn, 0.0) * 100.0,
    }
    return sa.select(*output(mart_flows.mart_southbound_top_stocks_daily, columns)).select_from(
        stock.outerjoin(total, sa.and_(total.c.channel == "total", total.c.session_date == stock.c.session_date))
    )


SOUTHBOUND_TOP_STOCKS = Derived(
    mart_flows.mart_southbound_top_stocks_daily,
    inputs=("core_southbound_top_stock_daily", "core_southbound_resolved_daily"),
    select=select,
    subject=None,
)
