"""How a column is called and how its numbers are shown, from its name, type and unit.

Belongs here: labels and formats. Does not belong here: what a column means (`schema/`).
"""

from __future__ import annotations

import sqlalchemy as sa

from rally_pipeline.schema.declare import ColumnInfo

_WORDS = {
    "ytd": "YTD",
    "mtd": "MTD",
    "usd": "USD",
    "hkd": "HKD",
    "sse": "Shanghai",
    "szse": "Shenzhen",
    "is": "is",
    "sha256": "SHA-256",
}
#: Ends of names that the unit in brackets says again.
_SAID_BY_UNIT = ("_hkd_mn", "_usd_mn", "_pct", "_shares_mn", "_shares")
#: Units that stand in a column beside the number, or are the number's own.
_UNSAID = ("", "currency", "price_currency", "see unit", "UTC", "sessions", "days", "windows")
#: Unit → digits after the point; whatever counts things has none.
_DIGITS = {
    "%": 2,
    "HKD mn": 1,
    "USD mn": 1,
    "HKD mn per %": 1,
    "HKD per USD": 4,
    "currency": 2,
    "price_currency": 2,
    "mn shares": 1,
    "see unit": 2,
}


def label(name: str, info: ColumnInfo) -> str:
    """A column's name for people, with its unit: ``Net buy (HKD mn)``."""
    unit = info.unit if info.unit not in _UNSAID else ""
    ending = next((end for end in _SAID_BY_UNIT if name.endswith(end)), "") if unit else ""
    words = [_WORDS.get(word, word) for word in name.removesuffix(ending).split("_")]
    text = " ".join(words)
    return f"{text[0].upper()}{text[1:]}" + (f" ({unit})" if unit else "")


def digits(type_: sa.types.TypeEngine[object], info: ColumnInfo) -> int | None:
    """How many digits are shown after the point; ``None`` for what is no number."""
    if isinstance(type_, sa.Integer):
        return 0
    if not isinstance(type_, sa.Float):
        return None
    # numbers without a unit are ratios
    return _DIGITS.get(info.unit, 2)


def d3_format(type_: sa.types.TypeEngine[object], info: ColumnInfo) -> str | None:
    """The same as a format of D3: ``,.2f``. Per cents are numbers like 12.76 here, so there is no ``%`` in it."""
    places = digits(type_, info)
    if places is None:
        return None
    return ",d" if places == 0 else f",.{places}f"
