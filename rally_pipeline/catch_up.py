"""What a warehouse lacks, and what to ask for it: after an outage exactly the missing sessions, oldest first.

Every source of a market is expected to have given every session since the first day the warehouse is about, as soon as
it is published. What it has not given is missing, and asked for until it comes; a source that answers without it is
asked less often after the first hours, and no more after some days or when it no longer keeps the day: then ``ops_gap``
says so, and what the next source gave counts. Belongs here: what is missing, the requests for it, and the upkeep of
``ops_gap``. Does not belong here: asking (`ingest.py`), or what is broken (`health.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from rally_pipeline import ingest
from rally_pipeline.ingest import FetchFailure
from rally_pipeline.planning import market_sources
from rally_pipeline.quality.acceptance import SETTLING
from rally_pipeline.schema import core, core_flows, ops, raw
from rally_pipeline.sessions import timezone_of
from rally_pipeline.settings import Profile
from rally_pipeline.sources.base import FetchRequest
from rally_pipeline.sources.registry import MARKET_SOURCES, PRICE_SOURCES, PUBLISHED_FROM
from rally_pipeline.warehouse.schema_version import read_statement, write_statement
from rally_pipeline.workspace import Workspace

#: Closing auctions last some minutes and feeds are up to twenty minutes late.
_AFTER_CLOSE = SETTLING + dt.timedelta(minutes=20)
#: So long after its publication time a session may come any minute, and every look asks for it.
_ASKED_EAGERLY = dt.timedelta(hours=6)
#: Later it is asked for only so often.
_ASKED_AGAIN_AFTER = dt.timedelta(hours=10)
#: A source that answered so often without a session, and so long after it was due, does not have it.
_ANSWERS_WITHOUT = 3
_GIVEN_UP_AFTER = dt.timedelta(days=2)
#: So long after it was due, one answer without it is enough.
_OLD = dt.timedelta(days=7)
#: More separate stretches than this are asked for as one.
_MAX_STRETCHES = 20
#: From when on the mainland exchange's figures are in HKD, which is all that is read of them.
_FIRST_DAYS = {"sse": dt.date(2024, 8, 19), "szse": dt.date(2024, 8, 19)}
#: Channels that a source gives of each southbound session.
_CHANNELS: Mapping[str, tuple[str, ...]] = {
    "hkex": ("sse", "szse"),
    "sse": ("sse",),
    "szse": ("szse",),
    "eastmoney_flow": ("total", "sse", "szse"),
}
_SHENZHEN_START = dt.date(2016, 12, 5)


@dataclass(frozen=True)
class Series:
    """What a source gives of each session of a market.

    Attributes:
        source: the source.
        subject: instrument, pair of currencies or channel.
        asked_as: subject of the requests that bring it; ``None`` = all requests of the source do.
        table, key, day: core table, values of its columns that select the subject, and the column of the day.
        first: nothing is expected before this day.
    """

    source: str
    subject: str
    asked_as: str | None
    table: sa.Table
    key: Mapping[str, str]
    day: str
    first: dt.date = dt.date.min

    def given(self, start: dt.date, end: dt.date, *, of_any_source: bool = False) -> sa.Select[tuple[dt.date]]:
        """The days that were given, and believed."""
        table, day = self.table, self.table.c[self.day]
        return (
            sa.select(day)
            .where(
                *(table.c[name] == value for name, value in self.key.items()),
                sa.true() if of_any_source else table.c.source == self.source,
                table.c.known_to_at.is_(None),
                day.between(start, end),
            )
            .distinct()
        )


@dataclass(frozen=True)
class Missing:
    """A session that a source has not given although it could.

    Attributes:
        market, source, subject, day: what.
        asked_as: as of `Series`.
        due_at: since when it could be there, aware UTC.
        last_asked_at: when the source last answered without it; ``None`` = it never did.
        message: what it said then.
    """

    market: str
    source: str
    subject: str
    day: dt.date
    asked_as: str | None
    due_at: dt.datetime
    last_asked_at: dt.datetime | None = None
    message: str = ""

    def is_askable(self, now: dt.datetime) -> bool:
        """Whether asking again makes sense at this time."""
        last = self.last_asked_at
        # A clock that was ahead and was put right has not asked for anything.
        return last is None or last > now or now - self.due_at < _ASKED_EAGERLY or now - last >= _ASKED_AGAIN_AFTER


@dataclass(frozen=True)
class CatchUp:
    """What is asked for what is missing.

    Attributes:
        market: the market.
        requests: oldest first.
        asked: what they are about.
        gone: what the source no longer keeps, so that nothing can be asked.
    """

    market: str
    requests: tuple[FetchRequest, ...] = ()
    asked: tuple[Missing, ...] = ()
    gone: tuple[Missing, ...] = ()

    @property
    def days(self) -> list[dt.date]:
        """The sessions asked for."""
        return sorted({one.day for one in self.asked})

    def line(self) -> str:
        """The same for people."""
        if not self.asked:
            return f"{self.market}: nothing is missing"
        days = self.days
        span = f"{days[0]}" if len(days) == 1 else f"{days[0]} … {days[-1]}"
        who = ", ".join(dict.fromkeys(one.source for one in self.asked))
        count = f"{len(days)} session{'s' if len(days) > 1 else ''}"
        return f"{self.market}: {count} missing, {span}, oldest first, from {who}"


# --- what is expected ---------------------------------------------------------------------------------------------


def series_of(workspace: Workspace, market: str) -> list[Series]:
    """Everything the sources of a market are expected to give, most trusted source first where there is an order."""
    instruments = workspace.catalog.instruments
    if market == "SOUTHBOUND":
        table = core_flows.core_southbound_flow_daily
        return [
            Series(source, channel, None, table, {"channel": channel}, "session_date", _channel_start(source, channel))
            for source in MARKET_SOURCES[market]
            for channel in _CHANNELS[source]
        ]
    found = []
    if market == "FX":
        euro = {"base_currency": "EUR", "quote_currency": "USD"}
        found.append(Series("ecb", "EUR/USD", None, core.core_fx_daily, euro, "rate_date"))
    for symbol in workspace.catalog.market_symbols(market):
        one = instruments[symbol]
        first = one.listing_date or dt.date.min
        for source in one.price_sources:
            if source.source not in PRICE_SOURCES:
                continue
            if market == "FX":
                pair = {"base_currency": one.base_currency or "USD", "quote_currency": one.currency}
                name = "/".join(pair.values())
                found.append(Series(source.source, name, symbol, core.core_fx_daily, pair, "rate_date", first))
            else:
                key = {"symbol": symbol}
                found.append(Series(source.source, symbol, symbol, core.core_price_daily, key, "session_date", first))
    return found


def _channel_start(source: str, channel: str) -> dt.date:
    return max(_FIRST_DAYS.get(source, dt.date.min), _SHENZHEN_START if channel == "szse" else dt.date.min)


def published_at(workspace: Workspace, market: str, source: str, day: dt.date) -> dt.datetime:
    """From when on a source can have a session; aware UTC."""
    at = workspace.calendars.session(market, day).close_at + _AFTER_CLOSE
    if (time := PUBLISHED_FROM.get(source)) is not None:
        at = max(at, dt.datetime.combine(day, time, timezone_of(market)).astimezone(dt.UTC))
    return at


def last_published(workspace: Workspace, market: str, source: str, now: dt.datetime) -> dt.date | None:
    """The last session that a source can have; in the demo world, its last one."""
    calendars = workspace.calendars
    if workspace.profile is Profile.DEMO:
        return calendars.last_session_on_or_before(market, workspace.today())
    today = now.date()
    days = calendars.known_sessions(market, today - dt.timedelta(days=31), today + dt.timedelta(days=1))
    return next((day for day in reversed(days) if published_at(workspace, market, source, day) <= now), None)


def history_start(connection: sa.Connection, workspace: Workspace, market: str) -> dt.date | None:
    """The first day a warehouse is about: the setting, or the first that was ever asked for; ``None`` for a new one."""
    if workspace.settings.history_start is not None:
        return workspace.settings.history_start
    if stated := read_statement(connection, _statement(market)):
        return dt.date.fromisoformat(stated)
    # Made before this was written down, or built again from an archive.
    fetch = raw.raw_fetch
    about = [fetch.c.source.in_(market_sources(workspace.catalog, market)), fetch.c.start_date.is_not(None)]
    if market not in MARKET_SOURCES:
        about.append(fetch.c.subject.in_(workspace.catalog.market_symbols(market)))
    else:
        about.append(fetch.c.parser.in_(MARKET_SOURCES[market]))
    first: dt.date | None = connection.scalar(sa.select(sa.func.min(fetch.c.start_date)).where(*about))
    return first


def note_history_start(workspace: Workspace, market: str, start: dt.date) -> None:
    """Writes down that the warehouse is about a market since this day, unless it is since an earlier one."""
    with workspace.warehouse.write() as connection:
        known = read_statement(connection, _statement(market))
        if known is None or dt.date.fromisoformat(known) > start:
            write_statement(connection, _statement(market), start.isoformat())


def _statement(market: str) -> str:
    return f"history_start.{market.lower()}"


# --- what is missing ----------------------------------------------------------------------------------------------


def missing_sessions(workspace: Workspace, market: str, *, now: dt.datetime | None = None) -> list[dt.date]:
    """The sessions of which some source has not given what it could, oldest first.

    None lies before the first day the warehouse is about: ``RALLY_HISTORY_START``, or the first that was ever asked
    for; of a new warehouse, the last session that is published. What a source does not have (``ops_gap``) is not
    missing.
    """
    return sorted({one.day for one in missing(workspace, market, now=now)})


def missing(workspace: Workspace, market: str, *, now: dt.datetime | None = None) -> list[Missing]:
    """The same source by source and subject by subject, in order of day."""
    with workspace.warehouse.read() as connection:
        return read_missing(connection, workspace, market, now or workspace.now())


def read_missing(connection: sa.Connection, workspace: Workspace, market: str, now: dt.datetime) -> list[Missing]:
    """`missing` inside of a transaction."""
    series = series_of(workspace, market)
    ends = {source: last_published(workspace, market, source, now) for source in {one.source for one in series}}
    known_ends = [end for end in ends.values() if end is not None]
    if not known_ends:
        return []
    start = history_start(connection, workspace, market) or max(known_ends)
    start, end = max(start, workspace.calendars.first_day(market)), max(known_ends)
    # Days cross as texts: to make a date of every row of history takes longer than to find the rows.
    sessions = {day.isoformat(): day for day in workspace.calendars.known_sessions(market, start, end)}
    if not sessions:
        return []
    given = _given(connection, series, start, end)
    given_up = _given_up(connection, market, start, now)
    gap = ops.ops_gap
    rows = connection.execute(sa.select(gap).where(gap.c.market == market, gap.c.state == "open")).mappings()
    opened = {(row["source"], row["subject"], row["session_date"]): row for row in rows}
    found = []
    for one in series:
        last = ends[one.source]
        of_it = one.source, one.subject
        for text in set(sessions).difference(_days(given.get(of_it)), _days(given_up.get(of_it))):
            day = sessions[text]
            if last is None or not one.first <= day <= last:
                continue
            asked: Any = opened.get((*of_it, day), {})
            due_at = published_at(workspace, market, one.source, day)
            found.append(
                Missing(
                    *(market, one.source, one.subject, day, one.asked_as, due_at),
                    asked.get("last_asked_at"),
                    asked.get("message", ""),
                )
            )
    return sorted(found, key=lambda one: one.day)


def _given(
    connection: sa.Connection, series: Sequence[Series], start: dt.date, end: dt.date
) -> dict[tuple[str, str], str | None]:
    """The days that each series of a market was given, as `_listed` lists them, by source and subject.

    Which days, and not how many: sources give days that are no sessions too (currencies on holidays, bars of a day
    that was declared closed later), and each of them would stand for a session that is lost. The sources of a subject
    are columns beside each other, so that the index of believed rows is read once, in its order.
    """
    table, names = series[0].table, list(series[0].key)
    columns, day = [table.c[name] for name in names], table.c[series[0].day]
    subjects = {tuple(one.key[name] for name in names): one.subject for one in series}
    sources = sorted({one.source for one in series})
    query = (
        sa.select(*columns, *(_listed(connection, day, table.c.source == source) for source in sources))
        .where(
            columns[0].in_(sorted({key[0] for key in subjects})),
            table.c.known_to_at.is_(None),
            day.between(start, end),
        )
        .group_by(*columns)
    )
    found: dict[tuple[str, str], str | None] = {}
    for row in connection.execute(query):
        subject = subjects.get(tuple(row[: len(names)]))
        if subject is not None:
            found |= {(source, subject): days for source, days in zip(sources, row[len(names) :], strict=True)}
    return found


def _given_up(
    connection: sa.Connection, market: str, start: dt.date, now: dt.datetime
) -> dict[tuple[str, str], str | None]:
    """The days that a source does not have, in the same way."""
    gap = ops.ops_gap
    query = (
        sa.select(gap.c.source, gap.c.subject, _listed(connection, gap.c.session_date))
        .where(
            gap.c.market == market,
            gap.c.state == "not_served",
            gap.c.session_date >= start,
            # What a clock that was ahead gave up is not given up.
            gap.c.last_asked_at <= now,
        )
        .group_by(gap.c.source, gap.c.subject)
    )
    return {(source, subject): days for source, subject, days in connection.execute(query)}


def _listed(
    connection: sa.Connection, day: sa.ColumnElement[dt.date], *where: sa.ColumnElement[bool]
) -> sa.ColumnElement[str | None]:
    """The days of a group's rows that meet a condition as one JSON list of ISO dates; NULL may stand for none."""
    gather = sa.func.json_agg if connection.dialect.name == "postgresql" else sa.func.json_group_array
    return sa.cast(gather(day).filter(*where), sa.Text)


def _days(listed: str | None) -> list[str]:
    days: list[str] = json.loads(listed) if listed else []
    return days


# --- what to ask for it -------------------------------------------------------------------------------------------


def plan_missing(
    workspace: Workspace,
    market: str,
    *,
    sources: Collection[str] = (),
    now: dt.datetime | None = None,
) -> CatchUp:
    """The requests for what is missing and can be asked for at this time, oldest first.

    Args:
        workspace: where.
        market: whose.
        sources: only these; empty = all.
        now: the present; default: by the clock.
    """
    now = now or workspace.now()
    wanted = [
        one
        for one in missing(workspace, market, now=now)
        if one.is_askable(now) and (not sources or one.source in sources)
    ]
    if not wanted:
        return CatchUp(market)
    groups: dict[tuple[str, str | None], list[Missing]] = defaultdict(list)
    for one in wanted:
        groups[one.source, one.asked_as].append(one)
    requests: dict[tuple[Any, ...], FetchRequest] = {}
    asked: list[Missing] = []
    gone: list[Missing] = []
    for (source, subject), group in groups.items():
        planned = [
            request
            for first, last in _stretches(workspace, market, sorted({one.day for one in group}))
            for request in ingest.plan(workspace, market, first, last, sources=[source])
            if subject is None or request.subject == subject
        ]
        for one in group:
            bringing = [request for request in planned if covers(request, one)]
            (asked if bringing else gone).append(one)
            requests.update((_identity(request), request) for request in bringing)
    order = {name: number for number, name in enumerate(market_sources(workspace.catalog, market))}
    oldest_first = sorted(requests.values(), key=lambda r: (r.start or dt.date.min, order.get(r.source, 99)))
    return CatchUp(market, tuple(oldest_first), tuple(sorted(asked, key=lambda one: one.day)), tuple(gone))


def covers(request: FetchRequest, one: Missing) -> bool:
    """Whether a request asks for something that is missing."""
    return (
        request.source == one.source
        and (one.asked_as is None or request.subject == one.asked_as)
        and (request.start is None or request.start <= one.day)
        and (request.end is None or request.end >= one.day)
    )


def _identity(request: FetchRequest) -> tuple[Any, ...]:
    return request.source, request.subject, request.url, request.start, request.end, str(sorted(request.params.items()))


def _stretches(workspace: Workspace, market: str, days: Sequence[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """First and last day of each run of days with no other session between them."""
    wanted = set(days)
    found: list[tuple[dt.date, dt.date]] = []
    previous_is_wanted = False
    for day in workspace.calendars.known_sessions(market, days[0], days[-1]):
        is_wanted = day in wanted
        if is_wanted:
            found[-1:] = [(found[-1][0], day)] if previous_is_wanted else [*found[-1:], (day, day)]
        previous_is_wanted = is_wanted
    return found if len(found) <= _MAX_STRETCHES else [(days[0], days[-1])]


# --- the upkeep of ops_gap ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What became of the requests of one run.

    Attributes:
        answered: those whose answer was read.
        refused: those whose answer was not believed as a whole.
        failed: those that got none.
    """

    answered: tuple[FetchRequest, ...] = ()
    refused: tuple[FetchRequest, ...] = ()
    failed: tuple[FetchFailure, ...] = field(default=())


def note_gaps(
    connection: sa.Connection,
    workspace: Workspace,
    market: str,
    asked: Asked,
    now: dt.datetime,
) -> list[Missing]:
    """Writes down what the sources answered without, and gives up what they do not have; returns what is still missing.

    Args:
        connection: the writing transaction.
        workspace: where.
        market: whose.
        asked: what was asked, and what came.
        now: the present.

    A source that has answered nothing at all since a session was due is out of order, and nothing is given up.
    """
    from rally_pipeline.errors import BlockedFetchError, RetryableFetchError

    without = [(request, "answered without it") for request in asked.answered]
    says_nothing = (RetryableFetchError, BlockedFetchError)
    without += [(f.request, str(f.error)) for f in asked.failed if not isinstance(f.error, says_nothing)]
    by_source: dict[str, list[tuple[FetchRequest, str, int]]] = defaultdict(list)
    for request, text in without:
        by_source[request.source].append((request, text, 1))
    for request in asked.refused:
        by_source[request.source].append((request, "its answer was refused", 0))
    ahead = sa.delete(ops.ops_gap).where(ops.ops_gap.c.market == market, ops.ops_gap.c.last_asked_at > now)
    connection.execute(ahead)  # written by a clock that was ahead
    _drop_given(connection, workspace, market, [request for request, _ in without])
    health = ops.ops_health
    alive: dict[str, dt.datetime] = dict(
        connection.execute(
            sa.select(health.c.source, health.c.last_success_at).where(
                health.c.market == market, health.c.last_success_at <= now
            )
        ).all()
    )
    alive |= {request.source: now for request in asked.answered}
    gap = ops.ops_gap
    rows = connection.execute(sa.select(gap).where(gap.c.market == market, gap.c.state == "open")).mappings()
    before: dict[tuple[str, str, dt.date], Any] = {
        (row["source"], row["subject"], row["session_date"]): row for row in rows
    }
    found = read_missing(connection, workspace, market, now)
    kept = _kept(workspace, market, found)
    missing_now = {(one.source, one.subject, one.day) for one in found}
    _forget(connection, market, [row for key, row in before.items() if key not in missing_now])
    still, changed = [], []
    for one in found:
        told = next(((text, n) for request, text, n in by_source[one.source] if covers(request, one)), None)
        if told is None:
            is_kept = one in kept
            row = None if is_kept else _gap_row(one, None, 0, now, "the source no longer keeps it", "not_served")
        else:
            text, count = told
            known = before.get((one.source, one.subject, one.day))
            row = _gap_row(one, known, count, now, text, "open")
            is_alive = one.source in alive and alive[one.source] >= one.due_at
            age = now - one.due_at
            enough = age >= _OLD or (age >= _GIVEN_UP_AFTER and row["asked_count"] >= _ANSWERS_WITHOUT)
            if count and is_alive and enough:
                row["state"] = "not_served"
        if row is not None:
            changed.append(row)
        if row is None or row["state"] == "open":
            still.append(one)
    if changed:
        _forget(connection, market, changed)
        connection.execute(sa.insert(gap), changed)
    return still


def _forget(connection: sa.Connection, market: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Takes marks away: to write them anew, or because the session has come, or turned out to be none."""
    gap = ops.ops_gap
    keys = ("source", "subject", "session_date")
    gone = sa.delete(gap).where(gap.c.market == market, *(gap.c[name] == sa.bindparam(f"key_{name}") for name in keys))
    if rows:
        connection.execute(gone, [{f"key_{name}": row[name] for name in keys} for row in rows])


def _kept(workspace: Workspace, market: str, found: Sequence[Missing]) -> set[Missing]:
    """Those which their source can still be asked for."""
    groups: dict[str, list[Missing]] = defaultdict(list)
    for one in found:
        groups[one.source].append(one)
    kept = set()
    for source, group in groups.items():
        requests = ingest.plan(workspace, market, group[0].day, group[-1].day, sources=[source])
        spans = {(request.subject, request.start, request.end): request for request in requests}
        kept |= {one for one in group if any(covers(request, one) for request in spans.values())}
    return kept


def _gap_row(
    one: Missing, known: Mapping[str, Any] | None, count: int, now: dt.datetime, message: str, state: str
) -> dict[str, Any]:
    return {
        "market": one.market,
        "source": one.source,
        "subject": one.subject,
        "session_date": one.day,
        "state": state,
        "asked_count": (known["asked_count"] if known else 0) + count,
        "first_asked_at": known["first_asked_at"] if known else now,
        "last_asked_at": now,
        "message": message.replace("\n", " ")[:500],
    }


def _drop_given(connection: sa.Connection, workspace: Workspace, market: str, requests: Iterable[FetchRequest]) -> None:
    """Takes away the marks of what has come after all."""
    gap = ops.ops_gap
    of_source = {request.source for request in requests}
    if not of_source:
        return
    for one in series_of(workspace, market):
        if one.source not in of_source:
            continue
        mine = sa.and_(gap.c.market == market, gap.c.source == one.source, gap.c.subject == one.subject)
        first, last = connection.execute(
            sa.select(sa.func.min(gap.c.session_date), sa.func.max(gap.c.session_date)).where(mine)
        ).one()
        if first is None:
            continue
        connection.execute(sa.delete(gap).where(mine, gap.c.session_date.in_(one.given(first, last))))
