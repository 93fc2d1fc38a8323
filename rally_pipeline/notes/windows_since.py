"""English stretches given by where they begin: "since mid-January", "from its January low", "since the holiday".

Belongs here: SINCE_DATE, SINCE_LOW, SINCE_HIGH, SINCE_EVENT, and LOOKBACK by a beginning. Does not belong here: lengths
(`windows_lengths.py`) and calendar stretches (`windows_calendar.py`).
"""

from __future__ import annotations

import datetime as dt
import re

from rally_pipeline.notes.dates import MONTH, find_dates, month_number
from rally_pipeline.notes.records import Window, WindowKind
from rally_pipeline.notes.stretches import (
    Scan,
    Span,
    back,
    current_start,
    event_of,
    latest_ended_month,
    latest_weekday,
    length_of,
    month_days,
    month_part,
    previous,
    quarter_days,
    year_part,
    year_span,
)
from rally_pipeline.notes.windows_words import (
    LOW,
    NUMBER,
    PART,
    WEEKDAY,
    WEEKDAYS,
    YEAR,
    amount_of,
    compiled,
    is_superlative,
    part_of,
)
from rally_pipeline.notes.word_sets import words

_HEAD = r"(?<![\w-])(?P<head>since|from|off|above|below|beneath)\s+"
_SINCE_LOW = compiled(
    rf"{_HEAD}(?:(?:its|their|the|a|an|that|this|his|her|hitting|touching|reaching|setting|falling\s+to"
    rf"|sinking\s+to)\s+){{0,2}}(?:(?:recent|record|all-time|\w+-year|\w+-month|\w+-week|\w+-day|closing"
    rf"|intra-?day)\s+)?"
    rf"(?:(?P<date1>(?-i:{MONTH})\s+\d{{1,2}}|\d{{1,2}}\s+(?-i:{MONTH}))|(?P<part>early|mid"
    rf"|late)?[\s-]?(?P<month1>(?-i:{MONTH}))(?:\s+(?P<year1>{YEAR}))?|(?P<last>last\s+(?P<lastunit>week|month"
    rf"|quarter|year))|(?P<yearonly>{YEAR}))?(?:['’]s?)?\s?"
    rf"(?:(?:all-time|record|52-week|multi-year|cycle)\s+)?{LOW}"
    rf"(?:\s+(?:(?:set|hit|reached|touched|seen|recorded|made|struck)\s+)?(?:on|in|of"
    rf"|from)\s+(?P<when>(?:\d{{1,2}}(?:st|nd|rd|th)?\s+(?-i:{MONTH})|(?-i:{MONTH})\s+\d{{1,2}}(?:st|nd|rd"
    rf"|th)?(?!\d))(?:,?\s+{YEAR})?|(?P<part2>early|mid"
    rf"|late)?[\s-]?(?P<month2>(?-i:{MONTH}))(?:\s+(?P<year2>{YEAR}))?|(?P<year3>{YEAR})|last\s+(?P<lastunit2>week"
    rf"|month|quarter|year)))?"
)
_SINCE = compiled(
    r"(?<![\w-])(?P<head>since|between|(?:starting|beginning)\s+(?:from|in|on)|from|dating\s+back\s+to"
    r"|not\s+seen\s+since)\s+(?:(?:the\s+)?(?:close|open|session|day|week|market\s+close)\s+(?:of|on)\s+"
    r"|at\s+least\s+|about\s+|around\s+|back\s+in\s+|the\s+week\s+of\s+)?(?P<what>"
    rf"(?P<date>(?:{WEEKDAY},?\s+)?(?:\d{{1,2}}(?:st|nd|rd|th)?(?:\s+of)?[\s-](?-i:{MONTH})"
    rf"|(?-i:{MONTH})\s+\d{{1,2}}(?:st|nd|rd|th)?(?!\d|%|[.,]\d))(?:,?\s+{YEAR})?|{YEAR}-\d\d-\d\d"
    rf"|\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{4}})"
    rf"|(?P<part>{PART})?[\s-]{{0,2}}(?:(?P<lastm>last|this|of)\s+)?(?P<month>(?-i:{MONTH}))(?:(?:\s+of"
    rf"|,)?\s+(?P<year>{YEAR}|last\s+year|this\s+year))?"
    rf"|(?P<party>{PART})?[\s-]{{0,2}}(?P<yearonly>{YEAR})"
    rf"|(?P<partl>{PART}\s+)?(?P<lastu>last|this|the\s+previous|the\s+prior)\s+(?P<unit>week|month|quarter|year)"
    rf"|(?:the\s+)?(?:(?P<quarter>first|second|third|fourth)\s+quarter"
    rf"|Q(?P<q>[1-4]))(?:\s+(?:of\s+)?(?P<qyear>{YEAR}|last\s+year))?"
    rf"|(?P<lastd>last\s+)?(?P<weekday>{WEEKDAY})|(?P<yesterday>yesterday)"
    r")(?:['’]s\s+(?:close|open|session|opening|settlement))?(?![\w-])"
)
_SINCE_FIRST = words("since between starting beginning from dating not")
_UNTIL = re.compile(
    rf"\s+(?:to|through|until|till|and)\s+(?=\d{{1,2}}(?:st|nd|rd|th)?\s+{MONTH}|{MONTH}\s+\d|\d{{4}}-\d\d-)"
    rf"|\s?[-–—]\s?(?=\d{{1,2}}\s+{MONTH}|{MONTH}\s+\d)"
)
_UNTIL_WEEKDAY = compiled(
    rf"\s+(?:to|through|until|till|and)\s+(?:last\s+)?(?P<weekday>{WEEKDAY})(?:['’]s\s+close)?(?![\w'’])"
)
_LENGTH = compiled(rf"(?P<number>{NUMBER})(?P<half>½|-and-a-half)?-(?P<unit>year|month|week|day)")
_EVENT_HEAD = r"(?<![\w-])(?P<head>since|after|following|post|in\s+the\s+wake\s+of)[\s-]"
_NEW_YEAR = (
    r"(?:(?:the\s+|this\s+year['’]s\s+|last\s+month['’]s\s+)?(?:(?:week-long|long|extended|eight-day|seven-day"
    r"|three-day|five-day|\w+-day)\s+)?(?:lunar\s+new\s+year|chinese\s+new\s+year|spring\s+festival"
    r"|golden\s+week\s+for\s+the\s+lunar\s+new\s+year"
    r"|CNY(?=\s+(?:holiday|break)))(?:['’]s?)?(?:\s+(?:public\s+)?(?:holidays?|break|festival|festivities|recess"
    r"|golden\s+week))?)"
)
_EVENT = compiled(
    rf"{_EVENT_HEAD}(?:(?:\w+['’]?s?\s+){{0,6}}?(?:from\s+|after\s+|for\s+|of\s+)?)??(?P<new>{_NEW_YEAR})(?!\w)"
)
_NAMED_EVENT = compiled(
    rf"{_EVENT_HEAD}(?:[\w'’-]+\s+){{0,7}}?(?P<name>deepseek(?:-?\s?R1)?(?:['’]s)?|stimulus(?:\s+(?:package|blitz"
    rf"|measures|announcement|push))?|symposium|business\s+symposium)"
    r"(?:\s+(?:release|launch|breakthrough|debut|moment|announcement|shock|model|news|R1))?(?!\w)"
)
_EVENT_STEMS = (("deepseek", "deepseek"), ("stimulus", "stimulus"), ("symposium", "symposium"))


def lows(scan: Scan) -> None:
    """``from its January low``, ``since its peak in October 2022``, ``from a three-year high``."""
    for match in _SINCE_LOW.finditer(scan.text, scan.start, scan.end):
        head = match["head"].lower()
        named = match["date1"] or match["month1"] or match["last"] or match["yearonly"] or match["when"]
        if head in ("above", "below", "beneath") and not named:
            continue
        kind = WindowKind.SINCE_LOW if match["low"] else WindowKind.SINCE_HIGH
        within = _low_days(scan, match)
        length = None if within is not None else _LENGTH.search(match.group())
        if length is None:
            scan.span(match.start(), match.end(), kind, within, is_base_inclusive=True)
            continue
        # "from a three-year high": the high is looked for in the three years before.
        number = amount_of(length["number"])
        if number is not None and length["half"]:
            number += 0.5
        months, days = (None, None) if number is None else length_of(number, length["unit"].lower())
        first = back(scan.as_of, months, days)
        span = None if first is None or scan.as_of is None else (first, scan.as_of)
        scan.span(match.start(), match.end(), kind, span, months=months, days=days, is_base_inclusive=True)


def _low_days(scan: Scan, match: re.Match[str]) -> Span | None:
    """The days in which the low is looked for."""
    as_of = scan.as_of
    dates = find_dates(scan.text, match.start(), match.end(), as_of)
    if dates:
        return dates[0][2], dates[0][2]
    month = match["month1"] or match["month2"]
    if month:
        part = part_of(match["part"] or match["part2"])
        return month_days(scan.as_of, month_number(month), match["year1"] or match["year2"], part)
    year = match["yearonly"] or match["year3"]
    if year:
        return year_span(int(year))
    unit = (match["lastunit"] or match["lastunit2"] or "").lower()
    return previous(unit, as_of) if unit else None


def sinces(scan: Scan) -> None:
    """``since mid-January``, ``since Friday``, ``since October 2021``; ``from 13 January to 17 February``."""
    for match in scan.matches(_SINCE, _SINCE_FIRST):
        start, end = match.span()
        head = match["head"].lower()
        days = _since_days(scan, match)
        if head in ("from", "between") and match["date"]:
            until = _UNTIL.match(scan.text, end, scan.end)
            weekday = _UNTIL_WEEKDAY.match(scan.text, end, scan.end) if until is None else None
            last = weekday and latest_weekday(WEEKDAYS[weekday["weekday"][:3].lower()], scan.as_of)
            if weekday is not None and days is not None and last is not None and days[0] < last:
                scan.add(Window(start, weekday.end(), WindowKind.PERIOD, days[0], days[0], last))
                continue
            if until is not None:
                dates = find_dates(scan.text, start, min(scan.end, until.end() + 20), scan.as_of)
                if len(dates) >= 2 and dates[1][0] - until.end() <= 1:
                    scan.add(Window(start, dates[1][1], WindowKind.PERIOD, dates[0][2], dates[0][2], dates[1][2]))
                    continue
        if head == "between" or (head == "from" and not (match["part"] or match["date"])):
            continue  # "down from January", "from last year": a comparison, no stretch
        if head == "from" and match["date"] and re.match(r"['’]s|\s+\w+['’]s", scan.text[end : end + 12]):
            continue
        if head.startswith("starting") or head.startswith("beginning"):
            continue
        if days is not None and scan.as_of is not None and days[0] > scan.as_of:
            continue
        if (head != "from" and is_superlative(scan, start)) or head.startswith(("not", "dating")):
            months = None
            scan.span(start, end, WindowKind.LOOKBACK, days, months=months)
            continue
        if match["unit"] and match["lastu"].lower() == "this":
            continue
        if (
            match["partl"]
            and part_of(match["partl"]) == "end"
            and match["unit"]
            and match["unit"].lower() == "year"
            and match["lastu"].lower() != "this"
        ):
            # Since the end of last year: the close of the last session of December is the base, as for the year.
            first = current_start("year", scan.as_of)
            scan.span(start, end, WindowKind.YEAR_TO_DATE, None if first is None else (first, first))
            continue
        scan.span(start, end, WindowKind.SINCE_DATE, days, is_base_inclusive=None)


def _since_days(scan: Scan, match: re.Match[str]) -> Span | None:
    as_of = scan.as_of
    if match["date"]:
        dates = find_dates(scan.text, match.start("date"), match.end("date"), as_of)
        return (dates[0][2], dates[0][2]) if dates else None
    if match["month"]:
        month = month_number(match["month"])
        if (match["lastm"] or "").lower() == "last" and not match["year"]:
            ended = latest_ended_month(month, as_of)
            part = part_of(match["part"])
            return month_part(part, ended[0].year, month) if ended and part else ended
        return month_days(scan.as_of, month, match["year"], part_of(match["part"]))
    if match["yearonly"]:
        part = part_of(match["party"])
        return year_part(part, int(match["yearonly"])) if part else year_span(int(match["yearonly"]))
    if match["unit"]:
        unit = match["unit"].lower()
        found = previous(unit, as_of) if match["lastu"].lower() != "this" else None
        part = part_of(match["partl"])
        if found is not None and part:
            if unit == "year":
                return year_part(part, found[0].year)
            if unit == "month":
                return month_part(part, found[0].year, found[0].month)
            if part == "end":
                return found[1] - dt.timedelta(days=6), found[1]
        return found
    if match["quarter"] or match["q"]:
        quarter = (
            int(match["q"])
            if match["q"]
            else ("first", "second", "third", "fourth").index(match["quarter"].lower()) + 1
        )
        return quarter_days(scan.as_of, quarter, match["qyear"])
    if match["weekday"]:
        day = latest_weekday(WEEKDAYS[match["weekday"][:3].lower()], as_of, is_before=True)
        return None if day is None else (day, day)
    if match["yesterday"] and as_of is not None:
        day = as_of - dt.timedelta(days=1)
        return day, day
    return None


def new_years(scan: Scan) -> None:
    """``since the Lunar New Year holiday``."""
    for match in _EVENT.finditer(scan.text, scan.start, scan.end):
        event_id, day = event_of("lunar_new_year", scan.events, scan.as_of)
        scan.span(
            match.start(), match.end(), WindowKind.SINCE_EVENT, None if day is None else (day, day), event_id=event_id
        )


_HOLIDAY = compiled(
    rf"{_EVENT_HEAD}(?:(?:trading|markets?|trade|business|the\s+market)\s+(?:resumed|reopened|returned|restarted)\s+(?:after|from)\s+)?"
    r"(?P<what>(?:the|last\s+(?:month|week)['’]s|this\s+(?:month|year)['’]s|a)\s+(?:(?:long|week-long|weeklong|extended|public|national|\w+-day)\s+)?"
    r"(?:new\s+year\s+(?:holidays?|break)|holidays?|festival|golden\s+week(?:\s+(?:holidays?|break))?))(?!\s+(?:season|sales|shopping|weekend|mood|spending)|\w)"
)
#: A holiday longer ago than this is not the one just over.
_HOLIDAY_DAYS = 60


def holidays(scan: Scan) -> None:
    """``since the holiday``: the latest Lunar New Year, if it is not long over."""
    for match in _HOLIDAY.finditer(scan.text, scan.start, scan.end):
        event_id, day = event_of("lunar_new_year", scan.events, scan.as_of)
        if day is None or scan.as_of is None or (scan.as_of - day).days > _HOLIDAY_DAYS:
            if match["head"].lower() == "since":
                # Another holiday: that there is a beginning is known, not which day.
                scan.span(match.start(), match.end(), WindowKind.SINCE_EVENT, None)
            continue
        scan.span(match.start(), match.end(), WindowKind.SINCE_EVENT, (day, day), event_id=event_id)


_DATED = compiled(
    rf"(?<![\w-])since\s+(?:[\w'’-]+\s+){{1,7}}?(?:\(\s?|on\s+|of\s+)(?:on\s+)?(?:{WEEKDAY},?\s+)?"
    rf"(?P<date>(?:\d{{1,2}}(?:st|nd|rd|th)?\s+(?-i:{MONTH})|(?-i:{MONTH})\s+\d{{1,2}}(?:st|nd|rd|th)?(?!\d))"
    rf"(?:,?\s+{YEAR})?)(?:\s?\))?"
)


def dated_events(scan: Scan) -> None:
    """``since the tariff shock (2 April 2025)``, ``since the summit on 3 May``: the day stands beside its name."""
    for match in _DATED.finditer(scan.text, scan.start, scan.end):
        found = find_dates(scan.text, match.start("date"), match.end("date"), scan.as_of)
        if not found or (scan.as_of is not None and found[0][2] > scan.as_of):
            continue
        day = found[0][2]
        kind = WindowKind.LOOKBACK if is_superlative(scan, match.start()) else WindowKind.SINCE_DATE
        scan.span(match.start(), match.end(), kind, (day, day))


def named_events(scan: Scan) -> None:
    """``since DeepSeek's release``, ``after the stimulus package``: events the catalog knows."""
    for match in _NAMED_EVENT.finditer(scan.text, scan.start, scan.end):
        if match["head"].lower() != "since" and len(match.group().split()) > 6:
            continue
        name = match["name"].lower()
        for spelt, stem in _EVENT_STEMS:
            if spelt in name:
                event_id, day = event_of(stem, scan.events, scan.as_of)
                if event_id:
                    scan.span(
                        match.start(),
                        match.end(),
                        WindowKind.SINCE_EVENT,
                        None if day is None else (day, day),
                        event_id=event_id,
                    )
