"""Declarations of the raw layer: what was fetched, when, and where its bytes are.

The bytes themselves stand in the archive; this is its index, and it can be rebuilt from the archive alone.
"""

from __future__ import annotations

import sqlalchemy as sa

from rally_pipeline.schema.declare import Matches, NoRule, OneOf, Range, UtcDateTime, column, table

DATASETS = (
    *("price", "fx", "southbound_flow", "northbound_turnover", "top_stock", "broker_flow", "market_turnover"),
    *("note", "note_mention", "note_claim", "rating_action"),
)

raw_fetch = table(
    "raw_fetch",
    column("fetch_id", sa.String(64), "SHA-256 over payload, request and known time.", Matches(r"[0-9a-f]{64}")),
    column("payload_id", sa.String(64), "SHA-256 of the archived bytes.", Matches(r"[0-9a-f]{64}")),
    column("source", sa.String(40), "Upstream, or the provider a dropped file was said to be from.", Matches(r".+")),
    column("parser", sa.String(40), "Source module that reads the payload.", Matches(r".+")),
    column("dataset", sa.String(20), "Which core table the rows are for.", OneOf(DATASETS)),
    column("subject", sa.Text(), "Symbol, series or file name.", Matches(r".+")),
    column("url", sa.Text(), "Address asked; empty for files and client libraries.", NoRule("as the upstream has it")),
    column("params", sa.Text(), "Query parameters or parser options, as JSON.", NoRule("as the upstream has it")),
    column("start_date", sa.Date(), "First market date asked for.", NoRule("open if NULL"), nullable=True),
    column("end_date", sa.Date(), "Last market date asked for.", NoRule("open if NULL"), nullable=True),
    column("status", sa.Integer(), "HTTP status; 200 for files.", Range(100, 599)),
    column("media_type", sa.Text(), "As the upstream said; empty if it did not.", NoRule("as the upstream has it")),
    column("byte_count", sa.BigInteger(), "Size of the archived bytes.", Range(0), unit="bytes"),
    column("fetched_at", UtcDateTime(), "When the answer was complete.", NoRule("the clock's word"), unit="UTC"),
    column(
        "known_at",
        UtcDateTime(),
        "Since when its facts count as known: the fetch time unless the importer said otherwise.",
        NoRule("the importer's word"),
        unit="UTC",
    ),
    column("run_id", sa.String(64), "Run that fetched it.", NoRule("free text"), nullable=True),
    description="Every payload ever fetched or dropped, with what was asked and when.",
    grain="fetch",
    key=("fetch_id",),
)

sa.Index(None, raw_fetch.c.source, raw_fetch.c.subject, raw_fetch.c.known_at)
