"""Dropped price files: CSV as yfinance, Yahoo, Stooq or a person saves it, plain or gzipped.

Belongs here: the shapes of such files, whose prices they hold and on which basis. Does not belong here: cells, dates
and numbers as such (`delimited.py`), moving files about, or judging whether a price is plausible (`quality/`).

Shapes read: one header row (``Date,Open,…`` or ``date,close,symbol`` in any order), two header rows (columns over
tickers), three (columns, tickers, index name), columns and tickers in either order, one ticker or many; ``,`` ``;``
or tab; UTF-8 with or without byte order mark, or UTF-16; rows in any order.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rally_pipeline.catalog.model import Catalog, Kind, Market
from rally_pipeline.errors import PayloadError, PermanentFetchError
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame
from rally_pipeline.sources.delimited import (
    Cells,
    as_text,
    decode_text,
    gunzip,
    read_cells,
    row_locators,
    split_line,
    too_large,
)

if TYPE_CHECKING:
    from rally_pipeline.sources.http import Upstream

SOURCE = "price_files"

#: Largest file that is read, as it stands on disk.
MAX_FILE_BYTES = 128 * 1024 * 1024

PriceBasis = Literal["unadjusted", "adjusted"]
Floats = npt.NDArray[np.float64]

_DATE_NAMES = frozenset({"date", "datetime"})
_TICKER_NAMES = frozenset({"symbol", "ticker"})
_HEADER_CORNERS = frozenset({"", "price", "ticker"})
#: Header, lower case with ``_`` between words, to the name of the field.
_FIELDS = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "adj_close": "adj_close",
    "adjclose": "adj_close",
    "adjusted_close": "adj_close",
    "volume": "volume",
    "turnover": "turnover",
    "dividends": "dividend",
    "dividend": "dividend",
    "stock_splits": "split_ratio",
    "split_ratio": "split_ratio",
    "currency": "currency",
}
_OHLC = ("open", "high", "low", "close")
_NUMERIC = (*_OHLC, "adj_close", "volume", "turnover", "dividend", "split_ratio")


def request_for(
    name: str, *, source: str = SOURCE, symbol: str | None = None, price_basis: PriceBasis | None = None
) -> FetchRequest:
    """The request under which a dropped file is archived.

    Args:
        name: file name; a folder before it is dropped, so that archives do not depend on where the file lay.
        source: the provider as the user names it.
        symbol: whose prices the user says these are; ``None`` = the file says so itself.
        price_basis: ``None`` = decided as `parse` describes.

    """
    name = Path(name).name
    params = {"file_name": name}
    if symbol is not None:
        params["symbol"] = symbol
    if price_basis is not None:
        params["price_basis"] = price_basis
    return FetchRequest(source, SOURCE, Dataset.PRICE, symbol or name, params=params)


def read_payload(path: Path, request: FetchRequest, fetched_at: dt.datetime) -> Payload:
    """The file's bytes as they are (a ``.gz`` stays compressed).

    Raises:
        PayloadError: ``size_bound``, ``not_empty``.
        OSError: the file cannot be read.

    """
    with path.open("rb") as file:
        body = file.read(MAX_FILE_BYTES + 1)
    if len(body) > MAX_FILE_BYTES:
        raise too_large(MAX_FILE_BYTES)
    if not body:
        raise PayloadError("not_empty", "the file is empty", "download it again")
    media_type = "application/gzip" if body.startswith(b"\x1f\x8b") else "text/csv"
    return Payload(request, body, media_type, 200, fetched_at)


def plan(
    catalog: Catalog, start: dt.date, end: dt.date, *, symbols: Collection[str] | None = None, today: dt.date
) -> list[FetchRequest]:
    """Nothing: files are dropped, not asked for."""
    return []


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Always refuses; see `read_payload`."""
    raise PermanentFetchError(f"{request.subject} is a dropped file; it is imported, not fetched")


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """The rows of a price file, sorted by symbol and date; locators are ``row N``, N a physical line of the text.

    Basis: where a share or fund comes in a Yahoo-shaped file (a column ``Close`` in title case) without
    ``Adj Close``, its prices are taken to be dividend-adjusted, as yfinance saves them by default: they go to
    ``adj_open`` to ``adj_close``, while ``open`` to ``close`` stay NaN. Everything else is unadjusted. The request's
    ``price_basis`` overrides.

    Dates are market-local: of ``2024-01-02 00:00:00+08:00`` the written date counts.

    Findings (all *warn*): ``no_close``, ``duplicate_row``, ``one_row``, ``adjusted_only``, ``other_tickers``,
    ``empty_ticker``.

    Raises:
        PayloadError: ``not_empty``, ``not_html``, ``not_truncated``, ``not_damaged``, ``size_bound``, ``file_kind``,
            ``text_encoding``, ``no_nul_bytes``, ``header_known``, ``table_shape``, ``split_ticker``,
            ``ticker_matches``, ``symbol_known``, ``currency_matches``, ``date_valid``, ``date_ambiguous``,
            ``market_local_date``, ``number_valid``, ``unique_session``, ``price_basis_fits``.

    """
    params = payload.request.params
    body = gunzip(payload.body) if payload.body.startswith(b"\x1f\x8b") else payload.body
    layout = _read_layout(decode_text(body))
    asked = params.get("symbol")
    cells = layout.cells
    findings: list[Finding] = []

    pieces, tickers, empty = _pieces(layout)
    _refuse_split_ticker(tickers, empty, asked, catalog)
    chosen = _choose_tickers(layout, tickers, asked, catalog, findings)
    pieces = [piece.only(chosen) for piece in pieces]
    if gone := [ticker for ticker in empty if ticker in chosen and len(chosen) > 1]:
        findings.append(
            Finding("empty_ticker", Severity.WARN, f"no prices for {_listed(gone)}: that download failed", rows=0)
        )

    days, utc_line = cells.days(layout.date_column, "date")
    symbols = sorted(set(chosen.values()))
    instruments = [catalog.instruments[symbol] for symbol in symbols]
    if utc_line is not None and not all(item.market in (Market.GB, Market.FX) for item in instruments):
        raise PayloadError(
            "market_local_date",
            "dates are UTC times other than midnight, so they need not be the market's dates",
            "save the file with market-local dates",
            locator=f"row {utc_line}",
        )
    _check_currency(layout, pieces, chosen, catalog)

    code_of = {ticker: symbols.index(symbol) for ticker, symbol in chosen.items()}
    data = _collect(layout, pieces, code_of, symbols, params.get("price_basis"), instruments, findings)
    data.day = days[data.row]
    data.line = cells.lines[data.row]
    _drop_rows_without_close(data, findings)
    _sort_and_drop_duplicates(data, symbols, findings)
    _note_single_rows(data, symbols, findings)

    adjusted = data.is_adjusted
    columns: dict[str, Any] = {
        "symbol": as_text(pa.array(symbols, pa.string()).take(pa.array(data.code))),
        "session_date": data.day.astype("datetime64[s]"),
        "currency": as_text(pa.array([item.currency for item in instruments], pa.string()).take(pa.array(data.code))),
        "locator": as_text(row_locators(data.line)),
    }
    for name in _OHLC:
        columns[name] = np.where(adjusted, np.nan, data.values[name])
        columns[f"adj_{name}"] = np.where(adjusted, data.values[name], np.nan)
    columns["adj_close"] = np.where(adjusted, data.values["close"], data.values["adj_close"])
    for name in ("volume", "turnover", "dividend", "split_ratio"):
        columns[name] = data.values[name]
    return Parsed(typed_frame(Dataset.PRICE, columns), tuple(findings))


# --- layout --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Block:
    """The columns of one ticker; `ticker` is ``None`` where the header names none."""

    ticker: str | None
    columns: dict[str, int]
    is_yahoo_shaped: bool


@dataclass(frozen=True)
class _Layout:
    cells: Cells
    date_column: int
    ticker_column: int | None
    blocks: tuple[_Block, ...]


def _field_name(header: str) -> str:
    return "_".join(header.strip().rstrip("*?").lower().replace("-", " ").replace("_", " ").split())


def _read_layout(text: str) -> _Layout:
    top = text.count("\n", 0, len(text) - len(text.lstrip("\n \t")))
    lines = text.split("\n", top + 4)[: top + 4]
    delimiter, header = _sniff(lines[top:])
    first = split_line(lines[top], delimiter)
    levels = [first]
    names = [_field_name(cell) for cell in first]
    if names[0] in _HEADER_CORNERS | _DATE_NAMES and not any(name in _DATE_NAMES for name in names[1:]):
        for line in lines[top + 1 : top + 3]:
            row = split_line(line, delimiter)
            corner = _field_name(row[0]) if row else "-"
            is_tickers = len(levels) == 1 and corner in _HEADER_CORNERS and _are_tickers(row[1:])
            is_index_name = corner in _DATE_NAMES | {""} and len(row) > 1 and not any(row[1:])
            if not (is_tickers or is_index_name):
                break
            levels.append(row)
            if is_index_name:
                break
    for number, row in enumerate(levels[1:], start=top + 2):
        if len(row) != len(first):
            raise PayloadError(
                "table_shape",
                f"the header row has {len(row)} cells, the one above {len(first)}",
                locator=f"row {number}",
            )
    cells = read_cells(text, delimiter, top + len(levels), len(first))
    if len(levels) > 1 and any(levels[1][1:]):
        return _wide_layout(cells, levels, header)
    return _long_layout(cells, first, header)


def _are_tickers(texts: list[str]) -> bool:
    """Not so for the prices of a row whose date is missing; one ticker all over may well be a number (``000300``)."""
    given = {text for text in texts if text}
    return len(given) == 1 or not all(text.replace(".", "", 1).isdecimal() for text in given)


def _sniff(lines: list[str]) -> tuple[str, str]:
    """The delimiter, and the header line as it stands."""
    header = lines[0]
    if header.lstrip().startswith(("{", "[")):
        raise _unknown_header(header, "this is JSON, not a table")
    for delimiter in (",", ";", "\t"):
        for line in lines[:2]:
            if "close" in [_field_name(cell) for cell in split_line(line, delimiter)] and delimiter in line:
                return delimiter, header
    raise _unknown_header(header)


def _unknown_header(header: str, reason: str = "the header names no columns date and close") -> PayloadError:
    shown = header if len(header) <= 120 else header[:117] + "..."
    return PayloadError(
        "header_known",
        f"{reason}: {shown!r}",
        "give a CSV file with a header such as date,open,high,low,close,volume (only date and close are required)",
        locator="row 1",
    )


def _wide_layout(cells: Cells, levels: list[list[str]], header: str) -> _Layout:
    upper, lower = levels[0], levels[1]
    # yfinance writes fields over tickers, or tickers over fields with group_by="ticker".
    if "close" not in [_field_name(cell) for cell in upper[1:]]:
        upper, lower = lower, upper
    columns: dict[str, dict[str, int]] = {}
    yahoo: set[str] = set()
    for index, (field, ticker) in enumerate(zip(upper[1:], lower[1:], strict=True), start=1):
        if not ticker:
            raise _unknown_header(header, f"column {index + 1} ({field!r}) has no ticker")
        block = columns.setdefault(ticker, {})
        name = _FIELDS.get(_field_name(field))
        if name is None:
            continue
        if name in block:
            raise _unknown_header(header, f"column {field!r} of {ticker} stands twice")
        block[name] = index
        if field == "Close":
            yahoo.add(ticker)
    for ticker, block in columns.items():
        if "close" not in block and "adj_close" not in block:
            raise _unknown_header(header, f"{ticker} has no column Close")
    blocks = tuple(_Block(ticker, block, ticker in yahoo) for ticker, block in columns.items())
    return _Layout(cells, 0, None, blocks)


def _long_layout(cells: Cells, header_row: list[str], header: str) -> _Layout:
    block: dict[str, int] = {}
    dates: list[int] = []
    tickers: list[int] = []
    for index, cell in enumerate(header_row):
        name = _field_name(cell)
        if name in _DATE_NAMES:
            dates.append(index)
        elif name in _TICKER_NAMES:
            tickers.append(index)
        elif (field := _FIELDS.get(name)) is not None:
            if field in block:
                raise _unknown_header(header, f"column {cell!r} stands twice")
            block[field] = index
    if not dates and not header_row[0]:
        dates = [0]  # pandas writes an index without a name like this
    if len(dates) != 1 or "close" not in block:
        raise _unknown_header(header)
    if len(tickers) > 1:
        raise _unknown_header(header, "there are two columns for the symbol")
    is_yahoo_shaped = header_row[block["close"]] == "Close"
    return _Layout(cells, dates[0], tickers[0] if tickers else None, (_Block(None, block, is_yahoo_shaped),))


# --- whose prices --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """Rows of one block; `ticker_codes` index `tickers`, one per row of the file. ``None`` = every row is of
    `tickers[0]`.
    """

    block: _Block
    tickers: tuple[str, ...]
    ticker_codes: npt.NDArray[np.int64] | None
    chosen: frozenset[str] = frozenset()

    def only(self, chosen: dict[str, str]) -> _Piece:
        return _Piece(self.block, self.tickers, self.ticker_codes, frozenset(self.tickers) & frozenset(chosen))

    def rows(self, row_count: int) -> npt.NDArray[np.int64]:
        """Rows of the file that belong to a chosen ticker."""
        if self.ticker_codes is None:
            return np.arange(row_count if self.chosen else 0, dtype=np.int64)
        wanted = np.array([ticker in self.chosen for ticker in self.tickers])
        return np.flatnonzero(wanted[self.ticker_codes])


_NO_TICKER = ""


def _pieces(layout: _Layout) -> tuple[list[_Piece], list[str], list[str]]:
    """The pieces, all tickers in the order of the file, and those without a single price."""
    cells = layout.cells
    if layout.ticker_column is None:
        pieces = [_Piece(block, (block.ticker or _NO_TICKER,), None) for block in layout.blocks]
        tickers = [piece.tickers[0] for piece in pieces]
        empty = []
        for piece in pieces:
            close = cells.columns[piece.block.columns.get("close", piece.block.columns.get("adj_close", 0))]
            if not pc.any(pc.not_equal(close, "")).as_py():
                empty.append(piece.tickers[0])
        return pieces, tickers, empty
    encoded = pc.dictionary_encode(cells.columns[layout.ticker_column])
    names = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    if "" in names and len(names) > 1:
        line = cells.lines[int(np.argmax(codes == names.index("")))]
        raise PayloadError("symbol_known", "the symbol is empty", "fill it in", locator=f"row {line}")
    return [_Piece(layout.blocks[0], tuple(names), codes)], names, []


def _refuse_split_ticker(tickers: list[str], empty: list[str], asked: str | None, catalog: Catalog) -> None:
    """Yfinance splits its argument at blanks (and some callers at ``-`` or ``^``): one index becomes two tickers."""
    if not 2 <= len(tickers) <= 4:
        return
    if asked is not None and any(_same(ticker, asked, catalog) for ticker in tickers):
        return
    unknown = {ticker for ticker in tickers if catalog.resolve_symbol(ticker) is None}
    if not unknown:
        return
    joined = {
        prefix + mark.join(order)
        for order in itertools.permutations(tickers)
        for mark in ("", "-", " ", ".", "_", "^", "=")
        for prefix in ("", "^")
    }
    is_split = bool(unknown & set(empty)) or any(
        (asked is not None and asked.strip().upper() == text.upper()) or catalog.resolve_symbol(text) is not None
        for text in joined
    )
    if is_split:
        raise PayloadError(
            "split_ticker",
            f"one symbol seems to have been split into {_listed(tickers)}"
            + (f", of which {_listed(empty)} has no prices" if empty else ""),
            "download it again with the symbol as one list entry, such as ['^HSI']",
        )


def _same(ticker: str, asked: str, catalog: Catalog) -> bool:
    if ticker.strip().upper() == asked.strip().upper():
        return True
    symbol = catalog.resolve_symbol(ticker)
    return symbol is not None and symbol == catalog.resolve_symbol(asked)


def _choose_tickers(
    layout: _Layout, tickers: list[str], asked: str | None, catalog: Catalog, findings: list[Finding]
) -> dict[str, str]:
    """Which tickers of the file are loaded, and the catalog symbol of each."""
    if asked is not None:
        symbol = catalog.resolve_symbol(asked)
        if symbol is None:
            raise _unknown_symbol(asked)
        if tickers == [_NO_TICKER]:
            return {_NO_TICKER: symbol}
        chosen = {ticker: symbol for ticker in tickers if catalog.resolve_symbol(ticker) == symbol}
        if not chosen:
            raise PayloadError(
                "ticker_matches",
                f"the file holds {_listed(tickers)}, but {asked} was asked for",
                f"download {asked} again, or import the file with the symbol it holds",
                locator="row 1" if layout.ticker_column is not None else "header",
            )
        if others := [ticker for ticker in tickers if ticker not in chosen]:
            text = f"left out, since only {asked} was asked for: {_listed(others)}"
            findings.append(Finding("other_tickers", Severity.WARN, text))
        return chosen
    if tickers == [_NO_TICKER]:
        raise PayloadError(
            "symbol_known", "the file does not say whose prices it holds", "give --symbol, or add a column symbol"
        )
    chosen = {}
    for ticker in tickers:
        symbol = catalog.resolve_symbol(ticker)
        if symbol is None:
            raise _unknown_symbol(ticker)
        chosen[ticker] = symbol
    return chosen


def _unknown_symbol(text: str) -> PayloadError:
    return PayloadError(
        "symbol_known",
        f"{text} is not in the catalog",
        "add one entry for it (symbol, name, market, currency, kind) to catalog/instruments.yaml",
    )


def _check_currency(layout: _Layout, pieces: list[_Piece], chosen: dict[str, str], catalog: Catalog) -> None:
    """Where the file states currencies, they must be those of the catalog."""
    for piece in pieces:
        column = piece.block.columns.get("currency")
        if column is None:
            continue
        stated = layout.cells.columns[column].to_pylist()
        for row in piece.rows(len(stated)).tolist():
            code = 0 if piece.ticker_codes is None else int(piece.ticker_codes[row])
            expected = catalog.instruments[chosen[piece.tickers[code]]].currency
            # Not upper-cased: GBp is pence.
            if stated[row] not in ("", expected):
                raise PayloadError(
                    "currency_matches",
                    f"currency is {stated[row]}, the catalog says {expected}",
                    "convert the prices, or correct the catalog",
                    locator=f"row {layout.cells.lines[row]}",
                )


# --- values --------------------------------------------------------------------------------------------------------


@dataclass
class _Data:
    """Rows of all pieces under one another; `code` indexes the sorted symbols, `row` the rows of the file."""

    code: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    is_adjusted: npt.NDArray[np.bool_]
    values: dict[str, Floats]
    day: npt.NDArray[np.datetime64]
    line: npt.NDArray[np.int64]

    def take(self, keep: npt.NDArray[Any]) -> None:
        """Keeps the rows that a mask or an order selects."""
        self.code, self.row, self.is_adjusted = self.code[keep], self.row[keep], self.is_adjusted[keep]
        self.day, self.line = self.day[keep], self.line[keep]
        self.values = {name: values[keep] for name, values in self.values.items()}


def _collect(
    layout: _Layout,
    pieces: list[_Piece],
    code_of: dict[str, int],
    symbols: list[str],
    basis: str | None,
    instruments: list[Any],
    findings: list[Finding],
) -> _Data:
    cells = layout.cells
    row_count = len(cells.lines)
    codes: list[npt.NDArray[np.int64]] = []
    rows: list[npt.NDArray[np.int64]] = []
    adjusted: list[npt.NDArray[np.bool_]] = []
    values: dict[str, list[Floats]] = {name: [] for name in _NUMERIC}
    assumed: set[str] = set()
    for piece in pieces:
        row = piece.rows(row_count)
        if not len(row):
            continue
        if piece.ticker_codes is None:
            code = np.full(len(row), code_of[piece.tickers[0]], np.int64)
        else:
            code = np.array([code_of.get(ticker, -1) for ticker in piece.tickers], np.int64)[piece.ticker_codes[row]]
        columns = piece.block.columns
        for name in _NUMERIC:
            if name in columns:
                label = name if piece.block.ticker is None else f"{name} of {piece.block.ticker}"
                values[name].append(cells.numbers(columns[name], label)[row])
            else:
                values[name].append(np.full(len(row), np.nan))
        is_adjusted = _is_adjusted(piece.block, basis, instruments, symbols, assumed, set(np.unique(code).tolist()))
        if "adj_close" in columns and basis == "adjusted":
            close, adj_close = values["close"][-1], values["adj_close"][-1]
            differs = np.flatnonzero((close != adj_close) & ~np.isnan(close) & ~np.isnan(adj_close))
            if len(differs):
                raise PayloadError(
                    "price_basis_fits",
                    "the prices are said to be adjusted, but the file has other adjusted closes beside them",
                    "leave the price basis out",
                    locator=f"row {cells.lines[row[differs[0]]]}",
                )
        codes.append(code)
        rows.append(row)
        adjusted.append(is_adjusted[code])
    if assumed:
        findings.append(
            Finding(
                "adjusted_only",
                Severity.WARN,
                f"{_listed(sorted(assumed))}: no column Adj Close, so the prices are taken as dividend-adjusted; "
                "import with price_basis=unadjusted if they are as traded",
            )
        )
    if not rows:
        raise PayloadError("not_empty", "no row of the file is of a symbol that was asked for")
    row_index = np.concatenate(rows)
    return _Data(
        np.concatenate(codes),
        row_index,
        np.concatenate(adjusted),
        {name: np.concatenate(parts) for name, parts in values.items()},
        np.empty(0, "datetime64[D]"),
        np.empty(0, np.int64),
    )


def _is_adjusted(
    block: _Block, basis: str | None, instruments: list[Any], symbols: list[str], assumed: set[str], codes: set[int]
) -> npt.NDArray[np.bool_]:
    """Per symbol: are the block's prices dividend-adjusted? Adds to `assumed` where that is taken for granted."""
    if basis is not None:
        if basis not in ("adjusted", "unadjusted"):
            raise PayloadError("price_basis_fits", f"price_basis is {basis!r}; it is adjusted or unadjusted")
        return np.full(len(symbols), basis == "adjusted")
    looks_adjusted = block.is_yahoo_shaped and "adj_close" not in block.columns
    flags = np.array([looks_adjusted and item.kind in (Kind.SHARE, Kind.ETF) for item in instruments])
    assumed.update(symbols[code] for code in codes if flags[code])
    return flags


def _drop_rows_without_close(data: _Data, findings: list[Finding]) -> None:
    missing = np.isnan(data.values["close"])
    count = int(missing.sum())
    if count == len(missing):
        raise PayloadError("not_empty", f"none of the {count} rows has a close", "download the file again")
    if count:
        first = int(data.line[missing].min())
        findings.append(
            Finding("no_close", Severity.WARN, f"{count} rows without a close left out", f"row {first}", rows=count)
        )
        data.take(~missing)


def _sort_and_drop_duplicates(data: _Data, symbols: list[str], findings: list[Finding]) -> None:
    order = np.lexsort((data.line, data.day, data.code))
    data.take(order)
    repeats = np.flatnonzero((data.code[1:] == data.code[:-1]) & (data.day[1:] == data.day[:-1])) + 1
    if not len(repeats):
        return
    equal = np.ones(len(repeats), bool)
    for values in data.values.values():
        this, that = values[repeats], values[repeats - 1]
        equal &= (this == that) | (np.isnan(this) & np.isnan(that))
    if not equal.all():
        first = repeats[np.flatnonzero(~equal)[0]]
        raise PayloadError(
            "unique_session",
            f"{symbols[data.code[first]]} has two different rows for {data.day[first]} "
            f"(row {data.line[first - 1]} and row {data.line[first]})",
            "delete the wrong one; daily rows are expected",
            locator=f"row {data.line[first]}",
        )
    findings.append(
        Finding(
            "duplicate_row",
            Severity.WARN,
            f"{len(repeats)} rows repeat another row and are left out",
            f"row {data.line[repeats].min()}",
            rows=len(repeats),
        )
    )
    keep = np.ones(len(data.code), bool)
    keep[repeats] = False
    data.take(keep)


def _note_single_rows(data: _Data, symbols: list[str], findings: list[Finding]) -> None:
    counts = np.bincount(data.code, minlength=len(symbols))
    if single := [symbol for symbol, count in zip(symbols, counts.tolist(), strict=True) if count == 1]:
        findings.append(
            Finding(
                "one_row",
                Severity.WARN,
                f"only one row for {_listed(single)}: perhaps the upstream gave a snapshot and no history",
                rows=len(single),
            )
        )


def _listed(texts: Collection[str]) -> str:
    shown = ", ".join(itertools.islice(texts, 5))
    return shown if len(texts) <= 5 else f"{shown} and {len(texts) - 5} more"
