"""The guarded child process in which native and stalling parsers run.

Belongs here: starting the child, handing it work, ending it. Does not belong here: what it does (`worker.py`).

The child is a fresh interpreter started by `subprocess`, never a fork: it works whatever started this process (a
shell, pytest-xdist, Dagster with fork, spawn or threads), inherits no database connection and only a few variables of
the environment. It is kept for the next piece of work, and one thread uses it at a time; another thread gets another.
A process that forks leaves the children to its parent. A child whose parent is gone reads the end of its socket and
ends.

Answers come as JSON, never as pickle: a child taken over by its input can lie about that document, but run nothing
here.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits

_LENGTH = struct.Struct("!Q")
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TMPDIR")
_IDLE_CHILDREN = 2

_lock = threading.Lock()
_idle: list[_Child] = []


class _CrashedError(Exception):
    """The child is gone; the text says how."""


class _Child:
    """One child process and the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.work = 0
        paths = [str(Path(__file__).parents[3]), *(path for path in sys.path if path)]
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rally_pipeline.notes.readers.worker"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=os.sep,
                close_fds=True,
            )

    def ask(self, request: dict[str, Any], body: bytes, deadline: float) -> dict[str, Any]:
        """Hand over work and wait for its answer.

        Raises:
            TimeoutError: not done at the deadline (of `time.monotonic`).
            _CrashedError: the child ended, or does not answer as it should.
        """
        self.work += 1
        head = json.dumps(request).encode()
        try:
            self._wait(deadline)
            self.socket.sendall(_LENGTH.pack(len(head)) + head + _LENGTH.pack(len(body)))
            self._wait(deadline)
            self.socket.sendall(body)
            (size,) = _LENGTH.unpack(self._receive(_LENGTH.size, deadline))
            if size > limits.MAX_ANSWER_BYTES:
                raise _CrashedError(f"it answers with {size:,} bytes")
            answer = json.loads(self._receive(size, deadline))
        except TimeoutError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise _CrashedError(type(error).__name__) from None
        if not isinstance(answer, dict):
            raise _CrashedError("it answers with something else")
        return answer

    def _wait(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)

    def _receive(self, size: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self._wait(deadline)
            part = self.socket.recv(min(1 << 20, size - len(parts)))
            if not part:
                raise _CrashedError("")
            parts += part
        return bytes(parts)

    def end(self) -> str:
        """End the process; how it ended, if it did so by itself."""
        self.socket.close()
        try:
            code = self.process.wait(0.2 if self.process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return ""
        if code < 0:
            name = signal.Signals(-code).name if -code in {item.value for item in signal.Signals} else str(-code)
            return f"signal {name}"
        return f"exit code {code}"

    def forget(self) -> None:
        """Let go of the process without ending it: it belongs to the process this one was forked from."""
        self.socket.close()
        self.process.returncode = 0


def run(request: dict[str, Any], body: bytes, deadline: float) -> dict[str, Any]:
    """Let the child do one piece of work.

    Args:
        request: ``reader`` (a key of `worker.READERS`) and its arguments.
        body: the document.
        deadline: `time.monotonic` time of the whole document; one piece of work has `limits.MAX_WORK_SECONDS` at most.

    Returns:
        What the reader gave, as `worker` writes it.

    Raises:
        PayloadError: what the reader refuses; ``reader_timeout``; ``reader_memory``; ``reader_failed`` (an error the
            reader does not expect); ``reader_crashed``.
    """
    what = f"the {request['reader']} reader"
    until = min(deadline, time.monotonic() + limits.MAX_WORK_SECONDS)
    while True:
        child, is_fresh = _take()
        try:
            answer = child.ask(request, body, until)
        except TimeoutError:
            child.end()
            raise PayloadError(
                "reader_timeout",
                f"{what} was not done after {limits.MAX_WORK_SECONDS:.0f} seconds",
                "save the document anew, or send it as text",
            ) from None
        except _CrashedError as error:
            ended = child.end()
            if ended == "signal SIGXCPU":
                raise PayloadError(
                    "reader_timeout",
                    f"{what} used more than {limits.MAX_WORK_CPU_SECONDS} seconds of processor time",
                    "save the document anew, or send it as text",
                ) from None
            if not is_fresh:
                # A refusal must depend on the document alone, not on what the child has read before.
                continue
            raise PayloadError(
                "reader_crashed",
                f"{what} ended without an answer ({ended or error})",
                "the document is damaged or hostile; save it anew, or send it as text",
            ) from None
        except BaseException:
            child.end()
            raise
        _give_back(child)
        if "refused" in answer:
            raise PayloadError(
                *(str(answer["refused"].get(name, "")) for name in ("rule", "message", "fix", "locator"))
            )
        return answer


def _take() -> tuple[_Child, bool]:
    with _lock:
        while _idle:
            child = _idle.pop()
            if child.process.poll() is None:
                return child, False
            child.end()
    return _Child(), True


def _give_back(child: _Child) -> None:
    with _lock:
        if len(_idle) < _IDLE_CHILDREN and child.work < limits.MAX_CHILD_WORK:
            _idle.append(child)
            return
    child.end()


def close() -> None:
    """End the children that wait for work. They are started again when needed."""
    with _lock:
        children, _idle[:] = list(_idle), []
    for child in children:
        child.end()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for child in _idle:
        child.forget()
    _idle.clear()


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
