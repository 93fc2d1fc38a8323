"""Documents of every type that the readers know, built in memory for tests."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Sequence
from email.message import EmailMessage

from rally_pipeline.errors import PayloadError

#: x, y (points, upwards), size, text; or with a fifth item the font: F1 Helvetica, F2 Helvetica-Bold.
Placed = tuple[float, float, float, str] | tuple[float, float, float, str, str]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def page_stream(items: Iterable[Placed]) -> bytes:
    """The content stream of a page."""
    parts = []
    for item in items:
        font = item[4] if len(item) == 5 else "F1"
        parts.append(f"BT /{font} {item[2]} Tf 1 0 0 1 {item[0]} {item[1]} Tm ({_escaped(item[3])}) Tj ET")
    return "\n".join(parts).encode("cp1252")


def make_pdf(
    pages: Sequence[Sequence[Placed]],
    info: dict[str, str] | None = None,
    encrypt: bool = False,
    compress: bool = True,
    rotation: int = 0,
) -> bytes:
    """A PDF with text in the standard Helvetica fonts, and a correct table of objects."""
    objects: list[bytes] = [b"", b""]  # catalog and pages come last, their numbers are 1 and 2
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>")
    kids = []
    for items in pages:
        stream = page_stream(items)
        packed = zlib.compress(stream) if compress else stream
        kind = b" /Filter /FlateDecode" if compress else b""
        objects.append(b"<< /Length %d%s >>\nstream\n" % (len(packed), kind) + packed + b"\nendstream")
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Rotate %d /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>" % (rotation, len(objects))
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    trailer = b"/Root 1 0 R"
    if info:
        entries = " ".join(f"/{key} ({_escaped(text)})" for key, text in info.items())
        objects.append(f"<< {entries} >>".encode("cp1252"))
        trailer += b" /Info %d 0 R" % len(objects)
    if encrypt:
        objects.append(b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"41" * 32 + b"> /U <" + b"42" * 32 + b"> >>")
        trailer += b" /Encrypt %d 0 R /ID [<%s> <%s>]" % (len(objects), b"43" * 16, b"43" * 16)
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n" % number + content + b"\nendobj\n")
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for place in places:
        out.write(b"%010d 00000 n \n" % place)
    out.write(b"trailer << /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, table))
    return out.getvalue()


def column(lines: Sequence[str], x: float = 60, top: float = 780, size: float = 10, step: float = 12) -> list[Placed]:
    """Lines one under the other."""
    return [(x, top - number * step, size, line) for number, line in enumerate(lines)]


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters."""
    import textwrap

    return textwrap.wrap(text, width, break_on_hyphens=False)


def make_docx(
    paragraphs: Sequence[str] = (),
    table: Sequence[Sequence[str]] = (),
    title: str = "",
    author: str = "",
) -> bytes:
    """A Word document as python-docx writes it."""
    import docx

    document = docx.Document()
    for text in paragraphs:
        document.add_paragraph(text)
    if table:
        grid = document.add_table(rows=len(table), cols=len(table[0]))
        for row, cells in zip(grid.rows, table, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    document.core_properties.title = title
    document.core_properties.author = author
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def make_zip(members: dict[str, bytes]) -> bytes:
    """A zip archive."""
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def word_xml(body: str, head: str = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>') -> bytes:
    """The main part of a Word document."""
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    markup = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    return (f'{head}<w:document xmlns:w="{space}" xmlns:mc="{markup}"><w:body>{body}</w:body></w:document>').encode()


def make_mail(
    text: str = "",
    html: str = "",
    subject: str = "Flows today",
    sender: str = "Desk <desk@example.com>",
    attachments: Sequence[tuple[str, str, bytes]] = (),
) -> EmailMessage:
    """An e-mail; attachments are (name, media type, content)."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = "notes@example.org"
    message["Subject"] = subject
    message["Date"] = "Tue, 18 Feb 2025 07:45:00 +0800"
    message["Message-ID"] = "<20250218.1@example.com>"
    if text:
        message.set_content(text)
    if html and text:
        message.add_alternative(html, subtype="html")
    elif html:
        message.set_content(html, subtype="html")
    for name, kind, content in attachments:
        main, _, sub = kind.partition("/")
        message.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return message


def refusal(body: bytes, name: str, side_car: bytes | None = None) -> PayloadError:
    """The error with which a document is refused."""
    from rally_pipeline.notes.readers import read_document

    try:
        notes = read_document(body, name, side_car)
    except PayloadError as error:
        return error
    raise AssertionError(f"read as {[note.file_type for note in notes]}: {notes[0].canonical.text[:200]!r}")
