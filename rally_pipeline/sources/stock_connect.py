"""What the sources of Stock Connect figures share: days, JSON answers, single cells, day rows to frames.

Belongs here: whatever two of `hkex.py`, `eastmoney_flow.py`, `sse.py`, `szse.py` and `flow_files.py` need and no
upstream decides. Does not belong here: addresses and wire formats, or delimited text (`delimited.py`).

Channels are ``total``, ``sse`` and ``szse``. Absence is never zero: what is not given is NaN, and a day without any
figure has no row.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from rally_pipeline.errors import PayloadError
from rally_pipeline.sources.base import Dataset, Finding, Parsed, Severity, typed_frame
from rally_pipeline.sources.delimited import too_large

Sessions = Callable[[str, dt.date, dt.date], list[dt.date]]
Floats = npt.NDArray[np.float64]

SOUTHBOUND = "SOUTHBOUND"
#: First session of each channel.
CHANNEL_START = {
    "total": dt.date(2014, 11, 17),
    "sse": dt.date(2014, 11, 17),
    "szse": dt.date(2016, 12, 5),
}
#: How far buy + sell may be from the published turnover, in HK$ or CNY million.
SUM_TOLERANCE_MN = 0.02

#: Largest JSON answer read; a day of HKEX has 20 KiB, a page of Eastmoney below 1 MiB.
MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_JSON_DEPTH = 32
_JSON_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
#: Cells that say "not given", upper case.
_NOT_GIVEN = frozenset({"", "-", "--", "—", "–", "N/A", "NA", "NULL"})
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", re.ASCII)


def southbound_days(sessions: Sessions | None, start: dt.date, end: dt.date) -> list[dt.date]:
    """Southbound sessions in [start, end]; without a calendar every weekday."""
    if start > end:
        return []
    if sessions is not None:
        return sessions(SOUTHBOUND, start, end)
    days = (start + dt.timedelta(days=number) for number in range((end - start).days + 1))
    return [day for day in days if day.weekday() < 5]


# --- JSON and cells ------------------------------------------------------------------------------------------------


def load_json(body: bytes, *, limit: int | None = None) -> Any:
    """The content of a JSON answer, of bounded size and depth.

    Raises:
        PayloadError: ``not_empty``, ``not_html``, ``size_bound``, ``depth_bound``, ``text_encoding``, ``json_valid``
            (also ``NaN`` and ``Infinity``, which are not JSON).

    """
    limit = MAX_JSON_BYTES if limit is None else limit
    if len(body) > limit:
        raise too_large(limit)
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not body:
        raise PayloadError("not_empty", "the answer is empty", "try later")
    if body.startswith(b"<"):
        raise PayloadError("not_html", "this is a web page, not data: an error page or a closed day", "try later")
    depth = 0
    for bracket in _BRACKETS.findall(_JSON_TEXT.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise PayloadError("depth_bound", f"the answer is nested deeper than {MAX_JSON_DEPTH} levels")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise PayloadError("text_encoding", f"the answer is not UTF-8 at byte {error.start}", "try later") from error
    except (ValueError, RecursionError) as error:
        raise PayloadError("json_valid", f"the answer is not JSON ({error})", "try later") from error


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def number(value: Any, name: str, where: str, *, not_given: frozenset[float] = frozenset()) -> float:
    """One cell as a number, with or without commas between thousands; NaN = not given (``-``, ``N/A``, blank, null).

    Args:
        value: text, number or ``None``.
        name: what to call the cell in an error.
        where: locator.
        not_given: numbers that stand for "not given".

    Raises:
        PayloadError: ``number_valid``.

    """
    result = math.nan
    if value is None:
        return result
    if isinstance(value, str):
        text = value.strip()
        if text.upper() in _NOT_GIVEN:
            return result
        if _NUMBER.fullmatch(text):
            result = float(text.replace(",", ""))
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300:
        result = float(value)
    if not math.isfinite(result):
        raise PayloadError("number_valid", f"{name} is {str(value)[:40]!r}, not a number", locator=where)
    return math.nan if result in not_given else result


def is_sum(buy: float, sell: float, turnover: float, tolerance: float = SUM_TOLERANCE_MN) -> bool:
    """Whether buy + sell make up the turnover; true where one of them is not given."""
    return not abs(buy + sell - turnover) > tolerance + 1e-9


def check_sum(buy: float, sell: float, turnover: float, where: str, *, unit: str, tolerance: float) -> None:
    """Refuses a day whose buy and sell do not make up its turnover.

    Raises:
        PayloadError: ``turnover_is_sum``.

    """
    if not is_sum(buy, sell, turnover, tolerance):
        raise PayloadError(
            "turnover_is_sum",
            f"buy {buy:,.2f} + sell {sell:,.2f} = {buy + sell:,.2f}, but the turnover is {turnover:,.2f} {unit}",
            "fetch the day again",
            locator=where,
        )


def rounded(value: float) -> float:
    """Without the noise of binary fractions; six decimals of a million are whole units."""
    return round(value, 6)


def flow_frame(rows: Sequence[dict[str, Any]], dataset: Dataset = Dataset.SOUTHBOUND_FLOW) -> pd.DataFrame:
    """A frame of row dictionaries, sorted by date and channel; ``session_date`` is a `datetime.date`."""
    rows = sorted(rows, key=lambda row: (row["session_date"], row["channel"], row.get("rank", 0)))
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in (rows[0] if rows else ())}
    if rows:
        columns["session_date"] = [dt.datetime.combine(day, dt.time()) for day in columns["session_date"]]
    return typed_frame(dataset, columns)


def not_trading_day(day: dt.date | None, said: str, locator: str) -> Finding:
    """The answer says that the day was no session: no row, and that is no error."""
    return Finding("not_trading_day", Severity.WARN, f"{day}: {said}; no row", locator)


# --- Eastmoney's history, as JSON or saved as CSV ------------------------------------------------------------------

#: Eastmoney's MUTUAL_TYPE to channel; the even ones are southbound (HK$ million), the odd ones northbound (CNY
#: million), with the exception of 6.
SOUTHBOUND_TYPES = {2: "sse", 4: "szse", 6: "total"}
NORTHBOUND_TYPES = {1: "sse", 3: "szse", 5: "total"}


def mutual_history(
    types: npt.NDArray[np.int64],
    days: npt.NDArray[np.datetime64],
    figures: dict[str, Floats],
    locators: npt.NDArray[np.object_],
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[Finding, ...]]:
    """Rows of Eastmoney's history to a southbound and a northbound frame, each sorted by channel and date.

    Left out: rows without any figure (closed days come with net 0 and nothing else), and rows which repeat the
    figures of the session before under another date.

    Args:
        types: MUTUAL_TYPE of each row, 1 to 6.
        days: date of each row, datetime64[D].
        figures: ``buy``, ``sell``, ``net``, ``turnover`` and ``count`` of each row, amounts in millions.
        locators: where each row stands.

    Returns:
        Southbound frame, northbound frame, findings ``duplicate_row``, ``closed_day_row`` (*warn*) and
        ``stale_repeat`` (*quarantine*).

    Raises:
        PayloadError: ``unique_session`` (two different rows for one type and date).

    """
    order = np.lexsort((days, types))
    types, days, locators = types[order], days[order], locators[order]
    figures = {name: values[order] for name, values in figures.items()}
    findings: list[Finding] = []

    keep = np.ones(len(types), bool)
    same_key = np.zeros(len(types), bool)
    same_key[1:] = (types[1:] == types[:-1]) & (days[1:] == days[:-1])
    for row in np.flatnonzero(same_key).tolist():
        for values in figures.values():
            this, that = values[row], values[row - 1]
            if this != that and not (math.isnan(this) and math.isnan(that)):
                raise PayloadError(
                    "unique_session",
                    f"two different rows for type {types[row]} on {days[row]}, the other at {locators[row - 1]}",
                    "delete the wrong one",
                    locator=locators[row],
                )
    if same_key.any():
        count = int(same_key.sum())
        findings.append(
            Finding(
                "duplicate_row",
                Severity.WARN,
                f"{count} rows repeat another and are left out",
                locators[np.argmax(same_key)],
                rows=count,
            )
        )
        keep &= ~same_key

    buy, sell, turnover, count_ = figures["buy"], figures["sell"], figures["turnover"], figures["count"]
    net = figures["net"]
    is_north = np.isin(types, list(NORTHBOUND_TYPES))
    no_sides = np.isnan(buy) & np.isnan(sell)
    no_turnover = np.isnan(turnover) | (turnover == 0)
    zero_sides = (buy == 0) & (sell == 0)
    # Northbound since 2024-08-19 has a turnover and, at times, a net of 0 in place of null: that is no closed day.
    # A southbound net of 0 without sides is one, whatever else the row says. Zero on both sides is one as well: no
    # session of either direction was ever without a trade.
    nothing = (no_sides & (net == 0) & (~is_north | no_turnover)) | (
        (no_sides & np.isnan(net) | zero_sides) & no_turnover
    )
    if (closed := keep & nothing).any():
        first, last = days[closed].min(), days[closed].max()
        findings.append(
            Finding(
                "closed_day_row",
                Severity.WARN,
                f"{int(closed.sum())} rows without figures (closed days) from {first} to {last} left out",
                locators[np.argmax(closed)],
                rows=int(closed.sum()),
            )
        )
    keep &= ~nothing

    kept = np.flatnonzero(keep)
    stale = kept[_repeats_previous(types[kept], [buy[kept], sell[kept], turnover[kept]])]
    # Where only the turnover is published, the number of trades has to be the same too.
    live_only = _repeats_previous(types[kept], [turnover[kept], count_[kept]]) & no_sides[kept]
    stale = np.union1d(stale, kept[live_only])
    for row in stale.tolist():
        findings.append(
            Finding(
                "stale_repeat",
                Severity.QUARANTINE,
                f"{days[row]}, type {types[row]}: same figures as the row before (turnover {turnover[row]:,.2f} mn); "
                "left out",
                locators[row],
                rows=1,
            )
        )
    keep[stale] = False

    net_out: Floats = np.where(no_sides & (net == 0), np.nan, net).astype(np.float64)
    net_out = np.where(np.isnan(net_out), buy - sell, net_out).round(6)
    south = np.flatnonzero(keep & ~is_north)
    north = np.flatnonzero(keep & is_north)
    southbound = typed_frame(
        Dataset.SOUTHBOUND_FLOW,
        {
            "channel": [SOUTHBOUND_TYPES[code] for code in types[south].tolist()],
            "session_date": days[south].astype("datetime64[s]"),
            "buy_hkd_mn": np.round(buy[south], 6),
            "sell_hkd_mn": np.round(sell[south], 6),
            "net_buy_hkd_mn": net_out[south],
            "turnover_hkd_mn": np.round(turnover[south], 6),
            "locator": locators[south],
        },
    )
    northbound = typed_frame(
        Dataset.NORTHBOUND_TURNOVER,
        {
            "channel": [NORTHBOUND_TYPES[code] for code in types[north].tolist()],
            "session_date": days[north].astype("datetime64[s]"),
            "turnover_cny_mn": np.round(turnover[north], 6),
            "buy_cny_mn": np.round(buy[north], 6),
            "sell_cny_mn": np.round(sell[north], 6),
            "net_buy_cny_mn": net_out[north],
            "trade_count": count_[north],
            "locator": locators[north],
        },
    )
    return southbound, northbound, tuple(findings)


def _repeats_previous(types: npt.NDArray[np.int64], columns: list[Floats]) -> npt.NDArray[np.bool_]:
    same = np.zeros(len(types), bool)
    if len(types) > 1:
        same[1:] = types[1:] == types[:-1]
        for values in columns:
            same[1:] &= values[1:] == values[:-1]
    return same


def as_asked(asked: Dataset, frames: dict[Dataset, pd.DataFrame], findings: tuple[Finding, ...]) -> Parsed:
    """The asked dataset as the frame (empty if the payload has none of it), the others as extras where not empty."""
    frame = frames.get(asked)
    if frame is None:
        frame = typed_frame(asked, {})
    extra = {dataset: other for dataset, other in frames.items() if dataset is not asked and len(other)}
    return Parsed(frame, findings, extra)
