"""What a document is, by its content first and its name second.

Belongs here: telling file types apart. Does not belong here: reading any of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes.readers.headlines import header_delimiter

EXTENSIONS: Mapping[str, str] = {
    "txt": "txt",
    "text": "txt",
    "asc": "txt",
    "md": "md",
    "markdown": "md",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "eml": "eml",
    "mbox": "eml",
    "mht": "eml",
    "mhtml": "eml",
    "pdf": "pdf",
    "docx": "docx",
    "docm": "docx",
    "csv": "csv",
    "tsv": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
}
_FIX = "send txt, md, html, eml, pdf, docx, or headlines as csv or jsonl"
#: First bytes of what is surely none of these, and what to do about it.
_FOREIGN = (
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old or encrypted Office file, or an Outlook message",
        "take the password off, or save it as docx, pdf or eml",
    ),
    (b"{\\rtf", "a rich text file", "save it as docx or pdf"),
    (b"\x89PNG", "a picture", "send the text itself"),
    (b"\xff\xd8\xff", "a picture", "send the text itself"),
    (b"GIF8", "a picture", "send the text itself"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"\x7fELF", "a program", _FIX),
    (b"SQLite format 3", "a database", _FIX),
)
_HTML = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--[^>]{0,500}-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I
)
_TAG = re.compile(
    r"</?(?:p|div|span|table|tr|td|br|h[1-6]|ul|li|a|b|i|em|strong|article|section|title|meta)\b[^<>]{0,500}>", re.I
)
_EXTENSION = re.compile(r"[A-Za-z][A-Za-z0-9]{0,9}")
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60}):(?:[ \t]|\n|$)")
_MAIL_HEADERS = frozenset(
    [
        "from",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "message-id",
        "mime-version",
        "received",
        "return-path",
        "delivered-to",
        "reply-to",
        "sender",
        "in-reply-to",
        "references",
        "content-type",
        "content-transfer-encoding",
        "x-mailer",
        "x-originating-ip",
        "dkim-signature",
        "thread-topic",
    ]
)
#: Those that a memo in plain text does not have.
_MAIL_ONLY = _MAIL_HEADERS - frozenset(("from", "to", "cc", "subject", "date", "sender", "references"))


def extension(name: str) -> str:
    """The extension of a name, lower case, without the dot; ``""`` if there is none."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, ending = last.rpartition(".")
    # "Note of 18.02.2025" has none
    return ending.lower() if dot and stem and _EXTENSION.fullmatch(ending) else ""


def binary_kind(body: bytes) -> str:
    """``pdf`` or ``docx``, or ``""`` for what may be text.

    Raises:
        PayloadError: ``file_kind`` for what is surely none of the types.
    """
    for start, what, fix in _FOREIGN:
        if body.startswith(start):
            raise PayloadError("file_kind", f"this is {what}", fix)
    if body.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "docx"
    head = body[:1024]
    at = head.find(b"%PDF-")
    # Some mail gateways and printers put bytes before the mark; a text that speaks of it has it in a sentence.
    if at == 0 or (at > 0 and (head[at - 1] in b"\r\n\0" or b"\0" in head[:at])):
        return "pdf"
    return ""


def text_kind(text: str, name: str) -> str:
    """The type of a text: by its own signs, then by its name.

    Raises:
        PayloadError: ``file_kind`` if the name has an extension of another kind and the text no sign.
    """
    ending = extension(name)
    named = EXTENSIONS.get(ending, "")
    head = text[:20_000].lstrip("\n\r \t\ufeff").replace("\r\n", "\n")
    first = head.partition("\n")[0]
    if _HTML.match(head) or (named == "html" and _TAG.search(text[:200_000])):
        return "html"
    if _is_mail(head, named):
        return "eml"
    if named == "jsonl" or (first.startswith("{") and named != "md" and _is_object(first)):
        return "jsonl"
    if named == "csv":
        return "csv"
    if named != "md" and "\n" in head and header_delimiter(first) and len(first) < 2_000:
        return "csv"
    if named == "md" or (not named and head.startswith("---\n")):
        return "md"
    if named or not ending:
        return "txt"
    raise PayloadError("file_kind", f"the type .{ending} is not known, and the text does not tell", _FIX)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_mail(head: str, named: str) -> bool:
    """Whether a text begins with the header of an e-mail."""
    if head.startswith("From ") and "\n" in head:
        head = head.partition("\n")[2]
    names: set[str] = set()
    for line in head.split("\n")[:200]:
        if line[:1] in (" ", "\t") and names:
            continue
        match = _HEADER.match(line)
        if match is None:
            break
        names.add(match[1].lower())
    known = names & _MAIL_HEADERS
    if named == "eml":
        return bool(known)
    return len(known) >= 3 and bool(names & _MAIL_ONLY)
