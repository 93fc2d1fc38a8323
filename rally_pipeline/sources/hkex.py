"""HKEX Stock Connect: the day's southbound and northbound figures as the exchange publishes them, about 17:30 HKT.

Belongs here: the address of the daily file and its JavaScript wrapper, blocks and transposed tables. Does not belong
here: the total of both channels (the warehouse adds them up), or the monthly and intraday files.

Southbound amounts are HK$ million, northbound ones CNY million, the ten most active shares whole HK$. The upstream
keeps about six months, so older days are never asked for; what was fetched stays in the archive.
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
from rally_pipeline.sources.stock_connect import (
    SUM_TOLERANCE_MN,
    Sessions,
    as_asked,
    check_sum,
    flow_frame,
    is_sum,
    load_json,
    not_trading_day,
    number,
    rounded,
    southbound_days,
)

if TYPE_CHECKING:
    from rally_pipeline.sources.http import Upstream

SOURCE = "hkex"

#: How far back the upstream is asked; about what it keeps.
RETENTION_DAYS = 183
#: Largest file read. A day has about 20 KiB.
MAX_BYTES = 4 * 1024 * 1024

_ROOT = "https://www.hkex.com.hk/eng/csm/DailyStat"
_HEADERS = {"Referer": "https://www.hkex.com.hk/Mutual-Market/Stock-Connect/Statistics/Historical-Daily?sc_lang=en"}
_WRAPPER = re.compile(rb"^\s*(?:var\s+)?tabData\s*=\s*", re.ASCII)
_MARKETS = {
    "sse northbound": ("sse", False),
    "sse southbound": ("sse", True),
    "szse northbound": ("szse", False),
    "szse southbound": ("szse", True),
}
#: Stands in cells of figures that are no longer disclosed.
_UNDISCLOSED = frozenset({999_999_999.0})
_CODE = re.compile(r"\d{1,5}", re.ASCII)


def plan(
    catalog: Catalog,
    start: dt.date,
    end: dt.date,
    *,
    symbols: Collection[str] | None = None,
    today: dt.date,
    sessions: Sessions | None = None,
) -> list[FetchRequest]:
    """One request per southbound session in [start, end], within the last 183 days up to `today`, oldest first.

    Args:
        catalog: not looked at.
        start: first session date, inclusive.
        end: last session date, inclusive.
        symbols: not looked at; a file has all channels.
        today: date of the run in Hong Kong.
        sessions: ``sessions(market, start, end)``, asked for ``SOUTHBOUND``; without it every weekday counts.

    """
    first = max(start, today - dt.timedelta(days=RETENTION_DAYS))
    return [_request(day) for day in southbound_days(sessions, first, min(end, today))]


def _request(day: dt.date) -> FetchRequest:
    name = f"data_tab_daily_{day:%Y%m%d}e"
    return FetchRequest(SOURCE, SOURCE, Dataset.SOUTHBOUND_FLOW, name, url=f"{_ROOT}/{name}.js", start=day, end=day)


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Asks for the day's file.

    Raises:
        PermanentFetchError: there is none (closed day, not published yet, or no longer kept).
        RetryableFetchError: as the upstream answers.

    """
    answer = upstream.get(request.url, headers=_HEADERS)
    return Payload(request, answer.body, answer.media_type, answer.status, answer.fetched_at)


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """The two southbound channels; extras are the two northbound ones and the southbound top-ten lists.

    Blocks are chosen by the name of the market and cells by the names in the schema, never by position. Locators are
    ``SSE Southbound`` and, for the top ten, ``SSE Southbound[3]``.

    Findings: ``not_trading_day``, ``no_figures``, ``no_top_list`` (*warn*); ``top_stock_sum`` (*quarantine*, that
    row is left out).

    Raises:
        PayloadError: ``not_empty``, ``not_html``, ``size_bound``, ``depth_bound``, ``text_encoding``, ``json_valid``,
            ``wrapper_known``, ``four_markets``, ``date_valid``, ``date_matches``, ``header_known``, ``table_shape``,
            ``number_valid``, ``code_valid``, ``turnover_is_sum``.

    """
    blocks = _blocks(payload.body)
    asked = payload.request.start
    southbound: list[dict[str, Any]] = []
    northbound: list[dict[str, Any]] = []
    top: list[dict[str, Any]] = []
    findings: list[Finding] = []
    for name, block in blocks.items():
        channel, is_southbound = _MARKETS[name.casefold()]
        is_open = block.get("tradingDay") in (1, "1", True)
        day = _date(block, name, asked, is_required=is_open)
        if not is_open:
            findings.append(not_trading_day(day, f"tradingDay is {block.get('tradingDay')!r}", name))
            continue
        assert day is not None
        summary, top_table = _tables(block, name)
        values = _summary(summary, name, is_southbound)
        if values is None or _says_nothing(values):
            findings.append(Finding("no_figures", Severity.WARN, f"{name} has no figures for {day}; no row", name))
            continue
        row = {"channel": channel, "session_date": day, "locator": name}
        unit = "HK$ mn" if is_southbound else "CNY mn"
        check_sum(values["buy"], values["sell"], values["turnover"], name, unit=unit, tolerance=SUM_TOLERANCE_MN)
        net = rounded(values["buy"] - values["sell"])
        if is_southbound:
            southbound.append(
                row
                | {
                    "buy_hkd_mn": values["buy"],
                    "sell_hkd_mn": values["sell"],
                    "net_buy_hkd_mn": net,
                    "turnover_hkd_mn": values["turnover"],
                    "buy_trade_count": values["buy_count"],
                    "sell_trade_count": values["sell_count"],
                    "etf_turnover_hkd_mn": values["etf"],
                }
            )
            top.extend(_top(top_table, row, name, findings))
        else:
            northbound.append(
                row
                | {
                    "turnover_cny_mn": values["turnover"],
                    "buy_cny_mn": values["buy"],
                    "sell_cny_mn": values["sell"],
                    "net_buy_cny_mn": net,
                    "trade_count": values["turnover_count"],
                }
            )
    frames = {
        Dataset.SOUTHBOUND_FLOW: flow_frame(southbound),
        Dataset.NORTHBOUND_TURNOVER: flow_frame(northbound, Dataset.NORTHBOUND_TURNOVER),
        Dataset.TOP_STOCK: flow_frame(top, Dataset.TOP_STOCK),
    }
    return as_asked(payload.request.dataset, frames, tuple(findings))


def _blocks(body: bytes) -> dict[str, dict[str, Any]]:
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    match = _WRAPPER.match(text)
    # Empty, HTML, oversized or deep: told by the reader of JSON, whatever stands around it.
    content = load_json(text[match.end() :].rstrip(b"; \t\r\n") if match else text, limit=MAX_BYTES)
    if match is None:
        raise PayloadError("wrapper_known", "the file does not begin with tabData =", "fetch the day again")
    if not isinstance(content, list):
        raise PayloadError("four_markets", "tabData is not a list of markets", locator="tabData")
    blocks: dict[str, dict[str, Any]] = {}
    names = []
    for block in content:
        name = " ".join(str(block.get("market", "") if isinstance(block, dict) else "").split())
        names.append(name or "(no name)")
        if name.casefold() in _MARKETS:
            blocks[name] = block
    if len(content) != len(_MARKETS) or {name.casefold() for name in blocks} != set(_MARKETS):
        raise PayloadError(
            "four_markets",
            f"the file has {', '.join(names[:8]) or 'no market'}; "
            "SSE and SZSE, Northbound and Southbound, each once, are expected",
            "fetch the day again",
            locator="tabData",
        )
    return blocks


def _date(block: dict[str, Any], name: str, asked: dt.date | None, *, is_required: bool) -> dt.date | None:
    written = str(block.get("date") or "").strip()
    if not written and not is_required:
        return asked
    try:
        day = parse_day(written)[0]
    except ValueError:
        raise PayloadError("date_valid", f"date is {written[:40]!r}, not a date", locator=name) from None
    if asked is not None and day != asked:
        raise PayloadError(
            "date_matches", f"the block is of {day}, but {asked} was asked for", "fetch the day again", locator=name
        )
    return day


def _tables(block: dict[str, Any], name: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The summary and the top-ten table, told apart by what their schemas name."""
    summary = top = None
    content = block.get("content")
    for item in content if isinstance(content, list) else ():
        table = item.get("table") if isinstance(item, dict) else None
        if not isinstance(table, dict):
            continue
        names = _schema(table, name)
        if "stock code" in names:
            top = table
        elif names:
            summary = table
    return summary, top


def _schema(table: dict[str, Any], name: str) -> list[str]:
    schema = table.get("schema")
    first = schema[0] if isinstance(schema, list) and schema else []
    if not isinstance(first, list) or not all(isinstance(cell, str) for cell in first):
        raise PayloadError("header_known", "the schema of a table is not a list of names", locator=name)
    return [" ".join(cell.split()).casefold() for cell in first]


def _rows(table: dict[str, Any], name: str) -> list[list[Any]]:
    """The cells of each ``tr``."""
    rows = []
    for row in table.get("tr") or ():
        cells = row.get("td") if isinstance(row, dict) else None
        if not isinstance(cells, list) or not cells or not isinstance(cells[0], list):
            raise PayloadError("table_shape", "a row of a table has no cells", locator=name)
        rows.append(cells[0])
    return rows


def _summary_field(header: str) -> str | None:
    """What a name of the summary's schema means; older files count ``No. of … Trades`` before the amounts."""
    if "quota" in header or header == "dqb":
        return None
    if "etf" in header:
        return "etf" if "turnover" in header else None
    has_buy, has_sell = "buy" in header, "sell" in header
    side = "turnover" if "total" in header or (has_buy and has_sell) else "buy" if has_buy else "sell"
    if side == "sell" and not has_sell:
        return None
    if header.startswith("no.") or "number" in header or "count" in header:
        return f"{side}_count"
    return side if "turnover" in header or "value" in header or "amount" in header else None


def _summary(table: dict[str, Any] | None, name: str, is_southbound: bool) -> dict[str, float] | None:
    """Figures by field, NaN where not given; ``None`` where the table is absent or empty."""
    if table is None:
        return None
    header, rows = _schema(table, name), _rows(table, name)
    if not rows:
        return None
    if len(rows) != len(header):
        raise PayloadError(
            "table_shape", f"the summary has {len(rows)} rows and {len(header)} names for them", locator=name
        )
    fields = ("buy", "sell", "turnover", "buy_count", "sell_count", "turnover_count", "etf")
    values = dict.fromkeys(fields, math.nan)
    seen: dict[str, str] = {}
    for label, row in zip(header, rows, strict=True):
        field = _summary_field(label)
        if field is None:
            continue
        if field in seen:
            raise PayloadError("header_known", f"{seen[field]!r} and {label!r} mean the same", locator=name)
        seen[field] = label
        values[field] = number(row[0] if row else None, label, name, not_given=_UNDISCLOSED)
        if values[field] < 0:
            raise PayloadError("number_valid", f"{label} is {row[0]!r}, below zero", locator=name)
    required = ("buy", "sell", "turnover") if is_southbound else ("turnover",)
    if missing := [field for field in required if field not in seen]:
        raise PayloadError(
            "header_known", f"the summary names no {' and no '.join(missing)}: {', '.join(header)}", locator=name
        )
    return values


def _says_nothing(values: dict[str, float]) -> bool:
    """No amount is given, or all are zero, which no session has ever been."""
    return all(math.isnan(values[field]) or values[field] == 0 for field in ("buy", "sell", "turnover"))


_TOP_FIELDS = {
    "rank": "rank",
    "stock code": "code",
    "stock name": "name",
    "buy turnover": "buy",
    "sell turnover": "sell",
    "total turnover": "turnover",
}


def _top(
    table: dict[str, Any] | None, common: dict[str, Any], name: str, findings: list[Finding]
) -> list[dict[str, Any]]:
    header, rows = (_schema(table, name), _rows(table, name)) if table is not None else ([], [])
    if not rows:
        findings.append(Finding("no_top_list", Severity.WARN, f"{name} has no most active shares", name))
        return []
    positions = {_TOP_FIELDS[label]: index for index, label in enumerate(header) if label in _TOP_FIELDS}
    if missing := sorted(set(_TOP_FIELDS.values()) - set(positions)):
        raise PayloadError("header_known", f"the top ten name no {', '.join(missing)}", locator=name)
    result = []
    for index, row in enumerate(rows):
        where = f"{name}[{index}]"
        if len(row) != len(header):
            raise PayloadError("table_shape", f"the row has {len(row)} cells, the schema {len(header)}", locator=where)
        cells = {field: row[position] for field, position in positions.items()}
        code = str(cells["code"]).strip()
        if code in ("", "-"):
            continue
        if not _CODE.fullmatch(code):
            raise PayloadError("code_valid", f"stock code is {code[:20]!r}, not up to five digits", locator=where)
        rank = number(cells["rank"], "rank", where)
        if not rank >= 1 or rank != int(rank):
            raise PayloadError("number_valid", f"rank is {cells['rank']!r}", locator=where)
        buy, sell, turnover = (number(cells[field], field, where) for field in ("buy", "sell", "turnover"))
        if not is_sum(buy, sell, turnover, 1.0):
            text = f"{code}: buy {buy:,.0f} + sell {sell:,.0f} is not the turnover {turnover:,.0f}; left out"
            findings.append(Finding("top_stock_sum", Severity.QUARANTINE, text, where, rows=1))
            continue
        result.append(
            common
            | {
                "rank": int(rank),
                "stock_code": code.zfill(5),
                "symbol": f"{int(code):04d}.HK",
                # `split` knows the full-width blank as well.
                "stock_name": " ".join(str(cells["name"] or "").split()),
                "buy_hkd": buy,
                "sell_hkd": sell,
                "turnover_hkd": turnover,
                "locator": where,
            }
        )
    return result
