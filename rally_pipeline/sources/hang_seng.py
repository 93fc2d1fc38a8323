"""Hang Seng Indexes: one file per index and session, the best source of the Hang Seng family.

Belongs here: the addresses and the file format (UTF-16, tab-separated, two header rows, SOURCES-style columns such as
``Index Turnover (Mn)``). Does not belong here: which days are sessions (`sessions.py`).

About 25 sessions are kept upstream, so older days are never asked for; what was fetched stays in the archive.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from rally_pipeline.catalog.model import Catalog, Instrument
from rally_pipeline.errors import CatalogError, PayloadError, PermanentFetchError
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame
from rally_pipeline.sources.delimited import decode_text, read_cells, split_line

if TYPE_CHECKING:
    import pandas as pd

    from rally_pipeline.sources.http import Upstream

SOURCE = "hang_seng"

#: How many sessions the upstream keeps.
KEPT_SESSIONS = 25

_HOST = "https://www.hsi.com.hk"
_GATEWAY = f"{_HOST}/api/wsit-hsi-ddoc-ea-public-website-proxy/v1/content/gcs/download"
_GATEWAY_ROOT = "/public-website/webapp/contents/en/indexes/report"
_STATIC = f"{_HOST}/static/uploads/contents/en/indexes/report"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

#: Folder of the upstream (`PriceSource.code`) to the index's English name in its files.
INDEX_NAMES = {
    "hsi": "Hang Seng Index",
    "hscei": "Hang Seng China Enterprises Index",
    "hstech": "Hang Seng TECH Index",
}
_DEFAULT_SERIES = {"^HSI": "hsi", "^HSCE": "hscei", "HSTECH.HK": "hstech"}
_MILLION = 1_000_000.0

#: The index whose row gives the turnover of the whole market (the others repeat it), and the column.
_MARKET_SYMBOL = "^HSI"
_MARKET_TURNOVER = "market turnover (mn)"

Sessions = Callable[[str, dt.date, dt.date], list[dt.date]]


def plan(
    catalog: Catalog,
    start: dt.date,
    end: dt.date,
    *,
    symbols: Collection[str] | None = None,
    today: dt.date,
    sessions: Sessions | None = None,
) -> list[FetchRequest]:
    """One request per index and session in [start, end], within the last 25 sessions up to `today`.

    Args:
        catalog: instruments with a price source ``hang_seng`` are asked for.
        start: first session date, inclusive.
        end: last session date, inclusive.
        symbols: only these catalog symbols; ``None`` = all.
        today: market-local date of the run.
        sessions: ``sessions(market, start, end)``; without it every weekday counts as a session.

    Raises:
        CatalogError: an instrument names a series that this module does not know.

    """
    requests = []
    for instrument in catalog.instruments.values():
        source = next((item for item in instrument.price_sources if item.source == SOURCE), None)
        if source is None or (symbols is not None and instrument.symbol not in symbols):
            continue
        series = source.code or _DEFAULT_SERIES.get(instrument.symbol, "")
        if series not in INDEX_NAMES:
            raise CatalogError(
                f"instruments.yaml, {instrument.symbol}: price source {SOURCE} has code {series!r}; "
                f"use one of {', '.join(INDEX_NAMES)}"
            )
        # 25 sessions lie within 8 weeks even around the Lunar New Year.
        kept = _sessions(sessions, instrument, today - dt.timedelta(weeks=8), today)[-KEPT_SESSIONS:]
        for day in kept:
            if start <= day <= end:
                requests.append(_request(instrument.symbol, series, day))
    return requests


def _sessions(sessions: Sessions | None, instrument: Instrument, start: dt.date, end: dt.date) -> list[dt.date]:
    if sessions is not None:
        return sessions(str(instrument.market), start, end)
    days = (start + dt.timedelta(days=number) for number in range((end - start).days + 1))
    return [day for day in days if day.weekday() < 5]


def _request(symbol: str, series: str, day: dt.date) -> FetchRequest:
    name = f"idx_{day.day}{_MONTHS[day.month - 1]}{day.year % 100:02d}.csv"
    return FetchRequest(
        source=SOURCE,
        parser=SOURCE,
        dataset=Dataset.PRICE,
        subject=symbol,
        url=f"{_STATIC}/{series}/{name}",
        params={"series": series, "resource": f"{_GATEWAY_ROOT}/{series}/{name}"},
        start=day,
        end=day,
    )


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Asks the site's file gateway and, where that has nothing, the older static path.

    Raises:
        PermanentFetchError: neither has the file (not published yet, or no longer kept).
        RetryableFetchError: either did not answer properly.

    """
    try:
        answer = upstream.get(_GATEWAY, params={"resource": request.params["resource"]})
    except PermanentFetchError:
        answer = None
    # The site answers an unknown page with its start page and status 200.
    if answer is None or answer.media_type.lower().startswith("text/html"):
        answer = upstream.get(request.url)
    return Payload(request, answer.body, answer.media_type, answer.status, answer.fetched_at)


_FIELDS = {
    "daily high": "high",
    "daily low": "low",
    "index close": "close",
    "index turnover (mn)": "turnover",
}


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """The index's row (the file may hold its sub-indices beside it). Turnover is turned from millions into units.

    The file of ``^HSI`` also has the turnover of the Hong Kong market, an extra in HK$ million; a blank or zero one is
    no row.

    Raises:
        PayloadError: ``symbol_known``, ``not_empty``, ``not_html``, ``text_encoding``, ``header_known``,
            ``ticker_matches``, ``currency_matches``, ``date_matches``, ``date_valid``, ``number_valid``,
            ``unique_session``, ``table_shape``.

    """
    request = payload.request
    symbol = catalog.resolve_symbol(request.subject)
    if symbol is None:
        raise PayloadError("symbol_known", f"{request.subject} is not in the catalog", "add an entry for it")
    instrument = catalog.instruments[symbol]
    series = request.params.get("series") or _DEFAULT_SERIES.get(symbol, "")
    expected = INDEX_NAMES.get(series)
    if expected is None:
        raise PayloadError("symbol_known", f"series {series!r} of {symbol} is not one of {', '.join(INDEX_NAMES)}")

    text = decode_text(payload.body)
    header_line, width, names = _header(text)
    cells = read_cells(text, "\t", header_line + 1, width)

    index_names = cells.columns[names["index"]].to_pylist()
    mine = np.array([_english(name) == expected.casefold() for name in index_names])
    if not mine.any():
        raise PayloadError(
            "ticker_matches",
            f"the file holds {', '.join(sorted(set(index_names))[:3])}, but {expected} was asked for",
            locator=f"row {cells.lines[0]}",
        )
    if "index currency" in names:
        currencies = cells.columns[names["index currency"]].to_pylist()
        in_currency = np.array([currency == instrument.currency for currency in currencies])
        if not (mine & in_currency).any():
            seen = currencies[int(np.argmax(mine))]
            raise PayloadError(
                "currency_matches",
                f"{expected} is in {seen}, the catalog says {instrument.currency}",
                locator=f"row {cells.lines[int(np.argmax(mine))]}",
            )
        mine &= in_currency

    days = cells.days(names["trade date"], "Trade Date")[0][mine]
    lines = cells.lines[mine]
    if request.start is not None and request.end is not None:
        for day, line in zip(days.tolist(), lines.tolist(), strict=True):
            if not request.start <= day <= request.end:
                raise PayloadError(
                    "date_matches", f"the row is of {day}, but {request.start} was asked for", locator=f"row {line}"
                )
    if len(np.unique(days)) != len(days):
        raise PayloadError("unique_session", f"{expected} has two rows for one date", locator=f"row {lines[-1]}")

    values = {
        field: cells.numbers(names[header], header, is_english=True)[mine]
        for header, field in _FIELDS.items()
        if header in names
    }
    findings: tuple[Finding, ...] = ()
    has_close = ~np.isnan(values["close"])
    if not has_close.any():
        raise PayloadError("not_empty", f"{expected} has no close", locator=f"row {lines[0]}")
    if not has_close.all():
        left_out = int((~has_close).sum())
        findings = (Finding("no_close", Severity.WARN, f"{left_out} rows without a close left out", rows=left_out),)
    if "turnover" in values:
        values["turnover"] = np.round(values["turnover"] * _MILLION)
    order = np.flatnonzero(has_close)[np.argsort(days[has_close], kind="stable")]
    count = len(order)
    frame = typed_frame(
        Dataset.PRICE,
        {
            "symbol": [symbol] * count,
            "session_date": days[order].astype("datetime64[s]"),
            "currency": [instrument.currency] * count,
            "locator": [f"row {line}" for line in lines[order].tolist()],
            **{field: column[order] for field, column in values.items()},
        },
    )
    extra: dict[Dataset, pd.DataFrame] = {}
    if symbol == _MARKET_SYMBOL and _MARKET_TURNOVER in names:
        market = cells.numbers(names[_MARKET_TURNOVER], _MARKET_TURNOVER, is_english=True)[mine]
        given = order[market[order] > 0]
        if len(given):
            extra[Dataset.MARKET_TURNOVER] = typed_frame(
                Dataset.MARKET_TURNOVER,
                {
                    "market": [str(instrument.market)] * len(given),
                    "session_date": days[given].astype("datetime64[s]"),
                    "turnover_hkd_mn": market[given],
                    "locator": [f"row {line}" for line in lines[given].tolist()],
                },
            )
    return Parsed(frame, findings, extra)


def _english(text: str) -> str:
    """The ASCII part of a bilingual cell, blanks folded, in lower case."""
    return " ".join("".join(char if char.isascii() else " " for char in text).split()).casefold()


def _header(text: str) -> tuple[int, int, dict[str, int]]:
    """The 0-based line of the English header row, its width, and where each column stands."""
    for number, line in enumerate(text.split("\n")[:10]):
        cells = split_line(line, "\t")
        english = [_english(cell) for cell in cells]
        if "trade date" in english:
            names: dict[str, int] = {}
            for index, name in enumerate(english):
                if name and name in names:
                    raise PayloadError("header_known", f"column {name!r} stands twice", locator=f"row {number + 1}")
                names[name] = index
            for required in ("index", "index close"):
                if required not in names:
                    raise PayloadError("header_known", f"there is no column {required!r}", locator=f"row {number + 1}")
            return number, len(cells), names
    raise PayloadError("header_known", "no row of the first ten names a column Trade Date", locator="row 1")
