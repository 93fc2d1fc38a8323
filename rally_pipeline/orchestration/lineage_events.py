"""Tells OpenLineage about every asset of a run, from what Dagster itself records of it.

A run's events are heard where Dagster notes them, in the process that executes the run, whichever storage it keeps them
in and whoever launched it; so no asset needs to know. A step that is tried again has started once and ends once.
Nothing that goes wrong here fails a run: it is told when the run is over.

Belongs here: which of Dagster's events become which of OpenLineage's, and what the assets are. Does not belong here:
what those say (`lineage/openlineage.py`) or where they go (`lineage/event_delivery.py`).
"""

from __future__ import annotations

import datetime as dt
import functools
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dagster as dg
from dagster import AssetCheckEvaluation, DagsterEventType, EventLogEntry

from rally_pipeline.lineage.openlineage import (
    Assertion,
    AssetJob,
    Found,
    RunFacts,
    asset_event,
    naming_of,
    run_event,
    tables_read,
)
from rally_pipeline.marts import DERIVED
from rally_pipeline.orchestration.checks import ACCEPTED, known_rules
from rally_pipeline.orchestration.resources import Ledger, failure_text
from rally_pipeline.orchestration.run_steps import has_begun
from rally_pipeline.quality.rules import RENAMES, TABLES, batch_checks_for, checks_for
from rally_pipeline.settings import Settings

if TYPE_CHECKING:
    from rally_pipeline.lineage.event_delivery import Delivery
    from rally_pipeline.load_log import LoadOutcome
    from rally_pipeline.quality.rules import Check
    from rally_pipeline.sources.base import Dataset
    from rally_pipeline.workspace import Workspace

#: What Great Expectations calls what is asserted (`quality/suites.py`). A rule written by hand is asserted as a column
#: of verdicts, which says nothing: it goes by its own name.
_EXPECTATIONS = {
    "present": "expect_column_values_to_not_be_null",
    "range": "expect_column_values_to_be_between",
    "listed": "expect_column_values_to_be_in_set",
    "format": "expect_column_values_to_match_regex",
    "type": "expect_column_values_to_be_of_type",
    "unique": "expect_compound_columns_to_be_unique",
}
_DATASETS = {table.name: dataset for dataset, table in TABLES.items()}
#: Metadata of a materialisation that says how many rows were written, the most exact first.
_WRITTEN = ("rows_computed", "audits_appended", "dagster/row_count")


@dataclass(frozen=True)
class _Asset:
    key: dg.AssetKey
    job: AssetJob
    timezone: str | None


class LineageEvents:
    """What is told about the runs of some assets.

    Args:
        settings: where to, ``openlineage_*``.
        assets: the assets whose steps are heard.
    """

    def __init__(self, settings: Settings, assets: Iterable[dg.AssetsDefinition]) -> None:
        self._settings = settings
        self._steps = {definition.node_def.name: _assets(definition) for definition in assets}
        # A run of the command line is several of Dagster's: a server that failed in one is not asked in the next.
        self._given_up = threading.Event()

    def listen(self, context: dg.InitResourceContext, workspace: Workspace, ledger: Ledger) -> RunListener | None:
        """Begins to tell about a run that is about to take its first step; ``None`` if nobody is to know."""
        if self._settings.openlineage_disabled or context.run is None or context.instance is None:
            return None
        try:
            return self._listener(context.instance, context.run, workspace, ledger)
        except Exception as error:  # a run must not fail because nobody could be told about it
            if context.log:
                context.log.warning(f"no OpenLineage events: {type(error).__name__}: {error}")
            return None

    def _listener(
        self, instance: dg.DagsterInstance, run: dg.DagsterRun, workspace: Workspace, ledger: Ledger
    ) -> RunListener:
        from rally_pipeline.lineage.event_delivery import Delivery

        planned = _planned(instance, run)
        steps = {
            step: [asset for asset in self._steps[step] if asset.key in keys]
            for step, keys in planned.items()
            if step in self._steps
        }
        schema = workspace.warehouse.engine.dialect.default_schema_name
        facts = RunFacts(
            run_id=run.run_id,
            job=run.job_name,
            namespace=self._settings.openlineage_namespace,
            naming=naming_of(workspace.warehouse.engine.url, schema),
            engine_version=dg.__version__,
            nominal=_nominal(run.tags, [asset for assets in steps.values() for asset in assets]),
        )
        listener = RunListener(facts, steps, Delivery(self._settings, self._given_up), ledger)
        if not has_begun(instance, run):
            listener.begin()
        instance.add_event_listener(run.run_id, listener)
        return listener


def _planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, set[dg.AssetKey]]:
    """The assets that each step of the run is to make; of a step that makes several, the run may want some."""
    if run.execution_plan_snapshot_id is None:
        return {}
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    return {
        step.key: {
            output.properties.asset_key
            for output in step.outputs
            if output.properties is not None and output.properties.asset_key is not None
        }
        for step in plan.steps
    }


class RunListener:
    """Hears the events of one run, in its thread, and tells about them."""

    def __init__(
        self, facts: RunFacts, steps: Mapping[str, Sequence[_Asset]], delivery: Delivery, ledger: Ledger
    ) -> None:
        self._facts, self._steps, self._delivery, self._ledger = facts, steps, delivery, ledger
        #: Assets of steps that have started and not ended.
        self._open: dict[dg.AssetKey, _Asset] = {}
        self._metadata: dict[dg.AssetKey, dict[str, Any]] = {}
        self._checks: dict[dg.AssetKey, list[AssetCheckEvaluation]] = {}
        self._outcomes_before: dict[str, int] = {}
        self._problem = ""
        self._is_over = False

    def begin(self) -> None:
        """Tells that the run starts; not where another process has begun it."""
        self._guarded(lambda: self._delivery.send(run_event(self._facts, "START", _now())))

    def __call__(self, entry: EventLogEntry) -> None:
        """Called by Dagster with everything it records of the run."""
        if entry.is_dagster_event and not self._is_over:
            event = entry.get_dagster_event()
            self._guarded(lambda: self._heard(event, dt.datetime.fromtimestamp(entry.timestamp, dt.UTC)))

    def close(self, failures: Sequence[str], *, is_last: bool) -> list[str]:
        """Tells that the run is over; returns what went wrong with the telling, a line each.

        Args:
            failures: a line per step that failed.
            is_last: whether it is; else other processes go on with it.
        """
        self._guarded(lambda: self._end_all(failures, is_last=is_last))
        self._is_over = True
        problems = self._delivery.close()
        return [self._problem, *problems] if self._problem else problems

    def _guarded(self, tell: Any) -> None:
        if self._problem:
            return
        try:
            tell()
        except Exception as error:  # a run must not fail because nobody could be told about it
            self._problem = f"OpenLineage events stop here: {type(error).__name__}: {error}"

    def _end_all(self, failures: Sequence[str], *, is_last: bool) -> None:
        for asset in self._open.values():
            # Its step ended in neither way: the run was ended from outside.
            self._tell(asset, "ABORT", _now())
        self._open.clear()
        message = "; ".join(failures)
        if is_last:
            self._delivery.send(run_event(self._facts, "FAIL" if failures else "COMPLETE", _now(), message))

    def _heard(self, event: dg.DagsterEvent, at: dt.datetime) -> None:
        key, data = event.asset_key, event.event_specific_data
        match event.event_type:
            case DagsterEventType.STEP_START:
                self._start(event.step_key or "", at)
            case DagsterEventType.ASSET_MATERIALIZATION if key is not None:
                found = event.step_materialization_data.materialization.metadata
                if found:  # of a range of partitions the last one has it
                    self._metadata[key] = {name: value.value for name, value in found.items()}
                else:
                    self._metadata.setdefault(key, {})
            case DagsterEventType.ASSET_CHECK_EVALUATION if isinstance(data, AssetCheckEvaluation):
                self._checks.setdefault(data.asset_key, []).append(data)
            case DagsterEventType.STEP_SUCCESS | DagsterEventType.STEP_FAILURE:
                message = failure_text(event) if event.is_step_failure else ""
                self._end(event.step_key or "", at, message)

    def _start(self, step: str, at: dt.datetime) -> None:
        self._outcomes_before[step] = len(self._ledger.outcomes)
        for asset in self._steps.get(step, ()):
            self._open[asset.key] = asset
            self._tell(asset, "START", at)

    def _end(self, step: str, at: dt.datetime, message: str) -> None:
        outcomes = self._ledger.outcomes[self._outcomes_before.get(step, 0) :]
        for asset in self._steps.get(step, ()):
            if self._open.pop(asset.key, None) is None:
                continue
            # What was made before its step failed is made.
            is_made = asset.key in self._metadata or not message
            assertions = _assertions(asset.job.table, self._checks.get(asset.key, ()))
            if is_made:
                metadata = self._metadata.get(asset.key, {})
                found = Found(_rows(asset.job.table, metadata, outcomes), _size(metadata), assertions)
                self._tell(asset, "COMPLETE", at, found)
            else:
                self._tell(asset, "FAIL", at, Found(assertions=assertions), message)

    def _tell(self, asset: _Asset, state: str, at: dt.datetime, found: Found | None = None, message: str = "") -> None:
        self._delivery.send(asset_event(self._facts, asset.job, state, at, found, message))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


# --- what the assets are


def _assets(definition: dg.AssetsDefinition) -> list[_Asset]:
    modules = {derived.table.name: derived.select.__module__ for derived in DERIVED}
    function: Any = getattr(definition.node_def, "compute_fn", None)
    own = getattr(function, "decorated_fn", function).__module__
    partitions = definition.partitions_def
    timezone = partitions.timezone if isinstance(partitions, dg.TimeWindowPartitionsDefinition) else None
    found = []
    for spec in definition.specs:
        table = spec.key.path[0]
        job = AssetJob(
            name=".".join(spec.key.path),
            table=table,
            inputs=tables_read((dep.asset_key.path[0] for dep in spec.deps), table),
            description=spec.description or "",
            path=modules.get(table, own).replace(".", "/") + ".py",
        )
        found.append(_Asset(spec.key, job, timezone))
    return found


def _nominal(tags: Mapping[str, str], assets: Sequence[_Asset]) -> dict[str, tuple[dt.datetime, dt.datetime]]:
    """The days of the run's partitions, each asset's in the time zone of its market."""
    one = tags.get("dagster/partition")
    first = tags.get("dagster/asset_partition_range_start", one)
    last = tags.get("dagster/asset_partition_range_end", one)
    if first is None or last is None:
        return {}
    start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last) + dt.timedelta(days=1)
    return {
        asset.job.name: (_midnight(start, asset.timezone), _midnight(end, asset.timezone))
        for asset in assets
        if asset.timezone is not None
    }


def _midnight(day: dt.date, timezone: str) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), ZoneInfo(timezone))


# --- what a step found


def _rows(table: str, metadata: Mapping[str, Any], outcomes: Sequence[LoadOutcome]) -> int | None:
    """Rows that were written: of facts those that were new or changed."""
    if table in _DATASETS:
        return sum(outcome.written.get(_DATASETS[table], 0) for outcome in outcomes)
    return next((int(metadata[name]) for name in _WRITTEN if name in metadata), None)


def _size(metadata: Mapping[str, Any]) -> int | None:
    return int(metadata["bytes"]) if "bytes" in metadata else None


def _assertions(table: str, evaluations: Iterable[AssetCheckEvaluation]) -> tuple[Assertion, ...]:
    if table not in _DATASETS:
        return ()
    dataset = _DATASETS[table]
    found = []
    for evaluation in evaluations:
        metadata = {name: value.value for name, value in evaluation.metadata.items()}
        if not metadata.get("payloads"):
            continue  # nothing came that it could be asserted of
        rule = known_rules(dataset).get(evaluation.check_name)
        expectation, column = _expectations(dataset).get(evaluation.check_name, (evaluation.check_name, None))
        found.append(
            Assertion(
                rule=evaluation.check_name,
                expectation=expectation,
                is_success=evaluation.passed,
                column=column,
                severity=rule.severity.value if rule else "error",
                description=rule.description if rule else "No payload was refused as a whole.",
                actual=evaluation.description or "",
                table=table,
            )
        )
    return tuple(found)


@functools.cache
def _expectations(dataset: Dataset) -> dict[str, tuple[str, str | None]]:
    """What each rule asserts and of which column; a rule that asserts several things is called by its own name."""
    checks: dict[str, list[Check]] = {}
    for check in (*checks_for(dataset), *batch_checks_for(dataset)):
        checks.setdefault(check.rule, []).append(check)
    renames = RENAMES.get(dataset, {})
    found: dict[str, tuple[str, str | None]] = {ACCEPTED: (ACCEPTED, None)}
    for rule, asserted in checks.items():
        kinds = {check.kind for check in asserted}
        columns = {name for check in asserted for name in check.columns if check.kind != "verdict"}
        expectation = _EXPECTATIONS.get(next(iter(kinds)), rule) if len(kinds) == 1 else rule
        if expectation == _EXPECTATIONS["unique"] and len(columns) == 1:
            expectation = "expect_column_values_to_be_unique"
        column = next(iter(columns)) if len(columns) == 1 else None
        found[rule] = expectation, renames.get(column, column) if column else None
    return found
