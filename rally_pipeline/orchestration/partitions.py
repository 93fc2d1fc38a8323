"""Partitions: the sessions of each market, and weekdays for what spans markets.

A market's last partition is its running or next session: Dagster's ``end_offset`` counts partitions, not days, so the
next session already shows on the weekend before it. Whether a session is over, the raw
asset looks at itself.

Belongs here: days as Dagster knows them. Does not belong here: the calendars themselves (`sessions.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from rally_pipeline.catalog import Catalog, load_catalog
from rally_pipeline.files import write_over
from rally_pipeline.settings import Settings

#: Markets that are ingested, each on its own sessions; southbound trading has sessions of its own.
INGEST_MARKETS = ("HK", "CN", "DE", "US", "JP", "GB", "FX", "SOUTHBOUND")
#: Time zones in which a market's days begin and end.
TIMEZONES = {
    "HK": "Asia/Hong_Kong",
    "CN": "Asia/Shanghai",
    "DE": "Europe/Berlin",
    "US": "America/New_York",
    "JP": "Asia/Tokyo",
    "GB": "Europe/London",
    "FX": "Europe/Berlin",
    "SOUTHBOUND": "Asia/Hong_Kong",
}
WEEKEND = ("0 0 * * 6", "0 0 * * 0")
#: Saturday and Sunday by the remainder of `date.toordinal`, of which 1 was a Monday.
_WEEKEND_ORDINALS = (6, 0)
#: First weekday of the tables that span markets: that of the calendars.
WEEKDAYS_START = dt.date(2004, 1, 1)
#: Raise when what `sessions.py` computes changes without a change of package or catalog.
_REVISION = 1

#: What a calendar says, in JSON types: ``first`` and ``horizon`` (ISO days), ``closed`` (ISO days that are no session)
#: and ``has_weekends`` (whether Saturdays and Sundays are all closed, and then not listed).
CalendarDays = Mapping[str, Any]


class Days(dg.DailyPartitionsDefinition):
    """Daily partitions from midnight to midnight, listed by counting days.

    Dagster walks along cron schedules instead, a tenth of a second for twenty years, and lists every day of every
    calendar that an asset across calendars reads, in each of its steps. Exclusions are single days, or `WEEKEND`.
    """

    def get_partition_keys(
        self, current_time: dt.datetime | None = None, dynamic_partitions_store: Any = None
    ) -> Sequence[str]:
        """Called by Dagster; the keys it would list, oldest first."""
        if current_time is not None:
            return super().get_partition_keys(current_time, dynamic_partitions_store)
        first, last = self.get_first_partition_key(), self.get_last_partition_key()
        if first is None or last is None:
            return []
        return list(
            _listed(dt.date.fromisoformat(first), dt.date.fromisoformat(last), self._has_weekends, self._closed)
        )

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        # Dagster reads every exclusion for it, at each look into one of its caches.
        return hash(tuple(repr(self)))

    @functools.cached_property
    def _has_weekends(self) -> bool:
        return any(isinstance(one, str) for one in self.exclusions or ())

    @functools.cached_property
    def _closed(self) -> frozenset[str]:
        zone = ZoneInfo(self.timezone)
        days = (one for one in self.exclusions or () if not isinstance(one, str))
        return frozenset(dt.datetime.fromtimestamp(one.timestamp, zone).date().isoformat() for one in days)


@functools.lru_cache(maxsize=32)
def _listed(first: dt.date, last: dt.date, has_weekends: bool, closed: frozenset[str]) -> tuple[str, ...]:
    weekend = _WEEKEND_ORDINALS if has_weekends else ()
    numbers = range(first.toordinal(), last.toordinal() + 1)
    keys = (dt.date.fromordinal(number).isoformat() for number in numbers if number % 7 not in weekend)
    return tuple(key for key in keys if key not in closed)


def weekdays() -> dg.DailyPartitionsDefinition:
    """Monday to Friday, the running one included."""
    return Days(start_date=WEEKDAYS_START.isoformat(), timezone="UTC", end_offset=1, exclusions=list(WEEKEND))


def session_partitions(market: str, days: CalendarDays) -> dg.DailyPartitionsDefinition:
    """The sessions of a market, from its calendar's first day to its horizon and no further than the next one."""
    horizon = dt.date.fromisoformat(days["horizon"])
    closed = [dt.datetime.fromisoformat(day) for day in days["closed"]]
    return Days(
        start_date=days["first"],
        end_date=(horizon + dt.timedelta(days=1)).isoformat(),
        timezone=TIMEZONES[market],
        end_offset=1,
        exclusions=[*(WEEKEND if days["has_weekends"] else ()), *closed],
    )


@functools.lru_cache(maxsize=8)
def market_partitions(settings: Settings) -> Mapping[str, dg.DailyPartitionsDefinition]:
    """The partitions of every ingested market, under the catalog of the home.

    The closed days are kept in a file of the Dagster home, because computing them costs more than all else that
    loading the definitions does.
    """
    catalog = load_catalog(settings.home)
    path = settings.dagster_home / f"closed-days-{_fingerprint(catalog)}.json"
    known = _read(path)
    if known is None:
        known = {market: calendar_days(catalog, market) for market in INGEST_MARKETS}
        # Only a cache: a home that cannot be written to is no reason not to load.
        with contextlib.suppress(OSError):
            write_over(path, json.dumps(known).encode())
    return {market: session_partitions(market, known[market]) for market in INGEST_MARKETS}


def calendar_days(catalog: Catalog, market: str) -> dict[str, Any]:
    """What the calendar of a market says, as `CalendarDays`."""
    from rally_pipeline.sessions import Calendars

    calendars = Calendars.from_catalog(catalog)
    first, horizon = calendars.first_day(market), calendars.horizon(market)
    sessions = set(calendars.known_sessions(market, first, horizon))
    has_weekends = all(day.weekday() < 5 for day in sessions)
    days = (first + dt.timedelta(days=number) for number in range((horizon - first).days + 1))
    closed = [day.isoformat() for day in days if day not in sessions and not (has_weekends and day.weekday() >= 5)]
    return {"first": first.isoformat(), "horizon": horizon.isoformat(), "has_weekends": has_weekends, "closed": closed}


def _fingerprint(catalog: Catalog) -> str:
    entries: Sequence[Any] = (*catalog.calendar_overrides, *catalog.calendar_extensions)
    said = [version("exchange_calendars"), _REVISION, [entry.model_dump(mode="json") for entry in entries]]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) and set(known) == set(INGEST_MARKETS) else None
