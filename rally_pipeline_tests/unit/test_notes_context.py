"""Day, house, analyst and medium of a note, and where each of them comes from.

Belongs here: `context`. Does not belong here: the readers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest

from rally_pipeline.notes.context import context_of, title_of
from rally_pipeline.notes.records import AsOfBasis, CanonicalText, NoteContext, ReadNote
from rally_pipeline_tests.notes_passages import lexicon

FILE_TIME = dt.datetime(2025, 3, 1, 9, 30, tzinfo=dt.UTC)


def read(
    text: str,
    declared: Mapping[str, str] | None = None,
    basis: str = "front_matter",
    file_type: str = "txt",
    title: str = "",
    file_time: dt.datetime | None = FILE_TIME,
) -> tuple[NoteContext, dict[str, str]]:
    said = declared or {}
    note = ReadNote("", CanonicalText(text), file_type, title, said, dict.fromkeys(said, basis))
    return context_of(note, file_time, lexicon())


def test_declared_goes_first() -> None:
    declared = {"broker": "Goldman Sachs", "analyst": "Jane Doe", "date": "2025-02-17", "ticker": "9988.HK"}
    context, basis = read("Morgan Stanley Research\n1 January 2024\n\nThe index rose.", declared)
    assert (context.broker_id, context.broker_text, context.analyst) == ("goldman_sachs", "Goldman Sachs", "Jane Doe")
    assert (context.as_of, context.as_of_basis) == (dt.date(2025, 2, 17), AsOfBasis.DOCUMENT_DATE)
    assert context.ticker == "9988.HK"
    assert {basis[key] for key in ("broker", "analyst", "as_of", "ticker")} == {"front_matter"}


def test_unknown_declared_house_is_kept() -> None:
    context, _ = read("The index rose.", {"broker": "Quay Street Partners"})
    assert (context.broker_id, context.broker_text) == ("", "Quay Street Partners")


@pytest.mark.parametrize(
    "line",
    [
        "Morgan Stanley Research",
        "MORGAN STANLEY",
        "Research | Morgan Stanley",
        "Morgan Stanley | China Equity Strategy | 17 February 2025",
        "Morgan Stanley Asia Limited",
        "摩根士丹利研究部",
    ],
)
def test_letterhead(line: str) -> None:
    context, basis = read(f"{line}\nChina: who is buying\n\nHedge funds bought.")
    assert (context.broker_id, basis["broker"]) == ("morgan_stanley", "letterhead")


@pytest.mark.parametrize(
    "text",
    [
        "Morgan Stanley upgrades Alibaba\n\nThe shares rose.",
        "Funds return\nMorgan Stanley said hedge funds bought.\n",
        "Goldman Sachs and Morgan Stanley\n\nThe shares rose.",
        "Morgan Stanley Research",
    ],
)
def test_no_letterhead(text: str) -> None:
    context, basis = read(text)
    assert context.broker_text == ""
    assert "broker" not in basis


def test_disclaimer_and_address() -> None:
    context, basis = read(
        "Who is buying\n\nFunds bought.\n\nThis report is issued by Nomura International (Hong Kong) Limited."
    )
    assert (context.broker_id, basis["broker"]) == ("nomura", "disclaimer")
    context, basis = read("Who is buying\nJane Doe, CFA\njane.doe@jefferies.com\n\nFunds bought.")
    assert (context.broker_id, basis["broker"]) == ("jefferies", "email_domain")
    assert (context.analyst, basis["analyst"]) == ("Jane Doe", "email_block")


def test_sender_of_a_mail() -> None:
    declared = {"source": "Jane Doe <jane.doe@ubs.com>", "date": "2025-02-18T08:00:00+08:00"}
    context, basis = read("Morning\n\nFunds bought.", declared, "header")
    assert (context.broker_id, basis["broker"]) == ("ubs", "sender")
    assert (context.analyst, context.newspaper) == ("Jane Doe", "")
    assert context.as_of == dt.date(2025, 2, 18)
    context, basis = read("Hi\n\nFunds bought.", {"source": "Bob Roe <bob@gmail.com>"}, "header")
    assert (context.broker_text, context.newspaper) == ("", "")


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ("Analyst: Jane Doe", "Jane Doe"),
        ("Analysts: Jane van Doe, CFA; John Roe", "Jane van Doe"),
        ("Jane Doe  +852 5555 0000  jane.doe@clsa.com", "Jane Doe"),
        ("Jane Doe | jane.doe@clsa.com", "Jane Doe"),
        ("分析师：王小明", "王小明"),
        ("研究員: 陳大文 (SFC CE ABC123)", "陳大文"),
    ],
)
def test_analyst(block: str, name: str) -> None:
    context, _ = read(f"CLSA Research\n{block}\n\nFunds bought.")
    assert context.analyst == name


def test_medium() -> None:
    context, basis = read("The index rose.", {"source": "Harbour Times"}, "side_car")
    assert (context.newspaper, basis["newspaper"]) == ("Harbour Times", "side_car")
    context, basis = read("HONG KONG, Feb 17 (Reuters) - The index rose.\nFunds bought.")
    assert (context.newspaper, basis["newspaper"]) == ("Reuters", "dateline")
    context, _ = read("CLSA\n\nFunds bought.", {"source": "Harbour Times"})
    assert (context.broker_text, context.newspaper) == ("CLSA", "")


def test_day() -> None:
    context, basis = read("CLSA Research\n17 February 2025\n\nFunds bought since 3 January 2025.")
    assert (context.as_of, context.as_of_basis, basis["as_of"]) == (
        dt.date(2025, 2, 17), AsOfBasis.DOCUMENT_DATE, "note_date",
    )  # fmt: skip
    context, basis = read(
        "Funds bought between 3 January 2025 and, so far, 14 February 2025 in size, as the desk says."
    )
    assert (context.as_of, context.as_of_basis) == (dt.date(2025, 2, 14), AsOfBasis.LATEST_DATE_NAMED)
    context, _ = read("Funds bought a lot, as the desk says, and will meet on 5 May 2031 in the city.")
    assert (context.as_of, context.as_of_basis) == (FILE_TIME.date(), AsOfBasis.FILE_TIME)
    context, basis = read("Funds bought.", file_time=None)
    assert (context.as_of, context.as_of_basis) == (None, None)
    assert "as_of" not in basis


def test_metadata_of_office_files_is_weak() -> None:
    text = "CLSA Research\n17 February 2025\n\nFunds bought."
    context, _ = read(text, {"date": "2025-02-20"}, "metadata", "pdf")
    assert context.as_of == dt.date(2025, 2, 17)
    context, basis = read("Funds bought.", {"date": "2025-02-20"}, "metadata", "pdf")
    assert (context.as_of, basis["as_of"]) == (dt.date(2025, 2, 20), "metadata")
    context, _ = read(text, {"date": "2025-02-20"}, "metadata", "html")
    assert context.as_of == dt.date(2025, 2, 20)


def test_title() -> None:
    assert title_of(ReadNote("", CanonicalText("# Who is buying\n\nFunds."), "md")) == "Who is buying"
    assert title_of(ReadNote("", CanonicalText("Funds."), "eml", "Morning note")) == "Morning note"
    assert title_of(ReadNote("", CanonicalText("x" * 300), "txt")) == ""
    assert read("Funds.", {"title": "Morning note"})[1]["title"] == "front_matter"
