"""The demo upstream: a loopback HTTP server that answers ``BASE/HOST/PATH`` as the real hosts would.

Belongs here: routes and wire formats of the upstreams, made from the demo world. Does not belong here: the world's
figures (`anchors.py`, `prices.py`, `fx.py`, `flows.py`) or any parsing.

A route is ``(host, path pattern) -> handler``. Another room of the demo adds its own by passing routes to
`DemoUpstream`; they are tried first, so a test can also put a failure in front of a real answer.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote
from zoneinfo import ZoneInfo

import numpy as np

from rally_pipeline.catalog.model import Instrument, Kind
from rally_pipeline.demo import anchors, fx, ratings
from rally_pipeline.demo.flows import (
    CHANNELS,
    NORTHBOUND_UNDISCLOSED,
    TOTAL,
    DayFlow,
    Flows,
    Series,
    TopStock,
    build_flows,
)
from rally_pipeline.demo.paths import seeded
from rally_pipeline.demo.prices import Bars, DemoWorld, default_world, price_hint

# -- what handlers get and give ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DemoRequest:
    """One request as a handler sees it.

    Attributes:
        host: the upstream host it was meant for.
        path: path on that host, percent-decoded, with the leading slash.
        params: query parameters (the last one wins).
        match: the match of the route's pattern with `path`.
    """

    host: str
    path: str
    params: Mapping[str, str]
    match: re.Match[str]


@dataclass(frozen=True)
class DemoAnswer:
    """Status, body and headers of an answer."""

    body: bytes = b""
    status: int = 200
    media_type: str = "text/plain;charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """The demo world as it stands at the end of one day: nothing later exists."""

    world: DemoWorld
    end: dt.date

    def bars(self, symbol: str) -> Bars | None:
        """Bars of `symbol` up to the day, or ``None`` if there are none."""
        bars = self.world.bars(symbol)
        cut = None if bars is None else bars.until(self.end)
        return cut if cut is not None and cut.days else None

    def rates(self) -> fx.Rates:
        """Reference rates up to the day."""
        return self.world.rates().until(self.end)

    def flows(self) -> Flows:
        """Stock Connect figures of the whole world; ask `has_flows` before a day of them."""
        return build_flows(self.world.days("SOUTHBOUND"))

    def has_flows(self, day: dt.date) -> bool:
        """Whether `day` is a southbound session up to the day."""
        return day <= self.end and self.flows().is_session(day)


Handler = Callable[[View, DemoRequest], DemoAnswer]


@dataclass(frozen=True)
class Route:
    """Requests to `host` whose whole path matches `pattern` go to `handler`."""

    host: str
    pattern: str
    handler: Handler


def json_answer(data: Any, status: int = 200) -> DemoAnswer:
    """`data` as compact UTF-8 JSON."""
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return DemoAnswer(body, status, "application/json;charset=utf-8")


def html_error(status: int, title: str) -> DemoAnswer:
    """A web server's own error page."""
    body = f"<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>"
    return DemoAnswer(body.encode(), status, "text/html;charset=utf-8")


# -- Yahoo -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Venue:
    """Where Yahoo says an instrument trades; times are local."""

    zone: str
    opens: dt.time
    closes: dt.time
    code: str
    name: str


_VENUES = {
    "HK": _Venue("Asia/Hong_Kong", dt.time(9, 30), dt.time(16, 0), "HKG", "HKSE"),
    "CN": _Venue("Asia/Shanghai", dt.time(9, 30), dt.time(15, 0), "SHH", "Shanghai"),
    "DE": _Venue("Europe/Berlin", dt.time(9, 0), dt.time(17, 30), "GER", "XETRA"),
    "US": _Venue("America/New_York", dt.time(9, 30), dt.time(16, 0), "NYQ", "NYSE"),
    "JP": _Venue("Asia/Tokyo", dt.time(9, 0), dt.time(15, 30), "OSA", "Osaka"),
    "GB": _Venue("Europe/London", dt.time(8, 0), dt.time(16, 30), "FGI", "FTSE Index"),
    "FX": _Venue("Europe/London", dt.time(0, 0), dt.time(22, 59), "CCY", "CCY"),
}

_INSTRUMENT_TYPES = {Kind.INDEX: "INDEX", Kind.SHARE: "EQUITY", Kind.ETF: "ETF", Kind.FX: "CURRENCY"}

#: Yahoo has only the latest row of these, with nothing but a close.
SNAPSHOT_ONLY = frozenset({"HSTECH.HK"})

_ALL_RANGES = ("1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max")
_RANGE_DAYS = {"1mo": 31, "3mo": 92, "6mo": 183, "1y": 365, "2y": 731, "5y": 1826, "10y": 3653}


def _yahoo_error(status: int, code: str, description: str) -> DemoAnswer:
    return json_answer({"chart": {"result": None, "error": {"code": code, "description": description}}}, status)


def _epoch(day: dt.date, time: dt.time, zone: ZoneInfo) -> int:
    return int(dt.datetime.combine(day, time, zone).timestamp())


def yahoo_chart(view: View, request: DemoRequest) -> DemoAnswer:
    """Yahoo's v8 chart of one symbol: daily bars of a range or of ``period1 <= time < period2``."""
    symbol = request.match["symbol"].upper()
    instrument = view.world.catalog.instruments.get(symbol)
    bars = view.bars(symbol)
    if instrument is None or bars is None:
        return _yahoo_error(404, "Not Found", "No data found, symbol may be delisted")
    interval = request.params.get("interval", "1d")
    if interval != "1d":
        return _yahoo_error(422, "Unprocessable Entity", f"Invalid input - interval={interval} is not supported.")
    venue = _VENUES[instrument.market.value]
    zone = ZoneInfo(venue.zone)
    stamps = np.array([_epoch(day, venue.opens, zone) for day in bars.days], dtype=np.int64)
    snapshot = symbol in SNAPSHOT_ONLY
    valid_ranges = _ALL_RANGES[:2] if snapshot else _ALL_RANGES
    asked_range = request.params.get("range", "")
    first, stop = 0, 2**40
    if "period1" in request.params or "period2" in request.params:
        try:
            first, stop = int(request.params.get("period1", first)), int(request.params.get("period2", stop))
        except ValueError:
            return _yahoo_error(400, "Bad Request", "Invalid input - period1 and period2 must be numbers")
        if first >= stop:
            return _yahoo_error(400, "Bad Request", "Invalid input - start date cannot be after end date. "
                                f"startDate = {first}, endDate = {stop}")  # fmt: skip
        if stop <= stamps[0] and not snapshot:
            return _yahoo_error(400, "Bad Request", f"Data doesn't exist for startDate = {first}, endDate = {stop}")
        chosen = (stamps >= first) & (stamps < stop)
        asked_range = ""
    elif (asked_range or "1d") in _ALL_RANGES:
        asked_range = asked_range or "1d"
        chosen = np.array([day >= _range_start(asked_range, view.end, bars.days) for day in bars.days])
    else:
        return _yahoo_error(422, "Unprocessable Entity", f"Invalid input - range={asked_range} is not supported. "
                            f"Valid ranges: {list(valid_ranges)}")  # fmt: skip
    if snapshot:
        chosen &= np.arange(len(bars.days)) == len(bars.days) - 1
    picked = np.flatnonzero(chosen)
    result: dict[str, Any] = {
        "meta": _yahoo_meta(view, instrument, bars, int(picked[0]) if len(picked) else int(np.sum(stamps < first)))
    }
    result["meta"] |= {"dataGranularity": "1d", "range": asked_range, "validRanges": list(valid_ranges)}
    if not len(picked):  # as captured for a closed day: no timestamps, an empty quote
        result["indicators"] = {"quote": [{}]}
    else:
        result["timestamp"] = stamps[picked].tolist()
        wanted = re.split(r"[,|]", request.params.get("events", ""))
        ex_dates = {int(stamps[i]): bars.dividends[bars.days[i]] for i in picked if bars.days[i] in bars.dividends}
        if ex_dates and ("div" in wanted or "dividends" in wanted):
            result["events"] = {
                "dividends": {str(stamp): {"amount": amount, "date": stamp} for stamp, amount in ex_dates.items()}
            }
        closes = bars.close[picked].tolist()
        zeros = [0.0] * len(picked)
        quote = {"close": closes, "open": zeros, "high": zeros, "low": zeros, "volume": [0] * len(picked)}
        if not snapshot:
            quote |= {name: getattr(bars, name)[picked].tolist() for name in ("open", "high", "low", "volume")}
        adjusted = closes if snapshot else bars.adjclose[picked].tolist()
        result["indicators"] = {"quote": [quote], "adjclose": [{"adjclose": adjusted}]}
    return json_answer({"chart": {"result": [result], "error": None}})


def _range_start(name: str, end: dt.date, days: Sequence[dt.date]) -> dt.date:
    if name in ("1d", "5d"):
        return days[-min(len(days), int(name[0]))]
    if name == "ytd":
        return dt.date(end.year, 1, 1)
    return end - dt.timedelta(days=_RANGE_DAYS[name]) if name in _RANGE_DAYS else days[0]


def _yahoo_meta(view: View, instrument: Instrument, bars: Bars, first_picked: int) -> dict[str, Any]:
    venue = _VENUES[instrument.market.value]
    zone = ZoneInfo(venue.zone)
    snapshot = instrument.symbol in SNAPSHOT_ONLY
    last = bars.days[-1]
    closing = dt.datetime.combine(last, venue.closes, zone)
    offset = int((closing.utcoffset() or dt.timedelta()).total_seconds())
    # The extremes of the last year; Yahoo leaves the day's range of a snapshot-only index at zero.
    year = np.array([day > view.end - dt.timedelta(days=365) for day in bars.days])
    year[-1] = True
    opens, closes = _epoch(last, venue.opens, zone), _epoch(last, venue.closes, zone)
    period = {"timezone": closing.tzname(), "start": opens, "end": closes, "gmtoffset": offset}
    meta: dict[str, Any] = {
        "currency": instrument.currency,
        "symbol": instrument.symbol,
        "exchangeName": venue.code,
        "fullExchangeName": venue.name,
        "instrumentType": _INSTRUMENT_TYPES[instrument.kind],
        "firstTradeDate": None if snapshot else _epoch(bars.days[0], venue.opens, zone),
        "regularMarketTime": int(closing.timestamp()) + (8 * 60 if venue.code == "HKG" else 0),
        "hasPrePostMarketData": venue.code == "NYQ" and instrument.kind is not Kind.INDEX,
        "gmtoffset": offset,
        "timezone": closing.tzname(),
        "exchangeTimezoneName": venue.zone,
        "regularMarketPrice": float(bars.close[-1]),
        "fiftyTwoWeekHigh": float(bars.high[year].max()),
        "fiftyTwoWeekLow": float(bars.low[year].min()),
        "regularMarketDayHigh": 0.0 if snapshot else float(bars.high[-1]),
        "regularMarketDayLow": 0.0 if snapshot else float(bars.low[-1]),
        "regularMarketVolume": 0 if snapshot else int(bars.volume[-1]),
        "longName": instrument.name,
        "shortName": instrument.name,
    }
    if first_picked > 0:
        meta["chartPreviousClose"] = float(bars.close[first_picked - 1])
    meta["priceHint"] = price_hint(instrument)
    meta["currentTradingPeriod"] = {
        "pre": {**period, "end": opens},
        "regular": period,
        "post": {**period, "start": closes},
    }
    return meta


def yahoo_quote_summary(view: View, request: DemoRequest) -> DemoAnswer:
    """The rating history of a share, which is the only module of the real quoteSummary that is played."""

    def refused(status: int, code: str, description: str) -> DemoAnswer:
        error = {"code": code, "description": description}
        return json_answer({"quoteSummary": {"result": None, "error": error}}, status)

    symbol = request.match["symbol"].upper()
    if not request.params.get("crumb"):
        error = {"code": "Unauthorized", "description": "Invalid Crumb"}
        return json_answer({"finance": {"result": None, "error": error}}, 401)
    instrument = view.world.catalog.instruments.get(symbol)
    if instrument is None:
        return refused(404, "Not Found", f"Quote not found for symbol: {symbol}")
    if instrument.kind is not Kind.SHARE:
        return refused(404, "Not Found", f"No fundamentals data found for symbol: {symbol}")
    if request.params.get("modules") != "upgradeDowngradeHistory":
        return refused(400, "Bad Request", "Invalid input - unknown modules")
    rows = ratings.history(symbol, view.bars(symbol), view.end)
    module = {"history": rows, "maxAge": 86400}
    return json_answer({"quoteSummary": {"result": [{"upgradeDowngradeHistory": module}], "error": None}})


def yahoo_cookie(_view: View, _request: DemoRequest) -> DemoAnswer:
    """The page that only exists to set a cookie; its status is 404, as on the real host."""
    return DemoAnswer(b"", 404, headers={"Set-Cookie": "A3=demo; Max-Age=31557600; Path=/; HttpOnly"})


def yahoo_crumb(_view: View, _request: DemoRequest) -> DemoAnswer:
    """The crumb, as plain text."""
    return DemoAnswer(b"demo.crumb")


# -- Hang Seng Indexes -----------------------------------------------------------------------------------------------

#: Series code -> symbol, English name, Chinese name, typical share of the market's turnover.
_HANG_SENG = {
    "hsi": ("^HSI", "Hang Seng Index", "恒生指數", 0.42),
    "hscei": ("^HSCE", "Hang Seng China Enterprises Index", "恒生中國企業指數", 0.30),
    "hstech": ("HSTECH.HK", "Hang Seng TECH Index", "恒生科技指數", 0.24),
}
_HSI_SECTORS = (("Finance", "金融"), ("Utilities", "公用"), ("Properties", "地產"), ("Commerce & Industry", "工商"))
_HANG_SENG_KEPT = 25
_HANG_SENG_RESOURCE = "/public-website/webapp/contents/en/indexes/report"
_HANG_SENG_HEADS = (
    ("交易日期", "指數", "指數貨幣", "每日最高", "每日最低", "收市指數", "點數變動", "百分比變動", "周息率 (%)",
     "市盈率 (倍)", "指數成交額 (百萬)", "市場成交額 (百萬)", "指數貨幣兌港元"),
    ("Trade Date", "Index", "Index Currency", "Daily High", "Daily Low", "Index Close", "Point Change", "% Change",
     "Dividend Yield (%)", "PE Ratio (times)", "Index Turnover (Mn)", "Market Turnover (Mn)", "Index Currency to HKD"),
)  # fmt: skip


def _hang_seng_name(day: dt.date) -> str:
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * day.month - 3 : 3 * day.month]  # %b depends on the locale
    return f"idx_{day.day}{month}{day:%y}.csv"


def _hang_seng_file(view: View, series: str, name: str) -> DemoAnswer:
    known = _HANG_SENG.get(series)
    bars = None if known is None else view.bars(known[0])
    if known is None or bars is None:
        return html_error(404, "Not Found")
    kept = range(max(1, len(bars.days) - _HANG_SENG_KEPT), len(bars.days))
    position = next((i for i in kept if _hang_seng_name(bars.days[i]) == name), None)
    if position is None:
        return html_error(404, "Not Found")
    text = "".join("\t".join(row) + "\r\n" for row in (*_HANG_SENG_HEADS, *_hang_seng_rows(view, series, position)))
    return DemoAnswer(b"\xff\xfe" + text.encode("utf-16-le"), media_type="text/csv")


def _hang_seng_rows(view: View, series: str, i: int) -> list[tuple[str, ...]]:
    symbol, english, chinese, share = _HANG_SENG[series]
    bars = view.bars(symbol)
    assert bars is not None
    day = bars.days[i]
    rng = seeded(f"hang seng {day}")
    market = view.flows().market_turnover(day)
    dividend_yield, price_earnings = f"{rng.uniform(2.9, 3.6):.2f}", f"{rng.uniform(9.8, 13.0):.2f}"

    def row(name: str, currency: str, factor: float, turnover: float, to_hkd: str) -> tuple[str, ...]:
        high, low, close, before = (
            round(float(value) * factor, 2) for value in (bars.high[i], bars.low[i], bars.close[i], bars.close[i - 1])
        )
        change = close - before
        return (
            f"{day:%Y%m%d}", name, currency, f"{high:.2f}", f"{low:.2f}", f"{close:.2f}", f"{change:.2f}",
            f"{change / before * 100:.2f}", dividend_yield, price_earnings, f"{turnover:.0f}", f"{market:.0f}", to_hkd,
        )  # fmt: skip

    rows = [row(f"{english} {chinese}", "HKD", 1.0, market * share, "1")]
    if series == "hsi":
        for n, (sector, sector_chinese) in enumerate(_HSI_SECTORS):
            factor = (1.61, 1.78, 0.79, 0.57)[n]
            name = f"{english} - {sector} {chinese} - {sector_chinese}"
            rows.append(row(name, "HKD", factor, market * share / 4, "1"))
    rates = view.rates().until(day)
    usdhkd = rates.rates["HKD"][-1] / rates.rates["USD"][-1]
    rows.append(row(f"{english} (USD) {chinese} (美元)", "USD", 7.75 / usdhkd, market * share, f"{usdhkd:.4f}"))
    return rows


def hang_seng_static(view: View, request: DemoRequest) -> DemoAnswer:
    """A daily report under the older, static path."""
    return _hang_seng_file(view, request.match["series"], request.match["name"])


def hang_seng_download(view: View, request: DemoRequest) -> DemoAnswer:
    """A daily report under the path that the manifest names."""
    resource = request.params.get("resource", "")
    match = re.fullmatch(re.escape(_HANG_SENG_RESOURCE) + r"/(?P<series>\w+)/(?P<name>idx_\w+\.csv)", resource)
    return html_error(404, "Not Found") if match is None else _hang_seng_file(view, match["series"], match["name"])


def hang_seng_manifest(view: View, request: DemoRequest) -> DemoAnswer:
    """The list of daily reports of a series, latest first. The real manifest's shape was not captured beyond "paths by
    report type (``idx``)"; readers should look for ``idx_*.csv`` paths, not for keys.
    """
    series = request.params.get("seriesCode", "")
    known = _HANG_SENG.get(series)
    bars = None if known is None else view.bars(known[0])
    if request.params.get("data") != "dailyReport" or bars is None:
        return json_answer({"status": "error", "message": "no data"}, 404)
    days = bars.days[1:][-_HANG_SENG_KEPT:]
    entries = [
        {"date": f"{day}", "path": f"{_HANG_SENG_RESOURCE}/{series}/{_hang_seng_name(day)}"} for day in reversed(days)
    ]
    return json_answer({"seriesCode": series, "dailyReport": {"idx": entries}})


# -- Eastmoney -------------------------------------------------------------------------------------------------------

_EASTMONEY_NAMES = {
    "100.HSI": "恒生指数", "124.HSTECH": "恒生科技指数", "100.HSCEI": "国企指数", "1.000300": "沪深300",
    "100.SPX": "标普500", "100.GDAXI": "德国DAX30", "100.NDX100": "纳斯达克100",
}  # fmt: skip


def eastmoney_kline(view: View, request: DemoRequest) -> DemoAnswer:
    """Eastmoney's daily history: one comma-separated string a day, the close in third place."""
    secid = request.params.get("secid", "")
    envelope: dict[str, Any] = {"rc": 0, "rt": 17, "svr": 177617930, "lt": 1, "full": 0, "dlmkts": ""}
    symbol = next(
        (
            instrument.symbol
            for instrument in view.world.catalog.instruments.values()
            for source in instrument.price_sources
            if source.source == "eastmoney" and source.code == secid
        ),
        None,
    )
    bars = None if symbol is None else view.bars(symbol)
    if symbol is None or bars is None or request.params.get("klt", "101") != "101":
        return json_answer({**envelope, "rc": 100, "data": None})
    first, last = (request.params.get(name, "").replace("-", "") for name in ("beg", "end"))
    stop = last if last.isdigit() and len(last) == 8 else "20500000"
    begin = first if first.isdigit() and len(first) == 8 else "00000000"
    picked = [i for i, day in enumerate(bars.days) if begin <= f"{day:%Y%m%d}" <= stop]
    limit = request.params.get("lmt", "")
    if limit.isdigit() and int(limit) > 0:
        picked = picked[-int(limit) :]
    fields = [name for name in request.params.get("fields2", "").split(",") if name] or [f"f{n}" for n in range(51, 62)]
    market, _, code = secid.partition(".")
    data = {
        "code": code,
        "market": int(market),
        "name": _EASTMONEY_NAMES.get(secid, code),
        "decimal": bars.decimals,
        "dktotal": len(bars.days),
        "preKPrice": float(bars.close[picked[0] - 1]) if picked and picked[0] > 0 else 0.0,
        "klines": [_kline(bars, i, fields) for i in picked],
    }
    return json_answer({**envelope, "data": data})


def _kline(bars: Bars, i: int, fields: Sequence[str]) -> str:
    digits = bars.decimals
    before = float(bars.close[i - 1]) if i > 0 else float(bars.open[i])
    close, high, low = float(bars.close[i]), float(bars.high[i]), float(bars.low[i])
    cells = {
        "f51": bars.days[i].isoformat(),
        "f52": f"{bars.open[i]:.{digits}f}",
        "f53": f"{close:.{digits}f}",
        "f54": f"{high:.{digits}f}",
        "f55": f"{low:.{digits}f}",
        "f56": str(int(bars.volume[i])),
        "f57": f"{bars.turnover[i]:.2f}",
        "f58": f"{(high - low) / before * 100:.2f}",
        "f59": f"{(close - before) / before * 100:.2f}",
        "f60": f"{close - before:.{digits}f}",
        "f61": "0.00",
    }
    return ",".join(cells.get(name, "0") for name in fields)


# -- HKEX Stock Connect ----------------------------------------------------------------------------------------------

_HKEX_KEPT_DAYS = 183
_HKEX_SOUTHBOUND = (
    "Total Turnover", "Buy Turnover", "Sell Turnover", "Total Trade Count", "Buy Trade Count", "Sell Trade Count",
    "ETF Turnover",
)  # fmt: skip
#: Northbound amounts by side and the quota's balance are not disclosed any more: what is left, and the sentinel.
_HKEX_NORTHBOUND = ("Total Turnover", "Total Trade Count", "DQB", "ETF Turnover")
_HKEX_DQB = "999,999,999"
_HKEX_NAME_WIDTH = 30


def _hkex_table(style: int, classname: str, schema: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {
        "style": style,
        "table": {"classname": classname, "schema": [list(schema)], "tr": [{"td": [list(row)]} for row in rows]},
    }


def _hkex_summary(flow: DayFlow, *, has_sides: bool) -> dict[str, Any]:
    """Transposed: the schema names the rows, each of one cell."""
    cells = {
        "Total Turnover": f"{flow.turnover:,.2f}",
        "Buy Turnover": f"{flow.buy:,.2f}",
        "Sell Turnover": f"{flow.sell:,.2f}",
        "Total Trade Count": f"{flow.buy_count + flow.sell_count:,}",
        "Buy Trade Count": f"{flow.buy_count:,}",
        "Sell Trade Count": f"{flow.sell_count:,}",
        "DQB": _HKEX_DQB,
        "ETF Turnover": f"{flow.etf_turnover:,.2f}",
    }
    schema = _HKEX_SOUTHBOUND if has_sides else _HKEX_NORTHBOUND
    return _hkex_table(1, "tradingTable", schema, [[cells[name]] for name in schema])


def _hkex_top(stocks: Sequence[TopStock], *, has_sides: bool) -> dict[str, Any]:
    sides = ("Buy Turnover", "Sell Turnover") if has_sides else ()
    schema = ("Rank", "Stock Code", "Stock Name", *sides, "Total Turnover")
    rows = []
    for rank, stock in enumerate(stocks, start=1):
        amounts = (stock.buy, stock.sell, stock.turnover) if has_sides else (stock.turnover,)
        name = stock.name.ljust(_HKEX_NAME_WIDTH)
        rows.append([str(rank), stock.code, name, *(f"{amount:,}" for amount in amounts)])
    return _hkex_table(2, "top10Table", schema, rows)


def hkex_daily(view: View, request: DemoRequest) -> DemoAnswer:
    """The day's file of Stock Connect: four markets, of the last 183 days."""
    day = _compact_day(request.match["day"])
    if day is None or not view.has_flows(day) or day < view.end - dt.timedelta(days=_HKEX_KEPT_DAYS):
        return html_error(404, "Not Found")
    flows = view.flows()
    northbound_sides = day < NORTHBOUND_UNDISCLOSED
    blocks: list[dict[str, Any]] = []
    for channel in CHANNELS:
        north = [
            _hkex_summary(flows.northbound_day(channel, day), has_sides=northbound_sides),
            _hkex_top(flows.northbound_top_stocks(channel, day), has_sides=northbound_sides),
        ]
        south = [
            _hkex_summary(flows.southbound_day(channel, day), has_sides=True),
            _hkex_top(flows.top_stocks(channel, day), has_sides=True),
        ]
        for direction, content in (("Northbound", north), ("Southbound", south)):
            blocks.append(
                {
                    "id": len(blocks),
                    "date": f"{day}",
                    "market": f"{channel.upper()} {direction}",
                    "tradingDay": 1,
                    "content": content,
                }
            )
    text = f"tabData = {json.dumps(blocks, separators=(',', ':'))};"
    return DemoAnswer(text.encode(), media_type="application/javascript")


def _compact_day(text: str) -> dt.date | None:
    """``20250214`` as a date, or ``None`` if it is none."""
    try:
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:])) if len(text) == 8 else None
    except ValueError:
        return None


# -- Eastmoney's history of Stock Connect ----------------------------------------------------------------------------

#: MUTUAL_TYPE -> direction, channel.
_MUTUAL_TYPES = {
    "001": ("northbound", "sse"), "002": ("southbound", "sse"), "003": ("northbound", "szse"),
    "004": ("southbound", "szse"), "005": ("northbound", TOTAL), "006": ("southbound", TOTAL),
}  # fmt: skip
_MUTUAL_TYPE = re.compile(r'\(MUTUAL_TYPE="(\d{3})"\)', re.ASCII)
_MUTUAL_BOUND = re.compile(r"\(TRADE_DATE\s*(>=|<=|>|<|=)\s*'(\d{4}-\d{2}-\d{2})[^']*'\)", re.ASCII)
_MUTUAL_MAX_PAGE = 1000


def _eastmoney_refusal(code: int, message: str) -> DemoAnswer:
    """Refusals come with status 200."""
    return json_answer({"version": None, "result": None, "success": False, "message": message, "code": code})


def eastmoney_mutual_history(view: View, request: DemoRequest) -> DemoAnswer:
    """A page of one type's daily history, northbound without sides since 2024-08-19."""
    if request.params.get("reportName") != "RPT_MUTUAL_DEAL_HISTORY":
        return _eastmoney_refusal(9501, "报表配置不存在")
    written = request.params.get("filter", "")
    asked = _MUTUAL_TYPE.search(written)
    if asked is None or asked[1] not in _MUTUAL_TYPES:
        return _eastmoney_refusal(9201, "返回数据为空")
    rows = [row for row in _mutual_rows(view, asked[1]) if _in_bounds(row["TRADE_DATE"][:10], written)]
    if request.params.get("sortTypes", "-1") == "-1":
        rows.reverse()
    size, page = (
        int(value) if value.isdigit() else default
        for value, default in ((request.params.get("pageSize", ""), 50), (request.params.get("pageNumber", ""), 1))
    )
    size = max(1, min(size, _MUTUAL_MAX_PAGE))
    picked = rows[(max(page, 1) - 1) * size : max(page, 1) * size]
    if not picked:
        return _eastmoney_refusal(9201, "返回数据为空")
    result = {"pages": -(-len(rows) // size), "data": picked, "count": len(rows)}
    return json_answer({"version": "demo", "result": result, "success": True, "message": "ok", "code": 0})


def _in_bounds(day: str, written: str) -> bool:
    tests: dict[str, Callable[[str, str], bool]] = {
        ">=": str.__ge__, "<=": str.__le__, ">": str.__gt__, "<": str.__lt__, "=": str.__eq__,
    }  # fmt: skip
    return all(tests[operator](day, bound) for operator, bound in _MUTUAL_BOUND.findall(written))


def _mutual_rows(view: View, code: str) -> list[dict[str, Any]]:
    """All rows of a type, oldest first; a few closed days are among them, with a net of zero and nothing else."""
    direction, channel = _MUTUAL_TYPES[code]
    is_southbound = direction == "southbound"
    flows = view.flows()
    series: Series = (flows.southbound if is_southbound else flows.northbound)[channel]
    starts = anchors.CHOSEN_ACCUMULATED[direction]
    before = sum(starts.values()) if channel == TOTAL else starts[channel]
    accumulated = np.round(before + np.cumsum(series.buy - series.sell) / 100, 2)
    index = view.bars("^HSI" if is_southbound else "000300.SS")
    closes = {} if index is None else dict(zip(index.days, index.close.tolist(), strict=True))
    leaders = (
        [(f"{number}.HK", name) for number, name, _ in anchors.CHOSEN_TOP_STOCKS]
        if is_southbound
        else [(f"{number}.{'SH' if number[0] == '6' else 'SZ'}", name)
              for number, name, _ in anchors.CHOSEN_NORTHBOUND_STOCKS["szse" if channel == "szse" else "sse"]]
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    previous: float | None = None
    for i, day in enumerate(flows.days):
        if day > view.end:
            break
        flow = _of_direction(flows, direction, channel, day)
        disclosed = is_southbound or day < NORTHBOUND_UNDISCLOSED
        close = closes.get(day)
        lead_code, lead_name = leaders[day.toordinal() % len(leaders)]
        rows.append(
            {
                "MUTUAL_TYPE": code,
                "TRADE_DATE": f"{day} 00:00:00",
                "FUND_INFLOW": None,
                "NET_DEAL_AMT": flow.net if disclosed else None,
                "QUOTA_BALANCE": None,
                "ACCUM_DEAL_AMT": float(accumulated[i]) if disclosed else None,
                "BUY_AMT": flow.buy if disclosed else None,
                "SELL_AMT": flow.sell if disclosed else None,
                "LEAD_STOCKS_CODE": lead_code,
                "LEAD_STOCKS_NAME": lead_name,
                "LS_CHANGE_RATE": round(2.0 + day.toordinal() % 80 / 10, 2),
                "INDEX_CLOSE_PRICE": close,
                "INDEX_CHANGE_RATE": round((close / previous - 1) * 100, 2) if close and previous else None,
                "HOLD_MARKET_CAP": None,
                "DEAL_AMT": flow.turnover,
                "DEAL_NUM": flow.buy_count + flow.sell_count,
            }
        )
        previous = close
    if is_southbound:
        empty: dict[str, Any] = dict.fromkeys(rows[0] if rows else ())
        closed = [day for day in anchors.CLOSED_DAY_ROWS if day <= view.end]
        rows += [{**empty, "MUTUAL_TYPE": code, "TRADE_DATE": f"{day} 00:00:00", "NET_DEAL_AMT": 0.0} for day in closed]
        rows.sort(key=lambda row: row["TRADE_DATE"])
    return rows


def _of_direction(flows: Flows, direction: str, channel: str, day: dt.date) -> DayFlow:
    return flows.southbound_day(channel, day) if direction == "southbound" else flows.northbound_day(channel, day)


# -- the mainland exchanges' own southbound figures ------------------------------------------------------------------


def _hundred_million(amount_mn: float) -> str:
    return f"{amount_mn / 100:,.2f}"


def sse_southbound(view: View, request: DemoRequest) -> DemoAnswer:
    """Shanghai's figures of a day in units of 100 million, HKD; before 2024-08-19 CNY, which nothing says."""
    day = _compact_day(request.params.get("tradeDate", ""))
    if day is None or not view.has_flows(day):
        return json_answer({"quatationInfo": "success", "result": [None]})
    flow = view.flows().southbound_day("sse", day)
    factor = 1.0 if day >= NORTHBOUND_UNDISCLOSED else _cny_per_hkd(view, day)
    row = {
        "TRADE_DATE": f"{day:%Y%m%d}",
        "BUY_AMOUNT": _hundred_million(flow.buy * factor),
        "SELL_AMOUNT": _hundred_million(flow.sell * factor),
        "TOTAL_AMOUNT": _hundred_million(flow.turnover * factor),
        "ETF_TOTAL_AMOUNT": _hundred_million(flow.etf_turnover * factor),
        "BUY_VOLUME": f"{flow.buy_count / 1e4:,.2f}",
        "SELL_VOLUME": f"{flow.sell_count / 1e4:,.2f}",
        "TOTAL_VOLUME": f"{(flow.buy_count + flow.sell_count) / 1e4:,.2f}",
    }
    return json_answer({"quatationInfo": "success", "result": [row]})


def _cny_per_hkd(view: View, day: dt.date) -> float:
    rates = view.rates().until(day)
    return float(rates.rates["CNY"][-1] / rates.rates["HKD"][-1])


def szse_southbound(view: View, request: DemoRequest) -> DemoAnswer:
    """Shenzhen's report of a day, its figures named by Chinese labels, in units of HK$ 100 million."""
    if request.params.get("CATALOGID") != "SGT_GGTJYRB":
        return json_answer([])
    try:
        day = dt.date.fromisoformat(request.params.get("txtDate", ""))
    except ValueError:
        return json_answer([{"metadata": {"catalogid": "SGT_GGTJYRB", "subname": ""}, "data": [], "error": None}])
    metadata = {"catalogid": "SGT_GGTJYRB", "name": "港股通交易日报", "subname": f"{day}"}
    if not view.has_flows(day):
        return json_answer([{"metadata": metadata, "data": [], "error": None}])
    flow = view.flows().southbound_day("szse", day)
    figures = {
        "当日交易总额（亿元港币）": _hundred_million(flow.turnover),
        "当日买入交易金额（亿元港币）": _hundred_million(flow.buy),
        "当日卖出交易金额（亿元港币）": _hundred_million(flow.sell),
        "当日交易总笔数（万笔）": f"{(flow.buy_count + flow.sell_count) / 1e4:,.2f}",
        "当日买入交易笔数（万笔）": f"{flow.buy_count / 1e4:,.2f}",
        "当日卖出交易笔数（万笔）": f"{flow.sell_count / 1e4:,.2f}",
        "当日ETF交易总额（亿元港币）": _hundred_million(flow.etf_turnover),
        "当日额度余额（亿元人民币）": "420.00",
    }
    data = [{"label": label, "total": value} for label, value in figures.items()]
    return json_answer([{"metadata": metadata, "data": data, "error": None}])


# -- ECB -------------------------------------------------------------------------------------------------------------


def _ecb_text(value: float, currency: str) -> str:
    return f"{value:.{fx.decimals(currency)}f}".rstrip("0").rstrip(".")


def _ecb_xml(view: View, days_back: int) -> DemoAnswer:
    rates = view.rates()
    if not rates.days:
        return html_error(404, "Not Found")
    oldest = rates.days[-1] - dt.timedelta(days=days_back)
    cubes = []
    for i in reversed(range(len(rates.days))):
        if rates.days[i] < oldest:
            break
        lines = "".join(
            f"\t\t\t<Cube currency='{currency}' rate='{_ecb_text(float(values[i]), currency)}'/>\n"
            for currency, values in rates.rates.items()
            if not np.isnan(values[i])
        )
        cubes.append(f"\t\t<Cube time='{rates.days[i]}'>\n{lines}\t\t</Cube>\n")
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
        'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">\n'
        "\t<gesmes:subject>Reference rates</gesmes:subject>\n"
        "\t<gesmes:Sender>\n\t\t<gesmes:name>European Central Bank</gesmes:name>\n\t</gesmes:Sender>\n"
        f"\t<Cube>\n{''.join(cubes)}\t</Cube>\n</gesmes:Envelope>"
    )
    return DemoAnswer(text.encode(), media_type="text/xml")


def ecb_daily(view: View, _request: DemoRequest) -> DemoAnswer:
    """The latest day's rates as XML."""
    return _ecb_xml(view, 0)


def ecb_90_days(view: View, _request: DemoRequest) -> DemoAnswer:
    """The rates of the last 90 days as XML, latest first."""
    return _ecb_xml(view, 90)


def ecb_history(view: View, _request: DemoRequest) -> DemoAnswer:
    """All rates as a zipped CSV, latest first, with the trailing comma of the real file."""
    rates = view.rates()
    lines = ["Date," + "".join(f"{currency}," for currency in rates.rates)]
    for i in reversed(range(len(rates.days))):
        cells = (
            "N/A" if np.isnan(values[i]) else _ecb_text(float(values[i]), currency)
            for currency, values in rates.rates.items()
        )
        lines.append(f"{rates.days[i]}," + "".join(f"{cell}," for cell in cells))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # A fixed time keeps the bytes the same from run to run.
        entry = zipfile.ZipInfo("eurofxref-hist.csv", (view.end.year, view.end.month, view.end.day, 16, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, "\n".join(lines) + "\n")
    return DemoAnswer(buffer.getvalue(), media_type="application/zip")


ROUTES: tuple[Route, ...] = (
    Route("query1.finance.yahoo.com", r"/v8/finance/chart/(?P<symbol>[^/]+)", yahoo_chart),
    Route("query2.finance.yahoo.com", r"/v8/finance/chart/(?P<symbol>[^/]+)", yahoo_chart),
    Route("query1.finance.yahoo.com", r"/v10/finance/quoteSummary/(?P<symbol>[^/]+)", yahoo_quote_summary),
    Route("query2.finance.yahoo.com", r"/v10/finance/quoteSummary/(?P<symbol>[^/]+)", yahoo_quote_summary),
    Route("query1.finance.yahoo.com", r"/v1/test/getcrumb", yahoo_crumb),
    Route("query2.finance.yahoo.com", r"/v1/test/getcrumb", yahoo_crumb),
    Route("fc.yahoo.com", r"/?", yahoo_cookie),
    Route("www.hsi.com.hk", r"/static/uploads/contents/en/indexes/report/(?P<series>\w+)/(?P<name>idx_\w+\.csv)",
          hang_seng_static),
    Route("www.hsi.com.hk", r"/api/wsit-hsi-ddoc-ea-public-website-proxy/v1/product-data/pub/series/metadata/v2",
          hang_seng_manifest),
    Route("www.hsi.com.hk", r"/api/wsit-hsi-ddoc-ea-public-website-proxy/v1/content/gcs/download", hang_seng_download),
    Route("push2his.eastmoney.com", r"/api/qt/stock/kline/get", eastmoney_kline),
    Route("www.hkex.com.hk", r"/eng/csm/DailyStat/data_tab_daily_(?P<day>\d{8})e\.js", hkex_daily),
    Route("datacenter-web.eastmoney.com", r"/api/data/v1/get", eastmoney_mutual_history),
    Route("query.sse.com.cn", r"/ggt/getQuatationInfo\.do", sse_southbound),
    Route("www.szse.cn", r"/api/report/ShowReport/data", szse_southbound),
    Route("www.ecb.europa.eu", r"/stats/eurofxref/eurofxref-daily\.xml", ecb_daily),
    Route("www.ecb.europa.eu", r"/stats/eurofxref/eurofxref-hist-90d\.xml", ecb_90_days),
    Route("www.ecb.europa.eu", r"/stats/eurofxref/eurofxref-hist\.zip", ecb_history),
)  # fmt: skip


# -- the server ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoggedRequest:
    """One request the demo upstream has answered."""

    host: str
    path: str
    params: Mapping[str, str]
    status: int


class DemoUpstream:
    """The offline upstream on an ephemeral port of 127.0.0.1; use as a context manager.

    Args:
        end: last day that the demo world has, at most `anchors.WORLD_END`.
        routes: further routes, tried before the built-in ones.
        world: another world than the shipped catalog's.

    Attributes:
        base_url: what to give as `http.Upstream`'s ``base``; valid while the context is open.
        requests_log: every request answered, oldest first.

    Raises:
        ValueError: `end` lies outside the demo world.
    """

    def __init__(
        self,
        end: dt.date = anchors.WORLD_END,
        *,
        routes: Sequence[Route] = (),
        world: DemoWorld | None = None,
    ) -> None:
        if not anchors.WORLD_START <= end <= anchors.WORLD_END:
            raise ValueError(f"the demo world is from {anchors.WORLD_START} to {anchors.WORLD_END}, not {end}")
        self.end = end
        self.routes = tuple((route, re.compile(route.pattern)) for route in (*routes, *ROUTES))
        self.requests_log: list[LoggedRequest] = []
        self._world = world
        self._log_lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT``, without a slash at the end.

        Raises:
            RuntimeError: the server is not running.
        """
        if self._server is None:
            raise RuntimeError("the demo upstream is not running; use it as a context manager")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def now(self) -> float:
        """The time it is there, in seconds since 1970."""
        return time.time()

    @property
    def requests_count(self) -> int:
        """How many requests have been answered."""
        return len(self.requests_log)

    def __enter__(self) -> DemoUpstream:
        if self._server is not None:
            raise RuntimeError("the demo upstream is already running")
        if self._world is None:
            self._world = default_world()
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="demo-upstream", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        server, thread, self._server, self._thread = self._server, self._thread, None, None
        if server is not None:
            server.shutdown()
            server.server_close()
        if thread is not None:
            thread.join(timeout=5)

    def answer(self, target: str) -> DemoAnswer:
        """The answer to ``/HOST/PATH?QUERY``, without the network; it is logged like any other."""
        address, _, query = target.partition("?")
        host, _, path = address.lstrip("/").partition("/")
        host, path = host.lower(), f"/{unquote(path)}"
        try:
            params = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100))
        except ValueError:
            params, answer = {}, html_error(400, "Bad Request")
        else:
            answer = self._dispatch(host, path, params)
        with self._log_lock:
            self.requests_log.append(LoggedRequest(host, path, params, answer.status))
        return answer

    def _dispatch(self, host: str, path: str, params: Mapping[str, str]) -> DemoAnswer:
        world = self._world if self._world is not None else default_world()
        for route, pattern in self.routes:
            match = pattern.fullmatch(path) if route.host == host else None
            if match is not None:
                return route.handler(View(world, self.end), DemoRequest(host, path, params, match))
        return html_error(404, "Not Found")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # an idle kept-alive connection must not hold up the end of a run


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "RallyDemo"
    sys_version = ""
    timeout = 30
    wbufsize = 64 * 1024  # head and body in one segment
    disable_nagle_algorithm = True

    def __init__(self, upstream: DemoUpstream, *args: Any) -> None:
        self._upstream = upstream
        super().__init__(*args)

    def do_GET(self) -> None:
        try:
            answer = self._upstream.answer(self.path)
        except Exception:
            answer = html_error(500, "Internal Server Error")
            self.log_exception()
        self.send_response(answer.status)
        for name, value in {
            "Content-Type": answer.media_type,
            **answer.headers,
            "Content-Length": str(len(answer.body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time it is at the upstream."""
        return super().date_time_string(self._upstream.now() if timestamp is None else timestamp)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_exception(self) -> None:
        """Puts the traceback where a test or a person can find it."""
        import logging

        logging.getLogger(__name__).exception("the demo upstream failed on %s", self.path)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the requests are in `DemoUpstream.requests_log`."""
