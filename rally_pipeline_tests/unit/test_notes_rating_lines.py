"""Ratings without a verb, in table lines and boxes, with arrows, brackets and the currencies of many markets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.notes.records import ClaimType
from rally_pipeline_tests.unit.test_notes_rating_forms import aimed, claims_of, rated

_HOUSES = {ClaimType.RATING_ACTION, ClaimType.TARGET_CHANGE}


# --- tables and arrows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "rating", "target"),
    [
        ("9988 HK | Alibaba | Nomura | Buy → Neutral | HK$120 → HK$105",
         ("Downgrade", "Neutral", "Buy", "Nomura", "Alibaba"), ("Decrease", 105, 120, "HKD", "Alibaba")),
        ("Upgrades | Meituan (3690 HK) | UBS | Hold -> Buy | TP HK$150 -> HK$180",
         ("Upgrade", "Buy", "Hold", "UBS", "Meituan"), ("Increase", 180, 150, "HKD", "Meituan")),
        ("1299 HK   AIA   UBS   Buy   Buy   TP 80.00 -> 92.00",
         ("Reiterate", "Buy", "Buy", "UBS", "AIA"), ("Increase", 92, 80, "", "AIA")),
        ("GS  Goldman Sachs  Citi  Neutral  $610 → $585",
         ("", "Neutral", "", "Citi", "Goldman Sachs"), ("Decrease", 585, 610, "USD", "Goldman Sachs")),
        ("BAC | KBW | Bank of America | Outperform | $58 → $64",
         ("", "Outperform", "", "KBW", "Bank of America"), ("Increase", 64, 58, "USD", "Bank of America")),
        ("3690 HK\tMeituan\tCiti\tBuy (from Neutral)\tHK$180 (prev HK$150)",
         ("Upgrade", "Buy", "Neutral", "Citi", "Meituan"), ("Increase", 180, 150, "HKD", "Meituan")),
        ("Initiations\tMeituan\tNomura\tBuy\tTP HK$180",
         ("Initiate", "Buy", "", "Nomura", "Meituan"), ("Update", 180, None, "HKD", "Meituan")),
        ("Upgraded: Lindt – UBS (neutral to buy, CHF 120 from CHF 105)",
         ("Upgrade", "buy", "neutral", "UBS", "Lindt"), ("Increase", 120, 105, "CHF", "Lindt")),
        ("Downgrades: Kestrel Foods – Barclays (hold from buy, 84p from 96p)",
         ("Downgrade", "hold", "buy", "Barclays", "Kestrel Foods"),
         ("Decrease", pytest.approx(0.84), pytest.approx(0.96), "GBP", "Kestrel Foods")),
    ],
)  # fmt: skip
def test_table_line(line: str, rating: tuple[str, ...], target: tuple[object, ...]) -> None:
    assert rated(line) == [rating]
    assert aimed(line) == [target]


def test_two_columns_of_ratings_need_a_heading_to_tell_old_from_new() -> None:
    assert rated("9988 HK | Alibaba | Nomura | Buy | Neutral | TP HK$120 → HK$105") == []
    heads = {"Upgrades": ("Upgrade", "Buy", "Neutral"), "Downgrades": ("Downgrade", "Neutral", "Buy")}
    for head, expected in heads.items():
        assert rated(f"{head} | Alibaba | Nomura | Buy | Neutral")[0][:3] == expected


@pytest.mark.parametrize(
    "line",
    ["Stocks to watch   HSBC   Buy   tickets   now", "Date   Broker   Rating   Target", "HSBC   Tencent   results   up",
     "Tencent | Meituan | Buy | HK$50 → HK$60", "UBS | HSBC | Buy | HK$50 → HK$60",
     "Tencent | UBS | HSBC | Buy | HK$5 → HK$6",
     "Winners: Meituan – Tencent (up to 5, HK$5 from HK$6)",
     "Upgraded: Kitchen – Harrods (buy to let, CHF 5)"],
)  # fmt: skip
def test_other_lines_of_cells_are_no_table_of_ratings(line: str) -> None:
    assert rated(line) == []


@settings(max_examples=100, deadline=None)
@given(old=st.integers(2, 9000), new=st.integers(2, 9000), arrow=st.sampled_from(["→", "->", "➔", "=>"]))
def test_the_number_before_an_arrow_is_the_old_one(old: int, new: int, arrow: str) -> None:
    expected = "Increase" if new > old else "Decrease" if new < old else "Reiterate"
    for text in (f"UBS on Meituan: Buy, TP HK${old} {arrow} HK${new}",
                 f"Meituan | UBS | Buy | TP HK${old} {arrow} HK${new}"):  # fmt: skip
        assert [target[:3] for target in aimed(text)] == [(expected, new, old)]


# --- ratings that no verb governs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Barclays lifts Kestrel Foods target to 84 euros (78) - 'Overweight'",
         ("", "Overweight", "", "Barclays", "Kestrel Foods")),
        ("Barclays trims Kestrel Foods target to 84 euros; Sell", ("", "Sell", "", "Barclays", "Kestrel Foods")),
        ("Barclays trims Kestrel Foods target to 84 euros - 'reduce' (unch.)",
         ("Reiterate", "reduce", "", "Barclays", "Kestrel Foods")),
        ("CLSA on Wipro: Underperform call, target price Rs 210/share", ("", "Underperform", "", "CLSA", "Wipro")),
        ("Reedmace: Copperline (CPL) – Buy (previously Hold), PT $1.40 (was $0.95)",
         ("Upgrade", "Buy", "Hold", "Reedmace", "Copperline")),
        ("Berenberg cuts Marlow Pubs to 'hold' (buy)", ("Downgrade", "hold", "buy", "Berenberg", "Marlow Pubs")),
        ("UBS downgrades Marlow Pubs to Sell from Lighten", ("Downgrade", "Sell", "Lighten", "UBS", "Marlow Pubs")),
        ("GS on Infosys: Maintain Buy, TP Rs 1,900", ("Reiterate", "Buy", "", "GS", "Infosys")),
        ("We stay at HOLD on Tencent with a TP of HK$490.", ("Reiterate", "HOLD", "", "", "Tencent")),
        ("Tencent: 'Buy' -> 'Hold' at UBS", ("Downgrade", "Hold", "Buy", "UBS", "Tencent")),
        ("UBS has stopped covering Evergrande", ("Drop", "", "", "UBS", "Evergrande")),
        ('Mizuho keeps Hoshino Motors rating at "1"', ("Reiterate", "1", "", "Mizuho", "Hoshino Motors")),
        ('Daiwa lifts Kurosawa Steel to "2" from "3"', ("Upgrade", "2", "3", "Daiwa", "Kurosawa Steel")),
    ],
)  # fmt: skip
def test_rating_beside_a_mark(text: str, expected: tuple[str, ...]) -> None:
    assert rated(text) == [expected]


@pytest.mark.parametrize(
    "text",
    ["The company hit its target - Hold the line", "PepsiCo – Hold (previously Buy)", "Opinion: Apple – Buy the dip",
     "Fund on track for target of $50 - Buy now, pay later firm says", "Netflix: Squid Game – Buy tickets",
     'He rated the film at "4" from "5"', "The team stopped covering the story",
     "UBS stops covering 12 stocks",
     'The rating agency keeps rating at "BBB"', "Time to buy? Targets for gold at $3,000 - sell signal"],
)  # fmt: skip
def test_a_mark_before_other_words_makes_no_rating(text: str) -> None:
    assert claims_of(text) == []


def test_one_rating_on_both() -> None:
    found = rated("Tencent, Meituan: UBS keeps 'add' on both, prefers Tencent")
    assert found == [("Reiterate", "add", "", "UBS", "Tencent"), ("Reiterate", "add", "", "UBS", "Meituan")]


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Berenberg cuts Marlow Pubs price target to 310 (420) pence", ("Decrease", 3.1, 4.2, "GBP")),
        ("*MARLOW PUBS RAISED TO BUY AT BERENBERG; TARGET 420P", ("Update", 4.2, None, "GBP")),
        ("UBS raises Hoshino Motors to Buy, TP Y4,200 from Y3,600", ("Increase", 4200, 3600, "JPY")),
        ("UBS cuts Siam Cement TP to Bt210 from Bt240", ("Decrease", 210, 240, "THB")),
        ("UBS raises Meituan price target (HK$) 180.00 (from 150.00)", ("Increase", 180, 150, "HKD")),
        ("UBS keeps Buy on Telkom, TP IDR 4,100 (maintained)", ("Reiterate", 4100, None, "IDR")),
        ("UBS keeps Buy on Telkom, TP IDR 4,100 (unch.)", ("Reiterate", 4100, None, "IDR")),
        ("UBS upgrades Wipro to 'Buy', sees target at Rs 310 versus Rs 255 earlier", ("Increase", 310, 255, "INR")),
        ("UBS keeps Buy on Wipro, TP Rs 310 (Earlier 255)", ("Increase", 310, 255, "INR")),
        ("UBS keeps Buy on Copperline, PT $1.40 (was $1.60)", ("Decrease", 1.4, 1.6, "USD")),
        ("UBS lifts Kestrel Foods target to 84 euros (78)", ("Increase", 84, 78, "EUR")),
        ("Citi sees the Nikkei at 45,000 by June, up from 42,000", ("Increase", 45000, 42000, "points")),
        ("We reiterate BUY on Tencent and lift our Jun-27 price target to HK$700 (from HK$650).",
         ("Increase", 700, 650, "HKD")),
    ],
)  # fmt: skip
def test_target_in_many_currencies(text: str, expected: tuple[object, ...]) -> None:
    ((action, value, prior, unit, _),) = aimed(text)
    assert (action, unit) == (expected[0], expected[3])
    assert value == pytest.approx(expected[1])
    assert prior == (None if expected[2] is None else pytest.approx(expected[2]))


def test_the_price_of_the_day_is_no_old_target() -> None:
    ((_, value, prior, *_),) = aimed("UBS sets Tencent target at HK$500 versus HK$480 close")
    assert (value, prior) == (500, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [("UBS raises Tencent TP to HK$ 51. 5 from HK$48", 51.5), ("UBS raises Tencent TP to HK$ 51. 5 more to come", 51)],
)
def test_decimals_cut_off_by_a_blank(text: str, value: float) -> None:
    assert aimed(text)[0][1] == value


def test_month_and_year_are_no_share() -> None:
    rating, target = claims_of("We reiterate BUY on Tencent and lift our Jun-27 price target to HK$700.")
    assert rating.subject_text == target.subject_text == "Tencent"


# --- several houses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Barclays and UBS cut their targets on Meituan to HK$120 and HK$115, respectively, from HK$140 and HK$138",
     "Barclays and UBS cut their price targets on Meituan to HK$120 and HK$115 from HK$140 and HK$138 respectively",
     "巴克莱和瑞银分别将Meituan目标价由140港元和138港元下调至120港元和115港元"],
)  # fmt: skip
def test_each_house_has_its_own_target(text: str) -> None:
    claims = claims_of(text)
    assert [(c.broker_id, c.value, c.value_prior, c.target_action, c.currency) for c in claims] == [
        ("barclays", 120, 140, "Decrease", "HKD"), ("ubs", 115, 138, "Decrease", "HKD"),
    ]  # fmt: skip
    assert {c.subject_text for c in claims} == {"Meituan"}
    assert len({c.details["action_no"] for c in claims}) == 2


def test_a_list_of_shares_goes_before_a_list_of_houses() -> None:
    found = claims_of("Barclays and UBS raised their targets for Tencent and Meituan to HK$700 and HK$180")
    assert {(c.broker_id, c.subject_text, c.value) for c in found} == {
        (house, share, value) for house in ("barclays", "ubs") for share, value in (("Tencent", 700), ("Meituan", 180))
    }


# --- boxes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Target  3 stores closed in June", "Target  2025 sales guidance raised", "Recommendation  buy local",
     "Fair value  2024 losses of HK$9.5 billion", "Rating  4.5 stars"],
)  # fmt: skip
def test_two_blanks_make_no_label(text: str) -> None:
    assert claims_of(text) == []


def test_rating_alone_on_its_line() -> None:
    box = "Brightwater (868 HK)\nSELL (from Hold)\nTarget price (HK$): 6.50 (from 8.00)"
    assert rated(box) == [("Downgrade", "SELL", "Hold", "", "Brightwater")]
    assert aimed(box) == [("Decrease", 6.5, 8, "HKD", "Brightwater")]
    assert rated("BUY\nNOW\nand save") == []
    assert rated("Tencent (700 HK)\nBuy\nat the open") == []


def test_label_and_value_apart_by_blanks() -> None:
    assert rated("Stock Rating  Overweight\nIndustry View  In-Line\nPrice target  HK$50.00")[0][:2] == (
        "",
        "Overweight",
    )
    assert rated("Rating: Buy (unch.)")[0][:2] == ("Reiterate", "Buy")


# --- Chinese ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rating", "target"),
    [
        ("大摩维持对美团的增持评级，将目标价从150港元下调至140港元", ("Reiterate", "增持", "", "大摩", "美团"),
         ("Decrease", 140, 150, "HKD", "美团")),
        ("騰訊被高盛調低至中性，目標價500港元", ("Downgrade", "中性", "", "高盛", "騰訊"),
         ("Update", 500, None, "HKD", "騰訊")),
        ("美团获摩通由中性上调至增持，目标价由150港元升至180港元", ("Upgrade", "增持", "中性", "摩通", "美团"),
         ("Increase", 180, 150, "HKD", "美团")),
        ("被花旗調升至買入，海角實業目標價8.2港元", ("Upgrade", "買入", "", "花旗", "海角實業"),
         ("Update", 8.2, None, "HKD", "海角實業")),
        ("里昂升美團至「高確信買入」 目標價180港元", ("Upgrade", "高確信買入", "", "里昂", "美團"),
         ("Update", 180, None, "HKD", "美團")),
    ],
)  # fmt: skip
def test_chinese(text: str, rating: tuple[str, ...], target: tuple[object, ...]) -> None:
    assert rated(text) == [rating]
    assert aimed(text) == [target]
    assert len({c.details["action_no"] for c in claims_of(text)}) == 1
    assert {c.claim_type for c in claims_of(text)} == _HOUSES
