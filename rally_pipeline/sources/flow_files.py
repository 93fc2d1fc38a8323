"""Dropped files of Stock Connect flows: daily figures, broker tables, Eastmoney's history saved as CSV.

Belongs here: the three shapes of such files (CSV, plain or gzipped, or an Excel workbook), units, and every rule that
needs only the file itself, plus the pure comparison with weekly totals that somebody else computed. Does not belong
here: cells, dates and numbers as such (`delimited.py`), computing those totals, or moving files about.

Shapes, told apart by the header:

- daily: ``date,channel,buy,sell[,net],unit,currency``, one channel and day a row, HK$ only;
- broker table: the long form with ``schema_version,source,…,metric,value,unit,currency,…``, one figure a row;
- history: ``date,mutual_type,…,net_buy,buy,sell,total,…``, all six types, in millions.
"""

from __future__ import annotations

import datetime as dt
import io
import math
import re
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError, PermanentFetchError
from rally_pipeline.sources import price_files
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame
from rally_pipeline.sources.delimited import (
    MAX_UNPACKED_BYTES,
    Cells,
    as_text,
    decode_text,
    gunzip,
    read_cells,
    row_locators,
    split_line,
    too_large,
)
from rally_pipeline.sources.stock_connect import Floats, as_asked, mutual_history

if TYPE_CHECKING:
    from rally_pipeline.sources.http import Upstream

SOURCE = "flow_files"

SCHEMA_VERSIONS = frozenset({"1"})
SHEET = "flows"
MAX_SHEET_ROWS = 200_000
MAX_SHEET_COLUMNS = 64

#: Unit to how many of them make a million.
_PER_MILLION = {"abs": 1e6, "thousand": 1e3, "million": 1.0, "100m": 0.01, "billion": 0.001}
MONEY_UNITS = tuple(_PER_MILLION)

_DAILY = ("date", "channel", "buy", "sell", "net", "unit", "currency")
_HISTORY = ("date", "mutual_type", "net_buy", "buy", "sell", "total")
_HISTORY_IGNORED = frozenset({"type_name", "fund_inflow", "quota_balance", "accum_buy"})
_BROKER_REQUIRED = (
    "schema_version",
    "source",
    "report_title",
    "report_date",
    "period_start",
    "period_end",
    "period_basis",
    "flow_family",
    "channel",
    "market",
    "style",
    "dimension",
    "dimension_value",
    "metric",
    "value",
    "unit",
    "currency",
    "trading_days",
)
_BROKER_OPTIONAL = ("published_at", "revision_of", "page_ref", "entered_by", "note")
_BROKER_WORDS = {
    "period_basis": ("mon_fri", "epfr_thu_wed", "mtd", "ytd"),
    "flow_family": ("southbound", "northbound", "epfr", "etf", "broker_other"),
    "channel": ("total", "sse", "szse", "na"),
    "style": ("active", "passive", "total", "na"),
    "dimension": ("total", "sector", "stock", "fund_domicile"),
    "metric": (
        "net_flow",
        "buy",
        "sell",
        "turnover",
        "daily_avg",
        "cum_ytd",
        "hold_value",
        "turnover_share",
        "pct_aum",
    ),
    "unit": (*MONEY_UNITS, "pct", "shares"),
}
_SHARE_METRICS = frozenset({"turnover_share", "pct_aum"})
_ADDITIVE = frozenset({"net_flow", "buy", "sell", "turnover", "daily_avg", "cum_ytd", "hold_value"})
_WORD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_STOCK_CODE = re.compile(r"\d{5}", re.ASCII)
_NULLS = frozenset({"-", "--", "—", "–", "―", "−"})
_SECTOR_TOLERANCE = 0.05
_CHANNEL_TOLERANCE = 0.01
_AVERAGE_TOLERANCE = 0.02
_WEEK_TOLERANCE = 0.01
#: A figure this near to a power of ten of the computed one is a unit error and no disagreement.
_TEN_FOLD_TOLERANCE = 0.05


def to_hkd_mn(value: float, unit: str) -> float:
    """An amount in `unit` (abs, thousand, million, 100m, billion) as millions, without the noise of binary fractions.

    Raises:
        ValueError: `unit` is no unit of money.

    """
    if unit not in _PER_MILLION:
        raise ValueError(f"{unit!r} is no unit of money; use one of {', '.join(MONEY_UNITS)}")
    # Dividing by the exact whole number is what keeps 1 abs at 1e-6 and 512.1 of 100m at 51,210.
    per_million = _PER_MILLION[unit]
    return round(value / per_million if per_million >= 1 else value * round(1 / per_million), 6)


def request_for(
    name: str,
    *,
    source: str = SOURCE,
    dataset: Dataset = Dataset.SOUTHBOUND_FLOW,
    unit: str | None = None,
    currency: str | None = None,
) -> FetchRequest:
    """The request under which a dropped file is archived.

    Args:
        name: file name; a folder before it is dropped, so that archives do not depend on where the file lay.
        source: the provider as the user names it.
        dataset: what the user takes the file for. A file of another kind is read all the same; its rows are then in
            ``Parsed.extra``.
        unit: unit of a daily file without a column for it.
        currency: currency of a daily file without a column for it.

    """
    name = Path(name).name
    params = {"file_name": name}
    if unit is not None:
        params["unit"] = unit
    if currency is not None:
        params["currency"] = currency
    return FetchRequest(source, SOURCE, dataset, name, params=params)


def read_payload(path: Path, request: FetchRequest, fetched_at: dt.datetime) -> Payload:
    """The file's bytes as they are (a ``.gz`` stays compressed).

    Raises:
        PayloadError: ``size_bound``, ``not_empty``.
        OSError: the file cannot be read.

    """
    payload = price_files.read_payload(path, request, fetched_at)
    if payload.body.startswith(b"PK"):
        return replace(payload, media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    return payload


def plan(
    catalog: Catalog,
    start: dt.date,
    end: dt.date,
    *,
    symbols: Collection[str] | None = None,
    today: dt.date,
    sessions: Callable[[str, dt.date, dt.date], list[dt.date]] | None = None,
) -> list[FetchRequest]:
    """Nothing: files are dropped, not asked for."""
    return []


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Always refuses; see `read_payload`."""
    raise PermanentFetchError(f"{request.subject} is a dropped file; it is imported, not fetched")


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """The rows of a flow file; locators are ``row N``, N a physical line of the text or row of the sheet.

    The frame holds the rows of the request's dataset; those of other datasets are extras (the northbound part of a
    history, a broker table that was imported as daily figures).

    Findings: ``no_figures``, ``no_value``, ``duplicate_row``, ``closed_day_row``, ``unknown_column`` (*warn*),
    ``stale_repeat`` (*quarantine*).

    Raises:
        PayloadError: of any file ``not_empty``, ``not_html``, ``not_truncated``, ``not_damaged``, ``size_bound``,
            ``file_kind``, ``text_encoding``, ``no_nul_bytes``, ``sheet_known``, ``header_known``, ``table_shape``,
            ``date_valid``, ``date_ambiguous``, ``number_valid``, ``unit_given``, ``unit_known``, ``currency_given``,
            ``currency_known``, ``unique_session``; of daily figures ``channel_known``, ``currency_not_hkd``,
            ``flow_not_negative``, ``both_sides``, ``net_is_difference``; of a broker table
            ``schema_version_known``, ``word_known``, ``field_given``, ``unit_fits_metric``, ``period_order``,
            ``epfr_week``, ``mon_fri_week``, ``trading_days_fit``, ``code_is_text``, ``unique_figure``,
            ``sector_sum``, ``channel_sum``, ``daily_average``; of a history ``type_known``.

    """
    header, cells, top = _read_table(payload.body)
    names = [_field_name(cell) for cell in header]
    for index, name in enumerate(names):
        if name and name in names[:index]:
            raise PayloadError(
                "header_known", f"column {name!r} stands twice", "delete one of them", locator=f"row {top}"
            )
    columns = {name: index for index, name in enumerate(names) if name}
    asked = payload.request.dataset
    if "mutual_type" in columns:
        return _parse_history(columns, cells, top, asked)
    if "metric" in columns or "schema_version" in columns:
        frame, findings = _parse_broker(columns, cells, top)
        return as_asked(asked, {Dataset.BROKER_FLOW: frame}, findings)
    if {"date", "channel", "buy", "sell"} <= set(columns):
        frame, findings = _parse_daily(columns, cells, payload.request.params)
        return as_asked(asked, {Dataset.SOUTHBOUND_FLOW: frame}, findings)
    raise PayloadError(
        "header_known",
        f"the header is none of a flow file: {', '.join(header)[:120]!r}",
        "daily figures have the header date,channel,buy,sell,net,unit,currency; "
        "broker tables begin with schema_version,source,report_title",
        locator=f"row {top}",
    )


# --- CSV or workbook to cells --------------------------------------------------------------------------------------


def _field_name(header: str) -> str:
    return "_".join(header.strip().lower().replace("-", " ").replace("_", " ").split())


def _read_table(body: bytes) -> tuple[list[str], Cells, int]:
    """Header, rows below it, and the 1-based row of the header."""
    if body.startswith(b"PK"):
        return _read_workbook(body)
    text = decode_text(gunzip(body) if body.startswith(b"\x1f\x8b") else body)
    top = text.count("\n", 0, len(text) - len(text.lstrip("\n \t")))
    line = text.split("\n", top + 1)[top]
    delimiter = max((",", ";", "\t"), key=line.count)
    header = split_line(line, delimiter)
    return header, read_cells(text, delimiter, top + 1, len(header)), top + 1


def _read_workbook(body: bytes) -> tuple[list[str], Cells, int]:
    """The sheet ``flows``, or the only one. Cells count as they were computed when the workbook was saved."""
    import warnings

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            # `zipfile` gives out no more than the directory says, so this bounds what openpyxl can be fed.
            if sum(item.file_size for item in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise too_large(MAX_UNPACKED_BYTES)
        with warnings.catch_warnings():
            # Openpyxl warns of styles and validations it does not keep, which are of no concern here.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(body), read_only=True, data_only=True, keep_links=False)
            try:
                rows = list(_sheet_rows(book))
            finally:
                book.close()
    except PayloadError:
        raise
    except (InvalidFileException, zipfile.BadZipFile, KeyError) as error:
        raise PayloadError(
            "file_kind", f"this is no Excel workbook ({error})", "save the table as .xlsx or as CSV UTF-8"
        ) from error
    # What openpyxl raises on damaged XML is not a closed list.
    except Exception as error:
        raise PayloadError(
            "not_damaged", f"the workbook cannot be read ({type(error).__name__})", "save it again, or as CSV UTF-8"
        ) from error
    filled = [(number, row) for number, row in rows if any(row)]
    if not filled:
        raise PayloadError("not_empty", "the sheet is empty", "save the workbook again")
    top, header = filled[0]
    while header and not header[-1]:
        header.pop()
    data = filled[1:]
    if not data:
        raise PayloadError("not_empty", "the sheet has a header and no rows", "fill it in")
    for line, row in data:
        if any(row[len(header) :]):
            raise PayloadError(
                "table_shape", "a cell is filled to the right of the header", "delete it", locator=f"row {line}"
            )
    padded = [(row + [""] * len(header))[: len(header)] for _, row in data]
    columns = tuple(pa.array([row[index] for row in padded], pa.string()) for index in range(len(header)))
    return header, Cells(columns, np.array([line for line, _ in data], np.int64), ","), top


def _sheet_rows(book: Any) -> Iterator[tuple[int, list[str]]]:
    sheets = book.worksheets
    chosen = [sheet for sheet in sheets if sheet.title.strip().lower() == SHEET] or sheets
    if len(chosen) != 1:
        raise PayloadError(
            "sheet_known",
            f"the workbook has the sheets {', '.join(sheet.title for sheet in sheets)[:120]}; none is named {SHEET}",
            f"name the sheet with the table {SHEET}",
        )
    # What a sheet says of its own size may be wrong; the bounds below are what holds.
    chosen[0].reset_dimensions()
    rows = chosen[0].iter_rows(max_row=MAX_SHEET_ROWS + 1, max_col=MAX_SHEET_COLUMNS, values_only=True)
    for number, row in enumerate(rows, start=1):
        if number > MAX_SHEET_ROWS:
            raise PayloadError(
                "size_bound",
                f"the sheet has more than {MAX_SHEET_ROWS:,} rows",
                "split it, or delete the empty rows below the table",
                locator=f"row {number}",
            )
        yield number, [_cell_text(value) for value in row]


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value).strip()


# --- pieces that the shapes share ----------------------------------------------------------------------------------


def _row(cells: Cells, index: int) -> str:
    return f"row {cells.lines[index]}"


def _texts(cells: Cells, column: int | None, default: str = "") -> list[str]:
    if column is None:
        return [default] * len(cells.lines)
    texts: list[str] = cells.columns[column].to_pylist()
    return texts


def _amount_text(text: str) -> str:
    """As a person prints it to what `Cells.numbers` reads: parentheses and ``−`` are minus, a dash is blank."""
    if text in _NULLS:
        return ""
    text = text.replace("−", "-").replace("－", "-")
    if text.startswith("(") and text.endswith(")") and not text[1:].lstrip().startswith(("-", "+", "(")):
        return f"-{text[1:-1].strip()}"
    return text


def _amounts(cells: Cells, columns: dict[str, int], names: Collection[str]) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Columns as numbers, and half of the last printed digit of each cell; NaN and 0 where there is no such column."""
    values: dict[str, Floats] = {}
    halves: dict[str, Any] = {}
    count = len(cells.lines)
    for name in names:
        if name not in columns:
            values[name], halves[name] = np.full(count, np.nan), np.zeros(count)
            continue
        printed = [_amount_text(text) for text in _texts(cells, columns[name])]
        arrays = list(cells.columns)
        arrays[columns[name]] = pa.array(printed, pa.string())
        values[name] = Cells(tuple(arrays), cells.lines, cells.delimiter).numbers(columns[name], name)
        halves[name] = np.array([_half_digit(text) for text in printed])
    return values, halves


def _half_digit(text: str) -> float:
    mantissa, _, exponent = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.5 * 10.0 ** ((int(exponent) if exponent.lstrip("+-").isdigit() else 0) - decimals)


def _days(cells: Cells, column: int, name: str) -> npt.NDArray[np.datetime64]:
    for index, text in enumerate(_texts(cells, column)):
        if not text:
            raise PayloadError(
                "date_valid", f"{name} is empty", "write the date as YYYY-MM-DD", locator=_row(cells, index)
            )
    return cells.days(column, name)[0]


def _need_columns(columns: dict[str, int], required: Collection[str], top: int, shape: str) -> None:
    if missing := [name for name in required if name not in columns]:
        raise PayloadError(
            "header_known",
            f"{shape} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            "add what is missing; the header is " + ",".join(required),
            locator=f"row {top}",
        )


def _refuse_unit(unit: str, where: str, known: Collection[str]) -> NoReturn:
    if not unit:
        raise PayloadError(
            "unit_given",
            "the unit is empty, and a figure without a unit says nothing",
            f"fill in one of {', '.join(known)}",
            locator=where,
        )
    raise PayloadError("unit_known", f"unit is {unit[:20]!r}", f"use one of {', '.join(known)}", locator=where)


# --- daily figures -------------------------------------------------------------------------------------------------


def _parse_daily(
    columns: dict[str, int], cells: Cells, params: dict[str, str]
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    findings = []
    if unknown := sorted(set(columns) - set(_DAILY) - {"note"}):
        findings.append(Finding("unknown_column", Severity.WARN, f"columns not looked at: {', '.join(unknown)[:120]}"))
    days = _days(cells, columns["date"], "date")
    channels = [text.lower() for text in _texts(cells, columns["channel"])]
    units = [text.lower() for text in _texts(cells, columns.get("unit"), params.get("unit", ""))]
    currencies = [text.upper() for text in _texts(cells, columns.get("currency"), params.get("currency", ""))]
    values, halves = _amounts(cells, columns, ("buy", "sell", "net"))
    seen: dict[tuple[str, Any], tuple[int, tuple[float, ...]]] = {}
    rows: list[dict[str, Any]] = []
    empty = repeated = 0
    for index in range(len(channels)):
        where = _row(cells, index)
        channel, unit, currency = channels[index], units[index], currencies[index]
        if channel not in ("total", "sse", "szse"):
            raise PayloadError(
                "channel_known", f"channel is {channel[:20]!r}", "use one of total, sse, szse", locator=where
            )
        if unit not in MONEY_UNITS:
            _refuse_unit(unit, where, MONEY_UNITS)
        _check_hkd(currency, where)
        buy, sell, net = (float(values[name][index]) for name in ("buy", "sell", "net"))
        half = sum(float(halves[name][index]) for name in ("buy", "sell", "net"))
        if math.isnan(buy) and math.isnan(sell) and (math.isnan(net) or net == 0):
            # A closed day, whatever net says: absence is never zero.
            empty += 1
            continue
        _check_sides(buy, sell, net, half, where)
        figures = tuple(to_hkd_mn(value, unit) for value in (buy, sell, buy - sell))
        key = (channel, days[index])
        if key in seen:
            other, same = seen[key]
            if same != figures:
                raise PayloadError(
                    "unique_session",
                    f"two different rows for {channel} on {days[index]}, the other at {_row(cells, other)}",
                    "delete the wrong one",
                    locator=where,
                )
            repeated += 1
            continue
        seen[key] = (index, figures)
        rows.append({"channel": channel, "day": days[index], "figures": figures, "locator": where})
    if empty:
        text = f"{empty} rows without buy and sell left out"
        findings.append(Finding("no_figures", Severity.WARN, text, rows=empty))
    if repeated:
        text = f"{repeated} rows repeat another and are left out"
        findings.append(Finding("duplicate_row", Severity.WARN, text, rows=repeated))
    rows.sort(key=lambda row: (row["day"], row["channel"]))
    buy_, sell_, net_ = np.array([row["figures"] for row in rows], np.float64).reshape(-1, 3).T
    frame = typed_frame(
        Dataset.SOUTHBOUND_FLOW,
        {
            "channel": [row["channel"] for row in rows],
            "session_date": np.array([row["day"] for row in rows], "datetime64[s]"),
            "buy_hkd_mn": buy_,
            "sell_hkd_mn": sell_,
            "net_buy_hkd_mn": net_,
            "turnover_hkd_mn": np.round(buy_ + sell_, 6),
            "locator": [row["locator"] for row in rows],
        },
    )
    return frame, tuple(findings)


def _check_hkd(currency: str, where: str) -> None:
    if not currency:
        raise PayloadError("currency_given", "the currency is empty", "fill in HKD, if that is it", locator=where)
    if currency != "HKD":
        raise PayloadError(
            "currency_not_hkd",
            f"currency is {currency[:10]}; southbound flows are kept in HK$ and are not converted",
            "drop the file with amounts in HKD (SSE figures before 2024-08-19 are CNY)",
            locator=where,
        )


def _check_sides(buy: float, sell: float, net: float, half: float, where: str) -> None:
    if math.isnan(buy) or math.isnan(sell):
        raise PayloadError(
            "both_sides", "only one of buy and sell is given", "fill in both, or delete the row", locator=where
        )
    if buy < 0 or sell < 0:
        raise PayloadError(
            "flow_not_negative",
            f"buy {buy:,} and sell {sell:,}: neither can be below zero",
            "write what was bought and sold; the sign belongs to net",
            locator=where,
        )
    if abs(buy - sell - net) > half * (1 + 1e-9) + 1e-9:
        raise PayloadError(
            "net_is_difference",
            f"net is {net:,}, but buy {buy:,} − sell {sell:,} = {round(buy - sell, 6):,}",
            "correct the row, or leave net out",
            locator=where,
        )


# --- Eastmoney's history -------------------------------------------------------------------------------------------


def _parse_history(columns: dict[str, int], cells: Cells, top: int, asked: Dataset) -> Parsed:
    _need_columns(columns, _HISTORY, top, "the history")
    days = _days(cells, columns["date"], "date")
    types = np.empty(len(days), np.int64)
    for index, text in enumerate(_texts(cells, columns["mutual_type"])):
        # Saved as a number, 006 becomes 6.
        if not re.fullmatch(r"0{0,2}[1-6]", text, re.ASCII):
            raise PayloadError(
                "type_known", f"mutual_type is {text[:20]!r}", "001 to 006 are known", locator=_row(cells, index)
            )
        types[index] = int(text)
    values, _ = _amounts(cells, columns, ("buy", "sell", "net_buy", "total"))
    southbound, northbound, findings = mutual_history(
        types,
        days,
        {
            "buy": values["buy"],
            "sell": values["sell"],
            "net": values["net_buy"],
            "turnover": values["total"],
            "count": np.full(len(days), np.nan),
        },
        np.array(row_locators(cells.lines).to_pylist(), object),
    )
    if unknown := sorted(set(columns) - set(_HISTORY) - _HISTORY_IGNORED):
        text = f"columns not looked at: {', '.join(unknown)[:120]}"
        findings = (*findings, Finding("unknown_column", Severity.WARN, text))
    frames = {Dataset.SOUTHBOUND_FLOW: southbound, Dataset.NORTHBOUND_TURNOVER: northbound}
    return as_asked(asked, frames, findings)


# --- broker tables -------------------------------------------------------------------------------------------------


def _parse_broker(columns: dict[str, int], cells: Cells, top: int) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    _need_columns(columns, _BROKER_REQUIRED, top, "the broker table")
    if unknown := sorted(set(columns) - set(_BROKER_REQUIRED) - set(_BROKER_OPTIONAL)):
        # A misspelt optional column would silently lose, say, what a row corrects.
        raise PayloadError(
            "header_known",
            f"unknown column {', '.join(unknown)[:80]}",
            f"delete it, or correct its name; optional columns are {', '.join(_BROKER_OPTIONAL)}",
            locator=f"row {top}",
        )
    texts = {name: _texts(cells, columns.get(name)) for name in (*_BROKER_REQUIRED, *_BROKER_OPTIONAL)}
    for name in (*_BROKER_WORDS, "market"):
        texts[name] = [text.lower() for text in texts[name]]
    texts["currency"] = [text.upper() for text in texts["currency"]]
    for index in range(len(cells.lines)):
        _check_words({name: column[index] for name, column in texts.items()}, _row(cells, index))
    days = {name: _days(cells, columns[name], name) for name in ("report_date", "period_start", "period_end")}
    values, halves = _amounts(cells, columns, ("value", "trading_days"))
    for index in range(len(cells.lines)):
        where = _row(cells, index)
        start, end = days["period_start"][index].item(), days["period_end"][index].item()
        _check_period(start, end, texts["period_basis"][index], where)
        count = float(values["trading_days"][index])
        if count < 0 or (not math.isnan(count) and count != int(count)) or count > (end - start).days + 1:
            raise PayloadError(
                "trading_days_fit",
                f"trading_days is {count:g} for {start} to {end}",
                "give the number of sessions in the period",
                locator=where,
            )

    table = pd.DataFrame({name: texts[name] for name in (*_BROKER_REQUIRED, *_BROKER_OPTIONAL)})
    for name, column in days.items():
        table[name] = column.astype("datetime64[s]")
    table["trading_days"], table["value"] = values["trading_days"], values["value"]
    table["half"] = halves["value"]
    table["locator"] = [_row(cells, index) for index in range(len(table))]
    findings = []
    if (without := table["value"].isna()).any():
        first = table.loc[without, "locator"].iloc[0]
        text = f"{int(without.sum())} rows without a value left out"
        findings.append(Finding("no_value", Severity.WARN, text, first, rows=int(without.sum())))
        table = table[~without].reset_index(drop=True)
    table = _without_duplicates(table, findings)
    _check_sectors(table)
    _check_channels(table)
    _check_averages(table)
    table = table.rename(columns={"source": "broker"}).drop(columns=["schema_version", "half"])
    for name in ("published_at", "revision_of", "page_ref", "entered_by", "note", "currency", "dimension_value"):
        table[name] = as_text(pa.array([text or None for text in table[name]], pa.string()))
    frame = typed_frame(Dataset.BROKER_FLOW, {str(name): table[name] for name in table.columns})
    return frame, tuple(findings)


def _check_words(row: dict[str, str], where: str) -> None:
    """What can be said of one row without numbers and dates."""
    if row["schema_version"].removesuffix(".0") not in SCHEMA_VERSIONS:
        raise PayloadError(
            "schema_version_known",
            f"schema_version is {row['schema_version'][:20]!r}",
            f"this release reads version {', '.join(sorted(SCHEMA_VERSIONS))}",
            locator=where,
        )
    for name in ("source", "report_title", "market"):
        if not row[name]:
            raise PayloadError("field_given", f"{name} is empty", "fill it in", locator=where)
    if row["unit"] not in _BROKER_WORDS["unit"]:
        _refuse_unit(row["unit"], where, _BROKER_WORDS["unit"])
    for name, known in _BROKER_WORDS.items():
        if row[name] not in known:
            raise PayloadError(
                "word_known", f"{name} is {row[name][:30]!r}", f"use one of {', '.join(known)}", locator=where
            )
    if not _WORD.fullmatch(row["market"]):
        raise PayloadError(
            "word_known", f"market is {row['market'][:30]!r}", "use a word such as hk, a_share, hk_adr", locator=where
        )
    if (row["unit"] == "pct") != (row["metric"] in _SHARE_METRICS):
        raise PayloadError(
            "unit_fits_metric",
            f"{row['metric']} is in {row['unit']}",
            f"{' and '.join(sorted(_SHARE_METRICS))} are in pct, everything else is not",
            locator=where,
        )
    if row["currency"]:
        if not _CURRENCY.fullmatch(row["currency"]):
            raise PayloadError(
                "currency_known", f"currency is {row['currency'][:10]!r}", "use a code such as HKD", locator=where
            )
    elif row["unit"] in MONEY_UNITS:
        raise PayloadError(
            "currency_given",
            f"the currency is empty, but the unit is {row['unit']}",
            "fill in HKD, USD …",
            locator=where,
        )
    if row["dimension"] == "stock" and not _STOCK_CODE.fullmatch(row["dimension_value"]):
        raise PayloadError(
            "code_is_text",
            f"the stock is {row['dimension_value'][:20]!r}; codes have five digits",
            "write 00700 and format the column as text, so that the zeros stay",
            locator=where,
        )
    if row["dimension"] in ("sector", "fund_domicile") and not row["dimension_value"]:
        raise PayloadError(
            "field_given", f"which {row['dimension']} is empty", "fill in dimension_value", locator=where
        )
    if row["published_at"]:
        try:
            dt.datetime.fromisoformat(row["published_at"])
        except ValueError:
            raise PayloadError(
                "date_valid",
                f"published_at is {row['published_at'][:40]!r}",
                "write it as 2026-07-20T08:30:00+08:00",
                locator=where,
            ) from None


def _check_period(start: dt.date, end: dt.date, basis: str, where: str) -> None:
    if end < start:
        raise PayloadError(
            "period_order", f"the period ends on {end}, before it starts on {start}", "correct the dates", locator=where
        )
    if basis == "epfr_thu_wed" and not (start.weekday() == 3 and end - start == dt.timedelta(days=6)):
        raise PayloadError(
            "epfr_week",
            f"{start:%A} {start} to {end:%A} {end} is no EPFR week",
            "EPFR weeks run from Thursday to the next Wednesday; other weeks are mon_fri",
            locator=where,
        )
    if basis == "mon_fri" and not (start.weekday() <= end.weekday() <= 4 and end - start < dt.timedelta(days=7)):
        raise PayloadError(
            "mon_fri_week",
            f"{start:%A} {start} to {end:%A} {end} is not within Monday to Friday of one week",
            "correct the dates, or the period_basis",
            locator=where,
        )


#: What two rows have in common that speak of the same thing; `revision_of` keeps a correction apart from what it
#: corrects.
_CONTEXT = [
    "source",
    "report_title",
    "report_date",
    "period_start",
    "period_end",
    "period_basis",
    "flow_family",
    "market",
    "style",
    "currency",
    "revision_of",
]


def _without_duplicates(table: pd.DataFrame, findings: list[Finding]) -> pd.DataFrame:
    key = [*_CONTEXT, "channel", "dimension", "dimension_value", "metric"]
    repeats = table.duplicated(key, keep="first")
    if not repeats.any():
        return table
    first = {tuple(row[name] for name in key): row for _, row in table.loc[~repeats].iterrows()}
    for _, row in table.loc[repeats].iterrows():
        other = first[tuple(row[name] for name in key)]
        if (other["value"], other["unit"]) != (row["value"], row["unit"]):
            raise PayloadError(
                "unique_figure",
                f"{row['metric']} of {row['dimension_value'] or row['dimension']} is {_shown(row)}, "
                f"at {other['locator']} {_shown(other)}",
                "delete the wrong one, or say in revision_of what the second one corrects",
                locator=str(row["locator"]),
            )
    count = int(repeats.sum())
    findings.append(
        Finding("duplicate_row", Severity.WARN, f"{count} rows repeat another and are left out", rows=count)
    )
    return table.loc[~repeats].reset_index(drop=True)


def _millions(table: pd.DataFrame) -> pd.DataFrame:
    """The rows in money whose metric can be added up, with ``mn`` and ``half_mn`` (half of the last digit)."""
    rows = table[table["unit"].isin(MONEY_UNITS) & table["metric"].isin(_ADDITIVE)]
    per_million = rows["unit"].map(_PER_MILLION).astype("float64")
    return rows.assign(mn=rows["value"] / per_million, half_mn=rows["half"] / per_million)


def _shown(row: Any) -> str:
    return f"{row['value']:,g} {row['unit']} {row['currency']}".strip()


def _check_sectors(table: pd.DataFrame) -> None:
    for _, group in _millions(table).groupby([*_CONTEXT, "channel", "metric"], sort=False):
        totals, parts = group[group["dimension"] == "total"], group[group["dimension"] == "sector"]
        if len(totals) != 1 or not len(parts):
            continue
        total, added = totals.iloc[0], float(parts["mn"].sum())
        allowed = _SECTOR_TOLERANCE * abs(total["mn"]) + total["half_mn"] + float(parts["half_mn"].sum())
        if abs(added - total["mn"]) > allowed:
            raise PayloadError(
                "sector_sum",
                f"{len(parts)} sectors add up to {added:,.2f} mn {total['currency']} of {total['metric']}, "
                f"but the total is {_shown(total)}",
                "check units and signs, and whether a sector is missing",
                locator=str(total["locator"]),
            )


def _check_channels(table: pd.DataFrame) -> None:
    rows = _millions(table[(table["flow_family"] == "southbound") & (table["dimension"] == "total")])
    for _, group in rows.groupby([*_CONTEXT, "metric"], sort=False):
        by_channel = {str(row["channel"]): row for _, row in group.iterrows()}
        if not {"total", "sse", "szse"} <= set(by_channel):
            continue
        total, sse, szse = by_channel["total"], by_channel["sse"], by_channel["szse"]
        halves = total["half_mn"] + sse["half_mn"] + szse["half_mn"]
        if abs(sse["mn"] + szse["mn"] - total["mn"]) > max(_CHANNEL_TOLERANCE * abs(total["mn"]), halves * (1 + 1e-9)):
            raise PayloadError(
                "channel_sum",
                f"southbound {total['metric']}: sse {_shown(sse)} + szse {_shown(szse)} is not the total "
                f"{_shown(total)}",
                "check units and signs",
                locator=str(total["locator"]),
            )


def _check_averages(table: pd.DataFrame) -> None:
    for _, group in _millions(table).groupby([*_CONTEXT, "channel", "dimension", "dimension_value"], sort=False):
        averages, sums = group[group["metric"] == "daily_avg"], group[group["metric"] == "net_flow"]
        if len(averages) != 1 or len(sums) != 1:
            continue
        average, total = averages.iloc[0], sums.iloc[0]
        days = average["trading_days"] if not math.isnan(average["trading_days"]) else total["trading_days"]
        if math.isnan(days):
            raise PayloadError(
                "daily_average",
                "a daily average stands beside a net flow, but trading_days is empty",
                "fill in the sessions of the period",
                locator=str(average["locator"]),
            )
        halves = average["half_mn"] * days + total["half_mn"]
        difference = abs(average["mn"] * days - total["mn"])
        if difference > max(_AVERAGE_TOLERANCE * abs(total["mn"]), halves * (1 + 1e-9)):
            raise PayloadError(
                "daily_average",
                f"daily average {_shown(average)} × {days:g} days = {average['mn'] * days:,.2f} mn, "
                f"but the net flow is {_shown(total)}",
                "check both units and trading_days",
                locator=str(average["locator"]),
            )


# --- against what HKEX says ----------------------------------------------------------------------------------------

#: Metric of a broker table to the column of the weekly totals.
_WEEKLY_COLUMNS = {
    "net_flow": "net_buy_hkd_mn",
    "daily_avg": "net_buy_hkd_mn",
    "buy": "buy_hkd_mn",
    "sell": "sell_hkd_mn",
    "turnover": "turnover_hkd_mn",
}


def check_against_weeks(frame: pd.DataFrame, weekly_totals: pd.DataFrame) -> list[Finding]:
    """Compares a broker's southbound weeks with totals computed from daily figures.

    Looked at are rows of flow_family ``southbound``, period_basis ``mon_fri``, dimension ``total``, in HKD.

    Args:
        frame: a broker flow frame.
        weekly_totals: one row per channel and week with ``channel``, ``week_start`` (the Monday, datetime64) and, as
            far as known, ``net_buy_hkd_mn``, ``buy_hkd_mn``, ``sell_hkd_mn``, ``turnover_hkd_mn``,
            ``session_count`` (needed for daily averages).

    Returns:
        Findings, in the order of the rows, each with the row's locator and both figures in the message:
        ``suspected_unit_error`` (*quarantine*: off by a power of ten), ``week_matches`` (*quarantine*: off by more
        than 1 %, or half of the last printed digit if that is more), ``week_not_known`` (*warn*: nothing to compare
        with).

    """
    weeks = {
        (str(row["channel"]), pd.Timestamp(row["week_start"]).date()): row for row in weekly_totals.to_dict("records")
    }
    findings = []
    mask = (
        (frame["flow_family"] == "southbound")
        & (frame["period_basis"] == "mon_fri")
        & (frame["dimension"] == "total")
        & (frame["currency"] == "HKD")
        & frame["metric"].isin(_WEEKLY_COLUMNS)
        & frame["channel"].isin(["total", "sse", "szse"])
        & frame["unit"].isin(MONEY_UNITS)
    )
    for row in frame[mask].to_dict("records"):
        printed_mn = to_hkd_mn(row["value"], row["unit"])
        if math.isnan(printed_mn):
            continue
        start = row["period_start"].date()
        monday = start - dt.timedelta(days=start.weekday())
        computed = _weekly_figure(weeks.get((row["channel"], monday)), row["metric"])
        what = f"{row['broker']}: {row['channel']} {row['metric']} of the week from {monday}"
        printed = f"{row['value']:,g} {row['unit']} HKD = {printed_mn:,.2f} HK$ mn"
        if math.isnan(computed):
            findings.append(
                Finding(
                    "week_not_known",
                    Severity.WARN,
                    f"{what} is {printed}; no computed figure to compare it with",
                    row["locator"],
                    rows=1,
                )
            )
            continue
        # What was printed as 13 and as 13.0 is the same number here; one decimal is taken for granted.
        half_mn = to_hkd_mn(min(0.05, _half_digit(repr(float(row["value"])))), row["unit"])
        if abs(printed_mn - computed) <= max(_WEEK_TOLERANCE * abs(computed), half_mn):
            continue
        against = f"{what} is {printed}, computed from daily figures {computed:,.2f} HK$ mn"
        power = _power_of_ten(printed_mn, computed)
        if power:
            times = f"{10**power:,} times too large" if power > 0 else f"{10**-power:,} times too small"
            text = f"{against}: {times}, 亿 (100m) may have been taken for billion or the unit be wrong"
            findings.append(Finding("suspected_unit_error", Severity.QUARANTINE, text, row["locator"], rows=1))
        else:
            apart = f"{abs(printed_mn - computed) / abs(computed):.1%}" if computed else "infinitely far"
            text = f"{against}: {apart} apart, more than {_WEEK_TOLERANCE:.0%}"
            findings.append(Finding("week_matches", Severity.QUARANTINE, text, row["locator"], rows=1))
    return findings


def _weekly_figure(week: dict[Any, Any] | None, metric: str) -> float:
    if week is None:
        return math.nan
    value = week.get(_WEEKLY_COLUMNS[metric])
    figure = math.nan if value is None or pd.isna(value) else float(value)
    if metric != "daily_avg":
        return figure
    count = week.get("session_count")
    return figure / float(count) if count is not None and not pd.isna(count) and count else math.nan


def _power_of_ten(printed: float, computed: float) -> int:
    """The power of ten by which `printed` is off, 0 if it is not."""
    if not printed or not computed or (printed > 0) != (computed > 0):
        return 0
    power = round(math.log10(printed / computed))
    return power if abs(printed / 10.0**power / computed - 1) <= _TEN_FOLD_TOLERANCE else 0
