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

import pandas as pd
import pytest

from rally_pipeline.demo import anchors
from rally_pipeline.demo.flows import build_flows
from rally_pipeline.demo.prices import default_world
from rally_pipeline.demo.server import DemoAnswer, DemoRequest, DemoUpstream, Route, View
from rally_pipeline.sources import eastmoney_flow, hang_seng, hkex, sse, szse
from rally_pipeline.sources.base import Dataset
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


HKEX = "/www.hkex.com.hk/eng/csm/DailyStat/data_tab_daily_{:%Y%m%d}e.js"


def test_hkex_daily_file(upstream: DemoUpstream) -> None:
    status, body, headers = get(upstream, HKEX.format(D(2025, 2, 14)))
    assert status == 200
    assert "javascript" in headers["content-type"]
    assert body.startswith(b"tabData = [")
    blocks = json.loads(body.removeprefix(b"tabData = ").rstrip(b";"))
    assert [(block["id"], block["market"]) for block in blocks] == [
        (0, "SSE Northbound"), (1, "SSE Southbound"), (2, "SZSE Northbound"), (3, "SZSE Southbound"),
    ]  # fmt: skip
    assert {(block["date"], block["tradingDay"]) for block in blocks} == {("2025-02-14", 1)}
    tables = {
        block["market"]: [(part["style"], part["table"]["classname"], part["table"]) for part in block["content"]]
        for block in blocks
    }
    for (style, classname, summary), (top_style, top_classname, top) in tables.values():
        assert (style, classname, top_style, top_classname) == (1, "tradingTable", 2, "top10Table")
        assert len(summary["schema"][0]) == len(summary["tr"])
        assert all(len(row["td"]) == len(row["td"][0]) == 1 for row in summary["tr"])
        assert [row["td"][0][0] for row in top["tr"]] == [str(rank) for rank in range(1, 11)]
        assert {len(row["td"][0]) for row in top["tr"]} == {len(top["schema"][0])}
        assert all(row["td"][0][2].endswith("  ") for row in top["tr"])
    south = tables["SZSE Southbound"][0][2]
    cells = dict(zip(south["schema"][0], (row["td"][0][0] for row in south["tr"]), strict=True))
    assert (cells["Buy Turnover"], cells["Sell Turnover"]) == ("32,507.07", "28,837.56")
    assert cells["Total Turnover"] == "61,344.63"
    north = tables["SSE Northbound"][0][2]
    assert north["schema"] == [["Total Turnover", "Total Trade Count", "DQB", "ETF Turnover"]]
    assert north["tr"][2]["td"] == [["999,999,999"]]
    assert tables["SSE Northbound"][1][2]["schema"] == [["Rank", "Stock Code", "Stock Name", "Total Turnover"]]


@pytest.mark.parametrize(
    ("day", "status"),
    [(D(2024, 8, 28), 404), (D(2024, 8, 29), 200), (D(2025, 1, 28), 404), (D(2025, 2, 4), 404), (D(2025, 2, 15), 404),
     (D(2025, 2, 28), 200), (D(2025, 3, 3), 404)],
)  # fmt: skip
def test_hkex_keeps_183_days_and_has_no_closed_day(upstream: DemoUpstream, day: dt.date, status: int) -> None:
    got, body, headers = get(upstream, HKEX.format(day))
    assert got == status
    assert ("html" in headers["content-type"]) == body.startswith(b"<html>") == (status == 404)


def mutual(upstream: DemoUpstream, code: str, bounds: str = "", **params: Any) -> dict[str, Any]:
    asked = {
        "reportName": "RPT_MUTUAL_DEAL_HISTORY", "columns": "ALL", "filter": f'(MUTUAL_TYPE="{code}"){bounds}',
        "sortColumns": "TRADE_DATE", "sortTypes": -1, "pageSize": 1000, "pageNumber": 1, "source": "WEB",
        "client": "WEB", **params,
    }  # fmt: skip
    status, body, headers = get(upstream, "/datacenter-web.eastmoney.com/api/data/v1/get", **asked)
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    return json.loads(body)  # type: ignore[no-any-return]


def test_eastmoney_mutual_history(upstream: DemoUpstream) -> None:
    answer = mutual(upstream, "006")
    assert (answer["success"], answer["code"], answer["message"]) == (True, 0, "ok")
    rows = answer["result"]["data"]
    assert (answer["result"]["pages"], answer["result"]["count"]) == (1, len(rows))
    days = [row["TRADE_DATE"] for row in rows]
    assert (days[0], days[-1]) == ("2025-02-28 00:00:00", "2021-11-01 00:00:00")
    assert days == sorted(days, reverse=True)
    by_day = {row["TRADE_DATE"][:10]: row for row in rows}
    row = by_day["2025-02-14"]
    assert (row["BUY_AMT"], row["SELL_AMT"], row["NET_DEAL_AMT"]) == (81713.97, 74001.01, 7712.96)
    assert row["INDEX_CLOSE_PRICE"] == 22620.33
    assert row["ACCUM_DEAL_AMT"] - by_day["2025-02-13"]["ACCUM_DEAL_AMT"] == pytest.approx(7712.96, abs=0.005)
    closed = by_day["2025-02-04"]
    assert closed["NET_DEAL_AMT"] == 0
    assert closed["BUY_AMT"] is closed["SELL_AMT"] is closed["DEAL_AMT"] is None
    assert set(closed) == set(row)
    oldest = mutual(upstream, "006", sortTypes=1, pageSize=2)["result"]
    assert [row["TRADE_DATE"][:10] for row in oldest["data"]] == ["2021-11-01", "2021-11-02"]


@pytest.mark.parametrize("code", ["001", "003", "005"])
def test_eastmoney_northbound_has_no_sides_since_2024_08_19(upstream: DemoUpstream, code: str) -> None:
    rows = mutual(upstream, code)["result"]["data"]
    assert {row["MUTUAL_TYPE"] for row in rows} == {code}
    for row in rows:
        sides = [row[name] for name in ("NET_DEAL_AMT", "BUY_AMT", "SELL_AMT", "ACCUM_DEAL_AMT")]
        if row["TRADE_DATE"] >= "2024-08-19":
            assert sides == [None] * 4
        else:
            assert round(row["BUY_AMT"] + row["SELL_AMT"], 2) == row["DEAL_AMT"]
        assert row["DEAL_AMT"] > 10_000
        assert row["DEAL_NUM"] > 100_000


def test_eastmoney_bounds_pages_and_refusals(upstream: DemoUpstream) -> None:
    bounds = "(TRADE_DATE>='2025-02-05')(TRADE_DATE<='2025-02-14')"
    whole = mutual(upstream, "002", bounds)["result"]
    assert (whole["count"], whole["pages"]) == (8, 1)
    pages = [mutual(upstream, "002", bounds, pageSize=3, pageNumber=page)["result"] for page in (1, 2, 3)]
    assert {(page["count"], page["pages"]) for page in pages} == {(8, 3)}
    assert [row for page in pages for row in page["data"]] == whole["data"]
    empty = mutual(upstream, "002", bounds, pageSize=3, pageNumber=4)
    assert (empty["result"], empty["success"], empty["code"]) == (None, False, 9201)
    assert mutual(upstream, "004", "(TRADE_DATE>='2025-03-01')")["code"] == 9201
    assert mutual(upstream, "007")["code"] == 9201
    assert mutual(upstream, "002", reportName="RPT_NOPE")["code"] == 9501


def test_sse_is_in_hkd_from_2024_08_19_only(upstream: DemoUpstream) -> None:
    def figures(day: dt.date) -> Any:
        _, body, _ = get(upstream, "/query.sse.com.cn/ggt/getQuatationInfo.do", tradeDate=f"{day:%Y%m%d}")
        (row,) = json.loads(body)["result"]
        return row

    row = figures(D(2025, 2, 14))
    assert (row["TRADE_DATE"], row["BUY_AMOUNT"], row["SELL_AMOUNT"], row["TOTAL_AMOUNT"]) == (
        "20250214", "492.07", "451.63", "943.70",
    )  # fmt: skip
    for day, low, high in ((D(2024, 8, 19), 1.0, 1.0), (D(2024, 8, 16), 0.91, 0.93)):
        (history,) = mutual(upstream, "002", f"(TRADE_DATE='{day}')")["result"]["data"]
        ratio = float(figures(day)["TOTAL_AMOUNT"].replace(",", "")) * 100 / history["DEAL_AMT"]
        assert low - 0.001 < ratio < high + 0.001
    assert figures(D(2025, 2, 4)) is figures(D(2025, 3, 3)) is None


def test_szse_report(upstream: DemoUpstream) -> None:
    def report(day: str, catalog: str = "SGT_GGTJYRB") -> Any:
        path = "/www.szse.cn/api/report/ShowReport/data"
        return json.loads(get(upstream, path, SHOWTYPE="JSON", CATALOGID=catalog, txtDate=day)[1])

    (answer,) = report("2025-02-14")
    assert answer["metadata"]["subname"] == "2025-02-14"
    figures = {row["label"]: row["total"] for row in answer["data"]}
    assert figures["当日买入交易金额（亿元港币）"] == "325.07"
    assert figures["当日卖出交易金额（亿元港币）"] == "288.38"
    assert report("2025-02-04")[0]["data"] == []
    assert report("nonsense")[0]["data"] == []
    assert report("2025-02-14", "OTHER") == []


@pytest.fixture(scope="module")
def parsed_flows(upstream: DemoUpstream) -> dict[str, dict[Dataset, pd.DataFrame]]:
    """What plan, fetch and parse of each source make of the last weeks before the end of the world."""
    world = default_world()
    start = D(2024, 9, 20)
    frames: dict[str, dict[Dataset, list[pd.DataFrame]]] = {}
    with Upstream(base=upstream.base_url) as client:
        for source in (hkex, eastmoney_flow, sse, szse, hang_seng):
            mine = frames.setdefault(source.SOURCE, {})
            options: dict[str, Any] = {"symbols": {"^HSI"}} if source is hang_seng else {}
            for request in source.plan(
                world.catalog, start, anchors.WORLD_END, today=anchors.WORLD_END, sessions=world.calendars.sessions,
                **options,
            ):  # fmt: skip
                parsed = source.parse(source.fetch(request, client), world.catalog)
                assert {finding.rule for finding in parsed.findings} <= {"closed_day_row"}
                for dataset, frame in {request.dataset: parsed.frame, **parsed.extra}.items():
                    mine.setdefault(dataset, []).append(frame)
    return {
        name: {dataset: pd.concat(parts, ignore_index=True) for dataset, parts in mine.items()}
        for name, mine in frames.items()
    }


@pytest.mark.parametrize(
    ("source", "channels", "rounding"),
    [("hkex", {"sse", "szse"}, 1e-6), ("eastmoney_flow", {"sse", "szse", "total"}, 1e-6), ("sse", {"sse"}, 0.501),
     ("szse", {"szse"}, 0.501)],
)  # fmt: skip
def test_sources_read_the_southbound_world(
    parsed_flows: dict[str, dict[Dataset, pd.DataFrame]], source: str, channels: set[str], rounding: float
) -> None:
    flows = build_flows(default_world().days("SOUTHBOUND"))
    days = [day for day in flows.days if day >= D(2024, 9, 20)]
    frame = parsed_flows[source][Dataset.SOUTHBOUND_FLOW]
    rows = {(row["channel"], row["session_date"].date()): row for row in frame.to_dict("records")}
    assert len(rows) == len(frame)
    assert set(rows) == {(channel, day) for channel in channels for day in days}
    for (channel, day), row in rows.items():
        flow = flows.southbound_day(channel, day)
        for name in ("buy", "sell", "turnover"):
            assert row[f"{name}_hkd_mn"] == pytest.approx(getattr(flow, name), abs=rounding)
        assert row["net_buy_hkd_mn"] == pytest.approx(flow.net, abs=2 * rounding)
        if source == "hkex":
            assert (row["buy_trade_count"], row["sell_trade_count"]) == (flow.buy_count, flow.sell_count)
            assert row["etf_turnover_hkd_mn"] == flow.etf_turnover


def test_sources_read_the_northbound_world(parsed_flows: dict[str, dict[Dataset, pd.DataFrame]]) -> None:
    flows = build_flows(default_world().days("SOUTHBOUND"))
    for source, channels in (("hkex", 2), ("eastmoney_flow", 3)):
        frame = parsed_flows[source][Dataset.NORTHBOUND_TURNOVER]
        assert len(frame) == channels * sum(day >= D(2024, 9, 20) for day in flows.days)
        assert frame[["buy_cny_mn", "sell_cny_mn", "net_buy_cny_mn"]].isna().all().all()
        for row in frame.to_dict("records"):
            flow = flows.northbound_day(row["channel"], row["session_date"].date())
            assert row["turnover_cny_mn"] == flow.turnover
            assert row["trade_count"] == flow.buy_count + flow.sell_count


def test_hkex_reads_the_most_active_shares(parsed_flows: dict[str, dict[Dataset, pd.DataFrame]]) -> None:
    flows = build_flows(default_world().days("SOUTHBOUND"))
    frame = parsed_flows["hkex"][Dataset.TOP_STOCK]
    read: dict[tuple[str, dt.date], list[tuple[Any, ...]]] = {}
    for row in frame.to_dict("records"):
        key = (row["channel"], row["session_date"].date())
        names = ("rank", "stock_code", "stock_name", "buy_hkd", "sell_hkd")
        read.setdefault(key, []).append(tuple(row[name] for name in names))
    assert len(read) == 2 * sum(day >= D(2024, 9, 20) for day in flows.days)
    for (channel, day), rows in read.items():
        top = enumerate(flows.top_stocks(channel, day), start=1)
        assert rows == [(rank, stock.code, stock.name, stock.buy, stock.sell) for rank, stock in top]
    assert "9988.HK" in set(frame["symbol"])


def test_hang_seng_reads_the_turnover_of_the_market(parsed_flows: dict[str, dict[Dataset, pd.DataFrame]]) -> None:
    flows = build_flows(default_world().days("SOUTHBOUND"))
    frames = parsed_flows["hang_seng"]
    market = frames[Dataset.MARKET_TURNOVER]
    assert len(market) == len(frames[Dataset.PRICE]) == 25
    for row in market.to_dict("records"):
        assert (row["market"], row["turnover_hkd_mn"]) == ("HK", flows.market_turnover(row["session_date"].date()))


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
        HKEX.format(D(2025, 2, 14)),
        "/datacenter-web.eastmoney.com/api/data/v1/get?reportName=RPT_MUTUAL_DEAL_HISTORY&filter=(MUTUAL_TYPE=%22005%22)",
        "/query.sse.com.cn/ggt/getQuatationInfo.do?tradeDate=20240816",
        "/www.szse.cn/api/report/ShowReport/data?CATALOGID=SGT_GGTJYRB&txtDate=2025-02-14",
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
        assert get(earlier, HKEX.format(D(2025, 2, 17)))[0] == 404
        assert get(earlier, HKEX.format(D(2025, 2, 14)))[0] == 200
        assert mutual(earlier, "006")["result"]["data"][0]["TRADE_DATE"] == "2025-02-14 00:00:00"
        _, body, _ = get(earlier, "/query.sse.com.cn/ggt/getQuatationInfo.do", tradeDate="20250217")
        assert json.loads(body)["result"] == [None]
    with DemoUpstream(end=D(2024, 8, 16)) as disclosed:  # northbound still has both sides
        _, body, _ = get(disclosed, HKEX.format(D(2024, 8, 16)))
        north = json.loads(body.removeprefix(b"tabData = ").rstrip(b";"))[0]["content"][0]["table"]
        assert north["schema"][0][:3] == ["Total Turnover", "Buy Turnover", "Sell Turnover"]
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
