"""Metrics and the status page over HTTP, read-only, from a process beside the workers.

`refresh` reads the state again and again, `metrics` and `page` show it, `site` serves both.
"""
