"""``mart_price_extremes_daily`` over whole series, with numpy: the rows that `price_extremes.select` gives, for all of
history at once.

Everything rests on one table per side: the best close of every run of 1, 2, 4, … sessions. The best close of a window
is the better one of two such runs that overlap; the last earlier close at least as good is found by stepping back over
runs that are all worse, the longest first. Both take as many steps as the length of a series has binary digits, each
over all rows at once.

Belongs here: that plan. Does not belong here: what the columns mean (`price_extremes.py`), or moving rows
(`in_bulk.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rally_pipeline.marts.inputs import BASE_TOLERANCE_DAYS, TROUGH_SESSIONS, WINDOW_MONTHS, WINDOW_WEEKS
from rally_pipeline.sessions import months_before

_Floats = npt.NDArray[np.float64]
_Places = npt.NDArray[np.intp]

_DAY = np.timedelta64(1, "D")
#: The best close of a side, and whether one close is worse than another.
_SIDES: dict[str, tuple[Any, Any]] = {"high": (np.maximum, np.less), "low": (np.minimum, np.greater)}


def compute(given: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The columns of the table, one value per bar, in the order of the bars.

    Args:
        given: ``symbol``, ``session_date`` (datetime64[D]) and ``close`` (float64, none missing) of bars, those of a
            symbol together and in order of days. At least one.

    Returns:
        Dates as datetime64[D] with NaT, flags as float64: 1, 0, or NaN for unknown.
    """
    day, close = given["session_date"], given["close"]
    row = np.arange(len(day))
    begins = np.flatnonzero(np.concatenate(([True], given["symbol"][1:] != given["symbol"][:-1])))
    lengths = np.diff(begins, append=len(day))
    first = np.repeat(begins, lengths)
    # symbols one after the other on one axis of time, further apart than any window
    offset = np.repeat(np.arange(len(begins)), lengths) * np.timedelta64(10**7, "D")
    first_day = day[first]
    starts_52w, starts_3y = day - np.timedelta64(WINDOW_WEEKS, "W"), months_before(day, WINDOW_MONTHS)
    # three years before a 29 February there was none, and the window begins the day after
    begins_later = (day - day.astype("M8[M]")) != (starts_3y - starts_3y.astype("M8[M]"))
    opens = {
        "52w": np.searchsorted(day + offset, starts_52w + offset),
        "3y": np.searchsorted(day + offset, starts_3y + offset + begins_later * _DAY),
        "60": np.maximum(row - (TROUGH_SESSIONS - 1), first),
    }
    tolerance = np.timedelta64(BASE_TOLERANCE_DAYS, "D")
    has_52w, has_3y = first_day - starts_52w <= tolerance, first_day - starts_3y <= tolerance
    found = {"symbol": given["symbol"], "session_date": day, "close": close, "first_session_date": first_day}
    for side, (best, is_worse) in _SIDES.items():
        runs = _best_runs(close, int(lengths.max()), best)
        bests = {name: _best_of(runs, start, row, best) for name, start in opens.items()}
        before = _last_as_good(runs, row, first, close, is_worse)
        is_first = before < first
        since = np.where(is_first, np.datetime64("NaT", "D"), day[before])
        in_60 = runs[: TROUGH_SESSIONS.bit_length()]
        found |= {f"{side}_{name}": bests[name] for name in ("52w", "3y")}
        found[f"is_52w_{side}"] = np.where(has_52w, is_first | (since < starts_52w), np.nan)
        is_before = (since < starts_3y) | ((since == starts_3y) & begins_later)
        found[f"is_3y_{side}"] = np.where(has_3y, is_first | is_before, np.nan)
        word, other = ("highest", "peak") if side == "high" else ("lowest", "trough")
        found[f"{word}_since_date"] = since
        found[f"{other}_close"] = bests["60"]
        found[f"{other}_date"] = day[_last_as_good(in_60, row + 1, opens["60"], bests["60"], is_worse)]
    for name, of in (
        ("rise_from_trough_pct", "trough_close"),
        ("fall_from_peak_pct", "peak_close"),
        ("drawdown_from_high_pct", "high_52w"),
        ("rise_from_low_pct", "low_52w"),
    ):
        found[name] = (close / found[of] - 1.0) * 100.0
    return found


def _best_runs(close: _Floats, longest: int, best: Any) -> _Floats:
    """Row k holds, at each place, the best of the 2^k closes that begin there; of no use where fewer are left."""
    runs = np.empty((longest.bit_length(), len(close)))
    runs[0] = close
    for k in range(1, len(runs)):
        half = 1 << (k - 1)
        count = len(close) - 2 * half + 1
        best(runs[k - 1, :count], runs[k - 1, half : half + count], out=runs[k, :count])
    return runs


def _best_of(runs: _Floats, start: _Places, last: _Places, best: Any) -> _Floats:
    """The best close from each place to another, both inclusive."""
    k = np.frexp(last - start + 1)[1] - 1  # the greatest power of two that fits
    at = k * runs.shape[1]
    found: _Floats = best(np.take(runs, at + start), np.take(runs, at + last + 1 - (1 << k)))
    return found


def _last_as_good(runs: _Floats, end: _Places, first: _Places, close: _Floats, is_worse: Any) -> _Places:
    """The last place in first … end − 1 that holds a close not worse than the given; first − 1 if there is none."""
    end = end.copy()
    for k in range(len(runs) - 1, -1, -1):
        start = end - (1 << k)
        fits = start >= first
        skipped = fits & is_worse(np.take(runs, k * runs.shape[1] + np.where(fits, start, 0)), close)
        end[skipped] = start[skipped]
    return end - 1
