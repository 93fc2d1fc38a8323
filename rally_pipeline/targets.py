"""Where the rows of each dataset go: core table, reported subject, columns named otherwise.

Belongs here: that mapping, and the shaping of a frame to its table. Does not belong here: reading or writing either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.schema import core, core_flows
from rally_pipeline.sources.base import Dataset


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


TARGETS = {
    Dataset.PRICE: Target(core.core_price_daily, "symbol", (Dataset.PRICE,), {"volume": "volume_shares"}),
    Dataset.FX: Target(core.core_fx_daily, "quote_currency", (Dataset.FX,)),
    Dataset.SOUTHBOUND_FLOW: Target(core_flows.core_southbound_flow_daily, "channel", _FLOWS),
    Dataset.NORTHBOUND_TURNOVER: Target(core_flows.core_northbound_turnover_daily, "channel", _FLOWS),
    Dataset.TOP_STOCK: Target(core_flows.core_southbound_top_stock_daily, "channel", _FLOWS),
    Dataset.BROKER_FLOW: Target(core_flows.core_broker_flow, "broker", _FLOWS, {"published_at": "published_text"}),
    Dataset.MARKET_TURNOVER: Target(core_flows.core_market_turnover_daily, "market", (Dataset.PRICE,)),
}


def core_frame(dataset: Dataset, rows: pd.DataFrame) -> pd.DataFrame:
    """Accepted rows in the columns of the core table."""
    target = TARGETS[dataset]
    frame = rows.rename(columns=dict(target.renames))
    # A text that was left empty is an empty text where the table knows no NULL: parts of a key are never unknown.
    empty = [c.name for c in target.table.columns if not c.nullable and isinstance(c.type, sa.String)]
    frame = frame.fillna({name: "" for name in empty if name in frame})
    if dataset is Dataset.PRICE:
        frame = frame.assign(
            is_flat_bar=_is_flat_bar(rows), split_ratio=rows["split_ratio"].where(rows["split_ratio"] > 0)
        )
    return frame


def _is_flat_bar(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    flat = np.zeros(len(rows), dtype=bool)
    for prefix in ("", "adj_"):
        bar = rows[[f"{prefix}{name}" for name in ("open", "high", "low", "close")]].to_numpy()
        flat |= bar.max(axis=1) == bar.min(axis=1)  # NaN is equal to nothing, so an incomplete bar is not flat
    flat &= rows["volume"].to_numpy() == 0
    return flat
