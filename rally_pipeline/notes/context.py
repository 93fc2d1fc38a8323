"""What is known of a note before its sentences are read: the day, the house and the analyst who wrote it, the medium.

Belongs here: choosing between what a document declares of itself and what its letterhead, sender, analyst block,
disclaimer and dates say; and saying which of them it was. Does not belong here: reading files (`readers/`), what the
note claims.
"""

from __future__ import annotations

import datetime as dt
import re

from rally_pipeline.notes.dates import find_dates, note_date
from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.notes.records import AsOfBasis, MentionKind, NoteContext, ReadNote

#: How much of a text is looked at for a letterhead and an analyst block, and for a disclaimer at its end.
HEAD_CHARACTERS = 1_500
FOOT_CHARACTERS = 4_000
#: Dates are looked for in no more than this much of a text.
DATED_CHARACTERS = 60_000

_EMAIL = re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@(?P<domain>[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4})\b")
_SENDER = re.compile(r"\A\s*[\"']?(?P<name>[^<>\"@]*?)[\"']?\s*(?:<[^<>]*>|\([^()]*\))?\s*\Z")
_PERSON = re.compile(r"[A-Z][\w’'.-]*(?: (?:[A-Z][\w’'.-]*|de|van|von|bin|al)){1,4}|[\u4e00-\u9fff·]{2,4}")
_CREDENTIAL = re.compile(r",? (?:CFA|CPA|Ph\.?D\.?|FRM|MBA|CAIA|CMT)\b\.?|[（(][^（）()]{1,30}[)）]")
_LABELLED_ANALYST = re.compile(
    r"^[\s\W]*(?:(?:Lead |Research |Equity |Senior |Covering |Primary )*Analysts?(?: name)?"
    r"|Author|Strategist|Prepared by"
    r"|Written by|Research by|(?:证券|證券|研究|首席)?(?:分析师|分析師"
    r"|分析员|分析員|研究员|研究員)(?:姓名)?|作者|撰写|撰寫)"
    r"\s*[:：]\s*(?P<name>[^\n|;；/,，]{2,60})",
    re.IGNORECASE | re.MULTILINE,
)
_BYLINE = re.compile(r"^[\s\W]*By (?P<name>[A-Z][\w’'.-]+(?: [A-Z][\w’'.-]+){1,3})\s*$", re.MULTILINE)
_ISSUED = re.compile(
    r"\b(?:issued|published|prepared|produced|distributed|disseminated|provided|written|approved)(?: and \w+)?"
    r"(?: in [\w ]{1,30}?)? by\b|©|\bcopyright\b|由(?=[^。\n]{0,40}(?:发布|發布|编制|編製|刊发|刊發|分发|分發))"
    r"|(?:版权|版權)(?:所有|归|歸|属|屬)",
    re.IGNORECASE,
)
# Words that a line of letterhead may hold beside the name of the house.
_LETTERHEAD_WORDS = re.compile(
    r"(?i:\b(?:research|equity|equities|global|international|investment"
    r"|investments|bank|banking|securities|asia|asian|pacific"
    r"|china|hong|kong|hk|greater|mainland|strategy|strategist|economics"
    r"|economic|morning|daily|weekly|monthly|note|notes|flash"
    r"|update|updates|report|reports|markets?|sales|trading|desk|limited"
    r"|ltd|llc|inc|plc|co|company|group|holdings|the|and|of"
    r"|portfolio|quantitative|wealth|management|asset|private|institutional|insights?|first|read|view|focus|comment"
    r"|commentary|brief|briefing|macro|technology|internet|consumer|sector|team|department|division|clients?|only"
    r"|capital|financial|services|prime|brokerage|services|flows?|positioning|wrap|bulletin|from|by|rating|source)\b)"
    r"|研究部?|证券|證券|国际|國際|控股|有限公司|股份|集团|集團|策略"
    r"|晨报|晨報|日报|日報|周报|週報|报告|報告|早评|早評|快评|快評|点评"
    r"|點評|香港|中国|中國|部|港股|市场|市場|宏观|宏觀"
)
_NOT_LETTERHEAD = re.compile(r"[A-Za-z\u4e00-\u9fff]")
_MEDIUM_IN_TEXT = re.compile(
    r"\((?P<wire>Reuters|AFP|AP|Bloomberg|Xinhua|dpa|Dow Jones|CNBC)\)(?=\s*(?:[–—-]|\Z|\n))"
    r"|^[\s\W]*(?:Source|来源|來源)\s*[:：]\s*(?P<named>[^\n|]{2,60})$",
    re.MULTILINE,
)
_MEDIUM_WORD = re.compile(
    r"\b(?:news|times|post|journal|daily|herald|press|gazette|newswires?|media|tribune|standard|telegraph|radio|tv)\b"
    r"|(?:日报|日報|时报|時報|新闻|新聞|晚报|晚報|电视|電視|财经|財經|通讯社|通訊社)",
    re.IGNORECASE,
)
_MAILERS = frozenset(
    (
        "gmail",
        "outlook",
        "hotmail",
        "yahoo",
        "qq",
        "163",
        "126",
        "icloud",
        "proton",
        "protonmail",
        "example",
        "mail",
        "live",
    )
)
_BLANKS = re.compile(r"\s+")


def context_of(note: ReadNote, file_time: dt.datetime | None, lexicon: Lexicon) -> tuple[NoteContext, dict[str, str]]:
    """What is known of a note, and for each part where it comes from.

    Args:
        note: what a reader found.
        file_time: when the file was last changed or received; the last resort for the day.
        lexicon: names of the catalog.

    Returns:
        The context, and a mapping with a key for each of ``as_of``, ``broker``, ``analyst``, ``newspaper``, ``ticker``
        and ``title`` that is known. Its values: what the reader said (``front_matter``, ``side_car``, ``header``,
        ``column``, ``metadata``), or ``letterhead``, ``sender``, ``email_domain``, ``disclaimer``, ``analyst_line``,
        ``email_block``, ``byline``, ``note_date``, ``latest_date_named``, ``file_time``, ``dateline``,
        ``first_heading``.
    """
    basis: dict[str, str] = {}
    declared = {key: _clean(value) for key, value in note.declared.items()}
    broker_id, broker_text = _broker(note, declared, lexicon, basis)
    analyst = _analyst(note, declared, lexicon, basis, has_house=bool(broker_text))
    newspaper = "" if broker_text else _newspaper(note, declared, basis)
    as_of, as_of_basis = _as_of(note, declared, file_time, basis)
    ticker = declared.get("ticker", "")
    if ticker:
        basis["ticker"] = note.basis.get("ticker", "header")
    title = title_of(note)
    if title:
        basis["title"] = note.basis.get("title", "header" if note.title else "first_heading")
    context = NoteContext(
        as_of=as_of,
        as_of_basis=as_of_basis,
        broker_id=broker_id,
        broker_text=broker_text,
        analyst=analyst,
        newspaper=newspaper,
        ticker=ticker,
    )
    return context, basis


def title_of(note: ReadNote) -> str:
    """Title, subject or headline of a note; without one its first line, if that is short enough to be one."""
    title = _clean(note.title or note.declared.get("title", ""))
    if title:
        return title
    first = note.canonical.text[:400].strip().split("\n", 1)[0].strip(" #*\t")
    return first if 0 < len(first) <= 160 else ""


def _clean(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()


# --------------------------------------------------------------------------------------------------------------- house


def _broker(note: ReadNote, declared: dict[str, str], lexicon: Lexicon, basis: dict[str, str]) -> tuple[str, str]:
    if name := declared.get("broker", ""):
        basis["broker"] = note.basis.get("broker", "header")
        found = lexicon.broker(name)
        if not found and re.fullmatch(r"[a-z][a-z0-9_]*", name):
            # The catalog's own key is as good as a name.
            printed = lexicon.broker(name.replace("_", " "))
            found = printed if printed == name else ""
        return found, name
    if source := declared.get("source", ""):
        sender = _from_sender(source, lexicon)
        if sender is not None:
            basis["broker"] = "sender"
            return sender
    text = note.canonical.text
    if "\n" not in text:
        return "", ""
    for find, name in ((_letterhead, "letterhead"), (_domain, "email_domain"), (_disclaimer, "disclaimer")):
        house = find(text, lexicon)
        if house is not None:
            basis["broker"] = name
            return house
    return "", ""


def _from_sender(source: str, lexicon: Lexicon) -> tuple[str, str] | None:
    match = _SENDER.match(source)
    name = _clean(match.group("name")) if match else ""
    if name and (found := lexicon.broker(name)):
        return found, name
    for mention in lexicon.find(source, 0, len(source)):
        if mention.kind is MentionKind.BROKER:
            return mention.entity_id, mention.text
    return _domain(source, lexicon)


def _letterhead(text: str, lexicon: Lexicon) -> tuple[str, str] | None:
    """A line near the top that holds the name of a house and nothing but words of a letterhead and a date."""
    head = text[:HEAD_CHARACTERS]
    at = 0
    for number, line in enumerate(head.split("\n")):
        if number >= 14:
            return None
        if 2 <= len(line.strip()) <= 120:
            houses = [m for m in lexicon.find(text, at, at + len(line)) if m.kind is MentionKind.BROKER]
            if len(houses) == 1 and _is_letterhead(text, at, at + len(line), (houses[0].start, houses[0].end)):
                return houses[0].entity_id, houses[0].text
        at += len(line) + 1
    return None


def _is_letterhead(text: str, start: int, end: int, name: tuple[int, int]) -> bool:
    spans = [name, *((first, last) for first, last, _ in find_dates(text, start, end, None))]
    rest = []
    at = start
    for first, last in sorted(spans):
        rest.append(text[at : max(at, first)])
        at = max(at, last)
    rest.append(text[at:end])
    words = _LETTERHEAD_WORDS.sub(" ", _EMAIL.sub(" ", " ".join(rest)))
    words = re.sub(r"\d{1,2}(?:st|nd|rd|th)?|[A-Z][a-z]{2,8}day,?|https?://\S+|www\.\S+", " ", words)
    words = re.sub(
        r"\b(?:January|February|March|April|May|June|July|August|September"
        r"|October|November|December)\b",
        " ",
        words,
    )
    return _NOT_LETTERHEAD.search(words) is None


def _domain(text: str, lexicon: Lexicon) -> tuple[str, str] | None:
    """The house whose name is the domain of an e-mail address, at the top or at the end of a text."""
    pieces = [text[:HEAD_CHARACTERS]]
    if len(text) > HEAD_CHARACTERS:
        pieces.append(text[max(HEAD_CHARACTERS, len(text) - FOOT_CHARACTERS) :])
    for piece in pieces:
        for match in _EMAIL.finditer(piece):
            for label in match.group("domain").split(".")[:-1]:
                if label.lower() in _MAILERS or len(label) < 2:
                    continue
                found = (
                    lexicon.broker(label) or lexicon.broker(label.upper()) or lexicon.broker(label.replace("-", " "))
                )
                if found:
                    return found, lexicon.broker_name(found)
    return None


def _disclaimer(text: str, lexicon: Lexicon) -> tuple[str, str] | None:
    """The house by whom the text says it was issued."""
    start = max(0, len(text) - FOOT_CHARACTERS)
    for match in _ISSUED.finditer(text, start):
        for mention in lexicon.find(text, match.end(), min(len(text), match.end() + 80)):
            if mention.kind is MentionKind.BROKER:
                return mention.entity_id, mention.text
    return None


# ------------------------------------------------------------------------------------------------------------- analyst


def _analyst(
    note: ReadNote, declared: dict[str, str], lexicon: Lexicon, basis: dict[str, str], *, has_house: bool
) -> str:
    name = declared.get("analyst", "")
    if name and (note.basis.get("analyst") != "metadata" or _PERSON.fullmatch(name)):
        basis["analyst"] = note.basis.get("analyst", "header")
        return name
    text = note.canonical.text
    if "\n" not in text:
        return ""
    head = text[:HEAD_CHARACTERS]
    for piece in (head, text[max(len(head), len(text) - FOOT_CHARACTERS) :]):
        for match in _LABELLED_ANALYST.finditer(piece):
            if found := _person(match.group("name"), lexicon):
                basis["analyst"] = "analyst_line"
                return found
        if found := _beside_email(piece, lexicon):
            basis["analyst"] = "email_block"
            return found
    if has_house and (byline := _BYLINE.search(head)):
        basis["analyst"] = "byline"
        return byline.group("name")
    if basis.get("broker") == "sender":
        sender = _SENDER.match(declared.get("source", ""))
        name = _person(sender.group("name"), lexicon) if sender else ""
        if name:
            basis["analyst"] = "sender"
        return name
    return ""


def _person(words: str, lexicon: Lexicon) -> str:
    """The name in a cell of an analyst block, without degrees; ``""`` if it is the name of a house or no name."""
    name = _clean(_CREDENTIAL.sub("", _EMAIL.sub("", words))).strip(" ,|:：-–—*#")
    if not _PERSON.fullmatch(name) or lexicon.broker(name) or _LETTERHEAD_WORDS.search(name):
        return ""
    return name


def _beside_email(piece: str, lexicon: Lexicon) -> str:
    """A name before an e-mail address on its line, or on one of the three lines above it."""
    match = _EMAIL.search(piece)
    if match is None:
        return ""
    line_start = piece.rfind("\n", 0, match.start()) + 1
    before = re.split(r"[|<;,\t]|\s{2,}", piece[line_start : match.start()])
    lines = piece[:line_start].rstrip("\n").split("\n")[-4:]
    for words in (before[0], *reversed(lines)):
        cells = re.split(r"[|\t]|\s{2,}", _CREDENTIAL.sub("", words).strip(" #*"))
        for cell in cells:
            if found := _person(re.split(r", ", cell)[0], lexicon):
                return found
    return ""


# ---------------------------------------------------------------------------------------------------------- medium, day


def _newspaper(note: ReadNote, declared: dict[str, str], basis: dict[str, str]) -> str:
    source = declared.get("source", "")
    if source and "@" not in source:
        basis["newspaper"] = note.basis.get("source", "header")
        return source
    if source and (sender := _SENDER.match(source)):
        name = _clean(sender.group("name"))
        if name and _MEDIUM_WORD.search(name):
            basis["newspaper"] = "sender"
            return name
    text = note.canonical.text
    if len(text) < 200 and "(" not in text and ":" not in text:
        return ""
    for piece in (text[:HEAD_CHARACTERS], text[max(HEAD_CHARACTERS, len(text) - 300) :]):
        if found := _MEDIUM_IN_TEXT.search(piece):
            basis["newspaper"] = "dateline"
            return _clean(found.group("wire") or found.group("named"))
    return ""


def _as_of(
    note: ReadNote, declared: dict[str, str], file_time: dt.datetime | None, basis: dict[str, str]
) -> tuple[dt.date | None, AsOfBasis | None]:
    said = _iso(declared.get("date", ""))
    where = note.basis.get("date", "header")
    # The metadata of office files say when a file was made, so the date printed in the note goes before them.
    is_weak = where == "metadata" and note.file_type in ("pdf", "docx")
    if said is not None and not is_weak:
        basis["as_of"] = where
        return said, AsOfBasis.DOCUMENT_DATE
    text = note.canonical.text
    limit = file_time.date() if file_time is not None else None
    printed = note_date(text)
    # A day well after the file was made is no day of writing ("will meet on 5 May").
    if printed is not None and (limit is None or printed[0] <= limit + dt.timedelta(days=3)):
        basis["as_of"] = "note_date"
        return printed[0], AsOfBasis.DOCUMENT_DATE
    if said is not None:
        basis["as_of"] = where
        return said, AsOfBasis.DOCUMENT_DATE
    named = [
        day
        for _, _, day in find_dates(text, 0, min(len(text), DATED_CHARACTERS), limit)
        if limit is None or day <= limit
    ]
    if named:
        basis["as_of"] = "latest_date_named"
        return max(named), AsOfBasis.LATEST_DATE_NAMED
    if limit is not None:
        basis["as_of"] = "file_time"
        return limit, AsOfBasis.FILE_TIME
    return None, None


def _iso(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        return None
