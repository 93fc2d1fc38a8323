"""Derived tables as they would have been at a past instant: the same definitions over facts as known then.

Nothing is defined here a second time; only what the definitions read is exchanged, and what they look up row by row is
put into temporary tables with the primary key they expect. Reference tables (catalog, calendars) are today's.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from rally_pipeline.marts.flows import SERVES_FLOWS, flow_inputs_as_of
from rally_pipeline.marts.in_bulk import fill, is_in_bulk
from rally_pipeline.marts.inputs import EVERYTHING, Derived, Inputs, current_inputs
from rally_pipeline.marts.refresh import DERIVED
from rally_pipeline.schema import core, core_notes, mart
from rally_pipeline.warehouse.asof import as_of

#: Which input of a definition a derived table serves.
_SERVES = {
    core.core_price_resolved_daily.name: "prices",
    core.core_fx_usd_daily.name: "fx_usd",
    mart.mart_index_performance_daily.name: "index_performance",
    mart.mart_trading_volume_monthly.name: "volume_monthly",
    **SERVES_FLOWS,
}


def derived_as_of(connection: sa.Connection, name: str, at: dt.datetime) -> sa.Table:
    """A temporary table with the rows of derived table `name` as of `at` (aware); it goes with the connection, which
    must be one that can make them (``Warehouse.read(scratch=True)``).

    Raises:
        KeyError: no such derived table.
    """
    return derived_chain_as_of(connection, name, at)[name]


def derived_chain_as_of(connection: sa.Connection, name: str, at: dt.datetime) -> dict[str, sa.Table]:
    """As `derived_as_of`, with every derived table that `name` is computed from, by name.

    Raises:
        KeyError: no such derived table.
    """
    by_name = {derived.table.name: derived for derived in DERIVED}
    wanted = by_name[name]
    chain: dict[str, sa.Table] = {}
    inputs = current_inputs().replace(
        prices_raw=as_of(core.core_price_daily, at),
        fx_raw=as_of(core.core_fx_daily, at),
        notes_raw=as_of(core_notes.core_note, at),
        note_claims_raw=as_of(core_notes.core_note_claim, at),
        rating_actions_raw=as_of(core_notes.core_rating_action, at),
        **flow_inputs_as_of(at),
    )
    needed = _needed(wanted, by_name)
    for derived in DERIVED:
        if derived.table.name not in needed:
            continue
        made = chain[derived.table.name] = materialise(connection, derived, inputs)
        if derived is wanted:
            return chain
        if derived.table.name in _SERVES:
            inputs = inputs.replace(**{_SERVES[derived.table.name]: made})
    raise AssertionError(f"{name} was not reached")


def _needed(wanted: Derived, by_name: dict[str, Derived]) -> set[str]:
    needed, todo = {wanted.table.name}, [wanted]
    while todo:
        for name in todo.pop().inputs:
            if name in by_name and name not in needed:
                needed.add(name)
                todo.append(by_name[name])
    return needed


def materialise(connection: sa.Connection, derived: Derived, inputs: Inputs) -> sa.Table:
    """A temporary table with all rows that the definition gives over these inputs; it goes with the connection."""
    table = derived.table.to_metadata(sa.MetaData(), name=f"asof_{derived.table.name}")
    table.indexes.clear()
    for constraint in list(table.constraints):
        constraint.name = None
    for column in table.columns:
        column.comment = None
    table.comment = None
    table._prefixes = ["TEMPORARY"]
    table.drop(connection, checkfirst=False) if _exists(connection, table) else None
    table.create(connection, checkfirst=False)
    if is_in_bulk(derived, EVERYTHING):
        fill(connection, derived, inputs, EVERYTHING, table)
    else:
        names = [column.name for column in table.columns]
        connection.execute(sa.insert(table).from_select(names, derived.select(inputs, EVERYTHING)))
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ANALYZE {table.name}")
    return table


def _exists(connection: sa.Connection, table: sa.Table) -> bool:
    return table.name in sa.inspect(connection).get_temp_table_names()
