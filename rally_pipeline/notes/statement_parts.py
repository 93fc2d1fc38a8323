"""What the grammars of statements share: who invests, in what, which stretch of a sentence makes the statement.

Belongs here: word classes and small helpers for `positioning.py` and `statements.py`. Does not belong here: a rule that
yields a claim.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rally_pipeline.notes.records import (
    Claim,
    ClaimType,
    Comparator,
    Direction,
    MentionKind,
    Passage,
    Window,
)
from rally_pipeline.notes.subjects import instrument_of

#: How far from a statement its investors and its market are looked for.
REACH = 240

#: How many phrases of a kind are looked at in one sentence.
MOST = 8

Plain = str | float | int | bool | None

INVESTORS = (
    r"(?:(?:Asia(?:n|-based|-focused|-Pacific)?|US(?:-based)?|U\.S\."
    r"|European|global|foreign|overseas|international|offshore"
    r"|onshore|mainland|Chinese|domestic|local|Western|active|passive"
    r"|large|big|many|most|some|institutional|emerging[- ]market"
    r"|EM|equity|multi-strategy|quant(?:itative)?|systematic|macro|fundamental"
    r"|long[/-]short|long-only|real[- ]money|mutual"
    r"|sovereign(?:[- ]wealth)?|pension|hedge|wealth|asset|fund|money"
    r"|portfolio|trend-following|momentum|retail|individual"
    r"|professional|other|Wall Street) ){0,4}"
    r"(?:hedge funds?|mutual funds?|pension funds?|funds|investors|managers|asset owners|allocators|CTAs|institutions"
    r"|traders|accounts|clients|speculators|money managers|long-onlys?|real money|FIIs|FPIs)"
)
INVESTORS_CHINESE = (
    r"(?:(?:全球|海外|外国|外國|国际|國際|外资|外資|境外|主动型?|主動型?"
    r"|被动|被動|内地|內地|本地|亚洲|亞洲|欧美|歐美|量化|宏观|宏觀|长线"
    r"|長線|新兴市场|新興市場|机构|機構|长期|長期|共同|互惠)的?){0,3}"
    r"(?:对冲基金|對沖基金|避险基金|避險基金|共同基金|互惠基金|主权基金"
    r"|主權基金|养老基金|退休基金|基金经理|基金經理|长线基金|長線基金"
    r"|基金|投资者|投資者|投资人|投資人|资金|資金|机构|機構|外资|外資)"
)
_INVESTORS = re.compile(rf"\b{INVESTORS}\b", re.IGNORECASE)
_INVESTORS_CHINESE = re.compile(INVESTORS_CHINESE)
_MARKET = re.compile(
    r"\b(?:(?:offshore|onshore|mainland|Hong Kong-listed|US-listed|Chinese"
    r"|China|Hong Kong|Asian?|emerging[- ]market|European"
    r"|Japanese|Indian|US|global) ){1,3}(?:tech(?:nology)?|internet"
    r"|AI)?\ ?(?:stocks|shares|equities|markets?|ADRs|names)\b"
    r"|\b(?:H|A)[- ]shares\b|\bMSCI China\b|\b(?:on|in|to|of) (?P<land>China|Hong Kong|India|Japan)\b",
    re.IGNORECASE,
)
_MARKET_CHINESE = re.compile(
    r"(?:(?:中国|中國|中资|中資|香港|离岸|離岸|在岸|海外中国|新兴市场"
    r"|新興市場)(?:科技|互联网|互聯網)?(?:股票|股市|资产|資產|市场|市場"
    r"|股)|港股|A股|H股|中概股|恒生科技|科网股|科網股)"
)
_EDGE_LEFT = re.compile(
    r"[\n;:,，。；：、！？“”\"「」『』(（]|\ [–—-]\ "
    r"|\b(?:said|says|say|told\ \w+|noted|notes|added|adds|wrote|writes|argued|believes?|warned|thinks?|shows?|showed"
    r"|suggests?|suggested|reported)\b(?:\ (?:in|on|to)\ [^,;:“\"]{0,40}?(?=\ that\b))?(?:\ that\b)?"
    r"|\b(?:while|whereas|but|although|though|because|since(?=\ (?:the"
    r"|it|investors))|and\ that|after(?!\ the\b|\ a\b))\b"
    r"|(?:表示|指出|认为|認為|称|稱|显示|顯示|而|但)"
)
_EDGE_RIGHT = re.compile(
    r"[\n;:。；：！？“”\"「」『』)）]|[,，、](?!\d)|\ [–—-]\ |[.!?](?=\s"
    r"|\Z|[”\"])|\b(?:while|whereas|but|although|according\ to|said)\b"
    r"|而|但"
)


def investors_near(passage: Passage, start: int, end: int) -> tuple[str, int, int]:
    """Who is meant by a statement at ``start..end``: the investors named in or last before it, else next after it, else
    last in the sentence before; ``("", 0, 0)`` if nobody is.
    """
    pattern = _INVESTORS_CHINESE if passage.is_chinese else _INVESTORS
    near = max(passage.start, start - REACH), min(passage.end, end + REACH)
    found = [match.span() for match in pattern.finditer(passage.text, *near)]
    before = [span for span in found if span[0] < end]
    if before:
        first, last = before[-1]
        return passage.text[first:last], first, last
    if found:
        first, last = found[0]
        return passage.text[first:last], first, last
    earlier = passage.previous
    if earlier is not None:
        spans = [
            m.span() for m in pattern.finditer(earlier.text, earlier.start, min(earlier.end, earlier.start + REACH))
        ]
        if spans:
            return earlier.text[spans[0][0] : spans[0][1]], 0, 0
    return "", 0, 0


def market_near(passage: Passage, start: int, end: int) -> tuple[str, str]:
    """``(subject_text, subject_id)``: the market or instrument a statement is about, nearest to it in its sentence."""
    best: tuple[int, str, str] | None = None
    for mention in passage.mentions:
        symbol = instrument_of(mention, passage.text) if mention.kind is MentionKind.INSTRUMENT else None
        if symbol is not None and not any(reading.startswith("broker:") for reading in mention.also):
            gap = max(0, mention.start - end, start - mention.end)
            if best is None or gap < best[0]:
                best = (gap, mention.text, symbol)
    pattern = _MARKET_CHINESE if passage.is_chinese else _MARKET
    for match in pattern.finditer(passage.text, max(passage.start, start - REACH), min(passage.end, end + REACH)):
        group = "land" if "land" in pattern.groupindex and match.group("land") else 0
        gap = max(0, match.start(group) - end, start - match.end(group))
        if best is None or gap < best[0]:
            best = (gap, match.group(group), "")
    return ("", "") if best is None else (best[1], best[2])


def clause_around(passage: Passage, start: int, end: int) -> tuple[int, int]:
    """The clause that holds a phrase: up to the next comma, quotation mark, conjunction or reporting verb each side."""
    text = passage.text
    first, last = passage.start, passage.end
    for match in _EDGE_LEFT.finditer(text, max(first, start - 2 * REACH), start):
        first = match.end()
    right = _EDGE_RIGHT.search(text, end, passage.end)
    if right is not None:
        last = right.start()
    return trimmed(text, first, last)


_LOOSE_START = re.compile(r"(?:and|but|or|as|while|so|that|because|even)\s+(?:as\s+|even\s+)?(?=\w)", re.IGNORECASE)
_LOOSE_END = re.compile(r"[\s,]+(?:and|or|but|as|with|that|which|who|in|on|at|the|a)\Z", re.IGNORECASE)


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A stretch without blanks, stray marks and a conjunction left over at its ends."""
    marks = " \t\n\u00a0\u2009,，.。;；:：“”\"「」『』'‘’-–—"
    while start < end and text[start] in marks:
        start += 1
    while end > start and text[end - 1] in marks:
        end -= 1
    if (lead := _LOOSE_START.match(text, start, end)) is not None:
        start = lead.end()
    if (loose := _LOOSE_END.search(text[max(start, end - 8) : end])) is not None:
        end -= len(loose.group())
    return start, end


_CUT = re.compile(r"[;:,，；。：“”\"]|\b(?:said|wrote|noted|told|added|according)\b")


def window_near(passage: Passage, start: int, end: int) -> Window | None:
    """The stretch of time of a statement: one inside it, else the nearest in its sentence within 60 characters."""
    best: tuple[int, Window] | None = None
    for window in passage.windows:
        gap = max(0, window.start - end, start - window.end)
        if gap and _CUT.search(passage.text, min(end, window.end), max(start, window.start)):
            continue
        if gap <= 60 and (best is None or gap < best[0]):
            best = (gap, window)
    return None if best is None else best[1]


def _is_beside(passage: Passage, who: str, start: int, end: int, *, is_mood: bool) -> bool:
    """Whether investors are named in a statement or directly before it; those further off may be others.

    A mood is theirs only where they begin its clause or "among" stands before them: "bullish on Acme, whose investors".
    """
    if not who:
        return False
    first = max(passage.start, start - 45)
    at = passage.text.rfind(who, first, end)
    if is_mood:
        return start <= at and (at - start <= 4 or passage.text.endswith(("among ", "amongst "), start, at))
    return at >= start or (at >= 0 and _CUT.search(passage.text, at + len(who), start) is None)


def statement(
    passage: Passage,
    claim_type: ClaimType,
    rule: str,
    span: tuple[int, int],
    *,
    metric: str,
    statement_class: str,
    polarity: int,
    direction: Direction | None = None,
    comparator: Comparator = Comparator.QUALITATIVE,
    window: Window | None = None,
    subject: tuple[str, str] = ("", ""),
    extra: Mapping[str, Plain] | None = None,
) -> Claim:
    """A claim of one of the statement types with its details."""
    start, end = trimmed(passage.text, *span)
    details: dict[str, Plain] = {"statement_class": statement_class, "polarity": polarity}
    if extra:
        details.update(extra)
    if not any(subject) and _is_beside(
        passage, str(details.get("investors") or ""), start, end, is_mood=claim_type is ClaimType.SENTIMENT
    ):
        # No market is named: then it is about those who trade.
        subject = (str(details["investors"]), "")
    return Claim(
        claim_type=claim_type,
        rule_id=f"{claim_type.value}.{rule}",
        start=start,
        end=end,
        quote=passage.text[start:end],
        subject_text=subject[0],
        subject_id=subject[1],
        metric=metric,
        direction=direction,
        comparator=comparator,
        window=window,
        details=details,
    )
