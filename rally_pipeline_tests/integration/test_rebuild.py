"""A warehouse that is lost: built again from the archive alone it is the same, whatever the engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.archive import Archive
from rally_pipeline.comparison import compare, compared_tables, left_out
from rally_pipeline.errors import ProfileMismatchError, UsageError
from rally_pipeline.rebuild import RebuildReport, rebuild
from rally_pipeline.schema import core, metadata, ops, table_info
from rally_pipeline.settings import Profile
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests import small_world
from rally_pipeline_tests.workspaces import (
    count,
    deliver,
    environment,
    json_of,
    open_at,
    price_csv,
    price_payload,
    rows_of,
    run_cli_here,
    settings_for,
    utc,
)

MakeUrl = Callable[[str], str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MakeUrl:
    folder = tmp_path_factory.mktemp("databases")

    def make(name: str) -> str:
        if request.param == "postgresql":
            return str(request.getfixturevalue("postgres_url")())
        return f"sqlite:///{folder / name}.sqlite"

    return make


@pytest.fixture(scope="module")
def world(make_url: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    workspace = open_at(tmp_path_factory.mktemp("rebuild") / "home", make_url("first"))
    small_world.fill(workspace)
    yield workspace
    workspace.warehouse.engine.dispose()


@pytest.fixture(scope="module")
def rebuilt(world: Workspace, make_url: MakeUrl) -> tuple[str, RebuildReport]:
    url = make_url("second")
    return url, rebuild(world.settings, url)


def _url(workspace: Workspace) -> str:
    return workspace.settings.resolved_warehouse_url


def test_the_world_has_what_is_to_be_rebuilt(world: Workspace) -> None:
    """Or the equality below would say little."""
    prices = rows_of(world, core.core_price_daily)
    assert {row["source"] for row in prices} == {"yahoo", "other"}
    assert (
        max(
            sum(r["session_date"] == row["session_date"] and r["symbol"] == row["symbol"] for r in prices)
            for row in prices
        )
        >= 3
    )
    assert [row["session_date"] for row in prices if row["source"] == "other"][-1] == small_world.RELEASED_DAY
    assert {row["outcome"] for row in rows_of(world, "ops_load")} == {"loaded", "refused"}
    assert len(rows_of(world, "ops_quarantine")) == 2
    assert [row["outcome"] for row in rows_of(world, "ops_quarantine_action")] == ["loaded"]
    for name in ("core_fx_daily", "core_southbound_flow_daily", "core_note_claim", "core_rating_action"):
        assert count(world, name), name
    assert {row["verdict"] for row in rows_of(world, "mart_claim_audit")} > {"not_checkable"}


def test_what_is_rebuilt_is_equal_to_the_last_digit(world: Workspace, rebuilt: tuple[str, RebuildReport]) -> None:
    url, report = rebuilt
    assert report.ok
    assert (report.refused, report.actions) == (1, 1)
    other = open_at(world.settings.home, url)
    for table in metadata.sorted_tables:
        # on PostgreSQL the order of summation, and with it the last digits of what is computed, is the planner's
        is_exact = table_info(table).layer == "core" or world.warehouse.dialect == "sqlite"
        if table_info(table).layer in ("core", "mart") and table.name != "mart_claim_audit" and is_exact:
            assert rows_of(other, table) == rows_of(world, table), table.name
    assert [found.examples for found in compare(_url(world), url) if not found.is_equal] == []
    assert rows_of(other, "ops_quarantine_action") == rows_of(world, "ops_quarantine_action")
    other.warehouse.engine.dispose()


def test_diff_says_so(world: Workspace, rebuilt: tuple[str, RebuildReport]) -> None:
    url, _ = rebuilt
    done = run_cli_here(["diff", _url(world), url], environment(world.settings.home))
    assert done.returncode == 0, done.stdout
    assert "different" not in done.stdout
    assert "not compared: raw_fetch.run_id" in done.stdout
    assert {table.table for table in compare(_url(world), url)} == {table.name for table in compared_tables()}
    assert {*left_out(), *(table.name for table in compared_tables())} == set(metadata.tables)


def test_diff_names_what_differs(world: Workspace, rebuilt: tuple[str, RebuildReport]) -> None:
    url, _ = rebuilt
    table = core.core_price_daily
    day = table.c.session_date == small_world.RELEASED_DAY
    other = open_at(world.settings.home, url)
    with other.warehouse.write() as connection:
        before = [dict(row) for row in connection.execute(sa.select(table).where(day)).mappings()]
        connection.execute(sa.delete(table).where(day, table.c.source == "other"))
        connection.execute(
            sa.update(table).where(day, table.c.symbol == small_world.INDEX).values(close=table.c.close + 1e-9)
        )
    try:
        done = run_cli_here(["diff", url, _url(world), "--json"], environment(world.settings.home))
        assert done.returncode == 1
        (differing,) = [found for found in json_of(done) if not found["is_equal"]]
        assert differing["table"] == "core_price_daily"
        assert (differing["only_one"], differing["only_other"], differing["different"]) == (0, 1, 1)
        assert differing["rows_other"] == differing["rows_one"] + 1
        assert any("source=other" in text and "only in the second" in text for text in differing["examples"])
        assert any("symbol=^HSI" in text and "close" in text for text in differing["examples"])
    finally:
        with other.warehouse.write() as connection:
            connection.execute(sa.delete(table).where(day))
            connection.execute(sa.insert(table), before)
        other.warehouse.engine.dispose()


def test_a_lost_warehouse_comes_back_under_its_own_url(make_url: MakeUrl, tmp_path: Path) -> None:
    home = tmp_path / "home"
    url = make_url("lost")
    workspace = open_at(home, url, profile=Profile.DEMO)
    for at, close in (("2024-04-01", 10), ("2024-04-03", 11)):
        deliver(workspace, price_payload(price_csv([("2024-03-04", close)], "date,close"), known_at=utc(at)))
    small_world.compute(workspace)
    before = {name: rows_of(workspace, name) for name in ("core_price_daily", "core_price_resolved_daily")}
    with workspace.warehouse.write() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
    workspace.warehouse.engine.dispose()
    done = run_cli_here(["rebuild", "--into", url], environment(home, url))
    assert done.returncode == 0, done.stderr
    assert "(demo): 2 payloads loaded" in done.stdout
    again = open_at(home, url)
    assert again.profile is Profile.DEMO, "the archive says whose data it is"
    assert {name: rows_of(again, name) for name in before} == before
    assert all(row["known_from_at"] < utc("2025-01-01") for row in before["core_price_daily"])
    again.warehouse.engine.dispose()


def test_one_engine_is_rebuilt_on_the_other(world: Workspace, postgres_url: Callable[[], str], tmp_path: Path) -> None:
    if world.warehouse.dialect == "postgresql":
        pytest.skip("the same the other way round")
    url = postgres_url()
    rebuild(world.settings, url)
    assert [found.examples for found in compare(_url(world), url) if not found.is_equal] == []


def test_what_is_not_empty_is_left_alone(world: Workspace) -> None:
    before = count(world, "core_price_daily")
    with pytest.raises(UsageError, match="is not empty"):
        rebuild(world.settings, _url(world))
    assert count(world, "core_price_daily") == before


def test_wrong_use(world: Workspace, make_url: MakeUrl, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no payloads"):
        rebuild(world.settings, make_url("nothing"), archive=Archive(tmp_path))
    with pytest.raises(ProfileMismatchError, match="holds live data"):
        rebuild(settings_for(world.settings.home, profile=Profile.DEMO), make_url("demo"))
    with pytest.raises(UsageError, match="no such warehouse"):
        list(compare(_url(world), f"sqlite:///{tmp_path / 'nowhere.sqlite'}"))
    assert not (tmp_path / "nowhere.sqlite").exists()


def test_a_damaged_payload_is_told_and_the_others_are_loaded(
    world: Workspace, make_url: MakeUrl, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(world.settings.archive_dir, home / "archive")
    rates = next(record for record in Archive(home / "archive").records() if record.request.dataset == "fx")
    copied = open_at(home, make_url("copy"))
    small_world.damage(copied, rates.payload_id)
    copied.warehouse.engine.dispose()
    done = run_cli_here(["rebuild", "--into", make_url("damaged")], environment(home))
    assert done.returncode == 1
    assert f"not read: payload {rates.payload_id}" in done.stdout


def test_decisions_stand_in_the_archive(world: Workspace) -> None:
    (action,) = world.archive.actions()
    (row,) = rows_of(world, ops.ops_quarantine_action)
    assert {**action.to_json(), "acted_at": row["acted_at"]} == row
    (path,) = (world.settings.archive_dir / "actions").glob("*/*/*/*.json")
    assert json.loads(path.read_text())["reason"] == "the exchange prints it so"
