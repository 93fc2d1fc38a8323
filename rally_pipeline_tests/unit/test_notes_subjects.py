"""What "the index", "the stock", "it", 该指数 stand for.

Belongs here: `subjects`. Does not belong here: the claims that use it.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.notes.subjects import find_anaphora, resolve_subject
from rally_pipeline_tests.notes_passages import passages

# text with | where the predicate begins, the symbol and the words of the reference
CASES = [
    ("The Hang Seng Index fell on Monday. The index has |gained 13% this year.", "^HSI", "The index"),
    ("The Hang Seng Index fell on Monday. The city's benchmark has |gained 13%.", "^HSI", "The city's benchmark"),
    ("The DAX and Alibaba fell. The gauge |lost 2%.", "^GDAXI", "The gauge"),
    ("The DAX and Alibaba fell. The stock |lost 2%.", "9988.HK", "The stock"),
    ("Alibaba beat forecasts. Shares of the e-commerce giant |jumped 14%.", "9988.HK", "the e-commerce giant"),
    ("Alibaba beat forecasts. Goldman Sachs raised its target. The shares |jumped 14%.", "9988.HK", "The shares"),
    ("Tencent beat forecasts. UBS upgraded it. The company |jumped 14%.", "0700.HK", "The company"),
    ("Xiaomi sold more cars. It |rose 5%.", "1810.HK", "It"),
    ("Alibaba said its shares |rose 5%.", "9988.HK", "its shares"),
    (
        "The Hang Seng Index and the Hang Seng Tech Index rose. The tech gauge |added 31%.",
        "HSTECH.HK",
        "The tech gauge",
    ),
    ("The Hang Seng Index slid 1%, while the DAX rose. Its |loss was 2% a day earlier.", "^HSI", "Its"),
    ("Meituan and JD.com rose. The latter |gained 4%.", "9618.HK", "The latter"),
    ("Meituan and JD.com rose. The former |gained 4%.", "3690.HK", "The former"),
    ("HSBC shares slid. The stock |lost 2%.", "0005.HK", "The stock"),
    ("恒生指数周一下跌。该指数今年|累涨13%。", "^HSI", "该指数"),
    ("阿里巴巴业绩胜预期。该股|涨14%。", "9988.HK", "该股"),
    ("騰訊業績勝預期。高盛上調目標價。其股價|升5%。", "0700.HK", "其股價"),
]


@pytest.mark.parametrize(("marked", "symbol", "words"), CASES, ids=[f"{n:02d}" for n in range(len(CASES))])
def test_resolves(marked: str, symbol: str, words: str) -> None:
    at = marked.index("|")
    text = marked.replace("|", "")
    passage = next(p for p in reversed(passages(text)) if p.start <= at)
    found = resolve_subject(passage, at)
    assert found is not None
    name, entity, start, end = found
    assert (entity, text[start:end]) == (symbol, words)
    assert name in text


def test_never_a_house() -> None:
    for text in ("HSBC said it was bullish. The stock", "UBS upgraded the sector. It"):
        made = passages(text + " rose 3%.")
        assert resolve_subject(made[-1], made[-1].end - 8) is None


def test_nothing_to_point_to() -> None:
    made = passages("The index rose 2%.")
    assert resolve_subject(made[0], 10) is None
    made = passages("Alibaba rose. One. Two. Three. The stock rose 2%.")
    assert resolve_subject(made[-1], made[-1].start + 10) is None


def test_name_in_apposition_is_no_reference() -> None:
    (passage,) = passages("The city's benchmark Hang Seng Index rose 2%.")
    assert list(find_anaphora(passage)) == []
    found = resolve_subject(passage, passage.text.index("rose"))
    assert found is not None
    assert found[1] == "^HSI"


def test_nearest_name_wins_over_an_earlier_reference() -> None:
    made = passages("The DAX fell. The index lost 2% and Alibaba rose 3%.")
    found = resolve_subject(made[-1], made[-1].text.index("rose"))
    assert found is not None
    assert found[1] == "9988.HK"


WORDS = [
    "the",
    "index",
    "The stock",
    "it",
    "its",
    "Alibaba",
    "HSBC said",
    "DAX",
    ".",
    "该股",
    "恒指",
    "，",
    "rose 2%",
    "the latter",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=15))
def test_spans_are_in_the_sentence(words: list[str]) -> None:
    for passage in passages(" ".join(words)):
        found = resolve_subject(passage, passage.end)
        if found is not None:
            assert passage.start <= found[2] < found[3] <= passage.end
            assert found[0] in passage.text
