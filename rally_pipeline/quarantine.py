"""The life of rows that were set aside: looked at, released, parsed again, or discarded.

``ops_quarantine`` is append-only, and so is ``ops_quarantine_action``: what a row is now follows from the last action
on it that came to something. Belongs here: selecting rows, what is known about one, the three actions. Does not belong
here: deciding what is set aside (`quality/`), loading (`ingest.py`) or printing (`cli.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from rally_pipeline import fetches, ingest
from rally_pipeline.archive import ActionRecord, FetchRecord
from rally_pipeline.errors import ArchiveDamagedError, UsageError
from rally_pipeline.excerpt import Line, excerpt
from rally_pipeline.load_log import note_change
from rally_pipeline.marts.refresh import Refreshed, refresh
from rally_pipeline.quality.rules import TABLES, rules_for
from rally_pipeline.schema import metadata, ops, raw, table_info
from rally_pipeline.workspace import Workspace

#: An action that put the row into core.
LOADED = "loaded"
#: Shortest beginning of a row id that is looked up.
_SHORTEST_ID = 4
#: Earlier days of the same thing that `explain` shows.
_DAYS_BEFORE = 5


class State(StrEnum):
    """What became of a row: nothing yet, it is in core after all, or a person said that it stays out."""

    OPEN = "open"
    RELEASED = "released"
    DISCARDED = "discarded"


@dataclass(frozen=True)
class Action:
    """What a person did with a row. ``outcome`` is `LOADED` if the row is in core since."""

    action: str
    reason: str
    acted_by: str
    acted_at: dt.datetime
    outcome: str


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that broke a rule, once per rule.

    Attributes:
        row_id: short hash of fetch, table, key and rule: the same wherever it is computed.
        fetch_id, table, row_key, rule: what it is, as in ``ops_quarantine``.
        values: the row as it was parsed, in JSON types.
        payload_id, locator: where it stands.
        first_seen_at: when it was set aside; aware, UTC.
        source, subject, run_id: of the fetch.
        actions: what was done with it, oldest first.
    """

    row_id: str
    fetch_id: str
    table: str
    row_key: str
    rule: str
    values: dict[str, Any]
    payload_id: str
    locator: str
    first_seen_at: dt.datetime
    source: str
    subject: str
    run_id: str | None
    actions: tuple[Action, ...] = ()

    @property
    def state(self) -> State:
        """What follows from the actions."""
        state = State.OPEN
        for action in self.actions:
            if action.action == "discard":
                state = State.DISCARDED
            elif action.outcome == LOADED:
                state = State.RELEASED
        return state


@dataclass(frozen=True)
class Selection:
    """Which rows: all that meet every condition given; ``row_ids`` may be beginnings of ids."""

    row_ids: tuple[str, ...] = ()
    table: str | None = None
    rule: str | None = None
    since: dt.datetime | None = None
    run_id: str | None = None
    state: State | None = None


@dataclass(frozen=True)
class Explained:
    """What can be said about a row.

    Attributes:
        row: the row.
        rule_text: what must hold; empty if today's gate has no such rule.
        request: what was asked, and when it was answered and known.
        lines: the part of the payload around it.
        known: believed values of the same key, from any source.
        before: believed values of the same thing from the same source on the days before, latest first.
    """

    row: QuarantinedRow
    rule_text: str
    request: dict[str, Any]
    lines: tuple[Line, ...]
    known: tuple[dict[str, Any], ...]
    before: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class RowOutcome:
    """What an action did to one row. ``ok`` is whether the row now is what was asked for."""

    row: QuarantinedRow
    outcome: str
    ok: bool


@dataclass(frozen=True)
class ActionReport:
    """What an action did: to each row, and to the marts."""

    action: str
    rows: tuple[RowOutcome, ...]
    refreshed: tuple[Refreshed, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether every row is now what was asked for."""
        return all(row.ok for row in self.rows)


def row_id(fetch_id: str, table: str, row_key: str, rule: str) -> str:
    """The short id of a quarantined row: twelve hexadecimal digits."""
    identity = json.dumps([fetch_id, table, row_key, rule], ensure_ascii=False)
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def read_rows(connection: sa.Connection, selection: Selection | None = None) -> list[QuarantinedRow]:
    """The selected rows, latest first.

    Raises:
        UsageError: an id is too short, unknown or not unique.
    """
    wanted = selection or Selection()
    table, fetch = ops.ops_quarantine, raw.raw_fetch
    query = (
        sa.select(table, fetch.c.source, fetch.c.subject, fetch.c.run_id)
        .join(fetch, fetch.c.fetch_id == table.c.fetch_id)
        .order_by(table.c.first_seen_at.desc(), table.c.table_name, table.c.row_key, table.c.rule, table.c.fetch_id)
    )
    if wanted.table is not None:
        query = query.where(table.c.table_name == wanted.table)
    if wanted.rule is not None:
        query = query.where(table.c.rule == wanted.rule)
    if wanted.since is not None:
        query = query.where(table.c.first_seen_at >= wanted.since)
    if wanted.run_id is not None:
        query = query.where(fetch.c.run_id == wanted.run_id)
    actions = _actions(connection)
    rows = [_row(found, actions) for found in connection.execute(query).mappings()]
    if wanted.row_ids:
        rows = _with_ids(rows, wanted.row_ids)
    return [row for row in rows if wanted.state is None or row.state is wanted.state]


def select(workspace: Workspace, selection: Selection | None = None) -> list[QuarantinedRow]:
    """`read_rows` in a transaction of its own."""
    with workspace.warehouse.read() as connection:
        return read_rows(connection, selection)


def _row(found: Any, actions: dict[tuple[str, ...], list[Action]]) -> QuarantinedRow:
    identity = (found["fetch_id"], found["table_name"], found["row_key"], found["rule"])
    return QuarantinedRow(
        row_id(*identity),
        *identity,
        values=json.loads(found["row_json"]),
        payload_id=found["payload_id"],
        locator=found["locator"],
        first_seen_at=found["first_seen_at"],
        source=found["source"],
        subject=found["subject"],
        run_id=found["run_id"],
        actions=tuple(actions.get(identity, ())),
    )


def _actions(connection: sa.Connection) -> dict[tuple[str, ...], list[Action]]:
    table = ops.ops_quarantine_action
    done: dict[tuple[str, ...], list[Action]] = defaultdict(list)
    for row in connection.execute(sa.select(table).order_by(table.c.acted_at, table.c.action_id)).mappings():
        identity = (row["fetch_id"], row["table_name"], row["row_key"], row["rule"])
        done[identity].append(Action(row["action"], row["reason"], row["acted_by"], row["acted_at"], row["outcome"]))
    return done


def _with_ids(rows: Sequence[QuarantinedRow], ids: Iterable[str]) -> list[QuarantinedRow]:
    chosen: dict[str, QuarantinedRow] = {}
    for text in ids:
        beginning = text.strip().lower()
        if len(beginning) < _SHORTEST_ID:
            raise UsageError(f"row id {text!r} is too short. Fix: give at least {_SHORTEST_ID} digits of it.")
        found = [row for row in rows if row.row_id.startswith(beginning)]
        if not found:
            raise UsageError(f"there is no row {text!r} in quarantine. Fix: see rally-pipeline quarantine list.")
        if len(found) > 1:
            raise UsageError(
                f"row id {text!r} fits {len(found)} rows: {', '.join(row.row_id for row in found[:5])}. "
                "Fix: give more digits."
            )
        chosen[found[0].row_id] = found[0]
    return list(chosen.values())


def explain(workspace: Workspace, wanted: str) -> Explained:
    """Everything that is known about a row.

    Raises:
        UsageError: there is no such row, or several.
        ArchiveDamagedError: the archived bytes are not those that were stored.
    """
    with workspace.warehouse.read() as connection:
        (row,) = read_rows(connection, Selection(row_ids=(wanted,)))
        (record,) = fetches.fetch_records(connection, [row.fetch_id])
        known, before = _believed(connection, row, record)
    days = [str(value)[:10] for name, value in row.values.items() if name.endswith(("_date", "_start")) and value]
    lines = excerpt(workspace.archive.read(row.payload_id), row.locator, days)
    request = record.request
    return Explained(
        row,
        _rule_text(row),
        {
            "fetch_id": record.fetch_id,
            "payload_id": record.payload_id,
            "source": request.source,
            "subject": request.subject,
            "url": request.url,
            "params": request.params,
            "start": request.start,
            "end": request.end,
            "fetched_at": record.fetched_at,
            "known_at": record.known_at,
            "run_id": record.run_id,
        },
        tuple(lines),
        known,
        before,
    )


def _rule_text(row: QuarantinedRow) -> str:
    dataset = next((d for d, table in TABLES.items() if table.name == row.table), None)
    rules = rules_for(dataset) if dataset is not None else ()
    return next((info.description for info in rules if info.rule == row.rule), "")


def _believed(
    connection: sa.Connection, row: QuarantinedRow, record: FetchRecord
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    table = metadata.tables[row.table]
    info = table_info(table)
    day = table.c[info.date_column] if info.date_column else None
    key = {}
    for column in table.primary_key.columns:
        value = row.values.get(column.name)
        if value is not None:
            key[column] = dt.date.fromisoformat(str(value)[:10]) if isinstance(column.type, sa.Date) else value
    believed = sa.select(table).where(table.c.known_to_at.is_(None))
    same = believed.where(*(column == value for column, value in key.items()))
    known = tuple(dict(found) for found in connection.execute(same.limit(20)).mappings())
    if day is None or day not in key:
        return known, ()
    earlier = believed.where(
        *(column == value for column, value in key.items() if column is not day),
        table.c.source == record.request.source,
        day < key[day],
    )
    found = connection.execute(earlier.order_by(day.desc()).limit(_DAYS_BEFORE)).mappings()
    return known, tuple(dict(entry) for entry in found)


def release(
    workspace: Workspace,
    rows: Sequence[QuarantinedRow],
    reason: str,
    progress: Callable[[str], None] = lambda _: None,
) -> ActionReport:
    """Loads rows although they break their rule; one that breaks another rule too stays out until that is released.

    A released row counts as part of its payload whenever the payload is loaded again.

    Raises:
        UsageError: there is no reason.
    """
    return _load_again(workspace, "release", rows, reason, progress)


def replay(
    workspace: Workspace,
    rows: Sequence[QuarantinedRow],
    reason: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> ActionReport:
    """Parses the archived payloads of the rows again with today's code and catalog, and loads what passes now."""
    return _load_again(workspace, "replay", rows, reason or "read again with today's code", progress)


def discard(workspace: Workspace, rows: Sequence[QuarantinedRow], reason: str) -> ActionReport:
    """Marks rows as rightly kept out. A row that was released is in core, and no mark takes it out again.

    Raises:
        UsageError: there is no reason.
    """
    _need(reason)
    done = []
    with workspace.warehouse.write() as connection:
        for row in _as_they_are(connection, rows):
            if row.state is State.DISCARDED:
                done.append(RowOutcome(row, "already discarded", True))
            elif row.state is State.RELEASED:
                done.append(RowOutcome(row, "not discarded: it was released and is in core", False))
            else:
                done.append(RowOutcome(row, "stays out", True))
        _write(connection, workspace, "discard", reason, [r for r in done if r.row.state is State.OPEN])
    return ActionReport("discard", tuple(done))


def _as_they_are(connection: sa.Connection, rows: Sequence[QuarantinedRow]) -> list[QuarantinedRow]:
    """The rows with what has been done with them by now: somebody else may have been quicker."""
    actions = _actions(connection)
    return [
        dataclasses.replace(row, actions=tuple(actions.get((row.fetch_id, row.table, row.row_key, row.rule), ())))
        for row in rows
    ]


def _load_again(
    workspace: Workspace,
    action: str,
    rows: Sequence[QuarantinedRow],
    reason: str,
    progress: Callable[[str], None],
) -> ActionReport:
    _need(reason)
    with workspace.warehouse.read() as connection:
        rows = _as_they_are(connection, rows)
    done = [RowOutcome(row, "already released", True) for row in rows if row.state is State.RELEASED]
    waiting: dict[str, list[QuarantinedRow]] = defaultdict(list)
    for row in rows:
        if row.state is State.OPEN or (row.state is State.DISCARDED and action == "release"):
            waiting[row.fetch_id].append(row)
        elif row.state is State.DISCARDED:
            done.append(RowOutcome(row, "discarded before; not read again", True))
    with workspace.warehouse.read() as connection:
        records = fetches.fetch_records(connection, list(waiting))
        if action == "release":
            _add_earlier(waiting, read_rows(connection))
    # In the order of the clock, so that what was known later is also merged later.
    for number, record in enumerate(records, start=1):
        progress(f"{number} of {len(records)}: {record.request.source} {record.request.subject}")
        chosen = waiting[record.fetch_id]
        # What was released before, the load knows itself.
        released = frozenset((row.row_key, row.rule) for row in chosen) if action == "release" else frozenset()
        outcomes = _load_one(workspace, record, chosen, released)
        done += outcomes
        # After the load and not with it: killed in between, the row is in core and still shown as open, and doing
        # the same again only writes down that it was done.
        with workspace.warehouse.write() as connection:
            _write(connection, workspace, action, reason, outcomes)
    progress("computing marts")
    with workspace.warehouse.write() as connection:
        refreshed = refresh(connection, progress=lambda mart: progress(f"computed {mart.table}"))
    return ActionReport(action, tuple(done), tuple(refreshed))


def _add_earlier(waiting: dict[str, list[QuarantinedRow]], rows: Sequence[QuarantinedRow]) -> None:
    """Adds what was released before in vain: a row that breaks two rules enters when both have been released."""
    chosen = {row.row_id for found in waiting.values() for row in found}
    keys = {(row.fetch_id, row.table, row.row_key) for found in waiting.values() for row in found}
    for row in rows:
        if row.row_id in chosen or row.state is not State.OPEN or (row.fetch_id, row.table, row.row_key) not in keys:
            continue
        if any(action.action == "release" for action in row.actions):
            waiting[row.fetch_id].append(row)


def _load_one(
    workspace: Workspace, record: FetchRecord, rows: Sequence[QuarantinedRow], released: frozenset[tuple[str, str]]
) -> list[RowOutcome]:
    try:
        outcome = ingest.load(workspace, record, released=released)
    except ArchiveDamagedError as error:
        return [RowOutcome(row, f"not read: {error}", False) for row in rows]
    if not outcome.is_loaded:
        return [RowOutcome(row, f"payload refused: {outcome.message}", False) for row in rows]
    aside = outcome.set_aside
    return [
        RowOutcome(row, f"still set aside by {', '.join(sorted(rules))}", False)
        if (rules := aside.get((row.table, row.row_key)))
        else RowOutcome(row, LOADED, True)
        for row in rows
    ]


def _need(reason: str) -> None:
    if not reason.strip():
        raise UsageError("a reason is needed: whoever reads the row later will ask why. Fix: give --reason TEXT.")


def _write(
    connection: sa.Connection, workspace: Workspace, action: str, reason: str, outcomes: Sequence[RowOutcome]
) -> None:
    now, user = dt.datetime.now(dt.UTC), workspace.settings.acting_user
    records = []
    for outcome in outcomes:
        row = outcome.row
        said = [row.fetch_id, row.table, row.row_key, row.rule, action, reason, user, now.isoformat()]
        records.append(
            ActionRecord(
                action_id=hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest(),
                fetch_id=row.fetch_id,
                table_name=row.table,
                row_key=row.row_key,
                rule=row.rule,
                action=action,
                reason=reason.strip(),
                acted_by=user,
                acted_at=now,
                outcome=outcome.outcome,
            )
        )
    # First to the archive, from which a warehouse is built again: what was decided is part of what is believed.
    for record in records:
        workspace.archive.store_action(record)
    write_actions(connection, records)


def write_actions(connection: sa.Connection, records: Sequence[ActionRecord]) -> None:
    """Writes down in the warehouse what was done with rows, within the caller's transaction."""
    if records:
        note_change(connection, dt.datetime.now(dt.UTC))
        rows = [dataclasses.asdict(record) for record in records]
        connection.execute(sa.insert(ops.ops_quarantine_action), rows)
