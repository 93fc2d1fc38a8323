"""Numbers and texts that their columns cannot hold: set aside or refused by a rule, alike on both engines, and nobody
else is kept from being loaded."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]

import pytest
import sqlalchemy as sa

from rally_pipeline import ingest
from rally_pipeline.imports import flow_payload, import_files, price_payload
from rally_pipeline.marts.refresh import refresh
from rally_pipeline.schema import core, core_flows, mart, ops
from rally_pipeline.schema.declare import Matches, column_info
from rally_pipeline.sources.base import COLUMNS, Dataset
from rally_pipeline.targets import TARGETS
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.integration.test_flows import broker_csv
from rally_pipeline_tests.workspaces import open_at, price_csv, utc
from rally_pipeline_tests.workspaces import price_payload as price_file

PRICE, FLOW = core.core_price_daily, core_flows.core_broker_flow
DAYS = ("2024-03-04", "2024-03-05", "2024-03-06", "2024-03-07", "2024-03-08")


@pytest.fixture
def world(tmp_path: Path, warehouse_url: str) -> Workspace:
    return open_at(tmp_path / "home", warehouse_url)


def volumes(*values: object) -> bytes:
    days = zip(DAYS, values, strict=True)
    return price_csv([(day, 10, 11, 9, 10 + n / 10, value) for n, (day, value) in enumerate(days)])


def import_prices(world: Workspace, folder: Path, bodies: dict[str, bytes]):
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    paths = [folder / name for name in bodies]

    def read(path: Path, workspace: Workspace):
        return price_payload(path, workspace, source=path.stem, symbol="0700.HK", price_basis=None)

    return import_files(world, paths, read, known_at=None, refresh_marts=False).files


def test_a_volume_no_column_holds_is_set_aside(world: Workspace, tmp_path: Path) -> None:
    bodies = {"huge.csv": volumes("1e19", "6e18", 100, "", 300), "good.csv": volumes(1, 2, 3, 4, 5)}
    files = import_prices(world, tmp_path, bodies)
    assert [file.ok for file in files] == [True, True]
    with world.warehouse.write() as connection:
        kept = connection.execute(sa.select(PRICE.c.source, PRICE.c.session_date, PRICE.c.volume_shares)).all()
        aside = connection.scalars(sa.select(ops.ops_quarantine.c.rule)).all()
        refresh(connection)
        sums = connection.scalars(sa.select(mart.mart_trading_volume_monthly.c.volume_shares)).all()
    assert {row.session_date.isoformat() for row in kept if row.source == "good"} == set(DAYS)
    assert {row.session_date.isoformat() for row in kept if row.source == "huge"}.isdisjoint(DAYS[:2])
    assert aside.count("volume_not_negative") == 2
    assert all(0 <= total < 2**53 for total in sums)


def test_parts_of_shares_are_rounded_alike(world: Workspace, tmp_path: Path) -> None:
    (file,) = import_prices(world, tmp_path, {"parts.csv": volumes("1000.4", "999.6", 1001, 1002, 1003)})
    assert file.ok
    with world.warehouse.read() as connection:
        rows = connection.execute(sa.select(PRICE.c.session_date, PRICE.c.volume_shares).order_by(PRICE.c.session_date))
        assert [row.volume_shares for row in rows] == [1000, 1000, 1001, 1002, 1003]


def test_texts_longer_than_their_column_are_set_aside(world: Workspace, tmp_path: Path) -> None:
    long = "Consumer Discretionary Distribution & Retail incl. Internet & Direct Marketing"
    bodies = {
        "sector.csv": broker_csv(1.5, dimension="sector", dimension_value=long),
        "house.csv": broker_csv(1.5, source="A house of a very long name " + "x" * 40),
        "good.csv": broker_csv(1.5, dimension="sector", dimension_value="Retail"),
    }
    for name, body in bodies.items():
        (tmp_path / name).write_text(body)

    def read(path: Path, workspace: Workspace):
        return flow_payload(path, workspace, source=path.stem, unit=None, currency=None)

    report = import_files(world, [tmp_path / n for n in bodies], read, known_at=None, refresh_marts=False)
    assert [file.ok for file in report.files] == [True, True, True]
    with world.warehouse.read() as connection:
        assert connection.scalars(sa.select(FLOW.c.dimension_value)).all() == ["Retail"]
        aside = set(connection.scalars(sa.select(ops.ops_quarantine.c.rule)))
    assert aside == {"dimension_value_format", "broker_format"}


def test_what_no_rule_holds_back_refuses_its_payload_only(world: Workspace) -> None:
    """As if a rule were missing: the gate is told that nothing is wrong with the values."""
    known = utc("2024-03-09")
    record = ingest.keep(world, price_file(volumes(1, 2, 3, 4, 5), source="odd", known_at=known))
    ((_, ahead),) = ingest.read_ahead(world, [record])
    assert ahead is not None
    frame = ahead.frames[Dataset.PRICE].assign(volume=[1.0, 2.0, 1e19, 4.0, float("nan")])
    outcome = ingest.load(world, record, ingest.Ahead((), {Dataset.PRICE: frame}, {Dataset.PRICE: {}}))
    assert outcome.outcome == "refused"
    assert outcome.rule == "value_fits"
    later = price_file(volumes(1, 2, 3, 4, 6), source="other", known_at=known + dt.timedelta(hours=1))
    assert ingest.load(world, ingest.keep(world, later)).is_loaded
    with world.warehouse.read() as connection:
        assert set(connection.scalars(sa.select(PRICE.c.source))) == {"other"}


@pytest.mark.parametrize("dataset", sorted(set(TARGETS) - {Dataset.NOTE, Dataset.NOTE_MENTION, Dataset.NOTE_CLAIM}))
def test_every_rule_of_a_text_from_outside_knows_how_long_its_column_is(dataset: Dataset) -> None:
    target = TARGETS[dataset]
    for name in COLUMNS[dataset]:
        column = target.table.c[target.renames.get(name, name)]
        for rule in column_info(column).rules:
            if isinstance(rule, Matches) and getattr(column.type, "length", None):
                assert _parser.parse(rule.regex).getwidth()[1] <= column.type.length, f"{column}: {rule.regex}"
                assert re.fullmatch(rule.regex, "A" * (column.type.length + 1)) is None
