"""Moves of an English sentence: who rose or fell by how much.

Belongs here: pairing percentages and changes with verbs, nouns and subjects. Does not belong here: levels (`moves.py`),
noun phrases (`noun_phrases.py`), time and stance (`move_parts.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.move_parts import Cue, Reading, SentenceReader, can_be_noun
from rally_pipeline.notes.noun_phrases import REJECT, Found, Reject, Subject, judge
from rally_pipeline.notes.records import QuantityKind
from rally_pipeline.notes.subject_phrases import inherited, phrase_start, subjects_before

#: How many words may stand between a number and the word that governs it.
#: How many words may stand between a number and the word that governs it.
MAX_HOPS: Final = 8
_SKIP_BACK: Final = words.word_set(
    """
    by of a an another further additional total as much many some about around roughly over more than just only at
    least almost nearly the modest approximately respective respectively cumulative mere whopping combined up-to
    under below above between massive sharp steep strong big solid slight down minor impressive staggering hefty
    robust remarkable significant astounding close well double weekly daily monthly annual yearly quarterly one-day
    year-to-date intraday overnight minus negative
    """
)
_BEFORE_ADVERB: Final = _SKIP_BACK | words.AUXILIARIES | {"day", "session", "week", "month", "year", "trade", "trading"}
_SKIP_FORWARD: Final = words.word_set(
    """
    weekly daily monthly annual yearly quarterly one-day single-day intraday overnight year-to-date ytd sharp steep
    price share-price share stock annualised annualized or cumulative overall points respectively so far relief
    two-day three-day weeklong total
    """
)

_SAYS: Final = frozenset({"showed", "shows", "said", "says", "reported", "announced", "stated", "according"})
#: "Tight supply lifts copper futures, up 0.5%": what stands behind these moves.
_LIFTS: Final = words.word_set(
    """
    lift lifts lifted send sends sent push pushes pushed drive drives drove help helps helped boost boosts boosted
    drag drags dragged pull pulls pulled weigh down up
    """
)

_EARLIER_YEAR: Final = frozenset({"same", "year-ago", "year-earlier", "prior-year", "year-before"})

_ECONOMIC: Final = ("grow", "grew", "expan", "contract", "increas", "decreas", "improv")


class MoveReader(SentenceReader):
    """Reads percentages and changes; the readings are added to `made` in order."""

    def _change(self, at: int, role: str) -> bool:
        """Reads the number at token `at` as a move."""
        if role == "return" and (self._is_composition(at) or self._is_on_year(at)):
            return False
        linked = self._linked(at)
        if linked is not None:
            self._add(at, role, linked.subject, linked.sign or self._printed_sign(at), linked.cue_start, "or", linked)
            return True
        cue = self._cue_before(at) or self._cue_after(at) or self._signed(at)
        if cue is None:
            return self._transitive(at, role) or self._elliptic(at, role)
        group = self._group(at)
        if cue.form == "noun":
            found = self._subject_of_noun(cue, group)
        elif cue.form == "signed":
            found = self._subject_of_sign(at)
        else:
            found = self._subject_of_verb(cue, min(at, cue.at))
        if found is None and self.is_rejected:
            # "a decline in orders, below the forecast 0.4 percent drop" goes on about the orders.
            found = REJECT
        if found is None and cue.form == "adverb":
            found = self._ahead_of(cue, at)
        if found is None:
            found = inherited(self.found, self.passage, min(at, cue.at))
        self.is_rejected = isinstance(found, Reject)
        if found is None and self.made:
            found = [self.made[-1].subject]
        if not isinstance(found, list) or not found:
            self.done.update(group)
            return False
        if self.tokens[cue.at].low.startswith(_ECONOMIC) and any(one.text.lower() in words.PROXIES for one in found):
            # "Hong Kong grew 2 percent" is its economy.
            return False
        if role == "change" and not any(self._can_change(one, at) for one in found):
            return False
        if self._is_hypothetical(min(at, cue.at)):
            return False
        rule = {"verb": "verb", "adverb": "adverb", "noun": "noun", "signed": "signed"}[cue.form]
        self._emit_group(group, role, found, cue, rule)
        return True

    def _ahead_of(self, cue: Cue, at: int) -> list[Subject] | None:
        """What "Down 31% from its January high, the stock …" at the start of a sentence is said of."""
        tokens = self.tokens
        if any(token.low not in ('"', "“", "(") for token in tokens[: min(cue.at, at)]) or cue.at > at:
            return None
        comma = next((index for index in range(at + 1, min(len(tokens), at + 14)) if tokens[index].low == ","), -1)
        if comma < 0 or any(token.kind == "qty" for token in tokens[at + 1 : comma]):
            return None
        ahead = self._phrase_after(comma + 1)
        return [ahead] if isinstance(ahead, Subject) else None

    def _is_on_year(self, at: int) -> bool:
        """Whether a number is counted from the same period of an earlier year: a figure of a company or an economy."""
        ahead = [token.low for token in self.tokens[at + 1 : at + 6]]
        return "from" in ahead[:2] and not _EARLIER_YEAR.isdisjoint(ahead)

    def _transitive(self, at: int, role: str) -> bool:
        """As in "weak demand drags down sugar futures by 1%"."""
        tokens = self.tokens
        last = at - 2
        if role != "return" or last < 1 or tokens[at - 1].low != "by":
            return False
        first = phrase_start(self.found, last, self.piece[last])
        verb = first - 1
        if first > last or verb < 0:
            return False
        sign = 0
        if tokens[verb].low in ("up", "down"):
            sign = 1 if tokens[verb].low == "up" else -1
            verb -= 1
        if verb < 0 or tokens[verb].low not in _LIFTS:
            return False
        sign = sign or (-1 if tokens[verb].low.startswith(("drag", "pull", "weigh")) else 1)
        judged = judge(tokens[first : last + 1], self.passage)
        if not isinstance(judged, Subject):
            return False
        self._add(at, role, judged, sign, tokens[verb].start, "transitive")
        return True

    def _can_change(self, subject: Subject, at: int) -> bool:
        quantity = self.tokens[at].quantity
        assert quantity is not None
        if quantity.kind is QuantityKind.POINTS:
            return True
        return bool(subject.asset) or not subject.symbol.startswith("^")

    def _emit_group(self, group: list[int], role: str, found: list[Subject], cue: Cue, rule: str) -> None:
        sign = cue.sign
        cue_start = self.tokens[cue.at].start
        if len(group) > 1:
            if len(found) == len(group):
                shared = max(self._window_index(one) for one in group)
                for at, subject in zip(group, found, strict=True):
                    self._add(at, role, subject, sign, cue_start, f"{rule}_list", cue=cue)
                    if self.made[-1].window_index < 0:
                        self.made[-1] = self.by_token[at] = replace(self.made[-1], window_index=shared)
                self.done.update(group)
                return
            own = [self._own_window(at) for at in group]
            if len(found) == 1 and len(set(own)) == len(group) and -1 not in own:
                for at in group:
                    self._add(at, role, found[0], sign, cue_start, rule, cue=cue)
                self.done.update(group)
                return
            # "gains of 1.6% and 1.1%" of one name: for what, the words do not tell.
            self.done.update(group)
            return
        for subject in found:
            self._add(group[0], role, subject, sign or self._printed_sign(group[0]), cue_start, rule, cue=cue)

    def _add(
        self,
        at: int,
        role: str,
        subject: Subject,
        sign: int,
        cue_start: int,
        rule: str,
        linked: Reading | None = None,
        cue: Cue | None = None,
    ) -> None:
        token = self.tokens[at]
        quantity = token.quantity
        assert quantity is not None
        if self.tokens[at - 1].low in ("minus", "negative") and at and quantity.value > 0:
            # "returned minus 1.3%"
            sign = -1
        if quantity.value < 0 and linked is None:
            # "returned 15%, 13% and -0.7%": a minus that is printed stands above the verb.
            sign = -1
        # The subject belongs to the span where it stands in the same piece; else the verb begins it.
        begins = [cue_start, quantity.start]
        ends = [quantity.end]
        if cue is not None:
            ends.append(self.tokens[cue.at].end)
        if linked is not None:
            begins.append(linked.start)
        elif self._is_near(subject, at):
            begins.append(subject.start)
            ends.append(subject.end)
        start, end = min(begins), max(ends)
        first = cue.at if cue is not None else at
        clause = self._clause(at)
        reading = Reading(
            role=role,
            quantity=quantity,
            subject=subject,
            sign=sign,
            start=start,
            end=end,
            cue_start=cue_start,
            rule=rule,
            at=at,
            piece=self.piece[at],
            window_index=self._window_index(at) if linked is None else linked.window_index,
            clause_start=clause[0],
            clause_end=clause[1],
            stance=linked.stance if linked is not None else self._stance(min(first, at)),
            period=linked.period if linked is not None else self._period(at),
            has_base=self._has_base(at) or (linked.has_base if linked is not None else False),
            tense=linked.tense if linked is not None else self._tense(first),
            is_earlier=self.found.heads[self.piece[at]] in words.EARLIER_BREAKS,
        )
        self.made.append(reading)
        self.by_token[at] = reading

    def _is_near(self, subject: Subject, at: int) -> bool:
        here = self.piece[at]
        for index in range(at, -1, -1):
            if self.tokens[index].start <= subject.start:
                gap = here - self.piece[index]
                return gap == 0 or (gap == 1 and self.found.heads[here] in ("which", "who", "that", ":"))
        return False

    def _linked(self, at: int) -> Reading | None:
        """The reading a number repeats: "0.6 percent, or 95 points", "95 points (0.6 percent)", "22,620 (+3.7%)"."""
        index = at - 1
        marks = 0
        has_link = False
        while index >= 0 and marks < 5:
            token = self.tokens[index]
            if token.low in ("or", "(", "[", "equivalent", "i.e."):
                has_link = True
            elif (
                token.low not in (",", "up", "down", "a", "about", "nearly", "-", "–", "to", "some")
                and token.kind != "adv"
            ):
                break
            index -= 1
            marks += 1
        if index < 0:
            return None
        reading = self.by_token.get(index)
        if not has_link and not (reading is not None and reading.role == "change" and at - index == 2):
            return None
        if reading is None or reading.quantity.kind is self.tokens[at].quantity.kind:  # type: ignore[union-attr]
            return None
        if reading.sign == 0 or reading.role == "level":
            sign = self._printed_sign(at) or next(
                (self.tokens[one].sign for one in range(index, at) if self.tokens[one].kind == "adv"), reading.sign
            )
            return replace(reading, sign=sign) if sign else None
        return reading

    def _group(self, at: int) -> list[int]:
        """The numbers in a list that begins at `at`: "13% and 13.1%", "17.8% in 6 months and 66% this year"."""
        kind = self.tokens[at].quantity.kind  # type: ignore[union-attr]
        group = [at]
        index = at + 1
        size = len(self.tokens)
        while index < size and len(group) < 8:
            joined = False
            while index < size and (
                self.tokens[index].low in (",", "and", "by", "about", "nearly") or self.tokens[index].kind == "win"
            ):
                joined = joined or self.tokens[index].low in (",", "and")
                index += 1
            if not joined or index >= size or self.tokens[index].kind != "qty":
                break
            if self.tokens[index].quantity.kind is not kind:  # type: ignore[union-attr]
                break
            group.append(index)
            index += 1
        return group

    def _says_respectively(self) -> bool:
        return any(token.low == "respectively" for token in self.tokens)

    def _is_composition(self, at: int) -> bool:
        tokens = self.tokens
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        if after is not None:
            if after.low == "of" and (
                at + 2 >= len(tokens) or tokens[at + 2].low not in ("its", "their", "the", "value")
            ):
                return True
            if after.low == "of":
                return not any(token.low == "value" for token in tokens[at + 2 : at + 7])
            if after.low in words.NOT_A_MOVE_AFTER and after.low != "share":
                return True
        before = tokens[at - 1] if at else None
        if before is not None and before.low in ("to", "from", "at") and not self._is_pared(at):
            # "rates rose to 5 percent"; "as much as" and "up to" are part of the number.
            return before.kind == "word"
        return False

    def _is_pared(self, at: int) -> bool:
        return any(token.low in words.PARE_VERBS for token in self.tokens[max(0, at - 6) : at])

    def _cue_before(self, at: int) -> Cue | None:
        tokens = self.tokens
        index = at - 1
        hops = 0
        has_of = False
        while index >= 0 and hops < MAX_HOPS:
            token = tokens[index]
            kind = token.kind
            if kind == "move":
                if has_of or self._is_noun(index):
                    return Cue(index, token.sign, "noun", self._noun_start(index))
                return Cue(index, token.sign, "verb")
            if kind == "noun" and (has_of or self._is_pared(at)):
                return Cue(index, token.sign, "noun", self._noun_start(index))
            if kind == "adv":
                is_given = index > 0 and tokens[index - 1].low in ("gave", "give", "given", "giving", "gives")
                return Cue(index, -1 if is_given else token.sign, "adverb")
            if token.low == "on" and index and tokens[index - 1].low in ("put", "puts", "putting", "piled", "tacked"):
                return Cue(index - 1, 1, "verb")
            if token.low == "of":
                has_of = True
            elif (kind == "either" and token.low in ("moves", "moved", "swing") and has_of) or not (
                token.low in _SKIP_BACK
                or kind == "win"
                or (kind == "word" and token.low.endswith("ly"))
                or (token.low == "to" and self._is_pared(at))
                or (token.low == ":" and index and tokens[index - 1].kind in ("move", "adv", "noun"))
            ):
                return None
            index -= 1
            hops += 1
        return None

    def _cue_after(self, at: int) -> Cue | None:
        tokens = self.tokens
        index = at + 1
        hops = 0
        size = len(tokens)
        while index < size and hops < 7:
            token = tokens[index]
            kind = token.kind
            if kind == "adv" and token.low != "off":
                following = tokens[index + 1] if index + 1 < size else None
                if token.low in ("up", "down") and following is not None and following.low == "for":
                    return None
                return Cue(index, token.sign, "adverb")
            if kind in ("noun", "move"):
                return Cue(index, token.sign, "noun", self._noun_start(at)) if can_be_noun(token) else None
            if token.low == "to" and [one.low for one in tokens[index + 1 : index + 3]] in (
                ["the", "good"],
                ["the", "bad"],
            ):
                # "ended the week 2% to the good"
                return Cue(index + 2, 1 if tokens[index + 2].low == "good" else -1, "adverb")
            if token.low in _SKIP_FORWARD or kind == "win" or (token.kind == "qty" and tokens[index - 1].low == "or"):
                pass
            elif token.low in ("and", ",") and index + 1 < size and tokens[index + 1].kind == "qty":
                index += 1
            elif token.low == "," and index > at + 1 and tokens[index - 1].low == "respectively":
                return None
            else:
                return None
            index += 1
            hops += 1
        return None

    def _signed(self, at: int) -> Cue | None:
        sign = self._printed_sign(at)
        return Cue(at, sign, "signed") if sign else None

    def _printed_sign(self, at: int) -> int:
        quantity = self.tokens[at].quantity
        assert quantity is not None
        if quantity.value < 0:
            return -1
        text = self.passage.text
        if text[quantity.start] in "+＋" or (quantity.start > 0 and text[quantity.start - 1] in "+＋"):
            return 1
        return 0

    def _is_noun(self, index: int) -> bool:
        """Whether the move word at `index` is a noun there: "a 2 percent fall" or "its biggest drop"."""
        token = self.tokens[index]
        if not can_be_noun(token):
            return False
        before = index - 1
        steps = 0
        while before >= 0 and steps < 4:
            low = self.tokens[before].low
            if low in ("a", "an", "its", "their", "another", "this", "the") or self.tokens[before].kind == "poss":
                return low not in ("the", "this") or self.tokens[index + 1].low in ("of", "in")
            if self.tokens[before].kind == "light" and low not in ("had", "has", "have", "see", "saw", "put"):
                return steps > 0 or low in ("recorded", "posted", "suffered", "enjoyed", "registered", "with")
            if self.tokens[before].kind != "word" or low in words.PREPOSITIONS:
                return False
            before -= 1
            steps += 1
        return False

    def _noun_start(self, index: int) -> int:
        """First token of the noun phrase around a move noun: before its article, adjectives and times."""
        before = index - 1
        steps = 0
        while before >= 0 and steps < 8:
            token = self.tokens[before]
            if token.low in ("a", "an", "another", "its", "their", "the"):
                return before
            if not (
                (token.kind == "word" and token.low not in words.PREPOSITIONS and token.low not in words.BREAKS)
                or token.kind == "win"
                or (token.kind == "qty" and steps > 0)
                or token.low in ("more", "than", "over", "about")
            ):
                break
            before -= 1
            steps += 1
        return before + 1

    # --------------------------------------------------------------- subjects

    def _subject_of_verb(self, cue: Cue, first: int) -> Found:
        tokens = self.tokens
        index = first
        if cue.form == "adverb":
            # "ended 0.2 percent lower", "was up 3%", "sent the index 2% higher"
            back = index - 1
            while (
                back >= 0
                and self.piece[back] == self.piece[index]
                and (
                    tokens[back].low in _BEFORE_ADVERB or tokens[back].kind == "win" or tokens[back].low.endswith("ly")
                )
            ):
                back -= 1
            if back >= 0 and tokens[back].kind in ("close", "open", "trade", "either", "be", "move", "light"):
                index = back
                if (
                    back
                    and tokens[back - 1].kind in ("be", "close", "open")
                    and self.piece[back - 1] == self.piece[back]
                ):
                    index = back - 1
            elif back >= 0 and tokens[back].low in (",", ":", "(", "-"):
                if tokens[back].low == "," and back and tokens[back - 1].low in _SAYS:
                    # "a filing showed, up 24 percent": what the filing is about was said before.
                    return REJECT
                beside = self._beside(back)
                if beside is not None:
                    return beside
        elif index and tokens[index - 1].low == ":":
            return self._beside(index - 1)
        elif index > 2 and tokens[index - 1].low == "," and tokens[index - 2].low in ("next", "second", "third"):
            # "the Taiex and the Kospi next, adding 4% and 3%"
            return subjects_before(self.found, index - 2, self.passage)
        return subjects_before(self.found, index, self.passage)

    def _beside(self, mark: int) -> list[Subject] | None:
        """The name directly before a comma, colon or bracket: "Tencent, up 3%"."""
        last = mark - 1
        if last < 0 or self.tokens[last].kind in ("qty", "win", "punct"):
            return None
        start = phrase_start(self.found, last, self.piece[last])
        if start > last:
            return None
        before = self.tokens[start - 1] if start else None
        if before is not None and self.piece[start - 1] == self.piece[last]:
            if before.low in words.PREPOSITIONS and before.low != "by":
                return None
            if before.kind not in ("punct", "win") and (
                before.low not in ("and", "by", "while", "with", "but", "led", *_LIFTS)
            ):
                return None
        judged = judge(self.tokens[start : last + 1], self.passage)
        if not isinstance(judged, Subject):
            return None
        return [judged] if judged.is_name or judged.is_reference or judged.instrument else None

    def _subject_of_sign(self, at: int) -> Found:
        """As in "Tencent (+2.1%)", "TOPIX: -0.5%", "Tencent +2.1%"."""
        index = at - 1
        while index >= 0 and self.tokens[index].low in ("(", ":", "-", "–", "|", ",", "[", "+"):
            index -= 1
        if index < 0 or self.tokens[index].kind in ("punct", "win"):
            return REJECT
        if self.tokens[index].kind == "qty":
            reading = self.by_token.get(index)
            return [reading.subject] if reading is not None else REJECT
        start = phrase_start(self.found, index, self.piece[index])
        judged = judge(self.tokens[start : index + 1], self.passage) if start <= index else None
        return [judged] if isinstance(judged, Subject) else REJECT

    def _subject_of_noun(self, cue: Cue, group: list[int]) -> Found:
        tokens = self.tokens
        after = max(cue.at, group[-1]) + 1
        while after < len(tokens) and tokens[after].kind == "win":
            after += 1
        if (
            after + 1 < len(tokens)
            and tokens[after].low in ("in", "of", "for", "by")
            and tokens[after + 1].kind != "win"
        ):
            ahead = self._phrase_after(after + 1)
            if isinstance(ahead, Subject):
                return [ahead]
            if isinstance(ahead, Reject) and tokens[after].low in ("in", "of"):
                return REJECT
        first = cue.first if cue.first >= 0 else min(cue.at, group[0])
        index = first - 1
        while index >= 0 and tokens[index].kind == "win":
            index -= 1
        if index < 0:
            return None
        token = tokens[index]
        if token.kind == "poss" and index > 0:
            start = phrase_start(self.found, index - 1, self.piece[index - 1])
            judged = judge(tokens[start:index], self.passage) if start < index else None
            return [judged] if isinstance(judged, Subject) else judged
        if token.kind in ("sub", "cap") and first == min(cue.at, group[0]):
            start = phrase_start(self.found, index, self.piece[index])
            judged = judge(tokens[start : index + 1], self.passage)
            return [judged] if isinstance(judged, Subject) else judged
        if token.kind == "word" and token.low in ("for", "to", "of", "by", "at"):
            while index >= 0 and tokens[index].kind in ("word",) and first - index < 6:
                index -= 1
            index += 1
        found: Found = subjects_before(self.found, index, self.passage)
        if token.kind == "light" and token.low == "with":
            found = inherited(self.found, self.passage, index) if index else None
        return found

    def _phrase_after(self, at: int) -> Subject | Reject | None:
        tokens = self.tokens
        last = at
        while last < len(tokens) and last - at < 8:
            token = tokens[last]
            if token.kind in ("punct", "qty", "win", "move", "either", "close", "open", "be", "adv", "light", "noun"):
                break
            if token.low in words.BREAKS or token.low in ("and", "or", "to", "by", "at", "during", "since"):
                break
            last += 1
        return judge(tokens[at:last], self.passage) if last > at else None

    def _by_of(self, at: int, role: str) -> bool:
        """As in "A is up by a fifth, B by 13 percent": the move before has no number of its own."""
        tokens = self.tokens
        last = at - 2
        if last < 1 or tokens[at - 1].low != "by":
            return False
        first = phrase_start(self.found, last, self.piece[last])
        if first > last or first < 3 or tokens[first - 1].low not in (",", "and", ";"):
            return False
        cue = next((index for index in range(first - 2, max(-1, first - 12), -1) if tokens[index].sign), -1)
        if cue < 0 or not any(token.low == "by" for token in tokens[cue : first - 1]):
            return False
        subject = judge(tokens[first : last + 1], self.passage)
        if not isinstance(subject, Subject) or not subject.is_name:
            return False
        self._add(at, role, subject, tokens[cue].sign, subject.start, "elliptic")
        return True

    def _elliptic(self, at: int, role: str) -> bool:
        """As in "… and the S&P 500 4 percent", "compared with 4 percent for the S&P 500"."""
        if role != "return":
            return False
        if not self.made:
            return self._by_of(at, role)
        previous = next((one for one in reversed(self.made) if one.role == role), None)
        if previous is None or self.piece[at] - previous.piece > 2:
            return False
        tokens = self.tokens
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        subject: Subject | Reject | None = None
        rule = "elliptic"
        if following is not None and following.low in ("for", "by"):
            subject = self._phrase_after(at + 2)
        else:
            index = at - 1
            while index >= 0 and tokens[index].low in (
                "by",
                "a",
                "about",
                "over",
                "nearly",
                "some",
                "with",
                "’s",
                "'s",
            ):
                index -= 1
            if index >= 0 and tokens[index].kind in ("sub", "cap", "word", "qty") and index > previous.at:
                if (
                    following is not None
                    and following.kind in ("word", "cap")
                    and following.low
                    not in (
                        *(
                            "and",
                            "while",
                            "but",
                            "in",
                            "on",
                            "over",
                            "this",
                            "as",
                            "after",
                            "respectively",
                            "so",
                            "during",
                        ),
                    )
                ):
                    return False
                start = phrase_start(self.found, index, self.piece[index])
                subject = judge(tokens[start : index + 1], self.passage) if start <= index else None
        if not isinstance(subject, Subject) or not (subject.is_name or subject.is_reference):
            return False
        self._add(at, role, subject, previous.sign, min(subject.start, tokens[at].start), rule)
        return True
