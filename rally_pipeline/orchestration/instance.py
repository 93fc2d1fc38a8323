"""The Dagster instance of a home, and the UI on it.

Belongs here: where Dagster keeps its state, and how it is started. Does not belong here: runs (`runner.py`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import dagster as dg

from rally_pipeline.settings import Settings

#: Materialisations written at once (see `event_log.py`).
_EVENT_BATCH = "500"

_WORKSPACE = """load_from:
  - python_module:
      module_name: rally_pipeline.definitions
      location_name: rally_pipeline
"""

#: Tags by which a run of this module says which process executes it.
HOST_TAG, PID_TAG = "rally/host", "rally/pid"


def dagster_home(settings: Settings) -> Path:
    """Where Dagster keeps its state: ``DAGSTER_HOME``, which is left as it is found, or a directory of the home, which
    gets the project's ``dagster.yaml`` if it has none.
    """
    if chosen := os.environ.get("DAGSTER_HOME"):
        home = Path(chosen).expanduser().absolute()
        home.mkdir(parents=True, exist_ok=True)
        return home
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(shipped_config().read_text(encoding="utf-8"), encoding="utf-8")
    return home


def shipped_config() -> Path:
    """The project's ``dagster.yaml``: beside this module in an installed package, at the top of a checkout."""
    installed = Path(__file__).with_name("dagster.yaml")
    return installed if installed.exists() else Path(__file__).parents[2] / "dagster.yaml"


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance of the home, for as long as the context lasts."""
    home = dagster_home(settings)
    with _environment({"DAGSTER_HOME": str(home), "DAGSTER_EVENT_BATCH_SIZE": _EVENT_BATCH}):
        instance = dg.DagsterInstance.from_config(str(home))
        with instance:
            yield instance


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
