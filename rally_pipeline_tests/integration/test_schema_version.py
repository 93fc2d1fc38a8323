"""Which warehouses are opened, made, upgraded or refused, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from rally_pipeline.errors import ProfileMismatchError, SchemaVersionError
from rally_pipeline.schema import core, metadata, ops, table_info
from rally_pipeline.settings import Profile
from rally_pipeline.warehouse import schema_version
from rally_pipeline.warehouse.engine import Warehouse, open_warehouse
from rally_pipeline_tests.workspaces import (
    count,
    deliver,
    environment,
    open_at,
    price_csv,
    price_payload,
    run_cli_here,
    utc,
)


@pytest.fixture
def warehouse(warehouse_url: str) -> Warehouse:
    return open_warehouse(warehouse_url, lock_timeout_seconds=5)


def test_head_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema_version.__file__).with_name("migrations")))
    assert ScriptDirectory.from_config(config).get_heads() == [schema_version.HEAD]


def test_every_table_is_kept_or_derived() -> None:
    kept, derived = schema_version.kept_tables(), schema_version.derived_tables()
    assert not set(kept) & set(derived)
    assert {t.name for t in (*kept, *derived)} == set(metadata.tables)
    assert all(table_info(t).versioned or table_info(t).layer in ("raw", "ops") for t in kept)


def test_upgrade_from_nothing_gives_what_is_declared(warehouse: Warehouse) -> None:
    said: list[str] = []
    profile, remade = schema_version.prepare(warehouse, None, said.append)
    assert (profile, said) == (Profile.LIVE, [])
    assert set(remade) == {t.name for t in schema_version.derived_tables()}
    with warehouse.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "table" or name != "alembic_version",
            },
        )
        differences = compare_metadata(context, metadata)
        if warehouse.dialect == "sqlite":  # which has nowhere to put comments
            differences = [d for d in differences if "comment" not in str(d[0])]
        assert differences == []
        assert schema_version.current_revision(connection) == schema_version.HEAD
        _check_keys(connection)
    assert schema_version.prepare(warehouse, None, said.append) == (Profile.LIVE, [])
    assert said == []


def _check_keys(connection: sa.Connection) -> None:
    """What Alembic does not compare: primary keys, and the index that allows one believed row per key."""
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        declared = [c.name for c in table.primary_key.columns]
        assert inspector.get_pk_constraint(table.name)["constrained_columns"] == declared, table.name
        indexes = {i["name"]: i for i in inspector.get_indexes(table.name)}
        for index in table.indexes:
            assert indexes[index.name]["column_names"] == [c.name for c in index.columns]
            assert bool(indexes[index.name]["unique"]) == bool(index.unique)
        if table_info(table).versioned:
            options = indexes[f"uq_{table.name}_current"]["dialect_options"]
            assert "known_to_at IS NULL" in str(options[f"{connection.dialect.name}_where"])


def test_descriptions_stand_in_the_database(warehouse: Warehouse) -> None:
    if warehouse.dialect == "sqlite":
        pytest.skip("SQLite has no comments")
    schema_version.prepare(warehouse, None)
    with warehouse.read() as connection:
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            assert inspector.get_table_comment(table.name)["text"] == table.comment
            assert {c["name"]: c["comment"] for c in inspector.get_columns(table.name)} == {
                c.name: c.comment for c in table.columns
            }


def test_a_newer_warehouse_is_refused(warehouse: Warehouse, warehouse_url: str, tmp_path: Path) -> None:
    schema_version.prepare(warehouse, None)
    with warehouse.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaVersionError, match=r"9999.*Fix: upgrade"):
        schema_version.prepare(warehouse, None)
    done = run_cli_here(["as-of", "2025-01-01", "core_price_daily"], environment(tmp_path, warehouse_url))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the warehouse has schema version 9999")
    seen = run_cli_here(["doctor"], environment(tmp_path, warehouse_url))
    assert seen.returncode == 1
    assert "9999" in next(line for line in seen.stdout.splitlines() if line.startswith("fail"))


def test_tables_without_a_version_are_refused(warehouse: Warehouse, warehouse_url: str, tmp_path: Path) -> None:
    with warehouse.write() as connection:
        core.core_fx_daily.create(connection)
    with pytest.raises(SchemaVersionError, match=r"core_fx_daily.*no schema version"):
        schema_version.prepare(warehouse, None)
    with warehouse.read() as connection:
        assert sa.inspect(connection).get_table_names() == ["core_fx_daily"], "nothing may be made beside them"
    seen = run_cli_here(["doctor"], environment(tmp_path, warehouse_url))
    assert seen.returncode == 1, seen.stdout


def test_tables_of_others_are_left_alone(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        connection.exec_driver_sql("CREATE TABLE somebody_elses (a INTEGER)")
    schema_version.prepare(warehouse, None)
    with warehouse.read() as connection:
        assert "somebody_elses" in sa.inspect(connection).get_table_names()


def test_a_changed_mart_is_made_anew_and_behind(tmp_path: Path, warehouse_url: str) -> None:
    workspace = open_at(tmp_path, warehouse_url)
    deliver(workspace, price_payload(price_csv([("2024-03-04", 10)], "date,close"), known_at=utc("2024-04-01")))
    from rally_pipeline.marts.refresh import refresh

    with workspace.warehouse.write() as connection:
        refresh(connection)
    name = "mart_price_extremes_daily"
    assert (count(workspace, name), count(workspace, "ops_stale")) == (1, 0)
    with workspace.warehouse.write() as connection:  # as if written by a release whose mart had other columns
        connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql(f"CREATE TABLE {name} (symbol INTEGER)")
        schema_version.write_statement(connection, f"shape.{name}", "0" * 64)
    said: list[str] = []
    from rally_pipeline.workspace import open_workspace

    reopened = open_workspace(workspace.settings, said.append)
    assert said == [f"{name} has a new definition: made anew and computed again"]
    assert count(reopened, name) == 0
    with reopened.warehouse.write() as connection:
        behind = set(connection.scalars(sa.select(ops.ops_stale.c.table_name)))
        assert name in behind
        refresh(connection)
    assert count(reopened, name) == 1
    assert count(reopened, "core_price_daily") == 1


def test_demo_and_live_never_mix(warehouse: Warehouse, warehouse_url: str, tmp_path: Path) -> None:
    assert schema_version.prepare(warehouse, Profile.DEMO)[0] is Profile.DEMO
    assert schema_version.prepare(warehouse, None)[0] is Profile.DEMO
    with pytest.raises(ProfileMismatchError, match="holds demo data"):
        schema_version.prepare(warehouse, Profile.LIVE)
    file = tmp_path / "a.csv"
    file.write_bytes(price_csv([("2024-03-04", 10)], "date,close"))
    env = environment(tmp_path, warehouse_url, RALLY_PROFILE="live")
    done = run_cli_here(["import", "prices", file, "--symbol", "0700.HK"], env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "RALLY_PROFILE=demo" in done.stderr
    assert not (tmp_path / "archive").exists()
    seen = run_cli_here(["doctor"], env)
    assert seen.returncode == 1
