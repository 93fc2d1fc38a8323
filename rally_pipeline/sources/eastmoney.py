"""Eastmoney index history (k-lines): fills what Yahoo does not have, above all the Hang Seng TECH Index.

Belongs here: the k-line address and its answer. Does not belong here: Stock Connect flows of the same provider (a
module of their own), or whether the running day's bar may be loaded (the pipeline's session check).

Taken from a bar: open, high, low, close and, where it is above zero, turnover. Volume is not: the upstream counts it
in shares or in lots depending on the market and does not say which.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import CatalogError, PayloadError
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame
from rally_pipeline.sources.delimited import parse_day

if TYPE_CHECKING:
    from rally_pipeline.sources.http import Upstream

SOURCE = "eastmoney"

_URL = "https://push2his.eastmoney.com/api/qt/stock/kline/get"
_MAX_BARS = 10_000
#: The parameter ``ut``. Sent by the provider's own pages; public, the same for everyone.
_UT = "f057cbcbce2a86e2866ab8877db1d059"
_HEADERS = {"Referer": "https://quote.eastmoney.com/"}
#: Positions in a bar. Close stands third, before high and low.
_POSITIONS = {"open": 1, "close": 2, "high": 3, "low": 4, "turnover": 6}
_REQUIRED = 5
#: Codes that look right and are another index.
_WRONG_CODES = {("^NDX", "100.NDX"): "100.NDX is the Nasdaq Composite; the Nasdaq 100 is 100.NDX100"}


def plan(
    catalog: Catalog, start: dt.date, end: dt.date, *, symbols: Collection[str] | None = None, today: dt.date
) -> list[FetchRequest]:
    """One request per instrument with a price source ``eastmoney``, for as many bars as reach back to `start`.

    The upstream only knows "the last so many bars": the answer goes on to the running day, beyond `end`.

    Raises:
        CatalogError: the price source has no code such as ``124.HSTECH``, or one known to be wrong.

    """
    requests = []
    for instrument in catalog.instruments.values():
        source = next((item for item in instrument.price_sources if item.source == SOURCE), None)
        if source is None or (symbols is not None and instrument.symbol not in symbols):
            continue
        market, _, code = (source.code or "").partition(".")
        if not (market.isdigit() and code):
            raise CatalogError(
                f"instruments.yaml, {instrument.symbol}: price source {SOURCE} has code {source.code!r}; "
                "give market number and code, such as 124.HSTECH"
            )
        if (instrument.symbol, source.code) in _WRONG_CODES:
            raise CatalogError(
                f"instruments.yaml, {instrument.symbol}: {_WRONG_CODES[instrument.symbol, source.code or '']}"
            )
        # A few bars more than there can be sessions, so that a first run also meets the bar before.
        bars = max(1, min((today - start).days + 5, _MAX_BARS))
        requests.append(
            FetchRequest(
                source=SOURCE,
                parser=SOURCE,
                dataset=Dataset.PRICE,
                subject=instrument.symbol,
                url=_URL,
                params={
                    "secid": source.code or "",
                    "klt": "101",
                    "fqt": "1",
                    "lmt": str(bars),
                    "end": "20500000",
                    "iscca": "1",
                    "forcect": "1",
                    "fields1": "f1,f2,f3,f4,f5,f6,f7,f8",
                    "fields2": ",".join(f"f{number}" for number in range(51, 65)),
                    "ut": _UT,
                },
                start=start,
                end=end,
            )
        )
    return requests


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Asks for the bars.

    Raises:
        PermanentFetchError, RetryableFetchError: as the upstream answers.

    """
    answer = upstream.get(request.url, params=request.params, headers=_HEADERS)
    return Payload(request, answer.body, answer.media_type, answer.status, answer.fetched_at)


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """All bars of the answer, oldest first; the last may be of a session still running.

    Raises:
        PayloadError: ``symbol_known``, ``not_html``, ``json_valid``, ``not_empty`` (no data, or an error code),
            ``ticker_matches``, ``bar_shape``, ``date_valid``, ``number_valid``, ``unique_session``.

    """
    request = payload.request
    symbol = catalog.resolve_symbol(request.subject)
    if symbol is None:
        raise PayloadError("symbol_known", f"{request.subject} is not in the catalog", "add an entry for it")
    data = _data(payload.body)
    _check_ticker(data, request.params.get("secid", ""), symbol, catalog)
    bars = data.get("klines")
    if not isinstance(bars, list) or not bars:
        raise PayloadError("not_empty", "the answer has no bars", locator="data.klines")

    seen: dict[dt.date, tuple[str, int]] = {}
    rows: list[tuple[dt.date, dict[str, float], str]] = []
    without_close = repeated = 0
    for number, bar in enumerate(bars):
        where = f"data.klines[{number}]"
        if not isinstance(bar, str) or bar.count(",") < _REQUIRED - 1:
            raise PayloadError("bar_shape", f"{str(bar)[:80]!r} is not date,open,close,high,low,…", locator=where)
        cells = [cell.strip() for cell in bar.split(",")]
        try:
            day = parse_day(cells[0])[0]
        except ValueError:
            raise PayloadError("date_valid", f"date is {cells[0]!r}, not a date", locator=where) from None
        if day in seen:
            if seen[day][0] != bar:
                raise PayloadError(
                    "unique_session", f"two different bars for {day}, the other at {seen[day][1]}", locator=where
                )
            repeated += 1
            continue
        seen[day] = (bar, number)
        values = {
            name: _number(cells[position], name, where)
            for name, position in _POSITIONS.items()
            if position < len(cells)
        }
        if math.isnan(values["close"]):
            without_close += 1
            continue
        # Indices abroad come with a turnover of 0, which says "not given".
        if not values.get("turnover", 0.0) > 0:
            values["turnover"] = math.nan
        rows.append((day, values, where))
    if not rows:
        raise PayloadError("not_empty", "no bar has a close", locator="data.klines")

    rows.sort(key=lambda row: row[0])
    frame = typed_frame(
        Dataset.PRICE,
        {
            "symbol": [symbol] * len(rows),
            "session_date": [dt.datetime.combine(row[0], dt.time()) for row in rows],
            "currency": [catalog.instruments[symbol].currency] * len(rows),
            "locator": [row[2] for row in rows],
            **{name: [row[1][name] for row in rows] for name in _POSITIONS},
        },
    )
    findings = []
    if without_close:
        text = f"{without_close} bars without a close left out"
        findings.append(Finding("no_close", Severity.WARN, text, "data.klines", rows=without_close))
    if repeated:
        text = f"{repeated} bars repeat another and are left out"
        findings.append(Finding("duplicate_row", Severity.WARN, text, "data.klines", rows=repeated))
    return Parsed(frame, tuple(findings))


def _data(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise PayloadError("not_empty", "the answer is empty")
    if body.lstrip()[:1] == b"<":
        raise PayloadError("not_html", "this is a web page, not data", "try later")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PayloadError("json_valid", f"the answer is not JSON ({type(error).__name__})", "try later") from error
    if not isinstance(answer, dict):
        raise PayloadError("json_valid", "the answer is not a JSON object")
    data = answer.get("data")
    if answer.get("rc") not in (0, None) or not isinstance(data, dict):
        raise PayloadError(
            "not_empty", f"the answer has no data (rc {answer.get('rc')!r})", "check the code in the catalog", "data"
        )
    return data


def _check_ticker(data: dict[str, Any], secid: str, symbol: str, catalog: Catalog) -> None:
    market, _, code = secid.partition(".")
    if str(data.get("code", "")).upper() != code.upper() or str(data.get("market", market)) != market:
        raise PayloadError(
            "ticker_matches",
            f"the answer is of {data.get('market', '?')}.{data.get('code')} ({data.get('name')}), "
            f"but {secid} was asked for",
            locator="data.code",
        )
    # Names are in Chinese and change in detail: only one that the catalog gives to another instrument is refused.
    named = catalog.resolve_symbol(str(data.get("name") or ""))
    if named is not None and named != symbol:
        raise PayloadError(
            "ticker_matches",
            f"the answer is of {data['name']}, which is {named}, but {symbol} was asked for",
            "correct the code in the catalog",
            locator="data.name",
        )


def _number(text: str, name: str, where: str) -> float:
    if text in ("", "-"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise PayloadError("number_valid", f"{name} is {text!r}, not a number", locator=where)
    return value
