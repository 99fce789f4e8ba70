"""No question reads more of the graph than it has to: the plan of every statement is looked at."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import neo4j
import pytest
from support.graphs import drop_reading, event
from support.graphs import graph as graph
from support.neo4j import Server
from support.product import EVERYTHING

from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.graph.client import bounded

FOLDER = resources.files("graphwriter.graph") / "cypher" / "ask"
NAMES = sorted(
    file.name.removesuffix(".cypher")
    for file in FOLDER.iterdir()
    if file.name not in ("examples.cypher", "retrieval.cypher")
)
# Questions about the whole graph: they read all of it once, in a window or streamed.
WHOLE = {
    "authors", "channel_links", "channels", "coforward", "export_links", "export_nodes",
    "export_window", "lags",
    "links", "sources", "wanted", "wanted_channels",
}  # fmt: skip
PARAMETERS: dict[str, Any] = {
    "chat": -1001179270258, "message": 42, "roots": [[-1001179270258, 42]], "most": 100,
    "keys": [[-1001179270258, 42]], "post_id": "p", "prefix": "https://t.me/name/", "min": 1,
    "since": "2024-05-01T00:00:00Z", "until": "2024-06-01T00:00:00Z", "words": "word",
    "hash": "7", "limit": 10, "bare": "1179270258", "kind": "channel",
    "album": 7,
}  # fmt: skip
SCANS = {"AllNodesScan", "NodeByLabelScan", "UnionNodeByLabelsScan", "DirectedAllRelationshipsScan",
         "NodeIndexScan", "DirectedRelationshipTypeScan", "CartesianProduct"}  # fmt: skip


@pytest.fixture(scope="module")
def driver(neo4j_server: Server) -> Any:
    """A graph of some thousand posts with all indexes."""
    login = neo4j_server.auth
    with neo4j.GraphDatabase.driver(neo4j_server.uri, auth=login) as found:
        found.execute_query("MATCH (n) DETACH DELETE n")
        with Graph(neo4j_server.uri, *(login or (None, None))) as filled:
            schema.apply(filled, EVERYTHING)
            schema.apply_reading(filled)
            schema.apply_fulltext(filled, "standard-no-stop-words")
            told = [
                event(
                    n,
                    reply_to_message_id=n // 3 or None,
                    forward_from_peer_id={"channel_id": n % 50 + 1},
                    forward_from_message_id=n % 70 + 1,
                    author_peer_id={"user_id": n % 30 + 1},
                    posted_at=1_714_557_600 + n,
                    telegram_post_url=f"https://t.me/name/{n}",
                    content_hash=str(n % 500),
                    urls=[f"https://a.example/{n % 400}", f"t.me/c/5/{n % 300 + 1}"],
                    media_sha256_list=[f"{n % 900:064x}"],
                    grouped_id=n // 4,
                )
                for n in range(1, 4001)
            ]
            for start in range(0, len(told), 1000):
                filled.write(fold(told[start : start + 1000], EVERYTHING))
            filled.run("CALL db.awaitIndexes(60)")
            filled.run("CALL db.prepareForReplanning()")  # statistics, which come late else
            yield found
            drop_reading(filled)


def operators(driver: neo4j.Driver, query: str) -> list[tuple[str, str]]:
    """The operators of a plan, without the database's name, and what they do."""
    asked: Any = f"EXPLAIN {query}"
    plan = driver.execute_query(asked, PARAMETERS).summary.plan

    def below(node: Any) -> list[tuple[str, str]]:
        own = (node["operatorType"].partition("@")[0], str(node["args"].get("Details", "")))
        return [own, *(one for child in node.get("children", ()) for one in below(child))]

    return below(plan)


@pytest.mark.parametrize("name", NAMES)
def test_a_question_reads_no_more_than_it_has_to(driver: neo4j.Driver, name: str) -> None:
    plan = operators(driver, bounded(f"ask/{name}", 100))
    kinds = {kind for kind, _ in plan}
    if name not in WHOLE:
        assert not kinds & SCANS, plan
        # It starts with a seek, or in the index of texts.
        assert any("Seek" in kind for kind in kinds) or "ProcedureCall" in kinds, plan
    assert "Eager" not in kinds
    for kind, details in plan:
        if "VarLength" in kind or "Pruning" in kind or "Repeat" in kind:
            assert re.search(r"\*\d*\.\.\d+", details), f"no bound: {kind} {details}"


@pytest.mark.parametrize("name", ["export_links", "export_nodes"])
def test_a_streamed_question_keeps_no_rows_in_the_server(driver: neo4j.Driver, name: str) -> None:
    kinds = {kind for kind, _ in operators(driver, bounded(f"ask/{name}", 100))}
    assert not kinds & {"Sort", "EagerAggregation", "Distinct"}, kinds


def test_what_replies_to_a_message_is_searched_breadth_first(driver: neo4j.Driver) -> None:
    """So a limit stops the search, and the nearest replies are kept."""
    plan = operators(driver, bounded("ask/below", 100))
    kinds = {kind for kind, _ in plan}
    assert "VarLengthExpand(Pruning,BFS,All)" in kinds, plan


def test_a_question_cannot_write(graph: Graph) -> None:
    for call in (graph.rows, lambda query: list(graph.stream(query))):
        with pytest.raises(Exception, match=r"[Rr]ead"):
            call("CREATE (n:Post) RETURN n")
    assert graph.rows("MATCH (n) RETURN count(n)") == [[0]]
