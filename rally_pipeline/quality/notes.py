"""What must hold of notes, mentions, claims and rating actions: for every rule written by hand, one verdict per row.

Belongs here: how a rule about documents is computed. Does not belong here: rules about figures of markets
(`market.py`), names and severities (`rules.py`), or whether a claim is true (`audit/`).
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from rally_pipeline.quality.market import Batch

Verdicts = npt.NDArray[np.bool_]

#: Two texts whose hashes differ in at most so many of 64 bits are nearly the same.
NEAR_BITS = 3
#: How many days around a note others are compared with it: a text is reprinted within weeks.
NEAR_DAYS = 45
#: A target beyond these multiples of the one before it, or the reverse, was printed in another unit.
_TARGET_FACTOR = 5.0


def note_verdicts(batch: Batch) -> dict[str, Verdicts]:
    """``date_after_arrival``, ``unknown_broker``, ``near_duplicate``."""
    frame = batch.frame
    return {
        "date_after_arrival": _arrived(frame["as_of_date"], batch.known_at),
        "unknown_broker": _known_broker(frame),
        "near_duplicate": _unlike(frame, batch.facts.others),
    }


def mention_verdicts(batch: Batch) -> dict[str, Verdicts]:
    """``span_length``."""
    frame = batch.frame
    return {"span_length": _span(frame, "mention_text")}


def claim_verdicts(batch: Batch) -> dict[str, Verdicts]:
    """``span_length``, ``window_ordered``, ``value_finite``, ``unknown_broker``, ``target_direction``."""
    frame = batch.frame
    numbers = frame[["value", "value_prior", "tolerance"]].to_numpy()
    return {
        "span_length": _span(frame, "quote"),
        "window_ordered": _ordered(frame, ("window_start_earliest", "window_start_latest", "window_end")),
        "value_finite": ~np.isinf(numbers).any(axis=1),
        "unknown_broker": _known_broker(frame),
        "target_direction": ~frame["is_conflict"].to_numpy(),
    }


def rating_verdicts(batch: Batch) -> dict[str, Verdicts]:
    """``date_after_arrival``, ``unknown_broker``, ``target_direction``, ``target_plausible``, ``value_finite``."""
    frame = batch.frame
    now, before = frame["target_price"].to_numpy(), frame["target_price_prior"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = now / before
    return {
        "date_after_arrival": _arrived(frame["action_date"], batch.known_at),
        "unknown_broker": _known_broker(frame),
        "target_direction": ~frame["is_conflict"].to_numpy(),
        "target_plausible": ~((ratio > _TARGET_FACTOR) | (ratio < 1 / _TARGET_FACTOR)),
        "value_finite": ~(np.isinf(now) | np.isinf(before)),
    }


def _span(frame: pd.DataFrame, words: str) -> Verdicts:
    length = (frame["end_offset"] - frame["start_offset"]).to_numpy()
    said = frame[words].str.len().to_numpy(dtype="float64", na_value=np.nan)
    verdict: Verdicts = (length > 0) & (length == said)
    return verdict


def _ordered(frame: pd.DataFrame, columns: Sequence[str]) -> Verdicts:
    met = np.ones(len(frame), bool)
    for first, second in itertools.pairwise(columns):
        met &= ~(frame[first] > frame[second]).to_numpy()
    return met


def _arrived(days: pd.Series[pd.Timestamp], known_at: dt.datetime) -> Verdicts:
    # In Auckland it is the next day already when it is noon in London.
    latest = pd.Timestamp(known_at.date()) + pd.Timedelta(days=1)
    return ~(days > latest).to_numpy()


def _known_broker(frame: pd.DataFrame) -> Verdicts:
    verdict: Verdicts = ((frame["broker_text"] == "") | (frame["broker_id"] != "")).to_numpy()
    return verdict


def _unlike(frame: pd.DataFrame, others: pd.DataFrame) -> Verdicts:
    """Whether no other note is nearly the same, of the batch or of those known: all of which `others` holds."""
    met = np.ones(len(frame), bool)
    hashes = np.array([int(text, 16) for text in frame["similarity_hash"].fillna("0")], dtype=np.uint64)
    ids = frame["note_id"].to_numpy()
    known: Mapping[str, int] = (
        dict(zip(others["note_id"], (int(text, 16) for text in others["similarity_hash"]), strict=True))
        if len(others)
        else {}
    )
    all_hashes = np.concatenate([hashes, np.array(list(known.values()), dtype=np.uint64)])
    all_ids = np.concatenate([ids, np.array(list(known), dtype=object)])
    # Two hashes that differ in three bits at most agree in one of their four quarters.
    for quarter in range(4):
        part = (all_hashes >> np.uint64(16 * quarter)) & np.uint64(0xFFFF)
        groups: dict[int, list[int]] = {}
        for position, value in enumerate(part.tolist()):
            groups.setdefault(value, []).append(position)
        for group in groups.values():
            if len(group) > 1 and group[0] < len(frame):
                _mark_near(met, all_hashes, all_ids, group)
    return met


def _mark_near(met: Verdicts, hashes: npt.NDArray[np.uint64], ids: npt.NDArray[np.object_], group: list[int]) -> None:
    values, names = hashes[group], ids[group]
    for position in group:
        if position >= len(met) or not met[position] or not hashes[position]:
            continue
        bits = np.bitwise_count(values ^ hashes[position])
        # The first of several alike stands; what was known before comes before all of the batch.
        earlier = np.array(group) < position
        earlier |= np.array(group) >= len(met)
        if ((bits <= NEAR_BITS) & (names != ids[position]) & earlier).any():
            met[position] = False
