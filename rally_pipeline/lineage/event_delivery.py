"""Where OpenLineage events go: a file a day, and a server if one is named; through the package's own transports.

Telling others about a run must not disturb it. The file is written at once; the server is asked by a thread beside the
run, and when the run is over it is waited for no longer than the timeout. A server that fails once, or has not taken
everything by then, gets nothing more from this process. Belongs here: that. Does not belong here: what events say.
"""

from __future__ import annotations

import datetime as dt
import queue
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rally_pipeline.settings import Settings

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.transport import Transport

#: User and password in a URL.
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


class Delivery:
    """Delivers the events of one run.

    Args:
        settings: ``openlineage_*`` of them.
        given_up: set when the server is not asked again; shared by the runs of a process.
    """

    def __init__(self, settings: Settings, given_up: threading.Event) -> None:
        self._file: _DayFile | None = _DayFile(settings.events_file, settings.openlineage_keep_days)
        self._server = _Server(settings, given_up) if settings.openlineage_url and not given_up.is_set() else None
        self._problems: list[str] = []

    def send(self, event: RunEvent) -> None:
        """Writes the event to the file and hands it to the thread that asks the server; raises nothing."""
        if self._file is not None:
            try:
                self._file.write(event)
            except (OSError, RuntimeError) as error:
                self._file = None
                self._problems.append(f"OpenLineage events are not written to the file any more: {error}")
        if self._server is not None:
            self._server.send(event)

    def close(self) -> list[str]:
        """Waits for the server as long as the timeout allows; returns what went wrong, a line each."""
        if self._server is not None and (problem := self._server.close()):
            self._problems.append(problem)
        return self._problems


def _client(transport: Transport) -> OpenLineageClient:
    from openlineage.client import OpenLineageClient

    # Where our code stands we say ourselves; the package would look for a repository around the working directory.
    return OpenLineageClient(transport=transport, config={"facets": {"source_code_location": {"disabled": True}}})


def day_file(path: Path, day: dt.date) -> Path:
    """The file of a day beside `path`: ``openlineage-2025-02-14.jsonl``."""
    return path.with_name(f"{path.stem}-{day.isoformat()}{path.suffix}")


class _DayFile:
    def __init__(self, path: Path, keep_days: int) -> None:
        self._path, self._keep = path, dt.timedelta(days=keep_days)
        self._day: dt.date | None = None
        self._client: Any = None

    def write(self, event: RunEvent) -> None:
        today = dt.datetime.now(dt.UTC).date()
        if today != self._day:
            from openlineage.client.transport.file import FileConfig, FileTransport

            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_old(today)
            config = FileConfig(log_file_path=str(day_file(self._path, today)), append=True)
            self._client, self._day = _client(FileTransport(config)), today
        self._client.emit(event)

    def _remove_old(self, today: dt.date) -> None:
        first = day_file(self._path, today - self._keep).name
        name = re.compile(rf"{re.escape(self._path.stem)}-\d{{4}}-\d\d-\d\d{re.escape(self._path.suffix)}")
        for path in self._path.parent.iterdir():
            if name.fullmatch(path.name) and path.name <= first:
                path.unlink(missing_ok=True)


class _Server:
    def __init__(self, settings: Settings, given_up: threading.Event) -> None:
        self._settings, self._given_up = settings, given_up
        self._waiting: queue.SimpleQueue[RunEvent | None] = queue.SimpleQueue()
        self._sent = self._taken = 0
        self._problem = ""
        self._thread = threading.Thread(target=self._work, name="openlineage", daemon=True)

    def send(self, event: RunEvent) -> None:
        if self._given_up.is_set():
            return
        if not self._sent:
            self._thread.start()
        self._sent += 1
        self._waiting.put(event)

    def close(self) -> str:
        """Why not everything was delivered; empty if it was."""
        if not self._sent:
            return ""
        self._waiting.put(None)
        self._thread.join(self._settings.openlineage_timeout_seconds)
        if self._thread.is_alive():
            self._given_up.set()
            self._problem = self._problem or f"no answer within {self._settings.openlineage_timeout_seconds:g} s"
        if not self._problem:
            return ""
        where = _CREDENTIALS.sub("//***@", str(self._settings.openlineage_url))
        return f"{where} took {self._taken} of {self._sent} OpenLineage events: {self._problem}"

    def _work(self) -> None:
        try:
            client = _client(self._transport())
            while (event := self._waiting.get()) is not None and not self._given_up.is_set():
                client.emit(event)
                self._taken += 1
            client.close(0)
        except Exception as error:  # whatever a server can answer is no fault of the run
            self._given_up.set()
            self._problem = _CREDENTIALS.sub("//***@", f"{type(error).__name__}: {error}")[:300]

    def _transport(self) -> Transport:
        from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

        url, key = str(self._settings.openlineage_url), self._settings.openlineage_api_key
        has_path = bool(urlsplit(url).path.strip("/"))
        return HttpTransport(
            HttpConfig(
                url=url,
                endpoint="" if has_path else "api/v1/lineage",
                timeout=self._settings.openlineage_timeout_seconds,
                auth=ApiKeyTokenProvider({"api_key": key.get_secret_value()}) if key else TokenProvider({}),
                retry={"total": 0},
            )
        )
