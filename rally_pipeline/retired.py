"""Old files of a home that are only views or notices: pages of runs, months of alerts.

What they tell of stays in the warehouse. Files of people (the inbox), the archive, and what is published are not among
them; published versions and OpenLineage events have rules of their own (`publish/publication.py`,
`lineage/event_delivery.py`). Belongs here: which files, and their going. Does not belong here: when.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rally_pipeline.settings import Settings

#: Pages of runs are linked from the summary for so long (`publish/quality_report.py`); none goes before.
_PAGES_DAYS = 60
#: Months of alerts are kept at least so long: somebody may want to compare with last year.
_ALERTS_DAYS = 400


@dataclass(frozen=True)
class Retired:
    """Files that were removed; or would be, if `is_dry`. Sizes are in bytes."""

    pages: int
    alert_months: int
    file_bytes: int
    is_dry: bool

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {"pages_removed": self.pages, "alert_months_removed": self.alert_months, "file_bytes": self.file_bytes}

    def lines(self) -> Iterator[str]:
        """For people; nothing if there was nothing."""
        if self.pages or self.alert_months:
            would = "would be " if self.is_dry else ""
            yield (
                f"{would}removed: {self.pages} quality pages of runs, {self.alert_months} months of alerts "
                f"({self.file_bytes / 2**20:,.1f} MiB)"
            )


def retire(settings: Settings, before: dt.datetime, *, dry_run: bool = False) -> Retired:
    """Removes files last changed before a time (aware), and old enough for their kind."""
    now = dt.datetime.now(dt.UTC)
    pages_before = min(before, now - dt.timedelta(days=_PAGES_DAYS))
    alerts_before = min(before, now - dt.timedelta(days=_ALERTS_DAYS))
    pages = _older(settings.published_dir / "quality", "run-*.html", pages_before)
    months = _older(settings.alerts_dir, "alerts-????-??.jsonl", alerts_before)
    size = sum(path.stat().st_size for path in (*pages, *months))
    if not dry_run:
        for path in (*pages, *months):
            path.unlink(missing_ok=True)
    return Retired(len(pages), len(months), size, dry_run)


def _older(folder: Path, pattern: str, before: dt.datetime) -> list[Path]:
    return [p for p in sorted(folder.glob(pattern)) if p.is_file() and p.stat().st_mtime < before.timestamp()]
