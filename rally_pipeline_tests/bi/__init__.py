"""What is tried with real BI tools, in environments of their own: `make test-bi`, not `make test`.

Belongs here: starting such a tool, and what it must show. Does not belong here: tests of the definitions themselves
(`unit/test_bi.py`).
"""
