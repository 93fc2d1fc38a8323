"""The warehouse: engines, bulk load, merge by version, as-of reads, schema version."""
