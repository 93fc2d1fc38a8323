"""Yahoo through the real yfinance against a loopback server; the bodies are written by hand in the v8 chart format."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog, Instrument, Kind, Market, PriceSource
from rally_pipeline.errors import PayloadError, PermanentFetchError, RateLimitedError, RetryableFetchError
from rally_pipeline.sources import yahoo
from rally_pipeline.sources.base import FX_COLUMNS, PRICE_COLUMNS, Dataset, FetchRequest, Payload, Severity
from rally_pipeline.sources.http import Upstream
from rally_pipeline_tests.upstream import Answer, FakeUpstream

HOST = "query2.finance.yahoo.com"
YAHOO = PriceSource(source="yahoo")
RANGES = ["1d", "5d", "1mo", "max"]


def instrument(symbol: str, **changes: Any) -> Instrument:
    defaults: dict[str, Any] = {
        "symbol": symbol,
        "name": symbol,
        "market": Market.HK,
        "currency": "HKD",
        "kind": Kind.SHARE,
        "price_sources": (YAHOO,),
    }
    return Instrument(**{**defaults, **changes})


CATALOG = Catalog(
    instruments={
        i.symbol: i
        for i in (
            instrument("0700.HK", aliases=("700.HK",), listing_date=dt.date(2004, 6, 16)),
            instrument("^HSI", kind=Kind.INDEX),
            instrument(
                "HSTECH",
                kind=Kind.INDEX,
                price_sources=(
                    PriceSource(source="hang_seng", code="hstech"),
                    PriceSource(source="yahoo", code="HSTECH.HK"),
                ),
            ),
            instrument("NVDA", market=Market.US, currency="USD"),
            instrument("OCDO.L", market=Market.GB, currency="GBP"),
            instrument("HKD=X", market=Market.FX, kind=Kind.FX, base_currency="USD"),
            instrument("^NONE", kind=Kind.INDEX, price_sources=(PriceSource(source="eastmoney", code="100.NONE"),)),
        )
    },
    events={},
    calendar_overrides=(),
    content_hash="0" * 64,
)
START, END = dt.date(2026, 8, 3), dt.date(2026, 8, 7)
EVENING = dt.datetime(2026, 8, 7, 12, 0, tzinfo=dt.UTC)


def at(day: int, clock: str = "09:30", zone: str = "Asia/Hong_Kong", month: int = 8) -> int:
    """Epoch seconds of a local time in 2026."""
    hour, minute = map(int, clock.split(":"))
    return int(dt.datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp())


def bar(stamp: int, close: float | None, **changes: Any) -> dict[str, Any]:
    """One bar; open, high and low stand a little around the close unless given."""
    base = close or 0.0
    full = {"t": stamp, "open": base - 1, "high": base + 2, "low": base - 3, "close": close, "volume": 1000}
    if close is None:
        full |= {"open": None, "high": None, "low": None}
    return {**full, **changes}


def chart(symbol: str, bars: list[dict[str, Any]], *, adjclose: bool = True, **changes: Any) -> dict[str, Any]:
    """A v8 chart answer. `changes` go into ``meta``, except ``events``."""
    events = changes.pop("events", None)
    meta = {
        "currency": "HKD",
        "symbol": symbol,
        "exchangeName": "HKG",
        "instrumentType": "EQUITY",
        "firstTradeDate": 1087349400,
        "regularMarketTime": at(7, "16:08"),
        "gmtoffset": 28800,
        "timezone": "HKT",
        "exchangeTimezoneName": "Asia/Hong_Kong",
        "regularMarketPrice": 500.0,
        "priceHint": 3,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": RANGES,
        **changes,
    }
    result: dict[str, Any] = {"meta": meta, "indicators": {"quote": [{}]}}
    if bars:
        names = ("open", "high", "low", "close", "volume")
        result["timestamp"] = [b["t"] for b in bars]
        result["indicators"] = {"quote": [{n: [b[n] for b in bars] for n in names}]}
        if adjclose:
            result["indicators"]["adjclose"] = [{"adjclose": [b.get("adj", b["close"]) for b in bars]}]
    if events:
        result["events"] = events
    return {"chart": {"result": [result], "error": None}}


def period(start: int, end: int) -> dict[str, Any]:
    part = {"timezone": "HKT", "gmtoffset": 28800, "start": start, "end": end}
    return {"pre": part, "regular": part, "post": part}


def refusal(code: str, description: str) -> dict[str, Any]:
    return {"chart": {"result": None, "error": {"code": code, "description": description}}}


WEEK = [bar(at(day), 500.0 + day) for day in (3, 4, 5, 6, 7)]


@pytest.fixture(autouse=True)
def _forgetful_yfinance() -> None:
    """The cookie and crumb of yfinance live as long as the process; each test starts without."""
    from yfinance.data import SingletonMeta

    SingletonMeta._instances.clear()


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as server:
        server.route("fc.yahoo.com", "/", Answer("", status=404))
        server.route("query1.finance.yahoo.com", "/v1/test/getcrumb", Answer("cRuMb"))
        yield server


@pytest.fixture
def upstream(fake: FakeUpstream) -> Iterator[Upstream]:
    with Upstream(base=fake.base, timeout_seconds=5, clock=lambda: EVENING, sleep=lambda _: None) as made:
        yield made


def request_for(symbol: str, start: dt.date = START, end: dt.date = END) -> FetchRequest:
    (request,) = yahoo.plan(CATALOG, start, end, symbols=[symbol], today=dt.date(2026, 8, 31))
    return request


def path(request: FetchRequest) -> str:
    return f"/v8/finance/chart/{request.params['code']}"


def serve(fake: FakeUpstream, request: FetchRequest, answer: Any) -> None:
    fake.route(HOST, path(request), answer if isinstance(answer, Answer | list) else Answer(answer))


def fetched(fake: FakeUpstream, upstream: Upstream, symbol: str, answer: Any) -> Payload:
    request = request_for(symbol)
    serve(fake, request, answer)
    return yahoo.fetch(request, upstream)


def rules(parsed: Any) -> list[str]:
    assert all(f.severity is Severity.WARN for f in parsed.findings)
    return [f.rule for f in parsed.findings]


# -- plan ------------------------------------------------------------------------------------------------------------


def test_plan_asks_for_each_instrument_with_yahoo_once() -> None:
    requests = yahoo.plan(CATALOG, START, END, today=END)
    assert [r.subject for r in requests] == ["0700.HK", "^HSI", "HSTECH", "NVDA", "OCDO.L", "HKD=X"]
    assert {r.subject: r.params["code"] for r in requests}["HSTECH"] == "HSTECH.HK"
    assert [r.dataset for r in requests] == [Dataset.PRICE] * 5 + [Dataset.FX]
    assert {(r.source, r.parser, r.start, r.end) for r in requests} == {("yahoo", "yahoo", START, END)}


def test_plan_clips_at_listing_and_today() -> None:
    (request,) = yahoo.plan(CATALOG, dt.date(2000, 1, 1), END, symbols=["0700.HK"], today=dt.date(2026, 8, 5))
    assert (request.start, request.end) == (dt.date(2004, 6, 16), dt.date(2026, 8, 5))
    assert not yahoo.plan(CATALOG, dt.date(2000, 1, 1), dt.date(2001, 1, 1), symbols=["0700.HK"], today=END)
    assert not yahoo.plan(CATALOG, END, END, today=START)


# -- the way of one payload ------------------------------------------------------------------------------------------


def test_normal_week(fake: FakeUpstream, upstream: Upstream) -> None:
    dividend = {"dividends": {str(at(5)): {"amount": 4.5, "date": at(5)}}}
    split = {"splits": {str(at(6)): {"date": at(6), "numerator": 5, "denominator": 1, "splitRatio": "5:1"}}}
    bars = [{**b, "adj": b["close"] - 0.1} for b in WEEK]
    payload = fetched(fake, upstream, "0700.HK", chart("0700.HK", bars, events=dividend | split))
    assert (payload.status, payload.fetched_at) == (200, EVENING)

    parsed = yahoo.parse(payload, CATALOG)
    frame = parsed.frame
    assert not parsed.findings
    assert {n: str(t) for n, t in frame.dtypes.items()} == PRICE_COLUMNS
    assert frame["session_date"].tolist() == [pd.Timestamp(2026, 8, d) for d in (3, 4, 5, 6, 7)]
    assert frame["close"].tolist() == [503, 504, 505, 506, 507]
    assert frame["adj_close"].tolist() == [b["adj"] for b in bars], "floats survive exactly"
    assert frame["open"].tolist() == [502, 503, 504, 505, 506]
    assert frame["dividend"].tolist() == [0, 0, 4.5, 0, 0]
    assert frame["split_ratio"].tolist() == [0, 0, 0, 5, 0]
    assert frame["volume"].tolist() == [1000] * 5
    assert frame[["adj_open", "adj_high", "adj_low", "turnover"]].isna().all(axis=None)
    assert set(frame["symbol"]) == {"0700.HK"}
    assert set(frame["currency"]) == {"HKD"}
    assert frame["locator"].iloc[-1] == "rows[4]"


def test_one_chart_request_per_ticker_for_the_inclusive_range(fake: FakeUpstream, upstream: Upstream) -> None:
    payload = fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK))
    (asked,) = fake.asked(HOST)
    assert (asked.param("interval"), asked.param("events")) == ("1d", "div,splits,capitalGains")
    assert asked.param("period1") == str(at(3, "00:00"))
    assert asked.param("period2") == str(at(8, "00:00"))
    again = yahoo.fetch(payload.request, upstream)
    assert fake.count(HOST) == 2, "nothing is served from yfinance's own cache"
    assert again.payload_id == payload.payload_id, "equal answers have one address in the archive"


def test_body_is_canonical_and_keeps_what_parsing_needs(fake: FakeUpstream, upstream: Upstream) -> None:
    body = fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK)).body
    content = json.loads(body)
    assert json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == body
    assert content["meta"]["exchangeTimezoneName"] == "Asia/Hong_Kong"
    assert content["meta"]["validRanges"] == RANGES
    assert content["yfinance"]
    assert content["rows"][0]["date"] == "2026-08-03T00:00:00+08:00"
    assert b"cRuMb" not in body


def test_caret_code_and_index_volume(fake: FakeUpstream, upstream: Upstream) -> None:
    bars = [{**b, "volume": 0} for b in WEEK]
    frame = yahoo.parse(fetched(fake, upstream, "^HSI", chart("^HSI", bars)), CATALOG).frame
    assert len(frame) == 5
    assert frame["volume"].isna().all()


def test_missing_adjclose_is_not_invented(fake: FakeUpstream, upstream: Upstream) -> None:
    frame = yahoo.parse(fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK, adjclose=False)), CATALOG).frame
    assert frame["adj_close"].isna().all()
    assert frame["close"].notna().all()


def test_us_stamps_become_new_york_dates(fake: FakeUpstream, upstream: Upstream) -> None:
    zone = "America/New_York"
    bars = [bar(at(6, "09:30", zone), 100.0)]
    answer = chart("NVDA", bars, currency="USD", exchangeTimezoneName=zone, regularMarketTime=at(6, "16:00", zone))
    frame = yahoo.parse(fetched(fake, upstream, "NVDA", answer), CATALOG).frame
    assert frame["session_date"].tolist() == [pd.Timestamp(2026, 8, 6)]


def test_fx(fake: FakeUpstream, upstream: Upstream) -> None:
    zone = "Europe/London"
    bars = [bar(at(d, "00:00", zone), 7.8 + d / 1000, volume=0) for d in (3, 4, 5, 6, 7)]
    answer = chart(
        "HKD=X",
        bars,
        instrumentType="CURRENCY",
        exchangeTimezoneName=zone,
        currentTradingPeriod=period(at(7, "00:00", zone), at(7, "23:59", zone)),
    )
    payload = fetched(fake, upstream, "HKD=X", answer)
    assert payload.request.dataset is Dataset.FX
    parsed = yahoo.parse(payload, CATALOG)
    assert {n: str(t) for n, t in parsed.frame.dtypes.items()} == FX_COLUMNS
    assert parsed.frame["rate_date"].tolist() == [pd.Timestamp(2026, 8, d) for d in (3, 4, 5, 6)]
    assert parsed.frame["rate"].tolist() == [b["close"] for b in bars[:4]]
    assert set(zip(parsed.frame["base_currency"], parsed.frame["quote_currency"], strict=True)) == {("USD", "HKD")}
    assert rules(parsed) == ["partial_bar"]


# -- failures of the fetch -------------------------------------------------------------------------------------------


def test_rate_limit_is_one_hit_for_the_whole_run(fake: FakeUpstream, upstream: Upstream) -> None:
    for symbol in ("0700.HK", "^HSI"):
        serve(fake, request_for(symbol), Answer("Too Many Requests", status=429))
        with pytest.raises(RateLimitedError):
            yahoo.fetch(request_for(symbol), upstream)
    assert fake.count(HOST) == 1


def test_rate_limited_crumb_does_not_stop_the_data(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route("query1.finance.yahoo.com", "/v1/test/getcrumb", Answer("Too Many Requests", status=429))
    for _ in range(2):
        payload = fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK))
        assert len(yahoo.parse(payload, CATALOG).frame) == 5
    assert fake.count("query1.finance.yahoo.com") == 1
    assert [a.param("crumb") for a in fake.asked(HOST)] == [None, None]


def test_dead_cookie_and_crumb_hosts_do_not_stop_the_data(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route("fc.yahoo.com", "/", Answer(hang_up=True))
    fake.route("guce.yahoo.com", "/consent", Answer(status=503))
    for _ in range(2):
        payload = fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK))
        assert len(yahoo.parse(payload, CATALOG).frame) == 5
    assert fake.count() == 2 + 2, "each cookie step is tried once, not once per ticker"


def test_crumb_is_sent_and_asked_for_once(fake: FakeUpstream, upstream: Upstream) -> None:
    for _ in range(2):
        fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK))
    assert [a.param("crumb") for a in fake.asked(HOST)] == ["cRuMb", "cRuMb"]
    assert fake.count("query1.finance.yahoo.com") == 1


def test_unknown_symbol(fake: FakeUpstream, upstream: Upstream) -> None:
    answer = Answer(refusal("Not Found", "No data found, symbol may be delisted"), status=404)
    with pytest.raises(PermanentFetchError, match=r"does not know '0700\.HK': No data found"):
        fetched(fake, upstream, "0700.HK", answer)
    assert fake.count(HOST) == 1


def test_error_object_with_status_200(fake: FakeUpstream, upstream: Upstream) -> None:
    with pytest.raises(PermanentFetchError, match="does not know"):
        fetched(fake, upstream, "0700.HK", refusal("Not Found", "No data found"))


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("<!DOCTYPE html><html><body>Please consent</body></html>", PermanentFetchError, "HTML page instead of data"),
        ("<html>Will be right back...</html>", RetryableFetchError, "maintenance"),
        ('{"chart":{"result":[{"meta"', PermanentFetchError, "not JSON"),
        ("[]", PermanentFetchError, "neither data nor a reason|could not read"),
        ('{"chart":{"result":[],"error":null}}', PermanentFetchError, "neither data nor a reason"),
        (
            '{"chart":{"result":[{"meta":{},"timestamp":[1],"indicators":{"quote":[{}]}}],"error":null}}',
            PermanentFetchError,
            "neither",
        ),
        ('{"chart":{"result":[{"meta":{"symbol":"X"},"indicators":[1]}]}}', PermanentFetchError, "could not read"),
        ("", PermanentFetchError, "not JSON"),
    ],
)
def test_nonsense_with_status_200(
    fake: FakeUpstream, upstream: Upstream, body: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fetched(fake, upstream, "0700.HK", Answer(body))
    assert fake.count(HOST) == 1


def test_server_error_is_retried_once_over(fake: FakeUpstream, upstream: Upstream) -> None:
    answers = [Answer(status=502), Answer(status=503), Answer(chart("0700.HK", WEEK))]
    payload = fetched(fake, upstream, "0700.HK", answers)
    assert len(yahoo.parse(payload, CATALOG).frame) == 5
    assert fake.count(HOST) == 3


def test_retries_are_not_multiplied(fake: FakeUpstream, upstream: Upstream) -> None:
    with pytest.raises(RetryableFetchError, match="503"):
        fetched(fake, upstream, "0700.HK", Answer(status=503))
    assert fake.count(HOST) == upstream.attempts


@pytest.mark.parametrize("broken", [Answer(chart("0700.HK", WEEK), truncate_to=200), Answer(hang_up=True)])
def test_broken_transfer(fake: FakeUpstream, upstream: Upstream, broken: Answer) -> None:
    with pytest.raises(RetryableFetchError):
        fetched(fake, upstream, "0700.HK", broken)
    payload = fetched(fake, upstream, "0700.HK", [broken, Answer(chart("0700.HK", WEEK))])
    assert len(yahoo.parse(payload, CATALOG).frame) == 5, "a failure is not remembered"


def test_slow_server(fake: FakeUpstream) -> None:
    with Upstream(base=fake.base, timeout_seconds=0.3, attempts=1) as upstream, pytest.raises(RetryableFetchError):
        fetched(fake, upstream, "0700.HK", Answer(chart("0700.HK", WEEK), delay_seconds=3))


def test_compression_bomb(fake: FakeUpstream) -> None:
    with (
        Upstream(base=fake.base, max_bytes=100_000) as upstream,
        pytest.raises(PermanentFetchError, match="larger than 100,000 bytes"),
    ):
        fetched(fake, upstream, "0700.HK", Answer(b" " * 20_000_000, gzipped=True))


def test_redirect_off_host(fake: FakeUpstream, upstream: Upstream) -> None:
    answer = Answer(status=302, headers={"Location": "https://consent.yahoo.com/v2/collectConsent"})
    with pytest.raises(PermanentFetchError, match="another host"):
        fetched(fake, upstream, "0700.HK", answer)
    assert fake.count("consent.yahoo.com") == 0


def test_forbidden_is_permanent(fake: FakeUpstream, upstream: Upstream) -> None:
    body = {"finance": {"result": None, "error": {"code": "Unauthorized", "description": "Invalid Crumb"}}}
    with pytest.raises(PermanentFetchError, match="status 401"):
        fetched(fake, upstream, "0700.HK", Answer(body, status=401))
    assert fake.count(HOST, "/v8/finance/chart/0700.HK") == 2, "once more with a new cookie, then no more"


def test_threads_do_not_mix_up_answers(fake: FakeUpstream, upstream: Upstream) -> None:
    serve(fake, request_for("0700.HK"), chart("0700.HK", WEEK))
    serve(fake, request_for("^HSI"), chart("^HSI", [{**b, "close": 20_000.0} for b in WEEK]))
    requests = [request_for(symbol) for symbol in ("0700.HK", "^HSI") * 4]
    with ThreadPoolExecutor(4) as pool:
        payloads = list(pool.map(lambda r: yahoo.fetch(r, upstream), requests))
    for payload in payloads:
        closes = yahoo.parse(payload, CATALOG).frame["close"]
        assert (closes == 20_000).all() == (payload.request.subject == "^HSI")


def test_nothing_is_written_to_the_users_cache(fake: FakeUpstream, upstream: Upstream) -> None:
    from yfinance.cache import _TzDBManager

    fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK))
    assert "rally-yfinance-" in str(_TzDBManager.get_location())


# -- empty answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Answer(chart("0700.HK", [])),
        Answer(refusal("Bad Request", "Data doesn't exist for startDate = 1, endDate = 2"), status=400),
    ],
    ids=["no_rows", "no_data_in_range"],
)
def test_empty_answer_is_archived_and_refused_by_parse(fake: FakeUpstream, upstream: Upstream, answer: Answer) -> None:
    payload = fetched(fake, upstream, "0700.HK", answer)
    with pytest.raises(PayloadError) as raised:
        yahoo.parse(payload, CATALOG)
    assert raised.value.rule == "not_empty"


# -- refusals and findings of parse ----------------------------------------------------------------------------------


def test_wrong_ticker(fake: FakeUpstream, upstream: Upstream) -> None:
    for bars in (WEEK, []):
        with pytest.raises(PayloadError, match=r"asked for 0700\.HK .* is for 1810\.HK") as raised:
            yahoo.parse(fetched(fake, upstream, "0700.HK", chart("1810.HK", bars)), CATALOG)
        assert raised.value.rule == "ticker_matches"


@pytest.mark.parametrize(("symbol", "got"), [("0700.HK", "700.HK"), ("HSTECH", "HSTECH.HK")])
def test_alias_and_code_are_the_ticker(fake: FakeUpstream, upstream: Upstream, symbol: str, got: str) -> None:
    assert len(yahoo.parse(fetched(fake, upstream, symbol, chart(got, WEEK)), CATALOG).frame) == 5


def test_pence_are_named(fake: FakeUpstream, upstream: Upstream) -> None:
    zone = "Europe/London"
    answer = chart("OCDO.L", [bar(at(5, "08:00", zone), 250.0)], currency="GBp", exchangeTimezoneName=zone)
    with pytest.raises(PayloadError, match=r"pence \(GBp\), a hundredth of GBP") as raised:
        yahoo.parse(fetched(fake, upstream, "OCDO.L", answer), CATALOG)
    assert raised.value.rule == "currency_matches"


def test_other_currency(fake: FakeUpstream, upstream: Upstream) -> None:
    with pytest.raises(PayloadError, match="quoted in CNY; the catalog says HKD") as raised:
        yahoo.parse(fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK, currency="CNY")), CATALOG)
    assert raised.value.rule == "currency_matches"


def test_unnamed_currency_is_a_finding(fake: FakeUpstream, upstream: Upstream) -> None:
    parsed = yahoo.parse(fetched(fake, upstream, "^HSI", chart("^HSI", WEEK, currency=None)), CATALOG)
    assert rules(parsed) == ["currency_unknown"]


def test_snapshot_only_index(fake: FakeUpstream, upstream: Upstream) -> None:
    bars = [bar(at(7, "16:08"), 5500.5, open=0, high=0, low=0, volume=0)]
    answer = chart("HSTECH.HK", bars, firstTradeDate=None, validRanges=["1d", "5d"], instrumentType="INDEX")
    parsed = yahoo.parse(fetched(fake, upstream, "HSTECH", answer), CATALOG)
    assert rules(parsed) == ["snapshot_only"]
    row = parsed.frame.iloc[0]
    assert (row["symbol"], row["close"]) == ("HSTECH", 5500.5)
    assert row[["open", "high", "low", "volume"]].isna().all()


def test_zero_prices_of_one_row(fake: FakeUpstream, upstream: Upstream) -> None:
    bars = [*WEEK[:4], bar(at(7), 507.0, open=0, high=0, low=0)]
    parsed = yahoo.parse(fetched(fake, upstream, "0700.HK", chart("0700.HK", bars)), CATALOG)
    assert rules(parsed) == ["zero_prices"]
    assert parsed.frame["open"].isna().tolist() == [False] * 4 + [True]


def test_rows_without_close_are_left_out_and_counted(fake: FakeUpstream, upstream: Upstream) -> None:
    bars = [WEEK[0], bar(at(4), None, volume=999), bar(at(5), None, volume=None), WEEK[3], WEEK[4]]
    parsed = yahoo.parse(fetched(fake, upstream, "0700.HK", chart("0700.HK", bars)), CATALOG)
    assert parsed.frame["session_date"].dt.day.tolist() == [3, 6, 7]
    (finding,) = parsed.findings
    assert (finding.rule, finding.rows, finding.locator) == ("no_close", 2, "rows[1], rows[2]")
    assert "1 of them with volume" in finding.message


def test_rows_outside_the_range_are_left_out(fake: FakeUpstream, upstream: Upstream) -> None:
    bars = [bar(at(31, month=7), 499.0), *WEEK]
    parsed = yahoo.parse(fetched(fake, upstream, "0700.HK", chart("0700.HK", bars)), CATALOG)
    assert parsed.frame["session_date"].min() == pd.Timestamp(2026, 8, 3)
    assert rules(parsed) == ["outside_range"]


HK_FRIDAY = period(at(7), at(7, "16:00"))


@pytest.mark.parametrize(
    ("when", "meta", "kept"),
    [
        ("11:00", {"currentTradingPeriod": HK_FRIDAY, "regularMarketTime": at(7, "10:45")}, False),
        ("16:10", {"currentTradingPeriod": HK_FRIDAY, "regularMarketTime": at(7, "15:59")}, False),
        ("16:30", {"currentTradingPeriod": HK_FRIDAY, "regularMarketTime": at(7, "16:08")}, True),
        # Yahoo does not say when the session ends: the last trade decides.
        ("11:00", {"regularMarketTime": at(7, "10:45")}, False),
        ("12:55", {"regularMarketTime": at(7, "12:00")}, False),
        ("18:09", {"regularMarketTime": at(7, "16:08")}, True),
        ("18:09", {"regularMarketTime": None}, False),
        # The period is of an earlier day, hence says nothing about today.
        ("11:00", {"currentTradingPeriod": period(at(6), at(6, "16:00")), "regularMarketTime": at(7, "10:45")}, False),
        # After midnight in Hong Kong the period of Friday is history.
        ("23:59", {"currentTradingPeriod": period(at(10), at(10, "16:00")), "regularMarketTime": at(7, "16:08")}, True),
    ],
)
def test_running_bar(fake: FakeUpstream, when: str, meta: dict[str, Any], kept: bool) -> None:
    now = dt.datetime.fromtimestamp(at(7, when), dt.UTC)
    bars = [*WEEK[:4], bar(at(7, "10:45"), 507.5)]
    with Upstream(base=fake.base, clock=lambda: now) as upstream:
        payload = fetched(fake, upstream, "0700.HK", chart("0700.HK", bars, **meta))
    parsed = yahoo.parse(payload, CATALOG)
    assert len(parsed.frame) == (5 if kept else 4)
    assert rules(parsed) == ([] if kept else ["partial_bar"])


def test_only_a_running_bar_gives_an_empty_typed_frame(fake: FakeUpstream) -> None:
    now = dt.datetime.fromtimestamp(at(7, "11:00"), dt.UTC)
    with Upstream(base=fake.base, clock=lambda: now) as upstream:
        answer = chart("0700.HK", [bar(at(7), 507.0)], currentTradingPeriod=HK_FRIDAY)
        parsed = yahoo.parse(fetched(fake, upstream, "0700.HK", answer), CATALOG)
    assert len(parsed.frame) == 0
    assert {n: str(t) for n, t in parsed.frame.dtypes.items()} == PRICE_COLUMNS


def edited(payload: Payload, **changes: Any) -> Payload:
    body = json.dumps({**json.loads(payload.body), **changes}).encode()
    return dataclasses.replace(payload, body=body)


def test_two_rows_for_one_day(fake: FakeUpstream, upstream: Upstream) -> None:
    """The installed yfinance drops one of them, so this is about a body that came another way or a later yfinance."""
    payload = fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK))
    rows = json.loads(payload.body)["rows"]
    same = yahoo.parse(edited(payload, rows=[*rows, rows[2]]), CATALOG)
    assert len(same.frame) == 5
    assert rules(same) == ["duplicate_days"]
    with pytest.raises(PayloadError, match="two different rows for 2026-08-05") as raised:
        yahoo.parse(edited(payload, rows=[*rows, {**rows[2], "close": 1.0}]), CATALOG)
    assert (raised.value.rule, raised.value.locator) == ("duplicate_days", "rows[5]")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"<html>",
        b'{"format":"yahoo-daily/1"}',
        b'{"format":"yahoo-daily/1","meta":{"symbol":"0700.HK","currency":"HKD"},"rows":[1]}',
        b'{"format":"yahoo-daily/1","meta":{"symbol":"0700.HK","currency":"HKD"},"rows":[{"close":"1"}]}',
        b'{"format":"yahoo-daily/1","meta":{"symbol":"0700.HK","currency":"HKD"},"rows":[{"close":NaN}]}',
        b'{"format":"yahoo-daily/1","meta":{"symbol":"0700.HK","currency":"HKD"},"rows":[{"close":1,"date":"x"}]}',
        b'{"format":"yahoo-daily/1","meta":{"symbol":"0700.HK","currency":"HKD"},'
        b'"rows":[{"close":1,"date":"2026-08-05"}]}',
    ],
)
def test_unreadable_body(body: bytes) -> None:
    payload = Payload(request_for("0700.HK"), body, "application/json", 200, EVENING)
    with pytest.raises(PayloadError) as raised:
        yahoo.parse(payload, CATALOG)
    assert raised.value.rule == "readable"


NONSENSE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2)
)
META = ("symbol", "currency", "exchangeTimezoneName", "firstTradeDate", "regularMarketTime", "validRanges")


@settings(max_examples=150, deadline=None)
@given(
    meta=st.dictionaries(st.sampled_from([*META, "currentTradingPeriod"]), NONSENSE, max_size=3),
    row=st.dictionaries(st.sampled_from(["date", "open", "close", "volume", "dividend"]), NONSENSE, max_size=2),
)
def test_damage_is_refused_or_read_but_never_crashes(meta: dict[str, Any], row: dict[str, Any]) -> None:
    good = {"date": "2026-08-05T00:00:00+08:00", "open": 1.0, "high": 2.0, "low": 1.0, "close": 1.5, "volume": 0}
    body = {
        "format": yahoo.FORMAT,
        "meta": {"symbol": "0700.HK", "currency": "HKD", **meta},
        "rows": [good, {**good, "date": "2026-08-07T00:00:00+08:00", **row}],
    }
    payload = Payload(request_for("0700.HK"), json.dumps(body).encode(), "application/json", 200, EVENING)
    try:
        parsed = yahoo.parse(payload, CATALOG)
    except PayloadError:
        return
    assert {n: str(t) for n, t in parsed.frame.dtypes.items()} == PRICE_COLUMNS
    assert parsed.frame["close"].notna().all()
    assert parsed.frame["session_date"].is_unique
    assert parsed.frame["session_date"].between(pd.Timestamp(START), pd.Timestamp(END)).all()


def test_symbol_no_longer_in_the_catalog(fake: FakeUpstream, upstream: Upstream) -> None:
    payload = fetched(fake, upstream, "0700.HK", chart("0700.HK", WEEK))
    empty = CATALOG.model_copy(update={"instruments": {}})
    with pytest.raises(PayloadError) as raised:
        yahoo.parse(payload, empty)
    assert raised.value.rule == "symbol_known"
