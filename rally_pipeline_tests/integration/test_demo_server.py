"""The demo upstream over real HTTP, its answers read with nothing but the standard library and yfinance."""

from __future__ import annotations

import csv
import datetime as dt
import http.client
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from rally_pipeline.demo import anchors
from rally_pipeline.demo.server import DemoAnswer, DemoRequest, DemoUpstream, Route, View
from rally_pipeline.sources.http import Upstream

D = dt.date
HSI_API = "/www.hsi.com.hk/api/wsit-hsi-ddoc-ea-public-website-proxy/v1"
CHART = "/query2.finance.yahoo.com/v8/finance/chart/"


@pytest.fixture(scope="module")
def upstream() -> Iterator[DemoUpstream]:
    with DemoUpstream() as running:
        yield running


def get(upstream: DemoUpstream, path: str, method: str = "GET", **params: Any) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(upstream.base_url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path + (f"?{urlencode(params)}" if params else ""))
        response = connection.getresponse()
        return response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def chart(upstream: DemoUpstream, symbol: str, **params: Any) -> dict[str, Any]:
    status, body, headers = get(upstream, CHART + symbol, **params)
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    data = json.loads(body)["chart"]
    assert data["error"] is None
    return data["result"][0]  # type: ignore[no-any-return]


def epoch(day: dt.date, zone: str) -> int:
    return int(dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).timestamp())


def test_chart_of_a_range_of_days(upstream: DemoUpstream) -> None:
    result = chart(
        upstream, "%5EHSI",
        period1=epoch(D(2024, 12, 31), "Asia/Hong_Kong"), period2=epoch(D(2025, 2, 15), "Asia/Hong_Kong"),
        interval="1d", includePrePost="False", events="div,splits,capitalGains", crumb="demo.crumb",
    )  # fmt: skip
    days = [dt.datetime.fromtimestamp(stamp, ZoneInfo("Asia/Hong_Kong")) for stamp in result["timestamp"]]
    quote = result["indicators"]["quote"][0]
    closes = dict(zip((stamp.date() for stamp in days), quote["close"], strict=True))
    assert {stamp.time() for stamp in days} == {dt.time(9, 30)}
    assert (min(closes), max(closes)) == (D(2024, 12, 31), D(2025, 2, 14))
    assert D(2025, 1, 29) not in closes
    assert closes[D(2024, 12, 31)] == 20059.95
    assert closes[D(2025, 2, 14)] == 22620.33
    assert result["indicators"]["adjclose"][0]["adjclose"] == quote["close"]
    assert {len(column) for column in quote.values()} == {len(days)}
    meta = result["meta"]
    assert (meta["symbol"], meta["currency"], meta["instrumentType"]) == ("^HSI", "HKD", "INDEX")
    assert (meta["exchangeTimezoneName"], meta["gmtoffset"], meta["priceHint"]) == ("Asia/Hong_Kong", 28800, 2)
    assert meta["chartPreviousClose"] == 20041.42
    assert meta["regularMarketPrice"] == 22941.32
    assert "max" in meta["validRanges"]


@pytest.mark.parametrize(
    ("name", "first", "rows"),
    [("1d", D(2025, 2, 28), 1), ("5d", D(2025, 2, 24), 5), ("1mo", D(2025, 1, 28), 21), ("ytd", D(2025, 1, 2), 39),
     ("max", D(2021, 11, 1), 818)],
)  # fmt: skip
def test_chart_of_a_named_range(upstream: DemoUpstream, name: str, first: dt.date, rows: int) -> None:
    stamps = chart(upstream, "9988.HK", range=name, interval="1d")["timestamp"]
    assert dt.datetime.fromtimestamp(stamps[0], ZoneInfo("Asia/Hong_Kong")).date() == first
    assert len(stamps) == rows


def test_chart_with_dividends(upstream: DemoUpstream) -> None:
    result = chart(upstream, "0700.HK", range="max", interval="1d", events="div,splits,capitalGains")
    dividends = result["events"]["dividends"]
    assert [row["amount"] for row in dividends.values()] == [1.6, 2.4, 3.4]
    assert all(int(key) == row["date"] and row["date"] in result["timestamp"] for key, row in dividends.items())
    first_close = result["indicators"]["quote"][0]["close"][0]
    assert result["indicators"]["adjclose"][0]["adjclose"][0] < first_close
    assert result["meta"]["priceHint"] == 3
    assert "events" not in chart(upstream, "0700.HK", range="max", interval="1d")


def test_hstech_is_a_snapshot(upstream: DemoUpstream) -> None:
    result = chart(upstream, "HSTECH.HK", range="5d", interval="1d")
    assert result["meta"]["firstTradeDate"] is None
    assert result["meta"]["validRanges"] == ["1d", "5d"]
    assert result["indicators"]["quote"] == [{"open": [0], "high": [0], "low": [0], "close": [5568.14], "volume": [0]}]
    past = chart(
        upstream, "HSTECH.HK",
        period1=epoch(D(2025, 1, 2), "Asia/Hong_Kong"), period2=epoch(D(2025, 2, 1), "Asia/Hong_Kong"),
    )  # fmt: skip
    assert past["indicators"] == {"quote": [{}]}
    assert "timestamp" not in past


def test_a_closed_day_has_an_empty_quote(upstream: DemoUpstream) -> None:
    result = chart(
        upstream, "%5EGDAXI",
        period1=epoch(D(2024, 12, 31), "Europe/Berlin"), period2=epoch(D(2025, 1, 2), "Europe/Berlin"),
    )  # fmt: skip
    assert result["indicators"] == {"quote": [{}]}
    assert result["meta"]["chartPreviousClose"] == 19909.14


def test_yahoo_refusals(upstream: DemoUpstream) -> None:
    status, body, _ = get(upstream, CHART + "NOPE.HK", range="1d")
    assert status == 404
    assert json.loads(body)["chart"]["error"]["code"] == "Not Found"
    assert get(upstream, CHART + "%5EHSI", range="3w")[0] == 422
    assert get(upstream, CHART + "%5EHSI", range="1d", interval="1m")[0] == 422
    assert get(upstream, CHART + "%5EHSI", period1=5, period2=5)[0] == 400
    assert get(upstream, CHART + "%5EHSI", period1="x", period2=5)[0] == 400
    status, body, _ = get(upstream, CHART + "%5EHSI", period1=0, period2=86400)
    assert status == 400
    assert "Data doesn't exist" in json.loads(body)["chart"]["error"]["description"]


def test_yahoo_cookie_and_crumb(upstream: DemoUpstream) -> None:
    status, _, headers = get(upstream, "/fc.yahoo.com")
    assert status == 404
    assert headers["set-cookie"].startswith("A3=")
    assert get(upstream, "/query1.finance.yahoo.com/v1/test/getcrumb")[:2] == (200, b"demo.crumb")


def hang_seng_rows(body: bytes) -> list[list[str]]:
    assert body[:2] == b"\xff\xfe"
    return list(csv.reader(io.StringIO(body.decode("utf-16")), delimiter="\t"))


@pytest.mark.parametrize(
    ("series", "name", "close"),
    [("hsi", "Hang Seng Index ", "22620.33"), ("hstech", "Hang Seng TECH Index ", "5526.22")],
)
def test_hang_seng_daily_report(upstream: DemoUpstream, series: str, name: str, close: str) -> None:
    status, body, _ = get(
        upstream, f"/www.hsi.com.hk/static/uploads/contents/en/indexes/report/{series}/idx_14Feb25.csv"
    )
    assert status == 200
    chinese, english, *rows = hang_seng_rows(body)
    assert chinese[0] == "交易日期"
    assert english[:6] == ["Trade Date", "Index", "Index Currency", "Daily High", "Daily Low", "Index Close"]
    assert {len(row) for row in (chinese, english, *rows)} == {13}
    main = [row for row in rows if row[1].startswith(name) and row[2] == "HKD" and " - " not in row[1]]
    assert [(row[0], row[5], row[12]) for row in main] == [("20250214", close, "1")]
    high, low, closed, change, pct = (float(main[0][i]) for i in (3, 4, 5, 6, 7))
    assert low <= closed <= high
    assert change / (closed - change) * 100 == pytest.approx(pct, abs=0.01)
    assert float(main[0][11]) > float(main[0][10]) > 1000
    assert len(rows) == (6 if series == "hsi" else 2)
    assert {row[2] for row in rows} == {"HKD", "USD"}


def test_hang_seng_manifest_names_25_files_that_exist(upstream: DemoUpstream) -> None:
    status, body, _ = get(
        upstream, f"{HSI_API}/product-data/pub/series/metadata/v2", data="dailyReport", seriesCode="hsi"
    )
    assert status == 200
    paths = [entry["path"] for entry in json.loads(body)["dailyReport"]["idx"]]
    assert len(paths) == 25
    assert paths[0].endswith("/hsi/idx_28Feb25.csv")
    days = []
    for path in paths:
        status, body, _ = get(upstream, f"{HSI_API}/content/gcs/download", resource=path)
        assert status == 200
        days.append(hang_seng_rows(body)[2][0])
    assert days == sorted(days, reverse=True)
    assert len(set(days)) == 25


def test_hang_seng_refusals(upstream: DemoUpstream) -> None:
    report = "/www.hsi.com.hk/static/uploads/contents/en/indexes/report/"
    for path in ("hsi/idx_29Jan25.csv", "hsi/idx_2Jan25.csv", "hsi/idx_3Mar25.csv", "nope/idx_14Feb25.csv"):
        status, _, headers = get(upstream, report + path)
        assert (status, headers["content-type"]) == (404, "text/html;charset=utf-8")
    assert get(upstream, f"{HSI_API}/content/gcs/download", resource="/etc/passwd")[0] == 404
    assert get(upstream, f"{HSI_API}/content/gcs/download")[0] == 404
    assert get(upstream, f"{HSI_API}/product-data/pub/series/metadata/v2", data="dailyReport", seriesCode="x")[0] == 404


def test_eastmoney_kline(upstream: DemoUpstream) -> None:
    path = "/push2his.eastmoney.com/api/qt/stock/kline/get"
    fields = ",".join(f"f{n}" for n in range(51, 65))
    status, body, _ = get(upstream, path, secid="124.HSTECH", klt=101, fqt=1, lmt=10000, end="20500000", fields2=fields)
    assert status == 200
    data = json.loads(body)["data"]
    assert (data["code"], data["market"], data["dktotal"]) == ("HSTECH", 124, len(data["klines"]))
    rows = {row[0]: row for row in (line.split(",") for line in data["klines"])}
    for day, close in anchors.PUBLISHED_CLOSES["HSTECH.HK"].items():
        assert float(rows[f"{day}"][2]) == close
    for row in rows.values():
        opened, close, high, low = (float(cell) for cell in row[1:5])
        assert low <= min(opened, close) <= max(opened, close) <= high
        assert len(row) == 14
    status, body, _ = get(upstream, path, secid="100.HSI", klt=101, lmt=3, end="20250214")
    assert [line.split(",")[0] for line in json.loads(body)["data"]["klines"]] == [
        "2025-02-12", "2025-02-13", "2025-02-14",
    ]  # fmt: skip
    status, body, _ = get(upstream, path, secid="100.HSI", klt=101, beg="20250213", end="20250214")
    assert len(json.loads(body)["data"]["klines"]) == 2
    status, body, _ = get(upstream, path, secid="9.NOPE", klt=101)
    assert (status, json.loads(body)["data"]) == (200, None)


def ecb_xml(body: bytes) -> dict[str, dict[str, float]]:
    cube = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
    return {
        day.attrib["time"]: {rate.attrib["currency"]: float(rate.attrib["rate"]) for rate in day}
        for day in ElementTree.fromstring(body).findall(f"{cube}/{cube}")
    }


def test_ecb_xml(upstream: DemoUpstream) -> None:
    daily = ecb_xml(get(upstream, "/www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml")[1])
    assert list(daily) == ["2025-02-28"]
    assert (daily["2025-02-28"]["USD"], daily["2025-02-28"]["HKD"]) == (1.0411, 8.098)
    recent = ecb_xml(get(upstream, "/www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml")[1])
    assert min(recent) == "2024-12-02"
    assert list(recent) == sorted(recent, reverse=True)
    assert recent["2025-02-14"]["CNY"] == 7.6141
    assert {"USD", "JPY", "GBP", "CNY", "HKD", "CHF"} <= set(recent["2025-02-14"])
    assert "RUB" not in recent["2025-02-14"]


def test_ecb_history_zip(upstream: DemoUpstream) -> None:
    status, body, headers = get(upstream, "/www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip")
    assert (status, headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.namelist() == ["eurofxref-hist.csv"]
        text = archive.read("eurofxref-hist.csv").decode()
    head, *rows = list(csv.reader(io.StringIO(text)))
    assert (head[0], head[-1]) == ("Date", "")
    table = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert (rows[0][0], rows[-1][0]) == ("2025-02-28", "2021-11-01")
    for day, (usd, hkd, cny) in anchors.PUBLISHED_RATES.items():
        row = table[f"{day}"]
        assert (float(row["USD"]), float(row["HKD"]), float(row["CNY"])) == (usd, hkd, cny)
    assert table["2025-02-14"]["RUB"] == "N/A"
    assert table["2021-11-01"]["RUB"] != "N/A"
    assert "2024-12-25" not in table


def test_bodies_are_the_same_from_run_to_run(upstream: DemoUpstream) -> None:
    targets = (
        CHART + "9988.HK?range=max&interval=1d&events=div",
        "/www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip",
        "/www.hsi.com.hk/static/uploads/contents/en/indexes/report/hsi/idx_14Feb25.csv",
        "/push2his.eastmoney.com/api/qt/stock/kline/get?secid=100.HSI&klt=101",
    )
    other = DemoUpstream()
    for target in targets:
        assert get(upstream, target)[1] == other.answer(target).body


def test_an_earlier_end_knows_nothing_later() -> None:
    with DemoUpstream(end=D(2025, 2, 16)) as earlier:
        result = chart(earlier, "%5EHSI", range="max", interval="1d")
        last = dt.datetime.fromtimestamp(result["timestamp"][-1], ZoneInfo("Asia/Hong_Kong")).date()
        assert last == D(2025, 2, 14)
        assert result["meta"]["regularMarketPrice"] == 22620.33
        rates = ecb_xml(get(earlier, "/www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml")[1])
        assert list(rates) == ["2025-02-14"]
        report = "/www.hsi.com.hk/static/uploads/contents/en/indexes/report/hsi/"
        assert get(earlier, report + "idx_17Feb25.csv")[0] == 404
        assert get(earlier, report + "idx_14Feb25.csv")[0] == 200
        future = chart(earlier, "%5EHSI", period1=epoch(D(2025, 2, 17), "Asia/Hong_Kong"), period2=2**40)
        assert future["indicators"] == {"quote": [{}]}
    with DemoUpstream(end=anchors.WORLD_START) as first_day:
        assert len(chart(first_day, "%5EHSI", range="max")["timestamp"]) == 1
        assert json.loads(get(first_day, f"{HSI_API}/product-data/pub/series/metadata/v2",
                              data="dailyReport", seriesCode="hsi")[1])["dailyReport"]["idx"] == []  # fmt: skip
        assert len(json.loads(get(first_day, "/push2his.eastmoney.com/api/qt/stock/kline/get", secid="100.HSI")[1])
                   ["data"]["klines"]) == 1  # fmt: skip


@pytest.mark.parametrize("end", [D(2025, 3, 1), D(2021, 10, 29)])
def test_an_end_outside_the_world_is_refused(end: dt.date) -> None:
    with pytest.raises(ValueError, match="demo world"):
        DemoUpstream(end=end)


def test_the_server_itself(upstream: DemoUpstream) -> None:
    assert upstream.base_url.startswith("http://127.0.0.1:")
    before = upstream.requests_count
    assert get(upstream, "/")[0] == 404
    assert get(upstream, "/example.org/x")[0] == 404
    assert get(upstream, "/../../etc/passwd")[0] == 404
    assert get(upstream, "/fc.yahoo.com/?" + "a=1&" * 200)[0] == 400
    assert get(upstream, "/fc.yahoo.com/", method="POST")[0] == 501
    status, body, headers = get(upstream, "/query1.finance.yahoo.com/v1/test/getcrumb", method="HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", "10")
    assert upstream.requests_count == before + 5
    assert upstream.requests_log[-1].host == "query1.finance.yahoo.com"
    assert upstream.requests_log[-1].status == 200


def test_connections_are_kept_alive(upstream: DemoUpstream) -> None:
    connection = http.client.HTTPConnection(upstream.base_url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/query1.finance.yahoo.com/v1/test/getcrumb")
    connection.getresponse().read()
    first = connection.sock
    connection.request("GET", "/query1.finance.yahoo.com/v1/test/getcrumb")
    assert connection.getresponse().read() == b"demo.crumb"
    assert first is not None
    assert connection.sock is first
    connection.close()


def test_routes_can_be_added_and_put_in_front(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_view: View, _request: DemoRequest) -> DemoAnswer:
        raise RuntimeError("on purpose")

    def named(view: View, request: DemoRequest) -> DemoAnswer:
        return DemoAnswer(f"{request.match['name']} {view.end}".encode())

    routes = [
        Route("www.hkex.com.hk", r"/eng/(?P<name>\w+)\.js", named),
        Route("www.ecb.europa.eu", r".*", lambda _view, _request: DemoAnswer(b"Too Many Requests", 429)),
        Route("query1.finance.yahoo.com", r"/.*", broken),
    ]
    with DemoUpstream(routes=routes) as extended, caplog.at_level(logging.ERROR):
        assert get(extended, "/www.hkex.com.hk/eng/day.js")[1] == b"day 2025-02-28"
        assert get(extended, "/www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml")[0] == 429
        assert get(extended, "/query1.finance.yahoo.com/x")[0] == 500
        assert get(extended, CHART + "%5EHSI")[0] == 200
    assert "on purpose" in caplog.text


def test_it_stops_when_the_context_ends() -> None:
    stopped = DemoUpstream()
    with pytest.raises(RuntimeError):
        _ = stopped.base_url
    with stopped:
        address = stopped.base_url
        with pytest.raises(RuntimeError), stopped:
            pass
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=2)
    with pytest.raises(OSError, match=r"refused|reset"):
        connection.request("GET", "/")


@pytest.fixture
def yf(tmp_path: Path) -> Iterator[Any]:
    """yfinance with exceptions on, its file caches in a new directory and its answers of other tests forgotten."""
    import yfinance

    yfinance.set_tz_cache_location(str(tmp_path))
    yfinance.data.YfData.cache_get.cache_clear()
    hidden = yfinance.config.debug.hide_exceptions
    yfinance.config.debug.hide_exceptions = False
    yield yfinance
    yfinance.config.debug.hide_exceptions = hidden
    yfinance.data.YfData.cache_get.cache_clear()


def test_yfinance_reads_it(upstream: DemoUpstream, yf: Any) -> None:
    with Upstream(base=upstream.base_url) as client:
        session = client.yahoo_session()

        def history(symbol: str, start: str, end: str) -> Any:
            return yf.Ticker(symbol, session=session).history(start=start, end=end, auto_adjust=False)

        hsi = history("^HSI", "2024-12-31", "2025-02-15")
        assert str(hsi.index.tz) == "Asia/Hong_Kong"
        assert hsi.index[-1].date() == D(2025, 2, 14)
        assert round((hsi["Close"].iloc[-1] / hsi["Close"].iloc[0] - 1) * 100, 2) == 12.76
        tencent = history("0700.HK", "2024-05-01", "2024-06-01")
        assert tencent["Dividends"].sum() == 3.4
        assert tencent["Adj Close"].iloc[0] < tencent["Close"].iloc[0]
        alibaba = history("9988.HK", "2025-02-01", "2025-03-01")
        assert int(alibaba["Volume"].sum()) == 3_878_900_000
        flat = history("9988.HK", "2024-12-31", "2025-01-01")
        assert flat[["Open", "High", "Low", "Close", "Volume"]].iloc[0].tolist() == [82.85, 82.85, 82.85, 82.85, 0.0]
        dax = history("^GDAXI", "2024-12-27", "2025-01-03")
        assert [f"{day:%m-%d}" for day in dax.index] == ["12-27", "12-30", "01-02"]
        hkd = history("HKD=X", "2025-02-10", "2025-02-15")
        assert len(hkd) == 5
        assert hkd["Close"].between(7.75, 7.85).all()
        snapshot = yf.Ticker("HSTECH.HK", session=session).history(period="5d", auto_adjust=False)
        assert snapshot[["Open", "Close"]].iloc[0].tolist() == [0.0, 5568.14]
        with pytest.raises(yf.exceptions.YFPricesMissingError):
            history("HSTECH.HK", "2025-01-02", "2025-02-01")
