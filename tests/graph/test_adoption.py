"""Graphs that another service has begun: constraints, duplicates, posts without an address."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import LiteralString

import pytest
from support.graphs import CHANNEL, event, rows, together
from support.neo4j import Server
from support.proxy import Proxy

from graphwriter import Neo4jClient
from graphwriter.errors import ConfigError, Unavailable
from graphwriter.graph import Graph, Taken, schema
from graphwriter.graph.batch import fold
from graphwriter.keep import NOTHING


def make(graph: Graph, query: LiteralString) -> None:
    """Do what another service did."""
    graph.run(query)


def test_a_foreign_post_gets_its_address_when_its_event_arrives(graph: Graph) -> None:
    """It is adopted, not duplicated, and its own properties stay."""
    make(graph, "CREATE (:Post {post_id: 'p1', mood: 'good'})")
    assert graph.write(fold([event(1)])) == {0}
    found = rows(graph, "MATCH (p:Post) RETURN labels(p), p.tg_channel_id, p.mood, p.version > 0")
    assert [[sorted(found[0][0]), *found[0][1:]]] == [[["Message", "Post"], CHANNEL, "good", True]]


def test_a_foreign_post_takes_over_the_links_of_its_placeholder(graph: Graph) -> None:
    """What pointed to the address before points to the adopted node."""
    graph.write(fold([event(2, reply_to_message_id=1, thread_id=4)]))
    graph.write(
        fold([event(3, forward_from_chat_id=CHANNEL, forward_from_message_id=1)]),
    )
    make(graph, "CREATE (:Post {post_id: 'p1'})")
    graph.write(fold([event(1)]))
    links = rows(
        graph, "MATCH (a:Post)-[r]->(b:Post) RETURN a.post_id, type(r), b.post_id, r.thread_id"
    )
    assert sorted(links, key=str) == [
        ["p2", "REPLIES_TO", "p1", 4],
        ["p3", "FORWARDED_FROM_POST", "p1", None],
    ]
    assert rows(graph, "MATCH (m:Message) RETURN count(m)") == [[3]]


def test_two_addresses_that_claim_one_foreign_post_do_not_share_its_links(graph: Graph) -> None:
    """The first gets it, the other is told that it is taken; what replied to each stays with it."""
    make(graph, "CREATE (:Post {post_id: 'X'})")
    graph.write(fold([event(10, reply_to_message_id=20), event(11, reply_to_message_id=21)]))
    with pytest.raises(Taken) as raised:
        graph.write(fold([event(20, post_id="X"), event(21, post_id="X")]))
    assert raised.value.claims == {("X", (CHANNEL, 21))}
    graph.write(fold([event(20, post_id="X")]))
    found = (
        "MATCH (a)-[:REPLIES_TO]->(b) RETURN a.post_id, b.telegram_message_id ORDER BY a.post_id"
    )
    assert rows(graph, found) == [["p10", 20], ["p11", 21]]


def test_links_that_came_before_the_event_do_not_stand_in_the_way_of_adoption(
    graph: Graph, neo4j_server: Server
) -> None:
    """They are handed over with their versions, and the foreign post's own of that kind go."""
    make(graph, "CREATE (:Post {post_id: 'p1'})-[:REPLIES_TO]->(:Post {post_id: 'old'})")
    client = Neo4jClient(neo4j_server.uri, *(neo4j_server.auth or (None, None)))
    with client:
        client.create_reply_relationship(
            CHANNEL, 1, reply_to_message_id=30, occurred_at=1_750_000_000
        )
        client.create_author_relationship(CHANNEL, 1, author_name="Ann", occurred_at=1_750_000_000)
    graph.write(fold([event(1, reply_to_message_id=9)]))
    replies = "MATCH (p {post_id: 'p1'})-[:REPLIES_TO]->(m) RETURN m.telegram_message_id"
    assert rows(graph, replies) == [[30]]
    assert rows(graph, "MATCH (a)-[:AUTHOR_OF]->(p {post_id: 'p1'}) RETURN a.name") == [["Ann"]]
    assert rows(graph, "MATCH (m:Message {telegram_message_id: 1}) RETURN count(m)") == [[1]]


def test_links_a_foreign_post_has_are_older_than_any_event(graph: Graph) -> None:
    """An event that speaks for the facet replaces them, one that does not leaves them."""
    make(
        graph,
        """CREATE (p:Post {post_id: 'p1'})-[:REPLIES_TO]->(:Post {post_id: 'old'}),
        (p)-[:REPLIES_TO]->(:Post {post_id: 'twice'}),
        (:Author {author_id: 'x', author_type: 'user'})-[:AUTHOR_OF]->(p)""",
    )
    graph.write(fold([event(1)]))
    assert rows(graph, "MATCH (:Post {post_id: 'p1'})-[r]-() RETURN count(r)") == [[3]]
    graph.write(fold([event(1, 1, reply_to_message_id=5, author_name=None)]))
    links = rows(
        graph, "MATCH (:Post {post_id: 'p1'})-[r]-(n) RETURN type(r), n.telegram_message_id"
    )
    assert links == [["REPLIES_TO", 5]]
    assert rows(graph, "MATCH (a:Author) RETURN a") == []
    assert rows(graph, "MATCH (p:Post) RETURN count(p)") == [[3]]


def test_many_foreign_posts_are_adopted_by_four_workers_at_once(graph: Graph) -> None:
    """Adoption takes its locks first: nobody adopts twice, nothing is lost."""
    make(graph, "UNWIND range(1, 200) AS n CREATE (:Post {post_id: 'p' + n})")
    parts = [fold([event(n, reply_to_message_id=n + 1) for n in range(1, 201)])] * 4
    assert together(*(lambda b=b: graph.write(b) for b in parts)) == []
    assert rows(graph, "MATCH (p:Post) RETURN count(p), count(p.tg_channel_id)") == [[200, 200]]
    assert rows(graph, "MATCH ()-[r:REPLIES_TO]->() RETURN count(r)") == [[200]]


def test_a_post_id_of_another_address_is_taken(graph: Graph) -> None:
    """The first to commit keeps it; the error names the claim in vain, and only that."""
    graph.write(fold([event(1)]))
    with pytest.raises(Taken) as caught:
        graph.write(fold([event(2), event(3, post_id="p1"), event(1, 1)]))
    assert caught.value.claims == {("p1", (CHANNEL, 3))}
    assert rows(graph, "MATCH (p:Post) RETURN count(p)") == [[1]]


def test_a_stale_claim_of_a_post_id_stands_in_nobodys_way(graph: Graph) -> None:
    """An event that is older than its post sets nothing, so it claims nothing."""
    graph.write(fold([event(3, 5), event(1)]))
    assert graph.write(fold([event(3, 1, post_id="p1")])) == frozenset()


def test_a_foreign_post_of_another_address_is_not_adopted(graph: Graph) -> None:
    """A node that carries an address is taken at its word."""
    make(graph, "CREATE (:Post {post_id: 'p1', tg_channel_id: -5, telegram_message_id: 1})")
    with pytest.raises(Taken):
        graph.write(fold([event(1)]))


def test_schema_adopt_takes_over_what_carries_an_address(graph: Graph) -> None:
    """The others wait for their events, and are counted."""
    make(
        graph,
        """UNWIND range(1, 25) AS n
        CREATE (:Post {post_id: 'p' + n, tg_channel_id: -1001179270258, telegram_message_id: n})""",
    )
    make(graph, "CREATE (:Post {post_id: 'unknown'})")
    graph.write(fold([event(100, reply_to_message_id=7)]))
    assert schema.adopt(graph, page=10) == (25, 1)
    assert rows(graph, "MATCH (p)-[:REPLIES_TO]->(q:Post:Message) RETURN q.post_id") == [["p7"]]
    assert schema.adopt(graph) == (0, 1)


def test_constraints_are_made_once_by_eight_workers_at_a_time(graph: Graph) -> None:
    """Applying is safe at once and again, also beside a constraint of another name."""
    for name in schema.needed(NOTHING):
        graph.run(f"DROP CONSTRAINT {name} IF EXISTS")
    make(graph, "CREATE CONSTRAINT theirs FOR (p:Post) REQUIRE p.post_id IS UNIQUE")
    try:
        assert "graphwriter_post_id" not in schema.missing(graph)
        assert together(*[lambda: schema.apply(graph)] * 8) == []
        assert schema.missing(graph) == []
        assert schema.apply(graph) == []
    finally:
        make(graph, "DROP CONSTRAINT theirs")
        schema.apply(graph)


def test_constraints_are_made_once_by_four_processes_at_a_time(
    graph: Graph, neo4j_server: Server
) -> None:
    """Each a command of its own; none fails, and nothing is left to do."""
    for name in schema.needed(NOTHING):
        graph.run(f"DROP CONSTRAINT {name}")
    user = dict(zip(("NEO4J_USER", "NEO4J_PASSWORD"), neo4j_server.auth or (), strict=False))
    applying = [
        subprocess.Popen(
            [sys.executable, "-m", "graphwriter", "schema", "apply"],
            env=os.environ | user | {"NEO4J_URI": neo4j_server.uri},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [each.communicate(timeout=60)[0] for each in applying]
    assert [each.returncode for each in applying] == [0] * 4, said
    assert schema.missing(graph) == []


@pytest.mark.parametrize("soon", [True, False])
def test_an_index_without_its_constraint_is_waited_for_and_then_dropped(
    graph: Graph, soon: bool
) -> None:
    """Neo4j makes the index first; an attempt that was cut leaves it."""
    name = "graphwriter_author"
    make(graph, f"DROP CONSTRAINT {name}")
    make(graph, f"CREATE INDEX {name} FOR (a:Author) ON (a.author_id, a.author_type)")
    removed = threading.Timer(1.0 if soon else 60, lambda: graph.run(f"DROP INDEX {name}"))
    removed.start()
    try:
        assert schema.apply(graph) == [name]
    finally:
        removed.cancel()
        removed.join()
    assert schema.missing(graph) == []


def test_what_else_keeps_a_constraint_from_being_made_is_named(graph: Graph) -> None:
    """A plain index on the same properties, or something else of its name."""
    name, index = "graphwriter_post_id", "CREATE INDEX theirs FOR (p:Post) ON (p.post_id)"
    other = "CREATE CONSTRAINT graphwriter_post_id FOR (p:Other) REQUIRE p.x IS UNIQUE"
    for query, drop in (
        (index, "DROP INDEX theirs"),
        (other, "DROP CONSTRAINT graphwriter_post_id"),
    ):
        make(graph, "DROP CONSTRAINT graphwriter_post_id")
        make(graph, query)
        try:
            with pytest.raises(ConfigError, match=f"{name} cannot be created: .* First `{drop}`"):
                schema.apply(graph)
            assert schema.obstacles(graph, name) == [drop]
        finally:
            make(graph, drop)
        assert schema.apply(graph) == [name]


def test_foreign_posts_that_cannot_be_adopted_stand_in_nobodys_way(graph: Graph) -> None:
    """A page full of them is passed over."""
    graph.write(fold([event(n, post_id=f"ours{n}") for n in range(5)]))
    make(
        graph,
        """UNWIND range(0, 9) AS n
        CREATE (:Post {post_id: 'p' + n, tg_channel_id: -1001179270258, telegram_message_id: n})""",
    )
    assert schema.adopt(graph, page=2) == (5, 5)


def test_duplicates_that_block_a_constraint_are_shown_with_their_query(graph: Graph) -> None:
    """The message has the query that shows what is there twice, and it does."""
    make(graph, "DROP CONSTRAINT graphwriter_post_id")
    make(graph, "UNWIND [1, 2, 3] AS n CREATE (:Post {post_id: 'same'})")
    with pytest.raises(ConfigError, match="graphwriter_post_id cannot be created") as caught:
        schema.apply(graph)
    query = schema.duplicates("graphwriter_post_id")
    assert query in str(caught.value)
    assert rows(graph, query) == [["same", 3]]
    make(graph, "MATCH (p:Post) DETACH DELETE p")
    assert schema.apply(graph) == ["graphwriter_post_id"]


def test_a_server_that_is_away_is_unavailable_within_the_time_given() -> None:
    """A batch is tried again for `retry` seconds, then left to the caller."""
    away = Graph("bolt://127.0.0.1:1", timeout=1, retry=1)
    with pytest.raises(Unavailable, match="does not answer"):
        away.write(fold([event(1)]))
    away.close()


def test_a_write_ends_in_time_although_foreign_posts_come_back(
    graph: Graph, neo4j_server: Server, proxy: Callable[[str], Proxy]
) -> None:
    """Another service takes the address away after each adoption: that is no event's fault."""
    adopted = 0

    def undo(piece: bytes) -> bool:
        nonlocal adopted
        adopting = b"adopted" in piece or adopted % 2 == 1
        if adopting and b"bookmark" not in piece:
            adopted += adopted % 2 == 0
        elif adopting:
            adopted += 2 - adopted % 2
            make(
                graph,
                "MATCH (p:Post {post_id: 'p1'}) "
                "REMOVE p:Message, p.tg_channel_id, p.telegram_message_id",
            )
        return False

    make(graph, "CREATE (:Post {post_id: 'p1'})")
    there = proxy(neo4j_server.uri.replace("neo4j://", "bolt://"))
    there.drop_next_reply(undo)
    login = neo4j_server.auth or (None, None)
    start = time.monotonic()
    with Graph(there.url, *login, retry=0.5) as slow, pytest.raises(Unavailable, match="adopt"):
        slow.write(fold([event(1)]))
    assert time.monotonic() - start < 20
    assert adopted >= 4
