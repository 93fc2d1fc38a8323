"""How far a run is, from what Dagster has stored of it: for work that is done once per run, whichever process is last.

With one process per step each of them opens and closes the resources; what belongs to the run as a whole is for the one
after which nothing is left to do. Belongs here: that question. Does not belong here: the work (`resources.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster import DagsterEventType

_ENDS = {
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SKIPPED,
}


def has_begun(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a step of the run has started."""
    return bool(instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_START))


def is_over(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether no step of the run is left: each has ended, or will be passed over because of what has.

    A step that is to be tried again has not ended. Two steps that end at once may both be the last.
    """
    if run.execution_plan_snapshot_id is None:
        return True
    events: Any = [
        entry.dagster_event
        for entry in instance.all_logs(run.run_id, of_type={*_ENDS, DagsterEventType.STEP_OUTPUT})
        if entry.dagster_event is not None
    ]
    ended = {event.step_key for event in events if event.event_type in _ENDS}
    made = {
        (event.step_key, event.step_output_data.output_name)
        for event in events
        if event.event_type is DagsterEventType.STEP_OUTPUT
    }
    plan: Any = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    wanted = set(plan.step_keys_to_execute)
    steps: Mapping[str, Any] = {step.key: step for step in plan.steps if step.key in wanted}
    left = set(steps) - ended
    while passed_over := {key for key in left if _lacks_an_output(steps[key], set(steps) - left, made)}:
        left -= passed_over
    return not left


def _lacks_an_output(step: Any, over: set[str], made: set[tuple[str, str]]) -> bool:
    """Whether a step that is over did not give what this one needs."""
    return any(
        handle.step_key in over and (handle.step_key, handle.output_name) not in made
        for taken in step.inputs
        for handle in taken.upstream_output_handles
    )
