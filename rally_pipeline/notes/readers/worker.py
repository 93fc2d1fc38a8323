"""The child process of `guard`: reads one document after the other within limits of memory and time.

Belongs here: the loop, its limits, and the form of its answers. Does not belong here: any format.

A request is a length, that many bytes of JSON, a length, and the document; an answer is a length and JSON: a reader's
result, or ``refused`` with the fields of a `PayloadError`. All come over the socket that is standard input.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers.content import Content

_LENGTH = struct.Struct("!Q")


def _pdf(body: bytes, request: dict[str, Any]) -> dict[str, Any]:
    from rally_pipeline.notes.readers.pdf import read_pdf

    return _content(read_pdf(body))


def _docx(body: bytes, request: dict[str, Any]) -> dict[str, Any]:
    from rally_pipeline.notes.readers.docx import read_docx

    return _content(read_docx(body))


def _html(body: bytes, request: dict[str, Any]) -> dict[str, Any]:
    from rally_pipeline.notes.readers.html import read_html

    return _content(read_html(body, str(request.get("charset", ""))))


def _mail(body: bytes, request: dict[str, Any]) -> dict[str, Any]:
    from rally_pipeline.notes.readers.mime import read_mime

    return read_mime(body)


def _die(body: bytes, request: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def _hang(body: bytes, request: dict[str, Any]) -> dict[str, Any]:
    time.sleep(2 * limits.MAX_WORK_SECONDS)
    return {}


def _hoard(body: bytes, request: dict[str, Any]) -> dict[str, Any]:
    return {"": len(bytearray(2 * limits.MAX_CHILD_MEMORY_BYTES))}


READERS: dict[str, Callable[[bytes, dict[str, Any]], dict[str, Any]]] = {
    "pdf": _pdf,
    "docx": _docx,
    "html": _html,
    "eml": _mail,
    # what a parser can do at worst; tests ask for it
    "_die": _die,
    "_hang": _hang,
    "_hoard": _hoard,
}


def _content(content: Content) -> dict[str, Any]:
    return {
        "pages": list(content.pages),
        "title": content.title,
        "declared": dict(content.declared),
        "basis": dict(content.basis),
        "warnings": list(content.warnings),
    }


def answer(body: bytes, request: dict[str, Any]) -> dict[str, Any]:
    """Do one piece of work; whatever goes wrong becomes a refusal."""
    reader = str(request["reader"])
    try:
        return READERS[reader](body, request)
    except PayloadError as error:
        return _refused(error.rule, error.message, error.fix, error.locator)
    except MemoryError:
        return _refused(
            "reader_memory",
            f"the {reader} reader needs more than {limits.MAX_CHILD_MEMORY_BYTES // 2**20:,} MiB of memory",
            "save the document anew, or send it as text",
        )
    except ImportError as error:
        return _refused(
            "reader_missing", f"the {reader} reader needs a package that is not installed ({error})", "run make install"
        )
    except Exception as error:  # whatever else a parser of foreign bytes raises, it is about this document
        return _refused(
            "reader_failed",
            f"the {reader} reader cannot read it ({type(error).__name__}: {str(error)[:100]})",
            "save the document anew, or send it as text",
        )


def _refused(rule: str, message: str, fix: str, locator: str = "") -> dict[str, Any]:
    return {"refused": {"rule": rule, "message": message, "fix": fix, "locator": locator}}


def _limit_process() -> None:
    """Bound the memory for good, and forbid writing files and core dumps."""
    try:
        import resource
    except ImportError:  # pragma: no cover - not POSIX: the clock of the parent remains
        return
    for name, value in (
        ("RLIMIT_AS", limits.MAX_CHILD_MEMORY_BYTES),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
    ):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS has no working RLIMIT_AS
            resource.setrlimit(getattr(resource, name), (value, value))


def _limit_work() -> None:
    """Bound the processor time of the next piece of work."""
    try:
        import resource
    except ImportError:  # pragma: no cover
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = math.ceil(usage.ru_utime + usage.ru_stime) + limits.MAX_WORK_CPU_SECONDS
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _receive(connection: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(1 << 20, size - len(parts)))
        if not part:
            return None
        parts += part
    return bytes(parts)


def serve(connection: socket.socket) -> None:
    """Answer requests until the parent closes the connection."""
    while (length := _receive(connection, _LENGTH.size)) is not None:
        head = _receive(connection, _LENGTH.unpack(length)[0])
        size = _receive(connection, _LENGTH.size) if head is not None else None
        body = _receive(connection, _LENGTH.unpack(size)[0]) if size is not None else None
        if head is None or body is None:
            return
        _limit_work()
        # ASCII JSON carries lone surrogates as escapes; the parent cleans them away.
        said = json.dumps(answer(body, json.loads(head))).encode("ascii")
        connection.sendall(_LENGTH.pack(len(said)) + said)


def main() -> None:
    """Entry point of the child."""
    sys.setrecursionlimit(2_000)
    # Importing first: a child that has no memory for its own modules would refuse every document.
    _limit_process()
    serve(socket.socket(fileno=0))


if __name__ == "__main__":
    main()
