"""What analysts read, computed inside the warehouse from core facts: one module per mart.

Belongs here: definitions as SQLAlchemy selects, and when they are computed (`refresh.py`). Does not belong here:
declarations of columns (`schema/`), parsing, checks of incoming data.
"""

from rally_pipeline.marts.inputs import EVERYTHING, Derived, Inputs, Scope, current_inputs
from rally_pipeline.marts.refresh import DERIVED, Refreshed, mark_all_stale, mark_stale, refresh

__all__ = [
    "DERIVED",
    "EVERYTHING",
    "Derived",
    "Inputs",
    "Refreshed",
    "Scope",
    "current_inputs",
    "mark_all_stale",
    "mark_stale",
    "refresh",
]
