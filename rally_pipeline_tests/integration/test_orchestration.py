"""The graph as Dagster sees it, and whole runs over the demo world."""

from __future__ import annotations

import ast
import datetime as dt
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

import rally_pipeline.orchestration
from rally_pipeline.demo.documents import drop
from rally_pipeline.errors import PermanentFetchError, RetryableFetchError, UsageError
from rally_pipeline.marts import DERIVED
from rally_pipeline.orchestration.declared import GROUPS
from rally_pipeline.orchestration.file_assets import RAW_FILES
from rally_pipeline.orchestration.ingest_assets import core_key, core_keys, raw_key
from rally_pipeline.orchestration.instance import end_dead_runs, open_instance, run_tags
from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.orchestration.note_assets import RAW_NOTES
from rally_pipeline.orchestration.partitions import INGEST_MARKETS
from rally_pipeline.orchestration.runner import run_pipeline
from rally_pipeline.publish.publication import current_manifest
from rally_pipeline.schema import column_info, core, metadata, ops, raw, table_info
from rally_pipeline.settings import Profile, load_settings
from rally_pipeline.warehouse.engine import open_warehouse

#: For processes of their own where the package is not installed.
_PYTHONPATH = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
START, END = dt.date(2025, 1, 2), dt.date(2025, 2, 28)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    return build_definitions(load_settings(home=tmp_path_factory.mktemp("graph")))


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


# --- the graph: what `dg check defs` does not see --------------------


def test_first_part_of_a_key_is_a_table(graph):
    assert {key.path[0] for key in graph.get_all_asset_keys()} == set(metadata.tables)


def test_every_dependency_exists(graph):
    keys = set(graph.get_all_asset_keys())
    for key in keys:
        assert graph.get(key).parent_keys <= keys
        # An asset that others name but nobody defines is in the graph without a group or a description.
        assert graph.get(key).group_name in GROUPS
        assert graph.get(key).description


def test_nothing_but_ops_is_external(graph):
    external = {key.path[0] for key in graph.external_asset_keys}
    computed = {derived.table.name for derived in DERIVED}
    ops_tables = {name for name, table in metadata.tables.items() if table_info(table).layer == "ops"}
    assert external == {"core_broker_flow", *(ops_tables - computed)}


def test_marts_come_from_raw_and_reference(graph):
    for key in graph.get_all_asset_keys():
        if not key.path[0].startswith("mart_"):
            continue
        ancestors = graph.get_ancestor_asset_keys(key)
        of_prices = {raw_key(market) for market in INGEST_MARKETS if market not in ("FX", "SOUTHBOUND")}
        if key.path[0] == "mart_positioning":  # says what notes say, and no figure
            assert {RAW_NOTES, dg.AssetKey("core_broker")} <= ancestors
            continue
        assert of_prices <= ancestors or raw_key("SOUTHBOUND") in ancestors
        assert {dg.AssetKey("core_instrument"), dg.AssetKey("core_session")} <= ancestors
    assert of_prices | {raw_key("SOUTHBOUND")} <= graph.get_ancestor_asset_keys(dg.AssetKey("mart_rally_scoreboard"))
    assert dg.AssetKey("core_event") in graph.get(dg.AssetKey("mart_price_since_event_daily")).parent_keys


def test_no_job_is_empty(definitions):
    jobs = {job.name: job for job in definitions.resolve_all_job_defs()}
    assert {*(f"ingest_{market.lower()}" for market in INGEST_MARKETS), "marts"} <= set(jobs)
    for market in INGEST_MARKETS:
        assert jobs[f"ingest_{market.lower()}"].asset_layer.selected_asset_keys == {raw_key(market), *core_keys(market)}
    assert all(job.nodes for job in jobs.values())


def test_definitions_load_and_are_valid(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_every_asset_shows_its_declaration(graph):
    for key in graph.get_all_asset_keys():
        node, table = graph.get(key), metadata.tables[key.path[0]]
        schema = node.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == [column.name for column in table.columns]
        for shown, column in zip(schema.columns, table.columns, strict=True):
            info = column_info(column)
            assert info.description in shown.description
            assert info.unit in shown.description
            assert shown.constraints.nullable == column.nullable
        assert node.metadata["dagster/table_name"] == table.name
        assert node.owners == [table_info(table).owner]
        assert node.kinds


def test_writers_are_in_a_pool(graph):
    for key in graph.get_all_asset_keys():
        pools = graph.get(key).pools
        if key in (RAW_NOTES, RAW_FILES):  # taken up and loaded by one step
            assert pools == {"warehouse_writer"}
        elif key.path[0] == "raw_fetch":
            assert pools == {"upstream_fetch"}
        elif key.path[0].startswith("mart_") or len(key.path) > 1:
            assert pools == {"warehouse_writer"}


def test_asset_modules_keep_their_annotations():
    for path in Path(rally_pipeline.orchestration.__file__).parent.glob("*_assets.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        assert not any(node.module == "__future__" for node in imports), path.name


def test_loading_the_definitions_is_light(tmp_path):
    code = textwrap.dedent(
        """
        import sys
        from rally_pipeline.definitions import defs
        defs().get_repository_def() if callable(defs) else defs
        heavy = {"pandas", "yfinance", "great_expectations", "exchange_calendars"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else 0)
        """
    )
    environment = {**os.environ, "RALLY_HOME": str(tmp_path), "PYTHONPATH": _PYTHONPATH}
    first = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True)
    # The first time the closed days are computed; from then on they are read.
    assert first.returncode == 0 or "pandas" in first.stderr
    second = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr


# --- runs --------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return load_settings(home=tmp_path_factory.mktemp("run"), profile=Profile.DEMO)


@pytest.fixture(scope="module")
def first(home):
    drop(home.inbox_dir / "notes")
    return run_pipeline(home, START, END)


def _counts(settings):
    warehouse = open_warehouse(settings.resolved_warehouse_url)
    with warehouse.read() as connection:
        return {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for name, table in metadata.tables.items()
        }


def test_a_run_fills_everything(home, first):
    assert first.ok, first.lines()
    assert {market.market for market in first.markets} == set(INGEST_MARKETS)
    assert all(m.requests == m.records > 0 and m.rows_new > 0 for m in first.markets)
    counts = _counts(home)
    from_files_only = {"core_broker_flow"}
    empty = {name for name, count in counts.items() if name.startswith(("core_", "mart_", "raw_")) and not count}
    assert empty == from_files_only
    assert counts["ops_run"] == len(first.run_ids) == len(INGEST_MARKETS) + 3
    warehouse = open_warehouse(home.resolved_warehouse_url)
    with warehouse.read() as connection:
        assert set(connection.scalars(sa.select(ops.ops_run.c.outcome))) == {"ok"}
        assert set(connection.scalars(sa.select(raw.raw_fetch.c.run_id))) <= set(first.run_ids)


def test_a_run_publishes_what_it_computed(home, first):
    assert not first.publish_error
    held = current_manifest(home.published_dir)
    assert set(held.about.as_of.latest_sessions) == set(INGEST_MARKETS)
    assert any(held.about.version in line for line in first.lines())
    assert all(table.rows for table in held.tables if table.name.startswith("mart_"))


def test_every_partition_of_the_range_is_materialized(home, first):
    graph = build_definitions(home).resolve_asset_graph()
    with open_instance(home) as instance:
        for key in (raw_key("HK"), core_key("HK"), core_key("FX"), dg.AssetKey("mart_leaderboard_daily")):
            keys = [
                day
                for day in graph.get(key).partitions_def.get_partition_keys()
                if START.isoformat() <= day <= END.isoformat()
            ]
            assert instance.get_materialized_partitions(key) == set(keys)


def test_events_written_at_once_are_those_written_one_by_one(tmp_path):
    """The same run on two instances, one of them with Dagster's own event log."""

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-31"),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def made(context):
        return dg.MaterializeResult(metadata={"n": 1}, tags={"tagged": "yes"})

    found = []
    tags = {"dagster/asset_partition_range_start": "2025-01-02", "dagster/asset_partition_range_end": "2025-01-11"}
    for name in ("ours", "theirs"):
        settings = load_settings(home=tmp_path / name)
        if name == "theirs":
            settings.dagster_home.mkdir(parents=True)
            (settings.dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with open_instance(settings) as instance:
            dg.materialize([made], instance=instance, tags=tags)
            records = instance.fetch_materializations(made.key, limit=100).records
            latest = instance.get_latest_materialization_event(made.key)
            storage = instance.event_log_storage
            found.append(
                (
                    type(storage).__name__,
                    [(r.partition_key, r.storage_id - records[-1].storage_id) for r in records],
                    instance.get_materialized_partitions(made.key),
                    latest.asset_materialization.partition,
                    len(instance.all_logs(records[0].run_id)),
                    [set(tagged) for tagged in storage.get_event_tags_for_asset(made.key)],
                )
            )
    assert found[0][0] == "BatchSqliteEventLogStorage"
    assert found[1][0] == "SqliteEventLogStorage"
    assert found[0][1:] == found[1][1:]
    assert len(found[0][1]) == 10


def test_evidence_stands_at_the_last_partition(home, first):
    with open_instance(home) as instance:
        for key, plotted in ((core_key("HK"), True), (dg.AssetKey("mart_leaderboard_daily"), True)):
            found = instance.get_latest_materialization_event(key).asset_materialization
            assert found.partition == "2025-02-28"
            assert found.metadata["dagster/row_count"].value > 0
            assert found.metadata["as_of_day"].value == "2025-02-28"
            assert found.metadata["last_year"].value.startswith("![") is plotted
        loaded = instance.get_latest_materialization_event(core_key("HK")).asset_materialization.metadata
        assert loaded["rows_new"].value == next(m.rows_new for m in first.markets if m.market == "HK")
        assert {"source", "payload_id", "outcome"} <= set(loaded["payloads"].value.records[0].data)


@pytest.mark.slow
def test_the_same_again_changes_nothing(home, first):
    before = _counts(home)
    again = run_pipeline(home, START, END)
    after = _counts(home)
    assert again.ok, again.lines()
    assert (again.rows_new, again.rows_changed) == (0, 0)
    from_inbox = next(part.rows_new for part in first.documents if part.name == "NOTES")
    assert again.rows_same == first.rows_new - from_inbox  # its files are moved away once they are loaded
    assert again.marts == ()
    assert {n: c for n, c in after.items() if n[:4] in ("core", "mart")} == {
        n: c for n, c in before.items() if n[:4] in ("core", "mart")
    }


def test_core_alone_reads_the_archive_again(home, first):
    before = _counts(home)
    with open_instance(home) as instance:
        job = build_definitions(home).resolve_job_def("ingest_de")
        result = job.execute_in_process(
            instance=instance, asset_selection=[core_key("DE")], partition_key="2025-02-14", raise_on_error=False
        )
        found = instance.get_latest_materialization_event(core_key("DE")).asset_materialization.metadata
    assert result.success
    assert found["is_replay"].value is True
    assert found["payloads_loaded"].value > 0
    assert _counts(home)["core_price_daily"] == before["core_price_daily"]


def _failing(monkeypatch, error, *, subjects=None):
    from rally_pipeline import ingest

    real = ingest.source_module

    def module(name):
        source = real(name)

        class Failing:
            plan = staticmethod(source.plan)
            parse = staticmethod(source.parse)

            @staticmethod
            def fetch(request, upstream):
                if subjects is None or request.subject in subjects:
                    raise error
                return source.fetch(request, upstream)

        return Failing

    monkeypatch.setattr(ingest, "source_module", module)


def test_one_market_fails_and_the_others_go_on(tmp_path, monkeypatch):
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    _failing(monkeypatch, PermanentFetchError("gone"), subjects={"^N225"})
    report = run_pipeline(settings, dt.date(2025, 2, 13), dt.date(2025, 2, 14), markets=("JP", "GB"))
    japan, britain = report.markets
    assert (japan.ok, britain.ok, report.ok) == (False, True, False)
    assert "gone" in japan.error
    assert japan.failures == ("yahoo ^N225: gone",)
    assert not report.marts_error
    assert any("gone" in line for line in report.lines())
    with open_warehouse(settings.resolved_warehouse_url).read() as connection:
        outcomes = dict(connection.execute(sa.select(ops.ops_run.c.command, ops.ops_run.c.outcome)).all())
    assert outcomes == {
        "ingest_jp 2025-02-13…2025-02-14": "failed",
        "ingest_gb 2025-02-13…2025-02-14": "ok",
        "marts 2025-02-13…2025-02-14": "ok",
    }


def test_a_partial_failure_is_recorded(tmp_path, monkeypatch):
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    _failing(monkeypatch, RetryableFetchError("try later"), subjects={"^NDX"})
    report = run_pipeline(settings, dt.date(2025, 2, 14), dt.date(2025, 2, 14), markets=("US",), sources=("yahoo",))
    (market,) = report.markets
    assert not market.error
    assert market.unserved == ("^NDX",)
    assert not report.ok
    assert market.rows_new > 0
    with open_instance(settings) as instance:
        found = instance.get_latest_materialization_event(raw_key("US")).asset_materialization.metadata
    assert found["requests_failed"].value == 1
    assert found["failures"].value.records[0].data["message"] == "try later"


def test_a_source_without_an_answer_is_no_failure_if_another_has_one(tmp_path):
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    day = dt.date(2025, 2, 14)
    report = run_pipeline(settings, day, day, markets=("HK",))
    (market,) = report.markets
    assert report.ok, report.lines()
    # Yahoo has only the latest row of it; the compiler of the index and Eastmoney have that day.
    assert [text.split(":")[0] for text in market.refused] == ["yahoo HSTECH.HK"]
    alone = run_pipeline(settings, day, day, markets=("HK",), sources=("yahoo",))
    assert not alone.ok
    assert alone.markets[0].unserved == ("HSTECH.HK",)


def test_only_the_named_sources_are_asked(tmp_path):
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    day = dt.date(2025, 2, 14)
    report = run_pipeline(settings, day, day, sources=("eastmoney",), markets=("HK", "JP"))
    assert [market.market for market in report.markets] == ["HK"]
    assert report.skipped == ("JP: has none of the sources asked for",)
    with open_warehouse(settings.resolved_warehouse_url).read() as connection:
        assert set(connection.scalars(sa.select(core.core_price_daily.c.source))) == {"eastmoney"}


def test_days_without_a_session_are_no_failure(tmp_path):
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    day = dt.date(2025, 2, 15)
    report = run_pipeline(settings, day, day, markets=("HK",))
    assert report.ok
    assert report.skipped == ("HK: no finished session in 2025-02-15 … 2025-02-15",)


@pytest.mark.parametrize("wrong", [{"markets": ("XX",)}, {"sources": ("bloomberg",)}])
def test_wrong_names_are_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="there is no"):
        run_pipeline(load_settings(home=tmp_path, profile=Profile.DEMO), START, END, **wrong)


def test_a_dead_run_is_ended_and_its_place_freed(tmp_path):
    settings = load_settings(home=tmp_path)
    with open_instance(settings) as instance:
        run = instance.create_run_for_job(
            build_definitions(settings).resolve_job_def("marts"), tags={**run_tags(), "rally/pid": str(2**22 + 1)}
        )
        instance.report_dagster_event(
            dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.PIPELINE_START.value, job_name="marts", message="started"
            ),
            run_id=run.run_id,
        )
        storage = instance.event_log_storage
        storage.set_concurrency_slots("warehouse_writer", 1)
        assert storage.claim_concurrency_slot("warehouse_writer", run.run_id, "step").is_claimed
        alive = instance.create_run_for_job(build_definitions(settings).resolve_job_def("marts"), tags=run_tags())
        assert end_dead_runs(instance) == [run.run_id]
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(alive.run_id).status == dg.DagsterRunStatus.NOT_STARTED
        assert storage.get_concurrency_info("warehouse_writer").active_slot_count == 0


def test_what_was_archived_but_not_registered_is_loaded_by_the_next_run(tmp_path):
    """Killed between the two: the bytes are safe, and the next run finds them."""
    settings = load_settings(home=tmp_path, profile=Profile.DEMO)
    day = dt.date(2025, 2, 14)
    assert run_pipeline(settings, day, day, markets=("DE",)).ok
    with open_warehouse(settings.resolved_warehouse_url).write() as connection:
        lost = connection.scalars(sa.select(raw.raw_fetch.c.fetch_id)).all()
        assert lost
        for table in (ops.ops_load, ops.ops_finding, raw.raw_fetch):
            connection.execute(sa.delete(table).where(table.c.fetch_id.in_(lost)))
        connection.execute(sa.delete(core.core_price_daily))
    assert run_pipeline(settings, day - dt.timedelta(days=1), day - dt.timedelta(days=1), markets=("DE",)).ok
    with open_warehouse(settings.resolved_warehouse_url).read() as connection:
        assert set(lost) <= set(connection.scalars(sa.select(ops.ops_load.c.fetch_id)))
        assert day in set(connection.scalars(sa.select(core.core_price_daily.c.session_date)))


@pytest.mark.slow
def test_a_killed_run_is_taken_up_by_the_next(tmp_path):
    """Killed while it loads: what was fetched stays, and the next run loads it."""
    code = textwrap.dedent(
        """
        import datetime as dt, os, signal
        from rally_pipeline.orchestration.runner import run_pipeline
        from rally_pipeline.settings import load_settings

        def die(text):
            if "loaded 2 of" in text:
                os.kill(os.getpid(), signal.SIGKILL)

        day = dt.date(2025, 2, 14)
        run_pipeline(load_settings(), day, day, markets=("US",), progress=die)
        """
    )
    environment = {
        **os.environ,
        "RALLY_HOME": str(tmp_path),
        "RALLY_PROFILE": "demo",
        "PYTHONPATH": _PYTHONPATH,
    }
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    settings = load_settings(home=tmp_path)
    day = dt.date(2025, 2, 14)
    report = run_pipeline(settings, day, day, markets=("US",))
    assert report.ok, report.lines()
    (market,) = report.markets
    with open_warehouse(settings.resolved_warehouse_url).read() as connection:
        fetched = connection.scalar(sa.select(sa.func.count()).select_from(raw.raw_fetch))
        assert fetched == market.requests == market.records  # what was answered to the killed run was not asked again
        assert market.loaded == fetched - 2
        waiting = sa.select(sa.func.count()).where(
            ~sa.exists(sa.select(sa.literal(1)).where(ops.ops_load.c.fetch_id == raw.raw_fetch.c.fetch_id))
        )
        assert connection.scalar(waiting.select_from(raw.raw_fetch)) == 0
