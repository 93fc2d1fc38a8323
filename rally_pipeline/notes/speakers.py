"""Who a noun phrase beside a reporting verb names: a house, a person with role and firm, a company, or nobody.

Belongs here: the small grammar of such phrases ("FIRM's ROLE NAME", "NAME, ROLE at FIRM", "analysts at FIRM led by
NAME", 机构首席策略师某某). Does not belong here: finding the verbs and what they cover (`attribution.py`).

The words around the verb are turned into one letter each (F a house, P a person of the catalog, N another capitalised
name, R a role, ...) and patterns over these letters decide; so a name's own words never disturb the grammar.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.notes.records import Mention, MentionKind, Passage


class SourceType(StrEnum):
    """What a phrase names."""

    HOUSE = "house"
    PERSON = "person"
    COMPANY = "company"  # an issuer, authority or data vendor
    MEDIUM = "medium"
    GENERIC = "generic"  # "analysts", "traders": nobody by name
    HE = "he"  # "he", "she", "the strategist": the person who spoke last
    THE_HOUSE = "the_house"  # "the bank", 该行: the house that spoke last
    THE_COMPANY = "the_company"


@dataclass(frozen=True, slots=True)
class Source:
    """A phrase that names who speaks.

    Attributes:
        type: what it names.
        start, end: where.
        broker_id, broker_text: the house, by id and as printed.
        speaker, role: person (or company) and role, as printed.
    """

    type: SourceType
    start: int
    end: int
    broker_id: str = ""
    broker_text: str = ""
    speaker: str = ""
    role: str = ""


class _Token(NamedTuple):
    letter: str
    start: int
    end: int
    text: str
    entity_id: str = ""


_ROLE_HEAD = (
    r"(?:analyst|strategist|economist|trader|dealer|(?:co-)?head|director|partner|president|chairman|chairwoman|chair"
    r"|manager|officer|executive|adviser|advisor|CEO|CIO|CFO|COO|founder|co-founder|economist|researcher|secretary"
    r"|minister|governor|spokesman|spokeswoman|spokesperson|commissioner"
    r"|broker|salesman|specialist|chief|vice-president"
    r"|principal|associate|banker|professor)"
)
# Words that may stand before the head of a role; lower-case ones and the usual capitalised ones.
_ROLE_MODIFIER = (
    r"(?:(?:(?:[Cc]o-)?[Cc]hief|[Ss]enior|[Jj]unior|[Ll]ead|[Dd]eputy|[Vv]ice|[Aa]ssistant|[Aa]cting|[Ee]xecutive|[Mm]anaging"
    r"|[Gg]lobal|[Rr]egional|[Gg]roup|[Pp]ortfolio|[Ff]und|[Mm]arkets?|[Ee]quit(?:y|ies)|[Ii]nvestments?|[Cc]redit"
    r"|[Rr]esearch|[Ss]trategy|[Ss]ales|[Tt]rading|[Mm]acro|[Qq]uant(?:itative)?"
    r"|[Ff]inancial|[Oo]perating|[Dd]erivatives"
    r"|[Cc]ross-asset|[Mm]ulti-asset|[Tt]ech(?:nology)?|[Ii]nternet|[Ss]tock|[Cc]ountry|[Ff]ounding|[Ff]ormer|[Dd]esk"
    r"|[Hh]edge|[Ww]ealth|[Aa]sset|[Pp]rivate|[Bb]anking|[Ii]ndependent|[Vv]eteran|[Pp]rincipal|[Pp]rime|[Bb]rokerage"
    r"|China|Chinese|Asia(?:n|-Pacific|\ Pacific)?|APAC|Hong\ Kong|US|U\.S\.|European|Greater\ China|Japan|EM|EMEA"
    r"|emerging[\ -]markets?|FX|currency|commodit(?:y|ies)|consumer|property|auto|retail|telecoms?|health-?care|policy"
    r"|[Ss]ecurities|[Tt]echnical|[Ff]ixed-[Ii]ncome|[Ii]ncome|[Rr]ates|semiconductor|software|energy|gaming|media"
    r"|political|risk|thematic|sector|industry|housing|commercial|corporate|government"
    r"|[A-Z]\w{1,15}(?:\ [A-Z]\w{1,15})?-(?:based|focused)"
    r"|and|&)[\ ])"
)
_ROLE = (
    rf"{_ROLE_MODIFIER}{{0,7}}(?i:{_ROLE_HEAD})s?\b(?!\ (?:price|rating|note|coverage)s?\b)"
    rf"(?:(?:\ and\ |/){_ROLE_MODIFIER}{{0,4}}(?i:{_ROLE_HEAD})s?\b)?"
    r"(?:\ (?:of|for)(?:(?:\ [\w&’'-]+){1,6}?(?=\ at\b)|(?:\ (?:(?!(?:at|said|says|told|wrote|in|with|who"
    r"|which|from|by|on)\b)[a-z][\w/’'-]*|&|Asia[\w-]*|China|Chinese"
    r"|Greater"
    r"|Hong|Kong|US|U\.S\.|APAC|EM|EMEA|Europe(?:an)?|Japan|Pacific"
    r"|FX|Global|Equit(?:y|ies)|Research|Strategy|Sales|Trading"
    r"|Investments?|Macro|Markets|Economics|Asset|Assets|Wealth|Multi-?[Aa]sset|Fixed|Income|Management)\b){1,6}))?"
)
_NAME_WORD = r"(?:[A-Z](?:\.(?=\ [A-Z])|[\w’'-]*[\w](?<![’']s)|\b)(?:\.[A-Z]\.?|\.(?:com|ai|io)\b)?)"
_NAME = rf"{_NAME_WORD}(?:\ (?:(?:de|van|der|von|bin|al|la|di|du|&)\ ){{0,2}}{_NAME_WORD}){{0,4}}"
_DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
)
_TIME = (
    rf"(?:(?:on|late|early|earlier|last|this|in)\ (?:on\ |the\ )?)?{_DAY}(?:\ (?:morning|afternoon|evening|night))?\b"
    rf"|(?:on|in|dated|of)\ (?:early\ |late\ )?(?:{_MONTH}\.?(?:\ \d{{1,2}}\b)?|\d{{1,2}}\ {_MONTH}\b)(?:,?\ \d{{4}})?"
    r"|earlier\ (?:this\ (?:week|month|year))|(?:last|this)\ (?:week|month|year)\b|yesterday|today"
)
_PAPER = (
    r"(?:notes?|reports?|interview|emails?|e-mails?|statement|call|briefing|posts?|commentary|memo|filing|conference"
)
_PAPER += r"|column|webinar|update|bulletin|message|presentation|paper|publication|comments?|outlook|circular)"
ADJUNCT = (
    r"(?:in|via|during|on|from|at)\ (?:(?:a|an|its|his|her|their|the"
    rf"|another|recent)\ )(?:[\w’'-]+\ ){{0,4}}?{_PAPER}\b"
    rf"(?:\ (?:to|with|for)\ (?:its\ |the\ )?(?:clients|investors|reporters|analysts|journalists|{_NAME}))?"
    r"(?:\ (?:published|released|issued|dated|sent)\b)?|to\ clients"
    r"|by\ (?:phone|telephone|e-?mail)|in\ emailed\ comments"
    rf"|{_TIME}"
)
_TOKEN = re.compile(
    rf"""
      (?P<a>\b(?:also|later|further|meanwhile|separately|however|then|now|still|previously|recently|earlier
        |previously)\b)
    | (?P<t>{ADJUNCT})
    | (?P<g>\b(?:based\ )?in\ (?:the\ )?(?:{_NAME_WORD})(?:\ {_NAME_WORD})?(?![’']s))
    | (?P<L>\b(?:led\ by|including|headed\ by|such\ as)\b)
    | (?P<x>\b(?:which|who)\b)
    | (?P<p>\b(?:he|she|He|She)\b)
    | (?P<q>\b(?:it|they|It|They)\b)
    | (?P<z>\((?:[A-Z0-9.:\ ]{{1,14}}|Hong\ Kong|Asia|China|International)\)
        |\b(?:Inc|Ltd|Corp|Plc|PLC|Limited|LLC|Bhd|Berhad)\b\.?)
    | (?P<D>\b(?:(?:prime|brokerage|services|trading|sales|research|strategy|equities|latest|monthly|weekly|quarterly
        |recent|fund|manager|managers|investor|client|flow|chief|investment|derivatives|index|own
        |{_MONTH})\ ){{0,4}}(?:data|figures
        |notes?|reports?|research|survey|estimates?|calculations?|team|desk|unit|numbers|analysis|model|arm|division|statistics
        |office|readings?|tally|tracker)\b(?!\ (?:director|analyst|strategist|head|manager|officer|chief|team|house|firm
        |provider)))
    | (?P<R>\b{_ROLE})
    | (?P<H>\b(?:[Tt]he|[Tt]his|[Aa])\ (?:(?:US|U\.S\.|American|Swiss|British|Japanese|Chinese|French|German|Singapore
        |Singaporean|Malaysian|Wall\ Street|investment|state-owned|global|Beijing-based|same|London-based
        |research|big)\ ){{0,3}}
        (?:bank|brokerage|brokers?|house|broker|securities\ firm|firm|consultancy|lender|research\ (?:firm
        |house|provider))\b)
    | (?P<C>\b(?:[Tt]he|[Tt]his)\ (?:[\w’'-]+\ ){{0,3}}?(?:company|group|giant|conglomerate|retailer|chipmaker|automaker
        |carmaker|developer|operator|manufacturer|airline|maker|issuer|startup)\b)
    | (?P<M>\b(?:Reuters|Bloomberg(?:\ News)?|AFP|Xinhua|CNBC|Caixin|the\ Financial\ Times|Financial\ Times
        |(?:[Tt]he\ )?South\ China\ Morning\ Post|SCMP|RTHK|(?:[Tt]he\ )?Wall\ Street\ Journal|Nikkei\ Asia|Barron[’']s
        |(?:[Tt]he\ )?(?:newspaper|paper|daily|broadcaster|news\ agency)|Dow\ Jones\ Newswires|MarketWatch|Benzinga)\b)
    | (?P<U>\b(?:(?:[Ss]ome|[Mm]any|[Mm]ost|[Oo]ther|[Ss]everal|[Mm]arket|[Ii]ndustry)\ ){{0,2}}(?i:traders
        |investors|officials
        |observers|participants|sources|people|watchers|experts|brokers|brokerages|banks|funds|media|authorities
        |regulators|investor|trader|official|state\ media|one\ person|everyone|markets?|Wall\ Street|consensus)\b)
    | (?P<A>\b(?:[Tt]he|[Tt]his|[Aa]|[A-Z]\w+[’']s)\ (?:[\w’'-]+\ ){{0,3}}?(?:government|ministry|authority|commission
        |regulator|central\ bank|bureau|department|exchange|association|agency|cabinet|board)\b)
    | (?P<B>\b(?:[Tt]he\ )?(?:[A-Z][\w’'-]+\ (?:and\ )?){{0,5}}?(?:Bureau|Ministry|Department|Office|Commission
        |Authority|Administration|Federation|Institute|Chamber|Association|Council|Agency|Bank(?=\ of)|Reserve)\b
        (?:\ (?:of|for)(?:\ (?:[A-Z][\w’'-]+|and|the)){{1,5}})?)
    | (?P<N>\b{_NAME})
    | (?P<s>[’']s?(?=[\s,]))
    | (?P<c>,|\(|\)|\ [–—-]\ )
    | (?P<o>\b(?:at|of|from|with|for|by)\b)
    | (?P<d>\b(?:the|a|an|its|his|their|our)\b)
    | (?P<e>\band\b)
    | (?P<w>[\w%$€£.’'-]+|[^\s\w])
    """,
    re.VERBOSE,
)
_DASHES = ("–", "—", "-")
#: A capitalised word that is no name: beginnings of sentences, days.
_NO_NAME_WORDS = """The A An In On At But And However Meanwhile While As After Before Since With For From Yet
Still Also If When It They We I He She This That These Those There Here Its His Her Their Some Many Most More
Other Both Despite Although Though Because Hedge Global Investors Shares Stocks Stock Markets Market Analysts
Traders Asked Speaking According Retail Long Short Net Buying Selling Chinese Mainland Hong January February
March April May June July August September October November December Monday Tuesday Wednesday Thursday Friday
Saturday Sunday Data What Now Then Our By To Of Or So Not No Nearly About Only Even Just Overall Separately
Citing Foreign Southbound"""
_NO_NAME = frozenset(_NO_NAME_WORDS.split())
_HOUSE_WORDS = (
    r"Securities|Capital|Research|Brokerage|Asset|Wealth|Management|Partners|Investments?|Investors|Advisors|Advisers"
    r"|Bank|Banking|Dragonomics|Economics|Markets|Financial|Futures|Global|International|Group|Private|Strategies"
    r"|Analytics|Funds?|Trust|Holdings|Sachs|Insights|Institute|Co|Equity|Institutional|Strategists|Hong|Kong|Asia"
)
_HOUSE_NAME = re.compile(
    r"\b(?:Securities|Capital|Research|Brokerage|Asset\ Management|Wealth|Investments?|Investment\ Management|Advisors"
    r"|Advisers|Dragonomics|Economics|Capital\ Markets|Futures|Private\ Bank|Funds|Partners|Equities|Markets|Financial"
    r"|Bank|Brokers|Strategies|Macro|Analytics|Advisory)\b"
)
#: Words that make a name a house even where it speaks for itself: a fund or a bank may be an issuer.
_HOUSE_ALONE = re.compile(
    r"\b(?:Securities|Research|Brokerage|Brokers|Capital\ Markets|Dragonomics|Economics|Equities|Macro)\b"
)
_HOUSE_TAIL = re.compile(rf"(?:{_HOUSE_WORDS})(?:\ (?:&\ )?(?:{_HOUSE_WORDS}))*\Z")
#: An office written in capitals is one with the name at first: "Vice Finance Minister Jane Doe".
_OFFICE = re.compile(
    r"(?P<role>(?:[\w&.’'-]+ ){0,5}(?:Minister|Governor|Secretary|President"
    r"|CEO|Chairman|Chairwoman|Director|Strategist|Analyst"
    r"|Economist|Officer|Chief|Commissioner|Head|Premier|Chair))\ (?P<name>[A-Z].*)\Z"
)
_THE = re.compile(r"\A[Tt]he (?=[A-Z])")
_TITLE = re.compile(r"\A(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir)\.? ")
_MARKET_ROLE = re.compile(
    r"analyst|strateg|economist|trad(?:er|ing)|dealer|sales|research|portfolio|fund\ manager|investment", re.IGNORECASE
)
_PLURAL_ROLE = re.compile(r"(?i:analysts|strategists|economists|traders|dealers|researchers|brokers|managers)\b")


def mention_letter(mention: Mention) -> tuple[str, str] | None:
    """The letter of a mention (F house, P person, I instrument or agency) and its id; ``None`` for other kinds."""
    if mention.kind is MentionKind.BROKER:
        return "F", mention.entity_id
    for reading in mention.also:
        kind, _, entity = reading.partition(":")
        if kind == "broker":
            return "F", entity
    if mention.kind is MentionKind.PERSON:
        return "P", mention.entity_id
    if mention.kind is MentionKind.RATING_AGENCY:
        return "I", mention.entity_id
    if mention.kind is MentionKind.INSTRUMENT:
        return "I", mention.entity_id
    return None


def mentions_near(passage: Passage, start: int, end: int) -> Sequence[Mention]:
    """The mentions that lie within a stretch, in order; found by halving, as a sentence can hold thousands."""
    found = passage.mentions
    first = bisect_left(found, start, key=lambda mention: mention.start)
    last = bisect_left(found, end, lo=first, key=lambda mention: mention.start)
    while last > first and found[last - 1].end > end:
        last -= 1
    return found[first:last]


def _tokens(passage: Passage, start: int, end: int) -> list[_Token]:
    """The words of a stretch as letters; mentions first, the rest by `_TOKEN`; adverbs and adjuncts left out."""
    found: list[_Token] = []
    position = start
    for mention in mentions_near(passage, start, end):
        letter = mention_letter(mention)
        if letter is None or mention.start < position:
            continue
        found.extend(_plain_tokens(passage.text, position, mention.start))
        found.append(
            _Token(letter[0], mention.start, mention.end, passage.text[mention.start : mention.end], letter[1])
        )
        position = mention.end
    found.extend(_plain_tokens(passage.text, position, end))
    return _merged(found, passage.text)


def _plain_tokens(text: str, start: int, end: int) -> Iterator[_Token]:
    position = start
    while position < end:
        if text[position] == " " and text[position + 1 : position + 2] not in _DASHES:
            position += 1  # no other token begins with a blank, and to try them all there takes as long as at a word
            continue
        match = _TOKEN.search(text, position, end)
        if match is None:
            return
        letter = {"B": "A"}.get(str(match.lastgroup), str(match.lastgroup))
        first, last = match.span()
        if letter == "N":
            words = match.group().split(" ")
            skipped = 0
            while skipped < len(words) and words[skipped] in _NO_NAME:
                first += len(words[skipped]) + 1
                skipped += 1
            if skipped == len(words):
                yield _Token("d" if words[-1] in ("The", "A", "An") else "w", match.start(), last, match.group())
                position = last
                continue
            if skipped:
                yield _Token("w", match.start(), first - 1, text[match.start() : first - 1])
        if letter not in "atgz":
            yield _Token(letter, first, last, text[first:last])
        position = max(last, position + 1)


def _merged(tokens: Sequence[_Token], text: str) -> list[_Token]:
    """Joins a house with the words that lengthen its name ("CICC Research"); a first name with a house is a name."""
    merged: list[_Token] = []
    for token in tokens:
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.letter == "F"
            and token.letter == "N"
            and token.start == last.end + 1
            and _HOUSE_TAIL.match(token.text)
        ):
            merged[-1] = last._replace(end=token.end, text=text[last.start : token.end])
        elif (
            last is not None
            and last.letter == "N"
            and token.letter == "F"
            and token.start == last.end + 1
            and last.text in ("China", "Hong Kong", "Asia")
        ):
            merged[-1] = token._replace(start=last.start, text=text[last.start : token.end])
        else:
            merged.append(token)
    return merged


# Patterns over the letters; named groups: n name, r role, f firm. Tried in order; the first that fits wins.
_CORE = (
    r"(?P<n>[PN])c+d*(?P<r>R)o(?P<f>[FNIA])",
    r"(?P<n>[PN])c+d*(?P<f>[FNI])s?d?(?P<r>R)",
    r"(?P<n>[PN])c+[dwsHCNIA]{0,4}(?P<r>R)",
    r"(?P<n>[PN])c+(?P<f>F)",
    r"(?P<n>[PN])c+o(?P<f>[FNI])",
    r"(?P<f>F)s?c*(?P<r>R)c*(?P<n>[PN])",
    r"(?P<f>[NIA])s?(?P<r>R)c*(?P<n>[PN])",
    r"(?P<r>R)o(?P<f>[FNI])c*(?P<n>[PN])",
    r"(?P<f>[FN])s(?P<n>[PN])",
    r"(?P<r>R)c*(?P<n>[PN])(?:o(?P<f>[FNI]))?",
    r"(?P<n>[PN])o(?P<f>[FI])",
    r"(?P<n>[PN])o(?P<f>N)",
    r"(?P<f>[FN])s?D*(?P<r>R)(?:c*L(?P<l>[PN])(?:e[PN])?)?",
    r"(?P<r>R)s?o(?P<f>[FN])(?:s?D)?(?:c*L(?P<l>[PN])(?:e[PN])?)?",
    r"(?:U|D)+o(?P<f>F)",
    r"Do(?P<i>[IN])",
    r"(?P<f>F)s?D*",
    r"(?P<h>H)s?D*",
    r"(?P<he>p)",
    r"(?P<c>C)",
    r"(?P<m>M)",
    r"(?P<i>[IA])s?D*",
    r"(?P<n>[PN])s?D*",
    r"(?P<it>q)",
    r"(?P<role>dw{0,3}R|R)",
    r"(?P<u>U)",
)
_AT_END = [re.compile(f"(?:{core})c*(?:x[^cx]{{0,10}}c*)?\\Z") for core in _CORE]
_INTRODUCTION = re.compile(
    r"(?P<n>[PN])c+[dwsHCNIA]{0,3}(?P<r>R)(?:o(?P<f>[FNI]))?|(?:(?P<f2>[FN])s?c?)?(?P<r2>R)c?(?P<n2>[PN])|(?P<n3>P)"
)
_AT_START = [re.compile(f"d?(?:{core})") for core in _CORE]


def source_before(passage: Passage, start: int, end: int) -> Source | None:
    """Who the phrase names that ends where a reporting verb begins; words further left than `start` are not looked at.

    The rule that reaches furthest to the left wins, so that "NAME, ROLE at FIRM," is one person and not the firm.
    """
    tokens = _tokens(passage, max(start, end - 220), end)
    letters = "".join(token.letter for token in tokens)
    best: tuple[int, re.Match[str]] | None = None
    for pattern in _AT_END:
        # The last two dozen letters hold any phrase; a search in all of them would be quadratic.
        match = pattern.search(letters, max(0, len(letters) - 24))
        if match is not None and (best is None or match.start() < best[0]):
            best = (match.start(), match)
    return None if best is None else _source(tokens, best[1])


def source_after(passage: Passage, start: int, end: int) -> Source | None:
    """Who the phrase names that begins where an inverted verb or "according to" ends."""
    tokens = _tokens(passage, start, min(end, start + 220))
    letters = "".join(token.letter for token in tokens)
    best: re.Match[str] | None = None
    for pattern in _AT_START:
        match = pattern.match(letters)
        if match is not None and (best is None or match.end() > best.end()):
            best = match
    return None if best is None else _source(tokens, best)


def introduced(passage: Passage) -> list[Source]:
    """The people whom a sentence names with a role or a firm, whether or not they speak in it."""
    tokens = _tokens(passage, passage.start, min(passage.end, passage.start + 600))
    letters = "".join(token.letter for token in tokens)
    found: list[Source] = []
    for match in _INTRODUCTION.finditer(letters):
        source = _source(tokens, match)
        if source is not None and source.type is SourceType.PERSON and source.speaker:
            found.append(source)
    return found


def _source(tokens: Sequence[_Token], match: re.Match[str]) -> Source | None:
    def token(group: str) -> _Token | None:
        for name in (group, f"{group}2", f"{group}3"):
            if name in match.re.groupindex and match.group(name):
                return tokens[match.start(name)]
        return None

    # A trailing comma belongs to the phrase, the tokens before the match do not.
    start, end = tokens[match.start()].start, tokens[match.end() - 1].end
    name, role, firm, led_by = token("n"), token("r"), token("f"), token("l")
    role_text = role.text if role else ""
    if name is not None:
        if name.letter == "N" and role is None and firm is None and _HOUSE_ALONE.search(name.text):
            return Source(SourceType.HOUSE, start, end, broker_text=name.text)
        broker_id, broker_text = _firm(firm, role_text)
        speaker = _TITLE.sub("", name.text)
        if not role_text and (office := _OFFICE.match(speaker)):
            role_text, speaker = office.group("role"), office.group("name")
        return Source(SourceType.PERSON, start, end, broker_id, broker_text, speaker, role_text)
    if firm is not None:
        if firm.letter == "N" and not (_HOUSE_NAME.search(firm.text) or _MARKET_ROLE.search(role_text)):
            return Source(SourceType.COMPANY, start, end, speaker=firm.text, role=role_text)
        speaker = led_by.text if led_by else ""
        kind = SourceType.PERSON if led_by else SourceType.HOUSE
        return Source(kind, start, end, firm.entity_id, firm.text, speaker, role_text)
    if token("h"):
        return Source(SourceType.THE_HOUSE, start, end)
    if token("he"):
        return Source(SourceType.HE, start, end)
    if token("c"):
        return Source(SourceType.THE_COMPANY, start, end)
    if medium := token("m"):
        return Source(SourceType.MEDIUM, start, end, speaker=medium.text)
    if company := token("i"):
        if company.letter == "N" and _HOUSE_ALONE.search(company.text):
            return Source(SourceType.HOUSE, start, end, broker_text=company.text)
        return Source(SourceType.COMPANY, start, end, speaker=_THE.sub("", company.text))
    if token("role"):
        last = tokens[match.end() - 1] if tokens[match.end() - 1].letter == "R" else tokens[match.start()]
        words = next((t.text for t in tokens[match.start() : match.end()] if t.letter == "R"), last.text)
        if _PLURAL_ROLE.search(words) or not match.group("role").startswith("d"):
            return Source(SourceType.GENERIC, start, end, role=words)
        return Source(SourceType.HE, start, end, role=words)
    if token("it"):
        return Source(SourceType.THE_HOUSE, start, end)
    if unnamed := token("u"):
        return Source(SourceType.GENERIC, start, end, role=unnamed.text)
    return None


def _firm(firm: _Token | None, role: str) -> tuple[str, str]:
    """The house of a person: a catalog broker, or a name that is a house by its words or by the person's role."""
    if firm is None:
        return "", ""
    if firm.letter == "F":
        return firm.entity_id, firm.text
    if firm.letter == "N" and (_HOUSE_NAME.search(firm.text) or _MARKET_ROLE.search(role)):
        return "", firm.text
    return "", ""


def with_catalog_person(source: Source, passage: Passage, lexicon: Lexicon) -> Source:
    """Fills the id of a printed house that only the lexicon can read; and, for a person printed without one, house and
    role from the catalog if it knows that person.
    """
    if source.broker_text and not source.broker_id:
        return replace(source, broker_id=lexicon.broker(source.broker_text))
    if source.type is SourceType.PERSON and not source.broker_text:
        for mention in mentions_near(passage, source.start, source.end):
            person = lexicon.person(mention.entity_id) if mention.kind is MentionKind.PERSON else None
            if person is not None:
                return replace(source, broker_id=person.broker, role=source.role or person.role)
    return source
