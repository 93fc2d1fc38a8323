"""First and last day of a table, through its key and without."""

from __future__ import annotations

import datetime as dt
import random

import sqlalchemy as sa

from rally_pipeline.schema import core, metadata
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline.warehouse.spans import day_span, is_second_in_key

RATES = core.core_fx_usd_daily


def test_it_is_what_a_look_at_every_row_finds(warehouse_url: str) -> None:
    warehouse = open_warehouse(warehouse_url)
    random_ = random.Random(3)
    assert is_second_in_key(RATES, RATES.c.rate_date)
    with warehouse.write() as connection:
        RATES.create(connection)
        assert day_span(connection, RATES) is None
        for _ in range(6):
            rows = {
                (
                    random_.choice(("AUD", "CHF", "GBP", "ZAR")),
                    dt.date(2000, 1, 1) + dt.timedelta(random_.randrange(9999)),
                )
                for _ in range(random_.randrange(1, 30))
            }
            connection.execute(sa.delete(RATES))
            shared = {"units_per_usd": 1.0, "source": "ecb"}
            connection.execute(sa.insert(RATES), [{"currency": c, "rate_date": d, **shared} for c, d in rows])
            days = [day for _, day in rows]
            assert day_span(connection, RATES) == (min(days), max(days))
    warehouse.engine.dispose()


def test_tables_whose_key_begins_otherwise_are_read() -> None:
    table = metadata.tables["mart_price_since_event_daily"]
    assert not is_second_in_key(table, table.c.session_date)
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        assert day_span(connection, table) is None
    engine.dispose()
