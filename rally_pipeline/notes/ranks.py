"""Claims of rank: the best-performing market this year, second only to the DAX, the top gainer of the index.

Belongs here: places among others by performance, English and Chinese. Does not belong here: highs and lows
(`extremes.py`), "the biggest inflow" (`flows.py`), the size of companies.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from rally_pipeline.notes import claim_parts, moves_zh
from rally_pipeline.notes.clauses import chinese_clauses, clauses
from rally_pipeline.notes.noun_phrases import Subject, says_price
from rally_pipeline.notes.predicates import piece_bounds, stance_before, subjects_of, token_at
from rally_pipeline.notes.records import Claim, ClaimType, Comparator, Direction, Passage, Window, WindowKind

_ORDINALS: Final = {
    **{"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9},
    **{"tenth": 10, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5, "one": 1, "two": 2, "three": 3, "last": None},
}
_PLACE: Final = r"(?P<{0}>first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|[1-5](?:st|nd|rd|th))"
_TRIGGER: Final = (
    *(
        "performing",
        "performer",
        "gainer",
        "loser",
        "decliner",
        "advancer",
        "rank",
        "second only",
        "behind only",
        "trail",
        "bettered",
    ),
    *("beaten only", "every other", "all other", "every the other", "all the other"),
)
_ZH_TRIGGER: Final = (
    "表",
    "名",
    "首",
    "榜",
    "领跑",
    "領跑",
    "冠绝",
    "冠絕",
    "仅次",
    "僅次",
    "跑赢",
    "跑贏",
    "第",
    "之首",
)
_SUPERLATIVE: Final = re.compile(
    r"\b(?:(?P<among>(?:one of|among)(?: the)? )?(?P<owner>(?:the )?(?:world|region|city|country|continent|globe"
    r"|asia|europe|year|day|session|week|month|market|sector)['’]?s? )?"
    + _PLACE.format("nth")
    + r"?[- ]?(?P<sup>best|worst|top|strongest|weakest|biggest|largest)[- ]"
    r"(?:(?:percentage|blue[- ]chip|large-cap|mid-cap|small-cap|single-stock|one-day|single-day|daily|weekly|monthly"
    r"|index|sector|constituent|individual|overall) ){0,2}"
    r"(?P<noun>performing|performers?|gainers?|losers?|decliners?|advancers?)"
    r"(?P<population>(?: (?!this\b|so\b|in\b|on\b|among\b|of\b|since\b|year\b|and\b|with\b|after\b|for\b|today\b"
    r"|as\b|is\b|was\b|behind\b|while\b|to\b|rose\b|fell\b|globally\b)[A-Za-z][\w&-]*){0,4})"
    r"(?P<where>(?: (?:in|on|among|of|across) (?:the |all )?(?:world|asia(?:-pacific)?|region|europe"
    r"|hang seng(?: \w+)?(?: index)?|index|benchmark|S&P 500"
    r"|dow|(?:major |global |world |large )+(?:markets|indices|indexes|benchmarks|bourses)|[A-Z][\w&]+)| globally"
    r"| worldwide)?))",
    re.IGNORECASE,
)
_RANKED: Final = re.compile(
    r"\brank(?:s|ed|ing)?(?: as)?(?: the)? (?:"
    + _PLACE.format("nth")
    + r"|no\. ?(?P<digit>\d{1,3})|number (?P<word>one|two|three)|(?P<behind>(?:just |only )?behind(?: only)?))\b"
    r"(?P<where>(?: (?:in|among|of) (?:the |all )?[A-Za-z][\w' -]{2,30}?)(?=[,.;]|$| this| so))?",
    re.IGNORECASE,
)
_SECOND_TO: Final = re.compile(
    r"\b(?:second only to|behind only|trail(?:s|ed|ing)? only|bettered only by|beaten only by|only)\b(?= (?:the "
    r"|[A-Z]))",
    re.IGNORECASE,
)
_BEATS_ALL: Final = re.compile(
    r"\b(?:outperform\w*|outpac\w+|beat(?:s|ing|en)?|ahead of|top(?:s|ped|ping)) (?:every"
    r"|all)(?: the)? other (?P<population>(?:[a-z-]+ ){0,3}(?:markets?|index(?:es)?|indices|benchmarks?|bourses?))\b",
    re.IGNORECASE,
)
_AFTER_ALL: Final = re.compile(
    r"(?: (?:this|so|in|of|on|to|far|year|month|world|globally|date|20\d\d)\b){0,5},?"
    r" (?:after|behind|bar|barring|except|apart from)(?: only)?\b(?= (?:the |for |[A-Z]))"
)
_OWNED: Final = re.compile(r"(?:['’]s?|\bmaking (?:it|them)) ?(?:one of the |among the |the )?$")
_NOT_PRICE: Final = re.compile(
    r"\b(?:loan|fund manager|brand|selling|earning|paid|employer|product|model|analyst|economy|economies"
    r"|non-performing)\w*\b",
    re.IGNORECASE,
)


_STREAK: Final = re.compile(
    r" for (?:an?|the) (?!year\b|week\b|month\b|day\b)[\w-]+ (?:straight |consecutive |successive |running )?"
    r"(?:day|session|week|month|quarter|year)\b",
    re.IGNORECASE,
)


def find(passage: Passage) -> list[Claim]:
    """The claims of rank in a sentence; metric ``rank``, value 1 for the first place, ``None`` for "among the best"."""
    if not claim_parts.says_any(passage, _ZH_TRIGGER if passage.is_chinese else _TRIGGER):
        return []
    return _find_chinese(passage) if passage.is_chinese else _find_english(passage)


def _find_english(passage: Passage) -> list[Claim]:
    text = passage.text
    made: list[Claim] = []
    for match in _SUPERLATIVE.finditer(text, passage.start, passage.end):
        population = " ".join(
            part.strip()
            for part in (match["owner"] or "", match["population"] or "", match["where"] or "")
            if part.strip()
        )
        if _NOT_PRICE.search(population):
            continue
        if match["sup"].lower() in ("biggest", "largest") and match["noun"].lower().startswith("perform"):
            continue
        is_plural = match["population"].strip().lower().endswith("s") or match["noun"].lower().endswith("s")
        value = float(_ORDINALS[match["nth"].lower()] or 0) if match["nth"] else 1.0
        is_among = bool(match["among"]) or (is_plural and match["nth"] is None)
        behind = ("", "")
        beyond = _AFTER_ALL.match(text, match.end(), min(passage.end, match.end() + 70))
        if beyond is not None and match["nth"] is None and not is_among:
            # "the best performer after the DAX" is the second.
            behind = _named_after(passage, beyond.end())
            value = 2.0
        is_down = match["sup"].lower() in ("worst", "weakest") or match["noun"].lower().startswith(("los", "decl"))
        made += _claims(
            passage,
            match.span(),
            None if is_among else value,
            "superlative",
            is_down=is_down,
            population=population,
            is_among=is_among,
            behind=behind,
        )
    for match in _RANKED.finditer(text, passage.start, passage.end):
        if match["behind"]:
            second = 2.0 if "only" in match["behind"].lower() else None
            made += _claims(
                passage, match.span(), second, "behind", population="", behind=_named_after(passage, match.end())
            )
            continue
        number = match["nth"] or match["word"] or match["digit"]
        place = _ORDINALS.get(number.lower()) or (int(number) if number.isdigit() else None)
        made += _claims(
            *(passage, match.span(), None if place is None else float(place), "ranked"),
            population=(match["where"] or "").strip(),
        )
    for match in _SECOND_TO.finditer(text, passage.start, passage.end):
        if match.group().lower() == "only" or any(one.start <= match.start() < one.end for one in made):
            continue
        made += _claims(
            passage, match.span(), 2.0, "second_to", population="", behind=_named_after(passage, match.end())
        )
    for match in _BEATS_ALL.finditer(text, passage.start, passage.end):
        made += _claims(passage, match.span(), 1.0, "beats_all", population=match["population"])
    return made


def _named_after(passage: Passage, offset: int) -> tuple[str, str]:
    """Text and symbol of the name after "behind"."""
    for mention in passage.mentions:
        if offset <= mention.start <= offset + 24:
            return mention.text, mention.entity_id
    match = re.compile(r" (?:the )?([A-Z][\w&]*(?: [A-Z0-9][\w&]*){0,3})").match(passage.text, offset, passage.end)
    return (match[1], "") if match else ("", "")


def _claims(
    passage: Passage,
    span: tuple[int, int],
    value: float | None,
    rule: str,
    *,
    population: str,
    is_down: bool = False,
    is_among: bool = False,
    behind: tuple[str, str] = ("", ""),
) -> list[Claim]:
    first, last = span
    if behind[0]:
        named = passage.text.find(behind[0], last, last + 100)
        last = named + len(behind[0]) if named >= 0 else last
    while last > first and passage.text[last - 1] == " ":
        last -= 1
    while first < last and passage.text[first] in " -":
        first += 1
    found = clauses(passage)
    if not found.tokens or _OWNED.search(passage.text, max(passage.start, first - 12), first):
        # "when it was the index's best performer", "making it the top gainer": said of something this does not find.
        return []
    subjects = subjects_of(passage, first, last)
    if not isinstance(subjects, list):
        return []
    made = []
    for subject in subjects:
        if not (subject.is_name or subject.is_reference) or (
            subject.is_reference and not subject.symbol and subject.text.islower() and not says_price(subject)
        ):
            continue
        start, end = first, last
        piece_start, piece_end = piece_bounds(passage, first)
        if piece_start <= subject.start < first:
            start = subject.start
        elif last <= subject.start < piece_end:
            end = subject.end
        made.append(
            _claim(
                passage,
                subject,
                (start, end),
                _window(passage, first, last),
                value,
                f"rank.{rule}",
                stance=stance_before(found, token_at(found, first)),
                population=population,
                is_down=is_down,
                is_among=is_among,
                behind=behind,
            )
        )
    return made


def _window(passage: Passage, first: int, last: int) -> Window | None:
    """The stretch a rank is over: the nearest after its words, else before."""
    if _STREAK.match(passage.text, last, passage.end):
        # "the worst performer for a third month": how long each is, not since when.
        return None
    stretches = [_as_stretch(window, passage) for window in passage.windows if window.kind is not WindowKind.ALL_TIME]
    after = [window for window in stretches if window.start >= first]
    if after and after[0].start - last <= 80:
        return after[0]
    before = [window for window in stretches if window.end <= first]
    if before:
        return before[-1]
    return None


def _as_stretch(window: Window, passage: Passage) -> Window:
    """The window grammar takes "best … this year" for the length of an extreme; a rank is over the year to date."""
    as_of, start = passage.context.as_of, window.start_earliest
    if window.kind is WindowKind.LOOKBACK and as_of is not None and start == as_of.replace(month=1, day=1):
        return replace(window, kind=WindowKind.YEAR_TO_DATE)
    return window


def _claim(
    passage: Passage,
    subject: Subject,
    span: tuple[int, int],
    window: Window | None,
    value: float | None,
    rule: str,
    *,
    stance: str,
    population: str,
    is_down: bool,
    is_among: bool,
    behind: tuple[str, str],
) -> Claim:
    as_of_date, basis = claim_parts.as_of(passage, window)
    details: dict[str, str | float | int | bool | None] = {"population": population}
    if is_among:
        details["is_among"] = True
    if behind[0]:
        details["behind_text"], details["behind_id"] = behind
    if subject.is_proxy:
        details["is_proxy"] = True
    return Claim(
        claim_type=ClaimType.RANK,
        rule_id=rule,
        start=span[0],
        end=span[1],
        quote=passage.text[span[0] : span[1]],
        subject_text=subject.text,
        subject_id="" if subject.instrument else subject.symbol,
        metric="rank",
        direction=Direction.DOWN if is_down else Direction.UP,
        comparator=Comparator.QUALITATIVE if value is None else Comparator.EQ,
        value=value,
        unit="rank",
        tolerance=None if value is None else 0.0,
        window=window,
        as_of_date=as_of_date,
        as_of_basis=basis,
        stance=stance,
        details=details,
    )


# ---------------------------------------------------------------------- Chinese

_ZH_DIGITS: Final = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5}
_ZH: Final = re.compile(
    r"(?P<best>(?P<pop>(?:全球|世界|亚洲|亞洲|全球主要|主要)?(?:主要)?(?:股市|股指|市场|市場|指数|指數)?(?:中)?)(?:今年)?表[现現](?:为|為|居|冠)?(?:全球|世界|亚洲|亞洲)?(?:第(?P<nbest>[二三四五])"
    r"|最)(?:佳|好|强|強|优|優|(?P<bad>差|弱))(?:的)?(?P<noun>(?:主要)?(?:股市|股指|市场|市場|指数|指數|股份)?))"
    r"|(?P<place>(?:升幅|涨幅|漲幅|表现|表現|排名|位居|位列|排|居|高居)(?:位)?(?:居|列|在)?(?P<pop2>全球|世界|亚洲|亞洲)?(?:主要股市|主要市场"
    r"|主要市場)?(?:之)?(?:第(?P<nth>[一二三四五])|(?P<first>首位|榜首|之首|居首)))"
    r"|(?P<second>仅次于|僅次於|仅次於|僅次于)"
    r"|(?P<lead>(?:领跑|領跑|冠绝|冠絕|跑赢|跑贏)(?P<pop3>全球|亚洲|亞洲|各大|主要)(?:主要)?(?:股市|市场|市場|股指)?)"
)


def _find_chinese(passage: Passage) -> list[Claim]:
    text = passage.text
    made: list[Claim] = []
    last: list[Subject] = []
    for start, end in chinese_clauses(text, passage.start, passage.end):
        named = moves_zh.subjects_in(passage, start, end)
        for match in _ZH.finditer(text, start, end):
            before = [one for one in named if one.end <= match.start()]
            subjects = before[-1:] or last or moves_zh.name_before(passage, start, match.start())
            if not subjects:
                continue
            behind = ("", "")
            is_among = text[max(start, match.start() - 4) : match.start()].endswith(
                ("之一", "其一")
            ) or text.startswith("之一", match.end())
            value: float | None = 1.0
            if match["second"]:
                value = 2.0
                behind = next(
                    ((one.text, one.symbol) for one in named if match.end() <= one.start <= match.end() + 8), ("", "")
                )
            elif match["nth"] or match["nbest"]:
                value = float(_ZH_DIGITS[match["nth"] or match["nbest"]])
            if is_among:
                value = None
            population = match["pop"] or match["pop2"] or match["pop3"] or ""
            first = (
                min(match.start(), subjects[0].start)
                if subjects is not last and subjects[0].start >= start
                else match.start()
            )
            window = _window(passage, match.start(), match.end())
            made.append(
                _claim(
                    *(passage, subjects[0], (first, match.end()), window, value, "rank.zh"),
                    stance="asserts",
                    population=population + (match["noun"] or "" if match["best"] else ""),
                    is_down=bool(match["bad"]),
                    is_among=is_among,
                    behind=behind,
                )
            )
        if named:
            last = named[:1]
    return made
