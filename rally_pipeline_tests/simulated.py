"""A quarter in minutes: a clock that jumps from tick to tick of the real schedules, and upstreams that live by it.

The upstreams are the demo world's, over HTTP, each with figures from the moment it publishes them: faults are put in
front (outages, late days, first prints that are restated later), and whether the machine is on is part of the script.
Belongs here: clock, upstreams, driver, and what is compared. Does not belong here: a script of faults, or an
expectation.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import sqlalchemy as sa
from dagster._utils.schedules import cron_string_iterator

from rally_pipeline.alerts.evaluate import evaluate
from rally_pipeline.archive import Archive
from rally_pipeline.catalog import Catalog, load_catalog
from rally_pipeline.catalog.model import CalendarOverride
from rally_pipeline.catch_up import published_at
from rally_pipeline.demo.prices import Bars, DemoWorld
from rally_pipeline.demo.server import DemoAnswer, DemoRequest, DemoUpstream, View, html_error
from rally_pipeline.health import look as count_missing
from rally_pipeline.market_run import Fetched, fetch_market, load_market
from rally_pipeline.marts.refresh import mark_all_stale, refresh
from rally_pipeline.orchestration.jobs import HEALTH_JOB
from rally_pipeline.orchestration.resources import record_end, record_start
from rally_pipeline.schema import core, core_flows, metadata, table_info
from rally_pipeline.sessions import Calendars
from rally_pipeline.settings import Profile, load_settings
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline.warehouse.reference import sync_reference
from rally_pipeline.warehouse.schema_version import prepare
from rally_pipeline.workspace import Workspace

#: Few instruments: two sources of one, one of another, and what has sources of its own.
SYMBOLS = {"^HSI": ("hang_seng", "yahoo"), "^GSPC": ("yahoo", "eastmoney")}
MARKETS = ("HK", "US", "FX", "SOUTHBOUND")
HOSTS = {
    "query1.finance.yahoo.com": "yahoo",
    "query2.finance.yahoo.com": "yahoo",
    "fc.yahoo.com": "yahoo",
    "www.hsi.com.hk": "hang_seng",
    "push2his.eastmoney.com": "eastmoney",
    "www.hkex.com.hk": "hkex",
    "datacenter-web.eastmoney.com": "eastmoney_flow",
    "query.sse.com.cn": "sse",
    "www.szse.cn": "szse",
    "www.ecb.europa.eu": "ecb",
}
_ALWAYS = dt.datetime.max.replace(tzinfo=dt.UTC)
_SOUTHBOUND = ("hkex", "sse", "szse", "eastmoney_flow")


@dataclass
class Clock:
    """The present, as everything in a simulation sees it."""

    now: dt.datetime

    def __call__(self) -> dt.datetime:
        return self.now


@dataclass(frozen=True)
class Outage:
    """`source` answers with `status` from `start` until `end` (aware UTC)."""

    source: str
    start: dt.datetime
    end: dt.datetime
    status: int = 503


@dataclass(frozen=True)
class Script:
    """What goes wrong.

    Attributes:
        outages: upstreams that are down.
        late: source and day → when it is published after all, aware UTC.
        first_prints: symbol and day → factor of the first print, and when it is restated, aware UTC.
        off: when the machine is off, aware UTC.
        closed: day on which Hong Kong did not open although the calendar said so → when people put that right.
    """

    outages: Sequence[Outage] = ()
    late: Mapping[tuple[str, dt.date], dt.datetime] = field(default_factory=dict)
    first_prints: Mapping[tuple[str, dt.date], tuple[float, dt.datetime]] = field(default_factory=dict)
    off: Sequence[tuple[dt.datetime, dt.datetime]] = ()
    closed: Mapping[dt.date, dt.datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """One request as an upstream saw it: when, for which market, who was asked, and what was answered."""

    at: dt.datetime
    market: str
    source: str
    status: int
    has_data: bool


@dataclass(frozen=True)
class Seen:
    """One look for problems: when, how much had been asked by then, and with which calendars."""

    at: dt.datetime
    asks: int
    calendars: Calendars


@dataclass(frozen=True)
class _MovingView(View):
    """The demo world as a source shows it at an instant."""

    script: Script = field(default_factory=Script)
    now: dt.datetime = _ALWAYS
    held_back: frozenset[dt.date] = frozenset()

    def bars(self, symbol: str) -> Bars | None:
        bars = super().bars(symbol)
        if bars is None:
            return None
        keep = [n for n, day in enumerate(bars.days) if day not in self.held_back]
        if len(keep) < len(bars.days):
            fields = ("open", "high", "low", "close", "volume", "turnover")
            bars = dataclasses.replace(
                bars,
                days=tuple(bars.days[n] for n in keep),
                **{name: getattr(bars, name)[keep] for name in fields},
            )
        for (about, day), (factor, until) in self.script.first_prints.items():
            if about == symbol and self.now < until and day in bars.days:
                close, n = bars.close.copy(), bars.days.index(day)
                close[n] = round(min(max(close[n] * factor, bars.low[n]), bars.high[n]), bars.decimals)
                bars = dataclasses.replace(bars, close=close)
        return bars

    def has_flows(self, day: dt.date) -> bool:
        return day not in self.held_back and super().has_flows(day)


class LivingUpstream(DemoUpstream):
    """All upstreams, each with what it has published by the clock.

    Args:
        world: what happens; its calendars know of every closure.
        clock: the present.
        script: what goes wrong.
        workspace: for the times of publication.
    """

    def __init__(self, world: DemoWorld, clock: Clock, script: Script) -> None:
        super().__init__(world=world)
        self.clock, self.script = clock, script
        self.asks: list[Ask] = []
        self._lookup = _bare(world)

    def _dispatch(self, host: str, path: str, params: Mapping[str, str]) -> DemoAnswer:
        source, now = HOSTS.get(host, ""), self.clock()
        down = next((o for o in self.script.outages if o.source == source and o.start <= now < o.end), None)
        for route, pattern in self.routes:
            match = pattern.fullmatch(path) if route.host == host else None
            if match is not None:
                symbol = match.groupdict().get("symbol") or self._of_secid(params.get("secid", ""))
                if down:
                    answer = html_error(down.status, "Service Unavailable")
                else:
                    view = self._view(source, symbol, now)
                    answer = route.handler(view, DemoRequest(host, path, params, match))
                if source != "yahoo" or symbol:  # cookies are no answer
                    has_data = answer.status == 200 and answer.media_type != "text/html"
                    self.asks.append(Ask(now, self._market(source, symbol), source, answer.status, has_data))
                return answer
        return html_error(404, "Not Found")

    def _view(self, source: str, symbol: str, now: dt.datetime) -> View:
        market = self._market(source, symbol)
        calendars = self._lookup.calendars
        days = calendars.known_sessions(market, now.date() - dt.timedelta(days=40), now.date() + dt.timedelta(days=1))
        end = next(day for day in reversed(days) if self._published(market, source, day) <= now)
        held = frozenset(day for (late, day), at in self.script.late.items() if late == source and now < at)
        assert self._world is not None
        return _MovingView(self._world, end, self.script, now, held)

    def now(self) -> float:
        return self.clock().timestamp()

    def available_at(self, market: str, source: str, day: dt.date) -> dt.datetime:
        """From when on a source shows a session; never, if the market did not open."""
        if day not in self._lookup.calendars.known_sessions(market, day, day):
            return _ALWAYS
        return max(
            self._published(market, source, day),
            self.script.late.get((source, day), dt.datetime.min.replace(tzinfo=dt.UTC)),
        )

    def _published(self, market: str, source: str, day: dt.date) -> dt.datetime:
        return published_at(self._lookup, market, source, day) - dt.timedelta(minutes=5)

    def _market(self, source: str, symbol: str) -> str:
        if source in _SOUTHBOUND:
            return "SOUTHBOUND"
        if source == "ecb":
            return "FX"
        instrument = self._lookup.catalog.instruments.get(symbol.upper())
        return str(instrument.market) if instrument else "HK"

    def _of_secid(self, code: str) -> str:
        """The symbol of what eastmoney is asked for in its query."""
        instruments = self._lookup.catalog.instruments.items()
        return next((s for s, one in instruments for named in one.price_sources if code and named.code == code), "")


def _bare(world: DemoWorld) -> Workspace:
    """Enough of a workspace to ask about times."""
    calendars: Any = world.calendars
    nothing: Any = None
    return Workspace(load_settings(home=Path("/nonexistent")), world.catalog, calendars, nothing, nothing, Profile.LIVE)


def small_catalog(symbols: Mapping[str, Sequence[str]] = SYMBOLS) -> Catalog:
    """The shipped catalog with few instruments and few sources of each."""
    full = load_catalog()
    kept = {
        symbol: full.instruments[symbol].model_copy(
            update={"price_sources": tuple(s for s in full.instruments[symbol].price_sources if s.source in sources)}
        )
        for symbol, sources in symbols.items()
    }
    return full.model_copy(update={"instruments": kept})


def simulated_workspace(home: Path, base: str, clock: Clock, catalog: Catalog, **more: Any) -> Workspace:
    """A live workspace by the clock, whose upstreams are at `base`."""
    settings = load_settings(home=home, profile=Profile.LIVE, upstream_base=base, http_attempts=1, **more)
    warehouse = open_warehouse(settings.resolved_warehouse_url)
    prepare(warehouse, settings.profile)
    calendars = Calendars.from_catalog(catalog)
    with warehouse.write() as connection:
        sync_reference(connection, catalog, calendars, force=True)
    return Workspace(settings, catalog, calendars, Archive(settings.archive_dir), warehouse, Profile.LIVE, clock)


# --- driving ------------------------------------------------------------------------------------------------------


@dataclass
class Machine:
    """What Dagster's daemon does, without waiting: evaluates schedules at their times and runs what they ask for.

    Attributes:
        workspace: the present one; `override` exchanges it.
        schedules: the real ones.
        upstream: whom it asks.
        runs: job, first and last day, what was asked, requests made.
        said: reasons why ticks were skipped.
        ticks: how many were evaluated.
        looks: each look for problems.
        health_hours: the health is looked at only in every so many hours.
        before_look: called before each look for problems.
    """

    workspace: Workspace
    clock: Clock
    make_schedules: Callable[[Callable[[], Workspace]], list[dg.ScheduleDefinition]]
    upstream: LivingUpstream
    health_hours: int = 1
    before_look: Callable[[dt.datetime], None] = lambda _: None
    ticks: int = 0
    looks: list[Seen] = field(default_factory=list)
    runs: list[tuple[dt.datetime, str, dt.date, dt.date, str, Fetched]] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.schedules = self.make_schedules(lambda: self.workspace)

    def override(self, *overrides: CalendarOverride) -> None:
        """People put a calendar right."""
        catalog = self.workspace.catalog
        both = (*catalog.calendar_overrides, *overrides)
        catalog = catalog.model_copy(update={"calendar_overrides": both})
        calendars = Calendars.from_catalog(catalog)
        with self.workspace.warehouse.write() as connection:
            sync_reference(connection, catalog, calendars, force=True)
            mark_all_stale(connection)
            refresh(connection)
        self.workspace = dataclasses.replace(self.workspace, catalog=catalog, calendars=calendars)

    def live(self, start: dt.datetime, end: dt.datetime, script: Script) -> None:
        """Lives through the time from `start` to `end`."""
        closures = sorted(script.closed.items(), key=lambda item: item[1])
        missed: dict[str, tuple[dt.datetime, dg.ScheduleDefinition]] = {}
        for at, schedule in _ticks(self.schedules, start, end):
            while closures and closures[0][1] <= at:
                day, _ = closures.pop(0)
                self.override(closure(day))
            if any(off <= at < on for off, on in script.off):
                missed[schedule.name] = at, schedule
                continue
            if missed:
                # Sensors and schedules start together; here the one who tells is the first, with most to tell.
                self.clock.now = max(on for _, on in script.off if on <= at)
                self.tell()
            # As the daemon does: of the ticks that were missed the last one is evaluated, as soon as it is back. In
            # which order is its own affair.
            for tick, late in sorted(
                missed.values(), key=lambda item: (not item[1].name.endswith("_missing"), item[0])
            ):
                self.evaluate(late, tick)
            missed.clear()
            self.clock.now = at
            self.evaluate(schedule, at)

    def evaluate(self, schedule: dg.ScheduleDefinition, tick: dt.datetime) -> None:
        """One tick, and the runs it asks for."""
        if schedule.job_name == HEALTH_JOB and tick.hour % self.health_hours:
            return
        self.ticks += 1
        context = dg.build_schedule_context(scheduled_execution_time=tick)
        done = schedule.evaluate_tick(context)
        if done.skip_message:
            self.said[done.skip_message.split(":")[0].split(";")[0]] += 1
        for request in done.run_requests or ():
            if schedule.job_name == HEALTH_JOB:
                count_missing(self.workspace)
            else:
                self.run(schedule.job_name, request)
                with self.workspace.warehouse.write() as connection:
                    refresh(connection)  # as the sensor of the marts asks for
            self.tell()

    def tell(self) -> None:
        """What the sensor of alerts does."""
        self.before_look(self.clock.now)
        self.looks.append(Seen(self.clock.now, len(self.upstream.asks), self.workspace.calendars))
        evaluate(self.workspace, clock=self.clock)

    def run(self, job: str, request: dg.RunRequest) -> None:
        """What the job of a market does, without Dagster around it."""
        market = job.removeprefix("ingest_").upper()
        start, end = (
            dt.date.fromisoformat(request.tags[f"dagster/asset_partition_range_{which}"]) for which in ("start", "end")
        )
        (step,) = request.run_config["ops"].values()
        ask = step["config"]["ask"]
        run_id = f"{len(self.runs)} {request.run_key}"[:60]
        record_start(self.workspace, dg.DagsterRun(job, run_id, tags=request.tags))
        fetched = fetch_market(self.workspace, market, start, end, ask=ask, run_id=run_id)
        self.runs.append((self.clock.now, market, start, end, ask, fetched))
        failure = fetched.failure(market)
        if fetched.records:
            loaded = load_market(self.workspace, market, start, end, run_id=run_id)
            self.damaged += loaded.damaged
            failure = loaded.failure(market)
        record_end(self.workspace, run_id, [failure] if failure else [])


def compute(workspace: Workspace, first: dt.date) -> None:
    """Brings the marts up to date, from the facts since `first` alone.

    Some files hold more days than were asked for, and how many depends on the day they are asked for.
    """
    with workspace.warehouse.write() as connection:
        for table in metadata.sorted_tables:
            info = table_info(table)
            if info.versioned and info.date_column:
                connection.execute(sa.delete(table).where(table.c[info.date_column] < first))
        mark_all_stale(connection)
        refresh(connection)


def closure(day: dt.date) -> CalendarOverride:
    return CalendarOverride(market="HK", date=day, is_session=False, reason="typhoon")


def _ticks(
    schedules: Sequence[dg.ScheduleDefinition], start: dt.datetime, end: dt.datetime
) -> Iterator[tuple[dt.datetime, dg.ScheduleDefinition]]:
    """All ticks of all schedules in order of time."""

    def of(number: int, schedule: dg.ScheduleDefinition, cron: str) -> Iterator[Any]:
        zone = schedule.execution_timezone or "UTC"
        for at in cron_string_iterator(start.timestamp(), cron, zone):
            moment = at.astimezone(dt.UTC)
            if moment >= end:
                return
            yield moment, number, schedule

    crons = [
        of(number, schedule, cron)
        for number, schedule in enumerate(schedules)
        for cron in ([schedule.cron_schedule] if isinstance(schedule.cron_schedule, str) else schedule.cron_schedule)
    ]
    for moment, _, schedule in heapq.merge(*crons, key=lambda tick: tick[:2]):
        yield moment, schedule


# --- comparing ----------------------------------------------------------------------------------------------------

HOW_IT_CAME = {"known_from_at", "known_to_at", "payload_id", "locator"}


def believed(workspace: Workspace, start: dt.date, end: dt.date) -> dict[str, list[tuple[Any, ...]]]:
    """All facts and marts of the days from `start` to `end`, without how and when they came."""
    tables = [core.core_price_daily, core.core_fx_daily, core_flows.core_southbound_flow_daily]
    tables += [core_flows.core_northbound_turnover_daily, core_flows.core_southbound_top_stock_daily]
    tables += [core_flows.core_market_turnover_daily, core.core_price_resolved_daily, core.core_fx_usd_daily]
    tables += [t for t in metadata.sorted_tables if table_info(t).layer == "mart" and table_info(t).date_column]
    found = {}
    with workspace.warehouse.read() as connection:
        for table in tables:
            info = table_info(table)
            columns = [c for c in table.columns if c.name not in HOW_IT_CAME]
            day = table.c[info.date_column or ""]
            query = sa.select(*columns).where(day.between(start, end))
            if info.versioned:
                query = query.where(table.c.known_to_at.is_(None))
            rows = connection.execute(query.order_by(*(c for c in columns if c.primary_key))).all()
            found[table.name] = [tuple(round(v, 6) if isinstance(v, float) else v for v in row) for row in rows]
    return found


def at(text: str, zone: str = "Asia/Hong_Kong") -> dt.datetime:
    """A local time as UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
