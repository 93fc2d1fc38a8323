"""Packs: many archived payloads in one ZIP file, each under its SHA-256, found by a look into an index.

A pack is ``packs/YYYY-MM-DIGEST.zip``, DIGEST being of the ids in it: any tool opens it, and it never changes once it
has its name. Members stand in order of their ids, deflated where that makes them smaller. Beside it ``….idx`` says
where the data of each begin, so that one payload is read with one look and one read, however large the pack. It follows
from the pack, and where it is missing or wrong the pack's own directory is read. Belongs here: the format. Does not
belong here: what is packed and when (`archive_care.py`), and verifying what was read (`archive.py`).
"""

from __future__ import annotations

import bisect
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rally_pipeline import files
from rally_pipeline.errors import ArchiveDamagedError

PACK, INDEX = ".zip", ".idx"
#: SHA-256, where its data begin, how many bytes they are as stored and as they were, ZIP's number of the method.
_ENTRY = struct.Struct(">32sQQQB")
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_DIGEST_BYTES = 32
#: A member is stored as it is unless deflating it saves at least this part of it.
_WORTH = 0.05
_NO_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Place:
    """Where the data of a payload are: in which pack, at which byte, and how they are stored."""

    pack: Path
    offset: int
    stored: int
    size: int
    method: int

    def read(self) -> bytes:
        """The bytes, not verified.

        Raises:
            ArchiveDamagedError: the pack is gone, is a link, or no longer holds them.
        """
        try:
            handle = os.open(self.pack, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(handle, "rb") as file:
                file.seek(self.offset)
                data = file.read(self.stored)
            if self.method == zipfile.ZIP_STORED:
                return data
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
        except (OSError, zlib.error) as error:
            raise ArchiveDamagedError(
                f"{self.pack} cannot be read: {error}. Fix: restore the pack from a backup."
            ) from error


class Packs:
    """The packs of a folder, which need not exist. Only their indices are kept in memory: 57 bytes a payload.

    A pack that cannot be read stands in ``damaged`` by its name, with what is wrong; the others serve all the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: dict[str, str] = {}
        self._indices: dict[str, bytes] = {}

    def find(self, payload_id: str) -> Place | None:
        """Where a payload is; ``None`` if it is in no pack, new ones included."""
        key = bytes.fromhex(payload_id)
        return self._look(key) or (self._look(key) if self.refresh() else None)

    def names(self) -> list[str]:
        """The packs that can be read now, in order of name."""
        self.refresh()
        return sorted(self._indices)

    def places(self, name: str) -> Iterator[tuple[str, Place]]:
        """Id and place of everything in a pack, in order of the ids."""
        return entries(self.folder / name, self._indices[name])

    def ids(self) -> Iterator[str]:
        """The ids of all payloads in packs; one that is in two comes twice."""
        for name in self.names():
            yield from (payload_id for payload_id, _ in self.places(name))

    def refresh(self) -> bool:
        """Takes notice of packs that came or went; says whether any came."""
        try:
            with os.scandir(self.folder) as entries:
                there = {entry.name for entry in entries if entry.name.endswith(PACK) and entry.name[0] != "."}
        except FileNotFoundError:
            there = set()
        for name in self._indices.keys() - there:
            del self._indices[name]
        known = len(self._indices)
        self.damaged.clear()
        for name in there - self._indices.keys():
            try:
                self._indices[name] = stored_index(self.folder / name) or index_of(self.folder / name)
            except ArchiveDamagedError as error:
                self.damaged[name] = str(error)
        return len(self._indices) > known

    def _look(self, key: bytes) -> Place | None:
        for name, index in self._indices.items():
            count = len(index) // _ENTRY.size
            found = bisect.bisect_left(range(count), key, key=lambda n, index=index: _key_at(index, n))  # type: ignore[misc]
            if found < count and _key_at(index, found) == key:
                return Place(self.folder / name, *_ENTRY.unpack_from(index, found * _ENTRY.size)[1:])
        return None


def entries(pack: Path, index: bytes) -> Iterator[tuple[str, Place]]:
    """Id and place of everything in an index, in order of the ids."""
    for entry in _ENTRY.iter_unpack(index):
        yield entry[0].hex(), Place(pack, *entry[1:])


def _key_at(index: bytes, number: int) -> bytes:
    return index[number * _ENTRY.size : number * _ENTRY.size + _DIGEST_BYTES]


def pack_name(month: str, payload_ids: Iterable[str]) -> str:
    """The name of the pack of these payloads; ``month`` is YYYY-MM."""
    digest = hashlib.sha256("\n".join(sorted(payload_ids)).encode()).hexdigest()
    return f"{month}-{digest[:16]}{PACK}"


def write(path: Path, bodies: Iterable[tuple[str, bytes]]) -> None:
    """Writes a pack of payloads, which come in order of their ids; the same payloads make the same bytes."""
    with zipfile.ZipFile(path, "w") as pack:
        for payload_id, body in bodies:
            member = zipfile.ZipInfo(payload_id, _NO_DATE)
            member.external_attr = files.FILE_MODE << 16
            is_worth_it = len(zlib.compress(body)) < len(body) * (1 - _WORTH)
            pack.writestr(member, body, zipfile.ZIP_DEFLATED if is_worth_it else zipfile.ZIP_STORED)


def write_index(path: Path, index: bytes) -> None:
    """Writes what `index_of` gave to ``path``, with a digest of it behind."""
    path.write_bytes(index + hashlib.sha256(index).digest())


def index_path(pack: Path) -> Path:
    """Where the index of a pack is."""
    return pack.with_suffix(INDEX)


def index_of(path: Path) -> bytes:
    """The index of a pack, read from the pack itself.

    Raises:
        ArchiveDamagedError: it is no whole ZIP file, a link, or holds what is no payload.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file, zipfile.ZipFile(file) as pack:
            entries = []
            for member in pack.infolist():
                file.seek(member.header_offset)
                header = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
                data = member.header_offset + _LOCAL_HEADER.size + header[-2] + header[-1]
                key = bytes.fromhex(member.filename)
                if file.read(header[-2]) != member.filename.encode():
                    raise ValueError(f"{member.filename} has another name where its data begin")
                if len(key) != _DIGEST_BYTES or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError(f"{member.filename!r} is no payload")
                entries.append(_ENTRY.pack(key, data, member.compress_size, member.file_size, member.compress_type))
        return b"".join(sorted(entries))
    except (OSError, ValueError, struct.error, zipfile.BadZipFile, NotImplementedError) as error:
        raise ArchiveDamagedError(f"{path} is damaged: {error}. Fix: restore the pack from a backup.") from error


def stored_index(path: Path) -> bytes | None:
    """What `write_index` wrote; ``None`` if it is not there or not whole."""
    try:
        found = index_path(path).read_bytes()
    except OSError:
        return None
    index, digest = found[:-_DIGEST_BYTES], found[-_DIGEST_BYTES:]
    is_whole = hashlib.sha256(index).digest() == digest and len(index) % _ENTRY.size == 0
    return index if is_whole and not path.is_symlink() else None
