"""Shenzhen Stock Exchange: its own figures of the southbound channel, a second opinion to HKEX.

Belongs here: the address and the answer of the daily report, whose figures are found by their Chinese labels. Does not
belong here: what follows where they differ from HKEX, or the Shanghai channel (`sse.py`).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity
from rally_pipeline.sources.delimited import parse_day
from rally_pipeline.sources.sse import day_figures
from rally_pipeline.sources.stock_connect import (
    CHANNEL_START,
    Sessions,
    flow_frame,
    load_json,
    not_trading_day,
    number,
    southbound_days,
)

if TYPE_CHECKING:
    from rally_pipeline.sources.http import Upstream

SOURCE = "szse"

_URL = "https://www.szse.cn/api/report/ShowReport/data"
_HEADERS = {"Referer": "https://www.szse.cn/szhk/szhktradeinfo/hkdaily/index.html"}
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}", re.ASCII)
_VALUE_KEYS = ("total", "je", "value")


def plan(
    catalog: Catalog,
    start: dt.date,
    end: dt.date,
    *,
    symbols: Collection[str] | None = None,
    today: dt.date,
    sessions: Sessions | None = None,
) -> list[FetchRequest]:
    """One request per southbound session in [start, end], from 2016-12-05 up to `today`, oldest first.

    `catalog` and `symbols` are not looked at. ``sessions(market, start, end)`` is asked for ``SOUTHBOUND``; without
    it every weekday counts.
    """
    return [
        FetchRequest(
            SOURCE,
            SOURCE,
            Dataset.SOUTHBOUND_FLOW,
            f"szse {day}",
            url=_URL,
            params={"SHOWTYPE": "JSON", "CATALOGID": "SGT_GGTJYRB", "txtDate": day.isoformat()},
            start=day,
            end=day,
        )
        for day in southbound_days(sessions, max(start, CHANNEL_START["szse"]), min(end, today))
    ]


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Asks for the day.

    Raises:
        PermanentFetchError, RetryableFetchError: as the upstream answers.

    """
    answer = upstream.get(request.url, params=request.params, headers=_HEADERS)
    return Payload(request, answer.body, answer.media_type, answer.status, answer.fetched_at)


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """The channel ``szse`` in HK$ million; no row for a closed day or amounts that are not labelled as HK$.

    Findings (*warn*): ``not_trading_day``, ``currency_not_hkd``, ``no_figures``.

    Raises:
        PayloadError: ``not_empty``, ``not_html``, ``size_bound``, ``depth_bound``, ``json_valid``, ``answer_shape``,
            ``date_valid``, ``date_matches``, ``header_known``, ``unit_known``, ``number_valid``, ``turnover_is_sum``.

    """
    asked = payload.request.start
    answer = load_json(payload.body)
    report = answer[0] if isinstance(answer, list) and answer else None
    if not isinstance(report, dict):
        raise PayloadError("answer_shape", "the answer is not a list of reports", "try later")
    metadata = report.get("metadata")
    written = str(metadata.get("subname") or "") if isinstance(metadata, dict) else ""
    data = report.get("data")
    rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
    match = _DATE.search(written)
    if match is None:
        if not rows:
            return Parsed(flow_frame([]), (not_trading_day(asked, "the report is empty", "[0].data"),))
        raise PayloadError(
            "date_valid", f"subname is {written[:40]!r}, which has no date", locator="[0].metadata.subname"
        )
    try:
        day = parse_day(match[0])[0]
    except ValueError:
        raise PayloadError("date_valid", f"subname is {written[:40]!r}", locator="[0].metadata.subname") from None
    if asked is not None and day != asked:
        raise PayloadError(
            "date_matches", f"the report is of {day}, but {asked} was asked for", locator="[0].metadata.subname"
        )
    if not rows:
        return Parsed(flow_frame([]), (not_trading_day(day, "the report is empty", "[0].data"),))
    return _figures(day, rows)


def _field(label: str) -> str | None:
    """Which figure a label names: ``当日买入交易金额（亿元港币）`` is the amount bought; quotas are none."""
    if "累计" in label or "额度" in label or "余额" in label:
        return None
    is_count = "笔数" in label
    is_amount = not is_count and ("金额" in label or "总额" in label or "成交额" in label)
    if not (is_count or is_amount):
        return None
    has_buy, has_sell = "买入" in label, "卖出" in label
    if "etf" in label.casefold():
        return "etf" if is_amount and has_buy == has_sell else None
    side = "turnover" if has_buy == has_sell else "buy" if has_buy else "sell"
    return f"{side}_count" if is_count else side


def _figures(day: dt.date, rows: list[dict[str, Any]]) -> Parsed:
    values: dict[str, float] = {}
    for index, row in enumerate(rows):
        where = f"[0].data[{index}]"
        label = "".join(str(row.get("label") or "").split())
        field = _field(label)
        if field is None:
            continue
        if field in values:
            raise PayloadError("header_known", f"two figures are labelled as {label[:40]!r}", locator=where)
        if field.endswith("_count"):
            # Trades come in units of 10,000.
            if "万笔" not in label:
                raise PayloadError("unit_known", f"{label[:40]!r} is not in units of 万笔", locator=where)
        elif "港" not in label:
            text = f"{day}: {label[:40]!r} is not labelled as HK$; no row"
            return Parsed(flow_frame([]), (Finding("currency_not_hkd", Severity.WARN, text, where, rows=1),))
        elif "亿" not in label:
            raise PayloadError("unit_known", f"{label[:40]!r} is not in units of 亿", locator=where)
        cell = next((row[key] for key in _VALUE_KEYS if key in row), None)
        values[field] = number(cell, label, where)
    if missing := [field for field in ("buy", "sell") if field not in values]:
        labels = ", ".join(str(row.get("label"))[:30] for row in rows[:8])
        raise PayloadError("header_known", f"no label names {' or '.join(missing)}: {labels}", locator="[0].data")
    return day_figures(
        day,
        "szse",
        buy=values["buy"],
        sell=values["sell"],
        turnover=values.get("turnover", math.nan),
        etf=values.get("etf", math.nan),
        buy_count=values.get("buy_count", math.nan),
        sell_count=values.get("sell_count", math.nan),
        where="[0].data",
    )
