"""The phrase classes of English statements on retail money, hot money, mood, policy and events.

Belongs here: the record `Rule` and the English patterns. Does not belong here: Chinese ones (`statement_rules_zh.py`),
applying them (`statements.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rally_pipeline.notes.records import ClaimType, Direction


@dataclass(frozen=True)
class Rule:
    """A phrase class: what it means and the pattern; `exclude` is looked for in the clause, `need` in the sentence.

    Without one of its `hints` (in lower case) a sentence has no match; a rule without any is always tried.
    """

    claim_type: ClaimType
    name: str
    pattern: re.Pattern[str]
    metric: str
    statement_class: str
    polarity: int = 1
    direction: Direction | None = None
    exclude: re.Pattern[str] | None = None
    need: re.Pattern[str] | None = None
    hints: tuple[str, ...] = ()


def pattern(text: str) -> re.Pattern[str]:
    """Compiled, whatever the case."""
    return re.compile(text, re.IGNORECASE)


_RETAIL_WHO = (
    r"(?:(?:mainland|local|Chinese|domestic|small|individual|onshore|Hong Kong) ){0,2}(?:retail|individual|mom-and-pop)"
    r"(?: (?:investors?|traders?|money|flows?|punters?|buyers?|buying"
    r"|participation|participants|crowd|speculators|enthusiasm|demand"
    r"|players))"
)
_SPECULATIVE = (
    r"(?:hot|fast|quick|speculative|short[- ]term(?: speculative| trading)?"
    r"|momentum[- ]chasing|trend-following) (?:money|funds?|capital"
    r"|flows?|cash)"
    r"|momentum[- ]chasers|speculators|speculative (?:buying|trading|positions?|demand|interest|frenzy)"
)
_VERB_IS = (
    r"(?:is|are|was|were|be|been|being|’s|'s|’re|'re|remain(?:s|ed)?"
    r"|become|became|becoming|looks?|feels?|seems?|stay(?:s|ed)?|turn(?:s"
    r"|ed|ing)?|grow(?:n|s|ing)?|grew|gets?|getting|got)"
)
_DEGREE = (
    r"(?:(?:not|still|more|less|very|quite|too|highly|increasingly|incrementally"
    r"|cautiously|broadly|largely|extremely|overly|pretty|most|decidedly"
    r"|outright|slightly|far|so|much|also|now|again|tactically|structurally"
    r"|strategically) ){0,3}"
)
_CN_GOV = (
    r"(?:Beijing|China|the (?:Chinese )?(?:government|authorities|state council"
    r"|leadership|politburo|central bank|party)|Chinese (?:authorities"
    r"|leaders|officials|policy-?makers|regulators)|authorities|policy-?makers"
    r"|regulators|officials|PBOC|the People[’']s Bank of China|Xi(?: Jinping)?"
    r"|President Xi(?: Jinping)?|premier|the Fed(?:eral Reserve)?|the ECB"
    r"|the Bank of (?:England|Japan)|central banks?)"
)
_GIVES = (
    r"(?:announced?|announces|unveil(?:s|ed)?|roll(?:s|ed)? out|launch(?:es"
    r"|ed)?|introduc(?:es|ed)|pledg(?:es|ed)|vow(?:s|ed)?|promis(?:es"
    r"|ed)|signal(?:s|led|ed)|approved?|stepped up|ramp(?:s|ed) up|deliver(?:s"
    r"|ed)|order(?:s|ed)|issued|adopted|has (?:been )?(?:offering|promising"
    r"|pledging)|offered|expanded)"
)

#: What is expected or asked for is no fact of policy.
_NOT_YET = pattern(
    r"\b(?:could|will|would|may|might|should|whether|when|expect\w*"
    r"|hop(?:e|es|ed|ing)|chances?|odds|rush|hurry|no one|likely|if"
    r"|start(?:s|ing)? (?:to )?cut\w*|potential\w*|possib\w*|speculat\w*"
    r"|bets?|pric(?:e|ed|ing) in|ahead of|awaiting|call(?:s|ed)? for)\b"
)
_ABOUT_MARKET = pattern(
    r"\b(?:investors?|traders?|markets?|stocks?|shares|equit\w+|fund managers?"
    r"|money managers?|sentiment|analysts?|strategists?|we|brokers?"
    r"|brokerages?|hedge funds?|funds|rally|China|Chinese|Hong Kong"
    r"|bulls|bears|Wall Street|risk appetite|outlook for (?:stocks|shares))\b"
)
_NOT_MARKET = pattern(
    r"\b(?:consumers?|SMEs?|business (?:sentiment|confidence)|consumer (?:sentiment"
    r"|confidence)|retail sales|adjust\w*|inflation"
    r"|policy-?makers?|Fed|ECB|central banks?|monetary|stance of|confidence (?:index"
    r"|survey|data|reading)|sentiment (?:index|survey|data"
    r"|reading|gauge)|if|rating|earnings report|data|homebuyers?|employers?"
    r"|households?|builders?|results?|management|cash flow|EBITDA)\b"
)


RULES: tuple[Rule, ...] = (
    # ------------------------------------------------------------------------------------------------------- retail
    Rule(
        ClaimType.RETAIL,
        "driven",
        pattern(
            r"\bretail[- ](?:investor[- ])?(?:driven|led|dominated|heavy|fuell?ed|powered)\b"
            r"|\b(?:driven|dominated|led|fuell?ed|powered|propelled|supported"
            rf"|underpinned)(?: \w+ly)? by (?:the |a wave of |a flood of )?{_RETAIL_WHO}"
            r"|\bretail (?:frenzy|mania)\b|\b(?:a|such a) (?:very |highly "
            r"|largely )?retail(?:[- ]investor)? (?:market|game|rally)\b"
            rf"|\b{_RETAIL_WHO}\b[^.;:]{{0,25}}?\b(?:ha(?:s|ve) been|are|is|were"
            r"|was|drove|drive|led|dominat\w+)\ ?(?:the (?:main|key|driving)"
            r"|driving|leading|behind|dominating|dominant|the (?:market|rally"
            r"|buying|turnover))"
        ),
        "retail_participation",
        "retail_driven",
        1,
        Direction.UP,
        exclude=pattern(r"retail[- ]led recovery|consumption|store|e-commerce|sales growth"),
    ),
    Rule(
        ClaimType.RETAIL,
        "crowd",
        pattern(
            rf"\b{_RETAIL_WHO}\b(?: \w+){{0,3}}? (?:pil(?:ed|ing|e)|rush(?:ed"
            r"|ing)?|flock(?:ed|ing)?|jump(?:ed|ing)|pour(?:ed|ing)|chas(?:ed"
            r"|ing|e)|return(?:ed|ing)|stormed?|snapp(?:ed|ing)|flood(?:ed|ing)"
            r"|load(?:ed|ing)|scrambl(?:ed|ing)|bought|buying|ros[e]|surged"
            r"|jumped|increased|picked up|has risen|is high|is elevated)\b"
        ),
        "retail_participation",
        "retail_buying",
        1,
        Direction.UP,
    ),
    Rule(
        ClaimType.RETAIL,
        "share",
        pattern(
            rf"\b{_RETAIL_WHO}\b[^.;:]{{0,30}}?\b(?:account(?:s|ed|ing)? for"
            r"|make up|made up|makes up|contribut(?:e|es|ed)|represent(?:s|ed)?"
            rf"|compris(?:e|es|ed)|generat(?:e|es|ed))\b"
        ),
        "retail_participation",
        "retail_share",
    ),
    # ---------------------------------------------------------------------------------------------------- hot money
    Rule(
        ClaimType.HOT_MONEY,
        "flow",
        pattern(rf"\b(?:{_SPECULATIVE})\b"),
        "hot_money",
        "hot_money",
        exclude=pattern(r"\b(?:refers? to|defined as|the term|so-called [\w ]+ means|fight|crack ?down|curb|ban)\b"),
        need=pattern(
            r"\b(?:is|are|was|were|has|have|had|been|’s|'s|driv\w+|flow\w+|flood\w+"
            r"|pour\w+|chas\w+|rush\w+|enter\w*|com(?:e|es|ing)|came|arriv\w+"
            r"|le(?:d|ave|aving|ft)|push\w*|behind|mov(?:ed|ing|es)|mostly|dominat\w+"
            r"|see\w*|saw|return\w*)\b"
        ),
    ),
    # ---------------------------------------------------------------------------------------------------- sentiment
    Rule(
        ClaimType.SENTIMENT,
        "trading_market",
        pattern(
            r"\b(?:a|this|(?:very|more|purely|really) (?:much )?a|just a|still a"
            r"|pure) (?:pure |short-term |very )?(?:trading|trader[’']?s[’']?) market\b"
            r"|\btraders[’'] market\b|\bmarket (?:for|of) traders\b"
        ),
        "sentiment",
        "trading_market",
        0,
    ),
    Rule(
        ClaimType.SENTIMENT,
        "missing_out",
        pattern(r"\bfear(?:s|ing)? of missing out\b|\bFOMO\b|\bafraid (?:of|to) miss(?:ing)?(?: out)?\b"),
        "sentiment",
        "fear_of_missing_out",
        1,
        Direction.UP,
    ),
    Rule(
        ClaimType.SENTIMENT,
        "bullish",
        pattern(
            rf"\b{_VERB_IS} {_DEGREE}(?:bullish|optimistic|upbeat|constructive"
            r"|positive|euphoric|exuberant|sanguine)\b (?:on|about|over|toward"
            r"|towards|regarding)\b"
            rf"|\b{_VERB_IS} {_DEGREE}(?:bullish|euphoric|exuberant|optimistic|upbeat)\b"
            r"|\b(?:optimism|euphoria|exuberance|enthusiasm|bullishness|hopes?) (?:over"
            r"|about|on|around|surrounding|towards?|for|that|is|was|has|have"
            r"|swept|gripped|built|grew)\b(?=[^.;]*\b(?:China|Chinese|Hong Kong"
            r"|AI|artificial|market|stocks?|shares|equit|econom|tech|stimulus"
            r"|polic|rally|rate|investor)\w*)"
            r"|\b(?:market |investor |investors[’'] |risk )?(?:sentiment|confidence"
            r"|risk appetite)\b(?: (?:towards?|on|in|for|among|around"
            r"|about) (?:[\w-]+ ){1,4}?)? ?(?:(?:has|have|had|was|is|remains?"
            r"|remained|also|further|clearly|already|markedly|sharply|significantly) )*(?:improv(?:ed"
            r"|ing)|turned (?:more )?(?:positive|bullish)|strengthened|recovered"
            r"|rebounded|surged|bullish|upbeat|buoyant|positive|strong|lifted"
            r"|boosted|soared|brightened)\b"
            r"|\b(?:lift(?:ed|s|ing)|boost(?:ed|s|ing)?|improv(?:ed|es|ing)"
            r"|buoy(?:ed|s|ing)|support(?:ed|s|ing)?|bolster(?:ed|s|ing)?) (?:the )?(?:market"
            r"|investor|investors[’']|overall|risk)? ?(?:sentiment|risk appetite"
            r"|confidence)\b"
        ),
        "sentiment",
        "bullish",
        1,
        Direction.UP,
        exclude=_NOT_MARKET,
        need=_ABOUT_MARKET,
    ),
    Rule(
        ClaimType.SENTIMENT,
        "bearish",
        pattern(
            rf"\b{_VERB_IS} {_DEGREE}(?:bearish|pessimistic|cautious|wary|sceptical"
            r"|skeptical|nervous|downbeat|gloomy|guarded|fearful)\b"
            r"|\b(?:pessimism|scepticism|skepticism|gloom|caution) (?:over|about"
            r"|on|around|surrounding|towards?|is|was|has|prevailed|persists?"
            r"|remains?|among|ahead)\b"
            r"|\b(?:market |investor |investors[’'] |risk )?(?:sentiment|confidence"
            r"|risk appetite)\b(?: (?:towards?|on|in|for|among|around"
            r"|about) (?:[\w-]+ ){1,4}?)? ?(?:(?:has|have|had|was|is|remains?"
            r"|remained|also|further|already|sharply|significantly) )*(?:weak(?:ened"
            r"|ening)?|sour(?:ed|ing)?|deteriorat(?:ed|ing)|turned (?:more )?(?:negative"
            r"|bearish|cautious)|fragile|subdued|cautious|bearish|faded|dented"
            r"|hurt|dampened|negative|low|poor|collapsed)\b"
            r"|\b(?:hurt(?:s|ing)?|dent(?:ed|s|ing)?|dampen(?:ed|s|ing)?|weigh(?:ed"
            r"|s|ing) on|sour(?:ed|s|ing)|undermin(?:ed|es|ing)) (?:the )?(?:market"
            r"|investor|investors[’']|overall|risk)? ?(?:sentiment|risk appetite"
            r"|confidence)\b"
        ),
        "sentiment",
        "bearish",
        -1,
        Direction.DOWN,
        exclude=_NOT_MARKET,
        need=_ABOUT_MARKET,
    ),
    # ------------------------------------------------------------------------------------------------------- policy
    Rule(
        ClaimType.POLICY,
        "reversal",
        pattern(
            r"\b(?:reversal|reversing|reversed|reverses|U-turn|turn-?around"
            r"|turnabout|about-face|volte-face|pivot(?:ed)?|180-degree turn"
            r"|sea change|reset|shift|overhaul|change|turn)\b"
            r"(?: (?:of|in|on|from|to|the|its|their|a|Beijing[’']s|China[’']s"
            r"|government|regulatory|previous|earlier|past|official|Chinese"
            r"|long-standing|years of|policy)){0,5}"
            r" (?:polic(?:y|ies)|stance|crackdown|attitude|approach|posture|clampdown)\b"
            r"|\b(?:polic(?:y|ies)|regulatory|government)(?: (?:stance|direction"
            r"|approach))? (?:reversal|U-turn|turnaround|about-face|pivot|reset"
            r"|shift)\b"
            r"|\b(?:policy(?:-?makers)?|Beijing|China|the government|authorities"
            r"|stance|approach)\b[^.;:,]{0,30}?\b(?:made|making|done|did|performed"
            r"|executed|amounts? to|represents?|is|was|marks?) (?:a |an )?(?:[\w-]+ ){0,3}?(?:U-turn"
            r"|about-face|reversal|180|turnaround|volte-face)\b"
        ),
        "policy_stance",
        "reversal",
        exclude=pattern(
            r"\b(?:company|coffee|privacy|return policy|tax|editorial|potential"
            r"|possible|could|may|might|should|if|whether"
            r"|speculat\w*|trips|visits?|visa|no)\b"
        ),
        need=pattern(
            r"\b(?:China|Chinese|Beijing|government|regulat\w+|private|economic"
            r"|monetary|authorities|stance|crackdown|market"
            r"|policy-?makers?|leadership)\b"
        ),
        hints=(
            *("polic", "stance", "crackdown", "attitude", "approach", "posture", "clampdown", "regulatory"),
            *("government", "u-turn", "about-face", "reversal", "180", "turnaround", "volte-face"),
        ),
    ),
    Rule(
        ClaimType.POLICY,
        "stimulus",
        pattern(
            rf"\b{_CN_GOV}\b[^.;:]{{0,40}}?\b{_GIVES}\b[^.;:]{{0,60}}?\b(?:stimulus"
            r"|support(?:ive)?(?: measures| package| polic(?:y|ies))?|easing"
            r"|measures|subsid(?:y|ies)|trade-in|fiscal package|bond issuance)\b"
            r"|\b(?:stimulus|support|easing|fiscal)(?: (?:package|measures|plan"
            rf"|polic(?:y|ies)|blitz|push|steps))?\b[^.;:,]{{0,30}}?\b(?:was"
            r"|were|has been|have been|is|are|being) (?:announced|unveiled|rolled out"
            r"|launched|introduced|delivered|approved|stepped up)\b"
        ),
        "policy_stance",
        "stimulus",
        1,
        Direction.UP,
        exclude=_NOT_YET,
        hints=("stimulus", "support", "easing", "measures", "subsid", "trade-in", "fiscal", "bond issuance"),
    ),
    Rule(
        ClaimType.POLICY,
        "private_sector",
        pattern(
            r"\b(?:support(?:s|ed|ing|ive)?|back(?:s|ed|ing)?|endors\w+|encourag\w+"
            r"|embrac\w+|help(?:s|ed|ing)?|commitment|reassur\w+|boost(?:s|ed"
            r"|ing)?|champion\w*)\b[^.;:,]{0,20}?\b(?:of|for|to|the|its|country[’']s"
            r"|China[’']s|Chinese|Beijing[’']s)? ?"
            r"(?:the )?private(?:[- ]sector| enterprises?| firms| companies| businesses| economy| entrepreneurs)\b"
        ),
        "policy_stance",
        "private_sector_support",
        1,
        Direction.UP,
        hints=("private",),
    ),
    Rule(
        ClaimType.POLICY,
        "rates",
        pattern(
            rf"\b(?:{_CN_GOV}|Fed(?:eral Reserve)?|HKMA|ECB|BoE|BOJ)\b[^.;:,]{{0,30}}?\b(?:cut(?:s"
            rf"|ting)?|lowered|lowers|reduced|reduces|slashed|trimmed)\b[^.;:,]{{0,35}}?\b(?:(?:interest "
            r"|policy |lending |benchmark |key |prime |base |deposit )*rates?"
            r"|reserve requirement(?: ratio)?|RRR|LPR|borrowing costs)\b"
            rf"|\b(?:{_CN_GOV}|Fed(?:eral Reserve)?|HKMA)\b[^.;:,]{{0,30}}?\b{_GIVES}\b[^.;:,]{{0,25}}?\brate cuts?\b"
        ),
        "policy_rate",
        "rate_cut",
        1,
        Direction.DOWN,
        exclude=_NOT_YET,
        hints=(
            *("fed", "china", "chinese", "beijing", "central bank", "pboc", "people", "bank of england", "hkma", "ecb"),
            *("bank of japan", "boe", "boj", "government", "authorities", "state council", "leadership", "politburo"),
            *("party", "policy", "officials", "regulators", "xi", "premier"),
        ),
    ),
    # -------------------------------------------------------------------------------------------------------- event
    Rule(
        ClaimType.EVENT,
        "symposium",
        pattern(
            r"\b(?:hosted|chaired|held|convened|presided over|attended|met(?: with)?"
            r"|hosts|chairs|holds|meets(?: with)?|hosting|meeting|addressed"
            r"|invited|took part in|joined)\b[^.;:]{0,50}?\b(?:symposium|(?:business"
            r"|tech(?:nology)?|corporate|private-sector) (?:leaders|executives"
            r"|bosses|titans|tycoons|founders)|entrepreneurs)\b"
            r"|\b(?:symposium|meeting|summit|gathering)\b[^.;:]{0,40}?\b(?:with"
            r"|of|for)\b[^.;:]{0,30}?\b(?:business leaders|entrepreneurs|executives"
            r"|tycoons|tech bosses|private firms)\b"
        ),
        "event",
        "symposium",
        exclude=pattern(r"\b(?:Jackson Hole|economic symposium|could|may|might|if)\b"),
        need=pattern(r"\b(?:Xi|president|Beijing|China|Chinese|leadership|premier|business|entrepreneurs)\b"),
    ),
    Rule(
        ClaimType.EVENT,
        "deepseek",
        pattern(
            r"\bDeepSeek(?:-?\w+)?(?:[’']s?)?(?: [\w-]+){0,5}? (?:released?"
            r"|releases|launched|launches|unveil(?:ed|s)|debuted|introduced"
            r"|open-sourced|was (?:released|launched|unveiled)|came out|burst"
            r"|breakthrough|shock|emerged)\b"
            r"|\b(?:release|launch|debut|emergence|rise|unveiling|arrival|breakthrough"
            r"|success) (?:of|by|from) (?:the )?(?:[\w-]+ ){0,3}?DeepSeek\b"
        ),
        "event",
        "deepseek_release",
    ),
    Rule(
        ClaimType.EVENT,
        "reopening",
        pattern(
            r"\b(?:(?:trading|(?:mainland |Chinese |onshore |China )?(?:markets?"
            r"|exchanges?|bourses?)|Stock Connect|the (?:Shanghai|Shenzhen"
            r"|Hong Kong) (?:market|exchange|bourse))\b[^.;:,]{0,30}?\b(?:resum(?:ed"
            r"|es)|reopen(?:ed|s)|return(?:ed|s)|back))\b[^.;:,]{0,40}?\b(?:holidays?"
            r"|break|Lunar New Year|Chinese New Year|Golden Week|Spring Festival)\b"
        ),
        "event",
        "holiday_reopening",
    ),
)
