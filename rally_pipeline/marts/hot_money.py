"""Indicators of hot money, each by its own definition.

Belongs here: the indicators. Does not belong here: a score made of them; there is none.

Where a window function does not do (medians, slopes), a row is handed to each of the n rows whose window it lies in,
told by their numbers: that takes a product with the numbers 1 to n and no join of a row with its neighbours, for which
SQLite finds no good plan. Parts are materialised: PostgreSQL, when it knows little of the tables, would otherwise
compute a part again for every row it is joined with.
"""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import (
    BASE_TOLERANCE_DAYS,
    Derived,
    Inputs,
    Scope,
    days_between,
    in_hkd,
    output,
    pct,
)
from rally_pipeline.marts.southbound_resolved import trust_order
from rally_pipeline.schema import mart_flows

HANG_SENG = "^HSI"
_MARKET = "HK"
_REVERSAL_SESSIONS = 10
_MEDIAN_SESSIONS = 60
_VOLATILITY_SESSIONS = 20
_CHASE_SESSIONS = 5
_SESSIONS_A_YEAR = 252


def _handed_on(
    numbered: sa.CTE, count: int, shift: int, scope: Scope, name: str, steps: sa.CTE | None = None
) -> sa.Subquery:
    """Every row for each of the ``count`` rows from ``shift`` rows after it on, whose number is ``target``; from the
    first row of the scope on. ``steps`` has the numbers 1 to ``count`` where ``numbered`` does not begin with them.
    """
    source = numbered if steps is None else steps
    step = sa.select(source.c.no).where(source.c.no <= count).cte(f"{name}_step").prefix_with("MATERIALIZED")
    target = numbered.c.no + step.c.no + (shift - 1)
    handed = sa.select(*numbered.c, target.label("target")).select_from(numbered.join(step, sa.true()))
    if scope.start is not None:
        handed = handed.where(target >= _first_no(numbered, scope))
    return handed.subquery(name)


def _first_no(numbered: sa.CTE, scope: Scope) -> sa.ColumnElement[Any]:
    """Number of the first row of the scope; NULL if there is none."""
    wanted = numbered.alias(f"{numbered.name}_wanted")
    return sa.select(sa.func.min(wanted.c.no)).where(scope.has_day(wanted.c.session_date)).scalar_subquery()


def _number(order_by: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.row_number(type_=sa.Integer()).over(order_by=order_by).label("no")


def _flows(inputs: Inputs, figure: str, name: str) -> sa.CTE:
    """Sessions that have the figure of both channels together, numbered."""
    flow = inputs.southbound
    return (
        sa.select(flow.c.session_date, flow.c[figure].label("value"), _number(flow.c.session_date))
        .where(flow.c.channel == "total", flow.c[figure].is_not(None))
        .cte(name)
        .prefix_with("MATERIALIZED")
    )


def _index(inputs: Inputs) -> sa.CTE:
    """Closes of the Hang Seng Index with the close before, numbered from the second on."""
    price = inputs.prices.alias("index_price")
    bar = (
        sa.select(
            price.c.session_date,
            price.c.close,
            sa.func.lag(price.c.close, type_=sa.Double()).over(order_by=price.c.session_date).label("close_before"),
        )
        .where(price.c.symbol == HANG_SENG, price.c.close.is_not(None))
        .subquery("index_bar")
    )
    return (
        sa.select(*bar.c, _number(bar.c.session_date))
        .where(bar.c.close_before.is_not(None))
        .cte("index_day")
        .prefix_with("MATERIALIZED")
    )


def _reversal(inputs: Inputs, scope: Scope) -> sa.CTE:
    flow = _flows(inputs, "net_buy_hkd_mn", "net_flow")
    last: dict[str, Any] = {"order_by": flow.c.no, "rows": (1 - _REVERSAL_SESSIONS, 0)}
    amount = in_hkd(flow.c.value)
    summed = sa.select(
        flow.c.session_date,
        flow.c.no,
        sa.cast(sa.func.sum(sa.case((amount > 0, amount), else_=0)).over(**last), sa.Double).label("inflow"),
        sa.cast(sa.func.sum(sa.case((amount < 0, -amount), else_=0)).over(**last), sa.Double).label("outflow"),
    ).subquery("summed")
    return (
        sa.select(summed.c.session_date, (summed.c.outflow / sa.func.nullif(summed.c.inflow, 0.0)).label("value"))
        .where(summed.c.no >= _REVERSAL_SESSIONS, scope.has_day(summed.c.session_date))
        .cte("reversal")
        .prefix_with("MATERIALIZED")
    )


def _surge(inputs: Inputs, scope: Scope) -> sa.CTE:
    flow = _flows(inputs, "turnover_hkd_mn", "traded")
    handed = _handed_on(flow, _MEDIAN_SESSIONS, 1, scope, "traded_before")
    near = sa.select(
        handed.c.target,
        handed.c.value,
        sa.func.row_number(type_=sa.Integer())
        .over(partition_by=handed.c.target, order_by=handed.c.value)
        .label("place"),
    ).subquery("traded_near")
    middle = (_MEDIAN_SESSIONS // 2, _MEDIAN_SESSIONS // 2 + 1)
    median = (
        sa.select(near.c.target, sa.func.avg(near.c.value).label("value"))
        .where(near.c.place.in_(middle))
        .group_by(near.c.target)
        .cte("traded_median")
        .prefix_with("MATERIALIZED")
    )
    return (
        sa.select(flow.c.session_date, (flow.c.value / sa.func.nullif(median.c.value, 0.0)).label("value"))
        .select_from(flow.join(median, median.c.target == flow.c.no))
        .where(flow.c.no > _MEDIAN_SESSIONS, scope.has_day(flow.c.session_date))
        .cte("surge")
        .prefix_with("MATERIALIZED")
    )


def _volatility(index: sa.CTE, scope: Scope) -> sa.CTE:
    handed = _handed_on(index, _VOLATILITY_SESSIONS, 0, scope, "index_near")
    log_return: Any = sa.func.ln(handed.c.close / handed.c.close_before, type_=sa.Double())
    near = sa.select(handed.c.target, log_return.label("log_return")).subquery("index_returns")
    mean = sa.func.avg(near.c.log_return).over(partition_by=near.c.target)
    # the mean first: a sum of squares less a square loses what is looked for
    apart = sa.select(near.c.target, (near.c.log_return - mean).label("distance")).subquery("index_apart")
    variance = sa.func.sum(apart.c.distance * apart.c.distance, type_=sa.Double()) / float(_VOLATILITY_SESSIONS - 1)
    of_target = (
        sa.select(apart.c.target, sa.func.sqrt(variance, type_=sa.Double()).label("deviation"))
        .group_by(apart.c.target)
        .cte("deviation")
        .prefix_with("MATERIALIZED")
    )
    return (
        sa.select(index.c.session_date, (of_target.c.deviation * (math.sqrt(_SESSIONS_A_YEAR) * 100.0)).label("value"))
        .select_from(index.join(of_target, of_target.c.target == index.c.no))
        .where(index.c.no >= _VOLATILITY_SESSIONS, scope.has_day(index.c.session_date))
        .cte("volatility")
        .prefix_with("MATERIALIZED")
    )


def _chase(inputs: Inputs, index: sa.CTE, scope: Scope) -> sa.CTE:
    flow, earlier = _flows(inputs, "net_buy_hkd_mn", "chased"), inputs.prices.alias("index_earlier")
    # at the limit of a search backwards, so that the first one found ends it
    last_day = (
        sa.select(earlier.c.session_date)
        .where(
            earlier.c.symbol == HANG_SENG, earlier.c.session_date < flow.c.session_date, earlier.c.close.is_not(None)
        )
        .order_by(earlier.c.session_date.desc())
        .limit(1)
        .correlate(flow)
        .scalar_subquery()
    )
    # materialised, or the day would be looked up again for every row it is joined with
    looked_up = sa.select(flow.c.session_date, flow.c.no, flow.c.value, last_day.label("last_day"))
    if scope.start is not None:
        looked_up = looked_up.where(flow.c.no > _first_no(flow, scope) - _CHASE_SESSIONS)
    told = looked_up.cte("told").prefix_with("MATERIALIZED")
    in_time = days_between(told.c.session_date, told.c.last_day) <= BASE_TOLERANCE_DAYS
    pair = (
        sa.select(
            told.c.session_date,
            told.c.no,
            told.c.value,
            sa.case((in_time, pct(index.c.close, index.c.close_before))).label("index_return"),
        )
        .select_from(told.outerjoin(index, index.c.session_date == told.c.last_day))
        .cte("pair")
        .prefix_with("MATERIALIZED")
    )
    near = _handed_on(pair, _CHASE_SESSIONS, 0, scope, "pair_near", steps=flow)
    of_target: dict[str, Any] = {"partition_by": near.c.target}
    apart = sa.select(
        near.c.target,
        near.c.index_return,
        (near.c.index_return - sa.func.avg(near.c.index_return).over(**of_target)).label("x"),
        (near.c.value - sa.func.avg(near.c.value).over(**of_target)).label("y"),
    ).subquery("pair_apart")
    is_defined = sa.and_(
        sa.func.count(apart.c.index_return) == _CHASE_SESSIONS,
        sa.func.max(apart.c.index_return) > sa.func.min(apart.c.index_return),
    )
    x, y = apart.c.x, apart.c.y
    slope = sa.func.sum(x * y, type_=sa.Double()) / sa.func.nullif(sa.func.sum(x * x, type_=sa.Double()), 0.0)
    slopes = (
        sa.select(apart.c.target, sa.case((is_defined, slope)).label("value"))
        .group_by(apart.c.target)
        .cte("slope")
        .prefix_with("MATERIALIZED")
    )
    return (
        sa.select(pair.c.session_date, slopes.c.value)
        .select_from(pair.join(slopes, slopes.c.target == pair.c.no))
        .where(pair.c.no >= _CHASE_SESSIONS, scope.has_day(pair.c.session_date))
        .cte("chase")
        .prefix_with("MATERIALIZED")
    )


def _market_turnover(inputs: Inputs, scope: Scope) -> sa.CTE:
    raw = inputs.market_turnover_raw
    ordered = (
        sa.select(
            raw.c.session_date,
            raw.c.turnover_hkd_mn,
            sa.func.row_number(type_=sa.Integer())
            .over(partition_by=raw.c.session_date, order_by=trust_order(raw.c.source))
            .label("place"),
        )
        .where(raw.c.market == _MARKET, scope.has_day(raw.c.session_date))
        .subquery("turnovers")
    )
    return (
        sa.select(ordered.c.session_date, ordered.c.turnover_hkd_mn.label("value"))
        .where(ordered.c.place == 1)
        .cte("market_turnover")
        .prefix_with("MATERIALIZED")
    )


def _breadth(inputs: Inputs, scope: Scope) -> sa.CTE:
    bar, instrument = inputs.index_performance.alias("share_bar"), inputs.instruments.alias("share")
    return (
        sa.select(
            bar.c.session_date,
            sa.func.count().label("shares"),
            sa.func.sum(sa.case((bar.c.return_1d_pct > 0, 1), else_=0)).label("higher"),
        )
        .select_from(instrument.join(bar, bar.c.symbol == instrument.c.symbol))
        .where(
            instrument.c.market == _MARKET,
            instrument.c.kind == "share",
            bar.c.return_1d_pct.is_not(None),
            scope.has_day(bar.c.session_date),
        )
        .group_by(bar.c.session_date)
        .cte("breadth")
        .prefix_with("MATERIALIZED")
    )


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_hot_money_daily``: a row for each session with southbound figures of both channels together."""
    flow, index = inputs.southbound.alias("flow"), _index(inputs)
    market, breadth = _market_turnover(inputs, scope), _breadth(inputs, scope)
    reversal, surge = _reversal(inputs, scope), _surge(inputs, scope)
    volatility, chase = _volatility(index, scope), _chase(inputs, index, scope)
    joined: Any = flow
    for part in (market, breadth, reversal, surge, volatility, chase):
        joined = joined.outerjoin(part, part.c.session_date == flow.c.session_date)
    turnover, net = flow.c.turnover_hkd_mn, flow.c.net_buy_hkd_mn
    shares = sa.cast(breadth.c.shares, sa.Double)
    columns = {
        "session_date": flow.c.session_date,
        "southbound_share_of_turnover_pct": turnover / sa.func.nullif(2.0 * market.c.value, 0.0) * 100.0,
        "gross_to_net_ratio": turnover / sa.func.nullif(sa.func.abs(net), 0.0),
        "reversal_share_10d_ratio": reversal.c.value,
        "volume_surge_60d_ratio": surge.c.value,
        "realised_volatility_20d_pct": volatility.c.value,
        "chase_beta_5d": chase.c.value,
        "breadth_pct": sa.cast(breadth.c.higher, sa.Double) / shares * 100.0,
        "breadth_of_shares": sa.cast(sa.func.coalesce(breadth.c.shares, 0), sa.Integer),
    }
    return (
        sa.select(*output(mart_flows.mart_hot_money_daily, columns))
        .select_from(joined)
        .where(flow.c.channel == "total", scope.has_day(flow.c.session_date))
    )


HOT_MONEY = Derived(
    mart_flows.mart_hot_money_daily,
    inputs=(
        "core_southbound_resolved_daily",
        "core_market_turnover_daily",
        "core_price_resolved_daily",
        "mart_index_performance_daily",
    ),
    select=select,
    subject=None,
)
