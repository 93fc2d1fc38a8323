"""A real HTTP server on the loopback interface that plays any upstream host, for tests.

Belongs here: the server and how it is told what to answer. Does not belong here: the wire format of any one upstream
(those bodies stand beside the tests that need them).

``FakeUpstream.base`` is what `Upstream(base=…)` wants: a request for ``https://HOST/PATH`` arrives as ``/HOST/PATH``
and is answered by the route ``(HOST, PATH)``. Unknown routes get 404 and are recorded like all others.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Answer:
    """What a route answers.

    Attributes:
        body: bytes, text (UTF-8) or anything ``json.dumps`` takes.
        status: HTTP status.
        headers: added to, or replacing, the default ``Content-Type`` and ``Content-Length``.
        delay_seconds: silence before the answer starts.
        truncate_to: send only so many bytes of the body although ``Content-Length`` promises all of it, then hang up.
        gzipped: compress the body and say so.
        hang_up: close the connection without any answer.
        raw: send exactly these bytes instead of an HTTP answer (garbage).
        drip_seconds: pause between single bytes of the body.
    """

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    truncate_to: int | None = None
    gzipped: bool = False
    hang_up: bool = False
    raw: bytes | None = None
    drip_seconds: float = 0.0

    def encoded(self) -> bytes:
        """The body as bytes, compressed if asked."""
        if isinstance(self.body, bytes):
            data = self.body
        elif isinstance(self.body, str):
            data = self.body.encode()
        else:
            data = json.dumps(self.body).encode()
        return gzip.compress(data, mtime=0) if self.gzipped else data


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; header names in lower case, every query value as a list."""

    method: str
    host: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""

    def param(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else None


Responder = Answer | Sequence[Answer] | Callable[[Asked], Answer]


class FakeUpstream:
    """A programmable upstream.

    >>> with FakeUpstream() as fake:
    ...     fake.route("query2.finance.yahoo.com", "/v8/finance/chart/0700.HK", Answer({"chart": {}}))
    ...     # Upstream(base=fake.base).get("https://query2.finance.yahoo.com/v8/finance/chart/0700.HK")

    A route answers with one `Answer`, with a list of them in turn (the last one then stays), or with what a function
    of the `Asked` returns. A path that ends with ``*`` is a prefix. `requests` holds everything asked, in order.
    """

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], Responder] = {}
        self._served: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.requests: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-upstream", daemon=True
        )

    def __enter__(self) -> FakeUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def base(self) -> str:
        """The root address, without a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def route(self, host: str, path: str, answer: Responder) -> None:
        """Programs (or re-programs) what ``https://HOST/PATH`` answers; `path` is unquoted (``/v8/…/^HSI``)."""
        with self._lock:
            self._routes[(host, path)] = answer
            self._served[(host, path)] = 0

    def asked(self, host: str | None = None, path: str | None = None) -> list[Asked]:
        """The requests so far, of one host and path if given."""
        with self._lock:
            return [r for r in self.requests if host in (None, r.host) and path in (None, r.path)]

    def count(self, host: str | None = None, path: str | None = None) -> int:
        """How many requests arrived, for one host and path if given."""
        return len(self.asked(host, path))

    def _answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.requests.append(asked)
            key: tuple[str, str] | None = (asked.host, asked.path)
            if key not in self._routes:
                prefixes = [k for k in self._routes if k[0] == asked.host and k[1].endswith("*")]
                matching = [k for k in prefixes if asked.path.startswith(k[1][:-1])]
                key = max(matching, key=lambda k: len(k[1]), default=None)
            if key is None:
                return Answer("no such route", status=404, headers={"Content-Type": "text/plain"})
            responder = self._routes[key]
            turn = self._served[key]
            self._served[key] += 1
        if isinstance(responder, Answer):
            return responder
        if callable(responder):
            return responder(asked)
        return responder[min(turn, len(responder) - 1)]

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                host, _, rest = parts.path.lstrip("/").partition("/")
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(
                    self.command,
                    unquote(host),
                    f"/{unquote(rest)}",
                    parse_qs(parts.query, keep_blank_values=True),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length) if length else b"",
                )
                answer = fake._answer(asked)
                try:
                    self._send(answer)
                except OSError:
                    # The client gave up, which is what several tests are about.
                    self.close_connection = True

            def do_POST(self) -> None:
                self.do_GET()

            def _send(self, answer: Answer) -> None:
                if answer.delay_seconds:
                    fake._closing.wait(answer.delay_seconds)
                if answer.hang_up or answer.raw is not None:
                    self.wfile.write(answer.raw or b"")
                    self.close_connection = True
                    return
                data = answer.encoded()
                headers = {"Content-Type": "application/json", "Content-Length": str(len(data))}
                if answer.gzipped:
                    headers["Content-Encoding"] = "gzip"
                headers.update(answer.headers)
                # Without a date: tests have clocks of their own.
                self.send_response_only(answer.status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if answer.truncate_to is not None:
                    data = data[: answer.truncate_to]
                    self.close_connection = True
                if not answer.drip_seconds:
                    self.wfile.write(data)
                    return
                for position in range(len(data)):
                    if fake._closing.wait(answer.drip_seconds):
                        return
                    self.wfile.write(data[position : position + 1])
                    self.wfile.flush()

            def log_message(self, *_: object) -> None:
                pass

        return Handler
