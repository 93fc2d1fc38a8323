"""Declarations of the operational tables: what was loaded, refused or set aside, and what is still to be computed."""

from __future__ import annotations

import sqlalchemy as sa

from rally_pipeline.schema.declare import InTable, Matches, NoRule, OneOf, Range, Rule, UtcDateTime, column, table

OUTCOMES = ("loaded", "refused")
SEVERITIES = ("error", "quarantine", "warn")

_FETCH = InTable("raw_fetch", "fetch_id")
_CLOCK = NoRule("the clock's word")

ops_warehouse = table(
    "ops_warehouse",
    column("name", sa.String(60), "What is stated.", Matches(r"[a-z0-9_.]+")),
    column("value", sa.Text(), "Its value.", NoRule("free text")),
    description="What this warehouse is: profile, hashes of catalog, calendars and derived tables.",
    grain="statement",
    key=("name",),
)


def _made_with(name: str, what: str, rule: Rule) -> sa.Column[str]:
    return column(name, sa.Text(), f"{what} NULL = a run before this was recorded.", rule, nullable=True)


ops_run = table(
    "ops_run",
    column("run_id", sa.String(64), "Run.", Matches(r".+")),
    column("command", sa.Text(), "What was asked for.", NoRule("free text")),
    column("started_at", UtcDateTime(), "Start.", _CLOCK, unit="UTC"),
    column("finished_at", UtcDateTime(), "End; NULL = still running, or killed.", _CLOCK, unit="UTC", nullable=True),
    column("outcome", sa.String(12), "How it ended.", OneOf(("ok", "failed", "running"))),
    column("message", sa.Text(), "One line about it.", NoRule("free text")),
    column("code_version", sa.String(60), "Version of this project.", Matches(r".+")),
    _made_with(
        "lock_hash",
        "SHA-256 of requirements.lock, after 'lock:'; without that file of the sorted names and versions of all "
        "installed packages, after 'env:'.",
        Matches(r"(lock|env):[0-9a-f]{64}"),
    ),
    _made_with("catalog_hash", "SHA-256 of the catalog.", Matches(r"[0-9a-f]{64}")),
    _made_with("calendar_version", "Version of the package exchange_calendars.", Matches(r".+")),
    _made_with("python_version", "Version of Python.", Matches(r".+")),
    _made_with("platform", "Operating system and processor.", Matches(r".+")),
    description="Runs of the pipeline, from the command line and from Dagster, and what they were made with.",
    grain="run",
    key=("run_id",),
)

ops_load = table(
    "ops_load",
    column("fetch_id", sa.String(64), "Fetch that was parsed.", _FETCH),
    column("loaded_at", UtcDateTime(), "When.", _CLOCK, unit="UTC"),
    column("outcome", sa.String(12), "loaded, or refused as a whole.", OneOf(OUTCOMES)),
    column("rule", sa.String(60), "Rule that refused it; empty if loaded.", NoRule("name of a rule")),
    column("message", sa.Text(), "What was wrong; empty if loaded.", NoRule("free text")),
    column("rows_parsed", sa.BigInteger(), "Rows the payload gave.", Range(0)),
    column("rows_new", sa.BigInteger(), "Rows with a key not seen before.", Range(0)),
    column("rows_changed", sa.BigInteger(), "Rows that closed an older version.", Range(0)),
    column("rows_same", sa.BigInteger(), "Rows already known as they are.", Range(0)),
    column("rows_set_aside", sa.BigInteger(), "Rows that went to ops_quarantine.", Range(0)),
    description="What became of each payload. A fetch without a row here has not been loaded yet.",
    grain="fetch",
    key=("fetch_id",),
)

ops_finding = table(
    "ops_finding",
    column("fetch_id", sa.String(64), "Fetch it is about.", _FETCH),
    column("finding_no", sa.Integer(), "Running number within the fetch.", Range(1)),
    column("rule", sa.String(60), "Name of the rule.", Matches(r"[a-z0-9_]+")),
    column("severity", sa.String(12), "What follows from it.", OneOf(SEVERITIES)),
    column("message", sa.Text(), "What was seen.", NoRule("free text")),
    column("locator", sa.Text(), "Where in the payload.", NoRule("free text")),
    column("row_count", sa.BigInteger(), "How many rows it is about.", Range(0)),
    description="What was noticed while a payload was read and checked.",
    grain="fetch × finding",
    key=("fetch_id", "finding_no"),
)

ops_quarantine = table(
    "ops_quarantine",
    column("fetch_id", sa.String(64), "Fetch the row came with.", _FETCH),
    column("table_name", sa.String(60), "Table it was meant for.", Matches(r"core_[a-z0-9_]+")),
    column("row_key", sa.Text(), "Its natural key, as text.", NoRule("free text")),
    column("rule", sa.String(60), "Rule it broke.", Matches(r"[a-z0-9_]+")),
    column("row_json", sa.Text(), "The row as it was parsed, as JSON.", NoRule("free text")),
    column("payload_id", sa.String(64), "Payload it stands in.", Matches(r"[0-9a-f]{64}")),
    column("locator", sa.Text(), "Where in the payload.", NoRule("free text")),
    column("first_seen_at", UtcDateTime(), "When it was set aside.", _CLOCK, unit="UTC"),
    description="Rows that were not believed, with the rule they broke. Append-only.",
    grain="fetch × row × rule",
    key=("fetch_id", "table_name", "row_key", "rule"),
)

ops_stale = table(
    "ops_stale",
    column("table_name", sa.String(60), "Derived table that is behind.", Matches(r"(core|mart|ops)_[a-z0-9_]+")),
    column("subject", sa.String(32), "Symbol or currency; '*' = all.", Matches(r".+")),
    column("from_date", sa.Date(), "First market date to compute again.", NoRule("follows from what changed")),
    description="What derived tables still have to compute, written with the change itself, so a crash loses nothing.",
    grain="derived table × subject",
    key=("table_name", "subject"),
)

ops_quality_result = table(
    "ops_quality_result",
    column("fetch_id", sa.String(64), "Fetch whose rows were checked.", _FETCH),
    column("table_name", sa.String(60), "Table they were meant for.", Matches(r"core_[a-z0-9_]+")),
    column("rule", sa.String(60), "Name of the expectation.", Matches(r"[a-z0-9_]+")),
    column("run_id", sa.String(64), "Run that checked; NULL = an import.", NoRule("free text"), nullable=True),
    column("severity", sa.String(12), "What follows where it is not met.", OneOf(SEVERITIES)),
    column("is_success", sa.Boolean(), "Whether it was met.", NoRule("either")),
    column("observed_value", sa.Text(), "What was seen, as JSON.", NoRule("free text")),
    column("row_count", sa.BigInteger(), "Rows that were checked.", Range(0)),
    column("unexpected_count", sa.BigInteger(), "Rows that did not meet it.", Range(0)),
    column("examples", sa.Text(), "The first rows that did not, as JSON.", NoRule("free text")),
    column("checked_at", UtcDateTime(), "When.", _CLOCK, unit="UTC"),
    description=(
        "Every expectation of every payload, met or not, with what was observed, each time it was loaded. Append-only; "
        "those that stand are of the load whose ops_load.loaded_at is their checked_at."
    ),
    grain="fetch × table × expectation × load",
    key=("fetch_id", "table_name", "rule", "checked_at"),
)

sa.Index(None, ops_quality_result.c.checked_at)

ops_restatement = table(
    "ops_restatement",
    column("fetch_id", sa.String(64), "Fetch that brought the new value.", _FETCH),
    column("table_name", sa.String(60), "Table.", Matches(r"core_[a-z0-9_]+")),
    column("row_key", sa.Text(), "Natural key of the fact, as text.", NoRule("free text")),
    column("column_name", sa.String(60), "Column that changed.", Matches(r"[a-z0-9_]+")),
    column("subject", sa.String(40), "Symbol, channel or currency.", Matches(r".+")),
    column("market_date", sa.Date(), "Market date of the fact.", NoRule("as in core")),
    column("source", sa.String(40), "Who restated it.", Matches(r".+")),
    column("old_value", sa.Double(), "Value believed before; NULL = none.", NoRule("as in core"), nullable=True),
    column("new_value", sa.Double(), "Value believed since; NULL = none.", NoRule("as in core"), nullable=True),
    column("change_pct", sa.Double(), "new / old − 1.", NoRule("computed"), unit="%", nullable=True),
    column("old_payload_id", sa.String(64), "Payload of the old value.", Matches(r"[0-9a-f]{64}")),
    column("new_payload_id", sa.String(64), "Payload of the new value.", Matches(r"[0-9a-f]{64}")),
    column("known_at", UtcDateTime(), "Since when the new value is known.", _CLOCK, unit="UTC"),
    description="Changes beyond tolerance to values already known, with both versions. Append-only.",
    grain="fetch × fact × column",
    key=("fetch_id", "table_name", "row_key", "column_name"),
    date_column="market_date",
)

ACTIONS = ("release", "replay", "discard")

ops_quarantine_action = table(
    "ops_quarantine_action",
    column("action_id", sa.String(64), "SHA-256 over what was done, by whom and when.", Matches(r"[0-9a-f]{64}")),
    column("fetch_id", sa.String(64), "Fetch of the row.", _FETCH),
    column("table_name", sa.String(60), "Table of the row.", Matches(r"core_[a-z0-9_]+")),
    column("row_key", sa.Text(), "Natural key of the row.", NoRule("free text")),
    column("rule", sa.String(60), "Rule it broke.", Matches(r"[a-z0-9_]+")),
    column("action", sa.String(12), "What was done.", OneOf(ACTIONS)),
    column("reason", sa.Text(), "Why.", Matches(r".+")),
    column("acted_by", sa.Text(), "Who.", Matches(r".+")),
    column("acted_at", UtcDateTime(), "When.", _CLOCK, unit="UTC"),
    column("outcome", sa.Text(), "What came of it.", NoRule("free text")),
    description="What people did with rows in quarantine. Append-only.",
    grain="action",
    key=("action_id",),
)

ops_inbox_file = table(
    "ops_inbox_file",
    column("inbox", sa.String(20), "Folder of the inbox.", Matches(r"[a-z]+")),
    column("file_name", sa.Text(), "Name the file had.", Matches(r"[\s\S]+")),
    column("handled_at", UtcDateTime(), "When.", _CLOCK, unit="UTC"),
    column("outcome", sa.String(12), "loaded, or refused.", OneOf(OUTCOMES)),
    column("rule", sa.String(60), "Rule that refused it; empty if loaded.", NoRule("name of a rule")),
    column("message", sa.Text(), "What was wrong; empty if loaded.", NoRule("free text")),
    column("moved_to", sa.Text(), "Where it lies now, relative to the inbox.", Matches(r"[\s\S]+")),
    column("byte_count", sa.BigInteger(), "Size.", Range(0), unit="bytes"),
    column(
        "fetch_id",
        sa.String(64),
        "Fetch under which it is archived; NULL = it was not even archived.",
        InTable("raw_fetch", "fetch_id"),
        nullable=True,
    ),
    description="What became of each file dropped into the inbox. Append-only.",
    grain="file × time",
    key=("inbox", "file_name", "handled_at"),
)

GAP_STATES = ("open", "not_served")

ops_gap = table(
    "ops_gap",
    column("market", sa.String(12), "Market, or southbound.", Matches(r"[A-Z]+")),
    column("source", sa.String(40), "Source that has not given it.", Matches(r"[a-z0-9_]+")),
    column("subject", sa.String(40), "Instrument, pair of currencies or channel.", Matches(r".+")),
    column("session_date", sa.Date(), "Session.", NoRule("the calendar's word")),
    column(
        "state",
        sa.String(12),
        "open: it is asked for again; not_served: the source has been asked often enough, or no longer keeps the day.",
        OneOf(GAP_STATES),
    ),
    column("asked_count", sa.Integer(), "How often the source answered without it.", Range(0)),
    column("first_asked_at", UtcDateTime(), "When it was found missing in an answer.", _CLOCK, unit="UTC"),
    column("last_asked_at", UtcDateTime(), "When last.", _CLOCK, unit="UTC"),
    column("message", sa.Text(), "What the source said, or why it is asked no more.", NoRule("free text")),
    description=(
        "Sessions that a source answered without. What nobody was asked for yet, or what failed before there was an "
        "answer, is not here: that is asked for again anyway. A row goes when the figures come."
    ),
    grain="market × source × subject × session",
    key=("market", "source", "subject", "session_date"),
    date_column="session_date",
)

FAILURE_KINDS = ("", "retryable", "rate_limited", "permanent", "refused")

ops_health = table(
    "ops_health",
    column("market", sa.String(12), "Market, southbound, or RATINGS.", Matches(r"[A-Z]+")),
    column("source", sa.String(40), "Source.", Matches(r"[a-z0-9_]+")),
    column("last_success_at", UtcDateTime(), "Last usable answer; NULL = none.", _CLOCK, unit="UTC", nullable=True),
    column(
        "failing_since_at",
        UtcDateTime(),
        "First failure since the last run without one; NULL = it does not fail.",
        _CLOCK,
        unit="UTC",
        nullable=True,
    ),
    column("last_failure_at", UtcDateTime(), "Last failure; NULL = none ever.", _CLOCK, unit="UTC", nullable=True),
    column("failure_kind", sa.String(12), "Kind of the last failure.", OneOf(FAILURE_KINDS)),
    column("failure_message", sa.Text(), "What the last failure said.", NoRule("free text")),
    column("failed_run_id", sa.String(64), "Run that failed last; NULL = none.", NoRule("free text"), nullable=True),
    column("missing_sessions", sa.Integer(), "Sessions that could be there and are not.", Range(0)),
    column(
        "oldest_missing_date",
        sa.Date(),
        "The first of them; NULL = none.",
        NoRule("the calendar's word"),
        nullable=True,
    ),
    column("checked_at", UtcDateTime(), "When this was found.", _CLOCK, unit="UTC"),
    description="What is broken right now and since when: one row for each source of each market.",
    grain="market × source",
    key=("market", "source"),
)

#: How the rows of a table come about: every version of a fact kept; copied from catalog and calendars; computed again
#: from what is believed now; or written down as things happen.
ROW_KINDS = ("versioned", "reference", "derived", "record")
_TABLE_NAME = Matches(r"(raw|core|mart|ops)_[a-z0-9_]+")

ops_dictionary_table = table(
    "ops_dictionary_table",
    column("table_name", sa.String(60), "Table.", _TABLE_NAME),
    column("layer", sa.String(4), "Layer it is in.", OneOf(("raw", "core", "mart", "ops"))),
    column("description", sa.Text(), "What it holds.", Matches(r"[\s\S]+")),
    column("grain", sa.Text(), "What one row is.", Matches(r".+")),
    column("owner", sa.Text(), "Who answers for it.", Matches(r".+")),
    column(
        "key_columns", sa.Text(), "Columns that identify what a row is about, with commas.", Matches(r"[a-z0-9_, ]+")
    ),
    column(
        "date_column",
        sa.String(60),
        "Column of the market date by which days are selected; NULL = none.",
        Matches(r"[a-z0-9_]+"),
        nullable=True,
    ),
    column("is_versioned", sa.Boolean(), "Whether it keeps every version of a fact.", NoRule("either")),
    column("row_kind", sa.String(12), "How its rows come about.", OneOf(ROW_KINDS)),
    column("row_semantics", sa.Text(), "The same in a sentence, with how to read what is believed.", Matches(r".+")),
    column("column_count", sa.Integer(), "Number of columns.", Range(1)),
    column("upstream", sa.Text(), "Tables its columns and rows come from, as a JSON list.", NoRule("JSON")),
    description="The data dictionary: every table of the warehouse, from its declaration.",
    grain="table",
    key=("table_name",),
)

ops_dictionary_column = table(
    "ops_dictionary_column",
    column("table_name", sa.String(60), "Table.", InTable("ops_dictionary_table", "table_name")),
    column("column_name", sa.String(60), "Column.", Matches(r"[a-z0-9_]+")),
    column("position", sa.Integer(), "Place of the column in its table, from 1.", Range(1)),
    column("data_type", sa.Text(), "Type, the same whatever the engine.", Matches(r".+")),
    column("description", sa.Text(), "What it holds.", Matches(r"[\s\S]+")),
    column("unit", sa.Text(), "Unit; empty for counts, names and index levels.", NoRule("free text")),
    column("is_nullable", sa.Boolean(), "Whether NULL is allowed.", NoRule("either")),
    column("is_key", sa.Boolean(), "Whether it is part of the primary key.", NoRule("either")),
    column(
        "rules", sa.Text(), "What every value meets, in words; empty if any value of the type is good.", NoRule("words")
    ),
    column(
        "upstream",
        sa.Text(),
        "Columns, payload fields and catalog entries that its own expression reads, as a JSON list.",
        NoRule("JSON"),
    ),
    description="The data dictionary: every column of every table, from its declaration and its lineage.",
    grain="table × column",
    key=("table_name", "column_name"),
)

#: Filled from the declarations themselves.
DICTIONARY = (ops_dictionary_table, ops_dictionary_column)
