"""The report: a static site that opens from disk, needs no network, and says of every number what day it is of.

Belongs here: pages, each a module that shapes what it shows from the warehouse, and how they are drawn and written.
Does not belong here: any computation of the figures themselves (`marts/`, `audit/`), the report on quality
(`quality_report.py`) or the drawing of lineage (`lineage/drawing.py`).
"""

from __future__ import annotations

from rally_pipeline.publish.site.writer import write_site

__all__ = ["write_site"]
