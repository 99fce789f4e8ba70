"""What Neo4j tells of itself and of what is in the graph, for `doctor`: it changes nothing.

Every function blocks for at most the graph's timeout, and raises its errors.
"""

from __future__ import annotations

import time
from typing import LiteralString, NamedTuple

from graphwriter.graph.client import Graph

MOST = 200_000  # posts that are looked at for links that are there twice

_FOREIGN: LiteralString = """
MATCH (p:Post) WHERE NOT p:Message
RETURN count(p) AS number, count(CASE WHEN p.post_id IS NOT NULL
  AND p.tg_channel_id IS NOT NULL AND p.telegram_message_id IS NOT NULL THEN 1 END) AS ready
"""
_DOUBLED: LiteralString = """
MATCH (p:Post) WITH p LIMIT $most
WITH p.post_id AS post, [
  ['FORWARDED_FROM', count {(p)-[:FORWARDED_FROM]->()}],
  ['FORWARDED_FROM_POST', count {(p)-[:FORWARDED_FROM_POST]->()}],
  ['REPLIES_TO', count {(p)-[:REPLIES_TO]->()}],
  ['AUTHOR_OF', count {(p)<-[:AUTHOR_OF]-()}]
] AS links
UNWIND links AS link
WITH post, link WHERE link[1] > 1
RETURN link[0] AS type, count(*) AS posts, min(post) AS example ORDER BY type
"""
_DATABASE: LiteralString = """
SHOW DATABASES YIELD name, aliases, access, currentStatus, requestedStatus, statusMessage
WHERE name = $name OR $name IN aliases
"""
_BARE: LiteralString = """
MATCH (m:Message) WHERE m.tg_channel_id > 0 WITH m LIMIT $most
WHERE EXISTS { (:Message {tg_channel_id: -1000000000000 - m.tg_channel_id,
  telegram_message_id: m.telegram_message_id}) }
RETURN count(m) AS number
"""


LABELS = ("Post", "Message", "ForwardSource", "Author")
# From Neo4j's count store, which has these numbers ready; each is planned in no time.
COUNTS: dict[str, LiteralString] = {
    "Post": "MATCH (n:Post) RETURN count(n) AS number",
    "Message": "MATCH (n:Message) RETURN count(n) AS number",
    "ForwardSource": "MATCH (n:ForwardSource) RETURN count(n) AS number",
    "Author": "MATCH (n:Author) RETURN count(n) AS number",
    "FORWARDED_FROM": "MATCH ()-[r:FORWARDED_FROM]->() RETURN count(r) AS number",
    "FORWARDED_FROM_POST": "MATCH ()-[r:FORWARDED_FROM_POST]->() RETURN count(r) AS number",
    "REPLIES_TO": "MATCH ()-[r:REPLIES_TO]->() RETURN count(r) AS number",
    "AUTHOR_OF": "MATCH ()-[r:AUTHOR_OF]->() RETURN count(r) AS number",
}


class Version(NamedTuple):
    """Such as 2026.09.0 and community."""

    number: str
    edition: str


class State(NamedTuple):
    """A database: such as read-write or read-only, online or offline, and why."""

    access: str
    status: str
    message: str


class Foreign(NamedTuple):
    """Posts that another service made: how many, and how many of them carry an address."""

    number: int
    ready: int


class Doubled(NamedTuple):
    """Posts with more than one relationship of a type, and the post_id of one of them."""

    type: str
    posts: int
    example: str | None


def version(graph: Graph) -> Version:
    """Return what the server is."""
    rows = graph.read("CALL dbms.components() YIELD name, versions, edition")
    kernel = next(row for row in rows if row["name"] == "Neo4j Kernel")
    return Version(kernel["versions"][0], kernel["edition"])


def state(graph: Graph, database: str) -> State | None:
    """Return how a database is; None where the server does not list it for us."""
    rows = graph.read(_DATABASE, name=database.lower())
    if not rows:
        return None
    row = rows[0]
    return State(row["access"], row["currentStatus"], row["statusMessage"] or "")


def probe(graph: Graph) -> None:
    """Return if the database takes writes: makes a node, and rolls it back; no trace is left."""
    graph.check(writes=True)


def ahead(graph: Graph) -> float:
    """Return by how many seconds the server's clock is ahead of ours."""
    query: LiteralString = "RETURN datetime.realtime().epochMillis AS now"
    graph.read(query)  # planned now, so that the next one takes no time
    start = time.time()
    now = graph.read(query)[0]["now"] / 1000
    return float(now - (start + time.time()) / 2)


def foreign(graph: Graph) -> Foreign:
    """Count the posts without the label Message."""
    return Foreign(**graph.read(_FOREIGN)[0])


def doubled(graph: Graph) -> list[Doubled]:
    """Count the posts with a link too many, among the first 200,000."""
    return [Doubled(**row) for row in graph.read(_DOUBLED, most=MOST)]


def bare(graph: Graph) -> int:
    """Count the messages of a bare channel id beside that of the marked one, of the first 200,000.

    A positive id is a private chat's, so most graphs have none.
    """
    return int(graph.read(_BARE, most=MOST)[0]["number"])
