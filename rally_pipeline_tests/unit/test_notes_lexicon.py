"""The lexicon: which names are found, what they mean where they stand, and what must not be taken for a name."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog import Catalog, load_catalog
from rally_pipeline.notes import lexicon_words
from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.notes.records import Mention, MentionKind

CATALOG = load_catalog()
LEXICON = Lexicon.from_catalog(CATALOG)


def found(text: str) -> list[tuple[str, str, str]]:
    """Text, kind and id of every mention."""
    return [(m.text, str(m.kind), m.entity_id) for m in LEXICON.find(text)]


def only(text: str) -> Mention:
    (mention,) = LEXICON.find(text)
    return mention


def ids(text: str, kind: str) -> list[str]:
    return [m.entity_id for m in LEXICON.find(text) if m.kind == kind]


class TestHouses:
    @pytest.mark.parametrize(
        ("text", "printed", "broker"),
        [
            ("Goldman's chief strategist lifts his forecast", "Goldman", "goldman_sachs"),
            ("Goldman Sachs’ strategists lift it", "Goldman Sachs", "goldman_sachs"),
            ("GOLDMAN SACHS LIFTS ITS FORECAST", "GOLDMAN SACHS", "goldman_sachs"),
            ("UBS' team stays cautious", "UBS", "ubs"),
            ("J.P. Morgan lifts its view", "J.P. Morgan", "jpmorgan"),
            ("JP Morgan lifts its view", "JP Morgan", "jpmorgan"),
            ("J.P.Morgan lifts its view", "J.P.Morgan", "jpmorgan"),
            ("JPMorgan Chase & Co. downgraded the name", "JPMorgan Chase & Co.", "jpmorgan"),
            ("Jeffries cuts its target", "Jeffries", "jefferies"),
            ("BofA Securities analyst Jo Doe", "BofA Securities", "bofa"),
            ("says D. A. Davidson", "D. A. Davidson", "da_davidson"),
            ("says DA Davidson", "DA Davidson", "da_davidson"),
            ("Keefe, Bruyette & Woods starts coverage", "Keefe, Bruyette & Woods", "kbw"),
            ("Keefe Bruyette and Woods starts coverage", "Keefe Bruyette and Woods", "kbw"),
            ("Craig Hallum starts coverage", "Craig Hallum", "craig_hallum"),
            ("Société Générale starts coverage", "Société Générale", "societe_generale"),
            ("RBC Capital Markets cuts it", "RBC Capital Markets", "rbc"),
            ("Stifel Nicolaus & Company cuts it", "Stifel Nicolaus & Company", "stifel"),
            ("UOB-Kay Hian sees it", "UOB-Kay Hian", "uob_kay_hian"),
            ("Morgan\u00a0Stanley sees it", "Morgan\u00a0Stanley", "morgan_stanley"),
            ("高盛將目標價上調", "高盛", "goldman_sachs"),
            ("大摩将评级上调", "大摩", "morgan_stanley"),
            ("小摩：維持增持", "小摩", "jpmorgan"),
            ("瑞銀證券維持買入", "瑞銀證券", "ubs"),
            ("滙豐研究予持有評級", "滙豐研究", "hsbc"),
            ("大華繼顯料", "大華繼顯", "uob_kay_hian"),
            ("马来亚银行料", "马来亚银行", "maybank"),
            ("据中金公司统计", "中金公司", "cicc"),
            ("里昂證券：升至買入", "里昂證券", "clsa"),
        ],
    )
    def test_spellings(self, text: str, printed: str, broker: str) -> None:
        mention = only(text)
        assert (mention.text, mention.kind, mention.entity_id) == (printed, MentionKind.BROKER, broker)

    @pytest.mark.parametrize(
        "text",
        [
            "the touchdown (td) came late",
            "a da vinci surgery",
            "ubs is no word",
            "goldman",
            "TDK rose",
            "CITIC",
            "Jefferiesville",
            "a mail from desk@ubs.com",
            "see www.jefferies.com/insights",
            "an ex-Goldman Sachs banker",
            "a UBS-owned vehicle",
            "Barclays Center tickets",
            "Wells Fargo Championship winner",
            "UBS Arena opens",
            "Barclays Premier League",
            "the Carnegie Endowment",
            "Needham, Massachusetts",
            "a Roth IRA",
            "Bernstein Liebhard LLP reminds investors",
            "Harley-Davidson",
            "中美贸易大摩擦",
            "其中金额最大",
            "市场强大和稳定",
            "发展壮大和创新",
        ],
    )
    def test_no_house(self, text: str) -> None:
        assert not ids(text, "broker")

    @pytest.mark.parametrize(
        ("text", "brokers"),
        [
            ("Benchmark maintains Buy on Acme", ["benchmark"]),
            ("Benchmark index rises 2%", []),
            ("Benchmark adds 200 points", []),
            ("Benchmark cuts losses", []),
            ("The benchmark raised its target", []),
            ("Benchmark's analyst is positive", ["benchmark"]),
            ("upgraded at Needham, Stephens and Baird", ["needham", "stephens", "baird"]),
            ("Roth, Needham and Stifel lift their targets", ["roth", "needham", "stifel"]),
            ("Tyler Cowen said so", []),
            ("analyst Tom Needham raised his target", []),
            ("Hearing Needham Raised Price Target On Acme", ["needham"]),
            ("Cowen and Company starts coverage", ["td_cowen"]),
            ("TD Cowen starts coverage", ["td_cowen"]),
            ("TD starts coverage", ["td_securities"]),
            ("TD of the season", []),
            ("Acme Upgraded To Buy At Lake Street", ["lake_street"]),
            ("the house by the lake street", []),
            ("Wolfe (Outperform)", []),
            ("Upgraded (Wolfe)", ["wolfe"]),
            ("Bernstein's Jane Roe lifts it", ["bernstein"]),
            ("Bernstein's symphony", []),
        ],
    )
    def test_ordinary_words_need_a_sign(self, text: str, brokers: list[str]) -> None:
        assert ids(text, "broker") == brokers

    @pytest.mark.parametrize(
        "text",
        [
            "Jefferies upgrades Moelis",
            "Citi Trends reports",
            "TD Ameritrade falls",
            "Santander Consumer USA rises",
            "Macquarie Infrastructure pays",
            "Maxim Integrated guides",
            "Benchmark Electronics beats",
            "Deutsche Telekom falls",
            "Daiwa House builds",
            "National Bank Holdings merges",
            "Goldman Sachs BDC pays",
            "Capital One Financial reports",
            "Imperial Oil drills",
            "中国银行业",
            "大和房屋",
        ],
    )
    def test_an_issuer_of_a_like_name_is_no_house(self, text: str) -> None:
        assert [b for b in ids(text, "broker") if b != "jefferies"] == []

    def test_funds_of_a_house_keep_it_as_another_reading(self) -> None:
        mention = only("Goldman Sachs Asset Management bought")
        assert (mention.text, mention.kind) == ("Goldman Sachs Asset Management", MentionKind.INSTRUMENT)
        assert mention.also == ("broker:goldman_sachs",)


class TestShareOrHouse:
    @pytest.mark.parametrize(
        "text",
        [
            "HSBC shares slid",
            "HSBC rose 2%",
            "HSBC was down 1.2 percent",
            "HSBC’s stock climbed",
            "shares of HSBC",
            "HSBC gained 0.5%",
            "HSBC's Hong Kong-listed shares jumped",
            "滙豐升2.1%",
            "汇丰股价创新高",
            "汇丰控股",
            "HSBC added 3%",
            "HSBC dropped nearly 2%",
            "HSBC Holdings Plc fell 2%",
            "HSBC downgraded to Sell",
            "HSBC was initiated at Buy",
            "Maintains Buy on HSBC",
            "starts coverage of HSBC",
            "upgrades HSBC to Buy",
            "將滙豐目標價上調",
            "上调汇丰评级",
        ],
    )
    def test_the_share(self, text: str) -> None:
        mention = only(text)
        assert (mention.kind, mention.entity_id) == (MentionKind.INSTRUMENT, "0005.HK")

    @pytest.mark.parametrize(
        "text",
        [
            "HSBC upgrades it",
            "analysts at HSBC",
            "HSBC said",
            "HSBC shares its view",
            "HSBC dropped coverage",
            "HSBC stock strategists",
            "HSBC raised its target",
            "滙豐升目標價",
            "滙豐將目標價上調",
            "HSBC raised its rating to Buy",
            "according to HSBC",
            "HSBC upgraded AT&T to Buy",
            "汇丰：维持买入",
        ],
    )
    def test_the_house(self, text: str) -> None:
        mention = only(text)
        assert (mention.kind, mention.entity_id) == (MentionKind.BROKER, "hsbc")
        assert mention.also == ("instrument:0005.HK",)

    def test_a_share_outside_the_catalog_has_no_id(self) -> None:
        mention = only("JPMorgan fell 2%")
        assert (mention.kind, mention.entity_id, mention.also) == (MentionKind.INSTRUMENT, "", ("broker:jpmorgan",))
        assert only("JPMorgan downgrades it").also == ("instrument:",)

    @pytest.mark.parametrize("text", ["$GS", "(NYSE: GS)", "UBS.N", "$JPM"])
    def test_tickers_are_shares(self, text: str) -> None:
        assert only(text).kind is MentionKind.INSTRUMENT

    @pytest.mark.parametrize(
        ("text", "kind", "entity"),
        [
            ("S&P downgrades France", "rating_agency", "sp_global_ratings"),
            ("S&P Global Ratings cut it", "rating_agency", "sp_global_ratings"),
            ("the S&P closed higher", "instrument", "^GSPC"),
            ("S&P rose 2%", "instrument", "^GSPC"),
            ("the S&P rating of Acme", "rating_agency", "sp_global_ratings"),
            ("標普下調展望", "rating_agency", "sp_global_ratings"),
            ("標普升0.5%", "instrument", "^GSPC"),
            ("Moody's cut it", "rating_agency", "moodys"),
            ("Moody’s cut it", "rating_agency", "moodys"),
            ("惠譽降級", "rating_agency", "fitch"),
        ],
    )
    def test_agency_or_index(self, text: str, kind: str, entity: str) -> None:
        mention = only(text)
        assert (mention.kind, mention.entity_id) == (kind, entity)


class TestInstruments:
    @pytest.mark.parametrize(
        ("text", "printed", "symbol"),
        [
            ("the Hang Seng Index rose", "Hang Seng Index", "^HSI"),
            ("the Hang Seng rose", "Hang Seng", "^HSI"),
            ("HSI rose", "HSI", "^HSI"),
            ("the Hang Seng Tech Index rose", "Hang Seng Tech Index", "HSTECH.HK"),
            ("the Hang Seng TECH index rose", "Hang Seng TECH index", "HSTECH.HK"),
            ("the Hang Seng China Enterprises Index rose", "Hang Seng China Enterprises Index", "^HSCE"),
            ("Germany's DAX rose", "DAX", "^GDAXI"),
            ("the S&P 500 rose", "S&P 500", "^GSPC"),
            ("the S&amp;P 500 rose", "S&amp;P 500", "^GSPC"),
            ("the Nasdaq-100 rose", "Nasdaq-100", "^NDX"),
            ("the Nikkei share average rose", "Nikkei", "^N225"),
            ("the CSI300 Index rose", "CSI300 Index", "000300.SS"),
            ("the FTSE 100 stocks index rose", "FTSE 100", "^FTSE"),
            ("Alibaba Group rose", "Alibaba Group", "9988.HK"),
            ("JD. com rose", "JD. com", "9618.HK"),
            ("(0700.HK)", "0700.HK", "0700.HK"),
            ("700 HK", "700 HK", "0700.HK"),
            ("恒生指数升", "恒生指数", "^HSI"),
            ("恆生指數升", "恆生指數", "^HSI"),
            ("恒指升", "恒指", "^HSI"),
            ("恒生科技指數升", "恒生科技指數", "HSTECH.HK"),
            ("國企指數升", "國企指數", "^HSCE"),
            ("標普500指數升", "標普500指數", "^GSPC"),
            ("沪深300跌", "沪深300", "000300.SS"),
            ("騰訊控股升", "騰訊控股", "0700.HK"),
            ("德国DAX指数升", "德国DAX指数", "^GDAXI"),
        ],
    )
    def test_names(self, text: str, printed: str, symbol: str) -> None:
        mention = only(text)
        assert (mention.text, mention.kind, mention.entity_id) == (printed, MentionKind.INSTRUMENT, symbol)

    @pytest.mark.parametrize(
        "text",
        [
            "Hang Seng Bank",
            "Hang Seng Composite Index",
            "Hang Seng Mainland Banks Index",
            "Nasdaq Composite",
            "S&P 500 ETF",
            "Shanghai Composite",
            "Dow Jones Industrial Average",
            "Euro Stoxx 50",
            "FTSE 250",
            "MSCI China",
            "Hang Seng Index futures",
            "S&P 500 futures",
            "Nikkei futures",
            "Hang Seng Index ETF",
            "Hang Seng Index constituents",
            "S&P 500 information technology sector",
            "S&P 500 companies",
            "Hang Seng property sub-index",
            "Alibaba Health",
            "Tencent Music",
            "JD Health",
            "JPX-Nikkei 400",
            "MDAX",
            "恒生银行",
            "恒生綜合指數",
            "恒生医疗保健指数",
            "恒指期货",
            "恒指成份股",
            "阿里健康",
            "騰訊音樂",
            "京东方",
            "上证指数",
            "纳指",
            "道指",
            "恒生消费业指数",
            "MSCI中国指数",
        ],
    )
    def test_longer_names_are_something_else(self, text: str) -> None:
        mention = only(text)
        assert (mention.text, mention.kind, mention.entity_id) == (text, MentionKind.INSTRUMENT, "")

    @pytest.mark.parametrize(
        "text",
        [
            "Hang Seng University",
            "Nikkei Asia reported",
            "J.D. Power survey",
            "JD Vance",
            "恒生大学",
            "中国指出",
            "美国指责",
            "其中小米粥",
            "旅游资源",
            "外资企业",
            "河北水利",
            "an Alibaba-backed start-up",
            "People's Bank of China",
            "",
        ],
    )
    def test_nothing(self, text: str) -> None:
        assert found(text) == []

    def test_new_york_or_hong_kong(self) -> None:
        home = only("Alibaba rose")
        assert (home.entity_id, home.also) == ("9988.HK", ("instrument:BABA",))
        for text in ("Alibaba's US-listed shares rose", "Alibaba ADRs rose", "阿里巴巴美股跌", "BABA"):
            assert only(text).entity_id == "BABA", text

    def test_two_indices_with_and(self) -> None:
        assert ids("the Hang Seng Index and the Hang Seng Tech Index", "instrument") == ["^HSI", "HSTECH.HK"]


class TestOtherKinds:
    @pytest.mark.parametrize(
        ("text", "printed", "entity"),
        [
            ("Southbound flows were strong", "Southbound flows", "southbound"),
            ("cumulative southbound purchases", "southbound purchases", "southbound"),
            ("via the Stock Connect", "Stock Connect", "southbound"),
            ("Shanghai-Hong Kong Stock Connect", "Shanghai-Hong Kong Stock Connect", "southbound_sse"),
            ("Shenzhen Connect", "Shenzhen Connect", "southbound_szse"),
            ("northbound trading", "northbound trading", "northbound"),
            ("南向资金净买入", "南向资金", "southbound"),
            ("南下資金淨流入", "南下資金", "southbound"),
            ("北水淨買入", "北水", "southbound"),
            ("港股通（沪）净买入", "港股通（沪）", "southbound_sse"),
            ("北向资金", "北向资金", "northbound"),
        ],
    )
    def test_flows(self, text: str, printed: str, entity: str) -> None:
        mention = only(text)
        assert (mention.text, mention.kind, mention.entity_id) == (printed, MentionKind.FLOW, entity)

    def test_southbound_traffic_is_no_flow(self) -> None:
        assert found("southbound traffic at the border; northbound travel") == []

    def test_mainland_investors_are_both(self) -> None:
        mention = only("mainland investors bought")
        assert (mention.kind, mention.entity_id, mention.also) == (
            MentionKind.FLOW,
            "southbound",
            ("investors:mainland_investors",),
        )

    @pytest.mark.parametrize(
        ("text", "entity"),
        [
            ("Hedge funds bought", "hedge_funds"),
            ("long-only funds sold", "long_only"),
            ("global investors are underweight", "foreign_investors"),
            ("retail investors", "retail"),
            ("對沖基金買入", "hedge_funds"),
            ("外资流入", "foreign_investors"),
            ("散戶入市", "retail"),
            ("hot money", "hot_money"),
        ],
    )
    def test_investors(self, text: str, entity: str) -> None:
        assert ids(text, "investors") == [entity]

    def test_people_and_events(self) -> None:
        text = "Steven Leung of UOB Kay Hian on the time since the Lunar New Year holiday and DeepSeek"
        assert found(text) == [
            ("Steven Leung", "person", "steven_leung"),
            ("UOB Kay Hian", "broker", "uob_kay_hian"),
            ("Lunar New Year holiday", "event", "lunar_new_year"),
            ("DeepSeek", "event", "deepseek_r1_release"),
        ]
        person = LEXICON.person("steven_leung")
        assert person is not None
        assert person.broker == "uob_kay_hian"
        assert ids("春節後", "event") == ["lunar_new_year"]


class TestLookUps:
    @pytest.mark.parametrize(
        ("text", "broker"),
        [
            ("Goldman Sachs", "goldman_sachs"),
            ("goldman sachs & co.", "goldman_sachs"),
            ("B of A Securities", "bofa"),
            ("JP Morgan", "jpmorgan"),
            ("J.P. Morgan Securities LLC", "jpmorgan"),
            ("MS", "morgan_stanley"),
            ("HC Wainwright & Co.", "hc_wainwright"),
            ("RBC Capital Markets", "rbc"),
            ("Keybanc", "keybanc"),
            ("The Benchmark Company", "benchmark"),
            ("Benchmark", "benchmark"),
            ("TD Securities", "td_securities"),
            ("富瑞證券", "jefferies"),
            ("野村国际", "nomura"),
            ("Moody's", ""),
            ("Nobody & Sons", ""),
            ("", ""),
            ("Securities", ""),
            ("Evercore ISI Group", "evercore_isi"),
            ("SunTrust Robinson Humphrey", "truist"),
            ("DA Davidson", "da_davidson"),
            ("Craig-Hallum", "craig_hallum"),
            ("Raymond James", "raymond_james"),
            ("SVB Leerink LLC", "leerink"),
        ],
    )
    def test_broker(self, text: str, broker: str) -> None:
        assert LEXICON.broker(text) == broker

    @pytest.mark.parametrize(
        ("text", "symbol"),
        [
            ("hang seng index", "^HSI"),
            ("700.HK", "0700.HK"),
            ("$BABA", "BABA"),
            ("Alibaba", "9988.HK"),
            ("騰訊", "0700.HK"),
            ("Hang Seng Bank", ""),
            ("", ""),
        ],
    )
    def test_instrument(self, text: str, symbol: str) -> None:
        assert LEXICON.instrument(text) == symbol

    def test_scales_and_names(self) -> None:
        assert LEXICON.rating_scale("morgan_stanley").neutral == ("Equal-Weight",)
        assert "Hold" in LEXICON.rating_scale("stifel").neutral
        assert LEXICON.rating_scale("") == LEXICON.rating_scale("nobody")
        assert LEXICON.broker_name("uob_kay_hian") == "UOB Kay Hian"
        assert LEXICON.broker_name("nobody") == "nobody"
        assert LEXICON.rating_agency("Fitch Ratings") == "fitch"
        assert LEXICON.rating_agency("UBS") == ""

    def test_one_lexicon_per_catalog(self, tmp_path: Path) -> None:
        assert Lexicon.from_catalog(load_catalog()) is LEXICON
        (tmp_path / "catalog").mkdir()
        (tmp_path / "catalog" / "own.yaml").write_text(
            "brokers:\n  harbour_lane: {name: Harbour Lane, kind: independent, country: HK, aliases: [港巷]}\n"
            "people:\n  jo_doe: {name: Jo Doe, broker: harbour_lane}\n"
            'instruments:\n  "0981.HK":\n    {name: SMIC, market: HK, currency: HKD, kind: share, names: [中芯国际]}\n',
            encoding="utf-8",
        )
        mine = Lexicon.from_catalog(load_catalog(tmp_path))
        assert mine is not LEXICON
        assert [
            (str(m.kind), m.entity_id) for m in mine.find("港巷：Jo Doe of Harbour Lane likes SMIC（中芯国际）")
        ] == [
            ("broker", "harbour_lane"),
            ("person", "jo_doe"),
            ("broker", "harbour_lane"),
            ("instrument", "0981.HK"),
            ("instrument", "0981.HK"),
        ]

    def test_an_empty_catalog(self) -> None:
        empty = Lexicon(Catalog(instruments={}, events={}, calendar_overrides=(), content_hash=""))
        assert [m.entity_id for m in empty.find("southbound flows 北水 UBS")] == ["southbound", "southbound"]


#: Every spelling there is, with those of its readings that it must give when it stands alone.
SPELLINGS = sorted(
    {s for b in CATALOG.brokers.values() for s in b.spellings if s not in b.weak}
    | {n for i in CATALOG.instruments.values() for n in i.names}
    | {n for e in CATALOG.events.values() for n in e.names}
    | {n for o in CATALOG.other_names.values() if o.kind != "other" for n in o.names}
    | {n for names in lexicon_words.FLOW_NAMES.values() for n in names}
    | {n for names in lexicon_words.INVESTOR_NAMES.values() for n in names}
)


class TestProperties:
    def test_every_spelling_is_found_whole(self) -> None:
        missed = [s for s in SPELLINGS if [m.text for m in LEXICON.find(f"— {s} —")] != [s]]
        assert missed == []

    def test_no_two_houses_share_a_key(self) -> None:
        wrong = [
            (spelling, LEXICON.broker(spelling))
            for broker in CATALOG.brokers.values()
            if broker.kind != "rating_agency"
            for spelling in broker.spellings
            if LEXICON.broker(spelling) != broker.broker_id
        ]
        assert wrong == []

    @settings(max_examples=150)
    @given(st.lists(st.sampled_from([*SPELLINGS, " ", ", ", "。", "-", "'s ", " shares", " rose 2%", "x", "股", "&"])))
    def test_spans_are_exact_ordered_and_apart(self, parts: list[str]) -> None:
        text = "".join(parts)
        mentions = LEXICON.find(text)
        assert all(text[m.start : m.end] == m.text and m.start < m.end for m in mentions)
        assert all(a.end <= b.start for a, b in itertools.pairwise(mentions))

    @settings(max_examples=100)
    @given(st.text(max_size=60), st.sampled_from(SPELLINGS), st.text(max_size=60), st.data())
    def test_a_part_of_a_text_gives_offsets_into_the_whole(
        self, before: str, name: str, after: str, data: st.DataObject
    ) -> None:
        text = f"{before}\n{name}\n{after}"
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))
        for mention in LEXICON.find(text, start, end):
            assert start <= mention.start < mention.end <= end
            assert text[mention.start : mention.end] == mention.text

    @settings(max_examples=60)
    @given(st.sampled_from(SPELLINGS), st.characters(whitelist_categories=("Lu", "Ll", "Nd"), max_codepoint=0x24F))
    def test_never_inside_a_longer_latin_word(self, name: str, letter: str) -> None:
        if name[0].isascii() and name[-1].isascii() and name[-1].isalnum() and letter.isascii():
            spans = [(m.start, m.end) for m in LEXICON.find(f"{letter}{name}{letter}")]
            assert (1, 1 + len(name)) not in spans

    @pytest.mark.parametrize(
        "unit",
        [
            "a",
            "1,",
            "(",
            "更",
            "恒",
            "恒生",
            "Hang Seng ",
            "S&P ",
            "Needham ",
            "Needham, ",
            "南",
            "港股通",
            "A ",
            "$GS ",
            "H.C. ",
            "Hang Seng China ",
            "S&P 500 energy ",
            "UBS Group ",
            "southbound flows ",
            "Goldman' ",
            "- ",
            "\n",
            "Baird and ",
        ],
    )
    def test_time_is_linear(self, unit: str) -> None:
        def seconds(size: int) -> float:
            text = unit * (size // len(unit))
            best = 9.0
            for _ in range(2):
                began = time.process_time()
                LEXICON.find(text)
                best = min(best, time.process_time() - began)
            return best

        small, large = seconds(5_000), seconds(50_000)
        # Ten times the text, so ten times the time; a quadratic search would take a hundred times.
        assert large < 30 * small + 0.1
