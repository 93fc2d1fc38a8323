"""Statements on positions, retail and hot money, mood, policy and events; boilerplate; in the project's own words.

Belongs here: `statements`, `positioning`, `boilerplate`. Does not belong here: who says it.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.notes import boilerplate, rating_words, statement_rules
from rally_pipeline.notes.boilerplate import is_boilerplate
from rally_pipeline.notes.records import Claim, ClaimType, Comparator, Direction
from rally_pipeline.notes.statements import find
from rally_pipeline.notes.word_sets import has_any
from rally_pipeline_tests.eval import gold
from rally_pipeline_tests.notes_passages import passages


def found(text: str) -> list[Claim]:
    return [claim for passage in passages(text) for claim in find(passage)]


def kinds(text: str) -> list[str]:
    return [f"{claim.claim_type.value}:{claim.details['statement_class']}" for claim in found(text)]


POSITIONING = [
    (
        "Hedge funds' buying came from fresh longs rather than short covering.",
        "long_over_short_covering",
        "Hedge funds",
    ),
    (
        "Purchases by hedge funds reflected long additions, not covering of shorts.",
        "long_over_short_covering",
        "hedge funds",
    ),
    ("It was not short covering but outright long buying by global funds.", "long_over_short_covering", "global funds"),
    (
        "Long buying by Asian hedge funds outpaced short-covering last week.",
        "long_over_short_covering",
        "Asian hedge funds",
    ),
    ("The bounce was driven by short covering.", "short_covering", ""),
    ("Short covering rather than fresh long buying explains the move, funds say.", "short_covering_over_long", "funds"),
    ("Macro funds added to long positions in H-shares.", "long_buying", "Macro funds"),
    ("Global investors remained underweight China as of late January.", "underweight", "Global investors"),
    ("Mutual funds are 2.2 percentage points underweight Chinese stocks.", "underweight", "Mutual funds"),
    ("Emerging-market managers have moved to overweight on Hong Kong.", "overweight", "Emerging-market managers"),
    ("Buyers were mostly in Asia.", "buyers_region", ""),
    ("Most of the buying came from Asia-based investors.", "buyers_region", "Asia-based investors"),
    ("Asia-based hedge funds led the buying.", "buyers_region", "Asia-based hedge funds"),
    ("Hedge funds were net sellers of Chinese equities for a third week.", "net_selling", "Hedge funds"),
    ("Long-only funds cut their exposure to China in January.", "allocation_cut", "Long-only funds"),
    ("Pension funds raised allocations to Chinese stocks.", "allocation_raised", "Pension funds"),
    ("Short interest in Alibaba dropped to 1.4% of the float.", "short_interest", ""),
    ("对冲基金的买入以多头建仓为主，而非空头回补。", "long_over_short_covering", "对冲基金"),
    ("對沖基金並非空頭回補，而是主動買入。", "long_over_short_covering", "對沖基金"),
    ("全球投资者截至一月底仍低配中国股票。", "underweight", "全球投资者"),
    ("海外基金已转为超配港股。", "overweight", "海外基金"),
    ("买家主要来自亚洲。", "buyers_region", ""),
    ("共同基金提高了对中国股票的配置。", "allocation_raised", "共同基金"),
    ("港股沽空比率降至12%。", "short_interest", ""),
]


@pytest.mark.parametrize(("text", "name", "who"), POSITIONING, ids=[f"{n:02d}" for n in range(len(POSITIONING))])
def test_positioning(text: str, name: str, who: str) -> None:
    claims = [claim for claim in found(text) if claim.claim_type is ClaimType.POSITIONING]
    assert [claim.details["statement_class"] for claim in claims] == [name]
    assert claims[0].details["investors"] == who


EXPOSURES = [
    ("Net exposure of hedge funds is close to the highest in a year.", "net_exposure", Comparator.NEAR_HIGHEST),
    ("Hedge funds' net exposure to China hit its highest in 12 months.", "net_exposure", Comparator.HIGHEST_IN_WINDOW),
    ("Funds' gross leverage stands near a one-year peak.", "gross_exposure", Comparator.NEAR_HIGHEST),
    ("Gross exposure fell to its lowest level since October 2022.", "gross_exposure", Comparator.LOWEST_IN_WINDOW),
    ("Net leverage is near its lowest in two years.", "net_exposure", Comparator.NEAR_LOWEST),
    ("对冲基金净敞口接近一年来最高水平。", "net_exposure", Comparator.NEAR_HIGHEST),
    ("對沖基金總敞口升至三年新高。", "gross_exposure", Comparator.HIGHEST_IN_WINDOW),
]


@pytest.mark.parametrize(("text", "metric", "comparator"), EXPOSURES, ids=[f"{n}" for n in range(len(EXPOSURES))])
def test_exposure(text: str, metric: str, comparator: Comparator) -> None:
    claims = [claim for claim in found(text) if claim.metric == metric]
    assert [claim.comparator for claim in claims] == [comparator]
    assert claims[0].window is not None
    is_high = comparator in (Comparator.NEAR_HIGHEST, Comparator.HIGHEST_IN_WINDOW)
    assert claims[0].direction is (Direction.UP if is_high else Direction.DOWN)
    assert claims[0].details["polarity"] == (1 if is_high else -1)


def test_level_of_an_exposure() -> None:
    (claim,) = found("Hedge funds' net leverage rose to 57%.")
    assert (claim.metric, claim.value, claim.unit, claim.direction) == ("net_exposure", 57.0, "pct", Direction.UP)
    (claim,) = found("Mutual funds are 2.2 percentage points underweight Chinese stocks.")
    assert (claim.value, claim.unit) == (2.2, "pct")


OTHERS = [
    ("The market is very retail-driven.", "retail:retail_driven"),
    ("The rally has been led by mainland retail investors.", "retail:retail_driven"),
    ("Retail investors have been piling into chip stocks.", "retail:retail_buying"),
    ("Retail traders account for 60% of turnover.", "retail:retail_share"),
    ("港股由散户主导。", "retail:retail_driven"),
    ("散戶蜂擁入市。", "retail:retail_buying"),
    ("Hot money has been flowing in for two weeks.", "hot_money:hot_money"),
    ("Fast money is behind this move.", "hot_money:hot_money"),
    ("熱錢兩周來不斷流入。", "hot_money:hot_money"),
    ("For now this is a trading market.", "sentiment:trading_market"),
    ("目前是炒作市。", "sentiment:trading_market"),
    ("Investors are increasingly bullish on Chinese stocks.", "sentiment:bullish"),
    ("Fear of missing out drove funds into tech shares.", "sentiment:fear_of_missing_out"),
    ("Market sentiment has soured.", "sentiment:bearish"),
    ("Traders remain cautious on Hong Kong stocks.", "sentiment:bearish"),
    ("Investors are not bullish on the market.", "sentiment:not_bullish"),
    ("投资者情绪明显改善。", "sentiment:bullish"),
    ("資金害怕踏空。", "sentiment:fear_of_missing_out"),
    ("It amounts to a near-total reversal of Beijing's policy stance.", "policy:reversal"),
    ("China's leadership made a U-turn on its crackdown.", "policy:reversal"),
    ("The policy reversal on private companies is almost complete.", "policy:reversal"),
    ("政策立场几乎全面逆转。", "policy:reversal"),
    ("Beijing unveiled a package of stimulus measures.", "policy:stimulus"),
    ("当局推出一系列刺激政策。", "policy:stimulus"),
    ("The People's Bank of China cut its benchmark lending rate.", "policy:rate_cut"),
    ("央行宣布降准50个基点。", "policy:rate_cut"),
    ("Officials pledged support for the private sector.", "policy:private_sector_support"),
    ("President Xi held a symposium with business leaders.", "event:symposium"),
    ("国家主席会见民营企业家代表。", "event:symposium"),
    ("DeepSeek released its R1 model in January.", "event:deepseek_release"),
    ("Mainland markets reopened after the Lunar New Year holiday.", "event:holiday_reopening"),
    ("A股春节假期后复市。", "event:holiday_reopening"),
]


@pytest.mark.parametrize(("text", "expected"), OTHERS, ids=[f"{n:02d}" for n in range(len(OTHERS))])
def test_others(text: str, expected: str) -> None:
    claims = [
        claim for claim in found(text) if f"{claim.claim_type.value}:{claim.details['statement_class']}" == expected
    ]
    assert len(claims) == 1
    assert claims[0].comparator is Comparator.QUALITATIVE


NOTHING = [
    "JPMorgan upgraded the shares to overweight from neutral.",
    "Wells Fargo Maintains Overweight on Coty, Raises Price Target to $13",
    "大行首予超配评级，目标价85元。",
    "Retail sales rose 3% in January.",
    "Consumer sentiment improved in March.",
    "The retailer opened three stores.",
    "Are investors too bullish on China?",
    "Hot money refers to funds that move quickly between markets.",
    "Short covering is when an investor buys back borrowed shares.",
    "Read more: why hedge funds are buying Chinese stocks",
    "This report is not investment advice and investors are bullish at their own risk.",
    "The Fed could cut interest rates in September.",
    "Investors hope Beijing will unveil stimulus measures.",
    "The stock is up 20% since the release of DeepSeek's model.",
    "The company changed its return policy.",
    "Mainland investors bought a net HK$26.6 billion of shares.",
    "The Hang Seng Index rose 2%.",
    "恒生指数上涨2%。",
    "零售销售额上升3%。",
]


@pytest.mark.parametrize("text", NOTHING, ids=[f"{n:02d}" for n in range(len(NOTHING))])
def test_nothing(text: str) -> None:
    assert kinds(text) == []


def test_window_of_hot_money_and_details() -> None:
    (claim,) = [
        c for c in found("It has been hot money for the past two weeks.") if c.claim_type is ClaimType.HOT_MONEY
    ]
    assert claim.window is not None
    assert claim.window.days == 14
    assert claim.quote == "It has been hot money for the past two weeks"
    (claim,) = found("Retail traders account for 60% of turnover.")
    assert claim.details["share_pct"] == 60.0


def test_event_has_its_catalog_id() -> None:
    assert found("DeepSeek released its R1 model in January.")[0].subject_id == "deepseek_r1_release"
    assert found("President Xi held a symposium with business leaders.")[0].subject_id == "business_symposium"


def test_statement_of_the_clause_alone() -> None:
    (claim,) = found("Shares rose 2%, and one trader said the market is very retail-driven, according to the bank.")
    assert claim.quote == "the market is very retail-driven"


@pytest.mark.parametrize(
    "text",
    [
        "Past performance is not indicative of future results.",
        "© 2025 Harbour Research. All rights reserved.",
        "This document does not constitute an offer to sell securities.",
        "Click here for the full list",
        "Read also: three charts on the rally",
        "Stocks to watch: Alibaba, Tencent",
        "Sign up for our newsletter",
        "The Hang Seng Index is a market-capitalisation-weighted index of the largest companies.",
        "免责声明：本报告仅供参考。",
        "恒生指数是衡量香港股市的指数。",
    ],
)
def test_boilerplate(text: str) -> None:
    assert is_boilerplate(text)


@pytest.mark.parametrize(
    "text",
    [
        "The Hang Seng Index is the best-performing benchmark of the year.",
        "The index is up 13% this year.",
        "Hedge funds are net buyers.",
        "Reading the tape, traders bought Alibaba.",
        "More than 60% of turnover came from retail investors.",
        "The regulator said risk appetite lifted turnover by 12%.",
        "恒生指数是今年表现最好的股市。",
        "南向资金净买入266亿港元。",
    ],
)
def test_no_boilerplate(text: str) -> None:
    assert not is_boilerplate(text)


PIECES = ["hedge funds", "net exposure", "near its highest", "in a year", "underweight", "long buying", "rather than",
          ",", "short covering", "retail-driven", "hot money", "bullish on", "China", "policy", "reversal", "sentiment",
          ".",
          "“", "”", "散户", "主导", "热钱", "低配", "基金", "，", "is", "cut rates", "the Fed", "57%"]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_quotes_are_exact_and_inside_their_sentence(words: list[str]) -> None:
    text = " ".join(words)
    for passage in passages(text):
        for claim in find(passage):
            assert text[claim.start : claim.end] == claim.quote != ""
            assert passage.start <= claim.start < claim.end <= passage.end
            assert claim.quote == claim.quote.strip()


@pytest.mark.parametrize(
    "unit",
    ["a", "hedge funds ", "long ", "short covering ", "net exposure ", "highest ", "policy ", "retail ", "sentiment ",
     "a-",      "the Fed ", "更", "基金", "净敞口", "对冲基金买入", "Beijing announced ", "(", "1,", "cut rates "],
)  # fmt: skip
def test_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        made = passages(unit * (size // len(unit)))
        started = time.thread_time()
        for passage in made:
            find(passage)
            is_boilerplate(passage.sentence)
        return time.thread_time() - started

    small = max(seconds(500), 0.005)
    assert min(seconds(4_000) for _ in range(3)) < 40 * small


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Macro funds covered their shorts last month.", "Macro funds"),
        ("Fast money has come back to the exchange.", "Fast money"),
        ("Hedge funds cut their exposure to Chinese stocks in January.", "Chinese stocks"),
        # Those who are named far off may be others.
        ("Sentiment has turned bullish, and later in the piece the stock is praised to hedge funds.", ""),
    ],
)
def test_without_a_market_a_statement_is_about_those_who_trade(text: str, subject: str) -> None:
    claims = found(text)
    assert claims[0].subject_text == subject, claims


def test_a_percentile_of_exposure() -> None:
    (claim,) = found("Net exposure to Japan is now in the 8th percentile.")
    assert (claim.claim_type, claim.direction) == (ClaimType.POSITIONING, Direction.DOWN)
    assert claim.details["percentile"] == 8.0


def test_no_hint_keeps_a_pattern_from_what_it_would_find() -> None:
    """What is looked for first, because it is cheaper, is in every text that the pattern behind it matches."""
    texts = [row["text"] for path in gold.HERE.glob("*.jsonl") for row in gold.rows_of(path) if "text" in row]
    texts += [
        *("Beijing vowed more fiscal support.", "The PBOC cut its reserve requirement.", "Xi backs private firms."),
        *("It is an about-face in stance.", "Stocks to watch: Example.", "The story continues.", "Click here."),
    ]
    matched = set[str]()
    for text in texts:
        for rule in statement_rules.RULES:
            if rule.hints and rule.pattern.search(text):
                matched.add(rule.name)
                assert has_any(text.lower(), rule.hints), (rule.name, text)
        if boilerplate._TEASER_WITHIN.search(text):
            matched.add("teaser")
            assert has_any(text.lower(), boilerplate._TEASER_WITHIN_WORDS), text
    assert matched == {rule.name for rule in statement_rules.RULES if rule.hints} | {"teaser"}


@pytest.mark.parametrize("word", sorted(rating_words.PLAIN_RATINGS))
def test_a_plain_rating_is_read_as_that_word_and_no_more(word: str) -> None:
    for after in ("", " ", " rating", "-rated", " perform", "er", " weight", ".", "_"):
        hit = rating_words.RATING.match(word + after)
        whole = not after[:1].isalpha() and not after.startswith("_")
        if whole:
            assert hit is not None
            assert hit.end() == len(word)
