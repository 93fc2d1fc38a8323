"""Asset checks: one per expectation, with what was seen, and blocking no more than it must."""

from __future__ import annotations

import dataclasses
import datetime as dt

import dagster as dg
import pytest
import sqlalchemy as sa

from rally_pipeline import ingest
from rally_pipeline.orchestration.checks import ACCEPTED
from rally_pipeline.orchestration.file_checks import FILE_TABLES, stored_outcomes
from rally_pipeline.orchestration.ingest_assets import DATASETS, core_key, core_keys, raw_key
from rally_pipeline.orchestration.instance import open_instance
from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.orchestration.note_assets import FEED_RATINGS, note_keys
from rally_pipeline.orchestration.partitions import INGEST_MARKETS
from rally_pipeline.orchestration.runner import run_pipeline
from rally_pipeline.quality.rules import TABLES, rules_for
from rally_pipeline.schema import core, metadata
from rally_pipeline.settings import Profile, load_settings
from rally_pipeline.sources import flow_files
from rally_pipeline.sources.base import Dataset, Payload, Severity
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline_tests.unit.test_flow_files import broker
from rally_pipeline_tests.workspaces import deliver, open_at, utc

START, END = dt.date(2025, 2, 10), dt.date(2025, 2, 14)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return build_definitions(load_settings(home=tmp_path_factory.mktemp("graph"))).resolve_asset_graph()


def _specs(graph, key):
    return {k.name: graph.get_check_spec(k) for k in graph.get_check_keys_for_assets({key})}


def test_every_expectation_of_every_table_is_a_check(graph):
    seen = set()
    keys = [key for market in INGEST_MARKETS for key in core_keys(market)]
    keys += [dg.AssetKey([table.name]) for table in FILE_TABLES]
    keys += [key for key in note_keys() if key.path[0] != "raw_fetch"] + [FEED_RATINGS]
    for key in keys:
        table = metadata.tables[key.path[0]]
        dataset = next(d for d, t in TABLES.items() if t is table)
        specs = _specs(graph, key)
        assert set(specs) == {ACCEPTED, *(info.rule for info in rules_for(dataset))}, key
        for info in rules_for(dataset):
            assert info.description in specs[info.rule].description
            is_loaded_by_a_step = table not in FILE_TABLES
            assert specs[info.rule].blocking is (info.severity is Severity.ERROR and is_loaded_by_a_step)
            assert specs[info.rule].partitions_def is None
        seen.add(dataset)
    assert seen == set(TABLES) == set(Dataset)
    assert set(DATASETS.values()) == set(Dataset)


def _damage(monkeypatch, change):
    """Lets `change` alter the frame of each payload after it was read."""
    real = ingest.source_module

    def module(name):
        source = real(name)

        class Damaged:
            plan, fetch = staticmethod(source.plan), staticmethod(source.fetch)

            @staticmethod
            def parse(payload, catalog):
                parsed = source.parse(payload, catalog)
                frame = parsed.frame.copy()
                change(payload.request, frame)
                return dataclasses.replace(parsed, frame=frame)

        return Damaged

    monkeypatch.setattr(ingest, "source_module", module)


def _latest(instance, key, name):
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([dg.AssetCheckKey(key, name)])[
        dg.AssetCheckKey(key, name)
    ]
    return record, record.event.dagster_event.event_specific_data


def _planned(settings):
    """Results that were planned and never came."""
    with open_instance(settings) as instance:
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks

        with instance.event_log_storage.index_connection() as connection:
            rows = connection.execute(sa.select(Checks.c.execution_status, Checks.c.partition)).all()
    return [row for row in rows if row.execution_status == "PLANNED" or row.partition is not None], len(rows)


@pytest.fixture(scope="module")
def ranged(tmp_path_factory):
    """A range of days of a market in which one share has bad rows and one index comes in a wrong currency."""
    settings = load_settings(home=tmp_path_factory.mktemp("checks"), profile=Profile.DEMO)

    def change(request, frame):
        if request.subject == "BABA":
            frame.loc[1, "high"] = frame.loc[1, "low"] * 0.5
        if request.subject == "^NDX":
            frame["currency"] = "EUR"

    with pytest.MonkeyPatch.context() as patched:
        _damage(patched, change)
        report = run_pipeline(settings, START, END, markets=("US",))
    return settings, report


def test_an_error_is_red_and_stops_nothing_else(ranged):
    settings, report = ranged
    (market,) = report.markets
    # The run itself went through: only the damaged instrument is out, and the marts have the others.
    assert market.error == ""
    assert not market.ok
    assert market.unserved == ("^NDX",)
    assert report.marts_error == ""
    with open_warehouse(settings.resolved_warehouse_url).read() as connection:
        for table in (core.core_price_daily, metadata.tables["mart_price_extremes_daily"]):
            symbols = set(connection.scalars(sa.select(table.c.symbol)))
            assert "^NDX" not in symbols
            assert {"^GSPC", "BABA", "MCHI"} <= symbols
    with open_instance(settings) as instance:
        for name in ("currency_matches", ACCEPTED):
            _, said = _latest(instance, core_key("US"), name)
            assert not said.passed
            assert said.severity is dg.AssetCheckSeverity.ERROR
            assert said.blocking is False
        run = instance.get_run_by_id(market.run_id)
        assert run.status is dg.DagsterRunStatus.SUCCESS


def test_a_result_shows_values_rows_and_payload(ranged):
    settings, _ = ranged
    with open_instance(settings) as instance:
        record, said = _latest(instance, core_key("US"), "high_is_highest")
        materialized = instance.get_latest_materialization_event(core_key("US"))
    assert not said.passed
    assert said.severity is dg.AssetCheckSeverity.WARN
    assert record.partition is None
    assert said.target_materialization_data.run_id == materialized.run_id
    shown = {name: value.value for name, value in said.metadata.items()}
    assert shown["severity"] == "quarantine"
    assert shown["unexpected_count"] == 1
    assert shown["row_count"] >= 20
    assert shown["sessions"] == f"{START} … {END}"
    (row,) = shown["failing_rows"].records
    assert row.data["locator"] == "rows[1]"
    assert row.data["subject"] == "BABA"
    assert row.data["high"] < row.data["low"]
    (payload,) = shown["failing_payloads"].records
    assert len(payload.data["payload_id"]) == 64
    assert "observed_value" in shown
    assert "1 of" in said.description


def test_a_range_has_one_result_per_check_and_none_left_over(ranged):
    settings, _ = ranged
    left, count = _planned(settings)
    assert left == []
    # US once, and with the marts the table of files and what watches sources and freshness.
    definitions = build_definitions(settings)
    asked = [
        definitions.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys for job in ("ingest_us", "marts")
    ]
    assert 1 + len(rules_for(Dataset.PRICE)) == len(list(asked[0]))
    assert len(list(asked[1])) > 1 + len(rules_for(Dataset.BROKER_FLOW))
    assert count == sum(len(list(keys)) for keys in asked)


def test_a_single_day_has_one_result_per_check(tmp_path):
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    with open_instance(settings) as instance:
        job = build_definitions(settings).resolve_job_def("ingest_jp")
        result = job.execute_in_process(instance=instance, partition_key="2025-02-14")
        evaluations = result.get_asset_check_evaluations()
        _, said = _latest(instance, core_key("JP"), "price_positive")
    assert {e.check_name for e in evaluations} == {ACCEPTED, *(info.rule for info in rules_for(Dataset.PRICE))}
    assert all(e.passed and e.partition is None for e in evaluations)
    assert said.metadata["sessions"].value == "2025-02-14"
    left, count = _planned(settings)
    assert left == []
    assert count == 1 + len(rules_for(Dataset.PRICE))


def test_nothing_left_blocks_what_depends_on_it(tmp_path, monkeypatch):
    """All payloads refused: the step fails, what is downstream in the same run is skipped, the checks are told."""
    _damage(monkeypatch, lambda request, frame: frame.__setitem__("currency", "XXX"))
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)

    @dg.asset(deps=[core_key("JP")])
    def after():
        return None

    definitions = dg.Definitions.merge(
        build_definitions(settings),
        dg.Definitions(
            assets=[after],
            jobs=[dg.define_asset_job("chain", dg.AssetSelection.assets(raw_key("JP"), core_key("JP"), after.key))],
        ),
    )
    with open_instance(settings) as instance:
        result = definitions.resolve_job_def("chain").execute_in_process(
            instance=instance, partition_key="2025-02-14", raise_on_error=False
        )
        _, said = _latest(instance, core_key("JP"), "currency_matches")
        assert instance.get_latest_materialization_event(core_key("JP")) is None
    assert not result.success
    assert not said.passed
    assert said.severity is dg.AssetCheckSeverity.ERROR
    assert "after" not in {e.step_key for e in result.all_events if e.is_step_start}
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "refused" in failure.step_failure_data.user_failure_data.description


def test_files_are_checked_from_what_the_import_left(tmp_path):
    """One broker's table is good, one has a figure without a unit; the marts' run says so, and goes through."""
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    workspace = open_at(tmp_path, profile=Profile.DEMO)
    request = flow_files.request_for("house.csv", source="house")
    for number, row in enumerate(({}, {"unit": "dozen"})):
        payload = Payload(request, broker(row).encode(), "text/csv", 200, utc(f"2026-08-0{number + 1}"))
        deliver(workspace, payload)
    with workspace.warehouse.read() as connection:
        outcomes = stored_outcomes(connection, Dataset.BROKER_FLOW)
    assert len(outcomes) == 2
    assert {r.rule for outcome in outcomes for r in outcome.results} <= {i.rule for i in rules_for(Dataset.BROKER_FLOW)}
    key = dg.AssetKey("core_broker_flow")
    with open_instance(settings) as instance:
        job = build_definitions(settings).resolve_job_def("marts")
        assert job.execute_in_process(instance=instance, partition_key="2025-02-14").success
        _, said = _latest(instance, key, ACCEPTED)
        _, unit = _latest(instance, key, "value_present")
    assert said.metadata["payloads"].value == 2
    assert not said.passed
    assert said.metadata["refused"].value.records[0].data["rule"] == "unit_known"
    assert unit.metadata["row_count"].value > 0


def test_an_event_log_without_batches_says_the_same(tmp_path):
    """The same results on two instances, one of them with Dagster's own event log."""
    key = dg.AssetKey("made")

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-31"),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec(name, asset=key) for name in ("one", "two")],
    )
    def made():
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(passed=True, check_name="one", metadata={"n": 1})
        yield dg.AssetCheckResult(passed=False, check_name="two", severity=dg.AssetCheckSeverity.WARN)

    tags = {"dagster/asset_partition_range_start": "2025-01-02", "dagster/asset_partition_range_end": "2025-01-05"}
    found = []
    for name in ("ours", "theirs"):
        settings = load_settings(home=tmp_path / name)
        if name == "theirs":
            settings.dagster_home.mkdir(parents=True)
            (settings.dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with open_instance(settings) as instance:
            run_id = dg.materialize([made], instance=instance, tags=tags).run_id
            checks = [_latest(instance, key, check) for check in ("one", "two")]
            found.append(
                (
                    [(r.status, r.partition, s.passed, s.severity, set(s.metadata)) for r, s in checks],
                    [(r.event.run_id == run_id, s.target_materialization_data.storage_id > 0) for r, s in checks],
                    [entry.dagster_event_type for entry in instance.all_logs(run_id)],
                    instance.get_materialized_partitions(key),
                )
            )
    assert found[0] == found[1]
