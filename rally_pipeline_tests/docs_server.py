"""`rally-pipeline` without the seconds it takes to start: a process that has imported everything forks for each one.

The documentation has some seventy commands; most of the time of each is the import of pandas, Dagster and Great
Expectations. Here they are imported once. A command gets the arguments, environment, folder and open files of the
script that was called in its place (`docs_running.py`), and its exit code goes back there. Belongs here: both ends of
that. Does not belong here: which commands there are.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: What commands import anyway; none of it reads the environment when it is imported.
_WARM = (
    *("rally_pipeline.cli", "rally_pipeline.workspace", "rally_pipeline.imports", "rally_pipeline.claims"),
    *("rally_pipeline.quality.suites", "rally_pipeline.lineage.trace", "rally_pipeline.orchestration.runner"),
    *("rally_pipeline.publish.site", "rally_pipeline.publish.publication", "rally_pipeline.publish.quality_report"),
    *("rally_pipeline.demo.server", "rally_pipeline.warehouse.schema_version", "rally_pipeline.sources.yahoo"),
    "alembic.command",
)


@contextlib.contextmanager
def forking(address: Path) -> Iterator[None]:
    """A server of commands at a socket, ready when the context is entered, gone when it is left."""
    server = subprocess.Popen([sys.executable, __file__, "serve", str(address)], start_new_session=True)
    try:
        until = time.monotonic() + 300
        while not address.exists():
            assert server.poll() is None, "the server of commands did not start"
            assert time.monotonic() < until, "the server of commands takes too long to start"
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)


def script(address: Path) -> str:
    """The source of a script of Python that has a command done by the server at `address`."""
    return (
        f"#!{sys.executable} -SE\n"
        "import json, os, socket, sys\n"
        "asked = {'arguments': sys.argv[1:], 'variables': dict(os.environ), 'folder': os.getcwd()}\n"
        "asked = json.dumps(asked).encode()\n"
        "with socket.socket(socket.AF_UNIX) as server:\n"
        f"    server.connect({str(address)!r})\n"
        "    socket.send_fds(server, [len(asked).to_bytes(8, 'big')], [0, 1, 2])\n"
        "    server.sendall(asked)\n"
        "    code = server.recv(1)\n"
        "sys.exit(code[0] if code else 70)\n"
    )


def _serve(address: Path) -> None:
    import importlib

    for name in _WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # Nobody waits for the children; they say themselves how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        unfinished = address.with_suffix(".starting")
        listening.bind(str(unfinished))
        listening.listen(8)
        unfinished.rename(address)
        while True:
            asking, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(asking)
            asking.close()


def _answer(asking: socket.socket) -> None:
    """Does one command in this process, which ends with it."""
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        head, files, _, _ = socket.recv_fds(asking, 8, 3)
        size, text = int.from_bytes(head, "big"), b""
        while len(text) < size:
            text += asking.recv(size - len(text))
        asked = json.loads(text)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(asked["variables"])
        os.chdir(asked["folder"])
        sys.argv = ["rally-pipeline", *asked["arguments"]]
        code = _code_of(asked["arguments"])
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.suppress(OSError):
            asking.sendall(bytes([code]))
        os._exit(code)


def _code_of(arguments: list[str]) -> int:
    import traceback

    from rally_pipeline.cli import main

    try:
        main(arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve(Path(sys.argv[2]))
