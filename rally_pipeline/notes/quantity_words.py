"""Numbers written in words: "twenty-five basis points", "threefold", "third-largest", 三成, 逾万亿元.

Belongs here: finding number words and what belongs to them. Does not belong here: their values (`numerals.py`) and the
units (`quantity_units.py`).
"""

from __future__ import annotations

import re

from rally_pipeline.notes.numerals import ORDINALS, chinese_number, english_number
from rally_pipeline.notes.quantity_units import ONE_SPACE, SCALE, SCALES, Raw, read_unit
from rally_pipeline.notes.records import QuantityKind
from rally_pipeline.notes.word_sets import words

_ZH_DIGITS = "零〇一二两兩三四五六七八九十百千"

_EN_NUMBER_WORD = (
    r"(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[- ](?:one|two|three|four|five|six|seven"
    r"|eight|nine))?"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen"
    r"|nineteen|a hundred|one hundred|half an?|half|three[- ]quarters? of an?|three[- ]quarters?|a quarter of an?"
    r"|a quarter|quarter|an?)"
)
_EN_WORD = re.compile(
    rf"(?<![\w$.,-])(?P<half>half[\s-])?(?P<word>{_EN_NUMBER_WORD})(?P<ahalf>(?:[\s-]and[\s-]a[\s-]half))?(?=[\s"
    rf"\u00a0-]{{1,2}}(?:per\s?cent|pct|percentage|basis|bps|hundred|thousand|million|billion|trillion"
    r"|crore|lakh|points?|times|fold|tril|of\sa))|(?<![\w-])(?P<fold>(?:two|three|four|five|six|seven|eight|nine"
    r"|ten|twenty|hundred)-?fold)\b"
    r"|(?<![\w-])(?P<twice>twice)(?=\s+(?:as|the|its|their|that|what|last|those)\b)"
    r"|(?<![\w-])(?P<ordinal>first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth)(?![\w])"
    r"|(?<![\w])(?P<no>no\.?\s?|number[\s-]|#)(?P<rank>\d{1,3}(?![\d.,%])|one|two|three|four|five|six|seven|eight"
    r"|nine|ten)(?![\w])",
    re.IGNORECASE,
)
NOT_RANKED = re.compile(
    r"[\s-]{1,2}(?:(?:fiscal|financial|calendar)\s+)?(?:quarters?|half|halves|weeks?|days?|months?|years?"
    r"|sessions?|straight|consecutive|time|times"
    r"|round|phase|stage|person|hand|thoughts?|parts?|party|parties|chance|of|reading|term|batch|generation"
    r"|tranche|wave|edition|world|floor"
    r"|trading|session|anniversary|century|decade|instance|fiddle|leg|look|wind|tier|point|thing|estimate|draft"
    r"|round|and|or|to|percentile)(?![A-Za-z])",
    re.IGNORECASE,
)
SUPERLATIVE_AFTER = re.compile(
    r"[\s-]{1,2}(?:\w{3,12}est\b|most\b|least\b|best\b|worst\b|place\b|rank|among\b|in the ranking)", re.IGNORECASE
)
RANKED_BEFORE = re.compile(
    r"\b(?:rank(?:s|ed|ing)?|came|come|comes|placed|finish(?:ed|es)?|stood|stands|sits|at)\s+(?:in\s+|the\s+|a\s+)?\Z",
    re.IGNORECASE,
)
_ZH_WORD = re.compile(
    rf"百分之(?P<percent>[{_ZH_DIGITS}点點半]{{1,9}}|\d{{1,4}}(?:\.\d{{1,4}})?)"
    rf"|第(?P<ordinal>[一二三四五六七八九十]{{1,3}}"
    rf"|\d{{1,3}})(?![{_ZH_DIGITS}\d季天次周週年期方届屆章条條轮輪批期份步部日月节節]|[个個大](?:交易|季|月|工作)"
    rf"|时间|時間|财经|財經|范式|太平|上海|视频|上市|手)"
    rf"|(?<![第{_ZH_DIGITS}\d.点點])(?P<number>[{_ZH_DIGITS}]{{1,9}})(?P<half>半)?(?P<tail>[多余餘]?(?:[万萬]?"
    rf"[亿億]|兆|[万萬])[多余餘]?|(?P<cheng>成)(?P<chenghalf>半)?(?![为為了功立本交员員份长長熟绩績果就分都])"
    r"|倍|[点點](?![评評击擊心名子儿兒半钟鐘])|[个個]百分[点點]|[个個]?基[点點]|(?=(?:港元|美元|人民[币幣]"
    r"|日[元圆圓]|欧元|歐元|[元股](?!素|首|热|股))))"
    r"|(?<=[逾超破过過约約近达達])(?P<bare>[万萬][亿億]|[千百][亿億])(?=[元港美人大级級])"
)


_TOKEN = re.compile(r"[A-Za-z#]+")
_FIRST_WORDS = words(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
    " thirty forty fifty sixty seventy eighty ninety half quarter quarters a an twice twofold threefold fourfold "
    "fivefold sixfold sevenfold"
    " eightfold ninefold tenfold twentyfold hundredfold hundred first second third fourth fifth sixth seventh "
    "eighth ninth tenth no number #"
)


def english_words(text: str, start: int, stop: int) -> list[Raw]:
    """The English number words of a stretch of text that are quantities, in order."""
    raws: list[Raw] = []
    if _FIRST_WORDS.isdisjoint(map(str.lower, _TOKEN.findall(text, start, stop))):
        return raws
    floor = start
    for token in _TOKEN.finditer(text, start, stop):
        if token.group().lower() not in _FIRST_WORDS or token.start() < floor:
            continue
        match = _EN_WORD.match(text, token.start(), stop)
        raw = None if match is None else _english_word(text, start, stop, match)
        if raw is not None:
            raws.append(raw)
            floor = raw.end
    return raws


def _english_word(text: str, start: int, stop: int, match: re.Match[str]) -> Raw | None:
    first, last = match.span()
    if match["word"] is not None:
        word = ONE_SPACE.sub(" ", match["word"].lower())
        decimals = 0
        value: float
        if word.startswith("half") or match["half"]:
            value, decimals = 0.5, 1
        elif word.startswith("three") and "quarter" in word:
            value, decimals = 0.75, 2
        elif "quarter" in word:
            value, decimals = 0.25, 2
        elif word in ("a", "an"):
            value = 1
        elif word in ("a hundred", "one hundred"):
            value = 100
        else:
            value = float(english_number(word) or 0)
        if match["ahalf"]:
            value, decimals = value + 0.5, 1
        raw = Raw(first, last, value, decimals, is_word=True, number_end=last)
        of = re.compile(r"\s+of\s+an?(?=\s)").match(text, last, stop)
        if of is not None:
            raw.end = of.end()
        scale = SCALE.match(text, raw.end, stop)
        if scale is not None and scale["en"] is not None:
            raw.scale, raw.end = SCALES[ONE_SPACE.sub(" ", scale["en"].lower())], scale.end()
        read_unit(text, stop, raw, raw.end, False)
        if raw.is_dropped or (raw.kind is None and raw.scale == 1.0):
            return None
        if raw.kind is None:
            raw.kind = QuantityKind.NUMBER
        if raw.kind is QuantityKind.POINTS:
            if "quarter" in word or word.startswith("half"):
                raw.kind = QuantityKind.PERCENTAGE_POINT  # "a quarter point": of interest
            else:
                return None  # "three points to watch"
        return raw
    if match["fold"] is not None:
        word = match["fold"].lower().replace("-", "").removesuffix("fold")
        return Raw(
            first, last, float(100 if word == "hundred" else english_number(word) or 0), 0, "", QuantityKind.MULTIPLE
        )
    if match["twice"] is not None:
        return Raw(first, last, 2.0, 0, "", QuantityKind.MULTIPLE)
    if match["no"] is not None:
        rank = match["rank"]
        if (
            match["no"].lower().startswith("no")
            and match["no"][0] == "n"
            and "." not in match["no"]
            and not rank.isdigit()
        ):
            return None  # "no one", "no two"
        if match["no"].lower().startswith("no") and text[first : first + 2] == "no" and "." not in match["no"]:
            return None
        value = float(rank) if rank.isdigit() else float(english_number(rank) or 0)
        return Raw(first, last, value, 0, "", QuantityKind.ORDINAL)
    word = match["ordinal"].lower()
    is_ranked = SUPERLATIVE_AFTER.match(text, last, stop) is not None
    if not is_ranked:
        if RANKED_BEFORE.search(text, max(start, first - 18), first) is None:
            return None
        if NOT_RANKED.match(text, last, stop) is not None:
            return None
    return Raw(first, last, float(ORDINALS[word]), 0, "", QuantityKind.ORDINAL)


def chinese_words(text: str, start: int, stop: int) -> list[Raw]:
    """The Chinese number words of a stretch of text that are quantities, in order."""
    raws: list[Raw] = []
    for match in _ZH_WORD.finditer(text, start, stop):
        raw = _chinese_word(text, stop, match)
        if raw is not None:
            raws.append(raw)
    return raws


def _chinese_word(text: str, stop: int, match: re.Match[str]) -> Raw | None:
    first, last = match.span()
    if match["percent"] is not None:
        value, decimals = _chinese_value(match["percent"])
        return None if value is None else Raw(first, last, value, decimals, "", QuantityKind.PERCENT)
    if match["ordinal"] is not None:
        rank = match["ordinal"]
        number = int(rank) if rank.isdigit() else chinese_number(rank)
        return None if not number else Raw(first, last, float(number), 0, "", QuantityKind.ORDINAL)
    if match["bare"] is not None:
        raw = Raw(first, last, 1.0, 0, "", None, "", SCALES[match["bare"]], True)
    else:
        words = match["number"]
        plain = chinese_number(words)
        tail = match["tail"]
        if plain is None:
            return None
        if match["cheng"] is not None:
            if not 1 <= plain <= 10:
                return None
            half = 5.0 if match["chenghalf"] or match["half"] else 0.0
            return Raw(first, last, plain * 10.0 + half, 0 if half else -1, "", QuantityKind.PERCENT)
        raw = Raw(first, last, float(plain), 0, "", None)
        if match["half"]:
            raw.printed, raw.decimals = plain + 0.5, 1
        core = tail.strip("多余餘")
        raw.more = tail[:1] if tail[:1] in "多余餘" else (tail[-1:] if tail[-1:] in "多余餘" else "")
        if core in SCALES:
            raw.scale, raw.is_zh_scale = SCALES[core], True
        elif core == "倍":
            raw.kind = QuantityKind.MULTIPLE
        elif "百分" in core:
            raw.kind = QuantityKind.PERCENTAGE_POINT
        elif "基" in core:
            raw.kind = QuantityKind.BASIS_POINT
        elif core in ("点", "點"):
            if plain < 20 or plain == 1:
                return None  # "一点", "三点建议", "十点" (the hour)
            raw.kind = QuantityKind.POINTS
        elif core == "" and plain == 1:
            return None if text[last : last + 1] in ("股", "元") else _money_tail(text, stop, raw)
    if raw.kind is None:
        return _money_tail(text, stop, raw)
    return raw


def _money_tail(text: str, stop: int, raw: Raw) -> Raw | None:
    read_unit(text, stop, raw, raw.end, False)
    if raw.is_dropped:
        return None
    if raw.kind is None:
        if raw.scale == 1.0:
            return None
        raw.kind = QuantityKind.NUMBER
    return raw


def _chinese_value(words: str) -> tuple[float | None, int]:
    if words[0].isdigit():
        return float(words), len(words.partition(".")[2])
    whole, _, fraction = words.replace("點", "点").partition("点")
    half = whole.endswith("半")
    number = chinese_number(whole.removesuffix("半"))
    if number is None:
        return None, 0
    digits = "".join(str(chinese_number(char)) for char in fraction if chinese_number(char) is not None)
    return float(f"{number}.{digits or ('5' if half else '0')}"), len(digits) or int(half)
