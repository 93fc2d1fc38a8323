"""A real Apache Superset on loopback, in a folder of its own, and the little of its REST API that is needed.

Belongs here: installing nothing, starting, asking, stopping. Does not belong here: what it is expected to answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rally_pipeline_tests.workspaces import ROOT

#: Made by `make test-bi` from superset.lock; elsewhere if SUPERSET_ENV says so.
ENVIRONMENT = Path(os.environ.get("SUPERSET_ENV", ROOT / ".venv-superset"))
USER = "admin"
_START_SECONDS = 180
_CONFIG = """\
SECRET_KEY = {secret!r}
SQLALCHEMY_DATABASE_URI = {url!r}
PREVENT_UNSAFE_DB_CONNECTIONS = {is_strict}
WTF_CSRF_ENABLED = False  # only scripts on loopback talk to it
TALISMAN_ENABLED = False
RATELIMIT_ENABLED = False
ROW_LIMIT = 50000
"""


@dataclass
class Superset:
    """A running server; `folder` holds its configuration and log."""

    folder: Path
    port: int
    password: str
    token: str = ""

    @property
    def base(self) -> str:
        """Address."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: Any = None, *, data: bytes | None = None, kind: str = "application/json") -> Any:
        """What ``/api/v1/PATH`` answers, as JSON; with a body it is a POST.

        Raises:
            RefusedError: the answer is no success.
        """
        sent = data if data is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/api/v1/{path}", data=sent)
        if sent is not None:
            request.add_header("Content-Type", kind)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, error.read().decode(errors="replace")) from None

    def everything(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind: ``dataset``, ``chart``, ``dashboard``, ``database``."""
        found: list[dict[str, Any]] = []
        for page in range(100):
            answer = self.ask(f"{kind}/?q=(page:{page},page_size:100)")
            found += answer["result"]
            if len(found) >= answer["count"]:
                break
        return found

    def import_assets(self, bundle: Path, passwords: Mapping[str, str] | None = None) -> None:
        """Hands a bundle to the importer of all assets, as an administrator's script does.

        Raises:
            RefusedError: it was not taken.
        """
        self._upload("assets/import/", "bundle", bundle, passwords or {})

    def import_dashboard(self, bundle: Path, passwords: Mapping[str, str] | None = None) -> None:
        """Hands a bundle to the importer of dashboards, as the button on the page does.

        Raises:
            RefusedError: it was not taken.
        """
        self._upload("dashboard/import/", "formData", bundle, passwords or {})

    def _upload(self, path: str, name: str, bundle: Path, passwords: Mapping[str, str]) -> None:
        limit = uuid.uuid4().hex
        fields = {"passwords": json.dumps(dict(passwords)), "overwrite": "true"}
        parts = [
            f'--{limit}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in fields.items()
        ]
        head = f'--{limit}\r\nContent-Disposition: form-data; name="{name}"; filename="rally.zip"\r\n'
        parts.append(f"{head}Content-Type: application/zip\r\n\r\n".encode() + bundle.read_bytes() + b"\r\n")
        body = b"".join(parts) + f"--{limit}--\r\n".encode()
        self.ask(path, data=body, kind=f"multipart/form-data; boundary={limit}")

    def command(self, *arguments: str, is_strict: bool = False) -> subprocess.CompletedProcess[str]:
        """``superset …`` with the same metadata database; `is_strict` leaves unsafe databases forbidden."""
        return subprocess.run(
            [ENVIRONMENT / "bin" / "superset", *arguments],
            env=_environment(self.folder, is_strict),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


class RefusedError(Exception):
    """Superset answered with an error: its status and what it said."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status, self.said = status, said


def _environment(folder: Path, is_strict: bool) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RALLY_", "PYTHON", "SUPERSET", "FLASK"))}
    config = folder / ("strict.py" if is_strict else "config.py")
    return {
        **kept,
        "SUPERSET_CONFIG_PATH": str(config),
        "SUPERSET_HOME": str(folder),
        "FLASK_APP": "superset",
        "SCARF_ANALYTICS": "false",
    }


@contextlib.contextmanager
def running(folder: Path, url: str) -> Iterator[Superset]:
    """Makes Superset's metadata database at `url`, starts the server, and stops it in the end.

    The metadata database is PostgreSQL: on SQLite, Superset allows a table name once, whatever database it is in.

    Args:
        folder: for configuration and log.
        url: of an empty database.
    """
    folder.mkdir(parents=True, exist_ok=True)
    secret, password = secrets.token_urlsafe(42), secrets.token_urlsafe(12)
    for name, is_strict in (("config.py", False), ("strict.py", True)):
        text = _CONFIG.format(secret=secret, url=url, is_strict=is_strict)
        (folder / name).write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Superset(folder, free.getsockname()[1], password)
    for arguments in (
        ("db", "upgrade"),
        (
            *("fab", "create-admin", "--username", USER, "--firstname", "A", "--lastname", "B"),
            *("--email", "admin@localhost.invalid", "--password", password),
        ),
        ("init",),
    ):
        done = server.command(*arguments)
        assert done.returncode == 0, f"superset {arguments[0]}: {done.stderr[-2000:]}"
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [ENVIRONMENT / "bin" / "superset", "run", "--port", str(server.port), "--with-threads", "--no-reload"],
            env=_environment(folder, False),
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(server, process)
        login = {"username": USER, "password": password, "provider": "db"}
        server.token = server.ask("security/login", login)["access_token"]
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait(server: Superset, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, (server.folder / "server.log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"{server.base}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"Superset did not answer within {_START_SECONDS} s")
