"""What notes say about investors' positions, one statement a row.

Belongs here: which claims count. Does not belong here: how they are found (`notes/statements.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import Derived, Inputs, Scope, output
from rally_pipeline.schema import mart_ratings


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_positioning``: the believed claims of that type, repeats in the same note left out.

    A claim that a newer extractor no longer finds stays in core with the version that found it; only claims of the
    version that read the note last count.
    """
    claim, note, broker = inputs.note_claims_raw, inputs.notes_raw, inputs.brokers
    names = [c.name for c in mart_ratings.mart_positioning.columns if c.name != "broker_name"]
    columns = {
        **{name: claim.c[name] for name in names},
        "broker_name": sa.func.coalesce(broker.c.name, claim.c.broker_text),
    }
    return (
        sa.select(*output(mart_ratings.mart_positioning, columns))
        .select_from(
            claim.join(
                note,
                sa.and_(note.c.note_id == claim.c.note_id, note.c.extractor_version == claim.c.extractor_version),
            ).outerjoin(broker, broker.c.broker_id == claim.c.broker_id)
        )
        .where(claim.c.claim_type == "positioning", claim.c.repeat_of == "", scope.has_day(claim.c.as_of_date))
    )


POSITIONING = Derived(
    mart_ratings.mart_positioning, inputs=("core_note_claim", "core_note"), select=select, subject=None
)
