"""HTML to text: what a browser would show of the article, block by block.

Belongs here: which elements are text, which are page furniture or hidden, where lines end, and what the head declares.
Does not belong here: finding that a document is HTML (`kinds.py`). Runs in the guarded child: the parser is native
code. The tree is walked by a loop, however deep it is.

Left out: scripts, styles, forms, navigation, footers, elements whose own attributes hide them (also a font size of
nothing; rules of a style sheet are not followed), and, where one ``article`` or ``main`` holds most of the text,
everything outside of it. Footnote marks (a superscript number, star or dagger) are left out too, since they would grow
onto the number before them; ordinals (``1st``) stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers.charset import decode
from rally_pipeline.notes.readers.content import Content, too_long
from rally_pipeline.notes.readers.dates import iso_day

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

_NEVER = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "nav",
        "footer",
        "form",
        "iframe",
        "object",
        "embed",
        "svg",
        "math",
        "canvas",
        "select",
        "option",
        "button",
        "input",
        "textarea",
        "dialog",
        "head",
        "title",
        "meta",
        "link",
        "audio",
        "video",
        "map",
        "menu",
        "datalist",
        "noframes",
        "frameset",
    ]
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "header",
        "hgroup",
        "hr",
        "legend",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
        "caption",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
    ]
)
#: Blocks set off by an empty line.
_SPACED = frozenset(
    [
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "blockquote",
        "ul",
        "ol",
        "dl",
        "pre",
        "article",
        "section",
        "figure",
    ]
)
#: Whole names of a class or id; "share-price" and "analyst-comments" are none of them.
_FURNITURE = re.compile(
    r"(?:(?:site|page|main|global|top|bottom|article|post|entry|user|js|c|l|m)[-_]{1,2})?"
    r"(?:cookies?|consent|gdpr|breadcrumbs?|navbar|nav|navigation|menu|share|sharing|social|newsletter|subscribe|"
    r"sign-?up|paywall|related|recommended|advert|advertisement|ads?|banner|promo|comments|footer|skip-link|preheader|"
    r"unsubscribe)"
    r"(?:[-_]{1,2}(?:bar|box|banner|list|links?|buttons?|icons?|tools?|media|container|wrapper|section|widget|notice|"
    r"modal|popup|form|menu|nav|area|block|inner|items?|articles|stories|posts|news|content))*",
    re.IGNORECASE,
)
_FURNITURE_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "complementary", "alert", "dialog"))
_HIDDEN_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all|"
    r"(?:font-size|max-height|opacity)\s*:\s*0*(?:\.0+)?(?:px|pt|em|rem|%)?\s*(?:!important\s*)?(?:;|$))",
    re.IGNORECASE,
)
_BLANKS = re.compile(r"[ \t\n\r\f]+")
_MARK = re.compile(r"\s*[\[(]?(?:\d{1,2}(?:\s?,\s?\d{1,2})*|[a-z]|[*†‡§#]{1,3})[\])]?\s*")
_OPEN_CLOSE = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
#: Elements that have no end tag, or whose end tag may be left out.
_UNCLOSED = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "dt",
        "dd",
        "tr",
        "td",
        "th",
        "option",
        "optgroup",
        "thead",
        "tbody",
        "tfoot",
        "colgroup",
        "body",
        "html",
        "head",
        "rp",
        "rt",
    ]
)
_META: Mapping[str, tuple[str, ...]] = {
    "title": ("og:title", "twitter:title", "dc.title", "citation_title"),
    "date": (
        "article:published_time",
        "datepublished",
        "date",
        "dc.date",
        "dcterms.date",
        "dcterms.created",
        "pubdate",
        "publishdate",
        "publish-date",
        "citation_date",
        "dc.date.issued",
        "og:article:published_time",
        "parsely-pub-date",
    ),
    "analyst": ("author", "article:author", "dc.creator", "citation_author", "parsely-author", "sailthru.author"),
    "source": ("og:site_name", "application-name", "publisher", "dc.publisher"),
    "language": ("content-language", "og:locale", "language"),
}
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{2,30})", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"\s*<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9_-]{2,30})", re.IGNORECASE)


def declared_charset(body: bytes) -> str:
    """The encoding that the document says it has, ``""`` if it says none."""
    head = body[:4096]
    match = _XML_CHARSET.match(head) or _META_CHARSET.search(head)
    return match[1].decode("ascii") if match else ""


def read_html(body: bytes, charset: str = "") -> Content:
    """An HTML document.

    Args:
        body: its bytes.
        charset: its encoding if that is known from outside (the header of an e-mail part).

    Raises:
        PayloadError: ``nesting_bound``, ``text_bound``, ``text_encoding``, ``file_kind``.
    """
    from selectolax.lexbor import LexborHTMLParser

    text, warning = decode(body, charset or declared_charset(body))
    check_depth(text)
    # NUL ends the input of some builds of the parser; lone surrogates cannot be handed to it.
    text = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    tree = LexborHTMLParser(text)
    declared, title = _head(tree)
    walk = _Walk()
    for root in _article(tree):
        walk.run(root)
    text = walk.text()
    headings = tree.css("h1")
    heading = _text(headings[0]) if len(headings) == 1 else ""
    if heading and heading not in " ".join(text[:4_000].split()):
        # many sites set the headline above the element that holds the article
        text = f"{heading}\n\n{text}"
    warnings = [warning] if warning else []
    if walk.hidden:
        warnings.append(f"{walk.hidden:,} hidden characters left out")
    return Content((text,), title, declared, dict.fromkeys(declared, "metadata"), tuple(warnings))


def check_depth(text: str) -> None:
    """Refuse tags open inside each other beyond `limits.MAX_HTML_DEPTH`. Linear time.

    Raises:
        PayloadError: ``nesting_bound``.
    """
    depth = 0
    for match in _OPEN_CLOSE.finditer(text):
        if match[2].lower() in _UNCLOSED:
            continue
        depth = depth - 1 if match[1] else depth + 1
        if depth < 0:
            depth = 0
        if depth > limits.MAX_HTML_DEPTH:
            raise PayloadError(
                "nesting_bound",
                f"more than {limits.MAX_HTML_DEPTH:,} elements are open inside each other",
                "save the article as plain text",
            )


def _article(tree: LexborHTMLParser) -> list[Any]:
    """The elements that hold the article: the body, or the part of it that has most of its text."""
    body = tree.body or tree.root
    if body is None:
        return []
    for selector in ("article", "main", "[role=main]"):
        found = tree.css(selector)
        if not found:
            continue
        sizes = [_size(node) for node in found[:50]]
        largest = max(sizes)
        whole = _size(body)
        if whole and largest >= 200 and largest * 2 >= whole:
            return [found[sizes.index(largest)]]
    return [body]


def _size(node: Any) -> int:
    walk = _Walk()
    walk.run(node)
    return len(walk.text())


class _Walk:
    """One pass over a tree in document order, collecting text."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.hidden = 0
        self._size = 0
        self._pending = ""  # what stands between the last text and the next: "", " ", "\t", "\n" or "\n\n"
        self._pre = 0
        self._cells: list[bool] = []  # of each cell that is open, whether it lays out the page rather than a table

    def text(self) -> str:
        return "".join(self.parts)

    def run(self, root: Any) -> None:
        node, depth = root, 0
        stack: list[str] = []
        while node is not None:
            child = self._enter(node) if not self._is_left_out(node) else None
            entered = child is not None
            if entered:
                stack.append(node.tag)
                node, depth = child, depth + 1
                continue
            while node is not None and depth and node.next is None:
                node, depth = node.parent, depth - 1
                self._leave(stack.pop())
            node = node.next if node is not None and depth else None
        while stack:
            self._leave(stack.pop())

    def _enter(self, node: Any) -> Any:
        """Take a node in; its first child if it has any to walk."""
        tag = node.tag
        if tag == "-text":
            self._add(node.text_content or "")
            return None
        if tag == "br":
            self._break(" " if self._in_data_cell() else "\n")
            return None
        if tag is None or tag.startswith(("-", "!")):
            return None
        child = node.child
        is_cell = tag in ("td", "th")
        if is_cell:
            self._break("\n" if child is not None and _is_layout(node) else "\t")
        elif tag in _BLOCKS:
            self._break(self._end_of(tag))
        if child is None:
            return None
        if tag == "pre":
            self._pre += 1
        elif is_cell:
            self._cells.append(_is_layout(node))
        return child

    def _leave(self, tag: str) -> None:
        if tag == "pre":
            self._pre -= 1
        if tag in ("td", "th"):
            if self._cells.pop():
                self._break("\n")
            else:
                # a paragraph in a cell of a table does not end its row
                self._pending = "\t"
        elif tag in _BLOCKS:
            self._break(self._end_of(tag))

    def _in_data_cell(self) -> bool:
        return bool(self._cells) and not self._cells[-1]

    def _end_of(self, tag: str) -> str:
        if self._in_data_cell():
            return " "
        return "\n\n" if tag in _SPACED else "\n"

    def _break(self, kind: str) -> None:
        order = ("", " ", "\t", "\n", "\n\n")
        if order.index(kind) > order.index(self._pending):
            self._pending = kind

    def _add(self, text: str) -> None:
        if not self._pre:
            text = _BLANKS.sub(" ", text)
            if text.startswith(" "):
                self._break(" ")
            stripped = text.strip(" ")
            if not stripped:
                return
        else:
            stripped = text.strip("\n") if not self._pending.startswith("\n") else text
            if not stripped.strip():
                self._break("\n" if "\n" in text else " ")
                return
        if self.parts:
            self.parts.append(self._pending)
        self._pending = " " if text.endswith(" ") else ""
        self.parts.append(stripped)
        self._size += len(stripped) + 1
        if self._size > limits.MAX_NOTE_CHARACTERS:
            raise too_long()

    def _is_left_out(self, node: Any) -> bool:
        tag = node.tag
        if tag is None or tag.startswith(("-", "!")):
            return bool(tag == "-comment")
        if tag in _NEVER:
            return True
        if tag == "sup" and _MARK.fullmatch(node.text()[:20] or "x"):
            return bool(self.parts) and not self._pending.startswith("\n")
        attributes = node.attributes
        if not attributes:
            return False
        style = attributes.get("style") or ""
        if "hidden" in attributes or (style and _HIDDEN_STYLE.search(style[:2_000])):
            # characters of a page in many nested hidden elements are counted once: what is left out is not entered
            self.hidden += len(_BLANKS.sub(" ", node.text()).strip())
            return True
        if tag in ("body", "html", "main", "article", "table", "tbody", "tr", "td", "h1", "h2", "p"):
            return False
        if (attributes.get("role") or "").lower() in _FURNITURE_ROLES and tag != "aside":
            return True
        names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"[:500].split()
        # A page that calls the wrapper of everything "menu" keeps its text.
        return any(_FURNITURE.fullmatch(name) for name in names) and len(node.text()) < 3_000


def _is_layout(cell: Any) -> bool:
    """Whether a table cell lays out a page, as e-mails do: the only one of its row, or with several blocks in it."""
    is_alone = True
    for step in ("prev", "next"):
        other = getattr(cell, step)
        while other is not None and is_alone:
            is_alone = other.tag not in ("td", "th")
            other = getattr(other, step)
    return is_alone or len(cell.css("table, p, h1, h2, h3, h4, li")) > 2


def _head(tree: LexborHTMLParser) -> tuple[dict[str, str], str]:
    """What the head of the document declares, and its title."""
    said: dict[str, str] = {}
    for node in tree.css("meta")[:500]:
        attributes = node.attributes
        name = attributes.get("property") or attributes.get("name") or attributes.get("itemprop") or ""
        name = name or attributes.get("http-equiv") or ""
        if content := (attributes.get("content") or "").strip():
            said.setdefault(name.strip().lower(), content[: limits.MAX_FIELD_CHARACTERS])
    declared: dict[str, str] = {}
    for field, names in _META.items():
        for name in names:
            text = said.get(name, "")
            if field == "date":
                text = iso_day(text)
            # an author given by the address of a page names nobody
            if text and not text.startswith(("http://", "https://")):
                declared[field] = text
                break
    if "date" not in declared:
        for node in tree.css("time[datetime]")[:1]:
            if day := iso_day(node.attributes.get("datetime") or ""):
                declared["date"] = day
    html = tree.css_first("html")
    if html is not None and (language := html.attributes.get("lang")):
        declared.setdefault("language", language)
    heading = tree.css("h1")
    title = _text(heading[0]) if len(heading) == 1 else ""
    if not title:
        named = tree.css_first("title")
        title = declared.get("title", "") or (_text(named) if named is not None else "")
    if title:
        declared["title"] = title
    return declared, title


def _text(node: Any) -> str:
    return _BLANKS.sub(" ", node.text()[: 4 * limits.MAX_FIELD_CHARACTERS]).strip()
