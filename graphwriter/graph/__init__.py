"""Neo4j: the only room that knows the driver. All statements are in `cypher/`.

`batch` lays events out as rows, `write` writes them, `client` is the connection; `schema`, `posts`,
`scan` and `duplicates` serve verify and adoption, `info` has read-only facts.
"""

from __future__ import annotations

from graphwriter.graph.client import Graph, connect
from graphwriter.graph.failures import Refused, Taken

__all__ = ["Graph", "Refused", "Taken", "connect"]
