"""A second warehouse from the archive alone: every payload loaded again, every decision about a row applied again.

What is believed of a payload's rows is judged by what was known when it came, and a decision of a person comes after
that. So both are taken up in the order in which they happened: payloads by fetch time, decisions by their own. Facts
get the known times that the archive says, so late deliveries end where they belong. Belongs here: the order, and the
report. Does not belong here: loading (`ingest.py`), comparing the result (`comparison.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import sqlalchemy as sa
from pydantic import SecretStr

from rally_pipeline import ingest
from rally_pipeline.archive import ActionRecord, Archive, FetchRecord
from rally_pipeline.audit.store import AuditReport, audit_stored
from rally_pipeline.errors import ArchiveDamagedError, ProfileMismatchError, UsageError
from rally_pipeline.fetches import register
from rally_pipeline.marts.refresh import Refreshed, refresh
from rally_pipeline.quarantine import LOADED, write_actions
from rally_pipeline.schema import ops
from rally_pipeline.settings import Profile, Settings
from rally_pipeline.warehouse.engine import WarehouseError, normalise_url, open_warehouse
from rally_pipeline.warehouse.schema_version import read_statement, refuse_what_is_not_empty
from rally_pipeline.workspace import Workspace, open_workspace


@dataclass(frozen=True)
class RebuildReport:
    """What a rebuild did.

    Attributes:
        target: the new warehouse, without password.
        profile: demo or live.
        loaded, refused: how many payloads.
        damaged: payloads of which nothing was read, with what is wrong.
        actions: decisions about rows that were applied again.
        refreshed, audited: what was computed.
    """

    target: str
    profile: Profile
    loaded: int
    refused: int
    damaged: tuple[str, ...]
    actions: int
    refreshed: tuple[Refreshed, ...]
    audited: AuditReport

    @property
    def ok(self) -> bool:
        """Whether every payload could be read."""
        return not self.damaged

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.target} ({self.profile.value}): {self.loaded} payloads loaded, {self.refused} refused as before"
        if self.actions:
            yield f"{self.actions} decisions about rows in quarantine applied again"
        for damage in self.damaged:
            yield f"not read: {damage}"
        for mart in self.refreshed:
            yield f"computed {mart.table}: {mart.rows} rows"
        yield f"audited {self.audited.audited} claims"


def rebuild(
    settings: Settings,
    into: str,
    *,
    archive: Archive | None = None,
    tell: Callable[[str], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> RebuildReport:
    """Builds a warehouse from an archive. A damaged payload is told and left out; the others are loaded.

    Args:
        settings: give the catalog, and the profile where the archive does not say.
        into: URL of an empty database.
        archive: where the payloads are; default: that of the settings' home.
        tell: gets what `open_workspace` says.
        progress: gets a line for each payload and table.

    Raises:
        UsageError: the database is not empty, or there is nothing in the archive.
        ProfileMismatchError: ``RALLY_PROFILE`` is not the archive's profile.
        ArchiveDamagedError: a record of a fetch or of a decision cannot be read.
    """
    source = archive or Archive(settings.archive_dir)
    records = sorted(source.records(), key=lambda record: (record.fetched_at, record.known_at, record.payload_id))
    if not records:
        raise UsageError(f"{source.directory} holds no payloads. Fix: give --archive DIR, or set RALLY_HOME.")
    actions = source.actions()
    profile = _profile(settings, source)
    target = open_warehouse(into, lock_timeout_seconds=settings.lock_timeout_seconds)
    try:
        refuse_what_is_not_empty(target)
    finally:
        target.engine.dispose()
    made = settings.model_copy(update={"warehouse_url": SecretStr(into), "profile": profile})
    workspace = dataclasses.replace(open_workspace(made, tell), archive=source)
    try:
        return _rebuild(workspace, records, actions, progress)
    finally:
        workspace.warehouse.engine.dispose()


def _profile(settings: Settings, source: Archive) -> Profile:
    stated = source.profile
    if stated is None:
        return settings.profile or _profile_of_warehouse(settings) or Profile.LIVE
    if settings.profile is not None and settings.profile.value != stated:
        raise ProfileMismatchError(
            f"{source.directory} holds {stated} data and RALLY_PROFILE is {settings.profile.value}: the two never mix. "
            f"Fix: set RALLY_PROFILE={stated}, or give another archive."
        )
    return Profile(stated)


def _profile_of_warehouse(settings: Settings) -> Profile | None:
    """What the present warehouse was made with, where it is still there: archives of before did not say."""
    url = normalise_url(settings.resolved_warehouse_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return None  # opening it would make it
    warehouse = open_warehouse(settings.resolved_warehouse_url)
    try:
        with warehouse.read() as connection:
            if not sa.inspect(connection).has_table(ops.ops_warehouse.name):
                return None
            stated = read_statement(connection, "profile")
            return Profile(stated) if stated else None
    except WarehouseError:
        return None
    finally:
        warehouse.engine.dispose()


@dataclass
class _Counts:
    loaded: int = 0
    refused: int = 0
    actions: int = 0


def _rebuild(
    workspace: Workspace,
    records: Sequence[FetchRecord],
    actions: Sequence[ActionRecord],
    progress: Callable[[str], None],
) -> RebuildReport:
    counts, damaged = _Counts(), dict[str, str]()
    by_id = {record.fetch_id: record for record in records}
    waiting = deque(_batches(actions, by_id))
    for number, record in enumerate(records, start=1):
        request = record.request
        while waiting and waiting[0][0] < record.fetched_at:
            _act(workspace, waiting.popleft()[1], by_id, counts, damaged)
        progress(f"{number} of {len(records)}: {request.source} {request.subject}")
        with workspace.warehouse.write() as connection:
            register(connection, record)
        try:
            outcome = ingest.load(workspace, record)
        except ArchiveDamagedError as error:
            damaged[record.payload_id] = str(error)
            continue
        counts.loaded += outcome.is_loaded
        counts.refused += not outcome.is_loaded
    for _, batch in waiting:
        _act(workspace, batch, by_id, counts, damaged)
    progress("computing marts")
    with workspace.warehouse.write() as connection:
        refreshed = refresh(connection, progress=lambda mart: progress(f"computed {mart.table}"))
    progress("auditing claims")
    audited = audit_stored(workspace)
    return RebuildReport(
        workspace.warehouse.display_url,
        workspace.profile,
        counts.loaded,
        counts.refused,
        tuple(damaged.values()),
        counts.actions,
        tuple(refreshed),
        audited,
    )


def _batches(
    actions: Sequence[ActionRecord], known: dict[str, FetchRecord]
) -> list[tuple[dt.datetime, list[ActionRecord]]]:
    """Decisions made together about rows of one payload, each with its time, in order; rows that break two rules enter
    only together.

    A decision cannot come before the payload it is about, whatever the clocks said.
    """

    def moment(action: ActionRecord) -> tuple[dt.datetime, dt.datetime, str]:
        return max(action.acted_at, known[action.fetch_id].fetched_at), action.acted_at, action.fetch_id

    about = sorted((action for action in actions if action.fetch_id in known), key=moment)
    return [
        (when, sorted(group, key=attrgetter("action_id")))
        for (when, _, _), group in itertools.groupby(about, key=moment)
    ]


def _act(
    workspace: Workspace,
    batch: Sequence[ActionRecord],
    known: dict[str, FetchRecord],
    counts: _Counts,
    damaged: dict[str, str],
) -> None:
    """Applies a decision again, as it was written down: a row is in core again if it came into core then."""
    loaded = [action for action in batch if action.outcome == LOADED]
    record = known[batch[0].fetch_id]
    if loaded and record.payload_id not in damaged:
        released = frozenset((action.row_key, action.rule) for action in loaded if action.action == "release")
        ingest.load(workspace, record, released=released)
    with workspace.warehouse.write() as connection:
        write_actions(connection, batch)
    counts.actions += len(batch)
