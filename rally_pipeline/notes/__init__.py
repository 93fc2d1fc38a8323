"""Documents in, audited-to-be claims out: readers to canonical text, lexicon, grammars, extraction.

Belongs here: everything that turns the bytes of a note into typed mentions and claims, as pure functions. Does not
belong here: the warehouse (`ingest.py`), or whether a claim is true (`audit/`).
"""
