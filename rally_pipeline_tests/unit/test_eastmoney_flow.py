"""Eastmoney's Stock Connect history: pages by date, closed days, stale repeats, and what is refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError, RetryableFetchError
from rally_pipeline.sources import eastmoney_flow
from rally_pipeline.sources.base import COLUMNS, Dataset, FetchRequest, Parsed, Payload
from rally_pipeline.sources.http import Upstream
from rally_pipeline_tests.upstream import Answer, FakeUpstream

NOW = dt.datetime(2026, 11, 20, 13, 0, tzinfo=dt.UTC)
TODAY = dt.date(2026, 11, 20)
CATALOG = Catalog(instruments={}, events={}, calendar_overrides=(), content_hash="")


def request(code: str = "006") -> FetchRequest:
    made = eastmoney_flow.plan(CATALOG, dt.date(2026, 1, 1), TODAY, today=TODAY)
    return next(item for item in made if item.subject.endswith(code))


def row(day: str, buy: Any = 100.5, sell: Any = 60.25, code: str = "006", **fields: Any) -> dict[str, Any]:
    known = buy is not None and sell is not None
    return {
        "MUTUAL_TYPE": code,
        "TRADE_DATE": f"{day} 00:00:00",
        "BUY_AMT": buy,
        "SELL_AMT": sell,
        "NET_DEAL_AMT": buy - sell if known else None,
        "DEAL_AMT": buy + sell if known else None,
        "DEAL_NUM": None,
        "LEAD_STOCKS_NAME": "领涨",
        **fields,
    }


def envelope(rows: Any, **fields: Any) -> dict[str, Any]:
    return {
        "version": "x",
        "result": {"pages": 1, "data": rows, "count": len(rows)} | fields,
        "success": True,
        "message": "ok",
        "code": 0,
    }


def parse(content: Any, code: str = "006") -> Parsed:
    body = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    return eastmoney_flow.parse(Payload(request(code), body, "application/json", 200, NOW), CATALOG)


def rule(content: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        parse(content)
    return caught.value.rule


def test_plan_pages_by_two_years_and_type() -> None:
    requests = eastmoney_flow.plan(CATALOG, dt.date(2010, 1, 1), dt.date(2030, 1, 1), today=TODAY)
    assert all((item.end - item.start).days < 2 * 366 for item in requests if item.start and item.end)
    by_type: dict[str, list[FetchRequest]] = {}
    for item in requests:
        by_type.setdefault(item.subject[-3:], []).append(item)
    assert {code: len(items) for code, items in by_type.items()} == {
        "001": 7, "002": 7, "003": 6, "004": 6, "005": 7, "006": 7,
    }  # fmt: skip
    assert by_type["004"][0].start == dt.date(2016, 12, 5)
    assert by_type["006"][0].start == dt.date(2014, 11, 17)
    assert by_type["006"][-1].end == TODAY
    assert by_type["006"][1].params["filter"] == (
        "(MUTUAL_TYPE=\"006\")(TRADE_DATE>='2016-01-01')(TRADE_DATE<='2017-12-29')"
    )
    assert {items[0].dataset for code, items in by_type.items() if int(code) % 2} == {Dataset.NORTHBOUND_TURNOVER}
    assert {items[0].dataset for code, items in by_type.items() if not int(code) % 2} == {Dataset.SOUTHBOUND_FLOW}
    # Chunks that are over are asked for in the same words by a later run.
    later = eastmoney_flow.plan(CATALOG, dt.date(2010, 1, 1), TODAY, today=TODAY + dt.timedelta(days=30))
    assert [item for item in requests if item.end < dt.date(2026, 1, 1)] == [  # type: ignore[operator]
        item
        for item in later
        if item.end < dt.date(2026, 1, 1)  # type: ignore[operator]
    ]


def test_plan_asks_only_for_sessions() -> None:
    days = [dt.date(2026, 10, 8), dt.date(2026, 10, 9)]

    def sessions(market: str, start: dt.date, end: dt.date) -> list[dt.date]:
        assert market == "SOUTHBOUND"
        return [day for day in days if start <= day <= end]

    made = eastmoney_flow.plan(CATALOG, dt.date(2026, 10, 5), dt.date(2026, 10, 11), today=TODAY, sessions=sessions)
    assert {(item.start, item.end) for item in made} == {(days[0], days[1])}
    assert len(made) == 6
    none = eastmoney_flow.plan(CATALOG, dt.date(2026, 10, 5), dt.date(2026, 10, 7), today=TODAY, sessions=sessions)
    assert none == []


class Busy:
    """Says that it is busy so many times, then answers."""

    attempts = 4
    pace_seconds = 1.0

    def __init__(self, times: int) -> None:
        self.times, self.asked = times, 0

    def get(self, url: str, params: Any, headers: Any) -> Any:
        self.asked += 1
        busy = '{"result":null,"success":false,"message":"服务器繁忙","code":9701}'.encode()
        body = busy if self.asked <= self.times else json.dumps(envelope([row("2026-11-19", DEAL_NUM=9701)])).encode()
        return SimpleNamespace(body=body, media_type="application/json", status=200, fetched_at=NOW)


def test_busy_is_asked_again_and_then_retryable() -> None:
    waits: list[float] = []
    upstream = Busy(2)
    payload = eastmoney_flow.fetch(request(), upstream, sleep=waits.append)  # type: ignore[arg-type]
    assert waits == [2.0, 4.0]
    assert len(eastmoney_flow.parse(payload, CATALOG).frame) == 1

    waits.clear()
    with pytest.raises(RetryableFetchError, match="9701"):
        eastmoney_flow.fetch(request(), Busy(9), sleep=waits.append)  # type: ignore[arg-type]
    assert waits == [2.0, 4.0, 8.0]


def test_fetch_over_http() -> None:
    busy = {"result": None, "success": False, "message": "服务器繁忙", "code": 9701}
    page = envelope([row("2026-11-19")])
    with FakeUpstream() as fake, Upstream(base=fake.base) as upstream:
        fake.route("datacenter-web.eastmoney.com", "/api/data/v1/get", [Answer(busy), Answer(page)])
        payload = eastmoney_flow.fetch(request(), upstream)
        assert len(eastmoney_flow.parse(payload, CATALOG).frame) == 1
        asked = fake.asked()
    assert len(asked) == 2
    assert asked[0].param("filter") == "(MUTUAL_TYPE=\"006\")(TRADE_DATE>='2026-01-01')(TRADE_DATE<='2026-11-20')"
    assert asked[0].headers["referer"] == "https://data.eastmoney.com/"


@pytest.mark.parametrize(("code", "channel"), [("002", "sse"), ("004", "szse"), ("006", "total")])
def test_southbound(code: str, channel: str) -> None:
    parsed = parse(envelope([row("2026-11-19", code=code), row("2026-11-18", 70.1, 80.2, code=code)]), code)
    assert list(parsed.frame["channel"]) == [channel] * 2
    assert [day.day for day in parsed.frame["session_date"]] == [18, 19]
    assert list(parsed.frame["net_buy_hkd_mn"]) == [-10.1, 40.25]
    assert list(parsed.frame["turnover_hkd_mn"]) == [150.3, 160.75]
    assert list(parsed.frame["locator"]) == ["result.data[1]", "result.data[0]"]
    assert {name: str(dtype) for name, dtype in parsed.frame.dtypes.items()} == COLUMNS[Dataset.SOUTHBOUND_FLOW]
    assert not parsed.extra
    assert not parsed.findings


def test_northbound_has_turnover_and_count_only() -> None:
    rows = [
        row("2026-11-19", None, None, "001", DEAL_AMT=101257.88, DEAL_NUM=5269396),
        row("2026-11-18", None, None, "001", DEAL_AMT=142256.09, DEAL_NUM=7114374, NET_DEAL_AMT=0),
        row("2026-11-17", None, None, "001", DEAL_AMT=0, DEAL_NUM=0, NET_DEAL_AMT=0),
    ]
    parsed = parse(envelope(rows), "001")
    assert list(parsed.frame["turnover_cny_mn"]) == [142256.09, 101257.88]
    assert list(parsed.frame["trade_count"]) == [7114374, 5269396]
    assert parsed.frame[["buy_cny_mn", "sell_cny_mn", "net_buy_cny_mn"]].isna().all().all()
    assert [finding.rule for finding in parsed.findings] == ["closed_day_row"]
    assert {name: str(dtype) for name, dtype in parsed.frame.dtypes.items()} == COLUMNS[Dataset.NORTHBOUND_TURNOVER]


@pytest.mark.parametrize("filler", [{}, {"DEAL_AMT": 0}, {"DEAL_AMT": 0, "BUY_AMT": 0, "SELL_AMT": 0}])
def test_closed_days_are_left_out(filler: dict[str, Any]) -> None:
    closed = row("2026-10-07", None, None, NET_DEAL_AMT=0) | filler
    parsed = parse(envelope([row("2026-10-08"), closed]))
    assert [day.day for day in parsed.frame["session_date"]] == [8]
    (finding,) = parsed.findings
    assert (finding.rule, finding.rows) == ("closed_day_row", 1)


def test_turnover_alone_is_kept_should_southbound_sides_ever_end() -> None:
    parsed = parse(envelope([row("2026-10-08", None, None, DEAL_AMT=900.5)]))
    assert list(parsed.frame["turnover_hkd_mn"]) == [900.5]
    assert parsed.frame[["buy_hkd_mn", "net_buy_hkd_mn"]].isna().all().all()


def test_stale_repeat_is_set_aside() -> None:
    rows = [row("2026-11-17"), row("2026-11-18"), row("2026-11-19", 5, 4), row("2026-11-20")]
    parsed = parse(envelope(rows))
    assert [day.day for day in parsed.frame["session_date"]] == [17, 19, 20]
    (finding,) = parsed.findings
    assert (finding.rule, str(finding.severity), finding.locator) == ("stale_repeat", "quarantine", "result.data[1]")


def test_a_repeat_across_a_closed_day_is_stale_too() -> None:
    rows = [row("2026-11-18"), row("2026-11-19", None, None, NET_DEAL_AMT=0), row("2026-11-20")]
    parsed = parse(envelope(rows))
    assert [finding.rule for finding in parsed.findings] == ["closed_day_row", "stale_repeat"]
    assert len(parsed.frame) == 1


def test_northbound_repeat_needs_turnover_and_count() -> None:
    same = {"DEAL_AMT": 5.0, "DEAL_NUM": 7}
    rows = [row(f"2026-11-{day}", None, None, "001", **same) for day in (18, 19)]
    assert [finding.rule for finding in parse(envelope(rows), "001").findings] == ["stale_repeat"]
    rows[1]["DEAL_NUM"] = 8
    assert len(parse(envelope(rows), "001").frame) == 2


def test_empty_answers() -> None:
    nothing = {"result": None, "success": False, "message": "返回数据为空", "code": 9201}
    for content in (nothing, envelope([])):
        parsed = parse(content)
        assert len(parsed.frame) == 0
        assert [finding.rule for finding in parsed.findings] == ["empty_answer"]


def test_refusals() -> None:
    assert rule(b"") == "not_empty"
    assert rule(b"<html>") == "not_html"
    assert rule([]) == "answer_shape"
    assert rule({"result": None, "success": False, "message": "busy", "code": 9701}) == "upstream_error"
    assert rule(envelope({"a": 1})) == "answer_shape"
    assert rule(envelope([row("2026-11-19")], pages=2)) == "not_truncated"
    assert rule(envelope([row("2026-11-19")], count=2)) == "not_truncated"
    assert rule(envelope([row("2026-11-19", code="002")])) == "type_matches"
    assert rule(envelope([row("2025-11-19")])) == "date_matches"
    assert rule(envelope([row("soon")])) == "date_valid"
    assert rule(envelope([row("2026-11-19", BUY_AMT="many")])) == "number_valid"
    assert rule(envelope([row("2026-11-19"), row("2026-11-19", 1, 2)])) == "unique_session"
    assert [item.rule for item in parse(envelope([row("2026-11-19")] * 2)).findings] == ["duplicate_row"]


_VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.lists(st.none(), max_size=1)
)


@given(st.sampled_from(["BUY_AMT", "NET_DEAL_AMT", "TRADE_DATE", "MUTUAL_TYPE", "DEAL_NUM"]), _VALUES)
def test_any_cell_gives_a_payload_error(name: str, value: Any) -> None:
    with contextlib.suppress(PayloadError):
        parse(envelope([row("2026-11-18"), row("2026-11-19") | {name: value}]))
