"""What a backup says of itself, and where its parts lie.

Below the folder that is given, which may hold many backups::

    backups/YYYYMMDDTHHMMSS.ffffffZ/manifest.json     what is in it, with sizes and hashes; comes last
    backups/…/warehouse/TABLE.parquet                 every table, in one view of the warehouse
    backups/…/catalog/, dagster/                      files of the home
    backups/…/archive.tsv                             SHA-256, size and path of each file of the archive
    archive/                                          these files, shared by all backups: none of them ever changes

Belongs here: reading, writing and checking that. Does not belong here: making a backup (`make.py`) or restoring one
(`restore.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rally_pipeline import files
from rally_pipeline.errors import RallyError, UsageError

FORMAT = 1
BACKUPS, ARCHIVE, WAREHOUSE, MANIFEST, LIST = "backups", "archive", "warehouse", "manifest.json", "archive.tsv"
_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z")


class BackupError(RallyError):
    """A backup is damaged, or could not be made; what was there before is as it was."""


@dataclass(frozen=True)
class Part:
    """A file of a backup: path relative to the backup's folder, size in bytes, SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Dumped(Part):
    """A table of the warehouse: how many rows, and names and Arrow types of its columns."""

    table: str
    rows: int
    columns: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        made_at: since when the view of the warehouse is (UTC, ISO 8601).
        profile: demo or live.
        revision: schema version of the warehouse.
        project: version of this project.
        engine: sqlite or postgresql; it can be restored to either.
        tables: every table.
        parts: files of the catalog and of Dagster.
        archive: the list of the archive's files.
        archive_files, archive_bytes: how many these are.
        damaged: payloads that were damaged before and are not in it.
    """

    made_at: str
    profile: str
    revision: str
    project: str
    engine: str
    tables: list[Dumped]
    parts: list[Part]
    archive: Part
    archive_files: int
    archive_bytes: int
    damaged: list[str]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)

    def to_text(self) -> str:
        """JSON, with a digest of the rest in its last field."""
        said = {"format": FORMAT, **asdict(self)}
        return json.dumps({**said, "sha256": _digest(said)}, indent=1, ensure_ascii=False) + "\n"


def _digest(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Backup:
    """A backup that was found: its folder, and what it says."""

    folder: Path
    manifest: Manifest

    @property
    def pool(self) -> Path:
        """The files of the archive, of this backup and others."""
        return self.folder.parent.parent / ARCHIVE

    def listed(self) -> Iterator[Part]:
        """The files of the archive that belong to it; paths relative to `pool`."""
        with (self.folder / LIST).open(encoding="utf-8") as lines:
            for line in lines:
                sha256, size, path = line.rstrip("\n").split("\t")
                yield Part(path, int(size), sha256)


def found_in(place: Path) -> list[Path]:
    """The folders of all finished backups of a place, oldest first."""
    folder = place / BACKUPS
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())


def open_backup(path: Path) -> Backup:
    """The backup in a folder, or the latest of a place that holds several.

    Raises:
        UsageError: there is none, or it is of a newer format.
        BackupError: what it says of itself is damaged.
    """
    folder = path.absolute()
    if not (folder / MANIFEST).is_file():
        backups = found_in(folder)
        if not backups:
            raise UsageError(f"{path} holds no backup. Fix: name the folder that was given to rally-pipeline backup.")
        folder = backups[-1]
    name = folder / MANIFEST
    try:
        said = json.loads(name.read_text(encoding="utf-8"))
        if said["format"] > FORMAT:
            raise UsageError(f"{name} was written by a newer rally-pipeline. Fix: upgrade rally-pipeline.")
        if _digest({key: value for key, value in said.items() if key != "sha256"}) != said["sha256"]:
            raise BackupError(f"{name} was changed after it was written. Fix: use another backup.")
        tables = [Dumped(**table) for table in said["tables"]]
        parts = [Part(**part) for part in said["parts"]]
        rest = {key: said[key] for key in Manifest.__annotations__ if key not in ("tables", "parts", "archive")}
        manifest = Manifest(tables=tables, parts=parts, archive=Part(**said["archive"]), **rest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{name} cannot be read: {error}. Fix: use another backup.") from error
    return Backup(folder, manifest)


def check(backup: Backup, progress: Callable[[str], None] = lambda _: None) -> None:
    """Reads all of a backup and compares sizes, hashes and numbers of rows.

    Raises:
        BackupError: something is not what was written; the message names the files.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    said = backup.manifest
    wrong: list[str] = []
    own = [*said.tables, *said.parts, said.archive]
    for part in own:
        progress(f"checking {part.path}")
        wrong += _wrong(backup.folder, part)
    if not wrong:
        for number, part in enumerate(backup.listed(), start=1):
            if number % 100 == 0:
                progress(f"checking {number:,} of {said.archive_files:,} files of the archive")
            wrong += _wrong(backup.pool, part)
    if not wrong:
        for table in said.tables:
            try:
                rows = pq.read_metadata(backup.folder / table.path).num_rows
            except pa.ArrowException as error:
                wrong.append(f"{table.path} ({error})")
                continue
            if rows != table.rows:
                wrong.append(f"{table.path} ({rows} rows, not {table.rows})")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise BackupError(
            f"the backup {backup.folder} is damaged: {'; '.join(wrong[:5])}{more}. Nothing was restored. "
            "Fix: use another backup."
        )


def _wrong(folder: Path, part: Part) -> Iterator[str]:
    path = folder / part.path
    if path.is_symlink() or not path.is_file():
        yield f"{path} is missing"
    elif path.stat().st_size != part.size:
        yield f"{path} has {path.stat().st_size} bytes, not {part.size}"
    elif files.digest(path) != part.sha256:
        yield f"{path} has other bytes than were written"


def part_of(folder: Path, path: Path) -> Part:
    """What a manifest says of a file below the backup's folder."""
    return Part(path.relative_to(folder).as_posix(), path.stat().st_size, files.digest(path))
