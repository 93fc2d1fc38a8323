"""What was known before a payload came, handed to the gate: so that the gate needs no warehouse.

Belongs here: the record. Does not belong here: the queries that fill it (`ingest.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

#: How many days before a payload's first date are looked at for the last known values.
LOOK_BACK_DAYS = 31


@dataclass(frozen=True)
class KnownFacts:
    """Believed facts around one payload's rows of one dataset. Empty frames mean that nothing is known.

    Attributes:
        previous: rows of the same source and subjects of up to `LOOK_BACK_DAYS` before the first date, in the frame's
            columns, without those set aside.
        others: what other sources say of the same subjects and days: key columns and ``value`` (close or rate). Of a
            very long delivery, of its latest days.
        row_counts: rows of the source's last payloads of the same kind, latest first.
    """

    previous: pd.DataFrame = field(default_factory=pd.DataFrame)
    others: pd.DataFrame = field(default_factory=pd.DataFrame)
    row_counts: tuple[int, ...] = ()
