"""The Neo4j side: the only place that knows the driver. The statements are the .cypher files."""

from __future__ import annotations

from graphwriter.graph.client import Graph, connect
from graphwriter.graph.failures import Refused, Taken

__all__ = ["Graph", "Refused", "Taken", "connect"]
