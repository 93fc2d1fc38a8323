"""Files of headlines, one note per row: CSV and JSON lines.

Belongs here: which columns such a file may have and what each becomes. Does not belong here: what a headline says.

One of ``text``, ``headline`` and ``title`` is required. With a text and a headline the note is both, the headline
first. Rows without any text are left out, and the first note says which.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers.content import clean, clean_field, has_special, too_long
from rally_pipeline.notes.readers.dates import iso_day
from rally_pipeline.notes.readers.side_car import ALIASES, FIELDS
from rally_pipeline.notes.records import CanonicalText, ReadNote

#: What a column may be called, to what it is.
_COLUMNS: Mapping[str, str] = {
    **{name: name for name in (*FIELDS, "text", "headline")},
    **{name: field for name, field in ALIASES.items() if field not in ("broker",)},
    "body": "text",
    "content": "text",
    "标题": "title",
    "標題": "title",
    "正文": "text",
    "内容": "text",
    "內容": "text",
    "日期": "date",
}
_TEXTS = ("text", "headline", "title")
_FIX = "name a column text, headline or title; optional: id, date, source, ticker, broker, analyst, language"
_DELIMITERS = ",\t;|"

Row = tuple[int, dict[str, str]]


def header_delimiter(line: str) -> str:
    """What separates the columns if `line` is the header of a file of headlines, else ``""``."""
    for delimiter in _DELIMITERS:
        names = [_COLUMNS.get(cell.strip().strip('"').lower(), "") for cell in line.split(delimiter)[:200]]
        if len(names) > 1 and any(name in _TEXTS for name in names) and names.count("") * 2 <= len(names):
            return delimiter
    return ""


def read_csv(text: str) -> list[ReadNote]:
    """The notes of a CSV file with a header.

    Raises:
        PayloadError: ``columns_known``, ``column_bound``, ``table_shape``, ``row_bound``, ``text_bound``,
            ``text_found``; its locator is ``line N``.
    """
    return _notes(_csv_rows(text), "csv", has_special(text))


def read_jsonl(text: str) -> list[ReadNote]:
    """The notes of a file with one JSON object per line.

    Raises:
        PayloadError: ``columns_known``, ``json_valid``, ``value_kind``, ``row_bound``, ``text_bound``,
            ``text_found``; its locator is ``line N``.
    """
    # A JSON string may escape any character, so every text is looked at.
    return _notes(_json_rows(text), "jsonl", True)


def note_of_line(line: str, number: int) -> ReadNote | None:
    """The note of one line of JSON, for streams that are read as they come; ``None`` for a line without text.

    Raises:
        PayloadError: ``table_shape``, ``json_valid``, ``value_kind``, ``text_bound``; its locator is ``line N``.
    """
    if len(line) > limits.MAX_JSON_LINE_CHARACTERS:
        raise PayloadError("table_shape", "the line is too long for one note", _FIX, f"line {number}")
    return _note(number, _json_row(line, number), "jsonl", True) if line.strip() else None


def _csv_rows(text: str) -> Iterator[Row]:
    header, _, _ = text.partition("\n")
    if len(header) > limits.MAX_CELL_CHARACTERS:
        raise PayloadError("column_bound", "the header line is too long to be one", _FIX, "line 1")
    delimiter = header_delimiter(header) or max(_DELIMITERS, key=header.count)
    if delimiter not in header:
        # one column: a comma is part of a headline
        delimiter = "\x1f"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            first, line = line, reader.line_num + 1
            if names is None:
                names = _header(cells)
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise PayloadError(
                    "table_shape",
                    f"the row has {len(cells):,} cells, the header {len(names):,}",
                    "put texts that hold the separator in quotes",
                    f"line {first}",
                )
            row: dict[str, str] = {}
            for name, cell in zip(names, cells, strict=True):
                if name and cell and name not in row:
                    row[name] = cell
            yield first, row
    except csv.Error as error:
        raise PayloadError(
            "table_shape", f"a row cannot be read ({error})", "close every quote", f"line {line}"
        ) from None


def _header(cells: Sequence[str]) -> list[str]:
    if len(cells) > limits.MAX_HEADLINE_COLUMNS:
        raise PayloadError(
            "column_bound",
            f"the header has {len(cells):,} columns; {limits.MAX_HEADLINE_COLUMNS} is the bound",
            _FIX,
            "line 1",
        )
    names = [_COLUMNS.get(cell.strip().lower(), "") for cell in cells]
    if not any(name in _TEXTS for name in names):
        seen = ", ".join(cell.strip()[:30] for cell in cells[:12])
        raise PayloadError("columns_known", f"no column holds the text; columns seen: {seen}", _FIX, "line 1")
    return names


def _json_rows(text: str) -> Iterator[Row]:
    start, number = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        if end - start > limits.MAX_JSON_LINE_CHARACTERS:
            raise PayloadError("table_shape", "the line is too long for one note", _FIX, f"line {number}")
        line = text[start:end].strip()
        start = end + 1
        if line:
            yield number, _json_row(line, number)


def _json_row(line: str, number: int) -> dict[str, str]:
    where = f"line {number}"
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        what = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise PayloadError("json_valid", f"it is not JSON ({what})", "write one object per line", where) from None
    if not isinstance(found, dict):
        raise PayloadError("json_valid", "it is JSON, but no object", "write one object per line", where)
    row: dict[str, str] = {}
    for key, value in found.items():
        name = _COLUMNS.get(key.strip().lower(), "")
        if not name or value is None or name in row:
            continue
        if isinstance(value, (dict, list)):
            raise PayloadError("value_kind", f"{name} is no text but a nested value", "write texts", where)
        row[name] = value if isinstance(value, str) else str(value)
    if not any(name in _TEXTS for name in row) and number == 1:
        seen = ", ".join(key[:30] for key in list(found)[:12])
        raise PayloadError("columns_known", f"no field holds the text; fields seen: {seen}", _FIX, where)
    return row


def _notes(rows: Iterable[Row], file_type: str, is_special: bool) -> list[ReadNote]:
    notes: list[ReadNote] = []
    without_text: list[int] = []
    for count, (number, row) in enumerate(rows, start=1):
        if count > limits.MAX_HEADLINE_ROWS:
            raise PayloadError(
                "row_bound", f"the file has more than {limits.MAX_HEADLINE_ROWS:,} rows", "split the file"
            )
        found = _note(number, row, file_type, is_special)
        if found is None:
            without_text.append(number)
        else:
            notes.append(found)
    if not notes:
        raise PayloadError("text_found", "no row holds a text", _FIX)
    if without_text:
        shown = ", ".join(map(str, without_text[:5])) + (" ..." if len(without_text) > 5 else "")
        first = notes[0]
        warning = f"{len(without_text):,} rows without text left out (lines {shown})"
        notes[0] = ReadNote(
            first.part,
            first.canonical,
            first.file_type,
            first.title,
            first.declared,
            first.basis,
            (*first.warnings, warning),
        )
    return notes


def _note(number: int, row: dict[str, str], file_type: str, is_special: bool) -> ReadNote | None:
    warnings: tuple[str, ...] = ()
    title = (row.get("headline", "") or row.get("title", "")).strip()
    text = row.get("text", "").strip()
    body = title if not text else text if not title or text.startswith(title) else f"{title}\n\n{text}"
    if is_special or "\r" in body:
        body, warnings = clean(body)
        body = body.strip()
    if not body:
        return None
    if len(body) > limits.MAX_NOTE_CHARACTERS:
        raise too_long()
    declared: dict[str, str] = {}
    for name, value in row.items():
        if name not in _TEXTS and (value := clean_field(value) if has_special(value) else value.strip()):
            declared[name] = value[: limits.MAX_FIELD_CHARACTERS]
    if given := declared.get("date"):
        if day := iso_day(given):
            declared["date"] = day
        else:
            del declared["date"]
            warnings = (*warnings, f"the date {given[:40]!r} cannot be told for certain and is not used")
    basis = dict.fromkeys(declared, "column")
    return ReadNote(f"line {number}", CanonicalText(body), file_type, clean_field(title), declared, basis, warnings)
