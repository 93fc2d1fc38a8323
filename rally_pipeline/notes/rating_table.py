"""Reads table lines of rating changes: "2331 HK | Li Ning | Daiwa | Hold → Buy | TP HK$17 → HK$22.5".

Belongs here: lines whose cells stand apart (bars, tabs, several blanks), and "Downgraded: X – Y (buy to hold, …)".
Does not belong here: label-and-value lines (`rating_box.py`), sentences (`ratings.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes import targets
from rally_pipeline.notes.rating_frames import moved
from rally_pipeline.notes.records import Claim, ClaimType, Passage, SourceKind

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

_GAP = re.compile(r"[ \t\u00a0]*[|｜\t][ \t\u00a0|｜]*|[ \u00a0]{2,}")
_CELL_LIMIT = 12
_ARROW = r"[ \u00a0]?[(（]?(?P<way>→|➔|➜|⇒|[-=]{1,2}>|to\b|from\b|previously\b|prev\b\.?|was\b)[ \u00a0]?"
#: Ways of saying that the second one is the old one.
_BACKWARDS = ("from", "previously", "prev", "prev.", "was")
_RATING = rf"[‘’'\"“”]?(?:{rw.RATING.pattern})[‘’'\"“”]?"
_RATINGS = re.compile(rf"(?P<one>{_RATING})(?:{_ARROW}(?P<two>{_RATING})[)）]?)?", re.IGNORECASE)
_AMOUNT = r"(?:(?:HK|US|A|C|S|NT)?\$|€|£|¥|Rs\.? ?|RM|[A-Z]{3} ?)?\d[\d,]{0,12}(?:\.\d{1,4})?(?:p\b)?"
_MONEY = re.compile(
    rf"(?P<label>(?:new )?(?:TP|PT|PO|price target|target price|target|fair value)[ \u00a0:]{{0,3}})?"
    rf"(?P<one>{_AMOUNT})(?:{_ARROW}(?P<two>{_AMOUNT})[)）]?)?",
    re.IGNORECASE,
)
_TICKER = re.compile(r"\d{1,6}[ .](?:HK|CH|SS|SZ|SH|TT|TW|JP|KS|SP)|\d{4,6}|[A-Z]{1,5}(?:[ .][A-Z]{1,2})?")
_NAME = re.compile(r"(?P<name>[^\W\d_][^\n|:;()]{0,40}?)(?:[ \u00a0]?[(（](?P<ticker>[A-Z0-9][A-Z0-9. :]{0,11})[)）])?")
#: Small letters that stand in a table all the same.
_UNITS = re.compile(r"(?:n/?a|nm|unch|x|p|pts?|new|from|to|prev)\b")
_HEADS = (
    (re.compile(r"upgrade[sd]?|raised", re.IGNORECASE), "Upgrade"),
    (re.compile(r"downgrade[sd]?|lowered|cut", re.IGNORECASE), "Downgrade"),
    (re.compile(r"initiat\w+|new coverage|coverage initiated|starts?", re.IGNORECASE), "Initiate"),
    (re.compile(r"reiterat\w+|maintain\w*|reaffirm\w*|unchanged|affirm\w*", re.IGNORECASE), "Reiterate"),
)
#: "Downgraded: X – Y (buy to hold, CHF 88 from CHF 96)".
_LISTED = re.compile(
    r"(?P<head>Upgraded?|Downgraded?|Upgrades|Downgrades|Initiated|Initiations|Reiterated|Maintained)[ \u00a0]?: ?"
    r"(?P<name>[^\W\d_][^\n:;()–—]{0,40}?)(?:[ \u00a0]?[(（][A-Z0-9. :]{1,12}[)）])?[ \u00a0][-–—][ \u00a0]"
    rf"(?P<house>[^\W\d_][^\n:;()–—]{{0,40}}?)[ \u00a0]?\((?P<ratings>{_RATINGS.pattern.replace('?P<', '?P<r_')})"
    r"(?:[,;] ?(?P<money>[^()\n]{1,60}))?\)",
    re.IGNORECASE,
)
_CURRENCY = {
    "HK$": "HKD", "US$": "USD", "A$": "AUD", "C$": "CAD", "S$": "SGD", "NT$": "TWD", "$": "USD", "€": "EUR",
    "£": "GBP", "¥": "JPY", "RS": "INR", "RS.": "INR", "RM": "MYR", "RMB": "CNY",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pair:
    """The new and the old one of a cell, as spans of the text; ``None`` = not there."""

    new: tuple[int, int]
    old: tuple[int, int] | None
    way: str = ""


def may_be(sentence: str) -> bool:
    """Whether a line may be one of a table; cheap."""
    return "  " in sentence or "|" in sentence or "\t" in sentence or "｜" in sentence or sentence.endswith(")")


def find(passage: Passage, lexicon: Lexicon) -> list[Claim]:
    """The rating and the target of a table line; empty if it is none or does not say clearly what is what."""
    text, start, end = passage.text, passage.start, passage.end
    listed = _LISTED.match(text, start, end)
    if listed is not None:
        return _read_listed(passage, listed, lexicon)
    cells = _cells(text, start, end)
    if len(cells) < 4 or len(cells) > _CELL_LIMIT:
        return []
    head = name = money = ticker = None
    houses: list[tuple[int, int]] = []
    ratings: list[_Pair] = []
    for begin, stop in cells:
        printed = text[begin:stop]
        rating = _RATINGS.fullmatch(text, begin, stop)
        amount = _MONEY.fullmatch(text, begin, stop)
        action = next((word for pattern, word in _HEADS if pattern.fullmatch(printed)), "")
        if action and head is None and not ratings and name is None:
            head = action
        elif rating is not None:
            ratings.append(_pair(rating))
        elif amount is not None and (amount["label"] or amount["two"]):
            money = money or amount
        elif lexicon.broker(printed):
            houses.append((begin, stop))
        elif ratings and printed[0].islower() and not _UNITS.match(printed):
            return []  # words go on: no table
        elif _TICKER.fullmatch(printed):
            ticker = (begin, stop) if ticker is None or text[ticker[0]].isdigit() else ticker
        elif name is not None:
            continue
        else:
            found = _NAME.fullmatch(text, begin, stop)
            name = found.span("name") if found and not ratings else name
    house, name = _who(text, houses, name, ticker, lexicon)
    is_sure = bool(money or head or ticker or len(ratings) > 1 or (ratings and ratings[0].old))
    if house is None or name is None or not ratings or not is_sure:
        return []
    return _claims(passage, lexicon, head or "", house, name, ratings, money)


def _who(
    text: str,
    houses: list[tuple[int, int]],
    name: tuple[int, int] | None,
    ticker: tuple[int, int] | None,
    lexicon: Lexicon,
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The cells of the house and of the share; a bank is the share where its ticker says so, else it is left open."""
    if len(houses) == 1:
        return houses[0], name or ticker
    if name is not None:
        return None, None
    ids = [lexicon.broker(text[slice(*cell)]) for cell in houses]
    code = text[slice(*ticker)] if ticker is not None else ""
    for cell, house in zip(houses, ids, strict=True):
        printed = text[slice(*cell)]
        if _TICKER.fullmatch(printed) and ids.count(house) > 1:
            code = printed  # "GS | Goldman Sachs | Citi"
    shares = [
        k for k, house in enumerate(ids) if code and _symbol(lexicon, house) == code and text[slice(*houses[k])] != code
    ]
    others = [k for k, house in enumerate(ids) if not shares or house != ids[shares[0]]]
    return (houses[others[0]], houses[shares[0]]) if len(shares) == len(others) == 1 else (None, None)


def _symbol(lexicon: Lexicon, house: str) -> str:
    broker = lexicon.catalog.brokers.get(house)
    return (broker.symbol or "") if broker else ""


def _cells(text: str, start: int, end: int) -> list[tuple[int, int]]:
    cells = []
    begin = start
    for gap in _GAP.finditer(text, start, end):
        if gap.start() > begin:
            cells.append((begin, gap.start()))
        begin = gap.end()
    if begin < end:
        cells.append((begin, end))
    return cells


def _pair(found: re.Match[str], prefix: str = "") -> _Pair:
    one, two = found.span(prefix + "one"), found.span(prefix + "two")
    way = found[prefix + "way"] or ""
    if two[0] < 0:
        return _Pair(one, None)
    return _Pair(one, two, way) if way.lower() in _BACKWARDS else _Pair(two, one, way)


def _read_listed(passage: Passage, found: re.Match[str], lexicon: Lexicon) -> list[Claim]:
    if not lexicon.broker(found["house"]):
        return []
    action = next((word for pattern, word in _HEADS if pattern.match(found["head"])), "")
    begin, stop = found.span("money")
    money = _MONEY.fullmatch(passage.text, begin, stop) if begin >= 0 else None
    return _claims(
        passage, lexicon, action, found.span("house"), found.span("name"), [_pair(found, "r_")], money
    )  # fmt: skip


def _claims(
    passage: Passage, lexicon: Lexicon, head: str, house: tuple[int, int], name: tuple[int, int],
    ratings: list[_Pair], money: re.Match[str] | None,
) -> list[Claim]:  # fmt: skip
    text = passage.text
    claims: list[Claim] = []
    value = old = None
    amount = _pair(money) if money is not None else None
    if amount is not None:
        value = _value(text[slice(*amount.new)])
        old = _value(text[slice(*amount.old)]) if amount.old else None
    rating = _settled(text, ratings, head)
    common = {"broker_start": house[0], "broker_end": house[1], "action_no": 1}
    if rating is not None:
        now = _bare(text, rating.new)
        then = _bare(text, rating.old) if rating.old else (0, 0)
        change = moved(text[slice(*now)], text[slice(*then)]) if rating.old else ""
        if rating.old and not change and text[slice(*now)].lower() == text[slice(*then)].lower():
            change = "Reiterate"
        claims.append(
            _claim(
                passage, lexicon, ClaimType.RATING_ACTION, "ratings.table_rating", house, name, [now, then],
                metric="rating", rating=text[slice(*now)], rating_prior=text[slice(*then)] if rating.old else "",
                rating_action=change or head, details={**common, "rating_start": now[0], "rating_end": now[1]},
            )
        )  # fmt: skip
    if amount is not None and value is not None:
        currency = _currency(text[slice(*amount.new)]) or (_currency(text[slice(*amount.old)]) if amount.old else "")
        pence = text[amount.new[1] - 1] == "p"
        scale = 0.01 if pence else 1.0
        currency = "GBP" if pence else currency
        action, is_conflict = targets.direction("", value, old)
        decimals = len(text[slice(*amount.new)].rstrip("p").partition(".")[2])
        claims.append(
            _claim(
                passage, lexicon, ClaimType.TARGET_CHANGE, "ratings.table_target", house, name,
                [amount.new, amount.old or (0, 0)],
                metric="target_price", value=value * scale, value_prior=None if old is None else old * scale,
                unit=currency, currency=currency, tolerance=0.5 * 10.0**-decimals * scale, target_action=action,
                is_conflict=is_conflict,
                details={**common, "target_start": amount.new[0], "target_end": amount.new[1]},
            )
        )  # fmt: skip
    return claims


def _settled(text: str, ratings: list[_Pair], head: str) -> _Pair | None:
    """Which rating is the new one; ``None`` if two columns differ and no heading says which is the old one."""
    if len(ratings) == 1:
        return ratings[0]
    if len(ratings) > 2 or ratings[0].old or ratings[1].old:
        return None
    one, two = ratings[0].new, ratings[1].new
    if text[slice(*one)].lower() == text[slice(*two)].lower():
        return _Pair(one, two)
    if head and moved(text[slice(*two)], text[slice(*one)]) == head:
        return _Pair(two, one)
    if head and moved(text[slice(*one)], text[slice(*two)]) == head:
        return _Pair(one, two)
    return None


def _bare(text: str, span: tuple[int, int]) -> tuple[int, int]:
    begin, stop = span
    return begin + (text[begin] in "‘’'\"“”"), stop - (text[stop - 1] in "‘’'\"“”")


def _value(printed: str) -> float:
    return float(re.sub(r"[^\d.]", "", printed[re.search(r"\d", printed).start() :]))  # type: ignore[union-attr]


def _currency(printed: str) -> str:
    code = re.split(r"\d", printed, maxsplit=1)[0].strip().upper()
    return _CURRENCY.get(code, code)


def _claim(
    passage: Passage, lexicon: Lexicon, kind: ClaimType, rule: str, house: tuple[int, int], name: tuple[int, int],
    parts: list[tuple[int, int]], **fields: object,
) -> Claim:  # fmt: skip
    text = passage.text
    spans = [span for span in (house, name, *parts) if span != (0, 0)]
    start, end = min(s for s, _ in spans), max(e for _, e in spans)
    broker, subject = text[slice(*house)], text[slice(*name)]
    return Claim(
        claim_type=kind,
        rule_id=rule,
        start=start,
        end=end,
        quote=text[start:end],
        subject_text=subject,
        subject_id=lexicon.instrument(subject),
        source_kind=SourceKind.BROKER,
        broker_id=lexicon.broker(broker),
        broker_text=broker,
        **fields,  # type: ignore[arg-type]
    )
