"""The raw payload store: every byte ever given, written once under its SHA-256, and what was asked to get it.

``objects/ab/abcd…`` or a pack of many payloads (`packs.py`) holds the bytes, ``fetches/YYYY/MM/DD/<fetch_id>.json`` the
request, the fetch time and the time from which the facts count as known, ``actions/YYYY/MM/DD/<action_id>.json``
what a person decided about a row in quarantine, and ``profile`` whether all this is demo or live data. Together they
are enough to build a warehouse again.
Belongs here: storing, reading, verifying. Does not belong here: what the bytes mean.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import hashlib
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rally_pipeline.errors import ArchiveDamagedError
from rally_pipeline.files import write_new
from rally_pipeline.packs import Packs
from rally_pipeline.sources.base import Dataset, FetchRequest, Payload

#: Digits of a SHA-256.
_ID_LENGTH = 64
_RESTORE = "Fix: restore the file from a backup."
#: Bytes that no record names are removed only when they are older than this (`archive_care.py`); whoever finds bytes
#: that old and relies on them says so by making them young.
ORPHAN_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class FetchRecord:
    """One fetch: which payload came, in answer to what, and when. Times are aware and in UTC."""

    fetch_id: str
    payload_id: str
    request: FetchRequest
    status: int
    media_type: str
    byte_count: int
    fetched_at: dt.datetime
    known_at: dt.datetime
    run_id: str | None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types; `from_json` reads it back."""
        request = self.request
        return {
            "fetch_id": self.fetch_id,
            "payload_id": self.payload_id,
            **_request_json(request),
            "status": self.status,
            "media_type": self.media_type,
            "byte_count": self.byte_count,
            "fetched_at": self.fetched_at.isoformat(),
            "known_at": self.known_at.isoformat(),
            "run_id": self.run_id,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FetchRecord:
        """Reads what `to_json` wrote."""
        request = FetchRequest(
            source=data["source"],
            parser=data["parser"],
            dataset=Dataset(data["dataset"]),
            subject=data["subject"],
            url=data["url"],
            params=data["params"],
            start=dt.date.fromisoformat(data["start"]) if data["start"] else None,
            end=dt.date.fromisoformat(data["end"]) if data["end"] else None,
        )
        return cls(
            fetch_id=data["fetch_id"],
            payload_id=data["payload_id"],
            request=request,
            status=data["status"],
            media_type=data["media_type"],
            byte_count=data["byte_count"],
            fetched_at=dt.datetime.fromisoformat(data["fetched_at"]),
            known_at=dt.datetime.fromisoformat(data["known_at"]),
            run_id=data["run_id"],
        )


@dataclass(frozen=True)
class ActionRecord:
    """What a person did with a row in quarantine, as in ``ops_quarantine_action``. ``acted_at`` is aware and in UTC."""

    action_id: str
    fetch_id: str
    table_name: str
    row_key: str
    rule: str
    action: str
    reason: str
    acted_by: str
    acted_at: dt.datetime
    outcome: str

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types; `from_json` reads it back."""
        return {**dataclasses.asdict(self), "acted_at": self.acted_at.isoformat()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ActionRecord:
        """Reads what `to_json` wrote."""
        return cls(**{**data, "acted_at": dt.datetime.fromisoformat(data["acted_at"])})


def _request_json(request: FetchRequest) -> dict[str, Any]:
    return {
        "source": request.source,
        "parser": request.parser,
        "dataset": request.dataset.value,
        "subject": request.subject,
        "url": request.url,
        "params": dict(request.params),
        "start": request.start.isoformat() if request.start else None,
        "end": request.end.isoformat() if request.end else None,
    }


class Archive:
    """A payload store in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.packs = Packs(directory / "packs")

    def store(self, payload: Payload, *, known_at: dt.datetime | None = None, run_id: str | None = None) -> FetchRecord:
        """Writes bytes and record, durably, and returns the record. Storing the same again changes nothing.

        Args:
            payload: what came.
            known_at: aware time from which its facts count as known; default: the fetch time.
            run_id: the run that fetched it.
        """
        known_at = (known_at or payload.fetched_at).astimezone(dt.UTC)
        record = FetchRecord(
            fetch_id=_fetch_id(payload.payload_id, payload.request, known_at),
            payload_id=payload.payload_id,
            request=payload.request,
            status=payload.status,
            media_type=payload.media_type,
            byte_count=len(payload.body),
            fetched_at=payload.fetched_at.astimezone(dt.UTC),
            known_at=known_at,
            run_id=run_id,
        )
        # Bytes first: a record never points to bytes that are not there.
        path = self.object_path(record.payload_id)
        if not _is_kept(path) and self.packs.find(record.payload_id) is None:
            write_new(path, payload.body)
        text = json.dumps(record.to_json(), ensure_ascii=False, sort_keys=True, indent=1)
        write_new(self._record_path(record), text.encode())
        return record

    def read(self, payload_id: str) -> bytes:
        """The bytes of a payload, their hash verified.

        Raises:
            ArchiveDamagedError: the bytes are missing or are not those that were stored.
        """
        path = self.object_path(payload_id)
        try:
            body = _read_file(path)
        except FileNotFoundError:
            # Packed perhaps since it was written, and then only in the pack.
            place = self.packs.find(payload_id)
            if place is None:
                unread = "".join(f" {damage}" for damage in self.packs.damaged.values())
                raise ArchiveDamagedError(
                    f"payload {payload_id}: {path} is missing.{unread} Fix: restore the archive."
                ) from None
            path, body = place.pack, place.read()
        actual = hashlib.sha256(body).hexdigest()
        if actual != payload_id:
            raise ArchiveDamagedError(
                f"payload {payload_id}: {path} now has SHA-256 {actual}; it was changed after it was stored. "
                "Fix: restore the file from a backup; nothing is read from it until then."
            )
        return body

    def payload(self, record: FetchRecord) -> Payload:
        """The payload as it came, for parsing again."""
        body = self.read(record.payload_id)
        return Payload(record.request, body, record.media_type, record.status, record.fetched_at)

    def records(self, since: dt.date | None = None) -> Iterator[FetchRecord]:
        """Every fetch stored, in order of known time, then of payload; only those fetched on or after `since` (UTC).

        Raises:
            ArchiveDamagedError: the record of a fetch can no longer be read, or is not what was stored.
        """
        first = f"{since:%Y/%m/%d}" if since else ""
        root = self.directory / "fetches"
        found = [
            read_record(path)
            for day in root.glob("*/*/*")
            if day.relative_to(root).as_posix() >= first
            for path in day.glob("*.json")
        ]
        yield from sorted(found, key=lambda record: (record.known_at, record.payload_id, record.fetch_id))

    def payload_ids(self) -> list[str]:
        """The ids of all payloads stored, in order."""
        return sorted({*self.loose_ids(), *self.packs.ids()})

    def loose_ids(self) -> Iterator[str]:
        """The ids of the payloads that are files of their own, in no order."""
        for path in (self.directory / "objects").glob("??/*"):
            if len(path.name) == _ID_LENGTH:
                yield path.name

    def record_paths(self) -> Iterator[Path]:
        """The files of all fetches, day by day."""
        for day in sorted((self.directory / "fetches").glob("*/*/*")):
            yield from sorted(day.glob("*.json"))

    def damages(self, sample: int | None = None) -> Iterator[tuple[str, str]]:
        """What is no longer as it was stored: a payload's or a fetch's id, and what is wrong with it.

        Args:
            sample: look at so many payloads, chosen at random, instead of all; records of fetches are all looked at.
        """
        wanted = set(self.payload_ids())
        for path in self.record_paths():
            try:
                wanted.add(read_record(path).payload_id)
            except ArchiveDamagedError as error:
                yield path.stem, str(error)
        chosen = sorted(wanted)
        if sample is not None and sample < len(chosen):
            chosen = sorted(random.sample(chosen, sample))
        for payload_id in chosen:
            try:
                self.read(payload_id)
            except ArchiveDamagedError as error:
                yield payload_id, str(error)

    def store_action(self, record: ActionRecord) -> None:
        """Writes down, durably, what was decided about a row; storing the same again changes nothing."""
        text = json.dumps(record.to_json(), ensure_ascii=False, sort_keys=True, indent=1)
        day = record.acted_at.strftime("%Y/%m/%d")
        write_new(self.directory / "actions" / day / f"{record.action_id}.json", text.encode())

    def actions(self) -> list[ActionRecord]:
        """Everything that was decided about rows, oldest first.

        Raises:
            ArchiveDamagedError: the record of an action can no longer be read.
        """
        found = []
        for path in (self.directory / "actions").glob("*/*/*/*.json"):
            try:
                found.append(ActionRecord.from_json(json.loads(path.read_text())))
            except (ValueError, KeyError, TypeError) as error:
                raise ArchiveDamagedError(f"action {path.stem}: {path} cannot be read: {error}. {_RESTORE}") from error
        return sorted(found, key=lambda record: (record.acted_at, record.action_id))

    @property
    def profile(self) -> str | None:
        """Whose data is stored, as `state_profile` was told first; ``None`` if it never was."""
        path = self.directory / "profile"
        return path.read_text().strip() if path.exists() else None

    def state_profile(self, profile: str) -> None:
        """Writes down whose data is stored, unless that is written down already."""
        write_new(self.directory / "profile", f"{profile}\n".encode())

    def object_path(self, payload_id: str) -> Path:
        """Where a payload is that is a file of its own."""
        return self.directory / "objects" / payload_id[:2] / payload_id

    def _record_path(self, record: FetchRecord) -> Path:
        day = record.fetched_at.strftime("%Y/%m/%d")
        return self.directory / "fetches" / day / f"{record.fetch_id}.json"


def _fetch_id(payload_id: str, request: FetchRequest, known_at: dt.datetime) -> str:
    identity = json.dumps(
        [payload_id, _request_json(request), known_at.isoformat()], sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(identity.encode()).hexdigest()


def read_record(path: Path) -> FetchRecord:
    """The record of a fetch.

    Raises:
        ArchiveDamagedError: it cannot be read, or is not what was stored.
    """
    try:
        record = FetchRecord.from_json(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveDamagedError(f"fetch {path.stem}: {path} cannot be read: {error}. {_RESTORE}") from error
    if _fetch_id(record.payload_id, record.request, record.known_at) != path.stem:
        raise ArchiveDamagedError(f"fetch {path.stem}: {path} was changed after it was stored. {_RESTORE}")
    return record


def _read_file(path: Path) -> bytes:
    """The bytes of a plain file; a link could lead to anything.

    Raises:
        FileNotFoundError: there is none.
        ArchiveDamagedError: it is a link.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ArchiveDamagedError(f"{path} is a link; nothing is read through it. {_RESTORE}") from None
    with os.fdopen(handle, "rb") as file:
        return file.read()


def _is_kept(path: Path) -> bool:
    """Whether a file is there and stays: one that is old enough to be removed as an orphan is made young."""
    try:
        if time.time() - path.lstat().st_mtime > ORPHAN_SECONDS / 2:
            os.utime(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
