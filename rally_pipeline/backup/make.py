"""Making a backup while the pipeline goes on: one view of the warehouse, then the archive, of which only what is new.

Everything in the warehouse is in the archive before; so the archive, copied after the view was taken, holds at least
all that the view speaks of. A backup has its name only when it is whole: killed at any point, those made before are as
they were. Belongs here: the steps and their order. Does not belong here: the format (`contents.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rally_pipeline import __version__, archive_care, files
from rally_pipeline.archive import Archive
from rally_pipeline.backup import contents, tables
from rally_pipeline.backup.contents import Backup, BackupError, Manifest, Part
from rally_pipeline.errors import ProfileMismatchError, RallyError, UsageError
from rally_pipeline.settings import Settings
from rally_pipeline.warehouse.schema_version import HEAD, derived_tables, kept_tables
from rally_pipeline.workspace import Workspace, look_at

_CHUNK_BYTES = 1 << 20
#: More new files than these are made durable all at once.
_SYNC_ONE_BY_ONE = 50
_DATABASES = (".db", ".sqlite")


@dataclass(frozen=True)
class Made:
    """What making a backup did.

    Attributes:
        backup: where it is and what it holds.
        new_files, new_bytes: files of the archive that were not in an earlier one.
        notes: what is not in it.
        seconds: how long it took.
    """

    backup: Backup
    new_files: int
    new_bytes: int
    notes: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything is in it."""
        return not self.backup.manifest.damaged

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        said = self.backup.manifest
        return {
            "ok": self.ok,
            "path": str(self.backup.folder),
            "made_at": said.made_at,
            "profile": said.profile,
            "tables": len(said.tables),
            "rows": said.rows,
            "archive_files": said.archive_files,
            "archive_bytes": said.archive_bytes,
            "new_files": self.new_files,
            "new_bytes": self.new_bytes,
            "damaged": said.damaged,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        said = self.backup.manifest
        yield from (f"not in it, damaged before: {damage}" for damage in said.damaged)
        yield (
            f"backup of {said.profile} data: {said.rows:,} rows of {len(said.tables)} tables, {said.archive_files:,} "
            f"files of the archive ({said.archive_bytes / 2**20:,.1f} MiB), of which {self.new_files:,} are new "
            f"({self.new_bytes / 2**20:,.1f} MiB) ({self.seconds:.1f} s)"
        )
        yield from self.notes
        yield f"     {self.backup.folder}"


def make(
    settings: Settings,
    to: Path,
    *,
    with_dagster: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Made:
    """Makes a backup of a home below the folder `to`, which may hold earlier ones of the same profile.

    Args:
        settings: of the home.
        to: a folder outside of the home's archive; made if it is not there.
        with_dagster: also what Dagster knows of runs and partitions, where that is in files.
        progress: gets a line at every step.

    Raises:
        UsageError: there is no warehouse of this version, or the folder cannot be used.
        ProfileMismatchError: the folder holds backups of the other profile.
        BusyError: another backup is being made there, or the archive is being compacted.
        BackupError: it could not be made; those made before are as they were.
    """
    began = time.monotonic()
    place = to.expanduser().absolute()
    if place.resolve().is_relative_to(settings.archive_dir.resolve()):
        raise UsageError(f"{to} lies in the archive that is to be copied. Fix: name another folder.")
    workspace = look_at(settings)
    if workspace is None:
        raise UsageError(
            f"there is no warehouse of schema version {HEAD} to make a backup of. Fix: see RALLY_HOME and "
            "RALLY_WAREHOUSE_URL, or open it once with rally-pipeline doctor, which upgrades it."
        )
    try:
        with files.only_one(place / ".lock", settings.lock_timeout_seconds):
            backup, new_files, new_bytes, notes = _make(workspace, place, with_dagster, progress)
    except OSError as error:
        raise BackupError(f"no backup was made in {place}: {error}. Those made before are as they were.") from error
    finally:
        workspace.warehouse.engine.dispose()
    return Made(backup, new_files, new_bytes, tuple(notes), time.monotonic() - began)


def _make(
    workspace: Workspace, place: Path, with_dagster: bool, progress: Callable[[str], None]
) -> tuple[Backup, int, int, list[str]]:
    before = _latest(place)
    if before is not None and before.manifest.profile != workspace.profile.value:
        raise ProfileMismatchError(
            f"{place} holds backups of {before.manifest.profile} data, and this warehouse is "
            f"{workspace.profile.value}: the two never mix. Fix: name another folder."
        )
    parent = place / contents.BACKUPS
    parent.mkdir(exist_ok=True)
    files.sweep(parent)
    notes: list[str] = []
    with files.folder_aside(parent) as aside:
        with workspace.warehouse.read() as connection:
            # One view: it begins with the first reading.
            dumped = []
            made_at = dt.datetime.now(dt.UTC)
            for table in (*kept_tables(), *derived_tables()):
                progress(f"copying {table.name}")
                dumped.append(tables.dump(connection, table, aside))
        copied = _Pool(place / contents.ARCHIVE, before)
        with archive_care.only_one(workspace.archive, workspace.settings.lock_timeout_seconds):
            copied.take(workspace.archive, aside / contents.LIST, progress)
        _copy_tree(workspace.settings.home / "catalog", aside / "catalog")
        if with_dagster:
            notes += _copy_dagster(workspace.settings.dagster_home, aside / "dagster")
        parts = [
            contents.part_of(aside, path)
            for name in ("catalog", "dagster")
            for path in sorted((aside / name).rglob("*"))
            if path.is_file()
        ]
        manifest = Manifest(
            made_at=made_at.isoformat(),
            profile=workspace.profile.value,
            revision=HEAD,
            project=__version__,
            engine=workspace.warehouse.dialect,
            tables=dumped,
            parts=parts,
            archive=contents.part_of(aside, aside / contents.LIST),
            archive_files=copied.count,
            archive_bytes=copied.size,
            damaged=copied.damaged,
        )
        (aside / contents.MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
        for part in (contents.LIST, contents.MANIFEST, *(part.path for part in parts)):
            files.settle(aside / part)
        files.sync_folders(aside)
        folder = parent / f"{made_at:%Y%m%dT%H%M%S.%f}Z"
        aside.rename(folder)
        files.sync_folder(parent)
    return Backup(folder, manifest), copied.new_files, copied.new_bytes, notes


def _latest(place: Path) -> Backup | None:
    """The latest backup that can be read; a damaged one is no reason to make no other."""
    for folder in reversed(contents.found_in(place)):
        with contextlib.suppress(RallyError):
            return contents.open_backup(folder)
    return None


class _Pool:
    """The files of the archive in a place of backups. None of them ever changes, so what is there is not read again."""

    def __init__(self, folder: Path, before: Backup | None) -> None:
        self.folder = folder
        self.count = self.size = self.new_files = self.new_bytes = 0
        self.damaged: list[str] = []
        self._known: dict[str, Part] = {}
        if before is not None:
            with contextlib.suppress(OSError, ValueError):  # then all are read
                self._known = {part.path: part for part in before.listed()}

    def take(self, archive: Archive, listing: Path, progress: Callable[[str], None]) -> None:
        """Copies what is not there yet, and writes the list of all."""
        self.folder.mkdir(exist_ok=True)
        new: list[Path] = []
        with listing.open("w", encoding="utf-8") as lines:
            for path in _files_of(archive):
                name = path.relative_to(archive.directory).as_posix()
                size = path.stat().st_size
                known = self._known.get(name)
                target = self.folder / name
                if known is None or known.size != size or not target.is_file() or target.stat().st_size != size:
                    known = self._copy(path, target, name)
                    if known is None:
                        continue
                    new.append(target)
                    self.new_files += 1
                    self.new_bytes += size
                    if self.new_files % 100 == 0:
                        progress(f"{self.new_files:,} files of the archive, {self.new_bytes / 2**20:,.0f} MiB")
                self.count += 1
                self.size += size
                lines.write(f"{known.sha256}\t{known.size}\t{name}\n")
        _make_durable(new)

    def _copy(self, source: Path, target: Path, name: str) -> Part | None:
        """Copies a file aside and moves it to its name; ``None`` = it is a payload that is not what it was."""
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f"{files.WRITING}{target.name}")
        digest = hashlib.sha256()
        with source.open("rb") as read, aside.open("wb") as written:
            while chunk := read.read(_CHUNK_BYTES):
                digest.update(chunk)
                written.write(chunk)
        if name.startswith("objects/") and digest.hexdigest() != source.name:
            aside.unlink()
            self.damaged.append(f"payload {source.name}")
            return None
        aside.replace(target)
        return Part(name, target.stat().st_size, digest.hexdigest())


def _files_of(archive: Archive) -> Iterator[Path]:
    """Payloads before the records that name them, as they were written."""
    for name in ("objects", "packs", "fetches", "actions"):
        for folder, folders, names in os.walk(archive.directory / name):
            folders.sort()
            for one in sorted(names):
                path = Path(folder, one)
                if not one.startswith(".") and not path.is_symlink():
                    yield path
    if (archive.directory / "profile").is_file():
        yield archive.directory / "profile"


def _make_durable(paths: list[Path]) -> None:
    if len(paths) > _SYNC_ONE_BY_ONE and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for folder in {path.parent for path in paths}:
        files.sync_folder(folder)


def _copy_tree(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)


def _copy_dagster(source: Path, target: Path) -> list[str]:
    """Configuration and SQLite files, each as it is at one moment; what steps printed is left out."""
    if not source.is_dir():
        return [f"nothing of Dagster: {source} does not exist"]
    found = 0
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_dir() or name.parts[0] in ("storage", "logs", "compute_logs") or path.suffix in (".lock", ".pid"):
            continue
        copy = target / name
        if path.suffix in _DATABASES:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with (
                contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as one,
                contextlib.closing(sqlite3.connect(copy)) as other,
            ):
                one.backup(other)
            found += 1
        elif name.suffix in (".yaml", ".yml"):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return [] if found else ["of Dagster only its configuration: what it knows of runs is not in files of the home"]
