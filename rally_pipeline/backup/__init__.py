"""Copies of a home from which it can be had again: the warehouse as it was at one moment, the archive, the catalog.

Belongs here: making, checking and restoring them. Does not belong here: building a warehouse from the archive alone
(`rebuild.py`), or what analysts read (`publish/`).
"""
