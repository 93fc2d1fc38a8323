"""Who says it: gives every claim of a note its source, the kind of quotation and its stance.

Belongs here: reporting verbs and phrases, what stretch of text each of them covers, quotations that run over several
sentences, whether a statement is asserted, forecast, denied or supposed. Does not belong here: reading the phrase that
names the source (`speakers.py`).

A claim takes the nearest reporting phrase of its sentence that covers it; a quotation without one of its own takes that
of the sentences beside it; what is left is said by the house that wrote the note, or by the medium, or by nobody known.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rally_pipeline.notes.cues import find_cues
from rally_pipeline.notes.cues_zh import Cue
from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.notes.records import (
    Claim,
    ClaimType,
    MentionKind,
    NoteContext,
    Passage,
    QuoteKind,
    SourceKind,
)
from rally_pipeline.notes.speakers import (
    Source,
    SourceType,
    introduced,
    with_catalog_person,
)
from rally_pipeline.notes.stance import stance_of

#: How many sentences a quotation or a pronoun may be away from the one that names the speaker.
SENTENCES_BACK = 6


_QUOTE_MARKS = re.compile(r"[“”\"「」『』]|\n")


# "Shares rose 5% after the company posted sales above estimates, according to X": X speaks of the sales alone.
_OTHER_CLAUSE = re.compile(
    r"\b(?:after|as|when|because|following|despite)\b[^.;”\"]{1,80}?\b(?:posted"
    r"|posting|reported|reporting|beat|beating|missed|said"
    r"|announced|topped|topping|issued|issuing|released|exceeded|surpassed"
    r"|came in|fell short|swung to|guided|results?|earnings)\b"
)
_OF_PRICES = frozenset(
    {
        ClaimType.PERFORMANCE,
        ClaimType.LEVEL,
        ClaimType.EXTREME,
        ClaimType.RANK,
        ClaimType.VOLUME_RECORD,
        ClaimType.FLOW,
        ClaimType.FLOW_COMPARISON,
    }
)
_SAYING = re.compile(
    r"\b(?:saying|citing|noting|adding|arguing|pointing|warning|predicting"
    r"|as it (?:sees|expects))\b|称|稱|指出|认为|認為"
)


_NEWS_VERB = re.compile(r"\b(?:reported|announced|revealed|confirmed|reports|announces)\Z")

#: Where the news of a company ends and the report of its share goes on.
_NEWS_END = re.compile(r"[,;]\ (?:but|while|sending|pushing|with|and\ (?:the|its)\ (?:stock|shares))\b|\ but\ ")


def attribute(
    passages: Sequence[Passage], claims: Sequence[Claim], context: NoteContext, lexicon: Lexicon
) -> list[Claim]:
    """Fills in who says each claim.

    Args:
        passages: all sentences of the note, in order.
        claims: what the grammars found in them; claims of ratings arrive with their house and keep it.
        context: who wrote the note; speaks where no sentence says otherwise.
        lexicon: for reading the names of houses.

    Returns:
        The claims in the same order, each with `source_kind`, `broker_id`, `broker_text`, `speaker`, `speaker_role`,
        `quote_kind` and `stance` set; `analyst` also where the context knows one and its house speaks.
    """
    if not claims:
        return []
    return _Reader(passages, claims, context, lexicon).read()


class _Reader:
    """The state of one note: its quotations and, as far as they were needed, the reporting phrases of its sentences."""

    def __init__(
        self, passages: Sequence[Passage], claims: Sequence[Claim], context: NoteContext, lexicon: Lexicon
    ) -> None:
        self.passages = passages
        self.claims = claims
        self.context = context
        self.lexicon = lexicon
        self.starts = [passage.start for passage in passages]
        self.cues: dict[int, list[Cue]] = {}
        self.in_progress: set[int] = set()
        text = passages[0].text if passages else ""
        self.text = text
        self.quotes = quotations(text)
        self.quote_starts = [start for start, _ in self.quotes]
        self.claims_by_passage: dict[int, list[Claim]] = {}
        for claim in claims:
            self.claims_by_passage.setdefault(self.index(claim.start), []).append(claim)

    def read(self) -> list[Claim]:
        return [self.attributed(claim) for claim in self.claims]

    def index(self, offset: int) -> int:
        return max(0, bisect_right(self.starts, offset) - 1)

    def quote_at(self, start: int, end: int) -> tuple[int, int] | None:
        """The quotation that holds at least half of a stretch, if any."""
        place = bisect_right(self.quote_starts, end) - 1
        while place >= 0:
            first, last = self.quotes[place]
            if 2 * (min(end, last) - max(start, first)) >= end - start:
                return first, last
            if last <= start:
                return None
            place -= 1
        return None

    # ------------------------------------------------------------------------------------------------- one claim

    def attributed(self, claim: Claim) -> Claim:
        if not self.passages:
            return claim
        at = self.index(claim.start)
        passage = self.passages[at]
        if claim.broker_id or claim.broker_text:
            is_kept = claim.source_kind is not SourceKind.UNATTRIBUTED
            return claim if is_kept else replace(claim, source_kind=SourceKind.BROKER)
        quote = self.quote_at(claim.start, claim.end)
        cue = self.cue_of(at, claim, quote)
        stance = stance_of(passage, claim, cue)
        if cue is None:
            kind = QuoteKind.DIRECT if quote else QuoteKind.NONE
            said = self.unreported(claim, at)
            if not said and kind is claim.quote_kind and stance == claim.stance:
                return claim
            return replace(claim, stance=stance, quote_kind=kind, **said)
        if stance == "asserts" and self.outer_cue(at, claim, cue) is not None:
            stance = "quotes_others"
        kind = QuoteKind.DIRECT if quote else QuoteKind.INDIRECT
        return replace(claim, stance=stance, quote_kind=kind, **self.named(cue.source, claim))

    def named(self, source: Source, claim: Claim) -> dict[str, Any]:
        """The fields that say who, for a source that is resolved."""
        if source.type is SourceType.HOUSE:
            return {
                "source_kind": SourceKind.BROKER,
                "broker_id": source.broker_id,
                "broker_text": source.broker_text,
                "speaker_role": source.role,
                "analyst": self.analyst_of(source, claim),
            }
        if source.type is SourceType.PERSON:
            return {
                "source_kind": SourceKind.SPEAKER,
                "broker_id": source.broker_id,
                "broker_text": source.broker_text,
                "speaker": source.speaker,
                "speaker_role": source.role,
            }
        if source.type is SourceType.COMPANY:
            return {"source_kind": SourceKind.SPEAKER, "speaker": source.speaker, "speaker_role": source.role}
        if source.type is SourceType.MEDIUM:
            return {"source_kind": SourceKind.NEWSPAPER, "speaker": source.speaker}
        # "Analysts said": reported, but by nobody by name.
        return {"source_kind": SourceKind.UNATTRIBUTED, "speaker_role": source.role}

    def analyst_of(self, source: Source, claim: Claim) -> str:
        if claim.analyst:
            return claim.analyst
        is_author = bool(source.broker_id) and source.broker_id == self.context.broker_id
        return self.context.analyst if is_author else ""

    def unreported(self, claim: Claim, at: int) -> dict[str, Any]:
        """Who says what no phrase covers: the author of the note, or the medium, or nobody known."""
        context = self.context
        if context.broker_id or context.broker_text:
            return {
                "source_kind": SourceKind.BROKER,
                "broker_id": context.broker_id,
                "broker_text": context.broker_text or self.lexicon.broker_name(context.broker_id),
                "analyst": claim.analyst or context.analyst,
            }
        if claim.claim_type is ClaimType.POSITIONING and at > 0 and not self.starts_paragraph(at):
            # Holdings are known to the house alone that was just named: "... Morgan Stanley said. The buyers were ..."
            before = [cue.source for cue in self.cues_of(at - 1) if cue.source.type is SourceType.HOUSE]
            if before:
                return {
                    "source_kind": SourceKind.BROKER,
                    "broker_id": before[-1].broker_id,
                    "broker_text": before[-1].broker_text,
                }
        return {"source_kind": SourceKind.NEWSPAPER} if context.newspaper else {}

    def starts_paragraph(self, at: int) -> bool:
        return "\n" in self.text[self.passages[at - 1].end : self.passages[at].start]

    # ------------------------------------------------------------------------------------------- choice of phrase

    def cue_of(self, at: int, claim: Claim, quote: tuple[int, int] | None) -> Cue | None:
        cues = self.cues_of(at)
        best: tuple[int, Cue] | None = None
        for cue in cues:
            gap = self.gap(cue, claim, at)
            if gap is not None and (best is None or gap < best[0]):
                best = (gap, cue)
        if best is not None:
            return best[1]
        if quote is None:
            return self.inverted_in_next(at, claim)
        return self.cue_of_quote(at, quote)

    def gap(self, cue: Cue, claim: Claim, at: int) -> int | None:
        """How far the claim stands from a phrase that covers it; ``None`` if it does not."""
        if claim.start <= cue.start and cue.end <= claim.end:
            return 0
        if cue.start <= claim.start and claim.end <= cue.end:
            return 0
        if claim.start >= cue.end or (claim.start >= cue.start and claim.end > cue.end):
            after = max(0, claim.start - cue.end)
            if cue.covers_after:
                if cue.is_action and claim.claim_type in _OF_PRICES:
                    said = _SAYING.search(self.text, cue.end, max(cue.end, claim.start))
                    return after if said else None
                is_news = cue.source.type is SourceType.COMPANY and _NEWS_VERB.search(self.text, cue.start, cue.end)
                if is_news and _NEWS_END.search(self.text, cue.end, max(cue.end, claim.start)):
                    return None
                return after
            between = self.text[cue.end : claim.start]
            if re.match(
                r"[^.;]{0,120}?\b(?:adding|noting|saying|pointing|warning|who (?:said|added|noted))\b", between
            ):
                return after
            others = [
                other for other in self.claims_by_passage.get(at, []) if other.end <= cue.start and other is not claim
            ]
            # "Hedge funds, Morgan Stanley said, were buying": the phrase interrupts what it covers.
            is_interruption = not others and re.match(r"\s*,", self.text[cue.end : cue.end + 2]) is not None
            return after if is_interruption else None
        if cue.covers_before and not _OTHER_CLAUSE.search(self.text, claim.end, max(claim.end, cue.start)):
            return max(0, cue.start - claim.end)
        return None

    def outer_cue(self, at: int, claim: Claim, inner: Cue) -> Cue | None:
        """A phrase before the one chosen whose words hold that one: "Goldman said Alibaba said sales rose"."""
        for cue in self.cues_of(at):
            if _identity(cue.source) == _identity(inner.source):
                continue
            is_outside = cue is not inner and cue.covers_after and cue.end <= inner.start and inner.end <= claim.start
            if is_outside and inner.start - cue.end < 12 and cue.source.type is not SourceType.GENERIC:
                return cue
        return None

    def inverted_in_next(self, at: int, claim: Claim) -> Cue | None:
        """A phrase that a splitter left alone behind the sentence it belongs to: ``said NAME, ROLE at FIRM``."""
        if at + 1 >= len(self.passages):
            return None
        following = self.passages[at + 1]
        if not re.match(r"(?:said|says|wrote|added|noted|according to)\b", following.sentence):
            return None
        cues = self.cues_of(at + 1)
        return cues[0] if cues and cues[0].start <= following.start + 1 else None

    def cue_of_quote(self, at: int, quote: tuple[int, int]) -> Cue | None:
        """The phrase beside a quotation, or the speaker whose words it goes on with."""
        first, last = quote
        if self.text[last : last + 1] == "\n":
            # Left open at the end of a paragraph: the quotation goes on in the next one.
            place = bisect_right(self.quote_starts, last)
            if place < len(self.quotes) and self.quotes[place][0] - last <= 4:
                return self.cue_of_quote(self.index(self.quotes[place][0]), self.quotes[place])
        ending = self.index(last - 1)
        for index in (ending, ending + 1):
            for cue in self.cues_of(index):
                if cue.covers_before and 0 <= cue.start - last <= 3:
                    return cue
        opening = self.index(first)
        for cue in reversed(self.cues_of(opening)):
            if cue.end <= first:
                if cue.covers_after or opening == at:
                    return cue
                return self.speaker_only(cue)
        for index in range(opening - 1, max(-1, opening - 1 - SENTENCES_BACK), -1):
            cues = self.cues_of(index)
            named = [cue for cue in cues if cue.source.type in (SourceType.PERSON, SourceType.HOUSE)]
            if named:
                return self.speaker_only(named[-1])
            if not self.is_quoted(index):
                return None
        return None

    def is_quoted(self, index: int) -> bool:
        passage = self.passages[index]
        return self.quote_at(passage.start, passage.end) is not None

    @staticmethod
    def speaker_only(cue: Cue) -> Cue:
        """A phrase carried to another sentence: its speaker holds, what its verb says of the future does not."""
        return replace(cue, is_forecast=False, is_denial=False)

    def cues_of(self, at: int) -> list[Cue]:
        if not 0 <= at < len(self.passages):
            return []
        known = self.cues.get(at)
        if known is not None:
            return known
        if at in self.in_progress:
            return []
        self.in_progress.add(at)
        passage = self.passages[at]
        raw = find_cues(passage, self.claims_by_passage.get(at, []))
        cues: list[Cue] = []
        for cue in raw:
            source = self.resolved(cue.source, at, cues)
            if source is not None:
                cues.append(cue if source is cue.source else replace(cue, source=source))
        self.cues[at] = cues
        self.in_progress.discard(at)
        return cues

    # ------------------------------------------------------------------------------------ pronouns and last names

    def resolved(self, source: Source, at: int, here: Sequence[Cue]) -> Source | None:
        """The source with "he", "the bank", a last name alone put back to whom it stands for."""
        if source.type is SourceType.PERSON:
            source = with_catalog_person(source, self.passages[at], self.lexicon)
            if source.broker_text or source.broker_id or not source.speaker:
                return source
            full = self._earlier_person(source.speaker, at, here)
            if full is not None:
                return replace(full, start=source.start, end=source.end, role=source.role or full.role)
            return self._judged_name(source, at)
        if source.type is SourceType.HOUSE:
            return with_catalog_person(source, self.passages[at], self.lexicon)
        if source.type is SourceType.HE:
            last = self._last(at, here, (SourceType.PERSON,)) or self._introduced(at)
            if last is None:
                return replace(source, type=SourceType.GENERIC)
            return replace(last, start=source.start, end=source.end)
        if source.type is SourceType.THE_HOUSE:
            last = self._last_house(source, at, here)
            if last is not None:
                return replace(last, start=source.start, end=source.end, role="")
            # "Shares in HSBC fell as the lender said": no house spoke, so it is the company.
            company = self._named_company(at, source.start)
            return replace(source, type=SourceType.COMPANY, speaker=company) if company else None
        if source.type is SourceType.THE_COMPANY:
            company = self._named_company(at, source.start)
            words = self.text[source.start : source.end]
            return replace(source, type=SourceType.COMPANY, speaker=company or words)
        return source

    def _judged_name(self, source: Source, at: int) -> Source:
        """A name alone that nobody introduced: a house the lexicon knows, else a person or company of that name."""
        broker_id = self.lexicon.broker(source.speaker)
        if broker_id:
            return Source(SourceType.HOUSE, source.start, source.end, broker_id, source.speaker)
        return source

    def _introduced(self, at: int) -> Source | None:
        """Who was named last with a role or a firm in the sentences before, without speaking there."""
        for index in range(at - 1, max(-1, at - 1 - SENTENCES_BACK), -1):
            people = introduced(self.passages[index])
            if people:
                return self.resolved(people[-1], index, ()) if people[-1].broker_text else people[-1]
        return None

    def _last(self, at: int, here: Sequence[Cue], types: tuple[SourceType, ...]) -> Source | None:
        for cue in reversed(here):
            if cue.source.type in types:
                return cue.source
        for index in range(at - 1, max(-1, at - 1 - SENTENCES_BACK), -1):
            for cue in reversed(self.cues_of(index)):
                if cue.source.type in types:
                    return cue.source
        return None

    def _last_house(self, source: Source, at: int, here: Sequence[Cue]) -> Source | None:
        """Whom "the bank" or "it" stands for: the house that spoke last or was named last, and only for "it" the
        company that spoke last.
        """
        is_pronoun = self.text[source.start : source.end].lower() in ("it", "they")
        for index in range(at, max(-1, at - 1 - SENTENCES_BACK), -1):
            for cue in reversed(here if index == at else self.cues_of(index)):
                last = cue.source
                is_name_alone = last.type is SourceType.PERSON and not (last.role or last.broker_text)
                if last.type is SourceType.HOUSE or (
                    is_pronoun and (last.type is SourceType.COMPANY or (is_name_alone and index == at))
                ):
                    return last
                if last.type is SourceType.PERSON and last.broker_text:
                    return replace(last, type=SourceType.HOUSE, speaker="", role="")
            if index < at - 3:
                continue
            for mention in reversed(self.passages[index].mentions):
                if mention.kind is MentionKind.BROKER and mention.end <= source.start:
                    return Source(SourceType.HOUSE, mention.start, mention.end, mention.entity_id, mention.text)
        if self.context.broker_id or self.context.broker_text:
            return Source(SourceType.HOUSE, 0, 0, self.context.broker_id, self.context.broker_text)
        return None if is_pronoun else self._last(at, here, (SourceType.COMPANY,))

    def _named_company(self, at: int, before: int) -> str:
        for index in range(at, max(-1, at - 4), -1):
            for mention in self.passages[index].mentions:
                if mention.kind is MentionKind.INSTRUMENT and mention.end <= before:
                    return mention.text
        return ""

    def _earlier_person(self, name: str, at: int, here: Sequence[Cue]) -> Source | None:
        """Who was introduced before by a longer name or with a role, of whom this is a part."""
        parts = set(name.split(" "))
        for cue in reversed(here):
            if self._is_same(cue.source, name, parts):
                return cue.source
        for index in range(at - 1, max(-1, at - 41), -1):
            for cue in self.cues_of(index):
                if self._is_same(cue.source, name, parts):
                    return cue.source
            if index >= at - 3:
                for person in introduced(self.passages[index]):
                    if self._is_same(person, name, parts):
                        return person
        return None

    @staticmethod
    def _is_same(source: Source, name: str, parts: set[str]) -> bool:
        if source.type is not SourceType.PERSON or not source.speaker:
            return False
        if not (source.broker_text or source.role or len(source.speaker) > len(name)):
            return False
        if parts <= set(source.speaker.split(" ")):
            return True
        return bool(re.fullmatch(r"[\u4e00-\u9fff]{1,3}", name)) and source.speaker.startswith(name)


def _identity(source: Source) -> tuple[str, str]:
    return source.broker_id or source.broker_text, source.speaker


def quotations(text: str) -> list[tuple[int, int]]:
    """Where words stand in quotation marks: ``(start, end)`` of the words alone, in order.

    Straight marks pair up within a paragraph; a curly one left open at the end of a paragraph is held to run to that
    end, as newspapers leave it open where the quotation goes on in the next paragraph.
    """
    found: list[tuple[int, int]] = []
    if '"' not in text and text.isascii():
        return found
    opened: int | None = None
    opener = ""
    for match in _QUOTE_MARKS.finditer(text):
        mark = match.group()
        if mark == "\n":
            if opened is not None and opener == "“":
                found.append((opened, match.start()))
            opened = None
        elif opened is None:
            if mark not in "”」』":
                opened, opener = match.end(), mark
        elif (mark == '"') == (opener == '"') and mark not in "“「":
            found.append((opened, match.start()))
            opened = None
        elif mark == "“":
            opened, opener = match.end(), mark
    if opened is not None and opener == "“":
        found.append((opened, len(text)))
    return found
