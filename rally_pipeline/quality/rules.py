"""Every rule of the gate, by name: what must hold, what follows where it does not, and how it is asserted.

Rules are of two kinds. The baseline follows from the declaration of the core table; market rules are written by hand
and computed in `market.py` as one column of verdicts each. Both become Great Expectations expectations in `suites.py`.
Imports nothing heavy. Belongs here: names, severities, order. Does not belong here: how a verdict is computed.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from rally_pipeline.quality.results import RuleInfo
from rally_pipeline.schema import core, core_flows, core_notes
from rally_pipeline.schema.declare import Matches, OneOf, Range, column_info, table_info
from rally_pipeline.sources.base import COLUMNS, Dataset, Severity

TABLES: Mapping[Dataset, sa.Table] = {
    Dataset.PRICE: core.core_price_daily,
    Dataset.FX: core.core_fx_daily,
    Dataset.SOUTHBOUND_FLOW: core_flows.core_southbound_flow_daily,
    Dataset.NORTHBOUND_TURNOVER: core_flows.core_northbound_turnover_daily,
    Dataset.TOP_STOCK: core_flows.core_southbound_top_stock_daily,
    Dataset.BROKER_FLOW: core_flows.core_broker_flow,
    Dataset.MARKET_TURNOVER: core_flows.core_market_turnover_daily,
    Dataset.NOTE: core_notes.core_note,
    Dataset.NOTE_MENTION: core_notes.core_note_mention,
    Dataset.NOTE_CLAIM: core_notes.core_note_claim,
    Dataset.RATING_ACTION: core_notes.core_rating_action,
}
#: Columns of the frames that are named otherwise in the tables.
RENAMES: Mapping[Dataset, Mapping[str, str]] = {
    Dataset.PRICE: {"volume": "volume_shares"},
    Dataset.BROKER_FLOW: {"published_at": "published_text"},
}
#: Columns that no row brings, with who answers for them.
SET_BY_LOADER = {
    "source": "the request's, equal in all rows",
    "is_flat_bar": "computed from the row",
    "known_from_at": "set by the merge",
    "known_to_at": "set by the merge",
    "payload_id": "set by the merge",
}
#: Which rules answer for a declared reference to another table.
REFERENCE_RULES = {"session_date": "bar_on_closed_day", "symbol": "symbol_known"}
#: Zero means "no split" in a frame and is stored as NULL.
_ZERO_IS_NONE = frozenset({"split_ratio"})

CheckKind = Literal["present", "range", "listed", "format", "type", "unique", "verdict", "all_verdicts"]


@dataclass(frozen=True)
class Check:
    """One expectation to be asserted on a frame; several may share a rule.

    Attributes:
        rule: name of the rule it belongs to.
        kind: what is asserted; *verdict* = the column of that name, computed by hand, is true;
            *all_verdicts* = all such columns are.
        columns: frame columns, or the column of verdicts.
        options: bounds, values or regular expression.
    """

    rule: str
    kind: CheckKind
    columns: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


_ERROR, _QUARANTINE, _WARN = Severity.ERROR, Severity.QUARANTINE, Severity.WARN
_FLOW_LIKE = (Dataset.SOUTHBOUND_FLOW, Dataset.NORTHBOUND_TURNOVER, Dataset.TOP_STOCK, Dataset.MARKET_TURNOVER)
_ON_SESSIONS = (Dataset.PRICE, Dataset.SOUTHBOUND_FLOW, Dataset.TOP_STOCK, Dataset.MARKET_TURNOVER)
_SERIES = (Dataset.PRICE, Dataset.FX, Dataset.SOUTHBOUND_FLOW, Dataset.NORTHBOUND_TURNOVER, Dataset.MARKET_TURNOVER)
#: What is read from documents: one payload says nothing about how long another should be.
DOCUMENTS = (Dataset.NOTE, Dataset.NOTE_MENTION, Dataset.NOTE_CLAIM, Dataset.RATING_ACTION)
_COUNTED = tuple(dataset for dataset in Dataset if dataset not in DOCUMENTS)

#: Rules written by hand, most telling first: a row that breaks several is set aside under the first.
_MARKET_RULES: tuple[tuple[str, tuple[Dataset, ...], Severity, bool, str], ...] = (
    ("session_not_over", _ON_SESSIONS, _QUARANTINE, False,
     "The session was over, closing auction included, when the row was fetched."),
    ("session_unknown", _ON_SESSIONS, _QUARANTINE, False, "The calendar knows whether the day is a session."),
    ("bar_on_closed_day", _ON_SESSIONS, _QUARANTINE, False, "The day is a session of the market."),
    ("day_not_over", (Dataset.FX, Dataset.NORTHBOUND_TURNOVER), _QUARANTINE, False,
     "The day is not after the one on which the row was fetched."),
    ("period_not_begun", (Dataset.BROKER_FLOW,), _QUARANTINE, False,
     "The period had begun when the figure was entered."),
    ("period_ordered", (Dataset.BROKER_FLOW,), _QUARANTINE, False, "The period does not end before it starts."),
    ("unique_session", tuple(Dataset), _ERROR, False, "No two rows are about the same fact."),
    ("currency_matches", (Dataset.PRICE,), _ERROR, False, "Prices are in the instrument's currency."),
    ("symbol_known", (Dataset.PRICE,), _ERROR, False, "The instrument is in the catalog."),
    ("suspected_unit_error", (Dataset.BROKER_FLOW,), _ERROR, True,
     "No week's figure is off by a power of ten from the sum of the days known."),
    ("week_matches", (Dataset.BROKER_FLOW,), _ERROR, True,
     "A week's figure is within 1 % of the sum of the days known."),
    ("missing_split_adjust", (Dataset.PRICE,), _QUARANTINE, False,
     "Prices before a split are on the same footing as those after it."),
    ("bad_split", (Dataset.PRICE,), _QUARANTINE, False,
     "No single bar or run is off its neighbours by the ratio of a split."),
    ("hundredfold_error", (Dataset.PRICE,), _QUARANTINE, False,
     "No bar or run is a hundred times, or a hundredth of, its neighbours."),
    ("missing_dividend_adjust", (Dataset.PRICE,), _QUARANTINE, False,
     "Adjusted closes before a dividend are adjusted for it."),
    ("bad_dividend", (Dataset.PRICE,), _QUARANTINE, False,
     "A dividend agrees with the step of the adjusted closes and is plausible beside the price."),
    ("price_positive", (Dataset.PRICE,), _QUARANTINE, False, "Prices are above zero and finite."),
    ("volume_not_negative", (Dataset.PRICE,), _QUARANTINE, False, "Volume is finite and not negative."),
    ("rate_positive", (Dataset.FX,), _QUARANTINE, False, "The rate is above zero and finite."),
    ("value_finite", (Dataset.BROKER_FLOW, Dataset.NOTE_CLAIM, Dataset.RATING_ACTION), _QUARANTINE, False,
     "The figure is a finite number."),
    ("amount_finite", _FLOW_LIKE, _QUARANTINE, False, "Amounts and counts are finite."),
    ("amount_not_negative", _FLOW_LIKE, _QUARANTINE, False, "Amounts and counts other than net buy are not negative."),
    ("high_is_highest", (Dataset.PRICE,), _QUARANTINE, False,
     "High is not below close or low (1e-6), nor below open by more than 2 %."),
    ("low_is_lowest", (Dataset.PRICE,), _QUARANTINE, False,
     "Low is not above close or high (1e-6), nor above open by more than 2 %."),
    ("open_within_range", (Dataset.PRICE,), _WARN, False, "Open lies between low and high (1e-6)."),
    ("level_jump", (Dataset.PRICE, Dataset.FX), _QUARANTINE, False,
     "The close is near the last known one: within 25 % for indices, 40 % for funds, 50 % for rates and a factor of "
     "four for shares; dividends are added back, and after a month without data nothing is compared."),
    ("large_move", (Dataset.PRICE,), _WARN, False,
     "The close is within 12 % (indices), 15 % (funds) or 30 % (shares) of the last known one."),
    ("adjusted_not_above", (Dataset.PRICE,), _WARN, False,
     "The adjusted close is not above the unadjusted one (1e-3): dividends are taken off."),
    ("volume_plausible", (Dataset.PRICE,), _WARN, False,
     "Volume is within a factor of 500 of that of the session before: no unit was mistaken."),
    ("figures_complete", (Dataset.PRICE, Dataset.SOUTHBOUND_FLOW), _WARN, False,
     "A row gives what nine in ten rows of its subject give."),
    ("unit_plausible", (Dataset.SOUTHBOUND_FLOW, Dataset.NORTHBOUND_TURNOVER, Dataset.MARKET_TURNOVER), _QUARANTINE,
     False, "Turnover is within a factor of thirty of the median of the sessions before: no unit was mistaken."),
    ("turnover_is_buy_and_sell", (Dataset.SOUTHBOUND_FLOW, Dataset.NORTHBOUND_TURNOVER), _QUARANTINE, False,
     "Buy plus sell is turnover within 0.02 million, or 2 million where figures are whole millions."),
    ("net_is_buy_less_sell", (Dataset.SOUTHBOUND_FLOW, Dataset.NORTHBOUND_TURNOVER), _QUARANTINE, False,
     "Buy less sell is net buy within 0.02 million, or 2 million where figures are whole millions."),
    ("top_turnover_is_buy_and_sell", (Dataset.TOP_STOCK,), _QUARANTINE, False,
     "Buy plus sell is turnover within one dollar."),
    ("rank_unique", (Dataset.TOP_STOCK,), _QUARANTINE, False, "No rank of a channel's list is taken twice."),
    ("total_is_channels", (Dataset.SOUTHBOUND_FLOW, Dataset.NORTHBOUND_TURNOVER), _WARN, False,
     "The total is Shanghai plus Shenzhen within 0.03 million."),
    ("stale_repeat", _SERIES, _QUARANTINE, False, "The figures are not those of the previous session again."),
    ("fx_peg_band", (Dataset.FX,), _WARN, False,
     "A US dollar is worth 7.75 to 7.85 Hong Kong dollars, directly or through the euro rates of the same day."),
    ("far_from_other_sources", (Dataset.PRICE, Dataset.FX), _WARN, False,
     "The close is near that of the other sources for the same day: 0.5 % for indices, 1 % else."),
    ("flat_zero_volume_half_day", (Dataset.PRICE,), _WARN, False,
     "A half-day has a bar of its own rather than one price and no volume; such a bar is flagged and kept."),
    ("zero_volume_full_session", (Dataset.PRICE,), _WARN, False, "A share or fund traded on a full session."),
    ("expected_sessions_present", _ON_SESSIONS, _WARN, True,
     "Every session asked for, or between first and last row, has a row."),
    ("span_length", (Dataset.NOTE_MENTION, Dataset.NOTE_CLAIM), _QUARANTINE, False,
     "The words are as long as the stretch of text they stand in."),
    ("window_ordered", (Dataset.NOTE_CLAIM,), _QUARANTINE, False, "A stretch of time does not end before it begins."),
    ("date_after_arrival", (Dataset.NOTE, Dataset.RATING_ACTION), _WARN, False,
     "The day is not after the one on which the document arrived."),
    ("unknown_broker", (Dataset.NOTE, Dataset.NOTE_CLAIM, Dataset.RATING_ACTION), _WARN, False,
     "A house that is named is in the catalog."),
    ("near_duplicate", (Dataset.NOTE,), _WARN, False,
     "No note of the weeks around has nearly the same text."),
    ("target_direction", (Dataset.NOTE_CLAIM, Dataset.RATING_ACTION), _WARN, False,
     "The word for a change of target and its two numbers agree."),
    ("target_plausible", (Dataset.RATING_ACTION,), _WARN, False,
     "A target is within a factor of five of the one before it."),
    ("row_count_band", _COUNTED, _WARN, True,
     "The payload has between half and twice as many rows as the source's last ones of its kind."),
)  # fmt: skip

#: Ranges of several columns that go by one name.
_RANGE_FAMILY: Mapping[Dataset, Mapping[str, str]] = {
    Dataset.PRICE: {
        **{f"{p}{n}": "price_positive" for p in ("", "adj_") for n in ("open", "high", "low", "close")},
        "volume": "volume_not_negative",
    },
    Dataset.FX: {"rate": "rate_positive"},
    **{
        dataset: {name: "amount_not_negative" for name, dtype in COLUMNS[dataset].items() if dtype == "float64"}
        for dataset in _FLOW_LIKE
    },
}


@functools.cache
def rules_for(dataset: Dataset) -> tuple[RuleInfo, ...]:
    """The rules of a dataset in the order in which they name a row: market rules first, then the baseline."""
    market = tuple(
        RuleInfo(rule, dataset, severity, is_batch, description, is_baseline=False)
        for rule, datasets, severity, is_batch, description in _MARKET_RULES
        if dataset in datasets
    )
    named = {info.rule for info in market}
    baseline = {info.rule: info for info, _ in _baseline(dataset) if info.rule not in named}
    return (*market, *baseline.values())


@functools.cache
def checks_for(dataset: Dataset) -> tuple[Check, ...]:
    """The expectations to assert on a frame of a dataset; every rule about rows has at least one."""
    checks = [check for _, check in _baseline(dataset)]
    checks.append(Check("unique_session", "unique", key_columns(dataset)))
    asserted = {check.rule for check in checks}
    checks += [
        Check(info.rule, "verdict", (info.rule,))
        for info in rules_for(dataset)
        if not info.is_batch and info.rule not in asserted
    ]
    return tuple(checks)


def batch_checks_for(dataset: Dataset) -> tuple[Check, ...]:
    """The expectations about a payload as a whole, asserted on one row of verdicts."""
    return tuple(
        Check(info.rule, "verdict", (info.rule,))
        for info in rules_for(dataset)
        if info.is_batch and info.rule != "column_types"
    )


@functools.cache
def key_columns(dataset: Dataset) -> tuple[str, ...]:
    """Frame columns that identify a row within one payload."""
    key = table_info(TABLES[dataset]).natural_key
    return tuple(name for name in COLUMNS[dataset] if name in key)


def _most(kind: sa.Integer) -> int:
    """The greatest count a column may hold: of 64 bits, as much as a double tells exactly, so that sums fit too."""
    return 2**53 if isinstance(kind, sa.BigInteger) else 2**31 - 1


def _baseline(dataset: Dataset) -> list[tuple[RuleInfo, Check]]:
    """What the declaration says, as rules with their expectations."""
    table, renames = TABLES[dataset], RENAMES.get(dataset, {})
    made: list[tuple[RuleInfo, Check]] = []

    def add(
        rule: str, kind: CheckKind, column: str, text: str, severity: Severity = _QUARANTINE, **options: Any
    ) -> None:
        info = RuleInfo(rule, dataset, severity, rule == "column_types", text, is_baseline=True)
        made.append((info, Check(rule, kind, (column,), options)))

    for name, dtype in COLUMNS[dataset].items():
        add("column_types", "type", name, "Every column has its declared type.", _ERROR, dtype=dtype)
        declared = table.columns[renames.get(name, name)]
        if not declared.nullable:
            add(f"{name}_present", "present", name, f"Never missing: {declared.comment}")
        for rule in column_info(declared).rules:
            if isinstance(rule, Range):
                family = _RANGE_FAMILY.get(dataset, {}).get(name)
                strict = rule.strict_low and name not in _ZERO_IS_NONE
                options: dict[str, Any] = {"low": rule.low, "high": rule.high, "strict_low": strict}
                if isinstance(declared.type, sa.Integer):
                    options["high"] = min(float("inf") if rule.high is None else rule.high, _most(declared.type))
                elif family in ("price_positive", "rate_positive"):
                    options["high"] = sys.float_info.max  # infinity is no price
                add(family or f"{name}_range", "range", name, f"{_range_text(rule)}: {declared.comment}", **options)
            elif isinstance(rule, OneOf):
                add(f"{name}_listed", "listed", name, f"One of {', '.join(rule.values)}.", values=rule.values)
            elif isinstance(rule, Matches):
                options = {"regex": rf"^(?:{rule.regex})\Z"}
                add(f"{name}_format", "format", name, f"Matches {rule.regex}: {declared.comment}", **options)
                re.compile(options["regex"])
    return made


def _range_text(rule: Range) -> str:
    low = f"{'above' if rule.strict_low else 'at least'} {rule.low:g}" if rule.low is not None else ""
    high = f"at most {rule.high:g}" if rule.high is not None else ""
    return " and ".join(part for part in (low, high) if part).capitalize()


def severity_of(dataset: Dataset, rule: str) -> Severity:
    """What follows where a rule is not met.

    Raises:
        KeyError: the dataset has no such rule.
    """
    return _by_name(dataset)[rule].severity


@functools.cache
def _by_name(dataset: Dataset) -> dict[str, RuleInfo]:
    return {info.rule: info for info in rules_for(dataset)}
