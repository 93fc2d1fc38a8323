"""A few weeks of one market with everything that can happen to a fact, for tests of provenance and of building again.

Bars of an index and a share from two sources, dollar rates, southbound flows, a broker's week, a note; among them a
restatement, a delivery that comes late with an earlier known time, a file that is refused, and rows set aside of which
one is released. Belongs here: the deliveries. Does not belong here: what a test expects of them.
"""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

from rally_pipeline import quarantine
from rally_pipeline.audit.store import audit_stored
from rally_pipeline.marts.refresh import refresh
from rally_pipeline.sources import flow_files, note_files
from rally_pipeline.sources.base import Payload
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import deliver, fx_payload, price_csv, price_payload, utc

INDEX, SHARE = "^HSI", "0700.HK"
FIRST, LAST = dt.date(2024, 12, 16), dt.date(2025, 2, 14)
#: When most of it was known, and when things were said again.
KNOWN, RESTATED, NOTED = utc("2025-02-14T12:00"), utc("2025-02-17T12:00"), utc("2025-02-18T09:00")
#: Set aside, and let in by a person: its high is below its close.
RELEASED_DAY = dt.date(2025, 2, 12)

NOTE = """Example House
14 February 2025

Example House upgraded Tencent to Buy from Hold, and raised its target price to HK$480 from HK$400.
The Hang Seng Index has risen 13 percent this year.
Hedge funds' net exposure to China is near the highest in a year.
"""


def sessions(workspace: Workspace, market: str = "HK") -> list[dt.date]:
    """The days of this world."""
    return workspace.calendars.known_sessions(market, FIRST, LAST)


def close_of(symbol: str, day: dt.date) -> float:
    """A close that rises with a wave on it."""
    step = (day - FIRST).days
    level = {INDEX: 20_000.0, SHARE: 400.0}[symbol]
    return round(level * (1 + 0.002 * step + 0.02 * math.sin(step / 4)), 2)


def _bars(workspace: Workspace, symbol: str, first: dt.date = FIRST) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for day in sessions(workspace):
        close = close_of(symbol, day)
        if day >= first:
            rows.append((day, close - 1, close + 2, close - 2, close, 1000 + day.toordinal() % 97))
    return rows


def flow_payload(text: str, known_at: dt.datetime, source: str = "desk", name: str = "flows.csv") -> Payload:
    """A dropped file of flows."""
    request = flow_files.request_for(name, source=source, unit=None, currency=None)
    return Payload(request, text.encode(), "text/csv", 200, known_at)


def note_payload(text: str, known_at: dt.datetime, name: str = "note.txt") -> Payload:
    """A dropped note."""
    request = note_files.request_for(name, source="inbox", modified_at=NOTED)
    return Payload(request, text.encode(), "", 200, known_at)


def flows_csv(workspace: Workspace, restated: dt.date | None = None) -> str:
    """Daily flows of both channels; on one day Shanghai bought more than was said at first."""
    lines = ["date,channel,buy,sell,unit,currency"]
    for number, day in enumerate(sessions(workspace, "SOUTHBOUND")):
        more = 500.0 if day == restated else 0.0
        lines.append(f"{day},sse,{9000 + 37 * number + more},{7000 + 11 * number},million,HKD")
        lines.append(f"{day},szse,{5000 + 13 * (number % 7)},{4500 + 5 * number},million,HKD")
    return "\n".join(lines) + "\n"


def rates_csv(workspace: Workspace) -> bytes:
    """Euro rates of the dollars."""
    lines = ["Date,USD,HKD,CNY,"]
    for number, day in enumerate(reversed(sessions(workspace, "FX"))):
        lines.append(f"{day},{1.03 + number / 10_000:.4f},{8.02 + number / 1000:.4f},{7.5 + number / 1000:.4f},")
    return "\n".join(lines).encode()


def fill(workspace: Workspace) -> None:
    """Delivers all of it, in an order that is not that of the known times, and computes what follows."""
    bars = {symbol: _bars(workspace, symbol) for symbol in (INDEX, SHARE)}
    deliver(workspace, price_payload(price_csv(bars[INDEX]), INDEX, source="yahoo", known_at=KNOWN))
    deliver(workspace, price_payload(price_csv(bars[SHARE]), SHARE, source="yahoo", known_at=KNOWN))
    deliver(workspace, fx_payload(rates_csv(workspace), known_at=KNOWN))
    deliver(workspace, flow_payload(flows_csv(workspace), KNOWN))
    south = sessions(workspace, "SOUTHBOUND")
    # Said again otherwise: the share's last closes, a day's flows.
    mended = [(day, o, h, low, c + 1, v) for day, o, h, low, c, v in _bars(workspace, SHARE, dt.date(2025, 2, 10))]
    deliver(workspace, price_payload(price_csv(mended), SHARE, source="yahoo", known_at=RESTATED))
    deliver(workspace, flow_payload(flows_csv(workspace, restated=south[-3]), RESTATED))
    # Late: known between the two, said after both.
    late = [(day, o, h, low, c + 0.5, v) for day, o, h, low, c, v in _bars(workspace, SHARE, dt.date(2025, 2, 11))]
    payload = price_payload(price_csv(late), SHARE, source="yahoo", known_at=RESTATED + dt.timedelta(hours=1))
    deliver(workspace, payload, known_at=KNOWN + dt.timedelta(days=1))
    # Refused as a whole.
    deliver(workspace, price_payload(b"<html>log in</html>", SHARE, source="other", known_at=RESTATED))
    # Set aside in part: a high below the close, a price that is none.
    wrong = [
        (RELEASED_DAY - dt.timedelta(days=1), 440, 445, 435, 441, 10),
        (RELEASED_DAY, 440, 441, 435, 442, 10),
        (RELEASED_DAY + dt.timedelta(days=1), 440, 445, 435, -441, 10),
    ]
    deliver(workspace, price_payload(price_csv(wrong), SHARE, source="other", known_at=RESTATED))
    deliver(workspace, note_payload(NOTE, NOTED))
    deliver(workspace, note_payload(NOTE, NOTED + dt.timedelta(days=1), "copy of note.txt"))
    compute(workspace)
    (row,) = quarantine.select(workspace, quarantine.Selection(rule="high_is_highest"))
    assert quarantine.release(workspace, [row], "the exchange prints it so").ok
    audit_stored(workspace)


def compute(workspace: Workspace) -> None:
    """What follows from the facts."""
    with workspace.warehouse.write() as connection:
        refresh(connection)
    audit_stored(workspace)


def damage(workspace: Workspace, payload_id: str) -> Path:
    """Flips one bit of one byte of an archived payload."""
    path = workspace.settings.archive_dir / "objects" / payload_id[:2] / payload_id
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    return path
