"""Somebody to tell: a mail server and a webhook on this machine, that may be slow, broken or rude."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import http.server
import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any


@dataclass
class Hook:
    """A webhook that keeps what is posted. ``mode``: ok, refuse, redirect, drip, hang."""

    port: int = 0
    mode: str = "ok"
    posted: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [post["text"] for post in self.posted]


@contextlib.contextmanager
def webhook() -> Iterator[Hook]:
    hook = Hook()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.paths.append(self.path)
            hook.headers.append(dict(self.headers))
            if hook.mode == "hang":
                time.sleep(5)
                return
            if hook.mode == "drip":
                with contextlib.suppress(OSError):
                    for byte in b"HTTP/1.1 200 " + b"o" * 40:
                        self.wfile.write(bytes([byte]))
                        time.sleep(0.1)
                return
            if hook.mode == "ok":
                hook.posted.append(json.loads(body))
            said = b"ok" if hook.mode == "ok" else f"no: {self.path}".encode()
            self.send_response({"ok": 200, "refuse": 403, "redirect": 307}[hook.mode])
            if hook.mode == "redirect":
                self.send_header("Location", f"http://127.0.0.1:{hook.port}/elsewhere")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        hook.port = port
        yield hook


@dataclass
class Mailbox:
    """A mail server that keeps what it takes. ``mode``: ok, greylist, drip, hang, quit."""

    port: int = 0
    mode: str = "ok"
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)


@contextlib.contextmanager
def mail_server(tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> Iterator[Mailbox]:
    box = Mailbox(tls=tls, login=login)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self._talk()

        def _say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")
            self.wfile.flush()

        def _talk(self) -> None:
            if box.mode == "hang":
                time.sleep(5)
                return
            if box.mode == "drip":
                for _ in range(50):
                    self.wfile.write(b"2")
                    self.wfile.flush()
                    time.sleep(0.1)
                return
            self._say("220 sink ready")
            is_secret, is_known, to = False, box.login is None, []
            while line := self.rfile.readline():
                verb, _, rest = line.decode().strip().partition(" ")
                if verb.upper() == "EHLO":
                    offers = ["250-sink"]
                    offers += ["250-STARTTLS"] if box.tls and not is_secret else []
                    offers += ["250-AUTH PLAIN"] if box.login else []
                    self._say("\r\n".join([*offers, "250 8BITMIME"]))
                elif verb.upper() == "STARTTLS" and box.tls:
                    self._say("220 go on")
                    self.request = box.tls.wrap_socket(self.request, server_side=True)
                    self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb")
                    is_secret = True
                elif verb.upper() == "AUTH":
                    _, user, password = base64.b64decode(rest.split(" ")[1]).decode().split("\0")
                    box.logins.append((user, password, is_secret))
                    is_known = (user, password) == box.login
                    # A rude server repeats what it was told.
                    self._say("235 welcome" if is_known else f"535 {password} is not the password of {user}")
                elif verb.upper() == "MAIL":
                    self._say("250 ok" if is_known else "530 who are you")
                elif verb.upper() == "RCPT":
                    to.append(rest)
                    self._say("250 ok" if box.mode != "greylist" else "451 come again later")
                elif verb.upper() == "DATA":
                    self._say("354 go on")
                    lines = []
                    while (part := self.rfile.readline()) != b".\r\n":
                        lines.append(part.removeprefix(b".") if part.startswith(b"..") else part)
                    if box.mode == "quit":  # gone before it says that it has taken it
                        return
                    box.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[arg-type]
                    box.recipients.append(to)
                    self._say("250 taken")
                elif verb.upper() == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with _serving(Server(("127.0.0.1", 0), Handler)) as port:
        box.port = port
        yield box


@contextlib.contextmanager
def _serving(server: Any) -> Iterator[int]:
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost, as a file to be trusted, and the server's side of it."""
    import pytest

    x509 = pytest.importorskip("cryptography.x509", reason="no package to make a certificate with")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "cert.pem", folder / "key.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(*encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return trusted, context
