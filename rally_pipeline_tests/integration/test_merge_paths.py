"""The fast ways into core against the plain ones: the same rows, the same report, on both engines.

A delivery that is large enough is compared with what is believed by reading, and a first one builds the indexes behind
it. Whichever way is taken, nothing but the time it takes may differ.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from rally_pipeline.schema import core, core_flows, table_info
from rally_pipeline.schema.declare import metadata
from rally_pipeline.warehouse import believed, indexes, load
from rally_pipeline.warehouse.engine import Warehouse, open_warehouse
from rally_pipeline.warehouse.merge import Delivery, MergeResult, merge, merge_late

PRICE = core.core_price_daily
START = dt.datetime(2024, 6, 1, 8, tzinfo=dt.UTC)
DAYS = pd.bdate_range("2024-01-01", periods=40).to_numpy().astype("datetime64[s]")


def opened(url: str, *tables: sa.Table) -> Warehouse:
    warehouse = open_warehouse(url)
    with warehouse.write() as connection:
        metadata.create_all(connection, tables=list(tables))
    return warehouse


def prices(seed: int) -> pd.DataFrame:
    """Bars of three instruments, with what makes comparing hard: NULLs in every kind of column, big numbers, gaps."""
    random = np.random.default_rng(seed)
    rows = len(DAYS) * 3
    close = np.round(random.uniform(1, 100, rows), 2)
    volume = random.integers(0, 2**53, rows).astype("float64")
    volume[random.random(rows) < 0.2] = np.nan
    adjusted = np.where(random.random(rows) < 0.3, np.nan, close * 0.9)
    frame = pd.DataFrame(
        {
            "symbol": np.repeat(["0700.HK", "^HSI", "É.DE"], len(DAYS)),
            "session_date": np.tile(DAYS, 3),
            "close": close,
            "adj_close": adjusted,
            "volume_shares": volume,
            "currency": random.choice(["HKD", "EUR"], rows),
            "is_flat_bar": random.random(rows) < 0.1,
            "locator": [f"row {n}" for n in range(rows)],
        }
    )
    return frame.astype({"symbol": "str", "currency": "str", "locator": "str"})


def restated(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Some rows left out, some values changed by little, to NULL, or from it; in no order."""
    random = np.random.default_rng(seed)
    frame = frame[random.random(len(frame)) < 0.9].copy()
    for name, new in (("close", 1e-9), ("adj_close", np.nan), ("volume_shares", 1.0)):
        hit = random.random(len(frame)) < 0.05
        frame.loc[hit, name] = frame.loc[hit, name].fillna(7) + new
    hit = random.random(len(frame)) < 0.05
    frame.loc[hit, "is_flat_bar"] = ~frame.loc[hit, "is_flat_bar"]
    frame.loc[random.random(len(frame)) < 0.05, "currency"] = "USD"
    return frame.sample(frac=1, random_state=seed)


def deliver(warehouse: Warehouse, frame: pd.DataFrame, hour: int, table: sa.Table = PRICE) -> MergeResult:
    with warehouse.write() as connection:
        return merge(
            connection,
            table,
            frame,
            subject_column=table_info(table).natural_key[0],
            known_at=START + dt.timedelta(hours=hour),
            payload_id=f"{hour:064x}",
            constants={"source": "one"},
        )


def rows_of(warehouse: Warehouse, table: sa.Table = PRICE) -> list[Any]:
    with warehouse.read() as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key.columns)))


def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (believed, indexes):
        monkeypatch.setattr(module, "FEWEST_ROWS", 10**9)
    monkeypatch.setattr(load, "_SQLITE_MANY_ROWS", 10**9)


def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (believed, indexes):
        monkeypatch.setattr(module, "FEWEST_ROWS", 1)
    monkeypatch.setattr(believed, "_BATCH_ROWS", 50)
    monkeypatch.setattr(load, "_SQLITE_MANY_ROWS", 2)
    monkeypatch.setattr(load, "_ROWS_A_STATEMENT", ((150, 11), (2, 7)))


@pytest.fixture(params=["sqlite", "postgresql"])
def two_urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Two empty databases of one engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'a.sqlite'}", f"sqlite:///{tmp_path / 'b.sqlite'}"
    create: Callable[[], str] = request.getfixturevalue("postgres_url")
    return create(), create()


def test_both_ways_write_and_report_the_same(two_urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    ways = [(opened(url, PRICE), way) for url, way in zip(two_urls, (_plain, _fast), strict=True)]
    frame = prices(0)
    later = [frame, frame.sample(frac=1, random_state=1), frame[frame["session_date"] > DAYS[20]]]
    for seed in range(1, 6):
        frame = restated(prices(0) if seed == 3 else frame, seed)
        later += [frame, frame]
    later.append(later[-1].assign(currency="HKD", is_flat_bar=False, volume_shares=5.0))
    # columns that are equal in all rows, in the frame and in the table
    later.append(later[-1].assign(volume_shares=5))
    later.append(later[-1].drop(columns="adj_close"))
    said = []
    for number, one in enumerate(later):
        results = []
        for warehouse, way in ways:
            way(monkeypatch)
            results.append(deliver(warehouse, one, number))
        assert results[0] == results[1], number
        said.append(results[1])
    assert rows_of(ways[0][0]) == rows_of(ways[1][0])
    assert [r.same for r in said[1:3]] == [len(later[1]), len(later[2])], "an equal row changes nothing"
    assert all(r.changed for r in said[3::2][:5]), "each restatement changes something"


def test_only_what_differs_is_staged(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison would be right and worth nothing."""
    _fast(monkeypatch)
    warehouse, frame = opened(warehouse_url, PRICE), prices(0)
    deliver(warehouse, frame, 0)
    changed = frame.copy()
    changed.loc[[3, 77], "close"] += 1
    changed.loc[[5], "volume_shares"] = np.nan if changed["volume_shares"].notna()[5] else 3
    staged: list[int] = []
    monkeypatch.setattr(believed, "FEWEST_ROWS", 1)
    real = load.bulk_load

    def counted(connection: sa.Connection, table: sa.Table, rows: pd.DataFrame, constants: Any = None) -> int:
        staged.append(len(rows))
        return real(connection, table, rows, constants)

    monkeypatch.setattr("rally_pipeline.warehouse.merge.bulk_load", counted)
    assert deliver(warehouse, changed, 1).changed == 3
    assert deliver(warehouse, changed, 2).same == len(frame)
    assert staged == [3]


def test_loading_a_payload_again_reads_only(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _fast(monkeypatch)
    warehouse, frame = opened(warehouse_url, PRICE), prices(0)
    deliver(warehouse, frame, 0)
    before = rows_of(warehouse)
    monkeypatch.setattr("rally_pipeline.warehouse.merge.bulk_load", None)

    def again(hours: int) -> MergeResult:
        with warehouse.write() as connection:
            delivery = Delivery(START + dt.timedelta(hours=hours), "0" * 64, frame)
            return merge_late(connection, PRICE, delivery, [], subject_column="symbol", constants={"source": "one"})

    assert again(0) == MergeResult(same=len(frame))
    assert rows_of(warehouse) == before
    with pytest.raises(TypeError):  # it came to be known later than this: not the same, hence staged
        again(-1)


def test_a_table_of_more_than_one_row_a_day_is_staged(
    two_urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = core_flows.core_southbound_top_stock_daily
    key = [name for name in table_info(table).natural_key if name not in ("source", "known_from_at")]
    values: dict[str, Any] = {"channel": "sse", "stock_code": "00700", "session_date": DAYS[0], "locator": "row 1"}
    for column in table.columns:
        if column.nullable or column.name in (*values, "source", "known_from_at", "payload_id"):
            continue
        values[column.name] = {sa.Integer: 1, sa.Double: 1.5, sa.String: "x", sa.Text: "x", sa.Boolean: True}[
            next(kind for kind in (sa.Boolean, sa.Integer, sa.Double, sa.String) if isinstance(column.type, kind))
        ]
    frame = pd.DataFrame([{**values, "stock_code": f"{n:05d}", "session_date": d} for d in DAYS[:3] for n in (1, 2)])
    frame["session_date"] = frame["session_date"].astype("datetime64[s]")
    assert "stock_code" in key
    tables = []
    for url, way in zip(two_urls, (_plain, _fast), strict=True):
        way(monkeypatch)
        warehouse = opened(url, table)
        assert deliver(warehouse, frame, 0, table).new == 6
        assert deliver(warehouse, frame, 1, table).same == 6
        tables.append(rows_of(warehouse, table))
    assert tables[0] == tables[1]


def test_a_first_load_leaves_every_index_behind(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _fast(monkeypatch)
    warehouse = opened(warehouse_url, PRICE)

    def names() -> tuple[set[str | None], Any]:
        inspector = sa.inspect(warehouse.engine)
        return {i["name"] for i in inspector.get_indexes(PRICE.name)}, inspector.get_pk_constraint(PRICE.name)

    before = names()
    assert before[0] == {"uq_core_price_daily_current"}
    frame = prices(0)
    with pytest.raises(sa.exc.IntegrityError):
        deliver(warehouse, pd.concat([frame, frame.tail(1)]), 0)
    assert names() == before
    assert not rows_of(warehouse)
    assert deliver(warehouse, frame, 0).new == len(frame)
    assert names() == before
    with pytest.raises(sa.exc.IntegrityError), warehouse.write() as connection:
        load.bulk_load(
            connection, PRICE, frame.tail(1), {"source": "one", "known_from_at": START, "payload_id": "0" * 64}
        )


def test_somebody_who_reads_an_empty_table_does_not_hold_up_its_first_load(
    postgres_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _fast(monkeypatch)
    warehouse = opened(postgres_url(), PRICE)
    with warehouse.read() as reader:
        assert reader.execute(sa.select(PRICE)).first() is None  # an open dashboard
        assert deliver(warehouse, prices(0), 0).new == len(prices(0))
    assert [index["name"] for index in sa.inspect(warehouse.engine).get_indexes(PRICE.name)] == [
        "uq_core_price_daily_current"
    ]
