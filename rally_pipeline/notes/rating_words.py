"""The vocabulary of ratings and price targets: verbs, ratings, targets, function words, rating agencies.

Belongs here: words and what they mean. Does not belong here: any rule about how they stand together (`rating_tokens.py`
cuts text into them, `ratings.py` and `targets.py` hold the grammar).
"""

from __future__ import annotations

import re


def word_set(text: str) -> frozenset[str]:
    """The words of a text that lists them."""
    return frozenset(text.split())


# --- verbs -----------------------------------------------------------------------------------------------------------

#: Class of each verb: what it does to a rating or a target.
UP, DOWN, INIT, KEEP, RAISE, LOWER, MOVE, ADD, REMOVE, SET, RATE = (
    "UP",
    "DOWN",
    "INIT",
    "KEEP",
    "RAISE",
    "LOWER",
    "MOVE",
    "ADD",
    "REMOVE",
    "SET",
    "RATE",
)

#: Forms: base, third person, past or participle, both base and past ("cut"), -ing.
BASE, THIRD, PAST, ANY, ING = "base", "s", "ed", "any", "ing"


def _regular(stem: str) -> dict[str, str]:
    """All forms of a regular verb given in its base form."""
    if stem.endswith("e"):
        return {stem: BASE, stem + "s": THIRD, stem + "d": PAST, stem[:-1] + "ing": ING}
    if stem.endswith("y") and stem[-2] not in "aeiou":
        return {stem: BASE, stem[:-1] + "ies": THIRD, stem[:-1] + "ied": PAST, stem + "ing": ING}
    if stem.endswith(("ch", "sh", "ss")):
        return {stem: BASE, stem + "es": THIRD, stem + "ed": PAST, stem + "ing": ING}
    return {stem: BASE, stem + "s": THIRD, stem + "ed": PAST, stem + "ing": ING}


_REGULAR: dict[str, str] = {
    UP: "upgrade promote double-upgrade",
    DOWN: "downgrade demote double-downgrade",
    INIT: "initiate start launch commence resume reinstate assume re-initiate reinitiate initate restart transfer",
    KEEP: "maintain reiterate reaffirm affirm retain reissue restate repeat confirm echo back",
    RAISE: "raise lift increase boost hike bump elevate nudge up-size",
    LOWER: "lower reduce slash decrease pare tweak",
    MOVE: "move change revise shift adjust update switch turn",
    ADD: "add place include name",
    REMOVE: "remove discontinue terminate suspend withdraw cease delete",
    SET: "announce assign establish publish introduce issue peg pin set",
    RATE: "rate recommend",
}
_IRREGULAR: dict[str, dict[str, str]] = {
    INIT: {"begin": BASE, "begins": THIRD, "began": PAST, "begun": PAST, "beginning": ING}
    | {
        "picks-up": THIRD,
        # misspellings that wires print
        "initiatived": PAST,
        "initiatied": PAST,
        "intiates": THIRD,
        "intiated": PAST,
        "starting": ING,
        "reinstating": ING,
        "re-initiates": THIRD,
        "initates": THIRD,
        "initiation": PAST,
    },
    KEEP: {"keep": BASE, "keeps": THIRD, "kept": PAST, "keeping": ING, "stick": BASE, "sticks": THIRD, "stuck": PAST}
    | {"leave": BASE, "leaves": THIRD, "left": PAST, "leaving": ING}
    | {"stay": BASE, "stays": THIRD, "staying": ING, "remains": THIRD, "unchanged": PAST},
    RAISE: {"ups": THIRD, "upped": PAST, "upping": ING, "hiked": PAST, "bumps": THIRD, "raises": THIRD},
    LOWER: {"cut": ANY, "cuts": THIRD, "cutting": ING, "trim": BASE, "trims": THIRD, "trimmed": PAST, "trimming": ING}
    | {"drop": BASE, "drops": THIRD, "dropped": PAST, "dropping": ING, "chops": THIRD, "chopped": PAST}
    | {"slashes": THIRD, "slashed": PAST, "slashing": ING, "tweak": BASE},
    REMOVE: {"withdrew": PAST, "withdrawn": PAST, "stopped": PAST, "stops": THIRD},
    SET: {"set": ANY, "sets": THIRD, "setting": ING, "give": BASE, "gives": THIRD, "gave": PAST, "given": PAST}
    | {"giving": ING, "put": ANY, "puts": THIRD, "has": THIRD, "have": BASE, "had": PAST, "sees": THIRD}
    | {"annouces": THIRD, "announcing": ING, "slaps": THIRD, "pegs": THIRD},
    UP: {"upgrade": BASE, "double-upgrading": ING},
    DOWN: {"double-downgrading": ING},
}


def _verbs() -> dict[str, tuple[str, str]]:
    table: dict[str, tuple[str, str]] = {}
    for klass, stems in _REGULAR.items():
        for stem in stems.split():
            for word, form in _regular(stem).items():
                table[word] = (klass, form)
    for klass, forms in _IRREGULAR.items():
        for word, form in forms.items():
            table[word] = (klass, form)
    del table["tweaked"], table["tweaks"], table["tweaking"], table["tweak"]
    # "a buy rating" is no verb
    for bogus in ("seted", "seting", "rating"):
        table.pop(bogus, None)
    return table


#: Verb in small letters → (class, form).
VERBS: dict[str, tuple[str, str]] = _verbs()

#: Verbs that begin another statement: they end whatever stands before them.
OTHER_VERBS = word_set(
    """says said saying say cites cited citing cite sees see saw notes noted noting expects expected expecting
    advises advised believes believed thinks favors favours highlights highlighted warns warned calls called
    calling sends argues argued flags flagged predicts forecasts estimates estimated remain remained implies
    implying implied imply suggests suggesting suggested represents representing indicates indicating
    indicated reflects reflecting rose rises rise rising fell falls fall falling gained gains gain jumped
    jumps jump slid slides slide slips slipped slip climbed climbs climb dropped tumbles tumbled tumble surged
    surges surge rallied rallies rally added dipped dips dip sank sinks shed sheds popped pops soared soars
    advanced advances advancing declined declines shares are is was were be been being trading trades traded
    moved hits hit reports reported beat beats misses missed posts posted lost loses losing plunged plunges
    plummeted plummets tanked tanks cratered rocketed spiked inched ticked edged ended closed finished opened
    faces faced"""
)

#: Verbs of saying.
SPEECH = word_set("""says said say saying notes noted notes adds added cites cited writes wrote argues argued""")
BE = word_set("""is was were be been being are get gets got getting has have had gotten receives received""")
ADVERBS = word_set(
    """also now today earlier recently separately again meanwhile then still just later previously already
    further late early double only even newly subsequently officially quietly premarket once similarly
    thursday monday tuesday wednesday friday saturday sunday yesterday morning afternoon overnight reportedly
    slightly significantly sharply substantially modestly nearly more mon tue wed thu fri formally
    aggressively reaffirms modest initially likewise however additionally on"""
)
DETERMINERS = word_set(
    """a an the its their his her our my this that these those new current existing revised prior previous old
    street-high 12-month 12-mth 12m 6-month 18-month one-year year-end 12mo average base-case december-end
    end-2024 end-2025 equity investment dec-2015 higher lower initial twelve-month six-month 24-month
    equivalent respective neutral-equivalent equal-weight-equivalent so-called rare"""
)
PREPOSITIONS = word_set(
    """to from at by on with of for as in into after following amid over upon ahead due because while but despite
    when where since until before than vs versus against under per toward towards via through which who whose
    that post although though if so among amongst during besides unlike throughout whereas"""
)
CONNECTORS = frozenset(("&", "and", "of", "de", "du", "la", "+", "von", "the", "di", "und", "y"))

#: Words before a broker's name that are no part of it.
HEADLINE_PREFIXES = word_set(
    """update udpate correction earlier hearing exclusive breaking report reports brokerage analyst analysts
    brief alert rumor rumour brokers call stock-to-watch corrected refile buzz rpt stocks after firm why how
    when meanwhile separately additionally also elsewhere today yesterday and but while as correct
    news hot watch brokerages"""
)

#: Words that are no part of a name, however they are spelt.
ALWAYS_WORDS = OTHER_VERBS | word_set(
    """shares stock stocks rating ratings coverage and or up down higher analyst analysts upside downside hearing
    earlier it he she they we you"""
)
#: Determiners, adverbs and verbs that also begin a company's name.
DETERMINERS_IN_NAMES = word_set("""investment equity average higher new initial current""")
ADVERBS_IN_NAMES = word_set("""just even still later more once modest double fri sat sun early""")
VERBS_IN_NAMES = frozenset(("advanced", "rising", "reported", "advance"))
#: Capitalised words at the head of a sentence that name no company.
NO_SUBJECT = word_set(
    """bullish bearish cautious positive negative neutral investors traders revenue management executives bulls
    bears markets wall street brokerages brokers economists cnbc cnbc's sales meanwhile eps ebitda ceo cfo u.s
    us china results earnings options volume barron's reuters bloomberg factset here what why how top both
    several many some other another benzinga benzinga's there"""
)
MONTHS = word_set(
    """january february march april may june july august september october november december jan feb mar apr jun
    jul aug sep sept oct nov dec"""
)
#: Public bodies that upgrade and downgrade forecasts.
PUBLIC_BODIES = word_set(
    """imf boe fed rbi ecb boj pboc opec iea oecd government world united-nations bundesbank adb wto parliament
    ministry treasury nato investors funds fund traders consumers insiders managers shareholders"""
)

#: Companies whose name ends like a possessive.
POSSESSIVE_NAMES = word_set(
    """aaron's macy's kohl's lowe's mcdonald's wendy's domino's kellogg's dick's carter's denny's casey's moody's
    sotheby's ollie's bj's john's dillard's levi's zoe's famous dave's ruth's papa's bojangles' hershey's
    campbell's gabelli's chico's land's lands' o'charley's fisherman's christie's sally's hershey's arby's
    kirkland's trader joe's bloomin' byju's haldiram's"""
)

#: Lower-case nouns that stand for the broker of the sentence before.
BROKER_ANAPHORS = word_set(
    """firm bank brokerage broker house analyst analysts which who it he she they shop company's investment-bank
    team strategists strategist lender we"""
)

#: Nouns that stand for the share.
SUBJECT_ANAPHORS = word_set(
    """stock shares share company it firm name group equity stocks them companies coverage rating ratings both
    chipmaker automaker retailer lender maker giant bank insurer business miner airline carrier"""
)

#: What else is upgraded, downgraded, raised or cut, but is no share.
OTHER_OBJECTS = word_set(
    """guidance forecast forecasts outlook estimate estimates expectations expectation system systems fleet
    network software infrastructure aircraft equipment earnings profit sales revenue revenues dividend
    dividends growth gdp projection projections credit debt bond bonds sovereign notes facilities facility
    plant capacity production technology platform website service services economy economic inflation rates
    view version itself themselves themself status plan plans stake jobs costs prices price scheme servers
    data store stores factory mission surveillance position exposure allocation holding holdings bets risk
    risks warning cfr idr issuer junk budget full-year quarterly annual fy fy24 fy25 fy26 fy2024 fy2025 eps
    tariffs tariff output staff workforce emissions weighting membership security app iphone iphones phones
    subscribers"""
)

#: What firms that rate shares call themselves.
BROKER_WORDS = word_set(
    """securities capital research partners markets brokerage brokers equities bank advisors advisers bancorp
    brothers investments investment broking sekuritas stockbrokers international nikko wealth analytics sec
    bankers banking co & group financial equity haskett"""
)

#: Agencies that rate credit, never shares.
AGENCY = re.compile(
    r"(?:Moody[’']?s?|S&P(?! (?:Capital|Global Market|500))|Standard (?:&|and) Poor[’']?s?|Fitch|DBRS|Morningstar DBRS|"
    r"ICRA|Icra|CRISIL|Crisil|CARE(?: Ratings)?|India Ratings|Ind-Ra|A\.?M\.? Best|AM Best|KBRA|Kroll|Egan-?Jones|"
    r"Scope Ratings|JCR|Japan Credit Rating|R&I|Pefindo|China Chengxin|CCXI|Lianhe|Dagong|Brickwork)(?![\w])"
)
AGENCY_ZH = re.compile("穆迪|惠[誉譽]|[标標]普(?!500|５００|全球精[选選])|[标標]准普[尔爾]|[联聯]合[资資]信|中[诚誠]信")

#: How many words the parts of one action stand apart at most; keeps the time linear whatever the text.
REACH = 150

# --- ratings ---------------------------------------------------------------------------------------------------------

_SEP = r"[ \-–‑\u00a0]?"
_RATING_WORDS = (
    rf"(?:(?:strong|conviction|long{_SEP}term|speculative|spec|short{_SEP}term|tactical|trading|top|medium{_SEP}term|CL)"
    rf"{_SEP})?(?:buy|sell)(?!\w)|"
    rf"over{_SEP}weight|under{_SEP}weight|equal{_SEP}weight|equal{_SEP}rate(?=\srating)|sector{_SEP}weight|market{_SEP}weight|"
    rf"(?:market|sector|peer|industry){_SEP}(?:over|out){_SEP}perform(?:er)?|"
    rf"(?:market|sector|peer|industry){_SEP}(?:under{_SEP})?perform(?:er)?|"
    rf"mkt{_SEP}perform|out{_SEP}perform(?:er)?|under{_SEP}perform(?:er)?|"
    rf"(?:moderate|weak|strong){_SEP}(?:buy|sell)|"
    rf"in{_SEP}line|hold|neutral|positive|negative|reduce|accumulate|add|lighten|perform|average|"
    rf"fully{_SEP}valued|fair{_SEP}value(?=\srating)|mixed|avoid|favorable|attractive|cautious|"
    r"MP|OP|OW|UW|EW|SP|Strong-Buy"
)
#: One rating as printed; matched at the beginning of a word.
RATING = re.compile(rf"(?:{_RATING_WORDS})(?![\w])", re.IGNORECASE)
#: First words (small letters, up to a hyphen) at which `RATING` is tried.
RATING_FIRST = word_set(
    """strong conviction long speculative spec short tactical trading top medium cl buy sell over under equal
    sector market peer industry mkt out outperform outperformer underperform underperformer overweight
    underweight equalweight in hold neutral positive negative reduce accumulate add lighten perform average fully fair
    mixed avoid favorable attractive cautious mp op ow uw ew sp moderate weak inline overperform marketperform
    sectorperform"""
)
#: Ratings of one word that `RATING` reads as that word and no more, so that it need not be tried.
PLAIN_RATINGS = frozenset(word for word in RATING_FIRST if RATING.fullmatch(word))
#: Ratings that are nothing else in a text about shares.
SURE_RATING = re.compile(
    rf"(?:over|equal|sector|market){_SEP}weight|(?:market|sector|peer|industry|mkt){_SEP}(?:out|under|over)?{_SEP}?"
    rf"perform(?:er)?|(?:strong|conviction|speculative|moderate|CL|long{_SEP}term){_SEP}(?:buy|sell)|"
    rf"under{_SEP}weight|out{_SEP}performer|under{_SEP}performer",
    re.IGNORECASE,
)
#: Ratings that are first of all adjectives and verbs.
WEAK_RATINGS = word_set(
    """average mixed favorable attractive cautious add reduce positive negative perform avoid accumulate lighten
    in-line"""
)
#: Capital abbreviations are ratings in capitals only; elsewhere they are words.
CAPITAL_RATINGS = frozenset(("mp", "op", "ow", "uw", "ew", "sp"))

_RANKS = (
    (re.compile(r"strong.?buy|conviction.?buy|top.?buy|CL.?buy|^1$", re.IGNORECASE), 3),
    (
        re.compile(
            r"(?<!under)(?<!under.)buy$|over.?weight|out.?perform|positive|accumulate|^add$|favorable|attractive|^O[PW]$|^2$",
            re.IGNORECASE,
        ),
        2,
    ),
    (re.compile(r"strong.?sell|^5$", re.IGNORECASE), -1),
    (
        re.compile(
            r"sell$|under.?weight|under.?perform|negative|reduce|lighten|avoid|cautious|^UW$|^4$", re.IGNORECASE
        ),
        0,
    ),
    (
        re.compile(
            r"hold|neutral|perform|weight|in.?line|average|fully.?valued|fair.?value|mixed|^(?:MP|EW|SP|3)$",
            re.IGNORECASE,
        ),
        1,
    ),
)


def rank(rating: str) -> int | None:
    """Place of a rating from -1 (strong sell) to 3 (strong buy); ``None`` if unknown."""
    for pattern, place in _RANKS:
        if pattern.search(rating):
            return place
    return None


#: Words after a rating that show that it is one.
RATING_NOUNS = word_set(
    """rating ratings call calls recommendation recommendations stance rated opinion view tag tags status"""
)
#: Words after "buy", "hold", "sell" … that show that it is a verb or a part of something else.
NO_RATING_AFTER = word_set(
    """back backs out off side the this that these those them it its their his her more stake some any up down
    into over-the-counter dip dips signal zone talks earnings conference webcast call-options option options
    onto 100 percent through together steady firm until of area"""
)

# --- targets ---------------------------------------------------------------------------------------------------------

#: A target: groups ``sure`` (only a price target is called so) or ``maybe`` ("target", which a government has too).
TARGET = re.compile(
    r"(?P<sure>(?:share |stock )?prices?[ \-]targets?|price[ \-]objectives?|target[ \-]prices?|fair[ \-]value"
    r"(?: estimates?)?|PTs?|TPs?|POs?|tgt price|price tgt|target valuation)(?![\w])|"
    r"(?P<maybe>targets?|tgt|objective|forecasts?)(?![\w])",
    re.IGNORECASE,
)
TARGET_FIRST = word_set(
    """forecast forecasts price prices share stock target targets pt pts tp tps po pos fair tgt price-target
    target-price objective price-objective price-targets fair-value"""
)
#: Abbreviations are targets in capitals only.
CAPITAL_TARGETS = frozenset(("pt", "pts", "tp", "tps", "po", "pos"))

COMPANY_TAILS = word_set(
    """inc inc. ltd ltd. llc l.l.c. plc corp corp. co co. corporation limited company lp l.p. n.v. nv s.a. sa ag
    se holdings holding sab bhd berhad pte k.k. the"""
)

_SEES_INDEX = re.compile(
    r"\b(?:sees?|expects?|forecasts?|pegs?|puts?) (?:[\w&-]+ ){1,5}(?:at|reaching|hitting|touching) \d", re.IGNORECASE
)
_RATING_NEAR = re.compile(
    r"(?:[‘'\"“`]|\b(?:to|from|at|with|as|of|a|an|its|maintain|maintains|maintained|maintaining|reiterates?|reiterated|"
    r"retains?|keeps?|starts?|initiates?|rates?|reaffirms?|reaffirmed|:)[ ,]\s?)(?:strong |a |an |its |[‘'\"“`])?"
    r"(?:buy|hold|sell|neutral|reduce|add|accumulate|lighten|positive|negative|in.?line|over.?weight|under.?weight|equal.?weight|"
    r"(?:market|sector|peer|industry).?(?:weight|(?:out|under)?.?perform)|outperform|underperform|perform)\b|"
    r"^(?:buy|sell|hold) |\b(?:stopped|stops|ceased?|ceases) covering\b",
    re.IGNORECASE,
)


_GRADE_NEAR = re.compile(r" (?:to|at) [‘'\"“][1-5][’'\"”]")


def is_triggered(text: str) -> bool:
    """Whether a sentence may hold a rating or a target at all; cheap, for most sentences do not."""
    low = text.lower()
    # One look for each sign, the frequent ones first; a compiled pattern of all of them is several times slower.
    if (
        ("grad" in low and ("grade" in low or "grading" in low))
        or ("rat" in low and ("rating" in low or "rated " in low))
        or "target" in low
        or "coverage" in low
        or "initiat" in low
        or ("weight" in low and ("equal-weight" in low or "equalweight" in low or "overweight on " in low))
        or " list" in low
        or (" pick" in low and ("top pick" in low or "best pick" in low or "signature pick" in low))
        or "conviction" in low
        or "price objective" in low
        or "fair value" in low
        or "tgt" in low
    ):
        return True
    if ('"' in text or "'" in text or "“" in text or "‘" in text) and _GRADE_NEAR.search(text):
        return True
    if "P" in text and ("PT" in text or "TP" in text or "PO" in text or "MP" in text):
        return True
    if "W" in text and ("OW" in text or "UW" in text or "EW" in text):
        return True
    if "forecast" in low and ("index" in low or "msci" in low or "hang seng" in low or "s&p 500" in low):
        return True
    if " at " in low and ("sees " in low or "expects " in low) and _SEES_INDEX.search(text):
        return True
    if (
        "buy" in low
        or "sell" in low
        or "hold" in low
        or "neutral" in low
        or "weight" in low
        or "perform" in low
        or "reduce" in low
        or "accumulate" in low
        or "add" in low
        or "lighten" in low
        or "covering" in low
        or "itive" in low
        or "negative" in low
        or "in-line" in low
        or "in line" in low
        or "inline" in low
    ):
        return _RATING_NEAR.search(text) is not None
    return False


TRIGGER_ZH = re.compile(
    "[评評][级級]|目[标標]|上[调調]|下[调調]|首予|首次|重申|[维維]持|[调調][升降高低]|[给給予]|增持|[买買]入|沽售|跑[赢贏]|推[荐薦]|中性|[减減]持"
)

#: First words of `AGENCY` in small letters.
AGENCY_FIRST = word_set(
    """moody's moody’s moodys moody s&p standard fitch dbrs morningstar icra crisil care india ind-ra a.m am kbra
    kroll egan-jones eganjones egan scope jcr japan r&i pefindo china ccxi lianhe dagong brickwork"""
)
