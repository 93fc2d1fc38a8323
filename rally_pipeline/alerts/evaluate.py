"""One look: what is wrong now, what of it is new or gone, and telling it.

Whoever calls it (a sensor, a person) must not be disturbed by it: nothing is migrated, locks are waited for briefly,
and a target that fails fails nothing. Belongs here: the order of the steps, opening a warehouse for it, and what is
done when there is none. Does not belong here: any of the steps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rally_pipeline.alerts import book
from rally_pipeline.alerts.delivery import deliver
from rally_pipeline.alerts.model import Alert, Notice, Target, cut, notice_id, one_line
from rally_pipeline.alerts.problems import Look, look_for_all
from rally_pipeline.alerts.targets import targets_of
from rally_pipeline.archive import Archive
from rally_pipeline.catalog import load_catalog
from rally_pipeline.errors import RallyError
from rally_pipeline.schema import ops
from rally_pipeline.sessions import Calendars
from rally_pipeline.settings import Profile, Settings
from rally_pipeline.warehouse.engine import WarehouseError, normalise_url, open_warehouse
from rally_pipeline.warehouse.schema_version import HEAD, current_revision, read_statement
from rally_pipeline.workspace import Workspace

#: A look waits no longer for another writer, or for a server that does not answer.
_LOCK_SECONDS = 5.0
_CONNECT_SECONDS = 5
#: Where it is kept that the warehouse was away, and who was told.
_AWAY_FILE = "warehouse_away.json"


@dataclass(frozen=True)
class Evaluation:
    """What came of a look.

    Attributes:
        problems: what is wrong now, worst and oldest first.
        new, recovered, reminded: how many notices of each stage there were to tell.
        delivered: notices that a target took, by target.
        failures: why a target did not take the rest, by target.
        note: why nothing could be looked at; empty = it could.
    """

    problems: tuple[Alert, ...] = ()
    new: int = 0
    recovered: int = 0
    reminded: int = 0
    delivered: Mapping[str, int] = dataclasses.field(default_factory=dict)
    failures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is in error and everything was delivered."""
        return not self.failures and all(alert.severity != "error" for alert in self.problems)

    def summary(self) -> str:
        """It in a line."""
        if self.note:
            return self.note
        parts = [f"{len(self.problems)} problems"]
        parts += [
            f"{count} {what}"
            for count, what in ((self.new, "new"), (self.reminded, "told again"), (self.recovered, "recovered"))
            if count
        ]
        parts += [f"{count} delivered to {target}" for target, count in self.delivered.items() if count]
        parts += [f"not delivered: {failure}" for failure in self.failures.values()]
        return ", ".join(parts)


#: Gives problems that only the caller can see, by kind; a kind that it does not give was not looked for.
Others = Callable[[sa.Connection], Mapping[str, Sequence[Alert]]]


def utc_now() -> dt.datetime:
    """The time; aware, UTC."""
    return dt.datetime.now(dt.UTC)


class NotMadeError(RallyError):
    """There is no warehouse yet, or one of another version: nothing can be said of it."""


@contextlib.contextmanager
def open_for_look(settings: Settings) -> Iterator[Workspace]:
    """Opens an existing warehouse as it is.

    Raises:
        NotMadeError: there is none yet, or it is of another schema version.
        WarehouseError: it cannot be reached.
    """
    url = normalise_url(settings.resolved_warehouse_url)
    if url.get_backend_name() == "sqlite":
        if url.database and not Path(url.database).exists():
            raise NotMadeError("the warehouse is not made yet; the first run or import makes it")
    elif "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS)})
    warehouse = open_warehouse(
        url.render_as_string(hide_password=False),
        lock_timeout_seconds=min(settings.lock_timeout_seconds, _LOCK_SECONDS),
    )
    try:
        with warehouse.read() as connection:
            revision = current_revision(connection)
            if revision != HEAD:
                raise NotMadeError(
                    f"the warehouse has schema version {revision or 'none'}; the next run makes it {HEAD}"
                )
            profile = Profile(read_statement(connection, "profile") or Profile.LIVE)
        catalog = load_catalog(settings.home)
        calendars = Calendars.from_catalog(catalog)
        yield Workspace(settings, catalog, calendars, Archive(settings.archive_dir), warehouse, profile)
    finally:
        warehouse.engine.dispose()


def current_problems(workspace: Workspace, now: dt.datetime, others: Others | None = None) -> dict[str, list[Alert]]:
    """What is wrong now, by kind; nothing is written or told."""
    # The demo world has its own today; everybody else's is that of the clock.
    day = workspace.today() if workspace.profile is Profile.DEMO else now.date()
    with workspace.warehouse.read() as connection:
        standing = book.read_standing(connection)
        open_keys: dict[str, dict[str, dt.datetime | None]] = {}
        for one in standing:
            open_keys.setdefault(one.alert.kind, {})[one.alert.key] = one.alert.since
        found = look_for_all(Look(connection, workspace, now, day, open_keys))
        if others is not None:
            found |= {kind: list(alerts) for kind, alerts in others(connection).items()}
    return found


def evaluate(
    workspace: Workspace,
    *,
    clock: Callable[[], dt.datetime] = utc_now,
    targets: Sequence[Target] | None = None,
    others: Others | None = None,
    heartbeat: bool | None = None,
) -> Evaluation:
    """Looks, writes down what is new and what is gone, and tells what is to be told.

    Args:
        workspace: opened, of the current schema version.
        clock: gives the time; aware, UTC.
        targets: who is told; ``None`` = those that are set.
        others: problems that only the caller can see.
        heartbeat: ``True`` = send a sign of life now, ``False`` = none, ``None`` = once a day.

    Raises:
        WarehouseError: another writer did not finish in time; nothing is lost, the next look tells it.
    """
    settings, now = workspace.settings, clock()
    chosen = targets_of(settings) if targets is None else list(targets)
    names = [target.name for target in chosen]
    found = current_problems(workspace, now, others)
    problems = _worst_first(found, now)
    remind_after = dt.timedelta(days=settings.alert_remind_days)
    with workspace.warehouse.write() as connection:
        # Another look may have written since: what stands now counts.
        settled = book.settle(book.read_standing(connection), found, now, remind_after)
        notices = book.write_settled(connection, settled, now, names)
        if heartbeat or (heartbeat is None and book.heartbeat_due(connection, now, settings.alert_heartbeat_hour)):
            book.write_heartbeat(connection, now, problems, _last_run(connection), names)
        claimed = book.claim(connection, now, names)
    told = deliver(chosen, claimed, settings.alert_timeout_seconds)
    if told:
        with workspace.warehouse.write() as connection:
            at = clock()
            for target, what in told.items():
                failure = settings.masked(what.failure)
                book.write_delivered(connection, target, what.delivered, what.left, failure, at)
    stages = [notice.stage for notice in notices]
    return Evaluation(
        problems=problems,
        new=stages.count("problem"),
        recovered=stages.count("recovered"),
        reminded=stages.count("reminder"),
        delivered={target: len(what.delivered) for target, what in told.items()},
        failures={target: settings.masked(what.failure) for target, what in told.items() if what.left},
    )


def _worst_first(found: Mapping[str, Sequence[Alert]], now: dt.datetime) -> tuple[Alert, ...]:
    problems = (alert for alerts in found.values() for alert in alerts)
    return tuple(sorted(problems, key=lambda one: (one.severity != "error", one.since or now, one.kind, one.key)))


def _last_run(connection: sa.Connection) -> str:
    run = ops.ops_run
    row = connection.execute(sa.select(run).order_by(run.c.started_at.desc()).limit(1)).first()
    return (
        "no run yet" if row is None else f"last run: {row.command}, {row.started_at:%Y-%m-%d %H:%M} UTC, {row.outcome}"
    )


# --- the whole of it, whatever the state of the warehouse


def evaluate_home(
    settings: Settings,
    *,
    clock: Callable[[], dt.datetime] = utc_now,
    targets: Sequence[Target] | None = None,
    others: Others | None = None,
    heartbeat: bool | None = None,
) -> Evaluation:
    """`evaluate` on the home's warehouse. If that cannot be reached, this is told instead, once, and its return.

    Raises:
        UsageError: a setting or the catalog is wrong.
    """
    chosen = targets_of(settings) if targets is None else list(targets)
    away = _Away(settings, chosen)
    try:
        with open_for_look(settings) as workspace:
            away.is_back(clock())
            try:
                return evaluate(workspace, clock=clock, targets=chosen, others=others, heartbeat=heartbeat)
            except WarehouseError as error:  # it can be read: somebody writes
                return Evaluation(note=settings.masked(one_line(str(error))))
    except NotMadeError as error:
        return Evaluation(note=str(error))
    except (WarehouseError, sa.exc.DBAPIError) as error:
        reason = settings.masked(cut(one_line(str(getattr(error, "orig", None) or error)), 300))
        return away.tell(reason, clock())


def look_home(settings: Settings, *, clock: Callable[[], dt.datetime] = utc_now) -> Evaluation:
    """What is wrong now; nothing is written or told.

    Raises:
        WarehouseError: the warehouse cannot be reached.
    """
    try:
        with open_for_look(settings) as workspace:
            now = clock()
            return Evaluation(_worst_first(current_problems(workspace, now), now))
    except NotMadeError as error:
        return Evaluation(note=str(error))


class _Away:
    """That the warehouse cannot be reached: the book is in it, so who was told is kept in a file."""

    def __init__(self, settings: Settings, targets: Sequence[Target]) -> None:
        self._settings, self._targets = settings, targets
        self._path = settings.alerts_dir / _AWAY_FILE

    def tell(self, reason: str, now: dt.datetime) -> Evaluation:
        state = self._read()
        since = dt.datetime.fromisoformat(state.get("since") or now.isoformat())
        state = {"since": since.isoformat(), "told": list(state.get("told", []))}
        alert = Alert("blind_spot", "warehouse", "error", "the warehouse cannot be reached", reason, since)
        waiting = [target for target in self._targets if target.name not in state["told"]]
        delivered, failures = self._deliver(waiting, "problem", alert, since, now)
        self._write({**state, "told": [*state["told"], *delivered]})
        return Evaluation((alert,), int(not state["told"]), delivered=dict.fromkeys(delivered, 1), failures=failures)

    def is_back(self, now: dt.datetime) -> None:
        state = self._read()
        if not state:
            return
        since = dt.datetime.fromisoformat(state["since"])
        alert = Alert("blind_spot", "warehouse", "error", "the warehouse cannot be reached", "", since)
        told = [target for target in self._targets if target.name in state["told"]]
        delivered, _ = self._deliver(told, "recovered", alert, since, now)
        left = [name for name in state["told"] if name not in delivered]
        if left and now - since < dt.timedelta(days=14):
            self._write({**state, "told": left})
        else:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _deliver(
        self, targets: Sequence[Target], stage: str, alert: Alert, since: dt.datetime, now: dt.datetime
    ) -> tuple[list[str], dict[str, str]]:
        identity = notice_id(alert.kind, alert.key, since.isoformat(), "problem", 1)
        notice = Notice(
            notice_id=identity if stage == "problem" else notice_id(alert.kind, alert.key, since.isoformat(), stage, 1),
            thread_id=identity,
            stage=stage,
            kind=alert.kind,
            problem=alert.key,
            severity=alert.severity,
            title=alert.title,
            text=alert.text if stage == "problem" else "it can be reached again",
            link="",
            made_at=now,
        )
        told = deliver(targets, {target.name: [notice] for target in targets}, self._settings.alert_timeout_seconds)
        return [name for name, what in told.items() if what.delivered], {
            name: self._settings.masked(what.failure) for name, what in told.items() if what.left
        }

    def _read(self) -> dict[str, Any]:
        try:
            state = json.loads(self._path.read_text(encoding="utf-8"))
            dt.datetime.fromisoformat(state["since"])
            return {"since": state["since"], "told": [str(name) for name in state["told"]]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _write(self, state: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # then it is told once more
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(state), encoding="utf-8")
