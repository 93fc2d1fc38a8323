"""The memory of a long backfill: payload after payload, from the file to core, in a process of its own.

Run as a program (``python -m rally_pipeline_tests.bench.backfill HOME ROWS``) it is that process. Belongs here: the
peak, and whether it grows with the history behind it. Does not belong here: what follows from the facts (marts).
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path

from rally_pipeline_tests.bench.data import Bench, price_frame, write_catalog
from rally_pipeline_tests.bench.measure import Figure, Goal, MemoryGauge, Taken, run_process

#: Payloads of one backfill: enough that the first fifth of them has warmed up all that stays in memory anyway.
_PAYLOADS = 50


def payload_rows(rows: int) -> int:
    """Rows of one payload; of five million, 100,000: twenty instruments over twenty years."""
    return max(rows // _PAYLOADS, 1)


def figures(bench: Bench) -> list[Figure]:
    """One row: five times the bench's rows."""
    rows, home = 5 * bench.rows, bench.folder / "backfill"
    seconds, peak, said = run_process(
        [sys.executable, "-W", "ignore", "-m", "rally_pipeline_tests.bench.backfill", str(home), str(rows)]
    )
    peaks = json.loads(said.strip().splitlines()[-1])
    return [
        Figure(
            "backfill, SQLite, parse to core",
            f"{rows:,} rows",
            Taken((seconds,), peak),
            goals=(
                Goal("MiB at the peak", peaks[-1], 1024),
                Goal("× the peak after a fifth of it", peaks[-1] / peaks[max(len(peaks) // 5, 1) - 1], 1.15),
            ),
            note=f"payloads of {payload_rows(rows):,} rows, one run; whole process, interpreter and imports included",
        )
    ]


def backfill(home: Path, rows: int) -> None:
    """Loads `rows` rows; prints the peaks of the process's memory after each payload, in MiB."""
    from rally_pipeline import ingest
    from rally_pipeline.settings import load_settings
    from rally_pipeline.sources import price_files
    from rally_pipeline.sources.base import Payload
    from rally_pipeline.workspace import open_workspace

    columns = {"session_date": "date", "volume_shares": "volume"}
    kept = ["symbol", "date", "open", "high", "low", "close", "volume"]
    part = price_frame(payload_rows(rows)).rename(columns=columns)[kept]
    symbols = part["symbol"].nunique()
    payloads = -(-rows // len(part))
    write_catalog(home, [f"S{number:05d}" for number in range(payloads * symbols)])
    workspace = open_workspace(load_settings(home=home))
    known_at = dt.datetime(2025, 1, 6, tzinfo=dt.UTC)
    gauge, peaks = MemoryGauge(), []
    numbers = part["symbol"].str.slice(1).astype(int)
    for number in range(payloads):
        frame = part.assign(symbol=[f"S{n:05d}" for n in numbers + number * symbols])
        body = frame.to_csv(index=False, date_format="%Y-%m-%d").encode()
        request = price_files.request_for(f"{number}.csv", source="bench")
        outcome = ingest.load(workspace, ingest.keep(workspace, Payload(request, body, "text/csv", 200, known_at)))
        assert outcome.merged.new == len(frame), outcome
        peaks.append(gauge.peak_mb() or 0.0)
    print(json.dumps(peaks))


if __name__ == "__main__":
    backfill(Path(sys.argv[1]), int(sys.argv[2]))
