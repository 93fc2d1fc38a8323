"""A home from a backup, on either engine: everything is read and checked before anything is written.

The home is made beside its place and moved there when it is whole; a home that is there already is moved aside, never
removed. A warehouse that is not a file of the home is filled in one transaction, and must be empty. What is computed is
restored too where it is still declared as it was, and else computed again at the next opening. Belongs here: the steps
and their order. Does not belong here: the format (`contents.py`).
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rally_pipeline.backup import contents, tables
from rally_pipeline.backup.contents import Backup, BackupError, Dumped
from rally_pipeline.errors import ProfileMismatchError, SchemaVersionError, UsageError
from rally_pipeline.schema import metadata, ops
from rally_pipeline.settings import Profile, Settings
from rally_pipeline.warehouse import schema_version
from rally_pipeline.warehouse.engine import Warehouse, normalise_url, open_warehouse

#: Begins the name of a home that is being restored.
RESTORING = ".restoring-"
#: Statements of a warehouse about itself that hold for one database; made anew, or by `rally-pipeline grant`.
_OF_THE_ENGINE = ("shape.", "comments", "readers")


@dataclass(frozen=True)
class Restored:
    """What restoring did.

    Attributes:
        backup: from what.
        home: where; ``None`` = it was only checked.
        warehouse: without password.
        moved_to: where the home lies that was there before.
        computed_again: tables that will be computed at the next opening, since they are declared otherwise now.
        seconds: how long it took.
    """

    backup: Backup
    home: Path | None
    warehouse: str
    moved_to: Path | None
    computed_again: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Always: what could not be restored raised."""
        return True

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        said = self.backup.manifest
        return {
            "backup": str(self.backup.folder),
            "made_at": said.made_at,
            "profile": said.profile,
            "rows": said.rows,
            "archive_files": said.archive_files,
            "home": str(self.home) if self.home else None,
            "warehouse": self.warehouse,
            "moved_to": str(self.moved_to) if self.moved_to else None,
            "computed_again": list(self.computed_again),
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        said = self.backup.manifest
        yield (
            f"the backup {self.backup.folder} is whole: {said.profile} data as of {said.made_at}, {said.rows:,} rows "
            f"of {len(said.tables)} tables, {said.archive_files:,} files of the archive"
        )
        if self.moved_to:
            yield f"what was there is in {self.moved_to}"
        if self.computed_again:
            yield f"computed again at the next opening: {', '.join(self.computed_again)}"
        if self.home:
            yield f"restored to {self.home} and {self.warehouse} ({self.seconds:.1f} s)"
            yield "     nothing is published of it yet: rally-pipeline publish"
        else:
            yield f"nothing was restored ({self.seconds:.1f} s)"


def restore(
    settings: Settings,
    source: Path,
    *,
    into: Path | None = None,
    force: bool = False,
    only_check: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Restores the backup in a folder, or the latest of a place that holds several.

    Args:
        settings: give the home, and the warehouse if it is not a file of it.
        source: the backup.
        into: another home.
        force: move a home aside that is there already.
        only_check: read and check everything, and write nothing.
        progress: gets a line at every step.

    Raises:
        UsageError: there is no backup; or a home or rows where it should go.
        ProfileMismatchError: ``RALLY_PROFILE`` is not the backup's profile.
        SchemaVersionError: the backup is of a newer version.
        BackupError: the backup is damaged, or could not be restored; nothing was changed.
    """
    began = time.monotonic()
    backup = contents.open_backup(source)
    _refuse(settings, backup)
    home = (into or settings.home).expanduser().absolute()
    own_file = settings.warehouse_url is None
    target = settings if own_file else settings.model_copy(update={"home": home})
    if not only_check:
        if not force and home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise UsageError(
                f"{home} is not empty. Fix: name another home with --into, or give --force, which moves it aside."
            )
        if not own_file:
            _refuse_rows(target)
    contents.check(backup, progress)
    if only_check:
        return Restored(backup, None, "", None, (), time.monotonic() - began)
    home.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=home.parent, prefix=f"{RESTORING}{home.name}-"))
    try:
        aside.chmod(0o755)
        _copy_files(backup, aside, progress)
        url = f"sqlite:///{aside / 'warehouse.sqlite'}" if own_file else target.resolved_warehouse_url
        again = _fill(backup, url, settings.lock_timeout_seconds, progress)
        moved_to = _move(aside, home)
    except (OSError, sa.exc.SQLAlchemyError) as error:
        said = " ".join(str(error).split())
        raise BackupError(f"{home} could not be restored: {said}. What was there is as it was.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    made = settings.model_copy(update={"home": home})
    shown = normalise_url(made.resolved_warehouse_url).render_as_string(hide_password=True)
    return Restored(backup, home, shown, moved_to, tuple(again), time.monotonic() - began)


def _refuse(settings: Settings, backup: Backup) -> None:
    said = backup.manifest
    if settings.profile is not None and settings.profile.value != said.profile:
        raise ProfileMismatchError(
            f"{backup.folder} holds {said.profile} data and RALLY_PROFILE is {settings.profile.value}: the two never "
            f"mix. Fix: set RALLY_PROFILE={said.profile}, or name another backup."
        )
    if reason := schema_version.unknown(said.revision):
        raise SchemaVersionError(f"{backup.folder}: {reason}")


def _refuse_rows(settings: Settings) -> None:
    url = normalise_url(settings.resolved_warehouse_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return  # opening it would make it
    warehouse = open_warehouse(settings.resolved_warehouse_url, lock_timeout_seconds=settings.lock_timeout_seconds)
    try:
        schema_version.refuse_what_is_not_empty(warehouse)
    finally:
        warehouse.engine.dispose()


def _copy_files(backup: Backup, home: Path, progress: Callable[[str], None]) -> None:
    count = backup.manifest.archive_files
    for number, part in enumerate(backup.listed(), start=1):
        if number % 100 == 0:
            progress(f"{number:,} of {count:,} files of the archive")
        target = home / "archive" / part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(backup.pool / part.path, target, follow_symlinks=False)
    for part in backup.manifest.parts:
        target = home / part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(backup.folder / part.path, target)


def _fill(backup: Backup, url: str, lock_timeout_seconds: float, progress: Callable[[str], None]) -> list[str]:
    """Makes the tables and loads them, in one transaction; gives those that are to be computed again."""
    warehouse: Warehouse = open_warehouse(url, lock_timeout_seconds=lock_timeout_seconds)
    said = backup.manifest
    dumped = {table.table: table for table in said.tables}
    try:
        schema_version.refuse_what_is_not_empty(warehouse)
        with warehouse.write() as connection:
            _drop_empty(connection)
            schema_version.upgrade_to(connection, said.revision)
            is_current = said.revision == schema_version.HEAD
            for name in sa.inspect(connection).get_table_names():
                if name not in dumped or name == ops.ops_warehouse.name:
                    continue
                progress(f"restoring {name}")
                table = metadata.tables.get(name) if is_current else None
                if table is None:
                    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
                _load(connection, table, backup, dumped[name])
            schema_version.prepare_in(connection, Profile(said.profile))
            # After what is new and empty was made, which forgets what it was filled from.
            _state(connection, tables.read(backup.folder, dumped[ops.ops_warehouse.name]))
            again = []
            for table in schema_version.derived_tables():
                progress(f"restoring {table.name}")
                found = dumped.get(table.name)
                if found is not None and is_current and found.columns == tables.columns_of(table):
                    _load(connection, table, backup, found)
                else:
                    again.append(table.name)
                    _forget(connection, table)
    finally:
        warehouse.engine.dispose()
    return again


def _drop_empty(connection: sa.Connection) -> None:
    """Takes away what opening an empty database had made."""
    there = set(sa.inspect(connection).get_table_names())
    for table in reversed(metadata.sorted_tables):
        if table.name in there:
            table.drop(connection)
    connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")


def _load(connection: sa.Connection, table: sa.Table, backup: Backup, dumped: Dumped) -> None:
    rows = tables.load(connection, table, backup.folder, dumped)
    found = connection.scalar(sa.select(sa.func.count()).select_from(table))
    if not rows == found == dumped.rows:
        raise BackupError(f"{dumped.table} got {found} rows of {dumped.rows}. Nothing was restored. Fix: report it.")


def _state(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    """What the warehouse says about itself, except what the engine has a say in."""
    for row in rows:
        if not row["name"].startswith(_OF_THE_ENGINE):
            schema_version.write_statement(connection, row["name"], row["value"])


def _forget(connection: sa.Connection, table: sa.Table) -> None:
    """Makes the next opening make the table anew, fill it if it is of reference, and mark all that follows as stale."""
    statements = ops.ops_warehouse
    connection.execute(sa.delete(statements).where(statements.c.name == f"shape.{table.name}"))


def _move(aside: Path, home: Path) -> Path | None:
    """Puts the home in its place; what was there goes beside it."""
    moved_to = None
    if home.exists() and any(home.iterdir()):
        moved_to = home.with_name(f"{home.name}.before-restore-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}")
        home.rename(moved_to)
    aside.rename(home)
    return moved_to
