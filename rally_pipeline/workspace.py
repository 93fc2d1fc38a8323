"""Everything one run works with, opened together: settings, catalog, calendars, archive, warehouse.

Belongs here: opening and preparing. Does not belong here: what is done with it (`ingest.py`, `orchestration/`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from rally_pipeline.archive import Archive
from rally_pipeline.catalog import Catalog, load_catalog
from rally_pipeline.locks import Tell, say
from rally_pipeline.schema import ops
from rally_pipeline.sessions import Calendars
from rally_pipeline.settings import Profile, Settings
from rally_pipeline.sources.http import Upstream
from rally_pipeline.warehouse.engine import Warehouse, normalise_url, open_warehouse


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Workspace:
    """What a run works with. ``profile`` is the warehouse's own, settled by `open_workspace`; ``clock`` gives the
    present in UTC, by which it is decided what can be asked for and since when it is known.
    """

    settings: Settings
    catalog: Catalog
    calendars: Calendars
    archive: Archive
    warehouse: Warehouse
    profile: Profile
    clock: Callable[[], dt.datetime] = _utc_now

    def now(self) -> dt.datetime:
        """The present, aware and in UTC."""
        return self.clock()

    def today(self) -> dt.date:
        """The last day about which upstreams can be asked: the demo world has its own."""
        if self.profile is Profile.DEMO:
            from rally_pipeline.demo.anchors import WORLD_END

            return WORLD_END
        return self.now().date()

    @contextlib.contextmanager
    def one_view(self) -> Iterator[Workspace]:
        """The workspace with its warehouse as it is now, for a report of several parts."""
        with self.warehouse.one_view() as warehouse:
            yield dataclasses.replace(self, warehouse=warehouse)

    @contextlib.contextmanager
    def upstream(self) -> Iterator[Upstream]:
        """The door to all upstreams; in the demo profile, to the offline one, which it starts and stops."""
        settings = self.settings
        with contextlib.ExitStack() as stack:
            base = settings.upstream_base
            if self.profile is Profile.DEMO and base is None:
                from rally_pipeline.demo.prices import DemoWorld
                from rally_pipeline.demo.server import DemoUpstream

                world = DemoWorld(self.catalog, self.calendars)
                base = stack.enter_context(DemoUpstream(world=world)).base_url
            yield stack.enter_context(
                Upstream(
                    base=base,
                    timeout_seconds=settings.http_timeout_seconds,
                    max_bytes=int(settings.http_max_mebibytes * 2**20),
                    attempts=settings.http_attempts,
                    pace_seconds=settings.http_pace_seconds,
                    clock=self.clock,
                )
            )


def open_workspace(settings: Settings, tell: Tell = say) -> Workspace:
    """Opens all of it, makes or upgrades the warehouse, and writes the reference tables and the dictionary if they
    changed. If nothing is to be made or written, no writer is waited for.

    Args:
        settings: of the home.
        tell: gets a line for every change made to an existing warehouse, and when another writer is waited for.

    Raises:
        UsageError: a setting, the catalog or the warehouse's version or profile is wrong.
        WarehouseError: something is to be written, and another writer did not finish in time.
    """
    from rally_pipeline.lineage.upstream import definitions_hash
    from rally_pipeline.marts.refresh import mark_all_stale
    from rally_pipeline.warehouse import dictionary, reference
    from rally_pipeline.warehouse.schema_version import check_head, prepare

    catalog = load_catalog(settings.home)
    calendars = Calendars.from_catalog(catalog, kept_in=settings.cache_dir)
    warehouse = open_warehouse(
        settings.resolved_warehouse_url, lock_timeout_seconds=settings.lock_timeout_seconds, tell=tell
    )
    profile, remade = prepare(warehouse, settings.profile, tell)
    warehouse = dataclasses.replace(warehouse, guard=check_head)
    with warehouse.read() as connection:
        is_current = (
            not remade
            and reference.is_current(connection, catalog)
            and dictionary.is_current(connection, definitions_hash())
        )
    if not is_current:
        with warehouse.write() as connection:
            changed = reference.sync_reference(connection, catalog, calendars, force=bool(remade))
            if changed:
                mark_all_stale(connection)
            _sync_dictionary(connection, remade, tell)
    return Workspace(settings, catalog, calendars, Archive(settings.archive_dir), warehouse, profile)


def look_at(settings: Settings) -> Workspace | None:
    """The same for looking only: nothing is made, upgraded or written.

    ``None`` if there is no warehouse of this version yet; `open_workspace` makes it.
    """
    from rally_pipeline.warehouse.schema_version import HEAD, current_revision, read_statement

    url = normalise_url(settings.resolved_warehouse_url)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).exists()):
        return None
    warehouse = open_warehouse(settings.resolved_warehouse_url, lock_timeout_seconds=settings.lock_timeout_seconds)
    with warehouse.read() as connection:
        if current_revision(connection) != HEAD:
            return None
        profile = Profile(read_statement(connection, "profile") or Profile.LIVE.value)
    catalog = load_catalog(settings.home)
    calendars = Calendars.from_catalog(catalog)
    return Workspace(settings, catalog, calendars, Archive(settings.archive_dir), warehouse, profile)


def _sync_dictionary(connection: sa.Connection, remade: Collection[str], tell: Callable[[str], None]) -> None:
    from rally_pipeline.lineage.records import LineageError
    from rally_pipeline.lineage.upstream import definitions_hash, direct_upstream
    from rally_pipeline.warehouse.dictionary import sync_dictionary

    is_empty = any(table.name in remade for table in ops.DICTIONARY)
    try:
        sync_dictionary(connection, definitions_hash(), direct_upstream, force=is_empty)
    except LineageError as error:
        # It describes the numbers and makes none of them: tried again the next time.
        tell(f"the data dictionary was not written: {error}")
