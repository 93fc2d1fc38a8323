"""European Central Bank reference rates: what one euro is worth, set on working days at about 16:00 CET.

Belongs here: the daily and 90-day XML, the full history as zipped CSV, and CSV files of either kind that a person
drops. Does not belong here: cross rates (a mart computes USD/HKD from two rates of one day).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

import numpy as np
import pyarrow as pa
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame
from rally_pipeline.sources.delimited import (
    as_text,
    decode_text,
    gunzip,
    parse_day,
    read_cells,
    row_locators,
    split_line,
    unzip_one_csv,
)

if TYPE_CHECKING:
    from rally_pipeline.sources.http import Upstream

SOURCE = "ecb"
BASE_CURRENCY = "EUR"

_ROOT = "https://www.ecb.europa.eu/stats/eurofxref"
_FILES = {
    "eurofxref-daily": f"{_ROOT}/eurofxref-daily.xml",
    "eurofxref-hist-90d": f"{_ROOT}/eurofxref-hist-90d.xml",
    "eurofxref-hist": f"{_ROOT}/eurofxref-hist.zip",
}
#: The 90-day file is trusted this far back, since it is not said from which day the 90 are counted.
_SAFE_DAYS = 85
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def plan(
    catalog: Catalog, start: dt.date, end: dt.date, *, symbols: Collection[str] | None = None, today: dt.date
) -> list[FetchRequest]:
    """The smallest file that is sure to hold every rate set in [start, end]; nothing if none can be.

    The daily file holds one day: today's after about 16:00 CET, the working day before until then. It is taken where
    the only weekday asked for is the last one up to `today`. Each file holds more than was asked for, and all of it
    is parsed. `symbols` are not looked at: a file has all currencies.
    """
    end = min(end, today)
    if start > end or _weekday_on_or_before(end) < start:
        return []
    last_weekday = _weekday_on_or_before(today)
    before = _weekday_on_or_before(last_weekday - dt.timedelta(days=1))
    if start > before:
        name = "eurofxref-daily"
    elif start >= today - dt.timedelta(days=_SAFE_DAYS):
        name = "eurofxref-hist-90d"
    else:
        name = "eurofxref-hist"
    return [FetchRequest(SOURCE, SOURCE, Dataset.FX, name, url=_FILES[name], start=start, end=end)]


def _weekday_on_or_before(day: dt.date) -> dt.date:
    # Working days are a subset of the weekdays, so this errs towards the larger file only.
    return day - dt.timedelta(days=max(0, day.weekday() - 4))


def request_for(name: str, *, source: str = SOURCE) -> FetchRequest:
    """The request under which a dropped file is archived; a folder before the file name is dropped."""
    name = Path(name).name
    return FetchRequest(source, SOURCE, Dataset.FX, name, params={"file_name": name})


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Asks for the file.

    Raises:
        PermanentFetchError, RetryableFetchError: as the upstream answers.

    """
    answer = upstream.get(request.url)
    return Payload(request, answer.body, answer.media_type, answer.status, answer.fetched_at)


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """Rates of one euro, oldest first; what kind of file it is, its first bytes say.

    Locators are ``row N`` in CSV and ``Cube[time] CCY`` in XML. Rates that are empty or ``N/A`` are left out.

    Raises:
        PayloadError: ``not_empty``, ``not_html``, ``xml_valid``, ``xml_safe``, ``one_member``, ``not_damaged``,
            ``not_truncated``, ``size_bound``, ``text_encoding``, ``header_known``, ``table_shape``, ``date_valid``,
            ``number_valid``, ``rate_positive``, ``unique_rate``.

    """
    body = payload.body
    if body.startswith(b"PK"):
        return _parse_csv(decode_text(unzip_one_csv(body)))
    if body.startswith(b"\x1f\x8b"):
        return _parse_csv(decode_text(gunzip(body)))
    text = decode_text(body)
    if text.lstrip().startswith("<"):
        return _parse_xml(body)
    return _parse_csv(text)


def _parse_xml(body: bytes) -> Parsed:
    try:
        root = fromstring(body, forbid_dtd=True)
    except DefusedXmlException as error:
        raise PayloadError("xml_safe", f"the XML declares entities or a DTD ({type(error).__name__})") from error
    except (ParseError, ValueError, LookupError) as error:
        raise PayloadError("xml_valid", f"the XML cannot be read ({error})", "download it again") from error
    rows: list[tuple[dt.date, str, float, str]] = []
    for element in root.iter():
        written = element.get("time")
        if not element.tag.endswith("Cube") or written is None:
            continue
        try:
            day = parse_day(written.strip())[0]
        except ValueError:
            raise PayloadError("date_valid", f"time is {written!r}, not a date", locator="Cube") from None
        for child in element:
            currency, rate = (child.get("currency") or "").strip(), (child.get("rate") or "").strip()
            where = f"Cube[{day}] {currency}".rstrip()
            if not _CURRENCY.fullmatch(currency):
                raise PayloadError("header_known", f"{currency!r} is not a currency code", locator=where)
            if rate in ("", "N/A"):
                continue
            rows.append((day, currency, _rate(rate, where), where))
    if not rows:
        raise PayloadError("not_empty", "the XML has no rates", "download it again", locator="Cube")
    days, currencies, rates, locators = zip(*rows, strict=True)
    return _parsed(
        np.array(days, "datetime64[D]"),
        np.array(currencies),
        np.array(rates, np.float64),
        pa.array(locators, pa.string()),
    )


def _rate(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise PayloadError("number_valid", f"the rate is {text!r}, not a number", locator=where)
    if value <= 0:
        raise PayloadError("rate_positive", f"the rate is {text}; rates are above zero", locator=where)
    return value


def _parse_csv(text: str) -> Parsed:
    top = next(number for number, line in enumerate(text.split("\n")) if line.strip())
    header = split_line(text.split("\n", top + 1)[top], ",")
    if header[0].lower() != "date":
        raise PayloadError(
            "header_known", f"the header begins with {header[0][:40]!r}; Date is expected", locator=f"row {top + 1}"
        )
    columns = {name: index for index, name in enumerate(header) if index and name}
    wrong = [name for name in columns if not _CURRENCY.fullmatch(name)]
    if wrong or not columns or len(columns) != sum(1 for name in header[1:] if name):
        reason = f"{wrong[0]!r} is not a currency code" if wrong else "no currency, or one of them twice"
        raise PayloadError("header_known", f"the header is not of reference rates: {reason}", locator=f"row {top + 1}")
    cells = read_cells(text, ",", top + 1, len(header))
    all_days, _ = cells.days(0, "Date")
    days, currencies, rates, lines = [], [], [], []
    for name, index in columns.items():
        values = cells.numbers(index, name)
        not_positive = np.flatnonzero(values <= 0)
        if len(not_positive):
            first = not_positive[0]
            raise PayloadError(
                "rate_positive", f"{name} is {values[first]}; rates are above zero", locator=f"row {cells.lines[first]}"
            )
        given = np.flatnonzero(~np.isnan(values))
        days.append(all_days[given])
        currencies.append(np.full(len(given), name))
        rates.append(values[given])
        lines.append(cells.lines[given])
    if not any(len(part) for part in rates):
        raise PayloadError("not_empty", "the file has no rates", "download it again")
    return _parsed(
        np.concatenate(days), np.concatenate(currencies), np.concatenate(rates), row_locators(np.concatenate(lines))
    )


def _parsed(days: Any, currencies: Any, rates: Any, locators: Any) -> Parsed:
    """Sorts by date and currency, and refuses one pair of them with two rates."""
    order = np.lexsort((currencies, days))
    days, currencies, rates = days[order], currencies[order], rates[order]
    locators = locators.take(pa.array(order))
    repeats = np.flatnonzero((days[1:] == days[:-1]) & (currencies[1:] == currencies[:-1])) + 1
    findings: tuple[Finding, ...] = ()
    if len(repeats):
        different = repeats[rates[repeats] != rates[repeats - 1]]
        if len(different):
            first = int(different[0])
            raise PayloadError(
                "unique_rate",
                f"{currencies[first]} has two rates for {days[first]}: {rates[first - 1]} and {rates[first]}",
                locator=locators[first].as_py(),
            )
        text = f"{len(repeats)} rates repeat another and are left out"
        findings = (Finding("duplicate_row", Severity.WARN, text, rows=len(repeats)),)
        keep = np.ones(len(days), bool)
        keep[repeats] = False
        days, currencies, rates, locators = days[keep], currencies[keep], rates[keep], locators.filter(pa.array(keep))
    frame = typed_frame(
        Dataset.FX,
        {
            "base_currency": as_text(pa.array(np.full(len(days), BASE_CURRENCY))),
            "quote_currency": as_text(pa.array(currencies)),
            "rate_date": days.astype("datetime64[s]"),
            "rate": rates,
            "locator": as_text(locators),
        },
    )
    return Parsed(frame, findings)
