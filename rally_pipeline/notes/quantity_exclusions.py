"""Numbers that are no quantities: dates, times, tickers, names of indices, telephone and section numbers, addresses.

Belongs here: telling such numbers. Does not belong here: reading quantities (`quantities.py`).
"""

from __future__ import annotations

import re

from rally_pipeline.notes.dates import MONTH_NUMBERS
from rally_pipeline.notes.quantity_units import Raw
from rally_pipeline.notes.word_sets import words

_MONTH_NAMES = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_MONTH_AFTER = re.compile(
    rf"(?:st|nd|rd|th)?(?:\s?[-–]\s?\d{{1,2}})?(?:\s+of)?[\s-]{{1,2}}{_MONTH_NAMES}(?![a-z])", re.IGNORECASE
)
_DAY_BEFORE = re.compile(r"(\w{3,9})\.?[\s-]\d{1,2}(?:st|nd|rd|th)?\s?(?:-|–|to|and|,)\s?\Z")
_INDEX_WORDS = words(
    "s&p s&amp;p s&p/asx s&p/tsx csi nasdaq nikkei average russell ftse ftseurofirst cac dax mdax tecdax sdax "
    "stoxx europe topix kospi kosdaq"
    " nifty sensex bse ibex aex smi star asx fortune msci tsx omx set seng tech sse shanghai shenzhen vn jpx "
    "times dow jones china wilshire"
    " bloomberg global spx ndx jse egx psi lq qse bel composite ftse/jse crsi psei index stars growth sti mib "
    "obx wig bovespa top"
)
_INDEX_WORDS_ZH = tuple(
    sorted(
        words(
            "沪深 滬深 上证 上證 中证 中證 深证 深證 科创 科創 日经 日經 标普 標普 标准普尔 標準普爾 纳斯达克 "
            "納斯達克 纳指 納指 罗素 羅素 富时 富時 创业板"
            " 創業板 财富 財富 恒指 道指 中国 中國 世界 全球 胡润 胡潤 斯托克 斯托克斯"
        )
    )
)
_INDEX_SIZES = words("20 25 30 35 40 45 50 60 80 100 150 200 225 250 300 350 400 500 600 800 1000 1500 2000 3000 5000")
_LABELS = words(
    "page p pp figure fig exhibit chart table section chapter article rule form room flat suite code ticker tel "
    "fax phone mobile boeing"
    " airbus model route highway flight building tower box series type class version item note no agenda vision "
    "windows ext licence license"
    " reg registration id iphone galaxy zip postcode level tier phase basel ltd inc rtx gtx ce ref no"
)
_AIRCRAFT = words("737 747 757 767 777 787 320 321 330 350 380")
_AIRCRAFT_AFTER = re.compile(r"[\s-]?(?:max|neo|dreamliner|x|jets?|planes?|aircraft)\b", re.IGNORECASE)
_CODE_BEFORE = re.compile(r"(?:[A-Z]{2,7}:\s?|代[码碼號号][:：]?\s?|[电電][话話][:：]?\s?|[\[［]|[(（][A-Z]{1,6}\s?)\Z")
_TICKER_AFTER = re.compile(
    r"(?:\.|\s)(?:HK|SS|SZ|SH|KS|KQ|TWO|TW|CH|JP|TT|SP|IN|US|LN|GR|FP|AU|T|L|DE|PA|BJ|SI|NS|BO|AX)(?![A-Za-z$¥€])"
)
_URLS = re.compile(
    r"(?:https?://|www\.)[^\s<>]{1,400}|[\w.+-]{1,64}@[\w.-]{1,100}"
    r"|\b[\w-]{1,60}\.(?:com|org|net|hk|cn|htm|html|pdf)/[^\s]{1,200}"
)
_PHONE = re.compile(
    r"\(?\+(?=(?:\d[\s()-]{0,2}){9,15}(?!\d))\d{1,3}\)?[\s-]?(?:\(?\d{1,4}\)?[\s-]?){1,4}"
    r"|(?<![\d.,])\d{4}[ -]\d{4}(?![\d.,%])|(?<!\d)\d{3}[-.\s]\d{3}[-.\s]\d{4}(?!\d)"
    r"|(?<!\d)1[-\s]\d{3}[-\s]\d{3}[-\s]\d{4}"
)
_NUMERIC_DATE = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2(?:(?:19|20)\d\d|\d{2}))(?!\d|[.,%]\d|%)"
)
# Something that the three patterns above could begin with; their first character sets make the searches fast.
_MASKED = re.compile(
    r"[-/.+@:](?:(?<=\d[-/])\d|(?<=\d\.)\d{1,3}\.\d|(?<=\+)\d{1,3}\)?[\s(-]|(?<=@)\w|(?<=:)//|(?<=\.)(?:com|org"
    r"|net|hk|cn)/)"
)
_MASKED_EIGHT = re.compile(r"\d(?:(?<=\d{4}) \d{4}(?!\d))")


def masks(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Stretches in which no number counts: addresses, telephone numbers, dates in figures; by their start."""
    if (
        _MASKED.search(text, start, stop) is None
        and _MASKED_EIGHT.search(text, start, stop) is None
        and text.find("www.", start, stop) < 0
    ):
        return []
    spans = [
        match.span() for pattern in (_URLS, _PHONE, _NUMERIC_DATE) for match in pattern.finditer(text, start, stop)
    ]
    spans.sort()
    return spans


def word_before(text: str, floor: int, at: int) -> str:
    """The last word before `at`, at most 16 characters, without blanks and hyphens behind it."""
    last = at
    while last > floor and text[last - 1] in " \u00a0-\t":
        last -= 1
    part = text[max(floor, last - 16) : last]
    for blank in (" ", "\n", "\t", "\u00a0", "(", "，", ","):
        part = part.rpartition(blank)[2]
    return part


def is_month_after(text: str, at: int, stop: int) -> bool:
    """Whether a month follows: ``17 February``, ``17-18 Feb``, ``17th of March``."""
    if at < stop and text[at] not in " -–snrt\u00a0\n":
        return False
    return _MONTH_AFTER.match(text, at, stop) is not None


def is_month_before(text: str, floor: int, at: int) -> bool:
    """Whether a month stands before: ``February 17``, ``Feb. 17-18``."""
    if word_before(text, floor, at).rstrip(".").lower() in MONTH_NUMBERS:
        return True
    if at - 1 >= floor and text[at - 1] in " -–" and at - 2 >= floor:
        days = _DAY_BEFORE.search(text, max(floor, at - 20), at)
        return days is not None and days[1].lower() in MONTH_NUMBERS
    return False


def is_name(text: str, floor: int, stop: int, raw: Raw, whole: str, has_point: bool) -> bool:
    """Whether a number is part of a name, date, time, fraction or label; `whole` are its digits before the point."""
    first, last = raw.start, raw.end
    before = text[first - 1] if first > 0 else " "
    after = text[last] if last < stop else " "
    if before in "/:." and first >= 2 and text[first - 2].isalnum():
        return True
    next_digit = last + 1 < stop and text[last + 1].isdigit()
    if next_digit and (after == "." or (after in "/:：" and whole.isdigit())):
        return True
    if raw.kind is None and after in "-–" and last + 1 < stop and text[last + 1].isascii() and text[last + 1].isalpha():
        return True  # "10-year", "27-member"
    if has_point or raw.scale != 1.0 or not whole.isdigit():
        return False
    if len(whole) > 1 and whole[0] in "0０":
        return True
    if len(whole) in (1, 2, 4) and is_month_before(text, floor, first):
        return True
    if len(whole) <= 2 and is_month_after(text, last, stop):
        return True
    if raw.kind is not None:
        return False
    return _is_labelled(text, floor, stop, first, last, whole)


def _is_labelled(text: str, floor: int, stop: int, first: int, last: int, whole: str) -> bool:
    before = text[first - 1] if first > 0 else " "
    if whole in _INDEX_SIZES:
        if text[max(floor, first - 6) : first].rstrip().endswith(_INDEX_WORDS_ZH):
            return True
        if word_before(text, floor, first).lower() in _INDEX_WORDS:
            return True
    if len(whole) < 3:
        return False
    if whole in _AIRCRAFT and _AIRCRAFT_AFTER.match(text, last, stop) is not None:
        return True
    if before in "([（［<〈" and last < stop and text[last] in ")]）］>〉":
        return True
    if 3 <= len(whole) <= 6 and _TICKER_AFTER.match(text, last, stop) is not None:
        return True
    if before in " .:#(（\u00a0：码碼號号话話[［" or before.isalpha():
        if _CODE_BEFORE.search(text, max(floor, first - 10), first) is not None:
            return True
        return word_before(text, floor, first).rstrip(".:#(").lower() in _LABELS
    return False
