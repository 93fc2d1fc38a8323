"""Lineage of what is loaded and of the reference tables: which field of a payload or of the catalog a column holds.

Facts are mapped by what loads them: the datasets' fields and the renames of `targets.py`. What the loader adds, and the
reference tables, which `warehouse/reference.py` writes by code, are declared here; tests hold both to the code. Belongs
here: those mappings. Does not belong here: tables that are a select (`columns.py`) or an audit (`audited.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from rally_pipeline.lineage.records import (
    CALENDAR,
    CATALOG,
    RAW,
    ColumnRef,
    Dependencies,
    Dependency,
    LineageError,
    Subtype,
    TableLineage,
    payload_field,
)
from rally_pipeline.schema import core
from rally_pipeline.sources.base import COLUMNS, Dataset
from rally_pipeline.targets import TARGETS, Target

#: Columns that every load sets, and what of the fetch they hold.
_OF_FETCH: Mapping[str, tuple[str, Subtype]] = {
    "source": ("source", Subtype.IDENTITY),
    "payload_id": ("payload_id", Subtype.IDENTITY),
    "known_from_at": ("known_at", Subtype.IDENTITY),
    # that of the delivery that said something else
    "known_to_at": ("known_at", Subtype.TRANSFORMATION),
}
#: Columns that are computed from the fields of a row on the way in.
_COMPUTED: Mapping[Dataset, Mapping[str, tuple[str, ...]]] = {
    Dataset.PRICE: {
        "is_flat_bar": (*("open", "high", "low", "close"), *("adj_open", "adj_high", "adj_low", "adj_close"), "volume")
    }
}
#: Columns whose field is changed on the way in.
_CHANGED = frozenset({(Dataset.PRICE, "split_ratio")})

_INSTRUMENT, _BROKER, _EVENT = "instruments", "brokers", "events"
_DAY = ColumnRef(CALENDAR, "session_date")
_OVERRIDES = (ColumnRef(CATALOG, "calendars.calendar_overrides"), ColumnRef(CATALOG, "calendars.calendar_extensions"))


def _same(table: sa.Table, entries: str, **others: str) -> dict[str, Dependencies]:
    """Every column from the field of that name, or the one of `others`."""
    return {
        column.name: _from(ColumnRef(CATALOG, f"{entries}.{others.get(column.name, column.name)}"))
        for column in table.columns
    }


def _from(*refs: ColumnRef, by: Subtype = Subtype.IDENTITY) -> Dependencies:
    return frozenset(Dependency(ref, by) for ref in refs)


def _sessions() -> dict[str, Dependencies]:
    day = _from(_DAY) | _from(*_OVERRIDES, by=Subtype.FILTER)
    follows = _from(_DAY, by=Subtype.TRANSFORMATION) | _from(*_OVERRIDES, by=Subtype.FILTER)
    told = {
        "market": _from(ColumnRef(CALENDAR, "market")),
        "session_date": day,
        **{
            name: _from(ColumnRef(CALENDAR, name)) | _from(*_OVERRIDES, by=Subtype.CONDITIONAL)
            for name in ("is_half_day", "open_at", "close_at")
        },
    }
    return {column.name: told.get(column.name, follows) for column in core.core_session.columns}


def _events() -> dict[str, Dependencies]:
    said = ColumnRef(CATALOG, f"{_EVENT}.date")
    rule = _from(ColumnRef(CATALOG, f"{_EVENT}.rule"), by=Subtype.CONDITIONAL)
    return {
        # one with a rule happens every year, and carries it
        "event_id": _from(ColumnRef(CATALOG, f"{_EVENT}.event_id"), by=Subtype.TRANSFORMATION) | rule,
        "name": _from(ColumnRef(CATALOG, f"{_EVENT}.name")),
        "event_date": _from(said) | _from(_DAY, by=Subtype.TRANSFORMATION) | rule,
        "until_date": _from(_DAY, by=Subtype.TRANSFORMATION) | rule,
    }


def reference_lineage() -> dict[str, TableLineage]:
    """The reference tables by name, in fields of the catalog and of the calendars."""
    tables: dict[sa.Table, dict[str, Dependencies]] = {
        core.core_instrument: _same(core.core_instrument, _INSTRUMENT, leaderboard="leaderboards"),
        core.core_instrument_source: _same(
            core.core_instrument_source, _INSTRUMENT, source="price_sources", trust_rank="price_sources"
        ),
        core.core_leaderboard_member: _same(core.core_leaderboard_member, _INSTRUMENT, leaderboard="leaderboards"),
        core.core_broker: _same(core.core_broker, _BROKER),
        core.core_event: _events(),
        core.core_session: _sessions(),
    }
    return {table.name: TableLineage(table.name, columns) for table, columns in tables.items()}


def loaded_lineage() -> dict[str, TableLineage]:
    """The tables that payloads are loaded into, by name.

    Raises:
        LineageError: a column is neither a field of the dataset nor set by the loader.
    """
    return {
        target.table.name: TableLineage(target.table.name, _loaded(dataset, target))
        for dataset, target in TARGETS.items()
    }


def _loaded(dataset: Dataset, target: Target) -> dict[str, Dependencies]:
    fields = {target.renames.get(name, name): name for name in COLUMNS[dataset]}
    computed = _COMPUTED.get(dataset, {})
    columns: dict[str, Dependencies] = {}
    for column in target.table.columns:
        name = column.name
        if name in computed:
            columns[name] = _from(*(payload_field(dataset, of) for of in computed[name]), by=Subtype.TRANSFORMATION)
        elif name in fields:
            by = Subtype.TRANSFORMATION if (dataset, name) in _CHANGED else Subtype.IDENTITY
            columns[name] = _from(payload_field(dataset, fields[name]), by=by)
        elif name in _OF_FETCH:
            of, by = _OF_FETCH[name]
            columns[name] = _from(ColumnRef(RAW, of), by=by)
        else:
            raise LineageError(f"{target.table.name}.{name}: no field of {dataset} and nothing the loader sets")
    return columns
