"""Waiting for others: who has something, saying so while one waits for it, and files that are held by one process.

Belongs here: locks between the processes of one machine, and the words about them. Does not belong here: the lock of a
warehouse (`warehouse/engine.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rally_pipeline.errors import BusyError

try:
    import fcntl
except ImportError:  # pragma: no cover - not a POSIX system: there, two at once are not kept apart by files
    fcntl = None  # type: ignore[assignment]

Tell = Callable[[str], None]

#: A wait shorter than this is not worth a word.
QUIET_SECONDS = 1.0
_POLL_SECONDS = 0.02
_WORD = re.compile(r"[a-z][a-z_-]*")


def say(text: str) -> None:
    """Writes a line to standard error, for people; where nobody said how they want to be told."""
    with contextlib.suppress(OSError, ValueError):  # it may be closed, and nothing fails for that
        # On a terminal a line of progress may stand there.
        print(f"\r\x1b[K{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


def command() -> str:
    """What this process does, without its arguments: ``rally-pipeline import prices``."""
    program = Path(sys.argv[0] if sys.argv and sys.argv[0] else "python")
    name = program.parent.name if program.stem == "__main__" else program.stem
    if "rally_pipeline" in program.parts:
        name = "rally-pipeline"
    words = []
    for argument in sys.argv[1:3]:
        if not _WORD.fullmatch(argument):
            break
        words.append(argument)
    return " ".join([name.strip("-") or "python", *words])


def wait_for(
    attempt: Callable[[float], bool],
    holder: Callable[[], str],
    *,
    what: str,
    timeout_seconds: float,
    tell: Tell,
    fix: str = "try again when it is done, or raise RALLY_LOCK_TIMEOUT_SECONDS",
) -> float:
    """Waits for something that somebody else has, and says for whom once that takes long enough to wonder.

    Args:
        attempt: tries to get it for so many seconds, and says whether it did.
        holder: says who has it, for people.
        what: is waited for.
        timeout_seconds: how long at most; ``math.inf`` = as long as it takes.
        tell: gets a line when the wait is worth one, and one when it is over.
        fix: what can be done if it takes too long.

    Returns:
        How many seconds it took.

    Raises:
        BusyError: it was not free in time; names who has it and the setting.
    """
    began = time.monotonic()
    if attempt(min(QUIET_SECONDS, timeout_seconds)):
        return time.monotonic() - began
    if timeout_seconds > QUIET_SECONDS:
        limit = "" if math.isinf(timeout_seconds) else f"; for at most {timeout_seconds:g} s"
        tell(f"waiting for {what}: {holder()}{limit}")
        if attempt(max(0.0, timeout_seconds - (time.monotonic() - began))):
            waited = time.monotonic() - began
            tell(f"waited {waited:.1f} s for {what}")
            return waited
    raise BusyError(f"{what} did not finish within {timeout_seconds:g} s: {holder()}. Fix: {fix}.")


class FileLock:
    """A file that one process at a time holds; it says in the file who it is.

    The system lets go of it when the process ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self, seconds: float) -> bool:
        """Tries for so many seconds; says whether it is held now.

        Raises:
            OSError: the file cannot be made or opened.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        deadline = time.monotonic() + seconds
        try:
            while not _is_locked(file):
                if time.monotonic() >= deadline:
                    os.close(file)
                    return False
                time.sleep(_POLL_SECONDS)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        now = dt.datetime.now(dt.UTC)
        said = {"pid": os.getpid(), "host": socket.gethostname(), "what": command(), "since": now.isoformat()}
        with contextlib.suppress(OSError):  # a full disk: it is held all the same, by somebody without a name
            # What stood there is written over and not cut off: file systems put a file on the disk at once that was
            # cut to nothing and written again, which takes longer than most of what is done under a lock.
            os.pwrite(file, json.dumps(said).encode().ljust(os.fstat(file).st_size), 0)
        return True

    def release(self) -> None:
        """Lets go of it; nothing if it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def holder(self) -> str:
        """Who holds it, as they say themselves."""
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
            since = dt.datetime.fromisoformat(said["since"])
            return holder_text(f"{said['what']}, PID {int(said['pid'])} on {said['host']}", since)
        except (OSError, ValueError, KeyError, TypeError):
            return "a process that does not say who it is"


def holder_text(who: str, since: dt.datetime) -> str:
    """Who has something and since when, in UTC."""
    return f"{who}, since {since.astimezone(dt.UTC):%H:%M:%S} UTC"


def _is_locked(file: int) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextlib.contextmanager
def only_one(path: Path, timeout_seconds: float, *, what: str, tell: Tell = say) -> Iterator[None]:
    """Holds the lock file at `path`, whose folder is made: one process at a time does what is done meanwhile.

    Args:
        path: the file; it stays.
        timeout_seconds: how long others are waited for; ``math.inf`` = as long as it takes.
        what: is waited for, for people.
        tell: gets a line if that takes long enough to wonder.

    Raises:
        BusyError: another process did not let go of it in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    wait_for(lock.acquire, lock.holder, what=what, timeout_seconds=timeout_seconds, tell=tell)
    try:
        yield
    finally:
        lock.release()
