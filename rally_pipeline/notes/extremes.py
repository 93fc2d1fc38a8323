"""Claims of an extreme: a three-year high, the lowest since October, a record, the worst day in a decade.

Belongs here: highs, lows and records of prices and of moves, English and Chinese. Does not belong here: records of
volume (`volumes.py`) and of flows (`flows.py`); stretches of time (`windows.py`).

Only what stands beside a length ("in three years", "since 2022") or "record" is an extreme: "a high of 20,000" is not,
nor is a high that a price fell from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rally_pipeline.notes import claim_parts, moves, moves_zh
from rally_pipeline.notes.clauses import Clauses, chinese_clauses, clauses
from rally_pipeline.notes.move_parts import Reading
from rally_pipeline.notes.noun_phrases import Found, Subject, says_price
from rally_pipeline.notes.numeric_words import PRONOUNS
from rally_pipeline.notes.predicates import SKIP, VERB_KINDS, piece_bounds, stance_before, subjects_of, token_at
from rally_pipeline.notes.records import (
    Claim,
    ClaimType,
    Comparator,
    Direction,
    MentionKind,
    Passage,
    Window,
    WindowKind,
)
from rally_pipeline.notes.yield_moves import YIELD

_ANCHOR: Final = re.compile(
    r"\b(?:(?P<superlative>highest|lowest|(?:strongest|weakest)(?=[^\w\s]|$|\s(?:level|clos|since|in|against"
    r"|point|value))|(?:best|worst|top) (?:price|level|close|finish|settlement)(?= (?:since|in|for|this)\b))"
    r"|(?P<move>(?:biggest|largest|sharpest|steepest|best|worst|strongest|weakest|fastest|deepest|record"
    r"|greatest)"
    r"(?: (?:one-day|single-day|single-session|daily|weekly|monthly|quarterly|annual|yearly|percentage|point"
    r"|intraday|trading|closing|in|terms|of|ever)){0,4}"
    r" (?P<thing>gains?|drops?|falls?|ris(?:e|es)|loss(?:es)?|declines?|rall(?:y|ies)|plunge|slump|surge|jump|slide"
    r"|sell-?off|advance"
    r"|performance|days?|sessions?|weeks?|months?|quarters?|years?|january|february|march|april"
    r"|may|june|july|august"
    r"|september|october|november|december))"
    r"|(?P<most>(?:by )?the most|(?:the|its|their) (?P<worst>worst|best|biggest|largest|steepest|sharpest|fastest))"
    r"(?= (?:in|since|on|this|for)\b)"
    r"|(?P<noun>highs?|lows?|peaks?|troughs?|bottom)"
    r"|(?P<record>records?|unprecedented))\b",
    re.IGNORECASE,
)
_TRIGGER: Final = re.compile(
    r"most|high|low|record|peak|strongest|weakest|biggest|largest|best|worst|sharpest|steepest|trough|fastest"
    r"|unprecedented|first time",
    re.IGNORECASE,
)
_NEAR: Final = re.compile(
    r"\b(?:near(?:s|ed|ing|ly)?|close to|closing in on|just (?:below|under|shy of|off)|around|approach\w*|shy of"
    r"|within \w+ing distance of"
    r"|a whisker (?:from|below)|not far (?:from|off)|hover\w* (?:near|around|at))\b(?: (?:a|an|its|their|the|new"
    r"|fresh|more than|over))*\s*$",
    re.IGNORECASE,
)
_NOT_NOW: Final = re.compile(
    r"\b(?:from|off|below|above|since|than|beat|breach(?:es|ed)?|retreat\w* from|previous|prior|last|earlier|to|the"
    r"|of)\s+"
    r"(?:(?:a|an|its|their|the|his|last|\w+['’]s|\w+day['’]s|recent|previous|prior|latest|more than|over|nearly"
    r"|\d{4})\s+)*$",
    re.IGNORECASE,
)
_FROM: Final = re.compile(
    r"\b(?:from|off|below|above|versus|than|since|rebounds? from|previous|prior|old)\b", re.IGNORECASE
)
_RECORD_BEFORE: Final = re.compile(
    r"\b(?:hit(?:s|ting)?|at|set(?:s|ting)?|to|new|fresh|reach\w*|touch\w*|notch\w*|near\w*|closed?|another|log(?:s"
    r"|ged)?|an?|all-time|of|post(?:s|ed)?|straight|consecutive|successive|first|second|third|[a-z]+th|\d+th|scor\w+"
    r"|mark\w*|clos\w+|more)\s*$",
    re.IGNORECASE,
)
_RECORD_AFTER: Final = re.compile(
    r"\s*(?:[.,;:)\n]|$|[A-Z]{0,3}[$€£¥]|(?:HK|US)\$|[A-Z]{3} ?\d|[\d,.]+\d points|on\b|as\b|after\b|in\b"
    r"|this\b|for\b|amid\b|and\b|with\b|level"
    r"|close\b|closing|finish|territory|again|by\b|of\b|since|above|following|while|but)",
)
_NOT_PRICE: Final = re.compile(
    r"\b(?:volume|turnover|inflows?|outflows?|purchases|net (?:buying|selling)|trading value|sales|profits?|earnings"
    r"|revenue|deliveries|output"
    r"|exports|imports|deposits|track record|record-breaking|low rates?|unemployment|jobless|inflation|vacanc\w+"
    r"|holdings?|stake|ownership"
    r"|(?:interest|policy|mortgage|exchange|growth|default) rates?|borrowing costs|records? (?:show|indicate)"
    r"|holding|demand|production|shipments|orders|debt|yields?)\b",
    re.IGNORECASE,
)
_CLOSE_BASIS: Final = re.compile(
    r"\bclos(?:e|es|ed|ing)\b|\bsettle|\bend(?:s|ed|ing)?\b|\bfinish|收[市报報盘盤于於]", re.IGNORECASE
)
_INTRADAY_BASIS: Final = re.compile(
    r"\bintra-?day\b|\btouch|\bhit(?:s|ting)?\b|触及|觸及|盘中|盤中|曾|一度", re.IGNORECASE
)
_PERIODS: Final = (
    ("week", re.compile(r"\bweek", re.IGNORECASE)),
    (
        "month",
        re.compile(
            r"\bmonth|january|february|march|april|\bmay\b|june|july|august|september|october|november|december",
            re.IGNORECASE,
        ),
    ),
    ("quarter", re.compile(r"\bquarter", re.IGNORECASE)),
    ("year", re.compile(r"\b(?:years?|annual|yearly)\b", re.IGNORECASE)),
    ("day", re.compile(r"\b(?:day|daily|one-day|session)", re.IGNORECASE)),
)
_DOWN_THING: Final = re.compile(r"drop|fall|loss|decline|plunge|slump|slide|sell", re.IGNORECASE)


_FIRST_TIME: Final = re.compile(r"\bfor the first time\b", re.IGNORECASE)
#: Directly before a level: on which side of it a price came.
_PASSED: Final = re.compile(
    r"\b(?:(?P<above>above|past|over|through|topp(?:ed|ing)|surpass(?:ed|ing)|cross(?:ed|ing)|exceed(?:ed|ing)"
    r"|breach(?:ed|ing)|reclaim(?:ed|ing))|(?P<below>below|under|beneath))\b[^\d,;]{0,12}$",
    re.IGNORECASE,
)
_ITS: Final = re.compile(r"\d[^;:]{0,24}, (?:to |at |hitting |reaching )?(?:its|their) $", re.IGNORECASE)
_MARKED: Final = re.compile(
    r"\b(?:mark(?:s|ed|ing)|was|is|represent(?:s|ed|ing)) (?:the|its|their|a)\s+$", re.IGNORECASE
)
_PER_UNIT: Final = re.compile(
    r" (?:yen |yuan |won |rupees )?(?:per|to the|against the|versus the) (?:US |U\.S\. )?(?:dollar|euro|greenback)",
    re.IGNORECASE,
)
_BESIDE: Final = re.compile(r"[^,;:]*,\s+(?:to |at )?(?:its|their|the) ", re.IGNORECASE)


#: Of a sentence at most so many extremes are read.
MAX_ANCHORS: Final = 20


@dataclass(frozen=True, slots=True)
class _Anchor:
    start: int
    end: int
    kind: str
    sign: int
    window: Window
    thing: str = ""


def find(passage: Passage) -> list[Claim]:
    """The claims of an extreme in a sentence."""
    if not any(window.kind in claim_parts.LENGTHS for window in passage.windows):
        return []
    if passage.is_chinese:
        return _find_chinese(passage)
    if _TRIGGER.search(passage.text, passage.start, passage.end) is None:
        return []
    made: list[Claim] = []
    used: set[int] = set()
    for anchor in _anchors(passage):
        if id(anchor.window) in used:
            continue
        found = _subjects(passage, anchor)
        if not isinstance(found, list):
            continue
        for subject in found:
            if (
                subject.is_reference
                and not subject.symbol
                and not subject.text[:1].isupper()
                and not says_price(subject)
            ):
                continue
            used.add(id(anchor.window))
            made.append(_claim(passage, anchor, subject))
    return made + _first_times(passage, used)


def _first_times(passage: Passage, used: set[int]) -> list[Claim]:
    """As in "closed above 4,000 for the first time since 2021": beside a level, the highest since then."""
    text = passage.text
    made: list[Claim] = []
    levels: list[Reading] | None = None
    for match in _FIRST_TIME.finditer(text, passage.start, passage.end):
        window = next((one for one in passage.windows if 0 <= one.start - match.end() <= 1), None)
        if window is None or window.kind is not WindowKind.LOOKBACK or id(window) in used:
            continue
        if levels is None:
            levels = [one for one in moves.readings(passage) if one.role == "level"]
        for one in reversed(levels):
            if one.quantity.end > match.start():
                continue
            between = text[one.quantity.end : match.start()]
            way = _PASSED.search(text, max(passage.start, one.quantity.start - 24), one.quantity.start)
            if way is None or len(between) > 40 or re.search(r"[,;:.]|\b(?:and|while|but|as)\b", between):
                break
            subject = one.subject
            sign = one.sign or (-1 if way["below"] else 1)
            is_rate = subject.asset == "currency" or _PER_UNIT.match(text, one.quantity.end) is not None
            if (way["below"] and one.sign > 0) or (is_rate and not one.sign):
                # "traded past 150 per dollar": which of the two is stronger, the words do not tell.
                break
            if subject.is_reference and not subject.symbol and subject.text.lower() in PRONOUNS:
                break
            made.append(_claim(passage, _Anchor(match.start(), match.end(), "first_time", sign, window), subject))
            used.add(id(window))
            break
        if len(made) >= MAX_ANCHORS:
            break
    return made


def _anchors(passage: Passage) -> list[_Anchor]:
    text = passage.text
    lengths = [window for window in passage.windows if window.kind in claim_parts.LENGTHS]
    made: list[_Anchor] = []
    for match in _ANCHOR.finditer(text, passage.start, passage.end):
        window = _window_of(text, match.start(), match.end(), lengths)
        if window is None:
            continue
        if len(made) >= MAX_ANCHORS:
            break
        kind = match.lastgroup or ""
        kind = "move" if match["move"] else kind
        if match["most"]:
            sign = _sign_before(passage, match.start())
            if match["worst"] and not sign:
                sign = _sign_of_clause_before(passage, match.start())
            if sign:
                made.append(_Anchor(match.start(), match.end(), "move", sign, window, ""))
            continue
        word = match.group().lower()
        first = min(match.start(), window.start)
        if kind in ("noun", "record", "superlative"):
            before = text[max(passage.start, first - 40) : first]
            if _is_base(before):
                continue
        if kind == "record":
            if (
                _RECORD_AFTER.match(text, match.end(), min(passage.end, match.end() + 12)) is None
                and match.end() < passage.end
            ):
                continue
            if _RECORD_BEFORE.search(text[max(passage.start, match.start() - 24) : match.start()]) is None:
                continue
            sign = _sign_of_record(passage, match.start())
        elif kind == "move":
            thing = match["thing"].lower()
            sign = -1 if _DOWN_THING.search(thing) or word.startswith(("worst", "weakest")) else 1
            made.append(_Anchor(match.start(), match.end(), kind, sign, window, word))
            continue
        else:
            sign = -1 if word.startswith(("low", "weakest", "worst", "trough", "bottom")) else 1
        made.append(_Anchor(match.start(), match.end(), kind, sign, window))
    return made


def _sign_before(passage: Passage, offset: int) -> int:
    """Which way the verb directly before an offset goes: "rose the most"; 0 if none stands there."""
    tokens = clauses(passage).tokens
    for token in reversed([token for token in tokens if token.end <= offset][-6:]):
        if token.kind == "move":
            return token.sign
        if token.kind not in ("qty", "win") and token.low not in (",", "to", "or"):
            break
    return 0


def _sign_of_record(passage: Passage, offset: int) -> int:
    """Which way a price went to its record: down in "fell to a record 84.9 per dollar", else up."""
    tokens = clauses(passage).tokens
    before = [token for token in tokens if token.end <= offset][-5:]
    if not any(token.low == "to" for token in before):
        return 1
    return next(
        (token.sign for token in reversed(before) if token.kind == "move"),
        1,
    )


def _sign_of_clause_before(passage: Passage, offset: int) -> int:
    """Which way the move of the clause before a comma goes: "lost 2% last week, its worst since"; 0 if none is told."""
    tokens = clauses(passage).tokens
    before = [token for token in tokens if token.end <= offset][-14:]
    if not before or before[-1].low != ",":
        return 0
    return next((token.sign for token in reversed(before) if token.kind == "move"), 0)


def _is_base(before: str) -> bool:
    """Whether a high is one that a price came from: "retreats from a", "off its", "below the previous"."""
    tail = before.rstrip()
    if re.search(r"\b(?:end|snap|break|brok)\w*\b[^,]{0,30}\b(?:run|streak|string) of$", tail, re.IGNORECASE):
        return True
    tail_words = re.split(r"[,;:]", tail)[-1].split()[-4:]
    for word in reversed(tail_words):
        low = word.lower()
        if low in (
            "from",
            "off",
            "below",
            "above",
            "previous",
            "prior",
            "versus",
            "beating",
            "surpassing",
            "break",
            "old",
        ):
            return not tail.lower().endswith(
                ("just below", "just below a", "just below its", "just off its", "just off a")
            )
        if low not in (
            "a",
            "an",
            "its",
            "their",
            "the",
            "his",
            "last",
            "recent",
            "latest",
            "over",
            "nearly",
        ) and not low.endswith("'s"):
            return False
    return False


def _window_of(text: str, start: int, end: int, lengths: list[Window]) -> Window | None:
    """The length that an extreme is measured over: around its words, directly before them or soon after."""
    best: Window | None = None
    for window in lengths:
        if window.start < end and start < window.end:
            return window
        if window.end <= start:
            if start - window.end <= 24 and not re.search(r"[,;:]", text[window.end : start]):
                best = window
        elif window.start - end <= 48 and not re.search(r"[;:]|, ", text[end : window.start]):
            return best or window
    return best


def _subjects(passage: Passage, anchor: _Anchor) -> Found:
    first, last = min(anchor.start, anchor.window.start), max(anchor.end, anchor.window.end)
    start, end = piece_bounds(passage, first)
    of_yield = _yield_before(passage, start, first)
    if of_yield is not None:
        return [of_yield]
    if _NOT_PRICE.search(passage.text, start, min(max(end, last), last + (40 if anchor.kind == "record" else 16))):
        return None
    result = subjects_of(passage, first, last, is_beside=anchor.kind != "move")
    if result is None and anchor.kind == "move" and _MARKED.search(passage.text, passage.start, first) is not None:
        # "Copper's 13% jump marked its biggest gain since": of what jumped.
        before = [one for one in moves.readings(passage) if one.role == "return" and one.quantity.end <= first]
        if before and not re.search(r"[;:]", passage.text[before[-1].end : first]):
            return [before[-1].subject]
    if isinstance(result, list) and len(result) == 1 and _ITS.search(passage.text, passage.start, first) is not None:
        # "while the B piled on 11 percent, to 2,146, its best level": of what moved last, not of the A before it.
        only = result[0]
        nearer = [
            one.subject
            for one in moves.readings(passage)
            if only.end <= one.subject.start and one.subject.end <= one.quantity.end <= first
        ]
        if nearer and nearer[-1].text != only.text and not re.search(r"[;:]", passage.text[nearer[-1].end : first]):
            return [nearer[-1]]
    return result


def _yield_before(passage: Passage, start: int, first: int) -> Subject | None:
    """The yield of a bond that an extreme is said of: no price, but told of in the same words."""
    start = min(start, max(passage.start, first - 110))
    if "ield" not in passage.text[start:first]:
        return None
    found = None
    for match in YIELD.finditer(passage.text, start, first):
        found = match
    if found is None:
        return None
    between = passage.text[found.end() : first]
    if re.search(r"[,;:]", between) and _BESIDE.fullmatch(between) is None:
        return None
    if any(found.end() < one.start < first for one in passage.mentions if one.kind in _PRICED):
        return None
    return Subject(found.start(), found.end(), found.group(), asset="yield")


_PRICED: Final = frozenset({MentionKind.INSTRUMENT, MentionKind.BROKER})


def _claim(passage: Passage, anchor: _Anchor, subject: Subject) -> Claim:
    found = clauses(passage)
    text = passage.text
    first, last = min(anchor.start, anchor.window.start), max(anchor.end, anchor.window.end)
    at = token_at(found, first)
    piece_start, piece_end = piece_bounds(passage, first)
    is_near = _NEAR.search(text[max(passage.start, first - 40) : first]) is not None
    start = min(first, _verb_start(found, at, first))
    context = text[start:last]
    if subject.start < start and subject.end <= start and subject.start >= piece_start:
        context = text[subject.start : last]
        # A number in between has its own claim; the extreme then begins with its own words.
        has_number = any(subject.start < one.start < first for one in passage.quantities)
        start = first if has_number else subject.start
    day = (
        claim_parts.named_day(passage, piece_start, piece_end, first)
        or _other_day(passage, last)
        or _day_before(passage, first)
    )
    window_of_day = day or claim_parts.day_window(passage, anchor.start, anchor.end)
    as_of_date, basis = claim_parts.as_of(passage, window_of_day)
    timing = _basis(context)
    details: dict[str, str | float | int | bool | None] = {"basis": timing}
    if subject.is_proxy:
        details["is_proxy"] = True
    if subject.instrument:
        details["instrument"] = subject.instrument
    if subject.asset:
        details["asset_class"] = subject.asset
    metric = "close"
    if anchor.kind == "move":
        metric = "return_pct"
        details["period"] = _period(passage, anchor, first)
        details["basis"] = "close"
        timing = "close"
    if day is not None:
        details["day_is_stated"] = True
    return Claim(
        claim_type=ClaimType.EXTREME,
        rule_id=f"extreme.{anchor.kind}",
        start=start,
        end=last,
        quote=text[start:last],
        subject_text=subject.text,
        subject_id="" if subject.instrument else subject.symbol,
        metric=metric,
        direction=Direction.UP if anchor.sign > 0 else Direction.DOWN,
        comparator=comparator(anchor.sign, is_near=is_near and anchor.kind != "move"),
        window=anchor.window,
        as_of_date=as_of_date,
        as_of_basis=basis,
        timing=timing,
        stance=stance_before(found, at),
        details=details,
    )


def _period(passage: Passage, anchor: _Anchor, first: int) -> str:
    """Over which period the move is an extreme: as named, else that of the stretch before it, else the day; ``""`` if
    it cannot be told.
    """
    for name, pattern in _PERIODS:
        if pattern.search(anchor.thing):
            return name
    if anchor.thing.endswith("performance"):
        return ""
    before = [one for one in passage.windows if one.end <= first and one.kind in claim_parts.STRETCHES]
    if not before or before[-1].kind is WindowKind.DAY:
        return "day"
    last = before[-1]
    if last.kind is WindowKind.WEEK_TO_DATE:
        return "week"
    if last.kind is WindowKind.MONTH_TO_DATE:
        return "month"
    if last.kind is WindowKind.PERIOD and last.start_earliest is not None and last.last is not None:
        days = (last.last - last.start_earliest).days
        return "week" if days < 8 else "month" if 27 < days < 32 else "quarter" if 88 < days < 93 else ""
    return ""


def comparator(sign: int, *, is_near: bool) -> Comparator:
    """HIGHEST_IN_WINDOW and its kin."""
    if sign > 0:
        return Comparator.NEAR_HIGHEST if is_near else Comparator.HIGHEST_IN_WINDOW
    return Comparator.NEAR_LOWEST if is_near else Comparator.LOWEST_IN_WINDOW


def _basis(context: str) -> str:
    if re.search(r"\bintra-?day\b", context, re.IGNORECASE):
        return "intraday"
    if _CLOSE_BASIS.search(context) and not re.search(r"\bclose to\b", context, re.IGNORECASE):
        return "close"
    return "intraday" if _INTRADAY_BASIS.search(context) else "unknown"


def _verb_start(found: Clauses, at: int, first: int) -> int:
    """Where the verb of the extreme begins, or the words that soften it."""
    index = at - 1
    begin = first
    while index >= 0 and at - index < 9 and found.piece[index] == found.piece[at]:
        token = found.tokens[index]
        if token.kind in VERB_KINDS:
            return token.start
        if token.low in ("near", "at", "to", "nearly", "close"):
            begin = token.start
        elif token.low not in SKIP:
            break
        index -= 1
    return begin


def _day_before(passage: Passage, before: int) -> Window | None:
    """A day that an earlier clause of the sentence is about: "ended higher on Friday, with the DAX at a high"."""
    for window in reversed(passage.windows):
        if window.kind is WindowKind.DAY and window.end <= before and not moves.is_aside(passage, window):
            return window
    return None


#: "an all-time low of 84.88 against the dollar" before its day.
_LEVEL_BETWEEN: Final = re.compile(
    r" (?:of|at|to) (?:[A-Z]{0,3}[$€£¥]?\s?)?[\d,.]*\d(?: \w+)?(?: (?:against|versus|per|to|a|an|the"
    r"|points) ?(?:the )?\w*){0,2}\s*",
    re.IGNORECASE,
)


def _other_day(passage: Passage, after: int) -> Window | None:
    """A day that stands directly behind the extreme or opens the sentence."""
    for window in passage.windows:
        if window.kind is not WindowKind.DAY:
            continue
        if 0 <= window.start - after <= 6 or window.start - passage.start <= 3:
            return window
        if 0 <= window.start - after <= 48 and _LEVEL_BETWEEN.fullmatch(passage.text, after, window.start):
            return window
    return None


# ---------------------------------------------------------------------- Chinese

_ZH_ANCHOR: Final = re.compile(
    r"(?P<move>(?:最大|最高|最差|最佳|最好|最强|最強|最劲|最勁)(?:的)?(?:单日|單日|一日|全日|单周|單週|單周|单月|單月|每日|周|週|月|日)?(?:百分比)?(?:升幅|涨幅|漲幅|跌幅"
    r"|表现|表現|升势|升勢|涨势|跌势))"
    r"|(?P<up>新高|高位|高点|高點|高峰|最高(?:位|水平|收市|收盘|收盤|价|價)?|[历歷]史高|纪录|紀錄|记录|記錄|年高|月高|周高|週高)"
    r"|(?P<down>新低|低位|低点|低點|最低(?:位|水平|收市|收盘|收盤|价|價)?|谷底|年低|月低)"
)
_ZH_FROM: Final = re.compile(r"(?:由|从|從|自|较|較|比|距|距离|距離|离|離|低于|低於)[^，。]{0,14}$")
_ZH_NOT_PRICE: Final = re.compile(
    r"成交|净买|淨買|净流|淨流|流入|流出|销售|銷售|利润|利潤|盈利|收入|失业|失業|利率|通胀|房价|樓價|持仓|持倉|产量|產量"
)
_ZH_IS: Final = re.compile(r"[为為是属屬即乃创創见見]?(?:下了?|了)?(?:逾|近|约|約)?")
_ZH_NEAR: Final = re.compile(r"(?:近|接近|逼近|迫近|贴近|貼近|附近|徘徊)")


def _find_chinese(passage: Passage) -> list[Claim]:
    text = passage.text
    lengths = [window for window in passage.windows if window.kind in claim_parts.LENGTHS]
    made: list[Claim] = []
    last: list[Subject] = []
    used: set[int] = set()
    for start, end in chinese_clauses(text, passage.start, passage.end):
        named = moves_zh.subjects_in(passage, start, end)
        for match in _ZH_ANCHOR.finditer(text, start, end):
            window = next(
                (
                    one
                    for one in lengths
                    if (one.start < match.end() and match.start() < one.end)
                    or (one.end <= match.start() and match.start() - one.end <= 8 and start <= one.start)
                ),
                None,
            )
            if window is None or id(window) in used:
                continue
            first, final = min(window.start, match.start()), max(window.end, match.end())
            if _ZH_FROM.search(text[start:first]) and match["move"] is None:
                continue
            if _ZH_NOT_PRICE.search(text, start, min(end, final + 4)):
                continue
            before = [one for one in named if one.end <= first]
            subjects = before[-1:] or moves_zh.name_before(passage, start, first) or last
            if not subjects and start > passage.start and _ZH_IS.fullmatch(text, start, first):
                # "报7.35，为两年最低": of what the level of the clause before is of.
                levels = [one for one in moves_zh.readings(passage) if one.role == "level" and one.end <= start]
                subjects = [levels[-1].subject] if levels and start - levels[-1].end <= 3 else []
            if not subjects:
                continue
            if subjects is last and _ZH_NOT_PRICE.search(text, last[0].end, first):
                # "大市成交额突破三千亿，创历史新高": of the turnover, not of the market.
                continue
            if len(before) > 1 and moves_zh.is_list(text, before):
                subjects = before
            used.add(id(window))
            made += [_chinese_claim(passage, match, window, one, (start, end, first, final)) for one in subjects]
        if named:
            last = named[-1:]
    return made


def _chinese_claim(
    passage: Passage, match: re.Match[str], window: Window, subject: Subject, bounds: tuple[int, int, int, int]
) -> Claim:
    start, end, first, final = bounds
    text = passage.text
    sign = -1 if match["down"] or (match["move"] and re.search("跌|差", match.group())) else 1
    is_near = bool(_ZH_NEAR.search(text, max(start, first - 4), first) or text.startswith(("附近", "徘徊"), final))
    if is_near and text.startswith(("附近", "徘徊"), final):
        final += 2
    begin = first
    verb = re.search(
        r"(?:曾|一度|盘中|盤中|收市|收盘|收盤)?(?:再|刷新|改写|改寫)?(?:创下|創下|创出|創出|创|創|触及|觸及|见|見|升至|涨至|漲至|跌至|收报|收報|接近|逼近|达|達|处于|處於"
        r"|近)(?:了|近|逾|超过|超過)?$",
        text[start:first],
    )
    if verb is not None:
        begin = start + verb.start()
    if start <= subject.start < begin:
        begin = subject.start
    day = claim_parts.named_day(passage, start, end) or claim_parts.named_day(passage, passage.start, first)
    as_of_date, basis = claim_parts.as_of(passage, day or claim_parts.day_window(passage, first, final))
    timing = _basis(text[begin:final])
    details: dict[str, str | float | int | bool | None] = {"basis": timing}
    if subject.is_proxy:
        details["is_proxy"] = True
    metric = "close"
    if match["move"]:
        metric, timing = "return_pct", "close"
        details["basis"] = "close"
        word = match.group()
        details["period"] = "week" if re.search("[周週]", word) else "month" if "月" in word else "day"
    return Claim(
        claim_type=ClaimType.EXTREME,
        rule_id="extreme.zh_move" if match["move"] else "extreme.zh",
        start=begin,
        end=final,
        quote=text[begin:final],
        subject_text=subject.text,
        subject_id="" if subject.instrument else subject.symbol,
        metric=metric,
        direction=Direction.UP if sign > 0 else Direction.DOWN,
        comparator=comparator(sign, is_near=is_near and not match["move"]),
        window=window,
        as_of_date=as_of_date,
        as_of_basis=basis,
        timing=timing,
        stance="forecasts" if re.search(r"有望|料|预计|預計|可能|将|將", text[start:first]) else "asserts",
        details=details,
    )
