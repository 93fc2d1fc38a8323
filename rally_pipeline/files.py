"""Files that are written once and then only read: made durable, compared, linked, and switched to in one step.

Belongs here: the moves on the disk by which a reader sees all of something or none. Does not belong here: what is in
the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from rally_pipeline import locks
from rally_pipeline.locks import Tell, say

#: Begins the name of what is still being written; whatever bears it outside of a lock was left by a process that died.
WRITING = ".writing-"
#: Published files are read-only: a tool that opens one for writing would lock out every reader.
FILE_MODE = 0o444
_FOLDER_MODE = 0o755
_PAGE_MODE = 0o644
_CHUNK_BYTES = 1 << 20
#: What is longer behind the last point is no suffix.
_LONGEST_SUFFIX = 16


@contextlib.contextmanager
def only_one(path: Path, timeout_seconds: float, tell: Tell = say) -> Iterator[None]:
    """Holds the lock file at `path`, so that one process at a time works on its folder.

    Raises:
        BusyError: another process did not let go of it in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    what = f"another process that is at work on {path.parent}"
    with locks.only_one(path, timeout_seconds, what=what, tell=tell):
        yield


@contextlib.contextmanager
def folder_aside(parent: Path) -> Iterator[Path]:
    """A new folder below `parent` to write into; gone afterwards unless it was renamed."""
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=WRITING))
    try:
        folder.chmod(_FOLDER_MODE)  # made for its maker alone, but meant for readers
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_new(path: Path, body: bytes, mode: int = 0o600) -> bool:
    """Writes a file that is not there yet: a reader sees all of it or none, also after a crash. Returns whether it was
    not there; the folder is made if need be.

    Raises:
        OSError: it cannot be written; nothing of it remains.
    """
    if path.exists():
        return False
    with _written_aside(path, body, mode) as aside:
        try:
            os.link(aside, path)  # unlike a renaming, not over what somebody else has made meanwhile
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            aside.replace(path)
    return True


def write_over(path: Path, body: bytes) -> None:
    """Writes a file for all to read, in place of an older one if there is one: a reader sees the old or the new, also
    after a crash. The folder is made if need be.

    Raises:
        OSError: it cannot be written; the old one remains.
    """
    with _written_aside(path, body, _PAGE_MODE) as aside:
        with contextlib.suppress(OSError):  # a file system without modes
            aside.chmod(_PAGE_MODE)  # whoever writes it may be one whose files are for himself alone
        aside.replace(path)


@contextlib.contextmanager
def _written_aside(path: Path, body: bytes, mode: int) -> Iterator[Path]:
    """The body in a file beside `path`, on the disk; gone afterwards unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f"{WRITING}{uuid.uuid4().hex}"
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def sayable(path: Path | str) -> str:
    """A name or path as text that every database, log and terminal takes: of bytes that are not UTF-8, their codes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace("\0", "�")


def fitting(folder: Path, name: str, room: int) -> str:
    """The name as the folder's file system takes it with `room` bytes more behind it: its stem is cut if need be."""
    try:
        most = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # a system that does not say
        most = 255
    suffix = Path(name).suffix
    suffix = suffix if len(suffix) <= _LONGEST_SUFFIX else ""
    stem = name.removesuffix(suffix)
    while stem and len(os.fsencode(stem + suffix)) > most - room:
        stem = stem[:-1]
    return stem + suffix


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settle(path: Path) -> None:
    """Makes a finished file durable and read-only."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.chmod(FILE_MODE)


def link_or_copy(source: Path, target: Path) -> None:
    """The same bytes under another name: a hard link where the file system has them, else a durable copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        settle(target)


def sync_folders(folder: Path) -> None:
    """Makes the names in a folder and all folders below it durable."""
    for path in (*(p for p in folder.rglob("*") if p.is_dir()), folder):
        sync_folder(path)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def replace_by_link(source: Path, target: Path) -> None:
    """Puts the file `source` under the name `target` as well, in place of what was there, in one step.

    The two must be on one file system. Whoever has the old file open goes on reading the old one.
    """
    aside = target.with_name(f"{WRITING}{os.getpid()}-{target.name}")
    aside.unlink(missing_ok=True)
    try:
        link_or_copy(source, aside)
        # Renaming a name of a file over another name of the same file does nothing and leaves both.
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def point_to(link: Path, name: str) -> None:
    """Makes `link` a symbolic link to its neighbour `name`, in one step; nothing where the system has no such links."""
    aside = link.with_name(f"{WRITING}{os.getpid()}-{link.name}")
    aside.unlink(missing_ok=True)
    try:
        aside.symlink_to(name, target_is_directory=True)
        aside.replace(link)
    except (NotImplementedError, PermissionError):  # pragma: no cover - the manifest names the folder too
        return
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes what processes that died left half written. Only under the lock."""
    for path in folder.glob(f"{WRITING}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
