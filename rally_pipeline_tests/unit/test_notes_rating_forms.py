"""Ratings in the forms notes and headlines have beside plain sentences: boxes, tips, lists, houses nobody knows."""

from __future__ import annotations

import datetime as dt

import pytest

from rally_pipeline.notes import ratings
from rally_pipeline.notes.records import Claim, ClaimType, NoteContext, Passage, SourceKind
from rally_pipeline.notes.sentences import sentences
from rally_pipeline_tests.notes_passages import lexicon, passages


def claims_of(text: str, **context: str) -> list[Claim]:
    """The rating claims of a whole note, sentence by sentence."""
    found: list[Claim] = []
    previous: Passage | None = None
    for one in passages(text, dt.date(2025, 2, 17)):
        passage = Passage(
            text, one.start, one.end, one.index, one.is_chinese, one.is_heading, one.mentions, one.quantities,
            one.windows, NoteContext(**context), previous,
        )  # fmt: skip
        found += ratings.find(passage, lexicon())
        previous = passage
    for claim in found:
        assert text[claim.start : claim.end] == claim.quote
    return found


def rated(text: str, **context: str) -> list[tuple[str, str, str, str, str]]:
    return [
        (c.rating_action, c.rating, c.rating_prior, c.broker_text, c.subject_text)
        for c in claims_of(text, **context)
        if c.claim_type is ClaimType.RATING_ACTION
    ]


def aimed(text: str, **context: str) -> list[tuple[str, float | None, float | None, str, str]]:
    return [
        (c.target_action, c.value, c.value_prior, c.unit, c.subject_text)
        for c in claims_of(text, **context)
        if c.claim_type is ClaimType.TARGET_CHANGE
    ]


# --- houses that no catalog has --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "house", "subject"),
    [
        ("Lantern Quay Research Maintains Hold on Tencent, Lowers Price Target to HK$390", "Lantern Quay Research",
         "Tencent"),
        ("Lantern Quay keeps Hold on Tencent, target HK$390", "Lantern Quay", "Tencent"),
        ("Pinegate House upgraded Meituan to Buy from Hold, and raised its target price to HK$160.", "Pinegate House",
         "Meituan"),
        ("Cobalt Bank initiates Meituan with Buy, HK$160 target", "Cobalt Bank", "Meituan"),
        ("Elm Street Downgrades Brightwater Air to Hold, PT $12", "Elm Street", "Brightwater Air"),
        ("Lantern Quay Research: Tencent upgraded to Buy, target HK$480", "Lantern Quay Research", "Tencent"),
        ("灯塔湾研究维持腾讯“买入”评级，目标价上调至480港元", "灯塔湾研究", "腾讯"),
        ("燈塔灣研究：升騰訊評級至買入，目標價升至480港元", "燈塔灣研究", "騰訊"),
        ("燈塔灣維持騰訊買入評級，目標價480元", "燈塔灣", "騰訊"),
        ("灯塔湾将腾讯评级由中性上调至买入，目标价480港元", "灯塔湾", "腾讯"),
    ],
)  # fmt: skip
def test_unknown_house_is_kept_as_printed(text: str, house: str, subject: str) -> None:
    rating, target = claims_of(text)
    for claim in (rating, target):
        assert (claim.broker_text, claim.broker_id, claim.subject_text) == (house, "", subject)
        assert text.startswith(house)
        assert claim.start == 0
    assert rating.details["action_no"] == target.details["action_no"]


@pytest.mark.parametrize(
    "text",
    ["该行维持腾讯“买入”评级", "我们维持腾讯“买入”评级", "报告维持腾讯“买入”评级", "腾讯维持买入评级，目标价480港元",
     "Tencent upgraded to Buy", "Meituan cut to Hold from Buy"],
)  # fmt: skip
def test_a_share_or_pronoun_is_no_house(text: str) -> None:
    claims = claims_of(text)
    assert claims
    assert {(claim.broker_text, claim.broker_id) for claim in claims} == {("", "")}


# --- a note of a house -----------------------------------------------------------------------------------------------


def test_we_speak_of_the_share_in_the_heading() -> None:
    text = (
        "Meituan (3690 HK): riders and margins\n\nCompetition in Hong Kong eases.\n\n"
        "We maintain Buy and raise our target price to HK$160 from HK$145."
    )
    rating, target = claims_of(text, broker_id="citi", broker_text="Citi")
    assert (rating.rating, rating.subject_id, rating.broker_id) == ("Buy", "3690.HK", "citi")
    assert (target.target_action, target.value, target.value_prior) == ("Increase", 160, 145)
    assert target.subject_text == "Meituan"


@pytest.mark.parametrize(
    ("heading", "subject"),
    [
        ("Wexley Robotics (WXR US) - arms and legs", "Wexley Robotics"),
        ("Asia tech: Wexley Robotics (2211.HK)", "Wexley Robotics"),
        ("Tencent: ads recover", "Tencent"),
        ("Wexley Robotics: arms and legs", "Wexley Robotics"),
        ("腾讯控股（0700.HK）：广告回暖", "腾讯控股"),
    ],
)
def test_headings_name_the_share(heading: str, subject: str) -> None:
    (claim,) = claims_of(f"{heading}\n\nWe downgrade to Hold from Buy.")
    assert (claim.rating_action, claim.rating_prior, claim.subject_text) == ("Downgrade", "Buy", subject)


def test_nearest_heading_wins() -> None:
    text = "Tencent (700 HK): ads\n\nWe maintain Buy.\n\nMeituan (3690 HK): riders\n\nWe downgrade to Hold from Buy."
    assert [(action, subject) for action, *_, subject in rated(text)] == [
        ("Reiterate", "Tencent"),
        ("Downgrade", "Meituan"),
    ]


BOX = (
    "Meituan (3690 HK): riders and margins\n\nRating: {rating}\nTarget price: HKD 160.00\nPrior TP: HKD 145.00\n\n"
    "The shares trade in Hong Kong."
)


def test_box_is_one_action_of_the_note() -> None:
    rating, target = claims_of(BOX.format(rating="Buy (maintained)"))
    assert (rating.rating, rating.rating_action, rating.subject_text) == ("Buy", "Reiterate", "Meituan")
    assert rating.quote == "Rating: Buy (maintained)"
    assert (target.target_action, target.value, target.value_prior, target.unit) == ("Increase", 160, 145, "HKD")
    assert rating.details["action_no"] == target.details["action_no"] == 1
    assert rating.subject_id == target.subject_id == "3690.HK"


@pytest.mark.parametrize(
    ("line", "action", "rating", "target"),
    [
        ("Rating: Hold (from Buy)", "Downgrade", "Hold", None),
        ("Rating: Overweight (initiated)", "Initiate", "Overweight", None),
        ("Rating: BUY (maintained) | Target price: HK$64.00 (from HK$58.00) | Close: HK$51.35", "Reiterate", "BUY",
         ("Increase", 64.0, 58.0)),
        ("Price: SGD 2.31 | Target: SGD 2.90 | Rating: ADD (no change)", "Reiterate", "ADD", ("Update", 2.9, None)),
        ("Rating: Sell | TP: HK$40 | Prior TP: HK$55", "", "Sell", ("Decrease", 40.0, 55.0)),
        ("Rating: Neutral; Target price (HKD): 40.00", "", "Neutral", ("Update", 40.0, None)),
        ("评级：买入（维持）", "Reiterate", "买入", None),
    ],
)  # fmt: skip
def test_box_lines(line: str, action: str, rating: str, target: tuple[str, float, float | None] | None) -> None:
    assert [(a, r) for a, r, *_ in rated(line)] == [(action, rating)]
    assert [found[:3] for found in aimed(line)] == ([target] if target else [])


def test_prior_of_another_box_is_left_alone() -> None:
    text = (
        "Tencent (700 HK)\nRating: Buy\nTarget price: HKD 480.00\n\n"
        "Meituan (3690 HK)\nRating: Hold\nTarget price: HKD 150.00\nPrior TP: HKD 160.00"
    )
    assert [found[:3] for found in aimed(text)] == [("Update", 480.0, None), ("Decrease", 150.0, 160.0)]


# --- tips ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rating", "value", "subject"),
    [
        ("Sell Brightwater with target price of Rs 490: Minnie Sample", "Sell", 490, "Brightwater"),
        ("BUY Brightwater Ltd with a target of Rs 120 : Minnie Sample", "BUY", 120, "Brightwater Ltd"),
        ("Brightwater looks firm; buy stock with a target Rs 132: Minnie Sample", "buy", 132, "Brightwater"),
        ("Cheap cotton to help Brightwater; buy with a target of Rs 170: Minnie Sample", "buy", 170, "Brightwater"),
        ("Brightwater is a 'BUY' call with a target of Rs 1550: Minnie Sample", "BUY", 1550, "Brightwater"),
        ("Brightwater is a strong buy: Minnie Sample, Lakeside Advisory", "strong buy", None, "Brightwater"),
        ("Have a target of 285 on Brightwater: Minnie Sample", "", 285, "Brightwater"),
        ("Brightwater can be sold with a target of 290: Minnie Sample", "", 290, "Brightwater"),
    ],
)
def test_tip_of_a_person(text: str, rating: str, value: float | None, subject: str) -> None:
    claims = claims_of(text)
    assert len(claims) == (rating != "") + (value is not None)
    for claim in claims:
        assert (claim.source_kind, claim.speaker) == (SourceKind.SPEAKER, "Minnie Sample")
        assert (claim.broker_text, claim.broker_id, claim.subject_text) == ("", "", subject)
        assert claim.rating_action == ""
    assert [c.rating for c in claims if c.rating] == ([rating] if rating else [])
    assert [(c.value, c.target_action) for c in claims if c.value] == ([(value, "Update")] if value else [])


def test_tip_of_a_house_has_the_house() -> None:
    rating, target = claims_of("Buy Brightwater with a target of Rs 120: Jefferies")
    assert (rating.broker_id, target.broker_id, rating.speaker) == ("jefferies", "jefferies", "")


@pytest.mark.parametrize(
    "text",
    [
        "Coal miner to meet production target of 500: Minnie Sample",
        "We will reach our revenue target of Rs 500 crore: Minnie Sample",
        "Ministry firm on fiscal target of 3.5%: Minnie Sample",
        "Would not buy Brightwater for a target of 60: Minnie Sample",
        "Hold the line: Minnie Sample",
    ],
)
def test_other_goals_are_no_tips(text: str) -> None:
    assert claims_of(text) == []


# --- what the verb does not name -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Northgate - The builder lost 1% after Citi initiated coverage of the stock with a buy rating",
         ("Initiate", "buy", "", "Citi", "Northgate")),
        ("Northgate  Shares of the builder of homes rose 4% after UBS upgraded the stock to buy",
         ("Upgrade", "buy", "", "UBS", "Northgate")),
        ("Northgate  UBS downgraded the stock to neutral from buy",
         ("Downgrade", "neutral", "buy", "UBS", "Northgate")),
        ("Northgate \x96 Shares fell 6% after UBS double-downgraded the stock to sell from buy",
         ("Downgrade", "sell", "buy", "UBS", "Northgate")),
        ("Meanwhile, Northgate lost 1. 8% after getting downgraded to under weight from equal weight",
         ("Downgrade", "under weight", "equal weight", "", "Northgate")),
        ("Twin Falls Milling downgraded to Sell at UBS", ("Downgrade", "Sell", "", "UBS", "Twin Falls Milling")),
        ("UBS cut its rating on Northgate to neutral from buy and trimmed its numbers",
         ("Downgrade", "neutral", "buy", "UBS", "Northgate")),
        ("Northgate Rated New Buy at Macquarie", ("Initiate", "Buy", "", "Macquarie", "Northgate")),
        ("OW Rating on Northgate Maintained at Stifel", ("Reiterate", "OW", "", "Stifel", "Northgate")),
        ("Bernstein puts Northgate's outperform rating under review", ("", "outperform", "", "Bernstein", "Northgate")),
        ("Northgate's Mill Sale Is Only A Start, Stifel Says In Upgrade", ("Upgrade", "", "", "Stifel", "Northgate")),
        ("Stifel cited Northgate management's new plan in its downgrade note",
         ("Downgrade", "", "", "Stifel", "Northgate")),
        ("Cedar gained 1.2 percent, while the miller Northgate lost 2 percent after Stifel cut the stock to sell",
         ("Downgrade", "sell", "", "Stifel", "Northgate")),
        ("Among the mills, Northgate rose 3% after UBS upgraded the stock to buy",
         ("Upgrade", "buy", "", "UBS", "Northgate")),
        ("Stifel starts Northgate at in-line with a $40 target", ("Initiate", "in-line", "", "Stifel", "Northgate")),
        ("Stifel  Downgrades Northgate to Sell", ("Downgrade", "Sell", "", "Stifel", "Northgate")),
        ("Northgate (NGT): upgraded to Buy at Lantern Quay Research",
         ("Upgrade", "Buy", "", "Lantern Quay Research", "Northgate")),
        ("Northgate cut to Sell at Pinegate House", ("Downgrade", "Sell", "", "Pinegate House", "Northgate")),
        ("Sunrise Brokers Downgrades Northgate to Sell", ("Downgrade", "Sell", "", "Sunrise Brokers", "Northgate")),
        ("Tencent Holdings (700 HK, Buy, TP HK$520)", ("", "Buy", "", "", "Tencent Holdings")),
        ("Northgate (700 HK): Buy (from Hold), TP HK$520", ("Upgrade", "Buy", "Hold", "", "Northgate")),
        ("星展將長和由「買入」降至「持有」", ("Downgrade", "持有", "買入", "星展", "長和")),
    ],
)  # fmt: skip
def test_subject_or_rating_beside_the_verb(text: str, expected: tuple[str, ...]) -> None:
    assert rated(text) == [expected]


def test_it_is_the_house_that_said_so() -> None:
    text = "UBS reiterated its buy rating on Northgate, while Stifel said it would stay at overweight"
    assert [(a, r, b) for a, r, _, b, _ in rated(text)] == [
        ("Reiterate", "buy", "UBS"),
        ("Reiterate", "overweight", "Stifel"),
    ]


# --- several at once -------------------------------------------------------------------------------------------------


def test_actions_go_on_after_a_comma() -> None:
    text = "Citi lifts Alder to Buy and Brook to Neutral, cuts Cedar to Sell"
    assert [(a, r, b, s) for a, r, _, b, s in rated(text)] == [
        ("Upgrade", "Buy", "Citi", "Alder"),
        ("Upgrade", "Neutral", "Citi", "Brook"),
        ("Downgrade", "Sell", "Citi", "Cedar"),
    ]


def test_lists_after_a_colon() -> None:
    text = "Bernstein downgrades Chinese carmakers: NIO to Market Perform, XPeng to Underperform"
    assert [(a, r, s) for a, r, _, _, s in rated(text)] == [
        ("Downgrade", "Market Perform", "NIO"),
        ("Downgrade", "Underperform", "XPeng"),
    ]
    text = "Baird Starts Coverage on Mills: Alder with Overweight Rating, $215 Target, Brook and Cedar with Neutral"
    assert [(a, r, s) for a, r, _, _, s in rated(text)] == [
        ("Initiate", "Overweight", "Alder"),
        ("Initiate", "Neutral", "Brook"),
        ("Initiate", "Neutral", "Cedar"),
    ]
    assert aimed(text) == [("Update", 215.0, None, "USD", "Alder")]


def test_respectively() -> None:
    text = "CICC cuts targets for Tencent and Alibaba to HK$400 and HK$90 from HK$420 and HK$95 respectively"
    assert aimed(text) == [
        ("Decrease", 400.0, 420.0, "HKD", "Tencent"),
        ("Decrease", 90.0, 95.0, "HKD", "Alibaba"),
    ]
    text = "UBS upgrades Tencent and Alibaba to Buy and Neutral respectively"
    assert [(r, s) for _, r, _, _, s in rated(text)] == [("Buy", "Tencent"), ("Neutral", "Alibaba")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Northgate Initiated With Sell At UBS; Target Stays $14", [("Reiterate", 14.0, None)]),
        ("Reiterate Outperform with a new TP of HKD 12.4 (prev. HKD 11.0)", [("Increase", 12.4, 11.0)]),
        ("UBS starts Northgate with a sell rating and a price target of just $1. 6", [("Update", 1.6, None)]),
        ("UBS starts Northgate with a sell rating and $26. 50 price target", [("Update", 26.5, None)]),
        ("UBS sees Nifty at 27,000 by June, but trims December target to 25,500",
         [("Update", 27000.0, None), ("Decrease", 25500.0, None)]),
        ("摩通降小米評級至「中性」 目標價維持48元", [("Reiterate", 48.0, None)]),
    ],
)  # fmt: skip
def test_targets(text: str, expected: list[tuple[str, float, float | None]]) -> None:
    assert [found[:3] for found in aimed(text)] == expected
    assert len(sentences(text)) == 1


def test_target_of_a_known_share_by_a_house_nobody_knows() -> None:
    (claim,) = claims_of("Tencent target raised to HK$500 at Pinegate House")
    assert (claim.target_action, claim.broker_text, claim.subject_id) == ("Increase", "Pinegate House", "0700.HK")


def test_a_house_is_not_repeated_where_it_goes_on() -> None:
    text = "Northgate: Stifel lifts PT to $48 (from $40), stays Overweight"
    assert [(a, r, b) for a, r, _, b, _ in rated(text)] == [("Reiterate", "Overweight", "Stifel")]
    assert aimed(text)[0][:3] == ("Increase", 48.0, 40.0)


def test_target_names_its_share_later() -> None:
    assert aimed("Its price target of $25 implies Northgate could rally 46%")[0][-1] == "Northgate"
    assert aimed("The bank cut its earnings forecast for Northgate and lowered its price target to $195")[0][-1] == (
        "Northgate"
    )


def test_what_was_done_earlier_is_no_news() -> None:
    text = "Stifel Earlier Added Northgate To Its Best Ideas List; Maintains Buy Rating"
    assert rated(text) == [("Reiterate", "Buy", "", "Stifel", "Northgate")]


@pytest.mark.parametrize(
    "text",
    [
        "Minister sees index at 5,000 schools",
        "Shoppers expect prices at 10",
        "A review of the rating under debate",
        "We see low costs as key to maintaining our lead, in line with the global trend",
        "The builder expects fair value losses of up to HK$9.5 billion",
        "Parliament says growth will improve in upgrade of forecasts",
    ],
)
def test_no_rating(text: str) -> None:
    assert claims_of(text) == []
