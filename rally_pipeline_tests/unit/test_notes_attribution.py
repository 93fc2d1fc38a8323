"""Who says a claim: sources, quotations, stance; every wording here is the project's own.

Belongs here: `attribution.attribute`, `quotations`. Does not belong here: finding claims.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.notes.attribution import attribute, quotations
from rally_pipeline.notes.records import Claim, ClaimType, NoteContext, QuoteKind, SourceKind
from rally_pipeline_tests.notes_passages import lexicon, passages

NOBODY = NoteContext()


def attributed(marked: str, context: NoteContext = NOBODY, kind: ClaimType = ClaimType.PERFORMANCE) -> list[Claim]:
    """The claims that stand in ``[[ ]]``, attributed."""
    text, spans = "", []
    for number, piece in enumerate(marked.replace("]]", "[[").split("[[")):
        if number % 2:
            spans.append((len(text), len(text) + len(piece)))
        text += piece
    claims = [
        Claim(claim_type=kind, rule_id="test", start=start, end=end, quote=text[start:end]) for start, end in spans
    ]
    return attribute(passages(text), claims, context, lexicon())


def described(claim: Claim) -> str:
    who = (claim.source_kind.value, claim.broker_id or claim.broker_text, claim.speaker, claim.speaker_role)
    return "/".join((*who, claim.quote_kind.value, claim.stance))


# source kind / broker / speaker / role / quotation / stance
CASES = [
    (
        (
            "[[The index could rise another 5%]], Goldman Sachs strategists led by Kinger Lau wrote "
            "in a report dated Monday."
        ),
        ["speaker/goldman_sachs/Kinger Lau/strategists/indirect/forecasts"],
    ),
    ("Shares of the toymaker [[fell 12%]] after the company said it would cut jobs.", ["unattributed////none/asserts"]),
    (
        "[[The Hang Seng Index rose 2%]] after Morgan Stanley said that [[hedge funds bought]].",
        ["unattributed////none/asserts", "broker/morgan_stanley///indirect/asserts"],
    ),
    (
        "“[[Turnover has doubled]],” said Jane Doe, an analyst at Jefferies.",
        ["speaker/jefferies/Jane Doe/analyst/direct/asserts"],
    ),
    (
        '"[[Turnover has doubled]]," Jefferies analyst Jane Doe said.',
        ["speaker/jefferies/Jane Doe/analyst/direct/asserts"],
    ),
    ("According to Jane Doe of CLSA, [[turnover doubled]].", ["speaker/clsa/Jane Doe//indirect/asserts"]),
    ("[[Turnover doubled in February]], UBS analysts said.", ["broker/ubs//analysts/indirect/asserts"]),
    ("UBS said [[turnover doubled in February]].", ["broker/ubs///indirect/asserts"]),
    ("UBS shares [[rose 3%]] in Zurich.", ["unattributed////none/asserts"]),
    ("Tencent said [[revenue rose 8%]].", ["speaker//Tencent//indirect/asserts"]),
    (
        ("The e-commerce company said [[revenue rose 8%]], and Citi said [[the shares look cheap]]."),
        ["speaker//The e-commerce company//indirect/asserts", "broker/citi///indirect/asserts"],
    ),
    (
        (
            "Paul Chan, the city's financial secretary, said on Sunday [[the Hang Seng Index rose "
            "8.8%]] in the past week."
        ),
        ["speaker//Paul Chan/financial secretary/indirect/asserts"],
    ),
    (
        "Financial Secretary Paul Chan said [[the market rallied]].",
        ["speaker//Paul Chan/Financial Secretary/indirect/asserts"],
    ),
    ("“[[The rally has legs]],” he said.", ["unattributed////direct/asserts"]),
    (
        (
            "Mary Wu, head of China equity strategy at Nomura, turned positive last month. “[[The "
            "rally has legs]],” she said."
        ),
        ["speaker/nomura/Mary Wu/head of China equity strategy/direct/asserts"],
    ),
    (
        ("Mary Wu of Nomura said on Friday that [[stocks were cheap]]. [[They trade at 9 times earnings]], Wu added."),
        ["speaker/nomura/Mary Wu//indirect/asserts", "speaker/nomura/Mary Wu//indirect/asserts"],
    ),
    ("Nomura's Mary Wu told Bloomberg that [[stocks were cheap]].", ["speaker/nomura/Mary Wu//indirect/asserts"]),
    ("Data from CICC show [[southbound buying reached HK$26 billion]].", ["broker/cicc///indirect/asserts"]),
    ("[[Southbound buying reached HK$26 billion]], CICC data showed.", ["broker/cicc///indirect/asserts"]),
    (
        "[[Southbound buying reached HK$26 billion]], data compiled by CICC showed on Tuesday.",
        ["broker/cicc///indirect/asserts"],
    ),
    ("If [[the index breaks 24,000]], momentum funds will follow, Citi said.", ["broker/citi///indirect/hypothetical"]),
    ("Goldman Sachs expects [[MSCI China to rise 16%]].", ["broker/goldman_sachs///indirect/forecasts"]),
    ("Goldman Sachs denied that [[it had sold its stake]].", ["broker/goldman_sachs///indirect/denies"]),
    ("[[The index did not fall below 20,000]].", ["unattributed////none/denies"]),
    ("HSBC said [[its annual profit rose 5%]].", ["speaker//HSBC//indirect/asserts"]),
    ("HSBC strategists said [[the rally would broaden]].", ["broker/hsbc//strategists/indirect/forecasts"]),
    ("“[[It is all retail]],” said Mr Leung, who covers brokers at Daiwa.", ["speaker//Leung//direct/asserts"]),
    (
        "The South China Morning Post reported that [[turnover hit a record]].",
        ["newspaper//The South China Morning Post//indirect/asserts"],
    ),
    (
        (
            "“[[Valuations are undemanding]]. [[Earnings are rising]],” said Tan Wei, a fund manager "
            "at Fullerton. “[[We are buyers]].”"
        ),
        [
            "speaker/Fullerton/Tan Wei/fund manager/direct/asserts",
            "speaker/Fullerton/Tan Wei/fund manager/direct/asserts",
            "speaker/Fullerton/Tan Wei/fund manager/direct/asserts",
        ],
    ),
    ("[[The benchmark climbed 1.2%]], with traders citing hopes for stimulus.", ["unattributed////none/asserts"]),
    ("Traders said [[turnover was thin]].", ["unattributed///Traders/indirect/asserts"]),
    (
        (
            "[[The shares have gained 50% this year]], compared with 4% for the S&P 500. JPMorgan "
            "Chase analysts wrote that [[the gains will last]]."
        ),
        ["unattributed////none/asserts", "broker/jpmorgan//analysts/indirect/forecasts"],
    ),
    (
        "高盛首席中国股票策略师刘劲津表示，[[MSCI中国指数今年累涨15%]]。",
        ["speaker/goldman_sachs/刘劲津/首席中国股票策略师/indirect/asserts"],
    ),
    ("[[恒指全年累涨13%]]，中金指出。", ["broker/cicc///indirect/asserts"]),
    ("根据中金公司的数据，[[南向资金净买入266亿港元]]。", ["broker/cicc///indirect/asserts"]),
    ("阿里巴巴表示，[[收入增长8%]]。", ["speaker//阿里巴巴//indirect/asserts"]),
    ("高盛预计[[MSCI中国指数将升至85点]]。", ["broker/goldman_sachs///indirect/forecasts"]),
    ("分析认为，[[港股升势未完]]。", ["unattributed////indirect/asserts"]),
    ("Goldman Sachs: [[China rally has further to run]]", ["broker/goldman_sachs///indirect/asserts"]),
    ("[[Chinese stocks may gain another 10%]] - UBS", ["broker/ubs///indirect/forecasts"]),
    ("Analysts at CMB International said [[the gap has closed]].", ["broker/cmbi//Analysts/indirect/asserts"]),
    (
        "A strategist at Maybank said [[turnover was the highest in a year]].",
        ["broker/maybank//strategist/indirect/asserts"],
    ),
    ("[[Turnover was the highest in a year]], according to exchange data.", ["unattributed////none/asserts"]),
    (
        "[[Hedge funds]], Morgan Stanley's prime brokerage desk said, [[were net buyers]].",
        ["broker/morgan_stanley///indirect/asserts", "broker/morgan_stanley///indirect/asserts"],
    ),
    (
        "The Swiss bank, which raised its forecast, said [[the index would reach 25,000]].",
        ["unattributed////none/forecasts"],
    ),
    (
        "UBS raised its forecast on Monday. The Swiss bank said [[the index would reach 25,000]].",
        ["broker/ubs///indirect/forecasts"],
    ),
    (
        "Xi Jinping told executives that [[the private sector had broad prospects]].",
        ["speaker//Xi Jinping//indirect/asserts"],
    ),
    (
        ("“[[We are overweight]],” wrote Timothy Moe, chief Asia-Pacific equity strategist at Goldman, in a note."),
        ["speaker/goldman_sachs/Timothy Moe/chief Asia-Pacific equity strategist/direct/asserts"],
    ),
    ("[[Momentum is strong]], said BofA Securities' Winnie Wu.", ["speaker/bofa/Winnie Wu//indirect/asserts"]),
    (
        (
            "“[[Momentum is strong]],” Winnie Wu, China equity strategist at BofA Securities, told "
            "reporters in Hong Kong."
        ),
        ["speaker/bofa/Winnie Wu/China equity strategist/direct/asserts"],
    ),
    (
        "Strategist Winnie Wu from Bank of America noted that [[momentum was strong]].",
        ["speaker/bofa/Winnie Wu/Strategist/indirect/asserts"],
    ),
    ("[[Alibaba shares rose 8%]] as Bernstein analysts noted strong cloud growth.", ["unattributed////none/asserts"]),
    (
        "Bernstein's analysts, including Robin Zhu, said [[the stock had doubled]].",
        ["speaker/bernstein/Robin Zhu/analysts/indirect/asserts"],
    ),
    (
        "Chipmaker Foo reported [[sales growth of 8%]], but [[the stock slipped 2%]].",
        ["speaker//Chipmaker Foo//indirect/asserts", "unattributed////none/asserts"],
    ),
    ("Sales [[rose 41%]], more than what analysts had estimated.", ["unattributed////none/asserts"]),
    (
        ("[[The consumer price index rose 0.3%]], the National Bureau of Statistics said on Saturday."),
        ["speaker//National Bureau of Statistics//indirect/asserts"],
    ),
    (
        (
            "“[[That was fast]],” Steve Sosnick, of Interactive Brokers, said of the plunge. “[[It "
            "is normal]],” said Sosnick."
        ),
        [
            "speaker/Interactive Brokers/Steve Sosnick//direct/asserts",
            "speaker/Interactive Brokers/Steve Sosnick//direct/asserts",
        ],
    ),
    (
        (
            "Shares of Getaround added 1% after JPMorgan said prices rose. They were initiated at "
            "buy by Roth MKM. The firm said [[shares may double]]."
        ),
        ["broker/roth///indirect/forecasts"],
    ),
    (
        ('"[[What\'s not to like]]," said David Waddell, chief executive of Waddell & Associates, citing data.'),
        ["speaker//David Waddell/chief executive/direct/asserts"],
    ),
    (
        "Liu Jinjin, Goldman's chief China equity strategist, believes [[the rally can go on]].",
        ["speaker/goldman_sachs/Liu Jinjin/chief China equity strategist/indirect/asserts"],
    ),
    (
        "The bank's head of Asia equity strategy, Frank Benzimra, said [[momentum is good]].",
        ["speaker//Frank Benzimra/head of Asia equity strategy/indirect/asserts"],
    ),
    (
        (
            "China equity analysts at Morgan Stanley led by Laura Wang raised their target, saying "
            "[[a structural shift is under way]]."
        ),
        ["speaker/morgan_stanley/Laura Wang/China equity analysts/indirect/asserts"],
    ),
    (
        "Goldman Sachs raised its target for Tencent to HK$600; [[the shares rose 3%]].",
        ["unattributed////none/asserts"],
    ),
    (
        "“[[Prices will fall]],” said Vice Finance Minister Kim Beom-seok.",
        ["speaker//Kim Beom-seok/Vice Finance Minister/direct/forecasts"],
    ),
    ("Pfizer said it expects [[sales to fall 64%]].", ["speaker//Pfizer//indirect/forecasts"]),
    (
        ("Paul Lee, an analyst at Nomura, said [[inflows were observed]], and indicated that [[more would come]]."),
        ["speaker/nomura/Paul Lee/analyst/indirect/asserts", "speaker/nomura/Paul Lee/analyst/indirect/forecasts"],
    ),
    ("高盛中国股票策略团队在最新报告中称，[[MSCI中国指数将升至85点]]。", ["broker/goldman_sachs///indirect/forecasts"]),
    ("野村证券中国首席经济学家陆挺认为，[[政策明显转向]]。", ["speaker/nomura/陆挺/中国首席经济学家/indirect/asserts"]),
    ("中信证券研报指出，[[南向资金净买入266亿港元]]。", ["broker/citic_securities///indirect/asserts"]),
    ("据彭博数据，[[恒指年初至今涨13%]]。", ["newspaper//彭博//indirect/asserts"]),
    ("里昂：[[港股升势未完]]", ["broker/clsa///indirect/asserts"]),
    ("交银国际研究部主管洪灝在接受访问时说：“[[市场很便宜]]。”", ["speaker/bocom/洪灝/研究部主管/direct/asserts"]),
    ("[[恒指收报22600点]]，升2%。", ["unattributed////none/asserts"]),
    (
        "阿里巴巴发布业绩后，[[股价升8%]]。高盛认为，[[估值仍低]]。该行预计[[明年盈利增长一成]]。",
        [
            "unattributed////none/asserts",
            "broker/goldman_sachs///indirect/asserts",
            "broker/goldman_sachs///indirect/forecasts",
        ],
    ),
    (
        "「[[散戶很多]]，」交易員張先生說。「[[這是炒作市]]。」他又表示，[[熱錢流入兩周]]。",
        [
            "speaker//張先生/交易員/direct/asserts",
            "speaker//張先生/交易員/direct/asserts",
            "speaker//張先生/交易員/indirect/asserts",
        ],
    ),
    ("大摩引述主經紀商數據指，[[對沖基金淨買入]]。", ["broker/morgan_stanley///indirect/asserts"]),
    (
        "匯豐股價[[升3%]]，分析師稱[[業績理想]]。",
        ["unattributed////none/asserts", "unattributed///分析師/indirect/asserts"],
    ),
    ("南向资金今年[[净买入逾千亿]]，中金公司数据显示。", ["broker/cicc///indirect/asserts"]),
    ("Steven Leung said [[money was hot]].", ["speaker/uob_kay_hian/Steven Leung/executive director/indirect/asserts"]),
    (
        "摩根大通分析师团队指，[[资金流入加快]]，但[[短线或回调]]。",
        ["broker/jpmorgan///indirect/asserts", "broker/jpmorgan///indirect/forecasts"],
    ),
    ("财政司司长陈茂波周日表示，[[恒指上周升8.8%]]。", ["speaker//陈茂波/财政司司长/indirect/asserts"]),
    (
        (
            "Chinese stocks are [[on track for their best quarter since 2019]], with Goldman Sachs "
            "Group Inc. strategists predicting [[another 15% gain]] for the MSCI China Index."
        ),
        ["unattributed////none/asserts", "broker/goldman_sachs//strategists/indirect/forecasts"],
    ),
    (
        ('"We think [[the re-rating has further to run]]," Jefferies equity analysts including Edmund Shing wrote.'),
        ["speaker/jefferies/Edmund Shing/equity analysts/direct/asserts"],
    ),
    (
        'Redmond Wong, chief China strategist at Saxo Markets, said: "[[Turnover is surging]]."',
        ["speaker/Saxo Markets/Redmond Wong/chief China strategist/direct/asserts"],
    ),
    ("Turnover [[hit HK$427 billion]] on Friday, stock exchange data showed.", ["unattributed////none/asserts"]),
    (
        (
            "[[Mainland investors were net buyers]], said Kenny Ng, a securities strategist at China "
            "Everbright Securities International in Hong Kong, adding that [[the pace may slow]]."
        ),
        [
            "speaker/everbright/Kenny Ng/securities strategist/indirect/asserts",
            "speaker/everbright/Kenny Ng/securities strategist/indirect/forecasts",
        ],
    ),
    (
        ("Hedge funds [[trimmed positions last week]], a note from Goldman's prime brokerage unit showed on Monday."),
        ["broker/goldman_sachs///indirect/asserts"],
    ),
    (
        "In a Feb. 18 note, Citigroup's Pierre Lau said [[valuations were stretched]].",
        ["speaker/citi/Pierre Lau//indirect/asserts"],
    ),
    (
        ("The Wall Street bank now sees [[the CSI 300 at 4,700]], up from 4,600, after UBS raised its own target."),
        ["unattributed////none/asserts"],
    ),
    ("JPMorgan's trading desk told clients [[the squeeze was over]].", ["broker/jpmorgan///indirect/asserts"]),
    (
        ("Tencent shares [[rose 4%]] on Tuesday, their biggest gain since October, according to Bloomberg data."),
        ["newspaper//Bloomberg//indirect/asserts"],
    ),
    (
        (
            "[[The index has gained 13% this year]], compared with a 4% advance for the S&P 500, "
            "data compiled by LSEG show."
        ),
        ["speaker//LSEG//indirect/asserts"],
    ),
    (
        ("UBS Wealth Management's chief investment office wrote on Thursday that [[volatility would persist]]."),
        ["broker/ubs///indirect/forecasts"],
    ),
    (
        "Nomura cut its rating on Meituan to neutral, saying [[margins would shrink 5%]].",
        ["broker/nomura///indirect/forecasts"],
    ),
    (
        ("Wang Qi, chief investment officer at MegaTrust Investment (HK), told the Post [[fund flows had turned]]."),
        ["speaker/MegaTrust Investment/Wang Qi/chief investment officer/indirect/asserts"],
    ),
    (
        ("Speaking on Bloomberg Television, Morgan Stanley's Laura Wang said [[the shift was structural]]."),
        ["speaker/morgan_stanley/Laura Wang//indirect/asserts"],
    ),
    ("Traders at two European banks said [[buying was broad]].", ["unattributed///banks/indirect/asserts"]),
    (
        (
            "Alibaba Group Holding Ltd. said on Thursday [[revenue rose 8%]], beating the 5% "
            "estimate of analysts surveyed by LSEG."
        ),
        ["speaker//Alibaba Group Holding//indirect/asserts"],
    ),
    (
        "Chief Executive Eddie Wu said Alibaba [[would invest more than 380 billion yuan]].",
        ["speaker//Eddie Wu/Chief Executive/indirect/forecasts"],
    ),
    (
        '"[[Everyone is chasing]]," one Hong Kong-based trader said.',
        ["unattributed///Hong Kong-based trader/direct/asserts"],
    ),
    ("Macquarie strategists expect [[earnings to grow 10%]].", ["broker/macquarie//strategists/indirect/forecasts"]),
    ("BNP Paribas Asset Management says [[it has added to China]].", ["broker/bnp_paribas///indirect/asserts"]),
    (
        "Shares in HSBC Holdings [[fell 5%]] as the lender said [[it would take a charge]].",
        ["unattributed////none/asserts", "speaker//HSBC Holdings//indirect/forecasts"],
    ),
    (
        "China's securities regulator said [[insurers would buy more A-shares]].",
        ["speaker//China's securities regulator//indirect/forecasts"],
    ),
    (
        (
            "“[[There's too much froth]],” said Hao Hong, the chief economist of Grow Investment "
            "Group. He expects [[a correction of 10%]]."
        ),
        [
            "speaker/Grow Investment Group/Hao Hong/chief economist/direct/asserts",
            "speaker/Grow Investment Group/Hao Hong/chief economist/indirect/forecasts",
        ],
    ),
    (
        ("Bank of America Corp.'s latest fund manager survey found that [[investors were most bullish since 2022]]."),
        ["broker/bofa///indirect/asserts"],
    ),
    ("[[Investors were most bullish since 2022]], BofA's February survey showed.", ["broker/bofa///indirect/asserts"]),
    ("Net inflows, as measured by EPFR, [[reached $2 billion]].", ["unattributed////none/asserts"]),
    (
        ("Vey-Sern Ling, managing director at Union Bancaire Privee, said the move shows that [[policy has turned]]."),
        ["speaker//Vey-Sern Ling/managing director/indirect/asserts"],
    ),
    ("[[The rally is broadening]] (Source: CICC).", ["broker/cicc///indirect/asserts"]),
    (
        ("Morgan Stanley (MS) analysts led by Gary Yu, who upgraded the stock, said [[cloud growth may reach 13%]]."),
        ["speaker/morgan_stanley/Gary Yu/analysts/indirect/forecasts"],
    ),
    (
        "Kinger Lau, chief strategist at Goldman Sachs, said [[Tencent would rise]].",
        ["speaker/goldman_sachs/Kinger Lau/chief strategist/indirect/forecasts"],
    ),
    (
        "While turnover rose, Kinger Lau, a Goldman Sachs strategist, said Tencent [[was cheap]].",
        ["speaker/goldman_sachs/Kinger Lau/strategist/indirect/asserts"],
    ),
    ("[[Momentum is strong]] at JPMorgan, said Jane Roe of UBS.", ["speaker/ubs/Jane Roe//indirect/asserts"]),
    (
        "The Securities and Futures Commission on Thursday said [[turnover would grow]].",
        ["speaker//Securities and Futures Commission//indirect/forecasts"],
    ),
    (
        "“[[There is a tug of war]],” said Keith Roe, co-chief investment officer at Jefferies.",
        ["speaker/jefferies/Keith Roe/co-chief investment officer/direct/asserts"],
    ),
    (
        (
            "“[[There is a tug of war]],” said Melissa Roe, managing director for Investment "
            "Decision Research at Jefferies in New York."
        ),
        [("speaker/jefferies/Melissa Roe/managing director for Investment Decision Research/direct/asserts")],
    ),
    # the pattern of a report on a rally, restated
    (
        "[[The buying was long]], not short covering, a Morgan Stanley note said.",
        ["broker/morgan_stanley///indirect/asserts"],
    ),
    (
        ("[[Cumulative southbound purchases have reached HK$26.6 billion]] since the holiday, data from CICC showed."),
        ["broker/cicc///indirect/asserts"],
    ),
    (
        (
            "“[[Hot money has driven this for two weeks]],” Steven Leung, an executive director at "
            "UOB Kay Hian in Hong Kong, said."
        ),
        ["speaker/uob_kay_hian/Steven Leung/executive director/direct/asserts"],
    ),
    (
        "UOB Kay Hian executive director Steven Leung said [[the money was hot]].",
        ["speaker/uob_kay_hian/Steven Leung/executive director/indirect/asserts"],
    ),
    (
        ("“[[It is very retail-driven]],” says Wong Kok Hoong, Maybank's head of equity sales trading."),
        ["speaker/maybank/Wong Kok Hoong/head of equity sales trading/direct/asserts"],
    ),
    (
        ("[[Beijing has reversed course almost entirely]], wrote Christopher Beddor of Gavekal Dragonomics."),
        ["speaker/gavekal/Christopher Beddor//indirect/asserts"],
    ),
    (
        "Gavekal Dragonomics' Christopher Beddor sees [[a near-total reversal]].",
        ["speaker/gavekal/Christopher Beddor//indirect/forecasts"],
    ),
    (
        "馬來亞銀行股票銷售交易主管黃國鴻表示，「[[市場由散戶主導]]」。",
        ["speaker/maybank/黃國鴻/股票銷售交易主管/direct/asserts"],
    ),
    ("「[[升勢由熱錢推動]]，」大華繼顯的梁偉源說。", ["speaker/uob_kay_hian/梁偉源//direct/asserts"]),
    (
        "摩根士丹利的報告顯示，[[對沖基金淨敞口接近一年高位]]。該行指，[[買家多在亞洲]]。",
        ["broker/morgan_stanley///indirect/asserts", "broker/morgan_stanley///indirect/asserts"],
    ),
    ("瑞银表示，如果[[恒指升穿两万四]]，资金将追入。", ["broker/ubs///indirect/hypothetical"]),
    ("交易员称，[[成交清淡]]。", ["unattributed///交易员/indirect/asserts"]),
    # an issuer is never a broker
    ("Alibaba Chairman Joe Tsai said [[cloud revenue would grow]].", ["speaker//Joe Tsai/Chairman/indirect/forecasts"]),
    ("[[Shares of HSBC rose 3%]] after Alibaba said sales grew.", ["unattributed////none/asserts"]),
    ("[[HSBC shares climbed 3%]], exchange data show.", ["unattributed////none/asserts"]),
    ("阿里巴巴主席蔡崇信表示，[[云收入会增长]]。", ["speaker//蔡崇信/主席/indirect/asserts"]),
]


@pytest.mark.parametrize(("marked", "expected"), CASES, ids=[f"{n:03d}" for n in range(len(CASES))])
def test_source(marked: str, expected: list[str]) -> None:
    assert [described(claim) for claim in attributed(marked)] == expected


def test_author_of_the_note_says_what_nobody_else_says() -> None:
    house = NoteContext(broker_id="cicc", broker_text="CICC", analyst="Jane Doe")
    own, other = attributed("[[The rally has further to go]]. UBS said [[funds were net buyers]].", house)
    assert (own.source_kind, own.broker_id, own.broker_text, own.analyst) == (
        SourceKind.BROKER,
        "cicc",
        "CICC",
        "Jane Doe",
    )
    assert own.quote_kind is QuoteKind.NONE
    assert (other.broker_id, other.analyst, other.quote_kind) == ("ubs", "", QuoteKind.INDIRECT)


def test_house_outside_the_catalog_is_kept_as_text() -> None:
    (claim,) = attributed("[[The rally has further to go]].", NoteContext(broker_text="Quay Street Partners"))
    assert (claim.source_kind, claim.broker_id, claim.broker_text) == (SourceKind.BROKER, "", "Quay Street Partners")
    (claim,) = attributed("Lantau Peak Securities said [[the rally has further to go]].")
    assert (claim.source_kind, claim.broker_id, claim.broker_text) == (SourceKind.BROKER, "", "Lantau Peak Securities")


def test_medium_says_what_nobody_else_says() -> None:
    paper = NoteContext(newspaper="Harbour Times")
    own, other = attributed("[[The index rose 2%]]. CLSA said [[funds were net buyers]].", paper)
    assert (own.source_kind, own.broker_id, own.speaker) == (SourceKind.NEWSPAPER, "", "")
    assert (other.source_kind, other.broker_id) == (SourceKind.BROKER, "clsa")


def test_rating_keeps_its_house() -> None:
    text = "Nomura said Jefferies raised Alibaba to buy."
    start = text.index("Jefferies")
    rated = Claim(
        claim_type=ClaimType.RATING_ACTION,
        rule_id="test",
        start=start,
        end=len(text),
        quote=text[start:],
        broker_id="jefferies",
        broker_text="Jefferies",
    )
    (claim,) = attribute(passages(text), [rated], NOBODY, lexicon())
    assert (claim.source_kind, claim.broker_id) == (SourceKind.BROKER, "jefferies")


def test_report_within_a_report_is_quoted() -> None:
    (claim,) = attributed("Goldman Sachs said Tencent said [[revenue rose 8%]].")
    assert (claim.speaker, claim.stance) == ("Tencent", "quotes_others")


def test_house_acting_does_not_say_what_the_price_did() -> None:
    (claim,) = attributed("Citi raised its target for Meituan and [[the shares gained 4%]].")
    assert claim.source_kind is SourceKind.UNATTRIBUTED


def test_quotation_over_sentences_and_paragraphs() -> None:
    text = (
        "Mary Wu, an analyst at Nomura, was surprised. “[[Volumes doubled]]. [[Foreigners came back]].\n\n"
        "“[[They will stay]],” she said."
    )
    claims = attributed(text)
    assert {claim.broker_id for claim in claims} == {"nomura"}
    assert {claim.quote_kind for claim in claims} == {QuoteKind.DIRECT}
    assert claims[2].stance == "forecasts"


def test_positions_after_a_house_that_told_of_positions() -> None:
    marked = "Morgan Stanley said hedge funds bought. [[Most of the buyers were in Asia]]."
    (claim,) = attributed(marked, kind=ClaimType.POSITIONING)
    assert (claim.broker_id, claim.quote_kind) == ("morgan_stanley", QuoteKind.NONE)
    (claim,) = attributed(marked)
    assert claim.source_kind is SourceKind.UNATTRIBUTED


def test_quotations() -> None:
    text = 'He said “one” and "two". 「三」'
    assert [text[start:end] for start, end in quotations(text)] == ["one", "two", "三"]
    assert quotations('an open " mark\nand "closed" here') == [(20, 26)]


PIECES = ["said", "“", "”", '"', ",", "Leung", "Goldman Sachs", "analysts at", "he", "according to", "rose", ".", "\n",
          "表示", "，", "高盛", "该行", "HSBC", "head of", "strategist"]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_words_keep_the_span_and_name_only_printed_sources(words: list[str]) -> None:
    text = " ".join([*words, "the index rose 2%"])
    start = text.rindex("the index")
    claim = Claim(claim_type=ClaimType.PERFORMANCE, rule_id="t", start=start, end=len(text), quote=text[start:])
    (found,) = attribute(passages(text), [claim], NOBODY, lexicon())
    assert (found.start, found.end, found.quote) == (claim.start, claim.end, claim.quote)
    assert found.broker_text in text
    assert found.speaker in text
    if found.broker_id:
        assert lexicon().broker(found.broker_text) == found.broker_id


@pytest.mark.parametrize(
    "unit", ["a", "said ", "“", "A, ", "the bank said ", "说", "高盛表示", "according to ", "A B "]
)
def test_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit)) + " rose 2%"
        made = passages(text)
        claim = Claim(claim_type=ClaimType.PERFORMANCE, rule_id="t", start=len(text) - 2, end=len(text), quote="2%")
        started = time.thread_time()
        attribute(made, [claim], NOBODY, lexicon())
        return time.thread_time() - started

    small = max(seconds(500), 0.005)
    assert min(seconds(4_000) for _ in range(3)) < 40 * small
