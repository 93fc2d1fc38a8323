"""English stretches given by their length: "three-year high", "past two weeks", "in a year", "record", "ever".

Belongs here: LOOKBACK and TRAILING with a length, ALL_TIME. Does not belong here: stretches given by where they begin
(`windows_since.py`) or by the calendar (`windows_calendar.py`).
"""

from __future__ import annotations

import re

from rally_pipeline.notes.dates import MONTH, month_number
from rally_pipeline.notes.records import WindowKind
from rally_pipeline.notes.stretches import (
    Scan,
    Span,
    back,
    length_of,
    lookback_span,
    month_part,
    month_span,
    previous,
    year_part,
    year_span,
)
from rally_pipeline.notes.windows_words import (
    EXTREME_NOUN,
    MORE,
    NUMBER,
    UNIT,
    YEAR,
    amount_of,
    compiled,
    hedge_of,
    is_superlative,
    part_of,
    unit_of,
)
from rally_pipeline.notes.word_sets import words

_LENGTH_HIGH = compiled(
    rf"(?:{MORE})?(?<![\w.])(?P<number>{NUMBER})(?P<half>[\s-](?:and[\s-]a[\s-]half|1/2|½)|½)?[\s-](?P<unit>days?"
    rf"|weeks?|months?|quarters?|years?|decades?|sessions?|yr|mth)"
    rf"(?:[\s-]plus|-long)?[\s-]+(?P<noun>{EXTREME_NOUN})(?![\w])"
)
_LENGTH_STREAK = compiled(
    rf"(?<![\w.])(?P<number>{NUMBER})[\s-](?P<unit>day|week|month|quarter|year"
    rf"|session)(?:-long)?[\s-](?:(?:winning|losing|losing-|upward|downward|straight|bull|bear)[\s-])?"
    r"(?:streak|rally|run|advance|slide|slump|rout|rebound|surge|selloff|sell-off|decline|drop|gain|climb|fall"
    r"|period|stretch|return|performance|losing|winning)(?!\w)"
)
_RECORD = compiled(
    r"(?<!track )(?<!off the )(?<![\w-])(?P<record>(?:an?\s+)?all[\s-]time(?:\s+(?:intra-?day\s+"
    r"|closing\s+)?(?:highs?|lows?|peaks?|records?|best|bests))?"
    r"|on\s+record(?![-\w])|record(?:-setting|-breaking)?(?:[\s-](?:intra-?day\s+|closing\s+)?(?:highs?|lows?"
    r"|peaks?|levels?|close|closes|territory|closing|run))?(?![-\w]|\s+(?:dates?|labels?|keeping|keeper|of"
    r"|books?))"
    r"|unprecedented(?=\s+(?:[A-Z]{0,3}[$€£¥]\s?\d|\d|highs?\b|lows?\b|levels?\b|peaks?\b))"
    r"|lifetime\s+(?:highs?|lows?)|in\s+(?:its|their|the\s+\w+['’]s|market)?\s?(?:\w+\s)?history"
    r"|since\s+(?:its\s+|their\s+|it\s+|the\s+|the\s+company['’]s\s+|going\s+|being\s+"
    r"|they\s+)?(?:\w+\s+)?(?:\w+\s+)?(?:listing|listed|debut(?:ed|s)?|ipo|flotation|inception|public"
    r"|initial\s+public\s+offering|records?\s+beg(?:a|i)n|data\s+beg(?:a|i)n)"
    r"(?:\s+(?:in|on)\s+(?:hong\s+kong|new\s+york|shanghai|the\s+city))?"
    rf"(?P<since>\s+in\s+(?P<part>early|mid|late)?[\s-]?(?:(?P<month>(?-i:{MONTH}))\s+)?(?P<year>{YEAR}))?)(?!\w)"
)
_EVER = compiled(r"(?<![\w-])ever(?![\w-])(?!\s+(?:since|more|so))")
_TRAILING = compiled(
    rf"(?<![\w-])(?P<head>in|over|during|for|within|across|throughout|through|these|those)?\s?(?P<the>(?:the|its"
    rf"|this)\s+)?(?:(?P<past>past|last|previous|preceding|prior|trailing|latest|recent|rolling)\s+)?"
    rf"(?:{MORE})?(?:the\s+)?(?:(?P<number>{NUMBER}|a|an)(?P<half>[\s-](?:and[\s-]a[\s-]half|1/2"
    rf"|½)|½)?[\s-])?(?:(?:a|an)\s+)?(?P<unit>{UNIT})(?![\w])(?!\s+(?:ago|earlier|later|before|after|ahead"
    rf"|from\s+now|to\s+come|old|prior|high|low|moving))"
)
_AGO_BEFORE = compiled(
    r"(?:\bwill\b|\bwould\b|\bexpect\w*|\bforecast\w*|\bnext\b|\btarget\w*|\bupcoming\b|\bcoming\b|\bcould\b"
    r"|\bmay\b|\bscheduled\b|\bdue\b)[^,;.]{0,50}\Z"
)

# The words with which a match can begin.
_NUMBER_FIRST = words(
    "# one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen eighteen "
    "twenty thirty forty fifty sixty"
    " couple half several few multi many"
)
_LENGTH_FIRST = _NUMBER_FIRST | words(
    "more over above at just slightly a little well nearly almost close under less about around roughly "
    "approximately some as only"
)
_TRAILING_FIRST = words(
    "in over during for within across throughout through these those the its this past last previous preceding "
    "prior trailing latest recent"
    " rolling"
)


def length_highs(scan: Scan) -> None:
    """``three-year high``, ``52-week low``, ``nearly two-and-a-half-year peak``."""
    for match in scan.matches(_LENGTH_HIGH, _LENGTH_FIRST):
        amount = amount_of(match["number"])
        unit = {"yr": "year", "mth": "month"}.get(match["unit"].lower(), unit_of(match["unit"]))
        if unit == "day" and amount == 1:
            continue
        if amount is None:
            scan.span(match.start(), match.end(), WindowKind.LOOKBACK, None)
            continue
        if match["half"]:
            amount += 0.5
        months, days = length_of(amount, unit)
        if unit == "week" and amount == 52:
            months, days, amount, unit = 12, None, 12, "month"
        within = lookback_span(scan.as_of, amount, unit, hedge_of(match))
        scan.span(match.start(), match.end(), WindowKind.LOOKBACK, within, months=months, days=days)


def streaks(scan: Scan) -> None:
    """``five-day winning streak``, ``two-week rally``."""
    for match in scan.matches(_LENGTH_STREAK, _NUMBER_FIRST):
        amount = amount_of(match["number"])
        if amount is None or amount == 1:
            continue
        months, days = length_of(amount, unit_of(match["unit"]))
        begin = back(scan.as_of, months, days)
        scan.span(
            match.start(),
            match.end(),
            WindowKind.TRAILING,
            None if begin is None else (begin, begin),
            months=months,
            days=days,
        )


def records(scan: Scan) -> None:
    """``record high``, ``all-time``, ``on record``, ``since listing in late 2019``."""
    for match in _RECORD.finditer(scan.text, scan.start, scan.end):
        if match["year"]:
            year = int(match["year"])
            part = part_of(match["part"])
            days: Span = year_span(year)
            if match["month"]:
                month = month_number(match["month"])
                days = month_part(part, year, month) if part else month_span(year, month)
            elif part:
                days = year_part(part, year)
            scan.span(match.start(), match.end(), WindowKind.ALL_TIME, days)
        else:
            lead = len(match.group()) - len(re.sub(r"(?i)^an?\s+", "", match.group()))
            scan.span(match.start() + lead, match.end(), WindowKind.ALL_TIME, None)


def ever(scan: Scan) -> None:
    """``biggest ever``."""
    for match in _EVER.finditer(scan.text, scan.start, scan.end):
        if is_superlative(scan, match.start()):
            scan.span(match.start(), match.end(), WindowKind.ALL_TIME, None)


def trailings(scan: Scan) -> None:
    """``past two weeks``, ``over the last 12 months``, ``in three years`` behind a superlative."""
    for match in scan.matches(_TRAILING, _TRAILING_FIRST):
        head = (match["head"] or "").lower()
        number, past, unit_words = match["number"], (match["past"] or "").lower(), match["unit"]
        is_plural = unit_words.lower().endswith("s")
        if not past and (not head or head in ("these", "those", "through") or not number):
            continue
        if not past and scan.text[match.end() : match.end() + 1] in ("'", "’"):
            continue  # "in a year's time"
        start = match.start() + (len(match.group()) - len(match.group().lstrip()))
        unit = unit_of(unit_words)
        if past in ("last", "previous", "prior", "preceding", "latest") and not number and not is_plural:
            # "last week", "the previous quarter": a calendar stretch, unless "over the last year".
            if unit in ("week", "month", "quarter", "year") and not (
                past == "last" and match["the"] and head in ("over", "in", "during", "within", "for")
            ):
                scan.period(start, match.end(), previous(unit, scan.as_of))
                continue
            if unit not in ("week", "month", "quarter", "year", "decade"):
                continue  # "the previous session" is for the reader of returns
        if past == "recent" or (number is None and is_plural) or (number and amount_of(number) is None):
            if past:
                scan.span(start, match.end(), WindowKind.TRAILING, None)
            elif is_superlative(scan, start):
                scan.span(start, match.end(), WindowKind.LOOKBACK, None)
            continue
        amount = amount_of(number or "a")
        if amount is None:
            continue
        if match["half"]:
            amount += 0.5
        is_extreme = is_superlative(scan, start)
        if (
            not past
            and not is_extreme
            and _AGO_BEFORE.search(scan.text, max(scan.start, start - 60), start) is not None
        ):
            continue
        if head in ("within", "through") and not past and not is_extreme:
            continue
        months, days = length_of(amount, unit)
        if unit == "week" and amount == 52:
            months, days, amount, unit = 12, None, 12, "month"
        kind = WindowKind.LOOKBACK if is_extreme else WindowKind.TRAILING
        scan.span(
            start, match.end(), kind, lookback_span(scan.as_of, amount, unit, hedge_of(match)), months=months, days=days
        )
