"""The quality report: one self-contained page per run, and a summary over time.

Pages need neither the internet nor scripts; their policy forbids both. Everything in them that came from a payload is
hostile input: it only ever passes through the template, which escapes it. Belongs here: reading the ops tables, shaping
what a page shows, writing it. Does not belong here: checking anything (`quality/`), or the looks of the page
(`quality_report.html`).
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rally_pipeline.errors import UsageError
from rally_pipeline.files import write_over
from rally_pipeline.load_log import standing_results
from rally_pipeline.quality.rules import TABLES, rules_for
from rally_pipeline.quarantine import QuarantinedRow, Selection, State, read_rows
from rally_pipeline.schema import metadata as tables
from rally_pipeline.schema import ops, raw, table_info
from rally_pipeline.workspace import Workspace

if TYPE_CHECKING:
    import jinja2

#: Begins the name under which a day's imports, which are no runs, have their page.
IMPORTS = "imports-"
#: Runs that the summary draws, and those that get a page when none is named.
_RUNS_SHOWN = 90
_DAYS_SHOWN = 60
#: Rows of one table on a page; the warehouse has them all.
_ROWS_SHOWN = 300
_OFFENDERS_SHOWN = 10
_SEVERITY_ORDER = {"error": 0, "quarantine": 1, "warn": 2}
_RESULT = standing_results()
_COUNTS = ("checked", "met", "errors", "set_aside", "warnings")


@dataclass
class RuleLine:
    """A rule on a page: over how many payloads and rows, how many did not meet it, and the first of them."""

    rule: str
    severity: str
    description: str = ""
    payloads: int = 0
    payloads_failed: int = 0
    rows: int = 0
    unexpected: int = 0
    observed: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    examples: list[dict[str, str]] = field(default_factory=list)
    examples_left_out: int = 0
    trend: list[int] = field(default_factory=list)

    @property
    def is_met(self) -> bool:
        """Whether every payload met it."""
        return not self.payloads_failed


@dataclass
class Suite:
    """The rules about one table."""

    table: str
    description: str
    rules: list[RuleLine]

    @property
    def failed(self) -> list[RuleLine]:
        """Rules that were not met, worst first."""
        return [rule for rule in self.rules if not rule.is_met]

    @property
    def met(self) -> list[RuleLine]:
        """Rules that were."""
        return [rule for rule in self.rules if rule.is_met]

    @property
    def rows(self) -> int:
        """Rows that were checked."""
        return max((rule.rows for rule in self.rules), default=0)


@dataclass(frozen=True)
class RunLine:
    """A run in the summary."""

    run_id: str
    title: str
    started_at: dt.datetime
    outcome: str
    checked: int
    met: int
    errors: int
    set_aside: int
    warnings: int
    restated: int

    @property
    def met_pct(self) -> float:
        """Share of expectations met, in percent, rounded down: only all of them are 100."""
        return 100.0 if self.met == self.checked else min(99.9, int(1000 * self.met / self.checked) / 10)


def write_reports(
    workspace: Workspace, run_ids: Sequence[str] | None = None, *, must_exist: bool = False
) -> list[Path]:
    """Writes the pages of runs and the summary; returns their paths, the summary last.

    Args:
        workspace: its warehouse is read, its published directory written.
        run_ids: runs as in ``ops_run``, or ``imports-YYYY-MM-DD``; those that checked nothing are passed over.
            ``None`` = the latest runs that have no page yet, and today's imports.
        must_exist: refuse runs that checked nothing instead of passing them over.

    Raises:
        UsageError: `must_exist`, and a run that was named checked nothing.
    """
    folder = workspace.settings.published_dir / "quality"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with workspace.warehouse.read() as connection:
        if run_ids is None:
            today = f"{IMPORTS}{dt.datetime.now(dt.UTC):%Y-%m-%d}"
            runs = [line.run_id for line in _run_lines(connection)]
            chosen = [run for run in runs if run == today or not (folder / page_name(run)).exists()]
        else:
            asked = list(dict.fromkeys(run_ids))
            chosen = [run_id for run_id in asked if _has_results(connection, run_id)]
            if must_exist and chosen != asked:
                missing = next(run_id for run_id in asked if run_id not in chosen)
                raise UsageError(f"run {missing!r} checked nothing. Fix: see the runs in {folder / 'index.html'}.")
        for run_id in chosen:
            path = folder / page_name(run_id)
            write_over(path, run_page(connection, run_id).encode())
            written.append(path)
        pages = {path.name for path in folder.glob("run-*.html")}
        write_over(folder / "index.html", summary_page(connection, pages).encode())
    return [*written, folder / "index.html"]


def page_name(run_id: str) -> str:
    """The file name of a run's page."""
    return f"run-{re.sub(r'[^A-Za-z0-9_-]', '_', run_id)}.html"


# --- a run --------------------


def run_page(connection: sa.Connection, run_id: str) -> str:
    """The page of a run."""
    results: list[Any] = list(connection.execute(sa.select(_RESULT).where(_of_run(connection, run_id))).mappings())
    fetches = _fetches(connection, run_id, {row["fetch_id"] for row in results})
    aside = [row for row in read_rows(connection, Selection()) if row.fetch_id in fetches]
    loads = _in_chunks(connection, ops.ops_load, fetches)
    restated = _restatements(connection, fetches)
    about = _about(connection, run_id)
    suites = _suites(results, fetches, aside)
    lines = [line for suite in suites for line in suite.rules]
    return _render(
        "run",
        title=about["title"],
        run_id=run_id,
        about=about,
        suites=suites,
        verdict=_verdict(lines),
        tiles=[
            ("payloads", len({row["fetch_id"] for row in results}), ""),
            ("rows checked", sum(suite.rows for suite in suites), ""),
            ("expectations met", f"{sum(line.is_met for line in lines)} of {len(lines)}", ""),
            ("payloads refused", sum(row["outcome"] == "refused" for row in loads), "error"),
            ("rows set aside", len(aside), "quarantine"),
            ("restated values", restated["count"], "warn"),
        ],
        refused=[
            {"fetch": fetches.get(row["fetch_id"], {}), "rule": row["rule"], "message": row["message"]}
            for row in loads
            if row["outcome"] == "refused"
        ],
        offenders=_offenders(results, fetches),
        quarantine=_quarantine(aside),
        restatements=restated,
    )


def _of_run(connection: sa.Connection, run_id: str) -> sa.ColumnElement[bool]:
    if not run_id.startswith(IMPORTS):
        # Nothing was checked before the run began: however long the history, only what came since is read.
        began = connection.scalar(sa.select(ops.ops_run.c.started_at).where(ops.ops_run.c.run_id == run_id))
        since = _RESULT.c.checked_at >= began if began else sa.true()
        return sa.and_(_RESULT.c.run_id == run_id, since)
    start = dt.datetime.combine(dt.date.fromisoformat(run_id.removeprefix(IMPORTS)), dt.time(), dt.UTC)
    return sa.and_(
        _RESULT.c.run_id.is_(None), _RESULT.c.checked_at >= start, _RESULT.c.checked_at < start + dt.timedelta(days=1)
    )


def _has_results(connection: sa.Connection, run_id: str) -> bool:
    try:
        query = sa.select(sa.literal(1)).select_from(_RESULT).where(_of_run(connection, run_id)).limit(1)
    except ValueError:
        return False
    return connection.execute(query).first() is not None


def _fetches(connection: sa.Connection, run_id: str, checked: set[str]) -> dict[str, Mapping[str, Any]]:
    """The fetches of a run by id: those it made, and those of others that it loaded."""
    found = {row["fetch_id"]: row for row in _in_chunks(connection, raw.raw_fetch, checked)}
    own = connection.execute(sa.select(raw.raw_fetch).where(raw.raw_fetch.c.run_id == run_id)).mappings()
    return {**found, **{row["fetch_id"]: row for row in own}}


def _in_chunks(connection: sa.Connection, table: sa.Table, fetch_ids: Iterable[str]) -> list[Any]:
    ids = sorted(fetch_ids)
    found: list[Any] = []
    for start in range(0, len(ids), 500):
        query = sa.select(table).where(table.c.fetch_id.in_(ids[start : start + 500]))
        found += connection.execute(query).mappings()
    return found


def _about(connection: sa.Connection, run_id: str) -> dict[str, Any]:
    if run_id.startswith(IMPORTS):
        return {"title": f"Imports of {run_id.removeprefix(IMPORTS)}", "outcome": "", "message": ""}
    run = connection.execute(sa.select(ops.ops_run).where(ops.ops_run.c.run_id == run_id)).mappings().first()
    if run is None:
        return {"title": "A run that left no record", "outcome": "", "message": ""}
    return {
        "title": run["command"],
        "outcome": run["outcome"],
        "message": run["message"],
        "started_at": run["started_at"],
        "finished_at": run["finished_at"],
        "code_version": run["code_version"],
    }


def _suites(
    results: Sequence[Mapping[str, Any]],
    fetches: Mapping[str, Mapping[str, Any]],
    aside: Sequence[QuarantinedRow],
) -> list[Suite]:
    # A row stands in quarantine under the rule that counted; it may have broken others too.
    anchors: dict[tuple[str, ...], str] = {(row.fetch_id, row.table, row.locator): row.row_id for row in aside}
    anchors |= {(row.fetch_id, row.table, row.locator, row.rule): row.row_id for row in aside}
    texts = _descriptions()
    by_table: dict[str, dict[str, RuleLine]] = defaultdict(dict)
    for row in results:
        line = by_table[row["table_name"]].setdefault(
            row["rule"], RuleLine(row["rule"], row["severity"], texts.get((row["table_name"], row["rule"]), ""))
        )
        line.payloads += 1
        line.rows += row["row_count"]
        if row["is_success"]:
            continue
        line.payloads_failed += 1
        line.unexpected += row["unexpected_count"]
        fetch = fetches.get(row["fetch_id"], {})
        who = f"{fetch.get('source', '')} {fetch.get('subject', '')}".strip()
        if len(line.observed) < _OFFENDERS_SHOWN and (seen := _loaded(row["observed_value"])):
            said = [(str(name), _text(value)) for name, value in seen.items() if value not in (None, [], {}, "")]
            if said:
                line.observed.append((who, said))
        for example in _loaded_list(row["examples"]):
            if len(line.examples) >= _OFFENDERS_SHOWN * 3:
                line.examples_left_out += 1
                continue
            shown = {"of": who, **{str(k): _text(v) for k, v in example.items()}}
            place = (row["fetch_id"], row["table_name"], str(example.get("locator", "")))
            anchor = anchors.get((*place, row["rule"])) or anchors.get(place, "")
            line.examples.append({**shown, "_anchor": anchor})
            line.columns += [name for name in shown if name not in line.columns]
    return [
        Suite(
            name,
            table_info(tables.tables[name]).description if name in tables.tables else "",
            sorted(rules.values(), key=lambda r: (r.is_met, _SEVERITY_ORDER.get(r.severity, 9), -r.unexpected, r.rule)),
        )
        for name, rules in sorted(by_table.items())
    ]


def _descriptions() -> dict[tuple[str, str], str]:
    return {
        (table.name, info.rule): info.description for dataset, table in TABLES.items() for info in rules_for(dataset)
    }


def _verdict(lines: Sequence[RuleLine]) -> dict[str, str]:
    worst = min((_SEVERITY_ORDER.get(line.severity, 9) for line in lines if not line.is_met), default=None)
    if worst is None:
        text = "Every expectation was met." if lines else "Nothing was checked."
        return {"kind": "met", "text": text}
    kind = next(name for name, order in _SEVERITY_ORDER.items() if order == worst) if worst < 9 else "warn"
    count = sum(not line.is_met for line in lines)
    what = {
        "error": "Payloads were refused",
        "quarantine": "Rows were set aside",
        "warn": "There are warnings, and nothing was kept out",
    }[kind]
    return {"kind": kind, "text": f"{what}: {count} of {len(lines)} expectations not met."}


def _offenders(results: Sequence[Mapping[str, Any]], fetches: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in results:
        if row["is_success"]:
            continue
        fetch = fetches.get(row["fetch_id"], {})
        who = f"{fetch.get('source', '?')} {fetch.get('subject', '?')}"
        entry = found.setdefault(who, {"who": who, "count": 0, "rules": {}, "order": 9})
        entry["count"] += row["unexpected_count"]
        entry["rules"][row["rule"]] = row["severity"]
        entry["order"] = min(entry["order"], _SEVERITY_ORDER.get(row["severity"], 9))
    ranked = sorted(found.values(), key=lambda e: (e["order"], -e["count"], e["who"]))[:_OFFENDERS_SHOWN]
    most = max((entry["count"] for entry in ranked), default=0) or 1
    return [{**entry, "share_pct": max(2.0, round(100 * entry["count"] / most, 1))} for entry in ranked]


def _quarantine(rows: Sequence[QuarantinedRow]) -> dict[str, Any]:
    shown = []
    for row in rows[:_ROWS_SHOWN]:
        values = [(n, _text(v)) for n, v in row.values.items() if v is not None and n != "locator"]
        shown.append({"row": row, "values": values})
    states = {state.value: sum(row.state is state for row in rows) for state in State}
    return {"rows": shown, "count": len(rows), "left_out": len(rows) - len(shown), "states": states}


def _restatements(connection: sa.Connection, fetches: Iterable[str] | None) -> dict[str, Any]:
    table = ops.ops_restatement
    if fetches is None:
        count = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        query = sa.select(table).order_by(table.c.known_at.desc(), table.c.subject, table.c.market_date)
        rows: list[Any] = list(connection.execute(query.limit(_ROWS_SHOWN)).mappings())
    else:
        rows = _in_chunks(connection, table, fetches)
        count = len(rows)
        rows.sort(key=lambda row: (-abs(row["change_pct"] or 0), row["subject"], row["market_date"]))
    return {"rows": rows[:_ROWS_SHOWN], "count": count, "left_out": count - len(rows[:_ROWS_SHOWN])}


# --- over time --------------------


def summary_page(connection: sa.Connection, pages: set[str]) -> str:
    """The summary over time; `pages` are the names of the pages that exist."""
    runs = _run_lines(connection)
    oldest_first = runs[::-1]
    aside = read_rows(connection, Selection())
    suites = _trends(connection, [run.run_id for run in oldest_first])
    undecided = [row for row in aside if row.state is State.OPEN]
    restated = _restatements(connection, None)
    since = dt.datetime.now(dt.UTC) - dt.timedelta(days=_DAYS_SHOWN)
    return _render(
        "summary",
        title="Quality over time",
        verdict=_verdict_of_latest(runs),
        tiles=[
            ("runs", len(runs), ""),
            ("expectations met", f"{_share(runs):g} %" if runs else "–", ""),
            ("open in quarantine", len(undecided), "quarantine"),
            ("restated values", restated["count"], "warn"),
        ],
        charts=[
            _chart("Expectations met", "%", oldest_first, [run.met_pct for run in oldest_first], "met"),
            _chart("Not met: error", "", oldest_first, [run.errors for run in oldest_first], "error"),
            _chart("Rows set aside", "rows", oldest_first, [run.set_aside for run in oldest_first], "quarantine"),
            _chart("Warnings", "", oldest_first, [run.warnings for run in oldest_first], "warn"),
        ]
        if runs
        else [],
        runs=[(run, page_name(run.run_id) if page_name(run.run_id) in pages else "") for run in runs],
        suites=suites,
        offenders=_offenders_since(connection, since),
        days=_DAYS_SHOWN,
        quarantine=_quarantine(undecided),
        restatements=restated,
    )


def _run_lines(connection: sa.Connection) -> list[RunLine]:
    """The latest runs that checked anything, latest first; imports count as one run a day."""
    run = ops.ops_run
    began = _window(connection)
    failed = sa.case((_RESULT.c.is_success, 0), else_=1)

    def of(severity: str) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((_RESULT.c.severity == severity, failed), else_=0))

    per_fetch = (
        sa.select(
            _RESULT.c.run_id,
            _RESULT.c.fetch_id,
            sa.func.count().label("checked"),
            sa.func.sum(1 - failed).label("met"),
            of("error").label("errors"),
            of("warn").label("warnings"),
            sa.func.max(_RESULT.c.checked_at).label("last_at"),
        )
        .where(_RESULT.c.checked_at >= began)
        .group_by(_RESULT.c.run_id, _RESULT.c.fetch_id)
        .subquery()
    )
    load = ops.ops_load
    query = (
        sa.select(per_fetch, load.c.rows_set_aside.label("set_aside"), run.c.command, run.c.started_at, run.c.outcome)
        .outerjoin(load, load.c.fetch_id == per_fetch.c.fetch_id)
        .outerjoin(run, run.c.run_id == per_fetch.c.run_id)
    )
    restated = _restated_by_run(connection, began)
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query).mappings():
        run_id = row["run_id"] or f"{IMPORTS}{row['last_at']:%Y-%m-%d}"
        title = row["command"] or (row["run_id"] or "imports")
        entry = found.setdefault(
            run_id,
            {
                "title": title,
                "started_at": row["started_at"] or row["last_at"],
                "outcome": row["outcome"] or "",
                "restated": restated.get(run_id, 0),
                **dict.fromkeys(_COUNTS, 0),
            },
        )
        for name in _COUNTS:
            entry[name] += int(row[name] or 0)
    lines = [RunLine(run_id, **entry) for run_id, entry in found.items()]
    return sorted(lines, key=lambda line: (line.started_at, line.run_id), reverse=True)[:_RUNS_SHOWN]


def _window(connection: sa.Connection) -> dt.datetime:
    """Since when results are looked at: however long the history, only that of the runs that are shown is read."""
    started = sa.select(ops.ops_run.c.started_at).order_by(ops.ops_run.c.started_at.desc())
    oldest = connection.scalar(started.offset(_RUNS_SHOWN - 1).limit(1))
    return oldest or dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def _restated_by_run(connection: sa.Connection, began: dt.datetime) -> dict[str, int]:
    fetch, table = raw.raw_fetch, ops.ops_restatement
    query = (
        sa.select(fetch.c.run_id, fetch.c.fetch_id, fetch.c.fetched_at, sa.func.count())
        .join(table, table.c.fetch_id == fetch.c.fetch_id)
        .where(fetch.c.fetched_at >= began)
        .group_by(fetch.c.run_id, fetch.c.fetch_id, fetch.c.fetched_at)
    )
    found: dict[str, int] = defaultdict(int)
    for run_id, _, fetched_at, count in connection.execute(query):
        found[run_id or f"{IMPORTS}{fetched_at:%Y-%m-%d}"] += count
    return found


def _trends(connection: sa.Connection, run_ids: Sequence[str]) -> list[Suite]:
    """Every rule that was not met in one of the runs, with how often in each of them, oldest first."""
    texts, place = _descriptions(), {run_id: number for number, run_id in enumerate(run_ids)}
    # Imports belong to no run, so they are told apart by fetch, and these by their day.
    import_id = sa.case((_RESULT.c.run_id.is_(None), _RESULT.c.fetch_id), else_=sa.null())
    query = (
        sa.select(
            _RESULT.c.table_name,
            _RESULT.c.rule,
            _RESULT.c.run_id,
            sa.func.min(_RESULT.c.severity).label("severity"),
            sa.func.count().label("payloads"),
            sa.func.sum(_RESULT.c.unexpected_count).label("unexpected"),
            sa.func.max(_RESULT.c.checked_at).label("last_at"),
        )
        .where(
            sa.not_(_RESULT.c.is_success),
            _RESULT.c.checked_at >= _window(connection),
            sa.or_(_RESULT.c.run_id.in_(run_ids), _RESULT.c.run_id.is_(None)),
        )
        .group_by(_RESULT.c.table_name, _RESULT.c.rule, _RESULT.c.run_id, import_id)
    )
    by_table: dict[str, dict[str, RuleLine]] = defaultdict(dict)
    for row in connection.execute(query).mappings():
        name, rule = row["table_name"], row["rule"]
        number = place.get(row["run_id"] or f"{IMPORTS}{row['last_at']:%Y-%m-%d}")
        if number is None:
            continue
        line = by_table[name].get(rule)
        if line is None:
            line = RuleLine(rule, row["severity"], texts.get((name, rule), ""), trend=[0] * len(run_ids))
            by_table[name][rule] = line
        line.payloads_failed += row["payloads"]
        line.unexpected += int(row["unexpected"])
        line.trend[number] += int(row["unexpected"])
    return [
        Suite(
            name,
            table_info(tables.tables[name]).description if name in tables.tables else "",
            sorted(rules.values(), key=lambda r: (_SEVERITY_ORDER.get(r.severity, 9), -r.unexpected, r.rule)),
        )
        for name, rules in sorted(by_table.items())
    ]


def _offenders_since(connection: sa.Connection, since: dt.datetime) -> list[dict[str, Any]]:
    fetch = raw.raw_fetch
    query = (
        sa.select(
            _RESULT.c.is_success,
            _RESULT.c.rule,
            _RESULT.c.severity,
            sa.func.sum(_RESULT.c.unexpected_count).label("unexpected_count"),
            fetch.c.source,
            fetch.c.subject,
        )
        .join(fetch, fetch.c.fetch_id == _RESULT.c.fetch_id)
        .where(sa.not_(_RESULT.c.is_success), _RESULT.c.checked_at >= since)
        .group_by(_RESULT.c.is_success, _RESULT.c.rule, _RESULT.c.severity, fetch.c.source, fetch.c.subject)
    )
    rows = [
        {**row, "unexpected_count": int(row["unexpected_count"]), "fetch_id": f"{row['source']} {row['subject']}"}
        for row in connection.execute(query).mappings()
    ]
    return _offenders(rows, {row["fetch_id"]: row for row in rows})


def _verdict_of_latest(runs: Sequence[RunLine]) -> dict[str, str]:
    if not runs:
        return {"kind": "met", "text": "Nothing has been checked yet."}
    latest = runs[0]
    kind = "error" if latest.errors else "quarantine" if latest.set_aside else "warn" if latest.warnings else "met"
    return {"kind": kind, "text": f"Latest: {latest.title}, {latest.met:,} of {latest.checked:,} results met."}


def _share(runs: Sequence[RunLine]) -> float:
    checked, met = sum(run.checked for run in runs), sum(run.met for run in runs)
    return 100.0 if met == checked else min(99.9, int(1000 * met / checked) / 10)


def _chart(title: str, unit: str, runs: Sequence[RunLine], values: Sequence[float], kind: str) -> dict[str, Any]:
    """A small chart, ready to draw in a box of 100 × 30: a bar per run."""
    low = min(values) if unit == "%" else 0.0
    # A share near 100 % would be a wall of equal bars; its axis begins below the lowest.
    floor = max(0.0, low - (100 - low) * 0.25 - 1) if unit == "%" else 0.0
    top = 100.0 if unit == "%" else max([*values, 1])
    step = 100 / max(len(values), 12)
    bars = [
        {
            "x": round(number * step, 2),
            "width": round(step * 0.72, 2),
            "height": (height := round(max(0.6 if value else 0.0, 30 * (value - floor) / (top - floor)), 2)),
            "y": round(30 - height, 2),
            "label": f"{run.title}, {run.started_at:%Y-%m-%d %H:%M}: {value:g} {unit}".strip(),
        }
        for number, (run, value) in enumerate(zip(runs, values, strict=True))
    ]
    return {
        "title": title,
        "unit": unit,
        "kind": kind,
        "bars": bars,
        "last": f"{values[-1]:g}{' %' if unit == '%' else ''}",
        "floor": f"{floor:.0f}",
        "top": f"{top:g}",
        "text": f"{title}: last {values[-1]:g}, lowest {min(values):g}, highest {max(values):g}, of {len(values)} runs",
    }


# --- shapes --------------------


def _loaded(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {"value": text}
    return value if isinstance(value, dict) else {"value": value} if value is not None else {}


def _loaded_list(text: str) -> list[dict[str, Any]]:
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A value for people: days without midnight, numbers without noise, long texts cut."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    text = re.sub(r"(\d{4}-\d{2}-\d{2})T00:00:00(?:\.0+)?Z?", r"\1", str(value))
    return text if len(text) <= 200 else text[:200] + "…"


def _render(kind: str, **values: Any) -> str:
    return _template().render(kind=kind, written_at=dt.datetime.now(dt.UTC), **values)


@functools.cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}" if isinstance(value, int) else _text(value)
    environment.filters["minute"] = lambda value: f"{value:%Y-%m-%d %H:%M}" if value else "–"
    environment.filters["time"] = lambda value: f"{value:%Y-%m-%d %H:%M} UTC" if value else "–"
    return environment.get_template("quality_report.html")
