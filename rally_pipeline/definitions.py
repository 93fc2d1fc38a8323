"""The one door Dagster opens. Holds nothing but the call that builds the definitions."""

import dagster as dg

from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """All definitions, under the settings of the environment."""
    return build_definitions(load_settings())
