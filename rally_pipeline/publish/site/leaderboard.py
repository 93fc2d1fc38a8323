"""Leaderboards: how far every instrument has run this year, and the whole scoreboard since each event.

Belongs here: reading and shaping the two tables. Does not belong here: ranking (`marts/leaderboard.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.world import HEADLINE, Row, World
from rally_pipeline.schema import core, mart

_TITLES = {
    HEADLINE: "Headline indices",
    "world_indices": "World indices",
    "hk_tech_shares": "Hong Kong technology shares",
    "hk_shares": "Hong Kong shares",
    "us_listed_china": "China, listed in the US",
}


def page(world: World) -> dict[str, Any]:
    """What the page shows."""
    return {"boards": boards(world), "events": _since_events(world)}


def title_of(leaderboard: str) -> str:
    """The heading of a leaderboard."""
    return _TITLES.get(leaderboard, formats.words(leaderboard).capitalize())


def boards(world: World) -> list[dict[str, Any]]:
    """Each leaderboard at its last day: members in order of rank, with returns over the usual windows."""
    board, performance = mart.mart_leaderboard_daily, mart.mart_index_performance_daily
    last = (
        sa.select(board.c.leaderboard, sa.func.max(board.c.as_of_date).label("day"))
        .where(board.c.as_of_date <= world.as_of)
        .group_by(board.c.leaderboard)
        .subquery()
    )
    same = sa.and_(performance.c.symbol == board.c.symbol, performance.c.session_date == board.c.session_date)
    query = (
        sa.select(
            board,
            *(performance.c[n] for n in ("currency", "source", "mtd_return_pct", "return_1d_pct", "return_20d_pct")),
            *(performance.c[n] for n in ("return_1y_pct", "usd_ytd_return_pct")),
        )
        .join(last, sa.and_(last.c.leaderboard == board.c.leaderboard, last.c.day == board.c.as_of_date))
        .join(performance, same)
        .order_by(board.c.leaderboard, board.c.ytd_rank)
    )
    found: dict[str, list[Row]] = {}
    for row in world.rows(query):
        found.setdefault(row["leaderboard"], []).append(row)
    ordered = sorted(found, key=lambda name: (name not in _TITLES, list(_TITLES).index(name) if name in _TITLES else 0))
    return [
        {
            "name": name,
            "title": title_of(name),
            "day": found[name][0]["as_of_date"],
            "rows": found[name],
            "most": max((abs(row["ytd_return_pct"] or 0) for row in found[name]), default=1) or 1,
        }
        for name in ordered
    ]


def _since_events(world: World) -> list[dict[str, Any]]:
    """Each of the last events with the return since then of every instrument."""
    since = mart.mart_price_since_event_daily
    events = world.recent_events(6)
    place = sa.func.row_number().over(
        partition_by=(since.c.event_id, since.c.symbol), order_by=since.c.session_date.desc()
    )
    ordered = (
        sa.select(since, place.label("place"))
        .where(since.c.event_id.in_([event.event_id for event in events]), since.c.session_date <= world.as_of)
        .subquery()
    )
    instrument = core.core_instrument
    query = (
        sa.select(ordered, instrument.c.name, instrument.c.kind, instrument.c.currency)
        .join(instrument, instrument.c.symbol == ordered.c.symbol)
        .where(ordered.c.place == 1)
        .order_by(ordered.c.event_id, ordered.c.return_pct.desc(), ordered.c.symbol)
    )
    found: dict[str, list[Row]] = {}
    for row in world.rows(query):
        found.setdefault(row["event_id"], []).append(row)
    return [
        {
            "event": event,
            "rows": found[event.event_id],
            "most": max((abs(row["return_pct"] or 0) for row in found[event.event_id]), default=1) or 1,
        }
        for event in events
        if event.event_id in found
    ]
