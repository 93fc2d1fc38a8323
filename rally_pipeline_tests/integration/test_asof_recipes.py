"""Every SQL of docs/as-of.md, run as it stands there, gives what the command and the Python function give."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline.asof import read_as_of, selectable
from rally_pipeline.errors import UsageError
from rally_pipeline.schema import core_notes, metadata, table_info
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests import small_world
from rally_pipeline_tests.small_world import KNOWN, NOTED, RESTATED, SHARE
from rally_pipeline_tests.workspaces import ROOT, open_at, rows_of, utc

RECIPES = dict(re.findall(r"```sql recipe=(\w+)\n(.*?)```", (ROOT / "docs" / "as-of.md").read_text(), re.DOTALL))
TIMES = (utc("2025-02-01"), KNOWN, KNOWN + dt.timedelta(days=2), RESTATED, NOTED)
FAR = utc("2100-01-01")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
    workspace = open_at(tmp_path_factory.mktemp("recipes") / "home", url)
    small_world.fill(workspace)
    yield workspace
    workspace.warehouse.engine.dispose()


def ask(world: Workspace, recipe: str, **values: dt.datetime) -> list[tuple[Any, ...]]:
    statement = sa.text(RECIPES[recipe])
    statement = statement.bindparams(*(sa.bindparam(name, value, UtcDateTime()) for name, value in values.items()))
    with world.warehouse.read() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def known(world: Workspace, table: str, at: dt.datetime, *columns: str) -> list[tuple[Any, ...]]:
    with read_as_of(world, table, at) as (_, rows):
        return [tuple(_plain(row[name]) for name in columns) for row in rows]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def plain(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Dates as text: SQLite gives a raw query what it stores."""
    return [tuple(_plain(value) for value in row) for row in rows]


PRICE = ("symbol", "session_date", "source", "close")


def by_code_point(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: tuple(map(str, row)))


def test_all_recipes_are_run_here() -> None:
    assert set(RECIPES) == {
        *("parameter", "now", "changes", "audits", "install", "set", "view", "reset", "remove"),
    }


def test_a_parameter(world: Workspace) -> None:
    seen = set()
    for at in TIMES:
        rows = by_code_point(plain(ask(world, "parameter", t=at)))
        assert rows == by_code_point(known(world, "core_price_daily", at, *PRICE))
        seen.add(tuple(rows))
    assert len(seen) == 4
    assert by_code_point(plain(ask(world, "now"))) == by_code_point(known(world, "core_price_daily", FAR, *PRICE))


def test_what_changed_between_two_instants(world: Workspace) -> None:
    rows = plain(ask(world, "changes", t=KNOWN, t2=RESTATED))
    assert {row[:3] for row in rows} == {(SHARE, f"2025-02-{day}", "yahoo") for day in (10, 11, 12, 13, 14)}
    before = {row[:3]: row[3] for row in known(world, "core_price_daily", KNOWN, *PRICE)}
    first: dict[Any, Any] = {}
    for row in rows:
        first.setdefault(row[:3], row[3])
    assert {key: before[key] for key in first} == first
    assert plain(ask(world, "changes", t=NOTED, t2=FAR)) == []


def test_audits_as_they_stood(world: Workspace) -> None:
    audits = rows_of(world, "mart_claim_audit")
    moments = sorted({row["audited_at"] for row in audits})
    for at in (*moments, moments[0] - dt.timedelta(microseconds=1), FAR):
        names = ("claim_id", "verdict", "reason")
        rows = [row[:3] for row in ask(world, "audits", t=at)]
        assert rows == known(world, "mart_claim_audit", at, *names)
        assert len(rows) == len({row["claim_id"] for row in audits if row["audited_at"] <= at})
    standing = [row for row in audits if row["is_latest"]]
    with read_as_of(world, "mart_claim_audit", FAR) as (_, found):
        assert [dict(row) for row in found] == standing


def test_views_follow_the_setting(world: Workspace) -> None:
    if world.warehouse.dialect == "sqlite":
        pytest.skip("views that follow a setting are for PostgreSQL")
    with world.warehouse.engine.connect() as connection:
        # as psql sends it: SQLAlchemy would take % for a parameter
        driver: Any = connection.connection.driver_connection
        driver.execute(RECIPES["install"])
        views = set(sa.inspect(connection).get_view_names("as_of"))
        assert views == {t.name for t in metadata.sorted_tables if table_info(t).versioned}

        def view() -> list[tuple[Any, ...]]:
            return by_code_point(plain([tuple(row) for row in connection.execute(sa.text(RECIPES["view"]))]))

        now = by_code_point(known(world, "core_price_daily", FAR, *PRICE))
        assert view() == now
        connection.exec_driver_sql(RECIPES["set"])
        (at,) = re.findall(r"'(.+)'", RECIPES["set"])
        assert view() == by_code_point(known(world, "core_price_daily", utc(at), *PRICE)) != now
        connection.exec_driver_sql(RECIPES["reset"])
        assert view() == now
        connection.exec_driver_sql(RECIPES["remove"])
        assert sa.inspect(connection).get_view_names("as_of") == []
        connection.rollback()


def test_every_table_can_be_selected_from(world: Workspace) -> None:
    for table in metadata.sorted_tables:
        if table_info(table).layer not in ("core", "mart"):
            continue
        with world.warehouse.read(scratch=True) as connection:
            source = selectable(connection, table.name, FAR)
            assert source.c.keys() == table.c.keys()
            keys = [source.c[c.name] for c in table.primary_key.columns]
            rows = [dict(row) for row in connection.execute(sa.select(source).order_by(*keys)).mappings()]
        believed = [table.c.known_to_at.is_(None)] if table_info(table).versioned else []
        if world.warehouse.dialect == "sqlite":  # elsewhere the last digits are the planner's
            assert rows == rows_of(world, table, *believed), table.name
        else:
            assert len(rows) == len(rows_of(world, table, *believed)), table.name


def test_notes_and_what_follows_from_them_have_a_past(world: Workspace) -> None:
    tables = ("core_note", "core_note_claim", "core_note_mention", "core_rating_action")
    for name in (*tables, "mart_rating_actions", "mart_positioning"):
        assert known(world, name, NOTED, *_key(name)), name
        assert known(world, name, NOTED - dt.timedelta(seconds=1), *_key(name)) == [], name
    assert core_notes.core_note.name in tables


def _key(name: str) -> tuple[str, ...]:
    return table_info(metadata.tables[name]).natural_key


def test_the_example_in_python(world: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "as-of.md").read_text(), re.DOTALL)
    monkeypatch.setenv("RALLY_HOME", str(world.settings.home))
    monkeypatch.setenv("RALLY_WAREHOUSE_URL", world.settings.resolved_warehouse_url)
    names: dict[str, Any] = {}
    exec(example, names)
    assert dict(tuple(row) for row in names["rows"]).keys() >= {SHARE}
    names["workspace"].warehouse.engine.dispose()


def test_an_instant_needs_a_zone(world: Workspace) -> None:
    with world.warehouse.read() as connection, pytest.raises(UsageError, match="no time zone"):
        selectable(connection, "core_price_daily", dt.datetime(2025, 1, 1))  # noqa: DTZ001
