"""PDF to text: lines in pdfium's reading order, joined to paragraphs.

Belongs here: taking characters and their places out of a PDF. Does not belong here: what makes a paragraph
(`pdf_lines.py`). Runs in the guarded child: pdfium is native code. Scripts, forms, links and attachments of the PDF
are not touched.

Left out, each with a warning where it is text: what lies outside of the page, running heads and page numbers, and
footnote marks (small raised digits, which would grow onto the number before them).
"""

from __future__ import annotations

import ctypes
from typing import Any

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers.content import Content, too_long
from rally_pipeline.notes.readers.dates import iso_day
from rally_pipeline.notes.readers.pdf_lines import HYPHEN, Line, page_texts

#: What pdfium puts in place of a hyphen that ends a line inside a word.
HYPHENS = frozenset((0x2, 0xFFFE))
_BLANKS = (32, 160)
#: Gap between two cells, in heights of type.
_CELL_GAP = 1.1


def read_pdf(body: bytes) -> Content:
    """A PDF with a text layer.

    Raises:
        PayloadError: ``encrypted``, ``not_damaged``, ``page_bound``, ``text_found``, ``text_bound``.
    """
    import pypdfium2
    import pypdfium2.raw as pdfium

    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            raise PayloadError(
                "encrypted", "the PDF is protected by a password", "save it without the password"
            ) from None
        raise PayloadError(
            "not_damaged", f"the PDF cannot be opened ({error})", "download or export it again"
        ) from None
    try:
        return _read(document)
    finally:
        document.close()


def _read(document: Any) -> Content:
    count = len(document)
    if count > limits.MAX_PAGES:
        raise PayloadError(
            "page_bound", f"the PDF has {count:,} pages; {limits.MAX_PAGES:,} is the bound", "split the document"
        )
    warnings: list[str] = []
    if count > limits.MAX_PAGES_READ:
        warnings.append(f"pages {limits.MAX_PAGES_READ + 1} to {count} left out")
    pages: list[list[Line]] = []
    unread: list[int] = []
    outside = 0
    size = 0
    for number in range(min(count, limits.MAX_PAGES_READ)):
        lines, left_out = _page(document, number)
        if lines is None:
            unread.append(number + 1)
        outside += left_out
        pages.append(lines or [])
        size += sum(len(line.text) + 1 for line in pages[-1])
        if size > limits.MAX_NOTE_CHARACTERS:
            raise too_long()
    if not size:
        raise PayloadError(
            "text_found", f"none of the {count} pages holds text (a scan?)", "run text recognition on it first"
        )
    if unread:
        warnings.append(f"pages that cannot be read: {_listed(unread)}")
    empty = [number for number, lines in enumerate(pages, start=1) if not lines and number not in unread]
    if empty:
        warnings.append(f"pages without text (pictures?): {_listed(empty)}")
    if outside:
        warnings.append(f"{outside:,} characters outside of the page left out")
    texts, running = page_texts(pages)
    if running:
        warnings.append(f"{running} running heads, feet and page numbers left out")
    declared = _metadata(document)
    return Content(texts, declared.get("title", ""), declared, dict.fromkeys(declared, "metadata"), tuple(warnings))


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:10])) + (" ..." if len(numbers) > 10 else "")


def _metadata(document: Any) -> dict[str, str]:
    # The day it was made into a PDF is the day it was published; the later change may be a stamp of a portal.
    date = iso_day(document.get_metadata_value("CreationDate")) or iso_day(document.get_metadata_value("ModDate"))
    fields = {
        "title": document.get_metadata_value("Title"),
        "analyst": document.get_metadata_value("Author"),
        "date": date,
    }
    return {name: text for name, text in fields.items() if text and text.strip()}


def _page(document: Any, number: int) -> tuple[list[Line] | None, int]:
    """Lines of a page in pdfium's order, ``None`` if it cannot be read; and how many characters lay outside of it."""
    import pypdfium2

    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return None, 0
    try:
        crop, rotation = page.get_cropbox(fallback_ok=True), page.get_rotation()
        text_page = page.get_textpage()
    except pypdfium2.PdfiumError:
        page.close()
        return None, 0
    try:
        text = _PageText(text_page.raw, rotation)
        if text_page.count_chars() > limits.MAX_NOTE_CHARACTERS:
            raise too_long()
        lines = text.lines(text_page.count_chars())
        left, right, bottom, top = text.turned(crop[0], crop[2], crop[1], crop[3])
    finally:
        text_page.close()
        page.close()
    inside = []
    outside = 0
    for line in lines:
        if line.right < left or line.left > right or line.top < bottom or line.bottom > top:
            outside += len(line.text)
        else:
            inside.append(line)
    return inside, outside


class _PageText:
    """The characters of a page, by the place they have in pdfium's order. Boxes are as the page is shown."""

    def __init__(self, raw: Any, rotation: int) -> None:
        import pypdfium2.raw as pdfium

        self._raw = raw
        self._rotation = rotation
        self._pdfium: Any = pdfium

    def lines(self, count: int) -> list[Line]:
        """All lines of the page, none of them blank."""
        code_of = self._pdfium.FPDFText_GetUnicode
        lines: list[Line] = []
        codes: list[int] = []
        places: list[int] = []

        def end_line() -> None:
            while codes and codes[-1] in _BLANKS:
                codes.pop()
                places.pop()
            if codes:
                line = self._line(codes, places)
                if line.text.strip():
                    lines.append(line)
                codes.clear()
                places.clear()

        for index in range(count):
            code = code_of(self._raw, index)
            if code in (10, 13):
                end_line()
            elif code in HYPHENS:
                # the word goes on in the next line, which pdfium does not set off
                codes.append(ord(HYPHEN))
                places.append(index)
                end_line()
            elif code and (codes or code not in _BLANKS):
                codes.append(code)
                places.append(index)
        end_line()
        return lines

    def _line(self, codes: list[int], places: list[int]) -> Line:
        codes, places = self._without_marks(codes, places)
        first, last = self._box(places[0]), self._box(places[-1])
        middle = places[len(places) // 2]
        size = self._size(middle)
        codes = self._with_cells(codes, places, size)
        text = "".join(chr(code) if code < 0x110000 else "\ufffd" for code in codes)
        # surrogates that pdfium hands out in halves are put together
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        weight = self._weight(middle)
        return Line(
            text=text,
            left=min(first[0], last[0]),
            right=max(first[1], last[1]),
            bottom=min(first[2], last[2]),
            top=max(first[3], last[3]),
            size=size,
            weight=weight if weight == self._weight(places[0]) == self._weight(places[-1]) else 0,
        )

    def _without_marks(self, codes: list[int], places: list[int]) -> tuple[list[int], list[int]]:
        """A line without its footnote marks: digits smaller than, raised above, and joined to what is before."""
        kept_codes: list[int] = []
        kept_places: list[int] = []
        base = -1  # place of the last character of ordinary size
        for code, place in zip(codes, places, strict=True):
            if 48 <= code <= 57 and kept_places and base >= 0 and kept_codes[-1] not in _BLANKS:
                around = self._size(base)
                if self._size(place) < 0.8 * around and self._base(place) > self._base(base) + 0.15 * around:
                    continue
            base = place if code not in _BLANKS else base
            kept_codes.append(code)
            kept_places.append(place)
        return kept_codes, kept_places

    def _with_cells(self, codes: list[int], places: list[int], size: float) -> list[int]:
        """A line with a tab in place of the blanks between cells of a table: gaps no justified text has."""
        found: list[int] = []
        before = -1  # place of the last character that is no blank
        for position, code in enumerate(codes):
            if code not in _BLANKS:
                before = places[position]
                found.append(code)
            elif position + 1 < len(codes) and codes[position + 1] not in _BLANKS and before >= 0:
                gap = self._box(places[position + 1])[0] - self._box(before)[1]
                # the gap after a bullet or a number is none between cells
                is_cell = gap > _CELL_GAP * size and len(found) > 3
                while is_cell and found[-1] in _BLANKS:
                    found.pop()
                found.append(9 if is_cell else code)
            else:
                found.append(code)
        return found

    def _size(self, place: int) -> float:
        """Height of the type on the page: the size of the font is often 1, the scale in the matrix."""
        box = self._box(place)
        return max(box[3] - box[2], 0.1)

    def _weight(self, place: int) -> int:
        return int(self._pdfium.FPDFText_GetFontWeight(self._raw, place))

    def _base(self, place: int) -> float:
        """Height of the base line of a character."""
        x, y = ctypes.c_double(), ctypes.c_double()
        self._pdfium.FPDFText_GetCharOrigin(self._raw, place, x, y)
        return self.turned(x.value, x.value, y.value, y.value)[2]

    def _box(self, place: int) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a character with the ascent and descent of its font."""
        box = self._pdfium.FS_RECTF()
        if not self._pdfium.FPDFText_GetLooseCharBox(self._raw, place, box):
            return 0.0, 0.0, 0.0, 0.0
        return self.turned(box.left, box.right, min(box.bottom, box.top), max(box.bottom, box.top))

    def turned(self, left: float, right: float, bottom: float, top: float) -> tuple[float, float, float, float]:
        """A box as the page is shown, which may be turned by quarters."""
        if self._rotation == 90:
            return bottom, top, -right, -left
        if self._rotation == 180:
            return -right, -left, -top, -bottom
        if self._rotation == 270:
            return -top, -bottom, left, right
        return left, right, bottom, top
