"""E-mails: the text of the mail, and a note for every attachment that can be read.

Belongs here: which of a mail's parts are text, and what the mail's header says for all of them. Does not belong here:
MIME (`mime.py`), the formats of attachments.

The subject is the first line of the mail's text. Of two alternatives the HTML is read, which keeps paragraphs and
tables, unless it holds much less than the plain text. Attachments are read by the same readers as files; their names
are labels and nothing else. An attachment that cannot be read leaves a warning on the first note of the mail.
"""

from __future__ import annotations

import base64
import dataclasses
import re
import time
from collections.abc import Callable
from typing import Any

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers import guard
from rally_pipeline.notes.readers.charset import decode
from rally_pipeline.notes.readers.content import Content, clean, clean_field, note
from rally_pipeline.notes.readers.plain import has_title, unwrap
from rally_pipeline.notes.records import ReadNote

#: Extension for an attachment whose name has none.
_EXTENSIONS = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "message/rfc822": ".eml",
}
#: Parts that come with mails and hold no note; they are passed over without a warning.
_SILENT = ("image/", "audio/", "video/", "text/calendar", "application/pgp-signature", "application/pkcs7-signature")

_NEXT_MAIL = re.compile(rb"(\r?\n\r?\n)From [^\s]{1,200} [^\r\n]{5,100}\d{4}[^\r\n]{0,20}\r?\n(?=[A-Za-z-]{2,60}:)")

Reader = Callable[[bytes, str, float], list[ReadNote]]


def read_eml(body: bytes, read: Reader, deadline: float) -> list[ReadNote]:
    """The notes of an e-mail: itself first, then its attachments in order; of a mailbox file, mail after mail.

    Args:
        body: the e-mail, or a mailbox file.
        read: reads the bytes of an attachment under a name.
        deadline: `time.monotonic` time at which reading must be done.

    Raises:
        PayloadError: ``text_found`` if nothing of it can be read; what `mime.read_mime` refuses.
    """
    mails = _mails(body)
    if len(mails) == 1:
        return _mail_notes(body, "", read, deadline)
    notes: list[ReadNote] = []
    warnings: list[str] = []
    for number, mail in enumerate(mails, start=1):
        part = f"mail {number}"
        try:
            notes.extend(_mail_notes(mail, part, read, deadline))
        except PayloadError as error:
            warnings.append(f"{part} cannot be read: {error.message} [rule {error.rule}]")
    if not notes:
        raise PayloadError(
            "text_found", f"none of the {len(mails)} mails can be read: {warnings[0]}"[:1_000], "send one"
        )
    if warnings:
        notes[0] = dataclasses.replace(notes[0], warnings=(*notes[0].warnings, *warnings))
    return notes


def _mails(body: bytes) -> list[bytes]:
    """The mails of a mailbox file (mbox), or the one mail that the file is."""
    if not body.startswith(b"From "):
        return [body]
    starts = [0, *(match.start() + len(match[1]) for match in _NEXT_MAIL.finditer(body))]
    if len(starts) > limits.MAX_MAILS:
        raise PayloadError(
            "part_bound", f"the mailbox has {len(starts):,} mails; {limits.MAX_MAILS:,} is the bound", "split it"
        )
    return [body[start:end] for start, end in zip(starts, [*starts[1:], len(body)], strict=True)]


def _mail_notes(body: bytes, part: str, read: Reader, deadline: float) -> list[ReadNote]:
    message = guard.run({"reader": "eml"}, body, deadline)
    return _message_notes(message, part, read, deadline, [limits.MAX_ATTACHMENTS])


def _message_notes(
    message: dict[str, Any], part: str, read: Reader, deadline: float, left: list[int]
) -> list[ReadNote]:
    declared, basis = _declared(message)
    warnings = list(message["warnings"])
    subject = clean_field(message["subject"])
    notes: list[ReadNote] = []
    text = ""
    try:
        text, said = _body(message["bodies"], deadline)
        warnings.extend(said)
    except PayloadError as error:
        warnings.append(f"the text of the mail cannot be read: {error.message} [rule {error.rule}]")
    attached: list[ReadNote] = []
    for number, attachment in enumerate(message["attachments"], start=1):
        name = clean_field(attachment["name"])
        label = f"attachment {number}: {name}" if name else f"attachment {number}"
        label = f"{part}, {label}" if part else label
        try:
            attached.extend(_attachment(attachment, name, label, read, deadline, left))
        except PayloadError as error:
            warnings.append(f"{label} cannot be read: {error.message} [rule {error.rule}]")
    if text.strip() or (subject and not attached):
        whole = text if not subject or has_title(text, subject) else f"{subject}\n\n{text.lstrip()}"
        if text.strip():
            content = Content((whole,), subject, declared, basis, tuple(warnings))
            notes.append(note(content, part, "eml"))
            warnings = []
    notes.extend(_inherited(item, declared, basis) for item in attached)
    if not notes:
        reason = f": {'; '.join(warnings)}" if warnings else ""
        raise PayloadError("text_found", f"the mail holds nothing that can be read{reason}"[:1_000], "send the text")
    if warnings:
        notes[0] = dataclasses.replace(notes[0], warnings=(*notes[0].warnings, *warnings))
    return notes


def _declared(message: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    fields = {
        "title": message["subject"],
        "date": message["date"],
        "source": message["from"],
        "id": message["id"],
    }
    declared = {name: text for name, text in fields.items() if text}
    return declared, dict.fromkeys(declared, "header")


def _inherited(item: ReadNote, declared: dict[str, str], basis: dict[str, str]) -> ReadNote:
    """An attachment with the date and the sender of its mail where it does not say its own."""
    missing = [name for name in ("date", "source") if name in declared and name not in item.declared]
    if not missing:
        return item
    return dataclasses.replace(
        item,
        declared={**item.declared, **{name: clean_field(declared[name]) for name in missing}},
        basis={**item.basis, **{name: basis[name] for name in missing}},
    )


def _body(bodies: list[dict[str, Any]], deadline: float) -> tuple[str, list[str]]:
    """The text of a mail's bodies, one after the other, one of each group of alternatives."""
    warnings: list[str] = []
    groups: dict[int, list[dict[str, Any]]] = {}
    for body in bodies:
        groups.setdefault(body["group"], []).append(body)
    texts = []
    for group in groups.values():
        text = _alternative(group, deadline, warnings)
        if text.strip():
            texts.append(text.strip("\n"))
    return "\n\n".join(texts), warnings


def _alternative(group: list[dict[str, Any]], deadline: float, warnings: list[str]) -> str:
    plain = "\n\n".join(text for body in group if body["kind"] == "plain" if (text := _plain(body, warnings)).strip())
    html: list[str] = []
    for body in group:
        if body["kind"] == "html":
            data = base64.b64decode(body["data"])
            try:
                found = guard.run({"reader": "html", "charset": body["charset"]}, data, deadline)
            except PayloadError as error:
                if not plain.strip():
                    raise
                warnings.append(f"the HTML of the mail cannot be read, the plain text is: {error.message}")
                continue
            html.extend(found["pages"])
            warnings.extend(found["warnings"])
    text = "\n\n".join(html)
    # A mail program that puts its notice into one of them leaves the text in the other.
    return text if len("".join(text.split())) * 2 >= len("".join(plain.split())) else plain


def _plain(body: dict[str, Any], warnings: list[str]) -> str:
    text, warning = decode(base64.b64decode(body["data"]), body["charset"])
    if warning:
        warnings.append(warning)
    text, changed = clean(text.replace("\r\n", "\n").replace("\f", "\n"))
    warnings.extend(changed)
    if body["is_flowed"]:
        # RFC 3676: a blank before the line end marks a soft one; a signature's "-- " does not
        text = text.replace("\n-- \n", "\n--\n").replace(" \n", " ")
    return unwrap(text)


def _attachment(
    attachment: dict[str, Any], name: str, label: str, read: Reader, deadline: float, left: list[int]
) -> list[ReadNote]:
    kind = attachment["type"]
    if kind.startswith(_SILENT):
        if kind.startswith("image/") and not attachment.get("is_inline"):
            raise PayloadError("file_kind", "this is a picture")
        return []
    left[0] -= 1
    if left[0] < 0:
        raise PayloadError("attachment_bound", f"only the first {limits.MAX_ATTACHMENTS} attachments are read")
    if time.monotonic() > deadline:
        raise PayloadError("reader_timeout", "the time for this mail is used up")
    if "message" in attachment:
        return _message_notes(attachment["message"], label, read, deadline, left)
    if "." not in name:
        name += _EXTENSIONS.get(kind, "")
    notes = read(base64.b64decode(attachment["data"]), name, deadline)
    return [dataclasses.replace(item, part=f"{label}, {item.part}" if item.part else label) for item in notes]
