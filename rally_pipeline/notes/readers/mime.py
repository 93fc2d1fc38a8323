"""The structure of an e-mail: its headers, bodies and attachments, as plain data.

Belongs here: MIME. Does not belong here: what becomes of the parts (`eml.py`). Runs in the guarded child: headers and
nested multiparts can keep the parser of the standard library busy for long.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from email.message import EmailMessage, Message
from typing import Any

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers.dates import iso_day

_FIX = "forward the mail anew, or send its text"
_BOUNDARY = re.compile(rb"boundary(?:\*[0-9*]{0,4})?[ \t]{0,9}=[ \t]{0,9}\"?([^\s\";]{0,200})", re.IGNORECASE)
_MBOX = re.compile(rb"From [^\n]{0,500}\n")


def read_mime(body: bytes) -> dict[str, Any]:
    """The structure of an e-mail.

    Returns:
        A message: ``subject``, ``from``, ``date`` (ISO, as written), ``id``; ``bodies``, a list of ``kind``
        (``plain``, ``html``), ``charset``, ``is_flowed``, ``group`` (bodies of one group are alternatives of each
        other), ``data`` (base64); ``attachments``, a list of ``name``, ``type``, ``data``, or ``message`` in place
        of data for an attached mail; ``warnings``.

    Raises:
        PayloadError: ``part_bound``, ``nesting_bound``, ``not_damaged``.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    if match := _MBOX.match(body):
        body = body[match.end() :]
    boundaries = [match[1] for match in _BOUNDARY.finditer(body)]
    if len(boundaries) > limits.MAX_MIME_BOUNDARIES:
        raise PayloadError("part_bound", f"the mail declares {len(boundaries):,} multipart boundaries", _FIX)
    # The parser takes its time for every part, so they are counted before.
    for boundary in set(boundaries) - {b""}:
        if (count := body.count(b"\n--" + boundary)) > 2 * limits.MAX_MIME_PARTS:
            raise PayloadError("part_bound", f"the mail has some {count:,} parts", _FIX)
    try:
        message = _parsed(body)
        for number, (depth, _) in enumerate(_parts(message), start=1):
            if depth > limits.MAX_MIME_DEPTH:
                raise PayloadError("nesting_bound", f"parts are nested deeper than {limits.MAX_MIME_DEPTH}", _FIX)
            if number > limits.MAX_MIME_PARTS:
                raise PayloadError("part_bound", f"the mail has more than {limits.MAX_MIME_PARTS:,} parts", _FIX)
        return _message(message)
    except RecursionError:
        raise PayloadError("nesting_bound", "the mail is nested too deep to be read", _FIX) from None


def _parsed(body: bytes) -> Message:
    import email
    import email.policy

    try:
        return email.message_from_bytes(body, policy=email.policy.default)
    except RecursionError:
        raise
    except Exception as error:  # the header parser raises many kinds of errors on malformed headers
        raise PayloadError(
            "not_damaged", f"the mail cannot be taken apart ({type(error).__name__}: {str(error)[:80]})", _FIX
        ) from None


def _parts(message: Message) -> Iterator[tuple[int, Message]]:
    """Every part with its depth, without recursion."""
    stack: list[tuple[int, Message]] = [(0, message)]
    while stack:
        depth, part = stack.pop()
        yield depth, part
        if depth > limits.MAX_MIME_DEPTH + 1:
            continue
        content = part.get_payload()
        if isinstance(content, list):
            stack.extend((depth + 1, item) for item in content if isinstance(item, Message))


def _message(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {
        "subject": _header(message, "subject"),
        "from": _header(message, "from"),
        "date": iso_day(_header(message, "date")),
        "id": _header(message, "message-id").strip("<>"),
        "bodies": [],
        "attachments": [],
        "warnings": [],
    }
    _collect(message, found, group=[0], alternative=None)
    return found


def _collect(part: Message, found: dict[str, Any], group: list[int], alternative: int | None) -> None:
    kind = _safe(part.get_content_type) or "application/octet-stream"
    if part.defects:
        names = sorted({type(defect).__name__ for defect in part.defects})
        found["warnings"].append(f"the mail is damaged ({', '.join(names)[:200]})")
    if kind == "message/rfc822" or (kind.startswith("message/") and isinstance(part.get_payload(), list)):
        content = part.get_payload()
        inner = content[0] if isinstance(content, list) and content else None
        if isinstance(inner, Message):
            said = _message(inner)
            found["attachments"].append({"name": said["subject"], "type": "message/rfc822", "message": said})
        return
    content = part.get_payload()
    if isinstance(content, list):
        if kind == "multipart/alternative" and alternative is None:
            group[0] += 1
            alternative = group[0]
        for item in content:
            if isinstance(item, Message):
                _collect(item, found, group, alternative)
        return
    disposition = _safe(part.get_content_disposition)
    name = _safe(part.get_filename)
    raw = _decoded(part)
    if kind in ("text/plain", "text/html") and disposition != "attachment" and not name:
        if alternative is None:
            group[0] += 1
        found["bodies"].append(
            {
                "kind": kind.removeprefix("text/"),
                "charset": _safe(part.get_content_charset),
                "is_flowed": _parameter(part, "format") == "flowed",
                "group": alternative if alternative is not None else group[0],
                "data": base64.b64encode(raw).decode("ascii"),
            }
        )
        return
    found["attachments"].append(
        {
            "name": name,
            "type": kind,
            "is_inline": disposition == "inline" or bool(_safe(lambda: part["content-id"])),
            # pictures are not read
            "data": "" if kind.startswith(("image/", "audio/", "video/")) else base64.b64encode(raw).decode("ascii"),
        }
    )


def _decoded(part: Message) -> bytes:
    """The content of a part with its transfer encoding undone, as far as that can be."""
    try:
        data = part.get_payload(decode=True)
    except (ValueError, LookupError):
        data = None
    return data if isinstance(data, bytes) else str(part.get_payload() or "").encode("utf-8", "surrogateescape")


def _header(message: Message, name: str) -> str:
    """A header as text; ``""`` if there is none, it is too long, or it cannot be read."""
    for key, raw in message.raw_items() if isinstance(message, EmailMessage) else message.items():
        if key.lower() != name:
            continue
        if len(str(raw)) > limits.MAX_HEADER_BYTES:
            return ""
        try:
            return " ".join(str(message[name] or "").split())
        except RecursionError:
            raise
        except Exception:  # the header parser raises many kinds of errors on malformed headers
            return " ".join(str(raw).split())
    return ""


def _safe(read: Any) -> str:
    try:
        return str(read() or "")
    except RecursionError:
        raise
    except Exception:  # as above: parameters of malformed headers
        return ""


def _parameter(part: Message, name: str) -> str:
    return _safe(lambda: part.get_param(name)).lower()
