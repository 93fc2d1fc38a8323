"""What ought to be told of a simulated time, worked out from its script and from what the upstreams saw alone.

Nothing of the product's books is read: a source fails from the first request it did not answer to the first it did; a
session is missing if no source that shows it had been asked by twelve hours after its close; a mart is stale if three
sessions in a row are. Belongs here: that. Does not belong here: the script, or driving (`simulated.py`).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rally_pipeline_tests.simulated import Ask, LivingUpstream, Seen

#: As the documentation says: told when so late, behind by more than so many sessions, told again after so long.
LATE, STALE_SESSIONS, REMIND = dt.timedelta(hours=12), 2, dt.timedelta(days=3)
HEARTBEAT_HOUR = 6
#: Marts with a row for each session, by market.
_INDEX_MARTS = ("mart_index_performance_daily", "mart_price_extremes_daily", "mart_trading_volume_daily")
MARTS: Mapping[str, Sequence[str]] = {
    "HK": _INDEX_MARTS[:2],  # nobody says how many shares of the Hang Seng Index were traded
    "US": _INDEX_MARTS,
    "SOUTHBOUND": ("mart_hot_money_daily", "mart_southbound_daily"),
}


@dataclass(frozen=True, order=True)
class Told:
    """A notice: when, problem, reminder, recovered or heartbeat, of which kind, about what."""

    at: dt.datetime
    stage: str
    kind: str
    problem: str

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} UTC  {self.stage:<10}{self.kind:<17}{self.problem}"


def expected(
    upstream: LivingUpstream, looks: Sequence[Seen], sources: Mapping[str, Sequence[str]], first: dt.date
) -> list[Told]:
    """All notices that the looks should have led to, in order.

    Args:
        upstream: what was asked of it, and from when on it shows a session.
        looks: when somebody looked.
        sources: market → those whose figures count.
        first: no session before this day was ever asked for.
    """
    told: list[Told] = []
    standing: dict[tuple[str, str], tuple[dt.datetime, dt.datetime]] = {}
    last_heartbeat = dt.date.min
    answered: dict[tuple[str, str], list[dt.datetime]] = defaultdict(list)
    failing: set[tuple[str, str]] = set()
    done = 0
    for look in looks:
        for asks in _runs(upstream.asks[done : look.asks]):
            _count(asks, answered, failing)
        done = look.asks
        missing = {
            market: list(_missing(upstream, look, market, sources[market], answered, first)) for market in sources
        }
        now = {("failing_source", f"{market} {source}") for market, source in failing}
        now |= {("missing_session", f"{market} {day}") for market, days in missing.items() for day in days}
        now |= {
            ("stale_mart", f"{mart} {market}")
            for market, marts in MARTS.items()
            if _newest_missing(look, market, missing[market], first) > STALE_SESSIONS
            for mart in marts
        }
        for problem in sorted(now - set(standing)):
            told.append(Told(look.at, "problem", *problem))
            standing[problem] = look.at, look.at
        for problem in sorted(set(standing) - now):
            told.append(Told(look.at, "recovered", *problem))
            del standing[problem]
        for problem, (since, last) in list(standing.items()):
            if look.at - last >= REMIND:
                told.append(Told(look.at, "reminder", *problem))
                standing[problem] = since, look.at
        if look.at.hour >= HEARTBEAT_HOUR and look.at.date() > last_heartbeat:
            last_heartbeat = look.at.date()
            told.append(Told(look.at, "heartbeat", "heartbeat", str(last_heartbeat)))
    return sorted(told)


def _runs(asks: Sequence[Ask]) -> Iterator[list[Ask]]:
    """What was asked at one time of one market, which is one run."""
    found: dict[tuple[dt.datetime, str], list[Ask]] = defaultdict(list)
    for ask in asks:
        found[ask.at, ask.market].append(ask)
    yield from found.values()


def _count(
    asks: Sequence[Ask], answered: dict[tuple[str, str], list[dt.datetime]], failing: set[tuple[str, str]]
) -> None:
    for source in {ask.source for ask in asks}:
        mine = [ask for ask in asks if ask.source == source]
        key = mine[0].market, source
        if any(ask.status in (403, 429) or ask.status >= 500 for ask in mine):
            failing.add(key)
        elif any(ask.has_data for ask in mine):
            failing.discard(key)
        if any(ask.has_data for ask in mine):
            answered[key].append(mine[0].at)


def _missing(
    upstream: LivingUpstream,
    look: Seen,
    market: str,
    sources: Sequence[str],
    answered: Mapping[tuple[str, str], Sequence[dt.datetime]],
    first: dt.date,
) -> Iterator[dt.date]:
    for day in look.calendars.known_sessions(market, first + dt.timedelta(days=1), look.at.date()):
        if look.calendars.session(market, day).close_at + LATE > look.at:
            continue
        shown = [(source, upstream.available_at(market, source, day)) for source in sources]
        if not any(at >= since for source, since in shown for at in answered[market, source][-400:]):
            yield day


def _newest_missing(look: Seen, market: str, missing: Sequence[dt.date], first: dt.date) -> int:
    """How many of the last sessions are missing, one after the other."""
    days = look.calendars.known_sessions(market, first, look.at.date())
    due = [day for day in days if look.calendars.session(market, day).close_at + LATE <= look.at]
    count = 0
    for day in reversed(due):
        if day not in missing:
            break
        count += 1
    return count
