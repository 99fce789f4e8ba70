"""The audit on real servers: a graph is broken in every way, and each is found and repaired."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, LiteralString

import neo4j
import pytest
from support import graphs
from support.graphs import CHANNEL, rows, together
from support.model import assert_same, read_graph
from support.neo4j import Server
from support.product import EVERYTHING, model

from graphwriter import events
from graphwriter.graph import Graph, scan, schema
from graphwriter.graph.batch import fold
from graphwriter.graph.client import statement
from graphwriter.verify import audit as audits
from graphwriter.verify.audit import Audit, AuditReport
from graphwriter.verify.sources import FileSource, Item, Source

RICH = EVERYTHING._replace(text=False)
PAGE, FILE = "https://a.example/x", "ab" * 32


@pytest.fixture
def graph(neo4j_server: Server, graph_empty: neo4j.Driver) -> Iterator[Graph]:
    """An empty graph with its constraints; a busy machine takes long to plan the first write."""
    with Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None)), timeout=120) as opened:
        schema.apply(opened, RICH)
        yield opened


NO_LINKS: dict[str, Any] = {"reply_to_message_id": None, "forward_from_name": None}


def values(message: int, second: int = 0, **more: Any) -> dict[str, Any]:
    """An event of one message in form (a), with values of its own beside the required ones."""
    own = {"posted_at": 1_600_000_000.25, "views_count": 5}
    return graphs.values(message, second, **(own | more))


# The newest of each message, and something older of one of them.
WORLD = [
    values(1, 5, author_peer_id={"user_id": 5}, author_name="Ann", **NO_LINKS),
    values(2, 5, reply_to_message_id=1, thread_id=9),
    values(2, 1, reply_to_message_id=77, author_name="Old"),
    values(3, 5, forward_from_peer_id={"channel_id": 8}, forward_from_message_id=4,
        forward_date=1_500_000_000.5, reply_to_message_id=None),
    values(4, 5, reply_to_message_id=99, urls=[PAGE, "t.me/c/1179270258/1", "t.me/c/5/6"],
        media_sha256_list=[FILE], grouped_id=3),
    values(5, 5, forward_from_name="Bob"),
]  # fmt: skip


def written(graph: Graph, world: list[dict[str, Any]]) -> None:
    """Write events as a worker does."""
    graph.write(fold([events.from_values(one, 2**50, RICH) for one in world], RICH))


def stored(path: Path, world: list[dict[str, Any]]) -> FileSource:
    """A file of events, as a source."""
    path.write_text("".join(json.dumps(one) + "\n" for one in world))
    return FileSource(str(path), None, RICH)


def audited(graph: Graph, source: Source | None, **settings: Any) -> AuditReport:
    """The report of a whole audit."""
    audit = Audit(graph, keep=RICH, **settings)
    audit.constraints()
    if source is not None:
        audit.compare(source)
    for _ in audit.scan():
        pass
    return audit.report


def kinds(report: AuditReport) -> dict[str, int]:
    """How many differences of each kind."""
    return {kind: found.found for kind, found in report.kinds.items() if found.found}


def whole(driver: neo4j.Driver, graph: Graph) -> list[Any]:
    """Everything in the graph, with the versions, after a check that it may all be there."""
    versions = rows(
        graph,
        "MATCH (p:Post) RETURN p.post_id, p.version, p.forward_version, p.reply_version, "
        "p.author_version, p.links_version, p.media_version ORDER BY p.post_id",
    )
    return [read_graph(driver), versions]


BROKEN: list[tuple[str, LiteralString, dict[str, int]]] = [
    ("a post is gone", "MATCH (p:Post {post_id: 'p5'}) DETACH DELETE p",
        {"missing_post": 1, "orphan": 1}),
    ("a post is a placeholder", "MATCH (p:Post {post_id: 'p1'}) REMOVE p:Post",
        {"missing_post": 1, "unsaid_link": 1}),
    ("a reply is gone", "MATCH ({post_id: 'p2'})-[r:REPLIES_TO]->() DELETE r",
        {"missing_link": 1}),
    ("all links are gone", "MATCH (m)-[r]->(n) DELETE r WITH n WHERE NOT n:Post DELETE n",
        {"missing_link": 11, "orphan": 2}),
    ("a reply leads elsewhere", """MATCH (p {post_id: 'p2'})-[r:REPLIES_TO]->(), (n {post_id: 'p3'})
        DELETE r CREATE (p)-[:REPLIES_TO {thread_id: 9}]->(n)""", {"wrong_link": 1}),
    ("a thread is another", "MATCH ({post_id: 'p2'})-[r:REPLIES_TO]->() SET r.thread_id = 1",
        {"wrong_link": 1}),
    ("a forward's date is another", """MATCH ()-[r:FORWARDED_FROM {forward_from_message_id: 4}]->()
        SET r.forward_date = datetime('2020-01-01')""", {"wrong_link": 1}),
    ("a source post is another", """MATCH (p)-[r:FORWARDED_FROM_POST]->(), (n {post_id: 'p5'})
        DELETE r CREATE (p)-[:FORWARDED_FROM_POST]->(n)""", {"wrong_link": 1, "orphan": 1}),
    ("a link that nobody said", """MATCH (p {post_id: 'p1'}), (n {post_id: 'p3'})
        CREATE (p)-[:REPLIES_TO]->(n)""", {"extra_link": 1}),
    ("another author", """MATCH (p {post_id: 'p1'})
        CREATE (:Author {author_id: '6', author_type: 'user'})-[:AUTHOR_OF]->(p)""",
        {"extra_link": 1, "duplicate_link": 1}),
    ("a link twice", """MATCH (p {post_id: 'p2'})-[:REPLIES_TO]->(n)
        CREATE (p)-[:REPLIES_TO {thread_id: 9}]->(n)""", {"extra_link": 1, "duplicate_link": 1}),
    ("a link to a page is gone", "MATCH ()-[r:LINKS_TO]->(n:Link) DELETE r, n",
        {"missing_link": 1}),
    ("a link to a page is another", """MATCH ()-[r:LINKS_TO]->(:Link) SET r.url = 'x'""",
        {"missing_link": 1, "extra_link": 1}),
    ("a link to a page twice", """MATCH (p)-[:LINKS_TO]->(n:Link)
        CREATE (p)-[:LINKS_TO {url: 'https://a.example/x'}]->(n)""",
        {"extra_link": 1, "duplicate_link": 1}),
    ("a file twice, and one that nobody has", """MATCH (p)-[:HAS_MEDIA]->(f), (q {post_id: 'p1'})
        CREATE (p)-[:HAS_MEDIA]->(f), (q)-[:HAS_MEDIA]->(:Media {sha256: 'cd'})""",
        {"extra_link": 1, "duplicate_link": 1, "unsaid_link": 1}),
    ("the number of links is another", "MATCH (p {post_id: 'p4'}) SET p.links_count = 2",
        {"wrong_value": 1}),
    ("pages and files without posts", "CREATE (:Link {url: 'x'}), (:Media {sha256: 'x'})",
        {"orphan": 2}),
    ("versions of links and media are no integers", """MATCH (p {post_id: 'p4'})
        SET p.links_version = 'x', p.media_version = 1.5""", {"impossible_version": 2}),
    ("an album is another", "MATCH (p {post_id: 'p4'}) SET p.grouped_id = 4", {"wrong_value": 1}),
    ("a value is another", "MATCH (p {post_id: 'p3'}) SET p.views_count = 4, p.content_hash = 'x'",
        {"wrong_value": 2}),
    ("a time is no time", "MATCH (p {post_id: 'p3'}) SET p.posted_at = 'yesterday'",
        {"wrong_value": 1}),
    ("a time is of a year that Python does not know", """MATCH (p {post_id: 'p3'})
        SET p.posted_at = datetime({year: 999999})""", {"wrong_value": 1}),
    ("a time is of the last hours of Python's years", """MATCH (p {post_id: 'p3'})
        SET p.posted_at = datetime('9999-12-31T23:00:00-10:00')""", {"wrong_value": 1}),
    ("values of another type", """MATCH (p {post_id: 'p3'})-[r:FORWARDED_FROM]->()
        SET p.views_count = 5.0, p.posted_at = 1600000000250000, r.forward_from_message_id = 4.0""",
        {"wrong_value": 2, "wrong_link": 1}),
    ("a reply leads to a node without a label", """MATCH (p {post_id: 'p2'})-[r:REPLIES_TO]->(n)
        CREATE (p)-[c:REPLIES_TO]->(t) SET c = properties(r), t = n {.tg_channel_id,
        .telegram_message_id} DELETE r""", {"wrong_link": 1}),
    ("versions went back", """MATCH (p {post_id: 'p2'})
        SET p.reply_version = p.reply_version - 1, p.version = p.version - 1""",
        {"version_regression": 2}),
    ("versions are gone", "MATCH (p {post_id: 'p2'}) SET p.reply_version = null, p.version = null",
        {"version_regression": 2}),
    ("versions are of a time to come", """MATCH (p {post_id: 'p2'})-[r:REPLIES_TO]->() DELETE r
        WITH p, 9000000000000000000 AS ahead
        SET p.version = ahead, p.reply_version = ahead, p.views_count = 0""",
        {"missing_link": 1, "wrong_value": 1, "impossible_version": 2}),
    ("versions are no integers", """MATCH (p {post_id: 'p2'}), (q {post_id: 'p3'})
        SET p.version = 'x', p.reply_version = [1, 2], p.author_version = true,
        q.version = datetime({year: 999999}), q.forward_version = 1.5""",
        {"impossible_version": 5}),
    ("names are of a day to come", """MATCH (n) WHERE n:Author OR n:ForwardSource
        SET n.name_day = CASE WHEN n:Author THEN 99999999999 ELSE 'x' END""",
        {"impossible_version": 4}),
    ("links of facets that no event spoke of", """MATCH (p {post_id: 'p5'}), (n),
        (q {post_id: 'p4'}) WHERE n.post_id IN ['p1', 'p3']
        CREATE (p)-[:REPLIES_TO]->(n) WITH DISTINCT q
        CREATE (:Author {author_id: '6', author_type: 'user'})-[:AUTHOR_OF]->(q)-[:FORWARDED_FROM]->
        (:ForwardSource {source_id: '6', source_type: 'user'})""",
        {"unsaid_link": 3, "duplicate_link": 1}),
    ("older links of an older version", """MATCH (p {post_id: 'p2'})-[r:REPLIES_TO]->() DELETE r
        CREATE (p)-[:REPLIES_TO]->(:Message {tg_channel_id: 1, telegram_message_id: 1})
        SET p.reply_version = 1""", {"wrong_link": 1, "version_regression": 1}),
    ("orphans", """CREATE (:Message {tg_channel_id: 1, telegram_message_id: 1}),
        (:ForwardSource {source_id: '1', source_type: 'user'}),
        (:Author {author_id: '1', author_type: 'user'})""", {"orphan": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("query", "wanted"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_each_way_a_graph_can_break_is_found_and_repaired(
    graph: Graph, driver: neo4j.Driver, tmp_path: Path, query: LiteralString, wanted: dict[str, int]
) -> None:
    """Found and left as it is; repaired, with examples; then there is nothing more to find."""
    written(graph, WORLD)
    source = stored(tmp_path / "events", WORLD)
    right = whole(driver, graph)
    graph.run(query)
    assert kinds(audited(graph, source)) == wanted
    report = audited(graph, source, repair=True)
    assert sum(found.found for found in report.kinds.values()) > 0
    assert report.left == 0
    assert whole(driver, graph) == right
    for kind in kinds(report):
        assert report.kinds[kind].examples
    assert kinds(audited(graph, source, repair=True)) == {}


def test_what_missing_constraints_let_in_is_merged_and_kept_out(
    graph: Graph, driver: neo4j.Driver, tmp_path: Path
) -> None:
    """Every node twice, each half with some of the links: one node with all of them is left."""
    written(graph, WORLD)
    source = stored(tmp_path / "events", WORLD)
    right = whole(driver, graph)
    try:
        for name in schema.CONSTRAINTS:
            graph.run(f"DROP CONSTRAINT {name}")
        graph.run(
            "MATCH (n) WITH collect(n) AS all UNWIND all AS n CALL (n) { WITH n WHERE n:Post "
            "CREATE (c:Message:Post) SET c = properties(n) } CALL (n) { WITH n WHERE NOT "
            "n:Post CREATE (c:$(labels(n))) SET c = properties(n) }"
        )
        graph.run(
            "MATCH (a)-[r:REPLIES_TO]->(b), (c:Post {post_id: a.post_id}) WHERE c <> a "
            "CREATE (c)-[:REPLIES_TO]->(b) DELETE r SET a.reply_version = null"
        )
        graph.run("CREATE (:Post {post_id: 'p1', mood: 'good'})")
        # Another address claims a post_id, by a later event.
        graph.run(
            "MATCH (p:Post {post_id: 'p3'}) WITH p LIMIT 1 CREATE (c:Message:Post) SET "
            "c = properties(p), c.telegram_message_id = 33, c.version = p.version + 1"
        )
        report = audited(graph, source)
        assert kinds(report) == {"constraint": 6, "duplicate_node": 19}
        assert not report.compared
        query = report.kinds["duplicate_node"].examples[0].detail.partition(": ")[2]
        assert len(graph.read(query)) == 8
        report = audited(graph, source, repair=True)
        assert report.left == 0
        assert schema.missing(graph, RICH) == []
        found = rows(graph, "MATCH (p:Post {post_id: 'p1'}) RETURN p.mood")
        assert found == [["good"]]
        graph.run("MATCH (p:Post {post_id: 'p1'}) REMOVE p.mood")
        assert whole(driver, graph) == right
        assert kinds(audited(graph, source)) == {}
    finally:
        graph.run("MATCH (n) DETACH DELETE n")
        schema.apply(graph, RICH)


def test_of_links_that_no_event_tells_apart_only_equal_ones_go(graph: Graph) -> None:
    """Which of two different replies is right nobody can say, so both stay and are reported."""
    written(graph, [values(n, reply_to_message_id=None) for n in (1, 2, 3)])
    graph.run("MATCH (p {post_id: 'p1'}), (n) WHERE n <> p UNWIND [1, 2] AS _ "
              "CREATE (p)-[:REPLIES_TO]->(n)")  # fmt: skip
    report = audited(graph, None, repair=True)
    assert (kinds(report), report.left) == ({"duplicate_link": 1}, 1)
    assert rows(graph, "MATCH ({post_id: 'p1'})-[r]->() RETURN count(r)") == [[2]]


def test_a_link_that_no_event_said_goes_only_where_a_source_knows_the_post(
    graph: Graph, tmp_path: Path
) -> None:
    """The graph alone cannot tell it from one whose version was taken away."""
    written(graph, [values(1), values(2), values(3, reply_to_message_id=9)])
    graph.run(
        "MATCH (p {post_id: 'p1'}), (q {post_id: 'p2'}), (m {telegram_message_id: 9}) "
        "CREATE (p)-[:REPLIES_TO]->(q), (q)-[:REPLIES_TO]->(m)"
    )
    report = audited(graph, None, repair=True)
    assert (kinds(report), report.left) == ({"unsaid_link": 2}, 2)
    report = audited(graph, stored(tmp_path / "events", [values(1)]), repair=True)
    assert (kinds(report), report.left) == ({"unsaid_link": 2}, 1)
    assert rows(graph, "MATCH (p)-[r]->() RETURN p.post_id ORDER BY p.post_id") == [["p2"], ["p3"]]


def test_links_of_a_placeholder_go_unless_it_was_a_post(graph: Graph, tmp_path: Path) -> None:
    """No event of it was applied, so that none said them: but somebody may have taken the label."""
    written(graph, [values(1, reply_to_message_id=8), values(2, reply_to_message_id=9)])
    graph.run(
        "MATCH (p {post_id: 'p1'}), (m {telegram_message_id: 9}) REMOVE p:Post "
        "CREATE (m)-[:REPLIES_TO]->(:Message {tg_channel_id: 1, telegram_message_id: 1})"
    )
    report = audited(graph, None, repair=True)
    assert (kinds(report), report.left) == ({"unsaid_link": 2}, 1)
    assert rows(graph, "MATCH (m)-->() RETURN m.post_id ORDER BY m.post_id") == [["p1"], ["p2"]]
    assert rows(graph, "MATCH (m {tg_channel_id: 1}) RETURN m") == []
    graph.run(
        "MATCH (m {telegram_message_id: 9}), (p {post_id: 'p2'}) CREATE (m)-[:REPLIES_TO]->(p)"
    )
    world = [values(1, reply_to_message_id=8), values(9)]
    report = audited(graph, stored(tmp_path / "events", world), repair=True)
    assert (kinds(report), report.left) == ({"missing_post": 2}, 0)
    assert rows(graph, "MATCH (m)-->() RETURN m.post_id ORDER BY m.post_id") == [["p1"], ["p2"]]


def test_links_that_another_service_left_are_no_difference(graph: Graph, tmp_path: Path) -> None:
    """They were adopted with their post, and stay until an event speaks of the facet."""
    graph.run("CREATE (p:Post {post_id: 'p1'})-[:REPLIES_TO]->(:Post {post_id: 'old'}), "
              "(:Author {author_id: '6', author_type: 'user'})-[:AUTHOR_OF]->(p)")  # fmt: skip
    written(graph, [values(1)])
    source = stored(tmp_path / "events", [values(1)])
    assert kinds(audited(graph, source, repair=True)) == {}
    found = "MATCH (p {post_id: 'p1'})-[r]-() RETURN type(r) ORDER BY type(r)"
    assert rows(graph, found) == [["AUTHOR_OF"], ["REPLIES_TO"]]
    written(graph, [values(1, reply_to_message_id=None)])
    assert rows(graph, found) == [["AUTHOR_OF"]]


def test_a_version_that_no_event_can_have_keeps_none_out_after_a_repair(graph: Graph) -> None:
    """Without a source what it stood for stays, and the next event or name wins."""
    world = [values(n, reply_to_message_id=9, author_peer_id={"user_id": 5}) for n in (1, 2)]
    written(graph, world)
    graph.run(
        "MATCH (p:Post), (a:Author) SET p.version = 'x', p.reply_version = 9000000000000000000, "
        "a.name = 'evil', a.name_day = 99999999999"
    )
    report = audited(graph, None)
    assert (kinds(report), report.left) == ({"impossible_version": 5}, 5)
    report = audited(graph, None, repair=True)
    assert (kinds(report), report.left) == ({"impossible_version": 5}, 0)
    assert report.kinds["impossible_version"].examples[1].detail == (
        "the reply's version is of the future, 2105-12-29T12:53:43.828000+00:00"
    )
    report = audited(graph, None, repair=True)
    assert (kinds(report), report.counts["unversioned"]) == ({}, 2)
    written(graph, [values(1, author_peer_id={"user_id": 5}, author_name="Ann", views_count=7,
                           reply_to_message_id=8)])  # fmt: skip
    found = "MATCH (a)-->(p {post_id: 'p1'})-->(m) RETURN a.name, p.views_count, m"
    assert [row[:2] for row in rows(graph, found)] == [["Ann", 7]]
    assert rows(graph, found)[0][2]["telegram_message_id"] == 8
    assert kinds(audited(graph, None)) == {}


def test_a_version_of_the_source_itself_is_none_to_come(graph: Graph, tmp_path: Path) -> None:
    """Where the clock of Redis is more than a day ahead, a stream's events may be so, too."""
    ahead = [values(n, occurred_at=4_000_000_000, reply_to_message_id=9) for n in (1, 2)]
    written(graph, ahead)
    stored(tmp_path / "events", ahead)
    assert kinds(audited(graph, Ahead(str(tmp_path / "events")), repair=True)) == {}


class Ahead(FileSource):
    """A source whose clock is ahead."""

    def __iter__(self) -> Iterator[Item]:
        """Yield the events as they are in the file."""
        for line in Path(self._path).read_text().splitlines():
            yield Item("line", events.from_values(json.loads(line), 2**50))


def test_something_newer_in_the_graph_is_left_as_it_is(graph: Graph, tmp_path: Path) -> None:
    """It is counted, since nobody can say more of it."""
    written(graph, [values(2, 9, reply_to_message_id=1, views_count=6)])
    report = audited(graph, stored(tmp_path / "events", WORLD[1:3]), repair=True)
    assert kinds(report) == {"missing_link": 1, "version_regression": 1}  # the old author
    assert report.counts["newer"] == 2
    found = "MATCH (p {post_id: 'p2'})-[:REPLIES_TO]->(m) RETURN p.views_count, m.post_id"
    assert rows(graph, found) == [[6, None]]


def test_a_post_id_that_another_post_holds_is_not_missing(graph: Graph, tmp_path: Path) -> None:
    """The contract gives it to the first; what the other has said is a dead letter."""
    written(graph, [values(1)])
    world = [values(1), values(9, post_id="p1"), values(10, reply_to_message_id=9)]
    report = audited(graph, stored(tmp_path / "events", world), repair=True)
    assert (kinds(report), report.left) == ({"missing_post": 1}, 0)
    assert report.counts["taken"] == 1
    assert [(note.kind, note.where) for note in report.notes] == [("taken", "line 2")]


def test_pages_and_chunks_lose_nothing_between_them(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several chats, more nodes than a page, and nodes that go while pages are turned."""
    monkeypatch.setattr(scan, "PAGE_SIZE", 3)
    monkeypatch.setattr(audits, "CHUNK_SIZE", 2)
    world = [values(n, post_id=f"{chat}/{n}", tg_channel_id=chat, forward_from_name=f"{chat}/{n}")
             for chat in (-5, 7, CHANNEL) for n in range(1, 5)]  # fmt: skip
    written(graph, world)
    graph.run("MATCH ()-[r:FORWARDED_FROM]->() DELETE r")
    graph.run("UNWIND range(1, 8) AS n CREATE (:Message {tg_channel_id: 7, "
              "telegram_message_id: 2 * n + 10})")  # fmt: skip
    report = audited(graph, stored(tmp_path / "events", world))
    assert kinds(report) == {"missing_link": 12, "orphan": 20}
    assert report.counts["nodes"] == 32
    report = audited(graph, stored(tmp_path / "events", world), repair=True)
    assert (kinds(report), report.left) == ({"missing_link": 12, "orphan": 8}, 0)
    assert rows(graph, "MATCH (n) RETURN count(n)") == [[24]]


def operators(plan: dict[str, Any]) -> set[str]:
    """The steps of a plan, by their names without the database's."""
    below = [operators(child) for child in plan.get("children", ())]
    return {plan["operatorType"].partition("@")[0]}.union(*below)


@pytest.mark.parametrize(("name", "start"), [one[1:] for one in scan.SCANS])
def test_a_page_comes_from_the_index(
    graph: Graph, driver: neo4j.Driver, name: LiteralString, start: dict[str, Any]
) -> None:
    """Else each of many pages would be a walk through all the nodes."""
    query: Any = statement(name).replace("CYPHER replan=skip", "EXPLAIN")
    plan = driver.execute_query(query, **start, skip=0, size=5, latest=0, day=0).summary.plan
    assert plan is not None
    assert not {each for each in operators(plan) if each.endswith("Scan")}


def test_a_sample_looks_at_its_share(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of posts and of nodes, others each time."""
    monkeypatch.setattr(scan, "PAGE_SIZE", 5)
    world = [values(n) for n in range(400)]
    written(graph, world)
    seen = [audited(graph, stored(tmp_path / "events", world), share=0.2).counts for _ in range(2)]
    assert all(30 < counts["compared"] < 150 and 30 < counts["nodes"] < 150 for counts in seen)
    assert kinds(audited(graph, stored(tmp_path / "events", world), share=0.2)) == {}


def test_memory_does_not_grow_with_the_source(graph: Graph, tmp_path: Path) -> None:
    """The worst case: nothing is there, so that everything is a difference."""

    def peak(number: int) -> int:
        source = stored(tmp_path / "events", [values(n) for n in range(number)])
        tracemalloc.start()
        report = audited(graph, source)
        assert kinds(report) == {"missing_post": number}
        assert len(report.kinds["missing_post"].examples) == 10
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    peak(100)  # what is imported and planned once
    assert peak(2500) < 1.2 * peak(1000)


def test_repairs_are_safe_beside_workers_and_whoever_breaks_the_graph(
    graph: Graph, driver: neo4j.Driver, tmp_path: Path
) -> None:
    """Two workers write, links move, somebody deletes: in the end it is what the events say."""
    chance, told = Random(7), model()
    links: list[dict[str, Any]] = [NO_LINKS]
    links += [{"reply_to_message_id": n} for n in range(100, 110)]
    links += [{"author_name": name, "forward_from_name": name} for name in "ABC"]
    world = [values(chance.randrange(40), s, **chance.choice(links)) for s in range(600)]
    for one in world:
        assert told.apply({b"data": json.dumps(one).encode()}) is None
    path = tmp_path / "events"
    source = stored(path, world)
    chance.shuffle(world)

    def work(part: list[dict[str, Any]]) -> None:
        for start in range(0, len(part), 20):
            written(graph, part[start : start + 20])

    def repair() -> None:
        for _ in range(3):
            audited(graph, source, repair=True)

    def spoil() -> None:
        for _ in range(10):
            graph.run("MATCH (p:Post)-[r]->() WHERE rand() < 0.1 SET p.version = 1 DELETE r")
            graph.run("MATCH (p:Post) WHERE rand() < 0.1 SET p.reply_version = 9e18")
            graph.run(
                "MATCH (p:Post), (q:Post) WHERE p <> q AND p.author_version IS NULL AND "
                "rand() < 0.001 CREATE (p)<-[:AUTHOR_OF]-(:Author {author_id: p.post_id, "
                "author_type: q.post_id})"
            )

    assert (
        together(lambda: work(world[::2]), lambda: work(world[1::2]), repair, repair, spoil) == []
    )
    assert audited(graph, source, repair=True).left == 0
    assert kinds(audited(graph, source)) == {}
    assert_same(told.graph(), read_graph(driver))


def test_times_before_1970_are_right(graph: Graph, tmp_path: Path) -> None:
    """Neo4j's epochSeconds goes toward zero there, its epochMillis down."""
    seconds = ("-0.000001", "-0.5", "-0.000999", "-0.001001", "-1", "-1.000001", "-86400.25",
               "0001-01-01T00:00:00.000001Z", "1969-12-31T23:59:59.999999Z")  # fmt: skip
    world = [values(n, posted_at=at, forward_from_name="Bob", forward_date=at)
             for n, at in enumerate(seconds)]  # fmt: skip
    written(graph, world)
    assert kinds(audited(graph, stored(tmp_path / "events", world))) == {}
