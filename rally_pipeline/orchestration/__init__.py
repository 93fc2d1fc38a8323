"""The only room that imports Dagster: assets, partitions, jobs, the instance, and running them from the command line.

Belongs here: what Dagster must be told. Does not belong here: any step of the work itself (`ingest.py`, `marts/`).
Asset modules do without ``from __future__ import annotations``: Dagster reads the annotations of their functions.
"""
