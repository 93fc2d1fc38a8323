"""A result in one line, and as JSON.

Belongs here: wording and encoding. Does not belong here: how a verdict is reached.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from rally_pipeline.audit.verdict import REASONS, SUSPECTED_UNIT_ERROR, AuditResult, Evidence, Verdict
from rally_pipeline.notes.records import Claim, ClaimType, Comparator

_SCALES = ((1e12, " tn"), (1e9, " bn"), (1e6, " mn"))
_MONEY_UNITS = ("HKD", "USD", "CNY", "EUR", "JPY", "GBP", "$")


def explain(claim: Claim, result: AuditResult) -> str:
    """One line: ``^HSI 2024-12-31 → 2025-02-14: +12.76 %, stated 13 ± 0.5; confirmed``."""
    subject = claim.subject_id or claim.subject_text or "subject unknown"
    parts = [f"{subject}{_days(result)}"]
    figures = _figures(claim, result)
    text = parts[0] + (f": {figures}" if figures else "")
    verdict = result.verdict.value.replace("_", " ")
    days = ""
    if result.verdict is Verdict.WINDOW_DECIDES and result.observed_dates:
        days = f" ({', '.join(map(str, result.observed_dates))})"
    why = "" if result.verdict in (Verdict.CONFIRMED, Verdict.CONTRADICTED) else f" – {REASONS[result.reason]}"
    slip = " Off by ten: suspected unit error." if result.suspicion == SUSPECTED_UNIT_ERROR else ""
    return f"{text}; {verdict}{days}{why}{slip}"


def _days(result: AuditResult) -> str:
    days = [part.split("=", 1)[1] for e in result.evidence for part in _date_keys(str(e["key"]))]
    plain = sorted({day for day in days if ".." not in day})
    if not plain:
        return ""
    return f" {plain[0]}" if len(plain) == 1 else f" {plain[0]} → {plain[-1]}"


def _date_keys(key: str) -> list[str]:
    return [part for part in key.split(", ") if part.startswith("session_date=")]


def _figures(claim: Claim, result: AuditResult) -> str:
    if result.observed is None:
        return _stated(claim)
    is_flow = claim.claim_type in (ClaimType.FLOW, ClaimType.FLOW_COMPARISON)
    unit = claim.unit or ("HKD" if is_flow else "")
    shown = figure(result.observed, unit, signed=claim.claim_type is ClaimType.PERFORMANCE)
    if claim.comparator is Comparator.COMPARABLE_TO:
        return f"{result.observed:.2f} times the best window it is compared with"
    if claim.claim_type is ClaimType.RANK:
        return f"place {result.observed:.0f}"
    return f"{shown}, {_stated(claim)}" if _stated(claim) else shown


def _stated(claim: Claim) -> str:
    if claim.value is None:
        words = {
            Comparator.HIGHEST_IN_WINDOW: "stated as the highest",
            Comparator.LOWEST_IN_WINDOW: "stated as the lowest",
            Comparator.NEAR_HIGHEST: "stated as near the highest",
            Comparator.NEAR_LOWEST: "stated as near the lowest",
        }
        return words.get(claim.comparator, "")
    how = {Comparator.APPROX: "about ", Comparator.AT_LEAST: "at least ", Comparator.AT_MOST: "at most "}
    hedge = f"{claim.hedge} " if claim.hedge else how.get(claim.comparator, "")
    value = figure(claim.value, claim.unit)
    is_exact = claim.comparator is Comparator.EQ and not claim.hedge and claim.tolerance
    return f"stated {hedge}{value}" + (f" ± {figure(claim.tolerance or 0.0, claim.unit)}" if is_exact else "")


def figure(value: float, unit: str, *, signed: bool = False) -> str:
    """A number for people: ``+12.76 %``, ``HKD 26.6 bn``, ``22,620.33``."""
    sign = "+" if signed and value > 0 else "-" if value < 0 else ""
    size = abs(value)
    if unit in ("pct", "pp"):
        return f"{sign}{size:.2f} %".replace(".00 %", " %")
    if unit in _MONEY_UNITS and size >= 1e6:
        scale, word = next((s, w) for s, w in _SCALES if size >= s)
        return f"{unit} {sign}{size / scale:,.2f}{word}"
    number = f"{size:,.2f}"
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return f"{unit} {sign}{number}" if unit in _MONEY_UNITS else f"{sign}{number}"


def evidence_json(evidence: Sequence[Evidence]) -> str:
    """Evidence as a JSON list; a number that is none becomes null."""
    clean = [
        {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
        for row in evidence
    ]
    return json.dumps(clean, ensure_ascii=False)
