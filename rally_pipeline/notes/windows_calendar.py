"""English stretches of the calendar: "year to date", "last month", "in the third quarter of 2024", "on Friday".

Belongs here: to-date stretches, closed periods, single days. Does not belong here: beginnings (`windows_since.py`) and
lengths (`windows_lengths.py`).
"""

from __future__ import annotations

import datetime as dt
import re

from rally_pipeline.notes.dates import MONTH, MONTH_NUMBERS, add_months, find_dates, month_number
from rally_pipeline.notes.records import Window, WindowKind
from rally_pipeline.notes.stretches import (
    Scan,
    first_months,
    half_span,
    latest_ended_month,
    latest_month,
    latest_weekday,
    month_days,
    month_span,
    month_window,
    quarter_days,
    to_date,
    week_span,
    year_span,
    year_window,
)
from rally_pipeline.notes.windows_words import (
    EXTREME_NOUN,
    NUMBER,
    WEEKDAY,
    WEEKDAYS,
    YEAR,
    amount_of,
    compiled,
    is_superlative,
)
from rally_pipeline.notes.word_sets import words

_UNIT_HIGH = compiled(
    r"(?P<year>(?:this|the|its)\s+year['’]s|(?:19|20)\d\d['’]?s?|(?:this|the)\s+(?P<other>month|quarter"
    r"|week)['’]s|year-to-date|ytd|yearly)\s+"
    rf"(?:{EXTREME_NOUN}|(?:highest|lowest|biggest|largest|best|worst|strongest|weakest)(?:\s+\w+)?)(?!\w)"
    r"|(?:highs?|lows?|peaks?)\s+(?:of|for)\s+(?:the|this)\s+(?P<of>year|month|quarter|week)(?!\w|['’])"
)
_TO_DATE = compiled(
    r"(?<![\w-])(?:(?:on\s+a\s+)?(?:(?P<u1>year|month|quarter|week)[\s-]to[\s-]date(?:\s+basis)?|(?P<u2>ytd|mtd"
    r"|qtd|wtd))"
    r"|(?:(?:so\s+far|thus\s+far|already)[\s,]+)?(?:in\s+|during\s+|over\s+|for\s+)?(?:this"
    r"|the\s+current)\s+(?:calendar\s+|trading\s+)?(?P<u3>year|month|quarter|week)(?!['’]s|[-\w])(?:\s+(?:so"
    r"|thus)\s+far)?"
    r"|(?:since|from)\s+(?:the\s+)?(?:(?:start|beginning|turn|outset)\s+of\s+(?:the"
    r"|this)\s+(?:calendar\s+)?(?P<u4>year|month|quarter|week)|(?P<jan>January\s+1(?:st)?|1(?:st)?\s+January"
    r"|Jan\.?\s+1(?:st)?|1(?:st)?\s+Jan\.?|new\s+year(?!\s+(?:break|holidays?|festival))(?:['’]s\s+day)?)(?![\w]|[,.]?\s?\d))"
    r"|(?:for|on|in|over|during|throughout|across)\s+the\s+(?P<u5>year|month|quarter|week)(?!['’]s|[-\w]|\s+(?:to|ended|ending"
    r"|through|before|after|ahead|earlier|prior|of|until|since|that|was|is|when|in|\d))"
    rf"|(?:so\s+far|thus\s+far)\s+in\s+(?:(?P<month>(?-i:{MONTH}))(?:\s+(?P<myear>{YEAR}))?|(?P<year>{YEAR}))"
    rf"|(?P<year2>{YEAR})[\s-]to[\s-]date)(?!\w)"
)
_NOT_TO_DATE_BEFORE = compiled(
    r"(?:\b(?:later|earlier|end\s+of|late|early|second\s+half\s+of|rest\s+of|remainder\s+of|first\s+half\s+of"
    r"|quarter\s+of|half\s+of|end|before|by|until|middle\s+of|half|start\s+of|beginning\s+of)\s+)\Z"
)
_UNITS_SHORT = {"ytd": "year", "mtd": "month", "qtd": "quarter", "wtd": "week"}
_LEVEL = compiled(r"\b(?:highest|lowest|strongest|weakest)\b[^,;.:!?]{0,40}\Z")
_WEEK_ENDED = compiled(
    r"(?<![\w-])(?:in\s+|for\s+|during\s+|over\s+)?the\s+(?P<unit>week|month|quarter|year)\s+(?:that\s+)?(?:ended"
    r"|ending|to|through|until)\s+(?:on\s+)?(?=\d|[A-Z])"
)
_PERIOD = compiled(
    r"(?<![\w-])(?:(?P<head>in|during|for|over|of|throughout|through|across|as\s+of|by)\s+)?(?:"
    rf"(?:the\s+)?(?:(?P<half>first|second)[\s-]half|(?P<h>[12])H(?P<hy>\d\d)|H(?P<h2>[12])|(?P<quarter>first"
    rf"|second|third|fourth)[\s-]quarter|Q(?P<q>[1-4])"
    rf"|(?P<q2>[1-4])Q(?P<qy>\d\d)?)(?![\w-])(?:['’]s)?(?:\s+(?:of\s+)?(?P<hqyear>{YEAR}|last\s+year|this\s+year))?"
    rf"|(?P<part>early|mid|late|end)[\s-](?:of\s+)?(?P<pmonth>(?-i:{MONTH}))(?:,?\s+(?P<pyear>{YEAR}|last\s+year))?"
    rf"|(?P<full>full[\s-]year|all\s+of|calendar|the\s+whole\s+of|the\s+year)\s+(?P<fullyear>{YEAR})"
    rf"|(?P<lastm>last|this\s+past|this)\s+(?P<lmonth>(?-i:{MONTH}))(?:['’]s?)?(?![\w])"
    rf"|(?P<month>(?-i:{MONTH}))(?!\s\d{{1,2}}(?!\d))(?:(?:\s+of|,)?\s+(?P<myear>{YEAR}|last\s+year"
    rf"|this\s+year))?(?P<poss>['’]s?)?(?![\w-])"
    rf"|(?P<year>{YEAR})(?![-\w])"
    r")"
)
_DAY = compiled(
    rf"(?<![\w-])(?:(?P<head>on|as\s+of|as\s+at|at|until|by|next|this\s+coming|every|each"
    rf"|through)\s+)?(?:(?P<last>last|this|the\s+previous)\s+)?"
    rf"(?:(?P<rel>today|yesterday|this\s+(?:morning|afternoon|evening)|overnight)|(?P<weekday>(?-i:{WEEKDAY})"
    rf"|(?<=on )(?-i:Mon|Tues|Tue|Wed|Thurs|Thu|Fri)\b"
    rf"|(?:mon|tues|wednes|thurs|fri)day))"
    r"(?:['’]s(?:\s+(?:close|open|session|trading|closing|opening))?|\s+(?:close|afternoon|morning|evening|night"
    r"|session))?(?![\w-])"
)
_DATE_HEAD = compiled(
    r"(?:\b(?:on|as\s+of|as\s+at|at|dated)\s+(?:the\s+)?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+\(?)?"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+\(?)\Z"
)
_DATE_TAIL = compiled(r",?\s+\(?(?:mon|tues|wednes|thurs|fri|satur|sun)day(?!\w|['’])")
_DATE_SKIP = compiled(r"\b(?:by|until|till|from|through|due|before|after)\s+(?:the\s+)?\Z")

# The words with which a match can begin.
_UNIT_HIGH_FIRST = words("this the its # year ytd yearly high highs low lows peak peaks")
_TO_DATE_FIRST = words(
    "on year month quarter week ytd mtd qtd wtd so thus already in during over for throughout across this the since"
    " from #"
)
_FIRST_MONTHS_FIRST = words("in during over for the first")
_WEEKDAY_FIRST = words("monday tuesday wednesday thursday friday saturday sunday")
_DAY_FIRST = _WEEKDAY_FIRST | words("on as at until by next this every each through last the today yesterday overnight")
_PERIOD_FIRST = words(
    "in during for over of throughout through across as by the first second third fourth h q # early mid late "
    "full all calendar last this"
) | frozenset(MONTH_NUMBERS)


def unit_highs(scan: Scan) -> None:
    """``2025 low``, ``this year's high``, ``highs of the week``: LOOKBACKs over a calendar stretch."""
    for match in scan.matches(_UNIT_HIGH, _UNIT_HIGH_FIRST):
        unit = (match["of"] or match["other"] or "year").lower()
        if match["year"] and match["year"][:2] in ("19", "20"):
            days = year_span(int(match["year"][:4]))
            if scan.as_of is None or days[0] > scan.as_of:
                continue
            scan.add(
                Window(
                    match.start(),
                    match.end(),
                    WindowKind.LOOKBACK,
                    days[0],
                    days[0],
                    None if days[1] > scan.as_of else days[1],
                )
            )
        else:
            to_date(scan, match.start(), match.end(), unit, is_lookback=True)


def to_dates(scan: Scan) -> None:
    """``year to date``, ``so far this month``, ``since the start of the year``, ``for the week``."""
    for match in scan.matches(_TO_DATE, _TO_DATE_FIRST):
        start, end = match.span()
        if match["month"]:
            days = (
                month_span(int(match["myear"]), month_number(match["month"]))
                if match["myear"]
                else latest_month(month_number(match["month"]), scan.as_of)
            )
            month_window(scan, start, end, days)
            continue
        if match["year"] or match["year2"]:
            year_window(scan, start, end, int(match["year"] or match["year2"]))
            continue
        unit = (
            "year"
            if match["jan"]
            else (
                match["u1"] or match["u3"] or match["u4"] or match["u5"] or _UNITS_SHORT[(match["u2"] or "ytd").lower()]
            ).lower()
        )
        if _NOT_TO_DATE_BEFORE.search(scan.text, max(scan.start, start - 24), start) is not None:
            # "later this year" is the future or a point; take the words so that nothing else reads them.
            continue
        if (
            match["u5"]
            and unit == "year"
            and re.search(r"(?i)\byear[\s-](?:on|over)[\s-]", scan.text[max(scan.start, start - 12) : end + 4])
        ):
            continue
        to_date(
            scan,
            start,
            end,
            unit,
            is_lookback=bool(match["u3"] or match["u5"])
            and is_superlative(scan, start)
            and _is_extreme_level(scan, start),
        )


def _is_extreme_level(scan: Scan, at: int) -> bool:
    return _LEVEL.search(scan.text, max(scan.start, at - 60), at) is not None


_BEGIN_OF = compiled(r"\b(?:start|beginning|turn|outset|end)\s+(?:of\s+)?\Z")


def weeks_ended(scan: Scan) -> None:
    """``the week ended February 14``, ``the year to 31 March``."""
    for match in _WEEK_ENDED.finditer(scan.text, scan.start, scan.end):
        if _BEGIN_OF.search(scan.text, max(scan.start, match.start() - 20), match.start()) is not None:
            continue  # "from the start of the year to 14 February"
        dates = find_dates(scan.text, match.end(), min(scan.end, match.end() + 24), scan.as_of)
        if dates and dates[0][0] == match.end():
            last = dates[0][2]
            unit = match["unit"].lower()
            first = (
                last - dt.timedelta(days=6)
                if unit == "week"
                else add_months(last, {"month": -1, "quarter": -3, "year": -12}[unit]) + dt.timedelta(days=1)
            )
            if unit == "week":
                first = week_span(last)[0]
            scan.add(Window(match.start(), dates[0][1], WindowKind.PERIOD, first, first, last))


_LENGTH_ENDED = compiled(
    rf"(?<![\w-])(?:in\s+|for\s+|during\s+|over\s+)?the\s+(?P<number>{NUMBER})\s+(?P<unit>months|quarters|years)\s+"
    rf"(?:that\s+)?(?:ended|ending|to|through|until)\s+(?:the\s+end\s+of\s+|end[-\s])?"
    rf"(?P<month>(?-i:{MONTH}))(?!\s+\d{{1,2}}(?!\d))(?:,?\s+(?P<year>{YEAR}))?(?![\w-])"
)


def lengths_ended(scan: Scan) -> None:
    """``in the three months to May``: so many months up to the end of the latest May that is over."""
    for match in _LENGTH_ENDED.finditer(scan.text, scan.start, scan.end):
        amount, month = amount_of(match["number"]), month_number(match["month"])
        if amount is None or amount != int(amount):
            continue
        ended = month_span(int(match["year"]), month) if match["year"] else latest_ended_month(month, scan.as_of)
        if ended is not None and scan.as_of is not None and not match["year"]:
            begun = latest_month(month, scan.as_of)
            if begun is not None and begun != ended:
                # Written in a May: the one that runs, or that of the year before.
                ended = None
        months = int(amount) * {"months": 1, "quarters": 3, "years": 12}[match["unit"].lower()]
        days = None if ended is None else (add_months(ended[0], 1 - months), ended[1])
        scan.period(match.start(), match.end(), days)


_FIRST_MONTHS = compiled(
    rf"(?:(?:in|during|over|for)\s+)?(?:the\s+)?first\s+(?P<number>{NUMBER})\s+(?P<unit>months|quarters)"
    rf"(?:\s+of\s+(?:(?P<year>{YEAR})|(?P<last>last\s+year)|(?:the|this)\s+year))?(?![\w-])"
)


def first_months_named(scan: Scan) -> None:
    """``the first nine months of 2024``."""
    for match in scan.matches(_FIRST_MONTHS, _FIRST_MONTHS_FIRST):
        number = amount_of(match["number"])
        year = int(match["year"]) if match["year"] else None
        if year is None and scan.as_of is not None:
            year = scan.as_of.year - (1 if match["last"] else 0)
        if number is None:
            continue
        count = int(number) * (3 if match["unit"].lower() == "quarters" else 1)
        if 1 <= count <= 12:
            scan.period(match.start(), match.end(), None if year is None else first_months(year, count))


_LAST_SEEN = compiled(r"\blast\s+(?:seen|reached|touched|hit|recorded)\s+\Z")
_LATER = compiled(r"\b(?:later|due|scheduled|expected|beginning|starting|delivery)\s+\Z")


def periods(scan: Scan) -> None:
    """``in September``, ``third quarter of 2024``, ``H1``, ``last January``, ``in 2024``."""
    for match in scan.matches(_PERIOD, _PERIOD_FIRST):
        _period(scan, match)


def _period(scan: Scan, match: re.Match[str]) -> None:
    start, end = match.span()
    head = (match["head"] or "").lower()
    as_of = scan.as_of
    if (
        head == "in"
        and not match["part"]
        and _LAST_SEEN.search(scan.text, max(scan.start, start - 16), start) is not None
    ):
        # "a level last seen in 2015" is as long an extreme as "highest since 2015".
        month = match["month"]
        stated = match["myear"] or match["year"]
        within = None
        if month:
            within = month_days(as_of, month_number(month), stated, "")
        elif stated:
            within = year_span(int(stated))
        if month or stated:
            scan.span(start, end, WindowKind.LOOKBACK, within)
            return
    if head == "by" or (head == "in" and _LATER.search(scan.text, max(scan.start, start - 12), start) is not None):
        return
    if match["half"] or match["h"] or match["h2"]:
        half = {"first": 1, "second": 2}[match["half"].lower()] if match["half"] else int(match["h"] or match["h2"])
        if match["half"] and not (match["hqyear"] or head in ("in", "during", "for", "over")):
            return
        year = match["hqyear"] or match["hy"]
        if year:
            number = int(year) if len(year) == 4 and year.isdigit() else 2000 + int(year) if year.isdigit() else None
            if number is None and as_of is not None:
                number = as_of.year - (1 if year.lower().startswith("last") else 0)
        else:
            number = None if as_of is None else as_of.year if half == 1 or as_of.month > 6 else as_of.year - 1
        scan.period(start, end, None if number is None else half_span(number, half))
    elif match["quarter"] or match["q"] or match["q2"]:
        quarter = (
            int(match["q"] or match["q2"] or 0)
            or ("first", "second", "third", "fourth").index(match["quarter"].lower()) + 1
        )
        scan.period(start, end, quarter_days(scan.as_of, quarter, match["hqyear"] or match["qy"]))
    elif match["part"]:
        days = month_days(scan.as_of, month_number(match["pmonth"]), match["pyear"], match["part"].lower())
        if head == "as of":
            first, last = days or (None, None)
            scan.add(Window(start, end, WindowKind.DAY, first, last, last))
        elif head in ("in", "during", "over") and match["part"].lower() != "end":
            scan.period(start, end, days)
    elif match["fullyear"]:
        year_window(scan, start, end, int(match["fullyear"]))
    elif match["lmonth"]:
        month = month_number(match["lmonth"])
        if match["lastm"].lower() == "last":
            scan.period(start, end, latest_ended_month(month, as_of))
        else:
            month_window(scan, start, end, latest_month(month, as_of))
    elif match["month"]:
        is_possessive = bool(match["poss"]) and match["poss"] not in ("'", "’")
        if not head and not is_possessive and not match["myear"]:
            return
        if head == "of" and not match["myear"]:
            return
        if (
            head in ("", "of")
            and match["month"].lower().rstrip(".") in ("may", "march")
            and not match["myear"]
            and not is_possessive
        ):
            return
        days = month_days(scan.as_of, month_number(match["month"]), match["myear"], "")
        month_window(scan, start, end, days)
    elif match["year"]:
        year_number = int(match["year"])
        if head not in ("in", "during", "for", "over", "throughout", "through", "across", "of"):
            return
        if head == "of":
            if is_superlative(scan, start) and as_of is not None and year_number <= as_of.year:
                first, last = year_span(year_number)
                scan.add(
                    Window(start, end, WindowKind.LOOKBACK, first, first, None if year_number == as_of.year else last)
                )
            return
        if scan.text[end : end + 1] in ("/", "-", "–") and scan.text[end + 1 : end + 2].isdigit():
            return
        year_window(scan, start, end, year_number)


def dates(scan: Scan) -> None:
    """Printed dates as single days, with the day of the week beside them."""
    for start, end, day in find_dates(scan.text, scan.start, scan.end, scan.as_of):
        head = _DATE_HEAD.search(scan.text, max(scan.start, start - 24), start)
        if head is None and _DATE_SKIP.search(scan.text, max(scan.start, start - 12), start) is not None:
            continue
        if scan.as_of is not None and day > scan.as_of:
            continue
        tail = _DATE_TAIL.match(scan.text, end, scan.end)
        scan.day(head.start() if head else start, tail.end() if tail else end, day)


def days_named(scan: Scan) -> None:
    """``on Friday``, ``yesterday``, ``Monday's close``."""
    for match in scan.matches(_DAY, _DAY_FIRST):
        head = (match["head"] or "").lower()
        if head in ("until", "by", "next", "this coming", "every", "each"):
            continue
        start = match.start() if head not in ("through", "at") else match.start(0)
        if match["rel"]:
            word = match["rel"].lower()
            if scan.as_of is None or word == "overnight":
                if word != "overnight":
                    scan.day(start, match.end(), None)
                continue
            scan.day(start, match.end(), scan.as_of - dt.timedelta(days=1 if word == "yesterday" else 0))
        else:
            scan.day(
                start,
                match.end(),
                latest_weekday(
                    WEEKDAYS[match["weekday"][:3].lower()],
                    scan.as_of,
                    is_before=(match["last"] or "").lower() == "last",
                ),
            )
