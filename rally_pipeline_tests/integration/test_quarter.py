"""A simulated quarter by the real schedules, with everything going wrong that does, against one in which nothing did.

`make soak` lives through all of it, with the whole gate and every source; here it is four weeks, and Great Expectations
is left out, which is most of the time and none of the subject. ``RALLY_SOAK=quick`` is all of it without the gate.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.catch_up import missing, series_of
from rally_pipeline.demo.prices import DemoWorld
from rally_pipeline.health import current_problems, source_problems
from rally_pipeline.market_run import fetch_market, load_market
from rally_pipeline.orchestration import schedules as schedule_module
from rally_pipeline.orchestration.jobs import schedules
from rally_pipeline.planning import market_sources
from rally_pipeline.quality import suites
from rally_pipeline.schema import core, ops
from rally_pipeline.schema.ops_alerts import ops_alert_notice
from rally_pipeline.sessions import Calendars, timezone_of
from rally_pipeline.sources.registry import MARKET_SOURCES
from rally_pipeline_tests.oracle_alerts import Told, expected
from rally_pipeline_tests.simulated import (
    MARKETS,
    Clock,
    LivingUpstream,
    Machine,
    Outage,
    Script,
    at,
    believed,
    closure,
    compute,
    simulated_workspace,
    small_catalog,
)
from rally_pipeline_tests.sinks import Hook, webhook
from rally_pipeline_tests.workspaces import rows_of

pytestmark = pytest.mark.slow

#: All of it takes minutes; four weeks of it have all kinds of days and faults.
IS_SOAK = bool(os.environ.get("RALLY_SOAK"))
FIRST, LAST = (dt.date(2024, 12, 2), dt.date(2025, 2, 26)) if IS_SOAK else (dt.date(2025, 1, 17), dt.date(2025, 2, 14))
#: Hong Kong did not open; people put the calendar right the evening after, and the second time the same evening.
TYPHOON, RAINSTORM = dt.date(2025, 1, 21), dt.date(2025, 2, 4)
OFF = at("2025-02-05 00:00"), at("2025-02-12 09:00")
SCRIPT = Script(
    outages=(
        Outage("yahoo", at("2024-12-10 08:00"), at("2024-12-12 23:00")),
        Outage("eastmoney", at("2024-12-27 00:00"), at("2025-01-02 12:00"), status=502),
        Outage("yahoo", at("2025-01-22 08:00"), at("2025-01-23 23:00")),
        Outage("ecb", at("2025-01-23 00:00"), at("2025-01-24 20:00"), status=429),
        Outage("hang_seng", at("2025-01-24 00:00"), at("2025-01-27 12:00"), status=403),
        Outage("hkex", at("2025-01-27 12:00"), at("2025-01-27 23:30"), status=500),
        # Long enough to be told again.
        Outage("eastmoney", at("2025-01-29 00:00"), at("2025-02-02 12:00"), status=502),
    ),
    late={
        ("hkex", dt.date(2025, 1, 22)): at("2025-01-23 06:00"),
        ("hkex", dt.date(2025, 1, 23)): at("2025-01-23 21:00"),
        ("yahoo", dt.date(2024, 12, 30)): at("2025-01-05 06:00"),
        ("yahoo", dt.date(2025, 2, 3)): at("2025-02-04 06:00"),
    },
    first_prints={
        # Restated the next morning, after some days, and while the machine is off.
        ("^GSPC", dt.date(2025, 1, 24)): (1.004, at("2025-01-25 19:00")),
        ("^HSI", dt.date(2025, 1, 24)): (0.997, at("2025-01-31 20:00")),
        ("^HSI", dt.date(2025, 2, 3)): (1.002, at("2025-02-07 20:00")),
    },
    off=(OFF,),
    closed={TYPHOON: at("2025-01-22 20:00"), RAINSTORM: at("2025-02-04 20:00")},
)
#: The desk's webhook refuses everything for a while.
HOOK_AWAY = at("2025-01-23 15:00"), at("2025-01-24 10:00")


@pytest.fixture(scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patched:
        if os.environ.get("RALLY_SOAK", "quick") == "quick":
            patched.setattr(suites, "validate", lambda *_: {})
            patched.setitem(MARKET_SOURCES, "SOUTHBOUND", ("hkex",))
        patched.setattr(os, "fsync", lambda _: None)
        # Runs are over before the next tick.
        patched.setattr(schedule_module, "_is_under_way", lambda *_: False)
        yield


@pytest.fixture(scope="module")
def hook():
    """The desk's."""
    with webhook() as opened:
        yield opened


@pytest.fixture(scope="module")
def lived(quick, hook, tmp_path_factory):
    """The quarter as it went."""
    catalog = small_catalog()
    closed = (*catalog.calendar_overrides, closure(TYPHOON), closure(RAINSTORM))
    truth = catalog.model_copy(update={"calendar_overrides": closed})
    world = DemoWorld(truth, Calendars.from_catalog(truth, start=dt.date(2021, 1, 1)))
    clock = Clock(at(f"{FIRST} 12:00"))
    with LivingUpstream(world, clock, SCRIPT) as upstream:

        def answer_or_not(now: dt.datetime) -> None:
            hook.mode = "refuse" if HOOK_AWAY[0] <= now < HOOK_AWAY[1] else "ok"

        home: Path = tmp_path_factory.mktemp("lived")
        workspace = simulated_workspace(
            *(home, upstream.base_url, clock, catalog),
            history_start=FIRST,
            alert_webhook_url=f"http://127.0.0.1:{hook.port}/desk",
        )
        started = time.monotonic()
        machine = Machine(
            workspace,
            clock,
            lambda look: [
                s for s in schedules(workspace.settings, look) if s.name.split("_")[0].upper() in (*MARKETS, "HEALTH")
            ],
            upstream,
            1 if IS_SOAK else 6,
            answer_or_not,
        )
        machine.live(clock.now, at(f"{LAST} 23:59", "America/New_York"), SCRIPT)
        compute(machine.workspace, FIRST)
        yield machine, upstream
        print("\n".join(_figures(machine, upstream, hook, time.monotonic() - started)))


@pytest.fixture(scope="module")
def ideal(quick, lived, tmp_path_factory):
    """The same quarter when nothing goes wrong, fetched a few weeks at a time."""
    machine, _ = lived
    catalog = machine.workspace.catalog
    world = DemoWorld(catalog, Calendars.from_catalog(catalog, start=dt.date(2021, 1, 1)))
    clock = Clock(machine.clock.now)
    with LivingUpstream(world, clock, Script()) as upstream:
        workspace = simulated_workspace(tmp_path_factory.mktemp("ideal"), upstream.base_url, clock, catalog)
        start = FIRST
        while start <= LAST:
            end = min(start + dt.timedelta(days=27), LAST)
            clock.now = at(f"{end} 23:59", "America/New_York")
            for market in MARKETS:
                fetched = fetch_market(workspace, market, start, end, run_id=f"{market} {start}")
                assert not fetched.failures
                load_market(workspace, market, start, end, run_id=f"{market} {start}")
            start = end + dt.timedelta(days=1)
        compute(workspace, FIRST)
        yield workspace


def _figures(machine: Machine, upstream: LivingUpstream, hook: Hook, seconds: float) -> list[str]:
    told = _told(machine)
    faults = sum(len(getattr(SCRIPT, kind)) for kind in ("outages", "late", "first_prints", "off", "closed"))
    stages = Counter(one.stage for one in told)
    return [
        "",
        f"{FIRST} … {LAST} in {seconds:.0f} s: {machine.ticks:,} ticks, {len(machine.runs):,} runs, "
        f"{len(upstream.asks):,} requests of which {sum(a.status != 200 for a in upstream.asks):,} not answered, "
        f"{len(machine.looks):,} looks for problems",
        f"{faults} faults in the script; told: "
        + ", ".join(f"{count} {stage}" for stage, count in sorted(stages.items()))
        + f"; {len(hook.posted)} messages posted",
        *(f"  {one}" for one in told if one.stage != "heartbeat"),
    ]


def _told(machine: Machine) -> list[Told]:
    """The log of alerts."""
    lines = [
        json.loads(line)
        for path in sorted(machine.workspace.settings.alerts_dir.glob("alerts-*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert len({line["notice_id"] for line in lines}) == len(lines), "something was told twice"
    return sorted(
        Told(dt.datetime.fromisoformat(line["at"]), line["stage"], line["kind"], line["problem"]) for line in lines
    )


def test_the_alert_log_is_the_expected_one(lived):
    machine, upstream = lived
    sources = {market: market_sources(machine.workspace.catalog, market) for market in MARKETS}
    wanted = expected(upstream, machine.looks, sources, FIRST)
    assert [str(one) for one in _told(machine)] == [str(one) for one in wanted]


def test_everything_is_as_if_nothing_had_happened(lived, ideal):
    machine, _ = lived
    mine, wanted = believed(machine.workspace, FIRST, LAST), believed(ideal, FIRST, LAST)
    assert set(mine) == set(wanted)
    for table, rows in wanted.items():
        assert mine[table] == rows, table
    assert len(wanted["core_price_daily"]) > 50
    assert len(wanted["mart_southbound_daily"]) > 25


def test_no_session_is_missing_or_doubled(lived):
    machine, _ = lived
    workspace = machine.workspace
    for market in MARKETS:
        assert missing(workspace, market) == []
        with workspace.warehouse.read() as connection:
            for one in series_of(workspace, market):
                days = workspace.calendars.known_sessions(market, FIRST, LAST)
                assert list(connection.scalars(one.given(FIRST, LAST).order_by(one.table.c[one.day]))) == days, one
                versions = sa.select(sa.func.count()).where(
                    *(one.table.c[name] == value for name, value in one.key.items()),
                    one.table.c.source == one.source,
                    one.table.c.known_to_at.is_(None),
                    one.table.c[one.day].between(FIRST, LAST),
                )
                assert connection.scalar(versions) == len(days)


def test_the_days_are_those_on_which_the_exchanges_opened(lived):
    """As the exchanges announced them: holidays, half-days among the sessions, and the two days of bad weather."""
    machine, _ = lived
    announced = {
        "^HSI": {
            *("2024-12-25", "2024-12-26", "2025-01-01", "2025-01-29", "2025-01-30", "2025-01-31"),
            *(str(TYPHOON), str(RAINSTORM)),
        },
        "^GSPC": {"2024-12-25", "2025-01-01", "2025-01-09", "2025-01-20", "2025-02-17"},
    }
    half_days = {"HK": ("2024-12-24", "2024-12-31", "2025-01-28"), "US": ("2024-12-24",)}
    all_days = [FIRST + dt.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    resolved = core.core_price_resolved_daily
    with machine.workspace.warehouse.read() as connection:
        for symbol, closed in announced.items():
            query = sa.select(resolved.c.session_date).where(resolved.c.symbol == symbol)
            traded = connection.scalars(query.order_by(resolved.c.session_date)).all()
            assert traded == [day for day in all_days if day.weekday() < 5 and str(day) not in closed]
    for market, days in half_days.items():
        for day in map(dt.date.fromisoformat, days):
            close = machine.workspace.calendars.session(market, day).close_at.astimezone(timezone_of(market))
            assert close.hour in (12, 13), (market, close)


def test_what_was_restated_is_kept_as_it_was_first_printed(lived):
    machine, _ = lived
    for (symbol, day), (_, until) in SCRIPT.first_prints.items():
        if day < FIRST:
            continue
        versions = rows_of(
            machine.workspace,
            core.core_price_daily,
            core.core_price_daily.c.symbol == symbol,
            core.core_price_daily.c.session_date == day,
        )
        for source in {row["source"] for row in versions}:
            first, last = sorted((v for v in versions if v["source"] == source), key=lambda v: v["known_from_at"])
            assert first["close"] != last["close"]
            assert first["known_from_at"] < until <= last["known_from_at"] == first["known_to_at"]


def test_the_webhook_got_all_that_was_told_once(lived, hook):
    machine, _ = lived
    told = _told(machine)
    singly = "\n".join(hook.texts)
    for one in told:
        if one.kind == "failing_source" and one.stage == "problem":
            market, source = one.problem.split()
            assert f"source {source} fails for {market}" in singly
    with machine.workspace.warehouse.read() as connection:
        notice = ops_alert_notice
        left = sa.select(notice).where(notice.c.target == "webhook", notice.c.delivered_at.is_(None))
        assert connection.execute(left.where(notice.c.stage != "heartbeat")).all() == []
        held_up = connection.execute(
            sa.select(notice.c.made_at, notice.c.delivered_at).where(
                notice.c.target == "webhook", notice.c.made_at.between(*HOOK_AWAY), notice.c.stage != "heartbeat"
            )
        ).all()
    assert held_up, "nothing was told while the webhook was away, which proves nothing"
    assert all(row.delivered_at >= HOOK_AWAY[1] for row in held_up)


def test_after_a_week_off_exactly_the_missing_sessions_are_asked_for(lived):
    machine, _ = lived
    off, on = OFF
    for market in MARKETS:
        when, _, _, _, ask, fetched = next(run for run in machine.runs if run[1] == market and run[0] >= on)
        assert (ask, when - on < dt.timedelta(hours=1)) == ("missing", True)
        lost = [
            day
            for day in machine.workspace.calendars.known_sessions(market, off.date() - dt.timedelta(days=1), on.date())
            if machine.workspace.calendars.session(market, day).close_at > off - dt.timedelta(minutes=35)
            and machine.workspace.calendars.session(market, day).close_at < on - dt.timedelta(minutes=40)
        ]
        assert [r.start for r in fetched.requests] == sorted(r.start for r in fetched.requests), "not oldest first"
        asked = sorted({r.start for r in fetched.requests})
        assert (asked[0], max(r.end for r in fetched.requests)) == (lost[0], lost[-1]), market
        assert f"{len(lost)} sessions missing" in fetched.line


def test_nothing_is_asked_twice_needlessly(lived):
    """Of what is missing: a session is asked for again only if the answer did not bring it."""
    machine, _ = lived
    asked: Counter[tuple[str, str, dt.date]] = Counter()
    for _, market, _, _, ask, fetched in machine.runs:
        failed = {id(f.request) for f in fetched.failures}
        if ask == "missing":
            for request in fetched.requests:
                if id(request) not in failed:
                    asked.update(
                        (request.source, request.subject, day)
                        for day in machine.workspace.calendars.known_sessions(market, request.start, request.end)
                    )
    twice = {(source, day) for (source, _, day), count in asked.items() if count > 1}
    # The file of the ECB is one for many days; and what was published late was asked for until it came.
    assert {one for one in twice if one[0] != "ecb"} <= set(SCRIPT.late)


def test_one_outage_leaves_the_others_fresh(lived):
    """While Yahoo was down, the other source of each instrument was loaded every evening."""
    machine, _ = lived
    workspace = machine.workspace
    outage = [one for one in SCRIPT.outages if one.source == "yahoo"][-1]
    with workspace.warehouse.read() as connection:
        fetched = connection.execute(
            sa.text(
                "SELECT source, min(fetched_at) FROM raw_fetch WHERE start_date = '2025-01-22' AND source IN "
                "('hang_seng', 'eastmoney', 'ecb', 'hkex', 'yahoo') GROUP BY source"
            )
        ).all()
    first = {source: dt.datetime.fromisoformat(str(when)).replace(tzinfo=dt.UTC) for source, when in fetched}
    assert all(when < outage.end for source, when in first.items() if source != "yahoo")
    assert first.get("yahoo", outage.end) >= outage.end


def test_in_the_end_nothing_is_broken(lived):
    machine, _ = lived
    assert source_problems(machine.workspace) == []
    kinds = {problem.kind for problem in current_problems(machine.workspace)}
    assert kinds <= {"calendar_ends", "mart_behind"}
    with machine.workspace.warehouse.read() as connection:
        gaps = connection.execute(sa.select(ops.ops_gap)).all()
    assert gaps == []
    assert machine.damaged == []


def test_closed_days_are_skipped_and_said_so(lived):
    machine, _ = lived
    assert any("is closed on" in said for said in machine.said), machine.said
    ran = {(market, when.date()) for when, market, _, _, ask, _ in machine.runs if ask == "missing"}
    assert ("US", dt.date(2025, 1, 20)) not in ran
    assert ("HK", dt.date(2025, 1, 30)) not in ran
