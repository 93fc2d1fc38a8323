"""What is handed to readers outside the warehouse: pages and files, written whole or not at all.

Belongs here: shaping and writing what is published. Does not belong here: computing it (`marts/`) or checking it
(`quality/`).
"""
