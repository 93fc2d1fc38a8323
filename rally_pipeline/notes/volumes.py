"""Claims that the volume or turnover of a share, index or market was a record or the largest for long.

Belongs here: records of trading volume and turnover, English and Chinese. Does not belong here: flows through Stock
Connect, also their turnover (`flows.py`), and sales of companies.
"""

from __future__ import annotations

import re
from typing import Final

from rally_pipeline.notes import claim_parts, moves_zh
from rally_pipeline.notes.claim_parts import LENGTHS
from rally_pipeline.notes.clauses import chinese_clauses, clauses
from rally_pipeline.notes.labels import label_before
from rally_pipeline.notes.noun_phrases import Subject
from rally_pipeline.notes.predicates import piece_bounds, stance_before, token_at
from rally_pipeline.notes.records import (
    Claim,
    ClaimType,
    Comparator,
    Direction,
    MentionKind,
    Passage,
    Quantity,
    QuantityKind,
    Window,
    WindowKind,
)
from rally_pipeline.notes.subjects import instrument_of, is_index, resolve_subject

_WORD: Final = re.compile(
    r"\b(?:(?P<volume>(?:trading |share |monthly |daily |weekly |total |average |traded ){0,4}volumes?"
    r"|shares traded|(?:shares|stock) changed hands)"
    r"|(?P<turnover>(?:trading |daily |market |monthly |total |average ){0,4}turnover|(?:value of (?:shares |trades"
    r"|trading)\w*|trading value|traded value)))\b",
    re.IGNORECASE,
)
_EXTREME: Final = re.compile(
    r"\b(?:(?P<high>records?|highest|largest|biggest|heaviest|busiest|all-time (?:high|peak)|high|most|peak"
    r"|more than (?:on|in) any (?:other )?(?:single )?(?:day|session|week|month|quarter|year))"
    r"|(?P<low>lowest|smallest|thinnest|lightest|slimmest|low))\b",
    re.IGNORECASE,
)
_OTHER: Final = re.compile(
    r"\b(?:sales|IPOs?|M&A|deals?|fundraising|transactions?|leasing|cargo|shipping|passenger|search|order|export|import|loan|lending|production"
    r"|retail|data|traffic|throughput"
    r"|southbound|northbound|stock connect|futures|options|derivatives|crypto|bitcoin|gold|staff|employee|asset"
    r"|inventory|e-commerce)\b",
    re.IGNORECASE,
)
_MARKET: Final = re.compile(
    r"\b(?:(?:in|on|of|for|across) (?:the )?)?(?P<name>Hong Kong(?:['’]s)?(?: (?:stock )?(?:market|exchange|shares"
    r"|stocks|main ?board|bourse))?|main ?board|(?:the )?(?:city['’]s )?(?:stock )?(?:market|exchange|bourse)"
    r"|Shanghai(?: and Shenzhen)?|mainland(?: markets?)?|Wall Street|Tokyo)\b",
    re.IGNORECASE,
)
_PERIOD: Final = (
    (
        "month",
        re.compile(
            r"\bmonth|\bin (?:january|february|march|april|may|june|july|august|september|october|november|december)"
            r"|月",
            re.IGNORECASE,
        ),
    ),
    ("week", re.compile(r"\bweek|[周週]", re.IGNORECASE)),
    ("quarter", re.compile(r"\bquarter|季", re.IGNORECASE)),
    ("year", re.compile(r"\bannual|\byearly|全年|年度", re.IGNORECASE)),
    ("day", re.compile(r"\bdaily|\bday\b|\bsession|单日|單日|全日|今日|昨日|[周週][一二三四五]", re.IGNORECASE)),
)

_ADJECTIVES: Final = re.compile(
    r"(?:[\s-]*\b(?:high|quarterly|monthly|daily|weekly|annual|single-day|one-day|average|ever|total|share|trading|market)\b)*\s*",
    re.IGNORECASE,
)
_FROM: Final = re.compile(r"\b(?:from|below|off|short of|than|under|despite)\b", re.IGNORECASE)

#: How many sentences back the share of a note about one may be named.
SENTENCES_BACK: Final = 8
#: Of a sentence at most so many words for volume are looked at.
MAX_MATCHES: Final = 20


def find(passage: Passage) -> list[Claim]:
    """The claims of record volume or turnover in a sentence; metric ``volume`` or ``turnover``."""
    if not any(window.kind in LENGTHS for window in passage.windows):
        return []
    if passage.is_chinese:
        return _find_chinese(passage)
    made: list[Claim] = []
    used: set[int] = set()
    for number, match in enumerate(_WORD.finditer(passage.text, passage.start, passage.end)):
        if number >= MAX_MATCHES:
            break
        claim = _english(passage, match, used)
        if claim is not None:
            made.append(claim)
    return made


def _english(passage: Passage, match: re.Match[str], used: set[int]) -> Claim | None:
    text = passage.text
    start, end = piece_bounds(passage, match.start())
    window = _nearest(passage, match, (start, min(passage.end, end + 90)))
    if (
        window is None
        or id(window) in used
        or _OTHER.search(text, max(start, match.start() - 60), min(end, match.end() + 50))
    ):
        return None
    first, last = min(match.start(), window.start), max(match.end(), window.end)
    extreme = _EXTREME.search(text, max(passage.start, first - 20), last)
    if extreme is None:
        return None
    if not _belongs(text, match, extreme):
        return None
    first, last = min(first, extreme.start()), max(last, extreme.end())
    subject = _subject(passage, match, start, max(end, last), window)
    if subject is None:
        return None
    used.add(id(window))
    begin = (
        subject.start
        if subject.end > subject.start and first - 60 <= subject.start < first and subject.start >= start
        else first
    )
    final = max(last, subject.end) if last <= subject.start <= last + 12 else last
    quantity = _quantity(passage, start, min(passage.end, end + 60))
    if quantity is not None and last < quantity.end <= last + 40:
        final = max(final, quantity.end)
    found = clauses(passage)
    stance = stance_before(found, token_at(found, extreme.start())) if found.tokens else "asserts"
    return _claim(
        passage,
        subject,
        (begin, final),
        match["volume"] is not None,
        extreme["low"] is not None,
        window,
        quantity,
        stance,
    )


def _belongs(text: str, match: re.Match[str], extreme: re.Match[str]) -> bool:
    """Whether the extreme is said of the volume: "record daily volume", "volume hit a record".

    Not so in "record highs in light volume" and "turnover fell from a record".
    """
    if extreme.end() <= match.start():
        return _ADJECTIVES.fullmatch(text, extreme.end(), match.start()) is not None
    return _FROM.search(text, match.end(), max(match.end(), extreme.start())) is None


def _nearest(passage: Passage, match: re.Match[str], bounds: tuple[int, int]) -> Window | None:
    best: tuple[int, Window] | None = None
    for window in passage.windows:
        if window.kind not in LENGTHS or window.end < bounds[0] or window.start > bounds[1]:
            continue
        gap = max(window.start - match.end(), match.start() - window.end, 0)
        if gap <= 90 and (best is None or gap < best[0]):
            best = (gap, window)
    return None if best is None else best[1]


_OWNED: Final = re.compile(
    r"\b(?:its|their|the (?:stock|share|company|group)['’]s)\s+(?:[\w-]+\s+){0,2}$", re.IGNORECASE
)
_LISTED: Final = re.compile(r"\b(?:list(?:ing|ed)|debut\w*|ipo|public|flotation|initial)\b", re.IGNORECASE)
_LISTED_ZH: Final = re.compile(r"上市|挂牌|掛牌|招股")


def _share(passage: Passage, at: int) -> Subject | None:
    """The share a sentence without a name is about: that of its label, what its words point back to, or the only share
    of the nearest sentence before that names any.
    """
    label = label_before(passage, at)
    if label is not None:
        return Subject(at, at, label[0], label[1], is_reference=True)
    resolved = resolve_subject(passage, at)
    if resolved is not None:
        return Subject(resolved[2], resolved[3], resolved[0], resolved[1], is_reference=True)
    earlier = passage.previous
    for _ in range(SENTENCES_BACK):
        if earlier is None:
            break
        named = [
            (mention.text, symbol)
            for mention in earlier.mentions
            if (symbol := instrument_of(mention, earlier.text)) is not None and not is_index(mention)
        ]
        if named:
            return Subject(at, at, *named[0], is_reference=True) if len({one[1] for one in named}) == 1 else None
        earlier = earlier.previous
    return None


def _owner(passage: Passage, match: re.Match[str]) -> Subject | None:
    """The company in words where nothing tells its name: "volume in the company's Hong Kong shares"."""
    named = _OF_OWNER.match(passage.text, match.end(), passage.end)
    if named is None:
        return None
    resolved = resolve_subject(passage, named.end("who"))
    if resolved is not None:
        return Subject(resolved[2], resolved[3], resolved[0], resolved[1], is_reference=True)
    return Subject(named.start("who"), named.end("who"), named["who"], is_reference=True)


_OF_OWNER: Final = re.compile(
    r" (?:in|of|for) (?P<who>(?:the|its) (?:[\w-]+ )?(?:company|group|stock|shares?|firm|lender|giant|maker))\b"
)


#: "volume in Acme shares", "turnover in the ADRs".
_OF_NAME: Final = re.compile(
    r" (?:in|of) (?:the )?(?P<who>[A-Z][\w&.]*(?: [A-Z][\w&.]*){0,3})(?: (?:shares|stock|units))?\b"
    r"(?<!January)(?<!February)(?<!March)(?<!April)(?<!May)(?<!June)(?<!July)(?<!August)(?<!September)(?<!October)"
    r"(?<!November)(?<!December)"
)


def _subject(
    passage: Passage, match: re.Match[str], start: int, end: int, window: Window | None = None
) -> Subject | None:
    """The share or index named nearest in the clause; else the market; else what "its" stands for."""
    text = passage.text
    best: tuple[int, Subject] | None = None
    for mention in passage.mentions:
        if mention.kind not in (MentionKind.INSTRUMENT, MentionKind.BROKER) or not start <= mention.start < end:
            continue
        symbol = instrument_of(mention, text)
        if symbol is None:
            continue
        gap = min(abs(mention.end - match.start()), abs(mention.start - match.end()))
        if best is None or gap < best[0]:
            best = (gap, Subject(mention.start, mention.end, mention.text, symbol))
    if best is not None:
        return best[1]
    is_of_share = _OWNED.search(text[max(start, match.start() - 24) : match.start()]) is not None
    if is_of_share or (window is not None and _LISTED.search(text, window.start, window.end)):
        # "its volume in Hong Kong", "since the listing": of one share, and the place is where it trades.
        return _share(passage, match.start()) or _owner(passage, match)
    market = _MARKET.search(text, match.end(), min(end, match.end() + 60)) or _MARKET.search(
        text, max(start, match.start() - 40), match.start()
    )
    if market is not None:
        return Subject(market.start("name"), market.end("name"), market["name"], "", is_proxy=False)
    named = _OF_NAME.match(text, match.end(), end)
    if named is not None:
        return Subject(named.start("who"), named.end("who"), named["who"], "")
    label = label_before(passage, match.start())
    if label is not None:
        return Subject(match.start(), match.start(), label[0], label[1], is_reference=True)
    resolved = resolve_subject(passage, match.start())
    if resolved is not None:
        return Subject(resolved[2], resolved[3], resolved[0], resolved[1], is_reference=True)
    if match["turnover"] and claim_parts.has_market_words(passage) is False:
        return Subject(match.start(), match.start(), "", "")
    return None


def _quantity(passage: Passage, start: int, end: int) -> Quantity | None:
    for quantity in passage.quantities:
        if start <= quantity.start < end and (
            (quantity.kind is QuantityKind.MONEY and quantity.scale > 1)
            or quantity.kind is QuantityKind.SHARES
            or (quantity.kind is QuantityKind.NUMBER and quantity.scale >= 1e6)
        ):
            return quantity
    return None


def _claim(
    passage: Passage,
    subject: Subject,
    span: tuple[int, int],
    is_volume: bool,
    is_low: bool,
    window: Window,
    quantity: Quantity | None,
    stance: str,
) -> Claim:
    text = passage.text
    context = text[max(passage.start, span[0] - 40) : min(passage.end, span[1] + 30)]
    stretch = next(
        (
            one
            for one in passage.windows
            if one.kind in (WindowKind.PERIOD, WindowKind.MONTH_TO_DATE, WindowKind.WEEK_TO_DATE)
        ),
        None,
    )
    period = next((name for name, pattern in _PERIOD if pattern.search(context)), "day")
    day = next((one for one in passage.windows if one.kind is WindowKind.DAY), None)
    as_of_date, basis = claim_parts.as_of(passage, day)
    details: dict[str, str | float | int | bool | None] = {"period": period}
    if stretch is not None and stretch.start_earliest is not None:
        details["period_start"] = stretch.start_earliest.isoformat()
        details["period_end"] = stretch.last.isoformat() if stretch.last else None
        details["period_text"] = text[stretch.start : stretch.end]
    if quantity is not None:
        # What is claimed is the record; the amount is told beside it.
        details["amount"] = quantity.value
        details["amount_unit"], _ = claim_parts.unit_of(quantity)
        details["amount_hedge"] = quantity.hedge
    return Claim(
        claim_type=ClaimType.VOLUME_RECORD,
        rule_id="volume.zh" if passage.is_chinese else "volume.record",
        start=span[0],
        end=span[1],
        quote=text[span[0] : span[1]],
        subject_text=subject.text,
        subject_id=subject.symbol,
        metric="volume" if is_volume else "turnover",
        direction=Direction.DOWN if is_low else Direction.UP,
        comparator=Comparator.LOWEST_IN_WINDOW if is_low else Comparator.HIGHEST_IN_WINDOW,
        is_scale_word_chinese=quantity is not None and quantity.is_scale_word_chinese,
        window=window,
        as_of_date=as_of_date,
        as_of_basis=basis,
        stance=stance,
        details=details,
    )


# ---------------------------------------------------------------------- Chinese

_ZH_WORD: Final = re.compile(
    r"(?P<volume>成交(?:股[数數]|量)|交投量)|(?P<turnover>成交(?:额|額|金额|金額|总额|總額)?|大市成交)"
)
_ZH_EXTREME: Final = re.compile(r"(?P<high>纪录|紀錄|记录|記錄|新高|最高|最大|最多|天量)|(?P<low>新低|最低|最少|地量)")
_ZH_OTHER: Final = re.compile(r"南向|北向|北水|港股通|深股通|沪股通|滬股通|楼|樓|二手|一手|土地|零售|房")


def _find_chinese(passage: Passage) -> list[Claim]:
    text = passage.text
    made: list[Claim] = []
    last: list[Subject] = []
    pending: re.Match[str] | None = None
    origin = passage.start
    for start, end in chinese_clauses(text, passage.start, passage.end):
        named = moves_zh.subjects_in(passage, start, end)
        word = _ZH_WORD.search(text, start, end)
        if word is not None:
            pending, origin = word, start
        extreme = _ZH_EXTREME.search(text, start, end)
        if pending is not None and extreme is not None and extreme.start() - pending.end() <= 40:
            window = next((one for one in passage.windows if one.kind in LENGTHS and origin <= one.start < end), None)
            if window is not None and not _ZH_OTHER.search(text, origin, end):
                before = [one for one in named if one.end <= extreme.start()] or last
                market = re.compile(r"港股|大市|两市|兩市|[沪滬]深|A股|全市").search(
                    text, passage.start, extreme.start()
                )
                of_note = (
                    _share(passage, pending.start())
                    if not before and _LISTED_ZH.search(text, window.start, window.end)
                    else None
                )
                subject = (
                    of_note
                    if of_note is not None
                    else Subject(market.start(), market.end(), market.group(), "")
                    if market is not None and not (before and before[-1].symbol and not before[-1].is_proxy)
                    else before[-1]
                    if before
                    else Subject(pending.start(), pending.start(), "", "")
                )
                first = min(pending.start(), window.start)
                if origin <= subject.start < first:
                    first = subject.start
                final = max(extreme.end(), window.end)
                quantity = _quantity(passage, first, final + 20)
                made.append(
                    _claim(
                        passage,
                        subject,
                        (first, final),
                        pending["volume"] is not None,
                        bool(extreme["low"]),
                        window,
                        quantity,
                        "asserts",
                    )
                )
                pending = None
        if named:
            last = named
    return made
