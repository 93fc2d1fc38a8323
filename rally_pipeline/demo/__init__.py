"""An offline upstream: wire-format answers of a small synthetic world pinned to published figures.

Belongs here: what the demo world looks like (`anchors.py`, `prices.py`, `fx.py`, `flows.py`) and the loopback server
that speaks the upstreams' formats (`server.py`). Does not belong here: parsing, or anything the live profile uses.
"""
