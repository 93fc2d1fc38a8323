"""How problems are shown to whoever asks: lines for people, objects for programs.

Belongs here: that. Does not belong here: what targets get (`targets.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rally_pipeline.alerts.evaluate import Evaluation
from rally_pipeline.alerts.model import Alert


def alert_json(alert: Alert) -> dict[str, Any]:
    """A problem as a flat object."""
    return {
        "severity": alert.severity,
        "kind": alert.kind,
        "problem": alert.key,
        "since": alert.since,
        "title": alert.title,
        "text": alert.text,
        "link": alert.link,
    }


def alert_lines(seen: Evaluation) -> Iterator[str]:
    """The problems, worst and oldest first."""
    if seen.note:
        yield seen.note
    elif not seen.problems:
        yield "nothing is wrong"
    for alert in seen.problems:
        since = f"  since {alert.since:%Y-%m-%d %H:%M} UTC" if alert.since else ""
        yield f"{alert.severity:<5}  {alert.kind:<16}  {alert.title}{since}"
        yield from (f"{'':25}{line}" for line in alert.text.splitlines())
