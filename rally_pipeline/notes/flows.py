"""Claims of flow: net purchases, turnover and comparisons of the money that crosses into a market.

Belongs here: amounts bought, sold or flowing, English and Chinese, of Stock Connect and of others. Does not belong
here: whose money it is (`flow_subjects.py`), statements that a flow was the largest or like another
(`flow_comparisons.py`), who is over- or underweight (`positioning.py`), records of a market's own turnover
(`volumes.py`).

Only the total of a southbound channel has a ``subject_id``; purchases of one share, northbound money, funds and foreign
investors keep their words alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from rally_pipeline.notes import claim_parts
from rally_pipeline.notes.claim_parts import STRETCHES
from rally_pipeline.notes.clauses import chinese_clauses, clauses
from rally_pipeline.notes.flow_comparisons import comparisons, pace
from rally_pipeline.notes.flow_subjects import FLOW_SENTENCES_BACK, Flow, carried_from, flow_at, subjects_in
from rally_pipeline.notes.flow_words import (
    AMOUNT_AFTER,
    AMOUNT_BEFORE,
    AND_CHANNEL,
    BOOKED,
    CUMULATIVE,
    DIRECTION,
    EXCLUDED,
    NET,
    NET_FLOW,
    PASSED,
    TRIGGER,
    ZH_AFTER,
    ZH_BEFORE,
    ZH_PART,
    ZH_TOTAL,
    ZH_TRIGGER,
)
from rally_pipeline.notes.predicates import piece_bounds, stance_before, token_at
from rally_pipeline.notes.records import (
    Claim,
    ClaimType,
    Comparator,
    Mention,
    MentionKind,
    Passage,
    Quantity,
    QuantityKind,
    Window,
    WindowKind,
)
from rally_pipeline.notes.stated_days import is_stated, stated_days
from rally_pipeline.notes.stretch_references import reference

_OPENING: Final = re.compile(
    r"\s*[,，]?\s*[(（]\s*(?:about|around|or|approximately|roughly|约|約|即|equivalent to)?\s*$"
    r"|\s*(?:,? or)\s*(?:about )?$",
    re.IGNORECASE,
)


_TWIN: Final = re.compile(r"\s*[(（][^)）]{1,40}[)）]")
_PLANNED: Final = re.compile(r"\s*(?:(?:are|is|were) )?(?:(?:set|likely|expected|due|ready) )?to\s+", re.IGNORECASE)
_ISO: Final = re.compile(r"[A-Z]{3}")


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
        return pace(passage)
    subjects = subjects_in(passage)
    carried = subjects or carried_from(passage)
    if passage.is_chinese:
        return _amounts_chinese(passage, subjects, carried) + comparisons(passage, subjects, carried)
    return _amounts(passage, subjects, carried) + comparisons(passage, subjects, carried)


def _channel_after(subjects: list[Flow], start: int, end: int) -> Flow | None:
    """The channel named behind an amount and before the next: "HK$4 billion via the Shanghai link and …"."""
    for one in subjects:
        if start <= one.start < min(end, start + 70) and one.flow_id.startswith("southbound_"):
            return one
    return None


def _channel_between(passage: Passage, subjects: list[Flow], role: _Role, quantity: Quantity) -> Flow | None:
    """The channel named between the flow word and its amount: "net buying through the Shanghai link came to"."""
    inside = [one for one in subjects if role.start <= one.start and one.end <= quantity.start]
    if not inside or not inside[-1].flow_id.startswith("southbound_"):
        return None
    is_taken = any(role.start <= one.start < quantity.start for one in passage.quantities)
    return None if is_taken else inside[-1]


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
    has_net_flow = NET_FLOW.search(text, passage.start, passage.end) is not None
    amounts = [
        one
        for one in passage.quantities
        if _is_amount(one, is_chinese=False) or (has_net_flow and one.kind is QuantityKind.NUMBER and one.scale >= 1e6)
    ]
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
        pair = (
            None
            if not index or index - 1 not in roles
            else AND_CHANNEL.fullmatch(text, amounts[index - 1].end, quantity.start)
        )
        if pair is not None and (found is None or found.end <= amounts[index - 1].start):
            # "through Shanghai to HK$2 billion and through Shenzhen to HK$1 billion"
            side = "sse" if pair["sse"] else "szse"
            flow = Flow(pair.start(side), pair.end(side), pair[side], f"southbound_{side}")
            flow = next((one for one in subjects if one.start <= flow.start < one.end), flow)
            role = replace(roles[index - 1][0], start=flow.start, end=flow.end)
            roles[index] = (role, flow)
            made.append(_claim(passage, quantity, role, flow, is_twin=False, first=None, is_gross=is_gross))
            continue
        if found is None and index - 1 in roles and roles[index - 1][0].metric == "net_buy":
            booked = BOOKED.match(text, quantity.end, min(passage.end, quantity.end + 40))
            if booked is not None:
                found = replace(roles[index - 1][0], start=quantity.start, end=booked.end())
        if found is None:
            continue
        later = amounts[index + 1].start if index + 1 < len(amounts) else passage.end
        channel = _channel_between(passage, subjects, found, quantity) or _channel_after(subjects, quantity.end, later)
        whose = channel or flow_at(
            [one for one in subjects if one not in used], carried, max(quantity.start, found.end)
        )
        if channel is not None:
            used.append(channel)
        if whose is None and has_net_flow and NET_FLOW.search(text, max(passage.start, found.start - 5), found.end):
            # "The net outflow was $3 million": of what, the words do not tell.
            whose = Flow(0, 0, "", "")
        behind = max(found.end, quantity.end)
        comma = text.find(",", behind, behind + 20)
        last = min(passage.end, behind + 20 if comma < 0 else comma)
        if whose is None or EXCLUDED.search(text, max(passage.start, found.start - 40), last):
            continue
        roles[index] = (found, whose)
        made.append(_claim(passage, quantity, found, whose, is_twin=False, first=None, is_gross=is_gross))
    return made or _directions(passage, subjects)


def _directions(passage: Passage, subjects: list[Flow]) -> list[Claim]:
    """Which way money went in a sentence without an amount: "gold ETFs saw outflows in June"."""
    if not subjects or not claim_parts.says_any(passage, ("flow",)):
        return []
    made: list[Claim] = []
    text = passage.text
    for match in DIRECTION.finditer(text, passage.start, passage.end):
        before = [one for one in subjects if one.end <= match.start() and match.start() - one.end <= 30]
        if not before or any(
            0 <= one.start - match.start() <= 60 and _is_amount(one, is_chinese=False) for one in passage.quantities
        ):
            continue
        flow = before[-1]
        if EXCLUDED.search(text, flow.start, match.end()) or re.search(r"[,;:]", text[flow.end : match.start()]):
            continue
        sign = 1 if (match["way"] or match["way2"]).lower() == "in" else -1
        stretches = [one for one in passage.windows if one.kind in STRETCHES and not is_stated(passage, one)]
        window = next((one for one in stretches if match.end() <= one.start <= match.end() + 40), None) or next(
            (one for one in reversed(stretches) if one.end <= match.start()), None
        )
        as_of_date, basis = claim_parts.as_of(passage, window, match.start())
        found = clauses(passage)
        made.append(
            Claim(
                claim_type=ClaimType.FLOW,
                rule_id="flow.direction",
                start=flow.start,
                end=match.end(),
                quote=text[flow.start : match.end()],
                subject_text=flow.text,
                subject_id=flow.flow_id,
                metric="net_buy",
                direction=claim_parts.direction(sign),
                comparator=Comparator.QUALITATIVE,
                window=window,
                as_of_date=as_of_date,
                as_of_basis=basis,
                stance=stance_before(found, token_at(found, match.start())) if found.tokens else "asserts",
            )
        )
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
    begin = match.start() - 4 if not is_after and lead[-4:].lower() == "net " else match.start()
    sign = 1 if group in ("buy", "inflow") else -1
    if is_net or group in ("inflow", "outflow"):
        return _Role("net_buy", sign, is_net or "net" in around.lower(), begin, match.end())
    return _Role("buy" if sign > 0 else "sell", sign, False, begin, match.end())


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
    as_of_date, basis = claim_parts.as_of(passage, window, quantity.start)
    is_money = quantity.kind is QuantityKind.MONEY
    currency = quantity.currency if is_money else ""
    if passage.is_chinese and flow.flow_id and not _ISO.fullmatch(currency):
        # "266亿" or "266亿元" of southbound money is in Hong Kong dollars.
        currency = "HKD"
    value = quantity.value * (sign if metric == "net_buy" and sign else 1)
    bound = quantity.comparator
    if bound is Comparator.EQ and PASSED.search(text[max(passage.start, quantity.start - 24) : quantity.start]):
        bound = Comparator.AT_LEAST
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
        comparator=claim_parts.flipped(bound, sign if metric == "net_buy" else 1),
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
    stretches = [one for one in passage.windows if one.kind in STRETCHES and not is_stated(passage, one)]
    booked = None if passage.is_chinese else BOOKED.match(passage.text, quantity.end, passage.end)
    if booked is not None:
        # An amount set beside another has its own time behind it, or none that is told.
        return next((one for one in stretches if 0 <= one.start - booked.end() <= 12), None)
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
    meant = reference(passage, passage.start, max(quantity.end, limit))
    if meant is not None:
        return meant.window
    earlier = [one for one in stretches if one.end <= quantity.start]
    if earlier:
        return replace(earlier[-1], is_inherited=True)
    if CUMULATIVE.search(passage.text, *bounds):
        return next((one for one in stretches if one.kind is not WindowKind.DAY and one.end <= bounds[1]), None)
    beyond = [one for one in stretches if quantity.end <= one.start <= quantity.end + 60 and not passage.is_chinese]
    if beyond:
        return beyond[0]
    return _window_around(passage, quantity)


def _window_around(passage: Passage, quantity: Quantity) -> Window | None:
    """The time of an amount whose sentence names none: that of the flows before, else the day of the report.

    After a running total a further amount may be of the same stretch or of the day: then ``None``, as for a sentence
    that says only up to which day it counts.
    """
    if stated_days(passage) or claim_parts.has_open_beginning(
        passage, max(passage.start, quantity.start - 200), min(passage.end, quantity.end + 200)
    ):
        return None
    hints = ZH_TRIGGER if passage.is_chinese else TRIGGER
    for number, earlier in enumerate(claim_parts.earlier_passages(passage)):
        if number >= FLOW_SENTENCES_BACK:
            break
        stretches = [one for one in earlier.windows if one.kind in STRETCHES]
        if not stretches or not claim_parts.says_any(earlier, hints):
            continue
        if all(one.kind is WindowKind.DAY and not is_stated(earlier, one) for one in stretches):
            return replace(stretches[-1], is_inherited=True)
        return None
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
        if role is None and found:
            part = next((one for one in reversed(subjects) if start <= one.start and one.end <= quantity.start), None)
            if (
                part is not None
                and part.flow_id.startswith("southbound_")
                and ZH_PART.fullmatch(text, part.end, min(quantity.start, max(part.end, quantity.hedge_start)))
            ):
                role = replace(found[-1][1], start=part.start, end=part.end)
        if role is None:
            continue
        flow = flow_at(subjects, carried, max(quantity.start, role.start))
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
