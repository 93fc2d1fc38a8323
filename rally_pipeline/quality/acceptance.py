"""Rows against the calendar and the clock of the fetch: the gate's rules about days.

Belongs here: whether a day is a session, and whether it was over. Does not belong here: any rule about figures
(`market.py`) or what follows (`gate.py`).
"""

from __future__ import annotations

import datetime as dt
import functools

import numpy as np
import numpy.typing as npt
import pandas as pd

from rally_pipeline.sessions import Calendars

#: A closing auction ends minutes after the close, and quotes are delayed: a bar counts as final only after this.
SETTLING = dt.timedelta(minutes=15)

Verdicts = npt.NDArray[np.bool_]


def session_verdicts(
    market: str, days: pd.Series[pd.Timestamp], calendars: Calendars, known_at: dt.datetime
) -> dict[str, Verdicts]:
    """For each day whether it meets ``bar_on_closed_day``, ``session_unknown`` and ``session_not_over``.

    Args:
        market: whose sessions.
        days: market-local dates at midnight, naive.
        calendars: the authority on sessions.
        known_at: aware time at which the rows were known.
    """
    instant = pd.Timestamp(known_at).tz_convert("UTC").tz_localize(None) - SETTLING
    close_at = days.map(closes(calendars, market))
    begin, end = pd.Timestamp(calendars.first_day(market)), pd.Timestamp(calendars.horizon(market))
    is_known = ((days >= begin) & (days <= end)).to_numpy()
    return {
        "bar_on_closed_day": ~(close_at.isna().to_numpy() & is_known),
        "session_unknown": is_known,
        "session_not_over": ~(close_at > instant).to_numpy(),
    }


@functools.lru_cache(maxsize=32)
def closes(calendars: Calendars, market: str) -> pd.Series[pd.Timestamp]:
    """Closing times (naive UTC) by session date, as far as the calendar knows."""
    return _sessions(calendars, market)["close_at"]


@functools.lru_cache(maxsize=32)
def half_days(calendars: Calendars, market: str) -> frozenset[pd.Timestamp]:
    """Sessions that close early."""
    frame = _sessions(calendars, market)
    return frozenset(frame.index[frame["is_half_day"]])


@functools.lru_cache(maxsize=32)
def _sessions(calendars: Calendars, market: str) -> pd.DataFrame:
    frame = calendars.session_frame(market, calendars.first_day(market), calendars.horizon(market))
    return frame.set_index("session_date")
