"""Says what is set, what is open, what is behind and what needs attention; changes nothing.

Belongs here: looking. Does not belong here: mending.
"""

from __future__ import annotations

import datetime as dt
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from rally_pipeline import __version__
from rally_pipeline.errors import RallyError
from rally_pipeline.schema import ops
from rally_pipeline.settings import Settings

if TYPE_CHECKING:
    from rally_pipeline.workspace import Workspace

State = Literal["ok", "warn", "fail", "info"]

_PACKAGES = ("dagster", "pandas", "SQLAlchemy", "great_expectations", "yfinance", "exchange_calendars")
#: A calendar that ends sooner than this deserves a word.
_HORIZON_WARNING = dt.timedelta(days=60)
_LOW_DISK_BYTES = 2**30
#: Older than this, the last sign of life says that alerts do not arrive.
_HEARTBEAT_WARNING = dt.timedelta(hours=36)


@dataclass(frozen=True)
class Examined:
    """One thing looked at: *ok*, *warn*, *fail*, or just *info*."""

    state: State
    what: str
    value: str


def examine(settings: Settings, *, sample: int | None = None) -> list[Examined]:
    """Looks at everything; a part that cannot be looked at is a *fail*, and the rest is still looked at.

    Args:
        settings: what to look at.
        sample: verify so many archived payloads, chosen at random; default: all.
    """

    def _archive(settings: Settings) -> Iterator[Examined]:
        return _payloads(settings, sample)

    found = list(_settings(settings))
    for part in (_versions, _disk, _catalog_and_calendars, _archive, _warehouse, _missing):
        try:
            found.extend(part(settings))
        except (RallyError, sa.exc.SQLAlchemyError, OSError) as error:
            found.append(
                Examined(
                    "fail", part.__name__.strip("_").replace("_", " "), settings.masked(str(error).splitlines()[0])
                )
            )
    return found


def _settings(settings: Settings) -> Iterator[Examined]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "warehouse_url":
            continue  # shown with its password hidden, below
        text = "unset" if value is None else str(value)
        yield Examined("info", f"RALLY_{name.upper()}", settings.masked(text))


def _versions(_settings: Settings) -> Iterator[Examined]:
    yield Examined("info", "rally-pipeline", __version__)
    yield Examined("info", "python", platform.python_version())
    for package in _PACKAGES:
        try:
            yield Examined("info", package, version(package))
        except PackageNotFoundError:
            yield Examined("fail", package, "not installed. Fix: make install")


def _disk(settings: Settings) -> Iterator[Examined]:
    place = settings.home
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    yield Examined("warn" if free < _LOW_DISK_BYTES else "ok", "free disk", f"{free / 2**30:.1f} GiB at {place}")


def _catalog_and_calendars(settings: Settings) -> Iterator[Examined]:
    from rally_pipeline.catalog import load_catalog
    from rally_pipeline.sessions import MARKETS, Calendars

    catalog = load_catalog(settings.home)
    yield Examined("ok", "catalog", f"{len(catalog.instruments)} instruments, {len(catalog.events)} events")
    calendars = Calendars.from_catalog(catalog)
    today = dt.datetime.now(dt.UTC).date()
    for market in MARKETS:
        horizon = calendars.horizon(market)
        if horizon < today:
            state, note = "fail", f"ended {horizon}: its days are unknown, other markets go on"
        elif horizon - today < _HORIZON_WARNING:
            state, note = "warn", f"ends {horizon}, in {(horizon - today).days} days"
        else:
            state, note = "ok", f"known to {horizon}"
        fix = "" if state == "ok" else ". Fix: upgrade exchange_calendars, or add calendar_extensions to the catalog"
        yield Examined(state, f"calendar {market}", note + fix)  # type: ignore[arg-type]


def _payloads(settings: Settings, sample: int | None) -> Iterator[Examined]:
    from rally_pipeline.archive import Archive

    archive = Archive(settings.archive_dir)
    count = len(archive.payload_ids())
    damaged = 0
    for identity, damage in archive.damages(sample):
        damaged += 1
        # the message names it; a column of its own lets a program find it
        yield Examined("fail", f"archived {identity}", damage)
    looked_at = "all" if sample is None or sample >= count else f"{sample} of them, at random,"
    verdict = f"{damaged} damaged" if damaged else "as they were stored"
    yield Examined("info" if damaged else "ok", "archive", f"{count} payloads; {looked_at} verified: {verdict}")


def _warehouse(settings: Settings) -> Iterator[Examined]:
    from rally_pipeline.warehouse.engine import normalise_url, open_warehouse
    from rally_pipeline.warehouse.schema_version import HEAD, current_revision, read_statement, refusal

    url = settings.resolved_warehouse_url
    parsed = normalise_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).exists():
        # Opening it would make it.
        yield Examined("info", "warehouse", f"{parsed.database}: not made yet; the first run or import makes it")
        return
    warehouse = open_warehouse(url, lock_timeout_seconds=settings.lock_timeout_seconds)
    with warehouse.read() as connection:
        yield Examined("ok", "warehouse", f"{warehouse.display_url} ({warehouse.dialect})")
        revision = current_revision(connection)
        if reason := refusal(connection, revision):
            yield Examined("fail", "schema version", reason)
            return
        if revision is None:
            yield Examined("info", "schema version", "empty; the first run or import makes it")
            return
        state: State = "ok" if revision == HEAD else "warn"
        yield Examined(
            state, "schema version", revision if state == "ok" else f"{revision}, the next run makes it {HEAD}"
        )
        if revision != HEAD:
            return
        profile = read_statement(connection, "profile") or "unknown"
        clash = settings.profile is not None and settings.profile.value != profile
        yield Examined("fail" if clash else "ok", "profile", profile + (" is not RALLY_PROFILE" if clash else ""))
        yield from _operations(connection, settings)
        yield from _alerts(connection, settings)


def _operations(connection: sa.Connection, settings: Settings) -> Iterator[Examined]:
    from rally_pipeline.fetches import count_pending

    run = connection.execute(sa.select(ops.ops_run).order_by(ops.ops_run.c.started_at.desc()).limit(1)).first()
    if run is None:
        yield Examined("info", "last run", "none")
    else:
        state: State = {"ok": "ok", "running": "info"}.get(run.outcome, "warn")  # type: ignore[assignment]
        said = f"{run.started_at:%Y-%m-%d %H:%M} UTC, {run.outcome}: {run.command} {run.message}"
        yield Examined(state, "last run", settings.masked(said))
    for what, count, note in (
        ("payloads not loaded", count_pending(connection), "the next run loads them"),
        ("derived tables behind", _count(connection, ops.ops_stale), "the next run computes them"),
        ("rows in quarantine", _count(connection, ops.ops_quarantine), "see ops_quarantine"),
        (
            "payloads refused",
            _count(connection, ops.ops_load, ops.ops_load.c.outcome == "refused"),
            "see ops_load for the reasons",
        ),
    ):
        yield Examined("ok" if count == 0 else "info", what, "0" if count == 0 else f"{count}: {note}")


def _alerts(connection: sa.Connection, settings: Settings) -> Iterator[Examined]:
    from rally_pipeline.alerts.book import read_standing, target_states
    from rally_pipeline.alerts.targets import targets_of

    now = dt.datetime.now(dt.UTC)
    names = [target.name for target in targets_of(settings)]
    for state in target_states(connection, names):
        if state.heartbeat_at is None:
            # Without a daemon nobody looks, and a home without one need not have it.
            health: State = "warn" if state.failure or state.waiting else "info"
            text = "no heartbeat yet: `rally-pipeline alerts --heartbeat` sends one, the daemon one a day"
        else:
            health = "ok" if now - state.heartbeat_at < _HEARTBEAT_WARNING and not state.failure else "warn"
            text = f"last heartbeat delivered {state.heartbeat_at:%Y-%m-%d %H:%M} UTC"
        if state.waiting:
            text += f"; {state.waiting} notices wait" + (f" ({state.failure})" if state.failure else "")
        yield Examined(health, f"alerts to {state.target}", text)
    if names == ["log"]:
        hint = "RALLY_ALERT_WEBHOOK_URL or RALLY_ALERT_SMTP_URL sends them to people"
        yield Examined("info", "alert targets", f"only {settings.alerts_dir}; {hint}")
    standing = read_standing(connection)
    errors = sum(one.alert.severity == "error" for one in standing)
    text = (
        f"{len(standing)} told of, {errors} of them errors: see `rally-pipeline alerts`" if standing else "none told of"
    )
    yield Examined("warn" if errors else "ok", "problems", text)


def _missing(settings: Settings) -> Iterator[Examined]:
    """What the sources have not given, and what else is broken now."""
    from rally_pipeline.workspace import look_at

    workspace = look_at(settings)
    if workspace is None:
        return
    try:
        with workspace.one_view() as seen:
            yield from _problems(seen)
    finally:
        workspace.warehouse.engine.dispose()


def _problems(workspace: Workspace) -> Iterator[Examined]:
    from rally_pipeline.catch_up import missing
    from rally_pipeline.health import freshness_problems, source_problems
    from rally_pipeline.sessions import MARKETS

    for market in MARKETS:
        found = missing(workspace, market)
        if not found:
            yield Examined("ok", f"missing {market}", "nothing")
            continue
        for source in dict.fromkeys(one.source for one in found):
            of_source = [one for one in found if one.source == source]
            days = sorted({one.day for one in of_source})
            span = f"{days[0]}" if len(days) == 1 else f"{days[0]} … {days[-1]}"
            last = next((f"; last said: {one.message}" for one in reversed(of_source) if one.message), "")
            count = f"{len(days)} session{'s' if len(days) > 1 else ''}"
            yield Examined("warn", f"missing {market}", f"{source}: {count}, {span}{last}")
    for problem in (*source_problems(workspace), *freshness_problems(workspace)):
        if problem.kind != "sessions_missing":
            yield Examined("fail", problem.kind.replace("_", " "), workspace.settings.masked(problem.message))


def _count(connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0
