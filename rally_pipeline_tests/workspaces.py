"""A workspace in a temporary home, files to put into it, and what stands in its tables, for tests.

Belongs here: what the tests of several rooms need to run the real steps on small data. Does not belong here: expected
values of any test.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import datetime as dt
import functools
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline import ingest, load_log
from rally_pipeline.archive import Archive
from rally_pipeline.schema import core, metadata
from rally_pipeline.settings import Profile, Settings, load_settings
from rally_pipeline.sources import ecb, price_files
from rally_pipeline.sources.base import Payload
from rally_pipeline.warehouse.engine import normalise_url, open_warehouse
from rally_pipeline.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]
HEADER = "date,open,high,low,close,volume"
#: The database that every server of PostgreSQL has, from which others are made; it cannot be made anew itself.
_SERVERS_OWN = "postgres"


def settings_for(home: Path, url: str | None = None, **more: Any) -> Settings:
    """Settings of a home; nothing is taken from the environment but what tests set."""
    return load_settings(home=home, warehouse_url=url, **more)


def open_at(home: Path, url: str | None = None, **more: Any) -> Workspace:
    """An opened workspace; where there is nothing yet, its warehouse is a copy of one that `open_workspace` made."""
    settings = settings_for(home, url, **more)
    if not (home / "catalog").exists():
        made_url = normalise_url(settings.resolved_warehouse_url)
        if made_url.get_backend_name() == "sqlite":
            _copy_sqlite(Path(made_url.database or ""), settings.profile)
        else:
            _copy_postgresql(made_url, settings.profile)
    return open_workspace(settings)


def _copy_sqlite(path: Path, profile: Profile | None) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_sqlite_template(profile), path)


@functools.cache
def _sqlite_template(profile: Profile | None) -> Path:
    """A warehouse of SQLite as it is when it was made, for as long as this process lives."""
    folder = tempfile.TemporaryDirectory(prefix="template")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "warehouse.sqlite"
    open_workspace(settings_for(Path(folder.name), f"sqlite:///{path}", profile=profile)).warehouse.engine.dispose()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _copy_postgresql(url: sa.URL, profile: Profile | None) -> None:
    if url.database == _SERVERS_OWN:
        return
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        is_empty = not sa.inspect(connection).get_table_names()
    engine.dispose()
    if is_empty:
        template = _postgresql_template(url.set(database=_SERVERS_OWN), profile)
        _on_server(url, f"DROP DATABASE {url.database}", f"CREATE DATABASE {url.database} TEMPLATE {template}")


@functools.cache
def _postgresql_template(url: sa.URL, profile: Profile | None) -> str:
    """Name of a database of this server with a warehouse as it is when it was made."""
    name = f"template_{profile.value if profile else 'any'}"
    _on_server(url, f"CREATE DATABASE {name}")
    with tempfile.TemporaryDirectory(prefix="template") as folder:
        made = url.set(database=name).render_as_string(hide_password=False)
        open_workspace(settings_for(Path(folder), made, profile=profile)).warehouse.engine.dispose()
    return name


def _on_server(url: sa.URL, *statements: str) -> None:
    engine = sa.create_engine(url.set(database=_SERVERS_OWN), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.DDL(statement))
    engine.dispose()


def utc(text: str) -> dt.datetime:
    """An aware time from ISO text; UTC where it does not say."""
    value = dt.datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)


def price_csv(rows: Iterable[Sequence[object]], header: str = HEADER) -> bytes:
    """A plain price file."""
    return "\n".join([header, *(",".join("" if c is None else str(c) for c in row) for row in rows), ""]).encode()


def price_payload(
    body: bytes, symbol: str | None = "0700.HK", *, source: str = "file", known_at: dt.datetime, name: str = "a.csv"
) -> Payload:
    """A payload as a dropped price file gives."""
    return Payload(price_files.request_for(name, source=source, symbol=symbol), body, "text/csv", 200, known_at)


def fx_payload(body: bytes, *, known_at: dt.datetime, source: str = "ecb") -> Payload:
    """A payload as a dropped file of reference rates gives."""
    return Payload(ecb.request_for("eurofxref.csv", source=source), body, "text/csv", 200, known_at)


def deliver(workspace: Workspace, payload: Payload, **options: Any) -> load_log.LoadOutcome:
    """Keeps and loads one payload."""
    return ingest.load(workspace, ingest.keep(workspace, payload, **options))


def rows_of(workspace: Workspace, table: str | sa.Table, *where: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    """All rows of a table in order of its primary key."""
    if isinstance(table, str):
        table = metadata.tables[table]
    query = sa.select(table).where(*where).order_by(*table.primary_key.columns)
    with workspace.warehouse.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def core_rows(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    """All rows of the versioned facts."""
    return {t.name: rows_of(workspace, t) for t in (core.core_price_daily, core.core_fx_daily)}


def count(workspace: Workspace, table: str) -> int:
    """How many rows a table has."""
    with workspace.warehouse.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(metadata.tables[table])) or 0


def environment(home: Path, url: str | None = None, **more: str) -> dict[str, str]:
    """The environment of a subprocess with only these settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RALLY_", "DAGSTER_"))}
    # Without bytecode every process takes a second longer to start.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "RALLY_HOME": str(home), **({"RALLY_WAREHOUSE_URL": url} if url else {}), **more}


def run_cli(
    arguments: Sequence[object], env: Mapping[str, str], *, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """`rally-pipeline` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "rally_pipeline.cli", *map(str, arguments)],
        env=dict(env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_cli_here(arguments: Sequence[object], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`rally-pipeline` in this process: as `run_cli`, without the seconds it takes to start."""
    from rally_pipeline import cli

    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name in [name for name in os.environ if name.startswith("RALLY_")]:
            patched.delenv(name)
        for name, value in env.items():
            patched.setenv(name, value)
        try:
            cli.main([str(a) for a in arguments])
        except SystemExit as left:
            code = int(left.code or 0)
    return subprocess.CompletedProcess(list(map(str, arguments)), code, out.getvalue(), err.getvalue())


def json_of(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command printed, as JSON."""
    return json.loads(done.stdout)


def fresh_copy(template: Workspace, home: Path) -> Workspace:
    """A workspace like a newly made one of the embedded engine, in a home of its own, without the work of making it."""
    settings = settings_for(home)
    home.mkdir(parents=True, exist_ok=True)
    source = sa.make_url(template.settings.resolved_warehouse_url).database
    assert source is not None
    with sqlite3.connect(source) as one, sqlite3.connect(home / "warehouse.sqlite") as other:
        one.backup(other)
    warehouse = open_warehouse(settings.resolved_warehouse_url, lock_timeout_seconds=5)
    return dataclasses.replace(template, settings=settings, archive=Archive(settings.archive_dir), warehouse=warehouse)
