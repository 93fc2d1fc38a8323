"""Waiting in a pool of Dagster: by name, and never for a run whose process is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from rally_pipeline.orchestration.ingest_assets import WRITER_POOL
from rally_pipeline.orchestration.instance import HOST_TAG, PID_TAG
from rally_pipeline.orchestration.pool_watch import PoolWatch


@dg.op
def nothing() -> None:
    pass


@dg.job
def some_job() -> None:
    nothing()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as made:
        made.event_log_storage.set_concurrency_slots(WRITER_POOL, 1)
        yield made


def run_of(instance: dg.DagsterInstance, pid: int | None) -> dg.DagsterRun:
    """A run that is going on, executed by a process, or launched by Dagster."""
    tags = {} if pid is None else {HOST_TAG: socket.gethostname(), PID_TAG: str(pid)}
    run = instance.create_run_for_job(some_job, tags=tags)
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, some_job.name)
    instance.report_dagster_event(event, run.run_id)
    return run


def claim(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    return instance.event_log_storage.claim_concurrency_slot(WRITER_POOL, run.run_id, "nothing").is_claimed


def test_who_is_waited_for_is_named_once(instance: dg.DagsterInstance) -> None:
    said: list[str] = []
    other, mine = run_of(instance, None), run_of(instance, os.getpid())
    watch = PoolWatch(instance, said.append)
    assert claim(instance, other)
    watch.look()
    assert said == []  # nobody waits
    assert not claim(instance, mine)
    watch.look()
    watch.look()
    (line,) = said
    assert line.startswith(
        f"waiting for another run that writes: run {other.run_id[:8]} of some_job, launched by Dagster"
    )
    instance.event_log_storage.free_concurrency_slots_for_run(other.run_id)
    assert claim(instance, mine)


def test_a_run_whose_process_is_gone_keeps_no_place(instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, mine = run_of(instance, process.pid), run_of(instance, os.getpid())
    assert claim(instance, dead)
    assert not claim(instance, mine)
    PoolWatch(instance, lambda _: None).look()
    assert claim(instance, mine)
    assert instance.get_run_by_id(dead.run_id).status is dg.DagsterRunStatus.FAILURE  # type: ignore[union-attr]


def test_a_place_that_a_finished_run_kept_is_freed(instance: dg.DagsterInstance) -> None:
    over, mine = run_of(instance, None), run_of(instance, os.getpid())
    assert claim(instance, over)
    instance.report_run_failed(over)
    assert not claim(instance, mine)
    PoolWatch(instance, lambda _: None).look()
    assert claim(instance, mine)
