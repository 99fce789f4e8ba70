"""The write statement on a real Neo4j: what it locks, adopts, refuses and leaves behind."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any, LiteralString

import pytest
from support.graphs import event, rows, together
from support.product import EVERYTHING

from graphwriter import events
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.graph.client import statement

FOUR: tuple[LiteralString, ...] = (
    """MATCH (p:Post)-[r:FORWARDED_FROM]->(fs:ForwardSource)
    RETURN p.post_id, fs.source_id, fs.source_type, r.forward_date LIMIT 10""",
    """MATCH (p1:Post)-[r:REPLIES_TO]->(p2:Post)
    RETURN p1.post_id, p2.post_id, r.thread_id LIMIT 10""",
    """MATCH (a:Author)-[r:AUTHOR_OF]->(p:Post)
    RETURN a.author_id, a.author_type, p.post_id LIMIT 10""",
    """MATCH (p:Post)
    OPTIONAL MATCH (p)-[:FORWARDED_FROM]->(fs:ForwardSource)
    OPTIONAL MATCH (p)-[:REPLIES_TO]->(p2:Post)
    OPTIONAL MATCH (a:Author)-[:AUTHOR_OF]->(p)
    RETURN count(DISTINCT p) AS posts, count(DISTINCT fs) AS forward_sources,
      count(DISTINCT p2) AS reply_targets, count(DISTINCT a) AS authors""",
)


def test_the_four_queries_answer_as_their_authors_expect(graph: Graph) -> None:
    """Forwards, replies, authors and counts, targets that have not arrived left out."""
    graph.write(
        fold(
            [
                event(1, author_peer_id={"user_id": 5}, author_name="Ann"),
                event(2, reply_to_message_id=1, thread_id=9),
                event(3, reply_to_message_id=99),
                event(4, forward_from_peer_id={"channel_id": 8}, forward_date=1_600_000_000),
            ]
        )
    )
    forwards, replies, authors, counts = (rows(graph, query) for query in FOUR)
    assert [row[:3] for row in forwards] == [["p4", "8", "channel"]]
    assert forwards[0][3].isoformat() == "2020-09-13T12:26:40.000000000+00:00"
    assert replies == [["p2", "p1", 9]]
    assert authors == [["5", "user", "p1"]]
    assert counts == [[4, 1, 1, 1]]


def test_writing_again_changes_nothing(graph: Graph) -> None:
    """An event equal to what is there is not applied: redelivery is cheap."""
    batch = fold([event(1, reply_to_message_id=2), event(3, author_name="Ann")])
    assert graph.write(batch) == {0, 1}
    before = rows(graph, "MATCH (n) RETURN properties(n) ORDER BY elementId(n)")
    assert graph.write(batch) == frozenset()
    assert before == rows(graph, "MATCH (n) RETURN properties(n) ORDER BY elementId(n)")


def test_a_written_batch_is_freed_without_the_garbage_collector(graph: Graph) -> None:
    """Workers collect rarely: what the driver's cycles hold on to must not be the rows."""
    graph.write(fold([event()]))
    gc.collect()
    gc.disable()
    try:
        graph.write(fold([event(number, reply_to_message_id=1) for number in range(2, 502)]))
        assert gc.collect() < 250
    finally:
        gc.enable()


class Silent(str):
    """A text that nobody may print."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise AssertionError("somebody made a text of the rows")


def test_the_driver_makes_no_text_of_the_rows_for_a_log_that_is_off(graph: Graph) -> None:
    one = event()
    graph.write(fold([one._replace(post=one.post._replace(post_id=Silent("p7")))]))
    assert rows(graph, "MATCH (p:Post) RETURN p.post_id") == [["p7"]]


def test_two_workers_with_two_events_of_one_post_leave_one_reply(graph: Graph) -> None:
    """Without the lock before the comparison both would apply within a minute of trying."""
    for number in range(60):
        batches = [fold([event(1, number * 9 + k, reply_to_message_id=10 + k)]) for k in range(4)]
        assert together(*(lambda b=b: graph.write(b) for b in batches)) == []
        replies = rows(graph, "MATCH (:Post)-[:REPLIES_TO]->(m) RETURN m.telegram_message_id")
        assert replies == [[13]]
        assert rows(graph, "MATCH (n:Message) RETURN count(n)") == [[2]]


def test_the_last_two_links_moved_at_once_leave_no_orphan(graph: Graph) -> None:
    """Each of two workers sees the other's link still there, unless it locks what it leaves."""
    for number in range(60):
        for post in (1, 2):
            hidden = {"forward_from_name": f"same {number}"}
            graph.write(fold([event(post, number * 9, **hidden)]))
        moves = [
            fold([event(post, number * 9 + 1, forward_from_name=f"{post} of {number}")])
            for post in (1, 2)
        ]
        assert together(*(lambda b=b: graph.write(b) for b in moves)) == []
        assert rows(graph, "MATCH (s:ForwardSource) WHERE NOT EXISTS { (s)--() } RETURN s") == []


def test_a_source_deleted_by_one_worker_is_linked_by_another(graph: Graph) -> None:
    """Deleting an orphan races with whoever has just merged it; both get what they want."""
    for number in range(60):
        graph.write(fold([event(1, number * 9, author_name="Ann")]))
        leave = fold([event(1, number * 9 + 1, author_name=None)])
        arrive = fold([event(2, number * 9 + 1, author_name="Ann", post_id="p2")])
        assert together(lambda: graph.write(leave), lambda: graph.write(arrive)) == []  # noqa: B023
        assert rows(graph, "MATCH (a:Author)-->(p) RETURN p.post_id") == [["p2"]]
        graph.write(fold([event(2, number * 9 + 2, author_name=None)]))
        assert rows(graph, "MATCH (a:Author) RETURN a") == []


def test_moving_links_meet_few_deadlocks(graph: Graph) -> None:
    """Old targets are outside the order of locks: retries stay rare, and nothing is lost."""
    rounds, posts = 12, 300
    for number in range(rounds):
        moved = [
            event(n, number, reply_to_message_id=1000 + (n * 7 + number) % 50) for n in range(posts)
        ]
        parts = [fold(moved[start::4]) for start in range(4)]
        assert together(*(lambda b=b: graph.write(b) for b in parts)) == []
    assert graph.retries <= rounds * 4
    assert rows(graph, "MATCH (:Post)-[r:REPLIES_TO]->() RETURN count(r)") == [[posts]]
    assert (
        rows(graph, "MATCH (m:Message) WHERE NOT m:Post AND NOT EXISTS { (m)--() } RETURN m") == []
    )


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("batches", [1, 2])
def test_the_newest_name_of_a_source_and_an_author_stays(
    graph: Graph, batches: int, newest_first: bool
) -> None:
    """In whatever order the events come, in one batch or in two; an event without it keeps it."""
    peer = {"user_id": 5}
    week = 7 * 86_400

    def at(message: int, second: int, name: str | None) -> events.Event:
        told = {"author_name": name, "forward_from_name": name} if name else {}
        return event(message, second, author_peer_id=peer, forward_from_peer_id=peer, **told)

    written = [at(1, 0, "Old"), at(2, week, "New"), at(3, 2 * week, None)]
    if newest_first:
        written.reverse()
    size = len(written) // batches + 1
    for first in range(0, len(written), size):
        graph.write(fold(written[first : first + size]))
    names = "MATCH (n:ForwardSource|Author) RETURN labels(n)[0] AS label, n.name ORDER BY label"
    assert rows(graph, names) == [["Author", "New"], ["ForwardSource", "New"]]


def test_an_end_that_is_given_up_and_named_by_a_stale_row_is_deleted_once(graph: Graph) -> None:
    """One row moves away from message 5, and a row that is too old names it again."""
    graph.write(fold([event(1, reply_to_message_id=5), event(2, 9, reply_to_message_id=6)]))
    batch = fold([event(1, 2, reply_to_message_id=7), event(2, 3, reply_to_message_id=5)])
    assert {batch.messages[at][1] for at in graph.write(batch)} == {1}
    replies = "MATCH (p)-[:REPLIES_TO]->(m) RETURN p.telegram_message_id, m.telegram_message_id"
    assert sorted(rows(graph, replies)) == [[1, 7], [2, 6]]
    assert rows(graph, "MATCH (m:Message) RETURN count(m)") == [[4]]


def test_every_node_of_a_batch_is_found_by_its_unique_key(graph: Graph) -> None:
    """Otherwise a write would scan a label, or lock without order."""
    nothing = fold([]).parameter()
    schema.apply(graph, EVERYTHING)
    for name, merges in (("write", 6), ("update", 5)):
        query: Any = statement(name).replace("CYPHER replan=skip", "EXPLAIN")
        plan = graph.driver.execute_query(query, batch=nothing).summary.plan
        operators = Counter(operators_of(plan))
        scans = {"AllNodesScan", "NodeByLabelScan", "NodeIndexScan", "PartitionedNodeByLabelScan"}
        assert not scans & {*operators}, name
        found = sum(number for one, number in operators.items() if one.startswith("Merge"))
        assert found == merges, operators


def operators_of(plan: Any) -> Iterator[str]:
    yield plan["operatorType"].partition("@")[0]
    for child in plan.get("children", ()):
        yield from operators_of(child)
