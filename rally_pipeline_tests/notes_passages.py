"""Passages for tests of the grammars, through the real lexical layers.

Belongs here: turning a text into `Passage` records. Does not belong here: assertions.
"""

from __future__ import annotations

import datetime as dt
from functools import cache

from rally_pipeline.catalog import load_catalog
from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.notes.quantities import find_quantities
from rally_pipeline.notes.records import AsOfBasis, NoteContext, Passage
from rally_pipeline.notes.sentences import is_chinese, sentences
from rally_pipeline.notes.windows import find_windows

AS_OF = dt.date(2025, 2, 17)
EVENTS = {
    "lunar_new_year_2025": dt.date(2025, 2, 5),
    "lunar_new_year_2024": dt.date(2024, 2, 19),
    "stimulus_package": dt.date(2024, 9, 24),
    "deepseek_r1_release": dt.date(2025, 1, 20),
    "business_symposium": dt.date(2025, 2, 17),
}


@cache
def lexicon() -> Lexicon:
    """The names of the catalog."""
    return Lexicon.from_catalog(load_catalog())


def passages(text: str, as_of: dt.date | None = AS_OF) -> list[Passage]:
    """The sentences of a text with what the lexical layers find in each.

    Args:
        text: the note.
        as_of: the day it is written for; ``None`` = unknown.
    """
    context = NoteContext(as_of=as_of, as_of_basis=None if as_of is None else AsOfBasis.DOCUMENT_DATE)
    made: list[Passage] = []
    for start, end, is_heading in sentences(text):
        made.append(
            Passage(
                text=text,
                start=start,
                end=end,
                index=len(made),
                is_chinese=is_chinese(text, start, end),
                is_heading=is_heading,
                mentions=tuple(lexicon().find(text, start, end)),
                quantities=tuple(find_quantities(text, start, end)),
                windows=tuple(find_windows(text, start, end, as_of, EVENTS)),
                context=context,
                previous=made[-1] if made else None,
            )
        )
    return made
