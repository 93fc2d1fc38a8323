"""The raw payload store: every byte ever given, written once under its SHA-256, and what was asked to get it.

``objects/ab/abcd…`` holds the bytes, ``fetches/YYYY/MM/DD/<fetch_id>.json`` the request, the fetch time and the time
from which the facts count as known. Together they are enough to build a warehouse again. Belongs here: storing,
reading, verifying. Does not belong here: what the bytes mean.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rally_pipeline.errors import ArchiveDamagedError
from rally_pipeline.sources.base import Dataset, FetchRequest, Payload


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

    def store(self, payload: Payload, *, known_at: dt.datetime | None = None, run_id: str | None = None) -> FetchRecord:
        """Writes bytes and record, durably, and returns the record. Storing the same again changes nothing.

        Args:
            payload: what came.
            known_at: aware time from which its facts count as known; default: the fetch time.
            run_id: the run that fetched it.
        """
        known_at = (known_at or payload.fetched_at).astimezone(dt.UTC)
        identity = json.dumps(
            [payload.payload_id, _request_json(payload.request), known_at.isoformat()],
            sort_keys=True,
            ensure_ascii=False,
        )
        record = FetchRecord(
            fetch_id=hashlib.sha256(identity.encode()).hexdigest(),
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
        _write_once(self._object_path(record.payload_id), payload.body)
        text = json.dumps(record.to_json(), ensure_ascii=False, sort_keys=True, indent=1)
        _write_once(self._record_path(record), text.encode())
        return record

    def read(self, payload_id: str) -> bytes:
        """The bytes of a payload, their hash verified.

        Raises:
            ArchiveDamagedError: the bytes are missing or are not those that were stored.
        """
        path = self._object_path(payload_id)
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            raise ArchiveDamagedError(f"payload {payload_id}: {path} is missing. Fix: restore the archive.") from None
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
        """Every fetch stored, in order of known time, then of payload; only those fetched on or after `since` (UTC)."""
        first = f"{since:%Y/%m/%d}" if since else ""
        root = self.directory / "fetches"
        found = [
            FetchRecord.from_json(json.loads(path.read_text()))
            for day in root.glob("*/*/*")
            if day.relative_to(root).as_posix() >= first
            for path in day.glob("*.json")
        ]
        yield from sorted(found, key=lambda record: (record.known_at, record.payload_id, record.fetch_id))

    def _object_path(self, payload_id: str) -> Path:
        return self.directory / "objects" / payload_id[:2] / payload_id

    def _record_path(self, record: FetchRecord) -> Path:
        day = record.fetched_at.strftime("%Y/%m/%d")
        return self.directory / "fetches" / day / f"{record.fetch_id}.json"


def _write_once(path: Path, body: bytes) -> None:
    """Writes aside, syncs, renames: a reader sees all of the file or none, also after a crash."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
