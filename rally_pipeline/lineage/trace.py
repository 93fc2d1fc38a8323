"""From a row to the bytes it came from: what decided it, the facts that entered, their payloads, verified.

Belongs here: the walk, and what is found of payloads. Does not belong here: which rows decided (`decisive.py`), how it
is shown (`trace_view.py`). Nothing is parsed: of a payload that is damaged only the damage is told.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from rally_pipeline import fetches
from rally_pipeline.archive import FetchRecord
from rally_pipeline.asof import condition, known_table
from rally_pipeline.errors import ArchiveDamagedError, UsageError
from rally_pipeline.excerpt import Line, excerpt, visible
from rally_pipeline.lineage.decisive import DECIDERS
from rally_pipeline.lineage.known import Known, Row
from rally_pipeline.marts.refresh import DERIVED
from rally_pipeline.schema import core, metadata, ops, raw, table_info
from rally_pipeline.schema.declare import VERSION_COLUMNS
from rally_pipeline.sources.base import Dataset
from rally_pipeline.workspace import Workspace

_OFFSET = re.compile(r"@(\d+)$")
#: Characters of a note's text that are shown around a place.
_AROUND = 200


@dataclass(frozen=True)
class Link:
    """Why a row is named: its number, as what it decided, which columns of the other, and by which of its own
    (empty = all).
    """

    role: str
    row: int
    decides: tuple[str, ...]
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Gone:
    """A row that was used once and is no longer there, or none of the warehouse."""

    role: str
    table: str
    key: str


@dataclass(frozen=True)
class Version:
    """A version of a fact: since when and until when (exclusive; ``None`` = still) it was believed, and its payload."""

    known_from_at: dt.datetime
    known_to_at: dt.datetime | None
    payload_id: str


@dataclass
class TracedRow:
    """A row on the way.

    Attributes:
        number: its place in `Trace.rows`; the row asked for is 0.
        table: its table.
        key: its natural key.
        values: its other columns, less version and provenance.
        version: which version it is, of a fact; ``None`` of a computed row.
        versions: all versions of the fact, oldest first.
        locator: where in the payload it stands; empty of a computed row.
        is_reference: whether it is written from catalog or calendars.
        inputs: the rows that decided it.
        gone: what else did, and is not there.
        lines: the part of the payload it stands in, where it was asked for.
    """

    number: int
    table: str
    key: dict[str, Any]
    values: dict[str, Any]
    version: Version | None = None
    versions: tuple[Version, ...] = ()
    locator: str = ""
    is_reference: bool = False
    inputs: list[Link] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class TracedPayload:
    """A payload: the fetch that brought it first, how often it came, and what is wrong with its bytes (empty = their
    SHA-256 is the one under which they were stored).
    """

    payload_id: str
    fetch: FetchRecord | None
    deliveries: int
    damage: str


@dataclass(frozen=True)
class Trace:
    """The way from a row to its payloads.

    Attributes:
        rows: the row asked for, then what decided it, breadth first; each row once.
        payloads: of the facts among them, in the same order.
        at: as known when; ``None`` = now.
        behind: computed tables on the way that still have something to compute.
    """

    rows: tuple[TracedRow, ...]
    payloads: tuple[TracedPayload, ...]
    at: dt.datetime | None
    behind: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every payload is as it was stored."""
        return not any(payload.damage for payload in self.payloads)


def trace(
    workspace: Workspace,
    table_name: str,
    conditions: Sequence[str],
    *,
    at: dt.datetime | None = None,
    columns: Sequence[str] = (),
    show_lines: bool = False,
) -> Trace:
    """Follows one row to its payloads and verifies them.

    Args:
        workspace: warehouse and archive.
        table_name: a core or mart table.
        conditions: ``COLUMN=VALUE``; together they must fit one row.
        at: aware instant; the row and all it was decided by as known then.
        columns: only what decided these columns.
        show_lines: whether the parts of the payloads are wanted.

    Raises:
        UsageError: no such table or column, or no row or several fit.
    """
    table = known_table(table_name)
    for name in columns:
        if name not in table.c:
            raise UsageError(f"--column {name}: {table.name} has the columns {', '.join(table.c.keys())}.")
    with workspace.warehouse.read(scratch=at is not None) as connection:
        known = Known(connection, at)
        first = _the_row(known, table, conditions)
        rows = _walk(known, table, first, frozenset(columns) or frozenset(table.c.keys()))
        payloads = _payloads(workspace, connection, rows)
        if show_lines:
            _add_lines(workspace, known, rows, payloads)
        behind = _behind(connection, rows) if at is None else ()
    return Trace(tuple(rows), tuple(payloads), at, behind)


def _the_row(known: Known, table: sa.Table, conditions: Sequence[str]) -> Row:
    key = table_info(table).natural_key
    hint = f"Fix: name one by its key, {' '.join(f'{name}=…' for name in key)}."
    if not conditions:
        raise UsageError(f"which row of {table.name}? {hint}")
    try:
        wanted = dict(condition(table, text, "") for text in conditions)
    except UsageError as error:
        raise UsageError(f"{error} {hint}") from None
    if "known_from_at" in wanted and table_info(table).versioned:
        # a version is named, be it believed or not
        query = sa.select(table).where(*(table.c[name] == value for name, value in wanted.items())).limit(2)
        found: list[Row] = [dict(row) for row in known.connection.execute(query).mappings()]
    else:
        found = known.rows(table.name, limit=3, **wanted)
    if len(found) != 1:
        said = " ".join(conditions)
        when = f" as known at {known.at:%Y-%m-%dT%H:%M:%SZ}" if known.at else ""
        many = "no row" if not found else "several rows"
        raise UsageError(f"{many} of {table.name} with {said}{when}. {hint}")
    return found[0]


def _walk(known: Known, table: sa.Table, first: Row, columns: frozenset[str]) -> list[TracedRow]:
    rows: list[TracedRow] = []
    numbers: dict[tuple[Any, ...], int] = {}
    done: dict[int, frozenset[str]] = {}
    found: dict[int, Row] = {}
    #: Rows with columns of which it is to be found out what decided them.
    todo: deque[tuple[int, frozenset[str]]] = deque()

    def number_of(name: str, row: Row) -> int:
        made = metadata.tables[name]
        identity = (name, *(row[c.name] for c in made.primary_key.columns))
        if identity not in numbers:
            numbers[identity] = len(rows)
            rows.append(_traced(known.connection, len(rows), made, row))
            found[numbers[identity]] = row
            done[numbers[identity]] = frozenset()
        return numbers[identity]

    todo.append((number_of(table.name, first), columns))
    while todo:
        number, wanted = todo.popleft()
        wanted -= done[number]
        one = rows[number]
        decide = DECIDERS.get(one.table)
        if not wanted or decide is None:
            continue
        done[number] |= wanted
        for cited in decide(known, found[number], wanted):
            if cited.row is None:
                one.gone.append(Gone(cited.role, cited.table, cited.key))
                continue
            other = number_of(cited.table, cited.row)
            # columns as the tables have them: some deciders name them by sets, which have no order
            decides = tuple(name for name in found[number] if name in cited.decides)
            uses = tuple(name for name in cited.row if name in cited.uses)
            one.inputs.append(Link(cited.role, other, decides, uses))
            todo.append((other, frozenset(cited.uses) or frozenset(cited.row)))
    return rows


def _traced(connection: sa.Connection, number: int, table: sa.Table, row: Row) -> TracedRow:
    info = table_info(table)
    key = {name: row[name] for name in info.natural_key}
    hidden = {*key, *(VERSION_COLUMNS if info.versioned else ())}
    values = {c.name: row[c.name] for c in table.columns if c.name not in hidden}
    traced = TracedRow(number, table.name, key, values, is_reference=table in core.REFERENCE)
    if info.versioned:
        query = (
            sa.select(table.c.known_from_at, table.c.known_to_at, table.c.payload_id)
            .where(*(table.c[name] == value for name, value in key.items()))
            .order_by(table.c.known_from_at)
        )
        traced.versions = tuple(Version(*version) for version in connection.execute(query))
        traced.version = Version(row["known_from_at"], row["known_to_at"], row["payload_id"])
        traced.locator = row["locator"]
    return traced


def _payloads(workspace: Workspace, connection: sa.Connection, rows: Iterable[TracedRow]) -> list[TracedPayload]:
    found: dict[str, TracedPayload] = {}
    for row in rows:
        if row.version is None or row.version.payload_id in found:
            continue
        payload_id = row.version.payload_id
        records = fetches.records_where(connection, raw.raw_fetch.c.payload_id == payload_id)
        # The same bytes may have come more than once: it was the delivery of that time that was merged.
        fitting = [record for record in records if record.known_at == row.version.known_from_at] or records
        damage = ""
        try:
            workspace.archive.read(payload_id)
        except ArchiveDamagedError as error:
            damage = str(error)
        found[payload_id] = TracedPayload(payload_id, fitting[0] if fitting else None, len(records), damage)
    return list(found.values())


def _add_lines(
    workspace: Workspace, known: Known, rows: Sequence[TracedRow], payloads: Sequence[TracedPayload]
) -> None:
    for payload in payloads:
        if payload.damage:
            continue
        standing = [row for row in rows if row.version is not None and row.version.payload_id == payload.payload_id]
        if payload.fetch is not None and payload.fetch.request.dataset is Dataset.NOTE:
            for row in standing:
                row.lines = _note_lines(known, row)
            continue
        body = workspace.archive.read(payload.payload_id)
        for row in standing:
            days = [value.isoformat() for value in row.key.values() if isinstance(value, dt.date)]
            row.lines = tuple(excerpt(body, row.locator, days))


def _note_lines(known: Known, row: TracedRow) -> tuple[Line, ...]:
    """Of a note the words in its canonical text: the document itself need not be text."""
    note_id = row.key.get("note_id") or row.values.get("note_id")
    note = known.one("core_note", note_id=note_id) if note_id else None
    if note is None:
        return ()
    text = note["text"]
    start, end = row.key.get("start_offset", row.values.get("start_offset")), row.values.get("end_offset")
    if start is None:
        place = _OFFSET.search(row.locator)
        start = int(place[1]) if place else 0
        end = min(len(text), start + _AROUND)
    assert end is not None
    around = ((max(0, start - _AROUND), start, False), (start, end, True), (end, min(len(text), end + _AROUND), False))
    return tuple(
        Line(f"text {first}–{last}", visible(" ".join(text[first:last].split())), is_target)
        for first, last, is_target in around
        if text[first:last].strip()
    )


def _behind(connection: sa.Connection, rows: Iterable[TracedRow]) -> tuple[str, ...]:
    computed = {derived.table.name for derived in DERIVED} & {row.table for row in rows}
    stale = set(connection.scalars(sa.select(ops.ops_stale.c.table_name).distinct()))
    return tuple(sorted(computed & stale))


def trace_json(traced: Trace) -> dict[str, Any]:
    """JSON types: the rows with links by number, and the payloads."""
    return {
        "table": traced.rows[0].table,
        "key": _plain(traced.rows[0].key),
        "as_of": _plain(traced.at),
        "behind": list(traced.behind),
        "is_verified": traced.ok,
        "rows": [_row_json(row) for row in traced.rows],
        "payloads": [_payload_json(payload) for payload in traced.payloads],
    }


def _row_json(row: TracedRow) -> dict[str, Any]:
    facts = {}
    if row.version is not None:
        facts = {
            "known_from_at": _plain(row.version.known_from_at),
            "known_to_at": _plain(row.version.known_to_at),
            "payload_id": row.version.payload_id,
            "locator": row.locator,
            "versions": [
                {name: _plain(getattr(one, name)) for name in ("known_from_at", "known_to_at", "payload_id")}
                for one in row.versions
            ],
        }
    lines = [{"where": line.where, "text": line.text, "is_row": line.is_target} for line in row.lines]
    return {
        "number": row.number,
        "table": row.table,
        "key": _plain(row.key),
        "values": _plain(row.values),
        "is_reference": row.is_reference,
        **facts,
        "inputs": [
            {"role": link.role, "row": link.row, "decides": list(link.decides), "uses": list(link.uses)}
            for link in row.inputs
        ],
        "gone": [{"role": gone.role, "table": gone.table, "key": gone.key} for gone in row.gone],
        **({"payload_lines": lines} if lines else {}),
    }


def _payload_json(payload: TracedPayload) -> dict[str, Any]:
    return {
        "payload_id": payload.payload_id,
        "is_verified": not payload.damage,
        "damage": payload.damage,
        "deliveries": payload.deliveries,
        "fetch": payload.fetch.to_json() if payload.fetch else None,
    }


def _plain(value: Any) -> Any:
    from rally_pipeline.console import plain

    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return plain(value)
