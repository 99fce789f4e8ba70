"""The constraints that the graph needs, indexes for questions, the adoption of foreign posts."""

from __future__ import annotations

import logging
import time
from typing import Any, LiteralString

from graphwriter.backoff import Backoff
from graphwriter.errors import ConfigError
from graphwriter.graph import info
from graphwriter.graph.client import Graph, statement
from graphwriter.graph.failures import Refused
from graphwriter.keep import NOTHING, Keep

log = logging.getLogger("graphwriter")

# Uniqueness constraints only: Community has no node keys. (label, properties) by name. Labels
# cannot be parameters, so the statements about one constraint are built here.
CONSTRAINTS: dict[str, tuple[LiteralString, tuple[LiteralString, ...]]] = {
    "graphwriter_message": ("Message", ("tg_channel_id", "telegram_message_id")),
    "graphwriter_post_id": ("Post", ("post_id",)),
    "graphwriter_source": ("ForwardSource", ("source_id", "source_type")),
    "graphwriter_author": ("Author", ("author_id", "author_type")),
    "graphwriter_link": ("Link", ("url",)),
    "graphwriter_media": ("Media", ("sha256",)),
}
# Those that only workers with this setting need: other services may use these labels.
_OPTIONAL = {"graphwriter_link": "links", "graphwriter_media": "media"}
ALBUM = "graphwriter_album"  # an index: the parts of an album

# Indexes that only questions use, so that they cost nothing until somebody wants them. They are
# looked for by these names.
READING: dict[str, LiteralString] = {
    "graphwriter_url": "FOR (p:Post) ON (p.telegram_post_url)",
    "graphwriter_content": "FOR (p:Post) ON (p.content_hash)",
}
FULLTEXT = "graphwriter_text"


def needed(keep: Keep) -> list[str]:
    """Return the names of the constraints for what the graph keeps."""
    return [name for name in CONSTRAINTS if getattr(keep, _OPTIONAL.get(name, ""), True)]


def missing(graph: Graph, keep: Keep = NOTHING) -> list[str]:
    """Return the names of the missing constraints; existing ones may have other names."""
    existing = {
        (row["labelsOrTypes"][0], tuple(sorted(row["properties"])))
        for row in graph.read(statement("constraints"))
        if row["entityType"] == "NODE" and row["type"] in _UNIQUE
    }
    return [
        name
        for name in needed(keep)
        if (CONSTRAINTS[name][0], tuple(sorted(CONSTRAINTS[name][1]))) not in existing
    ]


# Seconds that an index may be there without its constraint, and that we try in all.
HALF_MADE, LONGEST = 3.0, 20.0
_UNIQUE = ("UNIQUENESS", "NODE_PROPERTY_UNIQUENESS", "NODE_KEY")


def apply(graph: Graph, keep: Keep = NOTHING) -> list[str]:
    """Create the constraints that are missing, and the index of albums if they are kept.

    Returns the names of what was created.

    Idempotent, and safe to call from any number of workers at the same time.

    Raises:
        ConfigError: duplicates exist, and the message has the query that shows them; or an index or
            a name blocks the constraint, and the message has the statement that drops it.
        Unavailable: Neo4j does not answer.
    """
    created = missing(graph, keep)
    for name in created:
        _create(graph, name)
    # No need to wait: a constraint exists when its index is populated. Waiting would be a
    # transaction, and another worker's constraint waits for transactions to end.
    for name in missing(graph, keep) if created else ():
        raise _blocked(graph, name, "something else has this name")
    if keep.albums and ALBUM not in reading(graph):
        graph.run(
            f"CREATE INDEX {ALBUM} IF NOT EXISTS FOR (p:Post) ON (p.tg_channel_id, p.grouped_id)"
        )
        created.append(ALBUM)
    return created


def _create(graph: Graph, name: str) -> None:
    """Create a constraint, also where its index is there without it.

    Neo4j makes the index first. Until the constraint follows, everybody else is told that the name
    is in use. An attempt that was cut may leave the index for ever: it is dropped after a while.
    """
    label, properties = CONSTRAINTS[name]
    keys = ", ".join(f"n.{key}" for key in properties)
    query: LiteralString = (
        f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE ({keys}) IS UNIQUE"
    )
    backoff = Backoff(0.1, 1.0)
    start = since = time.monotonic()
    while True:
        try:
            graph.run(query)
        except Refused as error:
            state = _half_made(graph, name)
            if state is None or time.monotonic() > start + LONGEST:
                raise _blocked(graph, name, error.message) from None
            if state != "POPULATING" and time.monotonic() > since + HALF_MADE:
                log.warning("dropping the index %s, which has no constraint", name)
                graph.run(f"DROP INDEX {name} IF EXISTS")
                since = time.monotonic()
            time.sleep(backoff.next())
        else:
            return


def _half_made(graph: Graph, name: str) -> str | None:
    """Return the state of an index that has all of a constraint but the constraint, or None."""
    label, properties = CONSTRAINTS[name]
    for row in graph.read(statement("indexes")):
        own = (row["name"], row["type"], row["labelsOrTypes"], row["properties"])
        if own == (name, "RANGE", [label], [*properties]) and row["owningConstraint"] is None:
            return str(row["state"])
    return None


def reading(graph: Graph) -> set[str]:
    """Return the names of the existing indexes for questions."""
    names = {row["name"] for row in graph.read(statement("indexes"))}
    return names & {*READING, FULLTEXT, ALBUM}


def has(graph: Graph, name: str) -> bool:
    """Return whether an index for questions exists; a found one is not looked for again."""
    if name not in graph.indexes:
        graph.indexes |= reading(graph)
    return name in graph.indexes


def apply_reading(graph: Graph) -> list[str]:
    """Create the missing indexes of URLs and of content hashes, and return their names.

    Returns at once: Neo4j fills them in the background. Idempotent. Raises as `Graph.run`.
    """
    created = sorted(READING.keys() - reading(graph))
    for name in created:
        graph.run(f"CREATE INDEX {name} IF NOT EXISTS {READING[name]}")
    return created


def apply_fulltext(graph: Graph, analyzer: str) -> list[str]:
    """Create the full-text index of texts if it is missing, and return its name.

    Args:
        analyzer: Neo4j's name of the language's rules, such as `russian`.

    The index is eventually consistent: a commit does not wait for it. Raises `ConfigError` for an
    unknown analyzer.
    """
    if FULLTEXT in reading(graph):
        return []
    known = {row["analyzer"] for row in graph.read(statement("analyzers"))}
    if analyzer not in known:
        raise ConfigError(
            f"the analyzer {analyzer!r} is unknown to Neo4j: one of {', '.join(sorted(known))}"
        )
    graph.run(
        f"CREATE FULLTEXT INDEX {FULLTEXT} IF NOT EXISTS FOR (p:Post) ON EACH [p.text] "
        "OPTIONS {indexConfig: {`fulltext.analyzer`: $analyzer, `fulltext.eventually_consistent`: "
        "true}}",
        analyzer=analyzer,
    )
    return [FULLTEXT]


def _blocked(graph: Graph, name: str, reason: str) -> ConfigError:
    if drops := obstacles(graph, name):
        way = f"First {', '.join(f'`{drop}`' for drop in drops)}, then `graphwriter schema apply`"
    else:
        way = (
            "`graphwriter verify graph --repair` merges the duplicates. This query shows them: "
            f"{duplicates(name)}"
        )
    return ConfigError(f"the constraint {name} cannot be created: {reason}. {way}")


def obstacles(graph: Graph, name: str) -> list[str]:
    """Return the statements that drop what blocks a constraint, other than duplicates.

    That is a plain index on the same properties, or something else with the same name.
    """
    label, properties = CONSTRAINTS[name]
    drops = [
        f"DROP INDEX {row['name']}"
        for row in graph.read(statement("indexes"))
        if row["owningConstraint"] is None
        and (
            row["name"] == name
            or (row["type"], row["labelsOrTypes"], row["properties"])
            == ("RANGE", [label], [*properties])
        )
    ]
    return drops + [
        f"DROP CONSTRAINT {name}"
        for row in graph.read(statement("constraints"))
        if row["name"] == name
    ]


def duplicates(name: str) -> LiteralString:
    """Return the query that shows the nodes that violate the constraint `name`."""
    label, properties = CONSTRAINTS[name]
    keys = ", ".join(f"n.{key} AS {key}" for key in properties)
    present = " AND ".join(f"n.{key} IS NOT NULL" for key in properties)
    return (
        f"MATCH (n:{label}) WHERE {present} WITH {keys}, count(*) AS times WHERE times > 1 "
        f"RETURN * ORDER BY times DESC LIMIT 20"
    )


def adopt(graph: Graph, page: int = 1000) -> tuple[int, int]:
    """Adopt the posts of another service that have an address, `page` at a time.

    A `(:Post {post_id})` without the label Message is adopted if it has both `tg_channel_id` and
    `telegram_message_id`. The others are adopted when an event with their post_id arrives.

    Returns how many were adopted, and how many still wait.
    """
    adopted, after = 0, ""
    adopting = statement("adopt")
    while posts := graph.read(statement("foreign_with_address"), page=page, after=after):
        after = posts[-1]["post_id"]  # posts that cannot be adopted are not read again
        claims = sorted(
            ([row["post_id"], row["channel"], row["message"]] for row in posts), key=_key
        )
        adopted += graph.run(adopting, claims=claims)[0]["adopted"]
    return adopted, info.foreign(graph).number


def _key(claim: list[Any]) -> tuple[Any, ...]:
    return claim[1], claim[2]  # the order in which locks are taken
