"""Bytes of a text file to text: which encoding it is in, told or found.

Belongs here: encodings. Does not belong here: which characters a canonical text may hold (`content.py`).

Order: byte order mark; the encoding the document declares; UTF-16 without a mark, from where its NULs stand; UTF-8;
UTF-8 with a few broken bytes; then Big5 against GB18030 by how common the characters would be; Windows-1252 last.
Everything but a mark, what was declared, and clean UTF-8 is a guess and gives a warning.
"""

from __future__ import annotations

import codecs
import re

from rally_pipeline.errors import PayloadError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Encodings a document may declare; every one decodes in linear time and holds no code. GB2312 and GBK are parts of
#: GB18030, and files that declare them use more than they hold.
_KNOWN = {
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "cp936", "x-gbk"), "gb18030"),
    **dict.fromkeys(("big5", "big5hkscs", "cp950", "x-x-big5"), "big5hkscs"),
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), "utf-8"),
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252"), "cp1252"),
    **{name: name for name in ("utf-16", "utf-16-le", "utf-16-be", "shift_jis", "euc-jp", "euc-kr", "iso-8859-15")},
    **{name: name for name in ("windows-1250", "windows-1251", "iso-8859-2", "koi8-r", "iso-2022-jp", "hz")},
}
_SAMPLE_BYTES = 65_536
#: Characters that make up a large part of any Chinese text on markets, in both scripts.
_FREQUENT = frozenset(
    "的一是在不了有和人中大上他用生到作地于出就分成可主年同工也能下子面而方后多定行法所内今月日周季由至跌幅股金指港元目"
    "这为个国来们对会发动过说产种买卖亿万点涨报盘资场数价标评级维"
    "這為個國來們對會發動過說產種買賣億萬點漲報盤資場數價標評級維後"
    "，。、；：「」《》（）％"
)


def decode(body: bytes, declared: str = "") -> tuple[str, str]:
    """Text of `body` without a byte order mark, and a warning (``""`` if nothing had to be guessed). Linear time.

    Raises:
        PayloadError: ``text_encoding`` (no encoding fits), ``file_kind`` (decodes, but is not text).
    """
    text, warning = _decode(body, declared)
    _refuse_binary(text)
    return text, warning


def _decode(body: bytes, declared: str) -> tuple[str, str]:
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            text = body[len(mark) :].decode(encoding, "replace")
            return text, _replaced(text, encoding)
    known = _KNOWN.get(declared.strip().strip("\"'").lower().replace("_", "-"), "") if declared else ""
    if known:
        try:
            return body.decode(known), ""
        except UnicodeDecodeError:
            pass
    if b"\0" in body[:4096] and (wide := _utf16_without_mark(body)):
        text = body.decode(wide, "replace")
        return text, f"the encoding was guessed to be {wide}"
    try:
        return body.decode("utf-8"), ""
    except UnicodeDecodeError:
        pass
    encoding = _guess(body[:_SAMPLE_BYTES])
    text = body.decode(encoding, "replace")
    more = _replaced(text, encoding)
    said = f" (declared {declared[:40]!r}, which does not fit)" if declared else ""
    return text, f"the encoding was guessed to be {encoding}{said}{more and '; '}{more}"


def _replaced(text: str, encoding: str) -> str:
    count = text.count("\ufffd")
    return f"{count:,} bytes that are not {encoding} replaced by U+FFFD" if count else ""


def _guess(sample: bytes) -> str:
    high = sum(byte >= 0x80 for byte in sample)
    decoded = sample.decode("utf-8", "replace")
    broken = decoded.count("\ufffd")
    if broken * 20 < high:
        return "utf-8"
    scores = {name: _chinese_score(sample, name) for name in ("gb18030", "big5hkscs")}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] > 0.3:
        return best
    undefined = sum(byte in b"\x81\x8d\x8f\x90\x9d" for byte in sample)
    if high and undefined * 10 > high:
        raise PayloadError(
            "text_encoding",
            "the text is in no encoding that can be told (UTF-8, UTF-16, GB18030, Big5, Windows-1252)",
            "save the file as UTF-8",
        )
    return "cp1252"


def _chinese_score(sample: bytes, encoding: str) -> float:
    """Share of the characters outside ASCII that are common in Chinese; broken bytes count against it."""
    text = sample.decode(encoding, "replace")
    others = [char for char in text if char >= "\x80"]
    if not others:
        return 0.0
    common = sum(char in _FREQUENT for char in others)
    plain = 0
    for char in others:
        if "\u4e00" <= char <= "\u9fff":
            # The first level of each national set holds the characters in use, the second the rare ones.
            raw = char.encode(encoding, "replace")
            lead, trail = raw[0], raw[1] if len(raw) > 1 else 0
            plain += (0xB0 <= lead <= 0xD7 and trail >= 0xA1) if encoding == "gb18030" else 0xA4 <= lead <= 0xC6
    return (0.5 * plain + 2.0 * common - text.count("\ufffd")) / len(others)


def _utf16_without_mark(body: bytes) -> str:
    """``utf-16-le`` or ``utf-16-be`` if the NULs of `body` stand where Latin text in UTF-16 has them, else ``""``."""
    sample = body[:4096]
    if len(sample) < 8:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if odd > 0.3 * half and even < 0.02 * half:
        return "utf-16-le"
    if even > 0.3 * half and odd < 0.02 * half:
        return "utf-16-be"
    return ""


_BINARY = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffd\ud800-\udfff\ufffe\uffff]")


def _refuse_binary(text: str) -> None:
    """Refuse what decodes but cannot have been written by a person: a tenth of it controls and broken bytes."""
    odd = sum(1 for _ in _BINARY.finditer(text))
    if odd > 2 and odd * 10 > len(text):
        raise PayloadError(
            "file_kind",
            f"this is not text: {odd:,} of {len(text):,} characters are control codes or broken bytes",
            "send txt, md, html, eml, pdf, docx, or headlines as csv or jsonl",
        )
