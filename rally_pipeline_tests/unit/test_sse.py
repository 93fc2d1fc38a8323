"""Shanghai's own southbound figures: units, currency, closed days, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources import sse
from rally_pipeline.sources.base import SOUTHBOUND_FLOW_COLUMNS, FetchRequest, Parsed, Payload

NOW = dt.datetime(2026, 7, 20, 10, 0, tzinfo=dt.UTC)
TODAY = dt.date(2026, 7, 20)
DAY = dt.date(2026, 7, 17)
CATALOG = Catalog(instruments={}, events={}, calendar_overrides=(), content_hash="")
ROW = {
    "TRADE_DATE": "20260717",
    "BUY_AMOUNT": "1,258.47",
    "SELL_AMOUNT": "1,100.17",
    "TOTAL_AMOUNT": "2,358.64",
    "ETF_TOTAL_AMOUNT": "9.50",
    "BUY_VOLUME": "75.87",
    "SELL_VOLUME": "77.39",
    "TOTAL_VOLUME": "153.27",
}


def parse(result: Any, day: dt.date = DAY) -> Parsed:
    request = FetchRequest(sse.SOURCE, sse.SOURCE, sse.Dataset.SOUTHBOUND_FLOW, "sse", start=day, end=day)
    body = result if isinstance(result, bytes) else json.dumps({"quatationInfo": "success", "result": result}).encode()
    return sse.parse(Payload(request, body, "application/json", 200, NOW), CATALOG)


def rule(result: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        parse(result)
    return caught.value.rule


def test_plan_never_asks_for_days_in_cny() -> None:
    def sessions(market: str, start: dt.date, end: dt.date) -> list[dt.date]:
        assert (market, start, end) == ("SOUTHBOUND", sse.HKD_START, TODAY)
        return [DAY]

    (request,) = sse.plan(CATALOG, dt.date(2014, 1, 1), dt.date(2030, 1, 1), today=TODAY, sessions=sessions)
    assert request.params == {"tradeDate": "20260717"}
    assert sse.plan(CATALOG, dt.date(2024, 1, 1), dt.date(2024, 8, 18), today=TODAY) == []
    answer = SimpleNamespace(body=b"{}", media_type="x", status=200, fetched_at=NOW)
    got = sse.fetch(request, SimpleNamespace(get=lambda url, params, headers: answer))  # type: ignore[arg-type]
    assert got.body == b"{}"


def test_units() -> None:
    parsed = parse([ROW])
    (row,) = parsed.frame.to_dict("records")
    assert row["channel"] == "sse"
    assert (row["buy_hkd_mn"], row["sell_hkd_mn"]) == (125847.0, 110017.0)
    assert (row["net_buy_hkd_mn"], row["turnover_hkd_mn"]) == (15830.0, 235864.0)
    assert (row["buy_trade_count"], row["etf_turnover_hkd_mn"]) == (758700.0, 950.0)
    assert {name: str(dtype) for name, dtype in parsed.frame.dtypes.items()} == SOUTHBOUND_FLOW_COLUMNS


@pytest.mark.parametrize("result", [[None], [], None])
def test_closed_day(result: Any) -> None:
    parsed = parse(result)
    assert len(parsed.frame) == 0
    assert [finding.rule for finding in parsed.findings] == ["not_trading_day"]


@pytest.mark.parametrize(
    ("day", "rows", "rules"),
    [(dt.date(2024, 8, 16), 0, ["currency_not_hkd"]), (dt.date(2024, 8, 19), 1, [])],
)
def test_amounts_before_the_change_are_cny(day: dt.date, rows: int, rules: list[str]) -> None:
    parsed = parse([ROW | {"TRADE_DATE": f"{day:%Y-%m-%d}"}], day)
    assert len(parsed.frame) == rows
    assert [finding.rule for finding in parsed.findings] == rules


def test_missing_side() -> None:
    assert [finding.rule for finding in parse([ROW | {"BUY_AMOUNT": "-"}]).findings] == ["no_figures"]


def test_refusals() -> None:
    assert rule(b"<html>") == "not_html"
    assert rule(b"{}") == "answer_shape"
    assert rule([ROW, ROW]) == "answer_shape"
    assert rule(["x"]) == "answer_shape"
    assert rule([ROW | {"TRADE_DATE": "20260716"}]) == "date_matches"
    assert rule([ROW | {"TRADE_DATE": None}]) == "date_valid"
    assert rule([ROW | {"BUY_AMOUNT": "12,58.47"}]) == "number_valid"
    assert rule([ROW | {"BUY_AMOUNT": "-1258.47"}]) == "number_valid"
    assert rule([ROW | {"TOTAL_AMOUNT": "2,358.67"}]) == "turnover_is_sum"


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_amounts_are_exact_to_the_last_digit(buy: int, sell: int) -> None:
    parsed = parse(
        [
            ROW
            | {
                "BUY_AMOUNT": f"{buy / 100:,.2f}",
                "SELL_AMOUNT": f"{sell / 100:,.2f}",
                "TOTAL_AMOUNT": f"{(buy + sell) / 100:,.2f}",
            }
        ]
    )
    row = parsed.frame.iloc[0]
    assert (row["buy_hkd_mn"], row["sell_hkd_mn"], row["net_buy_hkd_mn"]) == (buy, sell, buy - sell)
