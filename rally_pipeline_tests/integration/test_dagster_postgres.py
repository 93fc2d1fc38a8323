"""Dagster's runs, events and schedules on a real PostgreSQL, by setting.

Belongs here: `orchestration.instance` with `RALLY_DAGSTER_URL`, and the choice of an executor. Does not belong here:
steps in other processes (`e2e/test_celery.py`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml

from rally_pipeline.errors import UsageError
from rally_pipeline.orchestration import executors, instance
from rally_pipeline.orchestration.ingest_assets import core_key, raw_key
from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.settings import Executor, load_settings
from rally_pipeline_tests.workspaces import environment, run_cli, run_cli_here

SECRET = "hunter2-secret"
UNREACHABLE = f"postgresql+psycopg2://bot:{SECRET}@127.0.0.1:1/dagster"


@pytest.fixture
def dagster_url(postgres_url: Callable[[], str]) -> str:
    """An empty database, with a password that nobody asks for and nobody must see."""
    url = sa.make_url(postgres_url()).set(drivername="postgresql+psycopg2", password=SECRET)
    return url.render_as_string(hide_password=False)


def test_the_file_follows_the_setting(tmp_path: Path) -> None:
    config = tmp_path / "dagster" / "dagster.yaml"
    instance.dagster_home(load_settings(home=tmp_path))
    assert config.read_text() == instance.shipped_config().read_text()
    with_url = load_settings(home=tmp_path, dagster_url=UNREACHABLE)
    for _ in range(2):
        instance.dagster_home(with_url)
        said = yaml.safe_load(config.read_text())
        assert said["storage"] == {"postgres": {"postgres_url": {"env": "RALLY_DAGSTER_URL"}}}
        assert "event_log_storage" not in said
        assert said["concurrency"] == yaml.safe_load(instance.shipped_config().read_text())["concurrency"]
        assert SECRET not in config.read_text()
    instance.dagster_home(load_settings(home=tmp_path))
    assert config.read_text() == instance.shipped_config().read_text()


def test_a_file_that_somebody_wrote_is_left_alone_but_not_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "telemetry: {enabled: false}\n"
    config = tmp_path / "dagster" / "dagster.yaml"
    config.parent.mkdir()
    config.write_text(own)
    instance.dagster_home(load_settings(home=tmp_path))
    with pytest.raises(UsageError, match="keeps Dagster's state elsewhere"):
        instance.dagster_home(load_settings(home=tmp_path, dagster_url=UNREACHABLE))
    assert config.read_text() == own
    config.write_text("storage: {postgres: {postgres_url: {env: RALLY_DAGSTER_URL}}}\n")
    instance.dagster_home(load_settings(home=tmp_path, dagster_url=UNREACHABLE))
    with pytest.raises(UsageError, match="RALLY_DAGSTER_URL, which is not set"):
        instance.dagster_home(load_settings(home=tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "own"))
    with pytest.raises(UsageError, match="keeps Dagster's state elsewhere"):
        instance.dagster_home(load_settings(home=tmp_path, dagster_url=UNREACHABLE))


def test_a_database_that_cannot_be_reached_is_one_line_without_its_password(tmp_path: Path) -> None:
    env = environment(tmp_path, RALLY_DAGSTER_URL=UNREACHABLE)
    done = run_cli_here(["prepare"], env)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: postgresql+psycopg2://bot:***@127.0.0.1:1/dagster")
    assert "correct RALLY_DAGSTER_URL" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    absent = {"dagster_postgres", "dagster_celery", "dagster_k8s"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else found(name))
    with pytest.raises(UsageError, match=r"rally-pipeline\[postgres-storage\]"):
        instance.dagster_home(load_settings(home=tmp_path, dagster_url=UNREACHABLE))
    for executor, extra in (("celery", "celery"), ("k8s", "kubernetes")):
        settings = load_settings(home=tmp_path, executor=executor, celery_broker_url="redis://127.0.0.1:1/0")
        with pytest.raises(UsageError, match=rf"rally-pipeline\[{extra}\]"):
            executors.executor_for(settings)


@pytest.mark.parametrize("name", list(Executor))
def test_every_executor_can_be_had(tmp_path: Path, name: Executor) -> None:
    if name in (Executor.CELERY, Executor.K8S):
        pytest.importorskip({"celery": "dagster_celery", "k8s": "dagster_k8s"}[name], reason="an extra")
    broker = f"redis://:{SECRET}@127.0.0.1:1/0" if name is Executor.CELERY else None
    settings = load_settings(home=tmp_path, executor=name, celery_broker_url=broker)
    definitions = build_definitions(settings)
    job = definitions.resolve_job_def("ingest_hk")
    assert job.executor_def.name == {"k8s": "k8s"}.get(name, name.value)
    assert ("dagster/max_runtime" in job.tags) == (name is Executor.CELERY)
    # What Dagster stores of a job says nothing of the broker.
    assert SECRET not in str(job.get_job_snapshot())


def test_celery_needs_a_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RALLY_EXECUTOR", "celery")
    with pytest.raises(UsageError, match="RALLY_CELERY_BROKER_URL"):
        load_settings(home=tmp_path)
    monkeypatch.setenv("RALLY_EXECUTOR", "threads")
    with pytest.raises(UsageError, match="in_process"):
        load_settings(home=tmp_path)


def test_results_go_where_the_broker_is_if_it_is_redis() -> None:
    redis, amqp = "redis://127.0.0.1:6379/0", "amqp://127.0.0.1//"
    assert load_settings(celery_broker_url=redis).celery_urls == (redis, redis)
    assert load_settings(celery_broker_url=amqp).celery_urls == (amqp, "rpc://")
    assert load_settings(celery_broker_url=amqp, celery_backend_url=redis).celery_urls == (amqp, redis)


@pytest.mark.slow
def test_a_run_with_warehouse_and_dagster_on_postgresql(
    postgres_url: Callable[[], str], dagster_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    warehouse = sa.make_url(postgres_url()).set(password=SECRET).render_as_string(hide_password=False)
    env = environment(home, warehouse, RALLY_DAGSTER_URL=dagster_url, RALLY_PROFILE="demo")
    done = run_cli(["run", "--from", "2025-02-03", "--to", "2025-02-14", "--markets", "HK,FX"], env, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert not list((home / "dagster").rglob("*.db")), "something is kept in SQLite all the same"
    settings = load_settings(home=home, warehouse_url=warehouse, dagster_url=dagster_url)
    with instance.open_instance(settings) as opened:
        assert {type(one).__name__ for one in (opened.run_storage, opened.event_log_storage)} == {
            "PostgresRunStorage",
            "PostgresEventLogStorage",
        }
        assert type(opened.schedule_storage).__name__ == "PostgresScheduleStorage"
        runs = opened.get_runs()
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        days = {f"2025-02-{day:02}" for day in (3, 4, 5, 6, 7, 10, 11, 12, 13, 14)}
        for key in (raw_key("HK"), core_key("HK"), core_key("FX"), dg.AssetKey("mart_leaderboard_daily")):
            assert opened.get_materialized_partitions(key) == days, key
        logs = "\n".join(str(entry.to_json()) for run in runs for entry in opened.all_logs(run.run_id))
    assert SECRET not in logs
    files = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size < 2**22]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    doctor = run_cli(["doctor", "--sample", "1"], env)
    assert SECRET not in doctor.stdout + doctor.stderr
