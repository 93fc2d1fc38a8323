"""Sources of southbound flows against each other, totals against their channels, brokers' periods against the days.

Belongs here: what is compared with what, tolerances, suspected causes. Does not belong here: which figure is believed
(`southbound_resolved.py`), checks of a single payload (`quality/`).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.index_performance import _units_per_usd
from rally_pipeline.marts.inputs import Derived, Inputs, Scope, by_code_point, in_hkd, in_mn, output, to_hkd, year_start
from rally_pipeline.marts.southbound_resolved import SOUTHBOUND, figures
from rally_pipeline.schema import core_flows, mart_flows, table_info

#: What is compared, by the name it has in a figure.
_MEASURES = ("net_buy", "turnover")
#: A difference up to one HK$ mn is none.
_TOLERANCE_HKD_MN = 1.0
_TOLERANCE_OF_DAY = 0.005
_TOLERANCE_OF_PERIOD = 0.01
#: Calendar days in which the session before surely lies.
_SESSION_BEFORE_DAYS = 31
_TENFOLD, _TENFOLD_TOLERANCE = (10.0, 0.1, 100.0, 0.01), 0.02
_CURRENCY_TOLERANCE = 0.03

_FACTORS = {"abs": 1e-6, "thousand": 1e-3, "million": 1.0, "100m": 100.0, "billion": 1000.0}
_PERIODS = {"mon_fri": "broker_week", "mtd": "broker_month", "ytd": "broker_ytd"}
_METRICS = {"net_flow": "net_buy", "cum_ytd": "net_buy", "turnover": "turnover", "daily_avg": "net_buy_avg"}
#: Counterpart of a broker's period, source of a missing session, and counterpart of one.
RESOLVED, ANY, CALENDAR = "resolved", "any", "calendar"


def _figures(inputs: Inputs, scope: Scope) -> sa.CTE:
    """Figures of every source in the scope, with whether they repeat those of the source's session before, and whether
    they were restated.
    """
    raw = figures(inputs, scope, _SESSION_BEFORE_DAYS).subquery("raw_figure")
    before: dict[str, Any] = {"partition_by": (raw.c.channel, raw.c.source), "order_by": raw.c.session_date}

    def lag(name: str) -> sa.ColumnElement[Any]:
        return sa.func.lag(raw.c[name], type_=raw.c[name].type).over(**before).label(f"{name}_before")

    lagged = sa.select(*raw.c, *(lag(name) for name in ("session_no", *_MEASURES))).subquery("lagged")
    closed = inputs.southbound_closed
    is_restated = sa.exists().where(
        closed.c.channel == lagged.c.channel,
        closed.c.session_date == lagged.c.session_date,
        closed.c.source == lagged.c.source,
    )
    is_repeat = sa.and_(
        lagged.c.session_no_before == lagged.c.session_no - 1,
        *(lagged.c[name].is_not_distinct_from(lagged.c[f"{name}_before"]) for name in _MEASURES),
    )
    return (
        sa.select(
            *(lagged.c[name] for name in ("channel", "session_date", "source", *_MEASURES)),
            sa.case((is_repeat, 1), else_=0).label("is_repeat"),
            sa.case((is_restated, 1), else_=0).label("is_restated"),
        )
        .where(scope.has_day(lagged.c.session_date))
        .cte("figure")
        .prefix_with("MATERIALIZED")
    )


def _text(value: str, length: int = 60) -> sa.ColumnElement[Any]:
    return sa.literal(value, sa.String(length))


def _number(value: float) -> sa.ColumnElement[Any]:
    return sa.cast(sa.literal(value, sa.Double), sa.Double)


def _row(
    subject: Any, channel: Any, measure: Any, start: Any, end: Any, source: Any, against_source: Any, value: Any,
    against: Any, *, tolerance: float = _TOLERANCE_OF_DAY, is_repeat: Any = None, is_restated: Any = None,
    is_missing: Any = None,
) -> list[sa.ColumnElement[Any]]:  # fmt: skip
    """One comparison, in the columns that all kinds of them have."""
    no = sa.literal(0, sa.Integer)

    def flag(given: Any) -> Any:
        return no if given is None else given

    return [
        subject.label("subject"),
        channel.label("channel"),
        measure.label("measure"),
        start.label("period_start"),
        end.label("period_end"),
        source.label("source"),
        against_source.label("against_source"),
        value.label("value"),
        against.label("against"),
        _number(tolerance).label("tolerance"),
        flag(is_repeat).label("is_repeat"),
        flag(is_restated).label("is_restated"),
        flag(is_missing).label("is_missing"),
    ]


def _days(inputs: Inputs, figure: sa.CTE, measure: str) -> sa.Select[Any]:
    """Each source against the believed one, where either has the figure."""
    believed, of_believed = inputs.southbound.alias("believed"), figure.alias(f"{measure}_of_believed")
    value, against = figure.c[measure], believed.c[f"{measure}_hkd_mn"]
    is_restated = sa.or_(figure.c.is_restated == 1, of_believed.c.is_restated == 1)
    return (
        sa.select(
            *_row(
                *(_text("southbound"), figure.c.channel, _text(measure), figure.c.session_date, figure.c.session_date),
                *(figure.c.source, believed.c.source, value, against),
                is_repeat=figure.c.is_repeat,
                is_restated=sa.case((is_restated, 1), else_=0),
            )
        )
        .select_from(
            figure.join(
                believed,
                sa.and_(believed.c.channel == figure.c.channel, believed.c.session_date == figure.c.session_date),
            ).outerjoin(
                of_believed,
                sa.and_(
                    of_believed.c.channel == believed.c.channel,
                    of_believed.c.session_date == believed.c.session_date,
                    of_believed.c.source == believed.c.source,
                ),
            )
        )
        .where(figure.c.source != believed.c.source, sa.or_(value.is_not(None), against.is_not(None)))
    )


def _sums(figure: sa.CTE, measure: str) -> sa.Select[Any]:
    """The total a source prints against the sum of its channels, where it has all three."""

    def of(channel: str, name: str) -> sa.ColumnElement[Any]:
        return sa.func.max(sa.case((figure.c.channel == channel, figure.c[name])))

    day = (
        sa.select(
            figure.c.session_date,
            figure.c.source,
            of("total", measure).label("printed"),
            of("sse", measure).label("sse"),
            of("szse", measure).label("szse"),
            of("total", "is_repeat").label("is_repeat"),
            of("total", "is_restated").label("is_restated"),
        )
        .group_by(figure.c.session_date, figure.c.source)
        .subquery(f"{measure}_of_source")
    )
    return sa.select(
        *_row(
            *(_text("southbound_sum"), _text("total"), _text(measure), day.c.session_date, day.c.session_date),
            *(day.c.source, day.c.source, day.c.printed, to_hkd(day.c.sse + day.c.szse)),
            is_repeat=day.c.is_repeat,
            is_restated=day.c.is_restated,
        )
    ).where(day.c.printed.is_not(None), day.c.sse.is_not(None), day.c.szse.is_not(None))


def _missing(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """Southbound sessions between the first and the latest one with figures that have none."""
    session, believed, known = inputs.sessions.alias("session"), inputs.southbound, inputs.southbound.alias("known")
    has_figures = sa.exists().where(
        known.c.channel.in_(core_flows.CHANNELS), known.c.session_date == session.c.session_date
    )
    first = sa.select(sa.func.min(believed.c.session_date)).scalar_subquery()
    latest = sa.select(sa.func.max(believed.c.session_date)).scalar_subquery()
    nothing = sa.cast(sa.null(), sa.Double)
    return sa.select(
        *_row(
            *(_text("southbound"), _text("total"), _text("net_buy"), session.c.session_date, session.c.session_date),
            *(_text(ANY), _text(CALENDAR), nothing, nothing),
            is_missing=sa.literal(1, sa.Integer),
        )
    ).where(
        session.c.market == SOUTHBOUND,
        session.c.session_date >= first,
        session.c.session_date <= latest,
        scope.has_day(session.c.session_date),
        ~has_figures,
    )


def _periods(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """What brokers print for a period against the believed days of it; of several figures of a broker for the same
    thing the first in order of table, fund style, market and source.
    """
    raw, closed = inputs.broker_flows_raw, inputs.broker_flows_closed
    key = table_info(core_flows.core_broker_flow).natural_key
    is_cumulative = raw.c.metric == "cum_ytd"
    subject = sa.case((is_cumulative, "broker_ytd"), else_=sa.case(_PERIODS, value=raw.c.period_basis))
    start = sa.case((is_cumulative, year_start(raw.c.period_end)), else_=raw.c.period_start)
    measure = sa.case(_METRICS, value=raw.c.metric)
    printed = (
        sa.select(
            subject.label("subject"),
            raw.c.channel,
            measure.label("measure"),
            start.label("period_start"),
            raw.c.period_end,
            raw.c.broker,
            to_hkd(raw.c.value * sa.case(_FACTORS, value=raw.c.unit)).label("value"),
            sa.case((sa.exists().where(*(closed.c[k] == raw.c[k] for k in key)), 1), else_=0).label("is_restated"),
            sa.func.row_number(type_=sa.Integer())
            .over(
                partition_by=(subject, raw.c.channel, measure, start, raw.c.period_end, raw.c.broker),
                order_by=(
                    sa.case((is_cumulative, 1), else_=0),
                    # A correction stands for what it corrects, the latest one first.
                    sa.case((raw.c.revision_of == "", 1), else_=0),
                    raw.c.known_from_at.desc(),
                    *(
                        by_code_point(raw.c[k])
                        for k in ("period_basis", "style", "market", "dimension_value", "source")
                    ),
                    raw.c.period_start,
                ),
            )
            .label("place"),
        )
        .where(
            raw.c.flow_family == "southbound",
            raw.c.dimension == "total",
            raw.c.currency == "HKD",
            raw.c.channel.in_(core_flows.CHANNELS),
            raw.c.unit.in_(_FACTORS),
            raw.c.metric.in_(_METRICS),
            sa.or_(is_cumulative, raw.c.period_basis.in_(_PERIODS)),
            scope.has_day(raw.c.period_end),
        )
        .cte("printed")
        .prefix_with("MATERIALIZED")
    )
    session, believed = inputs.sessions.alias("session_of_period"), inputs.southbound.alias("day_of_period")
    value = sa.case((printed.c.measure == "turnover", believed.c.turnover_hkd_mn), else_=believed.c.net_buy_hkd_mn)
    divisor = sa.case((printed.c.measure == "net_buy_avg", sa.func.count()), else_=1)
    total = in_mn(sa.func.sum(in_hkd(value))) / sa.cast(divisor, sa.Double)
    against = (
        sa.select(sa.case((sa.func.count(value) == sa.func.count(), total)))
        .select_from(
            session.outerjoin(
                believed,
                sa.and_(believed.c.channel == printed.c.channel, believed.c.session_date == session.c.session_date),
            )
        )
        .where(
            session.c.market == SOUTHBOUND,
            session.c.session_date.between(printed.c.period_start, printed.c.period_end),
        )
        .correlate(printed)
        .scalar_subquery()
    )
    period = sa.select(*printed.c, against.label("against")).where(printed.c.place == 1).subquery("period")
    return sa.select(
        *_row(
            *(period.c.subject, period.c.channel, period.c.measure, period.c.period_start, period.c.period_end),
            *(period.c.broker, _text(RESOLVED), period.c.value, period.c.against),
            tolerance=_TOLERANCE_OF_PERIOD,
            is_restated=period.c.is_restated,
            is_missing=sa.case((period.c.against.is_(None), 1), else_=0),
        )
    )


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``ops_reconciliation``. A break is a difference of more than HK$ 1 mn and more than 0.5 % of the counterpart (1 %
    for a broker's period), or a figure that stands alone. The first cause that fits is the one suspected.
    """
    figure = _figures(inputs, scope)
    one = sa.union_all(
        *(_days(inputs, figure, measure) for measure in _MEASURES),
        *(_sums(figure, measure) for measure in _MEASURES),
        _missing(inputs, scope),
        _periods(inputs, scope),
    ).subquery("comparison")
    difference = to_hkd(one.c.value - one.c.against)
    beyond = sa.and_(
        sa.func.abs(difference) > _TOLERANCE_HKD_MN,
        sa.func.abs(difference) > one.c.tolerance * sa.func.abs(one.c.against),
    )
    rated: Any = one
    units = []
    for currency in ("HKD", "CNY"):
        rate, on_rate, found = _units_per_usd(
            inputs, sa.literal(currency, sa.String(3)), one.c.period_end, f"{currency.lower()}_rate"
        )
        rated = rated.outerjoin(rate, on_rate)
        units.append(found)
    ratio = one.c.value / sa.func.nullif(one.c.against, 0.0)
    cross = units[0] / units[1]

    def near(number: Any, target: Any, tolerance: float) -> sa.ColumnElement[bool]:
        return sa.func.abs(number / target - 1.0) <= tolerance

    is_break = sa.func.coalesce(beyond, sa.true())
    cause = sa.case(
        (sa.not_(is_break), "none"),
        (sa.or_(*(near(ratio, target, _TENFOLD_TOLERANCE) for target in _TENFOLD)), "unit_tenfold"),
        (
            sa.or_(near(ratio, cross, _CURRENCY_TOLERANCE), near(ratio * cross, 1.0, _CURRENCY_TOLERANCE)),
            "currency",
        ),
        (one.c.is_repeat == 1, "stale_repeat"),
        (one.c.is_restated == 1, "restatement"),
        (one.c.is_missing == 1, "missing_session"),
        else_="unknown",
    )
    columns = {
        **{
            name: one.c[name]
            for name in ("subject", "channel", "measure", "period_start", "period_end", "source", "against_source")
        },
        "value_hkd_mn": one.c.value,
        "against_hkd_mn": one.c.against,
        "difference_hkd_mn": difference,
        "difference_pct": difference / sa.func.nullif(sa.func.abs(one.c.against), 0.0) * 100.0,
        "is_break": is_break,
        "suspected_cause": cause,
    }
    return sa.select(*output(mart_flows.ops_reconciliation, columns)).select_from(rated)


def _after_last_figures(connection: sa.Connection, start: dt.date) -> dt.date:
    """A session counts as missing once a later one has figures, so what changed on ``start`` may concern every session
    since the last one with figures before it.
    """
    believed = core_flows.core_southbound_resolved_daily
    last = connection.scalar(sa.select(sa.func.max(believed.c.session_date)).where(believed.c.session_date < start))
    return dt.date.min if last is None else last + dt.timedelta(days=1)


RECONCILIATION = Derived(
    mart_flows.ops_reconciliation,
    inputs=(
        "core_southbound_flow_daily",
        "core_southbound_resolved_daily",
        "core_broker_flow",
        "core_fx_usd_daily",
    ),
    select=select,
    subject=None,
    reach=_after_last_figures,
)
