"""The gate: which rows of a parsed payload may enter the warehouse, and what every expectation said of them.

The one door to core. Verdicts are computed (`market.py`), asserted (`suites.py`), and acted on here: a rule of
severity *error* refuses the payload, *quarantine* sets rows aside under the first rule they broke, *warn* is recorded.
Knows no warehouse: what was known before comes as `KnownFacts`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rally_pipeline.errors import PayloadError
from rally_pipeline.quality import suites
from rally_pipeline.quality.market import Batch as Batch
from rally_pipeline.quality.market import batch_observations, row_verdicts
from rally_pipeline.quality.results import QualityResult, RuleInfo
from rally_pipeline.quality.rules import TABLES, batch_checks_for, checks_for, rules_for
from rally_pipeline.sources.base import COLUMNS, Dataset, Severity, typed_frame

#: So many rows that broke a rule are kept with its result; all that were set aside stand in quarantine.
_EXAMPLES = 10


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a batch.

    Attributes:
        rows: may be loaded.
        set_aside: the others, with the column ``rule`` naming the first rule each broke, and ``row_key``.
        results: one for each rule, in their order.
        refusal: what refuses the payload as a whole, if something does.
    """

    rows: pd.DataFrame
    set_aside: pd.DataFrame
    results: tuple[QualityResult, ...]
    refusal: PayloadError | None = None


def check(
    batch: Batch,
    *,
    released: frozenset[tuple[str, str]] = frozenset(),
    failures: Mapping[str, str] | None = None,
    values: Mapping[str, suites.Broken] | None = None,
) -> Verdict:
    """Judges a batch.

    Args:
        batch: rows and what they are judged by.
        released: row keys, each with a rule that a person decided not to hold against the row.
        failures: rules about the payload as a whole that were judged elsewhere and not met, with the reason.
        values: what `suites.validate_values` said of the frame, if it was asked before.

    Raises:
        ExpectationFailedToRunError: a fault of the suite; nothing may be loaded on such a verdict.
    """
    frame, dataset = batch.frame, batch.dataset
    if frame.empty:
        return Verdict(frame, _set_aside(dataset, frame, np.zeros(0, int), []), ())
    needed = [one.columns[0] for one in checks_for(dataset) if one.kind == "verdict"]
    computed = row_verdicts(batch)
    verdicts = {name: computed[name] for name in needed}
    observations = batch_observations(batch)
    reasons = dict(failures or {})
    whole = {
        one.rule: one.rule not in reasons and (one.rule not in observations or observations[one.rule].is_met)
        for one in batch_checks_for(dataset)
    }
    judged = pd.DataFrame(verdicts | {name: np.full(len(frame), met) for name, met in whole.items()}, index=frame.index)
    broken = suites.validate(dataset, frame, judged, values)

    rules = rules_for(dataset)
    first_rule = np.full(len(frame), -1)
    for number in range(len(rules) - 1, -1, -1):
        info = rules[number]
        if info.severity is Severity.QUARANTINE and info.rule in broken:
            positions = np.array(broken[info.rule].positions, int)
            if released:
                keys = row_keys(dataset, frame, positions)
                positions = np.array(
                    [p for p, key in zip(positions, keys, strict=True) if (key, info.rule) not in released], int
                )
            first_rule[positions] = number
    held = np.flatnonzero(first_rule >= 0)
    set_aside = _set_aside(dataset, frame, held, [rules[number].rule for number in first_rule[held]])
    observed: dict[str, dict[str, Any]] = {rule: dict(one.observed) for rule, one in observations.items()}
    observed |= {rule: {"message": reason} for rule, reason in reasons.items()}
    results = tuple(_result(info, frame, broken.get(info.rule), observed.get(info.rule, {})) for info in rules)
    rows = frame if not len(held) else frame[first_rule < 0].reset_index(drop=True)
    return Verdict(rows, set_aside, results, _refusal(rules, frame, broken, reasons))


def row_keys(dataset: Dataset, frame: pd.DataFrame, positions: Any) -> list[str]:
    """The natural keys of rows as text, as they stand in ``ops_quarantine``: key columns in the frame's order."""
    columns = [name for name in COLUMNS[dataset] if name in TABLES[dataset].primary_key.columns and name != "locator"]
    part = frame.iloc[positions]
    texts = [
        part[name].dt.strftime("%Y-%m-%d").fillna("None")
        if part[name].dtype.kind == "M"
        else part[name].astype(object).fillna("None").astype(str)
        for name in columns
    ]
    return [" ".join(row) for row in zip(*texts, strict=True)]


@functools.cache
def _nothing(dataset: Dataset) -> pd.DataFrame:
    return typed_frame(dataset, {}).assign(rule=pd.Series(dtype="str"), row_key=pd.Series(dtype="str"))


def _set_aside(dataset: Dataset, frame: pd.DataFrame, positions: Any, rules: list[str]) -> pd.DataFrame:
    if not len(positions):
        return _nothing(dataset)
    keys = row_keys(dataset, frame, positions)
    part: pd.DataFrame = frame.iloc[positions]
    return part.assign(
        rule=pd.Series(rules, index=part.index, dtype="str"), row_key=pd.Series(keys, index=part.index, dtype="str")
    ).reset_index(drop=True)


def _result(
    info: RuleInfo,
    frame: pd.DataFrame,
    broken: suites.Broken | None,
    observed: dict[str, Any],
) -> QualityResult:
    if broken is None:
        return QualityResult(info.rule, info.dataset, info.severity, True, len(frame), observed=observed)
    positions = [] if info.is_batch else list(broken.positions)
    if info.is_baseline and len(broken.columns) > 0:
        observed = {"columns": list(broken.columns), **observed}
    return QualityResult(
        rule=info.rule,
        dataset=info.dataset,
        severity=info.severity,
        is_success=False,
        row_count=len(frame),
        unexpected_count=len(positions) or 1,
        observed=observed,
        examples=tuple(_as_json(frame.iloc[positions[:_EXAMPLES]])),
    )


def _as_json(rows: pd.DataFrame) -> list[dict[str, Any]]:
    if rows.empty:
        return []
    found = json.loads(rows.to_json(orient="records", date_format="iso", date_unit="s", double_precision=15))
    return [
        {name: value[:10] if name in _DATES and value else value for name, value in row.items() if value is not None}
        for row in found
    ]


_DATES = {name for columns in COLUMNS.values() for name, dtype in columns.items() if dtype.startswith("datetime")}
_FIXES = {
    "unique_session": "keep one row per day",
    "currency_matches": "convert the prices, or correct the instrument's currency in the catalog",
    "symbol_known": "add the instrument to the catalog",
    "suspected_unit_error": "correct the figure or its unit, or leave the row out, and import again",
    "week_matches": "correct the figure or its unit, or leave the row out, and import again",
}


def _refusal(
    rules: tuple[RuleInfo, ...], frame: pd.DataFrame, broken: Mapping[str, suites.Broken], reasons: Mapping[str, str]
) -> PayloadError | None:
    for info in rules:
        if info.severity is not Severity.ERROR or info.rule not in broken:
            continue
        positions = broken[info.rule].positions
        locator = ""
        if info.rule in reasons:
            message = reasons[info.rule]
        elif not positions:
            message = f"{info.description} Not so: {', '.join(broken[info.rule].columns)}"
        else:
            (key,) = row_keys(info.dataset, frame, [positions[0]])
            locator = str(frame["locator"].iloc[positions[0]])
            what = "repeat a key" if info.rule == "unique_session" else f"break the rule: {info.description}"
            message = f"{len(positions)} rows {what}, first {key}"
        return PayloadError(rule=info.rule, message=message, fix=_FIXES.get(info.rule, ""), locator=locator)
    return None
