"""The typed records of the notes room: documents, text, what is found in it, and claims.

Belongs here: records and the words their fields may hold. Does not belong here: finding or judging anything.

Every ``start`` and ``end`` is an offset into the *whole* canonical text of the note, in Unicode code points, end
exclusive, also where a function was given only a part of the text.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

#: Raised whenever the same text may give other claims than before; stored beside every claim.
EXTRACTOR_VERSION = "1"


class ClaimType(StrEnum):
    """What kind of statement a claim is."""

    PERFORMANCE = "performance"
    LEVEL = "level"
    EXTREME = "extreme"
    RANK = "rank"
    VOLUME_RECORD = "volume_record"
    FLOW = "flow"
    FLOW_COMPARISON = "flow_comparison"
    RATING_ACTION = "rating_action"
    TARGET_CHANGE = "target_change"
    POSITIONING = "positioning"
    RETAIL = "retail"
    HOT_MONEY = "hot_money"
    SENTIMENT = "sentiment"
    POLICY = "policy"
    EVENT = "event"


class Comparator(StrEnum):
    """How the stated value relates to the fact."""

    EQ = "eq"
    APPROX = "approx"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    HIGHEST_IN_WINDOW = "highest_in_window"
    LOWEST_IN_WINDOW = "lowest_in_window"
    NEAR_HIGHEST = "near_highest"
    NEAR_LOWEST = "near_lowest"
    COMPARABLE_TO = "comparable_to"
    QUALITATIVE = "qualitative"


class Direction(StrEnum):
    """Which way: a rise or inflow, a fall or outflow, or no change."""

    UP = "up"
    DOWN = "down"
    FLAT = "flat"


class SourceKind(StrEnum):
    """Who says so."""

    BROKER = "broker"
    SPEAKER = "speaker"
    NEWSPAPER = "newspaper"
    UNATTRIBUTED = "unattributed"


class QuoteKind(StrEnum):
    """Whether the claim stands in quotation marks, is reported, or neither."""

    DIRECT = "direct"
    INDIRECT = "indirect"
    NONE = "none"


class AsOfBasis(StrEnum):
    """Where the day of a claim or note comes from, best first."""

    STATED = "stated"
    DOCUMENT_DATE = "document_date"
    LATEST_DATE_NAMED = "latest_date_named"
    FILE_TIME = "file_time"


@dataclass(frozen=True)
class CanonicalText:
    """The text of a note as it is stored; never changed once offsets into it exist.

    Attributes:
        text: Unicode text, lines ended by a line feed; no NUL, no lone surrogates.
        page_starts: offset at which each page begins, ascending, the first 0; one page where the format has none.
    """

    text: str
    page_starts: tuple[int, ...] = (0,)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def page(self, offset: int) -> int:
        """Number of the page, from 1, on which an offset stands."""
        import bisect

        return bisect.bisect_right(self.page_starts, offset)


@dataclass(frozen=True)
class ReadNote:
    """One note as a reader found it; a mailbox file or a list of headlines holds several.

    Attributes:
        part: where in the document: ``""`` (all of it), ``attachment 2: flows.pdf``, ``line 17``.
        canonical: the text.
        file_type: ``txt md html eml pdf docx csv jsonl``.
        title: title, subject or headline; ``""`` if there is none.
        declared: what the document, its front matter or side-car says of itself: any of ``broker``, ``analyst``,
            ``date`` (ISO), ``title``, ``language``, ``source``, ``ticker``, ``id``; texts as they stand.
        basis: for each key of `declared`, where it was said: ``front_matter``, ``side_car``, ``header``, ``column``,
            ``metadata``.
        warnings: what a person should know of the reading (pages left out, characters replaced).
    """

    part: str
    canonical: CanonicalText
    file_type: str
    title: str = ""
    declared: Mapping[str, str] = field(default_factory=dict)
    basis: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoteContext:
    """What is known of a note before its sentences are read.

    Attributes:
        as_of: the day the note is written for; windows and days in it are resolved against it; ``None`` = unknown.
        as_of_basis: where that day comes from.
        broker_id, broker_text: the house that wrote it, by catalog id and as printed; ``""`` = nobody known.
        analyst: name of the author; ``""`` = unknown.
        newspaper: name of the medium of a press summary; ``""`` = none.
        ticker: instrument the headline was filed under, as printed; ``""`` = none.
    """

    as_of: dt.date | None = None
    as_of_basis: AsOfBasis | None = None
    broker_id: str = ""
    broker_text: str = ""
    analyst: str = ""
    newspaper: str = ""
    ticker: str = ""


class MentionKind(StrEnum):
    """What a mention names."""

    BROKER = "broker"
    INSTRUMENT = "instrument"
    PERSON = "person"
    EVENT = "event"
    RATING_AGENCY = "rating_agency"
    FLOW = "flow"
    INVESTORS = "investors"


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in the text.

    Attributes:
        start, end: where.
        kind: what it names.
        text: as printed.
        entity_id: catalog key (broker_id, symbol, person_id, event_id; ``southbound`` for the flow), ``""`` = not in
            the catalog.
        also: other readings of the same words, as ``kind:entity_id`` (HSBC is a broker and a share).
    """

    start: int
    end: int
    kind: MentionKind
    text: str
    entity_id: str = ""
    also: tuple[str, ...] = ()


class QuantityKind(StrEnum):
    """What a number counts."""

    PERCENT = "percent"
    PERCENTAGE_POINT = "percentage_point"
    BASIS_POINT = "basis_point"
    MONEY = "money"
    POINTS = "points"
    SHARES = "shares"
    MULTIPLE = "multiple"
    ORDINAL = "ordinal"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit.

    Attributes:
        start, end: the number with its unit and currency, without the hedge and without a sign word.
        value: in units of 1 (``HK$26.6 billion`` → 26.6e9; ``13%`` → 13.0; ``-2.1%`` → -2.1).
        kind: what it counts.
        currency: ISO code for money (``HK$`` → HKD, ``HKUSD`` → HKD, ``C$`` → CAD, bare ``$`` → ``$``), else ``""``.
        scale: what the printed number was multiplied by (1e9 for billion, 1e8 for 亿).
        tolerance: half a unit of the last printed digit, in the same unit as `value`.
        hedge: the word that softens or bounds it (``nearly``, ``more than``, ``约``), ``""`` if none.
        hedge_start: where the hedge begins; `start` if there is none.
        comparator: EQ, APPROX, AT_LEAST or AT_MOST, from the hedge.
        is_scale_word_chinese: whether the scale was 亿/億/万/萬, which translations confuse with billion.
    """

    start: int
    end: int
    value: float
    kind: QuantityKind
    currency: str
    scale: float
    tolerance: float
    hedge: str
    hedge_start: int
    comparator: Comparator
    is_scale_word_chinese: bool = False


class WindowKind(StrEnum):
    """What kind of stretch of time a text names."""

    YEAR_TO_DATE = "year_to_date"
    MONTH_TO_DATE = "month_to_date"
    QUARTER_TO_DATE = "quarter_to_date"
    WEEK_TO_DATE = "week_to_date"
    DAY = "day"  # one named or implied day: "on February 17", "on Friday", "today"
    SINCE_DATE = "since_date"  # "since 13 January", "since mid-January", "from its January low" has kind SINCE_LOW
    SINCE_EVENT = "since_event"  # "since the Lunar New Year holiday"
    SINCE_LOW = "since_low"  # "from its January low"; start range = where the low is looked for
    SINCE_HIGH = "since_high"
    PERIOD = "period"  # a closed calendar period: "in September", "last week", "in 2024", "the first quarter"
    TRAILING = "trailing"  # "in the past two weeks", "over 12 months"
    LOOKBACK = "lookback"  # the length of an extreme: "three-year high", "highest since October 2021", "52-week"
    ALL_TIME = "all_time"  # "record", "on record", "since listing"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time named in the text and what it can mean.

    Attributes:
        start, end: the words.
        kind: what kind.
        start_earliest, start_latest: first and last day at which the stretch may begin (the base of a return is the
            last close *before* it for a calendar stretch such as a year, see `is_base_inclusive`); equal when exact.
        last: last day of the stretch; ``None`` = the claim's as-of day.
        event_id: for SINCE_EVENT the event without or with year as in the catalog (``lunar_new_year_2025``).
        months, days: length, for TRAILING and LOOKBACK; ``None`` if not stated as such.
        is_base_inclusive: whether the close *on* the start day is the base (since 13 January: the close of the 13th or
            the session before are both readings; then this is ``None``).
        is_inherited: whether taken over from a clause before.
    """

    start: int
    end: int
    kind: WindowKind
    start_earliest: dt.date | None = None
    start_latest: dt.date | None = None
    last: dt.date | None = None
    event_id: str = ""
    months: int | None = None
    days: int | None = None
    is_base_inclusive: bool | None = False
    is_inherited: bool = False


@dataclass(frozen=True)
class Passage:
    """A sentence (or headline, or table row) with what the lexical layers found in it.

    Attributes:
        text: the *whole* canonical text of the note.
        start, end: the sentence in it.
        index: number of the sentence in the note, from 0.
        is_chinese: whether most of its letters are Chinese.
        is_heading: title, subtitle or headline.
        mentions, quantities, windows: in order of `start`.
        context: the note's context.
        previous: the passage before, for anaphora and inherited windows.
    """

    text: str
    start: int
    end: int
    index: int
    is_chinese: bool
    is_heading: bool
    mentions: tuple[Mention, ...]
    quantities: tuple[Quantity, ...]
    windows: tuple[Window, ...]
    context: NoteContext
    previous: Passage | None = field(default=None, repr=False, compare=False)

    @property
    def sentence(self) -> str:
        """The words of this passage alone."""
        return self.text[self.start : self.end]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable or recordable statement. Fields as in the table ``core_note_claim``.

    A grammar fills what it knows; `attribution` fills who says it; `extract` fills identity and page. ``text[start:end]
    == quote`` always.

    Attributes:
        claim_type, rule_id: what it is, and the grammar rule that found it (``performance.verb_percent``).
        start, end, quote: the smallest stretch of text that makes the statement.
        subject_text, subject_id: what it is about: as printed, and catalog symbol, event_id, ``southbound``,
            ``southbound_sse``, ``southbound_szse``; ``""`` = not in the catalog.
        metric: ``return_pct``, ``close``, ``point_change``, ``net_buy``, ``turnover``, ``volume``, ``rank``,
            ``target_price``, ``index_target``, ``rating``, ``net_exposure``, ``gross_exposure``, ``long_buying``,
            ``short_covering``, ``weight``, … lower-case words with underscores.
        direction, comparator: see there.
        value, value_prior: stated number in `unit`; of a change also the number before (target prices).
        unit: ``pct``, ``points``, ``bp``, ``HKD`` (or another currency, whole units), ``shares``, ``times``, ``rank``,
            ``""``.
        currency: ISO code for money, else ``""``.
        tolerance: half a unit of the last printed digit, in `unit`.
        hedge: the softening word as printed.
        is_scale_word_chinese: see `Quantity`.
        window: the stretch of time it is about.
        as_of_date, as_of_basis: the day it speaks of.
        timing: ``close`` (at the close), ``open``, ``intraday``, ``unknown``.
        source_kind, broker_id, broker_text, speaker, speaker_role, quote_kind: who.
        stance: ``asserts``, ``forecasts``, ``denies``, ``hypothetical``, ``quotes_others``; only what is asserted is
            audited.
        rating_action, target_action: RIXML words (Upgrade Downgrade Reiterate Initiate Drop Revise; Increase Decrease
            Reiterate Update), ``""`` if none; `action_text` keeps the broker's own word.
        rating, rating_prior: as printed.
        analyst: who signed the rating.
        is_conflict: the words and the numbers of a target change disagree.
        details: further fields of one claim type, plain values (``population`` of a rank, ``statement_class`` of
            positioning, ``comparison_window`` …).
    """

    claim_type: ClaimType
    rule_id: str
    start: int
    end: int
    quote: str
    subject_text: str = ""
    subject_id: str = ""
    metric: str = ""
    direction: Direction | None = None
    comparator: Comparator = Comparator.EQ
    value: float | None = None
    value_prior: float | None = None
    unit: str = ""
    currency: str = ""
    tolerance: float | None = None
    hedge: str = ""
    is_scale_word_chinese: bool = False
    window: Window | None = None
    as_of_date: dt.date | None = None
    as_of_basis: AsOfBasis | None = None
    timing: str = "unknown"
    source_kind: SourceKind = SourceKind.UNATTRIBUTED
    broker_id: str = ""
    broker_text: str = ""
    speaker: str = ""
    speaker_role: str = ""
    quote_kind: QuoteKind = QuoteKind.NONE
    stance: str = "asserts"
    rating_action: str = ""
    target_action: str = ""
    action_text: str = ""
    rating: str = ""
    rating_prior: str = ""
    analyst: str = ""
    is_conflict: bool = False
    details: Mapping[str, str | float | int | bool | None] = field(default_factory=dict)
