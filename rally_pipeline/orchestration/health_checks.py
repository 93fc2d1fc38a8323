"""The standing checks: what is broken right now, and whether each mart is fresh, in sessions.

They stand on ``ops_health`` and on the marts, run every hour and with the marts, and are red for as long as something
is broken. None of them blocks: a mart that is behind because an upstream is down is still right about the days it has.

Belongs here: the shape of these checks. Does not belong here: what is broken (`health.py`).
As in the modules of assets, annotations are not postponed here: Dagster reads that of ``context``.
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from rally_pipeline.orchestration.evidence import names, records_table
from rally_pipeline.orchestration.resources import WORKSPACE, RunWorkspace

if TYPE_CHECKING:
    from rally_pipeline.health import Freshness

#: The asset that the standing check stands on.
HEALTH = dg.AssetKey(["ops_health"])
BROKEN, FRESH = "nothing_is_broken", "fresh_in_sessions"
#: Derived tables of which freshness can be told in sessions; a test holds it equal to what `health.py` says.
FRESH_TABLES = (
    "core_price_resolved_daily",
    "core_fx_usd_daily",
    "mart_index_performance_daily",
    "mart_leaderboard_daily",
    "mart_price_extremes_daily",
    "mart_price_since_event_daily",
    "mart_trading_volume_monthly",
    "mart_trading_volume_daily",
    "core_southbound_resolved_daily",
    "mart_southbound_daily",
    "mart_southbound_since_event",
    "mart_southbound_top_stocks_daily",
    "mart_hot_money_daily",
    "mart_rally_scoreboard",
)


def health_checks() -> dg.AssetChecksDefinition:
    """All of them, made by one step."""
    specs = [
        dg.AssetCheckSpec(
            BROKEN,
            asset=HEALTH,
            description="No source fails, no session is missing for long, no calendar is about to end.",
        ),
        *(
            dg.AssetCheckSpec(
                FRESH,
                asset=dg.AssetKey([table]),
                description="At most one session behind what is published, by each market's own calendar.",
            )
            for table in FRESH_TABLES
        ),
    ]

    @dg.multi_asset_check(
        name="check_health",
        specs=specs,
        can_subset=True,
        required_resource_keys={WORKSPACE},
        description="What is broken right now and since when.",
    )
    def check_health(context: dg.AssetCheckExecutionContext) -> Any:
        from rally_pipeline.health import current_problems, freshness, look

        run: RunWorkspace = context.resources.workspace
        workspace = run.workspace
        look(workspace)
        chosen = context.selected_asset_check_keys
        if dg.AssetCheckKey(HEALTH, BROKEN) in chosen:
            problems = [one for one in current_problems(workspace) if one.kind != "mart_behind"]
            errors = [one for one in problems if one.is_error]
            yield dg.AssetCheckResult(
                asset_key=HEALTH,
                check_name=BROKEN,
                passed=not problems,
                severity=dg.AssetCheckSeverity.ERROR if errors else dg.AssetCheckSeverity.WARN,
                description=names([one.message for one in problems], 3) if problems else "nothing is broken",
                metadata={
                    "problems": len(problems),
                    **(
                        {
                            "broken": records_table(
                                [
                                    {"what": p.kind, "subject": p.subject, "since": p.since, "message": p.message}
                                    for p in problems
                                ],
                                ("what", "subject", "since", "message"),
                            )
                        }
                        if problems
                        else {}
                    ),
                },
            )
        by_table: dict[str, list[Freshness]] = defaultdict(list)
        for one in freshness(workspace):
            by_table[one.table].append(one)
        for table in FRESH_TABLES:
            if dg.AssetCheckKey(dg.AssetKey([table]), FRESH) in chosen:
                yield _fresh(table, by_table[table])

    return check_health


def _fresh(table: str, found: "list[Freshness]") -> dg.AssetCheckResult:
    late = [one for one in found if not one.ok]
    rows = [
        {"market": f.market, "last": f.last_day, "published": f.expected_day, "sessions_behind": f.behind}
        for f in found
    ]
    text = names([f"{one.market} {one.behind} sessions behind ({one.last_day})" for one in late], 4)
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey([table]),
        check_name=FRESH,
        passed=not late,
        severity=dg.AssetCheckSeverity.ERROR,
        description=text or ("fresh" if found else "nothing in it yet"),
        metadata={
            "sessions_behind": max((one.behind for one in found), default=0),
            **({"markets": records_table(rows, ("market", "last", "published", "sessions_behind"))} if rows else {}),
        },
    )
