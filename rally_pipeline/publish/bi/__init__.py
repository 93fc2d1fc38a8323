"""Definitions for BI tools, made from the declarations of the tables.

Belongs here: what a tool is told about the marts: names, descriptions, units, formats, metrics, charts, connections.
Does not belong here: the tables (`schema/`), their rows (`marts/`) or a copy of them for a tool.
"""
