"""What a run prints: in its files for the UI, and on the console, by a thread of the process that runs it.

Dagster follows each of a run's two files with a `tail` and a Python process that watches over it. A command that runs
eleven jobs one after the other would start forty-four processes for what are mostly empty files.

Belongs here: how it gets to the console. Does not belong here: the files, which are Dagster's, or what is printed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import dagster as dg
from dagster._core.execution.compute_logs import _fileno, redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._utils import ensure_file, touch_file

_EVERY_SECONDS = 0.2


@contextlib.contextmanager
def followed_here(instance: dg.DagsterInstance) -> Iterator[None]:
    """Has what is printed by runs of this process followed by threads of it; of other kinds of logs nothing changes."""
    manager: Any = instance.compute_log_manager
    if type(manager) is not LocalComputeLogManager:
        yield
        return

    @contextlib.contextmanager
    def capture_logs(log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        out, err = (
            manager.get_captured_local_path(log_key, IO_TYPE_EXTENSION[one])
            for one in (ComputeIOType.STDOUT, ComputeIOType.STDERR)
        )
        with _followed(sys.stdout, out), _followed(sys.stderr, err):
            yield CapturedLogContext(log_key)
        touch_file(manager.complete_artifact_path(log_key))  # type: ignore[no-untyped-call]

    manager.capture_logs = capture_logs  # type: ignore[method-assign]
    try:
        yield
    finally:
        del manager.capture_logs


@contextlib.contextmanager
def _followed(stream: TextIO, path: str) -> Iterator[None]:
    ensure_file(path)
    number = _fileno(stream)  # type: ignore[no-untyped-call]
    if number is None:  # replaced by something that is no file: nothing of it is redirected either
        with redirect_to_file(stream, path):
            yield
        return
    is_over = threading.Event()
    console = os.dup(number)
    follower = threading.Thread(target=_follow, args=(path, console, is_over), daemon=True)
    follower.start()
    try:
        with redirect_to_file(stream, path):
            yield
    finally:
        is_over.set()
        follower.join()
        os.close(console)


def _follow(path: str, console: int, is_over: threading.Event) -> None:
    with Path(path).open("rb") as printed, contextlib.suppress(OSError):  # whoever reads the console may have gone
        is_last = False
        while not is_last:
            is_last = is_over.wait(_EVERY_SECONDS)
            while text := printed.read(65536):
                while text:
                    text = text[os.write(console, text) :]
