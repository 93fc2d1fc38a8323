"""Rules about documents: spans, windows, targets, and which texts are nearly the same."""

from __future__ import annotations

import datetime as dt
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog import load_catalog
from rally_pipeline.notes.similarity import similarity_hash
from rally_pipeline.quality.known import KnownFacts
from rally_pipeline.quality.market import Batch, row_verdicts
from rally_pipeline.quality.notes import NEAR_BITS
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources.base import COLUMNS, Dataset, typed_frame

CATALOG = load_catalog(None)
CALENDARS = Calendars.from_catalog(CATALOG)
KNOWN_AT = dt.datetime(2025, 2, 20, tzinfo=dt.UTC)


def verdicts(
    dataset: Dataset, rows: list[dict[str, object]], others: pd.DataFrame | None = None
) -> dict[str, list[bool]]:
    blank = {
        name: {"float64": None, "int64": 0, "bool": False, "datetime64[s]": pd.Timestamp("2025-02-14")}.get(dtype, "")
        for name, dtype in COLUMNS[dataset].items()
    }
    frame = typed_frame(dataset, {name: [{**blank, **row}[name] for row in rows] for name in blank})
    facts = KnownFacts(others=others if others is not None else pd.DataFrame())
    batch = Batch(dataset, frame, CATALOG, CALENDARS, KNOWN_AT, facts)
    return {name: verdict.tolist() for name, verdict in row_verdicts(batch).items()}


def test_words_are_as_long_as_their_stretch() -> None:
    rows = [
        {"quote": "升13%", "start_offset": 5, "end_offset": 9},
        {"quote": "升13%", "start_offset": 5, "end_offset": 10},
        {"quote": "", "start_offset": 5, "end_offset": 5},
        {"quote": "𝟏3%", "start_offset": 0, "end_offset": 3},  # beyond the basic plane: one code point each
    ]
    assert verdicts(Dataset.NOTE_CLAIM, rows)["span_length"] == [True, False, False, True]


def test_a_window_does_not_end_before_it_begins() -> None:
    days = [pd.Timestamp("2025-01-10"), pd.Timestamp("2025-01-20"), pd.NaT]
    rows = [
        {"window_start_earliest": days[0], "window_start_latest": days[1], "window_end": days[2]},
        {"window_start_earliest": days[1], "window_start_latest": days[0], "window_end": days[2]},
        {"window_start_earliest": days[0], "window_start_latest": days[1], "window_end": days[0]},
        dict.fromkeys(("window_start_earliest", "window_start_latest", "window_end"), pd.NaT),
    ]
    assert verdicts(Dataset.NOTE_CLAIM, rows)["window_ordered"] == [True, False, False, True]


@pytest.mark.parametrize(
    ("now", "before", "plausible", "finite"),
    [
        (85, 75, True, True),
        (85, None, True, True),
        (850, 75, False, True),
        (1.0, 80, False, True),
        (np.inf, 2, False, False),
    ],
)
def test_targets(now: float, before: float | None, plausible: bool, finite: bool) -> None:
    said = verdicts(Dataset.RATING_ACTION, [{"target_price": now, "target_price_prior": before}])
    assert said["target_plausible"] == [plausible]
    assert said["value_finite"] == [finite]


def test_a_day_after_the_arrival_and_an_unknown_house_are_told() -> None:
    rows = [
        {
            "as_of_date": pd.Timestamp("2025-02-21"),
            "similarity_hash": "0" * 16,
            "broker_text": "UBS",
            "broker_id": "ubs",
        },
        {"as_of_date": pd.Timestamp("2025-02-22"), "similarity_hash": "0" * 16, "broker_text": "Nobody & Co."},
    ]
    said = verdicts(Dataset.NOTE, rows)
    assert said["date_after_arrival"] == [True, False]
    assert said["unknown_broker"] == [True, False]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_near_duplicates_are_those_a_comparison_of_all_pairs_finds(data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    hashes: list[int] = []
    for _ in range(rng.randint(1, 30)):
        one = rng.getrandbits(64) if not hashes or rng.random() < 0.5 else rng.choice(hashes)
        for _ in range(rng.randint(0, 5)):
            one ^= 1 << rng.randrange(64)
        hashes.append(one)
    known = rng.randint(0, len(hashes) // 2)
    others = pd.DataFrame(
        {"note_id": [f"n{i}" for i in range(known)], "similarity_hash": [f"{h:016x}" for h in hashes[:known]]}
    )
    rows = [{"note_id": f"n{i}", "similarity_hash": f"{h:016x}"} for i, h in enumerate(hashes) if i >= known]
    expected = [
        not one or not any((one ^ other).bit_count() <= NEAR_BITS for other in hashes[:at])
        for at, one in enumerate(hashes)
        if at >= known
    ]
    if rows:
        assert verdicts(Dataset.NOTE, rows, others)["near_duplicate"] == expected


def test_a_note_is_no_duplicate_of_itself() -> None:
    known = pd.DataFrame({"note_id": ["n1"], "similarity_hash": ["0123456789abcdef"]})
    rows: list[dict[str, object]] = [{"note_id": "n1", "similarity_hash": "0123456789abcdef"}]
    assert verdicts(Dataset.NOTE, rows, known)["near_duplicate"] == [True]


def test_similar_texts_have_similar_hashes() -> None:
    rng = random.Random(7)
    words = [f"word{rng.randrange(5000)}" for _ in range(600)]
    changed = list(words)
    changed[300] = "other"
    distance = (int(similarity_hash(" ".join(words)), 16) ^ int(similarity_hash(" ".join(changed)), 16)).bit_count()
    assert distance <= NEAR_BITS
    rng.shuffle(words)
    far = (int(similarity_hash(" ".join(words)), 16) ^ int(similarity_hash(" ".join(changed)), 16)).bit_count()
    assert far > 10


def test_short_texts_are_like_no_other() -> None:
    assert similarity_hash("UBS upgrades Tencent to Buy") == "0" * 16
    assert similarity_hash("南向资金净买入266亿港元，恒指上涨") != "0" * 16
