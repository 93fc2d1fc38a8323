"""What "the index", "the stock", "it" or 该指数 stands for.

Belongs here: words that point back to an index or a share, and the choice of the name they point to. Does not belong
here: finding names (`lexicon.py`), or deciding who speaks (`attribution.py`: "the bank said" is a source, not a
subject).

A reference is resolved within its sentence first and then in at most three sentences before it. It never points to a
house that speaks: "Goldman Sachs lifted its target on Tencent. The stock rose" is about Tencent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rally_pipeline.notes.records import Mention, MentionKind, Passage

#: How many sentences before this one may hold the name.
SENTENCES_BACK = 3

Wanted = Literal["index", "share", "either"]


@dataclass(frozen=True, slots=True)
class Anaphor:
    """A reference back.

    Attributes:
        start, end: the words, with their article.
        wanted: what it can stand for.
        is_pronoun: "it", "its", 其: stands for the topic rather than for the nearest name.
        is_tech: "the tech gauge", 科指 style qualifiers: prefers a name with such a word.
        order: ``former``, ``latter`` or ``""``.
    """

    start: int
    end: int
    wanted: Wanted
    is_pronoun: bool = False
    is_tech: bool = False
    order: str = ""


_INDEX_NOUN = r"(?:index|gauge|benchmark|barometer|yardstick|bellwether\ index|measure|indicator)"
_SHARE_NOUN = (
    r"(?:shares?|stock|company|firm|group|counter|name|issuer|conglomerate|giant|titan|behemoth|heavyweight|juggernaut"
    r"|lender|retailer|carmaker|automaker|chipmaker|smartphone\ maker|phone\ maker|EV\ maker|maker|developer|operator"
    r"|platform|insurer|miner|carrier|producer|startup|start-up|leader|bourse\ operator|major|manufacturer)"
)
# Words that may stand between the article and the noun; at most four, none of them a noun of the lists above.
_BETWEEN = r"(?:(?!(?:and|or|of|in|on|at|to|for|by|as|that|which|who|is|was|said|rose|fell)\b)[\w’'&-]+\ ){0,4}?"
_ENGLISH = re.compile(
    rf"""\b(?:
      (?:the|this|that|its|their|his|her)\ {_BETWEEN}(?:(?P<index>{_INDEX_NOUN})|(?P<share>{_SHARE_NOUN}))
      (?![’'-]?\w*\ (?:compilers?|providers?)\b)(?!\w)(?!\ of\b(?!\ (?:\d|Hong\ Kong|Chin)))
    | the\ (?P<order>former|latter)\b
    | (?P<pronoun>it|its|itself)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_CHINESE = re.compile(
    r"(?P<index>(?:该|該|此|上述)(?:项|項|只|個|个)?(?:基准|基準|股票"
    r"|股價|股价)?指(?:数|數|标|標)|(?<![\u4e00-\u9fff])指(?:数|數)(?=[\u4e00-\u9fff]))"
    r"|(?P<share>(?:该|該|此|上述)(?:只|隻)?(?:股票|股份|个股|個股|股(?!东"
    r"|東|价|價|指)|公司|企业|企業|集团|集團|巨头|巨頭|龙头|龍頭)"
    r"|(?:该|該|其|公司|集团|集團)股(?:价|價)|(?<![\u4e00-\u9fff])股(?:价|價)"
    r"|(?<![\u4e00-\u9fff])(?:公司|集团|集團)(?=[\u4e00-\u9fff]))"
    r"|(?P<pronoun>(?<![\u4e00-\u9fff尤])(?:其|它)(?![他实實余餘中次]))"
)
_TECH = re.compile(r"tech|nasdaq|科技|科指|科网|科網", re.IGNORECASE)
_INDEX_NAME = re.compile(
    r"\b(?:index|composite|average|DAX|S&P|Nasdaq|Dow|CSI|FTSE|Nikkei|MSCI|Stoxx|CAC|KOSPI|Topix|Hang\ Seng|HSI|HSTECH"
    r"|HSCEI|A50|Russell|Sensex|Nifty|benchmark)\b|指(?:数|數)?$|指(?:数|數)",
    re.IGNORECASE,
)
_SHARE_WORD_AFTER = re.compile(
    r"(?:[’']s?)?(?:\ (?:Holdings?|Group))?\ (?:shares?|stock|ADRs?|ADSs?)\b|的?股(?:价|價|份|票)", re.IGNORECASE
)
_SHARE_WORD_BEFORE = re.compile(r"(?:shares?|stock|ADRs?) (?:of|in) \Z", re.IGNORECASE)
_SPEAKS_AFTER = re.compile(
    r"(?:[’']s?)?(?:\ \w+){0,3}?\ (?:said|says|wrote|noted|analysts?|strategists?|economists?|upgrade[sd]?"
    r"|downgrade[sd]?|maintain(?:s|ed)?|reiterate[sd]?|initiate[sd]?"
    r"|expects?|forecasts?|raises?|raised|lowers?|lowered|cuts?)\b"
    r"|(?:发表|發表|表示|指出|认为|認為|称|稱|料|预期|預期|预计|預計|维持|維持|上调|上調|下调|下調|发布|發布)",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[;；。]|[,，] (?:while|but|and|whereas)\b|，(?:而|但)", re.IGNORECASE)


def is_index(mention: Mention) -> bool:
    """Whether a mention of an instrument names an index (by its symbol or its words) rather than a share."""
    if mention.entity_id.startswith("^"):
        return True
    return _INDEX_NAME.search(mention.text) is not None and not re.search(r"\bETF\b|基金", mention.text)


def instrument_of(mention: Mention, text: str) -> str | None:
    """The symbol a mention stands for where it is used as an instrument.

    ``""`` for an instrument outside the catalog; ``None`` if the mention is no instrument here: no instrument at all,
    or a house that speaks ("HSBC said", "UBS upgrades").
    """
    if mention.kind is MentionKind.INSTRUMENT:
        is_house_too = any(reading.startswith("broker:") for reading in mention.also)
        if is_house_too and not _is_share_here(mention, text) and _SPEAKS_AFTER.match(text, mention.end):
            return None
        return mention.entity_id
    for reading in mention.also:
        kind, _, entity = reading.partition(":")
        if kind == "instrument" and _is_share_here(mention, text):
            return entity
    return None


def _is_share_here(mention: Mention, text: str) -> bool:
    return bool(
        _SHARE_WORD_AFTER.match(text, mention.end)
        or _SHARE_WORD_BEFORE.search(text[max(0, mention.start - 12) : mention.start])
    )


def find_anaphora(passage: Passage) -> Iterator[Anaphor]:
    """The references back of a sentence, in order; words inside or directly before a name are none ("the benchmark Hang
    Seng Index").
    """
    text = passage.text
    for pattern in (_CHINESE,) if passage.is_chinese else (_ENGLISH,):
        position = passage.start
        while (match := pattern.search(text, position, passage.end)) is not None:
            groups = match.groupdict()
            start, end = match.span()
            if _touches_name(passage, start, end):
                # "the company" may still follow inside what the lazy words swallowed.
                position = start + 1
                continue
            position = end
            words = match.group()
            if groups.get("order"):
                yield Anaphor(start, end, "either", order=str(groups["order"]).lower())
            elif groups.get("pronoun"):
                yield Anaphor(start, end, "either", is_pronoun=True)
            else:
                wanted: Wanted = "index" if groups.get("index") else "share"
                is_tech = wanted == "index" and _TECH.search(words) is not None
                yield Anaphor(start, end, wanted, is_tech=is_tech)


def _touches_name(passage: Passage, start: int, end: int) -> bool:
    for mention in passage.mentions:
        if mention.start < end and start < mention.end:
            return True
        # In apposition: "the e-commerce giant Alibaba", "the city's benchmark Hang Seng Index".
        if mention.start == end + 1 and passage.text[end] == " " and mention.kind is MentionKind.INSTRUMENT:
            return True
    return False


def resolve_subject(passage: Passage, at: int) -> tuple[str, str, int, int] | None:
    """What a statement whose predicate begins at `at` is about, if its subject is a reference back.

    Args:
        passage: the sentence, with `previous` set where there is one.
        at: offset into the whole text, of the predicate (verb or number) or of the reference itself.

    Returns:
        ``(subject_text, subject_id, start, end)``: the name it stands for, as printed where it was named; its catalog
        symbol or ``""``; and where the *reference* stands in this sentence, so that a claim can begin there. If a name
        stands between the reference and `at`, that name. ``None`` if there is neither, or nothing to point to.
    """
    anaphor: Anaphor | None = None
    for candidate in find_anaphora(passage):
        if candidate.start > at:
            break
        anaphor = candidate
    named: tuple[Mention, str] | None = None
    for mention in passage.mentions:
        if mention.end > at:
            break
        symbol = instrument_of(mention, passage.text)
        if symbol is not None:
            named = (mention, symbol)
    if anaphor is not None and (named is None or named[0].end <= anaphor.start):
        found = resolve(passage, anaphor)
        if found is not None:
            return found[0].text, found[1], anaphor.start, anaphor.end
        if named is None or not anaphor.is_pronoun:
            return None
    if named is None:
        return None
    return named[0].text, named[1], named[0].start, named[0].end


def resolve(passage: Passage, anaphor: Anaphor) -> tuple[Mention, str] | None:
    """The mention a reference stands for, with its symbol (``""`` = not in the catalog); ``None`` if there is none."""
    if anaphor.is_pronoun:
        # "The index closed at its highest": the pronoun stands for what the noun before it stands for.
        earlier = [other for other in find_anaphora(passage) if other.end <= anaphor.start and not other.is_pronoun]
        names = [mention for mention in passage.mentions if mention.end <= anaphor.start]
        if earlier and not any(instrument_of(mention, passage.text) is not None for mention in names):
            return resolve(passage, earlier[0])
    here = _fitting(passage, anaphor, before=anaphor.start)
    if here:
        if anaphor.order == "former":
            return here[-2] if len(here) > 1 else None
        if anaphor.is_pronoun:
            return _topic(passage, here, anaphor.start)
        return here[-1]
    earlier_passage = passage.previous
    for _ in range(SENTENCES_BACK):
        if earlier_passage is None:
            return None
        there = _fitting(earlier_passage, anaphor, before=earlier_passage.end)
        if there:
            if anaphor.order:
                return there[-1] if anaphor.order == "latter" else there[max(0, len(there) - 2)]
            # What a sentence begins with is what the next one goes on about.
            return there[0]
        earlier_passage = earlier_passage.previous
    return None


def _topic(passage: Passage, found: list[tuple[Mention, str]], before: int) -> tuple[Mention, str]:
    clause = passage.start
    for match in _CLAUSE_END.finditer(passage.text, passage.start, before):
        clause = match.end()
    return next((pair for pair in found if pair[0].start >= clause), found[0])


def _fitting(passage: Passage, anaphor: Anaphor, *, before: int) -> list[tuple[Mention, str]]:
    """The instruments of a sentence that a reference can stand for; after a tech word only names with one."""
    found: list[tuple[Mention, str]] = []
    for mention in passage.mentions:
        if mention.end > before:
            break
        symbol = instrument_of(mention, passage.text)
        if symbol is None or (anaphor.wanted != "either" and is_index(mention) != (anaphor.wanted == "index")):
            continue
        found.append((mention, symbol))
    if anaphor.is_tech:
        return [pair for pair in found if _TECH.search(pair[0].text)]
    return found
