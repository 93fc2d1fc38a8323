"""Declarations of the core layer for brokerage notes: documents, what they name, what they claim, rating actions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema.declare import Matches, NoRule, OneOf, Range, column, table

CLAIM_TYPES = (
    *("performance", "level", "extreme", "rank", "volume_record", "flow", "flow_comparison", "rating_action"),
    *("target_change", "positioning", "retail", "hot_money", "sentiment", "policy", "event"),
)
COMPARATORS = (
    *("eq", "approx", "at_least", "at_most", "highest_in_window", "lowest_in_window", "near_highest", "near_lowest"),
    *("comparable_to", "qualitative"),
)
AS_OF_BASES = ("stated", "document_date", "latest_date_named", "file_time")
SOURCE_KINDS = ("broker", "speaker", "newspaper", "unattributed")
RATING_ACTIONS = ("", "Upgrade", "Downgrade", "Reiterate", "Initiate", "Drop", "Revise")
TARGET_ACTIONS = ("", "Increase", "Decrease", "Reiterate", "Update")
FILE_TYPES = ("txt", "md", "html", "eml", "pdf", "docx", "csv", "jsonl")
WINDOW_KINDS = (
    *("", "year_to_date", "month_to_date", "quarter_to_date", "week_to_date", "day", "since_date", "since_event"),
    *("since_low", "since_high", "period", "trailing", "lookback", "all_time"),
)

_HASH = Matches(r"[0-9a-f]{64}")
_FREE = NoRule("free text, as printed")


def _text(name: str, what: str, rule: Any = _FREE, *, nullable: bool = False) -> sa.Column[Any]:
    return column(name, sa.Text(), what, rule, nullable=nullable)


def _note_id() -> sa.Column[Any]:
    return column("note_id", sa.String(64), "SHA-256 of the document's hash and the part of it.", _HASH)


def _offset(name: str, what: str) -> sa.Column[Any]:
    return column(name, sa.Integer(), what, Range(0), unit="code points")


def _number(name: str, what: str, unit: str = "see unit") -> sa.Column[Any]:
    return column(name, sa.Double(), what, NoRule("finite; checked by the gate"), unit=unit, nullable=True)


def _day(name: str, what: str) -> sa.Column[Any]:
    return column(name, sa.Date(), what, NoRule("checked with the other ends of its window"), nullable=True)


def _as_of() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        column(
            "as_of_date", sa.Date(), "Day it speaks of; of a note, the day it was written for.", NoRule("see its basis")
        ),
        column("as_of_basis", sa.String(20), "Where that day comes from.", OneOf(AS_OF_BASES)),
    )


def _who() -> sa.Column[Any]:
    what = "Where it came from first: the inbox, or the provider named."
    return column("source", sa.String(40), what, Matches(r".+"), is_provenance=True)


def _broker() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        column(
            "broker_id",
            sa.String(60),
            "House in the catalog; empty = none, or one the catalog does not know.",
            NoRule("the catalog's word; an unknown house stands in broker_text"),
        ),
        _text("broker_text", "House as printed."),
    )


core_note = table(
    "core_note",
    _note_id(),
    *_as_of(),
    column("document_sha256", sa.String(64), "SHA-256 of the archived document.", _HASH),
    _text("part", "Which part of the document: empty = all of it, an attachment, a line of a list."),
    column("file_name", sa.Text(), "Name of the file that came first, without folders.", _FREE, is_provenance=True),
    column("file_type", sa.String(8), "Format that was read.", OneOf(FILE_TYPES)),
    _text("title", "Title, subject or headline."),
    *_broker(),
    _text("broker_basis", "Where the house was found: front_matter, side_car, header, column, letterhead and so on."),
    _text("analyst", "Author."),
    _text("analyst_basis", "Where the author was found."),
    _text("newspaper", "Medium of a press summary."),
    _text("external_id", "Id the document or the list gave it."),
    column("language", sa.String(8), "Language of most of the text.", OneOf(("en", "zh"))),
    column("text_sha256", sa.String(64), "SHA-256 of the canonical text in UTF-8.", _HASH),
    column("similarity_hash", sa.String(16), "Simhash of the text, 64 bits, hexadecimal.", Matches(r"[0-9a-f]{16}")),
    _text("text", "Canonical text; all offsets count its Unicode code points.", NoRule("the document's words")),
    _text("page_starts", "JSON list of the offsets at which pages begin.", Matches(r"\[[0-9, ]+\]")),
    _text("warnings", "JSON list of what was noticed while reading.", Matches(r"\[[\s\S]*\]")),
    column("claim_count", sa.Integer(), "Claims found in it.", Range(0), unit="claims"),
    column("extractor_version", sa.String(20), "Version of the extractor that read it.", Matches(r".+")),
    _who(),
    description="Brokerage notes and press summaries as canonical text.",
    grain="part of a document × version",
    key=("note_id",),
    date_column="as_of_date",
    versioned=True,
)

core_note_mention = table(
    "core_note_mention",
    _note_id(),
    _offset("start_offset", "Where the name begins in the canonical text."),
    _offset("end_offset", "Where it ends, exclusive."),
    column("as_of_date", sa.Date(), "Day the note was written for.", NoRule("that of the note")),
    column(
        "mention_kind",
        sa.String(20),
        "What is named.",
        OneOf(("broker", "instrument", "person", "event", "rating_agency", "flow", "investors")),
    ),
    _text("mention_text", "The name as printed.", Matches(r"[\s\S]+")),
    column("entity_id", sa.String(64), "Key in the catalog; empty = not in it.", NoRule("the catalog's word")),
    _text("other_readings", "Other things the same words may name, as kind:id, separated by blanks."),
    column("extractor_version", sa.String(20), "Version of the extractor that found it.", Matches(r".+")),
    _who(),
    description="Houses, instruments, people, events, flows and investors that a note names.",
    grain="note × place in the text × version",
    key=("note_id", "start_offset"),
    date_column="as_of_date",
    versioned=True,
)

core_note_claim = table(
    "core_note_claim",
    column("claim_id", sa.String(64), "SHA-256 of document, place in the text and type.", _HASH),
    _note_id(),
    *_as_of(),
    column("claim_type", sa.String(20), "What kind of statement.", OneOf(CLAIM_TYPES)),
    column("rule_id", sa.String(60), "Rule of the grammar that found it.", Matches(r"[a-z_]+(\.[a-z0-9_]+)*")),
    column(
        "repeat_of",
        sa.String(64),
        "Earlier claim of the note that says the same; empty = none.",
        Matches(r"([0-9a-f]{64})?"),
    ),
    _text("subject_text", "What it is about, as printed."),
    column("subject_id", sa.String(64), "The same in the catalog; empty = not in it.", NoRule("the catalog's word")),
    column("metric", sa.String(40), "What is measured.", Matches(r"[a-z0-9_]*")),
    column("direction", sa.String(8), "Rise or inflow, fall or outflow, unchanged.", OneOf(("", "up", "down", "flat"))),
    column("comparator", sa.String(20), "How the value relates to the fact.", OneOf(COMPARATORS)),
    _number("value", "Stated value; falls and outflows are negative."),
    _number("value_prior", "Of a change, the value before."),
    column("unit", sa.String(12), "Unit of value, value_prior and tolerance.", NoRule("see records.Claim")),
    column("currency", sa.String(3), "Currency of money; empty otherwise.", Matches(r"([A-Z]{3}|\$)?")),
    _number("tolerance", "Half a unit of the last printed digit."),
    _text("hedge", "Word that softens or bounds the value."),
    column("is_scale_word_chinese", sa.Boolean(), "Whether the scale was 万 or 亿.", NoRule("a flag")),
    column("window_kind", sa.String(20), "Kind of stretch of time.", OneOf(WINDOW_KINDS)),
    _text("window_text", "The stretch of time as printed."),
    _day("window_start_earliest", "First day on which it may begin."),
    _day("window_start_latest", "Last day on which it may begin."),
    _day("window_end", "Its last day; NULL = the day the claim speaks of."),
    column("window_event_id", sa.String(64), "Event since which; empty = none.", NoRule("the catalog's word")),
    column("window_months", sa.Integer(), "Length where given in months.", Range(0), unit="months", nullable=True),
    column("window_days", sa.Integer(), "Length where given in days.", Range(0), unit="days", nullable=True),
    column(
        "is_base_inclusive",
        sa.Boolean(),
        "Whether the close on the first day is the base; NULL = both readings.",
        NoRule("a flag"),
        nullable=True,
    ),
    column("is_window_inherited", sa.Boolean(), "Whether taken over from a clause before.", NoRule("a flag")),
    column("timing", sa.String(10), "Time of day.", OneOf(("close", "open", "intraday", "unknown"))),
    column("source_kind", sa.String(12), "Who says so.", OneOf(SOURCE_KINDS)),
    *_broker(),
    _text("speaker", "Person or company that speaks."),
    _text("speaker_role", "Role of the speaker."),
    column("quote_kind", sa.String(8), "Direct or indirect speech.", OneOf(("direct", "indirect", "none"))),
    column(
        "stance",
        sa.String(14),
        "Whether it is asserted.",
        OneOf(("asserts", "forecasts", "denies", "hypothetical", "quotes_others")),
    ),
    column("rating_action", sa.String(10), "RIXML word for what was done to a rating.", OneOf(RATING_ACTIONS)),
    column("target_action", sa.String(10), "RIXML word for what was done to a target.", OneOf(TARGET_ACTIONS)),
    _text("action_text", "The house's own word."),
    _text("rating", "Rating as printed."),
    _text("rating_prior", "Rating before, as printed."),
    _text("analyst", "Who signed it."),
    column("is_conflict", sa.Boolean(), "Whether verb and numbers of a target change disagree.", NoRule("a flag")),
    column(
        "statement_class",
        sa.String(40),
        "Of positioning: what kind of statement; empty otherwise.",
        Matches(r"[a-z0-9_]*"),
    ),
    _text("investors", "Of positioning: whose; as printed."),
    column(
        "polarity",
        sa.Integer(),
        "Of positioning: 1 = bullish or more of it, -1 = the contrary; NULL = neither, or another type.",
        Range(-1, 1),
        nullable=True,
    ),
    _text("details", "JSON object of further fields of the claim type.", Matches(r"\{[\s\S]*\}")),
    _offset("start_offset", "Where the quote begins in the canonical text."),
    _offset("end_offset", "Where it ends, exclusive."),
    _text("quote", "The words: the text from start_offset to end_offset.", Matches(r"[\s\S]+")),
    _text("prefix", "Words before the quote."),
    _text("suffix", "Words after the quote."),
    column("page", sa.Integer(), "Page of the document, from 1.", Range(1)),
    column("extractor_version", sa.String(20), "Version of the extractor that found it.", Matches(r".+")),
    _who(),
    description="What notes claim, each with the exact words.",
    grain="claim × version",
    key=("note_id", "claim_id"),
    date_column="as_of_date",
    versioned=True,
)

core_rating_action = table(
    "core_rating_action",
    column("action_id", sa.String(64), "Hash of what identifies the action at its source.", _HASH),
    column("action_date", sa.Date(), "Day of the action.", NoRule("the source's word")),
    column("note_id", sa.String(64), "Note it stands in; empty for a structured source.", Matches(r"([0-9a-f]{64})?")),
    column(
        "claim_id", sa.String(64), "Claim it was made from; empty for a structured source.", Matches(r"([0-9a-f]{64})?")
    ),
    *_broker(),
    _text("analyst", "Who signed it."),
    _text("subject_text", "Company as printed."),
    column(
        "symbol", sa.String(32), "Instrument; empty = not in the catalog.", Matches(r"([\^A-Z0-9][A-Z0-9.=\-]{0,31})?")
    ),
    column("rating_action", sa.String(10), "RIXML word for what was done to the rating.", OneOf(RATING_ACTIONS)),
    _text("action_text", "The house's own word."),
    _text("rating", "Rating as printed."),
    _text("rating_prior", "Rating before, as printed."),
    column("target_action", sa.String(10), "RIXML word for what was done to the target.", OneOf(TARGET_ACTIONS)),
    column("target_price", sa.Double(), "Target.", Range(0, strict_low=True), unit="currency", nullable=True),
    column(
        "target_price_prior", sa.Double(), "Target before.", Range(0, strict_low=True), unit="currency", nullable=True
    ),
    column(
        "currency",
        sa.String(3),
        "Currency of the targets; empty = not stated, or index points.",
        Matches(r"([A-Z]{3}|\$)?"),
    ),
    column("is_conflict", sa.Boolean(), "Whether verb and numbers of a target change disagree.", NoRule("a flag")),
    _who(),
    description="Ratings and price targets set by houses, from notes and from structured sources.",
    grain="house × instrument × action × source × version",
    key=("action_id",),
    date_column="action_date",
    versioned=True,
)

# Near-duplicates are looked for among the notes of some weeks.
sa.Index("ix_core_note_as_of_date", core_note.c.as_of_date)
