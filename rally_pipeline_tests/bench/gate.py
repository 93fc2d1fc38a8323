"""The gate on a million price rows, beside the load of the same rows and beside checks written by hand.

Belongs here: what the gate costs. Does not belong here: what its import costs (`daily.py` has it in the whole).
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from rally_pipeline.catalog import load_catalog
from rally_pipeline.quality.gate import Batch, check
from rally_pipeline.quality.rules import checks_for
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources.base import Dataset, typed_frame
from rally_pipeline_tests.bench.data import Bench, deliver, empty_prices, write_catalog
from rally_pipeline_tests.bench.measure import Beside, Figure, side_by_side


def figures(bench: Bench) -> list[Figure]:
    """One row."""
    home = bench.folder / "gate"
    write_catalog(home, bench.frame["symbol"].unique())
    catalog = load_catalog(home)
    rows = bench.frame.drop(columns="is_flat_bar").rename(columns={"volume_shares": "volume"})
    frame = typed_frame(Dataset.PRICE, rows.to_dict("series"))
    batch = Batch(
        Dataset.PRICE, frame, catalog, Calendars.from_catalog(catalog), dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
    )

    def gate() -> None:
        verdict = check(batch)
        assert verdict.refusal is None
        assert len(verdict.rows) == len(frame)
        assert verdict.results

    check(Batch(batch.dataset, frame.iloc[:100], catalog, batch.calendars, batch.known_at))  # imports and suites
    with bench.warehouses() as (sqlite, postgres):
        loads = {"load into PostgreSQL": postgres, "load into SQLite": sqlite}

        def before(name: str) -> None:
            if name in loads:
                empty_prices(loads[name])

        taken = side_by_side(
            {
                "ours": gate,
                "ten checks by hand": lambda: by_hand(frame),
                "load into PostgreSQL": lambda: deliver(postgres, bench.frame),
                "load into SQLite": lambda: deliver(sqlite, bench.frame),
            },
            before=before,
            repeats=bench.repeats,
        )
    expectations = len(checks_for(Dataset.PRICE))
    return [
        Figure(
            "gate, prices",
            bench.size,
            taken["ours"],
            peers=(Beside("ten checks by hand", taken["ten checks by hand"]),),
            limits=tuple(Beside(name, taken[name], at_most=0.25) for name in loads),
            note=f"the gate asserts {expectations} expectations, bar after bar of each instrument among them; "
            "by hand are ten rules that each look at one row",
        )
    ]


def by_hand(frame: pd.DataFrame) -> pd.DataFrame:
    """The ten rules about columns that anybody would write first; returns the rows that break one."""
    close, high, low, opened = (frame[name].to_numpy() for name in ("close", "high", "low", "open"))
    verdicts = (
        frame["symbol"].notna().to_numpy(),
        frame["session_date"].notna().to_numpy(),
        ~frame.duplicated(["symbol", "session_date"]).to_numpy(),
        close > 0,
        np.isfinite(close),
        high >= low,
        high >= close,
        low <= close,
        (opened >= low) & (opened <= high),
        frame["volume"].to_numpy() >= 0,
    )
    met = np.logical_and.reduce(verdicts)
    return frame[~met]
