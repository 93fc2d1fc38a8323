"""Shanghai Stock Exchange: its own figures of the southbound channel, a second opinion to HKEX.

Belongs here: the address and the answer of the day's figures. Does not belong here: what follows where they differ
from HKEX (reconciliation in the warehouse), or the Shenzhen channel (`szse.py`).

Amounts come in units of 100 million, which are HK$ **from 2024-08-19 only**; before, they are CNY, and nothing in the
answer says so. Days before are neither asked for nor loaded.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity
from rally_pipeline.sources.delimited import parse_day
from rally_pipeline.sources.stock_connect import (
    Sessions,
    check_sum,
    flow_frame,
    load_json,
    not_trading_day,
    number,
    rounded,
    southbound_days,
)

if TYPE_CHECKING:
    from rally_pipeline.sources.http import Upstream

SOURCE = "sse"

#: From this day on amounts are in HK$.
HKD_START = dt.date(2024, 8, 19)

_URL = "https://query.sse.com.cn/ggt/getQuatationInfo.do"
_HEADERS = {"Referer": "https://www.sse.com.cn/services/hkexsc/ggtscsj/ggtcjgk/"}
#: 100 million in millions, and 10,000 trades in trades.
_HUNDRED_MILLION = 100.0
_TEN_THOUSAND = 10_000.0
#: Three figures of two decimals, each rounded by itself.
_SUM_TOLERANCE = 0.02


def plan(
    catalog: Catalog,
    start: dt.date,
    end: dt.date,
    *,
    symbols: Collection[str] | None = None,
    today: dt.date,
    sessions: Sessions | None = None,
) -> list[FetchRequest]:
    """One request per southbound session in [start, end], from 2024-08-19 up to `today`, oldest first.

    `catalog` and `symbols` are not looked at. ``sessions(market, start, end)`` is asked for ``SOUTHBOUND``; without
    it every weekday counts.
    """
    return [
        FetchRequest(
            SOURCE,
            SOURCE,
            Dataset.SOUTHBOUND_FLOW,
            f"sse {day}",
            url=_URL,
            params={"tradeDate": f"{day:%Y%m%d}"},
            start=day,
            end=day,
        )
        for day in southbound_days(sessions, max(start, HKD_START), min(end, today))
    ]


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Asks for the day.

    Raises:
        PermanentFetchError, RetryableFetchError: as the upstream answers.

    """
    answer = upstream.get(request.url, params=request.params, headers=_HEADERS)
    return Payload(request, answer.body, answer.media_type, answer.status, answer.fetched_at)


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """The channel ``sse`` in HK$ million; no row for a closed day or one whose amounts are CNY.

    Findings (*warn*): ``not_trading_day``, ``currency_not_hkd``, ``no_figures``.

    Raises:
        PayloadError: ``not_empty``, ``not_html``, ``size_bound``, ``depth_bound``, ``json_valid``, ``answer_shape``,
            ``date_valid``, ``date_matches``, ``number_valid``, ``turnover_is_sum``.

    """
    asked = payload.request.start
    answer = load_json(payload.body)
    if not isinstance(answer, dict) or "result" not in answer:
        raise PayloadError("answer_shape", "the answer has no result", "try later")
    result = answer["result"]
    rows = [row for row in result if row is not None] if isinstance(result, list) else result
    if not rows:
        return Parsed(flow_frame([]), (not_trading_day(asked, "the answer has no day", "result"),))
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
        raise PayloadError("answer_shape", "the answer holds something other than one day", locator="result")
    (row,) = rows
    where = "result[0]"
    try:
        day = parse_day(str(row.get("TRADE_DATE", "")).strip())[0]
    except ValueError:
        raise PayloadError("date_valid", f"TRADE_DATE is {str(row.get('TRADE_DATE'))[:40]!r}", locator=where) from None
    if asked is not None and day != asked:
        raise PayloadError("date_matches", f"the row is of {day}, but {asked} was asked for", locator=where)
    if day < HKD_START:
        text = f"{day}: amounts before {HKD_START} are CNY, not HK$; no row"
        return Parsed(flow_frame([]), (Finding("currency_not_hkd", Severity.WARN, text, where, rows=1),))

    def amount(name: str) -> float:
        return number(row.get(name), name, where)

    return day_figures(
        day,
        "sse",
        buy=amount("BUY_AMOUNT"),
        sell=amount("SELL_AMOUNT"),
        turnover=amount("TOTAL_AMOUNT"),
        etf=amount("ETF_TOTAL_AMOUNT"),
        buy_count=amount("BUY_VOLUME"),
        sell_count=amount("SELL_VOLUME"),
        where=where,
    )


def day_figures(
    day: dt.date,
    channel: str,
    *,
    buy: float,
    sell: float,
    turnover: float,
    etf: float,
    buy_count: float,
    sell_count: float,
    where: str,
) -> Parsed:
    """One day of a mainland exchange as a frame of one row.

    Args:
        day: session date.
        channel: ``sse`` or ``szse``.
        buy, sell, turnover, etf: in units of HK$ 100 million; NaN = not given.
        buy_count, sell_count: in units of 10,000 trades.
        where: locator.

    Raises:
        PayloadError: ``turnover_is_sum``, ``number_valid`` (a figure below zero).

    """
    if math.isnan(buy) or math.isnan(sell):
        finding = Finding("no_figures", Severity.WARN, f"{day}: buy or sell is not given; no row", where, rows=1)
        return Parsed(flow_frame([]), (finding,))
    for name, value in {"buy": buy, "sell": sell, "turnover": turnover}.items():
        if value < 0:
            raise PayloadError("number_valid", f"{name} is {value}, below zero", locator=where)
    check_sum(buy, sell, turnover, where, unit="HK$ 100 mn", tolerance=_SUM_TOLERANCE)
    row: dict[str, Any] = {
        "channel": channel,
        "session_date": day,
        "buy_hkd_mn": rounded(buy * _HUNDRED_MILLION),
        "sell_hkd_mn": rounded(sell * _HUNDRED_MILLION),
        "net_buy_hkd_mn": rounded((buy - sell) * _HUNDRED_MILLION),
        "turnover_hkd_mn": rounded(turnover * _HUNDRED_MILLION),
        "buy_trade_count": rounded(buy_count * _TEN_THOUSAND),
        "sell_trade_count": rounded(sell_count * _TEN_THOUSAND),
        "etf_turnover_hkd_mn": rounded(etf * _HUNDRED_MILLION),
        "locator": where,
    }
    return Parsed(flow_frame([row]))
