"""Deliveries, restatements and repeats of several kinds in any order of arrival: as of T it is what a dict would hold.

`test_merge.py` holds versions of one table to a model; here several tables are fed in turns, the same is said again,
and what is computed from the facts is asked for at T too.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rally_pipeline.archive import Archive
from rally_pipeline.asof import selectable
from rally_pipeline.schema import metadata, ops, raw, table_info, value_columns
from rally_pipeline.sources.base import Payload
from rally_pipeline.warehouse.schema_version import kept_tables
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.small_world import flow_payload
from rally_pipeline_tests.workspaces import deliver, fx_payload, open_at, price_csv, price_payload, rows_of, utc

DAYS = ("2024-03-04", "2024-03-05", "2024-03-06")
TIMES = tuple(utc("2024-04-01") + dt.timedelta(days=number) for number in range(4))
TICK = dt.timedelta(microseconds=1)
PRICE, RATE, FLOW = "core_price_daily", "core_fx_daily", "core_southbound_flow_daily"
NAMES = {PRICE: ("0700.HK", "^HSI"), RATE: ("HKD", "CNY"), FLOW: ("sse", "szse")}
VALUES = {PRICE: (10.5, 11.25, 12.0), RATE: (7.75, 7.8, 8.0), FLOW: (900.0, 1000.0, 1100.0)}

Cell = tuple[str, str]
Facts = dict[Cell, float]


@dataclass(frozen=True)
class Said:
    """One delivery: into which table, when it was known, and the figure of each name and day."""

    table: str
    at: dt.datetime
    cells: tuple[tuple[Cell, float], ...]

    def payload(self) -> Payload:
        """The delivery as a dropped file."""
        if self.table == PRICE:
            rows = [(day, value, name) for (name, day), value in self.cells]
            return price_payload(price_csv(rows, "date,close,symbol"), None, known_at=self.at)
        if self.table == RATE:
            found = dict(self.cells)
            names = sorted({name for name, _ in found})
            lines = [f"Date,{','.join(names)},"]
            for day in sorted({day for _, day in found}, reverse=True):
                lines.append(f"{day},{','.join(str(found.get((name, day), 'N/A')) for name in names)},")
            return fx_payload("\n".join(lines).encode(), known_at=self.at)
        lines = ["date,channel,buy,sell,unit,currency"]
        lines += [f"{day},{name},{value},500,million,HKD" for (name, day), value in self.cells]
        return flow_payload("\n".join(lines), self.at)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Said], list[int]]:
    """Deliveries, and the order in which they arrive: some of them more than once."""
    said = []
    for _ in range(draw(st.integers(2, 6))):
        table = draw(st.sampled_from((PRICE, RATE, FLOW)))
        keys = st.sampled_from([(name, day) for name in NAMES[table] for day in DAYS])
        chosen = draw(st.lists(keys, min_size=1, max_size=6, unique=True))
        values = st.sampled_from(VALUES[table])
        # no two days alike: flows that repeat those of the day before are refused
        cells = tuple(((name, day), draw(values) + int(day[-1]) / 8) for name, day in sorted(chosen))
        said.append(Said(table, draw(st.sampled_from(TIMES)), cells))
    # what was said is said again later on, word for word
    said += [dataclasses.replace(one, at=TIMES[-1]) for one in said if draw(st.integers(0, 3)) == 0]
    again = draw(st.lists(st.sampled_from(range(len(said))), max_size=2))
    return said, draw(st.permutations([*range(len(said)), *again]))


def believed(said: list[Said], table: str, at: dt.datetime) -> Facts:
    """What was said last until then; of one time the greater payload id counts."""
    facts: Facts = {}
    for one in sorted(said, key=lambda one: (one.at, one.payload().payload_id)):
        if one.table == table and one.at <= at:
            facts.update(one.cells)
    return facts


@pytest.fixture(scope="module")
def workspaces(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: Callable[[], str]
) -> Iterator[dict[str, Workspace]]:
    home = tmp_path_factory.mktemp("property")
    opened = {"sqlite": open_at(home / "s"), "postgresql": open_at(home / "p", postgres_url())}
    yield opened
    for workspace in opened.values():
        workspace.warehouse.engine.dispose()


def emptied(workspace: Workspace, directory: Path) -> Workspace:
    """The same warehouse without anything that was delivered, and an archive of its own."""
    with workspace.warehouse.write() as connection:
        for table in kept_tables():
            if table_info(table).versioned or table in (
                raw.raw_fetch,
                ops.ops_load,
                ops.ops_finding,
                ops.ops_quarantine,
            ):
                connection.execute(sa.delete(table))
    return dataclasses.replace(workspace, archive=Archive(directory))


COLUMNS = {
    PRICE: ("symbol", "session_date", "close"),
    RATE: ("quote_currency", "rate_date", "rate"),
    FLOW: ("channel", "session_date", "buy_hkd_mn"),
    "core_price_resolved_daily": ("symbol", "session_date", "close"),
    "core_southbound_resolved_daily": ("channel", "session_date", "buy_hkd_mn"),
}


def stored(workspace: Workspace, table: str, at: dt.datetime) -> Facts:
    with workspace.warehouse.read(scratch=True) as connection:
        source = selectable(connection, table, at)
        rows = connection.execute(sa.select(*(source.c[name] for name in COLUMNS[table]))).all()
    facts = {(row[0], row[1].isoformat()): row[2] for row in rows}
    assert len(facts) == len(rows), "two versions of one key are believed at once"
    return facts


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    # an example is a second's work: to make a failing one smaller would take minutes
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(history=histories())
def test_as_of_is_what_had_been_said(
    workspaces: dict[str, Workspace],
    tmp_path_factory: pytest.TempPathFactory,
    engine: str,
    history: tuple[list[Said], list[int]],
) -> None:
    said, order = history
    workspace = emptied(workspaces[engine], tmp_path_factory.mktemp("archive"))
    for number in order:
        outcome = deliver(workspace, said[number].payload())
        assert outcome.is_loaded, outcome.message
    for at in (*TIMES, *(at - TICK for at in TIMES)):
        for table in (PRICE, RATE, FLOW):
            assert stored(workspace, table, at) == believed(said, table, at), (table, at)
    for at in (TIMES[0], TIMES[2]):
        assert stored(workspace, "core_price_resolved_daily", at) == believed(said, PRICE, at)
        flows = believed(said, FLOW, at)
        totals = {
            ("total", day): flows["sse", day] + flows["szse", day]
            for day in DAYS
            if ("sse", day) in flows and ("szse", day) in flows
        }
        assert stored(workspace, "core_southbound_resolved_daily", at) == flows | totals
    for table in (PRICE, RATE, FLOW):
        check_versions(workspace, metadata.tables[table])


def check_versions(workspace: Workspace, table: sa.Table) -> None:
    """No overlap, no gap, neighbours differ, one believed version a key."""
    key = table_info(table).natural_key
    values = [column.name for column in value_columns(table)]
    rows: list[dict[str, Any]] = rows_of(workspace, table)
    for _, group in itertools.groupby(rows, key=lambda row: [row[name] for name in key]):
        versions = list(group)
        assert versions[-1]["known_to_at"] is None
        for before, after in itertools.pairwise(versions):
            assert before["known_from_at"] < before["known_to_at"] == after["known_from_at"]
            assert [before[name] for name in values] != [after[name] for name in values]
