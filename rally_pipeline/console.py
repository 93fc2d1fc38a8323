"""How results and progress are shown on a terminal or handed to another program.

Belongs here: tables, JSON, CSV, progress lines, the reading of times. Does not belong here: what is shown (`cli.py`).
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rally_pipeline.errors import UsageError

#: Work shorter than this says nothing while it runs.
_QUIET_SECONDS = 2.0
#: What a spreadsheet takes for the beginning of a formula, or passes over before one; full-width signs too.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Progress:
    """One line on standard error, rewritten as work goes on; nothing at all where that is not a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._started = time.monotonic()
        self._width = 0

    def __call__(self, text: str) -> None:
        """Shows `text` in place of what was shown before, once the work has lasted long enough to wonder."""
        if not self._is_terminal or time.monotonic() - self._started < _QUIET_SECONDS:
            return
        elapsed = time.monotonic() - self._started
        line = f"  {elapsed:5.0f} s  {text}"[:118]
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)

    def done(self) -> None:
        """Clears the line."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0


def parse_instant(text: str, *, end_of_day: bool) -> dt.datetime:
    """An aware UTC time from ISO 8601; without a zone it is UTC, a bare date is that day's first or last instant.

    Raises:
        UsageError: not a date or time.
    """
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time. Fix: write 2025-02-14 or 2025-02-14T16:30+08:00.") from None
    is_date = len(text) <= 10
    if is_date and end_of_day:
        value = value.replace(hour=23, minute=59, second=59, microsecond=999_999)
    if value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise UsageError(f"{text!r} is not a year between 1 and 9999 in UTC.") from None


def plain(value: Any) -> Any:
    """A value as JSON has it: ISO text for dates and times, ``None`` for NaN."""
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(rows: Iterable[Mapping[str, Any]], stream: TextIO) -> None:
    """A JSON array, one object a line."""
    stream.write("[")
    separator = "\n "
    for row in rows:
        text = json.dumps({key: plain(value) for key, value in row.items()}, ensure_ascii=False, allow_nan=False)
        stream.write(separator + text)
        separator = ",\n "
    stream.write("\n]\n")


def write_json_lines(rows: Iterable[Mapping[str, Any]], stream: TextIO) -> None:
    """One JSON object per line, as they come."""
    for row in rows:
        stream.write(json.dumps({name: plain(value) for name, value in row.items()}, ensure_ascii=False) + "\n")


def write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], stream: TextIO) -> None:
    """CSV with a header. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    # The writer quotes a cell with "\r" in it only if that is part of its own line end.
    writer = csv.writer(_UnixLines(stream), lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(row[name]) for name in columns])


class _UnixLines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        self._stream.write(line.removesuffix("\r\n") + "\n")


def defused(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet could run it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _csv_cell(value: Any) -> Any:
    if isinstance(value, str):
        return defused(value)
    value = plain(value)
    return "" if value is None else value


def write_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], stream: TextIO) -> None:
    """Columns of text, numbers to the right."""
    cells = [[_table_cell(row[name]) for name in columns] for row in rows]
    numeric = [bool(cells) and all(_is_number(line[i]) for line in cells) for i in range(len(columns))]
    widths = [max([len(name), *(len(line[i]) for line in cells)]) for i, name in enumerate(columns)]
    for line in ([*columns], ["-" * width for width in widths], *cells):
        parts = [
            text.rjust(w) if right else text.ljust(w) for text, w, right in zip(line, widths, numeric, strict=True)
        ]
        stream.write("  ".join(parts).rstrip() + "\n")


def _table_cell(value: Any) -> str:
    value = plain(value)
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    return str(value)


def _is_number(text: str) -> bool:
    return text == "–" or text.replace(",", "").replace(".", "").lstrip("-").isdigit()
