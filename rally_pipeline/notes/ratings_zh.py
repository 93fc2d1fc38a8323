"""Finds rating actions and target changes in Chinese, simplified and traditional.

Belongs here: the Chinese grammar of ratings and targets and its claims. Does not belong here: English (`ratings.py`).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes import targets
from rally_pipeline.notes.records import Claim, ClaimType, Mention, MentionKind, Passage, SourceKind

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

_OPEN = "[\"“”「『'‘＂《【（(]?"
_CLOSE = "[\"“”」』'’＂》】）)]?"
_RATING_WORDS = (
    "高度?[确確]信(?:跑[赢贏]大市|[买買]入)|[强強]烈[买買]入|[强強]烈推[荐薦]|[买買]入|[审審]慎增持|[谨謹]慎增持|[谨謹]慎推[荐薦]|增持|持有|中性|[减減]持|[卖賣]出|沽售|沽出|"
    "[优優]于大[市盘盤]|優於大[市盤]|[与與]大市同步|同步大市|大市同步|同步行[业業]|跑[赢贏](?:大市|行[业業]|大[盘盤])|"
    "跑[输輸](?:大市|行[业業]|大[盘盤])|[弱低]于大市|[弱低]於大市|落[后後]大市|推[荐薦]|收集|吸[纳納]|均[配衡]|超配|低配|[标標]配|高配|"
    "Buy|Sell|Hold|Neutral|Overweight|Underweight|Outperform|Underperform|Equal-?[Ww]eight"
)
_RATING = re.compile(f"{_OPEN}(?P<rating>{_RATING_WORDS}){_CLOSE}")
_GRADE = r"(?:投[资資])?[评評][级級等]"
_AFTER = re.compile(f"(?:的)?(?:股票)?{_GRADE}")
_BEFORE_GRADE = re.compile(
    f"{_GRADE}(?:[由从從自]?|[为為是：:至到]|[:：] ?|"
    "(?:[维維]持|仍|[上下][调調][至到]|[调調][升降高低][至到]|[升降][至到]|重申|保持)(?:[为為至到在])?)?$"
)
_BEFORE_PRIOR = re.compile("(?:[由从從自]|原[为為來来]?|此前(?:的)?|前[为為])$")
_BEFORE_NEW = re.compile(
    "(?:[上下][调調](?:[至到为為])?|[调調][升降高低](?:[至到为為])?|[升降][至到]|[级級][至到]|提[升高][至到]|[维維]持|重申|保持|首予|首次[给給]予|"
    "[续續]予|仍予|[给給授]予|予以?|[至到为為]|[双雙][级級][上下][调調]至?)$"
)
_KEEP = "[维維]持|重申|保持|[续續]予|仍予|[续續][评評]"
_UP = "上[调調]|[调調][升高]|提[升高]|[升上]至|升[级級]|升(?!幅|值)|看高|[抬调調]升"
_DOWN = "下[调調]|[调調][降低]|[调調]低|削(?:[减減])?|降(?:[至级級低])?|下[修]"
_INIT = (
    "首予|首次(?:覆[盖蓋]|[给給]予)|首度覆[盖蓋]|重[启啟](?:对|對)?.{0,8}覆[盖蓋]|恢[复復]覆[盖蓋]|"
    "[开開]始覆[盖蓋]|首[发發]"
)
_DROP = "[终終停]止(?:对|對)?.{0,10}覆[盖蓋]|取消.{0,10}[评評][级級]|撤回.{0,10}[评評][级級]"
_SET = "[给給授]予|予以?"
_VERB = re.compile(
    f"(?P<INIT>{_INIT})|(?P<REMOVE>{_DROP})|(?P<KEEP>{_KEEP})|(?P<UP>{_UP})|(?P<DOWN>{_DOWN})|(?P<SET>{_SET})"
)
_ACTION = {"INIT": "Initiate", "REMOVE": "Drop", "KEEP": "Reiterate", "UP": "Upgrade", "DOWN": "Downgrade", "SET": ""}
_KLASS = {"INIT": rw.SET, "REMOVE": rw.REMOVE, "KEEP": rw.KEEP, "UP": rw.RAISE, "DOWN": rw.LOWER, "SET": rw.SET}
_TARGET = re.compile("(?:12|十二)?(?:[个個]月)?(?:目[标標]|[预預][测測])(?P<price>[价價]位?)?(?P<points>[点點]位?|位)?")
_NUMBER = re.compile(
    r"(?P<before>HK\$|US\$|HKD|USD|RMB|CNY|人民[币幣]|港[币幣元]|美元|\$|¥|￥)?[ \u00a0]?"
    r"(?P<digits>\d[\d,，]{0,15}(?:\.\d{1,6})?)[ \u00a0]?"
    r"(?P<scale>[万萬千])?(?P<after>港元|港[币幣]|港仙|美元|人民[币幣]|[欧歐]元|日[元圆圓]|新[台臺][币幣]|元|[点點]|[%％]|[个個]?百分[点點]|"
    r"[个個]月|倍|[个個]|年|月|日|[亿億]|仙|-|\.[A-Z]{2})?"
)
_CURRENCY = {
    "HK$": "HKD", "HKD": "HKD", "US$": "USD", "USD": "USD", "$": "HKD", "RMB": "CNY", "CNY": "CNY", "¥": "CNY",
    "￥": "CNY", "人民币": "CNY", "人民幣": "CNY", "港元": "HKD", "港币": "HKD", "港幣": "HKD", "美元": "USD",
    "欧元": "EUR", "歐元": "EUR", "日元": "JPY", "日圆": "JPY", "日圓": "JPY", "新台币": "TWD", "新臺幣": "TWD",
    "新台幣": "TWD",
}  # fmt: skip
_NOT_MONEY = frozenset("%％倍个個年月日亿億-")
_CLAUSE = re.compile(r"[，,；;。！!\n｜|]|(?<![\d:：])\s(?=\S)")
_FORBIDDEN = re.compile("[信债債][用务務贷貸]?[评評][级級]|主[权權]|展望")
_SUBJECT = re.compile(
    f"(?:[将將把]|[对對]|{_KEEP}|{_UP}|{_DOWN}|首予|{_SET}|[：:]|看好)"
    '(?P<name>[^，,。；;：:由从從至将將把對对予“”「『"（(\\s]{2,16}?)'
    "(?:[（(][^）)]{1,20}[）)])?(?:的)?(?:"
    + _RATING_WORDS
    + ")?(?:12|十二)?(?:[个個]月)?(?:目[标標]|"
    + _GRADE
    + '|[“「『"])'
)
_SUBJECT_MOVED = re.compile("[将將把](?P<name>[^，,。；;：:“「『（(\\s由从從自]{2,12})[由从從自]")
_SUBJECT_COVERED = re.compile("覆[盖蓋](?P<name>[^，,。；;：:“「（(\\s]{2,12})")
_NO_NAME = re.compile("目[标標][价價]?$|[评評][级級]$|^其$|[预預][测測]$")
#: "恒隆地產目標價6.3元": the share whose target it is, at the head of a clause.
_SUBJECT_OWNER = re.compile(
    '(?P<name>[^，,。；;：:“「『"（(\\s\\d]{3,10}?)(?:[（(][^）)]{1,20}[）)])?(?:的)?目[标標][价價]'
)
_NO_OWNER = re.compile(
    "最新|同[时時]|[应應]$|[给給]出|得出|公司|[个個]股|平均|基[于於]|年底|年末|[个個]月|我[们們]|[该該][行股]|[机機][构構]|券商|"
    "分析|市[场場]|[并並將将把其及和]|一致|共[识識]|[预預]|[获獲遭被由从從]|短期|合理|[设設定]$|上[升行]|空[间間]"
)
_NAME_HEAD = re.compile(f"^(?:{_KEEP}|{_UP}|{_DOWN}|{_SET}|首予|其|[将將把对對])+")
_NAME_TAIL = re.compile(f"(?:的|{_RATING_WORDS}|今年|明年|年底|年末|12个月|十二個月)+$")
_SUBJECT_PASSIVE = re.compile("(?P<name>[^，,。；;：:\\s（(]{2,14})(?:[（(][^）)]{1,20}[）)])?(?:[获獲遭被])")
_BROKER_HEAD = re.compile(
    "\\s*[【\\[《]?(?P<name>[^，,。；;：:（(】\\]\\s将將把]{2,10}?)(?:[】\\]》]|[:：]|(?=[将將把]|[维維]持|重申|上[调調]|下[调調]|首予|首次|[给給]予|[发發][布表]|研[报報]|[报報]告|[称稱指]|[续續]予|[调調][升降高低]|升|降))"
)
_BROKER_PASSIVE = re.compile(
    "[获獲遭被](?P<name>[^，,。；;：:]{2,10}?)(?=[将將由从從]|[维維]持|重申|上[调調]|下[调調]|首予|首次|[给給]予|[调調][升降高低]|升|降|予|削)"
)
_SHARE_CLASS = re.compile("-(?:SW|W|S|B|R)(?![A-Za-z])")
_VERB_GRADE = re.compile(
    f"(?:{_KEEP}|{_UP}|{_DOWN})[^，,；;。目]{{0,12}}?{_GRADE}|{_GRADE}(?:[获獲遭被])?(?:{_UP}|{_DOWN}|{_KEEP})"
)
_NO_BROKER = re.compile(f"{_GRADE}|目[标標]|{_RATING_WORDS}")
_BROKER_TAIL = re.compile("[证證]券|[资資]本|[银銀]行|[国國]际|研究|金融")
_ABOUT_RATING = re.compile(
    f'{_GRADE}|目[标標]|[预預][测測]|首予|覆[盖蓋]|[“「『"](?:{_RATING_WORDS})|(?:{_KEEP})(?:{_RATING_WORDS})'
)
_HAS_GRADE = re.compile(_GRADE)
_TICKER = re.compile(r"[（(]\s*(?P<ticker>\d{4,6}(?:\.[A-Z]{2})?|[A-Z]{1,5}(?:\.[A-Z]{1,2})?)\s*[）)]")


@dataclass(slots=True)
class _State:
    """What has been said so far in the sentence."""

    broker: tuple[int, int, str, str] | None = None  # start, end, id, text
    subject: tuple[int, int, str, str] | None = None
    ticker: str = ""
    covered: re.Match[str] | None = None  # "首次覆盖X" whose rating may stand in a later clause
    claims: list[Claim] = field(default_factory=list)


def find(passage: Passage, lexicon: Lexicon) -> list[Claim]:
    """Rating actions and target changes of one Chinese sentence; as `ratings.find`."""
    text, start, end = passage.text, passage.start, passage.end
    if not rw.TRIGGER_ZH.search(text, start, end):
        return []
    if not _ABOUT_RATING.search(text, start, end):
        return []
    if rw.AGENCY_ZH.search(text, start, end) or _FORBIDDEN.search(text, start, end):
        return []
    state = _State()
    state.broker = _broker(passage, lexicon)
    position = start
    while position < end:
        mark = _CLAUSE.search(text, position, end)
        stop = mark.start() if mark else end
        if stop > position:
            _clause(passage, position, stop, state, lexicon)
        position = mark.end() if mark else end
    if state.covered is not None:
        _emit(
            passage, state, [state.covered.span()], ClaimType.RATING_ACTION, "ratings.zh_init", {},
            metric="rating", rating_action="Initiate", action_text=state.covered.group(),
        )  # fmt: skip
    return _numbered(_named_later(state.claims))


def _named_later(claims: list[Claim]) -> list[Claim]:
    """The claims with the share that only a later clause names: "被高盛调低至沽售，恒隆地产目标价6.3元"."""
    named = next((c for c in claims if c.subject_text), None)
    if named is None:
        return claims
    return [
        c if c.subject_text else replace(c, subject_text=named.subject_text, subject_id=named.subject_id)
        for c in claims
    ]  # fmt: skip


def _numbered(claims: list[Claim]) -> list[Claim]:
    """The claims with ``action_no``: one number for each house and share, a new one for a second rating of both."""
    numbers: dict[tuple[str, str], int] = {}
    rated: set[int] = set()
    count = 0
    found = []
    for claim in claims:
        key = (claim.broker_text, claim.subject_text)
        is_rating = claim.claim_type is ClaimType.RATING_ACTION
        if key not in numbers or (is_rating and numbers[key] in rated):
            count += 1
            numbers[key] = count
        if is_rating:
            rated.add(numbers[key])
        found.append(replace(claim, details={**claim.details, "action_no": numbers[key]}))
    return found


def _broker(passage: Passage, lexicon: Lexicon) -> tuple[int, int, str, str] | None:
    text, start, end = passage.text, passage.start, passage.end
    passive = _BROKER_PASSIVE.search(text, start, end)
    if passive is not None:
        return passive.start("name"), passive.end("name"), lexicon.broker(passive["name"]), passive["name"]
    for mention in passage.mentions:
        if mention.kind is MentionKind.BROKER and start <= mention.start < end:
            return mention.start, mention.end, mention.entity_id, mention.text
    head = _BROKER_HEAD.match(text, start, end)
    if head is None or _VERB.match(head["name"]) or _NO_BROKER.search(head["name"]):
        return None
    known = lexicon.broker(head["name"])
    is_named = known or head.end() > head.end("name") or _BROKER_TAIL.search(head["name"])
    if is_named or _acts_on_share(passage, head):
        return head.start("name"), head.end("name"), known, head["name"]
    return None


def _acts_on_share(passage: Passage, head: re.Match[str]) -> bool:
    """Whether a name no catalog has stands before a verb whose object is a share: "海港街维持腾讯…"."""
    verb = _VERB_OR_TO.match(passage.text, head.end("name"), passage.end)
    if verb is None or _NO_HOUSE.search(head["name"]):
        return False
    shares = [m for m in passage.mentions if m.kind is MentionKind.INSTRUMENT]
    if any(m.start < head.end("name") and head.start("name") < m.end for m in shares):
        return False
    return any(verb.end() <= m.start <= verb.end() + 2 for m in shares)


_VERB_OR_TO = re.compile(f"[将將把]|{_VERB.pattern}")
_NO_HOUSE = re.compile(
    "[该該][行股公]|公司|集[团團]|我们|我們|分析|[报報]告|机构|機構|券商|大行|市[场場]|同[时時]|因此|[并並]|其|今日|[周週]|日$|月|年|仍|[将將]|后$|後$|但"
)


def _clause(passage: Passage, start: int, stop: int, state: _State, lexicon: Lexicon) -> None:
    text = passage.text
    _find_subject(passage, start, stop, state, lexicon)
    verbs = list(_VERB.finditer(text, start, stop))
    _rating(passage, start, stop, verbs, state)
    for target in _TARGET.finditer(text, start, stop):
        _target(passage, start, stop, target, verbs, state)
        break


def _find_subject(passage: Passage, start: int, stop: int, state: _State, lexicon: Lexicon) -> None:
    text = passage.text
    begin = state.broker[1] if state.broker and start <= state.broker[1] <= stop else start
    found = (
        _SUBJECT.search(text, max(start, begin - 1), stop)
        or _SUBJECT_COVERED.search(text, start, stop)
        or _SUBJECT_MOVED.search(text, start, stop)
    )
    if found is not None and _NO_NAME.search(found["name"]):
        found = None  # "将目标价从…", "将评级由…"
    if found is None and state.subject is None:
        found = _SUBJECT_OWNER.match(text, start, stop)
        found = (
            None if found is not None and (_VERB.search(found["name"]) or _NO_OWNER.search(found["name"])) else found
        )
    passive = _SUBJECT_PASSIVE.match(text, start, stop)
    span: tuple[int, int] | None = None
    if passive is not None and state.broker and passive.end("name") < state.broker[0]:
        span = passive.span("name")
    elif found is not None and not re.fullmatch(
        f"(?:其|该股|該股|公司|集团|集團|(?:{_KEEP}|{_UP}|{_DOWN}|{_SET})|{_RATING_WORDS})+", found["name"]
    ):
        span = found.span("name")
    for mention in passage.mentions:
        if mention.kind is MentionKind.INSTRUMENT and start <= mention.start < stop:
            if span is None or span[0] <= mention.start < span[1]:
                tail = _SHARE_CLASS.match(text, mention.end, stop)
                last = tail.end() if tail else mention.end
                state.subject = (mention.start, last, mention.entity_id, text[mention.start : last])
                if span is None or span[1] <= mention.end:
                    break
                span = (mention.start, max(mention.end, span[1]))
            break
    else:
        if span is not None:
            head = _NAME_HEAD.match(text[span[0] : span[1]])
            first = span[0] + (head.end() if head else 0)
            name = _NAME_TAIL.sub("", text[first : span[1]])
            if len(name) > 1:
                state.subject = (first, first + len(name), lexicon.instrument(name), name)
    ticker = _TICKER.search(text, start, stop)
    if ticker is not None:
        state.ticker = ticker["ticker"]


def _rating(passage: Passage, start: int, stop: int, verbs: list[re.Match[str]], state: _State) -> None:
    text = passage.text
    new: re.Match[str] | None = None
    prior: re.Match[str] | None = None
    for found in _RATING.finditer(text, start, stop):
        head = text[max(start, found.start() - 8) : found.start()]
        is_quoted = found.start("rating") > found.start()
        if _BEFORE_PRIOR.search(head):
            prior = prior or found
            continue
        is_new = (
            _AFTER.match(text, found.end(), stop) is not None
            or _BEFORE_GRADE.search(head) is not None
            or (
                _BEFORE_NEW.search(head) is not None
                and (is_quoted or prior is not None or _has_grade(text, start, stop))
            )
            or (is_quoted and _has_grade(text, start, stop))
            or (is_quoted and bool(verbs) and verbs[0].start() < found.start())
            or re.search("首予|[续續]予|仍予|(?<![给給授])予$", head) is not None
            or _is_moved_to(text, found, stop, state, head)
            or _is_kept_alone(text, start, found, stop, state)
        )
        if is_new and new is None:
            new = found
    dropped = next((v for v in verbs if v.lastgroup == "REMOVE"), None)
    covered = next((v for v in verbs if v.lastgroup == "INIT" and "覆" in v.group()), None)
    is_bare = new is None and prior is None
    graded = _VERB_GRADE.search(text, start, stop) if is_bare and state.broker is not None else None
    if is_bare and dropped is None and graded is None:
        state.covered = covered or state.covered
        return
    until = new.start() if new else stop
    begin = prior.start() if prior else start
    before = [v for v in verbs if v.start() < until]
    between = [v for v in before if v.start() >= begin]
    strong = [v for v in before if v.lastgroup == "INIT"]
    verb = dropped or next(reversed([*before, *between, *strong]), None)
    klass = (verb.lastgroup or "") if verb else ""
    if state.covered is not None and klass in ("SET", ""):
        verb, klass = state.covered, "INIT"
        state.covered = None
    parts = [m.span() for m in (verb, new, prior) if m is not None]
    if new is not None:
        after = _AFTER.match(text, new.end(), stop)
        if after is not None:
            parts.append(after.span())
    elif graded is not None:
        parts.append(graded.span())
    details: dict[str, str | float | int | bool | None] = {}
    if new is not None:
        details |= {"rating_start": new.start("rating"), "rating_end": new.end("rating")}
    rating, old = new["rating"] if new else "", prior["rating"] if prior else ""
    _emit(
        passage, state, parts, ClaimType.RATING_ACTION, f"ratings.zh_{klass.lower() or 'statement'}", details,
        metric="rating", rating=rating, rating_prior=old, rating_action=_ACTION.get(klass, ""),
        action_text=verb.group() if verb else "",
    )  # fmt: skip


_MOVED_TO = re.compile("(?:[上下][调調]|[调調][升降高低]|[升降削])[至到为為]$")


def _is_moved_to(text: str, found: re.Match[str], stop: int, state: _State, head: str) -> bool:
    """Whether a house moves a share to the rating with which the clause ends: "被高盛调低至沽售"."""
    return state.broker is not None and found.end() == stop and _MOVED_TO.search(head) is not None


def _is_kept_alone(text: str, start: int, found: re.Match[str], stop: int, state: _State) -> bool:
    """Whether a clause is only "维持买入" beside a house or a target."""
    if found.end() < stop or not (state.broker or state.claims):
        return False
    return re.fullmatch(f"(?:并|並|及)?(?:{_KEEP}|首予)(?:其)?", text[start : found.start()]) is not None


def _has_grade(text: str, start: int, stop: int) -> bool:
    return _HAS_GRADE.search(text, start, stop) is not None


def _target(
    passage: Passage, start: int, stop: int, found: re.Match[str], verbs: list[re.Match[str]], state: _State
) -> None:
    text = passage.text
    is_price = bool(found["price"])
    subject = state.subject[3] if state.subject else ""
    is_index = targets.INDEX.search(subject) is not None or (
        not is_price and targets.INDEX.search(text, start, stop) is not None
    )
    if not is_price and not is_index:
        return
    new: re.Match[str] | None = None
    prior: re.Match[str] | None = None
    for number in _NUMBER.finditer(text, found.end(), stop):
        if (number["after"] or "x") in _NOT_MONEY or number["after"] in (
            "个月",
            "個月",
            "百分点",
            "百分點",
            "个百分点",
        ):
            continue
        if number["after"] and number["after"].startswith("."):
            continue
        head = text[max(found.end(), number.start() - 4) : number.start()].rstrip(" (（")
        if re.search("(?:[由从從自]|原(?:[为為先来來])?|前[值为為]?|此前)$", head):
            prior = prior or number
        elif new is None and (not head or re.search("[至到为為：:是达達看予持]$|[升降调調高低]$", head)):
            new = number
    if new is None and prior is None and not [v for v in verbs if v.lastgroup in ("UP", "DOWN", "KEEP")]:
        return
    limit = new.start() if new else stop
    near = [v for v in verbs if v.start() < limit and v.lastgroup in ("UP", "DOWN", "KEEP")]
    after = [v for v in near if v.start() >= found.end()]
    verb = next(reversed([*near, *after]), None)
    klass = _KLASS[verb.lastgroup or "SET"] if verb else ""
    value = old = tolerance = None
    currency = ""
    if prior is not None:
        old, currency, _ = _money(prior, state)
    if new is not None:
        value, mine, tolerance = _money(new, state)
        currency = mine or currency
    each = _each(passage, start, found, new, prior, stop)
    if each:
        _emit_each(passage, state, each, [m.span() for m in (found, verb) if m is not None], klass, verb)
        return
    action, is_conflict = targets.direction(klass, value, old)
    details: dict[str, str | float | int | bool | None] = {}
    if new is not None:
        details |= {"target_start": new.start(), "target_end": new.end()}
    _emit(
        passage, state, [m.span() for m in (found, verb, new, prior) if m is not None], ClaimType.TARGET_CHANGE,
        f"ratings.zh_target_{klass.lower() or 'stated'}", details,
        metric="index_target" if is_index and not currency else "target_price",
        value=value, value_prior=old, unit="points" if is_index and not currency else currency, currency=currency,
        tolerance=tolerance, target_action=action, action_text=verb.group() if verb else "", is_conflict=is_conflict,
    )  # fmt: skip


_JOINED = re.compile("和|及|[与與]|、|跟")
_EACH = re.compile("分[别別]|各自")
_Each = list[tuple[Mention, re.Match[str], re.Match[str] | None]]


def _each(
    passage: Passage, start: int, found: re.Match[str], new: re.Match[str] | None, prior: re.Match[str] | None,
    stop: int,
) -> _Each:  # fmt: skip
    """House, new and old number of "A和B分别将X目标价由4元和5元升至6元和7元"; empty unless each house has its own."""
    text = passage.text
    if new is None or _EACH.search(text, start, stop) is None:
        return []
    houses = [m for m in passage.mentions if m.kind is MentionKind.BROKER and start <= m.start < found.start()]
    for left, right in itertools.pairwise(houses):
        if _JOINED.fullmatch(text, left.end, right.start) is None:
            return []
    news, olds = _numbers_joined(text, new, stop), _numbers_joined(text, prior, stop)
    if len(houses) < 2 or len(news) != len(houses):
        return []
    old = olds if len(olds) == len(news) else [None] * len(news)
    return list(zip(houses, news, old, strict=True))


def _numbers_joined(text: str, first: re.Match[str] | None, stop: int) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    following = first
    while following is not None and len(found) < 8:
        found.append(following)
        joint = _JOINED.match(text, following.end(), stop)
        following = _NUMBER.match(text, joint.end(), stop) if joint else None
    return found


def _emit_each(
    passage: Passage, state: _State, each: _Each, parts: list[tuple[int, int]], klass: str, verb: re.Match[str] | None
) -> None:
    """One target for each house."""
    common = next((c for _, new, _ in reversed(each) if (c := _money(new, state)[1])), "")
    before = state.broker
    for house, new, prior in each:
        state.broker = house.start, house.end, house.entity_id, house.text
        value, currency, tolerance = _money(new, state)
        old = _money(prior, state)[0] if prior is not None else None
        currency = currency or common
        action, is_conflict = targets.direction(klass, value, old)
        spans = [*parts, new.span(), *([prior.span()] if prior is not None else [])]
        _emit(
            passage, state, spans, ClaimType.TARGET_CHANGE, f"ratings.zh_target_{klass.lower() or 'stated'}",
            {"target_start": new.start(), "target_end": new.end()},
            metric="target_price", value=value, value_prior=old, unit=currency, currency=currency,
            tolerance=tolerance, target_action=action, action_text=verb.group() if verb else "",
            is_conflict=is_conflict,
        )  # fmt: skip
    state.broker = before


def _money(number: re.Match[str], state: _State) -> tuple[float, str, float]:
    printed = number["digits"].replace(",", "").replace("，", "")
    decimals = len(printed.partition(".")[2])
    scale = {"万": 1e4, "萬": 1e4, "千": 1e3}.get(number["scale"] or "", 1.0)
    if number["after"] in ("仙", "港仙"):
        return float(printed) / 100, "HKD", 0.005 * 10.0**-decimals
    word = number["before"] or number["after"] or ""
    currency = _CURRENCY.get(word, "")
    if word == "元":
        # Hong Kong papers write a bare 元 for the dollar of their own market
        symbol = (state.subject[2] if state.subject else "") or state.ticker
        currency = "HKD" if symbol.endswith(".HK") else "CNY" if symbol.endswith((".SS", ".SZ")) else ""
    return float(printed) * scale, currency, 0.5 * 10.0**-decimals * scale


def _emit(
    passage: Passage,
    state: _State,
    parts: list[tuple[int, int]],
    kind: ClaimType,
    rule: str,
    details: dict[str, str | float | int | bool | None],
    **fields: object,
) -> None:
    context = passage.context
    spans = list(parts)
    broker_id, broker_text = context.broker_id, context.broker_text
    if state.broker is not None:
        broker_start, broker_end, broker_id, broker_text = state.broker
        spans.append((broker_start, broker_end))
        details |= {"broker_start": broker_start, "broker_end": broker_end}
    start, end = min(s for s, _ in spans), max(e for _, e in spans)
    subject_text = subject_id = ""
    if state.subject is not None:
        subject_text, subject_id = state.subject[3], state.subject[2]
    else:
        subject_text, subject_id = _subject_before(passage)
    ticker = state.ticker or context.ticker
    if ticker:
        details["ticker"] = ticker
    state.claims.append(
        Claim(
            claim_type=kind,
            rule_id=rule,
            start=start,
            end=end,
            quote=passage.text[start:end],
            subject_text=subject_text,
            subject_id=subject_id,
            source_kind=SourceKind.BROKER if broker_text else SourceKind.UNATTRIBUTED,
            broker_id=broker_id,
            broker_text=broker_text,
            analyst=context.analyst if state.broker is None else "",
            details=details,
            **fields,  # type: ignore[arg-type]
        )
    )


def _subject_before(passage: Passage) -> tuple[str, str]:
    before, steps = passage.previous, 0
    while before is not None and steps < 5:
        for mention in before.mentions:
            if mention.kind is MentionKind.INSTRUMENT:
                return mention.text, mention.entity_id
        before, steps = before.previous, steps + 1
    return "", ""
