"""HKEX Stock Connect day files: what is asked, blocks and transposed tables by name, and what is refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError, PermanentFetchError
from rally_pipeline.sources import hkex
from rally_pipeline.sources.base import COLUMNS, Dataset, Parsed, Payload
from rally_pipeline.sources.http import Upstream
from rally_pipeline_tests.upstream import Answer, FakeUpstream

NOW = dt.datetime(2026, 7, 20, 10, 0, tzinfo=dt.UTC)
TODAY = dt.date(2026, 7, 20)
DAY = dt.date(2026, 7, 17)
CATALOG = Catalog(instruments={}, events={}, calendar_overrides=(), content_hash="")

SOUTH_NAMES = [
    "Total Turnover", "Buy Turnover", "Sell Turnover", "Total Trade Count", "Buy Trade Count", "Sell Trade Count",
    "ETF Turnover",
]  # fmt: skip
SOUTH = dict(zip(SOUTH_NAMES, ["1,500.50", "1,000.25", "500.25", "30,000", "20,000", "10,000", "12.30"], strict=True))
NORTH = {"Total Turnover": "9,000.00", "Total Trade Count": "70,000", "DQB": "999,999,999", "ETF Turnover": "-"}
TOP_NAMES = ["Rank", "Stock Code", "Stock Name", "Buy Turnover", "Sell Turnover", "Total Turnover"]
TOP = [
    ["1", "00700", "TENCENT            ", "600", "400", "1,000"],
    ["2", "09988", "阿里巴巴\u3000\u3000", "500", "400", "900"],
]


def table(name: str, names: list[str], rows: list[list[str]], style: int) -> dict[str, Any]:
    return {
        "style": style,
        "table": {"classname": name, "schema": [names], "tr": [{"td": [row]} for row in rows]},
    }


def block(
    market: str, summary: dict[str, str], top: list[list[str]] = TOP, day: str = "2026-07-17", trading: Any = 1
) -> dict[str, Any]:
    names = TOP_NAMES if "South" in market else ["Rank", "Stock Code", "Stock Name", "Total Turnover"]
    return {
        "id": 9,
        "date": day,
        "market": market,
        "tradingDay": trading,
        "content": [
            table("tradingTable", list(summary), [[value] for value in summary.values()], 1),
            table("top10Table", names, top if "South" in market else [["1", "600519", "KWEICHOW", "5"]], 2),
        ],
    }


def four(**changed: Any) -> list[dict[str, Any]]:
    return [
        changed.get("sse_north", block("SSE Northbound", NORTH)),
        changed.get("sse", block("SSE Southbound", SOUTH)),
        changed.get("szse_north", block("SZSE Northbound", NORTH)),
        changed.get("szse", block("SZSE Southbound", SOUTH)),
    ]


def parse(content: Any, day: dt.date = DAY) -> Parsed:
    body = content if isinstance(content, bytes) else b"tabData = " + json.dumps(content).encode() + b";"
    (request,) = hkex.plan(CATALOG, day, day, today=TODAY)
    return hkex.parse(Payload(request, body, "application/x-javascript", 200, NOW), CATALOG)


def rule(content: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        parse(content)
    return caught.value.rule


def test_plan_asks_once_per_session_within_what_is_kept() -> None:
    asked = []

    def sessions(market: str, start: dt.date, end: dt.date) -> list[dt.date]:
        asked.append((market, start, end))
        return [dt.date(2026, 7, 16), DAY]

    requests = hkex.plan(CATALOG, dt.date(2020, 1, 1), dt.date(2027, 1, 1), today=TODAY, sessions=sessions)
    assert asked == [("SOUTHBOUND", TODAY - dt.timedelta(days=183), TODAY)]
    assert [request.start for request in requests] == [dt.date(2026, 7, 16), DAY]
    assert requests[1].url == "https://www.hkex.com.hk/eng/csm/DailyStat/data_tab_daily_20260717e.js"
    assert requests[1].dataset is Dataset.SOUTHBOUND_FLOW
    assert hkex.plan(CATALOG, dt.date(2025, 1, 1), dt.date(2025, 2, 1), today=TODAY, sessions=sessions) == []
    assert len(hkex.plan(CATALOG, dt.date(2026, 7, 10), TODAY, today=TODAY)) == 7


def test_fetch_keeps_the_body_and_a_closed_day_is_permanent() -> None:
    (request,) = hkex.plan(CATALOG, DAY, DAY, today=TODAY)
    (closed,) = hkex.plan(CATALOG, dt.date(2026, 7, 16), dt.date(2026, 7, 16), today=TODAY)
    with FakeUpstream() as fake, Upstream(base=fake.base) as upstream:
        fake.route("www.hkex.com.hk", "/eng/csm/DailyStat/data_tab_daily_20260717e.js", Answer("tabData = []"))
        assert hkex.fetch(request, upstream).body == b"tabData = []"
        with pytest.raises(PermanentFetchError):
            hkex.fetch(closed, upstream)
        assert fake.count() == 2


def test_both_channels_and_extras() -> None:
    parsed = parse(four())
    assert list(parsed.frame["channel"]) == ["sse", "szse"]
    first = parsed.frame.iloc[0]
    assert (first["buy_hkd_mn"], first["sell_hkd_mn"], first["net_buy_hkd_mn"]) == (1000.25, 500.25, 500.0)
    assert (first["buy_trade_count"], first["sell_trade_count"], first["etf_turnover_hkd_mn"]) == (20000, 10000, 12.3)
    assert first["session_date"].date() == DAY
    north = parsed.extra[Dataset.NORTHBOUND_TURNOVER]
    assert list(north["turnover_cny_mn"]) == [9000.0, 9000.0]
    assert list(north["trade_count"]) == [70000.0, 70000.0]
    assert north["buy_cny_mn"].isna().all()
    top = parsed.extra[Dataset.TOP_STOCK]
    assert list(top["symbol"]) == ["0700.HK", "9988.HK"] * 2
    assert list(top["stock_code"]) == ["00700", "09988"] * 2
    assert list(top["stock_name"])[:2] == ["TENCENT", "阿里巴巴"]
    assert list(top["turnover_hkd"])[:2] == [1000.0, 900.0]
    assert parsed.findings == ()
    for dataset, frame in {Dataset.SOUTHBOUND_FLOW: parsed.frame, **parsed.extra}.items():
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS[dataset]


@settings(max_examples=25)
@given(st.permutations(range(4)), st.permutations(SOUTH_NAMES))
def test_order_of_blocks_and_names_does_not_matter(blocks: list[int], names: list[str]) -> None:
    content = four(sse=block("SSE Southbound", {name: SOUTH[name] for name in names}))
    parsed = parse([content[index] for index in blocks])
    expected = parse(four())
    assert parsed.frame.equals(expected.frame)


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.product([b"", b"\xef\xbb\xbf", b"\r\n", b"var "], [b"", b";", b" ;\r\n"]))
)
def test_wrapper(before: bytes, after: bytes) -> None:
    parsed = parse(before + b"tabData = " + json.dumps(four()).encode() + after)
    assert len(parsed.frame) == 2


def test_older_schema_has_counts_before_amounts() -> None:
    old = {
        "No. of Buy + Sell Trades": "30,000",
        "No. of Buy Trades": "20,000",
        "No. of Sell Trades": "10,000",
        "Buy + Sell Turnover": "1,500.50",
        "Buy Turnover": "1,000.25",
        "Sell Turnover": "500.25",
        "Daily Quota Balance": "41,000.00",
        "Daily Quota Balance as % of Daily Quota": "97%",
    }
    row = parse(four(sse=block("SSE Southbound", old))).frame.iloc[0]
    assert (row["turnover_hkd_mn"], row["buy_trade_count"], row["net_buy_hkd_mn"]) == (1500.5, 20000, 500)
    assert math.isnan(row["etf_turnover_hkd_mn"])


@pytest.mark.parametrize("cell", ["-", "N/A", "", "999,999,999", "  "])
def test_sentinels_are_not_given(cell: str) -> None:
    parsed = parse(four(sse=block("SSE Southbound", SOUTH | {"ETF Turnover": cell})))
    assert math.isnan(parsed.frame.iloc[0]["etf_turnover_hkd_mn"])


def test_days_without_figures_have_no_row() -> None:
    closed = [block(name, SOUTH, trading=0) for name in
              ("SSE Northbound", "SSE Southbound", "SZSE Northbound", "SZSE Southbound")]  # fmt: skip
    parsed = parse(closed)
    assert len(parsed.frame) == 0
    assert not parsed.extra
    assert {finding.rule for finding in parsed.findings} == {"not_trading_day"}

    for cell in ("-", "0.00"):
        parsed = parse(four(sse=block("SSE Southbound", dict.fromkeys(SOUTH, cell))))
        assert list(parsed.frame["channel"]) == ["szse"]
        assert [finding.rule for finding in parsed.findings] == ["no_figures"]

    empty = block("SSE Southbound", SOUTH)
    empty["content"][0]["table"]["tr"] = []
    assert list(parse(four(sse=empty)).frame["channel"]) == ["szse"]


def test_refusals() -> None:
    assert rule(b"<!DOCTYPE html><html></html>") == "not_html"
    assert rule(b"") == "not_empty"
    assert rule(json.dumps(four()).encode()) == "wrapper_known"
    assert rule(b"tabData = " + json.dumps(four()).encode()[:-20]) == "json_valid"
    assert rule(b"tabData = [NaN]") == "json_valid"
    assert rule(b"tabData = " + b"[" * 100 + b"]" * 100) == "depth_bound"
    assert rule(b"tabData = [" + b" " * hkex.MAX_BYTES + b"]") == "size_bound"
    assert rule(four()[:3]) == "four_markets"
    assert rule([*four(), four()[0]]) == "four_markets"
    assert rule([*four()[:3], four()[1]]) == "four_markets"
    assert rule({}) == "four_markets"
    assert rule(four(sse=block("SSE Southbound", SOUTH, day="2026-07-16"))) == "date_matches"
    assert rule(four(sse=block("SSE Southbound", SOUTH, day="soon"))) == "date_valid"
    assert rule(four(sse=block("SSE Southbound", SOUTH | {"Buy Turnover": "1,000.28"}))) == "turnover_is_sum"
    assert rule(four(sse=block("SSE Southbound", SOUTH | {"Buy Turnover": "1,0"}))) == "number_valid"
    assert rule(four(sse=block("SSE Southbound", SOUTH | {"Total Trade Count": "-5"}))) == "number_valid"
    assert rule(four(sse=block("SSE Southbound", SOUTH | {"Turnover (Total)": "1"}))) == "header_known"
    without = {name: value for name, value in SOUTH.items() if name != "Sell Turnover"}
    assert rule(four(sse=block("SSE Southbound", without))) == "header_known"
    short = block("SSE Southbound", SOUTH)
    short["content"][0]["table"]["tr"].pop()
    assert rule(four(sse=short)) == "table_shape"
    assert rule(four(sse=block("SSE Southbound", SOUTH, top=[["1", "ABC", "X", "1", "1", "2"]]))) == "code_valid"
    assert rule(four(sse=block("SSE Southbound", SOUTH, top=[["1", "00700", "X", "1"]]))) == "table_shape"


def test_rounding_in_the_sum_is_allowed() -> None:
    assert len(parse(four(sse=block("SSE Southbound", SOUTH | {"Buy Turnover": "1,000.27"}))).frame) == 2


def test_top_row_that_does_not_add_up_is_set_aside() -> None:
    parsed = parse(four(sse=block("SSE Southbound", SOUTH, top=[["1", "00700", "X", "1", "1", "20"]])))
    assert [finding.rule for finding in parsed.findings] == ["top_stock_sum"]
    assert len(parsed.extra[Dataset.TOP_STOCK]) == 2


@given(st.binary(max_size=200))
def test_any_bytes_give_a_payload_error(body: bytes) -> None:
    for content in (body, b"tabData = " + body):
        with contextlib.suppress(PayloadError):
            parse(content)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tr", "td", "schema"]), inner),
    max_leaves=8,
)


@settings(max_examples=40)
@given(_JSON, st.sampled_from(["date", "market", "tradingDay", "content"]))
def test_any_shape_of_block_gives_a_payload_error(value: Any, key: str) -> None:
    broken = block("SSE Southbound", SOUTH) | {key: value}
    with contextlib.suppress(PayloadError):
        parse(four(sse=broken))
    broken = block("SSE Southbound", SOUTH)
    broken["content"][0]["table"] = value
    broken["content"][1]["table"] = {"schema": [TOP_NAMES], "tr": [{"td": [[value] * 6]}]}
    with contextlib.suppress(PayloadError):
        parse(four(sse=broken))
