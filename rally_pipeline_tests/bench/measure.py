"""How something is measured: alternatives in turn, the median of several runs, the peak of memory beside it.

Belongs here: the stop watch, the memory gauge and the records of what they showed. Does not belong here: what is
measured (one module per subject) or how it is printed and kept (`report.py`).

A subject is a function that takes a `Bench` (`data.py`) and returns `Figure` records::

    taken = side_by_side({"ours": load, "COPY": copy}, before=empty_the_table, repeats=5)  # before(name)
    Figure(
        "bulk load, PostgreSQL", "1,000,000 rows", taken["ours"],
        limits=(Beside("COPY of rendered rows", taken["COPY"], at_most=1.5),),
        goals=(Goal.peak(taken["ours"], at_most_mb=150),),
    )
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Taken:
    """What several runs of one thing took.

    Attributes:
        seconds: of each run, in their order.
        peak_mb: how far the process's memory rose at most above where it stood when a run began (for a process of its
            own: its whole peak), in MiB; None where the machine does not tell.
        processor_seconds: of each run, user and system, if it was a process of its own.
    """

    seconds: tuple[float, ...]
    peak_mb: float | None = None
    processor_seconds: tuple[float, ...] = ()

    @property
    def median_processor(self) -> float:
        """The middle of the processor's seconds; only of whole processes."""
        return statistics.median(self.processor_seconds)

    @property
    def median(self) -> float:
        """The middle of the runs, in seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Beside:
    """What something is compared with.

    Attributes:
        name: what it is.
        taken: what it took, in the same run of the bench.
        at_most: goal for ours: at most so many times this; None = none.
        faster: goal for ours: at least so many times faster than this; None = none.
    """

    name: str
    taken: Taken
    at_most: float | None = None
    faster: float | None = None


@dataclass(frozen=True)
class Goal:
    """A bound on something that is no ratio of times.

    Attributes:
        name: what is bounded, with its unit.
        value: what was measured.
        bound: what it may be.
        is_ceiling: whether `bound` is the most (else the least) it may be.
    """

    name: str
    value: float
    bound: float
    is_ceiling: bool = True

    @classmethod
    def peak(cls, taken: Taken, at_most_mb: float) -> Goal:
        """A bound on the peak of memory; what could not be measured does not meet it."""
        return cls("peak MiB", float("inf") if taken.peak_mb is None else taken.peak_mb, at_most_mb)

    @property
    def is_met(self) -> bool:
        """Whether the value keeps the bound."""
        return self.value <= self.bound if self.is_ceiling else self.value >= self.bound


@dataclass(frozen=True)
class Figure:
    """One row of the table: something of ours, and what stands beside it.

    Attributes:
        what: what is measured.
        size: of how much.
        ours: what it took.
        peers: what one would use instead.
        limits: what no implementation could beat by much.
        goals: further bounds.
        note: what one must know to read it; goes below the table.
    """

    what: str
    size: str
    ours: Taken
    peers: tuple[Beside, ...] = ()
    limits: tuple[Beside, ...] = ()
    goals: tuple[Goal, ...] = ()
    note: str = ""

    @property
    def all_goals(self) -> tuple[Goal, ...]:
        """Every bound, those on ratios too."""
        found = []
        for beside in (*self.limits, *self.peers):
            if beside.at_most is not None:
                found.append(Goal(f"× {beside.name}", self.ours.median / beside.taken.median, beside.at_most))
            if beside.faster is not None:
                ratio = beside.taken.median / self.ours.median
                found.append(Goal(f"× faster than {beside.name}", ratio, beside.faster, is_ceiling=False))
        return (*found, *self.goals)

    @property
    def ratios(self) -> dict[str, float]:
        """Ours over each other, by its name: greater is worse."""
        return {one.name: self.ours.median / one.taken.median for one in (*self.limits, *self.peers)}


def side_by_side(
    alternatives: Mapping[str, Callable[[], object]],
    *,
    before: Callable[[str], object] = lambda _: None,
    repeats: int = 5,
) -> dict[str, Taken]:
    """Runs alternatives in this process in turn, so that whatever else the machine does hits all of them alike.

    Args:
        alternatives: what to run, by name.
        before: runs before each of them, not timed; gets its name.
        repeats: how many rounds; the order turns from round to round.
    """
    names = list(alternatives)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, list[float]] = {name: [] for name in names}
    for number in range(repeats):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            before(name)
            gauge = MemoryGauge()
            began = time.perf_counter()
            alternatives[name]()
            seconds[name].append(time.perf_counter() - began)
            risen = gauge.risen_mb()
            if risen is not None:
                peaks[name].append(risen)
    # Of the peaks the greatest: memory that the heap kept from the run before hides a part of the later ones.
    return {name: Taken(tuple(seconds[name]), max(peaks[name], default=None)) for name in names}


class MemoryGauge:
    """Tells how far this process's resident memory rose above where it stood when the gauge was made (Linux)."""

    def __init__(self) -> None:
        _release_memory()
        self._start: int | None = None
        with contextlib.suppress(OSError):  # not Linux
            Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
            self._start = _status("VmRSS")

    def risen_mb(self) -> float | None:
        """MiB above the start at the highest point so far; None where the machine does not tell."""
        return None if self._start is None else max(0, _status("VmHWM") - self._start) / _MIB

    def peak_mb(self) -> float | None:
        """The whole memory at its highest point since then, in MiB; None where the machine does not tell."""
        return None if self._start is None else _status("VmHWM") / _MIB


def _status(name: str, pid: int | str = "self") -> int:
    """A line of a process's status, in bytes; raises OSError if there is none."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(name)
    return int(found[1]) * 1024


def _release_memory() -> None:
    """Gives back what is free, so that what comes next is seen."""
    gc.collect()
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # where there is no glibc, nothing is trimmed
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def processes_side_by_side(
    commands: Mapping[str, Sequence[str]],
    *,
    env: Mapping[str, str] | None = None,
    before: Callable[[str], object] = lambda _: None,
    repeats: int = 5,
) -> dict[str, Taken]:
    """Runs whole processes in turn, each from start to end.

    Args:
        commands: argument lists, by name.
        env: their environment.
        before: runs before each of them, not timed; gets its name.
        repeats: how many rounds.

    Raises:
        RuntimeError: one of them failed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, list[float]] = {name: [] for name in commands}
    processor: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            before(name)
            used = _processor_of_children()
            took, peak, _ = run_process(command, env)
            processor[name].append(_processor_of_children() - used)
            seconds[name].append(took)
            if peak is not None:
                peaks[name].append(peak)
    return {
        name: Taken(tuple(seconds[name]), max(peaks[name], default=None), tuple(processor[name])) for name in commands
    }


def _processor_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_process(command: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[float, float | None, str]:
    """Runs a process; returns seconds, the peak of its own resident memory in MiB, and what it printed.

    The peak is looked up while it runs: what the system tells when it has ended counts the parent's memory too. It is
    None where the machine does not tell.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        list(command),
        env=None if env is None else dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peaks: list[int] = []
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks))
    watcher.start()
    said, _ = process.communicate()
    took = time.perf_counter() - began
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {process.returncode}:\n{said[-3000:]}")
    return took, max(peaks) / _MIB if peaks else None, said


def _watch(pid: int, peaks: list[int]) -> None:
    with contextlib.suppress(OSError):  # it has ended, or this is not Linux
        while True:
            peaks[:] = [_status("VmHWM", pid)]
            time.sleep(0.01)
