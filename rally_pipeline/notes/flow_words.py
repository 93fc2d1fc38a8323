"""Patterns of flows: whose money, bought or sold, largest or alike.

Belongs here: the words of `flows.py`. Does not belong here: what is made of them.
"""

from __future__ import annotations

import re
from typing import Final

from rally_pipeline.notes.dates import MONTH

TRIGGER: Final = (
    *(
        "southbound",
        "northbound",
        "mainland",
        "connect",
        "flow",
        " net ",
        "net-",
        "net buy",
        "net sell",
        "net purch",
        "net inflow",
        "net outflow",
        "fii",
        "fpi",
        "foreign ",
        "overseas",
        "onshore",
    ),
    *("hedge funds", "global funds", "etf", "epfr", "equity funds", "bond funds", "stock funds"),
)
ZH_TRIGGER: Final = (
    *(
        "南向",
        "南下",
        "北水",
        "北向",
        "股通",
        "港通",
        "内地资金",
        "內地資金",
        "内地投资",
        "內地投資",
        "内资",
        "內資",
        "外资",
        "外資",
        "净",
        "淨",
    ),
    *("资金", "資金"),
)
_CHANNEL: Final = (
    r"(?:(?: Stock)? Connect(?: (?:channel|leg|part|link|side|route|scheme|programme|program))?"
    r"|(?: Stock)?(?: channel| leg| part| link| side| route))"
)
_NO_MARKET: Final = r"(?![\w-]| (?:Composite|Component|shares|stocks|stock exchange|index|exchange|market)\b)"
SUBJECT: Final = re.compile(
    r"\b(?:(?P<north>northbound(?: \w+)?|overseas (?:investors|funds)|foreign (?:institutional "
    r"|portfolio )?(?:investors|funds|capital|money)|FIIs?\b|FPIs?\b|DIIs?\b"
    r"|global (?:funds|investors)|hedge funds|retail investors|(?:[\w-]+-backed |equity |gold |bond |stock |China "
    r"|money[- ]market )?(?:ETFs?|mutual funds)|foreigners"
    r"|(?:(?:China|Chinese|Hong Kong|Asian?|Japan(?:ese)?|US|European?|Indian?|Korean?|emerging[- ]market|EM|global) )?"
    r"(?:equity|bond|stock|money[- ]market) (?:mutual )?funds|EPFR(?: Global)?|long-only funds)"
    rf"|(?P<sse>(?:(?:via|through|in|on|of) (?:the )?)?Shanghai(?:[-–— ]Hong Kong)?{_CHANNEL}(?!\w)"
    rf"|(?:via|through) (?:the )?Shanghai{_NO_MARKET})"
    rf"|(?P<szse>(?:(?:via|through|in|on|of) (?:the )?)?Shenzhen(?:[-–— ]Hong Kong)?{_CHANNEL}(?!\w)"
    rf"|(?:via|through) (?:the )?Shenzhen{_NO_MARKET})"
    r"|(?P<south>southbound(?: (?:trading|investors|buyers|funds|flows?|money|traders|capital|leg|link|stock connect"
    r"|connect|buying))?"
    r"|(?:mainland(?:[ -]based)?(?: Chinese)?|mainland China(?:['’]s)?|Chinese mainland"
    r"|onshore(?: Chinese)?) (?:investors|buyers|traders|funds|money|capital|punters|investor|institutions"
    r"|retail investors)"
    r"|(?:investors|buyers|traders|money|funds) (?:from|on|in) (?:the )?(?:Chinese )?mainland(?: China)?|mainlanders"
    r"|(?:the )?(?:Stock )?Connect(?: scheme| link| programme| program)?))",
    re.IGNORECASE,
)
NET: Final = re.compile(r"\bnet\b", re.IGNORECASE)
_BUY: Final = (
    r"purchas(?:es?|ed|ing)|buying|buyers?|buys?|bought|snapped up|snap up|scooped up|scoop up|ploughed|plowed|plough"
    r"|poured|pour(?:ing)?(?: in)?|pumped|pump(?: in)?|injected"
    r"|invested|spent|accumulated|mopped up|hoovered up|piled|picked up|put|added|lapped up|channell?ed|funnell?ed"
)
_SELL: Final = (
    r"sell(?:ing|ers?|s)?|sold|sales|offload(?:ed|ing)?|dump(?:ed|ing)?|withdrew|withdraw(?:n|als?|ing|s)?"
    r"|pulled(?: out)?|pull(?:ing)?(?: out)?|shed|unloaded|disposals?"
)
AMOUNT_BEFORE: Final = re.compile(
    r"\b(?:(?P<turnover>turnover|trading value)|(?P<inflow>inflows?|flows?|flowed in(?:to)?|came in|flow in"
    r"|took in|taken in|drew in|attracted)"
    r"|(?P<outflow>outflows?|flowed out|flow out)"
    rf"|(?P<buy>{_BUY})|(?P<sell>{_SELL}))\b",
    re.IGNORECASE,
)
AMOUNT_AFTER: Final = re.compile(
    r"(?:[ -]*\b(?:worth|of|in|into|a|daily|weekly|monthly|cumulative|total|southbound|northbound|mainland|additional"
    r"|record|the|has|have|had|was|were|been|that|money|funds|capital)\b){0,8}[ -]*(?:net[ -])?"
    r"(?:(?P<turnover>turnover|trading value)"
    r"|(?P<inflow>inflows?|flowed in(?:to)?|flowing into|poured in(?:to)?|came in|enter(?:s|ed|ing)?)"
    r"|(?P<outflow>outflows?|flowed out|left|leav(?:e|es|ing)|exit(?:s|ed|ing)?)"
    r"|(?P<buy>purchases|buying|bought)|(?P<sell>selling|sales|sold|withdrawals))\b",
    re.IGNORECASE,
)
#: Money that moves in other things than a market: deposits, direct investment, funds of a company.
EXCLUDED: Final = re.compile(
    r"\b(?:deposits?|FDI|direct investment|assets under management|AUM"
    r"|customers?|clients?|asset (?:out|in)flows?|dividend|buybacks?"
    r"|repurchases?|acquisition|acquire|net (?:profit|loss|income|sales|interest)|sales of|bonds? (?:sale|issue)|IPO"
    r"|loans?|repo)\b",
    re.IGNORECASE,
)
CUMULATIVE: Final = re.compile(
    r"\b(?:cumulative|so far|since|total(?:s|led|ling|ed)?|to date)\b|累计|累計|至今|以来|以來", re.IGNORECASE
)
_FLOW: Final = (
    r"(?:net )?(?:inflows?|outflows?|purchas\w+|buying|buyers?|sellers?|selling|sales|turnover|flows?|buys?"
    r"|rush|spree|amount|total)"
)
FLOW_NOUN: Final = re.compile(rf"\b(?:{_FLOW}|bought|sold|poured|pumped|southbound trading)\b", re.IGNORECASE)
EXTREME_FLOW: Final = re.compile(
    r"\b(?:(?P<high>biggest|largest|highest|strongest|heaviest|greatest|most|record|fastest)|(?P<low>smallest"
    r"|lowest|weakest))"
    r"(?: (?:single-day|one-day|daily|weekly|monthly|quarterly|annual|day|week|month|of|in|ever|session|southbound"
    rf"|mainland|cumulative|amount|total|net|high|level|pace)){{0,5}}"
    rf"(?: {_FLOW})?(?=\W|$)",
    re.IGNORECASE,
)
COMPARABLE: Final = re.compile(
    r"\b(?:comparable (?:to|with)|similar to|on (?:a )?par with|akin to|in line with|rival(?:s|ling|led)?|match(?:es"
    r"|ing|ed)?|as (?:strong|large|big|much) as|equal(?:s|led|ling)? (?:to )?|reminiscent of|on the scale of"
    r"|approaching)\b",
    re.IGNORECASE,
)
ZH_SUBJECT: Final = re.compile(
    r"(?P<sse>港股通[(（]?[沪滬][)）]?|[沪滬]港股通|(?:沪市|滬市|上海)港股通|[沪滬]港通(?:南向)?)|(?P<szse>港股通[(（]?深[)）]?|深港股通|(?:深市"
    r"|深圳)港股通|深港通(?:南向)?)"
    r"|(?P<north>北向(?:资金|資金)?|[沪滬深]股通|陆股通|陸股通|外资|外資|主力(?:资金|資金)|(?:ETF|基金)(?=[^。]{0,6}[净淨流]))"
    r"|(?P<south>南向(?:资金|資金|交易)?|南下(?:资金|資金)|北水|港股通|内地(?:资金|投资者)|內地(?:資金|投資者)|内资|內資)"
)
_ZH_UP: Final = (
    r"[净淨](?:买入|買入|流入|买进|買進|买|買)(?:额|額|规模|規模)?|流入|买入|買入|吸纳|吸納|扫入|掃入|扫货"
    r"|掃貨|增持|加仓|加倉|扫港股|涌入|湧入"
)
_ZH_DOWN: Final = (
    r"[净淨](?:卖出|賣出|流出|沽出|抛售|拋售|卖|賣|沽)(?:额|額)?|流出|卖出|賣出|沽出|沽货|沽貨|抛售|拋售"
    r"|减持|減持|减仓|減倉|撤出"
)
_ZH_TURN: Final = r"成交(?:额|額|金额|金額|总额|總額)?"
_ZH_TAIL: Final = (
    r"(?:已|仍|亦|再|更|就|突破|逾越|港股|港元|港股資產|了|额|額|累计|累計|合计|合計|达|達|约|約|近|逾|超过|超過|超|为|為|共|高达|高達"
    r"|至|录得|錄得|人民币|人民幣|[:：\s])*$"
)
ZH_BEFORE: Final = re.compile(rf"(?:(?P<turnover>{_ZH_TURN})|(?P<up>{_ZH_UP})|(?P<down>{_ZH_DOWN})){_ZH_TAIL}")
ZH_AFTER: Final = re.compile(
    rf"(?:港元|元)?(?:资金|資金|的)?(?:(?P<turnover>{_ZH_TURN})|(?P<up>{_ZH_UP})|(?P<down>{_ZH_DOWN}))"
)
ZH_EXTREME: Final = re.compile(
    r"(?:创|創|创下|創下|为|為|是|见|見|刷新)?[^，。；]{0,14}?(?:(?P<high>新高|最高|最大|最多|纪录|紀錄|记录|記錄)|(?P<low>新低|最低|最少|最小))"
    r"(?:的?(?:单日|單日|单周|單週|單周|单月|單月)?[净淨]?(?:买入|買入|流入|(?P<out>流出|卖出|賣出|沽出))(?:额|額)?)?"
)
ZH_COMPARABLE: Final = re.compile(
    r"(?:与|與|和|跟)(?=[^，。]{2,16}(?:相若|相当|相當|相近|媲美|看齐|看齊))|媲美|堪比|可比|相当于|相當於"
)
ZH_TOTAL: Final = re.compile(
    r"(?:已|仍|亦|再|累计|累計|合计|合計|总计|總計|共|金额|金額|规模|規模|总额|總額|涉资|涉資)?(?:高达|高達|达|達|为|為|约|約|近|逾|超过|超過|超|共|到|\s)*"
)

#: What "comparable to" may be said of in a sentence that goes on about the flow of the one before.
PACE: Final = re.compile(
    r"\b(?:pace|speed|rate|buying|purchases|(?:in|out)?flows?|rush|amounts?|totals?|sums?|figures?|scale|size|sums?"
    r"|tally|spree|momentum|it|that|this|which)\b",
    re.IGNORECASE,
)
ZH_PACE: Final = re.compile(
    r"规模|規模|速度|步伐|力度|买盘|買盤|金额|金額|买入|買入|流入|势头|勢頭|热潮|熱潮|抢购|搶購|水平|额度|額度|节奏|節奏"
)
COMPARABLE_HINTS: Final = (
    *(
        "comparable",
        "par with",
        "akin",
        "match",
        "rival",
        "similar",
        "in line with",
        "reminiscent",
        "equal",
        "as strong",
    ),
    *("as large", "as big", "as much", "on the scale", "approaching"),
)
ZH_COMPARABLE_HINTS: Final = ("相若", "相当", "相當", "相近", "媲美", "看齐", "看齊", "堪比", "可比")
#: "the rush of September", "the levels in September 2024", "what was seen last autumn in October".
RUSH_IN: Final = re.compile(
    rf"[^,;:.]{{0,48}}?\b(?:of|in|from|during) (?P<last>last )?(?P<month>(?-i:{MONTH}))(?:,? (?P<year>20\d\d"
    rf"|last year))?",
    re.IGNORECASE,
)
#: Between a flow and its amount: the amount is a bound that was passed.
PASSED: Final = re.compile(
    r"\b(?:topp(?:ed|ing)|exceed(?:ed|s|ing)?|surpass(?:ed|es|ing)?|pass(?:ed|es|ing)|cross(?:ed|es|ing)"
    r"|breach(?:ed|es)"
    r"|broke (?:through|above))(?: the)?\s*$"
    r"|突破$",
    re.IGNORECASE,
)
#: "and through Shenzhen to HK$1.3 billion": the amount of another channel after that of the first.
AND_CHANNEL: Final = re.compile(
    r"(?:[^,;.]{0,24})?,? (?:and|while|versus|against) (?:(?:via|through|in|on|for) )?(?:the )?"
    r"(?:(?P<sse>Shanghai)|(?P<szse>Shenzhen))"
    r"(?: (?:Stock )?(?:Connect|link|leg|channel|side|route|part))?,? ?(?:(?:to|was|at|came to|reached"
    r"|totalled|totaled|,) ?)?$",
    re.IGNORECASE,
)
#: Behind an amount set beside another of the same flow: "of the HK$800bn booked in all of last year".
BOOKED: Final = re.compile(
    r"(?:[ -](?:odd|plus|or so))?(?: (?:that was|which was|was))? (?:booked|recorded|registered|logged"
    r"|posted|notched(?: up)?)\b",
    re.IGNORECASE,
)
#: Between a channel and its part of an amount named before: 其中沪港股通占12亿元.
ZH_PART: Final = re.compile(r"(?:则|則|分别|分別)?[占佔](?:了)?(?:约|約|近|逾)?")
NET_FLOW: Final = re.compile(r"\bnet (?:in|out)flows?\b", re.IGNORECASE)
NORTHBOUND: Final = re.compile(r"northbound|北向|[沪滬深]股通", re.IGNORECASE)
SOUTHBOUND: Final = re.compile(r"southbound|南向|南下|北水|mainland|港股通", re.IGNORECASE)
#: A direction without an amount: "saw outflows", "inflows rose".
DIRECTION: Final = re.compile(
    r"\b(?:saw|sees?|seen|record(?:s|ed)?|post(?:s|ed)?|suffer(?:s|ed)?|register(?:s|ed)?|had|experienced?"
    r"|attract(?:s|ed)?|drew"
    r"|witness(?:ed)?|turned to|swung to|returned to) (?:(?!no\b)[\w-]+ ){0,2}?(?:net )?(?P<way>in|out)flows?\b"
    r"|(?P<way2>in|out)flows? (?:up|rose|rise|jump(?:ed|s)?|increased|continued|accelerated|resumed|surged)\b",
    re.IGNORECASE,
)
