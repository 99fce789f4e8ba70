"""Links, media and albums in the graph, beside workers that do not keep them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import neo4j
import pytest
from support.graphs import rows, together, values
from support.neo4j import Server
from support.product import EVERYTHING

from graphwriter import events
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.keep import NOTHING, Keep
from graphwriter.verify.audit import Audit

PAGE, FILE = "https://a.example/x", "ab" * 32
CONTENT: dict[str, Any] = {"urls": [PAGE], "media_sha256_list": [FILE], "grouped_id": 7}


@pytest.fixture
def graphs(neo4j_server: Server, graph_empty: neo4j.Driver) -> Iterator[list[Graph]]:
    """Eight connections to an empty graph with all constraints."""
    login = neo4j_server.auth or (None, None)
    made = [Graph(neo4j_server.uri, *login, timeout=60, retry=60) for _ in range(8)]
    schema.apply(made[0], EVERYTHING)
    yield made
    for graph in made:
        graph.close()


def write(graph: Graph, *told: dict[str, Any], keep: Keep = EVERYTHING) -> None:
    graph.write(fold([events.from_values(one, 2**50, keep) for one in told], keep))


def kept(graph: Graph) -> list[list[Any]]:
    return rows(
        graph,
        "MATCH (p:Post) RETURN p.post_id, [(p)-[r:LINKS_TO]->(n) | coalesce(n.url, r.url)], "
        "[(p)-[:HAS_MEDIA]->(f) | f.sha256], p.grouped_id, p.links_count ORDER BY p.post_id",
    )


def test_a_worker_without_enrichment_leaves_alone_what_another_wrote(graphs: list[Graph]) -> None:
    write(graphs[0], values(1, 1, **CONTENT))
    write(graphs[1], values(1, 2, urls=[], media_sha256_list=None, views_count=3), keep=NOTHING)
    assert kept(graphs[0]) == [["p1", [PAGE], [FILE], 7, 1]]
    assert rows(graphs[0], "MATCH (p:Post) RETURN p.views_count") == [[3]]


def test_an_absent_field_changes_nothing_and_null_clears(graphs: list[Graph]) -> None:
    write(graphs[0], values(1, 1, **CONTENT))
    write(graphs[0], values(1, 2))
    assert kept(graphs[0]) == [["p1", [PAGE], [FILE], None, 1]]
    write(graphs[0], values(1, 3, urls=None, media_sha256_list=None))
    assert kept(graphs[0]) == [["p1", [], [], None, 0]]
    assert rows(graphs[0], "MATCH (n) WHERE n:Link OR n:Media RETURN count(n)") == [[0]]


def test_a_page_in_every_post_makes_no_deadlock(graphs: list[Graph]) -> None:
    """Eight workers write posts with one page and one file."""

    def work(graph: Graph, first: int) -> Callable[[], None]:
        def call() -> None:
            for start in range(first, first + 1000, 100):
                write(graph, *(values(n, 1, **CONTENT) for n in range(start, start + 100)))

        return call

    write(graphs[0], values(9999, 1, **CONTENT))
    raised = together(*(work(graph, 1 + 1000 * at) for at, graph in enumerate(graphs)))
    assert raised == []
    for found in (
        "MATCH (:Link)<-[r]-() RETURN count(r)",
        "MATCH (:Media)<-[r]-() RETURN count(r)",
    ):
        assert rows(graphs[0], found) == [[8001]]
    assert sum(graph.retries for graph in graphs) == 0


def test_edits_that_keep_their_links_lock_no_page_and_no_file(graphs: list[Graph]) -> None:
    """Eight workers edit posts of their own; all posts have the same 20 pages and one file."""
    pages = [f"https://a.example/{page}" for page in range(20)]
    first = [values(n, 1, urls=pages, media_sha256_list=[FILE]) for n in range(1, 801)]
    write(graphs[0], *first)
    made = rows(graphs[0], "MATCH ()-[r:LINKS_TO]->() RETURN collect(elementId(r)) AS ids")

    def work(graph: Graph, at: int) -> Callable[[], None]:
        def call() -> None:
            for turn in range(2, 6):
                own = range(at * 100 + 1, at * 100 + 101)
                shuffled = pages[turn + at :] + pages[: turn + at]
                told = [values(n, turn, urls=shuffled, media_sha256_list=[FILE]) for n in own]
                write(graph, *told[:50])
                write(graph, *told[50:])

        return call

    assert together(*(work(graph, at) for at, graph in enumerate(graphs))) == []
    assert sum(graph.retries for graph in graphs) == 0
    found = rows(graphs[0], "MATCH ()-[r:LINKS_TO]->() RETURN collect(elementId(r)) AS ids")
    assert sorted(found[0][0]) == sorted(made[0][0])


def test_an_edit_changes_only_the_links_that_differ(graphs: list[Graph]) -> None:
    other = "https://b.example/y"
    write(graphs[0], values(1, 1, urls=[PAGE, other, "t.me/c/1179270258/5"]))
    ids = "MATCH (:Post)-[r:LINKS_TO]->(n:Link) RETURN n.url, elementId(r) ORDER BY n.url"
    before = dict(rows(graphs[0], ids))
    write(graphs[0], values(1, 2, urls=["https://c.example/z", PAGE]))
    after = dict(rows(graphs[0], ids))
    assert {*after} == {PAGE, "https://c.example/z"}
    assert after[PAGE] == before[PAGE]
    gone = "MATCH (n) WHERE n:Link OR n:Message AND NOT n:Post RETURN n.url ORDER BY n.url"
    assert rows(graphs[0], gone) == [[PAGE], ["https://c.example/z"]]


def test_a_page_that_loses_its_last_posts_at_once_is_deleted(graphs: list[Graph]) -> None:
    for turn in range(10):
        told = [values(n, turn * 2 + 1, **CONTENT) for n in range(1, 9)]
        write(graphs[0], *told)
        gone = [values(n, turn * 2 + 2, urls=[], media_sha256_list=[]) for n in range(1, 9)]
        calls = [
            lambda graph=graph, one=one: write(graph, one)
            for graph, one in zip(graphs, gone, strict=True)
        ]
        assert together(*calls) == []
        assert rows(graphs[0], "MATCH (n) WHERE n:Link OR n:Media RETURN count(n)") == [[0]]


def test_an_adopted_post_keeps_its_links_also_one_to_itself(graphs: list[Graph]) -> None:
    graph = graphs[0]
    graph.run("CREATE (:Post {post_id: 'theirs'})")
    write(graph, values(2, 1, urls=["t.me/c/1179270258/1"]))
    known = values(1, 1, post_id="", urls=["t.me/c/1179270258/1", PAGE], media_sha256_list=[FILE])
    batch = fold([events.from_values(known, 2**50, EVERYTHING)], EVERYTHING)
    graph.write(batch.links_only())
    write(graph, values(1, 2, post_id="theirs"))
    found = rows(
        graph, "MATCH (p {post_id: 'theirs'})-[r:LINKS_TO]->(n) RETURN n = p, n.url ORDER BY n.url"
    )
    assert found == [[False, PAGE], [True, None]]
    into = "MATCH (:Post {post_id: 'p2'})-[:LINKS_TO]->(n) RETURN n.post_id"
    assert rows(graph, into) == [["theirs"]]
    assert rows(graph, "MATCH (p {post_id: 'theirs'})-[:HAS_MEDIA]->(f) RETURN f.sha256") == [
        [FILE]
    ]


def test_constraints_of_what_is_not_kept_are_not_needed(graphs: list[Graph]) -> None:
    assert "graphwriter_link" not in schema.needed(NOTHING)
    assert {"graphwriter_link", "graphwriter_media"} <= {*schema.needed(EVERYTHING)}
    assert schema.missing(graphs[0], EVERYTHING) == []
    assert schema.has(graphs[0], schema.ALBUM)


def test_links_of_another_service_stay_where_such_links_are_not_kept(graphs: list[Graph]) -> None:
    """Neither an audit with repair nor a new event looks at types that are not kept."""
    graph = graphs[0]
    write(graph, values(1, 1), keep=NOTHING)
    graph.run(
        "MATCH (p:Post) CREATE (p)-[:HAS_MEDIA]->(:Media {theirs: 1}), (:Media {sha256: 'x'})"
    )
    audit = Audit(graph, repair=True)
    audit.constraints()
    for _ in audit.scan():
        pass
    assert audit.report.found == 0
    write(graph, values(1, 2, views_count=1), keep=NOTHING)
    assert rows(graph, "MATCH (n:Media) RETURN count(n)") == [[2]]
    assert rows(graph, "MATCH (:Post)-[:HAS_MEDIA]->(n) RETURN n.theirs") == [[1]]
