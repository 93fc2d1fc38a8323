"""The words of market reports: moves, ways of closing, what is traded, what is not.

Belongs here: word lists shared by the grammars of numbers, English and Chinese. Does not belong here: patterns of
sentences (`moves.py`, `moves_zh.py`, `extremes.py`, …) or names of instruments (`lexicon.py`).
"""

from __future__ import annotations

from typing import Final


def word_set(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


def _forms(*verbs: str) -> frozenset[str]:
    """Inflected forms of regular verbs: base, -s, -ed, -ing; ``rise/rose/risen`` lists the irregular ones itself."""
    made: set[str] = set()
    for verb in verbs:
        first, *rest = verb.split("/")
        made.update((first, first + ("es" if first.endswith(("sh", "ch", "ss", "x", "z")) else "s"), *rest))
        stem = first[:-1] if first.endswith("e") else first
        made.add(stem + "ing")
        if not rest:
            made.add(stem + "ed")
    return frozenset(made)


#: Verbs (and, in the same form, nouns) of a rise.
UP_MOVES: Final = _forms(
    *(
        "rise/rose/risen",
        "gain",
        "climb",
        "advance",
        "rally/rallies/rallied",
        "surge",
        "jump",
        "soar",
        "leap/leapt/leaped",
    ),
    *("add", "spike", "rebound", "bounce", "rocket", "skyrocket", "pop/popped/popping", "appreciate", "strengthen"),
    *("win/won/winning", "grow/grew/grown", "increase", "inch", "tick", "edge", "nudge", "firm", "recover", "swell"),
    *("creep/crept", "zoom", "shoot/shot", "vault", "balloon", "ascend", "improve", "return", "perk", "power"),
    *(
        "double",
        "swing/swung",
        "drift",
        "track",
        "push",
        "move",
        "trade",
        "bounce",
        "roar",
        "explode",
        "boom",
        "charge",
    ),
) - word_set(
    """
    edge edged edging edges inch inched inching inches drift drifted
    """
)
#: Verbs that go either way; the word after them says which ("edged up", "moved 1.5% higher", "swung 2% lower").
EITHER_MOVES: Final = _forms(
    *(
        "edge",
        "inch",
        "tick",
        "nudge",
        "creep/crept",
        "shoot/shot",
        "swing/swung",
        "drift",
        "track",
        "push",
        "move",
        "trade",
    ),
    *(
        "go/went/gone/goes",
        "come/came",
        "head",
        "change",
        "range",
        "spiral",
        "zigzag",
        "tread/trod",
        "bring/brought",
        "turn",
    ),
    *("shift", "lurch", "run/ran/running", "walk", "pull", "send/sent", "lift", "drag", "knock", "power", "perk"),
    *("start", "begin/began/begun/beginning", "charge", "roar", "outperform", "underperform", "lag/lagged/lagging"),
)
DOWN_MOVES: Final = _forms(
    *("fall/fell/fallen", "drop/dropped/dropping", "decline", "slip/slipped/slipping", "slide/slid", "sink/sank/sunk"),
    *(
        "slump",
        "tumble",
        "plunge",
        "plummet",
        "lose/lost",
        "shed/shed/shedding",
        "dip/dipped/dipping",
        "ease",
        "retreat",
    ),
    *(
        "dive/dived/dove",
        "crash",
        "crater",
        "tank",
        "collapse",
        "weaken",
        "depreciate",
        "decrease",
        "sag/sagged/sagging",
    ),
    *(
        "slid",
        "nosedive",
        "skid/skidded/skidding",
        "stumble",
        "contract",
        "crumble",
        "drop",
        "give/gave",
        "cede",
        "sell-off",
    ),
    *("halve", "correct", "retrace", "surrender", "erode", "swoon", "topple", "wilt", "flop/flopped", "bleed"),
)
#: Nouns only.
UP_NOUNS: Final = word_set(
    """
    upswing upturn uptick run-up runup recovery comeback appreciation growth return returns improvement bump upmove
    ascent strength run
    """
)
DOWN_NOUNS: Final = word_set(
    """
    loss losses selloff sell-off correction downturn pullback drawdown depreciation rout weakness downtick setback
    meltdown decrease drop-off
    """
)
FLAT_WORDS: Final = frozenset({"unchanged", "flat", "flattish", "steady", "little-changed", "stable"})
#: "ended 2% lower", "up 13%".
UP_ADVERBS: Final = frozenset(["up", "higher", "firmer", "stronger", "upward", "upwards", "northward"])
DOWN_ADVERBS: Final = frozenset(["down", "lower", "weaker", "softer", "downward", "downwards", "off", "southward"])
#: Of these words the form alone does not tell a verb from a noun that names something else.
VERB_ONLY: Final = word_set(
    """
    add adds added adding won wins win winning trade firm firms
    """
)

#: Forms of move words that are never nouns.
PAST_FORMS: Final = word_set(
    """
    rose risen fell fallen grew grown lost sank sunk slid shed won dove gave lose loses add adds sink sinks sheds
    leapt crept eases ease plummet
    """
)
CLOSE_VERBS: Final = word_set(
    """
    close closed closes closing end ended ends ending finish finished finishes finishing settle settled settles
    settling conclude concluded concluding
    """
)
OPEN_VERBS: Final = frozenset(["open", "opened", "opens", "opening", "start", "started", "starts", "starting"])
TRADE_VERBS: Final = word_set(
    """
    trade traded trades trading hover hovered hovering hovers stand stood stands standing changed quoted sit sat sits
    sitting reach reached reaching reaches hit hits hitting touch touched touches touching breach breached top
    topped topping tops cross crossed crossing reclaim reclaimed reclaiming surpass surpassed remained remain held
    holding hold broke breaking peaked bottomed fetching fetched
    """
)
LIGHT_VERBS: Final = word_set(
    """
    record recorded recording records post posted posting posts see saw seen sees register registered registering
    registers notch notched notching notches log logged logging book booked booking books enjoy enjoyed enjoying
    suffer suffered suffering make made making take took taking extend extended extending score scored scoring scores
    suffers enjoys extends pares trims reverses reversed erases erased marks achieves delivers experiences
    deliver delivered delivering show showed showing experience experienced experiencing witness witnessed
    witnessing face faced facing clock clocked clocking chalk chalked mark marked marking achieve achieved achieving
    had has have having pare pared paring trim trimmed trimming cap capped capping cut report reported reporting
    sustain sustained following with bring brings brought eye eyeing eyes secured secure put holds holding hold
    generated generate
    """
)
PARE_VERBS: Final = word_set(
    """
    pare pared paring trim trimmed trimming cut cutting take took taking takes bring brought bringing brings extend
    extended extending extends lift lifted lifting push pushing pushed widen widened widening narrow narrowed narrowing
    """
)
BE_WORDS: Final = word_set(
    """
    is was are were be been being 's ’s stays stayed remains
    """
)
AUXILIARIES: Final = word_set(
    """
    has have had having also then now already still both each all again even just only did does do to further
    sharply together alone meanwhile later however too though once ever yet well back got saw since either largely
    currently not never soon initially earlier first last collectively broadly eventually continued continues
    continue continuing managed manages kept keeps proceeded barely little
    """
)
MODALS: Final = word_set(
    """
    could may might would will shall should can 'll won't likely expected forecast forecasts forecasting expects
    expect predicts predicted projected projects poised seen sees estimates estimated anticipates anticipated
    potential potentially expecting set targeting targets due must anticipate expectation expectations predicting
    """
)
HYPOTHETICALS: Final = frozenset(["if", "unless", "were", "assuming", "suppose", "whether", "hypothetically"])
DENIALS: Final = word_set(
    """
    not never didn't didn’t hasn't hasn’t wasn't denied failed without
    """
)

#: Between these, a sentence is read in pieces; what stands before does not govern what stands after.
BREAKS: Final = word_set(
    """
    suggests suggesting suggested implies implying implied indicating indicates
    while whereas but although though as after when which who whose that following because despite amid with saying
    versus vs where before than if unless on until till even so thanks driven boosted led helped fuelled fueled
    lifted weighed dragged compared against into from outpacing beating lagging trailing behind ahead amidst owing
    due meaning said says noting noted adding: added:
    """
)
#: Of the breaks, those after which a move without its own time word belongs to an earlier time.
EARLIER_BREAKS: Final = frozenset({"after", "following"})
PREPOSITIONS: Final = word_set(
    """
    of in for at by across among within over to from against
    """
)

SHARE_HEADS: Final = word_set(
    """
    share shares stock stocks stake-price equity equities adr adrs ads adss h-shares a-shares h-share a-share units
    etf etfs fund scrip counter names securities small-caps large-caps mid-caps small-cap mid-cap blue-chips chips
    bonds-proxies reit reits
    """
)
INDEX_HEADS: Final = word_set(
    """
    index indices indexes benchmark benchmarks gauge gauges average averages composite barometer sub-index subindex
    measure yardstick futures future sub-indices
    """
)
MARKET_HEADS: Final = word_set(
    """
    market markets bourse bourses sector sectors board counters street
    """
)
#: "price", "value": the price of what follows or stands before.
PRICE_HEADS: Final = frozenset(["price", "prices", "value", "valuation", "capitalisation", "capitalization", "quote"])
CURRENCY_HEADS: Final = word_set(
    """
    dollar euro yen yuan renminbi pound sterling rupee won franc peso greenback ringgit rouble ruble lira rand real
    krona krone currency baht rupiah loonie
    """
)
COMMODITY_HEADS: Final = word_set(
    """
    gold silver oil crude brent wti copper platinum palladium bullion bitcoin ether ethereum nickel aluminium
    aluminum zinc iron steel wheat corn soybeans sugar gas cotton coffee cocoa uranium lithium xrp dogecoin solana
    cryptocurrency tin lead
    """
)
#: Plurals that alone, at the start of a sentence, name a sector: "Utilities rose 2%".
SECTORS: Final = word_set(
    """
    utilities insurers retailers developers brokers automakers carmakers chipmakers exporters homebuilders miners
    """
)
COMPANY_HEADS: Final = word_set(
    """
    company firm giant group bank lender airline carrier brand conglomerate chain titan platform business startup
    start-up heavyweight juggernaut major leader behemoth issuer corporation label brokerage bourse studio name
    counter parent utility casino exchange specialist hotelier conglomerates companies firms banks airlines giants
    lenders makers miners insurers developers automakers chipmakers carmakers pharma biotech miner
    """
)
#: Ends of nouns for those who make, run or sell something: "the chipmaker", "the exchange operator".
COMPANY_ENDINGS: Final = (
    "maker",
    "ator",
    "ider",
    "urer",
    "iler",
    "ducer",
    "iner",
    "ender",
    "uilder",
    "insurer",
    "eller",
)
PRONOUNS: Final = frozenset({"it", "its", "they", "their", "them", "itself"})

#: Heads that look like names at the start of a sentence or in a headline, and are no price of anything traded.
NOT_TRADED: Final = word_set(
    """
    revenue revenues sales profit profits earnings income deposits loans exports imports inflation unemployment
    orders output production gdp cpi ppi pmi eps ebitda margin margins yield yields rate rates costs wages rents
    claims inventories reserves visitors arrivals users subscribers payrolls jobs retail spending demand supply
    turnover volume volumes deliveries shipments bookings consumption investment growth economy debt deficit surplus
    trade tariffs tariff dividend dividends fees premiums aum assets inflows outflows flows holdings stake property
    housing home homes rent number total figure figures population traffic passengers backlog capex guidance net
    outlook results losses loss expenses equipment activity sentiment confidence index: people americans analysts
    investors traders economists officials shareholders employees treasuries treasury bond bonds note gilt bund ipos
    ipo deals credit lending q1 q2 q3 q4 h1 h2 nav pat roe npl ratio share-count upside downside order power
    consumers quarter paper water labor labour borrowers customers cover product manufacturing services industry
    industries reading balance bureau survey data gainer gainers loser decliner performer container trainer retainer
    energy food members voters workers buyers sellers holders weather matter consumer producer import
    """
)
#: "consumer price index", "confidence index": gauges of the economy.
ECONOMIC_GAUGES: Final = word_set(
    """
    consumer producer confidence sentiment pmi manufacturing purchasing inflation optimism misery house housing home
    rent freight food wholesale retail cost import export expenditures expenditure pce cpi ppi volatility vacancy
    property rental big-mac labour
    """
)
#: Directly before "index": what surveys and statistics count.
ECONOMIC_KINDS: Final = word_set(
    """
    managers managers' activity expectations services sales production employment labor business climate ifo zew ism
    uncertainty affordability surprise conditions output deflator wage wages sentix nmi
    """
)
#: After the number: what it is a share of, or a thing that is no move.
NOT_A_MOVE_AFTER: Final = word_set(
    """
    stake interest tariff tariffs tax yield dividend discount premium margin probability chance owned coupon
    ownership holding levy duty duties upside downside odds weight weighting share bonus payout vacancy target level
    threshold mark confidence potential
    """
)

#: Markets meant by "Hong Kong stocks": words in front of stocks, shares or market → the index that stands for them.
PROXIES: Final[dict[str, str]] = {
    "hong kong": "^HSI",
    "hk": "^HSI",
    "us": "^GSPC",
    "u.s.": "^GSPC",
    "u. s.": "^GSPC",
    "american": "^GSPC",
    "wall street": "^GSPC",
    "german": "^GDAXI",
    "germany": "^GDAXI",
    "japanese": "^N225",
    "japan": "^N225",
    "tokyo": "^N225",
    "uk": "^FTSE",
    "british": "^FTSE",
    "london": "^FTSE",
}
