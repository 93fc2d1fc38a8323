"""Moves and levels of a Chinese sentence, simplified or traditional.

Belongs here: pairing numbers with verbs and subjects clause by clause. Does not belong here: the claims made of it
(`performance.py`, `levels.py`), English (`moves.py`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Final

from rally_pipeline.notes.clauses import chinese_clauses
from rally_pipeline.notes.move_parts import Reading
from rally_pipeline.notes.noun_phrases import Subject
from rally_pipeline.notes.records import Mention, MentionKind, Passage, Quantity, QuantityKind, Window, WindowKind
from rally_pipeline.notes.stated_days import is_stated
from rally_pipeline.notes.subjects import resolve_subject

_UP: Final = (
    r"(?:(?:累计|累計|累|大|急|飙|飆|劲|勁|收|高开|高開|半日|全日|反|一度|曾|倒|再|续|續|狂|暴|微|小幅|显著|顯著|最多|共)*"
    r"(?:上升|上涨|上漲|攀升|走高|反弹|反彈|回升|弹升|彈升|升值|扬升|揚升|抽升|飙升|飆升|升|涨|漲|扬|揚|弹|彈|高开|高開|收高|走强|走強))"
)
_DOWN: Final = (
    r"(?:(?:累计|累計|累|大|急|收|低开|低開|半日|全日|一度|曾|倒|再|续|續|暴|微|小幅|显著|顯著|最多|共|重)*"
    r"(?:下跌|下挫|下滑|下降|回落|回吐|回调|回調|走低|贬值|貶值|重挫|跌|挫|泻|瀉|低开|低開|收低|走弱|失))"
)
_TAIL: Final = (
    r"(?:了|逾|超过|超過|超|近|约|約|达|達|至少|最多|大约|大約|幅|幅度|为|為|是|有|共|仅|僅|不足|接近|将近"
    r"|將近|多|\s|：|:){0,4}$"
)
_VERB_BEFORE: Final = re.compile(rf"(?:(?P<up>{_UP})|(?P<down>{_DOWN})){_TAIL}")
_NOUN_BEFORE: Final = re.compile(
    r"(?:(?P<up>升幅|涨幅|漲幅|累计升幅|累計升幅)|(?P<down>跌幅|降幅))"
    r"(?:扩大|擴大|收窄|扩|擴)?(?:至|到)?(?:达|達|为|為|约|約|近|逾|超过|超過|超|分别|分別|高达|高達|\s|：|:){0,3}$"
)
_NOUN_AFTER: Final = re.compile(
    r"(?:以上|左右)?(?:的)?(?:(?P<up>升幅|涨幅|漲幅|涨势|漲勢|升势|升勢)|(?P<down>跌幅|降幅|跌势|跌勢))"
)
_LINK: Final = re.compile(r"(?:或|，或|、|，|,|\(|（|，?\s?即|，?幅度(?:为|為|达|達)?|\s)\s*$")
_LEVEL_BEFORE: Final = re.compile(
    r"(?P<word>收报|收報|收于|收於|收在|收盘报|收盤報|收市报|收市報|开报|開報|高开报|高開報|低开报|低開報|现报|現報|暂报|暫報|中午报|午收报|午收報"
    r"|半日报|半日報|报收|報收|报于|報於|报|報|[升涨漲跌挫弹彈回开開]至|站上|企上|升穿|突破|失守|跌穿|跌破|重上|重越|守住|见|見|高见|高見|低见|低見|触及|觸及|收盘|收盤|收市"
    r"|最高|最低|升上|升越|上破|逼近|收)"
    r"(?:了|于|於|约|約|近|逾|在|\s|：|:){0,3}$"
)
_RESPECTIVELY: Final = re.compile(r"分别|分別|各")
_FUNDAMENTAL: Final = re.compile(
    r"(?:利润|利潤|盈利|收入|营收|營收|销售|銷售|营业额|營業額|毛利|净利|淨利|纯利|純利|GDP|CPI|PPI|PMI|出口|进口|進口|房价|樓價|楼价|租金|零售|产量|產量|销量|銷量"
    r"|贷款|貸款|存款|增加值|投资额|投資額|订单|訂單|客流|人次|失业率|失業率|通胀|通脹|利率|收益率|孳息|派息|股息|市盈率|关税|關稅|成交|溢价|溢價|折让|折讓|比重|权重|權重"
    r"|占比|佔比|持股|仓位|倉位|目标价|目標價|用户|用戶|交付|资产|資產|息率|按年|同比|每股)",
)
_FORECAST: Final = re.compile(
    r"(?:预期|預期|预计|預計|料|有望|可能|或(?:将|將|会|會)|将|將会|將|料将|估计|估計|看好|上望|潜在|潛在|目标|目標|预测|預測)"
)
_HYPOTHETICAL: Final = re.compile(r"如果|假如|若|倘")
_DENIAL: Final = re.compile(r"未能|没有|沒有|并未|並未|未有")
_SUBJECT_WORDS: Final = re.compile(
    r"(?P<proxy>港股|香港股市|大市|大盘|大盤)|(?P<hstech>(?:香港|港股)科[技网網]股|恒生科技指[数數]|恒生科指|科指|恒科指?)|(?P<hsi>恒生?指[数數]?|恒生指[数數])"
    r"|(?P<hscei>[国國]企指[数數]|[国國]指)"
    r"|(?P<other>(?:美|德|日|英|法|韩|韓|欧洲|歐洲|A|Ａ)股|[上沪滬]证?證?(?:综合|綜合)?指[数數]?|沪指|滬指|深[证證]?成?指|创业板指|創業板指|道指|纳指|納指"
    r"|[标標]普(?:500)?(?:指[数數])?|日[经經](?:225)?(?:指[数數])?|[\u4e00-\u9fff]{2,4}(?:板[块塊]|类股|類股)|科网股|科網股|科技股|内房股|內房股|金融股)"
)
_NAME_BEFORE: Final = re.compile(
    r"(?:^|[，。；、及和与與的而但：:]|其中|至于|至於"
    r"|此外)(?P<name>[A-Za-z\u4e00-\u9fff][\w\u4e00-\u9fff·\-&]{1,11}?)(?:[（(][^）)]{1,16}[）)])?(?:股[价價]|[周週][一二三四五六日]"
    r"|今日|昨日|今天|昨天|[早午]段|[盘盤]中|期内|年初至今|今年|现|現|则|則|亦|也|再|曾|一度|随后|隨後|收市|开市|開市|收[盘盤]|日内)*$"
)

_SYMBOLS: Final = {"hstech": "HSTECH.HK", "hsi": "^HSI", "hscei": "^HSCE", "proxy": "^HSI", "other": ""}

#: As in `moves.py`: of a sentence at most so many numbers are read.
MAX_NUMBERS: Final = 60

_last: tuple[Passage, list[Reading]] | None = None


def readings(passage: Passage) -> list[Reading]:
    """All moves and levels of a Chinese sentence, in order. Kept for the grammar that follows on the same passage."""
    global _last
    kept = _last
    if kept is not None and kept[0] is passage:
        return kept[1]
    made = _read(passage)
    _last = (passage, made)
    return made


def _read(passage: Passage) -> list[Reading]:
    text = passage.text
    made: list[Reading] = []
    quantities = passage.quantities[:MAX_NUMBERS]
    if not quantities:
        return made
    parts = chinese_clauses(text, passage.start, passage.end)
    number = 0
    last: list[Subject] = []
    for start, end in parts:
        inside: list[Quantity] = []
        while number < len(quantities) and quantities[number].start < end:
            if quantities[number].start >= start:
                inside.append(quantities[number])
            number += 1
        named = subjects_in(passage, start, end)
        if not inside:
            # A clause about company figures ends what the subject before could still be about.
            if named:
                last = named
            continue
        _read_clause(passage, start, end, inside, named, last, made)
        if named:
            last = named
    return made


def _read_clause(
    passage: Passage,
    start: int,
    end: int,
    inside: list[Quantity],
    named: list[Subject],
    inherited: list[Subject],
    made: list[Reading],
) -> None:
    text = passage.text
    done: set[int] = set()
    for index, quantity in enumerate(inside):
        if index in done:
            continue
        begin = quantity.hedge_start if start <= quantity.hedge_start <= quantity.start else quantity.start
        left = inside[index - 1].end if index else start
        before = text[max(left, begin - 14) : begin]
        role, sign, cue = _role(text, quantity, before, begin, end)
        previous = made[-1] if made and made[-1].quantity.end <= quantity.start else None
        if not role and previous is not None:
            between = text[previous.quantity.end : begin]
            if (
                len(between) <= 4
                and previous.role != "level"
                and previous.quantity.kind is not quantity.kind
                and (_LINK.search(between) or not between.strip())
            ):
                kind = "return" if quantity.kind is QuantityKind.PERCENT else "change"
                if quantity.kind in (QuantityKind.PERCENT, QuantityKind.POINTS):
                    made.append(replace(previous, role=kind, quantity=quantity, end=quantity.end, rule="zh_or"))
                continue
        if not role:
            compared = _compared(text, quantity, begin, start, named, previous)
            if compared is not None:
                made.append(compared)
            continue
        context = text[start:begin]
        if role == "level" and _is_forecast(context):
            continue
        if role != "level" and (
            re.search("[潜潛]在|空间|空間", context) or _FUNDAMENTAL.search(context) or _HYPOTHETICAL.search(context)
        ):
            continue
        if role == "level" and (_HYPOTHETICAL.search(context) or re.search("目[标標]", context)):
            continue
        subjects = [one for one in named if one.end <= begin] or named[:0]
        is_local = bool(subjects)
        if not subjects:
            subjects = name_before(passage, start, cue) or ([] if _unreadable(context, cue - start) else inherited)
            is_local = bool(subjects) and subjects is not inherited
        if not subjects:
            resolved = resolve_subject(passage, cue)
            if resolved is None:
                continue
            subjects = [Subject(resolved[2], resolved[3], resolved[0], resolved[1], is_reference=True)]
        group = _group(text, inside, index)
        if _RESPECTIVELY.search(text, start, begin) or (len(group) > 1 and len(group) == len(subjects)):
            if "各" in context and len(group) == 1:
                pairs = [(quantity, one) for one in subjects]
            elif len(group) == len(subjects):
                pairs = [(inside[at], one) for at, one in zip(group, subjects, strict=True)]
                done.update(group)
            else:
                done.update(group)
                continue
        elif len(subjects) > 1 and not is_list(text, subjects):
            pairs = [(quantity, subjects[-1])]
        else:
            pairs = [(quantity, one) for one in subjects]
        for value, subject in pairs:
            if role == "level" and value.kind is QuantityKind.MONEY and subject.symbol.startswith("^"):
                continue
            is_near = is_local and start <= subject.start < end
            first = min([cue, value.start, *([subject.start] if is_near else [])])
            made.append(
                Reading(
                    role=role,
                    quantity=value,
                    subject=subject,
                    sign=sign,
                    start=first,
                    end=max(value.end, quantity.end) if len(pairs) == 1 else value.end,
                    cue_start=cue,
                    rule="level_zh" if role == "level" else "zh_verb",
                    window_index=_window(passage, start, end, value),
                    clause_start=start,
                    clause_end=end,
                    stance="denies" if _DENIAL.search(context) else "forecasts" if _is_forecast(context) else "asserts",
                    comparator_word=_bound(before) if role == "level" else "",
                )
            )


def _compared(
    text: str, quantity: Quantity, begin: int, start: int, named: list[Subject], previous: Reading | None
) -> Reading | None:
    """A number behind the name it is of, beside another return: 仅次于德国DAX的13.1%."""
    if previous is None or previous.role != "return" or quantity.kind is not QuantityKind.PERCENT:
        return None
    subject = next((one for one in named if one.end == begin - 1 and text[one.end] == "的"), None)
    if subject is None or not re.search("[超次高低赢贏胜勝比逊遜落]", text[start : subject.start]):
        return None
    return replace(
        previous,
        quantity=quantity,
        subject=subject,
        start=subject.start,
        end=quantity.end,
        cue_start=subject.start,
        rule="zh_compared",
    )


def is_aside(passage: Passage, window: Window) -> bool:
    """Whether a time stands in a clause about the figures of a company or an economy."""
    for start, end in chinese_clauses(passage.text, passage.start, passage.end):
        if start <= window.start < end:
            return _FUNDAMENTAL.search(passage.text, start, end) is not None
    return False


def _is_forecast(context: str) -> bool:
    return _FORECAST.search(context) is not None


def _bound(before: str) -> str:
    if re.search(r"站上|企上|升穿|突破|重上|重越|守住|升上|升越|上破", before):
        return "above"
    if re.search(r"失守|跌穿|跌破", before):
        return "below"
    return "near" if "逼近" in before else ""


def _role(text: str, quantity: Quantity, before: str, begin: int, end: int) -> tuple[str, int, int]:
    """Role, sign and place of the verb of a number; role ``""`` if it is none of a market report."""
    kind = quantity.kind
    if kind in (QuantityKind.POINTS, QuantityKind.MONEY, QuantityKind.NUMBER) and quantity.scale == 1:
        level = _LEVEL_BEFORE.search(before)
        if level is not None and _is_level(text, quantity):
            sign = 1 if level["word"][0] in "升涨漲弹彈" else -1 if level["word"][0] in "跌挫" else 0
            return "level", sign, begin - len(before) + level.start()
    if (
        kind is QuantityKind.PERCENT
        or kind is QuantityKind.POINTS
        or (kind is QuantityKind.MONEY and quantity.scale == 1)
    ):
        role = "return" if kind is QuantityKind.PERCENT else "change"
        for pattern in (_VERB_BEFORE, _NOUN_BEFORE):
            match = pattern.search(before)
            if match is not None:
                return role, 1 if match["up"] else -1, begin - len(before) + match.start()
        if role == "return":
            after = _NOUN_AFTER.match(text, quantity.end, min(end, quantity.end + 8))
            if after is not None:
                return role, 1 if after["up"] else -1, quantity.start
            printed = text[max(0, quantity.start - 1) : quantity.start + 1]
            if quantity.value < 0 or any(mark in printed for mark in "+＋"):
                return role, -1 if quantity.value < 0 else 1, quantity.start
    return "", 0, begin


def _is_level(text: str, quantity: Quantity) -> bool:
    printed = text[quantity.start : quantity.end]
    if quantity.kind is QuantityKind.NUMBER:
        return quantity.value >= 100 or "." in printed
    return quantity.value > 0


def _group(text: str, inside: list[Quantity], index: int) -> list[int]:
    group = [index]
    for at in range(index + 1, len(inside)):
        between = text[inside[at - 1].end : inside[at].start]
        if inside[at].kind is not inside[index].kind or not re.fullmatch(
            r"\s*(?:及|和|与|與|、|以及)(?:约|約|近|逾)?\s*", between
        ):
            break
        group.append(at)
    return group


def is_list(text: str, subjects: list[Subject]) -> bool:
    """Whether names stand in one list: 恒指、国指及科指."""
    return all(
        re.fullmatch(
            r"\s*(?:[（(][^）)]{1,16}[）)])?\s*(?:及|和|与|與|、|以及)\s*(?:[\u4e00-\u9fff]{0,4})",
            text[one.end : other.start],
        )
        for one, other in pairwise(subjects)
    )


def _window(passage: Passage, start: int, end: int, quantity: Quantity) -> int:
    best = -1
    for index, window in enumerate(passage.windows):
        is_inside = start <= window.start and window.end <= end
        if window.kind in (WindowKind.LOOKBACK, WindowKind.ALL_TIME) or not is_inside or is_stated(passage, window):
            continue
        if window.end <= quantity.start or best < 0:
            best = index
    return best


def subjects_in(passage: Passage, start: int, end: int) -> list[Subject]:
    """Names of a clause that can rise or fall: those of the catalog, else the common words for markets and indices."""
    text = passage.text
    made: list[Subject] = []
    for mention in passage.mentions:
        if mention.start < start or mention.end > end:
            continue
        symbol = _symbol(mention)
        if symbol is None:
            continue
        if made and mention.start - made[-1].end <= 4 and text[mention.start - 1] in "（(":
            # "阿里巴巴-W(09988.HK)": the code repeats the name.
            if not made[-1].symbol:
                made[-1] = replace(made[-1], symbol=symbol)
            continue
        if _is_line_of(text, made[-1:], mention.start, mention.text):
            made[-1] = replace(made[-1], end=mention.end)
            continue
        made.append(
            Subject(
                mention.start,
                mention.end,
                mention.text,
                symbol,
                is_proxy=bool(re.search(r"股市?$|大市|大盘|大盤", mention.text))
                and symbol[:1] != ""
                and not symbol[0].isdigit(),
            )
        )
    for match in _SUBJECT_WORDS.finditer(text, start, end):
        if any(one.start < match.end() and match.start() < one.end for one in made):
            continue
        before = [one for one in made if one.end <= match.start()]
        if _is_line_of(text, before[-1:], match.start(), match.group()):
            continue
        group = match.lastgroup or "other"
        is_proxy = group == "proxy" or (group == "hstech" and match.group().endswith("股"))
        made.append(Subject(match.start(), match.end(), match.group(), _SYMBOLS[group], is_proxy=is_proxy))
    made.sort(key=lambda one: one.start)
    return [_as_future(text, one, end) for one in made]


_LINE: Final = re.compile(r"(?:港|H|Ｈ|A|Ａ|美)股")


def _is_line_of(text: str, before: list[Subject], at: int, words: str) -> bool:
    """Whether a word for a market names the line of the share before it: 阿里巴巴港股, 腾讯的港股."""
    if not before or before[0].symbol.startswith("^") or before[0].is_proxy or before[0].symbol.startswith("HS"):
        return False
    return _LINE.fullmatch(words) is not None and text[before[0].end : at] in ("", "的", "之", " ", "-W", "-SW", "-S")


def _as_future(text: str, subject: Subject, end: int) -> Subject:
    if re.match(r"期[货貨指]|夜期", text[subject.end : min(end, subject.end + 3)]):
        return replace(subject, end=subject.end + 2, symbol="", instrument="futures")
    return subject


def _symbol(mention: Mention) -> str | None:
    if mention.kind is MentionKind.INSTRUMENT:
        return mention.entity_id
    if mention.kind is MentionKind.BROKER:
        return next((one.partition(":")[2] for one in mention.also if one.startswith("instrument:")), None)
    return None


def name_before(passage: Passage, start: int, cue: int) -> list[Subject]:
    """A name that is not in the catalog, directly before the verb."""
    match = _NAME_BEFORE.search(passage.text[start:cue])
    if match is None:
        return []
    name = match["name"]
    if (
        _FUNDAMENTAL.search(name)
        or name.startswith(
            (
                "股价",
                "股價",
                "指数",
                "指數",
                "该",
                "該",
                "其",
                "贴近",
                "貼近",
                "逼近",
                "迫近",
                "接近",
                "重上",
                "重返",
                "潜在",
                "潛在",
                "当中",
                "當中",
            )
        )
        or re.fullmatch(
            r"(?:.*(?:年初|今年|至今|以来|以來|上周|本周|本月|期内|收市|全日|半日|其后|隨後|当日|當日|昨日|今日|今早|早段|盘中|盤中|曾|一度|累计|累計|股价|股價|该股|指数|指數|同时"
            r"|其中|最多|今天|单日|單日|同期|表现|表現)|[\d\w]{0,1})",
            name,
        )
    ):
        return []
    return [Subject(start + match.start("name"), start + match.end("name"), name, is_name=True)]


def _unreadable(context: str, cue: int) -> bool:
    """Whether words stand before the verb that name something, so that no subject of a clause before holds on."""
    head = context[:cue].strip()
    return len(head) > 14
