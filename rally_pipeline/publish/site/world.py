"""What every page needs: the view of the warehouse, the day up to which is told, instruments, events, notes' names.

Belongs here: what several pages share. Does not belong here: what one page shows.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from rally_pipeline.publish.manifest import notice
from rally_pipeline.publish.site import formats
from rally_pipeline.schema import core, core_notes, mart, ops
from rally_pipeline.settings import Profile
from rally_pipeline.workspace import Workspace

Row = Mapping[str, Any]
Value = TypeVar("Value")

#: The leaderboard whose members the front page leads with; the technology index and the share the article asks about.
HEADLINE = "headline_indices"
TECH = "HSTECH.HK"
SHARE = "9988.HK"
#: Begins the ids of the reopenings after Lunar New Year.
LUNAR_NEW_YEAR = "lunar_new_year_"
#: Notes that get a page, the latest first; the warehouse has them all.
NOTE_PAGES = 400


@dataclass(frozen=True)
class Instrument:
    """An instrument as the site names it."""

    symbol: str
    name: str
    market: str
    currency: str
    kind: str
    leaderboard: str

    @property
    def unit(self) -> str:
        """Unit of its prices."""
        return formats.levels(self.kind, self.currency)


@dataclass(frozen=True)
class Event:
    """An event of the catalog; ``until`` ends a yearly one."""

    event_id: str
    name: str
    day: dt.date
    until: dt.date | None

    @property
    def short(self) -> str:
        """Its name without what the others of its kind share."""
        return self.name.replace("Reopening after ", "")


@dataclass(frozen=True)
class World:
    """What every page needs.

    Attributes:
        connection: one view of the warehouse for the whole site.
        as_of: last market day that is told about.
        days: days on which a headline index has a session, ascending, up to `as_of`.
        profile: whose data it is.
        instruments, events: of the catalog; events up to `as_of` that prices reach back to, ascending.
        made_at: when the site was written, UTC.
        stale: tables that are behind the facts.
        noted: ids of the notes that have a page.
    """

    connection: sa.Connection
    as_of: dt.date
    days: tuple[dt.date, ...]
    profile: Profile
    instruments: Mapping[str, Instrument]
    events: tuple[Event, ...]
    made_at: dt.datetime
    stale: tuple[str, ...] = ()
    noted: frozenset[str] = frozenset()

    @property
    def notice(self) -> str:
        """What must be said of the data; empty = nothing."""
        return notice(self.profile)

    def rows(self, query: sa.Select[Any]) -> list[Row]:
        """The rows of a select."""
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def name(self, symbol: str) -> str:
        """The name of an instrument, or its symbol."""
        return self.instrument(symbol).name

    def instrument(self, symbol: str) -> Instrument:
        """An instrument of the catalog; of one that was taken out and of which marts still speak, no more than the
        symbol is known.
        """
        return self.instruments.get(symbol) or Instrument(symbol, symbol, "", "", "share", "")

    def claim_link(self, note_id: str, claim_id: str) -> str:
        """Where a claim is shown in its note; empty if the note has no page."""
        return f"{note_page(note_id)}#claim-{claim_id[:12]}" if note_id in self.noted else ""

    def recent_events(self, count: int) -> tuple[Event, ...]:
        """The last events, latest first; of the yearly ones only the latest."""
        latest = [e for e in self.events if e.until is None or e.until > self.as_of]
        return tuple(reversed(latest[-count:]))


def open_world(workspace: Workspace, connection: sa.Connection, as_of: dt.date | None) -> World:
    """Reads what every page needs; without `as_of`, up to the last day with a session."""
    board = mart.mart_leaderboard_daily
    limit = min(as_of or workspace.today(), workspace.today())
    query = (
        sa.select(board.c.as_of_date)
        .where(board.c.leaderboard == HEADLINE, board.c.as_of_date <= limit)
        .distinct()
        .order_by(board.c.as_of_date)
    )
    days = tuple(connection.scalars(query))
    last = as_of or (days[-1] if days else limit)
    instruments = connection.execute(sa.select(core.core_instrument).order_by(core.core_instrument.c.symbol)).mappings()
    event = core.core_event
    events = connection.execute(sa.select(event).where(event.c.event_date <= last).order_by(event.c.event_date))
    first = days[0] if days else last
    return World(
        connection=connection,
        as_of=min(last, limit),
        days=days,
        profile=workspace.profile,
        instruments={
            row["symbol"]: Instrument(
                row["symbol"], row["name"], row["market"], row["currency"], row["kind"], row["leaderboard"] or ""
            )
            for row in instruments
        },
        events=tuple(
            Event(row["event_id"], row["name"], row["event_date"], row["until_date"])
            for row in events.mappings()
            if row["event_date"] > first
        ),
        made_at=workspace.now(),
        noted=frozenset(connection.scalars(paged_notes(min(last, limit), core_notes.core_note.c.note_id))),
        stale=tuple(
            connection.scalars(sa.select(ops.ops_stale.c.table_name).distinct().order_by(ops.ops_stale.c.table_name))
        ),
    )


class ByDay(Generic[Value]):
    """Values by ascending day, asked for as of any day."""

    def __init__(self, values: Iterable[tuple[dt.date, Value]]) -> None:
        pairs = list(values)
        self.days = [day for day, _ in pairs]
        self.values = [value for _, value in pairs]

    def at(self, day: dt.date) -> Value | None:
        """The last value on or before a day; ``None`` if there is none."""
        found = bisect.bisect_right(self.days, day)
        return self.values[found - 1] if found else None


def by_day(rows: Sequence[Row], key: Callable[[Row], Any], day: str = "session_date") -> dict[Any, ByDay[Row]]:
    """Rows in ascending order of their day, per key."""
    found: dict[Any, list[tuple[dt.date, Row]]] = {}
    for row in rows:
        found.setdefault(key(row), []).append((row[day], row))
    return {name: ByDay(pairs) for name, pairs in found.items()}


def paged_notes(as_of: dt.date, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """The last notes believed now that were written for a day up to `as_of`, latest first: those that get a page."""
    note = core_notes.core_note
    return (
        sa.select(*(columns or (note,)))
        .where(note.c.known_to_at.is_(None), note.c.as_of_date <= as_of)
        .order_by(note.c.as_of_date.desc(), note.c.note_id)
        .limit(NOTE_PAGES)
    )


def note_page(note_id: str) -> str:
    """File name of a note's page."""
    return f"note-{note_id[:16]}.html"


def note_title(row: Row) -> str:
    """What a note is called."""
    first_line = next((line.strip() for line in (row["text"] or "").splitlines() if line.strip()), "")
    title = " ".join((row["title"] or first_line or row["file_name"] or "untitled").split())
    return title if len(title) <= 120 else f"{title[:119]}…"


def note_house(row: Row) -> str:
    """Who wrote it, as far as it says."""
    return row["broker_text"] or row["newspaper"] or row["analyst"] or ""
