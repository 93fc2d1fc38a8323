"""Great Expectations, used directly: one suite per dataset, built once per process, asserted on each frame.

Building a graph of metrics costs Great Expectations several times what computing it on thirty rows does, and the graph
depends on the suite and the columns alone. So it is built once, from the expectations' own dependencies, and resolved
by the pandas execution engine for every batch: that says which expectations are met. Even so a batch costs it some
hundredths of a second however few rows it has, so the rules that need nothing but the rows are asked of many small
payloads together. The columns of verdicts are asserted together too (each row's sum is their number); where that is not
met, they say themselves which rows they are about. What else is not met is validated once more, alone, through an
ephemeral context with ``COMPLETE`` results, which gives every row that broke it.

Belongs here: everything that touches Great Expectations; its import costs seconds, so it happens in here only, and
only when a batch is validated. Does not belong here: what the rules are (`rules.py`) or what follows (`gate.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import logging
import sys
import threading
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from rally_pipeline.quality.rules import Check, batch_checks_for, checks_for
from rally_pipeline.sources.base import Dataset

#: Position of a row in the frame, by which unexpected rows are reported.
ROW_ID = "row_id"
#: Number of the payload in a frame of several.
_PAYLOAD = "payload_number"
_BATCH_ID = "batch"
#: A suite holds the batch it judges: two threads at once would each be told of the other's.
_TURN = threading.Lock()
#: Great Expectations imports them for expectations about distributions, of which we have none; they are four tenths of
#: what its import takes.
_UNUSED = ("scipy.stats", "altair")
_BOOLEAN = {"result_format": {"result_format": "BOOLEAN_ONLY"}}

#: Names and types of a frame's columns, on which the graph of metrics depends.
_Types = tuple[tuple[str, str], ...]
#: What is asserted: what the declaration says of one payload's values, of those of several, or verdicts.
_Part = Literal["values", "together", "verdicts"]


class ExpectationFailedToRunError(RuntimeError):
    """Great Expectations raised inside an expectation: a fault of the suite, never of the data."""


@dataclass(frozen=True)
class Broken:
    """What did not meet a rule.

    Attributes:
        positions: sorted positions of the rows; empty for expectations about a column as a whole.
        columns: columns on which it was not met.
    """

    positions: tuple[int, ...]
    columns: tuple[str, ...]


def validate(
    dataset: Dataset, frame: pd.DataFrame, verdicts: pd.DataFrame, values: Mapping[str, Broken] | None = None
) -> dict[str, Broken]:
    """Asserts the suite of a dataset.

    Args:
        dataset: which suite.
        frame: the rows.
        verdicts: a boolean column for every rule computed by hand, of as many rows; that of a rule about the payload as
            a whole is equal in all of them.
        values: what `validate_values` said of the frame, if it was asked before.

    Returns:
        The rules that were not met, with the rows that broke each.

    Raises:
        ExpectationFailedToRunError: an expectation could not be computed.
    """
    if frame.empty:
        return {}
    with _TURN, _faults():
        found = _values_broken(dataset, frame) if values is None else values
        return {**found, **_verdicts_broken(dataset, verdicts)}


def validate_values(dataset: Dataset, frames: Sequence[pd.DataFrame]) -> list[dict[str, Broken]]:
    """Asserts the rules that follow from the declaration, which look at nothing but the rows, of several payloads.

    They are asked of all of them together first: what holds for all rows, and keys that are unique within each
    payload, holds for each. Only if something does not, each is judged by itself.

    Returns:
        For each frame the rules that were not met, as `validate` gives them.

    Raises:
        ExpectationFailedToRunError: an expectation could not be computed.
    """
    found: list[dict[str, Broken]] = [{} for _ in frames]
    alike: dict[_Types, list[int]] = {}
    for number, frame in enumerate(frames):
        if len(frame):
            alike.setdefault(_types(frame), []).append(number)
    with _TURN, _faults():
        for numbers in alike.values():
            together = pd.concat([frames[number].assign(**{_PAYLOAD: number}) for number in numbers], ignore_index=True)
            if _suite(dataset, "together", _types(together)).failed(together):
                for number in numbers:
                    found[number] = _values_broken(dataset, frames[number])
    return found


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except imported("great_expectations.exceptions").GreatExpectationsError as error:
        raise ExpectationFailedToRunError(str(error)) from error


def _types(frame: pd.DataFrame) -> _Types:
    return tuple((str(name), str(dtype)) for name, dtype in frame.dtypes.items())


def _values_broken(dataset: Dataset, frame: pd.DataFrame) -> dict[str, Broken]:
    failed = _suite(dataset, "values", _types(frame)).failed(frame)
    return _located(dataset, failed, frame) if failed else {}


def _verdicts_broken(dataset: Dataset, frame: pd.DataFrame) -> dict[str, Broken]:
    if not _suite(dataset, "verdicts", _types(frame)).failed(frame):
        return {}
    broken = {}
    for check in _all_checks(dataset):
        if check.kind == "verdict" and not frame[check.columns[0]].all():
            # what is said of the payload as a whole stands in every row alike, so one row is enough
            said = frame[check.columns[0]].iloc[: 1 if check in batch_checks_for(dataset) else None]
            broken[check.rule] = Broken(tuple(np.flatnonzero(~said.to_numpy()).tolist()), check.columns)
    return broken


def _located(dataset: Dataset, checks: Sequence[Check], frame: pd.DataFrame) -> dict[str, Broken]:
    broken: dict[str, tuple[set[int], list[str]]] = {}
    for check, positions in _complete(dataset, checks, frame):
        found, columns = broken.setdefault(check.rule, (set(), []))
        found.update(positions)
        columns += check.columns
    return {rule: Broken(tuple(sorted(rows)), tuple(columns)) for rule, (rows, columns) in broken.items()}


def _all_checks(dataset: Dataset) -> tuple[Check, ...]:
    return (*checks_for(dataset), *batch_checks_for(dataset))


@dataclass
class _Suite:
    """Expectations with the metrics they need, in an order in which they can be computed.

    Those about types depend on nothing but the types for which the suite was built; what failed of them is said.
    """

    engine: Any
    failed_types: list[Check] = field(default_factory=list)
    expectations: list[tuple[Check, Any, dict[str, Any]]] = field(default_factory=list)
    levels: list[list[Any]] = field(default_factory=list)

    def failed(self, frame: pd.DataFrame) -> list[Check]:
        """The expectations that the frame does not meet."""
        self.engine.load_batch_data(_BATCH_ID, frame)
        metrics: dict[Any, Any] = {}
        try:
            for level in self.levels:
                metrics.update(self.engine.resolve_metrics(level, metrics))
            outcomes = [
                expectation._validate(
                    metrics={name: metrics[metric] for name, metric in needed.items()},
                    runtime_configuration=_BOOLEAN,
                    execution_engine=self.engine,
                )
                for _, expectation, needed in self.expectations
            ]
        finally:
            self.engine.load_batch_data(_BATCH_ID, frame.iloc[:0])  # else the last batch stays in memory
        flags = [one["success"] if isinstance(one, dict) else one.success for one in outcomes]
        failed = [check for (check, _, _), is_met in zip(self.expectations, flags, strict=True) if not is_met]
        return [*self.failed_types, *failed]


@functools.lru_cache(maxsize=64)
def _suite(dataset: Dataset, part: _Part, dtypes: _Types) -> _Suite:
    checks = _all_checks(dataset)
    empty = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in dtypes})
    if part == "verdicts":
        verdicts = [check for check in checks if check.kind == "verdict"]
        # A sum over one column is none to Great Expectations; one verdict is asserted by itself.
        together = Check("", "all_verdicts", tuple(check.columns[0] for check in verdicts))
        return _built([together] if len(verdicts) > 1 else verdicts, empty)
    types = dict(dtypes)
    values = [check for check in checks if check.kind not in ("type", "verdict")]
    if part == "together":
        values = [_within_payload(check) if check.kind == "unique" else check for check in values]
    suite = _built(values, empty)
    suite.failed_types = [
        check
        for check in checks
        if check.kind == "type" and not _type_is_met(types[check.columns[0]], check.options["dtype"])
    ]
    return suite


@functools.cache
def _type_is_met(dtype: str, wanted: str) -> bool:
    """Whether a column of one type passes as one of the other: that depends on nothing else, so it is asked once."""
    empty = pd.DataFrame({"column": pd.Series(dtype=dtype)})
    return not _built([Check("", "type", ("column",), {"dtype": wanted})], empty).failed(empty)


def _within_payload(check: Check) -> Check:
    return dataclasses.replace(check, columns=(*check.columns, _PAYLOAD))


def _built(checks: Sequence[Check], empty: pd.DataFrame) -> _Suite:
    graph_class = imported("great_expectations.validator.validation_graph").ValidationGraph
    engine = imported("great_expectations.execution_engine").PandasExecutionEngine()
    engine.load_batch_data(_BATCH_ID, empty)
    suite = _Suite(engine)
    graph = graph_class(execution_engine=engine)
    for check in checks:
        expectation = _expectation(check).copy(update={"batch_id": _BATCH_ID})
        needed = expectation.get_validation_dependencies(execution_engine=engine, runtime_configuration=_BOOLEAN)
        for metric in needed.get_metric_configurations():
            graph.build_metric_dependency_graph(metric_configuration=metric, runtime_configuration=_BOOLEAN)
        names = {name: metric.id for name, metric in needed.metric_configurations.items()}
        suite.expectations.append((check, expectation, names))
    suite.levels = _levels(graph)
    return suite


def _levels(graph: Any) -> list[list[Any]]:
    """The graph's metrics in layers, each of which needs only those before it."""
    metrics: dict[Any, Any] = {}
    needs: dict[Any, set[Any]] = {}
    for edge in graph.edges:
        metrics[edge.left.id] = edge.left
        needs.setdefault(edge.left.id, set())
        if edge.right is not None:
            metrics.setdefault(edge.right.id, edge.right)
            needs[edge.left.id].add(edge.right.id)
            needs.setdefault(edge.right.id, set())
    levels: list[list[Any]] = []
    done: set[Any] = set()
    while len(done) < len(metrics):
        ready = [metric for metric in metrics if metric not in done and needs[metric] <= done]
        levels.append([metrics[metric] for metric in ready])
        done.update(ready)
    return levels


def _complete(dataset: Dataset, checks: Sequence[Check], frame: pd.DataFrame) -> list[tuple[Check, Sequence[int]]]:
    """Every row that breaks the checks, as an ephemeral context's validation of them says."""
    gx = imported("great_expectations")
    used = list(dict.fromkeys(column for check in checks for column in check.columns))
    rows = frame[used].assign(**{ROW_ID: np.arange(len(frame))})
    expectations = [_expectation(check, str(number)) for number, check in enumerate(checks)]
    result = (
        _batch_definition()
        .get_batch({"dataframe": rows})
        .validate(
            gx.ExpectationSuite(f"core_{dataset}", expectations=expectations),
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [ROW_ID],
                "include_unexpected_rows": False,
            },
        )
    )
    found: list[tuple[Check, Sequence[int]]] = []
    for one in result.results:
        if _raised(one.exception_info):
            raise ExpectationFailedToRunError(f"{one.expectation_config}: {one.exception_info}")
        check = checks[int(one.expectation_config.meta["number"])]  # results come in an order of their own
        details = one.to_json_dict()["result"]
        unexpected = details.get("unexpected_index_list") or []
        found.append((check, [int(row[ROW_ID]) for row in unexpected]))
    return found


def _raised(info: Any) -> bool:
    if not info:
        return False
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(one.get("raised_exception", True) for one in info.values() if isinstance(one, Mapping)) or bool(info)


@functools.cache
def _batch_definition() -> Any:
    gx = imported("great_expectations")
    for name in ("great_expectations", "great_expectations._docs_decorators"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    return asset.add_batch_definition_whole_dataframe("whole")


def imported(name: str) -> Any:
    """A module of Great Expectations, whose public names its type hints do not export. What none of our expectations
    needs is not imported with it.
    """
    with _put_off(() if "great_expectations" in sys.modules else _UNUSED):
        return importlib.import_module(name)


class _Later(types.ModuleType):
    """Stands for a module that is imported when something in it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _put_off(names: Sequence[str]) -> Iterator[None]:
    """Has whatever is imported meanwhile import these modules later; all others get the modules themselves."""
    put = {name: _Later(name) for name in names if name not in sys.modules}
    sys.modules.update(put)
    try:
        yield
    finally:
        for name, module in put.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _expectation(check: Check, number: str = "") -> Any:
    gxe = imported("great_expectations.expectations")
    meta = {"rule": check.rule, "number": number}
    options, column = check.options, check.columns[0]
    match check.kind:
        case "present":
            return gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta)
        case "range":
            return gxe.ExpectColumnValuesToBeBetween(
                column=column,
                min_value=options["low"],
                max_value=options["high"],
                strict_min=options["strict_low"],
                meta=meta,
            )
        case "listed":
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(options["values"]), meta=meta)
        case "format":
            return gxe.ExpectColumnValuesToMatchRegex(column=column, regex=options["regex"], meta=meta)
        case "type":
            return gxe.ExpectColumnValuesToBeOfType(column=column, type_=options["dtype"], meta=meta)
        case "unique" if len(check.columns) == 1:
            return gxe.ExpectColumnValuesToBeUnique(column=column, meta=meta)
        case "unique":
            return gxe.ExpectCompoundColumnsToBeUnique(
                column_list=list(check.columns), ignore_row_if="never", meta=meta
            )
        case "all_verdicts":
            return gxe.ExpectMulticolumnSumToEqual(
                column_list=list(check.columns), sum_total=len(check.columns), ignore_row_if="never", meta=meta
            )
        case "verdict":
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True], meta=meta)
