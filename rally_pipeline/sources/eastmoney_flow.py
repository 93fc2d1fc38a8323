"""Eastmoney's history of Stock Connect: both directions, each channel and their total, back to 2014.

Belongs here: the paged report and its answer. Does not belong here: index histories of the same provider
(`eastmoney.py`), or which source wins where HKEX has the day as well.

Southbound amounts are HK$ million, northbound ones CNY million. Of northbound, buy, sell and net have not been
published since 2024-08-19. The upstream is unofficial: it has repeated a day under the next date and fills closed days
with zeros; both are left out.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError, RetryableFetchError
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame
from rally_pipeline.sources.delimited import parse_day
from rally_pipeline.sources.stock_connect import (
    CHANNEL_START,
    NORTHBOUND_TYPES,
    SOUTHBOUND_TYPES,
    Sessions,
    as_asked,
    load_json,
    mutual_history,
    number,
    southbound_days,
)

if TYPE_CHECKING:
    from rally_pipeline.sources.http import Upstream

SOURCE = "eastmoney_flow"

_URL = "https://datacenter-web.eastmoney.com/api/data/v1/get"
_HEADERS = {"Referer": "https://data.eastmoney.com/"}
_REPORT = "RPT_MUTUAL_DEAL_HISTORY"
_PAGE_SIZE = 1000
#: Calendar years per request, counted from even years: some 490 sessions, so that one page holds them.
_CHUNK_YEARS = 2
_TYPES = {**SOUTHBOUND_TYPES, **NORTHBOUND_TYPES}
_ASKED_TYPE = re.compile(r'MUTUAL_TYPE="(\d{3})"', re.ASCII)
_NOTHING_THERE = 9201
_BUSY = 9701
_SAYS_BUSY = re.compile(rb'"code"\s*:\s*"?9701\b')
_FIGURES = {"buy": "BUY_AMT", "sell": "SELL_AMT", "net": "NET_DEAL_AMT", "turnover": "DEAL_AMT", "count": "DEAL_NUM"}


def plan(
    catalog: Catalog,
    start: dt.date,
    end: dt.date,
    *,
    symbols: Collection[str] | None = None,
    today: dt.date,
    sessions: Sessions | None = None,
) -> list[FetchRequest]:
    """One request per type and two calendar years with a session in [start, end], oldest first.

    Each answer fits one page, and the requests for past years are the same on every run: a backfill that was
    interrupted goes on with the years it does not have.

    Args:
        catalog: not looked at.
        start: first session date, inclusive; nothing is asked for from before a channel opened.
        end: last session date, inclusive; not beyond `today`.
        symbols: not looked at.
        today: market-local date of the run.
        sessions: ``sessions(market, start, end)``, asked for ``SOUTHBOUND``; without it every weekday counts.
            Northbound is asked for on the same days.

    """
    requests = []
    end = min(end, today)
    for year in range(start.year - start.year % _CHUNK_YEARS, end.year + 1, _CHUNK_YEARS):
        first = max(start, dt.date(year, 1, 1))
        last = min(end, dt.date(year + _CHUNK_YEARS - 1, 12, 31))
        days = southbound_days(sessions, max(first, CHANNEL_START["total"]), last)
        for code, channel in sorted(_TYPES.items()):
            of_channel = [day for day in days if day >= CHANNEL_START[channel]]
            if of_channel:
                requests.append(_request(code, of_channel[0], of_channel[-1]))
    return requests


def _request(code: int, first: dt.date, last: dt.date) -> FetchRequest:
    dataset = Dataset.SOUTHBOUND_FLOW if code in SOUTHBOUND_TYPES else Dataset.NORTHBOUND_TURNOVER
    return FetchRequest(
        source=SOURCE,
        parser=SOURCE,
        dataset=dataset,
        subject=f"mutual_type {code:03d}",
        url=_URL,
        params={
            "reportName": _REPORT,
            "columns": "ALL",
            "filter": f"(MUTUAL_TYPE=\"{code:03d}\")(TRADE_DATE>='{first}')(TRADE_DATE<='{last}')",
            "sortColumns": "TRADE_DATE",
            "sortTypes": "-1",
            "pageSize": str(_PAGE_SIZE),
            "pageNumber": "1",
            "source": "WEB",
            "client": "WEB",
        },
        start=first,
        end=last,
    )


def fetch(request: FetchRequest, upstream: Upstream, *, sleep: Callable[[float], None] = time.sleep) -> Payload:
    """Asks for the page; an answer "server busy" (status 200, code 9701) is asked for again.

    Between attempts it waits two, four and eight times the upstream's pace.

    Raises:
        PermanentFetchError: as the upstream answers.
        RetryableFetchError: as the upstream answers, or it stays busy.

    """
    for attempt in range(1, upstream.attempts + 1):
        answer = upstream.get(request.url, params=request.params, headers=_HEADERS)
        # The code stands at the end of the envelope, after the rows; of an answer without rows, anywhere.
        if not _SAYS_BUSY.search(answer.body[:2000] + answer.body[-2000:]):
            return Payload(request, answer.body, answer.media_type, answer.status, answer.fetched_at)
        if attempt < upstream.attempts:
            sleep(upstream.pace_seconds * 2**attempt)
    raise RetryableFetchError(f"{SOURCE} says that it is busy (code {_BUSY}): {request.subject}")


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """The rows of one type, oldest first; locators are ``result.data[N]``.

    Findings: ``empty_answer``, ``closed_day_row``, ``duplicate_row`` (*warn*), ``stale_repeat`` (*quarantine*: the
    figures of a row are those of the row before under another date; left out).

    Raises:
        PayloadError: ``not_empty``, ``not_html``, ``size_bound``, ``depth_bound``, ``json_valid``, ``answer_shape``,
            ``upstream_error``, ``not_truncated``, ``type_matches``, ``date_valid``, ``date_matches``,
            ``number_valid``, ``unique_session``.

    """
    request = payload.request
    answer = load_json(payload.body)
    if not isinstance(answer, dict):
        raise PayloadError("answer_shape", "the answer is not a JSON object", "try later")
    result = answer.get("result")
    if result is None and answer.get("code") == _NOTHING_THERE:
        text = f"no rows for {request.subject} from {request.start} to {request.end}"
        finding = Finding("empty_answer", Severity.WARN, text, "code")
        return Parsed(typed_frame(request.dataset, {}), (finding,))
    if not answer.get("success", True) or answer.get("code") not in (0, None) or not isinstance(result, dict):
        said = f"code {answer.get('code')!r}, {str(answer.get('message'))[:80]!r}"
        raise PayloadError("upstream_error", f"the upstream gives no rows ({said})", "fetch it again later")
    rows = result.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PayloadError("answer_shape", "the answer has no list of rows", locator="result.data")
    pages, count = result.get("pages"), result.get("count")
    if (isinstance(pages, int) and pages > 1) or (isinstance(count, int) and count > len(rows)):
        raise PayloadError(
            "not_truncated",
            f"the answer has {len(rows)} of {count} rows, on {pages} pages",
            "ask for a shorter range of dates",
            locator="result.pages",
        )
    if not rows:
        return Parsed(
            typed_frame(request.dataset, {}), (Finding("empty_answer", Severity.WARN, "no rows", "result.data"),)
        )

    match = _ASKED_TYPE.search(request.params.get("filter", ""))
    asked = int(match[1]) if match else None
    codes, days = [], []
    for index, row in enumerate(rows):
        where = f"result.data[{index}]"
        codes.append(_type(row, asked, where))
        days.append(_day(row, request, where))
    southbound, northbound, findings = mutual_history(
        np.array(codes, np.int64),
        np.array(days, "datetime64[D]"),
        {
            field: np.array(
                [number(row.get(name), name, f"result.data[{index}]") for index, row in enumerate(rows)], np.float64
            )
            for field, name in _FIGURES.items()
        },
        np.array([f"result.data[{index}]" for index in range(len(rows))], object),
    )
    frames = {Dataset.SOUTHBOUND_FLOW: southbound, Dataset.NORTHBOUND_TURNOVER: northbound}
    return as_asked(request.dataset, frames, findings)


def _type(row: dict[str, Any], asked: int | None, where: str) -> int:
    written = str(row.get("MUTUAL_TYPE", "")).strip()
    code = int(written) if written.isascii() and written.isdigit() else 0
    if code not in _TYPES or asked not in (None, code):
        expected = f"{asked:03d} was asked for" if asked else "001 to 006 are known"
        raise PayloadError("type_matches", f"the row is of type {written[:20]!r}, but {expected}", locator=where)
    return code


def _day(row: dict[str, Any], request: FetchRequest, where: str) -> dt.date:
    written = str(row.get("TRADE_DATE") or "").strip()
    try:
        day = parse_day(written)[0]
    except ValueError:
        raise PayloadError("date_valid", f"TRADE_DATE is {written[:40]!r}, not a date", locator=where) from None
    if (request.start and day < request.start) or (request.end and day > request.end):
        raise PayloadError(
            "date_matches", f"the row is of {day}, but {request.start} to {request.end} was asked for", locator=where
        )
    return day
