"""Numbers with their units: spans, values, tolerance, hedges; what is no quantity; hostile input."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.notes.quantities import find_quantities
from rally_pipeline.notes.records import Comparator, QuantityKind

K = QuantityKind


def found(text):
    """Printed words, value, kind, currency of each quantity."""
    return [(text[q.start : q.end], q.value, q.kind, q.currency) for q in find_quantities(text)]


def only(text):
    (quantity,) = find_quantities(text)
    return quantity


# ---------------------------------------------------------------- round trips
UNITS = {
    K.PERCENT: ["%", " %", " percent", " per cent", " pct", "％", "-percent"],
    K.PERCENTAGE_POINT: [" percentage points", " ppts", "个百分点", "個百分點", " percentage point"],
    K.BASIS_POINT: [" basis points", " bps", "bp", "个基点", "-basis-point"],
    K.POINTS: [" points", " pts", "點", "点", " index points"],
    K.MULTIPLE: ["x", "倍", "-fold"],
    K.SHARES: [" shares", " million shares", "万股", "亿股", " H-shares"],
}
SCALES = {
    " million": 1e6,
    " billion": 1e9,
    "bn": 1e9,
    " trillion": 1e12,
    "mln": 1e6,
    "m": 1e6,
    "亿": 1e8,
    "億": 1e8,
    "万": 1e4,
    "萬": 1e4,
    "万亿": 1e12,
    "": 1.0,
    "k": 1e3,
    " crore": 1e7,
}
PREFIXES = {
    "HK$": "HKD",
    "US$": "USD",
    "HKUSD ": "HKD",
    "USUSD": "USD",
    "AUSD": "AUD",
    "CUSD ": "CAD",
    "SUSD": "SGD",
    "NTUSD": "TWD",
    "HKD ": "HKD",
    "USD ": "USD",
    "$": "$",
    "RMB": "CNY",
    "CNY ": "CNY",
    "CNH": "CNY",
    "€": "EUR",
    "EUR ": "EUR",
    "£": "GBP",
    "A$": "AUD",
    "C$": "CAD",
    "S$": "SGD",
    "NT$": "TWD",
    "Rs ": "INR",
    "¥": "CNY",
    "人民币": "CNY",
    "港币": "HKD",
}
SUFFIXES = {
    " Hong Kong dollars": "HKD",
    " U.S. dollars": "USD",
    " dollars": "$",
    " yuan": "CNY",
    " euros": "EUR",
    " pounds": "GBP",
    "港元": "HKD",
    "港幣": "HKD",
    "美元": "USD",
    "元人民币": "CNY",
    " renminbi": "CNY",
    " yen": "JPY",
    "日元": "JPY",
}
HEDGES = {
    "": Comparator.EQ,
    "nearly ": Comparator.APPROX,
    "about ": Comparator.APPROX,
    "more than ": Comparator.AT_LEAST,
    "at least ": Comparator.AT_LEAST,
    "just over ": Comparator.AT_LEAST,
    "less than ": Comparator.AT_MOST,
    "just under ": Comparator.AT_MOST,
    "as much as ": Comparator.AT_MOST,
    "close to ": Comparator.APPROX,
    "逾": Comparator.AT_LEAST,
    "约": Comparator.APPROX,
    "不到": Comparator.AT_MOST,
    "超過": Comparator.AT_LEAST,
    "roughly ": Comparator.APPROX,
}
FRAMES = [
    "{}",
    "The gauge rose {} on heavy turnover.",
    "恒指累升{}，成交活跃",
    "({})",
    "It was “{}”, they said",
    "a\t{}\tb",
    "up {}; then flat",
]

number = st.tuples(st.integers(0, 999_999), st.integers(0, 3)).map(
    lambda pair: (pair[0], pair[1], f"{pair[0] / 10 ** pair[1]:,.{pair[1]}f}")
)


def check(text, printed, value, tolerance, kind, currency, hedge, comparator):
    matches = [q for q in find_quantities(text) if text[q.start : q.end] == printed]
    assert len(matches) == 1, [text[q.start : q.end] for q in find_quantities(text)]
    (quantity,) = matches
    assert quantity.kind is kind
    assert quantity.value == pytest.approx(value, rel=1e-12)
    assert quantity.tolerance == pytest.approx(tolerance, rel=1e-12)
    assert quantity.currency == currency
    assert quantity.hedge == hedge.strip()
    assert quantity.comparator is comparator
    assert text[quantity.hedge_start : quantity.start].strip() == hedge.strip()


@given(
    number,
    st.sampled_from([(kind, unit) for kind, units in UNITS.items() for unit in units]),
    st.sampled_from(sorted(HEDGES)),
    st.sampled_from(FRAMES),
    st.booleans(),
)
def test_number_with_unit_comes_back(number, unit, hedge, frame, full_width):
    whole, decimals, digits = number
    kind, words = unit
    if kind in (K.POINTS, K.SHARES) and whole < 100:
        return  # "3点" is an hour, too
    scale = {" million shares": 1e6, "万股": 1e4, "亿股": 1e8}.get(words, 1.0)
    if full_width:
        digits = digits.translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})
    printed = digits + words
    check(
        frame.format(hedge + printed),
        printed,
        whole / 10**decimals * scale,
        0.5 * 10.0**-decimals * scale,
        kind,
        "",
        hedge,
        HEDGES[hedge],
    )


@given(
    number,
    st.sampled_from(sorted(PREFIXES)),
    st.sampled_from(sorted(SCALES)),
    st.sampled_from(sorted(HEDGES)),
    st.sampled_from(FRAMES),
)
def test_money_with_sign_before_comes_back(number, prefix, scale, hedge, frame):
    whole, decimals, digits = number
    printed = prefix + digits + scale
    check(
        frame.format(hedge + printed),
        printed,
        whole / 10**decimals * SCALES[scale],
        0.5 * 10.0**-decimals * SCALES[scale],
        K.MONEY,
        PREFIXES[prefix],
        hedge,
        HEDGES[hedge],
    )


@given(
    number,
    st.sampled_from(sorted(SUFFIXES)),
    st.sampled_from(sorted(set(SCALES) - {"k", "m", "bn", "mln"})),
    st.sampled_from(FRAMES),
)
def test_money_with_words_behind_comes_back(number, suffix, scale, frame):
    whole, decimals, digits = number
    printed = digits + scale + suffix
    check(
        frame.format(printed),
        printed,
        whole / 10**decimals * SCALES[scale],
        0.5 * 10.0**-decimals * SCALES[scale],
        K.MONEY,
        SUFFIXES[suffix],
        "",
        Comparator.EQ,
    )


@given(st.integers(0, 999), st.integers(0, 99), st.sampled_from(["%", " percent", " billion", "%."]))
def test_decimal_broken_by_a_blank_is_one_number(whole, cents, unit):
    text = f"Shares moved {whole}. {cents:02d}{unit} in a day"
    quantity = only(text)
    assert text[quantity.start : quantity.end] == f"{whole}. {cents:02d}{unit.rstrip('.')}"
    assert quantity.value == pytest.approx((whole + cents / 100) * (1e9 if "b" in unit else 1))
    assert quantity.tolerance == pytest.approx(0.005 * (1e9 if "b" in unit else 1))


@given(
    number,
    number,
    st.sampled_from(["-", "–", " to ", " and ", " or "]),
    st.sampled_from(["%", " percent", " basis points", " percentage points"]),
)
def test_range_shares_its_unit(first, second, join, unit):
    text = f"between {first[2]}{join}{second[2]}{unit}."
    left, right = find_quantities(text)
    assert text[left.start : left.end] == first[2]
    assert text[right.start : right.end] == second[2] + unit
    assert left.kind is right.kind
    assert left.value == pytest.approx(first[0] / 10 ** first[1])
    assert right.value == pytest.approx(second[0] / 10 ** second[1])


@given(
    st.text(alphabet="0123456789.,-–+%$€¥()/:年月日亿万點点元港 abcHKUSDthirdpoints\t\n一二三百十半成多", max_size=60),
    st.data(),
)
def test_spans_lie_inside_in_order_without_overlap(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    at = start
    for quantity in find_quantities(text, start, end):
        assert at <= quantity.start < quantity.end <= end
        assert start <= quantity.hedge_start <= quantity.start
        assert quantity.tolerance >= 0
        at = quantity.end


# ---------------------------------------------------------------- cases
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "net inflow of HKUSD 26.6 billion (USD 3.4 billion)",
            [("HKUSD 26.6 billion", 26.6e9, K.MONEY, "HKD"), ("USD 3.4 billion", 3.4e9, K.MONEY, "USD")],
        ),
        ("target lifted to $1.00 from 80 cents", [("$1.00", 1.0, K.MONEY, "$"), ("80 cents", 0.8, K.MONEY, "$")]),
        (
            "dividend of 25 HK cents against HK$0.20",
            [("25 HK cents", 0.25, K.MONEY, "HKD"), ("HK$0.20", 0.2, K.MONEY, "HKD")],
        ),
        ("EPS of US80 cents", [("US80 cents", 0.8, K.MONEY, "USD")]),
        ("US$1.20 a share, from 90 cents", [("US$1.20", 1.2, K.MONEY, "USD"), ("90 cents", 0.9, K.MONEY, "USD")]),
        ("lower TP to HK$75-85", [("HK$75", 75, K.MONEY, "HKD"), ("85", 85, K.MONEY, "HKD")]),
        ("PT US$3.4 to 4.1 billion", [("US$3.4", 3.4e9, K.MONEY, "USD"), ("4.1 billion", 4.1e9, K.MONEY, "USD")]),
        ("the third-largest weekly gain", [("third", 3, K.ORDINAL, "")]),
        ("now No. 2 by turnover", [("No. 2", 2, K.ORDINAL, "")]),
        ("全年表现排名第二", [("第二", 2, K.ORDINAL, "")]),
        (
            "eased by a quarter of a percentage point",
            [("a quarter of a percentage point", 0.25, K.PERCENTAGE_POINT, "")],
        ),
        ("three times the usual volume", [("three times", 3, K.MULTIPLE, "")]),
        ("a tenfold rise; twice as many", [("tenfold", 10, K.MULTIPLE, ""), ("twice", 2, K.MULTIPLE, "")]),
        ("twenty-five basis points", [("twenty-five basis points", 25, K.BASIS_POINT, "")]),
        ("累升三成半，跌百分之五", [("三成半", 35, K.PERCENT, ""), ("百分之五", 5, K.PERCENT, "")]),
        ("成交逾万亿元人民币", [("万亿元人民币", 1e12, K.MONEY, "CNY")]),
        ("净流入二十亿港元", [("二十亿港元", 20e8, K.MONEY, "HKD")]),
        (
            "fell 51 points, or 0.3 percent, to 17,471",
            [("51 points", 51, K.POINTS, ""), ("0.3 percent", 0.3, K.PERCENT, ""), ("17,471", 17471, K.NUMBER, "")],
        ),
        ("shed −2.1% after +0.4%", [("−2.1%", -2.1, K.PERCENT, ""), ("+0.4%", 0.4, K.PERCENT, "")]),
        ("Index\t(2.1%)\t12.5", [("(2.1%)", -2.1, K.PERCENT, ""), ("12.5", 12.5, K.NUMBER, "")]),
        ("lost 853.99 points (0.31%)", [("853.99 points", 853.99, K.POINTS, ""), ("0.31%", 0.31, K.PERCENT, "")]),
        (
            "rose 3, 4 and 5 percent",
            [("3", 3, K.PERCENT, ""), ("4", 4, K.PERCENT, ""), ("5 percent", 5, K.PERCENT, "")],
        ),
        ("cut to 350p", [("350p", 3.5, K.MONEY, "GBP")]),
        ("close at 191.18$", [("191.18$", 191.18, K.MONEY, "$")]),
        ("revenue of Rs 133 cr", [("Rs 133 cr", 1.33e9, K.MONEY, "INR")]),
        ("升穿20\u202f000點", [("20\u202f000點", 20000, K.POINTS, "")]),
        ("Nikkei: turnover ¥4.2 trillion", [("¥4.2 trillion", 4.2e12, K.MONEY, "JPY")]),
        ("A yield of .5%", [(".5%", 0.5, K.PERCENT, "")]),
        ("plunged nearly13% after", [("13%", 13, K.PERCENT, "")]),
        ("T$300.2 billion of orders", [("T$300.2 billion", 300.2e9, K.MONEY, "TWD")]),
        ("sub-5% growth", [("5%", 5, K.PERCENT, "")]),
        ("$-5 a share", [("$-5", -5, K.MONEY, "$")]),
    ],
)
def test_case(text, expected):
    actual = found(text)
    for words, value, kind, currency in expected:
        assert (words, pytest.approx(value), kind, currency) in actual, actual
    assert len(actual) == len(expected), actual


@pytest.mark.parametrize(
    "text",
    [
        "The S&P 500, the CSI 300, the Nasdaq 100, the Nikkei 225 and the Russell 2000 were shut",
        "沪深300与标普500休市",
        "on February 17, 2025 and 3 March",
        "2025年2月17日 14时",
        "at 9:30, again at 16:00",
        "Tencent (0700.HK), Alibaba (9988), 9988.HK, 700 HK, BRK.B",
        "<9749> and [12]",
        "Upgrades 4/7: $AMT $BHP",
        "Tel: +852 2848 1234 or 2848-1234",
        "see https://example.com/2025/123.456?x=777 or a1234@example.com",
        "the 10-year note, a 52-week high, 27-member bloc",
        "Q1, H2, 5G, MI300, A50, 401k, 10-K, 3M",
        "Table 123; page 456",
        "COVID-19 in 2020",
        "no one, on the one hand, for a second time in the second quarter",
        "2025-02-17 or 17/02/2025",
        "三年新高、一点建议、第一季度、上午10点30分",
        "in 1997 and 2008",
        "SEHK: 388",
        "around 1540 GMT, the 737 Max",
    ],
)
def test_no_quantity(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "hedge", "comparator"),
    [
        ("as much as 5%", "as much as", Comparator.AT_MOST),
        ("well over 5%", "well over", Comparator.AT_LEAST),
        ("nearly a 5% gain", "nearly", Comparator.APPROX),
        ("5% or more", "or more", Comparator.AT_LEAST),
        ("5%以上", "以上", Comparator.AT_LEAST),
        ("5%左右", "左右", Comparator.APPROX),
        ("20多亿港元", "多", Comparator.AT_LEAST),
        ("~5%", "~", Comparator.APPROX),
        ("50%+", "+", Comparator.AT_LEAST),
        ("to 5%", "", Comparator.EQ),
        ("moreover 5%", "", Comparator.EQ),
        ("went up to 5%", "", Comparator.EQ),
    ],
)
def test_hedge(text, hedge, comparator):
    quantity = only(text)
    assert (quantity.hedge, quantity.comparator) == (hedge, comparator)


def test_a_level_before_a_range_is_not_part_of_it():
    assert found("27,000, 12-18% above spot") == [
        ("27,000", 27000, K.NUMBER, ""),
        ("12", 12, K.PERCENT, ""),
        ("18%", 18, K.PERCENT, ""),
    ]


def test_chinese_scale_words_are_marked():
    assert only("266亿港元").is_scale_word_chinese
    assert not only("HK$26.6bn").is_scale_word_chinese


def test_bare_yuan_is_left_open_where_hong_kong_is_meant():
    assert only("A股成交1.5万亿元").currency == "CNY"
    assert only("目標價上調至85元").currency == "元"


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1,",
        "(",
        "更",
        "1",
        "1.",
        "1 ",
        "一",
        "$",
        "five ",
        "4. ",
        "1-",
        "HK$",
        "+1 ",
        "百分之",
        "a.b@",
        "1/2/",
        "more than ",
        "to 5 and ",
        "twenty-",
        "%",
    ],
)
def test_time_grows_with_length_only(piece):
    def seconds(length):
        text = piece * (length // len(piece))
        begin = time.thread_time()
        find_quantities(text)
        return time.thread_time() - begin

    # the lesser of two: collecting a large heap in between is not the reader's time
    short, long = (min(seconds(length) for _ in range(2)) for length in (5_000, 20_000))
    assert long < 12 * short + 0.15
