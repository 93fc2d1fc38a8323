"""Published tables are those of the warehouse, whole, whoever reads them, whatever happens while they are written."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from rally_pipeline import files
from rally_pipeline.errors import ProfileMismatchError, PublishError, UsageError
from rally_pipeline.publish import duckdb_file, manifest, publication, remote, tables
from rally_pipeline.publish.publication import current_manifest, publish
from rally_pipeline.schema import column_info, mart_flows, metadata, ops, table_info
from rally_pipeline.schema.published import published_tables
from rally_pipeline.settings import Profile
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.published import database_rows, fill, in_order, marts, parquet_rows, rows, shorten, value
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
    utc,
)

ONE = mart_flows.mart_southbound_daily


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Rows in every mart, on either engine; shared by the tests, of which only the last changes it."""
    url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
    workspace = open_at(tmp_path_factory.mktemp(request.param), url)
    fill(workspace, 12)
    shorten(workspace)
    yield workspace
    workspace.warehouse.engine.dispose()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = open_at(tmp_path_factory.mktemp("template"), profile=Profile.DEMO)
    fill(workspace, 7)
    shorten(workspace)
    return workspace


@pytest.fixture
def full(template: Workspace, tmp_path: Path) -> Workspace:
    """Seven rows in every mart, on the embedded engine."""
    return fresh_copy(template, tmp_path / "home")


def _place(workspace: Workspace) -> Path:
    return workspace.settings.published_dir


def _change(workspace: Workspace, count: int, table: sa.Table = ONE) -> None:
    with workspace.warehouse.write() as connection:
        connection.execute(sa.delete(table))
        connection.execute(sa.insert(table), rows(table, count))


def _left_over(place: Path) -> list[Path]:
    return list(place.rglob(f"{files.WRITING}*"))


def test_published_is_what_the_warehouse_holds(engine: Workspace) -> None:
    workspace = engine
    done = publish(workspace)
    place = _place(workspace)
    held = current_manifest(place)
    assert held == done.manifest
    assert done.is_new
    assert len(done.changed) == len(published_tables()) == len(held.tables)
    assert (held.about.profile, held.about.notice) == ("live", "")
    for table, published in zip(published_tables(), held.tables, strict=True):
        expected = in_order(table, rows_of(workspace, table))
        assert len(expected) >= 12 or table not in marts()
        assert parquet_rows(place, table) == expected, table.name
        assert database_rows(place / "rally.duckdb", table) == expected, table.name
        assert (published.name, published.rows) == (table.name, len(expected))
        assert pq.read_schema(place / held.folder / published.files[0].path).equals(
            tables.arrow_schema(table, Profile.LIVE), check_metadata=True
        )
    for file in (*held.files, held.database):
        path = place / held.folder / file.path
        assert (files.digest(path), path.stat().st_size) == (file.sha256, file.bytes)
    assert files.digest(place / "rally.duckdb") == held.database.sha256
    assert (place / "tables" / "current").resolve() == place / held.folder
    assert not _left_over(place)


def test_the_bytes_do_not_depend_on_the_engine(engine: Workspace, tmp_path: Path, digests: dict[str, str]) -> None:
    # No text in its key: databases differ in the order of letters.
    table = metadata.tables["mart_hot_money_daily"]
    with engine.warehouse.read() as connection:
        made = tables.write_table(connection, table, Profile.LIVE, tmp_path)
    digests[engine.warehouse.dialect] = made.files[0].sha256
    assert len(set(digests.values())) == 1


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    """Digest by engine."""
    return {}


def test_large_tables_are_split_by_year(engine: Workspace, tmp_path: Path) -> None:
    workspace = engine
    table = metadata.tables["mart_claim_audit"]  # whose date may be NULL
    folders = [tmp_path / name for name in ("one", "two")]
    made = []
    for folder, before in zip(folders, (None, folders[0]), strict=True):
        with workspace.warehouse.read() as connection:
            made.append(tables.write_table(connection, table, Profile.LIVE, folder, before, large_rows=11))
    days = [row["as_of_date"] for row in rows_of(workspace, table)]
    years = [*sorted({f"year={day.year}" for day in days if day}), "year=__HIVE_DEFAULT_PARTITION__"]
    assert made[0].partitioned_by == "year"
    assert [file.path.split("/")[1] for file in made[0].files] == years
    assert [file.rows for file in made[0].files] == [
        *(sum(day is not None and f"year={day.year}" == year for day in days) for year in years[:-1]),
        days.count(None),
    ]
    assert made[0] == made[1]
    assert all((folders[0] / file.path).samefile(folders[1] / file.path) for file in made[0].files)
    about = manifest.about_now(Profile.LIVE, manifest.AsOf(None, {}), "0" * 8, dt.datetime.now(dt.UTC))
    duckdb_file.write_database(folders[0], made[:1], about)
    assert database_rows(folders[0] / "rally.duckdb", table) == in_order(table, rows_of(workspace, table))


def test_as_of_is_that_of_the_facts(engine: Workspace) -> None:
    workspace = engine
    before = current_manifest(_place(workspace))
    rows_ = [("2025-02-13", 1, 2, 1, 1.5, 10), ("2025-02-14", 1, 2, 1, 1.6, 10)]
    deliver(workspace, price_payload(price_csv(rows_), known_at=utc("2025-02-14T10:00")))
    deliver(workspace, price_payload(price_csv(rows_[:1]), "^GDAXI", known_at=utc("2025-02-13T18:00")))
    with pytest.raises(PublishError, match="behind the facts"):
        publish(workspace)
    assert current_manifest(_place(workspace)) == before
    as_of = publish(workspace, compute=True).manifest.about.as_of
    assert as_of == manifest.AsOf("2025-02-14T10:00:00Z", {"DE": "2025-02-13", "HK": "2025-02-14"})
    with duckdb.connect(str(_place(workspace) / "rally.duckdb"), read_only=True) as database:
        about = database.execute(f"SELECT * FROM {duckdb_file.PUBLICATION}").df().to_dict("records")[0]
    assert about["latest_known_at"] == dt.datetime(2025, 2, 14, 10, tzinfo=dt.UTC)
    assert json.loads(about["latest_sessions"]) == as_of.latest_sessions


def test_descriptions_and_types_stand_in_the_database(full: Workspace) -> None:
    publish(full)
    with duckdb.connect(str(_place(full) / "rally.duckdb"), read_only=True) as database:
        comments = dict(database.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall())
        columns = database.execute(
            "SELECT table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        storage = database.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    assert storage[0][0]["storage_version"].startswith("v1.0.0")
    found = {(table, column): rest for table, column, *rest in columns}
    for table in published_tables():
        assert table_info(table).description in comments[table.name]
        assert comments[table.name].startswith("DEMO DATA")
        for column in table.columns:
            type_, nullable, comment = found.pop((table.name, column.name))
            assert comment.startswith(column_info(column).description)
            assert comment.endswith(f"[{column_info(column).unit}]") or not column_info(column).unit
            assert nullable == column.nullable
            assert (type_ == "DATE") == isinstance(column.type, sa.Date)
    assert {table for table, _ in found} == {duckdb_file.PUBLICATION}
    assert all(comment for _, _, comment in found.values())


def test_only_what_changed_is_written_again(full: Workspace) -> None:
    place = _place(full)
    first = publish(full).manifest
    again = publish(full)
    assert (again.is_new, again.changed, again.manifest) == (False, (), first)
    _change(full, 5)
    second = publish(full)
    assert second.is_new
    assert second.changed == (ONE.name,)
    assert "1 of" in second.lines()[0]
    for before, after in zip(first.files, second.manifest.files, strict=True):
        is_same_file = (place / first.folder / before.path).samefile(place / second.manifest.folder / after.path)
        assert is_same_file == (ONE.name not in after.path)
    # The versions before stay as they were, for those who still read them.
    assert files.digest(place / first.folder / "rally.duckdb") == first.database.sha256


def test_what_somebody_damaged_is_published_again(full: Workspace) -> None:
    place = _place(full)
    made = publish(full).manifest
    damages = [
        lambda: (place / "rally.duckdb").unlink(),
        lambda: (place / "manifest.json").unlink(),
        lambda: (place / "tables" / "current").unlink(),
        lambda: _overwrite(place / current_manifest(place).folder / made.files[3].path),  # type: ignore[union-attr]
        lambda: _overwrite(place / "rally.duckdb"),
    ]
    for damage in damages:
        damage()
        repaired = publish(full)
        held = repaired.manifest
        assert held == current_manifest(place)
        for file in held.files:
            assert files.digest(place / held.folder / file.path) == file.sha256
        assert files.digest(place / "rally.duckdb") == held.database.sha256
        assert (place / "tables" / "current").resolve() == place / held.folder


def _overwrite(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"nonsense")


def test_batches_are_bounded(full: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 3)
    schema = tables.arrow_schema(ONE, Profile.LIVE)
    with full.warehouse.read() as connection:
        batches = list(tables.record_batches(connection, ONE, schema))
    assert [batch.num_rows for batch in batches] == [3, 3, 1]
    assert in_order(ONE, pa.Table.from_batches(batches).to_pylist()) == in_order(ONE, rows_of(full, ONE))


def test_data_of_another_profile_stays(full: Workspace, tmp_path: Path) -> None:
    live = open_at(tmp_path / "live", profile=Profile.LIVE)
    with pytest.raises(PublishError):
        publish(live, str(_place(full)))  # a new warehouse has nothing computed
    publish(full)
    with pytest.raises(ProfileMismatchError, match="demo"):
        publish(live, str(_place(full)), compute=True)
    with pytest.raises(ProfileMismatchError):
        remote.check_profile(current_manifest(_place(full)), "live", "there")


def test_a_failure_leaves_what_was_published(full: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    place = _place(full)
    before = publish(full).manifest
    _change(full, 5)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for module, name in ((publication, "write_database"), (publication, "write_table"), (files, "settle")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, fail)
            with pytest.raises(PublishError, match="No space left"):
                publish(full)
        assert current_manifest(place) == before
        assert database_rows(place / "rally.duckdb", ONE) == in_order(ONE, rows(ONE, 7))
        assert not _left_over(place)
    assert publish(full).changed == (ONE.name,)


@pytest.mark.parametrize("step", ["write_database", "_switch"])
def test_a_killed_publication_is_swept_by_the_next(full: Workspace, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    place = _place(full)
    before = publish(full).manifest
    _change(full, 5)
    full.warehouse.engine.dispose()
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(publication, step, lambda *_: os._exit(9))
        publish(full)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert current_manifest(place) == before
    after = publish(full).manifest
    assert parquet_rows(place, ONE) == in_order(ONE, rows(ONE, 5))
    assert database_rows(place / "rally.duckdb", ONE) == in_order(ONE, rows(ONE, 5))
    assert not _left_over(place)
    assert (place / "tables" / "current").resolve() == place / after.folder


def test_old_versions_are_removed_when_nobody_can_be_reading_them(
    full: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _place(full)
    versions = []
    for count in (1, 2, 3):
        _change(full, count)
        versions.append(publish(full).manifest.about.version)
    (place / "tables" / "somebody's own").mkdir()
    assert all((place / "tables" / version).is_dir() for version in versions)
    monkeypatch.setattr(publication, "KEEP_SECONDS", 0.0)
    _change(full, 4)
    versions.append(publish(full).manifest.about.version)
    left = {path.name for path in (place / "tables").iterdir()}
    assert left == {*versions[-2:], "current", ".lock", "somebody's own"}


#: Reads everything again and again: the database by its name, then the Parquet files below one version.
_READER = """
import sys, time, pathlib, duckdb, pyarrow.parquet as pq
place, stop, names = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3].split(",")
seen = []
while True:
    last = stop.exists()
    with duckdb.connect(str(place / "rally.duckdb"), read_only=True) as database:
        sql = " UNION ALL ".join(f"SELECT count(*) FROM {name}" for name in names)
        counts = {row[0] for row in database.execute(sql).fetchall()}
        version = database.execute("SELECT version FROM ops_publication").fetchone()[0]
    assert len(counts) == 1, ("database", counts)
    folder = (place / "tables" / "current").resolve()
    files = {pq.read_metadata(folder / name / "part-0.parquet").num_rows for name in names}
    assert len(files) == 1, ("parquet", files)
    if not seen or seen[-1][1] != version:
        seen.append((counts.pop(), version))
    if last:
        break
    time.sleep(0.01)
assert [count for count, _ in seen] == sorted(count for count, _ in seen), seen
print(len(seen), seen[-1][0])
"""


def test_readers_see_one_state_while_twenty_publications_happen(
    full: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = marts()[::2]  # the other half would only take time
    names = [table.name for table in counted]
    monkeypatch.setattr(publication, "published_tables", lambda: counted)
    fill(full, 1, counted)
    publish(full)
    stop = tmp_path / "stop"
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", _READER, str(_place(full)), str(stop), ",".join(names)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(1)
    ]
    for count in range(2, 22):
        # The counter is the number of rows: the same in all tables of one state.
        with full.warehouse.write() as connection:
            for table in counted:
                connection.execute(
                    sa.insert(table), {column.name: value(column, count - 1) for column in table.columns}
                )
        assert publish(full).is_new
    stop.touch()
    for reader in readers:
        out, err = reader.communicate(timeout=60)
        assert reader.returncode == 0, err
        states, last = map(int, out.split())
        assert states > 3
        assert last == 21


def test_a_reader_that_stays_keeps_what_it_opened(full: Workspace) -> None:
    publish(full)
    with duckdb.connect(str(_place(full) / "rally.duckdb"), read_only=True) as database:
        for count in (3, 2, 1):
            _change(full, count)
            publish(full)
            assert database.execute(f"SELECT count(*) FROM {ONE.name}").fetchall() == [(7,)]


# --- other places --------------------


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_to_a_folder(full: Workspace, tmp_path: Path, form: str) -> None:
    there = tmp_path / "there"
    done = publish(full, form.format(there))
    assert current_manifest(there) == done.manifest
    assert parquet_rows(there, ONE) == in_order(ONE, rows(ONE, 7))
    assert not _place(full).exists()


def _memory(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    """The file system in memory, empty, and what is put into it, in order."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    put: list[str] = []
    for name, place in (("put_file", 1), ("pipe_file", 0), ("cp_file", 1)):
        real = getattr(type(system), name)

        def noted(self: Any, *args: Any, _real: Any = real, _place: int = place, _name: str = name, **more: Any) -> Any:
            put.append(f"{_name} {args[_place]}")
            return _real(self, *args, **more)

        monkeypatch.setattr(type(system), name, noted)
    return system, put


def test_to_an_object_store(full: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    system, put = _memory(monkeypatch)
    first = publish(full, "memory://bucket/rally")
    held = manifest.read(system.cat_file("/bucket/rally/manifest.json").decode(), "there")
    assert held == first.manifest == current_manifest(_place(full))
    assert put[-1].endswith("/bucket/rally/manifest.json")
    assert len(put) == len(held.files) + 3
    for file in (*held.files, held.database):
        assert system.info(f"/bucket/rally/{held.folder}/{file.path}")["size"] == file.bytes
    put.clear()
    assert not publish(full, "memory://bucket/rally").is_new
    assert not put
    _change(full, 5)
    second = publish(full, "memory://bucket/rally")
    assert second.changed == (ONE.name,)
    sent = [text for text in put if text.startswith("put_file")]
    assert [ONE.name in text or "rally.duckdb" in text for text in sent] == [True, True]
    with system.open(f"/bucket/rally/{second.manifest.folder}/{ONE.name}/part-0.parquet") as file:
        assert pq.read_table(file).num_rows == 5
    _change(full, 4)
    third = publish(full, "memory://bucket/rally")
    left = {path.rpartition("/")[2] for path in system.ls("/bucket/rally/tables", detail=False)}
    assert left == {second.manifest.about.version, third.manifest.about.version}


def test_an_upload_that_breaks_off_changes_nothing_there(full: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    system, _ = _memory(monkeypatch)
    before = publish(full, "memory://bucket/rally").manifest
    _change(full, 5)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no route to ftp://me:secret@host")

    with monkeypatch.context() as patched:
        patched.setattr(type(system), "put_file", fail)
        with pytest.raises(PublishError, match="no route to ftp://host"):
            publish(full, "memory://bucket/rally")
    assert manifest.read(system.cat_file("/bucket/rally/manifest.json").decode(), "there") == before
    assert publish(full, "memory://bucket/rally").is_new


def test_an_upload_that_arrives_cut_is_noticed(full: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    system, _ = _memory(monkeypatch)
    monkeypatch.setattr(type(system), "put_file", lambda self, source, target, **_: self.pipe_file(target, b"PAR1"))
    with pytest.raises(PublishError, match="did not arrive"):
        publish(full, "memory://bucket/rally")
    assert not system.exists("/bucket/rally/manifest.json")


def test_demo_data_does_not_replace_live_data_there(full: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    system, _ = _memory(monkeypatch)
    publish(full, "memory://bucket/rally")
    text = system.cat_file("/bucket/rally/manifest.json").decode()
    system.pipe_file("/bucket/rally/manifest.json", text.replace('"profile": "demo"', '"profile": "live"').encode())
    with pytest.raises(ProfileMismatchError):
        publish(full, "memory://bucket/rally")


@pytest.mark.parametrize("url", ["nonsense://bucket", "s3://bucket/rally"])
def test_a_place_nobody_knows_is_refused_before_the_work(full: Workspace, url: str) -> None:
    if url.startswith("s3"):
        try:
            import s3fs  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("s3fs is installed")
    with pytest.raises(UsageError, match="--to"):
        publish(full, url)
    assert not _place(full).exists()


# --- commands and runs --------------------


def test_command(full: Workspace, tmp_path: Path) -> None:
    env = environment(full.settings.home)
    with full.warehouse.write() as connection:
        connection.execute(
            sa.insert(ops.ops_stale), {"table_name": ONE.name, "subject": "*", "from_date": dt.date(1, 1, 1)}
        )
    done = run_cli_here(["publish"], env)
    assert done.returncode == 0, done.stderr
    assert "DEMO DATA" in done.stdout
    assert str(_place(full)) in done.stdout
    assert parquet_rows(_place(full), ONE) == []  # what was behind was computed first, from no facts
    (found,) = json_of(run_cli_here(["publish", "--to", tmp_path / "there", "--json"], env))
    assert found["is_new"] is True
    assert found["manifest"] == json.loads((tmp_path / "there" / "manifest.json").read_text())
    assert run_cli_here(["publish", "--to", "nonsense://x"], env).returncode == 2


def test_a_run_tells_that_it_could_not_publish(full: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from rally_pipeline.orchestration import runner

    lines, error = runner._publish(full, lambda _: None, compute=False)
    assert "published" in lines[0]
    assert not error
    held = current_manifest(_place(full))
    monkeypatch.setattr(publication, "write_table", lambda *_, **__: _full())
    lines, error = runner._publish(full, lambda _: None, compute=False)
    assert lines == ()
    assert "No space left" in error
    assert current_manifest(_place(full)) == held
    today = dt.date(2025, 2, 14)
    said: dict[str, Any] = {field.name: "" for field in dataclasses.fields(runner.RunReport)}
    nothing = {field.name: () for field in dataclasses.fields(runner.RunReport) if "tuple" in str(field.type)}
    report = runner.RunReport(
        **{**said, **nothing, "start": today, "end": today, "seconds": 0.0, "publish_error": error}
    )
    assert report.ok
    assert any("not published" in line and "No space left" in line for line in report.lines())


def test_a_run_of_the_ui_publishes_or_tells_why_not(full: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    from rally_pipeline.orchestration import resources

    said: list[str] = []
    with dg.build_init_resource_context() as context:
        monkeypatch.setattr(context.log, "info", said.append)
        resources._publish(full, context)
        assert current_manifest(_place(full)) is not None
        monkeypatch.setattr(publication, "write_table", lambda *_, **__: _full())
        resources._publish(full, context)
    assert said[0].startswith("published: ")
    assert "not published" in said[-1]


def _full() -> None:
    raise OSError(28, "No space left on device")
