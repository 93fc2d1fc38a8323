"""Each expectation of the gate as an asset check of its own, with what was seen.

The gate has run before anything was written (`ingest.py`); here its results are only told to Dagster, by the step that
loaded the payloads, aggregated over all of them.

**Partitions.** The checks have none, though their assets do. A check answers for the payloads that a step loaded, and a
payload spans days; in a single run over a range, Dagster 1.13 stores a partitioned check's result without a partition
and leaves every day of it as planned for good. Without partitions there is one result per check and run, whether the
run is about a day or about twenty years, and the UI shows the latest. The days are in the metadata.

**Severity.** A rule of severity *error* refused a payload: ERROR, red. One of *quarantine* set rows aside, one of
*warn* recorded something: WARN, amber.

**Blocking.** A payload that breaks an error rule is stopped at the gate, and nothing that depends on it is computed
from it: core keeps what it had. That is all that may be stopped: the other instruments of the market are loaded, their
marts go on. So a check at severity error is declared blocking (conditions such as
``all_deps_blocking_checks_passed`` see it), but it fails the step, and with it what comes after in the same run, only
if not one payload could be loaded. Otherwise it is red and its evaluation says that it does not block. The marts are a
run of their own (`runner.py`) and compute from what is believed in any case.

Belongs here: specs and results of checks. Does not belong here: rules (`quality/`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from rally_pipeline.orchestration.evidence import names, records_table
from rally_pipeline.quality.results import QualityResult, RuleInfo
from rally_pipeline.quality.rules import rules_for
from rally_pipeline.sources.base import Dataset, Severity
from rally_pipeline.sources.registry import NOTHING

if TYPE_CHECKING:
    from rally_pipeline.load_log import LoadOutcome

#: The check about payloads of which no row could be read.
ACCEPTED = "payload_accepted"

SEVERITIES = {
    Severity.ERROR: dg.AssetCheckSeverity.ERROR,
    Severity.QUARANTINE: dg.AssetCheckSeverity.WARN,
    Severity.WARN: dg.AssetCheckSeverity.WARN,
}
_FOLLOWS = {
    Severity.ERROR: "Where it does not hold, the payload is refused and nothing of it is loaded.",
    Severity.QUARANTINE: "Where it does not hold, the row is set aside in quarantine.",
    Severity.WARN: "Where it does not hold, that is recorded and the row is loaded.",
}
#: Payloads whose observed values are shown.
_SHOWN_PAYLOADS = 20
_ACCEPTED_RULE = "No payload was refused as a whole, whatever the reason. A source that has nothing refuses nothing."

Checked = Sequence[tuple["LoadOutcome", QualityResult]]


@functools.cache
def known_rules(dataset: Dataset) -> Mapping[str, RuleInfo]:
    """The rules of a dataset by name."""
    return {info.rule: info for info in rules_for(dataset)}


def check_specs(key: dg.AssetKey, dataset: Dataset, *, may_block: bool = True) -> list[dg.AssetCheckSpec]:
    """One check per rule of the dataset, and one about payloads that were refused as a whole."""
    specs = [
        dg.AssetCheckSpec(
            info.rule,
            asset=key,
            description=f"{info.description} {_FOLLOWS[info.severity]}",
            blocking=may_block and info.severity is Severity.ERROR,
            metadata={"severity": info.severity.value, "about": "payload" if info.is_batch else "rows"},
        )
        for info in known_rules(dataset).values()
    ]
    accepted = dg.AssetCheckSpec(ACCEPTED, asset=key, description=_ACCEPTED_RULE, blocking=may_block)
    return [accepted, *(spec for spec in specs if spec.name != ACCEPTED)]


def check_events(
    key: dg.AssetKey, dataset: Dataset, outcomes: Sequence[LoadOutcome], about: Mapping[str, Any]
) -> Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation | dg.Output[None]]:
    """What a step yields for every check of an asset.

    Args:
        key: the asset.
        dataset: its rows.
        outcomes: every payload the step tried to load.
        about: metadata that every result gets, such as the days.
    """
    is_blocking = bool(outcomes) and not any(outcome.is_loaded for outcome in outcomes)
    for result in check_results(key, dataset, outcomes, about):
        if result.passed or is_blocking or result.severity is not dg.AssetCheckSeverity.ERROR:
            yield result
        else:
            yield from _red_without_blocking(key, result)


def check_results(
    key: dg.AssetKey, dataset: Dataset, outcomes: Sequence[LoadOutcome], about: Mapping[str, Any]
) -> list[dg.AssetCheckResult]:
    """The result of every check of an asset; arguments as of `check_events`."""
    return [
        _accepted(key, outcomes, about),
        *(
            _result(key, info, _checked(outcomes, dataset, rule), _refusals(outcomes, rule), about)
            for rule, info in known_rules(dataset).items()
            if rule != ACCEPTED
        ),
    ]


def output_name(key: dg.AssetKey, check: str) -> str:
    """How Dagster names the output of a check in its step."""
    return dg.AssetCheckSpec(check, asset=key).get_python_identifier()


def _red_without_blocking(
    key: dg.AssetKey, result: dg.AssetCheckResult
) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
    # `AssetCheckResult` takes blocking from the spec. The evaluation is what Dagster makes of it, and says so itself.
    assert result.check_name is not None
    yield dg.Output(None, output_name=output_name(key, result.check_name))
    yield dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=result.check_name,
        passed=False,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
        blocking=False,
    )


def _checked(outcomes: Sequence[LoadOutcome], dataset: Dataset, rule: str) -> Checked:
    return [
        (outcome, result)
        for outcome in outcomes
        for result in outcome.results
        if result.rule == rule and result.dataset is dataset
    ]


def _refusals(outcomes: Sequence[LoadOutcome], rule: str) -> list[LoadOutcome]:
    """Payloads that a rule refused before the gate could say how often: while they were read."""
    return [
        outcome
        for outcome in outcomes
        if outcome.rule == rule
        and not outcome.is_loaded
        and not any(result.rule == rule and not result.is_success for result in outcome.results)
    ]


def _accepted(key: dg.AssetKey, outcomes: Sequence[LoadOutcome], about: Mapping[str, Any]) -> dg.AssetCheckResult:
    refused = [outcome for outcome in outcomes if not outcome.is_loaded and outcome.rule != NOTHING]
    empty = [outcome for outcome in outcomes if not outcome.is_loaded and outcome.rule == NOTHING]
    metadata: dict[str, Any] = {
        **about,
        "payloads": len(outcomes),
        "payloads_refused": len(refused),
        "payloads_with_nothing": len(empty),
    }
    if refused:
        metadata["refused"] = records_table(
            [
                {
                    **_payload(outcome),
                    "rule": outcome.rule,
                    "message": outcome.message,
                }
                for outcome in refused
            ],
            ("source", "subject", "rule", "message", "payload_id"),
        )
    text = f"{len(refused)} of {len(outcomes)} payloads were refused"
    if refused:
        text += ": " + names([f"{o.record.request.source} {o.record.request.subject} ({o.rule})" for o in refused], 3)
    return dg.AssetCheckResult(
        passed=not refused,
        asset_key=key,
        check_name=ACCEPTED,
        severity=dg.AssetCheckSeverity.ERROR,
        description=text if outcomes else "no payload came",
        metadata=metadata,
    )


def _payload(outcome: LoadOutcome) -> dict[str, Any]:
    record = outcome.record
    return {"source": record.request.source, "subject": record.request.subject, "payload_id": record.payload_id}


def _result(
    key: dg.AssetKey, info: RuleInfo, checked: Checked, refusals: Sequence[LoadOutcome], about: Mapping[str, Any]
) -> dg.AssetCheckResult:
    failed = [(outcome, result) for outcome, result in checked if not result.is_success]
    rows = sum(result.row_count for _, result in checked)
    unexpected = sum(result.unexpected_count for _, result in checked) + len(refusals)
    payloads = len(checked) + len(refusals)
    metadata: dict[str, Any] = {
        **about,
        "severity": info.severity.value,
        "payloads": payloads,
        "row_count": rows,
        "unexpected_count": unexpected,
    }
    if not payloads:
        return _named(key, info, True, "nothing of the kind came", metadata)
    # Where a rule observes nothing but which rows fail, their share is what was seen.
    share = round(100 * unexpected / rows, 4) if rows else 0.0
    metadata["observed_value"] = _observed(failed or checked) or dg.MetadataValue.json({"unexpected_pct": share})
    if failed or refusals:
        ids = [_payload(outcome) for outcome, _ in failed] + [_payload(outcome) for outcome in refusals]
        metadata["failing_payloads"] = records_table(ids, ("source", "subject", "payload_id"))
        found = [
            *({**_payload(outcome), **example} for outcome, result in failed for example in result.examples),
            *({**_payload(outcome), "message": outcome.message} for outcome in refusals),
        ]
        if found:
            first = ("locator", "source", "subject")
            given = dict.fromkeys(name for row in found for name in row if name != "payload_id")
            columns = [*(name for name in first if name in given), *(name for name in given if name not in first)]
            metadata["failing_rows"] = records_table([_flat(row) for row in found], [*columns, "payload_id"])
    bad = len(failed) + len(refusals)
    if not bad:
        text = f"{rows:,} rows of {payloads} payloads: met"
    elif info.is_batch:
        text = f"{bad} of {payloads} payloads do not meet it"
    else:
        text = f"{unexpected:,} of {rows:,} rows do not meet it, in {bad} of {payloads} payloads"
    return _named(key, info, not bad, text, metadata)


def _named(
    key: dg.AssetKey, info: RuleInfo, passed: bool, text: str, metadata: Mapping[str, Any]
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=key,
        check_name=info.rule,
        severity=SEVERITIES[info.severity],
        description=text,
        metadata=metadata,
    )


def _observed(checked: Checked) -> Any:
    """What was seen: the values themselves where there is one payload, else a table of them."""
    seen = [(outcome, result.observed) for outcome, result in checked if result.observed]
    if not seen:
        return None
    if len(seen) == 1:
        return dg.MetadataValue.json(dict(seen[0][1]))
    rows = [{**_payload(outcome), **_flat(observed)} for outcome, observed in seen[:_SHOWN_PAYLOADS]]
    columns = dict.fromkeys(name for row in rows for name in row if name != "payload_id")
    return records_table(rows, [*columns, "payload_id"])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(name): json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else value
        for name, value in row.items()
    }
