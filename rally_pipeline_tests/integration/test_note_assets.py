"""Notes in Dagster: the sensor, and the run it asks for."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import dagster as dg
import pytest

from rally_pipeline.orchestration.inbox_sensor import NOTES_SENSOR
from rally_pipeline.orchestration.instance import open_instance
from rally_pipeline.orchestration.jobs import NOTES_JOB, build_definitions
from rally_pipeline.schema import core_notes, ops
from rally_pipeline.settings import Settings, load_settings
from rally_pipeline_tests.workspaces import open_at, rows_of

NOTE = "UBS upgrades Tencent to Buy from Neutral, target HK$480\n14 February 2025\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home")


def drop(settings: Settings, name: str, body: bytes) -> Path:
    path = settings.inbox_dir / "notes" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (1_739_500_000, 1_739_500_000))
    return path


def ask(settings: Settings) -> dg.RunRequest | dg.SkipReason:
    definitions = build_definitions(settings)
    sensor = definitions.resolve_sensor_def(NOTES_SENSOR) if hasattr(definitions, "resolve_sensor_def") else None
    sensor = sensor or definitions.get_sensor_def(NOTES_SENSOR)
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance=instance) as context:
        return sensor(context)  # type: ignore[return-value]


def test_the_sensor_asks_once_for_the_same_files(settings: Settings) -> None:
    assert isinstance(ask(settings), dg.SkipReason)
    drop(settings, "a.txt", NOTE.encode())
    first, second = ask(settings), ask(settings)
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert first.run_key == second.run_key
    drop(settings, "b.txt", NOTE.encode())
    third = ask(settings)
    assert isinstance(third, dg.RunRequest)
    assert third.run_key != first.run_key
    assert third.partition_key is not None
    assert dt.date.fromisoformat(third.partition_key).weekday() < 5


def test_the_run_it_asks_for_reads_the_documents(settings: Settings) -> None:
    drop(settings, "a.txt", NOTE.encode())
    drop(settings, "bad.pdf", b"%PDF-1.4 broken")
    request = ask(settings)
    assert isinstance(request, dg.RunRequest)
    definitions = build_definitions(settings)
    with open_instance(settings) as instance:
        result = definitions.resolve_job_def(NOTES_JOB).execute_in_process(
            instance=instance, partition_key=request.partition_key, raise_on_error=False
        )
        assert result.success
        made = {event.asset_key.path[0] for event in result.get_asset_materialization_events() if event.asset_key}
        checks = {(e.asset_key.path[0], e.check_name): e.passed for e in result.get_asset_check_evaluations()}
    assert made >= {"core_note", "core_note_claim", "core_rating_action", "mart_rating_actions", "mart_claim_audit"}
    assert checks["core_note", "near_duplicate"]
    workspace = open_at(settings.home)
    assert [row["broker_id"] for row in rows_of(workspace, core_notes.core_rating_action)] == ["ubs"]
    outcomes = {row["file_name"]: row["outcome"] for row in rows_of(workspace, ops.ops_inbox_file)}
    assert outcomes == {"a.txt": "loaded", "bad.pdf": "refused"}
