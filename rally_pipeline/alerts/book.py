"""The book: which problems have been told, and what is still to be told to whom.

`settle` is the rule, without a database: a problem that appears is told once, again after some days if it stays, and
once more when it is gone. What is told is written down with the change itself, one row per target, before anybody is
asked to take it; so a crash loses nothing, and a target that was away gets it later. Belongs here: ``ops_alert`` and
``ops_alert_notice``. Does not belong here: what is a problem (`problems.py`), or the telling (`delivery.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rally_pipeline.alerts.model import Alert, Notice, notice_id
from rally_pipeline.alerts.problems import GONE
from rally_pipeline.schema.ops_alerts import HEARTBEAT, ops_alert, ops_alert_notice

#: What could not be told for so long is not told any more.
_GIVEN_UP_AFTER = dt.timedelta(days=14)
#: Who claimed a notice and said nothing for so long is taken to be dead.
_CLAIM = dt.timedelta(minutes=15)
#: Notices handed out for one target at once.
_AT_ONCE = 500

Key = tuple[str, str]


@dataclass(frozen=True)
class Standing:
    """A problem that has been told and is not gone: as it was when last seen."""

    alert: Alert
    first_seen_at: dt.datetime
    last_notice_at: dt.datetime
    notice_count: int

    @property
    def key(self) -> Key:
        """Kind and key of the problem."""
        return self.alert.kind, self.alert.key


@dataclass(frozen=True)
class Settled:
    """What follows from what is wrong now: problems that are new, that are to be told again, that are merely seen
    again, and that are gone.
    """

    new: tuple[Alert, ...]
    again: tuple[tuple[Standing, Alert], ...]
    seen: tuple[tuple[Standing, Alert], ...]
    gone: tuple[Standing, ...]


def settle(
    standing: Iterable[Standing], current: Mapping[str, Sequence[Alert]], now: dt.datetime, remind_after: dt.timedelta
) -> Settled:
    """Compares what is wrong now with what stands.

    Args:
        standing: the problems that have been told and are not gone.
        current: what is wrong now, by kind. A kind that is not in it was not looked for: its problems stay as they are.
        now: the time.
        remind_after: how long after it was told a problem is told again.
    """
    found = {(alert.kind, alert.key): alert for alerts in current.values() for alert in alerts}
    again: list[tuple[Standing, Alert]] = []
    seen: list[tuple[Standing, Alert]] = []
    gone = []
    known = set()
    for one in standing:
        known.add(one.key)
        alert = found.get(one.key)
        if alert is not None:
            # A clock that was ahead when it was told must not silence what stays.
            is_due = now - one.last_notice_at >= remind_after or one.last_notice_at > now
            (again if is_due else seen).append((one, alert))
        elif one.alert.kind in current:
            gone.append(one)
    new = [alert for key, alert in found.items() if key not in known]
    return Settled(tuple(new), tuple(again), tuple(seen), tuple(gone))


def read_standing(connection: sa.Connection) -> list[Standing]:
    """The problems that have been told and are not gone, oldest first."""
    query = (
        sa.select(ops_alert)
        .where(ops_alert.c.recovered_at.is_(None))
        .order_by(ops_alert.c.first_seen_at, ops_alert.c.kind, ops_alert.c.problem)
    )
    return [
        Standing(
            Alert(
                *(row[name] for name in ("kind", "problem", "severity", "title", "text", "since_at", "link")),
            ),
            row["first_seen_at"],
            row["last_notice_at"],
            row["notice_count"],
        )
        for row in connection.execute(query).mappings()
    ]


def write_settled(
    connection: sa.Connection, settled: Settled, now: dt.datetime, targets: Collection[str]
) -> list[Notice]:
    """Writes down what was settled and what is to be told to each of the targets; returns what is to be told."""
    notices = []
    for alert in settled.new:
        notices.append(_notice("problem", alert, now, 1, now))
        connection.execute(
            sa.insert(ops_alert).values(
                kind=alert.kind,
                problem=alert.key,
                first_seen_at=now,
                notice_count=1,
                last_notice_at=now,
                sent_at=None,
                recovered_at=None,
                **_as_seen(alert, now),
            )
        )
    for one, alert in settled.again:
        notices.append(_notice("reminder", alert, one.first_seen_at, one.notice_count + 1, now))
        told = {"notice_count": one.notice_count + 1, "last_notice_at": now}
        connection.execute(_update(one).values(**_as_seen(alert, now), **told))
    for one, alert in settled.seen:
        connection.execute(_update(one).values(**_as_seen(alert, now)))
    for one in settled.gone:
        notices.append(_notice("recovered", one.alert, one.first_seen_at, 1, now))
        connection.execute(_update(one).values(recovered_at=now))
    _write_notices(connection, ((notice, _appeared(notice, settled, now)) for notice in notices), targets)
    return notices


def _as_seen(alert: Alert, now: dt.datetime) -> dict[str, Any]:
    return {
        "last_seen_at": now,
        "severity": alert.severity,
        "title": alert.title,
        "text": alert.text,
        "since_at": alert.since,
        "link": alert.link,
    }


def _update(one: Standing) -> sa.Update:
    return sa.update(ops_alert).where(
        ops_alert.c.kind == one.alert.kind,
        ops_alert.c.problem == one.alert.key,
        ops_alert.c.first_seen_at == one.first_seen_at,
    )


def _appeared(notice: Notice, settled: Settled, now: dt.datetime) -> dt.datetime:
    for one in (*(standing for standing, _ in settled.again), *settled.gone):
        if one.key == (notice.kind, notice.problem):
            return one.first_seen_at
    return now


def _notice(stage: str, alert: Alert, first_seen_at: dt.datetime, number: int, now: dt.datetime) -> Notice:
    text = alert.text
    if stage == "recovered":
        text = f"{GONE.get(alert.kind, 'it is gone')}; it was seen for {_duration(now - first_seen_at)}"
    elif alert.since is not None:
        text = f"{text}\nsince {alert.since:%Y-%m-%d %H:%M} UTC".strip()
    return Notice(
        notice_id=notice_id(alert.kind, alert.key, first_seen_at.isoformat(), stage, number),
        thread_id=notice_id(alert.kind, alert.key, first_seen_at.isoformat(), "problem", 1),
        stage=stage,
        kind=alert.kind,
        problem=alert.key,
        severity=alert.severity,
        title=alert.title,
        text=text,
        link=alert.link,
        made_at=now,
    )


def _duration(length: dt.timedelta) -> str:
    minutes = max(0, int(length.total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


# --- the sign of life


def heartbeat_due(connection: sa.Connection, now: dt.datetime, hour: int) -> bool:
    """Whether the sign of life of this day (UTC) is still to be sent, and its hour has come."""
    if now.hour < hour:
        return False
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    made = sa.select(sa.literal(1)).where(
        ops_alert_notice.c.stage == HEARTBEAT, ops_alert_notice.c.made_at.between(midnight, now)
    )
    return connection.execute(made.limit(1)).first() is None


def write_heartbeat(
    connection: sa.Connection, now: dt.datetime, standing: Sequence[Alert], text: str, targets: Collection[str]
) -> None:
    """Writes down a sign of life to be sent; one of an earlier day that nobody took is given up."""
    table = ops_alert_notice
    connection.execute(
        sa.update(table)
        .where(table.c.stage == HEARTBEAT, table.c.delivered_at.is_(None), table.c.given_up_at.is_(None))
        .values(given_up_at=now, claimed_until_at=None)
    )
    count = f"{len(standing)} problems" if len(standing) != 1 else "1 problem"
    identity = notice_id(HEARTBEAT, now.isoformat())
    notice = Notice(
        notice_id=identity,
        thread_id=identity,
        stage=HEARTBEAT,
        kind=HEARTBEAT,
        problem=f"{now:%Y-%m-%d}",
        severity="warn",
        title=f"alerts are delivered; {count if standing else 'no problem'} now",
        text="\n".join([*(f"• {alert.title}" for alert in standing[:10]), text]).strip(),
        link="",
        made_at=now,
    )
    _write_notices(connection, [(notice, now)], targets)


# --- what is to be told


def _write_notices(
    connection: sa.Connection, notices: Iterable[tuple[Notice, dt.datetime]], targets: Collection[str]
) -> None:
    rows = [
        {
            "notice_id": notice.notice_id,
            "target": target,
            "kind": notice.kind,
            "problem": notice.problem,
            "first_seen_at": first_seen_at,
            "stage": notice.stage,
            "severity": notice.severity,
            "title": notice.title,
            "text": notice.text,
            "link": notice.link,
            "made_at": notice.made_at,
            "attempts": 0,
            "claimed_until_at": None,
            "delivered_at": None,
            "given_up_at": None,
            "failure": "",
        }
        for notice, first_seen_at in notices
        for target in targets
    ]
    if rows:
        connection.execute(sa.insert(ops_alert_notice), rows)


def claim(connection: sa.Connection, now: dt.datetime, targets: Collection[str]) -> dict[str, list[Notice]]:
    """What is to be told to each target, oldest first, for whoever calls to tell: nobody else gets it meanwhile.

    What is older than two weeks is given up.
    """
    table = ops_alert_notice
    connection.execute(
        sa.update(table)
        .where(*_to_tell(now), table.c.made_at < now - _GIVEN_UP_AFTER)
        .values(given_up_at=now, claimed_until_at=None)
    )
    claimed: dict[str, list[Notice]] = {}
    for target in targets:
        query = (
            sa.select(table)
            .where(*_to_tell(now), table.c.target == target)
            .order_by(table.c.made_at, table.c.first_seen_at, table.c.stage, table.c.kind, table.c.problem)
            .limit(_AT_ONCE)
        )
        rows = list(connection.execute(query).mappings())
        if not rows:
            continue
        claimed[target] = [_told(row) for row in rows]
        _set(connection, target, claimed[target], claimed_until_at=now + _CLAIM, attempts=table.c.attempts + 1)
    return claimed


def _to_tell(now: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    table = ops_alert_notice
    is_free = sa.or_(
        table.c.claimed_until_at.is_(None),
        table.c.claimed_until_at < now,
        # A clock that was set back must not hold a claim for longer than it was meant.
        table.c.claimed_until_at > now + _CLAIM,
    )
    return table.c.delivered_at.is_(None), table.c.given_up_at.is_(None), is_free


def _for(targets: Collection[str]) -> sa.ColumnElement[bool]:
    return ops_alert_notice.c.target.in_(list(targets))


def write_delivered(
    connection: sa.Connection,
    target: str,
    delivered: Sequence[Notice],
    left: Sequence[Notice],
    failure: str,
    now: dt.datetime,
) -> None:
    """Writes down what a target has taken, and what it has not, with the reason."""
    _set(connection, target, delivered, delivered_at=now, claimed_until_at=None, failure="")
    _set(connection, target, left, claimed_until_at=None, failure=failure)
    for notice in delivered:
        if notice.stage == "problem":
            _mark_sent(connection, notice, now)


def _mark_sent(connection: sa.Connection, notice: Notice, now: dt.datetime) -> None:
    told, alert = ops_alert_notice, ops_alert
    row = connection.execute(
        sa.select(told.c.first_seen_at).where(told.c.notice_id == notice.notice_id).limit(1)
    ).first()
    waiting = sa.select(sa.literal(1)).where(told.c.notice_id == notice.notice_id, told.c.delivered_at.is_(None))
    if row is None or connection.execute(waiting).first() is not None:
        return
    connection.execute(
        sa.update(alert)
        .where(
            alert.c.kind == notice.kind, alert.c.problem == notice.problem, alert.c.first_seen_at == row.first_seen_at
        )
        .values(sent_at=now)
    )


def _set(connection: sa.Connection, target: str, notices: Sequence[Notice], **values: Any) -> None:
    table = ops_alert_notice
    if notices:
        ids = [notice.notice_id for notice in notices]
        chosen = sa.update(table).where(table.c.target == target, table.c.notice_id.in_(ids))
        connection.execute(chosen.values(**values))


def _told(row: Any) -> Notice:
    return Notice(
        notice_id=row["notice_id"],
        thread_id=row["notice_id"]
        if row["kind"] == HEARTBEAT
        else notice_id(row["kind"], row["problem"], row["first_seen_at"].isoformat(), "problem", 1),
        **{name: row[name] for name in ("stage", "kind", "problem", "severity", "title", "text", "link", "made_at")},
    )


# --- what doctor says


@dataclass(frozen=True)
class TargetState:
    """What is known of a target: when it last took a sign of life and anything at all, what waits for it, and why."""

    target: str
    heartbeat_at: dt.datetime | None
    delivered_at: dt.datetime | None
    waiting: int
    failure: str


def target_states(connection: sa.Connection, targets: Iterable[str]) -> list[TargetState]:
    """The state of each target."""
    table = ops_alert_notice
    found = []
    for target in targets:
        of = table.c.target == target
        waits = (of, table.c.delivered_at.is_(None), table.c.given_up_at.is_(None))
        latest = sa.select(sa.func.max(table.c.delivered_at)).where(of)
        why = sa.select(table.c.failure).where(*waits, table.c.failure != "")
        found.append(
            TargetState(
                target,
                connection.scalar(latest.where(table.c.stage == HEARTBEAT)),
                connection.scalar(latest),
                connection.scalar(sa.select(sa.func.count()).select_from(table).where(*waits)) or 0,
                connection.scalar(why.order_by(table.c.made_at.desc()).limit(1)) or "",
            )
        )
    return found
