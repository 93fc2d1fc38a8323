"""What an alert is, what is told of it, and what a target does.

Belongs here: those types, shared by all of the room. Does not belong here: any one problem or target.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from rally_pipeline.errors import RallyError

#: Longest identity of a problem; one that is longer is cut, with a hash of all of it.
_PROBLEM_CHARACTERS = 200
_TITLE_CHARACTERS = 200
_TEXT_CHARACTERS = 2_000
_MEMBERS = 40


class DeliveryError(RallyError):
    """A target did not take a notice; it is tried again. The text holds no secret."""


@dataclass(frozen=True)
class Alert:
    """Something that is wrong now.

    Attributes:
        kind: what is wrong, of `schema.ops_alerts.ALERT_KINDS`.
        key: what it is about; the same as long as it is the same problem.
        severity: ``error``: figures are missing or wrong; ``warn``: somebody should look.
        title: it in a line.
        text: more about it, a few lines at most.
        since: since when it is so, aware, UTC; ``None`` = unknown.
        link: where to look; empty = nowhere in particular.
    """

    kind: str
    key: str
    severity: str
    title: str
    text: str = ""
    since: dt.datetime | None = None
    link: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _identity(self.key))
        object.__setattr__(self, "title", cut(one_line(self.title), _TITLE_CHARACTERS) or self.kind)
        object.__setattr__(self, "text", cut(_sayable(self.text).strip(), _TEXT_CHARACTERS))


@dataclass(frozen=True)
class Notice:
    """What is told: a problem, that it is still there, that it is gone, or a sign of life.

    Attributes:
        notice_id: the same at every try, so that whoever gets it twice can tell.
        thread_id: the same for everything that is told of one appearance of a problem.
        stage: of `schema.ops_alerts.NOTICE_STAGES`.
        kind, problem, severity, title, text, link: as of `Alert`; ``problem`` is its key.
        made_at: when there was something to tell; aware, UTC.
        members: the notices that this one tells together; empty = only itself.
    """

    notice_id: str
    thread_id: str
    stage: str
    kind: str
    problem: str
    severity: str
    title: str
    text: str
    link: str
    made_at: dt.datetime
    members: tuple[Notice, ...] = field(default=())

    @property
    def headline(self) -> str:
        """One line that says what kind of notice it is, and about what."""
        return f"{_HEADS.get(self.stage, self.stage)}: {self.title}"


_HEADS = {"problem": "PROBLEM", "reminder": "STILL A PROBLEM", "recovered": "RECOVERED", "heartbeat": "ALIVE"}


class Target(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """Of `schema.ops_alerts.ALERT_TARGETS`."""

    def send(self, notice: Notice, timeout_seconds: float) -> None:
        """Tells a notice; returns when the target has taken it.

        Raises:
            DeliveryError: it has not, or it did not say so within the timeout of one exchange.
        """

    def abort(self) -> None:
        """Ends a `send` that goes on in another thread, if there is one."""


def together(notices: Iterable[Notice]) -> Notice:
    """One notice that tells several."""
    members = tuple(notices)
    last = members[-1]
    lines = [f"• {one.headline}" for one in members[:_MEMBERS]]
    if len(members) > _MEMBERS:
        lines.append(f"… and {len(members) - _MEMBERS} more; `rally-pipeline alerts` lists what is wrong now")
    said = {stage: sum(one.stage == stage for one in members) for stage in dict.fromkeys(one.stage for one in members)}
    made = hashlib.sha256("\n".join(one.notice_id for one in members).encode()).hexdigest()
    return Notice(
        notice_id=made,
        thread_id=made,
        stage="problem" if "problem" in said else last.stage,
        kind=last.kind,
        problem=last.problem,
        severity="error" if any(one.severity == "error" for one in members) else "warn",
        title=f"{len(members)} notices: " + ", ".join(f"{count} {stage}" for stage, count in said.items()),
        text="\n".join(lines),
        link=last.link,
        made_at=last.made_at,
        members=members,
    )


def notice_id(*parts: object) -> str:
    """SHA-256 over what a notice is about."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()


def one_line(text: str) -> str:
    """The text without line ends and control characters: names come from files."""
    return " ".join("".join(c if c.isprintable() else " " for c in _sayable(text)).split())


def cut(text: str, most: int) -> str:
    """The beginning of the text, with a mark where something is left out."""
    return text if len(text) <= most else text[: most - 2].rstrip() + " …"


def _sayable(text: str) -> str:
    """The text as every database and target takes it: no half characters, no control characters but line ends."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in whole)


def _identity(key: str) -> str:
    said = one_line(key)
    if said == key and 0 < len(said) <= _PROBLEM_CHARACTERS:
        return said
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{said[: _PROBLEM_CHARACTERS - 13]} {digest}".strip()
