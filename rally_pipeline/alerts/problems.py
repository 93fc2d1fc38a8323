"""What is wrong now: a plain function per kind, from the warehouse and the calendars to the current problems.

A function says what is wrong at this moment and remembers nothing; whether somebody has been told is the book's affair
(`book.py`). What a problem is about (its key) must not change as long as it is the same problem, and a problem must not
end because it has grown old, unless `GONE` says so. Belongs here: that. Does not belong here: what only Dagster knows
(`orchestration/alert_sensor.py`).
"""

from __future__ import annotations

import datetime as dt
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from rally_pipeline.alerts.model import Alert, cut, one_line
from rally_pipeline.errors import RallyError
from rally_pipeline.schema import core, core_flows, mart, mart_flows, mart_notes, ops, raw
from rally_pipeline.sources.registry import NOTHING
from rally_pipeline.workspace import Workspace

#: Runs, fetches, breaks and audits older than this are no longer looked for.
_RUNS_WITHIN = dt.timedelta(days=60)
_FETCHES_WITHIN = dt.timedelta(days=30)
_BREAKS_WITHIN = dt.timedelta(days=10)
_AUDITS_WITHIN = dt.timedelta(days=14)
_FILES_WITHIN = dt.timedelta(days=90)
#: The last sessions of each market that are looked at, beside those that were missing before.
_SESSIONS = 10
#: What had a figure within so many days before a session is expected to have one for it.
_FED_WITHIN = dt.timedelta(days=30)
#: Derived tables may wait so long after the last run.
_COMPUTED_WITHIN = dt.timedelta(hours=1)
#: A run that has not ended after so long is taken for dead here.
_LONGEST_RUN = dt.timedelta(hours=6)
#: Names that are listed before the rest is only counted.
_NAMES = 12
#: Sources that nobody asks: files that people drop.
_DROPPED = frozenset({"file", "inbox"})


@dataclass(frozen=True)
class Look:
    """What the functions look at.

    Attributes:
        connection: one consistent view of the warehouse.
        workspace: settings, catalog, calendars.
        now: the time; aware, UTC.
        day: the last day about which the warehouse can know; the demo world has its own.
        open_keys: of each kind the problems that were there before, with since when.
    """

    connection: sa.Connection
    workspace: Workspace
    now: dt.datetime
    day: dt.date
    open_keys: Mapping[str, Mapping[str, dt.datetime | None]] = field(default_factory=dict)

    def link(self, path: str) -> str:
        """Where people see it in the Dagster UI, if its address is set."""
        base = self.workspace.settings.alert_ui_url
        return f"{base}{path}" if base else ""

    def rows(self, query: sa.Select[*tuple[Any, ...]]) -> list[Any]:
        """All rows, by column name."""
        return list(self.connection.execute(query).mappings())


def failed_run(look: Look) -> list[Alert]:
    """Jobs whose last finished run failed; since the first failure after the last success.

    A run that failed because no source answered is told as `failing_source`, once, and not as this again.
    """
    run = ops.ops_run
    query = (
        sa.select(run.c.run_id, run.c.command, run.c.started_at, run.c.outcome, run.c.message)
        .where(
            run.c.outcome != "running",
            # What a clock that was ahead wrote would hide what comes after it.
            run.c.started_at.between(look.now - _RUNS_WITHIN, look.now),
            ~_got_no_answer(),
        )
        .order_by(run.c.started_at.desc(), run.c.run_id)
    )
    failed: dict[str, list[Any]] = {}
    succeeded: set[str] = set()
    for row in look.rows(query):
        job = job_of(row["command"])
        if row["outcome"] == "ok":
            succeeded.add(job)
        elif job not in succeeded:
            failed.setdefault(job, []).append(row)
    return [
        Alert(
            kind="failed_run",
            key=job,
            severity="error",
            title=f"run {rows[0]['command']} failed",
            text=look.workspace.settings.masked(cut(one_line(rows[0]["message"]), 600))
            + (f"\n{len(rows)} runs of {job} in a row failed" if len(rows) > 1 else ""),
            since=rows[-1]["started_at"],
            link=look.link(f"/runs/{rows[0]['run_id']}"),
        )
        for job, rows in failed.items()
    ]


def _got_no_answer() -> sa.ColumnElement[bool]:
    """Whether a failed run archived nothing and lies in the time for which a source of its market is failing."""
    run, health, fetch = ops.ops_run, ops.ops_health, raw.raw_fetch
    is_failing = sa.exists().where(
        # Ratings have a job of their own name; those of the markets are named after them.
        sa.or_(
            *(run.c.command.startswith(sa.func.lower(sa.literal(job) + health.c.market)) for job in ("ingest_", ""))
        ),
        health.c.failing_since_at <= run.c.finished_at,
        health.c.last_failure_at >= run.c.started_at,
    )
    return sa.and_(run.c.outcome == "failed", is_failing, ~sa.exists().where(fetch.c.run_id == run.c.run_id))


def job_of(command: str) -> str:
    """The job of an ``ops_run.command``, which is followed by its days."""
    return command.partition(" ")[0] or "run"


def failed_check(look: Look) -> list[Alert]:
    """Payloads that were refused, or of which an error rule does not hold, if nothing newer about the same came since.

    One problem per source, dataset and rule. Files that people drop are `rejected_file`.
    """
    fetch, load = raw.raw_fetch, ops.ops_load
    asked = (fetch.c.run_id.is_not(None), fetch.c.source.not_in(_DROPPED))
    newest = sa.func.row_number().over(
        partition_by=(fetch.c.source, fetch.c.parser, fetch.c.dataset, fetch.c.subject),
        order_by=(fetch.c.known_at.desc(), fetch.c.fetched_at.desc(), fetch.c.fetch_id),
    )
    starts = [since for since in look.open_keys.get("failed_check", {}).values() if since is not None]
    first = min([look.now - _FETCHES_WITHIN, *starts])
    latest = (
        sa.select(
            *(fetch.c[name] for name in ("fetch_id", "source", "dataset", "subject", "fetched_at")),
            *(load.c[name] for name in ("outcome", "rule", "message", "loaded_at")),
            newest.label("age"),
        )
        .join(load, load.c.fetch_id == fetch.c.fetch_id)
        .where(*asked, fetch.c.fetched_at >= first)
        .subquery("latest")
    )
    refused = sa.select(latest).where(latest.c.age == 1, latest.c.outcome == "refused", latest.c.rule != NOTHING)
    result = ops.ops_quality_result
    broken = (
        sa.select(latest, result.c.rule.label("broken_rule"))
        .join(result, sa.and_(result.c.fetch_id == latest.c.fetch_id, result.c.checked_at == latest.c.loaded_at))
        .where(
            latest.c.age == 1,
            latest.c.outcome == "loaded",
            result.c.severity == "error",
            result.c.is_success.is_(False),
        )
    )
    found: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for row in look.rows(refused):
        found[row["source"], row["dataset"], row["rule"]].append(row)
    for row in look.rows(broken):
        found[row["source"], row["dataset"], row["broken_rule"]].append(row)
    return [
        Alert(
            kind="failed_check",
            key=f"{source} {dataset} {rule}",
            severity="error",
            title=f"check {rule} fails for {dataset} from {source}: "
            + _names(sorted({row["subject"] for row in rows}), 5),
            text=cut(one_line(rows[0]["message"]), 600),
            since=min(row["fetched_at"] for row in rows),
        )
        for (source, dataset, rule), rows in sorted(found.items())
    ]


def failing_source(look: Look) -> list[Alert]:
    """Sources that fail right now, of which ``ops_health`` keeps since when."""
    health = ops.ops_health
    query = sa.select(health).where(health.c.failing_since_at.is_not(None)).order_by(health.c.market, health.c.source)
    return [
        Alert(
            kind="failing_source",
            key=f"{row['market']} {row['source']}",
            severity="warn",
            title=f"source {row['source']} fails for {row['market']} ({row['failure_kind']})",
            text=look.workspace.settings.masked(cut(one_line(row["failure_message"]), 600)),
            since=row["failing_since_at"],
            link=look.link(f"/runs/{row['failed_run_id']}") if row["failed_run_id"] else "",
        )
        for row in look.rows(query)
    ]


def missing_session(look: Look) -> list[Alert]:
    """Sessions whose close is some hours ago and that lack figures which the days before had. One problem per market
    and session.
    """
    before = [key.rpartition(" ") for key in look.open_keys.get("missing_session", {})]
    found = []
    for market in core.MARKETS:
        earliest = [dt.date.fromisoformat(day) for of, _, day in before if of == market]
        due = _due_sessions(look, market, min(earliest, default=None))
        if not due:
            continue
        figures = _Figures(look, market, min(due) - _FED_WITHIN)
        for day in sorted(due):
            lacking = figures.lacking(day)
            if lacking is None:
                continue
            what = f"figures of {_names(lacking, 5)}" if lacking else "all figures"
            found.append(
                Alert(
                    kind="missing_session",
                    key=f"{market} {day}",
                    severity="error",
                    title=f"session {day} of {market} lacks {what}",
                    text=f"missing: {_names(lacking, _NAMES)}" if lacking else "",
                    since=due[day],
                )
            )
    return found


def stale_mart(look: Look) -> list[Alert]:
    """Marts whose newest session is more than some sessions behind its market, and derived tables that wait to be
    computed though no run goes on.
    """
    found = []
    allowed = look.workspace.settings.alert_stale_sessions
    for market, tables in _newest_in_marts(look).items():
        due = _due_sessions(look, market, min(tables.values()), count=allowed + 1)
        for name, newest in sorted(tables.items()):
            behind = sorted(day for day in due if day > newest)
            if len(behind) <= allowed:
                continue
            found.append(
                Alert(
                    kind="stale_mart",
                    key=f"{name} {market}",
                    severity="error",
                    title=f"{name} is {len(behind)} sessions of {market} behind: it ends {newest}",
                    since=due[behind[0]],
                )
            )
    return [*found, *_waiting_tables(look)]


def _waiting_tables(look: Look) -> list[Alert]:
    run = ops.ops_run
    waiting = [row["table_name"] for row in look.rows(sa.select(ops.ops_stale.c.table_name).distinct())]
    if not waiting:
        return []
    last = look.rows(
        sa.select(run.c.outcome, run.c.started_at, run.c.finished_at).order_by(run.c.started_at.desc()).limit(1)
    )
    if not last:
        return []
    ended = last[0]["finished_at"]
    if max(ended or last[0]["started_at"] + _LONGEST_RUN, last[0]["started_at"]) > look.now - _COMPUTED_WITHIN:
        return []
    return [
        Alert(
            kind="stale_mart",
            key="not computed",
            severity="warn",
            title=f"{len(waiting)} derived tables wait to be computed",
            text=_names(sorted(waiting), _NAMES) + "\nFix: run the job marts, or `rally-pipeline run`",
            since=ended,
        )
    ]


def calendar_horizon(look: Look) -> list[Alert]:
    """Calendars that end soon, or have ended."""
    found = []
    least = dt.timedelta(days=look.workspace.settings.alert_horizon_days)
    for market in core.MARKETS:
        horizon = look.workspace.calendars.horizon(market)
        if horizon - look.day >= least:
            continue
        has_ended = horizon < look.day
        found.append(
            Alert(
                kind="calendar_horizon",
                key=market,
                severity="error" if has_ended else "warn",
                title=f"the calendar of {market} "
                + (f"ended {horizon}" if has_ended else f"ends {horizon}, in {(horizon - look.day).days} days"),
                text="Fix: upgrade exchange_calendars, or add calendar_extensions to the catalog",
            )
        )
    return found


def quarantine(look: Look) -> list[Alert]:
    """Tables of which more rows than the threshold are set aside and nobody has decided about them."""
    row, action = ops.ops_quarantine, ops.ops_quarantine_action
    same = [row.c[name] == action.c[name] for name in ("fetch_id", "table_name", "row_key", "rule")]
    # The outcome of an action that put the row into core (`quarantine.py`).
    decided = sa.exists().where(*same, sa.or_(action.c.action == "discard", action.c.outcome == "loaded"))
    count = sa.func.count()
    query = (
        sa.select(row.c.table_name, row.c.rule, count.label("rows"), sa.func.min(row.c.first_seen_at).label("since"))
        .where(~decided)
        .group_by(row.c.table_name, row.c.rule)
    )
    tables: dict[str, list[Any]] = defaultdict(list)
    for found in look.rows(query):
        tables[found["table_name"]].append(found)
    threshold = look.workspace.settings.alert_quarantine_rows
    return [
        Alert(
            kind="quarantine",
            key=table,
            severity="warn",
            title=f"{total:,} rows for {table} are in quarantine, more than {threshold:,}",
            text="\n".join(
                f"{rule['rule']}: {rule['rows']:,}" for rule in sorted(rules, key=lambda one: -one["rows"])[:_NAMES]
            )
            + "\nlook: rally-pipeline quarantine list",
            since=min(rule["since"] for rule in rules),
        )
        for table, rules in sorted(tables.items())
        for total in [sum(rule["rows"] for rule in rules)]
        if total > threshold
    ]


def reconciliation(look: Look) -> list[Alert]:
    """Breaks of the last days between sources, sums and brokers' periods; missing sessions are told of as such."""
    table = mart_flows.ops_reconciliation
    query = (
        sa.select(table)
        .where(
            table.c.is_break.is_(True),
            table.c.suspected_cause != "missing_session",
            table.c.period_end > look.day - _BREAKS_WITHIN,
        )
        .order_by(table.c.period_end)
    )
    found: dict[str, list[Any]] = defaultdict(list)
    for row in look.rows(query):
        found[" ".join(row[name] for name in ("subject", "channel", "measure", "source", "suspected_cause"))].append(
            row
        )
    return [
        Alert(
            kind="reconciliation",
            key=key,
            severity="warn",
            title=f"{rows[-1]['measure']} of {rows[-1]['source']} ({rows[-1]['channel']}) does not agree with "
            f"{rows[-1]['against_source']}: {_number(rows[-1]['value_hkd_mn'])} against "
            f"{_number(rows[-1]['against_hkd_mn'])} HKD mn, suspected cause {rows[-1]['suspected_cause']}",
            text="periods ending " + _names([str(row["period_end"]) for row in rows], _NAMES),
            since=dt.datetime.combine(rows[0]["period_end"], dt.time(), dt.UTC),
        )
        for key, rows in found.items()
    ]


def rejected_file(look: Look) -> list[Alert]:
    """Files dropped into the inbox that were refused, lie there still, and were not loaded under their name since."""
    table = ops.ops_inbox_file
    query = sa.select(table).where(table.c.handled_at >= look.now - _FILES_WITHIN).order_by(table.c.handled_at)
    refused: dict[tuple[str, str], Any] = {}
    for row in look.rows(query):
        name = row["inbox"], row["file_name"]
        if row["outcome"] == "loaded":
            refused.pop(name, None)
        else:
            refused[name] = row
    inbox = look.workspace.settings.inbox_dir
    return [
        Alert(
            kind="rejected_file",
            key=f"{kind}/{name}",
            severity="warn",
            title=f"{name} in inbox/{kind} was refused: {row['rule']}",
            text=cut(one_line(row["message"]), 600)
            + "\nFix: correct it and drop it again, or remove it from inbox/"
            + f"{kind}/{row['moved_to']}",
            since=row["handled_at"],
        )
        for (kind, name), row in refused.items()
        if os.path.lexists(inbox / kind / row["moved_to"])
    ]


def audit(look: Look) -> list[Alert]:
    """Notes of which claims are contradicted, or differ tenfold, by audits of the last days; only if asked for."""
    if not look.workspace.settings.alert_audits:
        return []
    table = mart_notes.mart_claim_audit
    query = (
        sa.select(
            *(table.c[name] for name in ("note_id", "broker_id", "explanation", "quote", "suspicion", "audited_at"))
        )
        .where(
            table.c.is_latest.is_(True),
            table.c.repeat_of == "",
            sa.or_(table.c.verdict == "contradicted", table.c.suspicion != ""),
            table.c.audited_at >= look.now - _AUDITS_WITHIN,
        )
        .order_by(table.c.audited_at, table.c.claim_id)
    )
    notes: dict[str, list[Any]] = defaultdict(list)
    for row in look.rows(query):
        notes[row["note_id"]].append(row)
    return [
        Alert(
            kind="audit",
            key=note_id,
            severity="warn",
            title=f"{len(rows)} claims of a note of {rows[0]['broker_id'] or 'an unknown house'} are contradicted",
            text="\n".join(
                f"{cut(one_line(row['quote']), 120)}: {cut(one_line(row['explanation']), 160)}" for row in rows[:5]
            ),
            since=rows[0]["audited_at"],
        )
        for note_id, rows in notes.items()
    ]


KINDS: Mapping[str, Callable[[Look], list[Alert]]] = {
    function.__name__: function
    for function in (
        *(failed_run, failed_check, failing_source, missing_session, stale_mart, calendar_horizon),
        *(quarantine, reconciliation, rejected_file, audit),
    )
}

#: What it means that a problem of a kind is gone.
GONE: Mapping[str, str] = {
    "failed_run": "a later run of the job ended well",
    "lost_run": "a later run of the job came to its end",
    "failed_check": "a later payload passed, or the rule holds",
    "failing_source": "it answers again",
    "missing_session": "the figures are there, or the day is no session",
    "stale_mart": "it has been computed",
    "calendar_horizon": "the calendar knows more days",
    "quarantine": "fewer rows wait for a decision",
    "reconciliation": f"no such break in the last {_BREAKS_WITHIN.days} days",
    "rejected_file": "it was loaded, or is no longer there",
    "audit": f"no such audit in the last {_AUDITS_WITHIN.days} days",
    "blind_spot": "it can be looked at again",
}


def look_for_all(look: Look) -> dict[str, list[Alert]]:
    """The current problems by kind. A kind that cannot be looked for is missing in it, and is a problem of its own."""
    found: dict[str, list[Alert]] = {}
    blind = []
    for kind, function in KINDS.items():
        try:
            # A statement that fails would end the transaction of all on PostgreSQL.
            with look.connection.begin_nested() if look.connection.dialect.name == "postgresql" else nullcontext():
                found[kind] = function(look)
        except (RallyError, sa.exc.SQLAlchemyError, OSError, ValueError, LookupError) as error:
            reason = str(getattr(error, "orig", None) or error)
            blind.append(
                Alert(
                    kind="blind_spot",
                    key=kind,
                    severity="error",
                    title=f"problems of the kind {kind} cannot be looked for",
                    text=look.workspace.settings.masked(cut(f"{type(error).__name__}: {one_line(reason)}", 300)),
                )
            )
    found["blind_spot"] = blind
    return found


# --- sessions and figures


def _due_sessions(
    look: Look, market: str, since: dt.date | None, *, count: int = _SESSIONS
) -> dict[dt.date, dt.datetime]:
    """The last sessions of a market that closed long enough ago, with their close; all since `since`, if earlier."""
    session = core.core_session
    late = dt.timedelta(hours=look.workspace.settings.alert_late_hours)
    query = (
        sa.select(session.c.session_date, session.c.close_at)
        .where(
            session.c.market == market,
            session.c.session_date <= look.day,
            session.c.session_date > look.day - dt.timedelta(days=3 * 366),
            session.c.close_at <= look.now - late,
        )
        .order_by(session.c.session_date.desc())
    )
    rows = look.rows(query.limit(count))
    if since is not None and len(rows) == count and since < rows[-1]["session_date"]:
        rows = look.rows(query.where(session.c.session_date >= since))
    return {row["session_date"]: row["close_at"] for row in rows}


class _Figures:
    """The figures of a market from a day on: of which subject on which days."""

    def __init__(self, look: Look, market: str, first: dt.date) -> None:
        self._days: dict[str, set[dt.date]] = defaultdict(set)
        self._first_ever: dict[str, dt.date] = {}
        for subject, day, condition in _sources_of(market):
            query = sa.select(subject.label("subject"), day.label("day")).where(*condition)
            for row in look.rows(query.where(day >= first)):
                self._days[row["subject"]].add(row["day"])
            earliest = look.rows(sa.select(sa.func.min(day).label("day")).where(*condition))
            if earliest and earliest[0]["day"] is not None:
                self._first_ever[str(subject)] = earliest[0]["day"]

    def lacking(self, day: dt.date) -> list[str] | None:
        """Subjects without a figure for a session; an empty list = there is none at all, ``None`` = nothing lacks."""
        if not any(first < day for first in self._first_ever.values()):
            return None  # nothing was ever loaded before it
        if not any(day in days for days in self._days.values()):
            return []
        lacking = [
            subject
            for subject, days in self._days.items()
            if day not in days and any(day - _FED_WITHIN <= one < day for one in days)
        ]
        return sorted(lacking) or None


def _sources_of(market: str) -> list[tuple[sa.ColumnElement[str], sa.ColumnElement[dt.date], list[Any]]]:
    """Where the figures of a market are: subject, day, and what selects them."""
    if market == "SOUTHBOUND":
        flow = core_flows.core_southbound_resolved_daily
        return [(flow.c.channel, flow.c.session_date, [flow.c.net_buy_hkd_mn.is_not(None)])]
    price, instrument, trusted = core.core_price_resolved_daily, core.core_instrument, core.core_instrument_source
    asked = sa.select(trusted.c.symbol).where(trusted.c.source.not_in(_DROPPED))
    of_market = sa.select(instrument.c.symbol).where(instrument.c.market == market, instrument.c.symbol.in_(asked))
    sources: list[tuple[Any, Any, list[Any]]] = [
        (price.c.symbol, price.c.session_date, [price.c.symbol.in_(of_market), price.c.close.is_not(None)])
    ]
    if market == "FX":
        rate = core.core_fx_usd_daily
        sources.append((rate.c.currency, rate.c.rate_date, []))
    return sources


#: Marts that get a row for every session: of instruments, and of southbound trading.
_OF_INSTRUMENTS = (
    mart.mart_index_performance_daily,
    mart.mart_price_extremes_daily,
    mart.mart_trading_volume_daily,
)
_OF_SOUTHBOUND = (mart_flows.mart_southbound_daily, mart_flows.mart_hot_money_daily)


def _newest_in_marts(look: Look) -> dict[str, dict[str, dt.date]]:
    """The newest session in each mart, by market."""
    found: dict[str, dict[str, dt.date]] = defaultdict(dict)
    instrument = core.core_instrument
    for table in _OF_INSTRUMENTS:
        newest = sa.select(sa.func.max(table.c.session_date)).where(table.c.symbol == instrument.c.symbol)
        for row in look.rows(sa.select(instrument.c.market, newest.scalar_subquery().label("newest"))):
            if row["newest"] is not None:
                best = found[row["market"]].get(table.name)
                found[row["market"]][table.name] = max(row["newest"], best) if best else row["newest"]
    for table in _OF_SOUTHBOUND:
        for row in look.rows(sa.select(sa.func.max(table.c.session_date).label("newest"))):
            if row["newest"] is not None:
                found["SOUTHBOUND"][table.name] = row["newest"]
    return found


def _names(found: Collection[str], most: int) -> str:
    shown = [one_line(one) for one in list(found)[:most]]
    return ", ".join(shown) + (f" and {len(found) - most} more" if len(found) > most else "")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.2f}"
