"""OpenLineage events: valid by the specification for every asset, and delivered without disturbing anyone."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.errors import UsageError
from rally_pipeline.lineage.event_delivery import Delivery, day_file
from rally_pipeline.lineage.openlineage import (
    Assertion,
    Found,
    Naming,
    RunFacts,
    asset_event,
    asset_run_id,
    naming_of,
    run_event,
)
from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.orchestration.lineage_events import LineageEvents, _expectations
from rally_pipeline.quality.rules import RENAMES, TABLES, checks_for, rules_for
from rally_pipeline.schema import metadata
from rally_pipeline.settings import load_settings
from rally_pipeline.sources.base import Dataset
from rally_pipeline_tests.openlineage_events import LineageServer, events_in, problems
from rally_pipeline_tests.workspaces import environment, run_cli_here

AT = dt.datetime(2025, 2, 14, 8, 30, tzinfo=dt.UTC)
NAMING = Naming("postgres://db.example:5432", "rally.public.")
DAYS = (dt.datetime.fromisoformat("2025-02-14T00:00+08:00"), dt.datetime.fromisoformat("2025-02-15T00:00+08:00"))
RUN_ID = "2b0a6c1c-5d0e-4f5e-9d3a-6d1f5b8f7c11"


def _plain(event):
    from openlineage.client.serde import Serde

    return json.loads(Serde.to_json(event))


def _facts(*jobs):
    return RunFacts(RUN_ID, "ingest_hk", "rally_pipeline", NAMING, "1.13.27", {job.name: DAYS for job in jobs})


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    import dagster as dg

    made = build_definitions(load_settings(home=tmp_path_factory.mktemp("graph")))
    return [one for one in made.assets if isinstance(one, dg.AssetsDefinition)]


@pytest.fixture(scope="module")
def jobs(definitions, tmp_path_factory):
    events = LineageEvents(load_settings(home=tmp_path_factory.mktemp("jobs")), definitions)
    return {asset.key: asset.job for assets in events._steps.values() for asset in assets}


# --- what they say


def test_every_asset_has_valid_events(jobs):
    assertion = Assertion("high_is_highest", "high_is_highest", False, None, "quarantine", "High.", "1 of 2", "t")
    found = Found(3, 4096, (assertion,))
    assert len(jobs) > 40
    for job in jobs.values():
        facts = _facts(job)
        for state, extra in (("START", {}), ("COMPLETE", {"found": found}), ("FAIL", {"message": "x"}), ("ABORT", {})):
            event = _plain(asset_event(facts, job, state, AT, **extra))
            assert problems(event) == [], (job.name, state)
            assert event["eventType"] == state
            assert event["eventTime"] == "2025-02-14T08:30:00.000Z"
            assert event["run"]["runId"] == asset_run_id(RUN_ID, job.name)
            assert event["run"]["facets"]["parent"]["run"]["runId"] == RUN_ID
            assert ("errorMessage" in event["run"]["facets"]) == (state == "FAIL")
    assert len({asset_run_id(RUN_ID, job.name) for job in jobs.values()}) == len(jobs)


def test_the_check_of_events_finds_faults(jobs):
    """What is held to the specification is also refused by it."""
    job = next(iter(jobs.values()))
    good = _plain(asset_event(_facts(job), job, "COMPLETE", AT, Found(1)))
    for spoil in (
        lambda e: e.pop("producer"),
        lambda e: e.pop("eventTime"),
        lambda e: e["run"].update(runId="7"),
        lambda e: e.update(eventType="DONE"),
        lambda e: e.update(eventTime="yesterday"),
        lambda e: e["job"].pop("namespace"),
        lambda e: e["outputs"][0].pop("name"),
        lambda e: e["job"]["facets"]["jobType"].pop("_schemaURL"),
        lambda e: e["run"]["facets"]["parent"].pop("job"),
        lambda e: e["outputs"][0]["facets"]["schema"].update(colour="red"),
        lambda e: e["outputs"][0]["outputFacets"]["outputStatistics"].update(rowCount="many"),
        lambda e: e["job"]["facets"].update(ours={"_producer": "a:b", "_schemaURL": "https://openlineage.io/x"}),
    ):
        bad = json.loads(json.dumps(good))
        spoil(bad)
        assert problems(bad)


def test_inputs_and_outputs_are_the_asset_graph(definitions, jobs):
    for definition in definitions:
        for spec in definition.specs:
            event = _plain(asset_event(_facts(), jobs[spec.key], "COMPLETE", AT))
            table = spec.key.path[0]
            tables = {dep.asset_key.path[0] for dep in spec.deps} - {table}
            assert [output["name"] for output in event["outputs"]] == [f"rally.public.{table}"]
            assert {one["name"] for one in event["inputs"]} == {f"rally.public.{name}" for name in tables}
            assert event["job"]["name"] == ".".join(spec.key.path)


def test_a_finished_asset_is_described(jobs):
    job = next(job for job in jobs.values() if job.table == "mart_price_extremes_daily")
    event = _plain(asset_event(_facts(job), job, "COMPLETE", AT, Found(12)))
    (output,) = event["outputs"]
    table = metadata.tables[job.table]
    assert [field["name"] for field in output["facets"]["schema"]["fields"]] == [c.name for c in table.columns]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 12
    assert output["facets"]["dataSource"]["uri"] == NAMING.namespace
    lineage = output["facets"]["columnLineage"]
    assert set(lineage["fields"]) <= set(table.columns.keys())
    assert lineage["dataset"]
    names = set()
    for field in [one for found in lineage["fields"].values() for one in found["inputFields"]]:
        name = field["name"].removeprefix(NAMING.prefix)
        names.add(field["name"])
        assert field["field"] in metadata.tables[name].columns
        assert {way["type"] for way in field["transformations"]} <= {"DIRECT", "INDIRECT"}
    assert names <= {one["name"] for one in event["inputs"]} | {f"{NAMING.prefix}{job.table}"}
    code = event["job"]["facets"]["sourceCodeLocation"]
    assert (Path(__file__).parents[2] / code["path"]).is_file()
    assert code["path"].startswith("rally_pipeline/marts/")
    times = event["run"]["facets"]["nominalTime"]
    assert times["nominalStartTime"] == "2025-02-14T00:00:00+08:00"
    assert times["nominalEndTime"] == "2025-02-15T00:00:00+08:00"


def test_a_started_asset_is_only_named(jobs):
    job = next(iter(jobs.values()))
    (output,) = _plain(asset_event(_facts(), job, "START", AT))["outputs"]
    assert set(output["facets"]) == {"dataSource"}
    assert not output.get("outputFacets")


def test_source_of_every_asset_exists(jobs):
    for job in jobs.values():
        assert (Path(__file__).parents[2] / job.path).is_file(), job.path


def test_runs_are_events_too():
    for state, message in (("START", ""), ("COMPLETE", ""), ("FAIL", "raw_fetch: gone")):
        event = _plain(run_event(_facts(), state, AT, message))
        assert problems(event) == []
        assert event["run"]["runId"] == RUN_ID
        assert uuid.UUID(event["run"]["runId"])


def test_results_of_the_gate_stand_at_what_was_fetched(jobs):
    found = Found(
        assertions=(
            Assertion("open_in_range", "expect_column_values_to_be_between", True, "open", "quarantine", "d", "a", "t"),
        )
    )
    judged = [job for job in jobs.values() if job.table in {table.name for table in TABLES.values()}]
    assert len(judged) > 8
    for job in judged:
        event = _plain(asset_event(_facts(), job, "COMPLETE", AT, found))
        holding = [one for one in event["inputs"] if "dataQualityAssertions" in one.get("inputFacets", {})]
        assert [one["name"] for one in holding] == ["rally.public.raw_fetch"]
        (assertion,) = holding[0]["inputFacets"]["dataQualityAssertions"]["assertions"]
        assert (assertion["success"], assertion["column"]) == (True, "open")


@pytest.mark.parametrize("dataset", list(Dataset))
def test_every_rule_is_an_assertion(dataset):
    found = _expectations(dataset)
    assert {info.rule for info in rules_for(dataset)} <= set(found)
    renames = RENAMES.get(dataset, {})
    for check in checks_for(dataset):
        expectation, column = found[check.rule]
        if check.kind == "present":
            assert expectation == "expect_column_values_to_not_be_null"
            assert column == renames.get(check.columns[0], check.columns[0])
            assert column in TABLES[dataset].columns
        if check.kind == "verdict":
            assert (expectation, column) == (check.rule, None)


@pytest.mark.parametrize(
    ("url", "schema", "namespace", "name"),
    [
        ("sqlite:////srv/w.sqlite", "main", "sqlite:///srv/w.sqlite", "ops_run"),
        ("sqlite://", None, "sqlite://:memory:", "ops_run"),
        ("postgresql+psycopg://me:secret@db/w", "public", "postgres://db:5432", "w.public.ops_run"),
        ("postgresql+psycopg://me:secret@db:6000/w?sslmode=x", "desk", "postgres://db:6000", "w.desk.ops_run"),
        ("postgresql+psycopg://me@/w?host=/run/pg", None, "postgres://localhost:5432", "w.public.ops_run"),
    ],
)
def test_names_follow_the_naming_rules(url, schema, namespace, name):
    naming = naming_of(sa.make_url(url), schema)
    assert (naming.namespace, naming.name("ops_run")) == (namespace, name)


# --- where they go


def _event():
    return run_event(_facts(), "START", AT)


def _settings(tmp_path, **more):
    return load_settings(home=tmp_path, **more)


def _deliver(settings, count=1, given_up=None):
    delivery = Delivery(settings, given_up or threading.Event())
    began = time.monotonic()
    for _ in range(count):
        delivery.send(_event())
    told = delivery.close()
    return told, time.monotonic() - began


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """The package's import is no part of what is measured."""
    import openlineage.client.transport.file
    import openlineage.client.transport.http  # noqa: F401


def test_events_are_written_one_a_line(tmp_path):
    assert _deliver(_settings(tmp_path), 3)[0] == []
    today = dt.datetime.now(dt.UTC).date()
    (path,) = (tmp_path / "lineage").iterdir()
    assert path.name in (f"openlineage-{today}.jsonl", f"openlineage-{today - dt.timedelta(days=1)}.jsonl")
    events = events_in(tmp_path / "lineage")
    assert len(events) == 3
    assert all(problems(event) == [] for event in events)


def test_old_files_go_and_those_of_others_stay(tmp_path):
    path = tmp_path / "events" / "x.jsonl"
    path.parent.mkdir()
    today = dt.datetime.now(dt.UTC).date()
    kept = [path, path.with_name("x-notes.jsonl"), path.with_name("y-2001-01-01.jsonl")]
    kept += [day_file(path, today - dt.timedelta(days=days)) for days in (1, 6)]
    old = [day_file(path, today - dt.timedelta(days=days)) for days in (7, 8, 400)]
    for one in (*kept, *old):
        one.write_text("{}\n")
    _deliver(_settings(tmp_path, openlineage_file=path, openlineage_keep_days=7))
    assert not any(one.exists() for one in old)
    assert all(one.exists() for one in kept)


def test_a_file_that_cannot_be_written_is_told_once(tmp_path):
    (tmp_path / "lineage").write_text("in the way")
    told, _ = _deliver(_settings(tmp_path), 3)
    assert len(told) == 1
    assert "not written" in told[0]


def test_a_server_gets_every_event_in_order(tmp_path):
    with LineageServer() as server:
        told, _ = _deliver(_settings(tmp_path, openlineage_url=server.url, openlineage_api_key="s3cret"), 5)
    assert told == []
    assert len(server.events) == 5
    assert server.events == events_in(tmp_path / "lineage")
    assert {path for path, _, _ in server.requests} == {"/api/v1/lineage"}
    assert {headers["authorization"] for _, headers, _ in server.requests} == {"Bearer s3cret"}


@pytest.mark.parametrize(("given", "asked"), [("/", "/api/v1/lineage"), ("/events/take", "/events/take")])
def test_a_path_in_the_url_is_kept(tmp_path, given, asked):
    with LineageServer() as server:
        _deliver(_settings(tmp_path, openlineage_url=server.url + given))
    assert [path for path, _, _ in server.requests] == [asked]
    assert "authorization" not in server.requests[0][1]


def _dead_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_dead_port_costs_nothing_and_is_not_tried_again(tmp_path):
    given_up = threading.Event()
    url = f"http://me:hidden@127.0.0.1:{_dead_port()}"
    settings = _settings(tmp_path, openlineage_url=url, openlineage_timeout_seconds=2)
    told, seconds = _deliver(settings, 50, given_up)
    assert seconds < 2
    assert len(told) == 1
    assert "took 0 of" in told[0]
    assert "hidden" not in told[0]
    assert len(events_in(tmp_path / "lineage")) == 50
    assert given_up.is_set()
    assert _deliver(settings, 50, given_up)[0] == []


def test_a_server_that_never_answers_is_waited_for_once(tmp_path):
    with LineageServer(silent=True) as server:
        given_up = threading.Event()
        settings = _settings(tmp_path, openlineage_url=server.url, openlineage_timeout_seconds=0.5)
        told, seconds = _deliver(settings, 20, given_up)
        assert seconds < 0.5 + 0.5
        assert len(told) == 1
        again, seconds = _deliver(settings, 20, given_up)
        assert again == []
        assert seconds < 0.4
        assert len(server.requests) == 1
    assert len(events_in(tmp_path / "lineage")) == 40


def test_a_server_that_refuses_is_asked_once(tmp_path):
    with LineageServer(status=503) as server:
        told, _ = _deliver(_settings(tmp_path, openlineage_url=server.url), 20)
    assert len(server.requests) == 1
    assert "503" in told[0]


def test_the_key_is_told_to_nobody_else(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    settings = _settings(tmp_path, openlineage_url=f"http://127.0.0.1:{_dead_port()}", openlineage_api_key="s3cret")
    told, _ = _deliver(settings)
    shown = run_cli_here(
        ["doctor"], environment(tmp_path, RALLY_OPENLINEAGE_API_KEY="s3cret", RALLY_OPENLINEAGE_TIMEOUT_SECONDS="3")
    )
    assert "RALLY_OPENLINEAGE_API_KEY" in shown.stdout
    written = "".join(path.read_text() for path in (tmp_path / "lineage").iterdir())
    for text in (*told, caplog.text, shown.stdout, shown.stderr, repr(settings), written):
        assert "s3cret" not in text


def test_settings(tmp_path):
    settings = _settings(tmp_path)
    assert settings.openlineage_url is None
    assert settings.openlineage_timeout_seconds == 2
    assert not settings.openlineage_disabled
    assert settings.events_file == tmp_path / "lineage" / "openlineage.jsonl"
    assert _settings(tmp_path, openlineage_url="", openlineage_api_key="").openlineage_api_key is None
    with pytest.raises(UsageError, match="RALLY_OPENLINEAGE_URL"):
        _settings(tmp_path, openlineage_url="kafka:9092")
    with pytest.raises(UsageError, match="RALLY_OPENLINEAGE_TIMEOUT_SECONDS"):
        _settings(tmp_path, openlineage_timeout_seconds=0)


def test_the_package_is_imported_only_to_tell(tmp_path):
    code = (
        "import sys\n"
        "from rally_pipeline.definitions import defs\n"
        "defs().get_repository_def() if callable(defs) else defs\n"
        "import rally_pipeline.workspace, rally_pipeline.orchestration.runner\n"
        "sys.exit('openlineage' in sys.modules)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path, PYTHONPATH=path), check=False)
    assert done.returncode == 0
