"""How quarantine is shown on a terminal or handed over as JSON.

Belongs here: words and columns. Does not belong here: what is shown (`quarantine.py`). Rows are hostile input: nothing
of them reaches a terminal but printable characters.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rally_pipeline.console import plain, write_table
from rally_pipeline.excerpt import visible
from rally_pipeline.quarantine import ActionReport, Explained, QuarantinedRow, RowOutcome

_SHOWN = 200


def row_json(row: QuarantinedRow) -> dict[str, Any]:
    """A row in JSON types."""
    return {
        "row": row.row_id,
        "state": row.state.value,
        "rule": row.rule,
        "table": row.table,
        "row_key": row.row_key,
        "source": row.source,
        "subject": row.subject,
        "locator": row.locator,
        "first_seen_at": plain(row.first_seen_at),
        "values": row.values,
        "payload_id": row.payload_id,
        "fetch_id": row.fetch_id,
        "run_id": row.run_id,
        "actions": [
            {
                "action": a.action,
                "reason": a.reason,
                "acted_by": a.acted_by,
                "acted_at": plain(a.acted_at),
                "outcome": a.outcome,
            }
            for a in row.actions
        ],
    }


def outcome_json(outcome: RowOutcome) -> dict[str, Any]:
    """What an action did to a row, in JSON types."""
    row = outcome.row
    return {
        "row": row.row_id,
        "rule": row.rule,
        "table": row.table,
        "row_key": row.row_key,
        "outcome": outcome.outcome,
        "ok": outcome.ok,
    }


def explained_json(explained: Explained) -> dict[str, Any]:
    """Everything about a row, in JSON types."""
    return {
        **row_json(explained.row),
        "rule_description": explained.rule_text,
        "request": _plain(explained.request),
        "payload_lines": [
            {"where": line.where, "text": line.text, "is_row": line.is_target} for line in explained.lines
        ],
        "known": [_plain(found) for found in explained.known],
        "before": [_plain(found) for found in explained.before],
    }


def list_lines(rows: Sequence[QuarantinedRow], state: str) -> Iterator[str]:
    """A table of rows."""
    if not rows:
        yield "nothing in quarantine" if state == "all" else f"no {state} rows in quarantine"
        return
    yield from _table(
        [
            {
                "row": row.row_id,
                "state": row.state.value,
                "rule": row.rule,
                "table": row.table,
                "key": visible(row.row_key)[:60],
                "source": row.source,
                "set aside": f"{row.first_seen_at:%Y-%m-%d %H:%M}",
            }
            for row in rows[:_SHOWN]
        ]
    )
    more = len(rows) - _SHOWN
    yield f"{len(rows)} rows" + (f", {more} more than shown; --json gives all" if more > 0 else "")


def show_lines(explained: Explained) -> Iterator[str]:
    """A row, its request and its place in the payload."""
    yield from _head(explained.row)
    yield ""
    yield from _pairs(explained.row.values)
    yield ""
    yield "request"
    yield from _pairs({name: value for name, value in explained.request.items() if value not in (None, "", {})})
    yield ""
    yield f"payload at {visible(explained.row.locator)}"
    width = max((len(line.where) for line in explained.lines), default=0)
    for line in explained.lines:
        yield f"{'>' if line.is_target else ' '} {visible(line.where):<{width}}  {line.text}"
    yield from _actions(explained.row)


def explain_lines(explained: Explained) -> Iterator[str]:
    """Why a row was set aside, and what is believed instead."""
    row = explained.row
    yield from _head(row)
    yield f"rule     {row.rule}: {explained.rule_text or 'no rule of this name is in the gate of today'}"
    yield ""
    yield "the row as it was parsed"
    yield from _pairs({name: value for name, value in row.values.items() if value is not None})
    yield ""
    names = _shown_columns(explained)
    if explained.known:
        yield "believed about the same key"
        yield from _table([{name: found.get(name) for name in names} for found in explained.known])
    else:
        yield "nothing else is known about this key"
    if explained.before:
        yield ""
        yield f"the days before, from {row.source}"
        yield from _table([{name: found.get(name) for name in names} for found in explained.before])
    yield from _actions(row)


def action_lines(report: ActionReport) -> Iterator[str]:
    """What an action did."""
    if not report.rows:
        yield f"nothing to {report.action}"
    for outcome in report.rows[:_SHOWN]:
        row = outcome.row
        yield f"{row.row_id}  {row.rule}  {visible(row.row_key)}: {visible(outcome.outcome)}"
    if len(report.rows) > _SHOWN:
        yield f"… and {len(report.rows) - _SHOWN} more"
    for mart in report.refreshed:
        yield f"computed {mart.table}: {mart.rows} rows, {f'from {mart.start}' if mart.start else 'whole'}"


def _head(row: QuarantinedRow) -> Iterator[str]:
    yield f"row      {row.row_id}  ({row.state})"
    yield f"table    {row.table}  {visible(row.row_key)}"
    yield f"broke    {row.rule}, set aside {row.first_seen_at:%Y-%m-%d %H:%M} UTC"
    yield f"payload  {row.payload_id}"


def _actions(row: QuarantinedRow) -> Iterator[str]:
    if row.actions:
        yield ""
    for action in row.actions:
        yield (
            f"{action.acted_at:%Y-%m-%d %H:%M} UTC  {action.action} by {visible(action.acted_by)}: "
            f"{visible(action.reason)} → {visible(action.outcome)}"
        )


def _shown_columns(explained: Explained) -> list[str]:
    """Columns of the core table that hold anything, without the machinery of versions."""
    hidden = {"known_to_at", "payload_id", "locator"}
    rows = (*explained.known, *explained.before)
    names = list(rows[0]) if rows else []
    return [name for name in names if name not in hidden and any(row.get(name) is not None for row in rows)]


def _pairs(values: Mapping[str, Any]) -> Iterator[str]:
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        shown = plain(value)
        yield f"  {name:<{width}}  {'–' if shown is None else visible(str(shown))}"


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    stream = io.StringIO()
    shown = [{n: visible(v) if isinstance(v, str) else v for n, v in row.items()} for row in rows]
    write_table(shown, list(shown[0]), stream)
    yield from stream.getvalue().splitlines()


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in values.items()}
