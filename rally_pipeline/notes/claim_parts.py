"""Parts that every claim with a number shares: its time, its day, the hour of the session, its precision.

Belongs here: filling a `Claim` from a number, a subject and a time. Does not belong here: finding them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rally_pipeline.notes.records import (
    AsOfBasis,
    Comparator,
    Direction,
    Passage,
    Quantity,
    QuantityKind,
    Window,
    WindowKind,
)
from rally_pipeline.notes.stated_days import is_stated, stated_day
from rally_pipeline.notes.word_sets import has_any

#: How many sentences back a day or an hour of the session is looked for.
SENTENCES_BACK: Final = 6
#: A day named further back than this is not the day of the report.
MAX_DAYS_BACK: Final = 7

STRETCHES: Final = frozenset(
    {
        *(WindowKind.YEAR_TO_DATE, WindowKind.MONTH_TO_DATE, WindowKind.QUARTER_TO_DATE, WindowKind.WEEK_TO_DATE),
        *(WindowKind.DAY, WindowKind.SINCE_DATE, WindowKind.SINCE_EVENT, WindowKind.SINCE_LOW, WindowKind.SINCE_HIGH),
        *(WindowKind.PERIOD, WindowKind.TRAILING),
    }
)
_RUNNING: Final = frozenset(
    {
        *(WindowKind.YEAR_TO_DATE, WindowKind.QUARTER_TO_DATE, WindowKind.SINCE_DATE, WindowKind.SINCE_EVENT),
        *(WindowKind.SINCE_LOW, WindowKind.SINCE_HIGH),
    }
)
LENGTHS: Final = frozenset({WindowKind.LOOKBACK, WindowKind.ALL_TIME})

THURSDAY: Final = 3
_OPEN: Final = re.compile(
    r"\bopen(?:s|ed|ing)?\b(?! interest)|\bopening (?:bell|minutes)|\bstart(?:ed|s|ing)? the (?:day|session)"
    r"|\bat the start\b"
    r"|开市|開市|开盘|開盤|高开|高開|低开|低開|平开|平開",
    re.IGNORECASE,
)
_INTRADAY: Final = re.compile(
    r"\b(?:in|at|by|during|before) (?:\w+ ){0,3}(?:early|morning|afternoon|midday|mid-day|mid-morning|late|noon)\b"
    r"(?![ -](?:\d|january|february|march|april|may\b|june|july|august|september|october|november|december|year|month"
    r"|last|this|in\b|results|stage|days?\b|weeks?\b|summer|autumn|spring|winter))"
    r"(?: (?:\w+ )?(?:trade|trading|deals|dealings|session))?|\bmid-?day\b|\b(?:lunch|noon|midday) break\b"
    r"|\bat the break\b"
    r"|\bintra-?day\b|\bas much as\b|\bearly (?:trade|trading|deals)\b|\bat one (?:point|stage)\b|\bmorning session\b"
    r"|\btouch(?:ed|es|ing)?\b|\b(?:was|were) trading\b"
    r"|半日|盘中|盤中|午后|午後|早段|午间|午間|中段|早盘|早盤|一度|曾(?=[升跌涨漲见見触觸高低])|现报|現報|触及|觸及|最多(?=[升跌涨漲])",
    re.IGNORECASE,
)
_CLOSE: Final = re.compile(
    r"\b(?:clos(?:e|es|ed|ing)|end(?:s|ed|ing)?|finish(?:es|ed|ing)?|settl(?:e|es|ed|ing))\b"
    r"(?! (?:to|of (?:the )?(?:year|month|week|quarter)|in on)\b)"
    r"|收报|收報|收市|收盘|收盤|收于|收於|收涨|收漲|收跌|收升|全日|全天|收挫|收高|收低|收扬|收揚",
    re.IGNORECASE,
)
_PREMARKET: Final = re.compile(r"\bpre-?market\b|\bbefore the (?:bell|open)|盘前|盤前", re.IGNORECASE)
_AFTER_HOURS: Final = re.compile(r"\bafter[- ]hours\b|\bextended trading\b|\bpost-?market\b|盘后|盤後", re.IGNORECASE)
_MARKET_SENTENCE: Final = re.compile(
    r"\b(?:stocks?|shares?|equities|index|indexes|indices|markets?|benchmark|Dow|S&P|Nasdaq|Hang Seng|Nikkei|DAX"
    r"|Wall Street)\b"
    r"|股|指|大市",
    re.IGNORECASE,
)


#: Of these at least one stands wherever the patterns above can match; looking for them first is many times faster.
_OPEN_HINTS: Final = ("open", "start", "开", "開")
_INTRADAY_HINTS: Final = (
    *(
        "early",
        "morning",
        "afternoon",
        "midday",
        "mid-",
        "noon",
        "late",
        "lunch",
        "break",
        "intra",
        "as much",
        "at one ",
        "touch",
    ),
    *(" trading", "盘", "盤", "半日", "午", "早", "中段", "一度", "曾", "现报", "現報", "触", "觸", "最多"),
)
_CLOSE_HINTS: Final = ("clos", "end", "finish", "settl", "收", "全")


def timing(text: str, start: int, end: int) -> str:
    """``close``, ``open``, ``intraday`` or ``unknown``, from the words between two offsets."""
    low = text[start:end].lower()
    if has_any(low, _OPEN_HINTS) and _OPEN.search(text, start, end):
        return "open"
    if has_any(low, _INTRADAY_HINTS) and _INTRADAY.search(text, start, end):
        return "intraday"
    if has_any(low, _CLOSE_HINTS) and _CLOSE.search(text, start, end):
        return "close"
    return "unknown"


def session(text: str, start: int, end: int) -> str:
    """``premarket``, ``after_hours`` or ``""``."""
    low = text[start:end].lower()
    if has_any(low, ("market", "before the", "盘前", "盤前")) and _PREMARKET.search(text, start, end):
        return "premarket"
    if has_any(low, ("after", "extended", "post", "盘后", "盤後")) and _AFTER_HOURS.search(text, start, end):
        return "after_hours"
    return ""


def says_any(passage: Passage, hints: tuple[str, ...]) -> bool:
    """Whether one of some lower-case strings stands in a sentence, whatever its case."""
    return has_any(passage.text[passage.start : passage.end].lower(), hints)


def timing_in_note(passage: Passage) -> str:
    """The hour of the session that the sentences before speak of: "Hong Kong shares opened higher" holds on."""
    for earlier in earlier_passages(passage):
        found = timing(earlier.text, earlier.start, earlier.end)
        if found != "unknown" and _MARKET_SENTENCE.search(earlier.text, earlier.start, earlier.end):
            return found
    return "unknown"


def earlier_passages(passage: Passage) -> Iterator[Passage]:
    """The sentences before, nearest first, at most `SENTENCES_BACK`."""
    earlier = passage.previous
    for _ in range(SENTENCES_BACK):
        if earlier is None:
            return
        yield earlier
        earlier = earlier.previous


_PART: Final = re.compile(r"[,;:—–，；]")
_TRADED: Final = re.compile(
    r"\b(?:open|clos|end|finish|settl|rose|ris|fell|fall|gain|los[te]|drop|climb|jump|slip|slid|edg|advanc|declin"
    r"|rall|surg|tumbl|slump"
    r"|retreat|dip|eas|higher|lower|trad|rebound|extend|snap|mixed|sink|sank|plung|soar|up|down)\w*|[升跌涨漲挫收开開]",
    re.IGNORECASE,
)
_ASIDE: Final = re.compile(
    r"\b(?:from|after|before|until|since|by|of|following|than|last|late)\s+(?:the\s+)?$", re.IGNORECASE
)


def _day_of_report(passage: Passage) -> Window | None:
    """The day on which a sentence says that something traded; not a day of news, nor one it is measured from."""
    text = passage.text
    for window in passage.windows:
        if window.kind is not WindowKind.DAY or window.start_earliest is None or window.is_inherited:
            continue
        if window.end < passage.end and text[window.end] in "'’":
            continue
        if window.end < passage.end and _ASIDE.search(text[max(passage.start, window.start - 14) : window.start]):
            continue
        if re.match(r"(?:from|after|before|until|since|by)\b", text[window.start : window.end], re.IGNORECASE):
            continue
        start, end = passage.start, passage.end
        for match in _PART.finditer(text, passage.start, passage.end):
            if match.end() <= window.start:
                start = match.end()
            elif match.start() >= window.end:
                end = match.start()
                break
        if end - start <= (window.end - window.start) + 4:
            # "On Friday, the index rose": the time stands alone.
            start, end = passage.start, passage.end
        if _MARKET_SENTENCE.search(text, start, end) and _TRADED.search(text, start, end):
            return window
    return None


def day_window(passage: Passage, start: int, end: int, *, is_daily: bool = False) -> Window | None:
    """The day of a market report that names none here: the day of the sentences before, else the note's day.

    Args:
        passage: the sentence.
        start, end: words to which the window is tied, of the number.
        is_daily: whether the words can only be about a day (a level), whatever the sentences before spoke of.

    Returns:
        A window of kind DAY with ``is_inherited``; ``None`` if the note has no day and none is named.
    """
    as_of = passage.context.as_of
    stated = stated_day(passage, start)
    if stated is not None:
        return Window(stated.start, stated.end, WindowKind.DAY, stated.day, stated.day, stated.day, is_inherited=True)
    for earlier in earlier_passages(passage):
        if not earlier.windows or not has_market_words(earlier):
            continue
        day = _day_of_report(earlier)
        if day is not None and day.start_earliest is not None:
            if as_of is None or dt.timedelta(0) <= as_of - day.start_earliest <= dt.timedelta(days=MAX_DAYS_BACK):
                return replace(day, is_inherited=True)
            break
        # A sentence about the week leaves open whether the next ones are about the week or the day; so does one about
        # the year for the next.
        is_beside = earlier is passage.previous
        if not is_daily and any(
            _is_week_or_more(one) or (is_beside and one.kind in _RUNNING) for one in earlier.windows
        ):
            return None
    if as_of is None:
        return None
    return Window(
        start=start,
        end=end,
        kind=WindowKind.DAY,
        start_earliest=as_of,
        start_latest=as_of,
        last=as_of,
        is_inherited=True,
    )


_OPEN_BEGINNING: Final = re.compile(
    r"\b[Ss]ince (?=(?:the|its|their|an?|last|this|early|late|mid)\b|[A-Z\d])|以[来來]|至今"
)


#: "its biggest loss since the crisis": how long an extreme is, not since when the move runs.
_OF_EXTREME: Final = re.compile(
    r"\b(?:most|best|worst|least|record|first|highs?|lows?|peak|\w{3,}est)\b[^,;:]*$", re.IGNORECASE
)


def has_open_beginning(passage: Passage, start: int, end: int) -> bool:
    """Whether words between two offsets state a beginning that no window of the sentence holds: "since the ceasefire".

    What is told over such a stretch is not of the day, however long the stretch is.
    """
    for match in _OPEN_BEGINNING.finditer(passage.text, start, end):
        if any(one.start <= match.end() and match.start() < one.end for one in passage.windows):
            continue
        before = passage.text[max(passage.start, match.start() - 48) : match.start()]
        if _OF_EXTREME.search(before) is None and not passage.text.startswith(("最", "新高", "新低"), match.end()):
            return True
    return False


def stretch_before(passage: Passage) -> Window | None:
    """The stretch longer than a day that the sentence before speaks of, as inherited; ``None`` if it names none."""
    earlier = passage.previous
    if earlier is None or not has_market_words(earlier):
        return None
    stretches = [one for one in earlier.windows if one.kind in STRETCHES and one.kind is not WindowKind.DAY]
    return replace(stretches[-1], is_inherited=True) if stretches else None


def _is_week_or_more(window: Window) -> bool:
    if window.kind in (WindowKind.WEEK_TO_DATE, WindowKind.MONTH_TO_DATE):
        return True
    if window.kind in (WindowKind.PERIOD, WindowKind.TRAILING) and window.start_earliest and window.last:
        return dt.timedelta(days=4) <= window.last - window.start_earliest <= dt.timedelta(days=32)
    return window.kind is WindowKind.TRAILING


def period_window(passage: Passage, word: str, start: int, end: int) -> Window | None:
    """The stretch that "weekly" or "monthly" before a gain means; ``None`` for a year, which may be any."""
    as_of = passage.context.as_of
    if word in ("daily", "one-day", "single-day"):
        return day_window(passage, start, end) or (Window(start, end, WindowKind.DAY) if as_of is None else None)
    kinds = {
        "weekly": WindowKind.WEEK_TO_DATE,
        "monthly": WindowKind.MONTH_TO_DATE,
        "quarterly": WindowKind.QUARTER_TO_DATE,
    }
    kind = kinds.get(word)
    if kind is None:
        return None
    day = stated_day(passage, start)
    named = named_day(passage, passage.start, passage.end)
    if day is not None:
        as_of = day.day
    elif named is not None and named.start_earliest is not None:
        as_of = named.start_earliest
    if as_of is None:
        return Window(start, end, kind)
    if kind is WindowKind.WEEK_TO_DATE and as_of.weekday() < THURSDAY:
        # "a weekly gain", written early in a week, is that of the week before.
        last = as_of - dt.timedelta(days=as_of.weekday() + 1)
        return Window(start, end, WindowKind.PERIOD, last - dt.timedelta(days=6), last - dt.timedelta(days=6), last)
    if kind is WindowKind.WEEK_TO_DATE and as_of.weekday() == THURSDAY:
        # The end of a short week, or the middle of one: left open.
        return None
    if kind is WindowKind.WEEK_TO_DATE:
        first = as_of - dt.timedelta(days=as_of.weekday())
    elif kind is WindowKind.MONTH_TO_DATE:
        first = as_of.replace(day=1)
    else:
        first = as_of.replace(month=(as_of.month - 1) // 3 * 3 + 1, day=1)
    return Window(start, end, kind, first, first, None)


def as_of(passage: Passage, window: Window | None, at: int | None = None) -> tuple[dt.date | None, AsOfBasis | None]:
    """The day a claim speaks of: that of a DAY window, else the day up to which its sentence speaks, else the note's.

    Args:
        passage: the sentence.
        window: the time of the claim.
        at: where the claim stands, to choose among several days stated; default: where its window stands.
    """
    if at is None:
        at = passage.start if window is None or window.is_inherited else window.start
    stated = stated_day(passage, at)
    if window is not None and window.kind is WindowKind.DAY and window.start_earliest is not None:
        if stated is not None and window.start_earliest <= stated.day <= (window.last or window.start_earliest):
            return stated.day, AsOfBasis.STATED
        if window.start_earliest == passage.context.as_of and window.is_inherited:
            return window.start_earliest, passage.context.as_of_basis
        return window.start_earliest, AsOfBasis.STATED
    if stated is not None:
        return stated.day, AsOfBasis.STATED
    if window is not None and window.kind in (*_RUNNING, WindowKind.MONTH_TO_DATE, WindowKind.WEEK_TO_DATE):
        opening = _opening_day(passage)
        if opening is not None and (window.start_latest is None or window.start_latest < opening):
            # "At Friday's close, the index was up 13% for the year."
            return opening, AsOfBasis.STATED
    return passage.context.as_of, passage.context.as_of_basis


def _opening_day(passage: Passage) -> dt.date | None:
    """The one day that a sentence begins with, if it names no other."""
    days = [one for one in passage.windows if one.kind is WindowKind.DAY]
    if len(days) != 1 or days[0].start - passage.start > len("At the close on "):
        return None
    return days[0].start_earliest if days[0].start_earliest == days[0].start_latest else None


def named_day(passage: Passage, start: int, end: int, at: int | None = None) -> Window | None:
    """The DAY window that stands between two offsets: the first one, or the nearest to `at`; one up to which the
    sentence speaks ("as of Friday") only where there is no other.
    """
    found = [one for one in passage.windows if one.kind is WindowKind.DAY and start <= one.start and one.end <= end]
    own = [one for one in found if not is_stated(passage, one)] if len(found) > 1 else found
    if at is not None and len(own) > 1:
        return min(own, key=lambda one: max(one.start - at, at - one.end))
    return next(iter(own or found), None)


def direction(sign: int) -> Direction | None:
    """UP, DOWN, or ``None`` for 0."""
    return Direction.UP if sign > 0 else Direction.DOWN if sign < 0 else None


def unit_of(quantity: Quantity) -> tuple[str, str]:
    """Unit and currency of a number: ``pct``, ``points``, ``bp`` or the currency."""
    if quantity.kind is QuantityKind.MONEY:
        return quantity.currency, quantity.currency
    units = {
        QuantityKind.PERCENT: "pct",
        QuantityKind.PERCENTAGE_POINT: "pct",
        QuantityKind.BASIS_POINT: "bp",
        QuantityKind.POINTS: "points",
        QuantityKind.SHARES: "shares",
        QuantityKind.MULTIPLE: "times",
    }
    return units.get(quantity.kind, ""), ""


def flipped(comparator: Comparator, sign: int) -> Comparator:
    """The comparator of a signed value: "fell more than 2%" is at most -2."""
    if sign >= 0:
        return comparator
    return {Comparator.AT_LEAST: Comparator.AT_MOST, Comparator.AT_MOST: Comparator.AT_LEAST}.get(
        comparator, comparator
    )


def has_market_words(passage: Passage) -> bool:
    """Whether a sentence speaks of stocks, shares, an index or a market."""
    return _MARKET_SENTENCE.search(passage.text, passage.start, passage.end) is not None
