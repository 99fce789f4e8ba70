"""Checks of Neo4j and of the graph in it."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from graphwriter.config import Config
from graphwriter.doctor.facts import Answer
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.doctor.redis import numbers
from graphwriter.errors import Unavailable
from graphwriter.graph import schema
from graphwriter.graph.info import Doubled, Foreign, State, Version
from graphwriter.stream.info import Group
from graphwriter.stream.looking import Seen
from graphwriter.text import counted

FLOOR = (5, 26)
FROM_STREAM = "graphwriter verify stream --repair"
FROM_POSTGRES = "graphwriter backfill --all --rewrite"


def neo4j_version(neo4j_version: Version) -> Iterator[Finding]:
    """Neo4j is 5.26 or newer; either edition will do."""
    shown = f"Neo4j {neo4j_version.number}, {neo4j_version.edition}"
    if numbers(neo4j_version.number) < FLOOR:
        yield wrong(f"{shown} is older than 5.26", "apt-get install neo4j")
    else:
        yield ok(shown)


def database(
    neo4j_state: State | None, neo4j_version: Version, config: Config
) -> Iterator[Finding]:
    """The database is online, and set up to be written to."""
    name = config.neo4j_database
    enterprise = neo4j_version.edition != "community"
    if neo4j_state is None:
        yield ok(f"the server does not list the database {name} for us")
        return
    if neo4j_state.status != "online":
        why = f": {neo4j_state.message}" if neo4j_state.message else ""
        start = f"cypher-shell -d system {quote(f'START DATABASE `{name}`')}"
        mend = start if enterprise else "neo4j restart"
        yield wrong(f"the database {name} is {neo4j_state.status}{why}", mend, Unavailable())
    if neo4j_state.access == "read-only":
        change = f"ALTER DATABASE `{name}` SET ACCESS READ WRITE"
        mend = f"cypher-shell -d system {quote(change)}"
        if not enterprise:
            mend = "grep read_only /etc/neo4j/neo4j.conf"
        yield wrong(f"the database {name} is read-only by its settings", mend, Unavailable())
    elif neo4j_state.status == "online":
        yield ok(f"the database {name} is online, and read-write")


def writable(neo4j_writes: Answer, config: Config) -> Iterator[Finding]:
    """A write is taken: made, and rolled back. A disk that is full refuses it."""
    if error := neo4j_writes.error:
        mend = "df -h" if isinstance(error, Unavailable) else "export NEO4J_USER=neo4j"
        yield wrong(f"the database {config.neo4j_database} refuses a write: {error}", mend, error)
    else:
        yield ok(f"the database {config.neo4j_database} takes writes")


def constraints(neo4j_missing: list[str], neo4j_repeated: list[str]) -> Iterator[Finding]:
    """The constraints are there: without them nodes are made twice, and every look-up is a scan."""
    if neo4j_missing:
        number = f"{len(neo4j_missing)} of {len(schema.CONSTRAINTS)}"
        names = ", ".join(neo4j_missing)
        text, mend = f"{number} constraints are missing: {names}", "graphwriter schema apply"
        if neo4j_repeated:
            text += "; nodes are there twice, and have to be merged first"
            mend = "graphwriter verify graph --repair"  # which makes the constraints, too
        yield wrong(text, mend)
    else:
        yield ok(f"all {len(schema.CONSTRAINTS)} constraints are there")


def posts(neo4j_posts: int, look: Seen, groups: list[Group], config: Config) -> Iterator[Finding]:
    """What the group was given is in this graph, and not in another."""
    own = next((one for one in groups if one.name == config.group), None)
    given = own is not None and own.delivered > (0, 0)
    if neo4j_posts or not given or look.pending or look.dead:
        yield ok(counted(neo4j_posts, "post"))
        return
    text = f"the group has read events, but the database {config.neo4j_database} holds no post"
    yield wrong(f"{text}: workers write to another one?", "export NEO4J_URI=bolt://HOST:7687")


def foreign_posts(neo4j_foreign: Foreign) -> Iterator[Finding]:
    """Posts that another service made were adopted, so that their links meet ours."""
    number, ready = neo4j_foreign
    if ready:
        text = f"{counted(ready, 'post')} of another service not adopted"
        yield wrong(text, "graphwriter schema adopt")
    if left := number - ready:
        brings = "its event brings it" if left == 1 else "their events bring it"
        text = f"{counted(left, 'post')} of another service without an address: {brings}"
        yield wrong(text, "graphwriter backfill --all")
    if not number:
        yield ok("no post of another service waits to be adopted")


def doubled_links(neo4j_doubled: list[Doubled], config: Config) -> Iterator[Finding]:
    """At most one link of each type leaves a post: more were written by something else."""
    mend = FROM_POSTGRES if config.database_url else FROM_STREAM
    for one in neo4j_doubled:
        text = f"{counted(one.posts, 'post')} with more than one {one.type}, such as {one.example}"
        yield wrong(f"{text}: another service writes them too", mend)
    if not neo4j_doubled:
        yield ok("no post has two links of a type")


def bare_ids(neo4j_bare: int) -> Iterator[Finding]:
    """A message is one node: a producer that sends bare chat ids makes a second one."""
    if neo4j_bare:
        text = f"{counted(neo4j_bare, 'message')} there twice, with a bare and a marked chat id"
        text += '; "Links are duplicated" in docs/troubleshooting.md removes the bare ones'
        yield wrong(f"{text}, once the producer sends what it has to:", "graphwriter schema event")
    else:
        yield ok("no message is there with a bare and a marked chat id")


CHECKS = (
    neo4j_version,
    database,
    writable,
    constraints,
    posts,
    foreign_posts,
    doubled_links,
    bare_ids,
)
