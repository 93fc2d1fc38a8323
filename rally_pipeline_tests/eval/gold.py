"""Reads the labels, and the texts they belong to, into the records of `scoring.py`.

Belongs here: the wire format of the label files. Does not belong here: the rules of labelling (`README.md`) or scoring.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rally_pipeline_tests.eval.claim_scoring import GoldClaim, GoldWindow
from rally_pipeline_tests.eval.sameness import Span
from rally_pipeline_tests.eval.scoring import Amount, GoldAction

HERE = Path(__file__).parent
NOTES = Path(__file__).parents[2].parent / "shared" / "data" / "notes"
FILES = ("gold_headlines.jsonl", "gold_sentences.jsonl", "gold_own.jsonl")
#: Written by somebody who had not read the grammars; unseen when first scored (README), and no longer so since.
#: Scored apart from the others.
HOLDOUT = "holdout_own.jsonl"


class LabelError(Exception):
    """A label that does not belong to the text it names."""


@dataclass(frozen=True)
class Item:
    """A labelled text.

    Attributes:
        id, source, style: which text, where from, which kind.
        text, date, ticker: the text and what is known of it.
        is_rating: None = left open; meaningless if `has_actions` is false.
        has_actions, has_claims: which labels it carries.
        is_tip: whether a person alone signs the rating, no house.
    """

    id: str
    source: str
    style: str
    text: str
    date: dt.date | None
    ticker: str
    has_actions: bool
    is_tip: bool
    is_rating: bool | None
    actions: tuple[GoldAction, ...]
    has_claims: bool
    quantities: tuple[Amount, ...]
    claims: tuple[GoldClaim, ...]
    ignore: tuple[Span, ...]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


@cache
def _texts(name: str) -> Mapping[str, Mapping[str, Any]]:
    return {row["id"]: row for row in rows_of(NOTES / name)}


def load(name: str) -> list[Item]:
    """The labelled texts of one label file.

    Raises:
        LabelError: a text is missing or not the one that was labelled.
    """
    return [_item(row) for row in rows_of(HERE / name)]


def is_complete() -> bool:
    """Whether the texts that the labels point into are there."""
    return NOTES.is_dir()


def _item(row: Mapping[str, Any]) -> Item:
    source = row
    if "file" in row:
        texts = _texts(row["file"])
        if row["id"] not in texts:
            raise LabelError(f"{row['id']} is not in {row['file']}")
        source = texts[row["id"]]
        if hashlib.sha256(source["text"].encode()).hexdigest() != row["text_sha256"]:
            raise LabelError(f"{row['id']} in {row['file']} is not the text that was labelled")
    text = source["text"]
    return Item(
        id=row["id"],
        source=row["source"],
        style=row["style"],
        text=text,
        date=_day(source.get("date")),
        ticker=source.get("ticker") or "",
        has_actions="is_rating" in row,
        is_tip=any("speaker" in action for action in row.get("actions", ())),
        is_rating=row.get("is_rating"),
        actions=tuple(_action(text, action) for action in row.get("actions", ())),
        has_claims="claims" in row,
        quantities=tuple(
            Amount(_span(q["span"]), q["value"], q["kind"], q["currency"], q.get("optional", False))
            for q in row.get("quantities", ())
        ),
        claims=tuple(_claim(text, claim, row) for claim in row.get("claims", ())),
        ignore=tuple(_span(span) for span in row.get("ignore", ())),
    )


def _day(value: str | None) -> dt.date | None:
    return dt.date.fromisoformat(value) if value else None


def _span(value: list[int]) -> Span:
    return value[0], value[1]


def _answers(text: str, values: list[Any]) -> tuple[str, ...]:
    """Allowed answers: a span of the text, or words as they are."""
    return tuple(value if isinstance(value, str) else text[value[0] : value[1]] for value in values)


def _spans(values: list[Any]) -> tuple[Span, ...]:
    return tuple(_span(value) for value in values if not isinstance(value, str))


def _action(text: str, row: Mapping[str, Any]) -> GoldAction:
    return GoldAction(
        broker=_answers(text, row["broker"]),
        subject=_answers(text, row["subject"]),
        rating_action=tuple(row["rating_action"]),
        rating=_answers(text, row["rating"]),
        rating_prior=_answers(text, row["rating_prior"]),
        target_action=tuple(row["target_action"]),
        target=row["target"],
        target_prior=tuple(row["target_prior"]),
        currency=row["currency"],
    )


def _pair(values: list[str] | None) -> tuple[dt.date, dt.date] | None:
    return (dt.date.fromisoformat(values[0]), dt.date.fromisoformat(values[1])) if values else None


def _window(row: Mapping[str, Any]) -> GoldWindow:
    length, unit = row.get("length", (None, ""))
    return GoldWindow(
        spans=_spans(row["spans"]),
        kinds=tuple(row["kind"]),
        start=_pair(row.get("start")),
        start_within=_pair(row.get("start_within")),
        day=_day(row.get("day")),
        last=tuple(dt.date.fromisoformat(day) for day in row.get("last", ())),
        months=length if unit == "months" else None,
        days=length if unit == "days" else None,
    )


def _claim(text: str, row: Mapping[str, Any], whole: Mapping[str, Any]) -> GoldClaim:
    window = _window(row["window"]) if "window" in row else None
    source = row["source"] or {"kind": ""}
    value = row["value"]
    numbers = [
        _span(q["span"]) for q in whole["quantities"] if value is not None and abs(abs(value) - abs(q["value"])) < 1e-9
    ]
    return GoldClaim(
        types=tuple(row["type"]),
        subjects=_answers(text, row["subject"]),
        value=value,
        unit=row["unit"],
        direction=row.get("direction", ""),
        comparators=tuple(row.get("comparator", ())),
        as_of=_day(row.get("as_of")),
        window=window,
        source_kind=source["kind"],
        source_names=_answers(text, source.get("name", [])),
        anchors=(*_spans(row["subject"]), *numbers, *(window.spans if window else ())),
        is_optional=row.get("optional", False),
    )
