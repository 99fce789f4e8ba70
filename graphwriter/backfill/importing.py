"""The tables of an offline load imported into the embedded Neo4j, with the constraints after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from graphwriter.backfill.offline import Load, arguments, expected
from graphwriter.embedded import Neo4j
from graphwriter.errors import ConfigError
from graphwriter.graph import Graph, info, schema

TIMEOUT = 3600.0  # seconds that a constraint may take: its index is filled first


class Imported(NamedTuple):
    """Seconds of the import, and of the start of the server, the constraints and the counts."""

    importing: float
    constraints: float


def import_tables(
    neo4j: Neo4j,
    directory: Path,
    load: Load,
    say: Callable[[str], None] = lambda _text: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Imported:
    """Import the tables in `directory`, create the constraints, and compare the counts.

    The server must not run. It is stopped again at the end.

    Raises:
        ConfigError: the database is not empty, or has not what the tables have.
        Unavailable: the import failed or was stopped, or the server does not start: run it again.
        NameTaken: a server uses the data.
    """
    check_empty(neo4j)
    mark = _mark(neo4j)
    neo4j.data.mkdir(parents=True, exist_ok=True)
    mark.touch()
    say("importing")
    start = time.monotonic()
    neo4j.admin(
        *("database", "import", "full", "neo4j", "--overwrite-destination=true"),
        *arguments(directory, load),
        stopping=stopping,
    )
    imported = time.monotonic()
    say("creating the constraints")
    with neo4j, Graph(neo4j.url, timeout=TIMEOUT) as graph:
        schema.apply(graph, load.keep)
        wrong = [
            f"{kind} {found:,} instead of {number:,}"
            for kind, number in expected(load).items()
            if (found := info.count(graph, kind)) != number
        ]
    if wrong:
        raise ConfigError(
            f"the database differs from the tables in {directory}: {', '.join(wrong)}"
        )
    mark.unlink(missing_ok=True)
    return Imported(round(imported - start, 3), round(time.monotonic() - imported, 3))


def check_empty(neo4j: Neo4j) -> None:
    """Raise ConfigError if the database has nodes. Starts and stops the server to count them.

    What an import that was stopped has left counts as empty.
    """
    if not neo4j.has_database or _mark(neo4j).exists():
        return
    with neo4j, Graph(neo4j.url) as graph:
        refuse_nodes(graph, f"{neo4j.data}")


def refuse_nodes(graph: Graph, place: str) -> None:
    """Raise ConfigError if the graph has a node."""
    if number := info.count(graph, "node"):
        raise ConfigError(
            f"the database of {place} has {number:,} nodes: an offline load needs an empty one; "
            "without --offline a backfill writes to any"
        )


def _mark(neo4j: Neo4j) -> Path:
    """The file that is there from the start of an import to its end."""
    return neo4j.data / "importing"
