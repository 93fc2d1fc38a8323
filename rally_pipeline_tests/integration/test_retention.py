"""Runs lose their logs and Dagster forgets nothing that they made: on SQLite and on PostgreSQL, with real runs."""

import contextlib
import datetime as dt
import json
import os
import random
import signal
import sys
import warnings

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.runs.schema import RunsTable, SnapshotsTable

from rally_pipeline.errors import UsageError
from rally_pipeline.orchestration import retention_job
from rally_pipeline.orchestration.instance import open_instance
from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.orchestration.retention import Pruned, prune
from rally_pipeline.settings import load_settings
from rally_pipeline_tests.workspaces import environment, json_of, run_cli_here

pytestmark = pytest.mark.slow

DAYS = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-09")
KEYS = DAYS.get_partition_keys()
LONG_AGO = dt.timedelta(days=200)


def _now():
    return dt.datetime.now(dt.UTC)


class Failing(dg.Config):
    step: str = ""
    check: bool = False


def _asset(name, deps=(), partitions_def=DAYS):
    @dg.asset(
        name=name,
        deps=list(deps),
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions_def else None,
        check_specs=[dg.AssetCheckSpec("sound", asset=name), dg.AssetCheckSpec("full", asset=name)],
    )
    def made(context, config: Failing):
        if config.step == name:
            raise dg.Failure("as asked", allow_retries=False)
        print("printed by", name)
        return dg.MaterializeResult(
            metadata={"n": 1},
            tags={"tagged": "yes"},
            check_results=[
                dg.AssetCheckResult(check_name="sound", passed=not config.check),
                dg.AssetCheckResult(check_name="full", passed=True),
            ],
        )

    return made


with warnings.catch_warnings():
    warnings.simplefilter("ignore", category=dg.BetaWarning)
    PRICES = _asset("prices")
    MARTS = _asset("marts", ["prices"])
    WHOLE = _asset("whole", ["marts"], None)
ASSETS = [PRICES, MARTS, WHOLE]


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path):
    made = load_settings(home=tmp_path / "home")
    if request.param == "postgresql":
        pytest.importorskip("dagster_postgres", reason="rally-pipeline[postgres-storage] is not installed")
        url = sa.make_url(request.getfixturevalue("postgres_url")()).set(drivername="postgresql+psycopg2")
        made.dagster_home.mkdir(parents=True)
        storage = {"postgres": {"postgres_url": url.render_as_string(hide_password=False)}}
        (made.dagster_home / "dagster.yaml").write_text(
            json.dumps({"telemetry": {"enabled": False}, "storage": storage})
        )
    return made


@pytest.fixture
def instance(settings):
    with open_instance(settings) as opened:
        yield opened


def _run(instance, assets, first=None, last=None, *, fails="", unsound=False, tags=None):
    span = (
        {}
        if first is None
        else {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    )
    names = [asset.key.to_python_identifier() for asset in assets]
    config = {"ops": {name: {"config": {"step": fails, "check": unsound}} for name in names}}
    done = dg.materialize(
        assets, instance=instance, run_config=config, tags={**span, **(tags or {})}, raise_on_error=False
    )
    assert done.success is not bool(fails)
    return done.run_id


def _backdate(instance, run_ids=None, age=LONG_AGO):
    """Makes runs old: so long ago they ended."""
    then = _now() - age
    where = [] if run_ids is None else [RunsTable.c.run_id.in_(list(run_ids))]
    with instance.run_storage.connect() as connection:
        connection.execute(
            sa.update(RunsTable)
            .where(*where)
            .values(update_timestamp=then.replace(tzinfo=None), end_time=then.timestamp())
        )


def _history(instance, seed):
    """Runs over random ranges: some fail, some with checks that fail, some over and over the same days."""
    chance = random.Random(seed)
    for _ in range(7):
        first, last = sorted(chance.choices(range(len(KEYS)), k=2))
        assets = chance.choice([[PRICES], [PRICES], [MARTS], [PRICES, MARTS]])
        fails = chance.choice(["", "", "", assets[-1].key.to_user_string()])
        _run(instance, assets, KEYS[first], KEYS[last], fails=fails, unsound=chance.random() < 0.3)
    for fails in chance.choice([("", ""), ("", "whole"), ("whole", "")]):
        _run(instance, [WHOLE], fails=fails)
    # A PLANNED execution of a check whose run died, and runs by a key.
    _run(instance, [PRICES], KEYS[0], KEYS[1], tags={"dagster/run_key": "files 1", "dagster/sensor_name": "inbox"})
    _run(instance, [PRICES], KEYS[0], KEYS[1], tags={"dagster/backfill": "abcdefgh"})


def _state(instance):
    """All that Dagster believes of assets, partitions and checks; caches are made anew."""
    storage = instance.event_log_storage
    found = {}
    for asset in ASSETS:
        key, about = asset.key, {}
        latest = instance.get_latest_materialization_event(key)
        about["latest"] = (latest.run_id, latest.timestamp, latest.asset_materialization.metadata) if latest else None
        about["materialized"] = instance.get_materialized_partitions(key)
        for kind in (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED):
            about[kind] = storage.get_latest_storage_id_by_partition(key, kind)
        about["unfinished"] = storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        about["tags"] = storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        )
        if asset.partitions_def:
            storage.wipe_asset_cached_status(key)
            cached = get_and_update_asset_status_cache_value(instance, key, asset.partitions_def)
            about["status"] = cached
        checks = [spec.key for spec in asset.check_specs]
        about["executions"] = storage.get_latest_asset_check_execution_by_key(checks)
        about["summaries"] = storage.get_asset_check_summary_records(checks)
        about["partitions of checks"] = sorted(map(str, storage.get_asset_check_partition_info(checks)))
        planned = instance.get_latest_planned_materialization_info(key)
        about["planned"] = planned
        about["planned run"] = instance.get_run_by_id(planned.run_id).status if planned else None
        found[key] = about
    return found


def _counts(instance):
    with instance.event_log_storage.index_connection() as connection:
        events = connection.scalar(sa.select(sa.func.count()).select_from(SqlEventLogStorageTable))
        checks = connection.scalar(sa.select(sa.func.count()).select_from(AssetCheckExecutionsTable))
    return events, checks, instance.get_runs_count()


def _files(settings):
    return sum(path.stat().st_size for path in settings.dagster_home.rglob("*") if path.is_file())


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.deep)])
def test_what_was_made_stays_known(settings, instance, seed):
    _history(instance, seed)
    young = _run(instance, [PRICES], KEYS[3], KEYS[5])
    runs = {run.run_id for run in instance.get_runs()}
    _backdate(instance, runs - {young})
    before, counts, size = _state(instance), _counts(instance), _files(settings)
    young_log = len(instance.all_logs(young))

    cutoff = _now() - dt.timedelta(days=90)
    planned = prune(instance, before=cutoff, dry_run=True)
    assert _state(instance) == before
    assert _counts(instance) == counts
    done = prune(instance, before=cutoff)
    for name in ("runs_ended", "runs_removed", "runs_kept", "events_removed", "checks_removed", "logs_removed"):
        assert getattr(done, name) == getattr(planned, name), name
    assert done.runs_ended == len(runs) - 1
    assert done.runs_removed > 0
    assert done.checks_removed > 0

    assert _state(instance) == before
    after = _counts(instance)
    assert all(now < then for now, then in zip(after, counts, strict=True)), (counts, after)
    assert counts[2] - after[2] == done.runs_removed
    if settings.dagster_home.joinpath("history/runs/index.db").exists():
        assert _files(settings) < size / 2
    assert len(instance.all_logs(young)) == young_log > 20

    again = prune(instance, before=cutoff)
    assert (again.runs_removed, again.events_removed, again.checks_removed, again.snapshots_removed) == (0, 0, 0, 0)
    # And life goes on: numbers that were given once are not given again.
    with instance.event_log_storage.index_connection() as connection:
        last = connection.scalar(sa.select(sa.func.max(SqlEventLogStorageTable.c.id)))
    _run(instance, [PRICES], KEYS[0], KEYS[0])
    assert before[PRICES.key]["materialized"] | {KEYS[0]} == instance.get_materialized_partitions(PRICES.key)
    with instance.event_log_storage.index_connection() as connection:
        assert connection.scalar(sa.select(sa.func.max(SqlEventLogStorageTable.c.id))) > last


def test_numbers_are_not_given_again_when_all_runs_are_old(instance):
    """SQLite gives the number of a row again if it was the last; a sensor's cursor would pass the new event over."""
    for fails in ("", "", "", "whole"):
        _run(instance, [WHOLE], fails=fails)
    _backdate(instance)
    storage = instance.event_log_storage
    with storage.index_connection() as connection:
        last = connection.scalar(sa.select(sa.func.max(SqlEventLogStorageTable.c.id)))
    changes = storage.fetch_run_status_changes(dg.DagsterEventType.RUN_SUCCESS, limit=1)
    prune(instance, before=_now())
    _run(instance, [WHOLE])
    with storage.index_connection() as connection:
        new = list(
            connection.scalars(sa.select(SqlEventLogStorageTable.c.id).where(SqlEventLogStorageTable.c.id > last))
        )
    assert new
    later = storage.fetch_run_status_changes(dg.DagsterEventType.RUN_SUCCESS, 9, changes.cursor, ascending=True)
    assert len(later.records) == 1


def test_what_has_not_ended_is_never_touched(settings, instance):
    run_id = _run(instance, [PRICES], KEYS[0], KEYS[2])
    _run(instance, [PRICES], KEYS[0], KEYS[2])
    log = len(instance.all_logs(run_id))
    _backdate(instance)
    for status in ("STARTED", "STARTING", "NOT_STARTED", "CANCELING"):
        with instance.run_storage.connect() as connection:
            connection.execute(sa.update(RunsTable).where(RunsTable.c.run_id == run_id).values(status=status))
        done = prune(instance, before=_now())
        assert done.runs_ended <= 1
        assert len(instance.all_logs(run_id)) == log
        assert instance.get_run_by_id(run_id) is not None
        assert any("in progress" in note for note in done.notes)
    assert prune(instance, before=_now(), own_run=run_id).notes == []


def test_runs_that_something_points_to_stay(instance):
    by_key = {"dagster/run_key": "files 1", "dagster/sensor_name": "inbox"}
    keyed = _run(instance, [WHOLE], tags=by_key)
    backfill = _run(instance, [WHOLE], tags={"dagster/backfill": "abcdefgh"})
    root = _run(instance, [WHOLE])
    gone = _run(instance, [WHOLE])
    failed = _run(instance, [WHOLE], fails="whole")
    _run(instance, [WHOLE], tags={"dagster/root_run_id": root, "dagster/parent_run_id": root})
    _backdate(instance)
    done = prune(instance, before=_now())
    left = {run.run_id for run in instance.get_runs()}
    assert {keyed, backfill, root, failed} <= left, "by key, of a backfill, tried again later, the last that failed"
    assert gone not in left
    assert done.runs_removed == 1
    assert done.snapshots_removed == 0, "others have them"
    for run in instance.get_runs():
        assert instance.get_job_snapshot(run.job_snapshot_id)
        assert instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)


def test_descriptions_of_jobs_that_no_run_has_go(instance):
    @dg.op
    def nothing():
        pass

    for number in (1, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            job = dg.GraphDefinition("told", node_defs=[nothing], description=f"version {number}").to_job()
        for _ in range(2):
            job.execute_in_process(instance=instance)
    _backdate(instance)
    with instance.run_storage.connect() as connection:
        before = connection.scalar(sa.select(sa.func.count()).select_from(SnapshotsTable))
    done = prune(instance, before=_now())
    assert (done.runs_removed, done.snapshots_removed) == (3, 2), "of the job and of its plan"
    with instance.run_storage.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(SnapshotsTable)) == before - 2
    job.execute_in_process(instance=instance)


@pytest.mark.deep
def test_killed_anywhere_it_has_forgotten_nothing(tmp_path):
    """The process is killed at every move on the disk that is not SQLite's own; SQLite's are SQLite's promise."""
    settings = load_settings(home=tmp_path / "home")
    with open_instance(settings) as instance:
        for fails in ("", "prices", "", ""):
            _run(instance, [PRICES], KEYS[0], KEYS[3], fails=fails)
        _backdate(instance)
        before = _state(instance)
    for step in range(1, 5):
        child = os.fork()
        if child == 0:
            moves = 0

            def count(event, _, step=step):
                nonlocal moves
                if event in ("os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect"):
                    moves += 1
                    if moves == 6 * step:
                        os.kill(os.getpid(), signal.SIGKILL)

            with contextlib.suppress(BaseException), open_instance(settings) as instance:
                sys.addaudithook(count)
                prune(instance, before=_now())
            os._exit(0)
        os.waitpid(child, 0)
        with open_instance(settings) as instance:
            assert _state(instance) == before
    with open_instance(settings) as instance:
        then = (_now() - LONG_AGO).timestamp()
        for path in (settings.dagster_home / "history" / "runs").glob("*.db"):
            os.utime(path, (then, then))
        prune(instance, before=_now())
        known = {run.run_id for run in instance.get_runs()}
        shards = {path.stem for path in (settings.dagster_home / "history" / "runs").glob("*.db")} - {"index"}
        assert shards <= known, "logs without a run are found and removed too"
        assert _state(instance) == before


def test_other_storages_are_refused():
    with dg.DagsterInstance.ephemeral() as instance:
        storage, instance._run_storage = instance._run_storage, object()
        with pytest.raises(UsageError, match="nothing is known here"):
            prune(instance, before=_now())
        instance._run_storage = storage


# The command, the job and its schedule -------------------------------------------------------------------------------


def test_command(tmp_path):
    settings = load_settings(home=tmp_path / "home")
    with open_instance(settings) as instance:
        for _ in range(3):
            _run(instance, [WHOLE])
        _backdate(instance)
        state = _state(instance)
    pages = settings.published_dir / "quality"
    pages.mkdir(parents=True)
    settings.alerts_dir.mkdir(parents=True)
    old = (_now() - dt.timedelta(days=500)).timestamp()
    stays = [pages / "index.html", pages / "run-young.html", settings.alerts_dir / "alerts-2100-01.jsonl"]
    goes = [pages / "run-old.html", settings.alerts_dir / "alerts-2001-01.jsonl"]
    for path in (*stays, *goes):
        path.write_text("{}")
    for path in (pages / "index.html", *goes):
        os.utime(path, (old, old))
    env = environment(settings.home)
    (dry,) = json_of(run_cli_here(["prune", "--dry-run", "--json"], env))
    assert (dry["runs_ended"], dry["runs_removed"], dry["pages_removed"]) == (3, 2, 1)
    assert all(path.exists() for path in goes)
    assert json_of(run_cli_here(["prune", "--runs-older-than", "300", "--json"], env))[0]["runs_ended"] == 0
    done = run_cli_here(["prune"], environment(settings.home, RALLY_KEEP_RUNS_DAYS="150"))
    assert "2 of them altogether" in done.stdout, done.stderr
    assert all(path.exists() for path in stays)
    assert not any(path.exists() for path in goes)
    with open_instance(settings) as instance:
        assert _state(instance) == state


def test_the_schedule_waits_for_quiet_and_asks_once(tmp_path):
    settings = load_settings(home=tmp_path / "home")
    definitions = build_definitions(settings)
    schedule = definitions.resolve_schedule_def(retention_job.HOUSEKEEPING_SCHEDULE)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    job = definitions.resolve_job_def(retention_job.HOUSEKEEPING_JOB)
    with open_instance(settings) as instance:
        old = [_run(instance, [WHOLE]) for _ in range(3)]

        def look():
            context = dg.build_schedule_context(instance=instance, scheduled_execution_time=_now())
            return schedule.evaluate_tick(context)

        assert len(look().run_requests) == 1
        waiting = instance.create_run_for_job(job)
        assert "in progress" in look().skip_message
        instance.report_run_canceled(waiting)
        _backdate(instance, old)
        assert job.execute_in_process(instance=instance).success
        assert {run.run_id for run in instance.get_runs()} & set(old) == {old[-1]}
        assert "already" in look().skip_message


def test_the_report_is_plain():
    done = Pruned(_now(), is_dry=False, bytes_before=3 << 20, bytes_after=1 << 20, notes=["a note"])
    assert list(done.lines())[-2:] == ["3.0 MiB became 1.0 MiB", "a note"]
