"""A warehouse of some years, and nights after nights upon it: new days, restatements, marts, audits, publication.

Belongs here: what is delivered and in which order, by the steps of a real run. Does not belong here: reading
(`reader.py`), measuring (`readers.py`).
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rally_pipeline.audit.store import audit_stored
from rally_pipeline.marts.refresh import DERIVED, refresh
from rally_pipeline.publish.publication import publish
from rally_pipeline.publish.site import write_site
from rally_pipeline.settings import load_settings
from rally_pipeline.warehouse import engine as engine_module
from rally_pipeline.workspace import Workspace, open_workspace
from rally_pipeline_tests import small_world
from rally_pipeline_tests.workspaces import deliver, fx_payload, price_csv, price_payload, utc

SYMBOLS = ("^HSI", "HSTECH.HK", "^GDAXI", "^GSPC", "0700.HK", "9988.HK", "3690.HK", "1810.HK", "0388.HK", "BABA")
LAST = dt.date(2025, 6, 30)
#: Sessions that are not there yet when the nights begin, one a night.
HELD_BACK = 60
KNOWN = utc("2025-07-01")


def days_of(workspace: Workspace, symbol: str, years: int) -> list[dt.date]:
    """The sessions of an instrument."""
    market = workspace.catalog.instruments[symbol].market.value
    return workspace.calendars.known_sessions(market, dt.date(LAST.year - years, 1, 2), LAST)


def bars(symbol: str, days: list[dt.date], night: int = 0) -> bytes:
    """Bars that move gently; said again on another night they are a little different."""
    rows = []
    for day in days:
        step = day.toordinal() % 4000
        close = round((300 + len(symbol)) * (1 + 0.0002 * step + 0.02 * math.sin(step / 9)) * (1 + 1e-4 * night), 4)
        rows.append((day, close, close * 1.01, close * 0.99, close, 10_000 + step % 97))
    return price_csv(rows)


def fill(workspace: Workspace, years: int) -> None:
    """History up to the first night."""
    for symbol in SYMBOLS:
        body = bars(symbol, days_of(workspace, symbol, years)[:-HELD_BACK])
        deliver(workspace, price_payload(body, symbol, source="yahoo", known_at=KNOWN))
    deliver(workspace, fx_payload(small_world.rates_csv(workspace), known_at=KNOWN))
    deliver(workspace, small_world.flow_payload(small_world.flows_csv(workspace), KNOWN))
    deliver(workspace, small_world.note_payload(small_world.NOTE, KNOWN))
    small_world.compute(workspace)
    publish(workspace)


def night(workspace: Workspace, number: int, years: int) -> None:
    """One nightly run: of every instrument a new session and the last three again, then all that follows."""
    known_at = KNOWN + dt.timedelta(hours=number)
    for symbol in SYMBOLS:
        days = days_of(workspace, symbol, years)
        end = len(days) - HELD_BACK + min(number, HELD_BACK)
        body = bars(symbol, days[end - 4 : end], number)
        outcome = deliver(workspace, price_payload(body, symbol, source="yahoo", known_at=known_at))
        assert outcome.is_loaded, outcome
        assert outcome.rows_set_aside == 0, outcome
    for derived in DERIVED:  # a transaction each, as the steps of a run are
        with workspace.warehouse.write() as connection:
            refresh(connection, tables=[derived.table.name])
    audit_stored(workspace)
    publish(workspace, compute=True)
    write_site(workspace)


def main() -> None:
    """Nights until the end, and beside them somebody who imports a file every two seconds."""
    years, result = int(sys.argv[1]), Path(sys.argv[2])
    waits: list[float] = []
    wait_for = engine_module.wait_for

    def timed(*arguments: Any, **more: Any) -> float:
        waits.append(wait_for(*arguments, **more))
        return waits[-1]

    engine_module.wait_for = timed
    workspace = open_workspace(load_settings())
    night(workspace, 1, years)  # everything is imported and compiled
    print("ready", flush=True)
    begin_at, end_at = (float(text) for text in sys.stdin.readline().split())
    done: dict[str, list[float]] = {"nights": [], "imports": []}
    failures: list[str] = []
    waits.clear()

    def nights() -> None:
        for number in itertools.count(2):
            began = time.time()
            if began >= end_at:
                return
            night(workspace, number, years)
            done["nights"].append(time.time() - began)

    def imports() -> None:
        other = open_workspace(load_settings())
        days = days_of(workspace, "0005.HK", 1)
        for number in itertools.count(1):
            began = time.time()
            if began >= end_at:
                return
            body = bars("0005.HK", days[-20:], number)
            known_at = KNOWN + dt.timedelta(minutes=number)
            assert deliver(other, price_payload(body, "0005.HK", source="desk", known_at=known_at)).is_loaded
            done["imports"].append(time.time() - began)
            time.sleep(2)

    def guarded(work: Any) -> None:
        try:
            work()
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")

    time.sleep(max(0.0, begin_at - time.time()))
    threads = [threading.Thread(target=guarded, args=(work,)) for work in (nights, imports)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.write_text(
        json.dumps({**done, "failures": failures, "writes": len(waits), "longest_wait_seconds": max(waits, default=0)})
    )


if __name__ == "__main__":
    main()
