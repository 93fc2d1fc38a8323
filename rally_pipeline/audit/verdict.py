"""What an audit says: the verdicts, the reasons with their descriptions, and the record of a result.

Belongs here: words and records. Does not belong here: how a verdict is reached (`judge.py` and the module of each kind
of claim) or kept (`store.py`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

Evidence = dict[str, str | float | None]


class Verdict(StrEnum):
    """What the warehouse says of a claim."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    WINDOW_DECIDES = "window_decides"
    NOT_CHECKABLE = "not_checkable"


class Reason(StrEnum):
    """Why a verdict is what it is; `REASONS` describes each."""

    # confirmed
    IN_BAND = "in_band"
    TURNING_POINT = "turning_point"
    # contradicted
    OUT_OF_BAND = "out_of_band"
    # window_decides
    START_DECIDES = "start_decides"
    DAY_DECIDES = "day_decides"
    EARLIER_DAY = "earlier_day"
    LENGTH_DECIDES = "length_decides"
    MEASURE_DECIDES = "measure_decides"
    # not_checkable: what is claimed
    QUALITATIVE = "qualitative"
    FORECAST = "forecast"
    NOT_ASSERTED = "not_asserted"
    METRIC_UNDEFINED = "metric_undefined"
    UNIT_MISMATCH = "unit_mismatch"
    # not_checkable: of what, and when
    NO_INSTRUMENT = "no_instrument"
    PROXY_SUBJECT = "proxy_subject"
    NO_WINDOW = "no_window"
    WINDOW_UNKNOWN = "window_unknown"
    AMBIGUOUS_DAY = "ambiguous_day"
    FUTURE = "future"
    CALENDAR_UNKNOWN = "calendar_unknown"
    # not_checkable: what the warehouse keeps
    NO_DATA = "no_data"
    STALE_DATA = "stale_data"
    INSUFFICIENT_HISTORY = "insufficient_history"
    PARTIAL_PERIOD = "partial_period"
    INTRADAY_NOT_KEPT = "intraday_not_kept"
    INTRADAY_POSSIBLE = "intraday_possible"
    ROUNDING = "rounding"
    SPLIT_IN_WINDOW = "split_in_window"


#: One sentence on each reason, for people and for the data dictionary.
REASONS: dict[Reason, str] = {
    Reason.IN_BAND: "Every reading of the words gives a figure inside the band of what is stated.",
    Reason.TURNING_POINT: "The start is vague, and counted from the turning point in it the figure is as stated.",
    Reason.OUT_OF_BAND: "No reading of the words gives a figure inside the band of what is stated.",
    Reason.START_DECIDES: "Some of the start days that the words allow give the stated figure, others do not.",
    Reason.DAY_DECIDES: "Not on the day of the note, but on a day next to it that the words allow.",
    Reason.EARLIER_DAY: "Not on the note's day, but the precise figure or the extreme is of a day in the week before.",
    Reason.LENGTH_DECIDES: "Not for the full length stated, but for one that rounds to it.",
    Reason.MEASURE_DECIDES: "True by one of the measures that the words allow, not by the other.",
    Reason.QUALITATIVE: "No number to check, or a statement about something that is not in the warehouse by nature.",
    Reason.FORECAST: "About what is still to come.",
    Reason.NOT_ASSERTED: "Denied, supposed or told of others, not asserted.",
    Reason.METRIC_UNDEFINED: "What is measured has no definition here, or the words leave open which one.",
    Reason.UNIT_MISMATCH: "The unit or currency is not one in which this is measured.",
    Reason.NO_INSTRUMENT: "Not about an instrument or flow of the catalog.",
    Reason.PROXY_SUBJECT: "About something wider than the instrument that stands for it, which did not move so.",
    Reason.NO_WINDOW: "The words do not say over which time, and the note's day does not settle it.",
    Reason.WINDOW_UNKNOWN: "The time named cannot be turned into days, or was taken from other words and does not fit.",
    Reason.AMBIGUOUS_DAY: "The day spoken of is not known, only guessed from the file, or no session.",
    Reason.FUTURE: "The day lies after the last one about which anything is known.",
    Reason.CALENDAR_UNKNOWN: "The market's calendar does not reach the day.",
    Reason.NO_DATA: "The warehouse has no figures for this instrument and these days.",
    Reason.STALE_DATA: "The warehouse has not yet been given the figures of that day.",
    Reason.INSUFFICIENT_HISTORY: "True as far as the warehouse looks back, but it does not look back far enough.",
    Reason.PARTIAL_PERIOD: "The period was not over, and what was known of it does not settle the claim.",
    Reason.INTRADAY_NOT_KEPT: "About a moment during the session; only the day's open, high, low and close are kept.",
    Reason.INTRADAY_POSSIBLE: "Closes do not bear it out, but a moment between them may: the words do not say when.",
    Reason.ROUNDING: "Off by no more than rounding a rounded figure once more explains.",
    Reason.SPLIT_IN_WINDOW: "A share split lies in the window, so closes before and after it cannot be compared.",
}

SUSPECTED_UNIT_ERROR = "suspected_unit_error"


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """What the warehouse says of one claim.

    Attributes:
        claim_id: the claim.
        verdict, reason: what, and why.
        expected_low, expected_high: band of figures that bear the claim out, signed, in `unit`; ``None`` = open.
        observed: figure of the first reading (day of the note, most natural start), in `unit`.
        observed_low, observed_high: least and greatest figure over all readings that were looked at.
        observed_dates: days that satisfy it, ascending: as-of days; where the start decides, start days.
        evidence: rows that were used: ``table``, ``key`` (``column=value`` joined by ``, ``), ``column``, ``value``.
        suspicion: ``suspected_unit_error`` or empty.
        unit: of the figures above, as in the claim.
        data_known_at: since when the latest of the rows looked at is known, UTC; ``None`` = no rows.
        data_until: last market date that was looked at.
        subjects: symbols and flow channels it rests on: ``^HSI``, ``southbound:total``, ``fx:HKD``.
    """

    claim_id: str
    verdict: Verdict
    reason: Reason
    expected_low: float | None = None
    expected_high: float | None = None
    observed: float | None = None
    observed_low: float | None = None
    observed_high: float | None = None
    observed_dates: tuple[dt.date, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    suspicion: str = ""
    unit: str = ""
    data_known_at: dt.datetime | None = None
    data_until: dt.date | None = None
    subjects: tuple[str, ...] = ()
