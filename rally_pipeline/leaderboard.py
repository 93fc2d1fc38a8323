"""The leaderboard and what goes with it, as lines of text: what `make demo` ends with.

Belongs here: reading a few mart rows and writing them for people. Does not belong here: any computation.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema import core, mart, mart_flows
from rally_pipeline.workspace import Workspace

_BOARD = "headline_indices"


def leaderboard_lines(workspace: Workspace, day: dt.date) -> Iterator[str]:
    """The headline leaderboard as of `day`, then what the marts say about Hong Kong technology shares and Alibaba."""
    with workspace.warehouse.read() as connection:
        yield f"\nleaderboard as of {day} (year-to-date price return, local currency)"
        board = mart.mart_leaderboard_daily
        latest = sa.select(sa.func.max(board.c.as_of_date)).where(
            board.c.leaderboard == _BOARD, board.c.as_of_date <= day
        )
        query = (
            sa.select(board)
            .where(board.c.leaderboard == _BOARD, board.c.as_of_date == latest.scalar_subquery())
            .order_by(board.c.ytd_rank)
        )
        rows = connection.execute(query).all()
        if not rows:
            yield "  no session yet"
        for row in rows:
            yield (
                f"  {row.ytd_rank}  {row.name:<24} {row.close:>10,.2f} / {row.base_close:>10,.2f} = "
                f"{row.ytd_return_pct:+7.2f} %   session {row.session_date}, base {row.base_date}"
            )
        yield from _share_lines(connection, day)
        yield from _flow_lines(connection, day)


def _share_lines(connection: sa.Connection, day: dt.date) -> Iterator[str]:
    tech = _last(connection, mart.mart_price_extremes_daily, "HSTECH.HK", day)
    if tech is not None:
        since = (
            f"highest close since {tech.highest_since_date}" if tech.highest_since_date else "highest close on record"
        )
        yield (
            f"\n{_name(connection, 'HSTECH.HK')}: {tech.close:,.2f}, {tech.rise_from_trough_pct:+.2f} % from "
            f"{tech.trough_close:,.2f} on {tech.trough_date}; three-year high: {_yes(tech.is_3y_high)}; {since}"
        )
    share = _last(connection, mart.mart_index_performance_daily, "9988.HK", day)
    volume = _last(connection, mart.mart_trading_volume_daily, "9988.HK", day)
    if share is not None and volume is not None and volume.previous_record_volume_shares:
        yield (
            f"{_name(connection, '9988.HK')}: HK$ {share.close:,.2f}, {share.ytd_return_pct:+.2f} % from "
            f"{share.base_close:,.2f} on {share.base_date}; "
            f"month so far {volume.mtd_volume_shares / 1e6:,.1f} mn shares, record before "
            f"{volume.previous_record_volume_shares / 1e6:,.1f} mn in {volume.previous_record_month:%B %Y}"
        )


def _flow_lines(connection: sa.Connection, day: dt.date) -> Iterator[str]:
    since, event = mart_flows.mart_southbound_since_event, core.core_event
    latest = (
        sa.select(event.c.event_id)
        .where(event.c.event_id.like("lunar_new_year_%"), event.c.event_date <= day)
        .order_by(event.c.event_date.desc())
        .limit(1)
    )
    query = (
        sa.select(since)
        .where(since.c.event_id == latest.scalar_subquery(), since.c.session_date <= day)
        .order_by(since.c.session_date.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return
    yield (
        f"Southbound since the Lunar New Year ({row.window_start_date}): {row.sessions_since_event} sessions, net buy "
        f"HK$ {row.net_buy_hkd_mn:,.2f} mn = US$ {(row.net_buy_usd_mn or 0) / 1000:,.3f} bn; "
        f"Shanghai {row.net_buy_sse_hkd_mn:+,.2f}, Shenzhen {row.net_buy_szse_hkd_mn:+,.2f}"
    )
    yield (
        f"  rank {row.window_rank} of {row.window_count} windows of {row.sessions_since_event} sessions; best before: "
        f"HK$ {row.best_window_hkd_mn or 0:,.2f} mn ended {row.best_window_end_date}"
    )


def _last(connection: sa.Connection, table: sa.Table, symbol: str, day: dt.date) -> Any:
    query = (
        sa.select(table)
        .where(table.c.symbol == symbol, table.c.session_date <= day)
        .order_by(table.c.session_date.desc())
        .limit(1)
    )
    return connection.execute(query).first()


def _name(connection: sa.Connection, symbol: str) -> str:
    instrument = core.core_instrument
    return connection.scalar(sa.select(instrument.c.name).where(instrument.c.symbol == symbol)) or symbol


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown, history is too short"}[value]
