"""The data dictionary says what the declarations, the database, Dagster and the gate say."""

from __future__ import annotations

import functools
import json
import re
import sys

import pytest
import sqlalchemy as sa

from rally_pipeline.lineage import upstream as lineage
from rally_pipeline.lineage.records import LineageError
from rally_pipeline.lineage.upstream import direct_upstream
from rally_pipeline.orchestration.declared import declared, table_schema
from rally_pipeline.quality.rules import _ZERO_IS_NONE, RENAMES, SET_BY_LOADER, TABLES, checks_for
from rally_pipeline.quality.suites import _expectation
from rally_pipeline.schema import metadata, ops, table_info
from rally_pipeline.sources.base import Dataset
from rally_pipeline.warehouse import schema_version
from rally_pipeline.warehouse.dictionary import Upstream, dictionary_columns, dictionary_tables, sync_dictionary
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline_tests.workspaces import environment, open_at, rows_of, run_cli_here

ALL = list(metadata.tables.values())


@functools.cache
def _columns():
    found = {}
    for row in dictionary_columns(direct_upstream()):
        found.setdefault(row["table_name"], {})[row["column_name"]] = row
    return found


@functools.cache
def _tables():
    return {row["table_name"]: row for row in dictionary_tables(direct_upstream())}


# --- nobody disagrees


def test_everything_declared_is_in_it():
    assert set(_tables()) == set(_columns()) == set(metadata.tables)
    for table in ALL:
        row, info = _tables()[table.name], table_info(table)
        assert list(_columns()[table.name]) == [column.name for column in table.columns]
        assert [c["position"] for c in _columns()[table.name].values()] == list(range(1, len(table.columns) + 1))
        assert (row["description"], row["grain"], row["owner"]) == (info.description, info.grain, info.owner)
        assert row["key_columns"].split(", ") == list(info.natural_key)
        assert row["column_count"] == len(table.columns)
        assert (row["row_kind"] == "versioned") == info.versioned == row["is_versioned"]
        assert (row["row_kind"] == "record") <= (info.layer in ("raw", "ops"))


def test_the_database_agrees(warehouse_url):
    warehouse = open_warehouse(warehouse_url, lock_timeout_seconds=5)
    schema_version.prepare(warehouse, None)
    with warehouse.read() as connection:
        inspector = sa.inspect(connection)
        for name, said in _columns().items():
            made = {column["name"]: column for column in inspector.get_columns(name)}
            assert list(made) == list(said), name
            keys = inspector.get_pk_constraint(name)["constrained_columns"]
            for column, row in said.items():
                where = f"{name}.{column}"
                assert made[column]["nullable"] == row["is_nullable"], where
                assert (column in keys) == row["is_key"], where
                wanted = metadata.tables[name].c[column].type.compile(connection.dialect)
                assert made[column]["type"].compile(connection.dialect) == wanted, where
                if warehouse.dialect == "postgresql":
                    assert made[column]["comment"] == row["description"], where
    warehouse.engine.dispose()


@pytest.mark.parametrize("table", ALL, ids=str)
def test_dagster_agrees(table):
    shown, said = table_schema(table).columns, _columns()[table.name]
    assert [column.name for column in shown] == list(said)
    for column in shown:
        row = said[column.name]
        assert column.type == row["data_type"]
        assert column.description.startswith(row["description"])
        assert row["unit"] in column.description
        assert column.constraints.nullable == row["is_nullable"]
        assert "; ".join(column.constraints.other) == row["rules"]
        assert (column.tags.get("key") == "primary") == row["is_key"]
    about = declared(table.name)
    assert about["description"].startswith(_tables()[table.name]["description"])
    assert about["owners"] == [_tables()[table.name]["owner"]]


@pytest.mark.parametrize("dataset", list(Dataset))
def test_the_gate_agrees(dataset):
    """What Great Expectations is told to expect of a column, put into the dictionary's words, stands there."""
    said, renames = _columns()[TABLES[dataset].name], RENAMES.get(dataset, {})
    in_words, present = {}, set()
    for check in checks_for(dataset):
        if check.kind not in ("present", "range", "listed", "format"):
            continue
        expectation = _expectation(check)
        column = renames.get(expectation.column, expectation.column)
        match type(expectation).__name__:
            case "ExpectColumnValuesToNotBeNull":
                present.add(column)
                continue
            case "ExpectColumnValuesToBeBetween":
                # Where nothing is declared the gate still wants a finite number.
                low, high = (_bound(value) for value in (expectation.min_value, expectation.max_value))
                sign = "<" if expectation.strict_min else "≤"
                words = (f"{low:g} {sign} " if low is not None else "") + "value"
                words += f" ≤ {high:g}" if high is not None else ""
            case "ExpectColumnValuesToBeInSet":
                words = f"one of {', '.join(expectation.value_set)}"
            case "ExpectColumnValuesToMatchRegex":
                words = f"matches {expectation.regex}"
            case other:
                pytest.fail(other)
        in_words.setdefault(column, set()).add(words)
    in_words = {column: words - {"value"} for column, words in in_words.items()}
    brought = {name for name in said if name not in SET_BY_LOADER}
    assert present & brought == {name for name in brought if not said[name]["is_nullable"]}
    for column, row in said.items():
        if column not in brought:
            continue
        stated = {text for text in row["rules"].split("; ") if text and not text.startswith("in ")}
        assert len(stated) == len(in_words.get(column, set())), column
        for text in in_words.get(column, set()):
            assert any(_same(column, text, one) for one in stated), f"{column}: the gate expects {text!r}, of {stated}"


def _bound(value):
    """None for what only keeps a value within its type, which the dictionary states anyway."""
    return None if value is None or abs(value) in (sys.float_info.max, 2**53, 2**31 - 1) else value


def _same(column, expected, stated):
    if stated.startswith("matches "):
        # Great Expectations looks for a pattern anywhere, so there it is anchored.
        stated = rf"matches ^(?:{stated.removeprefix('matches ')})\Z"
    if column in _ZERO_IS_NONE:
        expected = expected.replace("0 ≤", "0 <")
    return expected == stated


def test_upstream_names_what_exists():
    tables = {name: set(columns) for name, columns in _columns().items()}
    marts = [column for name, columns in _columns().items() if name.startswith("mart_") for column in columns.values()]
    assert sum(json.loads(column["upstream"]) != [] for column in marts) > 0.9 * len(marts)
    for columns in _columns().values():
        for column in columns.values():
            for source in json.loads(column["upstream"]):
                if re.match(r"(catalog|calendar|run):", source) or source.startswith("raw_fetch.body:"):
                    continue
                table, _, name = source.partition(".")
                assert name in tables[table], source
    for row in _tables().values():
        assert set(json.loads(row["upstream"])) <= set(metadata.tables)
    assert "core_price_resolved_daily" in json.loads(_tables()["mart_price_extremes_daily"]["upstream"])


# --- in the warehouse


def _stored(workspace):
    return [rows_of(workspace, table) for table in ops.DICTIONARY]


def test_it_is_written_into_the_warehouse(tmp_path, warehouse_url):
    workspace = open_at(tmp_path, warehouse_url)
    tables, columns = _stored(workspace)
    assert {row["table_name"]: row for row in tables} == _tables()
    assert len(columns) == sum(len(table.columns) for table in ALL)
    for row in columns:
        assert row == _columns()[row["table_name"]][row["column_name"]]
    for table, rows in zip(ops.DICTIONARY, (tables, columns), strict=True):
        for column in dictionary_columns(Upstream(), table):
            values = [row[column["column_name"]] for row in rows]
            assert column["is_nullable"] or None not in values
    workspace.warehouse.engine.dispose()


def test_it_is_rewritten_only_when_a_definition_changed(tmp_path, monkeypatch):
    workspace = open_at(tmp_path)
    with workspace.warehouse.write() as connection:
        connection.execute(sa.update(ops.ops_dictionary_table).values(description="spoilt"))
    open_at(tmp_path)
    assert {row["description"] for row in _stored(workspace)[0]} == {"spoilt"}
    monkeypatch.setattr(lineage, "definitions_hash", lambda: "other")
    open_at(tmp_path)
    assert {row["table_name"]: row for row in _stored(workspace)[0]} == _tables()


def test_it_is_filled_again_when_it_was_made_anew(tmp_path):
    workspace = open_at(tmp_path)
    with workspace.warehouse.write() as connection:
        schema_version.write_statement(connection, "shape.ops_dictionary_column", "of an older version")
    workspace = open_at(tmp_path)
    assert len(_stored(workspace)[1]) == sum(len(table.columns) for table in ALL)


def test_lineage_that_cannot_be_told_stops_nothing(tmp_path, monkeypatch):
    def fail():
        raise LineageError("mart_x: text")

    said = []
    monkeypatch.setattr(lineage, "direct_upstream", fail)
    from rally_pipeline.workspace import open_workspace
    from rally_pipeline_tests.workspaces import settings_for

    workspace = open_workspace(settings_for(tmp_path), tell=said.append)
    assert _stored(workspace) == [[], []]
    assert any("mart_x: text" in line for line in said)
    monkeypatch.undo()
    assert _stored(open_at(tmp_path))[0]


def test_sync_says_whether_it_wrote(tmp_path):
    workspace = open_at(tmp_path)
    with workspace.warehouse.write() as connection:
        assert sync_dictionary(connection, "a", Upstream)
        assert not sync_dictionary(connection, "a", Upstream)
        assert sync_dictionary(connection, "a", Upstream, force=True)


# --- on the command line


def _run(tmp_path, *arguments):
    return run_cli_here(["dictionary", *arguments], environment(tmp_path))


def test_all_tables_in_text(tmp_path):
    done = _run(tmp_path)
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()[2:]} == set(metadata.tables)
    assert not any(tmp_path.iterdir()), "no warehouse is needed, so none is made"


def test_one_table_in_text(tmp_path):
    done = _run(tmp_path, "core_price_daily")
    assert done.returncode == 0
    first, *lines = done.stdout.splitlines()
    assert first.startswith("core_price_daily: Daily bars")
    shown = {line.split()[0] for line in lines if line}
    assert set(metadata.tables["core_price_daily"].columns.keys()) <= shown
    assert "raw_fetch.body:price.close" in done.stdout


def test_json_has_it_all(tmp_path):
    everything = json.loads(_run(tmp_path, "--json").stdout)
    assert {entry["table_name"] for entry in everything} == set(metadata.tables)
    (entry,) = json.loads(_run(tmp_path, "mart_leaderboard_daily", "--json").stdout)
    assert entry in everything
    assert [column["column_name"] for column in entry["columns"]] == list(_columns()["mart_leaderboard_daily"])
    assert isinstance(entry["columns"][0]["upstream"], list)


def test_markdown_is_well_formed(tmp_path):
    lines = _run(tmp_path, "--markdown").stdout.splitlines()
    assert [line.removeprefix("### ") for line in lines if line.startswith("### ")] == list(_tables())
    cells = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in cells} == {7}
    heads = 2 * len(metadata.tables)
    assert len(cells) - heads == sum(len(table.columns) for table in ALL)


def test_wrong_use(tmp_path):
    done = _run(tmp_path, "core_price")
    assert done.returncode == 2
    assert "core_price_daily" in done.stderr
    assert _run(tmp_path, "--json", "--markdown").returncode == 2
