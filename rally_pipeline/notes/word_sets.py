"""Sets of words, written as they are read.

Belongs here: the helper with which grammars declare their words. Does not belong here: any words.
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a blank-separated list."""
    return frozenset(text.split())
