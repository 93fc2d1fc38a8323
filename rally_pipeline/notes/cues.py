"""Reporting phrases of a sentence: "X said", "according to X", ``X: ...``, X表示, 据X数据; who, where, which side.

Belongs here: the verbs and phrases that report, and on which side of them the reported words can stand. Does not belong
here: reading the name beside them (`speakers.py`), which claim takes which phrase (`attribution.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rally_pipeline.notes.cues_zh import Cue, chinese_cues
from rally_pipeline.notes.records import Claim, Mention, MentionKind, Passage
from rally_pipeline.notes.speakers import ADJUNCT, Source, SourceType, source_after, source_before

_SPEECH = """said says say saying told tells wrote writes writing noted notes added adds argued argues argue
arguing explained explains commented comments observed observes remarked stated states warned warns warn warning
cautioned cautions reported reports believe believes believed thinks think thought reckons reckon reckoned
claimed claims pointed points point suggested suggests suggest stressed declared announced calculated calculates
calculate attributed attributes highlighted highlights flagged flags described describes called calls concluded
concludes conceded acknowledged insisted put puts showed shows show indicated indicates indicate found finds
quipped emphasised emphasized mentioned revealed reveals opined wondered likened confirmed confirms announces"""
_AHEAD = """predicting forecasting expecting projecting estimating expect expects expected forecast forecasts
forecasted predict predicts predicted project projects projected anticipate anticipates anticipated see sees saw
estimate estimates estimated"""
_DENIAL = "denied denies deny dismissed dismisses rejected disputed disputes refuted ruled"
_ACTION = """raised raises lifted lifts cut cuts trimmed trims lowered lowers boosted boosts upgraded upgrades
downgraded downgrades maintained maintains maintain reiterated reiterates keeps kept recommends recommended
favours favors prefers increased increases remains hiked hikes ups upped initiates initiated sets likes turned
turns"""
_VERBS = {
    verb: kind
    for kind, verbs in (("action", _ACTION), ("denial", _DENIAL), ("ahead", _AHEAD), ("speech", _SPEECH))
    for verb in verbs.split()
}
#: Verbs that report only with a particle.
_PARTICLES = {"pointed": " out", "points": " out", "point": " out", "ruled": " out"}
_WORD = re.compile(r"[A-Za-z]{2,}")
_PHRASE_OPENERS = """according as per citing cited quoting quoted data figures estimate estimates calculation
calculations analysis note notes report reports survey numbers compiled in based source sources"""
_PHRASE_WORDS = frozenset(_PHRASE_OPENERS.split())
_PHRASE = re.compile(
    r"\b(?:[Aa]ccording\ to|[Aa]s\ per|per|[Cc]iting|[Cc]ited\ by|[Qq]uoting|[Qq]uoted\ by"
    r"|(?:[Dd]ata|[Ff]igures|[Ee]stimates?|[Cc]alculations?|[Aa]nalysis|[Nn]otes?|[Rr]eports?|[Ss]urvey|[Nn]umbers)"
    r"(?:\ (?:compiled|collected|gathered|provided|published|released|written|issued))?\ (?:by|from)"
    r"|[Cc]ompiled\ by|[Ii]n\ the\ (?:view|words|opinion)\ of|[Bb]ased\ on|[Ss]ources?:)\ "
)
_DATA_BETWEEN = re.compile(
    r"(?:(?:the\ |a\ |an\ |its\ )?(?:[\w-]+\ ){0,2}(?:data|figures|estimates?"
    r"|calculations?|notes?|reports?|research|survey)"
    r"(?:\ (?:compiled|collected|gathered|published|provided))?\ (?:by|from|of)\ )",
    re.IGNORECASE,
)
#: Verbs that are as often no report at all: an index "added" 2 %, a rally "suggests".
_DOUBTFUL = """added adds put puts notes comments states reports claims suggests suggested suggest calls called
described describes show shows showed found finds indicated indicates indicate highlighted highlights attributed
attributes see sees saw expect expects expected forecast forecasts project projects projected estimate estimates
estimated anticipates anticipated predict predicts predicted reported announced confirmed confirms revealed
reveals flagged saying writing observed stated calculated thought"""
_NEEDS_PERSON_OR_HOUSE = frozenset(_DOUBTFUL.split())
_NUMBER_AFTER = re.compile(r" (?:about |nearly |almost |over |around |another |more than )?[A-Z]{0,3}[$€£¥]?\d")
_LISTENER = (
    r"(?:\ (?:reporters|clients|investors|analysts|journalists|lawmakers"
    r"|viewers|(?:the\ )?[A-Z][\w’'.-]+(?:\ [A-Z][\w’'-]+){0,4}))"
)
_ADJUNCTS_ONLY = re.compile(
    rf"{_LISTENER}?(?:,?\ ?(?:{ADJUNCT}|(?:in"
    rf"|from)\ (?:the\ )?[A-Z][\w’'-]+(?:\ [A-Z][\w’'-]+){{0,2}}|(?:of"
    rf"|about)\ [^,.;:”\"]{{1,60}})){{0,3}}\ ?"
    r"(?P<stop>[.,;:”\"’)]|\Z|\ [–—-]\ )",
    re.VERBOSE,
)
_CLAUSE_START = re.compile(
    r"(?:[,;:.“”\"—–]|\b(?:and|but|while|as|when|after|although|though|because|before|since))\s*(?:[Tt]he\s+|[Aa]n?\s+)?\Z"
)
_PASSIVE = re.compile(r"\b(?:was|were|been|being|is|are|be)\s+(?:\w+ly\s+)?\Z")
_ARTICLE = re.compile(r"\b(?:the|a|an|one|another|some)\s*\Z", re.IGNORECASE)
_THAN = re.compile(r"\b(?:than|what|as)\s+(?:\w+\s+)?\Z")
_ISSUER_COMPLEMENT = re.compile(
    r"\ (?:that\ |on\ \w+\ |in\ a\ filing\ )?(?:its?|the\ (?:bank|company)[’']s"
    r"|quarterly|annual|net|pretax|pre-tax|profit"
    r"|will\ (?:pay|buy\ back|repurchase|cut|close))"
    r"\ (?:\w+\ ){0,4}?(?:profit|earnings|revenue|income|dividend|buyback"
    r"|share\ repurchase|jobs|branches|chief|CEO|board"
    r"|deposits|loan|loans|results|provisions|charge)\b"
)
_HEADLINE_NAME = re.compile(r"(?::|\s[–—-])\s(?P<name>[A-Z][\w.’'-]*(?:\ [A-Z][\w.’'-]+){1,3})['’\"”]?\s*\Z")


def find_cues(passage: Passage, claims: Sequence[Claim]) -> list[Cue]:
    """The reporting phrases of a sentence in order of `start`; `claims` are those found in it.

    The sources are as printed: "he", "the bank" and last names alone are not resolved yet.
    """
    if passage.is_chinese:
        return chinese_cues(passage) or colon_cues(passage)
    return _english(passage, claims)


def _english(passage: Passage, claims: Sequence[Claim]) -> list[Cue]:
    text, cues = passage.text, list[Cue]()
    taken = passage.start
    for word in _WORD.finditer(text, passage.start, passage.end):
        first = word.group()
        kind = _VERBS.get(first)
        if kind is not None and word.start() >= taken:
            verb = _whole_verb(text, word.start(), word.end(), first)
            cue = _verb_cue(passage, claims, verb, kind, taken) if verb else None
            if cue is not None:
                cues.append(cue)
                # "NAME, who upgraded the share, said": the name serves the second verb too.
                taken = taken if cue.is_action else cue.end
        if first.lower() in _PHRASE_WORDS and not any(cue.start <= word.start() < cue.end for cue in cues):
            phrase = _PHRASE.match(text, word.start(), passage.end)
            if phrase is not None and (found := _phrase_cue(passage, phrase)) is not None:
                cues.append(found)
    if not cues:
        cues.extend(colon_cues(passage))
    return sorted(cues, key=lambda cue: cue.start)


def _phrase_cue(passage: Passage, match: re.Match[str]) -> Cue | None:
    text = passage.text
    end = match.end()
    if between := _DATA_BETWEEN.match(text, end, passage.end):
        end = between.end()
    source = source_after(passage, end, passage.end)
    if source is None or source.start - end > 12 or not _fits_phrase(source, match.group().strip().lower()):
        return None
    is_first = not text[passage.start : match.start()].strip(" “\"'‘")
    return Cue(
        source, match.start(), source.end, covers_before=not is_first, covers_after=is_first, is_attribution=True
    )


def _whole_verb(text: str, start: int, end: int, first: str) -> tuple[int, int] | None:
    """Where a verb stands, with its particle ("pointed out"); ``None`` if it needs one that is not there."""
    particle = _PARTICLES.get(first)
    if particle is None:
        return start, end
    return (start, end + len(particle)) if text.startswith(particle, end) else None


def _fits_phrase(source: Source, word: str) -> bool:
    if word in ("per", "based on") or word.endswith(":"):
        return source.type is SourceType.HOUSE or bool(source.broker_text)
    if word in ("citing", "quoting") or "according" not in word:
        return source.type in (SourceType.HOUSE, SourceType.PERSON, SourceType.COMPANY)
    return source.type not in (SourceType.HE,)


def _verb_cue(passage: Passage, claims: Sequence[Claim], where: tuple[int, int], kind: str, taken: int) -> Cue | None:
    text = passage.text
    verb_start, verb_end = where
    verb = text[verb_start:verb_end]
    if kind == "action" and not any(mention.end <= verb_start and _is_house(mention) for mention in passage.mentions):
        return None
    inverted = _inverted(passage, verb_start, verb_end, kind)
    if inverted is not None:
        return inverted
    if not verb.endswith("ing") and _PASSIVE.search(text, max(taken, verb_start - 24), verb_start):
        # "inflows were observed", "is expected"
        return None
    # "has said", "is saying"
    head = re.search(
        r"\b(?:ha[sd]|have|is|are|was|also|then|later)\ ?\Z", text[max(taken, verb_start - 6) : verb_start]
    )
    end = verb_start - len(head.group()) if head else verb_start
    source = source_before(passage, taken, end)
    if source is None or not _fits_verb(passage, source, verb, kind, verb_end):
        return None
    is_bare = source.type is SourceType.PERSON and not (source.role or source.broker_text)
    if is_bare and verb in ("reported", "announced", "reports", "announces"):
        # Who reports figures is a company.
        source = replace(source, type=SourceType.COMPANY)
    if source.type is SourceType.HOUSE and _ISSUER_COMPLEMENT.match(text, verb_end) and _is_listed(passage, source):
        source = Source(SourceType.COMPANY, source.start, source.end, speaker=source.broker_text)
    if kind == "action":
        return Cue(source, source.start, verb_end, covers_before=False, covers_after=True, is_action=True)
    has_complement = any(claim.start >= verb_end for claim in claims)
    before = _ARTICLE.sub("", text[passage.start : source.start]).rstrip()
    stop = _ADJUNCTS_ONLY.match(text, verb_end, passage.end)
    is_after_pause = bool(before) and before[-1] in ',”"’—–-)'
    if is_after_pause and stop is not None and stop.group("stop") == "," and before[-1] == ",":
        # "Hedge funds, the bank said, were buying": both sides are its words.
        return Cue(source, source.start, stop.start("stop"), covers_before=True, covers_after=True)
    if is_after_pause and stop is not None and len(before) > 12:
        quoted_after = has_complement and re.match(r"[^“\"]{0,60}[“\"]", text[verb_end : verb_end + 61]) is not None
        return Cue(source, source.start, stop.start("stop"), covers_before=True, covers_after=quoted_after)
    return Cue(
        source,
        source.start,
        verb_end,
        covers_before=False,
        covers_after=True,
        is_forecast=kind == "ahead" and verb not in ("saw", "estimates", "estimate", "estimated", "estimates"),
        is_denial=kind == "denial",
    )


def _is_house(mention: Mention) -> bool:
    return mention.kind is MentionKind.BROKER or any(reading.startswith("broker:") for reading in mention.also)


def _is_listed(passage: Passage, source: Source) -> bool:
    """Whether a house is a company of the catalog too, so that it may speak of its own results."""
    for mention in passage.mentions:
        if mention.end == source.end or mention.text == source.broker_text:
            return mention.kind is MentionKind.INSTRUMENT or any(
                reading.startswith("instrument:") for reading in mention.also
            )
    return False


def _inverted(passage: Passage, verb_start: int, verb_end: int, kind: str) -> Cue | None:
    """A verb behind its words with the name after it: ``...,” said NAME``; also as a sentence of its own."""
    if kind not in ("speech", "ahead"):
        return None
    text = passage.text
    before = text[max(0, verb_start - 2) : verb_start].rstrip()
    at_start = verb_start == passage.start
    if not at_start and (not before or before[-1] not in ',”"’?!»—–'):
        return None
    if text[verb_start:verb_end] in ("told", "tells") or (
        not at_start and before[-1] == "," and _is_full_subject(passage, verb_start)
    ):
        return None
    source = source_after(passage, verb_end, passage.end)
    if source is None or source.start - verb_end > 6:
        return None
    if source.type is SourceType.THE_HOUSE and text[source.start : source.end].lower() in ("it", "they"):
        # ", said it ..." has its subject further left.
        return None
    return Cue(source, verb_start, source.end, covers_before=True, covers_after=False)


def _is_full_subject(passage: Passage, verb_start: int) -> bool:
    """Whether "NAME, ROLE at FIRM," stands before a verb as its subject, so that the name after it is none."""
    left = source_before(passage, passage.start, verb_start)
    if left is None or not (left.role or left.broker_text):
        return False
    return left.start == passage.start or _CLAUSE_START.search(passage.text, passage.start, left.start) is not None


def _fits_verb(passage: Passage, source: Source, verb: str, kind: str, verb_end: int) -> bool:
    strong = (SourceType.HOUSE, SourceType.PERSON, SourceType.HE, SourceType.GENERIC)
    if kind == "action":
        return source.type is SourceType.HOUSE or (source.type is SourceType.PERSON and bool(source.broker_text))
    if (
        kind == "ahead"
        and source.type is SourceType.GENERIC
        and _THAN.search(passage.text, passage.start, source.start)
    ):
        # "less than analysts had expected"
        return False
    if verb in ("saw", "sees", "see") and source.type in (SourceType.COMPANY, SourceType.THE_COMPANY):
        return False
    if verb in ("added", "adds", "put", "puts", "saw", "sees") and _NUMBER_AFTER.match(passage.text, verb_end):
        return False
    if source.type in (SourceType.COMPANY, SourceType.THE_COMPANY, SourceType.THE_HOUSE, SourceType.MEDIUM):
        if kind == "ahead":
            return source.type is not SourceType.COMPANY or verb in ("expects", "forecasts", "expected", "predicts")
        return verb not in ("added", "put", "puts", "saw", "called", "calls", "found") or (
            source.type is SourceType.THE_HOUSE and verb in ("added", "called", "found")
        )
    if verb in _NEEDS_PERSON_OR_HOUSE:
        return source.type in strong
    return True


def colon_cues(passage: Passage) -> list[Cue]:
    """``House: what it says`` and, in headlines, ``what is said: House`` or ``... - House``."""
    text, cues = passage.text, list[Cue]()
    for mention in passage.mentions:
        is_house = _is_house(mention)
        if not is_house and mention.kind is not MentionKind.PERSON:
            continue
        broker_id = mention.entity_id if mention.kind is MentionKind.BROKER else ""
        broker_id = broker_id or next((r.partition(":")[2] for r in mention.also if r.startswith("broker:")), "")
        if is_house:
            source = Source(SourceType.HOUSE, mention.start, mention.end, broker_id, mention.text)
        else:
            source = Source(SourceType.PERSON, mention.start, mention.end, speaker=mention.text)
        if not text[passage.start : mention.start].strip(" \t•*-–—[(【") and re.match(
            r"[)\]】]?\s?[:：|｜]", text[mention.end : mention.end + 3]
        ):
            cues.append(Cue(source, mention.start, mention.end + 1, covers_before=False, covers_after=True))
        elif not text[mention.end : passage.end].strip(" .)]’'\"”") and re.search(
            r"(?:[:(\[]\s?|\s[–—-]{1,2}\s)\Z", text[max(passage.start, mention.start - 4) : mention.start]
        ):
            cues.append(Cue(source, mention.start, mention.end, covers_before=True, covers_after=False))
    if not cues:
        match = _HEADLINE_NAME.search(text, max(passage.start, passage.end - 60), passage.end)
        if match is not None and passage.is_heading:
            source = Source(SourceType.PERSON, match.start("name"), match.end(), speaker=match.group("name"))
            cues.append(Cue(source, match.start(), match.end(), covers_before=True, covers_after=False))
    return cues
