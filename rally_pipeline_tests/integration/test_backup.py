"""Backups: a home comes back as it was, on either engine, and nothing that is damaged or half made is believed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline import archive_care
from rally_pipeline.archive import Archive
from rally_pipeline.backup import contents
from rally_pipeline.backup.contents import BackupError, open_backup
from rally_pipeline.backup.make import Made, make
from rally_pipeline.backup.restore import RESTORING, restore
from rally_pipeline.comparison import compare
from rally_pipeline.errors import ProfileMismatchError, SchemaVersionError, UsageError
from rally_pipeline.files import WRITING
from rally_pipeline.marts.refresh import refresh
from rally_pipeline.rebuild import rebuild
from rally_pipeline.schema import metadata, ops
from rally_pipeline.settings import Profile
from rally_pipeline.warehouse import schema_version
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline.workspace import Workspace, open_workspace
from rally_pipeline_tests import published, small_world
from rally_pipeline_tests.workspaces import (
    deliver,
    environment,
    fresh_copy,
    json_of,
    open_at,
    price_csv,
    price_payload,
    rows_of,
    run_cli_here,
    settings_for,
    utc,
)

MakeUrl = Callable[[], str | None]
BARS = price_csv([("2024-03-04", 10), ("2024-03-05", 11)], "date,close")
OTHER_BARS = price_csv([("2024-03-06", 12)], "date,close")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest) -> MakeUrl:
    return request.getfixturevalue("postgres_url") if request.param == "postgresql" else lambda: None


@pytest.fixture(scope="module")
def world(make_url: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Facts of every kind with their marts."""
    workspace = open_at(tmp_path_factory.mktemp("world") / "home", make_url(), profile=Profile.DEMO)
    small_world.fill(workspace)
    (workspace.settings.home / "catalog").mkdir()
    (workspace.settings.home / "catalog" / "events.yaml").write_text("# nothing of our own\n")
    yield workspace
    workspace.warehouse.engine.dispose()


@pytest.fixture(scope="module")
def backed_up(world: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    place = tmp_path_factory.mktemp("backups") / "place"
    return place, make(world.settings, place)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_at(tmp_path_factory.mktemp("template"))


@pytest.fixture
def small(template: Workspace, tmp_path: Path) -> Workspace:
    """A home with one payload."""
    workspace = fresh_copy(template, tmp_path / "home")
    deliver(workspace, price_payload(BARS, known_at=utc("2024-03-06")))
    return workspace


def everything(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    found = {name: rows_of(workspace, name) for name in metadata.tables}
    found["ops_warehouse"] = [
        row for row in found["ops_warehouse"] if not row["name"].startswith(("shape.", "comments"))
    ]
    return {
        name: sorted(rows, key=lambda row: json.dumps(row, default=str)) for name, rows in found.items()
    }  # texts have another order on each engine


def files_below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def archive_of(home: Path) -> dict[str, bytes]:
    return {name: body for name, body in files_below(home / "archive").items() if not name.endswith(".lock")}


# What comes back ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_home_comes_back_on_either_engine(
    world: Workspace, backed_up: tuple[Path, Made], engine: str, tmp_path: Path, postgres_url: Callable[[], str]
) -> None:
    place, made = backed_up
    assert made.ok
    url = postgres_url() if engine == "postgresql" else None
    done = restore(settings_for(tmp_path / "home", url), place)
    assert done.computed_again == ()
    said: list[str] = []
    restored = open_workspace(settings_for(tmp_path / "home", url), said.append)
    try:
        assert said == [], "nothing had to be made anew"
        assert restored.profile is Profile.DEMO
        assert restored.warehouse.dialect == engine
        assert everything(restored) == everything(world)
        one, other = (item.settings.resolved_warehouse_url for item in (world, restored))
        assert [found.examples for found in compare(one, other) if not found.is_equal] == []
        with restored.warehouse.write() as connection:
            assert refresh(connection) == [], "nothing is behind"
    finally:
        restored.warehouse.engine.dispose()
    assert archive_of(tmp_path / "home") == archive_of(world.settings.home)
    assert files_below(tmp_path / "home" / "catalog") == files_below(world.settings.home / "catalog")
    assert list(tmp_path.glob(f"{RESTORING}*")) == []


@pytest.mark.deep
def test_the_restored_archive_is_enough(world: Workspace, backed_up: tuple[Path, Made], tmp_path: Path) -> None:
    if world.warehouse.dialect == "postgresql":
        pytest.skip("the archive is the same on either engine")
    done = restore(settings_for(tmp_path / "home"), backed_up[0])
    assert done.home is not None
    built = f"sqlite:///{tmp_path / 'built.sqlite'}"
    assert rebuild(settings_for(done.home), built).ok
    assert [
        one.examples for one in compare(f"sqlite:///{done.home / 'warehouse.sqlite'}", built) if not one.is_equal
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_every_value_comes_back(
    template: Workspace, tmp_path: Path, engine: str, postgres_url: Callable[[], str]
) -> None:
    """Whole numbers beyond 2**53, NULL in every column that may be, texts of every kind."""
    source = fresh_copy(template, tmp_path / "home")
    published.fill(source, 14, [table for table in metadata.tables.values() if table is not ops.ops_warehouse])
    make(source.settings, tmp_path / "place")
    url = postgres_url() if engine == "postgresql" else None
    restore(settings_for(tmp_path / "again", url), tmp_path / "place")
    settings = settings_for(tmp_path / "again", url)
    restored = dataclasses.replace(source, warehouse=open_warehouse(settings.resolved_warehouse_url))
    assert everything(restored) == everything(source)
    restored.warehouse.engine.dispose()


@pytest.mark.deep
def test_a_view_is_of_one_moment_while_others_write(make_url: MakeUrl, template: Workspace, tmp_path: Path) -> None:
    url = make_url()
    source = open_at(tmp_path / "home", url) if url else fresh_copy(template, tmp_path / "home")
    finished, failed = threading.Event(), []

    def write() -> None:
        """Each transaction adds a row to a table that is copied early and one to a table that is copied late."""
        try:
            number = 0
            while not finished.is_set():
                number += 1
                with source.warehouse.write() as connection:
                    connection.execute(
                        sa.insert(ops.ops_stale).values(
                            table_name="mart_x", subject=f"s{number}", from_date=utc("2024-01-01").date()
                        )
                    )
                    schema_version.write_statement(connection, "counter", str(number))
                deliver(
                    source, price_payload(price_csv([("2024-03-04", number)], "date,close"), known_at=utc("2024-03-06"))
                )
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        made = [make(source.settings, tmp_path / "place") for _ in range(3)]
    finally:
        finished.set()
        thread.join()
    assert failed == []
    counts = []
    for one in made:
        target = tmp_path / one.backup.folder.name
        restore(settings_for(target), one.backup.folder)
        restored = open_at(target)
        count = len([row for row in rows_of(restored, ops.ops_stale) if row["table_name"] == "mart_x"])
        with restored.warehouse.read() as connection:
            assert schema_version.read_statement(connection, "counter") in (str(count), None if count == 0 else "")
        archived = {record.fetch_id for record in restored.archive.records()}
        assert {row["fetch_id"] for row in rows_of(restored, "raw_fetch")} <= archived
        assert archive_care.verify(restored.archive).ok
        counts.append(count)
        restored.warehouse.engine.dispose()
    assert counts == sorted(counts)
    assert counts[0] < counts[-1], "it was written to all the time"
    source.warehouse.engine.dispose()


@pytest.mark.slow
def test_only_what_is_new_is_copied(small: Workspace, tmp_path: Path) -> None:
    place = tmp_path / "place"
    first = make(small.settings, place)
    pool = files_below(place / "archive")
    times = {p: p.stat().st_mtime_ns for p in (place / "archive").rglob("*") if p.is_file()}
    assert make(small.settings, place).new_files == 0
    deliver(small, price_payload(OTHER_BARS, known_at=utc("2024-03-07")))
    later = make(small.settings, place)
    assert later.new_files == 2, "a payload and the record of its fetch"
    assert files_below(place / "archive").items() > pool.items()
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert archive_care.compact(small.archive, before=utc("2100-01-01").date()).packed == 2
    packed = make(small.settings, place)
    assert packed.backup.manifest.archive_files < later.backup.manifest.archive_files + 2
    for number, one in enumerate((first, later, packed)):
        done = restore(settings_for(tmp_path / f"r{number}"), one.backup.folder)
        assert done.home is not None
        assert len(Archive(done.home / "archive").payload_ids()) == (1, 2, 2)[number]
        assert archive_care.verify(Archive(done.home / "archive")).ok
    assert restore(settings_for(tmp_path / "latest"), place).backup.folder == packed.backup.folder


@pytest.mark.slow
def test_what_dagster_knows_comes_along(small: Workspace, tmp_path: Path) -> None:
    import dagster as dg

    from rally_pipeline.orchestration.instance import open_instance

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
    def made() -> None:
        pass

    with open_instance(small.settings) as instance:
        dg.materialize([made], instance=instance, partition_key="b")
        # while it is open, as it is while the UI runs
        done = make(small.settings, tmp_path / "place", with_dagster=True)
    assert done.notes == ()
    restore(settings_for(tmp_path / "again"), tmp_path / "place")
    with open_instance(settings_for(tmp_path / "again")) as instance:
        assert instance.get_materialized_partitions(made.key) == {"b"}
        assert instance.get_runs_count() == 1


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("what", ["table", "missing table", "manifest", "list", "payload", "record", "rows"])
def test_a_damaged_backup_is_refused_by_name(small: Workspace, tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    backup = make(small.settings, place).backup
    table = backup.folder / "warehouse" / "core_price_daily.parquet"
    path = {
        "table": table,
        "missing table": table,
        "rows": table,
        "manifest": backup.folder / "manifest.json",
        "list": backup.folder / "archive.tsv",
        "payload": next((place / "archive" / "objects").rglob("?" * 64)),
        "record": next((place / "archive" / "fetches").rglob("*.json")),
    }[what]
    path.chmod(0o644)
    if what == "missing table":
        path.unlink()
    elif what == "rows":
        tables = [
            dataclasses.replace(t, rows=9) if t.table == "core_price_daily" else t for t in backup.manifest.tables
        ]
        (backup.folder / "manifest.json").chmod(0o644)
        (backup.folder / "manifest.json").write_text(dataclasses.replace(backup.manifest, tables=tables).to_text())
    else:
        body = bytearray(path.read_bytes())
        body[len(body) // 2] ^= 1
        path.write_bytes(body)
    for options in ({"only_check": True}, {}):
        with pytest.raises(BackupError, match=path.name):
            restore(settings_for(tmp_path / "again"), place, **options)
    assert not (tmp_path / "again").exists()
    assert list(tmp_path.glob(f"{RESTORING}*")) == []
    if what in ("table", "missing table", "manifest"):
        assert make(small.settings, place).ok, "a damaged one is no reason to make no other"
        assert restore(settings_for(tmp_path / "again"), place).ok


@pytest.mark.slow
def test_what_is_there_is_never_lost(small: Workspace, tmp_path: Path) -> None:
    place = tmp_path / "place"
    make(small.settings, place)
    before = files_below(small.settings.home / "archive")
    with pytest.raises(UsageError, match="is not empty"):
        restore(small.settings, place)
    small.warehouse.engine.dispose()
    (small.settings.home / "mine.txt").write_text("mine")
    done = restore(small.settings, place, force=True)
    assert done.moved_to is not None
    assert (done.moved_to / "mine.txt").read_text() == "mine"
    assert files_below(done.moved_to / "archive") == before
    assert not (small.settings.home / "mine.txt").exists()
    assert len(rows_of(open_at(small.settings.home), "core_price_daily")) == 2


@pytest.mark.slow
def test_a_database_with_rows_is_left_alone(small: Workspace, tmp_path: Path, postgres_url: Callable[[], str]) -> None:
    make(small.settings, tmp_path / "place")
    url = postgres_url()
    other = open_at(tmp_path / "other", url)
    restore(settings_for(tmp_path / "again", url), tmp_path / "place")  # opened, but without rows
    assert len(rows_of(other, "core_price_daily")) == 2
    with pytest.raises(UsageError, match="has rows"):
        restore(settings_for(tmp_path / "third", url), tmp_path / "place", force=True)
    assert not (tmp_path / "third").exists()
    other.warehouse.engine.dispose()


def test_wrong_use(small: Workspace, template: Workspace, tmp_path: Path) -> None:
    place = tmp_path / "place"
    with pytest.raises(UsageError, match="no warehouse"):
        make(settings_for(tmp_path / "nowhere"), place)
    with pytest.raises(UsageError, match="lies in the archive"):
        make(small.settings, small.settings.archive_dir / "backup")
    place.mkdir()
    with pytest.raises(UsageError, match="holds no backup"):
        restore(settings_for(tmp_path / "again"), place)
    backup = make(small.settings, place).backup
    with pytest.raises(ProfileMismatchError, match="holds live data"):
        restore(settings_for(tmp_path / "again", profile=Profile.DEMO), place)
    demo = fresh_copy(template, tmp_path / "demo")
    with demo.warehouse.write() as connection:
        schema_version.write_statement(connection, "profile", "demo")
    with pytest.raises(ProfileMismatchError, match="backups of live data"):
        make(demo.settings, place)
    manifest = backup.folder / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(dataclasses.replace(backup.manifest, revision="9999").to_text())
    with pytest.raises(SchemaVersionError, match="newer"):
        restore(settings_for(tmp_path / "again"), place)


@pytest.mark.slow
def test_a_damaged_payload_is_told_and_left_out(small: Workspace, tmp_path: Path) -> None:
    damaged = deliver(small, price_payload(OTHER_BARS, known_at=utc("2024-03-07"))).record.payload_id
    small_world.damage(small, damaged)
    done = run_cli_here(["backup", tmp_path / "place"], environment(small.settings.home))
    assert done.returncode == 1
    assert f"damaged before: payload {damaged}" in done.stdout
    assert restore(settings_for(tmp_path / "again"), tmp_path / "place").ok


# Other versions -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_backup_of_an_older_schema_is_upgraded(small: Workspace, tmp_path: Path) -> None:
    backup = make(small.settings, tmp_path / "place").backup
    new = {"ops_alert", "ops_alert_notice"}  # since 0007
    assert new < {table.table for table in backup.manifest.tables}
    older = [table for table in backup.manifest.tables if table.table not in new]
    manifest = backup.folder / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(dataclasses.replace(backup.manifest, revision="0006", tables=older).to_text())
    done = restore(settings_for(tmp_path / "again"), tmp_path / "place")
    assert set(done.computed_again) == {table.name for table in schema_version.derived_tables()}
    _is_as_before(small, tmp_path / "again")


@pytest.mark.slow
def test_what_is_declared_otherwise_now_is_computed_again(small: Workspace, tmp_path: Path) -> None:
    small_world.compute(small)
    backup = make(small.settings, tmp_path / "place").backup
    changed = {"mart_price_extremes_daily", "core_session"}
    tables = [
        dataclasses.replace(t, columns={"x": "int64"}) if t.table in changed else t for t in backup.manifest.tables
    ]
    manifest = backup.folder / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(dataclasses.replace(backup.manifest, tables=tables).to_text())
    assert set(restore(settings_for(tmp_path / "again"), tmp_path / "place").computed_again) == changed
    _is_as_before(small, tmp_path / "again")


def _is_as_before(source: Workspace, home: Path) -> None:
    restored = open_at(home)
    for workspace in (source, restored):
        small_world.compute(workspace)
    one, other = (item.settings.resolved_warehouse_url for item in (source, restored))
    assert [found.examples for found in compare(one, other) if not found.is_equal] == []
    assert len(rows_of(restored, "mart_price_extremes_daily")) == 2
    restored.warehouse.engine.dispose()


# Killed, and out of space ---------------------------------------------------------------------------------------------


@pytest.mark.deep
def test_killed_anywhere_the_backup_before_is_whole(small: Workspace, tmp_path: Path) -> None:
    place = tmp_path / "place"
    first = make(small.settings, place).backup
    deliver(small, price_payload(OTHER_BARS, known_at=utc("2024-03-07")))
    small.warehouse.engine.dispose()

    def moves_until(step: int) -> bool:
        child = os.fork()
        if child == 0:
            moves = 0

            def count(event: str, _: object) -> None:
                nonlocal moves
                if event in ("os.rename", "os.chmod", "os.remove", "os.mkdir"):
                    moves += 1
                    if moves == step:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(count)
            make(small.settings, place)
            os._exit(0)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])

    step, stops = 1, 0
    while moves_until(step):
        stops += 1
        step += 9
        contents.check(first)
        contents.check(open_backup(place))
    assert stops > 4
    contents.check(open_backup(place))
    assert open_backup(place).folder != first.folder
    assert list((place / "backups").glob(f"{WRITING}*")) == [], "what was half made is swept away"


@pytest.mark.slow
def test_a_full_disk_leaves_the_backup_before(
    small: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rally_pipeline.backup import make as module
    from rally_pipeline.backup import restore as other

    place = tmp_path / "place"
    backup = make(small.settings, place).backup

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_copy_tree", fails)
    with pytest.raises(BackupError, match="No space left"):
        make(small.settings, place)
    assert contents.found_in(place) == [backup.folder]
    monkeypatch.setattr(other, "_copy_files", fails)
    with pytest.raises(BackupError, match="No space left"):
        restore(settings_for(tmp_path / "again"), place)
    assert not (tmp_path / "again").exists()
    assert list(tmp_path.glob(f"{RESTORING}*")) == []


def test_commands(small: Workspace, tmp_path: Path) -> None:
    env, place = environment(small.settings.home), tmp_path / "place"
    (made,) = json_of(run_cli_here(["backup", place, "--json"], env))
    assert (made["ok"], made["new_files"], made["profile"]) == (True, 3, "live"), (
        "payload, record, and whose data it is"
    )
    done = run_cli_here(["restore", place, "--check"], env)
    assert done.returncode == 0, done.stderr
    assert "is whole" in done.stdout
    assert "nothing was restored" in done.stdout
    assert run_cli_here(["restore", place], env).returncode == 2, "there is a home"
    (restored,) = json_of(run_cli_here(["restore", place, "--into", tmp_path / "again", "--json"], env))
    assert restored["home"] == str(tmp_path / "again")
    done = run_cli_here(
        ["diff", small.settings.resolved_warehouse_url, f"sqlite:///{tmp_path / 'again' / 'warehouse.sqlite'}"], env
    )
    assert done.returncode == 0, done.stdout
    shutil.rmtree(place / "backups")
    assert run_cli_here(["restore", place, "--check"], env).returncode == 2
