"""The guarantee: any order, any repetition, any split over workers gives the same graph."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence

import neo4j
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.model import Fields, assert_same, read_graph
from support.neo4j import Server
from support.product import EVERYTHING, decode, model
from support.strategies import worlds

from graphwriter.events import Event
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import Batch, fold
from graphwriter.keep import NOTHING, Keep

EXAMPLES = 100
WORKERS = 4
RICH = EVERYTHING._replace(text=False)


@pytest.fixture(scope="module")
def graphs(neo4j_server: Server) -> Iterator[Sequence[Graph]]:
    """A connection for each worker."""
    made = [Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None))) for _ in range(WORKERS)]
    schema.apply(made[0], EVERYTHING)
    yield made
    for graph in made:
        graph.close()


def write(graphs: Sequence[Graph], events: list[Event], chance: random.Random, keep: Keep) -> None:
    """Cut `events` into batches, and let some workers write them all at once."""
    batches = []
    while events:
        size = chance.choice((1, 2, 5, 25))
        batches.append(fold(events[:size], keep))
        events = events[size:]
    workers = chance.choice((1, 2, WORKERS))
    failed: list[BaseException] = []

    def work(graph: Graph, share: list[Batch]) -> None:
        try:
            for batch in share:
                graph.write(batch)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    threads = [
        threading.Thread(target=work, args=(graph, batches[number::workers]))
        for number, graph in enumerate(graphs[:workers])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failed:
        raise failed[0]


@given(worlds(), st.randoms(use_true_random=False), st.sampled_from((NOTHING, RICH)))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_order_repetition_and_split_gives_the_models_graph(
    graphs: Sequence[Graph],
    graph_empty: neo4j.Driver,
    world: list[Fields],
    chance: random.Random,
    keep: Keep,
) -> None:
    """Edits, moved and cleared links, unspoken facets, ties, duplicates, many workers."""
    graph_empty.execute_query("MATCH (n) DETACH DELETE n")
    expected = model(rich=keep.links)
    for entry in world:
        assert expected.apply(entry) is None
    events = [decode(entry, keep) for entry in world]
    events += chance.choices(events, k=len(events) // 2)
    chance.shuffle(events)
    write(graphs, events, chance, keep)
    assert_same(expected.graph(), read_graph(graph_empty))
