"""Southbound flows through the whole way: files and upstreams to core, quarantine, reconciliation and refusals."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline import ingest
from rally_pipeline.marts.refresh import refresh
from rally_pipeline.orchestration.runner import run_pipeline
from rally_pipeline.settings import Profile, load_settings
from rally_pipeline.sources import eastmoney_flow
from rally_pipeline.sources.http import Upstream
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.upstream import Answer, Asked, FakeUpstream
from rally_pipeline_tests.workspaces import environment, json_of, open_at, rows_of, run_cli_here, utc

BROKER_COLUMNS = (
    "schema_version,source,report_title,report_date,published_at,period_start,period_end,period_basis,flow_family,"
    "channel,market,style,dimension,dimension_value,metric,value,unit,currency,trading_days,revision_of,page_ref,"
    "entered_by,note"
)
#: Monday 10 to Friday 14 June 2024 is a week of four southbound sessions (Monday is a holiday).
WEEK = [dt.date(2024, 6, day) for day in (11, 12, 13, 14)]
#: Bought and sold, HK$ mn.
DAILY = {
    ("sse", WEEK[0]): (20_000.0, 8_000.0),
    ("szse", WEEK[0]): (11_000.0, 9_210.0),
    ("sse", WEEK[1]): (21_000.0, 10_000.0),
    ("szse", WEEK[1]): (12_000.0, 9_000.0),
    ("sse", WEEK[2]): (22_000.0, 11_500.0),
    ("szse", WEEK[2]): (13_000.0, 10_080.0),
    ("sse", WEEK[3]): (19_000.0, 12_000.0),
    ("szse", WEEK[3]): (12_500.0, 9_500.0),
}
NET = sum(buy - sell for buy, sell in DAILY.values())


def daily_csv() -> str:
    lines = ["date,channel,buy,sell,unit,currency"]
    lines += [f"{day},{channel},{buy},{sell},million,HKD" for (channel, day), (buy, sell) in DAILY.items()]
    return "\n".join(lines) + "\n"


def broker_csv(value: float, unit: str = "billion", **changes: str) -> str:
    row = {
        "schema_version": "1",
        "source": "CICC",
        "report_title": "Weekly flows",
        "report_date": "2024-06-15",
        "published_at": "",
        "period_start": "2024-06-10",
        "period_end": "2024-06-14",
        "period_basis": "mon_fri",
        "flow_family": "southbound",
        "channel": "total",
        "market": "hk",
        "style": "na",
        "dimension": "total",
        "dimension_value": "",
        "metric": "net_flow",
        "value": f"{value}",
        "unit": unit,
        "currency": "HKD",
        "trading_days": "4",
        "revision_of": "",
        "page_ref": "p. 1",
        "entered_by": "test",
        "note": "",
        **changes,
    }
    return BROKER_COLUMNS + "\n" + ",".join(row[name] for name in BROKER_COLUMNS.split(",")) + "\n"


class Home:
    """A home and the command line over it."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.folder, self.env = folder, environment(folder / "home", url)
        self.url = url
        self.numbers = itertools.count()

    def load(self, text: str, *options: str, suffix: str = ".csv") -> tuple[int, dict[str, object]]:
        path = self.folder / f"flows-{next(self.numbers)}{suffix}"
        path.write_text(text)
        done = run_cli_here(["import", "flows", path, "--json", *options], self.env)
        (row,) = json_of(done)
        return done.returncode, row

    def workspace(self) -> Workspace:
        return open_at(self.folder / "home", self.url)


@pytest.fixture
def home(tmp_path: Path, warehouse_url: str) -> Home:
    made = Home(tmp_path, warehouse_url)
    code, row = made.load(daily_csv(), "--source", "desk", "--known-at", "2024-06-14T12:00")
    assert (code, row["rows_new"]) == (0, 8)
    return made


def test_a_week_that_fits_is_loaded_and_reconciled(home: Home) -> None:
    assert NET == 51_210.0
    code, row = home.load(broker_csv(51.21))
    assert (code, row["outcome"], row["rows_new"]) == (0, "loaded", 1)
    found = [r for r in rows_of(home.workspace(), "ops_reconciliation") if r["subject"] == "broker_week"]
    (compared,) = found
    assert (compared["value_hkd_mn"], compared["against_hkd_mn"]) == (51_210.0, 51_210.0)
    assert (compared["is_break"], compared["suspected_cause"]) == (False, "none")


def test_a_week_ten_times_too_large_is_refused_with_both_figures(home: Home) -> None:
    code, row = home.load(broker_csv(512.1))
    assert (code, row["outcome"], row["rule"]) == (1, "refused", "suspected_unit_error")
    assert "512,100.00" in str(row["message"])
    assert "51,210.00" in str(row["message"])
    assert "10 times too large" in str(row["message"])
    assert rows_of(home.workspace(), "core_broker_flow") == []


def test_a_week_that_is_two_per_cent_off_is_refused(home: Home) -> None:
    code, row = home.load(broker_csv(52.3))
    assert (code, row["rule"]) == (1, "week_matches")


def test_an_epfr_week_runs_from_thursday_to_wednesday(home: Home) -> None:
    epfr = {
        "flow_family": "epfr",
        "period_basis": "epfr_thu_wed",
        "channel": "na",
        "market": "hk_adr",
        "style": "active",
        "currency": "USD",
        "trading_days": "",
    }
    code, row = home.load(broker_csv(0.5, **epfr))  # Monday to Friday
    assert code == 1
    assert row["outcome"] == "refused"
    assert "Thursday" in str(row["message"])
    code, row = home.load(broker_csv(0.5, **{**epfr, "period_start": "2024-06-06", "period_end": "2024-06-12"}))
    assert (code, row["rows_new"]) == (0, 1)


def test_a_correction_keeps_both(home: Home) -> None:
    assert home.load(broker_csv(51.21), "--known-at", "2024-06-16")[0] == 0
    code, _ = home.load(broker_csv(51.2, revision_of="2024-06-15 p. 1"), "--known-at", "2024-06-18")
    assert code == 0
    rows = rows_of(home.workspace(), "core_broker_flow")
    assert {(row["value"], row["revision_of"]) for row in rows} == {(51.21, ""), (51.2, "2024-06-15 p. 1")}
    assert all(row["known_to_at"] is None for row in rows)


def test_a_restated_day_keeps_both_versions_and_is_named(home: Home) -> None:
    restated = daily_csv().replace("12000.0,9000.0", "12000.0,9100.0")
    code, row = home.load(restated, "--source", "desk", "--known-at", "2024-06-20")
    assert (code, row["rows_changed"]) == (0, 1)
    workspace = home.workspace()
    versions = [
        r
        for r in rows_of(workspace, "core_southbound_flow_daily")
        if (r["channel"], r["session_date"]) == ("szse", WEEK[1])
    ]
    assert [r["sell_hkd_mn"] for r in versions] == [9_000.0, 9_100.0]
    code, _ = home.load(daily_csv(), "--source", "other", "--known-at", "2024-06-21")
    assert code == 0
    breaks = [r for r in rows_of(home.workspace(), "ops_reconciliation") if r["is_break"]]
    assert {r["suspected_cause"] for r in breaks} == {"restatement"}
    assert {r["session_date"] for r in rows_of(workspace, "mart_southbound_daily")} == set(WEEK)


def test_a_missing_session_is_a_finding_and_never_zero(home: Home) -> None:
    later = "date,channel,buy,sell,unit,currency\n" + "".join(
        f"2024-06-18,{channel},100,90,million,HKD\n" for channel in ("sse", "szse")
    )
    assert home.load(later, "--source", "desk", "--known-at", "2024-06-19")[0] == 0
    workspace = home.workspace()
    missing = [r for r in rows_of(workspace, "ops_reconciliation") if r["suspected_cause"] == "missing_session"]
    assert {r["period_end"] for r in missing} == {dt.date(2024, 6, 17)}
    assert dt.date(2024, 6, 17) not in {r["session_date"] for r in rows_of(workspace, "mart_southbound_daily")}


def test_cny_is_refused(home: Home) -> None:
    code, row = home.load(daily_csv().replace("HKD", "CNY"))
    assert code == 1
    assert "HKD" in str(row["message"])


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as server:
        yield server


def eastmoney_body(days: list[dt.date], **figures: float) -> str:
    rows = [
        {
            "MUTUAL_TYPE": "006",
            "TRADE_DATE": f"{day} 00:00:00",
            "NET_DEAL_AMT": figures["buy"] - figures["sell"],
            "BUY_AMT": figures["buy"],
            "SELL_AMT": figures["sell"],
            "DEAL_AMT": figures["buy"] + figures["sell"],
        }
        for day in days
    ]
    return json.dumps(
        {"success": True, "code": 0, "message": "ok", "result": {"pages": 1, "count": len(rows), "data": rows}}
    )


def test_yesterdays_figures_under_a_holidays_date_load_nothing(tmp_path: Path, fake: FakeUpstream) -> None:
    """2024-09-16 was closed; an upstream that repeats Friday's figures under it is not believed, and it is said."""
    workspace = open_at(tmp_path)
    friday, holiday = dt.date(2024, 9, 13), dt.date(2024, 9, 16)

    def answer(request: Asked) -> Answer:
        is_total = "006" in str(request.query)
        body = eastmoney_body([friday, holiday] if is_total else [], buy=15_000.0, sell=12_000.5)
        empty = json.dumps({"result": None, "success": False, "message": "返回数据为空", "code": 9201})
        return Answer(body if is_total else empty)

    fake.route("datacenter-web.eastmoney.com", "/api/data/v1/get", answer)
    requests = [
        request
        for request in eastmoney_flow.plan(
            workspace.catalog,
            friday,
            dt.date(2024, 9, 19),
            today=dt.date(2024, 9, 20),
            sessions=workspace.calendars.known_sessions,
        )
        if "006" in request.subject
    ]
    at = utc("2024-09-20T04:00")
    with Upstream(base=fake.base, timeout_seconds=3, attempts=1, clock=lambda: at, sleep=lambda _: None) as upstream:
        records, failures = ingest.fetch_all(workspace, requests, upstream)
    assert not failures
    outcomes = [ingest.load(workspace, record) for record in records]
    assert all(outcome.is_loaded for outcome in outcomes), [outcome.message for outcome in outcomes]
    stored = rows_of(workspace, "core_southbound_flow_daily")
    assert {row["session_date"] for row in stored} == {friday}
    said = [f.rule for outcome in outcomes for f in outcome.findings]
    held = [row["rule"] for row in rows_of(workspace, "ops_quarantine")]
    assert "stale_repeat" in said or "bar_on_closed_day" in held
    with workspace.warehouse.write() as connection:
        refresh(connection)
    assert {row["session_date"] for row in rows_of(workspace, "mart_southbound_daily")} == {friday}


def test_past_the_end_of_a_calendar_the_run_says_whose_and_what_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mainland calendar ends on 2026-12-31 and southbound with it; Frankfurt goes on."""
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    horizon = dt.date(2026, 12, 31)
    workspace = open_at(tmp_path, profile=Profile.DEMO)
    assert workspace.calendars.horizon("CN") == workspace.calendars.horizon("SOUTHBOUND") == horizon
    report = run_pipeline(settings, dt.date(2025, 2, 27), dt.date(2027, 1, 8), markets=("DE", "CN"))
    assert not report.ok
    said = "\n".join(report.lines())
    assert "CN: the calendar ends on 2026-12-31" in said
    assert "DE: the calendar" not in said
    assert "still working: CN, DE" in said
    with workspace.warehouse.read() as connection:
        table = sa.table("core_price_daily", sa.column("session_date", sa.Date))
        last = connection.scalar(sa.select(sa.func.max(table.c.session_date)))
    assert last == dt.date(2025, 2, 28)
