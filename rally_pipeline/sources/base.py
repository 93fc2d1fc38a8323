"""The three steps every source has, and the records that pass between them.

A source is a module with ``plan`` (what to ask), ``fetch`` (ask, interpret nothing) and ``parse`` (pure: bytes in,
typed frame out; no clock, no network, no environment). Belongs here: the records and the frame columns that all
sources share. Does not belong here: HTTP (`http.py`) or the format of any one upstream.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Dataset(StrEnum):
    """What a payload is about; decides which core table its rows go to."""

    PRICE = "price"
    FX = "fx"
    SOUTHBOUND_FLOW = "southbound_flow"
    NORTHBOUND_TURNOVER = "northbound_turnover"
    TOP_STOCK = "top_stock"
    BROKER_FLOW = "broker_flow"
    MARKET_TURNOVER = "market_turnover"
    NOTE = "note"
    NOTE_MENTION = "note_mention"
    NOTE_CLAIM = "note_claim"
    RATING_ACTION = "rating_action"


@dataclass(frozen=True)
class FetchRequest:
    """What is asked of an upstream, or which file was dropped. Contains no secrets: it is archived as it stands.

    Attributes:
        source: name of the source module or, for a dropped file, of the provider the user named.
        parser: name of the source module whose ``parse`` reads the answer (differs from ``source`` for files).
        dataset: which core table the rows are for.
        subject: symbol, or name of the file or series (``eurofxref-hist-90d``).
        url: upstream address without ``RALLY_UPSTREAM_BASE``; ``""`` for a file or a client library.
        params: query parameters or options of the parser, all strings.
        start, end: first and last market date asked for, both inclusive; ``None`` = whatever there is.
    """

    source: str
    parser: str
    dataset: Dataset
    subject: str
    url: str = ""
    params: dict[str, str] = field(default_factory=dict)
    start: dt.date | None = None
    end: dt.date | None = None


@dataclass(frozen=True)
class Payload:
    """The answer as it came.

    Attributes:
        request: what was asked.
        body: the bytes (or the exact rows a client library returned, serialised).
        media_type: as the upstream said, ``""`` if it did not.
        status: HTTP status; 200 for files.
        fetched_at: aware UTC time at which the answer was complete.
    """

    request: FetchRequest
    body: bytes
    media_type: str
    status: int
    fetched_at: dt.datetime

    @cached_property
    def payload_id(self) -> str:
        """SHA-256 of the body in hexadecimal: the address in the archive."""
        return hashlib.sha256(self.body).hexdigest()


class Severity(StrEnum):
    """What follows from a finding: *error* stops the payload, *quarantine* sets a row aside, *warn* records."""

    ERROR = "error"
    QUARANTINE = "quarantine"
    WARN = "warn"


@dataclass(frozen=True)
class Finding:
    """Something about a payload that a person should be able to read later.

    Attributes:
        rule: stable snake_case name.
        severity: what follows from it.
        message: one sentence with the values seen.
        locator: where in the payload.
        rows: how many rows it is about.
    """

    rule: str
    severity: Severity
    message: str
    locator: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Parsed:
    """What a payload says.

    Attributes:
        frame: rows of the request's dataset in the columns of `COLUMNS`, in that order and with those dtypes.
        findings: what was noticed while reading (rows without a close left out, …).
        extra: rows of other datasets that the same payload holds (top-ten lists beside the day's flows).
    """

    frame: pd.DataFrame
    findings: tuple[Finding, ...] = ()
    extra: Mapping[Dataset, pd.DataFrame] = field(default_factory=dict)


#: Price frame. ``session_date`` is the market-local date at midnight, naive. Prices are in ``currency``; ``open`` to
#: ``close`` are unadjusted (as traded; split-adjusted where the upstream only has that), ``adj_*`` are adjusted for
#: dividends as well; NaN = not given. ``volume`` is in shares (float64 so that NaN can say "not given"), ``turnover``
#: in whole units of ``currency``, ``dividend`` per share, ``split_ratio`` new shares per old share (0 or NaN = none).
#: ``locator`` says where in the payload the row stands.
PRICE_COLUMNS: dict[str, str] = {
    "symbol": "str",
    "session_date": "datetime64[s]",
    "open": "float64",
    "high": "float64",
    "low": "float64",
    "close": "float64",
    "adj_open": "float64",
    "adj_high": "float64",
    "adj_low": "float64",
    "adj_close": "float64",
    "volume": "float64",
    "turnover": "float64",
    "dividend": "float64",
    "split_ratio": "float64",
    "currency": "str",
    "locator": "str",
}

#: FX frame: one unit of ``base_currency`` is worth ``rate`` units of ``quote_currency`` on ``rate_date``.
FX_COLUMNS: dict[str, str] = {
    "base_currency": "str",
    "quote_currency": "str",
    "rate_date": "datetime64[s]",
    "rate": "float64",
    "locator": "str",
}

#: Southbound flow frame: what mainland investors bought and sold in Hong Kong through a channel (``total``, ``sse``,
#: ``szse``) in a session, in HK$ million; counts are trades; NaN = not given.
SOUTHBOUND_FLOW_COLUMNS: dict[str, str] = {
    "channel": "str",
    "session_date": "datetime64[s]",
    "buy_hkd_mn": "float64",
    "sell_hkd_mn": "float64",
    "net_buy_hkd_mn": "float64",
    "turnover_hkd_mn": "float64",
    "buy_trade_count": "float64",
    "sell_trade_count": "float64",
    "etf_turnover_hkd_mn": "float64",
    "locator": "str",
}

#: Northbound frame, CNY million; buy, sell and net have not been published since 2024-08-19 and are then NaN.
NORTHBOUND_TURNOVER_COLUMNS: dict[str, str] = {
    "channel": "str",
    "session_date": "datetime64[s]",
    "turnover_cny_mn": "float64",
    "buy_cny_mn": "float64",
    "sell_cny_mn": "float64",
    "net_buy_cny_mn": "float64",
    "trade_count": "float64",
    "locator": "str",
}

#: Ten most active southbound shares of a channel; ``stock_code`` has five digits, ``symbol`` is in Yahoo notation,
#: amounts are whole HK$.
TOP_STOCK_COLUMNS: dict[str, str] = {
    "channel": "str",
    "session_date": "datetime64[s]",
    "rank": "int64",
    "stock_code": "str",
    "symbol": "str",
    "stock_name": "str",
    "buy_hkd": "float64",
    "sell_hkd": "float64",
    "turnover_hkd": "float64",
    "locator": "str",
}

#: What brokers print about flows, long form: one figure a row, ``value`` as printed in ``unit`` of ``currency``.
BROKER_FLOW_COLUMNS: dict[str, str] = {
    "broker": "str",
    "report_title": "str",
    "report_date": "datetime64[s]",
    "published_at": "str",
    "period_start": "datetime64[s]",
    "period_end": "datetime64[s]",
    "period_basis": "str",
    "flow_family": "str",
    "channel": "str",
    "market": "str",
    "style": "str",
    "dimension": "str",
    "dimension_value": "str",
    "metric": "str",
    "value": "float64",
    "unit": "str",
    "currency": "str",
    "trading_days": "float64",
    "revision_of": "str",
    "page_ref": "str",
    "entered_by": "str",
    "note": "str",
    "locator": "str",
}

#: Notes: one row for each part of a document; the columns are those of ``core_note`` less ``source``.
NOTE_COLUMNS: dict[str, str] = {
    "note_id": "str",
    "as_of_date": "datetime64[s]",
    "as_of_basis": "str",
    "document_sha256": "str",
    "part": "str",
    "file_name": "str",
    "file_type": "str",
    "title": "str",
    "broker_id": "str",
    "broker_text": "str",
    "broker_basis": "str",
    "analyst": "str",
    "analyst_basis": "str",
    "newspaper": "str",
    "external_id": "str",
    "language": "str",
    "text_sha256": "str",
    "similarity_hash": "str",
    "text": "str",
    "page_starts": "str",
    "warnings": "str",
    "claim_count": "int64",
    "extractor_version": "str",
    "locator": "str",
}

#: Names in notes; offsets are code points of the note's canonical text.
NOTE_MENTION_COLUMNS: dict[str, str] = {
    "note_id": "str",
    "start_offset": "int64",
    "end_offset": "int64",
    "as_of_date": "datetime64[s]",
    "mention_kind": "str",
    "mention_text": "str",
    "entity_id": "str",
    "other_readings": "str",
    "extractor_version": "str",
    "locator": "str",
}

#: Claims; the columns are those of ``core_note_claim`` less ``source``, see there.
NOTE_CLAIM_COLUMNS: dict[str, str] = {
    "claim_id": "str",
    "note_id": "str",
    "as_of_date": "datetime64[s]",
    "as_of_basis": "str",
    "claim_type": "str",
    "rule_id": "str",
    "repeat_of": "str",
    "subject_text": "str",
    "subject_id": "str",
    "metric": "str",
    "direction": "str",
    "comparator": "str",
    "value": "float64",
    "value_prior": "float64",
    "unit": "str",
    "currency": "str",
    "tolerance": "float64",
    "hedge": "str",
    "is_scale_word_chinese": "bool",
    "window_kind": "str",
    "window_text": "str",
    "window_start_earliest": "datetime64[s]",
    "window_start_latest": "datetime64[s]",
    "window_end": "datetime64[s]",
    "window_event_id": "str",
    "window_months": "float64",
    "window_days": "float64",
    "is_base_inclusive": "float64",
    "is_window_inherited": "bool",
    "timing": "str",
    "source_kind": "str",
    "broker_id": "str",
    "broker_text": "str",
    "speaker": "str",
    "speaker_role": "str",
    "quote_kind": "str",
    "stance": "str",
    "rating_action": "str",
    "target_action": "str",
    "action_text": "str",
    "rating": "str",
    "rating_prior": "str",
    "analyst": "str",
    "is_conflict": "bool",
    "statement_class": "str",
    "investors": "str",
    "polarity": "float64",
    "details": "str",
    "start_offset": "int64",
    "end_offset": "int64",
    "quote": "str",
    "prefix": "str",
    "suffix": "str",
    "page": "int64",
    "extractor_version": "str",
    "locator": "str",
}

#: Turnover of a whole market in a session, each trade counted once, in HK$ million.
MARKET_TURNOVER_COLUMNS: dict[str, str] = {
    "market": "str",
    "session_date": "datetime64[s]",
    "turnover_hkd_mn": "float64",
    "locator": "str",
}

#: What brokers did to a rating or a price target, one action a row, from notes and from structured feeds alike.
#: ``action_id`` is a hash that the same action has in every fetch; ``note_id`` and ``claim_id`` are empty for a feed.
#: ``broker_id`` and ``symbol`` are the catalog's, empty where it knows none; ``broker_text`` and ``subject_text`` as
#: printed. ``rating_action`` (Upgrade Downgrade Reiterate Initiate Drop Revise) and ``target_action`` (Increase
#: Decrease Reiterate Update) are RIXML words, empty where none is said; ``action_text`` keeps the source's own words.
#: ``action_date`` is the day in the market of the share. Targets are per share in whole units of ``currency``; NaN =
#: not given. ``is_conflict``: the word for the change of the target and its two numbers disagree.
RATING_ACTION_COLUMNS: dict[str, str] = {
    "action_id": "str",
    "note_id": "str",
    "claim_id": "str",
    "broker_id": "str",
    "broker_text": "str",
    "analyst": "str",
    "subject_text": "str",
    "symbol": "str",
    "action_date": "datetime64[s]",
    "rating_action": "str",
    "action_text": "str",
    "rating": "str",
    "rating_prior": "str",
    "target_action": "str",
    "target_price": "float64",
    "target_price_prior": "float64",
    "currency": "str",
    "is_conflict": "bool",
    "locator": "str",
}

COLUMNS: dict[Dataset, dict[str, str]] = {
    Dataset.PRICE: PRICE_COLUMNS,
    Dataset.FX: FX_COLUMNS,
    Dataset.SOUTHBOUND_FLOW: SOUTHBOUND_FLOW_COLUMNS,
    Dataset.NORTHBOUND_TURNOVER: NORTHBOUND_TURNOVER_COLUMNS,
    Dataset.TOP_STOCK: TOP_STOCK_COLUMNS,
    Dataset.BROKER_FLOW: BROKER_FLOW_COLUMNS,
    Dataset.MARKET_TURNOVER: MARKET_TURNOVER_COLUMNS,
    Dataset.NOTE: NOTE_COLUMNS,
    Dataset.NOTE_MENTION: NOTE_MENTION_COLUMNS,
    Dataset.NOTE_CLAIM: NOTE_CLAIM_COLUMNS,
    Dataset.RATING_ACTION: RATING_ACTION_COLUMNS,
}


def typed_frame(dataset: Dataset, data: dict[str, Any]) -> pd.DataFrame:
    """Builds a frame of `dataset` with all its columns in order; columns not in `data` are missing values
    (``False`` for a truth value).

    Raises:
        ValueError: a column is not one of the dataset's, or a value does not fit its type.
    """
    # Here and not above: definitions need the names of datasets, and not the half second of pandas.
    import numpy as np
    import pandas as pd

    columns = COLUMNS[dataset]
    unknown = set(data) - set(columns)
    if unknown:
        raise ValueError(f"not columns of a {dataset} frame: {sorted(unknown)}")
    given: dict[Any, Any]
    if all(isinstance(values, list | np.ndarray) for values in data.values()):
        given = {name: pd.Series(values) for name, values in data.items()}
    else:  # series are aligned by their index, and single values stand in all rows
        given = dict(pd.DataFrame(data).items())
    rows = len(next(iter(given.values()), ()))
    arrays = {}
    for name, dtype in columns.items():
        if name not in given:
            arrays[name] = _missing(dtype, rows)
        else:
            is_typed = given[name].dtype == (wanted := _dtype(dtype))
            arrays[name] = (given[name] if is_typed else given[name].astype(wanted)).array
    return pd.DataFrame(arrays)


@functools.cache
def _dtype(name: str) -> Any:
    import pandas as pd

    return pd.api.types.pandas_dtype(name)


def _missing(dtype: str, rows: int) -> Any:
    """So many missing values; of truth values, what was not said is not so: pandas would make True of it."""
    import pandas as pd

    value = {"float64": float("nan"), "bool": False}.get(dtype)
    return pd.array([value] * rows, dtype=_dtype(dtype))
