"""Real runs tell OpenLineage about every asset, whoever executes them, and are not disturbed by telling."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from rally_pipeline import ingest
from rally_pipeline.errors import PermanentFetchError
from rally_pipeline.lineage.event_delivery import Delivery
from rally_pipeline.lineage.openlineage import Naming, RunFacts, asset_run_id
from rally_pipeline.orchestration import lineage_events
from rally_pipeline.orchestration.ingest_assets import raw_key
from rally_pipeline.orchestration.instance import open_instance
from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.orchestration.lineage_events import LineageEvents, RunListener
from rally_pipeline.orchestration.resources import WORKSPACE, Ledger, RunWorkspace, workspace_resource
from rally_pipeline.orchestration.runner import run_pipeline
from rally_pipeline.schema import core, metadata, ops
from rally_pipeline.settings import Profile, load_settings
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline_tests.openlineage_events import LineageServer, events_in, problems
from rally_pipeline_tests.workspaces import environment, open_at

DAY = dt.date(2025, 2, 14)


def _by_job(events):
    found = {}
    for event in events:
        found.setdefault(event["job"]["name"], []).append(event)
    return found


def _states(events):
    return {job: [event["eventType"] for event in found] for job, found in _by_job(events).items()}


# --- the daily job


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A run over one market and the marts: the settings, its report, and what a server was told."""
    home = tmp_path_factory.mktemp("told")
    with LineageServer() as server:
        settings = load_settings(home=home, profile=Profile.DEMO, openlineage_url=server.url)
        report = run_pipeline(settings, DAY, DAY, markets=("HK",))
        yield settings, report, server.events


def test_every_asset_starts_and_completes(told):
    settings, report, events = told
    assert report.ok, report.lines()
    definitions = build_definitions(settings)
    jobs = [definitions.resolve_job_def(name) for name in ("ingest_hk", "marts")]
    keys = {key for job in jobs for key in job.asset_layer.selected_asset_keys}
    names = {".".join(key.path) for key in keys} | {"ingest_hk", "marts"}
    assert _states(events) == {name: ["START", "COMPLETE"] for name in names}


def test_every_event_is_valid(told):
    events = told[2]
    assert len(events) >= 60
    for event in events:
        assert problems(event) == [], event["job"]["name"]


def test_the_file_holds_the_same(told):
    settings, _, events = told
    assert events_in(settings.home / "lineage") == events


def test_inputs_and_outputs_are_the_graph(told):
    settings, _, events = told
    graph = build_definitions(settings).resolve_asset_graph()
    nodes = {".".join(key.path): graph.get(key) for key in graph.get_all_asset_keys()}
    for event in events:
        if event["job"]["name"] not in nodes:
            assert not event["inputs"]
            assert not event["outputs"]
            continue
        node = nodes[event["job"]["name"]]
        table = node.key.path[0]
        assert [output["name"] for output in event["outputs"]] == [table]
        assert {one["name"] for one in event["inputs"]} == {key.path[0] for key in node.parent_keys} - {table}
        path = settings.home / "warehouse.sqlite"
        assert {one["namespace"] for one in (*event["inputs"], *event["outputs"])} == {f"sqlite://{path}"}


def test_runs_are_linked(told):
    _, report, events = told
    parents = {event["job"]["name"]: event["run"]["runId"] for event in events if not event["outputs"]}
    assert set(parents.values()) == set(report.run_ids)
    for event in events:
        if event["outputs"]:
            parent = event["run"]["facets"]["parent"]
            assert parents[parent["job"]["name"]] == parent["run"]["runId"]
            assert event["run"]["runId"] == asset_run_id(parent["run"]["runId"], event["job"]["name"])


def _complete(events, job):
    (found,) = [e for e in events if e["job"]["name"] == job and e["eventType"] == "COMPLETE"]
    return found


def test_rows_are_those_that_were_written(told):
    settings, report, events = told
    written = {}
    for event in events:
        if event["eventType"] == "COMPLETE" and event["outputs"]:
            facet = event["outputs"][0]["outputFacets"]["outputStatistics"]
            written[event["job"]["name"]] = facet
    with open_warehouse(settings.resolved_warehouse_url).read() as connection:
        counts = {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for name, table in metadata.tables.items()
        }
    (market,) = report.markets
    assert written["core_price_daily.hk"]["rowCount"] == counts["core_price_daily"]
    assert written["core_market_turnover_daily"]["rowCount"] == counts["core_market_turnover_daily"]
    assert counts["core_price_daily"] + counts["core_market_turnover_daily"] == market.rows_new
    assert written["core_instrument"]["rowCount"] == counts["core_instrument"]
    assert written["mart_leaderboard_daily"]["rowCount"] == counts["mart_leaderboard_daily"]
    assert written["raw_fetch.price_hk"]["rowCount"] == market.records
    assert written["raw_fetch.price_hk"]["size"] > 1000
    assert all(facet["rowCount"] >= 0 for facet in written.values())


def test_results_of_great_expectations_are_told(told):
    settings, _, events = told
    event = _complete(events, "core_price_daily.hk")
    (raw,) = [one for one in event["inputs"] if one["name"] == "raw_fetch"]
    found = {one["name"]: one for one in raw["inputFacets"]["dataQualityAssertions"]["assertions"]}
    result = ops.ops_quality_result
    with open_warehouse(settings.resolved_warehouse_url).read() as connection:
        rows = connection.execute(
            sa.select(result.c.rule, sa.func.min(sa.cast(result.c.is_success, sa.Integer)))
            .where(result.c.table_name == "core_price_daily")
            .group_by(result.c.rule)
        ).all()
    assert len(rows) > 20
    for rule, is_met in rows:
        assert found[rule]["success"] == bool(is_met), rule
    assert {one["column"] for one in found.values() if "column" in one} <= set(core.core_price_daily.columns.keys())
    assert found["session_date_present"]["assertion"] == "expect_column_values_to_not_be_null"
    assert not any("dataQualityAssertions" in one.get("inputFacets", {}) for one in event["inputs"] if one is not raw)


def test_times_are_those_of_the_partition(told):
    events = told[2]
    times = _complete(events, "core_price_daily.hk")["run"]["facets"]["nominalTime"]
    assert times["nominalStartTime"] == "2025-02-14T00:00:00+08:00"
    assert times["nominalEndTime"] == "2025-02-15T00:00:00+08:00"
    assert "nominalTime" not in _complete(events, "core_instrument")["run"]["facets"]
    for found in _by_job(events).values():
        assert found[0]["eventTime"] <= found[-1]["eventTime"]


# --- failures


def test_a_failing_asset_fails(tmp_path, monkeypatch):
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    real = ingest.source_module

    class Failing:
        def __init__(self, name):
            self.plan, self.parse = real(name).plan, real(name).parse

        def fetch(self, request, upstream):
            raise PermanentFetchError(f"gone: {request.subject}")

    monkeypatch.setattr(ingest, "source_module", Failing)
    with open_instance(settings) as instance:
        job = build_definitions(settings).resolve_job_def("ingest_jp")
        done = job.execute_in_process(instance=instance, partition_key=DAY.isoformat(), raise_on_error=False)
    assert not done.success
    events = events_in(tmp_path / "lineage")
    assert _states(events) == {"ingest_jp": ["START", "FAIL"], "raw_fetch.price_jp": ["START", "FAIL"]}
    failed = _by_job(events)["raw_fetch.price_jp"][1]
    assert "gone: ^N225" in failed["run"]["facets"]["errorMessage"]["message"]
    assert "gone: ^N225" in _by_job(events)["ingest_jp"][1]["run"]["facets"]["errorMessage"]["message"]
    assert failed["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2025-02-14T00:00:00+09:00"
    assert all(problems(event) == [] for event in events)


# --- any run, in small


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return RunWorkspace(open_at(tmp_path_factory.mktemp("small")))


def _run(opened, settings, assets, **options):
    """Executes assets that are named like tables; returns whether it succeeded, and the events."""
    lineage = LineageEvents(settings, assets)
    definitions = dg.Definitions(
        assets=assets,
        jobs=[dg.define_asset_job("small")],
        resources={WORKSPACE: workspace_resource(settings, opened, lineage)},
        executor=dg.in_process_executor,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("small").execute_in_process(
            instance=instance, raise_on_error=False, **options
        )
    return done.success, events_in(settings.events_file.parent)


def _asset(name, compute, **options):
    @dg.asset(key=name, required_resource_keys={WORKSPACE}, **options)
    def made(context):
        return compute(context)

    return made


def test_a_step_that_is_tried_again_starts_and_ends_once(opened, tmp_path):
    settings = load_settings(home=tmp_path)

    def compute(context):
        if context.retry_number < 2:
            raise ValueError("not yet")
        return dg.MaterializeResult(metadata={"dagster/row_count": 7})

    asset = _asset("core_event", compute, retry_policy=dg.RetryPolicy(max_retries=2))
    success, events = _run(opened, settings, [asset])
    assert success
    assert _states(events)["core_event"] == ["START", "COMPLETE"]
    assert _complete(events, "core_event")["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 7


def test_what_was_made_before_its_step_failed_is_made(opened, tmp_path):
    settings = load_settings(home=tmp_path)

    @dg.multi_asset(specs=[dg.AssetSpec("core_event"), dg.AssetSpec("core_broker")], required_resource_keys={WORKSPACE})
    def two(context):
        yield dg.MaterializeResult(asset_key="core_event", metadata={"dagster/row_count": 1})
        raise dg.Failure("half way", allow_retries=False)

    below = _asset("core_instrument", lambda _: None, deps=["core_broker"])
    success, events = _run(opened, settings, [two, below])
    assert not success
    assert _states(events) == {
        "small": ["START", "FAIL"],
        "core_event": ["START", "COMPLETE"],
        "core_broker": ["START", "FAIL"],
    }
    (failed,) = [e for e in events if e["job"]["name"] == "core_broker" and e["eventType"] == "FAIL"]
    assert failed["run"]["facets"]["errorMessage"]["message"] == "two: half way"


def test_only_what_was_selected_is_told(opened, tmp_path):
    settings = load_settings(home=tmp_path)
    specs = [dg.AssetSpec(name) for name in ("core_event", "core_broker")]

    @dg.multi_asset(specs=specs, can_subset=True, required_resource_keys={WORKSPACE})
    def several(context):
        for key in context.selected_asset_keys:
            yield dg.MaterializeResult(asset_key=key)

    success, events = _run(opened, settings, [several], asset_selection=[dg.AssetKey("core_broker")])
    assert success
    assert _states(events) == {"small": ["START", "COMPLETE"], "core_broker": ["START", "COMPLETE"]}


def test_a_step_that_is_interrupted_fails(opened, tmp_path):
    def compute(context):
        raise KeyboardInterrupt

    success, events = _run(opened, load_settings(home=tmp_path), [_asset("core_event", compute)])
    assert not success
    assert _states(events) == {"small": ["START", "FAIL"], "core_event": ["START", "FAIL"]}


def test_a_step_that_never_ended_is_aborted(opened, tmp_path):
    """When the run is over and Dagster has said nothing of how the step ended."""
    settings = load_settings(home=tmp_path)
    (asset,) = lineage_events._assets(_asset("core_event", lambda _: None))
    facts = RunFacts(str(uuid.uuid4()), "small", "rally_pipeline", Naming("sqlite:///w"), "1")
    listener = RunListener(facts, {"core_event": [asset]}, Delivery(settings, threading.Event()), Ledger())
    listener.begin()
    listener._start("core_event", dt.datetime.now(dt.UTC))
    assert listener.close([], is_last=True) == []
    events = events_in(tmp_path / "lineage")
    assert _states(events) == {"small": ["START", "COMPLETE"], "core_event": ["START", "ABORT"]}
    assert all(problems(event) == [] for event in events)


def test_nothing_is_told_if_it_is_disabled(opened, tmp_path):
    settings = load_settings(home=tmp_path, openlineage_disabled=True)
    assert _run(opened, settings, [_asset("core_event", lambda _: None)])[0]
    assert not (tmp_path / "lineage").exists()


def test_a_fault_of_ours_fails_no_run(opened, tmp_path, monkeypatch):
    settings = load_settings(home=tmp_path)

    def broken(*_):
        raise RuntimeError("broken")

    for name in ("asset_event", "run_event", "_planned"):
        with monkeypatch.context() as patched:
            patched.setattr(lineage_events, name, broken)
            assert _run(opened, settings, [_asset("core_event", lambda _: None)])[0]


def _timed(opened, settings):
    made = []

    def compute(_):
        made.append(1)

    assets = [_asset(name, compute) for name in ("core_event", "core_broker", "core_instrument", "core_session")]
    began = time.monotonic()
    success, _ = _run(opened, settings, assets)
    assert success
    assert len(made) == 4
    return time.monotonic() - began


def test_a_dead_endpoint_delays_a_run_by_its_timeout_at_most(opened, tmp_path):
    quiet = load_settings(home=tmp_path / "quiet")
    _timed(opened, quiet)  # imports
    usual = min(_timed(opened, quiet) for _ in range(2))
    with LineageServer(silent=True) as server:
        settings = load_settings(home=tmp_path / "silent", openlineage_url=server.url, openlineage_timeout_seconds=1.0)
        delayed = _timed(opened, settings)
        assert len(server.requests) == 1
    assert delayed < 1.0 + 2 * usual + 1.0
    assert len(events_in(tmp_path / "silent" / "lineage")) == 10


def test_a_process_that_dagster_starts_tells_too(tmp_path):
    """Not by way of our command line: as the UI and the daemon execute runs, from the definitions alone."""
    open_at(tmp_path).warehouse.engine.dispose()
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    env = environment(tmp_path, PYTHONPATH=path, DAGSTER_HOME=str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "rally_pipeline.definitions"]
    done = subprocess.run(
        [*command, "--select", "core_event,core_broker"], env=env, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    events = events_in(tmp_path / "lineage")
    assert Counter((event["job"]["name"], event["eventType"]) for event in events if event["outputs"]) == Counter(
        {(name, state): 1 for name in ("core_event", "core_broker") for state in ("START", "COMPLETE")}
    )
    assert all(problems(event) == [] for event in events)


def test_steps_are_the_assets_of_the_graph(told):
    """Every asset that can be made is heard, under the name that its step has in a job."""
    definitions = build_definitions(told[0])
    graph = definitions.resolve_asset_graph()
    assets = [one for one in definitions.assets if isinstance(one, dg.AssetsDefinition)]
    heard = LineageEvents(told[0], assets)._steps
    assert {asset.key for found in heard.values() for asset in found} == graph.materializable_asset_keys
    assert raw_key("HK") in {asset.key for asset in heard["raw_fetch__price_hk"]}
    jobs = [job for job in definitions.resolve_all_job_defs() if job.asset_layer.selected_asset_keys]
    assert len(jobs) > 8
    for job in jobs:
        assert {node.name for node in job.graph.nodes if node.name in heard}
