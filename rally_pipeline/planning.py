"""What there is to ask for a market, and what of it has been archived before.

Belongs here: the choice of sources, subjects and days of a market. Does not belong here: how a source plans.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import TYPE_CHECKING

from rally_pipeline.errors import UsageError
from rally_pipeline.sources.registry import MARKET_SOURCES

if TYPE_CHECKING:
    from rally_pipeline.archive import FetchRecord
    from rally_pipeline.catalog import Catalog
    from rally_pipeline.sources.base import FetchRequest
    from rally_pipeline.workspace import Workspace


def market_sources(catalog: Catalog, market: str) -> list[str]:
    """Every source of a market's instruments, those of the whole market first."""
    found = dict.fromkeys(MARKET_SOURCES.get(market, ()))
    for symbol in catalog.market_symbols(market):
        found.update(dict.fromkeys(source.source for source in catalog.instruments[symbol].price_sources))
    return list(found)


def known_sources(catalog: Catalog, markets: Collection[str]) -> list[str]:
    """Every source of these markets."""
    return list(dict.fromkeys(source for market in markets for source in market_sources(catalog, market)))


def plan_market(
    workspace: Workspace, market: str, start: dt.date, end: dt.date, sources: Collection[str] = ()
) -> list[FetchRequest]:
    """All requests of a market for the days from `start` to `end`, both inclusive, of `sources` or (empty) all.

    Raises:
        UsageError: a source is not one of the market's.
    """
    from rally_pipeline.ingest import plan

    known = market_sources(workspace.catalog, market)
    unknown = sorted(set(sources) - set(known))
    if unknown:
        raise UsageError(f"{market} has no source {', '.join(unknown)}; it has {', '.join(known)}")
    return plan(workspace, market, start, end, sources=[name for name in known if not sources or name in sources])


def last_finished_session(workspace: Workspace, market: str, now: dt.datetime | None = None) -> dt.date:
    """The last session of a market whose final prices can be known; in the demo world, its last one."""
    from rally_pipeline.quality.acceptance import SETTLING
    from rally_pipeline.settings import Profile

    calendars, today = workspace.calendars, workspace.today()
    if workspace.profile is Profile.DEMO:
        return calendars.last_session_on_or_before(market, today)
    now = now or workspace.now()
    # East of Greenwich the market's day may be one ahead of that of UTC.
    for day in reversed(calendars.known_sessions(market, today - dt.timedelta(days=30), today + dt.timedelta(days=1))):
        if calendars.session(market, day).close_at + SETTLING <= now:
            return day
    return calendars.last_session_on_or_before(market, min(calendars.horizon(market), today - dt.timedelta(days=31)))


def archived(workspace: Workspace, market: str, start: dt.date, end: dt.date) -> list[FetchRecord]:
    """What was fetched for a market with a request that overlaps the days from `start` to `end`, oldest first."""
    from rally_pipeline.sources.base import Dataset

    symbols = set(workspace.catalog.market_symbols(market))
    found = []
    for record in workspace.archive.records():
        request = record.request
        is_price = request.dataset is Dataset.PRICE and request.subject in symbols
        is_fx = market == "FX" and request.dataset is Dataset.FX
        is_flow = market == "SOUTHBOUND" and request.parser in MARKET_SOURCES[market]
        if not (is_price or is_fx or is_flow):
            continue
        if (request.start is None or request.start <= end) and (request.end is None or request.end >= start):
            found.append(record)
    return found
