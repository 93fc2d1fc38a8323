"""Yahoo Finance daily bars through yfinance, one ticker at a time, with exceptions on.

Belongs here: what is asked of Yahoo, the archived form of its rows, and how they are read. Does not belong here: HTTP
(`http.py`), trading calendars (the pipeline checks sessions later), or any choice between sources.

The archived body is canonical JSON (UTF-8, sorted keys, no blanks, floats by ``repr``) of the rows yfinance returned:
``{"format", "yfinance", "asked", "meta", "has_adjclose", "rows"}``. Each row has a market-local ISO stamp with its
offset under ``date``; ``null`` = not given. ``meta`` is taken from the answer on the wire, since yfinance's own
formatted copy of it costs another request to read.
"""

from __future__ import annotations

import atexit
import datetime as dt
import json
import math
import shutil
import tempfile
import threading
import warnings
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from zoneinfo import ZoneInfo

from rally_pipeline.catalog.model import Catalog, Instrument, Kind, Market
from rally_pipeline.errors import (
    BlockedFetchError,
    FetchError,
    PayloadError,
    PermanentFetchError,
    RateLimitedError,
    RetryableFetchError,
)
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame
from rally_pipeline.sources.http import Upstream

if TYPE_CHECKING:
    import pandas as pd

    from rally_pipeline.sources.http import Exchange

SOURCE = "yahoo"
FORMAT = "yahoo-daily/1"

#: A session counts as over this long after the end of its continuous trading: closing auctions last up to ten minutes
#: (Hong Kong 16:00-16:10, Xetra 17:30-17:35) and the feed is up to twenty minutes late.
SETTLING = dt.timedelta(minutes=30)
#: Where Yahoo does not say when the session ends, it counts as over when nothing has traded for so long. Longer than
#: any lunch break (mainland 90 minutes) plus the delay of the feed.
QUIET = dt.timedelta(hours=2)

#: The zone of a market's dates.
TIMEZONES = {
    Market.HK: "Asia/Hong_Kong",
    Market.CN: "Asia/Shanghai",
    Market.DE: "Europe/Berlin",
    Market.US: "America/New_York",
    Market.JP: "Asia/Tokyo",
    Market.GB: "Europe/London",
    Market.FX: "Europe/London",
}
#: Metadata worth keeping; the rest (names, 52-week figures) changes daily and says nothing about the rows.
_META = (
    "currency",
    "symbol",
    "exchangeName",
    "instrumentType",
    "exchangeTimezoneName",
    "firstTradeDate",
    "regularMarketTime",
    "regularMarketPrice",
    "currentTradingPeriod",
    "dataGranularity",
    "validRanges",
)
#: yfinance column -> key in the archived row.
_COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Adj Close": "adj_close",
    "Volume": "volume",
    "Dividends": "dividend",
    "Stock Splits": "split_ratio",
}
_SUBUNITS = {"GBp": ("GBP", "pence"), "GBX": ("GBP", "pence"), "ZAc": ("ZAR", "cents"), "ILA": ("ILS", "agorot")}

# yfinance keeps its session, cookie and caches in process-wide singletons.
yfinance_lock = threading.Lock()
_cache_home: Path | None = None


def plan(
    catalog: Catalog,
    start: dt.date,
    end: dt.date,
    *,
    symbols: Collection[str] | None = None,
    today: dt.date,
) -> list[FetchRequest]:
    """One request per instrument that names Yahoo among its price sources, in catalog order.

    Args:
        catalog: the instruments.
        start, end: first and last market date, both inclusive; nothing after `today` and nothing before an
            instrument's listing is asked for.
        symbols: only these catalog symbols; ``None`` = all.
        today: the present date.
    """
    requests = []
    for symbol, instrument in catalog.instruments.items():
        if symbols is not None and symbol not in symbols:
            continue
        named = next((s for s in instrument.price_sources if s.source == SOURCE), None)
        if named is None:
            continue
        first = max(start, instrument.listing_date) if instrument.listing_date else start
        last = min(end, today)
        if first > last:
            continue
        requests.append(
            FetchRequest(
                source=SOURCE,
                parser=SOURCE,
                dataset=Dataset.FX if instrument.kind is Kind.FX else Dataset.PRICE,
                subject=symbol,
                params={"code": named.code or symbol, "timezone": TIMEZONES[instrument.market]},
                start=first,
                end=last,
            )
        )
    return requests


# -- fetch -------------------------------------------------------------------------------------------------------------


def fetch(request: FetchRequest, upstream: Upstream, *, cache_home: Path | None = None) -> Payload:
    """Asks Yahoo for the daily bars of one ticker.

    Transport failures are retried by `upstream` and nowhere else. A ticker that Yahoo knows but has no bars for in
    the range gives a payload without rows (which `parse` refuses), not an error.

    Args:
        request: from `plan`, with both dates set.
        upstream: where to ask.
        cache_home: directory for yfinance's time-zone and cookie cache; default: a temporary one for this process, so
            that nothing is written to the user's cache and no pickled cookie of another program is read. The first
            call of a process decides.

    Raises:
        PermanentFetchError: unknown symbol, refused request, or a page instead of data.
        RetryableFetchError: connection, time-out, 5xx, or Yahoo's maintenance page.
        RateLimitedError: 429.
    """
    code = request.params.get("code", request.subject)
    if request.start is None or request.end is None:
        raise PermanentFetchError(f"a Yahoo request needs a first and a last date: {request.subject}")
    session = upstream.yahoo_session()
    with yfinance_lock:
        session.exchanges.clear()
        frame: pd.DataFrame | None = None
        try:
            frame = _history(code, request, session, cache_home)
        except RateLimitedError:
            raise
        except Exception as error:  # yfinance and curl_cffi have no common base class
            _raise_unless_merely_empty(code, error, list(session.exchanges))
        chart = _last_chart(list(session.exchanges))
        session.exchanges.clear()
    if chart is None:
        raise PermanentFetchError(f"yfinance answered for {code} without asking Yahoo; its caches cannot be trusted")
    result = _chart_result(chart.body)
    raw_meta = result.get("meta") or {}
    indicators = result.get("indicators")
    body = canonical(
        {
            "format": FORMAT,
            "yfinance": version("yfinance"),
            "asked": {"code": code, "start": request.start.isoformat(), "end": request.end.isoformat()},
            "meta": {name: raw_meta.get(name) for name in _META},
            "has_adjclose": bool(isinstance(indicators, dict) and indicators.get("adjclose")),
            "rows": [] if frame is None else _rows(frame),
        }
    )
    return Payload(request, body, "application/json", 200, chart.fetched_at)


def _history(code: str, request: FetchRequest, session: Any, cache_home: Path | None) -> pd.DataFrame:
    from yfinance.cache import get_tz_cache

    assert request.start is not None
    assert request.end is not None
    yf = prepared_yfinance(cache_home)
    timezone = request.params.get("timezone")
    if timezone:
        # Saves a probe per ticker and, for an unknown one, a walk through four other endpoints. Only the edges of the
        # window depend on it; the rows carry the exchange's own zone.
        get_tz_cache().store(code.upper(), timezone)
    with warnings.catch_warnings():
        # yfinance calls pandas in ways that pandas deprecates: nothing a user of this project could act on.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"yfinance(\.|$)")
        frame: pd.DataFrame = yf.Ticker(code, session=session).history(
            start=request.start,
            end=request.end + dt.timedelta(days=1),  # exclusive in yfinance
            interval="1d",
            auto_adjust=False,
            actions=True,
            repair=False,
            # A session that Yahoo nulled must be seen as such, not vanish like a holiday.
            keepna=True,
        )
    return frame


def prepared_yfinance(cache_home: Path | None) -> Any:
    """yfinance, told to raise what goes wrong and to keep nothing; to be used under `yfinance_lock` only."""
    import yfinance as yf

    _move_caches(cache_home)
    # Without this, an outage is an empty frame; with it the session's typed errors come through as they are.
    yf.config.debug.hide_exceptions = False
    yf.config.network.retries = 0
    # The LRU keeps failures as well as answers.
    yf.data.YfData.cache_get.cache_clear()
    return yf


def _move_caches(cache_home: Path | None) -> None:
    """Points yfinance's on-disk caches away from the user's cache directory.

    Once per process: yfinance keeps the database it opened first, whatever it is told later.
    """
    global _cache_home
    import yfinance as yf

    if _cache_home is not None:
        return
    if cache_home is None:
        cache_home = Path(tempfile.mkdtemp(prefix="rally-yfinance-"))
        atexit.register(shutil.rmtree, cache_home, ignore_errors=True)
    cache_home.mkdir(parents=True, exist_ok=True)
    yf.set_tz_cache_location(str(cache_home))
    _cache_home = cache_home


def _last_chart(exchanges: Sequence[Exchange]) -> Exchange | None:
    return last_exchange(exchanges, "/v8/finance/chart/")


def last_exchange(exchanges: Sequence[Exchange], path: str) -> Exchange | None:
    """The latest of the exchanges whose address holds `path`."""
    return next((e for e in reversed(exchanges) if path in e.url), None)


def _raise_unless_merely_empty(code: str, error: Exception, exchanges: Sequence[Exchange]) -> None:
    """Returns for "known, but no bars in this range"; everything else becomes a typed error.

    Raises:
        FetchError: always a concrete subclass of it.
    """
    from yfinance import exceptions as yfe

    last = _last_chart(exchanges)
    reason, kind = error_reason(last.body) if last else ("", "")
    is_typed = isinstance(error, RetryableFetchError | yfe.YFRateLimitError)
    if not is_typed and kind == "Bad Request" and "data doesn't exist" in reason.lower():
        return
    if isinstance(error, yfe.YFPricesMissingError) and not reason and last is not None and last.status == 200:
        if _chart_result(last.body).get("meta"):
            return
        if last.body.lstrip()[:1] != b"<" and b"Will be right back" not in last.body:
            raise PermanentFetchError(f"Yahoo's answer for {code!r} has neither data nor a reason") from error
    raise_typed(code, error, last, reason)


def raise_typed(code: str, error: Exception, last: Exchange | None, reason: str) -> NoReturn:
    """What yfinance or the session raised as one of the errors of this project.

    Args:
        code: Yahoo's name of the instrument asked for.
        error: what was raised.
        last: the exchange about the data, as opposed to cookies; ``None`` = there was none.
        reason: what Yahoo gave as its reason (`error_reason`), ``""`` = nothing.

    Raises:
        FetchError: always a concrete subclass of it.
    """
    from yfinance import exceptions as yfe

    if isinstance(error, RetryableFetchError):
        raise error
    if isinstance(error, yfe.YFRateLimitError):
        raise RateLimitedError(f"Yahoo said 429 Too Many Requests for {code}") from error
    if last is not None and last.status in (400, 404, 422):
        what = "does not know" if last.status == 404 else "refuses"
        raise PermanentFetchError(f"Yahoo {what} {code!r}: {reason or f'status {last.status}'}") from error
    if isinstance(error, FetchError):
        raise error
    if last is not None and last.status in (401, 403):
        raise BlockedFetchError(f"Yahoo refuses {code!r}: status {last.status}, also with a new cookie") from error
    if last is not None and b"Will be right back" in last.body:
        raise RetryableFetchError(f"Yahoo is down for maintenance (asked for {code})") from error
    if last is not None and last.body.lstrip()[:1] == b"<":
        raise BlockedFetchError(
            f"Yahoo answered for {code!r} with an HTML page instead of data (status {last.status}): "
            "a consent, block or maintenance page; open the address in a browser to see which"
        ) from error
    if isinstance(error, yfe.YFTickerMissingError):
        raise PermanentFetchError(f"Yahoo does not know {code!r}: {reason or error.rationale}") from error
    if isinstance(error, json.JSONDecodeError):
        raise BlockedFetchError(f"Yahoo's answer for {code!r} is not JSON (line {error.lineno})") from error
    if isinstance(error, OSError):  # curl_cffi's failures and the operating system's
        raise RetryableFetchError(f"the exchange with Yahoo failed for {code}: {type(error).__name__}") from error
    raise BlockedFetchError(
        f"yfinance could not read Yahoo's answer for {code!r}: {type(error).__name__}: {str(error)[:200]}"
    ) from error


def _chart_result(body: bytes) -> dict[str, Any]:
    """``chart.result[0]`` of an answer, ``{}`` where there is none."""
    try:
        result = json.loads(body)["chart"]["result"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return {}
    return result if isinstance(result, dict) else {}


def error_reason(body: bytes, root: str = "chart") -> tuple[str, str]:
    """Description and code of the ``error`` of a JSON answer, ``("", "")`` where there is none."""
    try:
        error = json.loads(body)[root]["error"]
        return str(error["description"])[:200], str(error["code"])
    except (ValueError, KeyError, IndexError, TypeError):
        return "", ""


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    present = {column: key for column, key in _COLUMNS.items() if column in frame}
    columns = {key: frame[column].tolist() for column, key in present.items()}
    return [
        {"date": stamp.isoformat(), **{key: _plain(values[i]) for key, values in columns.items()}}
        for i, stamp in enumerate(frame.index)
    ]


def _plain(value: Any) -> Any:
    """A JSON number, or ``None`` for what is not a finite one."""
    return value if isinstance(value, int) or math.isfinite(value) else None


def canonical(content: dict[str, Any]) -> bytes:
    """`content` as it is archived: JSON in UTF-8 with sorted keys and without blanks, so that equal is equal."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


# -- parse -------------------------------------------------------------------------------------------------------------


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """Reads an archived body; pure.

    Prices are as Yahoo gives them with ``auto_adjust=False``: adjusted for splits, not for dividends, in the currency
    of the instrument; ``adj_close`` only if Yahoo sent one (yfinance repeats the close otherwise), the other ``adj_*``
    are left missing since Yahoo does not give them. ``session_date`` is the date of the stamp in the exchange's zone,
    for FX the day in London. The volume of an index is missing where it is 0. Rows come in ascending order of date.

    Left out, each with a *warn* finding: ``partial_bar`` (the session was still running when the payload was
    fetched), ``no_close``, ``outside_range``; kept: ``snapshot_only`` (only a latest price exists: open, high, low
    and volume are missing), ``zero_prices`` (likewise for one row), ``duplicate_days`` (equal rows counted once),
    ``currency_unknown``.

    Raises:
        PayloadError: rules ``readable``, ``not_empty``, ``ticker_matches``, ``currency_matches``, ``duplicate_days``
            (two different rows for one day: nothing says which is right, and the day may not be believed),
            ``symbol_known``.
    """
    instrument = catalog.instruments.get(payload.request.subject)
    if instrument is None:
        raise PayloadError(
            "symbol_known",
            f"{payload.request.subject!r} is not in the catalog",
            "add the instrument to the catalog, or parse with the catalog the payload was fetched with",
        )
    content = _read(payload.body)
    meta: dict[str, Any] = content["meta"]
    rows: list[dict[str, Any]] = content["rows"]
    request = payload.request
    findings: list[Finding] = []

    def note(rule: str, message: str, locators: list[str] | None = None) -> None:
        locators = locators or []
        findings.append(Finding(rule, Severity.WARN, message, ", ".join(locators[:10]), len(locators)))

    # Before anything else: a body of the wrong ticker must not be reported as merely empty.
    if meta.get("symbol") is not None:
        _check_ticker(str(meta["symbol"]), request, catalog)
    if not rows:
        raise PayloadError(
            "not_empty",
            f"Yahoo gave no bars for {request.subject} from {request.start} to {request.end}",
            "if there was a session in the range, fetch again later or rely on the next price source",
        )
    if meta.get("symbol") is None:
        raise PayloadError(
            "ticker_matches", f"the answer does not say which ticker it is for ({request.subject} asked)"
        )
    if meta.get("currency") in (None, ""):
        note("currency_unknown", f"Yahoo does not name a currency; taken to be {instrument.currency}")
    else:
        _check_currency(str(meta["currency"]), instrument)

    kept, days = _one_row_per_day(rows, note)
    outside = [
        i for i in kept if (request.start and days[i] < request.start) or (request.end and days[i] > request.end)
    ]
    if outside:
        note(
            "outside_range",
            f"{len(outside)} rows outside {request.start} to {request.end} left out, first {days[outside[0]]}",
            [f"rows[{i}]" for i in outside],
        )
    kept = [i for i in kept if i not in set(outside)]

    partial = [i for i in kept if not _is_over(days[i], meta, payload.fetched_at, rows[i]["date"])]
    if partial:
        note(
            "partial_bar",
            f"the bar of {days[partial[-1]]} was not final when fetched at {payload.fetched_at:%Y-%m-%d %H:%M} UTC; "
            "left out",
            [f"rows[{i}]" for i in partial],
        )
    kept = [i for i in kept if i not in set(partial)]

    closeless = [i for i in kept if rows[i]["close"] is None]
    if closeless:
        acts = [i for i in closeless if rows[i].get("dividend") or rows[i].get("split_ratio")]
        also = f"; {len(acts)} of them carry a dividend or split, which is left out too" if acts else ""
        traded = sum(1 for i in closeless if rows[i].get("volume"))
        note(
            "no_close",
            f"{len(closeless)} rows without a close left out ({traded} of them with volume), first "
            f"{days[closeless[0]]}{also}",
            [f"rows[{i}]" for i in closeless],
        )
    kept = sorted((i for i in kept if i not in set(closeless)), key=lambda i: days[i])

    if request.dataset is Dataset.FX:
        return Parsed(_fx_frame(instrument, rows, days, kept), tuple(findings))
    return Parsed(_price_frame(instrument, content, days, kept, note), tuple(findings))


def _price_frame(
    instrument: Instrument, content: dict[str, Any], days: list[dt.date], kept: list[int], note: Any
) -> pd.DataFrame:
    meta, rows = content["meta"], content["rows"]
    # Yahoo writes 0, not null, where an index has only a latest price.
    flat = {i for i in kept if rows[i]["close"] and all(rows[i].get(n) == 0 for n in ("open", "high", "low"))}
    if flat:
        ranges = meta.get("validRanges")
        short = isinstance(ranges, list) and bool(ranges) and all(r in ("1d", "5d") for r in ranges)
        snapshot = meta.get("firstTradeDate") is None or short
        if snapshot:
            rule, why = "snapshot_only", "Yahoo has only the latest price of it, no history"
        else:
            rule, why = "zero_prices", "open, high and low are all 0"
        note(rule, f"{instrument.symbol}: {why}; open, high and low are missing", [f"rows[{i}]" for i in sorted(flat)])

    def column(name: str, blank: Collection[int] = ()) -> list[float | None]:
        return [None if i in blank else rows[i].get(name) for i in kept]

    # yfinance writes 0 for a volume Yahoo left null. For a share 0 may be true (a half-day), for an index never.
    quiet = {i for i in kept if rows[i].get("volume") == 0 and (instrument.kind is Kind.INDEX or i in flat)}
    return typed_frame(
        Dataset.PRICE,
        {
            "symbol": [instrument.symbol] * len(kept),
            "session_date": [dt.datetime.combine(days[i], dt.time()) for i in kept],
            "open": column("open", flat),
            "high": column("high", flat),
            "low": column("low", flat),
            "close": column("close"),
            "adj_close": column("adj_close") if content["has_adjclose"] else [None] * len(kept),
            "volume": column("volume", quiet),
            "dividend": column("dividend"),
            "split_ratio": column("split_ratio"),
            "currency": [instrument.currency] * len(kept),
            "locator": [f"rows[{i}]" for i in kept],
        },
    )


def _fx_frame(instrument: Instrument, rows: list[dict[str, Any]], days: list[dt.date], kept: list[int]) -> pd.DataFrame:
    if instrument.base_currency is None:
        raise PayloadError(
            "symbol_known",
            f"the catalog does not say which currency {instrument.symbol} is the price of",
            "set base_currency of the instrument",
        )
    return typed_frame(
        Dataset.FX,
        {
            "base_currency": [instrument.base_currency] * len(kept),
            "quote_currency": [instrument.currency] * len(kept),
            "rate_date": [dt.datetime.combine(days[i], dt.time()) for i in kept],
            "rate": [rows[i]["close"] for i in kept],
            "locator": [f"rows[{i}]" for i in kept],
        },
    )


def _read(body: bytes) -> dict[str, Any]:
    """The archived structure, with its types checked.

    Raises:
        PayloadError: rule ``readable``.
    """

    def refuse(message: str, locator: str = "") -> PayloadError:
        return PayloadError("readable", message, "fetch it again", locator)

    try:
        content = json.loads(body.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise refuse("the body is not JSON in UTF-8") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise refuse(f"the body is not of format {FORMAT}")
    if not isinstance(content.get("meta"), dict) or not isinstance(content.get("rows"), list):
        raise refuse("the body lacks its metadata or rows")
    content["has_adjclose"] = content.get("has_adjclose") is True
    for i, row in enumerate(content["rows"]):
        if not isinstance(row, dict) or "close" not in row:
            raise refuse("not a row with a close", f"rows[{i}]")
        for key in _COLUMNS.values():
            value = row.get(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise refuse(f"{key} is not a number: {str(value)[:40]!r}", f"rows[{i}]")
            # The magnitude also keeps out integers that no float64 can hold.
            if value is not None and not abs(value) < 1e18:
                raise refuse(f"{key} is not a plausible number", f"rows[{i}]")
    return content


def _stamp(text: Any, locator: str) -> dt.datetime:
    try:
        stamp = dt.datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise PayloadError("readable", f"not a date: {str(text)[:40]!r}", locator=locator) from error
    if stamp.tzinfo is None:
        raise PayloadError(
            "readable", f"a stamp without offset, so its market date is unknown: {text}", locator=locator
        )
    return stamp


def _check_ticker(got: str, request: FetchRequest, catalog: Catalog) -> None:
    code = request.params.get("code", request.subject)
    if got.upper() != code.upper() and catalog.resolve_symbol(got) != request.subject:
        raise PayloadError(
            "ticker_matches",
            f"asked for {code} ({request.subject}), the answer is for {got[:40]}",
            "if both are the same instrument, add the spelling to its aliases",
        )


def _check_currency(got: str, instrument: Instrument) -> None:
    # Exact comparison: Yahoo tells pence from pounds by the case of one letter (GBp, GBP).
    if got == instrument.currency:
        return
    if got in _SUBUNITS:
        whole, name = _SUBUNITS[got]
        raise PayloadError(
            "currency_matches",
            f"{instrument.symbol} is quoted in {name} ({got}), a hundredth of {whole}; the catalog says "
            f"{instrument.currency}",
            "prices in a hundredth of a currency are not converted silently: use a source in whole units",
        )
    raise PayloadError(
        "currency_matches",
        f"{instrument.symbol} is quoted in {got[:10]}; the catalog says {instrument.currency}",
        "correct the currency or the code of the instrument",
    )


def _one_row_per_day(rows: list[dict[str, Any]], note: Any) -> tuple[list[int], list[dt.date]]:
    """Indices of the rows to read and the market date of every row; equal rows of one day count once."""
    days = [_stamp(row.get("date"), f"rows[{i}]").date() for i, row in enumerate(rows)]
    first: dict[dt.date, int] = {}
    repeated: list[int] = []
    for i, day in enumerate(days):
        if day not in first:
            first[day] = i
            continue
        one, other = ({k: v for k, v in rows[j].items() if k != "date"} for j in (first[day], i))
        if one != other:
            raise PayloadError(
                "duplicate_days",
                f"two different rows for {day} (close {one['close']} and {other['close']})",
                "fetch it again; if it stays, rely on the next price source for this day",
                f"rows[{i}]",
            )
        repeated.append(i)
    if repeated:
        note("duplicate_days", f"{len(repeated)} repeated rows counted once", [f"rows[{i}]" for i in repeated])
    return list(first.values()), days


def _is_over(day: dt.date, meta: dict[str, Any], fetched_at: dt.datetime, stamp: str) -> bool:
    """Whether the session of `day` was over, with its close settled, when the payload was fetched.

    There is no clock here; three things in the payload stand in for one. If ``currentTradingPeriod.regular`` is about
    this day, its end decides. Otherwise a day before the local date of the fetch is over and one after it is not; and
    on the date of the fetch itself, it is over if the last trade (``regularMarketTime``) was on that day and nothing
    has traded for `QUIET`. When in doubt the bar is left out: it comes with the next fetch, whereas a half-day's
    price stored as a close would look like a restatement.
    """
    zone = _zone(meta.get("exchangeTimezoneName"), stamp)
    period = meta.get("currentTradingPeriod")
    regular = period.get("regular") if isinstance(period, dict) else None
    if isinstance(regular, dict):
        start, end = _epoch(regular.get("start"), zone), _epoch(regular.get("end"), zone)
        if start and end and start.date() == day:
            return fetched_at >= end + SETTLING
    here = fetched_at.astimezone(zone).date()
    if day != here:
        return day < here
    last = _epoch(meta.get("regularMarketTime"), zone)
    return last is not None and last.date() == day and fetched_at - last >= QUIET


def _zone(name: Any, stamp: str) -> dt.tzinfo:
    try:
        return ZoneInfo(name)
    except (TypeError, ValueError, KeyError, OSError):
        offset = dt.datetime.fromisoformat(stamp).tzinfo
        return offset if offset is not None else dt.UTC


def _epoch(value: Any, zone: dt.tzinfo) -> dt.datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return dt.datetime.fromtimestamp(value, zone)
    except (OverflowError, OSError, ValueError):
        return None
