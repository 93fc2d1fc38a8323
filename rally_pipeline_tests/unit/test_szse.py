"""Shenzhen's own southbound figures: Chinese labels, units, dates, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources import szse
from rally_pipeline.sources.base import Dataset, FetchRequest, Parsed, Payload

NOW = dt.datetime(2026, 7, 20, 10, 0, tzinfo=dt.UTC)
TODAY = dt.date(2026, 7, 20)
DAY = dt.date(2026, 7, 17)
CATALOG = Catalog(instruments={}, events={}, calendar_overrides=(), content_hash="")
FIGURES = {
    "当日交易总额（亿元港币）": "551.67",
    "当日买入交易金额（亿元港币）": "291.03",
    "当日卖出交易金额（亿元港币）": "260.65",
    "当日交易总笔数（万笔）": "95.21",
    "当日买入交易笔数（万笔）": "50.41",
    "当日卖出交易笔数（万笔）": "44.79",
    "当日ETF交易总额（亿元港币）": "4.65",
    "当日额度余额（亿元人民币）": "420.00",
}


def parse(figures: dict[str, Any] | bytes, subname: str = "2026-07-17", key: str = "total") -> Parsed:
    request = FetchRequest(szse.SOURCE, szse.SOURCE, Dataset.SOUTHBOUND_FLOW, "szse", start=DAY, end=DAY)
    if isinstance(figures, bytes):
        body = figures
    else:
        rows = [{"label": label, key: value} for label, value in figures.items()]
        body = json.dumps([{"metadata": {"subname": subname}, "data": rows}], ensure_ascii=False).encode()
    return szse.parse(Payload(request, body, "application/json", 200, NOW), CATALOG)


def rule(*args: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        parse(*args)
    return caught.value.rule


def test_plan() -> None:
    def sessions(market: str, start: dt.date, end: dt.date) -> list[dt.date]:
        assert (market, start, end) == ("SOUTHBOUND", dt.date(2016, 12, 5), TODAY)
        return [DAY]

    (request,) = szse.plan(CATALOG, dt.date(2014, 1, 1), dt.date(2030, 1, 1), today=TODAY, sessions=sessions)
    assert request.params["txtDate"] == "2026-07-17"
    answer = SimpleNamespace(body=b"[]", media_type="x", status=200, fetched_at=NOW)
    got = szse.fetch(request, SimpleNamespace(get=lambda url, params, headers: answer))  # type: ignore[arg-type]
    assert got.body == b"[]"


@pytest.mark.parametrize("key", ["total", "je", "value"])
def test_figures_by_label(key: str) -> None:
    (row,) = parse(FIGURES, key=key).frame.to_dict("records")
    assert row["channel"] == "szse"
    assert (row["buy_hkd_mn"], row["sell_hkd_mn"], row["turnover_hkd_mn"]) == (29103.0, 26065.0, 55167.0)
    assert (row["net_buy_hkd_mn"], row["etf_turnover_hkd_mn"]) == (3038.0, 465.0)
    assert (row["buy_trade_count"], row["sell_trade_count"]) == (504100.0, 447900.0)


@settings(max_examples=25)
@given(st.permutations(list(FIGURES)))
def test_order_of_labels_does_not_matter(labels: list[str]) -> None:
    assert parse({label: FIGURES[label] for label in labels}).frame.equals(parse(FIGURES).frame)


def test_only_buy_and_sell_are_needed() -> None:
    row = parse({label: value for label, value in FIGURES.items() if "金额" in label}).frame.iloc[0]
    assert row["net_buy_hkd_mn"] == 3038.0
    assert math.isnan(row["turnover_hkd_mn"])


def test_days_without_rows() -> None:
    for subname in ("", "2026-07-17"):
        parsed = parse({}, subname)
        assert len(parsed.frame) == 0
        assert [finding.rule for finding in parsed.findings] == ["not_trading_day"]
    parsed = parse({label.replace("港币", "人民币"): value for label, value in FIGURES.items()})
    assert len(parsed.frame) == 0
    assert [finding.rule for finding in parsed.findings] == ["currency_not_hkd"]


def test_refusals() -> None:
    assert rule(b"<!doctype html>") == "not_html"
    assert rule(b"{}") == "answer_shape"
    assert rule(FIGURES, "2026-07-16") == "date_matches"
    assert rule({}, "2026-07-16") == "date_matches"
    assert rule(FIGURES, "") == "date_valid"
    assert rule(FIGURES, "2026-13-45") == "date_valid"
    assert rule({"当日买入交易金额（亿元港币）": "1"}) == "header_known"
    assert rule(FIGURES | {"买入金额（亿港元）": "1"}) == "header_known"
    assert rule({label.replace("亿元", "百万元"): value for label, value in FIGURES.items()}) == "unit_known"
    assert rule({label.replace("万笔", "笔"): value for label, value in FIGURES.items()}) == "unit_known"
    assert rule(FIGURES | {"当日买入交易金额（亿元港币）": "x"}) == "number_valid"
    assert rule(FIGURES | {"当日买入交易金额（亿元港币）": "300"}) == "turnover_is_sum"
