"""In which order batches lock messages: few deadlocks in a stream, and few in a shuffled one."""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import neo4j
import pytest
from support.graphs import CHANNEL, event, rows, together
from support.neo4j import Server
from support.paths import DATA

from graphwriter import events
from graphwriter.events import Event
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import Batch, fold
from graphwriter.graph.order import FEWEST, MOST, LockOrder

REAL_EVENTS = DATA / "real-events-10k.jsonl.gz"
OTHER = -1001900000000  # sorts before CHANNEL


@pytest.fixture
def graphs(neo4j_server: Server, graph_empty: neo4j.Driver) -> Iterator[list[Graph]]:
    """Four connections to an empty graph, as four workers have."""
    login = neo4j_server.auth or (None, None)
    with ExitStack() as stack:
        made = [Graph(neo4j_server.uri, *login, timeout=60, retry=60) for _ in range(4)]
        for graph in made:
            stack.enter_context(graph)
        schema.apply(made[0])
        yield made


def write(graphs: list[Graph], batches: Sequence[Batch]) -> int:
    """Write the batches, each graph the next one; return the number of deadlocks."""
    waiting, lock = iter(batches), threading.Lock()

    def work(graph: Graph) -> None:
        while True:
            with lock:
                batch = next(waiting, None)
            if batch is None:
                return
            graph.write(batch)

    assert together(*(lambda graph=graph: work(graph) for graph in graphs)) == []
    return sum(graph.deadlocks for graph in graphs)


def busy(number: int) -> list[Event]:
    """Posts that reply to one of the last hundred, and forward one of ten new messages each."""
    return [
        event(
            n,
            reply_to_message_id=max(1, n - 1 - n * 7 % 100),
            forward_from_chat_id=OTHER,
            forward_from_message_id=n // 40 * 10 + n % 10 + 1,
        )
        for n in range(2, number + 2)
    ]


def cut(found: list[Event], size: int) -> list[Batch]:
    """Batches of `size` events, as they come."""
    return [fold(found[start : start + size]) for start in range(0, len(found), size)]


def test_a_batch_has_its_posts_then_what_they_reply_to_then_other_targets() -> None:
    forwards = {"forward_from_chat_id": OTHER, "forward_from_message_id": 5}
    batch = fold([event(9, reply_to_message_id=7, **forwards), event(8, reply_to_message_id=9)])
    assert batch.messages == [(CHANNEL, 8), (CHANNEL, 9), (CHANNEL, 7), (OTHER, 5)]
    assert batch.first == 2


def test_a_batch_in_one_order_says_the_same_of_sorted_messages() -> None:
    batch = fold(busy(50))
    single, order = batch.in_one_order()
    assert single.messages == sorted(batch.messages)
    assert single.first == len(single.messages)
    assert [batch.messages[at] for at in order] == single.messages

    def told(of: Batch) -> list[object]:
        ends = [(of.messages[r[0]], of.messages[r[2]], r[3]) for r in of.replies]
        ends += [(of.messages[r[0]], r[2], of.messages[r[3]]) for r in of.forwards]
        return [*ends, *((of.messages[row[0]], row[1:]) for row in of.posts)]

    assert told(single) == told(batch)
    assert set(batch.messages) - set(batch.messages[: batch.first])  # it has other targets


def test_four_workers_in_stream_order_meet_almost_no_deadlock(graphs: list[Graph]) -> None:
    """Every batch replies to the one before it, which another worker writes, and shares targets."""
    batches = cut(busy(6000), 100)
    assert write(graphs, batches) <= 2
    assert rows(graphs[0], "MATCH (p:Post)-[r:REPLIES_TO]->() RETURN count(r)") == [[6000]]


@pytest.mark.skipif(not REAL_EVENTS.exists(), reason=f"no real events at {REAL_EVENTS}")
def test_four_workers_meet_almost_no_deadlock_with_real_events(graphs: list[Graph]) -> None:
    """As the posts came, with popular sources."""
    with gzip.open(REAL_EVENTS) as lines:
        real = [events.decode({b"data": line.strip()}, 2**50) for line in lines]
    assert write(graphs, cut(real, 100)) <= 2
    assert rows(graphs[0], "MATCH (p:Post) RETURN count(p)") == [[10_000]]


def test_four_workers_with_shuffled_posts_soon_avoid_deadlocks(graphs: list[Graph]) -> None:
    """The posts of any two batches refer to each other."""
    shuffled = busy(6000)
    random.Random(1).shuffle(shuffled)
    batches = cut(shuffled, 50)
    assert write(graphs, batches) <= len(batches) / 3
    assert rows(graphs[0], "MATCH (p:Post)-[r:REPLIES_TO]->() RETURN count(r)") == [[6000]]


def test_after_a_deadlock_some_batches_are_locked_in_one_order_and_more_after_the_next() -> None:
    order = LockOrder()
    assert not order.single()
    for expected in (FEWEST, FEWEST * 2, FEWEST * 4):
        order.deadlock()
        assert [order.single() for _ in range(expected + 1)] == [True] * expected + [False]
    order.wrote()
    order.wrote()
    order.deadlock()
    assert [order.single() for _ in range(FEWEST * 2 + 1)] == [True] * FEWEST * 2 + [False]


def test_batches_in_one_order_are_tried_again_at_the_latest_after_the_most() -> None:
    order = LockOrder()
    for _ in range(30):
        order.deadlock()
    assert [order.single() for _ in range(MOST + 1)].index(False) == MOST
