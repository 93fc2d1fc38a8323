"""Whether a statement is asserted, forecast, denied or supposed.

Belongs here: the words of the future, of denial and of condition, and how far back from a claim they count. Does not
belong here: who says it (`attribution.py`).
"""

from __future__ import annotations

import re

from rally_pipeline.notes.cues_zh import Cue
from rally_pipeline.notes.records import Claim, ClaimType, Passage

_CLAUSE = re.compile(
    r"[;:。；！？“”\"]| [–—] |(?<=,) (?:while|but|and|whereas|although|though|as|with|after) "
    r"| (?:while|whereas|after|as|because|since|before|when|although|that|but|until|which|who) ",
)
_LOOKS_AHEAD = re.compile(
    r"\b(?:will|would|could|might|may|should|expects?|expected|expecting|forecasts?|forecasted|predict(?:s|ed)?"
    r"|project(?:s|ed)|anticipate[sd]?|likely\ to|set\ to|poised\ to|on\ course\ to|is\ due\ to|going\ to|’ll|'ll"
    r"|see\ scope\ for|potential\ to|aims?\ to|plans?\ to|hopes?\ to)\b"
    r"|(?:预计|預計|预期|預期|预测|預測|料(?!理)|有望|或(?:将|將|会"
    r"|會|可)|或(?=[升涨漲跌降回反突见見达達上下重])|可能|将(?!近)|將(?!近)|望(?:升|涨|漲|达|達)|看至|上望"
    r"|估计|估計)"
)
_HAPPENED = re.compile(r"\bas expected\b|\bthan expected\b|-expected\b|\bexpected to (?:have|report)\b")
_DENIES = re.compile(
    r"\b(?:(?:did|was|were|is|are|has|have|had|do|does)(?:\ not|n[’']t)"
    r"|cannot|never|no\ (?:sign|evidence|indication)s?\ (?:of|that)"
    r"|denie[sd]|far\ from|rather\ than\ because|nor|hardly)\b|(?:没有"
    r"|沒有|并非|並非|并未|並未|未见|未見|否认|否認|不是|并不|並不)"
)
_SUPPOSES = re.compile(
    r"(?<!as )(?<!even )\b(?:[Ii]f|[Uu]nless|[Ss]uppose|[Aa]ssuming"
    r"|were\ to|would\ have|could\ have|[Ww]hat\ if|[Ss]hould\ the)\b"
    r"(?!\ not\b)|(?:如果|假如|倘若|若(?!干)|假设|假設|一旦)"
)


def stance_of(passage: Passage, claim: Claim, cue: Cue | None) -> str:
    """``asserts``, ``forecasts``, ``denies`` or ``hypothetical``; `cue` is the reporting phrase the claim takes."""
    if claim.stance != "asserts":
        return claim.stance
    text = passage.text
    start = passage.start
    for match in _CLAUSE.finditer(text, passage.start, claim.start):
        start = match.end()
    if cue is not None and cue.covers_after and start <= cue.start and cue.end <= claim.start:
        start = cue.end
    # A clause that began with the phrase's own verb: "Goldman expects" / "it expects".
    words = text[start : claim.end]
    sentence_before = text[passage.start : claim.end]
    if cue is not None and cue.is_denial and (cue.end <= claim.start):
        return "denies"
    if _SUPPOSES.search(words) or re.match(r"(?:If|Unless|Should|Were)\b[^,]*\Z", sentence_before):
        return "hypothetical"
    is_target = claim.claim_type in (ClaimType.RATING_ACTION, ClaimType.TARGET_CHANGE)
    if not is_target and claim.claim_type not in (ClaimType.SENTIMENT, ClaimType.POLICY, ClaimType.EVENT):
        before = text[max(start, claim.start - 60) : claim.end]
        if _DENIES.search(before):
            return "denies"
    if is_target:
        return "asserts"
    if cue is not None and cue.is_forecast and cue.end <= claim.start and start <= cue.end:
        return "forecasts"
    ahead = _LOOKS_AHEAD.search(words)
    if ahead is not None and not _HAPPENED.search(words):
        return "forecasts"
    return "asserts"
