"""The demo's notes: documents of every kind in English and Chinese, some wrong on purpose, dropped into the inbox.

The documents stand beside this module in ``notes/``. They restate published figures in the project's own words; where a
house, an analyst or a rating is invented, the document says so. Belongs here: dropping them. Does not belong here:
reading them (`rally_pipeline.inbox`).
"""

from __future__ import annotations

import datetime as dt
import os
from importlib import resources
from pathlib import Path

#: Time that every dropped document gets: none takes its date from it, and the same is dropped each time.
_CHANGED_AT = dt.datetime(2025, 2, 28, 12, tzinfo=dt.UTC).timestamp()


def documents() -> list[str]:
    """Names of the documents and their side-cars."""
    return sorted(item.name for item in resources.files(__package__).joinpath("notes").iterdir())


def drop(inbox: Path) -> list[Path]:
    """Writes the documents into the folder `inbox`, which is made if need be; returns their paths."""
    inbox.mkdir(parents=True, exist_ok=True)
    source = resources.files(__package__).joinpath("notes")
    dropped = []
    for name in documents():
        path = inbox / name
        path.write_bytes(source.joinpath(name).read_bytes())
        os.utime(path, (_CHANGED_AT, _CHANGED_AT))
        dropped.append(path)
    return dropped
