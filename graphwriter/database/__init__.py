"""PostgreSQL: the only room that imports psycopg. The default query is in posts.sql."""

from __future__ import annotations

from graphwriter.database.posts import Database, Part, Row
from graphwriter.database.query import Selection

__all__ = ["Database", "Part", "Row", "Selection"]
