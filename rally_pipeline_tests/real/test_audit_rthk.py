"""Claims found in a broadcaster's articles, against recorded index closes: nothing true is contradicted.

The articles are days' market reports of 2024. What they say of indices whose history is recorded is confirmed or
abstained from; each verdict *contradicted* is printed with its sentence, and those that stand are listed here with the
reason they do.
"""

from __future__ import annotations

import collections
import datetime as dt
import email.utils
import functools
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from rally_pipeline.audit import AuditResult, Verdict, audit_claims
from rally_pipeline.audit.texts import explain
from rally_pipeline.marts import mark_all_stale, refresh
from rally_pipeline.notes.records import AsOfBasis, CanonicalText, Claim, ClaimType, NoteContext, ReadNote
from rally_pipeline.schema import metadata
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline.warehouse.reference import sync_reference
from rally_pipeline_tests import oracle
from rally_pipeline_tests.audited import reference

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PRICES, NOTES = DATA / "prices", DATA / "notes"
FIRST, LAST = dt.date(2021, 1, 1), dt.date(2024, 12, 31)
#: Contradicted, and why that stands.
EXPLAINED = {
    "S&P 500 lost a fifth of a percent, to end at 5,468": "The first print; the official close was 5,464.62.",
}
_CLOSES = {"HSI": "^HSI", "HSTECH": "HSTECH.HK", "CSI300": "000300.SS"}

pytestmark = pytest.mark.skipif(
    not (NOTES / "docs_rthk.jsonl").is_file(), reason=f"recorded articles not there: {NOTES.name}"
)


def _rows() -> list[oracle.Row]:
    catalog, _ = reference()
    closes: dict[str, list[tuple[dt.date, dict[str, float]]]] = {}
    for name, symbol in _CLOSES.items():
        found = json.loads((PRICES / f"{name}_close_val_to_2024.json").read_text())
        closes[symbol] = [
            (dt.date.fromisoformat(day), {"close": float(close)})
            for day, close in zip(found["dates"], found["close"], strict=True)
            if close is not None
        ]
    for symbol, file, skip in (
        ("^GDAXI", "GDAXI_yahoo_to_2024.csv", None),
        ("^GSPC", "SPX_yahoo_3row_header_2010_2024.csv", [1, 2]),
    ):
        frame = pd.read_csv(PRICES / file, skiprows=skip).rename(columns={"Price": "Date"})
        closes[symbol] = [
            (
                dt.date.fromisoformat(row["Date"][:10]),
                {n.lower(): float(row[n]) for n in ("Open", "High", "Low", "Close")},
            )
            for row in frame.to_dict("records")
        ]
    return [
        oracle.price_row(symbol, day, "file", bar.pop("close"), catalog.instruments[symbol].currency, **bar)
        for symbol, bars in closes.items()
        for day, bar in bars
        if FIRST <= day <= LAST
    ]


@functools.cache
def _articles() -> tuple[tuple[str, ReadNote, NoteContext], ...]:
    made = []
    for line in (NOTES / "docs_rthk.jsonl").read_text().splitlines():
        row = json.loads(line)
        day = email.utils.parsedate_to_datetime(row["published"]).date()
        note = ReadNote("", CanonicalText(f"{row['title']}\n\n{row['body']}\n"), "jsonl", row["title"])
        made.append((row["id"], note, NoteContext(day, AsOfBasis.DOCUMENT_DATE, newspaper="RTHK")))
    return tuple(made)


def _claims() -> list[tuple[str, Claim, str]]:
    from rally_pipeline.notes.extract import extract_note
    from rally_pipeline.notes.lexicon import Lexicon

    catalog, _ = reference()
    lexicon = Lexicon.from_catalog(catalog)
    return [
        (f"{name}:{one.claim_id}", one.claim, note.canonical.text)
        for name, note, context in _articles()
        for one in extract_note(note, context, lexicon, document=name).claims
    ]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Claim, AuditResult, str]]:
    catalog, calendars = reference()
    warehouse = open_warehouse(f"sqlite:///{tmp_path_factory.mktemp('rthk') / 'warehouse.sqlite'}")
    with warehouse.write() as connection:
        metadata.create_all(connection)
        sync_reference(connection, catalog, calendars, force=True)
        connection.execute(sa.insert(metadata.tables["core_price_daily"]), _rows())
        mark_all_stale(connection)
        refresh(connection)
    claims = _claims()
    with warehouse.read() as connection:
        found = audit_claims(connection, calendars, catalog, [(name, claim) for name, claim, _ in claims], today=LAST)
    warehouse.engine.dispose()
    return [(claim, result, text) for (_, claim, text), result in zip(claims, found, strict=True)]


def _line(claim: Claim, result: AuditResult, text: str) -> str:
    start = text.rfind("\n", 0, claim.start) + 1
    end = text.find("\n", claim.end)
    window = claim.window and f"{claim.window.kind.value} {claim.window.start_earliest}"
    where = f"{claim.as_of_date} {claim.as_of_basis} {claim.timing} {window}"
    return f"{explain(claim, result)}\n    {claim.rule_id} [{claim.quote}] {where}\n    {text[start:end]}"


def _numeric(audited: list[Any]) -> list[tuple[Claim, AuditResult, str]]:
    return [a for a in audited if a[0].subject_id in (*_CLOSES.values(), "^GDAXI", "^GSPC")]


def test_index_claims_are_confirmed_or_abstained_from(audited: list[tuple[Claim, AuditResult, str]]) -> None:
    found = _numeric(audited)
    for kind in (ClaimType.PERFORMANCE, ClaimType.LEVEL, ClaimType.EXTREME):
        told = collections.Counter((r.verdict.value, r.reason.value) for c, r, _ in found if c.claim_type is kind)
        print(kind.value, dict(told))
    contradicted = [a for a in found if a[1].verdict is Verdict.CONTRADICTED]
    for claim, result, text in contradicted:
        print("CONTRADICTED", _line(claim, result, text))
    confirmed = sum(r.verdict is Verdict.CONFIRMED for _, r, _ in found)
    assert confirmed > 300
    assert {claim.quote for claim, _, _ in contradicted} <= set(EXPLAINED)
