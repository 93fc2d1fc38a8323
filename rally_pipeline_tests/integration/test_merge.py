"""The two clocks against a model that is nothing but a dict, on both engines, whatever the order of arrival."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rally_pipeline import ingest, load_log
from rally_pipeline.archive import Archive
from rally_pipeline.schema import core, ops, raw, table_info
from rally_pipeline.sources.base import Payload
from rally_pipeline.warehouse.asof import as_of
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import (
    core_rows,
    count,
    deliver,
    fx_payload,
    open_at,
    price_csv,
    price_payload,
    rows_of,
    utc,
)

DAYS = ("2024-03-04", "2024-03-05", "2024-03-06")
TIMES = [utc("2024-04-01") + dt.timedelta(days=i) for i in range(4)]
SYMBOLS = ("0700.HK", "9988.HK")
#: Smallest step of both engines' clocks.
TICK = dt.timedelta(microseconds=1)

Facts = dict[tuple[str, ...], tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class Said:
    """One delivery as a test makes it: at a time, these cells."""

    at: dt.datetime
    cells: tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...]
    names_symbols: bool = False


def price_delivery(said: Said) -> Payload:
    rows = [(symbol, day, *values) for (symbol, day), values in said.cells]
    if said.names_symbols:
        body = price_csv([(d, c, v, s) for s, d, c, v in rows], "date,close,volume,symbol")
        return price_payload(body, None, known_at=said.at)
    body = price_csv([(d, c, v) for _, d, c, v in rows], "date,close,volume")
    return price_payload(body, rows[0][0], known_at=said.at)


def fx_delivery(said: Said) -> Payload:
    currencies = sorted({currency for (currency, _), _ in said.cells})
    found = dict(said.cells)
    lines = [f"Date,{','.join(currencies)},"]
    for day in sorted({day for (_, day), _ in said.cells}, reverse=True):
        values = [str(found[c, day][0]) if (c, day) in found else "N/A" for c in currencies]
        lines.append(f"{day},{','.join(values)},")
    return fx_payload("\n".join(lines).encode(), known_at=said.at)


def model_at(payloads: list[tuple[Said, Payload]], at: dt.datetime) -> Facts:
    """What is believed at a time: of each key what was said last; of one time the greater payload id counts."""
    believed: Facts = {}
    for said, _ in sorted(payloads, key=lambda pair: (pair[0].at, pair[1].payload_id)):
        if said.at <= at:
            believed.update(said.cells)
    return believed


def model_versions(payloads: list[tuple[Said, Payload]]) -> set[tuple[Any, ...]]:
    """Key, values, known from, known to, payload: the runs of equal values of each key."""
    said_of: dict[tuple[str, ...], dict[dt.datetime, tuple[Any, str]]] = {}
    for said, payload in sorted(payloads, key=lambda pair: (pair[0].at, pair[1].payload_id)):
        for key, values in said.cells:
            said_of.setdefault(key, {})[said.at] = (values, payload.payload_id)
    versions: set[tuple[Any, ...]] = set()
    for key, by_time in said_of.items():
        runs = [list(group) for _, group in itertools.groupby(sorted(by_time.items()), key=lambda item: item[1][0])]
        for run, following in itertools.zip_longest(runs, runs[1:]):
            at, (values, payload_id) = run[0]
            versions.add((key, values, at, following[0][0] if following else None, payload_id))
    return versions


def stored_versions(workspace: Workspace, kind: str) -> set[tuple[Any, ...]]:
    table = core.core_price_daily if kind == "price" else core.core_fx_daily
    return {
        (*_cell(row, kind), row["known_from_at"], row["known_to_at"], row["payload_id"])
        for row in rows_of(workspace, table)
    }


def _cell(row: dict[str, Any], kind: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    if kind == "price":
        return (row["symbol"], row["session_date"].isoformat()), (row["close"], row["volume_shares"])
    return (row["quote_currency"], row["rate_date"].isoformat()), (row["rate"],)


def stored_at(workspace: Workspace, kind: str, at: dt.datetime) -> Facts:
    table = core.core_price_daily if kind == "price" else core.core_fx_daily
    with workspace.warehouse.read() as connection:
        rows = connection.execute(sa.select(as_of(table, at))).mappings().all()
    facts = dict(_cell(dict(row), kind) for row in rows)
    assert len(facts) == len(rows), "two versions of one key are believed at once"
    return facts


def check_history(workspace: Workspace) -> None:
    """No overlap, no gap inside a key's life, at most one current row, neighbours differ."""
    for table in (core.core_price_daily, core.core_fx_daily):
        info = table_info(table)
        by_key: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in rows_of(workspace, table):
            by_key.setdefault(tuple(row[k] for k in info.natural_key), []).append(row)
        skipped = {"known_from_at", "known_to_at", "payload_id", "locator"}
        for versions in by_key.values():
            for before, after in itertools.pairwise(versions):
                assert before["known_from_at"] < before["known_to_at"] == after["known_from_at"]
                assert {k: v for k, v in before.items() if k not in skipped} != {
                    k: v for k, v in after.items() if k not in skipped
                }
            assert versions[-1]["known_to_at"] is None


def empty(workspace: Workspace, directory: Path) -> Workspace:
    """The same warehouse without any fact, and an archive of its own."""
    with workspace.warehouse.write() as connection:
        for table in (core.core_price_daily, core.core_fx_daily, raw.raw_fetch, *OPERATIONS):
            connection.execute(sa.delete(table))
    return dataclasses.replace(workspace, archive=Archive(directory))


OPERATIONS = (ops.ops_load, ops.ops_finding, ops.ops_quarantine, ops.ops_stale)


@pytest.fixture(scope="module")
def workspaces(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: Callable[[], str]
) -> Iterator[dict[str, Workspace]]:
    home = tmp_path_factory.mktemp("merge")
    opened = {"sqlite": open_at(home / "s"), "postgresql": open_at(home / "p", postgres_url())}
    yield opened
    for workspace in opened.values():
        workspace.warehouse.engine.dispose()


def _said(draw: st.DrawFn, kind: str) -> Said:
    one_symbol = kind == "price" and draw(st.booleans())
    first = draw(st.sampled_from(SYMBOLS if kind == "price" else ("USD", "HKD")))
    keys = [
        (name, day)
        for name in ((first,) if one_symbol else (SYMBOLS if kind == "price" else ("USD", "HKD")))
        for day in DAYS
    ]
    chosen = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=len(keys), unique=True))
    values: Any = st.sampled_from((10.5, 11.25, 12.0))
    cells = []
    for key in sorted(chosen):
        given_values = (draw(values), draw(st.sampled_from((None, 100)))) if kind == "price" else (draw(values),)
        cells.append((key, given_values))
    return Said(draw(st.sampled_from(TIMES)), tuple(cells), names_symbols=not one_symbol)


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[Said], list[int], list[int]]:
    kind = draw(st.sampled_from(("price", "fx")))
    said = [_said(draw, kind) for _ in range(draw(st.integers(1, 5)))]
    order = st.permutations(range(len(said)))
    return kind, said, draw(order), draw(order)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_versions_are_those_of_the_model_in_any_order(
    workspaces: dict[str, Workspace],
    tmp_path_factory: pytest.TempPathFactory,
    engine: str,
    history: tuple[str, list[Said], list[int], list[int]],
) -> None:
    kind, said, *orders = history
    make = price_delivery if kind == "price" else fx_delivery
    payloads = [(one, make(one)) for one in said]
    stored = []
    for order in orders:
        workspace = empty(workspaces[engine], tmp_path_factory.mktemp("archive"))
        for number in order:
            before = core_rows(workspace)
            outcome = deliver(workspace, payloads[number][1])
            assert outcome.is_loaded, outcome.message
            merged = outcome.merged
            assert merged.new + merged.changed + merged.same == len(payloads[number][0].cells)
            _check_reported(kind, before, core_rows(workspace), merged.first_changed)
        check_history(workspace)
        assert stored_versions(workspace, kind) == model_versions(payloads)
        for at in TIMES:
            for instant in (at - TICK, at):
                assert stored_at(workspace, kind, instant) == model_at(payloads, instant)
        stored.append(core_rows(workspace))
    assert stored[0] == stored[1]
    for _, payload in payloads:  # once more, in the order in which they were made
        deliver(workspace, payload)
    assert core_rows(workspace) == stored[1]


def _check_reported(
    kind: str, before: dict[str, Any], after: dict[str, Any], first_changed: dict[str, dt.date]
) -> None:
    """The days from which derived tables must be computed again: none too few, and none where nothing changed."""
    table, subject, day = (
        ("core_price_daily", "symbol", "session_date")
        if kind == "price"
        else ("core_fx_daily", "quote_currency", "rate_date")
    )

    def believed(rows: dict[str, Any]) -> dict[tuple[str, dt.date], Any]:
        return {(r[subject], r[day]): r for r in rows[table] if r["known_to_at"] is None}

    old, new = believed(before), believed(after)
    changed: dict[str, dt.date] = {}
    for (name, date), row in new.items():
        if old.get((name, date)) != row:
            changed[name] = min(date, changed.get(name, date))
    # Where only the payload that said so first is another one, nothing derived is another.
    assert set(first_changed) >= {
        name
        for (name, date), row in new.items()
        if _without_provenance(old.get((name, date))) != _without_provenance(row)
    }
    assert all(first_changed[name] == changed[name] for name in first_changed if name in changed)
    assert set(first_changed) <= set(changed)


def _without_provenance(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else {k: v for k, v in row.items() if k not in ("payload_id", "locator")}


@pytest.fixture
def workspace(tmp_path: Path, warehouse_url: str) -> Iterator[Workspace]:
    opened = open_at(tmp_path / "home", warehouse_url)
    yield opened
    opened.warehouse.engine.dispose()


def say(workspace: Workspace, at: str, *rows: tuple[Any, ...], symbol: str = "0700.HK") -> load_log.LoadOutcome:
    return deliver(workspace, price_payload(price_csv(rows, "date,close"), symbol, known_at=utc(at)))


def test_a_late_restatement_behind_a_confirmation_is_closed_by_it(workspace: Workspace) -> None:
    """The confirmation left no trace in the table; it still ends what comes between."""
    say(workspace, "2024-04-01", (DAYS[0], 10))
    say(workspace, "2024-04-03", (DAYS[0], 10))
    outcome = say(workspace, "2024-04-02", (DAYS[0], 11))
    assert (outcome.merged.new, outcome.merged.changed) == (0, 1)
    versions = [
        (r["close"], r["known_from_at"].day, r["known_to_at"] and r["known_to_at"].day) for r in _bars(workspace)
    ]
    assert versions == [(10, 1, 2), (11, 2, 3), (10, 3, None)]


def test_of_one_instant_the_same_payload_wins_whichever_comes_first(workspace: Workspace) -> None:
    bodies = [price_csv([(DAYS[0], close)], "date,close") for close in (10, 11, 12)]
    payloads = sorted((price_payload(b, known_at=TIMES[0]) for b in bodies), key=lambda p: p.payload_id)
    for payload in (payloads[1], payloads[2], payloads[0]):
        deliver(workspace, payload)
    (row,) = _bars(workspace)
    assert row["payload_id"] == payloads[2].payload_id


def test_restatement_keeps_what_was_known(workspace: Workspace) -> None:
    say(workspace, "2024-04-01", (DAYS[0], 10), (DAYS[1], 20))
    outcome = say(workspace, "2024-04-02", (DAYS[0], 10), (DAYS[1], 21), (DAYS[2], 30))
    merged = outcome.merged
    assert (merged.new, merged.changed, merged.same) == (1, 1, 1)
    assert merged.first_changed == {"0700.HK": dt.date(2024, 3, 5)}
    omitted = say(workspace, "2024-04-03", (DAYS[2], 30)).merged
    assert (omitted.new, omitted.changed, omitted.same, omitted.first_changed) == (0, 0, 1, {})
    assert len(_bars(workspace)) == 4


def test_a_value_that_vanishes_is_a_restatement(workspace: Workspace) -> None:
    deliver(workspace, price_payload(price_csv([(DAYS[0], 10, 5)], "date,close,volume"), known_at=TIMES[0]))
    merged = deliver(workspace, price_payload(price_csv([(DAYS[0], 10)], "date,close"), known_at=TIMES[1])).merged
    assert merged.changed == 1
    assert [row["volume_shares"] for row in _bars(workspace)] == [5, None]


def test_sources_do_not_restate_each_other(workspace: Workspace) -> None:
    body_a, body_b = (price_csv([(DAYS[0], close)], "date,close") for close in (10, 11))
    deliver(workspace, price_payload(body_a, source="one", known_at=TIMES[1]))
    deliver(workspace, price_payload(body_b, source="two", known_at=TIMES[0]))
    assert [(r["source"], r["known_to_at"]) for r in _bars(workspace)] == [("one", None), ("two", None)]


def test_delivering_again_writes_nothing(workspace: Workspace) -> None:
    rows = [(DAYS[0], 10), (DAYS[1], 20)]
    say(workspace, "2024-04-01", *rows)
    with workspace.warehouse.write() as connection:
        connection.execute(sa.delete(ops.ops_stale))
        for statement in _forbid_writing(workspace.warehouse.dialect):
            connection.exec_driver_sql(statement)
    for at in ("2024-04-01", "2024-04-02"):  # the same fetch, and the same facts at a later time
        merged = say(workspace, at, *rows).merged
        assert (merged.new, merged.changed, merged.same, merged.first_changed) == (0, 0, 2, {})
    assert count(workspace, "ops_stale") == 0
    # and the guard does bite
    with pytest.raises(sa.exc.DBAPIError, match="not to be touched"):
        say(workspace, "2024-04-03", (DAYS[0], 11))


def _forbid_writing(dialect: str) -> list[str]:
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER no_{verb} BEFORE {verb} ON core_price_daily "
            "BEGIN SELECT RAISE(ABORT, 'not to be touched'); END"
            for verb in ("INSERT", "UPDATE", "DELETE")
        ]
    return [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'not to be touched'; END $$",
        "CREATE TRIGGER no_writing BEFORE INSERT OR UPDATE OR DELETE ON core_price_daily "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
    ]


def test_a_payload_read_otherwise_restates_itself(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a mended parser, what is read again from the archive replaces what the same payload said before."""
    from rally_pipeline.sources import price_files

    body = price_csv([(DAYS[0], 10), (DAYS[1], 20)], "date,close")
    record = ingest.keep(workspace, price_payload(body, known_at=TIMES[1]))
    parse = price_files.parse

    def wrong(payload: Payload, catalog: Any) -> Any:
        parsed = parse(payload, catalog)
        return dataclasses.replace(parsed, frame=parsed.frame.assign(close=parsed.frame["close"] * 1.5))

    with monkeypatch.context() as patched:
        patched.setattr(price_files, "parse", wrong)
        ingest.load(workspace, record)
    say(workspace, "2024-04-04", (DAYS[1], 22))
    merged = ingest.load(workspace, record).merged
    assert merged.first_changed == {"0700.HK": dt.date(2024, 3, 4)}
    assert [(r["close"], r["known_to_at"]) for r in _bars(workspace)] == [
        (10, None),
        (20, utc("2024-04-04")),
        (22, None),
    ]


def test_history_that_cannot_be_read_refuses_the_late_delivery(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rally_pipeline.errors import PayloadError
    from rally_pipeline.sources import price_files

    say(workspace, "2024-04-01", (DAYS[0], 10))
    say(workspace, "2024-04-03", (DAYS[0], 12))
    before = core_rows(workspace)
    parse = price_files.parse

    def fails_later(payload: Payload, catalog: Any) -> Any:
        if b",12" in payload.body:
            raise PayloadError("symbol_known", "gone from the catalog")
        return parse(payload, catalog)

    monkeypatch.setattr(price_files, "parse", fails_later)
    outcome = say(workspace, "2024-04-02", (DAYS[0], 11))
    assert (outcome.outcome, outcome.rule) == ("refused", "history_readable")
    assert core_rows(workspace) == before


def test_bulk_history_in_random_order(workspace: Workspace) -> None:
    """Many keys, more deliveries than hypothesis takes: the staged way with statistics, and late ones among them."""
    rng = random.Random(5)
    sessions = workspace.calendars.known_sessions("HK", dt.date(2015, 1, 1), dt.date(2022, 12, 31))
    said = []
    for number in range(5):
        at = utc("2023-01-01") + dt.timedelta(days=rng.randrange(5))
        days = rng.sample(sessions, 1200)
        cells = tuple((("0700.HK", day.isoformat()), (float(rng.randrange(100, 103)), None)) for day in sorted(days))
        said.append(Said(at + dt.timedelta(seconds=number % 2), cells))
    payloads = [(one, price_delivery(one)) for one in said]
    for _, payload in rng.sample(payloads, len(payloads)):
        deliver(workspace, payload)
    check_history(workspace)
    assert stored_versions(workspace, "price") == model_versions(payloads)


def _bars(workspace: Workspace) -> list[dict[str, Any]]:
    return rows_of(workspace, core.core_price_daily)
