"""Care of the archive: is everything there as it was stored, and can old payloads lie together in packs?

Both may run while others write. Compaction writes a pack aside, reads it back, gives it its name, and only then removes
the files of their own: killed at any point it has lost nothing, and the next one goes on. Belongs here: verifying,
packing, removing bytes that nobody names. Does not belong here: how payloads are read (`archive.py`) or the format of a
pack (`packs.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rally_pipeline import files, packs
from rally_pipeline.archive import ORPHAN_SECONDS, Archive, read_record
from rally_pipeline.errors import ArchiveDamagedError, UsageError

LOCK = ".lock"
_ORPHAN = f"{files.WRITING}orphan-"
#: Bytes younger than this may be those of a fetch whose record is being written.
_YOUNG_SECONDS = 3600.0
_RESTORE = "restore it from a backup; what was loaded from it is in the warehouse all the same"


@dataclass(frozen=True)
class Problem:
    """Something in the archive that is not as it should be.

    Attributes:
        kind: missing, damaged, record, link, orphan or unarchived.
        what: the payload, fetch or file it is about.
        message: what is wrong.
        fix: what can be done.
    """

    kind: str
    what: str
    message: str
    fix: str


@dataclass
class Verification:
    """What was looked at, and what was found.

    Attributes:
        records: fetches written down in the archive.
        payloads: different payloads that they name.
        hashed: how many of these were read and hashed.
        hashed_bytes: their size.
        packs: how many packs there are.
        registered: fetches of the warehouse that were looked up; ``None`` = there is no warehouse.
        problems: in the order in which they were found.
    """

    records: int = 0
    payloads: int = 0
    hashed: int = 0
    hashed_bytes: int = 0
    packs: int = 0
    registered: int | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        counts = {name: getattr(self, name) for name in ("records", "payloads", "hashed", "hashed_bytes", "packs")}
        problems = [vars(problem) for problem in self.problems]
        return {"ok": self.ok, **counts, "registered": self.registered, "problems": problems}

    def lines(self) -> Iterator[str]:
        """For people: every problem with what to do, and what was looked at."""
        for problem in self.problems:
            yield f"{problem.kind}: {problem.what}: {problem.message}"
            yield f"     Fix: {problem.fix}"
        yield (
            f"{self.hashed:,} of {self.payloads:,} payloads hashed ({self.hashed_bytes / 2**20:,.1f} MiB), named by "
            f"{self.records:,} fetches, {self.packs} packs"
        )
        if self.registered is not None:
            yield f"{self.registered:,} fetches of the warehouse looked up"
        yield "the archive is whole" if self.ok else f"{len(self.problems)} problems"


def verify(
    archive: Archive,
    *,
    sample: int | None = None,
    registered: Iterable[tuple[str, str]] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Looks whether every payload that a fetch names is there and has the hash that is its name.

    Args:
        archive: to look at.
        sample: hash so many payloads, chosen at random, instead of all; that they are there is looked at for all.
        registered: fetch and payload ids that the warehouse knows.
        progress: gets a line now and then.
    """
    done = Verification()
    done.problems += _links(archive)
    recorded, fetches = _read_records(archive, done, progress)
    done.payloads = len(recorded)
    done.packs = len(archive.packs.names())
    done.problems += _pack_problems(archive)
    chosen = sorted(recorded) if sample is None else sorted(random.sample(sorted(recorded), min(sample, len(recorded))))
    _hash_all(archive, chosen, recorded, done, progress)
    present = {bytes.fromhex(payload_id) for payload_id in archive.payload_ids()}
    if sample is not None:
        for key in sorted(recorded.keys() - present):
            if not any(problem.what == f"payload {key.hex()}" for problem in done.problems):
                done.problems.append(Problem("missing", f"payload {key.hex()}", "its bytes are gone", _RESTORE))
    for key in sorted(present - recorded.keys()):
        if _age(archive, key.hex()) > _YOUNG_SECONDS:
            done.problems.append(
                Problem(
                    "orphan",
                    f"payload {key.hex()}",
                    "no fetch names these bytes: a process died between writing them and writing down whence they came",
                    "rally-pipeline archive compact --remove-orphans, if no record of a fetch was lost",
                )
            )
    if registered is not None:
        done.registered = 0
        for fetch_id, payload_id in registered:
            done.registered += 1
            if bytes.fromhex(fetch_id) not in fetches:
                message = f"the warehouse knows it (payload {payload_id}), and the archive has no record of it"
                done.problems.append(Problem("unarchived", f"fetch {fetch_id}", message, _RESTORE))
    return done


def _said(error: object) -> str:
    """What an error says is wrong; what can be done stands in the problem itself."""
    return str(error).partition(" Fix: ")[0]


def _read_records(
    archive: Archive, done: Verification, progress: Callable[[str], None]
) -> tuple[dict[bytes, int], set[bytes]]:
    """Sizes by payload as the records say, and the fetches."""
    sizes: dict[bytes, int] = {}
    fetches: set[bytes] = set()
    for path in archive.record_paths():
        done.records += 1
        if done.records % 1000 == 0:
            progress(f"{done.records:,} records read")
        try:
            record = read_record(path)
        except ArchiveDamagedError as error:
            done.problems.append(Problem("record", f"fetch {path.stem}", _said(error), _RESTORE))
            continue
        sizes[bytes.fromhex(record.payload_id)] = record.byte_count
        fetches.add(bytes.fromhex(record.fetch_id))
    return sizes, fetches


def _hash_all(
    archive: Archive,
    chosen: list[bytes],
    sizes: dict[bytes, int],
    done: Verification,
    progress: Callable[[str], None],
) -> None:
    for number, key in enumerate(chosen, start=1):
        payload_id = key.hex()
        if number % 100 == 0:
            progress(f"{number:,} of {len(chosen):,} payloads, {done.hashed_bytes / 2**20:,.0f} MiB")
        try:
            size = len(archive.read(payload_id))
        except ArchiveDamagedError as error:
            is_there = archive.object_path(payload_id).exists() or archive.packs.find(payload_id) is not None
            kind = "damaged" if is_there else "missing"
            done.problems.append(Problem(kind, f"payload {payload_id}", _said(error), _RESTORE))
            continue
        done.hashed += 1
        done.hashed_bytes += size
        if size != sizes[key]:
            message = f"it has {size} bytes, and the record of its fetch says {sizes[key]}"
            done.problems.append(Problem("record", f"payload {payload_id}", message, _RESTORE))


def _links(archive: Archive) -> Iterator[Problem]:
    for name in ("objects", "fetches", "actions", "packs"):
        for folder, folders, names in os.walk(archive.directory / name):
            for one in (*folders, *names):
                path = Path(folder, one)
                if path.is_symlink():
                    fix = "put the file itself in its place; the archive holds plain files only"
                    yield Problem("link", str(path), "is a link, through which nothing is read", fix)


def _pack_problems(archive: Archive) -> Iterator[Problem]:
    """Packs that cannot be read, and indices that say something else than their pack."""
    for name, message in archive.packs.damaged.items():
        yield Problem("damaged", f"pack {name}", _said(message), _RESTORE)
    for name in archive.packs.names():
        path = archive.packs.folder / name
        try:
            actual = packs.index_of(path)
        except ArchiveDamagedError as error:
            yield Problem("damaged", f"pack {name}", _said(error), _RESTORE)
            continue
        stored = packs.stored_index(path)
        if stored is not None and stored != actual:
            fix = f"remove {packs.index_path(path)}; the next compaction writes it again"
            yield Problem("damaged", f"pack {name}", "its index is not that of the pack", fix)


def _age(archive: Archive, payload_id: str) -> float:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - archive.object_path(payload_id).lstat().st_mtime
    return float("inf")


@dataclass
class Compaction:
    """What compaction did.

    Attributes:
        packs: those written.
        packed: payloads that went into them.
        bytes_before, bytes_after: size of these as files of their own, and packed.
        removed: files of their own whose payload was in a pack already.
        orphans: payloads that no fetch names and that stay as they are.
        orphans_removed: those that were removed.
        damaged: payloads that are not what they were and stay where they are, with what is wrong.
    """

    packs: list[str] = field(default_factory=list)
    packed: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    removed: int = 0
    orphans: int = 0
    orphans_removed: int = 0
    damaged: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything could be packed."""
        return not self.damaged

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {"ok": self.ok, **vars(self)}

    def lines(self) -> Iterator[str]:
        """For people."""
        for damage in self.damaged:
            yield f"not packed: {damage}"
        if self.packed:
            yield (
                f"{self.packed:,} payloads packed into {len(self.packs)} packs: {self.bytes_before / 2**20:,.2f} MiB "
                f"became {self.bytes_after / 2**20:,.2f} MiB"
            )
        else:
            yield "nothing to pack"
        if self.removed:
            yield f"{self.removed:,} files removed whose payload was in a pack already"
        if self.orphans or self.orphans_removed:
            yield f"bytes that no fetch names: {self.orphans} kept, {self.orphans_removed} removed"


def compact(
    archive: Archive,
    *,
    before: dt.date,
    remove_orphans_older_than: dt.timedelta | None = None,
    lock_timeout_seconds: float = 60.0,
    progress: Callable[[str], None] = lambda _: None,
) -> Compaction:
    """Puts the payloads of finished months together, a pack for each month; what is packed reads as before.

    Args:
        archive: to compact.
        before: only payloads first fetched in months that ended before this day (UTC).
        remove_orphans_older_than: remove bytes that no fetch names, of at least this age; ``None`` = keep them.
        lock_timeout_seconds: how long to wait for another compaction or a backup.
        progress: gets a line now and then.

    Raises:
        UsageError: orphans younger than a day are to be removed.
        BusyError: another compaction, or a backup, is at work on the archive.
        ArchiveDamagedError: the record of a fetch cannot be read: without it nobody knows which bytes are needed.
    """
    if remove_orphans_older_than is not None and remove_orphans_older_than.total_seconds() < ORPHAN_SECONDS:
        raise UsageError("orphans younger than a day may be those of a fetch that is under way. Fix: 1 day or more.")
    done = Compaction()
    if not archive.directory.is_dir():
        return done
    with only_one(archive, lock_timeout_seconds):
        folder = archive.packs.folder
        files.sweep(folder)
        _tidy(archive)
        loose = set(archive.loose_ids())
        _write_missing_indices(archive)
        _remove_packed(archive, loose, done)
        months = _months(archive, loose, progress)
        limit = f"{before:%Y-%m}"
        for month in sorted(set(months.values())):
            chosen = sorted(payload_id for payload_id, first in months.items() if first == month)
            if month < limit:
                _pack_month(archive, month, chosen, done, progress)
        orphans = loose - months.keys()
        done.orphans = len(orphans)
        if remove_orphans_older_than is not None:
            done.orphans_removed = _remove_orphans(archive, orphans, remove_orphans_older_than.total_seconds())
            done.orphans -= done.orphans_removed
    return done


def only_one(archive: Archive, timeout_seconds: float) -> contextlib.AbstractContextManager[None]:
    """Keeps others from moving payloads about; storing and reading go on."""
    return files.only_one(archive.packs.folder / LOCK, timeout_seconds)


def _tidy(archive: Archive) -> None:
    """Takes away what processes that died left half written, and puts back what they were about to remove."""
    for path in (archive.directory / "objects").glob(f"??/{files.WRITING}*"):
        payload_id = path.name.removeprefix(_ORPHAN)
        if payload_id != path.name:
            path.rename(archive.object_path(payload_id))
        elif time.time() - path.lstat().st_mtime > ORPHAN_SECONDS:
            path.unlink()


def _months(archive: Archive, loose: set[str], progress: Callable[[str], None]) -> dict[str, str]:
    """The month (YYYY-MM) in which each of these payloads was fetched first; of those that a fetch names."""
    found: dict[str, str] = {}
    if not loose:
        return found
    for number, path in enumerate(archive.record_paths(), start=1):
        if number % 1000 == 0:
            progress(f"{number:,} records read")
        payload_id = read_record(path).payload_id
        if payload_id in loose:
            found.setdefault(payload_id, "-".join(path.parts[-4:-2]))  # days come in order
    return found


def _write_missing_indices(archive: Archive) -> None:
    """The index of a pack follows from it; a process that died, or a person, may have left it without."""
    for name in archive.packs.names():
        path = archive.packs.folder / name
        if packs.stored_index(path) is None:
            _put_index(path, packs.index_of(path))


def _put_index(pack: Path, index: bytes) -> None:
    aside = pack.with_name(f"{files.WRITING}{pack.stem}{packs.INDEX}")
    packs.write_index(aside, index)
    files.settle(aside)
    aside.replace(packs.index_path(pack))


def _remove_packed(archive: Archive, loose: set[str], done: Compaction) -> None:
    """Removes files whose payload is in a pack, if it can be read there: what a compaction that died left to do."""
    for name in archive.packs.names():
        for payload_id, place in archive.packs.places(name):
            if payload_id in loose and _is(payload_id, place):
                archive.object_path(payload_id).unlink()
                loose.discard(payload_id)
                done.removed += 1


def _is(payload_id: str, place: packs.Place) -> bool:
    try:
        return hashlib.sha256(place.read()).hexdigest() == payload_id
    except ArchiveDamagedError:
        return False


def _pack_month(
    archive: Archive, month: str, chosen: list[str], done: Compaction, progress: Callable[[str], None]
) -> None:
    good: list[str] = []
    sizes = 0
    for number, payload_id in enumerate(chosen, start=1):
        if number % 100 == 0:
            progress(f"{month}: {number:,} of {len(chosen):,} payloads")
        try:
            sizes += len(archive.read(payload_id))
            good.append(payload_id)
        except ArchiveDamagedError as error:
            done.damaged.append(str(error))
    if not good:
        return
    pack = archive.packs.folder / packs.pack_name(month, good)
    handle, temporary = tempfile.mkstemp(dir=pack.parent, prefix=files.WRITING)
    os.close(handle)
    aside = Path(temporary)
    try:
        packs.write(aside, ((payload_id, archive.read(payload_id)) for payload_id in good))
        index = packs.index_of(aside)
        _check(aside, index, good)
        files.settle(aside)
        _put_index(pack, index)
        aside.replace(pack)
    finally:
        aside.unlink(missing_ok=True)
    files.sync_folder(pack.parent)
    # From here on the payloads are in the pack, whatever happens.
    for payload_id in good:
        archive.object_path(payload_id).unlink(missing_ok=True)
    done.packs.append(pack.name)
    done.packed += len(good)
    done.bytes_before += sizes
    done.bytes_after += pack.stat().st_size


def _check(pack: Path, index: bytes, wanted: list[str]) -> None:
    """Reads back what was written.

    Raises:
        ArchiveDamagedError: it is not what was to be written; nothing has been removed yet.
    """
    found = []
    for payload_id, place in packs.entries(pack, index):
        found.append(payload_id)
        if not _is(payload_id, place):
            raise ArchiveDamagedError(f"{pack} did not keep payload {payload_id}; nothing was removed. Fix: see disk.")
    if found != wanted:
        raise ArchiveDamagedError(f"{pack} did not keep all payloads; nothing was removed. Fix: see the disk.")


def _remove_orphans(archive: Archive, orphans: Iterable[str], seconds: float) -> int:
    """Removes old bytes that nobody names, one by one, unless somebody has just begun to rely on them.

    Whoever stores the same bytes again makes the file young before it relies on it (`archive.py`), or finds it gone
    and writes it anew; so its age is looked at once more when nobody finds it any longer.
    """
    removed = 0
    for payload_id in orphans:
        path = archive.object_path(payload_id)
        if time.time() - path.lstat().st_mtime < seconds:
            continue
        aside = path.with_name(f"{_ORPHAN}{payload_id}")
        path.rename(aside)
        if time.time() - aside.lstat().st_mtime < seconds:
            aside.rename(path)
            continue
        aside.unlink()
        removed += 1
    return removed
