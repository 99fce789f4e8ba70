"""Real servers started from wheels and jars, for the demo, the tests and the bench.

Each listens on 127.0.0.1 only, and exits with the process that started it, however that exits. The
optional packages are imported when a server is started.
"""

from __future__ import annotations

from graphwriter.embedded.neo4j import Neo4j
from graphwriter.embedded.postgres import Postgres
from graphwriter.embedded.service import Service
from graphwriter.embedded.valkey import Valkey

__all__ = ["Neo4j", "Postgres", "Service", "Valkey"]
