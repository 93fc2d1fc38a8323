"""Numbers written in words, English and Chinese.

Belongs here: the value of number words. Does not belong here: finding them in a text, units (`quantities.py`) and
lengths of time (`windows.py`).
"""

from __future__ import annotations

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
ENGLISH_UNITS = {word: value for value, word in enumerate(_UNITS.split())}
ENGLISH_TENS = {word: value * 10 for value, word in enumerate(_TENS.split(), start=2)}
ORDINALS = {word: value for value, word in enumerate(_ORDINALS.split(), start=1)}

_CHINESE_DIGITS = {
    "零": 0, "〇": 0, "○": 0, "一": 1, "壹": 1, "二": 2, "两": 2, "兩": 2, "貳": 2, "三": 3, "四": 4, "五": 5, "六": 6,
    "七": 7, "八": 8, "九": 9,
}  # fmt: skip
_CHINESE_TENS = {"十": 10, "百": 100, "千": 1000}


def english_number(words: str) -> int | None:
    """The value of ``three``, ``Twenty``, ``twenty-five``; ``None`` if it is no such number below 100."""
    lower = words.lower().strip()
    if lower in ENGLISH_UNITS:
        return ENGLISH_UNITS[lower]
    tens, _, unit = lower.replace("-", " ").replace("‑", " ").partition(" ")
    if tens not in ENGLISH_TENS:
        return None
    if not unit:
        return ENGLISH_TENS[tens]
    value = ENGLISH_UNITS.get(unit.strip(), 0)
    return ENGLISH_TENS[tens] + value if 1 <= value <= 9 else None


def chinese_number(text: str) -> int | None:
    """The value of ``三``, ``十五``, ``二十``, ``三百零五``, ``二〇二五``; ``None`` if it is no number below 10,000."""
    if not text:
        return None
    if len(text) > 1 and all(char in _CHINESE_DIGITS for char in text):
        value = 0
        for char in text:
            value = value * 10 + _CHINESE_DIGITS[char]
        return value
    total = 0
    digit: int | None = None
    for char in text:
        if char in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[char]
        elif char in _CHINESE_TENS:
            total += (1 if digit is None else digit) * _CHINESE_TENS[char]
            digit = None
        else:
            return None
    return total + (digit or 0)
