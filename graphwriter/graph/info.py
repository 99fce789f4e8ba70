"""Read-only facts of Neo4j and of the graph, for status, page, metrics and doctor.

Every function blocks for at most the graph's timeout, and raises as `Graph.read`.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from graphwriter.errors import BadEvent, ConfigError
from graphwriter.graph.client import Graph, statement
from graphwriter.keep import Keep

MOST = 200_000  # nodes that one query of doctor reads

LABELS = ("Post", "Message", "ForwardSource", "Author", "Link", "Media")
LINKS = (
    *("FORWARDED_FROM", "FORWARDED_FROM_POST", "REPLIES_TO", "AUTHOR_OF"),
    *("LINKS_TO", "HAS_MEDIA"),
)

# Types that other services may use, by the setting that makes them ours.
_KEPT = {"LINKS_TO": "links", "HAS_MEDIA": "media"}


def ours(keep: Keep) -> list[str]:
    """Return the types of links that are graphwriter's; the others are another service's."""
    return [kind for kind in LINKS if getattr(keep, _KEPT.get(kind, ""), True)]


class Version(NamedTuple):
    """Such as 2026.09.0 and community."""

    number: str
    edition: str


class DatabaseState(NamedTuple):
    """A database: such as read-write or read-only, online or offline, and the reason."""

    access: str
    status: str
    message: str


class Java(NamedTuple):
    """The server's Java: its garbage collectors, and its heap at first and at most in bytes."""

    collectors: list[str]
    first: int
    most: int


class Foreign(NamedTuple):
    """Posts of another service: how many, and how many of them have an address."""

    number: int
    ready: int


class RepeatedLinks(NamedTuple):
    """Posts with more than one link of a type: how many, and the post_id of one of them."""

    type: str
    posts: int
    example: str | None


def version(graph: Graph) -> Version:
    """Return the version of the server."""
    rows = graph.read(statement("version"))
    kernel = next(row for row in rows if row["name"] == "Neo4j Kernel")
    return Version(kernel["versions"][0], kernel["edition"])


def database_state(graph: Graph, database: str) -> DatabaseState | None:
    """Return the state of a database; None if the server does not list it for our user."""
    rows = graph.read(statement("database"), name=database.lower())
    if not rows:
        return None
    row = rows[0]
    return DatabaseState(row["access"], row["currentStatus"], row["statusMessage"] or "")


def clock_ahead(graph: Graph) -> float:
    """Return by how many seconds the server's clock is ahead of this machine's."""
    query = statement("clock")
    graph.read(query)  # plans the query, so that the next call takes no time
    start = time.time()
    now = graph.read(query)[0]["now"] / 1000
    return float(now - (start + time.time()) / 2)


def foreign(graph: Graph) -> Foreign:
    """Count the posts without the label Message."""
    return Foreign(**graph.read(statement("foreign"))[0])


def java(graph: Graph) -> Java | None:
    """Return the facts of the server's Java, or None where our user may not ask for them."""
    try:
        (row,) = graph.read(statement("java"))
    except (ConfigError, BadEvent):
        return None
    names = [name.partition("name=")[2].partition(",")[0] for name in row["names"]]
    return Java(names, row["first"], row["most"])


def repeated_links(graph: Graph) -> list[RepeatedLinks]:
    """Count the posts with more than one link of a type, among the first 200,000."""
    return [RepeatedLinks(**row) for row in graph.read(statement("repeated_links"), most=MOST)]


def bare_channels(graph: Graph) -> int:
    """Count messages with a bare channel id that exist with the marked id too, of 200,000."""
    return int(graph.read(statement("bare_channels"), most=MOST)[0]["number"])


def count(graph: Graph, kind: str) -> int:
    """Return how many nodes of a label, or links of a type, the graph has; `node`: all nodes."""
    return int(graph.read(statement(kind))[0]["number"])
