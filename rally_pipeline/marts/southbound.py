"""What mainland investors bought and sold in Hong Kong, day by day.

Belongs here: sums over sessions, ranks, conversion. Does not belong here: which figure is believed
(`southbound_resolved.py`), windows since events (`southbound_since_event.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.index_performance import _units_per_usd
from rally_pipeline.marts.inputs import Derived, Inputs, Scope, in_hkd, in_mn, output, year_start
from rally_pipeline.schema import mart_flows


def hkd_per_usd(inputs: Inputs, day: sa.ColumnElement[Any]) -> tuple[Any, Any, Any]:
    """The rate to join, the condition of its outer join, and HK$ per US$ on ``day`` or at most 5 days before it."""
    return _units_per_usd(inputs, sa.literal("HKD", sa.String(3)), day, "hkd_rate")


def _sum_of_last(flow: sa.FromClause, name: str, sessions: int) -> sa.ColumnElement[Any]:
    """Sum over the last so many rows of the channel that have the figure."""
    value = flow.c[name]
    window: dict[str, Any] = {
        "partition_by": (flow.c.channel, sa.case((value.is_(None), 0), else_=1)),
        "order_by": flow.c.session_date,
        "rows": (1 - sessions, 0),
    }
    is_full = sa.and_(value.is_not(None), sa.func.count(value).over(**window) == sessions)
    return sa.case((is_full, in_mn(sa.func.sum(in_hkd(value)).over(**window))))


def _rank(inputs: Inputs, row: sa.FromClause, name: str) -> sa.ColumnElement[Any]:
    other = inputs.southbound.alias(f"{name}_up_to")
    larger = (
        sa.select(sa.func.count())
        .where(
            other.c.channel == row.c.channel,
            other.c.session_date <= row.c.session_date,
            other.c[name] > row.c[name],
        )
        .correlate(row)
        .scalar_subquery()
    )
    return sa.case((row.c[name].is_not(None), sa.cast(larger + 1, sa.Integer)))


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_southbound_daily``. Sums are of whole HK$; sessions without a figure are passed over, not zero."""
    flow = inputs.southbound.alias("flow")
    so_far: dict[str, Any] = {"order_by": flow.c.session_date, "rows": (None, 0)}
    in_year = sa.func.sum(in_hkd(flow.c.net_buy_hkd_mn)).over(
        partition_by=(flow.c.channel, year_start(flow.c.session_date)), **so_far
    )
    summed = sa.select(
        *(c for c in flow.c if c.name not in ("known_from_at", "source_count")),
        in_mn(in_year).label("net_buy_ytd_hkd_mn"),
        *(
            _sum_of_last(flow, f"{name}_hkd_mn", sessions).label(f"{name}_{sessions}d_hkd_mn")
            for name in ("net_buy", "turnover")
            for sessions in (5, 20)
        ),
        sa.func.row_number(type_=sa.Integer())
        .over(partition_by=flow.c.channel, order_by=flow.c.session_date)
        .label("sessions_all_time"),
    ).subquery("summed")
    row = sa.select(summed).where(scope.has_day(summed.c.session_date)).cte("row").prefix_with("MATERIALIZED")
    check = inputs.reconciliation
    checked = (
        sa.select(
            check.c.channel,
            check.c.period_end,
            sa.func.max(sa.case((check.c.is_break, 1), else_=0)).label("breaks"),
        )
        .where(check.c.subject == "southbound", check.c.value_hkd_mn.is_not(None), scope.has_day(check.c.period_end))
        .group_by(check.c.channel, check.c.period_end)
        .cte("checked")
        .prefix_with("MATERIALIZED")
    )
    rate, on_rate, units = hkd_per_usd(inputs, row.c.session_date)
    columns = {
        **{c.name: row.c[c.name] for c in row.c},
        "hkd_per_usd": units,
        "net_buy_usd_mn": row.c.net_buy_hkd_mn / units,
        "turnover_usd_mn": row.c.turnover_hkd_mn / units,
        "net_buy_rank_all_time": _rank(inputs, row, "net_buy_hkd_mn"),
        "turnover_rank_all_time": _rank(inputs, row, "turnover_hkd_mn"),
        "reconciliation_state": sa.case(
            (checked.c.breaks == 1, "differs"), (checked.c.breaks == 0, "agreed"), else_="single_source"
        ),
    }
    return sa.select(*output(mart_flows.mart_southbound_daily, columns)).select_from(
        row.outerjoin(rate, on_rate).outerjoin(
            checked,
            sa.and_(checked.c.channel == row.c.channel, checked.c.period_end == row.c.session_date),
        )
    )


SOUTHBOUND_DAILY = Derived(
    mart_flows.mart_southbound_daily,
    inputs=("core_southbound_resolved_daily", "core_fx_usd_daily", "ops_reconciliation"),
    select=select,
    subject=None,
)
