"""What the readers make of well-meant documents of every type."""

from __future__ import annotations

import os
import re
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes.readers import guard, read_document
from rally_pipeline.notes.readers.charset import decode
from rally_pipeline.notes.readers.content import canonical, clean
from rally_pipeline.notes.readers.dates import iso_day
from rally_pipeline.notes.readers.pdf_lines import Line, page_texts
from rally_pipeline.notes.readers.plain import unwrap
from rally_pipeline.notes.records import ReadNote
from rally_pipeline_tests.note_documents import (
    column,
    make_docx,
    make_mail,
    make_pdf,
    make_zip,
    page_stream,
    refusal,
    word_xml,
    wrap,
)

PROSE = (
    "Money from across the border kept coming in this week. We hold on to our year-end objective of 25,000 points, "
    "which leaves 9.5 per cent from here. Buyers took HK$26.6 billion in a fortnight, and few of them were closing "
    "short positions. "
)
#: Both scripts; written for these tests.
SIMPLIFIED = (
    "恒生指数今年以来累计上涨百分之十三，科技股创三年新高，南向资金净买入266亿港元。"
    "目标价由75元上调至85元，维持买入评级。"
)
TRADITIONAL = (
    "恒生指數今年以來累升百分之十三，科技股創三年新高，南向資金淨買入266億港元。目標價由75元上調至85元，維持買入評級。"
)


def one(body: bytes, name: str, side_car: bytes | None = None) -> ReadNote:
    (note,) = read_document(body, name, side_car)
    return note


def text_of(body: bytes, name: str) -> str:
    return one(body, name).canonical.text


# --- plain text and Markdown -----------------------------------------------------------------------------------------


def test_plain_text_keeps_its_paragraphs_and_loses_carriage_returns() -> None:
    note = one("Première ligne\r\nSecond\rThird\r\n\r\nFourth  \r\n".encode(), "a.txt")
    assert note.canonical.text == "Première ligne\nSecond\nThird\n\nFourth"
    assert (note.file_type, note.part, note.warnings, note.canonical.page_starts) == ("txt", "", (), (0,))


def test_lines_wrapped_by_an_editor_become_one_and_others_do_not() -> None:
    wrapped = "\n".join(wrap(PROSE * 2, 72))
    listed = "Index up 1.2 per cent on the day in heavy trading, led by banks\nTurnover was the highest this month\nEnd"
    text = text_of(f"{wrapped}\n\n{listed}\n\n- one\n- two\n".encode(), "a.txt")
    assert text.split("\n\n")[0] == (PROSE * 2).strip()
    assert text.split("\n\n")[1] == listed
    assert text.endswith("- one\n- two")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab c\n\t-|#>.1", max_size=400))
def test_unwrapping_changes_nothing_but_line_ends(text: str) -> None:
    unwrapped = unwrap(text)
    assert len(unwrapped) == len(text)
    assert all(new == old or (old, new) == ("\n", " ") for old, new in zip(text, unwrapped, strict=True))


def test_form_feeds_begin_pages() -> None:
    note = one(b"First page\n\fSecond page\n\fThird", "a.txt")
    text = note.canonical.text
    assert note.canonical.page_starts == (0, text.index("Second"), text.index("Third"))
    assert note.canonical.page(text.index("Third") + 2) == 3


def test_front_matter_declares_and_is_no_text() -> None:
    body = (
        "---\ntitle: Hot money stays\nauthor: [Ann Lee, Bo Wu]\ndate: 18 February 2025\n"
        "broker: 'North & Co'\nlayout: x\n---\nText.\n"
    )
    note = one(body.encode(), "a.md")
    assert note.canonical.text == "Hot money stays\n\nText."
    assert note.title == "Hot money stays"
    assert note.declared == {
        "title": "Hot money stays",
        "analyst": "Ann Lee, Bo Wu",
        "date": "2025-02-18",
        "broker": "North & Co",
    }
    assert set(note.basis.values()) == {"front_matter"}


def test_front_matter_scalars_stay_texts() -> None:
    note = one(b"---\nlanguage: no\nticker: 0700\nid: 1e3\n---\nText", "a.md")
    assert note.declared == {"language": "no", "ticker": "0700", "id": "1e3"}


@pytest.mark.parametrize(
    "body", ["---\n\nJust a rule.\n\n---\n\nMore.", "---\nA sentence: with a colon", "Text\n---\na: b\n---\n"]
)
def test_rules_that_are_no_front_matter_are_text(body: str) -> None:
    note = one(body.encode(), "a.md")
    assert note.declared == {}
    assert "---" in note.canonical.text


def test_a_date_that_can_be_read_in_two_ways_is_not_used() -> None:
    note = one(b"---\ntitle: T\ndate: 03/04/2025\n---\nText", "a.md")
    assert "date" not in note.declared
    assert any("03/04/2025" in warning for warning in note.warnings)


# --- characters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "seen", "warned"),
    [
        ("26\u200b.6 bn", "26.6 bn", "invisible"),
        ("HK$2\x006", "HK$2\ufffd6", "control"),
        ("a\ud800b", "a\ufffdb", "broken"),
        ("\u202emoor\u202c", "moor", "direction"),
        ("buy\U000e0041\U000e0042", "buy", "invisible"),
        ("in\u00adflow", "inflow", ""),
        ("a\u3164b", "a b", "blank"),
        ("1\u00a0000 ２６億 “x” −3", "1\u00a0000 ２６億 “x” −3", ""),
        ("a\u2028b\x0bc\rd", "a\nb\nc\nd", ""),
        ("North\x92s \x93call\x94 \x96 up\x85", "North’s “call” – up…", "Windows-1252"),
        ("a\x81b", "a\ufffdb", "control"),
    ],
)
def test_characters_that_hide_text_do_not_stay(raw: str, seen: str, warned: str) -> None:
    text, warnings = clean(raw)
    assert text == seen
    assert (warned in " ".join(warnings)) if warned else not warnings


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(), max_size=40), min_size=1, max_size=4))
def test_canonical_text_is_stable_and_holds_only_what_it_may(pages: list[str]) -> None:
    if not "".join(clean(page)[0] for page in pages).strip():
        with pytest.raises(PayloadError, match="text_found"):
            canonical(pages)
        return
    found, _ = canonical(pages)
    text = found.text
    assert clean(text) == (text, ())
    assert not re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff]", text)
    assert "\r" not in text
    assert text.encode().decode() == text
    assert found.page_starts[0] == 0
    assert list(found.page_starts) == sorted(found.page_starts)
    assert len(found.page_starts) == len(pages)


@pytest.mark.parametrize(
    ("text", "encoding", "warned"),
    [
        (SIMPLIFIED, "utf-8", False),
        (SIMPLIFIED, "utf-8-sig", False),
        (SIMPLIFIED, "utf-16", False),
        (SIMPLIFIED, "gb18030", True),
        (SIMPLIFIED, "gb2312", True),
        (TRADITIONAL, "big5hkscs", True),
        (TRADITIONAL, "gb18030", True),
        ("Index up 3% " + TRADITIONAL[:12] + " by the close", "big5hkscs", True),
        ("Index up 3% " + SIMPLIFIED[:12] + " by the close", "gb18030", True),
        (PROSE, "utf-16-le", True),
        (PROSE, "utf-16-be", True),
        ("The café’s “index” — up 3% – a résumé", "cp1252", True),
    ],
)
def test_encodings_are_told_or_found(text: str, encoding: str, warned: bool) -> None:
    found, warning = decode(text.encode(encoding))
    assert found == text
    assert bool(warning) == warned


def test_a_few_broken_bytes_do_not_make_another_encoding() -> None:
    found, warning = decode(SIMPLIFIED.encode()[:-1] + b"\xff ok")
    assert found.startswith(SIMPLIFIED[:-1])
    assert "utf-8" in warning


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=SIMPLIFIED + TRADITIONAL + "abc 1.%", min_size=20, max_size=80))
def test_utf8_is_never_taken_for_anything_else(text: str) -> None:
    assert decode(text.encode()) == (text, "")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025-02-18", "2025-02-18"),
        ("2025/2/8 10:30", "2025-02-08"),
        ("20250218", "2025-02-18"),
        ("D:20250218094500+08'00'", "2025-02-18"),
        ("2025-02-18T23:59:59Z", "2025-02-18"),
        ("Tue, 18 Feb 2025 07:45:00 +0800", "2025-02-18"),
        ("February 18, 2025", "2025-02-18"),
        ("18th Feb. 2025", "2025-02-18"),
        ("2025年2月18日", "2025-02-18"),
        ("25/12/2024", "2024-12-25"),
        ("12/25/2024", "2024-12-25"),
        ("03/04/2025", ""),
        ("2025-02-30", ""),
        ("yesterday", ""),
        ("18 Fob 2025", ""),
        ("", ""),
        ("0001-01-01", ""),
    ],
)
def test_declared_dates(text: str, day: str) -> None:
    assert iso_day(text) == day


# --- HTML ------------------------------------------------------------------------------------------------------------


def page(body: str, head: str = "") -> bytes:
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>".encode()


def test_html_becomes_lines_as_a_browser_shows_them() -> None:
    body = (
        "<script>var x = '<p>no</p>';</script><nav>Home Markets</nav><h1>Buyers  return</h1>"
        "<p>First&nbsp;one<br>second\n line <b>bo</b>ld.</p><ul><li>a<li>b</ul>"
        "<table><tr><th>Rating<th>Target<tr><td><p>Buy</p><td>HK$85</table>after"
        "<style>p {}</style><footer>(c)</footer><!-- no -->"
    )
    assert text_of(page(body), "a.html") == (
        "Buyers return\n\nFirst\u00a0one\nsecond line bold.\n\na\nb\n\nRating\tTarget\nBuy\tHK$85\n\nafter"
    )


def test_tables_that_lay_out_a_mail_are_no_tables() -> None:
    body = "<table><tr><td><table><tr><td><p>One.</p><p>Two.</p><p>Three.</p></td></tr></table></td></tr></table>"
    assert text_of(page(body), "a.html") == "One.\n\nTwo.\n\nThree."


@pytest.mark.parametrize(
    "hidden",
    [
        "<p style='display:none'>XX</p>",
        "<p hidden>XX</p>",
        "<span style='font-size:0'>XX</span>",
        "<div style='color:red; visibility : hidden'>XX</div>",
        "<span style='font-size:0px;line-height:1px'>XX</span>",
        "<div style='max-height: 0.0em !important'>XX</div>",
    ],
)
def test_hidden_elements_are_left_out_and_said(hidden: str) -> None:
    note = one(page(f"<p>Shown {hidden} here.</p>"), "a.html")
    assert "XX" not in note.canonical.text
    assert note.warnings == ("2 hidden characters left out",)


def test_small_type_is_not_hidden() -> None:
    assert "XX" in text_of(page("<p>a <span style='font-size:0.8em;opacity:0.5'>XX</span></p>"), "a.html")


def test_footnote_marks_do_not_grow_onto_numbers_but_ordinals_stay() -> None:
    body = "<p>26.6<sup>1</sup> billion on the 1<sup>st</sup> day<sup>[2]</sup>, 3.4<sup><a href='#f'>*</a></sup>.</p>"
    assert text_of(page(body), "a.html") == "26.6 billion on the 1st day, 3.4."


def test_the_article_is_what_is_read_where_it_holds_most() -> None:
    article = f"<article><h1>Head</h1><p>{PROSE}</p></article>"
    assert "Teaser" not in text_of(page(f"<div>Teaser of another one</div>{article}"), "a.html")
    above = text_of(
        page(f"<header><h1>Buyers return</h1></header><div>Teaser</div><article><p>{PROSE}</p></article>"), "a"
    )
    assert above == f"Buyers return\n\n{PROSE.strip()}"
    assert "Teaser" in text_of(page(f"<article>x</article><div>Teaser {PROSE}</div>"), "a.html")


def test_page_furniture_is_left_out_by_whole_names_only() -> None:
    body = (
        "<div class='share-price'>75.2</div><div class='x share-buttons'>Post</div><p id='analyst-comments'>Good.</p>"
    )
    assert text_of(page(body), "a.html") == "75.2\n\nGood."


def test_html_metadata() -> None:
    head = (
        "<title>Buyers return | The Paper</title><meta property='og:site_name' content='The Paper'>"
        "<meta name='author' content='Jo Writer'>"
        "<meta property='article:published_time' content='2025-02-18T09:00:00+08:00'>"
    )
    note = one(page("<h1>Buyers return</h1><p>Text</p>", head), "a.html")
    assert note.title == "Buyers return"
    assert note.declared == {
        "title": "Buyers return",
        "source": "The Paper",
        "analyst": "Jo Writer",
        "date": "2025-02-18",
        "language": "en",
    }
    assert set(note.basis.values()) == {"metadata"}


def test_html_in_its_declared_encoding() -> None:
    body = f"<html><head><meta charset='gb2312'></head><body><p>{SIMPLIFIED}</p></body></html>"
    note = one(body.encode("gb18030"), "a.html")
    assert note.canonical.text == SIMPLIFIED
    assert note.warnings == ()


# --- PDF -------------------------------------------------------------------------------------------------------------


def test_pdf_lines_are_joined_to_sentences_and_paragraphs_stay() -> None:
    first, second = wrap(PROSE, 70), wrap("Risks are on both sides. " * 6, 70)
    items = [
        *column(["Buyers return"], top=800, size=18),
        *column(first),
        *column(second, top=780 - 14 * len(first) - 20),
    ]
    note = one(
        make_pdf([items], {"Title": "Buyers return", "Author": "Ann Lee", "CreationDate": "D:20250218093000+08'00'"}),
        "a.pdf",
    )
    assert (
        note.canonical.text == "Buyers return\n\n" + PROSE.strip() + "\n\n" + ("Risks are on both sides. " * 6).strip()
    )
    assert note.declared == {"title": "Buyers return", "analyst": "Ann Lee", "date": "2025-02-18"}
    assert set(note.basis.values()) == {"metadata"}
    assert note.file_type == "pdf"


def test_pdf_columns_are_read_one_after_the_other() -> None:
    left, right = wrap("Left side speaks of banks. " * 12, 45), wrap("Right side speaks of shipping. " * 12, 45)
    text = text_of(make_pdf([column(left, x=50) + column(right, x=320)]), "a.pdf")
    assert (
        text == ("Left side speaks of banks. " * 12).strip() + "\n\n" + ("Right side speaks of shipping. " * 12).strip()
    )


def test_a_sentence_goes_on_in_the_next_column_and_on_the_next_page() -> None:
    words = wrap("the index went up and up and " * 30, 45)
    half = len(words) // 2
    text = text_of(
        make_pdf([column(words[:half], x=50) + column(words[half:], x=320), column(["and then it stopped."])]), "a.pdf"
    )
    assert "\n" not in text
    assert text.endswith("up and and then it stopped.")


def test_pdf_tables_keep_their_rows_and_lists_their_items() -> None:
    rows = [("Broker", "Rating", "Target"), ("North and Sons", "Buy", "85.00"), ("South", "Hold", "60.00")]
    table = [(60 + 110 * x, 700 - 12 * y, 10, cell) for y, row in enumerate(rows) for x, cell in enumerate(row)]
    prose = wrap(PROSE, 70)
    bullets = ["• Keep Buy on the exchange as turnover goes on growing, and raise the", "target too", "• Short one"]
    items = [*column(prose, top=760), *table, *column([*bullets, *prose], top=600)]
    text = text_of(make_pdf([items]), "a.pdf")
    assert "Broker\tRating\tTarget\nNorth and Sons\tBuy\t85.00\nSouth\tHold\t60.00\n" in text
    assert "as turnover goes on growing, and raise the target too\n• Short one\n" in text
    assert text.count(PROSE.strip()) == 2


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_text_along_a_turned_page_is_read_like_any_other(rotation: int) -> None:
    # text that runs upwards on the page stands upright once the page is shown turned by 90 degrees
    matrix = {90: "0 1 -1 0 {y} {x}", 180: "-1 0 0 -1 {nx} {ny}", 270: "0 -1 1 0 {ny2} {nx2}"}[rotation]
    lines = wrap(PROSE, 60)
    parts = []
    for number, line in enumerate(lines):
        y = 100 + 12 * number
        at = matrix.format(x=60, y=y, nx=500, ny=y, nx2=780, ny2=500 - 12 * number)
        parts.append(f"BT /F1 10 Tf {at} Tm ({line}) Tj ET")
    marker = page_stream([(1, 1, 1, "marker")])
    body = make_pdf([[(1, 1, 1, "marker")]], compress=False, rotation=rotation)
    stream = "\n".join(parts).encode()
    body = body.replace(b"/Length %d" % len(marker), b"/Length %d" % len(stream)).replace(marker, stream)
    assert text_of(body, "a.pdf") == PROSE.strip()


def test_pdf_prose_beside_a_box_is_joined() -> None:
    narrow, wide = wrap(PROSE, 30), wrap(PROSE, 90)
    text = text_of(make_pdf([column(narrow + wide)]), "a.pdf")
    assert PROSE.strip() in text.replace("\n", " ")
    assert text.count("\n") <= 1


def test_pdf_page_map() -> None:
    note = one(make_pdf([column([f"Page {word} says this."]) for word in ("one", "two", "three")]), "a.pdf")
    text = note.canonical.text
    assert note.canonical.page_starts == (0, text.index("Page two"), text.index("Page three"))
    assert [note.canonical.page(text.index(word)) for word in ("one", "two", "three")] == [1, 2, 3]
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("They expect the shares to out-", "perform the market from here.", "outperform the market"),
        ("The gain is the best year-", "to-date in a decade or so.", "year-to-date in"),
        ("It touched a high for a 52-", "week period on Monday.", "52-week period"),
        ("The run of the Anglo-", "American shares went on and on.", "Anglo-American shares"),
        ("A re-rating came. The re-", "rating was overdue, they say.", "The re-rating was"),
    ],
)
def test_hyphens_at_line_ends(first: str, second: str, joined: str) -> None:
    assert joined in text_of(make_pdf([column([first, second])]), "a.pdf")


LINES = st.lists(
    st.builds(
        Line,
        text=st.text(alphabet="ab Z9.,-•更。\t\x02", min_size=1, max_size=12).filter(str.strip),
        left=st.integers(-50, 600),
        right=st.integers(-50, 600),
        bottom=st.integers(-50, 900),
        top=st.integers(-50, 900),
        size=st.sampled_from([0.1, 8.0, 10.0, 30.0]),
        weight=st.sampled_from([0, 400, 700]),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, max_size=4))
def test_joining_lines_loses_nothing_but_hyphens_and_running_heads(pages: list[list[Line]]) -> None:
    texts, dropped = page_texts(pages)
    assert len(texts) == len(pages)

    def letters(text: str) -> str:
        return re.sub(r"[\s\x02-]", "", text)

    wanted = letters("".join(line.text for lines in pages for line in lines))
    found = letters("".join(texts))
    assert found == wanted if not dropped else len(found) <= len(wanted)
    assert "\x02" not in "".join(texts)


def test_running_heads_and_page_numbers_are_left_out_after_the_first() -> None:
    pages = []
    for number in range(1, 6):
        body = column([f"Body line of page {number} is here.", f"Target price HK$ {80 + number}"], top=700)
        pages.append([(60, 820, 9, "North & Co Research"), *body, (280, 30, 9, f"Page {number} of 5")])
    note = one(make_pdf(pages), "a.pdf")
    assert note.canonical.text.count("North & Co") == 1
    assert "of 5" not in note.canonical.text
    assert [f"HK$ {80 + number}" in note.canonical.text for number in range(1, 6)] == [True] * 5
    assert any("running heads" in warning for warning in note.warnings)


def test_raised_small_digits_are_no_part_of_the_number() -> None:
    items = [(60, 700, 10, "Inflows of HK$26.6"), (146, 704, 6, "1"), (152, 700, 10, "billion were seen.")]
    text = text_of(make_pdf([items]), "a.pdf")
    assert "26.61" not in text
    assert "26.6" in text
    assert "billion" in text


def test_text_outside_of_the_page_is_left_out_and_said() -> None:
    note = one(make_pdf([[*column(["Shown text."]), (2000, 500, 10, "not shown")]]), "a.pdf")
    assert note.canonical.text == "Shown text."
    assert any("outside of the page" in warning for warning in note.warnings)


def test_twenty_pages_are_twenty_pages() -> None:
    body = make_pdf([column(wrap(PROSE * 12, 90)) for _ in range(20)])
    note = one(body, "a.pdf")
    assert len(note.canonical.page_starts) == 20


# --- Word ------------------------------------------------------------------------------------------------------------


def test_docx_paragraphs_tables_and_properties() -> None:
    note = one(
        make_docx(["Buyers return", PROSE], [["Rating", "Buy"], ["Target", "HK$85"]], "A title", "Ann Lee"), "a.docx"
    )
    assert note.canonical.text == f"Buyers return\n\n{PROSE.strip()}\n\nRating\tBuy\nTarget\tHK$85"
    assert (note.declared["title"], note.declared["analyst"]) == ("A title", "Ann Lee")
    assert note.basis["title"] == "metadata"


def test_docx_tracked_hidden_boxed_and_raised_text() -> None:
    run = "<w:r><w:t xml:space='preserve'>{}</w:t></w:r>".format
    body = (
        f"<w:p><w:pPr><w:tabs><w:tab w:val='left' w:pos='720'/></w:tabs></w:pPr>{run('Target ')}"
        f"<w:del><w:r><w:delText>75</w:delText></w:r></w:del><w:ins>{run('85')}</w:ins>"
        "<w:r><w:rPr><w:vertAlign w:val='superscript'/></w:rPr><w:t>1</w:t></w:r>"
        f"<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>{run('.')}"
        "<w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>Box: Buy</w:t></w:r></w:p></w:txbxContent>"
        "</mc:Choice><mc:Fallback><w:txbxContent><w:p><w:r><w:t>Box: Buy</w:t></w:r></w:p></w:txbxContent>"
        "</mc:Fallback></mc:AlternateContent></w:r></w:p>"
        f"<w:p>{run('a')}<w:r><w:tab/></w:r>{run('b')}<w:r><w:br/></w:r>{run('c')}</w:p>"
    )
    note = one(make_zip({"word/document.xml": word_xml(body)}), "a.docx")
    assert note.canonical.text == "Target 85.\nBox: Buy\n\na\tb\nc"
    assert note.warnings == ("6 hidden characters left out", "tracked changes are read as accepted")


# --- e-mail ----------------------------------------------------------------------------------------------------------


def test_mail_with_attachments() -> None:
    html = f"<p>{PROSE}</p><table><tr><td>Rating</td><td>Buy</td></tr></table>"
    attached = make_pdf([column(["A note in the PDF."])], {"CreationDate": "D:20250101"})
    rows = b"date,headline\n2025-02-17,One\n2025-02-17,Two\n"
    body = make_mail(
        "View in a browser",
        html,
        attachments=[
            ("../../etc/note.pdf", "application/pdf", attached),
            ("list.csv", "text/csv", rows),
            ("data.bin", "application/octet-stream", bytes(range(32)) * 9),
            ("chart.png", "image/png", b"\x89PNG"),
        ],
    ).as_bytes()
    mail, pdf, *lines = read_document(body, "a.eml")
    assert mail.canonical.text == f"Flows today\n\n{PROSE.strip()}\n\nRating\tBuy"
    assert mail.declared == {
        "title": "Flows today",
        "date": "2025-02-18",
        "source": "Desk <desk@example.com>",
        "id": "20250218.1@example.com",
    }
    assert [("data.bin" in w, "chart.png" in w) for w in mail.warnings] == [(True, False), (False, True)]
    assert (pdf.part, pdf.file_type, pdf.canonical.text) == (
        "attachment 1: ../../etc/note.pdf",
        "pdf",
        "A note in the PDF.",
    )
    assert (pdf.declared["date"], pdf.basis["date"]) == ("2025-01-01", "metadata")
    assert (pdf.declared["source"], pdf.basis["source"]) == ("Desk <desk@example.com>", "header")
    assert [item.part for item in lines] == ["attachment 2: list.csv, line 2", "attachment 2: list.csv, line 3"]


def test_plain_mail_is_unwrapped_and_chinese_headers_are_read() -> None:
    message = make_mail("\n".join(wrap(PROSE, 72)) + "\n\n" + SIMPLIFIED, subject="南向资金净买入")
    (note,) = read_document(message.as_bytes(), "x")
    assert note.canonical.text == f"南向资金净买入\n\n{PROSE.strip()}\n\n{SIMPLIFIED}"


def test_mail_inside_a_mail() -> None:
    inner, outer = make_mail("The inner text.", subject="Inner"), make_mail("The outer text.", subject="Outer")
    outer.add_attachment(inner)
    first, second = read_document(outer.as_bytes(), "a.eml")
    assert first.canonical.text == "Outer\n\nThe outer text."
    assert (second.part, second.canonical.text) == ("attachment 1: Inner", "Inner\n\nThe inner text.")


def test_a_mailbox_holds_several_mails() -> None:
    line = b"From desk@example.com Tue Feb 18 07:45:00 2025\n"
    first = make_mail("First text.\n\nFrom here on we buy, they said in 2025", subject="One").as_bytes()
    second = make_mail("Second text.", subject="Two", attachments=[("a.txt", "application/x", b"Attached")]).as_bytes()
    empty = b"From: a@b\nTo: c@d\nMIME-Version: 1.0\n\n"
    notes = read_document(line + first + b"\n" + line + second + b"\n\n" + line + empty, "a.mbox")
    assert [note.part for note in notes] == ["mail 1", "mail 2", "mail 2, attachment 1: a.txt"]
    assert [note.title for note in notes] == ["One", "Two", ""]
    assert notes[0].canonical.text.endswith("they said in 2025")
    assert "mail 3 cannot be read" in notes[0].warnings[-1]


def test_a_bad_attachment_alone_refuses_the_mail() -> None:
    error = refusal(
        make_mail("", subject="S", attachments=[("a.pdf", "application/pdf", b"%PDF-1.4 no")]).as_bytes(), "a.eml"
    )
    assert error.rule == "text_found"
    assert "a.pdf" in error.message


# --- headlines -------------------------------------------------------------------------------------------------------


def test_csv_headlines() -> None:
    body = (
        'Date,Headline,Ticker,Broker,Notes\n2025-02-17,"Keeps Buy, lifts target",0700.HK,North,x\n\n'
        '18/02/2025,"Two\nlines",,,\n,,,,y\n2025-02-19,目标价上调,,,\n'
    )
    notes = read_document(body.encode(), "a.csv")
    assert [note.canonical.text for note in notes] == ["Keeps Buy, lifts target", "Two\nlines", "目标价上调"]
    assert [note.part for note in notes] == ["line 2", "line 4", "line 7"]
    assert notes[0].declared == {"date": "2025-02-17", "ticker": "0700.HK", "broker": "North"}
    assert notes[1].declared == {"date": "2025-02-18"}
    assert notes[0].warnings == ("1 rows without text left out (lines 6)",)
    assert notes[0].title == "Keeps Buy, lifts target"


def test_a_list_of_one_column_needs_no_quotes() -> None:
    notes = read_document(b'headline\nKeeps Buy, lifts target\n"Quoted, too"\n', "a.csv")
    assert [note.canonical.text for note in notes] == ["Keeps Buy, lifts target", "Quoted, too"]


def test_jsonl_headlines_and_the_side_car_below_their_columns() -> None:
    body = (
        '{"id": 7, "title": "T", "text": "Body text", "date": "2025-02-17", "tags": [1]}\n\n'
        '{"headline": "H", "language": null}\n'
    )
    first, second = read_document(body.encode(), "a.jsonl", b"broker: North\ndate: 2025-03-01\n")
    assert first.canonical.text == "T\n\nBody text"
    assert first.declared == {"id": "7", "date": "2025-02-17", "broker": "North"}
    assert first.basis == {"id": "column", "date": "column", "broker": "side_car"}
    assert (second.part, second.declared) == ("line 3", {"date": "2025-03-01", "broker": "North"})


def test_many_headlines_are_read() -> None:
    body = "date,headline\n" + "2025-02-17,Index up 3 per cent as buyers return from the break\n" * 20_000
    assert len(read_document(body.encode(), "a.csv")) == 20_000


# --- side-car, types, and the child ----------------------------------------------------------------------------------


def test_side_car_stands_above_the_document() -> None:
    note = one(b"---\nbroker: A\ntitle: T\n---\nText", "a.md", "broker: 中金\nanalyst: Ann\ntitle: Other\n".encode())
    assert note.declared == {"broker": "中金", "title": "Other", "analyst": "Ann"}
    assert note.title == "Other"
    assert note.basis["broker"] == "side_car"


@pytest.mark.parametrize(
    ("body", "name", "kind"),
    [
        (page("<p>Text</p>"), "a.pdf", "html"),
        (make_pdf([column(["Text"])]), "a.txt", "pdf"),
        (make_docx(["Text"]), "a.pdf", "docx"),
        (make_mail("Text").as_bytes(), "a.html", "eml"),
        (b"Only words here.", "a.pdf", "txt"),
        (b'{"headline": "Text"}\n', "a.txt", "jsonl"),
        (b"date,headline\n2025-01-01,Text\n", "a.txt", "csv"),
    ],
)
def test_content_decides_and_a_wrong_name_is_said(body: bytes, name: str, kind: str) -> None:
    note = read_document(body, name)[0]
    assert note.file_type == kind
    assert any(f"read as {kind}" in warning for warning in note.warnings)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"Subject: the year of banks\n\nFrom: here on it is prose.", "a.txt"),
        (b"From our desk: banks lead\nTo: all clients\n\nText", "memo.txt"),
        (b"[North] keeps Buy on it", "a.txt"),
        (b"Rating, target and more, explained\nA list, of sorts", "a.txt"),
        (b"{not json} at all", "a.txt"),
        (b"How to read %PDF-1.4 marks", "a.txt"),
        (b"Only words here.", "Note of 18.02.2025"),
        (b"5 < 6 and 7 > 3 in the table", "a"),
    ],
)
def test_prose_that_looks_like_something_else_is_prose(body: bytes, name: str) -> None:
    note = one(body, name)
    assert note.file_type == "txt"
    assert note.canonical.text == body.decode()


def test_one_child_reads_many_documents() -> None:
    body = make_pdf([column(["Text"])])
    guard.close()
    read_document(body, "a.pdf")
    (child,) = guard._idle
    for _ in range(50):
        read_document(body, "a.pdf")
    assert guard._idle == [child]


def test_threads_do_not_mix_answers() -> None:
    seen: dict[int, str] = {}

    def work(number: int) -> None:
        seen[number] = text_of(make_pdf([column([f"Text of thread {number}."])]), "a.pdf")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: f"Text of thread {number}." for number in range(4)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_fork_has_its_own_child_and_leaves_that_of_its_parent() -> None:
    body = make_pdf([column(["Text"])])
    read_document(body, "a.pdf")
    pid = os.fork()
    if pid == 0:  # pragma: no cover - runs in the forked process
        code = 1
        try:
            is_empty = not guard._idle
            code = 0 if is_empty and text_of(body, "a.pdf") == "Text" else 2
            guard.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert text_of(body, "a.pdf") == "Text"
