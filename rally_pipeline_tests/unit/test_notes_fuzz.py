"""Random and mutated documents: a reader refuses by name or reads, and what is read is extracted from with exact spans;
nothing else may happen.

The number of examples of each property is ``RALLY_FUZZ_EXAMPLES``; the default only guards against the coarse.
"""

from __future__ import annotations

import datetime as dt
import functools
import io
import math
import os
import time
import zipfile

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog import load_catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.context import context_of
from rally_pipeline.notes.extract import extract_note
from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.notes.readers import read_document
from rally_pipeline.notes.readers.content import clean
from rally_pipeline.notes.records import CanonicalText, ReadNote
from rally_pipeline_tests.note_documents import column, make_docx, make_mail, make_pdf, make_zip

EXAMPLES = int(os.environ.get("RALLY_FUZZ_EXAMPLES", "40"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
NAMES = st.sampled_from(
    ["a.txt", "a.md", "a.html", "a.eml", "a.pdf", "a.docx", "a.csv", "a.jsonl", "a", "a.bin", ".", "", "a.\u202epdf"]
)
HTML = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>T</title><meta name=date content=2025-02-18></head>"
    "<body><nav>x</nav><article><h1>Buyers</h1><p style='display:none'>x</p><p>Up 26.6<sup>1</sup> bn 买入</p>"
    "<table><tr><td>a<td>b</table><pre>x\n y</pre><ul><li>1<li>2</ul></article></body></html>"
)
#: What carries meaning in one of the formats.
TOKENS = st.sampled_from(
    [
        *(b"<table><tr><td>", b"</td>", b"<sup>1</sup>", b"<pre>", b"style='display:none'", b"&#0;", b"&#xD800;"),
        *(b"<svg>", b"<!--", b"\r\n--x\r\n", b"Content-Type: multipart/mixed; boundary=x\r\n\r\n", b"=?b?B?"),
        *(b"Content-Transfer-Encoding: base64\r\n", b"<w:p>", b"<w:tbl><w:tr><w:tc>", b"</w:tc>", b"<w:txbxContent>"),
        *(b"<w:del>", b"<w:vanish/>", b"<w:t>", b"<!DOCTYPE x>", b"BT /F1 1 Tf", b"(x) Tj ET", b"0 0 0 0 0 0 Tm"),
        *(b"endobj", b"/Kids [2 0 R]", b"1e308 -1e308 Td", b"%PDF-", b"PK\x03\x04", b"---\n", b": &a [*a]\n", b'"'),
        *(b",", b"{", b"[[[", b"\0", b"\xff\xfe", b"\xed\xa0\x80", "\u202e".encode(), b"\f", b"\r"),
    ]
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "copy", "insert", "end", "swap"]),
        st.floats(0, 1),
        st.floats(0, 1),
        st.one_of(TOKENS, st.binary(min_size=1, max_size=12)),
    ),
    min_size=1,
    max_size=6,
)
Edit = tuple[str, float, float, bytes]


@functools.cache
def documents() -> dict[str, bytes]:
    pdf = make_pdf(
        [column(["Buyers return to the market", "and stay 26.6 bn."]), column(["Page two."])],
        {"Title": "T"},
        compress=False,
    )
    word = make_docx(["Buyers return", "Text."], [["a", "b"], ["c", "d"]], "T", "A")
    mail = make_mail(
        "Plain text.", HTML, attachments=[("a.pdf", "application/pdf", pdf), ("b.csv", "text/csv", b"headline\nA\n")]
    )
    outer = make_mail("Outer.")
    outer.add_attachment(mail)
    return {
        "a.txt": "Buyers return.\r\n\r\n恒指升3%\f26.6 bn\n".encode(),
        "b.txt": "恒生指數今年以來累升13%，目標價由75元上調至85元".encode("big5hkscs"),
        "a.md": b"---\ntitle: T\ndate: 2025-02-18\nauthor: [a, b]\n---\n# T\n\n- a\n| b | c |\n",
        "a.html": HTML.encode(),
        "a.eml": outer.as_bytes(),
        "a.pdf": pdf,
        "a.docx": word,
        "a.csv": 'date,headline,id\n2025-02-18,"A, b",1\n18/02/2025,目标,2\n'.encode(),
        "a.jsonl": b'{"headline": "A", "date": "2025-02-18"}\n{"text": "B", "id": 2}\n',
    }


def mutate(body: bytes, edits: list[Edit]) -> bytes:
    for kind, where, share, data in edits:
        at = int(where * len(body))
        stop = at + int(share * share * (len(body) - at))
        if kind == "flip" and body:
            at = min(at, len(body) - 1)
            body = body[:at] + bytes([body[at] ^ data[0]]) + body[at + 1 :]
        elif kind == "cut":
            body = body[:at] + body[stop:]
        elif kind == "copy":
            body = body[:stop] + body[at:stop] * (1 + data[0] % 4) + body[stop:]
        elif kind == "insert":
            body = body[:at] + data + body[at:]
        elif kind == "end":
            body = body[:at]
        else:
            body = body[stop:] + body[:stop]
    return body[:1_000_000]


def outcome(body: bytes, name: str, side_car: bytes | None) -> tuple[list[ReadNote], PayloadError | None]:
    """Notes, at least one, or why there are none; any other error is a failure of the test."""
    try:
        notes = read_document(body, name, side_car)
    except PayloadError as error:
        return [], error
    assert notes
    return notes, None


@functools.cache
def lexicon() -> Lexicon:
    return Lexicon.from_catalog(load_catalog(None))


def check_extraction(note: ReadNote) -> None:
    """Whatever the text, every span is exact and lies in it, and mentions do not overlap."""
    text = note.canonical.text
    context, basis = context_of(note, dt.datetime(2025, 3, 1, tzinfo=dt.UTC), lexicon())
    assert set(basis) <= {"as_of", "broker", "analyst", "newspaper", "ticker", "title"}
    found = extract_note(note, context, lexicon())
    event(f"{min(len(found.claims), 3)} claims")
    assert len({one.claim_id for one in found.claims}) == len(found.claims)
    for one in found.claims:
        claim = one.claim
        assert 0 <= claim.start < claim.end <= len(text)
        assert text[claim.start : claim.end] == claim.quote
        assert text.startswith(one.prefix, claim.start - len(one.prefix))
        assert text.startswith(one.suffix, claim.end)
        assert claim.value is None or math.isfinite(claim.value)
        assert one.page >= 1
    end = 0
    for mention in found.mentions:
        assert end <= mention.start < mention.end <= len(text)
        assert text[mention.start : mention.end] == mention.text
        end = mention.end


def check_note(note: ReadNote) -> None:
    text, starts = note.canonical.text, note.canonical.page_starts
    assert text.strip()
    assert clean(text) == (text, ())
    text.encode()
    assert starts[0] == 0
    assert list(starts) == sorted(starts)
    assert starts[-1] <= len(text) <= limits.MAX_NOTE_CHARACTERS
    assert set(note.basis) == set(note.declared)
    for field in (note.part, note.title, *note.declared.values(), *note.warnings):
        field.encode()
    assert all(note.declared.values())
    assert "\n" not in note.title + note.part


def check(body: bytes, name: str, side_car: bytes | None = None) -> None:
    start = time.monotonic()
    notes, refused = outcome(body, name, side_car)
    if refused is not None:
        event(refused.rule)
        assert refused.rule != "reader_failed", refused
        assert refused.rule.replace("_", "").isalpha()
        assert refused.message
        str(refused).encode()
    else:
        event(notes[0].file_type)
    assert len({note.part for note in notes}) == len(notes)
    for note in notes[:20]:
        check_note(note)
        check_extraction(note)
    assert time.monotonic() - start < limits.MAX_WORK_SECONDS


@fuzz
@given(st.binary(max_size=2_000), NAMES)
def test_random_bytes(body: bytes, name: str) -> None:
    check(body, name)


@fuzz
@given(st.text(max_size=500), NAMES, st.sampled_from(["utf-8", "utf-16", "gb18030"]))
def test_random_text(text: str, name: str, encoding: str) -> None:
    check(text.encode(encoding, "ignore"), name)


@pytest.mark.parametrize("name", sorted(documents()))
@fuzz
@given(EDITS, st.booleans())
def test_mutated_documents(name: str, edits: list[Edit], is_named: bool) -> None:
    check(mutate(documents()[name], edits), name if is_named else "a")


#: What the grammars look for, in pieces that need not fit together.
PIECES = st.sampled_from(
    [
        *(
            "The Hang Seng Index ",
            "恒指",
            "Alibaba ",
            "阿里巴巴",
            "Southbound investors ",
            "南向资金",
            "Goldman Sachs ",
            "高盛",
            "HSBC ",
        ),
        *(
            "rose ",
            "fell ",
            "累升",
            "净买入",
            "upgraded ",
            "raised its target ",
            "目标价由",
            "上调至",
            "maintains Buy ",
            "said ",
        ),
        *(
            "13 percent ",
            "13%",
            "-2.1% ",
            "HK$26.6 billion ",
            "266亿港元",
            "HKUSD 1 (USD 2) ",
            "22,620.33 ",
            "4. 2% ",
            "80 cents ",
        ),
        *(
            "this year ",
            "年初至今",
            "since mid-January ",
            "a three-year high ",
            "三年新高",
            "to HK$85 from HK$75 ",
            "respectively ",
            "and ",
        ),
        *(
            ", ",
            ". ",
            "。",
            "“",
            "” ",
            "(",
            ")",
            "\n",
            "\n\n",
            "\t",
            "- ",
            "$",
            "%",
            "亿",
            "to ",
            "from ",
            "at ",
            "1,",
            "\u00a0",
            "\u2212",
        ),
    ]
)


@fuzz
@given(st.lists(PIECES, max_size=60).map("".join))
def test_pieces_of_claims_in_any_order(text: str) -> None:
    if text.strip():
        check_extraction(ReadNote("", CanonicalText(text), "txt"))


@fuzz
@given(st.sampled_from(["word/document.xml", "docProps/core.xml", "_rels/.rels"]), EDITS)
def test_word_documents_with_mutated_parts(member: str, edits: list[Edit]) -> None:
    with zipfile.ZipFile(io.BytesIO(documents()["a.docx"])) as archive:
        members = {name: archive.read(name) for name in ("word/document.xml", "docProps/core.xml", "_rels/.rels")}
    members[member] = mutate(members[member], edits)
    check(make_zip(members), "a.docx")


@fuzz
@given(
    st.one_of(st.binary(max_size=300), st.text(alphabet="abc: \n-[]{}&*!|>'\"#%@,?0\t", max_size=200).map(str.encode))
)
def test_side_cars_and_front_matter(yaml: bytes) -> None:
    check(b"Text.", "a.txt", yaml)
    check(b"---\n" + yaml + b"\n---\nText.", "a.md")
