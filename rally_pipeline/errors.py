"""The errors a user can meet, each with the exit code of the command line.

Belongs here: exception types shared by more than one room. Does not belong here: how an error is shown
(`cli.py`) or what is done after one (`ingest.py`, `orchestration/`).
"""

from __future__ import annotations

from dataclasses import dataclass


class RallyError(Exception):
    """Base of everything this project raises on purpose; shown as one line, without a traceback."""

    exit_code = 1


class UsageError(RallyError):
    """The caller asked for something that cannot be: wrong argument, wrong setting, wrong catalog entry."""

    exit_code = 2


class CatalogError(UsageError):
    """A catalog entry is wrong; the message names the file, the entry, the field and the fix."""


class ProfileMismatchError(UsageError):
    """Demo data and live data may not share a warehouse."""


class SchemaVersionError(UsageError):
    """The warehouse was written by another version of the project and cannot be used as it is."""


class CalendarHorizonError(RallyError):
    """A day lies beyond what a market's calendar knows; nobody can say whether it is a session."""


class ArchiveDamagedError(RallyError):
    """Archived bytes no longer have the hash under which they were stored."""


class BusyError(RallyError):
    """Somebody else has it, and did not let go of it in time."""


class PublishError(RallyError):
    """Nothing was published; what was published before is as it was."""


@dataclass(eq=False)
class PayloadError(RallyError):
    """A whole payload is refused: nothing of it may be loaded.

    Attributes:
        rule: stable snake_case name of the rule that was broken, e.g. ``ticker_matches``.
        message: what is wrong, with the values seen.
        fix: what the user can do about it.
        locator: where in the payload (``line 3``, ``chart.result``); empty for the payload as a whole.
    """

    rule: str
    message: str
    fix: str = ""
    locator: str = ""

    def __str__(self) -> str:
        where = f"{self.locator}: " if self.locator else ""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{where}{self.message} [rule {self.rule}]{fix}"


class FetchError(RallyError):
    """An upstream did not give a usable answer."""


class PermanentFetchError(FetchError):
    """Asking again will not help: unknown symbol, gone file, refused request, answer too large."""


class BlockedFetchError(PermanentFetchError):
    """The upstream does not let us in (401, 403), or what came is no answer (a page, broken JSON): that says nothing of
    what it has.
    """


class RetryableFetchError(FetchError):
    """Asking again later may help: connection lost, time-out, 5xx."""


class RateLimitedError(RetryableFetchError):
    """The upstream said 429; it is left alone for the rest of the run."""
