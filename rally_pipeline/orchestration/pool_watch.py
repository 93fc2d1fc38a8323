"""While a run of this process waits in a pool: saying for whom, and freeing places of runs that are gone.

Dagster waits for a place without a word and without an end; a run that was killed keeps its place until somebody frees
it. Belongs here: looking at the pools. Does not belong here: their limits (``dagster.yaml``) or the lock of the
warehouse itself (`warehouse/engine.py`).
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
from types import TracebackType

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from rally_pipeline.locks import QUIET_SECONDS, Tell, holder_text
from rally_pipeline.orchestration.ingest_assets import FETCH_POOL, WRITER_POOL
from rally_pipeline.orchestration.instance import HOST_TAG, PID_TAG, end_dead_runs

_WHAT = {WRITER_POOL: "another run that writes", FETCH_POOL: "another run that asks upstreams"}
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


class PoolWatch:
    """A thread that looks at the pools as long as the context lasts."""

    def __init__(self, instance: dg.DagsterInstance, tell: Tell, *, every_seconds: float = QUIET_SECONDS) -> None:
        self._instance, self._tell, self._every = instance, tell, every_seconds
        self._told: set[tuple[str, str]] = set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pool-watch", daemon=True)

    def __enter__(self) -> PoolWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(self._every):
            try:
                self.look()
            except (dg.DagsterError, SQLAlchemyError, OSError):
                continue  # the run does not depend on it, and the next look may be luckier

    def look(self) -> None:
        """Says for whom this process waits, if it does, and frees what nobody uses any more."""
        storage = self._instance.event_log_storage
        mine: set[str] | None = None
        for pool, what in _WHAT.items():
            info = storage.get_concurrency_info(pool)
            waiting = {step.run_id for step in info.pending_steps if step.assigned_timestamp is None}
            if not waiting:
                continue
            if mine is None:
                mine = self._own_runs()
            if not waiting & mine:
                continue
            end_dead_runs(self._instance)
            for run_id in {slot.run_id for slot in info.claimed_slots} - mine:
                record = self._instance.get_run_record_by_id(run_id)
                if record is None or record.dagster_run.status in _FINISHED:
                    storage.free_concurrency_slots_for_run(run_id)
                elif (pool, run_id) not in self._told:
                    self._told.add((pool, run_id))
                    self._tell(f"waiting for {what}: {_run_text(record)}")

    def _own_runs(self) -> set[str]:
        tags = {HOST_TAG: socket.gethostname(), PID_TAG: str(os.getpid())}
        runs = self._instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags=tags))
        return {run.run_id for run in runs}


def _run_text(record: dg.RunRecord) -> str:
    run = record.dagster_run
    pid, host = run.tags.get(PID_TAG), run.tags.get(HOST_TAG)
    who = f"run {run.run_id[:8]} of {run.job_name}, " + (f"PID {pid} on {host}" if pid else "launched by Dagster")
    return holder_text(who, dt.datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), dt.UTC))
