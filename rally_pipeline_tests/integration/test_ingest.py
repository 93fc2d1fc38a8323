"""What upstreams give when they misbehave, over HTTP from a fake: each has its own outcome, core stays right."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from rally_pipeline import fetches, ingest, load_log
from rally_pipeline.errors import ArchiveDamagedError, PermanentFetchError, RateLimitedError, RetryableFetchError
from rally_pipeline.schema import core
from rally_pipeline.sources import eastmoney, ecb, hang_seng, yahoo
from rally_pipeline.sources.base import Dataset, FetchRequest
from rally_pipeline.sources.http import Upstream
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.upstream import Answer, FakeUpstream
from rally_pipeline_tests.workspaces import (
    core_rows,
    count,
    deliver,
    fresh_copy,
    fx_payload,
    open_at,
    price_csv,
    price_payload,
    rows_of,
    utc,
)

HONG_KONG = ZoneInfo("Asia/Hong_Kong")
MONDAY, FRIDAY = dt.date(2024, 3, 4), dt.date(2024, 3, 8)
EVENING = utc("2024-03-08T12:00")
NOON = utc("2024-03-08T04:00")
HTML = Answer("<!DOCTYPE html><html><body>Please log in</body></html>", headers={"Content-Type": "text/html"})
YAHOO, EASTMONEY, HANG_SENG, ECB = (
    "query2.finance.yahoo.com",
    "push2his.eastmoney.com",
    "www.hsi.com.hk",
    "www.ecb.europa.eu",
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_at(tmp_path_factory.mktemp("template"))


@pytest.fixture
def workspace(template: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    made = fresh_copy(template, tmp_path / "home")
    yield made
    made.warehouse.engine.dispose()


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    from yfinance.data import SingletonMeta

    SingletonMeta._instances.clear()  # cookie and crumb live as long as the process
    with FakeUpstream() as server:
        server.route("fc.yahoo.com", "/", Answer("", status=404))
        server.route("query1.finance.yahoo.com", "/v1/test/getcrumb", Answer("cRuMb"))
        yield server


class Ingest:
    """Asks one question of the fake and loads what comes."""

    def __init__(self, workspace: Workspace, fake: FakeUpstream) -> None:
        self.workspace, self.fake = workspace, fake

    def __call__(self, request: FetchRequest, at: dt.datetime = EVENING) -> Any:
        with Upstream(
            base=self.fake.base, timeout_seconds=3, attempts=2, clock=lambda: at, sleep=lambda _: None
        ) as upstream:
            records, failures = ingest.fetch_all(self.workspace, [request], upstream, run_id="run")
        if failures:
            assert not records
            return failures[0].error
        with self.workspace.warehouse.read() as connection:
            assert fetches.pending(connection, request.dataset) == records
        outcome = ingest.load(self.workspace, records[0])
        with self.workspace.warehouse.read() as connection:
            assert fetches.pending(connection, request.dataset) == []
        (logged,) = rows_of(self.workspace, "ops_load")
        assert (logged["outcome"], logged["rule"], logged["message"]) == (
            outcome.outcome,
            outcome.rule,
            outcome.message,
        )
        assert [(f["rule"], f["severity"]) for f in rows_of(self.workspace, "ops_finding")] == [
            (f.rule, f.severity) for f in outcome.findings
        ]
        _check_nothing_lost(self.workspace, outcome)
        return outcome


def _check_nothing_lost(workspace: Workspace, outcome: load_log.LoadOutcome) -> None:
    """Every row parsed is in core, was there, or stands in quarantine with payload, locator and itself."""
    merged = outcome.merged
    assert outcome.rows_parsed == merged.new + merged.changed + merged.same + outcome.rows_set_aside
    held = rows_of(workspace, "ops_quarantine")
    assert len(held) == outcome.rows_set_aside
    for row in held:
        assert row["payload_id"] == outcome.record.payload_id
        assert row["locator"]
        assert json.loads(row["row_json"])["locator"] == row["locator"]
        assert workspace.archive.read(row["payload_id"])


@pytest.fixture
def ask(workspace: Workspace, fake: FakeUpstream) -> Ingest:
    return Ingest(workspace, fake)


def _request(
    workspace: Workspace, module: Any, symbol: str, start: dt.date = MONDAY, end: dt.date = FRIDAY
) -> FetchRequest:
    options = {"sessions": workspace.calendars.known_sessions} if module is hang_seng else {}
    (request,) = module.plan(workspace.catalog, start, end, symbols=[symbol], today=FRIDAY, **options)
    return request


def _at(day: int, clock: str = "09:30") -> int:
    return int(dt.datetime.fromisoformat(f"2024-03-{day:02} {clock}").replace(tzinfo=HONG_KONG).timestamp())


def chart(symbol: str, days: tuple[int, ...] = (4, 5, 6, 7, 8), **changes: Any) -> dict[str, Any]:
    """A v8 chart answer of daily bars in March 2024."""
    quote = {
        name: [value + day for day in days]
        for name, value in (("open", 300.0), ("high", 303.0), ("low", 297.0), ("close", 301.0), ("volume", 1000))
    }
    meta = {
        "currency": "HKD",
        "symbol": symbol,
        "exchangeName": "HKG",
        "instrumentType": "EQUITY",
        "firstTradeDate": 1087349400,
        "regularMarketTime": _at(days[-1] if days else 8, "16:08"),
        "gmtoffset": 28800,
        "timezone": "HKT",
        "exchangeTimezoneName": "Asia/Hong_Kong",
        "regularMarketPrice": 309.0,
        "priceHint": 3,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1d", "5d", "1mo", "max"],
        "currentTradingPeriod": {
            name: {"timezone": "HKT", "gmtoffset": 28800, "start": _at(8, "09:30"), "end": _at(8, "16:00")}
            for name in ("pre", "regular", "post")
        },
        **changes.pop("meta", {}),
    }
    result: dict[str, Any] = {"meta": meta, "indicators": {"quote": [{}]}}
    if days:
        quote |= changes
        result |= {"timestamp": [_at(day) for day in days], "indicators": {"quote": [quote]}}
        result["indicators"]["adjclose"] = [{"adjclose": quote["close"]}]
    return {"chart": {"result": [result], "error": None}}


def _serve_chart(fake: FakeUpstream, symbol: str, answer: Any) -> None:
    fake.route(YAHOO, f"/v8/finance/chart/{symbol}", answer if isinstance(answer, Answer) else Answer(answer))


def _bars(workspace: Workspace) -> dict[str, float]:
    return {row["session_date"].isoformat()[5:]: row["close"] for row in rows_of(workspace, core.core_price_daily)}


WEEK = {"03-04": 305.0, "03-05": 306.0, "03-06": 307.0, "03-07": 308.0, "03-08": 309.0}


def test_good_answer(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    _serve_chart(fake, "0700.HK", chart("0700.HK"))
    outcome = ask(_request(workspace, yahoo, "0700.HK"))
    assert (outcome.outcome, outcome.merged.new, outcome.rows_set_aside) == ("loaded", 5, 0)
    assert _bars(workspace) == WEEK
    (fetch,) = rows_of(workspace, "raw_fetch")
    assert (fetch["payload_id"], fetch["run_id"]) == (outcome.record.payload_id, "run")
    for row in rows_of(workspace, core.core_price_daily):
        body = json.loads(workspace.archive.read(row["payload_id"]))
        number = int(row["locator"].removeprefix("rows[").removesuffix("]"))
        assert body["rows"][number]["close"] == row["close"]
    # "*" is the mark of a new warehouse
    assert {r["subject"] for r in rows_of(workspace, "ops_stale")} == {"0700.HK", "*"}


def test_wrong_ticker(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    _serve_chart(fake, "0700.HK", chart("9988.HK"))
    outcome = ask(_request(workspace, yahoo, "0700.HK"))
    assert (outcome.outcome, outcome.rule) == ("refused", "ticker_matches")
    assert "9988.HK" in outcome.message
    assert "0700.HK" in outcome.message
    assert _bars(workspace) == {}


def test_empty_result(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    _serve_chart(fake, "0700.HK", chart("0700.HK", ()))
    outcome = ask(_request(workspace, yahoo, "0700.HK"))
    assert (outcome.outcome, outcome.rule) == ("refused", "not_empty")
    assert count(workspace, "core_price_daily") == 0


def test_empty_bars(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    fake.route(EASTMONEY, "/api/qt/stock/kline/get", Answer({"rc": 0, "data": None}))
    outcome = ask(_request(workspace, eastmoney, "^HSI"))
    assert (outcome.outcome, outcome.rule) == ("refused", "not_empty")


def test_one_row_download(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    """One good bar of a week that was asked for is one good row, and none is invented."""
    _serve_chart(fake, "0700.HK", chart("0700.HK", (8,)))
    outcome = ask(_request(workspace, yahoo, "0700.HK"))
    assert (outcome.outcome, outcome.merged.new) == ("loaded", 1)
    assert _bars(workspace) == {"03-08": 309.0}


def test_snapshot_only_index(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    snapshot = chart(
        "HSTECH.HK",
        (8,),
        open=[0.0],
        high=[0.0],
        low=[0.0],
        close=[3500.5],
        volume=[0],
        meta={"validRanges": ["1d", "5d"], "firstTradeDate": None, "instrumentType": "INDEX"},
    )
    _serve_chart(fake, "HSTECH.HK", snapshot)
    outcome = ask(_request(workspace, yahoo, "HSTECH.HK"))
    assert [f.rule for f in outcome.findings] == ["snapshot_only"]
    (row,) = rows_of(workspace, core.core_price_daily)
    assert (row["close"], row["open"], row["high"], row["low"], row["volume_shares"]) == (
        3500.5,
        None,
        None,
        None,
        None,
    )
    assert not row["is_flat_bar"]


def test_partial_bar_of_the_running_day(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    _serve_chart(fake, "0700.HK", chart("0700.HK", meta={"regularMarketTime": _at(8, "11:59")}))
    outcome = ask(_request(workspace, yahoo, "0700.HK"), NOON)
    assert [(f.rule, f.rows, f.locator) for f in outcome.findings] == [("partial_bar", 1, "rows[4]")]
    assert _bars(workspace) == {k: v for k, v in WEEK.items() if k != "03-08"}


def _klines(*bars: str, code: str = "HSI") -> Answer:
    return Answer({"rc": 0, "data": {"code": code, "market": 100, "name": "恒生指数", "klines": list(bars)}})


def _kline(day: str, close: float) -> str:
    return f"2024-03-{day},{close - 1},{close},{close + 5},{close - 5},100,2000,0,0,0,0"


def test_partial_bar_of_a_source_without_a_clock_stands_in_quarantine(
    ask: Ingest, workspace: Workspace, fake: FakeUpstream
) -> None:
    fake.route(EASTMONEY, "/api/qt/stock/kline/get", _klines(_kline("07", 16500), _kline("08", 16400)))
    outcome = ask(_request(workspace, eastmoney, "^HSI"), NOON)
    assert (outcome.outcome, outcome.rows_set_aside) == ("loaded", 1)
    (held,) = rows_of(workspace, "ops_quarantine")
    assert (held["rule"], held["table_name"], held["row_key"]) == (
        "session_not_over",
        "core_price_daily",
        "^HSI 2024-03-08",
    )
    assert held["locator"] == "data.klines[1]"
    assert _bars(workspace) == {"03-07": 16500.0}

    # in the evening the bar is final and comes in by itself
    fake.route(EASTMONEY, "/api/qt/stock/kline/get", _klines(_kline("07", 16500), _kline("08", 16353.4)))
    with Upstream(base=fake.base, clock=lambda: EVENING, sleep=lambda _: None) as upstream:
        (record,), _ = ingest.fetch_all(workspace, [_request(workspace, eastmoney, "^HSI")], upstream)
    assert ingest.load(workspace, record).merged.new == 1
    assert _bars(workspace) == {"03-07": 16500.0, "03-08": 16353.4}
    assert count(workspace, "ops_quarantine") == 1, "what was not believed is still told"


@pytest.mark.parametrize(
    ("module", "symbol", "host", "path"),
    [
        (eastmoney, "^HSI", EASTMONEY, "/api/qt/stock/kline/get"),
        (hang_seng, "^HSI", HANG_SENG, "/*"),
        (ecb, "HKD=X", ECB, "/stats/eurofxref/*"),
    ],
)
def test_html_with_status_200(
    ask: Ingest, workspace: Workspace, fake: FakeUpstream, module: Any, symbol: str, host: str, path: str
) -> None:
    fake.route(host, path, HTML)
    outcome = ask(_request(workspace, module, symbol, start=FRIDAY))
    assert (outcome.outcome, outcome.rule) == ("refused", "not_html")
    assert workspace.archive.read(outcome.record.payload_id).startswith(b"<!DOCTYPE")
    assert core_rows(workspace) == {"core_price_daily": [], "core_fx_daily": []}


def test_html_from_yahoo(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    _serve_chart(fake, "0700.HK", HTML)
    error = ask(_request(workspace, yahoo, "0700.HK"))
    assert isinstance(error, PermanentFetchError)
    assert "HTML" in str(error)
    assert count(workspace, "raw_fetch") == 0


@pytest.mark.parametrize(("module", "symbol"), [(yahoo, "0700.HK"), (eastmoney, "^HSI")])
def test_429(workspace: Workspace, fake: FakeUpstream, module: Any, symbol: str) -> None:
    """The upstream is left alone: the second question of the run is not even asked. Others are."""
    limited = Answer("Too Many Requests", status=429)
    for host in (YAHOO, EASTMONEY):
        fake.route(host, "/*", limited)
    fake.route(ECB, "/stats/eurofxref/*", Answer(_ecb_xml("2024-03-08", USD=1.0932)))
    host = YAHOO if module is yahoo else EASTMONEY
    other = "9988.HK" if module is yahoo else "000300.SS"
    requests = [
        _request(workspace, module, symbol),
        _request(workspace, module, other),
        _request(workspace, ecb, "HKD=X", start=FRIDAY),
    ]
    with Upstream(base=fake.base, clock=lambda: EVENING, sleep=lambda _: None) as upstream:
        records, failures = ingest.fetch_all(workspace, requests, upstream)
    assert [type(f.error) for f in failures] == [RateLimitedError, RateLimitedError]
    assert fake.count(host) == 1
    assert [r.request.source for r in records] == ["ecb"]
    assert ingest.load(workspace, records[0]).is_loaded
    assert count(workspace, "core_price_daily") == 0


def _ecb_xml(day: str, **rates: float) -> str:
    cubes = "".join(f"<Cube currency='{c}' rate='{r}'/>" for c, r in rates.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?><gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
        'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
        f"<Cube><Cube time='{day}'>{cubes}</Cube></Cube></gesmes:Envelope>"
    )


def test_truncated_transfer(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    cut = Answer({"rc": 0, "data": {"code": "HSI", "klines": ["x" * 2000]}}, gzipped=True, truncate_to=20)
    fake.route(EASTMONEY, "/api/qt/stock/kline/get", cut)
    error = ask(_request(workspace, eastmoney, "^HSI"))
    assert isinstance(error, RetryableFetchError)
    assert count(workspace, "raw_fetch") == 0
    assert list(workspace.archive.records()) == []


def test_truncated_gzip_that_claims_to_be_whole(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    whole = gzip.compress(_ecb_xml("2024-03-08", USD=1.0932).encode() * 20, mtime=0)
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(whole) - 12)}
    fake.route(ECB, "/stats/eurofxref/*", Answer(whole[:-12], headers=headers))
    result = ask(_request(workspace, ecb, "HKD=X", start=FRIDAY))
    assert isinstance(result, RetryableFetchError) or result.outcome == "refused"
    assert count(workspace, "core_fx_daily") == 0


def test_fx_of_a_day(ask: Ingest, workspace: Workspace, fake: FakeUpstream) -> None:
    fake.route(ECB, "/stats/eurofxref/*", Answer(_ecb_xml("2024-03-08", USD=1.0932, HKD=8.5501)))
    outcome = ask(_request(workspace, ecb, "HKD=X", start=FRIDAY))
    assert outcome.merged.new == 2
    assert outcome.merged.first_changed == {"HKD": FRIDAY, "USD": FRIDAY}
    assert {r["quote_currency"]: r["rate"] for r in rows_of(workspace, "core_fx_daily")} == {
        "USD": 1.0932,
        "HKD": 8.5501,
    }


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (("2024-03-09", 1, 1, 1, 1, 1), "bar_on_closed_day"),  # a Saturday
        (("2024-03-29", 1, 1, 1, 1, 1), "bar_on_closed_day"),  # Good Friday
        (("1999-03-08", 1, 1, 1, 1, 1), "session_unknown"),
        (("2049-03-08", 1, 1, 1, 1, 1), "session_unknown"),
        (("2024-04-12", 1, 1, 1, 1, 1), "session_not_over"),  # of the very day, before the close
        (("2024-04-15", 1, 1, 1, 1, 1), "session_not_over"),
        (("2024-03-08", 1, 1, 0, 1, 1), "price_positive"),
        (("2024-03-08", 1, 1, 1, -1, 1), "price_positive"),
        (("2024-03-08", 1, 1, 1, 1, -1), "volume_not_negative"),
    ],
)
def test_a_row_that_may_not_be_believed_is_set_aside(workspace: Workspace, row: tuple[Any, ...], rule: str) -> None:
    good = ("2024-03-07", 10, 11, 9, 10.5, 100)
    payload = price_payload(price_csv([row, good]), known_at=utc("2024-04-12T08:00"))
    outcome = deliver(workspace, payload)
    assert (outcome.outcome, outcome.merged.new, outcome.rows_set_aside) == ("loaded", 1, 1), outcome.message
    _check_nothing_lost(workspace, outcome)
    (held,) = rows_of(workspace, "ops_quarantine")
    assert (held["rule"], held["locator"], held["row_key"]) == (rule, "row 2", f"0700.HK {row[0]}")
    kept = json.loads(held["row_json"])
    assert kept["close"] == row[4]
    assert kept["volume"] == row[5]
    assert _bars(workspace) == {"03-07": 10.5}
    again = deliver(workspace, payload)
    assert (again.rows_set_aside, count(workspace, "ops_quarantine")) == (1, 1)


def test_the_close_counts_only_after_the_auction(workspace: Workspace) -> None:
    """Hong Kong closes at 16:00; quarter past, a bar known by then is final."""
    body = price_csv([("2024-03-08", 10)], "date,close")
    early = deliver(workspace, price_payload(body, known_at=utc("2024-03-08T16:14+08:00")))
    assert early.rows_set_aside == 1
    late = deliver(workspace, price_payload(body, known_at=utc("2024-03-08T16:15+08:00")))
    assert (late.rows_set_aside, late.merged.new) == (0, 1)


def test_a_rate_of_a_day_to_come_is_set_aside(workspace: Workspace) -> None:
    body = b"Date,USD,\n2024-03-11,1.09,\n2024-03-08,1.0932,\n"
    outcome = deliver(workspace, fx_payload(body, known_at=EVENING))
    assert (outcome.merged.new, outcome.rows_set_aside) == (1, 1)
    (held,) = rows_of(workspace, "ops_quarantine")
    assert (held["rule"], held["row_key"]) == ("day_not_over", "EUR USD 2024-03-11")


def test_damaged_archive_loads_nothing_and_stays_to_be_done(workspace: Workspace) -> None:
    payload = price_payload(price_csv([("2024-03-08", 10)], "date,close"), known_at=EVENING)
    record = ingest.keep(workspace, payload)
    (path,) = (p for p in (workspace.archive.directory / "objects").rglob("*") if p.is_file())
    path.write_bytes(payload.body.replace(b"10", b"99"))
    with pytest.raises(ArchiveDamagedError, match=record.payload_id):
        ingest.load(workspace, record)
    assert _bars(workspace) == {}
    with workspace.warehouse.read() as connection:
        assert fetches.count_pending(connection) == 1
    path.write_bytes(payload.body)
    assert ingest.load(workspace, record).merged.new == 1


def test_one_failure_leaves_the_others_alone(workspace: Workspace, fake: FakeUpstream) -> None:
    _serve_chart(fake, "0700.HK", Answer("gone", status=404))
    _serve_chart(fake, "9988.HK", chart("9988.HK"))
    requests = [_request(workspace, yahoo, symbol) for symbol in ("0700.HK", "9988.HK")]
    seen: list[str] = []
    with Upstream(base=fake.base, attempts=1, clock=lambda: EVENING, sleep=lambda _: None) as upstream:
        records, failures = ingest.fetch_all(
            workspace, requests, upstream, progress=lambda request, _: seen.append(request.subject)
        )
    assert [f.request.subject for f in failures] == ["0700.HK"]
    assert [r.request.subject for r in records] == ["9988.HK"]
    assert seen == ["0700.HK", "9988.HK"]


def test_waiting_payloads_come_oldest_first(workspace: Workspace) -> None:
    bodies = [price_csv([("2024-03-08", close)], "date,close") for close in (10, 11, 12)]
    times = [EVENING + dt.timedelta(days=n) for n in (2, 0, 1)]
    for body, at in zip(bodies, times, strict=True):
        ingest.keep(workspace, price_payload(body, known_at=at))
    with workspace.warehouse.read() as connection:
        waiting = fetches.pending(connection, Dataset.PRICE)
        assert fetches.pending(connection, Dataset.FX) == []
        assert fetches.pending(connection, Dataset.PRICE, subjects=["9988.HK"]) == []
        assert len(fetches.pending(connection, Dataset.PRICE, subjects=["0700.HK"], parsers=["price_files"])) == 3
    assert [r.known_at for r in waiting] == sorted(times)


def test_a_warehouse_is_built_again_from_the_archive_alone(
    workspace: Workspace, template: Workspace, tmp_path: Path
) -> None:
    for close, at in ((10, "2024-03-09"), (11, "2024-03-11"), (10, "2024-03-10")):
        deliver(workspace, price_payload(price_csv([("2024-03-08", close)], "date,close"), known_at=utc(at)))
    lost = core_rows(workspace)
    again = dataclasses.replace(fresh_copy(template, tmp_path / "again"), archive=workspace.archive)
    for record in again.archive.records():
        with again.warehouse.write() as connection:
            fetches.register(connection, record)
            fetches.register(connection, record)
        ingest.load(again, record)
    assert core_rows(again) == lost
    with again.warehouse.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM raw_fetch")) == 3


def test_payloads_read_ahead_are_loaded_as_each_by_itself(
    workspace: Workspace, template: Workspace, tmp_path: Path
) -> None:
    """One is set aside in part, one refused, one cannot be read, one is damaged, and all are about the same days: what
    comes later is judged by what the earlier ones left.
    """
    days = ["2024-03-05", "2024-03-06", "2024-03-07"]
    bodies = [
        price_csv([(day, 10) for day in days], "date,close"),
        price_csv([(days[0], 10), (days[1], -10), (days[2], 99)], "date,close"),
        price_csv([(days[0], 10), (days[0], 11)], "date,close"),
        b"<html>no table</html>",
        price_csv([(day, 12) for day in days], "date,close"),
        price_csv([(day, 13) for day in days], "date,close"),
    ]
    records = [
        ingest.keep(workspace, price_payload(body, known_at=EVENING + dt.timedelta(hours=number)))
        for number, body in enumerate(bodies)
    ]
    damaged = workspace.archive.directory / "objects" / records[5].payload_id[:2] / records[5].payload_id
    damaged.write_bytes(b"something else")
    alone = dataclasses.replace(fresh_copy(template, tmp_path / "alone"), archive=workspace.archive)
    outcomes = []
    for record, ahead in ingest.read_ahead(workspace, records):
        if record == records[5]:
            assert ahead is None
            continue
        assert (ahead is None) is (record in records[2:4])
        with alone.warehouse.write() as connection:
            fetches.register(connection, record)
        outcome = ingest.load(workspace, record, ahead)
        assert outcome == ingest.load(alone, record)
        outcomes.append(outcome)
    assert [(o.is_loaded, o.rows_set_aside) for o in outcomes[:3]] == [(True, 0), (True, 1), (False, 0)]
    assert core_rows(workspace) == core_rows(alone)
    assert count(workspace, "ops_quality_result") == count(alone, "ops_quality_result") > 0
