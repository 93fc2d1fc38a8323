"""The Dagster instance of a home, and the UI on it.

Belongs here: where Dagster keeps its state, and how it is started. Does not belong here: runs (`runner.py`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
import sqlalchemy as sa
import yaml

from rally_pipeline.errors import RallyError, UsageError
from rally_pipeline.settings import Settings

#: Materialisations written at once (see `event_log.py`).
_EVENT_BATCH = "500"

_WORKSPACE = """load_from:
  - python_module:
      module_name: rally_pipeline.definitions
      location_name: rally_pipeline
"""

#: What stands in place of the SQLite files. The URL stays in the environment: it may carry a password.
_POSTGRES = """storage:
  postgres:
    postgres_url: {env: RALLY_DAGSTER_URL}
"""
_SQLITE = """event_log_storage:
  module: rally_pipeline.orchestration.event_log
  class: BatchSqliteEventLogStorage
  config: {}
"""

#: Tags by which a run of this module says which process executes it.
HOST_TAG, PID_TAG = "rally/host", "rally/pid"


class DagsterStorageError(RallyError):
    """The database in which Dagster keeps its state cannot be used."""


def dagster_home(settings: Settings) -> Path:
    """Where Dagster keeps its state: ``DAGSTER_HOME``, which is left as it is found, or a directory of the home.

    That gets the project's ``dagster.yaml`` with the storage that ``RALLY_DAGSTER_URL`` asks for, unless there is one
    that somebody wrote.

    Raises:
        UsageError: the storage that is asked for is not the one of a file that is not ours, or is not installed.
    """
    if settings.dagster_url is not None and importlib.util.find_spec("dagster_postgres") is None:
        raise UsageError(
            "RALLY_DAGSTER_URL needs dagster-postgres, which is not installed. "
            "Fix: install rally-pipeline[postgres-storage], or unset RALLY_DAGSTER_URL."
        )
    chosen = os.environ.get("DAGSTER_HOME")
    home = Path(chosen).expanduser().absolute() if chosen else settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if home == settings.dagster_home:
        ours = {is_postgres: instance_config(is_postgres=is_postgres) for is_postgres in (False, True)}
        wanted = ours[settings.dagster_url is not None]
        present = config.read_text(encoding="utf-8") if config.exists() else ""
        if not present or (present in ours.values() and present != wanted):
            config.write_text(wanted, encoding="utf-8")
    _check_storage(settings, config)
    return home


def instance_config(*, is_postgres: bool) -> str:
    """The project's ``dagster.yaml``, as it is shipped or with PostgreSQL for runs, events and schedules."""
    text = shipped_config().read_text(encoding="utf-8")
    assert _SQLITE in text
    return text.replace(_SQLITE, _POSTGRES) if is_postgres else text


def _check_storage(settings: Settings, config: Path) -> None:
    """A file that somebody wrote decides for itself, but not against a setting."""
    said: Any = yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else None
    storage = (said or {}).get("storage") or {}
    if settings.dagster_url is not None and "postgres" not in storage:
        raise UsageError(
            f"RALLY_DAGSTER_URL is set, but {config} keeps Dagster's state elsewhere. "
            "Fix: remove that file (the project's own is written in its place), or write into it "
            "storage: {postgres: {postgres_url: {env: RALLY_DAGSTER_URL}}}, or unset RALLY_DAGSTER_URL."
        )
    if settings.dagster_url is None and "RALLY_DAGSTER_URL" in str(storage):
        raise UsageError(f"{config} keeps Dagster's state in RALLY_DAGSTER_URL, which is not set. Fix: set it.")


def shipped_config() -> Path:
    """The project's ``dagster.yaml``: beside this module in an installed package, at the top of a checkout."""
    installed = Path(__file__).with_name("dagster.yaml")
    return installed if installed.exists() else Path(__file__).parents[2] / "dagster.yaml"


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance of the home, for as long as the context lasts.

    Raises:
        UsageError: see `dagster_home`.
        DagsterStorageError: the database cannot be reached.
    """
    home = dagster_home(settings)
    _check_reachable(settings)
    with _environment({"DAGSTER_HOME": str(home), "DAGSTER_EVENT_BATCH_SIZE": _EVENT_BATCH, **_storage_url(settings)}):
        instance = dg.DagsterInstance.from_config(str(home))
        with instance:
            yield instance


def _check_reachable(settings: Settings) -> None:
    """Dagster would try for long and then show a traceback."""
    if settings.dagster_url is None:
        return
    url = sa.make_url(settings.dagster_url.get_secret_value())
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect():
            pass
    except sa.exc.DBAPIError as error:
        reason = settings.masked(" ".join(str(error.orig).split()))
        raise DagsterStorageError(
            f"{url.render_as_string(hide_password=True)} gives Dagster no storage: {reason}. "
            "Fix: see that the database is there and running, or correct RALLY_DAGSTER_URL."
        ) from None


def _storage_url(settings: Settings) -> dict[str, str]:
    url = settings.dagster_url
    return {} if url is None else {"RALLY_DAGSTER_URL": url.get_secret_value()}


def run_tags() -> dict[str, str]:
    """Tags of a run that this process executes."""
    return {HOST_TAG: socket.gethostname(), PID_TAG: str(os.getpid())}


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Reports runs whose process is gone as failed and frees their places in the pools; returns their ids.

    Only runs that a process of this machine executed itself: those that Dagster launched, it watches itself.
    """
    ended = []
    unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished, tags={HOST_TAG: socket.gethostname()})):
        if _is_alive(int(run.tags[PID_TAG])):
            continue
        instance.report_run_failed(run, "The process that executed this run is gone; a later run goes on from there.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(run.run_id)
    return ended


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def ui_command(settings: Settings, port: int, *, read_only: bool = False) -> tuple[list[str], dict[str, str]]:
    """The command that serves the UI on 127.0.0.1, and the environment it needs.

    Args:
        settings: of the home.
        port: on 127.0.0.1.
        read_only: only look: no run can be launched, nothing switched on or off, and no daemon is started.
    """
    home = dagster_home(settings)
    workspace = home / "workspace.yaml"
    workspace.write_text(_WORKSPACE, encoding="utf-8")
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    if read_only:
        command[2:4] = ["dagster_webserver"]
        command.append("--read-only")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": _EVENT_BATCH,
        "RALLY_HOME": str(settings.home),
        **_storage_url(settings),
    }
    return command, environment


def exec_ui(settings: Settings, port: int, *, read_only: bool = False) -> NoReturn:
    """Becomes the UI's process; does not return."""
    command, environment = ui_command(settings, port, read_only=read_only)
    os.execve(command[0], command, environment)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
