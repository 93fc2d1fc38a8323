"""Reads the lines of a note's side box: "Rating: Buy", "Target price: HKD 75.00", "Prior TP: HKD 65.00".

Belongs here: label-and-value lines, English and Chinese. Does not belong here: sentences.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes import targets
from rally_pipeline.notes.rating_frames import moved
from rally_pipeline.notes.rating_note import note_subject
from rally_pipeline.notes.records import Claim, ClaimType, MentionKind, Passage, SourceKind

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

_SEP = r"(?:[ \t\u00a0]*[:：|\t][ \t\u00a0|]*|[ \u00a0]{2,})"
_LABEL = re.compile(
    r"[ \t\u00a0•*\-|\n]*(?:"
    r"(?P<rating>(?:(?:current|our|investment|stock|equity|analyst) )?(?:rating|recommendation|reco)|"
    r"(?:投[资資])?[评評][级級])|"
    r"(?P<target>(?:(?:new|our|12-month|12m|12-mth|current|revised) )?"
    r"(?:target price|price target|price objective|TP|PT|PO|fair value|target)|目[标標][价價])"
    r")(?P<note>[ \t]*[(（][^)）\n]{0,30}[)）])?" + _SEP,
    re.IGNORECASE,
)
_PRIOR = re.compile(
    r"(?:^|[|｜;；])[ \t\u00a0•*\-|]*(?:(?:prior|previous|prev\.?|old|last|former) "
    r"(?:target price|price target|price objective|TP|PT|PO|fair value|target)|"
    r"(?:target price|price target|TP|PT) ?[(（](?:prior|previous|old|prev\.?)[)）]|"
    r"(?:[原前]|先前|[旧舊])目[标標][价價])" + _SEP + r"(?P<value>[^\n|｜;；]{1,40})",
    re.IGNORECASE | re.MULTILINE,
)
_PRIOR_RATING = re.compile(
    r"(?:^|[|｜;；])[ \t\u00a0•*\-|]*(?:(?:prior|previous|prev\.?|old) (?:rating|recommendation)|"
    r"(?:[原前]|先前|[旧舊])(?:投[资資])?[评評][级級])" + _SEP + r"(?P<value>[^\n|｜;；]{1,30})",
    re.IGNORECASE | re.MULTILINE,
)
#: Where a further field of the same line may begin.
_FIELD = re.compile(r"[|｜;；•]|\n|[,，](?=[ \u00a0]?(?:target|price|TP|PT|目))", re.IGNORECASE)
#: A field of something else, with which such a line may begin.
_OTHER_FIELD = re.compile(r"[^\n:：|｜]{1,40}[:：][^\n|｜;；]{1,40}[|｜;；]")
#: What stands before the old value on the line of the new one.
_OLD = re.compile(
    r"(?:\b(?:from|previously|previous|prev\.?|prior|was|old)\b|原|前|由|此前)[为為]?[ :：.]{0,3}", re.IGNORECASE
)
_OLD_NUMBER = re.compile(_OLD.pattern + r"[^\d\n|]{0,6}(?=\d)", re.IGNORECASE)
#: The end of a remark in brackets that is part of a field: "Buy (maintained)".
_REMARK_END = re.compile(r"\w*[)）]?")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_CODES = re.compile(
    r"HK\$|HKD|US\$|USD|RMB|CNY|CNH|EUR|€|GBP|£|JPY|¥|SGD|S\$|NT\$|TWD|\$|港[元币幣]|美元|人民[币幣]|元"
)
_CURRENCY = {
    "HK$": "HKD", "US$": "USD", "RMB": "CNY", "CNH": "CNY", "€": "EUR", "£": "GBP", "¥": "JPY", "S$": "SGD",
    "NT$": "TWD", "$": "USD", "港元": "HKD", "港币": "HKD", "港幣": "HKD", "美元": "USD", "人民币": "CNY",
    "人民幣": "CNY", "元": "CNY",
}  # fmt: skip
_STATE = re.compile(
    r"(?P<keep>maintain|reiterat|unchanged|\bunch\b|no change|[维維]持|重申|不[变變])|"
    r"(?P<down>downgrad|lowered|cut|下[调調])|"
    r"(?P<up>upgrad|raised|lifted|上[调調])|(?P<init>initiat|resum|\bnew\b|首[予次])",
    re.IGNORECASE,
)
_RATING_ZH = re.compile(
    r"[强強]烈[买買]入|[买買]入|增持|持有|中性|[减減]持|[卖賣]出|沽售|跑[赢贏](?:大市|行[业業])|跑[输輸](?:大市|行[业業])|推[荐薦]|[审審]慎增持"
)
#: Longer passages are sentences.
LONGEST_LINE = 200
_NEIGHBOURHOOD = 400  # characters around a line in which the prior value is looked for


#: A line that is nothing but a rating, as first pages print it in large letters.
_ALONE = re.compile(
    rf"[ \t\u00a0•*]*(?P<rating>{rw.RATING.pattern})"
    r"(?P<note>[ \t\u00a0]*[(（](?:maintained|unchanged|unch\.?|reiterated|(?:from|previously|prev\.?|was)"
    r" [A-Za-z \-]{2,20})[)）])?[ \t\u00a0.]*",
    re.IGNORECASE,
)
_TARGET_LINE = re.compile(
    r"\n[^\n]{0,3}(?:12[ -]?m(?:onth)? )?"
    r"(?:price target|target price|price objective|TP|PT|PO|fair value)\b[^\n]{0,30}\d",
    re.IGNORECASE,
)


def is_alone(sentence: str) -> bool:
    """Whether a line may be a rating and nothing else; cheap."""
    return len(sentence) < 60 and _ALONE.fullmatch(sentence) is not None


def find_alone(passage: Passage, lexicon: Lexicon) -> list[Claim]:
    """The rating of a line that is nothing else, if a price target stands in the box around it."""
    text, start, end = passage.text, passage.start, passage.end
    label = _ALONE.fullmatch(text, start, end)
    before = text[max(0, start - 8) : start].rstrip(" \t\u00a0")
    is_line = (start == 0 or before.endswith("\n")) and text[end : end + 1] in ("", "\n", " ")
    if label is None or not is_line or label["rating"].islower():
        return []
    around = text[max(0, start - 120) : start] + text[end : end + 120]
    if _TARGET_LINE.search("\n" + around) is None:
        return []
    note = label["note"] or ""
    state = _STATE.search(note)
    old = rw.RATING.search(note)
    action = "Reiterate" if state is not None and state.lastgroup == "keep" else ""
    if old is not None:
        action = moved(label["rating"], old.group())
    claim = _claim(
        passage, ClaimType.RATING_ACTION, "ratings.box_rating", label.start("rating"), label.end(),
        _subject(passage, lexicon), metric="rating", rating=label["rating"],
        rating_prior=old.group() if old else "", rating_action=action,
        details={"action_no": 1, "rating_start": label.start("rating"), "rating_end": label.end("rating")},
    )  # fmt: skip
    return [claim]


def is_prior_line(passage: Passage) -> bool:
    """Whether a line only gives what was before ("Prior TP: …"); it is read with the line of the new value."""
    text, start, end = passage.text, passage.start, passage.end
    return _PRIOR.match(text, start, end) is not None or _PRIOR_RATING.match(text, start, end) is not None


def find(passage: Passage, lexicon: Lexicon) -> list[Claim]:
    """The claims of a side box line, which may hold several fields ("Rating: Buy | TP: HK$50"); empty if it is none."""
    text, start, end = passage.text, passage.start, passage.end
    label = _LABEL.match(text, start, end)
    if label is None and _OTHER_FIELD.match(text, start, end):
        # "Price: HK$12.30 | Target: HK$15.00 | Rating: Buy"
        later = (_LABEL.match(text, mark.end(), end) for mark in _FIELD.finditer(text, start, end))
        label = next((found for found in later if found is not None), None)
    if label is None:
        return []
    fields = [label]
    for mark in _FIELD.finditer(text, label.end(), end):
        following = _LABEL.match(text, mark.end(), end)
        if following is not None and following.start() >= fields[-1].end():
            fields.append(following)
    about = _subject(passage, lexicon)
    claims: list[Claim] = []
    for number, field in enumerate(fields):
        stop = fields[number + 1].start() if number + 1 < len(fields) else end
        bar = _FIELD.search(text, field.end(), stop)
        stop = bar.start() if bar else stop
        if _is_blank_apart(text, field) and not _VALUE_ALONE.match(text, field.end(), stop):
            continue  # "Target  3 stores closed"
        read = _rating if field.group("rating") else _target
        claim = read(passage, field, stop, about)
        if claim is not None and all(one.claim_type is not claim.claim_type for one in claims):
            claims.append(claim)
    return claims


#: All that may follow a label that only blanks set apart: the value, and a remark in brackets.
_VALUE_ALONE = re.compile(
    rf"(?:[‘'\"“]?(?:{rw.RATING.pattern})[’'\"”]?|(?:{_CODES.pattern})[ \u00a0]?\d[\d,]*(?:\.\d+)?|"
    rf"\d[\d,]*(?:\.\d+)?[ \u00a0]?(?:{_CODES.pattern}))"
    r"(?:[ \u00a0]?[(（][^()\n]{1,30}[)）])?[ \t\u00a0.]*(?:\Z|\n|[ \u00a0]{2,}|$)",
    re.IGNORECASE,
)


def _is_blank_apart(text: str, label: re.Match[str]) -> bool:
    """Whether nothing but blanks stands between a label and its value."""
    return text[label.start() : label.end()].rstrip(" \u00a0")[-1:] not in (":", "：", "|", "\t")


def _near(pattern: re.Pattern[str], passage: Passage, label: re.Match[str]) -> re.Match[str] | None:
    """The prior value that belongs to a line: the nearest one below or above it in the same box."""
    text = passage.text
    name = label.group("rating") or label.group("target")
    below = pattern.search(text, label.end(), min(len(text), label.end() + _NEIGHBOURHOOD))
    if below is not None and not _is_other_box(text[label.end() : below.start()], name):
        return below
    earlier = list(pattern.finditer(text, max(0, label.start() - _NEIGHBOURHOOD), label.start()))
    above = earlier[-1] if earlier else None
    if above is not None and not _is_other_box(text[above.end() : label.start()], name):
        return above
    return None


def _is_other_box(between: str, name: str) -> bool:
    """Whether another box begins between a line and a prior value: a blank line, or the same label again."""
    return "\n\n" in between.strip(" ") or re.search(rf"(?:^|\n)\W*{re.escape(name)}\b", between) is not None


def _rating(passage: Passage, label: re.Match[str], end: int, about: tuple[str, str]) -> Claim | None:
    text = passage.text
    found = rw.RATING.match(text, label.end(), end) or _RATING_ZH.match(text, label.end(), end)
    if found is None:
        return None
    action = word = rating_prior = ""
    stop = found.end()
    state = _STATE.search(text, label.end(), end) or _STATE.search(label.group("note") or "")
    if state is not None:
        word = state.group()
        action = {"keep": "Reiterate", "up": "Upgrade", "down": "Downgrade", "init": "Initiate"}.get(
            state.lastgroup or "", ""
        )
        stop = max(stop, state.end()) if state.string is text else stop
    prior = _near(_PRIOR_RATING, passage, label)
    old = rw.RATING.match(prior.group("value")) or _RATING_ZH.match(prior.group("value")) if prior else None
    if old is None:
        inline = _OLD.search(text, found.end(), end)
        at = inline.end() if inline else end
        old = rw.RATING.match(text, at, end) or _RATING_ZH.match(text, at, end)
        if old is not None:
            stop = old.end()
    if old is not None:
        rating_prior = old.group()
        now, then = rw.rank(found.group()), rw.rank(rating_prior)
        if now is not None and then is not None:
            action = "Upgrade" if now > then else "Downgrade" if now < then else "Reiterate"
        elif found.group() == rating_prior:
            action = "Reiterate"
    if stop > found.end():
        remark = _REMARK_END.match(text, stop, end)
        stop = remark.end() if remark else stop
    return _claim(
        passage, ClaimType.RATING_ACTION, "ratings.box_rating", label.start(), stop, about,
        metric="rating", rating=found.group(), rating_prior=rating_prior, rating_action=action, action_text=word,
        details={"action_no": 1, "rating_start": found.start(), "rating_end": found.end()},
    )  # fmt: skip


def _target(passage: Passage, label: re.Match[str], end: int, about: tuple[str, str]) -> Claim | None:
    text = passage.text
    number = _NUMBER.search(text, label.end(), end)
    if number is None or number.start() - label.end() > 12 or text[number.end() : number.end() + 1] in ("%", "％"):
        return None
    value, tolerance = _value(number.group())
    currency, stop = _unit(text, label.end(), number, end)
    target_end = stop
    prior = _near(_PRIOR, passage, label)
    old_value = None
    if prior is not None:
        old_number = _NUMBER.search(prior.group("value"))
        old_value = _value(old_number.group())[0] if old_number else None
    else:
        inline = _OLD_NUMBER.search(text, number.end(), end)
        old_number = _NUMBER.match(text, inline.end(), end) if inline else None
        if old_number is not None:
            old_value = _value(old_number.group())[0]
            stop = _unit(text, number.end(), old_number, end)[1]
            stop += text[stop : stop + 1] in (")", "）")
    state = _STATE.search(text, number.end(), end) or _STATE.search(label.group("note") or "")
    klass = {"keep": rw.KEEP, "up": rw.RAISE, "down": rw.LOWER}.get(state.lastgroup or "", "") if state else ""
    if state is not None and state.group().lower() == "from":
        klass = ""
    action, is_conflict = targets.direction(klass, value, old_value)
    return _claim(
        passage, ClaimType.TARGET_CHANGE, "ratings.box_target", label.start(), stop, about,
        metric="target_price", value=value, value_prior=old_value, unit=currency, currency=currency,
        tolerance=tolerance, target_action=action, is_conflict=is_conflict,
        details={"action_no": 1, "target_start": number.start(), "target_end": target_end},
    )  # fmt: skip


def _value(printed: str) -> tuple[float, float]:
    bare = printed.replace(",", "")
    return float(bare), 0.5 * 10.0 ** -len(bare.partition(".")[2])


def _unit(text: str, begin: int, number: re.Match[str], end: int) -> tuple[str, int]:
    before = _CODES.search(text, begin, number.start())
    after = _CODES.match(text, number.end() + (text[number.end() : number.end() + 1] == " "), end)
    code = before.group() if before else after.group() if after else ""
    if not code:
        # "Target price (HKD): 145.00"
        heading = _CODES.search(text, max(0, begin - 16), begin)
        code = heading.group() if heading else ""
    return _CURRENCY.get(code, code), after.end() if after and not before else number.end()


def _subject(passage: Passage, lexicon: Lexicon) -> tuple[str, str]:
    """What the box is about: the share of the heading above it, else the note's ticker, else the first one named."""
    found = note_subject(passage, lexicon)
    if found[0]:
        return found
    symbol = lexicon.instrument(passage.context.ticker) if passage.context.ticker else ""
    before: Passage | None = passage
    steps = 0
    while before is not None and steps < 60:
        for mention in before.mentions:
            if mention.kind is MentionKind.INSTRUMENT and not mention.entity_id.startswith("^"):
                if not symbol or mention.entity_id == symbol:
                    found = (mention.text, mention.entity_id)
                break
        before, steps = before.previous, steps + 1
    return found if found[0] else ("", symbol)


def _claim(
    passage: Passage, kind: ClaimType, rule: str, start: int, end: int, about: tuple[str, str], **fields: object
) -> Claim:
    context = passage.context
    details = dict(fields.pop("details"))  # type: ignore[call-overload]
    if context.ticker:
        details["ticker"] = context.ticker
    while passage.text[start] in " \t\u00a0•*-|":
        start += 1
    return Claim(
        claim_type=kind,
        rule_id=rule,
        start=start,
        end=end,
        quote=passage.text[start:end],
        subject_text=about[0],
        subject_id=about[1],
        source_kind=SourceKind.BROKER if context.broker_text else SourceKind.UNATTRIBUTED,
        broker_id=context.broker_id,
        broker_text=context.broker_text,
        analyst=context.analyst,
        details=details,
        **fields,  # type: ignore[arg-type]
    )
