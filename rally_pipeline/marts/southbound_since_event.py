"""Net buying since each event, and the windows of the same length it is compared with.

Belongs here: everything about windows of southbound sessions. Does not belong here: single days (`southbound.py`).

Sessions that have a net buy of both channels together are numbered from 1 on. With the sum of all net buys up to a
session and up to before it, the net buy of any window is one subtraction: that of the n sessions ending with number k
is the sum up to k less the sum before k − n + 1. Sums are of whole HK$, so equal windows are equal and nothing depends
on where summation began.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import Derived, Inputs, Scope, day_start_of_month, in_hkd, in_mn, month_start, output
from rally_pipeline.marts.southbound import hkd_per_usd
from rally_pipeline.schema import mart_flows

#: Sessions fit below it, by far: HK$ × _NUMBERS + number orders by amount, then by number, in one integer.
_NUMBERS = 16_384
#: Longest window of the monthly table.
_LONGEST = 60


def _numbered(inputs: Inputs) -> sa.CTE:
    """Sessions with a net buy, numbered (``no``), and of net buy (``total``), its two parts and ``turnover`` the sum up
    to the session (``…_to``) and before it (``…_before``), and how many sessions lack it, likewise (``…_lack_…``).
    """
    flow = inputs.southbound
    total, one, other = flow.alias("total"), flow.alias("sse"), flow.alias("szse")

    def same_day(part: sa.FromClause, channel: str) -> sa.ColumnElement[bool]:
        return sa.and_(part.c.channel == channel, part.c.session_date == total.c.session_date)

    values = {
        "total": total.c.net_buy_hkd_mn,
        "sse": one.c.net_buy_hkd_mn,
        "szse": other.c.net_buy_hkd_mn,
        "turnover": total.c.turnover_hkd_mn,
    }
    columns: list[sa.ColumnElement[Any]] = []
    for name, value in values.items():
        for label, rows in (("to", (None, 0)), ("before", (None, -1))):
            over: dict[str, Any] = {"order_by": total.c.session_date, "rows": rows}
            amount = sa.func.sum(in_hkd(value)).over(**over)
            columns.append(sa.cast(sa.func.coalesce(amount, 0), sa.BigInteger).label(f"{name}_{label}"))
            lack = sa.func.sum(sa.case((value.is_(None), 1), else_=0)).over(**over)
            columns.append(sa.cast(sa.func.coalesce(lack, 0), sa.Integer).label(f"{name}_lack_{label}"))
    return (
        sa.select(
            total.c.session_date,
            sa.func.row_number(type_=sa.Integer()).over(order_by=total.c.session_date).label("no"),
            *columns,
        )
        .select_from(total.outerjoin(one, same_day(one, "sse")).outerjoin(other, same_day(other, "szse")))
        .where(total.c.channel == "total", total.c.net_buy_hkd_mn.is_not(None))
        .cte("numbered")
        .prefix_with("MATERIALIZED")
    )


def _amount(first: sa.FromClause, last: sa.FromClause, name: str) -> sa.ColumnElement[Any]:
    """Sum over the window in whole HK$; NULL if a session lacks the figure."""
    is_full = last.c[f"{name}_lack_to"] == first.c[f"{name}_lack_before"]
    return sa.case((is_full, last.c[f"{name}_to"] - first.c[f"{name}_before"]))


def _packed(amount: sa.ColumnElement[Any], no: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return amount * _NUMBERS + no


def _number(packed: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return ((packed % _NUMBERS) + _NUMBERS) % _NUMBERS


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_southbound_since_event``: windows from the first session on or after an event's day to each later one,
    until the event's next occurrence.
    """
    numbered = _numbered(inputs)
    event = inputs.events.alias("event")
    first, last = numbered.alias("first_day"), numbered.alias("last_day")
    started = (
        sa.select(
            event.c.event_id, event.c.event_date, event.c.until_date, sa.func.min(numbered.c.no).label("start_no")
        )
        .select_from(event.join(numbered, numbered.c.session_date >= event.c.event_date))
        .group_by(event.c.event_id, event.c.event_date, event.c.until_date)
    )
    if scope.start is not None:
        started = started.where(sa.or_(event.c.until_date.is_(None), event.c.until_date > scope.start))
    start = started.subquery("started")
    window = (
        sa.select(
            start.c.event_id,
            start.c.event_date,
            start.c.start_no,
            first.c.session_date.label("window_start_date"),
            last.c.session_date,
            last.c.no,
            (last.c.no - start.c.start_no + 1).label("length"),
            *(_amount(first, last, name).label(name) for name in ("total", "sse", "szse", "turnover")),
        )
        .select_from(start.join(first, first.c.no == start.c.start_no).join(last, last.c.no >= first.c.no))
        .where(
            sa.or_(start.c.until_date.is_(None), last.c.session_date < start.c.until_date),
            scope.has_day(last.c.session_date),
        )
        .cte("event_window")
        .prefix_with("MATERIALIZED")
    )
    begin, end = numbered.alias("begin"), numbered.alias("end")
    other = end.c.total_to - begin.c.total_before
    compared = (
        sa.select(
            window.c.event_id,
            window.c.no,
            sa.func.sum(sa.case((other > window.c.total, 1), else_=0)).label("larger"),
            sa.func.max(sa.case((end.c.no < window.c.start_no, _packed(other, end.c.no)))).label("best"),
        )
        .select_from(
            window.join(end, end.c.no.between(window.c.length, window.c.no)).join(
                begin, begin.c.no == end.c.no - window.c.length + 1
            )
        )
        .group_by(window.c.event_id, window.c.no)
        .cte("compared")
        .prefix_with("MATERIALIZED")
    )
    best = numbered.alias("best_day")
    rate, on_rate, units = hkd_per_usd(inputs, window.c.session_date)
    best_no = _number(compared.c.best)
    best_amount = in_mn((compared.c.best - best_no) // _NUMBERS)
    net = in_mn(window.c.total)
    count = window.c.no - window.c.length + 1
    columns = {
        **{name: window.c[name] for name in ("event_id", "session_date", "event_date", "window_start_date")},
        "sessions_since_event": window.c.length,
        "net_buy_hkd_mn": net,
        "net_buy_usd_mn": net / units,
        "net_buy_sse_hkd_mn": in_mn(window.c.sse),
        "net_buy_szse_hkd_mn": in_mn(window.c.szse),
        "turnover_hkd_mn": in_mn(window.c.turnover),
        "window_rank": sa.cast(compared.c.larger + 1, sa.Integer),
        "window_count": count,
        "window_percentile_pct": sa.cast(count - compared.c.larger, sa.Double) * 100.0 / sa.cast(count, sa.Double),
        "best_window_hkd_mn": best_amount,
        "best_window_end_date": best.c.session_date,
        "ratio_to_best_window": sa.case((best_amount > 0, net / best_amount)),
    }
    return sa.select(*output(mart_flows.mart_southbound_since_event, columns)).select_from(
        window.join(compared, sa.and_(compared.c.event_id == window.c.event_id, compared.c.no == window.c.no))
        .outerjoin(best, best.c.no == best_no)
        .outerjoin(rate, on_rate)
    )


def select_monthly(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_southbound_best_window_monthly``."""
    numbered = _numbered(inputs)
    # as many lengths as there are sessions, at most 60
    length, end = numbered.alias("length"), numbered.alias("end")

    def at_begin(name: str) -> sa.ColumnElement[Any]:
        first: Any = sa.func.lag(end.c[name], sa.cast(length.c.no - 1, sa.Integer), type_=end.c[name].type)
        return sa.label(name, first.over(partition_by=length.c.no, order_by=end.c.no))

    window = (
        sa.select(
            length.c.no.label("length"),
            end.c.no,
            end.c.session_date,
            end.c.total_to,
            end.c.turnover_to,
            end.c.turnover_lack_to,
            *(at_begin(name) for name in ("total_before", "turnover_before", "turnover_lack_before")),
        )
        .select_from(length.join(end, sa.true()))
        .where(length.c.no <= _LONGEST)
    )
    if scope.start is not None:
        # the longest window that ends in the first month
        wanted = numbered.alias("wanted")
        first_no = sa.select(sa.func.min(wanted.c.no)).where(wanted.c.session_date >= day_start_of_month(scope.start))
        window = window.where(end.c.no > first_no.scalar_subquery() - _LONGEST)
    made = window.subquery("window_of_length")
    month = month_start(made.c.session_date)
    by_month = (
        sa.select(
            made.c.length.label("window_sessions"),
            month.label("month"),
            sa.func.max(_packed(made.c.total_to - made.c.total_before, made.c.no)).label("best"),
            sa.func.max(_amount(made, made, "turnover")).label("turnover"),
        )
        .where(made.c.no >= made.c.length)
        .group_by(made.c.length, month)
    )
    if scope.start is not None:
        by_month = by_month.where(made.c.session_date >= day_start_of_month(scope.start))
    best = by_month.cte("best").prefix_with("MATERIALIZED")
    first, last = numbered.alias("first_day"), numbered.alias("last_day")
    number = _number(best.c.best)
    columns = {
        "window_sessions": best.c.window_sessions,
        "month": best.c.month,
        "best_net_buy_hkd_mn": in_mn((best.c.best - number) // _NUMBERS),
        "best_start_date": first.c.session_date,
        "best_end_date": last.c.session_date,
        "best_turnover_hkd_mn": in_mn(best.c.turnover),
    }
    return sa.select(*output(mart_flows.mart_southbound_best_window_monthly, columns)).select_from(
        best.join(last, last.c.no == number).join(first, first.c.no == number - best.c.window_sessions + 1)
    )


SOUTHBOUND_SINCE_EVENT = Derived(
    mart_flows.mart_southbound_since_event,
    inputs=("core_southbound_resolved_daily", "core_fx_usd_daily"),
    select=select,
    subject=None,
)
SOUTHBOUND_BEST_WINDOW_MONTHLY = Derived(
    mart_flows.mart_southbound_best_window_monthly,
    inputs=("core_southbound_resolved_daily",),
    select=select_monthly,
    subject=None,
    floor=day_start_of_month,
)
