"""Events of one channel, and a look at the graph that came of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, LiteralString

import neo4j
import pytest

from graphwriter import events
from graphwriter.events import Event
from graphwriter.graph import Graph, schema
from support.neo4j import Server

CHANNEL = -1001179270258


@pytest.fixture
def graph(neo4j_server: Server, graph_empty: neo4j.Driver) -> Iterator[Graph]:
    """A connection to an empty graph with its constraints."""
    with Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None))) as opened:
        schema.apply(opened)
        yield opened


@pytest.fixture
def unindexed(graph: Graph) -> Iterator[Graph]:
    """The same graph, without indexes for questions, before and after the test."""
    drop_reading(graph)
    yield graph
    drop_reading(graph)


def drop_reading(graph: Graph) -> None:
    """Drop the indexes for questions, which outlive the nodes of a test."""
    for name in schema.reading(graph):
        graph.run(f"DROP INDEX {name}")


def values(message: int = 7, second: int = 0, **more: Any) -> dict[str, Any]:
    """An event of one message in form (a); later ones have a higher `second`."""
    return {
        "schema_version": "v1",
        "occurred_at": 1_700_000_000 + second,
        "idempotency_key": "k",
        "tenant_id": "t",
        "channel_id": "c",
        "post_id": f"p{message}",
        "tg_channel_id": CHANNEL,
        "telegram_message_id": message,
        **more,
    }


def event(message: int = 7, second: int = 0, **more: Any) -> Event:
    """The same, decoded."""
    return events.from_values(values(message, second, **more), 2**50)


def rows(graph: Graph, query: LiteralString) -> list[list[Any]]:
    """What a query returns, as plain lists."""
    return [list(row.values()) for row in graph.read(query)]


def together(*calls: Callable[[], object]) -> list[BaseException]:
    """Run calls at once, each in a thread; return what they raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised
