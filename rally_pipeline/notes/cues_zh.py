"""Reporting phrases of a Chinese sentence, and the record of a phrase in either language.

Belongs here: `Cue`, and 表示, 指出, 据…数据 and the like. Does not belong here: English phrases (`cues.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rally_pipeline.notes.records import Passage
from rally_pipeline.notes.speakers import Source, SourceType, mentions_near
from rally_pipeline.notes.speakers_zh import source_after_chinese, source_before_chinese


@dataclass(frozen=True, slots=True)
class Cue:
    """A reporting phrase.

    Attributes:
        source: who.
        start, end: the phrase, verb and name.
        covers_before, covers_after: on which side of it its words can stand.
        is_forecast: the verb itself looks ahead ("expects").
        is_denial: the verb itself denies ("denied").
        is_attribution: a phrase such as "according to", which also covers a sentence it interrupts.
        is_action: a house does something ("raised its target"); what prices did is not its word then.
    """

    source: Source
    start: int
    end: int
    covers_before: bool
    covers_after: bool
    is_forecast: bool = False
    is_denial: bool = False
    is_attribution: bool = False
    is_action: bool = False


_VERB_CHINESE = re.compile(
    r"(?P<speech>表示|指出|认为|認為|坦言|补充称|補充稱|补充|補充|直言"
    r"|强调|強調|写道|寫道|提到|透露|称(?![为作号呼])|稱(?![為作號呼])"
    r"|(?<![如据據传傳])说(?!明|法|服)|(?<![如據传傳])說(?!明|法|服)"
    r"|显示|顯示|提醒|警告|分析称|分析稱"
    r"|解释|解釋|(?<=[行示师師员員者人家\u4e00-\u9fff])指(?=[，,：:出]"
    r"|[\u4e00-\u9fff])(?!数|數|标|標|引|定|期|令|导|導|示|向|责|責"
    r"|望|出现))"
    r"|(?P<ahead>预计|預計|预期|預期|预测|預測|料(?!理)|估计|估計)"
    r"|(?P<denial>否认|否認|驳斥|駁斥)"
    r"|(?P<action>上调|上調|下调|下調|调高|調高|调低|調低|维持|維持|重申|将|將|把|给予|給予)"
)
_PHRASE_CHINESE = re.compile(
    r"(?:根据|根據|(?<![数數根])(?:据|據)|援引|引述|引用|来自|來自|按照|数据来源[:：]|資料來源[:：])"
)
_PHRASE_CHINESE_END = re.compile(r"[^，,。；;]{0,30}(?:[，,]|显示|顯示|称|稱|表示|指出)")


def chinese_cues(passage: Passage) -> list[Cue]:
    """The reporting phrases of a Chinese sentence in order of `start`, their sources as printed."""
    text, cues = passage.text, list[Cue]()
    for match in _PHRASE_CHINESE.finditer(text, passage.start, passage.end):
        source = source_after_chinese(passage, match.end(), passage.end)
        if source is None:
            continue
        stop = _PHRASE_CHINESE_END.match(text, source.end, passage.end)
        end = stop.end() if stop else source.end
        cues.append(Cue(source, match.start(), end, covers_before=False, covers_after=True, is_attribution=True))
    taken = passage.start
    for match in _VERB_CHINESE.finditer(text, passage.start, passage.end):
        if match.start() < taken or any(cue.start <= match.start() < cue.end for cue in cues if cue.is_attribution):
            continue
        if any(
            m.start < match.end() and match.start() < m.end
            for m in mentions_near(passage, match.start() - 8, match.end() + 8)
        ):
            # 恒指 holds a verb but is a name.
            continue
        kind = str(match.lastgroup)
        source = source_before_chinese(passage, taken, match.start())
        if source is None or (kind != "speech" and source.type is SourceType.GENERIC):
            continue
        if kind == "action" and source.type is not SourceType.HOUSE:
            continue
        if source.type is SourceType.PERSON and not source.role and kind != "speech" and not source.broker_text:
            continue
        if match.group() == "指" and source.type is SourceType.PERSON and not (source.role or source.broker_text):
            continue
        before = text[max(passage.start, source.start - 12) : source.start].rstrip(" ，,")
        at_end = passage.end - match.end() < 8 and not text[match.end() : passage.end].strip(' 。．.」』”"')
        is_postposed = bool(before) and (before[-1] in '”」』"' or at_end)
        cues.append(
            Cue(
                source,
                source.start,
                match.end(),
                covers_before=is_postposed,
                covers_after=not at_end,
                is_forecast=kind == "ahead",
                is_denial=kind == "denial",
            )
        )
        taken = match.end()
    return sorted(cues, key=lambda cue: cue.start)
