"""Checks of Neo4j and of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from graphwriter.doctor.facts import Facts
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.doctor.redis import numbers
from graphwriter.errors import Unavailable
from graphwriter.graph import schema
from graphwriter.text import counted

OLDEST_NEO4J = (5, 26)
LARGE_HEAP = 8 << 30  # bytes; above it a full collection by the parallel collector takes seconds
FROM_STREAM = "graphwriter verify stream --repair"
FROM_POSTGRES = "graphwriter backfill --all --rewrite"


def neo4j_version(facts: Facts) -> Iterator[Finding]:
    """Neo4j is 5.26 or newer, of either edition."""
    version = facts.neo4j_version
    text = f"Neo4j {version.number}, {version.edition}"
    if numbers(version.number) < OLDEST_NEO4J:
        yield wrong(f"{text} is older than 5.26", "apt-get install neo4j")
    else:
        yield ok(text)


def database(facts: Facts) -> Iterator[Finding]:
    """The database is online, and not read-only."""
    name, state = facts.config.neo4j_database, facts.neo4j_database
    enterprise = facts.neo4j_version.edition != "community"
    if state is None:
        yield ok(f"the server does not list the database {name} for our user")
        return
    if state.status != "online":
        reason = f": {state.message}" if state.message else ""
        start = f"cypher-shell -d system {quote(f'START DATABASE `{name}`')}"
        repair = start if enterprise else "neo4j restart"
        yield wrong(f"the database {name} is {state.status}{reason}", repair, Unavailable())
    if state.access == "read-only":
        change = f"ALTER DATABASE `{name}` SET ACCESS READ WRITE"
        repair = f"cypher-shell -d system {quote(change)}"
        if not enterprise:
            repair = "grep read_only /etc/neo4j/neo4j.conf"
        yield wrong(f"the database {name} is configured as read-only", repair, Unavailable())
    elif state.status == "online":
        yield ok(f"the database {name} is online, and read-write")


def writable(facts: Facts) -> Iterator[Finding]:
    """A write succeeds, and is rolled back. A full disk refuses it."""
    name = facts.config.neo4j_database
    if error := facts.neo4j_write.error:
        repair = "df -h" if isinstance(error, Unavailable) else "export NEO4J_USER=neo4j"
        yield wrong(f"the database {name} refuses a write: {error}", repair, error)
    else:
        yield ok(f"the database {name} takes writes")


def java(facts: Facts) -> Iterator[Finding]:
    """Advice only: a server with the G1 collector, or with a small heap at first, writes slower."""
    found = facts.neo4j_java
    if found is None:
        yield ok("our user may not read the flags of the server's Java")
        return
    advice = []
    if not any(name.startswith("PS ") for name in found.collectors) and found.most <= LARGE_HEAP:
        advice.append(f"its garbage collector is {found.collectors[0].partition(' ')[0]}")
    if found.first < found.most // 2:
        advice.append(f"its heap starts with {found.first >> 20} of {found.most >> 20} MB")
    if advice:
        told = " and ".join(advice)
        yield ok(f'Neo4j can write faster: {told}; "Neo4j for writing" in docs/neo4j.md')
    else:
        yield ok(f"the server's Java is set up for writing, with {found.most >> 20} MB of heap")


def constraints(facts: Facts) -> Iterator[Finding]:
    """The constraints exist: without them nodes are duplicated, and every lookup is a scan."""
    total, missing = len(schema.needed(facts.config.keep)), facts.neo4j_constraints.missing
    if not missing:
        yield ok(f"all {total} constraints exist")
        return
    text = f"{len(missing)} of {total} constraints are missing: {', '.join(missing)}"
    repair = "graphwriter schema apply"
    if facts.neo4j_constraints.blocked:
        text += "; duplicate nodes have to be merged first"
        repair = "graphwriter verify graph --repair"  # it creates the constraints too
    yield wrong(text, repair)


def posts(facts: Facts) -> Iterator[Finding]:
    """The events that the group has read are in this graph, and not in another one."""
    number, stream, config, own = facts.neo4j_posts, facts.stream, facts.config, facts.own_group
    has_read = own is not None and own.delivered > (0, 0)
    if number or not has_read or stream.pending or stream.dead:
        yield ok(counted(number, "post"))
        return
    text = f"the group has read events, but the database {config.neo4j_database} has no post"
    yield wrong(f"{text}: do workers write to another one?", "export NEO4J_URI=bolt://HOST:7687")


def foreign_posts(facts: Facts) -> Iterator[Finding]:
    """Posts of another service are adopted, so that their links and ours share nodes."""
    number, ready = facts.neo4j_foreign
    if ready:
        text = f"{counted(ready, 'post')} of another service not adopted"
        yield wrong(text, "graphwriter schema adopt")
    if waiting := number - ready:
        event = "its event has the address" if waiting == 1 else "their events have it"
        text = f"{counted(waiting, 'post')} of another service without an address: {event}"
        yield wrong(text, "graphwriter backfill --all")
    if not number:
        yield ok("no post of another service has to be adopted")


def doubled_links(facts: Facts) -> Iterator[Finding]:
    """A post has at most one link of each type; more links were written by another program."""
    repair = FROM_POSTGRES if facts.config.database_url else FROM_STREAM
    repeated = facts.neo4j_repeated_links
    for row in repeated:
        text = f"{counted(row.posts, 'post')} with more than one {row.type}, such as {row.example}"
        yield wrong(f"{text}: another service also writes them", repair)
    if not repeated:
        yield ok("no post has two links of one type")


def bare_ids(facts: Facts) -> Iterator[Finding]:
    """A message is one node; a producer that sends bare chat ids creates a second one."""
    if number := facts.neo4j_bare_channels:
        text = f"{counted(number, 'message')} duplicated, with a bare and a marked chat id"
        text += '; "Links are duplicated" in docs/troubleshooting.md deletes the bare ones'
        yield wrong(f"{text}, when the producer follows the schema:", "graphwriter schema event")
    else:
        yield ok("no message exists with a bare and a marked chat id")


CHECKS = (
    neo4j_version,
    database,
    writable,
    java,
    constraints,
    posts,
    foreign_posts,
    doubled_links,
    bare_ids,
)
