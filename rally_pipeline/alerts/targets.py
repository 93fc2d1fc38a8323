"""The targets: a file of JSON lines, a webhook, a mail server.

Each takes one notice at a time and raises `DeliveryError` in its own words: what a library says about a failure may
repeat a URL or a password, so of its errors only what is known to be harmless is passed on. Belongs here: formats and
protocols. Does not belong here: what is told, when, and what becomes of it (`delivery.py`).
"""

from __future__ import annotations

import base64
import contextlib
import html
import http.client
import json
import os
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rally_pipeline import __version__
from rally_pipeline.alerts.model import DeliveryError, Notice, Target, cut, one_line
from rally_pipeline.settings import Settings

#: Longest text of a message to a webhook; Slack cuts at 40,000 and asks for 4,000.
_WEBHOOK_CHARACTERS = 3_500
#: More of an answer is not read.
_ANSWER_BYTES = 4_096
_MARKS = {"problem": ":red_circle:", "reminder": ":red_circle:", "recovered": ":large_green_circle:"}


def targets_of(settings: Settings) -> list[Target]:
    """The targets that are set; the file always is."""
    found: list[Target] = [LogTarget(settings.alerts_dir)]
    if settings.alert_webhook_url is not None:
        found.append(WebhookTarget(settings))
    if settings.alert_smtp_url is not None:
        found.append(SmtpTarget(settings))
    return found


class LogTarget:
    """Appends notices to ``HOME/alerts/alerts-YYYY-MM.jsonl``, one JSON object a line."""

    name = "log"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, notice: Notice, timeout_seconds: float) -> None:
        """Appends the notice, or each of those it tells together."""
        path = self._folder / f"alerts-{notice.made_at:%Y-%m}.jsonl"
        lines = [json.dumps(_as_json(one), ensure_ascii=False) + "\n" for one in notice.members or (notice,)]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # One write: lines of two processes do not mix.
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(handle, "".join(lines).encode())
            finally:
                os.close(handle)
        except OSError as error:
            raise DeliveryError(f"{path.name}: {error.strerror}") from None

    def abort(self) -> None:
        """Nothing to end."""


def _as_json(notice: Notice) -> dict[str, Any]:
    return {
        "at": notice.made_at.isoformat().replace("+00:00", "Z"),
        "stage": notice.stage,
        "kind": notice.kind,
        "problem": notice.problem,
        "severity": notice.severity,
        "title": notice.title,
        "text": notice.text,
        "link": notice.link,
        "notice_id": notice.notice_id,
    }


class _Connected:
    """What can be ended from another thread: the socket it talks through."""

    _socket: socket.socket | None = None

    def abort(self) -> None:
        if (open_socket := self._socket) is not None:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)


class WebhookTarget(_Connected):
    """Posts ``{"text": …}`` to a URL. An answer of 2xx is success; nothing is followed elsewhere."""

    name = "webhook"

    def __init__(self, settings: Settings) -> None:
        assert settings.alert_webhook_url is not None
        self._settings = settings
        self._parts = urlsplit(settings.alert_webhook_url.get_secret_value())

    def send(self, notice: Notice, timeout_seconds: float) -> None:
        """Posts the notice."""
        host, port, parts = self._parts.hostname, self._parts.port, self._parts
        assert host is not None
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
        with contextlib.closing(connection), _spoken_of(self._settings, f"{parts.scheme}://{host}"):
            connection.connect()
            self._socket = connection.sock
            connection.request("POST", self._path(), json.dumps(webhook_body(notice)).encode(), self._headers())
            answer = connection.getresponse()
            said = answer.read(_ANSWER_BYTES)
            if not 200 <= answer.status < 300:
                # Slack says why in a word: no_service, invalid_token, channel_is_archived …
                why = one_line(said[:60].decode("utf-8", "replace")) if len(said) <= 60 else ""
                raise DeliveryError(self._settings.masked(f"the webhook answered {answer.status} {why}".strip()))

    def _path(self) -> str:
        return (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": f"rally-pipeline/{__version__}"}
        if self._parts.username is not None:
            login = f"{unquote(self._parts.username)}:{unquote(self._parts.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        return headers


def webhook_body(notice: Notice) -> dict[str, str]:
    """The message as Slack reads it: ``&``, ``<`` and ``>`` are escaped; no name can call a channel or make a link."""
    lines = [f"{_MARKS.get(notice.stage, ':information_source:')} *{_plain(notice.headline)}*"]
    if notice.text:
        lines.append(_plain(notice.text))
    if notice.link:
        lines.append(_plain(notice.link))
    return {"text": cut("\n".join(lines), _WEBHOOK_CHARACTERS)}


def _plain(text: str) -> str:
    return html.escape(text, quote=False).replace("*", "∗").replace("`", "'")


class SmtpTarget(_Connected):
    """Sends mail, over TLS wherever the server can; a password is never sent without."""

    name = "smtp"

    def __init__(self, settings: Settings) -> None:
        assert settings.alert_smtp_url is not None
        assert settings.alert_email_to is not None
        self._settings = settings
        self._parts = urlsplit(settings.alert_smtp_url.get_secret_value())
        self._to = [one.strip() for one in settings.alert_email_to.split(",") if one.strip()]
        self._from = settings.alert_email_from or self._to[0]

    def send(self, notice: Notice, timeout_seconds: float) -> None:
        """Sends the notice to all who get alerts; a mailbox that is refused is a failure only if all are."""
        parts = self._parts
        with _spoken_of(self._settings, f"mail server {parts.hostname}"), self._server(timeout_seconds) as server:
            self._socket = server.sock
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(self._mail(notice), self._from, self._to)

    @contextlib.contextmanager
    def _server(self, timeout: float) -> Iterator[smtplib.SMTP]:
        parts, context = self._parts, ssl.create_default_context()
        assert parts.hostname is not None
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(parts.hostname, parts.port or 465, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(parts.hostname, parts.port or 587, timeout=timeout)
        self._socket = server.sock
        try:
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif parts.scheme == "smtp" and parts.username:
                raise DeliveryError("the mail server offers no STARTTLS: the password is not sent in clear")
            yield server
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()  # it has taken the mail
        finally:
            server.close()

    def _mail(self, notice: Notice) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = one_line(f"[rally-pipeline] {notice.headline}")
        mail["From"], mail["To"] = self._from, ", ".join(self._to)
        mail["Date"] = format_datetime(notice.made_at)
        mail["Message-ID"] = _message_id(notice.notice_id)
        if notice.thread_id != notice.notice_id:
            mail["In-Reply-To"] = mail["References"] = _message_id(notice.thread_id)
        mail["Auto-Submitted"] = "auto-generated"
        lines = [notice.title, "", *notice.text.splitlines(), ""]
        lines += [notice.link, ""] if notice.link else []
        lines.append(f"{notice.kind}, {notice.severity}, seen {notice.made_at:%Y-%m-%d %H:%M} UTC")
        mail.set_content("\n".join(lines))
        return mail


def _message_id(identity: str) -> str:
    return f"<{identity[:40]}@rally-pipeline.invalid>"


@contextlib.contextmanager
def _spoken_of(settings: Settings, who: str) -> Iterator[None]:
    """Turns whatever goes wrong into a `DeliveryError` that names the kind of failure and no secret."""
    started = time.monotonic()
    try:
        yield
    except DeliveryError:
        raise
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        raise DeliveryError(f"{who} takes no mail for any of them ({', '.join(map(str, codes))})") from None
    except smtplib.SMTPAuthenticationError as error:
        raise DeliveryError(f"{who} does not take user and password ({error.smtp_code})") from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"{who} answered {error.smtp_code}") from None
    except TimeoutError:
        raise DeliveryError(f"{who}: no answer within {time.monotonic() - started:.0f} s") from None
    except ssl.SSLError as error:
        raise DeliveryError(f"{who}: {error.reason or type(error).__name__}") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DeliveryError(settings.masked(f"{who} cannot be reached: {one_line(why)}")) from None
    except Exception as error:
        raise DeliveryError(f"{who}: {type(error).__name__}") from None
