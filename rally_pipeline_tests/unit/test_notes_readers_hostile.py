"""Broken and hostile documents: each is refused by name, or read within its bounds, and soon."""

from __future__ import annotations

import base64
import contextlib
import io
import time
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers import guard, read_document
from rally_pipeline_tests.note_documents import column, make_docx, make_mail, make_pdf, make_zip, refusal, word_xml


@pytest.fixture(autouse=True)
def _is_soon() -> Iterator[None]:
    """Nothing here may take long, whatever it does."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 15


def outcome(body: bytes, name: str) -> tuple[str, str]:
    """The rule by which a document is refused (``""`` = it is read), and the text of its first note."""
    try:
        return "", read_document(body, name)[0].canonical.text
    except PayloadError as error:
        return error.rule, ""


@pytest.mark.parametrize(
    ("body", "name", "rule"),
    [
        (b"", "a.txt", "not_empty"),
        (b" \r\n\0\0", "a.pdf", "not_empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.docx", "file_kind"),
        (b"{\\rtf1 text}", "a.txt", "file_kind"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "a.txt", "file_kind"),
        (b"\x1f\x8b\x08" + bytes(range(256)), "a.txt", "file_kind"),
        (bytes(range(256)) * 40, "a.txt", "file_kind"),
        (b"x = 1\n", "a.py", "file_kind"),
        (b"PK\x03\x04 no zip", "a.docx", "not_damaged"),
        (b"%PDF-1.7\nno pdf", "a.pdf", "not_damaged"),
        (b"Only a header line\nand no columns", "a.csv", "columns_known"),
        (b"headline,date\nA,2025-01-01,more\n", "a.csv", "table_shape"),
        (b"headline,date\n", "a.csv", "text_found"),
        (b"headline\n" + b"x" * 200_000, "a.csv", "table_shape"),
        (b",".join(b"headline" for _ in range(1_000)) + b"\n", "a.csv", "column_bound"),
        (b"," * 150_000 + b"\nheadline", "a.csv", "column_bound"),
        (b"[1, 2]\n", "a.jsonl", "json_valid"),
        (b'{"headline": "cut', "a.jsonl", "json_valid"),
        (b'{"headline": ' + b"[" * 100_000, "a.jsonl", "json_valid"),
        (b'{"headline": ' + b"9" * 10_000 + b"}", "a.jsonl", "json_valid"),
        (b'{"headline": ["a"]}', "a.jsonl", "value_kind"),
        (b'{"other": "a"}', "a.jsonl", "columns_known"),
        (b'{"headline": "' + b"a" * 1_100_000 + b'"}', "a.jsonl", "table_shape"),
        (b"<html><body><p> </p></body></html>", "a.html", "text_found"),
        (b"a b " * 600_000, "a.txt", "text_bound"),
        (b"From: a@b\nTo: c@d\nSubject: s\nMIME-Version: 1.0\n\n", "a.eml", "text_found"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value,
)
def test_refusals_by_rule(body: bytes, name: str, rule: str) -> None:
    error = refusal(body, name)
    assert error.rule == rule
    assert error.message
    assert error.fix


def test_the_size_bound_holds_before_anything_is_read() -> None:
    assert refusal(b"%PDF-1.4" + b"0" * limits.MAX_DOCUMENT_BYTES, "a.pdf").rule == "size_bound"


def test_nul_bytes_inside_words_are_seen() -> None:
    (note,) = read_document(b"Inflow of 26\0.6 bn was good for the index today, said a\0 trader", "a.txt")
    assert "26\ufffd.6" in note.canonical.text
    assert note.warnings


# --- YAML ------------------------------------------------------------------------------------------------------------

BOMB = "a: &a [x, x]\n" + "".join(f"k{n}: &b{n} [*a, *a, *a]\n" for n in range(20))


@pytest.mark.parametrize(
    ("yaml", "ending"),
    [
        (BOMB, "safe"),
        ("a: &x b", "safe"),
        ("a: " + "[" * 50 + "]" * 50, "safe"),
        ("a: [1", "valid"),
        ("a: b\n\tc: d", "valid"),
        ("a: 'open", "valid"),
    ],
)
def test_yaml_that_could_unfold_or_is_broken(yaml: str, ending: str) -> None:
    assert refusal(f"---\n{yaml}\n---\nText".encode(), "a.md").rule == f"front_matter_{ending}"
    error = refusal(b"Text", "a.txt", yaml.encode())
    assert (error.rule, error.locator) == (f"side_car_{ending}", "side-car")


def test_yaml_tags_are_not_obeyed() -> None:
    (note,) = read_document(b"Text", "a.txt", b"broker: !!python/object/apply:os.system ['echo']\ntitle: !!int x\n")
    assert note.declared == {"broker": "echo", "title": "x"}


def test_side_car_bounds() -> None:
    assert refusal(b"Text", "a.txt", b"a: " + b"x" * 20_000).rule == "side_car_safe"
    assert refusal(b"Text", "a.txt", b"[" * 16_000).rule == "side_car_safe"
    assert refusal(b"Text", "a.txt", b"\xff\xfe").rule == "side_car_valid"
    assert refusal(b"Text", "a.txt", b"- a\n- b").rule == "side_car_valid"
    assert refusal(b"Text", "a.txt", b"date: 03/04/2025").rule == "side_car_date"


# --- docx ------------------------------------------------------------------------------------------------------------


def test_zip_bombs() -> None:
    ratio = make_zip({"word/document.xml": word_xml("<w:p/>" + " " * 30_000_000)})
    assert len(ratio) < 100_000
    assert refusal(ratio, "a.docx").rule == "zip_bomb"
    many = make_zip({"word/document.xml": b"x"} | {f"m{n}": b"" for n in range(limits.MAX_ZIP_MEMBERS)})
    assert refusal(many, "a.docx").rule == "zip_bomb"


def test_a_size_that_the_directory_lies_about() -> None:
    body = bytearray(make_zip({"word/document.xml": word_xml("<w:p><w:r><w:t>Text</w:t></w:r></w:p>")}))
    at = body.rfind(b"PK\x01\x02")
    body[at + 24 : at + 28] = (20).to_bytes(4, "little")
    assert refusal(bytes(body), "a.docx").rule == "not_damaged"


def test_entities_of_docx_are_never_expanded() -> None:
    laughs = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    external = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    for head, use in (
        (laughs, "&b;"),
        (external, "&a;"),
        ('<?xml version="1.0"?><!DOCTYPE x SYSTEM "http://x/y.dtd">', "z"),
    ):
        body = make_zip({"word/document.xml": word_xml(f"<w:p><w:r><w:t>{use}</w:t></w:r></w:p>", head)})
        assert refusal(body, "a.docx").rule == "xml_safe"


def test_docx_that_is_nested_cut_or_something_else() -> None:
    deep = word_xml("<w:tbl>" * 100_000)
    assert refusal(make_zip({"word/document.xml": deep}), "a.docx").rule == "nesting_bound"
    assert refusal(make_zip({"word/document.xml": b"<w:document"}), "a.docx").rule == "not_damaged"
    assert refusal(make_zip({"xl/workbook.xml": b"<a/>"}), "a.docx").rule == "file_kind"
    assert refusal(make_zip({"a.txt": b"text"}), "a.zip").rule == "file_kind"
    whole = make_docx(["Text"])
    assert refusal(whole[: len(whole) // 2], "a.docx").rule == "not_damaged"
    links = b'<Relationships><Relationship Type="x/officeDocument" Target="../../etc/passwd"/></Relationships>'
    assert refusal(make_zip({"_rels/.rels": links}), "a.docx").rule == "file_kind"


def test_an_encrypted_member_is_refused() -> None:
    body = bytearray(make_zip({"word/document.xml": word_xml("<w:p/>")}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.find(mark) + place] |= 1
    assert refusal(bytes(body), "a.docx").rule == "encrypted"


def test_text_of_a_docx_beyond_the_bound() -> None:
    run = "<w:p><w:r><w:t>" + "many different words here " * 40 + "</w:t></w:r></w:p>"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("word/document.xml", word_xml(run * 2_100))
    assert refusal(out.getvalue(), "a.docx").rule == "text_bound"


# --- PDF -------------------------------------------------------------------------------------------------------------


def test_five_hundred_pages_are_read_and_five_thousand_refused() -> None:
    page = column([f"Line {number} of the page says what it says." for number in range(8)])
    (note,) = read_document(make_pdf([page] * limits.MAX_PAGES_READ), "a.pdf")
    assert len(note.canonical.page_starts) == limits.MAX_PAGES_READ
    assert refusal(make_pdf([column(["x"])] * 5_000), "a.pdf").rule == "page_bound"
    (note,) = read_document(make_pdf([column(["A line."])] * (limits.MAX_PAGES_READ + 2)), "a.pdf")
    assert f"pages {limits.MAX_PAGES_READ + 1} to {limits.MAX_PAGES_READ + 2} left out" in note.warnings


def test_pdf_that_is_encrypted_cut_or_without_text() -> None:
    assert refusal(make_pdf([column(["x"])], encrypt=True), "a.pdf").rule == "encrypted"
    assert refusal(make_pdf([[]]), "a.pdf").rule == "text_found"
    whole = make_pdf([column([f"Line {number}"]) for number in range(20)])
    for share in (0.1, 0.5, 0.9):
        rule, text = outcome(whole[: int(len(whole) * share)], "a.pdf")
        assert rule in ("not_damaged", "text_found") or text.startswith("Line 0")


def test_pages_that_hold_each_other_do_not_go_on_for_ever() -> None:
    body = make_pdf([column(["Text"])]).replace(b"/Kids [6 0 R]", b"/Kids [2 0 R]")
    with pytest.raises(PayloadError):
        read_document(body, "a.pdf")


# --- e-mail ----------------------------------------------------------------------------------------------------------


def test_ten_thousand_parts() -> None:
    head = (
        b"From: a@b\r\nTo: c@d\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    )
    assert (
        refusal(head + b"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n" * 10_000 + b"--x--", "a.eml").rule
        == "part_bound"
    )


def nested(depth: int) -> bytes:
    head = b"From: a@b\r\nTo: c@d\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
    parts = [b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)]
    return head + b"".join(parts) + b"Content-Type: text/plain\r\n\r\nText"


def test_deep_mime() -> None:
    assert read_document(nested(4), "a.eml")[0].canonical.text == "s\n\nText"
    assert refusal(nested(limits.MAX_MIME_DEPTH + 3), "a.eml").rule == "nesting_bound"
    assert refusal(nested(3_000), "a.eml").rule == "part_bound"
    mails = b"From: a@b\r\nTo: c@d\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" * 5_000
    assert refusal(mails, "a.eml").rule == "nesting_bound"


def test_mails_attached_as_files_inside_each_other() -> None:
    body = make_mail("Inmost").as_bytes()
    for _ in range(6):
        body = make_mail("Around", attachments=[("m.eml", "application/octet-stream", body)]).as_bytes()
    notes = read_document(body, "a.eml")
    assert [note.canonical.text for note in notes] == ["Flows today\n\nAround"] * 3
    assert "too deep" in notes[-1].warnings[0]


def test_attachments_beyond_the_bound_are_said() -> None:
    attachments = [
        (f"{number}.txt", "application/octet-stream", b"Text of it") for number in range(limits.MAX_ATTACHMENTS + 2)
    ]
    notes = read_document(make_mail("Text", attachments=attachments).as_bytes(), "a.eml")
    assert len(notes) == 1 + limits.MAX_ATTACHMENTS
    assert len(notes[0].warnings) == 2


def test_garbage_in_base64_and_headers() -> None:
    body = (
        b"From: \xff\xfe <a@b\r\nTo: ((((((((((\r\nSubject: =?utf-8?B?!!!?= =?x?Q?=\r\n"
        b"Message-ID: <<<<\r\nDate: never\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n%%%not base64 at all***\r\n--x\r\n"
        b"Content-Type: text/plain; charset=nope\r\n\r\n"
        b"Readable.\r\n"
    )
    notes = read_document(body, "a.eml")
    assert "Readable." in notes[0].canonical.text


def test_long_headers_do_not_stall() -> None:
    body = (
        b"From: a@b\r\nTo: "
        + b"(" * 500_000
        + b"\r\nSubject: "
        + b"=?utf-8?Q?a?= " * 40_000
        + b"\r\nMIME-Version: 1.0\r\n\r\nText"
    )
    assert read_document(body, "a.eml")[0].canonical.text.endswith("Text")


def test_a_bomb_as_attachment_does_not_spoil_the_mail() -> None:
    bomb = make_zip({"word/document.xml": word_xml(" " * 30_000_000)})
    pages = b"<div>" * 100_000
    mail = make_mail(
        "Text",
        attachments=[
            ("a.docx", "application/x", bomb),
            ("b.html", "application/x", pages),
            ("c.txt", "application/x", b"Good"),
        ],
    )
    first, second = read_document(mail.as_bytes(), "a.eml")
    assert [("zip_bomb" in w, "nesting_bound" in w) for w in first.warnings] == [(True, False), (False, True)]
    assert second.canonical.text == "Good"


# --- HTML ------------------------------------------------------------------------------------------------------------


def test_deep_html() -> None:
    assert refusal(b"<html><body>" + b"<div>" * 100_000 + b"x", "a.html").rule == "nesting_bound"
    (note,) = read_document(b"<html><body>" + b"<div>" * 1_500 + b"x", "a.html")
    assert note.canonical.text == "x"
    (note,) = read_document(b"<html><body>" + b"<p>x" * 100_000, "a.html")
    assert note.canonical.text.count("x") == 100_000


@pytest.mark.parametrize(
    "piece", [b"<a <", b"<!--", b"<b><i>", b"</p>", b"<table><tr><td>", b"&amp", b"<svg><p>", b"<select><option>"]
)
def test_html_of_one_piece_over_and_over(piece: bytes) -> None:
    rule, _ = outcome(b"<html><body>x" + piece * 50_000, "a.html")
    assert rule in ("", "nesting_bound", "text_found", "reader_timeout")


# --- the child -------------------------------------------------------------------------------------------------------


def test_a_child_that_dies_or_stalls_is_a_refusal_and_the_next_document_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = make_pdf([column(["Text"])])
    guard.close()
    for reader, rule in (("_die", "reader_crashed"), ("_hang", "reader_timeout"), ("_hoard", "reader_memory")):
        with pytest.raises(PayloadError) as caught:
            guard.run({"reader": reader}, b"", time.monotonic() + 0.8)
        assert caught.value.rule == rule
    assert read_document(body, "a.pdf")[0].canonical.text == "Text"


def test_a_child_killed_while_it_waits_is_replaced() -> None:
    body = make_pdf([column(["Text"])])
    guard.close()
    read_document(body, "a.pdf")
    guard._idle[0].process.kill()
    assert read_document(body, "a.pdf")[0].canonical.text == "Text"


@pytest.mark.parametrize(
    "piece",
    ["a", "1,", "(", "更", "- ", "\n", "\r", " ", " \n", "a\n", "\u200b", "---\n", "|", "From: ", "x" * 70 + "\n"],
)
def test_plain_formats_take_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        body = f"a{piece * (size // len(piece.encode()))}b".encode()
        start = time.process_time()
        for name in ("a.txt", "a.md", "a.csv", "a.jsonl"):
            with contextlib.suppress(PayloadError):
                read_document(body, name)
        return time.process_time() - start

    seconds(10_000)
    small, large = seconds(100_000), seconds(800_000)
    assert large < 40 * small + 0.1


def test_names_are_labels() -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["MIME-Version"] = "a@b", "c@d", "s", "1.0"
    mail.set_content("x")
    mail.add_attachment(
        base64.b64decode("VGV4dA=="), maintype="application", subtype="x", filename="/etc/passwd\u202e\nfdp.txt"
    )
    notes = read_document(mail.as_bytes(), "../../../etc/shadow.eml")
    assert "\n" not in notes[1].part
    assert "\u202e" not in notes[1].part
