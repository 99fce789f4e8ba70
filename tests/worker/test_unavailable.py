"""The error line of a server that does not answer: its address and what happened."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from graphwriter.errors import Unavailable
from graphwriter.graph import Graph
from graphwriter.stream import connect
from graphwriter.stream.client import translated


@pytest.fixture
def peer() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Start servers on free ports that do one thing with each connection."""
    opened: list[socket.socket] = []

    def start(act: Callable[[socket.socket], None]) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        opened.append(server)

        def serve() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                opened.append(connection)
                act(connection)

        threading.Thread(target=serve, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for each in opened:
        each.close()


def deaf(connection: socket.socket) -> None:
    """Say nothing."""


def web(connection: socket.socket) -> None:
    """Speak HTTP."""
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.close()


Start = Callable[[Callable[[socket.socket], None]], int]


@pytest.mark.slow
def test_an_unavailable_neo4j_is_reported_without_the_drivers_objects(peer: Start) -> None:
    """Connection refused, no such host, no reply, another protocol."""
    for place, words in (
        ("127.0.0.1:1", "Connection refused"),
        ("nohost.invalid:7687", "Name or service not known"),
        (f"127.0.0.1:{peer(deaf)}", "timed out"),
        (f"127.0.0.1:{peer(web)}", "Cannot to connect to Bolt service on PLACE (looks like HTTP)"),
    ):
        with (
            Graph(f"bolt://{place}", timeout=1, retry=0, connect=1) as graph,
            pytest.raises(Unavailable) as told,
        ):
            graph.check()
        said = words.replace("PLACE", place)
        assert str(told.value) == f"Neo4j at bolt://{place} does not answer: {said}"


def test_an_unavailable_redis_is_reported_with_its_address_once(peer: Start) -> None:
    for place, words in (
        ("127.0.0.1:1", "Connection refused"),
        ("nohost.invalid:6379", "Name or service not known"),
        (f"127.0.0.1:{peer(deaf)}", "Timeout reading from socket"),
    ):
        client = connect(f"redis://{place}", "stream", timeout=0.5, retries=0)
        with pytest.raises(Unavailable) as told, translated(client):
            client.ping()
        client.close()
        assert str(told.value) == f"Redis at {place}/0 does not answer: {words}"
