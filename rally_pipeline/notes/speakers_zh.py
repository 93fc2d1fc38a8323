"""Who a Chinese phrase beside a reporting verb names: 高盛, 高盛首席策略师某某, 某某, 该行, 他, 分析.

Belongs here: the Chinese half of `speakers.py`. Does not belong here: finding the verbs (`cues_zh.py`).
"""

from __future__ import annotations

import re

from rally_pipeline.notes.records import Mention, Passage
from rally_pipeline.notes.speakers import Source, SourceType, mention_letter, mentions_near

_ZH_ROLE = (
    r"(?:(?:财政司|財政司|财政部|財政部|首席|资深|資深|高级|高級|联席|聯席|副|执行|執行|行政|投资"
    r"|投資|研究|策略|经济|經濟|中国|中國|亚太区?|亞太區?|亚洲区?|亞洲區?"
    r"|股票|证券|證券|市场|市場|业务|業務|销售|銷售|交易|全球|大中华区?"
    r"|大中華區?|部|的|及|宏观|宏觀|量化|基金|财富管理|財富管理|资产管理"
    r"|資產管理){0,8}"
    r"(?:分析师|分析師|分析员|分析員|策略师|策略師|策略员|策略員|经济学家"
    r"|經濟學家|经济师|經濟師|总监|總監|主管|经理|經理|董事长|董事長"
    r"|董事总经理|董事總經理|董事|总裁|總裁|主席|研究员|研究員|交易员"
    r"|交易員|司长|司長|局长|局長|发言人|發言人|行长|行長|合伙人|合夥人"
    r"|创始人|創始人|负责人|負責人|顾问|顧問))"
)
_ZH_PERSON_TAIL = re.compile(
    rf"(?P<role>{_ZH_ROLE})(?P<name>[\u4e00-\u9fff]{{2,4}}?|[A-Z][\w.’'-]+(?: [A-Z][\w.’'-]+){{0,3}})?"
    r"(?:[（(](?P<also>[^）)]{1,40})[）)])?(?:等人?)?\Z"
)
_ZH_PAUSE = re.compile(r"[，,。；;：:]")
_ZH_HOUSE_TAIL = re.compile(r"\A(?:证券|證券|国际|國際|资本|資本)")
# What a house's name may be followed by: its desk or team.
_ZH_ORG = re.compile(
    r"(?:证券|證券|国际|國際|集团|集團|中国|中國|香港|亚洲|亞洲|亚太"
    r"|亞太|大中华|大中華|港股|A股|股票|策略|研究|经济|經濟|宏观|宏觀"
    r"|量化|投资|投資|销售|銷售|交易|主经纪商?"
    r"|主經紀商?|大宗经纪|大宗經紀|分析师|分析師|策略师|策略師|经济学家"
    r"|經濟學家|团队|團隊|部门|部門|部|的|及|首席){1,10}"
)
_ZH_MEDIUM = re.compile(
    r"(?:彭博|路透|新华社|新華社|财新|財新|财联社|財聯社|南华早报|南華早報"
    r"|央视|央視|信报|信報|经济日报|經濟日報|华尔街日报|華爾街日報)(?:社"
    r"|新闻|新聞)?"
)
_SURNAME = (
    "[王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾肖萧蕭田董袁潘于蒋蔣蔡余杜叶葉程苏蘇魏吕呂丁任沈姚卢盧姜崔"
    "钟鍾谭譚陆陸汪范石廖贾賈夏韦韋方白邹鄒孟熊秦邱江尹薛闫阎段雷侯龙龍史陶黎贺賀顾顧毛郝龚龔邵钱錢严嚴覃武戴莫孔汤湯温溫洪翁關关區欧歐庄莊]"
)
_ZH_NAME_TAIL = re.compile(
    rf"(?:\A|[，,。；;：:、”」』])(?P<name>{_SURNAME}[\u4e00-\u9fff]{{1,2}}|[A-Z][\w.’'-]+(?: [A-Z][\w.’'-]+){{0,3}})"
    r"(?:[（(][^）)]{1,40}[）)])?\Z"
)
_ZH_GENERIC = re.compile(
    r"(?:分析|市场|市場|业内|業內|业界|業界|有?观点|有?觀點|投资者|投資者"
    r"|部分|不少|多家|券商|机构|機構|大行|交易员|交易員|外界|人士|媒体"
    r"|媒體|报道|報道|消息|分析师|分析師|分析员|分析員|专家|專家)"
    r"(?:们|們|人士|普遍)?\Z"
)
_ZH_HE = re.compile(r"(?:他们|他們|他|她|(?:该|該)(?:分析师|分析師|分析员|分析員|策略师|策略師))\Z")
_ZH_HOUSE = re.compile(
    r"(?:(?:该|該|本)(?:行|券商|机构|機構|投行|研究机构|研究機構)|(?:报告"
    r"|報告|研报|研報|大行|(?<![\u4e00-\u9fff])行方))\Z"
)
_ZH_COMPANY = re.compile(r"(?:(?:该|該|本)?(?:公司|集团|集團|企业|企業))\Z")
_ZH_TAIL = re.compile(
    r"(?:(?:引述|援引|引用|最新|近日|今日|昨日|日前|上?周[一二三四五六日]|週[一二三四五六日]"
    r"|\d{1,2}月\d{1,2}日|\d{1,2}日|本周|上周|周一|在|于|於|发表|發表"
    r"|发布|發布|出具|的|其|一份|报告|報告|研报|研報|研究报告|研究報告"
    r"|客户|客戶|给|給|中|内|內|上|里|裡|也|亦|则|則|又|还|還|并|並"
    r"|均|都|数据|數據|统计|統計|测算|測算|估算|研究部|团队|團隊|分析师团队"
    r"|分析師團隊|主经纪商|主經紀商|部门|部門|进一步|進一步|周报|週報"
    r"|受访时|受訪時|接受访问时|接受訪問時|\s|，|,|《[^》]{1,60}》)){1,12}\Z"
)


def source_before_chinese(passage: Passage, start: int, end: int) -> Source | None:
    """Who speaks before a Chinese reporting verb at `end`: 高盛, 高盛首席策略师某某, 某某, 该行, 他, 分析."""
    text = passage.text
    start = max(start, end - 80)
    stretch = text[start:end]
    if tail := _ZH_TAIL.search(stretch):
        stretch = stretch[: tail.start()]
    # A pattern may need what the tail took ("报告称"), but only where nothing else is left.
    stop = start + len(stretch)
    house: tuple[Mention, str] | None = None
    company: Mention | None = None
    person: Mention | None = None
    for mention in mentions_near(passage, start, end):
        letter = mention_letter(mention)
        if letter is None:
            continue
        if letter[0] == "F":
            house, company, person = (mention, letter[1]), None, None
        elif letter[0] == "P":
            person = mention
        else:
            company, house = mention, None
    broker = (house[1], text[house[0].start : house[0].end]) if house else ("", "")
    if match := _ZH_PERSON_TAIL.search(stretch):
        where = start + match.start()
        if house and (where - house[0].end > 12 or _ZH_PAUSE.search(text, house[0].end, max(house[0].end, where))):
            broker = ("", "")
        elif house:
            where = house[0].start
        name = match.group("name") or ""
        role = match.group("role")
        if broker[1]:
            # "野村证券中国首席...": the word belongs to the house.
            role = _ZH_HOUSE_TAIL.sub("", role) or role
        kind = SourceType.PERSON if name else (SourceType.HOUSE if broker[1] else SourceType.GENERIC)
        if company and not name:
            return Source(SourceType.COMPANY, company.start, stop, speaker=company.text, role=role)
        return Source(kind, where, stop, *broker, name, role)
    if person and stop - person.end <= 1:
        near = house and person.start - house[0].end <= 12
        role = text[house[0].end : person.start].strip("的 ") if house and near else ""
        first = house[0].start if house and near else person.start
        return Source(SourceType.PERSON, first, stop, *(broker if near else ("", "")), person.text, role)
    if house and (stop - house[0].end <= 1 or _ZH_ORG.fullmatch(text, house[0].end, stop)):
        return Source(SourceType.HOUSE, house[0].start, stop, *broker)
    if company and stop - company.end <= 1:
        return Source(SourceType.COMPANY, company.start, stop, speaker=company.text)
    for pattern, kind in (
        (_ZH_HOUSE, SourceType.THE_HOUSE),
        (_ZH_HE, SourceType.HE),
        (_ZH_COMPANY, SourceType.THE_COMPANY),
        (_ZH_GENERIC, SourceType.GENERIC),
    ):
        if match := pattern.search(stretch) or (pattern.search(text[start:end]) if not stretch else None):
            return Source(kind, start + match.start(), stop)
    if (medium := _ZH_MEDIUM.search(stretch)) and stop - start - medium.end() <= 1:
        return Source(SourceType.MEDIUM, start + medium.start(), stop, speaker=medium.group())
    if match := _ZH_NAME_TAIL.search(stretch):
        return Source(SourceType.PERSON, start + match.start("name"), stop, speaker=match.group("name"))
    return None


def source_after_chinese(passage: Passage, start: int, end: int) -> Source | None:
    """Who is named right after 据/根据: a house, company or medium within a few characters."""
    if medium := _ZH_MEDIUM.match(passage.text, start, end):
        return Source(SourceType.MEDIUM, medium.start(), medium.end(), speaker=medium.group())
    for mention in mentions_near(passage, start, min(end, start + 40)):
        if mention.start > start + 4 or _ZH_PAUSE.search(passage.text, start, mention.start):
            break
        letter = mention_letter(mention)
        if letter is None:
            continue
        words = passage.text[mention.start : mention.end]
        if letter[0] == "F":
            return Source(SourceType.HOUSE, mention.start, mention.end, letter[1], words)
        if letter[0] == "I":
            return Source(SourceType.COMPANY, mention.start, mention.end, speaker=words)
    return None
