"""Sentences, headings, list items and rows; English and Chinese; hostile input."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.notes.sentences import is_chinese, sentences


def parts(text):
    return [text[start:end] for start, end, _ in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Shares rose. Bonds fell.", ["Shares rose.", "Bonds fell."]),
        ("The U.S. market rose 2.5% vs. 1.1% in the U.K. on Feb. 17.", None),
        ("Mr. J. K. Tan of Acme Inc. and Beta Co. Ltd. spoke at 9 a.m. Monday.", None),
        (
            "It gained 4. 2% on $1. 67 in earnings. Sales rose.",
            ["It gained 4. 2% on $1. 67 in earnings.", "Sales rose."],
        ),
        ("Acme Corp. The index rose.", ["Acme Corp.", "The index rose."]),
        ("Ranked No. 2 in the U. S. JetBlue fell.", None),
        ('"We like it." He bought more.', ['"We like it."', "He bought more."]),
        ("“We like it.” Others do not!", ["“We like it.”", "Others do not!"]),
        ("Is it over? Perhaps... Nobody knows", ["Is it over?", "Perhaps...", "Nobody knows"]),
        ("恒指升1.5%。成交增加；资金流入！为什么？", ["恒指升1.5%。", "成交增加；", "资金流入！", "为什么？"]),
        ("他说：“看好。”指数上升。", ["他说：“看好。”", "指数上升。"]),
        (
            "# Morning note\n\nShares rose.\n- First point. Second point\n- Other point",
            ["Morning note", "Shares rose.", "First point.", "Second point", "Other point"],
        ),
        ("Index\tClose\nHSI\t22,620.33", ["Index\tClose", "HSI\t22,620.33"]),
        (
            "The benchmark advanced on Monday in heavy trading as investors\nbought shares of lenders. Turnover rose.",
            [
                "The benchmark advanced on Monday in heavy trading as investors\nbought shares of lenders.",
                "Turnover rose.",
            ],
        ),
        ("Flows\nSouthbound buying slowed.", ["Flows", "Southbound buying slowed."]),
        ("It ended in 2025. 12 analysts cover it.", ["It ended in 2025.", "12 analysts cover it."]),
        ("1. 10% tariffs start\n2. Rates", ["10% tariffs start", "Rates"]),
        ("Yahoo! Finance said so.", None),
        ("  \n\n ", []),
        ("", []),
    ],
)
def test_cut(text, expected):
    assert parts(text) == ([text] if expected is None else expected)


def test_headings():
    text = "# Markdown\n\nA short title\n\nThis is a sentence.\n\n- an item\n\na\tb\n"
    assert [(text[start:end], heading) for start, end, heading in sentences(text)] == [
        ("Markdown", True),
        ("A short title", True),
        ("This is a sentence.", False),
        ("an item", False),
        ("a\tb", False),
    ]


def test_a_headline_is_one_heading():
    text = "Acme Lifts Target On Beta Inc. To $60 From $53, Keeps Buy Rating"
    assert sentences(text) == [(0, len(text), True)]


@given(st.text(alphabet='aB1. 。！？!?…;；\n\t"”’)-#•一,，:\u00a0', max_size=120))
def test_everything_but_marks_and_blanks_is_covered_once(text):
    at = 0
    for start, end, _ in sentences(text):
        assert at <= start < end <= len(text)
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        # What is left out between two sentences is blank or marks an item.
        assert not text[at:start].strip().strip("#-•1B.)a \t\u00a0*一"), text[at:start]
        at = end


@given(
    st.lists(
        st.sampled_from(
            ["The gauge rose 2.5%", "Mr. Li bought 1,000 shares", "It fell, then rose", "Trade in the U.S. slowed"]
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([" ", "\n", "  ", "\n\n"]),
)
def test_joined_sentences_come_apart(pieces, blank):
    text = blank.join(piece + "." for piece in pieces)
    assert parts(text) == [piece + "." for piece in pieces]


@given(
    st.lists(st.sampled_from(["恒指升1.5%", "南向資金淨流入", "他說“買”", "A股报3,280点"]), min_size=1, max_size=6),
    st.sampled_from("。！？；"),
)
def test_joined_chinese_sentences_come_apart(pieces, mark):
    assert parts(mark.join(pieces) + mark) == [piece + mark for piece in pieces]


def test_a_wrapped_paragraph_keeps_its_sentences():
    lines = (
        "The benchmark gauge rose 0.6 percent on Monday, or 95 points, to\n16,828.\nLenders led the way as "
        "investors bought the\nshares of banks again."
    )
    assert parts(lines) == [lines[: lines.index("Lenders") - 1], lines[lines.index("Lenders") :]]


def test_is_chinese():
    assert is_chinese("Morgan Stanley将Alibaba目标价上调至", 0, 30)
    assert not is_chinese("Tencent (腾讯) shares rose in heavy trading", 0, 42)
    assert not is_chinese("Tencent", 0, 7)
    assert not is_chinese("", 0, 0)
    assert is_chinese("Tencent 腾讯控股", 8, 12)


@pytest.mark.parametrize(
    "piece", ["a", ". ", "A.", "\n", "a\n", "。", '"', ".", "?!", "4. ", "U.S. ", " ", "- a\n", "a\t", "一", "a.B"]
)
@pytest.mark.parametrize("end", ["", "x"])
def test_time_grows_with_length_only(piece, end):
    def seconds(length):
        text = piece * (length // len(piece)) + end
        begin = time.thread_time()
        sentences(text)
        return time.thread_time() - begin

    short = min(seconds(5_000) for _ in range(2))
    assert seconds(20_000) < 12 * short + 0.15
