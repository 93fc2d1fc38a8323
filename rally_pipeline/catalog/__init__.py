"""What exists, as data: instruments, events, calendar overrides, brokers, people, names (YAML) and the typed loader.

Belongs here: entries, their types and how they are read. Does not belong here: anything computed from them.
"""

from __future__ import annotations

from rally_pipeline.catalog.loader import load_catalog
from rally_pipeline.catalog.model import (
    Broker,
    BrokerKind,
    CalendarExtension,
    CalendarOverride,
    Catalog,
    Event,
    Instrument,
    Kind,
    Market,
    OtherName,
    Person,
    PriceSource,
    RatingScale,
)

__all__ = [
    "Broker",
    "BrokerKind",
    "CalendarExtension",
    "CalendarOverride",
    "Catalog",
    "Event",
    "Instrument",
    "Kind",
    "Market",
    "OtherName",
    "Person",
    "PriceSource",
    "RatingScale",
    "load_catalog",
]
