"""Two warehouses side by side: is what they believe, and what follows from it, the same?

Both are read in the order of the primary key and compared as they stream by, so size does not matter and neither does
the engine. Facts are compared exactly, with versions and known times; numbers that were computed may differ in the last
digits between engines. Belongs here: what is compared, and the comparison. Does not belong here: making either
(`rebuild.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rally_pipeline.errors import UsageError
from rally_pipeline.marts.inputs import by_code_point
from rally_pipeline.schema import core, mart_flows, metadata, ops, raw, table_info
from rally_pipeline.schema.mart_notes import mart_claim_audit
from rally_pipeline.warehouse.engine import Warehouse, normalise_url, open_warehouse
from rally_pipeline.warehouse.schema_version import HEAD, current_revision

#: Rows fetched at a time.
_CHUNK = 2_000
#: Differing rows that are named.
_NAMED = 5
#: Computed numbers that differ by less, relatively, are the same.
TOLERANCE = 1e-9
#: Columns that say when something was done, or by which run, and not what is believed.
EXCLUDED: Mapping[str, tuple[str, ...]] = {
    raw.raw_fetch.name: ("run_id",),
    ops.ops_load.name: ("loaded_at", "rows_new", "rows_changed", "rows_same"),
    ops.ops_quarantine.name: ("first_seen_at",),
    mart_claim_audit.name: ("audited_at", "audit_no", "asked_on_date", "code_version"),
}


@dataclass(frozen=True)
class Compared:
    """What one table is like in both warehouses.

    Attributes:
        table: its name.
        rows_one, rows_other: how many rows each has.
        only_one, only_other: keys that only one of them has.
        different: keys of which other columns differ.
        examples: the first of all these, each in one line.
        excluded: columns that were not compared.
    """

    table: str
    rows_one: int
    rows_other: int
    only_one: int
    only_other: int
    different: int
    examples: tuple[str, ...]
    excluded: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.only_one or self.only_other or self.different)

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "table": self.table,
            "is_equal": self.is_equal,
            "rows_one": self.rows_one,
            "rows_other": self.rows_other,
            "only_one": self.only_one,
            "only_other": self.only_other,
            "different": self.different,
            "examples": list(self.examples),
            "excluded": list(self.excluded),
        }


def compared_tables() -> list[sa.Table]:
    """Facts, what is computed from them, the register of payloads, and what became of these."""
    others = {raw.raw_fetch, ops.ops_load, ops.ops_quarantine, ops.ops_quarantine_action, mart_flows.ops_reconciliation}
    return [t for t in metadata.sorted_tables if table_info(t).layer in ("core", "mart") or t in others]


def left_out() -> list[str]:
    """Tables that are not compared: they tell of runs, checks and files, not of what is believed."""
    compared = set(compared_tables())
    return sorted(t.name for t in metadata.tables.values() if t not in compared)


def compare(one: str, other: str, progress: Callable[[str], None] = lambda _: None) -> Iterator[Compared]:
    """Compares two warehouses table by table; each is read in one transaction.

    Args:
        one, other: their URLs.
        progress: told the table that is compared.

    Raises:
        UsageError: one of them is no warehouse of this schema version.
    """
    with contextlib.ExitStack() as stack:
        connections = [_open(stack, url) for url in (one, other)]
        for table in compared_tables():
            progress(table.name)
            yield _compare(table, *connections)


def _open(stack: contextlib.ExitStack, url: str) -> sa.Connection:
    parsed = normalise_url(url)
    shown = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise UsageError(f"{shown}: there is no such warehouse.")
    warehouse: Warehouse = open_warehouse(url)
    stack.callback(warehouse.engine.dispose)
    connection = stack.enter_context(warehouse.read())
    revision = current_revision(connection)
    if revision != HEAD:
        raise UsageError(
            f"{shown} has schema version {revision or 'none'}, not {HEAD}. "
            "Fix: open it once with this rally-pipeline, which upgrades it."
        )
    return connection


def _compare(table: sa.Table, one: sa.Connection, other: sa.Connection) -> Compared:
    excluded = EXCLUDED.get(table.name, ())
    key = [c.name for c in table.primary_key.columns if c.name not in excluded]
    values = [c.name for c in table.columns if c.name not in key and c.name not in excluded]
    is_fact = table_info(table).versioned or table in core.REFERENCE
    same = _exactly if is_fact else _nearly
    streams = [_stream(connection, table, key, values) for connection in (one, other)]
    counts = {"one": 0, "other": 0, "only_one": 0, "only_other": 0, "different": 0}
    examples: list[str] = []

    def note(kind: str, identity: tuple[Any, ...], what: str) -> None:
        counts[kind] += 1
        if len(examples) < _NAMED:
            named = ", ".join(f"{name}={_text(part)}" for name, part in zip(key, identity, strict=True))
            examples.append(f"{named}: {what}")

    left, right = next(streams[0], None), next(streams[1], None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            note("only_one", left[0], "only in the first")
            counts["one"] += 1
            left = next(streams[0], None)
        elif left is None or right[0] < left[0]:
            note("only_other", right[0], "only in the second")
            counts["other"] += 1
            right = next(streams[1], None)
        else:
            counts["one"] += 1
            counts["other"] += 1
            if left[1] != right[1]:
                pairs = zip(values, left[1], right[1], strict=True)
                differing = [f"{name} {_text(a)} / {_text(b)}" for name, a, b in pairs if not same(a, b)]
                if differing:
                    note("different", left[0], "; ".join(differing[:3]))
            left, right = next(streams[0], None), next(streams[1], None)
    return Compared(
        table.name,
        counts["one"],
        counts["other"],
        counts["only_one"],
        counts["only_other"],
        counts["different"],
        tuple(examples),
        excluded,
    )


Keyed = tuple[tuple[Any, ...], tuple[Any, ...]]


def _stream(connection: sa.Connection, table: sa.Table, key: list[str], values: list[str]) -> Iterator[Keyed]:
    """Key and values of each row, in order of the key: that of code points for texts, on either engine."""
    by = [by_code_point(table.c[k]) if isinstance(table.c[k].type, sa.String) else table.c[k] for k in key]
    query = sa.select(*(table.c[name] for name in (*key, *values))).order_by(*by)
    if table is mart_claim_audit:
        query = query.where(table.c.is_latest.is_(True))
    count = len(key)
    for row in connection.execution_options(yield_per=_CHUNK).execute(query):
        yield tuple(row[:count]), tuple(row[count:])


def _exactly(one: Any, other: Any) -> bool:
    return bool(one == other)


def _nearly(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-12)
    return bool(one == other)


def _text(value: Any) -> str:
    text = value.isoformat() if isinstance(value, dt.date) else repr(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def comparison_lines(tables: list[Compared]) -> Iterator[str]:
    """For people: each table, the first differences, and what was not compared."""
    for one in tables:
        if one.is_equal:
            yield f"equal      {one.table}: {one.rows_one:,} rows"
            continue
        yield (
            f"different  {one.table}: {one.rows_one:,} and {one.rows_other:,} rows; {one.different} differ, "
            f"{one.only_one} only in the first, {one.only_other} only in the second"
        )
        yield from (f"             {example}" for example in one.examples)
    yield ""
    for one in tables:
        if one.excluded:
            yield f"not compared: {one.table}.{', '.join(one.excluded)}"
    yield f"of {mart_claim_audit.name} only the audits that stand are compared"
    yield f"not compared: {', '.join(left_out())}"
    yield f"computed numbers count as equal up to {TOLERANCE:g} of their size; facts must be equal"
