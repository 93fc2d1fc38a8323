"""Says what is set, what is open, what is behind and what needs attention; changes nothing.

Belongs here: looking. Does not belong here: mending.
"""

from __future__ import annotations

import datetime as dt
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from rally_pipeline import __version__
from rally_pipeline.errors import RallyError
from rally_pipeline.schema import ops
from rally_pipeline.settings import Settings

State = Literal["ok", "warn", "fail", "info"]

_PACKAGES = ("dagster", "pandas", "SQLAlchemy", "great_expectations", "yfinance", "exchange_calendars")
#: A calendar that ends sooner than this deserves a word.
_HORIZON_WARNING = dt.timedelta(days=60)
_LOW_DISK_BYTES = 2**30
#: User and password of a proxy or mirror.
_CREDENTIALS = re.compile(r"//[^/@]*@")


@dataclass(frozen=True)
class Examined:
    """One thing looked at: *ok*, *warn*, *fail*, or just *info*."""

    state: State
    what: str
    value: str


def examine(settings: Settings) -> list[Examined]:
    """Looks at everything; a part that cannot be looked at is a *fail*, and the rest is still looked at."""
    found = list(_settings(settings))
    for part in (_versions, _disk, _catalog_and_calendars, _warehouse):
        try:
            found.extend(part(settings))
        except (RallyError, sa.exc.SQLAlchemyError, OSError) as error:
            found.append(Examined("fail", part.__name__.strip("_").replace("_", " "), str(error).splitlines()[0]))
    return found


def _settings(settings: Settings) -> Iterator[Examined]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "warehouse_url":
            continue  # shown with its password hidden, below
        text = "unset" if value is None else str(value)
        yield Examined("info", f"RALLY_{name.upper()}", _CREDENTIALS.sub("//***@", text))


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
        yield from _operations(connection)


def _operations(connection: sa.Connection) -> Iterator[Examined]:
    from rally_pipeline.fetches import count_pending

    run = connection.execute(sa.select(ops.ops_run).order_by(ops.ops_run.c.started_at.desc()).limit(1)).first()
    if run is None:
        yield Examined("info", "last run", "none")
    else:
        state: State = {"ok": "ok", "running": "info"}.get(run.outcome, "warn")  # type: ignore[assignment]
        yield Examined(
            state, "last run", f"{run.started_at:%Y-%m-%d %H:%M} UTC, {run.outcome}: {run.command} {run.message}"
        )
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


def _count(connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0
