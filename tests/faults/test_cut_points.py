"""Every place where a reply can vanish or a worker can die, one after another.

A clean run counts the pieces that pass each link; then each piece is lost once, before the server
has it or after, and once with the worker that waited for it.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import neo4j
import pytest
import redis
from support.cases import BASE
from support.model import Model, assert_same, read_graph
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.product import EVERYTHING, digest
from support.proxy import Proxy

from graphwriter.graph import Graph, schema
from graphwriter.stream import DeadLetters, Stream, info
from graphwriter.worker.writer import Writer

RICH = EVERYTHING._replace(text=False)
LINKS = ("neo4j", "valkey")
MOST = 60  # pieces of a run; more would mean that the worker does not come to rest

# The driver leaves a half-made connection and its socket to the garbage collector when the peer
# closes it right after the handshake (Bolt.__init__ raises, then Bolt.__del__ does).
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class Links:
    """Both links of a worker, and the servers behind them."""

    def __init__(
        self, server: Server, client: redis.Redis, driver: neo4j.Driver, made: Any
    ) -> None:
        self.server, self.client, self.driver = server, client, driver
        url = "redis://{host}:{port}/{db}".format(**client.connection_pool.connection_kwargs)
        self.neo4j: Proxy = made(server.uri.replace("neo4j://", "bolt://"))
        self.valkey: Proxy = made(url)
        self.past = Stream(url, STREAM, GROUP, "test")

    def begin(self) -> None:
        """An empty graph, and four entries: a post, one that moves its link, a reply, a poison."""
        self.driver.execute_query("MATCH (n) DETACH DELETE n")
        self.client.flushdb()
        self.model = Model(time.time, digest, rich=True)
        later = {"occurred_at": "2024-06-01T00:00:00Z"}
        first = BASE | {"reply_to_message_id": 3, "author_name": "Ann", "urls": ["a.example"]}
        for values in (
            first,
            first | later | {"reply_to_message_id": 4, "urls": ["t.me/c/5/6"]},
            _other(8),
            {"no": "event"},
        ):
            fields = {b"data": json.dumps(values).encode()}
            self.client.xadd(STREAM, fields)  # type: ignore[arg-type]
            self.model.apply(fields)

    def written(self) -> bool:
        """Whether all is acknowledged."""
        return info.drained(self.past.client, self.past.name, self.past.group)

    def check(self) -> None:
        """The graph is the model's, the poison is the one dead letter, nothing is pending."""
        assert_same(self.model.graph(), read_graph(self.driver))
        letters = list(DeadLetters(self.client, STREAM, GROUP).list())
        assert [letter.reason for letter in letters] == ["missing_field"]
        assert self.client.xpending(STREAM, GROUP)["pending"] == 0


def _other(message: int) -> dict[str, Any]:
    return BASE | {
        "post_id": f"p{message}",
        "telegram_message_id": message,
        "reply_to_message_id": BASE["telegram_message_id"],
        "forward_from_peer_id": {"channel_id": 5},
        "forward_from_message_id": 1,
    }


@pytest.fixture
def links(
    neo4j_server: Server,
    graph_empty: neo4j.Driver,
    redis_client: redis.Redis,
    proxy: Callable[[str], Proxy],
) -> Iterator[Links]:
    """Links to the run's servers."""
    made = Links(neo4j_server, redis_client, graph_empty, proxy)
    with Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None))) as graph:
        schema.apply(graph, EVERYTHING)
    yield made
    made.past.close()
    gc.collect()  # what the driver left, before another test is blamed for it


@contextmanager
def writing(links: Links) -> Iterator[None]:
    """A writer in a thread, until the end of the block."""
    graph = Graph(links.neo4j.url, *(links.server.auth or (None, None)), timeout=5, retry=5)
    stream = Stream(links.valkey.url, STREAM, GROUP, "me", block=0.05)
    writer = Writer(stream, graph, keep=RICH)
    thread = threading.Thread(target=writer.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        writer.stop()
        thread.join(30)
        stream.close()
        graph.close()
    assert not thread.is_alive()


def until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Wait for `condition`, and return whether it came."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def nth(number: int, also: Callable[[], None] = lambda: None) -> Callable[[bytes], bool]:
    """Be true of the piece with this number, from 0, and then do something."""
    seen = itertools.count()

    def when(_piece: bytes) -> bool:
        if next(seen) != number:
            return False
        also()
        return True

    return when


@pytest.mark.timeout(600)
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    "kind",
    [
        "reply",
        pytest.param("request", marks=pytest.mark.slow),
        pytest.param("half a reply", marks=pytest.mark.slow),
    ],
)
def test_any_piece_can_be_lost(links: Links, link: str, kind: str) -> None:
    """Each in its turn, until a run has fewer pieces than that: the end is always the same."""
    way: Proxy = getattr(links, link)
    for number in range(MOST):
        links.begin()
        if kind == "request":
            lost = way.drop_next_request(nth(number))
        else:
            lost = way.drop_next_reply(nth(number), half=kind == "half a reply")
        with writing(links):
            assert until(links.written), f"not written after piece {number} was lost"
        way.drop_nothing()
        links.check()
        if not lost.is_set():
            assert number > 5, "a run has more pieces than that"
            return
    pytest.fail(f"{MOST} pieces, and it still goes on")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("link", LINKS)
def test_a_worker_can_die_at_any_piece(links: Links, link: str, tmp_path: Path) -> None:
    """kill -9 when the server has done its part and the worker does not know; another goes on."""
    way: Proxy = getattr(links, link)
    environ = {
        **os.environ,
        "REDIS_URL": links.valkey.url,
        "NEO4J_URI": links.neo4j.url,
        "GRAPH_WRITER_RUN_DIR": str(tmp_path),
        "GRAPH_WRITER_BLOCK": "0.05",
        "GRAPH_WRITER_ENRICH": "links,media,albums",
    }
    if links.server.auth:
        environ["NEO4J_USER"], environ["NEO4J_PASSWORD"] = links.server.auth
    command = [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", "me"]
    for number in range(MOST):
        links.begin()
        process: list[subprocess.Popen[bytes]] = []
        died = way.drop_next_reply(nth(number, lambda process=process: process[0].kill()))  # type: ignore[misc]
        process.append(subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL))
        done = until(lambda process=process: links.written() or process[0].poll() is not None)  # type: ignore[misc]
        assert done, f"nothing came of piece {number}"
        way.drop_nothing()
        process[0].send_signal(signal.SIGTERM)
        process[0].wait(30)
        with writing(links):
            assert until(links.written), f"not written after a death at piece {number}"
        links.check()
        if not died.is_set():
            assert number > 5, "a run has more pieces than that"
            return
    pytest.fail(f"{MOST} pieces, and it still goes on")
