"""A date as documents and columns write it, to ISO.

Belongs here: declared dates (metadata, headers, columns, side-cars). Does not belong here: dates in running text
(`notes/windows.py`).
"""

from __future__ import annotations

import datetime as dt
import re

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_FULL_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "sept",
]
_TIME = r"(?:[T ,].{0,40})?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}", re.ASCII)
_COMPACT = re.compile(rf"(\d{{4}})(\d\d)(\d\d)(?:\d{{4,6}}Z?|T\d{{4,6}}Z?|{_TIME})", re.ASCII)
_CHINESE = re.compile(r"(\d{4})\s?年\s?(\d{1,2})\s?月\s?(\d{1,2})\s?日.{0,40}", re.ASCII)
_DAY_NAME = r"(?:[A-Za-z]{3,9}\.?,? )?"
_DAY_FIRST = re.compile(
    rf"{_DAY_NAME}(\d{{1,2}})(?:st|nd|rd|th)?[ -]([A-Za-z]{{3,9}})\.?,?[ -](\d{{4}}){_TIME}", re.ASCII
)
_MONTH_FIRST = re.compile(rf"{_DAY_NAME}([A-Za-z]{{3,9}})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}}){_TIME}", re.ASCII)
_TWO_NUMBERS = re.compile(rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}){_TIME}", re.ASCII)
_PDF = re.compile(r"D:(\d{4})(\d\d)(\d\d).{0,40}", re.ASCII)


def iso_day(text: str) -> str:
    """The day as ``YYYY-MM-DD`` as it was written, whatever its UTC offset; ``""`` if it cannot be told for certain.

    ``05/06/2025`` can be read in two ways and gives ``""``; ``25/06/2025`` cannot.
    """
    text = text.strip()
    if not text or len(text) > 100:
        return ""
    if match := _YEAR_FIRST.fullmatch(text):
        return _day(match[1], match[3], match[4])
    if match := _CHINESE.fullmatch(text) or _PDF.fullmatch(text) or _COMPACT.fullmatch(text):
        return _day(match[1], match[2], match[3])
    if match := _DAY_FIRST.fullmatch(text):
        return _day(match[3], _month(match[2]), match[1])
    if match := _MONTH_FIRST.fullmatch(text):
        return _day(match[3], _month(match[1]), match[2])
    if match := _TWO_NUMBERS.fullmatch(text):
        first, second = int(match[1]), int(match[3])
        if first == second or second > 12:
            return _day(match[4], match[1], match[3])
        if first > 12:
            return _day(match[4], match[3], match[1])
    return ""


def _month(name: str) -> int:
    name = name.lower()
    return _MONTHS.get(name[:3], 0) if len(name) == 3 or name in _FULL_MONTHS else 0


def _day(year: str, month: str | int, day: str) -> str:
    try:
        found = dt.date(int(year), int(month), int(day))
    except ValueError:
        return ""
    return found.isoformat() if 1900 <= found.year <= 2200 else ""
