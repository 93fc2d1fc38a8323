"""Claims of flow: net purchases, turnover and comparisons of the money that crosses into a market.

Belongs here: amounts bought, sold or flowing, English and Chinese, of Stock Connect and of others; and statements that
a flow was the largest, a record, or comparable to another stretch. Does not belong here: who is over- or underweight
(`positioning.py`), records of a market's own turnover (`volumes.py`).

Only the total of a southbound channel has a ``subject_id``; purchases of one share, northbound money, funds and foreign
investors keep their words alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from rally_pipeline.notes import claim_parts
from rally_pipeline.notes.claim_parts import LENGTHS, STRETCHES
from rally_pipeline.notes.clauses import chinese_clauses, clauses
from rally_pipeline.notes.flow_words import (
    AMOUNT_AFTER,
    AMOUNT_BEFORE,
    COMPARABLE,
    CUMULATIVE,
    EXCLUDED,
    EXTREME_FLOW,
    FLOW_NOUN,
    NET,
    SUBJECT,
    TRIGGER,
    ZH_AFTER,
    ZH_BEFORE,
    ZH_COMPARABLE,
    ZH_EXTREME,
    ZH_SUBJECT,
    ZH_TOTAL,
    ZH_TRIGGER,
)
from rally_pipeline.notes.predicates import piece_bounds, stance_before, token_at
from rally_pipeline.notes.records import (
    Claim,
    ClaimType,
    Comparator,
    Direction,
    Mention,
    MentionKind,
    Passage,
    Quantity,
    QuantityKind,
    Window,
    WindowKind,
)

_OPENING: Final = re.compile(
    r"\s*[,，]?\s*[(（]\s*(?:about|around|or|approximately|roughly|约|約|即|equivalent to)?\s*$"
    r"|\s*(?:,? or)\s*(?:about )?$",
    re.IGNORECASE,
)


_TWIN: Final = re.compile(r"\s*[(（][^)）]{1,40}[)）]")
_PLANNED: Final = re.compile(r"\s*(?:(?:are|is|were) )?(?:(?:set|likely|expected|due|ready) )?to\s+", re.IGNORECASE)
_LEAD: Final = re.compile(r"(?:(?:via|through|in|on|of) )?(?:the )?", re.IGNORECASE)
_FLOW_IDS: Final = {
    **{"sse": "southbound_sse", "sse2": "southbound_sse", "szse": "southbound_szse", "szse2": "southbound_szse"},
    "south": "southbound",
}
_ISO: Final = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Flow:
    """Whose money.

    Attributes:
        start, end, text: as printed; all empty for what is carried over from a sentence before.
        flow_id: ``southbound``, ``southbound_sse``, ``southbound_szse`` or ``""``.
    """

    start: int
    end: int
    text: str
    flow_id: str


@dataclass(frozen=True, slots=True)
class _Role:
    metric: str
    sign: int
    is_net: bool
    start: int
    end: int


def find(passage: Passage) -> list[Claim]:
    """The claims of flow in a sentence: FLOW for amounts, FLOW_COMPARISON for the largest, a record or a likeness."""
    if not claim_parts.says_any(passage, ZH_TRIGGER if passage.is_chinese else TRIGGER):
        return []
    subjects = _subjects(passage)
    carried = subjects or _carried(passage)
    if passage.is_chinese:
        return _amounts_chinese(passage, subjects, carried) + _comparisons(passage, subjects, carried)
    return _amounts(passage, subjects, carried) + _comparisons(passage, subjects, carried)


def _subjects(passage: Passage) -> list[Flow]:
    pattern = ZH_SUBJECT if passage.is_chinese else SUBJECT
    made: list[Flow] = []
    for match in pattern.finditer(passage.text, passage.start, passage.end):
        flow_id = _FLOW_IDS.get(match.lastgroup or "", "")
        # "via the Shanghai link": the channel is named without its preposition.
        lead = _LEAD.match(match.group())
        start = match.start() + (lead.end() if lead is not None else 0)
        made.append(Flow(start, match.end(), passage.text[start : match.end()], flow_id))
    return made


def _carried(passage: Passage) -> list[Flow]:
    """Whose flow the sentence before spoke of: "They bought a net HK$3 billion"."""
    for number, earlier in enumerate(claim_parts.earlier_passages(passage)):
        if number >= 2:
            break
        found = _subjects(earlier)
        if found:
            return [Flow(0, 0, found[-1].text, found[-1].flow_id)]
    return []


def _flow_at(subjects: list[Flow], carried: list[Flow], at: int) -> Flow | None:
    before = [one for one in subjects if one.start < at]
    if before:
        # A channel named in the same breath is what the amount is of: "southbound … via Shanghai".
        return before[-1]
    return next(iter(subjects or carried), None)


def _channel_after(subjects: list[Flow], start: int, end: int) -> Flow | None:
    """The channel named behind an amount and before the next: "HK$4 billion via the Shanghai link and …"."""
    for one in subjects:
        if start <= one.start < min(end, start + 70) and one.flow_id.startswith("southbound_"):
            return one
    return None


def _is_amount(quantity: Quantity, *, is_chinese: bool) -> bool:
    if quantity.kind is QuantityKind.MONEY:
        return quantity.scale >= 1e4 or abs(quantity.value) >= 1e6
    return is_chinese and quantity.kind is QuantityKind.NUMBER and quantity.scale >= 1e6


# ------------------------------------------------------------------- English


def _amounts(passage: Passage, subjects: list[Flow], carried: list[Flow]) -> list[Claim]:
    text = passage.text
    made: list[Claim] = []
    roles: dict[int, tuple[_Role, Flow]] = {}
    used: list[Flow] = []
    amounts = [one for one in passage.quantities if _is_amount(one, is_chinese=False)]
    verbs = {(role.metric, role.sign) for one in amounts if (role := _role(passage, one)) is not None}
    is_gross = {("buy", 1), ("sell", -1)} <= verbs
    for index, quantity in enumerate(amounts):
        twin = (
            index
            and _OPENING.fullmatch(text[amounts[index - 1].end : quantity.start])
            and amounts[index - 1].currency != quantity.currency
        )
        if twin and index - 1 in roles:
            role, flow = roles[index - 1]
            roles[index] = (role, flow)
            made.append(_claim(passage, quantity, role, flow, is_twin=True, first=made[-1].start, is_gross=is_gross))
            continue
        found = _role(passage, quantity)
        if found is None:
            continue
        later = amounts[index + 1].start if index + 1 < len(amounts) else passage.end
        channel = _channel_after(subjects, quantity.end, later)
        whose = channel or _flow_at(
            [one for one in subjects if one not in used], carried, max(quantity.start, found.end)
        )
        if channel is not None:
            used.append(channel)
        if whose is None or EXCLUDED.search(
            text, max(passage.start, found.start - 40), min(passage.end, max(found.end, quantity.end) + 20)
        ):
            continue
        roles[index] = (found, whose)
        made.append(_claim(passage, quantity, found, whose, is_twin=False, first=None, is_gross=is_gross))
    return made


def _role(passage: Passage, quantity: Quantity) -> _Role | None:
    """What an amount is of: the flow word before it in its piece, else behind it."""
    text = passage.text
    start, _ = piece_bounds(passage, quantity.start)
    best: re.Match[str] | None = None
    for match in AMOUNT_BEFORE.finditer(text, max(start, quantity.start - 140), quantity.start):
        best = match
    other = next(
        (
            one
            for one in passage.quantities
            if best is not None and best.end() <= one.start < quantity.start and one.kind is QuantityKind.MONEY
        ),
        None,
    )
    behind = _TWIN.match(text, quantity.end, min(passage.end, quantity.end + 60))
    final = quantity.end if behind is None else behind.end()
    after = AMOUNT_AFTER.match(text, final, min(passage.end, final + 60))
    if after is not None and (best is None or other is not None or quantity.start - best.end() > 20):
        best = None
        match, is_after = after, True
    elif best is not None and (other is None or re.search(r"\band\b|,", text[other.end : quantity.start])):
        match, is_after = best, False
    else:
        return None
    if not is_after and re.search(r"accounted for|%", text[match.end() : quantity.start]):
        return None
    group = match.lastgroup or ""
    around = text[match.start() : quantity.start] if not is_after else text[quantity.end : match.end()]
    lead = text[max(start, match.start() - 14) : match.start()]
    is_net = bool(NET.search(around) or NET.search(lead))
    if group == "turnover":
        return _Role("turnover", 0, False, match.start(), match.end())
    sign = 1 if group in ("buy", "inflow") else -1
    if is_net or group in ("inflow", "outflow"):
        return _Role("net_buy", sign, is_net or "net" in around.lower(), match.start(), match.end())
    return _Role("buy" if sign > 0 else "sell", sign, False, match.start(), match.end())


def _stock(passage: Passage, quantity: Quantity) -> Mention | None:
    """A share named behind the amount as what was bought."""
    for mention in passage.mentions:
        if (
            mention.kind in (MentionKind.INSTRUMENT, MentionKind.BROKER)
            and quantity.end <= mention.start <= quantity.end + 40
        ):
            between = passage.text[quantity.end : mention.start]
            if re.fullmatch(
                r"[^,.;]*\b(?:of|in|on|into|worth of)\s+(?:\w+\s){0,3}", between, re.IGNORECASE
            ) and not mention.entity_id.startswith("^"):
                return mention
    return None


def _stock_chinese(passage: Passage, quantity: Quantity) -> Mention | None:
    """A share named in the clause of the amount: 其中阿里巴巴获净买入21亿港元."""
    bounds = next(
        ((s, e) for s, e in chinese_clauses(passage.text, passage.start, passage.end) if s <= quantity.start < e),
        (quantity.start, quantity.end),
    )
    for mention in passage.mentions:
        if mention.kind is MentionKind.INSTRUMENT and bounds[0] <= mention.start and mention.end <= bounds[1]:
            is_index = mention.entity_id.startswith("^") or re.search(r"指|股市?$|大市|大盘|大盤", mention.text)
            if not is_index:
                return mention
    return None


def _claim(
    passage: Passage, quantity: Quantity, role: _Role, flow: Flow, *, is_twin: bool, first: int | None, is_gross: bool
) -> Claim:
    text = passage.text
    details: dict[str, str | float | int | bool | None] = {}
    metric = role.metric
    sign = role.sign
    if metric in ("buy", "sell") and not is_gross:
        # "Mainland investors bought HK$10 billion of shares": reports give the net figure.
        metric = "net_buy"
        details["is_net_stated"] = False
    stock = _stock_chinese(passage, quantity) if passage.is_chinese else _stock(passage, quantity)
    flow_id = flow.flow_id
    if stock is not None and "stock" not in stock.text.lower() and "share" not in stock.text.lower():
        details["stock_text"], details["stock_id"] = stock.text, stock.entity_id
        details["flow"] = flow_id
        flow_id = ""
    if is_twin:
        details["twin"] = True
    if flow.start == flow.end:
        details["is_reference"] = True
    start = min(role.start, quantity.start)
    end = max(role.end, quantity.end)
    if is_twin and text[end : end + 1] in (")", "）"):
        end += 1
    if is_twin:
        start = start if first is None else first
    elif flow.end > flow.start and start - 160 <= flow.start < start:
        start = flow.start
    elif flow.end > flow.start and end <= flow.start <= end + 30:
        end = flow.end
    window = _window(passage, quantity)
    as_of_date, basis = claim_parts.as_of(passage, window)
    is_money = quantity.kind is QuantityKind.MONEY
    currency = quantity.currency if is_money else ""
    if passage.is_chinese and flow.flow_id and not _ISO.fullmatch(currency):
        # "266亿" or "266亿元" of southbound money is in Hong Kong dollars.
        currency = "HKD"
    value = quantity.value * (sign if metric == "net_buy" and sign else 1)
    found = None if passage.is_chinese else clauses(passage)
    stance = stance_before(found, token_at(found, quantity.start)) if found is not None and found.tokens else "asserts"
    if stance == "asserts" and flow.end <= role.start and _PLANNED.fullmatch(text, flow.end, role.start):
        stance = "forecasts"
    return Claim(
        claim_type=ClaimType.FLOW,
        rule_id=f"flow.{'zh_' if passage.is_chinese else ''}{'twin' if is_twin else metric}",
        start=start,
        end=end,
        quote=text[start:end],
        subject_text=flow.text,
        subject_id=flow_id,
        metric=metric,
        direction=None if metric == "turnover" else claim_parts.direction(sign),
        comparator=claim_parts.flipped(quantity.comparator, sign if metric == "net_buy" else 1),
        value=value,
        unit=currency,
        currency=currency,
        tolerance=quantity.tolerance,
        hedge=quantity.hedge,
        is_scale_word_chinese=quantity.is_scale_word_chinese,
        window=window,
        as_of_date=as_of_date,
        as_of_basis=basis,
        stance=stance,
        details=details,
    )


def _window(passage: Passage, quantity: Quantity) -> Window | None:
    """The time of an amount: in its clause, else nearest before it, else behind it, else the day of the report."""
    if passage.is_chinese:
        bounds = next(
            ((s, e) for s, e in chinese_clauses(passage.text, passage.start, passage.end) if s <= quantity.start < e),
            (passage.start, passage.end),
        )
    else:
        bounds = piece_bounds(passage, quantity.start)
    stretches = [one for one in passage.windows if one.kind in STRETCHES]
    inside = [one for one in stretches if bounds[0] <= one.start and one.end <= bounds[1]]
    # A running total is over the longer stretch where a day is named too.
    longer = [one for one in inside if one.kind is not WindowKind.DAY]
    if longer and CUMULATIVE.search(passage.text, bounds[0], bounds[1]):
        return longer[0]
    # Two amounts of one clause have each the time behind it: "HK$3bn on Monday and HK$5bn on Friday".
    later = [one for one in passage.quantities if one.start > quantity.end and one.kind is QuantityKind.MONEY]
    limit = next(
        (one.start for one in later if not _OPENING.fullmatch(passage.text[quantity.end : one.start])), bounds[1]
    )
    after = [one for one in inside if quantity.end <= one.start < limit]
    if after:
        return after[0]
    before = [one for one in inside if one.end <= quantity.start]
    if before:
        return before[-1]
    earlier = [one for one in stretches if one.end <= quantity.start]
    if earlier:
        return replace(earlier[-1], is_inherited=True)
    if CUMULATIVE.search(passage.text, *bounds):
        return next((one for one in stretches if one.kind is not WindowKind.DAY and one.end <= bounds[1]), None)
    beyond = [one for one in stretches if quantity.end <= one.start <= quantity.end + 60 and not passage.is_chinese]
    if beyond:
        return beyond[0]
    return claim_parts.day_window(passage, quantity.start, quantity.end)


# ------------------------------------------------------------------- Chinese


def _amounts_chinese(passage: Passage, subjects: list[Flow], carried: list[Flow]) -> list[Claim]:
    text = passage.text
    made: list[Claim] = []
    amounts = [one for one in passage.quantities if _is_amount(one, is_chinese=True)]
    parts = chinese_clauses(text, passage.start, passage.end)
    previous: tuple[_Role, Flow] | None = None
    found: list[tuple[Quantity, _Role, Flow, bool]] = []
    for index, quantity in enumerate(amounts):
        if (
            index
            and previous
            and _OPENING.fullmatch(text[amounts[index - 1].end : quantity.start])
            and amounts[index - 1].currency != quantity.currency
        ):
            found.append((quantity, *previous, True))
            continue
        previous = None
        start, end = next(((s, e) for s, e in parts if s <= quantity.start < e), (passage.start, passage.end))
        role = _chinese_role(text, quantity, start, end)
        if role is None:
            continue
        flow = _flow_at(subjects, carried, max(quantity.start, role.start))
        if flow is None or (role.metric == "turnover" and not subjects):
            continue
        previous = (role, flow)
        found.append((quantity, role, flow, False))
    sides = {(role.metric, role.sign) for _, role, _, _ in found}
    is_gross = {("buy", 1), ("sell", -1)} <= sides
    for quantity, role, flow, is_twin in found:
        made.append(
            _claim(
                passage,
                quantity,
                role,
                flow,
                is_twin=is_twin,
                first=made[-1].start if made and is_twin else None,
                is_gross=is_gross,
            )
        )
    return made


def _chinese_role(text: str, quantity: Quantity, start: int, end: int) -> _Role | None:
    begin = min(quantity.start, quantity.hedge_start)
    before = text[max(start, begin - 24) : begin]
    best: re.Match[str] | None = None
    for match in ZH_BEFORE.finditer(before):
        best = match
    offset = begin - len(before)
    if best is None and start and ZH_TOTAL.fullmatch(before):
        # "连续8日净买入，累计266亿港元": the verb stands in the clause before.
        clause = text[max(0, start - 30) : start - 1]
        clause = clause[max(clause.rfind(mark) for mark in "，。；,") + 1 :]
        verb = ZH_BEFORE.search(clause)
        if verb is not None:
            sign = 1 if verb["up"] else -1
            return _Role(
                "turnover" if verb["turnover"] else "net_buy",
                0 if verb["turnover"] else sign,
                True,
                begin - len(before),
                begin,
            )
    if best is None:
        best = ZH_AFTER.match(text, quantity.end, min(end, quantity.end + 16))
        offset = 0
    if best is None:
        return None
    words = best.group()
    first, last = offset + best.start(), offset + best.end()
    if best["turnover"]:
        return _Role("turnover", 0, False, first, last)
    sign = 1 if best["up"] else -1
    if re.search("[净淨]|流[入出]", words):
        return _Role("net_buy", sign, True, first, last)
    return _Role("buy" if sign > 0 else "sell", sign, False, first, last)


# --------------------------------------------------------------- comparisons


def _comparisons(passage: Passage, subjects: list[Flow], carried: list[Flow]) -> list[Claim]:
    text = passage.text
    made: list[Claim] = []
    extreme = ZH_EXTREME if passage.is_chinese else EXTREME_FLOW
    for match in extreme.finditer(text, passage.start, passage.end):
        flow = _flow_at(subjects, carried, match.end())
        if flow is None or (
            not passage.is_chinese
            and FLOW_NOUN.search(text, max(passage.start, match.start() - 120), match.end()) is None
        ):
            continue
        window = _length(passage, match)
        if window is None or any(one.window is window for one in made):
            continue
        first, last = min(match.start(), window.start), max(match.end(), window.end)
        groups = match.groupdict()
        is_low = bool(groups.get("low"))
        is_out = (
            bool(groups.get("out"))
            or re.search(r"outflow|sell|sold|流出|[卖賣]|沽", match.group(), re.IGNORECASE) is not None
        )
        metric = (
            "turnover"
            if re.search(r"turnover|成交", text[max(passage.start, first - 40) : last], re.IGNORECASE)
            and not re.search(r"\bnet\b|[净淨]|inflow|buying|purchas", match.group(), re.IGNORECASE)
            else "net_buy"
        )
        comparator = Comparator.LOWEST_IN_WINDOW if is_low != is_out else Comparator.HIGHEST_IN_WINDOW
        made.append(
            _comparison(
                passage,
                flow,
                (first, last),
                "extreme",
                comparator,
                window,
                metric,
                Direction.DOWN if is_out else Direction.UP,
            )
        )
    for match in (ZH_COMPARABLE if passage.is_chinese else COMPARABLE).finditer(text, passage.start, passage.end):
        flow = _flow_at(subjects, carried, match.end())
        if flow is None:
            continue
        window = next(
            (
                one
                for one in passage.windows
                if one.kind in STRETCHES and match.start() <= one.start <= match.end() + 30
            ),
            None,
        )
        if window is None:
            continue
        last = max(window.end, match.end())
        tail = re.compile(
            r"(?:['’]s)?(?: \w+){0,2}? (?:rush|surge|wave|spree|pace|levels?|buying|inflows?|rally|peak|highs?"
            r"|frenzy)\b|的?(?:水平|相若|相当|相當|相近|(?:规模|規模)(?:相若|相当|相當|相近)|高峰|抢购潮|搶購潮|热潮|熱潮|规模|規模)",
            re.IGNORECASE,
        ).match(text, last, min(passage.end, last + 40))
        if tail is not None:
            last = tail.end()
        made.append(
            _comparison(
                passage,
                flow,
                (match.start(), last),
                "comparable",
                Comparator.COMPARABLE_TO,
                window,
                "net_buy",
                Direction.UP,
            )
        )
    return made


def _length(passage: Passage, match: re.Match[str]) -> Window | None:
    best: tuple[int, Window] | None = None
    for window in passage.windows:
        # "创2021年以来单日新高": inside the words of the extreme a stretch is its length.
        is_inside = match.start() <= window.start and window.end <= match.end() and window.kind is not WindowKind.DAY
        if window.kind not in LENGTHS and not is_inside:
            continue
        gap = max(window.start - match.end(), match.start() - window.end, 0)
        if gap <= 60 and (best is None or gap < best[0]):
            best = (gap, window)
    return None if best is None else best[1]


def _comparison(
    passage: Passage,
    flow: Flow,
    span: tuple[int, int],
    rule: str,
    comparator: Comparator,
    window: Window,
    metric: str,
    direction: Direction,
) -> Claim:
    text = passage.text
    first, last = span
    if (
        flow.end > flow.start
        and 0 <= first - flow.end <= 60
        and not any(flow.end <= one.start < first for one in passage.quantities)
    ):
        first = flow.start
    elif flow.end > flow.start and flow.start >= first and flow.end - last <= 40:
        last = max(last, flow.end)
    own = next(
        (one for one in passage.windows if one.kind in STRETCHES and one is not window and one.end <= first), None
    )
    as_of_date, basis = claim_parts.as_of(
        passage, next((one for one in passage.windows if one.kind is WindowKind.DAY and one is not window), None)
    )
    begin, end = window.start_earliest, window.last
    details: dict[str, str | float | int | bool | None] = {
        "comparison_window_start": begin.isoformat() if begin else None,
        "comparison_window_end": end.isoformat() if end else as_of_date.isoformat() if as_of_date else None,
        "comparison_window_text": text[window.start : window.end],
        "period": _period(text[first:last]),
    }
    if flow.start == flow.end:
        details["is_reference"] = True
    found = None if passage.is_chinese else clauses(passage)
    return Claim(
        claim_type=ClaimType.FLOW_COMPARISON,
        rule_id=f"flow_comparison.{'zh_' if passage.is_chinese else ''}{rule}",
        start=first,
        end=last,
        quote=text[first:last],
        subject_text=flow.text,
        subject_id=flow.flow_id,
        metric=metric,
        direction=direction,
        comparator=comparator,
        window=own if rule == "comparable" else window,
        as_of_date=as_of_date,
        as_of_basis=basis,
        stance=stance_before(found, token_at(found, first)) if found is not None and found.tokens else "asserts",
        details=details,
    )


def _period(words: str) -> str:
    if re.search(r"\b(?:weekly|week)\b|[单單]?[周週]", words, re.IGNORECASE):
        return "week"
    if re.search(r"\b(?:monthly|month)\b|[单單]月|月度", words, re.IGNORECASE):
        return "month"
    if re.search(r"\b(?:daily|day|one-day|single-day|session)\b|[单單]日|每日|全日", words, re.IGNORECASE):
        return "day"
    return ""
