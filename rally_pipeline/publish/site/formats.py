"""Numbers, days and names as the site prints them: one way everywhere.

Belongs here: text from values. Does not belong here: markup, or which values are shown.
"""

from __future__ import annotations

import datetime as dt

#: Stands where there is no value.
NONE = "–"
_MINUS = "−"
_SPACE = "\u00a0"
_CURRENCY = {"HKD": "HK$", "USD": "US$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "CN¥"}


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """A number with thousands separated, a true minus sign, and a plus if asked for."""
    if value is None:
        return NONE
    text = f"{abs(value):,.{digits}f}"
    if not any(sign in text for sign in "123456789"):
        return text
    return f"{_MINUS if value < 0 else '+' if signed else ''}{text}"


def percent(value: float | None, digits: int = 2, *, signed: bool = True) -> str:
    """A percentage; 12.76 is ``+12.76 %``."""
    return NONE if value is None else f"{number(value, digits, signed=signed)}{_SPACE}%"


def money(value: float | None, currency: str | None, digits: int = 2, *, signed: bool = False) -> str:
    """An amount with the sign of its currency, or its code where there is no sign."""
    if value is None:
        return NONE
    text = number(value, digits, signed=signed)
    sign = _CURRENCY.get(currency or "", currency or "")
    head = text[0] if text[0] in f"{_MINUS}+" else ""
    return f"{head}{sign}{_SPACE if sign else ''}{text.removeprefix(head)}"


def billions(value_mn: float | None, currency: str, digits: int = 2, *, signed: bool = True) -> str:
    """An amount given in millions, in billions."""
    return NONE if value_mn is None else f"{money(value_mn / 1000, currency, digits, signed=signed)}{_SPACE}bn"


def millions(value: float | None, digits: int = 1) -> str:
    """A count in millions."""
    return NONE if value is None else f"{number(value / 1e6, digits)}{_SPACE}mn"


def day(value: dt.date | None) -> str:
    """A day, e.g. ``14 Feb 2025``."""
    return NONE if value is None else f"{value.day}{_SPACE}{value:%b}{_SPACE}{value.year}"


def month(value: dt.date | None) -> str:
    """A month, e.g. ``September 2024``."""
    return NONE if value is None else f"{value:%B} {value.year}"


def instant(value: dt.datetime | None) -> str:
    """An instant in UTC, to the minute."""
    return NONE if value is None else f"{day(value.date())} {value:%H:%M} UTC"


def words(value: str) -> str:
    """A code as words: ``net_exposure`` is ``net exposure``."""
    return value.replace("_", " ").strip()


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,}{_SPACE}{one if count == 1 else many or one + 's'}"


def ordinal(value: int | None) -> str:
    """A rank, e.g. ``2nd``."""
    if value is None:
        return NONE
    ending = "th" if 10 <= value % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value:,}{ending}"


def levels(kind: str, currency: str) -> str:
    """The unit of an instrument's prices."""
    return "index points" if kind == "index" else currency
