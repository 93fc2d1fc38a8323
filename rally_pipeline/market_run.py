"""A run about one market, or about ratings, without Dagster: what to ask, asking, loading, and what is still missing.

Belongs here: the order of the two steps of such a run, and what they write down. Does not belong here: what Dagster is
told (`orchestration/ingest_assets.py`), or any one step (`ingest.py`, `catch_up.py`, `health.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

from rally_pipeline.archive import FetchRecord
from rally_pipeline.catch_up import Asked, Missing, note_gaps, note_history_start, plan_missing
from rally_pipeline.errors import (
    ArchiveDamagedError,
    BlockedFetchError,
    FetchError,
    RateLimitedError,
    RetryableFetchError,
)
from rally_pipeline.fetches import already_answered, pending
from rally_pipeline.health import note_documents, note_failures, settle
from rally_pipeline.ingest import FetchFailure, fetch_all, load, read_ahead, source_module
from rally_pipeline.load_log import LoadOutcome
from rally_pipeline.planning import archived, plan_market
from rally_pipeline.sources.base import Dataset, FetchRequest
from rally_pipeline.sources.registry import MARKET_SOURCES, NOTHING, RATINGS, RATINGS_SOURCE
from rally_pipeline.workspace import Workspace

#: ``days``: the sessions given, whatever is known of them. ``missing``: only what is missing. ``latest``: the sessions
#: again for restatements, of files of one day only the last. ``again``: all of them again.
Ask = Literal["days", "missing", "latest", "again"]
#: How many days of ratings are asked for at a time; upstream gives its whole history whatever is asked.
_RATING_DAYS = 400


@dataclass(frozen=True)
class Fetched:
    """What became of the requests of a run.

    Attributes:
        requests: all of them, oldest first where they are about what is missing.
        resumed: answers to a run that was not finished, which were not asked for again.
        records: answers, those included.
        failures: the others.
        is_unpublished: nothing came, and every source said that it does not have what is missing: it may come later.
        may_help: nothing came, and asking again may help.
        line: what was missing, for people; empty if days were asked for.
    """

    requests: tuple[FetchRequest, ...] = ()
    resumed: tuple[FetchRecord, ...] = ()
    records: tuple[FetchRecord, ...] = ()
    failures: tuple[FetchFailure, ...] = ()
    is_unpublished: bool = False
    may_help: bool = False
    line: str = ""

    def failure(self, market: str) -> str:
        """Why a run that asked this fails; empty if it does not: something came, or nothing is published yet."""
        if self.records or not self.failures or self.is_unpublished:
            return ""
        asked = len(self.requests) - len(self.resumed)
        return f"{market}: none of {asked} requests was answered; first: {self.failures[0].error}"


@dataclass(frozen=True)
class Loaded:
    """What became of the payloads of a run.

    Attributes:
        outcomes: of each that could be read.
        damaged: payloads whose bytes are no longer what they were, one line each.
        is_replay: nothing waited, so what was archived for the days was read again.
        still: what is missing all the same.
    """

    outcomes: tuple[LoadOutcome, ...] = ()
    damaged: tuple[str, ...] = ()
    is_replay: bool = False
    still: tuple[Missing, ...] = field(default=())

    def failure(self, market: str) -> str:
        """Why a run that loaded this fails; empty if it does not.

        That a source has nothing, or nothing yet, fails nothing: the day is missing, and that is written down.
        """
        if self.damaged:
            more = f" and {len(self.damaged) - 1} more" if len(self.damaged) > 1 else ""
            return f"{market}: {self.damaged[0]}{more}"
        refused = [one for one in self.outcomes if not one.is_loaded and one.rule != NOTHING]
        if refused and not any(one.is_loaded for one in self.outcomes):
            return f"{market}: all {len(self.outcomes)} payloads were refused; first: {refused[0].message}"
        return ""


def fetch_market(
    workspace: Workspace,
    market: str,
    start: dt.date,
    end: dt.date,
    *,
    ask: Ask = "days",
    sources: Collection[str] = (),
    run_id: str,
    progress: Callable[[FetchRequest, FetchRecord | FetchError, int], None] = lambda *_: None,
) -> Fetched:
    """Asks the sources of a market, archives what comes, and writes down who fails and who has nothing.

    Args:
        workspace: where.
        market: whose.
        start, end: first and last session; what is missing is asked for wherever it lies.
        ask: what of it.
        sources: only these; empty = all.
        run_id: of the run.
        progress: told each request, what came, and how many there are.

    Raises:
        UsageError: a source is not one of the market's.
    """
    line = ""
    if ask == "missing":
        todo = plan_missing(workspace, market, sources=sources)
        requests, line = list(todo.requests), todo.line()
        if todo.asked:
            note_history_start(workspace, market, todo.days[0])
    else:
        requests = plan_market(workspace, market, start, end, sources)
        if ask == "latest":
            requests = [request for request in requests if request.start != request.end or request.end == end]
        if requests:
            note_history_start(workspace, market, start)
    if not requests:
        settle(workspace, market, run_id)
        return Fetched(line=line)
    # Who asks for restatements does not want to hear the same again.
    before = already_answered(workspace, requests) if ask in ("days", "missing") else [None] * len(requests)
    resumed = [record for record in before if record is not None]
    todo_now = [request for request, record in zip(requests, before, strict=True) if record is None]
    with workspace.upstream() as upstream:
        new, failures = fetch_all(
            workspace,
            todo_now,
            upstream,
            run_id=run_id,
            progress=lambda request, came: progress(request, came, len(todo_now)),
        )
    records = [*resumed, *new]
    note_failures(workspace, market, failures, run_id)
    if failures and records:
        # What a source said it does not have is noted here: the step that loads knows only of what came.
        with workspace.warehouse.write() as connection:
            note_gaps(connection, workspace, market, Asked(failed=tuple(failures)), workspace.now())
    elif not records:
        settle(workspace, market, run_id, failures=failures)
    # A source that says 429 is left alone for the rest of the run.
    retryable = [failure.error for failure in failures if isinstance(failure.error, RetryableFetchError)]
    is_blocked = any(isinstance(failure.error, BlockedFetchError) for failure in failures)
    return Fetched(
        requests=tuple(requests),
        resumed=tuple(resumed),
        records=tuple(records),
        failures=tuple(failures),
        is_unpublished=ask != "days" and not records and not retryable and not is_blocked,
        may_help=not records and any(not isinstance(error, RateLimitedError) for error in retryable),
        line=line,
    )


def fetch_ratings(
    workspace: Workspace,
    *,
    run_id: str,
    progress: Callable[[FetchRequest, FetchRecord | FetchError], None] = lambda *_: None,
) -> Fetched:
    """Asks for the ratings of all shares, archives what comes, and writes down whether the source fails.

    Args:
        workspace: where.
        run_id: of the run.
        progress: told each request and what came.
    """
    today = workspace.today()
    first = today - dt.timedelta(days=_RATING_DAYS)
    requests = source_module(RATINGS_SOURCE).plan(workspace.catalog, first, today, today=today)
    with workspace.upstream() as upstream:
        records, failures = fetch_all(workspace, requests, upstream, run_id=run_id, progress=progress)
    note_documents(workspace, RATINGS, RATINGS_SOURCE, failures, len(records), run_id)
    retryable = [failure for failure in failures if isinstance(failure.error, RetryableFetchError)]
    return Fetched(
        tuple(requests), records=tuple(records), failures=tuple(failures), may_help=not records and bool(retryable)
    )


def load_ratings(workspace: Workspace) -> list[LoadOutcome]:
    """Loads the ratings that wait to be loaded, oldest known first."""
    with workspace.warehouse.read() as connection:
        records = pending(connection, Dataset.RATING_ACTION)
    return [load(workspace, record, ahead) for record, ahead in read_ahead(workspace, records)]


def load_market(
    workspace: Workspace,
    market: str,
    start: dt.date,
    end: dt.date,
    *,
    run_id: str,
    progress: Callable[[LoadOutcome, int], None] = lambda *_: None,
) -> Loaded:
    """Loads what waits to be loaded of a market, oldest known first, and writes down what is still missing.

    If nothing waits, what was archived for the days from `start` to `end` is read again.
    """
    with workspace.warehouse.read() as connection:
        if market == "FX":
            waiting = pending(connection, Dataset.FX)
        elif market in MARKET_SOURCES:
            waiting = pending(connection, *Dataset, parsers=MARKET_SOURCES[market])
        else:
            waiting = pending(connection, Dataset.PRICE, subjects=workspace.catalog.market_symbols(market))
    records = waiting or archived(workspace, market, start, end)
    outcomes, damaged = [], []
    for record, ahead in read_ahead(workspace, records):
        try:
            outcome = load(workspace, record, ahead)
        except ArchiveDamagedError as error:
            # The others are loaded all the same; nobody has decided what to do about this one.
            damaged.append(str(error))
            continue
        outcomes.append(outcome)
        progress(outcome, len(records))
    still = settle(workspace, market, run_id, outcomes=outcomes)
    return Loaded(tuple(outcomes), tuple(damaged), is_replay=not waiting, still=tuple(still))
