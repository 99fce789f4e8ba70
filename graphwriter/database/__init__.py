"""The PostgreSQL side: the only place that knows psycopg. The default query is posts.sql."""

from __future__ import annotations

from graphwriter.database.posts import Database, Part, Row
from graphwriter.database.query import Selection

__all__ = ["Database", "Part", "Row", "Selection"]
