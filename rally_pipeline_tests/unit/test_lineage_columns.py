"""Column lineage: complete, ending where data enters, the same by a second derivation, refusing what hides it."""

from __future__ import annotations

import ast
import datetime as dt
import json
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

import rally_pipeline.audit
from rally_pipeline.audit.rows import claim_from_row, claim_sha256
from rally_pipeline.catalog import load_catalog
from rally_pipeline.catalog.model import Broker, Catalog, Event, Instrument
from rally_pipeline.errors import UsageError
from rally_pipeline.lineage import (
    ColumnRef,
    LineageError,
    Subtype,
    column_lineage,
    graph,
    lineage_graph,
    table_lineage,
    upstream_of,
)
from rally_pipeline.lineage.audited import JUDGED, audit_lineage
from rally_pipeline.lineage.loaded import loaded_lineage, reference_lineage
from rally_pipeline.lineage.records import Dependency, payload_field, sources
from rally_pipeline.lineage.select_walk import _final_froms, walk
from rally_pipeline.marts import DERIVED, EVERYTHING, Scope, current_inputs
from rally_pipeline.schema import core, metadata, table_info
from rally_pipeline.sources.base import COLUMNS, Dataset
from rally_pipeline.targets import TARGETS, core_frame

MARTS = [name for name, table in metadata.tables.items() if table_info(table).layer == "mart"]
PRICE, INSTRUMENT, EVENT = core.core_price_daily, core.core_instrument, core.core_event
DIALECTS = {"sqlite": sqlite.dialect(paramstyle="named"), "postgres": postgresql.dialect(paramstyle="named")}

#: Columns of marts in which nothing of a payload's body is, by what they come from instead.
NOT_OF_PAYLOADS = {
    # whoever gave it
    ("raw_fetch.source",): {"mart_index_performance_daily.source", "mart_rating_actions.source"},
    # what the catalog calls it
    ("catalog",): {
        *("mart_index_performance_daily.leaderboard", "mart_leaderboard_daily.leaderboard"),
        *("mart_leaderboard_daily.symbol", "mart_leaderboard_daily.name", "mart_price_since_event_daily.event_id"),
        *("mart_southbound_since_event.event_id", "mart_rally_scoreboard.event_id", "mart_rally_scoreboard.symbol"),
        *("mart_rally_scoreboard.event_name", "mart_rally_scoreboard.instrument_name"),
        "mart_rating_actions.instrument_name",
    },
    # days of events, and sessions counted
    ("calendar", "catalog"): {
        *("mart_price_since_event_daily.event_date", "mart_price_since_event_daily.sessions_since_event"),
        *("mart_southbound_since_event.event_date", "mart_rally_scoreboard.event_date"),
        "mart_rally_scoreboard.sessions_since_event",
    },
    # when it was audited, and by which version
    ("run",): {
        *("mart_claim_audit.audited_at", "mart_claim_audit.asked_on_date", "mart_claim_audit.code_version"),
    },
}


def _ref(text: str) -> ColumnRef:
    return ColumnRef(*graph.parse_ref(text))


def _walked(query: sa.Select, name: str = "made_up") -> list[set[tuple[str, str]]]:
    return [{(str(one.source), one.subtype.value) for one in found} for found in walk(query, name).columns]


# --- what there is


@pytest.mark.parametrize("derived", DERIVED, ids=lambda derived: derived.table.name)
def test_every_derived_column_comes_from_declared_columns(derived):
    lineage = column_lineage(derived)
    assert list(lineage) == [column.name for column in derived.table.columns]
    for name, refs in lineage.items():
        assert refs, f"{derived.table.name}.{name} comes from nothing"
        for ref in refs:
            assert ref.column in metadata.tables[ref.table].columns


def test_every_column_of_a_mart_ends_in_payloads_or_is_listed():
    found: dict[tuple[str, ...], set[str]] = {}
    for mart in MARTS:
        for column in metadata.tables[mart].columns:
            roots = lineage_graph().roots(ColumnRef(mart, column.name))
            assert roots, f"{mart}.{column.name} ends nowhere"
            if not any(root.is_payload_field for root in roots):
                ends = tuple(sorted({root.table if root.is_outside else str(root) for root in roots}))
                found.setdefault(ends, set()).add(f"{mart}.{column.name}")
    assert found == NOT_OF_PAYLOADS


def test_every_end_is_an_end_that_is_meant():
    for table, lineage in lineage_graph().tables.items():
        for column, found in lineage.columns.items():
            ref = ColumnRef(table, column)
            assert bool(found) != (ref.is_outside or table == "raw_fetch"), f"{ref} ends here"


def test_known_ways():
    price = "core_price_resolved_daily.close"
    daily = lineage_graph().tables["mart_index_performance_daily"].columns
    assert Dependency(_ref(price), Subtype.TRANSFORMATION) in daily["return_1d_pct"]
    assert daily["close"] == {Dependency(_ref(price), Subtype.IDENTITY)}
    assert {_ref("core_session.year_base_date"), _ref("core_fx_usd_daily.units_per_usd")} <= sources(
        daily["usd_ytd_return_pct"]
    )
    upstream = upstream_of("mart_rally_scoreboard", "return_since_event_pct")
    assert {_ref("core_price_daily.close"), payload_field("price", "close")} <= upstream
    assert _ref("mart_rally_scoreboard.return_since_event_pct") not in upstream
    down = lineage_graph().downstream(payload_field("fx", "rate"), only_values=True)
    assert _ref("mart_southbound_daily.net_buy_usd_mn") in down
    assert _ref("mart_southbound_daily.net_buy_hkd_mn") not in down


def test_every_value_column_of_core_is_of_its_own_field():
    for dataset, target in TARGETS.items():
        columns = loaded_lineage()[target.table.name].columns
        for name in COLUMNS[dataset]:
            stored = target.renames.get(name, name)
            assert payload_field(dataset, name) in sources(columns[stored])


# --- against a second derivation


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("derived", DERIVED, ids=lambda derived: derived.table.name)
def test_agrees_with_sqlglot_on_the_compiled_sql(derived, dialect):
    """What sqlglot finds is part of ours, and each value of ours is found by sqlglot.

    Ours may have more: sqlglot follows what a column's expression names, and neither what chooses the row of a scalar
    subquery, what an EXISTS asks, nor which rows a count(*) counts. Of `EXISTS (SELECT * …)` it takes the star for all
    columns of the table, which says nothing, so the star is taken out before.
    """
    sqlglot = pytest.importorskip("sqlglot", reason="sqlglot is not installed")
    from sqlglot import exp
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    query = derived.select(current_inputs(), EVERYTHING)
    sql = str(query.compile(dialect=DIALECTS[dialect], compile_kwargs={"literal_binds": True}))
    tree = sqlglot.parse_one(sql, dialect=dialect)
    for exists in tree.find_all(exp.Exists):
        exists.this.set("expressions", [exp.Literal.number(1)])
    schema = {name: {c.name: "text" for c in table.columns} for name, table in metadata.tables.items()}
    tree = qualify(tree, schema=schema, dialect=dialect, validate_qualify_columns=False)
    scope = build_scope(tree)
    for name, ours in table_lineage(derived).columns.items():
        node = lineage(name, tree, schema=schema, dialect=dialect, scope=scope, trim_selects=False, copy=False)
        theirs = {
            ColumnRef(at.expression.name, at.name.rpartition(".")[2].strip('"'))
            for at in node.walk()
            if isinstance(at.expression, exp.Table)
        }
        assert theirs <= sources(ours), name
        assert {one.source for one in ours if one.subtype.is_direct} <= theirs, name


@pytest.mark.parametrize("derived", DERIVED, ids=lambda derived: derived.table.name)
def test_a_part_is_computed_from_the_same_columns(derived):
    """With a start, a table may look rows up in other ways, or in itself, but its values come from the same columns."""
    own = derived.table.name
    part = table_lineage(derived, Scope(None, dt.date(2025, 1, 2)))
    for name, whole in table_lineage(derived).columns.items():
        values = {one.source for one in part.columns[name] if one.subtype.is_direct and one.source.table != own}
        assert values <= sources(whole), name


@pytest.mark.parametrize("derived", DERIVED, ids=lambda derived: derived.table.name)
def test_the_froms_are_those_of_sqlalchemy(derived):
    query = derived.select(current_inputs(), EVERYTHING)
    assert list(_final_froms(query)) == list(query.get_final_froms())


# --- made-up selects


def test_kinds_of_dependency():
    price, other = PRICE.alias("p"), INSTRUMENT.alias("i")
    inner = (
        sa.select(
            price.c.symbol,
            sa.func.sum(price.c.volume_shares).label("volume"),
            sa.func.row_number().over(partition_by=price.c.symbol, order_by=price.c.close.desc()).label("no"),
            sa.case((price.c.is_flat_bar, price.c.open), else_=price.c.close).label("chosen"),
        )
        .group_by(price.c.symbol)
        .having(sa.func.count(price.c.turnover) > 1)
        .cte("inner")
        .prefix_with("MATERIALIZED")
    )
    again = inner.alias("again")
    query = (
        sa.select(
            again.c.symbol.label("a"),
            (again.c.volume / 2).label("b"),
            again.c.no.label("c"),
            sa.type_coerce(again.c.chosen, sa.Text()).label("d"),
            sa.cast(other.c.name, sa.Text).label("e"),
            sa.func.count().filter(other.c.kind == "share").label("f"),
        )
        .select_from(again.outerjoin(other, other.c.symbol == again.c.symbol))
        .where(other.c.market == "HK")
        .group_by(again.c.symbol)
    )
    a, b, c, d, e, f = _walked(query)
    assert a == {("core_price_daily.symbol", "IDENTITY")}
    assert b == {("core_price_daily.volume_shares", "AGGREGATION")}
    assert c == {("core_price_daily.symbol", "WINDOW"), ("core_price_daily.close", "WINDOW")}
    assert d == {
        ("core_price_daily.is_flat_bar", "CONDITIONAL"),
        ("core_price_daily.open", "TRANSFORMATION"),
        ("core_price_daily.close", "TRANSFORMATION"),
    }
    assert e == {("core_instrument.name", "TRANSFORMATION")}
    rows = {(str(one.source), one.subtype.value) for one in walk(query, "made_up").rows}
    assert rows == {
        ("core_price_daily.symbol", "GROUP_BY"),
        ("core_price_daily.turnover", "FILTER"),
        ("core_price_daily.symbol", "JOIN"),
        ("core_instrument.symbol", "JOIN"),
        ("core_instrument.market", "FILTER"),
    }
    assert f == rows | {("core_instrument.kind", "CONDITIONAL")}


def test_scalar_subqueries_and_exists_are_chosen_by_their_conditions():
    price, event = PRICE.alias("p"), EVENT.alias("e")
    last = (
        sa.select(price.c.close)
        .where(price.c.session_date < event.c.event_date)
        .order_by(price.c.session_date.desc())
        .limit(1)
        .correlate(event)
        .scalar_subquery()
    )
    is_listed = sa.exists().where(INSTRUMENT.c.listing_date < event.c.event_date)
    found, flag, within = _walked(
        sa.select(
            last.label("a"),
            sa.case((is_listed, 1), else_=0).label("b"),
            event.c.event_id.in_(sa.select(INSTRUMENT.c.name)).label("c"),
        )
    )
    assert found == {
        ("core_price_daily.close", "IDENTITY"),
        ("core_price_daily.session_date", "FILTER"),
        ("core_event.event_date", "FILTER"),
        ("core_price_daily.session_date", "SORT"),
    }
    assert flag == {("core_instrument.listing_date", "CONDITIONAL"), ("core_event.event_date", "CONDITIONAL")}
    assert within == {("core_event.event_id", "TRANSFORMATION"), ("core_instrument.name", "TRANSFORMATION")}


def test_unions_and_recursion_are_followed_to_the_end():
    # each round hands a column on to the next one, so the first ends with all three
    base = sa.select(
        PRICE.c.open.label("x"), PRICE.c.high.label("y"), PRICE.c.low.label("z"), sa.literal(1).label("n")
    ).cte("rounds", recursive=True)
    rounds = base.union_all(sa.select(base.c.y, base.c.z, base.c.z, base.c.n + 1).where(base.c.n < 3))
    x, y, z = _walked(sa.select(rounds.c.x, rounds.c.y, rounds.c.z))
    assert {ref for ref, _ in x} == {"core_price_daily.open", "core_price_daily.high", "core_price_daily.low"}
    assert {ref for ref, _ in y} == {"core_price_daily.high", "core_price_daily.low"}
    assert {ref for ref, _ in z} == {"core_price_daily.low"}

    either = sa.union(
        sa.select(PRICE.c.symbol, sa.literal("price").label("what")).where(PRICE.c.close > 0),
        sa.select(INSTRUMENT.c.symbol, sa.literal("instrument")),
    ).subquery()
    symbol, what = _walked(sa.select(either))
    assert symbol == {("core_price_daily.symbol", "IDENTITY"), ("core_instrument.symbol", "IDENTITY")}
    assert what == {("core_price_daily.close", "FILTER")}, "a constant is decided by the branch it stands in"


_STRANGE = sa.Table("not_declared", sa.MetaData(), sa.Column("x", sa.Integer))


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (sa.select(sa.text("core_price_daily.close")).select_from(PRICE), "text"),
        (sa.select(sa.literal_column("close")).select_from(PRICE), "literal_column"),
        (sa.select((PRICE.c.open + sa.literal_column("close")).label("x")), "literal_column"),
        (sa.select(PRICE.c.close).where(sa.text("close > 1")), "text"),
        (sa.select(PRICE.c.close).order_by("close"), "text"),
        (sa.select(PRICE.c.close).prefix_with("DISTINCT"), "prefixes"),
        (sa.select(sa.select(sa.literal_column("close")).select_from(PRICE).subquery().c[0]), "literal_column"),
        (sa.select(sa.func.max(sa.literal_column("*"))).select_from(PRICE), "column of no table"),
        (sa.select(sa.column("close")).select_from(PRICE), "column of no table"),
        (sa.select(_STRANGE.c.x), "not a declared table"),
        (sa.select(sa.func.percentile_cont(0.5).within_group(PRICE.c.close)), "WithinGroup"),
        (sa.select(sa.except_(sa.select(PRICE.c.symbol), sa.select(INSTRUMENT.c.symbol)).subquery()), "EXCEPT"),
        (sa.select(sa.func.json_each(PRICE.c.locator).table_valued("value").c.value), "Function"),
    ],
)
def test_what_hides_columns_is_refused_by_name(query, why):
    with pytest.raises(LineageError, match=rf"^mart_made_up: .*{why}"):
        walk(query, "mart_made_up")


@pytest.mark.parametrize("derived", DERIVED, ids=lambda derived: derived.table.name)
def test_no_mart_holds_text(derived):
    query = derived.select(current_inputs(), EVERYTHING)
    walk(query, derived.table.name)
    # and would be refused if it did, wherever in it
    with pytest.raises(LineageError, match=f"^{derived.table.name}: "):
        walk(sa.select(query.subquery()).where(sa.text("1 = 1")), derived.table.name)


# --- what is declared, held to the code


def test_reference_tables_end_in_fields_that_exist():
    fields = {
        "instruments": set(Instrument.model_fields),
        "brokers": set(Broker.model_fields),
        "events": set(Event.model_fields),
        "calendars": {name for name in Catalog.model_fields if name.startswith("calendar_")},
    }
    found = reference_lineage()
    assert set(found) == {table.name for table in core.REFERENCE}
    for lineage in found.values():
        assert list(lineage.columns) == [column.name for column in metadata.tables[lineage.table].columns]
        for ref in sources(frozenset().union(*lineage.columns.values())):
            if ref.table == "catalog":
                file, field = ref.column.split(".")
                assert field in fields[file], ref
            else:
                assert ref.table == "calendar"
                assert ref.column in core.core_session.columns, ref
    assert (Path(rally_pipeline.__file__).parent / "catalog" / "instruments.yaml").exists()
    assert load_catalog().instruments


def test_flat_bars_are_computed_from_the_fields_declared():
    fields = {ref.column.split(".")[1] for ref in sources(loaded_lineage()["core_price_daily"].columns["is_flat_bar"])}
    prices = [f"{prefix}{name}" for prefix in ("", "adj_") for name in ("open", "high", "low", "close")]
    deciding = set()
    for given in ("", "adj_"):
        row = {name: 1.0 if name.startswith("adj_") == bool(given) else float("nan") for name in prices}
        row |= {"volume": 0.0, "turnover": 1.0, "dividend": 0.0, "split_ratio": 1.0}
        assert core_frame(Dataset.PRICE, pd.DataFrame([row]))["is_flat_bar"].all()
        for name, value in row.items():
            changed = pd.DataFrame([{**row, name: value + 1}])
            if not core_frame(Dataset.PRICE, changed)["is_flat_bar"].all():
                deciding.add(name)
    assert deciding == fields


def _claim_row() -> dict[str, object]:
    row: dict[str, object] = {}
    for column in metadata.tables["core_note_claim"].columns:
        kind = column.type.python_type if not hasattr(column.type, "impl") else str
        row[column.name] = {
            str: "x",
            int: 1,
            float: 1.5,
            bool: False,
            dt.date: dt.date(2025, 2, 14),
        }.get(kind, "x")
    return row | {
        "claim_type": "performance",
        "direction": "up",
        "comparator": "eq",
        "as_of_basis": "stated",
        "source_kind": "broker",
        "quote_kind": "direct",
        "window_kind": "day",
        "details": "{}",
    }


def test_the_claim_fields_of_the_audit_are_those_its_hash_is_over():
    row = _claim_row()
    other = {
        "claim_type": "level",
        "direction": "down",
        "comparator": "approx",
        "as_of_basis": "file_time",
        "source_kind": "speaker",
        "quote_kind": "none",
        "window_kind": "trailing",
        "details": json.dumps({"a": 1}),
    }
    before = claim_sha256(claim_from_row(row))
    deciding = set()
    for name, value in row.items():
        changed = other.get(name)
        if changed is None:
            changed = not value if isinstance(value, bool) else f"{value}y" if isinstance(value, str) else value
            changed = value + dt.timedelta(1) if isinstance(value, dt.date) else changed
            changed = value + 1 if isinstance(value, int | float) and not isinstance(value, bool) else changed
        if claim_sha256(claim_from_row({**row, name: changed})) != before:
            deciding.add(name)
    assert deciding == {ref.column for ref in JUDGED}


def test_the_audit_reads_the_tables_declared():
    lineage = audit_lineage()
    assert list(lineage.columns) == [column.name for column in metadata.tables["mart_claim_audit"].columns]
    read = set()
    for path in Path(rally_pipeline.audit.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in metadata.tables:
                read.add(node.attr)
    named = {one.source.table for one in lineage.rows.union(*lineage.columns.values()) if not one.source.is_outside}
    assert named == read - {"mart_claim_audit"}


# --- asked and exported


def test_questions_that_cannot_be_answered():
    with pytest.raises(UsageError, match="no table 'nope'"):
        list(graph.lines("nope"))
    with pytest.raises(UsageError, match=r"no column 'mart_positioning\.nope'"):
        list(graph.lines("mart_positioning.nope"))
    with pytest.raises(UsageError, match=r"give TABLE\.COLUMN"):
        graph.lines("mart_positioning", down=True)


def test_the_tree_goes_to_the_ends_and_says_how():
    lines = list(graph.lines("mart_southbound_daily.net_buy_usd_mn"))
    assert lines[:4] == [
        "mart_southbound_daily.net_buy_usd_mn",
        "├─ core_fx_usd_daily.units_per_usd  (computed)",
        "│  └─ core_fx_daily.rate  (computed)",
        "│     └─ raw_fetch.body:fx.rate",
    ]
    values = list(graph.lines("mart_southbound_daily.net_buy_usd_mn", only_values=True))
    assert not any("(condition" in line for line in values)
    assert "mart_southbound_daily.net_buy_usd_mn" in "\n".join(graph.lines("raw_fetch.body:fx.rate", down=True))
    assert any("from core_fx_usd_daily" in line for line in graph.lines("mart_southbound_daily"))
    assert len(list(graph.lines(None))) == len(lineage_graph().tables)
    for text in ("catalog:instruments.symbol", "raw_fetch.body:price.close", "calendar:session_date", "run:clock"):
        assert str(_ref(text)) == text


def test_edges_as_rows():
    rows = graph.edge_rows("mart_southbound_daily.net_buy_usd_mn", only_values=True)
    assert {(row["table"], row["from_column"]) for row in rows} >= {
        ("mart_southbound_daily", "units_per_usd"),
        ("core_fx_daily", "body:fx.rate"),
    }
    assert {row["type"] for row in rows} == {"DIRECT"}
    everything = graph.edge_rows(None)
    names = set(lineage_graph().tables)
    assert {row["table"] for row in everything} | {row["from_table"] for row in everything} == names
    assert {row["column"] for row in graph.edge_rows("mart_positioning")} > {"*", "stance"}
    down = graph.edge_rows("core_fx_daily.rate", down=True)
    assert {row["from_table"] for row in down if row["table"] == "core_fx_usd_daily"} == {"core_fx_daily"}
