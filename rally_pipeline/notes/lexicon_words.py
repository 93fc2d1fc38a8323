"""Words around names: flows and kinds of investors, and the signs that decide what an ambiguous name means.

Belongs here: word lists of both languages and the patterns made of them, each bounded in length. Does not belong here:
names of houses, instruments, people and events, which are data (`catalog/*.yaml`), or the matching (`lexicon.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Letters and digits of Latin script. ``\w`` would do for neither: Chinese characters are word characters too.
LATIN = "0-9A-Za-z\u00c0-\u024f"
NOT_LATIN_AFTER = f"(?![{LATIN}])"


def _names(text: str) -> tuple[str, ...]:
    """The names of a list that is written with bars between them."""
    return tuple(" ".join(name.split()) for name in text.split("|"))


#: Flows by their entity. "Mainland investors" are the southbound flow as well as a kind of investor.
FLOW_NAMES: Mapping[str, tuple[str, ...]] = {
    "southbound": _names(
        """
        southbound | south-bound | Stock Connect | Hong Kong Stock Connect | Stock Connect schemes |
        Stock Connect scheme | Stock Connect program | Stock Connect programs | Stock Connect programme |
        Stock Connect link | trading links with the mainland | trading link with the mainland |
        cross-border trading links | cross-border trading link | cross-border stock link | mainland investors |
        mainland Chinese investors | mainland China investors | mainland buyers | mainland money | mainland funds |
        mainland capital | mainland buying | mainland Chinese buying | mainland inflows | onshore investors |
        onshore Chinese investors | onshore money | Chinese investors via the connect |
        Chinese investors through the connect | investors from the mainland | investors in mainland China |
        buyers from the mainland | 南向资金 | 南向資金 | 南下资金 | 南下資金 | 南向 | 南下 | 北水 | 港股通 |
        港股通资金 | 港股通資金 | 互联互通 | 互聯互通 | 内地资金 | 內地資金 | 内资 | 內資 | 内地投资者 |
        內地投資者 | 内地投资人
        """
    ),
    "southbound_sse": _names(
        """
        Shanghai-Hong Kong Stock Connect | Shanghai Hong Kong Stock Connect | Shanghai Stock Connect |
        Shanghai Connect | Shanghai-Hong Kong Connect | Shanghai southbound | southbound Shanghai |
        southbound Shanghai-Hong Kong Stock Connect | Southbound Shanghai Connect | 沪市港股通 | 滬市港股通 |
        港股通（沪） | 港股通(沪) | 港股通（滬） | 港股通(滬) | 港股通沪 | 港股通（上海） | 沪港通 | 滬港通 |
        沪港通南向 | 滬港通南向 | 沪港通下的港股通 | 滬港通下的港股通 | 上海港股通
        """
    ),
    "southbound_szse": _names(
        """
        Shenzhen-Hong Kong Stock Connect | Shenzhen Hong Kong Stock Connect | Shenzhen Stock Connect |
        Shenzhen Connect | Shenzhen-Hong Kong Connect | Shenzhen southbound | southbound Shenzhen |
        southbound Shenzhen-Hong Kong Stock Connect | Southbound Shenzhen Connect | 深市港股通 | 港股通（深） |
        港股通(深) | 港股通深 | 港股通（深圳） | 深港通 | 深港通南向 | 深港通下的港股通 | 深圳港股通
        """
    ),
    "northbound": _names(
        """
        northbound | north-bound | northbound Stock Connect | 北向资金 | 北向資金 | 北上资金 | 北上資金 | 北向 |
        沪股通 | 滬股通 | 深股通 | 陆股通 | 陸股通
        """
    ),
}

#: Kinds of investors by their entity.
INVESTOR_NAMES: Mapping[str, tuple[str, ...]] = {
    "hedge_funds": _names(
        """
        hedge funds | hedge fund | hedge-fund | fast money | leveraged funds | macro funds | quant funds |
        long-short funds | long/short funds | CTAs | commodity trading advisers | commodity trading advisors |
        trend followers | multi-strategy funds | 对冲基金 | 對沖基金 | 避险基金 | 避險基金 | 量化基金
        """
    ),
    "long_only": _names(
        """
        long-only funds | long only funds | long-only investors | long-only managers | long-only fund managers |
        long-onlys | long-only | real money investors | real-money investors | real money accounts | long onlies |
        长线基金 | 長線基金 | 长线资金 | 長線資金 | 长线投资者 | 長線投資者 | 长线外资 | 長線外資
        """
    ),
    "foreign_investors": _names(
        """
        global investors | foreign investors | overseas investors | international investors | offshore investors |
        foreign funds | overseas funds | global funds | foreign money | foreign capital | overseas money |
        foreigners | foreign institutional investors | foreign portfolio investors | FIIs | FPIs |
        Western investors | European investors | US investors | U.S. investors | American investors |
        non-Chinese investors | global fund managers | emerging-market funds | emerging market funds | EM funds |
        global emerging market funds | 外资 | 外資 | 海外资金 | 海外資金 | 海外投资者 | 海外投資者 | 国际投资者 |
        國際投資者 | 国际资金 | 國際資金 | 全球投资者 | 全球投資者 | 境外投资者 | 境外投資者 | 境外资金 | 境外資金 |
        外国投资者 | 外國投資者 | 外资机构
        """
    ),
    "asian_investors": _names(
        """
        Asian investors | Asia-based investors | regional investors | investors in Asia | 亚洲投资者
        """
    ),
    "retail": _names(
        """
        retail investors | retail investor | retail traders | retail buyers | retail punters | mom-and-pop |
        mom and pop investors | individual investors | day traders | retail crowd | retail money | small investors |
        retail buying | retail participation | retail flows | 散户 | 散戶 | 个人投资者 | 個人投資者 | 股民 |
        小股民 | 零售投资者 | 零售投資者
        """
    ),
    "mutual_funds": _names(
        """
        mutual funds | mutual fund | active funds | active managers | active fund managers | fund managers |
        asset managers | money managers | index funds | passive funds | ETF investors | 公募基金 | 互惠基金 |
        主动型基金 | 主動型基金 | 主动基金 | 被动资金 | 被動資金 | 被动基金 | 共同基金 | 基金经理 | 基金經理 |
        公募
        """
    ),
    "institutions": _names(
        """
        institutional investors | domestic institutions | foreign institutions | mainland institutions |
        big institutions | institutional buyers | institutional money | institutional clients | insurance funds |
        pension funds | sovereign wealth funds | sovereign funds | 机构投资者 | 機構投資者 | 机构资金 | 機構資金 |
        险资 | 險資 | 保险资金 | 保險資金 | 主权基金 | 主權基金 | 退休基金
        """
    ),
    "mainland_investors": _names(
        """
        mainland investors | mainland Chinese investors | mainland China investors | onshore investors |
        domestic investors | domestic funds | Chinese investors | Chinese retail investors | local investors |
        mainland retail investors | 内地投资者 | 內地投資者 | 内地投资人 | 内地散户 | 內地散戶 | 内资 | 內資 |
        国内投资者 | 國內投資者 | 中国投资者 | 中國投資者
        """
    ),
    "hot_money": _names(
        """
        hot money | speculative money | speculative funds | 热钱 | 熱錢 | 游资 | 游資 | 遊資
        """
    ),
}

#: What may follow "southbound" as part of the mention.
FLOW_TAIL = re.compile(
    r"(?:\s{1,2}(?:net\s)?(?:stock\sconnect|connect|flows?|inflows?|outflows?|trading|trades?|purchas(?:es|ing)|buying|"
    r"selling|money|capital|funds?|investors?|buyers|turnover|links?|channels?|leg|scheme|cash|demand|transactions|"
    rf"volumes?|activity){NOT_LATIN_AFTER}){{1,3}}",
    re.IGNORECASE,
)
FLOW_TAIL_ZH = re.compile(r"(?:资金|資金|资本|資本|买盘|買盤|交易|投资者|投資者)")
#: Southbound roads and travellers.
NO_FLOW_AFTER = re.compile(
    r"\s{1,2}(?:travel\w{0,6}|traffic|trains?|lanes?|cars?|carriageway|drivers?|motorists?|tourists?|tourism|visitors?|trips?|"
    r"vehicles?|ferr\w{1,4}|bus(?:es)?|flights?|road|highway|consumption|consumers?|spending|shoppers?|swap|bond)",
    re.IGNORECASE,
)
NO_FLOW_AFTER_ZH = re.compile(
    r"(?:旅客|车|車|消费|消費|游客|遊客|通债|通債|游|遊|打工|发展|發展|干部|幹部|作战|互换|互換)"
)

#: What may follow a house as part of its name.
BROKER_TAIL = re.compile(
    r"(?:(?:\s{1,2}|,\s)(?:Securities|Capital\sMarkets|Capital|Global\s(?:Research|Markets|Banking\sand\sMarkets)|"
    r"(?:Equity|Investment|Institutional)\sResearch|Research|Markets|Group|Investment\sBank(?:ing)?|Partners|"
    r"International|Financial\sGroup|Financial|Holdings?|Corporation|Corp\b\.?|Companies|Inc\b\.?|L\.?L\.?C\b\.?|LLP|LP|"
    r"Ltd\b\.?|Limited|plc|PLC|Plc|AG|SE|SA|S\.A\.|NV|N\.V\.|Pte|Bhd|(?:&|and)\sCo(?:\b\.?|mpany)|Co\b\.|Equities|Advisors|"
    rf"Associates){NOT_LATIN_AFTER}){{1,3}}"
)
BROKER_TAIL_ZH = re.compile(
    r"(?:证券|證券|国际|國際|集团|集團|环球研究|環球研究|环球|環球|资本|資本|研究部|研究所|投行|亚太|亞太){1,2}"
)
#: What makes a house's name that of a fund or a company under its name ...
NOT_BROKER_AFTER = re.compile(
    r"\s{1,2}(?:(?:ETFs?|ETNs?|Funds?|BDC|REIT|Trust|Infrastructure|Acquisition|Ventures|Growth\sEquity)|"
    rf"(?:Asset|Wealth|Fund|Investment|Private\sWealth)\s(?:Management|Managers?)|Private\s(?:Bank|Equity)){NOT_LATIN_AFTER}"
)
NOT_BROKER_AFTER_ZH = re.compile(r"(?:资产管理|資產管理|资管|資管|基金|信托|信託|人寿|人壽|保险|保險)")
#: ... or of a place or an event.
PLACE_AFTER = re.compile(
    r"\s{1,2}(?:Arena|Cent(?:er|re)|Stadium|Field|Championship|Tower|Towers|Marathon|Museum|Open|Plaza|Building|University|"
    rf"College|Island|Street|Premier\sLeague|Foundation){NOT_LATIN_AFTER}"
)

_HOUSE_VERBS = (
    r"upgrad(?:es?|ed|ing)|downgrad(?:es?|ed|ing)|maintain(?:s|ed|ing)?|re-?iterat(?:es?|ed|ing)|re-?affirm(?:s|ed|ing)?|"
    r"affirm(?:s|ed)|initiat(?:es?|ed|ing)|re-?initiat(?:es|ed)|resum(?:es?|ed|ing)|start(?:s|ed)?|assum(?:es?|ed)|begins?|"
    r"began|launch(?:es|ed)?|rais(?:es?|ed|ing)|lower(?:s|ed|ing)?|cuts?|cutting|lift(?:s|ed|ing)?|boost(?:s|ed|ing)?|"
    r"hik(?:es|ed)|trim(?:s|med)?|slash(?:es|ed)|reduc(?:es?|ed)|increas(?:es?|ed)|decreas(?:es?|ed)|adjust(?:s|ed)?|"
    r"bump(?:s|ed)|ups|mov(?:es|ed)|keeps?|kept|stick(?:s)?|stuck|stay(?:s|ed)|remain(?:s|ed)?|reset(?:s)?|"
    r"rat(?:es?|ed)|nam(?:es|ed)|add(?:s|ed)|remov(?:es|ed)|drop(?:s|ped)|suspend(?:s|ed)|sa(?:ys?|id)|sees?|saw|"
    r"expect(?:s|ed)?|believ(?:es?|ed)|thinks?|thought|not(?:es|ed)|writ(?:es?|ing)|wrote|argu(?:es?|ed)|estimat(?:es?|ed)|"
    r"forecasts?|predict(?:s|ed)?|project(?:s|ed)|recommend(?:s|ed)?|call(?:s|ed)|defend(?:s|ed)|comment(?:s|ed)|"
    r"likes?|sets?|turn(?:s|ed)|previews?|weighs|highlight(?:s|ed)|cit(?:es|ed)|warn(?:s|ed)|told|tells|has|have|had|is|was"
)
#: A sign of a house right after its name: what houses do, or what they have.
HOUSE_AFTER = re.compile(
    r"(?:['\u2019\u2018]s?)?\s{1,2}(?:"
    rf"(?:(?:also|today|now|just|recently|reportedly)\s)?(?:{_HOUSE_VERBS}){NOT_LATIN_AFTER}"
    r"(?!\s{1,2}(?:[+\-]?[\d.]|losses|gains|early|week|flat|higher|lower|points|nearly|almost|about|more\sthan|over|up\b|down\b|"
    r"of\b|not\sa\b|one\b))|"
    r"(?:\w{2,20}\s)?(?:analysts?|strategists?|economists?|brokerage|research(?:ers)?|team|note|report|conference|survey)"
    rf"{NOT_LATIN_AFTER}|(?:price\s(?:target|objective)|target|rating|upgrade|downgrade|initiation|coverage|conviction|PT|TP|PO|"
    rf"top\spicks?|bullish|bearish|cautious|positive|neutral|negative|out\s(?:positive|negative|cautious|with)){NOT_LATIN_AFTER})",
    re.IGNORECASE,
)
#: A sign so plain that a capitalised word before the name makes it no surname ("Hearing Needham Raised Target").
HOUSE_ACTS_AFTER = re.compile(
    r"\s{1,2}(?:upgrad|downgrad|maintain|re-?iterat|re-?affirm|initiat|resum|assum|rais|lower|cuts?\s|lift|boost|hik|trim|slash)"
    r"\w{0,4}\s(?:(?:its|the|their)\s)?(?:[A-Z$]|(?:price\s)?(?:target|objective|coverage)|PT|TP|rating)",
    re.IGNORECASE,
)
ANALYST_BEFORE = re.compile(r"(?:analysts?|strategist|economist|manager|chief|Mr\.?|Ms\.?)\s\S{1,15}\s$", re.IGNORECASE)
#: "Bernstein's Jane Roe": whom it belongs to is a person.
HOUSE_OF_PERSON_AFTER = re.compile(
    r"['\u2019]s\s{1,2}[A-Z][a-z\u00df-\u024f]{1,14}\s(?:[A-Z]\.?\s)?[A-Z][\w'\u2019-]{1,20}"
    r"(?!\s(?:Index|Fund|Tower|Group|Bank)\b)"
)
#: A sign of a house right before its name.
HOUSE_BEFORE = re.compile(
    rf"(?:^|[^{LATIN}])(?:at|by|from|via|per|according\sto|analysts?\s(?:at|from|with|of)|strategists?\s(?:at|from|with)|"
    r"brokerage|broker|brokers|firm|research\shouse|colleagues\sat)\s{1,2}(?:the\s)?$",
    re.IGNORECASE,
)
#: Between two names of one list.
LIST_GAP = re.compile(
    r"\s{0,2}(?:,|;|/|\||,?\s(?:and|&|or)\s|、|和|及|与|與)\s{0,2}(?:analysts?\sat\s)?", re.IGNORECASE
)

_MOVES = (
    r"rose|rises?|risen|fell|falls?|gained|gains|jumped|jumps|leapt|surged|surges|slipped|slips|climbed|climbs|tumbled|tumbles|"
    r"sank|sinks|slid|slides|plunged|plunges|rallied|rallies|soared|soars|advanced|advances|declined|declines|"
    r"edged|edges|dipped|dips|popped|pops|rebounded|rebounds|retreated|retreats|eased|eases|"
    r"(?:was|were|is|are|has\sbeen)\s(?:up|down|higher|lower|flat|trading)|(?:up|down)\s(?:\w{2,7}\s)?\d|closed|closes|"
    r"traded|trades\s(?:at|up|down)|trading\s(?:at|up|down)|(?:added|adds|lost|loses|shed|sheds|dropped|drops|put\son)\s(?:\w{2,7}\s)?\d"
)
#: The name stands for the share: "HSBC shares", "UBS fell 2%".
SHARE_AFTER = re.compile(
    r"(?:['\u2019\u2018]s?)?\s{1,2}(?:(?:Hong\sKong|London|U\.?\s?S\.?|New\sYork)\s?(?:-listed|-traded)?\s)?"
    rf"(?:shares?{NOT_LATIN_AFTER}(?!\s(?:its|their|his|her|an?|the|views?|insights?|how|why|what))|"
    rf"stock{NOT_LATIN_AFTER}(?!\s(?:analyst|strateg|pick|research|trader|market|desk))|ADRs?|ADSs?|"
    rf"(?:{_MOVES}){NOT_LATIN_AFTER})"
)
#: "HSBC downgraded to sell at ...": what is done to it.
SHARE_RATED_AFTER = re.compile(
    r"\s{1,2}(?i:(?:(?:is|was|gets?|got|has\sbeen|just|also|stock|shares?)\s){0,2}(?:upgraded|downgraded|raised|lowered|lifted|"
    r"cut|initiated|reiterated|reaffirmed|maintained|resumed|assumed|reinstated|started|rated|named|added|removed))"
    rf"\s(?:[Tt]o|[Aa]t|[Bb]y|[Aa]s){NOT_LATIN_AFTER}(?!\s(?:an?|its|the)\s)"
)
SHARE_BEFORE = re.compile(
    r"(?:(?:shares?|stock|ADRs?|stake|holdings?|position)\s(?:of|in)\s(?:the\s)?|"
    r"(?:coverage|buy|sell|hold|neutral|outperform|underperform|overweight|underweight|equal[-\s]weight|perform|ratings?|targets?|"
    r"PT|TP|PO|objective|bullish|bearish|cautious|positive|negative|upbeat)\s(?:rating\s|view\s|call\s)?(?:on|of|for)\s|"
    rf"(?:^|[^{LATIN}])(?:upgrades|downgrades|initiates|reiterates|maintains|raises|lowers|upgraded|downgraded)\s)$",
    re.IGNORECASE,
)
#: With one of these, in small letters, what `SHARE_BEFORE` finds ends but for the blank.
SHARE_BEFORE_LAST = (
    *("of", "in", "the", "on", "for", "upgrades", "downgrades", "initiates", "reiterates", "maintains", "raises"),
    *("lowers", "upgraded", "downgraded"),
)
#: "將滙豐目標價": the house of the sentence does it to the share; both sides must say so.
SHARE_RATED_BEFORE_ZH = re.compile(r"(?:[将將予升降]|上[调調]|下[调調]|[维維]持|重申|首予|看好|看淡)[“「]?$")
SHARE_RATED_AFTER_ZH = re.compile(r"(?:控股)?的?(?:目[标標][价價]|[评評][级級]|[至到]|H股|股份)")
SHARE_AFTER_ZH = re.compile(
    r"(?:股价|股價|股票|股份)|(?:收|盘中|盤中|早盘|早盤|现|現)?[升涨漲跌](?:幅|近|逾|超|约|約|穿|破)?\s?\d"
)
#: The name stands for the index (the S&P, that is): as a share, and as what only an index does.
INDEX_AFTER = re.compile(
    rf"\s{{1,2}}(?:{_MOVES}|ended|ends|finished|finishes|notched|hit|hits|posted|futures|index|above|below|near|at\s\d|"
    rf"has\s(?:risen|gained|fallen|climbed|lost)|on\s(?:Monday|Tuesday|Wednesday|Thursday|Friday)){NOT_LATIN_AFTER}"
)
THE_BEFORE = re.compile(rf"(?:^|[^{LATIN}])the\s{{1,2}}$", re.IGNORECASE)
NO_INDEX_AFTER = re.compile(
    r"\s{1,2}(?:ratings?|agency|credit|analysts?|downgrad\w{1,3}|upgrad\w{1,3}|report)", re.IGNORECASE
)
INDEX_AFTER_ZH = re.compile(
    r"(?:指[数數])|(?:收|盘中|盤中|早盘|早盤|现|現)?[升涨漲跌](?:幅|近|逾|超|约|約|穿|破)?\s?\d|(?:收|报|報)\s?\d"
)
#: The New York share of an issuer listed twice.
NEW_YORK_AFTER = re.compile(
    r"(?:['\u2019\u2018]s?)?\s{1,2}(?:(?:U\.?\s?S\.?\s?|New\sYork|NYSE|Nasdaq|American)[-\s](?:listed|traded|depositary|shares?|stock)|"
    rf"ADRs?|ADSs?|American\sdepositary){NOT_LATIN_AFTER}|(?:的)?(?:美股|ADR|美国存托|美國存託)"
)
NEW_YORK_BEFORE = re.compile(
    r"(?:U\.?S\.?|New\sYork)-(?:listed|traded)\s(?:shares\sof\s)?$|(?:NYSE|NASDAQ|US)\s?:\s?$", re.IGNORECASE
)

_SECTOR = (
    r"(?:information|technology|tech|internet|health\s?care|healthcare|biotech|banks?|banking|finance|financials?|property|"
    r"properties|real\sestate|consumer|discretionary|staples|energy|utilit(?:y|ies)|materials|industrials?|telecom\w{0,14}|"
    r"communications?|services|goods|commerce|semiconductors?|software|retail|mainland|dividend|yield|high|low|"
    r"volatility|small[-\s]?cap|mid[-\s]?cap|large[-\s]?cap|composite|sustainability|esg|corporate|growth|value|equal[-\s]weight\w{0,3}|"
    r"total|net|return|ah|premium|china|hong\skong|a|h|stock|connect|oil|gas|auto|automobile|ai|&|and)"
)
#: What makes an index name that of something else: futures and funds on it, its members, its sub-indices.
DERIVED_AFTER = re.compile(
    r"(?:\s{1,2}(?:stock\s|share\s)?index)?(?:"
    r"\s{1,2}(?:(?:stock|index|mini|e-mini)\s)?(?:futures?|etfs?|options?|warrants?|trackers?|constituents?|components?|members?|"
    rf"companies|firms|stocks(?!\s(?:index|benchmark))|earnings|dividends?|volatility|e-minis?|derivatives){NOT_LATIN_AFTER}|"
    rf"(?!\s{{1,2}}(?:and|&)\s)(?:\s{{1,2}}{_SECTOR}{NOT_LATIN_AFTER}){{1,6}}\s{{1,2}}(?:sub-?ind(?:ex|exes|ices)|ind(?:ex|exes|ices)|sectors?|gauge|group)"
    rf"{NOT_LATIN_AFTER})",
    re.IGNORECASE,
)
DERIVED_AFTER_ZH = re.compile(
    r"(?:期货|期貨|期指|夜期|黑期|ETF|期权|期權|牛熊[证證]|成[份分]股|波幅|波动率|波動率|公司|"
    r"[^升涨漲跌收报報高低开開及和与與，。、；：\s\d]{1,10}?指[数數])"
)

_NO_MOVE = r"[^升涨漲跌收报報高低开開及和与與，。、；：\s\d]"
#: "恒生" alone is the index only where no other word goes on from it (恒生银行, 恒生大学), or a longer index name does.
BARE_HANG_SENG_NAMES = ("恒生", "恆生")
BARE_HANG_SENG_AFTER = (
    rf"(?=[升涨漲跌收报報高低开開现現午及和与與在再曾今昨周週]|[^一-鿿]|$|{_NO_MOVE}{{1,10}}?指[数數])"
)
#: Chinese names that also occur within longer words: the characters they may not follow, and those that may not follow
#: them.
GUARDS_ZH: Mapping[str, tuple[str, str]] = {
    "大摩": ("", "擦"),
    "小摩": ("", "擦"),
    "中金": ("其当當集空年手黄黃", "额額融属屬银銀色牌币幣钱錢黄黃岭嶺"),
    "大和": ("扩擴强強重最巨更壮壯放增宏伟偉远遠光较較变變过過太长長", "小平谐諧稳穩"),
    "里昂": ("", "纳納市大"),
    "花旗": ("", "参參松"),
    "富国": ("", "强強"),
    "富國": ("", "強"),
    "华泰": ("", "柏汽"),
    "華泰": ("", "柏汽"),
    "星展": ("", "示现現"),
    "北水": ("河湖华華东東西台淮江", "利务務产產泥库庫"),
    "国指": ("中美英法德各我他韩韓俄泰外本两兩全该該多日强強大小诸諸鄰邻", "出责責控定导導派示挥揮明认認望数數"),
    "國指": ("中美英法德各我他韓俄泰外本兩全該多日強大小諸鄰", "出責控定導派示揮明認望數"),
    "科指": ("医醫学學各内內外全本该該", "导導出定"),
    "恒科": ("", "技学學"),
    "快手": ("手一打", "脚腳快如"),
    "小米": ("", "粥饭飯辣椒面麵糊粒价價产產步加"),
    "阿里": ("", "山郎斯云雲健影"),
    "友邦": ("", "国國"),
    "京东": ("", "方"),
    "京東": ("", "方"),
    "南下": ("", "车車广廣"),
    "北向": ("", "量"),
    "互联互通": ("", "机機"),
    "内资": ("", "企股房公"),
    "內資": ("", "企股房公"),
    "外资": ("", "企股法车車并併"),
    "外資": ("", "企股法車併"),
    "公募": ("", "基债債"),
    "日经": ("今昨近每当當", "过過济濟理历歷"),
    "日經": ("今昨近每當", "過濟理歷"),
    "游资": ("旅", "源"),
    "游資": ("旅", "源"),
    "标普": ("", "通"),
    "標普": ("", "通"),
    "工行": ("施开開动動手分", "为為"),
    "交行": ("", "为為"),
    "招行": ("", "为為"),
    "新地": ("", "标標块塊点點区區铁鐵"),
    "股民": ("", "族"),
    "农历年": ("", "初底末中度"),
    "農曆年": ("", "初底末中度"),
    "中国银行": ("", "业業"),
    "中國銀行": ("", "業"),
}
