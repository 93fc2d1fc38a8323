"""Declarations: nothing without a description and a rule, names as grammar, one layer prefix; docstrings that say."""

from __future__ import annotations

import ast
import datetime as dt
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

import rally_pipeline
from rally_pipeline.schema import column_info, metadata, table_info, value_columns
from rally_pipeline.schema.declare import (
    VERSION_COLUMNS,
    InTable,
    Matches,
    NoRule,
    OneOf,
    Range,
    UtcDateTime,
    column,
    table,
)

TABLES = list(metadata.tables.values())
COLUMNS = [c for t in TABLES for c in t.columns]
PACKAGE = Path(rally_pipeline.__file__).parent

#: Suffix of a name -> unit its column must have.
_UNITS = {"_pct": "%", "_shares": "shares", "_hkd": "HKD", "_usd": "USD", "_hkd_mn": "HKD mn", "_usd_mn": "USD mn"}


def _ids(item: sa.Table | sa.Column) -> str:  # type: ignore[type-arg]
    return item.name if isinstance(item, sa.Table) else f"{item.table.name}.{item.name}"


@pytest.mark.parametrize("made", TABLES, ids=_ids)
def test_table(made: sa.Table) -> None:
    info = table_info(made)
    assert re.fullmatch(r"(raw|core|mart|ops)_[a-z0-9]+(_[a-z0-9]+)*", made.name)
    assert info.layer == made.name.split("_")[0]
    assert info.description == made.comment
    assert "\n" not in info.description
    assert info.description.endswith(".")
    assert info.grain
    assert info.owner
    primary = [c.name for c in made.primary_key.columns]
    assert primary == [*info.natural_key, *(["known_from_at"] if info.versioned else [])]
    assert not any(c.nullable for c in made.primary_key.columns)
    assert info.date_column is None or isinstance(made.c[info.date_column].type, sa.Date)
    if info.versioned:
        assert info.layer == "core"
        assert set(VERSION_COLUMNS) < set(made.columns.keys())
        assert value_columns(made)


def test_columns_are_described_and_ruled() -> None:
    for made in COLUMNS:
        info = column_info(made)
        assert info.description, _ids(made)
        assert info.description == made.comment
        assert info.rules, _ids(made)
        for rule in info.rules:
            assert not isinstance(rule, NoRule) or rule.why, _ids(made)


@pytest.mark.parametrize("made", COLUMNS, ids=_ids)
def test_names_are_grammar(made: sa.Column) -> None:  # type: ignore[type-arg]
    name, unit = made.name, column_info(made).unit
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
    assert (name.endswith("_date") or name == "month") <= isinstance(made.type, sa.Date)
    assert name.endswith("_at") == isinstance(made.type, UtcDateTime)
    assert name.startswith("is_") == isinstance(made.type, sa.Boolean)
    assert not isinstance(made.type, UtcDateTime) or unit == "UTC"
    suffix = max((s for s in _UNITS if name.endswith(s)), key=len, default=None)
    if suffix is not None and not name.endswith("_per_usd"):
        assert unit.replace("million", "mn") == _UNITS[suffix]
    if unit == "%":
        assert name.endswith("_pct")
    if unit == "shares":
        assert name.endswith("_shares")
    if name.endswith("_ratio"):
        assert unit in ("", "ratio")


def test_rules_fit_types_and_point_to_what_exists() -> None:
    for made in COLUMNS:
        for rule in column_info(made).rules:
            if isinstance(rule, InTable):
                assert made.type.python_type is metadata.tables[rule.table].c[rule.column].type.python_type, _ids(made)
            elif isinstance(rule, Matches | OneOf):
                assert made.type.python_type is str, _ids(made)
                if isinstance(rule, Matches):
                    re.compile(rule.regex)
                elif isinstance(made.type, sa.String) and made.type.length:
                    assert max(map(len, rule.values)) <= made.type.length, _ids(made)
            elif isinstance(rule, Range):
                assert made.type.python_type in (int, float), _ids(made)
                assert rule.low is None or rule.high is None or rule.low < rule.high, _ids(made)


def test_nothing_undeclared_gets_in() -> None:
    for description, rules in (("", (NoRule("x"),)), ("What it is.", ())):
        with pytest.raises(ValueError, match="description and at least one rule"):
            column("a", sa.Text(), description, *rules)
    item = column("a", sa.Text(), "What it is.", NoRule("x"))
    for name, grain in (("other_thing", "row"), ("core_thing_nobody_needs", "")):
        with pytest.raises(ValueError, match=r"not a layer prefix|a grain"):
            table(name, item.copy() if hasattr(item, "copy") else item, description="D.", grain=grain, key=("a",))
    assert "core_thing_nobody_needs" not in metadata.tables


def test_instants_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(dt.datetime.fromisoformat("2024-01-01"), sa.create_engine("sqlite://").dialect)


_MODULES = [p for p in PACKAGE.rglob("*.py") if p.read_text().strip()]


@pytest.mark.parametrize("path", _MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_open_with_what_they_are(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, "no docstring"
    assert text.splitlines()[0].rstrip().endswith((".", ":", ",")) or len(text.splitlines()) > 1
