"""Statements without a checkable number: retail money, hot money, mood, policy, events; and positioning (see there).

Belongs here: phrase classes whose presence in a clear sentence is the statement. Does not belong here: who says it
(`attribution.py`), anything with a number to be checked (the numeric grammars).

Precision goes first: a question, a teaser, a definition and a word in passing give nothing.
"""

from __future__ import annotations

import re

from rally_pipeline.notes import positioning
from rally_pipeline.notes import statement_rules as rules_en
from rally_pipeline.notes import statement_rules_zh as rules_zh
from rally_pipeline.notes.boilerplate import is_boilerplate
from rally_pipeline.notes.records import Claim, ClaimType, Direction, MentionKind, Passage, QuantityKind, WindowKind
from rally_pipeline.notes.statement_parts import (
    Plain,
    clause_around,
    investors_near,
    market_near,
    statement,
    window_near,
)
from rally_pipeline.notes.statement_rules import Rule
from rally_pipeline.notes.word_sets import has_any

# Without one of these (in lower case) a sentence holds no statement of the type. Plain substrings: ten times faster
# than one pattern with as many branches.
_ENGLISH_WORDS = {
    ClaimType.RETAIL: "retail;individual inv;mom-and-pop",
    ClaimType.HOT_MONEY: "hot ;fast money;quick money;speculat;short-term;short term;momentum;trend-f;fast f;fast cap",
    ClaimType.SENTIMENT: "traders;trading market;trader's;trader’s;lish;optimis;pessimis;cauti;missing;to miss"
    ";fomo;appetite"
    ";sentiment;phori;exuber;upbeat;wary;confiden;constructive;positive;sanguine;enthusias"
    ";hope;ptic;nervous;downbeat;gloom"
    ";guarded;fearful",
    ClaimType.POLICY: "polic;stance;stimulus;private;cut;rate;lower;reduc;u-turn;about-face;crackdown;measures"
    ";easing;subsid;reversal",
    ClaimType.EVENT: "symposium;leaders;entrepreneur;executives;bosses;tycoons;titans;founders;deepseek;holiday;break"
    ";new year;golden week;festival",
}
_CHINESE_WORDS = {
    ClaimType.RETAIL: "散户;散戶;股民;投资者;投資者",
    ClaimType.HOT_MONEY: "热钱;熱錢;短线;短線;快钱;快錢;投机;投機;游资;游資;炒家",
    ClaimType.SENTIMENT: "看好;看淡;看多;看空;观;觀;谨慎;謹慎;踏空;错;錯;情绪;情緒;气氛;氣氛;信心;偏好;炒;交易"
    ";投机;投機;保守;积极;積極",
    ClaimType.POLICY: "政策;刺激;民企;民营;民營;私营;私營;息;准;準;利率;措施;方案;计划;計劃",
    ClaimType.EVENT: "座谈;座談;企业家;企業家;民营;民營;民企;商界;复市;復市;恢复;恢復;春节;春節;新年;国庆;國慶"
    ";周;假;DeepSeek;deepseek",
}


def _split(words: dict[ClaimType, str]) -> tuple[tuple[ClaimType, tuple[str, ...]], ...]:
    return tuple((kind, tuple(listed.split(";"))) for kind, listed in words.items())


_WORDS = {False: _split(_ENGLISH_WORDS), True: _split(_CHINESE_WORDS)}

_NEGATED = re.compile(
    r"\b(?:not|never|hardly|no longer|little|no|without|less|isn[’']t"
    r"|aren[’']t|wasn[’']t|weren[’']t|doesn[’']t|don[’']t|lack of)\b[^.;,]{0,20}\Z"
    r"|(?:不|并非|並非|没有|沒有|未|难言|難言)[^，。]{0,3}\Z",
    re.IGNORECASE,
)
_EVENT_IDS = {"symposium": "business_symposium", "deepseek_release": "deepseek_r1_release"}


def find(passage: Passage) -> list[Claim]:
    """The statements of a sentence in order of `start`; at most one of each class."""
    sentence = passage.sentence
    # A copy for the look at the words alone; offsets are those of the text.
    lowered = sentence.lower()
    is_positioning = positioning.may_hold(lowered, passage.is_chinese)
    types = [kind for kind, words in _WORDS[passage.is_chinese] if has_any(lowered, words)]
    if not (is_positioning or types):
        return []
    if sentence.rstrip("”\"」』’' ").endswith(("?", "？")) or is_boilerplate(sentence):
        return []
    found = positioning.find(passage) if is_positioning else []
    if types:
        found += _others(passage, lowered, types)
    return sorted(found, key=lambda claim: (claim.start, claim.end))


def _others(passage: Passage, lowered: str, types: list[ClaimType]) -> list[Claim]:
    found: list[Claim] = []
    seen: set[tuple[ClaimType, str]] = set()
    for rule in rules_zh.RULES if passage.is_chinese else rules_en.RULES:
        if rule.claim_type not in types or (rule.claim_type, rule.statement_class) in seen:
            continue
        if rule.hints and not has_any(lowered, rule.hints):
            continue
        for match in rule.pattern.finditer(passage.text, passage.start, passage.end):
            claim = _claim(passage, rule, match)
            if claim is not None:
                found.append(claim)
                seen.add((rule.claim_type, rule.statement_class))
                break
    return _settled(found)


def _claim(passage: Passage, rule: Rule, match: re.Match[str]) -> Claim | None:
    text = passage.text
    span = clause_around(passage, *match.span())
    clause = text[slice(*span)]
    if rule.exclude is not None and rule.exclude.search(clause):
        return None
    if rule.need is not None and not rule.need.search(clause):
        return None
    if rule.claim_type is ClaimType.EVENT and _is_inside_window(passage, match, rule.statement_class):
        return None
    polarity, direction, name = rule.polarity, rule.direction, rule.statement_class
    if _NEGATED.search(text, span[0], match.start()) or re.search(
        r"\bnot\b|\bless (?:bullish|optimistic|bearish|cautious)", match.group()
    ):
        if rule.claim_type in (ClaimType.POLICY, ClaimType.EVENT):
            # What was not done is no news of policy.
            return None
        polarity, name = -polarity, f"not_{name}"
        direction = {Direction.UP: Direction.DOWN, Direction.DOWN: Direction.UP}.get(direction) if direction else None
    subject = market_near(passage, *match.span())
    if rule.claim_type is ClaimType.EVENT:
        subject = _event(passage, match, rule.statement_class)
    extra: dict[str, Plain] = {}
    if rule.claim_type in (ClaimType.RETAIL, ClaimType.HOT_MONEY, ClaimType.SENTIMENT):
        extra["investors"] = investors_near(passage, *match.span())[0]
    if rule.claim_type is ClaimType.HOT_MONEY and not any(subject) and not extra.get("investors"):
        subject = (match.group(), "")
    if rule.claim_type is ClaimType.RETAIL:
        share = [q.value for q in passage.quantities if q.kind is QuantityKind.PERCENT and span[0] <= q.start < span[1]]
        if rule.name == "share" and not share and not re.search(r"\b(?:most|half|bulk|majority|third|quarter)", clause):
            return None
        if len(share) == 1 and rule.name in ("share", "crowd_zh"):
            extra["share_pct"] = share[0]
    return statement(
        passage,
        rule.claim_type,
        rule.name,
        span,
        metric=rule.metric,
        statement_class=name,
        polarity=polarity,
        direction=direction,
        window=window_near(passage, *span),
        subject=subject,
        extra=extra,
    )


def _is_inside_window(passage: Passage, match: re.Match[str], name: str) -> bool:
    """Whether the event only dates something else ("since the release of DeepSeek")."""
    if re.search(
        r"(?i:\b(?:since|after|following|before|ahead of|until|from|amid"
        r"|on) (?:the |a |its )?(?:\w+ ){0,2}\Z|自|自从|自從)",
        passage.text[max(passage.start, match.start() - 30) : match.start()],
    ):
        return True
    return name != "holiday_reopening" and any(
        window.kind is WindowKind.SINCE_EVENT and window.start < match.end() and match.start() < window.end
        for window in passage.windows
    )


def _event(passage: Passage, match: re.Match[str], name: str) -> tuple[str, str]:
    for mention in passage.mentions:
        if mention.kind is MentionKind.EVENT:
            return mention.text, mention.entity_id
    return match.group(), _EVENT_IDS.get(name, "")


def _settled(found: list[Claim]) -> list[Claim]:
    """Without a mood that two words of one clause contradict ("cautiously optimistic" is optimistic)."""
    moods = [claim for claim in found if claim.details["statement_class"] in ("bullish", "bearish")]
    if len(moods) == 2 and (moods[0].start, moods[0].end) == (moods[1].start, moods[1].end):
        found.remove(moods[1])
    return found
