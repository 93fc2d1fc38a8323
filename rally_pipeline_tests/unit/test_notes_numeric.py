"""Grammars of numbers: performance, levels, extremes, ranks, volumes, flows. Sentences in the project's own words."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.notes import extremes, flows, levels, performance, ranks, volumes
from rally_pipeline.notes.records import Claim, ClaimType, Comparator, Direction, NoteContext, Passage, WindowKind
from rally_pipeline_tests.notes_passages import AS_OF, passages

GRAMMARS = (performance, levels, extremes, ranks, volumes, flows)


def claims(text: str, *types: ClaimType, as_of: dt.date | None = AS_OF) -> list[Claim]:
    """What the grammars find in a text, of the given types only."""
    found = [claim for passage in passages(text, as_of) for grammar in GRAMMARS for claim in grammar.find(passage)]
    for claim in found:
        assert text[claim.start : claim.end] == claim.quote, claim
        assert claim.quote == claim.quote.strip(), claim
    return [claim for claim in found if not types or claim.claim_type in types]


def returns(text: str) -> list[tuple[str, float | None]]:
    """Symbol, or the words where there is none, and value of each return."""
    found = claims(text, ClaimType.PERFORMANCE)
    return [(claim.subject_id or claim.subject_text, claim.value) for claim in found if claim.metric == "return_pct"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Hang Seng Index slid 1.4 percent.", [("^HSI", -1.4)]),
        ("The DAX closed 0.3 percent higher.", [("^GDAXI", 0.3)]),
        ("The DAX was up 0.3 percent at noon.", [("^GDAXI", 0.3)]),
        ("The S&P 500 has added 4% this year, rising 1.1% last week.", [("^GSPC", 4.0), ("^GSPC", 1.1)]),
        ("The Hang Seng's 7% gain this month drew attention.", [("^HSI", 7.0)]),
        ("A 5 percent slide in Tencent's shares weighed on the market.", [("0700.HK", -5.0)]),
        ("Meituan posted a weekly loss of 2.2 percent.", [("3690.HK", -2.2)]),
        ("Xiaomi shares, which fell 3 percent on Thursday, recovered.", [("1810.HK", -3.0)]),
        ("The FTSE 100, third in the table, has gained 6 percent this year.", [("^FTSE", 6.0)]),
        ("Kuaishou (1024.HK) jumped 8%.", [("1024.HK", 8.0)]),
        ("Acme Robotics tumbled 12% after its results.", [("Acme Robotics", -12.0)]),
        ("Shares of Borealis Foods sank 9. 5% on Tuesday.", [("Borealis Foods", -9.5)]),
        ("Acme Robotics - The gadget maker's stock rose 2%.", [("Acme Robotics", 2.0)]),
        ("Acme Robotics - Shares lost 4% after a warning.", [("Acme Robotics", -4.0)]),
        ("Sending the Hang Seng Index 2% higher, tech names led.", [("^HSI", 2.0)]),
        ("DAX: +0.8%", [("^GDAXI", 0.8)]),
        ("恒指跌1.2%。", [("^HSI", -1.2)]),
        ("恒生科技指数年初至今累计上涨近24%。", [("HSTECH.HK", 24.0)]),
        ("騰訊挫逾3%，美團升2.1%。", [("0700.HK", -3.0), ("3690.HK", 2.1)]),
        ("恒指及科指分别升1%及2.5%。", [("^HSI", 1.0), ("HSTECH.HK", 2.5)]),
        ("港股今年升幅达13%。", [("^HSI", 13.0)]),
        # The word for a market behind a share's name is the line of the share.
        ("腾讯港股今年升幅达13%。", [("0700.HK", 13.0)]),
        ("美團的港股今年升幅達13%。", [("3690.HK", 13.0)]),
        ("Tencent's Hong Kong shares have gained 13%.", [("0700.HK", 13.0)]),
        # A name with an owner's s in it, repeated behind its label.
        ("Wong's Noodles - Wong's Noodles shares rose 5%.", [("Wong's Noodles", 5.0)]),
        ("Borealis Foods - The Nordic snack stock rose 5%.", [("Borealis Foods", 5.0)]),
        ("Borealis Foods - The meal delivery service lost 5%.", [("Borealis Foods", -5.0)]),
        # What is held up is not what rose.
        ("Supporting the Hang Seng Index, Meituan shares rose 2%.", [("3690.HK", 2.0)]),
        ("Weak demand lifts copper futures, up 0.5 percent.", [("copper futures", 0.5)]),
        ("Thin demand drags down copper futures by 1.2%.", [("copper futures", -1.2)]),
        ("The DAX returned minus 2% in January.", [("^GDAXI", -2.0)]),
    ],
)
def test_returns_with_subject_and_sign(text: str, expected: list[tuple[str, float]]) -> None:
    assert returns(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Hang Seng and the DAX gained 9% and 11.5%, respectively.", [("^HSI", 9.0), ("^GDAXI", 11.5)]),
        (
            "Tokyo's Nikkei 225 rose 3 percent, Germany's DAX 2.5 percent and the S&P 500 1 percent.",
            [("^N225", 3.0), ("^GDAXI", 2.5), ("^GSPC", 1.0)],
        ),
        ("Tencent and Meituan each dropped 4%.", [("0700.HK", -4.0), ("3690.HK", -4.0)]),
        ("The Hang Seng's 13% advance compares with 4% for the S&P 500.", [("^HSI", 13.0), ("^GSPC", 4.0)]),
        # For which of the three, the words do not tell.
        ("Tencent, Meituan and Xiaomi fell 4% and 5%, respectively.", []),
    ],
)
def test_lists_pair_values_with_subjects(text: str, expected: list[tuple[str, float]]) -> None:
    assert returns(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Tencent's profit rose 13 percent in the third quarter.",
        "Revenue fell 4 percent while sales grew 2 percent.",
        "Consumer prices climbed 0.3 percent and the consumer price index rose 2 percent.",
        "Home prices dropped 6 percent from a year earlier.",
        "Deposits at the lender shrank, falling 40% to $104 billion.",
        "Tencent accounted for 20% of turnover.",
        "Imports from Hong Kong jumped by nine percent.",
        "Hong Kong grew 2.5 percent in the third quarter.",
        "The fund holds a 9% stake in Meituan.",
        "The central bank raised rates to 5 percent.",
        "The PMI survey disappointed, with the composite index dropping to 48.1 in November.",
        "The bureau reported a 1.1% decline in orders, well below the forecast 0.4% drop.",
        "If the Hang Seng Index fell 10%, margin calls would follow.",
        "The consumer price index, the central bank's favourite gauge, rose 0.2 percent.",
        "The purchasing managers' index, a private survey, fell 0.3 percent to 50.1.",
        "The University of Acme sentiment index, which is closely watched, rose 2 percent.",
        "Acme's shipments were 4,000, which was a 4% decrease from the same period in 2021.",
        "A filing at the exchange showed, up 24 percent from a year before.",
        "腾讯第三季净利润同比增长13%。",
        "房价按年下跌6%，销售额跌3%。",
        "大和料恒指有望上望25000点，潜在升幅16%。",
    ],
)
def test_what_is_no_move_of_a_market(text: str) -> None:
    assert claims(text, ClaimType.PERFORMANCE, ClaimType.LEVEL) == []


def test_one_sentence_gives_percent_points_and_level() -> None:
    text = "The Hang Seng Index gained 0.8 percent, or 160 points, to 20,160."
    percent, points, level = claims(text)
    assert (percent.metric, percent.value, percent.unit, percent.tolerance) == ("return_pct", 0.8, "pct", 0.05)
    assert percent.quote == "Hang Seng Index gained 0.8 percent"
    assert (points.metric, points.value, points.unit) == ("point_change", 160.0, "points")
    assert (level.claim_type, level.metric, level.value, level.unit) == (ClaimType.LEVEL, "close", 20160.0, "points")
    assert {claim.direction for claim in (percent, points, level)} == {Direction.UP}


def test_more_than_keeps_its_sense_when_the_value_is_negative() -> None:
    (claim,) = claims("The DAX fell more than 2%.")
    assert (claim.value, claim.comparator) == (-2.0, Comparator.AT_MOST)
    (claim,) = claims("The DAX rose more than 2%.")
    assert (claim.value, claim.comparator) == (2.0, Comparator.AT_LEAST)


@pytest.mark.parametrize(
    ("text", "kind", "is_inherited"),
    [
        ("The DAX has added 9% this year.", WindowKind.YEAR_TO_DATE, False),
        ("This year the DAX has added 9% and the S&P 500 has gained 4%.", WindowKind.YEAR_TO_DATE, True),
        ("The DAX has added 9% this year, while the S&P 500 gained 4%.", WindowKind.YEAR_TO_DATE, True),
        ("The DAX rose 1% and the S&P 500 added 2% this year.", WindowKind.YEAR_TO_DATE, False),
        ("The S&P 500 gained 4%.", WindowKind.DAY, True),
        ("First-quarter revenue grew and the S&P 500 gained 4%.", WindowKind.DAY, True),
        ("恒指今年以来上涨13%，标普500指数升4%。", WindowKind.YEAR_TO_DATE, True),
    ],
)
def test_window_of_the_last_clause(text: str, kind: WindowKind, is_inherited: bool) -> None:
    window = claims(text, ClaimType.PERFORMANCE)[-1].window
    assert window is not None
    assert (window.kind, window.is_inherited) == (kind, is_inherited)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The DAX fell 0.2 percent, ending an eight-day winning streak.", WindowKind.DAY),
        ("The DAX gained 9% over an eight-day winning streak.", WindowKind.TRAILING),
        ("Xiaomi shares were down 3% after disappointing quarterly earnings.", WindowKind.DAY),
        ("Xiaomi was the best performer last year, with a gain of 144%.", WindowKind.PERIOD),
        # On a Monday the week that gave a weekly gain is the one before.
        ("Xiaomi posted a weekly gain of 2%.", WindowKind.PERIOD),
        ("Xiaomi posted a weekly gain of 2% on Friday.", WindowKind.WEEK_TO_DATE),
        ("The DAX has gained 2% since the holiday.", WindowKind.SINCE_EVENT),
        ("恒指自1月13日至2月14日上涨15%。", WindowKind.PERIOD),
        ("恒指昨收市跌1.2%。", WindowKind.DAY),
    ],
)
def test_time_of_a_move(text: str, kind: WindowKind) -> None:
    claim = claims(text, ClaimType.PERFORMANCE)[0]
    assert claim.window is not None
    assert claim.window.kind is kind


def test_weekly_without_a_day_keeps_its_kind() -> None:
    (claim,) = claims("The DAX posted a weekly gain of 2%.", as_of=None)
    assert claim.window is not None
    assert (claim.window.kind, claim.window.start_earliest) == (WindowKind.WEEK_TO_DATE, None)


def test_late_in_a_year_is_no_hour_of_the_session() -> None:
    text = "Xiaomi has gained 40 percent in 2025 and its trading volume is the largest since its listing in late 2018."
    assert {claim.timing for claim in claims(text)} == {"unknown"}


def test_a_time_after_a_list_holds_for_all_of_it() -> None:
    found = claims("The Dow rose 1%, the DAX gained 2% and the S&P 500 added 3% this year.")
    assert [claim.window.kind for claim in found if claim.window] == [WindowKind.YEAR_TO_DATE] * 3


@pytest.mark.parametrize(
    "text",
    [
        "The DAX is down 8% from its record high.",
        "The DAX eased after rising 2 percent.",
        "European stocks gained this week. The DAX rose 3%.",
        "Alibaba shares climbed 10% year on year.",
    ],
)
def test_without_a_known_base_there_is_no_window(text: str) -> None:
    (claim,) = [claim for claim in claims(text, ClaimType.PERFORMANCE) if claim.value]
    assert claim.window is None or claim.window.kind is not WindowKind.DAY


def test_the_day_comes_from_the_sentence_that_says_when_it_traded() -> None:
    text = "US stocks ended lower on Friday. Data on Tuesday had been weak. The S&P 500 fell 0.6 percent to 6,070."
    found = claims(text, ClaimType.PERFORMANCE, ClaimType.LEVEL)
    assert {claim.as_of_date for claim in found} == {dt.date(2025, 2, 14)}
    assert {claim.timing for claim in found} == {"close"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The DAX has gained 13% this year. The S&P 500 is up 4%.", WindowKind.YEAR_TO_DATE),
        # A past tense may be the day's or the year's move: left open.
        ("The DAX has gained 13% this year. The S&P 500 gained 4%.", None),
        ("德国DAX指数今年以来上涨13%。标普500指数升4%。", None),
        # A level is that of a day, and the move beside it too.
        ("The DAX has gained 13% this year. The S&P 500 gained 0.4% to 6,100.", WindowKind.DAY),
    ],
)
def test_time_of_a_sentence_after_one_about_the_year(text: str, kind: WindowKind | None) -> None:
    claim = next(one for one in claims(text, ClaimType.PERFORMANCE) if one.subject_id == "^GSPC")
    assert (claim.window.kind if claim.window else None) is kind


def test_an_extreme_is_of_the_day_its_sentence_names() -> None:
    (claim,) = claims("Stocks rose on Friday, with the DAX at its highest since May 2021.", ClaimType.EXTREME)
    assert claim.as_of_date == dt.date(2025, 2, 14)


def test_without_a_day_nothing_is_assumed() -> None:
    (claim,) = claims("The DAX fell 2%.", as_of=None)
    assert (claim.window, claim.as_of_date) == (None, None)


@pytest.mark.parametrize(
    ("text", "timing"),
    [
        ("The Hang Seng Index opened 0.4 percent higher at 22,100.", "open"),
        ("Hong Kong shares opened higher on Monday. The Hang Seng Index rose 0.4 percent to 22,100.", "open"),
        ("The Hang Seng Index was up 0.4 percent at 22,100 in early trade.", "intraday"),
        ("The Hang Seng Index finished 0.4 percent higher at 22,100.", "close"),
        ("恒指高开0.4%，报22,100点。", "open"),
        ("恒指半日升88点，报22,100点。", "intraday"),
        ("恒指收报22,100点，升88点。", "close"),
    ],
)
def test_hour_of_the_session(text: str, timing: str) -> None:
    (level,) = claims(text, ClaimType.LEVEL)
    assert (level.timing, level.value) == (timing, 22100.0)


@pytest.mark.parametrize(
    ("text", "symbol", "value", "unit"),
    [
        ("Tencent closed at HK$520.5, up 3%.", "0700.HK", 520.5, "HKD"),
        ("Tencent settled at HK$520 and Meituan at HK$160.2.", "3690.HK", 160.2, "HKD"),
        ("The Hang Seng Index closed above 23,000 points.", "^HSI", 23000.0, "points"),
        ("腾讯升3%，收报520.5港元。", "0700.HK", 520.5, "HKD"),
        ("恒指失守22,000点。", "^HSI", 22000.0, "points"),
    ],
)
def test_levels(text: str, symbol: str, value: float, unit: str) -> None:
    level = claims(text, ClaimType.LEVEL)[-1]
    assert (level.subject_id, level.value, level.unit) == (symbol, value, unit)


@pytest.mark.parametrize(
    "text",
    [
        "UBS raises its target for Tencent to HK$600.",
        "The Hang Seng Index could climb to 25,000.",
        "A deal worth $3 billion closed at noon.",
        "Since 2019 the DAX has doubled.",
        "瑞银上调腾讯目标价至600港元。",
    ],
)
def test_targets_and_forecasts_are_no_levels(text: str) -> None:
    assert claims(text, ClaimType.LEVEL) == []


def test_bounds_of_a_level() -> None:
    assert claims("The DAX closed above 22,000 points.", ClaimType.LEVEL)[0].comparator is Comparator.AT_LEAST
    assert claims("The DAX closed below 22,000 points.", ClaimType.LEVEL)[0].comparator is Comparator.AT_MOST


def test_markets_in_words_stand_for_an_index() -> None:
    (claim,) = claims("Hong Kong tech shares have surged 25% since mid-January.")
    assert (claim.subject_id, claim.details.get("is_proxy")) == ("HSTECH.HK", True)
    (claim,) = claims("Hong Kong property shares fell 2%.")
    assert claim.subject_id == ""


def test_futures_premarket_and_american_receipts_are_not_the_instrument() -> None:
    (claim,) = claims("Hang Seng Index futures rose 1%.")
    assert (claim.subject_id, claim.details["instrument"]) == ("", "futures")
    (claim,) = claims("JD.com fell 5% in premarket trading.")
    assert (claim.subject_id, claim.details["session"]) == ("", "premarket")
    (claim,) = claims("Tencent's US-listed shares fell 5%.")
    assert claim.subject_id == ""


def test_stance() -> None:
    (claim,) = claims("The Hang Seng Index could gain 10% this year.")
    assert claim.stance == "forecasts"
    assert claims("The Hang Seng Index gained 10% this year.")[0].stance == "asserts"


@pytest.mark.parametrize(
    ("text", "symbol", "comparator", "basis"),
    [
        ("Alibaba touched a two-year high.", "9988.HK", Comparator.HIGHEST_IN_WINDOW, "intraday"),
        ("Alibaba closed at its highest since May 2022.", "9988.HK", Comparator.HIGHEST_IN_WINDOW, "close"),
        (
            "The news sent the Hang Seng Index to its lowest in two years.",
            "^HSI",
            Comparator.LOWEST_IN_WINDOW,
            "unknown",
        ),
        ("The DAX is near a record high.", "^GDAXI", Comparator.NEAR_HIGHEST, "unknown"),
        ("Xiaomi's 52-week low came as a surprise.", "1810.HK", Comparator.LOWEST_IN_WINDOW, "unknown"),
        ("腾讯创三年新高。", "0700.HK", Comparator.HIGHEST_IN_WINDOW, "unknown"),
        ("恒指一度跌至一年低位。", "^HSI", Comparator.LOWEST_IN_WINDOW, "intraday"),
        ("阿里巴巴港股创三年新高。", "9988.HK", Comparator.HIGHEST_IN_WINDOW, "unknown"),
        ("The DAX added 1% for its fifth straight record.", "^GDAXI", Comparator.HIGHEST_IN_WINDOW, "unknown"),
        (
            "Xiaomi fell to HK$30 in early trading, marking a nine-year low.",
            "1810.HK",
            Comparator.LOWEST_IN_WINDOW,
            "unknown",
        ),
        ("The DAX hovers near a 2-week high.", "^GDAXI", Comparator.NEAR_HIGHEST, "unknown"),
        ("The DAX climbed to a multi-week high.", "^GDAXI", Comparator.HIGHEST_IN_WINDOW, "unknown"),
    ],
)
def test_extremes(text: str, symbol: str, comparator: Comparator, basis: str) -> None:
    (claim,) = claims(text, ClaimType.EXTREME)
    assert (claim.subject_id, claim.comparator, claim.details["basis"]) == (symbol, comparator, basis)
    assert claim.window is not None
    assert claim.window.kind in (WindowKind.LOOKBACK, WindowKind.ALL_TIME)


def test_the_most_in_a_stretch_follows_the_verb() -> None:
    (claim,) = claims("AIA's shares dropped 5.2%, the most since October 2022.", ClaimType.EXTREME)
    assert (claim.metric, claim.comparator) == ("return_pct", Comparator.LOWEST_IN_WINDOW)


def test_the_worst_follows_the_move_of_the_clause_before() -> None:
    (claim,) = claims("The DAX lost 2.4 per cent last week, its worst since October 2022.", ClaimType.EXTREME)
    assert (claim.metric, claim.direction, claim.details["period"]) == ("return_pct", Direction.DOWN, "week")


def test_an_extreme_of_a_yield_is_of_no_price() -> None:
    (claim,) = claims("Yields on the 10-year Treasury note fell to a two-month low.", ClaimType.EXTREME)
    assert (claim.subject_id, claim.details["asset_class"]) == ("", "yield")


def test_extreme_of_a_move() -> None:
    (claim,) = claims("The DAX had its worst week since March 2020.", ClaimType.EXTREME)
    assert (claim.metric, claim.direction, claim.details["period"]) == ("return_pct", Direction.DOWN, "week")


@pytest.mark.parametrize(
    "text",
    [
        "The DAX retreated from a record high.",
        "Alibaba is 20% below its 52-week high.",
        "Unemployment rose to a three-year high.",
        "The DAX had its strongest start to the year since 2019.",
        "The DAX ended its longest run since 2013.",
        "Tencent's profit hit a record high.",
        "The DAX slipped, ending a four-day run of record highs.",
        "恒指从一年高位回落。",
        "成交额创三年新高。",
        "大市成交额突破3000亿港元，创历史新高。",
    ],
)
def test_what_is_no_extreme_of_a_price(text: str) -> None:
    assert claims(text, ClaimType.EXTREME) == []


@pytest.mark.parametrize(
    ("text", "symbol", "value"),
    [
        ("The Hang Seng Index is this year's best-performing major benchmark.", "^HSI", 1.0),
        ("The Hang Seng Index is the second-best performing major market after the DAX this year.", "^HSI", 2.0),
        ("The Hang Seng Index, second only to the DAX, has soared.", "^HSI", 2.0),
        ("Hong Kong stocks are among the world's best performers this year.", "^HSI", None),
        ("The DAX has beaten every other major market this year.", "^GDAXI", 1.0),
        ("Meituan was the worst performer on the Hang Seng Index.", "3690.HK", 1.0),
        ("恒指今年以来升幅居全球第二。", "^HSI", 2.0),
        ("恒指年初至今表现冠绝全球。", "^HSI", 1.0),
    ],
)
def test_ranks(text: str, symbol: str, value: float | None) -> None:
    claim = claims(text, ClaimType.RANK)[0]
    assert (claim.subject_id, claim.value, claim.unit) == (symbol, value, "rank")


@pytest.mark.parametrize(
    ("text", "symbol", "metric"),
    [
        ("Alibaba's monthly volume was the largest since its listing in late 2019.", "9988.HK", "volume"),
        ("Turnover on the main board reached a record HK$400 billion.", "", "turnover"),
        ("阿里巴巴2月成交量创上市以来新高。", "9988.HK", "volume"),
        (
            "Xiaomi closed higher. Its monthly volume in Hong Kong is the largest since its listing in 2018.",
            "1810.HK",
            "volume",
        ),
        (
            "Xiaomi: busy days\n\nVolume in Hong Kong this month is the largest since the listing in July 2018.",
            "1810.HK",
            "volume",
        ),
        ("小米股价上升。2月份成交量创2018年上市以来新高。", "1810.HK", "volume"),
        ("Volume in the company's shares this month is the largest since it listed in 2018.", "", "volume"),
        ("港股成交额创历史新高，达4000亿港元。", "", "turnover"),
    ],
)
def test_volume_records(text: str, symbol: str, metric: str) -> None:
    (claim,) = claims(text, ClaimType.VOLUME_RECORD)
    assert (claim.subject_id, claim.metric, claim.comparator) == (symbol, metric, Comparator.HIGHEST_IN_WINDOW)


def test_the_amount_of_a_record_is_told_beside_it() -> None:
    (claim,) = claims("Turnover reached HK$330 billion, its highest since October 8.", ClaimType.VOLUME_RECORD)
    assert (claim.value, claim.details["amount"], claim.details["amount_unit"]) == (None, 330e9, "HKD")


def test_sales_and_flows_are_no_volume_of_a_share() -> None:
    assert claims("Home sales volume hit a record.", ClaimType.VOLUME_RECORD) == []
    assert claims("Southbound turnover hit a record.", ClaimType.VOLUME_RECORD) == []


@pytest.mark.parametrize(
    ("text", "subject", "metric", "value"),
    [
        ("Southbound net purchases came to HK$9.5 billion on Friday.", "southbound", "net_buy", 9.5e9),
        ("Mainland investors sold a net HK$3.2 billion on Friday.", "southbound", "net_buy", -3.2e9),
        ("Mainland investors pumped HK$12 billion into the city's shares.", "southbound", "net_buy", 12e9),
        ("Southbound turnover was HK$110 billion.", "southbound", "turnover", 110e9),
        ("There was a net inflow of HK$2 billion through the Shanghai leg.", "southbound_sse", "net_buy", 2e9),
        ("Foreign investors withdrew $1.5 billion from the market.", "", "net_buy", -1.5e9),
        ("南向资金净买入95亿港元。", "southbound", "net_buy", 9.5e9),
        ("北水淨流出12億元。", "southbound", "net_buy", -1.2e9),
        ("港股通（深）净卖出15亿港元。", "southbound_szse", "net_buy", -1.5e9),
        ("南向资金连续5日净买入，累计120亿港元。", "southbound", "net_buy", 12e9),
        ("北向资金净流出52亿元。", "", "net_buy", -5.2e9),
        ("今年以来南向资金净买入额已超过500亿港元。", "southbound", "net_buy", 50e9),
        ("Net buying via Shanghai was HK$3 billion.", "southbound_sse", "net_buy", 3e9),
        ("The Shenzhen link took in a net HK$3 billion.", "southbound_szse", "net_buy", 3e9),
        ("Net inflows over the past two weeks were nearly HK$50bn.", "", "net_buy", 50e9),
        ("The net outflow was 3.2 million, mostly in small orders.", "", "net_buy", -3.2e6),
    ],
)
def test_flows(text: str, subject: str, metric: str, value: float) -> None:
    (claim,) = claims(text, ClaimType.FLOW)
    assert (claim.subject_id, claim.metric, claim.value) == (subject, metric, pytest.approx(value))


def test_amounts_of_two_channels_after_one_verb() -> None:
    text = "Net selling through the Shanghai link was HK$2 billion and through Shenzhen to HK$1 billion on Friday."
    found = claims(text, ClaimType.FLOW)
    assert [(one.subject_id, one.value) for one in found] == [("southbound_sse", -2e9), ("southbound_szse", -1e9)]


def test_a_channel_of_northbound_money_is_not_southbound() -> None:
    (claim,) = claims("Northbound money left. Net selling via the Shanghai link was HK$2 billion.", ClaimType.FLOW)
    assert claim.subject_id == ""


def test_a_bound_that_was_passed() -> None:
    (claim,) = claims("Southbound net buying topped HK$90 billion this year.", ClaimType.FLOW)
    assert claim.comparator is Comparator.AT_LEAST


def test_a_direction_without_an_amount() -> None:
    (claim,) = claims("Gold-backed ETFs saw outflows in January.", ClaimType.FLOW)
    assert (claim.value, claim.direction, claim.comparator) == (None, Direction.DOWN, Comparator.QUALITATIVE)


def test_gross_amounts_on_both_sides() -> None:
    found = claims("Mainland funds bought HK$40 billion and sold HK$34 billion of shares.", ClaimType.FLOW)
    assert [(claim.metric, claim.value) for claim in found] == [("buy", 40e9), ("sell", 34e9)]


def test_the_amount_in_brackets_is_a_twin() -> None:
    text = "Southbound net buying since the Lunar New Year holiday totals HK$20 billion (US$2.6 billion)."
    first, twin = claims(text, ClaimType.FLOW)
    assert (first.currency, twin.currency) == ("HKD", "USD")
    assert "twin" not in first.details
    assert twin.details["twin"] is True
    assert first.window is not None
    assert first.window == twin.window
    assert first.window.kind is WindowKind.SINCE_EVENT


def test_purchases_of_one_share_are_not_the_total() -> None:
    (claim,) = claims("Southbound investors bought a net HK$2 billion of Alibaba shares.", ClaimType.FLOW)
    assert (claim.subject_id, claim.details["stock_id"]) == ("", "9988.HK")
    found = claims("南向资金净买入90亿港元，其中腾讯获净买入21亿港元。", ClaimType.FLOW)
    assert [claim.subject_id for claim in found] == ["southbound", ""]


def test_each_amount_belongs_to_the_channel_named_behind_it() -> None:
    text = "Mainland buyers put a net HK$4 billion in via the Shanghai link and HK$1 billion through the Shenzhen link."
    found = claims(text, ClaimType.FLOW)
    assert [(claim.subject_id, claim.value) for claim in found] == [("southbound_sse", 4e9), ("southbound_szse", 1e9)]
    found = claims("北水净流入59亿元，其中沪港股通净流入42亿元，深港股通净流入17亿元。", ClaimType.FLOW)
    assert [claim.subject_id for claim in found] == ["southbound", "southbound_sse", "southbound_szse"]


def test_flows_that_are_no_market_flows() -> None:
    assert claims("Foreign investors' FDI inflows were $3 billion.", ClaimType.FLOW) == []
    assert claims("The bank saw deposit outflows of $3 billion.", ClaimType.FLOW) == []


@pytest.mark.parametrize(
    ("text", "comparator", "start"),
    [
        (
            "It was the largest weekly inflow of southbound money since 2021.",
            Comparator.HIGHEST_IN_WINDOW,
            "2021-01-01",
        ),
        ("Southbound buying is comparable to September's rush.", Comparator.COMPARABLE_TO, "2024-09-01"),
        ("南向资金净流入创2021年以来单日新高。", Comparator.HIGHEST_IN_WINDOW, "2021-01-01"),
        ("南向资金净流入与去年9月的规模相若。", Comparator.COMPARABLE_TO, "2024-09-01"),
        (
            "Southbound funds bought on. The pace is on a par with the rush of September.",
            Comparator.COMPARABLE_TO,
            "2024-09-01",
        ),
        ("Mainland investors kept buying. It matches last September's pace.", Comparator.COMPARABLE_TO, "2024-09-01"),
        ("北水持续流入。买入速度与去年9月的热潮相当。", Comparator.COMPARABLE_TO, "2024-09-01"),
    ],
)
def test_flow_comparisons(text: str, comparator: Comparator, start: str) -> None:
    (claim,) = claims(text, ClaimType.FLOW_COMPARISON)
    assert (claim.subject_id, claim.comparator, claim.value) == ("southbound", comparator, None)
    assert claim.details["comparison_window_start"] == start


def test_a_rally_is_likened_to_no_flow() -> None:
    text = "Southbound funds bought on. The rally is comparable to September's."
    assert claims(text, ClaimType.FLOW_COMPARISON) == []


_WORDS = (
    *(
        "The Hang Seng Index",
        "Tencent",
        "恒指",
        "rose",
        "fell",
        "升",
        "跌",
        "13%",
        "1.2 percent",
        "to",
        "at",
        "20,100",
        "95 points",
    ),
    *(
        "on Friday",
        "this year",
        "and",
        ",",
        "respectively",
        "(",
        ")",
        "a three-year high",
        "record",
        "as of Friday",
        "over the same period",
        "southbound",
        "net",
        "bought",
    ),
    *(
        "HK$2 billion",
        "净买入",
        "266亿港元",
        "创",
        "三年新高",
        "best-performing",
        "market",
        "turnover",
        "since 2021",
        ":",
        "-",
        "收报",
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(_WORDS), max_size=24))
def test_quotes_are_exact_and_values_are_printed(words: list[str]) -> None:
    text = " ".join(words)
    for passage in passages(text):
        printed = {abs(quantity.value) for quantity in passage.quantities}
        for grammar in GRAMMARS:
            for claim in grammar.find(passage):
                assert text[claim.start : claim.end] == claim.quote
                assert passage.start <= claim.start < claim.end <= passage.end
                assert claim.value is None or claim.unit == "rank" or abs(claim.value) in printed
                assert (
                    claim.value is None
                    or claim.direction is not Direction.DOWN
                    or claim.metric != "return_pct"
                    or claim.value < 0
                )


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda module: str(module.__name__).rpartition(".")[2])
def test_order_of_passages_does_not_matter(grammar: object) -> None:
    """The token rows are kept from one call to the next; a call on another passage must not see them."""
    texts = [
        "The DAX rose 2% to 22,000.",
        "Tencent hit a record high.",
        "恒指升1%。",
        "Southbound net buying was HK$2 billion.",
    ]
    rows = [passages(text)[0] for text in texts]
    find = grammar.find  # type: ignore[attr-defined]
    alone = [find(passage) for passage in rows]
    assert [find(passage) for passage in (*rows, *rows)] == alone + alone


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "1,", "(", "更", "rose 1% ", "up 1%, ", "record high ", "恒指升1%，", "net HK$1 billion ", "to 12,345 "),
        *("as of Friday ", "net inflow of HK$1 billion as of Friday ", "over the same period ", "yield ", "至2月14日"),
    ],
)
def test_time_grows_with_length_only(unit: str) -> None:
    def seconds(length: int) -> float:
        row = hostile(unit * (length // len(unit)))
        begin = time.thread_time()
        for grammar in GRAMMARS:
            grammar.find(row)
        return time.thread_time() - begin

    short = min(seconds(1_000) for _ in range(2))
    assert seconds(4_000) < 12 * max(short, 0.01)


def hostile(text: str) -> Passage:
    from rally_pipeline.notes.quantities import find_quantities
    from rally_pipeline.notes.windows import find_windows

    base = passages("x")[0]
    quantities, windows = find_quantities(text), find_windows(text, 0, len(text), AS_OF)
    context = NoteContext(as_of=AS_OF)
    is_chinese = text[0] >= "\u4e00"
    return Passage(text, 0, len(text), 0, is_chinese, False, base.mentions, tuple(quantities), tuple(windows), context)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The DAX, the FTSE 100 and the S&P 500 returned 6.1%, -2.4% and 3% respectively last month.",
            [("^GDAXI", 6.1), ("^FTSE", -2.4), ("^GSPC", 3.0)],
        ),
        ("Down 12% from its March peak, the DAX is back where it began.", [("^GDAXI", -12.0)]),
        ("The DAX finished the month 1.8% to the bad.", [("^GDAXI", -1.8)]),
        (
            "The DAX rose 3%, the FTSE 100 and the S&P 500 next, gaining 2% and 1%.",
            [("^GDAXI", 3.0), ("^FTSE", 2.0), ("^GSPC", 1.0)],
        ),
        ("The DAX is up by a quarter this year, the FTSE 100 by 9%.", [("^FTSE", 9.0)]),
        ("Japanese tech is off 3.5% this month.", [("Japanese tech", -3.5)]),
        ("Insurers slipped 1.1%.", [("Insurers", -1.1)]),
        ("Consumers cut spending 1.1%.", []),
    ],
)
def test_returns_in_less_usual_frames(text: str, expected: list[tuple[str, float]]) -> None:
    assert returns(text) == expected


@pytest.mark.parametrize(
    ("text", "subject", "value"),
    [
        ("The 2-year gilt yield fell seven basis points to 3.9%.", "2-year gilt yield", -7.0),
        ("Yields on 10-year bunds were up 4 bps.", "Yields on 10-year bunds", 4.0),
    ],
)
def test_a_yield_moves_in_basis_points(text: str, subject: str, value: float) -> None:
    (claim,) = claims(text, ClaimType.PERFORMANCE)
    assert (claim.subject_text, claim.subject_id, claim.value, claim.unit) == (subject, "", value, "bp")


@pytest.mark.parametrize(
    "text",
    [
        "The 2-year gilt yield could fall seven basis points below its peak.",
        "The bank cut its rate by 25 basis points.",
        "The 2-year gilt yield, which traders watch, and the rate moved by 7 basis points.",
    ],
)
def test_basis_points_that_are_no_move_of_a_yield(text: str) -> None:
    assert claims(text, ClaimType.PERFORMANCE) == []


@pytest.mark.parametrize(
    ("text", "subject", "comparator"),
    [
        ("Platinum leapt to an unprecedented $3,100 an ounce.", "Platinum", Comparator.HIGHEST_IN_WINDOW),
        ("The DAX ended at its best close since June 2023.", "DAX", Comparator.HIGHEST_IN_WINDOW),
        (
            "The 5-year bund yield eased two basis points, its lowest in a month.",
            "5-year bund yield",
            "lowest_in_window",
        ),
        ("The DAX closed above 21,000 for the first time since June 2023.", "DAX", Comparator.HIGHEST_IN_WINDOW),
        ("The DAX fell below 17,000 for the first time since June 2023.", "DAX", Comparator.LOWEST_IN_WINDOW),
        ("The yen weakened past 158 per dollar for the first time since 1990.", "yen", Comparator.LOWEST_IN_WINDOW),
        (
            "Tin's 9 percent jump on Monday to $41 a kilo was its biggest daily gain since 2011.",
            "Tin",
            Comparator.HIGHEST_IN_WINDOW,
        ),
        ("恒生指数升1%，报24,100点，逼近三年高位。", "恒生指数", Comparator.NEAR_HIGHEST),
        ("恒生指数报14,900点，为逾一年最低。", "恒生指数", Comparator.LOWEST_IN_WINDOW),
    ],
)
def test_extremes_in_less_usual_frames(text: str, subject: str, comparator: Comparator) -> None:
    found = claims(text, ClaimType.EXTREME)
    assert [(one.subject_text, one.comparator) for one in found] == [(subject, comparator)]


@pytest.mark.parametrize(
    "text",
    [
        # Which currency is the stronger, a rate that was only passed does not tell.
        "The yen traded past 158 per dollar for the first time since 1990.",
        "The DAX closed above 21,000; for the first time since 2023 banks led.",
        "Tin jumped 9 percent for the first time in its history of support schemes.",
    ],
)
def test_a_first_time_that_is_no_extreme(text: str) -> None:
    assert claims(text, ClaimType.EXTREME) == []


def test_its_best_level_is_of_what_moved_last() -> None:
    text = "The DAX rose 2 percent, while the FTSE 100 piled on 3 percent, to 8,700, its best level since May 2023."
    (claim,) = claims(text, ClaimType.EXTREME)
    assert claim.subject_id == "^FTSE"


@pytest.mark.parametrize(
    ("text", "kind", "day"),
    [
        ("Since the border shock (9 January 2025) the DAX has put on 8%.", WindowKind.SINCE_DATE, dt.date(2025, 1, 9)),
        ("The DAX is up 8% since the vote on 9 January.", WindowKind.SINCE_DATE, dt.date(2025, 1, 9)),
        ("The DAX gained 8% in the six months to January.", WindowKind.PERIOD, dt.date(2024, 8, 1)),
    ],
)
def test_beginning_of_a_move_with_a_name(text: str, kind: WindowKind, day: dt.date) -> None:
    (claim,) = claims(text, ClaimType.PERFORMANCE)
    assert claim.window is not None
    assert (claim.window.kind, claim.window.start_earliest) == (kind, day)


@pytest.mark.parametrize(
    "text",
    ["The DAX has put on 8% since the ceasefire.", "Mainland investors have bought HK$9 billion since the ceasefire."],
)
def test_since_what_has_no_day_is_not_the_day(text: str) -> None:
    (claim,) = claims(text)
    assert claim.window is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Southbound purchases add up to HK$40 billion this year.", [("Southbound", 40e9, Comparator.EQ)]),
        (
            "EPFR figures show Japan equity funds took in $2.5bn last week.",
            [("Japan equity funds", 2.5e9, Comparator.EQ)],
        ),
        ("Foreigners were net buyers of $2 billion of shares.", [("Foreigners", 2e9, Comparator.EQ)]),
        (
            "Northbound trading saw CNY3 billion exit Shenzhen and CNY2 billion enter Shanghai.",
            [("Northbound trading", -3e9, Comparator.EQ), ("Northbound trading", 2e9, Comparator.EQ)],
        ),
        (
            "南向资金昨日净买入60亿港元，其中沪港股通占35亿港元，深港股通占25亿港元。",
            [("南向资金", 60e8, Comparator.EQ), ("沪港股通", 35e8, Comparator.EQ), ("深港股通", 25e8, Comparator.EQ)],
        ),
    ],
)
def test_flows_in_less_usual_frames(text: str, expected: list[tuple[str, float, Comparator]]) -> None:
    found = claims(text, ClaimType.FLOW)
    assert [(one.subject_text, one.value, one.comparator) for one in found] == expected


def test_an_amount_set_beside_another_has_its_own_time() -> None:
    text = "Southbound inflows this year are HK$50bn, a tenth of the record HK$500bn booked in 2023."
    first, second = claims(text, ClaimType.FLOW)
    assert (first.value, second.value) == (50e9, 500e9)
    assert second.window is not None
    assert second.window.start_earliest == dt.date(2023, 1, 1)
    # The record is of that year, not of the one that runs.
    assert claims("Southbound inflows are 9% of the record set in 2023.", ClaimType.FLOW_COMPARISON) == []


def test_a_flow_is_likened_to_two_months() -> None:
    (claim,) = claims("Outflows are now on a par with the March-April 2022 rush.", ClaimType.FLOW_COMPARISON)
    assert (claim.subject_text, claim.subject_id) == ("Outflows", "")
    assert claim.details["comparison_window_start"] == "2022-03-01"
    assert claim.details["comparison_window_end"] == "2022-04-30"
    assert claims("Car sales are on a par with the March-April 2022 rush.", ClaimType.FLOW_COMPARISON) == []


def test_ranks_with_an_adjective_inside() -> None:
    (claim,) = claims("Meituan was the day's biggest large-cap loser.", ClaimType.RANK)
    assert (claim.subject_id, claim.value, claim.direction) == ("3690.HK", 1.0, Direction.DOWN)
    (claim,) = claims("Insurers were the worst-performing sector for a second week, down 2%.", ClaimType.RANK)
    assert (claim.subject_text, claim.value, claim.window) == ("Insurers", 1.0, None)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Some 900 million Xiaomi shares changed hands, more than on any day since March 2021.", "Xiaomi"),
        ("Trading volume in Acme Robotics shares is the heaviest of any month since 2019.", "Acme Robotics"),
    ],
)
def test_volume_records_in_less_usual_frames(text: str, subject: str) -> None:
    (claim,) = claims(text, ClaimType.VOLUME_RECORD)
    assert (claim.subject_text, claim.comparator) == (subject, Comparator.HIGHEST_IN_WINDOW)
