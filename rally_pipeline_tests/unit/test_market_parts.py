"""A payload is judged a few subjects at a time; what is said of each bar does not depend on how many."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rally_pipeline.catalog import load_catalog
from rally_pipeline.quality import market
from rally_pipeline.quality.gate import Batch
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources.base import Dataset, typed_frame

#: What the faults below are found as.
_FOUND = {"symbol_known", "currency_matches", "high_is_highest", "stale_repeat", "hundredfold_error", "large_move",
          "bad_split", "bad_dividend", "figures_complete", "zero_volume_full_session"}  # fmt: skip


def _batch(home: Path, seed: int, *, is_mixed: bool) -> Batch:
    """Forty sessions of some shares, the first five known from before, with faults at random places."""
    catalog = load_catalog(home)
    calendars = Calendars.from_catalog(catalog)
    days = calendars.known_sessions("HK", dt.date(2024, 11, 1), dt.date(2025, 2, 14))[:40]
    listed = [symbol for symbol, entry in catalog.instruments.items() if (entry.market, entry.kind) == ("HK", "share")]
    symbols = [*listed[:11], "NOBODY"]
    random = np.random.default_rng(seed)
    count = len(symbols) * len(days)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    rows = pd.DataFrame({
        "symbol": np.repeat(symbols, len(days)),
        "session_date": np.tile(np.array(days, "M8[s]"), len(symbols)),
        **{"open": close, "high": close * 1.01, "low": close * 0.99, "close": close},
        **{f"adj_{name}": close for name in ("open", "high", "low", "close")},
        "volume": random.integers(1, 10**6, count).astype(float),
        "dividend": np.where(random.random(count) < 0.02, 9.0, np.nan),
        "split_ratio": np.where(random.random(count) < 0.02, 5.0, np.nan),
        "currency": np.where(random.random(count) < 0.01, "USD", "HKD"),
        "locator": [f"row {number}" for number in range(count)],
    })  # fmt: skip
    prices = ["open", "high", "low", "close"]
    for number in random.integers(1, count, 12):
        rows.loc[number, [*prices, "volume"]] = rows.loc[number - 1, [*prices, "volume"]].to_numpy()
    for factor, names in (
        (100.0, prices),
        (5.0, prices),
        (1.5, prices),
        (0.5, ["high"]),
        (0.0, ["volume"]),
        (np.nan, ["open"]),
    ):
        at = random.integers(0, count, 8)
        rows.loc[at, names] = rows.loc[at, names] * factor
    is_old = rows["session_date"].isin(np.array(days[:5], "M8[s]")).to_numpy()
    fresh = rows[~is_old].sample(frac=1, random_state=seed) if is_mixed else rows[~is_old]
    known_at = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
    batch = Batch(Dataset.PRICE, typed_frame(Dataset.PRICE, fresh.to_dict("series")), catalog, calendars, known_at)
    previous = typed_frame(Dataset.PRICE, rows[is_old].to_dict("series"))
    return dataclasses.replace(batch, facts=dataclasses.replace(batch.facts, previous=previous))


@pytest.mark.parametrize("is_mixed", [False, True])
def test_verdicts_do_not_depend_on_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_mixed: bool) -> None:
    found = set()
    for seed in range(4):
        batch = _batch(tmp_path, seed, is_mixed=is_mixed)
        whole = market.row_verdicts(batch)
        found |= {name for name, verdict in whole.items() if not verdict.all()}
        for rows in (1, 50, 300):
            monkeypatch.setattr(market, "_PART_ROWS", rows)
            parts = market.row_verdicts(batch)
            assert list(parts) == list(whole)
            for name, verdict in whole.items():
                assert np.array_equal(parts[name], verdict), (seed, rows, name)
        monkeypatch.undo()
    assert found >= _FOUND


def test_parts_hold_their_subjects_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "_PART_ROWS", 4)
    codes = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3, 3, 4])
    parts = market._whole_subjects(codes)
    assert [codes[part].tolist() for part in parts] == [[0, 0, 0, 1, 1], [2, 3, 3, 3, 3, 3, 3], [4]]
    assert market._whole_subjects(codes[::-1]) == [slice(0, 13)]
    assert market._whole_subjects(codes[:0]) == [slice(0, 0)]
