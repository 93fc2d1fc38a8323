"""Readers: the bytes of a document to canonical text, with what the document says of itself.

Belongs here: the one way in, `read_document`, and one module per format. Does not belong here: what a text says
(`notes/extract.py`), files on disk and the archive (`sources/`).

Nothing a document refers to is opened, fetched or executed. Native and stalling parsers (PDF, docx, HTML, the
structure of e-mails) run in a guarded child process (`guard.py`); text, CSV and JSON lines are read here in linear
time. Every bound is in `notes/limits.py`.
"""

from __future__ import annotations

import dataclasses
import time

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers import guard
from rally_pipeline.notes.readers.charset import decode
from rally_pipeline.notes.readers.content import Content, note
from rally_pipeline.notes.readers.eml import read_eml
from rally_pipeline.notes.readers.headlines import read_csv, read_jsonl
from rally_pipeline.notes.readers.kinds import EXTENSIONS, binary_kind, extension, text_kind
from rally_pipeline.notes.readers.plain import read_plain
from rally_pipeline.notes.readers.side_car import read_side_car
from rally_pipeline.notes.records import ReadNote

__all__ = ["read_document"]

#: Types that are one thing under two names: no warning if the extension says the other.
_ALIKE = (frozenset(("txt", "md")),)


#: How deep mails attached as files are read; those attached as messages count in `limits.MAX_MIME_DEPTH`.
_MAILS_IN_MAILS = 2


def read_document(body: bytes, name: str, side_car: bytes | None = None) -> list[ReadNote]:
    """The notes of a document.

    Args:
        body: its bytes.
        name: its file name; only its extension is used, and only where the content does not tell the type.
        side_car: YAML that declares ``broker``, ``analyst``, ``date``, ``title``, ``language``, ``source`` of it; it
            stands above what the document says of itself, but below the columns of a list of headlines.

    Returns:
        At least one note; several for lists of headlines and e-mails with attachments.

    Raises:
        PayloadError: the document is refused. Rules: ``not_empty``, ``size_bound``, ``file_kind``, ``text_encoding``,
            ``text_found``, ``text_bound``, ``encrypted``, ``not_damaged``, ``page_bound``, ``zip_bomb``, ``xml_safe``,
            ``nesting_bound``, ``part_bound``, ``columns_known``, ``column_bound``, ``row_bound``, ``table_shape``,
            ``json_valid``, ``value_kind``, ``front_matter_valid``, ``front_matter_safe``, ``side_car_valid``,
            ``side_car_safe``, ``side_car_date``, ``reader_timeout``, ``reader_memory``, ``reader_crashed``,
            ``reader_failed``, ``reader_missing``.
    """
    said = read_side_car(side_car) if side_car is not None else {}
    notes = _read(body, name, time.monotonic() + limits.MAX_DOCUMENT_SECONDS)
    return [_with_side_car(item, said, number) for number, item in enumerate(notes)] if said else notes


def _read(body: bytes, name: str, deadline: float, mails: int = 0) -> list[ReadNote]:
    if not body.strip(b"\0 \t\r\n"):
        raise PayloadError("not_empty", "the document is empty", "send it again")
    if len(body) > limits.MAX_DOCUMENT_BYTES:
        raise PayloadError(
            "size_bound",
            f"the document has {len(body):,} bytes; {limits.MAX_DOCUMENT_BYTES:,} is the bound",
            "split it, or take the pictures out",
        )
    kind = binary_kind(body)
    warnings: list[str] = []
    text = ""
    if not kind:
        text, warning = decode(body)
        kind = text_kind(text, name)
        # HTML and mails declare their own encoding; what was guessed for the look at them does not count.
        if warning and kind not in ("html", "eml"):
            warnings.append(warning)
    named = EXTENSIONS.get(extension(name), "")
    if extension(name) and named != kind and not any({named, kind} <= group for group in _ALIKE):
        warnings.append(f"the name says .{extension(name)}, the content is {kind}; read as {kind}")
    if kind == "eml":
        if mails > _MAILS_IN_MAILS:
            raise PayloadError("nesting_bound", "mails are attached to mails too deep", "send it alone")
        notes = read_eml(body, lambda data, label, until: _read(data, label, until, mails + 1), deadline)
    elif kind == "csv":
        notes = read_csv(text)
    elif kind == "jsonl":
        notes = read_jsonl(text)
    elif kind in ("txt", "md"):
        notes = [note(read_plain(text), "", kind)]
    else:
        notes = [note(_guarded(kind, body, deadline), "", kind)]
    if warnings:
        notes[0] = dataclasses.replace(notes[0], warnings=(*warnings, *notes[0].warnings))
    return notes


def _guarded(kind: str, body: bytes, deadline: float) -> Content:
    answer = guard.run({"reader": kind}, body, deadline)
    try:
        return Content(
            [str(page) for page in answer["pages"]],
            str(answer["title"]),
            {str(key): str(value) for key, value in answer["declared"].items()},
            {str(key): str(value) for key, value in answer["basis"].items()},
            tuple(str(warning) for warning in answer["warnings"]),
        )
    except (KeyError, TypeError, AttributeError):
        raise PayloadError("reader_crashed", f"the {kind} reader gave no usable answer", "send it as text") from None


def _with_side_car(item: ReadNote, said: dict[str, str], number: int) -> ReadNote:
    """A note with what the side-car declares of the whole document; its title and id are those of the first note."""
    fields = {
        name: text
        for name, text in said.items()
        if item.basis.get(name) != "column" and (not number or name not in ("title", "id"))
    }
    return dataclasses.replace(
        item,
        title=fields.get("title", item.title),
        declared={**item.declared, **fields},
        basis={**item.basis, **dict.fromkeys(fields, "side_car")},
    )
