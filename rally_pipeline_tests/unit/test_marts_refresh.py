"""What a change makes stale, and what a refresh then does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from rally_pipeline.errors import UsageError
from rally_pipeline.marts import DERIVED, EVERYTHING, Scope, current_inputs, mark_all_stale, mark_stale, refresh
from rally_pipeline.marts.refresh import ALWAYS, _near, downstream
from rally_pipeline.schema import core, metadata
from rally_pipeline.schema.ops import ops_stale

MARCH = dt.date(2025, 3, 5)
APRIL = dt.date(2025, 4, 7)
_NAMES = [derived.table.name for derived in DERIVED]


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        for symbol, currency in (("AAA", "HKD"), ("BBB", "EUR")):
            connection.execute(
                sa.insert(core.core_instrument).values(
                    symbol=symbol, name=symbol, market="HK", currency=currency, kind="share"
                )
            )
        yield connection
    engine.dispose()


def _marks(connection: sa.Connection, table: str) -> dict[str, dt.date]:
    rows = connection.execute(
        sa.select(ops_stale.c.subject, ops_stale.c.from_date).where(ops_stale.c.table_name == table)
    )
    return dict(rows.all())


def test_tables_stand_after_what_they_depend_on() -> None:
    names = [derived.table.name for derived in DERIVED]
    for at, derived in enumerate(DERIVED):
        assert not set(derived.inputs) & set(names[at:])


def test_definitions_have_the_columns_of_their_tables() -> None:
    for derived in DERIVED:
        for scope in (EVERYTHING, Scope(("AAA",), MARCH)):
            selected = derived.select(current_inputs(), scope)
            assert [c.name for c in selected.selected_columns] == [c.name for c in derived.table.columns]
            for got, declared in zip(selected.selected_columns, derived.table.columns, strict=True):
                assert got.type._type_affinity is declared.type._type_affinity, f"{declared}"


def test_a_price_makes_all_behind_it_stale(connection: sa.Connection) -> None:
    mark_stale(connection, {"core_price_daily": {"AAA": MARCH}})
    mark_stale(connection, {"core_price_daily": {"AAA": APRIL, "BBB": APRIL}})
    stale = {derived.table.name for derived in downstream("core_price_daily")}
    of_flows = {"ops_reconciliation", *(name for name in _NAMES if "southbound" in name)}
    assert stale == set(_NAMES) - {"core_fx_usd_daily", "mart_positioning"} - of_flows
    assert _marks(connection, "mart_price_extremes_daily") == {"AAA": MARCH, "BBB": APRIL}
    assert _marks(connection, "mart_trading_volume_monthly") == {
        "AAA": dt.date(2025, 3, 1),
        "BBB": dt.date(2025, 4, 1),
    }


def test_a_rate_makes_instruments_of_its_currency_stale(connection: sa.Connection) -> None:
    mark_stale(connection, {"core_fx_daily": {"HKD": MARCH}})
    assert _marks(connection, "core_fx_usd_daily") == {"HKD": MARCH}
    assert _marks(connection, "mart_index_performance_daily") == {"AAA": MARCH}
    assert _marks(connection, "mart_price_extremes_daily") == {}


def test_a_dollar_rate_makes_all_stale_and_absorbs_later_marks(connection: sa.Connection) -> None:
    mark_stale(connection, {"core_fx_daily": {"HKD": APRIL}})
    mark_stale(connection, {"core_fx_daily": {"USD": MARCH}})
    assert _marks(connection, "core_fx_usd_daily") == {"*": MARCH}
    assert _marks(connection, "mart_index_performance_daily") == {"*": MARCH}


def test_unknown_names_are_refused(connection: sa.Connection) -> None:
    with pytest.raises(UsageError, match="nothing is derived"):
        mark_stale(connection, {"core_flow": {"*": MARCH}})
    with pytest.raises(UsageError, match="not a derived table"):
        refresh(connection, tables=["mart_nothing"])


def test_only_the_tables_asked_for_are_refreshed(connection: sa.Connection) -> None:
    mark_all_stale(connection)
    seen: list[str] = []
    done = refresh(connection, tables=["core_fx_usd_daily"], progress=lambda entry: seen.append(entry.table))
    assert [entry.table for entry in done] == seen == ["core_fx_usd_daily"]
    assert done[0].start is None
    assert _marks(connection, "core_fx_usd_daily") == {}
    assert _marks(connection, "mart_leaderboard_daily") == {"*": ALWAYS}


def test_what_is_computed_from_a_table_that_is_behind_stays_behind(connection: sa.Connection) -> None:
    mark_all_stale(connection)
    (done,) = refresh(connection, tables=["mart_rating_actions"])
    assert done.table == "mart_rating_actions"
    assert _marks(connection, "mart_rating_actions") == {"*": ALWAYS}, "its prices are still to be computed"
    refresh(connection, tables=["core_price_resolved_daily", "mart_rating_actions"])
    assert _marks(connection, "mart_rating_actions") == {}


def test_many_starts_need_few_statements() -> None:
    starts = [(MARCH + dt.timedelta(days=n * 9), [f"S{n}"]) for n in range(40)]
    groups = _near(starts)
    assert len(groups) <= 8
    assert sorted(s for _, group in groups for s in group) == sorted(f"S{n}" for n in range(40))
    first = {group[0]: start for start, group in starts}
    assert all(start <= first[s] for start, group in groups for s in group)
