"""Where the rows of each dataset go: core table, reported subject, columns named otherwise.

Belongs here: that mapping, and the shaping of a frame to its table. Does not belong here: reading or writing either.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rally_pipeline.schema import column_info, core, core_flows, core_notes
from rally_pipeline.schema.declare import VERSION_COLUMNS, Matches, NoRule
from rally_pipeline.sources.base import COLUMNS, Dataset

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


@dataclass(frozen=True)
class Target:
    """Where a dataset's rows go.

    Attributes:
        table: the core table.
        subject_column: key column by which changes are reported.
        carriers: datasets of the requests whose answers may hold such rows.
        renames: frame columns that are named otherwise in the table.
    """

    table: sa.Table
    subject_column: str
    carriers: tuple[Dataset, ...]
    renames: Mapping[str, str] = field(default_factory=dict)


_FLOWS = (Dataset.SOUTHBOUND_FLOW, Dataset.NORTHBOUND_TURNOVER, Dataset.BROKER_FLOW)
_NOTES = (Dataset.NOTE,)


TARGETS = {
    Dataset.PRICE: Target(core.core_price_daily, "symbol", (Dataset.PRICE,), {"volume": "volume_shares"}),
    Dataset.FX: Target(core.core_fx_daily, "quote_currency", (Dataset.FX,)),
    Dataset.SOUTHBOUND_FLOW: Target(core_flows.core_southbound_flow_daily, "channel", _FLOWS),
    Dataset.NORTHBOUND_TURNOVER: Target(core_flows.core_northbound_turnover_daily, "channel", _FLOWS),
    Dataset.TOP_STOCK: Target(core_flows.core_southbound_top_stock_daily, "channel", _FLOWS),
    Dataset.BROKER_FLOW: Target(core_flows.core_broker_flow, "broker", _FLOWS, {"published_at": "published_text"}),
    Dataset.MARKET_TURNOVER: Target(core_flows.core_market_turnover_daily, "market", (Dataset.PRICE,)),
    Dataset.NOTE: Target(core_notes.core_note, "note_id", _NOTES),
    Dataset.NOTE_MENTION: Target(core_notes.core_note_mention, "note_id", _NOTES),
    Dataset.NOTE_CLAIM: Target(core_notes.core_note_claim, "note_id", _NOTES),
    Dataset.RATING_ACTION: Target(core_notes.core_rating_action, "action_id", (*_NOTES, Dataset.RATING_ACTION)),
}


def core_frame(dataset: Dataset, rows: pd.DataFrame) -> pd.DataFrame:
    """Accepted rows in the columns of the core table; counts are rounded to whole ones."""
    renames = TARGETS[dataset].renames
    frame = rows.rename(columns=dict(renames)) if renames else rows
    parts = [name for name in _counts(dataset) if frame[name].dtype.kind == "f" and (frame[name] % 1 > 0).any()]
    if parts:
        frame = frame.assign(**{name: frame[name].round() for name in parts})
    if dataset is Dataset.PRICE:
        frame = frame.assign(
            is_flat_bar=_is_flat_bar(rows), split_ratio=rows["split_ratio"].where(rows["split_ratio"] > 0)
        )
    return frame


@functools.cache
def _counts(dataset: Dataset) -> tuple[str, ...]:
    """Columns of the table that hold whole numbers, of those a frame brings."""
    renames = TARGETS[dataset].renames
    columns = (TARGETS[dataset].table.c[renames.get(name, name)] for name in COLUMNS[dataset])
    return tuple(column.name for column in columns if isinstance(column.type, sa.Integer))


def with_empty_texts(dataset: Dataset, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with empty texts for missing ones wherever the declaration knows no NULL but allows an empty text.

    A part of a key is never unknown: what a row leaves out, it leaves empty.
    """
    empty = [name for name in _empty_texts(dataset) if name in frame.columns]
    return frame.fillna(dict.fromkeys(empty, "")) if empty else frame


@functools.cache
def _empty_texts(dataset: Dataset) -> tuple[str, ...]:
    """Columns of the frame."""
    target = TARGETS[dataset]
    named = {of: name for name, of in target.renames.items()}
    return tuple(named.get(column.name, column.name) for column in target.table.columns if _may_be_empty(column))


def _may_be_empty(column: sa.Column[Any]) -> bool:
    is_text = isinstance(column.type, sa.String) and not column.nullable and column.name not in VERSION_COLUMNS
    return is_text and all(
        isinstance(rule, NoRule) or (isinstance(rule, Matches) and re.fullmatch(rule.regex, "") is not None)
        for rule in column_info(column).rules
    )


def _is_flat_bar(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    # Here and not above: definitions need the mapping, and not the half second of pandas.
    import numpy as np

    flat = np.zeros(len(rows), dtype=bool)
    for prefix in ("", "adj_"):
        bar = rows[[f"{prefix}{name}" for name in ("open", "high", "low", "close")]].to_numpy()
        flat |= bar.max(axis=1) == bar.min(axis=1)  # NaN is equal to nothing, so an incomplete bar is not flat
    flat &= rows["volume"].to_numpy() == 0
    return flat
