"""A trace as lines of text for people.

Belongs here: wording and order. Does not belong here: finding anything (`trace.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from rally_pipeline.console import plain
from rally_pipeline.excerpt import visible
from rally_pipeline.lineage.trace import Link, Trace, TracedPayload, TracedRow

#: Rows of one role that are listed; JSON has them all.
_LISTED = 25
#: Values of a fact that are shown.
_VALUES = 8
#: Longest value that is shown.
_WIDTH = 100


def trace_lines(traced: Trace) -> Iterator[str]:
    """The row, what decided it, the facts that entered it, and their payloads."""
    first, *others = traced.rows
    yield f"{first.table}  {_pairs(first.key)}, as known {_when(traced.at) if traced.at else 'now'}"
    for name, value in first.values.items():
        if value is not None:
            yield f"  {name:<34} {_shown(value)}"
    if traced.behind:
        yield f"  ! behind, not computed yet since facts changed: {', '.join(traced.behind)}"
    if first.inputs or first.gone:
        yield ""
        yield "decided by"
        yield from _inputs(traced, first)
    deeper = [row for row in others if row.inputs]
    if deeper:
        yield ""
        yield "which follow from"
        for row in _cut(deeper):
            yield f"  {_named(row)}"
            yield from (f"  {line}" for line in _inputs(traced, row))
        yield from _rest(deeper, "rows")
    facts = [row for row in traced.rows if row.version is not None]
    if facts:
        yield ""
        yield "facts"
        for row in _cut(facts):
            yield from _fact(row)
        yield from _rest(facts, "facts")
    if any(row.is_reference for row in traced.rows):
        yield ""
        yield "from catalog and calendars"
        for row in traced.rows:
            if row.is_reference:
                yield f"  {_named(row)}"
    if traced.payloads:
        yield ""
        yield "payloads"
        # what is damaged is never left out
        ordered = sorted(traced.payloads, key=lambda payload: not payload.damage)
        for payload in _cut(ordered):
            yield from _payload(payload)
        yield from _rest(ordered, "payloads")


def _inputs(traced: Trace, row: TracedRow) -> Iterator[str]:
    for role, links in groupby(row.inputs, key=lambda link: (link.role, link.decides)):
        listed = list(links)
        for link in _cut(listed):
            other = traced.rows[link.row]
            yield f"  {role[0]:<30} {_named(other)}{_used(link, other)}"
        yield from _rest(listed, role[0])
    for gone in row.gone:
        yield f"  {gone.role:<30} {gone.table or 'computed'} {gone.key}: not a row of today's warehouse"


def _used(link: Link, row: TracedRow) -> str:
    shown = [f"{name} {_shown(row.values[name])}" for name in link.uses if row.values.get(name) is not None]
    return f": {', '.join(shown)}" if 0 < len(shown) <= 4 else ""


def _fact(row: TracedRow) -> Iterator[str]:
    version = row.version
    assert version is not None
    number = [one.known_from_at for one in row.versions].index(version.known_from_at) + 1
    until = f"until {_when(version.known_to_at)}" if version.known_to_at else "still believed"
    yield f"  {_named(row)}"
    yield (
        f"      version {number} of {len(row.versions)}, known from {_when(version.known_from_at)}, {until}; "
        f"payload {version.payload_id[:12]}, {visible(row.locator)}"
    )
    values = [f"{name} {_shown(value)}" for name, value in row.values.items() if value not in (None, "")]
    if values:
        yield f"      {', '.join(values[:_VALUES])}{', …' if len(values) > _VALUES else ''}"
    for line in row.lines:
        yield f"      {'>' if line.is_target else ' '} {line.where}  {line.text}"


def _payload(payload: TracedPayload) -> Iterator[str]:
    state = f"DAMAGED: {payload.damage}" if payload.damage else "SHA-256 verified"
    fetch = payload.fetch
    size = f"{fetch.byte_count:,} bytes, " if fetch else ""
    yield f"  {payload.payload_id}  {size}{state}"
    if fetch is None:
        yield "      no fetch of it is registered"
        return
    request = fetch.request
    asked = f" from {visible(request.url)}" if request.url else ""
    params = ", ".join(f"{name}={visible(' '.join(str(value).split()))}" for name, value in request.params.items())
    said = f" ({params})" if params else ""
    yield f"      {request.source}: {request.dataset.value} {visible(request.subject)}{asked}{said}"
    more = f"; came {payload.deliveries} times" if payload.deliveries > 1 else ""
    run = f", run {fetch.run_id}" if fetch.run_id else ""
    yield f"      fetched {_when(fetch.fetched_at)}, known since {_when(fetch.known_at)}{run}{more}"


def _cut(rows: list[Any]) -> list[Any]:
    return rows[:_LISTED]


def _rest(rows: list[Any], what: str) -> Iterator[str]:
    if len(rows) > _LISTED:
        yield f"  … and {len(rows) - _LISTED} more ({what}); --json lists all"


def _named(row: TracedRow) -> str:
    return f"{row.table} {_pairs(row.key)}"


def _pairs(key: dict[str, Any]) -> str:
    parts: Iterable[str] = (f"{name}={_shown(value)}" for name, value in key.items())
    return ", ".join(parts)


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, float) else str(plain(value))
    text = visible(" ".join(text.split()))
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"


def _when(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
