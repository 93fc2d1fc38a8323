"""The part of an archived payload in which a row stands, for people to look at.

Belongs here: finding a locator again in bytes. Does not belong here: reading values (`sources/`). What comes out is
hostile input: whoever shows it must escape it; control characters are already made visible.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rally_pipeline.errors import PayloadError
from rally_pipeline.sources.delimited import gunzip, unzip_one_csv

_ROW = re.compile(r"\b(?:row|line) (\d+)\b")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
#: Characters of one line that are shown.
_WIDTH = 400
_LINES_AROUND = 2


@dataclass(frozen=True)
class Line:
    """One line or element: its number or path, its text, and whether it is the one looked for."""

    where: str
    text: str
    is_target: bool


def excerpt(body: bytes, locator: str, hints: Sequence[str] = ()) -> list[Line]:
    """The lines of a payload around a locator; if it cannot be found, the first ones.

    Args:
        body: the payload, packed or not.
        locator: ``row 12``, ``data.klines[3]``, …, as the parser wrote it.
        hints: texts of the row, such as its date, to look for where the locator names no line.
    """
    if body.startswith(b"PK") and b"xl/" in body[:4000]:
        return _of_sheet(body, locator)
    try:
        body = gunzip(body) if body.startswith(b"\x1f\x8b") else unzip_one_csv(body) if body.startswith(b"PK") else body
    except PayloadError as error:
        return [Line("", f"the payload cannot be unpacked: {error}", False)]
    # A mark at the beginning tells UTF-16; anything else is read as what most upstreams write.
    encoding = "utf-16" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = body.decode(encoding, errors="replace")
    found = _of_json(text, locator) or _of_lines(text.splitlines(), locator, hints)
    return found or [Line("", "the payload is empty", False)]


def visible(text: str) -> str:
    """Text without characters that a terminal would act on, cut to a width one can read."""
    cut = text if len(text) <= _WIDTH else text[:_WIDTH] + f" … ({len(text) - _WIDTH} more characters)"
    return "".join(c if c.isprintable() else "\\t" if c == "\t" else f"\\x{ord(c):02x}" for c in cut)


def _of_lines(lines: Sequence[str], locator: str, hints: Sequence[str]) -> list[Line]:
    target = None
    if named := _ROW.search(locator):
        target = int(named[1]) - 1
    else:
        wanted = [*_DAY.findall(locator), *hints]
        target = next((i for hint in wanted for i, line in enumerate(lines) if hint and hint in line), None)
    if target is None or not 0 <= target < len(lines):
        return [Line(f"row {i + 1}", visible(line), False) for i, line in enumerate(lines[: 2 * _LINES_AROUND + 1])]
    shown = sorted({0, *range(max(0, target - _LINES_AROUND), min(len(lines), target + _LINES_AROUND + 1))})
    return [Line(f"row {i + 1}", visible(lines[i]), i == target) for i in shown]


def _of_json(text: str, locator: str) -> list[Line]:
    content, path = _json(text), list(_steps(locator))
    if content is None:
        return []
    # A locator may begin with the name of a block rather than with a key; then its numbers alone are tried.
    for steps in (path, [("rows", None), *path], [step for step in path if step[1] is not None]):
        parent, step = _walk(content, steps)
        if isinstance(parent, list) and step is not None:
            around = range(max(0, step - _LINES_AROUND), min(len(parent), step + _LINES_AROUND + 1))
            stem = locator.rpartition("[")[0]
            return [Line(f"{stem}[{i}]", visible(json.dumps(parent[i], ensure_ascii=False)), i == step) for i in around]
    return [Line("", visible(text), False)]


def _json(text: str) -> Any:
    start = min((i for i in (text.find("{"), text.find("[")) if i >= 0), default=-1)
    # Some upstreams wrap JSON in a line of JavaScript; anything longer before it is no JSON.
    if not 0 <= start <= 200:
        return None
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def _steps(locator: str) -> Iterator[tuple[str, int | None]]:
    for index, name in _STEP.findall(locator):
        yield (name, None) if name else ("", int(index))


def _walk(content: Any, steps: Sequence[tuple[str, int | None]]) -> tuple[Any, int | None]:
    """The list that holds the last numbered element of a path, and its number."""
    parent, at, here = None, None, content
    for name, index in steps:
        if index is not None and isinstance(here, list) and index < len(here):
            parent, at, here = here, index, here[index]
        elif index is None and isinstance(here, dict) and name in here:
            here = here[name]
        else:
            return None, None
    return parent, at


def _of_sheet(body: bytes, locator: str) -> list[Line]:
    import openpyxl

    named = _ROW.search(locator)
    target = int(named[1]) if named else 1
    first = max(1, target - _LINES_AROUND)
    try:
        book = openpyxl.load_workbook(io.BytesIO(body), read_only=True, data_only=True)
        rows = book.worksheets[0].iter_rows(first, target + _LINES_AROUND, values_only=True)
        return [
            Line(f"row {n}", visible(" | ".join("" if c is None else str(c) for c in row[:64])), n == target)
            for n, row in enumerate(rows, start=first)
        ]
    except Exception as error:  # a workbook can be broken in as many ways as openpyxl has lines
        return [Line("", visible(f"the workbook cannot be read: {error}"), False)]
