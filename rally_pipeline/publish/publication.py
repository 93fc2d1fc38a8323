"""Publishing: the tables of one view of the warehouse, written aside and switched to in one step.

Below the place of publication::

    tables/VERSION/TABLE/part-0.parquet            or TABLE/year=YYYY/part-0.parquet
    tables/VERSION/rally.duckdb, manifest.json
    tables/current                                 a symbolic link to the version that holds
    rally.duckdb, manifest.json                    those of the version that holds

A version never changes once it has its name, so whoever reads below one sees one state. The names outside of it are
each replaced by a rename. A version stays until two others came after it and it has not been the one that holds for
ten minutes. Belongs here: the steps and their order. Does not belong here: what is in the files (`tables.py`,
`duckdb_file.py`, `manifest.py`) or places that are no folders (`remote.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rally_pipeline import __version__, files
from rally_pipeline.errors import ProfileMismatchError, PublishError
from rally_pipeline.marts import refresh
from rally_pipeline.publish import manifest
from rally_pipeline.publish.duckdb_file import write_database
from rally_pipeline.publish.manifest import DATABASE_NAME, NAME, AsOf, Manifest, PublishedTable
from rally_pipeline.publish.tables import write_table
from rally_pipeline.schema import ops
from rally_pipeline.schema.published import published_tables

if TYPE_CHECKING:
    from rally_pipeline.workspace import Workspace

#: Holds the versions.
FOLDER = "tables"
LOCK = ".lock"
_CURRENT = "current"
#: Name of a version.
VERSION = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}")
#: How long a version is kept at least after another took its place: longer than anybody takes to read it.
KEEP_SECONDS = 600.0


#: How often what others loaded meanwhile is computed before a publication is given up.
_TRIES = 5


class _BehindError(PublishError):
    """Tables are behind the facts."""


@dataclass(frozen=True)
class Published:
    """What publishing did.

    Attributes:
        manifest: what is published now.
        where: the place, for people.
        changed: tables that differ from those published before.
        is_new: whether there is a new version; not if nothing changed.
        seconds: how long it took.
    """

    manifest: Manifest
    where: str
    changed: tuple[str, ...]
    is_new: bool
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """What was done, and what is published now, in JSON types."""
        return {
            "where": self.where,
            "is_new": self.is_new,
            "changed": list(self.changed),
            "seconds": round(self.seconds, 3),
            "manifest": json.loads(self.manifest.to_text()),
        }

    def lines(self) -> list[str]:
        """The report for people."""
        found = self.manifest
        what = f"{len(self.changed)} of {len(found.tables)} tables changed" if self.is_new else "nothing changed"
        said = [f"published: {found.rows} rows in {len(found.tables)} tables, {what} ({self.seconds:.1f} s)"]
        said.append(f"     {self.where}, version {found.about.version}")
        if found.about.notice:
            said.append("     DEMO DATA")
        return said


def publish(
    workspace: Workspace,
    to: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
    *,
    compute: bool = False,
) -> Published:
    """Publishes the tables, unless what is published is the same already.

    Tables of which some are behind the facts and some are not do not agree with each other: they are not published.

    Args:
        workspace: its warehouse is read, in one view of it.
        to: a folder, or any URL that fsspec knows; default: the home's ``published``. To a URL goes what is published
            in the home, which is brought up to date first.
        progress: gets a line at every step.
        compute: compute first what is behind the facts.

    Raises:
        UsageError: the place holds data of the other profile, or the URL cannot be used.
        PublishError: it could not be done; what was published before is as it was.
    """
    from rally_pipeline.publish import remote

    with _told():
        home = workspace.settings.published_dir
        local = home if to is None else _local_folder(to)
        if local is None:
            remote.open_place(str(to))  # before all the work
        made = _computed_and_published(workspace, local or home, progress, compute=compute)
        return made if to is None or local is not None else remote.upload(home, made.manifest, to, progress)


def _computed_and_published(
    workspace: Workspace, place: Path, progress: Callable[[str], None], *, compute: bool
) -> Published:
    """Publishes to a folder; what others load between computing and publishing is computed as well."""
    for left in reversed(range(_TRIES if compute else 1)):
        if compute:
            with workspace.warehouse.write() as connection:
                refresh(connection, progress=lambda done: progress(f"computed {done.table}"))
        try:
            return _publish_to(workspace, place, progress)
        except _BehindError:
            if not left:
                raise
    raise AssertionError("tried at least once")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Says of every failure, whichever library it comes from, that nothing was published."""
    import pyarrow as pa

    try:
        import duckdb
    except ImportError as error:
        raise PublishError(
            f"publishing needs DuckDB ({error}). Fix: install rally_pipeline with all it needs."
        ) from None
    try:
        yield
    except (OSError, pa.ArrowException, duckdb.Error, sa.exc.SQLAlchemyError) as error:
        raise PublishError(f"nothing was published: {' '.join(str(error).split())}") from error


def _local_folder(to: str) -> Path | None:
    """The folder that `to` names; ``None`` if it is a URL of something else."""
    if "://" not in to:
        return Path(to).expanduser().absolute()
    if to.startswith(("file://", "local://")):
        from fsspec.core import url_to_fs

        return Path(str(url_to_fs(to)[1]))
    return None


def current_manifest(place: Path) -> Manifest | None:
    """What is published in a folder; ``None`` = nothing.

    Raises:
        PublishError: something else is.
    """
    path = place / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    return manifest.read(text, str(path))


def check_profile(held: Manifest | None, profile: str, where: str) -> None:
    """Refuses to put demo data in the place of live data, or the other way round.

    Raises:
        ProfileMismatchError: the place holds data of the other profile.
    """
    if held is not None and held.about.profile != profile:
        raise ProfileMismatchError(
            f"{where} holds published {held.about.profile} data, and this warehouse is {profile}: the two never mix. "
            "Fix: publish to another place, or remove what is there."
        )


def _publish_to(workspace: Workspace, place: Path, progress: Callable[[str], None]) -> Published:
    began = time.monotonic()
    folder = place / FOLDER
    with files.only_one(folder / LOCK, workspace.settings.lock_timeout_seconds, workspace.warehouse.tell):
        for swept in (place, folder):
            files.sweep(swept)
        held = current_manifest(place)
        check_profile(held, workspace.profile.value, str(place))
        with files.folder_aside(folder) as aside:
            tables, as_of = _write_tables(workspace, aside, place, held, progress)
            if held is not None and _is_same(held, tables, as_of) and _is_whole(place, held):
                if (folder / _CURRENT).resolve().name != held.about.version:
                    files.point_to(folder / _CURRENT, held.about.version)
                _remove_old(folder, {held.about.version})
                return Published(held, str(place), (), False, time.monotonic() - began)
            progress("writing the DuckDB database")
            content = manifest.content_digest(tables, as_of)
            about = manifest.about_now(workspace.profile, as_of, content, dt.datetime.now(dt.UTC))
            made = Manifest(about, tables, write_database(aside, tables, about))
            (aside / NAME).write_text(made.to_text(), encoding="utf-8")
            files.settle(aside / NAME)
            files.sync_folders(aside)
            aside.rename(place / made.folder)
            files.sync_folder(folder)
        _switch(place, made)
        if held is not None and (place / held.folder).is_dir():
            os.utime(place / held.folder)  # since when it is no longer the one that holds
        _remove_old(folder, {made.about.version, held.about.version if held else ""})
    known = {} if held is None else {table.name: table for table in held.tables}
    changed = tuple(table.name for table in tables if known.get(table.name) != table)
    return Published(made, str(place), changed, True, time.monotonic() - began)


def _write_tables(
    workspace: Workspace, folder: Path, place: Path, held: Manifest | None, progress: Callable[[str], None]
) -> tuple[list[PublishedTable], AsOf]:
    before = None if held is None else place / held.folder
    known = {} if held is None else {file.path: file for file in held.files}
    with workspace.warehouse.read() as connection:
        behind = sorted(set(connection.scalars(sa.select(ops.ops_stale.c.table_name))))
        if behind:
            raise _BehindError(
                f"{len(behind)} tables are behind the facts ({', '.join(behind[:3])}{' …' if behind[3:] else ''}) "
                "and do not agree with the others; what was published before stays. "
                "Fix: rally-pipeline publish computes them."
            )
        as_of = manifest.read_as_of(connection)
        made = []
        for table in published_tables():
            progress(f"publishing {table.name}")
            made.append(write_table(connection, table, workspace.profile, folder, before, held=known))
    return made, as_of


def _is_same(held: Manifest, tables: list[PublishedTable], as_of: AsOf) -> bool:
    return (held.tables, held.about.as_of, held.about.code_version) == (tables, as_of, __version__)


def _is_whole(place: Path, held: Manifest) -> bool:
    """Whether what is published is still what was written, all of it."""
    try:
        database = files.digest(place / DATABASE_NAME)
        found = [files.digest(place / held.folder / file.path) for file in (*held.files, held.database)]
    except FileNotFoundError:
        return False
    return [*found, database] == [file.sha256 for file in (*held.files, held.database, held.database)]


def _switch(place: Path, made: Manifest) -> None:
    """Makes a version the one that holds. Each name is replaced in one step, the manifest last."""
    folder = place / made.folder
    files.replace_by_link(folder / DATABASE_NAME, place / DATABASE_NAME)
    # Left by a tool that opened the old database for writing; it must not be read into the new one.
    (place / f"{DATABASE_NAME}.wal").unlink(missing_ok=True)
    files.point_to(folder.parent / _CURRENT, folder.name)
    files.replace_by_link(folder / NAME, place / NAME)
    files.sync_folder(folder.parent)
    files.sync_folder(place)


def _remove_old(folder: Path, kept: set[str]) -> None:
    for path in folder.iterdir():
        if VERSION.fullmatch(path.name) and path.name not in kept and time.time() - path.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
