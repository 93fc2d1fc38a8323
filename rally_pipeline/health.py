"""What is broken right now and since when, and how far behind the marts are, in sessions.

Belongs here: ``ops_health``, freshness by the calendars, and the list of present problems for whoever tells people of
them. Does not belong here: telling anybody, or mending.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from rally_pipeline.catch_up import Asked, Missing, history_start, last_published, note_gaps, read_missing, series_of
from rally_pipeline.errors import BlockedFetchError, RateLimitedError, RetryableFetchError
from rally_pipeline.fetches import records_where
from rally_pipeline.ingest import FetchFailure
from rally_pipeline.load_log import LoadOutcome
from rally_pipeline.marts import DERIVED
from rally_pipeline.planning import market_sources
from rally_pipeline.schema import core, ops, raw, table_info
from rally_pipeline.sessions import MARKETS
from rally_pipeline.sources.registry import NOTHING
from rally_pipeline.warehouse.spans import is_second_in_key
from rally_pipeline.workspace import Workspace

#: How many sessions a mart may be behind what is published: the running evening's.
FRESH_SESSIONS = 1
#: A calendar that ends sooner than this is a problem.
_HORIZON = dt.timedelta(days=60)

ProblemKind = Literal["source_failing", "sessions_missing", "mart_behind", "calendar_ends"]


@dataclass(frozen=True)
class Problem:
    """Something that is broken now.

    Attributes:
        kind: what kind.
        subject: what it is about, the same for as long as the problem lasts: ``HK hang_seng``, ``mart_leaderboard_daily
            US``, ``CN``.
        since: since when, aware UTC; ``None`` = not known.
        message: one line for people.
        is_error: whether somebody should do something; else it may mend itself.
    """

    kind: ProblemKind
    subject: str
    since: dt.datetime | None
    message: str
    is_error: bool


@dataclass(frozen=True)
class Freshness:
    """How far a derived table is behind the calendar of a market.

    Attributes:
        table, market: which.
        last_day: its last day of that market; ``None`` = it has none.
        expected_day: the last session that is published.
        behind: how many sessions lie between them; of a table without any, all known ones count as none.
    """

    table: str
    market: str
    last_day: dt.date | None
    expected_day: dt.date
    behind: int

    @property
    def ok(self) -> bool:
        """Whether it is fresh."""
        return self.behind <= FRESH_SESSIONS


# --- what a run found ---------------------------------------------------------------------------------------------


def note_failures(workspace: Workspace, market: str, failures: Sequence[FetchFailure], run_id: str) -> None:
    """Writes down which sources fail, as soon as that is known; `settle` says when they do no more.

    That a source says it does not have one day is no failure of it: the day is missing, and that is noted.
    """
    worst: dict[str, FetchFailure] = {}
    for failure in failures:
        is_one_day = failure.request.start is not None and failure.request.start == failure.request.end
        if isinstance(failure.error, RetryableFetchError | BlockedFetchError) or not is_one_day:
            worst.setdefault(failure.request.source, failure)
    if not worst:
        return
    now = workspace.now()
    with workspace.warehouse.write() as connection:
        for source, failure in worst.items():
            _set_failing(connection, market, source, _kind(failure), str(failure.error), run_id, now)


def _kind(failure: FetchFailure) -> str:
    if isinstance(failure.error, RateLimitedError):
        return "rate_limited"
    return "retryable" if isinstance(failure.error, RetryableFetchError) else "permanent"


def settle(
    workspace: Workspace,
    market: str,
    run_id: str,
    *,
    outcomes: Sequence[LoadOutcome] = (),
    failures: Sequence[FetchFailure] = (),
) -> list[Missing]:
    """Writes down, at the end of a run about a market, what it still lacks and which sources answered.

    Args:
        workspace: where.
        market: whose.
        run_id: the run; what was archived under it counts as answered.
        outcomes: what became of the payloads it loaded.
        failures: requests that got no answer, unless `catch_up.note_gaps` has been told of them.

    Returns:
        What is still missing.
    """
    now = workspace.now()
    refused = [one.record.request for one in outcomes if not one.is_loaded and one.rule != NOTHING]
    refusals = {one.record.request.source: one for one in outcomes if not one.is_loaded and one.rule != NOTHING}
    with workspace.warehouse.write() as connection:
        answers = records_where(connection, raw.raw_fetch.c.run_id == run_id)
        loaded = [one.record for one in outcomes if one.is_loaded or one.rule == NOTHING]
        records = {record.fetch_id: record for record in (*answers, *loaded)}
        requests = [r.request for r in records.values() if r.request not in refused]
        sources = set(market_sources(workspace.catalog, market))
        requests = [request for request in requests if request.source in sources]
        before = {row["source"]: row for row in _rows(connection, market)}
        success: dict[str, dt.datetime] = {s: r["last_success_at"] for s, r in before.items() if r["last_success_at"]}
        for request in requests:
            success[request.source] = now
        asked = Asked(tuple(requests), tuple(refused), tuple(failures))
        still = note_gaps(connection, workspace, market, asked, now)
        for source, outcome in refusals.items():
            text = f"{outcome.record.request.subject}: {outcome.message}"
            _set_failing(connection, market, source, "refused", text, run_id, now)
        answered = {request.source for request in requests} - set(refusals)
        _write_state(connection, workspace, market, still, success, answered, run_id, now)
    return still


def look(workspace: Workspace, markets: Collection[str] = MARKETS) -> None:
    """Counts again what is missing: a session that nobody asked for is missing all the same."""
    now = workspace.now()
    for market in markets:
        with workspace.warehouse.write() as connection:
            still = read_missing(connection, workspace, market, now)
            _write_state(connection, workspace, market, still, {}, set(), None, now)


def _rows(connection: sa.Connection, market: str | None = None) -> list[dict[str, Any]]:
    health = ops.ops_health
    query = sa.select(health).order_by(health.c.market, health.c.source)
    if market is not None:
        query = query.where(health.c.market == market)
    return [dict(row) for row in connection.execute(query).mappings()]


def _row(connection: sa.Connection, market: str, source: str) -> dict[str, Any]:
    health = ops.ops_health
    known = (
        connection.execute(sa.select(health).where(health.c.market == market, health.c.source == source))
        .mappings()
        .first()
    )
    return (
        dict(known)
        if known
        else {
            "market": market,
            "source": source,
            "last_success_at": None,
            "failing_since_at": None,
            "last_failure_at": None,
            "failure_kind": "",
            "failure_message": "",
            "failed_run_id": None,
            "missing_sessions": 0,
            "oldest_missing_date": None,
        }
    )


def _store(connection: sa.Connection, row: dict[str, Any]) -> None:
    health = ops.ops_health
    connection.execute(sa.delete(health).where(health.c.market == row["market"], health.c.source == row["source"]))
    connection.execute(sa.insert(health).values(**row))


def _set_failing(
    connection: sa.Connection, market: str, source: str, kind: str, message: str, run_id: str, now: dt.datetime
) -> None:
    row = _row(connection, market, source)
    row |= {
        "failing_since_at": row["failing_since_at"] or now,
        "last_failure_at": now,
        "failure_kind": kind,
        "failure_message": " ".join(message.split())[:500],
        "failed_run_id": run_id,
        "checked_at": now,
    }
    _store(connection, row)


def _write_state(
    connection: sa.Connection,
    workspace: Workspace,
    market: str,
    still: Sequence[Missing],
    success: dict[str, dt.datetime],
    answered: Collection[str],
    run_id: str | None,
    now: dt.datetime,
) -> None:
    lacking: dict[str, set[dt.date]] = defaultdict(set)
    for one in still:
        lacking[one.source].add(one.day)
    for source in dict.fromkeys(one.source for one in series_of(workspace, market)):
        row = _row(connection, market, source)
        row |= {
            "last_success_at": success.get(source, row["last_success_at"]),
            "missing_sessions": len(lacking[source]),
            "oldest_missing_date": min(lacking[source], default=None),
            "checked_at": now,
        }
        if source in answered and row["failed_run_id"] != run_id:
            row["failing_since_at"] = None
        _store(connection, row)


def note_documents(
    workspace: Workspace, market: str, source: str, failures: Sequence[FetchFailure], answered: int, run_id: str
) -> None:
    """The same for what has no sessions, such as ratings."""
    now = workspace.now()
    with workspace.warehouse.write() as connection:
        if failures and not answered:
            _set_failing(connection, market, source, _kind(failures[0]), str(failures[0].error), run_id, now)
        elif answered:
            row = _row(connection, market, source)
            _store(connection, row | {"last_success_at": now, "failing_since_at": None, "checked_at": now})


# --- how far behind -----------------------------------------------------------------------------------------------

#: Column of the day by which freshness is told, where it is not the table's own.
_DAY_COLUMNS = {"mart_trading_volume_monthly": "last_session_date"}
#: Tables whose days follow from documents or from a broker's weeks, not from sessions.
_NOT_BY_SESSION = frozenset(
    {"mart_rating_actions", "mart_positioning", "ops_reconciliation", "mart_southbound_best_window_monthly"}
)


def fresh_tables() -> list[str]:
    """The derived tables of which freshness can be told in sessions."""
    return [derived.table.name for derived in DERIVED if derived.table.name not in _NOT_BY_SESSION]


def freshness(workspace: Workspace, *, now: dt.datetime | None = None) -> list[Freshness]:
    """How far each of `fresh_tables` is behind the calendars, for each market it has anything of.

    A market that nobody ever asked for, because its facts come from files alone, is not expected to go on.
    """
    now = now or workspace.now()
    found = []
    with workspace.warehouse.read() as connection:
        expected = {
            market: _expected(workspace, market, now)
            for market in MARKETS
            if history_start(connection, workspace, market) is not None
        }
        for derived in DERIVED:
            table = derived.table
            if table.name in _NOT_BY_SESSION:
                continue
            day = table.c[_DAY_COLUMNS.get(table.name, table_info(table).date_column or "")]
            for market, last in _last_days(connection, table, day).items():
                due = expected.get(market)
                if due is None:
                    continue
                behind = 0
                if last is not None and last < due:
                    later = workspace.calendars.known_sessions(market, last + dt.timedelta(days=1), due)
                    behind = len(later)
                found.append(Freshness(table.name, market, last, due, behind))
    return found


def _expected(workspace: Workspace, market: str, now: dt.datetime) -> dt.date | None:
    """The last session that the slowest source of a market can have: before that nobody need have it."""
    days = [last_published(workspace, market, source, now) for source in market_sources(workspace.catalog, market)]
    return min((day for day in days if day is not None), default=None)


def _last_days(connection: sa.Connection, table: sa.Table, day: sa.ColumnElement[Any]) -> dict[str, dt.date | None]:
    if "symbol" in table.c and table.name != "mart_southbound_top_stocks_daily":
        instrument = core.core_instrument
        is_of_it = instrument.c.symbol == table.c.symbol
        if is_second_in_key(table, day):
            # of each instrument by the key: all that grows with history is its depth
            last_of_it = sa.select(sa.func.max(day)).where(is_of_it).correlate(instrument).scalar_subquery()
            each = sa.select(instrument.c.market, last_of_it.label("last")).subquery()
            query = sa.select(each.c.market, sa.func.max(each.c.last)).where(each.c.last.is_not(None))
            query = query.group_by(each.c.market)
        else:
            query = sa.select(instrument.c.market, sa.func.max(day)).join_from(table, instrument, is_of_it)
            query = query.group_by(instrument.c.market)
        return dict(connection.execute(query).all())
    market = "FX" if "currency" in table.primary_key.columns else "SOUTHBOUND"
    last = connection.scalar(sa.select(sa.func.max(day)))
    return {} if last is None else {market: last}


# --- problems -----------------------------------------------------------------------------------------------------


def current_problems(workspace: Workspace, *, now: dt.datetime | None = None) -> list[Problem]:
    """Everything that is broken at this time, errors first; empty if nothing is."""
    now = now or workspace.now()
    with workspace.one_view() as seen:
        found = [*source_problems(seen), *freshness_problems(seen, now=now), *horizon_problems(seen, now)]
    return sorted(found, key=lambda one: (not one.is_error, one.kind, one.subject))


def source_problems(workspace: Workspace) -> list[Problem]:
    """Sources that fail, and sources that lack sessions, as ``ops_health`` says."""
    with workspace.warehouse.read() as connection:
        rows = _rows(connection)
    found = []
    for row in rows:
        subject = f"{row['market']} {row['source']}"
        lacks = ""
        if row["missing_sessions"]:
            count = row["missing_sessions"]
            lacks = f"{count} session{'s' if count > 1 else ''} missing since {row['oldest_missing_date']}"
        if row["failing_since_at"] is not None:
            last = row["last_success_at"]
            answered = f"last answer {last:%Y-%m-%d %H:%M} UTC" if last else "it has never answered"
            message = (
                f"{subject} fails since {row['failing_since_at']:%Y-%m-%d %H:%M} UTC "
                f"({row['failure_kind']}: {row['failure_message']}; {answered})"
            )
            said = f"{message}; {lacks}" if lacks else message
            found.append(Problem("source_failing", subject, row["failing_since_at"], said, True))
        elif lacks:
            first = row["oldest_missing_date"]
            until = min(row["checked_at"].date(), workspace.today())
            is_old = len(workspace.calendars.known_sessions(row["market"], first, until)) > 2
            since = dt.datetime.combine(first, dt.time(), dt.UTC)
            found.append(Problem("sessions_missing", subject, since, f"{subject}: {lacks}", is_old))
    return found


def freshness_problems(workspace: Workspace, *, now: dt.datetime | None = None) -> list[Problem]:
    """Derived tables that are behind by more sessions than is usual."""
    return [
        Problem(
            "mart_behind",
            f"{one.table} {one.market}",
            None if one.last_day is None else dt.datetime.combine(one.last_day, dt.time(), dt.UTC),
            f"{one.table}, {one.market}: {one.behind} sessions behind, {one.last_day} instead of {one.expected_day}",
            True,
        )
        for one in freshness(workspace, now=now)
        if not one.ok
    ]


def horizon_problems(workspace: Workspace, now: dt.datetime) -> list[Problem]:
    """Calendars that end soon or have ended: past its end nobody knows whether a day is a session."""
    found = []
    for market in MARKETS:
        horizon = workspace.calendars.horizon(market)
        left = horizon - now.date()
        if left < _HORIZON:
            text = f"ended {horizon}" if left < dt.timedelta() else f"ends {horizon}, in {left.days} days"
            fix = "upgrade exchange_calendars, or add calendar_extensions to the catalog"
            found.append(
                Problem("calendar_ends", market, None, f"the calendar of {market} {text}. Fix: {fix}", left.days < 14)
            )
    return found
