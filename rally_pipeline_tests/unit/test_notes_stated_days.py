"""Of which day a sentence says it speaks, and stretches it takes over in words. The days are those of February 2025."""

from __future__ import annotations

import datetime as dt

import pytest

from rally_pipeline.notes import extremes, flows, levels, performance
from rally_pipeline.notes.records import AsOfBasis, Claim, ClaimType, WindowKind
from rally_pipeline.notes.stated_days import stated_days
from rally_pipeline.notes.stretch_references import reference
from rally_pipeline_tests.notes_passages import passages

FRIDAY = dt.date(2025, 2, 14)
_GRAMMARS = (performance, levels, extremes, flows)


def _claims(text: str) -> list[Claim]:
    return [claim for passage in passages(text) for grammar in _GRAMMARS for claim in grammar.find(passage)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("By the close on Friday, February 14, Xiaomi had gained 30 percent.", "By the close on Friday, February 14"),
        ("As of Friday the DAX was ahead.", "As of Friday"),
        ("As at 14 February the DAX was ahead.", "As at 14 February"),
        ("The DAX gained 9 percent this year through February 14.", "through February 14"),
        ("The DAX gained 9 percent this year until Feb 14.", "until Feb 14"),
        ("Up to and including Friday, the DAX gained.", "Up to and including Friday"),
        ("The DAX gained 9 percent from mid-January to Friday's close.", "to Friday's close"),
        ("By Friday the DAX had gained 9 percent.", "By Friday"),
        ("The DAX gained 13 percent in the six weeks to February 14.", "to February 14"),
        ("截至2月14日，恒指累计上涨13%。", "截至2月14日"),
        ("截至周五收盘，恒指累计上涨13%。", "截至周五收盘"),
        ("恒指今年至2月14日累计上涨13%。", "至2月14日"),
        ("截至上周五收市，恒指累計上升13%。", "截至上周五收市"),
    ],
)
def test_day_up_to_which_a_sentence_speaks(text: str, words: str) -> None:
    (found,) = stated_days(passages(text)[0])
    assert (text[found.start : found.end], found.day) == (words, FRIDAY)


@pytest.mark.parametrize(
    "text",
    [
        "The DAX rose on Friday.",
        "The rally was led by Friday's gains in banks.",
        "The DAX is expected to reach 24,000 by Friday.",
        "The market moved to Friday trading.",
        "The offer is a premium of 30 percent to Friday's closing price.",
        "The exchange does not open the new room until June 20.",
        "The DAX has added 9 percent since 14 February.",
        "Analysts at the bank spoke by phone.",
        "恒指年初至今上涨13%。",
        "恒指升至22,620点。",
    ],
)
def test_a_day_that_is_something_else(text: str) -> None:
    assert stated_days(passages(text)[0]) == ()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("By the close on Friday, Xiaomi had risen 13 percent this year.", WindowKind.YEAR_TO_DATE),
        ("Xiaomi has climbed 31 percent as of Friday since mid-January.", WindowKind.SINCE_DATE),
        ("恒指今年截至2月14日累计上涨13%。", WindowKind.YEAR_TO_DATE),
        ("恒指截至上周五今年累升13%。", WindowKind.YEAR_TO_DATE),
        ("From the start of the year to 14 February, the DAX advanced 13 per cent.", WindowKind.YEAR_TO_DATE),
        ("截至周五收盘，恒生科技指数自1月中旬以来上涨31%。", WindowKind.SINCE_DATE),
    ],
)
def test_the_stated_day_is_no_stretch_of_its_own(text: str, kind: WindowKind) -> None:
    (claim,) = _claims(text)
    assert claim.window is not None
    assert (claim.window.kind, claim.as_of_date, claim.as_of_basis) == (kind, FRIDAY, AsOfBasis.STATED)


def test_a_day_that_opens_the_sentence_holds_for_a_running_stretch() -> None:
    (claim,) = _claims("At Friday's close, Alibaba was up 48 percent for the year.")
    assert (claim.as_of_date, claim.as_of_basis) == (FRIDAY, AsOfBasis.STATED)


def test_without_a_stretch_the_day_alone_gives_no_window() -> None:
    (claim,) = _claims("As of Friday, Xiaomi was up 31 percent.")
    assert (claim.window, claim.as_of_date) == (None, FRIDAY)
    (claim,) = _claims("As of Friday, southbound net buying totalled HK$80 billion.")
    assert (claim.window, claim.as_of_date) == (None, FRIDAY)


def test_a_level_is_that_of_the_stated_day() -> None:
    claim = _claims("By Friday's close the DAX had risen 13 percent this year to 22,513 points.")[-1]
    assert (claim.claim_type, claim.as_of_date, claim.as_of_basis) == (ClaimType.LEVEL, FRIDAY, AsOfBasis.STATED)


def test_a_nearer_day_of_its_own_wins() -> None:
    first, second = _claims(
        "As of Friday, Meituan had gained 9% this year, and on February 17 it closed at a one-year high."
    )
    assert (first.as_of_date, second.as_of_date) == (FRIDAY, dt.date(2025, 2, 17))


def test_the_day_holds_in_the_next_sentence_only_in_words() -> None:
    start = "As of Friday, the DAX had gained 9 percent this year. "
    assert _claims(start + "By then the S&P 500 had added 4 percent this year.")[-1].as_of_date == FRIDAY
    assert _claims(start + "The S&P 500 has added 4 percent this year.")[-1].as_of_date == dt.date(2025, 2, 17)


@pytest.mark.parametrize(
    "words",
    ["over the same eight sessions", "over the same period", "in that time", "since then", "during those days"],
)
def test_a_stretch_is_taken_over_in_words(words: str) -> None:
    text = f"Southbound money has come in since the Lunar New Year holiday. The DAX gained 5 percent {words}."
    (claim,) = _claims(text)
    assert claim.window is not None
    assert (claim.window.kind, claim.window.is_inherited) == (WindowKind.SINCE_EVENT, True)


@pytest.mark.parametrize(
    "text",
    [
        "The DAX gained 5 percent over the same period last year.",
        "The DAX gained 5 percent in the same month of 2024.",
        "销量较去年同期增长5%。",
    ],
)
def test_the_same_stretch_of_another_year_is_another(text: str) -> None:
    passage = passages(text)[0]
    assert reference(passage, passage.start, passage.end) is None


def test_since_then_after_a_day_begins_on_it() -> None:
    claim = _claims("The DAX fell 2% on February 3. Since then the index has gained 5%.")[-1]
    assert claim.window is not None
    assert (claim.window.kind, claim.window.start_earliest) == (WindowKind.SINCE_DATE, dt.date(2025, 2, 3))


def test_words_for_a_stretch_that_nothing_names_give_none() -> None:
    (claim,) = _claims("The DAX gained 5 percent over the same period.")
    assert claim.window is None


def test_both_channels_of_a_sentence_share_the_stretch() -> None:
    text = (
        "Mainland funds bought a net HK$20 billion since the Lunar New Year holiday. Buying via the Shanghai connect"
        " reached HK$21 billion over the same sessions, while the Shenzhen connect had a net outflow of HK$1 billion."
    )
    found = _claims(text)
    assert [claim.subject_id for claim in found] == ["southbound", "southbound_sse", "southbound_szse"]
    assert {claim.window.kind for claim in found if claim.window} == {WindowKind.SINCE_EVENT}
    assert [claim.value for claim in found] == [20e9, 21e9, -1e9]


def test_a_further_amount_after_a_total_has_no_window() -> None:
    text = "春节以来南向资金净买入266亿港元。港股通（沪）净买入268亿港元。"
    assert _claims(text)[-1].window is None
    assert _claims(text.replace("港股通（沪）", "同期港股通（沪）"))[-1].window is not None
