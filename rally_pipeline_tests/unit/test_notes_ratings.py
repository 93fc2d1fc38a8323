"""Rating actions and target changes: sentences of many desks' styles, in invented words."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog.loader import load_catalog
from rally_pipeline.notes import rating_words, ratings
from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.notes.quantities import find_quantities
from rally_pipeline.notes.records import Claim, ClaimType, NoteContext, Passage
from rally_pipeline.notes.sentences import is_chinese


@functools.cache
def shared_lexicon() -> Lexicon:
    return Lexicon.from_catalog(load_catalog())


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return shared_lexicon()


def make(text: str, lexicon: Lexicon, start: int = 0, end: int | None = None, **more: object) -> Passage:
    end = len(text) if end is None else end
    previous = more.pop("previous", None)
    return Passage(
        text=text,
        start=start,
        end=end,
        index=0,
        is_chinese=is_chinese(text, start, end),
        is_heading=True,
        mentions=tuple(lexicon.find(text, start, end)),
        quantities=tuple(find_quantities(text, start, end)),
        windows=(),
        context=NoteContext(**more),  # type: ignore[arg-type]
        previous=previous,  # type: ignore[arg-type]
    )


def read(text: str, lexicon: Lexicon, **more: object) -> list[Claim]:
    claims = ratings.find(make(text, lexicon, **more), lexicon)
    for claim in claims:
        assert text[claim.start : claim.end] == claim.quote
        for part in ("broker", "rating", "target"):
            start, end = claim.details.get(f"{part}_start"), claim.details.get(f"{part}_end")
            assert (start is None) == (end is None)
            if isinstance(start, int) and isinstance(end, int):
                assert claim.start <= start < end <= claim.end
    return claims


def rated(claims: Sequence[Claim]) -> list[tuple[str, str, str, str, str]]:
    return [
        (c.rating_action, c.rating, c.rating_prior, c.broker_text, c.subject_text)
        for c in claims
        if c.claim_type is ClaimType.RATING_ACTION
    ]


def aimed(claims: Sequence[Claim]) -> list[tuple[str, float | None, float | None, str, str, str]]:
    return [
        (c.target_action, c.value, c.value_prior, c.unit, c.broker_text, c.subject_text)
        for c in claims
        if c.claim_type is ClaimType.TARGET_CHANGE
    ]


RATINGS = [
    # (text, action, rating, prior, broker, subject)
    ("Brightwater Foods upgraded to Buy from Hold at Stifel", "Upgrade", "Buy", "Hold", "Stifel", "Brightwater Foods"),
    ("Brightwater Is Cut to Hold From Buy by Jefferies", "Downgrade", "Hold", "Buy", "Jefferies", "Brightwater"),
    ("Goldman upgrades Brightwater to buy; sees 20% upside", "Upgrade", "buy", "", "Goldman", "Brightwater"),
    ("Brightwater downgraded by UBS", "Downgrade", "", "", "UBS", "Brightwater"),
    ("Brightwater initiated with Overweight at Barclays", "Initiate", "Overweight", "", "Barclays", "Brightwater"),
    ("Coverage of Brightwater resumed with an Equal Weight at Morgan Stanley", "Initiate", "Equal Weight", "",
     "Morgan Stanley", "Brightwater"),
    ("Brightwater assumed at Outperform at RBC Capital", "Initiate", "Outperform", "", "RBC Capital", "Brightwater"),
    ("KeyBanc reiterates Overweight on Brightwater following Q2", "Reiterate", "Overweight", "", "KeyBanc",
     "Brightwater"),
    ("Piper Sandler Reaffirms Overweight Rating for Brightwater (BWF)", "Reiterate", "Overweight", "", "Piper Sandler",
     "Brightwater"),
    ("Deutsche Bank maintains Brightwater at Hold", "Reiterate", "Hold", "", "Deutsche Bank", "Brightwater"),
    ("JPMorgan adds Brightwater to Focus List", "Revise", "", "", "JPMorgan", "Brightwater"),
    ("Goldman removes Brightwater from Conviction List", "Revise", "", "", "Goldman", "Brightwater"),
    ("Jefferies drops coverage of Brightwater", "Drop", "", "", "Jefferies", "Brightwater"),
    ("Bank of America double-downgraded Brightwater to underperform", "Downgrade", "underperform", "",
     "Bank of America", "Brightwater"),
    ("Raymond James moved Brightwater to Market Perform from Outperform", "Downgrade", "Market Perform", "Outperform",
     "Raymond James", "Brightwater"),
    ("Oakmont Securities cuts Brightwater to reduce", "Downgrade", "reduce", "", "Oakmont Securities", "Brightwater"),
    ("HSBC upgrades Barclays to buy", "Upgrade", "buy", "", "HSBC", "Barclays"),
    ("Barclays upgrades HSBC to overweight", "Upgrade", "overweight", "", "Barclays", "HSBC"),
    ("Brightwater to Neutral from Buy at UBS", "Downgrade", "Neutral", "Buy", "UBS", "Brightwater"),
    ("Brightwater's buy rating was reiterated by Peel Hunt", "Reiterate", "buy", "", "Peel Hunt", "Brightwater"),
    ("Credit Suisse: Brightwater raised to outperform", "Upgrade", "outperform", "", "Credit Suisse", "Brightwater"),
    ("Brightwater Mills - Shares sank 3% after being downgraded to sell from neutral by Goldman Sachs", "Downgrade",
     "sell", "neutral", "Goldman Sachs", "Brightwater Mills"),
    ("Brightwater jumped on an upgrade to 'strong buy' from outperform at Raymond James", "Upgrade", "strong buy",
     "outperform", "Raymond James", "Brightwater"),
    ("BRIEF-Brightwater AG: Deutsche Bank cuts to hold from buy", "Downgrade", "hold", "buy", "Deutsche Bank",
     "Brightwater AG"),
    ("Truist cut its rating on Brightwater to hold", "Downgrade", "hold", "", "Truist", "Brightwater"),
    ("Oakmont Research starts coverage of Brightwater with buy", "Initiate", "buy", "", "Oakmont Research",
     "Brightwater"),
    ("Bernstein leaves Brightwater at 'Outperform' - shares slip", "Reiterate", "Outperform", "", "Bernstein",
     "Brightwater"),
    ("HSBC upgraded to Buy at Citi", "Upgrade", "Buy", "", "Citi", "HSBC"),
    ("Morgan Stanley stock upgraded by Bank of America to buy", "Upgrade", "buy", "", "Bank of America",
     "Morgan Stanley"),
    ("Truist Securities analyst Jane Roe moved to a hold rating on Brightwater from buy", "Downgrade", "hold", "buy",
     "Truist Securities", "Brightwater"),
    ("Strategists at Nomura downgraded China equities to neutral", "Downgrade", "neutral", "", "Nomura",
     "China equities"),
    ("Brightwater (NYSE:BWF) Earns \"Overweight\" Rating from Barclays", "", "Overweight", "", "Barclays",
     "Brightwater"),
    ("Barclays overweight on Brightwater", "", "overweight", "", "Barclays", "Brightwater"),
    ("Target - Shares slid after Citi downgraded Target to neutral", "Downgrade", "neutral", "", "Citi", "Target"),
    ("Best Buy slips after Citi downgrades the retailer to sell", "Downgrade", "sell", "", "Citi", "Best Buy"),
    ("Cowen sees weaker demand, downgrades Brightwater", "Downgrade", "", "", "Cowen", "Brightwater"),
    ("Downgrade Brightwater to 'Hold', says Nomura", "Downgrade", "Hold", "", "Nomura", "Brightwater"),
    ("瑞银下调腾讯评级至中性", "Downgrade", "中性", "", "瑞银", "腾讯"),
    ("里昂将小米评级由“跑赢大市”上调至“买入”", "Upgrade", "买入", "跑赢大市", "里昂", "小米"),
    ("瑞信首予美團「跑贏大市」評級", "Initiate", "跑贏大市", "", "瑞信", "美團"),
    ("花旗：重申騰訊「買入」評級", "Reiterate", "買入", "", "花旗", "騰訊"),
    ("野村首次覆盖蔚来，给予买入评级", "Initiate", "买入", "", "野村", "蔚来"),
    ("小米集团获摩根大通上调评级至增持", "Upgrade", "增持", "", "摩根大通", "小米集团"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "action", "rating", "prior", "broker", "subject"), RATINGS)
def test_one_rating(
    text: str, action: str, rating: str, prior: str, broker: str, subject: str, lexicon: Lexicon
) -> None:
    assert rated(read(text, lexicon)) == [(action, rating, prior, broker, subject)]


TARGETS = [
    # (text, action, value, prior, unit, broker, subject)
    ("Citi cuts Tencent TP to HK$480 from HK$500", "Decrease", 480, 500, "HKD", "Citi", "Tencent"),
    ("Citi lifts target price on Brightwater to HK$75 (from HK$65)", "Increase", 75, 65, "HKD", "Citi", "Brightwater"),
    ("Brightwater PT Raised to $36 at Wells Fargo", "Increase", 36, None, "USD", "Wells Fargo", "Brightwater"),
    ("Brightwater (NYSE:BWF) Price Target Cut to $31.50 by Barclays", "Decrease", 31.5, None, "USD", "Barclays",
     "Brightwater"),
    ("Brightwater price target raised to $1.00 from 80 cents at Canaccord", "Increase", 1, 0.8, "USD", "Canaccord",
     "Brightwater"),
    ("JP Morgan Lowers PT On Brightwater To $57", "Decrease", 57, None, "USD", "JP Morgan", "Brightwater"),
    ("Bank of America raises its price objective on Brightwater to $70 from $64", "Increase", 70, 64, "USD",
     "Bank of America", "Brightwater"),
    ("UBS hikes Brightwater's target price to HK$700", "Increase", 700, None, "HKD", "UBS", "Brightwater"),
    ("Goldman raised its 12-month MSCI China target to 85 from 75", "Increase", 85, 75, "points", "Goldman",
     "MSCI China"),
    ("Goldman Sachs on 17 February raised its MSCI China forecast to 85 from 75", "Increase", 85, 75, "points",
     "Goldman Sachs", "MSCI China"),
    ("UBS trims its S&P 500 forecast to 5,900", "Decrease", 5900, None, "points", "UBS", "S&P 500"),
    ("BRIEF-UBS raises Brightwater Plc target price to 450p from 400p", "Increase", 4.5, 4, "GBP", "UBS",
     "Brightwater Plc"),
    ("Stifel trims Brightwater PT $1 to $44", "Decrease", 44, None, "USD", "Stifel", "Brightwater"),
    ("Jefferies Group PT raised to $70 by Morgan Stanley", "Increase", 70, None, "USD", "Morgan Stanley",
     "Jefferies Group"),
    ("RBC lifts Brightwater PT to C$45 (C$40)", "Increase", 45, 40, "CAD", "RBC", "Brightwater"),
    ("Citi analyst Jane Roe gave Brightwater a price target of $20, suggesting it could gain 68%", "Update", 20, None,
     "USD", "Citi", "Brightwater"),
    ("Goldman Sachs lifts Hang Seng target to 27,000 from 25,000", "Increase", 27000, 25000, "points", "Goldman Sachs",
     "Hang Seng"),
    ("Morgan Stanley raises S&P 500 year-end target to 6,500", "Increase", 6500, None, "points", "Morgan Stanley",
     "S&P 500"),
    ("Jefferies sets Brightwater price target at $40", "Update", 40, None, "USD", "Jefferies", "Brightwater"),
    ("高盛将MSCI中国指数目标由75上调至85", "Increase", 85, 75, "points", "高盛", "MSCI中国指数"),
    ("富瑞上调恒指年底目标至28000点", "Increase", 28000, None, "points", "富瑞", "恒指"),
    ("大和降港交所目標價9%至320元", "Decrease", 320, None, "HKD", "大和", "港交所"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "action", "value", "prior", "unit", "broker", "subject"), TARGETS)
def test_one_target(
    text: str, action: str, value: float, prior: float | None, unit: str, broker: str, subject: str, lexicon: Lexicon
) -> None:
    claims = read(text, lexicon)
    assert rated(claims) == []
    assert aimed(claims) == [(action, pytest.approx(value), pytest.approx(prior), unit, broker, subject)]


BOTH = [
    ("Stifel Maintains Buy on Brightwater, Raises Price Target to $70", "Reiterate", "Increase", 70, None),
    ("UBS starts Brightwater with a Neutral rating, $40 PT", "Initiate", "Update", 40, None),
    ("Baird Upgrades Brightwater to Outperform, Maintains $15.00 PT", "Upgrade", "Reiterate", 15, None),
    ("Berenberg cuts Brightwater to 'hold' from 'buy', target price to €12.50 from €14", "Downgrade", "Decrease", 12.5,
     14),
    ("Credit Suisse Raises Price Target on Brightwater from $9 to $10, Neutral Rating Maintained", "Reiterate",
     "Increase", 10, 9),
    ("Brightwater downgraded by Oakmont Securities to sector perform, target cut to C$14 from C$18", "Downgrade",
     "Decrease", 14, 18),
    ("RBC Capital analyst John Doe lowered the firm's price target on Brightwater to $43 from $50 and keeps a "
     "Sector Perform rating on the shares", "Reiterate", "Decrease", 43, 50),
    ("Brightwater shares rose after Mizuho maintained a Buy rating on the stock and raised its price target from "
     "$96 to $104.", "Reiterate", "Increase", 104, 96),
    ("富瑞維持騰訊“買入”評級，目標價由75港元上調至85港元", "Reiterate", "Increase", 85, 75),
    ("大摩:升腾讯目标价至480港元 评级“增持”", "", "Increase", 480, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "action", "target_action", "value", "prior"), BOTH)
def test_rating_and_target_share_an_action(
    text: str, action: str, target_action: str, value: float, prior: float | None, lexicon: Lexicon
) -> None:
    claims = read(text, lexicon)
    assert [c.rating_action for c in claims if c.claim_type is ClaimType.RATING_ACTION] == [action]
    assert [(a, v, p) for a, v, p, *_ in aimed(claims)] == [(target_action, value, prior)]
    assert {c.details["action_no"] for c in claims} == {1}
    assert len({(c.broker_id, c.subject_text) for c in claims}) == 1


def test_numbers_decide_and_the_verb_is_kept(lexicon: Lexicon) -> None:
    (target,) = read("Jefferies raises PT on Brightwater from $60 to $53", lexicon)
    assert (target.target_action, target.action_text, target.is_conflict) == ("Decrease", "raises", True)


def test_withdrawn_target_has_no_value(lexicon: Lexicon) -> None:
    _, target = read("Raymond James Downgrades Brightwater to Market Perform, Removes $30.00 PT", lexicon)
    assert (target.value, target.value_prior, target.details["is_withdrawn"]) == (None, 30.0, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jefferies upgrades Alcoa, Brightwater and Northgate to buy",
         [("Upgrade", "buy", "Alcoa"), ("Upgrade", "buy", "Brightwater"), ("Upgrade", "buy", "Northgate")]),
        ("Mizuho upgrades Alcoa, Brightwater to outperform",
         [("Upgrade", "outperform", "Alcoa"), ("Upgrade", "outperform", "Brightwater")]),
        ("BofA downgraded Alcoa from buy to neutral and Northgate from neutral to underperform",
         [("Downgrade", "neutral", "Alcoa"), ("Downgrade", "underperform", "Northgate")]),
        ("Jefferies cuts Alcoa to sell, Brightwater to neutral",
         [("Downgrade", "sell", "Alcoa"), ("Downgrade", "neutral", "Brightwater")]),
        ("Urban Mills, Northgate - Shares fell after UBS downgraded the group to sell",
         [("Downgrade", "sell", "Urban Mills"), ("Downgrade", "sell", "Northgate")]),
        ("Goldman Sachs reiterated its buy rating on Northgate and Morgan Stanley maintained an overweight rating",
         [("Reiterate", "buy", "Northgate"), ("Reiterate", "overweight", "Northgate")]),
    ],
)  # fmt: skip
def test_several_actions(text: str, expected: list[tuple[str, str, str]], lexicon: Lexicon) -> None:
    assert [(a, r, s) for a, r, _, _, s in rated(read(text, lexicon))] == expected


def test_several_houses(lexicon: Lexicon) -> None:
    claims = read("Brightwater fell after Barclays and Bank of America downgraded the stock", lexicon)
    assert [(c.broker_id, c.subject_text) for c in claims] == [("barclays", "Brightwater"), ("bofa", "Brightwater")]


@pytest.mark.parametrize(
    ("text", "broker", "analyst"),
    [
        ("Morgan Stanley analyst Jane Roe upgraded the stock to overweight", "Morgan Stanley", "Jane Roe"),
        ("Analyst at Jefferies John Smith upgrades Brightwater to Buy", "Jefferies", "John Smith"),
        ("Jane Roe of Jefferies upgraded Brightwater to Buy from Hold", "Jefferies", "Jane Roe"),
        ("Mizuho's Jane Roe keeps an Outperform rating on Brightwater", "Mizuho", "Jane Roe"),
    ],
)
def test_analyst_is_not_the_house(text: str, broker: str, analyst: str, lexicon: Lexicon) -> None:
    (claim,) = read(text, lexicon)
    assert (claim.broker_text, claim.analyst) == (broker, analyst)


def test_house_and_share_of_the_note(lexicon: Lexicon) -> None:
    text = "Maintain Buy; lower TP to HKD 62.00 from HKD 70.00, implying 14% upside"
    more = {"broker_id": "citi", "broker_text": "Citi", "ticker": "0700.HK", "analyst": "Jane Roe"}
    rating, target = read(text, lexicon, **more)
    assert (rating.broker_id, rating.subject_id, rating.analyst) == ("citi", "0700.HK", "Jane Roe")
    assert (target.target_action, target.value, target.value_prior, target.broker_id) == ("Decrease", 62, 70, "citi")


def test_house_and_share_of_the_sentence_before(lexicon: Lexicon) -> None:
    first = "Stifel liked what Tencent said."
    second = "The firm maintained its buy rating and raised its target to $55."
    text = f"{first} {second}"
    before = make(text, lexicon, 0, len(first))
    passage = make(text, lexicon, len(first) + 1, previous=before)
    rating, target = ratings.find(passage, lexicon)
    assert (rating.broker_id, rating.subject_id, rating.rating) == ("stifel", "0700.HK", "buy")
    assert (target.broker_id, target.value, text[target.start : target.end]) == ("stifel", 55, target.quote)


def test_we_are_the_house_of_the_note(lexicon: Lexicon) -> None:
    first, second = "Citi and UBS cut their numbers.", "We downgrade Tencent to Hold from Buy."
    text = f"{first} {second}"
    before = make(text, lexicon, 0, len(first))
    more = {"broker_id": "jefferies", "broker_text": "Jefferies"}
    (claim,) = ratings.find(make(text, lexicon, len(first) + 1, previous=before, **more), lexicon)
    assert (claim.broker_id, claim.rating_action, claim.rating_prior) == ("jefferies", "Downgrade", "Buy")


def test_side_box(lexicon: Lexicon) -> None:
    lines = ["Tencent results", "Rating: Buy (maintained)", "Target price: HKD 75.00", "Prior TP: HKD 65.00",
             "Price (14 Feb): HKD 62.10"]  # fmt: skip
    text = "\n".join(lines)
    found: list[Claim] = []
    previous: Passage | None = None
    position = 0
    for line in lines:
        previous = make(text, lexicon, position, position + len(line), previous=previous, broker_text="Citi")
        found += ratings.find(previous, lexicon)
        position += len(line) + 1
    rating, target = found
    assert (rating.rating, rating.rating_action, rating.subject_text) == ("Buy", "Reiterate", "Tencent")
    assert (target.target_action, target.value, target.value_prior, target.unit) == ("Increase", 75, 65, "HKD")


def test_ticker_is_kept_apart(lexicon: Lexicon) -> None:
    (claim,) = read("Susquehanna Lowers Brightwater (NYSE:BWF) Price Target to $12.00", lexicon)
    assert (claim.subject_text, claim.details["ticker"]) == ("Brightwater", "BWF")


NOTHING = [
    "Brightwater to Hold Earnings Call on May 7",
    "Upgrades 4/7: $AMT $BHP $WMT",
    "Today's Top Upgrades, Downgrades For July 30",
    "Moody's downgrades Brightwater to Ba1; outlook negative",
    "S&P upgrades Italy's sovereign rating to BBB+",
    "Fitch cuts Brightwater to junk",
    "Global investors remain underweight Chinese equities, a survey showed",
    "Investors cut holdings to neutral from overweight, a survey shows",
    "Should you buy the dip in Brightwater?",
    "The two sides agreed to hold talks on Tuesday",
    "Brightwater upgrades its network in Ohio",
    "Verizon Upgrades Network In Texas To Hold More Traffic",
    "Chinese shares are expected to outperform the market this year",
    "Brightwater upgraded its guidance for the full year",
    "Why Brightwater is moving today",
    "Earnings downgrades continue to weigh on Hong Kong stocks",
    "Brightwater agrees to buy Northgate for $2 billion",
    "Brightwater launches $500 million share buyback, raises 2025 revenue target to $4 billion",
    "Brightwater starts to sell its stake in Northgate",
    "China set a growth target of around 5%",
    "JPMorgan upgrades its trading systems",
    "Goldman Sachs raises profit target to 15%",
    "Goldman Sachs raises China GDP forecast to 5% from 4.5%",
    "UBS raised its oil forecast to $80 from $70",
    "The average rating of 20 analysts is buy and the median PT is $50",
    "BlackRock raised its overweight on Chinese stocks",
    "Fund managers turned overweight equities for the first time since March",
    "Japan Credit Rating upgrades Brightwater to A+",
    "Several analysts subsequently downgraded the stock",
    "At least five brokerages raised their price targets on the stock",
    "The IMF upgraded its China growth forecast for 2025",
    "高盛将中国GDP增长预测由4.5%上调至5%",
    "穆迪下调恒大评级至B1",
    "惠誉下调中国主权信用评级展望",
    "公司上调全年业绩目标至100亿元",
    "今年经济增长目标为5%左右",
    "投资者应买入还是持有？",
    "南向资金净买入266亿港元",
]


@pytest.mark.parametrize("text", NOTHING)
def test_no_rating(text: str, lexicon: Lexicon) -> None:
    assert read(text, lexicon) == []


_HOUSES = st.sampled_from(["Goldman Sachs", "UBS", "Bank of America", "Jefferies", "Citi", "HSBC"])
_SHARES = st.sampled_from(["Northgate", "Brightwater Foods", "Oak & Elm Holdings", "Acme Robotics Inc"])
_GRADES = st.sampled_from(["Buy", "Hold", "Sell", "Overweight", "Equal-Weight", "Market Perform", "Neutral", "In-Line"])


@settings(max_examples=100, deadline=None)
@given(
    house=_HOUSES,
    share=_SHARES,
    grade=_GRADES,
    old=_GRADES,
    is_up=st.booleans(),
    form=st.sampled_from(
        ["{h} {v}s {s} to {g} from {o}", "{s} {v}d to {g} from {o} at {h}", "{s} was {v}d by {h} to {g} from {o}",
         "{s} falls after {h} {v}d the stock to {g} from {o}", "{s} moves on {h}'s {v} to {g} from {o}"]
    ),
)  # fmt: skip
def test_orders_of_the_parts(house: str, share: str, grade: str, old: str, is_up: bool, form: str) -> None:
    lexicon = shared_lexicon()
    text = form.format(h=house, s=share, g=grade, o=old, v="upgrade" if is_up else "downgrade")
    assert rated(read(text, lexicon)) == [("Upgrade" if is_up else "Downgrade", grade, old, house, share)]


@settings(max_examples=100, deadline=None)
@given(
    new=st.integers(1, 99_999), old=st.integers(1, 99_999), verb=st.sampled_from(["raises", "cuts", "lifts", "lowers"])
)
def test_direction_follows_the_numbers(new: int, old: int, verb: str) -> None:
    lexicon = shared_lexicon()
    (claim,) = read(f"UBS {verb} price target on Northgate to HK${new:,} from HK${old:,}", lexicon)
    assert (claim.value, claim.value_prior, claim.currency) == (new, old, "HKD")
    expected = "Increase" if new > old else "Decrease" if new < old else "Reiterate"
    assert claim.target_action == expected
    assert claim.is_conflict == (expected != ("Increase" if verb in ("raises", "lifts") else "Decrease"))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab Buy,.;:()'\"“”$1%–-&買入评级目标价至由上调UBS \n")), max_size=120))
def test_any_text_gives_exact_quotes(text: str) -> None:
    lexicon = shared_lexicon()
    read(f"UBS upgrades {text} to buy, target price {text}", lexicon)


@pytest.mark.parametrize(
    "unit",
    ["a", "1,", "(", "更", "upgrades ", "A, ", "and A ", "price target ", "to buy ", "UBS ", "'", "- ", "目标价",
     "维持", "由买入", "HK$1 ", "of ", "analyst ", "from hold to buy at ", "Rating: ", "has ",
     "adds ", "PT raised to $1 ", "; buy with a target of 5 ", "target of 5 for X: ", "sees Nifty at 5,000 ", "X  ",
     "1 (2) pence ", "→ $5 ", "- Buy ", "BUY\n", "分别目标价5和", "\"1\" to ", "Jun-27 ", "versus $5 ",
     "Rating: Buy | ", "in upgrade ", "rating under review ", "Falls ", "targets to $1 and $2 "],
)  # fmt: skip
def test_time_is_linear(unit: str, lexicon: Lexicon) -> None:
    def seconds(count: int) -> float:
        text = "UBS upgrades X to buy, 目标价 " + unit * count
        passage = Passage(text, 0, len(text), 0, "目" in unit, False, (), (), (), NoteContext())
        began = time.thread_time()
        ratings.find(passage, lexicon)
        return time.thread_time() - began

    small = 10_000 // len(unit)
    seconds(100)
    assert seconds(4 * small) < 12 * max(seconds(small), 0.01)


def test_sentences_without_ratings_cost_next_to_nothing(lexicon: Lexicon) -> None:
    text = "The Hang Seng Index climbed 2.3 per cent on Tuesday as mainland investors bought technology shares again."
    assert not rating_words.is_triggered(text)


def test_ranks() -> None:
    order = ["Strong Sell", "Underperform", "Equal-Weight", "Outperform", "Strong Buy"]
    ranks = [rating_words.rank(word) for word in order]
    assert ranks == sorted(ranks, key=lambda r: -9 if r is None else r)
    assert len(set(ranks)) == len(order)
    assert rating_words.rank("Sector Outperform") == rating_words.rank("Buy")
