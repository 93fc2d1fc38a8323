"""Declarations of the marts about what houses say: rating and target changes, positioning."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema.core_notes import RATING_ACTIONS, SOURCE_KINDS, TARGET_ACTIONS
from rally_pipeline.schema.declare import Matches, NoRule, OneOf, Range, column, table

_COMPUTED = NoRule("computed; its inputs are checked")
_SAID = NoRule("as printed")


def _text(name: str, what: str, *, nullable: bool = False) -> sa.Column[Any]:
    return column(name, sa.Text(), what, _SAID, nullable=nullable)


def _number(name: str, what: str, unit: str) -> sa.Column[Any]:
    return column(name, sa.Double(), what, _COMPUTED, unit=unit, nullable=True)


mart_rating_actions = table(
    "mart_rating_actions",
    column("action_id", sa.String(64), "The action, as in core_rating_action.", Matches(r"[0-9a-f]{64}")),
    column("action_date", sa.Date(), "Day of the action.", _COMPUTED),
    column("symbol", sa.String(32), "Instrument; empty = not in the catalog.", _COMPUTED),
    _text("subject_text", "Company as printed."),
    _text("instrument_name", "Name in the catalog; NULL = not in it.", nullable=True),
    column("broker_id", sa.String(60), "House in the catalog; empty = not in it.", _COMPUTED),
    _text("broker_name", "Name of the house in the catalog, else as printed."),
    _text("analyst", "Who signed it."),
    column("rating_action", sa.String(10), "RIXML word for what was done to the rating.", OneOf(RATING_ACTIONS)),
    _text("rating", "Rating as printed."),
    _text("rating_prior", "Rating before, as printed."),
    column("target_action", sa.String(10), "RIXML word for what was done to the target.", OneOf(TARGET_ACTIONS)),
    _text("action_text", "The house's own words for both."),
    _number("target_price", "Target.", "currency"),
    _number("target_price_prior", "Target before.", "currency"),
    column("currency", sa.String(3), "Currency of the targets; empty = not stated, or index points.", _COMPUTED),
    _number("target_change_pct", "target_price / target_price_prior − 1.", "%"),
    column(
        "close_date", sa.Date(), "Last session on or before the action, at most 7 days old.", _COMPUTED, nullable=True
    ),
    _number("close", "Unadjusted close of that session.", "price_currency"),
    column("price_currency", sa.String(3), "Currency of the close.", _COMPUTED, nullable=True),
    _number(
        "implied_upside_pct",
        "target_price / close − 1, where both are in one currency; a bare $ is the close's if that is a dollar.",
        "%",
    ),
    column("is_conflict", sa.Boolean(), "Whether verb and numbers of the target change disagree.", NoRule("a flag")),
    column("note_id", sa.String(64), "Note it stands in; empty for a structured source.", _COMPUTED),
    column("claim_id", sa.String(64), "Claim it was made from; empty for a structured source.", _COMPUTED),
    column("source", sa.String(40), "Where it came from.", Matches(r".+")),
    description="What houses did to ratings and price targets, with the price of the day.",
    grain="house × instrument × action × source",
    key=("action_id",),
    date_column="action_date",
)

mart_positioning = table(
    "mart_positioning",
    column("claim_id", sa.String(64), "The claim, as in core_note_claim.", Matches(r"[0-9a-f]{64}")),
    column("as_of_date", sa.Date(), "Day it speaks of.", _COMPUTED),
    column("note_id", sa.String(64), "Note it stands in.", Matches(r"[0-9a-f]{64}")),
    column("source_kind", sa.String(12), "Who says so.", OneOf(SOURCE_KINDS)),
    column("broker_id", sa.String(60), "House in the catalog; empty = none, or not in it.", _COMPUTED),
    _text("broker_name", "Name of the house in the catalog, else as printed; empty = none."),
    _text("speaker", "Person who speaks."),
    _text("investors", "Whose positions, as printed."),
    _text("subject_text", "In what, as printed."),
    column("subject_id", sa.String(64), "The same in the catalog; empty = not in it.", _COMPUTED),
    column("statement_class", sa.String(40), "Kind of statement: net_exposure, long_buying, weight, ….", _COMPUTED),
    column("metric", sa.String(40), "What is measured.", _COMPUTED),
    column("comparator", sa.String(20), "How the value relates to the fact.", _COMPUTED),
    _number("value", "Stated value, where there is one.", "see unit"),
    column("unit", sa.String(12), "Unit of the value.", _COMPUTED),
    _text("window_text", "Stretch of time as printed."),
    column("direction", sa.String(8), "Rise, fall or unchanged; empty = not said.", _COMPUTED),
    column("polarity", sa.Integer(), "1 = bullish, -1 = the contrary; NULL = neither.", Range(-1, 1), nullable=True),
    column("stance", sa.String(14), "Whether it is asserted.", _COMPUTED),
    _text("quote", "The words."),
    description="What notes say about the positions of investors.",
    grain="claim",
    key=("claim_id",),
    date_column="as_of_date",
)
