"""Every derived table about flows on both engines: against the independent computation, and refreshed parts against
the whole."""

from __future__ import annotations

import datetime as dt
import functools
import random
from collections.abc import Iterator

import pandas as pd
import pytest
import sqlalchemy as sa

from rally_pipeline.marts import DERIVED, EVERYTHING, Scope, current_inputs, mark_all_stale, mark_stale, refresh
from rally_pipeline.marts.flows import DERIVED_FLOWS
from rally_pipeline.schema import core_flows, metadata
from rally_pipeline.schema.ops import ops_stale
from rally_pipeline_tests import oracle, oracle_flows

Row = oracle.Row
#: Tables of facts, and their date.
_FACTS = {
    "core_southbound_flow_daily": "session_date",
    "core_southbound_top_stock_daily": "session_date",
    "core_market_turnover_daily": "session_date",
    "core_broker_flow": "period_end",
    "core_price_daily": "session_date",
    "core_fx_daily": "rate_date",
}
_SUBJECTS = {"core_price_daily": "symbol", "core_fx_daily": "quote_currency"}


@functools.cache
def _world(seed: int) -> oracle.World:
    return oracle_flows.random_world(seed)


@functools.cache
def _expected(seed: int) -> dict[str, pd.DataFrame]:
    return oracle_flows.compute(_world(seed))


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(warehouse_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _stored(connection: sa.Connection, table: sa.Table) -> pd.DataFrame:
    return oracle.frame(table.name, connection.execute(sa.select(table)).mappings())


def _assert_whole(connection: sa.Connection) -> None:
    """What is stored is what each definition gives as a whole, computed from the tables as they stand."""
    for derived in DERIVED_FLOWS:
        name = derived.table.name
        whole = oracle.frame(name, connection.execute(derived.select(current_inputs(), EVERYTHING)).mappings())
        oracle.assert_same(name, _stored(connection, derived.table), whole, relative=1e-12)


def test_definitions_have_the_columns_of_their_tables() -> None:
    names = [derived.table.name for derived in DERIVED]
    for derived in DERIVED_FLOWS:
        assert not set(derived.inputs) & set(names[names.index(derived.table.name) :])
        assert set(derived.inputs) <= set(metadata.tables)
        for scope in (EVERYTHING, Scope(None, dt.date(2025, 3, 5))):
            selected = derived.select(current_inputs(), scope)
            assert [c.name for c in selected.selected_columns] == [c.name for c in derived.table.columns]
            for got, declared in zip(selected.selected_columns, derived.table.columns, strict=True):
                assert got.type._type_affinity is declared.type._type_affinity, f"{declared}"


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_all_of_history_is_as_computed_by_hand(connection: sa.Connection, seed: int) -> None:
    _world(seed).write(connection)
    mark_all_stale(connection)
    refresh(connection)
    for derived in DERIVED_FLOWS:
        got = _stored(connection, derived.table)
        assert len(got) > 0
        oracle.assert_same(derived.table.name, got, _expected(seed)[derived.table.name])
    causes = set(_expected(seed)["ops_reconciliation"]["suspected_cause"])
    assert causes == {
        *("none", "unit_tenfold", "currency", "stale_repeat", "restatement", "missing_session", "unknown")
    }
    assert connection.scalar(sa.select(sa.func.count()).select_from(ops_stale)) == 0
    assert refresh(connection) == []


def _change(connection: sa.Connection, rng: random.Random, latest: bool) -> dict[str, dict[str, dt.date]]:
    """Changes some believed rows, takes some away; says which."""
    found: dict[str, dict[str, dt.date]] = {}
    values = {
        "core_southbound_flow_daily": ("buy_hkd_mn", lambda: rng.choice((None, 100.0 * rng.randint(1, 99)))),
        "core_southbound_top_stock_daily": ("buy_hkd", lambda: rng.choice((None, 5e8))),
        "core_market_turnover_daily": ("turnover_hkd_mn", lambda: rng.uniform(1e5, 2e5)),
        "core_broker_flow": ("value", lambda: rng.uniform(1e3, 2e4)),
        "core_price_daily": ("close", lambda: rng.uniform(1, 80)),
        "core_fx_daily": ("rate", lambda: rng.uniform(1, 8)),
    }
    for name, day in _FACTS.items():
        table = metadata.tables[name]
        query = sa.select(table).where(table.c.known_to_at.is_(None)).order_by(table.c[day].desc(), *table.primary_key)
        rows = [dict(row) for row in connection.execute(query).mappings()]
        rows = rows[:20] if latest else rows
        often = 6 if name == "core_southbound_flow_daily" else 2
        for row in rng.sample(rows, rng.randint(0, often)):
            where = [table.c[key.name] == row[key.name] for key in table.primary_key.columns]
            if rng.random() < 0.5:
                # a whole day at a time, so that sessions go missing
                gone = where if rng.random() < 0.5 else [table.c[day] == row[day]]
                if name != "core_southbound_flow_daily":
                    gone = where
                connection.execute(sa.delete(table).where(*gone))
            else:
                column, value = values[name]
                connection.execute(sa.update(table).where(*where).values({column: value()}))
            subject = row[_SUBJECTS.get(name, "source")]
            marks = found.setdefault(name, {})
            marks[subject] = min(row[day], marks.get(subject, row[day]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_refreshing_what_changed_gives_the_whole(connection: sa.Connection, seed: int) -> None:
    rng = random.Random(seed)
    _world(1).write(connection)
    mark_all_stale(connection)
    refresh(connection)
    for step in range(4):
        mark_stale(connection, _change(connection, rng, latest=step % 2 == 0))
        refresh(connection)
        _assert_whole(connection)


@pytest.mark.slow
def test_growing_day_by_day_gives_the_whole(connection: sa.Connection) -> None:
    """A warehouse that was filled in steps, each refreshed, is the one that was filled at once. After the fourth step
    sessions turn out to be missing that came before the days it brings."""
    world = _world(2)
    rest = oracle.World()
    rest.tables |= {k: v for k, v in world.tables.items() if k not in _FACTS}
    rest.write(connection)
    steps = [
        dt.date(2019, 11, 1),
        dt.date(2020, 3, 5),
        dt.date(2021, 1, 4),
        *(dt.date(2021, 6, n) for n in range(16, 31)),
    ]
    for begin, end in zip(steps, [*steps[1:], dt.date(2021, 9, 1)], strict=True):
        part = oracle.World()
        changes: dict[str, dict[str, dt.date]] = {}
        for name, day in _FACTS.items():
            part.tables[name] = [row for row in world.tables[name] if begin <= row[day] < end]
            for row in part.tables[name]:
                marks, subject = changes.setdefault(name, {}), row[_SUBJECTS.get(name, "source")]
                marks[subject] = min(row[day], marks.get(subject, row[day]))
        part.write(connection)
        mark_stale(connection, changes)
        refresh(connection)
    for derived in DERIVED_FLOWS:
        oracle.assert_same(derived.table.name, _stored(connection, derived.table), _expected(2)[derived.table.name])


def test_later_figures_make_sessions_before_them_missing(connection: sa.Connection) -> None:
    days = [dt.date(2025, 2, n) for n in (10, 11, 12, 13, 14)]
    world = oracle.World()
    world.tables["core_session"] = oracle.session_rows("SOUTHBOUND", days)
    world.tables["core_southbound_flow_daily"] = [oracle_flows.flow_row("sse", days[0], "hkex", 3.0, 1.0)]
    world.write(connection)
    mark_all_stale(connection)
    refresh(connection)
    checks = metadata.tables["ops_reconciliation"]
    missing = sa.select(checks.c.period_end).where(checks.c.suspected_cause == "missing_session")
    assert connection.scalars(missing).all() == []
    flow = core_flows.core_southbound_flow_daily
    connection.execute(sa.insert(flow), [oracle_flows.flow_row("sse", days[3], "hkex", 3.0, 1.0)])
    mark_stale(connection, {"core_southbound_flow_daily": {"sse": days[3]}})
    refresh(connection)
    assert sorted(connection.scalars(missing)) == days[1:3]


def test_flows_say_nothing_about_prices(connection: sa.Connection) -> None:
    mark_stale(connection, {"core_southbound_flow_daily": {"sse": dt.date(2025, 2, 14), "total": dt.date(2025, 2, 13)}})
    marks = connection.execute(sa.select(ops_stale.c.table_name, ops_stale.c.subject, ops_stale.c.from_date)).all()
    assert {table for table, _, _ in marks} == {
        d.table.name for d in DERIVED_FLOWS if d.table.name != "core_southbound_resolved_daily"
    } | {"core_southbound_resolved_daily"}
    assert {subject for _, subject, _ in marks} == {"*"}
    starts = {table: day for table, _, day in marks}
    assert starts["mart_southbound_daily"] == dt.date(2025, 2, 13)
    assert starts["mart_southbound_best_window_monthly"] == dt.date(2025, 2, 1)
    assert starts["mart_rally_scoreboard"] == dt.date.min


#: Southbound buy and sell, HK$ mn: Shanghai, Shenzhen.
_FEBRUARY_2025 = {
    5: (23911.09, 25638.67, 14856.94, 18429.40),
    6: (28716.99, 23587.08, 19879.74, 15948.85),
    7: (37009.00, 34709.36, 23859.03, 25091.62),
    10: (40513.29, 29998.44, 25528.20, 19575.22),
    11: (30666.74, 32363.36, 17359.20, 24560.69),
    12: (40103.30, 34183.85, 23666.26, 22074.13),
    13: (50908.47, 48573.37, 28146.86, 31505.62),
    14: (49206.90, 45163.45, 32507.07, 28837.56),
    17: (65198.81, 57528.40, 40522.70, 37421.03),
}


def test_net_buy_since_the_reopening_of_2025(connection: sa.Connection) -> None:
    days = [dt.date(2025, 1, 27), *(dt.date(2025, 2, n) for n in (*_FEBRUARY_2025, 18))]
    world = oracle.World()
    world.tables["core_session"] = oracle.session_rows("SOUTHBOUND", days)
    for n, (*sse, a, b) in _FEBRUARY_2025.items():
        for channel, (buy, sell) in (("sse", sse), ("szse", (a, b))):
            row = oracle_flows.flow_row(channel, dt.date(2025, 2, n), "hkex", buy, sell)
            world.tables["core_southbound_flow_daily"].append(row)
    for n, dollar, hkd in ((14, 1.0478, 8.1554), (17, 1.0473, 8.1481)):
        for quote, rate in (("USD", dollar), ("HKD", hkd)):
            world.tables["core_fx_daily"].append(oracle.fx_row("EUR", quote, dt.date(2025, 2, n), "ecb", rate))
    world.tables["core_event"].append(
        {"event_id": "new_year", "name": "New Year", "event_date": dt.date(2025, 2, 5), "until_date": None}
    )
    world.write(connection)
    mark_all_stale(connection)
    refresh(connection)
    since = metadata.tables["mart_southbound_since_event"]
    rows = {row["session_date"].day: row for row in connection.execute(sa.select(since)).mappings()}
    assert rows[14]["sessions_since_event"] == 8
    assert rows[14]["net_buy_hkd_mn"] == pytest.approx(26598.41, abs=1e-6)
    assert rows[14]["net_buy_usd_mn"] == pytest.approx(3417.34, abs=0.01)
    # the published parts are 0.32 apart from the sums of the published days, in opposite directions
    assert rows[14]["net_buy_sse_hkd_mn"] == pytest.approx(26817.88, abs=0.5)
    assert rows[14]["net_buy_szse_hkd_mn"] == pytest.approx(-219.47, abs=0.5)
    assert rows[17]["net_buy_hkd_mn"] == pytest.approx(37370.49, abs=1e-6)
