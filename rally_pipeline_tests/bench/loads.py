"""Loading a million price rows, and being given the same again.

Belongs here: loads of one delivery into an empty and into a full table. Does not belong here: long histories
(`backfill.py`).
"""

from __future__ import annotations

import sqlalchemy as sa

from rally_pipeline.warehouse.engine import Warehouse
from rally_pipeline_tests.bench import peers
from rally_pipeline_tests.bench.data import PRICE, START, Bench, deliver, empty_prices
from rally_pipeline_tests.bench.measure import Beside, Figure, Goal, side_by_side

_NAMES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


def figures(bench: Bench) -> list[Figure]:
    """First load and unchanged re-delivery on both engines."""
    found = []
    with bench.warehouses() as warehouses:
        for warehouse in warehouses:
            found += _first_load_and_again(bench, warehouse)
    return found


def _first_load_and_again(bench: Bench, warehouse: Warehouse) -> list[Figure]:
    frame, engine = bench.frame, _NAMES[warehouse.dialect]
    again = "the same again"
    is_postgres = warehouse.dialect == "postgresql"
    limits: dict[str, tuple[peers.Way, float | None]]  # and at most how many times each
    if is_postgres:
        limits = {
            "COPY of rendered rows": (peers.rendered_copy(warehouse, frame), 1.5),
            "binary COPY of rendered rows": (peers.rendered_binary_copy(warehouse, frame), None),
        }
    else:
        limits = {"ADBC ingest": (peers.adbc_ingest(frame, bench.folder), 1.5)}

    def before(name: str) -> None:
        if name == "ours":
            empty_prices(warehouse)
        elif name != again:
            peers.empty_plain(warehouse)

    def load() -> None:
        assert deliver(warehouse, frame).new == len(frame)

    def load_again() -> None:
        assert deliver(warehouse, frame, hours=1).same == len(frame)

    ways = {
        "ours": load,
        again: load_again,
        **{name: way for name, (way, _) in limits.items()},
        "dlt (no key)": peers.dlt_run(warehouse, frame, bench.folder),
        "pandas.to_sql": peers.to_sql(warehouse, frame),
    }
    before("ours")
    load()
    taken = side_by_side(ways, before=before, repeats=bench.repeats)
    with warehouse.read() as connection:
        touched = sa.or_(PRICE.c.known_from_at != START, PRICE.c.known_to_at.is_not(None))
        rows = connection.execute(sa.select(sa.func.count(), sa.func.count().filter(touched)).select_from(PRICE)).one()
    assert rows[0] == len(frame)
    return [
        Figure(
            f"bulk load, {engine}",
            bench.size,
            taken["ours"],
            peers=(
                Beside("dlt (no key)", taken["dlt (no key)"], faster=2.3 if is_postgres else 2.5),
                Beside("pandas.to_sql", taken["pandas.to_sql"], faster=5.5 if is_postgres else 3.5),
            ),
            limits=tuple(Beside(name, taken[name], at_most=goal) for name, (_, goal) in limits.items()),
            goals=(Goal.peak(taken["ours"], at_most_mb=150),) if is_postgres else (),
        ),
        Figure(
            f"unchanged re-delivery, {engine}",
            bench.size,
            taken[again],
            limits=(Beside("first load", taken["ours"], at_most=0.5),),
            goals=(Goal("rows written", rows[1], 0),),
        ),
    ]
