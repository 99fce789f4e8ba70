"""The constraints that the graph needs, and how to bring a database to them."""

from __future__ import annotations

from typing import Any, LiteralString

from graphwriter.errors import ConfigError
from graphwriter.graph.client import Graph, statement
from graphwriter.graph.failures import Refused

# Uniqueness constraints only: Community has no node keys. (label, properties) by name.
CONSTRAINTS: dict[str, tuple[LiteralString, tuple[LiteralString, ...]]] = {
    "graphwriter_message": ("Message", ("tg_channel_id", "telegram_message_id")),
    "graphwriter_post_id": ("Post", ("post_id",)),
    "graphwriter_source": ("ForwardSource", ("source_id", "source_type")),
    "graphwriter_author": ("Author", ("author_id", "author_type")),
}


def missing(graph: Graph) -> list[str]:
    """Return the names of the constraints that the database lacks, whatever theirs are called."""
    there = {
        (row["labelsOrTypes"][0], tuple(sorted(row["properties"])))
        for row in graph.read("SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties, entityType")
        if row["entityType"] == "NODE" and row["type"] in _UNIQUE
    }
    return [
        name
        for name, (label, properties) in CONSTRAINTS.items()
        if (label, tuple(sorted(properties))) not in there
    ]


_UNIQUE = ("UNIQUENESS", "NODE_PROPERTY_UNIQUENESS", "NODE_KEY")


def apply(graph: Graph) -> list[str]:
    """Create the constraints that are missing, and return their names.

    Safe to call from any number of workers at once, and again.

    Raises:
        ConfigError: there are duplicates already, and the message has the query that shows them, or
            an index or a name stands in the way, and it has the statement that drops it.
        Unavailable: Neo4j does not answer.
    """
    created = missing(graph)
    for name in created:
        label, properties = CONSTRAINTS[name]
        keys = ", ".join(f"n.{key}" for key in properties)
        try:
            graph.run(
                f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE ({keys}) IS UNIQUE"
            )
        except Refused as error:
            raise _blocked(graph, name, error.message) from None
    # Nothing to wait for: a constraint is there when its index is full. Waiting all the same is a
    # transaction, and another worker's constraint waits for those to end.
    for name in missing(graph) if created else ():
        raise _blocked(graph, name, "something else has its name")
    return created


def _blocked(graph: Graph, name: str, said: str) -> ConfigError:
    if found := obstacles(graph, name):
        way = f"First {', '.join(f'`{one}`' for one in found)}, then `graphwriter schema apply`"
    else:
        way = (
            "`graphwriter verify graph --repair` merges what is there twice. To see it: "
            f"{duplicates(name)}"
        )
    return ConfigError(f"the constraint {name} cannot be made: {said}. {way}")


def obstacles(graph: Graph, name: str) -> list[str]:
    """Return the statements that drop what else than duplicates keeps a constraint from being made.

    That is a plain index on the same properties, or something else of the same name.
    """
    label, properties = CONSTRAINTS[name]
    drops = [
        f"DROP INDEX {row['name']}"
        for row in graph.read(
            "SHOW INDEXES YIELD name, type, labelsOrTypes, properties, owningConstraint"
        )
        if row["owningConstraint"] is None
        and (
            row["name"] == name
            or (row["type"], row["labelsOrTypes"], row["properties"])
            == ("RANGE", [label], [*properties])
        )
    ]
    return drops + [
        f"DROP CONSTRAINT {name}"
        for row in graph.read("SHOW CONSTRAINTS YIELD name")
        if row["name"] == name
    ]


def duplicates(name: str) -> LiteralString:
    """Return the query that shows the nodes which constraint `name` would forbid."""
    label, properties = CONSTRAINTS[name]
    keys = ", ".join(f"n.{key} AS {key}" for key in properties)
    there = " AND ".join(f"n.{key} IS NOT NULL" for key in properties)
    return (
        f"MATCH (n:{label}) WHERE {there} WITH {keys}, count(*) AS times WHERE times > 1 "
        f"RETURN * ORDER BY times DESC LIMIT 20"
    )


def adopt(graph: Graph, page: int = 1000) -> tuple[int, int]:
    """Adopt the posts of another service that carry an address, `page` at a time.

    A `(:Post {post_id})` without the label Message is adopted if it has both `tg_channel_id` and
    `telegram_message_id`. The others are adopted when an event for their post_id arrives.

    Returns how many were adopted, and how many are left for later.
    """
    adopted, after = 0, ""
    adopting = statement("adopt")
    while found := graph.read(_FOREIGN, page=page, after=after):
        after = found[-1]["post_id"]  # those that cannot be adopted are not met again
        claims = sorted(
            ([row["post_id"], row["channel"], row["message"]] for row in found), key=_key
        )
        adopted += graph.mend(adopting, claims=claims)[0]["adopted"]
    return adopted, unadopted(graph)


def unadopted(graph: Graph) -> int:
    """Return how many posts of another service have no address yet."""
    return int(graph.rows(_LEFT)[0][0])


def _key(claim: list[Any]) -> tuple[Any, ...]:
    return claim[1], claim[2]  # the order of locks


_FOREIGN: LiteralString = """
MATCH (p:Post)
WHERE p.post_id > $after AND NOT p:Message
  AND p.tg_channel_id IS NOT NULL AND p.telegram_message_id IS NOT NULL
RETURN p.post_id AS post_id, p.tg_channel_id AS channel, p.telegram_message_id AS message
ORDER BY post_id LIMIT $page
"""
_LEFT: LiteralString = "MATCH (p:Post) WHERE NOT p:Message RETURN count(p) AS left"
