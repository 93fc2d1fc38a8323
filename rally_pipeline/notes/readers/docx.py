"""Word documents to text, from the XML itself.

Belongs here: which parts and elements of an Office Open XML document are text. Does not belong here: styles, pictures,
numbering (a list's numbers are not in the file as text). Runs in the guarded child.

The XML is read as a stream, no tree is built, and documents with a DTD are refused, so that no entity is ever
expanded; nothing a document refers to is opened. Rows of tables become lines with a tab between cells. Text boxes
follow the paragraph they hang on. Insertions that were tracked count, deletions do not. Hidden text and the numbers of
footnotes in superscript are left out.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from typing import Any
from xml.etree.ElementTree import ParseError

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers.content import Content, too_long
from rally_pipeline.notes.readers.dates import iso_day

_DAMAGED = "open it in Word and save it again as docx"
_WORD = (
    "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}",
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}",
)
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MARK = re.compile(r"[\[(]?(?:\d{1,2}|[*†‡§]{1,3})[\])]?")
_OFF = frozenset(("0", "false", "off", "none"))


def read_docx(body: bytes) -> Content:
    """A Word document.

    Raises:
        PayloadError: ``file_kind`` (a zip file, but no Word document), ``encrypted``, ``not_damaged``,
            ``size_bound``, ``zip_bomb``, ``xml_safe``, ``nesting_bound``, ``text_bound``.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return _read(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as error:
        raise PayloadError("not_damaged", f"the docx file is damaged ({_short(error)})", _DAMAGED) from None
    except (RuntimeError, KeyError) as error:
        rule = "encrypted" if "encrypted" in str(error) or "password" in str(error) else "not_damaged"
        raise PayloadError(rule, f"the docx file cannot be read ({_short(error)})", _DAMAGED) from None


def _short(error: Exception) -> str:
    return str(error)[:100] or type(error).__name__


def _read(archive: zipfile.ZipFile) -> Content:
    names = {item.filename: item for item in archive.infolist()}
    if len(names) > limits.MAX_ZIP_MEMBERS:
        raise PayloadError("zip_bomb", f"the file has {len(names):,} members", _DAMAGED)
    parts = _Parts(archive, names)
    main = _main_part(parts)
    if main is None:
        kind = "an Excel workbook" if any(name.startswith("xl/") for name in names) else "a zip archive"
        kind = "a PowerPoint file" if any(name.startswith("ppt/") for name in names) else kind
        raise PayloadError("file_kind", f"this is {kind}, not a Word document", "unpack it, or save it as docx or pdf")
    reader = _Reader()
    _parse(parts.read(main), reader, main)
    folder = posixpath.dirname(main)
    for extra in ("footnotes.xml", "endnotes.xml"):
        name = posixpath.join(folder, extra)
        if name in names:
            reader.end_block()
            _parse(parts.read(name), reader, name)
    declared = _core(parts) if "docProps/core.xml" in names else {}
    return Content(
        (reader.text(),),
        declared.get("title", ""),
        declared,
        dict.fromkeys(declared, "metadata"),
        tuple(reader.warnings()),
    )


class _Parts:
    """Members of the archive, unpacked within the bounds of the whole document."""

    def __init__(self, archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo]) -> None:
        self.archive = archive
        self.names = names
        self._left = limits.MAX_UNPACKED_BYTES

    def read(self, name: str) -> bytes:
        item = self.names[name]
        # What the directory says of the size is a claim of the file; what comes out is what counts.
        with self.archive.open(item) as member:
            chunks = []
            size = 0
            while chunk := member.read(1 << 20):
                size += len(chunk)
                if size > self._left:
                    raise PayloadError(
                        "zip_bomb", f"it unpacks to more than {limits.MAX_UNPACKED_BYTES:,} bytes", _DAMAGED, name
                    )
                if size > limits.ZIP_RATIO_FROM and size > limits.MAX_ZIP_RATIO * max(item.compress_size, 1):
                    raise PayloadError(
                        "zip_bomb", f"it unpacks to more than {limits.MAX_ZIP_RATIO} times its size", _DAMAGED, name
                    )
                chunks.append(chunk)
        self._left -= size
        return b"".join(chunks)


def _main_part(parts: _Parts) -> str | None:
    """Name of the member that holds the text: as the package says, or where Word puts it."""
    if "_rels/.rels" in parts.names:
        links = _Links()
        _parse(parts.read("_rels/.rels"), links, "_rels/.rels")
        if links.main in parts.names and links.main.startswith("word/"):
            return links.main
    return "word/document.xml" if "word/document.xml" in parts.names else None


def _parse(body: bytes, target: Any, name: str) -> None:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    # A parser that only fills a target; entities, DTDs and external references raise.
    parser = DefusedXMLParser(target=target, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        for start in range(0, len(body), 1 << 16):
            parser.feed(body[start : start + (1 << 16)])
        parser.close()
    except DefusedXmlException as error:
        raise PayloadError(
            "xml_safe", f"its XML holds a DTD or entities ({type(error).__name__})", _DAMAGED, name
        ) from None
    except (ParseError, LookupError, ValueError) as error:
        raise PayloadError("not_damaged", f"its XML is not well formed ({_short(error)})", _DAMAGED, name) from None


class _Target:
    """Base of the stream readers: counts the depth."""

    def __init__(self) -> None:
        self.depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > limits.MAX_XML_DEPTH:
            raise PayloadError(
                "nesting_bound", f"its XML is nested deeper than {limits.MAX_XML_DEPTH} elements", _DAMAGED
            )
        self.opened(tag, attributes)

    def end(self, tag: str) -> None:
        self.depth -= 1
        self.closed(tag)

    def data(self, text: str) -> None:
        """Text between tags."""

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def closed(self, tag: str) -> None:
        """An element ends."""

    def close(self) -> None:
        """The document ends."""


class _Links(_Target):
    """The relationships of the package: finds the main document."""

    main = ""

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        if attributes.get("Type", "").endswith("/officeDocument") and attributes.get("TargetMode") != "External":
            self.main = self.main or posixpath.normpath(attributes.get("Target", "").lstrip("/"))


class _Properties(_Target):
    """The core properties of the package."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._name = ""

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        self._name = tag.rpartition("}")[2] if self.depth == 2 else ""

    def closed(self, tag: str) -> None:
        self._name = ""

    def data(self, text: str) -> None:
        if self._name:
            self.found[self._name] = (self.found.get(self._name, "") + text)[: limits.MAX_FIELD_CHARACTERS]


def _core(parts: _Parts) -> dict[str, str]:
    target = _Properties()
    _parse(parts.read("docProps/core.xml"), target, "docProps/core.xml")
    found = target.found
    # The day of the last save is nearer to publication than that of creation, which a template may bring along.
    fields = {
        "title": found.get("title", ""),
        "analyst": found.get("creator", ""),
        "date": iso_day(found.get("modified", "")) or iso_day(found.get("created", "")),
        "language": found.get("language", ""),
    }
    return {name: text for name, text in fields.items() if text.strip()}


class _Reader(_Target):
    """The text of a word processing part."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._size = 0
        self._paragraphs: list[list[str]] = []  # a text box is a paragraph inside a paragraph
        self._later: list[str] = []  # lines of text boxes, until their paragraph ends
        self._rows: list[list[str]] = []  # cells of the rows that are open; tables stand in tables
        self._cells: list[list[str]] = []
        self._boxes: list[int] = []
        self._skip = 0  # depth of the element whose content is left out
        self._run: dict[str, bool] = {}
        self._is_text = False
        self._hidden = 0
        self._is_tracked = False

    def text(self) -> str:
        return "\n".join(self._lines)

    def warnings(self) -> list[str]:
        found = []
        if self._hidden:
            found.append(f"{self._hidden:,} hidden characters left out")
        if self._is_tracked:
            found.append("tracked changes are read as accepted")
        return found

    def end_block(self) -> None:
        """What follows begins a new paragraph."""
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        if self._skip:
            return
        if tag == _FALLBACK:
            self._skip = self.depth
            return
        name = _local(tag)
        if name == "p":
            self._paragraphs.append([])
        elif name == "r":
            self._run = {}
        elif name == "t":
            self._is_text = True
        elif name in ("vanish", "webHidden", "specVanish"):
            self._run["hidden"] = _attribute(attributes, "val") not in _OFF
        elif name == "vertAlign":
            self._run["raised"] = _attribute(attributes, "val") == "superscript"
        elif name in ("tab", "ptab"):
            self._put("\t")
        elif name in ("br", "cr"):
            self._put("\n")
        elif name == "noBreakHyphen":
            self._put("\u2011")
        elif name in ("del", "moveFrom", "ins", "moveTo"):
            self._is_tracked = True
            if name in ("del", "moveFrom"):
                self._skip = self.depth
        elif name == "tr":
            self._rows.append([])
        elif name == "tc":
            self._cells.append([])
        elif name == "txbxContent":
            self._boxes.append(len(self._paragraphs))
        elif name in ("footnote", "endnote") and _attribute(attributes, "type") in (
            "separator",
            "continuationSeparator",
            "continuationNotice",
        ):
            self._skip = self.depth

    def closed(self, tag: str) -> None:
        if self._skip:
            if self.depth < self._skip:
                self._skip = 0
            return
        name = _local(tag)
        if name == "t":
            self._is_text = False
        elif name == "r":
            self._run = {}
        elif name == "p" and self._paragraphs:
            self._end_paragraph("".join(self._paragraphs.pop()))
        elif name == "tc" and self._cells:
            cell = " ".join(self._cells.pop())
            if self._rows:
                self._rows[-1].append(cell)
        elif name == "tr" and self._rows:
            row = self._rows.pop()
            while row and not row[-1]:
                row.pop()
            self._emit("\t".join(row))
        elif name == "tbl" and not self._cells:
            self.end_block()
        elif name == "txbxContent" and self._boxes:
            self._boxes.pop()

    def data(self, text: str) -> None:
        if not self._is_text or self._skip:
            return
        if self._run.get("hidden"):
            self._hidden += len(text)
        elif not (self._run.get("raised") and _MARK.fullmatch(text.strip())):
            self._put(text)

    def _put(self, text: str) -> None:
        # tabs also stand in paragraph properties, as stops; there no run is open and no text follows
        if self._paragraphs and (self._is_text or text != "\t" or self._paragraphs[-1]):
            self._paragraphs[-1].append(text)
            self._size += len(text)
            if self._size > limits.MAX_NOTE_CHARACTERS:
                raise too_long()

    def _end_paragraph(self, text: str) -> None:
        text = text.strip(" \t\n") if self._cells else text.rstrip().lstrip("\n")
        if self._paragraphs:
            # in a text box: kept until the paragraph around it is done
            if text:
                self._later.append(text)
            return
        later, self._later = self._later, []
        for line in (text, *later):
            self._emit(line)
        if not self._cells:
            self.end_block()

    def _emit(self, line: str) -> None:
        """One line of the document, or of the cell that is open."""
        if self._cells:
            if line:
                self._cells[-1].append(" ".join(line.split("\n")).replace("\t", " "))
        elif line.strip():
            self._lines.append(line)


def _local(tag: str) -> str:
    """The name of an element of word processing, ``""`` for others."""
    space, brace, name = tag.rpartition("}")
    return name if space + brace in _WORD else ""


def _attribute(attributes: dict[str, str], name: str) -> str:
    for space in _WORD:
        if (value := attributes.get(space + name)) is not None:
            return value
    return ""
