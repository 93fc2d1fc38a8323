"""Runs whose steps are executed by real Celery workers, over a real Redis, with everything else on a real PostgreSQL.

Belongs here: that such runs give what runs in one process give, and write nothing twice. Does not belong here: Celery.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster import DagsterEventType
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository

from rally_pipeline.comparison import compare
from rally_pipeline.demo.anchors import WORLD_END
from rally_pipeline.orchestration.ingest_assets import FETCH_POOL, WRITER_POOL, core_keys, raw_key
from rally_pipeline.orchestration.instance import open_instance
from rally_pipeline.schema import core, mart, ops, raw
from rally_pipeline.settings import Settings, load_settings
from rally_pipeline.workspace import open_workspace
from rally_pipeline_tests.workspaces import ROOT, count, environment, rows_of

pytestmark = pytest.mark.slow

SECRET = "hunter2-secret"
FIRST, LAST = dt.date(2025, 2, 11), dt.date(2025, 2, 14)
MARKETS = ("HK", "FX")
MARTS = [dg.AssetKey(name) for name in ("core_price_resolved_daily", "core_fx_usd_daily", "mart_price_extremes_daily")]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis server of our own, with a password, that keeps nothing."""
    pytest.importorskip("dagster_celery", reason="the extra celery is not installed")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on this machine; .ci/run installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder, "requirepass": SECRET}
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"redis://:{SECRET}@127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture
def settings(
    broker: str, postgres_url: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Everything shared lies in PostgreSQL and in the home; the environment says so, as the workers' does."""
    warehouse = sa.make_url(postgres_url()).set(password=SECRET)
    storage = sa.make_url(postgres_url()).set(password=SECRET, drivername="postgresql+psycopg2")
    values = {
        "RALLY_HOME": str(tmp_path / "home"),
        "RALLY_PROFILE": "demo",
        "RALLY_WAREHOUSE_URL": warehouse.render_as_string(hide_password=False),
        "RALLY_DAGSTER_URL": storage.render_as_string(hide_password=False),
        "RALLY_EXECUTOR": "celery",
        "RALLY_CELERY_BROKER_URL": broker,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """A worker that executes two steps at a time; gives its log."""
    with open_instance(settings):
        pass  # makes the Dagster home and its tables
    log = tmp_path / "worker.log"
    names = [name for name in os.environ if name.startswith("RALLY_")]
    env = environment(settings.home, **{name: os.environ[name] for name in names if name != "RALLY_HOME"})
    env |= {
        "DAGSTER_HOME": str(settings.dagster_home),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }
    command = [sys.executable, "-m", "dagster_celery.cli", "worker", "start"]
    command += ["-A", "rally_pipeline.orchestration.celery_app", "--", "--concurrency=2"]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            until = time.monotonic() + 120
            while " ready." not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.2)
            yield log
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def job(name: str) -> ReconstructableJob:
    """The job as a run worker finds it: from the module, not from this process."""
    repository = ReconstructableRepository.for_module("rally_pipeline.definitions", "defs", str(ROOT))
    return repository.get_reconstructable_job(name)


def execute(
    instance: dg.DagsterInstance,
    name: str,
    days: tuple[dt.date, dt.date],
    assets: list[dg.AssetKey] | None = None,
    config: dict[str, Any] | None = None,
) -> str:
    """Executes a job over days, as a run worker does; returns the run's id."""
    tags = {
        "dagster/asset_partition_range_start": days[0].isoformat(),
        "dagster/asset_partition_range_end": days[1].isoformat(),
    }
    result = dg.execute_job(job(name), instance, run_config=config, tags=tags, asset_selection=assets)
    assert result.success, [event.message for event in result.all_events if event.is_failure]
    return result.run_id


def together(*calls: Callable[[], str]) -> list[str]:
    found: dict[int, Any] = {}

    def run(number: int) -> None:
        try:
            found[number] = calls[number]()
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [error for error in found.values() if isinstance(error, BaseException)]
    if failed:
        raise failed[0]
    return [found[number] for number in range(len(calls))]


def test_celery_gives_what_one_process_gives(
    settings: Settings, worker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = (FIRST, LAST)
    with open_instance(settings) as instance:
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
        runs = together(
            *(lambda market=market: execute(instance, f"ingest_{market.lower()}", days) for market in MARKETS)
        )
        # As the schedule asks after an outage: for what is missing, which is two weeks more.
        missing = {"ops": {raw_key("HK").to_python_identifier(): {"config": {"ask": "missing"}}}}
        runs.append(execute(instance, "ingest_hk", days, config=missing))
        runs.append(execute(instance, "marts", days, MARTS))
        intervals, hosts = _steps(instance, runs)
        for pool in (FETCH_POOL, WRITER_POOL):
            assert len(intervals[pool]) > 2
            for one, other in itertools.pairwise(sorted(intervals[pool])):
                assert one[1] <= other[0], f"two steps at once in {pool}"
        assert hosts, "no step says that a worker executed it"
        logs = [entry for run in runs for entry in instance.all_logs(run)]
        said = "\n".join(str(entry.to_json()) for entry in logs)
        # Once per run, by its last step; of these few marts there is no whole that could be published.
        (about_publishing,) = [entry for entry in logs if entry.user_message.startswith("not published:")]
        assert about_publishing.run_id == runs[-1]
    workspace = open_workspace(settings)
    _each_run_is_written_down_once(workspace, runs)
    sessions = {row["session_date"] for row in rows_of(workspace, core.core_price_daily)}
    assert sessions >= set(workspace.calendars.known_sessions("HK", FIRST, WORLD_END))
    assert count(workspace, mart.mart_price_extremes_daily.name) > 50
    _no_secret(settings, worker.read_text() + said, workspace)

    other = tmp_path / "one_process"
    shutil.copytree(settings.archive_dir, other / "archive")
    for name in ("RALLY_WAREHOUSE_URL", "RALLY_DAGSTER_URL", "RALLY_CELERY_BROKER_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("RALLY_EXECUTOR", "in_process")
    monkeypatch.setenv("RALLY_HOME", str(other))
    # A process that executes one run after the other keeps the last job it made.
    ReconstructableJob.get_repository_definition.cache_clear()
    ReconstructableJob.get_definition.cache_clear()
    alone = load_settings()
    with open_instance(alone) as instance:
        for market in MARKETS:
            execute(instance, f"ingest_{market.lower()}", days, core_keys(market))
        execute(instance, "marts", days, MARTS)
    found = list(compare(settings.resolved_warehouse_url, alone.resolved_warehouse_url))
    differing = [one.to_json() for one in found if not one.is_equal and one.table != ops.ops_load.name]
    assert not differing
    workspace.warehouse.engine.dispose()


def _steps(instance: dg.DagsterInstance, runs: list[str]) -> tuple[dict[str, list[tuple[float, float]]], set[str]]:
    """When each step began and ended, by pool; and the workers that executed them."""
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    workers = set()
    for run_id in runs:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.execution_plan_snapshot_id is not None
        plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
        pools = {step.key: step.pool for step in plan.steps}
        began: dict[str, float] = {}
        for entry in instance.all_logs(run_id):
            event = entry.dagster_event
            if event is None or event.step_key is None:
                continue
            if event.event_type is DagsterEventType.STEP_START:
                began[event.step_key] = entry.timestamp
            if event.event_type is DagsterEventType.STEP_SUCCESS:
                spans[pools[event.step_key] or ""].append((began[event.step_key], entry.timestamp))
            if event.event_type is DagsterEventType.ENGINE_EVENT and "Celery worker" in str(event.engine_event_data):
                workers.add(str(event.engine_event_data.metadata["Celery worker"].value))
    return spans, workers


def _each_run_is_written_down_once(workspace, runs: list[str]) -> None:
    rows = {row["run_id"]: row for row in rows_of(workspace, ops.ops_run)}
    assert set(rows) == set(runs)
    assert {row["outcome"] for row in rows.values()} == {"ok"}
    assert all(row["started_at"] <= row["finished_at"] for row in rows.values())
    fetched = rows_of(workspace, raw.raw_fetch)
    asked = [(row["run_id"], row["url"], row["params"]) for row in fetched]
    assert len(asked) == len(set(asked))


def _no_secret(settings: Settings, said: str, workspace) -> None:
    assert SECRET not in said
    files = [path for path in settings.home.rglob("*") if path.is_file() and path.stat().st_size < 2**22]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    for row in rows_of(workspace, ops.ops_run):
        assert SECRET not in str(row)
