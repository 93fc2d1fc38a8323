"""What the gate says of one payload: each expectation's result.

Belongs here: the record that asset checks, the quality report and ``ops_quality_result`` share. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rally_pipeline.sources.base import Dataset, Severity


@dataclass(frozen=True)
class QualityResult:
    """One expectation on one payload.

    Attributes:
        rule: its name, stable, the same as of its asset check.
        dataset: which rows it was about.
        severity: *error* refuses the payload, *quarantine* sets the rows aside, *warn* records.
        is_success: whether it was met.
        row_count: rows checked.
        unexpected_count: rows that did not meet it (1 for a rule about the payload as a whole).
        observed: what was seen, in JSON types.
        examples: the first rows that did not meet it, in JSON types, each with its ``locator``.
    """

    rule: str
    dataset: Dataset
    severity: Severity
    is_success: bool
    row_count: int
    unexpected_count: int = 0
    observed: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class RuleInfo:
    """What an expectation is, for people and for the asset check of the same name.

    Attributes:
        rule: stable snake_case name.
        dataset: which rows it is about.
        severity: what follows where it is not met.
        is_batch: whether it is about the payload as a whole rather than about rows.
        description: one sentence: what must hold.
        is_baseline: whether it follows from the table's declaration.
    """

    rule: str
    dataset: Dataset
    severity: Severity
    is_batch: bool
    description: str
    is_baseline: bool
