"""Which days are trading sessions, of each market and of Stock Connect southbound, and how far that is known.

Belongs here: calendars, their corrections, and the dates that depend on them alone (anchors of returns, events by
rule). Does not belong here: prices, flows, or "today": nothing here reads a clock, so every answer depends on the
arguments, the catalog and the installed exchange_calendars only, of which a folder may keep what it computed. Past its
horizon a calendar says *unknown*.

The calendars: ``HK CN DE US JP GB`` (exchanges), ``FX`` (days on which the ECB publishes reference rates: Monday to
Friday except the six TARGET holidays) and ``SOUTHBOUND`` (sessions of Hong Kong on which mainland investors can trade
there). A southbound session is a day on which both Hong Kong and the mainland trade; before 2023-04-24 the two Hong
Kong sessions that follow it, on which it is settled, had to be mainland sessions as well.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import io
import itertools
import json
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from rally_pipeline.errors import CalendarHorizonError, UsageError
from rally_pipeline.files import write_over

if TYPE_CHECKING:
    import pandas as pd

    from rally_pipeline.catalog.model import CalendarExtension, CalendarOverride, Catalog, Event

_Dates = npt.NDArray[np.datetime64]

#: First day of the calendars: one year before the earliest data, so that its returns since year-end have a base.
DEFAULT_START = dt.date(2004, 1, 1)
#: Calendars are not asked beyond this day even if they would compute further: holidays get announced, not computed.
#: It is a constant, and not a distance from today, so that an old run can be repeated.
LAST_KNOWN_DAY = dt.date(2030, 12, 31)

#: Raise when what is kept of a calendar changes without a change of the package.
_KEPT_REVISION = 1

SOUTHBOUND = "SOUTHBOUND"
SOUTHBOUND_START = dt.date(2014, 11, 17)
#: From this day southbound trades on every day on which both markets do (enhanced trading calendar).
SOUTHBOUND_ENHANCED = dt.date(2023, 4, 24)


@dataclass(frozen=True)
class _Hours:
    """A market's present hours, local time; used only for days that the package does not know as sessions."""

    code: str
    zone: str
    opens: dt.time
    closes: dt.time
    early: dt.time = dt.time(12)


_HOURS = {
    "HK": _Hours("XHKG", "Asia/Hong_Kong", dt.time(9, 30), dt.time(16)),
    # Shenzhen has the same sessions and no calendar of its own in the package.
    "CN": _Hours("XSHG", "Asia/Shanghai", dt.time(9, 30), dt.time(15)),
    "DE": _Hours("XETR", "Europe/Berlin", dt.time(9), dt.time(17, 30), dt.time(14)),
    "US": _Hours("XNYS", "America/New_York", dt.time(9, 30), dt.time(16), dt.time(13)),
    "JP": _Hours("XTKS", "Asia/Tokyo", dt.time(9), dt.time(15, 30)),
    "GB": _Hours("XLON", "Europe/London", dt.time(8), dt.time(16, 30), dt.time(12, 30)),
    # ECB reference rates: rates are taken at 14:15 and published at about 16:00.
    "FX": _Hours("", "Europe/Berlin", dt.time(14, 15), dt.time(16)),
    SOUTHBOUND: _Hours("", "Asia/Hong_Kong", dt.time(9, 30), dt.time(16)),
}

#: Every calendar that `Calendars` knows.
MARKETS = tuple(_HOURS)


def timezone_of(market: str) -> ZoneInfo:
    """The time zone in which a market's days begin and end."""
    return ZoneInfo(_HOURS[market].zone)


class SessionState(StrEnum):
    """Whether a market trades on a day. *unknown* is outside of what the calendar covers, and is never *open*."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Session:
    """One trading session.

    Attributes:
        market: name of the calendar.
        day: market-local date.
        open_at, close_at: aware UTC. Closing auctions may print a few minutes after ``close_at``.
        is_half_day: closes earlier than usual, as scheduled (a morning lost to weather is not modelled).
    """

    market: str
    day: dt.date
    open_at: dt.datetime
    close_at: dt.datetime
    is_half_day: bool


@dataclass(frozen=True)
class _Table:
    """The sessions of one calendar from ``first_day`` to ``horizon``, sorted; the arrays have equal length."""

    days: _Dates  # datetime64[D]
    opens: _Dates  # datetime64[s], UTC
    closes: _Dates  # datetime64[s], UTC
    half: npt.NDArray[np.bool_]
    first_day: dt.date
    horizon: dt.date

    @functools.cached_property
    def dates(self) -> list[dt.date]:
        return list(self.days.tolist())

    def where(self, keep: npt.NDArray[np.bool_]) -> _Table:
        return _Table(
            self.days[keep], self.opens[keep], self.closes[keep], self.half[keep], self.first_day, self.horizon
        )


class Calendars:
    """The sessions of all markets; each calendar is built when it is first asked for.

    Args:
        overrides: corrections, see `catalog.model.CalendarOverride`. One outside of what a calendar covers has no
            effect until the calendar reaches it.
        start: first day of the exchange and FX calendars.
        kept_in: folder in which calendars of the package are kept once they were computed; ``None`` = nowhere.
        extensions: announced sessions beyond the end of a calendar, see `catalog.model.CalendarExtension`.

    Every method that takes a market raises `UsageError` if there is no such calendar.
    """

    def __init__(
        self,
        overrides: Sequence[CalendarOverride] = (),
        start: dt.date = DEFAULT_START,
        *,
        extensions: Sequence[CalendarExtension] = (),
        kept_in: Path | None = None,
    ) -> None:
        self._overrides = tuple(overrides)
        self._kept_in = kept_in
        self._extensions = {str(extension.market): extension for extension in extensions}
        self._start = start
        self._tables: dict[str, _Table] = {}

    @classmethod
    def from_catalog(
        cls, catalog: Catalog, start: dt.date = DEFAULT_START, *, kept_in: Path | None = None
    ) -> Calendars:
        """The calendars with the overrides and extensions of a catalog; the other arguments as of the class."""
        return cls(catalog.calendar_overrides, start, extensions=catalog.calendar_extensions, kept_in=kept_in)

    @property
    def markets(self) -> tuple[str, ...]:
        """The names of all calendars."""
        return MARKETS

    def first_day(self, market: str) -> dt.date:
        """The first day about which the calendar knows (not necessarily a session)."""
        return self._table(market).first_day

    def horizon(self, market: str) -> dt.date:
        """The last day about which the calendar knows (not necessarily a session)."""
        return self._table(market).horizon

    def state(self, market: str, day: dt.date) -> SessionState:
        """Whether the market trades on the day; `UNKNOWN` before ``first_day`` and after ``horizon``."""
        table = self._table(market)
        if not table.first_day <= day <= table.horizon:
            return SessionState.UNKNOWN
        return SessionState.CLOSED if _position(table, day) is None else SessionState.OPEN

    def sessions(self, market: str, start: dt.date, end: dt.date) -> list[dt.date]:
        """The sessions from start to end, both inclusive, ascending; none before ``first_day``.

        Raises:
            CalendarHorizonError: ``end`` is after the horizon.
        """
        self._require_known(market, end)
        return self.known_sessions(market, start, end)

    def known_sessions(self, market: str, start: dt.date, end: dt.date) -> list[dt.date]:
        """The sessions from start to end, both inclusive, ascending, as far as they are known."""
        dates = self._table(market).dates
        return dates[bisect_left(dates, start) : bisect_right(dates, end)]

    def session(self, market: str, day: dt.date) -> Session:
        """The session of the day with its times.

        Raises:
            ValueError: the market is closed on the day.
            CalendarHorizonError: nobody knows.
        """
        table = self._table(market)
        self._require_known(market, day)
        position = _position(table, day)
        if position is None:
            raise ValueError(f"{day} is not a session of {market}")
        return Session(
            market=str(market),
            day=day,
            open_at=table.opens[position].item().replace(tzinfo=dt.UTC),
            close_at=table.closes[position].item().replace(tzinfo=dt.UTC),
            is_half_day=bool(table.half[position]),
        )

    def last_session_on_or_before(self, market: str, day: dt.date) -> dt.date:
        """The latest session that is not after the day.

        Raises:
            CalendarHorizonError: ``day`` is after the horizon, or before the first known session.
        """
        self._require_known(market, day)
        dates = self._table(market).dates
        position = bisect_right(dates, day)
        if position == 0:
            raise self._unknown(market, day)
        return dates[position - 1]

    def previous_session(self, market: str, day: dt.date) -> dt.date:
        """The latest session before the day, which need not be a session itself.

        Raises:
            CalendarHorizonError: it lies outside of what is known.
        """
        return self.last_session_on_or_before(market, day - dt.timedelta(days=1))

    def next_session(self, market: str, day: dt.date) -> dt.date:
        """The earliest session after the day, which need not be a session itself.

        Raises:
            CalendarHorizonError: it lies outside of what is known.
        """
        table = self._table(market)
        position = bisect_right(table.dates, day)
        if position == len(table.dates):
            raise self._unknown(market, max(day, table.horizon) + dt.timedelta(days=1))
        if day < table.first_day - dt.timedelta(days=1):
            raise self._unknown(market, day)
        return table.dates[position]

    def lunar_new_year_reopenings(self, start_year: int, end_year: int) -> dict[int, dt.date]:
        """The first mainland session after Lunar New Year, by year; years that are not fully known are left out."""
        table = self._table("CN")
        found: dict[int, dt.date] = {}
        for year in range(start_year, end_year + 1):
            # The new year falls between 21 January and 20 February, and its holiday is the longest break around then.
            first, last = dt.date(year, 1, 10), dt.date(year, 3, 10)
            if first < table.first_day or last > table.horizon:
                continue
            days = self.known_sessions("CN", first, last)
            breaks = [(later - earlier).days for earlier, later in itertools.pairwise(days)]
            if breaks and max(breaks) > 4:
                found[year] = days[breaks.index(max(breaks)) + 1]
        return found

    def session_frame(self, market: str, start: dt.date, end: dt.date) -> pd.DataFrame:
        """The known sessions from start to end (clipped at the horizon), one row each, ascending.

        Columns, all dates ``datetime64[s]``: ``market`` (str), ``session_date``, ``session_no`` (int64, running from 1
        at the calendar's first session), ``is_half_day`` (bool), ``open_at`` and ``close_at`` (UTC, naive), and the
        anchors of returns and windows:

        - ``year_base_date``, ``month_base_date``: last session of the years, months before the session's;
        - ``ago_1y_date``: last session on or before the day twelve months earlier;
        - ``window_52w_start``, ``window_3y_start``: the calendar days 52 weeks and 36 months earlier (2021-02-28 for
          2024-02-29): first days of the windows, inclusive.

        The three anchors that are sessions are NaT where they would lie before the calendar's first session.
        """
        import pandas as pd

        table = self._table(market)
        lower = int(np.searchsorted(table.days, np.datetime64(start, "D"), side="left"))
        upper = max(lower, int(np.searchsorted(table.days, np.datetime64(end, "D"), side="right")))
        days = table.days[lower:upper]
        columns: dict[str, Any] = {
            "session_date": days,
            "session_no": np.arange(lower + 1, upper + 1, dtype=np.int64),
            "is_half_day": table.half[lower:upper],
            "open_at": table.opens[lower:upper],
            "close_at": table.closes[lower:upper],
            "year_base_date": _last_before(table.days, days.astype("M8[Y]").astype("M8[D]")),
            "month_base_date": _last_before(table.days, days.astype("M8[M]").astype("M8[D]")),
            "ago_1y_date": _last_before(table.days, months_before(days, 12) + np.timedelta64(1, "D")),
            "window_52w_start": days - np.timedelta64(52 * 7, "D"),
            "window_3y_start": months_before(days, 36),
        }
        frame = pd.DataFrame(
            {
                name: values.astype("M8[s]") if values.dtype.kind == "M" else values.copy()
                for name, values in columns.items()
            }
        )
        frame.insert(0, "market", pd.Series(str(market), index=frame.index, dtype="str"))
        return frame

    # --- building -----------------------------------------------------------------------------------------------------

    def _table(self, market: str) -> _Table:
        table = self._tables.get(market)
        if table is None:
            # Two threads may both build one; they build the same.
            table = self._tables[str(market)] = self._build(str(market))
        return table

    def _build(self, market: str) -> _Table:
        if market not in _HOURS:
            raise UsageError(f"there is no calendar {market!r}; the calendars are {', '.join(MARKETS)}")
        if market == SOUTHBOUND:
            table = _southbound_table(self._table("HK"), self._table("CN"))
        elif market == "FX":
            table = _fx_table(self._start)
        else:
            table = _package_table(market, self._start, self._kept_in)
        if (extension := self._extensions.get(market)) is not None:
            table = _extended(market, table, extension)
        overrides = {override.date: override.is_session for override in self._overrides if override.market == market}
        return _overridden(market, table, overrides)

    def _require_known(self, market: str, day: dt.date) -> None:
        if day > self.horizon(market):
            raise self._unknown(market, day)

    def _unknown(self, market: str, day: dt.date) -> CalendarHorizonError:
        table = self._table(market)
        if day <= table.horizon:
            return CalendarHorizonError(
                f"Nothing is known about sessions of {market} on or before {day}: its calendar begins on "
                f"{table.first_day}. Ask for a later day."
            )
        limits = [name for name in ("CN", "HK") if self.horizon(name) == table.horizon]
        limit = limits[0] if market == SOUTHBOUND and limits else market
        if limit == "FX":
            fix = "This version of the project goes no further; upgrade it."
        else:
            fix = (
                f"Upgrade exchange_calendars, or write the announced holidays as calendar_extensions entry {limit} "
                "into catalog/calendars.yaml in the project's home."
            )
        return CalendarHorizonError(
            f"Nobody knows yet whether {day} is a session of {market}: its calendar ends on {table.horizon}. {fix}"
        )


def expand_events(
    events: Mapping[str, Event] | Iterable[Event], calendars: Calendars, first_year: int, last_year: int
) -> list[tuple[str, str, dt.date]]:
    """All events as (event_id, name, date), by date: each dated one, and one per known year for each rule.

    ``first_year`` and ``last_year`` (inclusive) bound the events by rule only; a dated event is always there.
    """
    found: list[tuple[str, str, dt.date]] = []
    for event in events.values() if isinstance(events, Mapping) else events:
        if event.date is not None:
            found.append((event.event_id, event.name, event.date))
        else:
            found.extend(
                (f"{event.event_id}_{year}", f"{event.name} {year}", day)
                for year, day in calendars.lunar_new_year_reopenings(first_year, last_year).items()
            )
    return sorted(found, key=lambda event: (event[2], event[0]))


# --- tables -----------------------------------------------------------------------------------------------------------


#: What this process knows of the package, by market and first day.
_known: dict[tuple[str, dt.date], _Table] = {}


def _package_table(market: str, start: dt.date, kept_in: Path | None) -> _Table:
    """The calendar of exchange_calendars as it is, up to the latest year-end it supports but not `LAST_KNOWN_DAY`.

    The package takes a tenth of a second for each, and half a second to import.
    """
    table = _known.get((market, start))
    if table is None:
        path = kept_in / f"{_HOURS[market].code}-{_fingerprint(market, start)}.npz" if kept_in else None
        table = _read_table(path, start) if path else None
        if table is None:
            table = _computed_table(market, start)
            if path:
                _keep_table(path, table)
        _known[market, start] = table
    return table


def _fingerprint(market: str, start: dt.date) -> str:
    """What the calendar depends on: the package, the days asked for, and the changes of the clocks."""
    zone = timezone_of(market)
    weeks = (start + dt.timedelta(weeks=number) for number in range((LAST_KNOWN_DAY - start).days // 7))
    offsets = [_offset_seconds(zone, dt.datetime.combine(day, dt.time(12))) for day in weeks]
    said = [_KEPT_REVISION, version("exchange_calendars"), str(start), str(LAST_KNOWN_DAY), offsets]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def _read_table(path: Path, start: dt.date) -> _Table | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            return _Table(
                kept["days"], kept["opens"], kept["closes"], kept["half"], start, horizon=kept["horizon"].item()
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _keep_table(path: Path, table: _Table) -> None:
    body, horizon = io.BytesIO(), np.datetime64(table.horizon, "D")
    np.savez(body, days=table.days, opens=table.opens, closes=table.closes, half=table.half, horizon=horizon)
    # Only a cache: a home that cannot be written to is no reason to fail.
    with contextlib.suppress(OSError):
        write_over(path, body.getvalue())


def _computed_table(market: str, start: dt.date) -> _Table:
    import exchange_calendars

    hours = _HOURS[market]
    calendar: Any = None
    end = LAST_KNOWN_DAY
    while calendar is None:
        try:
            calendar = exchange_calendars.get_calendar(hours.code, start=start, end=end)
        except ValueError as error:
            # Some calendars hold recorded holidays and refuse a year beyond them. Refusing is cheap; the only public
            # way to learn the limit is to ask.
            end = dt.date(end.year - 1, 12, 31)
            if end <= start:
                raise UsageError(f"exchange_calendars has no sessions of {market} from {start} on: {error}") from error
    days = calendar.sessions.to_numpy().astype("M8[D]")
    return _Table(
        days=days,
        opens=calendar.opens.dt.tz_convert(None).to_numpy().astype("M8[s]"),
        closes=calendar.closes.dt.tz_convert(None).to_numpy().astype("M8[s]"),
        half=np.isin(days, calendar.early_closes.to_numpy().astype("M8[D]")),
        first_day=start,
        horizon=end,
    )


@functools.lru_cache(maxsize=8)
def _fx_table(start: dt.date) -> _Table:
    from dateutil.easter import easter

    holidays: set[dt.date] = set()
    for year in range(start.year, LAST_KNOWN_DAY.year + 1):
        sunday = easter(year)
        holidays |= {sunday - dt.timedelta(days=2), sunday + dt.timedelta(days=1)}
        holidays |= {dt.date(year, month, day) for month, day in ((1, 1), (5, 1), (12, 25), (12, 26))}
    days = np.arange(np.datetime64(start, "D"), np.datetime64(LAST_KNOWN_DAY, "D") + 1)
    days = days[np.is_busday(days, holidays=np.array(sorted(holidays), dtype="M8[D]"))]
    hours = _HOURS["FX"]
    opens, closes = _utc(days, hours.opens, hours.zone), _utc(days, hours.closes, hours.zone)
    return _Table(days, opens, closes, np.zeros(len(days), dtype=bool), start, LAST_KNOWN_DAY)


def _southbound_table(hong_kong: _Table, mainland: _Table) -> _Table:
    is_mainland = np.isin(hong_kong.days, mainland.days)
    one_later = np.append(is_mainland[1:], [True])
    two_later = np.append(is_mainland[2:], [True, True])[: len(is_mainland)]
    settles = (hong_kong.days >= np.datetime64(SOUTHBOUND_ENHANCED, "D")) | (one_later & two_later)
    first_day = max(SOUTHBOUND_START, hong_kong.first_day, mainland.first_day)
    horizon = min(hong_kong.horizon, mainland.horizon)
    inside = (hong_kong.days >= np.datetime64(first_day, "D")) & (hong_kong.days <= np.datetime64(horizon, "D"))
    table = hong_kong.where(is_mainland & settles & inside)
    return _Table(table.days, table.opens, table.closes, table.half, first_day, horizon)


def _extended(market: str, table: _Table, extension: CalendarExtension) -> _Table:
    if extension.known_until <= table.horizon:
        return table
    days = np.arange(np.datetime64(table.horizon, "D") + 1, np.datetime64(extension.known_until, "D") + 1)
    days = days[np.is_busday(days, holidays=np.array(extension.closed, dtype="M8[D]"))]
    hours = _HOURS[market]
    half = np.isin(days, np.array(extension.half_days, dtype="M8[D]"))
    closes = np.where(half, _utc(days, hours.early, hours.zone), _utc(days, hours.closes, hours.zone))
    return _Table(
        days=np.append(table.days, days),
        opens=np.append(table.opens, _utc(days, hours.opens, hours.zone)),
        closes=np.append(table.closes, closes),
        half=np.append(table.half, half),
        first_day=table.first_day,
        horizon=extension.known_until,
    )


def _overridden(market: str, table: _Table, overrides: Mapping[dt.date, bool]) -> _Table:
    known = {day: is_session for day, is_session in overrides.items() if table.first_day <= day <= table.horizon}
    removed = np.array(sorted(day for day, is_session in known.items() if not is_session), dtype="M8[D]")
    added = np.array(sorted(day for day, is_session in known.items() if is_session), dtype="M8[D]")
    added = added[~np.isin(added, table.days)]
    if len(removed):
        table = table.where(~np.isin(table.days, removed))
    if len(added):
        hours = _HOURS[market]
        at = np.searchsorted(table.days, added)
        table = _Table(
            days=np.insert(table.days, at, added),
            opens=np.insert(table.opens, at, _utc(added, hours.opens, hours.zone)),
            closes=np.insert(table.closes, at, _utc(added, hours.closes, hours.zone)),
            half=np.insert(table.half, at, False),
            first_day=table.first_day,
            horizon=table.horizon,
        )
    return table


def _position(table: _Table, day: dt.date) -> int | None:
    position = bisect_left(table.dates, day)
    return position if position < len(table.dates) and table.dates[position] == day else None


def _last_before(days: _Dates, limits: _Dates) -> _Dates:
    """For each limit the last of the sorted days before it, or NaT."""
    if not len(days):
        return np.full(limits.shape, np.datetime64("NaT"), dtype="M8[D]")
    positions = np.searchsorted(days, limits, side="left") - 1
    found = days[np.maximum(positions, 0)]
    found[positions < 0] = np.datetime64("NaT")
    return found


def months_before(days: _Dates, months: int) -> _Dates:
    """The same day of the month that many months earlier, or that month's last day where it is shorter."""
    this_month = days.astype("M8[M]")
    target = this_month - np.timedelta64(months, "M")
    same_day = target.astype("M8[D]") + (days - this_month.astype("M8[D]"))
    last_day = (target + np.timedelta64(1, "M")).astype("M8[D]") - np.timedelta64(1, "D")
    earlier: _Dates = np.minimum(same_day, last_day)
    return earlier


def _utc(days: _Dates, time: dt.time, zone: str) -> _Dates:
    """The UTC times (datetime64[s]) of a local time of day on each of the days."""
    local = days.astype("M8[s]") + np.timedelta64(time.hour * 3600 + time.minute * 60, "s")
    tz = ZoneInfo(zone)
    # No market opens or closes inside a change of the clocks, so the offset is the one of that local time.
    offsets = [_offset_seconds(tz, moment) for moment in local.tolist()]
    utc: _Dates = local - np.array(offsets, dtype="m8[s]")
    return utc


def _offset_seconds(tz: ZoneInfo, moment: dt.datetime) -> int:
    offset = moment.replace(tzinfo=tz).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
