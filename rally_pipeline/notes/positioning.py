"""Statements on how investors are positioned: longs against short covering, weights, buyers, allocations, short sales.

Belongs here: the grammar of POSITIONING claims but exposures (`positioning_exposure.py`). Does not belong here: money
that flows through a channel such as southbound (`flows.py`), a house's rating ("Overweight") of a share (`ratings.py`).
"""

from __future__ import annotations

import re
from dataclasses import replace

from rally_pipeline.notes.positioning_exposure import exposures, level_after
from rally_pipeline.notes.records import Claim, ClaimType, Direction, Passage, QuantityKind
from rally_pipeline.notes.statement_parts import (
    INVESTORS,
    INVESTORS_CHINESE,
    Plain,
    investors_near,
    market_near,
    statement,
    window_near,
)
from rally_pipeline.notes.word_sets import has_any

# Without one of these (in lower case) a sentence says nothing of positions; plain substrings are the fastest look.
_WORDS_ENGLISH = (
    "exposure;leverage;underweight;overweight;under-weight;over-weight;short-;short cover"
    ";covering;covered;short squeeze"
    ";short interest;short sell;short bets;short pos;shorts;net long;net short;net b;net s"
    ";net purchas;alloc;positioning"
    ";weighting;buyers;purchasers;longs;long pos;long buy;long-buy;long side;long bets"
    ";long exp;asia;holdings;stakes;positions"
    ";outright;long additions;long-only"
)
_WORDS_CHINESE = (
    "敞口;曝险;曝險;杆;桿;回补;回補;平仓;平倉;补仓;補倉;配;空;多头;多頭;沽;卖;賣;仓;倉;权重"
    ";權重;买;買;抛售;拋售;净做;淨做;净多;淨多"
)
_WORDS = {False: tuple(_WORDS_ENGLISH.split(";")), True: tuple(_WORDS_CHINESE.split(";"))}


def may_hold(lowered: str, is_chinese: bool) -> bool:
    """Whether a sentence (in lower case) has a word without which there is no positioning claim."""
    return has_any(lowered, _WORDS[is_chinese])


_LONG = (
    r"(?:(?:fresh|new|outright|genuine|real|net|pure|additional)[ ])*(?:long(?:s\b"
    r"|[- ](?:buying|buys|buyers?|purchases?|positions?"
    r"|additions?|adds|bets|build-?ups?|side|exposure|accumulation|only"
    r"|term buying|building)|\b(?! (?:time|term|way|run|as|list|before)))"
    r"|(?:outright|fresh|genuine|new) (?:buying|purchases?|buyers))"
)
_COVER = (
    r"(?:short[- ](?:covering|covers?|squeezes?|position covering)|cover(?:ing"
    r"|ed|s)? (?:of )?(?:their |its |existing )?(?:bearish |short )?(?:shorts"
    r"|bets|positions)|covered shorts|unwinding (?:of )?shorts|short[- ]coverers)"
)
_THAN = (
    r"(?:rather than|instead of|as opposed to|and not|not|versus|vs\.?"
    r"|than|over|outweigh\w*|outpac\w*|outnumber\w*|exceed\w*|dwarf\w*"
    r"|eclips\w*|without)"
)
_LONG_NOT_SHORT = re.compile(rf"\b{_LONG}[^.;:]{{0,60}}?\b{_THAN}\b[^.;:,]{{0,25}}?\b{_COVER}\b", re.IGNORECASE)
_NOT_SHORT_LONG = re.compile(
    r"\b(?:(?:was|were|is|are|did)?n[’']t|not|rather than|instead of"
    rf"|less|more than)\b[^.;:,]{{0,30}}?\b{_COVER}\b[^.;:]{{0,40}}?\b{_LONG}",
    re.IGNORECASE,
)
_SHORT_NOT_LONG = re.compile(
    rf"\b{_COVER}\b[^.;:]{{0,50}}?\b(?:rather than|instead of|as opposed to"
    r"|not|more than|outweigh\w*|exceed\w*|outpac\w*)\b"
    rf"[^.;:,]{{0,30}}?\b{_LONG}",
    re.IGNORECASE,
)
_DRIVEN = (
    r"(?:driven|dominated|led|powered|fuell?ed|propelled|explained|characteri[sz]ed"
    r"|underpinned|made up)(?: (?:mostly|mainly|largely|primarily|entirely"
    r"|chiefly|overwhelmingly|almost entirely|by and large))?(?: by"
    r"| of)?(?: a wave of| a burst of)?"
)
_LONG_ALONE = re.compile(
    rf"\b(?:{_DRIVEN} {_LONG}|(?:added|adding|add) (?:to )?(?:their "
    r"|its |fresh |new )*(?:net )?long(?:s| positions?| exposure)\b"
    r"|(?:built|building|build|increased|raised|rebuilt) (?:up )?(?:their "
    r"|its |fresh |new )*(?:net )?long(?:s| positions?)\b"
    rf"|(?:buying|buys|purchases|activity|flows?|demand|trades|orders)\b[^.;:,]{{0,30}}?\b(?:was"
    r"|were|is|came from|consisted of|reflect(?:s|ed)|amounted to|on the)(?: (?:mostly"
    r"|mainly|largely|primarily|all|predominantly|overwhelmingly))?(?: from"
    rf"| in| on)?(?: the)? {_LONG})",
    re.IGNORECASE,
)
_COVER_ALONE = re.compile(
    rf"(?P<not>\b(?:little|no|limited|few|without|not|n[’']t|hardly any|scant)\b[^.;:,]{{0,25}}?)?"
    rf"(?:(?:{_DRIVEN}|reflect(?:s|ed|ing)?|due to|because of|amid|on"
    r"|about|signs? of|evidence of|was|were|is|of|triggered|forced|saw)(?: (?:mostly"
    r"|mainly|largely|primarily|just|some|heavy|a|a wave of|about))*\ )"
    rf"\b{_COVER}\b|\b(?P<who>{INVESTORS}) (?:(?:have|had|were|are|has"
    r"|been|also|rushed to|forced to) )*(?:cover(?:ed|ing)?) (?:their )?(?:shorts"
    r"|short positions|bearish bets)\b",
    re.IGNORECASE,
)
_LONG_ZH = (
    r"(?:多头|多頭|做多|长仓|長倉|好仓|好倉|主动|主動|新增)(?:的)?(?:买入"
    r"|買入|建仓|建倉|买盘|買盤|加仓|加倉|增持|仓位|倉位|持仓|持倉|头寸"
    r"|頭寸)?"
)
_COVER_ZH = r"(?:空头|空頭|淡仓|淡倉|卖空|賣空|沽空|空仓|空倉)(?:的)?(?:回补|回補|平仓|平倉|补仓|補倉|盘回补|盤回補)"
_LONG_NOT_SHORT_ZH = re.compile(
    rf"{_LONG_ZH}[^。；]{{0,20}}?(?:而非|而不是|并非|並非|不是|多于|多於"
    rf"|超过|超過|大于|大於|远超|遠超|而并非|而並非)[^。；，]{{0,8}}?{_COVER_ZH}"
    rf"|(?:并非|並非|不是|而非|非)[^。；，]{{0,8}}?{_COVER_ZH}[^。；]{{0,12}}?(?:而是"
    rf"|而属|而屬|，是)[^。；，]{{0,8}}?{_LONG_ZH}"
)
_SHORT_NOT_LONG_ZH = re.compile(
    rf"{_COVER_ZH}[^。；]{{0,16}}?(?:而非|而不是|并非|並非|不是|多于|多於)[^。；，]{{0,8}}?{_LONG_ZH}"
    rf"|(?:来自|來自|主要(?:是|为|為|由)|源于|源於|受)[^。；，]{{0,6}}?{_COVER_ZH}"
)
_LONG_ALONE_ZH = re.compile(
    rf"(?:主要(?:是|为|為|由|来自|來自)|以|属于|屬於)[^。；，]{{0,6}}?{_LONG_ZH}(?:为主|為主|推动|推動|主导|主導)?"
)


def _longs(passage: Passage) -> list[Claim]:
    chinese = passage.is_chinese
    rules: tuple[tuple[re.Pattern[str], str, str, int], ...] = (
        (
            (_LONG_NOT_SHORT_ZH, "long_buying", "long_over_short_covering", 1),
            (_SHORT_NOT_LONG_ZH, "short_covering", "short_covering", 1),
            (_LONG_ALONE_ZH, "long_buying", "long_buying", 1),
        )
        if chinese
        else (
            (_LONG_NOT_SHORT, "long_buying", "long_over_short_covering", 1),
            (_SHORT_NOT_LONG, "short_covering", "short_covering_over_long", 1),
            (_NOT_SHORT_LONG, "long_buying", "long_over_short_covering", 1),
            (_LONG_ALONE, "long_buying", "long_buying", 1),
            (_COVER_ALONE, "short_covering", "short_covering", 1),
        )
    )
    for pattern, metric, name, polarity in rules:
        match = pattern.search(passage.text, passage.start, passage.end)
        if match is None:
            continue
        if match.groupdict().get("not"):
            polarity = -1
        if metric == "long_buying" and re.search(
            r"short[- ]dated|long[- ]dated|not long", match.group(), re.IGNORECASE
        ):
            continue
        who, who_start, who_end = investors_near(passage, *match.span())
        first, last = match.span()
        # The subject belongs to the statement where it stands close before it.
        if (
            who_end
            and who_end <= first
            and first - who_end <= 45
            and not re.search(r"[;:,，；。“”\"]", passage.text[who_end:first])
        ):
            first = who_start
        return [
            statement(
                passage,
                ClaimType.POSITIONING,
                "longs",
                (first, last),
                metric=metric,
                statement_class=name,
                polarity=polarity,
                direction=Direction.UP if metric == "long_buying" else None,
                window=window_near(passage, first, last),
                subject=market_near(passage, first, last),
                extra={"investors": who},
            )
        ]
    return []


# ------------------------------------------------------------------------------------------------------------ weights

_WEIGHT = re.compile(r"\b(?P<side>under|over)-?weight(?P<noun>s|ed|ing)?\b", re.IGNORECASE)
_WEIGHT_CHINESE = re.compile(r"(?P<under>低配|减配|減配|欠配)|(?P<over>超配|高配)")
_IS_RATING = re.compile(
    r"\b(?:upgrad\w+|downgrad\w+|rating|rated|rates|equal[- ]?weight"
    r"|sector[- ]?weight|initiat\w+|reiterat\w+|price target|target price"
    r"|coverage|maintain\w*|neutral|buy|sell|hold|recommendation|stance on the stock"
    r"|PT|TP)\b|评级|評級|目标价|目標價|首予|重申",
    re.IGNORECASE,
)
_INVESTORS_BEFORE = re.compile(rf"\b{INVESTORS}\b", re.IGNORECASE)
_INVESTORS_BEFORE_ZH = re.compile(INVESTORS_CHINESE)


def _weights(passage: Passage) -> list[Claim]:
    text, chinese = passage.text, passage.is_chinese
    for match in (_WEIGHT_CHINESE if chinese else _WEIGHT).finditer(text, passage.start, passage.end):
        if _IS_RATING.search(passage.sentence):
            return []
        pattern = _INVESTORS_BEFORE_ZH if chinese else _INVESTORS_BEFORE
        first, last = match.span()
        who = None
        for candidate in pattern.finditer(text, max(passage.start, first - 110), min(passage.end, last + 60)):
            if who is None or candidate.end() <= first:
                who = candidate
        if who is None:
            continue
        if who.start() < first:
            between = text[who.end() : first]
            if re.search(r"[;；。]|\b(?:trimm|cut|reduc|from prior|sold|sell)", between):
                continue
            first = who.start()
        else:
            last = who.end()
        is_under = (match.group("side").lower() == "under") if not chinese else match.group("under") is not None
        window = window_near(passage, match.start(), match.end())
        if window is not None and last <= window.start <= last + 25:
            last = window.end
        gap = re.compile(r"\bnot\b|n[’']t\b|no longer|不再|并非|並非", re.IGNORECASE).search(text, first, match.start())
        side = "underweight" if is_under else "overweight"
        extra: dict[str, Plain] = {"investors": who.group()}
        claim = statement(
            passage,
            ClaimType.POSITIONING,
            "weight",
            (first, last),
            metric="weight",
            statement_class=f"not_{side}" if gap else side,
            polarity=(-1 if is_under else 1) * (-1 if gap else 1),
            direction=Direction.DOWN if is_under else Direction.UP,
            window=window,
            subject=market_near(passage, match.start(), match.end()),
            extra=extra,
        )
        for quantity in passage.quantities:
            is_size = quantity.kind in (QuantityKind.PERCENT, QuantityKind.PERCENTAGE_POINT, QuantityKind.BASIS_POINT)
            if is_size and abs(quantity.start - match.start()) <= 45:
                unit = "bp" if quantity.kind is QuantityKind.BASIS_POINT else "pct"
                claim = replace(
                    claim,
                    value=quantity.value,
                    unit=unit,
                    tolerance=quantity.tolerance,
                    hedge=quantity.hedge,
                    comparator=quantity.comparator,
                )
                break
        return [claim]
    return []


# ------------------------------------------------------------------------------------- buyers, net buying, allocations

_REGION = (
    r"(?P<region>Asia(?:n|-based|-Pacific)?|Asia Pacific|Europe(?:an)?"
    r"|North America|the US|US|the United States|America|mainland China"
    r"|Hong Kong|Singapore|China|Japan|the region|London|New York)"
)
_MOSTLY = (
    r"(?:mostly|mainly|largely|predominantly|primarily|chiefly|overwhelmingly"
    r"|concentrated|almost all|for the most part|principally)"
)
_BUYERS = re.compile(
    r"\b(?:buyers|buying|purchasers|purchases|demand|bids?|clients"
    rf"|flows)\b[^.;:]{{0,45}}?\b{_MOSTLY}\b[^.;:,]{{0,30}}?\b{_REGION}(?!\w)"
    r"|\b(?:most|the bulk|much|majority|two[- ]thirds|a large part"
    r"|the lion[’']s share) of (?:the |those |these |this )*(?:buyers"
    rf"|buying|purchases|demand)\b[^.;:,]{{0,40}}?\b(?:in|from"
    rf"|by)\ {_REGION.replace('region', 'region2')}(?!\w)"
    rf"|\b{_REGION.replace('region', 'region3')}(?:[- ](?:based|domiciled"
    r"|focused))? (?:hedge )?(?:funds|investors|accounts|clients"
    rf"|managers)[^.;:,]{{0,30}}?\b(?:led|drove|dominated|accounted for"
    r"|made up|were behind|did)(?: most| much| the bulk| the majority)?(?: of)?(?: the)? (?:buying"
    r"|purchases|demand|buyers|activity)"
    rf"|\b(?:buying|purchases|demand)\b[^.;:,]{{0,30}}?\b(?:was|were"
    rf"|came)?\ ?(?:led|driven|dominated) by {_REGION.replace('region', 'region4')}",
    re.IGNORECASE,
)
_BUYERS_CHINESE = re.compile(
    r"(?:买家|買家|买盘|買盤|买入者|買入者|买方|買方|资金|資金|买入"
    r"|買入)[^。；]{0,10}?(?:主要|大多|大部分|多数|多數|集中|以)(?:为"
    r"|為|是|来自|來自|在|于|於|位于|位於|由)?(?:的)?(?P<region>亚洲"
    r"|亞洲|亚太|亞太|欧洲|歐洲|美国|美國|内地|內地|香港)"
)
_NET = re.compile(
    rf"\b(?P<who>{INVESTORS})\b[^.;:,]{{0,40}}?\b(?:(?P<buy>net (?:buyers"
    r"|bought|buying|purchased|long|purchases)|(?:turned|went|are|were"
    r"|be|remained?|stayed?) net long)"
    r"|(?P<sell>net (?:sellers|sold|selling|short|sales)))\b",
    re.IGNORECASE,
)
_NET_CHINESE = re.compile(
    r"(?P<who>(?:全球|海外|国际|國際|亚洲|亞洲|量化|宏观|宏觀)?(?:对冲基金"
    r"|對沖基金|避险基金|避險基金|共同基金|互惠基金|长线基金|長線基金"
    r"|主动基金|主動基金))[^。；，]{0,20}?"
    r"(?:(?P<buy>净买入|淨買入|净做多|淨做多|净多头|淨多頭|大举买入"
    r"|大舉買入|买入|買入|加仓|加倉)|(?P<sell>净卖出|淨賣出|净做空|淨做空"
    r"|净空头|淨空頭|抛售|拋售|减仓|減倉|沽出|卖出|賣出))"
)
_NOT_A_FUND = re.compile(
    r"mainland|Chinese|domestic|southbound|northbound|FII|FPI|retail|individual|traders|内地", re.IGNORECASE
)
_ALLOCATION = re.compile(
    rf"\b(?P<who>{INVESTORS})\b[^.;:,]{{0,30}}?\b(?:(?P<up>raised|raising"
    r"|increased|increasing|boosted|lifted|added to|upped|rebuilt|rebuilding"
    r"|hiked|doubled)"
    r"|(?P<down>cut|cutting|reduced|reducing|trimmed|trimming|pared"
    r"|slashed|lowered|scaled back|lightened|halved))\b[^.;:,]{0,25}?"
    r"\b(?:allocations?|exposures?|holdings|weightings?|stakes|positions?"
    r"|positioning)\b(?: (?:to|in|on|of) (?:[\w-]+ ?){1,4}?(?=[,.;:]"
    r"|\Z| (?:by|to|from|in|since|this|last|over|for|and|while|as|at)\b))?",
    re.IGNORECASE,
)
_ALLOCATION_CHINESE = re.compile(
    rf"(?P<who>{INVESTORS_CHINESE})[^。；，]{{0,12}}?(?:(?P<up>上调|上調"
    r"|提高|增加|加大|提升|调高|調高)|(?P<down>下调|下調|降低|减少|減少"
    rf"|削减|削減|调低|調低))[^。；，]{{0,14}}?(?:配置|仓位|倉位|持仓"
    r"|持倉|敞口|权重|權重)"
)
_SHORT_INTEREST = re.compile(
    r"\b(?:short interest|short[- ]sell(?:ing|ers?)(?: (?:turnover|volume"
    r"|ratio|activity|positions?))?|short (?:positions|bets))\b"
    r"(?P<rest>[^.;:]{0,60}?\b(?:(?P<up>rose|risen|climbed|jumped|increased"
    r"|surged|grew|built up|high(?:est)?|record|elevated)"
    r"|(?P<down>fell|fallen|dropped|declined|shrank|slid|eased|decreased"
    r"|low(?:est)?|retreated)|(?P<flat>stands? at|stood at|accounted for"
    r"|made up|accounts for|is at|was at))\b)",
    re.IGNORECASE,
)
_SHORT_INTEREST_CHINESE = re.compile(
    r"(?:沽空|卖空|賣空|做空|空头|空頭)(?:比率|比例|金额|金額|额|額"
    r"|余额|餘額|仓位|倉位|盘|盤|头寸|頭寸|成交)(?P<rest>[^。；，]{0,16}?"
    r"(?:(?P<up>上升|升至|增加|增至|攀升|最高|新高)|(?P<down>下降|降至"
    r"|减少|減少|回落|最低|新低)|(?P<flat>占|佔|为|為|达|達)))"
)


def _single(
    passage: Passage,
    rule: str,
    pattern: re.Pattern[str],
    names: tuple[str, str],
    metrics: tuple[str, str],
    groups: tuple[str, str],
) -> list[Claim]:
    """One claim of a pattern with a rising and a falling group; `names` and `metrics` for each side."""
    match = pattern.search(passage.text, passage.start, passage.end)
    if match is None:
        return []
    is_up = match.group(groups[0]) is not None
    is_down = match.group(groups[1]) is not None
    parts = match.groupdict()
    who = parts.get("who") or investors_near(passage, *match.span())[0]
    direction = Direction.UP if is_up else Direction.DOWN if is_down else None
    number = 0 if is_up or not is_down else 1
    claim = statement(
        passage,
        ClaimType.POSITIONING,
        rule,
        match.span(),
        metric=metrics[number],
        statement_class=names[number],
        polarity=1 if number == 0 else -1,
        direction=direction,
        window=window_near(passage, *match.span()),
        subject=market_near(passage, *match.span()),
        extra={"investors": who},
    )
    level = level_after(passage, match.end() - 14, 50)
    if level is None and parts.get("flat"):
        near = [
            n
            for n, quantity in enumerate(passage.quantities)
            if 0 <= quantity.start - match.end() <= 25 and quantity.kind is QuantityKind.PERCENT
        ]
        level = near[0] if near else None
    if level is not None and rule in ("short_interest", "allocation"):
        quantity = passage.quantities[level]
        if quantity.kind is QuantityKind.PERCENT:
            end = max(claim.end, quantity.end)
            claim = replace(
                claim,
                value=quantity.value,
                unit="pct",
                tolerance=quantity.tolerance,
                hedge=quantity.hedge,
                comparator=quantity.comparator,
                end=end,
                quote=passage.text[claim.start : end],
            )
    return [claim]


def _buyers(passage: Passage) -> list[Claim]:
    match = (_BUYERS_CHINESE if passage.is_chinese else _BUYERS).search(passage.text, passage.start, passage.end)
    if match is None:
        return []
    region = next((value for key, value in match.groupdict().items() if key.startswith("region") and value), "")
    return [
        statement(
            passage,
            ClaimType.POSITIONING,
            "buyers",
            match.span(),
            metric="buying",
            statement_class="buyers_region",
            polarity=1,
            window=window_near(passage, *match.span()),
            subject=market_near(passage, *match.span()),
            extra={"investors": investors_near(passage, *match.span())[0], "region": region},
        )
    ]


def find(passage: Passage) -> list[Claim]:
    """The positioning claims of a sentence, in order."""
    lowered = passage.sentence.lower()
    chinese = passage.is_chinese
    if not may_hold(lowered, chinese):
        return []

    def has(*words: str) -> bool:
        return chinese or any(word in lowered for word in words)

    is_holding = has("exposure", "leverage", "alloc", "positioning", "weighting", "holdings", "stake", "positions")
    found = exposures(passage) if is_holding else []
    if has("long", "cover", "squeeze", "outright", "shorts"):
        found += _longs(passage)
    if has("weight"):
        found += _weights(passage)
    if has("buyer", "buying", "purchas", "demand", "asia", "clients", "based"):
        found += _buyers(passage)
    if has("net "):
        net = _single(
            passage,
            "net",
            _NET_CHINESE if chinese else _NET,
            ("net_buying", "net_selling"),
            ("buying", "selling"),
            ("buy", "sell"),
        )
        # Money through a channel is a flow; a fund's net buying is positioning.
        found += [claim for claim in net if not _NOT_A_FUND.search(str(claim.details["investors"]))]
    if is_holding:
        found += _single(
            passage,
            "allocation",
            _ALLOCATION_CHINESE if chinese else _ALLOCATION,
            ("allocation_raised", "allocation_cut"),
            ("allocation", "allocation"),
            ("up", "down"),
        )
    if has("short"):
        found += _single(
            passage,
            "short_interest",
            _SHORT_INTEREST_CHINESE if chinese else _SHORT_INTEREST,
            ("short_interest", "short_interest"),
            ("short_selling", "short_selling"),
            ("up", "down"),
        )
    return _without_overlaps(found)


def _without_overlaps(claims: list[Claim]) -> list[Claim]:
    """Of claims that say the same of the same words the first; the rules stand in order of trust."""
    kept: list[Claim] = []
    for claim in claims:
        twin = any(
            other.start < claim.end and claim.start < other.end and other.rule_id == "positioning.longs"
            for other in kept
            if claim.rule_id == "positioning.allocation"
        ) or any(
            other.start < claim.end and claim.start < other.end and _family(other.metric) == _family(claim.metric)
            for other in kept
        )
        if not twin or claim.rule_id == "positioning.exposure":
            kept.append(claim)
    return sorted(kept, key=lambda claim: (claim.start, claim.end))


def _family(metric: str) -> str:
    same = {
        "allocation": "exposure",
        "net_exposure": "exposure",
        "gross_exposure": "exposure",
        "weight": "weight",
        "long_buying": "trade",
        "short_covering": "trade",
        "buying": "trade",
        "selling": "trade",
    }
    return same.get(metric, metric)
