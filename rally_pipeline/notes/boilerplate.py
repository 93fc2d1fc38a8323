"""Sentences that stand in a document but say nothing of a market: legal text, teasers, definitions, bylines.

Belongs here: telling such a sentence from its own words (and, where given, its place). Does not belong here: reading
documents (`readers/`), claims.
"""

from __future__ import annotations

import re

from rally_pipeline.notes.word_sets import has_any

_LEGAL = re.compile(
    r"\b(?:disclaimers?|disclosures?|this (?:document|report|material"
    r"|publication|communication|article|research|e?-?mail) (?:is|has been"
    r"|may|does|and|was|should|must|contains?)"
    r"|(?:not|no|neither|nor)\b[^.]{0,40}\b(?:investment advice|an offer"
    r"|a solicitation|recommendation to (?:buy|sell)|be (?:relied|reproduced"
    r"|construed|redistributed))"
    r"|past performance|all rights reserved|copyright|©|no (?:liability|warranty|guarantee|representation)"
    r"|for (?:institutional|professional|information(?:al)?|internal"
    r"|educational)(?: and \w+)? (?:investors?|clients?|purposes?|use)(?: only)?\b"
    r"|conflicts? of interest|analyst certification|certif(?:y|ies) that"
    r"|important disclosures|regulated by|authori[sz]ed and regulated"
    r"|member of (?:FINRA|SIPC|the (?:Hong Kong|London) )"
    r"|forward-looking statements?|terms (?:of use|and conditions)|privacy policy"
    r"|seek (?:independent|professional) advice"
    r"|investments? (?:involves?|carr(?:y|ies)) risks?|value of investments? (?:can"
    r"|may)|capital (?:is )?at risk|prices may go (?:down|up)"
    r"|should not be (?:construed|relied|considered)|does not constitute|do not constitute)"
    r"|免责声明|免責聲明|版权所有|版權所有|投资有风险|投資有風險|仅供参考"
    r"|僅供參考|不构成|不構成|风险提示|風險提示|风险披露|風險披露|转载"
    r"|轉載|未经许可|未經許可|過往表現|过往表现|入市需谨慎|入市需謹慎"
    r"|利益冲突|利益衝突",
    re.IGNORECASE,
)
# How a teaser begins, and what else makes one wherever it stands.
_TEASER = re.compile(
    r"[\s\W]*(?:read (?:more|also|next|the full|this)|also read|see also"
    r"|click (?:here|to|on)|more (?:from|on|stories|coverage)(?: |:)"
    r"|related(?::| (?:stories|articles|news|content|reading))"
    r"|don[’']t miss|what (?:else )?(?:to watch|we[’']re (?:watching"
    r"|reading))|watch(?: now)?:|listen(?: now)?:|also on|recommended"
    r"|most read|trending|sponsored|advertis\w+"
    r"|sign up|subscribe|follow (?:us|[\w .]+ on)|download (?:the|our)"
    r"|join (?:us|our)|get (?:the latest|our|breaking)|to (?:subscribe"
    r"|unsubscribe)|unsubscribe|for more(?: \w+)?,|share this|have a (?:tip"
    r"|story)"
    r"|(?:correction|editor[’']?s note|photo|image|caption|source|file photo"
    r"|reporting by|writing by|edited by|editing by|additional reporting"
    r"|with (?:additional )?reporting)\b(?::| by| \()"
    r"|check out the companies[^:]*:?\s*\Z|here (?:are|is) (?:the|what|some|a|how)"
    r"|these are the|stay tuned|continue reading|top stories|view the full)"
    r"|\s*(?:相关阅读|相關閱讀|延伸阅读|延伸閱讀|更多(?:新闻|新聞"
    r"|内容|內容|精彩)|点击|點擊|订阅|訂閱|关注(?:我们|公众号)|扫码"
    r"|掃碼|下载|下載(?=本?APP)|编辑[:：]|責任編輯|责任编辑|记者[:：]"
    r"|來源[:：]|来源[:：])",
    re.IGNORECASE,
)
_TEASER_WITHIN = re.compile(
    r"(?:^|: )(?:\d+ )?stocks? to (?:watch|buy now|avoid)\b|\bstory continues\b"
    r"|\bread more\b|\bclick here\b|\bcontributed (?:reporting|to this)\b"
    r"|\bnewsletter\b|\bsubscri(?:be|ption)\b",
    re.IGNORECASE,
)
_DEFINITION = re.compile(
    r"\b(?:is|are) (?:a|an|the) (?:[\w’',-]+ ){0,6}?(?:index|gauge|benchmark"
    r"|measure|indicator|programme|program|scheme|channel|link|strategy"
    r"|practice|technique|term|metric|rating)s? "
    r"(?:that|which|used|designed|comprising|composed|consisting"
    r"|tracking|measuring|allowing|giving|linking|where|in which)\b"
    r"|\b(?:index|gauge|benchmark) (?:tracks|measures|comprises|consists of"
    r"|is (?:composed|made up|calculated|compiled|weighted|a (?:free[- ]float"
    r"|market|capitali[sz]ation|price)))\b"
    r"|\b(?:market[- ]cap\w*|capitali[sz]ation|price"
    r"|free[- ]float)[- ](?:adjusted )?weighted (?:average |stock[- ]market )?(?:index"
    r"|average)\b"
    r"|\b(?:refers? to|is defined as|are defined as|stands for|is short for|means that an investor|is when)\b"
    r"|是(?:指|一[个個种種项項只]|衡量)[^。]{0,30}(?:指数|指數|机制"
    r"|機制|指标|指標|策略|行为|行為)|(?:反映|涵盖|涵蓋|追踪|追蹤)[^。]{0,30}(?:表现"
    r"|表現)的(?:指数|指數)|是指",
    re.IGNORECASE,
)
_CONTACT = re.compile(
    r"\A[\s\W]*(?:tel(?:ephone)?|phone|fax|e?-?mail|www\.|https?://"
    r"|bloomberg(?: code)?:|page \d+|\d+ of \d+|research\.|analysts?:"
    r"|contact|电话|電話|电邮|電郵|传真|傳真|第\s?\d+\s?页)",
    re.IGNORECASE,
)
# What a sentence of each kind cannot be without, in lower case; plain substrings are the fastest look.
_LEGAL_LIST = (
    "disc;this ;advice;offer;solicit;past perf;rights;copyright;©;conflict;certif;regulated"
    ";member of;forward-looking;terms ;privacy"
    ";risk;constru;constitut;liab;warrant;guarant;relied;reproduced;redistribut;for i;for p"
    ";for e;prices may;免责;免責;版权;版權;风险;風險"
    ";仅供;僅供;不构成;不構成;转载;轉載;未经;未經;過往;过往;谨慎;謹慎;利益"
)
_LEGAL_WORDS = tuple(_LEGAL_LIST.split(";"))
_TEASER_LIST = (
    "read ;see also;click;more ;related;miss ;watch;listen;also on;recommended;trending"
    ";sponsor;advert;sign up;subscri;follow;download"
    ";join ;get ;share this;have a ;correction;editor;photo;image;caption;source;writing by"
    ";edited by;editing by;reporting;check out;here "
    ";these are;stay tuned;continu;top stories;view the;to buy now;to avoid;contributed"
    ";newsletter;相关;相關;延伸;更多;点击;點擊;订阅;訂閱"
    ";关注;扫码;掃碼;下载;下載;编辑;責任;责任;记者;來源;来源"
)
_TEASER_WORDS = tuple(_TEASER_LIST.split(";"))
_TEASER_WITHIN_WORDS = ("stock", "story", "read more", "click", "contributed", "newsletter", "subscri")
_DEFINITION_LIST = (
    " is a; are a; is the; are the;tracks;measures;comprises;consists;is composed;is made up"
    ";is calculated;is compiled;weighted;refers to"
    ";refer to;defined as;stands for;is short for;means that;is when;是;反映;涵盖;涵蓋;追踪;追蹤"
)
_DEFINITION_WORDS = tuple(_DEFINITION_LIST.split(";"))


def is_boilerplate(sentence: str, *, is_last_part: bool = False) -> bool:
    """Whether a sentence is legal text, a teaser, a definition or a contact line, so that no claim is taken from it.

    Args:
        sentence: the words of one sentence, heading or table row.
        is_last_part: whether it stands in the last fifth of its document, where one legal word is enough.
    """
    lowered = sentence.lower()
    if _CONTACT.match(sentence):
        return True
    if has_any(lowered, _TEASER_WORDS) and (
        _TEASER.match(sentence) or (has_any(lowered, _TEASER_WITHIN_WORDS) and _TEASER_WITHIN.search(sentence))
    ):
        return True
    if has_any(lowered, _DEFINITION_WORDS) and _DEFINITION.search(sentence):
        return True
    if not has_any(lowered, _LEGAL_WORDS) or _LEGAL.search(sentence) is None:
        return False
    # "The regulator said no recommendation to sell was made" has a legal word and a figure of the market.
    return is_last_part or _FIGURE.search(sentence) is None


_FIGURE = re.compile(r"\d(?:\.\d+)?\s?(?:%|percent|per cent|billion|million|[亿億])")
